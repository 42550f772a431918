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

// One database at a time: a simulated executor takes over the thread while it lives.
struct Hashes {
  std::uint64_t empty = 0, two_rows = 0, three_rows = 0;
  bool operator==(const Hashes&) const = default;
};

Hashes hashes_of(std::uint64_t seed, bool disturb) {
  testing::TestDatabase db(seed);
  db.open();
  const auto ids = db.make_accounts();
  Hashes h;
  h.empty = testing::state_hash(db.system());
  insert(db, ids, 1, 10, "a");
  if (disturb) db.system().checkpoint_blocking();
  insert(db, ids, 2, 20, std::string(9000, 'x'));
  if (disturb) {
    db.crash();
    db.open();
  }
  h.two_rows = testing::state_hash(db.system());
  insert(db, ids, 3, 30, "b");
  h.three_rows = testing::state_hash(db.system());
  return h;
}

TEST(StateHash, TellsContentsApartAndNothingElse) {
  const Hashes plain = hashes_of(1, false);
  EXPECT_EQ(plain, hashes_of(2, true)) << "neither checkpoint nor recovery changes what is there";
  EXPECT_NE(plain.empty, plain.two_rows);
  EXPECT_NE(plain.two_rows, plain.three_rows);
}

TEST(StateHash, LeavesOutWhatIsNotCommitted) {
  testing::TestDatabase db(3);
  db.open();
  const auto ids = db.make_accounts();
  const std::uint64_t before = testing::state_hash(db.system());
  insert(db, ids, 1, 10, "never committed", false);
  EXPECT_EQ(testing::state_hash(db.system()), before);
}

}  // namespace
}  // namespace rustbd::txn
