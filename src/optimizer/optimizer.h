// Logical plan -> execution plan: rules, join order, access paths, costs (query.md §7-§8).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rustbd/catalog/snapshot.h"
#include "rustbd/plan/logical.h"
#include "rustbd/plan/physical.h"

namespace rustbd::optimizer {

struct TableSize {
  double rows = 1000;
  double pages = 10;
};

/// What planning depends on. All outlives the call.
struct OptimizeInput {
  const catalog::CatalogSnapshot* catalog = nullptr;
  functions::StatementContext* statement =
      nullptr;                                 // to fold stable and immutable calls; nullptr: fold nothing
  std::span<const types::Value> parameters{};  // known values for a custom plan; empty: a generic one
  /// Live size from storage; the statistics' proportions are scaled to it.
  std::function<TableSize(const catalog::Relation&)> table_size;
  /// enable_seqscan and its kin, rustbd.disabled_rules, ...; empty result: unset.
  std::function<std::string(std::string_view)> setting;
};

/// Never fails a valid query for lack of time: falls back to greedy orders and kApply. Throws Error (0A000)
/// only for what can't run at all.
std::shared_ptr<const plan::ExecutionPlan> optimize(std::unique_ptr<plan::LogicalPlan> logical,
                                                    const OptimizeInput& input);

}  // namespace rustbd::optimizer
