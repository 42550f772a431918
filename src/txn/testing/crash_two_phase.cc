#include "rustbd/txn/testing/crash_two_phase.h"

#include <fmt/format.h>

#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

namespace {
constexpr TwoPhaseUser kUser{10, kCrashDatabase, false};
constexpr std::size_t kPreparedMax = 4;
}  // namespace

TwoPhaseWatch::TwoPhaseWatch(std::uint64_t seed)
    : random_(seed * 0xD1B54A32D192ED03ull + 5), used_(random_.chance(400)) {}

bool TwoPhaseWatch::wanted(const CrashWorld& world) {
  return world.has(kTwoPhase) && used_ && !world.damage && entries_.size() < kPreparedMax &&
         random_.chance(250);
}

std::string TwoPhaseWatch::begin_prepare(const std::vector<Effect>& effects) {
  const std::string gid = fmt::format("g{}", ++last_);
  entries_[gid].effects = effects;
  return gid;
}

void TwoPhaseWatch::prepared(const std::string& gid, bool acknowledged) {
  entries_.at(gid).acknowledged = acknowledged;
  if (!acknowledged) entries_.erase(gid);
}

std::string TwoPhaseWatch::choose(bool now) {
  if (entries_.empty() || (!now && random_.below(300) != 0)) return {};
  std::vector<std::string> ready;
  for (const auto& [gid, entry] : entries_)
    if (entry.acknowledged && !entry.deciding) ready.push_back(gid);
  if (ready.empty()) return {};
  const std::string gid = ready[random_.below(ready.size())];
  Entry& entry = entries_.at(gid);  // decide() comes a little later; until then nothing has happened to it
  entry.deciding = entry.commits = true;
  return gid;
}

Task<> TwoPhaseWatch::decide(CrashWorld& world, std::string gid) {
  Entry& entry = entries_.at(gid);
  entry.commits = random_.chance(600);
  Outcome outcome;
  std::string failure;
  std::move_only_function<void(CommitTimestamp)> placed = [&](CommitTimestamp ts) {
    entry.commit_ts = ts.raw();
    world.model.apply(ts.raw(), entry.effects);
  };
  try {
    if (entry.commits) {
      outcome = co_await world.system->commit_prepared(gid, kUser, &placed);
    } else {
      outcome = co_await world.system->rollback_prepared(gid, kUser);
    }
  } catch (const Error& e) {
    failure = e.message;
  }
  if (world.dead()) co_return;  // verify() finds out what became of it
  if (!failure.empty()) {
    world.problem(fmt::format("the decision of {}: {}", gid, failure));
  } else if (outcome.ok()) {
    if (entry.commits) {
      ++world.commits;
      world.model.acknowledge(entry.commit_ts);
    } else {
      ++world.aborts;
    }
    entries_.erase(gid);
  } else if (outcome.status == Status::kNoSpace && world.disk_errors) {
    entry.deciding = false;
    ++refused_;
  } else if (!world.disk_errors) {
    world.problem(
        fmt::format("the decision of {} ended with status {}", gid, static_cast<int>(outcome.status)));
  }
}

void TwoPhaseWatch::verify(CrashWorld& world, const std::string& when) {
  std::set<std::string> found;
  for (const auto& t : world.system->prepared_transactions()) {
    found.insert(t.gid);
    if (!entries_.contains(t.gid))
      world.problem(fmt::format("{}: {} is prepared, but decided or never prepared", when, t.gid));
    if (t.owner != kUser.role || t.database != kUser.database)
      world.problem(fmt::format("{}: {} belongs to {} in {}", when, t.gid, t.owner, t.database));
  }
  const std::uint64_t ts = world.system->last_timestamp().raw();
  for (auto at = entries_.begin(); at != entries_.end();) {
    auto& [gid, entry] = *at;
    const bool committed = entry.commit_ts != 0 && entry.commit_ts <= ts;
    const bool there = found.contains(gid);
    if (there && committed) world.problem(fmt::format("{}: {} is prepared and committed", when, gid));
    const bool may_be_gone = !entry.acknowledged || committed || (entry.deciding && !entry.commits);
    if (!there && !may_be_gone) world.problem(fmt::format("{}: {} is not prepared any more", when, gid));
    if (!there) {
      at = entries_.erase(at);
      continue;
    }
    entry.acknowledged = true;
    entry.deciding = false;
    entry.commit_ts = 0;
    verify_locks(world, when, gid, entry);
    ++at;
  }
}

/// P8: nobody else may lock a row that it wrote, or such a row's table.
void TwoPhaseWatch::verify_locks(CrashWorld& world, const std::string& when, const std::string& gid,
                                 const Entry& entry) {
  const auto locker = world.system->make_locker(97);
  const auto txn = world.system->begin(*locker);
  txn->begin_statement();
  for (const Effect& effect : entry.effects) {
    const auto layout = world.system->layout(effect.table);
    if (layout == nullptr) {
      world.problem(fmt::format("{}: table {} of {} is not there", when, effect.table.raw(), gid));
      continue;
    }
    Table table(*world.system, layout);
    const auto row = until_done_blocking(
        [&] { return table.lock_row(*txn, RowId{effect.row}, RowLockMode::kUpdate, WaitPolicy::kNoWait); });
    const auto whole = until_done_blocking([&] {
      return txn->lock_table(layout->relation, kCrashDatabase, TableLockMode::kAccessExclusive,
                             WaitPolicy::kNoWait);
    });
    // A row that it inserted and deleted is nobody else's to lock, but may have a running delete all the
    // same.
    if (row.status != Status::kLockNotAvailable || whole.status != Status::kLockNotAvailable)
      world.problem(fmt::format("{}: row {} of table {} is not locked by {}: {} {}", when, effect.row,
                                effect.table.raw(), gid, static_cast<int>(row.status),
                                static_cast<int>(whole.status)));
  }
}

}  // namespace rustbd::txn::testing
