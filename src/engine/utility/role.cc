// Roles and privileges.
#include "rustbd/engine/utility/utility.h"
#include "rustbd/security/scram.h"

namespace rustbd::engine {

namespace {

void apply_options(UtilityContext& c, sql::List<sql::Option*> options, catalog::Role& role) {
  for (const auto* o : options) {
    const auto* l = sql::try_as<sql::Literal>(o->value);
    const bool on = l != nullptr && l->type == sql::LiteralType::kBoolean && l->boolean;
    if (o->name == "superuser") role.superuser = on;
    else if (o->name == "inherit") role.inherit = on;
    else if (o->name == "createrole") role.create_role = on;
    else if (o->name == "createdb") role.create_db = on;
    else if (o->name == "canlogin") role.login = on;
    else if (o->name == "isreplication") role.replication = on;
    else if (o->name == "bypassrls") role.bypass_rls = on;
    else if (o->name == "connectionlimit") role.connection_limit = l != nullptr ? l->integer : -1;
    else if (o->name == "validUntil") role.valid_until = l != nullptr ? std::string{l->text} : std::string{};
    else if (o->name == "password") {
      if (l == nullptr || l->type == sql::LiteralType::kNull) role.password_verifier.clear();
      else if (l->text.starts_with("SCRAM-SHA-256$")) role.password_verifier = l->text;
      else if (l->text.empty()) {
        c.parts.notice(Severity::kNotice,
                       error(sqlstate::kSuccess, "empty string is not a valid password, clearing password"));
        role.password_verifier.clear();
      } else {
        role.password_verifier =
            security::make_scram_verifier(l->text, *c.parts.database.environment().random);
      }
    } else if (o->name == "sysid") {
      c.parts.notice(Severity::kNotice, error(sqlstate::kSuccess, "SYSID can no longer be specified"));
    } else {
      throw not_supported("role membership").at(o->location);
    }
  }
}

void require_role_admin(UtilityContext& c, const char* what) {
  const auto catalog = c.parts.catalog();
  const auto* me = catalog->role(c.parts.current_oid);
  if (me != nullptr && (me->superuser || me->create_role)) return;
  throw error(sqlstate::kInsufficientPrivilege, "permission denied to {} role", what);
}

struct AclItem {
  std::string grantee, letters, grantor;
};
std::vector<AclItem> parse_acl(std::string_view text) {
  std::vector<AclItem> out;
  if (text.size() < 2) return out;
  text = text.substr(1, text.size() - 2);
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto item = text.substr(0, comma);
    const auto equals = item.find('='), slash = item.find('/');
    if (equals != std::string_view::npos && slash != std::string_view::npos)
      out.push_back({std::string{item.substr(0, equals)},
                     std::string{item.substr(equals + 1, slash - equals - 1)},
                     std::string{item.substr(slash + 1)}});
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}
std::string format_acl(const std::vector<AclItem>& items) {
  std::string out = "{";
  for (const auto& i : items) {
    if (i.letters.empty()) continue;
    if (out.size() > 1) out += ",";
    out += i.grantee + "=" + i.letters + "/" + i.grantor;
  }
  return out + "}";
}
/// Letters of privileges, in aclitem's order.
std::string letters_of(const sql::GrantStatement& s, std::string_view all) {
  if (s.privileges.empty()) return std::string{all};
  std::string out;
  for (const auto* p : s.privileges) {
    if (!p->columns.empty()) throw not_supported("column privileges").at(p->location);
    static constexpr std::pair<std::string_view, char> kNames[] = {
        {"insert", 'a'},     {"select", 'r'},  {"update", 'w'}, {"delete", 'd'}, {"truncate", 'D'},
        {"references", 'x'}, {"trigger", 't'}, {"usage", 'U'},  {"create", 'C'}, {"connect", 'c'},
        {"temporary", 'T'},  {"temp", 'T'},    {"execute", 'X'}};
    char letter = 0;
    for (const auto& [name, l] : kNames)
      if (name == p->name) letter = l;
    if (p->name.empty()) {
      out = all;
      continue;
    }
    if (letter == 0)
      throw error(sqlstate::kSyntaxError, "unrecognized privilege type \"{}\"", p->name).at(p->location);
    if (all.find(letter) == std::string_view::npos)
      throw error(sqlstate::kInvalidParameterValue, "invalid privilege type {} for relation", p->name)
          .at(p->location);
    out += letter;
  }
  return out;
}

std::string changed_acl(UtilityContext& c, const sql::GrantStatement& s, const std::string& acl, Oid owner,
                        std::string_view all) {
  const auto catalog = c.parts.catalog();
  const auto* owner_role = catalog->role(owner);
  const std::string owner_name = owner_role != nullptr ? owner_role->name : "";
  auto items = parse_acl(acl);
  if (acl.empty()) items.push_back({owner_name, std::string{all}, owner_name});
  const auto letters = letters_of(s, all);
  for (const auto* g : s.grantees) {
    const auto name = role_name(c, *g);
    if (!name.empty() && catalog->role(name) == nullptr)
      throw error(sqlstate::kUndefinedObject, "role \"{}\" does not exist", name);
    AclItem* item = nullptr;
    for (auto& i : items)
      if (i.grantee == name) item = &i;
    if (item == nullptr) {
      if (!s.is_grant) continue;
      items.push_back({name, "", owner_name});
      item = &items.back();
    }
    std::string next;
    for (char l : all) {
      const bool had = item->letters.find(l) != std::string::npos,
                 named = letters.find(l) != std::string::npos;
      if (s.is_grant ? (had || named) : (had && !named)) next += l;
    }
    item->letters = next;
  }
  return format_acl(items);
}

}  // namespace

Task<std::string> create_role(UtilityContext& c, const sql::CreateRoleStatement& s) {
  require_role_admin(c, "create");
  const std::string name{s.name};
  if (name == "public" || name == "none")
    throw error(sqlstate::kReservedName, "role name \"{}\" is reserved", name).at(s.location);
  if (name.starts_with("pg_"))
    throw error(sqlstate::kReservedName, "role name \"{}\" is reserved", name)
        .with_detail("Role names starting with \"pg_\" are reserved.");
  co_await lock_name(c, catalog::oid::kPgAuthid, name);
  if (c.parts.catalog()->role(name) != nullptr)
    throw error(sqlstate::kDuplicateObject, "role \"{}\" already exists", name);
  catalog::Role role;
  role.oid = c.system().new_object_id();
  role.name = name;
  role.login = s.role_kind == sql::RoleKind::kUser;
  apply_options(c, s.options, role);
  if (role.superuser && !c.parts.is_superuser())
    throw error(sqlstate::kInsufficientPrivilege, "must be superuser to create superusers");
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(role));
  co_return "CREATE ROLE";
}

