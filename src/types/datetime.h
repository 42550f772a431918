// Dates, times, intervals and time zones as PostgreSQL 15 has them: text forms, calendar arithmetic, extract,
// age. Units: date = days, timestamp(tz) = µs, both from 2000-01-01 (UTC for timestamptz); time = µs from
// midnight. Proleptic Gregorian calendar; year 0 is 1 BC. Range 4713 BC … 294276 AD (dates to 5874897 AD).
// Errors: 22007 bad syntax, 22008 out of range, 22015 interval field overflow, 22023 unknown unit or zone.
// Threads: everything is pure; TimeZone objects are immutable and live for ever.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/types/io.h"
#include "rustbd/types/numeric.h"

namespace rustbd::types {

inline constexpr std::int64_t kUsPerSecond = 1'000'000, kUsPerMinute = 60 * kUsPerSecond,
                              kUsPerHour = 60 * kUsPerMinute, kUsPerDay = 24 * kUsPerHour;
inline constexpr int kPostgresEpochJulian = 2451545, kUnixEpochJulian = 2440588;
/// Seconds from 1970-01-01 to 2000-01-01.
inline constexpr std::int64_t kUnixToPostgresSeconds = 946684800;
inline constexpr std::int32_t kDateInfinity = INT32_MAX, kDateMinusInfinity = INT32_MIN;
inline constexpr std::int64_t kTimestampInfinity = INT64_MAX, kTimestampMinusInfinity = INT64_MIN;
/// Valid finite range: kTimestampMin <= t < kTimestampEnd.
inline constexpr std::int64_t kTimestampMin = -211813488000000000, kTimestampEnd = 9223371331200000000;
inline constexpr std::int32_t kDateMin = -kPostgresEpochJulian, kDateEnd = 2147483494 - kPostgresEpochJulian;
inline bool is_finite_date(std::int32_t d) { return d != kDateInfinity && d != kDateMinusInfinity; }
inline bool is_finite_timestamp(std::int64_t t) {
  return t != kTimestampInfinity && t != kTimestampMinusInfinity;
}

int julian_of(int year, int month, int day);
void civil_of_julian(int julian, int* year, int* month, int* day);
bool is_leap_year(int year);
int days_in_month(int year, int month);

/// A moment taken apart. year 0 = 1 BC.
struct CivilTime {
  int year = 2000, month = 1, day = 1, hour = 0, minute = 0, second = 0, micros = 0;
};
CivilTime civil_of_timestamp(std::int64_t timestamp);  // finite only
/// 22008 "timestamp out of range" outside the range.
std::int64_t timestamp_of_civil(const CivilTime& civil);

// ---- time zones
// -------------------------------------------------------------------------------------------------
struct ZoneOffset {
  std::int32_t seconds_east = 0;
  bool is_dst = false;
  std::string_view abbreviation;  // lives as long as the zone
};

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  /// Canonical name: "Europe/Berlin", "<+03>-03".
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The offset in force at a moment (µs from 2000-01-01 UTC).
  [[nodiscard]] virtual ZoneOffset at(std::int64_t utc_us) const = 0;
  /// Offset for a local wall time: in a gap the offset before it, in an overlap standard time (as
  /// PostgreSQL).
  [[nodiscard]] virtual std::int32_t offset_of_local(std::int64_t local_us) const = 0;
  /// Case-insensitive IANA names of the system's tzdata, POSIX strings ("EST5EDT", "<+03>-03"), cached for
  /// ever. nullptr when unknown.
  static const TimeZone* find(std::string_view name);
  /// As SET TIME ZONE takes it: names, abbreviations' offsets, "+3", "-03:30", hours as number text; 22023 on
  /// failure with `invalid value for parameter "TimeZone": "..."`.
  static const TimeZone& for_setting(std::string_view text);
  /// Zone of a fixed offset, named as PostgreSQL does ("<+03>-03").
  static const TimeZone& fixed(std::int32_t seconds_east);
  static const TimeZone& utc();

