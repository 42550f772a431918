// SQL text to AST: PostgreSQL 15's dialect, hand-written recursive descent with operator precedence.
// Errors: Error with PostgreSQL's text, state 42601 (54001 for nesting deeper than kNestingMax, 22021 for bad
// UTF-8, 0A000, …) and position, a byte offset in `text`.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/error.h"
#include "rustbd/sql/ast.h"

namespace rustbd::sql {

/// How deep statements and expressions may nest, and how long a chain like `a + b + c …` (which makes a tree
/// that leans left) may be.
inline constexpr std::int32_t kNestingMax = 1000;
inline constexpr std::int32_t kChainMax = 4000;
/// Stack the parser may use; reached before kNestingMax only where frames are large (sanitizers).
inline constexpr std::int64_t kStackBytesMax = std::int64_t{5} << 20;

/// One statement of a text: [begin, end) is its bytes, without the semicolon and the blanks around.
struct RawStatement {
  Node* statement = nullptr;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

/// Parses all statements of `text` (empty ones leave nothing). The AST lives in `arena` and does not refer to
/// `text`. `notices`, when given, gets the NOTICEs (identifier truncated).
std::vector<RawStatement> parse(std::string_view text, Arena& arena, std::vector<Notice>* notices = nullptr);

/// Parses one expression, as in a stored default or check.
Node* parse_expression(std::string_view text, Arena& arena);

/// Parses one type name, as in `'…'::regtype`.
TypeName* parse_type_name(std::string_view text, Arena& arena);

}  // namespace rustbd::sql
