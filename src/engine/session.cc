#include "rustbd/engine/session.h"

#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

namespace {

constexpr std::size_t kActivityQueryMax =
    1024;  // bytes of query text kept for pg_stat_activity (track_activity_query_size)

std::string_view kind_of(const sql::Node* statement) {
  if (statement == nullptr) return "empty";
  switch (statement->kind) {
    case sql::NodeKind::kSelectStatement: return "select";
    case sql::NodeKind::kInsertStatement: return "insert";
    case sql::NodeKind::kUpdateStatement: return "update";
    case sql::NodeKind::kDeleteStatement: return "delete";
    case sql::NodeKind::kTransactionStatement: return "transaction";
    case sql::NodeKind::kCopyStatement: return "copy";
    default: return "utility";
  }
}

void report_settings(Session& session, ResultSink& sink) {
  for (const auto& name : session.settings().take_reported())
    sink.parameter_changed(name, session.settings().show(name));
}

/// Marks a session as running a statement; at its end records metrics, reports changed settings.
class RunningStatement {
 public:
  RunningStatement(Session& session, Session::Parts& parts, SessionActivity& activity, std::string_view text,
                   ResultSink& sink)
      : session_(session),
        parts_(parts),
        activity_(activity),
        clock_(*session.database().environment().clock),
        began_us_(clock_.monotonic_us()),
        recorded_us_(began_us_) {
    parts_.sink = &sink;
    parts_.statement_start_us = clock_.wall_us();
    session.cancel_flag()->reason.store(0, std::memory_order_relaxed);
    const auto& settings = session.settings().frequent();
    parts_.locker->set_lock_timeout(std::chrono::milliseconds{settings.lock_timeout});
    std::lock_guard lock{activity_.mutex};
    activity_.state = SessionState::kActive;
    activity_.query = text.substr(0, kActivityQueryMax);
    activity_.query_start_us = activity_.state_change_us = parts_.statement_start_us;
    if (settings.statement_timeout > 0) start_timer(settings.statement_timeout);
  }
  ~RunningStatement() {
    if (alive_ != nullptr) *alive_ = false;
    report_settings(session_, *parts_.sink);
    parts_.sink = nullptr;
    std::lock_guard lock{activity_.mutex};
    activity_.state = !parts_.in_block ? SessionState::kIdle
                      : parts_.failed  ? SessionState::kFailedTransaction
                                       : SessionState::kInTransaction;
    activity_.transaction_start_us = parts_.transaction != nullptr ? parts_.transaction_start_us : 0;
    const auto& name = session_.settings().frequent().application_name;
    if (activity_.application_name != name) activity_.application_name = name;
    activity_.transaction_id = parts_.transaction != nullptr ? parts_.transaction->id().raw() : 0;
    activity_.state_change_us = parts_.statement_start_us + (recorded_us_ - began_us_);
  }
  void record(const sql::Node* statement, const Error* failure) {
    const auto now_us = clock_.monotonic_us();
    session_.database().engine_metrics().record_query(static_cast<double>(now_us - recorded_us_) * 1e-6,
                                                      kind_of(statement), activity_.protocol, failure);
    recorded_us_ = now_us;
  }

 private:
  void start_timer(std::int64_t timeout_ms) {
    auto* lane = io::Lane::current();
    if (lane == nullptr) return;
    // The session's lane runs this and the statement's end alike, so the flag needs no lock.
    alive_ = std::make_shared<bool>(true);
    session_.database()
        .environment()
        .executor->after(std::chrono::milliseconds{timeout_ms})
        .then(*lane, [alive = alive_, session = &session_] {
          if (*alive) session->cancel(functions::CancelReason::kStatementTimeout);
        });
  }
  Session& session_;
  Session::Parts& parts_;
  SessionActivity& activity_;
  io::Clock& clock_;
  const std::int64_t began_us_;
  std::int64_t recorded_us_;     // when the last statement of the text ended
  std::shared_ptr<bool> alive_;  // for the timer
};

/// What the input of parameter values needs of a running statement.
class BoundValues {
 public:
  BoundValues(Session& session, Session::Parts& parts, ResultSink& sink) : parts_(parts) {
    parts.sink = &sink;
    parts.statement_start_us = session.database().environment().clock->wall_us();
    if (parts.transaction != nullptr) return;
    // As in PostgreSQL the transaction's time is that of its first message, which 'now' is taken for here.
    if (parts.bind_start_us == 0) parts.bind_start_us = parts.statement_start_us;
    parts.transaction_start_us = parts.bind_start_us;
  }
  ~BoundValues() { parts_.sink = nullptr; }
  BoundValues(const BoundValues&) = delete;
  BoundValues& operator=(const BoundValues&) = delete;

