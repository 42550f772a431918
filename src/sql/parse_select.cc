// SELECT, VALUES, TABLE, WITH, set operations and what follows them.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

bool Parser::at_query() const {
  return at_any(K::kSelect, K::kTable, K::kWith) || (at(K::kValues) && at('(', 1));
}

/// One or more opening parentheses and then a query.
bool Parser::at_query_in_parentheses(std::size_t ahead) const {
  if (!at('(', ahead)) return false;
  // Deeper than that ends in 54001 anyway; without a bound this look-ahead would be quadratic.
  for (std::int32_t level = 0; at('(', ahead); ++level, ++ahead) {
    if (level > kNestingMax) return false;
  }
  return at(K::kSelect, ahead) || at(K::kTable, ahead) || at(K::kWith, ahead) ||
         (at(K::kValues, ahead) && at('(', ahead + 1));
}

bool Parser::at_query_continuation() const {
  return at_any(K::kUnion, K::kIntersect, K::kExcept, K::kOrder, K::kLimit, K::kOffset, K::kFetch, K::kFor);
}

SelectStatement* Parser::select_statement() {
  if (!at('(')) return select_no_parentheses();
  auto* query = select_in_parentheses();
  return at_query_continuation() ? continue_query(query) : query;
}

SelectStatement* Parser::select_in_parentheses() {
  DepthGuard guard(*this);
  expect('(');
  if (!at('(') && !at_query() && !at(K::kValues)) fail();
  auto* query = select_statement();
  expect(')');
  return query;
}

SelectStatement* Parser::continue_query(SelectStatement* parenthesized) {
  return select_tail(set_operation_tail(parenthesized, 1), nullptr);
}

SelectStatement* Parser::select_no_parentheses() {
  DepthGuard guard(*this);
  WithClause* with = at(K::kWith) ? with_clause() : nullptr;
  return select_tail(set_operations(1), with);
}

SelectStatement* Parser::set_operations(int minimum) { return set_operation_tail(select_primary(), minimum); }

/// UNION and EXCEPT have strength 1, INTERSECT 2.
SelectStatement* Parser::set_operation_tail(SelectStatement* left, int minimum) {
  for (std::int32_t links = 0;; ++links) {
    const int power = at_any(K::kUnion, K::kExcept) ? 1 : at(K::kIntersect) ? 2 : 0;
    if (power == 0 || power < minimum) return left;
    if (links > kChainMax)
      throw error(sqlstate::kStatementTooComplex, "stack depth limit exceeded").at(location());
    auto* node = make<SelectStatement>();
    const Keyword op = next().keyword;
    node->set_operation = op == K::kUnion    ? SetOperation::kUnion
                          : op == K::kExcept ? SetOperation::kExcept
                                             : SetOperation::kIntersect;
    node->set_all = accept(K::kAll);
    if (!node->set_all) accept(K::kDistinct);
    node->left = left;
    node->right = set_operations(power + 1);
    left = node;
  }
}

SelectStatement* Parser::select_primary() {
  if (at('(')) return select_in_parentheses();
  if (at(K::kValues)) return values_clause();
  if (at(K::kTable)) {
    auto* select = make<SelectStatement>();
    auto* item = make<TargetItem>();
    auto* star = make<ColumnRef>();
    star->star = true;
    item->value = star;
    ++at_;
    select->targets = list_of<TargetItem*>({item});
    select->from = list_of<Node*>({relation_expression()});
    return select;
  }
  return simple_select();
}

SelectStatement* Parser::values_clause() {
  auto* select = make<SelectStatement>();
  expect(K::kValues);
  select->values =
      comma_list<NodeList>([this] { return parenthesized<Node*>([this] { return expression(); }); });
  return select;
}

SelectStatement* Parser::simple_select() {
  auto* select = make<SelectStatement>();
  expect(K::kSelect);
  if (accept(K::kAll)) {
    select->distinct = DistinctType::kAll;
  } else if (accept(K::kDistinct)) {
    select->distinct = DistinctType::kDistinct;
    if (accept(K::kOn)) {
      select->distinct = DistinctType::kOn;
      select->distinct_on = parenthesized<Node*>([this] { return expression(); });
    }
  }
  const bool plain = select->distinct == DistinctType::kNone || select->distinct == DistinctType::kAll;
  const bool empty = plain && (at(TokenKind::kEnd) || at(';') || at(')') || at_query_continuation() ||
                               at_any(K::kInto, K::kFrom, K::kWhere, K::kGroup, K::kHaving, K::kWindow,
                                      K::kOn, K::kWith, K::kReturning));
  if (!empty) select->targets = target_list();
  if (accept(K::kInto)) into_clause(*select);
  if (accept(K::kFrom)) select->from = from_list();
  if (accept(K::kWhere)) select->where = expression();
  if (accept(K::kGroup)) {
    expect(K::kBy);
    select->group_by_distinct = accept(K::kDistinct);
    if (!select->group_by_distinct) accept(K::kAll);
    select->group_by = group_by_list();
  }
  if (accept(K::kHaving)) select->having = expression();
  if (accept(K::kWindow)) select->windows = window_clause();
  return select;
}

