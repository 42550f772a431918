// Reads batches back: recovery, fragments of large transactions, and everything else that follows the log.
//
// A batch is valid iff magic, position, length, checksum (with the salt of the segment in which it starts)
// and the chain of prev_crc match, and all segments that it touches have valid headers. The first invalid one
// is the end of the log (a torn tail) unless a valid batch behind it says that it had been durable, or a
// segment from there on is missing or cut short: then an acknowledged record is damaged (storage.md 7.6;
// segments are made in their order, each whole, so that no crash leaves such). Where a segment's header
// itself is damaged, its batches cannot be verified; two neighbours there that agree on their place and chain
// count as proof too. Threads: one at a time. Blocks on disk reads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/io/disk.h"
#include "rustbd/io/executor.h"
#include "rustbd/log/events.h"
#include "rustbd/log/format.h"
#include "rustbd/log/log_writer.h"

namespace rustbd::log {

enum class ReadOutcome : std::uint8_t {
  kBatch,
  kEnd,      // torn or clean end (or the limit): position() is where the log ends
  kDamaged,  // an acknowledged batch is damaged: XX001
  kIoError,
};

/// What an end of log looks like to the one who goes on from there.
struct LogEnd {
  Lsn end;
  std::uint32_t last_crc = 0;  // 0: no batch was read
  std::uint64_t salt = 0;      // of the segment that holds the end; 0: it has no valid header
  std::uint64_t wal_uuid = 0;  // 0: no segment with a valid header was seen (the log never held a batch)
  std::uint64_t timeline = 1;
  CommitTimestamp last_ts;
  Lsn durable;  // the highest durable_lsn that a batch recorded
};

struct FragmentRef {
  Lsn lsn;
  std::uint32_t keep;  // first events that count
};

class LogReader {
 public:
  /// `directory` and `geometry` as the writer's. Without `keys` a sealed batch is told as kDamaged.
  LogReader(io::Disk& disk, std::string directory, Geometry geometry,
            const security::KeyRing* keys = nullptr);
  ~LogReader();

  /// The next batch is the one at `start` (a batch position, e.g. log_keep_lsn). Its prev_crc is not checked.
  void seek(Lsn start);
  /// The next batch is the first valid one that begins in the segment. False: there is none.
  io::IoResult<bool> seek_segment(std::uint64_t number);
  /// The next batch is the first one of the files that are there without a gap before `needed`, a batch
  /// position: more than a start needs, for consumers and retention, and what waits to be used again.
  /// `needed` itself if nothing is before it.
  io::IoResult<> seek_oldest(Lsn needed);
  /// Sealed batches are handed out as they are, their events empty: for who wants to know the log's
  /// structure. `only_foreign`: those of which the key is not there.
  void leave_sealed(bool only_foreign = false) { (only_foreign ? leave_foreign_ : leave_sealed_) = true; }
  /// Stop there, however much follows. For readers of a log that is being written: limit = durable_lsn.
  void set_limit(Lsn limit);
  /// PADs are skipped.
  ReadOutcome next();
  [[nodiscard]] const BatchView& batch() const { return batch_; }
  [[nodiscard]] Lsn position() const { return position_; }
  /// After kEnd.
  [[nodiscard]] LogEnd end() const;
  /// After kDamaged or kIoError: what and where, for the operator.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// After kDamaged: the key that a sound batch is sealed with and that is not there; 0: another reason.
  [[nodiscard]] std::uint32_t missing_key() const { return missing_key_; }

  /// The batch at `lsn`, independent of next(): its checksum is verified, its chain is not. The content lives
  /// in `into`.
  bool read_at(Lsn lsn, Bytes& into, BatchView& view);
  /// The fragments before `last` (a batch with a fragment head), oldest first, each with the number of its
  /// events that count. nullopt: a link is broken.
  std::optional<std::vector<FragmentRef>> read_fragment_chain(const BatchView& last);
  /// All events that count of a batch and, if it has a fragment head, of its chain, in order. False: damaged.
  bool for_each_event(const BatchView& last, const std::function<void(const Event&)>& visit);

 private:
  struct OpenSegment {
    std::uint64_t number = 0;
    std::unique_ptr<io::File> file;
    std::uint64_t file_bytes = 0;
    std::optional<SegmentHeader> header;
    bool damaged = false;  // the header is neither valid nor zeroed
  };
  enum class Check : std::uint8_t {
    kValid,
    kInvalid,
    kIoError,
    kSealed /* cannot be opened: see problem_ */
  };

  OpenSegment* segment(std::uint64_t number);  // nullptr: I/O error; its file is null where there is none
  Check read_stream(std::uint64_t from, std::span<std::byte> into);  // kInvalid: the files end before
  Check fill_window(std::uint64_t from);
  Check load_batch(Lsn at, Bytes& into, BatchView& view, bool open_seal = true);
  Check unseal(Bytes& into, BatchView& view);
  [[nodiscard]] bool plausible(const BatchHeader& header, Lsn at) const;
  [[nodiscard]] bool continues_chain(const BatchHeader& header, Lsn at) const;
  ReadOutcome judge_end();
  bool files_whole(Lsn end, const std::vector<Lsn>& all, Check* check);
  Check find_proof_behind(Lsn end, std::uint64_t segment_number, Lsn* proof);
  template <class Judge>
  Check find_batch(std::uint64_t from_stream, std::uint64_t segment_number, Lsn* found, Judge&& judge);
  Check is_proof(Lsn candidate, Lsn end, bool has_salt);
  ReadOutcome broken(Check check, const std::string& what);

  io::Disk& disk_;
  const std::string directory_;
  const Geometry geometry_;
  const security::KeyRing* const keys_;
  std::vector<std::unique_ptr<OpenSegment>> open_;  // a few, most recent last
  Bytes buffer_;                                    // content of batch_
  Bytes window_;                                    // read-ahead: stream bytes [window_start_, +size)
  std::uint64_t window_start_ = 0;
  bool leave_sealed_ = false, leave_foreign_ = false;
  BatchView batch_;
  Lsn position_;
  Lsn limit_;
  std::optional<std::uint32_t> chain_;  // crc that the next batch must name
  CommitTimestamp last_ts_;
  Lsn durable_;
  Lsn seek_;
  std::string problem_;
  std::uint32_t missing_key_ = 0;
};

/// A log that has no batch yet: position of the first one, a new salt.
LogStart fresh_log(io::Random& random, std::uint64_t wal_uuid, std::uint64_t timeline = 1);

/// Makes the end that recovery found final: rewrites the last valid blocks (the OS cache may lie after an
/// earlier failed sync), closes the segment with a PAD, and syncs. Only then may a LogWriter be opened on the
/// result.
io::IoResult<LogStart> close_log(io::Disk& disk, io::Random& random, const std::string& directory,
                                 const Geometry& geometry, const LogEnd& end);

}  // namespace rustbd::log
