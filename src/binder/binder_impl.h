// The state of binding one statement. Internal to this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "rustbd/base/error.h"
#include "rustbd/binder/binder.h"
#include "rustbd/binder/overload.h"

namespace rustbd::binder {

using expression::Expression;
using expression::ExpressionPtr;
using expression::Kind;
using functions::CastContext;
using plan::ColumnId;
using plan::LogicalKind;
using plan::LogicalNode;
using plan::LogicalPtr;
using types::TypeRef;
namespace oid = types::oid;

struct NamedColumn {
  std::string name;
  ColumnId id;
};

/// A FROM item as qualified names see it.
struct ScopeTable {
  std::string alias;
  std::string schema;  // of a base relation without alias; else empty
  std::vector<NamedColumn> columns;
  LogicalNode* get = nullptr;  // base relation: row id and system columns on demand
  std::shared_ptr<const catalog::Relation> relation;
  bool aliased = false;
  bool only_columns = false;  // join alias or unaliased subquery: never matched by name
};

/// What names mean at one place: tables for `t.x`, `star` for `x` and `*`.
struct Scope {
  std::vector<ScopeTable> tables;
  std::vector<NamedColumn> star;
};

struct OutputColumn {
  std::string name;
  ColumnId id = 0;
  TypeRef type;
  Oid relation = 0;
  catalog::AttributeNumber attribute = 0;
};

struct QueryLevel;

/// A CTE in scope: its number and what scans of it deliver.
struct CteEntry {
  std::string name;
  std::uint32_t number = 0;
  std::vector<OutputColumn> columns;
  bool is_work_table = false;  // being defined: references are to the work table
  bool forward = false;        // declared later in a non-recursive WITH: only for the error
  std::uint32_t references = 0;
  const QueryLevel* work_level = nullptr;  // the one whose FROM has the reference to the work table
};

/// One SELECT (or DML) being bound.
struct QueryLevel {
  QueryLevel* parent = nullptr;
  Scope scope;
  bool hidden = false;  // names of this level may not be seen now (non-lateral subquery in FROM)
  std::vector<std::shared_ptr<CteEntry>> ctes;
  std::unordered_set<ColumnId> own_columns;  // delivered by this level's FROM
  std::vector<ColumnId> correlated;          // of outer levels, used in here
  // Clauses
  const char* clause = "";  // "WHERE", "JOIN conditions", ...: for messages
  bool allow_aggregates = false, allow_windows = false, allow_srf = false;
  bool in_aggregate = false, in_window = false;
  std::vector<plan::ComputedColumn> aggregates;
  std::vector<LogicalNode::Grouping> grouping_calls;
  std::vector<std::pair<ColumnId, std::vector<ExpressionPtr>>> grouping_arguments;  // of GROUPING(), bound
  struct WindowCall {
    ColumnId id;
    ExpressionPtr call;
    std::vector<ExpressionPtr> partition_by;
    std::vector<expression::OrderKey> order_by;
    LogicalNode::Frame frame;
    ExpressionPtr frame_start, frame_end;
  };
  std::vector<WindowCall> windows;
  sql::List<sql::WindowDefinition*> window_definitions;
  struct SrfCall {
    std::vector<ColumnId> columns;
    ExpressionPtr call;
  };
  std::vector<SrfCall> srfs;
  bool resolve_unknowns = true;  // unknown literals of the select list become text
};

struct BoundQuery {
  LogicalPtr root;
  std::vector<OutputColumn> columns;
  std::vector<ColumnId> correlated;  // columns of enclosing levels that it uses
};

/// A FROM item: its plan and its names.
struct FromItem {
  LogicalPtr node;
  Scope scope;
  std::vector<ColumnId> lateral;  // columns of items to its left that it uses
};

class Binder {
 public:
  explicit Binder(BindInput& input) : input_(input), plan_(std::make_unique<plan::LogicalPlan>()) {
    if (input.arena != nullptr) plan_->arena = input.arena;
  }

  std::unique_ptr<plan::LogicalPlan> bind_statement(const sql::Node& statement);
  ExpressionPtr bind_over_relation(const sql::Node& node, const catalog::Relation* relation,
                                   const TypeRef* target, std::string_view what);
  ExpressionPtr bind_constant(const sql::Node& node, const TypeRef& target);

