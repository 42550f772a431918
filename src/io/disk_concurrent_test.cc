// Many threads share one disk: what each wrote, each reads.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
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

// Requests of a lane's thread are submitted together, but never too late.
class PuttingOffReads : public DiskConcurrent {
 protected:
  static constexpr std::size_t kPiece = 512;
  PuttingOffReads() {
    std::string name = (std::filesystem::temp_directory_path() / "rustbd-io-XXXXXX").string();
    root_ = mkdtemp(name.data());
    disk_ = make_real_disk(root_, GetParam());
    file_ = std::move(disk_->open("a", {.create = true}).value());
    for (std::uint64_t i = 0; i < 64; ++i) {
      const std::vector<std::byte> piece(kPiece, static_cast<std::byte>(i));
      EXPECT_TRUE(file_->write(i * kPiece, piece));
    }
  }
  ~PuttingOffReads() override {
    file_.reset();
    disk_.reset();
    std::filesystem::remove_all(root_);
  }
  struct Read {
    IoRequest request{.status = {}, .done = WaitToken::make(WaitReason::kPage)};
    std::vector<std::byte> into = std::vector<std::byte>(kPiece);
  };
  void start(Read& read, std::uint64_t piece) { file_->read_async(piece * kPiece, read.into, &read.request); }
  std::string root_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<File> file_;
};

TEST_P(PuttingOffReads, ManyJobsReadAtOnce) {
  const auto executor = make_thread_executor(2);
  constexpr std::uint64_t kReaders = 40;
  std::atomic<std::uint64_t> wrong{0}, ended{0};
  const WaitToken all = WaitToken::make(WaitReason::kTask);
  std::vector<std::unique_ptr<Read>> reads(kReaders);
  std::function<void(std::uint64_t, int)> go = [&](std::uint64_t reader, int rounds) {
    reads[reader] = std::make_unique<Read>();
    Read* read = reads[reader].get();
    const std::uint64_t piece = (reader * 7 + static_cast<std::uint64_t>(rounds)) % 64;
    start(*read, piece);
    const WaitToken done = read->request.done;
    done.then(executor->workers(), [&, reader, rounds, read, piece] {
      if (!read->request.status ||
          read->into != std::vector<std::byte>(kPiece, static_cast<std::byte>(piece)))
        ++wrong;
      if (rounds > 0) go(reader, rounds - 1);
      else if (++ended == kReaders) all.fire();
    });
  };
  for (std::uint64_t i = 0; i < kReaders; ++i) executor->workers().post([&, i] { go(i, 20); });
  all.wait_blocking();
  executor->stop();
  EXPECT_EQ(wrong, 0u);
}

TEST_P(PuttingOffReads, AThreadThatWaitsSubmitsFirst) {
  const auto executor = make_thread_executor(1);
  Read read;
  const WaitToken end = WaitToken::make(WaitReason::kTask);
  executor->workers().post([&] {
    start(read, 5);
    read.request.done.wait_blocking();
    end.fire();
  });
  end.wait_blocking();
  EXPECT_EQ(read.into[0], std::byte{5});
  executor->stop();
}

TEST_P(PuttingOffReads, AThreadThatIsNeverIdleSubmitsToo) {
  const auto executor = make_thread_executor(1);
  Read read;
  const WaitToken end = WaitToken::make(WaitReason::kTask);
  std::function<void()> again = [&] {
    if (read.request.done.fired()) end.fire();
    else executor->workers().post([&] { again(); });
  };
  executor->workers().post([&] {
    start(read, 9);
    again();
  });
  end.wait_blocking();
  EXPECT_EQ(read.into[0], std::byte{9});
  executor->stop();
}

// Somebody else has submitted its request, and the disk is gone when the thread comes to do it.
TEST_P(PuttingOffReads, AThreadMaySubmitWhenTheDiskIsGone) {
  const auto executor = make_thread_executor(1);
  Read read;
  const WaitToken started = WaitToken::make(WaitReason::kTask), end = WaitToken::make(WaitReason::kTask);
  std::atomic<bool> gone{false};
  executor->workers().post([&] {
    start(read, 3);
    started.fire();
    while (!gone) std::this_thread::yield();  // a wait by a token would submit
    executor->workers().post([&] { end.fire(); });
  });
  started.wait_blocking();
  disk_->submit();
  read.request.done.wait_blocking();
  EXPECT_EQ(read.into[0], std::byte{3});
  file_.reset();
  disk_.reset();
  gone = true;
  end.wait_blocking();
  executor->stop();
}

// The kernel cancels what an ending thread has under way. A pipe is what a read can wait for.
TEST_P(PuttingOffReads, WhatAThreadHasSubmittedGoesOnWhenItEnds) {
  if (disk_->name() != "io_uring") GTEST_SKIP() << "preads on threads of the disk's own";
  const std::string pipe = root_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto reader = std::move(disk_->open("pipe", {}).value());
  std::vector<std::byte> into(4), sent(4, std::byte{7});
  IoRequest read{.status = {}, .done = WaitToken::make(WaitReason::kPage)};
  std::thread{[&] { reader->read_async(0, into, &read); }}.join();
  const int writer = ::open(pipe.c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(::write(writer, sent.data(), sent.size()), 4);
  read.done.wait_blocking();
  EXPECT_TRUE(read.status);
  EXPECT_EQ(into, sent);
  ::close(writer);
}

INSTANTIATE_TEST_SUITE_P(Disks, PuttingOffReads,
                         testing::Values(DiskBackend::kThreads, DiskBackend::kAutomatic));
INSTANTIATE_TEST_SUITE_P(Disks, DiskConcurrent,
                         testing::Values(DiskBackend::kThreads, DiskBackend::kAutomatic));

}  // namespace
}  // namespace rustbd::io
