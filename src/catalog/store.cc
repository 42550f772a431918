#include "rustbd/catalog/store.h"

#include "rustbd/base/error.h"
#include "rustbd/catalog/object_codec.h"
#include "rustbd/io/run_task.h"
#include "rustbd/types/vector.h"

namespace rustbd::catalog {

namespace {

// Closures that are arguments of a co_await get names: g++ 12 destroys such temporaries twice.
using Apply = std::function<void(CatalogSnapshot&)>;

enum StoredColumn : std::uint16_t { kClass, kOid, kSub, kDefinition, kColumnCount };

storage::TableLayout object_layout(TableId table) {
  storage::TableLayout layout;
  layout.table = table;
  layout.relation = CatalogStore::kObjectTable;
  for (Oid t : {types::oid::kInt4, types::oid::kOid, types::oid::kInt4, types::oid::kBytea})
    layout.columns.push_back({types::make_type(t), true});
  return layout;
}

/// One row as constant vectors.
struct StoredRow {
  Arena arena;
  types::Vector columns[kColumnCount];
  StoredRow(const ObjectKey& key, ByteSpan definition) {
    using types::Datum;
    using types::Phys;
    columns[kClass] = types::make_constant(Datum::of(static_cast<std::int32_t>(key.object_class)), false,
                                           Phys::kI32, arena);
    columns[kOid] = types::make_constant(Datum::of(key.oid), false, Phys::kU32, arena);
    columns[kSub] = types::make_constant(Datum::of(key.sub), false, Phys::kI32, arena);
    columns[kDefinition] =
        types::make_constant(Datum::of(types::Str{as_chars(definition)}), false, Phys::kStr, arena);
  }
};

}  // namespace

storage::TableLayout make_layout(const Relation& relation, TableId table, Oid database) {
  storage::TableLayout layout;
  layout.table = table;
  layout.relation = relation.oid;
  layout.database = database;
  layout.is_sequence = relation.kind == RelationKind::kSequence;
  if (layout.is_sequence) return layout;
  if (relation.layout != nullptr) {
    layout.schema_version = relation.layout->schema_version;
    layout.log_before = relation.layout->log_before;
  }
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const auto& c = relation.columns[i];
    storage::ColumnLayout column;
    if (relation.layout != nullptr && i < relation.layout->columns.size())
      column = relation.layout->columns[i];
    column.type = c.type;
    column.dropped = c.dropped;
    column.nullable = true;
    layout.columns.push_back(std::move(column));
  }
  for (const auto& index : relation.indexes) {
    storage::IndexLayout out;
    out.id = index->tree;
    out.unique = index->unique;
    out.nulls_not_distinct = index->nulls_not_distinct;
    out.deferrable = index->deferrable;
    out.partial = !index->predicate_sql.empty();
    for (const auto& k : index->columns) {
      storage::IndexLayout::Part part;
      part.column = k.attribute == 0 ? storage::IndexLayout::kExpressionColumn
                                     : static_cast<storage::ColumnNumber>(k.attribute - 1);
      part.key = {k.type, k.descending, k.nulls_first};
      out.parts.push_back(part);
    }
    for (auto a : index->included) out.included.push_back(static_cast<storage::ColumnNumber>(a - 1));
    layout.indexes.push_back(std::move(out));
  }
  std::sort(layout.indexes.begin(), layout.indexes.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  return layout;
}

CatalogStore::CatalogStore(txn::TransactionSystem& system,
                           std::vector<std::shared_ptr<const Relation>> builtin)
    : system_(system), builtin_(std::move(builtin)), locker_(system.make_locker(0)) {
  if (system_.layout_of(0, kObjectTable) == nullptr) bootstrap();
  else table_ = std::make_unique<txn::Table>(system_, system_.layout_of(0, kObjectTable));
  load();
}

void CatalogStore::bootstrap() {
  auto txn = system_.begin(*locker_);
  txn->begin_statement();
  try {
    make_builtin(*txn);
  } catch (...) {  // no room
    io::run_blocking(*system_.environment().executor, txn->abort());
    throw;
  }
  const auto outcome = io::run_blocking(*system_.environment().executor, txn->commit());
  if (!outcome.ok()) system_.throw_outcome(outcome, locker_.get());
}

void CatalogStore::make_builtin(txn::Transaction& txn) {
  const auto layout = object_layout(system_.new_table_id());
  const auto require = [&](const txn::Outcome& outcome) {
    if (!outcome.ok()) system_.throw_outcome(outcome, locker_.get());
  };
  require(txn::until_done_blocking([&] { return system_.create_table(txn, layout); }));
  table_ = std::make_unique<txn::Table>(system_, system_.layout_for(txn, 0, kObjectTable));
  const auto insert = [&](const ObjectKey& key, const Bytes& definition) {
    StoredRow row{key, definition};
    RowId id;
    require(txn::until_done_blocking([&] { return table_->insert(txn, {row.columns, 0}, {}, &id); }));
  };
  for (const auto& s : {Schema{oid::kPgCatalog, "pg_catalog", oid::kBootstrapRole, {}},
                        Schema{oid::kInformationSchema, "information_schema", oid::kBootstrapRole, {}},
                        Schema{oid::kPgToast, "pg_toast", oid::kBootstrapRole, {}},
                        Schema{oid::kPublic, "public", 6171, {}}}) {
    Bytes definition;
    encode(s, definition);
    insert({ObjectClass::kSchema, s.oid}, definition);
  }
  const auto role = [&](Oid id, const char* name, bool login) {
    Role r;
    r.oid = id;
    r.name = name;
    r.login = login;
    if (login) r.superuser = r.create_role = r.create_db = r.replication = r.bypass_rls = true;
    Bytes definition;
    encode(r, definition);
    insert({ObjectClass::kRole, id}, definition);
  };
  role(oid::kBootstrapRole, "postgres", true);
  role(6171, "pg_database_owner", false);
  role(6181, "pg_read_all_data", false);
  role(6182, "pg_write_all_data", false);
  role(3373, "pg_monitor", false);
}

void CatalogStore::load() {
  auto snapshot = std::make_shared<CatalogSnapshot>();
  snapshot->version = 1;
  for (const auto& r : builtin_) snapshot->put(r);
  auto txn = system_.begin(*locker_);
  txn->begin_statement();
  const storage::ColumnNumber columns[] = {kClass, kOid, kSub, kDefinition};
  txn::TableScan scan{*table_, txn->view(), columns};
  types::ChunkBuffer buffer;
  std::vector<std::pair<Oid, std::string>> statistics;
  const auto damaged = [](const ObjectKey& key) {
    return error(sqlstate::kDataCorrupted, "catalog object {} of class {} can't be read", key.oid,
                 static_cast<int>(key.object_class));
  };
  for (;;) {
    const auto outcome = txn::until_done_blocking([&] { return scan.next(buffer); });
    if (outcome.status == txn::Status::kEnd) break;
    if (!outcome.ok()) system_.throw_outcome(outcome, locker_.get());
    const auto& chunk = buffer.chunk();
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
      const auto row = chunk.selection[i];
      const ObjectKey key{static_cast<ObjectClass>(chunk[kClass].datum(row).i32), chunk[kOid].datum(row).u32,
                          chunk[kSub].datum(row).i32};
      committed_.rows[key] = RowId{chunk[kColumnCount].datum(row).u64};
      const auto stored = chunk[kDefinition].datum(row);
      const ByteSpan definition = as_bytes(stored.str.view());
      switch (key.object_class) {
        case ObjectClass::kSchema: {
          Schema s;
          if (!decode(definition, &s)) throw damaged(key);
          snapshot->put(std::move(s));
          break;
        }
        case ObjectClass::kRelation: {
          auto r = std::make_shared<Relation>();
          if (!decode(definition, r.get())) throw damaged(key);
          r->layout = system_.layout_of(oid::kDatabasePostgres, r->oid);
          snapshot->put(std::move(r));
          break;
        }
        case ObjectClass::kEnum: {
          auto e = std::make_shared<EnumType>();
          if (!decode(definition, e.get())) throw damaged(key);
          snapshot->put(std::move(e));
          break;
        }
        case ObjectClass::kRole: {
          Role r;
          if (!decode(definition, &r)) throw damaged(key);
          snapshot->put(std::move(r));
          break;
        }
        case ObjectClass::kComment: {
          ByteReader in{definition};
          const auto class_oid = static_cast<Oid>(in.varint());
          committed_.comments[{class_oid, key.oid, static_cast<std::int32_t>(in.signed_varint())}] =
              std::string{in.text()};
          break;
        }
        case ObjectClass::kStatistics:
          statistics.emplace_back(key.oid, std::string{as_chars(definition)});
          break;
      }
    }
  }
  for (const auto& [id, bytes] : statistics) {
    auto relation = snapshot->relation(id);
    if (relation == nullptr) continue;
    auto stats = std::make_shared<TableStatistics>();
    if (!decode(as_bytes(bytes), *relation, stats.get())) continue;  // estimates only: ANALYZE makes new ones
    auto with = std::make_shared<Relation>(*relation);
    with->statistics = std::move(stats);
    snapshot->put(std::move(with));
  }
  link_references(*snapshot);
  raise_object_ids(*snapshot);
  committed_.snapshot = std::move(snapshot);
}

