// Dates, times and intervals: arithmetic, conversions, age, makers, time zones. The calendar is
// types/datetime.h.
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/functions/vector_kernel.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::Interval;
using types::TimeTz;
using types::TimeZone;
using Args = const Datum*;

const TimeZone& zone(EvalContext& c) { return types::zone_of(c.statement->io().settings); }

// ---- hot: date and integer
// --------------------------------------------------------------------------------------
struct DatePlus : NeverFails {
  using Left = std::int32_t;
  using Right = std::int32_t;
  using Result = std::int32_t;
  static bool run(std::int32_t a, std::int32_t b, std::int32_t& out) {
    out = types::date_add_days(a, b);
    return false;
  }
};
struct DateMinusDays : NeverFails {
  using Left = std::int32_t;
  using Right = std::int32_t;
  using Result = std::int32_t;
  static bool run(std::int32_t a, std::int32_t b, std::int32_t& out) {
    if (b == INT32_MIN) throw error(sqlstate::kDatetimeFieldOverflow, "date out of range");
    out = types::date_add_days(a, -b);
    return false;
  }
};
struct DateDifference : NeverFails {
  using Left = std::int32_t;
  using Right = std::int32_t;
  using Result = std::int32_t;
  static bool run(std::int32_t a, std::int32_t b, std::int32_t& out) {
    out = types::date_subtract(a, b);
    return false;
  }
};
struct DateToTimestamp : NeverFails {
  using Left = std::int32_t;
  using Result = std::int64_t;
  static bool run(std::int32_t a, std::int64_t& out) {
    out = types::date_to_timestamp(a);
    return false;
  }
};
struct TimestampToDate : NeverFails {
  using Left = std::int64_t;
  using Result = std::int32_t;
  static bool run(std::int64_t a, std::int32_t& out) {
    out = types::timestamp_to_date(a);
    return false;
  }
};
struct TimestampPlus : NeverFails {
  using Left = std::int64_t;
  using Right = Interval;
  using Result = std::int64_t;
  static bool run(std::int64_t a, const Interval& b, std::int64_t& out) {
    out = types::timestamp_add(a, b);
    return false;
  }
};

// ---- boxed
// ------------------------------------------------------------------------------------------------------
void integer_plus_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_add_days(a[1].i32, a[0].i32));
}
void date_plus_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_add(types::date_to_timestamp(a[0].i32), a[1].interval));
}
void interval_plus_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_add(types::date_to_timestamp(a[1].i32), a[0].interval));
}
void date_minus_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(
      types::timestamp_add(types::date_to_timestamp(a[0].i32), types::interval_negate(a[1].interval)));
}
void date_plus_time(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_add_time(a[0].i32, a[1].i64));
}
void time_plus_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_add_time(a[1].i32, a[0].i64));
}
void date_plus_timetz(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::datetimetz_to_timestamptz(a[0].i32, a[1].timetz));
}
void timetz_plus_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::datetimetz_to_timestamptz(a[1].i32, a[0].timetz));
}
void date_time_tz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_to_timestamptz(types::date_add_time(a[0].i32, a[1].i64), zone(c)));
}
void timestamp_minus_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_add(a[0].i64, types::interval_negate(a[1].interval)));
}
void interval_plus_timestamp(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_add(a[1].i64, a[0].interval));
}
void timestamptz_plus(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_add(a[0].i64, a[1].interval, zone(c)));
}
void interval_plus_timestamptz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_add(a[1].i64, a[0].interval, zone(c)));
}
void timestamptz_minus(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_add(a[0].i64, types::interval_negate(a[1].interval), zone(c)));
}
void timestamp_difference(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_subtract(a[0].i64, a[1].i64));
}
void time_difference(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(Interval{a[0].i64 - a[1].i64, 0, 0});
}
void time_plus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::time_add(a[0].i64, a[1].interval));
}
void interval_plus_time(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::time_add(a[1].i64, a[0].interval));
}
/// Only the microseconds of the interval count, so turning its sign around cannot overflow in days and
/// months.
void time_minus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::time_add(a[0].i64, Interval{-(a[1].interval.micros % types::kUsPerDay), 0, 0}));
}
void timetz_plus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timetz_add(a[0].timetz, a[1].interval));
}
void interval_plus_timetz(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timetz_add(a[1].timetz, a[0].interval));
}
void timetz_minus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timetz_add(a[0].timetz, Interval{-(a[1].interval.micros % types::kUsPerDay), 0, 0}));
}
void interval_plus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_add(a[0].interval, a[1].interval));
}
void interval_minus(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_subtract(a[0].interval, a[1].interval));
}
void interval_negative(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_negate(a[0].interval));
}
void interval_times(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_multiply(a[0].interval, a[1].f64));
}
void times_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_multiply(a[1].interval, a[0].f64));
}
void interval_over(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  if (std::isnan(a[1].f64)) throw error(sqlstate::kDatetimeFieldOverflow, "interval out of range");
  out = Datum::of(types::interval_divide(a[0].interval, a[1].f64));
}
template <Interval (*F)(const Interval&)>
void justify(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(F(a[0].interval));
}

