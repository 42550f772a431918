// Text to dates and times: PostgreSQL's tolerant rules (its manual, appendix B.1): text is cut into fields;
// what a field is depends on what has been found so far.
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/datetime_scan.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

// ---- fields
// -------------------------------------------------------------------------------------------------------
bool scan_datetime(std::string_view text, std::vector<Field>* fields) {
  std::size_t i = 0;
  const auto at = [&](std::size_t k) { return k < text.size() ? text[k] : '\0'; };
  while (i < text.size()) {
    if (is_blank(text[i])) {
      ++i;
      continue;
    }
    if (fields->size() >= 25) return false;
    const std::size_t start = i;
    FieldKind kind = FieldKind::kNumber;
    if (is_digit(at(i))) {
      while (is_digit(at(i))) ++i;
      if (at(i) == ':') {
        kind = FieldKind::kTime;
        while (is_digit(at(i)) || at(i) == ':' || at(i) == '.') ++i;
      } else if (at(i) == '-' || at(i) == '/' || at(i) == '.') {
        const char delimiter = text[i++];
        if (is_digit(at(i))) {
          kind = delimiter == '.' ? FieldKind::kNumber : FieldKind::kDate;
          while (is_digit(at(i))) ++i;
          if (at(i) == delimiter) {
            kind = FieldKind::kDate;
            while (is_digit(at(i)) || at(i) == delimiter) ++i;
          }
        } else {
          kind = delimiter == '.' ? FieldKind::kNumber : FieldKind::kDate;
          if (is_alpha(at(i))) kind = FieldKind::kDate;
          while (is_alnum(at(i)) || at(i) == delimiter) ++i;
        }
      }
    } else if (at(i) == '.') {
      ++i;
      while (is_digit(at(i))) ++i;
    } else if (is_alpha(at(i))) {
      kind = FieldKind::kText;
      while (is_alpha(at(i))) ++i;
      bool is_date = at(i) == '-' || at(i) == '/' || at(i) == '.';
      if (!is_date && (at(i) == '+' || is_digit(at(i))))
        is_date = find_datetime_word(lower(text.substr(start, i - start))).word == Word::kUnknown;
      if (is_date) {
        kind = FieldKind::kDate;
        while (is_alnum(at(i)) ||
               (at(i) != '\0' && std::string_view{"+-/_.:"}.find(at(i)) != std::string_view::npos))
          ++i;
      }
    } else if (at(i) == '+' || at(i) == '-') {
      const char sign = text[i++];
      while (is_blank(at(i))) ++i;
      const std::size_t value = i;
      if (is_digit(at(i))) {
        kind = FieldKind::kZone;
        while (is_digit(at(i)) || at(i) == ':' || at(i) == '.' || at(i) == '-') ++i;
      } else if (is_alpha(at(i))) {
        kind = FieldKind::kSpecial;
        while (is_alpha(at(i))) ++i;
      } else {
        return false;
      }
      fields->push_back({kind, sign + lower(text.substr(value, i - value))});
      continue;
    } else if (is_punctuation(at(i))) {
      ++i;  // a separator
      continue;
    } else {
      return false;
    }
    fields->push_back({kind, lower(text.substr(start, i - start))});
  }
  return true;
}

