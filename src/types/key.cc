// Normalised keys (storage.md §1.5): bytes whose memcmp order is the order of the values. Every part is
// prefix-free, so that keys of several columns compare column by column.
#include <bit>
#include <cmath>

#include "rustbd/base/assert.h"
#include "rustbd/base/error.h"
#include "rustbd/types/array.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/numeric.h"

namespace rustbd::types {

namespace {
constexpr std::uint8_t kNullFirst = 0, kNotNull = 1, kNullLast = 2;

template <class Unsigned>
void put_big_endian(Unsigned v, Bytes& out) {
  std::byte bytes[sizeof v];
  for (std::size_t i = 0; i < sizeof v; ++i)
    bytes[i] = static_cast<std::byte>(static_cast<std::uint8_t>(v >> (8 * (sizeof v - 1 - i))));
  out.insert(out.end(), bytes, bytes + sizeof v);
}
template <class Unsigned>
bool get_big_endian(ByteReader& in, std::uint8_t flip, Unsigned* v) {
  *v = 0;
  for (std::size_t i = 0; i < sizeof *v; ++i)
    *v = static_cast<Unsigned>(static_cast<Unsigned>(*v << 8) |
                               static_cast<std::uint8_t>(in.fixed<std::uint8_t>() ^ flip));
  return in.ok();
}
/// Sign bit flipped: order of signed numbers as order of unsigned ones.
template <class Unsigned, class Signed>
Unsigned bias(Signed v) {
  return static_cast<Unsigned>(static_cast<Unsigned>(v) ^
                               (static_cast<Unsigned>(1) << (sizeof(Unsigned) * 8 - 1)));
}
template <class Unsigned, class Float>
Unsigned fold_float(Float v) {
  if (std::isnan(v)) return static_cast<Unsigned>(~static_cast<Unsigned>(0));
  if (v == 0) v = 0;  // -0 = +0
  const auto bits = std::bit_cast<Unsigned>(v);
  const auto top = static_cast<Unsigned>(1) << (sizeof(Unsigned) * 8 - 1);
  return (bits & top) != 0 ? static_cast<Unsigned>(~bits) : static_cast<Unsigned>(bits | top);
}
template <class Float, class Unsigned>
Float unfold_float(Unsigned v) {
  if (v == static_cast<Unsigned>(~static_cast<Unsigned>(0))) return std::numeric_limits<Float>::quiet_NaN();
  const auto top = static_cast<Unsigned>(1) << (sizeof(Unsigned) * 8 - 1);
  return std::bit_cast<Float>((v & top) != 0 ? static_cast<Unsigned>(v ^ top) : static_cast<Unsigned>(~v));
}

/// 00 -> 00 FF; end 00 00.
void put_escaped(std::string_view text, Bytes& out) {
  for (const char c : text) {
    out.push_back(static_cast<std::byte>(c));
    if (c == 0) out.push_back(std::byte{0xFF});
  }
  out.push_back(std::byte{0});
  out.push_back(std::byte{0});
}
bool get_escaped(ByteReader& in, std::uint8_t flip, std::string* out) {
  while (in.ok()) {
    const auto b = static_cast<std::uint8_t>(in.fixed<std::uint8_t>() ^ flip);
    if (b == 0) {
      const auto next = static_cast<std::uint8_t>(in.fixed<std::uint8_t>() ^ flip);
      if (next == 0) return in.ok();
    }
    out->push_back(static_cast<char>(b));
  }
  return false;
}

constexpr std::uint8_t kMinusInfinity = 0x10, kNegative = 0x20, kZero = 0x30, kPositive = 0x40,
                       kInfinity = 0x50, kNan = 0x60, kDigitsEnd = 0;
/// Class byte; then biased decimal exponent (3 bytes) and pairs of digits + 1, ended by 0; inverted when
/// negative.
void put_numeric(const Numeric& n, Bytes& out) {
  const auto byte = [&](unsigned v) { out.push_back(static_cast<std::byte>(v)); };
  switch (kind_of(n)) {
    case NumericKind::kNan: byte(kNan); return;
    case NumericKind::kInfinity: byte(kInfinity); return;
    case NumericKind::kMinusInfinity: byte(kMinusInfinity); return;
    case NumericKind::kFinite: break;
  }
  const int sign = sign_of(n);
  if (sign == 0) {
    byte(kZero);
    return;
  }
  byte(sign > 0 ? kPositive : kNegative);
  const unsigned flip = sign > 0 ? 0 : 0xFF;
  std::string digits = to_string(n);
  std::erase_if(digits, [](char c) { return c == '-' || c == '.'; });
  const std::size_t first = digits.find_first_not_of('0');
  const int exponent = static_cast<int>(digits.size() - first) - 1 - dscale_of(n);
  const std::size_t last = digits.find_last_not_of('0');
  const auto biased = static_cast<unsigned>(exponent + (1 << 22));
  byte((biased >> 16) ^ flip);
  byte(((biased >> 8) & 0xFF) ^ flip);
  byte((biased & 0xFF) ^ flip);
  for (std::size_t i = first; i <= last; i += 2) {
    const int low = i + 1 <= last ? digits[i + 1] - '0' : 0;
    byte(static_cast<unsigned>((digits[i] - '0') * 10 + low + 1) ^ flip);
  }
  byte(kDigitsEnd ^ flip);
}

void put_value(const Datum& v, const TypeRef& type, Bytes& out);

/// Elements with markers (2 = null, which sorts last), then the shape; 0 ends the elements.
void put_array(const Str& array, Bytes& out) {
  const ArrayView view{array};
  Arena arena;
  TypeRef element = make_type(view.element_type());
  element.phys = view.element_phys();
  for (ArrayView::Cursor c{view, arena}; c.next();) {
    out.push_back(std::byte{c.is_null() ? kNullLast : kNotNull});
    if (!c.is_null()) put_value(c.value(), element, out);
  }
  out.push_back(std::byte{0});
  out.push_back(static_cast<std::byte>(view.ndim()));
  for (const Dimension& d : view.dimensions()) put_big_endian(bias<std::uint32_t>(d.length), out);
  for (const Dimension& d : view.dimensions()) put_big_endian(bias<std::uint32_t>(d.lower), out);
}

void put_string(const Str& s, const TypeRef& type, Bytes& out) {
  if (element_type_of(type.oid) != oid::kInvalid) return put_array(s, out);
  std::string_view text = s.view();
  if (type.oid == oid::kBpchar)
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  put_escaped(text, out);
}

void put_value(const Datum& v, const TypeRef& type, Bytes& out) {
  switch (type.phys) {
    case Phys::kBool: out.push_back(static_cast<std::byte>(v.boolean ? 1 : 0)); return;
    case Phys::kI8: out.push_back(static_cast<std::byte>(v.i8)); return;
    case Phys::kI16: put_big_endian(bias<std::uint16_t>(v.i16), out); return;
    case Phys::kI32: put_big_endian(bias<std::uint32_t>(v.i32), out); return;
    case Phys::kI64: put_big_endian(bias<std::uint64_t>(v.i64), out); return;
    case Phys::kU32: put_big_endian(v.u32, out); return;
    case Phys::kU64: put_big_endian(v.u64, out); return;
    case Phys::kF32: put_big_endian(fold_float<std::uint32_t>(v.f32), out); return;
    case Phys::kF64: put_big_endian(fold_float<std::uint64_t>(v.f64), out); return;
    case Phys::kD64: put_big_endian(bias<std::uint64_t>(v.i64), out); return;  // NaN = max: all ones
    case Phys::kD128: put_big_endian(bias<UInt128>(v.i128), out); return;
    case Phys::kNumeric: put_numeric(v.numeric, out); return;
    case Phys::kInterval: put_big_endian(bias<UInt128>(interval_value(v.interval)), out); return;
    case Phys::kTimeTz:
      put_big_endian(
          bias<std::uint64_t>(v.timetz.micros + std::int64_t{v.timetz.zone_seconds} * kUsPerSecond), out);
      put_big_endian(bias<std::uint32_t>(v.timetz.zone_seconds), out);
      return;
    case Phys::kU128:
      put_big_endian(v.uuid.hi, out);
      put_big_endian(v.uuid.lo, out);
      return;
    case Phys::kStr: put_string(v.str, type, out); return;
  }
}

template <class Unsigned, class Signed>
bool get_signed(ByteReader& in, std::uint8_t flip, Signed* to) {
  Unsigned v;
  if (!get_big_endian(in, flip, &v)) return false;
  *to = static_cast<Signed>(v ^ (static_cast<Unsigned>(1) << (sizeof(Unsigned) * 8 - 1)));
  return true;
}
template <class Float, class Unsigned>
bool get_float(ByteReader& in, std::uint8_t flip, Float* to) {
  Unsigned v;
  if (!get_big_endian(in, flip, &v)) return false;
  *to = unfold_float<Float>(v);
  return true;
}

bool get_timetz(ByteReader& in, std::uint8_t flip, TimeTz* to) {
  std::int64_t utc;
  if (!get_signed<std::uint64_t>(in, flip, &utc) || !get_signed<std::uint32_t>(in, flip, &to->zone_seconds))
    return false;
  to->micros = utc - std::int64_t{to->zone_seconds} * kUsPerSecond;
  return true;
}
bool get_string(ByteReader& in, std::uint8_t flip, const TypeRef& type, Arena& arena, Str* to) {
  if (type.oid == oid::kBpchar || element_type_of(type.oid) != oid::kInvalid) return false;
  std::string text;
  if (!get_escaped(in, flip, &text)) return false;
  *to = Str::copy(text, arena);
  return true;
}

bool get_value(ByteReader& in, std::uint8_t flip, const TypeRef& type, Arena& arena, Datum* out) {
  switch (type.phys) {
    case Phys::kBool: out->boolean = (in.fixed<std::uint8_t>() ^ flip) != 0; return in.ok();
    case Phys::kI8: out->i8 = static_cast<std::int8_t>(in.fixed<std::uint8_t>() ^ flip); return in.ok();
    case Phys::kI16: return get_signed<std::uint16_t>(in, flip, &out->i16);
    case Phys::kI32: return get_signed<std::uint32_t>(in, flip, &out->i32);
    case Phys::kI64:
    case Phys::kD64: return get_signed<std::uint64_t>(in, flip, &out->i64);
    case Phys::kU32: return get_big_endian(in, flip, &out->u32);
    case Phys::kU64: return get_big_endian(in, flip, &out->u64);
    case Phys::kF32: return get_float<float, std::uint32_t>(in, flip, &out->f32);
    case Phys::kF64: return get_float<double, std::uint64_t>(in, flip, &out->f64);
    case Phys::kD128: return get_signed<UInt128>(in, flip, &out->i128);
    case Phys::kNumeric:
    case Phys::kInterval: return false;
    case Phys::kTimeTz: out->timetz = {}; return get_timetz(in, flip, &out->timetz);
    case Phys::kU128:
      out->uuid = {};
      return get_big_endian(in, flip, &out->uuid.hi) && get_big_endian(in, flip, &out->uuid.lo);
    case Phys::kStr: return get_string(in, flip, type, arena, &out->str);
  }
  return false;
}
}  // namespace

void append_key(const Datum& value, bool is_null, const KeyPart& part, Bytes& out) {
  constexpr std::size_t kUsualBytes = 32;  // of a key: one allocation
  if (out.capacity() == 0) out.reserve(kUsualBytes);
  if (is_null) {
    out.push_back(std::byte{part.nulls_first ? kNullFirst : kNullLast});
    return;
  }
  out.push_back(std::byte{kNotNull});
  const std::size_t start = out.size();
  put_value(value, part.type, out);
  if (part.descending)
    for (std::size_t i = start; i < out.size(); ++i) out[i] = ~out[i];
}

bool decode_key(ByteReader& in, const KeyPart& part, Arena& arena, Datum* value, bool* is_null) {
  const auto marker = in.fixed<std::uint8_t>();
  if (!in.ok() || marker > kNullLast) return false;
  *is_null = marker != kNotNull;
  *value = Datum{};
  if (*is_null) return true;
  return get_value(in, part.descending ? 0xFF : 0, part.type, arena, value);
}

}  // namespace rustbd::types
