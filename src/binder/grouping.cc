// GROUP BY: group columns, grouping sets, and the check that everything else is grouped or aggregated.
#include "rustbd/base/statement_assert.h"
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

namespace {

struct Grouper {
  std::vector<plan::ComputedColumn>& groups;
  const std::unordered_set<ColumnId>& own;  // input columns of this level
  const std::function<std::string(ColumnId)>& describe;
  const std::vector<plan::Subplan>& subplans;
  const std::function<bool(ColumnId)>& add_dependent;  // functionally dependent on the groups: adds it

  bool is_grouped(ColumnId id) const {
    for (const auto& g : groups)
      if (g.id == id) return true;
    return false;
  }
  /// Replaces grouped subtrees by their columns; refuses input columns that are left.
  void apply(ExpressionPtr& e) const {
    for (const auto& g : groups) {
      if (!expression::same(*g.expression, *e)) continue;
      e = expression::make_column(g.id, g.expression->type, e->location);
      return;
    }
    if (e->kind == Kind::kColumn && own.contains(e->column) && !add_dependent(e->column))
      throw error(sqlstate::kGroupingError,
                  "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                  describe(e->column))
          .at(e->location);
    if (e->kind == Kind::kSubquery) {
      for (ColumnId id : subplans[e->subquery].correlated)
        if (own.contains(id) && !is_grouped(id) && !add_dependent(id))
          throw error(sqlstate::kGroupingError, "subquery uses ungrouped column \"{}\" from outer query",
                      describe(id))
              .at(e->location);
    }
    for (auto& a : e->args) apply(a);
    if (e->filter) apply(e->filter);
    for (auto& k : e->order_by) apply(k.expression);
  }
};

constexpr std::size_t kGroupingSetsMax = 4096;

}  // namespace

LogicalPtr Binder::group(LogicalPtr root, const sql::SelectStatement& select, QueryLevel& level,
                         std::vector<Target>& targets, ExpressionPtr having) {
  auto node = make_node(LogicalKind::kAggregate);
  level.clause = "GROUP BY";
  const auto visible_targets = targets.size();
  // Each GROUP BY item becomes group indexes.
  const auto add_group = [&](const sql::Node* item) -> std::uint32_t {
    // Bound against a throw-away list, since hidden targets for groups are not wanted.
    std::vector<Target> list;
    for (const auto& t : targets) list.push_back({t.name, t.expression->clone(), t.hidden});
    const bool aggregates = level.allow_aggregates;
    level.allow_aggregates = false;
    const auto at = sort_target(item, list, level, true, "GROUP BY");
    level.allow_aggregates = aggregates;
    auto e = std::move(list[at].expression);
    bool has_aggregate = false;
    expression::visit(*e, [&](const Expression& x) {
      if (x.kind != Kind::kColumn) return;
      for (const auto& a : level.aggregates) has_aggregate = has_aggregate || a.id == x.column;
    });
    if (has_aggregate)
      throw error(sqlstate::kGroupingError, "aggregate functions are not allowed in GROUP BY")
          .at(item->location);
    for (std::uint32_t i = 0; i < node->groups.size(); ++i)
      if (expression::same(*node->groups[i].expression, *e)) return i;
    const bool keeps_number = e->kind == Kind::kColumn && !is_outer(*e, level);
    const ColumnId id = keeps_number ? e->column : add_column(target_name(item), e->type);
    node->groups.push_back({id, std::move(e)});
    return static_cast<std::uint32_t>(node->groups.size() - 1);
  };
  const auto add_item = [&](const sql::Node* item) -> std::vector<std::uint32_t> {
    if (const auto* row = sql::try_as<sql::RowExpression>(item); row != nullptr && !row->explicit_row) {
      std::vector<std::uint32_t> out;
      for (const auto* f : row->fields) out.push_back(add_group(f));
      return out;
    }
    return {add_group(item)};
  };
  using Sets = std::vector<std::vector<std::uint32_t>>;
  const std::function<Sets(const sql::GroupingSet&)> expand = [&](const sql::GroupingSet& set) -> Sets {
    Sets out;
    switch (set.type) {
      case sql::GroupingSetType::kEmpty: return {{}};
      case sql::GroupingSetType::kRollup: {
        std::vector<std::vector<std::uint32_t>> items;
        for (const auto* i : set.items) items.push_back(add_item(i));
        for (std::size_t n = items.size() + 1; n-- > 0;) {
          std::vector<std::uint32_t> one;
          for (std::size_t i = 0; i < n; ++i) one.insert(one.end(), items[i].begin(), items[i].end());
          out.push_back(std::move(one));
        }
        return out;
      }
      case sql::GroupingSetType::kCube: {
        std::vector<std::vector<std::uint32_t>> items;
        for (const auto* i : set.items) items.push_back(add_item(i));
        if (items.size() > 12)
          throw error(sqlstate::kTooManyColumns, "CUBE is limited to 12 elements").at(set.location);
        for (std::uint32_t mask = 1u << items.size(); mask-- > 0;) {
          std::vector<std::uint32_t> one;
          for (std::size_t i = 0; i < items.size(); ++i)
            if ((mask >> (items.size() - 1 - i)) & 1) one.insert(one.end(), items[i].begin(), items[i].end());
          out.push_back(std::move(one));
        }
        return out;
      }
      case sql::GroupingSetType::kSets:
        for (const auto* i : set.items) {
          if (const auto* inner = sql::try_as<sql::GroupingSet>(i)) {
            for (auto& s : expand(*inner)) out.push_back(std::move(s));
          } else {
            out.push_back(add_item(i));
          }
        }
        return out;
    }
    RUSTBD_STATEMENT_UNREACHABLE();
  };
  bool has_sets = false;
  Sets sets{{}};
  for (const auto* item : select.group_by) {
    Sets next;
    if (const auto* set = sql::try_as<sql::GroupingSet>(item)) {
      has_sets = true;
      next = expand(*set);
    } else {
      next = {add_item(item)};
    }
    Sets product;
    for (const auto& a : sets)
      for (const auto& b : next) {
        auto one = a;
        for (auto g : b)
          if (std::find(one.begin(), one.end(), g) == one.end()) one.push_back(g);
        product.push_back(std::move(one));
      }
    if (product.size() > kGroupingSetsMax)
      throw error(sqlstate::kStatementTooComplex, "too many grouping sets present (maximum {})",
                  kGroupingSetsMax)
          .at(item->location);
    sets = std::move(product);
  }
  if (has_sets) {
    if (select.group_by_distinct) {
      Sets unique;
      for (auto& s : sets) {
        auto sorted = s;
        std::sort(sorted.begin(), sorted.end());
        bool there = false;
        for (auto u : unique) {
          std::sort(u.begin(), u.end());
          there = there || u == sorted;
        }
        if (!there) unique.push_back(std::move(s));
      }
      sets = std::move(unique);
    }
    for (auto& s : sets) node->grouping_sets.push_back({std::move(s)});
  }
  (void)visible_targets;

  const std::function<std::string(ColumnId)> describe = [&](ColumnId id) {
    const auto& info = plan_->columns[id];
    return info.qualifier.empty() ? info.name : info.qualifier + "." + info.name;
  };
  // A table whose primary key is grouped gives its other columns too.
  const std::function<bool(ColumnId)> add_dependent = [&](ColumnId id) {
    if (has_sets) return false;
    const auto& info = plan_->columns[id];
    if (info.relation == 0 || info.attribute <= 0) return false;
    auto relation = input_.catalog->relation(info.relation);
    if (relation == nullptr) return false;
    for (const auto& c : relation->constraints) {
      if (c->type != catalog::ConstraintType::kPrimaryKey || c->deferrable) continue;
      for (auto key : c->columns) {
        bool grouped = false;
        for (const auto& g : node->groups) {
          if (g.expression->kind != Kind::kColumn) continue;
          const auto& gi = plan_->columns[g.expression->column];
          grouped = grouped ||
                    (gi.relation == info.relation && gi.attribute == key && gi.qualifier == info.qualifier);
        }
        if (!grouped) return false;
      }
      node->groups.push_back({id, expression::make_column(id, info.type)});
      return true;
    }
    return false;
  };
  const Grouper grouper{node->groups, level.own_columns, describe, plan_->subplans, add_dependent};
  for (auto& [id, arguments] : level.grouping_arguments) {
    LogicalNode::Grouping call{id, {}};
    for (const auto& a : arguments) {
      bool found = false;
      for (std::uint32_t g = 0; g < node->groups.size() && !found; ++g)
        if (expression::same(*node->groups[g].expression, *a)) {
          call.groups.push_back(g);
          found = true;
        }
      if (!found)
        throw error(sqlstate::kGroupingError,
                    "arguments to GROUPING must be grouping expressions of the associated query level")
            .at(a->location);
    }
    node->grouping_calls.push_back(std::move(call));
  }
  for (auto& t : targets) grouper.apply(t.expression);
  if (having) grouper.apply(having);
  for (auto& w : level.windows) {
    for (auto& a : w.call->args) grouper.apply(a);
    if (w.call->filter) grouper.apply(w.call->filter);
    for (auto& p : w.partition_by) grouper.apply(p);
    for (auto& k : w.order_by) grouper.apply(k.expression);
  }
  for (auto& s : level.srfs) grouper.apply(s.call);
  for (auto& a : level.aggregates) node->aggregates.push_back({a.id, std::move(a.expression)});
  level.aggregates.clear();
  for (const auto& g : node->groups) node->output.push_back(g.id);
  for (const auto& a : node->aggregates) node->output.push_back(a.id);
  for (const auto& g : node->grouping_calls) node->output.push_back(g.id);
  node->children.push_back(std::move(root));
  root = std::move(node);
  if (having != nullptr) {
    auto filter = make_node(LogicalKind::kFilter);
    filter->condition = std::move(having);
    filter->children.push_back(std::move(root));
    root = std::move(filter);
  }
  return root;
}

ExpressionPtr Binder::grouping_function(const sql::GroupingFunction& node, QueryLevel& level) {
  if (!level.allow_aggregates)
    throw error(sqlstate::kGroupingError, "grouping operations are not allowed in {}", level.clause)
        .at(node.location);
  std::vector<ExpressionPtr> arguments;
  for (const auto* a : node.arguments) arguments.push_back(bind_expression(a, level));
  const ColumnId id = add_column("grouping", types::make_type(oid::kInt4), {}, 0, 0, false);
  level.grouping_arguments.emplace_back(id, std::move(arguments));
  level.grouping_calls.push_back({id, {}});
  return expression::make_column(id, types::make_type(oid::kInt4), node.location);
}

}  // namespace rustbd::binder
