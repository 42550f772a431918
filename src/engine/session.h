// Session: one client. Its methods are coroutines that never block a thread; used by one caller at a time,
// except cancel().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/engine/database.h"
#include "rustbd/engine/result_sink.h"
#include "rustbd/exec/query_run.h"
#include "rustbd/plan/physical.h"
#include "rustbd/sql/parser.h"

namespace rustbd::engine {

class SessionContext;   // functions::StatementContext and ObjectNames of a session (context/)
class StatementAccess;  // exec::AccessFactory of one statement (access/)

/// Nothing, or why the statement failed. The transaction is in its failed (or ended) state already.
using Outcome = std::optional<Error>;

enum class TransactionStatus : char { kIdle = 'I', kInBlock = 'T', kFailed = 'E' };

/// A statement that was parsed (and, for queries, bound and planned when first needed).
struct PreparedStatement {
  std::string name;
  std::string text;
  std::shared_ptr<Arena> arena;            // AST
  const sql::Node* statement = nullptr;    // nullptr: an empty query
  std::vector<types::TypeRef> parameters;  // complete
  std::vector<ResultColumn> columns;       // empty: returns no rows
  bool is_query = false;                   // bound by the binder (SELECT, DML); else a utility statement
  std::shared_ptr<PreparedPlan> plan;      // generic plan; rebuilt when stale
  std::uint64_t catalog_version = 0, settings_generation = 0;
  std::int64_t prepare_time_us = 0;
  bool from_sql = false;  // PREPARE, not the protocol
};

/// A value from Bind: text or binary form, or NULL.
struct ParameterInput {
  bool is_null = true;
  bool binary = false;
  std::string_view bytes;
};

class Session {
 public:
  Session(Database& database, const SessionOptions& options, std::int32_t pid, std::uint64_t secret);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] std::int32_t pid() const { return pid_; }
  [[nodiscard]] std::uint64_t cancel_key() const { return secret_; }
  [[nodiscard]] TransactionStatus status() const;
  [[nodiscard]] Database& database() { return database_; }
  [[nodiscard]] Settings& settings() { return settings_; }

  // --- simple protocol ---
  /// Runs all statements of the text; the first failure ends the rest (one implicit transaction, as
  /// PostgreSQL).
  Task<Outcome> simple_query(std::string_view text, ResultSink& sink);

  // --- extended protocol. After a failure the protocol layer skips to Sync; sync() ends the implicit
  // transaction. ---
  Task<Outcome> parse(std::string name, std::string text, std::vector<Oid> parameter_types, ResultSink& sink);
  // These wait for nothing; they throw Error, and the protocol layer calls fail_transaction().
  void bind(const std::string& portal, const std::string& statement,
            std::span<const ParameterInput> parameters, ResultSink& sink);
  /// 26000 or 34000 if there is none. Valid until the session's next message.
  [[nodiscard]] const PreparedStatement& prepared_statement(const std::string& name) const;
  [[nodiscard]] const PreparedStatement& statement_of_portal(const std::string& name) const;
  void close_statement(const std::string& name);
  void close_portal(const std::string& name);
  /// At most max_rows rows (0: all): then suspended() instead of complete().
  Task<Outcome> execute(std::string portal, std::uint64_t max_rows, ResultSink& sink);
  Task<Outcome> sync(ResultSink& sink);
  /// The same where nothing has to be committed; false: nothing was done, call sync().
  bool sync_at_once(ResultSink& sink);
  /// Statement failed in the protocol layer itself (bad message): same effect as a failed statement.
  Task<> fail_transaction();
  /// End of the connection: rolls back, frees everything.
  Task<> close();

  /// Cancels the running statement. Any thread.
  void cancel(functions::CancelReason reason);
  [[nodiscard]] bool terminated() const { return terminated_.load(std::memory_order_acquire); }

  /// For the wire: how values are to be written now.
  [[nodiscard]] types::IoContext io_context();
  /// Waits until everything that the session has shown so far is durable (I8): the protocol calls it before
  /// it sends.
  [[nodiscard]] io::WaitToken results_durable();

  // --- for the files of engine only ---
  struct Parts;
  [[nodiscard]] Parts& parts() { return *parts_; }
  [[nodiscard]] functions::CancelFlag* cancel_flag() { return &cancel_flag_; }

 private:
  friend class Database;
  Database& database_;
  const std::int32_t pid_;
  const std::uint64_t secret_;
  Settings settings_;
  functions::CancelFlag cancel_flag_;
  std::atomic<bool> terminated_{false};
  std::shared_ptr<SessionActivity> activity_;
  std::unique_ptr<Parts> parts_;
  const std::function<void()> on_terminate_;
};

}  // namespace rustbd::engine