 private:
  Session::Parts& parts_;
};

Error internal_error(const std::exception& e) {
  return Error{sqlstate::kInternalError, fmt::format("internal error: {}", e.what())};
}

/// Runs `body` (a coroutine) and turns whatever it throws into an Error, after the transaction has been told.
template <class Body>
Task<Outcome> guarded(Session::Parts& parts, Body body) {
  Outcome failure;
  try {
    co_await body();
  } catch (Error& e) {
    failure = std::move(e);
  } catch (const std::bad_alloc&) {
    failure = Error{sqlstate::kOutOfMemory, "out of memory"};
  } catch (const std::exception& e) {
    failure = internal_error(e);
  }
  if (failure) co_await after_error(parts);
  co_return failure;
}

}  // namespace

Session::Parts::Parts(Session& s)
    : session(s),
      database(s.database_),
      locker(database.transactions().make_locker(s.pid_)),
      changes(database.catalog()),
      context(std::make_unique<SessionContext>(*this)) {}
Session::Parts::~Parts() = default;

void Portal::stop() {
  run.reset();
  access.reset();
  held.reset();
}

void Portal::require_sound() const {
  if (failed) throw error(sqlstate::kObjectNotInPrerequisiteState, "portal \"{}\" cannot be run", name);
}

void Portal::renew() {
  constexpr std::size_t kKeptBytesMax = 4096;
  stop();
  statement.reset();
  plan.reset();
  prepared.reset();
  parameters.clear();
  if (arena.bytes_reserved() > kKeptBytesMax ||
      parameters.capacity() * sizeof(types::Value) > kKeptBytesMax) {
    std::vector<types::Value>{}.swap(parameters);
    arena = Arena{512};
  }
  arena.reset();
  rows = 0;
  tag.clear();
  done = running = failed = is_cursor = scroll = hold = false;
  savepoint_depth = 0;
}

void Session::Parts::notice(Severity severity, Error content) {
  static constexpr std::pair<std::string_view, Severity> kLevels[] = {{"debug", Severity::kDebug},
                                                                      {"log", Severity::kLog},
                                                                      {"notice", Severity::kNotice},
                                                                      {"warning", Severity::kWarning},
                                                                      {"error", Severity::kError}};
  const auto level = session.settings().get("client_min_messages").value_or("notice");
  for (const auto& [name, minimum] : kLevels)
    if (level == name && severity < minimum && severity != Severity::kInfo) return;
  if (sink != nullptr) sink->notice({severity, std::move(content)});
}

bool Session::Parts::is_superuser() {
  const auto now = catalog();
  const auto* role = now->role(current_oid);
  return role != nullptr && role->superuser;
}
void Session::Parts::require_owner(Oid owner, std::string_view kind, std::string_view name) {
  if (owner == current_oid || is_superuser()) return;
  throw error(sqlstate::kInsufficientPrivilege, "must be owner of {} {}", kind, name);
}

std::vector<Oid> Session::Parts::search_path(const catalog::CatalogSnapshot& catalog) {
  std::vector<Oid> out;
  const auto& names = session.settings().search_path();
  const bool has_catalog = std::find(names.begin(), names.end(), "pg_catalog") != names.end();
  if (!has_catalog) out.push_back(catalog::oid::kPgCatalog);
  for (const auto& n : names) {
    const auto* schema = n == "$user" ? catalog.schema(context->current_user()) : catalog.schema(n);
    if (schema != nullptr && std::find(out.begin(), out.end(), schema->oid) == out.end())
      out.push_back(schema->oid);
  }
  return out;
}
Oid Session::Parts::creation_schema(const catalog::CatalogSnapshot& catalog) {
  for (const auto& n : session.settings().search_path()) {
    const auto* schema = n == "$user" ? catalog.schema(context->current_user()) : catalog.schema(n);
    if (schema != nullptr) return schema->oid;
  }
  throw error(sqlstate::kInvalidSchemaName, "no schema has been selected to create in");
}

