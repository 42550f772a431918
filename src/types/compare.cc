#include "rustbd/types/compare.h"

#include <bit>
#include <cmath>

#include "rustbd/base/assert.h"
#include "rustbd/base/hash.h"
#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"

namespace rustbd::types {

namespace {
template <class T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}
template <class T>
int compare_floats(T a, T b) {
  const bool nan_a = std::isnan(a), nan_b = std::isnan(b);
  if (nan_a || nan_b) return nan_a == nan_b ? 0 : (nan_a ? 1 : -1);
  return three_way(a, b);
}
std::string_view strip_blanks(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}
bool holds_array(Oid oid) { return element_type_of(oid) != oid::kInvalid; }

int compare_strings(const Str& a, const Str& b, const TypeRef& type) {
  if (type.oid == oid::kBpchar) return strip_blanks(a.view()).compare(strip_blanks(b.view()));
  if (holds_array(type.oid)) return compare_arrays(a, b, type);
  return a.compare(b);
}

/// The value as the integer it is, for hashing numbers alike whatever stands for them.
std::uint64_t hash_scaled(Int128 v, int scale) {
  const bool negative = v < 0;
  UInt128 m = negative ? 0 - static_cast<UInt128>(v) : static_cast<UInt128>(v);
  if (m == 0) scale = 0;
  Arena arena{64};
  // Values over 112 bits still end inline when their zeros go.
  while (scale > 0 && m % 10 == 0) {
    m /= 10;
    --scale;
  }
  return hash(numeric_from_u128(negative, m, scale, arena));
}
std::uint64_t hash_double(double v) {
  if (std::isnan(v)) return hash_u64(0x7FF8000000000000ull);
  if (v == 0) v = 0;
  return hash_u64(std::bit_cast<std::uint64_t>(v));
}
std::uint64_t hash_array(const Str& array) {
  const ArrayView view{array};
  Arena arena;
  TypeRef element = make_type(view.element_type());
  element.phys = view.element_phys();
  std::uint64_t h = hash_u64(view.size());
  for (ArrayView::Cursor c{view, arena}; c.next();)
    h = hash_combine(h, c.is_null() ? 0x9E37 : hash(c.value(), element));
  return h;
}
std::uint64_t hash_string(const Str& s, const TypeRef& type) {
  if (type.oid == oid::kBpchar) {
    const std::string_view text = strip_blanks(s.view());
    return hash_bytes(text.data(), text.size());
  }
  if (holds_array(type.oid)) return hash_array(s);
  return hash_bytes(s.data(), s.len);
}
}  // namespace

int compare(const Datum& a, const Datum& b, const TypeRef& type) {
  switch (type.phys) {
    case Phys::kBool: return three_way(a.boolean, b.boolean);
    case Phys::kI8: return three_way(static_cast<std::uint8_t>(a.i8), static_cast<std::uint8_t>(b.i8));
    case Phys::kI16: return three_way(a.i16, b.i16);
    case Phys::kI32: return three_way(a.i32, b.i32);
    case Phys::kI64:
    case Phys::kD64: return three_way(a.i64, b.i64);
    case Phys::kU32: return three_way(a.u32, b.u32);
    case Phys::kU64: return three_way(a.u64, b.u64);
    case Phys::kF32: return compare_floats(a.f32, b.f32);
    case Phys::kF64: return compare_floats(a.f64, b.f64);
    case Phys::kD128: return three_way(a.i128, b.i128);
    case Phys::kNumeric: return compare(a.numeric, b.numeric);
    case Phys::kInterval: return compare_intervals(a.interval, b.interval);
    case Phys::kTimeTz: return compare_timetz(a.timetz, b.timetz);
    case Phys::kU128: return three_way(a.uuid, b.uuid);
    case Phys::kStr: return compare_strings(a.str, b.str, type);
  }
  RUSTBD_UNREACHABLE();
}

bool equal(const Datum& a, const Datum& b, const TypeRef& type) {
  if (type.phys == Phys::kStr && type.oid != oid::kBpchar && !holds_array(type.oid)) return a.str == b.str;
  return compare(a, b, type) == 0;
}

