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

}  // namespace
}  // namespace rustbd::io
