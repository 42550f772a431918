#include <gtest/gtest.h>

#include <algorithm>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::TestDatabase;

constexpr std::uint64_t kPoolBytes = 128 * storage::kFrameBytes;

class ReadAheadTest : public ::testing::Test {
 protected:
  ReadAheadTest() {
    db.options.background = false;
    db.options.page_compression = storage::PageCompression::kNone;
    db.open();
  }

  /// `rows` rows of 2000 bytes: 8 a leaf.
  AccountIds make_table(std::int64_t rows) {
    const AccountIds ids = db.make_accounts(false);
    Table table = db.table(ids);
    const auto locker = db.system().make_locker(1);
    for (std::int64_t id = 0; id < rows;) {
      const auto txn = db.system().begin(*locker);
      txn->begin_statement();
      for (const std::int64_t end = std::min(rows, id + 50); id < end; ++id) {
        const Row row(id, id, std::string(2000, static_cast<char>('a' + id % 26)));
        RowId out;
        EXPECT_TRUE(testing::run([&] { return table.insert(*txn, row.ref(), {}, &out); }).ok());
      }
      EXPECT_TRUE(db.commit(*txn).ok());
    }
    while (db.system().collect_garbage() > 0) {}
    db.system().checkpoint_blocking();
    return ids;
  }

  std::size_t scan(const AccountIds& ids) {
    Table table = db.table(ids);
    const auto locker = db.system().make_locker(2);
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    const std::size_t rows = TestDatabase::scan(table, txn->view()).size();
    EXPECT_TRUE(db.commit(*txn).ok());
    return rows;
  }

  std::vector<PageId> leaves(const AccountIds& ids) {
    Table table = db.table(ids);
    std::vector<storage::LeafRange> found;
    for (RowId from{1}; !from.is_none();) {
      RowId next;
      EXPECT_TRUE(
          storage::run_blocking([&] { return table.trees().tree->leaves_from(from, 1000, &found, &next); }));
      from = next;
    }
    std::vector<PageId> pages;
    for (const auto& leaf : found) pages.push_back(leaf.page);
    return pages;
  }

  std::size_t resident(const std::vector<PageId>& pages) {
    return static_cast<std::size_t>(
        std::count_if(pages.begin(), pages.end(), [&](PageId p) { return buffer().resident(p); }));
  }

  storage::BufferManager& buffer() { return db.system().parts().buffer(); }
  void empty_pool() { buffer().evict(buffer().frame_count()); }

  TestDatabase db{11, kPoolBytes};
};

TEST_F(ReadAheadTest, LeavesAreReadBeforeTheScanComesToThem) {
  const AccountIds ids = make_table(400);
  const auto pages = leaves(ids);
  ASSERT_GT(pages.size(), 40u);
  empty_pool();
  const auto before = buffer().statistics();
  EXPECT_EQ(scan(ids), 400u);
  const auto after = buffer().statistics();
  // All but the first few.
  EXPECT_GE(after.read_ahead - before.read_ahead, pages.size() - 4);
  EXPECT_LE(after.misses - before.misses, pages.size() + 8) << "each page is read once";
}

TEST_F(ReadAheadTest, ManyReadsAreUnderWayAtOnce) {
  const AccountIds ids = make_table(400);
  const auto pages = leaves(ids);
  io::SimulatedFaults slow;
  slow.latency_us_max = 1000;
  db.disk().set_faults(slow);
  empty_pool();
  const std::int64_t begin = db.executor().clock().monotonic_us();
  EXPECT_EQ(scan(ids), 400u);
  const std::int64_t took = db.executor().clock().monotonic_us() - begin;
  db.disk().set_faults({});
  // One after the other they would take half a millisecond each.
  EXPECT_LT(took, static_cast<std::int64_t>(pages.size()) * 500 / 2);
}

TEST_F(ReadAheadTest, ALargeScanLeavesThePagesOfOthersInMemory) {
  const AccountIds small = make_table(200), large = make_table(2400);
  const auto hot = leaves(small), cold = leaves(large);
  ASSERT_GT(cold.size(), buffer().frame_count());
  empty_pool();
  EXPECT_EQ(scan(small), 200u);
  ASSERT_EQ(resident(hot), hot.size());
  const auto before = buffer().statistics();
  EXPECT_EQ(scan(large), 2400u);
  EXPECT_EQ(resident(hot), hot.size());
  EXPECT_GT(buffer().statistics().left_dropped - before.left_dropped, cold.size() / 2);
}

TEST_F(ReadAheadTest, ATableThatFitsStays) {
  const AccountIds ids = make_table(300);
  const auto pages = leaves(ids);
  ASSERT_LT(pages.size(), buffer().frame_count() / 2);
  empty_pool();
  EXPECT_EQ(scan(ids), 300u);
  EXPECT_EQ(resident(pages), pages.size());
}

TEST_F(ReadAheadTest, RowsOfAnIndexAreReadTogether) {
  const AccountIds ids = make_table(800);
  Table table = db.table(ids);
  std::vector<RowId> rows;
  for (std::uint64_t i = 0; i < 100; ++i) rows.push_back(RowId{1 + i * 37 % 800});
  io::SimulatedFaults slow;
  slow.latency_us_max = 1000;
  db.disk().set_faults(slow);
  empty_pool();
  const auto locker = db.system().make_locker(2);
  const auto txn = db.system().begin(*locker);
  txn->begin_statement();
  const std::vector<ColumnNumber> columns{0};
  types::ChunkBuffer out;
  std::vector<std::uint16_t> positions(rows.size());
  std::size_t fetched = 0;
  const std::int64_t begin = db.executor().clock().monotonic_us();
  for (std::span<const RowId> left = rows; !left.empty();) {
    std::uint32_t consumed = 0;
    ASSERT_TRUE(testing::run([&] {
                  return table.fetch(txn->view(), left, columns, out, positions.data(), &consumed);
                }).ok());
    fetched += out.chunk().count();
    left = left.subspan(consumed);
  }
  const std::int64_t took = db.executor().clock().monotonic_us() - begin;
  db.disk().set_faults({});
  EXPECT_TRUE(db.commit(*txn).ok());
  EXPECT_EQ(fetched, rows.size());
  EXPECT_LT(took, static_cast<std::int64_t>(rows.size()) * 500 / 2);
}

TEST_F(ReadAheadTest, AScanOfAFewRowsReadsNothingAhead) {
  const AccountIds ids = make_table(400);
  empty_pool();
  const auto before = buffer().statistics();
  Table table = db.table(ids);
  const auto locker = db.system().make_locker(2);
  const auto txn = db.system().begin(*locker);
  txn->begin_statement();
  const std::vector<ColumnNumber> columns{0};
  TableScan scan(table, txn->view(), columns, {1, 3});
  types::ChunkBuffer out;
  EXPECT_TRUE(testing::run([&] { return scan.next(out); }).ok());
  EXPECT_EQ(testing::run([&] { return scan.next(out); }).status, Status::kEnd);
  EXPECT_TRUE(db.commit(*txn).ok());
  EXPECT_EQ(buffer().statistics().read_ahead, before.read_ahead);
}

}  // namespace
}  // namespace rustbd::txn
