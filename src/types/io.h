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
  const TimeZone* time_zone = nullptr;  // nullptr: UTC
  int extra_float_digits = 1;
  bool bytea_escape = false;
  std::int64_t now_us = 0;      // transaction start, µs from 2000-01-01 UTC: for 'now', 'today', ...
  bool* reads_clock = nullptr;  // set to true when a value depends on now_us
  [[nodiscard]] std::int64_t now() const {
    if (reads_clock != nullptr) *reads_clock = true;
    return now_us;
  }
};

/// Names of objects behind reg* types, and labels of enums; implemented by `engine` over the catalog.
class ObjectNames {
 public:
  virtual ~ObjectNames() = default;
  virtual std::string name_of(Oid reg_type, Oid object) = 0;  // regclass 1259 -> "pg_class"; "-" for 0
  virtual Oid find(Oid reg_type, std::string_view text) = 0;  // throws 42P01/42883/42704
  virtual std::string enum_label(Oid enum_type, std::uint64_t code) = 0;
  virtual std::uint64_t enum_code(Oid enum_type, std::string_view label) = 0;  // throws 22P02
};

struct IoContext {
  FormatSettings settings{};
  ObjectNames* names = nullptr;  // nullptr: reg* print as numbers
  Arena* arena = nullptr;        // results of input functions live here
};

/// The input function of the type, with the modifier applied as an assignment does (varchar(n), numeric(p,s),
/// ...). Throws 22P02, 22003, 22007, 22008, 22001, ... with PostgreSQL's message.
Datum input_text(std::string_view text, const TypeRef& type, IoContext& context);
/// Appends the output function's text.
void output_text(const Datum& value, const TypeRef& type, IoContext& context, std::string& out);
/// Binary receive; throws 22P03 and 08P01.
Datum input_binary(ByteSpan bytes, const TypeRef& type, IoContext& context);
/// Binary send, without the length word.
void output_binary(const Datum& value, const TypeRef& type, IoContext& context, std::string& out);
/// Makes a value of the type obey type.typmod: an assignment cuts only blanks and fails with 22001, an
/// explicit cast cuts silently; numeric, time, timestamp and interval round. `value` has type.phys. Without
/// typmod: unchanged.
Datum apply_typmod(const Datum& value, const TypeRef& type, bool explicit_cast, Arena& arena);
/// 22021 when `text` is not valid UTF-8 or holds a zero byte.
void check_utf8(std::string_view text);
/// Number of leading valid bytes.
std::size_t valid_utf8_prefix(std::string_view text);
/// Characters (code points) in valid UTF-8.
std::size_t utf8_length(std::string_view text);
/// Bytes of the first `characters` characters.
std::size_t utf8_prefix_bytes(std::string_view text, std::size_t characters);
/// `name` input: at most 63 bytes, cut at a character.
std::string_view truncate_name(std::string_view text);

// Primitives of text input and output, for COPY and casts.
std::int64_t parse_integer(std::string_view text, int bytes);  // 2, 4, 8; 22P02, 22003
bool parse_bool(std::string_view text);
double parse_float8(std::string_view text);
float parse_float4(std::string_view text);
void append_float8(double value, int extra_float_digits, std::string& out);
void append_float4(float value, int extra_float_digits, std::string& out);
void append_integer(std::int64_t value, std::string& out);
void append_bytea(std::string_view bytes, bool escape, std::string& out);
std::string parse_bytea(std::string_view text);
Uuid parse_uuid(std::string_view text);
void append_uuid(const Uuid& uuid, std::string& out);
Oid parse_oid(std::string_view text, std::string_view type_name = "oid");
/// json's syntax; 22P02 with PostgreSQL's detail and context.
void check_json(std::string_view text);
/// False where the type has no text or binary form that we know (0A000 for the caller).
bool has_binary_form(Oid type);

}  // namespace rustbd::types
