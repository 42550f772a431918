#include "rustbd/txn/locks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>

#include "rustbd/txn/txn_state.h"

namespace rustbd::txn {
namespace {

constexpr TableId kTable{20000};

TEST(Locks, AReservationThatGoesLetsInWhoWaitedForIt) {
  LockTable locks(nullptr, nullptr);
  Locker first(locks, 1), second(locks, 2), third(locks, 3);
  TxnState writer, other;
  writer.locker = &first;
  other.locker = &third;
  const LockKey row = LockKey::row(kTable, RowId{7});
  // `second` waits for the writer's end and gets the right of way.
  const Outcome waits = locks.wait_row(second, row, RowLockMode::kKeyShare, WaitPolicy::kWait, &writer, 0);
  ASSERT_TRUE(waits.blocked() && !waits.token.fired());
  locks.transaction_ended(writer);
  ASSERT_TRUE(waits.token.fired());
  // `third`, which wrote the row meanwhile (its mode is compatible), wants more of it: it waits for `second`,
  const Outcome more = locks.wait_row(third, row, RowLockMode::kUpdate, WaitPolicy::kWait, nullptr, 0);
  ASSERT_TRUE(more.blocked() && !more.token.fired());
  // which comes back, meets `third` and waits in its turn.
  const Outcome again = locks.wait_row(second, row, RowLockMode::kKeyShare, WaitPolicy::kWait, &other, 0);
  EXPECT_TRUE(again.blocked() && !again.token.fired());
  EXPECT_TRUE(more.token.fired()) << "nobody stands against it any more";
  locks.end_wait(third, &other, row);
  locks.transaction_ended(other);
  EXPECT_TRUE(again.token.fired());
}

/// A transaction publishes its commit before its locks go.
TEST(Locks, WhoTakesALockKnowsUpToWhereItsHolderMayHaveCommitted) {
  std::atomic<std::uint64_t> published{5};
  LockTable locks(nullptr, nullptr, &published);
  Locker first(locks, 1), second(locks, 2);
  const LockKey key = LockKey::advisory(5, 1), row = LockKey::row(kTable, RowId{7});
  const auto take = [&](Locker& who, WaitPolicy policy) {
    return locks.lock_advisory(who, key, AdvisoryMode::kExclusive, policy, true);
  };
  ASSERT_TRUE(locks.lock_table(second, 9, 5, TableLockMode::kRowExclusive, WaitPolicy::kWait).ok());
  EXPECT_EQ(second.after_ts(), 0u) << "one that hides nothing, and costs as little as before";
  ASSERT_TRUE(take(first, WaitPolicy::kWait).ok());
  EXPECT_EQ(take(second, WaitPolicy::kNoWait).status, Status::kLockNotAvailable);
  EXPECT_EQ(second.after_ts(), 0u);
  published = 6;
  locks.unlock_advisory(first, key, AdvisoryMode::kExclusive);
  ASSERT_TRUE(take(second, WaitPolicy::kNoWait).ok());
  EXPECT_EQ(second.after_ts(), 6u);
  const Outcome waits = take(first, WaitPolicy::kWait);
  ASSERT_TRUE(waits.blocked());
  published = 7;
  locks.unlock_advisory(second, key, AdvisoryMode::kExclusive);
  ASSERT_TRUE(waits.token.fired());
  ASSERT_TRUE(take(first, WaitPolicy::kWait).ok());
  EXPECT_EQ(first.after_ts(), 7u);
  published = 8;
  ASSERT_EQ(locks.take_row(first, row, RowLockMode::kUpdate), Status::kOk);
  EXPECT_EQ(first.after_ts(), 8u);
}

/// Sessions that write and lock a few rows and lock two tables, as Table and Transaction do it.
class Players {
 public:
  explicit Players(std::uint32_t seed) : random_(seed) {
    for (std::int32_t i = 0; i < 5; ++i) {
      players_.push_back(std::make_unique<Player>(locks_, i + 1));
      begin(*players_.back());
    }
  }

