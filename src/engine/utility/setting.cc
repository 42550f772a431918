// SET, RESET, SHOW, SET TRANSACTION, DISCARD.
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

namespace {

std::string value_text(const sql::Node* node) {
  if (const auto* l = sql::try_as<sql::Literal>(node)) {
    switch (l->type) {
      case sql::LiteralType::kInteger: return fmt::format("{}", l->integer);
      case sql::LiteralType::kBoolean: return l->boolean ? "on" : "off";
      case sql::LiteralType::kNull: return "";
      default: return std::string{l->text};
    }
  }
  if (const auto* c = sql::try_as<sql::TypeCast>(node)) return value_text(c->argument);
  throw error(sqlstate::kSyntaxError, "unrecognized value of a setting").at(node->location);
}

/// Lists are kept as SET wrote them, each name quoted where its text needs it.
std::string list_text(const SettingDefinition* definition, sql::NodeList values) {
  std::string out;
  const bool names = definition != nullptr && definition->name == "search_path";
  for (const auto* v : values) {
    if (!out.empty()) out += ", ";
    const auto text = value_text(v);
    const bool plain =
        !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    out += names && !plain ? "\"" + text + "\"" : text;
  }
  return out;
}

void set_role(UtilityContext& c, const std::string& name, bool session_authorization) {
  auto& parts = c.parts;
  if (!session_authorization && (name == "none" || name.empty())) {
    parts.current_oid = parts.user_oid;
    return;
  }
  const auto catalog = parts.catalog();
  const auto* role = catalog->role(name);
  if (role == nullptr) throw error(sqlstate::kInvalidParameterValue, "role \"{}\" does not exist", name);
  const auto* session = catalog->role(parts.user_oid);
  if (role->oid != parts.user_oid && (session == nullptr || !session->superuser))
    throw error(sqlstate::kInsufficientPrivilege, "permission denied to set {} \"{}\"",
                session_authorization ? "session authorization" : "role", name);
  parts.current_oid = role->oid;
}

}  // namespace

Task<std::string> set_setting(UtilityContext& c, const sql::SetStatement& s) {
  auto& settings = c.parts.session.settings();
  using sql::SetType;
  if (s.is_local && !c.parts.in_block && c.top_level)
    c.parts.notice(Severity::kWarning,
                   error(sqlstate::kNoActiveTransaction, "SET LOCAL can only be used in transaction blocks"));
  if (s.type == SetType::kResetAll) {
    settings.reset_all(true);
    co_return "RESET";
  }
  const bool reset = s.type == SetType::kDefault || s.type == SetType::kReset;
  if (s.type == SetType::kFromCurrent) throw not_supported("SET FROM CURRENT").at(s.location);
  const auto* definition = find_setting(s.name);
  if (s.name == "role" || s.name == "session_authorization") {
    const auto value = reset ? std::string{"none"} : value_text(s.values[0]);
    if (s.name == "session_authorization" && reset) c.parts.current_oid = c.parts.user_oid;
    else set_role(c, value, s.name == "session_authorization");
    settings.set(s.name, value, s.is_local, true);
  } else if (reset) {
    settings.reset(s.name, true);
  } else {
    if (s.values.size() > 1 && definition != nullptr && definition->name != "search_path" &&
        definition->name != "DateStyle")
      throw error(sqlstate::kInvalidParameterValue, "SET {} takes only one argument", definition->name)
          .at(s.location);
    settings.set(s.name, list_text(definition, s.values), s.is_local, true);
  }
  if (definition != nullptr && definition->name == "transaction_isolation") {
    const auto v = settings.get("transaction_isolation").value_or("");
    if (v == "serializable") throw not_supported("SERIALIZABLE").at(s.location);
  }
  if (definition != nullptr && definition->name == "transaction_read_only")
    c.parts.read_only = settings.get("transaction_read_only").value_or("off") == "on";
  co_return s.type == SetType::kReset ? "RESET" : "SET";
}

