// Archiver: copies complete segments to another directory before they may be used again; the base of
// point-in-time recovery. A copy has the segment's name, and is whole when it has it: written under another
// name, synced, read again, renamed, directory synced.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rustbd/base/log_line.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/format.h"
#include "rustbd/metrics/registry.h"

namespace rustbd::log {

/// A segment is copied only when every batch that begins in it is durable: recovery will not change it any
/// more. The keys of keys.tab go along, so that the archive can be read by itself (with the master key);
/// those that the archive has stay there, whatever the directory still has. A failure is counted, said, and
/// tried again; the segment stays meanwhile. A file of that name with other content is never overwritten, nor
/// is another database's key: that is a failure too. A segment that is damaged is copied as it is, counted
/// and said: waiting would mend nothing; one that was archived before it was damaged is said only. Threads:
/// durable() and hold() from any; one thread of its own copies.
class Archiver {
 public:
  struct Options {
    std::string directory;  // of the log, on environment.disk
    Geometry geometry;
    io::Disk* disk = nullptr;  // of the archive
    std::string archive;       // a directory there that exists
    LogLine log_line;
    std::function<void()> on_progress;  // hold() has moved; on the archiver's thread
  };
  Archiver(const io::Environment& environment, metrics::Registry& registry, Options options);
  ~Archiver();  // stop()s

  /// `existing`: first Lsns of the segment files, ascending. Those before `end` are copied first.
  void start(const std::vector<Lsn>& existing, Lsn end);
  /// The log is durable up to there, a batch's end.
  void durable(Lsn end);
  /// The log from there on is not archived yet.
  [[nodiscard]] Lsn hold() const { return Lsn{hold_.load(std::memory_order_acquire)}; }
  void stop();

 private:
  void run();
  void set_next(std::uint64_t number);
  io::IoResult<> archive(std::uint64_t number);
  std::unexpected<io::IoFailure> refuse(std::string why);
  io::IoResult<bool> is_there(io::File& from, std::uint64_t number, const std::string& name);
  io::IoResult<> copy_keys();
  io::IoResult<> copy(io::File& from, const std::string& name);
  io::IoResult<> compare(io::File& from, const std::string& copy);
  struct Verdict {
    std::string problem;  // empty: none
    Lsn next;             // where the next segment's first batch begins; none: not known
  };
  io::IoResult<Verdict> verify(std::uint64_t number);
  io::IoResult<Verdict> read_segment(std::uint64_t number, Lsn first_batch);

  const io::Environment environment_;
  const Options options_;
  metrics::Counter& archived_;
  metrics::Counter& failures_;
  metrics::Counter& damaged_;
  // The thread's own:
  std::string why_;                     // what archive() refused for; empty: its failure says it
  Lsn next_batch_;                      // where the first batch of segment next_ begins; none: not known
  bool given_up_ = true;                // all so far were files that had been given up
  std::atomic<std::uint64_t> next_{0};  // segment; all before are archived
  std::atomic<std::uint64_t> hold_{0};  // its first Lsn
  std::mutex mutex_;                    // protects the following
  std::uint64_t complete_ = 0;          // segments before this one are complete
  io::WaitToken work_;                  // the thread sleeps on it
  std::atomic<bool> stopping_{false};
  std::unique_ptr<io::BackgroundThread> thread_;
};

}  // namespace rustbd::log
