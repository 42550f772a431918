// Text to numeric, and numeric to and from floats.
#include <charconv>
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/types/numeric.h"
#include "rustbd/types/numeric_big.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
[[noreturn]] void bad_numeric(std::string_view text) {
  throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type numeric: \"{}\"", text);
}

/// "NaN", "inf", "+Infinity", ...: true when it is one of them.
bool parse_special(std::string_view word, Numeric* out) {
  if (equal_ignoring_case(word, "nan")) {
    *out = numeric_nan();
    return true;
  }
  bool negative = false;
  if (!word.empty() && (word[0] == '+' || word[0] == '-')) {
    negative = word[0] == '-';
    word.remove_prefix(1);
  }
  if (!equal_ignoring_case(word, "inf") && !equal_ignoring_case(word, "infinity")) return false;
  *out = numeric_special(negative ? NumericKind::kMinusInfinity : NumericKind::kInfinity);
  return true;
}

/// Reads the exponent behind 'e'; advances `at`.
std::int64_t parse_exponent(std::string_view text, std::size_t& at, std::string_view whole) {
  bool negative = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  if (at >= text.size() || !is_digit(text[at])) bad_numeric(whole);
  std::int64_t exponent = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    exponent = exponent * 10 + (text[at] - '0');
    if (exponent >= INT32_MAX / 2) bad_numeric(whole);
  }
  return negative ? -exponent : exponent;
}

/// digits * 10^-scale, where scale may be negative or over the limit.
Numeric make_number(bool negative, std::string_view digits, std::int64_t scale, Arena& arena) {
  while (!digits.empty() && digits[0] == '0') digits.remove_prefix(1);
  if (scale > kNumericMaxScale)
    throw error(sqlstate::kNumericValueOutOfRange, "value overflows numeric format");
  std::string padded;
  if (scale < 0) {
    if (digits.empty()) {
      scale = 0;
    } else if (static_cast<std::int64_t>(digits.size()) - scale > kNumericMaxWholeDigits) {
      throw error(sqlstate::kNumericValueOutOfRange, "value overflows numeric format");
    } else {
      padded.assign(digits);
      padded.append(static_cast<std::size_t>(-scale), '0');
      digits = padded;
      scale = 0;
    }
  }
  if (digits.size() <= 38) {
    UInt128 v = 0;
    for (const char c : digits) v = v * 10 + static_cast<unsigned>(c - '0');
    return numeric_from_u128(negative, v, static_cast<int>(scale), arena);
  }
  return big::from_decimal(negative, digits, static_cast<int>(scale), arena);
}
}  // namespace

Numeric parse_numeric(std::string_view whole, Arena& arena) {
  const std::string_view text = trim_blanks(whole);
  std::size_t at = 0;
  Numeric special;
  if (parse_special(text, &special)) return special;
  bool negative = false;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
  const std::size_t start = at;
  std::size_t point = std::string_view::npos;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && point == std::string_view::npos) point = at;
    else if (!is_digit(text[at])) break;
  }
  const std::size_t end = at;
  const std::size_t digit_total = end - start - (point == std::string_view::npos ? 0 : 1);
  if (digit_total == 0) bad_numeric(whole);
  std::int64_t scale = point == std::string_view::npos ? 0 : static_cast<std::int64_t>(end - point - 1);
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) scale -= parse_exponent(text, ++at, whole);
  if (at != text.size()) bad_numeric(whole);
  if (point == std::string_view::npos)
    return make_number(negative, text.substr(start, end - start), scale, arena);
  std::string digits;
  digits.reserve(digit_total);
  digits.append(text, start, point - start);
  digits.append(text, point + 1, end - point - 1);
  return make_number(negative, digits, scale, arena);
}

double numeric_to_double(const Numeric& n) {
  switch (kind_of(n)) {
    case NumericKind::kNan: return std::nan("");
    case NumericKind::kInfinity: return HUGE_VAL;
    case NumericKind::kMinusInfinity: return -HUGE_VAL;
    case NumericKind::kFinite: break;
  }
  if (is_inline(n) && (n.hi & numeric_layout::kMagnitudeHigh) == 0 && n.lo < (1ull << 53) &&
      dscale_of(n) <= 22) {
    // Both exact in a double, so that one division rounds correctly (Clinger, PLDI 1990).
    static constexpr double kPowers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const double v = static_cast<double>(n.lo) / kPowers[dscale_of(n)];
    return sign_of(n) < 0 ? -v : v;
  }
  const std::string text = to_string(n);
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{})
    throw error(sqlstate::kNumericValueOutOfRange, "\"{}\" is out of range for type double precision", text);
  return value;
}

float numeric_to_float(const Numeric& n) {
  if (!is_finite(n)) return static_cast<float>(numeric_to_double(n));
  const std::string text = to_string(n);
  float value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{})
    throw error(sqlstate::kNumericValueOutOfRange, "\"{}\" is out of range for type real", text);
  return value;
}

namespace {
Numeric from_float(double value, int digits, Arena& arena) {
  if (std::isnan(value)) return numeric_nan();
  if (std::isinf(value))
    return numeric_special(value < 0 ? NumericKind::kMinusInfinity : NumericKind::kInfinity);
  return parse_numeric(fmt::format("{:.{}g}", value, digits), arena);
}
}  // namespace
Numeric numeric_from_double(double value, Arena& arena) { return from_float(value, 15, arena); }
Numeric numeric_from_float(float value, Arena& arena) { return from_float(value, 6, arena); }

}  // namespace rustbd::types
