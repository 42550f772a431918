// Length, case, parts, padding, trimming, searching and replacing of text and bytea.
#include <unicode/uchar.h>

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"

namespace rustbd::functions {

namespace {

using types::Str;
using Args = const Datum*;

struct CharLength : NeverFails {
  using Left = Str;
  using Result = std::int32_t;
  static bool run(const Str& a, std::int32_t& out) {
    out = count_chars(a.view());
    return false;
  }
};
struct BlankedLength : NeverFails {
  using Left = Str;
  using Result = std::int32_t;
  static bool run(const Str& a, std::int32_t& out) {
    out = count_chars(strip_blanks(a).view());
    return false;
  }
};
struct OctetLength : NeverFails {
  using Left = Str;
  using Result = std::int32_t;
  static bool run(const Str& a, std::int32_t& out) {
    out = static_cast<std::int32_t>(a.len);
    return false;
  }
};
void bit_length(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(static_cast<std::int32_t>(a[0].str.len * 8));
}

void upper(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, to_upper(text_of(a[0])));
}
void lower(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = text_result(c, to_lower(text_of(a[0])));
}
void initcap(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  std::string result;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const auto ch = static_cast<UChar32>(decode_char(text, at));
    append_char(static_cast<std::uint32_t>(inside ? u_tolower(ch) : u_toupper(ch)), result);
    inside = u_isalnum(ch) != 0;
  }
  out = text_result(c, result);
}

Datum concatenate(EvalContext& c, std::string_view a, std::string_view b) {
  if (a.empty()) return text_part(b);
  if (b.empty()) return text_part(a);
  if (a.size() + b.size() > Str::kMaxBytes) return text_result(c, std::string(a) + std::string(b));
  char* to = static_cast<char*>(c.arena->allocate(a.size() + b.size(), 1));
  std::memcpy(to, a.data(), a.size());
  std::memcpy(to + a.size(), b.data(), b.size());
  return text_part({to, a.size() + b.size()});
}
/// Arguments that live in a Datum on the caller's stack must not be pointed to when short: Str copies those
/// inline.
void concat2(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = concatenate(c, text_of(a[0]), text_of(a[1]));
}

[[noreturn]] void negative_length() {
  throw error(sqlstate::kSubstringError, "negative substring length not allowed");
}

/// [from, to) in characters or bytes, 0-based and clamped, of SQL's 1-based start and length.
struct Range {
  std::int64_t from, to;
};
Range range_of(std::int64_t start, const std::int32_t* length) {
  std::int64_t end = INT64_MAX;
  if (length != nullptr) {
    if (*length < 0) {
      if (start + *length < start) negative_length();
    }
    end = start + *length;
  }
  const std::int64_t from = std::max<std::int64_t>(start, 1);
  return {from - 1, std::max(end, from) == INT64_MAX ? INT64_MAX : std::max(end, from) - 1};
}
std::string_view substring_chars(std::string_view text, Range r) {
  const std::size_t from = char_offset(text, r.from);
  const std::size_t to =
      r.to == INT64_MAX ? text.size() : from + char_offset(text.substr(from), r.to - r.from);
  return text.substr(from, to - from);
}
std::string_view substring_bytes(std::string_view text, Range r) {
  const auto size = static_cast<std::int64_t>(text.size());
  const std::int64_t from = std::min(r.from, size), to = std::min(r.to, size);
  return text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
}
template <auto Cut>
void substring(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = text_part(Cut(text_of(a[0]), range_of(a[1].i32, &a[2].i32)));
}
template <auto Cut>
void substring_open(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = text_part(Cut(text_of(a[0]), range_of(a[1].i32, nullptr)));
}
void left(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  std::int64_t n = a[1].i32;
  if (n < 0) n = std::max<std::int64_t>(count_chars(text) + n, 0);
  out = text_part(text.substr(0, char_offset(text, n)));
}
void right(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  const std::int64_t n = a[1].i32;
  const std::int64_t skip = n < 0 ? -n : std::max<std::int64_t>(count_chars(text) - n, 0);
  out = text_part(text.substr(char_offset(text, skip)));
}
template <auto Cut>
Datum overlay(EvalContext& c, Args a, std::int32_t length) {
  const std::int32_t start = a[2].i32;
  if (start <= 0) negative_length();
  std::int32_t after;
  if (__builtin_add_overflow(start, length, &after))
    throw error(sqlstate::kNumericValueOutOfRange, "integer out of range");
  const std::int32_t before = start - 1;
  std::string result{Cut(text_of(a[0]), range_of(1, &before))};
  result += text_of(a[1]);
  result += Cut(text_of(a[0]), range_of(after, nullptr));
  return text_result(c, result);
}
void text_overlay(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = overlay<substring_chars>(c, a, a[3].i32);
}
void text_overlay_all(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = overlay<substring_chars>(c, a, count_chars(text_of(a[1])));
}
void bytea_overlay(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = overlay<substring_bytes>(c, a, a[3].i32);
}
void bytea_overlay_all(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = overlay<substring_bytes>(c, a, static_cast<std::int32_t>(a[1].str.len));
}

