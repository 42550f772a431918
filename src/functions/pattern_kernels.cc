// LIKE, ILIKE and their escapes.
#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/pattern.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"

namespace rustbd::functions {

namespace {
[[noreturn]] void trailing_escape() {
  throw error(sqlstate::kInvalidEscapeSequence, "LIKE pattern must not end with escape character");
}

/// Bytes of pattern and text from p and t on; goes back only to the last '%', so the time is O(text *
/// pattern).
bool match(std::string_view text, std::string_view pattern, bool bytes) {
  std::size_t t = 0, p = 0, back_t = 0, back_p = std::string_view::npos;
  const auto width = [&](std::size_t at) { return bytes ? std::size_t{1} : char_bytes(text[at]); };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      while (p < pattern.size() && pattern[p] == '%') ++p;
      if (p == pattern.size()) return true;
      back_p = p;
      back_t = t;
      continue;
    }
    bool fits = false;
    std::size_t advance = 1;
    if (p < pattern.size()) {
      if (pattern[p] == '_') {
        fits = true;
        advance = width(t);
        ++p;
      } else {
        std::size_t q = p;
        if (pattern[q] == '\\' && ++q == pattern.size()) trailing_escape();
        if (pattern[q] == text[t]) {
          fits = true;
          p = q + 1;
        }
      }
    }
    if (fits) {
      t += advance;
      continue;
    }
    if (back_p == std::string_view::npos) return false;
    p = back_p;
    // To the next place where the byte after the '%' can stand.
    back_t += width(back_t);
    char first = pattern[p];
    if (first == '\\' && p + 1 < pattern.size()) first = pattern[p + 1];
    if (first != '_' && pattern[p] != '%') {
      const auto hit = text.find(first, back_t);
      if (hit == std::string_view::npos) return false;
      back_t = hit;
    }
    t = back_t;
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

struct Like {
  using Left = types::Str;
  using Right = types::Str;
  using Result = bool;
  static bool run(const types::Str& a, const types::Str& b, bool& out) {
    out = match(a.view(), b.view(), false);
    return false;
  }
  [[noreturn]] static void fail(const types::Str&, const types::Str&) { trailing_escape(); }
};
struct NotLike : Like {
  static bool run(const types::Str& a, const types::Str& b, bool& out) {
    out = !match(a.view(), b.view(), false);
    return false;
  }
};
struct ByteLike : Like {
  static bool run(const types::Str& a, const types::Str& b, bool& out) {
    out = match(a.view(), b.view(), true);
    return false;
  }
};
struct ByteNotLike : Like {
  static bool run(const types::Str& a, const types::Str& b, bool& out) {
    out = !match(a.view(), b.view(), true);
    return false;
  }
};
void ilike_of(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(ilike(text_of(a[0]), text_of(a[1])));
}
void not_ilike_of(EvalContext&, const Datum* a, const bool*, Datum& out, bool*) {
  out = Datum::of(!ilike(text_of(a[0]), text_of(a[1])));
}
void like_escape_of(EvalContext& c, const Datum* a, const bool*, Datum& out, bool*) {
  out = text_result(c, like_escape(text_of(a[0]), text_of(a[1])));
}
template <class Op>
void add(KernelTable& t, std::string_view name) {
  t.vector(name, &binary_vector<Op>, &binary_scalar<Op>, true);
}
}  // namespace

bool like(std::string_view text, std::string_view pattern) { return match(text, pattern, false); }
bool ilike(std::string_view text, std::string_view pattern) {
  return match(to_lower(text), to_lower(pattern), false);
}

std::string like_prefix(std::string_view pattern, bool* exact) {
  std::string prefix;
  *exact = false;
  for (std::size_t p = 0; p < pattern.size(); ++p) {
    if (pattern[p] == '%' || pattern[p] == '_') return prefix;
    if (pattern[p] == '\\' && ++p == pattern.size()) return prefix;
    prefix += pattern[p];
  }
  *exact = true;
  return prefix;
}

std::string like_escape(std::string_view pattern, std::string_view escape) {
  if (count_chars(escape) > 1)
    throw error(sqlstate::kInvalidEscapeSequence, "invalid escape string")
        .with_hint("Escape string must be empty or one character.");
  std::string out;
  if (escape.empty()) {
    for (const char c : pattern) {
      if (c == '\\') out += '\\';
      out += c;
    }
    return out;
  }
  if (escape == "\\") return std::string{pattern};
  bool after_escape = false;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string_view ch = pattern.substr(at, char_bytes(pattern[at]));
    at += ch.size();
    if (ch == escape && !after_escape) {
      out += '\\';
      after_escape = true;
      continue;
    }
    if (ch == "\\" && !after_escape) out += '\\';
    out += ch;
    after_escape = false;
  }
  return out;
}

void register_pattern_kernels(KernelTable& t) {
  for (const std::string_view name : {"textlike", "namelike", "bpcharlike"}) add<Like>(t, name);
  for (const std::string_view name : {"textnlike", "namenlike", "bpcharnlike"}) add<NotLike>(t, name);
  add<ByteLike>(t, "bytealike");
  add<ByteNotLike>(t, "byteanlike");
  for (const std::string_view name : {"texticlike", "nameiclike", "bpchariclike"}) t.scalar(name, &ilike_of);
  for (const std::string_view name : {"texticnlike", "nameicnlike", "bpcharicnlike"})
    t.scalar(name, &not_ilike_of);
  t.scalar("like_escape", &like_escape_of);
}

}  // namespace rustbd::functions
