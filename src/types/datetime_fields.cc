// extract(), date_part(), date_trunc(), date_bin().
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/datetime_units.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
constexpr std::string_view kTimestampName = "timestamp without time zone",
                           kTimestamptzName = "timestamp with time zone";

Unit unit_or_throw(std::string_view text, std::string_view type) {
  const Unit unit = find_unit(lower(text));
  if (unit <= Unit::kAgo)
    throw error(sqlstate::kInvalidParameterValue, "unit \"{}\" not recognized for type {}", lower(text),
                type);
  return unit;
}
/// date_trunc knows no epoch, dow, doy, ...
Unit trunc_unit_or_throw(std::string_view text, std::string_view type) {
  const Unit unit = unit_or_throw(text, type);
  if (unit >= Unit::kEpoch && unit <= Unit::kJulian)
    throw error(sqlstate::kInvalidParameterValue, "unit \"{}\" not recognized for type {}", lower(text),
                type);
  return unit;
}
[[noreturn]] void unsupported(std::string_view text, std::string_view type) {
  throw error(sqlstate::kFeatureNotSupported, "unit \"{}\" not supported for type {}", lower(text), type);
}
int floor_week_day(int julian) {  // Monday = 0
  return ((julian % 7) + 7) % 7;
}
/// Monday of ISO week 1.
int iso_first_monday(int year) {
  const int fourth = julian_of(year, 1, 4);
  return fourth - floor_week_day(fourth);
}
int decade_of(int y) { return y >= 0 ? y / 10 : -((8 - (y - 1)) / 10); }
int century_of(int y) { return y > 0 ? (y + 99) / 100 : -((99 - (y - 1)) / 100); }
int millennium_of(int y) { return y > 0 ? (y + 999) / 1000 : -((999 - (y - 1)) / 1000); }

Numeric whole(std::int64_t v) { return numeric_from_int64(v); }
Numeric scaled(std::int64_t v, int scale, Arena& arena) { return numeric_from_int128(v, scale, arena); }

/// Second and below; the same in all types. False: another unit.
bool extract_seconds(Unit unit, std::int64_t micros_of_minute, Arena& arena, Numeric* out) {
  switch (unit) {
    case Unit::kMicrosecond: *out = whole(micros_of_minute); return true;
    case Unit::kMillisecond: *out = scaled(micros_of_minute, 3, arena); return true;
    case Unit::kSecond: *out = scaled(micros_of_minute, 6, arena); return true;
    default: return false;
  }
}
bool extract_date_unit(Unit unit, const CivilTime& c, Numeric* out) {
  const int julian = julian_of(c.year, c.month, c.day);
  switch (unit) {
    case Unit::kDay: *out = whole(c.day); return true;
    case Unit::kMonth: *out = whole(c.month); return true;
    case Unit::kQuarter: *out = whole((c.month - 1) / 3 + 1); return true;
    case Unit::kWeek: *out = whole(iso_week_of(c.year, c.month, c.day)); return true;
    case Unit::kYear: *out = whole(c.year > 0 ? c.year : c.year - 1); return true;
    case Unit::kDecade: *out = whole(decade_of(c.year)); return true;
    case Unit::kCentury: *out = whole(century_of(c.year)); return true;
    case Unit::kMillennium: *out = whole(millennium_of(c.year)); return true;
    case Unit::kIsoYear: {
      const int y = iso_year_of(c.year, c.month, c.day);
      *out = whole(y > 0 ? y : y - 1);
      return true;
    }
    case Unit::kDow: *out = whole(day_of_week(julian)); return true;
    case Unit::kIsoDow: *out = whole(floor_week_day(julian) + 1); return true;
    case Unit::kDoy: *out = whole(julian - julian_of(c.year, 1, 1) + 1); return true;
    default: return false;
  }
}
/// Of infinities: NULL (false) for what oscillates, ±Infinity for what grows. Throws for units the type
/// hasn't.
bool extract_infinite(Unit unit, bool negative, std::string_view text, std::string_view type, bool date,
                      Numeric* out) {
  switch (unit) {
    case Unit::kMicrosecond:
    case Unit::kMillisecond:
    case Unit::kSecond:
    case Unit::kMinute:
    case Unit::kHour:
      if (date) unsupported(text, type);
      return false;
    case Unit::kDay:
    case Unit::kMonth:
    case Unit::kQuarter:
    case Unit::kWeek:
    case Unit::kDow:
    case Unit::kIsoDow:
    case Unit::kDoy: return false;
    case Unit::kTimezone:
    case Unit::kTimezoneHour:
    case Unit::kTimezoneMinute:
      if (date) unsupported(text, type);
      return false;
    default: break;
  }
  *out = numeric_special(negative ? NumericKind::kMinusInfinity : NumericKind::kInfinity);
  return true;
}

