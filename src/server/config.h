// The server's configuration: what can be said, where it was said, and which says wins (flag > variable >
// file > default). Shapes: docs of the configuration file; keys are "section.key".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rustbd::server {

enum class Source : std::uint8_t { kDefault, kFile, kVariable, kFlag };
std::string_view to_text(Source source);

enum class ValueKind : std::uint8_t { kText, kBool, kCount, kBytes, kDuration, kList, kChoice };

struct ConfigKey {
  std::string_view name;  // "server.listen"
  ValueKind kind;
  std::string_view default_value;  // "" may mean "computed"
  std::string_view choices;        // kChoice: comma-separated
  std::string_view help;
  std::uint64_t min = 0, max = ~std::uint64_t{0};  // kCount; kBytes: min
};
/// All of them, with the server's own threads, have slots (storage::thread_slot()).
inline constexpr std::uint64_t kExecThreadsMax = 512, kNetworkThreadsMax = 256, kRecoveryWorkersMax = 128;
/// Each session has up to two snapshots (txn::SnapshotRegistry::kSlots).
inline constexpr std::uint64_t kConnectionsMax = 16000;
std::vector<ConfigKey> const& config_keys();

struct ConfigValue {
  std::string text;  // lists: elements separated by commas
  Source source = Source::kDefault;
};

/// Values as text, checked when they are set. Errors: Error 22023 that names the key, the value and where it
/// stood.
class Config {
 public:
  Config();
  /// Throws for an unknown key, with the nearest known one; ignores a value of lower rank than what is there.
  void set(std::string_view key, std::string_view value, Source source);
  /// A TOML file. Throws with file name and line.
  void read_file(const std::string& path);
  /// RUSTBD_SERVER_LISTEN and so on; throws as set() for one that is meant to be a key. `environment`:
  /// "NAME=value" strings, ended by nullptr.
  void read_environment(char** environment);

  /// A value that was read and checked before.
  void replace(std::string_view key, const ConfigValue& value) { values_.find(key)->second = value; }

  [[nodiscard]] const std::string& text(std::string_view key) const;
  [[nodiscard]] Source source(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;
  [[nodiscard]] std::uint64_t count(std::string_view key) const;
  [[nodiscard]] std::uint64_t bytes(std::string_view key) const;        // "64MiB"
  [[nodiscard]] std::int64_t microseconds(std::string_view key) const;  // "30s"
  [[nodiscard]] std::vector<std::string> list(std::string_view key) const;
  [[nodiscard]] const std::map<std::string, ConfigValue, std::less<>>& all() const { return values_; }

 private:
  [[nodiscard]] const ConfigValue& at(std::string_view key) const;
  std::map<std::string, ConfigValue, std::less<>> values_;
};

/// "64MiB", "4GB", "4096", "1.5GiB" → bytes (KB, MB, GB and TB are powers of 1024 too, as in PostgreSQL);
/// throws 22023.
std::uint64_t parse_bytes(std::string_view text);
/// "30s", "5m", "500ms", "1h", "7d", "0"; throws 22023.
std::int64_t parse_duration_us(std::string_view text);
/// Memory that this process may use: the cgroup's limit or the machine's, in bytes.
std::uint64_t available_memory();

}  // namespace rustbd::server
