// Part of the crash simulation: what a seed's disk does that nobody is told of, within a budget. What the
// design claims to survive keeps one good copy (of each pair of superblock slots, of the table of keys), and
// the log is hit only before the last position that it records as durable: nothing can tell the damage behind
// it from a torn tail (storage.md §7.6, §9).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

class DamagePlan {
 public:
  /// Before the first open. Says in `world` whether there is damage. `unrecoverable`: in any case, and of all
  /// copies; only the log's end is spared.
  void choose(CrashWorld& world, bool unrecoverable, std::string& settings);
  /// Slow operations, from the beginning on.
  static void choose_latency(CrashWorld& world, io::SimulatedFaults& faults, std::string& settings);
  /// Adds what happens while the disk is in use.
  void add_to(io::SimulatedFaults& faults) const;
  /// Rot, on a disk that nobody has open and that holds nothing un-synced.
  void at_rest(CrashWorld& world);

 private:
  [[nodiscard]] bool may_damage(std::string_view path, std::uint64_t offset, std::uint64_t bytes) const;
  void hit_data_file(CrashWorld& world);
  void hit_log(CrashWorld& world);
  void hit_key_table(CrashWorld& world);
  void hit_copies(CrashWorld& world);
  /// Changes something in [from, to) of the file: a bit, or some sectors become zero, or another part's, or
  /// cannot be read any more.
  void hit(CrashWorld& world, const std::string& path, std::uint64_t from, std::uint64_t to);

  void lose_sectors(CrashWorld& world, const std::string& path, std::uint64_t at, std::uint64_t from,
                    std::uint64_t to);

  bool unrecoverable_ = false;
  int spared_copy_ = 0;
  std::uint32_t lost_write_ = 0, misdirected_write_ = 0, misdirected_read_ = 0;  // per million
  std::uint32_t hits_max_ = 0;                                                   // at rest, each time
};

}  // namespace rustbd::txn::testing
