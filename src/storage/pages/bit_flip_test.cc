// Rot at rest: whatever bit of the data file flips, it is reported or harmless, and never a wrong answer
// (P10).
#include <gtest/gtest.h>

#include <map>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;
using testing::SimulatedWorld;

struct Outcome {
  bool reported = false;
  bool wrong = false;
};

Outcome open_and_read(SimulatedWorld& world, io::SimulatedDisk& disk,
                      const std::map<std::uint64_t, std::uint64_t>& pages, const std::string& undo) {
  Outcome out;
  FakeSource source;
  StorageOptions options;
  options.buffer_bytes = 64 * kFrameBytes;
  options.grow_bytes = 2u << 20;
  options.log = [&](std::string_view) { out.reported = true; };
  try {
    auto storage =
        Storage::open({&disk, &world.executor.clock(), &world.random, &world.executor}, options, source);
    storage->deliver_undo_snapshot();
    out.wrong |= source.restored.size() != 1 || source.restored[0].second != undo;
    for (const auto& [id, value] : pages) {
      auto fix = storage->buffer().fix_shared(PageId{id});
      if (fix.status == FixStatus::kDamaged) {
        out.reported = true;
      } else {
        out.wrong |= testing::value_of_page(fix->data()) != value;
      }
    }
    storage->close(false);
  } catch (const Error& failed) {
    out.reported = true;
    out.wrong |= failed.state != sqlstate::kDataCorrupted;
  }
  return out;
}

TEST(BitFlip, IsReportedOrHarmless) {
  SimulatedWorld world(1);
  FakeSource source;
  auto storage = world.open(source, 64);
  std::map<std::uint64_t, std::uint64_t> pages;
  for (int i = 0; i < 150; ++i) {
    testing::in_action(
        *storage, world.executor, [] { return true; },
        [&]() -> std::optional<io::WaitToken> {
          Allocated page = storage->buffer().alloc(PageKind::kTableLeaf, 1);
          if (!page) return page.wait;
          const std::uint64_t value = world.random.next_u64();
          testing::fill_page(page.guard.mutable_data(), value);
          pages[page.guard.page_id().raw()] = value;
          return std::nullopt;
        });
  }
  const std::string undo(10000, 'u');
  source.to_write = {{SnapshotRecord::kActive, undo}};
  ASSERT_TRUE(storage->close().durable);
  const std::uint64_t file_bytes = storage->file_blocks() * kBlockBytes;
  storage.reset();
  const VerifyReport clean = verify_pages(world.disk);
  ASSERT_TRUE(clean.problems.empty());

  io::SeededRandom random(2);
  int reported = 0;
  for (int flip = 0; flip < 250; ++flip) {
    std::uint64_t offset = random.below(file_bytes);
    if (flip % 5 == 0)
      offset = kSuperblockOffsets[random.below(4)] + random.below(flip % 10 == 0 ? 192 : 4096);
    const auto mask = static_cast<std::uint8_t>(1u << random.below(8));
    SCOPED_TRACE(::testing::Message() << "byte " << offset << " mask " << int{mask});
    auto disk = world.disk.clone(static_cast<std::uint64_t>(flip), &world.executor);
    disk->corrupt(kDataFileName, offset, mask);
    const VerifyReport check = verify_pages(*disk);
    const Outcome outcome = open_and_read(world, *disk, pages, undo);
    ASSERT_FALSE(outcome.wrong);
    const bool found = !check.problems.empty() || !check.warnings.empty();
    ASSERT_TRUE(found || !outcome.reported) << "the offline check must see at least what a reader sees";
    reported += outcome.reported ? 1 : 0;
  }
  EXPECT_GT(reported, 50) << "most of the file is in use: the test must hit something";
}

}  // namespace
}  // namespace rustbd::storage
