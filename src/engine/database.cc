#include "rustbd/engine/database.h"

#include "rustbd/catalog/pg_catalog/virtual_relation.h"
#include "rustbd/catalog/tree_names.h"
#include "rustbd/engine/session.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/sql/keywords.h"

namespace rustbd::engine {

EngineMetrics::EngineMetrics(metrics::Registry& r)
    : queries_total(r.counter("rustbd_queries_total", "Total number of queries executed")),
      query_duration_seconds(r.histogram("rustbd_query_duration_seconds",
                                         "Query execution duration in seconds",
                                         metrics::exponential_bounds(1e-4, 2, 20))),
      active_connections(r.gauge("rustbd_active_connections", "Number of active connections")),
      statement_restarts(r.counter("rustbd_statement_restarts_total",
                                   "Statements run again because of a concurrent update")),
      plans_shared(r.counter("rustbd_plans_shared_total",
                             "Prepared statements that found a plan that some session holds")),
      runs_again(
          r.counter("rustbd_runs_again_total", "Executions that needed no building of their plan's stages")),
      registry(r) {}

void EngineMetrics::record_query(double seconds, std::string_view kind, std::string_view protocol,
                                 const Error* failure) {
  queries_total.inc();
  query_duration_seconds.observe(seconds);
  by_kind(kind, protocol, failure != nullptr).inc();
  if (failure == nullptr) return;
  registry
      .labelled_counter("rustbd_errors_total", "Failed statements by SQLSTATE",
                        {{"sqlstate", std::string{failure->state.text()}}})
      .inc();
}

metrics::Counter& EngineMetrics::by_kind(std::string_view kind, std::string_view protocol, bool failed) {
  static constexpr std::string_view kKinds[kKindCount] = {"select",      "insert", "update",  "delete",
                                                          "transaction", "copy",   "utility", "empty"};
  static constexpr std::string_view kProtocols[kProtocolCount] = {"pgwire", "embedded", "other"};
  std::size_t k = 0, p = 0;
  while (k + 1 < kKindCount && kKinds[k] != kind) ++k;
  while (p + 1 < kProtocolCount && kProtocols[p] != protocol) ++p;
  auto& slot = kinds_[k][p][failed];
  if (auto* counter = slot.load(std::memory_order_acquire)) return *counter;
  std::lock_guard lock{mutex_};
  if (auto* counter = slot.load(std::memory_order_relaxed)) return *counter;
  auto& made = registry.counter("rustbd_queries_by_kind_total", "Queries by kind, protocol and result",
                                {{"kind", std::string{kKinds[k]}},
                                 {"protocol", std::string{kProtocols[p]}},
                                 {"result", failed ? "error" : "ok"}});
  slot.store(&made, std::memory_order_release);
  return made;
}

Database::Database(io::Environment environment, DatabaseOptions options)
    : environment_(environment), options_(std::move(options)) {
  if (options_.storage.metrics == nullptr) {
    own_metrics_ = std::make_unique<metrics::Registry>();
    options_.storage.metrics = own_metrics_.get();
  }
  metrics_ = options_.storage.metrics;
  engine_metrics_ = std::make_unique<EngineMetrics>(*metrics_);
  start_time_us_ = environment_.clock->wall_us();
}

std::unique_ptr<Database> Database::open(io::Environment environment, DatabaseOptions options) {
  std::unique_ptr<Database> db{new Database(environment, std::move(options))};
  auto transactions = txn::TransactionSystem::open(environment, db->options_.storage);
  db->adopt(transactions);
  return db;
}

std::unique_ptr<Database> Database::open_on(std::unique_ptr<txn::TransactionSystem>& transactions,
                                            io::Environment environment, DatabaseOptions options) {
  std::unique_ptr<Database> db{new Database(environment, std::move(options))};
  db->adopt(transactions);
  return db;
}

void Database::adopt(std::unique_ptr<txn::TransactionSystem>& transactions) {
  std::vector<std::shared_ptr<const catalog::Relation>> builtin;
  for (const auto& v : catalog::virtual_relations()) builtin.push_back(v.relation);
  catalog_ = std::make_unique<catalog::CatalogStore>(*transactions, std::move(builtin));
  transactions_ = std::move(transactions);
  transactions_->name_trees_by(
      [this](std::uint32_t id) { return catalog::describe_tree(*catalog_->committed(), id); });
}

Database::~Database() {
  std::lock_guard lock{mutex_};
  RUSTBD_ASSERT(sessions_.empty(), "all sessions are closed before the database");
}

void Database::close() {
  transactions_->name_trees_by({});
  catalog_.reset();
  transactions_->close();
}

std::string Database::qualified_name(IndexId id) const {
  const auto catalog = catalog_->committed();
  for (const auto& [oid, relation] : catalog->relations())
    for (const auto& index : relation->indexes)
      if (index->tree == id)
        return fmt::format("{}.{}", sql::quote_identifier(relation->schema_name),
                           sql::quote_identifier(index->name));
  return {};
}

std::unique_ptr<Session> Database::connect(const SessionOptions& options) {
  const auto catalog = catalog_->committed();
  const auto* role = catalog->role(options.user);
  if (role == nullptr)
    throw error(sqlstate::kInvalidAuthorization, "role \"{}\" does not exist", options.user);
  if (!role->login)
    throw error(sqlstate::kInvalidAuthorization, "role \"{}\" is not permitted to log in", options.user);
  if (options.database != "postgres")
    throw error(sqlstate::kInvalidCatalogName, "database \"{}\" does not exist", options.database);
  const auto pid = next_pid_.fetch_add(1, std::memory_order_relaxed);
  auto session = std::make_unique<Session>(*this, options, pid, environment_.random->next_u64());
  session->parts().user_oid = session->parts().current_oid = role->oid;
  {
    std::lock_guard lock{mutex_};
    if (sessions_.size() >= options_.max_connections) {
      // The session is not listed, so leaving it does nothing.
    } else {
      sessions_[pid] = session.get();
      engine_metrics_->active_connections.set(static_cast<double>(sessions_.size()));
      return session;
    }
  }
  throw error(sqlstate::kTooManyConnections, "sorry, too many clients already");
}

void Database::leave(Session& session) {
  std::lock_guard lock{mutex_};
  sessions_.erase(session.pid());
  engine_metrics_->active_connections.set(static_cast<double>(sessions_.size()));
}

bool Database::cancel(std::int32_t pid, std::uint64_t secret) {
  std::lock_guard lock{mutex_};
  auto it = sessions_.find(pid);
  if (it == sessions_.end() || it->second->cancel_key() != secret) return false;
  it->second->cancel(functions::CancelReason::kUser);
  return true;
}
bool Database::signal(std::int32_t pid, bool terminate) {
  std::lock_guard lock{mutex_};
  auto it = sessions_.find(pid);
  if (it == sessions_.end()) return false;
  it->second->cancel(terminate ? functions::CancelReason::kAdmin : functions::CancelReason::kUser);
  return true;
}

std::vector<std::shared_ptr<SessionActivity>> Database::activities() {
  std::lock_guard lock{mutex_};
  std::vector<std::shared_ptr<SessionActivity>> out;
  for (const auto& [pid, s] : sessions_) out.push_back(s->activity_);
  return out;
}

std::string Database::password_verifier(std::string_view name) {
  const auto catalog = catalog_->committed();
  const auto* role = catalog->role(name);
  return role == nullptr ? std::string{} : role->password_verifier;
}

}  // namespace rustbd::engine
