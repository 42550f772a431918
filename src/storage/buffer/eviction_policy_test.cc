// What the policies name, against the plain definition of each.
#include "rustbd/storage/buffer/eviction_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "rustbd/io/executor.h"

namespace rustbd::storage {
namespace {

constexpr std::uint32_t kFrames = 700;

struct EvictionPolicyTest : ::testing::Test {
  void load(std::uint32_t frame) { frames.meta(frame).page.store(frame + 1); }
  FramePool frames{std::uint64_t{kFrames} * kFrameBytes};
  io::SeededRandom random{7};
  std::vector<std::uint32_t> picked;
};

TEST_F(EvictionPolicyTest, LruNamesTheOldestWhateverWasUsedOrWentSinceItLooked) {
  const auto lru = make_eviction_policy(EvictionPolicyKind::kLru, frames);
  std::set<std::pair<std::uint64_t, std::uint32_t>> by_age;  // the model
  std::vector<std::uint64_t> age(frames.count(), 0);
  std::uint64_t now = 0;
  const auto use = [&](std::uint32_t frame) {
    by_age.erase({age[frame], frame});
    age[frame] = ++now;
    by_age.insert({age[frame], frame});
    lru->on_access(frames.meta(frame));
  };
  const auto go = [&](std::uint32_t frame) {
    by_age.erase({age[frame], frame});
    frames.meta(frame).page.store(0);
  };
  lru->pick(10, picked);
  EXPECT_TRUE(picked.empty()) << "no frame holds a page";
  for (std::uint32_t frame = 0; frame < frames.count(); ++frame) {
    load(frame);
    use(frame);
  }
  for (int round = 0; round < 3000; ++round) {
    for (auto n = random.below(4); n > 0; --n) {
      const auto frame = static_cast<std::uint32_t>(random.below(frames.count()));
      load(frame);
      use(frame);
    }
    picked.clear();
    lru->pick(1 + random.below(40), picked);
    ASSERT_EQ(picked.empty(), by_age.empty());
    auto oldest = by_age.begin();
    for (const std::uint32_t frame : picked) ASSERT_EQ(frame, (oldest++)->second) << "round " << round;
    // Some of them go, some cannot, some are left.
    for (const std::uint32_t frame : picked) {
      const auto what = random.below(10);
      if (what == 0) go(frame);
      else if (what == 1) use(frame);
    }
  }
}

TEST_F(EvictionPolicyTest, ClockNamesEveryFrameInARound) {
  const auto clock = make_eviction_policy(EvictionPolicyKind::kClock, frames);
  while (picked.size() < frames.count()) clock->pick(70, picked);
  EXPECT_EQ(std::set(picked.begin(), picked.begin() + frames.count()).size(), frames.count());
}

TEST_F(EvictionPolicyTest, RandomNamesAllFramesAboutAsOften) {
  const auto policy = make_eviction_policy(EvictionPolicyKind::kRandom, frames);
  policy->pick(std::size_t{100} * frames.count(), picked);
  std::vector<int> times(frames.count(), 0);
  for (const std::uint32_t frame : picked) ++times.at(frame);
  EXPECT_GT(std::ranges::min(times), 50);
  EXPECT_LT(std::ranges::max(times), 160);
}

}  // namespace
}  // namespace rustbd::storage
