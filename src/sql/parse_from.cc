// FROM: tables, joins, subqueries, functions.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

NodeList Parser::from_list() {
  return comma_list<Node*>([this] { return table_reference(); });
}

Node* Parser::table_reference() {
  DepthGuard guard(*this);
  return join_tail(table_primary());
}

bool Parser::at_join() const {
  return at_any(K::kJoin, K::kCross, K::kNatural, K::kLeft, K::kRight, K::kFull, K::kInner);
}

bool Parser::join_type(JoinType& type) {
  type = JoinType::kInner;
  if (accept(K::kInner)) return true;
  if (accept(K::kLeft)) {
    type = JoinType::kLeft;
  } else if (accept(K::kRight)) {
    type = JoinType::kRight;
  } else if (accept(K::kFull)) {
    type = JoinType::kFull;
  } else {
    return false;
  }
  accept(K::kOuter);
  return true;
}

Node* Parser::join_tail(Node* left) {
  for (std::int32_t links = 0; at_join(); ++links) {
    if (links > kNestingMax)
      throw error(sqlstate::kStatementTooComplex, "stack depth limit exceeded").at(location());
    const std::int32_t start = location();
    if (at_any(K::kCross, K::kNatural)) {
      auto* join = make<JoinExpression>(start);
      join->left = left;
      if (accept(K::kCross)) {
        join->type = JoinType::kCross;
      } else {
        ++at_;
        join->natural = true;
        join_type(join->type);
      }
      expect(K::kJoin);
      join->right = table_primary();
      left = join;
      continue;
    }
    JoinType type;
    join_type(type);
    expect(K::kJoin);
    left = qualified_join(left, type, start);
  }
  return left;
}

/// Stands behind JOIN. Joins before the ON belong to the right side: a JOIN b JOIN c ON … ON ….
Node* Parser::qualified_join(Node* left, JoinType type, std::int32_t location) {
  DepthGuard guard(*this);
  auto* join = make<JoinExpression>(location);
  join->type = type;
  join->left = left;
  join->right = join_tail(table_primary());
  join_condition(*join);
  return join;
}

void Parser::join_condition(JoinExpression& join) {
  if (accept(K::kUsing)) {
    join.using_columns = parenthesized_columns();
    if (accept(K::kAs)) {
      join.using_alias = make<Alias>();
      join.using_alias->name = column_id();
    }
    return;
  }
  expect(K::kOn);
  join.on = expression();
}

Node* Parser::table_primary() {
  const std::int32_t start = location();
  if (at('(')) {
    bool is_query = false;
    Node* inside = from_parentheses(is_query);
    if (is_query) return range_subquery(static_cast<SelectStatement*>(inside), false, start);
    if (Alias* alias = optional_alias()) as<JoinExpression>(inside).alias = alias;
    return inside;
  }
  if (accept(K::kLateral)) {
    if (at('(')) return range_subquery(select_in_parentheses(), true, start);
    return range_function(true);
  }
  if (at(K::kRows) && at(K::kFrom, 1)) return range_function(false);
  if (at(K::kXmltable)) throw not_supported("XMLTABLE").at(start);
  if (at(K::kOnly)) return relation_item();
  // A function when, behind the dotted name, there is a parenthesis.
  std::size_t ahead = 0;
  while (is_label(peek(ahead)) && at('.', ahead + 1)) ahead += 2;
  const bool no_parentheses = at_any(K::kCurrentDate, K::kCurrentTime, K::kCurrentTimestamp, K::kLocaltime,
                                     K::kLocaltimestamp, K::kCurrentRole, K::kCurrentUser, K::kUser,
                                     K::kSessionUser, K::kCurrentCatalog, K::kCurrentSchema);
  const bool special = at_special_call();
  const bool may_be_call = ahead > 0 || is_type_function_name(peek());
  if (no_parentheses || special || (may_be_call && is_label(peek(ahead)) && at('(', ahead + 1)) ||
      (!is_column_id(peek()) && is_type_function_name(peek()))) {
    return range_function(false);
  }
  return relation_item();
}

