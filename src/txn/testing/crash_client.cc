#include <fmt/format.h>

#include "rustbd/base/error.h"
#include "rustbd/txn/testing/crash_world.h"
#include "rustbd/types/type.h"

namespace rustbd::txn::testing {

namespace {
constexpr std::int64_t kIdRange = 400;
constexpr std::size_t kRelationsMax = 4;

std::string to_text(const Image& image) {
  std::string out = fmt::format("({}, {}, ", image.id, image.value ? fmt::to_string(*image.value) : "null");
  out += image.note ? fmt::format("{} bytes '{}'", image.note->size(), image.note->substr(0, 12)) : "null";
  for (const auto& e : image.extra) out += ", " + (e ? fmt::to_string(*e) : std::string("null"));
  return out + ")";
}
}  // namespace

ImageRow::ImageRow(const Image& image, const storage::TableLayout& layout) {
  using types::Datum;
  const auto number = [&](const std::optional<std::int64_t>& v) {
    columns_.push_back(types::make_constant(Datum::of(v.value_or(0)), !v, types::Phys::kI64, arena_));
  };
  number(image.id);
  number(image.value);
  const types::Str note{image.note ? std::string_view{*image.note} : std::string_view{}};
  columns_.push_back(types::make_constant(Datum::of(note), !image.note, types::Phys::kStr, arena_));
  for (std::size_t i = kBaseColumns; i < layout.columns.size(); ++i) number(image.extra.at(i - kBaseColumns));
}

Image read_image(const types::Chunk& chunk, std::uint32_t row, const storage::TableLayout& layout) {
  const auto number = [&](std::size_t c) -> std::optional<std::int64_t> {
    if (!chunk[c].is_valid(row)) return {};
    return chunk[c].values<std::int64_t>()[row];
  };
  Image image;
  image.id = number(0).value_or(-1);
  image.value = number(1);
  if (chunk[2].is_valid(row)) image.note = std::string(chunk[2].values<types::Str>()[row].view());
  for (std::size_t i = kBaseColumns; i < layout.columns.size(); ++i) image.extra.push_back(number(i));
  return image;
}

std::vector<ColumnNumber> all_columns(const storage::TableLayout& layout) {
  std::vector<ColumnNumber> out(layout.columns.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<ColumnNumber>(i);
  return out;
}

namespace {
storage::IndexLayout index_on(const storage::TableLayout& layout, IndexId id, ColumnNumber column,
                              bool unique) {
  storage::IndexLayout index;
  index.id = id;
  index.unique = unique;
  index.parts.push_back({column, types::KeyPart{layout.columns[column].type, false, false}});
  return index;
}
}  // namespace

storage::TableLayout base_layout(Oid relation, IndexId by_id, IndexId by_value) {
  storage::TableLayout layout;
  layout.table = TableId{relation};
  layout.relation = relation;
  layout.database = kCrashDatabase;
  layout.columns.resize(kBaseColumns);
  layout.columns[0].type = types::make_type(types::oid::kInt8);
  layout.columns[0].nullable = false;
  layout.columns[1].type = types::make_type(types::oid::kInt8);
  layout.columns[2].type = types::make_type(types::oid::kText);
  if (!by_id.is_none()) layout.indexes.push_back(index_on(layout, by_id, 0, true));
  if (!by_value.is_none()) layout.indexes.push_back(index_on(layout, by_value, 1, false));
  return layout;
}

void compare_rows(CrashWorld& world, const std::string& what, const Rows& expected, const Rows& found,
                  const storage::TableLayout& layout) {
  for (const auto& [row, image] : expected) {
    const auto at = found.find(row);
    const Image wanted = padded(image, layout);
    if (at == found.end()) {
      world.problem(fmt::format("{}: row {} {} is not there", what, row, to_text(wanted)));
    } else if (at->second != wanted) {
      world.problem(fmt::format("{}: row {} is {}, not {}", what, row, to_text(at->second), to_text(wanted)));
    }
  }
  for (const auto& [row, image] : found) {
    if (!expected.contains(row))
      world.problem(fmt::format("{}: row {} {} should not be there", what, row, to_text(image)));
  }
}

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
      if (world_.disk_errors) return Next::kAbort;
      break;
    default: break;
  }
  world_.problem(
      fmt::format("client {}: {} ended with status {}", number_, what, static_cast<int>(outcome.status)));
  return Next::kAbort;
}

