#include "rustbd/storage/pages/checkpoint_requests.h"

#include <utility>

namespace rustbd::storage {

void CheckpointRequests::add(CheckpointTrigger trigger, std::shared_ptr<Waiter> waiter) {
  io::WaitToken wake;
  io::WaitToken refused;
  {
    const std::lock_guard lock(mutex_);
    const bool automatic = trigger == CheckpointTrigger::kSpace || trigger == CheckpointTrigger::kTime;
    if (stopped_) {
      if (waiter) {
        waiter->result.why = "the storage is closed";
        refused = waiter->done;
      }
    } else if (!automatic || automatic_) {
      automatic_ = true;
      if (!wanted_) batch_.trigger = trigger;
      wanted_ = true;
      if (waiter) batch_.waiters.push_back(std::move(waiter));
      wake = std::exchange(wake_, {});
    }
  }
  wake.fire();
  refused.fire();
}

void CheckpointRequests::request(CheckpointTrigger trigger) { add(trigger, nullptr); }

CheckpointResult CheckpointRequests::request_and_wait(CheckpointTrigger trigger, io::Executor& executor) {
  auto waiter = std::make_shared<Waiter>();
  waiter->done = io::WaitToken::make(io::WaitReason::kTask);
  add(trigger, waiter);
  executor.block_on(waiter->done);
  return waiter->result;
}

void CheckpointRequests::time_passed(std::uint64_t finished) {
  {
    const std::lock_guard lock(mutex_);
    if (finished_ != finished) return;
  }
  add(CheckpointTrigger::kTime, nullptr);
}

CheckpointRequests::Batch CheckpointRequests::next(io::Executor& executor) {
  for (;;) {
    io::WaitToken wake;
    {
      const std::lock_guard lock(mutex_);
      if (wanted_) {
        wanted_ = false;
        return std::exchange(batch_, {});
      }
      if (stopped_) return {.stop = true};
      wake = wake_ = io::WaitToken::make(io::WaitReason::kTask);
    }
    executor.block_on(wake);
  }
}

void CheckpointRequests::finish(Batch batch, const CheckpointResult& result) {
  {
    const std::lock_guard lock(mutex_);
    ++finished_;
  }
  for (const auto& waiter : batch.waiters) {
    waiter->result = result;
    waiter->done.fire();
  }
}

std::uint64_t CheckpointRequests::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

void CheckpointRequests::stop() {
  io::WaitToken wake;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    wake = std::exchange(wake_, {});
  }
  wake.fire();
}

}  // namespace rustbd::storage
