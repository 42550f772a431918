// UTF-8 and string helpers shared by the text kernels. Text in the server is valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

inline types::Str strip_blanks(const types::Str& s) {
  std::string_view v = s.view();
  const auto last = v.find_last_not_of(' ');
  return last + 1 == v.size() ? s : types::Str{v.substr(0, last + 1)};
}

inline bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
/// Bytes of the character that starts with `c`.
inline std::size_t char_bytes(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x80 ? 1 : (u < 0xE0 ? 2 : (u < 0xF0 ? 3 : 4));
}
inline std::int32_t count_chars(std::string_view text) {
  std::int32_t n = 0;
  for (const char c : text) n += is_continuation(c) ? 0 : 1;
  return n;
}
/// Byte offset of character `n` (0-based), at most text.size().
inline std::size_t char_offset(std::string_view text, std::int64_t n) {
  std::size_t at = 0;
  while (n > 0 && at < text.size()) {
    at += char_bytes(text[at]);
    --n;
  }
  return at < text.size() ? at : text.size();
}
std::uint32_t decode_char(std::string_view text, std::size_t& at);  // moves `at` behind it
void append_char(std::uint32_t code_point, std::string& out);

/// A result string in the arena. 54000 beyond 1 GiB.
Datum text_result(EvalContext& context, std::string_view text);
/// For results inside an argument: no copy.
inline Datum text_part(std::string_view text) { return Datum::of(types::Str{text}); }
inline std::string_view text_of(const Datum& d) { return d.str.view(); }

/// Output function of any type.
void append_output(EvalContext& context, const Datum& value, const TypeRef& type, std::string& out);
/// Case mapping through ICU for what is not ASCII.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view text);

}  // namespace rustbd::functions
