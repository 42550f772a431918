#include "rustbd/functions/coerce.h"

#include "rustbd/base/error.h"
#include "rustbd/functions/numeric_type.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using types::Phys;

Datum coerce_string(const Datum& value, Oid type, std::int32_t limit, bool is_explicit, Arena& arena) {
  const std::string_view text = value.str.view();
  const std::size_t keep = char_offset(text, limit);
  if (keep < text.size()) {
    if (!is_explicit && text.find_first_not_of(' ', keep) != std::string_view::npos)
      throw error(sqlstate::kStringDataRightTruncation, "value too long for type {}({})",
                  type == oid::kBpchar ? "character" : "character varying", limit);
    return Datum::of(types::Str{text.substr(0, keep)});
  }
  if (type != oid::kBpchar) return value;
  const std::int32_t missing = limit - count_chars(text);
  if (missing <= 0) return value;
  if (static_cast<std::int64_t>(text.size()) + missing > types::Str::kMaxBytes)
    throw error(sqlstate::kInternalError, "invalid memory alloc request size {}",
                static_cast<std::int64_t>(text.size()) + missing + 4);
  char* padded = static_cast<char*>(arena.allocate(text.size() + static_cast<std::size_t>(missing), 1));
  std::memcpy(padded, text.data(), text.size());
  std::memset(padded + text.size(), ' ', static_cast<std::size_t>(missing));
  return Datum::of(types::Str{std::string_view{padded, text.size() + static_cast<std::size_t>(missing)}});
}

[[noreturn]] void numeric_overflow(int precision, int scale) {
  throw error(sqlstate::kNumericValueOutOfRange, "numeric field overflow")
      .with_detail(fmt::format(
          "A field with precision {}, scale {} must round to an absolute value less than {}{}.", precision,
          scale, precision == scale ? "" : "10^", precision == scale ? 1 : precision - scale));
}

Datum coerce_numeric(const Datum& value, const TypeRef& from, const TypeRef& to, Arena& arena) {
  if (to.typmod < 4) return types::convert_decimal(value, from, to, arena);
  const int precision = types::numeric_precision(to.typmod), scale = types::numeric_scale(to.typmod);
  if (from.phys == Phys::kD64 && to.phys == Phys::kD64 && value.i64 != types::kD64Nan) {
    // Both fit 18 digits, so the scale change fits 128 bits.
    const types::Int128 scaled = types::d128_rescale(value.i64, from.scale, to.scale);
    const auto limit = static_cast<types::Int128>(types::kPowersOfTen[precision]);
    if (scaled >= limit || scaled <= -limit) numeric_overflow(precision, scale);
    return Datum::of(static_cast<std::int64_t>(scaled));
  }
  const types::Numeric n =
      types::apply_numeric_typmod(types::datum_to_numeric(value, from, arena), to.typmod, arena);
  TypeRef general = types::make_type(oid::kNumeric);
  return types::convert_decimal(Datum::of(n), general, to, arena);
}

}  // namespace

bool needs_length_coercion(const TypeRef& from, const TypeRef& to) {
  if (from.phys != to.phys || from.scale != to.scale) return true;
  if (to.typmod < 0 || from.typmod == to.typmod) return false;
  return true;
}

Datum coerce_length(const Datum& value, const TypeRef& from, const TypeRef& to, bool is_explicit,
                    Arena& arena) {
  switch (to.oid) {
    case oid::kVarchar:
    case oid::kBpchar:
      return to.typmod < 4 ? value : coerce_string(value, to.oid, to.typmod - 4, is_explicit, arena);
    case oid::kNumeric: return coerce_numeric(value, from, to, arena);
    case oid::kTime: return to.typmod < 0 ? value : Datum::of(types::round_time(value.i64, to.typmod));
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return to.typmod < 0 ? value : Datum::of(types::round_timestamp(value.i64, to.typmod));
    case oid::kTimetz: {
      Datum out = value;
      if (to.typmod >= 0) out.timetz.micros = types::round_time(value.timetz.micros, to.typmod);
      return out;
    }
    case oid::kInterval:
      return to.typmod < 0 ? value : Datum::of(types::apply_interval_typmod(value.interval, to.typmod));
    default: return value;
  }
}

}  // namespace rustbd::functions
