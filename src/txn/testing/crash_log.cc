#include "rustbd/txn/testing/crash_log.h"

#include <fmt/format.h>

#include "rustbd/base/error.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn::testing {

void LogWatch::choose(CrashWorld& world, Options& options) {
  archive_ = world.chance(300);
  if (!archive_) return;
  (void)world.disk->make_directory("archive");
  (void)world.disk->sync_directory("");
  options.archive_disk = world.disk.get();
  options.archive_directory = "archive";
}

void LogWatch::act(CrashWorld& world) {
  TransactionSystem& system = *world.system;
  const std::string name = fmt::format("c{}", world.random.below(3));
  try {
    if (!consumers_.contains(name) || in_doubt_.contains(name)) {
      in_doubt_.insert(name);
      for (const auto& found : system.log_consumers())
        if (found.name == name) system.drop_log_consumer(name);
      consumers_[name] = system.create_log_consumer(name);
      in_doubt_.erase(name);
    } else if (world.chance(200)) {
      in_doubt_.insert(name);
      system.drop_log_consumer(name);
      consumers_.erase(name);
      in_doubt_.erase(name);
    } else {
      const Lsn position = system.durable_lsn();
      consumers_[name] = position;
      system.advance_log_consumer(name, position);
    }
  } catch (const Error& e) {
    if (!world.dead() && !world.disk_errors) world.problem("a consumer of the log: " + e.message);
  }
}

void LogWatch::verify(CrashWorld& world, const std::string& when) {
  std::map<std::string, Lsn> found;
  for (const auto& consumer : world.system->log_consumers()) {
    found[consumer.name] = consumer.position;
    verify_consumer(world, when, consumer);
  }
  for (const auto& [name, position] : consumers_) {
    if (!found.contains(name) && !in_doubt_.contains(name))
      world.problem(fmt::format("{}: consumer {} of the log is lost", when, name));
  }
  for (const auto& name : in_doubt_) consumers_.erase(name);
  for (const auto& [name, position] : found) consumers_[name] = position;
  in_doubt_.clear();
  if (archive_) verify_archive(world, when);
}

void LogWatch::verify_consumer(CrashWorld& world, const std::string& when,
                               const TransactionSystem::LogConsumer& found) {
  const auto known = consumers_.find(found.name);
  if (!in_doubt_.contains(found.name) && (known == consumers_.end() || found.position > known->second))
    world.problem(fmt::format("{}: consumer {} is at {}", when, found.name, found.position.raw()));
  log::LogReader reader(*world.disk, "wal", world.system->parts().log->geometry(),
                        world.system->parts().storage->keys());
  const Lsn end = world.system->durable_lsn();
  reader.seek(found.position);
  reader.set_limit(end);
  log::ReadOutcome outcome = log::ReadOutcome::kBatch;
  while (outcome == log::ReadOutcome::kBatch) outcome = reader.next();
  const bool damaged = outcome == log::ReadOutcome::kDamaged ||
                       (outcome == log::ReadOutcome::kIoError && world.has_lost_sectors());
  if (damaged && world.wounded()) {
    ++world.detections.findings;
    return;
  }
  if (outcome != log::ReadOutcome::kEnd || reader.position() < end)
    world.problem(fmt::format("{}: consumer {} at {} finds the log up to {} of {}: {}", when, found.name,
                              found.position.raw(), reader.position().raw(), end.raw(), reader.problem()));
}

// From the first segment on everything is in the archive or still in the log.
void LogWatch::verify_archive(CrashWorld& world, const std::string& when) {
  const log::Geometry& geometry = world.system->parts().log->geometry();
  std::uint64_t next = 0;
  for (const Lsn first : log::list_segments(*world.disk, "archive").value_or(std::vector<Lsn>{})) {
    const std::uint64_t number = geometry.segment_of(first);
    if (number != next) world.problem(fmt::format("{}: segment {} is not in the archive", when, next));
    next = number + 1;
  }
  const auto kept = log::list_segments(*world.disk, "wal").value_or(std::vector<Lsn>{});
  if (kept.empty() || geometry.segment_of(kept.front()) > next)
    world.problem(fmt::format("{}: segment {} is neither in the archive nor in the log", when, next));
  if (world.rots) return;  // what was copied may have been damaged before
  if (world.system->metrics().expose().find("rustbd_wal_archive_damaged_segments_total 0") ==
      std::string::npos)
    world.problem(when + ": the archiver tells of damage that there is not");
  if (next < 2) return;
  log::LogReader reader(*world.disk, "archive", geometry);
  reader.leave_sealed();
  const Lsn end = geometry.first_lsn(next - 1);  // the last copy's last batch may go on in the log
  reader.seek(geometry.first_batch(0));
  reader.set_limit(end);
  log::ReadOutcome outcome = log::ReadOutcome::kBatch;
  while (outcome == log::ReadOutcome::kBatch) outcome = reader.next();
  if (outcome == log::ReadOutcome::kIoError && world.disk_errors) return;
  if (outcome != log::ReadOutcome::kEnd || reader.position() < end)
    world.problem(fmt::format("{}: the archive can be read up to {} of {}: {}", when, reader.position().raw(),
                              end.raw(), reader.problem()));
}

}  // namespace rustbd::txn::testing