Session::Session(Database& database, const SessionOptions& options, std::int32_t pid, std::uint64_t secret)
    : database_(database),
      pid_(pid),
      secret_(secret),
      activity_(std::make_shared<SessionActivity>()),
      on_terminate_(options.on_terminate) {
  for (const auto& [name, value] : database.options().settings) settings_.set_base(name, value);
  parts_ = std::make_unique<Parts>(*this);
  activity_->pid = pid;
  activity_->user = options.user;
  activity_->database = options.database;
  activity_->application_name = options.application_name;
  activity_->client_address = options.client_address;
  activity_->protocol = options.protocol;
  activity_->backend_start_us = activity_->state_change_us = database.environment().clock->wall_us();
  if (!options.application_name.empty())
    settings_.set("application_name", options.application_name, false, false);
  for (const auto& [name, value] : options.settings) settings_.set(name, value, false, false);
  settings_.keep_as_clients();
  settings_.take_reported();
  parts_->statement_start_us = parts_->transaction_start_us = activity_->backend_start_us;
}
Session::~Session() {
  RUSTBD_ASSERT(parts_->transaction == nullptr || !parts_->transaction->has_written(),
                "a session is closed before it is destroyed");
  parts_->portals.clear();
  parts_->transaction.reset();
  database_.leave(*this);
}

TransactionStatus Session::status() const {
  if (!parts_->in_block) return TransactionStatus::kIdle;
  return parts_->failed ? TransactionStatus::kFailed : TransactionStatus::kInBlock;
}

types::IoContext Session::io_context() {
  types::IoContext io;
  io.settings = settings_.format();
  io.settings.now_us = parts_->context->transaction_timestamp_us();
  io.names = parts_->context.get();
  return io;
}

io::WaitToken Session::results_durable() {
  Lsn hold = parts_->hold;
  if (parts_->transaction != nullptr) hold = std::max(hold, parts_->transaction->hold_lsn());
  if (hold <= database_.transactions().durable_lsn()) return {};
  return database_.transactions().when_durable(hold);
}

void Session::cancel(functions::CancelReason reason) {
  std::uint32_t none = 0;
  cancel_flag_.reason.compare_exchange_strong(none, static_cast<std::uint32_t>(reason));
  const bool ends = reason == functions::CancelReason::kAdmin;
  if (ends) terminated_.store(true, std::memory_order_release);
  parts_->locker->cancel_wait();
  if (ends && on_terminate_) on_terminate_();
}

Task<Outcome> Session::simple_query(std::string_view text, ResultSink& sink) {
  auto& parts = *parts_;
  RunningStatement running{*this, parts, *activity_, text, sink};
  parts.portals.erase("");
  Arena arena{16384};  // `current` lies in it
  const sql::Node* current = nullptr;
  auto failure = co_await guarded(parts, [&]() -> Task<> {
    std::vector<Notice> notices;
    const auto statements = sql::parse(text, arena, &notices);
    for (auto& n : notices) sink.notice(n);
    if (statements.empty()) {
      sink.empty_query();
      co_return;
    }
    // Several statements in one text are one transaction, unless they make blocks of their own.
    const bool several = statements.size() > 1;
    for (std::size_t i = 0; i < statements.size(); ++i) {
      const auto& s = statements[i];
      current = s.statement;
      if (several && !parts.in_block) parts.implicit_block = true;
      StatementInput input;
      input.statement = s.statement;
      input.text = text.substr(static_cast<std::size_t>(s.begin), static_cast<std::size_t>(s.end - s.begin));
      input.top_level = !several;
      input.several = several;
      co_await run_statement(parts, input, sink);
      running.record(current, nullptr);
      current = nullptr;
    }
    if (several && !parts.in_block) co_await commit_transaction(parts);
  });
  if (failure) running.record(current, &*failure);
  parts.implicit_block = false;
  if (parts.transaction == nullptr) parts.changes.rest();
  co_return failure;
}

