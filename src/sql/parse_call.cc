// Function calls: the ordinary form, SQL's special forms, OVER.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

FunctionCall* Parser::system_call(std::string_view name, std::initializer_list<Node*> arguments,
                                  std::int32_t location, bool sql_syntax) {
  auto* node = make<FunctionCall>(location);
  node->name = list_of<std::string_view>({"pg_catalog", name});
  node->arguments = list_of<Node*>(arguments);
  node->sql_syntax = sql_syntax;
  return node;
}

Node* Parser::call(NameList name, std::int32_t location, bool windowless) {
  auto* node = make<FunctionCall>(location);
  node->name = name;
  call_arguments(*node);
  const bool plain = !node->star && !node->distinct && !node->variadic && !node->arguments.empty();
  if (at(TokenKind::kString) && plain && !windowless) {
    for (const Node* argument : node->arguments) {
      if (argument->kind != NodeKind::kNamedArgument) continue;
      throw error(sqlstate::kSyntaxError, "type modifier cannot have parameter name").at(argument->location);
    }
    if (!node->order_by.empty()) {
      throw error(sqlstate::kSyntaxError, "type modifier cannot have ORDER BY").at(location);
    }
    auto* type = make<TypeName>(location);
    type->name = name;
    type->modifiers = node->arguments;
    return typed_literal(type, location);
  }
  if (!windowless) call_suffixes(*node);
  return node;
}

void Parser::call_arguments(FunctionCall& call) {
  expect('(');
  if (accept(')')) return;
  if (at('*') && at(')', 1)) {
    at_ += 2;
    call.star = true;
    return;
  }
  bool may_be_variadic = true;
  if (accept(K::kDistinct)) {
    call.distinct = true;
    may_be_variadic = false;
  } else if (accept(K::kAll)) {
    may_be_variadic = false;
  }
  ListBuilder<Node*> arguments(arena_);
  do {
    if (may_be_variadic && accept(K::kVariadic)) {
      call.variadic = true;
      arguments.push(argument());
      break;
    }
    arguments.push(argument());
  } while (accept(','));
  call.arguments = arguments.take();
  call.order_by = optional_order_by();
  expect(')');
}

Node* Parser::argument() {
  const bool named =
      is_type_function_name(peek()) && (at(TokenKind::kColonEquals, 1) || at(TokenKind::kEqualsGreater, 1));
  if (!named) return expression();
  auto* node = make<NamedArgument>();
  node->name = next().value;
  ++at_;
  node->value = expression();
  return node;
}

void Parser::call_suffixes(FunctionCall& call) {
  const std::int32_t within_at = location();
  if (accept(K::kWithin)) {
    expect_all(K::kGroup, '(');
    if (!at(K::kOrder)) fail();
    const auto order = optional_order_by();
    expect(')');
    const auto reject = [&](std::string_view what) {
      throw error(sqlstate::kSyntaxError, "{}", what).at(within_at);
    };
    if (!call.order_by.empty()) reject("cannot use multiple ORDER BY clauses with WITHIN GROUP");
    if (call.distinct) reject("cannot use DISTINCT with WITHIN GROUP");
    if (call.variadic) reject("cannot use VARIADIC with WITHIN GROUP");
    call.order_by = order;
    call.within_group = true;
  }
  if (accept(K::kFilter)) {
    expect_all('(', K::kWhere);
    call.filter = expression();
    expect(')');
  }
  if (at(K::kOver)) call.over = over_clause();
}

// --- OVER

WindowDefinition* Parser::over_clause() {
  expect(K::kOver);
  if (at('(')) return window_specification();
  auto* window = make<WindowDefinition>();
  window->reference = column_id();
  window->is_reference_only = true;
  return window;
}

WindowDefinition* Parser::window_specification() {
  auto* window = make<WindowDefinition>();
  expect('(');
  if (is_column_id(peek()) && !at_any(K::kPartition, K::kRange, K::kRows, K::kGroups))
    window->reference = next().value;
  if (accept(K::kPartition)) {
    expect(K::kBy);
    window->partition_by = expression_list();
  }
  window->order_by = optional_order_by();
  if (at_any(K::kRange, K::kRows, K::kGroups)) frame_clause(*window);
  expect(')');
  return window;
}

