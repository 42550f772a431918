// Time zones: a reader of the system's TZif files (RFC 8536) with the POSIX rule behind their last
// transition.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "rustbd/base/bytes.h"
#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/text_scan.h"

namespace rustbd::types {

namespace {
constexpr std::string_view kZoneInfo = "/usr/share/zoneinfo";
constexpr std::int64_t kSecondsPerDay = 86400;

struct LocalType {
  std::int32_t offset = 0;  // seconds east
  bool dst = false;
  std::string abbreviation;
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
std::int64_t unix_day(int year, int month, int day) { return julian_of(year, month, day) - kUnixEpochJulian; }

// ---- POSIX TZ strings
// ---------------------------------------------------------------------------------------------
struct RuleDate {
  enum Kind { kJulianNoLeap, kZeroBased, kMonthWeekDay } kind = kMonthWeekDay;
  int month = 3, week = 2, day = 0;
  std::int32_t seconds = 7200;

  /// Local seconds (of the offset before it) from 1970.
  [[nodiscard]] std::int64_t in_year(int year) const {
    std::int64_t at = unix_day(year, 1, 1);
    if (kind == kJulianNoLeap) {
      at += day - 1 + (is_leap_year(year) && day >= 60 ? 1 : 0);
    } else if (kind == kZeroBased) {
      at += day;
    } else {
      const std::int64_t first = unix_day(year, month, 1);
      const int weekday = static_cast<int>(((first % 7) + 7 + 4) % 7);  // 1970-01-01 was a Thursday
      int d = (day - weekday + 7) % 7 + (week - 1) * 7;
      if (d >= days_in_month(year, month)) d -= 7;
      at = first + d;
    }
    return at * kSecondsPerDay + seconds;
  }
};
struct PosixRule {
  LocalType standard, daylight;
  bool has_daylight = false;
  RuleDate start, end;
};

class PosixParser {
 public:
  explicit PosixParser(std::string_view text) : text_(text) {}
  std::optional<PosixRule> parse() {
    PosixRule rule;
    if (!name(&rule.standard.abbreviation) || !offset(&rule.standard.offset)) return std::nullopt;
    rule.standard.offset = -rule.standard.offset;
    if (text_.empty()) return rule;
    rule.has_daylight = rule.daylight.dst = true;
    if (!name(&rule.daylight.abbreviation) || rule.daylight.abbreviation.empty()) return std::nullopt;
    rule.daylight.offset = rule.standard.offset + 3600;
    if (!text_.empty() && text_[0] != ',') {
      if (!offset(&rule.daylight.offset)) return std::nullopt;
      rule.daylight.offset = -rule.daylight.offset;
    }
    rule.end = {RuleDate::kMonthWeekDay, 11, 1, 0, 7200};  // the default: the rules of the USA
    if (text_.empty()) return rule;
    if (!date(&rule.start) || !date(&rule.end) || !text_.empty()) return std::nullopt;
    return rule;
  }