Task<std::string> alter_role(UtilityContext& c, const sql::AlterRoleStatement& s) {
  const auto name = role_name(c, *s.role);
  const auto find = [&] { return existing_role(c, name); };
  const auto found =
      co_await find_and_lock(c, catalog::oid::kPgAuthid, txn::TableLockMode::kAccessExclusive, find);
  const bool own_password =
      found->oid == c.parts.current_oid && s.options.size() == 1 && s.options[0]->name == "password";
  if (!own_password) require_role_admin(c, "alter");
  if (found->superuser && !c.parts.is_superuser())
    throw error(sqlstate::kInsufficientPrivilege,
                "must be superuser to alter superuser roles or change superuser attribute");
  catalog::Role role = *found;
  apply_options(c, s.options, role);
  if (role.superuser && !c.parts.is_superuser())
    throw error(sqlstate::kInsufficientPrivilege,
                "must be superuser to alter superuser roles or change superuser attribute");
  co_await c.store().put(c.transaction(), c.parts.changes, std::move(role));
  co_return "ALTER ROLE";
}

/// nullptr: it is not there, and a notice is to say so.
static std::shared_ptr<const catalog::Role> role_to_drop(UtilityContext& c, const std::string& name,
                                                         bool if_exists) {
  const auto catalog = c.parts.catalog();
  if (if_exists && catalog->role(name) == nullptr) return nullptr;
  auto role = existing_role(c, name);
  if (role->oid == c.parts.current_oid) throw error(sqlstate::kObjectInUse, "current user cannot be dropped");
  if (role->oid == c.parts.user_oid) throw error(sqlstate::kObjectInUse, "session user cannot be dropped");
  if (role->oid < catalog::oid::kFirstUserObject)
    throw error(sqlstate::kDependentObjectsStillExist,
                "cannot drop role {} because it is required by the database system", name);
  for (const auto& [id, relation] : catalog->relations())
    if (relation->owner == role->oid || relation->acl.find(name + "=") != std::string::npos)
      throw error(sqlstate::kDependentObjectsStillExist,
                  "role \"{}\" cannot be dropped because some objects depend on it", name)
          .with_detail(fmt::format(
              "{} table {}", relation->owner == role->oid ? "owner of" : "privileges for", relation->name));
  return role;
}

