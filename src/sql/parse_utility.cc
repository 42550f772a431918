// COPY, EXPLAIN, VACUUM and other maintenance.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

// --- COPY

Node* Parser::copy_statement() {
  auto* node = make<CopyStatement>();
  expect(K::kCopy);
  ListBuilder<Option*> options(arena_);
  if (accept('(')) {
    node->query = preparable_statement();
    expect(')');
    if (!at(K::kTo)) fail();
  } else {
    const std::int32_t binary_at = location();
    if (accept(K::kBinary)) options.push(make_option("format", string_node("binary", binary_at), binary_at));
    node->relation = qualified_name();
    node->columns = optional_columns();
  }
  node->is_from = accept(K::kFrom);
  if (!node->is_from) expect(K::kTo);
  copy_source(*node);
  copy_old_options(*node, options);
  if (at(K::kWhere)) {
    const std::int32_t where_at = location();
    if (node->query != nullptr) fail();
    ++at_;
    node->where = expression();
    if (!node->is_from) {
      throw error(sqlstate::kSyntaxError, "WHERE clause not allowed with COPY TO").at(where_at);
    }
  }
  return node;
}

void Parser::copy_source(CopyStatement& copy) {
  copy.is_program = accept(K::kProgram);
  if (accept(K::kStdin) || accept(K::kStdout)) {
    if (copy.is_program) throw error(sqlstate::kSyntaxError, "STDIN/STDOUT not allowed with PROGRAM");
    return;
  }
  copy.has_file = true;
  copy.file = string_literal();
}

void Parser::copy_old_options(CopyStatement& copy, ListBuilder<Option*>& options) {
  const std::int32_t start = location();
  const bool using_word = accept(K::kUsing);
  if (using_word || at(K::kDelimiters)) {
    expect(K::kDelimiters);
    options.push(make_option("delimiter", string_node(string_literal(), start), start));
  }
  accept(K::kWith);
  if (at('(')) {
    for (Option* option : generic_options()) options.push(option);
  } else {
    while (copy_old_option(options)) {}
  }
  copy.options = options.take();
}

bool Parser::copy_old_option(ListBuilder<Option*>& options) {
  const std::int32_t start = location();
  const auto text = [&](std::string_view name) {
    accept(K::kAs);
    options.push(make_option(name, string_node(string_literal(), start), start));
    return true;
  };
  const auto fixed = [&](std::string_view name, std::string_view value) {
    options.push(make_option(name, string_node(value, start), start));
    return true;
  };
  const auto columns = [&](std::string_view name, bool star_allowed) {
    auto* option = make_option(name, nullptr, start);
    if (star_allowed && accept('*')) {
      auto* star = make<ColumnRef>(start);
      star->star = true;
      option->value = star;
    } else {
      option->values = comma_list<Node*>([this]() -> Node* {
        const std::int32_t column_at = location();
        return string_node(column_id(), column_at);
      });
    }
    options.push(option);
    return true;
  };
  switch (peek().keyword) {
    case K::kBinary: ++at_; return fixed("format", "binary");
    case K::kCsv: ++at_; return fixed("format", "csv");
    case K::kFreeze: ++at_; return fixed("freeze", "true");
    case K::kHeader: ++at_; return fixed("header", "true");
    case K::kDelimiter: ++at_; return text("delimiter");
    case K::kNull: ++at_; return text("null");
    case K::kQuote: ++at_; return text("quote");
    case K::kEscape: ++at_; return text("escape");
    case K::kEncoding:
      ++at_;
      options.push(make_option("encoding", string_node(string_literal(), start), start));
      return true;
    case K::kForce:
      ++at_;
      if (accept(K::kQuote)) return columns("force_quote", true);
      if (accept(K::kNot)) {
        expect(K::kNull);
        return columns("force_not_null", false);
      }
      expect(K::kNull);
      return columns("force_null", false);
    default: return false;
  }
}

