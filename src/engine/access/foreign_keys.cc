// Foreign keys: children look for their parent, changed parents look for children and act on them (query.md
// §10.6).
#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/access/row_rules.h"

namespace rustbd::engine {

namespace {

using catalog::AttributeNumber;

std::string key_text(Session::Parts& parts, std::span<const types::Value> key) {
  auto io = parts.session.io_context();
  Arena scratch;
  io.arena = &scratch;
  std::string out;
  for (const auto& v : key) {
    if (!out.empty()) out += ", ";
    if (v.is_null) out += "null";
    else types::output_text(v.datum, v.type, io, out);
  }
  return out;
}
std::string column_names(const catalog::Relation& relation, std::span<const AttributeNumber> columns) {
  std::string out;
  for (auto a : columns) {
    if (!out.empty()) out += ", ";
    out += relation.column(a).name;
  }
  return out;
}

/// The values of some columns of a row, newest committed or own; false: the row is gone.
Task<bool> read_columns(Session::Parts& parts, LocalTable& table, RowId row,
                        std::span<const AttributeNumber> columns, Arena& memory,
                        std::vector<types::Value>& out) {
  std::vector<storage::ColumnNumber> numbers;
  for (auto a : columns) numbers.push_back(static_cast<storage::ColumnNumber>(a - 1));
  types::ChunkBuffer buffer;
  for (;;) {
    std::uint64_t version = 0;
    const auto outcome = table.table().fetch_newest(*parts.transaction, row, numbers, buffer, &version);
    if (outcome.blocked()) {
      co_await wait(parts, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd || outcome.status == txn::Status::kGone) co_return false;
    if (!outcome.ok()) parts.database.transactions().throw_outcome(outcome, parts.locker.get());
    break;
  }
  const auto& chunk = buffer.chunk();
  if (chunk.selection.count == 0) co_return false;
  const auto at = chunk.selection[0];
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto& type = table.relation()->column(columns[i]).type;
    const bool null = !chunk[i].is_valid(at);
    out.push_back(
        {type, null, null ? types::Datum{} : types::copy_datum(chunk[i].datum(at), type.phys, memory)});
  }
  co_return true;
}

/// Converts a key value to the type of the other side's column where they differ (int4 against int8, numeric
/// scales).
types::Value convert_key(const types::Value& value, const types::TypeRef& to, Arena& memory) {
  if (value.is_null || value.type.oid == to.oid) return value;
  types::Value out = value;
  out.type = to;
  const auto integer = [&]() -> std::int64_t {
    switch (value.type.phys) {
      case types::Phys::kI16: return value.datum.i16;
      case types::Phys::kI32: return value.datum.i32;
      case types::Phys::kU32: return value.datum.u32;
      default: return value.datum.i64;
    }
  };
  switch (to.phys) {
    case types::Phys::kI16: out.datum = types::Datum::of(static_cast<std::int16_t>(integer())); break;
    case types::Phys::kI32: out.datum = types::Datum::of(static_cast<std::int32_t>(integer())); break;
    case types::Phys::kI64: out.datum = types::Datum::of(integer()); break;
    default: {
      std::string text;
      types::IoContext io;
      io.arena = &memory;
      types::output_text(value.datum, value.type, io, text);
      out.datum = types::input_text(memory.copy(text), to, io);
    }
  }
  return out;
}

/// The index of `relation` whose leading parts are exactly these columns in some order; order[i] = position
/// in `columns`.
const catalog::Index* index_on(const catalog::Relation& relation, std::span<const AttributeNumber> columns,
                               bool whole, std::vector<std::size_t>& order) {
  for (const auto& index : relation.indexes) {
    if (!index->predicate_sql.empty() || !index->valid) continue;
    if (whole && (!index->unique || index->columns.size() != columns.size())) continue;
    if (index->columns.size() < columns.size()) continue;
    order.clear();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto it = std::find(columns.begin(), columns.end(), index->columns[i].attribute);
      if (it == columns.end()) break;
      order.push_back(static_cast<std::size_t>(it - columns.begin()));
    }
    if (order.size() == columns.size()) return index.get();
  }
  return nullptr;
}

}  // namespace