WordValue find_datetime_word(std::string_view w) {
  struct Entry {
    std::string_view text;
    Word word;
    int value;
  };
  static constexpr Entry kWords[] = {
      {"jan", Word::kMonth, 1},         {"january", Word::kMonth, 1},
      {"feb", Word::kMonth, 2},         {"february", Word::kMonth, 2},
      {"mar", Word::kMonth, 3},         {"march", Word::kMonth, 3},
      {"apr", Word::kMonth, 4},         {"april", Word::kMonth, 4},
      {"may", Word::kMonth, 5},         {"jun", Word::kMonth, 6},
      {"june", Word::kMonth, 6},        {"jul", Word::kMonth, 7},
      {"july", Word::kMonth, 7},        {"aug", Word::kMonth, 8},
      {"august", Word::kMonth, 8},      {"sep", Word::kMonth, 9},
      {"sept", Word::kMonth, 9},        {"september", Word::kMonth, 9},
      {"oct", Word::kMonth, 10},        {"october", Word::kMonth, 10},
      {"nov", Word::kMonth, 11},        {"november", Word::kMonth, 11},
      {"dec", Word::kMonth, 12},        {"december", Word::kMonth, 12},
      {"sun", Word::kDayOfWeek, 0},     {"sunday", Word::kDayOfWeek, 0},
      {"mon", Word::kDayOfWeek, 1},     {"monday", Word::kDayOfWeek, 1},
      {"tue", Word::kDayOfWeek, 2},     {"tues", Word::kDayOfWeek, 2},
      {"tuesday", Word::kDayOfWeek, 2}, {"wed", Word::kDayOfWeek, 3},
      {"weds", Word::kDayOfWeek, 3},    {"wednesday", Word::kDayOfWeek, 3},
      {"thu", Word::kDayOfWeek, 4},     {"thur", Word::kDayOfWeek, 4},
      {"thurs", Word::kDayOfWeek, 4},   {"thursday", Word::kDayOfWeek, 4},
      {"fri", Word::kDayOfWeek, 5},     {"friday", Word::kDayOfWeek, 5},
      {"sat", Word::kDayOfWeek, 6},     {"saturday", Word::kDayOfWeek, 6},
      {"am", Word::kAmPm, 0},           {"pm", Word::kAmPm, 1},
      {"ad", Word::kAdBc, 0},           {"bc", Word::kAdBc, 1},
      {"at", Word::kIgnore, 0},         {"on", Word::kIgnore, 0},
      {"now", Word::kNow, 0},           {"today", Word::kToday, 0},
      {"tomorrow", Word::kTomorrow, 0}, {"yesterday", Word::kYesterday, 0},
      {"epoch", Word::kEpoch, 0},       {"infinity", Word::kLate, 0},
      {"+infinity", Word::kLate, 0},    {"-infinity", Word::kEarly, 0},
      {"allballs", Word::kZulu, 0},     {"t", Word::kIsoTime, 0},
      {"j", Word::kJulian, 0},          {"jd", Word::kJulian, 0},
      {"julian", Word::kJulian, 0},     {"dst", Word::kDst, 0},
  };
  for (const Entry& e : kWords)
    if (e.text == w) return {e.word, e.value};
  return {};
}

std::int64_t fraction_micros(std::string_view digits) {
  const std::string text = "0" + std::string{digits};
  return std::llrint(std::strtod(text.c_str(), nullptr) * 1e6);
}

namespace {
/// Whole digits from the front; false when there are none or too many.
bool take_number(std::string_view& text, std::int64_t* out) {
  const auto made = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (made.ec != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(made.ptr - text.data()));
  return true;
}
bool is_fraction(std::string_view text) {
  return text.starts_with('.') && text.find_first_not_of("0123456789", 1) == std::string_view::npos;
}
}  // namespace

DecodeFailure decode_clock(std::string_view text, bool minute_to_second, std::int64_t* micros) {
  std::int64_t hour = 0, minute = 0, second = 0, fraction = 0;
  if (!take_number(text, &hour) || !text.starts_with(':')) return DecodeFailure::kBadFormat;
  text.remove_prefix(1);
  if (!take_number(text, &minute)) return DecodeFailure::kBadFormat;
  if (text.empty()) {
    if (minute_to_second) second = minute, minute = hour, hour = 0;
  } else if (text[0] == '.') {
    if (!is_fraction(text)) return DecodeFailure::kBadFormat;
    fraction = fraction_micros(text);
    second = minute, minute = hour, hour = 0;
  } else {
    if (text[0] != ':') return DecodeFailure::kBadFormat;
    text.remove_prefix(1);
    if (!take_number(text, &second)) return DecodeFailure::kBadFormat;
    if (!text.empty()) {
      if (!is_fraction(text)) return DecodeFailure::kBadFormat;
      fraction = fraction_micros(text);
    }
  }
  if (hour < 0 || hour > INT32_MAX || minute < 0 || minute > 59 || second < 0 || second > 60)
    return DecodeFailure::kFieldOverflow;
  *micros = ((hour * 60 + minute) * 60 + second) * kUsPerSecond + fraction;
  return DecodeFailure::kNone;
}

