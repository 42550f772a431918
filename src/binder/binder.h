// AST + catalog -> logical plan: the only place where a name becomes a number (query.md §3).
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rustbd/catalog/snapshot.h"
#include "rustbd/plan/logical.h"
#include "rustbd/sql/ast.h"

namespace rustbd::binder {

/// What binding depends on. All outlives the call; `parameters` is in and out.
struct BindInput {
  const catalog::CatalogSnapshot* catalog = nullptr;
  /// Schemas searched for unqualified names, in order, implicit ones (temporary, pg_catalog) included.
  std::span<const Oid> search_path{};
  /// For input functions of literals (settings, names of objects) and `now`-like constants.
  functions::StatementContext* statement = nullptr;
  /// Types of $1..$n: declared ones (oid::kUnknown: to be found), completed by binding. nullptr: no
  /// parameters allowed.
  std::vector<types::TypeRef>* parameters = nullptr;
  std::string_view database = "postgres";
  /// Where strings of constants live; for bind() the plan shares it. nullptr: bind() makes one, the
  /// expression forms need it.
  std::shared_ptr<Arena> arena;
  /// Relations that names were found to mean, also when binding fails later (optional).
  std::vector<Oid>* opened = nullptr;
};

/// SELECT, VALUES, INSERT, UPDATE, DELETE. MERGE answers 0A000. Throws Error with position.
std::unique_ptr<plan::LogicalPlan> bind(const sql::Node& statement, BindInput& input);

/// A type by name, with its modifier (throws 42704 `type "x" does not exist`).
types::TypeRef bind_type(const sql::TypeName& name, const BindInput& input);

/// The relation that a name means; throws 42P01 `relation "x" does not exist` (nullptr when missing_ok).
std::shared_ptr<const catalog::Relation> find_relation(const sql::RelationRef& name, const BindInput& input,
                                                       bool missing_ok = false);

/// An expression over the columns of one relation (DEFAULT, CHECK, index and generation expressions, partial
/// index predicates). Columns are kColumn with ids attnum (ColumnId = attnum). `target` != nullptr: coerced
/// as in assignment. `what`: "CHECK constraints", "DEFAULT expressions", "index expressions", ... for error
/// texts; subqueries, aggregates, window and set-returning functions are refused.
plan::ExpressionPtr bind_table_expression(const sql::Node& node, const catalog::Relation* relation,
                                          BindInput& input, const types::TypeRef* target,
                                          std::string_view what);
/// For EXECUTE and the like: an expression without columns, coerced to `target`.
plan::ExpressionPtr bind_constant_expression(const sql::Node& node, BindInput& input,
                                             const types::TypeRef& target);

/// ALTER COLUMN TYPE ... USING, SET DEFAULT checks: coerces a bound expression as an assignment does; nullptr
/// if there is no such cast.
plan::ExpressionPtr coerce_for_assignment(plan::ExpressionPtr value, const types::TypeRef& target,
                                          BindInput& input);

}  // namespace rustbd::binder
