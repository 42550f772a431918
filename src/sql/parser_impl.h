// The parser's inside: one class, its functions spread over parse_*.cc by kind of statement. Not for other
// layers.
//
// Rules that keep error positions equal to PostgreSQL's: never go back; look at one token (two where
// PostgreSQL's own lexer does); a token that no rule takes is the error.
#pragma once

#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

#include "rustbd/sql/lexer.h"
#include "rustbd/sql/parser.h"

namespace rustbd::sql {

/// Grows in the arena; what it outgrew stays there until the arena goes.
template <class T>
class ListBuilder {
 public:
  explicit ListBuilder(Arena& arena) : arena_(arena) {}
  void push(const T& item) {
    if (size_ == capacity_) grow();
    data_[size_++] = item;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  [[nodiscard]] List<T> take() const { return {data_, size_}; }

 private:
  void grow() {
    const std::size_t wanted = capacity_ == 0 ? 4 : capacity_ * 2;
    T* fresh = arena_.make_array<T>(wanted);
    for (std::size_t i = 0; i < size_; ++i) fresh[i] = data_[i];
    data_ = fresh;
    capacity_ = wanted;
  }
  Arena& arena_;
  T* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

/// Binding powers, low to high, as in PostgreSQL's table of operators.
enum Power : int {
  kAnyPower = 0,
  kOrPower,
  kAndPower,
  kNotPower,
  kIsPower,
  kComparePower,
  kLikePower,
  kEscapePower,
  kOperatorPower,
  kAddPower,
  kMultiplyPower,
  kPowerPower,
  kAtPower,
  kCollatePower,
  kSignPower,
  kSubscriptPower,
  kCastPower,
  kPrimaryPower,
};

class Parser {
 public:
  Parser(std::string_view text, Arena& arena, std::vector<Notice>* notices);

  std::vector<RawStatement> statements();
  Node* only_expression();
  TypeName* only_type();

 private:
  using K = Keyword;
  struct Parentheses {
    SelectStatement* query = nullptr;
    List<Node*> items{};
    std::int32_t location = -1;
  };
  struct DepthGuard {
    explicit DepthGuard(Parser& parser);
    ~DepthGuard() { --parser_.depth_; }
    Parser& parser_;
  };
  struct OperatorName {
    NameList schema;
    std::string_view op;
    std::int32_t location = -1;
  };
  enum class CharacterStyle : std::uint8_t { kDefinition, kLiteral };

  // --- tokens (parser_core.cc)
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    const std::size_t i = at_ + ahead;
    return i < tokens_.tokens.size() ? tokens_.tokens[i] : tokens_.tokens.back();
  }
  [[nodiscard]] bool at(Keyword keyword, std::size_t ahead = 0) const {
    return peek(ahead).keyword == keyword;
  }
  [[nodiscard]] bool at(char c, std::size_t ahead = 0) const {
    return peek(ahead).kind == static_cast<TokenKind>(c);
  }
  [[nodiscard]] bool at(TokenKind kind, std::size_t ahead = 0) const { return peek(ahead).kind == kind; }
  template <class... Keywords>
  [[nodiscard]] bool at_any(Keywords... keywords) const {
    return (at(keywords) || ...);
  }
  template <class What>
  bool accept(What what) {
    if (!at(what)) return false;
    ++at_;
    return true;
  }
  /// Both or none.
  template <class A, class B>
  bool accept2(A a, B b) {
    if (!at(a) || !at(b, 1)) return false;
    at_ += 2;
    return true;
  }
  template <class What>
  void expect(What what) {
    if (!accept(what)) fail();
  }
  template <class... What>
  void expect_all(What... what) {
    (expect(what), ...);
  }
  const Token& next() { return tokens_.tokens[at_ < tokens_.tokens.size() - 1 ? at_++ : at_]; }
  [[noreturn]] void fail() const;                            // syntax error at the next token
  [[noreturn]] void fail_with(std::string_view what) const;  // `what` at or near the next token
  [[nodiscard]] std::string_view source(std::int32_t begin, std::int32_t end) const;
  [[nodiscard]] std::int32_t location() const { return static_cast<std::int32_t>(peek().offset); }
  [[nodiscard]] std::int32_t previous_end() const;

  template <class T>
  T* make(std::int32_t location) {
    T* node = arena_.make<T>();
    node->location = location;
    return node;
  }
  template <class T>
  T* make() {
    return make<T>(location());
  }
  template <class T>
  List<T> list_of(std::initializer_list<T> items) {
    return arena_.copy(std::span<const T>(items.begin(), items.size()));
  }
  /// item, item, …
  template <class T, class Item>
  List<T> comma_list(Item item) {
    ListBuilder<T> list(arena_);
    do list.push(item());
    while (accept(','));
    return list.take();
  }
  /// ( item, … )
  template <class T, class Item>
  List<T> parenthesized(Item item) {
    expect('(');
    const auto list = comma_list<T>(item);
    expect(')');
    return list;
  }

  // --- names (parser_core.cc)
  [[nodiscard]] bool is_column_id(const Token& token) const;  // PostgreSQL's ColId
  [[nodiscard]] bool is_type_function_name(const Token& token) const;
  [[nodiscard]] bool is_label(const Token& token) const;  // ColLabel
  [[nodiscard]] bool is_bare_label(const Token& token) const;
  [[nodiscard]] bool is_non_reserved(const Token& token) const;  // NonReservedWord
  std::string_view column_id();
  std::string_view type_function_name();
  std::string_view label();
  std::string_view non_reserved_word();
  std::string_view string_literal();
  std::int32_t integer_literal();
  std::int64_t signed_integer();
  NameList column_list();            // a, b, c
  NameList parenthesized_columns();  // (a, b)
  NameList optional_columns();
  NameList any_name();  // a.b.c
  RelationRef* qualified_name();
  RelationRef* relation_from(NameList parts, std::int32_t location);
  RelationRef* relation_expression();  // ONLY t, t *
  RoleSpec* role_spec();
  std::string_view role_id();
  List<RoleSpec*> role_list();
  bool if_exists();
  bool if_not_exists();
  bool cascade_behavior();  // CASCADE | RESTRICT | nothing
  Literal* boolean_node(bool value, std::int32_t location);
  Literal* string_node(std::string_view text, std::int32_t location);
  Literal* integer_node(std::int32_t value, std::int32_t location);
  Literal* numeric_only();
  OperatorName any_operator();             // behind OPERATOR( or bare, may be qualified
  [[nodiscard]] bool at_operator() const;  // all_Op

  // --- expressions (parse_expression.cc, parse_primary.cc, parse_call.cc)
  Node* expression() { return expression(kAnyPower, false); }
  Node* b_expression() { return expression(kAnyPower, true); }
  Node* expression(int minimum, bool restricted);
  Node* continue_expression(Node* left, int minimum, bool restricted);
  Node* prefix(bool restricted);
  Node* is_test(Node* left, int minimum, bool restricted, int& blocked);
  Node* not_suffix(Node* left, int& blocked);
  Node* like_suffix(Node* left, bool negated, std::int32_t location, int& blocked);
  Node* between_suffix(Node* left, bool negated, std::int32_t location);
  Node* in_suffix(Node* left, bool negated, std::int32_t location);
  Node* operator_suffix(Node* left, const OperatorName& op, int power, bool restricted);
  Node* any_all(Node* left, const OperatorName& op);
  Node* bool_chain(Node* left, bool is_or);
  Node* negate(Node* operand, std::int32_t location);
  [[nodiscard]] int infix_power(bool restricted) const;  // -1: the next token is no infix operator
  Node* primary();
  Node* keyword_primary();
  Node* parenthesized_primary();
  Parentheses parentheses();  // ( query ) or ( a, b, … )
  SubLink* scalar_sub_link(SelectStatement* query, std::int32_t location);
  Node* row_tail(Node* row);
  Node* name_primary();
  Node* with_indirection(Node* base);
  IndirectionItem indirection_item();
  List<IndirectionItem> indirection_list();
  Node* literal_primary();
  Node* typed_literal(TypeName* type, std::int32_t location);
  Node* type_keyword_primary();
  Node* case_expression();
  Node* array_primary();
  ArrayExpression* array_brackets(std::int32_t location);
  Node* sql_value_function();
  Node* special_call();
  Node* unsupported_call();
  FunctionCall* system_call(std::string_view name, std::initializer_list<Node*> arguments,
                            std::int32_t location, bool sql_syntax = true);
  Node* extract_call();
  Node* overlay_call();
  Node* position_call();
  Node* substring_call();
  Node* trim_call();
  Node* normalize_call();
  Node* cast_call();
  Node* call(NameList name, std::int32_t location, bool windowless = false);
  void call_arguments(FunctionCall& call);
  void call_suffixes(FunctionCall& call);
  Node* argument();
  Node* function_expression_windowless();  // as a FROM item
  [[nodiscard]] bool at_special_call() const;
  NodeList expression_list();
  WindowDefinition* over_clause();
  WindowDefinition* window_specification();
  void frame_clause(WindowDefinition& window);
  FrameBound frame_bound(Node*& offset, std::int32_t& location);
  List<SortItem*> sort_list();
  SortItem* sort_item();
  List<SortItem*> optional_order_by();
  SortNulls nulls_order();

  // --- types (parse_type.cc)
  TypeName* type_name();
  TypeName* simple_type();
  TypeName* function_type();  // rejects %TYPE with 0A000
  TypeName* generic_type();
  TypeName* system_type(std::string_view name, std::int32_t location);
  TypeName* keyword_type(CharacterStyle style);  // nullptr: the next token starts none
  TypeName* character_type(CharacterStyle style);
  TypeName* bit_type(CharacterStyle style);
  TypeName* datetime_type();
  TypeName* float_type();
  void interval_fields(TypeName& type);
  void array_bounds(TypeName& type);
  void optional_modifiers(TypeName& type);
  [[nodiscard]] bool at_type_keyword() const;

  // --- queries (parse_select.cc, parse_from.cc)
  [[nodiscard]] bool at_query() const;  // SELECT, VALUES, TABLE, WITH
  [[nodiscard]] bool at_query_in_parentheses(std::size_t ahead = 0) const;
  SelectStatement* select_statement();  // with or without parentheses
  SelectStatement* select_no_parentheses();
  SelectStatement* select_in_parentheses();
  SelectStatement* set_operations(int minimum);
  SelectStatement* set_operation_tail(SelectStatement* left, int minimum);
  SelectStatement* select_primary();
  SelectStatement* simple_select();
  SelectStatement* values_clause();
  SelectStatement* select_tail(SelectStatement* query, WithClause* with);
  SelectStatement* continue_query(SelectStatement* parenthesized);  // behind `( query )` that may go on
  [[nodiscard]] bool at_query_continuation() const;
  struct LimitClause {
    Node* limit = nullptr;
    Node* offset = nullptr;
    bool ties = false;
    bool present = false;
  };
  LimitClause limit_clause();
  void limit_part(LimitClause& clause);
  void fetch_part(LimitClause& clause);
  List<LockingClause*> locking_clauses();
  void into_clause(SelectStatement& select);
  List<TargetItem*> target_list();
  TargetItem* target_item();
  WithClause* with_clause();
  CommonTableExpression* common_table_expression();
  void search_and_cycle(CommonTableExpression& cte);
  Node* preparable_statement();
  Node* group_by_item();
  NodeList group_by_list();
  List<WindowDefinition*> window_clause();
  NodeList from_list();
  Node* table_reference();
  Node* table_primary();
  Node* join_tail(Node* left);
  Node* qualified_join(Node* left, JoinType type, std::int32_t location);
  void join_condition(JoinExpression& join);
  [[nodiscard]] bool at_join() const;
  bool join_type(JoinType& type);
  Node* from_parentheses(bool& is_query);
  Node* range_subquery(SelectStatement* query, bool lateral, std::int32_t location);
  Node* range_function(bool lateral);
  RangeFunctionItem* rows_from_item();
  void function_alias(RangeFunction& function);
  Alias* optional_alias();
  Alias* alias_clause();
  Node* relation_item();
  List<ColumnDefinition*> table_function_columns();

  // --- data modification (parse_dml.cc)
  Node* insert_statement(WithClause* with);
  Node* update_statement(WithClause* with);
  Node* delete_statement(WithClause* with);
  Node* merge_statement(WithClause* with);
  MergeWhen* merge_when();
  void merge_insert(MergeWhen& when);
  OnConflict* on_conflict();
  List<Assignment*> set_clauses();
  Assignment* set_clause();
  AssignmentTarget* assignment_target();
  List<TargetItem*> returning_clause();
  Node* where_or_current_of();
  RelationRef* target_relation();
  Overriding overriding_clause();

  // --- tables (parse_table.cc, parse_constraint.cc, parse_alter.cc)
  Node* create_table(Persistence persistence, std::int32_t location);
  void create_table_body(CreateTableStatement& table);
  void create_table_tail(CreateTableStatement& table);
  Node* create_table_as(RelationRef* relation, NameList columns, CreateTableStatement& table,
                        std::int32_t location);
  Node* create_materialized_view(Persistence persistence, std::int32_t location);
  bool with_data_clause();
  Node* table_element(bool typed);
  ColumnDefinition* column_definition();
  void column_qualifiers(ColumnDefinition& column);
  Constraint* column_constraint();
  Constraint* column_constraint_element();
  Constraint* generated_constraint(std::int32_t location);
  Constraint* table_constraint();
  Constraint* table_constraint_element();
  void unique_constraint(Constraint& constraint, bool in_table);
  void index_parameters(Constraint& constraint, bool with_include);
  void exclusion_constraint(Constraint& constraint);
  void references_clause(Constraint& constraint);
  void referential_actions(Constraint& constraint);
  ReferentialAction referential_action(Constraint& constraint, bool of_delete, std::int32_t on_at);
  void constraint_attributes(Constraint& constraint, std::string_view kind, bool deferrable, bool not_valid,
                             bool no_inherit);
  LikeClause* like_clause();
  PartitionSpec* partition_spec();
  PartitionBound* partition_bound();
  List<Option*> definition_options();  // ( name [= value], … ), reloptions
  Option* definition_option(bool name_spaces);
  Node* definition_argument();
  OnCommit on_commit_clause();
  IndexElement* index_element();
  void index_element_options(IndexElement& element);
  Node* create_index(std::int32_t location, bool unique);
  Node* create_sequence(Persistence persistence, std::int32_t location);
  List<Option*> sequence_options(bool required);
  Option* sequence_option();
  [[nodiscard]] bool at_sequence_option() const;
  Option* make_option(std::string_view name, Node* value, std::int32_t location);
  Node* create_view(Persistence persistence, bool or_replace, std::int32_t location);
  Node* alter_table(ObjectType object, std::int32_t location);
  AlterTableCommand* alter_table_command(ObjectType object);
  void alter_add(AlterTableCommand& command);
  void alter_drop(AlterTableCommand& command);
  void alter_column(AlterTableCommand& command);
  void alter_column_set(AlterTableCommand& command);
  void alter_set(AlterTableCommand& command);
  void alter_enable(AlterTableCommand& command, bool enable);
  void alter_replica_identity(AlterTableCommand& command);
  void identity_options(AlterTableCommand& command);
  Node* relation_rename(ObjectType object, RelationRef* relation, bool missing_ok, std::int32_t location);

  // --- utilities (parse_utility.cc, parse_role.cc, parse_object.cc, parse_session.cc, parse_create.cc)
  Node* statement();
  Node* statement_by_keyword(std::int32_t start);
  Node* create_other(bool or_replace, std::int32_t location);
  Node* create_statement();
  Node* alter_statement();
  Node* drop_statement();
  Node* drop_database(std::int32_t location);
  bool object_type(ObjectType& type, bool for_drop);
  ObjectName* object_name(ObjectType type);
  ObjectName* name_node(NameList name, std::int32_t location);
  ObjectName* function_with_arguments(bool aggregate);
  ObjectName* operator_with_arguments();
  Node* comment_statement();
  Node* truncate_statement();
  Node* create_schema(std::int32_t location);
  Node* create_type(std::int32_t location);
  Node* create_database(std::int32_t location);
  List<Option*> database_options();
  Node* create_role(RoleKind kind, std::int32_t location);
  List<Option*> role_options(bool create);
  Option* role_option(bool create);
  Node* create_function(bool or_replace, bool procedure, std::int32_t location);
  FunctionParameter* function_parameter(bool with_default);
  Option* function_option();
  void function_body(CreateFunctionStatement& function);
  /// RENAME TO, OWNER TO, SET SCHEMA; anything else is `unsupported_name`.
  Node* alter_generic(ObjectType object, ObjectName* name, std::string_view unsupported_name,
                      std::int32_t location);
  Node* alter_type(std::int32_t location);
  Node* alter_role(RoleKind kind, std::int32_t location);
  Node* alter_database(std::int32_t location);
  Node* alter_schema(std::int32_t location);
  Node* alter_sequence(std::int32_t location);
  std::string_view word_or_string();
  Node* grant_roles(const ListBuilder<Privilege*>& names, bool is_grant, bool admin, std::int32_t location);
  Node* alter_default_privileges(std::int32_t location);
  Node* grant_statement(bool is_grant);
  Privilege* privilege();
  void grant_target(GrantStatement& grant);
  Node* copy_statement();
  void copy_source(CopyStatement& copy);
  void copy_old_options(CopyStatement& copy, ListBuilder<Option*>& options);
  bool copy_old_option(ListBuilder<Option*>& options);
  List<Option*> generic_options();  // ( name [value], … ) of COPY, EXPLAIN, VACUUM
  Option* generic_option();
  Node* boolean_or_string();
  Node* transaction_statement();
  TransactionModes transaction_modes(bool required);
  bool transaction_mode(TransactionModes& modes);
  bool chain_clause();
  Node* set_statement();
  SetStatement* set_rest(bool is_local, std::int32_t location);
  SetStatement* set_rest_generic(SetStatement* set);
  Node* zone_value();
  SetStatement* reset_rest(std::int32_t location);
  Node* set_constraints(std::int32_t location);
  std::string_view variable_name();
  Node* show_statement();
  Node* prepare_statement();
  ExecuteStatement* execute_statement();
  Node* deallocate_statement();
  Node* declare_cursor();
  Node* fetch_statement(bool is_move);
  void fetch_direction(FetchStatement& fetch);
  Node* close_statement();
  Node* explain_statement();
  Node* explainable_statement();
  Node* vacuum_statement(bool is_vacuum);
  List<VacuumRelation*> vacuum_relations();
  Node* lock_statement();
  Node* notify_statement();
  Node* discard_statement();
  Node* do_statement();
  Node* reindex_statement();
  Node* cluster_statement();
  Node* refresh_statement();
  Node* unsupported(std::string_view name, std::int32_t location);

  Arena& arena_;
  std::string_view text_;  // in the arena
  TokenList tokens_;
  std::size_t at_ = 0;
  std::int32_t depth_ = 0;
  const char* const stack_base_ = static_cast<const char*>(__builtin_frame_address(0));
  bool only_create_as_ = false;  // under EXPLAIN: of CREATE only CREATE TABLE AS and materialized views
};

}  // namespace rustbd::sql
