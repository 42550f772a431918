#include "rustbd/types/numeric.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/numeric_big.h"

namespace rustbd::types {

using namespace numeric_layout;

const UInt128 kPowersOfTen[39] = {
#define P(n) static_cast<UInt128>(n)
    P(1),
    P(10),
    P(100),
    P(1000),
    P(10000),
    P(100000),
    P(1000000),
    P(10000000),
    P(100000000),
    P(1000000000),
    P(10000000000),
    P(100000000000),
    P(1000000000000),
    P(10000000000000),
    P(100000000000000),
    P(1000000000000000),
    P(10000000000000000),
    P(100000000000000000),
    P(1000000000000000000),
    P(10000000000000000000u),
#define Q(n) (static_cast<UInt128>(10000000000000000000u) * static_cast<UInt128>(n))
    Q(10),
    Q(100),
    Q(1000),
    Q(10000),
    Q(100000),
    Q(1000000),
    Q(10000000),
    Q(100000000),
    Q(1000000000),
    Q(10000000000),
    Q(100000000000),
    Q(1000000000000),
    Q(10000000000000),
    Q(100000000000000),
    Q(1000000000000000),
    Q(10000000000000000),
    Q(100000000000000000),
    Q(1000000000000000000),
    Q(10000000000000000000u)
#undef P
#undef Q
};

namespace {
constexpr UInt128 kInlineEnd = static_cast<UInt128>(1) << 112;

/// An inline value taken apart.
struct Small {
  UInt128 magnitude;
  int scale;
  bool negative;
};
Small small_of(const Numeric& n) {
  return {(static_cast<UInt128>(n.hi & kMagnitudeHigh) << 64) | n.lo,
          static_cast<int>((n.hi >> kScaleShift) & kInlineScaleMax), (n.hi & kSign) != 0};
}
Numeric pack_inline(bool negative, UInt128 magnitude, int scale) {
  Numeric n;
  n.lo = static_cast<std::uint64_t>(magnitude);
  n.hi = static_cast<std::uint64_t>(magnitude >> 64) | (static_cast<std::uint64_t>(scale) << kScaleShift);
  if (negative && magnitude != 0) n.hi |= kSign;
  return n;
}
bool both_inline(const Numeric& a, const Numeric& b) { return is_inline(a) && is_inline(b); }
/// Multiplies by 10^n; false on overflow of 128 bits.
bool scale_up(UInt128& v, int n) {
  if (n == 0 || v == 0) return true;
  if (n > 38) return false;
  return !__builtin_mul_overflow(v, kPowersOfTen[n], &v);
}
UInt128 divide_half_away(UInt128 v, UInt128 by) {
  const UInt128 q = v / by, r = v % by;
  return q + (r >= by - r ? 1 : 0);
}
int digit_count(UInt128 v) {
  int n = 0;
  while (n < 39 && v >= kPowersOfTen[n]) ++n;
  return n;
}
int floor_div4(int v) { return v >= 0 ? v / 4 : -((3 - v) / 4); }

/// Decimal digits of the magnitude, most significant first; "0" for zero.
std::string digits_of(const Numeric& n) {
  if (!is_inline(n)) return big::magnitude_digits(n);
  UInt128 v = small_of(n).magnitude;
  char buffer[40];
  char* at = buffer + sizeof buffer;
  do {
    *--at = static_cast<char>('0' + static_cast<int>(v % 10));
    v /= 10;
  } while (v != 0);
  return {at, buffer + sizeof buffer};
}

/// PostgreSQL's view of a finite number: exponent of the leading base-10000 digit, and that digit (0 for
/// zero).
struct Head {
  int weight = 0;
  int first = 0;
};
Head head_of(const Numeric& n) {
  if (sign_of(n) == 0) return {};
  const std::string digits = digits_of(n);
  const int exponent = static_cast<int>(digits.size()) - 1 - dscale_of(n);
  const int weight = floor_div4(exponent);
  int first = 0;
  for (int i = 0; i <= exponent - 4 * weight; ++i)
    first =
        first * 10 + (i < static_cast<int>(digits.size()) ? digits[static_cast<std::size_t>(i)] - '0' : 0);
  return {weight, first};
}
Head head_of_small(const Small& s) {
  if (s.magnitude == 0) return {};
  const int exponent = digit_count(s.magnitude) - 1 - s.scale;
  const int weight = floor_div4(exponent);
  const int k = 4 * weight + s.scale;
  return {weight, static_cast<int>(k >= 0 ? s.magnitude / kPowersOfTen[k] : s.magnitude * kPowersOfTen[-k])};
}
int division_scale(const Head& a, const Head& b, int scale_a, int scale_b) {
  int q = a.weight - b.weight;
  if (a.first <= b.first) --q;
  return std::clamp(std::max({16 - 4 * q, scale_a, scale_b, 0}), 0, 1000);
}
[[noreturn]] void overflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "value overflows numeric format");
}
[[noreturn]] void division_by_zero() { throw error(sqlstate::kDivisionByZero, "division by zero"); }
Numeric infinity(bool negative) {
  return numeric_special(negative ? NumericKind::kMinusInfinity : NumericKind::kInfinity);
}
/// -1, 0, 1 also for infinities.
int full_sign(const Numeric& n) {
  switch (kind_of(n)) {
    case NumericKind::kInfinity: return 1;
    case NumericKind::kMinusInfinity: return -1;
    default: return sign_of(n);
  }
}
}  // namespace

