// Group commit with many clients on a real disk.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "rustbd/io/batch.h"
#include "rustbd/log/log_reader.h"
#include "rustbd/log/log_writer.h"

namespace rustbd::log {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rustbd-log-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

class LogConcurrent : public testing::TestWithParam<io::DiskBackend> {};

TEST_P(LogConcurrent, ManyClientsCommitInOrder) {
#if defined(RUSTBD_TSAN)
  constexpr int kEach = 60;
#else
  constexpr int kEach = 200;
#endif
  constexpr std::uint64_t kSegment = 256 << 10;
  const TemporaryDirectory directory;
  const auto disk = io::make_real_disk(directory.path, GetParam());
  const auto clock = io::make_system_clock();
  const auto random = io::make_system_random();
  const auto executor = io::make_thread_executor(2);
  metrics::Registry registry;
  LogOptions options;
  options.segment_bytes = kSegment;
  options.ring_bytes = 64 << 10;
  auto made = LogWriter::open({disk.get(), clock.get(), random.get(), executor.get()}, registry, options,
                              fresh_log(*random, 7));
  ASSERT_TRUE(made);
  LogWriter& log = **made;
  std::mutex commit_mutex;
  std::uint64_t last_ts = 0;
  std::atomic<int> lost{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      io::SeededRandom mine{static_cast<std::uint64_t>(c)};
      for (int i = 0; i < kEach; ++i) {
        EventWriter events;
        events.add(EventOp::kInsert, TableId{static_cast<std::uint32_t>(c + 1)},
                   RowId{static_cast<std::uint64_t>(i + 1)}, Bytes(mine.chance(50) ? mine.below(9000) : 100));
        PreparedBatch batch =
            prepare_batch({BatchKind::kCommit, TransactionId{1}}, events.bytes(), events.count());
        Reservation room;
        if (log.reserve_blocking(batch.ring_bytes(), &room) != ReserveStatus::kReserved) ++lost;
        {
          std::lock_guard lock{commit_mutex};
          log.assign(batch, CommitTimestamp{++last_ts});
        }
        {
          std::optional<io::Batch> many;
          if (c % 2 == 0 && i % 32 < 16) many.emplace();  // by turns the log gathers and does not
          log.fill(batch, room);
        }
        log.durable(log.end_of(batch)).wait_blocking();
        if (!log.is_durable(log.end_of(batch))) ++lost;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(log.durable_ts(), CommitTimestamp{last_ts});
  log.stop();
  made->reset();
  executor->stop();

  LogReader reader{*disk, "wal", Geometry{kSegment}};
  reader.seek(Geometry{kSegment}.first_batch(0));
  std::uint64_t ts = 0;
  std::vector<std::uint64_t> rows(9);
  while (reader.next() == ReadOutcome::kBatch) {
    EXPECT_EQ(reader.batch().header.commit_ts, ++ts);
    EventReader events{reader.batch().events};
    Event event;
    ASSERT_TRUE(events.next(event));
    EXPECT_EQ(event.row.raw(), ++rows[event.table.raw()]);  // each client's own order is kept
  }
  EXPECT_EQ(ts, last_ts) << reader.problem();
}

INSTANTIATE_TEST_SUITE_P(Disks, LogConcurrent,
                         testing::Values(io::DiskBackend::kThreads, io::DiskBackend::kAutomatic));

}  // namespace
}  // namespace rustbd::log