bool extract_civil(Unit unit, std::int64_t local, Arena& arena, Numeric* out) {
  const CivilTime c = civil_of_timestamp(local);
  if (extract_seconds(unit, std::int64_t{c.second} * kUsPerSecond + c.micros, arena, out)) return true;
  if (extract_date_unit(unit, c, out)) return true;
  switch (unit) {
    case Unit::kMinute: *out = whole(c.minute); return true;
    case Unit::kHour: *out = whole(c.hour); return true;
    case Unit::kJulian: {
      const Numeric time = divide(whole(timestamp_to_time(local)), whole(kUsPerDay), arena);
      *out = add(whole(julian_of(c.year, c.month, c.day)), time, arena);
      return true;
    }
    default: return false;
  }
}
Numeric epoch_of(std::int64_t t, Arena& arena) {
  return numeric_from_int128(
      static_cast<Int128>(t) + static_cast<Int128>(kUnixToPostgresSeconds) * kUsPerSecond, 6, arena);
}
}  // namespace

int iso_year_of(int year, int month, int day) {
  const int julian = julian_of(year, month, day);
  if (julian >= iso_first_monday(year + 1)) return year + 1;
  return julian < iso_first_monday(year) ? year - 1 : year;
}
int iso_week_of(int year, int month, int day) {
  return (julian_of(year, month, day) - iso_first_monday(iso_year_of(year, month, day))) / 7 + 1;
}

