// The printer behind deparse(): one class, its functions spread over deparse_*.cc. Not for other layers.
#pragma once

#include <string>
#include <string_view>

#include "rustbd/sql/deparse.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::sql {

class Printer {
 public:
  void node(const Node* node);  // anything
  std::string take() { return std::move(out_); }

 private:
  // --- text
  Printer& text(std::string_view words) {
    out_ += words;
    return *this;
  }
  Printer& name(std::string_view identifier) {
    out_ += quote_identifier(identifier);
    return *this;
  }
  Printer& literal(std::string_view content) {
    out_ += quote_literal(content);
    return *this;
  }
  Printer& number(std::int64_t value) {
    out_ += std::to_string(value);
    return *this;
  }
  Printer& flag(bool condition, std::string_view words) {
    if (condition) out_ += words;
    return *this;
  }
  template <class T, class Print>
  Printer& list(List<T> items, Print print, std::string_view separator = ", ") {
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += separator;
      first = false;
      print(item);
    }
    return *this;
  }
  Printer& names(NameList items) {
    return list(items, [this](std::string_view n) { name(n); });
  }
  Printer& columns(NameList items);  // " (a, b)" or nothing
  Printer& dotted(NameList parts);
  Printer& operator_name(NameList schema, std::string_view op);

  // --- expressions (deparse_expression.cc)
  bool expression_node(const Node* node);  // false: no expression
  void expression(const Node* node) { this->node(node); }
  void operand(const Node* node, int minimum);  // in parentheses when it binds weaker than `minimum`
  void expressions(NodeList items);
  void parenthesized_list(NodeList items);
  void literal_node(const Literal& node);
  void operator_node(const OperatorExpression& node);
  void sub_link(const SubLink& node);
  void call(const FunctionCall& node);
  bool special_call(const FunctionCall& node);
  void case_node(const CaseExpression& node);
  void tests(const Node* node);
  void indirection(List<IndirectionItem> items);
  void window(const WindowDefinition& node);
  void frame_bound(FrameBound bound, const Node* offset);
  void sort_item(const SortItem& node);
  void order_by(List<SortItem*> items);
  void type(const TypeName& node);
  void interval_type(const TypeName& node);
  bool system_type(const TypeName& node);

  // --- queries (deparse_query.cc)
  bool query_node(const Node* node);
  void select(const SelectStatement& node);
  void select_body(const SelectStatement& node);
  void set_operand(const SelectStatement& node, int minimum);
  void with(const WithClause* node);
  void cte(const CommonTableExpression& node);
  void target(const TargetItem& node);
  void into(const IntoClause& node);
  void from_item(const Node* node);
  void join(const JoinExpression& node);
  void alias(const Alias* node);
  void relation(const RelationRef& node);
  void function(const RangeFunction& node);
  void column_types(List<ColumnDefinition*> items);
  void insert(const InsertStatement& node);
  void insert_target(List<AssignmentTarget*> columns, Overriding overriding);
  void update(const UpdateStatement& node);
  void remove(const DeleteStatement& node);
  void merge(const MergeStatement& node);
  void assignments(List<Assignment*> items);
  void returning(List<TargetItem*> items);
  void conflict(const OnConflict* node);
  void where(const Node* condition);

  // --- tables (deparse_table.cc)
  bool table_node(const Node* node);
  void options(List<Option*> items);  // ( name = value, … )
  void option_value(const Node* value);
  void persistence(Persistence persistence);
  void on_commit(OnCommit on_commit);
  void create_table(const CreateTableStatement& node);
  void create_table_as(const CreateTableAsStatement& node);
  void column(const ColumnDefinition& node);
  void constraint(const Constraint& node);
  void constraint_index(const Constraint& node);
  void foreign_key(const Constraint& node);
  void exclusion(const Constraint& node);
  void like(const LikeClause& node);
  void partition_bound(const PartitionBound& node);
  void index_element(const IndexElement& node);
  void create_index(const CreateIndexStatement& node);
  void sequence_options(List<Option*> items, std::string_view prefix);
  void create_view(const CreateViewStatement& node);
  void alter_table(const AlterTableStatement& node);
  void alter_command(const AlterTableCommand& node);
  void alter_column(const AlterTableCommand& node);
  void alter_other(const AlterTableCommand& node);

  // --- the rest (deparse_utility.cc, deparse_session.cc)
  bool utility_node(const Node* node);
  bool session_node(const Node* node);
  void generic_options(List<Option*> items);  // ( name value, … )
  void role(const RoleSpec& node);
  void roles(List<RoleSpec*> items);
  void object_name(ObjectType type, const ObjectName& node);
  void role_options(List<Option*> items);
  void database_options(List<Option*> items);
  void grant(const GrantStatement& node);
  void grant_objects(const GrantStatement& node);
  void grant_role(const GrantRoleStatement& node);
  void copy(const CopyStatement& node);
  void transaction(const TransactionStatement& node);
  void modes(const TransactionModes& node);
  void setting(const SetStatement& node, bool with_verb = true);
  void fetch(const FetchStatement& node);
  void create_function(const CreateFunctionStatement& node);
  void function_option(const Option& option);
  void parameter(const FunctionParameter& node);
  void rename(const RenameStatement& node);

  std::string out_;
};

/// `TABLE`, `MATERIALIZED VIEW`, …
std::string_view object_words(ObjectType type);

}  // namespace rustbd::sql
