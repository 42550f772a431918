// to_char, to_date, to_timestamp, to_number: template patterns of PostgreSQL 15.
#include <algorithm>
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/functions/kernel_table.h"
#include "rustbd/functions/text_tools.h"
#include "rustbd/types/cast.h"
#include "rustbd/types/datetime.h"

namespace rustbd::functions {

namespace {

using types::CivilTime;
using types::Numeric;
using Args = const Datum*;

constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kRoman[] = {"I",   "II",   "III", "IV", "V",  "VI",
                                       "VII", "VIII", "IX",  "X",  "XI", "XII"};

/// Longest first, so that the first that fits is right.
constexpr std::string_view kDateKeywords[] = {
    "SSSSS", "Y,YYY", "MONTH", "Month", "month", "HH24", "HH12", "SSSS", "YYYY", "IYYY", "A.D.", "B.C.",
    "a.d.",  "b.c.",  "A.M.",  "P.M.",  "a.m.",  "p.m.", "IDDD", "DAY",  "Day",  "day",  "DDD",  "MON",
    "Mon",   "mon",   "YYY",   "IYY",   "TZH",   "TZM",  "FF1",  "FF2",  "FF3",  "FF4",  "FF5",  "FF6",
    "HH",    "MI",    "SS",    "MS",    "US",    "AM",   "PM",   "am",   "pm",   "AD",   "BC",   "ad",
    "bc",    "MM",    "DY",    "Dy",    "dy",    "DD",   "ID",   "IW",   "WW",   "YY",   "IY",   "CC",
    "RM",    "rm",    "TZ",    "tz",    "OF",    "D",    "W",    "Y",    "I",    "J",    "Q"};

struct Item {
  std::string_view keyword;  // empty: literal
  std::string literal;
  bool fill = false;         // FM
  std::string_view ordinal;  // TH or th
};
std::string upper_ascii(std::string_view s) { return to_upper(s); }

std::vector<Item> parse_date_format(std::string_view format) {
  std::vector<Item> items;
  bool fill = false;
  for (std::size_t at = 0; at < format.size();) {
    const std::string_view rest = format.substr(at);
    if (rest.starts_with("FM") || rest.starts_with("fm")) {
      fill = true;
      at += 2;
      continue;
    }
    if (rest.starts_with("FX") || rest.starts_with("fx") || rest.starts_with("TM") ||
        rest.starts_with("tm")) {
      at += 2;
      continue;
    }
    if (rest[0] == '"') {
      Item item;
      for (++at; at < format.size() && format[at] != '"'; ++at) {
        if (format[at] == '\\' && at + 1 < format.size()) ++at;
        item.literal += format[at];
      }
      ++at;
      items.push_back(std::move(item));
      continue;
    }
    std::string_view found;
    for (const std::string_view k : kDateKeywords)
      if (rest.starts_with(k)) {
        found = k;
        break;
      }
    if (found.empty()) {  // lower-case spellings of numeric fields mean the same
      const std::string folded = upper_ascii(rest.substr(0, 5));
      for (const std::string_view k : kDateKeywords)
        if (k == upper_ascii(k) && std::string_view{folded}.starts_with(k)) {
          found = k;
          break;
        }
    }
    if (found.empty()) {
      items.push_back({{}, std::string{rest.substr(0, char_bytes(rest[0]))}, false, {}});
      at += char_bytes(rest[0]);
      continue;
    }
    Item item{found, {}, fill, {}};
    fill = false;
    at += found.size();
    if (format.substr(at).starts_with("TH")) item.ordinal = "TH";
    if (format.substr(at).starts_with("th")) item.ordinal = "th";
    at += item.ordinal.size();
    items.push_back(std::move(item));
  }
  return items;
}

std::string_view ordinal_of(std::int64_t n, bool upper) {
  const std::int64_t tens = std::abs(n) % 100, ones = std::abs(n) % 10;
  const int which = tens >= 11 && tens <= 13 ? 0 : (ones <= 3 ? static_cast<int>(ones) : 0);
  static constexpr std::string_view lower[] = {"th", "st", "nd", "rd"}, capital[] = {"TH", "ST", "ND", "RD"};
  return upper ? capital[which] : lower[which];
}

struct Moment {
  CivilTime civil;
  bool is_interval = false;
  std::int64_t hours = 0;           // of intervals: may pass 24
  std::int32_t offset_seconds = 0;  // east
  std::string_view zone;
  int julian = 0, day_of_year = 0;
};

class DateWriter {
 public:
  explicit DateWriter(const Moment& m) : m_(m) {}
  std::string run(std::string_view format) {
    for (const Item& item : parse_date_format(format)) {
      if (item.keyword.empty()) out_ += item.literal;
      else field(item);
    }
    return std::move(out_);
  }

