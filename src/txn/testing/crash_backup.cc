#include "rustbd/txn/testing/crash_backup.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/backup/reader.h"

namespace rustbd::txn::testing {

void BackupWatch::act(CrashWorld& world) {
  if (!enabled_ || running_) return;
  finish(world);
  const std::string directory = fmt::format("backup{}", ++number_);
  if (!world.disk->make_directory(directory) || !world.disk->sync_directory("")) return;
  Taken& taken = taken_[directory];
  taken.acknowledged = world.model.acknowledged();
  if (!newest_.empty() && world.chance(500)) taken.parent = newest_;
  running_ = true;
  thread_ = world.executor.start_background("backup", [this, &world, directory] {
    run(world, directory);
    running_ = false;
  });
}

void BackupWatch::run(CrashWorld& world, const std::string& directory) {
  BackupOptions options;
  options.to = {world.disk.get(), directory};
  Taken& taken = taken_[directory];
  if (!taken.parent.empty()) options.parent = {world.disk.get(), taken.parent};
  options.compression = static_cast<storage::PageCompression>(world.random.below(3));
  if (world.chance(300)) options.bytes_per_second = (1 << 20) + world.random.below(64 << 20);
  try {
    (void)make_backup(*world.system, options);
    taken.told = true;
    newest_ = directory;
  } catch (const Error& e) {
    if (!world.dead() && !world.disk_errors) refused(world, "a backup failed: " + e.message);
  }
}

void BackupWatch::refused(CrashWorld& world, const std::string& what) {
  if (world.wounded()) ++world.detections.backups;
  else world.problem(what);
}

void BackupWatch::finish(CrashWorld& world) {
  if (world.dead() && !world.disk->crashed()) world.disk->crash();
  if (thread_ != nullptr) thread_->join();
  thread_.reset();
}

// After a power failure: one that was told is there, and one with a manifest is whole or known not to be.
void BackupWatch::look(CrashWorld& world, const std::string& when) {
  newest_.clear();
  for (auto at = taken_.begin(); at != taken_.end();) {
    auto& [directory, taken] = *at;
    const bool there = world.disk->exists(backup_path(directory, kManifestName));
    if (taken.told && !there) world.problem(fmt::format("{}: {} is lost", when, directory));
    if (!there) {
      at = taken_.erase(at);
      continue;
    }
    bool use = true;
    try {
      BackupReader(*world.disk, directory).verify();
    } catch (const Error& e) {
      refused(world, fmt::format("{}: {}: {}", when, directory, e.message));
      use = world.chance(300);  // who does not verify restores it all the same
    }
    taken.told = true;
    const bool newer = newest_.empty() || std::stoi(directory.substr(6)) > std::stoi(newest_.substr(6));
    if (use && newer) newest_ = directory;
    ++at;
  }
}

void BackupWatch::verify(CrashWorld& world, const Options& options, const std::string& when,
                         const std::function<void(TransactionSystem&)>& verify_state) {
  if (!enabled_) return;
  look(world, when);
  if (newest_.empty() || !world.problems.empty()) return;
  try {
    restore(world, options, when + ", restored from " + newest_, verify_state);
  } catch (const Error& e) {
    refused(world, fmt::format("{}: {} cannot be restored: {}", when, newest_, e.message));
  }
}

void BackupWatch::restore(CrashWorld& world, const Options& options, const std::string& when,
                          const std::function<void(TransactionSystem&)>& verify_state) {
  const bool archive = options.archive_disk != nullptr;
  auto disk =
      std::make_unique<io::SimulatedDisk>(world.random.next_u64(), io::SimulatedFaults{}, &world.executor);
  RestoreOptions wanted;
  wanted.to = disk.get();
  wanted.random = &world.random;
  for (std::string at = newest_; !at.empty(); at = taken_.at(at).parent)
    wanted.chain.insert(wanted.chain.begin(), {world.disk.get(), at});
  const auto manifest = read_manifest(*world.disk, newest_);
  const Lsn live_end = world.system->durable_lsn();
  const auto choice = world.random.below(3);
  // Without an archive the log behind the backup may be gone.
  if (archive && choice != 0) wanted.archives = {{world.disk.get(), "archive"}, {world.disk.get(), "wal"}};
  const bool to_live_end = archive && choice == 1;
  if (choice == 2) {
    const Lsn last = archive ? live_end : manifest.end;
    // Often the very end of the checkpoint: nothing that came after it may be needed.
    const std::uint64_t room = last.raw() - manifest.checkpoint.raw() + 1;
    wanted.target.lsn = Lsn{manifest.checkpoint.raw() + (world.chance(300) ? 0 : world.random.below(room))};
  }
  const RestoreResult done = restore_backup(wanted);
  if (archive && !world.wounded() && world.chance(300))
    share_archive(world, options, *disk->clone(world.random.next_u64(), &world.executor), wanted, live_end,
                  when);
  Options own = options;
  own.archive_disk = nullptr;
  own.background = false;
  auto restored = TransactionSystem::open(
      {disk.get(), &world.executor.clock(), &world.executor.random(), &world.executor}, own);
  ++restored_;
  const std::uint64_t ts = restored->last_timestamp().raw();
  if (!wanted.target.lsn && ts < taken_.at(newest_).acknowledged)
    world.problem(fmt::format("{}: the state is that at {}, but {} had been acknowledged before the backup",
                              when, ts, taken_.at(newest_).acknowledged));
  if (to_live_end && ts != world.system->last_timestamp().raw())
    world.problem(fmt::format("{}: the state is that at {} instead of {}", when, ts,
                              world.system->last_timestamp().raw()));
  if (!wanted.target.lsn && done.end < manifest.end)
    world.problem(
        fmt::format("{}: the log ends at {} instead of {}", when, done.end.raw(), manifest.end.raw()));
  verify_state(*restored);
  restored->close();
}

void BackupWatch::share_archive(CrashWorld& world, const Options& options, io::SimulatedDisk& disk,
                                const RestoreOptions& wanted, Lsn live_end, const std::string& when) {
  const auto shared = world.disk->clone(world.random.next_u64(), &world.executor);
  shared->set_faults({});
  Options own = options;
  own.archive_disk = shared.get();
  own.background = false;
  own.freed_unread = nullptr;
  own.log_line = [](std::string_view) {};
  {
    const auto restored = TransactionSystem::open(
        {&disk, &world.executor.clock(), &world.executor.random(), &world.executor}, own);
    world.executor.run_for(std::chrono::milliseconds(20));
    restored->close();
  }
  ++shared_;
  const std::uint64_t wal_uuid = read_manifest(*world.disk, newest_).wal_uuid;
  for (const Lsn first : log::list_segments(*shared, "archive").value_or(std::vector<Lsn>{})) {
    const std::string name = log::segment_name(first);
    const Bytes there = shared->content("archive/" + name);
    const auto header = log::decode_segment_header(
        std::span<const std::byte, log::kSegmentHeaderBytes>{there.data(), log::kSegmentHeaderBytes});
    const std::string original = (world.disk->exists("archive/" + name) ? "archive/" : "wal/") + name;
    if (header && header->wal_uuid == wal_uuid && there != world.disk->content(original))
      world.problem(fmt::format("{}: the restored database has archived {} as the original's", when, name));
  }
  if (options.encryption.master_key) return;  // the archive has keys of both by now, of the same numbers
  io::SimulatedDisk again_disk(world.random.next_u64(), {}, &world.executor);
  RestoreOptions again = wanted;
  again.to = &again_disk;
  again.archives = {{shared.get(), "archive"}, {world.disk.get(), "wal"}};
  again.target.lsn = live_end;
  const RestoreResult done = restore_backup(again);
  if (done.end < live_end)
    world.problem(fmt::format("{}: with an archive that is shared the log ends at {} instead of {}", when,
                              done.end.raw(), live_end.raw()));
}

}  // namespace rustbd::txn::testing
