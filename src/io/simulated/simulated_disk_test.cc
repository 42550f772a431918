#include "rustbd/io/simulated/simulated_disk.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rustbd::io {
namespace {

std::vector<std::byte> filled(std::size_t bytes, int value) { return {bytes, static_cast<std::byte>(value)}; }

std::unique_ptr<File> open(SimulatedDisk& disk, const std::string& path, bool create = true) {
  auto file = disk.open(path, {.create = create});
  EXPECT_TRUE(file.has_value());
  return file ? std::move(*file) : nullptr;
}

// Goal: after a crash each sector holds what the last sync made durable or one of the later writes, and
// synced bytes are never lost. Model: per sector the set of values that it may have.
TEST(SimulatedDisk, ACrashLeavesEachSectorOldOrNew) {
  constexpr std::size_t kSectors = 32;
  int old_seen = 0, new_seen = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    SimulatedDisk disk{seed};
    SeededRandom random{seed};
    auto file = open(disk, "f");
    ASSERT_TRUE(file->write(0, filled(kSectors * kSectorBytes, 1)));
    ASSERT_TRUE(file->datasync());
    ASSERT_TRUE(disk.sync_directory("."));
    std::vector<std::vector<int>> allowed(kSectors, {1});
    for (int value = 2; value < 40; ++value) {
      const std::size_t first = random.below(kSectors), n = 1 + random.below(kSectors - first);
      if (random.chance(150)) {
        ASSERT_TRUE(file->datasync());
        for (auto& values : allowed) values = {values.back()};
        continue;
      }
      ASSERT_TRUE(file->write(first * kSectorBytes, filled(n * kSectorBytes, value)));
      for (std::size_t s = first; s < first + n; ++s) allowed[s].push_back(value);
    }
    disk.crash();
    std::vector<std::byte> back(kSectors * kSectorBytes);
    EXPECT_EQ(file->read(0, back).error(), IoFailure::kDevice);
    disk.restart();
    EXPECT_EQ(file->read(0, back).error(), IoFailure::kDevice) << "files opened before stay dead";
    file = open(disk, "f", false);
    ASSERT_TRUE(file->read(0, back));
    for (std::size_t s = 0; s < kSectors; ++s) {
      const auto value = static_cast<int>(back[s * kSectorBytes]);
      ASSERT_TRUE(std::find(allowed[s].begin(), allowed[s].end(), value) != allowed[s].end()) << s;
      ASSERT_TRUE(std::all_of(back.begin() + static_cast<std::ptrdiff_t>(s * kSectorBytes),
                              back.begin() + static_cast<std::ptrdiff_t>((s + 1) * kSectorBytes),
                              [&](std::byte b) { return static_cast<int>(b) == value; }));
      if (allowed[s].size() > 1) (value == allowed[s].front() ? old_seen : new_seen) += 1;
    }
  }
  EXPECT_GT(old_seen, 100);
  EXPECT_GT(new_seen, 100);
}

TEST(SimulatedDisk, NamesWithoutSyncOfTheDirectoryMayVanish) {
  int kept = 0, renamed = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimulatedDisk disk{seed};
    ASSERT_TRUE(open(disk, "durable")->write(0, filled(10, 1)));
    ASSERT_TRUE(open(disk, "durable")->datasync());
    ASSERT_TRUE(disk.sync_directory("."));
    (void)open(disk, "fresh");
    ASSERT_TRUE(disk.rename("durable", "moved"));
    disk.crash();
    disk.restart();
    EXPECT_NE(disk.exists("durable"), disk.exists("moved")) << "a rename is whole or not there";
    EXPECT_TRUE(!disk.exists("moved") || disk.exists("fresh")) << "a prefix of the changes survives";
    EXPECT_EQ(disk.content(disk.exists("moved") ? "moved" : "durable"), filled(10, 1));
    kept += disk.exists("fresh");
    renamed += disk.exists("moved");
  }
  EXPECT_TRUE(kept > 20 && kept < 90) << kept;
  EXPECT_TRUE(renamed > 10 && renamed < 80) << renamed;
}

TEST(SimulatedDisk, CrashAtTheNthOperation) {
  for (std::uint64_t nth = 1; nth <= 4; ++nth) {
    SimulatedDisk disk{nth};
    disk.crash_at(nth);
    const auto file = disk.open("f", {.create = true});  // 1
    std::uint64_t good = file.has_value();
    if (file) {
      good += (*file)->write(0, filled(10, 1)).has_value();  // 2
      good += (*file)->datasync().has_value();               // 3
    }
    good += disk.sync_directory(".").has_value();  // 4
    EXPECT_EQ(good, nth - 1);
    EXPECT_TRUE(disk.crashed());
    disk.restart();
    if (nth < 4) continue;
    EXPECT_EQ(disk.content("f"), disk.exists("f") ? filled(10, 1) : filled(0, 0));
  }
}