 private:
  void number(const Item& item, std::int64_t value, int width) {
    std::string digits =
        item.fill ? fmt::format("{}", value) : fmt::format("{:0{}}", value, value < 0 ? width + 1 : width);
    out_ += digits;
    if (!item.ordinal.empty()) out_ += ordinal_of(value, item.ordinal == "TH");
  }
  void word(const Item& item, std::string_view text, std::size_t width) {
    // The spelling of the keyword says the case: DAY, Day, day.
    const bool upper = item.keyword[1] >= 'A' && item.keyword[1] <= 'Z', lower = item.keyword[0] >= 'a';
    std::string w = upper ? to_upper(text) : (lower ? to_lower(text) : std::string{text});
    if (!item.fill && w.size() < width) w.append(width - w.size(), ' ');
    out_ += w;
  }
  [[nodiscard]] std::int64_t year() const {
    return m_.is_interval ? m_.civil.year : (m_.civil.year <= 0 ? 1 - m_.civil.year : m_.civil.year);
  }
  void field(const Item& item) {
    const CivilTime& c = m_.civil;
    const std::string_view k = item.keyword;
    const std::int64_t hour = m_.is_interval ? m_.hours : c.hour;
    const std::int64_t half = hour % 12 == 0 ? 12 : hour % 12;
    const int weekday = types::day_of_week(m_.julian);
    if (k == "YYYY") return number(item, year(), 4);
    if (k == "YYY") return number(item, year() % 1000, 3);
    if (k == "YY") return number(item, year() % 100, 2);
    if (k == "Y") return number(item, year() % 10, 1);
    if (k == "Y,YYY") {
      out_ += fmt::format("{},{:03}", year() / 1000, year() % 1000);
      return;
    }
    if (k == "IYYY") return number(item, iso_year(), 4);
    if (k == "IYY") return number(item, iso_year() % 1000, 3);
    if (k == "IY") return number(item, iso_year() % 100, 2);
    if (k == "I") return number(item, iso_year() % 10, 1);
    if (k == "MM") return number(item, c.month, 2);
    if (k == "DD") return number(item, c.day, 2);
    if (k == "DDD")
      return number(
          item,
          m_.is_interval ? static_cast<std::int64_t>(c.year) * 365 + c.month * 30 + c.day : m_.day_of_year,
          3);
    if (k == "IDDD")
      return number(item, (types::iso_week_of(c.year, c.month, c.day) - 1) * 7 + (weekday == 0 ? 7 : weekday),
                    3);
    if (k == "D") return number(item, weekday + 1, 1);
    if (k == "ID") return number(item, weekday == 0 ? 7 : weekday, 1);
    if (k == "HH24") return number(item, hour, 2);
    if (k == "HH12" || k == "HH") return number(item, half, 2);
    if (k == "MI") return number(item, c.minute, 2);
    if (k == "SS") return number(item, c.second, 2);
    if (k == "MS" || k == "FF3") return number(item, c.micros / 1000, 3);
    if (k == "US" || k == "FF6") return number(item, c.micros, 6);
    if (k.starts_with("FF")) {
      const int digits = k[2] - '0';
      return number(item, c.micros / static_cast<std::int64_t>(std::pow(10, 6 - digits)), digits);
    }
    if (k == "SSSS" || k == "SSSSS") {
      out_ += fmt::format("{}", hour * 3600 + c.minute * 60 + c.second);
      return;
    }
    if (k == "Q") return m_.is_interval && c.month == 0 ? void() : number(item, (c.month - 1) / 3 + 1, 1);
    if (k == "WW") return number(item, (m_.day_of_year - 1) / 7 + 1, 2);
    if (k == "W") return number(item, (c.day - 1) / 7 + 1, 1);
    if (k == "IW") return number(item, types::iso_week_of(c.year, c.month, c.day), 2);
    if (k == "J") return number(item, m_.julian, 1);
    if (k == "CC") return century(item);
    names(item, k, hour, weekday);
  }
  [[nodiscard]] std::int64_t iso_year() const {
    if (m_.is_interval) return m_.civil.year;
    const int y = types::iso_year_of(m_.civil.year, m_.civil.month, m_.civil.day);
    return y <= 0 ? 1 - y : y;
  }
  void century(const Item& item) {
    const int y = m_.civil.year;
    const std::int64_t century = m_.is_interval ? y / 100 : (y > 0 ? (y - 1) / 100 + 1 : y / 100 - 1);
    number(item, century, 2);
  }
  void names(const Item& item, std::string_view k, std::int64_t hour, int weekday) {
    const CivilTime& c = m_.civil;
    const std::string lower = to_lower(k);
    if (m_.is_interval && lower != "am" && lower != "pm" && lower != "a.m." && lower != "p.m." &&
        lower != "rm")
      throw error(sqlstate::kInvalidDatetimeFormat, "invalid format specification for an interval value")
          .with_hint("Intervals are not tied to specific calendar dates.");
    if (lower == "month") return c.month == 0 ? void() : word(item, kMonths[c.month - 1], 9);
    if (lower == "mon") return c.month == 0 ? void() : word(item, kMonths[c.month - 1].substr(0, 3), 0);
    if (lower == "day") return word(item, kDays[weekday], 9);
    if (lower == "dy") return word(item, kDays[weekday].substr(0, 3), 0);
    if (lower == "am" || lower == "pm") {
      const std::string text = hour % 24 >= 12 ? "PM" : "AM";
      out_ += k[0] >= 'a' ? to_lower(text) : text;
      return;
    }
    if (lower == "a.m." || lower == "p.m.") {
      const std::string text = hour % 24 >= 12 ? "P.M." : "A.M.";
      out_ += k[0] >= 'a' ? to_lower(text) : text;
      return;
    }
    if (lower == "ad" || lower == "bc") {
      const std::string text = c.year <= 0 ? "BC" : "AD";
      out_ += k[0] >= 'a' ? to_lower(text) : text;
      return;
    }
    if (lower == "a.d." || lower == "b.c.") {
      const std::string text = c.year <= 0 ? "B.C." : "A.D.";
      out_ += k[0] >= 'a' ? to_lower(text) : text;
      return;
    }
    if (lower == "rm") {
      if (c.month == 0) return;
      std::string r{kRoman[c.month - 1]};
      if (!item.fill) r.append(4 - r.size(), ' ');
      out_ += k[0] >= 'a' ? to_lower(r) : r;
      return;
    }
    const std::int32_t off = m_.offset_seconds, hours = std::abs(off) / 3600,
                       minutes = std::abs(off) / 60 % 60;
    if (k == "TZ") out_ += to_upper(m_.zone);
    else if (k == "tz") out_ += to_lower(m_.zone);
    else if (k == "TZH") out_ += fmt::format("{}{:02}", off < 0 ? '-' : '+', hours);
    else if (k == "TZM") out_ += fmt::format("{:02}", minutes);
    else if (k == "OF")
      out_ += fmt::format("{}{:02}{}", off < 0 ? '-' : '+', hours,
                          minutes != 0 ? fmt::format(":{:02}", minutes) : "");
  }
  const Moment& m_;
  std::string out_;
};

Moment moment_of(std::int64_t local) {
  Moment m;
  m.civil = types::civil_of_timestamp(local);
  m.julian = types::julian_of(m.civil.year, m.civil.month, m.civil.day);
  m.day_of_year = m.julian - types::julian_of(m.civil.year, 1, 1) + 1;
  return m;
}
void timestamp_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = !types::is_finite_timestamp(a[0].i64) || a[1].str.len == 0;
  if (!*is_null) out = text_result(c, DateWriter{moment_of(a[0].i64)}.run(text_of(a[1])));
}
void timestamptz_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = !types::is_finite_timestamp(a[0].i64) || a[1].str.len == 0;
  if (*is_null) return;
  const types::TimeZone& zone = types::zone_of(c.statement->io().settings);
  Moment m = moment_of(types::timestamptz_to_timestamp(a[0].i64, zone));
  const auto offset = zone.at(a[0].i64);
  m.offset_seconds = offset.seconds_east;
  m.zone = offset.abbreviation;
  out = text_result(c, DateWriter{m}.run(text_of(a[1])));
}
void interval_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  *is_null = a[1].str.len == 0;
  if (*is_null) return;
  const types::Interval& i = a[0].interval;
  Moment m;
  m.is_interval = true;
  m.civil.year = i.months / 12;
  m.civil.month = i.months % 12;
  m.civil.day = i.days;
  m.hours = i.micros / types::kUsPerHour;
  m.civil.minute = static_cast<int>(i.micros / types::kUsPerMinute % 60);
  m.civil.second = static_cast<int>(i.micros / types::kUsPerSecond % 60);
  m.civil.micros = static_cast<int>(i.micros % types::kUsPerSecond);
  out = text_result(c, DateWriter{m}.run(text_of(a[1])));
}

