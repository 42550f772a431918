// Expressions without operators: literals, names, parentheses, CASE, ARRAY.
#include <charconv>

#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

Node* Parser::primary() {
  switch (peek().kind) {
    case TokenKind::kInteger:
    case TokenKind::kNumeric:
    case TokenKind::kString:
    case TokenKind::kBitString:
    case TokenKind::kHexString: return literal_primary();
    case TokenKind::kIdentifier: return name_primary();
    case TokenKind::kKeyword: return keyword_primary();
    case TokenKind::kParameter: {
      auto* node = make<ParameterRef>();
      const std::string_view digits = next().value;
      std::from_chars(digits.data(), digits.data() + digits.size(), node->number);
      return with_indirection(node);
    }
    default:
      if (at('(')) return parenthesized_primary();
      fail();
  }
}

Node* Parser::literal_primary() {
  auto* node = make<Literal>();
  const Token& token = next();
  node->text = token.value;
  switch (token.kind) {
    case TokenKind::kInteger:
      node->type = LiteralType::kInteger;
      std::from_chars(token.value.data(), token.value.data() + token.value.size(), node->integer);
      node->text = {};
      break;
    case TokenKind::kNumeric: node->type = LiteralType::kNumeric; break;
    case TokenKind::kBitString: node->type = LiteralType::kBit; break;
    case TokenKind::kHexString: node->type = LiteralType::kHex; break;
    default: node->type = LiteralType::kString;
  }
  return node;
}

Node* Parser::typed_literal(TypeName* type, std::int32_t location) {
  auto* cast = make<TypeCast>(location);
  const std::int32_t text_at = this->location();
  cast->argument = string_node(string_literal(), text_at);
  cast->type = type;
  return cast;
}

Node* Parser::keyword_primary() {
  const std::int32_t start = location();
  switch (peek().keyword) {
    case K::kTrue: return ++at_, boolean_node(true, start);
    case K::kFalse: return ++at_, boolean_node(false, start);
    case K::kNull: return ++at_, make<Literal>(start);
    case K::kCase: return case_expression();
    case K::kArray: return array_primary();
    case K::kUnique:
      throw error(sqlstate::kFeatureNotSupported, "UNIQUE predicate is not yet implemented").at(start);
    case K::kExists: {
      if (!at('(', 1)) break;
      ++at_;
      auto* link = make<SubLink>(start);
      link->type = SubLinkType::kExists;
      link->query = select_in_parentheses();
      return link;
    }
    case K::kRow: {
      if (!at('(', 1)) break;
      at_ += 2;
      auto* row = make<RowExpression>(start);
      row->explicit_row = true;
      if (!at(')')) row->fields = expression_list();
      expect(')');
      return row_tail(row);
    }
    case K::kGrouping: {
      if (!at('(', 1)) break;
      ++at_;
      auto* node = make<GroupingFunction>(start);
      node->arguments = parenthesized<Node*>([this] { return expression(); });
      return node;
    }
    default: break;
  }
  if (Node* value = sql_value_function()) return value;
  if (at_special_call()) return special_call();
  if (at_type_keyword()) return type_keyword_primary();
  return name_primary();
}

/// `int '1'`, `timestamp(3) with time zone '…'`, `interval '1' day`.
Node* Parser::type_keyword_primary() {
  const std::int32_t start = location();
  if (!accept(K::kInterval)) return typed_literal(keyword_type(CharacterStyle::kLiteral), start);
  TypeName* type = system_type("interval", start);
  if (accept('(')) {
    const std::int32_t at_precision = location();
    const std::int32_t precision = integer_literal();
    expect(')');
    type->modifiers = list_of<Node*>({integer_node(0x7fff, -1), integer_node(precision, at_precision)});
    return typed_literal(type, start);
  }
  Node* literal = typed_literal(type, start);
  interval_fields(*type);
  return literal;
}

// --- parentheses

SubLink* Parser::scalar_sub_link(SelectStatement* query, std::int32_t location) {
  auto* link = make<SubLink>(location);
  link->type = SubLinkType::kScalar;
  link->query = query;
  return link;
}

/// Reads `( query )` or `( a, b, … )`. A query in parentheses may turn out to be the first operand of a set
/// operation or of an expression: `((select 1) union select 2)`, `((select 1) + 1)`; it is read first and
/// then put in its place.
Parser::Parentheses Parser::parentheses() {
  DepthGuard guard(*this);
  Parentheses result;
  result.location = location();
  expect('(');
  Node* first = nullptr;
  if (at_query()) {
    result.query = select_no_parentheses();
    expect(')');
    return result;
  }
  if (at_query_in_parentheses()) {
    Parentheses inner = parentheses();
    if (inner.query != nullptr && (at(')') || at_query_continuation())) {
      result.query = continue_query(inner.query);
      expect(')');
      return result;
    }
    if (inner.query != nullptr) {
      first = with_indirection(scalar_sub_link(inner.query, inner.location));
    } else if (inner.items.size() == 1) {
      first = with_indirection(inner.items[0]);
    } else {
      auto* row = make<RowExpression>(inner.location);
      row->fields = inner.items;
      first = row_tail(row);
    }
    first = continue_expression(first, kAnyPower, false);
  } else {
    first = expression();
  }
  ListBuilder<Node*> items(arena_);
  items.push(first);
  while (accept(',')) items.push(expression());
  expect(')');
  result.items = items.take();
  return result;
}

