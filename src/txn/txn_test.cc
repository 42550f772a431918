#include <gtest/gtest.h>

#include "rustbd/storage/pages/page.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::Seen;
using testing::TestDatabase;

/// A session of a test: a locker and at most one transaction.
struct Session {
  Session(TestDatabase& db, std::int32_t pid) : database(db), locker(db.system().make_locker(pid)) {}
  ~Session() {
    if (txn && !txn->finished()) database.abort(*txn);
    txn.reset();
  }
  Transaction& begin(Isolation isolation = Isolation::kReadCommitted) {
    txn = database.system().begin(*locker, {.isolation = isolation});
    txn->begin_statement();
    return *txn;
  }
  void commit() { ASSERT_TRUE(database.commit(*txn).ok()); }
  void abort() { database.abort(*txn); }
  TestDatabase& database;
  std::unique_ptr<Locker> locker;
  std::unique_ptr<Transaction> txn;
};

struct TxnTest : ::testing::Test {
  void SetUp() override {
    db.options.background = false;
    db.open();
    ids = db.make_accounts();
    table.emplace(db.table(ids));
  }
  void TearDown() override { table.reset(); }
  Outcome insert(Transaction& txn, std::int64_t id, std::int64_t value, RowId* row = nullptr,
                 std::optional<std::string> note = {}) {
    const Row r(id, value, std::move(note));
    return table->insert(txn, r.ref(), {}, row);
  }
  Outcome set_value(Transaction& txn, RowId row, std::int64_t value, std::uint64_t accept = 0) {
    const Row r(0, value, {});
    static constexpr ColumnNumber kValue[1] = {1};
    return table->update(txn, row, kValue, r.ref(1), {}, accept);
  }
  Outcome set_id(Transaction& txn, RowId row, std::int64_t id, std::uint64_t accept = 0) {
    const Row r(id, 0, {});
    static constexpr ColumnNumber kId[1] = {0};
    return table->update(txn, row, kId, r.ref(), {}, accept);
  }
  Outcome lock(Transaction& txn, RowId row, RowLockMode mode, std::uint64_t accept = 0) {
    return table->lock_row(txn, row, mode, WaitPolicy::kWait, accept);
  }
  std::vector<std::int64_t> values(const ReadView& view) {
    std::vector<std::int64_t> out;
    for (const auto& s : TestDatabase::scan(*table, view)) out.push_back(*s.value);
    return out;
  }
  TestDatabase db{1};
  AccountIds ids;
  std::optional<Table> table;
};

TEST_F(TxnTest, InsertScanCommit) {
  Session a(db, 1), b(db, 2);
  Transaction& t = a.begin();
  RowId row;
  ASSERT_TRUE(insert(t, 1, 10, &row, "a long note that does not fit inline").ok());
  EXPECT_EQ(values(t.view()), std::vector<std::int64_t>{});  // its own command does not see it
  t.begin_statement();
  EXPECT_EQ(values(t.view()), std::vector<std::int64_t>{10});
  EXPECT_EQ(values(b.begin().view()), std::vector<std::int64_t>{});
  a.commit();
  EXPECT_EQ(values(b.txn->view()), std::vector<std::int64_t>{});
  b.txn->begin_statement();
  EXPECT_EQ(values(b.txn->view()), std::vector<std::int64_t>{10});
  const auto seen = TestDatabase::scan(*table, b.txn->view());
  EXPECT_EQ(seen[0].note, "a long note that does not fit inline");
  EXPECT_EQ(seen[0].row, row.raw());
}

TEST_F(TxnTest, AReaderEndsWithoutATask) {
  Session reader(db, 1), writer(db, 2);
  Transaction& r = reader.begin();
  ASSERT_TRUE(r.lock_table(ids.relation, testing::kDatabase, TableLockMode::kAccessShare).ok());
  EXPECT_TRUE(r.try_commit());
  EXPECT_TRUE(r.finished());
  Transaction& w = writer.begin();
  EXPECT_TRUE(
      w.lock_table(ids.relation, testing::kDatabase, TableLockMode::kAccessExclusive, WaitPolicy::kNoWait)
          .ok())
      << "the reader's lock is given back";
  ASSERT_TRUE(insert(w, 1, 10).ok());
  EXPECT_FALSE(w.try_commit()) << "it has something to make durable";
  EXPECT_FALSE(w.finished());
  writer.commit();
}

