// CREATE TABLE, INDEX, SEQUENCE, VIEW.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

// --- CREATE TABLE

Node* Parser::create_table(Persistence persistence, std::int32_t location) {
  auto* table = make<CreateTableStatement>(location);
  expect(K::kTable);
  table->if_not_exists = if_not_exists();
  table->relation = qualified_name();
  table->relation->persistence = persistence;
  const bool names_only =
      at('(') && (only_create_as_ || (is_column_id(peek(1)) && (at(',', 2) || at(')', 2))));
  if (names_only) return create_table_as(table->relation, parenthesized_columns(), *table, location);
  if (only_create_as_ || (!at('(') && !at_any(K::kOf, K::kPartition)))
    return create_table_as(table->relation, {}, *table, location);
  create_table_body(*table);
  create_table_tail(*table);
  return table;
}

void Parser::create_table_body(CreateTableStatement& table) {
  bool typed = true;
  if (accept(K::kOf)) {
    auto* type = make<TypeName>();
    type->name = any_name();
    table.of_type = type;
  } else if (accept(K::kPartition)) {
    expect(K::kOf);
    table.partition_of = qualified_name();
  } else {
    typed = false;
  }
  if (at('(')) {
    if (!typed && at(')', 1)) {
      at_ += 2;
    } else {
      table.elements = parenthesized<Node*>([this, typed] { return table_element(typed); });
    }
  }
  if (table.partition_of != nullptr) {
    table.partition_bound = partition_bound();
  } else if (!typed && accept(K::kInherits)) {
    table.inherits = parenthesized<RelationRef*>([this] { return qualified_name(); });
  }
}

void Parser::create_table_tail(CreateTableStatement& table) {
  if (at(K::kPartition)) table.partition_by = partition_spec();
  if (accept(K::kUsing)) table.access_method = column_id();
  if (accept(K::kWith)) {
    table.options = definition_options();
  } else if (accept(K::kWithout)) {
    expect(K::kOids);
    table.without_oids = true;
  }
  table.on_commit = on_commit_clause();
  if (accept(K::kTablespace)) table.tablespace = column_id();
}

OnCommit Parser::on_commit_clause() {
  if (!accept(K::kOn)) return OnCommit::kNone;
  expect(K::kCommit);
  if (accept(K::kDrop)) return OnCommit::kDrop;
  const bool remove = accept(K::kDelete);
  if (!remove) expect(K::kPreserve);
  expect(K::kRows);
  return remove ? OnCommit::kDeleteRows : OnCommit::kPreserveRows;
}

/// From behind the name and columns of CREATE TABLE name (columns) … AS query.
Node* Parser::create_table_as(RelationRef* relation, NameList columns, CreateTableStatement& table,
                              std::int32_t location) {
  auto* node = make<CreateTableAsStatement>(location);
  node->if_not_exists = table.if_not_exists;
  node->into = make<IntoClause>(relation->location);
  node->into->relation = relation;
  node->into->columns = columns;
  create_table_tail(table);
  node->into->access_method = table.access_method;
  node->into->options = table.options;
  node->into->on_commit = table.on_commit;
  node->into->tablespace = table.tablespace;
  expect(K::kAs);
  if (at(K::kExecute)) {
    node->query = execute_statement();
  } else {
    if (!at('(') && !at_query() && !at(K::kValues)) fail();
    node->query = select_statement();
  }
  node->with_data = with_data_clause();
  return node;
}

bool Parser::with_data_clause() {
  if (!accept(K::kWith)) return true;
  const bool no = accept(K::kNo);
  expect(K::kData);
  return !no;
}

Node* Parser::create_materialized_view(Persistence persistence, std::int32_t location) {
  auto* node = make<CreateTableAsStatement>(location);
  expect_all(K::kMaterialized, K::kView);
  node->materialized_view = true;
  node->if_not_exists = if_not_exists();
  node->into = make<IntoClause>();
  node->into->relation = qualified_name();
  node->into->relation->persistence = persistence;
  node->into->columns = optional_columns();
  if (accept(K::kUsing)) node->into->access_method = column_id();
  if (accept(K::kWith)) node->into->options = definition_options();
  if (accept(K::kTablespace)) node->into->tablespace = column_id();
  expect(K::kAs);
  node->query = select_statement();
  node->with_data = with_data_clause();
  return node;
}