FrameBound Parser::frame_bound(Node*& offset, std::int32_t& location) {
  location = this->location();
  const bool unbounded = at(K::kUnbounded) && (at(K::kPreceding, 1) || at(K::kFollowing, 1));
  if (unbounded) {
    ++at_;
    return next().keyword == K::kPreceding ? FrameBound::kUnboundedPreceding
                                           : FrameBound::kUnboundedFollowing;
  }
  if (accept2(K::kCurrent, K::kRow)) return FrameBound::kCurrentRow;
  offset = expression();
  if (accept(K::kPreceding)) return FrameBound::kOffsetPreceding;
  expect(K::kFollowing);
  return FrameBound::kOffsetFollowing;
}

void Parser::frame_clause(WindowDefinition& window) {
  const Keyword mode = next().keyword;
  window.frame = mode == K::kRange  ? FrameMode::kRange
                 : mode == K::kRows ? FrameMode::kRows
                                    : FrameMode::kGroups;
  std::int32_t start_at = -1;
  std::int32_t end_at = -1;
  window.frame_between = accept(K::kBetween);
  window.start = frame_bound(window.start_offset, start_at);
  if (window.frame_between) {
    expect(K::kAnd);
    window.end = frame_bound(window.end_offset, end_at);
  }
  const auto reject = [](std::int32_t where, std::string_view what) {
    throw error(sqlstate::kWindowingError, "{}", what).at(where);
  };
  if (window.start == FrameBound::kUnboundedFollowing)
    reject(start_at, "frame start cannot be UNBOUNDED FOLLOWING");
  if (!window.frame_between && window.start == FrameBound::kOffsetFollowing) {
    reject(start_at, "frame starting from following row cannot end with current row");
  }
  if (window.frame_between) {
    if (window.end == FrameBound::kUnboundedPreceding)
      reject(end_at, "frame end cannot be UNBOUNDED PRECEDING");
    if (window.start == FrameBound::kCurrentRow && window.end == FrameBound::kOffsetPreceding) {
      reject(end_at, "frame starting from current row cannot have preceding rows");
    }
    if (window.start == FrameBound::kOffsetFollowing &&
        (window.end == FrameBound::kOffsetPreceding || window.end == FrameBound::kCurrentRow)) {
      reject(end_at, "frame starting from following row cannot have preceding rows");
    }
  }
  if (!accept(K::kExclude)) return;
  if (accept2(K::kCurrent, K::kRow)) {
    window.exclusion = FrameExclusion::kCurrentRow;
  } else if (accept(K::kGroup)) {
    window.exclusion = FrameExclusion::kGroup;
  } else if (accept(K::kTies)) {
    window.exclusion = FrameExclusion::kTies;
  } else {
    expect_all(K::kNo, K::kOthers);
  }
}

// --- functions without parentheses

Node* Parser::sql_value_function() {
  using F = SqlValueFunctionType;
  F type;
  bool with_precision = false;
  switch (peek().keyword) {
    case K::kCurrentDate: type = F::kCurrentDate; break;
    case K::kCurrentTime: type = F::kCurrentTime, with_precision = true; break;
    case K::kCurrentTimestamp: type = F::kCurrentTimestamp, with_precision = true; break;
    case K::kLocaltime: type = F::kLocalTime, with_precision = true; break;
    case K::kLocaltimestamp: type = F::kLocalTimestamp, with_precision = true; break;
    case K::kCurrentRole: type = F::kCurrentRole; break;
    case K::kCurrentUser: type = F::kCurrentUser; break;
    case K::kUser: type = F::kUser; break;
    case K::kSessionUser: type = F::kSessionUser; break;
    case K::kCurrentCatalog: type = F::kCurrentCatalog; break;
    case K::kCurrentSchema:
      if (at('(', 1) || at(TokenKind::kString, 1)) return nullptr;
      type = F::kCurrentSchema;
      break;
    default: return nullptr;
  }
  auto* node = make<SqlValueFunction>();
  node->type = type;
  ++at_;
  if (with_precision && accept('(')) {
    node->precision = integer_literal();
    expect(')');
  }
  return node;
}