TEST_F(TxnTest, SurvivesRestart) {
  {
    Session a(db, 1);
    Transaction& t = a.begin();
    for (int i = 0; i < 3000; ++i)
      ASSERT_TRUE(run([&] { return insert(t, i, i * 2, nullptr, std::to_string(i)); }).ok());
    a.commit();
  }
  table.reset();
  db.crash();
  db.open();
  EXPECT_FALSE(db.system().created());
  table.emplace(db.table(ids));
  {
    Session a(db, 1);
    EXPECT_EQ(values(a.begin().view()).size(), 3000u);
    EXPECT_EQ(db.system().check(), std::vector<std::string>{});
    ASSERT_TRUE(insert(*a.txn, 5000, 1).ok());
    EXPECT_EQ(insert(*a.txn, 17, 1).status, Status::kDuplicate);
    a.commit();
  }
  table.reset();
  db.close();
  db.open();
  table.emplace(db.table(ids));
  Session a(db, 1);
  EXPECT_EQ(values(a.begin().view()).size(), 3001u);
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

TEST_F(TxnTest, AbortTakesEverythingBack) {
  Session a(db, 1);
  RowId row, other;
  Transaction* t = &a.begin();
  ASSERT_TRUE(insert(*t, 1, 10, &row).ok());
  ASSERT_TRUE(insert(*t, 2, 20, &other).ok());
  a.commit();
  t = &a.begin();
  ASSERT_TRUE(set_value(*t, row, 11).ok());
  ASSERT_TRUE(table->remove(*t, other, {}).ok());
  ASSERT_TRUE(insert(*t, 3, 30).ok());
  t->begin_statement();
  EXPECT_EQ(values(t->view()), (std::vector<std::int64_t>{11, 30}));
  a.abort();
  EXPECT_EQ(values(a.begin().view()), (std::vector<std::int64_t>{10, 20}));
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

TEST_F(TxnTest, ConflictsByIsolation) {
  Session a(db, 1), b(db, 2), c(db, 3);
  RowId row;
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 1, 10, &row).ok());
  a.commit();
  a.begin();
  b.begin();
  c.begin(Isolation::kRepeatableRead);
  ASSERT_TRUE(set_value(*a.txn, row, 11).ok());
  Outcome waiting = set_value(*b.txn, row, 12);
  ASSERT_TRUE(waiting.blocked());
  EXPECT_FALSE(waiting.token.fired());
  Outcome waiting_c = set_value(*c.txn, row, 13);
  ASSERT_TRUE(waiting_c.blocked());
  a.commit();
  EXPECT_TRUE(waiting.token.fired());
  EXPECT_EQ(set_value(*b.txn, row, 12).status, Status::kConflict);
  types::ChunkBuffer out;
  std::uint64_t version = 0;
  ASSERT_TRUE(table->fetch_newest(*b.txn, row, testing::kAllColumns, out, &version).ok());
  EXPECT_EQ(testing::read_row(out.chunk(), 0).value, 11);
  ASSERT_TRUE(set_value(*b.txn, row, 12, version).ok());
  EXPECT_FALSE(waiting_c.token.fired());  // the next writer has the row now
  b.commit();
  EXPECT_TRUE(waiting_c.token.fired());
  EXPECT_EQ(set_value(*c.txn, row, 13).status, Status::kSerialization);
}

