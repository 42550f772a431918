// Prepared transactions: decided by another session, kept over crashes, checkpoints and restarts.
#include <gtest/gtest.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/log_decoder.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/testing/test_database.h"

namespace rustbd::txn {
namespace {

using testing::AccountIds;
using testing::Row;
using testing::run;
using testing::Seen;
using testing::TestDatabase;

constexpr TwoPhaseUser kUser{10, testing::kDatabase, false};
constexpr ColumnNumber kValue[1] = {1};

/// How a decision or a PREPARE ended: the status, or the SQLSTATE of what was thrown.
struct Ended {
  Status status = Status::kOk;
  std::string state;
};
Task<Ended> ended(Task<Outcome> task) {
  try {
    const Outcome outcome = co_await std::move(task);
    co_return Ended{outcome.status, {}};
  } catch (const Error& e) {
    co_return Ended{Status::kOk, std::string(e.state.text())};
  }
}

struct TwoPhase : ::testing::Test {
  void SetUp() override {
    db.options.background = false;
    db.open();
    ids = db.make_accounts();
    table.emplace(db.table(ids));
    locker = db.system().make_locker(1);
  }
  void TearDown() override {
    if (other != nullptr && !other->finished()) db.abort(*other);
    other.reset();
    other_locker.reset();
    locker.reset();
    table.reset();
  }
  std::unique_ptr<Transaction> begin() {
    auto txn = db.system().begin(*locker);
    txn->begin_statement();
    return txn;
  }
  /// Another session's.
  Transaction& begin_other() {
    if (other_locker == nullptr) other_locker = db.system().make_locker(2);
    other = db.system().begin(*other_locker);
    other->begin_statement();
    return *other;
  }
  Outcome insert(Transaction& txn, std::int64_t id, std::int64_t value, RowId* row = nullptr,
                 std::optional<std::string> note = {}) {
    const Row r(id, value, std::move(note));
    return run([&] { return table->insert(txn, r.ref(), {}, row); });
  }
  Outcome try_set(Transaction& txn, RowId row, std::int64_t value) {
    const Row r(0, value, {});
    return table->update(txn, row, kValue, r.ref(1), {}, 0);
  }
  void set(Transaction& txn, RowId row, std::int64_t value) {
    ASSERT_TRUE(run([&] { return try_set(txn, row, value); }).ok());
    txn.next_command();
  }
  std::string prepare(std::unique_ptr<Transaction>& txn, const std::string& gid, TwoPhaseUser user = kUser) {
    return testing::run_task(db.executor(), ended(db.system().prepare(txn, gid, user))).state;
  }
  std::string commit(const std::string& gid, TwoPhaseUser user = kUser) {
    return testing::run_task(db.executor(), ended(db.system().commit_prepared(gid, user))).state;
  }
  std::string rollback(const std::string& gid, TwoPhaseUser user = kUser) {
    return testing::run_task(db.executor(), ended(db.system().rollback_prepared(gid, user))).state;
  }
  enum class How { kCrash, kClose };
  void restart(How how = How::kCrash) {
    if (other != nullptr && !other->finished()) other->abandon();
    other.reset();
    other_locker.reset();
    locker.reset();
    table.reset();
    if (how == How::kCrash) db.crash();
    else db.close();
    db.open();
    table.emplace(db.table(ids));
    locker = db.system().make_locker(1);
  }
  /// Values that a new snapshot sees, by both ways.
  std::vector<std::int64_t> values() {
    const auto reader = db.system().make_locker(3);
    const auto txn = db.system().begin(*reader);
    txn->begin_statement();
    std::vector<std::int64_t> out;
    for (const auto& s : TestDatabase::scan(*table, txn->view())) out.push_back(*s.value);
    EXPECT_EQ(TestDatabase::index_scan(*table, ids.by_id, txn->view(), KeyRange::all()).size(), out.size());
    EXPECT_EQ(db.system().check(), std::vector<std::string>{});
    return out;
  }
  /// Two committed rows; a prepared transaction `gid` that inserts one, changes one, deletes one and locks
  /// one.
  void prepare_some(const std::string& gid) {
    auto txn = begin();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(insert(*txn, i, 10 + i, &rows[i]).ok());
    ASSERT_TRUE(db.commit(*txn).ok());
    txn = begin();
    ASSERT_TRUE(txn->lock_table(ids.relation, testing::kDatabase, TableLockMode::kRowExclusive).ok());
    ASSERT_TRUE(txn->lock_advisory(LockKey::advisory(testing::kDatabase, -7), AdvisoryMode::kExclusive,
                                   WaitPolicy::kNoWait)
                    .ok());
    ASSERT_TRUE(insert(*txn, 4, 14, &rows[4], std::string(9000, 'n')).ok());
    set(*txn, rows[1], 111);
    ASSERT_TRUE(run([&] { return table->remove(*txn, rows[2], {}); }).ok());
    ASSERT_TRUE(table->lock_row(*txn, rows[3], RowLockMode::kShare, WaitPolicy::kNoWait).ok());
    ASSERT_EQ(prepare(txn, gid), "");
    EXPECT_EQ(txn, nullptr);
  }
  /// Invisible, and nobody else may do what is against it (P8).
  void expect_pending() {
    EXPECT_EQ(values(), (std::vector<std::int64_t>{10, 11, 12, 13}));
    Transaction& t = begin_other();
    const auto blocked = [&](RowId row) {
      const bool waits = try_set(t, row, 1).blocked();
      db.system().locks().end_wait(*other_locker);
      return waits;
    };
    EXPECT_TRUE(blocked(rows[1])) << "changed";
    EXPECT_TRUE(blocked(rows[2])) << "deleted";
    EXPECT_TRUE(blocked(rows[3])) << "locked";
    const Row same(4, 1, {});
    EXPECT_TRUE(table->insert(t, same.ref(), {}, nullptr).blocked()) << "its key";
    db.system().locks().end_wait(*other_locker);
    EXPECT_EQ(
        t.lock_table(ids.relation, testing::kDatabase, TableLockMode::kAccessExclusive, WaitPolicy::kNoWait)
            .status,
        Status::kLockNotAvailable);
    EXPECT_EQ(
        t.lock_advisory(LockKey::advisory(testing::kDatabase, -7), AdvisoryMode::kShared, WaitPolicy::kNoWait)
            .status,
        Status::kLockNotAvailable);
    EXPECT_TRUE(run([&] { return try_set(t, rows[0], 10); }).ok()) << "another row";
    db.abort(t);
  }
  void expect_free() {
    Transaction& t = begin_other();
    EXPECT_TRUE(try_set(t, rows[1], 1).ok());
    EXPECT_TRUE(try_set(t, rows[3], 1).ok());
    EXPECT_TRUE(
        t.lock_table(ids.relation, testing::kDatabase, TableLockMode::kAccessExclusive, WaitPolicy::kNoWait)
            .ok());
    EXPECT_TRUE(t.lock_advisory(LockKey::advisory(testing::kDatabase, -7), AdvisoryMode::kExclusive,
                                WaitPolicy::kNoWait)
                    .ok());
    db.abort(t);
  }
  const std::vector<std::int64_t> committed{10, 111, 13, 14}, rolled_back{10, 11, 12, 13};