  // coerce.cc
  ExpressionPtr coerce(ExpressionPtr value, const TypeRef& target, CastContext context,
                       std::int32_t location);
  /// nullptr when there is no such cast.
  ExpressionPtr try_coerce(ExpressionPtr value, const TypeRef& target, CastContext context);
  /// As try_coerce to the bare type, then the modifier: what a column assignment does.
  ExpressionPtr coerce_to_column(ExpressionPtr value, const TypeRef& target, std::string_view column,
                                 std::int32_t location);
  ExpressionPtr apply_modifier(ExpressionPtr value, const TypeRef& target, bool is_explicit);
  ExpressionPtr to_physical(ExpressionPtr value, const TypeRef& target);
  ExpressionPtr coerce_to_boolean(ExpressionPtr value, std::string_view what);
  /// The common type of expressions (UNION, CASE, COALESCE, ...); converts them all.
  TypeRef unify(std::vector<ExpressionPtr*> values, std::string_view what);
  TypeRef common_type(std::span<const TypeRef> types, std::string_view what, std::int32_t location);
  ExpressionPtr resolve_unknown(ExpressionPtr value);  // unknown -> text

  // expression.cc
  ExpressionPtr bind_expression(const sql::Node* node, QueryLevel& level);

 private:
  friend std::unique_ptr<plan::LogicalPlan> bind(const sql::Node&, BindInput&);

  // column_reference.cc
  ExpressionPtr column_reference(const sql::ColumnRef& ref, QueryLevel& level);
  ExpressionPtr find_unqualified(const std::string& name, QueryLevel& level, std::int32_t location);
  ExpressionPtr make_column_use(ColumnId id, QueryLevel& from, QueryLevel& owner, std::int32_t location);
  std::optional<ColumnId> system_column(ScopeTable& table, std::string_view name, QueryLevel& owner);
  ScopeTable* find_table(Scope& scope, std::string_view schema, std::string_view name);
  ExpressionPtr whole_row(ScopeTable& table, QueryLevel& from, QueryLevel& owner, std::int32_t location);
  [[noreturn]] void missing_table(std::string_view name, QueryLevel& level, std::int32_t location);
  void expand_star(const sql::ColumnRef& ref, QueryLevel& level,
                   std::vector<std::pair<std::string, ExpressionPtr>>& out);

  // from.cc
  FromItem bind_from_list(sql::NodeList items, QueryLevel& level);
  FromItem bind_from_item(const sql::Node* node, QueryLevel& level);
  FromItem bind_relation(const sql::RelationRef& ref, QueryLevel& level);
  FromItem bind_stored(const std::shared_ptr<const catalog::Relation>& relation, const sql::RelationRef& ref,
                       QueryLevel& level);
  FromItem bind_subquery(BoundQuery query, const sql::Alias* alias, std::string_view default_alias,
                         std::int32_t location);
  FromItem bind_range_function(const sql::RangeFunction& range, QueryLevel& level);
  FromItem bind_join(const sql::JoinExpression& join, QueryLevel& level);
  FromItem scan_cte(CteEntry& cte, const sql::RelationRef& ref, const QueryLevel& level);
  void add_to_scope(Scope& to, Scope& from, std::int32_t location);
  LogicalPtr join_nodes(LogicalPtr left, LogicalPtr right, plan::JoinType type, ExpressionPtr condition,
                        bool dependent);
  std::vector<ColumnId> delivered(const LogicalNode& node);
  LogicalNode* add_get(FromItem& item, const std::shared_ptr<const catalog::Relation>& relation,
                       std::string alias);
  void require(Oid relation, std::uint32_t kinds, catalog::AttributeNumber column = 0);

  // select.cc, grouping.cc
  struct Target {
    std::string name;
    ExpressionPtr expression;
    bool hidden = false;
    Oid relation = 0;
    catalog::AttributeNumber attribute = 0;
  };
  struct SortItem {
    std::uint32_t target;
    bool descending;
    bool nulls_first;
  };
  BoundQuery bind_select(const sql::SelectStatement& select, QueryLevel* parent, bool resolve_unknowns = true,
                         bool hide_parent = false);
  BoundQuery bind_plain_select(const sql::SelectStatement& select, QueryLevel& level);
  BoundQuery bind_locking_select(const sql::SelectStatement& select, QueryLevel& level, LogicalPtr root,
                                 std::vector<Target> targets, const std::vector<SortItem>& sort,
                                 ExpressionPtr where);
  std::vector<Target> bind_targets(sql::List<sql::TargetItem*> items, QueryLevel& level);
  std::vector<SortItem> bind_order_by(sql::List<sql::SortItem*> items, std::vector<Target>& targets,
                                      QueryLevel& level, bool allow_hidden);
  std::uint32_t sort_target(const sql::Node* node, std::vector<Target>& targets, QueryLevel& level,
                            bool allow_hidden, const char* clause);
  void sort_direction(const sql::SortItem& item, bool& descending, bool& nulls_first);
  LogicalPtr group(LogicalPtr root, const sql::SelectStatement& select, QueryLevel& level,
                   std::vector<Target>& targets, ExpressionPtr having);
  LogicalPtr add_windows(LogicalPtr root, QueryLevel& level);
  LogicalPtr add_set_returning(LogicalPtr root, QueryLevel& level, std::vector<Target>& targets);
  /// A column of an enclosing query. What a query delivers has numbers of its own, so project() and group()
  /// copy those: an outer join may fill the copy with NULLs, and the same number on both sides of a join
  /// would mean two things.
  static bool is_outer(const Expression& e, const QueryLevel& level);
  LogicalPtr project(LogicalPtr root, std::vector<Target>& targets, std::vector<ColumnId>& ids,
                     const QueryLevel& level);
  LogicalPtr add_limit(LogicalPtr root, const sql::SelectStatement& select, QueryLevel& level);
  LogicalPtr make_sort(LogicalPtr root, std::vector<plan::SortKey> keys);
  std::string target_name(const sql::Node* node);

