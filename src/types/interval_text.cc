// Intervals to and from text: PostgreSQL's traditional, verbose, SQL-standard and ISO 8601 forms.
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/datetime_scan.h"
#include "rustbd/types/datetime_units.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

Unit find_unit(std::string_view w) {
  struct Entry {
    std::string_view text;
    Unit unit;
  };
  static constexpr Entry kUnits[] = {
      {"@", Unit::kIgnore},
      {"ago", Unit::kAgo},
      {"us", Unit::kMicrosecond},
      {"usec", Unit::kMicrosecond},
      {"usecond", Unit::kMicrosecond},
      {"useconds", Unit::kMicrosecond},
      {"usecs", Unit::kMicrosecond},
      {"microsecon", Unit::kMicrosecond},
      {"ms", Unit::kMillisecond},
      {"msec", Unit::kMillisecond},
      {"msecond", Unit::kMillisecond},
      {"mseconds", Unit::kMillisecond},
      {"msecs", Unit::kMillisecond},
      {"millisecon", Unit::kMillisecond},
      {"s", Unit::kSecond},
      {"sec", Unit::kSecond},
      {"second", Unit::kSecond},
      {"seconds", Unit::kSecond},
      {"secs", Unit::kSecond},
      {"m", Unit::kMinute},
      {"min", Unit::kMinute},
      {"mins", Unit::kMinute},
      {"minute", Unit::kMinute},
      {"minutes", Unit::kMinute},
      {"h", Unit::kHour},
      {"hour", Unit::kHour},
      {"hours", Unit::kHour},
      {"hr", Unit::kHour},
      {"hrs", Unit::kHour},
      {"d", Unit::kDay},
      {"day", Unit::kDay},
      {"days", Unit::kDay},
      {"w", Unit::kWeek},
      {"week", Unit::kWeek},
      {"weeks", Unit::kWeek},
      {"mon", Unit::kMonth},
      {"mons", Unit::kMonth},
      {"month", Unit::kMonth},
      {"months", Unit::kMonth},
      {"qtr", Unit::kQuarter},
      {"quarter", Unit::kQuarter},
      {"y", Unit::kYear},
      {"year", Unit::kYear},
      {"years", Unit::kYear},
      {"yr", Unit::kYear},
      {"yrs", Unit::kYear},
      {"dec", Unit::kDecade},
      {"decade", Unit::kDecade},
      {"decades", Unit::kDecade},
      {"decs", Unit::kDecade},
      {"c", Unit::kCentury},
      {"cent", Unit::kCentury},
      {"centuries", Unit::kCentury},
      {"century", Unit::kCentury},
      {"mil", Unit::kMillennium},
      {"millennia", Unit::kMillennium},
      {"millennium", Unit::kMillennium},
      {"mils", Unit::kMillennium},
      {"epoch", Unit::kEpoch},
      {"dow", Unit::kDow},
      {"isodow", Unit::kIsoDow},
      {"doy", Unit::kDoy},
      {"isoyear", Unit::kIsoYear},
      {"julian", Unit::kJulian},
      {"j", Unit::kJulian},
      {"jd", Unit::kJulian},
      {"timezone", Unit::kTimezone},
      {"timezone_h", Unit::kTimezoneHour},
      {"timezone_m", Unit::kTimezoneMinute},
  };
  constexpr std::size_t kTokenMax = 10;  // longer names are told by their first ten characters
  w = w.substr(0, kTokenMax);
  for (const Entry& e : kUnits)
    if (e.text == w) return e.unit;
  return Unit::kUnknown;
}

