#include "rustbd/types/io.h"

#include <charconv>

#include "rustbd/base/assert.h"
#include "rustbd/types/array.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/numeric.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
[[noreturn]] void bad_syntax(std::string_view type, std::string_view text) {
  throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type {}: \"{}\"", type, text);
}

bool is_array_oid(Oid oid) {
  const TypeInfo* info = find_type(oid);
  return info != nullptr && info->element_oid != oid::kInvalid;
}

/// reg*: digits, "-" or a name.
Oid parse_reg(std::string_view text, const TypeRef& type, IoContext& context) {
  const std::string_view word = trim_blanks(text);
  if (word == "-") return 0;
  if (!word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos) return parse_oid(word);
  if (context.names == nullptr)
    throw error(sqlstate::kUndefinedObject, "\"{}\" does not exist: no catalog to look in", word);
  return context.names->find(type.oid, word);
}

std::uint64_t parse_tid(std::string_view text) {
  const std::string_view word = trim_blanks(text);
  const std::size_t comma = word.find(',');
  if (word.size() < 5 || word.front() != '(' || word.back() != ')' || comma == std::string_view::npos)
    bad_syntax("tid", text);
  std::uint32_t block = 0;
  std::uint16_t offset = 0;
  const char* end = word.data() + word.size() - 1;
  const auto first = std::from_chars(word.data() + 1, word.data() + comma, block);
  const auto second = std::from_chars(word.data() + comma + 1, end, offset);
  if (first.ec != std::errc{} || first.ptr != word.data() + comma || second.ec != std::errc{} ||
      second.ptr != end)
    bad_syntax("tid", text);
  return std::uint64_t{block} << 16 | offset;
}
std::uint64_t parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::uint32_t high = 0, low = 0;
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size()) bad_syntax("pg_lsn", text);
  const auto first = std::from_chars(text.data(), text.data() + slash, high, 16);
  const auto second = std::from_chars(text.data() + slash + 1, text.data() + text.size(), low, 16);
  if (first.ptr != text.data() + slash || second.ptr != text.data() + text.size() ||
      first.ec != std::errc{} || second.ec != std::errc{})
    bad_syntax("pg_lsn", text);
  return std::uint64_t{high} << 32 | low;
}
std::uint64_t parse_xid8(std::string_view text) {
  const std::string_view word = trim_blanks(text);
  std::uint64_t v = 0;
  const auto made = std::from_chars(word.data(), word.data() + word.size(), v);
  if (made.ec == std::errc::invalid_argument || made.ptr != word.data() + word.size())
    bad_syntax("xid8", text);
  return v;
}

Datum input_decimal(const Numeric& n, const TypeRef& type, IoContext& context) {
  const Numeric rounded = type.typmod >= 4 ? apply_numeric_typmod(n, type.typmod, *context.arena) : n;
  TypeRef from;
  from.phys = Phys::kNumeric;
  return convert_decimal(Datum::of(rounded), from, type, *context.arena);
}

Datum input_string(std::string_view text, const TypeRef& type, IoContext& context) {
  const TypeInfo* info = find_type(type.oid);
  switch (type.oid) {
    case oid::kText:
    case oid::kVarchar:
    case oid::kBpchar:
    case oid::kUnknown:
    case oid::kCstring:
    case oid::kRefcursor:
    case oid::kPgNodeTree:
    case oid::kAclitem:
      return apply_typmod(Datum::of(Str::copy(text, *context.arena)), type, false, *context.arena);
    case oid::kName: return Datum::of(Str::copy(truncate_name(text), *context.arena));
    case oid::kBytea: return Datum::of(Str::copy(parse_bytea(text), *context.arena));
    case oid::kJson: check_json(text); return Datum::of(Str::copy(text, *context.arena));
    default: break;
  }
  if (info != nullptr && info->element_oid != oid::kInvalid)
    return Datum::of(parse_array(text, type, context));
  if (info != nullptr && info->type == 'p')
    throw error(sqlstate::kFeatureNotSupported, "cannot accept a value of type {}", info->name);
  throw not_supported("input of type {}", format_type(type.oid));
}
}  // namespace

