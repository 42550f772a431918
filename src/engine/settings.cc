#include "rustbd/engine/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "rustbd/base/error.h"
#include "rustbd/types/datetime.h"

namespace rustbd::engine {

namespace {

using enum SettingType;
using enum SettingContext;

constexpr double kIntMax = 2147483647;
constexpr std::string_view kPreset = "Preset Options", kClient = "Client Connection Defaults",
                           kQuery = "Query Tuning", kResource = "Resource Usage",
                           kLogging = "Reporting and Logging",
                           kConnections = "Connections and Authentication", kWal = "Write-Ahead Log",
                           kLock = "Lock Management", kCompatible = "Version and Platform Compatibility",
                           kOwn = "RustBD";

constexpr SettingDefinition kDefinitions[] = {
    {"allow_in_place_tablespaces", kBool, kSuperuser, "off", "", 0, 0, "", kCompatible,
     "Accepted without effect."},
    {"application_name", kString, kUser, "", "", 0, 0, "", kLogging,
     "Sets the application name to be reported in statistics and logs.", true},
    {"array_nulls", kBool, kUser, "on", "", 0, 0, "", kCompatible,
     "Enable input of NULL elements in arrays."},
    {"backslash_quote", kEnum, kUser, "safe_encoding", "", 0, 0, "safe_encoding,on,off", kCompatible,
     "Accepted without effect."},
    {"bytea_output", kEnum, kUser, "hex", "", 0, 0, "escape,hex", kClient,
     "Sets the output format for bytea."},
    {"check_function_bodies", kBool, kUser, "on", "", 0, 0, "", kClient, "Accepted without effect."},
    {"client_encoding", kString, kUser, "UTF8", "", 0, 0, "", kClient,
     "Sets the client's character set encoding.", true},
    {"client_min_messages", kEnum, kUser, "notice", "", 0, 0,
     "debug5,debug4,debug3,debug2,debug1,debug,log,notice,warning,error", kClient,
     "Sets the message levels that are sent to the client."},
    {"commit_delay", kInteger, kSuperuser, "0", "", 0, 100000, "", kWal, "Accepted without effect."},
    {"constraint_exclusion", kEnum, kUser, "partition", "", 0, 0, "partition,on,off", kQuery,
     "Accepted without effect."},
    {"cpu_index_tuple_cost", kReal, kUser, "0.005", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"cpu_operator_cost", kReal, kUser, "0.0025", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"cpu_tuple_cost", kReal, kUser, "0.01", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"DateStyle", kString, kUser, "ISO, MDY", "", 0, 0, "", kClient,
     "Sets the display format for date and time values.", true},
    {"deadlock_timeout", kInteger, kSuperuser, "1000", "ms", 1, kIntMax, "", kLock,
     "Accepted without effect: deadlocks are found when a wait begins."},
    {"default_statistics_target", kInteger, kUser, "100", "", 1, 10000, "", kQuery,
     "Sets the default statistics target."},
    {"default_table_access_method", kString, kUser, "heap", "", 0, 0, "", kClient,
     "Accepted without effect."},
    {"default_tablespace", kString, kUser, "", "", 0, 0, "", kClient, "Accepted without effect."},
    {"default_text_search_config", kString, kUser, "pg_catalog.simple", "", 0, 0, "", kClient,
     "Accepted without effect."},
    {"default_toast_compression", kEnum, kUser, "pglz", "", 0, 0, "pglz,lz4", kClient,
     "Accepted without effect."},
    {"default_transaction_deferrable", kBool, kUser, "off", "", 0, 0, "", kClient,
     "Sets the default deferrable status of new transactions."},
    {"default_transaction_isolation", kEnum, kUser, "read committed", "", 0, 0,
     "serializable,repeatable read,read committed,read uncommitted", kClient,
     "Sets the transaction isolation level of each new transaction."},
    {"default_transaction_read_only", kBool, kUser, "off", "", 0, 0, "", kClient,
     "Sets the default read-only status of new transactions.", true},
    {"effective_cache_size", kInteger, kUser, "524288", "8kB", 1, kIntMax, "", kQuery,
     "Accepted without effect."},
    {"effective_io_concurrency", kInteger, kUser, "1", "", 0, 1000, "", kResource,
     "Accepted without effect."},
    {"enable_bitmapscan", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of bitmap-scan plans."},
    {"enable_hashagg", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of hashed aggregation plans."},
    {"enable_hashjoin", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of hash join plans."},
    {"enable_indexonlyscan", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of index-only-scan plans."},
    {"enable_indexscan", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of index-scan plans."},
    {"enable_material", kBool, kUser, "on", "", 0, 0, "", kQuery, "Accepted without effect."},
    {"enable_memoize", kBool, kUser, "on", "", 0, 0, "", kQuery, "Accepted without effect."},
    {"enable_mergejoin", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of merge join plans."},
    {"enable_nestloop", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of nested-loop join plans."},
    {"enable_seqscan", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of sequential-scan plans."},
    {"enable_sort", kBool, kUser, "on", "", 0, 0, "", kQuery,
     "Enables the planner's use of explicit sort steps."},
    {"escape_string_warning", kBool, kUser, "on", "", 0, 0, "", kCompatible, "Accepted without effect."},
    {"extra_float_digits", kInteger, kUser, "1", "", -15, 3, "", kClient,
     "Sets the number of digits displayed for floating-point values."},
    {"from_collapse_limit", kInteger, kUser, "8", "", 1, kIntMax, "", kQuery, "Accepted without effect."},
    {"geqo", kBool, kUser, "on", "", 0, 0, "", kQuery, "Accepted without effect."},
    {"gin_pending_list_limit", kInteger, kUser, "4096", "kB", 64, kIntMax, "", kClient,
     "Accepted without effect."},
    {"idle_in_transaction_session_timeout", kInteger, kUser, "0", "ms", 0, kIntMax, "", kClient,
     "Sets the maximum allowed idle time inside a transaction."},
    {"idle_session_timeout", kInteger, kUser, "0", "ms", 0, kIntMax, "", kClient,
     "Sets the maximum allowed idle time outside a transaction."},
    {"in_hot_standby", kBool, kInternal, "off", "", 0, 0, "", kPreset,
     "Shows whether hot standby is currently active.", true},
    {"integer_datetimes", kBool, kInternal, "on", "", 0, 0, "", kPreset,
     "Shows whether datetimes are integer based.", true},
    {"IntervalStyle", kEnum, kUser, "postgres", "", 0, 0, "postgres,postgres_verbose,sql_standard,iso_8601",
     kClient, "Sets the display format for interval values.", true},
    {"is_superuser", kBool, kInternal, "on", "", 0, 0, "", kPreset,
     "Shows whether the current user is a superuser.", true},
    {"jit", kBool, kUser, "off", "", 0, 0, "", kQuery, "Accepted without effect."},
    {"join_collapse_limit", kInteger, kUser, "8", "", 1, kIntMax, "", kQuery, "Accepted without effect."},
    {"lc_collate", kString, kInternal, "C.UTF-8", "", 0, 0, "", kPreset, "Shows the collation order locale."},
    {"lc_ctype", kString, kInternal, "C.UTF-8", "", 0, 0, "", kPreset,
     "Shows the character classification locale."},
    {"lc_messages", kString, kSuperuser, "C.UTF-8", "", 0, 0, "", kClient, "Accepted without effect."},
    {"lc_monetary", kString, kUser, "C.UTF-8", "", 0, 0, "", kClient, "Accepted without effect."},
    {"lc_numeric", kString, kUser, "C.UTF-8", "", 0, 0, "", kClient, "Accepted without effect."},
    {"lc_time", kString, kUser, "C.UTF-8", "", 0, 0, "", kClient, "Accepted without effect."},
    {"lock_timeout", kInteger, kUser, "0", "ms", 0, kIntMax, "", kClient,
     "Sets the maximum allowed duration of any wait for a lock."},
    {"log_min_duration_statement", kInteger, kSuperuser, "-1", "ms", -1, kIntMax, "", kLogging,
     "Accepted without effect."},
    {"maintenance_work_mem", kInteger, kUser, "65536", "kB", 1024, kIntMax, "", kResource,
     "Accepted without effect."},
    {"max_connections", kInteger, kPostmaster, "10000", "", 1, 262143, "", kConnections,
     "Sets the maximum number of concurrent connections."},
    {"max_identifier_length", kInteger, kInternal, "63", "", 63, 63, "", kPreset,
     "Shows the maximum identifier length."},
    {"max_index_keys", kInteger, kInternal, "32", "", 32, 32, "", kPreset,
     "Shows the maximum number of index keys."},
    {"max_parallel_workers_per_gather", kInteger, kUser, "2", "", 0, 1024, "", kResource,
     "Accepted without effect."},
    {"max_prepared_transactions", kInteger, kPostmaster, "64", "", 0, 262143, "", kResource,
     "Sets the maximum number of simultaneously prepared transactions."},
    {"parallel_setup_cost", kReal, kUser, "1000", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"plan_cache_mode", kEnum, kUser, "auto", "", 0, 0, "auto,force_generic_plan,force_custom_plan", kQuery,
     "Controls the planner's selection of custom or generic plan."},
    {"quote_all_identifiers", kBool, kUser, "off", "", 0, 0, "", kCompatible, "Accepted without effect."},
    {"random_page_cost", kReal, kUser, "4", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"role", kString, kUser, "none", "", 0, 0, "", kClient, "Sets the current role."},
    {"row_security", kBool, kUser, "on", "", 0, 0, "", kClient, "Enable row security."},
    {"rustbd.disabled_rules", kString, kUser, "", "", 0, 0, "", kOwn,
     "Names of optimizer rules that are not applied; for tests."},
    {"rustbd.test_chunk_rows", kInteger, kUser, "1024", "", 1, 1024, "", kOwn,
     "Rows per chunk of the executor; for tests."},
    {"search_path", kString, kUser, "\"$user\", public", "", 0, 0, "", kClient,
     "Sets the schema search order for names that are not schema-qualified."},
    {"seq_page_cost", kReal, kUser, "1", "", 0, 1e300, "", kQuery, "Accepted without effect."},
    {"server_encoding", kString, kInternal, "UTF8", "", 0, 0, "", kPreset,
     "Shows the server (database) character set encoding.", true},
    {"server_version", kString, kInternal, "15.0 (RustBD " RUSTBD_VERSION ")", "", 0, 0, "", kPreset,
     "Shows the server version.", true},
    {"server_version_num", kInteger, kInternal, "150000", "", 150000, 150000, "", kPreset,
     "Shows the server version as an integer."},
    {"session_authorization", kString, kUser, "", "", 0, 0, "", kClient, "Sets the session user name.", true},
    {"session_replication_role", kEnum, kSuperuser, "origin", "", 0, 0, "origin,replica,local", kClient,
     "Accepted without effect."},
    {"shared_buffers", kInteger, kPostmaster, "32768", "8kB", 16, kIntMax, "", kResource,
     "Sets the size of the buffer pool."},
    {"ssl", kBool, kSighup, "off", "", 0, 0, "", kConnections, "Enables SSL connections."},
    {"standard_conforming_strings", kBool, kUser, "on", "", 0, 0, "", kCompatible,
     "Causes '...' strings to treat backslashes literally.", true},
    {"statement_timeout", kInteger, kUser, "0", "ms", 0, kIntMax, "", kClient,
     "Sets the maximum allowed duration of any statement."},
    {"synchronize_seqscans", kBool, kUser, "on", "", 0, 0, "", kCompatible, "Accepted without effect."},
    {"synchronous_commit", kEnum, kUser, "on", "", 0, 0, "local,remote_write,remote_apply,on,off", kWal,
     "Sets the current transaction's synchronization level."},
    {"temp_buffers", kInteger, kUser, "1024", "8kB", 100, kIntMax, "", kResource, "Accepted without effect."},
    {"TimeZone", kString, kUser, "UTC", "", 0, 0, "", kClient,
     "Sets the time zone for displaying and interpreting time stamps.", true},
    {"timezone_abbreviations", kString, kUser, "Default", "", 0, 0, "", kClient, "Accepted without effect."},
    {"transaction_deferrable", kBool, kUser, "off", "", 0, 0, "", kClient,
     "Whether to defer a read-only serializable transaction."},
    {"transaction_isolation", kEnum, kUser, "read committed", "", 0, 0,
     "serializable,repeatable read,read committed,read uncommitted", kClient,
     "Sets the current transaction's isolation level."},
    {"transaction_read_only", kBool, kUser, "off", "", 0, 0, "", kClient,
     "Sets the current transaction's read-only status."},
    {"transform_null_equals", kBool, kUser, "off", "", 0, 0, "", kCompatible, "Accepted without effect."},
    {"wal_level", kEnum, kPostmaster, "logical", "", 0, 0, "minimal,replica,logical", kWal,
     "Sets the level of information written to the log."},
    {"work_mem", kInteger, kUser, "4096", "kB", 64, kIntMax, "", kResource,
     "Sets the maximum memory to be used for query workspaces."},
    {"xmlbinary", kEnum, kUser, "base64", "", 0, 0, "base64,hex", kClient, "Accepted without effect."},
    {"xmloption", kEnum, kUser, "content", "", 0, 0, "content,document", kClient, "Accepted without effect."},
};

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(x) == std::tolower(y);
         });
}
std::string lower(std::string_view s) {
  std::string out{s};
  for (auto& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}
std::string_view trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

struct Unit {
  std::string_view name;
  std::string_view base;
  double factor;
};  // in `base`
constexpr Unit kUnits[] = {
    {"B", "kB", 1.0 / 1024},    {"kB", "kB", 1},      {"MB", "kB", 1024},   {"GB", "kB", 1048576},
    {"TB", "kB", 1073741824.0}, {"us", "ms", 0.001},  {"ms", "ms", 1},      {"s", "ms", 1000},
    {"min", "ms", 60000},       {"h", "ms", 3600000}, {"d", "ms", 86400000}};
double unit_factor(std::string_view unit) {
  return unit == "8kB" ? 8 : (unit == "s" ? 1000 : (unit == "min" ? 60000 : 1));
}

[[noreturn]] void bad_value(const SettingDefinition& d, std::string_view value) {
  throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"{}\": \"{}\"", d.name, value);
}

std::string check_number(const SettingDefinition& d, std::string_view value) {
  const auto text = trim(value);
  double number = 0;
  const auto [at, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{}) bad_value(d, value);
  const auto suffix = trim(text.substr(static_cast<std::size_t>(at - text.data())));
  if (!suffix.empty()) {
    const bool memory = d.unit == "kB" || d.unit == "8kB",
               time = d.unit == "ms" || d.unit == "s" || d.unit == "min";
    const Unit* unit = nullptr;
    for (const auto& u : kUnits)
      if (u.name == suffix && ((memory && u.base == "kB") || (time && u.base == "ms"))) unit = &u;
    if (unit == nullptr)
      throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"{}\": \"{}\"", d.name,
                  value)
          .with_hint(memory ? "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
                            : (time ? "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", "
                                      "\"h\", and \"d\"."
                                    : ""));
    number = number * unit->factor / unit_factor(d.unit);
  }
  if (d.type == kInteger) number = std::rint(number);
  if (number < d.minimum || number > d.maximum)
    throw error(sqlstate::kInvalidParameterValue,
                "{}{}{} is outside the valid range for parameter \"{}\" ({} .. {})", number,
                d.unit.empty() ? "" : " ", d.unit, d.name, d.minimum, d.maximum);
  return d.type == kInteger ? fmt::format("{}", static_cast<std::int64_t>(number))
                            : fmt::format("{}", number);
}

std::string check_date_style(const SettingDefinition& d, std::string_view value) {
  std::string style = "ISO", order = "MDY";
  for (std::size_t at = 0; at <= value.size();) {
    const auto comma = std::min(value.find(',', at), value.size());
    const auto word = lower(trim(value.substr(at, comma - at)));
    at = comma + 1;
    if (word == "iso") style = "ISO";
    else if (word == "sql") style = "SQL";
    else if (word == "postgres" || word == "postgresql") style = "Postgres";
    else if (word == "german") {
      style = "German";
      order = "DMY";
    } else if (word == "mdy" || word == "us" || word == "noneuro" || word == "noneuropean") order = "MDY";
    else if (word == "dmy" || word == "euro" || word == "european") order = "DMY";
    else if (word == "ymd") order = "YMD";
    else if (word == "default" || word.empty()) continue;
    else bad_value(d, value);
  }
  return style + ", " + order;
}

/// search_path and the like: names with optional quotes.
std::vector<std::string> split_names(std::string_view value) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false, any = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (quoted) {
      if (c == '"' && i + 1 < value.size() && value[i + 1] == '"') {
        word += '"';
        ++i;
      } else if (c == '"') quoted = false;
      else word += c;
    } else if (c == '"') {
      quoted = any = true;
    } else if (c == ',') {
      if (any || !word.empty()) out.push_back(word);
      word.clear();
      any = false;
    } else if (!std::isspace(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  if (any || !word.empty()) out.push_back(word);
  return out;
}

}  // namespace

std::span<const SettingDefinition> setting_definitions() { return kDefinitions; }

const SettingDefinition* find_setting(std::string_view name) {
  for (const auto& d : kDefinitions)
    if (same_name(d.name, name)) return &d;
  return nullptr;
}

std::string check_setting(const SettingDefinition& d, std::string_view value) {
  switch (d.type) {
    case kBool: {
      const auto v = lower(trim(value));
      const auto prefix_of = [&](std::string_view word, std::size_t least) {
        return v.size() >= least && word.substr(0, v.size()) == v;
      };
      if (v == "1" || prefix_of("true", 1) || prefix_of("yes", 1) || v == "on") return "on";
      if (v == "0" || prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2)) return "off";
      throw error(sqlstate::kInvalidParameterValue, "parameter \"{}\" requires a Boolean value", d.name);
    }
    case kInteger:
    case kReal: return check_number(d, value);
    case kEnum: {
      const auto v = lower(trim(value));
      std::string_view choices = d.choices;
      std::string listed;
      bool has_boolean = false;
      while (!choices.empty()) {
        const auto comma = std::min(choices.find(','), choices.size());
        const auto choice = choices.substr(0, comma);
        if (choice == v) return std::string{choice};
        has_boolean = has_boolean || choice == "on";
        listed += (listed.empty() ? "" : ", ") + std::string{choice};
        choices.remove_prefix(std::min(comma + 1, choices.size()));
      }
      if (has_boolean && (v == "true" || v == "yes" || v == "1")) return "on";
      if (has_boolean && (v == "false" || v == "no" || v == "0")) return "off";
      throw error(sqlstate::kInvalidParameterValue, "invalid value for parameter \"{}\": \"{}\"", d.name,
                  value)
          .with_hint(fmt::format("Available values: {}.", listed));
    }
    case kString: break;
  }
  if (d.name == "DateStyle") return check_date_style(d, value);
  if (d.name == "client_encoding") {
    const auto v = lower(trim(value));
    if (v == "utf8" || v == "utf-8" || v == "unicode") return "UTF8";
    if (v == "sql_ascii" || v == "latin1" || v == "iso88591" || v == "win1252" || v == "latin9")
      throw not_supported("client encoding {}", value);
    bad_value(d, value);
  }
  if (d.name == "TimeZone") {
    return types::TimeZone::for_setting(trim(value)).name();
  }
  return std::string{value};
}

std::string show_setting(const SettingDefinition& d, std::string_view value) {
  if (d.type != kInteger || d.unit.empty() || value == "0" || value.starts_with('-'))
    return std::string{value};
  double n = 0;
  std::from_chars(value.data(), value.data() + value.size(), n);
  n *= unit_factor(d.unit);
  const bool memory = d.unit == "kB" || d.unit == "8kB";
  const Unit* best = nullptr;
  for (const auto& u : kUnits)
    if (u.base == (memory ? "kB" : "ms") && u.factor >= 1 && std::fmod(n, u.factor) == 0) best = &u;
  return best == nullptr ? std::string{value}
                         : fmt::format("{}{}", static_cast<std::int64_t>(n / best->factor), best->name);
}

Settings::Settings() {
  for (const auto& d : kDefinitions) refresh(d.name);
  reported_.clear();
}

std::optional<std::string> Settings::get(std::string_view name) const {
  const auto* d = find_setting(name);
  const std::string key = d != nullptr ? std::string{d->name} : lower(name);
  if (auto it = values_.find(key); it != values_.end()) return it->second;
  return reset_value(key);
}

std::optional<std::string> Settings::reset_value(std::string_view name) const {
  const auto* d = find_setting(name);
  const std::string key = d != nullptr ? std::string{d->name} : lower(name);
  for (const auto* values : {&client_, &base_})
    if (auto it = values->find(key); it != values->end()) return it->second;
  if (d != nullptr) return std::string{d->default_value};
  return std::nullopt;
}

std::string_view Settings::source(const SettingDefinition& definition) const {
  if (values_.contains(definition.name)) return "session";
  if (client_.contains(definition.name)) return "client";
  const auto base = base_.find(definition.name);
  return base != base_.end() && base->second != definition.default_value ? "configuration file" : "default";
}

void Settings::keep_as_clients() { client_ = std::exchange(values_, {}); }

std::string Settings::show(std::string_view name) const {
  const auto value = get(name);
  if (!value) throw error(sqlstate::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
  const auto* d = find_setting(name);
  return d != nullptr ? show_setting(*d, *value) : *value;
}

void Settings::set(std::string_view name, std::string_view value, bool local, bool in_transaction) {
  const auto* d = find_setting(name);
  if (d == nullptr) {
    if (name.find('.') == std::string_view::npos)
      throw error(sqlstate::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
    const std::string key = lower(name);
    auto before = values_.contains(key) ? std::optional{values_[key]} : std::nullopt;
    if (in_transaction || local) undo_.push_back({key, std::move(before), local});
    apply(key, std::string{value});
    return;
  }
  if (d->context == kInternal)
    throw error(sqlstate::kCannotChangeRuntimeParameter, "parameter \"{}\" cannot be changed", d->name);
  if (d->context == kPostmaster)
    throw error(sqlstate::kCannotChangeRuntimeParameter,
                "parameter \"{}\" cannot be changed without restarting the server", d->name);
  if (d->context == kSighup)
    throw error(sqlstate::kCannotChangeRuntimeParameter, "parameter \"{}\" cannot be changed now", d->name);
  auto normalised = check_setting(*d, value);
  const std::string key{d->name};
  auto before = values_.contains(key) ? std::optional{values_[key]} : std::nullopt;
  if (in_transaction || local) undo_.push_back({key, std::move(before), local});
  apply(key, std::move(normalised));
}

void Settings::reset(std::string_view name, bool in_transaction) {
  const auto* d = find_setting(name);
  const std::string key = d != nullptr ? std::string{d->name} : lower(name);
  if (d == nullptr && !get(key))
    throw error(sqlstate::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
  if (d != nullptr && d->context != kUser && d->context != kSuperuser)
    throw error(sqlstate::kCannotChangeRuntimeParameter, "parameter \"{}\" cannot be changed", d->name);
  if (!values_.contains(key)) return;
  if (in_transaction) undo_.push_back({key, values_[key], false});
  apply(key, std::nullopt);
}
void Settings::reset_all(bool in_transaction) {
  std::vector<std::string> names;
  for (const auto& [n, v] : values_)
    if (n != "role" && n != "session_authorization" && !n.starts_with("transaction_")) names.push_back(n);
  for (const auto& n : names) reset(n, in_transaction);
}

void Settings::rollback_to(std::size_t position) {
  while (undo_.size() > position) {
    auto undo = std::move(undo_.back());
    undo_.pop_back();
    apply(undo.name, std::move(undo.before));
  }
}
void Settings::commit() {
  // LOCAL values end: each goes back to what it was before the first LOCAL change that no plain SET followed.
  for (std::size_t i = undo_.size(); i-- > 0;) {
    if (!undo_[i].local) continue;
    bool overwritten = false;
    for (std::size_t j = i + 1; j < undo_.size(); ++j)
      overwritten = overwritten || (undo_[j].name == undo_[i].name && !undo_[j].local);
    if (!overwritten) apply(undo_[i].name, undo_[i].before);
  }
  undo_.clear();
}

std::vector<std::string> Settings::take_reported() { return std::exchange(reported_, {}); }

std::vector<std::pair<const SettingDefinition*, std::string>> Settings::all() const {
  std::vector<std::pair<const SettingDefinition*, std::string>> out;
  for (const auto& d : kDefinitions) out.emplace_back(&d, *get(d.name));
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return lower(a.first->name) < lower(b.first->name); });
  return out;
}

void Settings::apply(const std::string& name, std::optional<std::string> value) {
  if (value) values_[name] = std::move(*value);
  else values_.erase(name);
  refresh(name);
  if (!name.starts_with("transaction_")) ++generation_;
}

std::string Settings::fingerprint() const {
  std::string out;
  const auto add = [&](const auto& values, const auto* over) {
    for (const auto& [name, value] : values) {
      if (name == "application_name" || name.ends_with("_timeout") || name.starts_with("transaction_"))
        continue;
      if (over == nullptr || !over->contains(name)) out += fmt::format("{}={}", name, value) + '\0';
    }
    out += '\1';
  };
  add(client_, &values_);
  add(values_, static_cast<decltype(&values_)>(nullptr));
  return out;
}

void Settings::set_base(std::string_view name, std::string_view value) {
  base_[std::string{name}] = value;
  if (const auto now = get(name)) parse(name, *now);
}

void Settings::refresh(std::string_view name) {
  const auto* d = find_setting(name);
  if (d != nullptr && d->reported) reported_.emplace_back(d->name);
  parse(d != nullptr ? d->name : name, get(name).value_or(std::string{}));
}

namespace {
std::int64_t to_integer(const std::string& text) {
  std::int64_t v = 0;
  std::from_chars(text.data(), text.data() + text.size(), v);
  return v;
}
}  // namespace

void Settings::parse(std::string_view name, const std::string& value) {
  static constexpr std::pair<std::string_view, std::int64_t FrequentSettings::*> kIntegers[] = {
      {"lock_timeout", &FrequentSettings::lock_timeout},
      {"statement_timeout", &FrequentSettings::statement_timeout},
      {"idle_session_timeout", &FrequentSettings::idle_session_timeout},
      {"idle_in_transaction_session_timeout", &FrequentSettings::idle_in_transaction_session_timeout},
      {"rustbd.test_chunk_rows", &FrequentSettings::test_chunk_rows}};
  for (const auto& [setting, field] : kIntegers)
    if (name == setting) frequent_.*field = to_integer(value);
  if (name == "DateStyle") {
    format_.date_style =
        value.starts_with("ISO")
            ? types::DateStyle::kIso
            : (value.starts_with("SQL")
                   ? types::DateStyle::kSql
                   : (value.starts_with("German") ? types::DateStyle::kGerman : types::DateStyle::kPostgres));
    format_.date_order = value.ends_with("DMY")
                             ? types::DateOrder::kDmy
                             : (value.ends_with("YMD") ? types::DateOrder::kYmd : types::DateOrder::kMdy);
  } else if (name == "IntervalStyle") {
    format_.interval_style =
        value == "postgres_verbose"
            ? types::IntervalStyle::kPostgresVerbose
            : (value == "sql_standard" ? types::IntervalStyle::kSqlStandard
                                       : (value == "iso_8601" ? types::IntervalStyle::kIso8601
                                                              : types::IntervalStyle::kPostgres));
  } else if (name == "TimeZone") {
    format_.time_zone = types::TimeZone::find(value);
  } else if (name == "extra_float_digits") {
    format_.extra_float_digits = static_cast<int>(to_integer(value));
  } else if (name == "bytea_output") {
    format_.bytea_escape = value == "escape";
  } else if (name == "search_path") {
    search_path_ = split_names(value);
  } else if (name == "synchronous_commit") {
    frequent_.synchronous_commit = value != "off";
  } else if (name == "default_transaction_read_only") {
    frequent_.default_transaction_read_only = value == "on";
  } else if (name == "default_transaction_isolation") {
    frequent_.default_transaction_isolation = value;
  } else if (name == "application_name") {
    frequent_.application_name = value;
  }
}

}  // namespace rustbd::engine