// ---- to_date, to_timestamp
// --------------------------------------------------------------------------------------
class DateReader {
 public:
  DateReader(std::string_view text, std::string_view format)
      : text_(text), items_(parse_date_format(format)) {}
  std::int64_t run() {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (items_[i].keyword.empty()) separator(items_[i].literal);
      else field(items_[i], i + 1 < items_.size() && !items_[i + 1].keyword.empty());
    }
    return finish();
  }

 private:
  [[noreturn]] void bad(std::string_view field, std::string_view value) const {
    throw error(sqlstate::kInvalidDatetimeFormat, "invalid value \"{}\" for \"{}\"", value, field)
        .with_detail("Value must be an integer.");
  }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  void separator(const std::string& literal) {
    const bool letter = std::isalnum(static_cast<unsigned char>(literal[0])) != 0;
    if (letter) {
      at_ = std::min(at_ + literal.size(), text_.size());
      return;
    }
    blanks();
    if (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_])) == 0 &&
        text_[at_] != '-' && text_[at_] != '+')
      ++at_;
    else if (at_ < text_.size() && text_[at_] == literal[0]) ++at_;
    blanks();
  }
  std::int64_t number(const Item& item, std::size_t width, bool adjacent) {
    blanks();
    const std::size_t start = at_;
    bool negative = false;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) negative = text_[at_++] == '-';
    std::int64_t value = 0;
    std::size_t digits = 0;
    const std::size_t limit = adjacent && !item.fill ? width : 18;
    while (at_ < text_.size() && digits < limit && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      ++digits;
    }
    if (digits == 0) {
      if (at_ >= text_.size()) return 0;
      bad(item.keyword, text_.substr(start, width));
    }
    last_digits_ = digits;
    if (!item.ordinal.empty()) at_ = std::min(at_ + 2, text_.size());
    return negative ? -value : value;
  }
  template <std::size_t N>
  int word(const std::string_view (&words)[N], bool whole, std::string_view field) {
    blanks();
    const std::string rest = to_lower(text_.substr(at_, 12));
    for (std::size_t i = 0; i < N; ++i) {
      const std::string w = to_lower(whole ? words[i] : words[i].substr(0, 3));
      if (rest.starts_with(w)) {
        at_ += w.size();
        return static_cast<int>(i);
      }
    }
    throw error(sqlstate::kInvalidDatetimeFormat, "invalid value \"{}\" for \"{}\"", text_.substr(at_, 9),
                field)
        .with_detail("The given value did not match any of the allowed values for this field.");
  }
  /// Fields of fewer than four digits: the year nearest to 2020.
  static std::int64_t full_year(std::int64_t year, std::size_t digits) {
    if (digits >= 4) return year;
    if (year < 70) return year + 2000;
    if (year < 100) return year + 1900;
    if (year < 520) return year + 2000;
    if (year < 1000) return year + 1000;
    return year;
  }
  void field(const Item& item, bool adjacent) {
    const std::string k = to_upper(item.keyword);
    if (k == "YYYY" || k == "IYYY") {
      year_ = number(item, 4, adjacent);
      if (last_digits_ < 4 && !adjacent) year_ = last_digits_ == 2 ? full_year(year_, 2) : year_;
    } else if (k == "YYY") year_ = full_year(number(item, 3, adjacent), 3);
    else if (k == "YY" || k == "IY") year_ = full_year(number(item, 2, adjacent), 2);
    else if (k == "Y") year_ = full_year(number(item, 1, adjacent), 1);
    else if (k == "MM") month_ = number(item, 2, adjacent);
    else if (k == "DD") day_ = number(item, 2, adjacent);
    else if (k == "DDD") day_of_year_ = number(item, 3, adjacent);
    else if (k == "J") julian_ = number(item, 18, false);
    else if (k == "HH24") hour_ = number(item, 2, adjacent);
    else if (k == "HH12" || k == "HH") {
      hour_ = number(item, 2, adjacent);
      twelve_ = true;
    } else if (k == "MI") minute_ = number(item, 2, adjacent);
    else if (k == "SS") second_ = number(item, 2, adjacent);
    else if (k == "SSSS" || k == "SSSSS") {
      const auto s = number(item, 5, adjacent);
      hour_ = s / 3600;
      minute_ = s / 60 % 60;
      second_ = s % 60;
    } else if (k == "MS" || k == "FF3") fraction(item, 3);
    else if (k == "US" || k == "FF6") fraction(item, 6);
    else if (k.starts_with("FF")) fraction(item, static_cast<std::size_t>(k[2] - '0'));
    else if (k == "MONTH") month_ = word(kMonths, true, item.keyword) + 1;
    else if (k == "MON") month_ = word(kMonths, false, item.keyword) + 1;
    else if (k == "DAY") word(kDays, true, item.keyword);
    else if (k == "DY") word(kDays, false, item.keyword);
    else if (k == "AM" || k == "PM" || k == "A.M." || k == "P.M.") half_day(k.size());
    else if (k == "AD" || k == "BC") {
      blanks();
      bc_ = to_upper(text_.substr(at_, 2)) == "BC";
      at_ = std::min(at_ + 2, text_.size());
    } else if (k == "TZH") zone_ += number(item, 2, adjacent) * 3600;
    else if (k == "TZM") zone_ += number(item, 2, adjacent) * (zone_ < 0 ? -60 : 60);
    else if (k == "Q" || k == "D" || k == "ID" || k == "W" || k == "WW" || k == "IW" || k == "CC")
      number(item, 2, adjacent);
    else throw not_supported("formatting field \"{}\" in to_date and to_timestamp", item.keyword);
  }
  void fraction(const Item& item, std::size_t width) {
    std::int64_t v = number(item, width, true);
    for (std::size_t d = last_digits_; d < 6; ++d) v *= 10;
    micros_ = v;
  }
  void half_day(std::size_t width) {
    blanks();
    const std::string w = to_upper(text_.substr(at_, width));
    if (w.empty() || (w[0] != 'A' && w[0] != 'P')) bad("AM", text_.substr(at_, width));
    pm_ = w[0] == 'P';
    twelve_ = has_half_ = true;
    at_ = std::min(at_ + width, text_.size());
  }
  [[noreturn]] void out_of_range() const {
    throw error(sqlstate::kDatetimeFieldOverflow, "date/time field value out of range: \"{}\"", text_);
  }
  std::int64_t finish() {
    if (twelve_) {
      if (hour_ < 0 || hour_ > 12 || (hour_ == 0 && has_half_))
        throw error(sqlstate::kInvalidDatetimeFormat, "hour \"{}\" is invalid for the 12-hour clock", hour_)
            .with_hint("Use the 24-hour clock, or give an hour between 1 and 12.");
      if (has_half_) hour_ = hour_ % 12 + (pm_ ? 12 : 0);
      else hour_ %= 12;
    }
    int year = static_cast<int>(year_);
    if (bc_) year = 1 - year;
    else if (year < 0) ++year;
    if (!bc_ && year_ == 0) year = julian_ >= 0 || !has_year() ? 0 : year;
    CivilTime c;
    if (julian_ >= 0) {
      types::civil_of_julian(static_cast<int>(julian_), &c.year, &c.month, &c.day);
    } else {
      c.year = year;
      c.month = static_cast<int>(month_);
      c.day = static_cast<int>(day_);
      if (day_of_year_ > 0)
        types::civil_of_julian(types::julian_of(year, 1, 1) + static_cast<int>(day_of_year_) - 1, &c.year,
                               &c.month, &c.day);
    }
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > types::days_in_month(c.year, c.month))
      out_of_range();
    if (hour_ > 24 || minute_ > 59 || second_ > 60 || hour_ < 0 || minute_ < 0 || second_ < 0) out_of_range();
    c.hour = static_cast<int>(hour_);
    c.minute = static_cast<int>(minute_);
    c.second = static_cast<int>(second_);
    c.micros = static_cast<int>(micros_);
    return types::timestamp_of_civil(c);
  }
  [[nodiscard]] bool has_year() const { return year_ != 0; }

 public:
  [[nodiscard]] bool has_zone() const {
    return std::ranges::any_of(items_,
                               [](const Item& i) { return i.keyword == "TZH" || i.keyword == "TZM"; });
  }
  [[nodiscard]] std::int64_t zone_seconds() const { return zone_; }

 private:
  std::string_view text_;
  std::vector<Item> items_;
  std::size_t at_ = 0, last_digits_ = 0;
  std::int64_t year_ = 0, month_ = 1, day_ = 1, day_of_year_ = 0, julian_ = -1, hour_ = 0, minute_ = 0,
               second_ = 0, micros_ = 0, zone_ = 0;
  bool twelve_ = false, has_half_ = false, pm_ = false, bc_ = false;
};
void to_timestamp(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  DateReader reader{text_of(a[0]), text_of(a[1])};
  const std::int64_t local = reader.run();
  out = Datum::of(reader.has_zone()
                      ? local - reader.zone_seconds() * types::kUsPerSecond
                      : types::timestamp_to_timestamptz(local, types::zone_of(c.statement->io().settings)));
}
void to_date(EvalContext&, Args a, const bool*, Datum& out, bool*) {
  out = Datum::of(types::timestamp_to_date(DateReader{text_of(a[0]), text_of(a[1])}.run()));
}

