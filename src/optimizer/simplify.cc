// Conditions in simpler words (query.md §7, rule 2): NOT moves inwards, common parts of ORs come out, IN
// lists lose repeats, x = 1 AND x = 2 is FALSE, and a constant that one column equals holds for the columns
// equal to it. All of it is for conditions, where NULL and FALSE are the same.
#include <algorithm>

#include "rustbd/optimizer/planner.h"
#include "rustbd/types/compare.h"

namespace rustbd::optimizer {

namespace oid = types::oid;

namespace {

bool same_type(const TypeRef& a, const TypeRef& b) {
  return a.oid == b.oid && a.phys == b.phys && a.scale == b.scale;
}

bool is_equality_with_constant(const Expression& e) {
  return comparison_of(e) == Comparison::kEqual && e.args[0]->kind == Kind::kColumn &&
         e.args[1]->kind == Kind::kConstant && !e.args[1]->is_null &&
         same_type(e.args[0]->type, e.args[1]->type);
}

/// NOT of what can be said without it. Exact in three-valued logic.
void push_not(ExpressionPtr& e) {
  if (e->kind != Kind::kNot) return;
  auto& inner = e->args[0];
  switch (inner->kind) {
    case Kind::kNot: e = std::move(ExpressionPtr{std::move(inner->args[0])}); return;
    case Kind::kIsNull:
    case Kind::kIsNotNull: {
      auto out = std::move(inner);
      out->kind = out->kind == Kind::kIsNull ? Kind::kIsNotNull : Kind::kIsNull;
      e = std::move(out);
      return;
    }
    case Kind::kAnd:
    case Kind::kOr: {
      auto out = std::move(inner);
      out->kind = out->kind == Kind::kAnd ? Kind::kOr : Kind::kAnd;
      for (auto& a : out->args) {
        a = make_not(std::move(a));
        push_not(a);
      }
      e = std::move(out);
      return;
    }
    case Kind::kInList: {
      auto out = std::move(inner);
      out->negated = !out->negated;
      e = std::move(out);
      return;
    }
    default: return;
  }
}

void drop_repeats(Expression& list) {
  std::vector<ExpressionPtr> kept;
  for (std::size_t i = 1; i < list.args.size(); ++i) {
    const bool repeated =
        std::ranges::any_of(kept, [&](const auto& k) { return expression::same(*k, *list.args[i]); });
    if (!repeated) kept.push_back(std::move(list.args[i]));
  }
  list.args.resize(1);
  for (auto& k : kept) list.args.push_back(std::move(k));
}

/// (a AND b) OR (a AND c) = a AND (b OR c).
void factor(ExpressionPtr& e) {
  if (e->kind != Kind::kOr) return;
  std::vector<Conjuncts> branches(e->args.size());
  for (std::size_t i = 0; i < e->args.size(); ++i)
    expression::split_conjuncts(e->args[i]->clone(), branches[i]);
  Conjuncts common_part;
  for (const auto& candidate : branches[0]) {
    const bool everywhere =
        !expression::is_volatile(*candidate) && std::ranges::all_of(branches, [&](const auto& branch) {
          return std::ranges::any_of(branch, [&](const auto& x) { return expression::same(*x, *candidate); });
        });
    if (everywhere) common_part.push_back(candidate->clone());
  }
  if (common_part.empty()) return;
  std::vector<ExpressionPtr> rest;
  bool decided = false;  // a branch that is nothing but the common part
  for (auto& branch : branches) {
    std::erase_if(branch, [&](const auto& x) {
      return std::ranges::any_of(common_part, [&](const auto& c) { return expression::same(*x, *c); });
    });
    decided = decided || branch.empty();
    if (!branch.empty()) rest.push_back(expression::make_and(std::move(branch)));
  }
  if (!decided) common_part.push_back(expression::make_or(std::move(rest)));
  e = expression::make_and(std::move(common_part));
}

class Simplifier {
 public:
  explicit Simplifier(Planner& planner) : planner_(planner) {}