// Views of a READ COMMITTED transaction that portals go on with, and what collection may take meanwhile.
TEST_F(TxnTest, AViewThatIsHeldOutlivesItsStatement) {
  Session reader(db, 1), writer(db, 2);
  RowId rows[3];
  Transaction& first = writer.begin();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(insert(first, i, i, &rows[i]).ok());
  writer.commit();
  const auto horizon = [&] {
    while (db.system().collect_garbage() != 0) {}
    return db.system().parts().horizon.load();
  };
  const auto change = [&](int row, std::int64_t value) {
    Transaction& txn = writer.begin();
    ASSERT_TRUE(run([&] { return set_value(txn, rows[row], value); }).ok());
    writer.commit();
  };

  Transaction& txn = reader.begin();
  const ReadView a = txn.view();
  HeldSnapshot held_a = txn.hold(a), again = txn.hold(a);
  txn.end_statement();
  change(0, 100);
  EXPECT_EQ(horizon(), a.snapshot);
  EXPECT_EQ(values(a), (std::vector<std::int64_t>{0, 1, 2}));
  txn.begin_statement();
  const ReadView b = txn.view();
  HeldSnapshot held_b = txn.hold(b);
  change(1, 200);
  txn.begin_statement();  // the one that holds its view need not end before
  EXPECT_EQ(values(txn.view()), (std::vector<std::int64_t>{100, 200, 2}));
  const ReadView c = txn.view();
  HeldSnapshot held_c = txn.hold(c);
  txn.end_statement();
  change(2, 300);
  EXPECT_EQ(horizon(), a.snapshot);
  EXPECT_EQ(values(a), (std::vector<std::int64_t>{0, 1, 2}));
  held_a.reset();
  EXPECT_EQ(horizon(), a.snapshot);
  again = HeldSnapshot{};
  EXPECT_EQ(horizon(), b.snapshot);
  EXPECT_EQ(values(b), (std::vector<std::int64_t>{100, 1, 2}));
  held_c.reset();
  EXPECT_EQ(horizon(), b.snapshot);
  held_b.reset();
  EXPECT_GT(horizon(), c.snapshot);
}

TEST_F(TxnTest, AResumedStatementLocksRowsAsItsViewSeesThem) {
  Session reader(db, 1), writer(db, 2);
  RowId row;
  ASSERT_TRUE(insert(writer.begin(), 1, 10, &row).ok());
  writer.commit();
  Transaction& txn = reader.begin();
  HeldSnapshot held = txn.hold(txn.view());
  txn.end_statement();
  Transaction& other = writer.begin();
  ASSERT_TRUE(run([&] { return set_value(other, row, 20); }).ok());
  writer.commit();
  txn.begin_statement();
  const ReadView now = txn.view();
  const auto lock = [&] {
    return run([&] { return table->lock_row(txn, row, RowLockMode::kUpdate, WaitPolicy::kWait); });
  };
  {
    const ResumedStatement resumed(held);
    EXPECT_LT(txn.view().snapshot, now.snapshot);
    EXPECT_LT(txn.command(), now.command);
    EXPECT_EQ(lock().status, Status::kConflict);
  }
  {
    const ResumedStatement none{HeldSnapshot{}};
    EXPECT_EQ(txn.view().snapshot, now.snapshot);
  }
  EXPECT_EQ(txn.command(), now.command);
  EXPECT_TRUE(lock().ok());
  ASSERT_TRUE(run([&] { return set_value(txn, row, 30); }).ok());
  EXPECT_TRUE(lock().ok());
  {
    const ResumedStatement resumed(held);
    EXPECT_EQ(lock().status, Status::kSelfModified);
  }
  held.reset();
}

// It cannot be read; the reader's statement fails, and nothing else does.
TEST_F(TxnTest, ALeafOfALaterSchemaIsAnErrorOfItsReader) {
  Session session(db, 1);
  RowId row;
  ASSERT_TRUE(insert(session.begin(), 1, 10, &row).ok());
  session.commit();
  auto layout = *db.system().layout_of(testing::kDatabase, ids.relation);
  ++layout.schema_version;
  layout.columns.push_back(layout.columns[2]);
  layout.columns[3].since_version = layout.columns[3].bitmap_since = layout.schema_version;
  Transaction& alter = session.begin();
  ASSERT_TRUE(run([&] { return db.system().alter_table(alter, layout); }).ok());
  session.commit();
  Table after = db.table(ids);
  const Row changed(0, 20, {});
  static constexpr ColumnNumber kValue[1] = {1};
  Transaction& update = session.begin();
  ASSERT_TRUE(run([&] { return after.update(update, row, kValue, changed.ref(1), {}); }).ok());
  session.commit();

  Transaction& txn = session.begin();
  types::ChunkBuffer out;
  TableScan scan(*table, txn.view(), testing::kAllColumns);
  const Outcome scanned = run([&] { return scan.next(out); });
  EXPECT_EQ(scanned.status, Status::kDamaged);
  EXPECT_EQ(scanned.owner, ids.table.raw());
  IndexScan by_id(*table, ids.by_id, txn.view(), KeyRange::all(), ScanDirection::kForward,
                  testing::kAllColumns);
  EXPECT_EQ(run([&] { return by_id.next(out); }).status, Status::kDamaged);
  EXPECT_EQ(TestDatabase::scan(after, txn.view()).size(), 1u);
}