/// ( name [value], … ) of COPY, EXPLAIN, VACUUM, REINDEX.
List<Option*> Parser::generic_options() {
  return parenthesized<Option*>([this] { return generic_option(); });
}

Option* Parser::generic_option() {
  auto* option = make<Option>();
  option->name = label();
  const std::int32_t start = location();
  if (at(TokenKind::kInteger) || at(TokenKind::kNumeric) || at('+') || at('-')) {
    option->value = numeric_only();
  } else if (at('*')) {
    ++at_;
    auto* star = make<ColumnRef>(start);
    star->star = true;
    option->value = star;
  } else if (at('(')) {
    option->values = parenthesized<Node*>([this]() -> Node* { return boolean_or_string(); });
  } else if (!at(',') && !at(')')) {
    option->value = boolean_or_string();
  }
  return option;
}

// --- EXPLAIN

Node* Parser::explain_statement() {
  auto* node = make<ExplainStatement>();
  expect(K::kExplain);
  if (at('(') && !at_query_in_parentheses()) {
    node->options = generic_options();
  } else {
    ListBuilder<Option*> options(arena_);
    const std::int32_t start = location();
    if (accept(K::kAnalyze) || accept(K::kAnalyse)) options.push(make_option("analyze", nullptr, start));
    const std::int32_t verbose_at = location();
    if (accept(K::kVerbose)) options.push(make_option("verbose", nullptr, verbose_at));
    node->options = options.take();
  }
  node->statement = explainable_statement();
  return node;
}

Node* Parser::explainable_statement() {
  if (at('(') || at_query() || at(K::kValues)) return statement();
  switch (peek().keyword) {
    case K::kInsert:
    case K::kUpdate:
    case K::kDelete:
    case K::kMerge:
    case K::kDeclare:
    case K::kExecute:
    case K::kRefresh: return statement();
    case K::kCreate: {
      only_create_as_ = true;
      Node* node = statement();
      only_create_as_ = false;
      return node;
    }
    default: fail();
  }
}

// --- VACUUM, ANALYZE

Node* Parser::vacuum_statement(bool is_vacuum) {
  auto* node = make<VacuumStatement>();
  ++at_;
  node->is_vacuum = is_vacuum;
  if (at('(')) {
    node->options = generic_options();
    node->relations = vacuum_relations();
    return node;
  }
  ListBuilder<Option*> options(arena_);
  const auto word = [&](Keyword keyword, std::string_view name) {
    const std::int32_t start = location();
    if (accept(keyword)) options.push(make_option(name, nullptr, start));
  };
  if (is_vacuum) {
    word(K::kFull, "full");
    word(K::kFreeze, "freeze");
  }
  word(K::kVerbose, "verbose");
  if (is_vacuum) word(at(K::kAnalyse) ? K::kAnalyse : K::kAnalyze, "analyze");
  node->options = options.take();
  node->relations = vacuum_relations();
  return node;
}

List<VacuumRelation*> Parser::vacuum_relations() {
  if (at(TokenKind::kEnd) || at(';')) return {};
  return comma_list<VacuumRelation*>([this] {
    auto* item = make<VacuumRelation>();
    item->relation = qualified_name();
    item->columns = optional_columns();
    return item;
  });
}

// --- the rest

Node* Parser::lock_statement() {
  using M = TableLockMode;
  auto* node = make<LockStatement>();
  expect(K::kLock);
  accept(K::kTable);
  node->relations = comma_list<RelationRef*>([this] { return relation_expression(); });
  if (accept(K::kIn)) {
    if (accept(K::kAccess)) {
      node->mode = accept(K::kShare) ? M::kAccessShare : M::kAccessExclusive;
      if (node->mode == M::kAccessExclusive) expect(K::kExclusive);
    } else if (accept(K::kRow)) {
      node->mode = accept(K::kShare) ? M::kRowShare : M::kRowExclusive;
      if (node->mode == M::kRowExclusive) expect(K::kExclusive);
    } else if (accept(K::kShare)) {
      node->mode = M::kShare;
      if (accept(K::kUpdate)) {
        expect(K::kExclusive);
        node->mode = M::kShareUpdateExclusive;
      } else if (accept(K::kRow)) {
        expect(K::kExclusive);
        node->mode = M::kShareRowExclusive;
      }
    } else {
      expect(K::kExclusive);
      node->mode = M::kExclusive;
    }
    expect(K::kMode);
  }
  node->no_wait = accept(K::kNowait);
  return node;
}

