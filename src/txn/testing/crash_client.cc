#include <fmt/format.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/testing/crash_keys.h"
#include "rustbd/txn/testing/crash_world.h"

namespace rustbd::txn::testing {

namespace {

constexpr std::int64_t kIdRange = 400;

std::string_view to_text(io::WaitReason reason) {
  switch (reason) {
    case io::WaitReason::kPage: return "a page";
    case io::WaitReason::kRowLock: return "a row lock";
    case io::WaitReason::kTableLock: return "a table lock";
    case io::WaitReason::kLogSpace: return "log space";
    case io::WaitReason::kDurability: return "durability";
    case io::WaitReason::kMemory: return "memory";
    case io::WaitReason::kClient: return "a client";
    case io::WaitReason::kTimer: return "a timer";
    case io::WaitReason::kTask: return "a task";
  }
  return "?";
}

}  // namespace

CrashClient::CrashClient(CrashWorld& world, std::int32_t number)
    : world_(world), number_(number), locker_(world.system->make_locker(number)) {
  if (world.has(kTimeouts) && world.chance(300)) locker_->set_lock_timeout(std::chrono::microseconds(2000));
}

// --- Helpers ---

CrashClient::Next CrashClient::judge(const Outcome& outcome, const char* what) {
  if (world_.dead() || world_.stopping) return Next::kDead;
  switch (outcome.status) {
    case Status::kOk: return Next::kGo;
    case Status::kGone:
    case Status::kSelfModified:
    case Status::kConflict:
    case Status::kTooLarge: return Next::kSkip;  // of a small log ring
    case Status::kDuplicate: ++world_.duplicates; return Next::kSkip;
    case Status::kSerialization:
    case Status::kDeadlock:
    case Status::kLockNotAvailable:
    case Status::kNoMemory: return Next::kAbort;
    case Status::kNoSpace:
    case Status::kIoError:
    case Status::kReadOnly:
    case Status::kDamaged:
      if (world_.disk_errors || world_.tolerates(outcome.status)) return Next::kAbort;
      break;
    default: break;
  }
  world_.problem(
      fmt::format("client {}: {} ended with status {}", number_, what, static_cast<int>(outcome.status)));
  return Next::kAbort;
}

std::string CrashClient::describe() const {
  std::string text = fmt::format("client {}: {}", number_, doing_);
  if (waits_for_)
    text += fmt::format(", waits for {}{}", to_text(waits_for_.reason()),
                        waits_for_.fired() ? " (which is there)" : "");
  std::string others;
  for (const auto& process : world_.system->locks().blockers_of(number_))
    others += fmt::format(" {}", process);
  if (!others.empty()) text += fmt::format(", behind client{}", others);
  return text;
}

Oid CrashClient::pick_relation() {
  const auto layouts = world_.model.layouts_at(~std::uint64_t{0});
  std::vector<Oid> usable;
  for (const auto& [oid, layout] : layouts)
    if (oid != world_.bank && !layout->is_sequence) usable.push_back(oid);
  for (const Effect& e : effects_)
    if (e.is_layout && e.layout != nullptr) usable.push_back(e.relation);
  return usable.empty() ? 0 : usable[world_.random.below(usable.size())];
}

Rows CrashClient::expected_rows(TableId table, const ReadView& view) const {
  Rows rows = world_.model.rows_at(table, view.snapshot);
  for (const Effect& e : effects_) {
    if (e.is_layout || e.table != table) continue;
    if (e.image) rows[e.row] = *e.image;
    else rows.erase(e.row);
  }
  return rows;
}

const Effect* CrashClient::own_effect(TableId table, std::uint64_t row) const {
  for (auto at = effects_.rbegin(); at != effects_.rend(); ++at)
    if (!at->is_layout && at->table == table && at->row == row) return &*at;
  return nullptr;
}

std::optional<std::string> CrashClient::random_note() {
  if (world_.chance(200)) return {};
  std::size_t bytes = world_.random.below(world_.chance(100) ? 600 : 30);
  if (world_.has(kOverflow) && world_.chance(60)) bytes = 3000 + world_.random.below(30000);
  std::string note(bytes, static_cast<char>('a' + world_.random.below(26)));
  for (std::size_t i = 0; i < note.size(); i += 97)
    note[i] = static_cast<char>('A' + world_.random.below(26));
  return note;
}

Image CrashClient::random_image(const storage::TableLayout& layout) {
  Image image;
  image.id = static_cast<std::int64_t>(world_.random.below(kIdRange));
  if (!world_.chance(100)) image.value = static_cast<std::int64_t>(world_.random.below(100));
  image.note = random_note();
  while (image.extra.size() + kBaseColumns < layout.columns.size()) {
    if (world_.chance(300)) image.extra.push_back({});
    else image.extra.push_back(static_cast<std::int64_t>(world_.random.below(50)));
  }
  return image;
}

void CrashClient::note_layout(Oid relation, LayoutPtr layout) {
  Effect e;
  e.is_layout = true;
  e.relation = relation;
  e.layout = std::move(layout);
  effects_.push_back(std::move(e));
  changed_layout_ = true;
}

Task<CrashClient::Next> CrashClient::use(Oid relation, TableLockMode mode, LayoutPtr* layout) {
  Outcome o = co_await finish("lock table", [&] { return txn_->lock_table(relation, kCrashDatabase, mode); });
  const Next next = judge(o, "lock table");
  if (next != Next::kGo) co_return next;
  txn_->begin_statement();
  *layout = world_.system->layout_for(*txn_, kCrashDatabase, relation);
  co_return *layout == nullptr ? Next::kSkip : Next::kGo;
}

// --- Operations ---

Task<CrashClient::Next> CrashClient::update_row(const LayoutPtr& layout, std::uint64_t row,
                                                const Change& change, DeferredUnique* deferred) {
  Table table(*world_.system, layout);
  const auto cancelled = [&] { return world_.dead() || world_.stopping; };
  const std::vector<ColumnNumber> columns = all_columns(*layout);
  types::ChunkBuffer out;
  for (int tries = 0; tries < 20; ++tries) {
    std::uint64_t version = 0;
    Outcome o = co_await finish(
        "fetch newest", [&] { return table.fetch_newest(*txn_, RowId{row}, columns, out, &version); });
    Next next = judge(o, "fetch newest");
    if (next != Next::kGo) co_return next;
    const Effect* own = own_effect(layout->table, row);
    const Image* committed = world_.model.newest_row(layout->table, row);
    const bool expected = own != nullptr ? own->image.has_value() : committed != nullptr;
    const bool found = out.chunk().count() > 0;
    Image image;
    if (found) image = read_image(out.chunk(), out.chunk().selection[0], *layout);
    if (found != expected || (found && image != padded(own != nullptr ? *own->image : *committed, *layout))) {
      world_.problem(fmt::format("client {}: the newest image of table {} row {} is wrong: {}", number_,
                                 layout->table.raw(), row, found ? to_text(image) : "none"));
      co_return Next::kAbort;
    }
    if (!found) co_return Next::kSkip;
    const Image before = image;
    const std::vector<ColumnNumber> changed = change(image);
    if (changed.empty()) co_return Next::kSkip;
    const ImageRow values(image, *layout);
    std::vector<types::Vector> chosen;
    for (const ColumnNumber c : changed) chosen.push_back(values.column(c));
    const RowRef given{chosen.data(), 0};
    const ComputedKeys keys(*layout, &before, &image);
    o = co_await finish("update", [&] {
      return table.update(*txn_, RowId{row}, changed, given, keys.extras(deferred), version);
    });
    if (o.status == Status::kConflict && !cancelled()) continue;
    next = judge(o, "update");
    if (next != Next::kGo) co_return next;
    Effect e;
    e.table = layout->table;
    e.row = row;
    e.image = image;
    effects_.push_back(std::move(e));
    co_return Next::kGo;
  }
  co_return Next::kSkip;
}

Task<CrashClient::Next> CrashClient::transfer() {
  LayoutPtr layout;
  RUSTBD_GO(co_await use(world_.bank, TableLockMode::kRowExclusive, &layout));
  const std::uint64_t from = world_.model.some_row(layout->table, world_.random.next_u64());
  const std::uint64_t to = world_.model.some_row(layout->table, world_.random.next_u64());
  if (from == to || from == 0) co_return Next::kSkip;
  const auto amount = static_cast<std::int64_t>(world_.random.below(20));
  const Change take = [&](Image& i) {
    i.value = *i.value - amount;
    return std::vector<ColumnNumber>{1};
  };
  const Change give = [&](Image& i) {
    i.value = *i.value + amount;
    return std::vector<ColumnNumber>{1};
  };
  Next next = co_await update_row(layout, from, take);
  if (next != Next::kGo) co_return next == Next::kSkip ? Next::kAbort : next;
  txn_->begin_statement();
  next = co_await update_row(layout, to, give);
  co_return next == Next::kSkip ? Next::kAbort : next;
}

Task<CrashClient::Next> CrashClient::insert() {
  const Oid relation = pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kRowExclusive, &layout));
  const bool bulk = world_.has(kBulk) && world_.chance(150);
  // Rows that one statement appends share a block of row ids.
  const std::uint64_t rows = bulk ? 1 + world_.random.below(40) : 1;
  Next next = Next::kGo;
  for (std::uint64_t i = 0; i < rows && next == Next::kGo; ++i) next = co_await insert_one(layout, bulk);
  co_return next;
}