// ---- numbers
// ----------------------------------------------------------------------------------------------------
struct NumberFormat {
  std::vector<std::string> items;  // "9", "0", ".", "D", ",", "G", or literal text after '\1'
  int whole = 0, fraction = 0, first_zero = -1;
  bool fill = false, sign_s_front = false, sign_s_back = false, mi = false, pl = false, sg = false,
       pr = false, roman = false, exponent = false, scaled = false;
  int shift = 0;
  std::string_view ordinal;
};
NumberFormat parse_number_format(std::string_view f) {
  NumberFormat n;
  bool point = false;
  for (std::size_t at = 0; at < f.size();) {
    const std::string next = to_upper(f.substr(at, 4));
    const std::string_view u{next};
    if (u.starts_with("FM")) {
      n.fill = true;
      at += 2;
    } else if (u.starts_with("EEEE")) {
      n.exponent = true;
      at += 4;
    } else if (u.starts_with("MI")) {
      n.mi = true;
      n.items.emplace_back("MI");
      at += 2;
    } else if (u.starts_with("PL")) {
      n.pl = true;
      n.items.emplace_back("PL");
      at += 2;
    } else if (u.starts_with("SG")) {
      n.sg = true;
      n.items.emplace_back("SG");
      at += 2;
    } else if (u.starts_with("PR")) {
      n.pr = true;
      at += 2;
    } else if (u.starts_with("RN")) {
      n.roman = true;
      at += 2;
    } else if (u.starts_with("TH")) {
      n.ordinal = f[at] == 'T' ? "TH" : "th";
      at += 2;
    } else if (f[at] == '"') {
      std::string literal{'\1'};
      for (++at; at < f.size() && f[at] != '"'; ++at) literal += f[at];
      ++at;
      n.items.push_back(literal);
    } else if (u[0] == 'S') {
      (n.whole + n.fraction == 0 ? n.sign_s_front : n.sign_s_back) = true;
      ++at;
    } else if (u[0] == 'V') {
      n.scaled = true;
      ++at;
    } else if (f[at] == '9' || f[at] == '0') {
      if (n.scaled) ++n.shift;
      if (!point) {
        if (f[at] == '0' && n.first_zero < 0) n.first_zero = n.whole;
        ++n.whole;
      } else {
        ++n.fraction;
      }
      n.items.emplace_back(1, f[at]);
      ++at;
    } else if (f[at] == '.' || u[0] == 'D') {
      if (point) throw error(sqlstate::kSyntaxError, "multiple decimal points");
      point = true;
      n.items.emplace_back(".");
      ++at;
    } else if (f[at] == ',' || u[0] == 'G') {
      n.items.emplace_back(",");
      ++at;
    } else if (u[0] == 'L') {
      ++at;
    } else {
      n.items.push_back(std::string{'\1'} + std::string{f.substr(at, char_bytes(f[at]))});
      at += char_bytes(f[at]);
    }
  }
  return n;
}
std::string roman(std::int64_t v, bool fill) {
  if (v < 1 || v > 3999) return std::string(15, '#');
  static constexpr std::pair<int, std::string_view> parts[] = {
      {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
      {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"}};
  std::string out;
  for (const auto& [value, text] : parts)
    while (v >= value) {
      out += text;
      v -= value;
    }
  return fill ? out : std::string(15 - std::min<std::size_t>(out.size(), 15), ' ') + out;
}
/// Digits against the template; sign handling: S, MI, PL, SG, PR or a leading blank or minus.
std::string write_number(const NumberFormat& f, const Numeric& value, Arena& arena) {
  Numeric scaled = value;
  for (int i = 0; i < f.shift; ++i) scaled = types::multiply(scaled, types::numeric_from_int64(10), arena);
  const bool negative = types::sign_of(scaled) < 0;
  std::string digits = types::to_string(types::round(types::absolute(scaled), f.fraction, arena));
  if (!types::is_finite(value))
    digits = std::string(static_cast<std::size_t>(f.whole), '#') +
             (f.fraction > 0 ? "." + std::string(static_cast<std::size_t>(f.fraction), '#') : "");
  const auto dot = digits.find('.');
  std::string whole = digits.substr(0, dot),
              fraction = dot == std::string::npos ? "" : digits.substr(dot + 1);
  const bool overflow = static_cast<int>(whole.size()) > f.whole && !(whole == "0" && f.whole == 0);
  if (overflow) {
    whole.assign(static_cast<std::size_t>(f.whole), '#');
    fraction.assign(fraction.size(), '#');
  }
  if (whole == "0" && f.first_zero < 0 && f.fraction > 0) whole.clear();
  const int leading = f.whole - static_cast<int>(whole.size());
  if (f.fill) {  // FM: trailing zeros of 9-positions go
    std::size_t keep = 0, i = 0;
    bool after = false;
    for (const std::string& item : f.items) {
      if (item == ".") after = true;
      else if (after && (item == "9" || item == "0")) {
        ++i;
        if (item == "0" || (i <= fraction.size() && fraction[i - 1] != '0')) keep = i;
      }
    }
    fraction.resize(std::min(keep, fraction.size()));
  }
  std::string out;
  bool sign_written = f.mi || f.pl || f.sg || f.sign_s_back;
  const bool bare = sign_written;
  const auto write_sign = [&] {
    if (sign_written) return;
    sign_written = true;
    if (f.sign_s_front) out += negative ? '-' : '+';
    else if (f.pr) {
      if (negative) out += '<';
      else if (!f.fill) out += ' ';
    } else if (negative) out += '-';
    else if (!f.fill) out += ' ';
  };
  int position = 0;
  std::size_t fraction_at = 0;
  bool after = false, started = false;
  std::string padding;
  for (const std::string& item : f.items) {
    if (item[0] == '\1') {
      out += item.substr(1);
      continue;
    }
    if (item == "MI") {
      out += negative ? "-" : (f.fill ? "" : " ");
      continue;
    }
    if (item == "PL") {
      out += negative ? (f.fill ? "" : " ") : "+";
      continue;
    }
    if (item == "SG") {
      out += negative ? '-' : '+';
      continue;
    }
    if (item == ".") {
      if (!started) {
        if (!bare) write_sign();
        started = true;
      }
      after = true;
      out += '.';
      continue;
    }
    if (item == ",") {
      if (started) out += ',';
      else if (!f.fill) out += ' ';
      continue;
    }
    if (after) {
      if (fraction_at < fraction.size()) out += fraction[fraction_at++];
      continue;
    }
    const bool digit = position >= leading;
    const bool zero = !digit && f.first_zero >= 0 && position >= f.first_zero;
    if (digit || zero) {
      if (!started) {
        if (!bare) write_sign();
        started = true;
      }
      out += digit ? whole[static_cast<std::size_t>(position - leading)] : '0';
    } else if (!f.fill) {
      out += ' ';
    }
    ++position;
  }
  if (!sign_written) write_sign();
  if (f.sign_s_back) out += negative ? '-' : '+';
  if (f.pr) {
    if (negative) out += '>';
    else if (!f.fill) out += ' ';
  }
  if (!f.ordinal.empty() && !negative)
    out += ordinal_of(
        whole.empty() ? 0
                      : whole.back() - '0' + (whole.size() > 1 ? (whole[whole.size() - 2] - '0') * 10 : 0),
        f.ordinal == "TH");
  return out;
}
std::string write_exponent(const NumberFormat& f, double value) {
  std::string text = fmt::format("{:+.{}e}", value, f.fraction);
  if (text[0] == '+' && !f.sign_s_front) text[0] = ' ';
  return f.fill && text[0] == ' ' ? text.substr(1) : text;
}
Datum number_to_char(EvalContext& c, const Numeric& value, std::string_view format) {
  const NumberFormat f = parse_number_format(format);
  if (f.roman) {
    const Numeric rounded = types::round(value, 0, *c.arena);
    return text_result(c, roman(types::is_finite(rounded) ? types::numeric_to_int32(rounded) : 0, f.fill));
  }
  if (f.exponent) return text_result(c, write_exponent(f, types::numeric_to_double(value)));
  return text_result(c, write_number(f, value, *c.arena));
}
void numeric_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = number_to_char(c, a[0].numeric, text_of(a[1]));
}
void int4_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = number_to_char(c, types::numeric_from_int64(a[0].i32), text_of(a[1]));
}
void int8_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = number_to_char(c, types::numeric_from_int64(a[0].i64), text_of(a[1]));
}
void float4_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = number_to_char(c, types::numeric_from_float(a[0].f32, *c.arena), text_of(a[1]));
}
void float8_to_char(EvalContext& c, Args a, const bool*, Datum& out, bool*) {
  out = number_to_char(c, types::numeric_from_double(a[0].f64, *c.arena), text_of(a[1]));
}
/// Digits, sign and point of the text; what else the template allows is left out.
void to_number(EvalContext& c, Args a, const bool*, Datum& out, bool* is_null) {
  if (a[1].str.len == 0) {
    *is_null = true;
    return;
  }
  const NumberFormat f = parse_number_format(text_of(a[1]));
  std::string digits;
  bool negative = false, point = false;
  int whole = 0, fraction = 0;
  const bool groups = std::ranges::find(f.items, ",") != f.items.end();
  for (const char ch : text_of(a[0])) {
    if (ch == '-' || ch == '<') negative = true;
    else if (ch == '.' && f.fraction > 0 && !point) {
      point = true;
      digits += '.';
    } else if (ch == '.' && f.fraction == 0) break;
    else if (ch == ',' && !groups) {  // takes the place of a digit
      if (++whole >= f.whole) break;
    } else if (ch >= '0' && ch <= '9') {
      if (point ? fraction >= f.fraction : whole >= f.whole) break;
      ++(point ? fraction : whole);
      digits += ch;
    }
  }
  if (whole + fraction == 0)
    throw error(sqlstate::kInvalidTextRepresentation, "invalid input syntax for type numeric: \"{}\"",
                text_of(a[0]));
  out = Datum::of(types::parse_numeric((negative ? "-" : "") + digits, *c.arena));
}

}  // namespace

void register_format_kernels(KernelTable& t) {
  t.scalar("timestamp_to_char", &timestamp_to_char);
  t.scalar("timestamptz_to_char", &timestamptz_to_char);
  t.scalar("interval_to_char", &interval_to_char);
  t.scalar("to_timestamp", &to_timestamp);
  t.scalar("to_date", &to_date);
  t.scalar("numeric_to_char", &numeric_to_char);
  t.scalar("int4_to_char", &int4_to_char);
  t.scalar("int8_to_char", &int8_to_char);
  t.scalar("float4_to_char", &float4_to_char);
  t.scalar("float8_to_char", &float8_to_char);
  t.scalar("numeric_to_number", &to_number);
}

}  // namespace rustbd::functions
