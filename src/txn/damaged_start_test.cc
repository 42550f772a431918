// Starts on a directory that is damaged where nothing has a second copy: refused with XX001 and what to do.
#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/storage/pages/superblock.h"
#include "rustbd/txn/system_parts.h"
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

// The built-in table of layouts has an index like any other; a bad page of it keeps nobody out.
class BuiltInIndex : public ::testing::Test {
 protected:
  void SetUp() override {
    db.open();
    ids = db.make_accounts();
    db.system().checkpoint_blocking();
  }
  PageId root() { return db.system().parts().index_tree(kLayoutIndex)->root(); }
  /// Everything is found by it, old and new.
  void expect_sound() {
    while (db.system().parts().drop_step()) {}
    EXPECT_EQ(db.system().check(true), std::vector<std::string>{});
    EXPECT_TRUE(db.system().parts().trees_set_aside.empty());
    const auto locker = db.system().make_locker(1);
    for (const Oid relation : {ids.relation, db.make_accounts().relation}) {
      const auto txn = db.system().begin(*locker);
      txn->begin_statement();
      EXPECT_TRUE(until_done_blocking([&] {
                    return db.system().drop_table(*txn, testing::kDatabase, relation);
                  }).ok());
      EXPECT_TRUE(db.commit(*txn).ok());
    }
  }
  testing::TestDatabase db{2};
  testing::AccountIds ids;
};

TEST_F(BuiltInIndex, ADamagedPageIsMadeAnewFromTheRows) {
  const auto extent = db.system().parts().buffer().stored_extent(root());
  db.make_accounts();  // in the log: the start writes to the index
  db.crash();
  db.disk().corrupt(storage::kDataFileName, extent.offset() + 200, 0x40);
  db.open();
  expect_sound();
  db.close();
}

TEST_F(BuiltInIndex, WhatWasSetAsideIsMadeAnewByTheNextStart) {
  ASSERT_TRUE(db.system().parts().set_index_aside(kLayoutIndex, root()));
  db.system().checkpoint_blocking();
  db.crash();
  db.open();
  expect_sound();
  db.close();
}

TEST_F(BuiltInIndex, RepairMakesItAnew) {
  const auto extent = db.system().parts().buffer().stored_extent(root());
  db.close();
  db.disk().corrupt(storage::kDataFileName, extent.offset() + 200, 0x40);
  db.options.repair = true;
  db.open();
  expect_sound();
  db.close();
}

}  // namespace
}  // namespace rustbd::txn