  // set_operation.cc, cte.cc
  BoundQuery bind_set_operation(const sql::SelectStatement& select, QueryLevel& level);
  BoundQuery combine(plan::SetOperationKind kind, bool all, BoundQuery left, BoundQuery right,
                     std::string_view name, const sql::SelectStatement& right_tree);
  BoundQuery bind_values(const sql::SelectStatement& select, QueryLevel& level);
  void order_and_limit(BoundQuery& query, const sql::SelectStatement& select, QueryLevel& level);
  void convert_outputs(BoundQuery& query, std::span<const TypeRef> types);
  using CteDefinitions = std::vector<std::pair<std::shared_ptr<CteEntry>, LogicalPtr>>;
  void bind_with(const sql::WithClause* with, QueryLevel& level, CteDefinitions& out);
  LogicalPtr wrap_ctes(LogicalPtr root, CteDefinitions& definitions);
  LogicalPtr bind_recursive(const sql::CommonTableExpression& cte, CteEntry& entry, QueryLevel& level);

  // expression.cc, call.cc
  ExpressionPtr literal(const sql::Literal& literal);
  ExpressionPtr parameter(const sql::ParameterRef& ref);
  ExpressionPtr type_cast(const sql::TypeCast& cast, QueryLevel& level);
  ExpressionPtr case_expression(const sql::CaseExpression& node, QueryLevel& level);
  ExpressionPtr any_all(const sql::AnyAllExpression& node, QueryLevel& level);
  ExpressionPtr sub_link(const sql::SubLink& node, QueryLevel& level);
  ExpressionPtr row_sub_link(const sql::OperatorExpression& node, QueryLevel& level);
  /// Binds `test` and compares it with what the query delivers, into `sub` and into `out`'s args.
  void compare_with_subquery(const sql::Node& test, std::string_view op, const BoundQuery& query,
                             plan::Subplan& sub, Expression& out, QueryLevel& level);
  ExpressionPtr in_list(const sql::InExpression& node, QueryLevel& level);
  ExpressionPtr between(const sql::BetweenExpression& node, QueryLevel& level);
  ExpressionPtr like(const sql::LikeExpression& node, QueryLevel& level);
  ExpressionPtr null_test(const sql::NullTest& node, QueryLevel& level);
  ExpressionPtr distinct_test(const sql::DistinctExpression& node, QueryLevel& level);
  ExpressionPtr array_constructor(const sql::ArrayExpression& node, QueryLevel& level,
                                  const TypeRef* element);
  ExpressionPtr indirection(const sql::Indirection& node, QueryLevel& level);
  ExpressionPtr value_function(const sql::SqlValueFunction& node, QueryLevel& level);
  ExpressionPtr row_comparison(std::string_view op, std::vector<ExpressionPtr> left,
                               std::vector<ExpressionPtr> right, std::int32_t location);
  std::vector<ExpressionPtr> row_fields(ExpressionPtr row);
  ExpressionPtr min_max(const sql::MinMaxExpression& node, QueryLevel& level);
  ExpressionPtr function_call(const sql::FunctionCall& call, QueryLevel& level);
  /// The arguments as written; `names` gets those of the named ones, which stand last.
  std::vector<ExpressionPtr> bind_arguments(const sql::FunctionCall& call, QueryLevel& level,
                                            std::vector<std::string_view>* names);
  [[noreturn]] void throw_no_function(const sql::FunctionCall& call, std::span<const ExpressionPtr> args,
                                      bool ambiguous) const;
  /// row_number and the like: functions that exist only with OVER. `result` 0: the type of the first
  /// argument.
  ExpressionPtr window_only_call(const sql::FunctionCall& call, Oid result, std::vector<ExpressionPtr> args,
                                 QueryLevel& level);
  ExpressionPtr chosen_aggregate(const Candidate& chosen, const sql::FunctionCall& call,
                                 std::vector<ExpressionPtr> args, QueryLevel& level);
  /// Puts named arguments in their places, fills in defaults and gathers variadic ones.
  ExpressionPtr chosen_function(Candidate& chosen, const sql::FunctionCall& call,
                                std::vector<ExpressionPtr> args, std::span<const std::string_view> names);
  /// Set-returning calls become columns of a node below the projection.
  ExpressionPtr set_returning_call(ExpressionPtr call, QueryLevel& level, std::int32_t location);
  ExpressionPtr aggregate_call(const functions::AggregateDeclaration& declaration,
                               const sql::FunctionCall& call, std::vector<ExpressionPtr> args,
                               QueryLevel& level);
  ExpressionPtr window_call(const sql::FunctionCall& call, ExpressionPtr function, QueryLevel& level);
  void bind_window(const sql::WindowDefinition& definition, QueryLevel& level, QueryLevel::WindowCall& out);
  ExpressionPtr grouping_function(const sql::GroupingFunction& node, QueryLevel& level);
  /// operator over bound operands (left == nullptr: prefix).
  ExpressionPtr apply_operator(std::string_view op, ExpressionPtr left, ExpressionPtr right,
                               std::int32_t location);
  ExpressionPtr call_function(const functions::FunctionDeclaration& declaration,
                              std::vector<ExpressionPtr> args, std::span<const Oid> argument_types,
                              std::int32_t location);
  /// A built-in by its name and bound arguments.
  ExpressionPtr call_builtin(std::string_view name, std::vector<ExpressionPtr> args, std::int32_t location);
  functions::ResolvedFunction equality_for(const TypeRef& type, std::int32_t location);
  TypeRef set_returning_columns(const Expression& call,
                                std::vector<std::pair<std::string, TypeRef>>& columns);