  TestDatabase db{1};
  AccountIds ids;
  std::optional<Table> table;
  std::unique_ptr<Locker> locker, other_locker;
  std::unique_ptr<Transaction> other;
  RowId rows[5];
};

TEST_F(TwoPhase, AnotherSessionDecides) {
  prepare_some("a");
  const auto list = db.system().prepared_transactions();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].gid, "a");
  EXPECT_EQ(list[0].owner, kUser.role);
  EXPECT_EQ(list[0].database, kUser.database);
  EXPECT_EQ(db.system().locks().position(*locker), 0u) << "the session holds nothing any more";
  expect_pending();
  EXPECT_EQ(commit("a"), "");
  EXPECT_EQ(values(), committed);
  EXPECT_TRUE(db.system().prepared_transactions().empty());
  expect_free();
  restart();
  EXPECT_EQ(values(), committed);
}

TEST_F(TwoPhase, RollsBack) {
  prepare_some("a");
  EXPECT_EQ(rollback("a"), "");
  EXPECT_EQ(values(), rolled_back);
  expect_free();
  restart();
  EXPECT_EQ(values(), rolled_back);
  EXPECT_TRUE(db.system().prepared_transactions().empty());
}

TEST_F(TwoPhase, WaitersGoOnAfterTheDecision) {
  prepare_some("a");
  Transaction& t = begin_other();
  Outcome waiting = try_set(t, rows[1], 5);
  ASSERT_TRUE(waiting.blocked());
  EXPECT_FALSE(waiting.token.fired());
  EXPECT_EQ(rollback("a"), "");
  EXPECT_TRUE(waiting.token.fired());
  EXPECT_TRUE(try_set(t, rows[1], 5).ok());
}

