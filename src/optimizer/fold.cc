// Constant folding: a call of constants becomes its value; one that fails stays as it is and fails when it
// runs.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/expression/evaluator.h"
#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

namespace {

bool is_constant_node(const Expression& e) { return e.kind == Kind::kConstant; }

/// The node itself may be computed now, given that its arguments are constants.
bool is_foldable(const Expression& e) {
  switch (e.kind) {
    case Kind::kConstant:
    case Kind::kParameter:
    case Kind::kColumn:
    case Kind::kSubquery:
    case Kind::kAggregate:
    case Kind::kWindow:
    case Kind::kRow: return false;
    default:
      return !e.args.empty() &&
             std::ranges::all_of(e.args, [](const auto& a) { return is_constant_node(*a); }) &&
             expression::is_immutable(e);
  }
}

void fold_logic(ExpressionPtr& e) {
  const bool is_and = e->kind == Kind::kAnd;
  const auto neutral = [&](const ExpressionPtr& a) {
    return a->kind == Kind::kConstant && !a->is_null && a->value.boolean == is_and;
  };
  const auto decides = [&](const ExpressionPtr& a) {
    return a->kind == Kind::kConstant && !a->is_null && a->value.boolean != is_and;
  };
  if (std::ranges::any_of(e->args, decides)) {
    e = expression::make_bool(!is_and);
    return;
  }
  std::erase_if(e->args, neutral);
  if (e->args.empty()) e = expression::make_bool(is_and);
  else if (e->args.size() == 1) e = std::move(ExpressionPtr{std::move(e->args[0])});
}

/// Branches that constants decide.
void fold_case(ExpressionPtr& e) {
  auto& args = e->args;
  for (std::size_t i = 0; i + 1 < args.size();) {
    if (is_false(*args[i])) {
      args.erase(args.begin() + static_cast<std::ptrdiff_t>(i),
                 args.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    } else if (is_true(*args[i])) {
      args.erase(args.begin() + static_cast<std::ptrdiff_t>(i));
      args.resize(i + 1);
    } else {
      i += 2;
    }
  }
  if (args.size() == 1) e = std::move(ExpressionPtr{std::move(args[0])});
}

void fold_coalesce(ExpressionPtr& e) {
  auto& args = e->args;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i]->kind != Kind::kConstant) continue;
    if (!args[i]->is_null) {
      args.resize(i + 1);
      break;
    }
    if (args.size() > 1) args.erase(args.begin() + static_cast<std::ptrdiff_t>(i--));
  }
  if (args.size() == 1 && args[0]->type == e->type) e = std::move(ExpressionPtr{std::move(args[0])});
}

void fold_node(Planner& planner, ExpressionPtr& e) {
  if (e->kind == Kind::kAnd || e->kind == Kind::kOr) return fold_logic(e);
  if (e->kind == Kind::kCase) return fold_case(e);
  if (e->kind == Kind::kCoalesce) return fold_coalesce(e);
  if (!is_foldable(*e)) return;
  try {
    const expression::RunContext run{planner.input.statement, nullptr, {}, nullptr};
    auto value = expression::evaluate_constant(*e, run, *planner.plan.arena);
    e = expression::make_constant(value, e->location);
  } catch (const Error&) {
    return;  // raised when and if a row gets there
  }
  planner.note(Rule::kFoldConstants);
}

}  // namespace

void fold_expression(Planner& planner, ExpressionPtr& e) {
  if (e->args.empty() && e->filter == nullptr && e->order_by.empty()) return;
  for (auto& a : e->args) fold_expression(planner, a);
  if (e->filter) fold_expression(planner, e->filter);
  for (auto& k : e->order_by) fold_expression(planner, k.expression);
  fold_node(planner, e);
}

void fold_constants(Planner& planner, LogicalNode& root) {
  if (planner.input.statement == nullptr || !planner.enabled(Rule::kFoldConstants)) return;
  for_each_node(root, [&](LogicalNode& node) {
    for_each_expression(node, [&](ExpressionPtr& e) { fold_expression(planner, e); });
  });
}

}  // namespace rustbd::optimizer
