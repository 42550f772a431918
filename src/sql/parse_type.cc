// Type names in all SQL spellings.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {
namespace {

// Bits of an interval's fields, as in PostgreSQL's interval type modifier.
constexpr std::int32_t kMonth = 1 << 1, kYear = 1 << 2, kDay = 1 << 3, kHour = 1 << 10, kMinute = 1 << 11,
                       kSecond = 1 << 12, kFullRange = 0x7fff;

std::int32_t field_bit(Keyword keyword) {
  switch (keyword) {
    case Keyword::kYear: return kYear;
    case Keyword::kMonth: return kMonth;
    case Keyword::kDay: return kDay;
    case Keyword::kHour: return kHour;
    case Keyword::kMinute: return kMinute;
    case Keyword::kSecond: return kSecond;
    default: return 0;
  }
}

}  // namespace

TypeName* Parser::type_name() {
  DepthGuard guard(*this);
  const bool set_of = accept(K::kSetof);
  TypeName* type = simple_type();
  type->set_of = set_of;
  array_bounds(*type);
  return type;
}

TypeName* Parser::function_type() {
  TypeName* type = type_name();
  if (at('%') && at(K::kType, 1)) throw not_supported("%TYPE").at(location());
  return type;
}

TypeName* Parser::system_type(std::string_view name, std::int32_t location) {
  auto* type = make<TypeName>(location);
  type->name = list_of<std::string_view>({"pg_catalog", name});
  return type;
}

void Parser::array_bounds(TypeName& type) {
  ListBuilder<std::int32_t> bounds(arena_);
  if (accept(K::kArray)) {
    std::int32_t bound = -1;
    if (accept('[')) {
      bound = integer_literal();
      expect(']');
    }
    bounds.push(bound);
  }
  const bool keyword_form = bounds.size() > 0;  // `int ARRAY[3]` has one dimension
  while (!keyword_form && accept('[')) {
    bounds.push(at(']') ? -1 : integer_literal());
    expect(']');
  }
  type.array_bounds = bounds.take();
}

void Parser::optional_modifiers(TypeName& type) {
  if (at('(')) type.modifiers = parenthesized<Node*>([this] { return expression(); });
}

bool Parser::at_type_keyword() const {
  const bool text_next = at(TokenKind::kString, 1);
  const bool text_or_paren = text_next || at('(', 1);
  switch (peek().keyword) {
    case K::kInt:
    case K::kInteger:
    case K::kSmallint:
    case K::kBigint:
    case K::kReal:
    case K::kBoolean: return text_next;
    case K::kDouble: return at(K::kPrecision, 1);
    case K::kFloat:
    case K::kDecimal:
    case K::kDec:
    case K::kNumeric:
    case K::kInterval: return text_or_paren;
    case K::kBit:
    case K::kCharacter:
    case K::kChar:
    case K::kNchar:
    case K::kVarchar: return text_or_paren || at(K::kVarying, 1);
    case K::kNational: return at(K::kCharacter, 1) || at(K::kChar, 1);
    case K::kTimestamp:
    case K::kTime: return text_or_paren || at(K::kWith, 1) || at(K::kWithout, 1);
    default: return false;
  }
}

TypeName* Parser::simple_type() {
  if (at(TokenKind::kKeyword)) {
    const std::int32_t start = location();
    if (TypeName* type = keyword_type(CharacterStyle::kDefinition)) return type;
    if (accept(K::kInterval)) {
      TypeName* type = system_type("interval", start);
      if (accept('(')) {
        const std::int32_t precision_at = location();
        const std::int32_t precision = integer_literal();
        expect(')');
        type->modifiers =
            list_of<Node*>({integer_node(kFullRange, -1), integer_node(precision, precision_at)});
      } else {
        interval_fields(*type);
      }
      return type;
    }
  }
  return generic_type();
}

TypeName* Parser::generic_type() {
  auto* type = make<TypeName>();
  ListBuilder<std::string_view> name(arena_);
  name.push(type_function_name());
  while (accept('.')) name.push(label());
  type->name = name.take();
  optional_modifiers(*type);
  return type;
}

