// All backends through the same questions: the two real ones over a temporary directory, and the simulated
// one.
#include "rustbd/io/disk.h"

#include <dirent.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rustbd/io/executor.h"
#include "rustbd/io/simulated/simulated_disk.h"

// readdir() of the whole program, so that it can fail.
static thread_local int readdirs_until_failure = -1;
extern "C" dirent* readdir(DIR* directory) {
  static const auto real = reinterpret_cast<dirent* (*)(DIR*)>(dlsym(RTLD_NEXT, "readdir"));
  if (readdirs_until_failure < 0 || readdirs_until_failure-- > 0) return real(directory);
  errno = EIO;
  return nullptr;
}

namespace rustbd::io {
namespace {

enum class Which { kThreads, kUring, kSimulated };

std::vector<std::byte> pattern(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> out(bytes);
  SeededRandom{seed}.fill(out);
  return out;
}

class DiskTest : public testing::TestWithParam<Which> {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "rustbd-io-XXXXXX").string();
    root_ = mkdtemp(name.data());
    switch (GetParam()) {
      case Which::kSimulated: disk = std::make_unique<SimulatedDisk>(1); break;
      case Which::kThreads: disk = make_real_disk(root_, DiskBackend::kThreads); break;
      case Which::kUring: disk = make_real_disk(root_, DiskBackend::kUring); break;
    }
  }
  void TearDown() override {
    disk.reset();
    std::filesystem::remove_all(root_);
  }
  std::unique_ptr<File> open(const std::string& path, OpenOptions options = {.create = true}) {
    auto file = disk->open(path, options);
    EXPECT_TRUE(file.has_value());
    return std::move(*file);
  }
  std::string root_;
  std::unique_ptr<Disk> disk;
};