namespace {
constexpr unsigned kYear = 1, kMonth = 2, kDay = 4, kDateMask = 7, kTimeMask = 8, kZoneMask = 16,
                   kDayOfYear = 32, kDstMask = 64, kAmPmMask = 128, kAdBcMask = 256, kDowMask = 512;

enum class Moment : std::uint8_t { kFields, kEpoch, kLate, kEarly };

/// What has been read so far.
class Decoder {
 public:
  Decoder(std::string_view type_name, std::string_view text, const FormatSettings& s, bool time_only)
      : type_name_(type_name), text_(text), settings_(s), time_only_(time_only) {}

  void decode() {
    std::vector<Field> fields;
    if (!scan_datetime(text_, &fields) || fields.empty()) fail(DecodeFailure::kBadFormat);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      tmask_ = 0;
      if (!decode_field(fields, i)) continue;
      if ((tmask_ & mask_) != 0) bad();
      mask_ |= tmask_;
    }
    if (moment_ == Moment::kFields) finish();
  }

  Moment moment_ = Moment::kFields;
  int year_ = 0, month_ = 0, day_ = 0;
  std::int64_t time_ = 0;
  unsigned mask_ = 0;
  const TimeZone* named_zone_ = nullptr;
  std::int32_t zone_west_ = 0;  // of a fixed offset

  /// Seconds west of Greenwich for the wall time, from the text or the session's zone.
  [[nodiscard]] std::int32_t zone_west(std::int64_t local) const {
    if (named_zone_ != nullptr) return -named_zone_->offset_of_local(local);
    if ((mask_ & kZoneMask) != 0) return zone_west_;
    return -zone_of(settings_).offset_of_local(local);
  }
  [[nodiscard]] bool has_zone() const { return (mask_ & kZoneMask) != 0; }
  [[noreturn]] void bad() const { fail(DecodeFailure::kBadFormat); }
  [[noreturn]] void fail(DecodeFailure f) const {
    switch (f) {
      case DecodeFailure::kFieldOverflow:
        throw error(sqlstate::kDatetimeFieldOverflow, "date/time field value out of range: \"{}\"", text_);
      case DecodeFailure::kMonthDayOverflow:
        throw error(sqlstate::kDatetimeFieldOverflow, "date/time field value out of range: \"{}\"", text_)
            .with_hint("Perhaps you need a different \"datestyle\" setting.");
      case DecodeFailure::kZoneOverflow:
        throw error(sqlstate::kInvalidTimeZoneDisplacement, "time zone displacement out of range: \"{}\"",
                    text_);
      default:
        throw error(sqlstate::kInvalidDatetimeFormat, "invalid input syntax for type {}: \"{}\"", type_name_,
                    text_);
    }
  }
  void check(DecodeFailure f) const {
    if (f != DecodeFailure::kNone) fail(f);
  }

 private:
  /// False: the field says nothing (ignored).
  bool decode_field(std::vector<Field>& fields, std::size_t i) {
    const std::string& field = fields[i].text;
    switch (fields[i].kind) {
      case FieldKind::kDate: decode_date_field(fields, i); return true;
      case FieldKind::kTime:
        if (expect_time_) expect_time_ = false;
        check(decode_clock(field, false, &time_));
        if (time_ > kUsPerDay) fail(DecodeFailure::kFieldOverflow);
        tmask_ = kTimeMask;
        return true;
      case FieldKind::kZone: decode_zone(field); return true;
      case FieldKind::kNumber: decode_number_field(fields, i); return true;
      case FieldKind::kText:
      case FieldKind::kSpecial: return decode_word(field);
    }
    return false;
  }

