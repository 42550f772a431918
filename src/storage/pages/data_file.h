// DataFile: rustbd.db. The only user of io::Disk for pages; called by BufferManager, Checkpointer and open
// (storage.md §3).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/storage/pages/extent.h"

namespace rustbd::storage {

/// How long I/O of the data file takes, in seconds. Nobody asked: nullptr.
struct IoTimes {
  metrics::Histogram* read = nullptr;   // a page, from asking for it until it is there
  metrics::Histogram* write = nullptr;  // a batch of page images
  metrics::Histogram* sync = nullptr;
};

/// Offsets and buffers are multiples of 4096. Threads: any; one grow() at a time. Blocking calls hold no
/// lock.
class DataFile {
 public:
  DataFile(std::unique_ptr<io::File> file, io::Executor* executor, io::Clock* clock = nullptr,
           IoTimes times = {})
      : file_(std::move(file)), executor_(executor), clock_(clock), times_(times) {}

  /// For the caller's own measurement of an I/O that began at `began`, as now_us() gave it.
  [[nodiscard]] std::int64_t now_us() const { return clock_ != nullptr ? clock_->monotonic_us() : 0; }
  void note_time(metrics::Histogram* IoTimes::*of, std::int64_t began) const {
    if (times_.*of != nullptr) (times_.*of)->observe(static_cast<double>(now_us() - began) * 1e-6);
  }

  void read_async(std::uint64_t offset, std::span<std::byte> into, io::IoRequest* request) {
    file_->read_async(offset, into, request);
  }
  void write_async(std::uint64_t offset, std::span<const std::byte> from, io::IoRequest* request) {
    file_->write_async(offset, from, request);
  }
  io::IoResult<> read(std::uint64_t offset, std::span<std::byte> into) { return file_->read(offset, into); }
  io::IoResult<> write(std::uint64_t offset, std::span<const std::byte> from) {
    return file_->write(offset, from);
  }
  /// A failure is final: whoever calls it ends the process (I20).
  io::IoResult<> datasync() {
    const std::int64_t began = now_us();
    auto done = file_->datasync();
    note_time(&IoTimes::sync, began);
    return done;
  }
  /// Makes the file `blocks` blocks long, with its space reserved.
  io::IoResult<> extend(std::uint64_t from_blocks, std::uint64_t blocks) {
    return file_->allocate(from_blocks * 4096, (blocks - from_blocks) * 4096);
  }
  /// Makes the file `blocks` blocks long and gives the room behind back.
  io::IoResult<> cut(std::uint64_t blocks) { return file_->truncate(blocks * 4096); }
  io::IoResult<std::uint64_t> size_blocks() {
    auto size = file_->size();
    if (!size) return std::unexpected(size.error());
    return *size / 4096;
  }
  [[nodiscard]] io::Executor* executor() const { return executor_; }

 private:
  std::unique_ptr<io::File> file_;
  io::Executor* executor_;
  io::Clock* clock_;
  IoTimes times_;
};

}  // namespace rustbd::storage
