// SIGTERM, SIGINT and SIGHUP as tokens and callbacks.
#pragma once

#include <functional>
#include <memory>

#include "rustbd/io/executor.h"

namespace rustbd::server {

/// Blocks the signals in the calling thread and all it starts later, and SIGPIPE for good: before any other
/// thread.
void block_signals();

/// Threads: a background thread of `executor` takes the signals.
class Signals {
 public:
  Signals(io::Executor& executor, std::function<void()> reload);
  ~Signals();
  /// Fires at the first SIGTERM or SIGINT; hurry() at the second.
  [[nodiscard]] const io::WaitToken& stop() const { return stop_; }
  [[nodiscard]] const io::WaitToken& hurry() const { return hurry_; }

 private:
  void run();
  std::function<void()> reload_;
  io::WaitToken stop_ = io::WaitToken::make(io::WaitReason::kTask),
                hurry_ = io::WaitToken::make(io::WaitReason::kTask);
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::server
