#include "rustbd/io/wait.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "rustbd/base/assert.h"
#include "rustbd/io/batch.h"
#include "rustbd/io/blocking_hook.h"
#include "rustbd/io/put_off.h"

namespace rustbd::io {

namespace {
thread_local Lane* current_lane = nullptr;

// Runs the job inside post(): only for the few instructions that wake a sleeping thread.
class SignalLane final : public Lane {
 public:
  void post(Job job) override { job(); }
};
SignalLane& signal_lane() {
  static SignalLane lane;
  return lane;
}
}  // namespace

namespace {
struct ThreadsPutOff {
  bool flushes = false;  // the thread promises to flush
  std::vector<std::shared_ptr<PutOff>> list;
};
ThreadsPutOff& threads_put_off() {
  thread_local ThreadsPutOff mine;
  return mine;
}
}  // namespace

bool put_off(const std::shared_ptr<PutOff>& what) {
  ThreadsPutOff& mine = threads_put_off();
  if (!mine.flushes) return false;
  if (std::find(mine.list.begin(), mine.list.end(), what) == mine.list.end()) mine.list.push_back(what);
  return true;
}

void flush_put_off() {
  ThreadsPutOff& mine = threads_put_off();
  for (const auto& what : mine.list) what->flush();
  mine.list.clear();
}

PuttingOff::PuttingOff() { threads_put_off().flushes = true; }
PuttingOff::~PuttingOff() {
  flush_put_off();
  threads_put_off().flushes = false;
}
void PuttingOff::count_job() {
  if (++jobs_ < kJobsPutOff) return;
  jobs_ = 0;
  flush_put_off();
}

namespace {
thread_local Batch* current_batch = nullptr;
}  // namespace

Batch::Batch() {
  RUSTBD_ASSERT(current_batch == nullptr, "a thread serves one batch at a time");
  current_batch = this;
}
Batch::~Batch() {
  current_batch = nullptr;
  for (Job& job : jobs_) job();
}
bool after_batch(Job&& job) {
  if (current_batch == nullptr) return false;
  current_batch->jobs_.push_back(std::move(job));
  return true;
}

bool in_batch() { return current_batch != nullptr; }

BlockingHook& blocking_hook_of_thread() {
  thread_local BlockingHook hook;
  return hook;
}

Lane* Lane::current() { return current_lane; }
Lane::Running::Running(Lane* lane) : previous_(std::exchange(current_lane, lane)) {}
Lane::Running::~Running() { current_lane = previous_; }

void WaitEvent::fire() {
  SmallVector<Waiter, 1> woken;
  {
    std::lock_guard lock{mutex_};
    if (fired_.load(std::memory_order_relaxed)) return;
    fired_.store(true, std::memory_order_release);
    woken.swap(waiters_);
  }
  for (Waiter& waiter : woken) waiter.lane->post(std::move(waiter.job));
}

bool WaitEvent::park(Lane* lane, Job& job) {
  RUSTBD_ASSERT(lane != nullptr, "only a job of a lane may wait: nobody could resume it");
  std::lock_guard lock{mutex_};
  if (fired_.load(std::memory_order_relaxed)) return false;
  waiters_.push_back({lane, std::move(job)});
  return true;
}

void WaitToken::then(Lane& lane, Job job) const {
  if (!event_ || !event_->park(&lane, job)) lane.post(std::move(job));
}

namespace {
// What a thread sleeps on until the event fires. Shared: the firing thread may still be inside it when the
// sleeper goes on.
struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  bool fired = false;  // protected by mutex
};
// Null: it has fired already.
std::shared_ptr<Signal> signal_of(WaitEvent& event) {
  auto signal = std::make_shared<Signal>();
  Job job = [signal] {
    std::lock_guard lock{signal->mutex};
    signal->fired = true;
    signal->changed.notify_one();
  };
  return event.park(&signal_lane(), job) ? signal : nullptr;
}
}  // namespace

void WaitToken::wait_blocking() const {
  if (fired()) return;
  flush_put_off();
  if (const BlockingHook& hook = blocking_hook_of_thread(); hook.wait != nullptr) {
    hook.wait(hook.context, *this);
    return;
  }
  const auto signal = signal_of(*event_);
  if (!signal) return;
  std::unique_lock lock{signal->mutex};
  signal->changed.wait(lock, [&] { return signal->fired; });
}

void WaitToken::wait_blocking(std::chrono::microseconds at_most) const {
  if (fired()) return;
  flush_put_off();
  const auto signal = signal_of(*event_);
  if (!signal) return;
  std::unique_lock lock{signal->mutex};
  signal->changed.wait_for(lock, at_most, [&] { return signal->fired; });
}

}  // namespace rustbd::io