void age_between(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::age(a[0].i64, a[1].i64));
}
void age_between_tz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::age_tz(a[0].i64, a[1].i64, zone(c)));
}
/// Midnight of the current date in the session's zone, as local time.
std::int64_t today(EvalContext& c) {
  const std::int64_t local =
      types::timestamptz_to_timestamp(c.statement->transaction_timestamp_us(), zone(c));
  return types::date_to_timestamp(types::timestamp_to_date(local));
}
void age_today(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::age(today(c), a[0].i64));
}
void age_today_tz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::age_tz(types::timestamp_to_timestamptz(today(c), zone(c)), a[0].i64, zone(c)));
}

void timestamp_time(EvalContext&, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = !types::is_finite_timestamp(a[0].i64);
  if (!*is_null) out = Datum::of(types::timestamp_to_time(a[0].i64));
}
void timestamptz_time(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = !types::is_finite_timestamp(a[0].i64);
  if (!*is_null)
    out = Datum::of(types::timestamp_to_time(types::timestamptz_to_timestamp(a[0].i64, zone(c))));
}
void timestamptz_timetz(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = !types::is_finite_timestamp(a[0].i64);
  if (!*is_null) out = Datum::of(types::timestamptz_to_timetz(a[0].i64, zone(c)));
}
void timestamp_timestamptz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_to_timestamptz(a[0].i64, zone(c)));
}
void timestamptz_timestamp(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_to_timestamp(a[0].i64, zone(c)));
}
void timestamptz_date(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_to_date(types::timestamptz_to_timestamp(a[0].i64, zone(c))));
}
void date_timestamptz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::date_to_timestamptz(a[0].i32, zone(c)));
}
void time_timetz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::time_to_timetz(a[0].i64, c.statement->io().settings));
}
void timetz_time(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(a[0].timetz.micros);
}
void time_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::time_to_interval(a[0].i64));
}
void interval_time(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::interval_to_time(a[0].interval));
}
void epoch_timestamptz(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_from_epoch(a[0].f64));
}

// AT TIME ZONE: the zone comes first.
types::ZoneReference zone_of_interval(const Interval& i) {
  if (i.months != 0 || i.days != 0) {
    std::string text;
    types::append_interval(i, {}, text);
    throw error(sqlstate::kInvalidParameterValue, "interval time zone \"{}\" must not include months or days",
                text);
  }
  return {nullptr, static_cast<std::int32_t>(i.micros / types::kUsPerSecond)};
}
void timestamp_zone(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_at_zone(a[1].i64, types::resolve_zone(text_of(a[0]))));
}
void timestamptz_zone(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamptz_at_zone(a[1].i64, types::resolve_zone(text_of(a[0]))));
}
void timetz_zone(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timetz_at_zone(a[1].timetz, types::resolve_zone(text_of(a[0])),
                                        c.statement->transaction_timestamp_us()));
}
void timestamp_izone(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  if (!types::is_finite_timestamp(a[1].i64)) {
    out = a[1];
    return;
  }
  out = Datum::of(types::timestamp_at_zone(a[1].i64, zone_of_interval(a[0].interval)));
}
void timestamptz_izone(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  if (!types::is_finite_timestamp(a[1].i64)) {
    out = a[1];
    return;
  }
  out = Datum::of(types::timestamptz_at_zone(a[1].i64, zone_of_interval(a[0].interval)));
}
void timetz_izone(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timetz_at_zone(a[1].timetz, zone_of_interval(a[0].interval),
                                        c.statement->transaction_timestamp_us()));
}

void make_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::make_date(a[0].i32, a[1].i32, a[2].i32));
}
void make_time(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::make_time(a[0].i32, a[1].i32, a[2].f64));
}
std::int64_t timestamp_of(Args a) {
  return types::make_timestamp(a[0].i32, a[1].i32, a[2].i32, a[3].i32, a[4].i32, a[5].f64);
}
void make_timestamp(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(timestamp_of(a));
}
void make_timestamptz(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_to_timestamptz(timestamp_of(a), zone(c)));
}
void make_timestamptz_at(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  const std::int64_t local = timestamp_of(a);
  out = Datum::of(types::timestamp_at_zone(local, types::resolve_zone(text_of(a[6]))));
}
void make_interval(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::make_interval(a[0].i32, a[1].i32, a[2].i32, a[3].i32, a[4].i32, a[5].i32, a[6].f64));
}

/// OVERLAPS: nulls as in SQL (start or end may be missing).
void overlaps(EvalContext&, Args a, const bool* nulls, Datum& out, bool* is_null) {
  for (int i = 0; i < 4; ++i)
    if (nulls[i]) {
      *is_null = true;
      return;
    }
  out = Datum::of(types::periods_overlap(a[0].i64, a[1].i64, a[2].i64, a[3].i64));
}

