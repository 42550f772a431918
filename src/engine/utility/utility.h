// DDL and utility statements. Each handler runs inside a transaction, throws Error, and returns the command
// tag.
#pragma once

#include "rustbd/engine/session_parts.h"

namespace rustbd::engine {

/// What a handler gets. `parts.transaction` is running and has begun a statement.
struct UtilityContext {
  Session::Parts& parts;
  ResultSink& sink;
  std::string_view text;  // of the statement
  std::span<const types::Value> parameters{};
  bool top_level = true;
  [[nodiscard]] txn::Transaction& transaction() { return *parts.transaction; }
  [[nodiscard]] catalog::CatalogStore& store() { return parts.database.catalog(); }
  [[nodiscard]] txn::TransactionSystem& system() { return parts.database.transactions(); }
};

/// Dispatches on the statement's kind; 0A000 for what is not there.
Task<std::string> run_utility(UtilityContext& context, const sql::Node& statement);
/// True for statements that may run without a transaction's snapshot and in a failed block (SHOW and such are
/// not).
[[nodiscard]] bool is_transaction_control(const sql::Node& statement);

// table.cc, alter_table.cc
Task<std::string> create_table(UtilityContext&, const sql::CreateTableStatement&);
Task<std::string> create_table_as(UtilityContext&, const sql::CreateTableAsStatement&);
Task<std::string> alter_table(UtilityContext&, const sql::AlterTableStatement&);
Task<std::string> rename_object(UtilityContext&, const sql::RenameStatement&);
Task<std::string> alter_schema_of(UtilityContext&, const sql::AlterSchemaStatement&);
Task<std::string> alter_owner(UtilityContext&, const sql::AlterOwnerStatement&);
Task<std::string> truncate(UtilityContext&, const sql::TruncateStatement&);
// drop.cc
Task<std::string> drop_objects(UtilityContext&, const sql::DropStatement&);
// index.cc
Task<std::string> create_index(UtilityContext&, const sql::CreateIndexStatement&);
/// Adds an index to a relation that is being made or altered (constraints); builds it when the table has
/// rows.
struct IndexRequest {
  std::string name;
  std::vector<catalog::IndexColumn> columns;
  std::vector<catalog::AttributeNumber> included;
  std::string predicate_sql;
  bool unique = false, primary = false, nulls_not_distinct = false, deferrable = false;
  std::string method = "btree";
};
std::shared_ptr<catalog::Index> make_index(UtilityContext&, const catalog::Relation& relation,
                                           const IndexRequest& request);
/// Fills an index of the relation (as now in the transaction's catalog) from its rows. Throws 23505.
Task<> fill_index(UtilityContext&, std::shared_ptr<const catalog::Relation> relation,
                  const catalog::Index& index);
Task<std::string> reindex(UtilityContext&, const sql::ReindexStatement&);
// schema.cc, type.cc, sequence.cc, view.cc, role.cc, comment.cc
Task<std::string> create_schema(UtilityContext&, const sql::CreateSchemaStatement&);
Task<std::string> create_enum(UtilityContext&, const sql::CreateEnumStatement&);
Task<std::string> alter_enum(UtilityContext&, const sql::AlterEnumStatement&);
Task<std::string> create_sequence(UtilityContext&, const sql::CreateSequenceStatement&);
Task<std::string> alter_sequence(UtilityContext&, const sql::AlterSequenceStatement&);
Task<std::string> create_view(UtilityContext&, const sql::CreateViewStatement&);
Task<std::string> create_role(UtilityContext&, const sql::CreateRoleStatement&);
Task<std::string> alter_role(UtilityContext&, const sql::AlterRoleStatement&);
Task<std::string> drop_role(UtilityContext&, const sql::DropRoleStatement&);
Task<std::string> grant(UtilityContext&, const sql::GrantStatement&);
Task<std::string> comment(UtilityContext&, const sql::CommentStatement&);
// copy.cc
Task<std::string> copy(UtilityContext&, const sql::CopyStatement&);
// analyze.cc
Task<std::string> vacuum(UtilityContext&, const sql::VacuumStatement&);
// setting.cc
Task<std::string> set_setting(UtilityContext&, const sql::SetStatement&);
Task<std::string> set_transaction(UtilityContext&, const sql::SetTransactionStatement&);
Task<std::string> show_setting(UtilityContext&, const sql::ShowStatement&);
Task<std::string> discard(UtilityContext&, const sql::DiscardStatement&);
// prepared_sql.cc, cursor.cc, explain.cc, lock.cc
Task<std::string> prepare_sql(UtilityContext&, const sql::PrepareStatement&);
Task<std::string> execute_sql(UtilityContext&, const sql::ExecuteStatement&);
Task<std::string> deallocate(UtilityContext&, const sql::DeallocateStatement&);
Task<std::string> declare_cursor(UtilityContext&, const sql::DeclareCursorStatement&);
Task<std::string> fetch_cursor(UtilityContext&, const sql::FetchStatement&);
Task<std::string> close_cursor(UtilityContext&, const sql::CloseStatement&);
Task<std::string> explain(UtilityContext&, const sql::ExplainStatement&);
Task<std::string> lock_table(UtilityContext&, const sql::LockStatement&);

// shared by the handlers (helpers.cc)
/// Sends rows of text columns as a result set.
Task<> send_text_rows(UtilityContext&, std::span<const std::string> names,
                      std::vector<std::vector<std::optional<std::string>>> rows);
/// A name that no relation or index of the schema has: base, base1, base2, ...
std::string free_name(const catalog::CatalogSnapshot& catalog, Oid schema, std::string base);
/// PostgreSQL's makeObjectName: table_column_suffix cut to 63 bytes.
std::string object_name(std::string_view first, std::string_view second, std::string_view suffix);
/// Serialises creation of one name among those of a class of objects: held to the transaction's end.
Task<> lock_name(UtilityContext&, Oid space, std::string_view name);
/// The same for what gets a name in a schema, which nobody drops meanwhile. Throws 3F000 if it is gone.
Task<> lock_name_in_schema(UtilityContext&, Oid schema, std::string_view name);
/// Held to the transaction's end. `object_class`: the catalog's oid; kPgClass for what lock_relation() locks.
Task<> lock_object(UtilityContext&, Oid object_class, Oid object, txn::TableLockMode mode,
                   bool no_wait = false);
/// Finds an object and locks it. Others may rename, replace or drop it while this waits, so it is found again
/// until what is locked is what is found. `find` gives a shared pointer, or throws what forbids the statement
/// (about what it finds after the wait, too); nullptr comes back: there is none, and that is allowed.
template <class Find>
Task<std::invoke_result_t<const Find&>> find_and_lock(UtilityContext& c, Oid object_class,
                                                      txn::TableLockMode mode, Find find,
                                                      bool no_wait = false) {
  for (;;) {
    const auto found = find();
    if (found == nullptr) co_return found;
    co_await lock_object(c, object_class, found->oid, mode, no_wait);
    const auto again = find();
    if (again == nullptr || again->oid != found->oid) continue;
    begin_statement(c.parts);  // what others committed while it waited belongs to what it works on
    co_return again;
  }
}
/// Takes a foreign key off its table, if both are still there.
Task<> drop_foreign_key(UtilityContext&, const catalog::Constraint& key);
/// The schema a new object goes to: as written, or the first of the search path. Throws 3F000.
Oid target_schema(UtilityContext&, std::string_view schema, std::int32_t location);
/// Nobody drops the enum types of its columns before the transaction's end. Throws 42704 if one is gone.
Task<> lock_column_types(UtilityContext&, const catalog::Relation& relation);
/// Makes a changed copy of a relation current in this transaction: layout (when storage changes), then the
/// object.
Task<> store_relation(UtilityContext&, std::shared_ptr<catalog::Relation> relation, bool layout_changed);
/// "table", "view", ...
std::string_view kind_name(catalog::RelationKind kind);
/// The relation that a statement names, by the search path where it gives no schema. Throws 42P01, or gives
/// nullptr if it may be missing.
std::shared_ptr<const catalog::Relation> named_relation(UtilityContext&, const sql::RelationRef&,
                                                        bool missing_ok = false);
/// Throws 42501 if it is one of the system catalog's.
void refuse_catalog(const catalog::Relation& relation);
/// Throws 42501 if it is one of the system catalog's or the user does not own it.
void require_owned(UtilityContext&, const catalog::Relation& relation);
/// As named_relation(), and require_owned().
std::shared_ptr<const catalog::Relation> owned_relation(UtilityContext&, const sql::RelationRef&,
                                                        bool missing_ok = false);
/// A name's last two parts; no schema: it has one part only.
struct QualifiedName {
  std::string_view schema, name;
};
QualifiedName split_name(std::span<const std::string_view> parts);
/// As PostgreSQL's CheckTableNotInUse(): throws 55006 if a cursor or another portal of this session reads the
/// relation or index, which `statement` ("ALTER TABLE") would change under it.
void require_not_in_use(UtilityContext&, Oid oid, std::string_view name, std::string_view statement);
/// The index of this name, in the schema or on the search path; `other`: the relation that has the name
/// instead.
struct FoundIndex {
  std::shared_ptr<const catalog::Index> index;
  std::shared_ptr<const catalog::Relation> other;
};
FoundIndex find_index(UtilityContext&, std::string_view schema, std::string_view name);
/// As find_index(). Throws 3F000, 42P01 or 42809, if there is none; 42501, if the user doesn't own its table.
std::shared_ptr<const catalog::Index> owned_index(UtilityContext&, std::string_view schema,
                                                  std::string_view name);
/// How a statement names a type: as a type or as any other object.
std::span<const std::string_view> type_name(const sql::ObjectName& name);
/// The enum type of this name, which may give a schema; nullptr if there is none.
std::shared_ptr<const catalog::EnumType> find_enum(UtilityContext&, std::span<const std::string_view> name);
/// As find_enum(). Throws 3F000 or 42704 if there is none, 42501 if the user does not own it.
std::shared_ptr<const catalog::EnumType> owned_enum(UtilityContext&, std::span<const std::string_view> name);
/// Throws 3F000 if there is none, 42501 if the user does not own it.
std::shared_ptr<const catalog::Schema> owned_schema(UtilityContext&, std::string_view name);
/// Throws 42704 if there is none.
std::shared_ptr<const catalog::Role> existing_role(UtilityContext&, std::string_view name);
/// Throws 42704 if the role is gone: others may drop that of a session.
std::string name_of_role(UtilityContext&, Oid role);
/// The role that is meant; empty: PUBLIC.
std::string role_name(UtilityContext&, const sql::RoleSpec&);
Task<> await_outcome(UtilityContext&, std::function<txn::Outcome()> attempt);

}  // namespace rustbd::engine
