// A deterministic executor: every posted job, timer and I/O completion is a task; the seed picks the next
// one; virtual time jumps to the next timer when nothing else can run.
//
// Background threads are fibers of the one thread that runs everything: only at block_on does another one go
// on, which the seed chose, so a run is a pure function of the seed. A background body must therefore not
// wait for another one by any means but block_on (or blocking File calls), and must not hold a mutex while it
// does. Invariants: (1) one task runs at a time; (2) time moves only while nobody can run; (3) same seed and
// same program give the same trace_hash().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/io/executor.h"

namespace rustbd::io {

/// Create it and run it on one thread. While it lives, WaitToken::wait_blocking() on that thread runs other
/// tasks. Destroy it after stop(); every background thread must have ended by
/// then.
class SimulatedExecutor final : public Executor {
 public:
  explicit SimulatedExecutor(std::uint64_t seed, std::size_t worker_count = 2);
  ~SimulatedExecutor() override;

  Lane& workers() override;
  [[nodiscard]] std::size_t worker_count() const override { return worker_count_; }
  std::unique_ptr<Lane> make_serial_lane(std::string name) override;
  std::unique_ptr<BackgroundThread> start_background(std::string name, Job body) override;
  WaitToken after(std::chrono::microseconds delay) override;
  /// On the creating thread (outside or inside a job): runs tasks until the token fires; stops the process if
  /// nothing can run any more (a deadlock). On a background thread: pauses it until then.
  void block_on(const WaitToken& token) override;
  void block_on(const WaitToken& token, std::chrono::microseconds at_most) override;
  void stop() override;

  /// Runs until no job is ready and no timer is pending.
  void run_until_idle();
  /// Runs for that much virtual time, also if nothing happens.
  void run_for(std::chrono::microseconds span);
  /// Runs one task (or jumps to the next timer). False: nothing to do.
  bool step();

  /// `stuck` is called once when so many more steps have been taken, or when nothing can run although
  /// somebody waits; it should not return. 0 and {}: no limit.
  void limit_steps(std::uint64_t steps, std::move_only_function<void(std::string_view why)> stuck);
  /// Names of the background threads that have not ended.
  [[nodiscard]] std::vector<std::string> running_backgrounds() const;

  /// So many of 1000 jobs run as if their lane served many at once (io::Batch).
  void serve_in_batches(std::uint32_t per_mille) { batches_per_mille_ = per_mille; }

  /// Virtual time. wall: starts at 2025-01-01 00:00 UTC.
  Clock& clock();
  /// The scheduler's own generator, for whatever must be reproducible.
  SeededRandom& random() { return random_; }
  /// Hash over all choices so far: equal for equal runs.
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_hash_; }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  /// True in the body of a background thread.
  [[nodiscard]] bool on_background_thread() const { return running_ != nullptr; }

 private:
  class PoolLane;
  class SerialLane;
  class VirtualClock;
  struct Background;
  class BackgroundHandle;
  struct Ready {  // a job of the pool, the head of a serial lane, or a background thread to go on
    Lane* lane = nullptr;
    Job job;
    SerialLane* serial = nullptr;
    Background* background = nullptr;
  };
  struct Timer {
    std::int64_t due_us;
    std::uint64_t sequence;
    WaitToken token;
  };

  void post_pool(Job job);
  void enqueue(Ready ready);
  bool pop_random(Ready* out);
  void run(Ready ready);
  bool fire_next_timer(std::int64_t not_after_us);
  void go_on(Background& background);
  void note(std::uint64_t choice);
  void tell_stuck(std::string_view why);

  const std::size_t worker_count_;
  SeededRandom random_;
  std::unique_ptr<PoolLane> pool_;
  std::unique_ptr<VirtualClock> clock_;
  std::mutex mutex_;  // protects ready_, timers_: a foreign thread may post too
  std::vector<Ready> ready_;
  std::vector<Timer> timers_;  // heap by (due, sequence)
  std::uint64_t timer_sequence_ = 0;
  std::uint64_t trace_hash_ = 0;
  std::uint64_t steps_ = 0;  // jobs and timers
  std::uint64_t steps_max_ = 0;
  std::move_only_function<void(std::string_view)> stuck_;
  std::uint32_t batches_per_mille_ = 0;
  Background* running_ = nullptr;  // whose body runs now
  std::vector<std::shared_ptr<Background>> backgrounds_;
  void* previous_hook_[2] = {nullptr, nullptr};
};

}  // namespace rustbd::io
