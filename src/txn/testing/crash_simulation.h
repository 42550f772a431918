// Whole-system simulation (storage.md §10): random transactions of several clients on a disk whose power
// fails at a random operation; after each recovery the state must be that of the model at a prefix of the
// commit order that holds every acknowledged commit (P1-P6, P9, P14). One seed is one run, always the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rustbd::txn::testing {

struct CrashOptions {
  std::uint32_t features = 0xFFFFFFFF;  // Feature bits of crash_world.h
  bool crashes = true;                  // false: clean shutdowns only
  std::uint32_t reads_per_mille = 150;  // of the operations
  bool verbose = false;                 // what happens goes to standard error
  bool long_form = false;               // 50 crashes instead of 1 to 4
  std::uint32_t crashes_max = 0, clients_max = 0, transactions_max = 0;  // 0: as the seed chooses
};

struct CrashResult {
  std::vector<std::string> problems;  // empty: all is well
  std::string settings;               // what the seed chose
  std::uint64_t commits = 0, aborts = 0, crashes = 0, rows_read = 0, layouts_changed = 0, checkpoints = 0;
  std::uint64_t pages_moved = 0;  // to shrink the data file
};

CrashResult run_crash_seed(std::uint64_t seed, const CrashOptions& options = {});

}  // namespace rustbd::txn::testing
