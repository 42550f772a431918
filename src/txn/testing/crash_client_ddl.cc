// DDL of the crash simulation's clients.
#include "rustbd/txn/testing/crash_keys.h"
#include "rustbd/txn/testing/crash_world.h"
#include "rustbd/types/type.h"

namespace rustbd::txn::testing {

namespace {
constexpr std::size_t kRelationsMax = 5;  // with the sequence
}

Task<CrashClient::Next> CrashClient::create_relation() {
  const auto layouts = world_.model.layouts_at(~std::uint64_t{0});
  if (layouts.size() > kRelationsMax) co_return Next::kSkip;
  TransactionSystem& system = *world_.system;
  const Oid relation = system.new_object_id();
  const IndexId by_id = world_.chance(700) ? system.new_index_id() : IndexId{};
  const IndexId by_value = world_.chance(700) ? system.new_index_id() : IndexId{};
  const auto layout = std::make_shared<storage::TableLayout>(base_layout(relation, by_id, by_value));
  Outcome o = co_await finish("lock table", [&] {
    return txn_->lock_table(relation, kCrashDatabase, TableLockMode::kAccessExclusive);
  });
  RUSTBD_GO(judge(o, "lock table"));
  txn_->begin_statement();
  o = co_await finish("create table", [&] { return system.create_table(*txn_, *layout); });
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
        co_await finish("drop table", [&] { return system.drop_table(*txn_, kCrashDatabase, relation); });
    RUSTBD_GO(judge(o, "drop table"));
    note_layout(relation, nullptr);
    co_return Next::kGo;
  }
  auto layout = std::make_shared<storage::TableLayout>(*before);
  IndexId build;
  if (choice < 40 && world_.has(kColumns) && layout->columns.size() < 8) {
    ++layout->schema_version;
    // Rows of a full leaf may become several times as wide.
    for (std::uint64_t n = world_.chance(300) ? 1 + world_.random.below(12) : 1; n > 0; --n) {
      storage::ColumnLayout column;
      column.type = types::make_type(types::oid::kInt8);
      column.since_version = layout->schema_version;
      if (const auto missing = missing_value(layout->columns.size())) {
        column.has_missing_value = true;
        const auto* bytes = reinterpret_cast<const std::byte*>(&*missing);
        column.missing_value.assign(bytes, bytes + sizeof *missing);
      }
      layout->columns.push_back(column);
    }
  } else if (choice < 70 && world_.has(kIndexes) && layout->indexes.size() < 4) {
    build = system.new_index_id();
    auto column = static_cast<ColumnNumber>(world_.random.below(layout->columns.size()));
    const bool computed = world_.has(kComputedKeys) && world_.chance(400);
    if (computed) {
      const bool partial = world_.chance(600);
      if (!partial || world_.chance(300)) column = storage::IndexLayout::kExpressionColumn;
      else column = world_.chance(500) ? 0 : 1;
      layout->indexes.push_back(computed_index(build, column, partial, column == 0));
    } else {
      // Notes may be longer than a key can be.
      if (column == 2 && world_.has(kOverflow)) co_return Next::kSkip;
      layout->indexes.push_back(index_on(*layout, build, column, column == 0));
    }
  } else if (choice < 80 && world_.has(kIndexes) && layout->indexes.size() > 1) {
    layout->indexes.erase(layout->indexes.begin() +
                          static_cast<std::ptrdiff_t>(world_.random.below(layout->indexes.size())));
  } else if (world_.has(kTruncate)) {
    layout->table = system.new_table_id();
    for (auto& index : layout->indexes) index.id = system.new_index_id();
  } else {
    co_return Next::kSkip;
  }
  Outcome o = co_await finish("alter table", [&] { return system.alter_table(*txn_, *layout); });
  RUSTBD_GO(judge(o, "alter table"));
  note_layout(relation, system.layout_for(*txn_, kCrashDatabase, relation));
  if (build.is_none()) co_return Next::kGo;
  txn_->begin_statement();
  Table table(system, system.layout_for(*txn_, kCrashDatabase, relation));
  const storage::IndexLayout& index = *table.layout().find_index(build);
  ComputeKeys compute = compute_keys(index);
  doing_ = "build index";
  o = co_await build_index(table, build, *txn_, is_computed(index) ? &compute : nullptr);
  if (o.status == Status::kDuplicate && !cancelled()) co_return Next::kAbort;  // as CREATE UNIQUE INDEX
  co_return judge(o, "build index");
}

}  // namespace rustbd::txn::testing
