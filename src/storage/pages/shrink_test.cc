// The size of the data file: it follows the images, and comes back after mass deletion, whatever happens
// meanwhile.
#include <gtest/gtest.h>

#include <iterator>

#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;
using testing::SimulatedWorld;
using Pages = std::map<std::uint64_t, std::uint64_t>;  // page id -> value

class FileSize : public ::testing::Test {
 protected:
  void open(std::uint64_t seed, io::SimulatedFaults faults = {}) {
    world_ = std::make_unique<SimulatedWorld>(seed, std::move(faults));
    source_ = std::make_unique<FakeSource>();
    source_->on_capture = [this](Lsn lsn) { at_capture_[lsn.raw()] = pages_; };
    storage_ = world_->open(*source_, 1024);
  }
  void TearDown() override {
    storage_.reset();
    world_.reset();
  }
  [[nodiscard]] bool alive() const { return !world_->disk.crashed() && !world_->fatal_called; }

  void create(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count && alive(); ++i) {
      testing::in_action(
          *storage_, world_->executor, [this] { return alive(); },
          [&]() -> std::optional<io::WaitToken> {
            Allocated page = storage_->buffer().alloc(PageKind::kTableLeaf, 1);
            if (page.status == AllocStatus::kNoFrame) return page.wait;
            if (!page) return std::nullopt;
            testing::fill_page(page.guard.mutable_data(), i * 0x9E3779B97F4A7C15ull);
            pages_[page.guard.page_id().raw()] = i * 0x9E3779B97F4A7C15ull;
            return std::nullopt;
          });
    }
  }
  void change(std::uint64_t id, std::uint64_t value) {
    testing::in_action(
        *storage_, world_->executor, [this] { return alive(); },
        [&]() -> std::optional<io::WaitToken> {
          auto fix = storage_->buffer().try_fix_exclusive(PageId{id});
          if (fix.status == FixStatus::kMiss) return fix.wait;
          if (!fix) return std::nullopt;
          DirtyResult marked = fix->mark_dirty();
          if (!marked) return marked.retry;
          testing::fill_page(fix->mutable_data(), value);
          pages_[id] = value;
          return std::nullopt;
        });
  }
  /// Frees all but the `kept` pages that were made last, whose images lie at the end of the file.
  void free_all_but(std::size_t kept) {
    while (pages_.size() > kept && alive()) {
      const std::uint64_t id = pages_.begin()->first;
      {
        const Action action(storage_->gate());
        storage_->buffer().free_unread(PageId{id});
      }
      pages_.erase(id);
    }
  }
  CheckpointResult checkpoint() { return storage_->checkpoint(CheckpointTrigger::kRequest); }
  [[nodiscard]] std::uint64_t file_bytes() const { return world_->disk.content(kDataFileName).size(); }
  void expect_pages(const Pages& pages) {
    for (const auto& [id, value] : pages) {
      auto fix = storage_->buffer().fix_shared(PageId{id});
      ASSERT_TRUE(fix) << "page " << id;
      ASSERT_EQ(testing::value_of_page(fix->data()), value) << "page " << id;
    }
  }
  void expect_clean_file() {
    for (const auto& problem : verify_pages(world_->disk).problems) ADD_FAILURE() << problem;
  }

  std::unique_ptr<SimulatedWorld> world_;
  std::unique_ptr<FakeSource> source_;
  std::unique_ptr<Storage> storage_;
  Pages pages_;
  std::map<std::uint64_t, Pages> at_capture_;
};

// With room on the disk nothing is reserved in the file; on a small disk the file holds what a checkpoint may
// need, and gives it back.
TEST_F(FileSize, FollowsTheImages) {
  for (const std::uint64_t capacity : {std::uint64_t{0}, std::uint64_t{64} << 20}) {
    open(1, {.capacity_bytes = capacity});
    ASSERT_TRUE(checkpoint().durable);
    create(700);
    world_->executor.run_for(std::chrono::milliseconds(20));
    const std::uint64_t reserved = file_bytes();
    if (capacity == 0) EXPECT_LT(reserved, 4u << 20);
    else EXPECT_GT(reserved, 700u * kFrameBytes) << "every changed page has its place";
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(checkpoint().durable);
    const std::uint64_t images = storage_->buffer().statistics().written_blocks * kBlockBytes;
    EXPECT_LT(file_bytes(), images * 5 / 4 + (capacity == 0 ? 3u << 20 : 6u << 20));
    expect_pages(pages_);
    TearDown();
    pages_.clear();
  }
}

