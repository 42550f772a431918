// Conversions between number representations, the primitives behind SQL casts. PostgreSQL's rounding (floats
// to integers half to even, decimals half away from zero) and messages: 22003 "integer out of range", ...
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include "rustbd/base/error.h"
#include "rustbd/types/numeric.h"
#include "rustbd/types/value.h"

namespace rustbd::types {

template <class T>
constexpr std::string_view integer_name() {
  return sizeof(T) == 2 ? "smallint" : (sizeof(T) == 4 ? "integer" : "bigint");
}
[[noreturn]] void throw_out_of_range(std::string_view type_name);  // 22003 "<type> out of range"

template <class To, class From>
inline To narrow_integer(From value) {
  if (value < static_cast<From>(std::numeric_limits<To>::min()) ||
      value > static_cast<From>(std::numeric_limits<To>::max()))
    throw_out_of_range(integer_name<To>());
  return static_cast<To>(value);
}
/// int8 -> oid: "OID out of range".
Oid int64_to_oid(std::int64_t value);
template <class To, class From>
inline To float_to_integer(From value) {
  const From r = std::rint(value);
  // -min is a power of two, exact in every float format; NaN fails both comparisons.
  const From low = static_cast<From>(std::numeric_limits<To>::min());
  if (!(r >= low && r < -low)) throw_out_of_range(integer_name<To>());
  return static_cast<To>(r);
}
/// float8 -> float4: 22003 "value out of range: overflow" / "underflow".
float double_to_float(double value);

inline constexpr std::int64_t kD64Nan = INT64_MAX;
inline constexpr Int128 kD128Nan = static_cast<Int128>((static_cast<UInt128>(1) << 127) - 1);

/// Decimals. Scale changes round half away from zero; 22003 "numeric field overflow" when digits don't fit.
std::int64_t d64_rescale(std::int64_t value, int from_scale, int to_scale);
Int128 d128_rescale(Int128 value, int from_scale, int to_scale);
Int128 d64_to_d128(std::int64_t value, int from_scale, int to_scale);
std::int64_t d128_to_d64(Int128 value, int from_scale, int to_scale);
Numeric d64_to_numeric(std::int64_t value, int scale, Arena& arena);
Numeric d128_to_numeric(Int128 value, int scale, Arena& arena);
std::int64_t numeric_to_d64(const Numeric& n, int scale);
Int128 numeric_to_d128(const Numeric& n, int scale);
std::int64_t d64_to_int64(std::int64_t value, int scale);
std::int64_t d128_to_int64(Int128 value, int scale);
double d64_to_double(std::int64_t value, int scale);
double d128_to_double(Int128 value, int scale);
/// Any of kD64, kD128, kNumeric (and I16, I32, I64) to any of kD64, kD128, kNumeric:
/// expression::kPhysicalCast.
Datum convert_decimal(const Datum& value, const TypeRef& from, const TypeRef& to, Arena& arena);
/// The value as Numeric, whatever of the number representations `type` has (integers, D64, D128, Numeric).
Numeric datum_to_numeric(const Datum& value, const TypeRef& type, Arena& arena);

}  // namespace rustbd::types
