// The writer and the reader together on a simulated disk.
#include <gtest/gtest.h>

#include "rustbd/base/crc32c.h"
#include "rustbd/io/batch.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/log_writer.h"

namespace rustbd::log {
namespace {

constexpr std::uint64_t kSegment = 32 << 10, kRing = 8 << 10;
const Geometry kGeometry{kSegment};

struct Batch {
  std::uint64_t ts;
  std::string content;
  bool operator==(const Batch&) const = default;
};

class Rig {
 public:
  explicit Rig(std::uint64_t seed, io::SimulatedFaults faults = {})
      : executor(seed), disk(seed + 1, std::move(faults), &executor), random(seed + 2) {}
  ~Rig() { close(); }

  io::IoResult<> open(const LogStart& start) {
    registry = std::make_unique<metrics::Registry>();
    LogOptions options;
    options.segment_bytes = kSegment;
    options.ring_bytes = kRing;
    options.preallocate_zeros = random.chance(300);
    options.on_fatal = [this](io::IoFailure why) { fatal.push_back(why); };
    auto made = LogWriter::open({&disk, &executor.clock(), &random, &executor}, *registry, options, start);
    if (!made) return std::unexpected{made.error()};
    writer = std::move(*made);
    next_ts = start.last_ts.raw() + 1;
    return {};
  }
  void close() {
    if (writer) writer->stop();
    writer.reset();
  }
  /// Commits one batch; what it returns is durable only if `writer->is_durable`.
  std::optional<Lsn> commit(const std::string& content, bool dawdle = false) {
    EventWriter events;
    events.add_message("", as_bytes(content));
    PreparedBatch batch =
        prepare_batch({BatchKind::kCommit, TransactionId{1}}, events.bytes(), events.count());
    Reservation room;
    last_status = writer->reserve_blocking(batch.ring_bytes(), &room);
    if (last_status != ReserveStatus::kReserved) return std::nullopt;
    const std::uint64_t ts = next_ts++;
    writer->assign(batch, CommitTimestamp{ts});
    attempted.push_back({ts, content});
    if (dawdle) executor.block_on(executor.after(std::chrono::microseconds{random.below(300)}));
    {
      std::optional<io::Batch> many;
      if (crowded) many.emplace();
      writer->fill(batch, room);
    }
    const Lsn end = writer->end_of(batch);
    executor.block_on(writer->durable(end));
    if (writer->is_durable(end)) acknowledged_ts = std::max(acknowledged_ts, ts);
    return end;
  }
  std::string random_content() {
    std::string content(random.chance(50) ? random.below(1800) : random.below(200), 'x');
    for (char& c : content) c = static_cast<char>(random.next_u64());
    return content;
  }
  /// All commits from `from` on.
  ReadOutcome read_all(Lsn from, std::vector<Batch>& out, LogEnd* end = nullptr,
                       std::string* problem = nullptr) {
    return read_from(disk, from, out, end, problem);
  }
  static ReadOutcome read_from(io::Disk& disk, Lsn from, std::vector<Batch>& out, LogEnd* end = nullptr,
                               std::string* problem = nullptr) {
    LogReader reader{disk, "wal", kGeometry};
    reader.seek(from);
    for (;;) {
      const ReadOutcome outcome = reader.next();
      if (outcome != ReadOutcome::kBatch) {
        if (end != nullptr) *end = reader.end();
        if (problem != nullptr) *problem = reader.problem();
        return outcome;
      }
      EventReader events{reader.batch().events};
      Event event;
      MessageBody message;
      EXPECT_TRUE(events.next(event) && read_message_body(event.body, message));
      out.push_back({reader.batch().header.commit_ts, std::string{as_chars(message.content)}});
    }
  }