// --- special forms

bool Parser::at_special_call() const {
  switch (peek().keyword) {
    case K::kCollation: return at(K::kFor, 1);
    case K::kCast: return true;
    case K::kCoalesce:
    case K::kGreatest:
    case K::kLeast:
    case K::kNullif:
    case K::kExtract:
    case K::kOverlay:
    case K::kPosition:
    case K::kSubstring:
    case K::kTrim:
    case K::kNormalize:
    case K::kTreat:
    case K::kXmlconcat:
    case K::kXmlelement:
    case K::kXmlexists:
    case K::kXmlforest:
    case K::kXmlparse:
    case K::kXmlpi:
    case K::kXmlroot:
    case K::kXmlserialize: return at('(', 1);
    default: return false;
  }
}

Node* Parser::special_call() {
  const std::int32_t start = location();
  switch (peek().keyword) {
    case K::kCollation: {
      at_ += 2;
      expect('(');
      Node* argument = expression();
      expect(')');
      return system_call("pg_collation_for", {argument}, start);
    }
    case K::kCast: return cast_call();
    case K::kCoalesce: {
      auto* node = make<CoalesceExpression>();
      ++at_;
      node->arguments = parenthesized<Node*>([this] { return expression(); });
      return node;
    }
    case K::kGreatest:
    case K::kLeast: {
      auto* node = make<MinMaxExpression>();
      node->greatest = next().keyword == K::kGreatest;
      node->arguments = parenthesized<Node*>([this] { return expression(); });
      return node;
    }
    case K::kNullif: {
      auto* node = make<NullIfExpression>();
      at_ += 2;
      node->left = expression();
      expect(',');
      node->right = expression();
      expect(')');
      return node;
    }
    case K::kExtract: return extract_call();
    case K::kOverlay: return overlay_call();
    case K::kPosition: return position_call();
    case K::kSubstring: return substring_call();
    case K::kTrim: return trim_call();
    case K::kNormalize: return normalize_call();
    case K::kTreat: {
      at_ += 2;
      Node* argument = expression();
      expect(K::kAs);
      const TypeName* type = type_name();
      expect(')');
      return system_call(type->name.back(), {argument}, start, false);
    }
    default: return unsupported_call();
  }
}

/// XMLELEMENT and the like: taken up to the closing parenthesis.
Node* Parser::unsupported_call() {
  auto* node = make<UnsupportedExpression>();
  node->name = next().value;
  int depth = 0;
  do {
    if (at(TokenKind::kEnd) || at(TokenKind::kError)) fail();
    depth += at('(') ? 1 : at(')') ? -1 : 0;
    ++at_;
  } while (depth > 0);
  node->text = source(node->location, previous_end());
  return node;
}

Node* Parser::cast_call() {
  auto* cast = make<TypeCast>();
  expect_all(K::kCast, '(');
  cast->argument = expression();
  expect(K::kAs);
  cast->type = type_name();
  expect(')');
  return cast;
}

Node* Parser::extract_call() {
  const std::int32_t start = location();
  at_ += 2;
  const std::int32_t field_at = location();
  const bool field = at(TokenKind::kIdentifier) || at(TokenKind::kString) ||
                     at_any(K::kYear, K::kMonth, K::kDay, K::kHour, K::kMinute, K::kSecond);
  if (!field) fail();
  Node* name = string_node(next().value, field_at);
  expect(K::kFrom);
  Node* value = expression();
  expect(')');
  return system_call("extract", {name, value}, start);
}

Node* Parser::overlay_call() {
  const std::int32_t start = location();
  ++at_;
  auto* plain = make<FunctionCall>(start);
  plain->name = list_of<std::string_view>({"overlay"});
  expect('(');
  if (accept(')')) return plain;
  Node* text = argument();
  if (text->kind != NodeKind::kNamedArgument && accept(K::kPlacing)) {
    Node* by = expression();
    expect(K::kFrom);
    Node* from = expression();
    Node* length = accept(K::kFor) ? expression() : nullptr;
    expect(')');
    return length != nullptr ? system_call("overlay", {text, by, from, length}, start)
                             : system_call("overlay", {text, by, from}, start);
  }
  ListBuilder<Node*> arguments(arena_);
  arguments.push(text);
  while (accept(',')) arguments.push(argument());
  expect(')');
  plain->arguments = arguments.take();
  return plain;
}

