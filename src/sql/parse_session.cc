// Transactions, settings, prepared statements, cursors.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

// --- transactions

bool Parser::chain_clause() {
  if (!accept(K::kAnd)) return false;
  const bool no = accept(K::kNo);
  expect(K::kChain);
  return !no;
}

Node* Parser::transaction_statement() {
  using T = TransactionType;
  auto* node = make<TransactionStatement>();
  const Keyword first = next().keyword;
  const auto work = [this] {
    if (!accept(K::kWork)) accept(K::kTransaction);
  };
  switch (first) {
    case K::kBegin:
      work();
      node->modes = transaction_modes(false);
      return node;
    case K::kStart:
      expect(K::kTransaction);
      node->type = T::kStart;
      node->modes = transaction_modes(false);
      return node;
    case K::kSavepoint:
      node->type = T::kSavepoint;
      node->name = column_id();
      return node;
    case K::kRelease:
      node->type = T::kRelease;
      accept(K::kSavepoint);
      node->name = column_id();
      return node;
    case K::kPrepare:
      node->type = T::kPrepare;
      expect(K::kTransaction);
      node->name = string_literal();
      return node;
    case K::kCommit:
    case K::kRollback:
      if (accept(K::kPrepared)) {
        node->type = first == K::kCommit ? T::kCommitPrepared : T::kRollbackPrepared;
        node->name = string_literal();
        return node;
      }
      break;
    default: break;
  }
  const bool commit = first == K::kCommit || first == K::kEnd;
  work();
  if (first == K::kRollback && accept(K::kTo)) {
    node->type = T::kRollbackTo;
    accept(K::kSavepoint);
    node->name = column_id();
    return node;
  }
  node->type = commit ? T::kCommit : T::kRollback;
  node->chain = chain_clause();
  return node;
}

TransactionModes Parser::transaction_modes(bool required) {
  TransactionModes modes;
  bool any = false;
  while (transaction_mode(modes)) {
    any = true;
    if (at(',')) {
      ++at_;
      if (!at_any(K::kIsolation, K::kRead, K::kDeferrable, K::kNot)) fail();
    }
  }
  if (required && !any) fail();
  return modes;
}

bool Parser::transaction_mode(TransactionModes& modes) {
  if (accept(K::kIsolation)) {
    expect(K::kLevel);
    modes.has_isolation = true;
    if (accept(K::kSerializable)) {
      modes.isolation = IsolationLevel::kSerializable;
    } else if (accept(K::kRepeatable)) {
      expect(K::kRead);
      modes.isolation = IsolationLevel::kRepeatableRead;
    } else {
      expect(K::kRead);
      const bool committed = accept(K::kCommitted);
      if (!committed) expect(K::kUncommitted);
      modes.isolation = committed ? IsolationLevel::kReadCommitted : IsolationLevel::kReadUncommitted;
    }
    return true;
  }
  if (accept(K::kRead)) {
    const bool only = accept(K::kOnly);
    if (!only) expect(K::kWrite);
    modes.read_only = only ? ModeFlag::kOn : ModeFlag::kOff;
    return true;
  }
  if (accept(K::kDeferrable)) {
    modes.deferrable = ModeFlag::kOn;
    return true;
  }
  if (!accept(K::kNot)) return false;
  expect(K::kDeferrable);
  modes.deferrable = ModeFlag::kOff;
  return true;
}

// --- SET, SHOW, RESET

std::string_view Parser::variable_name() {
  std::string_view name = column_id();
  while (accept('.')) {
    const std::string_view part = column_id();
    name = arena_.copy(std::string(name) + "." + std::string(part));
  }
  return name;
}

Node* Parser::set_statement() {
  const std::int32_t start = location();
  expect(K::kSet);
  if (accept(K::kConstraints)) return set_constraints(start);
  const bool session_words = at(K::kSession) && (at(K::kCharacteristics, 1) || at(K::kAuthorization, 1));
  bool is_local = false;
  if (at(K::kSession) && !session_words && !at('=', 1) && !at(K::kTo, 1) && !at('.', 1)) {
    ++at_;
  } else if (at(K::kLocal) && !at('=', 1) && !at(K::kTo, 1) && !at('.', 1)) {
    ++at_;
    is_local = true;
  }
  const bool characteristics = at(K::kSession) && at(K::kCharacteristics, 1);
  const bool transaction = at(K::kTransaction) && !at('=', 1) && !at(K::kTo, 1);
  if (!characteristics && !transaction) return set_rest(is_local, start);
  auto* node = make<SetTransactionStatement>(start);
  node->is_local = is_local;
  node->session_characteristics = characteristics;
  if (characteristics) {
    at_ += 2;
    expect_all(K::kAs, K::kTransaction);
  } else {
    ++at_;
    if (accept(K::kSnapshot)) {
      node->has_snapshot = true;
      node->snapshot = string_literal();
      return node;
    }
  }
  node->modes = transaction_modes(true);
  return node;
}

