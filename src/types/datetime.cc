// Calendar, conversions and arithmetic.
#include "rustbd/types/datetime.h"

#include <algorithm>
#include <cmath>

#include "rustbd/base/error.h"

namespace rustbd::types {

namespace {
[[noreturn]] void timestamp_out_of_range() {
  throw error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range");
}
[[noreturn]] void interval_out_of_range() {
  throw error(sqlstate::kDatetimeFieldOverflow, "interval out of range");
}
[[noreturn]] void date_out_of_range() { throw error(sqlstate::kDatetimeFieldOverflow, "date out of range"); }
std::int64_t checked_timestamp(std::int64_t t) {
  if (t < kTimestampMin || t >= kTimestampEnd) timestamp_out_of_range();
  return t;
}
std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
template <class T>
T checked_add(T a, T b) {
  T r;
  if (__builtin_add_overflow(a, b, &r)) interval_out_of_range();
  return r;
}
template <class T>
T checked_subtract(T a, T b) {
  T r;
  if (__builtin_sub_overflow(a, b, &r)) interval_out_of_range();
  return r;
}
}  // namespace

// Days of the proleptic Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013).
int julian_of(int year, int month, int day) {
  const std::int64_t y = std::int64_t{year} - (month <= 2 ? 1 : 0);
  const std::int64_t era = floor_div(y, 400);
  const std::int64_t year_of_era = y - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<int>(era * 146097 + day_of_era - 719468 + kUnixEpochJulian);
}
void civil_of_julian(int julian, int* year, int* month, int* day) {
  const std::int64_t z = std::int64_t{julian} - kUnixEpochJulian + 719468;
  const std::int64_t era = floor_div(z, 146097);
  const std::int64_t doe = z - era * 146097;
  const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const std::int64_t mp = (5 * doy + 2) / 153;
  *day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  *month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  *year = static_cast<int>(yoe + era * 400 + (*month <= 2 ? 1 : 0));
}
bool is_leap_year(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }
int days_in_month(int year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap_year(year) ? 29 : kDays[month - 1];
}
int day_of_week(int julian) { return ((julian + 1) % 7 + 7) % 7; }

CivilTime civil_of_timestamp(std::int64_t t) {
  CivilTime c;
  const std::int64_t days = floor_div(t, kUsPerDay);
  std::int64_t rest = t - days * kUsPerDay;
  civil_of_julian(static_cast<int>(days + kPostgresEpochJulian), &c.year, &c.month, &c.day);
  c.micros = static_cast<int>(rest % kUsPerSecond);
  rest /= kUsPerSecond;
  c.second = static_cast<int>(rest % 60);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.hour = static_cast<int>(rest / 3600);
  return c;
}
std::int64_t timestamp_of_civil(const CivilTime& c) {
  if (c.year < -4713 || c.year > 294277) timestamp_out_of_range();
  const std::int64_t days = julian_of(c.year, c.month, c.day) - kPostgresEpochJulian;
  const std::int64_t time =
      ((std::int64_t{c.hour} * 60 + c.minute) * 60 + c.second) * kUsPerSecond + c.micros;
  std::int64_t t;
  if (__builtin_mul_overflow(days, kUsPerDay, &t) || __builtin_add_overflow(t, time, &t))
    timestamp_out_of_range();
  return checked_timestamp(t);
}

// ---- conversions
// --------------------------------------------------------------------------------------------------
std::int64_t date_to_timestamp(std::int32_t date) {
  if (date == kDateInfinity) return kTimestampInfinity;
  if (date == kDateMinusInfinity) return kTimestampMinusInfinity;
  if (date >= kTimestampEnd / kUsPerDay)
    throw error(sqlstate::kDatetimeFieldOverflow, "date out of range for timestamp");
  return date * kUsPerDay;
}
std::int32_t timestamp_to_date(std::int64_t t) {
  if (t == kTimestampInfinity) return kDateInfinity;
  if (t == kTimestampMinusInfinity) return kDateMinusInfinity;
  return static_cast<std::int32_t>(floor_div(t, kUsPerDay));
}
std::int64_t timestamp_to_time(std::int64_t t) { return t - floor_div(t, kUsPerDay) * kUsPerDay; }

std::int64_t timestamp_to_timestamptz(std::int64_t t, const TimeZone& zone) {
  if (!is_finite_timestamp(t)) return t;
  return checked_timestamp(t - zone.offset_of_local(t) * kUsPerSecond);
}
std::int64_t timestamptz_to_timestamp(std::int64_t t, const TimeZone& zone) {
  if (!is_finite_timestamp(t)) return t;
  return checked_timestamp(t + zone.at(t).seconds_east * kUsPerSecond);
}
std::int64_t date_to_timestamptz(std::int32_t date, const TimeZone& zone) {
  return timestamp_to_timestamptz(date_to_timestamp(date), zone);
}
TimeTz timestamptz_to_timetz(std::int64_t t, const TimeZone& zone) {
  const std::int32_t east = zone.at(t).seconds_east;
  return {timestamp_to_time(t + east * kUsPerSecond), -east, 0};
}
TimeTz time_to_timetz(std::int64_t time, const FormatSettings& s) {
  const TimeZone& zone = zone_of(s);
  const std::int64_t local = timestamptz_to_timestamp(s.now(), zone);
  const std::int64_t at = floor_div(local, kUsPerDay) * kUsPerDay + time;
  return {time, -zone.offset_of_local(at), 0};
}
Interval time_to_interval(std::int64_t time) { return {time, 0, 0}; }
std::int64_t interval_to_time(const Interval& v) { return timestamp_to_time(v.micros); }

std::int64_t timestamp_at_zone(std::int64_t local, const ZoneReference& z) {
  if (!is_finite_timestamp(local)) return local;
  if (z.zone != nullptr) return timestamp_to_timestamptz(local, *z.zone);
  return checked_timestamp(local - z.fixed_seconds_east * kUsPerSecond);
}
std::int64_t timestamptz_at_zone(std::int64_t utc, const ZoneReference& z) {
  if (!is_finite_timestamp(utc)) return utc;
  if (z.zone != nullptr) return timestamptz_to_timestamp(utc, *z.zone);
  return checked_timestamp(utc + z.fixed_seconds_east * kUsPerSecond);
}
TimeTz timetz_at_zone(const TimeTz& t, const ZoneReference& z, std::int64_t now_us) {
  const std::int32_t east = z.zone != nullptr ? z.zone->at(now_us).seconds_east : z.fixed_seconds_east;
  std::int64_t micros = (t.micros + (std::int64_t{t.zone_seconds} + east) * kUsPerSecond) % kUsPerDay;
  if (micros < 0) micros += kUsPerDay;
  return {micros, -east, 0};
}
double timestamptz_to_epoch(std::int64_t t) {
  return static_cast<double>(t) / kUsPerSecond + static_cast<double>(kUnixToPostgresSeconds);
}
std::int64_t timestamptz_from_epoch(double seconds) {
  if (std::isnan(seconds)) throw error(sqlstate::kDatetimeFieldOverflow, "timestamp cannot be NaN");
  if (std::isinf(seconds)) return seconds < 0 ? kTimestampMinusInfinity : kTimestampInfinity;
  const double shifted = (seconds - static_cast<double>(kUnixToPostgresSeconds));
  if (seconds < -210866803200.0 || seconds >= 9224318016000.0)
    throw error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range: \"{:g}\"", seconds);
  return checked_timestamp(static_cast<std::int64_t>(std::rint(shifted * kUsPerSecond)));
}

