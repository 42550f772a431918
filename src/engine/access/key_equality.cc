#include "rustbd/engine/access/key_equality.h"

#include "rustbd/base/assert.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/compare.h"
#include "rustbd/types/datetime.h"

namespace rustbd::engine {

namespace {

namespace oid = types::oid;
using types::Datum;
using types::Phys;
using types::TypeRef;

bool is_integer(Oid type) { return type == oid::kInt2 || type == oid::kInt4 || type == oid::kInt8; }
bool is_float(Oid type) { return type == oid::kFloat4 || type == oid::kFloat8; }
bool is_plain_text(Oid type) { return type == oid::kText || type == oid::kVarchar; }
bool is_text(Oid type) { return is_plain_text(type) || type == oid::kBpchar || type == oid::kName; }
bool is_moment(Oid type) {
  return type == oid::kDate || type == oid::kTimestamp || type == oid::kTimestamptz;
}
bool is_object(const TypeRef& type) {  // oid, regclass, ...
  const auto* info = types::find_type(type.oid);
  return type.phys == Phys::kU32 && info != nullptr && info->category == 'N';
}

std::int64_t integer_of(const Datum& value, Phys phys) {
  switch (phys) {
    case Phys::kI16: return value.i16;
    case Phys::kI32: return value.i32;
    case Phys::kI64: return value.i64;
    default: RUSTBD_UNREACHABLE("not an integer's representation");
  }
}
/// nullopt: out of its range.
std::optional<Datum> to_integer(std::int64_t value, Phys phys) {
  if (phys == Phys::kI64) return Datum::of(value);
  if (phys == Phys::kI32) {
    if (!std::in_range<std::int32_t>(value)) return std::nullopt;
    return Datum::of(static_cast<std::int32_t>(value));
  }
  RUSTBD_ASSERT(phys == Phys::kI16, "an integer's representation");
  if (!std::in_range<std::int16_t>(value)) return std::nullopt;
  return Datum::of(static_cast<std::int16_t>(value));
}

/// As a numeric type with or without a static scale, or as an integer; rounded where it has to be. nullopt:
/// out of range.
std::optional<Datum> from_numeric(const types::Numeric& n, const TypeRef& to) {
  if (to.phys == Phys::kNumeric) return Datum::of(n);
  if (types::is_nan(n) && to.phys == Phys::kD64) return Datum::of(types::kD64Nan);
  if (types::is_nan(n) && to.phys == Phys::kD128) return Datum::of(types::kD128Nan);
  types::Int128 scaled = 0;
  if (!types::to_scaled(n, to.scale, &scaled)) return std::nullopt;
  if (to.phys == Phys::kD128) {
    if (scaled >= types::kD128Nan || scaled <= -types::kD128Nan) return std::nullopt;
    return Datum::of(scaled);
  }
  constexpr types::Int128 low = INT64_MIN, high = INT64_MAX;
  if (scaled < low || scaled > high || (to.phys == Phys::kD64 && scaled == high)) return std::nullopt;
  const auto narrow = static_cast<std::int64_t>(scaled);
  return to.phys == Phys::kD64 ? Datum::of(narrow) : to_integer(narrow, to.phys);
}

double to_double(const Datum& value, const TypeRef& from, Arena& arena) {
  if (from.oid == oid::kFloat4) return value.f32;
  if (from.oid == oid::kNumeric) return types::numeric_to_double(types::datum_to_numeric(value, from, arena));
  return static_cast<double>(integer_of(value, from.phys));
}
float to_float(const Datum& value, const TypeRef& from, Arena& arena) {
  if (from.oid == oid::kNumeric) return types::numeric_to_float(types::datum_to_numeric(value, from, arena));
  return static_cast<float>(integer_of(value, from.phys));
}

Datum strip_blanks(const Datum& value) {
  std::string_view text = value.str.view();
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return Datum::of(types::Str{text});
}

}  // namespace

std::optional<KeyEquality> KeyEquality::of(const TypeRef& a, const TypeRef& b) {
  if (a.oid == b.oid) {
    const bool scales = a.phys != b.phys || a.scale != b.scale;  // numeric(p,s)
    return KeyEquality{a, b, scales ? types::make_type(a.oid) : a, true};
  }
  const auto by = [&](Oid common, bool exact) { return KeyEquality{a, b, types::make_type(common), exact}; };
  if (is_integer(a.oid) && is_integer(b.oid)) return by(oid::kInt8, true);
  if (a.oid == oid::kNumeric && is_integer(b.oid)) return by(oid::kNumeric, true);
  if (is_float(a.oid) && is_float(b.oid)) return by(oid::kFloat8, true);
  if (is_float(a.oid) && (is_integer(b.oid) || b.oid == oid::kNumeric)) return by(a.oid, false);
  if (is_object(a) && is_object(b)) return by(oid::kOid, true);
  if (is_object(a) && is_integer(b.oid)) return by(oid::kOid, true);
  if (is_plain_text(a.oid) && is_text(b.oid)) return by(oid::kText, true);
  if (a.oid == oid::kName && is_text(b.oid)) return by(oid::kText, true);
  if (a.oid == oid::kBpchar && is_plain_text(b.oid)) return by(oid::kBpchar, false);
  if (is_moment(a.oid) && is_moment(b.oid)) {
    // A time that the clocks skip is the same moment as another one.
    if (a.oid != oid::kTimestamptz && b.oid != oid::kTimestamptz) return by(oid::kTimestamp, true);
    return by(oid::kTimestamptz, b.oid == oid::kTimestamptz);
  }
  if (a.oid == oid::kTimetz && b.oid == oid::kTime) return by(oid::kTimetz, true);
  return std::nullopt;
}

bool KeyEquality::same(const Datum& a, const Datum& b) const { return types::equal(a, b, common_); }

std::optional<Datum> KeyEquality::referenced(const Datum& value, types::IoContext& io) const {
  return to_common(value, referenced_, io);
}
std::optional<Datum> KeyEquality::referencing(const Datum& value, types::IoContext& io) const {
  return to_common(value, referencing_, io);
}
std::optional<Datum> KeyEquality::to_referenced(const Datum& value, types::IoContext& io) const {
  const auto common = to_common(value, referencing_, io);
  return common ? from_common(*common, referenced_, io) : std::nullopt;
}
std::optional<Datum> KeyEquality::to_referencing(const Datum& value, types::IoContext& io) const {
  const auto common = to_common(value, referenced_, io);
  return common ? from_common(*common, referencing_, io) : std::nullopt;
}

std::optional<Datum> KeyEquality::to_common(const Datum& value, const TypeRef& from,
                                            types::IoContext& io) const {
  if (from.oid == common_.oid && from.phys == common_.phys && from.scale == common_.scale) return value;
  const auto& settings = io.settings;
  switch (common_.oid) {
    case oid::kInt8: return Datum::of(integer_of(value, from.phys));
    case oid::kNumeric: return Datum::of(types::datum_to_numeric(value, from, *io.arena));
    case oid::kFloat4: return Datum::of(to_float(value, from, *io.arena));
    case oid::kFloat8: return Datum::of(to_double(value, from, *io.arena));
    case oid::kOid:
      if (from.phys == Phys::kU32) return value;
      if (from.phys == Phys::kI64) return Datum::of(types::int64_to_oid(value.i64));
      return Datum::of(static_cast<std::uint32_t>(integer_of(value, from.phys)));
    case oid::kText: return from.oid == oid::kBpchar ? strip_blanks(value) : value;
    case oid::kBpchar: return value;
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      std::int64_t local = value.i64;
      if (from.oid == oid::kDate) {
        // Dates go further than timestamps.
        if (types::is_finite_date(value.i32) && value.i32 >= types::kTimestampEnd / types::kUsPerDay)
          return std::nullopt;
        local = types::date_to_timestamp(value.i32);
      }
      if (common_.oid == oid::kTimestamp) return Datum::of(local);
      return Datum::of(types::timestamp_to_timestamptz(local, types::zone_of(settings)));
    }
    case oid::kTimetz: return Datum::of(types::time_to_timetz(value.i64, settings));
    default: RUSTBD_UNREACHABLE("a type that keys are compared as");
  }
}

