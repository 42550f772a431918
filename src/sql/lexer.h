// SQL text to tokens, by PostgreSQL 15's rules (scan.l described in its manual, section 4.1).
//
// One pass makes all tokens. The first lexical error ends the list with a kError token, thrown by the parser
// only when it gets there, so that an earlier syntax error wins, as in PostgreSQL, which lexes on demand.
// Beyond PostgreSQL 15: 0x1F, 0o17, 0b11, 1_000.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/error.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::sql {

/// A single character that is a token by itself has its own code: TokenKind('(').
enum class TokenKind : std::uint8_t {
  kEnd = 0,
  kError = 128,
  kIdentifier,  // value: folded, or the inside of the quotes
  kKeyword,     // value: folded
  kInteger,     // fits int4; value: decimal digits
  kNumeric,     // value: the number as decimal text
  kString,      // value: the contents
  kBitString,   // value: what is between the quotes
  kHexString,
  kParameter,      // $n; value: the digits
  kOperator,       // value: its text; also carries what has no own kind
  kTypecast,       // ::
  kDotDot,         // ..
  kColonEquals,    // :=
  kEqualsGreater,  // =>
  kLessEquals,
  kGreaterEquals,
  kNotEquals,
};

struct Token {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  TokenKind kind = TokenKind::kEnd;
  Keyword keyword = Keyword::kNotKeyword;
  std::string_view value{};
};

struct TokenList {
  std::vector<Token> tokens;   // ends with kEnd or kError
  std::optional<Error> error;  // of the kError token
};

inline constexpr std::size_t kIdentifierBytesMax = 63;
inline constexpr std::size_t kStatementBytesMax = std::size_t{1} << 30;

/// `text` must outlive the tokens; values are parts of it or live in `arena`. Throws 22021 for bad UTF-8 and
/// 54000 for too long a text.
TokenList tokenize(std::string_view text, Arena& arena, std::vector<Notice>* notices = nullptr);

}  // namespace rustbd::sql