Node* Parser::table_element(bool typed) {
  const bool exclude = at(K::kExclude) && (at('(', 1) || at(K::kUsing, 1));
  if (exclude || at_any(K::kConstraint, K::kCheck, K::kUnique, K::kPrimary, K::kForeign))
    return table_constraint();
  if (!typed && at(K::kLike)) return like_clause();
  if (!typed) return column_definition();
  auto* column = make<ColumnDefinition>();
  column->name = column_id();
  if (accept(K::kWith)) expect(K::kOptions);
  column_qualifiers(*column);
  return column;
}

ColumnDefinition* Parser::column_definition() {
  auto* column = make<ColumnDefinition>();
  column->name = column_id();
  column->type = type_name();
  if (accept(K::kCompression)) column->compression = accept(K::kDefault) ? "default" : column_id();
  if (accept(K::kOptions)) {
    column->foreign_options = parenthesized<Option*>([this] {
      auto* option = make<Option>();
      option->name = label();
      const std::int32_t value_at = location();
      option->value = string_node(string_literal(), value_at);
      return option;
    });
  }
  column_qualifiers(*column);
  return column;
}

LikeClause* Parser::like_clause() {
  auto* like = make<LikeClause>();
  expect(K::kLike);
  like->relation = qualified_name();
  while (at_any(K::kIncluding, K::kExcluding)) {
    const bool include = next().keyword == K::kIncluding;
    std::uint32_t bit = 0;
    switch (peek().keyword) {
      case K::kComments: bit = kLikeComments; break;
      case K::kCompression: bit = kLikeCompression; break;
      case K::kConstraints: bit = kLikeConstraints; break;
      case K::kDefaults: bit = kLikeDefaults; break;
      case K::kGenerated: bit = kLikeGenerated; break;
      case K::kIdentity: bit = kLikeIdentity; break;
      case K::kIndexes: bit = kLikeIndexes; break;
      case K::kStatistics: bit = kLikeStatistics; break;
      case K::kStorage: bit = kLikeStorage; break;
      case K::kAll: bit = kLikeAll; break;
      default: fail();
    }
    ++at_;
    like->options = include ? like->options | bit : like->options & ~bit;
  }
  return like;
}

// --- partitions

PartitionSpec* Parser::partition_spec() {
  auto* spec = make<PartitionSpec>();
  expect_all(K::kPartition, K::kBy);
  spec->strategy = column_id();
  spec->columns = parenthesized<IndexElement*>([this] {
    auto* element = make<IndexElement>();
    if (accept('(')) {
      element->expression = expression();
      expect(')');
    } else if (is_column_id(peek()) && !at('(', 1) && !at('.', 1)) {
      element->column = column_id();
    } else {
      element->expression = function_expression_windowless();
    }
    if (accept(K::kCollate)) element->collation = any_name();
    if (is_column_id(peek())) element->operator_class = any_name();
    return element;
  });
  return spec;
}

PartitionBound* Parser::partition_bound() {
  auto* bound = make<PartitionBound>();
  if (accept(K::kDefault)) return bound;
  expect_all(K::kFor, K::kValues);
  if (accept(K::kIn)) {
    bound->type = PartitionBoundType::kList;
    bound->values = parenthesized<Node*>([this] { return expression(); });
    return bound;
  }
  if (accept(K::kFrom)) {
    bound->type = PartitionBoundType::kRange;
    bound->values = parenthesized<Node*>([this] { return expression(); });
    expect(K::kTo);
    bound->upper_values = parenthesized<Node*>([this] { return expression(); });
    return bound;
  }
  expect_all(K::kWith, '(');
  bound->type = PartitionBoundType::kHash;
  do {
    const std::int32_t start = location();
    const std::string_view name = non_reserved_word();
    if (name != "modulus" && name != "remainder") {
      throw error(sqlstate::kSyntaxError, "unrecognized hash partition bound specification \"{}\"", name)
          .at(start);
    }
    (name == "modulus" ? bound->modulus : bound->remainder) = integer_literal();
  } while (accept(','));
  expect(')');
  return bound;
}

