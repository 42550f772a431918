// A prepared statement's plan with what its executions share, and the place where sessions find each other's
// plans: an application's sessions prepare the same texts.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "rustbd/engine/result_sink.h"
#include "rustbd/exec/query_run.h"
#include "rustbd/txn/locks.h"

namespace rustbd::engine {

class StatementAccess;

/// A run that ended and can begin again (exec::QueryRun::rest), with the accesses that its stages hold.
struct IdleRun {
  IdleRun();
  IdleRun(std::unique_ptr<StatementAccess> its_access, std::unique_ptr<exec::QueryRun> its_run);
  IdleRun(IdleRun&&) noexcept;
  IdleRun& operator=(IdleRun&&) noexcept;
  ~IdleRun();
  std::unique_ptr<StatementAccess> access;  // outlives the run
  std::unique_ptr<exec::QueryRun> run;      // nullptr: there is none
};

/// Idle runs of one plan. Each thread has its own few, last in first out: what it runs next is what its cache
/// has. Threads: any.
class IdleRuns {
 public:
  /// Without a run: there is none for this thread and this version of the catalog.
  [[nodiscard]] IdleRun take(std::uint64_t catalog_version);
  void keep(IdleRun idle);

 private:
  static constexpr std::size_t kThreads = 8, kKept = 4;
  struct alignas(64) Slot {
    std::mutex mutex;  // protects the others; contended only where threads share a slot
    std::size_t count = 0;
    std::array<IdleRun, kKept> runs;
  };
  Slot& slot();
  std::array<Slot, kThreads> slots_;
};

using TableLocks = std::vector<std::pair<Oid, txn::TableLockMode>>;

struct PreparedPlan {
  std::shared_ptr<const plan::ExecutionPlan> plan;
  std::vector<types::TypeRef> parameters;  // complete
  std::vector<ResultColumn> columns;
  TableLocks locks;  // in the order of taking
  /// Tables and the rows that they had when the plan was made: it is good for others while these are about
  /// right.
  std::vector<std::pair<std::shared_ptr<const storage::TableLayout>, double>> sizes;
  IdleRuns idle;
};

/// Plans that some session's prepared statement holds. Threads: any.
class PlanCache {
 public:
  /// `key`: all that the plan depends on. nullptr: nobody has one.
  std::shared_ptr<PreparedPlan> find(const std::string& key);
  void add(std::string key, const std::shared_ptr<PreparedPlan>& plan);

 private:
  std::mutex mutex_;  // protects plans_; held for look-ups only
  std::unordered_map<std::string, std::weak_ptr<PreparedPlan>> plans_;
  std::size_t sweep_at_ = 64;  // plans_ is cleared of the dead when it has this many
};

}  // namespace rustbd::engine