  void decode_zone(std::string_view field) {
    const bool east = field[0] == '+';
    field.remove_prefix(1);
    const std::size_t size = field.size();
    std::int64_t hours = 0, minutes = 0, seconds = 0;
    if (!take_number(field, &hours)) bad();
    if (field.starts_with(':')) {
      field.remove_prefix(1);
      if (!take_number(field, &minutes)) bad();
      if (field.starts_with(':')) {
        field.remove_prefix(1);
        if (!take_number(field, &seconds)) bad();
      }
    } else if (field.empty() && size > 2) {
      minutes = hours % 100;
      hours /= 100;
    }
    if (!field.empty()) bad();
    if (hours > 15 || minutes > 59 || seconds > 59) fail(DecodeFailure::kZoneOverflow);
    zone_west_ = static_cast<std::int32_t>(hours * 3600 + minutes * 60 + seconds) * (east ? -1 : 1);
    tmask_ = kZoneMask;
  }
  void use_zone_name(std::string_view name) {
    const TimeZone* zone = TimeZone::find(name);
    if (zone == nullptr)
      throw error(sqlstate::kInvalidParameterValue, "time zone \"{}\" not recognized", name);
    named_zone_ = zone;
    tmask_ = kZoneMask;
  }

  /// A time may have a date before it.
  static bool date_before_time(const std::vector<Field>& fields, std::size_t i) {
    return i == 0 && fields.size() >= 2 &&
           (fields.back().kind == FieldKind::kDate || fields[1].kind == FieldKind::kTime);
  }
  void decode_date_field(const std::vector<Field>& fields, std::size_t i) {
    const std::string& field = fields[i].text;
    const bool may_be_date =
        time_only_ ? date_before_time(fields, i) : (mask_ & (kMonth | kDay)) != (kMonth | kDay);
    if (may_be_date && !expect_time_) {
      decode_date(field);
      return;
    }
    if (!is_digit(field[0]) && !expect_time_) {
      use_zone_name(field);
      return;
    }
    // hhmmss-zone after 'T' or after a date
    expect_time_ = false;
    if ((mask_ & kTimeMask) != 0) bad();
    const std::size_t dash = field.find('-');
    if (dash == std::string::npos) bad();
    decode_zone(field.substr(dash));
    const unsigned zone = tmask_;
    decode_digits(field.substr(0, dash), time_only_ ? mask_ | kDateMask : mask_);
    tmask_ |= zone;
  }

  /// Numbers and month names between separators.
  void decode_date(std::string_view field) {
    std::vector<std::string_view> parts;
    for (std::size_t i = 0; i < field.size();) {
      if (!is_alnum(field[i])) {
        ++i;
        continue;
      }
      const std::size_t start = i;
      if (is_digit(field[i]))
        while (i < field.size() && is_digit(field[i])) ++i;
      else
        while (i < field.size() && is_alpha(field[i])) ++i;
      parts.push_back(field.substr(start, i - start));
    }
    unsigned found = 0;
    bool text_month = have_text_month_;
    for (auto& part : parts) {  // the name of the month first: it decides what the numbers are
      if (!is_alpha(part[0])) continue;
      const WordValue w = find_datetime_word(part);
      if (w.word != Word::kMonth || (found & kMonth) != 0) {
        if (w.word == Word::kIgnore) {
          part = {};
          continue;
        }
        bad();
      }
      month_ = w.value;
      text_month = true;
      found |= kMonth;
      part = {};
    }
    for (const auto part : parts) {
      if (part.empty()) continue;
      tmask_ = 0;
      decode_number(part, mask_ | found, text_month);
      if ((tmask_ & found) != 0) bad();
      found |= tmask_;
    }
    have_text_month_ = text_month;
    if (((mask_ | found) & ~(kDayOfYear | kZoneMask)) != kDateMask)
      bad();  // a time before the date is not taken
    tmask_ = found;
  }

