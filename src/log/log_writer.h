// Appends batches to the log and makes them durable in groups.
//
// How a commit uses it (storage.md 4.4):
//   prepared = prepare_batch(...)                        sums the body
//   reserve(prepared.ring_bytes(), &reservation)         before the gate; may have to wait
//   gate.enter; lock the commit mutex; ts = ++last_ts
//   lsn = writer.assign(prepared, ts)                    O(1): place, header, checksum chain
//   unlock; writer.fill(prepared, reservation); gate.exit
//   co_await writer.durable(end); if (!writer.is_durable(end)) -> 58030, outcome unknown
//
// Invariants: (1) a batch is contiguous in the stream and batches stand in assign() order; (2) durable_lsn()
// never goes back and stands at batch ends; (3) durable_lsn() >= end only after a successful datasync of all
// bytes before end; (4) after one failed write or datasync nothing becomes durable any more, all waiters are
// woken, on_fatal is called. Threads: all public methods from any thread, unless said otherwise. Every
// assign() must be followed by its fill(). Source: group commit as in DeWitt et al., SIGMOD 1984; filled
// ranges behind one counter as in Aether (Johnson et al., VLDB 2010).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "rustbd/base/log_line.h"
#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/archiver.h"
#include "rustbd/log/blocks.h"
#include "rustbd/log/format.h"
#include "rustbd/log/segments.h"
#include "rustbd/metrics/registry.h"

namespace rustbd::log {

struct LogOptions {
  std::string directory = "wal";
  std::uint64_t segment_bytes = kSegmentBytesDefault;  // multiple of 4096
  std::uint64_t ring_bytes = kRingBytesDefault;        // multiple of 4096, at most a segment's payload
  std::chrono::microseconds idle_pad_delay{
      8000};                          // a PAD that records durable_lsn, this long after the last flush
  bool preallocate_zeros = true;      // false: fallocate only (tests, small machines)
  std::function<Lsn()> hold;          // as SegmentStore::Options
  std::uint64_t retention_us = 0;     // likewise
  std::uint64_t retention_bytes = 0;  // likewise
  io::Disk* archive_disk = nullptr;   // complete segments are copied there before they are used again
  std::string archive;                // the directory on it
  LogLine log_line;
  /// Called on the log thread after all waiters are woken. Empty: message and exit code 70.
  std::function<void(io::IoFailure)> on_fatal;
};

/// Where a log goes on: made by fresh_log() or close_log() (log_reader.h).
struct LogStart {
  Lsn first;  // of the first batch, at a segment's first batch position
  std::uint32_t prev_crc = 0;
  std::uint64_t wal_uuid = 0;
  std::uint64_t timeline = 1;
  std::uint64_t salt = 0;   // new at each start
  CommitTimestamp last_ts;  // of the last batch that survived
};

enum class ReserveStatus : std::uint8_t {
  kReserved,
  kWait,     // the ring is full: await the token, try again
  kNoSpace,  // no room for another segment: the statement fails with 53100 (or 53000, see short_of_resources)
  kFailed,   // the log is dead: 58030
};
struct ReserveOutcome {
  ReserveStatus status;
  io::WaitToken token;  // of kWait
};

class LogWriter;

/// Room in the ring. Gives back what was not used when it is destroyed.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& from) noexcept
      : writer_(std::exchange(from.writer_, nullptr)), bytes_(std::exchange(from.bytes_, 0)) {}
  Reservation& operator=(Reservation&& from) noexcept;
  ~Reservation() { release(); }
  void release();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  friend class LogWriter;
  LogWriter* writer_ = nullptr;
  std::uint64_t bytes_ = 0;
};

class LogWriter {
 public:
  /// Makes the first segment and starts the log thread. `environment`'s parts and `registry` outlive it.
  /// Blocks: for start-up only.
  static io::IoResult<std::unique_ptr<LogWriter>> open(const io::Environment& environment,
                                                       metrics::Registry& registry, LogOptions options,
                                                       const LogStart& start);
  ~LogWriter();  // stop()s if that was not done

