// Foreign keys: children look for their parent, changed parents look for children and act on them (query.md
// §10.6).
#include "rustbd/engine/access/key_equality.h"
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

[[noreturn]] void throw_incomparable(const catalog::Constraint& constraint) {
  throw error(sqlstate::kDatatypeMismatch, "foreign key constraint \"{}\" cannot be implemented",
              constraint.name);
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
  auto io = parts_->session.io_context();
  io.arena = &memory_;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& given = key[order[i]];
    const auto& type = parent.column(index->columns[i].attribute).type;
    const auto equality = KeyEquality::of(type, given.type);
    if (!equality) throw_incomparable(constraint);
    const auto value = equality->to_referenced(given.datum, io);
    if (!value) co_return false;  // no such value, so no such key
    ordered.push_back({type, false, *value});
  }
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

/// What one change of a referenced key does to the rows that refer to it.
class StatementAccess::KeyAction {
 public:
  KeyAction(StatementAccess& access, const ParentChange& change,
            std::shared_ptr<const catalog::Relation> parent, LocalTable& table);
  Task<> run();

 private:
  using Write = std::function<exec::WriteFlow()>;
  /// Whether the row of all the table's columns refers to the old key.
  bool refers(const types::Chunk& chunk, std::uint32_t row);
  bool open_scan();
  Task<> act(RowId id, const types::Chunk& chunk, std::uint32_t row);
  Task<exec::WriteResult> update(RowId id, const types::Chunk& image, std::uint32_t row);
  Task<exec::WriteResult> settle(Write attempt);
  types::Value new_value(std::size_t position);
  types::Value cascaded(const types::Value& value, const catalog::Column& column);
  types::Value default_of(const catalog::Column& column);
  [[noreturn]] void throw_still_referenced();

  StatementAccess& access_;
  Session::Parts& parts_;
  const ParentChange& change_;
  const catalog::Constraint& constraint_;
  std::shared_ptr<const catalog::Relation> parent_, child_;
  LocalTable& table_;
  const bool deleted_;
  const char action_;
  std::vector<KeyEquality> equality_;  // of each column of the key
  std::vector<types::Datum> key_;      // the old one, as equality_ compares it
  std::vector<storage::ColumnNumber> all_;
  std::vector<plan::TargetColumn> targets_;  // the same
  std::unique_ptr<txn::IndexScan> by_index_;
  std::unique_ptr<txn::TableScan> by_scan_;
  std::unique_ptr<RowRules> rules_;  // of rows that the action writes
  Arena scratch_;                    // of comparisons
  types::IoContext io_;
};

StatementAccess::KeyAction::KeyAction(StatementAccess& access, const ParentChange& change,
                                      std::shared_ptr<const catalog::Relation> parent, LocalTable& table)
    : access_(access),
      parts_(*access.parts_),
      change_(change),
      constraint_(*change.constraint),
      parent_(std::move(parent)),
      child_(table.relation()),
      table_(table),
      deleted_(change.new_key.empty()),
      action_(deleted_ ? constraint_.on_delete : constraint_.on_update),
      io_(parts_.session.io_context()) {
  io_.arena = &scratch_;
  for (storage::ColumnNumber i = 0; i < child_->columns.size(); ++i) {
    all_.push_back(i);
    targets_.push_back({static_cast<AttributeNumber>(i + 1), 0});
  }
}