namespace {
[[noreturn]] void bad(std::string_view text) {
  throw error(sqlstate::kInvalidDatetimeFormat, "invalid input syntax for type interval: \"{}\"", text);
}
[[noreturn]] void overflow(std::string_view text) {
  throw error(sqlstate::kIntervalFieldOverflow, "interval field value out of range: \"{}\"", text);
}

/// Sums units with their fractions: of years to months, of months and weeks to days, of days to time.
class Sum {
 public:
  explicit Sum(std::string_view text) : text_(text) {}
  void micros(std::int64_t value, std::int64_t scale, double fraction) {
    std::int64_t v;
    if (__builtin_mul_overflow(value, scale, &v) || __builtin_add_overflow(micros_, v, &micros_))
      overflow(text_);
    fraction_micros(fraction, scale);
  }
  void days(std::int64_t value, std::int64_t scale, double fraction) {
    add(days_, value, scale);
    fraction_days(fraction, static_cast<int>(scale));
  }
  void months(std::int64_t value, double fraction) {
    add(months_, value, 1);
    fraction_days(fraction, 30);
  }
  void years(std::int64_t value, std::int64_t scale, double fraction) {
    add(years_, value, scale);
    add(months_, static_cast<std::int64_t>(std::rint(fraction * static_cast<double>(scale) * 12)), 1);
  }
  [[nodiscard]] Interval result(bool negate) const {
    const Int128 sign = negate ? -1 : 1;
    const Int128 months = (static_cast<Int128>(years_) * 12 + months_) * sign;
    const Int128 days = days_ * sign, micros = micros_ * sign;
    if (months > INT32_MAX || months < INT32_MIN || days > INT32_MAX || days < INT32_MIN ||
        micros > INT64_MAX)
      throw error(sqlstate::kDatetimeFieldOverflow, "interval out of range");
    return {static_cast<std::int64_t>(micros), static_cast<std::int32_t>(days),
            static_cast<std::int32_t>(months)};
  }
  void negate_micros() { micros_ = -micros_; }

 private:
  void add(std::int64_t& to, std::int64_t value, std::int64_t scale) {
    std::int64_t v;
    if (__builtin_mul_overflow(value, scale, &v) || __builtin_add_overflow(to, v, &to) || to > INT32_MAX ||
        to < INT32_MIN)
      overflow(text_);
  }
  void fraction_micros(double fraction, std::int64_t scale) {
    if (fraction == 0) return;
    fraction *= static_cast<double>(scale);
    auto whole = static_cast<std::int64_t>(fraction);
    fraction -= static_cast<double>(whole);
    if (fraction > 0.5) ++whole;
    if (fraction < -0.5) --whole;
    if (__builtin_add_overflow(micros_, whole, &micros_)) overflow(text_);
  }
  void fraction_days(double fraction, int scale) {
    if (fraction == 0) return;
    fraction *= scale;
    if (scale == 1) {
      fraction_micros(fraction, kUsPerDay);
      return;
    }
    const int whole = static_cast<int>(fraction);
    add(days_, whole, 1);
    fraction_micros(fraction - whole, kUsPerDay);
  }
  std::string_view text_;
  std::int64_t micros_ = 0, days_ = 0, months_ = 0, years_ = 0;
};

void add_unit(Sum& sum, Unit unit, std::int64_t value, double fraction) {
  switch (unit) {
    case Unit::kMicrosecond: sum.micros(value, 1, fraction); return;
    case Unit::kMillisecond: sum.micros(value, 1000, fraction); return;
    case Unit::kSecond: sum.micros(value, kUsPerSecond, fraction); return;
    case Unit::kMinute: sum.micros(value, kUsPerMinute, fraction); return;
    case Unit::kHour: sum.micros(value, kUsPerHour, fraction); return;
    case Unit::kDay: sum.days(value, 1, fraction); return;
    case Unit::kWeek: sum.days(value, 7, fraction); return;
    case Unit::kMonth: sum.months(value, fraction); return;
    case Unit::kYear: sum.years(value, 1, fraction); return;
    case Unit::kDecade: sum.years(value, 10, fraction); return;
    case Unit::kCentury: sum.years(value, 100, fraction); return;
    case Unit::kMillennium: sum.years(value, 1000, fraction); return;
    default: return;
  }
}
/// Each unit may come once.
unsigned mask_of(Unit unit, double fraction) {
  const auto bit = [](Unit u) { return 1u << static_cast<unsigned>(u); };
  if (unit == Unit::kSecond && fraction != 0)
    return bit(unit) | bit(Unit::kMillisecond) | bit(Unit::kMicrosecond);
  return bit(unit);
}
constexpr unsigned kClockMask =
    1u << static_cast<unsigned>(Unit::kHour) | 1u << static_cast<unsigned>(Unit::kMinute) |
    1u << static_cast<unsigned>(Unit::kSecond) | 1u << static_cast<unsigned>(Unit::kMillisecond) |
    1u << static_cast<unsigned>(Unit::kMicrosecond);

/// The unit of a bare number, from the modifier's fields: the lowest.
Unit unit_of_range(int range) {
  if (range == kIntervalFullRange || (range & kIntervalSecond) != 0) return Unit::kSecond;
  if ((range & kIntervalMinute) != 0) return Unit::kMinute;
  if ((range & kIntervalHour) != 0) return Unit::kHour;
  if ((range & kIntervalDay) != 0) return Unit::kDay;
  if ((range & kIntervalMonth) != 0) return Unit::kMonth;
  return (range & kIntervalYear) != 0 ? Unit::kYear : Unit::kSecond;
}

class Decoder {
 public:
  Decoder(std::string_view text, int range, const FormatSettings& s)
      : text_(text), range_(range), sum_(text), settings_(s) {}