/// Who waited when it was prepared waits for its decision, whatever the session does meanwhile.
TEST_F(TwoPhase, WaitersOfBeforeStayThrough) {
  auto txn = begin();
  ASSERT_TRUE(insert(*txn, 1, 1, &rows[0]).ok());
  ASSERT_TRUE(db.commit(*txn).ok());
  txn = begin();
  set(*txn, rows[0], 2);
  Transaction& t = begin_other();
  Outcome waiting = try_set(t, rows[0], 3);
  ASSERT_TRUE(waiting.blocked());
  ASSERT_EQ(prepare(txn, "a"), "");
  locker.reset();
  EXPECT_FALSE(waiting.token.fired());
  EXPECT_EQ(db.system().locks().blockers_of(2), std::vector<std::int32_t>{0});
  EXPECT_EQ(rollback("a"), "");
  EXPECT_TRUE(waiting.token.fired());
  EXPECT_TRUE(try_set(t, rows[0], 3).ok());
}

TEST_F(TwoPhase, SurvivesCrashes) {
  prepare_some("a");
  for (int i = 0; i < 3; ++i) {
    restart();
    const auto list = db.system().prepared_transactions();
    ASSERT_EQ(list.size(), 1u);
    EXPECT_EQ(list[0].owner, kUser.role);
    expect_pending();
  }
  EXPECT_EQ(commit("a"), "");
  EXPECT_EQ(values(), committed);
  expect_free();
  restart();
  EXPECT_EQ(values(), committed);
}

TEST_F(TwoPhase, RollsBackAfterACrash) {
  prepare_some("a");
  restart();
  EXPECT_EQ(rollback("a"), "");
  EXPECT_EQ(values(), rolled_back);
  expect_free();
  restart();
  EXPECT_EQ(values(), rolled_back);
}

/// Its undo is in the pages' snapshot, its PREPARE in the log that is kept, however many checkpoints come.
TEST_F(TwoPhase, SurvivesCheckpoints) {
  prepare_some("a");
  for (int round = 0; round < 2; ++round) {
    db.system().checkpoint_blocking();
    db.system().checkpoint_blocking();
    // So much log that its segment would be used again.
    for (int i = 0; i < 40; ++i) {
      auto txn = begin();
      ASSERT_TRUE(insert(*txn, 1000 + round * 100 + i, 0, nullptr, std::string(60000, 'x')).ok());
      ASSERT_TRUE(run([&] {
                    return txn->log_message("m", as_bytes(std::string_view(std::string(50000, 'y'))));
                  }).ok());
      ASSERT_TRUE(db.commit(*txn).ok());
      if (i % 10 == 0) db.system().checkpoint_blocking();
    }
    auto txn = begin();
    for (const auto& s : TestDatabase::scan(*table, txn->view())) {
      if (s.id < 1000) continue;
      ASSERT_TRUE(run([&] { return table->remove(*txn, RowId{s.row}, {}); }).ok());
    }
    ASSERT_TRUE(db.commit(*txn).ok());
    restart(round == 0 ? How::kCrash : How::kClose);
    expect_pending();
  }
  EXPECT_EQ(commit("a"), "");
  db.system().checkpoint_blocking();
  restart();
  EXPECT_EQ(values(), committed);
}

