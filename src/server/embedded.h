// A database opened in this process with the server's configuration: what tools and the shell work on.
#pragma once

#include <memory>
#include <string>

#include "rustbd/engine/database.h"
#include "rustbd/server/config.h"
#include "rustbd/server/data_directory.h"

namespace rustbd::server {

/// The configuration of a data directory as `rustbd serve` without flags has it: its rustbd.toml, then the
/// environment.
Config config_of(const std::string& data);
/// Reads the master key if encryption is on. Throws Error as security::read_master_key.
storage::EncryptionOptions encryption_options(const Config& config);
/// For tools that only read: nullptr where the directory is not encrypted. Throws Error 55000: it is, and
/// there is no master key; and as security::KeyRing.
std::unique_ptr<security::KeyRing> open_keys(const io::Environment& environment,
                                             const storage::EncryptionOptions& options);

/// The directory of wal.archive_to, which `options` then name; outlives the database. nullptr: none is
/// configured. `data`: the data directory, which exists. Throws Error 58P01: it is not there; 22023: it lies
/// in the data directory, or that in it.
std::unique_ptr<io::Disk> open_archive(const Config& config, const std::string& data, txn::Options& options);

/// What a reload may change while the database works.
struct BufferChoices {
  storage::EvictionPolicyKind policy = storage::EvictionPolicyKind::kClock;
  storage::WriteStrategy strategy = storage::WriteStrategy::kWriteBack;
  storage::PageCompression compression = storage::PageCompression::kLz4;
};
BufferChoices buffer_choices(const Config& config);

/// Sizes and settings that a configuration gives to the engine; without what open_archive() adds.
engine::DatabaseOptions database_options(const Config& config);

/// Real disk, clock, threads, and the database on them; closed (final checkpoint) when destroyed. No session
/// may be left.
class EmbeddedDatabase {
 public:
  enum class Access : std::uint8_t { kCreate, kOpen, kReadOnly };
  /// Throws Error: 58P01 no such directory, 55006 another process has it, XX001 damaged, 58030 I/O.
  EmbeddedDatabase(const std::string& path, const Config& config, Access access);
  ~EmbeddedDatabase();
  EmbeddedDatabase(const EmbeddedDatabase&) = delete;
  EmbeddedDatabase& operator=(const EmbeddedDatabase&) = delete;
  [[nodiscard]] engine::Database& database() { return *database_; }
  [[nodiscard]] io::Executor& executor() { return *executor_; }
  [[nodiscard]] io::Environment environment() {
    return {directory_.disk.get(), clock_.get(), random_.get(), executor_.get()};
  }

 private:
  std::unique_ptr<io::Clock> clock_;
  std::unique_ptr<io::Random> random_;
  std::unique_ptr<io::Executor> executor_;
  DataDirectory directory_;
  std::unique_ptr<io::Disk> archive_;  // wal.archive_to; null: none
  std::unique_ptr<engine::Database> database_;
};

}  // namespace rustbd::server
