// Text forms of integers, floats, booleans, bytea, uuid, oid, and UTF-8 checks.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "rustbd/base/error.h"
#include "rustbd/types/io.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
[[noreturn]] void bad_syntax(std::string_view type, std::string_view text) {
  throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"", type, text);
}
[[noreturn]] void out_of_range(std::string_view type, std::string_view text) {
  throw error(sqlstate::kNumericValueOutOfRange, "value \"{}\" is out of range for type {}", text, type);
}
}  // namespace

std::int64_t parse_integer(std::string_view whole, int bytes) {
  const std::string_view name = bytes == 2 ? "smallint" : (bytes == 4 ? "integer" : "bigint");
  std::string_view text = trim_blanks(whole);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty()) bad_syntax(name, whole);
  // Accumulates below zero, where the range is one wider.
  std::int64_t value = 0;
  bool overflow = false;
  for (const char c : text) {
    if (!is_digit(c)) bad_syntax(name, whole);
    overflow |= __builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, c - '0', &value);
  }
  const std::int64_t low = bytes == 2 ? INT16_MIN : (bytes == 4 ? INT32_MIN : INT64_MIN);
  if (overflow || value < low || (!negative && value == low)) out_of_range(name, whole);
  return negative ? value : -value;
}

bool parse_bool(std::string_view whole) {
  const std::string text = lower(trim_blanks(whole));
  const auto is_prefix = [&](std::string_view word, std::size_t least) {
    return text.size() >= least && word.starts_with(text);
  };
  if (is_prefix("true", 1) || is_prefix("yes", 1) || is_prefix("on", 2) || text == "1") return true;
  if (is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) || text == "0") return false;
  bad_syntax("boolean", whole);
}

namespace {
/// strtod's hexadecimal floats; rare.
template <class T>
std::size_t parse_hex_float(std::string_view text, T* value) {
  const std::string copy{text};
  char* end = nullptr;
  *value = static_cast<T>(std::strtod(copy.c_str(), &end));
  return static_cast<std::size_t>(end - copy.c_str());
}

template <class T>
T parse_float(std::string_view whole, std::string_view name) {
  std::string_view text = whole;
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  const std::string_view number = text;
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const std::string_view word = trim_blanks(text);
  if (equal_ignoring_case(word, "nan")) return std::numeric_limits<T>::quiet_NaN();
  if (equal_ignoring_case(word, "inf") || equal_ignoring_case(word, "infinity"))
    return negative ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  if (text.empty() || !(is_digit(text[0]) || text[0] == '.')) bad_syntax(name, whole);
  T value = 0;
  std::size_t used = 0;
  if (text.size() > 2 && text[0] == '0' && lower(text[1]) == 'x') {
    used = parse_hex_float(text, &value);
  } else {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure == std::errc::invalid_argument) bad_syntax(name, whole);
    used = static_cast<std::size_t>(end - text.data());
    if (failure == std::errc::result_out_of_range)
      throw error(sqlstate::kNumericValueOutOfRange, "\"{}\" is out of range for type {}",
                  number.substr(0, number.size() - text.size() + used), name);
  }
  if (!trim_blanks(text.substr(used)).empty()) bad_syntax(name, whole);
  return negative ? -value : value;
}

/// True when digits * 10^exponent lies exactly between `value` and a neighbour. Both sides are odd * 2^k, and
/// powers of five that could be equal fit 128 bits.
template <class T>
bool is_halfway(std::uint64_t digits, int exponent, T value) {
  int binary = 0;
  const double fraction = std::frexp(std::fabs(static_cast<double>(value)), &binary);
  const auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  constexpr int kDropped = 53 - std::numeric_limits<T>::digits;
  const std::uint64_t half =
      1ull << kDropped;  // half a unit of T's last place, where the mantissa is doubled
  for (const std::uint64_t middle : {mantissa * 2 + half, mantissa * 2 - half}) {
    unsigned __int128 left = digits, right = middle;
    for (int i = 0; i < exponent && left >> 120 == 0; ++i) left *= 5;
    for (int i = 0; i > exponent && right >> 120 == 0; --i) right *= 5;
    if (left >> 120 != 0 || right >> 120 != 0) continue;
    int left_twos = exponent, right_twos = binary - 54;
    while ((left & 1) == 0) left >>= 1, ++left_twos;
    while ((right & 1) == 0) right >>= 1, ++right_twos;
    if (left == right && left_twos == right_twos) return true;
  }
  return false;
}

/// d.ddde±xx taken apart.
struct Decimal {
  std::string digits;
  int exponent = 0;
  explicit Decimal(std::string_view scientific) {
    const std::size_t e = scientific.find('e');
    for (const char c : scientific.substr(0, e))
      if (is_digit(c)) digits += c;
    const char* at = scientific.data() + e + 1;
    if (*at == '+') ++at;
    std::from_chars(at, scientific.data() + scientific.size(), exponent);
  }
};

