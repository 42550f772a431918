// Objects by kind and name: DROP, COMMENT, TRUNCATE, CREATE FUNCTION.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

ObjectName* Parser::name_node(NameList name, std::int32_t location) {
  auto* node = make<ObjectName>(location);
  node->name = name;
  return node;
}

/// Reads the words of an object's kind. False (nothing read): not one of them.
bool Parser::object_type(ObjectType& type, bool for_drop) {
  using O = ObjectType;
  const auto take = [&](O found, std::size_t words) {
    type = found;
    at_ += words;
    return true;
  };
  switch (peek().keyword) {
    case K::kTable: return take(O::kTable, 1);
    case K::kSequence: return take(O::kSequence, 1);
    case K::kView: return take(O::kView, 1);
    case K::kMaterialized:
      ++at_;
      expect(K::kView);
      return take(O::kMaterializedView, 0);
    case K::kIndex: return take(O::kIndex, 1);
    case K::kForeign:
      ++at_;
      if (accept(K::kTable)) return take(O::kForeignTable, 0);
      expect_all(K::kData, K::kWrapper);
      return take(O::kForeignDataWrapper, 0);
    case K::kCollation: return take(O::kCollation, 1);
    case K::kConversion: return take(O::kConversion, 1);
    case K::kStatistics: return take(O::kStatistics, 1);
    case K::kText:
      ++at_;
      expect(K::kSearch);
      if (accept(K::kParser)) return take(O::kTextSearchParser, 0);
      if (accept(K::kDictionary)) return take(O::kTextSearchDictionary, 0);
      if (accept(K::kTemplate)) return take(O::kTextSearchTemplate, 0);
      expect(K::kConfiguration);
      return take(O::kTextSearchConfiguration, 0);
    case K::kAccess:
      ++at_;
      expect(K::kMethod);
      return take(O::kAccessMethod, 0);
    case K::kEvent:
      ++at_;
      expect(K::kTrigger);
      return take(O::kEventTrigger, 0);
    case K::kExtension: return take(O::kExtension, 1);
    case K::kProcedural:
      ++at_;
      expect(K::kLanguage);
      return take(O::kLanguage, 0);
    case K::kLanguage: return take(O::kLanguage, 1);
    case K::kPublication: return take(O::kPublication, 1);
    case K::kSchema: return take(O::kSchema, 1);
    case K::kServer: return take(O::kServer, 1);
    case K::kPolicy: return take(O::kPolicy, 1);
    case K::kRule: return take(O::kRule, 1);
    case K::kTrigger: return take(O::kTrigger, 1);
    case K::kType: return take(O::kType, 1);
    case K::kDomain: return take(O::kDomain, 1);
    case K::kFunction: return take(O::kFunction, 1);
    case K::kProcedure: return take(O::kProcedure, 1);
    case K::kRoutine: return take(O::kRoutine, 1);
    case K::kAggregate: return take(O::kAggregate, 1);
    case K::kOperator:
      ++at_;
      if (accept(K::kClass)) return take(O::kOperatorClass, 0);
      if (accept(K::kFamily)) return take(O::kOperatorFamily, 0);
      return take(O::kOperator, 0);
    case K::kCast: return take(O::kCast, 1);
    case K::kTransform: return take(O::kTransform, 1);
    default: break;
  }
  if (for_drop) return false;
  switch (peek().keyword) {
    case K::kColumn: return take(O::kColumn, 1);
    case K::kConstraint: return take(O::kConstraint, 1);
    case K::kDatabase: return take(O::kDatabase, 1);
    case K::kRole: return take(O::kRole, 1);
    case K::kTablespace: return take(O::kTablespace, 1);
    case K::kSubscription: return take(O::kSubscription, 1);
    case K::kLarge:
      ++at_;
      expect(K::kObject);
      return take(O::kLargeObject, 0);
    default: return false;
  }
}

