// The segment files of a log: naming, headers, preallocation of two ahead, recycling of those no longer kept.
//
// Invariants: (1) a file gets a zeroed, synced header before it takes the name of a future segment, so stale
// batches in it are never taken for new ones; (2) nothing at or behind keep is touched; (3) at most two
// segments are ahead, and are open: who writes the log asks the system for nothing any more. Threads: any;
// one background thread does the work.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rustbd/base/log_line.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/format.h"
#include "rustbd/metrics/registry.h"

namespace rustbd::log {

/// 64 header bytes in a block of 4096, checksum set.
void encode_segment_header(SegmentHeader header, std::span<std::byte, kSegmentHeaderBytes> out);
/// nullopt: zeroed, damaged or of another log.
std::optional<SegmentHeader> decode_segment_header(std::span<const std::byte, kSegmentHeaderBytes> in);
/// First Lsns of the segment files, ascending. Names that are none are left out.
io::IoResult<std::vector<Lsn>> list_segments(io::Disk& disk, const std::string& directory);

/// Where the first `bytes` of two files differ; `bytes`: nowhere. Either may be open for direct I/O. Blocks.
io::IoResult<std::uint64_t> first_difference(io::File& a, io::File& b, std::uint64_t bytes);

class SegmentStore {
 public:
  struct Options {
    std::string directory;
    Geometry geometry;
    bool preallocate_zeros = true;
    std::function<Lsn()> hold;       // the log from there on is kept for others; none, or empty: nothing is
    std::uint64_t retention_us = 0;  // a segment is kept for so long after its end
    std::uint64_t retention_bytes = 0;  // but no more than so much for that reason alone; 0: no limit
    std::function<void()> on_progress;  // a segment was prepared, or could not be; on the background thread
    LogLine log_line;
    metrics::Counter* shortages = nullptr;  // attempts that failed for lack of something
  };
  static constexpr std::uint64_t kAhead = 2;
  /// Why the second segment ahead cannot be made for the moment.
  enum class Shortage : std::uint8_t { kNone, kSpace, kResources };

  SegmentStore(const io::Environment& environment, Options options);
  ~SegmentStore();  // stop()s

  /// Makes the directory and segment `first` (reuses a file of that name), zeroes the headers of all later
  /// files, and starts preparing. Blocks.
  io::IoResult<> start(std::uint64_t first);
  /// The file of segment `number` <= prepared_until(), opened for direct I/O. By the log thread, one after
  /// the other.
  std::unique_ptr<io::File> take(std::uint64_t number);
  /// Segments up to this one can be written without asking the file system for room.
  [[nodiscard]] std::uint64_t prepared_until() const {
    return prepared_until_.load(std::memory_order_acquire);
  }
  /// Of disk space: tried again every second and after set_keep(). Of file descriptors or kernel memory: ten
  /// times a second.
  [[nodiscard]] Shortage shortage() const { return shortage_.load(std::memory_order_acquire); }
  /// A segment could not be made for another reason: the log cannot go on.
  [[nodiscard]] bool broken() const { return broken_.load(std::memory_order_acquire); }
  void set_keep(Lsn keep);
  /// What `hold` says has changed.
  void hold_changed() { wake(); }
  /// Where the log that anybody may still ask for begins: by set_keep(), `hold` and retention.
  [[nodiscard]] Lsn kept_from() const;
  /// Bytes of the files that hold something kept, or are current or ahead.
  [[nodiscard]] std::uint64_t retained_bytes() const;
  void stop();

 private:
  void run();
  bool prepare_next();  // false: enough are ready, or it failed
  void note(io::IoResult<> prepared, std::uint64_t number);
  io::IoResult<> prepare(std::uint64_t number);
  io::IoResult<> make(std::uint64_t number);
  io::IoResult<> open_ready(std::uint64_t number);
  struct Old {
    std::uint64_t number;
    std::int64_t ended_us;  // wall clock; of a segment of an earlier life: the start of this one
  };
  std::optional<Old> take_unkept();
  [[nodiscard]] bool is_kept(const Old& old) const;
  io::IoResult<> make_new(const std::string& to, bool zeros);
  io::IoResult<> fill_with_zeros(io::File& file);
  io::IoResult<> zero_header(const std::string& path);
  io::IoResult<> adopt_existing(std::uint64_t first);
  void remove_surplus();
  void wake();
  [[nodiscard]] std::string path(std::uint64_t number) const;

  const io::Environment environment_;
  const Options options_;
  mutable std::mutex mutex_;  // protects the ones below
  std::deque<Old> old_;       // existing segments before the current one, ascending
  std::uint64_t current_ = 0;
  Lsn keep_;
  std::map<std::uint64_t, std::unique_ptr<io::File>> ready_;  // prepared, not taken yet
  io::WaitToken work_;                                        // the thread sleeps on it
  bool pending_ = false;                                      // work was announced while the thread was busy
  std::atomic<std::uint64_t> prepared_until_{0};
  std::atomic<Shortage> shortage_{Shortage::kNone};
  std::atomic<bool> broken_{false};
  std::atomic<bool> stopping_{false};
  std::optional<std::uint64_t> made_;  // by the thread: its file has its name, and may have to be opened
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::log
