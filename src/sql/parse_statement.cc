// Which statement it is: dispatch on the first keywords.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

Node* Parser::statement() {
  DepthGuard guard(*this);
  const std::int32_t start = location();
  if (at('(') || at_query() || at(K::kValues)) {
    if (!at(K::kWith)) return select_statement();
    WithClause* with = with_clause();
    switch (peek().keyword) {
      case K::kInsert: return insert_statement(with);
      case K::kUpdate: return update_statement(with);
      case K::kDelete: return delete_statement(with);
      case K::kMerge: return merge_statement(with);
      default: return select_tail(set_operations(1), with);
    }
  }
  return statement_by_keyword(start);
}

Node* Parser::statement_by_keyword(std::int32_t start) {
  switch (peek().keyword) {
    case K::kInsert: return insert_statement(nullptr);
    case K::kUpdate: return update_statement(nullptr);
    case K::kDelete: return delete_statement(nullptr);
    case K::kMerge: return merge_statement(nullptr);
    case K::kCreate: return create_statement();
    case K::kAlter: return alter_statement();
    case K::kDrop: return drop_statement();
    case K::kTruncate: return truncate_statement();
    case K::kComment: return comment_statement();
    case K::kGrant: return grant_statement(true);
    case K::kRevoke: return grant_statement(false);
    case K::kCopy: return copy_statement();
    case K::kBegin:
    case K::kStart:
    case K::kCommit:
    case K::kEnd:
    case K::kRollback:
    case K::kAbort:
    case K::kSavepoint:
    case K::kRelease: return transaction_statement();
    case K::kPrepare: return at(K::kTransaction, 1) ? transaction_statement() : prepare_statement();
    case K::kExecute: return execute_statement();
    case K::kDeallocate: return deallocate_statement();
    case K::kSet: return set_statement();
    case K::kReset: ++at_; return reset_rest(start);
    case K::kShow: return show_statement();
    case K::kDeclare: return declare_cursor();
    case K::kFetch: return fetch_statement(false);
    case K::kMove: return fetch_statement(true);
    case K::kClose: return close_statement();
    case K::kExplain: return explain_statement();
    case K::kAnalyze:
    case K::kAnalyse: return vacuum_statement(false);
    case K::kVacuum: return vacuum_statement(true);
    case K::kCheckpoint: ++at_; return make<CheckpointStatement>(start);
    case K::kLock: return lock_statement();
    case K::kListen: {
      auto* node = make<ListenStatement>();
      ++at_;
      node->channel = column_id();
      return node;
    }
    case K::kUnlisten: {
      auto* node = make<UnlistenStatement>();
      ++at_;
      if (!accept('*')) node->channel = column_id();
      return node;
    }
    case K::kNotify: return notify_statement();
    case K::kDiscard: return discard_statement();
    case K::kDo: return do_statement();
    case K::kReindex: return reindex_statement();
    case K::kCluster: return cluster_statement();
    case K::kRefresh: return refresh_statement();
    case K::kCall: return unsupported("CALL", start);
    case K::kLoad: return unsupported("LOAD", start);
    case K::kImport: return unsupported("IMPORT FOREIGN SCHEMA", start);
    case K::kReassign: return unsupported("REASSIGN OWNED", start);
    case K::kSecurity: return unsupported("SECURITY LABEL", start);
    default: fail();
  }
}

/// Takes everything up to the statement's end.
Node* Parser::unsupported(std::string_view name, std::int32_t location) {
  auto* node = make<UnsupportedStatement>(location);
  node->name = name;
  int depth = 0;
  for (; !at(TokenKind::kEnd) && (depth > 0 || !at(';')); ++at_) {
    if (at(TokenKind::kError)) fail();
    depth += at('(') ? 1 : at(')') ? -1 : 0;
  }
  node->text = source(location, previous_end());
  return node;
}

// --- CREATE

Node* Parser::create_statement() {
  const std::int32_t start = location();
  expect(K::kCreate);
  const bool or_replace = !only_create_as_ && accept(K::kOr);
  if (or_replace) expect(K::kReplace);
  Persistence persistence = Persistence::kPermanent;
  const bool prefix = at_any(K::kLocal, K::kGlobal);
  if (prefix) ++at_;
  if (accept(K::kTemp) || accept(K::kTemporary)) {
    persistence = Persistence::kTemporary;
  } else if (prefix) {
    fail();
  } else if (accept(K::kUnlogged)) {
    persistence = Persistence::kUnlogged;
  }
  if (only_create_as_ && !at_any(K::kTable, K::kMaterialized)) fail();
  if (at_any(K::kView, K::kRecursive)) return create_view(persistence, or_replace, start);
  if (!or_replace && at(K::kTable)) return create_table(persistence, start);
  if (!or_replace && at(K::kSequence)) return create_sequence(persistence, start);
  if (!or_replace && at(K::kMaterialized) && persistence != Persistence::kTemporary) {
    return create_materialized_view(persistence, start);
  }
  if (persistence != Persistence::kPermanent) fail();
  if (at(K::kFunction)) return create_function(or_replace, false, start);
  if (at(K::kProcedure)) return create_function(or_replace, true, start);
  return create_other(or_replace, start);
}

