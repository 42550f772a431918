#include "rustbd/log/log_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "rustbd/base/assert.h"
#include "rustbd/io/batch.h"

namespace rustbd::log {

namespace {
constexpr std::size_t kStagingBytes = 64u << 10;  // flushes up to this size go out in one write

// Gathering (docs/decisions/055).
constexpr auto kGatherTime = std::chrono::microseconds{500};  // from one flush's beginning to the next one's
constexpr float kCrowded = 1.0f / 3;       // share of crowded batches from which on it is done
constexpr float kNewestShare = 1.0f / 16;  // of the newest batch in that average

constexpr std::uint64_t kPadBytes = sizeof(BatchHeader);

constexpr std::uint64_t block_floor(std::uint64_t at) { return at / kBlockBytes * kBlockBytes; }

}  // namespace

Reservation& Reservation::operator=(Reservation&& from) noexcept {
  if (this != &from) {
    release();
    writer_ = std::exchange(from.writer_, nullptr);
    bytes_ = std::exchange(from.bytes_, 0);
  }
  return *this;
}
void Reservation::release() {
  if (writer_ != nullptr && bytes_ > 0) writer_->give_back(bytes_);
  writer_ = nullptr;
  bytes_ = 0;
}

LogWriter::Metrics::Metrics(metrics::Registry& registry)
    : bytes(registry.counter("rustbd_wal_bytes_total", "Bytes of batches made durable in the log")),
      sync_seconds(registry.histogram("rustbd_wal_fsync_seconds", "Time of one write and sync of the log")),
      group_size(registry.histogram("rustbd_wal_group_size", "Batches made durable by one sync",
                                    metrics::exponential_bounds(1, 2, 12))),
      shortages(registry.counter("rustbd_wal_segment_failures_total",
                                 "Attempts to make a log segment ahead that failed: no disk space, or too "
                                 "many open files")) {}

LogWriter::LogWriter(const io::Environment& environment, metrics::Registry& registry, LogOptions options,
                     const LogStart& start)
    : environment_(environment),
      options_(std::move(options)),
      geometry_(options_.segment_bytes),
      start_(start),
      metrics_(registry),
      ring_(make_blocks(options_.ring_bytes)),
      staging_(make_blocks(kStagingBytes)),
      slots_(options_.ring_bytes / kPadBytes + 2),
      tail_(geometry_.to_stream(start.first)),
      ring_start_(tail_),
      prev_crc_(start.prev_crc),
      durable_lsn_(start.first.raw()),
      durable_ts_(start.last_ts.raw()),
      filled_(tail_),
      flushed_(tail_),
      filled_ts_(start.last_ts.raw()) {
  RUSTBD_ASSERT(options_.segment_bytes % kBlockBytes == 0 && options_.ring_bytes % kBlockBytes == 0);
  RUSTBD_ASSERT(options_.ring_bytes <= geometry_.payload_bytes(), "the ring fits into a segment");
  RUSTBD_ASSERT(geometry_.first_batch(geometry_.segment_of(start.first)) == start.first,
                "a start opens a new segment");
  segments_ = std::make_unique<SegmentStore>(
      environment_, SegmentStore::Options{options_.directory, geometry_, options_.preallocate_zeros,
                                          [this] { return kept_for_others(); }, options_.retention_us,
                                          options_.retention_bytes,
                                          [this] {
                                            wake_space_waiters();
                                            if (segments_->broken()) wake_log_thread();
                                          },
                                          options_.log_line, &metrics_.shortages});
  if (options_.archive_disk != nullptr) {
    archiver_ = std::make_unique<Archiver>(
        environment_, registry,
        Archiver::Options{options_.directory, geometry_, options_.archive_disk, options_.archive,
                          options_.log_line, [this] { segments_->hold_changed(); }});
  }
  position_metric_ = registry.gauge_callback("rustbd_wal_position_bytes", "Durable end of the log",
                                             [this] { return static_cast<double>(durable_lsn().raw()); });
  retained_metric_ = registry.gauge_callback("rustbd_wal_retained_bytes", "Size of the log's files", [this] {
    return static_cast<double>(segments_->retained_bytes());
  });
}

io::IoResult<std::unique_ptr<LogWriter>> LogWriter::open(const io::Environment& environment,
                                                         metrics::Registry& registry, LogOptions options,
                                                         const LogStart& start) {
  std::unique_ptr<LogWriter> writer{new LogWriter(environment, registry, std::move(options), start)};
  const std::uint64_t first = writer->geometry_.segment_of(start.first);
  if (const auto started = writer->segments_->start(first); !started) {
    writer->stopped_ = true;
    return std::unexpected{started.error()};
  }
  if (const auto entered = writer->enter_segment(first); !entered) {
    writer->stopped_ = true;
    writer->segments_->stop();
    return std::unexpected{entered.error()};
  }
  if (const auto archiving = writer->start_archiver(); !archiving) {
    writer->stopped_ = true;
    writer->segments_->stop();
    return std::unexpected{archiving.error()};
  }
  writer->thread_ = environment.executor->start_background("log", [w = writer.get()] { w->run(); });
  return writer;
}

LogWriter::~LogWriter() { stop(); }

io::IoResult<> LogWriter::start_archiver() {
  if (!archiver_) return {};
  const auto existing = list_segments(*environment_.disk, options_.directory);
  if (!existing) return std::unexpected{existing.error()};
  archiver_->start(*existing, start_.first);
  return {};
}

Lsn LogWriter::kept_for_others() const {
  const Lsn asked = options_.hold ? options_.hold() : Lsn{};
  const Lsn unarchived = archived_lsn();
  if (asked.is_none()) return unarchived;
  return unarchived.is_none() ? asked : std::min(asked, unarchived);
}

void LogWriter::stop() {
  if (stopped_) return;
  stopped_ = true;
  stopping_ = true;
  wake_log_thread();
  thread_->join();
  if (archiver_) archiver_->stop();
  segments_->stop();
}

// --- Room ---

ReserveOutcome LogWriter::reserve(std::uint64_t bytes, Reservation* reservation, bool essential) {
  RUSTBD_ASSERT(bytes > 0 && bytes <= batch_bytes_max(), "a batch is at most a quarter of the ring");
  bytes = Geometry::padded(bytes);
  std::lock_guard lock{place_mutex_};  // whoever changes what is asked here wakes the waiters under it
  if (failed()) return {ReserveStatus::kFailed, {}};
  const bool no_space = segments_->shortage() != SegmentStore::Shortage::kNone;
  std::uint64_t room = (segments_->prepared_until() + 1) * geometry_.payload_bytes();
  if (no_space && !essential) room -= geometry_.payload_bytes();
  const std::uint64_t end = tail_ + reserved_ + bytes;
  if (end > room && no_space) return {ReserveStatus::kNoSpace, {}};
  if (end > room || end > ring_start_ + options_.ring_bytes) {
    if (asleep_.load() == Sleep::kGathering) wake_log_thread();
    return {ReserveStatus::kWait,
            space_waiters_.emplace_back(io::WaitToken::make(io::WaitReason::kLogSpace))};
  }
  reserved_ += bytes;
  reservation->writer_ = this;
  reservation->bytes_ += bytes;
  return {ReserveStatus::kReserved, {}};
}

ReserveStatus LogWriter::reserve_blocking(std::uint64_t bytes, Reservation* reservation, bool essential) {
  for (;;) {
    const ReserveOutcome outcome = reserve(bytes, reservation, essential);
    if (outcome.status != ReserveStatus::kWait) return outcome.status;
    environment_.executor->block_on(outcome.token);
  }
}

void LogWriter::give_back(std::uint64_t bytes) {
  std::vector<io::WaitToken> woken;
  {
    std::lock_guard lock{place_mutex_};
    RUSTBD_ASSERT(reserved_ >= bytes);
    reserved_ -= bytes;
    woken.swap(space_waiters_);
  }
  for (const io::WaitToken& token : woken) token.fire();
}

void LogWriter::wake_space_waiters() { give_back(0); }

// --- Place and content ---

Lsn LogWriter::assign(PreparedBatch& batch, CommitTimestamp commit_ts) {
  BatchHeader& header = batch.header;
  header.commit_ts = commit_ts.raw();
  header.durable_lsn = durable_lsn_.load(std::memory_order_acquire);
  if (header.wall_clock_us == 0)
    header.wall_clock_us = static_cast<std::uint64_t>(environment_.clock->wall_us());
  const std::uint64_t bytes = batch.ring_bytes();
  std::lock_guard lock{place_mutex_};
  RUSTBD_ASSERT(reserved_ >= bytes, "room is reserved before a place is given");
  reserved_ -= bytes;
  header.lsn = geometry_.to_lsn(tail_).raw();
  header.prev_crc = prev_crc_;
  header.crc = batch_crc(start_.salt, header, batch.body_crc, batch.prefix_bytes + batch.events.size());
  prev_crc_ = header.crc;
  tail_ += bytes;
  batch.sequence = batches_++;
  if (batch.key) batch.key->note_log_end(geometry_.to_lsn(tail_));
  return Lsn{header.lsn};
}

void LogWriter::copy_to_ring(std::uint64_t at, ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::uint64_t inside = at % options_.ring_bytes;
    const std::size_t n = std::min<std::uint64_t>(bytes.size(), options_.ring_bytes - inside);
    std::memcpy(ring_.get() + inside, bytes.data(), n);
    bytes = bytes.subspan(n);
    at += n;
  }
}

