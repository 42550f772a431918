// What needs more than one row or no row at all: unique keys that change places, advisory locks.
#include <fmt/format.h>

#include <algorithm>

#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

namespace {
constexpr std::int64_t kAdvisoryKeys = 4;
}

// --- Deferred unique checks ---

Task<CrashClient::Next> CrashClient::rotate_keys() {
  const Oid relation = pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kRowExclusive, &layout));
  std::vector<std::uint64_t> rows;
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t row = world_.model.some_row(layout->table, world_.random.next_u64());
    if (row != 0 && std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
  }
  if (rows.size() < 2) co_return Next::kSkip;
  // As UPDATE t SET id = ...: each row gets the key of the next one; mostly the last one gets that of the
  // first, else two have the same for good.
  DeferredUnique list;
  std::optional<std::int64_t> passed_on;
  const Change change = [&](Image& image) {
    const std::int64_t before = image.id;
    if (passed_on) image.id = *passed_on;
    const bool any = passed_on.has_value();
    passed_on = before;
    return any ? std::vector<ColumnNumber>{0} : std::vector<ColumnNumber>{};
  };
  for (std::size_t i = rows.size(); i-- > 0;) {
    const Next done = co_await update_row(layout, rows[i], change, &list);
    if (done == Next::kAbort || done == Next::kDead) co_return done;
  }
  if (passed_on && world_.chance(800)) {
    const Next done = co_await update_row(layout, rows.back(), change, &list);
    if (done == Next::kAbort || done == Next::kDead) co_return done;
  }
  if (world_.chance(300)) {  // as a deferred constraint
    auto& later = deferred_[relation].suspects;
    later.insert(later.end(), list.suspects.begin(), list.suspects.end());
    co_return Next::kGo;
  }
  co_return co_await check_deferred(layout, list);
}

Task<CrashClient::Next> CrashClient::check_deferred(const LayoutPtr& layout, const DeferredUnique& list) {
  Table table(*world_.system, layout);
  std::size_t done = 0;
  Outcome o =
      co_await finish("check unique keys", [&] { return table.check_deferred_unique(*txn_, list, &done); });
  if (o.status == Status::kDuplicate && !world_.dead()) {
    ++world_.duplicates;
    co_return Next::kAbort;
  }
  co_return judge(o, "check unique keys");
}

Task<CrashClient::Next> CrashClient::check_all_deferred() {
  for (const auto& [relation, list] : deferred_) {
    txn_->begin_statement();
    const LayoutPtr layout = world_.system->layout_for(*txn_, kCrashDatabase, relation);
    if (layout == nullptr) continue;
    const Next next = co_await check_deferred(layout, list);
    if (next != Next::kGo) co_return next == Next::kSkip ? Next::kAbort : next;
  }
  co_return Next::kGo;
}

// --- Advisory locks ---

Task<CrashClient::Next> CrashClient::lock_advisory() {
  const auto key = static_cast<std::int64_t>(world_.random.below(kAdvisoryKeys));
  const AdvisoryMode mode = world_.chance(500) ? AdvisoryMode::kShared : AdvisoryMode::kExclusive;
  const WaitPolicy policy = world_.chance(300) ? WaitPolicy::kNoWait : WaitPolicy::kWait;
  const bool session = world_.chance(250);
  const LockKey name = LockKey::advisory(kCrashDatabase, key);
  LockTable& locks = world_.system->locks();
  Outcome o = co_await finish("advisory lock", [&] {
    return session ? locks.lock_advisory(*locker_, name, mode, policy, true)
                   : txn_->lock_advisory(name, mode, policy);
  });
  if (policy == WaitPolicy::kNoWait && o.status == Status::kLockNotAvailable) co_return Next::kSkip;
  RUSTBD_GO(judge(o, "advisory lock"));
  for (const AdvisoryHold& other : world_.advisory) {
    if (other.client == number_ || other.key != key) continue;
    if (other.mode == AdvisoryMode::kExclusive || mode == AdvisoryMode::kExclusive)
      world_.problem(fmt::format("clients {} and {} both hold advisory lock {}", number_, other.client, key));
  }
  world_.advisory.push_back({number_, key, mode, session});
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::unlock_advisory() {
  for (auto at = world_.advisory.begin(); at != world_.advisory.end(); ++at) {
    if (at->client != number_ || !at->session) continue;
    const AdvisoryHold hold = *at;
    world_.advisory.erase(at);  // first: somebody may have it before the call is over
    const LockKey name = LockKey::advisory(kCrashDatabase, hold.key);
    if (!world_.system->locks().unlock_advisory(*locker_, name, hold.mode))
      world_.problem(fmt::format("client {}: advisory lock {} was not held", number_, hold.key));
    co_return Next::kGo;
  }
  co_return Next::kSkip;
}

std::size_t CrashClient::advisory_count() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      world_.advisory, [this](const AdvisoryHold& h) { return h.client == number_ && !h.session; }));
}

void CrashClient::forget_advisory(std::size_t kept) {
  std::erase_if(world_.advisory, [&](const AdvisoryHold& h) {
    return h.client == number_ && !h.session && (kept == 0 || kept-- == 0);
  });
}

}  // namespace rustbd::txn::testing
