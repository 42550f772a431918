// What keeps the log: named consumers, the archive, time and size.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/log/consumers.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/log_writer.h"

namespace rustbd::log {
namespace {

constexpr std::uint64_t kSegment = 32 << 10, kRing = 8 << 10;
const Geometry kGeometry{kSegment};

class Retention : public ::testing::Test {
 protected:
  explicit Retention(std::uint64_t seed = 1) : executor(seed), disk(seed, {}, &executor), random(seed) {
    options.segment_bytes = kSegment;
    options.ring_bytes = kRing;
    options.preallocate_zeros = false;
    options.on_fatal = [](io::IoFailure) {};
    EXPECT_TRUE(disk.make_directory("archive"));
  }
  ~Retention() override { close(); }
  void close() {
    if (writer) writer->stop();
    writer.reset();
  }
  void open() {
    auto made = LogWriter::open({&disk, &executor.clock(), &random, &executor}, registry, options,
                                fresh_log(random, 7));
    ASSERT_TRUE(made);
    writer = std::move(*made);
  }
  void fill_segments(int count) {
    const std::uint64_t until = kGeometry.segment_of(writer->tail()) + static_cast<std::uint64_t>(count);
    while (kGeometry.segment_of(writer->tail()) < until) {
      EventWriter events;
      events.add_message("", as_bytes(std::string(1500, 'x')));
      PreparedBatch batch =
          prepare_batch({BatchKind::kCommit, TransactionId{1}}, events.bytes(), events.count());
      Reservation room;
      ASSERT_EQ(writer->reserve_blocking(batch.ring_bytes(), &room), ReserveStatus::kReserved);
      writer->assign(batch, CommitTimestamp{++ts});
      writer->fill(batch, room);
      executor.block_on(writer->durable(writer->end_of(batch)));
    }
    writer->set_keep_lsn(writer->durable_lsn());
    executor.run_for(std::chrono::milliseconds(50));
  }
  [[nodiscard]] std::uint64_t oldest_segment() {
    return kGeometry.segment_of(list_segments(disk, "wal")->front());
  }
  [[nodiscard]] std::vector<Lsn> archived() {
    return list_segments(disk, "archive").value_or(std::vector<Lsn>{});
  }