int dscale_of(const Numeric& n) {
  if (is_inline(n)) return static_cast<int>((n.hi >> kScaleShift) & kInlineScaleMax);
  return numeric_tag(n) == kBig ? static_cast<int>((n.hi >> 32) & 0xFFFF) : 0;
}
int sign_of(const Numeric& n) {
  if (numeric_tag(n) == kSpecial) return kind_of(n) == NumericKind::kNan ? 0 : full_sign(n);
  if (is_inline(n) && n.lo == 0 && (n.hi & kMagnitudeHigh) == 0) return 0;
  return (n.hi & kSign) != 0 ? -1 : 1;
}
std::span<const std::uint64_t> limbs_of(const Numeric& n, std::uint64_t (&scratch)[2]) {
  if (numeric_tag(n) == kBig)
    return {reinterpret_cast<const std::uint64_t*>(n.lo), static_cast<std::size_t>(n.hi & 0xFFFFFFFF)};
  if (numeric_tag(n) == kSpecial) return {};
  scratch[0] = n.lo;
  scratch[1] = n.hi & kMagnitudeHigh;
  const std::size_t count = scratch[1] != 0 ? 2 : (scratch[0] != 0 ? 1 : 0);
  return {scratch, count};
}

Numeric numeric_special(NumericKind kind) {
  Numeric n;
  n.hi = (kSpecial << kKindShift) | static_cast<std::uint64_t>(kind);
  return n;
}
Numeric numeric_from_int64(std::int64_t value) {
  const auto magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  return pack_inline(value < 0, magnitude, 0);
}
Numeric numeric_from_int128(Int128 unscaled, int scale, Arena& arena) {
  const auto bits = static_cast<UInt128>(unscaled);
  return numeric_from_u128(unscaled < 0, unscaled < 0 ? 0 - bits : bits, scale, arena);
}
Numeric numeric_from_u128(bool negative, UInt128 magnitude, int scale, Arena& arena) {
  if (magnitude < kInlineEnd && static_cast<unsigned>(scale) <= kInlineScaleMax)
    return pack_inline(negative, magnitude, scale);
  const std::uint64_t limbs[2] = {static_cast<std::uint64_t>(magnitude),
                                  static_cast<std::uint64_t>(magnitude >> 64)};
  return numeric_from_limbs(negative, limbs, scale, arena);
}
Numeric numeric_from_limbs(bool negative, std::span<const std::uint64_t> limbs, int scale, Arena& arena) {
  while (!limbs.empty() && limbs.back() == 0) limbs = limbs.first(limbs.size() - 1);
  if (scale > kNumericMaxScale) overflow();
  RUSTBD_ASSERT(scale >= 0);
  const std::uint64_t lo = limbs.empty() ? 0 : limbs[0], hi = limbs.size() < 2 ? 0 : limbs[1];
  const UInt128 magnitude = (static_cast<UInt128>(hi) << 64) | lo;
  if (limbs.size() <= 2 && magnitude < kInlineEnd && static_cast<unsigned>(scale) <= kInlineScaleMax)
    return pack_inline(negative, magnitude, scale);
  const auto copy = arena.copy(limbs);
  Numeric n;
  n.lo = reinterpret_cast<std::uint64_t>(copy.data());
  n.hi = (kBig << kKindShift) | (static_cast<std::uint64_t>(scale) << 32) | limbs.size();
  if (negative && !limbs.empty()) n.hi |= kSign;
  // Bits give the number of digits to one; only near the limit they are counted.
  const double digits_max = static_cast<double>(limbs.size()) * 19.266 + 1;
  if (digits_max - scale > kNumericMaxWholeDigits &&
      static_cast<int>(digits_of(n).size()) - scale > kNumericMaxWholeDigits)
    overflow();
  return n;
}
Numeric copy_numeric(const Numeric& n, Arena& arena) {
  if (numeric_tag(n) != kBig) return n;
  std::uint64_t scratch[2];
  Numeric copy = n;
  copy.lo = reinterpret_cast<std::uint64_t>(arena.copy(limbs_of(n, scratch)).data());
  return copy;
}