TEST_F(TxnTest, KeyShareSeesWhatARunningUpdateStandsOn) {
  Session a(db, 1), b(db, 2), writer(db, 3), repeatable(db, 4);
  RowId row;
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 1, 10, &row).ok());
  a.commit();
  b.begin();
  repeatable.begin(Isolation::kRepeatableRead);
  a.begin();
  ASSERT_TRUE(set_value(*a.txn, row, 11).ok());
  a.commit();
  writer.begin();
  ASSERT_TRUE(set_value(*writer.txn, row, 12).ok());
  EXPECT_EQ(lock(*b.txn, row, RowLockMode::kKeyShare).status, Status::kConflict);
  EXPECT_TRUE(lock(*repeatable.txn, row, RowLockMode::kKeyShare).ok()) << "the key is still the snapshot's";
  EXPECT_TRUE(lock(*repeatable.txn, row, RowLockMode::kShare).blocked());
  types::ChunkBuffer out;
  std::uint64_t version = 0;
  ASSERT_TRUE(table->fetch_newest(*b.txn, row, testing::kAllColumns, out, &version).ok());
  EXPECT_EQ(testing::read_row(out.chunk(), 0).value, 11);
  EXPECT_TRUE(lock(*b.txn, row, RowLockMode::kKeyShare, version).ok());
  repeatable.abort();
  b.abort();
  writer.abort();
  // A key that another transaction has changed meanwhile.
  b.begin();
  repeatable.begin(Isolation::kRepeatableRead);
  a.begin();
  ASSERT_TRUE(set_id(*a.txn, row, 2).ok());
  a.commit();
  EXPECT_EQ(lock(*repeatable.txn, row, RowLockMode::kKeyShare).status, Status::kSerialization);
  writer.begin();
  ASSERT_TRUE(set_value(*writer.txn, row, 13).ok());
  EXPECT_EQ(lock(*b.txn, row, RowLockMode::kKeyShare, version).status, Status::kConflict);
  EXPECT_EQ(lock(*repeatable.txn, row, RowLockMode::kKeyShare).status, Status::kSerialization);
  repeatable.abort();
  b.abort();
  writer.abort();
}

TEST_F(TxnTest, AnOwnUpdateIsLockedMoreThanItsChangeLocksIt) {
  Session a(db, 1), b(db, 2);
  RowId row;
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 1, 10, &row).ok());
  a.commit();
  a.begin();
  ASSERT_TRUE(set_value(*a.txn, row, 11).ok());
  b.begin();
  ASSERT_TRUE(lock(*b.txn, row, RowLockMode::kKeyShare).ok()) << "the key is left alone";
  EXPECT_TRUE(lock(*a.txn, row, RowLockMode::kNoKeyUpdate).ok());
  Outcome waiting = lock(*a.txn, row, RowLockMode::kUpdate);
  ASSERT_TRUE(waiting.blocked()) << "somebody holds the key";
  b.commit();
  EXPECT_TRUE(waiting.token.fired());
  ASSERT_TRUE(lock(*a.txn, row, RowLockMode::kUpdate).ok());
  b.begin();
  waiting = lock(*b.txn, row, RowLockMode::kKeyShare);
  ASSERT_TRUE(waiting.blocked());
  a.txn->begin_statement();
  ASSERT_TRUE(set_id(*a.txn, row, 2).ok()) << "the own lock is in nobody's way";
  EXPECT_TRUE(lock(*a.txn, row, RowLockMode::kUpdate).ok());
  a.commit();
  EXPECT_TRUE(waiting.token.fired());
  EXPECT_EQ(lock(*b.txn, row, RowLockMode::kKeyShare).status, Status::kConflict);
  b.abort();
}

TEST_F(TxnTest, DeadlockOfRows) {
  Session a(db, 1), b(db, 2);
  RowId first, second;
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 1, 10, &first).ok());
  ASSERT_TRUE(insert(*a.txn, 2, 20, &second).ok());
  a.commit();
  a.begin();
  b.begin();
  ASSERT_TRUE(set_value(*a.txn, first, 1).ok());
  ASSERT_TRUE(set_value(*b.txn, second, 2).ok());
  ASSERT_TRUE(set_value(*a.txn, second, 3).blocked());
  EXPECT_EQ(set_value(*b.txn, first, 4).status, Status::kDeadlock);
  EXPECT_NE(b.locker->deadlock_detail().find("Process 2 waits for ShareLock on transaction"),
            std::string::npos)
      << b.locker->deadlock_detail();
  b.abort();
  ASSERT_TRUE(set_value(*a.txn, second, 3).ok());
  a.commit();
}