ObjectName* Parser::object_name(ObjectType type) {
  using O = ObjectType;
  auto* node = make<ObjectName>();
  switch (type) {
    case O::kType:
    case O::kDomain: node->types = list_of<TypeName*>({type_name()}); return node;
    case O::kFunction:
    case O::kProcedure:
    case O::kRoutine: return function_with_arguments(false);
    case O::kAggregate: return function_with_arguments(true);
    case O::kOperator: return operator_with_arguments();
    case O::kOperatorClass:
    case O::kOperatorFamily:
      node->name = any_name();
      expect(K::kUsing);
      node->method = column_id();
      return node;
    case O::kPolicy:
    case O::kRule:
    case O::kTrigger:
      node->name = list_of<std::string_view>({column_id()});
      expect(K::kOn);
      node->on = any_name();
      return node;
    case O::kConstraint:
      node->name = list_of<std::string_view>({column_id()});
      expect(K::kOn);
      if (accept(K::kDomain)) {
        auto* domain = make<TypeName>();
        domain->name = any_name();
        node->types = list_of<TypeName*>({domain});
      } else {
        node->on = any_name();
      }
      return node;
    case O::kCast: {
      expect('(');
      TypeName* from = type_name();
      expect(K::kAs);
      TypeName* to = type_name();
      expect(')');
      node->types = list_of<TypeName*>({from, to});
      return node;
    }
    case O::kTransform:
      expect(K::kFor);
      node->types = list_of<TypeName*>({type_name()});
      expect(K::kLanguage);
      node->method = column_id();
      return node;
    case O::kLargeObject: {
      const auto* number = numeric_only();
      node->number =
          number->type == LiteralType::kInteger ? arena_.copy(std::to_string(number->integer)) : number->text;
      return node;
    }
    case O::kSchema:
    case O::kDatabase:
    case O::kRole:
    case O::kTablespace:
    case O::kSubscription:
    case O::kExtension:
    case O::kLanguage:
    case O::kPublication:
    case O::kServer:
    case O::kAccessMethod:
    case O::kEventTrigger:
    case O::kForeignDataWrapper: node->name = list_of<std::string_view>({column_id()}); return node;
    default: node->name = any_name(); return node;
  }
}

ObjectName* Parser::function_with_arguments(bool aggregate) {
  auto* node = make<ObjectName>();
  ListBuilder<std::string_view> name(arena_);
  if (!is_column_id(peek()) && !is_type_function_name(peek())) fail();
  name.push(next().value);
  while (accept('.')) name.push(label());
  node->name = name.take();
  if (!at('(')) {
    if (aggregate) fail();
    return node;
  }
  node->has_arguments = true;
  expect('(');
  if (aggregate && accept('*')) {
    expect(')');
    return node;
  }
  if (aggregate && at(K::kOrder)) throw not_supported("an ordered-set aggregate's signature").at(location());
  if (!aggregate && accept(')')) return node;
  node->arguments = comma_list<Node*>([this] { return function_parameter(false); });
  expect(')');
  return node;
}

ObjectName* Parser::operator_with_arguments() {
  auto* node = make<ObjectName>();
  const OperatorName op = any_operator();
  ListBuilder<std::string_view> name(arena_);
  for (const std::string_view part : op.schema) name.push(part);
  name.push(op.op);
  node->name = name.take();
  node->has_arguments = true;
  expect('(');
  ListBuilder<Node*> arguments(arena_);
  arguments.push(accept(K::kNone) ? nullptr : type_name());
  if (at(')')) {
    throw error(sqlstate::kSyntaxError, "missing argument")
        .with_hint("Use NONE to denote the missing argument of a unary operator.")
        .at(location());
  }
  expect(',');
  arguments.push(accept(K::kNone) ? nullptr : type_name());
  expect(')');
  node->arguments = arguments.take();
  return node;
}

// --- DROP

