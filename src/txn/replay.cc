// Recovery's replay of the log (storage.md §7 steps 4 to 7): row events go to workers, all else is a barrier.
#include <fmt/format.h>

#include "rustbd/base/error.h"
#include "rustbd/log/segments.h"
#include "rustbd/txn/replay_workers.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {
namespace {

constexpr std::int64_t kProgressInterval_us = 2'000'000;
// A shorter replay says little about speed; a slow one less than that, so that a limit which it has set is
// learned anew when it is held.
constexpr std::uint64_t kMeasuredBytesMin = std::uint64_t{16} << 20;
constexpr std::uint64_t kMeasuredSlowBytesMin = std::uint64_t{256} << 10;
constexpr double kMeasuredSlow_s = 0.2;

Error damaged_log(std::string_view what) { return error(sqlstate::kDataCorrupted, "the log {}", what); }

/// Lines for the operator while a long replay runs.
class Progress {
 public:
  Progress(SystemParts& parts, const log::Geometry& geometry, Lsn from)
      : parts_(parts), from_(from.raw()), end_(from.raw()), began_(now()), said_(began_) {
    // The last segment with a valid header: where the log ends in it, only reading tells.
    const auto found = log::list_segments(*parts.environment.disk, "wal");
    if (!found) return;
    for (const Lsn first : *found) {
      const auto file = parts.environment.disk->open("wal/" + log::segment_name(first), {.read_only = true});
      Bytes block(log::kSegmentHeaderBytes);
      if (!file || !(*file)->read(0, block)) continue;
      if (log::decode_segment_header(std::span<const std::byte, log::kSegmentHeaderBytes>{block}))
        end_ = std::max(end_, first.raw() + geometry.segment_bytes());
    }
  }

  void batch(Lsn at) {
    ++batches_;
    if (batches_ % 256 != 0 || now() - said_ < kProgressInterval_us) return;
    const std::int64_t at_us = now();
    const double rate =
        static_cast<double>(batches_ - batches_said_) * 1e6 / static_cast<double>(at_us - said_);
    say(fmt::format("recovery: replayed to {}, {} % of at most {} MiB of log, {:.0f} batches/s", at.raw(),
                    end_ > from_ ? (at.raw() - from_) * 100 / (end_ - from_) : 100, (end_ - from_) >> 20,
                    rate));
    said_ = at_us;
    batches_said_ = batches_;
  }
  void done(Lsn at) {
    const double seconds = static_cast<double>(now() - began_) * 1e-6;
    parts_.replayed_bytes = at.raw() - from_;
    if (parts_.replayed_bytes >= (seconds >= kMeasuredSlow_s ? kMeasuredSlowBytesMin : kMeasuredBytesMin) &&
        seconds > 0)
      parts_.replay_bytes_per_second = static_cast<double>(parts_.replayed_bytes) / seconds;
    if (batches_ > 0)
      say(fmt::format("recovery: {} batches, {:.1f} MiB of log replayed in {:.2f} s", batches_,
                      static_cast<double>(parts_.replayed_bytes) / (1 << 20), seconds));
  }

 private:
  [[nodiscard]] std::int64_t now() const { return parts_.environment.clock->monotonic_us(); }
  void say(const std::string& line) const {
    if (parts_.options.log_line) parts_.options.log_line(line);
  }

  SystemParts& parts_;
  const std::uint64_t from_;
  std::uint64_t end_;
  const std::int64_t began_;
  std::int64_t said_;
  std::uint64_t batches_ = 0, batches_said_ = 0;
};

}  // namespace

bool SystemParts::is_row_event(const log::Event& event) {
  const bool row = event.op == log::EventOp::kInsert || event.op == log::EventOp::kUpdate ||
                   event.op == log::EventOp::kDelete;
  return row && event.table != kLayoutTable;  // a row of the layout table changes what the others mean
}

bool SystemParts::needs_all_before(const log::Event& event) {
  return event.op != log::EventOp::kSequence && event.op != log::EventOp::kMessage &&
         event.op != log::EventOp::kLock && event.op != log::EventOp::kGlobalId;
}