/// Types whose names are keywords, but for interval.
TypeName* Parser::keyword_type(CharacterStyle style) {
  const std::int32_t start = location();
  const auto simple = [&](std::string_view name) {
    ++at_;
    return system_type(name, start);
  };
  switch (peek().keyword) {
    case K::kInt:
    case K::kInteger: return simple("int4");
    case K::kSmallint: return simple("int2");
    case K::kBigint: return simple("int8");
    case K::kReal: return simple("float4");
    case K::kBoolean: return simple("bool");
    case K::kFloat: return float_type();
    case K::kDouble:
      if (!at(K::kPrecision, 1)) return nullptr;
      ++at_;
      return simple("float8");
    case K::kDecimal:
    case K::kDec:
    case K::kNumeric: {
      TypeName* type = simple("numeric");
      optional_modifiers(*type);
      return type;
    }
    case K::kBit: return bit_type(style);
    case K::kCharacter:
    case K::kChar:
    case K::kNchar:
    case K::kVarchar:
    case K::kNational: return character_type(style);
    case K::kTimestamp:
    case K::kTime: return datetime_type();
    default: return nullptr;
  }
}

TypeName* Parser::float_type() {
  const std::int32_t start = location();
  ++at_;
  if (!accept('(')) return system_type("float8", start);
  const std::int32_t precision_at = location();
  const std::int32_t precision = integer_literal();
  if (precision < 1) {
    throw error(sqlstate::kInvalidParameterValue, "precision for type float must be at least 1 bit")
        .at(precision_at);
  }
  if (precision > 53) {
    throw error(sqlstate::kInvalidParameterValue, "precision for type float must be less than 54 bits")
        .at(precision_at);
  }
  expect(')');
  return system_type(precision <= 24 ? "float4" : "float8", start);
}

TypeName* Parser::bit_type(CharacterStyle style) {
  const std::int32_t start = location();
  ++at_;
  const bool varying = accept(K::kVarying);
  TypeName* type = system_type(varying ? "varbit" : "bit", start);
  if (at('(')) {
    optional_modifiers(*type);
  } else if (!varying && style == CharacterStyle::kDefinition) {
    type->modifiers = list_of<Node*>({integer_node(1, -1)});
  }
  return type;
}

TypeName* Parser::character_type(CharacterStyle style) {
  const std::int32_t start = location();
  bool varying = false;
  if (accept(K::kVarchar)) {
    varying = true;
  } else {
    if (accept(K::kNational)) {
      if (!at_any(K::kCharacter, K::kChar)) fail();
    }
    ++at_;
    varying = accept(K::kVarying);
  }
  TypeName* type = system_type(varying ? "varchar" : "bpchar", start);
  if (accept('(')) {
    const std::int32_t length_at = location();
    type->modifiers = list_of<Node*>({integer_node(integer_literal(), length_at)});
    expect(')');
  } else if (!varying && style == CharacterStyle::kDefinition) {
    type->modifiers = list_of<Node*>({integer_node(1, -1)});
  }
  return type;
}

TypeName* Parser::datetime_type() {
  const std::int32_t start = location();
  const bool timestamp = next().keyword == K::kTimestamp;
  Node* precision = nullptr;
  if (accept('(')) {
    const std::int32_t precision_at = location();
    precision = integer_node(integer_literal(), precision_at);
    expect(')');
  }
  bool zone = false;
  if (at(K::kWith) && at(K::kTime, 1)) {
    at_ += 2;
    expect(K::kZone);
    zone = true;
  } else if (accept(K::kWithout)) {
    expect_all(K::kTime, K::kZone);
  }
  TypeName* type =
      system_type(timestamp ? (zone ? "timestamptz" : "timestamp") : (zone ? "timetz" : "time"), start);
  if (precision != nullptr) type->modifiers = list_of<Node*>({precision});
  return type;
}

void Parser::interval_fields(TypeName& type) {
  const std::int32_t start = location();
  const std::int32_t first = field_bit(peek().keyword);
  if (first == 0) return;
  ++at_;
  std::int32_t mask = first;
  std::int32_t last = first;
  if (first != kMonth && first != kSecond && at(K::kTo)) {
    ++at_;
    last = field_bit(peek().keyword);
    const bool valid = first == kYear ? last == kMonth : last > first && last >= kHour;
    if (!valid) fail();
    ++at_;
    // All fields between: bits of one family are neighbours, days stand apart.
    for (const std::int32_t bit : {kDay, kHour, kMinute, kSecond, kMonth, kYear}) {
      const bool inside =
          first == kYear ? (bit == kYear || bit == kMonth) : (bit >= first && bit <= last && bit >= kDay);
      if (inside) mask |= bit;
    }
  }
  if (last == kSecond && accept('(')) {
    const std::int32_t precision_at = location();
    const std::int32_t precision = integer_literal();
    expect(')');
    type.modifiers = list_of<Node*>({integer_node(mask, start), integer_node(precision, precision_at)});
    return;
  }
  type.modifiers = list_of<Node*>({integer_node(mask, start)});
}

}  // namespace rustbd::sql