void append_numeric(const Numeric& n, std::string& out) {
  switch (kind_of(n)) {
    case NumericKind::kNan: out += "NaN"; return;
    case NumericKind::kInfinity: out += "Infinity"; return;
    case NumericKind::kMinusInfinity: out += "-Infinity"; return;
    case NumericKind::kFinite: break;
  }
  const std::string digits = digits_of(n);
  const auto scale = static_cast<std::size_t>(dscale_of(n));
  if (sign_of(n) < 0) out += '-';
  if (digits.size() <= scale) {
    out += "0.";
    out.append(scale - digits.size(), '0');
    out += digits;
    return;
  }
  out.append(digits, 0, digits.size() - scale);
  if (scale == 0) return;
  out += '.';
  out.append(digits, digits.size() - scale, scale);
}
std::string to_string(const Numeric& n) {
  std::string out;
  append_numeric(n, out);
  return out;
}

int compare(const Numeric& a, const Numeric& b) {
  const auto rank = [](const Numeric& n) {
    switch (kind_of(n)) {
      case NumericKind::kNan: return 2;
      case NumericKind::kInfinity: return 1;
      case NumericKind::kMinusInfinity: return -1;
      case NumericKind::kFinite: break;
    }
    return 0;
  };
  const int ra = rank(a), rb = rank(b);
  if (ra != 0 || rb != 0) return ra < rb ? -1 : (ra > rb ? 1 : 0);
  const int sa = sign_of(a), sb = sign_of(b);
  if (sa != sb) return sa < sb ? -1 : 1;
  if (sa == 0) return 0;
  if (both_inline(a, b)) {
    Small x = small_of(a), y = small_of(b);
    const int scale = std::max(x.scale, y.scale);
    if (scale_up(x.magnitude, scale - x.scale) && scale_up(y.magnitude, scale - y.scale))
      return x.magnitude == y.magnitude ? 0 : ((x.magnitude < y.magnitude) ? -sa : sa);
  }
  const int c = big::compare_magnitudes(a, b);
  return sa * (c < 0 ? -1 : (c > 0 ? 1 : 0));
}

namespace {
Numeric add_small(Small x, Small y, Arena& arena, bool* fits) {
  const int scale = std::max(x.scale, y.scale);
  // 112 bits each after scaling: the sum cannot overflow 128.
  *fits = scale_up(x.magnitude, scale - x.scale) && scale_up(y.magnitude, scale - y.scale) &&
          x.magnitude >> 127 == 0 && y.magnitude >> 127 == 0;
  if (!*fits) return {};
  if (x.negative == y.negative) return numeric_from_u128(x.negative, x.magnitude + y.magnitude, scale, arena);
  if (x.magnitude >= y.magnitude)
    return numeric_from_u128(x.negative, x.magnitude - y.magnitude, scale, arena);
  return numeric_from_u128(y.negative, y.magnitude - x.magnitude, scale, arena);
}
Numeric add_signed(const Numeric& a, const Numeric& b, bool negate_b, Arena& arena) {
  if (is_nan(a) || is_nan(b)) return numeric_nan();
  if (!is_finite(a) || !is_finite(b)) {
    const int sb = negate_b ? -full_sign(b) : full_sign(b);
    if (!is_finite(a) && !is_finite(b)) return full_sign(a) == sb ? a : numeric_nan();
    return is_finite(a) ? infinity(sb < 0) : a;
  }
  if (both_inline(a, b)) {
    Small y = small_of(b);
    if (negate_b) y.negative = !y.negative;
    bool fits = false;
    const Numeric sum = add_small(small_of(a), y, arena, &fits);
    if (fits) return sum;
  }
  return big::add(a, b, negate_b, arena);
}
}  // namespace

Numeric add(const Numeric& a, const Numeric& b, Arena& arena) { return add_signed(a, b, false, arena); }
Numeric subtract(const Numeric& a, const Numeric& b, Arena& arena) { return add_signed(a, b, true, arena); }

