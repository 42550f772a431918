// Names of date and time units, for intervals, extract and date_trunc. Internal to `types`.
#pragma once

#include <cstdint>
#include <string_view>

namespace rustbd::types {

enum class Unit : std::uint8_t {
  kUnknown,
  kIgnore,
  kAgo,
  kMicrosecond,
  kMillisecond,
  kSecond,
  kMinute,
  kHour,
  kDay,
  kWeek,
  kMonth,
  kQuarter,
  kYear,
  kDecade,
  kCentury,
  kMillennium,
  kEpoch,
  kDow,
  kIsoDow,
  kDoy,
  kIsoYear,
  kJulian,
  kTimezone,
  kTimezoneHour,
  kTimezoneMinute
};
Unit find_unit(std::string_view lower_case);

}  // namespace rustbd::types