Task<std::string> set_transaction(UtilityContext& c, const sql::SetTransactionStatement& s) {
  static constexpr std::string_view kNames[] = {"read uncommitted", "read committed", "repeatable read",
                                                "serializable"};
  auto& settings = c.parts.session.settings();
  if (s.has_snapshot) throw not_supported("SET TRANSACTION SNAPSHOT").at(s.location);
  const std::string prefix = s.session_characteristics ? "default_transaction_" : "transaction_";
  if (!s.session_characteristics && !c.parts.in_block) {
    c.parts.notice(Severity::kWarning, error(sqlstate::kNoActiveTransaction,
                                             "SET TRANSACTION can only be used in transaction blocks"));
    co_return "SET";
  }
  const bool local = !s.session_characteristics;
  if (s.modes.has_isolation) {
    if (s.modes.isolation == sql::IsolationLevel::kSerializable)
      throw not_supported("SERIALIZABLE").at(s.location);
    const auto wanted = s.modes.isolation == sql::IsolationLevel::kRepeatableRead
                            ? txn::Isolation::kRepeatableRead
                            : txn::Isolation::kReadCommitted;
    if (!s.session_characteristics && wanted != c.parts.isolation) {
      if (c.parts.transaction->has_written() || c.parts.transaction->command() > 1)
        throw error(sqlstate::kActiveTransaction,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query");
      c.parts.isolation = wanted;
      txn::TransactionOptions options;
      options.isolation = wanted;
      options.role = c.parts.current_oid;
      c.parts.transaction.reset();
      c.parts.transaction = c.system().begin(*c.parts.locker, options);
      begin_statement(c.parts);
    }
    settings.set(prefix + "isolation", kNames[static_cast<std::size_t>(s.modes.isolation)], local, true);
  }
  if (s.modes.read_only != sql::ModeFlag::kUnset) {
    const bool on = s.modes.read_only == sql::ModeFlag::kOn;
    if (local) {
      if (!on && c.parts.read_only && c.parts.transaction->command() > 1)
        throw error(sqlstate::kActiveTransaction, "transaction read-write mode must be set before any query");
      c.parts.read_only = on;
    }
    settings.set(prefix + "read_only", on ? "on" : "off", local, true);
  }
  if (s.modes.deferrable != sql::ModeFlag::kUnset)
    settings.set(prefix + "deferrable", s.modes.deferrable == sql::ModeFlag::kOn ? "on" : "off", local, true);
  co_return "SET";
}

Task<std::string> show_setting(UtilityContext& c, const sql::ShowStatement& s) {
  auto& settings = c.parts.session.settings();
  if (s.name == "all") {
    std::vector<std::vector<std::optional<std::string>>> rows;
    for (const auto& [d, value] : settings.all())
      rows.push_back(
          {std::string{d->name}, rustbd::engine::show_setting(*d, value), std::string{d->description}});
    const std::string names[] = {"name", "setting", "description"};
    co_await send_text_rows(c, names, std::move(rows));
    co_return "SHOW";
  }
  const auto* d = find_setting(s.name);
  std::string value;
  if (d != nullptr && d->name == "is_superuser") value = c.parts.is_superuser() ? "on" : "off";
  else if (d != nullptr && d->name == "session_authorization") value = name_of_role(c, c.parts.user_oid);
  else value = settings.show(s.name);
  const std::string names[] = {d != nullptr ? std::string{d->name} : std::string{s.name}};
  std::vector<std::vector<std::optional<std::string>>> rows;
  rows.push_back({std::move(value)});
  co_await send_text_rows(c, names, std::move(rows));
  co_return "SHOW";
}

Task<std::string> discard(UtilityContext& c, const sql::DiscardStatement& s) {
  auto& parts = c.parts;
  switch (s.type) {
    case sql::DiscardType::kAll:
      if (parts.in_block)
        throw error(sqlstate::kActiveTransaction, "DISCARD ALL cannot run inside a transaction block");
      parts.prepared.clear();
      std::erase_if(parts.portals, [](const auto& p) { return p.second->is_cursor; });
      parts.session.settings().reset_all(true);
      parts.current_oid = parts.user_oid;
      parts.sequence_values.clear();
      parts.last_sequence = 0;
      c.system().locks().unlock_all_advisory(*parts.locker);
      co_return "DISCARD ALL";
    case sql::DiscardType::kPlans:
      for (auto& [name, p] : parts.prepared) p->plan = nullptr;
      co_return "DISCARD PLANS";
    case sql::DiscardType::kSequences:
      parts.sequence_values.clear();
      parts.last_sequence = 0;
      co_return "DISCARD SEQUENCES";
    case sql::DiscardType::kTemporary: co_return "DISCARD TEMP";
  }
  RUSTBD_UNREACHABLE();
}

}  // namespace rustbd::engine
