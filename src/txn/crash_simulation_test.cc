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

/// P10 on damage of everything: the disk does some, it is told, and what can be read is right.
TEST(Damage, IsDetectedOrHarmless) {
  testing::CrashOptions options;
  options.unrecoverable = true;
  options.clients_max = 3;
  std::uint64_t injected = 0, read = 0, told = 0;
  for (std::uint64_t seed = 2'000'001; seed <= 2'000'012; ++seed) {
    const testing::CrashResult result = testing::run_crash_seed(seed, options);
    injected += result.damage.total();
    read += result.damage.read;
    told += result.detections.any() ? 1 : 0;
    ASSERT_TRUE(result.problems.empty())
        << "seed " << seed << " (" << result.settings << ") " << result.problems.front();
  }
  EXPECT_GT(injected, 10u);
  EXPECT_GT(read, 5u);
  EXPECT_GT(told, 3u) << "most of the damage lies where somebody looks";
}

}  // namespace
}  // namespace rustbd::txn