 private:
  bool eat(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool name(std::string* out) {
    if (eat('<')) {
      const std::size_t end = text_.find('>');
      if (end == std::string_view::npos) return false;
      *out = text_.substr(0, end);
      text_.remove_prefix(end + 1);
      return true;
    }
    std::size_t n = 0;
    while (n < text_.size() && !is_digit(text_[n]) && text_[n] != ',' && text_[n] != '-' && text_[n] != '+')
      ++n;
    *out = text_.substr(0, n);
    text_.remove_prefix(n);
    return true;
  }
  bool number(int* out, int most) {
    if (text_.empty() || !is_digit(text_[0])) return false;
    *out = 0;
    for (; !text_.empty() && is_digit(text_[0]); text_.remove_prefix(1)) {
      *out = *out * 10 + (text_[0] - '0');
      if (*out > most) return false;
    }
    return true;
  }
  bool offset(std::int32_t* out) {
    const bool negative = eat('-');
    if (!negative) eat('+');
    int hours = 0, minutes = 0, seconds = 0;
    if (!number(&hours, 24 * 7 - 1)) return false;
    if (eat(':') && (!number(&minutes, 59) || (eat(':') && !number(&seconds, 60)))) return false;
    *out = hours * 3600 + minutes * 60 + seconds;
    if (negative) *out = -*out;
    return true;
  }
  bool date(RuleDate* out) {
    if (!eat(',')) return false;
    *out = {};
    if (eat('J')) {
      out->kind = RuleDate::kJulianNoLeap;
      if (!number(&out->day, 365)) return false;
    } else if (eat('M')) {
      if (!number(&out->month, 12) || !eat('.') || !number(&out->week, 5) || !eat('.') ||
          !number(&out->day, 6))
        return false;
      if (out->month < 1 || out->week < 1) return false;
    } else {
      out->kind = RuleDate::kZeroBased;
      if (!number(&out->day, 365)) return false;
    }
    return !eat('/') || offset(&out->seconds);
  }
  std::string_view text_;
};

// ---- zones
// --------------------------------------------------------------------------------------------------------
struct Boundary {
  std::int64_t at = 0;
  std::int32_t before = 0, after = 0;
};

/// Transitions from a file, then the rule. Times in seconds from 1970 UTC. Immutable after load.
class SystemZone final : public TimeZone {
 public:
  SystemZone(std::string name, std::optional<PosixRule> rule) : rule_(std::move(rule)) {
    name_ = std::move(name);
  }
  void add_type(LocalType type) { types_.push_back(std::move(type)); }
  void add_transition(std::int64_t at, std::uint8_t type) {
    at_.push_back(at);
    type_.push_back(type);
  }
  [[nodiscard]] bool is_usable() const { return !types_.empty() || rule_.has_value(); }

  [[nodiscard]] ZoneOffset at(std::int64_t utc_us) const override {
    const LocalType& t = type_at(floor_div(utc_us, kUsPerSecond) + kUnixToPostgresSeconds);
    return {t.offset, t.dst, t.abbreviation};
  }

  /// As PostgreSQL: looks at the first boundary after a day before; a time in a gap takes the offset before
  /// it, one in an overlap the offset after it.
  [[nodiscard]] std::int32_t offset_of_local(std::int64_t local_us) const override {
    const std::int64_t local = floor_div(local_us, kUsPerSecond) + kUnixToPostgresSeconds;
    Boundary b;
    if (!next_boundary(local - kSecondsPerDay, &b)) return type_at(local - kSecondsPerDay).offset;
    const std::int64_t before = local - b.before, after = local - b.after;
    if (before < b.at && after < b.at) return b.before;
    if (before > b.at && after >= b.at) return b.after;
    return before > after ? b.before : b.after;
  }

 private:
  [[nodiscard]] const LocalType& type_at(std::int64_t t) const {
    if (at_.empty()) return rule_ ? by_rule(t) : types_[0];
    if (t < at_.front()) return types_[0];
    if (t >= at_.back() && rule_) return by_rule(t);
    const auto it = std::upper_bound(at_.begin(), at_.end(), t);
    return types_[type_[static_cast<std::size_t>(it - at_.begin()) - 1]];
  }
  void rule_times(int year, std::int64_t* start, std::int64_t* end) const {
    *start = rule_->start.in_year(year) - rule_->standard.offset;
    *end = rule_->end.in_year(year) - rule_->daylight.offset;
  }
  static int year_of(std::int64_t t) {
    int year, month, day;
    civil_of_julian(static_cast<int>(floor_div(t, kSecondsPerDay)) + kUnixEpochJulian, &year, &month, &day);
    return year;
  }
  [[nodiscard]] const LocalType& by_rule(std::int64_t t) const {
    if (!rule_->has_daylight) return rule_->standard;
    std::int64_t start, end;
    rule_times(year_of(t + rule_->standard.offset), &start, &end);
    const bool dst = start < end ? (t >= start && t < end) : !(t >= end && t < start);
    return dst ? rule_->daylight : rule_->standard;
  }
  [[nodiscard]] bool next_boundary(std::int64_t t, Boundary* out) const {
    if (!at_.empty() && t < at_.back()) {
      const auto it = std::upper_bound(at_.begin(), at_.end(), t);
      const auto i = static_cast<std::size_t>(it - at_.begin());
      *out = {at_[i], i == 0 ? types_[0].offset : types_[type_[i - 1]].offset, types_[type_[i]].offset};
      return true;
    }
    if (!rule_ || !rule_->has_daylight) return false;
    const int year = year_of(t + rule_->standard.offset);
    bool found = false;
    for (int y = year - 1; y <= year + 1; ++y) {
      std::int64_t start, end;
      rule_times(y, &start, &end);
      const Boundary spring{start, rule_->standard.offset, rule_->daylight.offset};
      const Boundary autumn{end, rule_->daylight.offset, rule_->standard.offset};
      for (const Boundary& b : {spring, autumn}) {
        if (b.at <= t || (found && b.at >= out->at)) continue;
        *out = b;
        found = true;
      }
    }
    return found;
  }

