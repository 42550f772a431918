// Subqueries in expressions become joins: EXISTS a semi or anti join where it stands as a condition of its
// own and a mark join elsewhere, IN and ANY likewise, ALL by its negation, scalar ones a single join, ARRAY
// an aggregate under one (query.md §7, rule 3). What is correlated becomes a dependent join.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/optimizer/planner.h"
#include "rustbd/types/array.h"

namespace rustbd::optimizer {

namespace oid = types::oid;
using expression::SubqueryKind;

namespace {

class SubqueryRemover {
 public:
  explicit SubqueryRemover(Planner& planner) : planner_(planner) {}

  void run() {
    auto& subplans = planner_.plan.subplans;
    uses_.resize(subplans.size());
    count(*planner_.plan.root);
    for (auto& s : subplans) {
      if (s.root != nullptr) count(*s.root);
    }
    // Inner subqueries have lower numbers, so each is free of subqueries before it is put anywhere.
    for (auto& s : subplans)
      if (s.root != nullptr) remove(s.root);
    remove(planner_.plan.root);
  }

 private:
  struct Taken {
    LogicalPtr root;
    ColumnId value;
    ExpressionPtr comparison;
  };
  void count(const Expression& e) {
    expression::visit(e, [&](const Expression& x) {
      if (x.kind == Kind::kSubquery) ++uses_[x.subquery];
    });
  }
  void count(LogicalNode& root) {
    for_each_node(
        root, [&](LogicalNode& node) { for_each_expression(node, [&](ExpressionPtr& e) { count(*e); }); });
  }

  /// The plan of a subquery for one of its uses, and its comparison with the operands of that use.
  Taken take(const Expression& e) {
    auto& s = planner_.plan.subplans[e.subquery];
    Taken out = take_plan(e);
    if (out.comparison == nullptr) return out;
    expression::rewrite(out.comparison, [&](ExpressionPtr& x) {
      if (x->kind != Kind::kColumn) return;
      const auto at = std::ranges::find(s.operands, x->column) - s.operands.begin();
      if (at < std::ssize(s.operands)) x = e.args[static_cast<std::size_t>(at)]->clone();
    });
    return out;
  }
  Taken take_plan(const Expression& e) {
    auto& s = planner_.plan.subplans[e.subquery];
    Taken out{nullptr, s.value, nullptr};
    if (uses_[e.subquery] > 1) {
      --uses_[e.subquery];
      ColumnMap map;
      out.root = clone_tree(*s.root, planner_.columns, map);
      if (const auto it = map.find(s.value); it != map.end()) out.value = it->second;
      if (s.comparison != nullptr) {
        out.comparison = s.comparison->clone();
        rename_columns(out.comparison, map);
      }
      return out;
    }
    RUSTBD_STATEMENT_ASSERT(s.root != nullptr, "a subquery is used as often as it was counted");
    out.root = std::move(s.root);
    out.comparison = std::move(s.comparison);
    return out;
  }

  LogicalPtr join(LogicalPtr left, LogicalPtr right, JoinType type, ExpressionPtr condition) {
    auto node = make_node(LogicalKind::kDependentJoin);
    node->join = type;
    node->condition = std::move(condition);
    if (type == JoinType::kMark) node->mark = planner_.add_column("mark", types::make_type(oid::kBool));
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    set_output(*node);
    return node;
  }

  /// Whether there is a row does not depend on what it holds or on the order.
  void keep_existence_only(LogicalPtr& root) {
    for (;;) {
      const bool passes_rows = root->kind == LogicalKind::kProject || root->kind == LogicalKind::kSort ||
                               root->kind == LogicalKind::kDistinct;
      bool takes_one = false;
      if (root->kind == LogicalKind::kLimit && root->offset == nullptr && root->limit != nullptr &&
          planner_.input.statement != nullptr) {
        fold_expression(planner_, root->limit);
        takes_one =
            root->limit->kind == Kind::kConstant && !root->limit->is_null && root->limit->value.i64 >= 1;
      }
      if ((!passes_rows && !takes_one) || root->children.size() != 1) return;
      root = std::move(LogicalPtr{std::move(root->children[0])});
    }
  }

  /// Joins the subquery `e`, whose operands hold no subquery any more, to `child`; what stands for its value.
  ExpressionPtr attach(LogicalPtr& child, const Expression& e) {
    auto s = take(e);
    switch (e.subquery_kind) {
      case SubqueryKind::kExists:
        keep_existence_only(s.root);
        child = join(std::move(child), std::move(s.root), JoinType::kMark, nullptr);
        return planner_.column(child->mark);
      case SubqueryKind::kScalar:
        child = join(std::move(child), std::move(s.root), JoinType::kSingle, nullptr);
        return planner_.column(s.value);
      case SubqueryKind::kRow:
        child = join(std::move(child), std::move(s.root), JoinType::kSingle, nullptr);
        return std::move(s.comparison);
      case SubqueryKind::kAny:
        child = join(std::move(child), std::move(s.root), JoinType::kMark, std::move(s.comparison));
        return planner_.column(child->mark);
      case SubqueryKind::kAll: {
        child = join(std::move(child), std::move(s.root), JoinType::kMark, make_not(std::move(s.comparison)));
        return make_not(planner_.column(child->mark));
      }
      case SubqueryKind::kArray: {
        const auto value = add_array(s.root, s.value, e.type);
        child = join(std::move(child), std::move(s.root), JoinType::kSingle, nullptr);
        return planner_.column(value);
      }
    }
    RUSTBD_STATEMENT_UNREACHABLE("subquery kind");
  }

