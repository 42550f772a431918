#include "rustbd/txn/testing/state_hash.h"

#include <gtest/gtest.h>

#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::Row;
using testing::run;

void insert(testing::TestDatabase& db, const testing::AccountIds& ids, std::int64_t id, std::int64_t value,
            const std::string& note, bool commit = true) {
  const auto locker = db.system().make_locker(1);
  const auto txn = db.system().begin(*locker);
  txn->begin_statement();
  Table table = db.table(ids);
  const Row row(id, value, note);
  RowId made;
  ASSERT_TRUE(run([&] { return table.insert(*txn, row.ref(), {}, &made); }).ok());
  if (commit) ASSERT_TRUE(db.commit(*txn).ok());
  else db.abort(*txn);
}

TEST(StateHash, TellsContentsApartAndNothingElse) {
  testing::TestDatabase one(1), other(2);
  one.open();
  other.open();
  const auto in_one = one.make_accounts(), in_other = other.make_accounts();
  const std::uint64_t empty = testing::state_hash(one.system());
  EXPECT_EQ(empty, testing::state_hash(other.system()));
  insert(one, in_one, 1, 10, "a");
  insert(one, in_one, 2, 20, std::string(9000, 'x'));
  EXPECT_NE(testing::state_hash(one.system()), empty);
  insert(other, in_other, 1, 10, "a");
  other.system().checkpoint_blocking();
  insert(other, in_other, 2, 20, std::string(9000, 'x'));
  const std::uint64_t both = testing::state_hash(one.system());
  EXPECT_EQ(both, testing::state_hash(other.system()));
  insert(one, in_one, 3, 30, "never committed", false);
  EXPECT_EQ(testing::state_hash(one.system()), both);
  insert(other, in_other, 3, 30, "b");
  EXPECT_NE(testing::state_hash(other.system()), both);
  one.crash();
  one.open();
  EXPECT_EQ(testing::state_hash(one.system()), both);
}

}  // namespace
}  // namespace rustbd::txn