Node* Parser::notify_statement() {
  auto* node = make<NotifyStatement>();
  expect(K::kNotify);
  node->channel = column_id();
  node->has_payload = accept(',');
  if (node->has_payload) node->payload = string_literal();
  return node;
}

Node* Parser::discard_statement() {
  auto* node = make<DiscardStatement>();
  expect(K::kDiscard);
  if (accept(K::kPlans)) {
    node->type = DiscardType::kPlans;
  } else if (accept(K::kSequences)) {
    node->type = DiscardType::kSequences;
  } else if (accept(K::kTemp) || accept(K::kTemporary)) {
    node->type = DiscardType::kTemporary;
  } else {
    expect(K::kAll);
  }
  return node;
}

Node* Parser::do_statement() {
  auto* node = make<DoStatement>();
  expect(K::kDo);
  bool body = false;
  if (!at(TokenKind::kString) && !at(K::kLanguage)) fail();
  while (at(TokenKind::kString) || at(K::kLanguage)) {
    if (accept(K::kLanguage)) {
      node->language_first |= !body;
      node->language = word_or_string();
    } else {
      if (body) throw error(sqlstate::kSyntaxError, "conflicting or redundant options").at(location());
      body = true;
      node->body = string_literal();
    }
  }
  if (!body) throw error(sqlstate::kSyntaxError, "no inline code specified");
  return node;
}

Node* Parser::reindex_statement() {
  auto* node = make<ReindexStatement>();
  expect(K::kReindex);
  ListBuilder<Option*> options(arena_);
  if (at('(')) {
    for (Option* option : generic_options()) options.push(option);
  }
  const Keyword target = peek().keyword;
  switch (target) {
    case K::kIndex: node->target = ReindexTarget::kIndex; break;
    case K::kTable: node->target = ReindexTarget::kTable; break;
    case K::kSchema: node->target = ReindexTarget::kSchema; break;
    case K::kSystem: node->target = ReindexTarget::kSystem; break;
    case K::kDatabase: node->target = ReindexTarget::kDatabase; break;
    default: fail();
  }
  ++at_;
  const std::int32_t start = location();
  if (accept(K::kConcurrently)) options.push(make_option("concurrently", nullptr, start));
  node->options = options.take();
  if (target == K::kIndex || target == K::kTable) {
    node->relation = qualified_name();
  } else {
    node->name = column_id();
  }
  return node;
}

Node* Parser::cluster_statement() {
  auto* node = make<ClusterStatement>();
  expect(K::kCluster);
  ListBuilder<Option*> options(arena_);
  const std::int32_t start = location();
  const bool listed = at('(');
  if (listed) {
    for (Option* option : generic_options()) options.push(option);
  } else if (accept(K::kVerbose)) {
    options.push(make_option("verbose", nullptr, start));
  }
  node->options = options.take();
  if (at(TokenKind::kEnd) || at(';')) return node;
  if (!listed && is_column_id(peek()) && at(K::kOn, 1)) {
    node->index = column_id();
    ++at_;
    node->relation = qualified_name();
    return node;
  }
  node->relation = qualified_name();
  if (accept(K::kUsing)) node->index = column_id();
  return node;
}

Node* Parser::refresh_statement() {
  auto* node = make<RefreshMaterializedViewStatement>();
  expect_all(K::kRefresh, K::kMaterialized, K::kView);
  node->concurrently = accept(K::kConcurrently);
  node->relation = qualified_name();
  node->with_data = with_data_clause();
  return node;
}

}  // namespace rustbd::sql