  /// ARRAY(query): array_agg in the query's order; no rows give the empty array.
  ColumnId add_array(LogicalPtr& root, ColumnId value, const TypeRef& array_type) {
    const auto type = planner_.columns[value].type;
    const bool of_arrays = types::element_type_of(type.oid) != 0;
    const functions::AggregateDeclaration* found = nullptr;
    for (const auto* d : functions::Registry::instance().aggregates("array_agg")) {
      if (d->arguments.size() != 1) continue;
      const bool takes_arrays = d->arguments[0] == oid::kAnyarray;
      if (takes_arrays == of_arrays) found = d;
    }
    if (found == nullptr) throw not_supported("ARRAY of a subquery");
    auto call = std::make_unique<Expression>();
    call->kind = Kind::kAggregate;
    call->aggregate = functions::resolve_kernels(*found, std::span<const TypeRef>(&type, 1));
    call->type = array_type;
    call->args.push_back(planner_.column(value));
    auto aggregate = make_node(LogicalKind::kAggregate);
    const auto collected = planner_.add_column("array_agg", array_type);
    aggregate->aggregates.push_back({collected, std::move(call)});
    aggregate->output = {collected};
    aggregate->children.push_back(std::move(root));
    auto either = std::make_unique<Expression>();
    either->kind = Kind::kCoalesce;
    either->type = array_type;
    either->args.push_back(planner_.column(collected));
    const auto element = types::element_type_of(array_type.oid);
    const auto empty = types::ArrayBuilder(element).finish(*planner_.plan.arena);
    either->args.push_back(expression::make_constant({array_type, false, types::Datum::of(empty)}));
    auto project = make_node(LogicalKind::kProject);
    const auto out = planner_.add_column("array", array_type);
    project->computed.push_back({out, std::move(either)});
    project->output = {out};
    project->children.push_back(std::move(aggregate));
    root = std::move(project);
    return out;
  }

  /// Replaces every subquery in `e` by what `child` then delivers.
  void replace(LogicalPtr& child, ExpressionPtr& e) {
    if (!expression::contains(*e, Kind::kSubquery)) return;
    expression::rewrite(e, [&](ExpressionPtr& x) {
      if (x->kind == Kind::kSubquery) x = attach(child, *x);
    });
  }

  static bool has_subquery(LogicalNode& node) {
    bool found = false;
    for_each_expression(
        node, [&](ExpressionPtr& e) { found = found || expression::contains(*e, Kind::kSubquery); });
    return found;
  }

  void remove(LogicalPtr& node) {
    for (auto& child : node->children) remove(child);
    set_output(*node);
    if (!has_subquery(*node)) return;
    switch (node->kind) {
      case LogicalKind::kFilter: return remove_in_filter(node);
      case LogicalKind::kJoin:
      case LogicalKind::kDependentJoin: return remove_in_join(node);
      case LogicalKind::kValues: return remove_in_values(node);
      case LogicalKind::kFunctionScan: return remove_in_leaf(node);
      case LogicalKind::kLimit: return remove_in_leaf(node);
      case LogicalKind::kLockRows: {
        // A locked row that changed is checked again here, if that needs no other row.
        Conjuncts kept;
        split(std::move(node->condition), kept);
        if (std::erase_if(kept, [](const auto& e) { return expression::contains(*e, Kind::kSubquery); }) != 0)
          node->recheck_needs_restart = true;
        node->condition = kept.empty() ? nullptr : expression::make_and(std::move(kept));
        return;
      }
      case LogicalKind::kModify: remove_in_modify(*node); break;
      default:
        RUSTBD_STATEMENT_ASSERT(node->children.size() == 1, "subqueries stand over one input");
        for_each_expression(*node, [&](ExpressionPtr& e) { replace(node->children[0], e); });
    }
    set_output(*node);
  }

  void remove_in_modify(LogicalNode& node) {
    auto& modify = *node.modify;
    for (auto& a : modify.conflict_assignments)
      if (expression::contains(*a.value, Kind::kSubquery))
        throw not_supported("a subquery in ON CONFLICT DO UPDATE");
    if (modify.conflict_where && expression::contains(*modify.conflict_where, Kind::kSubquery))
      throw not_supported("a subquery in ON CONFLICT DO UPDATE");
    for (auto& a : modify.assignments) {
      if (!expression::contains(*a.value, Kind::kSubquery)) continue;
      expression::visit(*a.value, [&](const Expression& x) {
        if (x.kind == Kind::kSubquery && !planner_.plan.subplans[x.subquery].correlated.empty())
          modify.recheck_needs_restart = true;
      });
      replace(node.children[0], a.value);
    }
  }

