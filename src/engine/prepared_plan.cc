#include "rustbd/engine/prepared_plan.h"

#include <algorithm>
#include <atomic>

#include "rustbd/engine/access/statement_access.h"

namespace rustbd::engine {

IdleRun::IdleRun() = default;
IdleRun::IdleRun(std::unique_ptr<StatementAccess> its_access, std::unique_ptr<exec::QueryRun> its_run)
    : access(std::move(its_access)), run(std::move(its_run)) {}
IdleRun::IdleRun(IdleRun&&) noexcept = default;
IdleRun& IdleRun::operator=(IdleRun&& from) noexcept {
  run = std::move(from.run);  // before the access that it holds
  access = std::move(from.access);
  return *this;
}
IdleRun::~IdleRun() = default;

IdleRuns::Slot& IdleRuns::slot() {
  static std::atomic<std::size_t> threads{0};
  thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed) % kThreads;
  return slots_[mine];
}

IdleRun IdleRuns::take(std::uint64_t catalog_version) {
  Slot& s = slot();
  IdleRun taken;
  {
    const std::scoped_lock lock(s.mutex);
    if (s.count > 0) taken = std::move(s.runs[--s.count]);
  }
  return taken.run != nullptr && taken.access->catalog_version() == catalog_version ? std::move(taken)
                                                                                    : IdleRun{};
}

void IdleRuns::keep(IdleRun idle) {
  Slot& s = slot();
  const std::scoped_lock lock(s.mutex);
  if (s.count < kKept) s.runs[s.count++] = std::move(idle);
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