  /// Nothing when the syntax is not this one.
  bool decode(Interval* out) {
    std::vector<Field> fields;
    if (!scan_datetime(text_, &fields) || fields.empty()) return false;
    if (settings_.interval_style == IntervalStyle::kSqlStandard && fields[0].text[0] == '-') {
      all_negative_ = true;  // one leading sign is for all
      for (std::size_t i = 1; i < fields.size(); ++i)
        if (fields[i].text[0] == '-' || fields[i].text[0] == '+') all_negative_ = false;
    }
    for (std::size_t i = fields.size(); i-- > 0;)  // from the right: a unit stands behind its number
      if (!decode_field(fields[i])) return false;
    if (mask_ == 0) return false;
    *out = sum_.result(ago_);
    return true;
  }

 private:
  bool decode_field(const Field& f) {
    switch (f.kind) {
      case FieldKind::kTime: return clock(f.text, all_negative_);
      case FieldKind::kZone:
        if (f.text.find(':') != std::string::npos)
          return clock(std::string_view{f.text}.substr(1), f.text[0] == '-');
        return number(f.text);
      case FieldKind::kDate:
      case FieldKind::kNumber: return number(f.text);
      case FieldKind::kText:
      case FieldKind::kSpecial: break;
    }
    const Unit unit = find_unit(f.text);
    if (unit == Unit::kIgnore) return true;
    if (unit == Unit::kAgo) {
      ago_ = true;
      return true;
    }
    if (unit < Unit::kMicrosecond || unit > Unit::kMillennium || unit == Unit::kQuarter) return false;
    unit_ = unit;
    return true;
  }
  bool note(unsigned mask) {
    if ((mask & mask_) != 0) return false;
    mask_ |= mask;
    return true;
  }
  bool clock(std::string_view text, bool negative) {
    std::int64_t micros = 0;
    const DecodeFailure failure = decode_clock(text, range_ == (kIntervalMinute | kIntervalSecond), &micros);
    if (failure == DecodeFailure::kFieldOverflow) overflow(text_);
    if (failure != DecodeFailure::kNone) return false;
    sum_.micros(negative ? -micros : micros, 1, 0);
    unit_ = Unit::kDay;
    return note(kClockMask);
  }
  bool number(std::string_view text) {
    if (unit_ == Unit::kUnknown) unit_ = unit_of_range(range_);
    const bool negative = text[0] == '-';
    if (text[0] == '+' || text[0] == '-') text.remove_prefix(1);
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const char* at = text.data();
    if (!text.starts_with('.')) {
      const auto made = std::from_chars(text.data(), end, value);
      if (made.ec == std::errc::result_out_of_range) overflow(text_);
      if (made.ec != std::errc{}) return false;
      at = made.ptr;
    }
    double fraction = 0;
    if (at != end && *at == '-') {  // SQL's years-months
      std::int64_t months = 0;
      const auto made = std::from_chars(at + 1, end, months);
      if (made.ec != std::errc{} || made.ptr != end) return false;
      if (months < 0 || months >= 12) overflow(text_);
      unit_ = Unit::kMonth;
      value = value * 12 + months;
    } else if (at != end) {
      char* stop = nullptr;
      const std::string digits = "0" + std::string{at, end};
      if (*at != '.') return false;
      fraction = std::strtod(digits.c_str(), &stop);
      if (*stop != '\0') return false;
    }
    if (negative || all_negative_) value = -value, fraction = -fraction;
    add_unit(sum_, unit_, value, fraction);
    const unsigned mask = mask_of(unit_, fraction);
    if (unit_ == Unit::kHour) unit_ = Unit::kDay;  // for "1 02" style numbers further left
    return note(mask);
  }