void LogWriter::fill(const PreparedBatch& batch, Reservation& reservation) {
  const std::uint64_t bytes = batch.ring_bytes();
  RUSTBD_ASSERT(reservation.writer_ == this && reservation.bytes_ >= bytes);
  reservation.bytes_ -= bytes;  // assign() has taken it already
  static constexpr std::byte kZeros[kBatchAlignment]{};
  const std::uint64_t start = geometry_.to_stream(Lsn{batch.header.lsn});
  const std::uint64_t end = start + bytes;
  std::uint64_t at = start;
  const auto put = [&](ByteSpan part) {
    copy_to_ring(at, part);
    at += part.size();
  };
  put({reinterpret_cast<const std::byte*>(&batch.header), sizeof batch.header});
  put({batch.prefix.data(), batch.prefix_bytes});
  put(batch.events);
  put({kZeros, static_cast<std::size_t>(end - at)});
  Slot& slot = slots_[batch.sequence % slots_.size()];
  slot.commit_ts = batch.header.commit_ts;
  slot.crowded = io::in_batch();
  slot.end.store(end);  // sequentially consistent, as asleep_: one of us sees the other
  if (asleep_.load() == Sleep::kUntilWork && asleep_.exchange(Sleep::kAwake) != Sleep::kAwake)
    wake_log_thread();
}