void SystemParts::replay_event(const log::Event& event) {
  if (event.op == log::EventOp::kSequence) {
    log::SequenceBody body;
    if (!log::read_sequence_body(event.body, body))
      throw error(sqlstate::kDataCorrupted, "the log has a bad event");
    raise_object_id(event.table.raw());
    Sequence& s = sequences[event.table];
    s.value = s.logged = body.value;
    s.called = body.called;
    return;
  }
  if (event.op == log::EventOp::kTruncate) {
    TableId now;
    if (log::read_truncate_body(event.body, now)) raise_object_id(now.raw());
    return;
  }
  if (event.op == log::EventOp::kDdl) {
    log::DdlBody ddl;
    if (!log::read_ddl_body(event.body, ddl) || ddl.kind != kDdlIndexEntries) return;
    const auto tree = index_tree(IndexId{ddl.object});
    ByteReader in(as_bytes(ddl.text));
    while (tree != nullptr && !tree->is_set_aside() && in.ok() && !in.at_end()) {
      const RowId row{in.varint()};
      const ByteSpan key = as_bytes(in.text());
      if (!in.ok()) break;
      check_recovery(storage::run_blocking([&] { return tree->insert(key, row); }), "building an index");
    }
    return;
  }
  if (event.op == log::EventOp::kMessage || event.op == log::EventOp::kLock ||
      event.op == log::EventOp::kGlobalId)
    return;
  const auto tree = tree_state(event.table);
  const auto format = tree != nullptr ? tree->format() : nullptr;
  const auto bad = [&] {
    return error(sqlstate::kDataCorrupted, "the log has an event that does not fit table {}",
                 event.table.raw());
  };
  if (format == nullptr) throw bad();
  if (tree->tree->is_set_aside()) return;
  Arena arena(1024);
  std::vector<ComputedEntry> computed;
  std::vector<Cell> row, before, after;
  std::vector<ColumnNumber> columns;
  switch (event.op) {
    case log::EventOp::kInsert:
      if (!read_row_event(event.body, *format, arena, &row, &computed)) throw bad();
      recover_insert(event.table, event.row, std::move(row), computed);
      break;
    case log::EventOp::kUpdate:
      if (!read_update_event(event.body, *format, arena, &columns, &before, &after, &computed)) throw bad();
      recover_update(event.table, event.row, columns, std::move(after), computed, false);
      break;
    case log::EventOp::kDelete:
      if (!read_row_event(event.body, *format, arena, &row, &computed)) throw bad();
      recover_remove(event.table, event.row, computed);
      break;
    default: throw bad();
  }
  if (event.table == kLayoutTable) layout_row_changed(event.row);
}

void SystemParts::replay() {
  const log::Geometry geometry(storage->state().log_segment_bytes);
  log::LogReader reader(*environment.disk, "wal", geometry, storage->keys());
  const Lsn from = storage->state().positions.lsn;
  const Lsn first = from.is_none() ? geometry.first_batch(0) : from;
  reader.seek(first);
  Progress progress(*this, geometry, first);
  ReplayWorkers workers(*this, options.recovery_workers);
  open_done = true;  // layout changes from here on build their indexes
  bool damaged = false;
  while (options.replay_log) {
    const log::ReadOutcome got = reader.next();
    if (got == log::ReadOutcome::kEnd) break;
    if (got != log::ReadOutcome::kBatch) {
      if (!options.examine) {
        const bool disk = got == log::ReadOutcome::kIoError;  // the next start may be luckier
        throw Error{disk ? sqlstate::kIoError : sqlstate::kDataCorrupted, reader.problem()}.with_hint(
            "\"rustbd log dump\" shows what can be read. Restore from a backup or a replica; or give up "
            "every "
            "commit from there on with \"rustbd log truncate\", which says what it drops.");
      }
      std::lock_guard lock(damage_mutex);
      findings.push_back(reader.problem());
      damaged = true;
      break;
    }
    const log::BatchView& batch = reader.batch();
    if (batch.header.txid >= next_txid.load()) next_txid.store(batch.header.txid + 1);
    if (batch.header.commit_ts > last_ts) last_ts = batch.header.commit_ts;
    catalog_version.store(std::max(catalog_version.load(), batch.header.catalog_version));
    switch (batch.header.kind) {
      case log::BatchKind::kCommit:
      case log::BatchKind::kCommitLarge:
      case log::BatchKind::kNonTransactional:
        if (!reader.for_each_event(batch, [&](const log::Event& e) { workers.replay(e); }))
          throw damaged_log("is damaged: a large transaction's fragment cannot be read");
        break;
      case log::BatchKind::kPrepare:
      case log::BatchKind::kPrepareLarge: undecided[batch.header.txid] = batch.start; break;
      case log::BatchKind::kCommitPrepared:
      case log::BatchKind::kAbortPrepared:
        examined([&] { replay_decision(reader, batch, [&](const log::Event& e) { workers.replay(e); }); });
        break;
      default: break;
    }
    progress.batch(reader.position());
  }
  workers.barrier();
  open_done = false;
  progress.done(reader.position());
  rebuild_damaged_leaves(reader.position());
  open_log(geometry, reader.end(), damaged);
}

