#include "rustbd/optimizer/tree.h"

#include <algorithm>

#include "rustbd/base/statement_assert.h"

namespace rustbd::optimizer {

namespace oid = types::oid;

LogicalPtr make_node(LogicalKind kind) {
  auto node = std::make_unique<LogicalNode>();
  node->kind = kind;
  return node;
}

LogicalPtr make_filter(LogicalPtr child, Conjuncts conjuncts) {
  if (conjuncts.empty()) return child;
  auto filter = make_node(LogicalKind::kFilter);
  filter->condition = expression::make_and(std::move(conjuncts));
  filter->output = child->output;
  filter->children.push_back(std::move(child));
  return filter;
}

void set_output(LogicalNode& node) {
  switch (node.kind) {
    case LogicalKind::kFilter:
    case LogicalKind::kSort:
    case LogicalKind::kLimit:
    case LogicalKind::kDistinct:
    case LogicalKind::kLockRows: node.output = node.children[0]->output; break;
    case LogicalKind::kCteBind: node.output = node.children[1]->output; break;
    case LogicalKind::kJoin:
    case LogicalKind::kDependentJoin:
      node.output = node.children[0]->output;
      if (node.join == JoinType::kMark) {
        node.output.push_back(node.mark);
      } else if (node.join != JoinType::kSemi && node.join != JoinType::kAnti) {
        const auto& right = node.children[1]->output;
        node.output.insert(node.output.end(), right.begin(), right.end());
      }
      break;
    case LogicalKind::kWindow:
      node.output = node.children[0]->output;
      for (const auto& w : node.windows) node.output.push_back(w.id);
      break;
    case LogicalKind::kProjectSet:
      node.output = node.children[0]->output;
      for (const auto& f : node.functions)
        node.output.insert(node.output.end(), f.columns.begin(), f.columns.end());
      break;
    default: break;
  }
}

void set_outputs(LogicalNode& root) {
  for (auto& child : root.children) set_outputs(*child);
  set_output(root);
}

namespace {

void over_modify(plan::Modify& modify, const std::function<void(ExpressionPtr&)>& fn) {
  for (auto& a : modify.assignments)
    if (a.value) fn(a.value);
  if (modify.recheck) fn(modify.recheck);
}

}  // namespace

void for_each_expression(LogicalNode& node, const std::function<void(ExpressionPtr&)>& fn) {
  for (auto& row : node.rows)
    for (auto& e : row) fn(e);
  for (auto& f : node.functions) fn(f.call);
  if (node.condition) fn(node.condition);
  for (auto& c : node.computed) fn(c.expression);
  for (auto& g : node.groups) fn(g.expression);
  for (auto& a : node.aggregates) fn(a.expression);
  for (auto& w : node.windows) fn(w.expression);
  if (node.frame_start) fn(node.frame_start);
  if (node.frame_end) fn(node.frame_end);
  if (node.limit) fn(node.limit);
  if (node.offset) fn(node.offset);
  if (node.modify) over_modify(*node.modify, fn);
}

void for_each_node(LogicalNode& node, const std::function<void(LogicalNode&)>& fn) {
  for (auto& child : node.children) for_each_node(*child, fn);
  fn(node);
}

void add_columns(const Expression& e, ColumnSet& to) {
  if (e.kind == Kind::kColumn) to.add(e.column);
  for (const auto& a : e.args) add_columns(*a, to);
  if (e.filter) add_columns(*e.filter, to);
  for (const auto& k : e.order_by) add_columns(*k.expression, to);
}
ColumnSet columns_of(const Expression& e) {
  ColumnSet set;
  add_columns(e, set);
  return set;
}

namespace {

void add_free(const LogicalNode& node, ColumnSet& used, ColumnSet& produced) {
  for (const auto& child : node.children) add_free(*child, used, produced);
  for_each_expression(const_cast<LogicalNode&>(node), [&](ExpressionPtr& e) { add_columns(*e, used); });
  for (const auto& c : node.columns) produced.add(c.id);
  for (const auto& c : node.computed) produced.add(c.id);
  for (const auto& g : node.groups) produced.add(g.id);
  for (const auto& a : node.aggregates) produced.add(a.id);
  for (const auto& g : node.grouping_calls) produced.add(g.id);
  for (const auto& w : node.windows) produced.add(w.id);
  for (const auto& f : node.functions) produced.add(f.columns);
  if (node.has_ordinality) produced.add(node.ordinality);
  switch (node.kind) {
    case LogicalKind::kValues:
    case LogicalKind::kSetOperation:
    case LogicalKind::kCteScan:
    case LogicalKind::kRecursiveUnion:
    case LogicalKind::kWorkTableScan:
    case LogicalKind::kGet:
    case LogicalKind::kModify: produced.add(node.output); break;
    case LogicalKind::kJoin:
    case LogicalKind::kDependentJoin:
      if (node.join == JoinType::kMark) produced.add(node.mark);
      break;
    case LogicalKind::kProject: used.add(node.output); break;
    default: break;
  }
}

}  // namespace

ColumnSet free_columns(const LogicalNode& root) {
  ColumnSet used, produced;
  add_free(root, used, produced);
  used.remove(produced);
  return used;
}

void rename_columns(ExpressionPtr& e, const ColumnMap& map) {
  expression::rewrite(e, [&](ExpressionPtr& x) {
    if (x->kind != Kind::kColumn) return;
    if (auto it = map.find(x->column); it != map.end()) x->column = it->second;
  });
}

void rename_columns(LogicalNode& node, const ColumnMap& map) {
  const auto rename = [&](ColumnId& id) {
    if (auto it = map.find(id); it != map.end()) id = it->second;
  };
  for_each_expression(node, [&](ExpressionPtr& e) { rename_columns(e, map); });
  for (auto& id : node.output) rename(id);
  for (auto& c : node.columns) rename(c.id);
  for (auto& f : node.functions)
    for (auto& id : f.columns) rename(id);
  if (node.has_ordinality) rename(node.ordinality);
  rename(node.mark);
  for (auto& c : node.computed) rename(c.id);
  for (auto& c : node.groups) rename(c.id);
  for (auto& c : node.aggregates) rename(c.id);
  for (auto& c : node.grouping_calls) rename(c.id);
  for (auto& c : node.windows) rename(c.id);
  for (auto& id : node.partition_by) rename(id);
  for (auto& k : node.sort_keys) rename(k.column);
  for (auto& id : node.distinct_on) rename(id);
  for (auto& lock : node.locks) {
    rename(lock.row_id);
    for (auto& c : lock.columns) rename(c.id);
  }
}

std::vector<ExpressionPtr> clone_all(const std::vector<ExpressionPtr>& from) {
  std::vector<ExpressionPtr> out;
  out.reserve(from.size());
  for (const auto& e : from) out.push_back(e->clone());
  return out;
}

namespace {

std::vector<plan::ComputedColumn> clone_computed(const std::vector<plan::ComputedColumn>& from) {
  std::vector<plan::ComputedColumn> out;
  for (const auto& c : from) out.push_back({c.id, c.expression->clone()});
  return out;
}
ExpressionPtr clone_optional(const ExpressionPtr& e) { return e == nullptr ? nullptr : e->clone(); }

LogicalPtr copy_tree(const LogicalNode& from) {
  RUSTBD_STATEMENT_ASSERT(from.modify == nullptr, "a statement changes a table once");
  auto to = make_node(from.kind);
  for (const auto& child : from.children) to->children.push_back(copy_tree(*child));
  to->output = from.output;
  to->relation = from.relation;
  to->alias = from.alias;
  to->columns = from.columns;
  for (const auto& row : from.rows) to->rows.push_back(clone_all(row));
  for (const auto& f : from.functions) to->functions.push_back({f.call->clone(), f.columns, f.set_returning});
  to->ordinality = from.ordinality;
  to->has_ordinality = from.has_ordinality;
  to->condition = clone_optional(from.condition);
  to->join = from.join;
  to->mark = from.mark;
  to->lateral = from.lateral;
  to->computed = clone_computed(from.computed);
  to->groups = clone_computed(from.groups);
  to->aggregates = clone_computed(from.aggregates);
  to->grouping_sets = from.grouping_sets;
  to->grouping_calls = from.grouping_calls;
  to->windows = clone_computed(from.windows);
  to->partition_by = from.partition_by;
  to->frame = from.frame;
  to->frame_start = clone_optional(from.frame_start);
  to->frame_end = clone_optional(from.frame_end);
  to->sort_keys = from.sort_keys;
  to->limit = clone_optional(from.limit);
  to->offset = clone_optional(from.offset);
  to->with_ties = from.with_ties;
  to->distinct_on = from.distinct_on;
  to->is_distinct_on = from.is_distinct_on;
  to->set_operation = from.set_operation;
  to->set_all = from.set_all;
  to->cte = from.cte;
  to->cte_name = from.cte_name;
  to->materialized = from.materialized;
  to->cte_columns = from.cte_columns;
  to->locks = from.locks;
  return to;
}

}  // namespace

LogicalPtr clone_tree(const LogicalNode& root, plan::ColumnTable& columns, ColumnMap& map) {
  auto copy = copy_tree(root);
  ColumnSet used, produced;
  add_free(root, used, produced);
  produced.for_each([&](ColumnId id) {
    auto info = columns[id];
    map[id] = columns.add(std::move(info));
  });
  for_each_node(*copy, [&](LogicalNode& node) {
    rename_columns(node, map);
    if (node.kind == LogicalKind::kCteScan || node.kind == LogicalKind::kWorkTableScan ||
        node.kind == LogicalKind::kCteBind)
      for (auto& id : node.cte_columns)
        if (auto it = map.find(id); it != map.end()) id = it->second;
  });
  return copy;
}

bool is_true(const Expression& e) {
  return e.kind == Kind::kConstant && !e.is_null && e.type.oid == oid::kBool && e.value.boolean;
}
bool is_false(const Expression& e) {
  return e.kind == Kind::kConstant && e.type.oid == oid::kBool && (e.is_null || !e.value.boolean);
}
ExpressionPtr make_test(Kind kind, ExpressionPtr e) {
  auto test = std::make_unique<Expression>();
  test->kind = kind;
  test->type = types::make_type(oid::kBool);
  test->location = e->location;
  test->args.push_back(std::move(e));
  return test;
}
ExpressionPtr make_not(ExpressionPtr e) { return make_test(Kind::kNot, std::move(e)); }

void split(ExpressionPtr e, Conjuncts& out) {
  if (e == nullptr || is_true(*e)) return;
  if (e->kind != Kind::kAnd) {
    out.push_back(std::move(e));
    return;
  }
  for (auto& a : e->args) split(std::move(a), out);
}

namespace {

const std::unordered_map<Oid, Comparison>& comparisons() {
  static const auto* const map = [] {
    auto* m = new std::unordered_map<Oid, Comparison>;
    for (const auto& op : functions::Registry::instance().all_operators()) {
      if (op.left == 0) continue;
      Comparison c = Comparison::kNone;
      if (op.name == "=") c = Comparison::kEqual;
      else if (op.name == "<>") c = Comparison::kNotEqual;
      else if (op.name == "<") c = Comparison::kLess;
      else if (op.name == "<=") c = Comparison::kLessEqual;
      else if (op.name == ">") c = Comparison::kGreater;
      else if (op.name == ">=") c = Comparison::kGreaterEqual;
      if (c != Comparison::kNone) m->emplace(op.function, c);
    }
    return m;
  }();
  return *map;
}

/// Types within one class hash alike when they compare equal.
int hash_class(const TypeRef& type) {
  switch (type.oid) {
    case oid::kInt2:
    case oid::kInt4:
    case oid::kInt8: return 1;
    case oid::kText:
    case oid::kVarchar:
    case oid::kName: return 2;
    default: return type.phys == types::Phys::kU32 ? 3 : static_cast<int>(type.oid) + 16;
  }
}

}  // namespace

Comparison comparison_of(const Expression& e) {
  if (e.kind != Kind::kCall || e.args.size() != 2 || e.function.declaration == nullptr)
    return Comparison::kNone;
  const auto& map = comparisons();
  const auto it = map.find(e.function.declaration->oid);
  return it == map.end() ? Comparison::kNone : it->second;
}

Comparison commute(Comparison c) {
  switch (c) {
    case Comparison::kLess: return Comparison::kGreater;
    case Comparison::kLessEqual: return Comparison::kGreaterEqual;
    case Comparison::kGreater: return Comparison::kLess;
    case Comparison::kGreaterEqual: return Comparison::kLessEqual;
    default: return c;
  }
}

bool is_hashable_equality(const Expression& e) {
  const bool distinct_test = e.kind == Kind::kIsNotDistinct && e.function.declaration != nullptr;
  if (!distinct_test && comparison_of(e) != Comparison::kEqual) return false;
  return hash_class(e.args[0]->type) == hash_class(e.args[1]->type);
}

bool is_strict_in(const Expression& e, const ColumnSet& columns) {
  switch (e.kind) {
    case Kind::kColumn: return columns.contains(e.column);
    case Kind::kCall:
      if (e.function.declaration == nullptr || !e.function.declaration->is(functions::kStrict)) return false;
      return std::ranges::any_of(e.args, [&](const auto& a) { return is_strict_in(*a, columns); });
    case Kind::kPhysicalCast:
    case Kind::kCoerceLength:
    case Kind::kTypedInput:
    case Kind::kNot: return is_strict_in(*e.args[0], columns);
    case Kind::kInList:
    case Kind::kScalarArray: return is_strict_in(*e.args[0], columns);
    default: return false;
  }
}

bool rejects_nulls(const Expression& e, const ColumnSet& columns) {
  switch (e.kind) {
    case Kind::kConstant: return is_false(e);
    case Kind::kAnd:
      return std::ranges::any_of(e.args, [&](const auto& a) { return rejects_nulls(*a, columns); });
    case Kind::kOr:
      return std::ranges::all_of(e.args, [&](const auto& a) { return rejects_nulls(*a, columns); });
    case Kind::kIsNotNull: return is_strict_in(*e.args[0], columns);
    case Kind::kBooleanTest:
      return (e.test == expression::BooleanTest::kTrue && rejects_nulls(*e.args[0], columns)) ||
             ((e.test == expression::BooleanTest::kFalse || e.test == expression::BooleanTest::kNotUnknown) &&
              is_strict_in(*e.args[0], columns));
    case Kind::kScalarArray:  // x op ALL ('{}') is TRUE whatever x is
      return !e.all && is_strict_in(e, columns);
    default: return is_strict_in(e, columns);
  }
}

}  // namespace rustbd::optimizer
