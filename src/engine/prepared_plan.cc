#include "rustbd/engine/prepared_plan.h"

#include <algorithm>
#include <atomic>

namespace rustbd::engine {

IdleRuns::Slot& IdleRuns::slot() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kThreads;
  return slots_[mine];
}

std::unique_ptr<exec::QueryRun> IdleRuns::take() {
  Slot& s = slot();
  const std::scoped_lock lock(s.mutex);
  return s.count == 0 ? nullptr : std::move(s.runs[--s.count]);
}

void IdleRuns::keep(std::unique_ptr<exec::QueryRun> run) {
  Slot& s = slot();
  const std::scoped_lock lock(s.mutex);
  if (s.count < kKept) s.runs[s.count++] = std::move(run);
}

std::shared_ptr<PreparedPlan> PlanCache::find(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto it = plans_.find(key);
  return it == plans_.end() ? nullptr : it->second.lock();
}

void PlanCache::add(std::string key, const std::shared_ptr<PreparedPlan>& plan) {
  const std::scoped_lock lock(mutex_);
  plans_[std::move(key)] = plan;
  if (plans_.size() < sweep_at_) return;
  std::erase_if(plans_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<std::size_t>(64, 2 * plans_.size());
}

}  // namespace rustbd::engine