  void decode_number_field(const std::vector<Field>& fields, std::size_t i) {
    const std::string& field = fields[i].text;
    const std::size_t point = field.find('.');
    if (expect_julian_) {
      expect_julian_ = false;
      std::string_view rest = field;
      std::int64_t julian = 0;
      if (!take_number(rest, &julian) || julian > INT32_MAX) fail(DecodeFailure::kFieldOverflow);
      civil_of_julian(static_cast<int>(julian), &year_, &month_, &day_);
      tmask_ = kDateMask;
      is_julian_ = true;
      if (!rest.empty()) {
        time_ = std::llrint(std::strtod(("0" + std::string{rest}).c_str(), nullptr) *
                            static_cast<double>(kUsPerDay));
        tmask_ |= kTimeMask;
      }
      return;
    }
    if (expect_time_) {
      expect_time_ = false;
      decode_digits(field, mask_ | kDateMask);
      if (tmask_ != kTimeMask) bad();
      return;
    }
    if (time_only_) {
      const bool date_first = date_before_time(fields, i);
      if (date_first && point != std::string::npos) decode_date(field);
      else if (date_first && field.size() >= 6) decode_digits(field);
      else decode_digits(field, mask_ | kDateMask);
      return;
    }
    if (point != std::string::npos && (mask_ & kDateMask) == 0) {
      decode_date(field);
    } else if (point != std::string::npos && point > 2) {
      decode_digits(field);
    } else if (field.size() >= 6 && ((mask_ & kDateMask) != kDateMask || (mask_ & kTimeMask) == 0)) {
      decode_digits(field);
    } else {
      decode_number(field, mask_, have_text_month_);
    }
  }

  /// Concatenated digits: yyyymmdd, hhmmss, hhmm, with a fraction.
  void decode_digits(std::string_view field) { decode_digits(field, mask_); }
  void decode_digits(std::string_view field, unsigned have) {
    const auto two = [&](std::size_t at) { return (field[at] - '0') * 10 + (field[at + 1] - '0'); };
    std::int64_t fraction = 0;
    const std::size_t point = field.find('.');
    const bool has_point = point != std::string_view::npos;
    if (has_point) {
      if (!is_fraction(field.substr(point))) bad();
      fraction = fraction_micros(field.substr(point));
      field = field.substr(0, point);
    } else if ((have & kDateMask) != kDateMask && field.size() >= 6) {
      const std::size_t n = field.size();
      std::string_view year_text = field.substr(0, n - 4);
      std::int64_t year = 0;
      if (!take_number(year_text, &year) || year > 10'000'000) fail(DecodeFailure::kFieldOverflow);
      year_ = static_cast<int>(year);
      month_ = two(n - 4);
      day_ = two(n - 2);
      two_digit_year_ = n - 4 == 2;
      tmask_ = kDateMask;
      return;
    }
    if ((have & kTimeMask) != 0 || (field.size() != 6 && field.size() != 4)) bad();
    const int hour = two(0), minute = two(2), second = field.size() == 6 ? two(4) : 0;
    time_ = ((std::int64_t{hour} * 60 + minute) * 60 + second) * kUsPerSecond + fraction;
    if (minute > 59 || second > 60 || time_ > kUsPerDay) fail(DecodeFailure::kFieldOverflow);
    tmask_ = kTimeMask;
  }

