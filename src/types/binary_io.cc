// Binary send and receive: PostgreSQL's wire formats, big-endian.
#include <bit>

#include "rustbd/base/assert.h"
#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/io.h"
#include "rustbd/types/numeric.h"
#include "rustbd/types/wire_bytes.h"

namespace rustbd::types {

namespace {
constexpr std::uint16_t kNegative = 0x4000, kNan = 0xC000, kInfinity = 0xD000, kMinusInfinity = 0xF000;

[[noreturn]] void bad_format(std::string_view what) {
  throw error(sqlstate::kInvalidBinaryRepresentation, "{}", what);
}

void send_numeric(const Numeric& n, std::string& out) {
  if (!is_finite(n)) {
    put_wire<std::uint16_t>(0, out);
    put_wire<std::uint16_t>(0, out);
    put_wire<std::uint16_t>(
        is_nan(n) ? kNan : (kind_of(n) == NumericKind::kInfinity ? kInfinity : kMinusInfinity), out);
    put_wire<std::uint16_t>(0, out);
    return;
  }
  const NumericDigits d = to_base_10000(n);
  put_wire(static_cast<std::uint16_t>(d.digits.size()), out);
  put_wire(static_cast<std::uint16_t>(d.weight), out);
  put_wire<std::uint16_t>(d.negative ? kNegative : 0, out);
  put_wire(static_cast<std::uint16_t>(d.dscale), out);
  for (const std::int16_t digit : d.digits) put_wire(static_cast<std::uint16_t>(digit), out);
}

Numeric receive_numeric(WireReader& in, Arena& arena) {
  const auto count = in.get<std::uint16_t>();
  NumericDigits d;
  d.weight = static_cast<std::int16_t>(in.get<std::uint16_t>());
  const auto sign = in.get<std::uint16_t>();
  d.dscale = in.get<std::uint16_t>();
  if (sign != 0 && sign != kNegative && sign != kNan && sign != kInfinity && sign != kMinusInfinity)
    bad_format("invalid sign in external \"numeric\" value");
  if (d.dscale > kNumericMaxScale) bad_format("invalid scale in external \"numeric\" value");
  d.negative = sign == kNegative;
  for (int i = 0; i < count; ++i) {
    const auto digit = static_cast<std::int16_t>(in.get<std::uint16_t>());
    if (digit < 0 || digit >= 10000) bad_format("invalid digit in external \"numeric\" value");
    d.digits.push_back(digit);
  }
  if (sign == kNan) return numeric_nan();
  if (sign == kInfinity || sign == kMinusInfinity)
    return numeric_special(sign == kInfinity ? NumericKind::kInfinity : NumericKind::kMinusInfinity);
  return from_base_10000(d, arena);
}

std::int64_t receive_timestamp(WireReader& in, std::int32_t typmod) {
  const auto t = static_cast<std::int64_t>(in.get<std::uint64_t>());
  if (is_finite_timestamp(t) && (t < kTimestampMin || t >= kTimestampEnd))
    throw error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
  return round_timestamp(t, typmod);
}
std::int64_t receive_time(WireReader& in, std::int32_t typmod) {
  const auto t = static_cast<std::int64_t>(in.get<std::uint64_t>());
  if (t < 0 || t > kUsPerDay) throw error(sqlstate::kDatetimeFieldOverflow, "time out of range");
  return round_time(t, typmod);
}
TimeTz receive_timetz(WireReader& in, std::int32_t typmod) {
  TimeTz t;
  t.micros = receive_time(in, typmod);
  t.zone_seconds = static_cast<std::int32_t>(in.get<std::uint32_t>());
  constexpr int kZoneMax = 15 * 3600 + 59 * 60 + 60;
  if (t.zone_seconds <= -kZoneMax || t.zone_seconds >= kZoneMax)
    throw error(sqlstate::kInvalidTimeZoneDisplacement, "time zone displacement out of range");
  return t;
}
std::int32_t receive_date(WireReader& in) {
  const auto d = static_cast<std::int32_t>(in.get<std::uint32_t>());
  if (is_finite_date(d) && (d < kDateMin || d >= kDateEnd))
    throw error(sqlstate::kDatetimeFieldOverflow, "date out of range");
  return d;
}
Interval receive_interval(WireReader& in, std::int32_t typmod) {
  Interval v;
  v.micros = static_cast<std::int64_t>(in.get<std::uint64_t>());
  v.days = static_cast<std::int32_t>(in.get<std::uint32_t>());
  v.months = static_cast<std::int32_t>(in.get<std::uint32_t>());
  return apply_interval_typmod(v, typmod);
}
Datum receive_decimal(WireReader& in, const TypeRef& type, Arena& arena) {
  Numeric n = receive_numeric(in, arena);
  if (type.typmod >= 4) n = apply_numeric_typmod(n, type.typmod, arena);
  TypeRef from;
  from.phys = Phys::kNumeric;
  return convert_decimal(Datum::of(n), from, type, arena);
}

bool is_text_like(Oid oid) {
  switch (oid) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kName:
    case oid::kJson:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kRefcursor: return true;
    default: return false;
  }
}

Datum receive_string(WireReader& in, const TypeRef& type, IoContext& context) {
  if (element_type_of(type.oid) != oid::kInvalid)
    return Datum::of(receive_array(as_bytes(in.rest()), type, context));
  const std::string_view bytes = in.rest();
  if (type.oid == oid::kBytea) return Datum::of(Str::copy(bytes, *context.arena));
  if (!is_text_like(type.oid)) throw not_supported("binary input of type {}", format_type(type.oid));
  check_utf8(bytes);
  return input_text(bytes, type, context);
}

Datum receive(WireReader& in, const TypeRef& type, IoContext& context) {
  Datum d;
  switch (type.oid) {
    case oid::kDate: return Datum::of(receive_date(in));
    case oid::kTime: return Datum::of(receive_time(in, type.typmod));
    case oid::kTimestamp:
    case oid::kTimestamptz: return Datum::of(receive_timestamp(in, type.typmod));
    case oid::kNumeric: return receive_decimal(in, type, *context.arena);
    case oid::kTid: {
      const std::uint64_t block = in.get<std::uint32_t>();
      return Datum::of(block << 16 | in.get<std::uint16_t>());
    }
    case oid::kVoid: return d;
    default: break;
  }
  switch (type.phys) {
    case Phys::kBool: return Datum::of(in.get<std::uint8_t>() != 0);
    case Phys::kI8: d.i8 = static_cast<std::int8_t>(in.get<std::uint8_t>()); return d;
    case Phys::kI16: return Datum::of(static_cast<std::int16_t>(in.get<std::uint16_t>()));
    case Phys::kI32: return Datum::of(static_cast<std::int32_t>(in.get<std::uint32_t>()));
    case Phys::kI64: return Datum::of(static_cast<std::int64_t>(in.get<std::uint64_t>()));
    case Phys::kU32: return Datum::of(in.get<std::uint32_t>());
    case Phys::kU64:
      if (find_type(type.oid) != nullptr) return Datum::of(in.get<std::uint64_t>());
      return input_text(in.rest(), type, context);  // an enum: its label
    case Phys::kF32: return Datum::of(std::bit_cast<float>(in.get<std::uint32_t>()));
    case Phys::kF64: return Datum::of(std::bit_cast<double>(in.get<std::uint64_t>()));
    case Phys::kInterval: return Datum::of(receive_interval(in, type.typmod));
    case Phys::kTimeTz: return Datum::of(receive_timetz(in, type.typmod));
    case Phys::kU128: {
      const auto high = in.get<std::uint64_t>();
      return Datum::of(Uuid{high, in.get<std::uint64_t>()});
    }
    case Phys::kStr: return receive_string(in, type, context);
    default: RUSTBD_UNREACHABLE("decimals are handled above");
  }
}
}  // namespace