Lsn LogWriter::append(PreparedBatch& batch, Reservation& reservation) {
  const Lsn start = assign(batch);
  fill(batch, reservation);
  return start;
}

Lsn LogWriter::tail() const {
  std::lock_guard lock{place_mutex_};
  return geometry_.to_lsn(tail_);
}

io::WaitToken LogWriter::durable(Lsn end) {
  if (is_durable(end)) return {};
  std::lock_guard lock{wait_mutex_};
  if (is_durable(end) || failed()) return {};
  return waiters_.emplace_back(end, io::WaitToken::make(io::WaitReason::kDurability)).token;
}

void LogWriter::Bell::ring() {
  io::WaitToken token;
  {
    std::lock_guard lock{mutex};
    token = asleep_on;
  }
  token.fire();
}
void LogWriter::wake_log_thread() { bell_->ring(); }

// --- The log thread ---

void LogWriter::run() {
  for (;;) {
    if (segments_->broken()) return fail(io::IoFailure::kDevice);
    if (gathers_) gather();
    if (collect_filled()) {
      if (const auto flushed = flush(); !flushed) return fail(flushed.error());
      publish_durable();
      gathers_ = crowded_ > kCrowded;
    } else if (stopping_ && everything_flushed()) {
      if (!pad_wanted_ || !write_idle_pad()) return;
    } else if (pad_is_due() && write_idle_pad()) {
      continue;
    } else {
      sleep_until_work();
    }
  }
}

bool LogWriter::collect_filled() {
  for (;;) {
    Slot& slot = slots_[next_slot_ % slots_.size()];
    const std::uint64_t end = slot.end.load();
    if (end == 0) return filled_ > flushed_;
    filled_ts_ = std::max(filled_ts_, slot.commit_ts);
    crowded_ += ((slot.crowded ? 1.0f : 0.0f) - crowded_) * kNewestShare;
    filled_ = end;
    slot.end.store(0);
    ++next_slot_;
    ++group_batches_;
  }
}

