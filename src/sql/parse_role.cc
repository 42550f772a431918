// Roles and privileges.
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {

Node* Parser::create_role(RoleKind kind, std::int32_t location) {
  auto* node = make<CreateRoleStatement>(location);
  ++at_;
  node->role_kind = kind;
  node->name = role_id();
  accept(K::kWith);
  node->options = role_options(true);
  return node;
}

List<Option*> Parser::role_options(bool create) {
  ListBuilder<Option*> options(arena_);
  while (Option* option = role_option(create)) options.push(option);
  return options.take();
}

/// nullptr: no option follows.
Option* Parser::role_option(bool create) {
  const std::int32_t start = location();
  const auto roles = [&](std::string_view name) {
    auto* option = make_option(name, nullptr, start);
    option->values = comma_list<Node*>([this]() -> Node* { return role_spec(); });
    return option;
  };
  switch (peek().keyword) {
    case K::kPassword:
      ++at_;
      if (accept(K::kNull)) return make_option("password", make<Literal>(start), start);
      return make_option("password", string_node(string_literal(), start), start);
    case K::kEncrypted:
      ++at_;
      expect(K::kPassword);
      return make_option("password", string_node(string_literal(), start), start);
    case K::kUnencrypted:
      throw error(sqlstate::kFeatureNotSupported, "UNENCRYPTED PASSWORD is no longer supported")
          .at(start)
          .with_hint("Remove UNENCRYPTED to store the password in encrypted form instead.");
    case K::kInherit: ++at_; return make_option("inherit", boolean_node(true, start), start);
    case K::kConnection:
      ++at_;
      expect(K::kLimit);
      return make_option("connectionlimit", integer_node(static_cast<std::int32_t>(signed_integer()), start),
                         start);
    case K::kValid:
      ++at_;
      expect(K::kUntil);
      return make_option("validUntil", string_node(string_literal(), start), start);
    case K::kUser: ++at_; return roles("rolemembers");
    default: break;
  }
  if (create) {
    switch (peek().keyword) {
      case K::kSysid: ++at_; return make_option("sysid", integer_node(integer_literal(), start), start);
      case K::kAdmin: ++at_; return roles("adminmembers");
      case K::kRole: ++at_; return roles("rolemembers");
      case K::kIn:
        ++at_;
        if (!accept(K::kRole)) expect(K::kGroup);
        return roles("addroleto");
      default: break;
    }
  }
  if (!at(TokenKind::kIdentifier)) return nullptr;
  struct Flag {
    std::string_view word, name;
    bool value;
  };
  constexpr Flag kFlags[] = {
      {"superuser", "superuser", true},
      {"nosuperuser", "superuser", false},
      {"createrole", "createrole", true},
      {"nocreaterole", "createrole", false},
      {"replication", "isreplication", true},
      {"noreplication", "isreplication", false},
      {"createdb", "createdb", true},
      {"nocreatedb", "createdb", false},
      {"login", "canlogin", true},
      {"nologin", "canlogin", false},
      {"bypassrls", "bypassrls", true},
      {"nobypassrls", "bypassrls", false},
      {"noinherit", "inherit", false},
  };
  const std::string_view word = next().value;
  for (const Flag& flag : kFlags) {
    if (flag.word == word) return make_option(flag.name, boolean_node(flag.value, start), start);
  }
  throw error(sqlstate::kSyntaxError, "unrecognized role option \"{}\"", word).at(start);
}

Node* Parser::alter_role(RoleKind kind, std::int32_t location) {
  auto* setting = make<AlterSetStatement>(location);
  if (kind != RoleKind::kGroup && accept(K::kAll)) {
    setting->all_roles = true;
  } else {
    const std::int32_t role_at = this->location();
    setting->role = role_spec();
    if (accept(K::kRename)) {
      expect(K::kTo);
      auto* node = make<RenameStatement>(location);
      node->object = ObjectType::kRole;
      node->relation_object = ObjectType::kRole;
      node->name = name_node(list_of<std::string_view>({setting->role->name}), role_at);
      node->new_name = role_id();
      return node;
    }
  }
  const bool in_database = kind != RoleKind::kGroup && at(K::kIn) && at(K::kDatabase, 1);
  if (in_database) {
    at_ += 2;
    setting->database = column_id();
  }
  if (kind != RoleKind::kGroup && at_any(K::kSet, K::kReset)) {
    const std::int32_t set_at = this->location();
    setting->setting = next().keyword == K::kReset ? reset_rest(set_at) : set_rest(false, set_at);
    return setting;
  }
  if (setting->all_roles || in_database) fail();
  auto* node = make<AlterRoleStatement>(location);
  node->role = setting->role;
  if (kind != RoleKind::kGroup) {
    accept(K::kWith);
    node->options = role_options(false);
    return node;
  }
  node->drop_members = accept(K::kDrop);
  if (!node->drop_members) expect(K::kAdd);
  expect(K::kUser);
  auto* members = make_option("rolemembers", nullptr, this->location());
  members->values = comma_list<Node*>([this]() -> Node* { return role_spec(); });
  node->options = list_of<Option*>({members});
  return node;
}

// --- GRANT, REVOKE

Privilege* Parser::privilege() {
  auto* node = make<Privilege>();
  if (accept2(K::kAlter, K::kSystem)) {
    node->name = "alter system";
    return node;
  }
  if (!at_any(K::kSelect, K::kReferences, K::kCreate) && !is_column_id(peek())) fail();
  node->name = next().value;
  node->columns = optional_columns();
  return node;
}

Node* Parser::grant_statement(bool is_grant) {
  auto* node = make<GrantStatement>();
  ++at_;
  node->is_grant = is_grant;
  bool admin_for = false;
  if (!is_grant && at_any(K::kGrant, K::kAdmin) && at(K::kOption, 1)) {
    admin_for = at(K::kAdmin);
    node->grant_option = !admin_for;
    at_ += 2;
    expect(K::kFor);
  }
  ListBuilder<Privilege*> privileges(arena_);
  if (at(K::kAll)) {
    auto* all = make<Privilege>();
    ++at_;
    accept(K::kPrivileges);
    all->columns = optional_columns();
    if (!all->columns.empty()) privileges.push(all);
    if (!at(K::kOn)) fail();
  } else {
    do privileges.push(privilege());
    while (accept(','));
  }
  const Keyword direction = is_grant ? K::kTo : K::kFrom;
  if (at(direction)) return grant_roles(privileges, is_grant, admin_for, node->location);
  if (admin_for) fail();
  node->privileges = privileges.take();
  expect(K::kOn);
  grant_target(*node);
  expect(direction);
  node->grantees = comma_list<RoleSpec*>([this] {
    accept(K::kGroup);
    return role_spec();
  });
  if (is_grant && accept(K::kWith)) {
    expect_all(K::kGrant, K::kOption);
    node->grant_option = true;
  }
  if (accept(K::kGranted)) {
    expect(K::kBy);
    node->granted_by = role_spec();
  }
  if (!is_grant) node->cascade = cascade_behavior();
  return node;
}

Node* Parser::grant_roles(const ListBuilder<Privilege*>& names, bool is_grant, bool admin,
                          std::int32_t location) {
  auto* node = make<GrantRoleStatement>(location);
  ++at_;
  node->is_grant = is_grant;
  node->admin_option = admin;
  ListBuilder<std::string_view> roles(arena_);
  for (const Privilege* name : names.take()) {
    if (!name->columns.empty()) {
      throw error(sqlstate::kSyntaxError, "column names cannot be included in GRANT/REVOKE ROLE")
          .at(name->location);
    }
    roles.push(name->name);
  }
  node->roles = roles.take();
  node->grantees = role_list();
  if (is_grant && accept(K::kWith)) {
    expect_all(K::kAdmin, K::kOption);
    node->admin_option = true;
  }
  if (accept(K::kGranted)) {
    expect(K::kBy);
    node->granted_by = role_spec();
  }
  if (!is_grant) node->cascade = cascade_behavior();
  return node;
}

void Parser::grant_target(GrantStatement& grant) {
  using O = ObjectType;
  const auto names = [&](O object) {
    grant.object = object;
    grant.objects = comma_list<Node*>([this, object]() -> Node* {
      if (object != O::kType && object != O::kDomain) return object_name(object);
      const std::int32_t start = location();
      return name_node(any_name(), start);
    });
  };
  const auto relations = [&](O object) {
    grant.object = object;
    grant.objects = comma_list<Node*>([this]() -> Node* { return qualified_name(); });
  };
  if (at(K::kAll) && at(K::kIn, 2)) {
    ++at_;
    const Keyword kind = next().keyword;
    grant.target = GrantTarget::kAllInSchema;
    grant.object = kind == K::kTables       ? O::kTable
                   : kind == K::kSequences  ? O::kSequence
                   : kind == K::kFunctions  ? O::kFunction
                   : kind == K::kProcedures ? O::kProcedure
                                            : O::kRoutine;
    if (grant.object == O::kRoutine && kind != K::kRoutines) --at_, fail();
    expect_all(K::kIn, K::kSchema);
    grant.objects = comma_list<Node*>([this]() -> Node* { return object_name(O::kSchema); });
    return;
  }
  switch (peek().keyword) {
    case K::kTable: ++at_; return relations(O::kTable);
    case K::kSequence: ++at_; return relations(O::kSequence);
    case K::kForeign:
      ++at_;
      if (accept(K::kServer)) return names(O::kServer);
      expect_all(K::kData, K::kWrapper);
      return names(O::kForeignDataWrapper);
    case K::kFunction: ++at_; return names(O::kFunction);
    case K::kProcedure: ++at_; return names(O::kProcedure);
    case K::kRoutine: ++at_; return names(O::kRoutine);
    case K::kDatabase: ++at_; return names(O::kDatabase);
    case K::kDomain: ++at_; return names(O::kDomain);
    case K::kLanguage: ++at_; return names(O::kLanguage);
    case K::kLarge:
      ++at_;
      expect(K::kObject);
      return names(O::kLargeObject);
    case K::kSchema: ++at_; return names(O::kSchema);
    case K::kTablespace: ++at_; return names(O::kTablespace);
    case K::kType: ++at_; return names(O::kType);
    case K::kParameter:
      ++at_;
      grant.object = O::kParameter;
      grant.objects = comma_list<Node*>([this]() -> Node* {
        const std::int32_t start = location();
        return name_node(any_name(), start);
      });
      return;
    default: return relations(O::kTable);
  }
}

Node* Parser::alter_default_privileges(std::int32_t location) {
  expect(K::kPrivileges);
  auto* node = make<GrantStatement>(location);
  node->target = GrantTarget::kDefaults;
  for (;;) {
    if (accept(K::kFor)) {
      if (!accept(K::kRole)) expect(K::kUser);
      node->for_roles = role_list();
    } else if (accept(K::kIn)) {
      expect(K::kSchema);
      node->in_schemas = column_list();
    } else {
      break;
    }
  }
  node->is_grant = accept(K::kGrant);
  if (!node->is_grant) expect(K::kRevoke);
  if (!node->is_grant && accept2(K::kGrant, K::kOption)) {
    expect(K::kFor);
    node->grant_option = true;
  }
  if (accept(K::kAll)) {
    accept(K::kPrivileges);
  } else {
    node->privileges = comma_list<Privilege*>([this] { return privilege(); });
  }
  expect(K::kOn);
  switch (peek().keyword) {
    case K::kTables: node->object = ObjectType::kTable; break;
    case K::kSequences: node->object = ObjectType::kSequence; break;
    case K::kFunctions:
    case K::kRoutines: node->object = ObjectType::kFunction; break;
    case K::kTypes: node->object = ObjectType::kType; break;
    case K::kSchemas: node->object = ObjectType::kSchema; break;
    default: fail();
  }
  ++at_;
  expect(node->is_grant ? K::kTo : K::kFrom);
  node->grantees = comma_list<RoleSpec*>([this] {
    accept(K::kGroup);
    return role_spec();
  });
  if (node->is_grant && accept(K::kWith)) {
    expect_all(K::kGrant, K::kOption);
    node->grant_option = true;
  }
  if (!node->is_grant) node->cascade = cascade_behavior();
  return node;
}

}  // namespace rustbd::sql
