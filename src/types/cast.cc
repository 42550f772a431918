#include "rustbd/types/cast.h"

#include "rustbd/base/assert.h"

namespace rustbd::types {

namespace {
[[noreturn]] void field_overflow() {
  throw error(sqlstate::kNumericValueOutOfRange, "numeric field overflow");
}
constexpr std::int64_t kPowers64[19] = {1,
                                        10,
                                        100,
                                        1000,
                                        10000,
                                        100000,
                                        1000000,
                                        10000000,
                                        100000000,
                                        1000000000,
                                        10000000000,
                                        100000000000,
                                        1000000000000,
                                        10000000000000,
                                        100000000000000,
                                        1000000000000000,
                                        10000000000000000,
                                        100000000000000000,
                                        1000000000000000000};
}  // namespace

void throw_out_of_range(std::string_view type_name) {
  throw error(sqlstate::kNumericValueOutOfRange, "{} out of range", type_name);
}

Oid int64_to_oid(std::int64_t value) {
  if (value < 0 || value > UINT32_MAX) throw_out_of_range("OID");
  return static_cast<Oid>(value);
}

float double_to_float(double value) {
  const auto f = static_cast<float>(value);
  if (std::isinf(f) && !std::isinf(value))
    throw error(sqlstate::kNumericValueOutOfRange, "value out of range: overflow");
  if (f == 0 && value != 0) throw error(sqlstate::kNumericValueOutOfRange, "value out of range: underflow");
  return f;
}

std::int64_t d64_rescale(std::int64_t value, int from_scale, int to_scale) {
  if (from_scale == to_scale || value == kD64Nan) return value;
  if (to_scale < from_scale) {
    const int by = from_scale - to_scale;
    if (by > 18) return 0;
    const std::int64_t power = kPowers64[by], q = value / power, r = value % power;
    if (r >= 0) return q + (r >= power - r ? 1 : 0);
    return q - (-r >= power + r ? 1 : 0);
  }
  const int by = to_scale - from_scale;
  std::int64_t out;
  if (value == 0) return 0;
  if (by > 18 || __builtin_mul_overflow(value, kPowers64[by], &out) || out == kD64Nan) field_overflow();
  return out;
}

Int128 d128_rescale(Int128 value, int from_scale, int to_scale) {
  if (from_scale == to_scale || value == kD128Nan) return value;
  if (to_scale < from_scale) {
    const int by = from_scale - to_scale;
    if (by > 38) return 0;
    const auto power = static_cast<Int128>(kPowersOfTen[by]);
    const Int128 q = value / power, r = value % power;
    if (r >= 0) return q + (r >= power - r ? 1 : 0);
    return q - (-r >= power + r ? 1 : 0);
  }
  const int by = to_scale - from_scale;
  Int128 out;
  if (value == 0) return 0;
  if (by > 38 || __builtin_mul_overflow(value, static_cast<Int128>(kPowersOfTen[by]), &out) ||
      out == kD128Nan)
    field_overflow();
  return out;
}

Int128 d64_to_d128(std::int64_t value, int from_scale, int to_scale) {
  return value == kD64Nan ? kD128Nan : d128_rescale(value, from_scale, to_scale);
}
std::int64_t d128_to_d64(Int128 value, int from_scale, int to_scale) {
  if (value == kD128Nan) return kD64Nan;
  const Int128 v = d128_rescale(value, from_scale, to_scale);
  if (v >= kD64Nan || v < INT64_MIN) field_overflow();
  return static_cast<std::int64_t>(v);
}
Numeric d64_to_numeric(std::int64_t value, int scale, Arena& arena) {
  return value == kD64Nan ? numeric_nan() : numeric_from_int128(value, scale, arena);
}
Numeric d128_to_numeric(Int128 value, int scale, Arena& arena) {
  return value == kD128Nan ? numeric_nan() : numeric_from_int128(value, scale, arena);
}
std::int64_t numeric_to_d64(const Numeric& n, int scale) {
  if (is_nan(n)) return kD64Nan;
  Int128 v;
  if (!to_scaled(n, scale, &v) || v >= kD64Nan || v < INT64_MIN) field_overflow();
  return static_cast<std::int64_t>(v);
}
Int128 numeric_to_d128(const Numeric& n, int scale) {
  if (is_nan(n)) return kD128Nan;
  Int128 v;
  if (!to_scaled(n, scale, &v) || v == kD128Nan) field_overflow();
  return v;
}

std::int64_t d64_to_int64(std::int64_t value, int scale) {
  if (value == kD64Nan) throw error(sqlstate::kFeatureNotSupported, "cannot convert NaN to bigint");
  return d64_rescale(value, scale, 0);
}
std::int64_t d128_to_int64(Int128 value, int scale) {
  if (value == kD128Nan) throw error(sqlstate::kFeatureNotSupported, "cannot convert NaN to bigint");
  return narrow_integer<std::int64_t>(d128_rescale(value, scale, 0));
}
double d64_to_double(std::int64_t value, int scale) {
  Arena arena{64};
  return numeric_to_double(d64_to_numeric(value, scale, arena));
}
double d128_to_double(Int128 value, int scale) {
  Arena arena{64};
  return numeric_to_double(d128_to_numeric(value, scale, arena));
}

Numeric datum_to_numeric(const Datum& value, const TypeRef& type, Arena& arena) {
  switch (type.phys) {
    case Phys::kI16: return numeric_from_int64(value.i16);
    case Phys::kI32: return numeric_from_int64(value.i32);
    case Phys::kI64: return numeric_from_int64(value.i64);
    case Phys::kD64: return d64_to_numeric(value.i64, type.scale, arena);
    case Phys::kD128: return d128_to_numeric(value.i128, type.scale, arena);
    case Phys::kNumeric: return value.numeric;
    default: RUSTBD_UNREACHABLE("not a number's representation");
  }
}

namespace {
Int128 integer_of(const Datum& value, Phys phys) {
  switch (phys) {
    case Phys::kI16: return value.i16;
    case Phys::kI32: return value.i32;
    case Phys::kI64: return value.i64;
    default: RUSTBD_UNREACHABLE("not an integer's representation");
  }
}
}  // namespace

Datum convert_decimal(const Datum& value, const TypeRef& from, const TypeRef& to, Arena& arena) {
  if (to.phys == Phys::kNumeric) return Datum::of(datum_to_numeric(value, from, arena));
  RUSTBD_ASSERT(to.phys == Phys::kD64 || to.phys == Phys::kD128, "a decimal is D64, D128 or Numeric");
  if (from.phys == Phys::kNumeric) {
    return to.phys == Phys::kD64 ? Datum::of(numeric_to_d64(value.numeric, to.scale))
                                 : Datum::of(numeric_to_d128(value.numeric, to.scale));
  }
  Int128 wide;
  int scale = 0;
  if (from.phys == Phys::kD64 || from.phys == Phys::kD128) {
    wide = from.phys == Phys::kD64 ? (value.i64 == kD64Nan ? kD128Nan : value.i64) : value.i128;
    scale = from.scale;
  } else {
    wide = integer_of(value, from.phys);
  }
  if (to.phys == Phys::kD64) return Datum::of(d128_to_d64(wide, scale, to.scale));
  return Datum::of(d128_rescale(wide, scale, to.scale));
}

}  // namespace rustbd::types
