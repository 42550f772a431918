// A rollback does not fail: what it lacks it waits for.
#include <gtest/gtest.h>

#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::Row;
using testing::run;
using testing::TestDatabase;

// What it gives back to a row needs a page of its own, and the disk is full.
TEST(Rollback, WaitsForRoomInTheDataFile) {
  TestDatabase db(7);
  db.open();
  const auto ids = db.make_accounts(false);
  auto locker = db.system().make_locker(1), other = db.system().make_locker(2);
  std::int64_t next = 1;
  const auto insert = [&](std::size_t bytes) {
    const auto txn = db.system().begin(*other);
    txn->begin_statement();
    Table table = db.table(ids);
    const Row row(next++, 1, std::string(bytes, 'n'));
    const Outcome o = run([&] { return table.insert(*txn, row.ref(), {}, nullptr); });
    if (o.ok()) EXPECT_TRUE(db.commit(*txn).ok());
    else db.abort(*txn);
    return o.status;
  };
  ASSERT_EQ(insert(3000), Status::kOk);
  auto shorter = db.system().begin(*locker);
  shorter->begin_statement();
  {
    Table table = db.table(ids);
    const Row row(1, 1, "short");
    static constexpr ColumnNumber kNote[] = {2};
    ASSERT_TRUE(run([&] { return table.update(*shorter, RowId{1}, kNote, row.ref(2), {}); }).ok());
  }
  for (int i = 0; i < 20; ++i) ASSERT_EQ(insert(900), Status::kOk);  // others take what the row had
  db.disk().set_faults({.capacity_bytes = db.disk().used_bytes() + (4u << 20)});
  Status status = Status::kOk;
  for (int i = 0; i < 20'000 && status == Status::kOk; ++i) status = insert(900);
  ASSERT_EQ(status, Status::kNoSpace);
  bool room = false;
  db.executor().after(std::chrono::seconds(5)).then(db.executor().workers(), [&] {
    room = true;
    db.disk().set_faults({});
  });
  db.abort(*shorter);
  EXPECT_TRUE(room) << "it did not need the room";
  EXPECT_FALSE(db.fatal);
  {
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    Table table = db.table(ids);
    const auto rows = TestDatabase::scan(table, txn->view());
    EXPECT_EQ(rows.at(0).note, std::string(3000, 'n'));
    EXPECT_TRUE(db.commit(*txn).ok());
  }
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
  shorter.reset();
  locker.reset();
  other.reset();
  db.close();
}

}  // namespace
}  // namespace rustbd::txn