  /// One number of a date: year, month or day by DateStyle and by what is known.
  void decode_number(std::string_view field, unsigned have, bool text_month) {
    std::string_view rest = field;
    std::int64_t value = 0;
    if (!take_number(rest, &value)) bad();
    if (value > INT32_MAX) fail(DecodeFailure::kFieldOverflow);
    if (!rest.empty()) {
      if (rest[0] != '.' || field.size() - rest.size() <= 2) bad();
      decode_digits(field, have | kDateMask);
      return;
    }
    const std::size_t digits = field.size();
    const int v = static_cast<int>(value);
    const bool ymd = settings_.date_order == DateOrder::kYmd;
    if (digits == 3 && (have & kDateMask) == kYear && v >= 1 && v <= 366) {
      day_of_year_ = v;
      tmask_ = kDayOfYear | kMonth | kDay;
      return;
    }
    switch (have & kDateMask) {
      case 0:
        if (digits >= 3 || ymd) tmask_ = kYear;
        else tmask_ = settings_.date_order == DateOrder::kDmy ? kDay : kMonth;
        break;
      case kYear: tmask_ = kMonth; break;
      case kMonth: tmask_ = text_month && (digits >= 3 || ymd) ? kYear : kDay; break;
      case kYear | kMonth:
        if (text_month && digits >= 3 && two_digit_year_) {  // what seemed a year was the day
          day_ = year_;
          year_ = v;
          two_digit_year_ = false;
          tmask_ = kDay;
          return;
        }
        tmask_ = kDay;
        break;
      case kDay: tmask_ = kMonth; break;
      case kMonth | kDay: tmask_ = kYear; break;
      case kDateMask: decode_digits(field, have); return;
      default: bad();
    }
    if (tmask_ == kYear) {
      year_ = v;
      two_digit_year_ = digits <= 2;
    } else {
      (tmask_ == kMonth ? month_ : day_) = v;
    }
  }

  bool decode_word(const std::string& field) {
    if (const ZoneAbbreviation* a = find_zone_abbreviation(field); a != nullptr) {
      zone_west_ = -a->seconds_east;
      tmask_ = kZoneMask;
      return true;
    }
    const WordValue w = find_datetime_word(field);
    switch (w.word) {
      case Word::kIgnore: return false;
      case Word::kMonth:
        if ((mask_ & kMonth) != 0 && !have_text_month_ && (mask_ & kDay) == 0 && month_ >= 1 &&
            month_ <= 31) {
          day_ = month_;  // the number before was the day
          mask_ |= kDay;
          mask_ &= ~kMonth;
        }
        have_text_month_ = true;
        month_ = w.value;
        tmask_ = kMonth;
        return true;
      case Word::kDayOfWeek: tmask_ = kDowMask; return true;
      case Word::kAmPm:
        am_pm_ = w.value;
        tmask_ = kAmPmMask;
        return true;
      case Word::kAdBc:
        bc_ = w.value == 1;
        tmask_ = kAdBcMask;
        return true;
      case Word::kDst:
        zone_west_ -= 3600;
        mask_ |= kDstMask;
        return false;
      case Word::kIsoTime:
        if (!time_only_ && (mask_ & kDateMask) != kDateMask) bad();
        expect_time_ = true;
        return false;
      case Word::kJulian: expect_julian_ = true; return false;
      case Word::kZulu:
        time_ = 0;
        zone_west_ = 0;
        tmask_ = kTimeMask | kZoneMask;
        return true;
      case Word::kEpoch: return special(Moment::kEpoch);
      case Word::kLate: return special(Moment::kLate);
      case Word::kEarly: return special(Moment::kEarly);
      case Word::kNow: set_now(); return true;
      case Word::kToday: set_day(0); return true;
      case Word::kTomorrow: set_day(1); return true;
      case Word::kYesterday: set_day(-1); return true;
      case Word::kUnknown: break;
    }
    const TimeZone* zone = TimeZone::find(field);
    if (zone == nullptr) bad();
    named_zone_ = zone;
    tmask_ = kZoneMask;
    return true;
  }
  bool special(Moment m) {
    if (time_only_) bad();
    if (mask_ != 0) bad();
    moment_ = m;
    tmask_ = kDateMask | kTimeMask | kZoneMask;
    return true;
  }
  void set_now() {
    const std::int64_t local = timestamptz_to_timestamp(settings_.now(), zone_of(settings_));
    const CivilTime c = civil_of_timestamp(local);
    year_ = c.year, month_ = c.month, day_ = c.day;
    time_ = timestamp_to_time(local);
    zone_west_ = -zone_of(settings_).at(settings_.now()).seconds_east;
    tmask_ = kDateMask | kTimeMask | kZoneMask;
    literal_year_ = true;
  }
  void set_day(int offset) {
    const std::int64_t local =
        timestamptz_to_timestamp(settings_.now(), zone_of(settings_)) + offset * kUsPerDay;
    const CivilTime c = civil_of_timestamp(local);
    year_ = c.year, month_ = c.month, day_ = c.day;
    tmask_ = kDateMask;
    literal_year_ = true;
  }

