#include "rustbd/storage/pages/epoch.h"

#include <algorithm>
#include <vector>

namespace rustbd::storage {

Epochs::Epochs() : slots_(std::make_unique<Slot[]>(kThreadSlots)) {}

Epochs::~Epochs() {
  while (!retired_.empty()) {
    auto reclaim = std::move(retired_.front().reclaim);
    retired_.pop_front();
    reclaim();
  }
}

std::uint64_t Epochs::oldest_pinned() const {
  std::uint64_t oldest = current_.load(std::memory_order_seq_cst);
  const std::uint32_t bound = thread_slot_bound();
  for (std::uint32_t slot = 1; slot < bound; ++slot) {
    oldest = std::min(oldest, slots_[slot].pinned.load(std::memory_order_seq_cst));
  }
  return oldest;
}

void Epochs::retire(std::move_only_function<void()> reclaim) {
  const std::lock_guard lock(mutex_);
  retired_.push_back({retire_stamp(), std::move(reclaim)});
}

std::size_t Epochs::collect(std::size_t limit) {
  std::vector<std::move_only_function<void()>> due;
  {
    const std::lock_guard lock(mutex_);
    if (retired_.empty()) return 0;
    const std::uint64_t oldest = oldest_pinned();
    while (due.size() < limit && !retired_.empty() && retired_.front().stamp < oldest) {
      due.push_back(std::move(retired_.front().reclaim));
      retired_.pop_front();
    }
  }
  for (auto& reclaim : due) reclaim();
  return due.size();
}

}  // namespace rustbd::storage
