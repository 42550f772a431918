// Text and binary input and output of every type, and what they depend on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rustbd/base/bytes.h"
#include "rustbd/base/error.h"
#include "rustbd/types/value.h"

namespace rustbd::types {

enum class DateStyle : std::uint8_t { kIso, kSql, kPostgres, kGerman };
enum class DateOrder : std::uint8_t { kYmd, kDmy, kMdy };
enum class IntervalStyle : std::uint8_t { kPostgres, kPostgresVerbose, kSqlStandard, kIso8601 };
class TimeZone;  // datetime.h

/// The session settings that text forms depend on. Plain data; time_zone outlives it.
struct FormatSettings {
  DateStyle date_style = DateStyle::kIso;
  DateOrder date_order = DateOrder::kMdy;
  IntervalStyle interval_style = IntervalStyle::kPostgres;
  const TimeZone* time_zone = nullptr;   // nullptr: UTC
  int extra_float_digits = 1;
  bool bytea_escape = false;
  std::int64_t now_us = 0;               // transaction start, µs from 2000-01-01 UTC: for 'now', 'today', ...
};

/// Names of objects behind reg* types, and labels of enums; implemented by `engine` over the catalog.
class ObjectNames {
 public:
  virtual ~ObjectNames() = default;
  virtual std::string name_of(Oid reg_type, Oid object) = 0;            // regclass 1259 -> "pg_class"; "-" for 0
  virtual Oid find(Oid reg_type, std::string_view text) = 0;            // throws 42P01/42883/42704
  virtual std::string enum_label(Oid enum_type, std::uint64_t code) = 0;
  virtual std::uint64_t enum_code(Oid enum_type, std::string_view label) = 0;  // throws 22P02
};

struct IoContext {
  FormatSettings settings{};
  ObjectNames* names = nullptr;   // nullptr: reg* print as numbers
  Arena* arena = nullptr;         // results of input functions live here
};

/// The input function of the type, with the modifier applied as an assignment does (varchar(n), numeric(p,s), ...).
/// Throws 22P02, 22003, 22007, 22008, 22001, ... with PostgreSQL's message.
Datum input_text(std::string_view text, const TypeRef& type, IoContext& context);
/// Appends the output function's text.
void output_text(const Datum& value, const TypeRef& type, IoContext& context, std::string& out);
/// Binary receive; throws 22P03 and 08P01.
Datum input_binary(ByteSpan bytes, const TypeRef& type, IoContext& context);
/// Binary send, without the length word.
void output_binary(const Datum& value, const TypeRef& type, IoContext& context, std::string& out);
/// False where the type has no text or binary form that we know (0A000 for the caller).
bool has_binary_form(Oid type);

}  // namespace rustbd::types
