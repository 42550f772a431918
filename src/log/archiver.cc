#include "rustbd/log/archiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "rustbd/io/replace_file.h"
#include "rustbd/log/blocks.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/segments.h"

namespace rustbd::log {
namespace {
constexpr std::size_t kCopyBytes = 1 << 20;
constexpr std::chrono::seconds kRetry{1};

io::IoResult<Bytes> read_file(io::Disk& disk, const std::string& path) {
  const auto file = disk.open(path, {.read_only = true});
  if (!file) return std::unexpected{file.error()};
  const auto size = (*file)->size();
  if (!size) return std::unexpected{size.error()};
  Bytes content(*size);
  if (const auto read = (*file)->read(0, content); !read) return std::unexpected{read.error()};
  return content;
}
}  // namespace

Archiver::Archiver(const io::Environment& environment, metrics::Registry& registry, Options options)
    : environment_(environment),
      options_(std::move(options)),
      archived_(registry.counter("rustbd_wal_archived_segments_total", "Log segments copied to the archive")),
      failures_(registry.counter("rustbd_wal_archive_failures_total",
                                 "Attempts to copy a log segment to the archive that failed")),
      damaged_(registry.counter("rustbd_wal_archive_damaged_segments_total",
                                "Log segments that were damaged when they were copied to the archive")) {}

Archiver::~Archiver() { stop(); }

void Archiver::start(const std::vector<Lsn>& existing, Lsn end) {
  const std::uint64_t complete = options_.geometry.segment_of(end);
  std::uint64_t first = complete;
  for (const Lsn lsn : existing) first = std::min(first, options_.geometry.segment_of(lsn));
  set_next(first);
  complete_ = complete;
  thread_ = environment_.executor->start_background("log-archive", [this] { run(); });
}

void Archiver::set_next(std::uint64_t number) {
  next_.store(number);
  // Position 0 stands for none; segment 0 is held by any position inside it.
  hold_.store(std::max<std::uint64_t>(1, options_.geometry.first_lsn(number).raw()),
              std::memory_order_release);
}

void Archiver::stop() {
  if (!thread_) return;
  io::WaitToken work;
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true);
    work = std::exchange(work_, {});
  }
  work.fire();
  thread_->join();
  thread_.reset();
}

void Archiver::durable(Lsn end) {
  const std::uint64_t complete = options_.geometry.segment_of(end);
  io::WaitToken work;
  {
    const std::lock_guard lock(mutex_);
    if (complete <= complete_) return;
    complete_ = complete;
    work = std::exchange(work_, {});
  }
  work.fire();
}

void Archiver::run() {
  bool failed = false;
  for (;;) {
    const std::uint64_t number = next_.load();
    io::WaitToken work;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_.load()) return;
      if (failed || number >= complete_)
        work = work_ =
            failed ? environment_.executor->after(kRetry) : io::WaitToken::make(io::WaitReason::kTask);
    }
    if (work) {
      environment_.executor->block_on(work);
      failed = false;
      continue;
    }
    why_.clear();
    const auto done = archive(number);
    failed = !done;
    if (failed) {
      failures_.inc();
      if (options_.log_line)
        options_.log_line.warning(fmt::format(
            "the log segment {} cannot be archived: {}", segment_name(options_.geometry.first_lsn(number)),
            why_.empty() ? io::to_text(done.error()) : std::string_view{why_}));
      continue;
    }
    set_next(number + 1);
    if (options_.on_progress) options_.on_progress();
  }
}

io::IoResult<> Archiver::archive(std::uint64_t number) {
  const std::string name = segment_name(options_.geometry.first_lsn(number));
  const std::string path = options_.directory + "/" + name;
  if (!environment_.disk->exists(path)) {  // before the oldest file: a gap in the numbers of old files
    next_batch_ = {};
    return {};
  }
  const auto from = environment_.disk->open(path, {.read_only = true});
  if (!from) return std::unexpected{from.error()};
  Bytes header(kSegmentHeaderBytes);
  if (const auto read = (*from)->read(0, header); !read) return read;
  // The oldest ones may be on their way to a new name, with a crash in between: nobody needed them any more.
  given_up_ = given_up_ && header == Bytes(kSegmentHeaderBytes);
  if (given_up_) return {};
  const auto there = is_there(**from, number, name);
  if (!there) return std::unexpected{there.error()};
  if (*there) {
    next_batch_ = {};
    return {};
  }
  if (const auto copied = copy_keys(); !copied) return copied;
  const auto verdict = verify(number);
  if (!verdict) return std::unexpected{verdict.error()};
  if (const auto copied = copy(**from, name); !copied) return copied;
  next_batch_ = verdict->next;
  archived_.inc();
  if (verdict->problem.empty()) return {};
  damaged_.inc();
  if (options_.log_line)
    options_.log_line.warning(
        fmt::format("the log segment {} is damaged and archived as it is: {}. No restore can go "
                    "past it: make a full backup now",
                    name, verdict->problem));
  return {};
}

/// Whether each batch that begins in the segment is valid. The oldest segment may begin with a damaged batch
/// that nothing tells from the end of the one before.
io::IoResult<Archiver::Verdict> Archiver::verify(std::uint64_t number) {
  Lsn first_batch = next_batch_;
  if (first_batch.is_none() && number > 0) {
    // The archive had the one before already: what it says of this one's beginning.
    const auto before = read_segment(number - 1, {});
    if (!before) return before;
    first_batch = before->next;
  }
  return read_segment(number, first_batch);
}