  void finish() {
    if (expect_time_ || expect_julian_) bad();
    if (am_pm_ >= 0) {
      const std::int64_t hour = time_ / kUsPerHour;
      if (hour > 12) fail(DecodeFailure::kFieldOverflow);
      if (am_pm_ == 0 && hour == 12) time_ -= 12 * kUsPerHour;
      if (am_pm_ == 1 && hour != 12) time_ += 12 * kUsPerHour;
    }
    if ((mask_ & kDateMask) != 0) validate_date();
    if (time_only_) {
      if ((mask_ & kTimeMask) == 0) bad();
      if ((mask_ & kDateMask) != 0 && (mask_ & kDateMask) != kDateMask) bad();
    } else if ((mask_ & kDateMask) != kDateMask) {
      bad();
    }
    if ((mask_ & kDstMask) != 0) mask_ |= kZoneMask;
  }
  void validate_date() {
    if ((mask_ & kYear) != 0 && !is_julian_ && !literal_year_) {
      if (bc_) {
        if (year_ <= 0) fail(DecodeFailure::kFieldOverflow);
        year_ = 1 - year_;
      } else if (two_digit_year_) {
        year_ += year_ < 70 ? 2000 : 1900;
      } else if (year_ <= 0) {
        fail(DecodeFailure::kFieldOverflow);
      }
    }
    if ((mask_ & kDayOfYear) != 0) {
      if (day_of_year_ > (is_leap_year(year_) ? 366 : 365)) fail(DecodeFailure::kFieldOverflow);
      civil_of_julian(julian_of(year_, 1, 1) + day_of_year_ - 1, &year_, &month_, &day_);
    }
    if ((mask_ & kMonth) != 0 && (month_ < 1 || month_ > 12)) fail(DecodeFailure::kMonthDayOverflow);
    if ((mask_ & kDay) != 0 && (day_ < 1 || day_ > 31)) fail(DecodeFailure::kMonthDayOverflow);
    if ((mask_ & kDateMask) == kDateMask && day_ > days_in_month(year_, month_))
      fail(DecodeFailure::kFieldOverflow);
  }

  std::string_view type_name_, text_;
  const FormatSettings& settings_;
  bool time_only_;
  unsigned tmask_ = 0;
  int am_pm_ = -1, day_of_year_ = 0;
  bool bc_ = false, two_digit_year_ = false, have_text_month_ = false, expect_time_ = false,
       expect_julian_ = false, is_julian_ = false, literal_year_ = false;
};

/// Years where every day has a Julian number.
bool has_julian(int y, int m) {
  return (y > -4713 || (y == -4713 && m >= 11)) && (y < 5874898 || (y == 5874898 && m < 6));
}

