// CTEs that are read once and may be inlined become subqueries where they are read (query.md §7).
#include <algorithm>

#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

namespace {

void find_scans(LogicalPtr& node, std::uint32_t cte, std::vector<LogicalPtr*>& out) {
  if (node->kind == LogicalKind::kCteScan && node->cte == cte) out.push_back(&node);
  for (auto& child : node->children) find_scans(child, cte, out);
}

bool has_side_effects(LogicalNode& root) {
  bool found = false;
  for_each_node(root, [&](LogicalNode& node) {
    found = found || node.kind == LogicalKind::kModify || node.kind == LogicalKind::kLockRows;
    for_each_expression(node, [&](ExpressionPtr& e) { found = found || expression::is_volatile(*e); });
  });
  return found;
}

}  // namespace

void inline_ctes(Planner& planner, LogicalPtr& node) {
  if (!planner.enabled(Rule::kInlineCte)) return;
  for (auto& child : node->children) inline_ctes(planner, child);
  if (node->kind != LogicalKind::kCteBind || node->materialized || has_side_effects(*node->children[0]))
    return;
  std::vector<LogicalPtr*> scans;
  find_scans(node->children[0], node->cte, scans);
  find_scans(node->children[1], node->cte, scans);
  if (scans.size() != 1) return;
  planner.note(Rule::kInlineCte);
  auto& scan = *scans[0];
  auto project = make_node(LogicalKind::kProject);
  for (std::size_t i = 0; i < scan->output.size(); ++i)
    project->computed.push_back({scan->output[i], planner.column(scan->cte_columns[i])});
  project->output = scan->output;
  project->children.push_back(std::move(node->children[0]));
  scan = std::move(project);
  node = std::move(LogicalPtr{std::move(node->children[1])});
}

}  // namespace rustbd::optimizer
