// Who wants a checkpoint: requests that come while one runs are one request for the next.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "rustbd/io/executor.h"
#include "rustbd/io/wait.h"
#include "rustbd/storage/pages/storage.h"

namespace rustbd::storage {

/// Threads: request functions and time_passed() from any; next() and finish() by the checkpoint thread.
class CheckpointRequests {
 public:
  struct Waiter {
    io::WaitToken done;
    CheckpointResult result;
  };
  struct Batch {
    bool stop = false;
    CheckpointTrigger trigger = CheckpointTrigger::kRequest;  // of the first request
    std::vector<std::shared_ptr<Waiter>> waiters;
  };

  /// kSpace and kTime count only after a first request of another kind: recovery must have ended.
  void request(CheckpointTrigger trigger);
  CheckpointResult request_and_wait(CheckpointTrigger trigger, io::Executor& executor);
  /// The interval after checkpoint number `finished` is over: asks for one if that was the last.
  void time_passed(std::uint64_t finished);

  /// Blocks until there is one, or stop().
  Batch next(io::Executor& executor);
  void finish(Batch batch, const CheckpointResult& result);
  [[nodiscard]] std::uint64_t finished() const;
  void stop();

 private:
  void add(CheckpointTrigger trigger, std::shared_ptr<Waiter> waiter);

  mutable std::mutex mutex_;  // protects the following
  bool wanted_ = false;
  bool automatic_ = false;  // kSpace and kTime count
  bool stopped_ = false;
  std::uint64_t finished_ = 0;
  Batch batch_;
  io::WaitToken wake_;
};

}  // namespace rustbd::storage