List<TargetItem*> Parser::target_list() {
  return comma_list<TargetItem*>([this] { return target_item(); });
}

TargetItem* Parser::target_item() {
  auto* item = make<TargetItem>();
  if (at('*')) {
    auto* star = make<ColumnRef>();
    star->star = true;
    ++at_;
    item->value = star;
    return item;
  }
  item->value = expression();
  if (accept(K::kAs)) {
    item->name = label();
  } else if (is_bare_label(peek())) {
    item->name = next().value;
  }
  return item;
}

void Parser::into_clause(SelectStatement& select) {
  auto* into = make<IntoClause>();
  Persistence persistence = Persistence::kPermanent;
  if (at_any(K::kLocal, K::kGlobal) && (at(K::kTemp, 1) || at(K::kTemporary, 1))) ++at_;
  if (accept(K::kTemp) || accept(K::kTemporary)) {
    persistence = Persistence::kTemporary;
  } else if (accept(K::kUnlogged)) {
    persistence = Persistence::kUnlogged;
  }
  accept(K::kTable);
  into->relation = qualified_name();
  into->relation->persistence = persistence;
  select.into = into;
}

NodeList Parser::group_by_list() {
  return comma_list<Node*>([this] { return group_by_item(); });
}

Node* Parser::group_by_item() {
  DepthGuard guard(*this);
  auto* set = make<GroupingSet>();
  if (accept2('(', ')')) return set;
  if (at_any(K::kCube, K::kRollup) && at('(', 1)) {
    set->type = next().keyword == K::kCube ? GroupingSetType::kCube : GroupingSetType::kRollup;
    set->items = parenthesized<Node*>([this] { return expression(); });
    return set;
  }
  if (accept2(K::kGrouping, K::kSets)) {
    set->type = GroupingSetType::kSets;
    set->items = parenthesized<Node*>([this] { return group_by_item(); });
    return set;
  }
  return expression();
}

List<WindowDefinition*> Parser::window_clause() {
  return comma_list<WindowDefinition*>([this] {
    const std::string_view name = column_id();
    expect(K::kAs);
    if (!at('(')) fail();
    auto* window = window_specification();
    window->name = name;
    return window;
  });
}

// --- ORDER BY, LIMIT, FOR UPDATE

SelectStatement* Parser::select_tail(SelectStatement* query, WithClause* with) {
  const List<SortItem*> order = optional_order_by();
  List<LockingClause*> locking;
  LimitClause limit;
  if (at(K::kFor)) {
    locking = locking_clauses();
    limit = limit_clause();
  } else {
    limit = limit_clause();
    if (limit.present) locking = locking_clauses();
  }
  const auto reject = [](std::int32_t where, std::string_view what) {
    throw error(sqlstate::kSyntaxError, "{}", what).at(where);
  };
  if (!order.empty()) {
    if (!query->order_by.empty()) reject(order.front()->location, "multiple ORDER BY clauses not allowed");
    query->order_by = order;
  }
  if (!locking.empty()) {
    ListBuilder<LockingClause*> all(arena_);
    for (auto* clause : query->locking) all.push(clause);
    for (auto* clause : locking) all.push(clause);
    query->locking = all.take();
  }
  if (limit.offset != nullptr) {
    if (query->offset != nullptr) reject(limit.offset->location, "multiple OFFSET clauses not allowed");
    query->offset = limit.offset;
  }
  if (limit.limit != nullptr) {
    if (query->limit != nullptr) reject(limit.limit->location, "multiple LIMIT clauses not allowed");
    query->limit = limit.limit;
    if (limit.ties && query->order_by.empty())
      reject(-1, "WITH TIES cannot be specified without ORDER BY clause");
    if (limit.ties) {
      for (const auto* clause : query->locking) {
        if (clause->wait == LockWait::kSkipLocked)
          reject(-1, "SKIP LOCKED and WITH TIES options cannot be used together");
      }
    }
    query->limit_with_ties = limit.ties;
  }
  if (with != nullptr) {
    if (query->with != nullptr) reject(with->location, "multiple WITH clauses not allowed");
    query->with = with;
  }
  return query;
}

Parser::LimitClause Parser::limit_clause() {
  LimitClause clause;
  while (at_any(K::kLimit, K::kOffset, K::kFetch)) {
    const bool is_offset = at(K::kOffset);
    if (is_offset ? clause.offset != nullptr : clause.limit != nullptr) fail();
    clause.present = true;
    limit_part(clause);
  }
  return clause;
}