bool extract_timestamp(std::string_view text, std::int64_t t, Arena& arena, Numeric* out) {
  const Unit unit = unit_or_throw(text, kTimestampName);
  if (!is_finite_timestamp(t)) return extract_infinite(unit, t < 0, text, kTimestampName, false, out);
  if (unit == Unit::kEpoch) {
    *out = epoch_of(t, arena);
    return true;
  }
  if (!extract_civil(unit, t, arena, out)) unsupported(text, kTimestampName);
  return true;
}
bool extract_timestamptz(std::string_view text, std::int64_t t, const TimeZone& zone, Arena& arena,
                         Numeric* out) {
  const Unit unit = unit_or_throw(text, kTimestamptzName);
  if (!is_finite_timestamp(t)) return extract_infinite(unit, t < 0, text, kTimestamptzName, false, out);
  const std::int32_t east = zone.at(t).seconds_east;
  switch (unit) {
    case Unit::kEpoch: *out = epoch_of(t, arena); return true;
    case Unit::kTimezone: *out = whole(east); return true;
    case Unit::kTimezoneHour: *out = whole(east / 3600); return true;
    case Unit::kTimezoneMinute: *out = whole(east / 60 % 60); return true;
    default: break;
  }
  if (!extract_civil(unit, t + east * kUsPerSecond, arena, out)) unsupported(text, kTimestamptzName);
  return true;
}
bool extract_date(std::string_view text, std::int32_t date, Arena& arena, Numeric* out) {
  const Unit unit = unit_or_throw(text, "date");
  if (!is_finite_date(date)) return extract_infinite(unit, date < 0, text, "date", true, out);
  CivilTime c;
  civil_of_julian(date + kPostgresEpochJulian, &c.year, &c.month, &c.day);
  if (extract_date_unit(unit, c, out)) return true;
  if (unit == Unit::kJulian) *out = whole(date + std::int64_t{kPostgresEpochJulian});
  else if (unit == Unit::kEpoch)
    *out = whole((std::int64_t{date} + kPostgresEpochJulian - kUnixEpochJulian) * 86400);
  else unsupported(text, "date");
  (void)arena;
  return true;
}
bool extract_time(std::string_view text, std::int64_t time, Arena& arena, Numeric* out) {
  constexpr std::string_view kName = "time without time zone";
  const Unit unit = unit_or_throw(text, kName);
  if (extract_seconds(unit, time % kUsPerMinute, arena, out)) return true;
  if (unit == Unit::kMinute) *out = whole(time / kUsPerMinute % 60);
  else if (unit == Unit::kHour) *out = whole(time / kUsPerHour);
  else if (unit == Unit::kEpoch) *out = scaled(time, 6, arena);
  else unsupported(text, kName);
  return true;
}
bool extract_timetz(std::string_view text, const TimeTz& t, Arena& arena, Numeric* out) {
  constexpr std::string_view kName = "time with time zone";
  const Unit unit = unit_or_throw(text, kName);
  if (extract_seconds(unit, t.micros % kUsPerMinute, arena, out)) return true;
  switch (unit) {
    case Unit::kMinute: *out = whole(t.micros / kUsPerMinute % 60); return true;
    case Unit::kHour: *out = whole(t.micros / kUsPerHour); return true;
    case Unit::kEpoch: *out = scaled(t.micros + t.zone_seconds * kUsPerSecond, 6, arena); return true;
    case Unit::kTimezone: *out = whole(-t.zone_seconds); return true;
    case Unit::kTimezoneHour: *out = whole(-t.zone_seconds / 3600); return true;
    case Unit::kTimezoneMinute: *out = whole(-t.zone_seconds / 60 % 60); return true;
    default: unsupported(text, kName);
  }
}
bool extract_interval(std::string_view text, const Interval& v, Arena& arena, Numeric* out) {
  const Unit unit = unit_or_throw(text, "interval");
  if (extract_seconds(unit, v.micros % kUsPerMinute, arena, out)) return true;
  const int years = v.months / 12, months = v.months % 12;
  switch (unit) {
    case Unit::kMinute: *out = whole(v.micros / kUsPerMinute % 60); return true;
    case Unit::kHour: *out = whole(v.micros / kUsPerHour); return true;
    case Unit::kDay: *out = whole(v.days); return true;
    case Unit::kMonth: *out = whole(months); return true;
    case Unit::kQuarter: *out = whole(months / 3 + 1); return true;
    case Unit::kYear: *out = whole(years); return true;
    case Unit::kDecade: *out = whole(years / 10); return true;
    case Unit::kCentury: *out = whole(years / 100); return true;
    case Unit::kMillennium: *out = whole(years / 1000); return true;
    case Unit::kEpoch: {
      // A year has 365.25 days here.
      const Int128 quarter_days =
          (static_cast<Int128>(years) * 1461) + (static_cast<Int128>(months) * 30 + v.days) * 4;
      *out = numeric_from_int128(quarter_days * (kUsPerDay / 4) + v.micros, 6, arena);
      return true;
    }
    default: unsupported(text, "interval");
  }
}
double date_part_of(const Numeric& extracted) { return numeric_to_double(extracted); }

// ---- truncation
// ---------------------------------------------------------------------------------------------------
namespace {
/// Truncates a wall time; false: the unit can't be truncated to.
bool truncate(Unit unit, CivilTime* c) {
  switch (unit) {
    case Unit::kWeek: {
      const int julian = julian_of(c->year, c->month, c->day);
      civil_of_julian(julian - floor_week_day(julian), &c->year, &c->month, &c->day);
      *c = {c->year, c->month, c->day, 0, 0, 0, 0};
      return true;
    }
    case Unit::kMillennium:
      c->year =
          c->year > 0 ? (c->year + 999) / 1000 * 1000 - 999 : -((999 - (c->year - 1)) / 1000) * 1000 + 1;
      break;
    case Unit::kCentury:
      c->year = c->year > 0 ? (c->year + 99) / 100 * 100 - 99 : -((99 - (c->year - 1)) / 100) * 100 + 1;
      break;
    case Unit::kDecade: c->year = c->year > 0 ? c->year / 10 * 10 : -((8 - (c->year - 1)) / 10) * 10; break;
    case Unit::kYear: break;
    case Unit::kQuarter: *c = {c->year, (c->month - 1) / 3 * 3 + 1, 1, 0, 0, 0, 0}; return true;
    case Unit::kMonth: *c = {c->year, c->month, 1, 0, 0, 0, 0}; return true;
    case Unit::kDay: *c = {c->year, c->month, c->day, 0, 0, 0, 0}; return true;
    case Unit::kHour: c->minute = c->second = c->micros = 0; return true;
    case Unit::kMinute: c->second = c->micros = 0; return true;
    case Unit::kSecond: c->micros = 0; return true;
    case Unit::kMillisecond: c->micros = c->micros / 1000 * 1000; return true;
    case Unit::kMicrosecond: return true;
    default: return false;
  }
  *c = {c->year, 1, 1, 0, 0, 0, 0};
  return true;
}
}  // namespace

