// The state of planning one statement, handed from pass to pass. Internal to this folder.
#pragma once

#include <string>
#include <unordered_set>

#include "rustbd/optimizer/optimizer.h"
#include "rustbd/optimizer/tree.h"

namespace rustbd::optimizer {

/// A rewrite that `rustbd.disabled_rules` can switch off; EXPLAIN (RULES) names those that fired.
enum class Rule : std::uint8_t {
  kFoldConstants,
  kSimplifyPredicates,
  kUnnest,
  kOuterToInner,
  kTransitiveEquality,
  kFilterPushDown,
  kJoinElimination,
  kMinMaxIndex,
  kJoinOrder,
  kInlineCte,
  kIndexScan,
  kIndexJoin,
  kIndexOrder,
  kTopN,
  kEmptyInput,
  kCount,
};
std::string_view name_of(Rule rule);

struct Settings {
  bool seqscan = true, indexscan = true, hashjoin = true, nestloop = true, hashagg = true, sort = true;
};

struct Planner {
  Planner(plan::LogicalPlan& logical, const OptimizeInput& in);
  plan::LogicalPlan& plan;
  const OptimizeInput& input;
  plan::ColumnTable& columns;
  Settings settings;
  std::uint32_t next_parameter;  // the next binding's number
  std::uint64_t plans_considered = 0;
  bool may_restart = false;               // ExecutionPlan::may_restart
  std::uint32_t disabled = 0, fired = 0;  // bits by Rule

  [[nodiscard]] bool enabled(Rule rule) const { return (disabled >> static_cast<unsigned>(rule) & 1) == 0; }
  void note(Rule rule) { fired |= 1u << static_cast<unsigned>(rule); }
  ColumnId add_column(std::string name, const TypeRef& type, std::string qualifier = {}) {
    plan::ColumnInfo info;
    info.name = std::move(name);
    info.qualifier = std::move(qualifier);
    info.type = type;
    return columns.add(std::move(info));
  }
  [[nodiscard]] ExpressionPtr column(ColumnId id) const {
    return expression::make_column(id, columns[id].type);
  }
};

// Passes, in order. Each keeps `output` of every node up to date.
void fold_constants(Planner& planner, LogicalNode& root);  // fold.cc
void fold_expression(Planner& planner, ExpressionPtr& e);
void remove_subqueries(Planner& planner);                            // subquery.cc: kSubquery -> joins
void unnest_joins(Planner& planner, LogicalPtr& root);               // unnest.cc: dependent joins -> joins
void simplify_predicates(Planner& planner, LogicalNode& root);       // simplify.cc
void inline_ctes(Planner& planner, LogicalPtr& root);                // cte.cc
void use_min_max_order(Planner& planner, LogicalNode& node);         // index_order.cc
void push_filters(Planner& planner, LogicalPtr& root);               // push_down.cc
plan::PlanNodePtr make_physical(Planner& planner, LogicalPtr root);  // lower.cc

}  // namespace rustbd::optimizer
