// ALTER TABLE and the other relations.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

/// Stands behind ALTER <object>.
Node* Parser::alter_table(ObjectType object, std::int32_t location) {
  const bool missing_ok = if_exists();
  RelationRef* relation = object == ObjectType::kTable || object == ObjectType::kForeignTable
                              ? relation_expression()
                              : qualified_name();
  if (accept(K::kRename)) return relation_rename(object, relation, missing_ok, location);
  if (at(K::kSet) && at(K::kSchema, 1)) {
    at_ += 2;
    auto* node = make<AlterSchemaStatement>(location);
    node->object = object;
    node->if_exists = missing_ok;
    node->relation = relation;
    node->new_schema = column_id();
    return node;
  }
  auto* node = make<AlterTableStatement>(location);
  node->object = object;
  node->if_exists = missing_ok;
  node->relation = relation;
  node->commands = comma_list<AlterTableCommand*>([this, object] { return alter_table_command(object); });
  return node;
}

Node* Parser::relation_rename(ObjectType object, RelationRef* relation, bool missing_ok,
                              std::int32_t location) {
  auto* node = make<RenameStatement>(location);
  node->object = object;
  node->relation_object = object;
  node->if_exists = missing_ok;
  node->relation = relation;
  if (accept(K::kTo)) {
    node->new_name = column_id();
    return node;
  }
  if (accept(K::kConstraint)) {
    node->object = ObjectType::kConstraint;
  } else {
    accept(K::kColumn);
    node->object = ObjectType::kColumn;
  }
  node->sub_name = column_id();
  expect(K::kTo);
  node->new_name = column_id();
  return node;
}

AlterTableCommand* Parser::alter_table_command(ObjectType object) {
  using T = AlterTableType;
  auto* command = make<AlterTableCommand>();
  AlterTableCommand& c = *command;
  (void)object;
  switch (peek().keyword) {
    case K::kAdd: alter_add(c); break;
    case K::kDrop: alter_drop(c); break;
    case K::kAlter: alter_column(c); break;
    case K::kSet: alter_set(c); break;
    case K::kReset:
      ++at_;
      c.type = T::kResetOptions;
      c.options = definition_options();
      break;
    case K::kOwner:
      ++at_;
      expect(K::kTo);
      c.type = T::kOwner;
      c.role = role_spec();
      break;
    case K::kValidate:
      ++at_;
      expect(K::kConstraint);
      c.type = T::kValidateConstraint;
      c.name = column_id();
      break;
    case K::kCluster:
      ++at_;
      expect(K::kOn);
      c.type = T::kClusterOn;
      c.value = column_id();
      break;
    case K::kInherit:
      ++at_;
      c.type = T::kInherit;
      c.relation = qualified_name();
      break;
    case K::kNo:
      ++at_;
      if (accept(K::kForce)) {
        expect_all(K::kRow, K::kLevel, K::kSecurity);
        c.type = T::kNoForceRowSecurity;
      } else {
        expect(K::kInherit);
        c.type = T::kNoInherit;
        c.relation = qualified_name();
      }
      break;
    case K::kForce:
      ++at_;
      expect_all(K::kRow, K::kLevel, K::kSecurity);
      c.type = T::kForceRowSecurity;
      break;
    case K::kOf:
      ++at_;
      c.type = T::kOf;
      c.type_name = make<TypeName>();
      c.type_name->name = any_name();
      break;
    case K::kNot:
      ++at_;
      expect(K::kOf);
      c.type = T::kNotOf;
      break;
    case K::kEnable:
      ++at_;
      alter_enable(c, true);
      break;
    case K::kDisable:
      ++at_;
      alter_enable(c, false);
      break;
    case K::kReplica: alter_replica_identity(c); break;
    case K::kAttach:
      ++at_;
      expect(K::kPartition);
      c.type = T::kAttachPartition;
      c.relation = qualified_name();
      if (object != ObjectType::kIndex) c.bound = partition_bound();
      break;
    case K::kDetach:
      ++at_;
      expect(K::kPartition);
      c.type = T::kDetachPartition;
      c.relation = qualified_name();
      c.value = accept(K::kConcurrently) ? "concurrently" : accept(K::kFinalize) ? "finalize" : "";
      break;
    default: fail();
  }
  return command;
}

