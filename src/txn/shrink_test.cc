#include "rustbd/txn/testing/shrink.h"

#include <gtest/gtest.h>

#include <bit>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn {
namespace {

using testing::CrashOptions;

std::uint32_t or_most(std::uint32_t limit, std::uint32_t most) { return limit == 0 ? most : limit; }

// Failing is monotone: exactly what it takes is left.
TEST(Shrink, LeavesWhatItTakesAndNothingElse) {
  constexpr std::uint32_t needed = testing::kTransfers | testing::kCheckpoints | testing::kEncryption;
  int asked = 0;
  const auto fails = [&](const CrashOptions& o) {
    ++asked;
    return (o.features & needed) == needed && or_most(o.clients_max, 6) >= 2 &&
           or_most(o.crashes_max, 4) >= 1 && or_most(o.transactions_max, 23) >= 7;
  };
  const CrashOptions smallest = testing::shrink({}, fails);
  EXPECT_EQ(smallest.features, needed);
  EXPECT_EQ(smallest.clients_max, 2u);
  EXPECT_EQ(smallest.crashes_max, 1u);
  EXPECT_EQ(smallest.transactions_max, 7u);
  EXPECT_LT(asked, 200);
}

// As a seed does it: one client more moves every choice, so only some sizes fail.
TEST(Shrink, FindsTheSmallestLimitThatFailsAlthoughLargerOnesDoNot) {
  const auto fails = [](const CrashOptions& o) {
    const std::uint32_t clients = or_most(o.clients_max, 6);
    return clients == 3 || clients == 6;
  };
  EXPECT_EQ(testing::shrink({}, fails).clients_max, 3u);
}

// A feature that can go only after another limit was lowered: rounds go on until nothing changes.
TEST(Shrink, GoesOnUntilARoundChangesNothing) {
  const auto fails = [](const CrashOptions& o) {
    const bool few = or_most(o.transactions_max, 23) <= 4;
    if (or_most(o.transactions_max, 23) == 1 && (o.features & testing::kBulk) != 0) return false;
    return (o.features & testing::kRows) != 0 && (few || (o.features & testing::kBulk) != 0);
  };
  const CrashOptions smallest = testing::shrink({}, fails);
  EXPECT_EQ(smallest.transactions_max, 1u);
  EXPECT_EQ(smallest.features, std::uint32_t{testing::kRows});
}

TEST(Shrink, KeepsWhatItWasGiven) {
  CrashOptions options;
  options.long_form = true;
  options.unrecoverable = true;
  options.crashes_max = 9;
  const auto fails = [](const CrashOptions& o) {
    return o.crashes_max >= 9 && o.long_form && o.unrecoverable;
  };
  const CrashOptions smallest = testing::shrink(options, fails);
  EXPECT_TRUE(smallest.long_form && smallest.unrecoverable);
  EXPECT_EQ(smallest.crashes_max, 9u);
  EXPECT_EQ(std::popcount(smallest.features), 0);
}

}  // namespace
}  // namespace rustbd::txn