/// The counter of ids is as of the last checkpoint, and replay knows of layouts only.
void CatalogStore::raise_object_ids(const CatalogSnapshot& snapshot) {
  Oid highest = 0;
  const auto in_use = [&](Oid id) { highest = std::max(highest, id); };
  for (const auto& [id, relation] : snapshot.relations()) each_object_id(*relation, in_use);
  for (const auto& [id, type] : snapshot.enums()) each_object_id(*type, in_use);
  if (!snapshot.schemas().empty()) in_use(snapshot.schemas().rbegin()->first);
  if (!snapshot.roles().empty()) in_use(snapshot.roles().rbegin()->first);
  system_.raise_object_id(highest);
}

/// Schema names, and the foreign keys that point to each relation: derived, not stored.
void CatalogStore::link_references(CatalogSnapshot& snapshot) {
  std::map<Oid, std::vector<std::shared_ptr<const Constraint>>> incoming;
  for (const auto& [id, r] : snapshot.relations())
    for (const auto& c : r->constraints)
      if (c->type == ConstraintType::kForeignKey) incoming[c->referenced_relation].push_back(c);
  std::vector<std::shared_ptr<Relation>> changed;
  for (const auto& [id, r] : snapshot.relations()) {
    const auto* schema = snapshot.schema(r->schema);
    const std::string name = schema != nullptr ? schema->name : std::string{};
    auto it = incoming.find(id);
    static const std::vector<std::shared_ptr<const Constraint>> kNone;
    const auto& want = it == incoming.end() ? kNone : it->second;
    if (r->schema_name == name && r->referenced_by == want) continue;
    auto copy = std::make_shared<Relation>(*r);
    copy->schema_name = name;
    copy->referenced_by = want;
    changed.push_back(std::move(copy));
  }
  for (auto& r : changed) snapshot.put(std::move(r));
}