void Parser::alter_add(AlterTableCommand& command) {
  ++at_;
  const bool exclude = at(K::kExclude) && (at('(', 1) || at(K::kUsing, 1));
  if (exclude || at_any(K::kConstraint, K::kCheck, K::kUnique, K::kPrimary, K::kForeign)) {
    command.type = AlterTableType::kAddConstraint;
    command.constraint = table_constraint();
    return;
  }
  command.type = AlterTableType::kAddColumn;
  accept(K::kColumn);
  command.if_not_exists = if_not_exists();
  command.column = column_definition();
}

void Parser::alter_drop(AlterTableCommand& command) {
  ++at_;
  if (accept(K::kConstraint)) {
    command.type = AlterTableType::kDropConstraint;
  } else {
    accept(K::kColumn);
    command.type = AlterTableType::kDropColumn;
  }
  command.if_exists = if_exists();
  command.name = column_id();
  command.cascade = cascade_behavior();
}

void Parser::alter_column(AlterTableCommand& command) {
  using T = AlterTableType;
  ++at_;
  if (accept(K::kConstraint)) {
    command.type = T::kAlterConstraint;
    command.constraint = make<Constraint>();
    command.constraint->type = ConstraintType::kForeignKey;
    command.constraint->name = column_id();
    constraint_attributes(*command.constraint, "ALTER CONSTRAINT statement", true, false, false);
    return;
  }
  accept(K::kColumn);
  if (at(TokenKind::kInteger)) {
    command.name = next().value;
    expect_all(K::kSet, K::kStatistics);
    command.type = T::kSetStatistics;
    command.expression = numeric_only();
    return;
  }
  command.name = column_id();
  if (accept(K::kSet)) return alter_column_set(command);
  if (accept(K::kType)) {
    --at_;
    return alter_column_set(command);
  }
  if (at(K::kRestart)) return identity_options(command);
  if (accept(K::kReset)) {
    command.type = T::kResetColumnOptions;
    command.options = definition_options();
    return;
  }
  if (accept(K::kAdd)) {
    command.type = T::kAddIdentity;
    if (!at(K::kGenerated)) fail();
    command.constraint = generated_constraint(location());
    return;
  }
  expect(K::kDrop);
  if (accept(K::kDefault)) {
    command.type = T::kDropDefault;
  } else if (accept(K::kNot)) {
    expect(K::kNull);
    command.type = T::kDropNotNull;
  } else if (accept(K::kExpression)) {
    command.type = T::kDropExpression;
    command.if_exists = if_exists();
  } else {
    expect(K::kIdentity);
    command.type = T::kDropIdentity;
    command.if_exists = if_exists();
  }
}

/// Behind ALTER column SET, or at TYPE.
void Parser::alter_column_set(AlterTableCommand& command) {
  using T = AlterTableType;
  switch (peek().keyword) {
    case K::kDefault:
      ++at_;
      command.type = T::kSetDefault;
      command.expression = expression();
      return;
    case K::kNot:
      ++at_;
      expect(K::kNull);
      command.type = T::kSetNotNull;
      return;
    case K::kStatistics:
      ++at_;
      command.type = T::kSetStatistics;
      command.expression = numeric_only();
      return;
    case K::kStorage:
      ++at_;
      command.type = T::kSetStorage;
      command.value = column_id();
      return;
    case K::kCompression:
      ++at_;
      command.type = T::kSetCompression;
      command.value = accept(K::kDefault) ? "default" : column_id();
      return;
    case K::kData:
    case K::kType:
      if (!accept(K::kData) && tokens_.tokens[at_ - 1].keyword == K::kSet) fail();
      expect(K::kType);
      command.type = T::kAlterType;
      command.column = make<ColumnDefinition>();
      command.column->name = command.name;
      command.column->type = type_name();
      if (accept(K::kCollate)) command.column->collation = any_name();
      if (accept(K::kUsing)) command.expression = expression();
      return;
    default: break;
  }
  if (at('(')) {
    command.type = T::kSetColumnOptions;
    command.options = definition_options();
    return;
  }
  if (!at(K::kGenerated) && !at_sequence_option()) fail();
  --at_;
  identity_options(command);
}

