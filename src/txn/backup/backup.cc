#include "rustbd/txn/backup/backup.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/io/replace_file.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/storage/pages/checkpoint_pin.h"
#include "rustbd/storage/pages/stored_extents.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::uint64_t kPauseUs = 50'000;  // one pause of a limited rate

/// The log from `from` on is kept while it lives. One at a time.
class LogHold {
 public:
  explicit LogHold(SystemParts& parts) : parts_(parts) {
    std::uint64_t nobody = 0;
    if (!parts_.backup_hold.compare_exchange_strong(nobody, 1))
      throw error(sqlstate::kObjectInUse, "another backup is running");
  }
  ~LogHold() {
    parts_.backup_hold.store(0);
    parts_.log->hold_changed();
  }
  LogHold(const LogHold&) = delete;
  LogHold& operator=(const LogHold&) = delete;
  void set(Lsn from) {
    parts_.backup_hold.store(from.raw());
    parts_.log->hold_changed();
  }

 private:
  SystemParts& parts_;
};

class Backup {
 public:
  Backup(SystemParts& parts, const BackupOptions& options)
      : parts_(parts), options_(options), disk_(*options.to.disk) {}
  BackupManifest run();

 private:
  void require_empty();
  void read_parent();
  void copy();
  void copy_extents(const storage::CheckpointPin& pin);
  void copy_log();
  void verify_log();
  void copy_segment(StreamWriter& out, std::uint64_t number);
  void copy_keys();
  void publish();
  void remove_unfinished();
  void pace(std::uint64_t bytes);
  [[nodiscard]] std::string path(std::string_view name) const {
    return backup_path(options_.to.directory, name);
  }
  [[nodiscard]] StreamWriter stream(const char* name) {
    return StreamWriter(disk_, path(name), options_.compression, [this](std::uint64_t n) {
      if (options_.written != nullptr) options_.written->fetch_add(n, std::memory_order_relaxed);
      pace(n);
    });
  }
  [[nodiscard]] std::int64_t wall_us() const { return parts_.environment.clock->wall_us(); }

  SystemParts& parts_;
  const BackupOptions& options_;
  io::Disk& disk_;
  BackupManifest manifest_;
  std::vector<storage::StoredExtent> parent_extents_;
  std::uint64_t owed_us_ = 0;  // of pauses, by the rate
};

BackupManifest Backup::run() {
  require_empty();
  try {
    copy();
    publish();
  } catch (...) {
    remove_unfinished();
    throw;
  }
  return std::move(manifest_);
}

void Backup::require_empty() {
  const auto names = disk_.list(options_.to.directory);
  require_backup(names, "list", options_.to.directory);
  if (!names->empty())
    throw error(sqlstate::kInvalidParameterValue, "the directory of the backup is not empty")
        .with_hint("A directory without manifest.json holds an unfinished backup, which is of no use.");
}

void Backup::read_parent() {
  if (options_.parent.disk == nullptr) return;
  const BackupReader parent(*options_.parent.disk, options_.parent.directory);
  if (parent.manifest().database != manifest_.database)
    throw error(sqlstate::kInvalidParameterValue, "the parent is a backup of another database");
  manifest_.parent = parent.manifest().id;
  manifest_.parent_path = options_.parent_path;
  parent_extents_ = parent.contents().extents;
}

void Backup::copy() {
  const auto state = parts_.storage->state();
  manifest_.id = parts_.environment.random->next_u64() | 1;
  manifest_.database = fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(state.uuid >> 64),
                                   static_cast<std::uint64_t>(state.uuid));
  manifest_.wal_uuid = state.wal_uuid;
  manifest_.segment_bytes = state.log_segment_bytes;
  manifest_.encrypted = parts_.storage->keys() != nullptr;
  manifest_.began_us = wall_us();
  read_parent();
  // All log is kept until it is known what the pinned checkpoint needs.
  LogHold hold(parts_);
  const auto made = parts_.storage->checkpoint(storage::CheckpointTrigger::kRequest);
  if (!made.durable) {
    const bool full = made.why.ends_with(io::to_text(io::IoFailure::kNoSpace));
    throw error(full ? sqlstate::kDiskFull : sqlstate::kIoError, "the checkpoint of the backup failed: {}",
                made.why);
  }
  const auto pin = parts_.storage->pin_checkpoint();
  const storage::DatabaseState& pinned = pin->superblock().state;
  manifest_.epoch = pinned.epoch;
  manifest_.checkpoint = pinned.positions.lsn;
  manifest_.log_from = pinned.log_keep_lsn.is_none() ? pinned.positions.lsn
                                                     : std::min(pinned.log_keep_lsn, pinned.positions.lsn);
  manifest_.checkpoint_us = wall_us();
  hold.set(manifest_.log_from);
  copy_extents(*pin);
  manifest_.ended_us = wall_us();  // what was acknowledged before is in the log by now
  const Lsn tail = parts_.log->tail();
  parts_.log->durable(tail).wait_blocking();
  if (!parts_.log->is_durable(tail)) throw error(sqlstate::kIoError, "the log cannot be made durable");
  manifest_.end = std::max(tail, manifest_.checkpoint);
  verify_log();
  copy_log();
  copy_keys();
}