Numeric multiply(const Numeric& a, const Numeric& b, Arena& arena) {
  if (is_nan(a) || is_nan(b)) return numeric_nan();
  if (!is_finite(a) || !is_finite(b)) {
    const int s = full_sign(a) * full_sign(b);
    return s == 0 ? numeric_nan() : infinity(s < 0);
  }
  if (both_inline(a, b)) {
    const Small x = small_of(a), y = small_of(b);
    UInt128 product;
    if (!__builtin_mul_overflow(x.magnitude, y.magnitude, &product) && x.scale + y.scale <= kNumericMaxScale)
      return numeric_from_u128(x.negative != y.negative, product, x.scale + y.scale, arena);
  }
  return big::multiply(a, b, arena);
}

namespace {
/// Division's rules for NaN and infinities; true when *out is the answer.
bool divide_special(const Numeric& a, const Numeric& b, Numeric* out) {
  if (is_nan(a) || is_nan(b)) {
    *out = numeric_nan();
    return true;
  }
  if (is_finite(a) && is_finite(b)) {
    if (sign_of(b) == 0) division_by_zero();
    return false;
  }
  if (is_finite(a)) {
    *out = Numeric{};
    return true;
  }
  if (!is_finite(b)) {
    *out = numeric_nan();
    return true;
  }
  if (sign_of(b) == 0) division_by_zero();
  *out = infinity(full_sign(a) * sign_of(b) < 0);
  return true;
}
bool divide_small(const Small& x, const Small& y, int rscale, bool round, Arena& arena, Numeric* out) {
  UInt128 numerator = x.magnitude, denominator = y.magnitude;
  const int shift = rscale + y.scale - x.scale;
  if (!(shift >= 0 ? scale_up(numerator, shift) : scale_up(denominator, -shift))) return false;
  if (denominator >> 127 != 0) return false;
  const UInt128 q = round ? divide_half_away(numerator, denominator) : numerator / denominator;
  *out = numeric_from_u128(x.negative != y.negative, q, rscale, arena);
  return true;
}
}  // namespace

Numeric divide(const Numeric& a, const Numeric& b, Arena& arena) {
  Numeric out;
  if (divide_special(a, b, &out)) return out;
  if (both_inline(a, b)) {
    const Small x = small_of(a), y = small_of(b);
    const int rscale = division_scale(head_of_small(x), head_of_small(y), x.scale, y.scale);
    if (divide_small(x, y, rscale, true, arena, &out)) return out;
    return big::divide(a, b, rscale, big::Rounding::kHalfAway, arena);
  }
  const int rscale = division_scale(head_of(a), head_of(b), dscale_of(a), dscale_of(b));
  return big::divide(a, b, rscale, big::Rounding::kHalfAway, arena);
}
Numeric divide_truncated(const Numeric& a, const Numeric& b, Arena& arena) {
  Numeric out;
  if (divide_special(a, b, &out)) return out;
  if (both_inline(a, b) && divide_small(small_of(a), small_of(b), 0, false, arena, &out)) return out;
  return big::divide(a, b, 0, big::Rounding::kTruncate, arena);
}
Numeric modulo(const Numeric& a, const Numeric& b, Arena& arena) {
  if (is_nan(a) || is_nan(b)) return numeric_nan();
  if (!is_finite(a)) {
    if (full_sign(b) == 0) division_by_zero();
    return numeric_nan();
  }
  if (!is_finite(b)) return a;
  if (sign_of(b) == 0) division_by_zero();
  if (both_inline(a, b)) {
    Small x = small_of(a), y = small_of(b);
    const int scale = std::max(x.scale, y.scale);
    if (scale_up(x.magnitude, scale - x.scale) && scale_up(y.magnitude, scale - y.scale))
      return numeric_from_u128(x.negative, x.magnitude % y.magnitude, scale, arena);
  }
  return big::modulo(a, b, arena);
}

Numeric negate(const Numeric& n) {
  if (is_nan(n) || sign_of(n) == 0) return n;
  if (is_infinite(n)) return infinity(full_sign(n) > 0);
  Numeric out = n;
  out.hi ^= kSign;
  return out;
}
Numeric absolute(const Numeric& n) { return full_sign(n) < 0 ? negate(n) : n; }