std::shared_ptr<const CatalogSnapshot> CatalogStore::committed() const {
  std::lock_guard lock{mutex_};
  return committed_.snapshot;
}

std::string CatalogStore::comment(const CommentKey& key) const {
  std::lock_guard lock{mutex_};
  auto it = committed_.comments.find(key);
  return it == committed_.comments.end() ? std::string{} : it->second;
}
std::map<CommentKey, std::string> CatalogStore::comments() const {
  std::lock_guard lock{mutex_};
  return committed_.comments;
}

RowId CatalogStore::row_of(const CatalogChanges& changes, const ObjectKey& key) const {
  for (auto it = changes.changes_.rbegin(); it != changes.changes_.rend(); ++it)
    if (it->key == key) return it->row;
  std::lock_guard lock{mutex_};
  auto it = committed_.rows.find(key);
  return it == committed_.rows.end() ? RowId{} : it->second;
}

Task<> CatalogStore::write_row(txn::Transaction& txn, CatalogChanges& changes, ObjectKey key,
                               Bytes definition, std::function<void(CatalogSnapshot&)> apply) {
  StoredRow row{key, definition};
  RowId id = row_of(changes, key);
  txn.next_command();
  txn::Outcome outcome;
  if (id.is_none()) {
    outcome = co_await txn::until_done([&] { return table_->insert(txn, {row.columns, 0}, {}, &id); });
  } else {
    const storage::ColumnNumber changed[] = {kDefinition};
    std::uint64_t accepted = 0;
    for (;;) {
      outcome = co_await txn::until_done([&] {
        return table_->update(txn, id, changed, {&row.columns[kDefinition], 0}, {}, accepted);
      });
      if (outcome.status != txn::Status::kConflict) break;
      // Committed after this statement's snapshot, before the object's lock was ours: the object was read
      // since.
      types::ChunkBuffer buffer;
      const auto newest =
          co_await txn::until_done([&] { return table_->fetch_newest(txn, id, {}, buffer, &accepted); });
      if (!newest.ok()) {
        outcome = newest;
        break;
      }
    }
  }
  if (outcome.status == txn::Status::kConflict || outcome.status == txn::Status::kGone ||
      outcome.status == txn::Status::kSerialization)
    throw error(sqlstate::kSerializationFailure, "tuple concurrently updated");
  if (!outcome.ok()) system_.throw_outcome(outcome, &txn.locker());
  changes.changes_.push_back({key, id, std::move(apply)});
  changes.view_ = nullptr;
  if (!changes.registered_) {
    changes.registered_ = true;
    txn.on_commit([this, &txn, &changes](CommitTimestamp ts) { publish(changes, ts, txn.commit_lsn()); });
  }
}