  io::SimulatedExecutor executor;
  io::SimulatedDisk disk;
  io::SeededRandom random;
  metrics::Registry registry;
  LogOptions options;
  std::unique_ptr<LogWriter> writer;
  std::uint64_t ts = 1;
};

TEST_F(Retention, AConsumerHoldsTheLogUntilItAdvancesOrIsDropped) {
  LogConsumers consumers(disk, "wal", kGeometry);
  options.hold = [&] { return consumers.hold(); };
  open();
  ASSERT_EQ(consumers.create("a", writer->durable_lsn()), ConsumerStatus::kOk);
  ASSERT_EQ(consumers.create("b", writer->durable_lsn()), ConsumerStatus::kOk);
  EXPECT_EQ(consumers.create("a", writer->durable_lsn()), ConsumerStatus::kExists);
  EXPECT_EQ(consumers.advance("c", writer->durable_lsn()), ConsumerStatus::kNotFound);
  fill_segments(10);
  EXPECT_EQ(oldest_segment(), 0u);
  ASSERT_EQ(consumers.advance("a", writer->durable_lsn()), ConsumerStatus::kOk);
  fill_segments(1);
  EXPECT_EQ(oldest_segment(), 0u) << "b has not advanced";
  ASSERT_EQ(consumers.advance("b", kGeometry.first_lsn(5)), ConsumerStatus::kOk);
  ASSERT_EQ(consumers.advance("b", kGeometry.first_lsn(2)), ConsumerStatus::kOk);
  EXPECT_EQ(consumers.hold(), kGeometry.first_lsn(5)) << "never back";
  fill_segments(1);
  EXPECT_GT(oldest_segment(), 2u);
  EXPECT_LE(oldest_segment(), 5u);
  ASSERT_EQ(consumers.drop("b"), ConsumerStatus::kOk);
  EXPECT_EQ(consumers.drop("b"), ConsumerStatus::kNotFound);
  fill_segments(4);
  EXPECT_GT(oldest_segment(), 5u);
}

TEST(LogConsumers, AFileThatNobodyCanLookForIsNoAbsentOne) {
  io::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.make_directory("wal"));
  EXPECT_TRUE(LogConsumers(disk, "wal", kGeometry).load());
  disk.crash();
  EXPECT_FALSE(LogConsumers(disk, "wal", kGeometry).load());
}

// The power fails at each operation of each change: what was acknowledged is there, and nothing is held less.
TEST(LogConsumers, ChangesAreWholeAndDurable) {
  for (std::uint64_t crash = 1; crash < 40; ++crash) {
    io::SimulatedDisk disk(crash, {.torn_sector_per_mille = 300});
    ASSERT_TRUE(disk.make_directory("wal"));
    ASSERT_TRUE(disk.sync_directory(""));
    disk.crash_at(crash);
    std::map<std::string, std::uint64_t> acknowledged;
    std::string in_doubt;
    {
      LogConsumers consumers(disk, "wal", kGeometry);
      for (std::uint64_t step = 0; step < 8 && !disk.crashed(); ++step) {
        const std::string name(1, static_cast<char>('a' + step % 3));
        const Lsn at{(step + 1) * kSegment};
        in_doubt = name;
        if (step == 5) {
          if (consumers.drop(name) == ConsumerStatus::kOk) acknowledged.erase(name);
        } else if (const auto done =
                       acknowledged.contains(name) ? consumers.advance(name, at) : consumers.create(name, at);
                   done == ConsumerStatus::kOk) {
          acknowledged[name] = at.raw();
        }
      }
    }
    if (!disk.crashed()) disk.crash();
    disk.restart();
    LogConsumers found(disk, "wal", kGeometry);
    ASSERT_TRUE(found.load()) << crash;
    std::map<std::string, std::uint64_t> positions;
    for (const auto& c : found.list()) positions[c.name] = c.position.raw();
    positions.erase(in_doubt);
    acknowledged.erase(in_doubt);
    EXPECT_EQ(positions, acknowledged) << crash;
  }
}

TEST(LogConsumers, ADamagedListIsRefused) {
  io::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.make_directory("wal"));
  ASSERT_EQ(LogConsumers(disk, "wal", kGeometry).create("a", Lsn{kSegment}), ConsumerStatus::kOk);
  for (std::uint64_t at = 0; at < disk.content("wal/consumers").size(); ++at) {
    disk.corrupt("wal/consumers", at, 0x10);
    EXPECT_FALSE(LogConsumers(disk, "wal", kGeometry).load()) << at;
    disk.corrupt("wal/consumers", at, 0x10);
  }
  EXPECT_TRUE(LogConsumers(disk, "wal", kGeometry).load());
}

TEST(LogConsumers, AFullDiskIsToldAndChangesNothing) {
  io::SimulatedDisk disk(1);
  ASSERT_TRUE(disk.make_directory("wal"));
  LogConsumers consumers(disk, "wal", kGeometry);
  ASSERT_EQ(consumers.create("a", Lsn{kSegment}), ConsumerStatus::kOk);
  disk.set_faults({.no_space = 1'000'000});
  EXPECT_EQ(consumers.create("b", Lsn{kSegment}), ConsumerStatus::kNoSpace);
  EXPECT_EQ(consumers.drop("a"), ConsumerStatus::kNoSpace);
  disk.set_faults({});
  EXPECT_EQ(consumers.list().size(), 1u);
  EXPECT_EQ(consumers.create("b", Lsn{kSegment}), ConsumerStatus::kOk);
}

TEST_F(Retention, TimeAndSize) {
  options.retention_us = 10'000'000;
  options.retention_bytes = 6 * kSegment;
  open();
  fill_segments(4);
  EXPECT_EQ(oldest_segment(), 0u) << "young";
  fill_segments(8);
  EXPECT_GE(oldest_segment(), 3u) << "at most six";
  const std::uint64_t before = oldest_segment();
  executor.run_for(std::chrono::seconds(11));
  fill_segments(1);
  EXPECT_GT(oldest_segment(), before + 1) << "old";
}