void Backup::copy_extents(const storage::CheckpointPin& pin) {
  const auto extents = storage::stored_extents(pin.file(), pin.superblock());
  storage::SuperblockImage superblock;
  storage::encode_superblock(pin.superblock(), superblock);
  StreamWriter list = stream(kExtentsName);
  list.add(superblock);
  list.add(std::as_bytes(std::span{extents}));
  manifest_.files.push_back(list.finish(kExtentsName));
  StreamWriter pages = stream(kPagesName);
  storage::AlignedBuffer image(storage::kFrameBytes);
  for (const storage::StoredExtent& stored : extents) {
    manifest_.data_bytes += stored.extent().bytes();
    if (std::ranges::binary_search(parent_extents_, stored)) continue;
    if (!storage::read_stored(pin.file(), stored, image))
      throw error(sqlstate::kDataCorrupted, "the {} blocks at block {} of the data file are damaged",
                  stored.extent().blocks, stored.extent().first_block)
          .with_hint("\"rustbd check\" on the stopped directory lists everything that is damaged.");
    pages.add(std::as_bytes(std::span{&stored, 1}));
    pages.add(image.first(stored.extent().bytes()));
    ++manifest_.extents_stored;
  }
  manifest_.extents = extents.size();
  manifest_.files.push_back(pages.finish(kPagesName));
}

// As a restore will read it: checksums and the chain of batches.
void Backup::verify_log() {
  log::LogReader reader(*parts_.environment.disk, "wal", parts_.log->geometry());
  reader.leave_sealed();
  reader.seek(manifest_.log_from);
  reader.set_limit(manifest_.end);
  auto outcome = log::ReadOutcome::kBatch;
  while (outcome == log::ReadOutcome::kBatch) {
    outcome = reader.next();
    pace(0);
  }
  if (outcome == log::ReadOutcome::kIoError) throw Error{sqlstate::kIoError, reader.problem()};
  if (outcome == log::ReadOutcome::kDamaged || reader.position() < manifest_.end)
    throw error(sqlstate::kDataCorrupted, "the log cannot be read from {} to {}: {}",
                to_text(manifest_.log_from), to_text(manifest_.end), reader.problem());
}

void Backup::copy_log() {
  const log::Geometry& geometry = parts_.log->geometry();
  StreamWriter out = stream(kBackupLogName);
  const std::uint64_t last = geometry.segment_of(manifest_.end);
  for (std::uint64_t number = geometry.segment_of(manifest_.log_from); number <= last; ++number)
    if (number != last || manifest_.end > geometry.first_batch(last)) copy_segment(out, number);
  manifest_.files.push_back(out.finish(kBackupLogName));
}

// Pieces: u64 segment, u32 offset, u32 bytes; then the bytes. What lies behind the end is left out.
void Backup::copy_segment(StreamWriter& out, std::uint64_t number) {
  const log::Geometry& geometry = parts_.log->geometry();
  const std::string from = "wal/" + log::segment_name(geometry.first_lsn(number));
  const auto file = parts_.environment.disk->open(from, {.read_only = true});
  require_backup(file, "open", from);
  const std::uint64_t bytes =
      std::min(geometry.segment_bytes(), manifest_.end.raw() - geometry.first_lsn(number).raw());
  Bytes piece;
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kPieceBytes, bytes - at));
    require_backup((*file)->read(at, piece), "read", from);
    out.add(std::as_bytes(std::span{&number, 1}));
    const std::uint32_t place[2] = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(piece.size())};
    out.add(std::as_bytes(std::span{place}));
    out.add(piece);
  }
}

void Backup::copy_keys() {
  if (!manifest_.encrypted) return;
  const Bytes keys = read_small_file(*parts_.environment.disk, security::kKeyFileName);
  const std::string to = path(kBackupKeysName);
  require_backup(io::replace_file(disk_, to, keys), "write", to);
  manifest_.files.push_back({kBackupKeysName, keys.size(), xxh3_64(keys.data(), keys.size())});
}

// Last, when all else is durable.
void Backup::publish() {
  require_backup(disk_.sync_directory(options_.to.directory), "sync", options_.to.directory);
  const std::string text = encode_manifest(manifest_);
  const std::string to = path(kManifestName);
  require_backup(io::replace_file(disk_, to, as_bytes(text)), "write", to);
}

// The manifest first, should it be there: without it the rest counts for nothing.
void Backup::remove_unfinished() {
  for (const char* name : {kManifestName, "manifest.json.new", kExtentsName, kPagesName, kBackupLogName,
                           kBackupKeysName, "keys.tab.new"})
    if (disk_.exists(path(name))) (void)disk_.remove(path(name));
}

void Backup::pace(std::uint64_t bytes) {
  const auto stop_if_cancelled = [this] {
    if (options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed))
      throw error(sqlstate::kQueryCanceled, "the backup was cancelled");
  };
  stop_if_cancelled();
  if (options_.bytes_per_second == 0) return;
  owed_us_ += bytes * 1'000'000 / options_.bytes_per_second;
  io::Executor& executor = *parts_.environment.executor;
  for (; owed_us_ >= kPauseUs; owed_us_ -= kPauseUs) {
    executor.block_on(executor.after(std::chrono::microseconds(kPauseUs)));
    stop_if_cancelled();
  }
}

}  // namespace

BackupManifest make_backup(TransactionSystem& system, const BackupOptions& options) {
  return Backup(system.parts(), options).run();
}

}  // namespace rustbd::txn