namespace {
Numeric set_scale(const Numeric& n, int scale, big::Rounding rounding, Arena& arena) {
  if (!is_finite(n)) return n;
  const int current = dscale_of(n);
  if (scale == current) return n;
  if (is_inline(n) && scale >= 0) {
    Small s = small_of(n);
    if (scale > current) {
      if (scale_up(s.magnitude, scale - current))
        return numeric_from_u128(s.negative, s.magnitude, scale, arena);
    } else if (current - scale <= 38) {
      const UInt128 by = kPowersOfTen[current - scale];
      UInt128 v = s.magnitude / by;
      if (rounding == big::Rounding::kHalfAway) v = divide_half_away(s.magnitude, by);
      if (rounding == big::Rounding::kUp && s.magnitude % by != 0) ++v;
      return numeric_from_u128(s.negative, v, scale, arena);
    } else if (rounding != big::Rounding::kUp) {
      return pack_inline(false, 0, scale);  // 112 bits are 34 digits: less than half a unit
    }
  }
  return big::rescale(n, scale, rounding, arena);
}
constexpr int kMaxResultScale = 2000;
}  // namespace

Numeric round(const Numeric& n, int scale, Arena& arena) {
  return set_scale(n, std::clamp(scale, -kMaxResultScale, kMaxResultScale), big::Rounding::kHalfAway, arena);
}
Numeric trunc(const Numeric& n, int scale, Arena& arena) {
  return set_scale(n, std::clamp(scale, -kMaxResultScale, kMaxResultScale), big::Rounding::kTruncate, arena);
}
Numeric ceil(const Numeric& n, Arena& arena) {
  return set_scale(n, 0, sign_of(n) > 0 ? big::Rounding::kUp : big::Rounding::kTruncate, arena);
}
Numeric floor(const Numeric& n, Arena& arena) {
  return set_scale(n, 0, sign_of(n) < 0 ? big::Rounding::kUp : big::Rounding::kTruncate, arena);
}
Numeric sign(const Numeric& n) { return is_nan(n) ? n : numeric_from_int64(full_sign(n)); }

int min_scale(const Numeric& n) {
  if (!is_finite(n) || sign_of(n) == 0) return 0;
  int scale = dscale_of(n);
  const std::string digits = digits_of(n);
  for (std::size_t i = digits.size(); scale > 0 && i > 0 && digits[i - 1] == '0'; --i) --scale;
  return scale;
}
Numeric trim_scale(const Numeric& n, Arena& arena) {
  return is_finite(n) ? set_scale(n, min_scale(n), big::Rounding::kTruncate, arena) : n;
}

std::uint64_t hash(const Numeric& n) {
  if (!is_finite(n)) return hash_u64(0xF1A6 + static_cast<std::uint64_t>(kind_of(n)));
  if (is_inline(n)) {
    Small s = small_of(n);
    while (s.scale > 0 && s.magnitude % 10 == 0) {
      s.magnitude /= 10;
      --s.scale;
      if (s.magnitude == 0) s.scale = 0;
    }
    if (s.scale == 0 && s.magnitude >> 63 == 0) {  // as an integer of the same value
      const auto v = static_cast<std::int64_t>(s.magnitude);
      return hash_u64(static_cast<std::uint64_t>(s.negative ? -v : v));
    }
    const std::uint64_t h = hash_combine(hash_u64(static_cast<std::uint64_t>(s.magnitude)),
                                         static_cast<std::uint64_t>(s.magnitude >> 64));
    return hash_combine(h, static_cast<std::uint64_t>(s.scale) * 2 + (s.negative ? 1 : 0));
  }
  Arena arena{256};
  const Numeric trimmed = trim_scale(n, arena);
  if (is_inline(trimmed)) return hash(trimmed);
  std::uint64_t scratch[2];
  const auto limbs = limbs_of(trimmed, scratch);
  std::uint64_t h = limbs.size() <= 2 ? 0 : hash_bytes(limbs.data(), limbs.size_bytes());
  if (limbs.size() <= 2)
    h = hash_combine(hash_u64(limbs.empty() ? 0 : limbs[0]), limbs.size() < 2 ? 0 : limbs[1]);
  return hash_combine(h, static_cast<std::uint64_t>(dscale_of(trimmed)) * 2 + (sign_of(trimmed) < 0 ? 1 : 0));
}