/// RESTART [n], SET GENERATED …, SET <sequence option>, one after another.
void Parser::identity_options(AlterTableCommand& command) {
  command.type = AlterTableType::kSetIdentity;
  ListBuilder<Option*> options(arena_);
  while (at_any(K::kRestart, K::kSet)) {
    const std::int32_t start = location();
    if (at(K::kRestart)) {
      options.push(sequence_option());
      continue;
    }
    ++at_;
    if (accept(K::kGenerated)) {
      const bool always = accept(K::kAlways);
      if (!always) expect_all(K::kBy, K::kDefault);
      options.push(make_option("generated", string_node(always ? "always" : "by default", start), start));
    } else {
      if (!at_sequence_option()) fail();
      options.push(sequence_option());
    }
  }
  command.options = options.take();
}

void Parser::alter_set(AlterTableCommand& command) {
  using T = AlterTableType;
  ++at_;
  if (at('(')) {
    command.type = T::kSetOptions;
    command.options = definition_options();
  } else if (accept(K::kTablespace)) {
    command.type = T::kSetTablespace;
    command.value = column_id();
  } else if (accept(K::kLogged)) {
    command.type = T::kSetLogged;
  } else if (accept(K::kUnlogged)) {
    command.type = T::kSetUnlogged;
  } else if (accept(K::kAccess)) {
    expect(K::kMethod);
    command.type = T::kSetAccessMethod;
    command.value = column_id();
  } else {
    expect(K::kWithout);
    const bool cluster = accept(K::kCluster);
    if (!cluster) expect(K::kOids);
    command.type = cluster ? T::kSetWithoutCluster : T::kSetWithoutOids;
  }
}

void Parser::alter_enable(AlterTableCommand& command, bool enable) {
  using T = AlterTableType;
  if (accept(K::kRow)) {
    expect_all(K::kLevel, K::kSecurity);
    command.type = enable ? T::kEnableRowSecurity : T::kDisableRowSecurity;
    return;
  }
  const bool always = enable && accept(K::kAlways);
  const bool replica = enable && !always && accept(K::kReplica);
  const bool rule = accept(K::kRule);
  if (!rule) expect(K::kTrigger);
  if (rule) {
    command.type = always    ? T::kEnableAlwaysRule
                   : replica ? T::kEnableReplicaRule
                   : enable  ? T::kEnableRule
                             : T::kDisableRule;
    command.value = column_id();
    return;
  }
  command.type = always    ? T::kEnableAlwaysTrigger
                 : replica ? T::kEnableReplicaTrigger
                 : enable  ? T::kEnableTrigger
                           : T::kDisableTrigger;
  const bool general = !always && !replica && at_any(K::kAll, K::kUser);
  command.quoted = !general;
  command.value = general ? next().value : column_id();
}

void Parser::alter_replica_identity(AlterTableCommand& command) {
  using T = AlterTableType;
  expect_all(K::kReplica, K::kIdentity);
  if (accept(K::kNothing)) {
    command.type = T::kReplicaIdentityNothing;
  } else if (accept(K::kFull)) {
    command.type = T::kReplicaIdentityFull;
  } else if (accept(K::kDefault)) {
    command.type = T::kReplicaIdentityDefault;
  } else {
    expect_all(K::kUsing, K::kIndex);
    command.type = T::kReplicaIdentityIndex;
    command.value = column_id();
  }
}

}  // namespace rustbd::sql
