// Many threads share one disk: what each wrote, each reads.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"

namespace rustbd::io {
namespace {

class DiskConcurrent : public testing::TestWithParam<DiskBackend> {};

TEST_P(DiskConcurrent, ThreadsDoNotDisturbEachOther) {
  std::string name = (std::filesystem::temp_directory_path() / "rustbd-io-XXXXXX").string();
  const std::string root = mkdtemp(name.data());
  {
    const auto disk = make_real_disk(root, GetParam());
    const auto file = std::move(disk->open("a", {.create = true}).value());
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (std::uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::vector<std::byte> data(1024), back(1024);
        for (std::uint64_t i = 0; i < 100; ++i) {
          SeededRandom{t * 1000 + i}.fill(data);
          const std::uint64_t at = (i * 4 + t) * data.size();
          IoRequest write{.status = {}, .done = WaitToken::make(WaitReason::kPage)};
          file->write_async(at, data, &write);
          write.done.wait_blocking();
          IoRequest read{.status = {}, .done = WaitToken::make(WaitReason::kPage)};
          file->read_async(at, back, &read);
          read.done.wait_blocking();
          if (!write.status || !read.status || back != data) ++wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }
  std::filesystem::remove_all(root);
}

INSTANTIATE_TEST_SUITE_P(Disks, DiskConcurrent,
                         testing::Values(DiskBackend::kThreads, DiskBackend::kAutomatic));

}  // namespace
}  // namespace rustbd::io