std::int64_t date_trunc(std::string_view text, std::int64_t t) {
  if (!is_finite_timestamp(t)) return t;
  const Unit unit = trunc_unit_or_throw(text, kTimestampName);
  CivilTime c = civil_of_timestamp(t);
  if (!truncate(unit, &c)) unsupported(text, kTimestampName);
  return timestamp_of_civil(c);
}
std::int64_t date_trunc_tz(std::string_view text, std::int64_t t, const TimeZone& zone) {
  if (!is_finite_timestamp(t)) return t;
  const Unit unit = trunc_unit_or_throw(text, kTimestamptzName);
  const std::int32_t east = zone.at(t).seconds_east;
  CivilTime c = civil_of_timestamp(t + east * kUsPerSecond);
  if (!truncate(unit, &c)) unsupported(text, kTimestamptzName);
  const std::int64_t local = timestamp_of_civil(c);
  // Below a day the offset stays; a day may begin in another one.
  return unit <= Unit::kHour ? local - east * kUsPerSecond : timestamp_to_timestamptz(local, zone);
}
Interval date_trunc(std::string_view text, const Interval& v) {
  const Unit unit = trunc_unit_or_throw(text, "interval");
  const int years = v.months / 12;
  switch (unit) {
    case Unit::kMillennium: return {0, 0, years / 1000 * 1000 * 12};
    case Unit::kCentury: return {0, 0, years / 100 * 100 * 12};
    case Unit::kDecade: return {0, 0, years / 10 * 10 * 12};
    case Unit::kYear: return {0, 0, years * 12};
    case Unit::kQuarter: return {0, 0, v.months / 3 * 3};
    case Unit::kMonth: return {0, 0, v.months};
    case Unit::kDay: return {0, v.days, v.months};
    case Unit::kHour: return {v.micros / kUsPerHour * kUsPerHour, v.days, v.months};
    case Unit::kMinute: return {v.micros / kUsPerMinute * kUsPerMinute, v.days, v.months};
    case Unit::kSecond: return {v.micros / kUsPerSecond * kUsPerSecond, v.days, v.months};
    case Unit::kMillisecond: return {v.micros / 1000 * 1000, v.days, v.months};
    case Unit::kMicrosecond: return v;
    case Unit::kWeek:
      throw error(sqlstate::kFeatureNotSupported, "unit \"{}\" not supported for type interval", lower(text))
          .with_detail("Months usually have fractional weeks.");
    default: unsupported(text, "interval");
  }
}

std::int64_t date_bin(const Interval& stride, std::int64_t t, std::int64_t origin) {
  if (!is_finite_timestamp(t)) return t;
  if (!is_finite_timestamp(origin)) throw error(sqlstate::kDatetimeFieldOverflow, "origin out of range");
  if (stride.months != 0)
    throw error(sqlstate::kFeatureNotSupported,
                "timestamps cannot be binned into intervals containing months or years");
  const Int128 width = static_cast<Int128>(stride.days) * kUsPerDay + stride.micros;
  if (width <= 0) throw error(sqlstate::kDatetimeFieldOverflow, "stride must be greater than zero");
  const Int128 difference = static_cast<Int128>(t) - origin;
  Int128 bins = difference / width;
  if (difference % width < 0) --bins;
  const Int128 r = origin + bins * width;
  if (r < kTimestampMin || r >= kTimestampEnd)
    throw error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
  return static_cast<std::int64_t>(r);
}

}  // namespace rustbd::types
