// Database: one open data directory, as programs embed it.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rustbd/catalog/store.h"
#include "rustbd/engine/prepared_plan.h"
#include "rustbd/engine/settings.h"
#include "rustbd/io/executor.h"
#include "rustbd/metrics/registry.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::engine {

class Session;

struct DatabaseOptions {
  txn::Options storage{};
  std::uint64_t query_memory_bytes = std::uint64_t{1} << 30;  // of one statement; over it 53200
  std::size_t workers_per_query = 1;
  std::size_t max_connections = 10000;
  std::map<std::string, std::string> settings;  // server-wide values of GUCs
  /// pg_reload_conf(): reads the configuration again. False: that failed, the server's log says why. Any
  /// thread.
  std::function<bool()> reload = [] { return true; };
};

struct SessionOptions {
  std::string user = "postgres";
  std::string database = "postgres";
  std::string application_name;
  std::string client_address;  // empty: in process
  std::string protocol = "embedded";
  std::map<std::string, std::string> settings;  // of the connection (PGOPTIONS, start-up packet)
  /// Called (any thread, briefly, under a lock) once terminated() has become true: the protocol wakes an idle
  /// client.
  std::function<void()> on_terminate;
};

enum class SessionState : std::uint8_t { kIdle, kActive, kInTransaction, kFailedTransaction };

/// What pg_stat_activity shows of a session. Under `mutex`.
struct SessionActivity {
  std::mutex mutex;
  std::int32_t pid = 0;
  std::string user, database, application_name, client_address, protocol;
  std::int64_t backend_start_us = 0, transaction_start_us = 0, query_start_us = 0,
               state_change_us = 0;  // wall clock
  SessionState state = SessionState::kIdle;
  std::string query;
  std::uint64_t transaction_id = 0;
};

/// The five metrics that the contract names, and the counters around them.
struct EngineMetrics {
  explicit EngineMetrics(metrics::Registry& registry);
  metrics::Counter& queries_total;
  metrics::Histogram& query_duration_seconds;
  metrics::Gauge& active_connections;
  metrics::Counter& statement_restarts;  // ExecutionPlan::may_restart
  metrics::Counter& plans_shared;        // PlanCache
  metrics::Counter& runs_again;          // IdleRuns
  metrics::Registry& registry;
  /// record_query_execution of the contract: one call per statement ended.
  void record_query(double seconds, std::string_view kind, std::string_view protocol, const Error* failure);

 private:
  static constexpr std::size_t kKindCount = 8, kProtocolCount = 3;
  metrics::Counter& by_kind(std::string_view kind, std::string_view protocol, bool failed);
  std::mutex mutex_;                                                          // held while a counter is made
  std::atomic<metrics::Counter*> kinds_[kKindCount][kProtocolCount][2] = {};  // made when first used
};

/// Threads: any. Destroy after all sessions.
class Database {
 public:
  /// Opens or creates the directory; recovers; blocks. Throws Error.
  static std::unique_ptr<Database> open(io::Environment environment, DatabaseOptions options);
  /// On a directory that is open already; takes `transactions`, unless it throws Error: the catalog cannot be
  /// read.
  static std::unique_ptr<Database> open_on(std::unique_ptr<txn::TransactionSystem>& transactions,
                                           io::Environment environment, DatabaseOptions options);
  ~Database();

  /// A new session. `lane`: where its coroutines run (a network thread; nullptr: the worker pool).
  /// Throws 28000 `role "x" does not exist`, 3D000 `database "x" does not exist`, 53300.
  std::unique_ptr<Session> connect(const SessionOptions& options);
  /// Cancels the running statement of a session. False: no such session (or wrong key).
  bool cancel(std::int32_t pid, std::uint64_t secret);
  /// By pid alone, for pg_cancel_backend and pg_terminate_backend (the caller has checked privileges).
  bool signal(std::int32_t pid, bool terminate);
  /// Final checkpoint. No session may be left.
  void close();

  [[nodiscard]] io::Environment& environment() { return environment_; }
  [[nodiscard]] txn::TransactionSystem& transactions() { return *transactions_; }
  [[nodiscard]] catalog::CatalogStore& catalog() { return *catalog_; }
  /// Schema and name of an index as statements have them, quoted where need be; empty: there is none.
  [[nodiscard]] std::string qualified_name(IndexId index) const;
  [[nodiscard]] PlanCache& plan_cache() { return plan_cache_; }
  [[nodiscard]] metrics::Registry& metrics() { return *metrics_; }
  [[nodiscard]] EngineMetrics& engine_metrics() { return *engine_metrics_; }
  [[nodiscard]] const DatabaseOptions& options() const { return options_; }
  [[nodiscard]] std::int64_t start_time_us() const { return start_time_us_; }
  [[nodiscard]] std::vector<std::shared_ptr<SessionActivity>> activities();
  /// SCRAM verifier of a role that may log in; empty: none. Throws 28000 for unknown or non-login roles when
  /// `strict`.
  [[nodiscard]] std::string password_verifier(std::string_view role);

 private:
  friend class Session;
  explicit Database(io::Environment environment, DatabaseOptions options);
  void adopt(std::unique_ptr<txn::TransactionSystem>& transactions);
  void leave(Session& session);
  io::Environment environment_;
  DatabaseOptions options_;
  std::unique_ptr<metrics::Registry> own_metrics_;
  metrics::Registry* metrics_ = nullptr;
  std::unique_ptr<EngineMetrics> engine_metrics_;
  std::unique_ptr<txn::TransactionSystem> transactions_;
  std::unique_ptr<catalog::CatalogStore> catalog_;
  std::mutex mutex_;  // protects sessions_
  std::map<std::int32_t, Session*> sessions_;
  std::atomic<std::int32_t> next_pid_{1000};
  PlanCache plan_cache_;
  std::int64_t start_time_us_ = 0;
};

}  // namespace rustbd::engine