void Parser::limit_part(LimitClause& clause) {
  if (at(K::kFetch)) return fetch_part(clause);
  if (accept(K::kOffset)) {
    clause.offset = expression();
    if (!accept(K::kRow)) accept(K::kRows);
    return;
  }
  const std::int32_t limit_at = location();
  ++at_;
  const std::int32_t start = location();
  clause.limit = accept(K::kAll) ? make<Literal>(start) : expression();
  if (at(',')) {
    throw error(sqlstate::kSyntaxError, "LIMIT #,# syntax is not supported")
        .with_hint("Use separate LIMIT and OFFSET clauses.")
        .at(limit_at);
  }
}

/// FETCH { FIRST | NEXT } [n] { ROW | ROWS } { ONLY | WITH TIES }; n is an operand without operators.
void Parser::fetch_part(LimitClause& clause) {
  ++at_;
  if (!accept(K::kFirst)) expect(K::kNext);
  if (at_any(K::kRow, K::kRows)) {
    clause.limit = integer_node(1, -1);
  } else if (at('+') || at('-')) {
    clause.limit = numeric_only();
  } else {
    clause.limit = primary();
  }
  if (!accept(K::kRow)) expect(K::kRows);
  if (accept(K::kOnly)) return;
  expect_all(K::kWith, K::kTies);
  clause.ties = true;
}

List<LockingClause*> Parser::locking_clauses() {
  ListBuilder<LockingClause*> list(arena_);
  if (accept2(K::kFor, K::kRead)) {
    expect(K::kOnly);
    return {};
  }
  while (at(K::kFor)) {
    auto* clause = make<LockingClause>();
    ++at_;
    if (accept(K::kUpdate)) {
      clause->strength = LockStrength::kUpdate;
    } else if (accept(K::kNo)) {
      expect_all(K::kKey, K::kUpdate);
      clause->strength = LockStrength::kNoKeyUpdate;
    } else if (accept(K::kShare)) {
      clause->strength = LockStrength::kShare;
    } else {
      expect_all(K::kKey, K::kShare);
      clause->strength = LockStrength::kKeyShare;
    }
    if (accept(K::kOf)) clause->relations = comma_list<RelationRef*>([this] { return qualified_name(); });
    if (accept(K::kNowait)) {
      clause->wait = LockWait::kNoWait;
    } else if (accept(K::kSkip)) {
      expect(K::kLocked);
      clause->wait = LockWait::kSkipLocked;
    }
    list.push(clause);
  }
  return list.take();
}

// --- WITH

WithClause* Parser::with_clause() {
  auto* with = make<WithClause>();
  expect(K::kWith);
  with->recursive = accept(K::kRecursive);
  with->items = comma_list<CommonTableExpression*>([this] { return common_table_expression(); });
  return with;
}

CommonTableExpression* Parser::common_table_expression() {
  auto* cte = make<CommonTableExpression>();
  cte->name = column_id();
  cte->columns = optional_columns();
  expect(K::kAs);
  if (accept(K::kMaterialized)) {
    cte->materialized = CteMaterialized::kAlways;
  } else if (accept(K::kNot)) {
    expect(K::kMaterialized);
    cte->materialized = CteMaterialized::kNever;
  }
  expect('(');
  cte->query = preparable_statement();
  expect(')');
  search_and_cycle(*cte);
  return cte;
}

void Parser::search_and_cycle(CommonTableExpression& cte) {
  if (accept(K::kSearch)) {
    cte.search.present = true;
    cte.search.breadth_first = at(K::kBreadth);
    if (!accept(K::kBreadth)) expect(K::kDepth);
    expect_all(K::kFirst, K::kBy);
    cte.search.columns = column_list();
    expect(K::kSet);
    cte.search.sequence_column = column_id();
  }
  if (!accept(K::kCycle)) return;
  cte.cycle.present = true;
  cte.cycle.columns = column_list();
  expect(K::kSet);
  cte.cycle.mark_column = column_id();
  if (accept(K::kTo)) {
    cte.cycle.mark_value = primary();
    expect(K::kDefault);
    cte.cycle.mark_default = primary();
  }
  expect(K::kUsing);
  cte.cycle.path_column = column_id();
}

Node* Parser::preparable_statement() {
  DepthGuard guard(*this);
  WithClause* with = nullptr;
  if (at(K::kWith)) {
    with = with_clause();
  } else if (at('(') || at_query() || at(K::kValues)) {
    return select_statement();
  }
  switch (peek().keyword) {
    case K::kInsert: return insert_statement(with);
    case K::kUpdate: return update_statement(with);
    case K::kDelete: return delete_statement(with);
    default: break;
  }
  if (with == nullptr) fail();
  return select_tail(set_operations(1), with);
}

}  // namespace rustbd::sql
