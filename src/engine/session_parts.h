// What a session is made of. Internal to engine.
#pragma once

#include "rustbd/binder/binder.h"
#include "rustbd/engine/prepared_plan.h"
#include "rustbd/engine/session.h"

namespace rustbd::engine {

/// A bound statement ready to run, or running (query.md §15).
struct Portal {
  std::string name;
  std::shared_ptr<PreparedStatement> statement;
  Arena arena{512};  // parameter values
  std::vector<types::Value> parameters;
  std::shared_ptr<const plan::ExecutionPlan> plan;
  std::shared_ptr<PreparedPlan> prepared;  // whose plan it is; nullptr: nobody else's
  txn::HeldSnapshot held;  // of a run that other statements of the transaction may come between
  std::unique_ptr<StatementAccess> access;
  std::unique_ptr<exec::QueryRun> run;
  std::uint64_t rows = 0;  // sent so far
  bool done = false;
  std::string tag;       // once done
  bool running = false;  // a statement runs it
  bool failed = false;   // an error has ended it
  // Cursors (DECLARE): rows already fetched for SCROLL and WITH HOLD are kept by utility/cursor.cc.
  bool is_cursor = false, scroll = false, hold = false;
  /// The savepoints that it lives in: dropped when one of them is rolled back.
  std::size_t savepoint_depth = 0;
  /// Gives up the run, if there is one, and what it needs of the transaction.
  void stop();
  /// 55000 if it has failed.
  void require_sound() const;
  /// Becomes a new one that keeps a little memory.
  void renew();
};

struct SavepointEntry {
  std::string name;
  txn::Savepoint position;
  std::size_t changes = 0, settings = 0;
};

/// A lock timeout, statement timeout or cancellation races with the end of its statement: the number tells
/// them apart.
struct Session::Parts {
  explicit Parts(Session& session);
  ~Parts();
  Session& session;
  Database& database;
  std::unique_ptr<txn::Locker> locker;
  std::unique_ptr<txn::Transaction> transaction;  // nullptr: none is running
  catalog::CatalogChanges changes;
  std::unique_ptr<SessionContext> context;
  bool in_block = false;        // BEGIN was said
  bool implicit_block = false;  // several statements of one simple query, or extended protocol up to Sync
  bool failed = false;          // 25P02 until ROLLBACK
  bool read_only = false;       // of the running transaction
  txn::Isolation isolation = txn::Isolation::kReadCommitted;
  std::vector<SavepointEntry> savepoints;
  std::map<std::string, std::shared_ptr<PreparedStatement>> prepared;
  std::map<std::string, std::unique_ptr<Portal>> portals;
  std::unique_ptr<Portal> spare_portal;  // the last unnamed one, for the next; nullptr: none
  CommitTimestamp last_commit{};
  Lsn hold{};                                      // of everything shown so far
  Oid user_oid = catalog::oid::kBootstrapRole;     // session_user
  Oid current_oid = catalog::oid::kBootstrapRole;  // SET ROLE
  std::int64_t transaction_start_us = 0;           // wall clock, µs from 1970
  std::int64_t statement_start_us = 0;
  std::int64_t bind_start_us = 0;  // of the first Bind of the transaction to come; 0: none
  std::uint64_t statement_number = 0;
  std::int64_t last_sequence_value = 0;
  Oid last_sequence = 0;                               // lastval()
  std::map<Oid, std::int64_t> sequence_values;         // currval()
  std::vector<std::function<Task<>()>> before_commit;  // deferred constraints
  ResultSink* sink = nullptr;                          // of the running statement: where notices go

