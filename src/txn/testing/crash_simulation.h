// Whole-system simulation (storage.md §10): random transactions of several clients on a disk whose power
// fails at a random operation; after each recovery the state must be that of the model at a prefix of the
// commit order that holds every acknowledged commit (P1-P6, P9, P14). One seed is one run, always the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

struct CrashOptions {
  std::uint32_t features = 0xFFFFFFFF;  // Feature bits of crash_world.h
  bool crashes = true;                  // false: clean shutdowns only
  std::uint32_t reads_per_mille = 150;  // of the operations
  bool verbose = false;                 // what happens goes to standard error
  bool long_form = false;               // 50 crashes instead of 1 to 4
  bool unrecoverable = false;           // damage of all copies: it must be detected, no more
  std::uint32_t crashes_max = 0, clients_max = 0, transactions_max = 0;  // 0: as the seed chooses
};

struct CrashResult {
  std::vector<std::string> problems;  // empty: all is well
  std::string settings;               // what the seed chose
  std::uint64_t commits = 0, aborts = 0, crashes = 0, rows_read = 0, layouts_changed = 0, checkpoints = 0;
  std::uint64_t pages_moved = 0;          // to shrink the data file
  std::uint64_t recoveries_repeated = 0;  // compared with one that was not disturbed (P9)
  std::uint64_t backups_restored = 0;
  std::uint64_t archives_shared = 0;  // by one that was restored
  io::DamageCounts damage;
  Detections detections;  // of damage
};

/// A seed that hangs says what everybody waits for, on standard output, and ends the process with this.
inline constexpr int kStuckExitCode = 4;

CrashResult run_crash_seed(std::uint64_t seed, const CrashOptions& options = {});

}  // namespace rustbd::txn::testing