Numeric apply_numeric_typmod(const Numeric& n, std::int32_t typmod, Arena& arena) {
  if (typmod < 4 || is_nan(n)) return n;
  const int precision = numeric_precision(typmod), scale = numeric_scale(typmod);
  if (is_infinite(n))
    throw error(sqlstate::kNumericValueOutOfRange, "numeric field overflow")
        .with_detail(fmt::format("A field with precision {}, scale {} cannot hold an infinite value.",
                                 precision, scale));
  const Numeric rounded = set_scale(n, scale, big::Rounding::kHalfAway, arena);
  const int limit = precision - scale;  // digits before the point; may be negative
  bool fits = sign_of(rounded) == 0;
  if (!fits) {
    const int digits = is_inline(rounded) ? digit_count(small_of(rounded).magnitude)
                                          : static_cast<int>(digits_of(rounded).size());
    fits = digits - dscale_of(rounded) <= limit;
  }
  if (!fits)
    throw error(sqlstate::kNumericValueOutOfRange, "numeric field overflow")
        .with_detail(
            fmt::format("A field with precision {}, scale {} must round to an absolute value less than {}{}.",
                        precision, scale, limit != 0 ? "10^" : "", limit != 0 ? limit : 1));
  return rounded;
}

bool to_scaled(const Numeric& n, int scale, Int128* out) {
  if (!is_finite(n)) return false;
  Numeric r = n;
  Arena arena{256};
  if (dscale_of(n) != scale) r = set_scale(n, scale, big::Rounding::kHalfAway, arena);
  std::uint64_t scratch[2];
  const auto limbs = limbs_of(r, scratch);
  if (limbs.size() > 2) return false;
  UInt128 v = limbs.empty() ? 0 : limbs[0];
  if (limbs.size() == 2) v |= static_cast<UInt128>(limbs[1]) << 64;
  if (v >> 127 != 0) return false;
  *out = sign_of(r) < 0 ? -static_cast<Int128>(v) : static_cast<Int128>(v);
  return true;
}

namespace {
template <class T>
T to_integer(const Numeric& n) {
  if (!is_finite(n))
    throw error(sqlstate::kFeatureNotSupported, "cannot convert {} to {}", is_nan(n) ? "NaN" : "infinity",
                integer_name<T>());
  Int128 v;
  if (!to_scaled(n, 0, &v)) throw_out_of_range(integer_name<T>());
  return narrow_integer<T>(v);
}
}  // namespace
std::int64_t numeric_to_int64(const Numeric& n) { return to_integer<std::int64_t>(n); }
std::int32_t numeric_to_int32(const Numeric& n) { return to_integer<std::int32_t>(n); }
std::int16_t numeric_to_int16(const Numeric& n) { return to_integer<std::int16_t>(n); }

NumericDigits to_base_10000(const Numeric& n) {
  NumericDigits out;
  out.dscale = dscale_of(n);
  if (sign_of(n) == 0) return out;
  out.negative = sign_of(n) < 0;
  std::string digits = digits_of(n);
  const int exponent = static_cast<int>(digits.size()) - 1 - out.dscale;
  out.weight = floor_div4(exponent);
  digits.insert(0, static_cast<std::size_t>(3 - (exponent - 4 * out.weight)), '0');
  while (digits.size() % 4 != 0) digits += '0';
  for (std::size_t i = 0; i < digits.size(); i += 4) {
    int v = 0;
    for (std::size_t k = 0; k < 4; ++k) v = v * 10 + (digits[i + k] - '0');
    out.digits.push_back(static_cast<std::int16_t>(v));
  }
  while (!out.digits.empty() && out.digits.back() == 0) out.digits.pop_back();
  return out;
}

Numeric from_base_10000(const NumericDigits& d, Arena& arena) {
  std::string digits;
  for (const std::int16_t v : d.digits) fmt::format_to(std::back_inserter(digits), "{:04}", v);
  // The last digit stands for 10000^(weight - size + 1); bring it to 10^-dscale.
  const int fraction = -4 * (d.weight - static_cast<int>(d.digits.size()) + 1);
  if (d.dscale >= fraction) {
    if (!d.digits.empty()) digits.append(static_cast<std::size_t>(d.dscale - fraction), '0');
  } else {
    const auto cut = static_cast<std::size_t>(fraction - d.dscale);
    digits.resize(digits.size() > cut ? digits.size() - cut : 0);
  }
  return big::from_decimal(d.negative, digits, d.dscale, arena);
}