Oid CrashClient::pick_relation() {
  const auto layouts = world_.model.layouts_at(~std::uint64_t{0});
  std::vector<Oid> usable;
  for (const auto& [oid, layout] : layouts)
    if (oid != world_.bank) usable.push_back(oid);
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
  Outcome o = co_await until_done([&] { return txn_->lock_table(relation, kCrashDatabase, mode); },
                                  [&] { return world_.dead() || world_.stopping; });
  const Next next = judge(o, "lock table");
  if (next != Next::kGo) co_return next;
  txn_->begin_statement();
  *layout = world_.system->layout_for(*txn_, kCrashDatabase, relation);
  co_return *layout == nullptr ? Next::kSkip : Next::kGo;
}

#define RUSTBD_GO(expression) \
  if (const Next next_ = (expression); next_ != Next::kGo) co_return next_

// --- Operations ---

Task<CrashClient::Next> CrashClient::update_row(const LayoutPtr& layout, std::uint64_t row,
                                                const Change& change) {
  Table table(*world_.system, layout);
  const auto cancelled = [&] { return world_.dead() || world_.stopping; };
  const std::vector<ColumnNumber> columns = all_columns(*layout);
  types::ChunkBuffer out;
  for (int tries = 0; tries < 20; ++tries) {
    std::uint64_t version = 0;
    Outcome o = co_await until_done(
        [&] { return table.fetch_newest(*txn_, RowId{row}, columns, out, &version); }, cancelled);
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
    const std::vector<ColumnNumber> changed = change(image);
    if (changed.empty()) co_return Next::kSkip;
    const ImageRow values(image, *layout);
    std::vector<types::Vector> chosen;
    for (const ColumnNumber c : changed) chosen.push_back(values.column(c));
    const RowRef given{chosen.data(), 0};
    o = co_await until_done([&] { return table.update(*txn_, RowId{row}, changed, given, {}, version); },
                            cancelled);
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
  Outcome o = co_await until_done(
      [&] {
        return bulk ? table.bulk_append(*txn_, values.chunk(), {}, &done, &bulk_row)
                    : table.insert(*txn_, values.ref(), {}, &row);
      },
      [&] { return world_.dead() || world_.stopping; });
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
  const auto cancelled = [&] { return world_.dead() || world_.stopping; };
  std::uint64_t version = 0;
  for (int tries = 0; tries < 20; ++tries) {
    Outcome o = co_await until_done([&] { return table.remove(*txn_, RowId{row}, {}, version); }, cancelled);
    if (o.status == Status::kConflict && !cancelled()) {
      types::ChunkBuffer out;
      static constexpr ColumnNumber kOne[1] = {0};
      o = co_await until_done([&] { return table.fetch_newest(*txn_, RowId{row}, kOne, out, &version); },
                              cancelled);
      RUSTBD_GO(judge(o, "fetch newest"));
      continue;
    }
    RUSTBD_GO(judge(o, "delete"));
    Effect e;
    e.table = layout->table;
    e.row = row;
    effects_.push_back(std::move(e));
    co_return Next::kGo;
  }
  co_return Next::kSkip;
}

Task<CrashClient::Next> CrashClient::read_table() {
  const Oid relation = world_.chance(500) ? world_.bank : pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kAccessShare, &layout));
  Table table(*world_.system, layout);
  const ReadView view = txn_->view();
  const std::vector<ColumnNumber> columns = all_columns(*layout);
  TableScan scan(table, view, columns);
  types::ChunkBuffer out;
  Rows found;
  for (;;) {
    Outcome o =
        co_await until_done([&] { return scan.next(out); }, [&] { return world_.dead() || world_.stopping; });
    if (o.status == Status::kEnd && !world_.dead()) break;
    RUSTBD_GO(judge(o, "scan"));
    for (std::uint32_t i = 0; i < out.chunk().count(); ++i) {
      const std::uint32_t r = out.chunk().selection[i];
      const std::uint64_t row = out.chunk()[columns.size()].values<std::uint64_t>()[r];
      if (!found.emplace(row, read_image(out.chunk(), r, *layout)).second) {
        world_.problem(fmt::format("a scan of table {} gave row {} twice", layout->table.raw(), row));
      }
    }
  }
  world_.rows_read += found.size();
  compare_rows(world_,
               fmt::format("client {}: scan of table {} at {}", number_, layout->table.raw(), view.snapshot),
               expected_rows(layout->table, view), found, *layout);
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::read_index() {
  const Oid relation = world_.chance(400) ? world_.bank : pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr layout;
  RUSTBD_GO(co_await use(relation, TableLockMode::kAccessShare, &layout));
  if (layout->indexes.empty()) co_return Next::kSkip;
  Table table(*world_.system, layout);
  const ReadView view = txn_->view();
  const auto& index = layout->indexes[world_.random.below(layout->indexes.size())];
  const auto column = index.parts[0].column;
  const bool backward = world_.chance(300);
  const std::vector<ColumnNumber> columns = all_columns(*layout);
  IndexScan scan(table, index.id, view, KeyRange::all(),
                 backward ? ScanDirection::kBackward : ScanDirection::kForward, columns);
  types::ChunkBuffer out;
  Rows found;
  std::optional<std::optional<std::int64_t>> previous;
  for (;;) {
    const auto limit = static_cast<std::uint32_t>(1 + world_.random.below(64));
    Outcome o = co_await until_done([&] { return scan.next(out, limit); },
                                    [&] { return world_.dead() || world_.stopping; });
    if (o.status == Status::kEnd && !world_.dead()) break;
    RUSTBD_GO(judge(o, "index scan"));
    for (std::uint32_t i = 0; i < out.chunk().count(); ++i) {
      const std::uint32_t r = out.chunk().selection[i];
      const std::uint64_t row = out.chunk()[columns.size()].values<std::uint64_t>()[r];
      const Image image = read_image(out.chunk(), r, *layout);
      if (!found.emplace(row, image).second) {
        world_.problem(fmt::format("a scan of index {} gave row {} twice", index.id.raw(), row));
      }
      if (column == 2) continue;
      const std::optional<std::int64_t> key = column == 0   ? std::optional(image.id)
                                              : column == 1 ? image.value
                                                            : image.extra[column - kBaseColumns];
      const auto rank = [](const std::optional<std::int64_t>& v) {
        return v ? *v : INT64_MAX;
      };  // nulls last
      if (previous && (backward ? rank(*previous) < rank(key) : rank(*previous) > rank(key))) {
        world_.problem(fmt::format("a scan of index {} is out of order at row {}", index.id.raw(), row));
      }
      previous = key;
    }
  }
  world_.rows_read += found.size();
  compare_rows(world_,
               fmt::format("client {}: index {} of table {} at {}", number_, index.id.raw(),
                           layout->table.raw(), view.snapshot),
               expected_rows(layout->table, view), found, *layout);
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::create_relation() {
  const auto layouts = world_.model.layouts_at(~std::uint64_t{0});
  if (layouts.size() > kRelationsMax) co_return Next::kSkip;
  TransactionSystem& system = *world_.system;
  const Oid relation = system.new_object_id();
  const IndexId by_id = world_.chance(700) ? system.new_index_id() : IndexId{};
  const IndexId by_value = world_.chance(700) ? system.new_index_id() : IndexId{};
  const auto layout = std::make_shared<storage::TableLayout>(base_layout(relation, by_id, by_value));
  Outcome o = co_await until_done(
      [&] { return txn_->lock_table(relation, kCrashDatabase, TableLockMode::kAccessExclusive); },
      [&] { return world_.dead() || world_.stopping; });
  RUSTBD_GO(judge(o, "lock table"));
  txn_->begin_statement();
  o = co_await until_done([&] { return system.create_table(*txn_, *layout); },
                          [&] { return world_.dead() || world_.stopping; });
  RUSTBD_GO(judge(o, "create table"));
  note_layout(relation, system.layout_for(*txn_, kCrashDatabase, relation));
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::change_layout() {
  const auto cancelled = [this] { return world_.dead() || world_.stopping; };
  if (world_.has(kTables) && world_.chance(300)) co_return co_await create_relation();
  const Oid relation = pick_relation();
  if (relation == 0) co_return Next::kSkip;
  LayoutPtr before;
  RUSTBD_GO(co_await use(relation, TableLockMode::kAccessExclusive, &before));
  TransactionSystem& system = *world_.system;
  const auto choice = world_.random.below(100);
  if (choice < 15 && world_.has(kTables)) {
    Outcome o =
        co_await until_done([&] { return system.drop_table(*txn_, kCrashDatabase, relation); }, cancelled);
    RUSTBD_GO(judge(o, "drop table"));
    note_layout(relation, nullptr);
    co_return Next::kGo;
  }
  auto layout = std::make_shared<storage::TableLayout>(*before);
  IndexId build;
  if (choice < 40 && world_.has(kColumns) && layout->columns.size() < 8) {
    storage::ColumnLayout column;
    column.type = types::make_type(types::oid::kInt8);
    column.since_version = ++layout->schema_version;
    if (const auto missing = missing_value(layout->columns.size())) {
      column.has_missing_value = true;
      const auto* bytes = reinterpret_cast<const std::byte*>(&*missing);
      column.missing_value.assign(bytes, bytes + sizeof *missing);
    }
    layout->columns.push_back(column);
  } else if (choice < 70 && world_.has(kIndexes) && layout->indexes.size() < 4) {
    build = system.new_index_id();
    const auto column = static_cast<ColumnNumber>(world_.random.below(layout->columns.size()));
    if (column == 2 && world_.has(kOverflow)) co_return Next::kSkip;  // notes may be longer than a key can be
    layout->indexes.push_back(index_on(*layout, build, column, column == 0));
  } else if (choice < 80 && world_.has(kIndexes) && layout->indexes.size() > 1) {
    layout->indexes.erase(layout->indexes.begin() +
                          static_cast<std::ptrdiff_t>(world_.random.below(layout->indexes.size())));
  } else if (world_.has(kTruncate)) {
    layout->table = system.new_table_id();
    for (auto& index : layout->indexes) index.id = system.new_index_id();
  } else {
    co_return Next::kSkip;
  }
  Outcome o = co_await until_done([&] { return system.alter_table(*txn_, *layout); }, cancelled);
  RUSTBD_GO(judge(o, "alter table"));
  note_layout(relation, system.layout_for(*txn_, kCrashDatabase, relation));
  if (build.is_none()) co_return Next::kGo;
  txn_->begin_statement();
  Table table(system, system.layout_for(*txn_, kCrashDatabase, relation));
  o = co_await build_index(table, build, *txn_);
  if (o.status == Status::kDuplicate && !cancelled()) co_return Next::kAbort;  // as CREATE UNIQUE INDEX
  co_return judge(o, "build index");
}

Task<CrashClient::Next> CrashClient::advance_sequence() {
  TransactionSystem::SequenceDefinition definition;
  const auto count = static_cast<std::uint32_t>(1 + world_.random.below(3));
  std::optional<std::int64_t> value;
  try {
    value = co_await world_.system->sequence_advance(txn_.get(), world_.sequence, definition, count);
  } catch (const Error& e) {
    if (!world_.dead() && !world_.disk_errors) world_.problem("sequence: " + e.message);
  }
  if (!value) co_return world_.dead() ? Next::kDead : Next::kAbort;
  if (*value <= world_.sequence_seen) {
    world_.problem(fmt::format("sequence value {} after {} was shown", *value, world_.sequence_seen));
  }
  sequence_seen_ = std::max(sequence_seen_, *value + count - 1);
  co_return Next::kGo;
}

Task<CrashClient::Next> CrashClient::pause() {
  const bool checkpoint = world_.has(kCheckpoints) && world_.chance(300);
  if (checkpoint) {
    try {
      co_await world_.system->checkpoint();
    } catch (const Error& e) {
      if (!world_.dead() && !world_.disk_errors) world_.problem("checkpoint: " + e.message);
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
  if (next == Next::kAbort || world_.chance(150)) {
    ++world_.aborts;
    co_await txn_->abort();
    co_return world_.dead() ? Next::kDead : Next::kGo;
  }
  // The callback runs at the moment of the commit's place in the order.
  txn_->on_commit([this](CommitTimestamp ts) {
    if (ts.raw() != 0) world_.model.apply(ts.raw(), effects_);
  });
  const bool sync = world_.chance(800);
  const Outcome o = co_await txn_->commit(sync ? CommitMode::kSync : CommitMode::kAsync);
  if (!o.ok()) {
    const bool may_fail =
        world_.disk_errors &&
        (o.status == Status::kNoSpace || o.status == Status::kIoError || o.status == Status::kReadOnly);
    if (o.status != Status::kNoMemory && !may_fail && !world_.dead()) {
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
  }
  co_return world_.dead() ? Next::kDead : Next::kGo;
}

Task<> CrashClient::transaction() {
  effects_.clear();
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
  };
  std::vector<Mark> marks;
  Next next = Next::kGo;
  const bool layouts =
      world_.has(static_cast<Feature>(kTables | kColumns | kIndexes | kTruncate)) && world_.chance(120);
  for (std::uint64_t i = 0; i < operations && next != Next::kAbort && next != Next::kDead; ++i) {
    if (world_.has(kSavepoints) && world_.chance(200)) marks.push_back({txn_->savepoint(), effects_.size()});
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
      co_await txn_->rollback_to(marks[which].savepoint);
      effects_.resize(marks[which].effects);
      if (world_.chance(500)) marks.resize(which);
      else marks.resize(which + 1);
      next = Next::kGo;
    }
    if (world_.chance(200)) txn_->end_statement();
  }
  if (next != Next::kDead && !world_.dead()) next = co_await finish_transaction(next);
  if (!txn_->finished()) txn_->abandon();
  txn_.reset();
}

Task<> CrashClient::run(int transactions) {
  for (int i = 0; i < transactions && !world_.dead() && !world_.stopping; ++i) {
    co_await transaction();
    if (world_.chance(100))
      co_await world_.executor.after(std::chrono::microseconds(world_.random.below(3000)));
  }
}

}  // namespace rustbd::txn::testing
