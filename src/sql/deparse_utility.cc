// Objects, roles, privileges, COPY and functions to text; the entry point.
#include "rustbd/base/statement_assert.h"
#include "rustbd/sql/deparse_impl.h"

namespace rustbd::sql {

std::string deparse(const Node* node) {
  Printer printer;
  printer.node(node);
  return printer.take();
}

void Printer::node(const Node* node) {
  const bool known = expression_node(node) || query_node(node) || table_node(node) || utility_node(node) ||
                     session_node(node);
  RUSTBD_STATEMENT_ASSERT(known);
}

std::string_view object_words(ObjectType type) {
  constexpr std::string_view kWords[] = {"TABLE",
                                         "INDEX",
                                         "SEQUENCE",
                                         "VIEW",
                                         "MATERIALIZED VIEW",
                                         "FOREIGN TABLE",
                                         "COLUMN",
                                         "CONSTRAINT",
                                         "CONSTRAINT",
                                         "SCHEMA",
                                         "TYPE",
                                         "DOMAIN",
                                         "DATABASE",
                                         "ROLE",
                                         "FUNCTION",
                                         "PROCEDURE",
                                         "ROUTINE",
                                         "AGGREGATE",
                                         "OPERATOR",
                                         "OPERATOR CLASS",
                                         "OPERATOR FAMILY",
                                         "COLLATION",
                                         "CONVERSION",
                                         "EXTENSION",
                                         "LANGUAGE",
                                         "TABLESPACE",
                                         "TRIGGER",
                                         "RULE",
                                         "POLICY",
                                         "CAST",
                                         "TRANSFORM",
                                         "ACCESS METHOD",
                                         "EVENT TRIGGER",
                                         "PUBLICATION",
                                         "SUBSCRIPTION",
                                         "SERVER",
                                         "FOREIGN DATA WRAPPER",
                                         "STATISTICS",
                                         "TEXT SEARCH PARSER",
                                         "TEXT SEARCH DICTIONARY",
                                         "TEXT SEARCH TEMPLATE",
                                         "TEXT SEARCH CONFIGURATION",
                                         "LARGE OBJECT",
                                         "ATTRIBUTE",
                                         "PARAMETER"};
  return kWords[static_cast<std::size_t>(type)];
}

void Printer::generic_options(List<Option*> items) {
  text("(");
  list(items, [this](const Option* item) {
    name(item->name);
    if (!item->values.empty()) {
      text(" ");
      parenthesized_list(item->values);
    } else if (item->value != nullptr) {
      text(" ");
      node(item->value);
    }
  });
  text(")");
}

void Printer::role(const RoleSpec& node) {
  switch (node.type) {
    case RoleSpecType::kName: name(node.name); return;
    case RoleSpecType::kPublic: text("public"); return;
    case RoleSpecType::kCurrentRole: text("CURRENT_ROLE"); return;
    case RoleSpecType::kCurrentUser: text("CURRENT_USER"); return;
    case RoleSpecType::kSessionUser: text("SESSION_USER");
  }
}

void Printer::roles(List<RoleSpec*> items) {
  list(items, [this](const RoleSpec* item) { role(*item); });
}

void Printer::object_name(ObjectType type, const ObjectName& node) {
  switch (type) {
    case ObjectType::kCast:
      text("(");
      this->type(*node.types[0]);
      text(" AS ");
      this->type(*node.types[1]);
      text(")");
      return;
    case ObjectType::kType:
    case ObjectType::kDomain:
      if (node.types.empty()) dotted(node.name);
      else this->type(*node.types[0]);
      return;
    case ObjectType::kTransform:
      text("FOR ");
      this->type(*node.types[0]);
      text(" LANGUAGE ").name(node.method);
      return;
    case ObjectType::kLargeObject: text(node.number); return;
    case ObjectType::kOperator:
      for (std::size_t i = 0; i < node.name.size(); ++i) {
        if (i + 1 < node.name.size()) name(node.name[i]).text(".");
        else text(node.name[i]);
      }
      break;
    default: dotted(node.name);
  }
  if (!node.method.empty()) text(" USING ").name(node.method);
  if (node.has_arguments) {
    text("(").flag(type == ObjectType::kAggregate && node.arguments.empty(), "*");
    list(node.arguments, [this](const Node* item) {
      if (item == nullptr) text("NONE");
      else this->node(item);
    });
    text(")");
  }
  if (!node.on.empty()) text(" ON ").dotted(node.on);
  if ((type == ObjectType::kConstraint || type == ObjectType::kDomainConstraint) && !node.types.empty()) {
    text(" ON DOMAIN ").dotted(node.types[0]->name);
  }
}

bool Printer::utility_node(const Node* node) {
  switch (node->kind) {
    case NodeKind::kRoleSpec: role(as<RoleSpec>(node)); return true;
    case NodeKind::kObjectName: dotted(as<ObjectName>(node).name); return true;
    case NodeKind::kRenameStatement: rename(as<RenameStatement>(node)); return true;
    case NodeKind::kAlterSchemaStatement: {
      const auto& alter = as<AlterSchemaStatement>(node);
      text("ALTER ").text(object_words(alter.object)).text(" ").flag(alter.if_exists, "IF EXISTS ");
      if (alter.relation != nullptr) relation(*alter.relation);
      else object_name(alter.object, *alter.name);
      text(" SET SCHEMA ").name(alter.new_schema);
      return true;
    }
    case NodeKind::kAlterOwnerStatement: {
      const auto& alter = as<AlterOwnerStatement>(node);
      text("ALTER ").text(object_words(alter.object)).text(" ");
      object_name(alter.object, *alter.name);
      text(" OWNER TO ");
      role(*alter.owner);
      return true;
    }
    case NodeKind::kDropStatement: {
      const auto& drop = as<DropStatement>(node);
      text("DROP ").text(object_words(drop.object)).text(" ").flag(drop.concurrently, "CONCURRENTLY ");
      flag(drop.if_exists, "IF EXISTS ");
      list(drop.names, [&](const ObjectName* item) { object_name(drop.object, *item); });
      flag(drop.cascade, " CASCADE");
      return true;
    }
    case NodeKind::kCommentStatement: {
      const auto& comment = as<CommentStatement>(node);
      text("COMMENT ON ").text(object_words(comment.object)).text(" ");
      object_name(comment.object, *comment.name);
      text(" IS ");
      if (comment.is_null) text("NULL");
      else literal(comment.text);
      return true;
    }
    case NodeKind::kTruncateStatement: {
      const auto& truncate = as<TruncateStatement>(node);
      text("TRUNCATE TABLE ");
      list(truncate.relations, [this](const RelationRef* item) { relation(*item); });
      flag(truncate.restart_identity, " RESTART IDENTITY").flag(truncate.cascade, " CASCADE");
      return true;
    }
    case NodeKind::kCreateSchemaStatement: {
      const auto& schema = as<CreateSchemaStatement>(node);
      text("CREATE SCHEMA").flag(schema.if_not_exists, " IF NOT EXISTS");
      if (!schema.name.empty()) text(" ").name(schema.name);
      if (schema.owner != nullptr) {
        text(" AUTHORIZATION ");
        role(*schema.owner);
      }
      for (const Node* element : schema.elements) {
        text(" ");
        this->node(element);
      }
      return true;
    }
    case NodeKind::kCreateEnumStatement:
      text("CREATE TYPE ").dotted(as<CreateEnumStatement>(node).name).text(" AS ENUM (");
      list(as<CreateEnumStatement>(node).labels, [this](std::string_view label) { literal(label); });
      text(")");
      return true;
    case NodeKind::kAlterEnumStatement: {
      const auto& alter = as<AlterEnumStatement>(node);
      text("ALTER TYPE ").dotted(alter.name);
      if (alter.is_rename) {
        text(" RENAME VALUE ").literal(alter.old_label).text(" TO ").literal(alter.label);
        return true;
      }
      text(" ADD VALUE ").flag(alter.if_not_exists, "IF NOT EXISTS ").literal(alter.label);
      if (alter.has_neighbour) text(alter.after ? " AFTER " : " BEFORE ").literal(alter.neighbour);
      return true;
    }
    case NodeKind::kCreateDatabaseStatement:
      text("CREATE DATABASE ").name(as<CreateDatabaseStatement>(node).name);
      database_options(as<CreateDatabaseStatement>(node).options);
      return true;
    case NodeKind::kAlterDatabaseStatement: {
      const auto& alter = as<AlterDatabaseStatement>(node);
      text("ALTER DATABASE ").name(alter.name);
      if (alter.options.size() == 1 && alter.options[0]->name == "tablespace") {
        text(" SET TABLESPACE ").name(as<Literal>(alter.options[0]->value).text);
      } else {
        database_options(alter.options);
      }
      return true;
    }
    case NodeKind::kDropDatabaseStatement: {
      const auto& drop = as<DropDatabaseStatement>(node);
      text("DROP DATABASE ")
          .flag(drop.if_exists, "IF EXISTS ")
          .name(drop.name)
          .flag(drop.force, " WITH (FORCE)");
      return true;
    }
    case NodeKind::kCreateRoleStatement: {
      const auto& create = as<CreateRoleStatement>(node);
      constexpr std::string_view kWords[] = {"ROLE ", "USER ", "GROUP "};
      text("CREATE ").text(kWords[static_cast<std::size_t>(create.role_kind)]).name(create.name);
      role_options(create.options);
      return true;
    }
    case NodeKind::kAlterRoleStatement: {
      const auto& alter = as<AlterRoleStatement>(node);
      const bool members = alter.options.size() == 1 && alter.options[0]->name == "rolemembers";
      text(members ? "ALTER GROUP " : "ALTER ROLE ");
      role(*alter.role);
      if (!members) {
        role_options(alter.options);
        return true;
      }
      text(alter.drop_members ? " DROP USER " : " ADD USER ");
      expressions(alter.options[0]->values);
      return true;
    }
    case NodeKind::kDropRoleStatement:
      text("DROP ROLE ").flag(as<DropRoleStatement>(node).if_exists, "IF EXISTS ");
      roles(as<DropRoleStatement>(node).roles);
      return true;
    case NodeKind::kGrantStatement: grant(as<GrantStatement>(node)); return true;
    case NodeKind::kGrantRoleStatement: grant_role(as<GrantRoleStatement>(node)); return true;
    case NodeKind::kCopyStatement: copy(as<CopyStatement>(node)); return true;
    case NodeKind::kCreateFunctionStatement: create_function(as<CreateFunctionStatement>(node)); return true;
    case NodeKind::kFunctionParameter: parameter(as<FunctionParameter>(node)); return true;
    case NodeKind::kUnsupportedStatement: text(as<UnsupportedStatement>(node).text); return true;
    default: return false;
  }
}

void Printer::rename(const RenameStatement& node) {
  text("ALTER ").text(object_words(node.relation_object)).text(" ").flag(node.if_exists, "IF EXISTS ");
  if (node.relation != nullptr) relation(*node.relation);
  else object_name(node.object, *node.name);
  text(" RENAME ");
  if (node.object == ObjectType::kColumn) text("COLUMN ").name(node.sub_name).text(" ");
  if (node.object == ObjectType::kConstraint) text("CONSTRAINT ").name(node.sub_name).text(" ");
  text("TO ").name(node.new_name);
}

void Printer::database_options(List<Option*> items) {
  for (const Option* item : items) {
    text(" ")
        .text(item->name == "connection_limit" ? "connection limit" : quote_identifier(item->name))
        .text(" = ");
    if (item->value == nullptr) text("DEFAULT");
    else node(item->value);
  }
}

void Printer::role_options(List<Option*> items) {
  struct Word {
    std::string_view name, on, off;
  };
  constexpr Word kWords[] = {{"superuser", "SUPERUSER", "NOSUPERUSER"},
                             {"inherit", "INHERIT", "NOINHERIT"},
                             {"createrole", "CREATEROLE", "NOCREATEROLE"},
                             {"createdb", "CREATEDB", "NOCREATEDB"},
                             {"canlogin", "LOGIN", "NOLOGIN"},
                             {"isreplication", "REPLICATION", "NOREPLICATION"},
                             {"bypassrls", "BYPASSRLS", "NOBYPASSRLS"},
                             {"connectionlimit", "CONNECTION LIMIT ", ""},
                             {"password", "PASSWORD ", ""},
                             {"validUntil", "VALID UNTIL ", ""},
                             {"sysid", "SYSID ", ""},
                             {"addroleto", "IN ROLE ", ""},
                             {"rolemembers", "ROLE ", ""},
                             {"adminmembers", "ADMIN ", ""}};
  for (const Option* item : items) {
    text(" ");
    for (const Word& word : kWords) {
      if (word.name != item->name) continue;
      const auto* value = try_as<Literal>(item->value);
      const bool boolean = value != nullptr && value->type == LiteralType::kBoolean;
      text(boolean && !value->boolean ? word.off : word.on);
      if (boolean) continue;
      if (item->value != nullptr) node(item->value);
      else expressions(item->values);
    }
  }
}

// --- privileges

void Printer::grant(const GrantStatement& node) {
  if (node.target == GrantTarget::kDefaults) {
    text("ALTER DEFAULT PRIVILEGES ");
    if (!node.for_roles.empty()) {
      text("FOR ROLE ");
      roles(node.for_roles);
      text(" ");
    }
    if (!node.in_schemas.empty()) text("IN SCHEMA ").names(node.in_schemas).text(" ");
  }
  text(node.is_grant ? "GRANT " : "REVOKE ").flag(!node.is_grant && node.grant_option, "GRANT OPTION FOR ");
  flag(node.privileges.empty(), "ALL");
  list(node.privileges, [this](const Privilege* item) {
    if (item->name.empty()) text("ALL");
    else if (item->name == "alter system") text(item->name);
    else if (item->name == "select" || item->name == "references" || item->name == "create") text(item->name);
    else name(item->name);
    columns(item->columns);
  });
  text(" ON ");
  grant_objects(node);
  text(node.is_grant ? " TO " : " FROM ");
  roles(node.grantees);
  flag(node.is_grant && node.grant_option, " WITH GRANT OPTION");
  if (node.granted_by != nullptr) {
    text(" GRANTED BY ");
    role(*node.granted_by);
  }
  flag(node.cascade, " CASCADE");
}

void Printer::grant_objects(const GrantStatement& node) {
  if (node.target != GrantTarget::kObjects) {
    flag(node.target == GrantTarget::kAllInSchema, "ALL ").text(object_words(node.object)).text("S");
    if (node.target == GrantTarget::kDefaults) return;
    text(" IN SCHEMA ");
  } else if (node.object == ObjectType::kServer) {
    text("FOREIGN SERVER ");
  } else {
    text(object_words(node.object)).text(" ");
  }
  list(node.objects, [&](const Node* item) {
    if (const auto* table = try_as<RelationRef>(item)) return relation(*table);
    object_name(node.object, as<ObjectName>(item));
  });
}

void Printer::grant_role(const GrantRoleStatement& node) {
  text(node.is_grant ? "GRANT " : "REVOKE ").flag(!node.is_grant && node.admin_option, "ADMIN OPTION FOR ");
  names(node.roles).text(node.is_grant ? " TO " : " FROM ");
  roles(node.grantees);
  flag(node.is_grant && node.admin_option, " WITH ADMIN OPTION");
  if (node.granted_by != nullptr) {
    text(" GRANTED BY ");
    role(*node.granted_by);
  }
  flag(node.cascade, " CASCADE");
}

// --- COPY

void Printer::copy(const CopyStatement& node) {
  text("COPY ");
  if (node.query != nullptr) {
    text("(");
    this->node(node.query);
    text(")");
  } else {
    relation(*node.relation);
    columns(node.columns);
  }
  text(node.is_from ? " FROM " : " TO ").flag(node.is_program, "PROGRAM ");
  if (node.has_file) literal(node.file);
  else text(node.is_from ? "STDIN" : "STDOUT");
  if (!node.options.empty()) {
    text(" WITH ");
    generic_options(node.options);
  }
  where(node.where);
}

// --- functions

void Printer::parameter(const FunctionParameter& node) {
  constexpr std::string_view kModes[] = {"", "IN ", "OUT ", "INOUT ", "VARIADIC ", ""};
  text(kModes[static_cast<std::size_t>(node.mode)]);
  if (!node.name.empty()) name(node.name).text(" ");
  type(*node.type);
  if (node.default_value == nullptr) return;
  text(" DEFAULT ");
  expression(node.default_value);
}

void Printer::create_function(const CreateFunctionStatement& node) {
  text("CREATE ").flag(node.or_replace, "OR REPLACE ").text(node.is_procedure ? "PROCEDURE " : "FUNCTION ");
  dotted(node.name).text("(");
  bool first = true;
  const auto parameters = [&](bool of_table) {
    for (const FunctionParameter* item : node.parameters) {
      if ((item->mode == ParameterMode::kTable) != of_table) continue;
      flag(!first, ", ");
      first = false;
      parameter(*item);
    }
    text(")");
    first = true;
  };
  parameters(false);
  if (node.returns_table) {
    text(" RETURNS TABLE (");
    parameters(true);
  } else if (node.returns != nullptr) {
    text(" RETURNS ");
    type(*node.returns);
  }
  for (const Option* option : node.options) function_option(*option);
  if (!node.has_sql_body) return;
  const bool block = !node.body.empty() || node.return_value == nullptr;
  flag(block, " BEGIN ATOMIC");
  for (const Node* item : node.body) {
    text(" ");
    this->node(item);
    text(";");
  }
  if (node.return_value != nullptr) {
    text(" RETURN ");
    expression(node.return_value);
    flag(block, ";");
  }
  flag(block, " END");
}

void Printer::function_option(const Option& option) {
  const auto* value = try_as<Literal>(option.value);
  const bool on = value != nullptr && value->boolean;
  text(" ");
  if (option.name == "language") {
    text("LANGUAGE ").name(value->text);
  } else if (option.name == "as") {
    text("AS ");
    expressions(option.values);
  } else if (option.name == "volatility") {
    text(value->text);
  } else if (option.name == "strict") {
    text(on ? "STRICT" : "CALLED ON NULL INPUT");
  } else if (option.name == "security") {
    text(on ? "SECURITY DEFINER" : "SECURITY INVOKER");
  } else if (option.name == "leakproof") {
    text(on ? "LEAKPROOF" : "NOT LEAKPROOF");
  } else if (option.name == "window") {
    text("WINDOW");
  } else if (option.name == "parallel") {
    text("PARALLEL ").name(value->text);
  } else if (option.name == "set") {
    setting(as<SetStatement>(option.value));
  } else if (option.name == "transform") {
    text("TRANSFORM ");
    list(option.values, [this](const Node* item) {
      text("FOR TYPE ");
      node(item);
    });
  } else {
    text(option.name).text(" ");
    node(option.value);
  }
}

}  // namespace rustbd::sql
