// What a checkpoint notes of transactions is what was there when it began, whatever commits while it is
// written.
#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::TestDatabase;

struct Purges : storage::SnapshotSink {
  io::IoResult<> add(storage::SnapshotRecord kind, ByteSpan body) override {
    if (kind == storage::SnapshotRecord::kPurge) records.emplace_back(body.begin(), body.end());
    return {};
  }
  std::vector<Bytes> records;
};

struct SnapshotTest : ::testing::Test {
  void SetUp() override {
    db.options.background = false;
    db.open();
    ids = db.make_accounts();
    Table table = db.table(ids);
    std::vector<RowId> rows(20);
    transaction([&](Transaction& txn) {
      for (int i = 0; i < 20; ++i) {
        const Row row(i, i, {});
        ASSERT_TRUE(
            run([&] { return table.insert(txn, row.ref(), {}, &rows[static_cast<std::size_t>(i)]); }).ok());
      }
    });
    transaction([&](Transaction& txn) {
      static constexpr ColumnNumber kValue[1] = {1};
      for (const RowId row : rows) {
        const Row changed(0, 500, {});
        ASSERT_TRUE(run([&] { return table.update(txn, row, kValue, changed.ref(1), {}); }).ok());
      }
    });
  }
  template <class Work>
  void transaction(Work&& work) {
    const auto locker = db.system().make_locker(1);
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    work(*txn);
    ASSERT_TRUE(db.commit(*txn).ok());
  }
  /// The purges of a checkpoint during which `meanwhile` happens.
  template <class Work>
  std::vector<Bytes> purges(Work&& meanwhile) {
    SystemParts& parts = db.system().parts();
    Purges sink;
    parts.capture(1);
    meanwhile();
    while (db.system().collect_garbage() != 0 || parts.drop_step() ||
           parts.buffer().reclaim_freed(1000) != 0) {}
    EXPECT_EQ(parts.write_snapshot(1, sink), "");
    parts.finished(false, {}, {});
    return sink.records;
  }
  TestDatabase db{1};
  AccountIds ids;
};

TEST_F(SnapshotTest, AnIndexThatIsDroppedMeanwhileCounts) {
  const auto before = purges([] {});
  ASSERT_EQ(before.size(), 20u);
  const auto after = purges([&] {
    transaction([&](Transaction& txn) {
      auto layout = *db.system().layout_of(testing::kDatabase, ids.relation);
      std::erase_if(layout.indexes, [&](const auto& index) { return index.id == ids.by_value; });
      ASSERT_TRUE(run([&] { return db.system().alter_table(txn, layout); }).ok());
    });
  });
  EXPECT_EQ(after, before);
}

TEST_F(SnapshotTest, ATableThatIsDroppedMeanwhileCounts) {
  const auto before = purges([] {});
  const auto after = purges([&] {
    transaction([&](Transaction& txn) {
      ASSERT_TRUE(run([&] { return db.system().drop_table(txn, testing::kDatabase, ids.relation); }).ok());
    });
  });
  EXPECT_EQ(after, before);
}

// Its column is no longer there when the purges are written.
TEST_F(SnapshotTest, AnIndexThatANeverCommittedAlterTableMadeDoesNotCount) {
  const auto before = purges([] {});
  const auto locker = db.system().make_locker(2);
  const auto txn = db.system().begin(*locker);
  txn->begin_statement();
  auto layout = *db.system().layout_of(testing::kDatabase, ids.relation);
  ++layout.schema_version;
  layout.columns.push_back(layout.columns[2]);
  layout.columns[3].since_version = layout.columns[3].bitmap_since = layout.schema_version;
  storage::IndexLayout index;
  index.id = db.system().new_index_id();
  index.parts.push_back({3, types::KeyPart{layout.columns[3].type, false, false}});
  layout.indexes.push_back(index);
  ASSERT_TRUE(run([&] { return db.system().alter_table(*txn, layout); }).ok());
  const auto after = purges([&] { db.abort(*txn); });
  EXPECT_EQ(after, before);
}

// Half of a before-image would undo to something that nobody has written.
TEST(Snapshot, UndoThatCannotBeReadFailsTheCheckpoint) {
  TestDatabase db{2};
  db.options.background = false;
  db.options.undo_spill_bytes = 1024;
  db.open();
  const AccountIds ids = db.make_accounts();
  auto locker = db.system().make_locker(1);
  std::vector<RowId> rows(100);
  const auto write = [&](Transaction& txn, bool insert) {
    Table table = db.table(ids);
    static constexpr ColumnNumber kNote[1] = {2};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Row row(static_cast<std::int64_t>(i), 1, std::string(300, insert ? 'a' : 'b'));
      ASSERT_TRUE(run([&] {
                    return insert ? table.insert(txn, row.ref(), {}, &rows[i])
                                  : table.update(txn, rows[i], kNote, row.ref(2), {});
                  }).ok());
    }
  };
  auto txn = db.system().begin(*locker);
  txn->begin_statement();
  write(*txn, true);
  ASSERT_TRUE(db.commit(*txn).ok());
  txn = db.system().begin(*locker);
  txn->begin_statement();
  write(*txn, false);
  SystemParts& parts = db.system().parts();
  ASSERT_EQ(parts.active.size(), 1u);
  ASSERT_FALSE(parts.active[0]->temp_pages.empty());
  const PageId page = parts.active[0]->temp_pages[0];
  for (int i = 0; i < 100 && parts.buffer().resident(page); ++i) parts.buffer().evict(1000);
  ASSERT_FALSE(parts.buffer().resident(page));
  const auto at = parts.buffer().stored_extent(page).offset() + 200;
  db.disk().corrupt(storage::kDataFileName, at, 0x40);
  parts.capture(2);
  Purges sink;
  EXPECT_NE(parts.write_snapshot(2, sink).find("cannot be read"), std::string::npos);
  parts.finished(false, {}, {});
  EXPECT_THROW(db.system().checkpoint_blocking(), Error);  // the one before it stays
  txn->abandon();
  txn.reset();
  locker.reset();
  db.crash();
  db.open();
  {
    const auto other = db.system().make_locker(2);
    const auto reader = db.system().begin(*other);
    reader->begin_statement();
    Table table = db.table(ids);
    const auto found = TestDatabase::scan(table, reader->view());
    ASSERT_EQ(found.size(), rows.size());
    for (const auto& seen : found) EXPECT_EQ(seen.note, std::string(300, 'a'));
    EXPECT_TRUE(db.commit(*reader).ok());
  }
  db.close();
}

}  // namespace
}  // namespace rustbd::txn
