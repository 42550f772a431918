#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

std::string sqlstate_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return std::string(e.state.text());
  }
  return "none";
}

TEST(LogConsumers, ComeAdvanceAndGoAcrossRestarts) {
  testing::TestDatabase db{3};
  db.options.background = false;
  db.open();
  const Lsn position = db.system().create_log_consumer("standby_1");
  EXPECT_EQ(position, db.system().durable_lsn());
  EXPECT_EQ(sqlstate_of([&] { db.system().create_log_consumer("standby_1"); }), "42710");
  EXPECT_EQ(sqlstate_of([&] { db.system().create_log_consumer(""); }), "42602");
  EXPECT_EQ(sqlstate_of([&] { db.system().create_log_consumer("Standby"); }), "42602");
  EXPECT_EQ(sqlstate_of([&] { db.system().create_log_consumer(std::string(64, 'a')); }), "42602");
  EXPECT_EQ(sqlstate_of([&] { db.system().drop_log_consumer("other"); }), "42704");
  EXPECT_EQ(sqlstate_of([&] { db.system().advance_log_consumer("other", position); }), "42704");
  db.make_accounts();
  db.crash();
  db.open();
  ASSERT_EQ(db.system().log_consumers().size(), 1u);
  EXPECT_EQ(db.system().log_consumers().front().position, position);
  db.system().advance_log_consumer("standby_1", db.system().durable_lsn());
  EXPECT_GT(db.system().log_consumers().front().position, position);
  db.disk().fail_syncs("wal/consumers", 1);
  EXPECT_EQ(sqlstate_of([&] { db.system().drop_log_consumer("standby_1"); }), "58030");
  EXPECT_EQ(db.system().log_consumers().size(), 1u) << "nothing has changed";
  db.system().drop_log_consumer("standby_1");
  db.close();
  db.open();
  EXPECT_TRUE(db.system().log_consumers().empty());
}

}  // namespace
}  // namespace rustbd::txn
