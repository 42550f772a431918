#include "rustbd/optimizer/cost.h"

#include <algorithm>
#include <cmath>

namespace rustbd::optimizer {

using plan::NodeKind;
using plan::PlanNode;

namespace {

double guess_selectivity(const Expression& e) {
  switch (e.kind) {
    case Kind::kAnd: {
      double s = 1;
      for (const auto& a : e.args) s *= guess_selectivity(*a);
      return s;
    }
    case Kind::kOr: {
      double no = 1;
      for (const auto& a : e.args) no *= 1 - guess_selectivity(*a);
      return 1 - no;
    }
    case Kind::kNot: return 1 - guess_selectivity(*e.args[0]);
    case Kind::kIsNull: return 0.005;
    case Kind::kIsNotNull: return 0.995;
    case Kind::kInList: return std::min(1.0, 0.005 * static_cast<double>(e.args.size() - 1));
    default: break;
  }
  switch (comparison_of(e)) {
    case Comparison::kEqual: return 0.005;
    case Comparison::kNotEqual: return 0.995;
    case Comparison::kNone: return 0.3333;
    default: return 0.3333;
  }
}

}  // namespace

void estimate(Planner& planner, PlanNode& node) {
  double rows = 1, cost = 0;
  for (const auto& child : node.children) cost += child->total_cost;
  const double input = node.children.empty() ? 1 : node.children[0]->estimated_rows;
  switch (node.kind) {
    case NodeKind::kTableScan: case NodeKind::kIndexScan: case NodeKind::kIndexOnlyScan: {
      const auto size = planner.input.table_size ? planner.input.table_size(*node.relation) : TableSize{};
      rows = std::max(1.0, size.rows);
      if (node.kind == NodeKind::kTableScan) {
        cost = rows * (12 + 1.5 * static_cast<double>(node.columns.size()));
      } else {
        const bool unique = node.index->unique && node.range.equal.size() == node.index->columns.size();
        rows = unique ? 1 : std::max(1.0, rows * std::pow(0.05, static_cast<double>(node.range.equal.size())));
        if (node.range.lower != nullptr) rows *= 0.3333;
        if (node.range.upper != nullptr) rows *= 0.3333;
        cost = 450 + rows * 150;
      }
      if (node.filter) rows *= guess_selectivity(*node.filter);
      break;
    }
    case NodeKind::kValues: rows = static_cast<double>(node.rows.size()); break;
    case NodeKind::kFunctionScan: rows = 100; break;
    case NodeKind::kCteScan: case NodeKind::kWorkTableScan: rows = 100; break;
    case NodeKind::kFilter: rows = input * guess_selectivity(*node.filter); break;
    case NodeKind::kHashJoin: case NodeKind::kNestedLoopJoin: case NodeKind::kApply: case NodeKind::kIndexJoin: {
      const double right = node.children[1]->estimated_rows;
      const double keys = static_cast<double>(node.hash_keys.size());
      rows = input * right;
      if (keys > 0) rows /= std::max(1.0, std::max(input, right));
      if (node.condition) rows *= guess_selectivity(*node.condition);
      if (node.join == JoinType::kLeft || node.join == JoinType::kSingle) rows = std::max(rows, input);
      if (node.join == JoinType::kMark || node.join == JoinType::kSingle) rows = input;
      if (node.join == JoinType::kSemi || node.join == JoinType::kAnti) rows = input * 0.5;
      cost += keys > 0 ? right * 20 + input * 7 : right * 20 + input * right * 2;
      if (node.kind == NodeKind::kApply) cost = node.children[0]->total_cost + input * node.children[1]->total_cost;
      break;
    }
    case NodeKind::kAggregate: rows = node.groups.empty() ? 1 : std::max(1.0, input * 0.1); cost += input * 10; break;
    case NodeKind::kSort: case NodeKind::kTopN: case NodeKind::kWindow:
      rows = input;
      cost += 2.2 * input * std::log2(std::max(2.0, input));
      break;
    case NodeKind::kSetOperation: case NodeKind::kAppend: case NodeKind::kRecursiveUnion:
      rows = 0;
      for (const auto& child : node.children) rows += child->estimated_rows;
      break;
    case NodeKind::kCteBind: rows = node.children[1]->estimated_rows; break;
    default: rows = input; break;
  }
  node.estimated_rows = std::max(1.0, rows);
  node.total_cost = cost;
  node.estimated_width = static_cast<std::uint32_t>(8 * std::max<std::size_t>(1, node.output.size()));
}

}  // namespace rustbd::optimizer