  std::string_view text_;
  int range_;
  Sum sum_;
  const FormatSettings& settings_;
  Unit unit_ = Unit::kUnknown;
  unsigned mask_ = 0;
  bool ago_ = false, all_negative_ = false;
};

/// ISO 8601: P1Y2M3DT4H5M6.7S, P0001-02-03T04:05:06.
bool decode_iso(std::string_view text, Interval* out) {
  if (text.size() < 2 || text[0] != 'P') return false;
  Sum sum{text};
  bool in_time = false, any = false;
  int plain = 0;  // fields of the alternative form
  for (std::size_t i = 1; i < text.size();) {
    if (text[i] == 'T') {
      in_time = any = true;
      plain = 0;
      ++i;
      continue;
    }
    const std::size_t start = i;
    if (text[i] == '-' || text[i] == '+') ++i;
    const std::size_t digits = i;
    while (i < text.size() && (is_digit(text[i]) || text[i] == '.')) ++i;
    if (i == digits) return false;
    std::int64_t whole = 0;
    const bool negative = text[start] == '-';
    const std::string number{text.substr(digits, i - digits)};
    const std::size_t point = number.find('.');
    if (number.find('.', point == std::string::npos ? 0 : point + 1) != std::string::npos &&
        point != std::string::npos)
      return false;
    if (point != 0) {
      const auto made = std::from_chars(number.data(), number.data() + number.size(), whole);
      if (made.ec != std::errc{}) overflow(text);
    }
    double fraction =
        point == std::string::npos ? 0 : std::strtod(("0" + number.substr(point)).c_str(), nullptr);
    if (negative) whole = -whole, fraction = -fraction;
    any = true;
    const char unit = i < text.size() ? text[i] : '\0';
    Unit what = Unit::kUnknown;
    if (in_time)
      what = unit == 'H' ? Unit::kHour : (unit == 'M' ? Unit::kMinute : (unit == 'S' ? Unit::kSecond : what));
    else
      what = unit == 'Y'   ? Unit::kYear
             : unit == 'M' ? Unit::kMonth
             : unit == 'W' ? Unit::kWeek
             : unit == 'D' ? Unit::kDay
                           : what;
    if (what != Unit::kUnknown) {
      ++i;
    } else if (in_time ? (unit == ':' || unit == '\0') : (unit == '-' || unit == '\0' || unit == 'T')) {
      static constexpr Unit kTimes[] = {Unit::kHour, Unit::kMinute, Unit::kSecond};
      static constexpr Unit kDates[] = {Unit::kYear, Unit::kMonth, Unit::kDay};
      if (plain > 2) return false;
      what = in_time ? kTimes[plain] : kDates[plain];
      ++plain;
      if (unit == ':' || unit == '-') ++i;
    } else {
      return false;
    }
    add_unit(sum, what, whole, fraction);
  }
  if (!any) return false;
  *out = sum.result(false);
  return true;
}

// ---- output
// -------------------------------------------------------------------------------------------------------
struct Parts {
  int years, months, days;
  std::int64_t hours;
  int minutes, seconds, micros;
};
Parts parts_of(const Interval& v) {
  const std::int64_t t = v.micros;
  return {v.months / 12,
          v.months % 12,
          v.days,
          t / kUsPerHour,
          static_cast<int>(t / kUsPerMinute % 60),
          static_cast<int>(t / kUsPerSecond % 60),
          static_cast<int>(t % kUsPerSecond)};
}
/// Seconds with their fraction, absolute; two digits when `fill`.
void append_seconds(const Parts& p, bool fill, std::string& out) {
  const int s = std::abs(p.seconds);
  out += fill ? fmt::format("{:02}", s) : std::to_string(s);
  if (p.micros == 0) return;
  std::string digits = fmt::format(".{:06}", std::abs(p.micros));
  while (digits.back() == '0') digits.pop_back();
  out += digits;
}
void append_clock(const Parts& p, bool fill_hours, std::string& out) {
  const std::int64_t h = p.hours < 0 ? -p.hours : p.hours;
  out += fill_hours ? fmt::format("{:02}:{:02}:", h, std::abs(p.minutes))
                    : fmt::format("{}:{:02}:", h, std::abs(p.minutes));
  append_seconds(p, true, out);
}
bool time_negative(const Parts& p) { return p.hours < 0 || p.minutes < 0 || p.seconds < 0 || p.micros < 0; }
bool has_time(const Parts& p) { return p.hours != 0 || p.minutes != 0 || p.seconds != 0 || p.micros != 0; }

void append_postgres(const Parts& p, std::string& out) {
  bool empty = true, before = false;
  const auto part = [&](int v, std::string_view unit) {
    if (v == 0) return;
    fmt::format_to(std::back_inserter(out), "{}{}{} {}{}", empty ? "" : " ", before && v > 0 ? "+" : "", v,
                   unit, v != 1 ? "s" : "");
    before = v < 0;
    empty = false;
  };
  part(p.years, "year");
  part(p.months, "mon");
  part(p.days, "day");
  if (!empty && !has_time(p)) return;
  if (!empty) out += ' ';
  if (time_negative(p)) out += '-';
  else if (before) out += '+';
  append_clock(p, true, out);
}

void append_verbose(const Parts& p, std::string& out) {
  out += '@';
  bool empty = true, before = false;
  const auto part = [&](std::int64_t v, std::string_view unit) {
    if (v == 0) return;
    if (empty) {
      before = v < 0;
      v = v < 0 ? -v : v;
    } else if (before) {
      v = -v;
    }
    fmt::format_to(std::back_inserter(out), " {} {}{}", v, unit, v == 1 ? "" : "s");
    empty = false;
  };
  part(p.years, "year");
  part(p.months, "mon");
  part(p.days, "day");
  part(p.hours, "hour");
  part(p.minutes, "min");
  if (p.seconds != 0 || p.micros != 0) {
    out += ' ';
    if (p.seconds < 0 || p.micros < 0) {
      if (empty) before = true;
      else if (!before) out += '-';
    } else if (before) {
      out += '-';
    }
    append_seconds(p, false, out);
    out += std::abs(p.seconds) != 1 || p.micros != 0 ? " secs" : " sec";
    empty = false;
  }
  if (empty) out += " 0";
  if (before) out += " ago";
}

void append_iso(const Interval& v, const Parts& p, std::string& out) {
  if (v == Interval{}) {
    out += "PT0S";
    return;
  }
  out += 'P';
  const auto part = [&](std::int64_t n, char unit) {
    if (n != 0) fmt::format_to(std::back_inserter(out), "{}{}", n, unit);
  };
  part(p.years, 'Y');
  part(p.months, 'M');
  part(p.days, 'D');
  if (!has_time(p)) return;
  out += 'T';
  part(p.hours, 'H');
  part(p.minutes, 'M');
  if (p.seconds == 0 && p.micros == 0) return;
  if (p.seconds < 0 || p.micros < 0) out += '-';
  append_seconds(p, false, out);
  out += 'S';
}

void append_sql(const Interval& v, Parts p, std::string& out) {
  const bool negative =
      v.months < 0 || v.days < 0 || v.micros<0, positive = v.months> 0 || v.days > 0 || v.micros > 0;
  const bool year_month = v.months != 0, day_time = v.days != 0 || v.micros != 0;
  if (!negative && !positive) {
    out += '0';
    return;
  }
  if ((negative && positive) || (year_month && day_time)) {  // every part with its sign
    fmt::format_to(std::back_inserter(out), "{}{}-{} {}{} {}", v.months < 0 ? '-' : '+', std::abs(p.years),
                   std::abs(p.months), v.days < 0 ? '-' : '+', std::abs(p.days), v.micros < 0 ? '-' : '+');
    append_clock(p, false, out);
    return;
  }
  if (negative) out += '-';
  if (year_month) {
    fmt::format_to(std::back_inserter(out), "{}-{}", std::abs(p.years), std::abs(p.months));
    return;
  }
  if (v.days != 0) fmt::format_to(std::back_inserter(out), "{} ", std::abs(std::int64_t{p.days}));
  append_clock(p, false, out);
}
}  // namespace

Interval parse_interval(std::string_view text, std::int32_t typmod, const FormatSettings& settings) {
  const int range = typmod < 0 ? kIntervalFullRange : (typmod >> 16) & 0x7FFF;
  Interval out;
  if (!Decoder{text, range, settings}.decode(&out) && !decode_iso(text, &out)) bad(text);
  return apply_interval_typmod(out, typmod);
}

void append_interval(const Interval& v, const FormatSettings& settings, std::string& out) {
  const Parts p = parts_of(v);
  switch (settings.interval_style) {
    case IntervalStyle::kPostgres: append_postgres(p, out); return;
    case IntervalStyle::kPostgresVerbose: append_verbose(p, out); return;
    case IntervalStyle::kSqlStandard: append_sql(v, p, out); return;
    case IntervalStyle::kIso8601: append_iso(v, p, out); return;
  }
}

}  // namespace rustbd::types