Task<> CatalogStore::put(txn::Transaction& txn, CatalogChanges& changes, std::shared_ptr<Relation> object) {
  Bytes definition;
  encode(*object, definition);
  const Oid id = object->oid;
  if (object->kind != RelationKind::kView)
    object->layout = system_.layout_for(txn, oid::kDatabasePostgres, id);
  std::shared_ptr<const Relation> shared = std::move(object);
  const Apply apply = [shared](CatalogSnapshot& s) { s.put(shared); };
  co_await write_row(txn, changes, {ObjectClass::kRelation, id}, std::move(definition), apply);
}
Task<> CatalogStore::put(txn::Transaction& txn, CatalogChanges& changes, Schema object) {
  Bytes definition;
  encode(object, definition);
  const Apply apply = [object](CatalogSnapshot& s) { s.put(object); };
  co_await write_row(txn, changes, {ObjectClass::kSchema, object.oid}, std::move(definition), apply);
}
Task<> CatalogStore::put(txn::Transaction& txn, CatalogChanges& changes, EnumType object) {
  Bytes definition;
  encode(object, definition);
  auto shared = std::make_shared<const EnumType>(std::move(object));
  const Apply apply = [shared](CatalogSnapshot& s) { s.put(shared); };
  co_await write_row(txn, changes, {ObjectClass::kEnum, shared->oid}, std::move(definition), apply);
}
Task<> CatalogStore::put(txn::Transaction& txn, CatalogChanges& changes, Role object) {
  Bytes definition;
  encode(object, definition);
  const Apply apply = [object](CatalogSnapshot& s) { s.put(object); };
  co_await write_row(txn, changes, {ObjectClass::kRole, object.oid}, std::move(definition), apply);
}
Task<> CatalogStore::put_statistics(txn::Transaction& txn, CatalogChanges& changes, Oid relation,
                                    TableStatistics statistics) {
  auto of = changes.view()->relation(relation);
  if (of == nullptr) co_return;
  Bytes definition;
  encode(statistics, *of, definition);
  auto shared = std::make_shared<const TableStatistics>(std::move(statistics));
  const Apply apply = [relation, shared](CatalogSnapshot& s) {
    auto now = s.relation(relation);
    if (now == nullptr) return;
    auto copy = std::make_shared<Relation>(*now);
    copy->statistics = shared;
    s.put(std::move(copy));
  };
  co_await write_row(txn, changes, {ObjectClass::kStatistics, relation}, std::move(definition), apply);
}

ObjectKey CatalogStore::comment_object(const CommentKey& key) {
  // The class of the commented object goes into the sub-number beside the column: classes are below 2^16.
  return {ObjectClass::kComment, std::get<1>(key),
          static_cast<std::int32_t>((std::get<0>(key) << 16) |
                                    (static_cast<std::uint32_t>(std::get<2>(key)) & 0xFFFF))};
}

Task<> CatalogStore::put_comment(txn::Transaction& txn, CatalogChanges& changes, CommentKey key,
                                 std::string text) {
  const ObjectKey object = comment_object(key);
  Bytes definition;
  ByteWriter w{definition};
  w.varint(std::get<0>(key));
  w.signed_varint(std::get<2>(key));
  w.text(text);
  const Apply apply = [](CatalogSnapshot&) {};
  co_await write_row(txn, changes, object, std::move(definition), apply);
  txn.on_commit([this, key, text](CommitTimestamp) {
    std::lock_guard lock{mutex_};
    if (text.empty()) committed_.comments.erase(key);
    else committed_.comments[key] = text;
  });
}