Datum pad(EvalContext& c, std::string_view text, std::int32_t length, std::string_view fill, bool on_left) {
  if (length <= 0) return text_part("");
  const std::int32_t have = count_chars(text);
  if (have >= length || fill.empty()) return text_part(text.substr(0, char_offset(text, length)));
  if (static_cast<std::int64_t>(length) * 4 > Str::kMaxBytes)
    throw error(sqlstate::kProgramLimitExceeded, "requested length too large");
  std::string padding;
  std::size_t at = 0;
  for (std::int32_t i = have; i < length; ++i) {
    const std::size_t n = char_bytes(fill[at]);
    padding += fill.substr(at, n);
    at = at + n < fill.size() ? at + n : 0;
  }
  return text_result(c, on_left ? padding.append(text) : std::string{text}.append(padding));
}
void lpad(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = pad(c, text_of(a[0]), a[1].i32, text_of(a[2]), true);
}
void rpad(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = pad(c, text_of(a[0]), a[1].i32, text_of(a[2]), false);
}
void lpad_blanks(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = pad(c, text_of(a[0]), a[1].i32, " ", true);
}
void rpad_blanks(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = pad(c, text_of(a[0]), a[1].i32, " ", false);
}

std::string_view trim(std::string_view text, std::string_view set, bool front, bool back, bool bytes) {
  const auto in_set = [&](std::string_view ch) {
    for (std::size_t at = 0; at < set.size();) {
      const std::size_t n = bytes ? 1 : char_bytes(set[at]);
      if (set.substr(at, n) == ch) return true;
      at += n;
    }
    return false;
  };
  while (front && !text.empty()) {
    const std::size_t n = bytes ? 1 : char_bytes(text[0]);
    if (!in_set(text.substr(0, n))) break;
    text.remove_prefix(n);
  }
  while (back && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (!bytes && start > 0 && is_continuation(text[start])) --start;
    if (!in_set(text.substr(start))) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}
template <bool kFront, bool kBack, bool kBytes>
void trim_set(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = text_part(trim(text_of(a[0]), text_of(a[1]), kFront, kBack, kBytes));
}
template <bool kFront, bool kBack>
void trim_blanks(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = text_part(trim(text_of(a[0]), " ", kFront, kBack, false));
}

void replace(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]), from = text_of(a[1]), to = text_of(a[2]);
  if (from.empty() || text.find(from) == std::string_view::npos) {
    out = a[0];
    return;
  }
  std::string result;
  std::size_t at = 0;
  for (std::size_t hit; (hit = text.find(from, at)) != std::string_view::npos; at = hit + from.size()) {
    result += text.substr(at, hit - at);
    result += to;
    if (result.size() > Str::kMaxBytes) break;
  }
  result += text.substr(at);
  out = text_result(c, result);
}
void translate(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]), from = text_of(a[1]), to = text_of(a[2]);
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view ch = text.substr(at, char_bytes(text[at]));
    at += ch.size();
    std::int64_t index = 0;
    std::size_t f = 0;
    while (f < from.size() && from.substr(f, char_bytes(from[f])) != ch) {
      f += char_bytes(from[f]);
      ++index;
    }
    if (f >= from.size()) {
      result += ch;
      continue;
    }
    const std::size_t t = char_offset(to, index);
    if (t < to.size()) result += to.substr(t, char_bytes(to[t]));
  }
  out = text_result(c, result);
}
void position(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  const auto hit = text.find(text_of(a[1]));
  out = Datum::of(hit == std::string_view::npos ? std::int32_t{0} : count_chars(text.substr(0, hit)) + 1);
}
void byte_position(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const auto hit = text_of(a[0]).find(text_of(a[1]));
  out = Datum::of(hit == std::string_view::npos ? std::int32_t{0} : static_cast<std::int32_t>(hit) + 1);
}
void split_part(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]), delimiter = text_of(a[1]);
  std::int64_t n = a[2].i32;
  if (n == 0) throw error(sqlstate::kInvalidParameterValue, "field position must not be zero");
  if (delimiter.empty() || text.empty()) {
    out = n == 1 || n == -1 ? a[0] : text_part("");
    return;
  }
  std::int64_t fields = 1;
  for (std::size_t at = 0; (at = text.find(delimiter, at)) != std::string_view::npos; at += delimiter.size())
    ++fields;
  if (n < 0) n += fields + 1;
  if (n < 1 || n > fields) {
    out = text_part("");
    return;
  }
  std::size_t start = 0;
  for (std::int64_t i = 1; i < n; ++i) start = text.find(delimiter, start) + delimiter.size();
  out = text_part(text.substr(start, text.find(delimiter, start) == std::string_view::npos
                                         ? std::string_view::npos
                                         : text.find(delimiter, start) - start));
}
void reverse(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  std::string result(text.size(), '\0');
  std::size_t to = text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = std::min(char_bytes(text[at]), text.size() - at);
    to -= n;
    std::memcpy(result.data() + to, text.data() + at, n);
    at += n;
  }
  out = text_result(c, result);
}
void repeat(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  const std::int64_t n = std::max(a[1].i32, 0);
  if (static_cast<std::int64_t>(text.size()) * n > Str::kMaxBytes)
    throw error(sqlstate::kProgramLimitExceeded, "requested length too large");
  std::string result;
  result.reserve(text.size() * static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n && !text.empty(); ++i) result += text;
  out = text_result(c, result);
}
void ascii(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::string_view text = text_of(a[0]);
  std::size_t at = 0;
  out = Datum::of(text.empty() ? std::int32_t{0} : static_cast<std::int32_t>(decode_char(text, at)));
}
void chr(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  const std::int32_t code = a[0].i32;
  if (code < 0) throw error(sqlstate::kInvalidParameterValue, "character number must be positive");
  if (code == 0) throw error(sqlstate::kProgramLimitExceeded, "null character not permitted");
  if (code > 0x10FFFF)
    throw error(sqlstate::kProgramLimitExceeded, "requested character too large for encoding: {}", code);
  if (code >= 0xD800 && code <= 0xDFFF)
    throw error(sqlstate::kProgramLimitExceeded, "requested character not valid for encoding: {}", code);
  std::string result;
  append_char(static_cast<std::uint32_t>(code), result);
  out = text_result(c, result);
}
void starts_with(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(text_of(a[0]).starts_with(text_of(a[1])));
}

