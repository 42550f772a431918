// What collection gives back in a pool far too small for it.
#include <gtest/gtest.h>

#include <algorithm>

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
  db.close();
}

}  // namespace
}  // namespace rustbd::txn
