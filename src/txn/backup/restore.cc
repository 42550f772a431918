#include "rustbd/txn/backup/restore.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/io/replace_file.h"
#include "rustbd/storage/pages/data_file.h"
#include "rustbd/storage/pages/space.h"
#include "rustbd/txn/backup/reader.h"
#include "rustbd/txn/backup/restore_log.h"

namespace rustbd::txn {
namespace {

class Restore {
 public:
  explicit Restore(const RestoreOptions& options);
  RestoreResult run();

 private:
  void require_chain() const;
  void require_target() const;
  void require_empty() const;
  void write_data();
  void verify_data(storage::DataFile& file) const;
  [[nodiscard]] Bytes merged_keys() const;
  [[nodiscard]] std::unique_ptr<security::KeyRing> open_ring(ByteSpan keys) const;
  void write_keys(Bytes keys, std::set<std::uint32_t> needed);
  void write_superblock(std::uint64_t wal_uuid);
  void say(const std::string& line) const {
    if (options_.log_line) options_.log_line(line);
  }
  [[nodiscard]] const BackupManifest& manifest() const { return chain_.back().manifest(); }

  const RestoreOptions& options_;
  std::deque<BackupReader> chain_;
  BackupReader::Contents contents_;
  std::unique_ptr<storage::DataFile> file_;
  RestoreResult result_;
};

Restore::Restore(const RestoreOptions& options) : options_(options) {
  for (const BackupPlace& place : options.chain) chain_.emplace_back(*place.disk, place.directory);
}

RestoreResult Restore::run() {
  require_chain();
  require_target();
  const Bytes keys = merged_keys();
  const auto ring = open_ring(keys);
  RestoreLog log(options_, chain_.back(), ring.get());
  log.require_segments();
  contents_ = chain_.back().contents();
  for (const auto& stored : contents_.extents)
    result_.data_bytes = std::max(result_.data_bytes, stored.extent().offset() + stored.extent().bytes());
  if (options_.to == nullptr) {
    for (const BackupReader& backup : chain_) backup.verify();
    result_.end = options_.target.lsn.value_or(manifest().end);
    return result_;
  }
  require_empty();
  write_data();
  const std::uint64_t wal_uuid = options_.random->next_u64() | 1;
  log.run(result_, wal_uuid);
  write_keys(keys, log.key_ids());
  require_backup(options_.to->sync_directory(""), "sync", "the data directory");
  write_superblock(wal_uuid);
  // The server takes a directory with LOCK in it for a database.
  const auto lock = options_.to->lock(storage::kLockFileName);
  require_backup(lock, "make", storage::kLockFileName);
  require_backup(options_.to->sync_directory(""), "sync", "the data directory");
  return result_;
}

void Restore::require_chain() const {
  std::uint64_t parent = 0;
  for (const BackupReader& backup : chain_) {
    const BackupManifest& m = backup.manifest();
    if (m.parent != parent)
      throw error(sqlstate::kUndefinedFile, "the backup {:016x} needs backup {:016x}, which is not there",
                  m.id, m.parent);
    parent = m.id;
  }
}

void Restore::require_target() const {
  const BackupManifest& m = manifest();
  if (options_.target.lsn && *options_.target.lsn < m.checkpoint)
    throw error(sqlstate::kInvalidParameterValue,
                "the target lies before the backup, which holds the state from {} on", to_text(m.checkpoint))
        .with_hint("Take an older backup.");
  if (options_.target.time_us && *options_.target.time_us < m.checkpoint_us)
    throw error(sqlstate::kInvalidParameterValue,
                "the target lies {:.3f} seconds before the backup's checkpoint",
                static_cast<double>(m.checkpoint_us - *options_.target.time_us) * 1e-6)
        .with_hint("Take an older backup.");
}

void Restore::require_empty() const {
  const auto names = options_.to->list("");
  require_backup(names, "list", "the data directory");
  if (!names->empty())
    throw error(sqlstate::kInvalidParameterValue, "the directory to restore to is not empty");
}

// Older backups first. What none of the later checkpoints kept is left out.
void Restore::write_data() {
  const std::string path = storage::kDataFileName;
  auto opened = options_.to->open(path, {.create = true});
  require_backup(opened, "make", path);
  io::File& file = **opened;
  const std::uint64_t bytes =
      std::max<std::uint64_t>(result_.data_bytes, storage::Space::kFileBlocksMin * storage::kBlockBytes);
  require_backup(file.allocate(0, bytes), "make", path);
  result_.data_bytes = bytes;
  for (const BackupReader& backup : chain_) {
    say(fmt::format("backup {:016x}: {} extents", backup.manifest().id, backup.manifest().extents_stored));
    backup.each_page([&](const storage::StoredExtent& stored, ByteSpan image) {
      if (std::ranges::binary_search(contents_.extents, stored))
        require_backup(file.write(stored.extent().offset(), image), "write", path);
    });
  }
  require_backup(file.datasync(), "sync", path);
  file_ = std::make_unique<storage::DataFile>(std::move(*opened), nullptr);
  verify_data(*file_);
}

// From the file, by what the superblock reaches: as a start will find it.
void Restore::verify_data(storage::DataFile& file) const {
  const auto incomplete = [](std::string_view what) {
    return error(sqlstate::kDataCorrupted, "the backup and its parents do not have {}", what);
  };
  storage::AlignedBuffer image(storage::kFrameBytes);
  for (const storage::StoredExtent& stored : contents_.extents)
    if (!storage::read_stored(file, stored, image))
      throw incomplete(fmt::format("the extent at block {}", stored.extent().first_block));
  if (storage::stored_extents(file, contents_.superblock) != contents_.extents)
    throw incomplete("the extents that the superblock reaches");
}

// The backup's pages need the keys of its table, which may be destroyed by now; the log behind it those of
// later starts, which an archive's table has. Beside the wal/ of a data directory stands the newest one.
Bytes Restore::merged_keys() const {
  Bytes keys = manifest().encrypted ? chain_.back().keys() : Bytes{};
  for (const BackupPlace& archive : options_.archives) {
    const std::string path = archive.directory == kLogDirectory
                                 ? std::string(security::kKeyFileName)
                                 : backup_path(archive.directory, kBackupKeysName);
    if (!archive.disk->exists(path)) continue;
    Bytes other = read_small_file(*archive.disk, path);
    if (keys.empty()) {  // encryption was switched on after the backup
      keys = std::move(other);
      continue;
    }
    // Wrapped by another master key by now, it will do if it has them all.
    security::MergedKeys both = security::merge_key_tables(keys, other);
    if (both.outcome == security::KeyMerge::kOtherKey)
      throw error(sqlstate::kObjectNotInPrerequisiteState,
                  "encryption key {} of an archive is not the one of that number that the backup or another "
                  "archive has",
                  both.key_id)
          .with_hint("One of them belongs to another database. Name with --archive only those of this one.");
    if (both.outcome == security::KeyMerge::kDone &&
        security::key_ids(both.file).size() > security::key_ids(keys).size())
      keys = std::move(both.file);
  }
  return keys;
}

/// Only to find a restore point; nullptr: not needed, or there is no key at all.
std::unique_ptr<security::KeyRing> Restore::open_ring(ByteSpan keys) const {
  if (!options_.target.name || keys.empty()) return nullptr;
  if (!options_.master_key) {
    if (!manifest().encrypted) return nullptr;
    throw no_master_key();
  }
  try {
    return security::KeyRing::of_table(keys, *options_.master_key);
  } catch (const Error& e) {
    if (e.state != sqlstate::kInvalidAuthorization || !manifest().encrypted) throw;
  }
  // That of the backup's time, which has been changed since.
  return security::KeyRing::of_table(chain_.back().keys(), *options_.master_key);
}

void Restore::write_keys(Bytes keys, std::set<std::uint32_t> needed) {
  if (!manifest().encrypted && needed.empty()) return;
  const auto ids = security::key_ids(keys);
  for (const std::uint32_t id : needed)
    if (!std::ranges::binary_search(ids, id)) throw missing_key(id);
  if (ids.size() >= security::kKeysMany) {  // an archive's table loses none
    if (manifest().encrypted) {
      const auto own = security::key_ids(chain_.back().keys());
      needed.insert(own.begin(), own.end());
    }
    keys = security::only_keys(keys, needed);
  }
  require_backup(io::replace_file(*options_.to, security::kKeyFileName, keys), "write",
                 security::kKeyFileName);
}

void Restore::write_superblock(std::uint64_t wal_uuid) {
  storage::Superblock superblock = contents_.superblock;
  superblock.state.wal_uuid = wal_uuid;
  superblock.file_blocks = result_.data_bytes / storage::kBlockBytes;
  const std::string path = storage::kDataFileName;
  require_backup(storage::write_superblock(*file_, superblock), "write", path);
  require_backup(file_->datasync(), "sync", path);
}

}  // namespace

RestoreResult restore_backup(const RestoreOptions& options) { return Restore(options).run(); }

}  // namespace rustbd::txn