TEST_F(TwoPhase, DecidedAfterTheCheckpointThatSavedIt) {
  prepare_some("a");
  db.system().checkpoint_blocking();
  EXPECT_EQ(commit("a"), "");
  restart();
  EXPECT_EQ(values(), committed);
  EXPECT_TRUE(db.system().prepared_transactions().empty());
}

/// The decision's place in the log is that of its changes: what others did in between keeps its order.
TEST_F(TwoPhase, CommitsAtTheDecision) {
  prepare_some("a");
  auto txn = begin();
  set(*txn, rows[0], 100);
  ASSERT_TRUE(db.commit(*txn).ok());
  const auto before = db.system().last_timestamp();
  EXPECT_EQ(commit("a"), "");
  EXPECT_EQ(db.system().last_timestamp().raw(), before.raw() + 1);
  txn = begin();
  set(*txn, rows[1], 200);
  ASSERT_TRUE(insert(*txn, 2, 300).ok()) << "the key of the deleted row";
  ASSERT_TRUE(db.commit(*txn).ok());
  const std::vector<std::int64_t> all{100, 200, 13, 14, 300};
  EXPECT_EQ(values(), all);
  restart();
  EXPECT_EQ(values(), all);
}

/// More events and locks than a batch holds, with a savepoint that takes back a part of a fragment.
TEST_F(TwoPhase, LargeOnes) {
  db.options.log_fragment_bytes = 2000;
  db.options.undo_spill_bytes = 4096;
  restart();
  auto txn = begin();
  std::vector<RowId> many(600);
  for (int i = 0; i < 600; ++i) ASSERT_TRUE(insert(*txn, i, i, &many[static_cast<std::size_t>(i)]).ok());
  ASSERT_TRUE(db.commit(*txn).ok());
  txn = begin();
  for (int i = 0; i < 300; ++i) set(*txn, many[static_cast<std::size_t>(i)], 5000 + i);
  const Savepoint savepoint = txn->savepoint();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(insert(*txn, 10000 + i, 0).ok());
  db.rollback_to(*txn, savepoint);
  txn->next_command();
  for (std::size_t i = 300; i < 600; ++i)
    ASSERT_TRUE(table->lock_row(*txn, many[i], RowLockMode::kUpdate, WaitPolicy::kNoWait).ok());
  ASSERT_EQ(prepare(txn, "large"), "");
  for (int round = 0; round < 2; ++round) {
    if (round == 1) db.system().checkpoint_blocking();
    restart();
    EXPECT_EQ(values().at(0), 0);
    Transaction& t = begin_other();
    EXPECT_TRUE(try_set(t, many[299], 1).blocked());
    db.system().locks().end_wait(*other_locker);
    EXPECT_TRUE(try_set(t, many[599], 1).blocked());
    db.system().locks().end_wait(*other_locker);
    db.abort(t);
  }
  EXPECT_EQ(commit("large"), "");
  restart();
  const auto now = values();
  ASSERT_EQ(now.size(), 600u);
  EXPECT_EQ(now[0], 5000);
  EXPECT_EQ(now[299], 5299);
  EXPECT_EQ(now[300], 300);
}

/// Its fragments fill more segments than a reader keeps open: replay finds the end of the log all the same.
TEST_F(TwoPhase, DecisionFarBehindItsFragments) {
  auto txn = begin();
  for (int i = 0; i < 130; ++i) ASSERT_TRUE(insert(*txn, i, i, nullptr, std::string(50000, 'f')).ok());
  ASSERT_EQ(prepare(txn, "far"), "");
  db.system().checkpoint_blocking();
  EXPECT_EQ(commit("far"), "");
  restart();
  EXPECT_EQ(values().size(), 130u);
}