// ---- modifiers
// ----------------------------------------------------------------------------------------------------
namespace {
constexpr std::int64_t kScales[7] = {1000000, 100000, 10000, 1000, 100, 10, 1};
std::int64_t round_to(std::int64_t t, std::int64_t unit) {
  const std::int64_t half = unit / 2;
  return t >= 0 ? (t + half) / unit * unit : -((-t + half) / unit * unit);
}
}  // namespace
std::int64_t round_time(std::int64_t t, std::int32_t typmod) {
  return typmod < 0 || typmod >= 6 ? t : round_to(t, kScales[typmod]);
}
std::int64_t round_timestamp(std::int64_t t, std::int32_t typmod) {
  if (typmod < 0 || typmod >= 6 || !is_finite_timestamp(t)) return t;
  return round_to(t, kScales[typmod]);
}
Interval apply_interval_typmod(const Interval& v, std::int32_t typmod) {
  if (typmod < 0) return v;
  Interval r = v;
  const int range = (typmod >> 16) & 0x7FFF, precision = typmod & 0xFFFF;
  // The lowest field of the range says what is cut off; fields above stay as they are.
  if (range != kIntervalFullRange) {
    if (range == kIntervalYear) r.months = r.months / 12 * 12;
    if ((range & ~(kIntervalYear | kIntervalMonth)) == 0) r.days = 0, r.micros = 0;
    else if ((range & (kIntervalHour | kIntervalMinute | kIntervalSecond)) == 0) r.micros = 0;
    else if ((range & (kIntervalMinute | kIntervalSecond)) == 0)
      r.micros = r.micros / kUsPerHour * kUsPerHour;
    else if ((range & kIntervalSecond) == 0) r.micros = r.micros / kUsPerMinute * kUsPerMinute;
  }
  if (precision < 6) r.micros = round_to(r.micros, kScales[precision]);
  return r;
}

