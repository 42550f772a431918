// The segment files of a log: naming, headers, preallocation of two ahead, recycling of those no longer kept.
//
// Invariants: (1) a file gets a zeroed, synced header before it takes the name of a future segment, so stale batches in
// it are never taken for new ones; (2) nothing at or behind keep is touched; (3) at most two segments are ahead.
// Threads: any; one background thread does the work.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/format.h"

namespace rustbd::log {

/// 64 header bytes in a block of 4096, checksum set.
void encode_segment_header(SegmentHeader header, std::span<std::byte, kSegmentHeaderBytes> out);
/// nullopt: zeroed, damaged or of another log.
std::optional<SegmentHeader> decode_segment_header(std::span<const std::byte, kSegmentHeaderBytes> in);
/// First Lsns of the segment files, ascending. Names that are none are left out.
io::IoResult<std::vector<Lsn>> list_segments(io::Disk& disk, const std::string& directory);

class SegmentStore {
 public:
  struct Options {
    std::string directory;
    Geometry geometry;
    bool preallocate_zeros = true;
  };
  static constexpr std::size_t kAhead = 2;

  SegmentStore(const io::Environment& environment, Options options);
  ~SegmentStore();  // stop()s

  /// Makes the directory and segment `first` (reuses a file of that name), zeroes the headers of all later files, and
  /// starts preparing. Blocks.
  io::IoResult<> start(std::uint64_t first);
  /// The file of segment `number`, ready to be written; all before it are done. kWait-like: an empty pointer, and
  /// `token` fires when it is worth asking again. Called by the log thread in ascending order.
  std::unique_ptr<io::File> take(std::uint64_t number, io::WaitToken* token);
  /// The second segment ahead could not be made for lack of space.
  [[nodiscard]] bool out_of_space() const { return out_of_space_.load(std::memory_order_acquire); }
  /// A segment could not be made for another reason: the log cannot go on.
  [[nodiscard]] bool broken() const { return broken_.load(std::memory_order_acquire); }
  void set_keep(Lsn keep);
  /// Bytes of the files from keep on.
  [[nodiscard]] std::uint64_t retained_bytes() const;
  /// Fires when out_of_space() may have changed (or at once if it is false).
  void stop();

 private:
  void run();
  bool prepare_one();  // false: nothing to do or no room
  io::IoResult<> prepare(std::uint64_t number);
  io::IoResult<bool> recycle_into(std::uint64_t number);
  io::IoResult<> fill_with_zeros(io::File& file);
  io::IoResult<> zero_header(const std::string& path);
  void remove_surplus();
  void wake();
  [[nodiscard]] std::string path(std::uint64_t number) const;

  const io::Environment environment_;
  const Options options_;
  mutable std::mutex mutex_;              // protects the ones below
  std::deque<std::uint64_t> old_;         // existing segments before the current one, ascending
  std::uint64_t current_ = 0;
  std::uint64_t prepared_until_ = 0;      // segments (current_, prepared_until_] are ready
  Lsn keep_;
  io::WaitToken work_;                    // the thread sleeps on it
  io::WaitToken ready_;                   // the log thread waits on it
  bool pending_ = false;                  // work was announced while the thread was busy
  std::atomic<bool> out_of_space_{false};
  std::atomic<bool> broken_{false};
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::log
