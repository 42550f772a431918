#include "rustbd/types/type.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/numeric.h"
#include "rustbd/types/type_table.h"

namespace rustbd::types {

namespace {
constexpr int kMaxCharacters = 10 * 1024 * 1024;

struct TypeIndex {
  std::unordered_map<Oid, const TypeInfo*> by_oid;
  std::unordered_map<std::string_view, const TypeInfo*> by_name;
  TypeIndex() {
    for (const TypeInfo& t : all_types()) {
      by_oid.emplace(t.oid, &t);
      by_name.emplace(t.name, &t);
    }
  }
};
const TypeIndex& index() {
  static const TypeIndex* made = new TypeIndex;
  return *made;
}

std::int32_t numeric_typmod_in(std::span<const int> m) {
  if (m.size() != 1 && m.size() != 2)
    throw error(sqlstate::kInvalidParameterValue, "invalid NUMERIC type modifier");
  if (m[0] < 1 || m[0] > kNumericMaxPrecision)
    throw error(sqlstate::kInvalidParameterValue, "NUMERIC precision {} must be between 1 and 1000", m[0]);
  const int scale = m.size() == 2 ? m[1] : 0;
  if (scale < -1000 || scale > 1000)
    throw error(sqlstate::kInvalidParameterValue, "NUMERIC scale {} must be between -1000 and 1000", scale);
  return numeric_typmod(m[0], scale);
}

std::int32_t length_typmod_in(std::span<const int> m, std::string_view name) {
  if (m.size() != 1) throw error(sqlstate::kInvalidParameterValue, "invalid type modifier");
  if (m[0] < 1) throw error(sqlstate::kInvalidParameterValue, "length for type {} must be at least 1", name);
  if (m[0] > kMaxCharacters)
    throw error(sqlstate::kInvalidParameterValue, "length for type {} cannot exceed {}", name,
                kMaxCharacters);
  return m[0] + 4;
}

/// Precisions above 6 are cut to 6; PostgreSQL warns about that.
std::int32_t time_typmod_in(std::span<const int> m, std::string_view name, std::string_view suffix) {
  if (m.size() != 1) throw error(sqlstate::kInvalidParameterValue, "invalid type modifier");
  if (m[0] < 0)
    throw error(sqlstate::kInvalidParameterValue, "{}({}){} precision must not be negative", name, m[0],
                suffix);
  return std::min(m[0], 6);
}

std::int32_t interval_typmod_in(std::span<const int> m) {
  if (m.empty() || m.size() > 2)
    throw error(sqlstate::kInvalidParameterValue, "invalid INTERVAL type modifier");
  if (m.size() == 1)
    return m[0] == kIntervalFullRange ? -1 : ((m[0] & 0x7FFF) << 16) | kIntervalFullPrecision;
  if (m[1] < 0)
    throw error(sqlstate::kInvalidParameterValue, "INTERVAL({}) precision must not be negative", m[1]);
  return ((m[0] & 0x7FFF) << 16) | std::min(m[1], 6);
}

std::string interval_typmod_out(std::int32_t typmod) {
  static constexpr std::pair<int, std::string_view> kFields[] = {
      {kIntervalYear, " year"},
      {kIntervalMonth, " month"},
      {kIntervalDay, " day"},
      {kIntervalHour, " hour"},
      {kIntervalMinute, " minute"},
      {kIntervalSecond, " second"},
      {kIntervalYear | kIntervalMonth, " year to month"},
      {kIntervalDay | kIntervalHour, " day to hour"},
      {kIntervalDay | kIntervalHour | kIntervalMinute, " day to minute"},
      {kIntervalDay | kIntervalHour | kIntervalMinute | kIntervalSecond, " day to second"},
      {kIntervalHour | kIntervalMinute, " hour to minute"},
      {kIntervalHour | kIntervalMinute | kIntervalSecond, " hour to second"},
      {kIntervalMinute | kIntervalSecond, " minute to second"},
  };
  const int range = (typmod >> 16) & 0x7FFF, precision = typmod & 0xFFFF;
  std::string out;
  for (const auto& [mask, text] : kFields)
    if (mask == range) out = text;
  if (precision != kIntervalFullPrecision) out += fmt::format("({})", precision);
  return out;
}
}  // namespace

std::span<const TypeInfo> all_types() { return {kTypeTable, kTypeTableSize}; }

const TypeInfo* find_type(Oid oid) {
  const auto it = index().by_oid.find(oid);
  return it == index().by_oid.end() ? nullptr : it->second;
}
const TypeInfo* find_type(std::string_view name) {
  const auto it = index().by_name.find(name);
  return it == index().by_name.end() ? nullptr : it->second;
}

TypeRef make_type(Oid oid, std::int32_t typmod) {
  const TypeInfo* info = find_type(oid);
  if (info == nullptr) return TypeRef{oid, typmod, Phys::kU64, 0, collation::kNone};
  TypeRef type{oid, typmod, info->phys, 0, info->collation};
  if (oid == oid::kNumeric && typmod >= 4) {
    const int precision = numeric_precision(typmod), scale = numeric_scale(typmod);
    // A negative scale or one past the digits has no fixed unscaled form of its own.
    if (scale >= 0 && scale <= precision && precision <= 38) {
      type.phys = precision <= 18 ? Phys::kD64 : Phys::kD128;
      type.scale = static_cast<std::int16_t>(scale);
    }
  }
  return type;
}

Oid element_type_of(Oid array_type) {
  const TypeInfo* info = find_type(array_type);
  return info == nullptr ? oid::kInvalid : info->element_oid;
}
Oid array_type_of(Oid element_type) {
  const TypeInfo* info = find_type(element_type);
  return info == nullptr ? oid::kInvalid : info->array_oid;
}

std::int32_t typmod_in(Oid oid, std::span<const int> modifiers) {
  if (const Oid element = element_type_of(oid); element != oid::kInvalid) oid = element;
  switch (oid) {
    case oid::kNumeric: return numeric_typmod_in(modifiers);
    case oid::kVarchar: return length_typmod_in(modifiers, "varchar");
    case oid::kBpchar: return length_typmod_in(modifiers, "char");
    case oid::kBit: return length_typmod_in(modifiers, "bit") - 4;
    case oid::kVarbit: return length_typmod_in(modifiers, "varbit") - 4;
    case oid::kTime: return time_typmod_in(modifiers, "TIME", "");
    case oid::kTimetz: return time_typmod_in(modifiers, "TIME", " WITH TIME ZONE");
    case oid::kTimestamp: return time_typmod_in(modifiers, "TIMESTAMP", "");
    case oid::kTimestamptz: return time_typmod_in(modifiers, "TIMESTAMP", " WITH TIME ZONE");
    case oid::kInterval: return interval_typmod_in(modifiers);
    default:
      throw error(sqlstate::kSyntaxError, "type modifier is not allowed for type \"{}\"", format_type(oid));
  }
}

std::string typmod_out(Oid oid, std::int32_t typmod) {
  if (typmod < 0) return {};
  switch (oid) {
    case oid::kNumeric: return fmt::format("({},{})", numeric_precision(typmod), numeric_scale(typmod));
    case oid::kVarchar:
    case oid::kBpchar: return fmt::format("({})", typmod - 4);
    case oid::kInterval: return interval_typmod_out(typmod);
    default: return fmt::format("({})", typmod);
  }
}

std::string format_type(Oid oid, std::int32_t typmod) {
  if (oid == 0) return "-";
  const TypeInfo* info = find_type(oid);
  if (info == nullptr) return "???";
  if (info->element_oid != 0 && info->name.starts_with('_'))
    return format_type(info->element_oid, typmod) + "[]";
  if (typmod < 0) return std::string{info->sql_name};
  const std::string modifier = typmod_out(oid, typmod);
  switch (oid) {  // the modifier stands inside the name
    case oid::kTime: return "time" + modifier + " without time zone";
    case oid::kTimetz: return "time" + modifier + " with time zone";
    case oid::kTimestamp: return "timestamp" + modifier + " without time zone";
    case oid::kTimestamptz: return "timestamp" + modifier + " with time zone";
    default: return std::string{info->sql_name} + modifier;
  }
}

}  // namespace rustbd::types
