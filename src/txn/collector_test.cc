// What collection gives back in a pool far too small for it.
#include <gtest/gtest.h>

#include <algorithm>

#include "rustbd/storage/btree/blink.h"
#include "rustbd/storage/rows/overflow.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::Row;
using testing::run;
using testing::TestDatabase;

TEST(Collector, ATableLargerThanThePoolShrinks) {
  TestDatabase db(11, 64 * storage::kFrameBytes);
  db.options.background = false;
  db.open();
  const auto ids = db.make_accounts();
  auto locker = db.system().make_locker(1);
  std::vector<RowId> rows(4000);
  for (std::size_t i = 0; i < rows.size();) {
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    Table table = db.table(ids);
    for (const std::size_t end = i + 100; i < end; ++i) {
      const Row row(static_cast<std::int64_t>(i), 1, std::string(600, 'n'));
      ASSERT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, &rows[i]); }).ok());
    }
    ASSERT_TRUE(db.commit(*txn).ok());
  }
  const auto report = [&] {
    const auto tree = db.system().parts().tree_state(ids.table);
    return tree->tree->check(tree->format()->rows);
  };
  ASSERT_GT(report().leaf_pages, 128u);
  std::vector<std::size_t> order(rows.size() / 40);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  io::SeededRandom random(3);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  for (const std::size_t part : order) {
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    Table table = db.table(ids);
    for (std::size_t i = part * 40; i < part * 40 + 40; ++i)
      ASSERT_TRUE(run([&] { return table.remove(*txn, rows[i], {}); }).ok());
    ASSERT_TRUE(db.commit(*txn).ok());
    db.system().collect_garbage();
  }
  db.system().collect_garbage();
  EXPECT_EQ(report().dead_pages, 0u);
  EXPECT_LE(report().leaf_pages, 2u);
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

TEST(Collector, WhatIsRolledBackLeavesNoPages) {
  TestDatabase db(13);
  db.options.background = false;
  db.open();
  const auto ids = db.make_accounts();
  auto locker = db.system().make_locker(1);
  const auto pages = [&] {
    const auto tree = db.system().parts().tree_state(ids.table);
    std::uint64_t count = tree->tree->check(tree->format()->rows).leaf_pages;
    for (const auto id : {ids.by_id, ids.by_value})
      count += db.system().parts().index_tree(id)->check().leaf_pages;
    EXPECT_TRUE(db.system().parts().emptied_leaves.empty());
    return count;
  };
  for (int round = 0; round < 3; ++round) {
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    const Savepoint start = txn->savepoint();
    Table table = db.table(ids);
    for (std::int64_t i = 0; i < 3000; ++i) {
      const Row row(i, i * 7 % 1000, std::string(300, 'n'));
      ASSERT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, nullptr); }).ok());
    }
    if (round == 0) EXPECT_GT(pages(), 60u);
    if (round == 1) {
      db.rollback_to(*txn, start);
      ASSERT_TRUE(db.commit(*txn).ok());
    } else {
      db.abort(*txn);
    }
    db.system().collect_garbage();
    EXPECT_LE(pages(), 8u) << round;
  }
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

// Neither a chain that no version needs nor a page of a transaction's own waits for the next start.
TEST(Collector, WhatFindsNoFrameIsFreedLater) {
  TestDatabase db(12, 16 * storage::kFrameBytes);
  db.options.background = false;
  db.open();
  SystemParts& parts = db.system().parts();
  storage::BufferManager& buffer = parts.buffer();
  const std::size_t pending = parts.storage->pending().size();
  const std::string value(40'000, 'v');
  storage::OverflowWrite chain(value, 20000, parts.storage->pending());
  ASSERT_TRUE(storage::run_blocking([&] { return chain.run(buffer); }));
  std::vector<PageId> pages;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(storage::run_blocking([&]() -> storage::Status {
      const storage::Action action(parts.gate());
      const storage::Allocated page = buffer.alloc(storage::PageKind::kTemp, 0);
      if (page) pages.push_back(page.guard.page_id());
      return page ? storage::Status::ok() : storage::to_status(page.status, page.wait);
    }));
  }
  auto* state = new TxnState;
  state->temp_pages.push_back(pages[0]);
  parts.give_up_chain(chain.ref());
  while (buffer.resident(pages[0]) || buffer.resident(chain.ref().first)) buffer.evict(1000);
  {
    std::vector<storage::SharedGuard> held;
    for (std::size_t i = 1; i < pages.size(); ++i) {
      auto fix = buffer.fix_shared(pages[i]);
      if (!fix) break;
      held.push_back(std::move(*fix));
    }
    ASSERT_LT(held.size() + 1, pages.size());
    db.system().collect_garbage();
    EXPECT_EQ(parts.unused_chains.size(), 1u);
    parts.free_state(state);
  }
  db.system().collect_garbage();
  EXPECT_TRUE(parts.unused_chains.empty());
  while (buffer.reclaim_freed(1000) > 0) {}
  EXPECT_EQ(parts.storage->pending().size(), pending);
  EXPECT_EQ(buffer.fix_shared(chain.ref().first).status, storage::FixStatus::kDamaged);
  EXPECT_EQ(buffer.fix_shared(pages[0]).status, storage::FixStatus::kDamaged);
}

}  // namespace
}  // namespace rustbd::txn