Task<bool> StatementAccess::hold_parent(const catalog::Constraint& constraint,
                                        std::span<const types::Value> key) {
  const auto known = catalog_->relation(constraint.referenced_relation);
  RUSTBD_ASSERT(known != nullptr, "a referenced table is there as long as its constraint");
  auto& table = local(known);
  const auto& parent = *table.relation();
  std::vector<std::size_t> order;
  const auto* index = index_on(parent, constraint.referenced_columns, true, order);
  RUSTBD_ASSERT(index != nullptr, "a referenced key has its index");
  const auto* layout = table.table().layout().find_index(index->tree);
  std::vector<types::Value> ordered;
  for (std::size_t i = 0; i < order.size(); ++i)
    ordered.push_back(convert_key(key[order[i]], parent.column(index->columns[i].attribute).type, memory_));
  Bytes encoded;
  table.encode_key(*layout, ordered, encoded);
  auto& txn = *parts_->transaction;
  for (;;) {
    RowId found;
    const auto outcome = txn::lookup_newest(table.table(), txn, index->tree, encoded, &found);
    if (outcome.blocked()) {
      co_await wait(*parts_, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd) co_return false;
    if (!outcome.ok()) throw_outcome(outcome);
    // KEY SHARE on its newest version, then look again whether the key is still there.
    types::ChunkBuffer buffer;
    std::uint64_t version = 0;
    const auto newest = table.table().fetch_newest(txn, found, {}, buffer, &version);
    if (newest.blocked()) {
      co_await wait(*parts_, newest.token);
      continue;
    }
    if (!newest.ok()) continue;
    const auto locked =
        table.table().lock_row(txn, found, txn::RowLockMode::kKeyShare, txn::WaitPolicy::kWait, version);
    if (locked.ok()) co_return true;
    if (locked.blocked()) {
      co_await wait(*parts_, locked.token);
      continue;
    }
    if (locked.status == txn::Status::kConflict || locked.status == txn::Status::kGone) continue;
    throw_outcome(locked);
  }
}

Task<> StatementAccess::check_child(const ChildCheck& check) {
  const auto& c = *check.constraint;
  const auto known = catalog_->relation(c.relation), parent = catalog_->relation(c.referenced_relation);
  if (known == nullptr || parent == nullptr) co_return;
  auto& table = local(known);
  const auto child = table.relation();
  std::vector<types::Value> key;
  if (!co_await read_columns(*parts_, table, check.row, c.columns, memory_, key)) co_return;
  std::size_t nulls = 0;
  for (const auto& v : key) nulls += v.is_null;
  const auto violated = [&](std::string detail) {
    return error(sqlstate::kForeignKeyViolation,
                 "insert or update on table \"{}\" violates foreign key constraint \"{}\"", child->name,
                 c.name)
        .with_detail(std::move(detail))
        .on_table(child->schema_name, child->name)
        .on_constraint(c.name);
  };
  if (nulls == key.size() || (nulls > 0 && c.match == 's')) co_return;
  if (nulls > 0) throw violated("MATCH FULL does not allow mixing of null and nonnull key values.");
  if (co_await hold_parent(c, key)) co_return;
  throw violated(fmt::format("Key ({})=({}) is not present in table \"{}\".", column_names(*child, c.columns),
                             key_text(*parts_, key), parent->name));
}

Task<> StatementAccess::apply_parent_change(const ParentChange& change) {
  const auto& c = *change.constraint;
  const auto known = catalog_->relation(c.relation), parent = catalog_->relation(c.referenced_relation);
  if (known == nullptr || parent == nullptr) co_return;
  const bool deleted = change.new_key.empty();
  const char action = deleted ? c.on_delete : c.on_update;
  // NO ACTION asks at the end only: somebody else may have the key by now.
  if (action == 'a' && co_await hold_parent(c, change.old_key)) co_return;
  auto& table = local(known);
  const auto child = table.relation();
  auto& txn = *parts_->transaction;
  const auto await_write = [&](std::function<exec::WriteFlow()> attempt) -> Task<> {
    for (;;) {
      const auto flow = attempt();
      if (flow.result == exec::WriteResult::kBlocked) {
        co_await wait(*parts_, flow.token);
        continue;
      }
      if (flow.result == exec::WriteResult::kChanged) {
        if (txn.isolation() != txn::Isolation::kReadCommitted)
          throw error(sqlstate::kSerializationFailure, "could not serialize access due to concurrent update");
        throw error(sqlstate::kSerializationFailure,
                    "a referencing row changed while the foreign key acted on it");
      }
      co_return;
    }
  };
  // Children that refer to the old key.
  std::vector<types::Value> key;
  for (std::size_t i = 0; i < change.old_key.size(); ++i)
    key.push_back(convert_key(change.old_key[i], child->column(c.columns[i]).type, memory_));
  std::vector<storage::ColumnNumber> all;
  for (storage::ColumnNumber i = 0; i < child->columns.size(); ++i) all.push_back(i);
  std::vector<std::size_t> order;
  const auto* index = index_on(*child, c.columns, false, order);
  std::unique_ptr<txn::IndexScan> by_index;
  std::unique_ptr<txn::TableScan> by_scan;
  if (index != nullptr) {
    const auto* layout = table.table().layout().find_index(index->tree);
    std::vector<types::Value> ordered;
    for (auto o : order) ordered.push_back(key[o]);
    Bytes encoded;
    table.encode_key(*layout, ordered, encoded);
    by_index = std::make_unique<txn::IndexScan>(table.table(), index->tree, check_view_,
                                                txn::KeyRange::equal(std::move(encoded)),
                                                txn::ScanDirection::kForward, all);
  } else {
    by_scan = std::make_unique<txn::TableScan>(table.table(), check_view_, all);
  }
  types::ChunkBuffer buffer;
  std::unique_ptr<RowRules> rules;  // of rows that the action writes
  for (;;) {
    const auto outcome = by_index ? by_index->next(buffer) : by_scan->next(buffer);
    if (outcome.blocked()) {
      co_await wait(*parts_, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd) break;
    if (!outcome.ok()) throw_outcome(outcome);
    auto& chunk = buffer.chunk();
    for (std::uint32_t n = 0; n < chunk.selection.count; ++n) {
      const auto row = chunk.selection[n];
      bool match = true;
      for (std::size_t i = 0; i < key.size() && match; ++i) {
        const auto& v = chunk[static_cast<std::size_t>(c.columns[i] - 1)];
        match = v.is_valid(row) && types::equal(v.datum(row), key[i].datum, key[i].type);
      }
      if (!match) continue;
      const RowId id{chunk[child->columns.size()].datum(row).u64};
      if (action == 'a' || action == 'r')
        throw error(sqlstate::kForeignKeyViolation,
                    "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
                    parent->name, c.name, child->name)
            .with_detail(fmt::format("Key ({})=({}) is still referenced from table \"{}\".",
                                     column_names(*parent, c.referenced_columns),
                                     key_text(*parts_, change.old_key), child->name))
            .on_table(child->schema_name, child->name)
            .on_constraint(c.name);
      if (action == 'c' && deleted) {
        co_await await_write([&] { return table.remove(id); });
        continue;
      }
      // CASCADE of an update, SET NULL, SET DEFAULT: new values for the referencing columns.
      std::vector<types::Vector> row_values(chunk.columns, chunk.columns + child->columns.size());
      Arena constants;
      std::vector<AttributeNumber> changed;
      for (std::size_t i = 0; i < c.columns.size(); ++i) {
        const auto attribute = c.columns[i];
        if (action == 'n' && deleted && !c.on_delete_columns.empty() &&
            std::find(c.on_delete_columns.begin(), c.on_delete_columns.end(), attribute) ==
                c.on_delete_columns.end())
          continue;
        const auto& column = child->column(attribute);
        types::Value value{column.type, true, {}};
        if (action == 'c') {
          value = convert_key(change.new_key[i], column.type, memory_);
        } else if (action == 'd' && !column.default_sql.empty()) {
          Arena ast;
          const auto path = parts_->search_path(*catalog_);
          auto input = bind_input(*parts_, *catalog_, path);
          input.arena = std::make_shared<Arena>();
          const auto bound =
              binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast), nullptr, input,
                                            &column.type, "DEFAULT expressions");
          expression::RunContext run;
          run.statement = input.statement;
          value = expression::evaluate_constant(*bound, run, memory_);
        }
        row_values[static_cast<std::size_t>(attribute - 1)] =
            types::make_constant(value.datum, value.is_null, column.type.phys, constants);
        changed.push_back(attribute);
      }
      const auto position = static_cast<std::uint16_t>(row);
      types::Chunk written;
      written.columns = row_values.data();
      written.column_count = static_cast<std::uint32_t>(row_values.size());
      written.rows = row + 1;
      written.selection = {&position, 1};
      if (rules == nullptr) rules = std::make_unique<RowRules>(*parts_, child);
      rules->generate(written, [&](std::uint32_t at, const types::Vector& values) {
        row_values[at] = values;
        changed.push_back(static_cast<AttributeNumber>(at + 1));
      });
      rules->check(written);
      exec::NewRows rows{row_values, {}, {}};
      co_await await_write([&] { return table.update(id, changed, rows, row); });
    }
  }
}

}  // namespace rustbd::engine