TEST(SimulatedDisk, AForcedWriteIsDurableAndSaysNothingOfOthers) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedDisk disk{seed};
    const auto file = open(disk, "f");
    ASSERT_TRUE(disk.sync_directory("."));
    ASSERT_TRUE(file->write(0, filled(4 * kSectorBytes, 1)));
    ASSERT_TRUE(file->write_durable(2 * kSectorBytes, filled(2 * kSectorBytes, 2)));
    ASSERT_TRUE(file->write(8 * kSectorBytes, filled(kSectorBytes, 3)));
    ASSERT_TRUE(file->write_durable(4 * kSectorBytes, filled(kSectorBytes, 4)));
    disk.crash();
    disk.restart();
    auto back = disk.content("f");
    ASSERT_GE(back.size(), 5 * kSectorBytes);
    const auto holds = [&](std::size_t sector, std::uint8_t byte) {
      return std::all_of(back.begin() + static_cast<std::ptrdiff_t>(sector * kSectorBytes),
                         back.begin() + static_cast<std::ptrdiff_t>((sector + 1) * kSectorBytes),
                         [&](std::byte b) { return b == std::byte{byte}; });
    };
    // The older write that they cover in part must not come back over them.
    EXPECT_TRUE(holds(2, 2) && holds(3, 2) && holds(4, 4)) << seed;
    lost += back.size() < 9 * kSectorBytes || !holds(8, 3);
  }
  EXPECT_GT(lost, 5);
}

TEST(SimulatedDisk, AForcedWriteFailsAsASyncDoes) {
  SimulatedDisk disk{1};
  const auto file = open(disk, "f");
  disk.fail_syncs("f", 1);
  EXPECT_EQ(file->write_durable(0, filled(10, 1)).error(), IoFailure::kDevice);
  disk.crash_at(2);  // between the write and its sync
  EXPECT_EQ(file->write_durable(0, filled(10, 1)).error(), IoFailure::kDevice);
  EXPECT_TRUE(disk.crashed());
}

TEST(SimulatedDisk, ATornSectorIsPartOldPartNew) {
  int torn = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedDisk disk{seed, {.torn_sector_per_mille = 500}};
    const auto file = open(disk, "f");
    ASSERT_TRUE(file->write(0, filled(kSectorBytes, 1)));
    ASSERT_TRUE(file->datasync());
    ASSERT_TRUE(disk.sync_directory("."));
    ASSERT_TRUE(file->write(0, filled(kSectorBytes, 2)));
    disk.crash();
    disk.restart();
    const auto back = disk.content("f");
    ASSERT_EQ(back.size(), kSectorBytes);
    const auto boundary = std::find(back.begin(), back.end(), std::byte{1});
    EXPECT_TRUE(std::all_of(boundary, back.end(), [](std::byte b) { return b == std::byte{1}; }));
    torn += boundary != back.begin() && boundary != back.end();
  }
  EXPECT_GT(torn, 5);
}

TEST(SimulatedDisk, AfterAFailedSyncALaterOneProvesNothing) {
  int lost = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedDisk disk{seed};
    const auto file = open(disk, "f");
    ASSERT_TRUE(disk.sync_directory("."));
    ASSERT_TRUE(file->write(0, filled(4096, 7)));
    disk.fail_syncs("f", 1);
    EXPECT_EQ(file->datasync().error(), IoFailure::kDevice);
    EXPECT_TRUE(file->datasync());
    EXPECT_EQ(disk.content("f"), filled(4096, 7)) << "the cache still shows it";
    disk.crash();
    disk.restart();
    lost += disk.content("f") != filled(4096, 7);
  }
  EXPECT_GT(lost, 25);
}

TEST(SimulatedDisk, FaultsHappenAtTheirRateAndOnlyWhereTheyApply) {
  SimulatedFaults faults{.read_error = 100'000, .lost_write = 100'000};
  faults.applies_to = [](std::string_view path) { return path == "bad"; };
  SimulatedDisk disk{9, faults};
  const auto good = open(disk, "good"), bad = open(disk, "bad");
  int read_errors = 0, lost = 0;
  std::vector<std::byte> back(8);
  for (int i = 1; i <= 1000; ++i) {
    const auto data = filled(8, i % 250 + 1);
    ASSERT_TRUE(good->write(0, data));
    ASSERT_TRUE(bad->write(0, data));
    ASSERT_TRUE(good->read(0, back));
    ASSERT_EQ(back, data);
    if (!bad->read(0, back)) {
      ++read_errors;
    } else {
      lost += back != data;
    }
  }
  EXPECT_TRUE(read_errors > 60 && read_errors < 150) << read_errors;
  EXPECT_TRUE(lost > 60 && lost < 150) << lost;
}