std::int64_t local_timestamp(const Decoder& d, std::string_view text) {
  const auto fail = [&] {
    return error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range: \"{}\"", text);
  };
  if (!has_julian(d.year_, d.month_) || d.year_ > 294277) throw fail();
  const Int128 t =
      static_cast<Int128>(julian_of(d.year_, d.month_, d.day_) - kPostgresEpochJulian) * kUsPerDay + d.time_;
  // A day of slack: the zone moves it.
  if (t < kTimestampMin - kUsPerDay || t >= static_cast<Int128>(kTimestampEnd) + kUsPerDay / 2) throw fail();
  return static_cast<std::int64_t>(t);
}
std::int64_t in_range(std::int64_t t, std::string_view text) {
  if (t < kTimestampMin || t >= kTimestampEnd)
    throw error(sqlstate::kDatetimeFieldOverflow, "timestamp out of range: \"{}\"", text);
  return t;
}
}  // namespace

std::int32_t parse_date(std::string_view text, const FormatSettings& settings) {
  Decoder d{"date", text, settings, false};
  d.decode();
  switch (d.moment_) {
    case Moment::kEpoch: return kUnixEpochJulian - kPostgresEpochJulian;
    case Moment::kLate: return kDateInfinity;
    case Moment::kEarly: return kDateMinusInfinity;
    case Moment::kFields: break;
  }
  if (has_julian(d.year_, d.month_)) {
    const int date = julian_of(d.year_, d.month_, d.day_) - kPostgresEpochJulian;
    if (date >= kDateMin && date < kDateEnd) return date;
  }
  throw error(sqlstate::kDatetimeFieldOverflow, "date out of range: \"{}\"", text);
}

std::int64_t parse_time(std::string_view text, std::int32_t typmod, const FormatSettings& settings) {
  Decoder d{"time", text, settings, true};
  d.decode();
  if (d.named_zone_ != nullptr && (d.mask_ & kDateMask) == 0) d.bad();  // its offset depends on the day
  return round_time(d.time_, typmod);
}

TimeTz parse_timetz(std::string_view text, std::int32_t typmod, const FormatSettings& settings) {
  Decoder d{"time with time zone", text, settings, true};
  d.decode();
  TimeTz t;
  t.micros = round_time(d.time_, typmod);
  if ((d.mask_ & kDateMask) == kDateMask) {
    t.zone_seconds = d.zone_west(local_timestamp(d, text));
  } else if (d.named_zone_ != nullptr) {
    d.bad();  // its offset depends on the day
  } else if (d.has_zone()) {
    t.zone_seconds = d.zone_west_;
  } else {
    t.zone_seconds = time_to_timetz(d.time_, settings).zone_seconds;
  }
  return t;
}

std::int64_t parse_timestamp(std::string_view text, std::int32_t typmod, const FormatSettings& settings) {
  Decoder d{"timestamp", text, settings, false};
  d.decode();
  switch (d.moment_) {
    case Moment::kEpoch: return -kUnixToPostgresSeconds * kUsPerSecond;
    case Moment::kLate: return kTimestampInfinity;
    case Moment::kEarly: return kTimestampMinusInfinity;
    case Moment::kFields: break;
  }
  return round_timestamp(in_range(local_timestamp(d, text), text), typmod);
}

std::int64_t parse_timestamptz(std::string_view text, std::int32_t typmod, const FormatSettings& settings) {
  Decoder d{"timestamp with time zone", text, settings, false};
  d.decode();
  switch (d.moment_) {
    case Moment::kEpoch: return -kUnixToPostgresSeconds * kUsPerSecond;
    case Moment::kLate: return kTimestampInfinity;
    case Moment::kEarly: return kTimestampMinusInfinity;
    case Moment::kFields: break;
  }
  const std::int64_t local = local_timestamp(d, text);
  std::int64_t t;
  if (__builtin_add_overflow(local, d.zone_west(local) * kUsPerSecond, &t)) t = kTimestampMinusInfinity;
  return round_timestamp(in_range(t, text), typmod);
}

}  // namespace rustbd::types