  void play(int moves) {
    for (int i = 0; i < moves && !::testing::Test::HasFailure(); ++i) {
      Player& p = *players_[random_() % players_.size()];
      if (p.waits && !p.token.fired()) {
        if (random_() % 20 == 0) p.locker.cancel_wait(), end(p);
      } else if (p.waits) {
        go_on(p);
      } else if (random_() % 8 == 0) {
        end(p);
      } else {
        p.kind = static_cast<int>(random_() % 3);
        p.place = random_() % 3;
        p.mode = static_cast<std::uint8_t>(1 + random_() % (p.kind == 2 ? 8 : 4));
        if (p.kind == 0) p.mode = static_cast<std::uint8_t>(3 + random_() % 2);  // a write
        go_on(p);
      }
      check();
    }
    // Everybody comes to an end: of those that wait, none waits for ever.
    for (int rounds = 0; rounds < 1000; ++rounds) {
      bool waiting = false;
      for (auto& p : players_) {
        if (p->waits && !p->token.fired()) waiting = true;
        else end(*p);
      }
      if (!waiting) return;
    }
    ADD_FAILURE() << "somebody waits, and nobody is there to wait for";
  }

 private:
  struct Player {
    Player(LockTable& locks, std::int32_t id) : locker(locks, id) {}
    Locker locker;
    std::unique_ptr<TxnState> state;
    bool waits = false;
    io::WaitToken token;
    int kind = 0;  // 0: write a row, 1: lock a row, 2: lock a table
    std::uint64_t place = 0;
    std::uint8_t mode = 1;
  };
  struct Head {  // the running writer of a row
    TxnState* owner;
    std::uint8_t mode;
  };

  void begin(Player& p) {
    p.state = std::make_unique<TxnState>();
    p.state->locker = &p.locker;
  }

  void end(Player& p) {
    std::erase_if(heads_, [&](const auto& h) { return h.second.owner == p.state.get(); });
    locks_.transaction_ended(*p.state);
    locks_.release_to(p.locker, 0);
    p.waits = false;
    ended_.push_back(std::move(p.state));
    begin(p);
  }

  void go_on(Player& p) {
    p.waits = false;
    for (int tries = 0; tries < 100; ++tries) {
      const Outcome out = attempt(p);
      if (!out.blocked()) {
        if (out.status == Status::kDeadlock) end(p);
        return;
      }
      if (out.token.fired()) continue;
      p.waits = true;
      p.token = out.token;
      return;
    }
    ADD_FAILURE() << "a request goes round in circles";
  }

  Outcome attempt(Player& p) {
    if (p.kind == 2) {
      return locks_.lock_table(p.locker, static_cast<Oid>(30000 + p.place), 5,
                               static_cast<TableLockMode>(p.mode), WaitPolicy::kWait);
    }
    const LockKey row = LockKey::row(kTable, RowId{p.place});
    const auto mode = static_cast<RowLockMode>(p.mode);
    const auto head = heads_.find(p.place);
    if (head != heads_.end() && head->second.owner != p.state.get() &&
        conflicts(static_cast<RowLockMode>(head->second.mode), mode)) {
      return locks_.wait_row(p.locker, row, mode, WaitPolicy::kWait, head->second.owner, 0);
    }
    if (p.kind == 1) {
      if (locks_.take_row(p.locker, row, mode) != Status::kOk)
        return locks_.wait_row(p.locker, row, mode, WaitPolicy::kWait, nullptr, 0);
      locks_.end_wait(p.locker);
      return {};
    }
    if (locks_.row_conflicts(p.locker, row, mode))
      return locks_.wait_row(p.locker, row, mode, WaitPolicy::kWait, nullptr, 0);
    // A weak lock lets a write of a non-key column be: that one's end waits, but both are heads of the row.
    if (head != heads_.end() && head->second.owner != p.state.get()) {
      return locks_.wait_row(p.locker, row, RowLockMode::kUpdate, WaitPolicy::kWait, head->second.owner, 0);
    }
    const std::uint8_t before = head == heads_.end() ? 0 : head->second.mode;
    heads_[p.place] = {p.state.get(), std::max(before, p.mode)};
    locks_.end_wait(p.locker, p.state.get(), row);
    return {};
  }

  void check() {
    for (const auto& p : players_) {
      if (!p->waits || p->token.fired()) continue;
      EXPECT_FALSE(locks_.blockers_of(p->locker.process_id()).empty())
          << "session " << p->locker.process_id() << " waits for nobody";
    }
  }

  std::mt19937 random_;
  LockTable locks_{nullptr, nullptr};
  std::map<std::uint64_t, Head> heads_;
  std::vector<std::unique_ptr<TxnState>> ended_;
  std::vector<std::unique_ptr<Player>> players_;
};

TEST(Locks, WhoeverWaitsWaitsForSomebody) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Players(seed).play(500);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace rustbd::txn
