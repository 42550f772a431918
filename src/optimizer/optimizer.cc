#include "rustbd/optimizer/optimizer.h"

#include <algorithm>

#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

namespace {

constexpr std::string_view kRuleNames[] = {
    "fold_constants",   "simplify_predicates", "unnest",        "outer_to_inner", "transitive_equality",
    "filter_push_down", "join_elimination",    "min_max_index", "join_order",     "inline_cte",
    "index_scan",       "index_join",          "index_order",   "top_n",          "empty_input"};
static_assert(std::size(kRuleNames) == static_cast<std::size_t>(Rule::kCount));

std::uint32_t read_disabled_rules(const OptimizeInput& input) {
  std::uint32_t bits = 0;
  if (!input.setting) return bits;
  const auto text = input.setting("rustbd.disabled_rules");
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find(',', at);
    if (end == std::string::npos) end = text.size();
    std::string_view name{text.data() + at, end - at};
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    for (std::size_t i = 0; i < std::size(kRuleNames); ++i)
      if (name == kRuleNames[i]) bits |= 1u << i;
    at = end + 1;
  }
  return bits;
}

Settings read_settings(const OptimizeInput& input) {
  Settings s;
  if (!input.setting) return s;
  const auto read = [&](std::string_view name, bool& to) {
    const auto text = input.setting(name);
    if (text == "off" || text == "false" || text == "0" || text == "no") to = false;
  };
  read("enable_seqscan", s.seqscan);
  read("enable_indexscan", s.indexscan);
  read("enable_hashjoin", s.hashjoin);
  read("enable_nestloop", s.nestloop);
  read("enable_hashagg", s.hashagg);
  read("enable_sort", s.sort);
  return s;
}

bool has_dependent_join(const LogicalNode& node) {
  return node.kind == LogicalKind::kDependentJoin ||
         std::ranges::any_of(node.children, [](const auto& child) { return has_dependent_join(*child); });
}

void number_nodes(plan::PlanNode& node, std::uint32_t& next) {
  node.id = next++;
  for (auto& child : node.children) number_nodes(*child, next);
}

}  // namespace

std::string_view name_of(Rule rule) { return kRuleNames[static_cast<std::size_t>(rule)]; }

Planner::Planner(plan::LogicalPlan& logical, const OptimizeInput& in)
    : plan(logical),
      input(in),
      columns(logical.columns),
      settings(read_settings(in)),
      next_parameter(static_cast<std::uint32_t>(logical.parameters.size())),
      disabled(read_disabled_rules(in)) {}

std::shared_ptr<const plan::ExecutionPlan> optimize(std::unique_ptr<plan::LogicalPlan> logical,
                                                    const OptimizeInput& input) {
  auto out = std::make_shared<plan::ExecutionPlan>();
  Planner planner{*logical, input};
  remove_subqueries(planner);
  inline_ctes(planner, logical->root);
  fold_constants(planner, *logical->root);
  simplify_predicates(planner, *logical->root);
  use_min_max_order(planner, *logical->root);
  push_filters(planner, logical->root);
  if (has_dependent_join(*logical->root)) {
    unnest_joins(planner, logical->root);
    push_filters(planner, logical->root);  // what was pulled up may go down again, on either side
  }
  out->root = make_physical(planner, std::move(logical->root));
  number_nodes(*out->root, out->node_count);
  out->estimated_cost = out->root->total_cost;
  out->estimated_rows = out->root->estimated_rows;
  out->columns = std::move(logical->columns);
  out->result = std::move(logical->result);
  out->parameters = std::move(logical->parameters);
  out->parameter_slots = planner.next_parameter;
  out->tag = logical->tag;
  out->read_only = logical->read_only;
  out->may_restart = planner.may_restart;
  out->of_one_moment = logical->of_one_moment;
  out->dependencies = std::move(logical->dependencies);
  out->privileges = std::move(logical->privileges);
  out->arena = logical->arena;
  out->statistics.plans_considered = planner.plans_considered;
  for (std::size_t i = 0; i < std::size(kRuleNames); ++i)
    if (planner.fired >> i & 1) out->statistics.rules_fired.emplace_back(kRuleNames[i]);
  return out;
}

}  // namespace rustbd::optimizer