  std::vector<std::int64_t> at_;
  std::vector<std::uint8_t> type_;
  std::vector<LocalType> types_;
  std::optional<PosixRule> rule_;
};

// ---- TZif
// ---------------------------------------------------------------------------------------------------------
std::uint64_t big_endian(const char* p, int bytes) {
  std::uint64_t v = 0;
  for (int i = 0; i < bytes; ++i) v = v << 8 | static_cast<unsigned char>(p[i]);
  return v;
}
struct Counts {
  std::uint32_t ut, standard, leap, time, type, chars;
  static Counts read(const char* header) {
    const auto at = [&](int i) { return static_cast<std::uint32_t>(big_endian(header + 20 + 4 * i, 4)); };
    return {at(0), at(1), at(2), at(3), at(4), at(5)};
  }
  [[nodiscard]] std::size_t bytes(std::size_t time_bytes) const {
    return time * (time_bytes + 1) + type * std::size_t{6} + chars + leap * (time_bytes + 4) + standard + ut;
  }
};
constexpr std::size_t kHeaderBytes = 44;

/// nullptr when the bytes are no TZif file of version 2 or later without leap seconds.
std::unique_ptr<SystemZone> parse_tzif(const std::string& name, std::string_view file) {
  if (file.size() < 2 * kHeaderBytes || !file.starts_with("TZif") || file[4] < '2') return nullptr;
  const std::size_t skip = kHeaderBytes + Counts::read(file.data()).bytes(4);
  if (file.size() < skip + kHeaderBytes || file.substr(skip, 4) != "TZif") return nullptr;
  const Counts n = Counts::read(file.data() + skip);
  const std::size_t body = skip + kHeaderBytes, end = body + n.bytes(8);
  if (file.size() < end || n.leap != 0 || n.type == 0 || n.type > 256) return nullptr;
  std::optional<PosixRule> rule;
  if (file.size() > end + 1) {
    const std::size_t stop = file.find('\n', end + 1);
    const std::string_view footer =
        file.substr(end + 1, stop == std::string_view::npos ? stop : stop - end - 1);
    if (!footer.empty()) rule = PosixParser{footer}.parse();
  }
  auto zone = std::make_unique<SystemZone>(name, std::move(rule));
  const char* times = file.data() + body;
  const char* kinds = times + std::size_t{n.time} * 8;
  const char* types = kinds + n.time;
  const std::string_view names{types + std::size_t{n.type} * 6, n.chars};
  for (std::uint32_t i = 0; i < n.type; ++i) {
    const char* t = types + std::size_t{i} * 6;
    const auto at = static_cast<unsigned char>(t[5]);
    if (at >= names.size()) return nullptr;
    const std::string_view abbreviation = names.substr(at, names.find('\0', at) - at);
    zone->add_type({static_cast<std::int32_t>(big_endian(t, 4)), t[4] != 0, std::string{abbreviation}});
  }
  for (std::uint32_t i = 0; i < n.time; ++i) {
    const auto type = static_cast<unsigned char>(kinds[i]);
    if (type >= n.type) return nullptr;
    zone->add_transition(static_cast<std::int64_t>(big_endian(times + std::size_t{i} * 8, 8)), type);
  }
  return zone;
}

std::string read_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// All zones seen so far, for the life of the process.
class Zones {
 public:
  static Zones& instance() {
    static Zones* made = new Zones;
    return *made;
  }
  const TimeZone* find(std::string_view name) {
    const std::lock_guard lock{mutex_};
    const std::string key = lower(name);
    if (const auto it = by_name_.find(key); it != by_name_.end()) return it->second;
    std::unique_ptr<SystemZone> zone;
    if (const auto it = files().find(key); it != files().end())
      zone = parse_tzif(it->second, read_file(std::string{kZoneInfo} + "/" + it->second));
    if (zone == nullptr) zone = by_posix_string(name);
    if (zone == nullptr || !zone->is_usable())
      return nullptr;  // unknown names are not kept: they have no end
    return by_name_[key] = zone.release();
  }
  const std::vector<std::string>& names() {
    const std::lock_guard lock{mutex_};
    if (names_.empty()) {
      for (const auto& [key, name] : files()) {
        const std::string file = read_file(std::string{kZoneInfo} + "/" + name);
        if (file.starts_with("TZif")) names_.push_back(name);
      }
      std::sort(names_.begin(), names_.end());
    }
    return names_;
  }