Datum input_text(std::string_view text, const TypeRef& type, IoContext& context) {
  RUSTBD_DEBUG_ASSERT(context.arena != nullptr, "input functions need an arena");
  const FormatSettings& settings = context.settings;
  switch (type.oid) {
    case oid::kBool: return Datum::of(parse_bool(text));
    case oid::kInt2: return Datum::of(static_cast<std::int16_t>(parse_integer(text, 2)));
    case oid::kInt4: return Datum::of(static_cast<std::int32_t>(parse_integer(text, 4)));
    case oid::kInt8: return Datum::of(parse_integer(text, 8));
    case oid::kFloat4: return Datum::of(parse_float4(text));
    case oid::kFloat8: return Datum::of(parse_float8(text));
    case oid::kNumeric: return input_decimal(parse_numeric(text, *context.arena), type, context);
    case oid::kChar: {
      Datum d;
      d.i8 = text.empty() ? 0 : static_cast<std::int8_t>(text[0]);
      return d;
    }
    case oid::kOid:
    case oid::kXid:
    case oid::kCid: return Datum::of(parse_oid(text, find_type(type.oid)->name));
    case oid::kDate: return Datum::of(parse_date(text, settings));
    case oid::kTime: return Datum::of(parse_time(text, type.typmod, settings));
    case oid::kTimetz: return Datum::of(parse_timetz(text, type.typmod, settings));
    case oid::kTimestamp: return Datum::of(parse_timestamp(text, type.typmod, settings));
    case oid::kTimestamptz: return Datum::of(parse_timestamptz(text, type.typmod, settings));
    case oid::kInterval: return Datum::of(parse_interval(text, type.typmod, settings));
    case oid::kUuid: return Datum::of(parse_uuid(text));
    case oid::kTid: return Datum::of(parse_tid(text));
    case oid::kPgLsn: return Datum::of(parse_lsn(text));
    case oid::kXid8: return Datum::of(parse_xid8(text));
    case oid::kMoney: throw not_supported("input of type money");
    case oid::kVoid: return Datum{};
    default: break;
  }
  if (type.phys == Phys::kU32) return Datum::of(parse_reg(text, type, context));
  if (type.phys == Phys::kU64) {
    if (context.names == nullptr) throw not_supported("input of an enum without a catalog");
    return Datum::of(context.names->enum_code(type.oid, text));
  }
  return input_string(text, type, context);
}

namespace {
void append_d64(std::int64_t v, int scale, std::string& out) {
  if (v == kD64Nan) {
    out += "NaN";
    return;
  }
  char buffer[24];
  const auto magnitude = v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v);
  const auto made = std::to_chars(buffer, buffer + sizeof buffer, magnitude);
  std::string_view digits{buffer, static_cast<std::size_t>(made.ptr - buffer)};
  if (v < 0) out += '-';
  const auto fraction = static_cast<std::size_t>(scale);
  if (digits.size() <= fraction) {
    out += "0.";
    out.append(fraction - digits.size(), '0');
    out += digits;
    return;
  }
  out += digits.substr(0, digits.size() - fraction);
  if (fraction == 0) return;
  out += '.';
  out += digits.substr(digits.size() - fraction);
}

void append_object(Oid object, const TypeRef& type, IoContext& context, std::string& out) {
  const bool plain = type.oid == oid::kOid || type.oid == oid::kXid || type.oid == oid::kCid;
  if (!plain && object == 0) {
    out += '-';
    return;
  }
  if (plain || context.names == nullptr) {
    append_integer(object, out);
    return;
  }
  out += context.names->name_of(type.oid, object);
}

void append_u64(std::uint64_t v, const TypeRef& type, IoContext& context, std::string& out) {
  switch (type.oid) {
    case oid::kTid: fmt::format_to(std::back_inserter(out), "({},{})", v >> 16, v & 0xFFFF); return;
    case oid::kPgLsn: fmt::format_to(std::back_inserter(out), "{:X}/{:X}", v >> 32, v & 0xFFFFFFFF); return;
    case oid::kXid8: fmt::format_to(std::back_inserter(out), "{}", v); return;
    default: break;
  }
  if (context.names == nullptr) throw not_supported("output of an enum without a catalog");
  out += context.names->enum_label(type.oid, v);
}

void append_string(const Str& s, const TypeRef& type, IoContext& context, std::string& out) {
  if (type.oid == oid::kBytea) append_bytea(s.view(), context.settings.bytea_escape, out);
  else if (is_array_oid(type.oid)) append_array(s, type, context, out);
  else out += s.view();
}
}  // namespace

