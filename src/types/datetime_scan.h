// The tokens of PostgreSQL's date, time and interval text. Internal to `types`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rustbd::types {

enum class FieldKind : std::uint8_t { kNumber, kText, kDate, kTime, kZone, kSpecial };
struct Field {
  FieldKind kind;
  std::string text;  // lower case
};
/// False: a character that no date can have, or too many fields.
bool scan_datetime(std::string_view text, std::vector<Field>* fields);

enum class Word : std::uint8_t {
  kUnknown,
  kIgnore,
  kMonth,
  kDayOfWeek,
  kAmPm,
  kAdBc,
  kNow,
  kToday,
  kTomorrow,
  kYesterday,
  kEpoch,
  kLate,
  kEarly,
  kZulu,
  kIsoTime,
  kJulian,
  kDst
};
struct WordValue {
  Word word = Word::kUnknown;
  int value = 0;
};
WordValue find_datetime_word(std::string_view lower_case);

enum class DecodeFailure : std::uint8_t {
  kNone,
  kBadFormat,
  kFieldOverflow,
  kMonthDayOverflow,
  kIntervalOverflow,
  kZoneOverflow
};
/// hh:mm[:ss[.f]] and mm:ss.f into microseconds. Hours may be over 24.
DecodeFailure decode_clock(std::string_view text, bool minute_to_second, std::int64_t* micros);
/// Digits behind a point to microseconds, rounded.
std::int64_t fraction_micros(std::string_view digits_with_point);

}  // namespace rustbd::types
