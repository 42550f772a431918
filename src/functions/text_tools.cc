#include "rustbd/functions/text_tools.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/types/io.h"

namespace rustbd::functions {

namespace {

/// PostgreSQL 15's key words that are not unreserved, sorted: as identifiers they need quotes.
constexpr std::string_view kQuotedKeywords[] = {"all",
                                                "analyse",
                                                "analyze",
                                                "and",
                                                "any",
                                                "array",
                                                "as",
                                                "asc",
                                                "asymmetric",
                                                "authorization",
                                                "between",
                                                "bigint",
                                                "binary",
                                                "bit",
                                                "boolean",
                                                "both",
                                                "case",
                                                "cast",
                                                "char",
                                                "character",
                                                "check",
                                                "coalesce",
                                                "collate",
                                                "collation",
                                                "column",
                                                "concurrently",
                                                "constraint",
                                                "create",
                                                "cross",
                                                "current_catalog",
                                                "current_date",
                                                "current_role",
                                                "current_schema",
                                                "current_time",
                                                "current_timestamp",
                                                "current_user",
                                                "dec",
                                                "decimal",
                                                "default",
                                                "deferrable",
                                                "desc",
                                                "distinct",
                                                "do",
                                                "else",
                                                "end",
                                                "except",
                                                "exists",
                                                "extract",
                                                "false",
                                                "fetch",
                                                "float",
                                                "for",
                                                "foreign",
                                                "freeze",
                                                "from",
                                                "full",
                                                "grant",
                                                "greatest",
                                                "group",
                                                "grouping",
                                                "having",
                                                "ilike",
                                                "in",
                                                "initially",
                                                "inner",
                                                "inout",
                                                "int",
                                                "integer",
                                                "intersect",
                                                "interval",
                                                "into",
                                                "is",
                                                "isnull",
                                                "join",
                                                "lateral",
                                                "leading",
                                                "least",
                                                "left",
                                                "like",
                                                "limit",
                                                "localtime",
                                                "localtimestamp",
                                                "national",
                                                "natural",
                                                "nchar",
                                                "none",
                                                "normalize",
                                                "not",
                                                "notnull",
                                                "null",
                                                "nullif",
                                                "numeric",
                                                "offset",
                                                "on",
                                                "only",
                                                "or",
                                                "order",
                                                "out",
                                                "outer",
                                                "overlaps",
                                                "overlay",
                                                "placing",
                                                "position",
                                                "precision",
                                                "primary",
                                                "real",
                                                "references",
                                                "returning",
                                                "right",
                                                "row",
                                                "select",
                                                "session_user",
                                                "setof",
                                                "similar",
                                                "smallint",
                                                "some",
                                                "substring",
                                                "symmetric",
                                                "table",
                                                "tablesample",
                                                "then",
                                                "time",
                                                "timestamp",
                                                "to",
                                                "trailing",
                                                "treat",
                                                "trim",
                                                "true",
                                                "union",
                                                "unique",
                                                "user",
                                                "using",
                                                "values",
                                                "varchar",
                                                "variadic",
                                                "verbose",
                                                "when",
                                                "where",
                                                "window",
                                                "with",
                                                "xmlattributes",
                                                "xmlconcat",
                                                "xmlelement",
                                                "xmlexists",
                                                "xmlforest",
                                                "xmlnamespaces",
                                                "xmlparse",
                                                "xmlpi",
                                                "xmlroot",
                                                "xmlserialize",
                                                "xmltable"};

template <class Map>
std::string map_case(std::string_view text, Map&& map) {
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size())
    append_char(static_cast<std::uint32_t>(map(static_cast<UChar32>(decode_char(text, at)))), out);
  return out;
}
bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::uint32_t decode_char(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t n = char_bytes(text[at]);
  if (n == 1 || at + n > text.size()) {
    ++at;
    return lead;
  }
  std::uint32_t c = lead & (0xFFu >> (n + 1));
  for (std::size_t i = 1; i < n; ++i) c = (c << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  at += n;
  return c;
}

void append_char(std::uint32_t c, std::string& out) {
  const auto tail = [&](int shift) { out.push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3F))); };
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (c >> 6)));
    tail(0);
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (c >> 12)));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0 | (c >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

Datum text_result(EvalContext& context, std::string_view text) {
  if (text.size() > types::Str::kMaxBytes)
    throw error(sqlstate::kProgramLimitExceeded, "invalid memory alloc request size {}", text.size());
  return Datum::of(types::Str::copy(text, *context.arena));
}

void append_output(EvalContext& context, const Datum& value, const TypeRef& type, std::string& out) {
  if (type.phys == types::Phys::kStr &&
      (type.oid == types::oid::kText || type.oid == types::oid::kVarchar ||
       type.oid == types::oid::kUnknown || type.oid == types::oid::kBpchar)) {
    out += value.str.view();
    return;
  }
  types::IoContext own;
  own.arena = context.arena;
  types::output_text(value, type, context.statement == nullptr ? own : context.statement->io(), out);
}

std::string to_upper(std::string_view text) {
  if (is_ascii(text)) {
    std::string out{text};
    for (char& c : out)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    return out;
  }
  return map_case(text, [](UChar32 c) { return u_toupper(c); });
}
std::string to_lower(std::string_view text) {
  if (is_ascii(text)) {
    std::string out{text};
    for (char& c : out)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return out;
  }
  return map_case(text, [](UChar32 c) { return u_tolower(c); });
}

std::string quote_identifier(std::string_view name) {
  const auto plain_start = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  bool safe = !name.empty() && plain_start(name[0]);
  for (const char c : name) safe &= plain_start(c) || (c >= '0' && c <= '9');
  if (safe && !std::ranges::binary_search(kQuotedKeywords, name)) return std::string{name};
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
  return out;
}

std::string quote_literal(std::string_view text) {
  std::string out;
  if (text.find('\\') != std::string_view::npos) out += 'E';
  out += '\'';
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  out += '\'';
  return out;
}

}  // namespace rustbd::functions