// --- options in parentheses

/// ( name [= value], space.name [= value], … )
List<Option*> Parser::definition_options() {
  return parenthesized<Option*>([this] { return definition_option(true); });
}

Option* Parser::definition_option(bool name_spaces) {
  auto* option = make<Option>();
  option->name = label();
  if (name_spaces && accept('.')) {
    option->name_space = option->name;
    option->name = label();
  }
  if (accept('=')) option->value = definition_argument();
  return option;
}

Node* Parser::definition_argument() {
  const std::int32_t start = location();
  if (at(TokenKind::kString)) return string_node(string_literal(), start);
  if (at(TokenKind::kInteger) || at(TokenKind::kNumeric) || at('+') || at('-')) return numeric_only();
  const bool keyword = at(TokenKind::kKeyword);
  const bool reserved = keyword && keyword_info(peek().keyword).keyword_class == KeywordClass::kReserved;
  if (reserved || at(K::kNone)) return string_node(next().value, start);
  return function_type();
}

Option* Parser::make_option(std::string_view name, Node* value, std::int32_t location) {
  auto* option = make<Option>(location);
  option->name = name;
  option->value = value;
  return option;
}

// --- indexes

IndexElement* Parser::index_element() {
  auto* element = make<IndexElement>();
  if (accept('(')) {
    element->expression = expression();
    expect(')');
  } else if (is_column_id(peek()) && !at('(', 1) && !at('.', 1) && !at_special_call()) {
    element->column = column_id();
  } else {
    element->expression = function_expression_windowless();
  }
  index_element_options(*element);
  return element;
}

void Parser::index_element_options(IndexElement& element) {
  if (accept(K::kCollate)) element.collation = any_name();
  const bool nulls = at(K::kNulls) && (at(K::kFirst, 1) || at(K::kLast, 1));
  if (!nulls && is_column_id(peek())) {
    element.operator_class = any_name();
    if (at('(')) element.operator_class_options = definition_options();
  }
  if (accept(K::kAsc)) {
    element.direction = SortDirection::kAscending;
  } else if (accept(K::kDesc)) {
    element.direction = SortDirection::kDescending;
  }
  element.nulls = nulls_order();
}

Node* Parser::create_index(std::int32_t location, bool unique) {
  auto* index = make<CreateIndexStatement>(location);
  expect(K::kIndex);
  index->unique = unique;
  index->concurrently = accept(K::kConcurrently);
  index->if_not_exists = if_not_exists();
  if (index->if_not_exists || !at(K::kOn)) index->name = column_id();
  expect(K::kOn);
  index->relation = relation_expression();
  if (accept(K::kUsing)) index->access_method = column_id();
  index->columns = parenthesized<IndexElement*>([this] { return index_element(); });
  if (accept(K::kInclude))
    index->including = parenthesized<IndexElement*>([this] { return index_element(); });
  if (accept(K::kNulls)) {
    index->nulls_not_distinct = accept(K::kNot);
    expect(K::kDistinct);
  }
  if (accept(K::kWith)) index->options = definition_options();
  if (accept(K::kTablespace)) index->tablespace = column_id();
  if (accept(K::kWhere)) index->where = expression();
  return index;
}

// --- sequences

Node* Parser::create_sequence(Persistence persistence, std::int32_t location) {
  auto* sequence = make<CreateSequenceStatement>(location);
  expect(K::kSequence);
  sequence->if_not_exists = if_not_exists();
  sequence->relation = qualified_name();
  sequence->relation->persistence = persistence;
  sequence->options = sequence_options(false);
  return sequence;
}