/// Fewest digits that read back, where, as in PostgreSQL, a number halfway to a neighbour is not taken for
/// either.
template <class T>
Decimal shortest_decimal(T value) {
  char buffer[48];
  auto made = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  Decimal d{{buffer, static_cast<std::size_t>(made.ptr - buffer)}};
  for (auto n = static_cast<int>(d.digits.size()); n < std::numeric_limits<T>::max_digits10 && value != 0;
       ++n) {
    if (!is_halfway(std::stoull(d.digits), d.exponent - static_cast<int>(d.digits.size()) + 1, value)) break;
    T back = 0;
    do {
      made = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific, n);
      std::from_chars(buffer, made.ptr, back);
    } while (back != value && ++n < std::numeric_limits<T>::max_digits10);
    d = Decimal{{buffer, static_cast<std::size_t>(made.ptr - buffer)}};
  }
  while (d.digits.size() > 1 && d.digits.back() == '0') d.digits.pop_back();
  return d;
}

/// Fixed notation for exponents in [-4, fixed_end).
template <class T>
void append_shortest(T value, int fixed_end, std::string& out) {
  const Decimal d = shortest_decimal(value);
  if (std::signbit(value)) out += '-';
  const int n = static_cast<int>(d.digits.size());
  if (d.exponent < -4 || d.exponent >= fixed_end) {
    out += d.digits[0];
    if (n > 1) out += '.';
    out.append(d.digits, 1);
    fmt::format_to(std::back_inserter(out), "e{}{:02}", d.exponent < 0 ? '-' : '+', std::abs(d.exponent));
  } else if (d.exponent < 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-d.exponent - 1), '0');
    out += d.digits;
  } else if (n <= d.exponent + 1) {
    out += d.digits;
    out.append(static_cast<std::size_t>(d.exponent + 1 - n), '0');
  } else {
    const auto whole = static_cast<std::size_t>(d.exponent + 1);
    out.append(d.digits, 0, whole);
    out += '.';
    out.append(d.digits, whole);
  }
}

template <class T>
void append_float(T value, int digits, int fixed_end, int extra, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value < 0 ? "-Infinity" : "Infinity";
    return;
  }
  if (extra > 0) {
    append_shortest(value, fixed_end, out);
    return;
  }
  fmt::format_to(std::back_inserter(out), "{:.{}g}", value, std::max(1, digits + extra));
}
}  // namespace

double parse_float8(std::string_view text) { return parse_float<double>(text, "double precision"); }
float parse_float4(std::string_view text) { return parse_float<float>(text, "real"); }
void append_float8(double value, int extra, std::string& out) { append_float(value, 15, 15, extra, out); }
void append_float4(float value, int extra, std::string& out) { append_float(value, 6, 6, extra, out); }
void append_integer(std::int64_t value, std::string& out) {
  char buffer[24];
  const auto made = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, made.ptr);
}

// ---- bytea
// ------------------------------------------------------------------------------------------------------
void append_bytea(std::string_view bytes, bool escape, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (!escape) {
    out += "\\x";
    for (const char c : bytes) {
      const auto b = static_cast<unsigned char>(c);
      out += kHex[b >> 4];
      out += kHex[b & 15];
    }
    return;
  }
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '\\') out += "\\\\";
    else if (b < 0x20 || b > 0x7E) fmt::format_to(std::back_inserter(out), "\\{:03o}", b);
    else out += c;
  }
}

namespace {
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
int hex_digit_or_throw(std::string_view text, std::size_t at) {
  const int v = hex_value(text[at]);
  if (v < 0)
    throw error(sqlstate::kInvalidParameterValue, "invalid hexadecimal digit: \"{}\"",
                text.substr(at, utf8_prefix_bytes(text.substr(at), 1)));
  return v;
}
}  // namespace

std::string parse_bytea(std::string_view text) {
  std::string out;
  if (text.starts_with("\\x")) {
    for (std::size_t i = 2; i < text.size();) {
      if (is_blank(text[i])) {
        ++i;
        continue;
      }
      const int high = hex_digit_or_throw(text, i++);
      if (i >= text.size())
        throw error(sqlstate::kInvalidParameterValue, "invalid hexadecimal data: odd number of digits");
      out += static_cast<char>(high << 4 | hex_digit_or_throw(text, i++));
    }
    return out;
  }
  const auto octal = [&](std::size_t i, char most) {
    return i < text.size() && text[i] >= '0' && text[i] <= most;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (octal(i + 1, '3') && octal(i + 2, '7') && octal(i + 3, '7')) {
      out += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
      i += 3;
    } else if (i + 1 < text.size() && text[i + 1] == '\\') {
      out += '\\';
      ++i;
    } else {
      throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type {}", "bytea");
    }
  }
  return out;
}