 protected:
  std::string name_;
};
/// Names of the zones in the system's tzdata, sorted (pg_timezone_names).
const std::vector<std::string>& time_zone_names();
struct ZoneAbbreviation {
  std::string_view name;
  std::int32_t seconds_east;
  bool is_dst;
};
std::span<const ZoneAbbreviation> zone_abbreviations();  // upper-case, sorted
const ZoneAbbreviation* find_zone_abbreviation(std::string_view name);
/// What `AT TIME ZONE text` and make_timestamptz(..., text) take: abbreviation, name, offset. 22023.
struct ZoneReference {
  const TimeZone* zone = nullptr;
  std::int32_t fixed_seconds_east = 0;
};
ZoneReference resolve_zone(std::string_view text);
inline const TimeZone& zone_of(const FormatSettings& s) {
  return s.time_zone == nullptr ? TimeZone::utc() : *s.time_zone;
}

// ---- text
// -------------------------------------------------------------------------------------------------------
std::int32_t parse_date(std::string_view text, const FormatSettings& settings);
std::int64_t parse_time(std::string_view text, std::int32_t typmod, const FormatSettings& settings);
TimeTz parse_timetz(std::string_view text, std::int32_t typmod, const FormatSettings& settings);
std::int64_t parse_timestamp(std::string_view text, std::int32_t typmod, const FormatSettings& settings);
std::int64_t parse_timestamptz(std::string_view text, std::int32_t typmod, const FormatSettings& settings);
Interval parse_interval(std::string_view text, std::int32_t typmod, const FormatSettings& settings);
void append_date(std::int32_t date, const FormatSettings& settings, std::string& out);
void append_time(std::int64_t time, std::string& out);
void append_timetz(const TimeTz& time, std::string& out);
void append_timestamp(std::int64_t timestamp, const FormatSettings& settings, std::string& out);
void append_timestamptz(std::int64_t timestamp, const FormatSettings& settings, std::string& out);
void append_interval(const Interval& interval, const FormatSettings& settings, std::string& out);

// ---- modifiers
// --------------------------------------------------------------------------------------------------
/// Field bits of an interval's modifier: INTERVAL YEAR TO MONTH = kIntervalYear | kIntervalMonth; typmod =
/// (fields << 16) | precision with 0x7FFF for all fields and 0xFFFF for full precision.
inline constexpr int kIntervalYear = 1 << 2, kIntervalMonth = 1 << 1, kIntervalDay = 1 << 3,
                     kIntervalHour = 1 << 10, kIntervalMinute = 1 << 11, kIntervalSecond = 1 << 12,
                     kIntervalFullRange = 0x7FFF, kIntervalFullPrecision = 0xFFFF;
std::int64_t round_time(std::int64_t micros, std::int32_t typmod);  // time(p)
std::int64_t round_timestamp(std::int64_t timestamp, std::int32_t typmod);
Interval apply_interval_typmod(const Interval& interval, std::int32_t typmod);

// ---- conversions
// ------------------------------------------------------------------------------------------------
std::int64_t date_to_timestamp(std::int32_t date);
std::int32_t timestamp_to_date(std::int64_t timestamp);
std::int64_t timestamp_to_time(std::int64_t timestamp);  // finite; infinities: caller gives NULL
std::int64_t timestamp_to_timestamptz(std::int64_t timestamp, const TimeZone& zone);
std::int64_t timestamptz_to_timestamp(std::int64_t timestamptz, const TimeZone& zone);
std::int64_t date_to_timestamptz(std::int32_t date, const TimeZone& zone);
TimeTz timestamptz_to_timetz(std::int64_t timestamptz, const TimeZone& zone);
TimeTz time_to_timetz(std::int64_t time,
                      const FormatSettings& settings);  // offset of today in the session's zone