TEST_P(DiskTest, WhatIsWrittenIsRead) {
  const auto file = open("a");
  const auto data = pattern(100'000, 1);
  ASSERT_TRUE(file->write(0, data));
  ASSERT_TRUE(file->write(50'000, std::span{data}.first(1000)));
  ASSERT_TRUE(file->datasync());
  std::vector<std::byte> back(100'000);
  ASSERT_TRUE(file->read(0, back));
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 50'000, data.begin()));
  EXPECT_TRUE(std::equal(back.begin() + 50'000, back.begin() + 51'000, data.begin()));
  EXPECT_TRUE(std::equal(back.begin() + 51'000, back.end(), data.begin() + 51'000));
  EXPECT_EQ(file->size().value(), 100'000u);
}

TEST_P(DiskTest, WriteDurableWrites) {
  const auto file = open("a");
  const auto data = pattern(100'000, 1), other = pattern(5000, 2);
  ASSERT_TRUE(file->write_durable(0, data));
  ASSERT_TRUE(file->write_durable(99'000, other));
  std::vector<std::byte> back(104'000);
  ASSERT_TRUE(file->read(0, back));
  EXPECT_TRUE(std::equal(back.begin(), back.begin() + 99'000, data.begin()));
  EXPECT_TRUE(std::equal(back.begin() + 99'000, back.end(), other.begin()));
}

TEST_P(DiskTest, ReadsPastTheEndAreShort) {
  const auto file = open("a");
  ASSERT_TRUE(file->write(0, pattern(10, 1)));
  std::vector<std::byte> back(11);
  EXPECT_EQ(file->read(0, back).error(), IoFailure::kShort);
  EXPECT_EQ(file->read(100, back).error(), IoFailure::kShort);
  IoRequest request{.status = {}, .done = WaitToken::make(WaitReason::kPage)};
  file->read_async(5, back, &request);
  request.done.wait_blocking();
  EXPECT_EQ(request.status.error(), IoFailure::kShort);
}

TEST_P(DiskTest, ManyAsynchronousOperationsAtOnce) {
  constexpr std::size_t kOperations = 2000, kBytes = 4096;  // more than the submission queue holds
  const auto file = open("a");
  const auto data = pattern(kOperations * kBytes, 2);
  std::vector<IoRequest> requests(kOperations);
  for (std::size_t i = 0; i < kOperations; ++i) {
    requests[i].done = WaitToken::make(WaitReason::kPage);
    file->write_async(i * kBytes, std::span{data}.subspan(i * kBytes, kBytes), &requests[i]);
  }
  for (const IoRequest& r : requests) {
    r.done.wait_blocking();
    ASSERT_TRUE(r.status);
  }
  IoRequest sync{.status = std::unexpected{IoFailure::kBusy},
                 .done = WaitToken::make(WaitReason::kDurability)};
  file->datasync_async(&sync);
  sync.done.wait_blocking();
  EXPECT_TRUE(sync.status);
  std::vector<std::byte> back(data.size());
  for (std::size_t i = 0; i < kOperations; ++i) {
    requests[i] = {.status = {}, .done = WaitToken::make(WaitReason::kPage)};
    file->read_async(i * kBytes, std::span{back}.subspan(i * kBytes, kBytes), &requests[i]);
  }
  for (const IoRequest& r : requests) {
    r.done.wait_blocking();
    ASSERT_TRUE(r.status);
  }
  EXPECT_EQ(back, data);
}

TEST_P(DiskTest, DirectFilesTakeWholeAlignedBlocks) {
  const auto file = open("direct", {.create = true, .direct = true});
  auto* block = static_cast<std::byte*>(std::aligned_alloc(4096, 8192));
  const std::unique_ptr<std::byte, decltype(&std::free)> owner{block, &std::free};
  const auto data = pattern(8192, 3);
  std::copy(data.begin(), data.end(), block);
  ASSERT_TRUE(file->allocate(0, 1 << 20));
  EXPECT_EQ(file->size().value(), 1u << 20);
  ASSERT_TRUE(file->write(4096, {block, 8192}));
  std::fill(block, block + 8192, std::byte{0});
  ASSERT_TRUE(file->read(4096, {block, 8192}));
  EXPECT_TRUE(std::equal(data.begin(), data.end(), block));
  ASSERT_TRUE(file->read(0, {block, 4096}));
  EXPECT_TRUE(std::all_of(block, block + 4096, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_P(DiskTest, NamesAndDirectories) {
  EXPECT_EQ(disk->open("absent", {}).error(), IoFailure::kNotFound);
  EXPECT_EQ(disk->open("no/file", {.create = true}).error(), IoFailure::kNotFound);
  ASSERT_TRUE(disk->make_directory("d"));
  EXPECT_EQ(disk->make_directory("d").error(), IoFailure::kExists);
  ASSERT_TRUE(open("d/two")->write(0, pattern(3, 1)));
  ASSERT_TRUE(open("d/one")->write(0, pattern(5, 1)));
  EXPECT_EQ(disk->list("d").value(), (std::vector<std::string>{"one", "two"}));
  ASSERT_TRUE(disk->rename("d/one", "d/two"));
  EXPECT_EQ(disk->list("d").value(), std::vector<std::string>{"two"});
  EXPECT_EQ(open("d/two", {})->size().value(), 5u);
  EXPECT_EQ(disk->rename("d/one", "d/three").error(), IoFailure::kNotFound);
  ASSERT_TRUE(disk->sync_directory("d"));
  ASSERT_TRUE(disk->sync_directory("."));
  EXPECT_EQ(disk->remove("d").error(), IoFailure::kExists);
  EXPECT_TRUE(disk->exists("d/two"));
  ASSERT_TRUE(disk->remove("d/two"));
  EXPECT_FALSE(disk->exists("d/two"));
  EXPECT_EQ(disk->remove("d/two").error(), IoFailure::kNotFound);
  ASSERT_TRUE(disk->remove("d"));
  EXPECT_FALSE(disk->exists("d"));
}

TEST_P(DiskTest, TruncateCutsAndExtendsWithZeros) {
  const auto file = open("a");
  ASSERT_TRUE(file->write(0, pattern(5000, 1)));
  ASSERT_TRUE(file->truncate(10));
  ASSERT_TRUE(file->truncate(5000));
  std::vector<std::byte> back(5000);
  ASSERT_TRUE(file->read(0, back));
  EXPECT_TRUE(std::all_of(back.begin() + 10, back.end(), [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(std::vector(back.begin(), back.begin() + 10), pattern(10, 1));
}

TEST_P(DiskTest, ALockIsHeldByOne) {
  auto first = disk->lock("LOCK");
  ASSERT_TRUE(first);
  EXPECT_EQ(disk->lock("LOCK").error(), IoFailure::kBusy);
  first->reset();
  EXPECT_TRUE(disk->lock("LOCK"));
}

INSTANTIATE_TEST_SUITE_P(All, DiskTest, testing::Values(Which::kThreads, Which::kUring, Which::kSimulated),
                         [](const auto& info) {
                           return std::string{info.param == Which::kThreads ? "Threads"
                                              : info.param == Which::kUring ? "Uring"
                                                                            : "Simulated"};
                         });

TEST(RealDisk, AFullDiskIsNoSpace) {
  const auto disk = make_real_disk("/dev", DiskBackend::kThreads);
  const auto file = disk->open("full", {});
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->write(0, pattern(10, 1)).error(), IoFailure::kNoSpace);
}

TEST(RealDisk, ADirectoryThatCannotBeReadToItsEndIsNotShort) {
  std::string name = (std::filesystem::temp_directory_path() / "rustbd-io-XXXXXX").string();
  const std::string root = mkdtemp(name.data());
  {
    const auto disk = make_real_disk(root, DiskBackend::kThreads);
    for (const char* file : {"a", "b", "c"}) ASSERT_TRUE(disk->open(file, {.create = true}));
    readdirs_until_failure = 2;
    EXPECT_EQ(disk->list(".").error(), IoFailure::kDevice);
    readdirs_until_failure = -1;
    EXPECT_EQ(disk->list(".").value().size(), 3u);
  }
  std::filesystem::remove_all(root);
}

// Who asks goes on to open it, and learns what is wrong; an absent file is no reason to fail.
TEST(RealDisk, WhatCannotBeToldToBeAbsentIsThere) {
  std::string name = (std::filesystem::temp_directory_path() / "rustbd-io-XXXXXX").string();
  const std::string root = mkdtemp(name.data());
  {
    const auto disk = make_real_disk(root, DiskBackend::kThreads);
    std::filesystem::create_symlink("loop", root + "/loop");
    EXPECT_TRUE(disk->exists("loop"));
    EXPECT_EQ(disk->open("loop", {}).error(), IoFailure::kDevice);
    EXPECT_FALSE(disk->exists("absent"));
    EXPECT_FALSE(disk->exists("absent/too"));
  }
  std::filesystem::remove_all(root);
}

TEST(RealDisk, NamesItsBackend) {
  EXPECT_EQ(make_real_disk("/tmp", DiskBackend::kThreads)->name(), "threads");
  const auto automatic = make_real_disk("/tmp");
  EXPECT_TRUE(automatic->name() == "io_uring" || automatic->name() == "threads");
}

}  // namespace
}  // namespace rustbd::io
