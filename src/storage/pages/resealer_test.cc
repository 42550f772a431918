// Sealing anew after a rotation and after encryption was switched on: what is on disk in the end, and what is
// told of it meanwhile, also after a restart in the middle.
#include <gtest/gtest.h>

#include <iterator>

#include "rustbd/storage/pages/testing/storage_fixture.h"

namespace rustbd::storage {
namespace {

using testing::FakeSource;
using testing::SimulatedWorld;

constexpr std::uint64_t kPages = 200;

class Reseal : public ::testing::Test {
 protected:
  void open(bool encrypted, std::uint64_t bytes_per_second = 32 << 20) {
    storage_.reset();
    StorageOptions options;
    if (encrypted) options.encryption.master_key = kMaster;
    options.encryption.reseal_bytes_per_second = bytes_per_second;
    storage_ = world_.open(source_, 1024, options);
  }
  void create_pages() {
    for (std::uint64_t i = 0; i < kPages; ++i) {
      testing::in_action(
          *storage_, world_.executor, [] { return true; },
          [&]() -> std::optional<io::WaitToken> {
            Allocated page = storage_->buffer().alloc(PageKind::kTableLeaf, 1);
            if (page.status == AllocStatus::kNoFrame) return page.wait;
            EXPECT_TRUE(page);
            if (page) testing::fill_page(page.guard.mutable_data(), i);
            return std::nullopt;
          });
    }
    ASSERT_TRUE(checkpoint());
  }
  bool checkpoint() { return storage_->checkpoint(CheckpointTrigger::kRequest).durable; }
  [[nodiscard]] KeyRotation told() const { return storage_->key_rotation(); }
  void expect_left(std::uint64_t least) const {
    EXPECT_TRUE(told().counted);
    EXPECT_TRUE(told().running);
    EXPECT_GE(told().left, least);
    EXPECT_GE(told().pages, told().left);
  }
  void run_until_done() {
    for (int i = 0; i < 20 && told().running; ++i) {
      ASSERT_TRUE(checkpoint());
      world_.executor.run_for(std::chrono::seconds(1));
    }
    EXPECT_FALSE(told().running);
    EXPECT_TRUE(told().counted);
    EXPECT_EQ(told().left, 0u);
  }
  /// Of the pages as they are on disk, by key id.
  std::map<std::uint32_t, std::uint64_t> pages_on_disk() {
    const auto keys = security::KeyRing::open_read_only(world_.environment(), kMaster);
    const VerifyReport report = verify_pages(world_.disk, keys.get());
    for (const auto& problem : report.problems) ADD_FAILURE() << problem;
    std::map<std::uint32_t, std::uint64_t> pages;
    for (const auto& [key, by] : report.sealed)
      if (by.pages != 0) pages[key] = by.pages;
    return pages;
  }
  void TearDown() override { storage_.reset(); }

  const security::MasterKey kMaster{security::KeyBytes{std::byte{1}, std::byte{2}}};
  SimulatedWorld world_{1};
  FakeSource source_;
  std::unique_ptr<Storage> storage_;
};

TEST_F(Reseal, TellsAfterARestartInTheMiddleWhatIsLeft) {
  open(true);
  create_pages();
  const std::uint32_t old = storage_->keys()->current()->id();
  EXPECT_FALSE(told().running);
  EXPECT_EQ(pages_on_disk(), (std::map<std::uint32_t, std::uint64_t>{{old, kPages + 1}}));

  storage_->rotate_data_key();
  EXPECT_FALSE(told().counted) << "nobody has looked yet";
  EXPECT_TRUE(told().running);
  open(true);  // the end of that run without another checkpoint
  expect_left(kPages);
  world_.executor.run_for(std::chrono::seconds(10));
  expect_left(kPages);  // nothing happens before a checkpoint has shown that recovery is over
  EXPECT_EQ(pages_on_disk().at(old), kPages + 1);

  run_until_done();
  EXPECT_EQ(pages_on_disk().count(old), 0u);
  EXPECT_EQ(storage_->keys()->find(old), nullptr);
  open(true);
  EXPECT_FALSE(told().running);
  EXPECT_EQ(told().pages, 0u);
}

TEST_F(Reseal, PagesFromBeforeEncryptionAreLeftUntilTheirSealedImagesAreOnDisk) {
  open(false);
  create_pages();
  open(true);
  EXPECT_TRUE(storage_->keys()->retiring().empty());
  expect_left(kPages);
  EXPECT_EQ(pages_on_disk().at(0), kPages + 1);

  int unsealed = 0;
  source_.on_capture = [&](Lsn) {
    if (!pages_on_disk().contains(0)) return;
    ++unsealed;
    EXPECT_TRUE(told().running) << told().left << " left in memory, on disk all are";
  };
  run_until_done();
  source_.on_capture = [](Lsn) {};
  EXPECT_GT(unsealed, 1) << "the checkpoint that ends recovery, the one that writes sealed images";
  EXPECT_EQ(pages_on_disk().count(0), 0u);
}

}  // namespace
}  // namespace rustbd::storage