void concat_any(EvalContext& c, Args a, const bool* nulls, Datum& out, bool*) {
  std::string result;
  for (std::size_t i = 0; i < c.argument_types.size(); ++i)
    if (!nulls[i]) append_output(c, a[i], c.argument_types[i], result);
  out = text_result(c, result);
}
void concat_ws(EvalContext& c, Args a, const bool* nulls, Datum& out, bool* is_null) {
  if (nulls[0]) {
    *is_null = true;
    return;
  }
  std::string result;
  bool first = true;
  for (std::size_t i = 1; i < c.argument_types.size(); ++i) {
    if (nulls[i]) continue;
    if (!first) result += text_of(a[0]);
    first = false;
    append_output(c, a[i], c.argument_types[i], result);
  }
  out = text_result(c, result);
}
void text_any(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  std::string result{text_of(a[0])};
  append_output(c, a[1], c.argument_types[1], result);
  out = text_result(c, result);
}
void any_text(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  std::string result;
  append_output(c, a[0], c.argument_types[0], result);
  result += text_of(a[1]);
  out = text_result(c, result);
}

template <class Op>
void add_length(KernelTable& t, std::string_view name) {
  t.vector(name, &unary_vector<Op>, &unary_scalar<Op>, false);
}

void add_parts(KernelTable& t) {
  t.scalar("text_substr", &substring<substring_chars>);
  t.scalar("text_substr_no_len", &substring_open<substring_chars>, false);
  t.scalar("bytea_substr", &substring<substring_bytes>);
  t.scalar("bytea_substr_no_len", &substring_open<substring_bytes>, false);
  t.scalar("text_left", &left, false);
  t.scalar("text_right", &right, false);
  t.scalar("textoverlay", &text_overlay);
  t.scalar("textoverlay_no_len", &text_overlay_all);
  t.scalar("byteaoverlay", &bytea_overlay);
  t.scalar("byteaoverlay_no_len", &bytea_overlay_all);
  t.scalar("lpad", &lpad);
  t.scalar("rpad", &rpad);
  t.scalar("lpad_879", &lpad_blanks);
  t.scalar("rpad_880", &rpad_blanks);
  t.scalar("ltrim", &trim_set<true, false, false>, false);
  t.scalar("rtrim", &trim_set<false, true, false>, false);
  t.scalar("btrim", &trim_set<true, true, false>, false);
  t.scalar("bytealtrim", &trim_set<true, false, true>, false);
  t.scalar("byteartrim", &trim_set<false, true, true>, false);
  t.scalar("byteatrim", &trim_set<true, true, true>, false);
  t.scalar("ltrim1", &trim_blanks<true, false>, false);
  t.scalar("btrim1", &trim_blanks<true, true>, false);
}

}  // namespace