Task<CrashClient::Next> CrashClient::insert_one(const LayoutPtr& layout, bool bulk) {
  Table table(*world_.system, layout);
  const Image image = random_image(*layout);
  ImageRow values(image, *layout);
  RowId row;
  std::uint64_t bulk_row = 0;
  std::uint32_t done = 0;
  const ComputedKeys keys(*layout, nullptr, &image);
  Outcome o = co_await finish("insert", [&] {
    return bulk ? table.bulk_append(*txn_, values.chunk(), keys.extras(), &done, &bulk_row)
                : table.insert(*txn_, values.ref(), keys.extras(), &row);
  });
  RUSTBD_GO(judge(o, "insert"));
  if (bulk) row = RowId{bulk_row};
  if (row.raw() <= world_.model.highest_row(layout->table) &&
      own_effect(layout->table, row.raw()) == nullptr) {
    // Row ids are given out in order; commits may come in another one, but a committed id never comes again.
    if (const auto rows = world_.model.rows_at(layout->table, ~std::uint64_t{0}); rows.contains(row.raw()))
      world_.problem(fmt::format("table {}: row id {} was given out twice", layout->table.raw(), row.raw()));
  }
  Effect e;
  e.table = layout->table;
  e.row = row.raw();
  e.image = image;
  effects_.push_back(std::move(e));
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::update() {
  const Oid relation = pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kRowExclusive, &layout));
  const std::uint64_t row = world_.model.some_row(layout->table, world_.random.next_u64());
  if (row == 0) co_return Next::kSkip;
  const bool keys = world_.has(kKeys);
  const Change change = [&](Image& i) {
    std::vector<ColumnNumber> changed;
    const Image other = random_image(*layout);
    if (keys && world_.chance(200)) changed.push_back(0), i.id = other.id;
    if (keys && world_.chance(500)) changed.push_back(1), i.value = other.value;
    if (world_.chance(500)) changed.push_back(2), i.note = other.note;
    for (std::size_t c = kBaseColumns; c < layout->columns.size(); ++c)
      if (world_.chance(300))
        changed.push_back(static_cast<ColumnNumber>(c)),
            i.extra[c - kBaseColumns] = other.extra[c - kBaseColumns];
    return changed;
  };
  co_return co_await update_row(layout, row, change);
}