Node* Parser::set_constraints(std::int32_t location) {
  auto* node = make<SetConstraintsStatement>(location);
  if (!accept(K::kAll)) node->constraints = comma_list<RelationRef*>([this] { return qualified_name(); });
  node->deferred = accept(K::kDeferred);
  if (!node->deferred) expect(K::kImmediate);
  return node;
}

SetStatement* Parser::set_rest(bool is_local, std::int32_t location) {
  auto* set = make<SetStatement>(location);
  set->is_local = is_local;
  const auto value = [&](std::string_view name, std::string_view text, std::int32_t text_at) {
    set->name = name;
    set->values = list_of<Node*>({string_node(text, text_at)});
    return set;
  };
  if (at('=', 1) || at(K::kTo, 1) || at('.', 1)) return set_rest_generic(set);
  switch (peek().keyword) {
    case K::kTime: {
      if (!at(K::kZone, 1)) break;
      at_ += 2;
      set->name = "timezone";
      if (accept(K::kDefault) || accept(K::kLocal)) {
        set->type = SetType::kDefault;
      } else {
        set->values = list_of<Node*>({zone_value()});
      }
      return set;
    }
    case K::kCatalog: {
      if (!at(TokenKind::kString, 1)) break;
      throw error(sqlstate::kFeatureNotSupported, "current database cannot be changed").at(peek(1).offset);
    }
    case K::kSchema: {
      if (!at(TokenKind::kString, 1)) break;
      ++at_;
      const std::int32_t text_at = this->location();
      return value("search_path", string_literal(), text_at);
    }
    case K::kNames: {
      ++at_;
      const std::int32_t text_at = this->location();
      if (at(TokenKind::kString)) return value("client_encoding", string_literal(), text_at);
      accept(K::kDefault);
      set->name = "client_encoding";
      set->type = SetType::kDefault;
      return set;
    }
    case K::kRole: {
      ++at_;
      const std::int32_t text_at = this->location();
      return value("role", word_or_string(), text_at);
    }
    case K::kSession: {
      if (!at(K::kAuthorization, 1)) break;
      at_ += 2;
      const std::int32_t text_at = this->location();
      if (!accept(K::kDefault)) return value("session_authorization", word_or_string(), text_at);
      set->name = "session_authorization";
      set->type = SetType::kDefault;
      return set;
    }
    case K::kXml: {
      if (!at(K::kOption, 1)) break;
      at_ += 2;
      const std::int32_t text_at = this->location();
      const bool document = accept(K::kDocument);
      if (!document) expect(K::kContent);
      return value("xmloption", document ? "DOCUMENT" : "CONTENT", text_at);
    }
    default: break;
  }
  return set_rest_generic(set);
}

SetStatement* Parser::set_rest_generic(SetStatement* set) {
  set->name = variable_name();
  if (accept(K::kFrom)) {
    expect(K::kCurrent);
    set->type = SetType::kFromCurrent;
    return set;
  }
  if (!accept('=')) expect(K::kTo);
  if (accept(K::kDefault)) {
    set->type = SetType::kDefault;
    return set;
  }
  set->values = comma_list<Node*>([this]() -> Node* {
    if (at(TokenKind::kInteger) || at(TokenKind::kNumeric) || at('+') || at('-')) return numeric_only();
    return boolean_or_string();
  });
  return set;
}

Node* Parser::boolean_or_string() {
  const std::int32_t start = location();
  if (at_any(K::kTrue, K::kFalse, K::kOn)) return string_node(next().value, start);
  return string_node(word_or_string(), start);
}

Node* Parser::zone_value() {
  const std::int32_t start = location();
  if (at(TokenKind::kString) || at(TokenKind::kIdentifier)) return string_node(next().value, start);
  if (at(K::kInterval)) return type_keyword_primary();
  return numeric_only();
}

SetStatement* Parser::reset_rest(std::int32_t location) {
  auto* set = make<SetStatement>(location);
  set->type = SetType::kReset;
  if (accept(K::kAll)) {
    set->type = SetType::kResetAll;
  } else if (accept2(K::kTime, K::kZone)) {
    set->name = "timezone";
  } else if (accept2(K::kTransaction, K::kIsolation)) {
    expect(K::kLevel);
    set->name = "transaction_isolation";
  } else if (accept2(K::kSession, K::kAuthorization)) {
    set->name = "session_authorization";
  } else {
    set->name = variable_name();
  }
  return set;
}