TEST_F(TxnTest, UniqueKeys) {
  Session a(db, 1), b(db, 2);
  RowId row;
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 1, 10, &row).ok());
  b.begin();
  Outcome waiting = insert(*b.txn, 1, 11);
  ASSERT_TRUE(waiting.blocked());
  a.commit();
  ASSERT_TRUE(waiting.token.fired());
  Outcome duplicate = insert(*b.txn, 1, 11);
  EXPECT_EQ(duplicate.status, Status::kDuplicate);
  EXPECT_EQ(duplicate.row, row);
  EXPECT_EQ(duplicate.row_state, ConflictState::kCommitted);
  EXPECT_EQ(duplicate.index, ids.by_id);
  b.abort();
  // At REPEATABLE READ it tells what the snapshot does not show.
  b.begin(Isolation::kRepeatableRead);
  EXPECT_EQ(insert(*b.txn, 1, 11).row_state, ConflictState::kCommitted);
  a.begin();
  ASSERT_TRUE(insert(*a.txn, 2, 20).ok());
  a.commit();
  EXPECT_EQ(insert(*b.txn, 2, 21).status, Status::kDuplicate);
  EXPECT_EQ(insert(*b.txn, 2, 21).row_state, ConflictState::kUnseen);
  b.abort();
  // A key that its deleter has not committed: wait; after the commit it is free.
  a.begin();
  ASSERT_TRUE(table->remove(*a.txn, row, {}).ok());
  b.begin();
  ASSERT_TRUE(insert(*b.txn, 1, 12).blocked());
  a.commit();
  ASSERT_TRUE(insert(*b.txn, 1, 12).ok());
  EXPECT_EQ(insert(*b.txn, 1, 13).row_state, ConflictState::kOwnCommand);
  b.txn->begin_statement();
  EXPECT_EQ(insert(*b.txn, 1, 13).row_state, ConflictState::kOwnEarlier);
  b.commit();
  db.system().collect_garbage();
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