Task<> CatalogStore::remove(txn::Transaction& txn, CatalogChanges& changes, ObjectClass object_class,
                            Oid id) {
  const ObjectKey key{object_class, id};
  const RowId row = row_of(changes, key);
  if (row.is_none()) co_return;
  txn.next_command();
  txn::Outcome outcome;
  std::uint64_t accepted = 0;
  for (;;) {
    outcome = co_await txn::until_done([&] { return table_->remove(txn, row, {}, accepted); });
    if (outcome.status != txn::Status::kConflict) break;
    types::ChunkBuffer buffer;
    const auto newest =
        co_await txn::until_done([&] { return table_->fetch_newest(txn, row, {}, buffer, &accepted); });
    if (!newest.ok()) {
      outcome = newest;
      break;
    }
  }
  if (outcome.status == txn::Status::kConflict || outcome.status == txn::Status::kGone ||
      outcome.status == txn::Status::kSerialization)
    throw error(sqlstate::kSerializationFailure, "tuple concurrently deleted");
  if (!outcome.ok()) system_.throw_outcome(outcome, &txn.locker());
  changes.changes_.push_back({key, RowId{}, [object_class, id](CatalogSnapshot& s) {
                                switch (object_class) {
                                  case ObjectClass::kSchema: s.remove_schema(id); break;
                                  case ObjectClass::kRelation: s.remove_relation(id); break;
                                  case ObjectClass::kEnum: s.remove_enum(id); break;
                                  case ObjectClass::kRole: s.remove_role(id); break;
                                  default: break;
                                }
                              }});
  changes.view_ = nullptr;
  if (!changes.registered_) {
    changes.registered_ = true;
    txn.on_commit([this, &txn, &changes](CommitTimestamp ts) { publish(changes, ts, txn.commit_lsn()); });
  }
  if (object_class == ObjectClass::kRelation) co_await remove(txn, changes, ObjectClass::kStatistics, id);
}

void CatalogChanges::truncate(std::size_t position) {
  changes_.resize(position);
  view_ = nullptr;
  if (position == 0) registered_ = false;  // the next transaction arranges its own publication
}

std::shared_ptr<const CatalogSnapshot> CatalogChanges::view() {
  auto base = store_.committed();
  if (changes_.empty()) return base;
  if (view_ != nullptr && view_base_ == base->version) return view_;
  auto next = std::make_shared<CatalogSnapshot>(*base);
  for (const auto& c : changes_) c.apply(*next);
  store_.link_references(*next);
  // A version that no other view has: plans of it are not taken for plans of another.
  next->version = base->version + (std::uint64_t{1} << 63) + (++views_ << 40);
  view_base_ = base->version;
  view_ = std::move(next);
  return view_;
}

std::shared_ptr<const CatalogSnapshot> CatalogChanges::session_view() {
  if (!changes_.empty()) return view();
  if (seen_ == nullptr || seen_->version != store_.version()) {
    auto owner = std::make_shared<std::shared_ptr<const CatalogSnapshot>>(store_.committed());
    const auto* snapshot = owner->get();
    seen_ = {std::move(owner), snapshot};
  }
  return seen_;
}

void CatalogStore::publish(CatalogChanges& changes, CommitTimestamp ts, Lsn lsn) {
  changes.registered_ = false;
  if (changes.changes_.empty()) return;
  std::lock_guard lock{mutex_};
  auto next = std::make_shared<CatalogSnapshot>(*committed_.snapshot);
  for (const auto& c : changes.changes_) {
    c.apply(*next);
    if (c.row.is_none()) committed_.rows.erase(c.key);
    else committed_.rows[c.key] = c.row;
  }
  link_references(*next);
  next->version = committed_.snapshot->version + 1;
  next->commit_ts = ts;
  next->commit_lsn = lsn;
  version_.store(next->version, std::memory_order_release);
  committed_.snapshot = std::move(next);
  changes.changes_.clear();
}

}  // namespace rustbd::catalog