Node* Parser::position_call() {
  const std::int32_t start = location();
  at_ += 2;
  Node* needle = b_expression();
  expect(K::kIn);
  Node* text = b_expression();
  expect(')');
  return system_call("position", {text, needle}, start);
}

Node* Parser::substring_call() {
  const std::int32_t start = location();
  ++at_;
  auto* plain = make<FunctionCall>(start);
  plain->name = list_of<std::string_view>({"substring"});
  expect('(');
  if (accept(')')) return plain;
  Node* text = argument();
  const bool special = text->kind != NodeKind::kNamedArgument;
  const auto close = [&](std::initializer_list<Node*> arguments) {
    expect(')');
    return system_call("substring", arguments, start);
  };
  if (special && accept(K::kFrom)) {
    Node* from = expression();
    if (!accept(K::kFor)) return close({text, from});
    Node* length = expression();
    return close({text, from, length});
  }
  if (special && accept(K::kFor)) {
    Node* length = expression();
    if (accept(K::kFrom)) {
      Node* from = expression();
      return close({text, from, length});
    }
    auto* cast = make<TypeCast>(-1);
    cast->argument = length;
    cast->type = system_type("int4", -1);
    return close({text, integer_node(1, -1), cast});
  }
  if (special && accept(K::kSimilar)) {
    Node* pattern = expression();
    expect(K::kEscape);
    Node* escape = expression();
    return close({text, pattern, escape});
  }
  ListBuilder<Node*> arguments(arena_);
  arguments.push(text);
  while (accept(',')) arguments.push(argument());
  expect(')');
  plain->arguments = arguments.take();
  return plain;
}

Node* Parser::trim_call() {
  const std::int32_t start = location();
  at_ += 2;
  std::string_view name = "btrim";
  if (accept(K::kLeading)) {
    name = "ltrim";
  } else if (accept(K::kTrailing)) {
    name = "rtrim";
  } else {
    accept(K::kBoth);
  }
  ListBuilder<Node*> arguments(arena_);
  Node* characters = nullptr;
  if (!accept(K::kFrom)) {
    characters = expression();
    if (!accept(K::kFrom)) {
      arguments.push(characters);
      characters = nullptr;
      while (accept(',')) arguments.push(expression());
    }
  }
  if (arguments.size() == 0) {
    for (Node* item : expression_list()) arguments.push(item);
    if (characters != nullptr) arguments.push(characters);
  }
  expect(')');
  auto* node = system_call(name, {}, start);
  node->arguments = arguments.take();
  return node;
}

Node* Parser::normalize_call() {
  const std::int32_t start = location();
  at_ += 2;
  Node* text = expression();
  if (!accept(',')) {
    expect(')');
    return system_call("normalize", {text}, start);
  }
  if (!at_any(K::kNfc, K::kNfd, K::kNfkc, K::kNfkd)) fail();
  const std::int32_t form_at = location();
  Node* form = string_node(next().value, form_at);
  expect(')');
  return system_call("normalize", {text, form}, start);
}

/// What may stand as a function in FROM: a call without FILTER or OVER, or a special form.
Node* Parser::function_expression_windowless() {
  const std::int32_t start = location();
  if (Node* value = sql_value_function()) return value;
  if (at_special_call()) return special_call();
  ListBuilder<std::string_view> name(arena_);
  const Token token = peek();
  if (!is_column_id(token) && !is_type_function_name(token)) fail();
  ++at_;
  name.push(token.value);
  while (is_column_id(token) && accept('.')) name.push(label());
  if (!at('(') || (name.size() == 1 && !is_type_function_name(token))) fail();
  return call(name.take(), start, true);
}

}  // namespace rustbd::sql