// ---- arithmetic
// ---------------------------------------------------------------------------------------------------
std::int32_t date_add_days(std::int32_t date, std::int32_t days) {
  if (!is_finite_date(date)) return date;
  const std::int64_t r = std::int64_t{date} + days;
  if (r < kDateMin || r >= kDateEnd) date_out_of_range();
  return static_cast<std::int32_t>(r);
}
std::int32_t date_subtract(std::int32_t a, std::int32_t b) {
  if (!is_finite_date(a) || !is_finite_date(b))
    throw error(sqlstate::kDatetimeFieldOverflow, "cannot subtract infinite dates");
  return a - b;
}
std::int64_t date_add_time(std::int32_t date, std::int64_t time) {
  const std::int64_t t = date_to_timestamp(date);
  return is_finite_timestamp(t) ? checked_timestamp(t + time) : t;
}
std::int64_t datetimetz_to_timestamptz(std::int32_t date, const TimeTz& time) {
  const std::int64_t t = date_to_timestamp(date);
  return is_finite_timestamp(t) ? checked_timestamp(t + time.micros + time.zone_seconds * kUsPerSecond) : t;
}

namespace {
/// Adds months to a wall time; the day is cut to the month's last.
std::int64_t add_months(std::int64_t local, std::int32_t months) {
  if (months == 0) return local;
  CivilTime c = civil_of_timestamp(local);
  const std::int64_t total = std::int64_t{c.year} * 12 + (c.month - 1) + months;
  const std::int64_t year = floor_div(total, 12);
  if (year < -4800 || year > 300000) timestamp_out_of_range();
  c.year = static_cast<int>(year);
  c.month = static_cast<int>(total - year * 12) + 1;
  c.day = std::min(c.day, days_in_month(c.year, c.month));
  return timestamp_of_civil(c);
}
std::int64_t add_days(std::int64_t local, std::int32_t days) {
  std::int64_t r;
  if (__builtin_add_overflow(local, days * kUsPerDay, &r)) timestamp_out_of_range();
  return checked_timestamp(r);
}
std::int64_t add_micros(std::int64_t t, std::int64_t micros) {
  std::int64_t r;
  if (__builtin_add_overflow(t, micros, &r)) timestamp_out_of_range();
  return checked_timestamp(r);
}
}  // namespace

