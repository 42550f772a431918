// Tokens, names and other small parts that all statements share; the entry points.
#include <charconv>

#include "rustbd/base/statement_assert.h"
#include "rustbd/sql/lexer_strings.h"
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

Parser::Parser(std::string_view text, Arena& arena, std::vector<Notice>* notices)
    : arena_(arena), text_(arena.copy(text)), tokens_(tokenize(text_, arena, notices)) {}

Parser::DepthGuard::DepthGuard(Parser& parser) : parser_(parser) {
  const char* const here = static_cast<const char*>(__builtin_frame_address(0));
  const auto stack_bytes = parser_.stack_base_ - here;  // stacks grow down on every platform we run on
  if (++parser_.depth_ > kNestingMax || stack_bytes > kStackBytesMax) {
    throw error(sqlstate::kStatementTooComplex, "stack depth limit exceeded")
        .with_detail(fmt::format("A statement may nest {} levels deep.", kNestingMax))
        .at(parser_.location());
  }
}

void Parser::fail() const { fail_with("syntax error"); }

void Parser::fail_with(std::string_view what) const {
  const Token& token = peek();
  if (token.kind == TokenKind::kError) throw Error(*tokens_.error);
  if (token.kind == TokenKind::kEnd) {
    throw error(sqlstate::kSyntaxError, "{} at end of input", what)
        .at(static_cast<std::int32_t>(text_.size()));
  }
  throw lexical_error(text_, token.offset, token.offset + token.length, what);
}