Node* Parser::drop_statement() {
  const std::int32_t start = location();
  expect(K::kDrop);
  switch (peek().keyword) {
    case K::kDatabase: return drop_database(start);
    case K::kUser:
      if (at(K::kMapping, 1)) return unsupported("DROP USER MAPPING", start);
      [[fallthrough]];
    case K::kRole:
    case K::kGroup: {
      auto* node = make<DropRoleStatement>(start);
      ++at_;
      node->if_exists = if_exists();
      node->roles = role_list();
      return node;
    }
    case K::kTablespace: return unsupported("DROP TABLESPACE", start);
    case K::kSubscription: return unsupported("DROP SUBSCRIPTION", start);
    case K::kOwned: return unsupported("DROP OWNED", start);
    default: break;
  }
  auto* node = make<DropStatement>(start);
  if (!object_type(node->object, true)) fail();
  if (node->object == ObjectType::kIndex) node->concurrently = accept(K::kConcurrently);
  node->if_exists = if_exists();
  const bool single = node->object == ObjectType::kCast || node->object == ObjectType::kTransform ||
                      node->object == ObjectType::kPolicy || node->object == ObjectType::kRule ||
                      node->object == ObjectType::kTrigger || node->object == ObjectType::kOperatorClass ||
                      node->object == ObjectType::kOperatorFamily;
  if (single) {
    node->names = list_of<ObjectName*>({object_name(node->object)});
  } else {
    node->names = comma_list<ObjectName*>([this, node] { return object_name(node->object); });
  }
  node->cascade = cascade_behavior();
  return node;
}

Node* Parser::drop_database(std::int32_t location) {
  auto* node = make<DropDatabaseStatement>(location);
  expect(K::kDatabase);
  node->if_exists = if_exists();
  node->name = column_id();
  const bool with = accept(K::kWith);
  if (with && !at('(')) fail();
  if (!accept('(')) return node;
  do expect(K::kForce);
  while (accept(','));
  expect(')');
  node->force = true;
  return node;
}

Node* Parser::comment_statement() {
  auto* node = make<CommentStatement>();
  expect_all(K::kComment, K::kOn);
  if (!object_type(node->object, false)) fail();
  node->name = object_name(node->object);
  if (node->object == ObjectType::kConstraint && !node->name->types.empty())
    node->object = ObjectType::kDomainConstraint;
  expect(K::kIs);
  node->is_null = accept(K::kNull);
  if (!node->is_null) node->text = string_literal();
  return node;
}

Node* Parser::truncate_statement() {
  auto* node = make<TruncateStatement>();
  expect(K::kTruncate);
  accept(K::kTable);
  node->relations = comma_list<RelationRef*>([this] { return relation_expression(); });
  if (accept(K::kRestart)) {
    expect(K::kIdentity);
    node->restart_identity = true;
  } else if (accept(K::kContinue)) {
    expect(K::kIdentity);
  }
  node->cascade = cascade_behavior();
  return node;
}

// --- CREATE FUNCTION

FunctionParameter* Parser::function_parameter(bool with_default) {
  auto* parameter = make<FunctionParameter>();
  const auto mode = [&] {
    if (accept(K::kIn)) {
      parameter->mode = accept(K::kOut) ? ParameterMode::kInOut : ParameterMode::kIn;
    } else if (accept(K::kOut)) {
      parameter->mode = ParameterMode::kOut;
    } else if (accept(K::kInout)) {
      parameter->mode = ParameterMode::kInOut;
    } else if (accept(K::kVariadic)) {
      parameter->mode = ParameterMode::kVariadic;
    }
  };
  mode();
  const bool two_word_type = at(K::kDouble) && at(K::kPrecision, 1);
  const bool named = is_type_function_name(peek()) && !two_word_type && is_label(peek(1)) &&
                     !at(K::kDefault, 1) && !at(K::kArray, 1) && !at(K::kOrder, 1);
  if (named) {
    parameter->name = next().value;
    if (parameter->mode == ParameterMode::kDefault) mode();
  }
  parameter->type = function_type();
  if (with_default && (accept(K::kDefault) || accept('='))) parameter->default_value = expression();
  return parameter;
}

