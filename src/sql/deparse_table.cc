// Table, index, sequence and view definitions to text.
#include "rustbd/sql/deparse_impl.h"

namespace rustbd::sql {
namespace {

constexpr std::string_view kActions[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};

}  // namespace

bool Printer::table_node(const Node* node) {
  switch (node->kind) {
    case NodeKind::kCreateTableStatement: create_table(as<CreateTableStatement>(node)); return true;
    case NodeKind::kCreateTableAsStatement: create_table_as(as<CreateTableAsStatement>(node)); return true;
    case NodeKind::kColumnDefinition: column(as<ColumnDefinition>(node)); return true;
    case NodeKind::kConstraint: constraint(as<Constraint>(node)); return true;
    case NodeKind::kLikeClause: like(as<LikeClause>(node)); return true;
    case NodeKind::kPartitionBound: partition_bound(as<PartitionBound>(node)); return true;
    case NodeKind::kIndexElement: index_element(as<IndexElement>(node)); return true;
    case NodeKind::kCreateIndexStatement: create_index(as<CreateIndexStatement>(node)); return true;
    case NodeKind::kCreateViewStatement: create_view(as<CreateViewStatement>(node)); return true;
    case NodeKind::kAlterTableStatement: alter_table(as<AlterTableStatement>(node)); return true;
    case NodeKind::kCreateSequenceStatement: {
      const auto& sequence = as<CreateSequenceStatement>(node);
      text("CREATE ");
      persistence(sequence.relation->persistence);
      text("SEQUENCE ").flag(sequence.if_not_exists, "IF NOT EXISTS ");
      relation(*sequence.relation);
      sequence_options(sequence.options, " ");
      return true;
    }
    case NodeKind::kAlterSequenceStatement: {
      const auto& sequence = as<AlterSequenceStatement>(node);
      text("ALTER SEQUENCE ").flag(sequence.if_exists, "IF EXISTS ");
      relation(*sequence.relation);
      sequence_options(sequence.options, " ");
      return true;
    }
    case NodeKind::kRefreshMaterializedViewStatement: {
      const auto& refresh = as<RefreshMaterializedViewStatement>(node);
      text("REFRESH MATERIALIZED VIEW ").flag(refresh.concurrently, "CONCURRENTLY ");
      relation(*refresh.relation);
      flag(!refresh.with_data, " WITH NO DATA");
      return true;
    }
    default: return false;
  }
}

void Printer::persistence(Persistence persistence) {
  flag(persistence == Persistence::kTemporary, "TEMPORARY ")
      .flag(persistence == Persistence::kUnlogged, "UNLOGGED ");
}

void Printer::on_commit(OnCommit on_commit) {
  flag(on_commit == OnCommit::kDrop, " ON COMMIT DROP");
  flag(on_commit == OnCommit::kDeleteRows, " ON COMMIT DELETE ROWS");
  flag(on_commit == OnCommit::kPreserveRows, " ON COMMIT PRESERVE ROWS");
}

void Printer::options(List<Option*> items) {
  text("(");
  list(items, [this](const Option* item) {
    if (!item->name_space.empty()) name(item->name_space).text(".");
    name(item->name);
    if (item->value == nullptr) return;
    text(" = ");
    node(item->value);
  });
  text(")");
}

void Printer::create_table(const CreateTableStatement& node) {
  text("CREATE ");
  persistence(node.relation->persistence);
  text("TABLE ").flag(node.if_not_exists, "IF NOT EXISTS ");
  relation(*node.relation);
  const bool typed = node.of_type != nullptr || node.partition_of != nullptr;
  if (node.of_type != nullptr) text(" OF ").dotted(node.of_type->name);
  if (node.partition_of != nullptr) {
    text(" PARTITION OF ");
    relation(*node.partition_of);
  }
  if (!typed || !node.elements.empty()) {
    text(" (");
    list(node.elements, [this](const Node* item) { this->node(item); });
    text(")");
  }
  if (node.partition_bound != nullptr) {
    text(" ");
    partition_bound(*node.partition_bound);
  }
  if (!node.inherits.empty()) {
    text(" INHERITS (");
    list(node.inherits, [this](const RelationRef* item) { relation(*item); });
    text(")");
  }
  if (node.partition_by != nullptr) {
    text(" PARTITION BY ").name(node.partition_by->strategy).text(" (");
    list(node.partition_by->columns, [this](const IndexElement* item) { index_element(*item); });
    text(")");
  }
  if (!node.access_method.empty()) text(" USING ").name(node.access_method);
  if (!node.options.empty()) {
    text(" WITH ");
    options(node.options);
  }
  flag(node.without_oids, " WITHOUT OIDS");
  on_commit(node.on_commit);
  if (!node.tablespace.empty()) text(" TABLESPACE ").name(node.tablespace);
}

void Printer::create_table_as(const CreateTableAsStatement& node) {
  text("CREATE ");
  persistence(node.into->relation->persistence);
  text(node.materialized_view ? "MATERIALIZED VIEW " : "TABLE ").flag(node.if_not_exists, "IF NOT EXISTS ");
  relation(*node.into->relation);
  columns(node.into->columns);
  if (!node.into->access_method.empty()) text(" USING ").name(node.into->access_method);
  if (!node.into->options.empty()) {
    text(" WITH ");
    options(node.into->options);
  }
  on_commit(node.into->on_commit);
  if (!node.into->tablespace.empty()) text(" TABLESPACE ").name(node.into->tablespace);
  text(" AS ");
  this->node(node.query);
  flag(!node.with_data, " WITH NO DATA");
}

void Printer::column(const ColumnDefinition& node) {
  name(node.name);
  if (node.type != nullptr) {
    text(" ");
    type(*node.type);
  }
  if (!node.compression.empty()) {
    text(" COMPRESSION ");
    if (node.compression == "default") text("DEFAULT");
    else name(node.compression);
  }
  if (!node.foreign_options.empty()) {
    text(" OPTIONS (");
    list(node.foreign_options, [this](const Option* item) {
      name(item->name).text(" ");
      this->node(item->value);
    });
    text(")");
  }
  if (!node.collation.empty()) text(" COLLATE ").dotted(node.collation);
  for (const Constraint* item : node.constraints) {
    text(" ");
    constraint(*item);
  }
}

void Printer::constraint(const Constraint& node) {
  if (!node.name.empty()) text("CONSTRAINT ").name(node.name).text(" ");
  switch (node.type) {
    case ConstraintType::kNull: text("NULL"); break;
    case ConstraintType::kNotNull: text("NOT NULL"); break;
    case ConstraintType::kDefault:
      text("DEFAULT ");
      // Only restricted expressions may stand here without parentheses.
      operand(node.expression, 16);
      break;
    case ConstraintType::kIdentity:
      text(node.identity_always ? "GENERATED ALWAYS AS IDENTITY" : "GENERATED BY DEFAULT AS IDENTITY");
      if (!node.sequence_options.empty()) {
        text(" (");
        sequence_options(node.sequence_options, " ");
        text(")");
      }
      break;
    case ConstraintType::kGenerated:
      text("GENERATED ALWAYS AS (");
      expression(node.expression);
      text(") STORED");
      break;
    case ConstraintType::kCheck:
      text("CHECK (");
      expression(node.expression);
      text(")");
      break;
    case ConstraintType::kPrimaryKey:
    case ConstraintType::kUnique: constraint_index(node); break;
    case ConstraintType::kForeignKey: foreign_key(node); break;
    case ConstraintType::kExclusion: exclusion(node); break;
  }
  flag(node.deferrable, " DEFERRABLE").flag(node.initially_deferred, " INITIALLY DEFERRED");
  flag(node.not_valid, " NOT VALID").flag(node.no_inherit, " NO INHERIT");
}

void Printer::constraint_index(const Constraint& node) {
  if (node.type == ConstraintType::kPrimaryKey) {
    text("PRIMARY KEY");
  } else if (node.type == ConstraintType::kUnique) {
    text("UNIQUE").flag(node.nulls_not_distinct, " NULLS NOT DISTINCT");
  }
  if (!node.using_index.empty()) {
    text(" USING INDEX ").name(node.using_index);
    return;
  }
  columns(node.columns);
  if (!node.including.empty()) text(" INCLUDE").columns(node.including);
  if (!node.options.empty()) {
    text(" WITH ");
    options(node.options);
  }
  if (!node.tablespace.empty()) text(" USING INDEX TABLESPACE ").name(node.tablespace);
}

void Printer::foreign_key(const Constraint& node) {
  if (node.referenced == nullptr) return;  // ALTER CONSTRAINT: attributes only
  if (!node.columns.empty()) text("FOREIGN KEY").columns(node.columns).text(" ");
  text("REFERENCES ");
  relation(*node.referenced);
  columns(node.referenced_columns);
  flag(node.match == MatchType::kFull, " MATCH FULL")
      .flag(node.match == MatchType::kPartial, " MATCH PARTIAL");
  if (node.on_update != ReferentialAction::kNoAction) {
    text(" ON UPDATE ").text(kActions[static_cast<std::size_t>(node.on_update)]);
  }
  if (node.on_delete != ReferentialAction::kNoAction) {
    text(" ON DELETE ")
        .text(kActions[static_cast<std::size_t>(node.on_delete)])
        .columns(node.on_delete_columns);
  }
}

void Printer::exclusion(const Constraint& node) {
  text("EXCLUDE");
  if (!node.access_method.empty()) text(" USING ").name(node.access_method);
  text(" (");
  list(node.exclusions, [this](const ExclusionElement& item) {
    index_element(*item.element);
    text(" WITH ").operator_name(item.schema, item.op);
  });
  text(")");
  constraint_index(node);
  if (node.where == nullptr) return;
  text(" WHERE (");
  expression(node.where);
  text(")");
}

void Printer::like(const LikeClause& node) {
  text("LIKE ");
  relation(*node.relation);
  if (node.options == kLikeAll) {
    text(" INCLUDING ALL");
    return;
  }
  constexpr std::string_view kWords[] = {"COMMENTS", "COMPRESSION", "CONSTRAINTS", "DEFAULTS", "GENERATED",
                                         "IDENTITY", "INDEXES",     "STATISTICS",  "STORAGE"};
  const bool most = (node.options & ~std::uint32_t{511}) != 0;  // ALL but some
  flag(most, " INCLUDING ALL");
  for (std::size_t i = 0; i < std::size(kWords); ++i) {
    const bool on = (node.options & (1u << i)) != 0;
    if (on != most) text(most ? " EXCLUDING " : " INCLUDING ").text(kWords[i]);
  }
}

void Printer::partition_bound(const PartitionBound& node) {
  switch (node.type) {
    case PartitionBoundType::kDefault: text("DEFAULT"); return;
    case PartitionBoundType::kList:
      text("FOR VALUES IN ");
      parenthesized_list(node.values);
      return;
    case PartitionBoundType::kRange:
      text("FOR VALUES FROM ");
      parenthesized_list(node.values);
      text(" TO ");
      parenthesized_list(node.upper_values);
      return;
    case PartitionBoundType::kHash:
      text("FOR VALUES WITH (MODULUS ")
          .number(node.modulus)
          .text(", REMAINDER ")
          .number(node.remainder)
          .text(")");
  }
}

void Printer::index_element(const IndexElement& node) {
  if (node.expression == nullptr) {
    name(node.column);
  } else {
    text("(");
    expression(node.expression);
    text(")");
  }
  if (!node.collation.empty()) text(" COLLATE ").dotted(node.collation);
  if (!node.operator_class.empty()) text(" ").dotted(node.operator_class);
  if (!node.operator_class_options.empty()) {
    text(" ");
    options(node.operator_class_options);
  }
  flag(node.direction == SortDirection::kAscending, " ASC")
      .flag(node.direction == SortDirection::kDescending, " DESC");
  flag(node.nulls == SortNulls::kFirst, " NULLS FIRST").flag(node.nulls == SortNulls::kLast, " NULLS LAST");
}

void Printer::create_index(const CreateIndexStatement& node) {
  text("CREATE ").flag(node.unique, "UNIQUE ").text("INDEX ").flag(node.concurrently, "CONCURRENTLY ");
  flag(node.if_not_exists, "IF NOT EXISTS ");
  if (!node.name.empty()) name(node.name).text(" ");
  text("ON ");
  relation(*node.relation);
  if (!node.access_method.empty()) text(" USING ").name(node.access_method);
  const auto elements = [this](List<IndexElement*> items) {
    text(" (");
    list(items, [this](const IndexElement* item) { index_element(*item); });
    text(")");
  };
  elements(node.columns);
  if (!node.including.empty()) {
    text(" INCLUDE");
    elements(node.including);
  }
  flag(node.nulls_not_distinct, " NULLS NOT DISTINCT");
  if (!node.options.empty()) {
    text(" WITH ");
    options(node.options);
  }
  if (!node.tablespace.empty()) text(" TABLESPACE ").name(node.tablespace);
  where(node.where);
}

void Printer::sequence_options(List<Option*> items, std::string_view prefix) {
  for (const Option* item : items) {
    text(prefix);
    const std::string_view option = item->name;
    if (option == "cycle") {
      text(as<Literal>(item->value).boolean ? "CYCLE" : "NO CYCLE");
      continue;
    }
    if (option == "generated") {
      text(as<Literal>(item->value).text == "always" ? "GENERATED ALWAYS" : "GENERATED BY DEFAULT");
      continue;
    }
    if (item->value == nullptr) {
      text(option == "maxvalue" ? "NO MAXVALUE" : option == "minvalue" ? "NO MINVALUE" : "RESTART");
      continue;
    }
    text(option == "as"          ? "AS "
         : option == "cache"     ? "CACHE "
         : option == "increment" ? "INCREMENT BY "
         : option == "maxvalue"  ? "MAXVALUE "
         : option == "minvalue"  ? "MINVALUE "
         : option == "start"     ? "START WITH "
         : option == "restart"   ? "RESTART WITH "
         : option == "owned_by"  ? "OWNED BY "
                                 : "SEQUENCE NAME ");
    if (const auto* object = try_as<ObjectName>(item->value)) {
      if (object->name.size() == 1 && object->name[0] == "none") text("NONE");
      else dotted(object->name);
    } else {
      node(item->value);
    }
  }
}

void Printer::create_view(const CreateViewStatement& node) {
  text("CREATE ").flag(node.or_replace, "OR REPLACE ");
  persistence(node.relation->persistence);
  text("VIEW ");
  relation(*node.relation);
  columns(node.columns);
  if (!node.options.empty()) {
    text(" WITH ");
    options(node.options);
  }
  text(" AS ");
  select(*node.query);
  flag(node.check_option == CheckOption::kLocal, " WITH LOCAL CHECK OPTION");
  flag(node.check_option == CheckOption::kCascaded, " WITH CASCADED CHECK OPTION");
}

// --- ALTER TABLE

void Printer::alter_table(const AlterTableStatement& node) {
  text("ALTER ").text(object_words(node.object)).text(" ").flag(node.if_exists, "IF EXISTS ");
  relation(*node.relation);
  text(" ");
  list(node.commands, [this](const AlterTableCommand* item) { alter_command(*item); });
}

void Printer::alter_command(const AlterTableCommand& node) {
  using T = AlterTableType;
  switch (node.type) {
    case T::kAddColumn:
      text("ADD COLUMN ").flag(node.if_not_exists, "IF NOT EXISTS ");
      column(*node.column);
      return;
    case T::kDropColumn:
    case T::kDropConstraint:
      text(node.type == T::kDropColumn ? "DROP COLUMN " : "DROP CONSTRAINT ")
          .flag(node.if_exists, "IF EXISTS ");
      name(node.name).flag(node.cascade, " CASCADE");
      return;
    case T::kAddConstraint:
      text("ADD ");
      constraint(*node.constraint);
      return;
    case T::kAlterConstraint:
      text("ALTER CONSTRAINT ").name(node.constraint->name);
      flag(node.constraint->deferrable, " DEFERRABLE");
      flag(node.constraint->initially_deferred, " INITIALLY DEFERRED");
      return;
    case T::kValidateConstraint: text("VALIDATE CONSTRAINT ").name(node.name); return;
    case T::kAlterType:
    case T::kSetDefault:
    case T::kDropDefault:
    case T::kSetNotNull:
    case T::kDropNotNull:
    case T::kAddIdentity:
    case T::kSetIdentity:
    case T::kDropIdentity:
    case T::kDropExpression:
    case T::kSetStatistics:
    case T::kSetStorage:
    case T::kSetCompression:
    case T::kSetColumnOptions:
    case T::kResetColumnOptions: return alter_column(node);
    default: alter_other(node);
  }
}

void Printer::alter_column(const AlterTableCommand& node) {
  using T = AlterTableType;
  const bool numbered = !node.name.empty() && node.name[0] >= '0' && node.name[0] <= '9';
  text("ALTER COLUMN ");
  if (numbered) text(node.name);
  else name(node.name);
  switch (node.type) {
    case T::kAlterType:
      text(" TYPE ");
      type(*node.column->type);
      if (!node.column->collation.empty()) text(" COLLATE ").dotted(node.column->collation);
      if (node.expression != nullptr) {
        text(" USING ");
        expression(node.expression);
      }
      return;
    case T::kSetDefault:
      text(" SET DEFAULT ");
      expression(node.expression);
      return;
    case T::kDropDefault: text(" DROP DEFAULT"); return;
    case T::kSetNotNull: text(" SET NOT NULL"); return;
    case T::kDropNotNull: text(" DROP NOT NULL"); return;
    case T::kAddIdentity:
      text(" ADD ");
      constraint(*node.constraint);
      return;
    case T::kSetIdentity:
      for (const Option* item : node.options) {
        Option copy = *item;
        Option* one[] = {&copy};
        sequence_options(one, item->name == "restart" ? " " : " SET ");
      }
      return;
    case T::kDropIdentity: text(" DROP IDENTITY").flag(node.if_exists, " IF EXISTS"); return;
    case T::kDropExpression: text(" DROP EXPRESSION").flag(node.if_exists, " IF EXISTS"); return;
    case T::kSetStatistics:
      text(" SET STATISTICS ");
      expression(node.expression);
      return;
    case T::kSetStorage: text(" SET STORAGE ").name(node.value); return;
    case T::kSetCompression:
      text(" SET COMPRESSION ");
      if (node.value == "default") text("DEFAULT");
      else name(node.value);
      return;
    default: text(node.type == T::kSetColumnOptions ? " SET " : " RESET "); options(node.options);
  }
}

void Printer::alter_other(const AlterTableCommand& node) {
  using T = AlterTableType;
  const auto named = [&](std::string_view words) { text(words).name(node.value); };
  const auto trigger = [&](std::string_view words) {
    text(words);
    if (node.quoted) name(node.value);
    else text(node.value);
  };
  switch (node.type) {
    case T::kOwner:
      text("OWNER TO ");
      role(*node.role);
      return;
    case T::kSetOptions:
      text("SET ");
      options(node.options);
      return;
    case T::kResetOptions:
      text("RESET ");
      options(node.options);
      return;
    case T::kSetTablespace: return named("SET TABLESPACE ");
    case T::kSetAccessMethod: return named("SET ACCESS METHOD ");
    case T::kClusterOn: return named("CLUSTER ON ");
    case T::kReplicaIdentityIndex: return named("REPLICA IDENTITY USING INDEX ");
    case T::kSetWithoutCluster: text("SET WITHOUT CLUSTER"); return;
    case T::kSetWithoutOids: text("SET WITHOUT OIDS"); return;
    case T::kSetLogged: text("SET LOGGED"); return;
    case T::kSetUnlogged: text("SET UNLOGGED"); return;
    case T::kReplicaIdentityDefault: text("REPLICA IDENTITY DEFAULT"); return;
    case T::kReplicaIdentityFull: text("REPLICA IDENTITY FULL"); return;
    case T::kReplicaIdentityNothing: text("REPLICA IDENTITY NOTHING"); return;
    case T::kInherit:
      text("INHERIT ");
      relation(*node.relation);
      return;
    case T::kNoInherit:
      text("NO INHERIT ");
      relation(*node.relation);
      return;
    case T::kAttachPartition:
      text("ATTACH PARTITION ");
      relation(*node.relation);
      if (node.bound != nullptr) {
        text(" ");
        partition_bound(*node.bound);
      }
      return;
    case T::kDetachPartition:
      text("DETACH PARTITION ");
      relation(*node.relation);
      flag(node.value == "concurrently", " CONCURRENTLY").flag(node.value == "finalize", " FINALIZE");
      return;
    case T::kOf: text("OF ").dotted(node.type_name->name); return;
    case T::kNotOf: text("NOT OF"); return;
    case T::kEnableTrigger: return trigger("ENABLE TRIGGER ");
    case T::kDisableTrigger: return trigger("DISABLE TRIGGER ");
    case T::kEnableAlwaysTrigger: return trigger("ENABLE ALWAYS TRIGGER ");
    case T::kEnableReplicaTrigger: return trigger("ENABLE REPLICA TRIGGER ");
    case T::kEnableRule: return named("ENABLE RULE ");
    case T::kDisableRule: return named("DISABLE RULE ");
    case T::kEnableAlwaysRule: return named("ENABLE ALWAYS RULE ");
    case T::kEnableReplicaRule: return named("ENABLE REPLICA RULE ");
    case T::kEnableRowSecurity: text("ENABLE ROW LEVEL SECURITY"); return;
    case T::kDisableRowSecurity: text("DISABLE ROW LEVEL SECURITY"); return;
    case T::kForceRowSecurity: text("FORCE ROW LEVEL SECURITY"); return;
    default: text("NO FORCE ROW LEVEL SECURITY");
  }
}

}  // namespace rustbd::sql
