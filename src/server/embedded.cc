#include "rustbd/server/embedded.h"

#include <bit>
#include <filesystem>
#include <thread>

#include "rustbd/io/paths.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/buffer/eviction_policy.h"
#include "rustbd/storage/buffer/write_strategy.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/storage/pages/thread_slot.h"

namespace rustbd::server {
namespace {

static_assert(kExecThreadsMax + kNetworkThreadsMax + kRecoveryWorkersMax + 64 < storage::kThreadSlots);

/// Between 1 MiB and 1 GiB, a power of two; a database that exists keeps its own.
std::uint64_t log_segment_bytes(const Config& config) {
  const auto bytes = config.bytes("wal.segment_size");
  if (!std::has_single_bit(bytes) || bytes < (1ull << 20) || bytes > (1ull << 30))
    throw error(sqlstate::kInvalidParameterValue,
                "wal.segment_size: {} is not a power of two between 1MiB and 1GiB",
                config.text("wal.segment_size"));
  return bytes;
}

}  // namespace

Config config_of(const std::string& data) {
  Config config;
  const std::string file = data + "/rustbd.toml";
  if (std::filesystem::exists(file)) config.read_file(file);
  config.read_environment(environ);
  return config;
}

storage::EncryptionOptions encryption_options(const Config& config) {
  storage::EncryptionOptions o;
  if (!config.boolean("encryption.enabled")) return o;
  o.master_key = security::read_master_key(config.text("encryption.key_source"));
  o.cipher =
      security::cipher_from_text(config.text("encryption.algorithm")).value_or(security::Cipher::kNone);
  o.reseal_bytes_per_second = config.bytes("encryption.reseal_rate");
  return o;
}

std::unique_ptr<security::KeyRing> open_keys(const io::Environment& environment,
                                             const storage::EncryptionOptions& options) {
  const auto state = storage::read_database_state(*environment.disk);
  if (!(state && state->encrypted()) && !environment.disk->exists(security::kKeyFileName)) return nullptr;
  if (!options.master_key)
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "the data directory is encrypted, and there is no master key")
        .with_hint("Set encryption.enabled and encryption.key_source.");
  return security::KeyRing::open_read_only(environment, *options.master_key, state ? state->next_key_id : 0);
}

std::unique_ptr<io::Disk> open_archive(const Config& config, const std::string& data, txn::Options& options) {
  const auto& archive = config.text("wal.archive_to");
  options.own_paths = {data, data + "/wal"};  // which may be a link to elsewhere
  if (archive.empty()) return nullptr;
  if (!std::filesystem::is_directory(archive))
    throw error(sqlstate::kUndefinedFile, "wal.archive_to: there is no directory \"{}\"", archive);
  for (const std::string& own : options.own_paths)
    if (io::lies_in(archive, own) || io::lies_in(own, archive))
      throw error(sqlstate::kInvalidParameterValue,
                  "wal.archive_to: \"{}\" is not apart from the data directory's \"{}\"", archive, own)
          .with_hint("Log files there are used again: name another directory, best on another disk.");
  options.own_paths.push_back(archive);
  auto disk = io::make_real_disk(archive);
  options.archive_disk = disk.get();
  options.archive_directory = std::string(".");
  return disk;
}

BufferChoices buffer_choices(const Config& config) {
  BufferChoices out;
  for (const auto policy : storage::kEvictionPolicyKinds)
    if (to_text(policy) == config.text("buffer.eviction_policy")) out.policy = policy;
  for (const auto strategy : storage::kWriteStrategies)
    if (to_text(strategy) == config.text("buffer.write_strategy")) out.strategy = strategy;
  const auto compression = config.text("storage.compression");
  out.compression = compression == "lz4"    ? storage::PageCompression::kLz4
                    : compression == "zstd" ? storage::PageCompression::kZstd
                                            : storage::PageCompression::kNone;
  return out;
}

engine::DatabaseOptions database_options(const Config& config) {
  engine::DatabaseOptions o;
  const auto memory = available_memory();
  const auto or_share = [&](std::string_view key, std::uint64_t share) {
    return config.text(key).empty() ? share : config.bytes(key);
  };
  auto& s = o.storage;
  s.encryption = encryption_options(config);
  s.buffer_bytes = or_share("buffer.size", memory / 4);
  s.undo_limit_bytes = or_share("txn.undo_limit", memory / 4);
  const BufferChoices buffer = buffer_choices(config);
  s.eviction_policy = buffer.policy;
  s.write_strategy = buffer.strategy;
  s.page_compression = buffer.compression;
  s.direct_io = config.boolean("buffer.direct_io");
  s.checkpoint_interval_us = static_cast<std::uint64_t>(config.microseconds("checkpoint.timeout"));
  s.checkpoint_log_bytes = config.bytes("checkpoint.wal_volume");
  s.recovery_target_us = static_cast<std::uint64_t>(config.microseconds("checkpoint.recovery_target"));
  const auto workers = config.count("recovery.workers");
  const std::uint64_t cores = std::max(1u, std::thread::hardware_concurrency());
  s.recovery_workers =
      static_cast<std::uint32_t>(workers != 0 ? workers : std::min(cores, kRecoveryWorkersMax));
  s.log_retention_us = static_cast<std::uint64_t>(config.microseconds("wal.retention"));
  s.log_retention_bytes = config.bytes("wal.retention_size");
  s.relocation_bytes_per_second = config.bytes("storage.relocation_rate");
  s.log_segment_bytes = log_segment_bytes(config);
  const auto rest = memory * 6 / 10 > s.buffer_bytes ? memory * 6 / 10 - s.buffer_bytes : memory / 8;
  o.query_memory_bytes =
      or_share("exec.query_memory_limit", std::max<std::uint64_t>(rest / 4, std::uint64_t{64} << 20));
  o.max_connections = config.count("server.max_connections");
  s.prepared_transactions_max = static_cast<std::uint32_t>(config.count("txn.max_prepared_transactions"));
  const auto milliseconds = [&](std::string_view key) {
    return std::to_string(config.microseconds(key) / 1000);
  };
  o.settings = {{"max_connections", config.text("server.max_connections")},
                {"max_prepared_transactions", config.text("txn.max_prepared_transactions")},
                {"shared_buffers", std::to_string(s.buffer_bytes / 8192)},
                {"statement_timeout", milliseconds("exec.statement_timeout")},
                {"lock_timeout", milliseconds("exec.lock_timeout")},
                {"idle_in_transaction_session_timeout", milliseconds("exec.idle_in_transaction_timeout")},
                {"default_transaction_isolation", config.text("txn.default_isolation")},
                {"synchronous_commit", config.text("wal.sync")},
                {"ssl", config.text("tls.cert").empty() ? "off" : "on"}};
  return o;
}

EmbeddedDatabase::EmbeddedDatabase(const std::string& path, const Config& config, Access access)
    : clock_(io::make_system_clock()),
      random_(io::make_system_random()),
      executor_(io::make_thread_executor(
          std::clamp<std::uint64_t>(std::thread::hardware_concurrency(), 1, kExecThreadsMax))),
      directory_(open_data_directory(path, access == Access::kCreate)) {
  auto options = database_options(config);
  options.storage.read_only = access == Access::kReadOnly;
  if (!options.storage.read_only) archive_ = open_archive(config, path, options.storage);
  database_ = engine::Database::open(environment(), std::move(options));
}
EmbeddedDatabase::~EmbeddedDatabase() {
  if (database_) database_->close();
  database_.reset();
  executor_->stop();
}

}  // namespace rustbd::server
