// Queries and data modification to text.
#include <vector>

#include "rustbd/sql/deparse_impl.h"

namespace rustbd::sql {
namespace {

int set_power(const SelectStatement& node) {
  switch (node.set_operation) {
    case SetOperation::kNone: return 3;
    case SetOperation::kIntersect: return 2;
    default: return 1;
  }
}

bool has_tail(const SelectStatement& node) {
  return node.with != nullptr || !node.order_by.empty() || node.limit != nullptr || node.offset != nullptr ||
         !node.locking.empty();
}

}  // namespace

bool Printer::query_node(const Node* node) {
  switch (node->kind) {
    case NodeKind::kSelectStatement: select(as<SelectStatement>(node)); return true;
    case NodeKind::kInsertStatement: insert(as<InsertStatement>(node)); return true;
    case NodeKind::kUpdateStatement: update(as<UpdateStatement>(node)); return true;
    case NodeKind::kDeleteStatement: remove(as<DeleteStatement>(node)); return true;
    case NodeKind::kMergeStatement: merge(as<MergeStatement>(node)); return true;
    case NodeKind::kWithClause: with(&as<WithClause>(node)); return true;
    case NodeKind::kCommonTableExpression: cte(as<CommonTableExpression>(node)); return true;
    case NodeKind::kTargetItem: target(as<TargetItem>(node)); return true;
    case NodeKind::kRelationRef:
    case NodeKind::kRangeSubquery:
    case NodeKind::kRangeFunction:
    case NodeKind::kJoinExpression:
    case NodeKind::kTableSample: from_item(node); return true;
    case NodeKind::kGroupingSet: {
      const auto& set = as<GroupingSet>(node);
      constexpr std::string_view kWords[] = {"", "ROLLUP ", "CUBE ", "GROUPING SETS "};
      text(kWords[static_cast<std::size_t>(set.type)]);
      parenthesized_list(set.items);
      return true;
    }
    default: return false;
  }
}

void Printer::where(const Node* condition) {
  if (condition == nullptr) return;
  text(" WHERE ");
  expression(condition);
}

void Printer::with(const WithClause* node) {
  if (node == nullptr) return;
  text("WITH ").flag(node->recursive, "RECURSIVE ");
  list(node->items, [this](const CommonTableExpression* item) { cte(*item); });
  text(" ");
}

void Printer::cte(const CommonTableExpression& node) {
  name(node.name).columns(node.columns).text(" AS ");
  flag(node.materialized == CteMaterialized::kAlways, "MATERIALIZED ");
  flag(node.materialized == CteMaterialized::kNever, "NOT MATERIALIZED ");
  text("(");
  this->node(node.query);
  text(")");
  if (node.search.present) {
    text(node.search.breadth_first ? " SEARCH BREADTH FIRST BY " : " SEARCH DEPTH FIRST BY ")
        .names(node.search.columns);
    text(" SET ").name(node.search.sequence_column);
  }
  if (!node.cycle.present) return;
  text(" CYCLE ").names(node.cycle.columns).text(" SET ").name(node.cycle.mark_column);
  if (node.cycle.mark_value != nullptr) {
    // The grammar takes constants only: a typed one must be `type 'text'`.
    const auto constant = [this](const Node* value) {
      const auto* cast = try_as<TypeCast>(value);
      if (cast == nullptr) return expression(value);
      type(*cast->type);
      text(" ");
      expression(cast->argument);
    };
    text(" TO ");
    constant(node.cycle.mark_value);
    text(" DEFAULT ");
    constant(node.cycle.mark_default);
  }
  text(" USING ").name(node.cycle.path_column);
}

void Printer::select(const SelectStatement& node) {
  with(node.with);
  if (node.set_operation != SetOperation::kNone) {
    // Long chains of UNION lean left: a loop goes down to the first operand.
    std::vector<const SelectStatement*> chain{&node};
    for (;;) {
      const SelectStatement* left = chain.back()->left;
      const bool inside = left->set_operation != SetOperation::kNone && !has_tail(*left);
      if (!inside || set_power(*left) < set_power(*chain.back())) break;
      chain.push_back(left);
    }
    set_operand(*chain.back()->left, set_power(*chain.back()));
    constexpr std::string_view kWords[] = {"", " UNION ", " INTERSECT ", " EXCEPT "};
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
      text(kWords[static_cast<std::size_t>((*link)->set_operation)]).flag((*link)->set_all, "ALL ");
      set_operand(*(*link)->right, set_power(**link) + 1);
    }
  } else {
    select_body(node);
  }
  order_by(node.order_by);
  if (node.offset != nullptr) {
    text(" OFFSET ");
    expression(node.offset);
  }
  if (node.limit != nullptr && node.limit_with_ties) {
    text(" FETCH FIRST (");
    expression(node.limit);
    text(") ROWS WITH TIES");
  } else if (node.limit != nullptr) {
    text(" LIMIT ");
    const auto* literal = try_as<Literal>(node.limit);
    if (literal != nullptr && literal->type == LiteralType::kNull) {
      text("ALL");
    } else {
      expression(node.limit);
    }
  }
  for (const LockingClause* lock : node.locking) {
    constexpr std::string_view kWords[] = {"KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"};
    text(" FOR ").text(kWords[static_cast<std::size_t>(lock->strength)]);
    if (!lock->relations.empty()) {
      text(" OF ");
      list(lock->relations, [this](const RelationRef* item) { relation(*item); });
    }
    flag(lock->wait == LockWait::kNoWait, " NOWAIT")
        .flag(lock->wait == LockWait::kSkipLocked, " SKIP LOCKED");
  }
}

