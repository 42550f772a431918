#include "rustbd/server/signals.h"

#include <unistd.h>
#include <csignal>

namespace rustbd::server {

namespace {
constexpr int kEndOfThread = SIGUSR2;  // wakes our own thread at the end
sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, kEndOfThread}) sigaddset(&set, s);
  return set;
}
}  // namespace

void block_signals() {
  const auto set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Signals::Signals(io::Executor& executor, std::function<void()> reload)
    : reload_(std::move(reload)), thread_(executor.start_background("signals", [this] { run(); })) {}
Signals::~Signals() {
  kill(getpid(), kEndOfThread);
  thread_->join();
}

void Signals::run() {
  const auto set = watched();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (signal == kEndOfThread) return;
    if (signal == SIGHUP) reload_();
    else if (!stop_.fired()) stop_.fire();
    else hurry_.fire();
  }
}

}  // namespace rustbd::server
