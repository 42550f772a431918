#include "rustbd/engine/context/session_context.h"

#include "rustbd/binder/binder.h"
#include "rustbd/sql/keywords.h"
#include "rustbd/txn/row_counts.h"

namespace rustbd::engine {

namespace {
constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000-01-01 in µs from 1970
}

void SessionContext::begin_statement() {
  io_.settings = parts_.session.settings().format();
  io_.settings.now_us = transaction_timestamp_us();
  io_.names = this;
  const auto catalog = parts_.session_catalog();
  const NamedFor named{catalog->version, parts_.current_oid, parts_.user_oid};
  if (named_for_ == named) return;
  named_for_ = named;
  const auto* role = catalog->role(parts_.current_oid);
  user_name_ = role != nullptr ? role->name : fmt::format("unknown (OID={})", parts_.current_oid);
  const auto* session = catalog->role(parts_.user_oid);
  session_name_ = session != nullptr ? session->name : user_name_;
}

std::int64_t SessionContext::transaction_timestamp_us() {
  return parts_.transaction_start_us - kPostgresEpochUs;
}
std::int64_t SessionContext::statement_timestamp_us() { return parts_.statement_start_us - kPostgresEpochUs; }
std::int64_t SessionContext::clock_timestamp_us() {
  return parts_.database.environment().clock->wall_us() - kPostgresEpochUs;
}
std::uint64_t SessionContext::random_u64() {
  return seeded_ ? seeded_->next_u64() : parts_.database.environment().random->next_u64();
}
void SessionContext::set_random_seed(double seed) { seeded_.emplace(std::bit_cast<std::uint64_t>(seed)); }
std::string_view SessionContext::current_user() { return user_name_; }
std::string_view SessionContext::session_user() { return session_name_; }

std::string_view SessionContext::current_schema() {
  const auto catalog = parts_.catalog();
  schema_name_.clear();
  for (Oid s : parts_.search_path(*catalog)) {
    const auto* schema = catalog->schema(s);
    if (schema == nullptr || schema->oid == catalog::oid::kPgCatalog) continue;
    schema_name_ = schema->name;
    break;
  }
  return schema_name_;
}

std::vector<std::string> SessionContext::current_schemas(bool with_implicit) {
  const auto catalog = parts_.catalog();
  std::vector<std::string> out;
  const auto& written = parts_.session.settings().search_path();
  for (Oid s : parts_.search_path(*catalog)) {
    const auto* schema = catalog->schema(s);
    if (schema == nullptr) continue;
    const bool implicit = schema->oid == catalog::oid::kPgCatalog &&
                          std::find(written.begin(), written.end(), "pg_catalog") == written.end();
    if (!implicit || with_implicit) out.push_back(schema->name);
  }
  return out;
}

std::string SessionContext::get_setting(std::string_view name, bool missing_ok, bool* found) {
  auto value = parts_.session.settings().get(name);
  *found = value.has_value();
  if (!value && !missing_ok)
    throw error(sqlstate::kUndefinedObject, "unrecognized configuration parameter \"{}\"", name);
  return value ? parts_.session.settings().show(name) : std::string{};
}
std::string SessionContext::set_setting(std::string_view name, std::string_view value, bool is_local) {
  parts_.session.settings().set(name, value, is_local, true);
  begin_statement();
  return parts_.session.settings().show(name);
}

// ---- sequences ----

std::shared_ptr<const catalog::Relation> SessionContext::sequence(Oid oid) {
  auto relation = parts_.catalog()->relation(oid);
  if (relation == nullptr) throw error(sqlstate::kUndefinedTable, "relation with OID {} does not exist", oid);
  if (!relation->sequence)
    throw error(sqlstate::kWrongObjectType, "\"{}\" is not a sequence", relation->name);
  return relation;
}

void SessionContext::require(const txn::Outcome& outcome) {
  if (!outcome.ok()) parts_.database.transactions().throw_outcome(outcome, parts_.locker.get());
}

// Expressions cannot be suspended: while the log is behind, this thread waits for it. ALTER SEQUENCE ...
// RESTART of another session gives the sequence another table id.
template <class Try>
txn::Outcome SessionContext::on_sequence(const catalog::Relation& sequence_now, Try&& attempt) {
  TableId table = sequence_now.layout->table;
  for (;;) {
    auto outcome = txn::until_done_blocking([&] { return attempt(table); });
    if (outcome.status != txn::Status::kGone) return outcome;
    const TableId now = sequence(sequence_now.oid)->layout->table;
    if (now == std::exchange(table, now)) return outcome;
  }
}

std::int64_t SessionContext::nextval(Oid oid) {
  auto relation = sequence(oid);
  const auto& s = *relation->sequence;
  if (parts_.read_only)
    throw error(sqlstate::kReadOnlyTransaction, "cannot execute nextval() in a read-only transaction");
  const txn::TransactionSystem::SequenceDefinition definition{s.start, s.increment, s.minimum, s.maximum,
                                                              s.cycle};
  std::int64_t value = 0;
  try {
    require(on_sequence(*relation, [&](TableId table) {
      return parts_.database.transactions().sequence_advance(parts_.transaction.get(), table, definition, 1,
                                                             &value);
    }));
  } catch (Error& e) {
    if (e.state == sqlstate::kSequenceLimitExceeded)
      throw error(sqlstate::kSequenceLimitExceeded, "nextval: reached {} value of sequence \"{}\" ({})",
                  s.increment > 0 ? "maximum" : "minimum", relation->name,
                  s.increment > 0 ? s.maximum : s.minimum);
    throw;
  }
  parts_.sequence_values[oid] = value;
  parts_.last_sequence = oid;
  parts_.last_sequence_value = value;
  return value;
}
std::int64_t SessionContext::currval(Oid oid) {
  auto relation = sequence(oid);
  auto it = parts_.sequence_values.find(oid);
  if (it == parts_.sequence_values.end())
    throw error(sqlstate::kObjectNotInPrerequisiteState,
                "currval of sequence \"{}\" is not yet defined in this session", relation->name);
  return it->second;
}
std::int64_t SessionContext::lastval() {
  if (parts_.last_sequence == 0)
    throw error(sqlstate::kObjectNotInPrerequisiteState, "lastval is not yet defined in this session");
  return parts_.last_sequence_value;
}
void SessionContext::setval(Oid oid, std::int64_t value, bool is_called) {
  auto relation = sequence(oid);
  const auto& s = *relation->sequence;
  if (parts_.read_only)
    throw error(sqlstate::kReadOnlyTransaction, "cannot execute setval() in a read-only transaction");
  if (value < s.minimum || value > s.maximum)
    throw error(sqlstate::kNumericValueOutOfRange,
                "setval: value {} is out of bounds for sequence \"{}\" ({}..{})", value, relation->name,
                s.minimum, s.maximum);
  require(on_sequence(*relation, [&](TableId table) {
    return parts_.database.transactions().sequence_set(parts_.transaction.get(), table, value, is_called);
  }));
  if (is_called) {
    parts_.sequence_values[oid] = value;
    parts_.last_sequence = oid;
    parts_.last_sequence_value = value;
  }
}
catalog::SequenceValue SessionContext::sequence_value(Oid oid) {
  auto relation = parts_.catalog()->relation(oid);
  if (relation == nullptr || !relation->sequence || relation->layout == nullptr) return {};
  const auto state = parts_.database.transactions().sequence_state(relation->layout->table);
  if (!state.exists) return {relation->sequence->start, false};
  return {state.last_value, state.is_called};
}

bool SessionContext::catalog_function(std::string_view name, std::span<const types::Datum> args,
                                      std::span<const bool> nulls, Arena& arena, types::Datum* result) {
  return run_catalog_function(*this, name, args, nulls, arena, result);
}

// ---- server information ----

std::vector<catalog::ActivityRow> SessionContext::activity() {
  std::vector<catalog::ActivityRow> out;
  for (const auto& a : parts_.database.activities()) {
    std::lock_guard lock{a->mutex};
    catalog::ActivityRow r;
    r.pid = a->pid;
    r.user = a->user;
    r.database = a->database;
    r.application_name = a->application_name;
    r.client_address = a->client_address;
    r.protocol = a->protocol;
    switch (a->state) {
      case SessionState::kIdle: r.state = "idle"; break;
      case SessionState::kActive: r.state = "active"; break;
      case SessionState::kInTransaction: r.state = "idle in transaction"; break;
      case SessionState::kFailedTransaction: r.state = "idle in transaction (aborted)"; break;
    }
    r.query = a->query;
    r.backend_start_us = a->backend_start_us;
    r.transaction_start_us = a->transaction_start_us;
    r.query_start_us = a->query_start_us;
    r.state_change_us = a->state_change_us;
    r.transaction_id = a->transaction_id;
    out.push_back(std::move(r));
  }
  return out;
}
std::vector<txn::LockListEntry> SessionContext::locks() {
  return parts_.database.transactions().locks().list();
}

std::vector<catalog::SettingRow> SessionContext::settings() {
  std::vector<catalog::SettingRow> out;
  static constexpr std::string_view kTypes[] = {"bool", "integer", "real", "string", "enum"};
  static constexpr std::string_view kContexts[] = {"internal", "postmaster", "sighup", "superuser", "user"};
  for (const auto& [d, value] : parts_.session.settings().all()) {
    catalog::SettingRow r;
    r.name = d->name;
    r.value = value;
    r.unit = d->unit;
    r.category = d->category;
    r.description = d->description;
    r.type = kTypes[static_cast<std::size_t>(d->type)];
    r.context = kContexts[static_cast<std::size_t>(d->context)];
    if (d->type == SettingType::kInteger || d->type == SettingType::kReal) {
      r.minimum = fmt::format("{}", d->minimum);
      r.maximum = fmt::format("{}", d->maximum);
    }
    r.boot_value = d->default_value;
    r.reset_value = parts_.session.settings().reset_value(d->name).value_or("");
    r.source = parts_.session.settings().source(*d);
    for (std::size_t at = 0; at < d->choices.size();) {
      const auto comma = std::min(d->choices.find(',', at), d->choices.size());
      r.choices.emplace_back(d->choices.substr(at, comma - at));
      at = comma + 1;
    }
    out.push_back(std::move(r));
  }
  return out;
}
std::vector<catalog::PreparedRow> SessionContext::prepared_statements() {
  std::vector<catalog::PreparedRow> out;
  for (const auto& [name, p] : parts_.prepared) {
    if (name.empty()) continue;
    catalog::PreparedRow r{name, p->text, p->prepare_time_us, {}, p->from_sql};
    for (const auto& t : p->parameters) r.parameter_types.push_back(t.oid);
    out.push_back(std::move(r));
  }
  return out;
}
double SessionContext::live_rows(const catalog::Relation& relation) {
  if (relation.layout == nullptr || relation.layout->is_sequence) return 0;
  return txn::estimate_size(parts_.database.transactions(), *relation.layout).rows;
}
double SessionContext::pages(const catalog::Relation& relation) {
  if (relation.layout == nullptr || relation.layout->is_sequence) return 0;
  return txn::estimate_size(parts_.database.transactions(), *relation.layout).pages;
}
std::vector<std::pair<std::string, double>> SessionContext::metrics() {
  std::vector<std::pair<std::string, double>> out;
  for (const auto& s : parts_.database.metrics().samples()) {
    std::string name = s.name;
    for (const auto& [k, v] : s.labels) name += fmt::format("{{{}=\"{}\"}}", k, v);
    out.emplace_back(std::move(name), s.value);
  }
  return out;
}

}  // namespace rustbd::engine