Interval time_to_interval(std::int64_t time);
std::int64_t interval_to_time(const Interval& interval);
/// AT TIME ZONE.
std::int64_t timestamp_at_zone(std::int64_t local, const ZoneReference& zone);  // timestamp -> timestamptz
std::int64_t timestamptz_at_zone(std::int64_t utc, const ZoneReference& zone);  // timestamptz -> timestamp
TimeTz timetz_at_zone(const TimeTz& time, const ZoneReference& zone, std::int64_t now_us);
double timestamptz_to_epoch(std::int64_t t);
std::int64_t timestamptz_from_epoch(double seconds);  // to_timestamp(float8)

// ---- arithmetic
// -------------------------------------------------------------------------------------------------
std::int32_t date_add_days(std::int32_t date, std::int32_t days);
std::int32_t date_subtract(std::int32_t a, std::int32_t b);  // 22008 "cannot subtract infinite dates"
std::int64_t date_add_time(std::int32_t date, std::int64_t time);
std::int64_t datetimetz_to_timestamptz(std::int32_t date, const TimeTz& time);
std::int64_t timestamp_add(std::int64_t timestamp, const Interval& interval);
std::int64_t timestamptz_add(std::int64_t timestamptz, const Interval& interval, const TimeZone& zone);
Interval timestamp_subtract(std::int64_t a, std::int64_t b);  // days and time, as operator -
Interval age(std::int64_t a, std::int64_t b);                 // symbolic years, months, days
Interval age_tz(std::int64_t a, std::int64_t b, const TimeZone& zone);
std::int64_t time_add(std::int64_t time, const Interval& interval);  // wraps at 24 h
TimeTz timetz_add(const TimeTz& time, const Interval& interval);
Interval interval_add(const Interval& a, const Interval& b);
Interval interval_subtract(const Interval& a, const Interval& b);
Interval interval_negate(const Interval& a);
Interval interval_multiply(const Interval& a, double factor);
Interval interval_divide(const Interval& a, double divisor);
/// 30-day months, 24-hour days, in µs: order and equality of intervals.
Int128 interval_value(const Interval& interval);
int compare_intervals(const Interval& a, const Interval& b);
int compare_timetz(const TimeTz& a, const TimeTz& b);
Interval justify_hours(const Interval& interval);
Interval justify_days(const Interval& interval);
Interval justify_interval(const Interval& interval);
bool periods_overlap(std::int64_t start1, std::int64_t end1, std::int64_t start2, std::int64_t end2);

// ---- makers
// -----------------------------------------------------------------------------------------------------
std::int32_t make_date(int year, int month, int day);
std::int64_t make_time(int hour, int minute, double second);
std::int64_t make_timestamp(int year, int month, int day, int hour, int minute, double second);
Interval make_interval(int years, int months, int weeks, int days, int hours, int minutes, double seconds);

// ---- fields
// -----------------------------------------------------------------------------------------------------
std::int64_t date_trunc(std::string_view unit, std::int64_t timestamp);
std::int64_t date_trunc_tz(std::string_view unit, std::int64_t timestamptz, const TimeZone& zone);
Interval date_trunc(std::string_view unit, const Interval& interval);
std::int64_t date_bin(const Interval& stride, std::int64_t timestamp, std::int64_t origin);
/// extract(): false means SQL NULL (day of infinity). date_part() is the same as double (date_part_of).
bool extract_timestamp(std::string_view unit, std::int64_t timestamp, Arena& arena, Numeric* out);
bool extract_timestamptz(std::string_view unit, std::int64_t timestamptz, const TimeZone& zone, Arena& arena,
                         Numeric* out);
bool extract_date(std::string_view unit, std::int32_t date, Arena& arena, Numeric* out);
bool extract_time(std::string_view unit, std::int64_t time, Arena& arena, Numeric* out);
bool extract_timetz(std::string_view unit, const TimeTz& time, Arena& arena, Numeric* out);
bool extract_interval(std::string_view unit, const Interval& interval, Arena& arena, Numeric* out);
double date_part_of(const Numeric& extracted);
int iso_week_of(int year, int month, int day);
int iso_year_of(int year, int month, int day);
int day_of_week(int julian);  // 0 = Sunday

}  // namespace rustbd::types