std::int64_t timestamp_add(std::int64_t t, const Interval& v) {
  if (!is_finite_timestamp(t)) return t;
  t = add_months(t, v.months);
  if (v.days != 0) t = add_days(t, v.days);
  return add_micros(t, v.micros);
}
std::int64_t timestamptz_add(std::int64_t t, const Interval& v, const TimeZone& zone) {
  if (!is_finite_timestamp(t)) return t;
  // Months, then days, each in wall time; then exact time.
  if (v.months != 0)
    t = timestamp_to_timestamptz(add_months(timestamptz_to_timestamp(t, zone), v.months), zone);
  if (v.days != 0) t = timestamp_to_timestamptz(add_days(timestamptz_to_timestamp(t, zone), v.days), zone);
  return add_micros(t, v.micros);
}

Interval timestamp_subtract(std::int64_t a, std::int64_t b) {
  if (!is_finite_timestamp(a) || !is_finite_timestamp(b))
    throw error(sqlstate::kDatetimeFieldOverflow, "cannot subtract infinite timestamps");
  return justify_hours({checked_subtract(a, b), 0, 0});
}

namespace {
Interval age_of(std::int64_t a, std::int64_t b) {
  if (!is_finite_timestamp(a) || !is_finite_timestamp(b)) timestamp_out_of_range();
  const bool negative = a < b;
  const CivilTime x = civil_of_timestamp(a), y = civil_of_timestamp(b);
  const CivilTime& late = negative ? y : x;
  const CivilTime& early = negative ? x : y;
  const auto time = [](const CivilTime& c) {
    return ((std::int64_t{c.hour} * 60 + c.minute) * 60 + c.second) * kUsPerSecond + c.micros;
  };
  std::int64_t micros = time(late) - time(early);
  int days = late.day - early.day, months = late.month - early.month, years = late.year - early.year;
  if (micros < 0) {
    micros += kUsPerDay;
    --days;
  }
  while (days < 0) {  // borrows the length of the month of the earlier moment
    days += days_in_month(early.year, early.month);
    --months;
  }
  while (months < 0) {
    months += 12;
    --years;
  }
  Interval r{micros, days, years * 12 + months};
  return negative ? interval_negate(r) : r;
}
}  // namespace
Interval age(std::int64_t a, std::int64_t b) { return age_of(a, b); }
Interval age_tz(std::int64_t a, std::int64_t b, const TimeZone& zone) {
  if (!is_finite_timestamp(a) || !is_finite_timestamp(b)) timestamp_out_of_range();
  return age_of(timestamptz_to_timestamp(a, zone), timestamptz_to_timestamp(b, zone));
}

std::int64_t time_add(std::int64_t time, const Interval& v) {
  std::int64_t r = (time + v.micros % kUsPerDay) % kUsPerDay;
  return r < 0 ? r + kUsPerDay : r;
}
TimeTz timetz_add(const TimeTz& t, const Interval& v) { return {time_add(t.micros, v), t.zone_seconds, 0}; }

Interval interval_add(const Interval& a, const Interval& b) {
  return {checked_add(a.micros, b.micros), checked_add(a.days, b.days), checked_add(a.months, b.months)};
}
Interval interval_subtract(const Interval& a, const Interval& b) {
  return {checked_subtract(a.micros, b.micros), checked_subtract(a.days, b.days),
          checked_subtract(a.months, b.months)};
}
Interval interval_negate(const Interval& a) { return interval_subtract({}, a); }