TEST_F(Retention, EverySegmentIsArchivedBeforeItIsUsedAgain) {
  options.archive_disk = &disk;
  options.archive = "archive";
  open();
  fill_segments(3);
  disk.set_faults({.write_error = 1'000'000,
                   .applies_to = [](std::string_view path) { return path.starts_with("archive/"); }});
  fill_segments(6);
  EXPECT_LT(archived().size(), 6u) << "it fails";
  EXPECT_LE(oldest_segment(), archived().size()) << "nothing is used again that is not archived";
  EXPECT_EQ(registry.expose().find("rustbd_wal_archive_failures_total 0"), std::string::npos) << "counted";
  disk.set_faults({});
  executor.run_for(std::chrono::seconds(10));
  fill_segments(3);
  ASSERT_EQ(archived().size(), 12u);
  EXPECT_GT(oldest_segment(), 6u);
  // The archive alone is a log without a gap.
  LogReader reader(disk, "archive", kGeometry);
  reader.seek(kGeometry.first_batch(0));
  std::uint64_t batches = 0;
  while (reader.next() == ReadOutcome::kBatch) ++batches;
  EXPECT_GT(kGeometry.segment_of(reader.position()) + 2, 12u);
  EXPECT_GT(batches, 12 * 17u);
}

TEST_F(Retention, ADamagedSegmentIsArchivedAndSaid) {
  options.archive_disk = &disk;
  options.archive = "archive";
  std::vector<std::string> lines;
  options.log_line = [&](std::string_view line) { lines.emplace_back(line); };
  open();
  fill_segments(2);
  disk.set_faults({.write_error = 1'000'000,
                   .applies_to = [](std::string_view path) { return path.starts_with("archive/"); }});
  fill_segments(4);
  // The middle one's first batch: only what the one before says tells that one belongs there.
  const auto segment = segment_name(kGeometry.first_lsn(4));
  disk.corrupt("wal/" + segment, kGeometry.first_batch(4).raw() - kGeometry.first_lsn(4).raw() + 2000, 0x10);
  // All but it and those behind it; a second attempt sees what the first one saw.
  const auto blocked = "archive/" + segment;
  disk.set_faults({.write_error = 1'000'000,
                   .applies_to = [blocked](std::string_view path) { return path.starts_with(blocked); }});
  executor.run_for(std::chrono::seconds(5));
  EXPECT_EQ(archived().size(), 4u);
  lines.clear();
  disk.set_faults({});
  executor.run_for(std::chrono::seconds(10));
  fill_segments(1);
  EXPECT_EQ(archived().size(), 7u) << "all the same";
  EXPECT_NE(registry.expose().find("rustbd_wal_archive_damaged_segments_total 1"), std::string::npos);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(segment + " is damaged"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("make a full backup"), std::string::npos) << lines[0];
}