// ---- uuid, oid
// --------------------------------------------------------------------------------------------------
Uuid parse_uuid(std::string_view text) {
  std::string_view rest = text;
  const bool braces = rest.starts_with('{');
  if (braces) rest.remove_prefix(1);
  std::uint64_t words[2] = {0, 0};
  for (int i = 0; i < 16; ++i) {
    if (rest.size() < 2 || hex_value(rest[0]) < 0 || hex_value(rest[1]) < 0) bad_syntax("uuid", text);
    words[i / 8] =
        words[i / 8] << 8 | static_cast<std::uint64_t>(hex_value(rest[0]) << 4 | hex_value(rest[1]));
    rest.remove_prefix(2);
    if (rest.starts_with('-') && i % 2 == 1 && i < 15) rest.remove_prefix(1);
  }
  if (braces) {
    if (!rest.starts_with('}')) bad_syntax("uuid", text);
    rest.remove_prefix(1);
  }
  if (!rest.empty()) bad_syntax("uuid", text);
  return {words[0], words[1]};
}
void append_uuid(const Uuid& u, std::string& out) {
  fmt::format_to(std::back_inserter(out), "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", u.hi >> 32,
                 (u.hi >> 16) & 0xFFFF, u.hi & 0xFFFF, u.lo >> 48, u.lo & 0xFFFFFFFFFFFFull);
}

Oid parse_oid(std::string_view whole, std::string_view type_name) {
  std::string_view text = trim_blanks(whole);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc::invalid_argument || end != text.data() + text.size())
    bad_syntax(type_name, whole);
  if (failure != std::errc{} || value > (negative ? 1ull << 31 : UINT32_MAX)) out_of_range(type_name, whole);
  return negative ? static_cast<Oid>(0 - value) : static_cast<Oid>(value);
}

// ---- UTF-8
// ------------------------------------------------------------------------------------------------------
namespace {
int lead_length(unsigned char c) {
  if (c < 0x80) return 1;
  if ((c & 0xE0) == 0xC0) return 2;
  if ((c & 0xF0) == 0xE0) return 3;
  if ((c & 0xF8) == 0xF0) return 4;
  return 1;
}
/// Bytes of the valid character at `p`, 0 if there is none.
std::size_t valid_character(const unsigned char* p, std::size_t n) {
  const unsigned char c = p[0];
  if (c < 0x80) return c != 0 ? 1 : 0;
  const auto length = static_cast<std::size_t>(lead_length(c));
  if (length == 1 || length > n) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if (length == 2) return c >= 0xC2 ? 2 : 0;
  if (length == 3) {
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F)) return 0;
    return 3;
  }
  if ((c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F) || c > 0xF4) return 0;
  return 4;
}
}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t i = 0;
  while (i < text.size()) {
    if (i + 8 <= text.size()) {
      std::uint64_t word;
      std::memcpy(&word, p + i, 8);
      // All eight below 0x80 and none zero.
      if ((word & 0x8080808080808080ull) == 0 &&
          ((word - 0x0101010101010101ull) & 0x8080808080808080ull) == 0) {
        i += 8;
        continue;
      }
    }
    const std::size_t n = valid_character(p + i, text.size() - i);
    if (n == 0) return i;
    i += n;
  }
  return i;
}

void check_utf8(std::string_view text) {
  const std::size_t good = valid_utf8_prefix(text);
  if (good == text.size()) return;
  const std::string_view bad = text.substr(good);
  const auto n = std::min<std::size_t>(
      bad.size(), static_cast<std::size_t>(lead_length(static_cast<unsigned char>(bad[0]))));
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i)
    fmt::format_to(std::back_inserter(bytes), "{}0x{:02x}", i == 0 ? "" : " ",
                   static_cast<unsigned char>(bad[i]));
  throw error(sqlstate::kCharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": {}", bytes);
}

std::size_t utf8_length(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (c & 0xC0) != 0x80;
  return n;
}
std::size_t utf8_prefix_bytes(std::string_view text, std::size_t characters) {
  std::size_t i = 0;
  for (; i < text.size() && characters > 0; --characters)
    i += static_cast<std::size_t>(lead_length(static_cast<unsigned char>(text[i])));
  return std::min(i, text.size());
}
std::string_view truncate_name(std::string_view text) {
  constexpr std::size_t kMax = 63;
  if (text.size() <= kMax) return text;
  std::size_t end = kMax;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace rustbd::types