void register_text_kernels(KernelTable& t) {
  add_length<CharLength>(t, "textlen");
  add_length<BlankedLength>(t, "bpcharlen");
  add_length<OctetLength>(t, "textoctetlen");
  add_length<OctetLength>(t, "bpcharoctetlen");
  add_length<OctetLength>(t, "byteaoctetlen");
  t.scalar("bit_length_1810", &bit_length, false);
  t.scalar("bit_length_1811", &bit_length, false);
  t.scalar("upper", &upper, false);
  t.scalar("lower", &lower, false);
  t.scalar("initcap", &initcap, false);
  t.scalar("textcat", &concat2);
  t.scalar("byteacat", &concat2);
  add_parts(t);
  t.scalar("replace_text", &replace);
  t.scalar("translate", &translate);
  t.scalar("textpos", &position, false);
  t.scalar("byteapos", &byte_position, false);
  t.scalar("split_part", &split_part);
  t.scalar("text_reverse", &reverse, false);
  t.scalar("repeat", &repeat);
  t.scalar("ascii", &ascii, false);
  t.scalar("chr", &chr);
  t.scalar("text_starts_with", &starts_with, false);
  t.scalar("text_concat", &concat_any);
  t.scalar("text_concat_ws", &concat_ws);
  t.scalar("textanycat_2003", &text_any);
  t.scalar("anytextcat_2004", &any_text);
}

}  // namespace rustbd::functions