// ---- roots, powers and logarithms: PostgreSQL's choice of the result's scale (numeric.c's documented
// behaviour: at least 16 significant digits, no less than the scales of the inputs, 0..1000), exact rounding
// to it.
namespace {
int result_scale(int significant_at, std::initializer_list<int> input_scales) {
  int scale = std::max(16 - significant_at, 0);
  for (const int s : input_scales) scale = std::max(scale, s);
  return std::min(scale, 1000);
}
double to_double_no_overflow(const Numeric& n) {
  const std::string text = to_string(n);
  return std::strtod(text.c_str(), nullptr);
}
/// Rough decimal exponent of ln(n).
int estimate_ln_weight(const Numeric& n, Arena& arena) {
  if (sign_of(n) <= 0) return 0;
  const double v = to_double_no_overflow(n);
  if (v >= 0.89 && v <= 1.11) {
    const Numeric nine = numeric_from_int128(9, 1, arena), eleven = numeric_from_int128(11, 1, arena);
    if (compare(n, nine) >= 0 && compare(n, eleven) <= 0) {
      const Head h = head_of(subtract(n, numeric_from_int64(1), arena));
      return h.first == 0 ? 0 : h.weight * 4 + static_cast<int>(std::log10(h.first));
    }
  }
  const NumericDigits d = to_base_10000(n);
  double digits = d.digits[0];
  int weight = d.weight * 4;
  if (d.digits.size() > 1) {
    digits = digits * 10000 + d.digits[1];
    weight -= 4;
  }
  const double ln_value = std::log(digits) + weight * 2.302585092994046;
  return static_cast<int>(std::log10(std::fabs(ln_value)));
}
void check_logarithm(const Numeric& n) {
  const int s = full_sign(n);
  if (s < 0)
    throw error(sqlstate::kInvalidArgumentForLogarithm, "cannot take logarithm of a negative number");
  if (s == 0) throw error(sqlstate::kInvalidArgumentForLogarithm, "cannot take logarithm of zero");
}
bool is_integral(const Numeric& n) { return !is_finite(n) || min_scale(n) == 0; }
bool is_odd(const Numeric& integral) {
  const std::string digits = to_string(integral);
  const std::size_t point = digits.find('.');
  return ((digits[(point == std::string::npos ? digits.size() : point) - 1] - '0') & 1) != 0;
}
}  // namespace

Numeric sqrt(const Numeric& n, Arena& arena) {
  if (is_nan(n)) return n;
  if (full_sign(n) < 0)
    throw error(sqlstate::kInvalidArgumentForPower, "cannot take square root of a negative number");
  if (is_infinite(n)) return n;
  const int weight = head_of(n).weight;
  const int significant = weight >= 0 ? weight * 2 + 1 : 1 - (1 - weight * 4) / 2;
  return big::sqrt(n, result_scale(significant, {dscale_of(n)}), arena);
}

Numeric exp(const Numeric& n, Arena& arena) {
  if (is_nan(n)) return n;
  if (is_infinite(n)) return full_sign(n) > 0 ? n : Numeric{};
  const double v = to_double_no_overflow(n);
  const double weight = std::clamp(v * 0.434294481903252, -2000.0, 2000.0);
  const int rscale = result_scale(static_cast<int>(weight), {dscale_of(n)});
  if (std::fabs(v) >= 6000) {
    if (v > 0) overflow();
    return pack_inline(false, 0, rscale);
  }
  return big::exp(n, rscale, arena);
}

Numeric ln(const Numeric& n, Arena& arena) {
  if (is_nan(n)) return n;
  check_logarithm(n);
  if (is_infinite(n)) return n;
  return big::ln(n, result_scale(estimate_ln_weight(n, arena), {dscale_of(n)}), arena);
}

Numeric log(const Numeric& base, const Numeric& n, Arena& arena) {
  if (is_nan(base) || is_nan(n)) return numeric_nan();
  // With an infinity among them PostgreSQL looks for negative ones first.
  const bool negative_first = is_infinite(base) || is_infinite(n);
  if (negative_first && full_sign(n) < 0) check_logarithm(n);
  check_logarithm(base);
  check_logarithm(n);
  if (is_infinite(base)) return is_infinite(n) ? numeric_nan() : Numeric{};
  if (is_infinite(n)) return n;
  const int weight = estimate_ln_weight(n, arena) - estimate_ln_weight(base, arena);
  return big::log(base, n, result_scale(weight, {dscale_of(base), dscale_of(n)}), arena);
}