std::string_view Parser::source(std::int32_t begin, std::int32_t end) const {
  return text_.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

std::int32_t Parser::previous_end() const {
  if (at_ == 0) return 0;
  const Token& token = tokens_.tokens[at_ - 1];
  return static_cast<std::int32_t>(token.offset + token.length);
}

std::vector<RawStatement> Parser::statements() {
  std::vector<RawStatement> result;
  for (;;) {
    while (accept(';')) {}
    if (at(TokenKind::kEnd)) return result;
    const std::int32_t begin = location();
    Node* node = statement();
    result.push_back({node, begin, previous_end()});
    if (!at(TokenKind::kEnd) && !at(';')) fail();
  }
}

Node* Parser::only_expression() {
  Node* node = expression();
  if (!at(TokenKind::kEnd)) fail();
  return node;
}

TypeName* Parser::only_type() {
  TypeName* type = type_name();
  if (!at(TokenKind::kEnd)) fail();
  return type;
}

// --- names

bool Parser::is_column_id(const Token& token) const {
  if (token.kind == TokenKind::kIdentifier) return true;
  if (token.kind != TokenKind::kKeyword) return false;
  const KeywordClass c = keyword_info(token.keyword).keyword_class;
  return c == KeywordClass::kUnreserved || c == KeywordClass::kColumnName;
}

bool Parser::is_type_function_name(const Token& token) const {
  if (token.kind == TokenKind::kIdentifier) return true;
  if (token.kind != TokenKind::kKeyword) return false;
  const KeywordClass c = keyword_info(token.keyword).keyword_class;
  return c == KeywordClass::kUnreserved || c == KeywordClass::kTypeFunctionName;
}

bool Parser::is_label(const Token& token) const {
  return token.kind == TokenKind::kIdentifier || token.kind == TokenKind::kKeyword;
}

bool Parser::is_bare_label(const Token& token) const {
  return token.kind == TokenKind::kIdentifier ||
         (token.kind == TokenKind::kKeyword && keyword_info(token.keyword).bare_label);
}

bool Parser::is_non_reserved(const Token& token) const {
  return token.kind == TokenKind::kIdentifier ||
         (token.kind == TokenKind::kKeyword &&
          keyword_info(token.keyword).keyword_class != KeywordClass::kReserved);
}

std::string_view Parser::column_id() {
  if (!is_column_id(peek())) fail();
  return next().value;
}

std::string_view Parser::type_function_name() {
  if (!is_type_function_name(peek())) fail();
  return next().value;
}

std::string_view Parser::label() {
  if (!is_label(peek())) fail();
  return next().value;
}

std::string_view Parser::non_reserved_word() {
  if (!is_non_reserved(peek())) fail();
  return next().value;
}

std::string_view Parser::string_literal() {
  if (!at(TokenKind::kString)) fail();
  return next().value;
}

std::int32_t Parser::integer_literal() {
  if (!at(TokenKind::kInteger)) fail();
  const std::string_view digits = next().value;
  std::int32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::int64_t Parser::signed_integer() {
  const bool negative = accept('-');
  if (!negative) accept('+');
  const std::int64_t value = integer_literal();
  return negative ? -value : value;
}

NameList Parser::column_list() {
  return comma_list<std::string_view>([this] { return column_id(); });
}

NameList Parser::parenthesized_columns() {
  return parenthesized<std::string_view>([this] { return column_id(); });
}

NameList Parser::optional_columns() { return at('(') ? parenthesized_columns() : NameList{}; }

NameList Parser::any_name() {
  ListBuilder<std::string_view> name(arena_);
  name.push(column_id());
  while (accept('.')) name.push(label());
  return name.take();
}

RelationRef* Parser::relation_from(NameList parts, std::int32_t location) {
  auto* relation = make<RelationRef>(location);
  if (parts.size() > 3) {
    std::string name;
    for (const auto part : parts) (name += name.empty() ? "" : ".") += part;
    throw error(sqlstate::kSyntaxError, "improper qualified name (too many dotted names): {}", name)
        .at(location);
  }
  relation->name = parts.back();
  if (parts.size() > 1) relation->schema = parts[parts.size() - 2];
  if (parts.size() > 2) relation->catalog = parts[0];
  return relation;
}

RelationRef* Parser::qualified_name() {
  const std::int32_t start = location();
  return relation_from(any_name(), start);
}

RelationRef* Parser::relation_expression() {
  if (accept(K::kOnly)) {
    const bool paren = accept('(');
    auto* relation = qualified_name();
    if (paren) expect(')');
    relation->only = true;
    return relation;
  }
  auto* relation = qualified_name();
  accept('*');
  return relation;
}

RoleSpec* Parser::role_spec() {
  auto* role = make<RoleSpec>();
  const Token token = peek();
  if (!is_non_reserved(token) && !at_any(K::kCurrentRole, K::kCurrentUser, K::kSessionUser)) fail();
  ++at_;
  switch (token.keyword) {
    case K::kCurrentRole: role->type = RoleSpecType::kCurrentRole; return role;
    case K::kCurrentUser: role->type = RoleSpecType::kCurrentUser; return role;
    case K::kSessionUser: role->type = RoleSpecType::kSessionUser; return role;
    default: break;
  }
  if (token.value == "public") {
    role->type = RoleSpecType::kPublic;
  } else if (token.value == "none") {
    throw error(sqlstate::kReservedName, "role name \"none\" is reserved").at(role->location);
  } else {
    role->name = token.value;
  }
  return role;
}

std::string_view Parser::role_id() {
  const auto* role = role_spec();
  switch (role->type) {
    case RoleSpecType::kName: return role->name;
    case RoleSpecType::kPublic:
      throw error(sqlstate::kReservedName, "role name \"public\" is reserved").at(role->location);
    case RoleSpecType::kSessionUser:
      throw error(sqlstate::kReservedName, "SESSION_USER cannot be used as a role name here")
          .at(role->location);
    case RoleSpecType::kCurrentUser:
      throw error(sqlstate::kReservedName, "CURRENT_USER cannot be used as a role name here")
          .at(role->location);
    case RoleSpecType::kCurrentRole:
      throw error(sqlstate::kReservedName, "CURRENT_ROLE cannot be used as a role name here")
          .at(role->location);
  }
  RUSTBD_STATEMENT_UNREACHABLE();
}

List<RoleSpec*> Parser::role_list() {
  return comma_list<RoleSpec*>([this] { return role_spec(); });
}

bool Parser::if_exists() {
  if (!accept(K::kIf)) return false;
  expect(K::kExists);
  return true;
}

bool Parser::if_not_exists() {
  if (!accept(K::kIf)) return false;
  expect_all(K::kNot, K::kExists);
  return true;
}

bool Parser::cascade_behavior() {
  if (accept(K::kCascade)) return true;
  accept(K::kRestrict);
  return false;
}

Literal* Parser::boolean_node(bool value, std::int32_t location) {
  auto* literal = make<Literal>(location);
  literal->type = LiteralType::kBoolean;
  literal->boolean = value;
  return literal;
}

Literal* Parser::string_node(std::string_view text, std::int32_t location) {
  auto* literal = make<Literal>(location);
  literal->type = LiteralType::kString;
  literal->text = text;
  return literal;
}

Literal* Parser::integer_node(std::int32_t value, std::int32_t location) {
  auto* literal = make<Literal>(location);
  literal->type = LiteralType::kInteger;
  literal->integer = value;
  return literal;
}

Literal* Parser::numeric_only() {
  const std::int32_t start = location();
  const bool negative = accept('-');
  if (!negative) accept('+');
  if (!at(TokenKind::kInteger) && !at(TokenKind::kNumeric)) fail();
  Node* number = literal_primary();
  return &as<Literal>(negative ? negate(number, start) : number);
}

bool Parser::at_operator() const {
  switch (peek().kind) {
    case TokenKind::kOperator:
    case TokenKind::kLessEquals:
    case TokenKind::kGreaterEquals:
    case TokenKind::kNotEquals: return true;
    default:
      return at('+') || at('-') || at('*') || at('/') || at('%') || at('^') || at('<') || at('>') || at('=');
  }
}

Parser::OperatorName Parser::any_operator() {
  OperatorName name;
  name.location = location();
  ListBuilder<std::string_view> schema(arena_);
  while (!at_operator()) {
    schema.push(column_id());
    expect('.');
  }
  name.op = next().value;
  name.schema = schema.take();
  return name;
}

// --- entry points

std::vector<RawStatement> parse(std::string_view text, Arena& arena, std::vector<Notice>* notices) {
  return Parser(text, arena, notices).statements();
}

Node* parse_expression(std::string_view text, Arena& arena) {
  return Parser(text, arena, nullptr).only_expression();
}

TypeName* parse_type_name(std::string_view text, Arena& arena) {
  return Parser(text, arena, nullptr).only_type();
}

}  // namespace rustbd::sql