TEST_F(TwoPhase, SeveralAndWithoutChanges) {
  auto txn = begin();
  ASSERT_EQ(prepare(txn, ""), "") << "any text is a name";
  txn = begin();
  ASSERT_TRUE(insert(*txn, 1, 1).ok());
  ASSERT_EQ(prepare(txn, "b"), "");
  txn = begin();
  ASSERT_TRUE(insert(*txn, 2, 2).ok());
  ASSERT_EQ(prepare(txn, "c"), "");
  restart();
  EXPECT_EQ(db.system().prepared_transactions().size(), 3u);
  EXPECT_EQ(rollback("b"), "");
  EXPECT_EQ(commit(""), "");
  restart();
  EXPECT_EQ(commit("c"), "");
  EXPECT_EQ(values(), std::vector<std::int64_t>{2});
  txn = begin();
  ASSERT_EQ(prepare(txn, "c"), "") << "the name is free again";
  EXPECT_EQ(rollback("c"), "");
}

TEST_F(TwoPhase, Errors) {
  db.options.prepared_transactions_max = 2;
  restart();
  EXPECT_EQ(commit("a"), "42704");
  EXPECT_EQ(rollback("a"), "42704");
  auto txn = begin();
  ASSERT_TRUE(insert(*txn, 1, 1).ok());
  EXPECT_EQ(prepare(txn, std::string(200, 'x')), "22023");
  ASSERT_NE(txn, nullptr) << "it is the caller's to roll back";
  EXPECT_EQ(prepare(txn, "a"), "");
  txn = begin();
  EXPECT_EQ(prepare(txn, "a"), "42710");
  EXPECT_EQ(prepare(txn, std::string(199, 'x')), "");
  txn = begin();
  EXPECT_EQ(prepare(txn, "c"), "53400");
  db.abort(*txn);
  EXPECT_EQ(commit("a", {11, kUser.database, false}), "42501");
  EXPECT_EQ(rollback("a", {11, kUser.database, false}), "42501");
  EXPECT_EQ(commit("a", {10, 6, false}), "0A000") << "of another database";
  EXPECT_EQ(rollback("a", {11, kUser.database, true}), "") << "a superuser may";
  txn = begin();
  ASSERT_TRUE(txn->lock_advisory(LockKey::advisory(5, 1), AdvisoryMode::kShared, WaitPolicy::kNoWait).ok());
  ASSERT_TRUE(
      db.system()
          .locks()
          .lock_advisory(*locker, LockKey::advisory(5, 1), AdvisoryMode::kShared, WaitPolicy::kNoWait, true)
          .ok());
  EXPECT_EQ(prepare(txn, "mixed"), "0A000");
  db.abort(*txn);
  txn = begin();
  ASSERT_TRUE(run([&] { return db.system().drop_table(*txn, testing::kDatabase, ids.relation); }).ok());
  EXPECT_EQ(prepare(txn, "ddl"), "0A000");
  db.abort(*txn);
  db.options.prepared_transactions_max = 0;
  restart();
  txn = begin();
  EXPECT_EQ(prepare(txn, "off"), "55000");
  db.abort(*txn);
  EXPECT_EQ(db.system().prepared_transactions().size(), 1u) << "those from before stay";
}

