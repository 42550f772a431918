// What the deep check must see: entries that are missing or stray, keys that are there twice, pages that
// nothing refers to or that have two owners.
#include <gtest/gtest.h>

#include <algorithm>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::TestDatabase;

struct DeepCheckTest : ::testing::Test {
  void SetUp() override {
    db.options.background = false;
    db.open();
    ids = db.make_accounts();
    auto table = db.table(ids);
    const auto locker = db.system().make_locker(1);
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    for (int i = 0; i < 2000; ++i) {
      const Row row(i, i * 2, i % 50 == 0 ? std::string(9000, 'x') : std::to_string(i));
      RowId id;
      ASSERT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, &id); }).ok());
      rows.push_back(id);
    }
    ASSERT_TRUE(db.commit(*txn).ok());
    while (db.system().collect_garbage() > 0) {}
    ASSERT_EQ(db.system().check(), std::vector<std::string>{});
    tree = table.format().indexes[0].tree;
  }
  SystemParts& parts() { return db.system().parts(); }
  std::string check() {
    std::string all;
    for (const auto& f : db.system().check()) all += f + "; ";
    return all;
  }
  /// The entry of the n-th key of the index.
  std::pair<Bytes, RowId> entry(std::size_t n) {
    storage::IndexCursor cursor(*tree, {}, false, true);
    storage::IndexBatch batch;
    for (std::size_t seen = 0;;) {
      EXPECT_TRUE(storage::run_blocking([&] { return cursor.next(&batch); }));
      if (batch.entries.empty()) return {};
      for (const auto& e : batch.entries) {
        const ByteSpan key = batch.key(e);
        if (seen++ == n) return {Bytes(key.begin(), key.end()), e.rowid};
      }
    }
  }
  TestDatabase db{1};
  AccountIds ids;
  std::vector<RowId> rows;
  std::shared_ptr<storage::IndexTree> tree;
};

TEST_F(DeepCheckTest, RowWithoutEntry) {
  const auto [key, row] = entry(700);
  ASSERT_TRUE(storage::run_blocking([&] { return tree->remove(key, row); }));
  EXPECT_NE(check().find(fmt::format("row {} has no entry", row.raw())), std::string::npos) << check();
}

TEST_F(DeepCheckTest, EntryWithoutRow) {
  const Bytes key = entry(700).first;
  ASSERT_TRUE(storage::run_blocking([&] { return tree->insert(key, RowId{999'999}); }));
  EXPECT_NE(check().find("an entry of row 999999 is not that of the row"), std::string::npos) << check();
}

TEST_F(DeepCheckTest, EntryOfAnotherKey) {
  const auto [key, row] = entry(700);
  const Bytes other = entry(701).first;
  ASSERT_TRUE(storage::run_blocking([&] { return tree->remove(key, row); }));
  ASSERT_TRUE(storage::run_blocking([&] { return tree->insert(other, row); }));
  const std::string found = check();
  EXPECT_NE(found.find(fmt::format("row {} has no entry", row.raw())), std::string::npos) << found;
  EXPECT_NE(found.find("have the same key"), std::string::npos) << found;
}

TEST_F(DeepCheckTest, LostPage) {
  {
    const storage::Action action(parts().gate());
    ASSERT_TRUE(parts().buffer().alloc(storage::PageKind::kOverflow, ids.table.raw()));
  }
  EXPECT_NE(check().find("1 page in use that nothing refers to"), std::string::npos) << check();
}

TEST_F(DeepCheckTest, ChainWithTwoOwners) {
  // The first long value's reference in the second one's place.
  const auto state = parts().tree_state(ids.table);
  const auto format = state->format();
  std::vector<std::pair<RowId, storage::OverflowRef>> chains;
  {
    const auto pin = parts().epochs().pin();
    const storage::Action action(parts().gate());
    storage::ExclusiveGuard leaf;
    ASSERT_TRUE(storage::run_blocking([&] { return state->tree->fix_leaf(RowId{1}, &leaf); }));
    ASSERT_TRUE(leaf.mark_dirty());
    storage::LeafPage page(leaf.mutable_bytes(), format->rows);
    std::vector<storage::ColumnNumber> columns;
    for (std::uint32_t slot = 0; slot < page.rows() && chains.size() < 2; ++slot) {
      std::vector<Cell> row(format->phys.size());
      ASSERT_TRUE(page.row(slot, row));
      for (std::size_t c = 0; c < row.size(); ++c) {
        if (row[c].kind != CellKind::kOverflow) continue;
        chains.push_back({page.rowid(slot), row[c].overflow_ref()});
        columns = {static_cast<storage::ColumnNumber>(c)};
      }
    }
    ASSERT_EQ(chains.size(), 2u);
    const Cell cell = Cell::overflow(chains[0].second);
    page.update(page.find(chains[1].first), columns, std::span(&cell, 1));
  }
  const std::string found = check();
  EXPECT_NE(found.find(fmt::format("page {} belongs to", chains[0].second.first.raw())), std::string::npos)
      << found;
  EXPECT_NE(found.find("in use that nothing refers to"), std::string::npos) << found;
}

}  // namespace
}  // namespace rustbd::txn