namespace {
/// Fractions of months go down to days, of days to time (30 days, 24 hours), as PostgreSQL's cascade.
Interval scale_interval(const Interval& v, double factor) {
  const auto whole = [](double d) {
    if (std::isnan(d) || d > INT32_MAX || d < INT32_MIN) interval_out_of_range();
    return static_cast<std::int32_t>(d);
  };
  const auto tidy = [](double d) { return std::rint(d * 1e6) / 1e6; };  // below a microsecond of a second
  Interval r;
  r.months = whole(v.months * factor);
  r.days = whole(v.days * factor);
  double month_days = tidy((v.months * factor - r.months) * 30);
  double seconds = tidy((v.days * factor - r.days + month_days - static_cast<int>(month_days)) * 86400.0);
  if (std::fabs(seconds) >= 86400.0) {
    const int days = static_cast<int>(seconds / 86400.0);
    r.days = checked_add(r.days, days);
    seconds -= days * 86400.0;
  }
  r.days = checked_add(r.days, static_cast<std::int32_t>(month_days));
  const double micros = std::rint(static_cast<double>(v.micros) * factor + seconds * kUsPerSecond);
  if (std::isnan(micros) || micros >= 9223372036854775808.0 || micros < -9223372036854775808.0)
    interval_out_of_range();
  r.micros = static_cast<std::int64_t>(micros);
  return r;
}
}  // namespace
Interval interval_multiply(const Interval& v, double factor) { return scale_interval(v, factor); }
Interval interval_divide(const Interval& v, double divisor) {
  if (divisor == 0) throw error(sqlstate::kDivisionByZero, "division by zero");
  const auto tidy = [](double d) { return std::rint(d * 1e6) / 1e6; };
  Interval r;
  r.months = static_cast<std::int32_t>(v.months / divisor);
  r.days = static_cast<std::int32_t>(v.days / divisor);
  const double month_days = tidy((v.months / divisor - r.months) * 30);
  double seconds = tidy((v.days / divisor - r.days + month_days - static_cast<int>(month_days)) * 86400.0);
  if (std::fabs(seconds) >= 86400.0) {
    const int days = static_cast<int>(seconds / 86400.0);
    r.days += days;
    seconds -= days * 86400.0;
  }
  r.days += static_cast<std::int32_t>(month_days);
  r.micros =
      static_cast<std::int64_t>(std::rint(static_cast<double>(v.micros) / divisor + seconds * kUsPerSecond));
  return r;
}

Int128 interval_value(const Interval& v) {
  return static_cast<Int128>(v.micros) + (static_cast<Int128>(v.months) * 30 + v.days) * kUsPerDay;
}
int compare_intervals(const Interval& a, const Interval& b) {
  const Int128 x = interval_value(a), y = interval_value(b);
  return x < y ? -1 : (x > y ? 1 : 0);
}
int compare_timetz(const TimeTz& a, const TimeTz& b) {
  const std::int64_t x = a.micros + a.zone_seconds * kUsPerSecond,
                     y = b.micros + b.zone_seconds * kUsPerSecond;
  if (x != y) return x < y ? -1 : 1;
  return a.zone_seconds < b.zone_seconds ? -1 : (a.zone_seconds > b.zone_seconds ? 1 : 0);
}

Interval justify_hours(const Interval& v) {
  Interval r = v;
  const auto days = static_cast<std::int32_t>(r.micros / kUsPerDay);
  r.micros -= days * kUsPerDay;
  r.days = checked_add(r.days, days);
  if (r.days > 0 && r.micros < 0) r.micros += kUsPerDay, --r.days;
  else if (r.days < 0 && r.micros > 0) r.micros -= kUsPerDay, ++r.days;
  return r;
}
Interval justify_days(const Interval& v) {
  Interval r = v;
  const std::int32_t months = r.days / 30;
  r.days -= months * 30;
  r.months = checked_add(r.months, months);
  if (r.months > 0 && r.days < 0) r.days += 30, --r.months;
  else if (r.months < 0 && r.days > 0) r.days -= 30, ++r.months;
  return r;
}
Interval justify_interval(const Interval& v) {
  Interval r = v;
  // Days first take whole months when signs agree, so that the sum below cannot overflow needlessly.
  if ((r.days > 0 && r.micros > 0) || (r.days < 0 && r.micros < 0)) {
    const std::int32_t months = r.days / 30;
    r.days -= months * 30;
    r.months = checked_add(r.months, months);
  }
  const auto days = static_cast<std::int32_t>(r.micros / kUsPerDay);
  r.micros -= days * kUsPerDay;
  r.days = checked_add(r.days, days);
  const std::int32_t months = r.days / 30;
  r.days -= months * 30;
  r.months = checked_add(r.months, months);
  if (r.months > 0 && (r.days < 0 || (r.days == 0 && r.micros < 0))) r.days += 30, --r.months;
  else if (r.months < 0 && (r.days > 0 || (r.days == 0 && r.micros > 0))) r.days -= 30, ++r.months;
  if (r.days > 0 && r.micros < 0) r.micros += kUsPerDay, --r.days;
  else if (r.days < 0 && r.micros > 0) r.micros -= kUsPerDay, ++r.days;
  return r;
}