Node* Parser::create_other(bool or_replace, std::int32_t start) {
  if (!or_replace) {
    switch (peek().keyword) {
      case K::kIndex: return create_index(start, false);
      case K::kUnique: ++at_; return create_index(start, true);
      case K::kSchema: return create_schema(start);
      case K::kType: return create_type(start);
      case K::kDatabase: return create_database(start);
      case K::kRole: return create_role(RoleKind::kRole, start);
      case K::kGroup: return create_role(RoleKind::kGroup, start);
      case K::kUser:
        if (at(K::kMapping, 1)) return unsupported("CREATE USER MAPPING", start);
        return create_role(RoleKind::kUser, start);
      case K::kOperator:
        return unsupported(at(K::kClass, 1)    ? "CREATE OPERATOR CLASS"
                           : at(K::kFamily, 1) ? "CREATE OPERATOR FAMILY"
                                               : "CREATE OPERATOR",
                           start);
      case K::kCast: return unsupported("CREATE CAST", start);
      case K::kCollation: return unsupported("CREATE COLLATION", start);
      case K::kConversion:
      case K::kDefault: return unsupported("CREATE CONVERSION", start);
      case K::kDomain: return unsupported("CREATE DOMAIN", start);
      case K::kEvent: return unsupported("CREATE EVENT TRIGGER", start);
      case K::kExtension: return unsupported("CREATE EXTENSION", start);
      case K::kForeign:
        return unsupported(at(K::kTable, 1) ? "CREATE FOREIGN TABLE" : "CREATE FOREIGN DATA WRAPPER", start);
      case K::kPublication: return unsupported("CREATE PUBLICATION", start);
      case K::kSubscription: return unsupported("CREATE SUBSCRIPTION", start);
      case K::kPolicy: return unsupported("CREATE POLICY", start);
      case K::kServer: return unsupported("CREATE SERVER", start);
      case K::kStatistics: return unsupported("CREATE STATISTICS", start);
      case K::kTablespace: return unsupported("CREATE TABLESPACE", start);
      case K::kText: return unsupported("CREATE TEXT SEARCH", start);
      case K::kAccess: return unsupported("CREATE ACCESS METHOD", start);
      case K::kAssertion: return unsupported("CREATE ASSERTION", start);
      default: break;
    }
  }
  switch (peek().keyword) {
    case K::kAggregate: return unsupported("CREATE AGGREGATE", start);
    case K::kTrigger:
    case K::kConstraint: return unsupported("CREATE TRIGGER", start);
    case K::kRule: return unsupported("CREATE RULE", start);
    case K::kTransform: return unsupported("CREATE TRANSFORM", start);
    case K::kLanguage:
    case K::kTrusted:
    case K::kProcedural: return unsupported("CREATE LANGUAGE", start);
    default: fail();
  }
}

Node* Parser::create_schema(std::int32_t location) {
  auto* schema = make<CreateSchemaStatement>(location);
  expect(K::kSchema);
  schema->if_not_exists = if_not_exists();
  if (!at(K::kAuthorization)) schema->name = column_id();
  if (accept(K::kAuthorization)) schema->owner = role_spec();
  ListBuilder<Node*> elements(arena_);
  while (at_any(K::kCreate, K::kGrant)) {
    if (schema->if_not_exists) {
      throw error(sqlstate::kFeatureNotSupported,
                  "CREATE SCHEMA IF NOT EXISTS cannot include schema elements")
          .at(this->location());
    }
    elements.push(at(K::kGrant) ? grant_statement(true) : create_statement());
  }
  schema->elements = elements.take();
  return schema;
}

Node* Parser::create_type(std::int32_t location) {
  expect(K::kType);
  const NameList name = any_name();
  if (!(at(K::kAs) && at(K::kEnum, 1))) return unsupported("CREATE TYPE", location);
  at_ += 2;
  auto* node = make<CreateEnumStatement>(location);
  node->name = name;
  expect('(');
  if (accept(')')) return node;
  node->labels = comma_list<std::string_view>([this] { return string_literal(); });
  expect(')');
  return node;
}