  [[nodiscard]] std::shared_ptr<const catalog::CatalogSnapshot> catalog() { return changes.view(); }
  /// The same on the session's own coroutine, cheaper: see CatalogChanges::session_view.
  [[nodiscard]] std::shared_ptr<const catalog::CatalogSnapshot> session_catalog() {
    return changes.session_view();
  }
  /// Schemas that unqualified names are searched in, implicit ones first.
  [[nodiscard]] std::vector<Oid> search_path(const catalog::CatalogSnapshot& catalog);
  /// Where unqualified new objects go. Throws 3F000.
  [[nodiscard]] Oid creation_schema(const catalog::CatalogSnapshot& catalog);
  [[nodiscard]] bool is_superuser();
  void notice(Severity severity, Error content);
  /// 42501 unless superuser or member of the owner.
  void require_owner(Oid owner, std::string_view kind, std::string_view name);
};

// transaction_block.cc
/// Begins a transaction if none runs.
void ensure_transaction(Session::Parts& parts, bool single_read);
/// Begins a statement of the transaction, after its locks were taken: it sees what made the catalog that it
/// uses.
void begin_statement(Session::Parts& parts);
/// `several`: as StatementInput's.
Task<std::string> run_transaction_statement(Session::Parts& parts, const sql::TransactionStatement& statement,
                                            bool several);
/// Commits the implicit transaction (not a block). Throws Error.
Task<> commit_transaction(Session::Parts& parts);
Task<> abort_transaction(Session::Parts& parts);
/// After an error: fails a block, ends an implicit transaction.
Task<> after_error(Session::Parts& parts);

// statement.cc
struct StatementInput {
  const sql::Node* statement = nullptr;
  std::string_view text;  // of this statement
  std::span<const types::Value> parameters{};
  bool top_level = true;  // alone in its simple query, outside a block
  bool several = false;   // one of several in its simple query
};
/// Runs one statement to its end. Throws Error.
Task<> run_statement(Session::Parts& parts, const StatementInput& input, ResultSink& sink);
[[nodiscard]] bool is_query(const sql::Node& statement);
/// Binds and plans against the present catalog. `parameter_types`: completed.
/// `opened` (optional): relations that it found, also when it throws.
std::shared_ptr<const plan::ExecutionPlan> make_plan(Session::Parts& parts, const sql::Node& statement,
                                                     std::vector<types::TypeRef>* parameter_types,
                                                     std::span<const types::Value> values,
                                                     std::vector<Oid>* opened = nullptr);
/// The same for a client's statement: one that does not fit the catalog waits for whoever is changing the
/// relations that it names, and fails only if it does not fit then either.
Task<std::shared_ptr<const plan::ExecutionPlan>> make_settled_plan(
    Session::Parts& parts, const sql::Node& statement, std::vector<types::TypeRef>* parameter_types,
    std::span<const types::Value> values);
/// All that a plan depends on, for PlanCache; empty: it is this session's alone (uncommitted DDL).
std::string plan_key(Session::Parts& parts, const PreparedStatement& statement);
/// nullptr: nobody holds one that is good enough.
std::shared_ptr<PreparedPlan> find_shared_plan(Session::Parts& parts, const std::string& key);
/// Makes a new plan findable for others; `key`: plan_key() of before it was made.
std::shared_ptr<PreparedPlan> share_plan(Session::Parts& parts, std::string key,
                                         std::shared_ptr<const plan::ExecutionPlan> plan,
                                         std::vector<types::TypeRef> parameters);
/// A shared plan of the statement for the present catalog and settings, or a new one.
std::shared_ptr<PreparedPlan> make_prepared_plan(Session::Parts& parts, const PreparedStatement& statement);
/// Where the statement's plan is of another catalog or other settings: a new one. 0A000 if its result has
/// other types than clients were told.
void refresh_plan(Session::Parts& parts, PreparedStatement& statement);
std::vector<ResultColumn> result_columns(const plan::ExecutionPlan& plan);
/// Takes the table locks that a plan needs; true if the catalog changed while waiting: bind again.
Task<bool> lock_relations(Session::Parts& parts, const plan::ExecutionPlan& plan);
/// The same for a prepared plan, as far as nobody has to be waited for: the number of the lock that
/// lock_relations() goes on with, which stands in its queue; all of them: done.
std::size_t try_lock_relations(Session::Parts& parts, const PreparedPlan& plan, bool* stale);
Task<bool> lock_relations(Session::Parts& parts, const PreparedPlan& plan, std::size_t from);
/// Locks one relation; the caller looks it up again afterwards. Throws 40P01, 55P03, 57014.
Task<> lock_relation(Session::Parts& parts, Oid relation, txn::TableLockMode mode, bool no_wait = false);
/// Checks `plan.privileges` for the current role. Throws 42501.
void check_privileges(Session::Parts& parts, const std::vector<plan::RequiredPrivilege>& privileges);
/// Starts the run of a plan in the present transaction.
void start_run(Session::Parts& parts, Portal& portal);
/// The run may go on after its statement: a cursor, or a portal that is suspended.
void keep_run(Session::Parts& parts, Portal& portal);
/// Pulls rows into the sink: at most `max_rows` (0: all). True: the run has ended and portal.tag is set.
/// A run that a conflict restarts (exec::StatementRestart) begins again, if none of its rows was sent before.
Task<bool> drive(Session::Parts& parts, Portal& portal, std::uint64_t max_rows, ResultSink& sink,
                 std::span<const ResultColumn> columns);
/// Awaits a token; afterwards throws 57014 and the like if the statement was cancelled.
Task<> wait(Session::Parts& parts, io::WaitToken token);
/// Result columns of a utility statement that returns rows (SHOW, EXPLAIN, FETCH, EXECUTE); empty: none.
std::vector<ResultColumn> utility_columns(Session::Parts& parts, const sql::Node& statement);
/// Binder input of the present session and catalog. `catalog` and `path` outlive it.
binder::BindInput bind_input(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                             std::span<const Oid> path);
/// Where the columns of binder::bind_table_expression() stand in chunks of all the relation's columns.
expression::ColumnMap columns_of(const catalog::Relation& relation);

}  // namespace rustbd::engine