void Printer::set_operand(const SelectStatement& node, int minimum) {
  const bool parentheses = has_tail(node) || set_power(node) < minimum;
  flag(parentheses, "(");
  select(node);
  flag(parentheses, ")");
}

void Printer::select_body(const SelectStatement& node) {
  if (!node.values.empty()) {
    text("VALUES ");
    list(node.values, [this](NodeList row) { parenthesized_list(row); });
    return;
  }
  text("SELECT");
  flag(node.distinct == DistinctType::kAll, " ALL")
      .flag(node.distinct == DistinctType::kDistinct, " DISTINCT");
  if (node.distinct == DistinctType::kOn) {
    text(" DISTINCT ON ");
    parenthesized_list(node.distinct_on);
  }
  flag(!node.targets.empty(), " ");
  list(node.targets, [this](const TargetItem* item) { target(*item); });
  if (node.into != nullptr) {
    text(" INTO ");
    flag(node.into->relation->persistence == Persistence::kTemporary, "TEMPORARY ");
    flag(node.into->relation->persistence == Persistence::kUnlogged, "UNLOGGED ");
    text("TABLE ");
    relation(*node.into->relation);
  }
  if (!node.from.empty()) {
    text(" FROM ");
    list(node.from, [this](const Node* item) { from_item(item); });
  }
  where(node.where);
  if (!node.group_by.empty()) {
    text(" GROUP BY ").flag(node.group_by_distinct, "DISTINCT ");
    list(node.group_by, [this](const Node* item) { this->node(item); });
  }
  if (node.having != nullptr) {
    text(" HAVING ");
    expression(node.having);
  }
  if (node.windows.empty()) return;
  text(" WINDOW ");
  list(node.windows, [this](const WindowDefinition* item) {
    name(item->name).text(" AS ");
    window(*item);
  });
}

void Printer::target(const TargetItem& node) {
  expression(node.value);
  if (!node.name.empty()) text(" AS ").name(node.name);
}

// --- FROM

void Printer::alias(const Alias* node) {
  if (node == nullptr) return;
  text(" AS ").name(node->name).columns(node->columns);
}

void Printer::relation(const RelationRef& node) {
  flag(node.only, "ONLY ");
  if (!node.catalog.empty()) name(node.catalog).text(".");
  if (!node.schema.empty()) name(node.schema).text(".");
  name(node.name);
  if (node.as_of != nullptr) {
    text(" AS OF SYSTEM TIME ");
    expression(node.as_of);
  }
  alias(node.alias);
}

void Printer::from_item(const Node* node) {
  switch (node->kind) {
    case NodeKind::kRelationRef: relation(as<RelationRef>(node)); return;
    case NodeKind::kRangeSubquery: {
      const auto& range = as<RangeSubquery>(node);
      flag(range.lateral, "LATERAL ").text("(");
      select(*range.query);
      text(")");
      alias(range.alias);
      return;
    }
    case NodeKind::kRangeFunction: function(as<RangeFunction>(node)); return;
    case NodeKind::kJoinExpression: join(as<JoinExpression>(node)); return;
    default: {
      const auto& sample = as<TableSample>(node);
      relation(*sample.relation);
      text(" TABLESAMPLE ").dotted(sample.method);
      parenthesized_list(sample.arguments);
      if (sample.repeatable == nullptr) return;
      text(" REPEATABLE (");
      expression(sample.repeatable);
      text(")");
    }
  }
}

void Printer::join(const JoinExpression& node) {
  flag(node.alias != nullptr, "(");
  from_item(node.left);
  constexpr std::string_view kWords[] = {"JOIN ", "LEFT JOIN ", "RIGHT JOIN ", "FULL JOIN ", "CROSS JOIN "};
  text(" ").flag(node.natural, "NATURAL ").text(kWords[static_cast<std::size_t>(node.type)]);
  const auto* right = try_as<JoinExpression>(node.right);
  const bool parentheses = right != nullptr && right->alias == nullptr;
  flag(parentheses, "(");
  from_item(node.right);
  flag(parentheses, ")");
  if (!node.using_columns.empty()) {
    text(" USING (").names(node.using_columns).text(")");
    if (node.using_alias != nullptr) text(" AS ").name(node.using_alias->name);
  }
  if (node.on != nullptr) {
    text(" ON ");
    expression(node.on);
  }
  if (node.alias != nullptr) {
    text(")");
    alias(node.alias);
  }
}