io::IoResult<> LogWriter::flush() {
  flush_began_us_ = environment_.clock->monotonic_us();
  for (std::uint64_t from = flushed_; from < filled_;) {
    const std::uint64_t segment = from / geometry_.payload_bytes();
    const std::uint64_t to = std::min(filled_, (segment + 1) * geometry_.payload_bytes());
    if (segment != file_segment_) {
      if (const auto entered = enter_segment(segment); !entered) return entered;
    }
    if (const auto done = make_durable(from, to); !done) return done;
    from = to;
  }
  flushed_at_us_ = environment_.clock->monotonic_us();
  metrics_.sync_seconds.observe(static_cast<double>(flushed_at_us_ - flush_began_us_) * 1e-6);
  metrics_.bytes.inc(filled_ - flushed_);
  metrics_.group_size.observe(static_cast<double>(group_batches_));
  return {};
}

// [from, to) lies in file_. Whole blocks: the first one is rewritten with the same beginning, the last one
// ends in zeros.
io::IoResult<> LogWriter::make_durable(std::uint64_t from, std::uint64_t to) {
  const std::uint64_t first = block_floor(from), last = block_floor(to);
  const std::uint64_t end = last == to ? to : last + kBlockBytes;
  if (end - first <= kStagingBytes && !header_is_new_) {
    stage(first, to, end);
    return file_->write_durable(file_offset(first), {staging_.get(), end - first});
  }
  if (const auto written = write_blocks(first, last); !written) return written;
  if (last != end) {
    stage(last, to, end);
    if (const auto written = file_->write(file_offset(last), {staging_.get(), end - last}); !written)
      return written;
  }
  if (const auto synced = file_->datasync(); !synced) return synced;
  header_is_new_ = false;
  return {};
}

std::uint64_t LogWriter::file_offset(std::uint64_t at) const {
  return kSegmentHeaderBytes + at % geometry_.payload_bytes();
}

// [from, to) of the ring and zeros up to `end`, for one write.
void LogWriter::stage(std::uint64_t from, std::uint64_t to, std::uint64_t end) {
  std::byte* out = staging_.get();
  for (std::uint64_t at = from; at < to;) {
    const std::uint64_t inside = at % options_.ring_bytes;
    const std::uint64_t n = std::min(to - at, options_.ring_bytes - inside);
    std::memcpy(out, ring_.get() + inside, n);
    out += n;
    at += n;
  }
  std::memset(out, 0, end - to);
}

// Whole blocks straight from the ring.
io::IoResult<> LogWriter::write_blocks(std::uint64_t from, std::uint64_t to) {
  while (from < to) {
    const std::uint64_t inside = from % options_.ring_bytes;
    const std::uint64_t n = std::min(to - from, options_.ring_bytes - inside);
    if (const auto written = file_->write(file_offset(from), {ring_.get() + inside, n}); !written)
      return written;
    from += n;
  }
  return {};
}

io::IoResult<> LogWriter::enter_segment(std::uint64_t number) {
  file_ = segments_->take(number);
  file_segment_ = number;
  SegmentHeader header{};
  header.first_lsn = geometry_.first_lsn(number).raw();
  header.segment_no = number;
  header.wal_uuid = start_.wal_uuid;
  header.timeline = start_.timeline;
  header.salt = start_.salt;
  std::span<std::byte, kSegmentHeaderBytes> block{staging_.get(), kSegmentHeaderBytes};
  encode_segment_header(header, block);
  header_is_new_ = true;
  return file_->write(0, block);  // synced together with the first batch behind it
}