std::uint64_t hash(const Datum& v, const TypeRef& type) {
  switch (type.phys) {
    case Phys::kBool: return hash_u64(v.boolean ? 1 : 0);
    case Phys::kI8: return hash_u64(static_cast<std::uint8_t>(v.i8));
    case Phys::kI16: return hash_u64(static_cast<std::uint64_t>(std::int64_t{v.i16}));
    case Phys::kI32: return hash_u64(static_cast<std::uint64_t>(std::int64_t{v.i32}));
    case Phys::kI64: return hash_u64(static_cast<std::uint64_t>(v.i64));
    case Phys::kU32: return hash_u64(v.u32);
    case Phys::kU64: return hash_u64(v.u64);
    case Phys::kF32: return hash_double(v.f32);
    case Phys::kF64: return hash_double(v.f64);
    case Phys::kD64: return v.i64 == kD64Nan ? hash(numeric_nan()) : hash_scaled(v.i64, type.scale);
    case Phys::kD128: return v.i128 == kD128Nan ? hash(numeric_nan()) : hash_scaled(v.i128, type.scale);
    case Phys::kNumeric: return hash(v.numeric);
    case Phys::kInterval: {
      const Int128 value = interval_value(v.interval);
      return hash_combine(hash_u64(static_cast<std::uint64_t>(value)),
                          static_cast<std::uint64_t>(value >> 64));
    }
    case Phys::kTimeTz:
      return hash_combine(hash_u64(static_cast<std::uint64_t>(v.timetz.micros)),
                          static_cast<std::uint64_t>(std::int64_t{v.timetz.zone_seconds}));
    case Phys::kU128: return hash_combine(hash_u64(v.uuid.hi), v.uuid.lo);
    case Phys::kStr: return hash_string(v.str, type);
  }
  RUSTBD_UNREACHABLE();
}

// ---- stored forms (storage.md §1.4)
// -------------------------------------------------------------------------------
namespace {
void append_stored_numeric(const Numeric& n, Bytes& out) {
  ByteWriter w{out};
  switch (kind_of(n)) {
    case NumericKind::kNan:
      w.fixed<std::uint8_t>(2);
      w.fixed<std::uint16_t>(0);
      return;
    case NumericKind::kInfinity:
      w.fixed<std::uint8_t>(3);
      w.fixed<std::uint16_t>(0);
      return;
    case NumericKind::kMinusInfinity:
      w.fixed<std::uint8_t>(4);
      w.fixed<std::uint16_t>(0);
      return;
    case NumericKind::kFinite: break;
  }
  w.fixed<std::uint8_t>(sign_of(n) < 0 ? 1 : 0);
  w.fixed(static_cast<std::uint16_t>(dscale_of(n)));
  std::uint64_t scratch[2];
  const auto limbs = limbs_of(n, scratch);
  const auto* bytes = reinterpret_cast<const std::byte*>(limbs.data());
  std::size_t size = limbs.size_bytes();
  while (size > 0 && bytes[size - 1] == std::byte{0}) --size;
  w.raw(bytes, size);
}

Numeric load_stored_numeric(ByteSpan stored, Arena& arena) {
  ByteReader in{stored};
  const auto kind = in.fixed<std::uint8_t>();
  const auto scale = in.fixed<std::uint16_t>();
  if (!in.ok() || kind > 4 || scale > kNumericMaxScale)
    throw error(sqlstate::kDataCorrupted, "malformed stored numeric");
  if (kind == 2) return numeric_nan();
  if (kind >= 3) return numeric_special(kind == 3 ? NumericKind::kInfinity : NumericKind::kMinusInfinity);
  const ByteSpan magnitude = stored.subspan(3);
  std::uint64_t few[2] = {0, 0};
  const std::size_t words = (magnitude.size() + 7) / 8;
  std::uint64_t* limbs = words <= 2 ? few : arena.make_array<std::uint64_t>(words);
  if (!magnitude.empty()) std::memcpy(limbs, magnitude.data(), magnitude.size());
  return numeric_from_limbs(kind == 1, {limbs, words}, scale, arena);
}
}  // namespace

void append_stored(const Datum& value, Phys phys, Bytes& out) {
  if (phys == Phys::kStr) {
    const ByteSpan bytes = as_bytes(value.str.view());
    out.insert(out.end(), bytes.begin(), bytes.end());
  } else if (phys == Phys::kNumeric) {
    append_stored_numeric(value.numeric, out);
  } else {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), p, p + width_of(phys));
  }
}

Datum load_stored(ByteSpan stored, Phys phys, Arena& arena) {
  if (phys == Phys::kStr) return Datum::of(Str{as_chars(stored)});
  if (phys == Phys::kNumeric) return Datum::of(load_stored_numeric(stored, arena));
  if (stored.size() != width_of(phys))
    throw error(sqlstate::kDataCorrupted, "stored value has a wrong width");
  return load_datum(stored.data(), width_of(phys));
}

}  // namespace rustbd::types