/// `( query )` or `( join )`. As in Parser::parentheses, an inner query may be the start of either.
Node* Parser::from_parentheses(bool& is_query) {
  DepthGuard guard(*this);
  expect('(');
  is_query = at_query();
  if (is_query) {
    Node* query = select_no_parentheses();
    expect(')');
    return query;
  }
  Node* left = nullptr;
  if (at('(')) {
    const std::int32_t start = location();
    left = from_parentheses(is_query);
    if (is_query && (at(')') || at_query_continuation())) {
      left = continue_query(static_cast<SelectStatement*>(left));
      expect(')');
      return left;
    }
    if (is_query) {
      left = range_subquery(static_cast<SelectStatement*>(left), false, start);
    } else if (Alias* alias = optional_alias()) {
      as<JoinExpression>(left).alias = alias;
    }
    is_query = false;
  } else {
    left = table_primary();
  }
  Node* joined = join_tail(left);
  if (joined->kind != NodeKind::kJoinExpression) fail();
  expect(')');
  return joined;
}

Node* Parser::range_subquery(SelectStatement* query, bool lateral, std::int32_t location) {
  auto* range = make<RangeSubquery>(location);
  range->query = query;
  range->lateral = lateral;
  range->alias = optional_alias();
  return range;
}

Alias* Parser::optional_alias() {
  if (at(K::kAs) || is_column_id(peek())) return alias_clause();
  return nullptr;
}

Alias* Parser::alias_clause() {
  auto* alias = make<Alias>();
  accept(K::kAs);
  alias->name = column_id();
  alias->columns = optional_columns();
  return alias;
}

Node* Parser::relation_item() {
  auto* relation = relation_expression();
  if (at(K::kAs) && at(K::kOf, 1) && at(K::kSystem, 2)) {
    at_ += 3;
    expect(K::kTime);
    relation->as_of = expression();
  }
  relation->alias = optional_alias();
  if (!at(K::kTablesample)) return relation;
  auto* sample = make<TableSample>(location());
  ++at_;
  sample->relation = relation;
  ListBuilder<std::string_view> method(arena_);
  method.push(is_column_id(peek()) || is_type_function_name(peek()) ? next().value : column_id());
  while (accept('.')) method.push(label());
  sample->method = method.take();
  sample->arguments = parenthesized<Node*>([this] { return expression(); });
  if (accept(K::kRepeatable)) {
    expect('(');
    sample->repeatable = expression();
    expect(')');
  }
  return sample;
}

Node* Parser::range_function(bool lateral) {
  auto* range = make<RangeFunction>();
  range->lateral = lateral;
  if (at(K::kRows) && at(K::kFrom, 1)) {
    at_ += 2;
    range->rows_from = true;
    range->functions = parenthesized<RangeFunctionItem*>([this] { return rows_from_item(); });
  } else {
    auto* item = make<RangeFunctionItem>();
    item->call = function_expression_windowless();
    range->functions = list_of<RangeFunctionItem*>({item});
  }
  if (at(K::kWith) && at(K::kOrdinality, 1)) {
    at_ += 2;
    range->ordinality = true;
  }
  function_alias(*range);
  return range;
}

RangeFunctionItem* Parser::rows_from_item() {
  auto* item = make<RangeFunctionItem>();
  item->call = function_expression_windowless();
  if (accept(K::kAs)) item->columns = table_function_columns();
  return item;
}

List<ColumnDefinition*> Parser::table_function_columns() {
  return parenthesized<ColumnDefinition*>([this] {
    auto* column = make<ColumnDefinition>();
    column->name = column_id();
    column->type = type_name();
    if (accept(K::kCollate)) column->collation = any_name();
    return column;
  });
}

/// alias, alias (columns), AS (column type, …), alias (column type, …).
void Parser::function_alias(RangeFunction& function) {
  const bool with_as = accept(K::kAs);
  if (with_as && at('(')) {
    function.columns = table_function_columns();
    return;
  }
  if (!with_as && !is_column_id(peek())) return;
  function.alias = make<Alias>();
  function.alias->name = column_id();
  if (!at('(')) return;
  const bool types = is_column_id(peek(1)) && !at(',', 2) && !at(')', 2);
  if (types) {
    function.columns = table_function_columns();
  } else {
    function.alias->columns = parenthesized_columns();
  }
}

}  // namespace rustbd::sql