bool periods_overlap(std::int64_t s1, std::int64_t e1, std::int64_t s2, std::int64_t e2) {
  if (s1 > e1) std::swap(s1, e1);
  if (s2 > e2) std::swap(s2, e2);
  if (s1 == s2) return true;
  return s1 > s2 ? s1 < e2 : s2 < e1;
}

// ---- makers
// -------------------------------------------------------------------------------------------------------
std::int32_t make_date(int year, int month, int day) {
  const auto fail = [&] {
    return error(sqlstate::kDatetimeFieldOverflow, "date field value out of range: {}-{:02}-{:02}", year,
                 month, day);
  };
  const int y = year < 0 ? year + 1 : year;  // negative years are BC
  if (year == 0 || month < 1 || month > 12 || day < 1 || day > 31 || y < -4713 || y > 5874897) throw fail();
  if (day > days_in_month(y, month)) throw fail();
  const int date = julian_of(y, month, day) - kPostgresEpochJulian;
  if (date < kDateMin || date >= kDateEnd)
    throw error(sqlstate::kDatetimeFieldOverflow, "date out of range: {}-{:02}-{:02}", year, month, day);
  return date;
}
std::int64_t make_time(int hour, int minute, double second) {
  const double micros = std::rint(second * kUsPerSecond);
  const bool bad = std::isnan(second) || hour < 0 || minute < 0 || minute > 59 || second < 0 || second > 60 ||
                   hour > 24 || (hour == 24 && (minute > 0 || micros > 0));
  const std::int64_t time =
      bad ? 0 : (hour * std::int64_t{60} + minute) * kUsPerMinute + static_cast<std::int64_t>(micros);
  if (bad || time > kUsPerDay)
    throw error(sqlstate::kDatetimeFieldOverflow, "time field value out of range: {}:{:02}:{:02g}", hour,
                minute, second);
  return time;
}
std::int64_t make_timestamp(int year, int month, int day, int hour, int minute, double second) {
  return date_add_time(make_date(year, month, day), make_time(hour, minute, second));
}
Interval make_interval(int years, int months, int weeks, int days, int hours, int minutes, double seconds) {
  if (!std::isfinite(seconds)) interval_out_of_range();
  const Int128 m = static_cast<Int128>(years) * 12 + months, d = static_cast<Int128>(weeks) * 7 + days;
  const double s = std::rint(seconds * kUsPerSecond);
  if (m > INT32_MAX || m < INT32_MIN || d > INT32_MAX || d < INT32_MIN || std::fabs(s) > 9e18)
    interval_out_of_range();
  const Int128 t = static_cast<Int128>(hours) * kUsPerHour + static_cast<Int128>(minutes) * kUsPerMinute +
                   static_cast<Int128>(static_cast<std::int64_t>(s));
  if (t > INT64_MAX || t < INT64_MIN) interval_out_of_range();
  return {static_cast<std::int64_t>(t), static_cast<std::int32_t>(d), static_cast<std::int32_t>(m)};
}

}  // namespace rustbd::types
