// What is inside literals: doubled quotes, backslash escapes, Unicode escapes. Used by the lexer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "rustbd/base/arena.h"
#include "rustbd/base/error.h"

namespace rustbd::sql {

/// Throws 22021 as PostgreSQL does for the first bad sequence, or a zero byte.
void check_utf8(std::string_view text);

/// `what at or near "…"` with text [start, end), position start; at the end of the text `what at end of
/// input`.
[[nodiscard]] Error lexical_error(std::string_view text, std::size_t start, std::size_t end,
                                  std::string_view what);

/// Turns each doubled `quote` into one.
std::string_view undouble(std::string_view raw, char quote, Arena& arena);

/// \XXXX and \+XXXXXX of U& literals, with `escape` for the backslash. `offset`: where raw stands in the
/// text.
std::string_view decode_unicode(std::string_view raw, char escape, Arena& arena, std::string_view text,
                                std::size_t offset);

/// Inside of E'…': may be called for each part of a literal that is continued on another line.
class EscapeDecoder {
 public:
  EscapeDecoder(std::string_view text, std::size_t literal_start) : text_(text), start_(literal_start) {}
  /// From behind the opening quote; returns the offset behind the closing one.
  std::size_t decode(std::size_t at);
  /// The whole; throws 22021 when the escapes made invalid UTF-8.
  std::string_view finish();

 private:
  std::size_t escape(std::size_t at);
  std::size_t unicode(std::size_t at);
  std::string_view text_;
  std::size_t start_;
  std::string out_;
  bool made_bytes_ = false;
  std::uint32_t high_surrogate_ = 0;
};

}  // namespace rustbd::sql