template <class Op>
void add_binary(KernelTable& t, std::string_view name) {
  t.vector(name, &binary_vector<Op>, &binary_scalar<Op>, true);
}
template <class Op>
void add_unary(KernelTable& t, std::string_view name) {
  t.vector(name, &unary_vector<Op>, &unary_scalar<Op>, true);
}

void add_arithmetic(KernelTable& t) {
  add_binary<DatePlus>(t, "date_pli");
  add_binary<DateMinusDays>(t, "date_mii");
  add_binary<DateDifference>(t, "date_mi");
  add_binary<TimestampPlus>(t, "timestamp_pl_interval");
  t.scalar("integer_pl_date_2550", &integer_plus_date);
  t.scalar("date_pl_interval", &date_plus_interval);
  t.scalar("interval_pl_date_2546", &interval_plus_date);
  t.scalar("date_mi_interval", &date_minus_interval);
  t.scalar("datetime_timestamp", &date_plus_time);
  t.scalar("timedate_pl_1296", &time_plus_date);
  t.scalar("datetimetz_timestamptz", &date_plus_timetz);
  t.scalar("timetzdate_pl_1298", &timetz_plus_date);
  t.scalar("timestamptz_1176", &date_time_tz);
  t.scalar("timestamp_mi_interval", &timestamp_minus_interval);
  t.scalar("interval_pl_timestamp_2548", &interval_plus_timestamp);
  t.scalar("timestamptz_pl_interval", &timestamptz_plus);
  t.scalar("interval_pl_timestamptz_2549", &interval_plus_timestamptz);
  t.scalar("timestamptz_mi_interval", &timestamptz_minus);
  t.scalar("timestamp_mi", &timestamp_difference);
  t.scalar("time_mi_time", &time_difference, false);
  t.scalar("time_pl_interval", &time_plus);
  t.scalar("interval_pl_time_1848", &interval_plus_time);
  t.scalar("time_mi_interval", &time_minus);
  t.scalar("timetz_pl_interval", &timetz_plus);
  t.scalar("interval_pl_timetz_2547", &interval_plus_timetz);
  t.scalar("timetz_mi_interval", &timetz_minus);
  t.scalar("interval_pl", &interval_plus);
  t.scalar("interval_mi", &interval_minus);
  t.scalar("interval_um", &interval_negative);
  t.scalar("interval_mul", &interval_times);
  t.scalar("mul_d_interval", &times_interval);
  t.scalar("interval_div", &interval_over);
  t.scalar("interval_justify_hours", &justify<types::justify_hours>);
  t.scalar("interval_justify_days", &justify<types::justify_days>);
  t.scalar("interval_justify_interval", &justify<types::justify_interval>);
  t.scalar("timestamp_age", &age_between);
  t.scalar("timestamptz_age", &age_between_tz);
  t.scalar("age_2059", &age_today);
  t.scalar("age_1386", &age_today_tz);
  t.scalar("overlaps_timestamp", &overlaps);
  t.scalar("overlaps_time", &overlaps);
}

}  // namespace

void register_datetime_kernels(KernelTable& t) {
  add_arithmetic(t);
  add_unary<DateToTimestamp>(t, "date_timestamp");
  add_unary<TimestampToDate>(t, "timestamp_date");
  t.scalar("timestamp_time", &timestamp_time);
  t.scalar("timestamptz_time", &timestamptz_time);
  t.scalar("timestamptz_timetz", &timestamptz_timetz);
  t.scalar("timestamp_timestamptz", &timestamp_timestamptz);
  t.scalar("timestamptz_timestamp", &timestamptz_timestamp);
  t.scalar("timestamptz_date", &timestamptz_date);
  t.scalar("date_timestamptz", &date_timestamptz);
  t.scalar("time_timetz", &time_timetz);
  t.scalar("timetz_time", &timetz_time, false);
  t.scalar("time_interval", &time_interval, false);
  t.scalar("interval_time", &interval_time, false);
  t.scalar("float8_timestamptz", &epoch_timestamptz);
  t.scalar("timestamp_zone", &timestamp_zone);
  t.scalar("timestamptz_zone", &timestamptz_zone);
  t.scalar("timetz_zone", &timetz_zone);
  t.scalar("timestamp_izone", &timestamp_izone);
  t.scalar("timestamptz_izone", &timestamptz_izone);
  t.scalar("timetz_izone", &timetz_izone);
  t.scalar("make_date", &make_date);
  t.scalar("make_time", &make_time);
  t.scalar("make_timestamp", &make_timestamp);
  t.scalar("make_timestamptz", &make_timestamptz);
  t.scalar("make_timestamptz_at_timezone", &make_timestamptz_at);
  t.scalar("make_interval", &make_interval);
}

}  // namespace rustbd::functions