Task<CrashClient::Next> CrashClient::remove() {
  const Oid relation = pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kRowExclusive, &layout));
  std::uint64_t row = world_.model.some_row(layout->table, world_.random.next_u64());
  if (world_.chance(200))
    for (const Effect& e : effects_)
      if (!e.is_layout && e.table == layout->table) row = e.row;
  if (row == 0) co_return Next::kSkip;
  Table table(*world_.system, layout);
  const std::vector<ColumnNumber> columns = all_columns(*layout);
  types::ChunkBuffer out;
  Image before;
  std::uint64_t version = 0;
  // Without computed keys nobody has to look at the row first.
  bool fetch = ComputedKeys(*layout, &before, nullptr).any();
  for (int tries = 0; tries < 20; ++tries) {
    if (fetch) {
      Outcome fetched = co_await finish(
          "fetch newest", [&] { return table.fetch_newest(*txn_, RowId{row}, columns, out, &version); });
      RUSTBD_GO(judge(fetched, "fetch newest"));
      if (out.chunk().count() == 0) co_return Next::kSkip;
      before = read_image(out.chunk(), out.chunk().selection[0], *layout);
    }
    const ComputedKeys keys(*layout, &before, nullptr);
    Outcome o =
        co_await finish("delete", [&] { return table.remove(*txn_, RowId{row}, keys.extras(), version); });
    fetch = o.status == Status::kConflict;
    if (fetch && !world_.dead()) continue;
    RUSTBD_GO(judge(o, "delete"));
    Effect e;
    e.table = layout->table;
    e.row = row;
    effects_.push_back(std::move(e));
    co_return Next::kGo;
  }
  co_return Next::kSkip;
}