void output_text(const Datum& value, const TypeRef& type, IoContext& context, std::string& out) {
  const FormatSettings& settings = context.settings;
  switch (type.phys) {
    case Phys::kBool: out += value.boolean ? 't' : 'f'; return;
    case Phys::kI8:
      if (value.i8 != 0) out += static_cast<char>(value.i8);
      return;
    case Phys::kI16: append_integer(value.i16, out); return;
    case Phys::kI32:
      if (type.oid == oid::kDate) append_date(value.i32, settings, out);
      else if (type.oid != oid::kVoid) append_integer(value.i32, out);
      return;
    case Phys::kI64:
      switch (type.oid) {
        case oid::kTime: append_time(value.i64, out); return;
        case oid::kTimestamp: append_timestamp(value.i64, settings, out); return;
        case oid::kTimestamptz: append_timestamptz(value.i64, settings, out); return;
        default: append_integer(value.i64, out); return;
      }
    case Phys::kU32: append_object(value.u32, type, context, out); return;
    case Phys::kU64: append_u64(value.u64, type, context, out); return;
    case Phys::kF32: append_float4(value.f32, settings.extra_float_digits, out); return;
    case Phys::kF64: append_float8(value.f64, settings.extra_float_digits, out); return;
    case Phys::kD64: append_d64(value.i64, type.scale, out); return;
    case Phys::kD128: {
      Arena arena{64};
      append_numeric(d128_to_numeric(value.i128, type.scale, arena), out);
      return;
    }
    case Phys::kNumeric: append_numeric(value.numeric, out); return;
    case Phys::kInterval: append_interval(value.interval, settings, out); return;
    case Phys::kTimeTz: append_timetz(value.timetz, out); return;
    case Phys::kU128: append_uuid(value.uuid, out); return;
    case Phys::kStr: append_string(value.str, type, context, out); return;
  }
}

// ---- modifiers
// ----------------------------------------------------------------------------------------------------
namespace {
/// varchar(n) and char(n): n characters.
Datum apply_length(const Str& s, const TypeRef& type, bool explicit_cast, Arena& arena) {
  const auto limit = static_cast<std::size_t>(type.typmod - 4);
  const std::string_view text = s.view();
  const std::size_t cut = utf8_prefix_bytes(text, limit);
  if (cut < text.size()) {
    if (!explicit_cast && text.find_first_not_of(' ', cut) != std::string_view::npos)
      throw error(sqlstate::kStringDataRightTruncation, "value too long for type {}",
                  format_type(type.oid, type.typmod));
    return Datum::of(Str::copy(text.substr(0, cut), arena));
  }
  if (type.oid != oid::kBpchar) return Datum::of(s);
  const std::size_t characters = utf8_length(text);
  if (characters >= limit) return Datum::of(s);
  const std::size_t bytes = text.size() + limit - characters;
  char* padded = static_cast<char*>(arena.allocate(bytes, 1));
  if (!text.empty()) std::memcpy(padded, text.data(), text.size());
  std::memset(padded + text.size(), ' ', bytes - text.size());
  return Datum::of(Str{std::string_view{padded, bytes}});
}

Datum apply_array_typmod(const Str& array, const TypeRef& type, bool explicit_cast, Arena& arena) {
  const ArrayView view{array};
  TypeRef element = make_type(view.element_type(), type.typmod);
  if (element.oid == oid::kNumeric) element.phys = Phys::kNumeric;
  ArrayBuilder builder{view.element_type()};
  for (ArrayView::Cursor c{view, arena}; c.next();)
    builder.add(c.is_null() ? Datum{} : apply_typmod(c.value(), element, explicit_cast, arena), c.is_null());
  return Datum::of(builder.finish(view.dimensions(), arena));
}
}  // namespace

Datum apply_typmod(const Datum& value, const TypeRef& type, bool explicit_cast, Arena& arena) {
  if (type.typmod < 0) return value;
  switch (type.oid) {
    case oid::kVarchar:
    case oid::kBpchar: return type.typmod < 5 ? value : apply_length(value.str, type, explicit_cast, arena);
    case oid::kNumeric: {
      if (type.typmod < 4) return value;
      const Numeric n = apply_numeric_typmod(datum_to_numeric(value, type, arena), type.typmod, arena);
      TypeRef from;
      from.phys = Phys::kNumeric;
      return convert_decimal(Datum::of(n), from, type, arena);
    }
    case oid::kTime: return Datum::of(round_time(value.i64, type.typmod));
    case oid::kTimetz: {
      TimeTz t = value.timetz;
      t.micros = round_time(t.micros, type.typmod);
      return Datum::of(t);
    }
    case oid::kTimestamp:
    case oid::kTimestamptz: return Datum::of(round_timestamp(value.i64, type.typmod));
    case oid::kInterval: return Datum::of(apply_interval_typmod(value.interval, type.typmod));
    default: break;
  }
  return is_array_oid(type.oid) ? apply_array_typmod(value.str, type, explicit_cast, arena) : value;
}

}  // namespace rustbd::types