/// False: no value of the referencing columns equals the key.
bool StatementAccess::KeyAction::open_scan() {
  auto io = io_;
  io.arena = &access_.memory_;
  bool by_key = true;
  for (std::size_t i = 0; i < change_.old_key.size(); ++i) {
    const auto& old = change_.old_key[i];
    const auto equality = KeyEquality::of(old.type, child_->column(constraint_.columns[i]).type);
    if (!equality) throw_incomparable(constraint_);
    const auto key = equality->referenced(old.datum, io);
    if (!key) return false;
    equality_.push_back(*equality);
    key_.push_back(*key);
    by_key = by_key && equality->finds_referencing();
  }
  std::vector<std::size_t> order;
  const auto* index = by_key ? index_on(*child_, constraint_.columns, false, order) : nullptr;
  if (index == nullptr) {
    by_scan_ = std::make_unique<txn::TableScan>(table_.table(), access_.check_view_, all_);
    return true;
  }
  std::vector<types::Value> ordered;
  for (const auto o : order) {
    const auto value = equality_[o].to_referencing(change_.old_key[o].datum, io);
    if (!value) return false;
    ordered.push_back({child_->column(constraint_.columns[o]).type, false, *value});
  }
  Bytes encoded;
  table_.encode_key(*table_.table().layout().find_index(index->tree), ordered, encoded);
  by_index_ = std::make_unique<txn::IndexScan>(table_.table(), index->tree, access_.check_view_,
                                               txn::KeyRange::equal(std::move(encoded)),
                                               txn::ScanDirection::kForward, all_);
  return true;
}

bool StatementAccess::KeyAction::refers(const types::Chunk& chunk, std::uint32_t row) {
  for (std::size_t i = 0; i < key_.size(); ++i) {
    const auto& v = chunk[static_cast<std::size_t>(constraint_.columns[i] - 1)];
    if (!v.is_valid(row)) return false;
    const auto value = equality_[i].referencing(v.datum(row), io_);
    if (!value || !equality_[i].same(*value, key_[i])) return false;
  }
  return true;
}