/// Power fails at each operation of the disk in turn, from PREPARE to the decision, with a checkpoint
/// between.
TEST_F(TwoPhase, PowerCutAtEveryOperation) {
  for (const bool commits : {true, false}) {
    for (std::uint64_t cut = 1;; ++cut) {
      TestDatabase fresh{7 + cut};
      fresh.options.background = false;
      fresh.open();
      const AccountIds at = fresh.make_accounts();
      RowId row;
      bool prepared = false, decided = false, crashed = false;
      {
        const auto session = fresh.system().make_locker(1);
        Table accounts = fresh.table(at);
        const Row old(1, 1, {}), changed(0, 2, {});
        auto txn = fresh.system().begin(*session);
        txn->begin_statement();
        ASSERT_TRUE(run([&] { return accounts.insert(*txn, old.ref(), {}, &row); }).ok());
        ASSERT_TRUE(fresh.commit(*txn).ok());
        fresh.disk().crash_at(cut);
        txn = fresh.system().begin(*session);
        txn->begin_statement();
        const Outcome wrote = run([&] { return accounts.update(*txn, row, kValue, changed.ref(1), {}, 0); });
        const auto alive = [&] { return !fresh.disk().crashed() && !fresh.fatal; };
        if (wrote.ok() && alive()) {
          const Ended e = testing::run_task(fresh.executor(), ended(fresh.system().prepare(txn, "a", kUser)));
          prepared = e.status == Status::kOk && e.state.empty() && alive();
        }
        if (prepared) {
          try {
            fresh.system().checkpoint_blocking();
          } catch (const Error&) {  // of the power cut
          }
        }
        if (prepared && alive()) {
          const Ended e = testing::run_task(fresh.executor(),
                                            ended(commits ? fresh.system().commit_prepared("a", kUser)
                                                          : fresh.system().rollback_prepared("a", kUser)));
          decided = e.status == Status::kOk && e.state.empty() && alive();
        }
        crashed = fresh.disk().crashed();
        if (txn != nullptr && !txn->finished()) txn->abandon();
      }
      fresh.crash();
      fresh.open();
      Table accounts = fresh.table(at);
      const auto list = fresh.system().prepared_transactions();
      const auto reader = fresh.system().make_locker(2);
      const auto view = fresh.system().begin(*reader);
      view->begin_statement();
      const auto seen = TestDatabase::scan(accounts, view->view());
      ASSERT_EQ(seen.size(), 1u);
      EXPECT_EQ(fresh.system().check(), std::vector<std::string>{}) << "cut " << cut;
      if (decided) {
        EXPECT_TRUE(list.empty()) << "cut " << cut;
        EXPECT_EQ(seen[0].value, commits ? 2 : 1) << "cut " << cut;
      } else if (prepared && !list.empty()) {
        EXPECT_EQ(seen[0].value, 1) << "cut " << cut;
        EXPECT_TRUE(accounts.update(*view, row, kValue, Row(0, 3, {}).ref(1), {}, 0).blocked());
        fresh.system().locks().end_wait(*reader);
      } else if (prepared) {
        EXPECT_EQ(seen[0].value, commits ? 2 : 1) << "the decision was in the log, cut " << cut;
      } else {
        EXPECT_EQ(seen[0].value, 1) << "cut " << cut;
      }
      fresh.abort(*view);
      if (!crashed) break;  // it came to its end before the cut
      ASSERT_LT(cut, 500u);
    }
  }
}

TEST_F(TwoPhase, TheLogSaysIt) {
  prepare_some("a b");
  EXPECT_EQ(commit("a b"), "");
  log::LogReader reader(db.disk(), "wal", db.system().parts().log->geometry());
  reader.seek(db.system().parts().log->geometry().first_batch(0));
  reader.set_limit(db.system().durable_lsn());
  LogDecoder decoder(&db.system());
  std::vector<std::string> said;
  while (reader.next() == log::ReadOutcome::kBatch) {
    const auto kind = reader.batch().header.kind;
    if (kind != log::BatchKind::kPrepare && kind != log::BatchKind::kCommitPrepared) continue;
    std::string line{to_text(kind)};
    ASSERT_TRUE(reader.for_each_event(reader.batch(), [&](const log::Event& event) {
      const DecodedEvent decoded = decoder.decode(event);
      line += fmt::format("|{} {}", decoded.op, decoded.text);
    }));
    said.push_back(line);
  }
  EXPECT_EQ(
      said,
      (std::vector<std::string>{
          fmt::format("PREPARE|INSERT |UPDATE |DELETE |LOCK RowExclusiveLock on relation {} of database 5|"
                      "LOCK exclusive advisory lock -7 of class 1 in database 5|LOCK FOR SHARE|"
                      "GID 'a b' of role 10 in database 5",
                      ids.relation),
          "COMMIT_PREPARED|GID 'a b' of role 10 in database 5"}));
}

}  // namespace
}  // namespace rustbd::txn
