// Executor, Clock and Random: all threads, time and chance pass here, so that a whole engine can run
// deterministically in one thread from one seed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "rustbd/io/wait.h"

namespace rustbd::io {

/// Microseconds. wall: since 1970-01-01 UTC; monotonic: since some fixed moment, never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t wall_us() = 0;
  virtual std::int64_t monotonic_us() = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next_u64() = 0;
  void fill(std::span<std::byte> out);
};

/// xoshiro256** (Blackman and Vigna 2018), for simulation and for whatever needs no secrecy.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed);
  std::uint64_t next_u64() override;
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next_u64() % bound; }
  bool chance(std::uint32_t per_mille) { return below(1000) < per_mille; }

 private:
  std::uint64_t state_[4];
};

/// A thread of its own for a loop that may block (log writer, checkpointer). join() waits for its end.
class BackgroundThread {
 public:
  virtual ~BackgroundThread() = default;
  virtual void join() = 0;
};

/// The only maker of threads. Real: a worker pool, a timer thread, background threads. Simulated: everything
/// is a task of one thread and the seed chooses the next one.
class Executor {
 public:
  virtual ~Executor() = default;
  /// The worker pool: jobs run in any order on any worker.
  virtual Lane& workers() = 0;
  [[nodiscard]] virtual std::size_t worker_count() const = 0;
  /// A lane whose jobs run one after another (a network thread, or a strand of the pool in simulation).
  virtual std::unique_ptr<Lane> make_serial_lane(std::string name) = 0;
  /// Runs body on a thread of its own (simulated: as a task; body must then be written with `block_on` only).
  virtual std::unique_ptr<BackgroundThread> start_background(std::string name, Job body) = 0;
  /// Fires the token after the delay.
  virtual WaitToken after(std::chrono::microseconds delay) = 0;
  /// Blocks the calling thread until the token fires. Simulated: runs other tasks until then.
  virtual void block_on(const WaitToken& token) = 0;
  /// The same for no longer than `at_most`.
  virtual void block_on(const WaitToken& token, std::chrono::microseconds at_most) = 0;
  /// Stops workers and timers. Nothing may be posted afterwards.
  virtual void stop() = 0;
};

/// What a component gets that depends on time, chance, threads or files. All outlive it.
class Disk;
struct Environment {
  Disk* disk = nullptr;
  Clock* clock = nullptr;
  Random* random = nullptr;
  Executor* executor = nullptr;
};

std::unique_ptr<Clock> make_system_clock();
std::unique_ptr<Random> make_system_random();  // getrandom(2)
std::unique_ptr<Executor> make_thread_executor(std::size_t workers);

}  // namespace rustbd::io