bool Parser::at_sequence_option() const {
  return at_any(K::kAs, K::kCache, K::kCycle, K::kNo, K::kIncrement, K::kMaxvalue, K::kMinvalue, K::kOwned,
                K::kSequence, K::kStart, K::kRestart);
}

List<Option*> Parser::sequence_options(bool required) {
  ListBuilder<Option*> options(arena_);
  if (required && !at_sequence_option()) fail();
  while (at_sequence_option()) options.push(sequence_option());
  return options.take();
}

Option* Parser::sequence_option() {
  const std::int32_t start = location();
  const auto number = [&](std::string_view name) { return make_option(name, numeric_only(), start); };
  switch (next().keyword) {
    case K::kAs: return make_option("as", simple_type(), start);
    case K::kCache: return number("cache");
    case K::kCycle: return make_option("cycle", boolean_node(true, start), start);
    case K::kIncrement: accept(K::kBy); return number("increment");
    case K::kMaxvalue: return number("maxvalue");
    case K::kMinvalue: return number("minvalue");
    case K::kStart: accept(K::kWith); return number("start");
    case K::kOwned: {
      expect(K::kBy);
      const std::int32_t name_at = location();
      return make_option("owned_by", name_node(any_name(), name_at), start);
    }
    case K::kSequence: {
      expect(K::kName);
      const std::int32_t name_at = location();
      return make_option("sequence_name", name_node(any_name(), name_at), start);
    }
    case K::kRestart:
      if (accept(K::kWith) || at(TokenKind::kInteger) || at(TokenKind::kNumeric) || at('-') || at('+')) {
        return number("restart");
      }
      return make_option("restart", nullptr, start);
    default: break;
  }
  if (accept(K::kCycle)) return make_option("cycle", boolean_node(false, start), start);
  if (accept(K::kMaxvalue)) return make_option("maxvalue", nullptr, start);
  expect(K::kMinvalue);
  return make_option("minvalue", nullptr, start);
}

// --- views

Node* Parser::create_view(Persistence persistence, bool or_replace, std::int32_t location) {
  auto* view = make<CreateViewStatement>(location);
  view->or_replace = or_replace;
  view->recursive = accept(K::kRecursive);
  expect(K::kView);
  view->relation = qualified_name();
  view->relation->persistence = persistence;
  view->columns = view->recursive ? parenthesized_columns() : optional_columns();
  if (accept(K::kWith)) view->options = definition_options();
  expect(K::kAs);
  if (!at('(') && !at_query() && !at(K::kValues)) fail();
  view->query = select_statement();
  const std::int32_t check_at = this->location();
  if (accept(K::kWith)) {
    view->check_option = accept(K::kLocal) ? CheckOption::kLocal : CheckOption::kCascaded;
    if (view->check_option == CheckOption::kCascaded) accept(K::kCascaded);
    expect_all(K::kCheck, K::kOption);
  }
  if (!view->recursive) return view;
  if (view->check_option != CheckOption::kNone) {
    throw error(sqlstate::kFeatureNotSupported, "WITH CHECK OPTION not supported on recursive views")
        .at(check_at);
  }
  // WITH RECURSIVE name (columns) AS (query) SELECT columns FROM name
  auto* cte = make<CommonTableExpression>(-1);
  cte->name = view->relation->name;
  cte->columns = view->columns;
  cte->query = view->query;
  auto* with = make<WithClause>(-1);
  with->recursive = true;
  with->items = list_of<CommonTableExpression*>({cte});
  auto* select = make<SelectStatement>(-1);
  ListBuilder<TargetItem*> targets(arena_);
  for (const std::string_view column : view->columns) {
    auto* reference = make<ColumnRef>(-1);
    reference->fields = list_of<std::string_view>({column});
    auto* item = make<TargetItem>(-1);
    item->value = reference;
    targets.push(item);
  }
  auto* from = make<RelationRef>(-1);
  from->name = view->relation->name;
  select->with = with;
  select->targets = targets.take();
  select->from = list_of<Node*>({from});
  view->query = select;
  return view;
}

}  // namespace rustbd::sql
