// What all stages of one run share: the plan, parameters, memory, CTEs and statistics. Made and owned by the
// QueryRun.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "rustbd/exec/query_run.h"

namespace rustbd::exec {

using plan::ColumnId;
using types::Chunk;
using types::ChunkBuffer;
using types::Datum;
using types::Selection;
using types::TypeRef;
using types::Value;
using types::Vector;
using types::VectorBuffer;

/// Bytes that the operators of a query keep. Threads: any. Over the limit: 53200.
class MemoryTracker {
 public:
  explicit MemoryTracker(std::uint64_t limit) : limit_(limit) {}
  void set_limit(std::uint64_t limit) { limit_ = limit; }
  void charge(std::int64_t bytes);
  [[nodiscard]] std::uint64_t used() const {
    return static_cast<std::uint64_t>(used_.load(std::memory_order_relaxed));
  }

 private:
  std::uint64_t limit_;
  std::atomic<std::int64_t> used_{0};
};

class CteState;   // cte.h
class WorkTable;  // cte.h

struct RunState {
  RunState(std::shared_ptr<const plan::ExecutionPlan> execution_plan, const QueryContext& query_context);
  /// Context and parameters of an execution.
  void begin(const QueryContext& query_context);

  const std::shared_ptr<const plan::ExecutionPlan> plan;
  QueryContext context;  // of the present execution
  MemoryTracker memory;
  std::vector<Value> parameters;  // statement parameters, then the slots that kApply binds
  std::unordered_map<std::uint32_t, std::shared_ptr<CteState>> ctes;
  std::unordered_map<std::uint32_t, std::shared_ptr<WorkTable>> work_tables;
  std::uint64_t quota = UINT64_MAX;  // rows that the caller of the final pipeline still takes
  std::uint64_t affected = 0;
  std::uint32_t changes = 0;               // INSERTs, UPDATEs and DELETEs of the plan
  std::uint32_t changes_ended = 0;         // ... that have written all their rows
  std::mutex statistics_mutex;             // protects statistics while workers run
  std::vector<NodeStatistics> statistics;  // index: PlanNode::id; times in ticks until the end
  std::uint64_t start_ticks = 0;
  std::int64_t start_us = 0;

  [[nodiscard]] const TypeRef& type_of(ColumnId id) const { return plan->columns[id].type; }
  [[nodiscard]] std::uint32_t chunk_rows() const { return context.chunk_rows; }
};

/// A time stamp for statistics; its unit is found at the end against the clock.
std::uint64_t read_ticks();

/// What one worker has while it runs one pipeline.
struct TaskContext {
  explicit TaskContext(RunState& run_state);
  ~TaskContext();
  /// What `run` has at the start of a passage.
  void begin();
  RunState& run;
  Arena arena;  // lives as long as the task
  expression::RunContext expressions;
  std::vector<NodeStatistics> statistics;  // only with collect_statistics
  NodeStatistics* of(std::uint32_t node) { return statistics.empty() ? nullptr : &statistics[node]; }
  void count_filtered(std::uint32_t node, std::uint64_t rows) {
    if (!statistics.empty()) statistics[node].filtered += rows;
  }
  void check_cancel() const {
    if (run.context.cancel != nullptr) run.context.cancel->check();
  }
  /// For kernels called directly.
  [[nodiscard]] functions::EvalContext eval_context(Arena& memory) const;
};

}  // namespace rustbd::exec
