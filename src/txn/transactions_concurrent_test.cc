// Real threads on a real disk: transfers, scans, inserts and deletes while checkpoints and collection run in
// the background.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "rustbd/io/run_task.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::Row;
using testing::Seen;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rustbd-txn-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

#if defined(RUSTBD_TSAN)
constexpr int kEach = 60;
#else
constexpr int kEach = 400;
#endif
constexpr int kAccounts = 40;
constexpr std::int64_t kStart = 1000;

struct Rig {
  Rig()
      : disk(io::make_real_disk(directory.path)),
        clock(io::make_system_clock()),
        random(io::make_system_random()),
        executor(io::make_thread_executor(2)) {}
  ~Rig() {
    system.reset();
    executor->stop();
  }
  void open() {
    Options options;
    options.buffer_bytes = 4 << 20;
    options.log_segment_bytes = 1 << 20;
    options.log_ring_bytes = 256 << 10;
    options.checkpoint_log_bytes = 64 << 10;
    options.checkpoint_interval_us = 30'000;
    options.preallocate_log = false;
    options.data_grow_bytes = 2 << 20;
    system = TransactionSystem::open({disk.get(), clock.get(), random.get(), executor.get()}, options);
  }
  Outcome commit(Transaction& txn) { return io::run_blocking(*executor, txn.commit()); }
  void abort(Transaction& txn) { io::run_blocking(*executor, txn.abort()); }

  TemporaryDirectory directory;
  std::unique_ptr<io::Disk> disk;
  std::unique_ptr<io::Clock> clock;
  std::unique_ptr<io::Random> random;
  std::unique_ptr<io::Executor> executor;
  std::unique_ptr<TransactionSystem> system;
};

struct Totals {
  std::atomic<std::uint64_t> committed{0}, aborted{0}, scans{0}, failed{0};
  std::atomic<std::uint64_t> wrong_scans{0}, wrong_index_scans{0}, lost_rows{0};
};

/// One thread's work. Balances are changed by transfers only; rows from kAccounts on come and go.
class Worker {
 public:
  Worker(Rig& rig, const testing::AccountIds& ids, int number, Totals& totals)
      : rig_(rig),
        table_(*rig.system, rig.system->layout_of(testing::kDatabase, ids.relation)),
        ids_(ids),
        number_(number),
        totals_(totals),
        random_(static_cast<std::uint64_t>(number)),
        locker_(rig.system->make_locker(number)) {}

  void run() {
    for (int i = 0; i < kEach; ++i) {
      const auto isolation = random_.chance(500) ? Isolation::kRepeatableRead : Isolation::kReadCommitted;
      auto txn = rig_.system->begin(*locker_, {.isolation = isolation});
      txn->begin_statement();
      const auto choice = random_.below(10);
      bool good = true;
      if (choice < 5) good = transfer(*txn);
      else if (choice < 7) sum(*txn);
      else good = come_and_go(*txn, i);
      if (good && !random_.chance(100)) {
        if (rig_.commit(*txn).ok()) ++totals_.committed;
        else ++totals_.failed;
      } else {
        rig_.abort(*txn);
        ++totals_.aborted;
      }
    }
  }