  io::SimulatedExecutor executor;
  io::SimulatedDisk disk;
  io::SeededRandom random;
  std::unique_ptr<metrics::Registry> registry;
  std::unique_ptr<LogWriter> writer;
  std::vector<Batch> attempted;  // in commit order
  std::uint64_t acknowledged_ts = 0, next_ts = 1;
  ReserveStatus last_status{};
  bool crowded = false;  // commits come from a lane that serves many clients at once
  std::vector<io::IoFailure> fatal;
};

void run_clients(Rig& rig, std::size_t clients, int commits_each) {
  std::vector<std::unique_ptr<io::BackgroundThread>> threads;
  for (std::size_t c = 0; c < clients; ++c) {
    threads.push_back(rig.executor.start_background("client", [&rig, commits_each] {
      for (int i = 0; i < commits_each; ++i) {
        if (!rig.commit(rig.random_content(), rig.random.chance(500))) return;
        if (rig.random.chance(100)) rig.executor.block_on(rig.executor.after(std::chrono::milliseconds{12}));
      }
    }));
  }
  for (const auto& thread : threads) thread->join();
}

// After a crash: what was acknowledged is there, and nothing but a prefix of what was attempted.
void check_survivors(const Rig& rig, ReadOutcome outcome, const std::vector<Batch>& survived,
                     std::string_view problem) {
  ASSERT_EQ(outcome, ReadOutcome::kEnd) << problem;
  ASSERT_LE(survived.size(), rig.attempted.size());
  for (std::size_t i = 0; i < survived.size(); ++i) ASSERT_EQ(survived[i], rig.attempted[i]) << "batch " << i;
  ASSERT_GE(survived.size(), rig.acknowledged_ts);
}

// One life: writes until the crash (or the end), restarts, checks. The log goes on where the last life ended.
bool live_once(Rig& rig, LogStart& start, std::uint64_t crash_at, std::size_t clients, int commits) {
  rig.disk.crash_at(crash_at);
  if (rig.open(start)) run_clients(rig, clients, commits);
  rig.close();
  const bool crashed = rig.disk.crashed();
  if (!crashed) rig.disk.crash();
  // Recovery may crash as well; it has to be able to start over.
  for (std::uint64_t attempt = 1;; ++attempt) {
    rig.disk.restart();
    if (rig.random.chance(300)) rig.disk.crash_at(1 + rig.random.below(6));
    std::vector<Batch> survived;
    LogEnd end;
    std::string problem;
    if (!rig.disk.exists("wal")) {  // crashed before the log began
      EXPECT_EQ(rig.acknowledged_ts, 0u);
      rig.attempted.clear();
      start = fresh_log(rig.random, 99);
      return crashed;
    }
    const ReadOutcome outcome = rig.read_all(kGeometry.first_batch(0), survived, &end, &problem);
    check_survivors(rig, outcome, survived, problem);
    if (testing::Test::HasFatalFailure()) return crashed;
    rig.attempted = survived;
    auto next = close_log(rig.disk, rig.random, "wal", kGeometry, end);
    if (next) {
      start = *next;
      EXPECT_TRUE(end.wal_uuid == 0 || start.wal_uuid == 99u);
      rig.disk.crash_at(0);
      return crashed;
    }
    EXPECT_TRUE(rig.disk.crashed()) << "closing fails only by the crash, attempt " << attempt;
  }
}

TEST(Log, PowerCutAtEachOperationKeepsWhatWasAcknowledged) {
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    bool crashed = true;
    for (std::uint64_t nth = 1; crashed; ++nth) {
      SCOPED_TRACE(fmt::format("seed {} crash at operation {}", seed, nth));
      Rig rig{seed, {.torn_sector_per_mille = 100, .latency_us_max = 200}};
      LogStart start = fresh_log(rig.random, 99);
      crashed = live_once(rig, start, nth, 3, 12);
      if (HasFatalFailure()) return;
      (void)live_once(rig, start, 0, 2, 3);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Log, ManyLivesWithCrashesAtRandomOperations) {
  for (std::uint64_t seed = 100; seed < 160; ++seed) {
    SCOPED_TRACE(seed);
    Rig rig{seed,
            {.torn_sector_per_mille = 100, .latency_us_max = static_cast<std::uint32_t>(seed % 3 * 100)}};
    LogStart start = fresh_log(rig.random, 99);
    for (int life = 0; life < 5; ++life) {
      SCOPED_TRACE(life);
      (void)live_once(rig, start, 1 + rig.random.below(150), 1 + rig.random.below(5), 20);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Log, SameSeedSameRun) {
  const auto trace = [](std::uint64_t seed) {
    Rig rig{seed, {.latency_us_max = 100}};
    EXPECT_TRUE(rig.open(fresh_log(rig.random, 1)));
    run_clients(rig, 4, 10);
    rig.close();
    return std::pair{rig.executor.trace_hash(), rig.disk.content("wal/" + segment_name(Lsn{0}))};
  };
  EXPECT_EQ(trace(5), trace(5));
  EXPECT_NE(trace(5).first, trace(6).first);
}

TEST(Log, RingWrapsAndBatchesCrossSegments) {
  Rig rig{1};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  std::uint64_t crossings = 0;
  for (int i = 0; i < 200; ++i) {
    const Lsn before = rig.writer->tail();
    ASSERT_TRUE(rig.commit(std::string(rig.random.below(1900), static_cast<char>('a' + i % 26))));
    crossings += kGeometry.segment_of(before) != kGeometry.segment_of(rig.writer->tail());
  }
  EXPECT_GT(crossings, 4u);
  EXPECT_EQ(rig.writer->durable_ts(), CommitTimestamp{200});
  rig.close();
  std::vector<Batch> read;
  EXPECT_EQ(rig.read_all(kGeometry.first_batch(0), read), ReadOutcome::kEnd);
  EXPECT_EQ(read, rig.attempted);
}

// Writes `n` batches one after another; returns their starts and, last, the end.
std::vector<Lsn> write_some(Rig& rig, int n) {
  EXPECT_TRUE(rig.open(fresh_log(rig.random, 1)));
  std::vector<Lsn> places{rig.writer->tail()};
  for (int i = 0; i < n; ++i) places.push_back(*rig.commit("content " + std::to_string(i)));
  return places;
}
void flip(Rig& rig, Lsn at) {
  const Lsn first = kGeometry.first_lsn(kGeometry.segment_of(at));
  rig.disk.corrupt("wal/" + segment_name(first), at.raw() - first.raw(), 0x10);
}

TEST(Log, DamageInTheMiddleIsNoTornTail) {
  for (const std::uint64_t inside : {0u, 9u, 17u, 21u, 30u, 61u, 97u, 105u}) {
    SCOPED_TRACE(inside);
    Rig rig{3};
    const std::vector<Lsn> places = write_some(rig, 10);
    rig.disk.crash();  // no PAD at the end
    rig.close();
    rig.disk.restart();
    flip(rig, Lsn{places[4].raw() + inside});
    std::vector<Batch> read;
    std::string problem;
    EXPECT_EQ(rig.read_all(places[0], read, nullptr, &problem), ReadOutcome::kDamaged);
    EXPECT_EQ(read.size(), 4u);
    EXPECT_NE(problem.find(to_text(places[4])), std::string::npos) << problem;
  }
}

TEST(Log, ADamagedLastBatchIsATornTailUntilThePadHasRecordedIt) {
  for (const bool idle : {false, true}) {
    Rig rig{4};
    const std::vector<Lsn> places = write_some(rig, 5);
    if (idle) rig.executor.run_for(std::chrono::milliseconds{10});
    rig.disk.crash();
    rig.close();
    rig.disk.restart();
    flip(rig, Lsn{places[4].raw() + 50});
    std::vector<Batch> read;
    LogEnd end;
    EXPECT_EQ(rig.read_all(places[0], read, &end), idle ? ReadOutcome::kDamaged : ReadOutcome::kEnd);
    EXPECT_EQ(end.end, places[4]);
    EXPECT_EQ(read.size(), 4u);
  }
}

// A batch that is whole in itself but follows another one than stands before it (the remains of an earlier
// life).
TEST(Log, ABatchOfAnotherChainIsNotTaken) {
  Rig rig{13};
  const std::vector<Lsn> places = write_some(rig, 5);
  rig.disk.crash();
  rig.close();
  rig.disk.restart();
  const std::string path = "wal/" + segment_name(Lsn{0});
  Bytes all = rig.disk.content(path);
  const auto segment =
      decode_segment_header(std::span<const std::byte, kSegmentHeaderBytes>{all.data(), kSegmentHeaderBytes});
  ASSERT_TRUE(segment);
  const std::size_t at = places[4].raw();  // the last batch, so that nothing behind it proves anything
  auto header = load<BatchHeader>(all.data() + at);
  header.prev_crc ^= 1;
  const std::size_t body = header.len - sizeof header;
  header.crc = batch_crc(segment->salt, header, crc32c(0, all.data() + at + sizeof header, body), body);
  const auto file = std::move(rig.disk.open(path, {}).value());
  ASSERT_TRUE(file->write(at, {reinterpret_cast<const std::byte*>(&header), sizeof header}));
  std::vector<Batch> read;
  LogEnd end;
  EXPECT_EQ(rig.read_all(places[0], read, &end), ReadOutcome::kEnd);
  EXPECT_EQ(end.end, places[4]);
  EXPECT_EQ(read.size(), 4u);
}

TEST(Log, AnIdleLogWritesOnePadOnly) {
  Rig rig{5};
  (void)write_some(rig, 1);
  const Lsn before = rig.writer->tail();
  rig.executor.run_for(std::chrono::seconds{2});
  EXPECT_EQ(rig.writer->tail(), kGeometry.next_batch(before, 96));
  EXPECT_EQ(rig.writer->durable_lsn(), rig.writer->tail());
}

TEST(Log, ABatchThatIsFilledLateHasOnePadBehindIt) {
  Rig rig{22};
  (void)write_some(rig, 1);
  EventWriter events;
  events.add_message("", as_bytes("late"));
  PreparedBatch batch = prepare_batch({BatchKind::kCommit, TransactionId{1}}, events.bytes(), events.count());
  Reservation room;
  ASSERT_EQ(rig.writer->reserve(batch.ring_bytes(), &room).status, ReserveStatus::kReserved);
  rig.writer->assign(batch, CommitTimestamp{rig.next_ts++});
  rig.executor.run_for(std::chrono::milliseconds{20});
  const Lsn end = rig.writer->end_of(batch), behind_pad = kGeometry.next_batch(end, 96);
  EXPECT_EQ(rig.writer->tail(), behind_pad);
  rig.writer->fill(batch, room);
  rig.executor.run_for(std::chrono::milliseconds{1});
  EXPECT_EQ(rig.writer->durable_lsn(), behind_pad);
  rig.executor.run_for(std::chrono::seconds{2});
  EXPECT_EQ(rig.writer->tail(), kGeometry.next_batch(behind_pad, 96)) << "it records the batch";
  EXPECT_EQ(rig.writer->durable_lsn(), rig.writer->tail());
}

std::uint64_t flushes_of(const Rig& rig) {
  static constexpr std::string_view kCount = "\nrustbd_wal_fsync_seconds_count ";
  const std::string all = rig.registry->expose();
  return std::strtoull(all.c_str() + all.find(kCount) + kCount.size(), nullptr, 10);
}

struct Work {
  std::uint64_t flushes;
  std::int64_t took_us;
};
// `clients` commit `each` batches of so many bytes one after another, with pauses of less than 200 us.
Work work(Rig& rig, std::size_t clients, int each, std::size_t bytes) {
  const auto before = flushes_of(rig);
  const auto began = rig.executor.clock().monotonic_us();
  std::vector<std::unique_ptr<io::BackgroundThread>> threads;
  for (std::size_t c = 0; c < clients; ++c) {
    threads.push_back(rig.executor.start_background("client", [&rig, each, bytes] {
      for (int i = 0; i < each; ++i) {
        rig.executor.block_on(rig.executor.after(std::chrono::microseconds{rig.random.below(200)}));
        EXPECT_TRUE(rig.commit(std::string(bytes, 'x')));
      }
    }));
  }
  for (const auto& thread : threads) thread->join();
  return {flushes_of(rig) - before, rig.executor.clock().monotonic_us() - began};
}

TEST(Log, BatchesOfACrowdGatherForOneSync) {
  Rig rig{6};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  const Work alone = work(rig, 16, 50, 20);
  rig.crowded = true;
  (void)work(rig, 16, 5, 20);  // the log learns it
  const Work crowded = work(rig, 16, 50, 20);
  EXPECT_LT(crowded.flushes * 4, alone.flushes);
  EXPECT_LE(crowded.took_us, 50 * 1000);  // a pause and a gathering each
  rig.crowded = false;
  (void)work(rig, 16, 5, 20);
  EXPECT_GT(work(rig, 16, 50, 20).flushes * 2, alone.flushes);
}

TEST(Log, WhoNeedsRoomEndsTheGathering) {
  Rig rig{7};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  rig.crowded = true;
  (void)work(rig, 4, 20, 20);
  // The ring takes four of these.
  const Work crowded = work(rig, 16, 50, 1800);
  EXPECT_LT(crowded.took_us, 16 * 50 / 4 * 400);
}

// Commits until the log ends `short_of` bytes before the end of segment 0.
void fill_first_segment(Rig& rig, std::uint64_t short_of) {
  const auto room = [&] { return kGeometry.payload_bytes() - kGeometry.to_stream(rig.writer->tail()); };
  while (room() > 1800) ASSERT_TRUE(rig.commit(std::string(500, 'x')));
  for (std::size_t n = 0; room() != short_of; ++n) {
    ASSERT_LT(n, 1800u);
    EventWriter events;
    events.add_message("", as_bytes(std::string(n, 'x')));
    const auto bytes = prepare_batch({BatchKind::kCommit}, events.bytes(), events.count()).ring_bytes();
    if (bytes == room() - short_of) ASSERT_TRUE(rig.commit(std::string(n, 'x')));
  }
}

TEST(Log, AClosedLogsSegmentsAreWholeThoughAnAttemptFailed) {
  for (std::uint64_t crash_at = 0; crash_at < 10; ++crash_at) {  // 0: the disk is full instead
    SCOPED_TRACE(crash_at);
    Rig rig{23 + crash_at};
    ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
    fill_first_segment(rig, 64);
    if (HasFatalFailure()) return;
    rig.disk.crash();
    rig.close();
    rig.disk.restart();
    for (const std::uint64_t ahead : {2, 1})
      (void)rig.disk.remove("wal/" + segment_name(kGeometry.first_lsn(ahead)));
    ASSERT_TRUE(rig.disk.sync_directory("wal"));
    std::vector<Batch> read;
    LogEnd end;
    (void)rig.read_all(kGeometry.first_batch(0), read, &end);
    if (crash_at == 0) {
      rig.disk.set_faults({.capacity_bytes = rig.disk.used_bytes() + 4096});
      EXPECT_EQ(close_log(rig.disk, rig.random, "wal", kGeometry, end).error(), io::IoFailure::kNoSpace);
      rig.disk.set_faults({});
    } else {
      rig.disk.crash_at(crash_at);
      (void)close_log(rig.disk, rig.random, "wal", kGeometry, end);
      rig.disk.crash();
      rig.disk.restart();
      read.clear();
      std::string problem;
      ASSERT_EQ(rig.read_all(kGeometry.first_batch(0), read, &end, &problem), ReadOutcome::kEnd) << problem;
    }
    EXPECT_EQ(read, rig.attempted);
    const auto start = close_log(rig.disk, rig.random, "wal", kGeometry, end);
    ASSERT_TRUE(start);
    EXPECT_EQ(rig.disk.content("wal/" + segment_name(kGeometry.first_lsn(1))).size(), kSegment);
    ASSERT_TRUE(rig.open(*start));
    ASSERT_TRUE(rig.commit("goes on"));
  }
}

TEST(Log, AMissingSegmentIsDamage) {
  Rig rig{6};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  while (kGeometry.segment_of(rig.writer->tail()) < 3) ASSERT_TRUE(rig.commit(std::string(1000, 'x')));
  rig.close();
  for (const std::uint64_t missing : {1u, 2u, 3u}) {  // behind the last one, files are prepared only
    const auto disk = rig.disk.clone(missing);
    const std::string name = segment_name(kGeometry.first_lsn(missing));
    ASSERT_TRUE(disk->remove("wal/" + name));
    std::vector<Batch> read;
    std::string problem;
    EXPECT_EQ(Rig::read_from(*disk, kGeometry.first_batch(0), read, nullptr, &problem),
              ReadOutcome::kDamaged);
    EXPECT_NE(problem.find("segment " + name + " is missing"), std::string::npos) << problem;
  }
}

// Where nothing of the missing segment was needed to read all before it.
TEST(Log, AMissingSegmentAtAPadsEndIsDamage) {
  Rig rig{8};
  const std::vector<Lsn> places = write_some(rig, 3);
  rig.close();
  std::vector<Batch> read;
  LogEnd end;
  ASSERT_EQ(rig.read_all(places[0], read, &end), ReadOutcome::kEnd);
  const auto start = close_log(rig.disk, rig.random, "wal", kGeometry, end);
  ASSERT_TRUE(start && rig.open(*start) && rig.commit("in the second segment"));
  rig.executor.run_for(std::chrono::milliseconds{10});
  rig.close();
  ASSERT_TRUE(rig.disk.remove("wal/" + segment_name(kGeometry.first_lsn(1))));
  ASSERT_TRUE(rig.disk.exists("wal/" + segment_name(kGeometry.first_lsn(2))));
  read.clear();
  EXPECT_EQ(rig.read_all(places[0], read), ReadOutcome::kDamaged);
}

TEST(Log, ASegmentCutShortIsDamage) {
  Rig rig{9};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  while (kGeometry.segment_of(rig.writer->tail()) < 3) ASSERT_TRUE(rig.commit(std::string(1000, 'x')));
  rig.close();
  for (const std::uint64_t cut : {1u, 2u, 3u, 4u}) {
    for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{5000}, kSegment - 4096}) {
      const auto disk = rig.disk.clone(cut);
      const std::string name = segment_name(kGeometry.first_lsn(cut));
      ASSERT_TRUE((*disk->open("wal/" + name, {}))->truncate(bytes));
      std::vector<Batch> read;
      std::string problem;
      EXPECT_EQ(Rig::read_from(*disk, kGeometry.first_batch(0), read, nullptr, &problem),
                ReadOutcome::kDamaged);
      EXPECT_NE(problem.find("segment " + name + " is cut short"), std::string::npos) << problem;
    }
  }
}

// What a start has no use for it removes one by one: whenever the power fails, no gap is left.
TEST(Log, ACrashWhileFilesAreGivenUpLeavesNoGap) {
  for (std::uint64_t at = 1; at < 40; ++at) {
    SCOPED_TRACE(at);
    Rig rig{at};
    const std::vector<Lsn> places = write_some(rig, 3);
    rig.close();
    for (const std::uint64_t number : {3u, 4u, 5u, 6u}) {
      auto file = rig.disk.open("wal/" + segment_name(kGeometry.first_lsn(number)), {.create = true});
      ASSERT_TRUE(file && (*file)->allocate(0, kSegment) && (*file)->datasync());
    }
    ASSERT_TRUE(rig.disk.sync_directory("wal"));
    for (const bool crash : {true, false}) {
      std::vector<Batch> read;
      LogEnd end;
      std::string problem;
      ASSERT_EQ(rig.read_all(places[0], read, &end, &problem), ReadOutcome::kEnd) << problem;
      const auto start = close_log(rig.disk, rig.random, "wal", kGeometry, end);
      ASSERT_TRUE(start);
      if (crash) rig.disk.crash_at(at);
      (void)rig.open(*start);
      rig.close();
      rig.disk.crash();
      rig.disk.restart();
    }
  }
}

TEST(Log, ReadErrorsAreReported) {
  Rig rig{7};
  const std::vector<Lsn> places = write_some(rig, 3);
  rig.close();
  rig.disk.fail_reads("wal", 1);
  std::vector<Batch> read;
  EXPECT_EQ(rig.read_all(places[0], read), ReadOutcome::kIoError);
}

TEST(Log, FullDiskRefusesWritesAndARecycledSegmentLetsThemGoOn) {
  Rig rig{8, {.capacity_bytes = 3 * kSegment + kSegment / 2}};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  while (rig.commit(std::string(500, 'x'))) ASSERT_LT(rig.attempted.size(), 1000u);
  EXPECT_EQ(rig.last_status, ReserveStatus::kNoSpace);
  EXPECT_TRUE(rig.writer->out_of_space());
  EXPECT_EQ(rig.acknowledged_ts, rig.attempted.size());  // everything that got room became durable
  Reservation room;
  EXPECT_EQ(rig.writer->reserve(400, &room, true).status, ReserveStatus::kReserved);
  room.release();
  const std::size_t before = rig.attempted.size();
  const Lsn keep = rig.writer->durable_lsn();
  rig.writer->set_keep_lsn(keep);
  rig.executor.run_for(std::chrono::milliseconds{100});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.commit(std::string(500, 'y'))) << i;
  EXPECT_TRUE(rig.fatal.empty());
  rig.close();
  std::vector<Batch> read;
  EXPECT_EQ(rig.read_all(keep, read), ReadOutcome::kEnd);
  EXPECT_EQ(read, std::vector<Batch>(rig.attempted.begin() + static_cast<std::ptrdiff_t>(before),
                                     rig.attempted.end()));
}

TEST(Log, WithoutDescriptorsTheSegmentsAheadAreUsedAndThenItGoesOn) {
  for (const bool recycles : {false, true}) {
    Rig rig{21};
    ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
    while (kGeometry.segment_of(rig.writer->tail()) < 3) ASSERT_TRUE(rig.commit(std::string(500, 'x')));
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t began = kGeometry.segment_of(rig.writer->tail());
      rig.disk.set_faults({.no_descriptors = 1'000'000});
      if (recycles) rig.writer->set_keep_lsn(rig.writer->durable_lsn());
      while (rig.commit(std::string(500, 'x'))) ASSERT_LT(rig.attempted.size(), 1000u);
      EXPECT_EQ(rig.last_status, ReserveStatus::kNoSpace);
      EXPECT_TRUE(rig.writer->short_of_resources());
      EXPECT_GE(kGeometry.segment_of(rig.writer->tail()), began + 1);
      rig.disk.set_faults({.no_descriptors = 300'000});  // it fails in the middle too
      for (int i = 0; i < 30; ++i) {
        rig.executor.run_for(std::chrono::seconds{5});
        ASSERT_TRUE(rig.commit(std::string(1500, 'y')));
      }
    }
    EXPECT_TRUE(rig.fatal.empty());
    rig.disk.set_faults({});
    if (recycles) rig.writer->set_keep_lsn(rig.writer->durable_lsn());
    rig.executor.run_for(std::chrono::seconds{1});
    EXPECT_LE(list_segments(rig.disk, "wal")->size(), recycles ? 5u : 1000u) << "none is forgotten";
    rig.close();
    if (recycles) continue;
    std::vector<Batch> read;
    EXPECT_EQ(rig.read_all(kGeometry.first_batch(0), read), ReadOutcome::kEnd);
    EXPECT_EQ(read, rig.attempted);
  }
}

TEST(Log, OldSegmentsAreRecycledOrRemoved) {
  Rig rig{9};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(rig.commit(std::string(1000, 'x')));
    if (i % 50 == 49) rig.writer->set_keep_lsn(rig.writer->durable_lsn());
  }
  rig.executor.run_for(std::chrono::milliseconds{100});
  const auto segments = list_segments(rig.disk, "wal");
  ASSERT_TRUE(segments);
  EXPECT_LE(segments->size(), 5u);  // current, two ahead, two to be recycled
  EXPECT_GT(kGeometry.segment_of(rig.writer->tail()), 12u);
}

TEST(Log, AFailedSyncIsFinal) {
  Rig rig{10};
  (void)write_some(rig, 3);
  const Lsn durable = rig.writer->durable_lsn();
  rig.disk.fail_syncs("wal/", 1);
  run_clients(rig, 4, 3);
  EXPECT_TRUE(rig.writer->failed());
  EXPECT_EQ(rig.last_status, ReserveStatus::kFailed);
  EXPECT_EQ(rig.writer->durable_lsn(), durable);
  EXPECT_EQ(rig.acknowledged_ts, 3u);
  EXPECT_EQ(rig.fatal, std::vector{io::IoFailure::kDevice});
  EXPECT_TRUE(rig.writer->durable(rig.writer->tail()).fired());
}

TEST(Log, FragmentChainsFollowTheirLinks) {
  Rig rig{11};
  ASSERT_TRUE(rig.open(fresh_log(rig.random, 1)));
  const auto write = [&](BatchKind kind, std::uint64_t txid, int first, int n, Fragment fragment) {
    EventWriter events;
    for (int i = first; i < first + n; ++i)
      events.add(EventOp::kInsert, TableId{9}, RowId{static_cast<std::uint64_t>(i)}, {});
    PreparedBatch batch =
        prepare_batch({kind, TransactionId{txid}}, events.bytes(), events.count(), fragment);
    Reservation room;
    EXPECT_EQ(rig.writer->reserve_blocking(batch.ring_bytes(), &room), ReserveStatus::kReserved);
    return rig.writer->append(batch, room);
  };
  const Lsn a = write(BatchKind::kFragment, 1, 0, 5, {});
  (void)write(BatchKind::kFragment, 2, 100, 5, {});    // of another transaction
  (void)write(BatchKind::kFragment, 1, 5, 5, {a, 5});  // rolled back to a savepoint before it
  const Lsn c = write(BatchKind::kFragment, 1, 10, 4, {a, 3});
  (void)write(BatchKind::kCommitLarge, 1, 20, 2, {c, 4});
  (void)write(BatchKind::kCommitLarge, 2, 30, 1, {c, 4});  // broken: the chain of another transaction
  rig.close();
  LogReader reader{rig.disk, "wal", kGeometry};
  reader.seek(kGeometry.first_batch(0));
  std::vector<std::uint64_t> rows;
  int broken = 0;
  while (reader.next() == ReadOutcome::kBatch) {
    if (reader.batch().header.kind != BatchKind::kCommitLarge) continue;
    if (!reader.for_each_event(reader.batch(), [&](const Event& e) { rows.push_back(e.row.raw()); }))
      ++broken;
  }
  EXPECT_EQ(rows, (std::vector<std::uint64_t>{0, 1, 2, 10, 11, 12, 13, 20, 21}));
  EXPECT_EQ(broken, 1);
}

TEST(Log, ReaderStopsAtItsLimitInALiveLog) {
  Rig rig{12};
  (void)write_some(rig, 4);
  LogReader reader{rig.disk, "wal", kGeometry};
  reader.seek(kGeometry.first_batch(0));
  for (std::size_t seen = 0, round = 0; round < 5; ++round) {
    reader.set_limit(rig.writer->durable_lsn());
    while (reader.next() == ReadOutcome::kBatch) ++seen;
    EXPECT_EQ(seen, rig.attempted.size());
    EXPECT_EQ(reader.position(), rig.writer->durable_lsn());
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(rig.commit(std::string(1500, 'z')));
  }
}

// Goal: random damage never crashes the reader, never gives a batch that was not written, and is never taken
// for a torn tail: the PAD at the end (undamaged here) has recorded all of it as durable.
TEST(Log, RandomDamageIsNeverTakenForDataOrATornTail) {
  Rig rig{20};
  const std::vector<Lsn> places = write_some(rig, 30);
  rig.close();
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    const auto disk = rig.disk.clone(seed);
    io::SeededRandom random{seed};
    const std::uint64_t flips = 1 + random.below(4);
    for (std::uint64_t n = 0; n < flips; ++n) {
      const std::uint64_t at = random.below(places.back().raw());
      disk->corrupt("wal/" + segment_name(Lsn{0}), at, static_cast<std::uint8_t>(1u << random.below(8)));
    }
    std::vector<Batch> read;
    const ReadOutcome outcome = Rig::read_from(*disk, kGeometry.first_batch(0), read);
    ASSERT_LE(read.size(), rig.attempted.size());
    for (std::size_t i = 0; i < read.size(); ++i) ASSERT_EQ(read[i], rig.attempted[i]);
    EXPECT_TRUE(outcome == ReadOutcome::kDamaged || read.size() == rig.attempted.size());
  }
}

}  // namespace
}  // namespace rustbd::log