Task<CrashClient::Next> CrashClient::advance_sequence() {
  TransactionSystem::SequenceDefinition definition;
  const auto count = static_cast<std::uint32_t>(1 + world_.random.below(3));
  std::int64_t value = 0;
  doing_ = "advance sequence";
  const Outcome o = co_await until_done([&] {
    return world_.system->sequence_advance(txn_.get(), world_.sequence, definition, count, &value);
  });
  if (!o.ok()) {
    if (!world_.dead() && !world_.disk_errors) world_.problem("a sequence did not advance");
    co_return world_.dead() ? Next::kDead : Next::kAbort;
  }
  if (value <= world_.sequence_seen) {
    world_.problem(fmt::format("sequence value {} after {} was shown", value, world_.sequence_seen));
  }
  sequence_seen_ = std::max(sequence_seen_, value + count - 1);
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::pause() {
  const bool checkpoint = world_.has(kCheckpoints) && world_.chance(300);
  doing_ = checkpoint ? "checkpoint" : "pause";
  if (checkpoint) {
    try {
      co_await world_.system->checkpoint();
    } catch (const Error& e) {
      if (!world_.dead() && !world_.disk_errors && !world_.wounded())
        world_.problem("checkpoint: " + e.message);
    }
  } else {
    co_await world_.executor.after(std::chrono::microseconds(world_.random.below(5000)));
  }
  co_return world_.dead() ? Next::kDead : Next::kGo;
}

Task<CrashClient::Next> CrashClient::operation() {
  txn_->begin_statement();
  if (world_.chance(world_.reads_per_mille)) {
    if (world_.chance(500)) co_return co_await read_table();
    co_return co_await read_index();
  }
  if (world_.has(kAdvisory) && world_.chance(40)) {
    if (world_.chance(250)) co_return co_await unlock_advisory();
    co_return co_await lock_advisory();
  }
  if (world_.has(kDeferredUnique) && world_.chance(40)) co_return co_await rotate_keys();
  const auto choice = world_.random.below(100);
  if (choice < 30 && world_.has(kTransfers)) co_return co_await transfer();
  if (choice < 60 && world_.has(kRows)) co_return co_await insert();
  if (choice < 80 && world_.has(kRows)) co_return co_await update();
  if (choice < 90 && world_.has(kRows)) co_return co_await remove();
  if (choice < 94 && world_.has(kSequences)) co_return co_await advance_sequence();
  co_return co_await pause();
}

// --- Transactions ---

Task<CrashClient::Next> CrashClient::finish_transaction(Next next) {
  if (next != Next::kAbort && !deferred_.empty()) next = co_await check_all_deferred();
  if (next == Next::kDead) co_return next;
  const bool may_prepare = !changed_layout_ && advisory_count() == 0;
  forget_advisory(0);
  if (next == Next::kAbort || world_.chance(150)) {
    ++world_.aborts;
    doing_ = "abort";
    co_await txn_->abort();
    co_return world_.dead() ? Next::kDead : Next::kGo;
  }
  if (may_prepare && world_.two_phase.wanted(world_)) co_return co_await prepare();
  // The callback runs at the moment of the commit's place in the order.
  txn_->on_commit([this](CommitTimestamp ts) {
    if (ts.raw() != 0) world_.model.apply(ts.raw(), effects_);
  });
  const bool sync = world_.chance(800);
  doing_ = "commit";
  const Outcome o = co_await txn_->commit(sync ? CommitMode::kSync : CommitMode::kAsync);
  if (!o.ok()) {
    const bool may_fail =
        world_.disk_errors &&
        (o.status == Status::kNoSpace || o.status == Status::kIoError || o.status == Status::kReadOnly);
    if (o.status != Status::kNoMemory && !may_fail && !world_.tolerates(o.status) && !world_.dead()) {
      world_.problem(
          fmt::format("client {}: commit ended with status {}", number_, static_cast<int>(o.status)));
    }
    co_return world_.dead() ? Next::kDead : Next::kGo;
  }
  ++world_.commits;
  if (changed_layout_) ++world_.layouts_changed;
  if (sync) {
    world_.model.acknowledge(std::max(txn_->commit_timestamp().raw(), txn_->max_seen().raw()));
    world_.sequence_seen = std::max(world_.sequence_seen, sequence_seen_);
    world_.model.show(shown_);
  }
  co_return world_.dead() ? Next::kDead : Next::kGo;
}

/// Leaves the transaction to whoever decides it.
Task<CrashClient::Next> CrashClient::prepare() {
  std::string gid = world_.two_phase.begin_prepare(effects_);
  const std::uint64_t seen = txn_->max_seen().raw();
  Outcome o;
  std::string failure;
  doing_ = "prepare";
  try {
    o = co_await world_.system->prepare(txn_, gid, {10, kCrashDatabase, false});
  } catch (const Error& e) {
    failure = e.message;
  }
  if (world_.dead()) co_return Next::kDead;  // in doubt
  world_.two_phase.prepared(gid, failure.empty() && o.ok());
  if (failure.empty() && o.ok()) {
    world_.model.acknowledge(seen);
    co_return Next::kGo;
  }
  const bool may_fail = world_.disk_errors && (o.status == Status::kNoSpace || o.status == Status::kIoError);
  if (!may_fail)
    world_.problem(fmt::format("client {}: PREPARE: {} {}", number_, failure, static_cast<int>(o.status)));
  if (txn_ != nullptr) co_await txn_->abort();
  co_return world_.dead() ? Next::kDead : Next::kGo;
}

Task<> CrashClient::transaction() {
  effects_.clear();
  deferred_.clear();
  shown_ = 0;
  sequence_seen_ = 0;
  changed_layout_ = false;
  const Isolation isolation = world_.chance(400) ? Isolation::kRepeatableRead : Isolation::kReadCommitted;
  txn_ = world_.system->begin(*locker_, {.isolation = isolation});
  txn_->begin_statement();
  std::uint64_t operations = 1 + world_.random.below(6);
  if (world_.has(kLarge) && world_.chance(60)) operations = 20 + world_.random.below(60);
  struct Mark {
    Savepoint savepoint;
    std::size_t effects;
    std::map<Oid, DeferredUnique> deferred;
    std::size_t advisory;
  };
  std::vector<Mark> marks;
  Next next = Next::kGo;
  const bool layouts =
      world_.has(static_cast<Feature>(kTables | kColumns | kIndexes | kTruncate)) && world_.chance(120);
  for (std::uint64_t i = 0; i < operations && next != Next::kAbort && next != Next::kDead; ++i) {
    if (world_.has(kSavepoints) && world_.chance(200))
      marks.push_back({txn_->savepoint(), effects_.size(), deferred_, advisory_count()});
    const bool layout = layouts && world_.chance(500);
    if (layout) {
      txn_->begin_statement();
      next = co_await change_layout();
    } else {
      next = co_await operation();
    }
    if (next == Next::kDead || world_.dead()) break;
    if (next != Next::kAbort && world_.has(kLong) && world_.chance(30)) next = co_await pause();
    if (world_.dead()) break;
    // After a failed statement either everything goes, or what came after a savepoint.
    if (!marks.empty() && (next == Next::kAbort ? world_.chance(500) : world_.chance(200))) {
      const std::size_t which = world_.random.below(marks.size());
      doing_ = "rollback to a savepoint";
      forget_advisory(marks[which].advisory);
      co_await txn_->rollback_to(marks[which].savepoint);
      effects_.resize(marks[which].effects);
      deferred_ = marks[which].deferred;
      if (world_.chance(500)) marks.resize(which);
      else marks.resize(which + 1);
      next = Next::kGo;
    }
    if (world_.chance(200)) txn_->end_statement();
  }
  if (next != Next::kDead && !world_.dead()) next = co_await finish_transaction(next);
  if (txn_ != nullptr && !txn_->finished()) txn_->abandon();
  txn_.reset();
}

Task<> CrashClient::run(int transactions) {
  for (int i = 0; i < transactions && !world_.dead() && !world_.stopping; ++i) {
    co_await transaction();
    if (world_.chance(100))
      co_await world_.executor.after(std::chrono::microseconds(world_.random.below(3000)));
  }
  doing_ = "done";
  std::erase_if(world_.advisory, [this](const AdvisoryHold& h) { return h.client == number_; });
  if (!world_.dead()) world_.system->locks().unlock_all_advisory(*locker_);
}

}  // namespace rustbd::txn::testing
