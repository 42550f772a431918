// SQL types as the whole server sees them: PostgreSQL's oid, the modifier, and the physical representation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rustbd/base/ids.h"

namespace rustbd::types {

/// How a value stands in a vector (query.md §4). The width is fixed per representation.
enum class Phys : std::uint8_t {
  kBool,  // 1 byte, 0 or 1
  kI8,    // "char"
  kI16,
  kI32,
  kI64,
  kU32,  // oid, reg*
  kU64,  // enum order codes
  kF32,
  kF64,
  kD64,       // numeric(p<=18,s): scaled int64; NaN = INT64_MAX
  kD128,      // numeric(p<=38,s): scaled int128; NaN = INT128_MAX
  kNumeric,   // numeric without a static scale: types::Numeric, 16 bytes
  kInterval,  // types::Interval, 16 bytes
  kTimeTz,    // types::TimeTz, 16 bytes
  kU128,      // uuid: two big-endian-ordered u64 (hi, lo)
  kStr,       // types::Str, 16 bytes: text, varchar, bpchar, name, bytea, json, jsonb, arrays, vectors
};
inline constexpr int kPhysCount = 16;

constexpr std::uint32_t width_of(Phys phys) {
  switch (phys) {
    case Phys::kBool:
    case Phys::kI8: return 1;
    case Phys::kI16: return 2;
    case Phys::kI32:
    case Phys::kU32:
    case Phys::kF32: return 4;
    case Phys::kI64:
    case Phys::kU64:
    case Phys::kF64:
    case Phys::kD64: return 8;
    default: return 16;
  }
}
/// Variable-length on disk (table leaves and log).
constexpr bool is_variable(Phys phys) { return phys == Phys::kStr || phys == Phys::kNumeric; }

namespace oid {  // PostgreSQL's numbers
inline constexpr Oid kInvalid = 0, kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21,
                     kInt2Vector = 22, kInt4 = 23, kRegproc = 24, kText = 25, kOid = 26, kTid = 27, kXid = 28,
                     kCid = 29, kOidVector = 30, kJson = 114, kXml = 142, kPgNodeTree = 194, kFloat4 = 700,
                     kFloat8 = 701, kUnknown = 705, kMoney = 790, kInet = 869, kCidr = 650, kAclitem = 1033,
                     kBpchar = 1042, kVarchar = 1043, kDate = 1082, kTime = 1083, kTimestamp = 1114,
                     kTimestamptz = 1184, kInterval = 1186, kTimetz = 1266, kBit = 1560, kVarbit = 1562,
                     kNumeric = 1700, kRefcursor = 1790, kRegprocedure = 2202, kRegoper = 2203,
                     kRegoperator = 2204, kRegclass = 2205, kRegtype = 2206, kRegrole = 4096,
                     kRegnamespace = 4089, kRegconfig = 3734, kRegdictionary = 3769, kRegcollation = 4191,
                     kUuid = 2950, kPgLsn = 3220, kXid8 = 5069, kJsonb = 3802, kJsonpath = 4072,
                     kRecord = 2249, kRecordArray = 2287, kCstring = 2275, kAny = 2276, kAnyarray = 2277,
                     kVoid = 2278, kTrigger = 2279, kEventTrigger = 3838, kInternal = 2281,
                     kAnyelement = 2283, kAnynonarray = 2776, kAnyenum = 3500, kAnyrange = 3831,
                     kAnycompatible = 5077, kAnycompatiblearray = 5078, kAnycompatiblenonarray = 5079;
// arrays
inline constexpr Oid kBoolArray = 1000, kByteaArray = 1001, kCharArray = 1002, kNameArray = 1003,
                     kInt2Array = 1005, kInt4Array = 1007, kTextArray = 1009, kOidArray = 1028,
                     kBpcharArray = 1014, kVarcharArray = 1015, kInt8Array = 1016, kFloat4Array = 1021,
                     kFloat8Array = 1022, kAclitemArray = 1034, kTimestampArray = 1115, kDateArray = 1182,
                     kTimeArray = 1183, kTimestamptzArray = 1185, kIntervalArray = 1187, kNumericArray = 1231,
                     kTimetzArray = 1270, kUuidArray = 2951, kJsonArray = 199, kJsonbArray = 3807,
                     kRegtypeArray = 2211, kRegclassArray = 2210, kRegprocArray = 1008,
                     kInt2VectorArray = 1006, kOidVectorArray = 1013, kXidArray = 1011;
}  // namespace oid

namespace collation {
inline constexpr Oid kNone = 0, kDefault = 100, kC = 950, kPosix = 951;
}

/// The type of an expression or a column.
struct TypeRef {
  Oid oid = oid::kUnknown;
  std::int32_t typmod = -1;  // PostgreSQL's type modifier
  Phys phys = Phys::kStr;
  std::int16_t scale = 0;  // of kD64 and kD128: digits after the point
  Oid collation = collation::kNone;
  bool operator==(const TypeRef&) const = default;
};

/// One row of the static type table (oids below 16384). User types (enums) live in the catalog.
struct TypeInfo {
  Oid oid;
  std::string_view name;      // pg_type.typname: "int4"
  std::string_view sql_name;  // format_type: "integer"
  std::int16_t length;        // pg_type.typlen; -1 varlena, -2 cstring
  bool by_value;
  char type;      // typtype: b, p, e, ...
  char category;  // typcategory
  bool preferred;
  char align;       // c, s, i, d
  char storage;     // p, x, m, e
  Oid array_oid;    // 0: none
  Oid element_oid;  // of arrays and vectors; else 0
  Oid collation;    // typcollation
  Phys phys;
};
/// nullptr if there is none.
const TypeInfo* find_type(Oid oid);
const TypeInfo* find_type(std::string_view name);
std::span<const TypeInfo> all_types();
/// TypeRef with the physical form that (oid, typmod) has: numeric(p,s) gives kD64, kD128 or kNumeric. Types
/// that the table doesn't know (enums) get `kU64`.
TypeRef make_type(Oid oid, std::int32_t typmod = -1);
/// "numeric(10,2)", "character varying(5)", "integer[]": pg_catalog.format_type for the built-in types.
std::string format_type(Oid oid, std::int32_t typmod = -1);
/// Element type of an array type, array type of an element type; oid::kInvalid where there is none.
Oid element_type_of(Oid array_type);
Oid array_type_of(Oid element_type);
/// The modifier that `numeric(10,2)`, `varchar(5)`, `timestamp(3)`, `interval(fields, p)` give; the type's
/// typmodin. Throws 22023 with PostgreSQL's text. `modifiers` of interval: {field mask (datetime.h)} or
/// {mask, precision}.
std::int32_t typmod_in(Oid oid, std::span<const int> modifiers);
/// "(10,2)": the type's typmodout; empty for -1.
std::string typmod_out(Oid oid, std::int32_t typmod);
constexpr std::int32_t numeric_typmod(int precision, int scale) {
  return ((precision << 16) | (scale & 0x7FF)) + 4;
}
constexpr int numeric_precision(std::int32_t typmod) { return ((typmod - 4) >> 16) & 0xFFFF; }
constexpr int numeric_scale(std::int32_t typmod) { return ((((typmod - 4) & 0x7FF) ^ 1024) - 1024); }

}  // namespace rustbd::types