Datum input_binary(ByteSpan bytes, const TypeRef& type, IoContext& context) {
  WireReader in{as_chars(bytes)};
  const Datum d = receive(in, type, context);
  if (!in.at_end()) bad_format("incorrect binary data format");
  return d;
}

void output_binary(const Datum& value, const TypeRef& type, IoContext& context, std::string& out) {
  switch (type.phys) {
    case Phys::kBool: out += value.boolean ? '\1' : '\0'; return;
    case Phys::kI8: out += static_cast<char>(value.i8); return;
    case Phys::kI16: put_wire(static_cast<std::uint16_t>(value.i16), out); return;
    case Phys::kI32:
      if (type.oid != oid::kVoid) put_wire(static_cast<std::uint32_t>(value.i32), out);
      return;
    case Phys::kI64: put_wire(static_cast<std::uint64_t>(value.i64), out); return;
    case Phys::kU32: put_wire(value.u32, out); return;
    case Phys::kF32: put_wire(std::bit_cast<std::uint32_t>(value.f32), out); return;
    case Phys::kF64: put_wire(std::bit_cast<std::uint64_t>(value.f64), out); return;
    case Phys::kU64:
      if (type.oid == oid::kTid) {
        put_wire(static_cast<std::uint32_t>(value.u64 >> 16), out);
        put_wire(static_cast<std::uint16_t>(value.u64), out);
      } else if (find_type(type.oid) != nullptr) {
        put_wire(value.u64, out);
      } else {
        output_text(value, type, context, out);
      }
      return;
    case Phys::kD64:
    case Phys::kD128:
    case Phys::kNumeric: {
      Arena arena{64};
      send_numeric(datum_to_numeric(value, type, arena), out);
      return;
    }
    case Phys::kInterval:
      put_wire(static_cast<std::uint64_t>(value.interval.micros), out);
      put_wire(static_cast<std::uint32_t>(value.interval.days), out);
      put_wire(static_cast<std::uint32_t>(value.interval.months), out);
      return;
    case Phys::kTimeTz:
      put_wire(static_cast<std::uint64_t>(value.timetz.micros), out);
      put_wire(static_cast<std::uint32_t>(value.timetz.zone_seconds), out);
      return;
    case Phys::kU128:
      put_wire(value.uuid.hi, out);
      put_wire(value.uuid.lo, out);
      return;
    case Phys::kStr:
      if (element_type_of(type.oid) != oid::kInvalid) send_array(value.str, type, context, out);
      else out += value.str.view();
      return;
  }
}

bool has_binary_form(Oid type) {
  const TypeInfo* info = find_type(type);
  if (info == nullptr) return true;  // enums: the label
  if (info->element_oid != oid::kInvalid) return has_binary_form(info->element_oid);
  if (type == oid::kVoid || is_text_like(type) || type == oid::kBytea || type == oid::kPgNodeTree)
    return true;
  if (info->type == 'p' || type == oid::kAclitem) return false;
  return info->phys != Phys::kStr;
}

}  // namespace rustbd::types