void LogWriter::publish_durable() {
  const bool only_pad = group_batches_ == 1 && filled_ == idle_pad_end_;
  pad_wanted_ = !only_pad;
  group_batches_ = 0;
  flushed_ = filled_;
  {
    std::lock_guard lock{place_mutex_};
    ring_start_ = block_floor(flushed_);
  }
  wake_space_waiters();
  const Lsn end = geometry_.to_lsn(flushed_);
  // In this order: who was told of a commit because of its position reads at its timestamp or later.
  durable_ts_.store(filled_ts_, std::memory_order_release);
  durable_lsn_.store(end.raw(), std::memory_order_release);
  if (archiver_) archiver_->durable(end);
  std::vector<Waiter> woken;
  {
    std::lock_guard lock{wait_mutex_};
    const auto done =
        std::partition(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.end > end; });
    woken.assign(std::make_move_iterator(done), std::make_move_iterator(waiters_.end()));
    waiters_.erase(done, waiters_.end());
  }
  for (const Waiter& waiter : woken) waiter.token.fire();
}

void LogWriter::fail(io::IoFailure why) {
  failed_.store(true, std::memory_order_release);
  std::vector<Waiter> woken;
  {
    std::lock_guard lock{wait_mutex_};
    woken.swap(waiters_);
  }
  for (const Waiter& waiter : woken) waiter.token.fire();
  wake_space_waiters();
  if (options_.on_fatal) return options_.on_fatal(why);
  std::fputs(fmt::format("PANIC: the log cannot be made durable: {}\n", io::to_text(why)).c_str(), stderr);
  std::fflush(stderr);
  _exit(70);
}

bool LogWriter::everything_flushed() {
  std::lock_guard lock{place_mutex_};
  return next_slot_ == batches_;
}

// Not while one waits behind a batch that has its place and not yet its content.
bool LogWriter::pad_is_missing() const { return pad_wanted_ && idle_pad_end_ <= flushed_; }

bool LogWriter::pad_is_due() const {
  return pad_is_missing() &&
         environment_.clock->monotonic_us() - flushed_at_us_ >= options_.idle_pad_delay.count();
}

// Records durable_lsn, so that damage before it is told from a torn tail. False: no room just now.
bool LogWriter::write_idle_pad() {
  Reservation reservation;
  if (reserve(kPadBytes, &reservation, true).status != ReserveStatus::kReserved) {
    pad_wanted_ = false;
    return false;
  }
  PreparedBatch pad = prepare_batch({.kind = BatchKind::kPad}, {}, 0);
  append(pad, reservation);
  idle_pad_end_ = geometry_.to_stream(end_of(pad));
  return true;
}

// Lets more batches come. What rings before the bell knows this sleep is missed: it waits until the end.
void LogWriter::gather() {
  gathers_ = false;
  const auto rest =
      std::chrono::microseconds{flush_began_us_ - environment_.clock->monotonic_us()} + kGatherTime;
  if (rest.count() <= 0) return;
  const auto token = sleep_as(Sleep::kGathering);
  environment_.executor->block_on(token, rest);
  asleep_.store(Sleep::kAwake);
}

io::WaitToken LogWriter::sleep_as(Sleep sleep) {
  auto token = io::WaitToken::make(io::WaitReason::kTask);
  {
    std::lock_guard lock{bell_->mutex};
    bell_->asleep_on = token;
  }
  asleep_.store(sleep);
  return token;
}

void LogWriter::sleep_until_work() {
  if (pad_is_missing() && (!pad_timer_ || pad_timer_.fired())) {
    const std::int64_t idle_us = environment_.clock->monotonic_us() - flushed_at_us_;
    pad_timer_ = environment_.executor->after(options_.idle_pad_delay - std::chrono::microseconds{idle_us});
    pad_timer_.then(environment_.executor->workers(), [bell = bell_] { bell->ring(); });
  }
  const auto token = sleep_as(Sleep::kUntilWork);
  const bool filled = slots_[next_slot_ % slots_.size()].end.load() != 0;
  const bool over = segments_->broken() || (stopping_ && everything_flushed());
  const bool rang_too_early = pad_is_missing() && pad_timer_.fired();  // before the bell knew this sleep
  if (!filled && !over && !rang_too_early) environment_.executor->block_on(token);
  asleep_.store(Sleep::kAwake);
}

LogStart fresh_log(io::Random& random, std::uint64_t wal_uuid, std::uint64_t timeline) {
  LogStart start;
  start.first = Geometry{}.first_batch(0);  // the same in every geometry
  start.wal_uuid = wal_uuid;
  start.timeline = timeline;
  start.salt = random.next_u64() | 1;  // 0 stands for "no valid header"
  return start;
}

}  // namespace rustbd::log