Task<> StatementAccess::KeyAction::run() {
  if (!open_scan()) co_return;
  types::ChunkBuffer buffer;
  for (;;) {
    const auto outcome = by_index_ ? by_index_->next(buffer) : by_scan_->next(buffer);
    if (outcome.blocked()) {
      co_await wait(parts_, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd) co_return;
    if (!outcome.ok()) access_.throw_outcome(outcome);
    const auto& chunk = buffer.chunk();
    scratch_.reset();
    for (std::uint32_t n = 0; n < chunk.selection.count; ++n) {
      const auto row = chunk.selection[n];
      if (!refers(chunk, row)) continue;
      if (action_ == 'a' || action_ == 'r') throw_still_referenced();
      access_.acted_ = true;
      co_await act(RowId{chunk[child_->columns.size()].datum(row).u64}, chunk, row);
    }
  }
}

void StatementAccess::KeyAction::throw_still_referenced() {
  throw error(sqlstate::kForeignKeyViolation,
              "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
              parent_->name, constraint_.name, child_->name)
      .with_detail(fmt::format("Key ({})=({}) is still referenced from table \"{}\".",
                               column_names(*parent_, constraint_.referenced_columns),
                               key_text(parts_, change_.old_key), child_->name))
      .on_table(child_->schema_name, child_->name)
      .on_constraint(constraint_.name);
}

Task<exec::WriteResult> StatementAccess::KeyAction::settle(Write attempt) {
  for (;;) {
    const auto flow = attempt();
    if (flow.result != exec::WriteResult::kBlocked) co_return flow.result;
    co_await wait(parts_, flow.token);
  }
}

Task<> StatementAccess::KeyAction::act(RowId id, const types::Chunk& chunk, std::uint32_t row) {
  types::ChunkBuffer newest;
  const types::Chunk* image = &chunk;
  for (;;) {
    const auto result = action_ == 'c' && deleted_ ? co_await settle([&] { return table_.remove(id); })
                                                   : co_await update(id, *image, row);
    if (result != exec::WriteResult::kChanged) co_return;
    // READ COMMITTED: somebody committed a newer version. If that one refers to the key still, it is acted
    // on.
    for (;;) {
      const auto flow = table_.fetch_newest(id, targets_, true, newest);
      if (flow.state == exec::State::kFinished) co_return;
      if (flow.state != exec::State::kBlocked) break;
      co_await wait(parts_, flow.token);
    }
    image = &newest.chunk();
    row = image->selection[0];
    if (!refers(*image, row)) co_return;
  }
}

/// CASCADE of an update, SET NULL, SET DEFAULT: new values for the referencing columns.
Task<exec::WriteResult> StatementAccess::KeyAction::update(RowId id, const types::Chunk& image,
                                                           std::uint32_t row) {
  std::vector<types::Vector> values(image.columns, image.columns + child_->columns.size());
  Arena constants;
  std::vector<AttributeNumber> changed;
  const auto& some = constraint_.on_delete_columns;
  for (std::size_t i = 0; i < constraint_.columns.size(); ++i) {
    const auto attribute = constraint_.columns[i];
    if (action_ == 'n' && deleted_ && !some.empty() &&
        std::find(some.begin(), some.end(), attribute) == some.end())
      continue;
    const auto value = new_value(i);
    values[static_cast<std::size_t>(attribute - 1)] =
        types::make_constant(value.datum, value.is_null, value.type.phys, constants);
    changed.push_back(attribute);
  }
  const auto position = static_cast<std::uint16_t>(row);
  types::Chunk written;
  written.columns = values.data();
  written.column_count = static_cast<std::uint32_t>(values.size());
  written.rows = row + 1;
  written.selection = {&position, 1};
  if (rules_ == nullptr) rules_ = std::make_unique<RowRules>(parts_, child_);
  rules_->generate(written, [&](std::uint32_t at, const types::Vector& generated) {
    values[at] = generated;
    changed.push_back(static_cast<AttributeNumber>(at + 1));
  });
  rules_->check(written);
  const exec::NewRows rows{values, {}, {}};
  co_return co_await settle([&] { return table_.update(id, changed, rows, row); });
}

types::Value StatementAccess::KeyAction::new_value(std::size_t position) {
  const auto& column = child_->column(constraint_.columns[position]);
  if (action_ == 'c') return cascaded(change_.new_key[position], column);
  if (action_ == 'd' && !column.default_sql.empty()) return default_of(column);
  return {column.type, true, {}};
}

/// As an assignment brings it into the column: it may not fit, or be another value.
types::Value StatementAccess::KeyAction::cascaded(const types::Value& value, const catalog::Column& column) {
  if (value.is_null) return {column.type, true, {}};
  if (value.type == column.type) return value;
  const auto path = parts_.search_path(*access_.catalog_);
  auto input = bind_input(parts_, *access_.catalog_, path);
  input.arena = std::make_shared<Arena>();
  const auto bound = binder::coerce_for_assignment(expression::make_constant(value), column.type, input);
  if (bound == nullptr)
    throw error(sqlstate::kDatatypeMismatch, "column \"{}\" is of type {} but expression is of type {}",
                column.name, types::format_type(column.type.oid), types::format_type(value.type.oid));
  expression::RunContext run;
  run.statement = input.statement;
  return expression::evaluate_constant(*bound, run, access_.memory_);
}

types::Value StatementAccess::KeyAction::default_of(const catalog::Column& column) {
  Arena ast;
  const auto path = parts_.search_path(*access_.catalog_);
  auto input = bind_input(parts_, *access_.catalog_, path);
  input.arena = std::make_shared<Arena>();
  const auto bound = binder::bind_table_expression(*sql::parse_expression(column.default_sql, ast), nullptr,
                                                   input, &column.type, "DEFAULT expressions");
  expression::RunContext run;
  run.statement = input.statement;
  return expression::evaluate_constant(*bound, run, access_.memory_);
}

Task<> StatementAccess::apply_parent_change(const ParentChange& change) {
  const auto& c = *change.constraint;
  const auto known = catalog_->relation(c.relation), parent = catalog_->relation(c.referenced_relation);
  if (known == nullptr || parent == nullptr) co_return;
  // NO ACTION asks at the end only: somebody else may have the key by now.
  const char action = change.new_key.empty() ? c.on_delete : c.on_update;
  if (action == 'a' && co_await hold_parent(c, change.old_key)) co_return;
  KeyAction act{*this, change, parent, local(known)};
  co_await act.run();
}

}  // namespace rustbd::engine
