// What EXPLAIN shows of a plan, before it is text or JSON. Internal to this folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rustbd/plan/explain.h"

namespace rustbd::plan {

/// One line with its properties. Plan nodes that PostgreSQL doesn't have (projections, filters over scans)
/// melt into the node below them. Costs are in PostgreSQL's unit (ns / 10,000), times in ms per loop.
struct ExplainEntry {
  std::string label;  // "CTE x", "InitPlan 1 (returns $0)": a line of its own above
  std::string title;  // "Hash Left Join", "Seq Scan on t a"
  std::vector<std::pair<std::string, std::string>> properties;  // "Filter" -> "(a > 1)"
  std::vector<std::pair<std::string, std::string>> attributes;  // JSON only: "Node Type" -> "Hash Join"
  std::vector<ExplainEntry> children;
  bool has_costs = false, has_actuals = false, has_timing = false, never_executed = false;
  double startup_cost = 0, total_cost = 0, rows = 0;
  std::uint32_t width = 0;
  double first_ms = 0, total_ms = 0, actual_rows = 0;
  std::uint64_t loops = 0;
};

ExplainEntry make_explain_tree(const ExecutionPlan& plan, const ExplainOptions& options,
                               std::span<const NodeActuals> actuals);

}  // namespace rustbd::plan