Task<Outcome> Session::parse(std::string name, std::string text, std::vector<Oid> parameter_types,
                             ResultSink& sink) {
  auto& parts = *parts_;
  RunningStatement running{*this, parts, *activity_, text, sink};
  co_return co_await guarded(parts, [&]() -> Task<> {
    parts.context->begin_statement();
    auto prepared = std::make_shared<PreparedStatement>();
    prepared->name = name;
    prepared->text = std::move(text);
    prepared->arena = std::make_shared<Arena>(4096);
    prepared->prepare_time_us = parts.statement_start_us;
    std::vector<Notice> notices;
    const auto statements = sql::parse(prepared->text, *prepared->arena, &notices);
    for (auto& n : notices) sink.notice(n);
    if (statements.size() > 1)
      throw error(sqlstate::kSyntaxError, "cannot insert multiple commands into a prepared statement");
    for (Oid t : parameter_types)
      prepared->parameters.push_back(t == 0 ? types::make_type(types::oid::kUnknown) : types::make_type(t));
    if (!statements.empty()) {
      prepared->statement = statements[0].statement;
      prepared->is_query = is_query(*prepared->statement);
      if (parts.failed && !is_transaction_control(*prepared->statement))
        throw error(sqlstate::kInFailedTransaction,
                    "current transaction is aborted, commands ignored until end of transaction block");
      if (prepared->is_query) {
        // Read before the plan is made: a later one would keep a plan of an earlier catalog for good.
        prepared->catalog_version = parts.catalog()->version;
        auto key = plan_key(parts, *prepared);
        prepared->plan = find_shared_plan(parts, key);
        if (prepared->plan == nullptr) {
          auto types = prepared->parameters;
          auto plan = co_await make_settled_plan(parts, *prepared->statement, &types, {});
          prepared->plan = share_plan(parts, std::move(key), std::move(plan), std::move(types));
        }
        prepared->parameters = prepared->plan->parameters;
        prepared->columns = prepared->plan->columns;
        prepared->settings_generation = settings_.generation();
      } else {
        prepared->columns = utility_columns(parts, *prepared->statement);
      }
    }
    if (!name.empty() && parts.prepared.contains(name))
      throw error(sqlstate::kDuplicatePreparedStatement, "prepared statement \"{}\" already exists", name);
    parts.prepared[name] = std::move(prepared);
    co_return;
  });
}

namespace {
std::shared_ptr<PreparedStatement> find_prepared(Session::Parts& parts, const std::string& name) {
  auto it = parts.prepared.find(name);
  if (it != parts.prepared.end()) return it->second;
  if (name.empty())
    throw error(sqlstate::kInvalidSqlStatementName, "unnamed prepared statement does not exist");
  throw error(sqlstate::kInvalidSqlStatementName, "prepared statement \"{}\" does not exist", name);
}
Portal& find_portal(Session::Parts& parts, const std::string& name) {
  auto it = parts.portals.find(name);
  if (it == parts.portals.end())
    throw error(sqlstate::kInvalidCursorName, "portal \"{}\" does not exist", name);
  return *it->second;
}
void use_plan(Portal& portal, std::shared_ptr<PreparedPlan> prepared) {
  portal.plan = prepared->plan;
  portal.prepared = std::move(prepared);
}
}  // namespace

void Session::bind(const std::string& portal_name, const std::string& statement,
                   std::span<const ParameterInput> inputs, ResultSink& sink) {
  auto& parts = *parts_;
  const BoundValues input{*this, parts, sink};
  parts.context->begin_statement();
  auto prepared = find_prepared(parts, statement);
  if (inputs.size() != prepared->parameters.size())
    throw error(sqlstate::kProtocolViolation,
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                inputs.size(), statement, prepared->parameters.size());
  if (parts.failed && (prepared->statement == nullptr || !is_transaction_control(*prepared->statement)))
    throw error(sqlstate::kInFailedTransaction,
                "current transaction is aborted, commands ignored until end of transaction block");
  auto portal = parts.spare_portal != nullptr ? std::move(parts.spare_portal) : std::make_unique<Portal>();
  portal->name = portal_name;
  auto io = io_context();
  io.arena = &portal->arena;
  portal->parameters.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& type = prepared->parameters[i];
    types::Value v{type, inputs[i].is_null, {}};
    if (!v.is_null) {
      const auto bytes = portal->arena.copy(inputs[i].bytes);
      v.datum = inputs[i].binary ? types::input_binary(as_bytes(bytes), type, io)
                                 : types::input_text(bytes, type, io);
      v.datum = types::copy_datum(v.datum, type.phys, portal->arena);
    }
    portal->parameters.push_back(v);
  }
  portal->statement = std::move(prepared);
  if (!portal_name.empty() && parts.portals.contains(portal_name))
    throw error(sqlstate::kDuplicateCursor, "cursor \"{}\" already exists", portal_name);
  portal->savepoint_depth = parts.savepoints.size();
  auto& place = parts.portals[portal_name];
  std::swap(place, portal);
  if (portal == nullptr) return;
  portal->renew();
  parts.spare_portal = std::move(portal);
}

const PreparedStatement& Session::prepared_statement(const std::string& name) const {
  return *find_prepared(*parts_, name);
}
const PreparedStatement& Session::statement_of_portal(const std::string& name) const {
  return *find_portal(*parts_, name).statement;
}
void Session::close_statement(const std::string& name) { parts_->prepared.erase(name); }
void Session::close_portal(const std::string& name) { parts_->portals.erase(name); }

