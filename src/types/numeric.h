// numeric without static scale: exact decimals of up to 131072 digits before and 16383 after the point, NaN,
// ±Infinity. Result scales are PostgreSQL 15's. Values whose magnitude (value * 10^dscale) fits 112 bits
// stand inline; larger ones point to little-endian 64-bit limbs in an arena that outlives the value. No
// locks, any thread. Errors: 22003 "value overflows numeric format", 22012 "division by zero", 2201F, 2201E.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rustbd/base/arena.h"
#include "rustbd/types/value.h"

namespace rustbd::types {

enum class NumericKind : std::uint8_t { kFinite, kNan, kInfinity, kMinusInfinity };
using UInt128 = unsigned __int128;

namespace numeric_layout {
// hi, bits 63..48: sign, kind (2 bits), dscale (13 bits) of inline values. Big: lo is the pointer to the
// limbs, hi bits 0..31 their number, 32..47 dscale. Special: hi bits 0..1 the NumericKind.
inline constexpr std::uint64_t kSign = 1ull << 63;
inline constexpr int kKindShift = 61;
inline constexpr std::uint64_t kInline = 0, kBig = 1, kSpecial = 2;
inline constexpr int kScaleShift = 48;
inline constexpr std::uint64_t kInlineScaleMax = (1u << 13) - 1;
inline constexpr std::uint64_t kMagnitudeHigh = (1ull << 48) - 1;
}  // namespace numeric_layout

inline constexpr int kNumericMaxPrecision = 1000;
inline constexpr int kNumericMaxScale = 16383;
inline constexpr int kNumericMaxWholeDigits = 131072;

inline std::uint64_t numeric_tag(const Numeric& n) { return (n.hi >> numeric_layout::kKindShift) & 3; }
inline bool is_inline(const Numeric& n) { return numeric_tag(n) == numeric_layout::kInline; }
inline NumericKind kind_of(const Numeric& n) {
  return numeric_tag(n) == numeric_layout::kSpecial ? static_cast<NumericKind>(n.hi & 3)
                                                    : NumericKind::kFinite;
}
inline bool is_nan(const Numeric& n) { return kind_of(n) == NumericKind::kNan; }
inline bool is_infinite(const Numeric& n) { return kind_of(n) >= NumericKind::kInfinity; }
inline bool is_finite(const Numeric& n) { return kind_of(n) == NumericKind::kFinite; }
/// Digits after the point (0 for NaN and infinities).
int dscale_of(const Numeric& n);
/// -1, 0, 1; NaN gives 0.
int sign_of(const Numeric& n);
/// Limbs of the magnitude, little-endian; `scratch` holds them for inline values.
std::span<const std::uint64_t> limbs_of(const Numeric& n, std::uint64_t (&scratch)[2]);

Numeric numeric_special(NumericKind kind);
inline Numeric numeric_nan() { return numeric_special(NumericKind::kNan); }
Numeric numeric_from_int64(std::int64_t value);
/// value = unscaled * 10^-scale.
Numeric numeric_from_int128(Int128 unscaled, int scale, Arena& arena);
Numeric numeric_from_u128(bool negative, UInt128 magnitude, int scale, Arena& arena);
/// Limbs may have leading zeros; checks the limits of the format (22003).
Numeric numeric_from_limbs(bool negative, std::span<const std::uint64_t> limbs, int scale, Arena& arena);
/// Copies limbs of a big value into the arena.
Numeric copy_numeric(const Numeric& n, Arena& arena);

/// numeric_in without modifier: blanks around, sign, digits, point, exponent, NaN, [+-]inf[inity]. 22P02,
/// 22003.
Numeric parse_numeric(std::string_view text, Arena& arena);
void append_numeric(const Numeric& n, std::string& out);
std::string to_string(const Numeric& n);

/// NaN = NaN > Infinity > all; scale does not matter.
int compare(const Numeric& a, const Numeric& b);
std::uint64_t hash(const Numeric& n);

Numeric add(const Numeric& a, const Numeric& b, Arena& arena);
Numeric subtract(const Numeric& a, const Numeric& b, Arena& arena);
Numeric multiply(const Numeric& a, const Numeric& b, Arena& arena);
Numeric divide(const Numeric& a, const Numeric& b, Arena& arena);            // operator /
Numeric divide_truncated(const Numeric& a, const Numeric& b, Arena& arena);  // div(): integer part
Numeric modulo(const Numeric& a, const Numeric& b, Arena& arena);            // sign of a
Numeric negate(const Numeric& n);
Numeric absolute(const Numeric& n);
/// round(n, scale), half away from zero; scale may be negative. trunc likewise towards zero.
Numeric round(const Numeric& n, int scale, Arena& arena);
Numeric trunc(const Numeric& n, int scale, Arena& arena);
Numeric ceil(const Numeric& n, Arena& arena);
Numeric floor(const Numeric& n, Arena& arena);
Numeric sign(const Numeric& n);
Numeric sqrt(const Numeric& n, Arena& arena);
Numeric exp(const Numeric& n, Arena& arena);
Numeric ln(const Numeric& n, Arena& arena);
Numeric log(const Numeric& base, const Numeric& n, Arena& arena);  // log(10, n) is SQL's log(n)
Numeric power(const Numeric& base, const Numeric& exponent, Arena& arena);
Numeric factorial(std::int64_t n, Arena& arena);
Numeric gcd(const Numeric& a, const Numeric& b, Arena& arena);
Numeric lcm(const Numeric& a, const Numeric& b, Arena& arena);
/// min_scale() and trim_scale() of SQL.
int min_scale(const Numeric& n);
Numeric trim_scale(const Numeric& n, Arena& arena);
/// Exact sum of many integers: value = sum / 1, used by avg(); scale rule of divide().
inline Numeric divide_int128(Int128 sum, int scale, std::int64_t count, Arena& arena) {
  return divide(numeric_from_int128(sum, scale, arena), numeric_from_int64(count), arena);
}

/// The modifier of numeric(p,s): rounds, 22003 "numeric field overflow" with PostgreSQL's detail.
Numeric apply_numeric_typmod(const Numeric& n, std::int32_t typmod, Arena& arena);

/// Unscaled integer at `scale`, rounded half away from zero; false if it doesn't fit 127 bits or n is not
/// finite.
bool to_scaled(const Numeric& n, int scale, Int128* out);
std::int64_t numeric_to_int64(
    const Numeric& n);  // 22003 "bigint out of range"; 0A000 "cannot convert NaN to bigint"
std::int32_t numeric_to_int32(const Numeric& n);
std::int16_t numeric_to_int16(const Numeric& n);
double numeric_to_double(const Numeric& n);  // 22003 when out of range
float numeric_to_float(const Numeric& n);
Numeric numeric_from_double(double value, Arena& arena);  // 15 significant digits
Numeric numeric_from_float(float value, Arena& arena);    // 6 significant digits

/// Base-10000 form of the wire and of PostgreSQL's scale rules: value = sum digits[i] * 10000^(weight - i).
struct NumericDigits {
  int weight = 0;
  bool negative = false;
  int dscale = 0;
  std::vector<std::int16_t> digits;  // without leading and trailing zeros
};
NumericDigits to_base_10000(const Numeric& n);  // finite only
Numeric from_base_10000(const NumericDigits& digits, Arena& arena);

extern const UInt128 kPowersOfTen[39];

}  // namespace rustbd::types