Node* Parser::create_database(std::int32_t location) {
  auto* node = make<CreateDatabaseStatement>(location);
  expect(K::kDatabase);
  node->name = column_id();
  accept(K::kWith);
  node->options = database_options();
  return node;
}

List<Option*> Parser::database_options() {
  ListBuilder<Option*> options(arena_);
  while (at(TokenKind::kIdentifier) ||
         at_any(K::kConnection, K::kEncoding, K::kLocation, K::kOwner, K::kTablespace, K::kTemplate)) {
    auto* option = make<Option>();
    const bool connection = at(K::kConnection);
    option->name = next().value;
    if (connection) {
      expect(K::kLimit);
      option->name = "connection_limit";
    }
    accept('=');
    const std::int32_t value_at = this->location();
    if (at(TokenKind::kInteger) || at('-') || at('+')) {
      option->value = integer_node(static_cast<std::int32_t>(signed_integer()), value_at);
    } else if (at_any(K::kTrue, K::kFalse, K::kOn)) {
      option->value = string_node(next().value, value_at);
    } else if (!accept(K::kDefault)) {
      option->value = string_node(at(TokenKind::kString) ? string_literal() : non_reserved_word(), value_at);
    }
    options.push(option);
  }
  return options.take();
}

// --- ALTER

Node* Parser::alter_statement() {
  const std::int32_t start = location();
  expect(K::kAlter);
  const std::size_t object_at = at_;
  switch (next().keyword) {
    case K::kTable:
      if (at(K::kAll)) return unsupported("ALTER TABLE ALL IN TABLESPACE", start);
      return alter_table(ObjectType::kTable, start);
    case K::kIndex:
      if (at(K::kAll)) return unsupported("ALTER INDEX ALL IN TABLESPACE", start);
      return alter_table(ObjectType::kIndex, start);
    case K::kView: return alter_table(ObjectType::kView, start);
    case K::kMaterialized:
      expect(K::kView);
      if (at(K::kAll)) return unsupported("ALTER MATERIALIZED VIEW ALL IN TABLESPACE", start);
      return alter_table(ObjectType::kMaterializedView, start);
    case K::kSequence: return alter_sequence(start);
    case K::kForeign:
      return unsupported(at(K::kTable) ? "ALTER FOREIGN TABLE" : "ALTER FOREIGN DATA WRAPPER", start);
    case K::kType: return alter_type(start);
    case K::kRole: return alter_role(RoleKind::kRole, start);
    case K::kGroup: return alter_role(RoleKind::kGroup, start);
    case K::kUser:
      if (at(K::kMapping)) return unsupported("ALTER USER MAPPING", start);
      return alter_role(RoleKind::kUser, start);
    case K::kDatabase: return alter_database(start);
    case K::kSchema: return alter_schema(start);
    case K::kDefault: return alter_default_privileges(start);
    case K::kSystem: {
      auto* node = make<AlterSystemStatement>(start);
      const std::int32_t set_at = location();
      if (accept(K::kReset)) {
        node->setting = reset_rest(set_at);
      } else {
        expect(K::kSet);
        auto* set = make<SetStatement>(set_at);
        node->setting = set_rest_generic(set);
      }
      return node;
    }
    case K::kDomain: {
      const std::int32_t name_at = location();
      return alter_generic(ObjectType::kDomain, name_node(any_name(), name_at), "ALTER DOMAIN", start);
    }
    case K::kFunction:
      return alter_generic(ObjectType::kFunction, function_with_arguments(false), "ALTER FUNCTION", start);
    case K::kProcedure:
      return alter_generic(ObjectType::kProcedure, function_with_arguments(false), "ALTER PROCEDURE", start);
    case K::kRoutine:
      return alter_generic(ObjectType::kRoutine, function_with_arguments(false), "ALTER ROUTINE", start);
    case K::kAggregate: return unsupported("ALTER AGGREGATE", start);
    case K::kCollation: return unsupported("ALTER COLLATION", start);
    case K::kConversion: return unsupported("ALTER CONVERSION", start);
    case K::kEvent: return unsupported("ALTER EVENT TRIGGER", start);
    case K::kExtension: return unsupported("ALTER EXTENSION", start);
    case K::kLanguage:
    case K::kProcedural: return unsupported("ALTER LANGUAGE", start);
    case K::kLarge: return unsupported("ALTER LARGE OBJECT", start);
    case K::kOperator: return unsupported("ALTER OPERATOR", start);
    case K::kPolicy: return unsupported("ALTER POLICY", start);
    case K::kPublication: return unsupported("ALTER PUBLICATION", start);
    case K::kRule: return unsupported("ALTER RULE", start);
    case K::kServer: return unsupported("ALTER SERVER", start);
    case K::kStatistics: return unsupported("ALTER STATISTICS", start);
    case K::kSubscription: return unsupported("ALTER SUBSCRIPTION", start);
    case K::kTablespace: return unsupported("ALTER TABLESPACE", start);
    case K::kText: return unsupported("ALTER TEXT SEARCH", start);
    case K::kTrigger: return unsupported("ALTER TRIGGER", start);
    default: at_ = object_at; fail();
  }
}

