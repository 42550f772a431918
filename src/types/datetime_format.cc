// Dates and times to text in all DateStyles.
#include "rustbd/types/datetime.h"

namespace rustbd::types {

namespace {
constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

void two(int v, std::string& out) {
  out += static_cast<char>('0' + v / 10);
  out += static_cast<char>('0' + v % 10);
}
void year_text(int year, std::string& out) {
  const int shown = year > 0 ? year : 1 - year;
  if (shown < 10000) {
    two(shown / 100, out);
    two(shown % 100, out);
  } else {
    out += std::to_string(shown);
  }
}
void fraction(int micros, std::string& out) {
  if (micros == 0) return;
  char digits[7];
  for (int i = 5; i >= 0; --i, micros /= 10) digits[i] = static_cast<char>('0' + micros % 10);
  std::size_t n = 6;
  while (digits[n - 1] == '0') --n;
  out += '.';
  out.append(digits, n);
}
void clock(int hour, int minute, int second, int micros, std::string& out) {
  two(hour, out);
  out += ':';
  two(minute, out);
  out += ':';
  two(second, out);
  fraction(micros, out);
}
/// ISO offset: +hh[:mm[:ss]].
void offset(std::int32_t east, std::string& out) {
  out += east < 0 ? '-' : '+';
  const int s = east < 0 ? -east : east;
  two(s / 3600, out);
  if (s % 3600 != 0) {
    out += ':';
    two(s / 60 % 60, out);
  }
  if (s % 60 != 0) {
    out += ':';
    two(s % 60, out);
  }
}
/// Day and month in the order of the settings.
void month_day(const CivilTime& c, DateOrder order, char separator, std::string& out) {
  two(order == DateOrder::kDmy ? c.day : c.month, out);
  out += separator;
  two(order == DateOrder::kDmy ? c.month : c.day, out);
}
void date_text(const CivilTime& c, const FormatSettings& s, std::string& out) {
  switch (s.date_style) {
    case DateStyle::kIso:
      year_text(c.year, out);
      out += '-';
      month_day(c, DateOrder::kMdy, '-', out);
      return;
    case DateStyle::kSql:
    case DateStyle::kPostgres: {
      const char separator = s.date_style == DateStyle::kSql ? '/' : '-';
      month_day(c, s.date_order, separator, out);
      out += separator;
      year_text(c.year, out);
      return;
    }
    case DateStyle::kGerman:
      month_day(c, DateOrder::kDmy, '.', out);
      out += '.';
      year_text(c.year, out);
      return;
  }
}

void timestamp_text(std::int64_t local, const ZoneOffset* zone, const FormatSettings& s, std::string& out) {
  const CivilTime c = civil_of_timestamp(local);
  if (s.date_style == DateStyle::kPostgres) {
    out += kDays[day_of_week(julian_of(c.year, c.month, c.day))];
    out += ' ';
    const std::string_view month = kMonths[c.month - 1];
    if (s.date_order == DateOrder::kDmy) {
      two(c.day, out);
      out += ' ';
      out += month;
    } else {
      out += month;
      out += ' ';
      two(c.day, out);
    }
    out += ' ';
    clock(c.hour, c.minute, c.second, c.micros, out);
    out += ' ';
    year_text(c.year, out);
  } else {
    date_text(c, s, out);
    out += ' ';
    clock(c.hour, c.minute, c.second, c.micros, out);
  }
  if (zone != nullptr) {
    if (s.date_style == DateStyle::kIso) {
      offset(zone->seconds_east, out);
    } else {
      out += ' ';
      out += zone->abbreviation;
    }
  }
  if (c.year <= 0) out += " BC";
}
bool infinite_text(std::int64_t t, std::string& out) {
  if (is_finite_timestamp(t)) return false;
  out += t < 0 ? "-infinity" : "infinity";
  return true;
}
}  // namespace

void append_date(std::int32_t date, const FormatSettings& s, std::string& out) {
  if (!is_finite_date(date)) {
    out += date < 0 ? "-infinity" : "infinity";
    return;
  }
  CivilTime c;
  civil_of_julian(date + kPostgresEpochJulian, &c.year, &c.month, &c.day);
  date_text(c, s, out);
  if (c.year <= 0) out += " BC";
}
void append_time(std::int64_t t, std::string& out) {
  clock(static_cast<int>(t / kUsPerHour), static_cast<int>(t / kUsPerMinute % 60),
        static_cast<int>(t / kUsPerSecond % 60), static_cast<int>(t % kUsPerSecond), out);
}
void append_timetz(const TimeTz& t, std::string& out) {
  append_time(t.micros, out);
  offset(-t.zone_seconds, out);
}
void append_timestamp(std::int64_t t, const FormatSettings& s, std::string& out) {
  if (!infinite_text(t, out)) timestamp_text(t, nullptr, s, out);
}
void append_timestamptz(std::int64_t t, const FormatSettings& s, std::string& out) {
  if (infinite_text(t, out)) return;
  const ZoneOffset zone = zone_of(s).at(t);
  timestamp_text(t + zone.seconds_east * kUsPerSecond, &zone, s, out);
}

}  // namespace rustbd::types