void Printer::column_types(List<ColumnDefinition*> items) {
  text("(");
  list(items, [this](const ColumnDefinition* item) { column(*item); });
  text(")");
}

void Printer::function(const RangeFunction& node) {
  flag(node.lateral, "LATERAL ").flag(node.rows_from, "ROWS FROM (");
  list(node.functions, [this](const RangeFunctionItem* item) {
    // The grammar takes calls here, not casts or operators: CAST must be spelt out.
    if (const auto* cast = try_as<TypeCast>(item->call)) {
      text("CAST(");
      expression(cast->argument);
      text(" AS ");
      type(*cast->type);
      text(")");
    } else {
      expression(item->call);
    }
    if (item->columns.empty()) return;
    text(" AS ");
    column_types(item->columns);
  });
  flag(node.rows_from, ")").flag(node.ordinality, " WITH ORDINALITY");
  alias(node.alias);
  if (node.columns.empty()) return;
  text(node.alias == nullptr ? " AS " : " ");
  column_types(node.columns);
}

// --- data modification

void Printer::returning(List<TargetItem*> items) {
  if (items.empty()) return;
  text(" RETURNING ");
  list(items, [this](const TargetItem* item) { target(*item); });
}

void Printer::insert_target(List<AssignmentTarget*> columns, Overriding overriding) {
  if (!columns.empty()) {
    text(" (");
    list(columns, [this](const AssignmentTarget* item) {
      name(item->name);
      indirection(item->indirection);
    });
    text(")");
  }
  flag(overriding == Overriding::kUser, " OVERRIDING USER VALUE");
  flag(overriding == Overriding::kSystem, " OVERRIDING SYSTEM VALUE");
}

void Printer::insert(const InsertStatement& node) {
  with(node.with);
  text("INSERT INTO ");
  relation(*node.relation);
  insert_target(node.columns, node.overriding);
  if (node.source == nullptr) {
    text(" DEFAULT VALUES");
  } else {
    text(" ");
    select(*node.source);
  }
  conflict(node.on_conflict);
  returning(node.returning);
}

void Printer::conflict(const OnConflict* node) {
  if (node == nullptr) return;
  text(" ON CONFLICT");
  if (!node->columns.empty()) {
    text(" (");
    list(node->columns, [this](const IndexElement* item) { index_element(*item); });
    text(")");
    where(node->index_where);
  }
  if (!node->constraint.empty()) text(" ON CONSTRAINT ").name(node->constraint);
  if (node->action == ConflictAction::kNothing) {
    text(" DO NOTHING");
    return;
  }
  text(" DO UPDATE SET ");
  assignments(node->assignments);
  where(node->where);
}

void Printer::assignments(List<Assignment*> items) {
  list(items, [this](const Assignment* item) {
    flag(item->is_multiple, "(");
    list(item->targets, [this](const AssignmentTarget* target) {
      name(target->name);
      indirection(target->indirection);
    });
    text(item->is_multiple ? ") = " : " = ");
    expression(item->value);
  });
}

void Printer::update(const UpdateStatement& node) {
  with(node.with);
  text("UPDATE ");
  relation(*node.relation);
  text(" SET ");
  assignments(node.assignments);
  if (!node.from.empty()) {
    text(" FROM ");
    list(node.from, [this](const Node* item) { from_item(item); });
  }
  where(node.where);
  returning(node.returning);
}

void Printer::remove(const DeleteStatement& node) {
  with(node.with);
  text("DELETE FROM ");
  relation(*node.relation);
  if (!node.using_items.empty()) {
    text(" USING ");
    list(node.using_items, [this](const Node* item) { from_item(item); });
  }
  where(node.where);
  returning(node.returning);
}

void Printer::merge(const MergeStatement& node) {
  with(node.with);
  text("MERGE INTO ");
  relation(*node.relation);
  text(" USING ");
  from_item(node.source);
  text(" ON ");
  expression(node.on);
  for (const MergeWhen* when : node.whens) {
    text(when->matched ? " WHEN MATCHED" : " WHEN NOT MATCHED");
    if (when->condition != nullptr) {
      text(" AND ");
      expression(when->condition);
    }
    text(" THEN ");
    switch (when->action) {
      case MergeAction::kNothing: text("DO NOTHING"); break;
      case MergeAction::kDelete: text("DELETE"); break;
      case MergeAction::kUpdate:
        text("UPDATE SET ");
        assignments(when->assignments);
        break;
      case MergeAction::kInsert:
        text("INSERT");
        insert_target(when->columns, when->overriding);
        if (when->values.empty()) {
          text(" DEFAULT VALUES");
        } else {
          text(" VALUES ");
          parenthesized_list(when->values);
        }
    }
  }
  returning(node.returning);
}

}  // namespace rustbd::sql
