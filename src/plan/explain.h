// EXPLAIN: an execution plan as PostgreSQL prints it (interfaces.md §9).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rustbd/plan/physical.h"

namespace rustbd::plan {

enum class ExplainFormat : std::uint8_t { kText, kJson };
struct ExplainOptions {
  bool analyze = false, verbose = false, costs = true, buffers = false, timing = true, summary = false,
       settings = false, wal = false;
  ExplainFormat format = ExplainFormat::kText;
};
/// What a run measured per node (index = PlanNode::id).
struct NodeActuals {
  std::uint64_t rows = 0, loops = 0, filtered = 0;
  double first_ms = 0, total_ms = 0;
  std::uint64_t memory_bytes = 0;
};
/// Lines of the text form, or one JSON document. `actuals` empty: without ANALYZE.
std::vector<std::string> explain(const ExecutionPlan& plan, const ExplainOptions& options,
                                 std::span<const NodeActuals> actuals, double planning_ms,
                                 double execution_ms);

}  // namespace rustbd::plan