Node* Parser::create_function(bool or_replace, bool procedure, std::int32_t location) {
  auto* node = make<CreateFunctionStatement>(location);
  ++at_;
  node->or_replace = or_replace;
  node->is_procedure = procedure;
  ListBuilder<std::string_view> name(arena_);
  if (!is_column_id(peek()) && !is_type_function_name(peek())) fail();
  name.push(next().value);
  while (accept('.')) name.push(label());
  node->name = name.take();
  ListBuilder<FunctionParameter*> parameters(arena_);
  expect('(');
  if (!accept(')')) {
    do parameters.push(function_parameter(true));
    while (accept(','));
    expect(')');
  }
  if (!procedure && accept(K::kReturns)) {
    if (accept(K::kTable)) {
      node->returns_table = true;
      expect('(');
      do {
        auto* column = make<FunctionParameter>();
        column->mode = ParameterMode::kTable;
        column->name = type_function_name();
        column->type = function_type();
        parameters.push(column);
      } while (accept(','));
      expect(')');
    } else {
      node->returns = function_type();
    }
  }
  node->parameters = parameters.take();
  ListBuilder<Option*> options(arena_);
  while (Option* option = function_option()) options.push(option);
  node->options = options.take();
  function_body(*node);
  return node;
}

/// nullptr: no option follows.
Option* Parser::function_option() {
  const std::int32_t start = location();
  const auto text = [&](std::string_view name, std::string_view value) {
    return make_option(name, string_node(value, start), start);
  };
  const auto flag = [&](std::string_view name, bool value) {
    return make_option(name, boolean_node(value, start), start);
  };
  switch (peek().keyword) {
    case K::kLanguage: ++at_; return text("language", word_or_string());
    case K::kAs: {
      ++at_;
      auto* option = make_option("as", nullptr, start);
      option->values = comma_list<Node*>([this]() -> Node* {
        const std::int32_t text_at = location();
        return string_node(string_literal(), text_at);
      });
      return option;
    }
    case K::kImmutable:
    case K::kStable:
    case K::kVolatile: return text("volatility", next().value);
    case K::kStrict: ++at_; return flag("strict", true);
    case K::kCalled:
      ++at_;
      expect_all(K::kOn, K::kNull, K::kInput);
      return flag("strict", false);
    case K::kReturns:
      ++at_;
      expect_all(K::kNull, K::kOn, K::kNull, K::kInput);
      return flag("strict", true);
    case K::kExternal:
      ++at_;
      if (!at(K::kSecurity)) fail();
      [[fallthrough]];
    case K::kSecurity: {
      ++at_;
      const bool definer = accept(K::kDefiner);
      if (!definer) expect(K::kInvoker);
      return flag("security", definer);
    }
    case K::kLeakproof: ++at_; return flag("leakproof", true);
    case K::kNot:
      ++at_;
      expect(K::kLeakproof);
      return flag("leakproof", false);
    case K::kWindow: ++at_; return flag("window", true);
    case K::kCost: ++at_; return make_option("cost", numeric_only(), start);
    case K::kRows: ++at_; return make_option("rows", numeric_only(), start);
    case K::kSupport: {
      ++at_;
      const std::int32_t name_at = location();
      return make_option("support", name_node(any_name(), name_at), start);
    }
    case K::kParallel: ++at_; return text("parallel", column_id());
    case K::kSet: ++at_; return make_option("set", set_rest(false, start), start);
    case K::kReset: ++at_; return make_option("set", reset_rest(start), start);
    case K::kTransform: {
      ++at_;
      auto* option = make_option("transform", nullptr, start);
      option->values = comma_list<Node*>([this]() -> Node* {
        expect_all(K::kFor, K::kType);
        return type_name();
      });
      return option;
    }
    default: return nullptr;
  }
}

/// RETURN expression, or BEGIN ATOMIC statement; … END.
void Parser::function_body(CreateFunctionStatement& function) {
  if (accept(K::kReturn)) {
    function.has_sql_body = true;
    function.return_value = expression();
  } else if (at(K::kBegin) && at(K::kAtomic, 1)) {
    at_ += 2;
    function.has_sql_body = true;
    ListBuilder<Node*> body(arena_);
    while (!accept(K::kEnd)) {
      if (accept(';')) continue;
      if (accept(K::kReturn)) {
        function.return_value = expression();
      } else {
        body.push(statement());
      }
      expect(';');
    }
    function.body = body.take();
  }
}

std::string_view Parser::word_or_string() {
  return at(TokenKind::kString) ? string_literal() : non_reserved_word();
}

}  // namespace rustbd::sql