  /// Largest batch (ring_bytes()) that may be reserved: a quarter of the ring. Bigger ones are written as
  /// fragments.
  [[nodiscard]] std::uint64_t batch_bytes_max() const { return options_.ring_bytes / 4; }
  /// Adds to `reservation`. Never waits itself. While no further segment can be made, ordinary writes are
  /// refused when the current segment is full; `essential` ones (what frees room: DROP, TRUNCATE, marks) may
  /// use the one ahead too.
  ReserveOutcome reserve(std::uint64_t bytes, Reservation* reservation, bool essential = false);
  /// The same, awaiting room. For threads that may block and have no gate open.
  ReserveStatus reserve_blocking(std::uint64_t bytes, Reservation* reservation, bool essential = false);

  /// Gives the batch its place and completes its header. Calls for batches with a commit_ts come in commit_ts
  /// order: the caller holds its commit mutex. Returns the batch's start; its end is end_of(batch).
  /// @pre a reservation of at least batch.ring_bytes() is held; fill() follows without any wait.
  Lsn assign(PreparedBatch& batch, CommitTimestamp commit_ts = {});
  /// Copies the batch to its place. Its part of the reservation was used up by assign().
  void fill(const PreparedBatch& batch, Reservation& reservation);
  /// assign and fill in one, for batches without commit order (NONTX, fragments, prepare). Returns the start.
  Lsn append(PreparedBatch& batch, Reservation& reservation);
  [[nodiscard]] Lsn end_of(const PreparedBatch& batch) const {
    return geometry_.next_batch(Lsn{batch.header.lsn}, batch.header.len);
  }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }

  /// End of the last batch assigned: ckpt_lsn of a checkpoint whose gate is closed.
  [[nodiscard]] Lsn tail() const;
  [[nodiscard]] Lsn durable_lsn() const { return Lsn{durable_lsn_.load(std::memory_order_acquire)}; }
  /// Highest commit_ts of the durable batches.
  [[nodiscard]] CommitTimestamp durable_ts() const {
    return CommitTimestamp{durable_ts_.load(std::memory_order_acquire)};
  }
  [[nodiscard]] bool is_durable(Lsn end) const { return durable_lsn() >= end; }
  /// Fires when durable_lsn() >= end, or when the log has failed: check is_durable() afterwards. Empty if it
  /// is already.
  io::WaitToken durable(Lsn end);
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_acquire); }
  /// True while no further segment can be made for lack of disk space.
  [[nodiscard]] bool out_of_space() const { return segments_->shortage() == SegmentStore::Shortage::kSpace; }
  /// Likewise of file descriptors or kernel memory.
  [[nodiscard]] bool short_of_resources() const {
    return segments_->shortage() == SegmentStore::Shortage::kResources;
  }

  /// Everything before `keep` may be recycled (I12). Called after the superblock that says so is durable.
  void set_keep_lsn(Lsn keep) { segments_->set_keep(keep); }
  /// As SegmentStore::kept_from().
  [[nodiscard]] Lsn kept_from() const { return segments_->kept_from(); }
  /// What `hold` says has changed: segments may be free for use.
  void hold_changed() { segments_->hold_changed(); }
  /// Up to where the log is in the archive; none: there is no archive.
  [[nodiscard]] Lsn archived_lsn() const { return archiver_ ? archiver_->hold() : Lsn{}; }

  /// Makes everything assigned durable, ends the threads. No assign() afterwards. Blocks.
  void stop();

 private:
  friend class Reservation;
  // A batch that was copied reports itself here. end: stream position, 0: not yet.
  struct Slot {
    std::atomic<std::uint64_t> end{0};
    std::uint64_t commit_ts = 0;
    bool crowded = false;  // filled by a lane that serves many at once
  };
  struct Waiter {
    Lsn end;
    io::WaitToken token;
  };
  enum class Sleep : std::uint8_t {
    kAwake,
    kUntilWork,
    kGathering,  // batches do not wake it
  };
  struct Metrics {
    explicit Metrics(metrics::Registry& registry);
    metrics::Counter& bytes;
    metrics::Histogram& sync_seconds;
    metrics::Histogram& group_size;
    metrics::Counter& shortages;
  };
  LogWriter(const io::Environment& environment, metrics::Registry& registry, LogOptions options,
            const LogStart& start);

  [[nodiscard]] Lsn kept_for_others() const;
  io::IoResult<> start_archiver();
  void give_back(std::uint64_t bytes);
  void copy_to_ring(std::uint64_t at, ByteSpan bytes);
  void wake_space_waiters();
  void wake_log_thread();

  // Body and parts of the log thread.
  void run();
  bool collect_filled();  // moves filled_ on; true if there is something to write
  io::IoResult<> flush();
  io::IoResult<> make_durable(std::uint64_t from, std::uint64_t to);
  void stage(std::uint64_t from, std::uint64_t to, std::uint64_t end);
  [[nodiscard]] std::uint64_t file_offset(std::uint64_t at) const;
  io::IoResult<> write_blocks(std::uint64_t from, std::uint64_t to);
  io::IoResult<> enter_segment(std::uint64_t number);
  void publish_durable();
  void fail(io::IoFailure why);
  void gather();
  io::WaitToken sleep_as(Sleep sleep);
  void sleep_until_work();
  bool write_idle_pad();
  [[nodiscard]] bool pad_is_missing() const;
  [[nodiscard]] bool pad_is_due() const;
  [[nodiscard]] bool everything_flushed();

  const io::Environment environment_;
  const LogOptions options_;
  const Geometry geometry_;
  const LogStart start_;
  Metrics metrics_;
  std::unique_ptr<SegmentStore> segments_;
  std::unique_ptr<Archiver> archiver_;
  const Blocks ring_;        // stream position p lies at p % ring_bytes
  const Blocks staging_;     // small flushes and tail blocks; log thread only
  std::vector<Slot> slots_;  // batch n reports in slot n % size; more slots than batches fit

  mutable std::mutex place_mutex_;  // protects the six below
  std::uint64_t tail_;              // stream position
  std::uint64_t reserved_ = 0;      // bytes reserved and not yet assigned
  std::uint64_t ring_start_;        // stream position of the first byte that must stay in the ring
  std::uint32_t prev_crc_;
  std::uint64_t batches_ = 0;
  std::vector<io::WaitToken> space_waiters_;

  std::mutex wait_mutex_;  // protects waiters_
  std::vector<Waiter> waiters_;
  std::atomic<std::uint64_t> durable_lsn_;
  std::atomic<std::uint64_t> durable_ts_;
  std::atomic<bool> failed_{false};

  /// Wakes the log thread from the sleep that it is in. Shared with timers that may outlive the writer.
  struct Bell {
    std::mutex mutex;  // protects asleep_on
    io::WaitToken asleep_on;
    void ring();
  };
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  std::atomic<Sleep> asleep_{Sleep::kAwake};
  std::atomic<bool> stopping_{false};

  // The log thread's own.
  std::uint64_t next_slot_ = 0;
  std::uint64_t filled_;  // stream positions
  std::uint64_t flushed_;
  std::uint64_t filled_ts_;
  std::uint64_t group_batches_ = 0;
  std::uint64_t idle_pad_end_ = 0;
  bool pad_wanted_ = false;  // what was flushed last is not recorded as durable yet
  std::int64_t flush_began_us_ = 0, flushed_at_us_ = 0;
  float crowded_ = 0;        // share of such batches lately
  bool gathers_ = false;     // between this flush and the next
  io::WaitToken pad_timer_;  // rings; one for many flushes, that find it running
  std::unique_ptr<io::File> file_;
  std::uint64_t file_segment_ = 0;
  bool header_is_new_ = false;  // of file_: not synced yet

  std::unique_ptr<io::BackgroundThread> thread_;
  metrics::Registry::Callback position_metric_, retained_metric_;
  bool stopped_ = false;  // by the one who calls stop()
};

}  // namespace rustbd::log