Node* Parser::parenthesized_primary() {
  Parentheses inside = parentheses();
  if (inside.query != nullptr) return with_indirection(scalar_sub_link(inside.query, inside.location));
  if (inside.items.size() == 1) return with_indirection(inside.items[0]);
  auto* row = make<RowExpression>(inside.location);
  row->fields = inside.items;
  return row_tail(row);
}

/// `row OVERLAPS row`.
Node* Parser::row_tail(Node* row) {
  if (!at(K::kOverlaps)) return row;
  const std::int32_t start = location();
  ++at_;
  const std::int32_t second_at = location();
  const bool explicit_row = accept(K::kRow);
  expect('(');
  NodeList second;
  if (!explicit_row || !at(')')) second = expression_list();
  if (!explicit_row && second.size() < 2) fail();
  expect(')');
  const NodeList first = as<RowExpression>(row).fields;
  if (first.size() != 2) {
    throw error(sqlstate::kSyntaxError, "wrong number of parameters on left side of OVERLAPS expression")
        .at(row->location);
  }
  if (second.size() != 2) {
    throw error(sqlstate::kSyntaxError, "wrong number of parameters on right side of OVERLAPS expression")
        .at(second_at);
  }
  return system_call("overlaps", {first[0], first[1], second[0], second[1]}, start);
}

// --- names

Node* Parser::name_primary() {
  const Token token = peek();
  const std::int32_t start = location();
  if (!is_column_id(token)) {
    if (!is_type_function_name(token)) fail();
    ++at_;
    const NameList name = list_of<std::string_view>({token.value});
    if (at('(')) return call(name, start);
    if (!at(TokenKind::kString)) fail();
    auto* type = make<TypeName>(start);
    type->name = name;
    return typed_literal(type, start);
  }
  ++at_;
  ListBuilder<std::string_view> fields(arena_);
  fields.push(token.value);
  bool star = false;
  while (!star && at('.')) {
    ++at_;
    star = accept('*');
    if (!star) fields.push(label());
  }
  const bool callable = !star && (fields.size() > 1 || is_type_function_name(token));
  if (callable && at('(')) return call(fields.take(), start);
  if (callable && at(TokenKind::kString)) {
    auto* type = make<TypeName>(start);
    type->name = fields.take();
    return typed_literal(type, start);
  }
  auto* column = make<ColumnRef>(start);
  column->fields = fields.take();
  column->star = star;
  if (star) {
    if (indirection_list().size() > 0) fail_with("improper use of \"*\"");
    return column;
  }
  return with_indirection(column);
}

Node* Parser::with_indirection(Node* base) {
  if (!at('.') && !at('[')) return base;
  auto* node = make<Indirection>(base->location);
  node->base = base;
  node->items = indirection_list();
  return node;
}

List<IndirectionItem> Parser::indirection_list() {
  ListBuilder<IndirectionItem> items(arena_);
  bool star_inside = false;
  while (at('.') || at('[')) {
    star_inside |= items.size() > 0 && items[items.size() - 1].type == IndirectionType::kStar;
    items.push(indirection_item());
  }
  if (star_inside) fail_with("improper use of \"*\"");
  return items.take();
}

IndirectionItem Parser::indirection_item() {
  IndirectionItem item;
  item.location = location();
  if (accept('.')) {
    item.type = accept('*') ? IndirectionType::kStar : IndirectionType::kField;
    if (item.type == IndirectionType::kField) item.field = label();
    return item;
  }
  expect('[');
  Node* first = at(':') ? nullptr : expression();
  if (accept(':')) {
    item.type = IndirectionType::kSlice;
    item.lower = first;
    item.upper = at(']') ? nullptr : expression();
  } else {
    item.type = IndirectionType::kSubscript;
    item.upper = first;
  }
  expect(']');
  return item;
}

// --- CASE, ARRAY

Node* Parser::case_expression() {
  auto* node = make<CaseExpression>();
  expect(K::kCase);
  if (!at(K::kWhen)) node->argument = expression();
  ListBuilder<CaseWhen> whens(arena_);
  do {
    CaseWhen when;
    when.location = location();
    expect(K::kWhen);
    when.condition = expression();
    expect(K::kThen);
    when.result = expression();
    whens.push(when);
  } while (at(K::kWhen));
  node->whens = whens.take();
  if (accept(K::kElse)) node->otherwise = expression();
  expect(K::kEnd);
  return node;
}

Node* Parser::array_primary() {
  const std::int32_t start = location();
  expect(K::kArray);
  if (at('[')) return array_brackets(start);
  auto* link = make<SubLink>(start);
  link->type = SubLinkType::kArray;
  link->query = select_in_parentheses();
  return link;
}

ArrayExpression* Parser::array_brackets(std::int32_t location) {
  DepthGuard guard(*this);
  auto* node = make<ArrayExpression>(location);
  expect('[');
  if (at('[')) {
    node->elements = comma_list<Node*>([this] { return array_brackets(this->location()); });
  } else if (!at(']')) {
    node->elements = expression_list();
  }
  expect(']');
  return node;
}

}  // namespace rustbd::sql
