// The values of each physical representation, one at a time: Str, Numeric, Interval, ..., and Datum that
// holds any.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "rustbd/base/arena.h"
#include "rustbd/types/type.h"

namespace rustbd::types {

using Int128 = __int128;

/// 16-byte string (Neumann and Freitag, CIDR 2020). len <= 12: inline, zero-padded; else 4 bytes of prefix
/// and a pointer that somebody else keeps alive. Bytes may be anything (bytea, arrays); text is valid UTF-8.
struct Str {
  std::uint32_t len = 0;
  char prefix[4] = {};
  union {
    char rest[8];
    const char* ptr;
  };
  static constexpr std::uint32_t kInlineMax = 12;
  static constexpr std::uint32_t kMaxBytes = (1u << 30) - 1;

  Str() : rest{} {}
  /// Points into `text` when it is longer than 12 bytes.
  explicit Str(std::string_view text) : len(static_cast<std::uint32_t>(text.size())), rest{} {
    if (len <= kInlineMax) {
      if (len != 0) std::memcpy(prefix, text.data(), len);  // runs on into rest: one 12-byte field
    } else {
      std::memcpy(prefix, text.data(), 4);
      ptr = text.data();
    }
  }
  static Str copy(std::string_view text, Arena& arena) {
    return text.size() <= kInlineMax ? Str{text} : Str{arena.copy(text)};
  }
  [[nodiscard]] bool is_inline() const { return len <= kInlineMax; }
  [[nodiscard]] const char* data() const { return is_inline() ? prefix : ptr; }
  [[nodiscard]] std::string_view view() const { return {data(), len}; }
  bool operator==(const Str& other) const {
    std::uint64_t a, b;
    std::memcpy(&a, this, 8);
    std::memcpy(&b, &other, 8);
    if (a != b) return false;
    if (is_inline()) return std::memcmp(rest, other.rest, 8) == 0;
    return ptr == other.ptr || std::memcmp(ptr, other.ptr, len) == 0;
  }
  /// Bytewise: <0, 0, >0.
  [[nodiscard]] int compare(const Str& other) const {
    std::uint32_t a, b;
    std::memcpy(&a, prefix, 4);
    std::memcpy(&b, other.prefix, 4);
    if (a != b) return __builtin_bswap32(a) < __builtin_bswap32(b) ? -1 : 1;
    const auto n = len < other.len ? len : other.len;
    if (const int c = std::memcmp(data(), other.data(), n); c != 0) return c;
    return len < other.len ? -1 : (len > other.len ? 1 : 0);
  }
};
static_assert(sizeof(Str) == 16);

/// numeric without static scale: small values inline (sign, 112-bit magnitude, dscale), larger ones point to
/// limbs that somebody else keeps alive. Arithmetic and text are in numeric.h. All-zero bytes are the number
/// 0.
struct alignas(8) Numeric {
  std::uint64_t lo = 0;
  std::uint64_t hi = 0;
};
static_assert(sizeof(Numeric) == 16);

struct Interval {
  std::int64_t micros = 0;
  std::int32_t days = 0;
  std::int32_t months = 0;
  bool operator==(const Interval&) const = default;  // of the fields; SQL's equality normalises (datetime.h)
};
struct TimeTz {
  std::int64_t micros = 0;
  std::int32_t zone_seconds = 0;  // seconds WEST of Greenwich, as PostgreSQL
  std::int32_t zero = 0;
};
struct Uuid {
  std::uint64_t hi = 0, lo = 0;  // numbers whose order is the byte order
  auto operator<=>(const Uuid&) const = default;
};

/// Any value, untagged: the type is known from elsewhere. Null-ness too.
union Datum {
  bool boolean;
  std::int8_t i8;
  std::int16_t i16;
  std::int32_t i32;
  std::int64_t i64;
  std::uint32_t u32;
  std::uint64_t u64;
  float f32;
  double f64;
  Int128 i128;  // kD128; kD64 uses i64
  Numeric numeric;
  Interval interval;
  TimeTz timetz;
  Uuid uuid;
  Str str;
  Datum() : i128(0) {}
  static Datum of(bool v) {
    Datum d;
    d.boolean = v;
    return d;
  }
  static Datum of(std::int16_t v) {
    Datum d;
    d.i16 = v;
    return d;
  }
  static Datum of(std::int32_t v) {
    Datum d;
    d.i32 = v;
    return d;
  }
  static Datum of(std::int64_t v) {
    Datum d;
    d.i64 = v;
    return d;
  }
  static Datum of(std::uint32_t v) {
    Datum d;
    d.u32 = v;
    return d;
  }
  static Datum of(std::uint64_t v) {
    Datum d;
    d.u64 = v;
    return d;
  }
  static Datum of(float v) {
    Datum d;
    d.f32 = v;
    return d;
  }
  static Datum of(double v) {
    Datum d;
    d.f64 = v;
    return d;
  }
  static Datum of(Int128 v) {
    Datum d;
    d.i128 = v;
    return d;
  }
  static Datum of(Numeric v) {
    Datum d;
    d.numeric = v;
    return d;
  }
  static Datum of(Interval v) {
    Datum d;
    d.interval = v;
    return d;
  }
  static Datum of(TimeTz v) {
    Datum d;
    d.timetz = v;
    return d;
  }
  static Datum of(Uuid v) {
    Datum d;
    d.uuid = v;
    return d;
  }
  static Datum of(Str v) {
    Datum d;
    d.str = v;
    return d;
  }
};
static_assert(sizeof(Datum) == 16);

/// A value with its null-ness and type: parameters, defaults, constants. Strings point into somebody's
/// memory.
struct Value {
  TypeRef type{};
  bool is_null = true;
  Datum datum{};
};

/// The C++ type of a Phys, for templates: CppType<Phys::kI32>::type is int32_t.
template <Phys>
struct CppType;
template <>
struct CppType<Phys::kBool> {
  using type = bool;
};
template <>
struct CppType<Phys::kI8> {
  using type = std::int8_t;
};
template <>
struct CppType<Phys::kI16> {
  using type = std::int16_t;
};
template <>
struct CppType<Phys::kI32> {
  using type = std::int32_t;
};
template <>
struct CppType<Phys::kI64> {
  using type = std::int64_t;
};
template <>
struct CppType<Phys::kU32> {
  using type = std::uint32_t;
};
template <>
struct CppType<Phys::kU64> {
  using type = std::uint64_t;
};
template <>
struct CppType<Phys::kF32> {
  using type = float;
};
template <>
struct CppType<Phys::kF64> {
  using type = double;
};
template <>
struct CppType<Phys::kD64> {
  using type = std::int64_t;
};
template <>
struct CppType<Phys::kD128> {
  using type = Int128;
};
template <>
struct CppType<Phys::kNumeric> {
  using type = Numeric;
};
template <>
struct CppType<Phys::kInterval> {
  using type = Interval;
};
template <>
struct CppType<Phys::kTimeTz> {
  using type = TimeTz;
};
template <>
struct CppType<Phys::kU128> {
  using type = Uuid;
};
template <>
struct CppType<Phys::kStr> {
  using type = Str;
};
template <Phys P>
using CppTypeOf = typename CppType<P>::type;

/// A datum to and from an array element of `width_of(phys)` bytes.
inline Datum load_datum(const void* from, std::uint32_t width) {
  Datum d;
  std::memcpy(static_cast<void*>(&d), from, width);
  return d;
}
inline void store_datum(void* to, const Datum& d, std::uint32_t width) {
  std::memcpy(to, static_cast<const void*>(&d), width);
}
/// Copies what the datum points to (long strings, big numerics) into the arena.
Datum copy_datum(const Datum& d, Phys phys, Arena& arena);

}  // namespace rustbd::types