 private:
  bool add(Transaction& txn, std::int64_t account, std::int64_t amount) {
    RowId row;
    const Bytes key = testing::TestDatabase::key(table_, ids_.by_id, account);
    if (!testing::run([&] { return lookup_newest(table_, txn, ids_.by_id, key, &row); }).ok()) return false;
    for (;;) {
      types::ChunkBuffer out;
      std::uint64_t version = 0;
      const Outcome got =
          testing::run([&] { return table_.fetch_newest(txn, row, testing::kAllColumns, out, &version); });
      if (!got.ok() || out.chunk().count() != 1) {
        ++totals_.lost_rows;
        return false;
      }
      const Seen seen = testing::read_row(out.chunk(), out.chunk().selection[0]);
      const Row values(0, *seen.value + amount, {});
      static constexpr ColumnNumber kValue[1] = {1};
      const Outcome o =
          testing::run([&] { return table_.update(txn, row, kValue, values.ref(1), {}, version); });
      if (o.status == Status::kConflict) continue;
      return o.ok();
    }
  }
  bool transfer(Transaction& txn) {
    const auto from = static_cast<std::int64_t>(random_.below(kAccounts)),
               to = static_cast<std::int64_t>(random_.below(kAccounts));
    if (from == to) return true;
    const auto amount = static_cast<std::int64_t>(random_.below(10));
    if (!add(txn, from, -amount)) return false;
    txn.begin_statement();
    return add(txn, to, amount);
  }
  void sum(Transaction& txn) {
    std::int64_t total = 0;
    int accounts = 0;
    const bool by_index = random_.chance(500);
    const auto rows =
        by_index ? testing::TestDatabase::index_scan(table_, ids_.by_value, txn.view(), KeyRange::all())
                 : testing::TestDatabase::scan(table_, txn.view());
    for (const Seen& s : rows) {
      if (s.id >= kAccounts) continue;
      total += *s.value;
      ++accounts;
    }
    ++totals_.scans;
    if (accounts == kAccounts && total == kAccounts * kStart) return;
    ++(by_index ? totals_.wrong_index_scans : totals_.wrong_scans);
  }
  bool come_and_go(Transaction& txn, int i) {
    const std::int64_t id = kAccounts + number_ * 100'000 + i;
    const Row row(id, 5000 + i, std::string(random_.below(200), 'n'));
    RowId made;
    if (!testing::run([&] { return table_.insert(txn, row.ref(), {}, &made); }).ok()) return false;
    if (random_.chance(500)) return true;
    txn.begin_statement();
    return testing::run([&] { return table_.remove(txn, made, {}); }).ok();
  }

  Rig& rig_;
  Table table_;
  const testing::AccountIds ids_;
  const int number_;
  Totals& totals_;
  io::SeededRandom random_;
  std::unique_ptr<Locker> locker_;
};

TEST(TransactionsConcurrent, BalancesStayWhole) {
  Rig rig;
  rig.open();
  testing::AccountIds ids;
  {
    ids.relation = rig.system->new_object_id();
    ids.table = TableId{ids.relation};
    ids.by_id = rig.system->new_index_id();
    ids.by_value = rig.system->new_index_id();
    auto locker = rig.system->make_locker(100);
    auto txn = rig.system->begin(*locker);
    txn->begin_statement();
    ASSERT_TRUE(
        testing::run([&] { return rig.system->create_table(*txn, testing::account_layout(ids)); }).ok());
    Table table(*rig.system, rig.system->layout_for(*txn, testing::kDatabase, ids.relation));
    for (int i = 0; i < kAccounts; ++i) {
      const Row row(i, kStart, {});
      ASSERT_TRUE(testing::run([&] { return table.insert(*txn, row.ref(), {}, nullptr); }).ok());
    }
    ASSERT_TRUE(rig.commit(*txn).ok());
  }
  Totals totals;
  std::vector<std::thread> threads;
  for (int n = 1; n <= 4; ++n) {
    threads.emplace_back([&rig, &ids, &totals, n] { Worker(rig, ids, n, totals).run(); });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(totals.wrong_scans, 0u);
  EXPECT_EQ(totals.wrong_index_scans, 0u);
  EXPECT_EQ(totals.lost_rows, 0u);
  EXPECT_EQ(totals.failed, 0u);
  EXPECT_GT(totals.scans, 0u);
  EXPECT_EQ(totals.committed + totals.aborted, 4u * kEach);
  rig.system->checkpoint_blocking();
  rig.system->close();
  EXPECT_GT(rig.system->statistics().checkpoints, 1u);
  rig.system.reset();
  rig.open();
  {
    auto locker = rig.system->make_locker(100);
    auto txn = rig.system->begin(*locker);
    txn->begin_statement();
    Table table(*rig.system, rig.system->layout_of(testing::kDatabase, ids.relation));
    std::int64_t total = 0;
    for (const Seen& s : testing::TestDatabase::scan(table, txn->view()))
      if (s.id < kAccounts) total += *s.value;
    EXPECT_EQ(total, kAccounts * kStart);
  }
  rig.system->close();
  rig.system.reset();
  rig.open();
  EXPECT_EQ(rig.system->check(), std::vector<std::string>{});
  rig.system->close();
}

}  // namespace
}  // namespace rustbd::txn