TEST_F(Retention, AReadErrorIsNoDamage) {
  options.archive_disk = &disk;
  options.archive = "archive";
  open();
  fill_segments(1);
  disk.set_faults(
      {.read_error = 500'000, .applies_to = [](std::string_view path) { return path.starts_with("wal/0"); }});
  fill_segments(8);
  executor.run_for(std::chrono::seconds(30));
  disk.set_faults({});
  executor.run_for(std::chrono::seconds(30));
  EXPECT_EQ(archived().size(), 9u);
  EXPECT_NE(registry.expose().find("rustbd_wal_archive_damaged_segments_total 0"), std::string::npos);
}

TEST_F(Retention, ACopyThatReadsOtherwiseIsMadeAgain) {
  options.archive_disk = &disk;
  options.archive = "archive";
  open();
  disk.set_faults({.lost_write = 1'000'000,
                   .applies_to = [](std::string_view path) { return path.starts_with("archive/"); }});
  fill_segments(3);
  EXPECT_EQ(archived().size(), 0u);
  EXPECT_EQ(registry.expose().find("rustbd_wal_archive_failures_total 0"), std::string::npos) << "counted";
  EXPECT_EQ(oldest_segment(), 0u) << "kept";
  disk.set_faults({});
  executor.run_for(std::chrono::seconds(3));
  EXPECT_EQ(archived().size(), 3u);
  EXPECT_NE(registry.expose().find("rustbd_wal_archive_damaged_segments_total 0"), std::string::npos);
}

TEST_F(Retention, AnArchiveOfAnotherLogIsNotOverwritten) {
  {
    const auto file = disk.open("archive/" + segment_name(Lsn{0}), {.create = true});
    ASSERT_TRUE((*file)->write(0, Bytes(kSegment)));
  }
  options.archive_disk = &disk;
  options.archive = "archive";
  open();
  fill_segments(6);
  executor.run_for(std::chrono::seconds(3));
  EXPECT_EQ(archived().size(), 1u);
  EXPECT_EQ(oldest_segment(), 0u) << "kept";
  EXPECT_EQ(disk.content("archive/" + segment_name(Lsn{0})), Bytes(kSegment));
}

/// The log of an earlier life with an archive that has it.
class ArchivedBefore : public Retention {
 protected:
  void SetUp() override {
    options.archive_disk = &disk;
    options.archive = "archive";
    open();
    fill_segments(3);
    ASSERT_EQ(archived().size(), 3u);
    close();
    existing = *list_segments(disk, "wal");
    number = kGeometry.segment_of(existing.front());
    ASSERT_LT(number, 3u);
    name = segment_name(existing.front());
  }
  /// Where the next life's archiver gets to.
  Lsn archive_again() {
    Archiver archiver({&disk, &executor.clock(), &random, &executor}, next_life,
                      {"wal",
                       kGeometry,
                       &disk,
                       "archive",
                       {[this](std::string_view line) { lines.emplace_back(line); }},
                       {}});
    archiver.start(existing, kGeometry.first_lsn(3));
    executor.run_for(std::chrono::seconds(3));
    return archiver.hold();
  }
  [[nodiscard]] bool says(std::string_view text) const {
    return std::ranges::any_of(lines,
                               [&](const std::string& line) { return line.find(text) != std::string::npos; });
  }
  std::vector<Lsn> existing;
  std::uint64_t number = 0;
  std::string name;
  metrics::Registry next_life;
  std::vector<std::string> lines;
};

// A restart finds the file of a segment that was archived and on its way to a new name.
TEST_F(ArchivedBefore, ASegmentThatWasGivenUpHoldsNothing) {
  {
    const auto file = disk.open("wal/" + name, {});
    ASSERT_TRUE((*file)->write(0, Bytes(kSegmentHeaderBytes)));
  }
  EXPECT_EQ(archive_again(), kGeometry.first_lsn(3));
}

TEST_F(ArchivedBefore, WhatIsThereIsKnownByItsContent) {
  EXPECT_EQ(archive_again(), kGeometry.first_lsn(3));
  EXPECT_TRUE(lines.empty());
}

// A copy of the directory that was started too, say: its header is ours.
TEST_F(ArchivedBefore, AFileWithOurHeaderAndOtherContentIsNoCopy) {
  disk.corrupt("archive/" + name, kSegment - 100, 0x10);
  const Bytes before = disk.content("archive/" + name);
  EXPECT_EQ(archive_again(), std::max(Lsn{1}, kGeometry.first_lsn(number)));
  EXPECT_EQ(disk.content("archive/" + name), before);
  EXPECT_TRUE(says("other content")) << "and the segment stays";
  EXPECT_EQ(next_life.expose().find("rustbd_wal_archive_failures_total 0"), std::string::npos) << "counted";
}

TEST_F(ArchivedBefore, ASegmentThatWasDamagedSinceIsSaidAndTheArchiveKeepsIt) {
  const Bytes before = disk.content("archive/" + name);
  disk.corrupt("wal/" + name, kSegment / 2, 0x10);
  EXPECT_EQ(archive_again(), kGeometry.first_lsn(3));
  EXPECT_EQ(disk.content("archive/" + name), before);
  EXPECT_TRUE(says("has been damaged since it was archived"));
}

/// An archive of a log that is sealed, as far as its keys.tab goes.
class ArchivedKeys : public Retention {
 protected:
  ArchivedKeys() {
    options.archive_disk = &disk;
    options.archive = "archive";
    options.log_line = [this](std::string_view line) { lines.emplace_back(line); };
    ring = security::KeyRing::open(environment(disk), master, security::Cipher::kNone, true);
  }
  ~ArchivedKeys() override { close(); }
  io::Environment environment(io::Disk& of) { return {&of, &executor.clock(), &random, &executor}; }
  void put(const std::string& path, const Bytes& content) {
    const auto file = disk.open(path, {.create = true});
    ASSERT_TRUE((*file)->truncate(0));
    ASSERT_TRUE((*file)->write(0, content));
  }
  [[nodiscard]] std::vector<std::uint32_t> archived_keys() {
    return security::key_ids(disk.content("archive/keys.tab"));
  }

  const security::MasterKey master{security::KeyBytes{std::byte{1}}};
  std::unique_ptr<security::KeyRing> ring;
  std::vector<std::string> lines;
};

// The archive was off for a while: what went meanwhile the older segments need.
TEST_F(ArchivedKeys, KeysThatAreDestroyedHereStayThere) {
  open();
  fill_segments(2);
  EXPECT_EQ(archived_keys(), std::vector<std::uint32_t>{1});
  ring->rotate(security::Cipher::kNone);
  const std::uint32_t first = 1;
  ring->destroy(std::span(&first, 1));
  fill_segments(2);
  EXPECT_EQ(archived().size(), 4u);
  EXPECT_EQ(archived_keys(), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_TRUE(lines.empty()) << lines[0];
}

TEST_F(ArchivedKeys, FollowAChangeOfTheMasterKey) {
  open();
  fill_segments(2);
  ring->rotate(security::Cipher::kNone);
  const security::MasterKey other{security::KeyBytes{std::byte{2}}};
  ring->rewrap(other);
  fill_segments(2);
  EXPECT_EQ(archived().size(), 4u);
  EXPECT_EQ(disk.content("archive/keys.tab"), disk.content("keys.tab"));
  // One that only the archive has cannot be brought under the new master key.
  const Bytes before = disk.content("archive/keys.tab");
  ring->rewrap(master);
  const std::uint32_t first = 1;
  ring->destroy(std::span(&first, 1));
  fill_segments(2);
  EXPECT_EQ(archived().size(), 4u);
  EXPECT_EQ(disk.content("archive/keys.tab"), before);
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find("under another master key"), std::string::npos) << lines[0];
}

TEST_F(ArchivedKeys, ThoseOfAnotherDatabaseAreNotReplaced) {
  io::SimulatedDisk elsewhere(5);
  executor.run_for(std::chrono::milliseconds(1));
  (void)security::KeyRing::open(environment(elsewhere), master, security::Cipher::kNone, true);
  const Bytes theirs = elsewhere.content("keys.tab");
  put("archive/keys.tab", theirs);
  open();
  fill_segments(3);
  EXPECT_EQ(archived().size(), 0u);
  EXPECT_EQ(oldest_segment(), 0u) << "kept";
  EXPECT_EQ(disk.content("archive/keys.tab"), theirs);
  EXPECT_EQ(registry.expose().find("rustbd_wal_archive_failures_total 0"), std::string::npos) << "counted";
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find("key 1 of the archive is another database's"), std::string::npos) << lines[0];
  put("archive/keys.tab", Bytes(8192));
  lines.clear();
  executor.run_for(std::chrono::seconds(3));
  EXPECT_EQ(archived().size(), 0u);
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find("damaged"), std::string::npos) << lines[0];
}

// A log's file of that name, and nothing else that tells whose the archive is.
TEST_F(ArchivedKeys, AnArchiveOfAnotherLogGetsNone) {
  put("archive/" + segment_name(Lsn{0}), Bytes(kSegment));
  open();
  fill_segments(3);
  EXPECT_FALSE(disk.exists("archive/keys.tab"));
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find("another log's file"), std::string::npos) << lines[0];
}

}  // namespace
}  // namespace rustbd::log
