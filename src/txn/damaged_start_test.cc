// Starts on a directory that is damaged where nothing has a second copy: refused with XX001 and what to do.
#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

class DamagedStart : public ::testing::Test {
 protected:
  void SetUp() override {
    db.open();
    db.make_accounts();
    db.system().create_log_consumer("replica");
    db.close();
  }
  void expect_refused(std::string_view message, std::string_view hint) {
    try {
      db.open();
      FAIL() << "it was opened";
    } catch (const Error& e) {
      EXPECT_EQ(e.state, sqlstate::kDataCorrupted);
      EXPECT_NE(e.message.find(message), std::string::npos) << e.message;
      EXPECT_NE(e.hint.find(hint), std::string::npos) << e.hint;
    }
  }
  testing::TestDatabase db{1};
};

// A directory that looks new must not be made one: the log says that there was a database.
TEST_F(DamagedStart, ASuperblockOfZerosBesideALogIsNoNewDatabase) {
  const std::vector<std::byte> zeros(storage::kSuperblockBytes);
  for (const std::uint64_t slot : storage::kSuperblockOffsets)
    db.disk().overwrite_at_rest(storage::kDataFileName, slot, zeros);
  expect_refused("holds no copy of the superblock", "backup");
}

TEST_F(DamagedStart, AMissingDataFileBesideALogIsNoNewDatabase) {
  ASSERT_TRUE(db.disk().remove(storage::kDataFileName));
  expect_refused("holds no copy of the superblock", "backup");
}

TEST_F(DamagedStart, AllCopiesOfTheSuperblockAreBad) {
  for (const std::uint64_t slot : storage::kSuperblockOffsets)
    db.disk().corrupt(storage::kDataFileName, slot + 40, 1);
  expect_refused("all copies of the superblock are damaged", "backup");
}

TEST_F(DamagedStart, TheListOfConsumersIsBad) {
  db.disk().corrupt("wal/consumers", 20, 1);
  expect_refused("the list of log consumers is damaged", "wal/consumers");
}

}  // namespace
}  // namespace rustbd::txn