  /// A conjunct that is a subquery test keeps or drops whole rows: no mark is needed.
  bool remove_conjunct(LogicalPtr& child, ExpressionPtr& e) {
    const bool negated = e->kind == Kind::kNot && e->args[0]->kind == Kind::kSubquery;
    Expression& x = negated ? *e->args[0] : *e;
    if (x.kind != Kind::kSubquery) return false;
    if (x.subquery_kind == SubqueryKind::kExists) {
      auto s = take(x);
      keep_existence_only(s.root);
      child = join(std::move(child), std::move(s.root), negated ? JoinType::kAnti : JoinType::kSemi, nullptr);
      return true;
    }
    if (negated || x.subquery_kind != SubqueryKind::kAny) return false;
    for (auto& operand : x.args) replace(child, operand);
    auto s = take(x);
    child = join(std::move(child), std::move(s.root), JoinType::kSemi, std::move(s.comparison));
    return true;
  }

  void remove_in_filter(LogicalPtr& node) {
    auto child = std::move(node->children[0]);
    Conjuncts conjuncts, plain, rest;
    split(std::move(node->condition), conjuncts);
    // Conditions without subqueries go below the joins.
    for (auto& e : conjuncts)
      (expression::contains(*e, Kind::kSubquery) ? rest : plain).push_back(std::move(e));
    child = make_filter(std::move(child), std::move(plain));
    Conjuncts above;
    for (auto& e : rest) {
      if (remove_conjunct(child, e)) continue;
      replace(child, e);
      above.push_back(std::move(e));
    }
    node = make_filter(std::move(child), std::move(above));
  }

  void remove_in_join(LogicalPtr& node) {
    Conjuncts conjuncts, plain, rest;
    split(std::move(node->condition), conjuncts);
    for (auto& e : conjuncts)
      (expression::contains(*e, Kind::kSubquery) ? rest : plain).push_back(std::move(e));
    node->condition = plain.empty() ? nullptr : expression::make_and(std::move(plain));
    if (node->join == JoinType::kInner) {
      node = make_filter(std::move(node), std::move(rest));
      return remove_in_filter(node);
    }
    if (node->join == JoinType::kRight) {
      std::swap(node->children[0], node->children[1]);
      node->join = JoinType::kLeft;
    }
    if (node->join != JoinType::kLeft) throw not_supported("a subquery in the condition of a FULL JOIN");
    // The condition moves into the right side, which then depends on the left one.
    if (node->condition != nullptr) rest.insert(rest.begin(), std::move(node->condition));
    node->condition = nullptr;
    node->kind = LogicalKind::kDependentJoin;
    auto right = make_filter(std::move(node->children[1]), std::move(rest));
    remove_in_filter(right);
    // Only the right side's own columns come out of it.
    node->children[1] = std::move(right);
    set_output(*node);
  }

  /// One row per list: a union of projections, whose expressions may be joined.
  void remove_in_values(LogicalPtr& node) {
    LogicalPtr all;
    const auto output = node->output;
    for (auto& row : node->rows) {
      LogicalPtr one = make_node(LogicalKind::kResult);
      auto project = make_node(LogicalKind::kProject);
      for (std::size_t i = 0; i < row.size(); ++i) {
        replace(one, row[i]);
        const auto id = node->rows.size() == 1 ? output[i]
                                               : planner_.add_column(planner_.columns[output[i]].name,
                                                                     planner_.columns[output[i]].type);
        project->computed.push_back({id, std::move(row[i])});
        project->output.push_back(id);
      }
      project->children.push_back(std::move(one));
      if (all == nullptr) {
        all = std::move(project);
        continue;
      }
      auto both = make_node(LogicalKind::kSetOperation);
      both->set_all = true;
      const bool last = &row == &node->rows.back();
      for (const auto id : output)
        both->output.push_back(
            last ? id : planner_.add_column(planner_.columns[id].name, planner_.columns[id].type));
      both->children.push_back(std::move(all));
      both->children.push_back(std::move(project));
      all = std::move(both);
    }
    node = std::move(all);
  }

  /// LIMIT and functions in FROM are computed before their rows: they run for each row of the values they
  /// need.
  void remove_in_leaf(LogicalPtr& node) {
    LogicalPtr values = make_node(LogicalKind::kResult);
    for_each_expression(*node, [&](ExpressionPtr& e) { replace(values, e); });
    node = join(std::move(values), std::move(node), JoinType::kInner, nullptr);
  }

  Planner& planner_;
  std::vector<std::uint32_t> uses_;
};

}  // namespace

void remove_subqueries(Planner& planner) { SubqueryRemover{planner}.run(); }

}  // namespace rustbd::optimizer
