#include "rustbd/storage/pages/extent_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "rustbd/io/executor.h"

namespace rustbd::storage {
namespace {

// Random allocations, frees and checkpoints against a set of free blocks.
TEST(ExtentAllocator, AgreesWithASetOfBlocks) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    io::SeededRandom random(seed);
    ExtentAllocator allocator;
    std::set<std::uint64_t> free;
    std::vector<Extent> used, deferred, deferred_running;
    std::uint64_t blocks = 0;
    bool running = false;
    const auto grow = [&] {
      const std::uint64_t more = 200 + random.below(3000);
      for (std::uint64_t b = blocks; b < blocks + more; ++b) {
        if (b != 0 && b != 1 && b != 256 && b != 257) free.insert(b);
      }
      blocks += more;
      allocator.set_file_blocks(blocks);
    };
    const auto give_back = [&](const std::vector<Extent>& extents) {
      for (const Extent e : extents) {
        for (std::uint64_t b = 0; b < e.blocks; ++b) ASSERT_TRUE(free.insert(e.first_block + b).second);
      }
    };
    grow();
    for (int step = 0; step < 2000; ++step) {
      const auto choice = random.below(100);
      if (choice < 50) {
        const auto want = static_cast<std::uint32_t>(random.chance(800) ? 4 : 1 + random.below(256));
        const auto extent = allocator.allocate(want);
        if (!extent) {
          grow();
          continue;
        }
        ASSERT_EQ(extent->blocks, want);
        for (std::uint64_t b = 0; b < want; ++b) ASSERT_EQ(free.erase(extent->first_block + b), 1u);
        used.push_back(*extent);
      } else if (choice < 90 && !used.empty()) {
        const std::size_t at = random.below(used.size());
        const Extent extent = used[at];
        used[at] = used.back();
        used.pop_back();
        if (random.chance(500)) {
          allocator.free(extent);
          give_back({extent});
        } else {
          const bool of_running = running && random.chance(500);
          allocator.defer(extent, of_running);
          (of_running ? deferred_running : deferred).push_back(extent);
        }
      } else if (!running) {
        allocator.begin_checkpoint();
        deferred_running.insert(deferred_running.end(), deferred.begin(), deferred.end());
        deferred.clear();
        running = true;
      } else {
        const bool durable = random.chance(700);
        allocator.end_checkpoint(durable);
        if (durable) {
          give_back(deferred_running);
        } else {
          deferred.insert(deferred.end(), deferred_running.begin(), deferred_running.end());
        }
        deferred_running.clear();
        running = false;
      }
      ASSERT_EQ(allocator.free_blocks(), free.size());
    }
    for (std::uint64_t b = 0; b < blocks; ++b) ASSERT_EQ(allocator.is_free(b), free.contains(b)) << b;
  }
}

TEST(ExtentAllocator, FindsARunIfThereIsOne) {
  ExtentAllocator allocator;
  allocator.set_file_blocks(1024);
  std::vector<Extent> singles;
  while (const auto extent = allocator.allocate(1)) singles.push_back(*extent);
  EXPECT_EQ(singles.size(), 1020u);
  for (const Extent extent : singles) {
    if (extent.first_block >= 500 && extent.first_block < 600) allocator.free(extent);
  }
  EXPECT_FALSE(allocator.allocate(101));
  const auto run = allocator.allocate(100);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->first_block, 500u);
}

TEST(ExtentAllocator, RefusesOverlapsAtStart) {
  ExtentAllocator allocator;
  allocator.set_file_blocks(1000);
  EXPECT_TRUE(allocator.mark_used({10, 4}));
  EXPECT_FALSE(allocator.mark_used({13, 4}));
  EXPECT_FALSE(allocator.mark_used({0, 1})) << "the superblock";
  EXPECT_FALSE(allocator.mark_used({254, 4})) << "the superblock's second slots";
  EXPECT_FALSE(allocator.mark_used({998, 4})) << "behind the end";
  EXPECT_TRUE(allocator.mark_used({14, 4}));
}

// What a backup reads stays as it is until nobody holds, however many checkpoints become durable meanwhile.
TEST(ExtentAllocator, HeldExtentsBecomeFreeWithTheLastRelease) {
  ExtentAllocator allocator;
  allocator.set_file_blocks(2000);
  const Extent before = *allocator.allocate(4), held = *allocator.allocate(4);
  const auto checkpoint = [&](Extent replaced) {
    allocator.defer(replaced, false);
    allocator.begin_checkpoint();
    allocator.end_checkpoint(true);
  };
  checkpoint(before);
  EXPECT_TRUE(allocator.is_free(before.first_block));
  allocator.hold();
  allocator.hold();
  const std::uint64_t free = allocator.free_blocks();
  checkpoint(held);
  EXPECT_FALSE(allocator.is_free(held.first_block));
  EXPECT_EQ(allocator.deferred_blocks(), 0u) << "no further checkpoint would free it";
  allocator.release();
  EXPECT_FALSE(allocator.is_free(held.first_block));
  allocator.release();
  EXPECT_TRUE(allocator.is_free(held.first_block));
  EXPECT_EQ(allocator.free_blocks(), free + 4);
}

}  // namespace
}  // namespace rustbd::storage
