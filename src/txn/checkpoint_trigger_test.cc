// What makes a checkpoint begin by itself: the volume of the log, and time; also while collection is busy.
#include <gtest/gtest.h>

#include <chrono>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::TestDatabase;
using namespace std::chrono_literals;

struct CheckpointTrigger : ::testing::Test {
  CheckpointTrigger() {
    db.options.checkpoint_log_bytes = std::uint64_t{1} << 40;
    db.options.checkpoint_interval_us = std::uint64_t{1} << 50;
    db.options.recovery_target_us = 0;
    db.options.relocation_bytes_per_second = 0;  // no checkpoints for the sake of the file's size
  }
  ~CheckpointTrigger() override { table.reset(); }
  void open() {
    db.open();
    ids = db.make_accounts();
    table.emplace(db.table(ids));
    db.executor().run_for(1s);
    ASSERT_EQ(made_by("recovery"), 1u) << "the one after the start has ended";
  }
  /// rustbd_checkpoints_total{trigger=...}.
  std::uint64_t made_by(std::string_view trigger) {
    const std::string all = db.system().metrics().expose();
    const std::string name = fmt::format("rustbd_checkpoints_total{{trigger=\"{}\"}} ", trigger);
    const auto at = all.find(name);
    return at == std::string::npos ? 0 : std::stoull(all.substr(at + name.size()));
  }
  std::uint64_t log_since_checkpoint() {
    return db.system().parts().log->tail().raw() - db.system().parts().last_checkpoint_lsn.load();
  }
  template <class Work>
  void transaction(Work&& work) {
    const auto locker = db.system().make_locker(1);
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    work(*txn);
    ASSERT_TRUE(db.commit(*txn).ok());
  }
  void insert(int count, std::size_t note_bytes) {
    transaction([&](Transaction& txn) {
      for (int i = 0; i < count; ++i) {
        const auto id = static_cast<std::int64_t>(rows.size());
        const Row row(id, id, std::string(note_bytes, 'n'));
        RowId& place = rows.emplace_back();
        ASSERT_TRUE(run([&] { return table->insert(txn, row.ref(), {}, &place); }).ok());
      }
    });
  }
  template <class Condition>
  void step_until(Condition&& reached) {
    for (int steps = 0; !reached(); ++steps) ASSERT_TRUE(steps < 100'000 && db.executor().step());
  }
  TestDatabase db{1, std::uint64_t{40} * storage::kFrameBytes};
  AccountIds ids;
  std::optional<Table> table;
  std::vector<RowId> rows;
};

TEST_F(CheckpointTrigger, TheVolumeOfTheLog) {
  db.options.checkpoint_log_bytes = 256 << 10;
  open();
  insert(100, 1000);
  db.executor().run_for(600s);
  ASSERT_LT(log_since_checkpoint(), db.options.checkpoint_log_bytes);
  EXPECT_EQ(made_by("log_volume"), 0u) << "not so much yet";
  for (std::uint64_t n = 1; n <= 3; ++n) {
    while (log_since_checkpoint() <= db.options.checkpoint_log_bytes) insert(10, 1000);
    db.executor().run_for(1s);
    EXPECT_EQ(made_by("log_volume"), n);
    EXPECT_LT(log_since_checkpoint(), db.options.checkpoint_log_bytes / 2);
    db.executor().run_for(600s);
    EXPECT_EQ(made_by("log_volume"), n) << "one is enough";
  }
  EXPECT_EQ(made_by("time"), 0u);
}

TEST_F(CheckpointTrigger, TheTimeThatReplayMayTake) {
  db.options.recovery_target_us = 1'000'000;
  open();
  db.system().parts().replay_bytes_per_second = 128 << 10;
  insert(100, 1000);
  db.executor().run_for(1s);
  EXPECT_EQ(made_by("log_volume"), 0u);
  insert(50, 1000);
  db.executor().run_for(1s);
  EXPECT_EQ(made_by("log_volume"), 1u) << "it would take more than a second";
}

TEST_F(CheckpointTrigger, AShortReplayTellsItsSpeedIfItWasSlow) {
  open();
  const double assumed = db.system().parts().replay_bytes_per_second;
  insert(1000, 1000);
  for (const bool slow : {false, true}) {
    table.reset();
    db.crash();
    if (slow) db.disk().set_faults({.latency_us_median = 500'000});
    db.open();
    db.disk().set_faults({});
    const double learned = db.system().parts().replay_bytes_per_second;
    if (slow) EXPECT_LT(learned, assumed / 2);
    else EXPECT_EQ(learned, assumed);
    table.emplace(db.table(ids));
    insert(1000, 1000);
  }
}

TEST_F(CheckpointTrigger, Time) {
  db.options.checkpoint_interval_us = 60'000'000;
  open();  // and a second
  db.executor().run_for(57s);
  EXPECT_EQ(made_by("time"), 0u);
  db.executor().run_for(4s);
  EXPECT_EQ(made_by("time"), 1u);
  db.executor().run_for(600s);
  EXPECT_EQ(made_by("time"), 11u);
  db.executor().run_for(30s);
  db.system().checkpoint_blocking();  // the interval is counted from it
  db.executor().run_for(58s);
  EXPECT_EQ(made_by("time"), 11u);
  db.executor().run_for(4s);
  EXPECT_EQ(made_by("time"), 12u);
  EXPECT_EQ(made_by("log_volume"), 0u);
}

/// The collection that a mass deletion leaves takes long: each row is in a page that must be read.
TEST_F(CheckpointTrigger, TheVolumeOfTheLogDuringALongCollection) {
  open();
  constexpr int kRows = 3000;
  insert(kRows, 1000);
  const auto reader_locker = db.system().make_locker(2);
  auto reader = db.system().begin(*reader_locker, {.isolation = Isolation::kRepeatableRead});
  reader->begin_statement();
  transaction([&](Transaction& txn) {
    for (int i = 0; i < kRows; ++i)
      ASSERT_TRUE(run([&] { return table->remove(txn, rows[i * 37 % kRows], {}); }).ok());
  });
  db.executor().run_for(1s);
  const auto left = [&] { return db.system().statistics().versions; };
  ASSERT_EQ(left(), std::uint64_t{kRows}) << "somebody may still read them";
  ASSERT_TRUE(db.commit(*reader).ok());
  reader.reset();
  ASSERT_NO_FATAL_FAILURE(step_until([&] { return left() <= kRows - 100; }));
  // From here on there is too much log.
  SystemParts& parts = db.system().parts();
  parts.options.checkpoint_log_bytes = 1;
  const std::uint64_t before = left();
  ASSERT_NO_FATAL_FAILURE(step_until([&] { return parts.checkpoint_asked.load(); }));
  EXPECT_GE(left() + SystemParts::kRecordsBetweenLooks, before);
  const std::uint64_t made = db.system().statistics().checkpoints;
  ASSERT_NO_FATAL_FAILURE(step_until([&] { return db.system().statistics().checkpoints > made; }));
  EXPECT_GT(left(), std::uint64_t{kRows} / 2) << "nor does the checkpoint itself wait for the end";
  parts.options.checkpoint_log_bytes = std::uint64_t{1} << 40;
  ASSERT_NO_FATAL_FAILURE(step_until([&] { return left() == 0; }));
  EXPECT_GE(made_by("log_volume"), 1u);
}

}  // namespace
}  // namespace rustbd::txn