Task<std::string> drop_role(UtilityContext& c, const sql::DropRoleStatement& s) {
  require_role_admin(c, "drop");
  for (const auto* r : s.roles) {
    const auto name = role_name(c, *r);
    const auto find = [&] { return role_to_drop(c, name, s.if_exists); };
    const auto role =
        co_await find_and_lock(c, catalog::oid::kPgAuthid, txn::TableLockMode::kAccessExclusive, find);
    if (role == nullptr) {
      c.parts.notice(Severity::kNotice,
                     error(sqlstate::kSuccess, "role \"{}\" does not exist, skipping", name));
      continue;
    }
    co_await c.store().remove(c.transaction(), c.parts.changes, catalog::ObjectClass::kRole, role->oid);
  }
  co_return "DROP ROLE";
}

Task<std::string> grant(UtilityContext& c, const sql::GrantStatement& s) {
  const std::string tag = s.is_grant ? "GRANT" : "REVOKE";
  if (s.target == sql::GrantTarget::kDefaults) throw not_supported("ALTER DEFAULT PRIVILEGES").at(s.location);
  if (s.grant_option) throw not_supported("GRANT OPTION").at(s.location);
  constexpr std::string_view kTable = "arwdDxt", kSequence = "rwU", kSchema = "UC";
  const auto catalog = c.parts.catalog();
  const auto change = [&](std::shared_ptr<const catalog::Relation> relation) {
    auto copy = std::make_shared<catalog::Relation>(*relation);
    copy->acl = changed_acl(c, s, copy->acl, copy->owner,
                            copy->kind == catalog::RelationKind::kSequence ? kSequence : kTable);
    return store_relation(c, std::move(copy), false);
  };
  constexpr auto kMode = txn::TableLockMode::kShareUpdateExclusive;
  switch (s.object) {
    case sql::ObjectType::kTable:
    case sql::ObjectType::kSequence:
      if (s.target == sql::GrantTarget::kAllInSchema) {
        for (const auto* o : s.objects) {
          const auto& name = sql::as<sql::ObjectName>(o).name;
          const auto* schema = catalog->schema(name.back());
          if (schema == nullptr)
            throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist", name.back());
          for (const auto& [id, r] : catalog->relations()) {
            if (r->schema != schema->oid ||
                (r->kind == catalog::RelationKind::kSequence) != (s.object == sql::ObjectType::kSequence))
              continue;
            if (r->is_catalog()) throw not_supported("GRANT on a system catalog").at(s.location);
            co_await lock_relation(c.parts, id, kMode);
            const auto now = c.parts.catalog()->relation(id);
            if (now == nullptr) continue;  // dropped while this waited
            c.parts.require_owner(now->owner, kind_name(now->kind), now->name);
            co_await change(now);
          }
        }
      } else {
        for (const auto* o : s.objects) {
          const auto& ref = sql::as<sql::RelationRef>(o);
          const auto find = [&] {
            auto relation = named_relation(c, ref);
            if (relation->is_catalog()) throw not_supported("GRANT on a system catalog").at(s.location);
            require_owned(c, *relation);
            return relation;
          };
          co_await change(co_await find_and_lock(c, catalog::oid::kPgClass, kMode, find));
        }
      }
      co_return tag;
    case sql::ObjectType::kSchema:
      for (const auto* o : s.objects) {
        const auto find = [&] { return owned_schema(c, sql::as<sql::ObjectName>(o).name.back()); };
        catalog::Schema copy = *co_await find_and_lock(c, catalog::oid::kPgNamespace, kMode, find);
        copy.acl = changed_acl(c, s, copy.acl, copy.owner, kSchema);
        co_await c.store().put(c.transaction(), c.parts.changes, std::move(copy));
      }
      co_return tag;
    default: throw not_supported("GRANT on this kind of object").at(s.location);
  }
}

}  // namespace rustbd::engine