TEST_F(TxnTest, IndexScanSeesVisibleKeysInOrder) {
  Session a(db, 1), b(db, 2);
  std::vector<RowId> rows(100);
  a.begin();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(insert(*a.txn, i, (i * 37) % 100, &rows[i]).ok());
  a.commit();
  b.begin(Isolation::kRepeatableRead);
  a.begin();
  for (int i = 0; i < 100; i += 2) ASSERT_TRUE(set_value(*a.txn, rows[i], 1000 + i).ok());
  a.commit();
  const auto old_rows = TestDatabase::index_scan(*table, ids.by_value, b.txn->view(), KeyRange::all());
  ASSERT_EQ(old_rows.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(old_rows[i].value, i);
  a.begin();
  KeyRange range;
  range.lower = TestDatabase::key(*table, ids.by_value, 1000);
  range.has_lower = true;
  range.lower_inclusive = false;
  auto backward =
      TestDatabase::index_scan(*table, ids.by_value, a.txn->view(), range, ScanDirection::kBackward);
  ASSERT_EQ(backward.size(), 49u);
  EXPECT_EQ(backward.front().value, 1098);
  EXPECT_EQ(backward.back().value, 1002);
  b.commit();
  db.system().collect_garbage();
  EXPECT_EQ(db.system().statistics().versions, 0u);
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
  EXPECT_EQ(TestDatabase::index_scan(*table, ids.by_value, a.txn->view(), KeyRange::all()).size(), 100u);
}

/// An index scan copies entries, then waits for a row's page; meanwhile the entry's version is taken back, or
/// collected.
TEST(IndexScanTest, EntriesThatGoDuringAWaitAreNotTrusted) {
  TestDatabase db(1, std::uint64_t{40} * storage::kFrameBytes);
  db.options.background = false;
  db.open();
  const AccountIds ids = db.make_accounts();
  Table table = db.table(ids);
  constexpr int kRows = 4000;
  std::vector<RowId> rows(kRows);
  {
    Session a(db, 1);
    a.begin();
    for (int i = 0; i < kRows; ++i) {
      const Row r(i, i, std::string(300, 'n'));
      ASSERT_TRUE(run([&] { return table.insert(*a.txn, r.ref(), {}, &rows[i]); }).ok());
    }
    a.commit();
  }
  int waits = 0;
  for (const bool commits : {false, true}) {
    for (int wait = 1; wait <= 6;
         ++wait) {  // the wait in which it happens: the first ones may be for the index's pages
      Session a(db, 1), b(db, 2);
      const RowId row = rows[100 * wait];
      const Row value(0, 100 * wait + kRows, {});
      static constexpr ColumnNumber kValue[1] = {1};
      a.begin();
      ASSERT_TRUE(run([&] { return table.update(*a.txn, row, kValue, value.ref(1), {}); }).ok());
      if (commits) a.commit();
      const std::int64_t gone = commits ? 100 * wait : 100 * wait + kRows;
      b.begin();
      ASSERT_EQ(TestDatabase::scan(table, b.txn->view()).size(),
                std::size_t{kRows});  // pushes the row's page out
      IndexScan scan(table, ids.by_value, b.txn->view(),
                     KeyRange::equal(TestDatabase::key(table, ids.by_value, gone)), ScanDirection::kForward,
                     testing::kAllColumns);
      types::ChunkBuffer out;
      Outcome o;
      for (int n = 1; (o = scan.next(out)).blocked(); ++n) {
        if (n == wait) {
          ++waits;
          if (commits) db.system().collect_garbage();
          else a.abort();
        }
        o.token.wait_blocking();
      }
      EXPECT_EQ(o.status, Status::kEnd) << (commits ? "collected" : "aborted") << " during wait " << wait;
    }
  }
  EXPECT_GE(waits, 4);
  EXPECT_EQ(db.system().check(), std::vector<std::string>{});
}

/// What a session gives back meanwhile moves nobody's savepoint.
TEST_F(TxnTest, ARollbackToASavepointReleasesWhatCameAfterIt) {
  Session a(db, 1), b(db, 2);
  LockTable& locks = db.system().locks();
  const LockKey first = LockKey::advisory(testing::kDatabase, 1),
                second = LockKey::advisory(testing::kDatabase, 2);
  ASSERT_TRUE(locks.lock_advisory(*a.locker, first, AdvisoryMode::kExclusive, WaitPolicy::kWait, true).ok());
  a.begin();
  const Savepoint savepoint = a.txn->savepoint();
  ASSERT_TRUE(a.txn->lock_advisory(second, AdvisoryMode::kExclusive, WaitPolicy::kWait).ok());
  ASSERT_TRUE(locks.unlock_advisory(*a.locker, first, AdvisoryMode::kExclusive));
  db.rollback_to(*a.txn, savepoint);
  b.begin();
  EXPECT_TRUE(b.txn->lock_advisory(second, AdvisoryMode::kExclusive, WaitPolicy::kNoWait).ok());
}

/// The index that a running ALTER TABLE has dropped comes back with its abort: entries of versions that were
/// collected in between, or that a checkpoint saw in between, must not come back with it.
TEST_F(TxnTest, IndexOfAnAbortedDropHasNoStaleEntries) {
  for (const bool crashes : {false, true}) {
    std::optional<Session> a(std::in_place, db, 1), b(std::in_place, db, 2);
    std::vector<RowId> rows(20);
    a->begin();
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(insert(*a->txn, i, i, &rows[i]).ok());
    a->commit();
    a->begin();
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(set_value(*a->txn, rows[i], 100 + i).ok());
    a->commit();
    b->begin();
    auto layout = *table->shared_layout();
    std::erase_if(layout.indexes, [&](const auto& index) { return index.id == ids.by_value; });
    ASSERT_TRUE(run([&] { return db.system().alter_table(*b->txn, layout); }).ok());
    Table changed(db.system(), db.system().layout_for(*b->txn, testing::kDatabase, ids.relation));
    b->txn->begin_statement();
    const Row old_key(0, 7, {});
    static constexpr ColumnNumber kValue[1] = {1};
    ASSERT_TRUE(run([&] { return changed.update(*b->txn, rows[7], kValue, old_key.ref(1), {}); }).ok());
    if (crashes) {
      db.system().checkpoint_blocking();
      b->txn->abandon();
      a.reset();
      b.reset();
      table.reset();
      db.crash();
      db.open();
      table.emplace(db.table(ids));
    } else {
      EXPECT_GT(db.system().collect_garbage(), 0u);
      b->abort();
    }
    EXPECT_EQ(db.system().check(), std::vector<std::string>{}) << (crashes ? "crash" : "collection");
    Session c(db, 3);
    c.begin();
    const auto by_value = TestDatabase::index_scan(*table, ids.by_value, c.txn->view(), KeyRange::all());
    ASSERT_EQ(by_value.size(), 20u);
    EXPECT_EQ(by_value[7].value, 107);
    for (const RowId row : rows) ASSERT_TRUE(run([&] { return table->remove(*c.txn, row, {}); }).ok());
    c.commit();
    db.system().collect_garbage();
  }
}

/// Versions are collected while an index is being built over them.
TEST(BuildIndexTest, CollectionMeanwhileLeavesNoStaleEntries) {
  TestDatabase db(1, std::uint64_t{40} * storage::kFrameBytes);
  db.options.background = false;
  db.open();
  const AccountIds ids = db.make_accounts(false);
  constexpr int kRows = 4000;
  std::vector<RowId> rows(kRows);
  {
    Table table = db.table(ids);
    Session a(db, 1);
    a.begin();
    for (int i = 0; i < kRows; ++i) {
      const Row r(i, i, std::string(300, 'n'));
      ASSERT_TRUE(run([&] { return table.insert(*a.txn, r.ref(), {}, &rows[i]); }).ok());
    }
    a.commit();
  }
  int collected = 0;
  for (int when = 1; when <= 10; ++when) {
    Session a(db, 1), b(db, 2);
    Table table = db.table(ids);
    a.begin();
    static constexpr ColumnNumber kValue[1] = {1};
    const Row value(0, 10'000 + when, {});
    ASSERT_TRUE(run([&] { return table.update(*a.txn, rows[when], kValue, value.ref(1), {}); }).ok());
    a.commit();
    b.begin();
    auto layout = *table.shared_layout();
    storage::IndexLayout index;
    index.id = db.system().new_index_id();
    index.parts.push_back({1, types::KeyPart{layout.columns[1].type, false, false}});
    layout.indexes.push_back(index);
    ASSERT_TRUE(run([&] { return db.system().alter_table(*b.txn, layout); }).ok());
    b.txn->begin_statement();
    Table changed(db.system(), db.system().layout_for(*b.txn, testing::kDatabase, ids.relation));
    std::optional<Outcome> built;
    db.executor().workers().post([&] {
      detach(
          [](Task<Outcome> task, std::optional<Outcome>* out) -> Task<> {
            *out = co_await std::move(task);
          }(build_index(changed, index.id, *b.txn), &built),
          [] {});
    });
    for (int step = 0; !built && db.executor().step(); ++step)
      if (step == when * 3) collected += db.system().collect_garbage() > 0 ? 1 : 0;
    ASSERT_TRUE(built && built->ok());
    b.commit();
    db.system().collect_garbage();
    EXPECT_EQ(db.system().check(), std::vector<std::string>{}) << "collected at step " << when * 3;
    // The index goes again.
    b.begin();
    layout.indexes.pop_back();
    ASSERT_TRUE(run([&] { return db.system().alter_table(*b.txn, layout); }).ok());
    b.commit();
  }
  EXPECT_GE(collected, 5);
}

TEST_F(TxnTest, Savepoints) {
  std::optional<Session> session(std::in_place, db, 1);
  Session& a = *session;
  RowId row;
  Transaction& t = a.begin();
  ASSERT_TRUE(insert(t, 1, 10, &row).ok());
  t.begin_statement();
  const Savepoint sp = t.savepoint();
  ASSERT_TRUE(set_value(t, row, 11).ok());
  ASSERT_TRUE(insert(t, 2, 20).ok());
  db.rollback_to(t, sp);
  t.begin_statement();
  EXPECT_EQ(values(t.view()), std::vector<std::int64_t>{10});
  ASSERT_TRUE(insert(t, 2, 21).ok());
  a.commit();
  session.reset();
  table.reset();
  db.crash();
  db.open();
  table.emplace(db.table(ids));
  Session b(db, 2);
  EXPECT_EQ(values(b.begin().view()), (std::vector<std::int64_t>{10, 21}));
}

/// Takes an advisory lock or one of the table, as soon as it can, and reads as a statement outside a block.
Task<> read_alone(TestDatabase& db, Oid relation, bool advisory, Transaction& txn, std::uint64_t* durable) {
  for (;;) {
    const Outcome taken = advisory
                              ? txn.lock_advisory(LockKey::advisory(testing::kDatabase, 1),
                                                  AdvisoryMode::kExclusive, WaitPolicy::kWait)
                              : txn.lock_table(relation, testing::kDatabase, TableLockMode::kAccessShare);
    if (taken.ok()) break;
    RUSTBD_ASSERT(taken.blocked());
    co_await taken.token;
  }
  *durable = db.system().durable_timestamp().raw();
  txn.begin_statement();
}

/// Locks go before the commit is durable.
TEST_F(TxnTest, ASingleReadSeesTheCommitThatLetItIn) {
  Session a(db, 1), b(db, 2);
  int before_flush = 0;
  for (const bool advisory : {false, true}) {
    SCOPED_TRACE(advisory);
    Transaction& writer = a.begin();
    if (advisory) {
      const LockKey key = LockKey::advisory(testing::kDatabase, 1);
      ASSERT_TRUE(writer.lock_advisory(key, AdvisoryMode::kExclusive, WaitPolicy::kWait).ok());
    } else {
      ASSERT_TRUE(writer.lock_table(ids.relation, testing::kDatabase, TableLockMode::kAccessExclusive).ok());
    }
    ASSERT_TRUE(insert(writer, advisory ? 2 : 1, advisory ? 20 : 10).ok());
    b.txn = db.system().begin(*b.locker, {.single_read = true});
    std::uint64_t durable = 0;
    bool done = false;
    db.executor().workers().post(
        [&] { detach(read_alone(db, ids.relation, advisory, *b.txn, &durable), [&] { done = true; }); });
    db.executor().run_for(std::chrono::milliseconds(1));
    ASSERT_FALSE(done) << "it waits for the lock";
    a.commit();
    db.executor().run_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(done);
    EXPECT_EQ(values(b.txn->view()).size(), advisory ? 2u : 1u);
    EXPECT_GE(b.txn->hold_lsn(), writer.commit_lsn()) << "it is told when that is durable";
    before_flush += durable < writer.commit_timestamp().raw();
    ASSERT_TRUE(db.commit(*b.txn).ok());
  }
  EXPECT_GT(before_flush, 0) << "else this shows nothing";
}

/// Everybody sees a commit that was acknowledged, and shows it when it is durable.
TEST_F(TxnTest, ASingleReadSeesACommitThatDidNotWaitForItsFlush) {
  Session a(db, 1), b(db, 2);
  ASSERT_TRUE(insert(a.begin(), 1, 10).ok());
  ASSERT_TRUE(db.commit(*a.txn, CommitMode::kAsync).ok());
  b.txn = db.system().begin(*b.locker, {.single_read = true});
  b.txn->begin_statement();
  ASSERT_LT(db.system().durable_timestamp(), a.txn->commit_timestamp()) << "else this shows nothing";
  EXPECT_EQ(values(b.txn->view()), std::vector<std::int64_t>{10});
  EXPECT_GE(b.txn->hold_lsn(), a.txn->commit_lsn());
}

/// I8: that a write went through, or failed, tells of the commit that it met.
TEST(Transactions, AWriteHoldsItsAnswerUntilTheCommitThatItMetIsDurable) {
  TestDatabase db(41);
  db.open();
  const AccountIds ids = db.make_accounts();
  Table table = db.table(ids);
  const auto locker = db.system().make_locker(1), other = db.system().make_locker(2);
  const auto writer = db.system().begin(*locker);
  writer->begin_statement();
  const Row row(1, 1, "x");
  RowId id;
  ASSERT_TRUE(run([&] { return table.insert(*writer, row.ref(), {}, &id); }).ok());
  ASSERT_TRUE(db.commit(*writer, CommitMode::kAsync).ok());
  for (const bool duplicate : {true, false}) {
    const auto txn = db.system().begin(*other);
    txn->begin_statement();
    if (duplicate) {
      RowId second;
      EXPECT_EQ(run([&] { return table.insert(*txn, row.ref(), {}, &second); }).status, Status::kDuplicate);
    } else {
      EXPECT_TRUE(run([&] { return table.remove(*txn, id, {}); }).ok());
    }
    EXPECT_EQ(txn->max_seen(), writer->commit_timestamp());
    EXPECT_FALSE(txn->hold_lsn().is_none());
    db.abort(*txn);
  }
}

}  // namespace
}  // namespace rustbd::txn