std::optional<Datum> KeyEquality::from_common(const Datum& value, const TypeRef& to,
                                              types::IoContext& io) const {
  if (to.oid == common_.oid && to.phys == common_.phys && to.scale == common_.scale) return value;
  std::optional<Datum> out = value;
  switch (common_.oid) {
    case oid::kInt8: out = to_integer(value.i64, to.phys); break;
    case oid::kNumeric: out = from_numeric(value.numeric, to); break;
    case oid::kFloat8:
      if (std::abs(value.f64) > std::numeric_limits<float>::max() && !std::isinf(value.f64))
        return std::nullopt;
      out = Datum::of(static_cast<float>(value.f64));
      break;
    case oid::kOid:
      if (to.phys == Phys::kI64) out = Datum::of(static_cast<std::int64_t>(value.u32));
      else if (to.phys != Phys::kU32) out = to_integer(static_cast<std::int32_t>(value.u32), to.phys);
      break;
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      std::int64_t local = value.i64;
      if (common_.oid == oid::kTimestamptz)
        local = types::timestamptz_to_timestamp(local, types::zone_of(io.settings));
      out = to.oid == oid::kDate ? Datum::of(types::timestamp_to_date(local)) : Datum::of(local);
      break;
    }
    case oid::kTimetz: out = Datum::of(value.timetz.micros); break;
    default: break;  // strings
  }
  if (!out) return std::nullopt;
  // Only if nothing was lost.
  const auto back = to_common(*out, to, io);
  return back && same(*back, value) ? out : std::nullopt;
}

}  // namespace rustbd::engine
