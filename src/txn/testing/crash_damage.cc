#include "rustbd/txn/testing/crash_damage.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"
#include "rustbd/security/key_ring.h"
#include "rustbd/storage/pages/storage.h"
#include "rustbd/storage/pages/superblock.h"

namespace rustbd::txn::testing {

namespace {

constexpr const char* kConsumers = "wal/consumers";

bool overlaps(std::uint64_t a, std::uint64_t a_bytes, std::uint64_t b, std::uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

}  // namespace

void DamagePlan::choose(CrashWorld& world, bool unrecoverable, std::string& settings) {
  if (!world.has(kDamage)) return;
  auto& random = world.random;
  unrecoverable_ = unrecoverable;
  world.damage = unrecoverable || world.chance(150);
  if (!world.damage) return;
  spared_copy_ = static_cast<int>(random.below(2));
  const auto rate = [&](std::uint32_t per_mille) {
    return world.chance(per_mille) ? static_cast<std::uint32_t>(500u << random.below(6)) : 0;
  };
  lost_write_ = rate(500);
  misdirected_write_ = rate(350);
  misdirected_read_ = rate(350);
  hits_max_ = world.chance(700) ? static_cast<std::uint32_t>(1 + random.below(unrecoverable ? 8 : 4)) : 0;
  world.rots = hits_max_ > 0;
  settings += fmt::format(" damage: lost {} misdirected {} {} at rest {}", lost_write_, misdirected_write_,
                          misdirected_read_, hits_max_);
}

void DamagePlan::choose_latency(CrashWorld& world, io::SimulatedFaults& faults, std::string& settings) {
  if (!world.has(kDamage) || !world.chance(150)) return;
  faults.latency_us_median = static_cast<std::uint32_t>(10u << world.random.below(6));
  faults.stall = world.chance(600) ? static_cast<std::uint32_t>(100u << world.random.below(6)) : 0;
  faults.stall_us = static_cast<std::uint32_t>(1000 + world.random.below(500'000));
  settings +=
      fmt::format(" slow: {} stalls {} of {}", faults.latency_us_median, faults.stall, faults.stall_us);
}

void DamagePlan::add_to(io::SimulatedFaults& faults) const {
  faults.lost_write = lost_write_;
  faults.misdirected_write = misdirected_write_;
  faults.misdirected_read = misdirected_read_;
  faults.may_damage = [this](std::string_view path, std::uint64_t offset, std::uint64_t bytes) {
    return may_damage(path, offset, bytes);
  };
}

bool DamagePlan::may_damage(std::string_view path, std::uint64_t offset, std::uint64_t bytes) const {
  if (path.starts_with("archive/") && path.ends_with(".tmp")) return true;  // read again before it is a copy
  if (path.starts_with("backup")) return true;                              // verified where it is read
  if (path != storage::kDataFileName) return unrecoverable_ && path.starts_with(security::kKeyFileName);
  if (unrecoverable_) return true;
  for (int slot = spared_copy_; slot < 4; slot += 2)
    if (overlaps(offset, bytes, storage::kSuperblockOffsets[slot], storage::kSuperblockBytes)) return false;
  return true;
}

void DamagePlan::hit(CrashWorld& world, const std::string& path, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return;
  auto& random = world.random;
  const std::vector<std::byte> content = world.disk->content(path);
  std::uint64_t at = from + random.below(to - from);
  for (int tries = 0; tries < 10 && content[at] == std::byte{0}; ++tries) at = from + random.below(to - from);
  if (world.chance(200)) return lose_sectors(world, path, at, from, to);
  std::vector<std::byte> bytes;
  if (world.chance(500)) {
    bytes = {content[at] ^ static_cast<std::byte>(1u << random.below(8))};
  } else {
    at = std::max(from, at / io::kSectorBytes * io::kSectorBytes);
    const std::uint64_t n = std::min((1 + random.below(8)) * io::kSectorBytes, to - at);
    bytes.resize(n);
    if (world.chance(500) && content.size() > n) {
      const std::uint64_t other = random.below(content.size() - n + 1) / io::kSectorBytes * io::kSectorBytes;
      std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(other), n, bytes.begin());
    }
  }
  const bool allowed = path != storage::kDataFileName || may_damage(path, at, bytes.size());
  if (allowed) world.disk->overwrite_at_rest(path, at, bytes);
}

/// Some from the one that holds `at`, if they lie in [from, to).
void DamagePlan::lose_sectors(CrashWorld& world, const std::string& path, std::uint64_t at,
                              std::uint64_t from, std::uint64_t to) {
  at = at / io::kSectorBytes * io::kSectorBytes;
  const std::uint64_t sectors = 1 + world.random.below(8), bytes = sectors * io::kSectorBytes;
  if (at < from || at + bytes > to) return;
  if (path == storage::kDataFileName && !may_damage(path, at, bytes)) return;
  world.disk->lose_sectors(path, at, sectors);
}

void DamagePlan::hit_data_file(CrashWorld& world) {
  const std::uint64_t size = world.disk->content(storage::kDataFileName).size();
  if (!world.chance(150)) return hit(world, storage::kDataFileName, 0, size);
  // Mostly free room is hit, so the superblock gets its share.
  const std::uint64_t slot = storage::kSuperblockOffsets[world.random.below(4)];
  hit(world, storage::kDataFileName, slot, std::min<std::uint64_t>(slot + storage::kSuperblockBytes, size));
}

void DamagePlan::hit_key_table(CrashWorld& world) {
  const std::uint64_t size = world.disk->content(security::kKeyFileName).size(), half = size / 2;
  if (unrecoverable_) hit(world, security::kKeyFileName, 0, size);
  else if (spared_copy_ == 0) hit(world, security::kKeyFileName, half, size);
  else hit(world, security::kKeyFileName, 0, half);
}

void DamagePlan::hit_log(CrashWorld& world) {
  // Read from a copy: this is no reader that could notice anything.
  const auto copy = world.disk->clone(1);
  copy->set_faults({});
  const auto state = storage::read_database_state(*copy);
  const auto segments = log::list_segments(*copy, "wal");
  if (!state || !segments) return;
  const log::Geometry geometry(state->log_segment_bytes);
  log::LogReader reader(*copy, "wal", geometry);
  reader.leave_sealed();
  const Lsn start = state->positions.lsn.is_none() ? geometry.first_batch(0) : state->positions.lsn;
  reader.seek(start);
  log::ReadOutcome got = log::ReadOutcome::kBatch;
  while (got == log::ReadOutcome::kBatch) got = reader.next();
  const Lsn durable = reader.end().durable;
  if (got != log::ReadOutcome::kEnd || durable.is_none()) return;  // hurt already, or nothing is on record
  const std::uint64_t last = geometry.segment_of(durable);
  std::vector<std::uint64_t> numbers;
  for (const Lsn first : *segments)
    if (geometry.segment_of(first) <= last) numbers.push_back(geometry.segment_of(first));
  if (numbers.empty()) return;
  std::uint64_t number = numbers[world.random.below(numbers.size())];
  if (world.chance(500)) number = geometry.segment_of(start);
  const std::string path = "wal/" + log::segment_name(geometry.first_lsn(number));
  const std::uint64_t bytes = world.disk->content(path).size();
  const bool whole = number < last;
  const std::uint64_t to = whole ? bytes : std::min(bytes, durable.raw() % geometry.segment_bytes());
  // The header of the segment that holds the record is needed to believe the record.
  std::uint64_t from = whole && world.chance(200) ? 0 : log::kSegmentHeaderBytes;
  if (number == geometry.segment_of(start) && world.chance(500))
    from = std::max(from, start.raw() % geometry.segment_bytes());
  hit(world, path, from, to);
}

// Of a backup or of the archive: any file.
void DamagePlan::hit_copies(CrashWorld& world) {
  std::vector<std::string> paths;
  for (const auto& directory : world.disk->list("").value_or(std::vector<std::string>{})) {
    if (directory != "archive" && !directory.starts_with("backup")) continue;
    for (const auto& name : world.disk->list(directory).value_or(std::vector<std::string>{}))
      paths.push_back(directory + "/" + name);
  }
  if (paths.empty()) return;
  const std::string& path = paths[world.random.below(paths.size())];
  hit(world, path, 0, world.disk->content(path).size());
}

void DamagePlan::at_rest(CrashWorld& world) {
  if (!world.damage || hits_max_ == 0 || !world.chance(600)) return;
  for (std::uint64_t n = 1 + world.random.below(hits_max_); n > 0; --n) {
    const auto what = world.random.below(100);
    if (what < 65) hit_data_file(world);
    else if (what < 85) hit_log(world);
    else if (what < 95 && world.disk->exists(security::kKeyFileName)) hit_key_table(world);
    else if (world.disk->exists(kConsumers))
      hit(world, kConsumers, 0, world.disk->content(kConsumers).size());
  }
  if (world.chance(500)) hit_copies(world);
}

}  // namespace rustbd::txn::testing