namespace {
/// Powers where an operand is NaN or infinite; true when *out is the answer.
bool power_special(const Numeric& base, const Numeric& exponent, Numeric* out) {
  const Numeric one = numeric_from_int64(1);
  if (is_nan(base)) {
    *out = is_finite(exponent) && sign_of(exponent) == 0 ? one : numeric_nan();
    return true;
  }
  if (is_nan(exponent)) {
    *out = compare(base, one) == 0 ? one : numeric_nan();
    return true;
  }
  const int s1 = full_sign(base), s2 = full_sign(exponent);
  if (s1 == 0 && s2 < 0)
    throw error(sqlstate::kInvalidArgumentForPower, "zero raised to a negative power is undefined");
  if (s1 < 0 && !is_integral(exponent))
    throw error(sqlstate::kInvalidArgumentForPower,
                "a negative number raised to a non-integer power yields a complex result");
  if (is_finite(base) && is_finite(exponent)) return false;
  if (compare(base, one) == 0 || s2 == 0) {
    *out = one;
    return true;
  }
  if (s1 == 0) {
    *out = Numeric{};
    return true;
  }
  if (is_infinite(exponent)) {
    const int above_one = is_infinite(base) ? 1 : compare(absolute(base), one);
    if (above_one == 0) *out = one;
    else *out = (above_one > 0) == (s2 > 0) ? infinity(false) : Numeric{};
    return true;
  }
  if (s2 < 0) *out = Numeric{};
  else *out = infinity(s1 < 0 && is_odd(exponent));
  return true;
}

/// Decimal exponent of base^exponent for an integer exponent, in double precision.
double integer_power_weight(const Numeric& base, double exponent) {
  const NumericDigits d = to_base_10000(base);
  double f = d.digits[0];
  int p = d.weight * 4;
  for (std::size_t i = 1; i < d.digits.size() && i * 4 < 16; ++i) {
    f = f * 10000 + d.digits[i];
    p -= 4;
  }
  return exponent * (std::log10(f) + p);
}

Numeric integer_power(const Numeric& base, std::int32_t exponent, const Numeric& exponent_numeric,
                      Arena& arena) {
  const double f = sign_of(base) == 0 ? 0 : integer_power_weight(base, exponent);
  if (f > 131072) overflow();
  const int rscale = result_scale(0, {dscale_of(base)});
  if (f + 1 < -rscale) return pack_inline(false, 0, rscale);
  if (exponent == 0) return set_scale(numeric_from_int64(1), rscale, big::Rounding::kTruncate, arena);
  if (exponent == 1) return set_scale(base, rscale, big::Rounding::kHalfAway, arena);
  if (sign_of(base) == 0) return pack_inline(false, 0, rscale);
  return big::power(base, exponent_numeric, rscale, static_cast<int>(f) + 1, arena);
}
}  // namespace

Numeric power(const Numeric& base, const Numeric& exponent, Arena& arena) {
  Numeric out;
  if (power_special(base, exponent, &out)) return out;
  Int128 whole;
  if (is_integral(exponent) && to_scaled(exponent, 0, &whole) && whole >= INT32_MIN && whole <= INT32_MAX)
    return integer_power(base, static_cast<std::int32_t>(whole), exponent, arena);
  if (sign_of(base) == 0) return pack_inline(false, 0, 16);
  const Numeric positive = absolute(base);
  const int ln_scale = std::max(8 - estimate_ln_weight(positive, arena), 0);
  const Numeric estimate = multiply(big::ln(positive, ln_scale, arena), exponent, arena);
  double v = to_double_no_overflow(estimate);
  if (std::fabs(v) > 2000 * 3.01) {
    if (v > 0) overflow();
    return pack_inline(false, 0, 1000);
  }
  v *= 0.434294481903252;
  const int rscale = result_scale(static_cast<int>(v), {dscale_of(base), dscale_of(exponent)});
  const Numeric result = big::power(positive, exponent, rscale, static_cast<int>(v) + 1, arena);
  return sign_of(base) < 0 && is_odd(exponent) ? negate(result) : result;
}

Numeric factorial(std::int64_t n, Arena& arena) {
  if (n < 0) throw error(sqlstate::kNumericValueOutOfRange, "factorial of a negative number is undefined");
  if (n > 32177) overflow();
  return big::factorial(static_cast<int>(n), arena);
}
Numeric gcd(const Numeric& a, const Numeric& b, Arena& arena) {
  if (!is_finite(a) || !is_finite(b)) return numeric_nan();
  return big::gcd(a, b, arena);
}
Numeric lcm(const Numeric& a, const Numeric& b, Arena& arena) {
  if (!is_finite(a) || !is_finite(b)) return numeric_nan();
  const int scale = std::max(dscale_of(a), dscale_of(b));
  if (sign_of(a) == 0 || sign_of(b) == 0) return set_scale(Numeric{}, scale, big::Rounding::kTruncate, arena);
  const Numeric quotient = divide_truncated(a, gcd(a, b, arena), arena);
  return set_scale(absolute(multiply(quotient, b, arena)), scale, big::Rounding::kTruncate, arena);
}

}  // namespace rustbd::types