// After the end that recovery found: what was read is made final, and the log goes on behind it. A `damaged`
// one is examined only: what cannot be read has no end to be closed.
void SystemParts::open_log(const log::Geometry& geometry, const log::LogEnd& end, bool damaged) {
  log::LogStart start;
  const bool fresh =
      !options.replay_log || (end.salt == 0 && end.last_crc == 0 && storage->state().positions.lsn.is_none());
  if (fresh) {
    start = log::fresh_log(*environment.random, storage->state().wal_uuid);
  } else if (damaged) {
    start = log::fresh_log(*environment.random, storage->state().wal_uuid);
    start.first = geometry.first_batch(geometry.segment_of(end.end) + 1);
  } else {
    const auto closed_log = log::close_log(*environment.disk, *environment.random, "wal", geometry, end);
    if (!closed_log)
      throw error(sqlstate::kIoError, "the log cannot be closed: {}", io::to_text(closed_log.error()))
          .with_hint("If the disk does so at every start: copy the directory to another disk, or restore.");
    start = *closed_log;
  }
  // A restored database: its log goes on as another one than that of the database it was copied from.
  if (const std::uint64_t own = storage->state().wal_uuid; start.wal_uuid != own) {
    start.wal_uuid = own;
    ++start.timeline;
  }
  start.last_ts = CommitTimestamp{last_ts};
  // Its whole segment: the archive holds the log from a segment's beginning on.
  if (storage->keys() != nullptr)
    storage->keys()->set_log_start(geometry.first_lsn(geometry.segment_of(start.first)));
  log::LogOptions log_options;
  log_options.segment_bytes = geometry.segment_bytes();
  log_options.ring_bytes = std::min(options.log_ring_bytes, geometry.segment_bytes() / 2);
  log_options.preallocate_zeros = options.preallocate_log;
  log_options.hold = [this] { return log_hold(); };
  log_options.retention_us = options.log_retention_us;
  log_options.retention_bytes = options.log_retention_bytes;
  log_options.archive_disk = options.archive_disk;
  log_options.archive = options.archive_directory;
  log_options.log_line = options.log_line;
  log_options.on_fatal = [this](io::IoFailure why) {
    options.on_fatal(fmt::format("the log cannot be written: {}", io::to_text(why)));
  };
  consumers = std::make_unique<log::LogConsumers>(*environment.disk, "wal", geometry);
  if (!consumers->load())
    throw error(sqlstate::kDataCorrupted, "the list of log consumers is damaged")
        .with_hint("Remove wal/consumers: then nobody is owed any log, and replication slots are made anew.");
  auto opened = log::LogWriter::open(environment, *registry, log_options, start);
  if (!opened) throw error(sqlstate::kIoError, "the log cannot be opened: {}", io::to_text(opened.error()));
  log = std::move(*opened);
  callbacks.push_back(registry->gauge_callback(
      "rustbd_wal_consumer_lag_bytes", "Log that is kept for the consumer that is farthest behind", [this] {
        const Lsn hold = consumers->hold();
        return hold.is_none() ? 0.0 : static_cast<double>(log->durable_lsn().raw() - hold.raw());
      }));
}

}  // namespace rustbd::txn
