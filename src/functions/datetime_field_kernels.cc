// Parts of dates and times: extract, date_part, date_trunc, date_bin, isfinite; and the clock.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::Numeric;
using types::TimeZone;
using Args = const Datum*;

const TimeZone& zone(EvalContext& c) { return types::zone_of(c.statement->io().settings); }

using Extract = bool (*)(EvalContext&, std::string_view unit, const Datum&, Numeric*);
bool from_timestamp(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_timestamp(unit, d.i64, *c.arena, n);
}
bool from_timestamptz(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_timestamptz(unit, d.i64, zone(c), *c.arena, n);
}
bool from_date(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_date(unit, d.i32, *c.arena, n);
}
bool from_time(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_time(unit, d.i64, *c.arena, n);
}
bool from_timetz(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_timetz(unit, d.timetz, *c.arena, n);
}
bool from_interval(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_interval(unit, d.interval, *c.arena, n);
}
/// date_part(text, date) goes through timestamp.
bool from_date_as_timestamp(EvalContext& c, std::string_view unit, const Datum& d, Numeric* n) {
  return types::extract_timestamp(unit, types::date_to_timestamp(d.i32), *c.arena, n);
}

template <Extract F>
void extract(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  Numeric n;
  *is_null = !F(c, to_lower(text_of(a[0])), a[1], &n);
  if (!*is_null) out = Datum::of(n);
}
template <Extract F>
void date_part(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  Numeric n;
  *is_null = !F(c, to_lower(text_of(a[0])), a[1], &n);
  if (!*is_null) out = Datum::of(types::date_part_of(n));
}

void trunc_timestamp(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_trunc(to_lower(text_of(a[0])), a[1].i64));
}
void trunc_timestamptz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_trunc_tz(to_lower(text_of(a[0])), a[1].i64, zone(c)));
}
void trunc_timestamptz_zone(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const auto reference = types::resolve_zone(text_of(a[2]));
  const TimeZone& z =
      reference.zone != nullptr ? *reference.zone : TimeZone::fixed(reference.fixed_seconds_east);
  out = Datum::of(types::date_trunc_tz(to_lower(text_of(a[0])), a[1].i64, z));
}
void trunc_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_trunc(to_lower(text_of(a[0])), a[1].interval));
}
void bin(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_bin(a[0].interval, a[1].i64, a[2].i64));
}

void finite_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::is_finite_date(a[0].i32));
}
void finite_timestamp(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::is_finite_timestamp(a[0].i64));
}
void finite_interval(EvalContext&, Args, const bool*, Datum& out, bool*) { out = Datum::of(true); }

void transaction_time(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->transaction_timestamp_us());
}
void statement_time(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->statement_timestamp_us());
}
void clock_time(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  out = Datum::of(c.statement->clock_timestamp_us());
}
void time_of_day(EvalContext& c, Args, const bool*, Datum& out, bool*) {
  static constexpr std::string_view days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::int64_t now = c.statement->clock_timestamp_us();
  const auto offset = zone(c).at(now);
  const auto civil = types::civil_of_timestamp(types::timestamptz_to_timestamp(now, zone(c)));
  const int weekday = types::day_of_week(types::julian_of(civil.year, civil.month, civil.day));
  out = text_result(c, fmt::format("{} {} {:02} {:02}:{:02}:{:02}.{:06} {:04} {}", days[weekday],
                                   months[civil.month - 1], civil.day, civil.hour, civil.minute, civil.second,
                                   civil.micros, civil.year, offset.abbreviation));
}

}  // namespace

void register_datetime_field_kernels(KernelTable& t) {
  t.scalar("extract_timestamp", &extract<from_timestamp>);
  t.scalar("extract_timestamptz", &extract<from_timestamptz>);
  t.scalar("extract_date", &extract<from_date>);
  t.scalar("extract_time", &extract<from_time>);
  t.scalar("extract_timetz", &extract<from_timetz>);
  t.scalar("extract_interval", &extract<from_interval>);
  t.scalar("timestamp_part", &date_part<from_timestamp>);
  t.scalar("timestamptz_part", &date_part<from_timestamptz>);
  t.scalar("date_part_1384", &date_part<from_date_as_timestamp>);
  t.scalar("time_part", &date_part<from_time>);
  t.scalar("timetz_part", &date_part<from_timetz>);
  t.scalar("interval_part", &date_part<from_interval>);
  t.scalar("timestamp_trunc", &trunc_timestamp);
  t.scalar("timestamptz_trunc", &trunc_timestamptz);
  t.scalar("timestamptz_trunc_zone", &trunc_timestamptz_zone);
  t.scalar("interval_trunc", &trunc_interval);
  t.scalar("timestamp_bin", &bin);
  t.scalar("timestamptz_bin", &bin);
  t.scalar("date_finite", &finite_date, false);
  t.scalar("timestamp_finite", &finite_timestamp, false);
  t.scalar("interval_finite", &finite_interval, false);
  t.scalar("now", &transaction_time, false);
  t.scalar("statement_timestamp", &statement_time, false);
  t.scalar("clock_timestamp", &clock_time, false);
  t.scalar("timeofday", &time_of_day);
}

}  // namespace rustbd::functions
