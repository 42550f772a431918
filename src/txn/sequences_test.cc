// Sequences while the log has no room for them.
#include <gtest/gtest.h>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

TEST(Sequences, WaitForRoomInTheLogAndGoOn) {
  testing::TestDatabase db{5};
  db.open();
  TransactionSystem& system = db.system();
  SystemParts& parts = system.parts();
  const TableId sequence = system.new_table_id();
  const TransactionSystem::SequenceDefinition definition{.start = 7};
  std::int64_t value = 0;

  std::vector<log::Reservation> all;
  for (;;) {
    log::Reservation some;
    const auto room = parts.log->reserve(4096, &some);
    if (room.status == log::ReserveStatus::kWait) break;
    ASSERT_EQ(room.status, log::ReserveStatus::kReserved);
    all.push_back(std::move(some));
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