Node* Parser::show_statement() {
  auto* node = make<ShowStatement>();
  expect(K::kShow);
  if (accept(K::kAll)) {
    node->name = "all";
  } else if (accept2(K::kTime, K::kZone)) {
    node->name = "timezone";
  } else if (accept2(K::kTransaction, K::kIsolation)) {
    expect(K::kLevel);
    node->name = "transaction_isolation";
  } else if (accept2(K::kSession, K::kAuthorization)) {
    node->name = "session_authorization";
  } else {
    node->name = variable_name();
  }
  return node;
}

// --- prepared statements

Node* Parser::prepare_statement() {
  auto* node = make<PrepareStatement>();
  expect(K::kPrepare);
  node->name = column_id();
  if (at('(')) node->types = parenthesized<TypeName*>([this] { return type_name(); });
  expect(K::kAs);
  // MERGE is not preparable in PostgreSQL 15 either.
  node->statement = preparable_statement();
  return node;
}

ExecuteStatement* Parser::execute_statement() {
  auto* node = make<ExecuteStatement>();
  expect(K::kExecute);
  node->name = column_id();
  if (at('(')) node->arguments = parenthesized<Node*>([this] { return expression(); });
  return node;
}

Node* Parser::deallocate_statement() {
  auto* node = make<DeallocateStatement>();
  expect(K::kDeallocate);
  if (at(K::kPrepare) && (is_column_id(peek(1)) || at(K::kAll, 1))) ++at_;
  if (!accept(K::kAll)) node->name = column_id();
  return node;
}

// --- cursors

Node* Parser::declare_cursor() {
  auto* node = make<DeclareCursorStatement>();
  expect(K::kDeclare);
  node->name = column_id();
  for (;;) {
    if (accept(K::kBinary)) {
      node->binary = true;
    } else if (accept(K::kScroll)) {
      node->scroll = ModeFlag::kOn;
    } else if (accept(K::kNo)) {
      expect(K::kScroll);
      node->scroll = ModeFlag::kOff;
    } else if (accept(K::kInsensitive)) {
      node->sensitive = ModeFlag::kOff;
    } else if (accept(K::kAsensitive)) {
      node->asensitive = true;
    } else {
      break;
    }
  }
  expect(K::kCursor);
  if (accept(K::kWith)) {
    expect(K::kHold);
    node->hold = true;
  } else if (accept(K::kWithout)) {
    expect(K::kHold);
  }
  expect(K::kFor);
  if (!at('(') && !at_query() && !at(K::kValues)) fail();
  node->query = select_statement();
  return node;
}

Node* Parser::fetch_statement(bool is_move) {
  auto* node = make<FetchStatement>();
  ++at_;
  node->is_move = is_move;
  // NEXT, ALL… alone before the end would be the cursor's name.
  const bool only_word = at(TokenKind::kEnd, 1) || at(';', 1);
  if (!only_word) fetch_direction(*node);
  if (!accept(K::kFrom)) accept(K::kIn);
  node->cursor = column_id();
  return node;
}

void Parser::fetch_direction(FetchStatement& fetch) {
  using D = FetchDirection;
  const auto is = [&](D direction, std::int64_t count) {
    fetch.direction = direction;
    fetch.count = count;
  };
  const auto at_number = [this] { return at(TokenKind::kInteger) || at('-') || at('+'); };
  if (accept(K::kNext)) return;
  if (accept(K::kPrior)) return is(D::kBackward, 1);
  if (accept(K::kFirst)) return is(D::kAbsolute, 1);
  if (accept(K::kLast)) return is(D::kAbsolute, -1);
  if (accept(K::kAbsolute)) return is(D::kAbsolute, signed_integer());
  if (accept(K::kRelative)) return is(D::kRelative, signed_integer());
  if (at_number()) return is(D::kForward, signed_integer());
  if (accept(K::kAll)) {
    fetch.all = true;
    return;
  }
  if (!at_any(K::kForward, K::kBackward)) return;
  is(next().keyword == K::kForward ? D::kForward : D::kBackward, 1);
  if (at_number()) {
    fetch.count = signed_integer();
  } else {
    fetch.all = accept(K::kAll);
  }
}

Node* Parser::close_statement() {
  auto* node = make<CloseStatement>();
  expect(K::kClose);
  if (!accept(K::kAll)) node->name = column_id();
  return node;
}

}  // namespace rustbd::sql