  void run(LogicalNode& node) {
    for (auto& child : node.children) run(*child);
    const bool filters = node.kind == LogicalKind::kFilter || node.kind == LogicalKind::kJoin ||
                         node.kind == LogicalKind::kDependentJoin;
    if (!filters || node.condition == nullptr || node.join == JoinType::kMark) return;
    expression::rewrite(node.condition, [](ExpressionPtr& e) {
      push_not(e);
      if (e->kind == Kind::kInList) drop_repeats(*e);
      factor(e);
    });
    Conjuncts conjuncts;
    split(std::move(node.condition), conjuncts);
    drop_same(conjuncts);
    if (contradicts(conjuncts)) {
      conjuncts.clear();
      conjuncts.push_back(expression::make_bool(false));
    }
    const bool spreads = node.kind == LogicalKind::kFilter || node.join == JoinType::kInner;
    if (spreads && planner_.enabled(Rule::kTransitiveEquality)) spread_constants(conjuncts);
    if (node.kind == LogicalKind::kFilter && conjuncts.empty())
      conjuncts.push_back(expression::make_bool(true));
    node.condition = conjuncts.empty() ? nullptr : expression::make_and(std::move(conjuncts));
  }

 private:
  static void drop_same(Conjuncts& conjuncts) {
    Conjuncts kept;
    for (auto& e : conjuncts) {
      const bool repeated =
          std::ranges::any_of(kept, [&](const auto& k) { return expression::same(*k, *e); });
      if (!repeated || expression::is_volatile(*e)) kept.push_back(std::move(e));
    }
    conjuncts = std::move(kept);
  }
  static bool contradicts(const Conjuncts& conjuncts) {
    for (std::size_t i = 0; i < conjuncts.size(); ++i) {
      if (is_false(*conjuncts[i])) return true;
      if (!is_equality_with_constant(*conjuncts[i])) continue;
      const auto& a = *conjuncts[i];
      for (std::size_t j = 0; j < i; ++j) {
        const auto& b = *conjuncts[j];
        if (!is_equality_with_constant(b) || a.args[0]->column != b.args[0]->column) continue;
        if (same_type(a.args[1]->type, b.args[1]->type) &&
            !types::equal(a.args[1]->value, b.args[1]->value, a.args[1]->type))
          return true;
      }
    }
    return false;
  }
  /// x = y AND x = 5: y = 5 too.
  void spread_constants(Conjuncts& conjuncts) {
    for (std::size_t i = 0; i < conjuncts.size(); ++i) {
      const auto& link = *conjuncts[i];
      if (comparison_of(link) != Comparison::kEqual || link.args[0]->kind != Kind::kColumn ||
          link.args[1]->kind != Kind::kColumn || !same_type(link.args[0]->type, link.args[1]->type))
        continue;
      for (std::size_t j = 0, n = conjuncts.size(); j < n; ++j) {
        if (!is_equality_with_constant(*conjuncts[j])) continue;
        const auto from = conjuncts[j]->args[0]->column;
        const auto a = conjuncts[i]->args[0]->column, b = conjuncts[i]->args[1]->column;
        if (from != a && from != b) continue;
        auto derived = conjuncts[j]->clone();
        derived->args[0]->column = from == a ? b : a;
        const bool known =
            std::ranges::any_of(conjuncts, [&](const auto& e) { return expression::same(*e, *derived); });
        if (known) continue;
        planner_.note(Rule::kTransitiveEquality);
        conjuncts.push_back(std::move(derived));
      }
    }
  }
  Planner& planner_;
};

}  // namespace

void simplify_predicates(Planner& planner, LogicalNode& root) {
  if (planner.enabled(Rule::kSimplifyPredicates)) Simplifier{planner}.run(root);
}

}  // namespace rustbd::optimizer