TEST_F(FileSize, ComesBackAfterMassDeletion) {
  open(2);
  create(900);
  ASSERT_TRUE(checkpoint().durable);
  const std::uint64_t full = file_bytes();
  ASSERT_GT(full, 900u * 3 * kBlockBytes);
  free_all_but(60);
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(checkpoint().durable);
    world_->executor.run_for(std::chrono::milliseconds(200));
  }
  EXPECT_GT(storage_->buffer().statistics().page_moves, 0u);
  EXPECT_LT(file_bytes(), full / 4);
  expect_pages(pages_);
  ASSERT_TRUE(storage_->close().durable);
  storage_.reset();
  expect_clean_file();
  storage_ = world_->open(*source_, 1024);
  expect_pages(pages_);
}

// However slow it is told to be.
TEST_F(FileSize, AStopDoesNotWaitForTheNextMove) {
  open(2);
  storage_.reset();
  StorageOptions options;
  options.relocation_bytes_per_second = 1;
  storage_ = world_->open(*source_, 1024, options);
  create(900);
  ASSERT_TRUE(checkpoint().durable);
  free_all_but(60);
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(checkpoint().durable);
    world_->executor.run_for(std::chrono::milliseconds(200));
  }
  EXPECT_GT(storage_->buffer().statistics().page_moves, 0u);
  const std::int64_t began = world_->executor.clock().monotonic_us();
  ASSERT_TRUE(storage_->close().durable);
  storage_.reset();
  EXPECT_LT(world_->executor.clock().monotonic_us() - began, 1'000'000);
  storage_ = world_->open(*source_, 1024);
  expect_pages(pages_);
}

// The power fails at any moment of it, while pages change: the last durable checkpoint is there.
TEST_F(FileSize, ACrashWhileItComesBackLosesNothing) {
  std::uint64_t moves = 0, cuts = 0;
  for (std::uint64_t seed = 1; seed <= 60 && !HasFatalFailure(); ++seed) {
    io::SeededRandom random(seed);
    open(seed, {.torn_sector_per_mille = 200, .latency_us_max = seed % 2 == 0 ? 300u : 0u});
    create(300);
    ASSERT_TRUE(checkpoint().durable);
    free_all_but(50);
    ASSERT_TRUE(checkpoint().durable);
    const std::uint64_t before = file_bytes();
    world_->disk.crash_at(1 + random.below(200));
    for (int i = 0; i < 200 && alive(); ++i) {
      change(std::next(pages_.begin(), static_cast<std::ptrdiff_t>(random.below(pages_.size())))->first,
             random.next_u64());
      if (random.below(10) == 0) (void)storage_->buffer().evict(1 + random.below(8));
      if (random.below(8) == 0) storage_->request_checkpoint(CheckpointTrigger::kRequest);
      world_->executor.run_for(std::chrono::microseconds(random.below(3000)));
    }
    moves += storage_->buffer().statistics().page_moves;
    cuts += file_bytes() < before ? 1 : 0;
    if (!world_->disk.crashed()) world_->disk.crash();
    storage_.reset();
    world_->disk.restart();
    expect_clean_file();
    storage_ = world_->open(*source_, 1024);
    const auto found = at_capture_.find(storage_->state().positions.lsn.raw());
    ASSERT_NE(found, at_capture_.end()) << "seed " << seed;
    expect_pages(found->second);
    TearDown();
    pages_.clear();
    at_capture_.clear();
  }
  EXPECT_GT(moves, 500u);
  EXPECT_GT(cuts, 5u);
}

}  // namespace
}  // namespace rustbd::storage