/// `first_batch`: none: the first valid one there is. If there is none, a large batch may fill the segment.
io::IoResult<Archiver::Verdict> Archiver::read_segment(std::uint64_t number, Lsn first_batch) {
  LogReader reader(*environment_.disk, options_.directory, options_.geometry);
  reader.leave_sealed();
  const Lsn end = options_.geometry.first_lsn(number + 1);
  reader.set_limit(end);
  if (first_batch.is_none()) {
    const auto found = reader.seek_segment(number);
    if (!found) return std::unexpected{found.error()};
    if (!*found) return Verdict{};
  } else {
    reader.seek(first_batch);
  }
  ReadOutcome outcome = ReadOutcome::kBatch;
  while (outcome == ReadOutcome::kBatch) outcome = reader.next();
  if (outcome == ReadOutcome::kIoError) return std::unexpected{io::IoFailure::kDevice};
  if (reader.position() >= end) return Verdict{{}, reader.position()};
  return Verdict{reader.problem().empty()
                     ? fmt::format("there is no valid batch at {}", to_text(reader.position()))
                     : reader.problem(),
                 {}};
}

std::unexpected<io::IoFailure> Archiver::refuse(std::string why) {
  why_ = std::move(why);
  return std::unexpected{io::IoFailure::kExists};
}

// Every key that sealed a batch of a complete segment stands in our table: a key is durable before it is
// used. The archive's may have some that are destroyed by now, which its older segments need.
io::IoResult<> Archiver::copy_keys() {
  if (!environment_.disk->exists(security::kKeyFileName)) return {};
  const auto ours = read_file(*environment_.disk, security::kKeyFileName);
  if (!ours) return std::unexpected{ours.error()};
  const std::string path = options_.archive + "/" + security::kKeyFileName;
  const bool there = options_.disk->exists(path);
  const auto theirs = there ? read_file(*options_.disk, path) : ours;
  if (!theirs) return std::unexpected{theirs.error()};
  const security::MergedKeys merged = security::merge_key_tables(*theirs, *ours);
  switch (merged.outcome) {
    case security::KeyMerge::kDone: break;
    case security::KeyMerge::kDamaged:
      return refuse(fmt::format("{} is damaged, in the archive or here", security::kKeyFileName));
    case security::KeyMerge::kOtherMaster:
      return refuse(
          fmt::format("the archive's {} has keys that are gone here, under another master key: it "
                      "takes a new archive directory, and a full backup now",
                      security::kKeyFileName));
    case security::KeyMerge::kOtherKey:
      return refuse(fmt::format("encryption key {} of the archive is another database's", merged.key_id));
  }
  if (there && merged.file == *theirs) return {};
  return io::replace_file(*options_.disk, path, merged.file);
}

// An earlier life may have copied it, after the keys that it needs. By its header alone nobody knows: copies
// of one directory that were both started have one log up to there.
io::IoResult<bool> Archiver::is_there(io::File& from, std::uint64_t number, const std::string& name) {
  const std::string path = options_.archive + "/" + name;
  if (!options_.disk->exists(path)) return false;
  const auto file = options_.disk->open(path, {.read_only = true});
  if (!file) return std::unexpected{file.error()};
  const auto size = (*file)->size();
  if (!size) return std::unexpected{size.error()};
  if (*size != options_.geometry.segment_bytes())
    return refuse("the archive has another log's file of that name");
  const auto differs = first_difference(from, **file, options_.geometry.segment_bytes());
  if (!differs) return std::unexpected{differs.error()};
  if (*differs < kSegmentHeaderBytes) return refuse("the archive has another log's file of that name");
  if (*differs < *size) {
    const auto verdict = verify(number);
    if (!verdict) return std::unexpected{verdict.error()};
    if (verdict->problem.empty())
      return refuse(fmt::format(
          "the archive's file of that name has other content from byte {} on. It is damaged, or a "
          "copy of this database archives there too, which needs an archive of its own",
          *differs));
    if (options_.log_line)
      options_.log_line.warning(fmt::format(
          "the log segment {} has been damaged since it was archived: {}. The archive keeps what it "
          "has of it, which differs from byte {} on",
          name, verdict->problem, *differs));
  }
  if (const auto synced = options_.disk->sync_directory(options_.archive); !synced)
    return std::unexpected{synced.error()};
  return true;
}

io::IoResult<> Archiver::copy(io::File& from, const std::string& name) {
  const std::string path = options_.archive + "/" + name, unfinished = path + ".tmp";
  const auto to = options_.disk->open(unfinished, {.create = true});
  if (!to) return std::unexpected{to.error()};
  if (const auto cut = (*to)->truncate(0); !cut) return cut;
  const std::uint64_t bytes = options_.geometry.segment_bytes();
  Bytes piece;
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(kCopyBytes, bytes - at));
    if (const auto read = from.read(at, piece); !read) return read;
    if (const auto written = (*to)->write(at, piece); !written) return written;
  }
  if (const auto synced = (*to)->datasync(); !synced) return synced;
  if (const auto same = compare(from, unfinished); !same) return same;
  if (const auto renamed = options_.disk->rename(unfinished, path); !renamed) return renamed;
  return options_.disk->sync_directory(options_.archive);
}

// What the device has of the copy, not what the OS remembers of it.
io::IoResult<> Archiver::compare(io::File& from, const std::string& copy) {
  const auto to = options_.disk->open(copy, {.direct = true, .read_only = true});
  if (!to) return std::unexpected{to.error()};
  const auto differs = first_difference(from, **to, options_.geometry.segment_bytes());
  if (!differs) return std::unexpected{differs.error()};
  if (*differs < options_.geometry.segment_bytes()) return std::unexpected{io::IoFailure::kChecksum};
  return {};
}

}  // namespace rustbd::log
