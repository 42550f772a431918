// Waiting without blocking a thread. What may wait (page, lock, log space, durability, memory, client) hands
// out a WaitToken; a session coroutine says `co_await token`, a pipeline task returns Blocked{token} and is
// posted back.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "rustbd/base/small_vector.h"

namespace rustbd::io {

using Job = std::move_only_function<void()>;

/// A place where jobs run: one network thread, or the worker pool. post() may be called from any thread and
/// never runs the job inside the call. Jobs of one serial lane run one after another in order.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual void post(Job job) = 0;
  /// The lane that the calling thread now runs a job of; nullptr on a foreign thread.
  static Lane* current();

 protected:
  /// Implementations hold one of these while they run a job.
  class Running {
   public:
    explicit Running(Lane* lane);
    ~Running();

   private:
    Lane* previous_;
  };
};

enum class WaitReason : std::uint8_t {
  kPage,
  kRowLock,
  kTableLock,
  kLogSpace,
  kDurability,
  kMemory,
  kClient,
  kTimer,
  kTask
};

/// A one-shot event. Threads: fire() from any thread, any number of times; the first one counts. Waiters are
/// posted to the lane that parked them, exactly once each.
class WaitEvent {
 public:
  explicit WaitEvent(WaitReason reason) : reason_(reason) {}
  void fire();
  [[nodiscard]] bool fired() const { return fired_.load(std::memory_order_acquire); }
  [[nodiscard]] WaitReason reason() const { return reason_; }
  /// False if it has fired already: the job was not taken, the caller goes on.
  bool park(Lane* lane, Job& job);

 private:
  struct Waiter {
    Lane* lane;
    Job job;
  };
  const WaitReason reason_;
  std::atomic<bool> fired_{false};
  std::mutex mutex_;  // protects waiters_
  SmallVector<Waiter, 1> waiters_;
};

/// Reference to a WaitEvent. An empty token counts as fired.
class WaitToken {
 public:
  WaitToken() = default;
  explicit WaitToken(std::shared_ptr<WaitEvent> event) : event_(std::move(event)) {}
  static WaitToken make(WaitReason reason) { return WaitToken{std::make_shared<WaitEvent>(reason)}; }
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(event_); }
  [[nodiscard]] bool fired() const { return !event_ || event_->fired(); }
  [[nodiscard]] WaitReason reason() const { return event_ ? event_->reason() : WaitReason::kTask; }
  /// Holds the event meanwhile: who sees fired() may destroy its tokens, this one too, before fire() is over.
  void fire() const {
    if (const auto held = event_) held->fire();
  }
  /// Runs `job` on `lane` once the event has fired; posts it at once if it has.
  void then(Lane& lane, Job job) const;
  /// Blocks the calling thread. Only for threads that may block: start-up, recovery, the checkpointer, tools.
  /// In the simulation it runs other tasks meanwhile (see Executor::block_on).
  void wait_blocking() const;
  /// The same for no longer than `at_most`; not in the simulation.
  void wait_blocking(std::chrono::microseconds at_most) const;

  /// co_await token: suspends the coroutine and resumes it on the lane that it was running on.
  auto operator co_await() const {
    struct Awaiter {
      std::shared_ptr<WaitEvent> event;
      bool await_ready() const noexcept { return !event || event->fired(); }
      bool await_suspend(std::coroutine_handle<> self) const {
        Job job = [self] { self.resume(); };
        return event->park(Lane::current(), job);
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{event_};
  }

 private:
  std::shared_ptr<WaitEvent> event_;
};

}  // namespace rustbd::io
