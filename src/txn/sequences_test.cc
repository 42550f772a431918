// Sequences while the log has no room for them.
#include <gtest/gtest.h>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

storage::TableLayout sequence_layout(TransactionSystem& system) {
  storage::TableLayout layout;
  layout.table = system.new_table_id();
  layout.relation = system.new_object_id();
  layout.database = testing::kDatabase;
  layout.is_sequence = true;
  return layout;
}

TEST(Sequences, ADroppedOneAndOneThatNeverWasLeaveNoValue) {
  testing::TestDatabase db{6};
  db.open();
  const TransactionSystem::SequenceDefinition definition{.start = 7};
  std::int64_t value = 0;
  const auto next = [&](TableId sequence) {
    return db.system().sequence_advance(nullptr, sequence, definition, 1, &value);
  };
  const auto kept = sequence_layout(db.system()), dropped = sequence_layout(db.system()),
             undone = sequence_layout(db.system());
  const auto in_transaction = [&](auto step, bool commit) {
    const auto locker = db.system().make_locker(1);
    const auto txn = db.system().begin(*locker);
    txn->begin_statement();
    step(*txn);
    if (commit) EXPECT_TRUE(db.commit(*txn).ok());
    else db.abort(*txn);
  };
  const auto create = [&](const storage::TableLayout& layout) {
    return [&](Transaction& txn) {
      EXPECT_TRUE(testing::run([&] { return db.system().create_table(txn, layout); }).ok());
      EXPECT_TRUE(next(layout.table).ok());
    };
  };
  in_transaction(create(kept), true);
  in_transaction(create(dropped), true);
  in_transaction(create(undone), false);
  in_transaction(
      [&](Transaction& txn) {
        EXPECT_TRUE(testing::run([&] {
                      return db.system().drop_table(txn, testing::kDatabase, dropped.relation);
                    }).ok());
      },
      true);
  const auto only_kept = [&] {
    EXPECT_EQ(db.system().parts().sequences.size(), 1u);
    for (const auto& gone : {dropped, undone}) {
      EXPECT_EQ(next(gone.table).status, Status::kGone);
      EXPECT_EQ(db.system().sequence_set(nullptr, gone.table, 3, true).status, Status::kGone);
    }
  };
  only_kept();
  EXPECT_TRUE(next(kept.table).ok());
  EXPECT_EQ(value, 8);
  // One whose creation the crash cuts short.
  const auto cut_short = sequence_layout(db.system());
  in_transaction(
      [&](Transaction& txn) {
        create(cut_short)(txn);
        db.system().checkpoint_blocking();
        EXPECT_TRUE(next(cut_short.table).ok());
      },
      false);
  db.crash();
  db.open();
  only_kept();
  EXPECT_GT(db.system().new_object_id(), cut_short.relation);
  EXPECT_TRUE(next(kept.table).ok());
  EXPECT_GT(value, 8);
}

TEST(Sequences, WaitForRoomInTheLogAndGoOn) {
  testing::TestDatabase db{5};
  db.open();
  TransactionSystem& system = db.system();
  SystemParts& parts = system.parts();
  const auto layout = sequence_layout(system);
  {
    const auto locker = system.make_locker(1);
    const auto txn = system.begin(*locker);
    txn->begin_statement();
    ASSERT_TRUE(testing::run([&] { return system.create_table(*txn, layout); }).ok());
    ASSERT_TRUE(db.commit(*txn).ok());
  }
  const TableId sequence = layout.table;
  const TransactionSystem::SequenceDefinition definition{.start = 7};
  std::int64_t value = 0;

  std::vector<log::Reservation> all;
  for (const std::uint64_t bytes : {4096u, 128u}) {
    for (;;) {
      log::Reservation some;
      const auto room = parts.log->reserve(bytes, &some);
      if (room.status == log::ReserveStatus::kWait) break;
      ASSERT_EQ(room.status, log::ReserveStatus::kReserved);
      all.push_back(std::move(some));
    }
  }
  const Outcome full = system.sequence_advance(nullptr, sequence, definition, 1, &value);
  ASSERT_TRUE(full.blocked());
  EXPECT_FALSE(full.token.fired());
  ASSERT_TRUE(system.sequence_set(nullptr, sequence, 50, true).blocked());
  EXPECT_FALSE(system.sequence_state(sequence).exists) << "nothing happened yet";

  all.clear();
  EXPECT_TRUE(full.token.fired()) << "who waits for room is told of it";
  ASSERT_TRUE(system.sequence_advance(nullptr, sequence, definition, 2, &value).ok());
  EXPECT_EQ(value, 7);
  ASSERT_TRUE(system.sequence_advance(nullptr, sequence, definition, 1, &value).ok());
  EXPECT_EQ(value, 9);
  ASSERT_TRUE(system.sequence_set(nullptr, sequence, 50, true).ok());
  ASSERT_TRUE(system.sequence_advance(nullptr, sequence, definition, 1, &value).ok());
  EXPECT_EQ(value, 51);
}

}  // namespace
}  // namespace rustbd::txn