TEST(SimulatedDisk, AReadErrorMayLast) {
  SimulatedDisk disk{3, {.read_error = 100'000, .lasting_per_mille = 1000}};
  const auto file = open(disk, "f");
  const auto data = filled(4096, 7);
  std::vector<std::byte> back(4096);
  ASSERT_TRUE(file->write(0, data));
  while (file->read(0, back)) {}
  for (int i = 0; i < 50; ++i) ASSERT_FALSE(file->read(8, std::span(back).first(8)));
  disk.set_faults({.read_error = 1, .lasting_per_mille = 1000});
  ASSERT_FALSE(file->read(0, back));
  ASSERT_TRUE(file->write(0, data));
  ASSERT_TRUE(file->read(0, back)) << "a write makes the place good";
}

TEST(SimulatedDisk, CapacityIsALimitThatRemovalLifts) {
  SimulatedDisk disk{1, {.capacity_bytes = 10'000}};
  ASSERT_TRUE(open(disk, "a")->allocate(0, 8000));
  const auto b = open(disk, "b");
  EXPECT_EQ(b->write(0, filled(3000, 1)).error(), IoFailure::kNoSpace);
  EXPECT_TRUE(open(disk, "a")->write(0, filled(8000, 1)));
  ASSERT_TRUE(disk.remove("a"));
  EXPECT_TRUE(b->write(0, filled(3000, 1)));
  EXPECT_EQ(disk.used_bytes(), 3000u);
}

TEST(SimulatedDisk, RotFlipsBitsAtRest) {
  SimulatedDisk disk{1, {.bit_rot = 500'000}};
  const auto file = open(disk, "f");
  ASSERT_TRUE(file->write(0, filled(40'960, 0)));
  ASSERT_TRUE(file->datasync());
  ASSERT_TRUE(disk.sync_directory("."));
  disk.crash();
  disk.restart();
  const auto back = disk.content("f");
  const auto rotten = std::count_if(back.begin(), back.end(), [](std::byte b) { return b != std::byte{0}; });
  EXPECT_TRUE(rotten >= 2 && rotten <= 8) << rotten;
}

TEST(SimulatedDisk, ACloneGoesItsOwnWay) {
  SimulatedDisk disk{1};
  ASSERT_TRUE(open(disk, "f")->write(0, filled(10, 1)));
  const auto twin = disk.clone(2);
  ASSERT_TRUE(open(*twin, "f")->write(0, filled(10, 2)));
  EXPECT_EQ(disk.content("f"), filled(10, 1));
  EXPECT_EQ(twin->content("f"), filled(10, 2));
}

// Damage is acknowledged, stays in its budget, and is accounted for.
TEST(SimulatedDisk, ALostWriteIsAcknowledgedAndNeverHappens) {
  SimulatedDisk disk{1};
  auto file = open(disk, "f");
  ASSERT_TRUE(file->write(0, filled(8192, 1)));
  SimulatedFaults faults{.lost_write = 1'000'000};
  faults.may_damage = [](std::string_view, std::uint64_t offset, std::uint64_t) { return offset >= 4096; };
  disk.set_faults(faults);
  ASSERT_TRUE(file->write(0, filled(4096, 2)));
  ASSERT_TRUE(file->write(4096, filled(4096, 2)));
  ASSERT_TRUE(file->datasync());
  EXPECT_EQ(disk.damage().injected[static_cast<std::size_t>(DamageKind::kLostWrite)], 1u);
  EXPECT_EQ(disk.damage().never_read, 1u);
  std::vector<std::byte> back(8192);
  ASSERT_TRUE(file->read(0, back));
  EXPECT_EQ(back[0], std::byte{2});
  EXPECT_EQ(back[4096], std::byte{1});
  EXPECT_EQ(disk.damage().read, 1u);
}

TEST(SimulatedDisk, AMisdirectedWriteHitsAnotherBlockOfItsBudget) {
  SimulatedDisk disk{2};
  auto file = open(disk, "f");
  ASSERT_TRUE(file->write(0, filled(8 * 4096, 1)));
  SimulatedFaults faults{.misdirected_write = 1'000'000};
  faults.may_damage = [](std::string_view, std::uint64_t offset, std::uint64_t) { return offset >= 4096; };
  disk.set_faults(faults);
  while (disk.damage().total() == 0) ASSERT_TRUE(file->write(2 * 4096, filled(4096, 2)));
  disk.set_faults({});
  const auto content = disk.content("f");
  EXPECT_EQ(content[0], std::byte{1}) << "outside the budget";
  EXPECT_EQ(std::count(content.begin(), content.end(), std::byte{2}) % 4096, 0);
  EXPECT_EQ(disk.damage().overwritten, 0u);
  ASSERT_TRUE(file->write(0, filled(8 * 4096, 3)));
  EXPECT_EQ(disk.damage().overwritten, 1u) << "both places are as their writer wants them";
}

TEST(SimulatedDisk, AMisdirectedReadGivesAnotherBlock) {
  SimulatedDisk disk{3};
  auto file = open(disk, "f");
  for (int block = 0; block < 16; ++block)
    ASSERT_TRUE(file->write(static_cast<std::uint64_t>(block) * 4096, filled(4096, block)));
  disk.set_faults({.misdirected_read = 500'000});
  int wrong = 0;
  std::vector<std::byte> back(4096);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(file->read(5 * 4096, back));
    wrong += back[0] != std::byte{5} ? 1 : 0;
  }
  EXPECT_GT(wrong, 50);
  EXPECT_LT(wrong, 150);
  EXPECT_GE(disk.damage().read, static_cast<std::uint64_t>(wrong));
}

TEST(SimulatedDisk, DamageAtRestSurvivesAndEqualBytesAreNone) {
  SimulatedDisk disk{4};
  auto file = open(disk, "f");
  ASSERT_TRUE(file->write(0, filled(4096, 1)));
  ASSERT_TRUE(file->datasync());
  ASSERT_TRUE(disk.sync_directory(""));
  EXPECT_FALSE(disk.overwrite_at_rest("f", 100, filled(10, 1)));
  EXPECT_EQ(disk.damage().total(), 0u);
  EXPECT_TRUE(disk.overwrite_at_rest("f", 100, filled(10, 7)));
  disk.crash();
  disk.restart();
  EXPECT_EQ(disk.content("f")[105], std::byte{7});
  EXPECT_EQ(disk.damage().never_read, 1u);
}

TEST(SimulatedDisk, LostSectorsGiveErrorsUntilTheyAreWritten) {
  SimulatedDisk disk{4};
  auto file = open(disk, "f");
  ASSERT_TRUE(file->write(0, filled(4096, 1)));
  ASSERT_TRUE(file->datasync());
  ASSERT_TRUE(disk.sync_directory(""));
  disk.lose_sectors("f", 1024, 2);
  EXPECT_EQ(disk.damage().never_read, 1u);
  disk.crash();
  disk.restart();
  file = open(disk, "f");
  std::vector<std::byte> back(1024);
  EXPECT_TRUE(file->read(0, back));
  EXPECT_TRUE(file->read(2048, back));
  EXPECT_EQ(file->read(1000, back).error(), IoFailure::kDevice);
  EXPECT_EQ(disk.damage().read, 1u);
  ASSERT_TRUE(file->write(1024, filled(512, 2)));
  EXPECT_FALSE(file->read(1024, back));
  ASSERT_TRUE(file->write(1500, filled(100, 2)));  // not the whole of the second one
  EXPECT_FALSE(file->read(1024, back));
  ASSERT_TRUE(file->write(1536, filled(512, 2)));
  EXPECT_TRUE(file->read(1024, back));
}

TEST(SimulatedDisk, SlowOperationsAreLogNormalWithStalls) {
  SimulatedExecutor executor{5};
  SimulatedDisk disk{5, {.latency_us_median = 100, .stall = 10'000, .stall_us = 1'000'000}, &executor};
  auto file = open(disk, "f");
  std::vector<std::int64_t> took;
  const auto bytes = filled(512, 1);
  for (int i = 0; i < 1000; ++i) {
    IoRequest request;
    request.done = WaitToken::make(WaitReason::kPage);
    const std::int64_t began = executor.clock().monotonic_us();
    file->write_async(0, bytes, &request);
    executor.block_on(request.done);
    took.push_back(executor.clock().monotonic_us() - began);
  }
  std::ranges::sort(took);
  EXPECT_GT(took[500], 70);
  EXPECT_LT(took[500], 140);
  EXPECT_GT(took[840], 180) << "one deviation above: e times the median";
  EXPECT_GE(took.back(), 1'000'000);
  EXPECT_LT(took[970], 5000);
  file.reset();
  executor.stop();
}

}  // namespace
}  // namespace rustbd::io
