// What CREATE TABLE and ALTER TABLE share: columns and constraints from their syntax.
#pragma once

#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

/// Builds a relation step by step, then its indexes and constraints in PostgreSQL's order and with its names.
class TableBuilder {
 public:
  TableBuilder(UtilityContext& context, std::shared_ptr<catalog::Relation> relation)
      : context_(context), relation_(std::move(relation)) {}
  /// A column with its type; constraints on it are remembered. serial types make a sequence (later, in
  /// finish()).
  void add_column(const sql::ColumnDefinition& definition);
  void add_constraint(const sql::Constraint& constraint) { pending_.push_back({&constraint, {}}); }
  void add_like(const sql::LikeClause& clause);
  /// Applies what was remembered: sequences, defaults, NOT NULL, CHECK, keys, foreign keys. Adds indexes to
  /// the relation (their trees are made when the layout is stored). New foreign keys change the referenced
  /// relation's view only.
  Task<> finish();
  [[nodiscard]] catalog::Relation& relation() { return *relation_; }
  /// Indexes that finish() added, to be filled when the table has rows; constraints to be checked against
  /// existing rows.
  [[nodiscard]] const std::vector<std::shared_ptr<catalog::Index>>& new_indexes() const {
    return new_indexes_;
  }
  [[nodiscard]] const std::vector<std::shared_ptr<catalog::Constraint>>& new_constraints() const {
    return new_constraints_;
  }
  /// Columns of which finish() made sequences: serial and identity. Stored by finish() already.
  [[nodiscard]] const std::vector<Oid>& sequences() const { return sequences_; }

 private:
  struct Pending {
    const sql::Constraint* constraint;
    std::string column;
  };
  Task<> make_sequence(catalog::Column& column, std::span<sql::Option* const> options, bool identity,
                       types::TypeRef type);
  void apply_default(catalog::Column& column, const sql::Node& expression);
  void apply_generated(catalog::Column& column, const sql::Node& expression);
  void apply_key(const sql::Constraint& c, const std::string& column);
  void apply_check(const sql::Constraint& c, const std::string& column);
  Task<> apply_foreign_key(const sql::Constraint& c, const std::string& column);
  catalog::Column& column_named(std::string_view name, std::int32_t location);
  std::string constraint_name(const sql::Constraint& c, std::string base);
  UtilityContext& context_;
  std::shared_ptr<catalog::Relation> relation_;
  std::vector<Pending> pending_;
  std::vector<std::pair<std::string, types::TypeRef>> serials_;
  std::vector<std::shared_ptr<catalog::Index>> new_indexes_;
  std::vector<std::shared_ptr<catalog::Constraint>> new_constraints_;
  std::vector<Oid> sequences_;
};

/// Reads sequence options over `options` (defaults by direction). Throws 22023.
void read_sequence_options(std::span<sql::Option* const> list, catalog::SequenceOptions& options,
                           bool is_alter, std::optional<std::int64_t>* restart);
/// Makes a sequence's relation and its storage.
Task<std::shared_ptr<catalog::Relation>> store_sequence(UtilityContext& context, Oid schema, std::string name,
                                                        catalog::SequenceOptions options);
/// It goes on with `value` once the transaction has committed; a rollback leaves it as it was. @pre its lock,
/// ShareRowExclusive or stronger.
Task<> restart_sequence(UtilityContext& context, std::shared_ptr<catalog::Relation> sequence,
                        std::int64_t value);
/// Every row must satisfy the CHECK (or NOT NULL, when `column` is given): throws 23514 or 23502.
Task<> check_existing_rows(UtilityContext& context, std::shared_ptr<const catalog::Relation> relation,
                           const catalog::Constraint* check, const catalog::Column* column);
/// Every row must have its parent: throws 23503.
Task<> check_existing_foreign_key(UtilityContext& context, std::shared_ptr<const catalog::Relation> relation,
                                  const catalog::Constraint& constraint);
/// Drops a relation with its storage, indexes, owned sequences; nothing else may depend on it any more.
Task<> drop_relation(UtilityContext& context, std::shared_ptr<const catalog::Relation> relation);

}  // namespace rustbd::engine