Task<Outcome> Session::execute(std::string name, std::uint64_t max_rows, ResultSink& sink) {
  auto& parts = *parts_;
  const auto found = parts.portals.find(name);
  const std::string_view text =
      found != parts.portals.end() ? std::string_view{found->second->statement->text} : std::string_view{};
  RunningStatement running{*this, parts, *activity_, text, sink};
  const sql::Node* statement = nullptr;
  auto failure = co_await guarded(parts, [&]() -> Task<> {
    auto& portal = find_portal(parts, name);
    auto prepared = portal.statement;
    statement = prepared->statement;
    if (statement == nullptr) {
      sink.empty_query();
      co_return;
    }
    if (portal.done) {
      sink.complete(portal.plan != nullptr && portal.plan->tag == plan::StatementTag::kSelect ? "SELECT 0"
                                                                                              : portal.tag);
      co_return;
    }
    if (!parts.in_block) parts.implicit_block = true;
    if (!prepared->is_query) {
      StatementInput input{statement, prepared->text, portal.parameters, false};
      // The statement may end the transaction and with it the portals.
      auto owned = std::move(parts.portals[name]);
      parts.portals.erase(name);
      co_await run_statement(parts, input, sink);
      owned->done = true;
      if (parts.transaction != nullptr) parts.portals[name] = std::move(owned);
      co_return;
    }
    if (parts.failed)
      throw error(sqlstate::kInFailedTransaction,
                  "current transaction is aborted, commands ignored until end of transaction block");
    portal.require_sound();
    portal.running = true;
    if (portal.run == nullptr) {
      ++parts.statement_number;
      parts.context->begin_statement();
      refresh_plan(parts, *prepared);
      use_plan(portal, prepared->plan);
      ensure_transaction(parts, !parts.in_block && portal.plan->read_only && max_rows == 0);
      if (parts.read_only && !portal.plan->read_only)
        throw error(sqlstate::kReadOnlyTransaction,
                    "cannot execute this statement in a read-only transaction");
      for (;;) {
        bool stale = false;
        const auto locked = try_lock_relations(parts, *portal.prepared, &stale);
        if (locked != portal.prepared->locks.size())
          stale = co_await lock_relations(parts, *portal.prepared, locked);
        if (!stale) break;
        refresh_plan(parts, *prepared);
        use_plan(portal, prepared->plan);
      }
      check_privileges(parts, portal.plan->privileges);
      begin_statement(parts);
      parts.context->begin_statement();
      start_run(parts, portal);
    }
    const bool ended = co_await drive(parts, portal, max_rows, sink, prepared->columns);
    portal.running = false;
    if (!ended && !portal.held) keep_run(parts, portal);
    parts.transaction->end_statement();
    if (!ended) {
      sink.suspended();
      co_return;
    }
    sink.complete(portal.tag);
  });
  running.record(statement, failure ? &*failure : nullptr);
  co_return failure;
}

namespace {
void end_implicit_block(Session::Parts& parts) {
  parts.implicit_block = false;
  std::erase_if(parts.portals, [](const auto& p) { return !p.second->is_cursor; });
}
void after_sync(Session::Parts& parts, ResultSink& sink) {
  report_settings(parts.session, sink);
  parts.sink = nullptr;
  if (parts.transaction == nullptr) {
    parts.changes.rest();
    parts.bind_start_us = 0;
  }
}
}  // namespace

Task<Outcome> Session::sync(ResultSink& sink) {
  auto& parts = *parts_;
  parts.sink = &sink;
  auto failure = co_await guarded(parts, [&]() -> Task<> {
    if (parts.in_block) co_return;
    if (parts.transaction != nullptr) co_await commit_transaction(parts);
    end_implicit_block(parts);
  });
  after_sync(parts, sink);
  co_return failure;
}

bool Session::sync_at_once(ResultSink& sink) {
  auto& parts = *parts_;
  if (!parts.in_block) {
    if (parts.transaction != nullptr) return false;
    end_implicit_block(parts);
  }
  after_sync(parts, sink);
  return true;
}

Task<> Session::fail_transaction() { co_await after_error(*parts_); }

Task<> Session::close() {
  parts_->portals.clear();
  co_await abort_transaction(*parts_);
  database_.transactions().locks().release_all(*parts_->locker);
  parts_->prepared.clear();
}

}  // namespace rustbd::engine
