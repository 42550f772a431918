#include <gtest/gtest.h>

#include "rustbd/txn/testing/crash_simulation.h"

namespace rustbd::txn {
namespace {

// The seeds with crashes are run by rustbd-sim (sim/main.cc).

/// Visibility: every table and index scan, at both isolation levels, against the list of commits at the
/// scan's snapshot and the transaction's own changes, savepoints included.
TEST(TransactionVisibility, ScansSeeTheCommitsOfTheirSnapshot) {
  testing::CrashOptions options;
  options.crashes = false;
  options.reads_per_mille = 450;
  constexpr std::uint64_t seeds = 20;
  std::uint64_t rows = 0;
  for (std::uint64_t seed = 1'000'001; seed <= 1'000'000 + seeds; ++seed) {
    const testing::CrashResult result = testing::run_crash_seed(seed, options);
    rows += result.rows_read;
    ASSERT_TRUE(result.problems.empty())
        << "seed " << seed << " (" << result.settings << ") " << result.problems.front();
  }
  EXPECT_GT(rows, seeds * 100);
}

}  // namespace
}  // namespace rustbd::txn