Node* Parser::alter_generic(ObjectType object, ObjectName* name, std::string_view unsupported_name,
                            std::int32_t location) {
  if (at(K::kRename) && (unsupported_name.empty() || at(K::kTo, 1))) {
    ++at_;
    expect(K::kTo);
    auto* node = make<RenameStatement>(location);
    node->object = object;
    node->relation_object = object;
    node->name = name;
    node->new_name = column_id();
    return node;
  }
  if (accept(K::kOwner)) {
    expect(K::kTo);
    auto* node = make<AlterOwnerStatement>(location);
    node->object = object;
    node->name = name;
    node->owner = role_spec();
    return node;
  }
  if (accept2(K::kSet, K::kSchema)) {
    auto* node = make<AlterSchemaStatement>(location);
    node->object = object;
    node->name = name;
    node->new_schema = column_id();
    return node;
  }
  if (unsupported_name.empty() || at(TokenKind::kEnd) || at(';')) fail();
  return unsupported(unsupported_name, location);
}

Node* Parser::alter_type(std::int32_t location) {
  const std::int32_t name_at = this->location();
  const NameList name = any_name();
  const bool rename = at(K::kRename) && at(K::kValue, 1);
  if (!rename && !(at(K::kAdd) && at(K::kValue, 1))) {
    return alter_generic(ObjectType::kType, name_node(name, name_at), "ALTER TYPE", location);
  }
  at_ += 2;
  auto* node = make<AlterEnumStatement>(location);
  node->name = name;
  node->is_rename = rename;
  if (rename) {
    node->old_label = string_literal();
    expect(K::kTo);
    node->label = string_literal();
    return node;
  }
  node->if_not_exists = if_not_exists();
  node->label = string_literal();
  node->after = at(K::kAfter);
  node->has_neighbour = accept(K::kBefore) || accept(K::kAfter);
  if (node->has_neighbour) node->neighbour = string_literal();
  return node;
}

Node* Parser::alter_schema(std::int32_t location) {
  const std::int32_t name_at = this->location();
  const std::string_view name = column_id();
  return alter_generic(ObjectType::kSchema, name_node(list_of<std::string_view>({name}), name_at), {},
                       location);
}

Node* Parser::alter_sequence(std::int32_t location) {
  const std::size_t rewind_to = at_;
  const bool missing_ok = if_exists();
  RelationRef* relation = qualified_name();
  if (!at_sequence_option()) {
    at_ = rewind_to;
    return alter_table(ObjectType::kSequence, location);
  }
  auto* node = make<AlterSequenceStatement>(location);
  node->relation = relation;
  node->if_exists = missing_ok;
  node->options = sequence_options(true);
  return node;
}

Node* Parser::alter_database(std::int32_t location) {
  const std::int32_t name_at = this->location();
  const std::string_view name = column_id();
  if (at(K::kSet) && at(K::kTablespace, 1)) {
    auto* node = make<AlterDatabaseStatement>(location);
    node->name = name;
    at_ += 2;
    const std::int32_t value_at = this->location();
    node->options =
        list_of<Option*>({make_option("tablespace", string_node(column_id(), value_at), value_at)});
    return node;
  }
  if (at_any(K::kSet, K::kReset)) {
    auto* node = make<AlterSetStatement>(location);
    node->database = name;
    const std::int32_t set_at = this->location();
    node->setting = next().keyword == K::kReset ? reset_rest(set_at) : set_rest(false, set_at);
    return node;
  }
  if (at_any(K::kRename, K::kOwner)) {
    return alter_generic(ObjectType::kDatabase, name_node(list_of<std::string_view>({name}), name_at), {},
                         location);
  }
  if (at(K::kRefresh)) return unsupported("ALTER DATABASE REFRESH COLLATION VERSION", location);
  auto* node = make<AlterDatabaseStatement>(location);
  node->name = name;
  accept(K::kWith);
  node->options = database_options();
  return node;
}

}  // namespace rustbd::sql
