// Turn: a lock for work that waits for the disk. Whoever waits for it waits on a WaitToken, so that in the
// simulation, where threads are fibers, the others go on (std::mutex is for short sections that never wait).
#pragma once

#include <mutex>
#include <utility>

#include "rustbd/io/wait.h"

namespace rustbd::txn {

/// A standard Lockable: use it with std::unique_lock and std::scoped_lock. Not fair. Threads: any.
class Turn {
 public:
  bool try_lock() {
    const std::lock_guard guard(mutex_);
    return !std::exchange(taken_, true);
  }

  void lock() {
    for (;;) {
      io::WaitToken free;
      {
        const std::lock_guard guard(mutex_);
        if (!std::exchange(taken_, true)) return;
        if (!freed_) freed_ = io::WaitToken::make(io::WaitReason::kTask);
        free = freed_;
      }
      free.wait_blocking();
    }
  }

  void unlock() {
    io::WaitToken free;
    {
      const std::lock_guard guard(mutex_);
      taken_ = false;
      free = std::exchange(freed_, {});
    }
    free.fire();
  }

 private:
  std::mutex mutex_;  // protects the others
  bool taken_ = false;
  io::WaitToken freed_;  // somebody waits for it
};

}  // namespace rustbd::txn