  // modify.cc
  LogicalPtr bind_insert(const sql::InsertStatement& insert, QueryLevel* parent,
                         std::vector<OutputColumn>& returning);
  LogicalPtr bind_update(const sql::UpdateStatement& update, QueryLevel* parent,
                         std::vector<OutputColumn>& returning);
  LogicalPtr bind_delete(const sql::DeleteStatement& del, QueryLevel* parent,
                         std::vector<OutputColumn>& returning);
  std::shared_ptr<const catalog::Relation> modify_target(const sql::RelationRef& ref, std::string_view verb);
  void add_table_rules(plan::Modify& modify, QueryLevel& level);
  void bind_on_conflict(const sql::OnConflict& clause, plan::Modify& modify, QueryLevel& level);
  ExpressionPtr default_for(const catalog::Relation& relation, const catalog::Column& column,
                            std::int32_t location);
  ExpressionPtr relation_expression(const std::string& sql_text, const catalog::Relation& relation,
                                    std::span<const plan::TargetColumn> columns, const TypeRef* target);
  std::vector<plan::Assignment> bind_assignments(sql::List<sql::Assignment*> items,
                                                 const catalog::Relation& relation, QueryLevel& level);
  LogicalPtr bind_returning(sql::List<sql::TargetItem*> items, LogicalPtr modify, QueryLevel& level,
                            std::vector<OutputColumn>& out);
  std::vector<plan::TargetColumn> number_columns(const catalog::Relation& relation,
                                                 std::string_view qualifier);
  const catalog::Column& target_column(const catalog::Relation& relation, std::string_view name,
                                       std::int32_t location);

  ColumnId add_column(std::string name, const TypeRef& type, std::string qualifier = {}, Oid relation = 0,
                      catalog::AttributeNumber attribute = 0, bool nullable = true) {
    return plan_->columns.add({std::move(name), std::move(qualifier), type, relation, attribute, nullable});
  }
  const TypeRef& type_of(ColumnId id) const { return plan_->columns[id].type; }
  char category(Oid type) const;
  std::string type_name(const TypeRef& type) const;

  BindInput& input_;
  std::unique_ptr<plan::LogicalPlan> plan_;
  std::uint32_t next_cte_ = 0;
  int view_depth_ = 0;
  Oid view_owner_ = 0;  // of the view whose query is being bound; 0: none
  /// Ids that the queries of views use: from the first one on, up to the second one.
  std::vector<std::pair<ColumnId, ColumnId>> view_columns_;
  std::vector<std::unique_ptr<Arena>> view_arenas_;  // ASTs of views and defaults
};

inline LogicalPtr make_node(LogicalKind kind) {
  auto node = std::make_unique<LogicalNode>();
  node->kind = kind;
  return node;
}
/// Fills `output` of the nodes that only pass on what their children deliver.
void complete_outputs(LogicalNode& node);
std::vector<ExpressionPtr> clone_all(const std::vector<ExpressionPtr>& from);

}  // namespace rustbd::binder
