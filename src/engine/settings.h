// Settings (GUCs): one table of definitions; a session holds the values that differ.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/types/io.h"

namespace rustbd::engine {

enum class SettingType : std::uint8_t { kBool, kInteger, kReal, kString, kEnum };
enum class SettingContext : std::uint8_t { kInternal, kPostmaster, kSighup, kSuperuser, kUser };

struct SettingDefinition {
  std::string_view name;  // as SHOW prints it
  SettingType type;
  SettingContext context;
  std::string_view default_value;
  std::string_view unit;            // "", "kB", "8kB", "ms", "s", "min"
  double minimum = 0, maximum = 0;  // numbers
  std::string_view choices;         // enums: comma-separated
  std::string_view category, description;
  bool reported = false;  // clients are told of changes (ParameterStatus)
};
std::span<const SettingDefinition> setting_definitions();
/// Case-insensitive; nullptr: unknown.
const SettingDefinition* find_setting(std::string_view name);
/// Normalises a value ("on", "64MB", ...) or throws 22023 with PostgreSQL's text.
std::string check_setting(const SettingDefinition& definition, std::string_view value);
/// How SHOW prints a normalised value ("4MB").
std::string show_setting(const SettingDefinition& definition, std::string_view value);

/// What each statement or message asks for, parsed. Times in ms; 0: no limit.
struct FrequentSettings {
  std::int64_t lock_timeout = 0, statement_timeout = 0, idle_session_timeout = 0,
               idle_in_transaction_session_timeout = 0;
  std::int64_t test_chunk_rows = 0;  // rustbd.test_chunk_rows; 0: vectors of full length
  bool synchronous_commit = true, default_transaction_read_only = false;
  std::string default_transaction_isolation, application_name;
};

/// A session's values, with the undo that transactions, savepoints and SET LOCAL need.
class Settings {
 public:
  /// Server-wide values under the session's (configuration file, flags).
  void set_base(std::string_view name, std::string_view value);
  /// What was set so far came with the connection: RESET and DISCARD ALL go back to it.
  void keep_as_clients();
  /// The normalised value. Custom names (with a dot) exist once set. nullopt: unknown.
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  [[nodiscard]] std::string show(std::string_view name) const;  // throws 42704
  /// The value that RESET goes back to.
  [[nodiscard]] std::optional<std::string> reset_value(std::string_view name) const;
  /// Where the value comes from, as in pg_settings: "default", "configuration file", "client", "session".
  [[nodiscard]] std::string_view source(const SettingDefinition& definition) const;
  /// Throws 42704, 22023, 55P02. `in_transaction`: remembered for rollback; `local`: until the transaction's
  /// end.
  void set(std::string_view name, std::string_view value, bool local, bool in_transaction);
  void reset(std::string_view name, bool in_transaction);
  void reset_all(bool in_transaction);
  [[nodiscard]] std::size_t position() const { return undo_.size(); }
  void rollback_to(std::size_t position);  // savepoint or transaction (0)
  void commit();                           // drops LOCAL values
  /// Names that changed since the last call and are reported to clients.
  std::vector<std::string> take_reported();
  /// Every setting with its session value, sorted by name: for SHOW ALL and pg_settings.
  [[nodiscard]] std::vector<std::pair<const SettingDefinition*, std::string>> all() const;
  /// Parsed forms for hot paths, kept up to date by set().
  [[nodiscard]] const types::FormatSettings& format() const { return format_; }
  [[nodiscard]] const FrequentSettings& frequent() const { return frequent_; }
  [[nodiscard]] const std::vector<std::string>& search_path() const { return search_path_; }
  /// Rises with each change: part of what a cached plan depends on.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  /// The values that differ from the server's, but for names of sessions and times that end statements: what
  /// a plan may depend on, equal in sessions where it is the same.
  [[nodiscard]] std::string fingerprint() const;
  Settings();

 private:
  struct Undo {
    std::string name;
    std::optional<std::string> before;
    bool local;
  };
  void apply(const std::string& name, std::optional<std::string> value);
  void refresh(std::string_view name);
  void parse(std::string_view name, const std::string& value);
  std::map<std::string, std::string, std::less<>> base_, client_, values_;
  std::vector<Undo> undo_;
  std::vector<std::string> reported_;
  types::FormatSettings format_{};
  FrequentSettings frequent_;
  std::vector<std::string> search_path_;
  std::uint64_t generation_ = 1;
};

}  // namespace rustbd::engine