 private:
  static std::unique_ptr<SystemZone> by_posix_string(std::string_view name) {
    std::string upper{name};
    for (char& c : upper)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    auto rule = PosixParser{upper}.parse();
    if (!rule || upper.empty()) return nullptr;
    return std::make_unique<SystemZone>(std::move(upper), std::move(rule));
  }
  /// lower-case name -> name, of the regular files under the zone directory.
  const std::unordered_map<std::string, std::string>& files() {
    if (!files_.empty()) return files_;
    namespace fs = std::filesystem;
    std::error_code failure;
    const fs::path root{kZoneInfo};
    for (fs::recursive_directory_iterator it{root, failure}, end; !failure && it != end;
         it.increment(failure)) {
      const std::string name = it->path().lexically_relative(root).string();
      if (name == "posix" || name == "right") it.disable_recursion_pending();
      if (name == "posixrules" || name == "localtime" || name == "Factory") continue;
      std::error_code ignored;
      if (it->is_regular_file(ignored)) files_.emplace(lower(name), name);
    }
    return files_;
  }

  std::mutex mutex_;  // protects all below; the zones themselves never change
  std::unordered_map<std::string, const TimeZone*> by_name_;
  std::unordered_map<std::string, std::string> files_;
  std::vector<std::string> names_;
};
}  // namespace

const TimeZone* TimeZone::find(std::string_view name) {
  // Most callers ask for the same zone again and again.
  thread_local std::string last_name;
  thread_local const TimeZone* last = nullptr;
  if (last != nullptr && last_name == name) return last;
  const TimeZone* zone = Zones::instance().find(name);
  if (zone != nullptr) {
    last_name = name;
    last = zone;
  }
  return zone;
}

const TimeZone& TimeZone::utc() {
  static const TimeZone* made = [] {
    PosixRule rule;
    rule.standard.abbreviation = "UTC";
    return new SystemZone{"UTC", rule};
  }();
  return *made;
}

const TimeZone& TimeZone::fixed(std::int32_t east) {
  const int magnitude = std::abs(east);
  std::string digits = fmt::format("{:02}", magnitude / 3600);
  if (magnitude % 3600 != 0) digits += fmt::format(":{:02}", magnitude / 60 % 60);
  if (magnitude % 60 != 0) digits += fmt::format(":{:02}", magnitude % 60);
  return *find(fmt::format("<{}{}>{}{}", east < 0 ? '-' : '+', digits, east < 0 ? '+' : '-', digits));
}

const TimeZone& TimeZone::for_setting(std::string_view text) {
  const std::string copy{text};
  char* end = nullptr;
  const double hours = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() && *end == '\0') {
    if (std::fabs(hours) <= 168) return fixed(static_cast<std::int32_t>(hours * 3600));
  } else if (const TimeZone* zone = find(text); zone != nullptr) {
    return *zone;
  }
  throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"TimeZone\": \"{}\"", text);
}

const std::vector<std::string>& time_zone_names() { return Zones::instance().names(); }

const ZoneAbbreviation* find_zone_abbreviation(std::string_view name) {
  std::string upper{name};
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  const auto all = zone_abbreviations();
  const auto it =
      std::lower_bound(all.begin(), all.end(), upper,
                       [](const ZoneAbbreviation& a, const std::string& b) { return a.name < b; });
  return it != all.end() && it->name == upper ? &*it : nullptr;
}

ZoneReference resolve_zone(std::string_view text) {
  if (const ZoneAbbreviation* a = find_zone_abbreviation(text); a != nullptr)
    return {nullptr, a->seconds_east};
  if (const TimeZone* zone = TimeZone::find(text); zone != nullptr) return {zone, 0};
  throw error(sqlstate::kInvalidParameterValue, "time zone \"{}\" not recognized", text);
}

}  // namespace rustbd::types
