// One statement: parse tree → plan → locks → run → tag.
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/engine/utility/utility.h"
#include "rustbd/optimizer/optimizer.h"
#include "rustbd/txn/row_counts.h"

namespace rustbd::engine {

namespace {
constexpr int kReplansMax = 100;
constexpr std::int64_t kTurnUs = 2000;  // of one statement on its network thread (query.md §9.2)

/// A statement that costs less than this runs on the session's network thread; longer ones go to the worker
/// pool, so that they hold up nobody (query.md §9.2).
constexpr double kInlineCostNs = 100'000;

/// Goes on on another lane.
auto move_to(io::Lane* lane) {
  struct Move {
    io::Lane* lane;
    bool await_ready() const noexcept { return lane == nullptr || lane == io::Lane::current(); }
    void await_suspend(std::coroutine_handle<> self) const {
      lane->post([self] { self.resume(); });
    }
    void await_resume() const noexcept {}
  };
  return Move{lane};
}

/// Whether the estimate may be far too low: rows come from functions or recursion.
bool has_unbounded_source(const plan::PlanNode& node) {
  if (node.kind == plan::NodeKind::kFunctionScan || node.kind == plan::NodeKind::kProjectSet ||
      node.kind == plan::NodeKind::kRecursiveUnion)
    return true;
  for (const auto& c : node.children)
    if (has_unbounded_source(*c)) return true;
  return false;
}

/// Goes to the end of the lane's queue.
auto next_turn() {
  struct Turn {
    bool await_ready() const noexcept { return io::Lane::current() == nullptr; }
    void await_suspend(std::coroutine_handle<> self) const {
      io::Lane::current()->post([self] { self.resume(); });
    }
    void await_resume() const noexcept {}
  };
  return Turn{};
}

/// The table locks that a plan needs, also on tables that only its foreign keys' checks and actions reach,
/// however deep these cascade: nobody may change them while the statement runs.
class LockCollector {
 public:
  explicit LockCollector(const catalog::CatalogSnapshot& catalog) : catalog_(catalog) {}
  void collect(const plan::PlanNode& node) {
    switch (node.kind) {
      case plan::NodeKind::kTableScan:
      case plan::NodeKind::kIndexScan:
      case plan::NodeKind::kIndexOnlyScan:
      case plan::NodeKind::kIndexJoin:
        if (node.relation != nullptr && node.relation->source == catalog::RowSource::kStored)
          raise(node.relation->oid, txn::TableLockMode::kAccessShare);
        break;
      case plan::NodeKind::kLockRows:
        for (const auto& l : node.locks) raise(l.relation->oid, txn::TableLockMode::kRowShare);
        break;
      case plan::NodeKind::kModify:
        write(*node.modify->target, node.modify->kind);
        if (node.modify->conflict == plan::ConflictAction::kUpdate)
          write(*node.modify->target, plan::ModifyKind::kUpdate);
        break;
      default: break;
    }
    for (const auto& c : node.children) collect(*c);
  }
  [[nodiscard]] TableLocks locks() const { return {modes_.begin(), modes_.end()}; }

 private:
  void raise(Oid oid, txn::TableLockMode mode) {
    auto& m = modes_[oid];
    m = std::max(m, mode);
  }
  void write(const catalog::Relation& relation, plan::ModifyKind kind) {
    raise(relation.oid, txn::TableLockMode::kRowExclusive);
    if (!written_.emplace(relation.oid, kind).second) return;
    if (kind != plan::ModifyKind::kDelete) {
      for (const auto& c : relation.constraints)
        if (c->type == catalog::ConstraintType::kForeignKey)
          raise(c->referenced_relation, txn::TableLockMode::kRowShare);
    }
    if (kind == plan::ModifyKind::kInsert) return;
    for (const auto& c : relation.referenced_by) {
      const bool deletes = kind == plan::ModifyKind::kDelete;
      const char action = deletes ? c->on_delete : c->on_update;
      raise(c->relation, txn::TableLockMode::kRowShare);
      if (action == 'a' || action == 'r') continue;
      if (const auto child = catalog_.relation(c->relation); child != nullptr)
        write(*child, deletes && action == 'c' ? plan::ModifyKind::kDelete : plan::ModifyKind::kUpdate);
    }
  }
  const catalog::CatalogSnapshot& catalog_;
  std::map<Oid, txn::TableLockMode> modes_;
  std::set<std::pair<Oid, plan::ModifyKind>> written_;
};

std::string tag_of(const plan::ExecutionPlan& plan, std::uint64_t sent, std::uint64_t affected) {
  const auto tag = [](std::string text, std::uint64_t rows) {
    const fmt::format_int number{rows};
    return text.append(number.data(), number.size());
  };
  switch (plan.tag) {
    case plan::StatementTag::kSelect: return tag("SELECT ", sent);
    case plan::StatementTag::kInsert: return tag("INSERT 0 ", affected);
    case plan::StatementTag::kUpdate: return tag("UPDATE ", affected);
    case plan::StatementTag::kDelete: return tag("DELETE ", affected);
    case plan::StatementTag::kMerge: return tag("MERGE ", affected);
  }
  RUSTBD_UNREACHABLE();
}
}  // namespace

bool is_query(const sql::Node& statement) {
  switch (statement.kind) {
    case sql::NodeKind::kSelectStatement: return sql::as<sql::SelectStatement>(&statement).into == nullptr;
    case sql::NodeKind::kInsertStatement:
    case sql::NodeKind::kUpdateStatement:
    case sql::NodeKind::kDeleteStatement:
    case sql::NodeKind::kMergeStatement: return true;
    default: return false;
  }
}

Task<> wait(Session::Parts& parts, io::WaitToken token) {
  co_await token;
  if (auto* flag = parts.session.cancel_flag(); flag->reason.load(std::memory_order_relaxed) != 0)
    flag->raise();
}

binder::BindInput bind_input(Session::Parts& parts, const catalog::CatalogSnapshot& catalog,
                             std::span<const Oid> path) {
  binder::BindInput input;
  input.catalog = &catalog;
  input.search_path = path;
  input.statement = parts.context.get();
  return input;
}

expression::ColumnMap columns_of(const catalog::Relation& relation) {
  expression::ColumnMap columns;
  for (std::uint32_t i = 0; i < relation.columns.size(); ++i)
    columns.emplace_back(static_cast<expression::ColumnId>(relation.columns[i].number), i);
  return columns;
}

std::shared_ptr<const plan::ExecutionPlan> make_plan(Session::Parts& parts, const sql::Node& statement,
                                                     std::vector<types::TypeRef>* parameter_types,
                                                     std::span<const types::Value> values,
                                                     std::vector<Oid>* opened) {
  const auto catalog = parts.catalog();
  const auto path = parts.search_path(*catalog);
  auto input = bind_input(parts, *catalog, path);
  input.parameters = parameter_types;
  input.opened = opened;
  auto logical = binder::bind(statement, input);
  optimizer::OptimizeInput optimize;
  optimize.catalog = catalog.get();
  optimize.statement = parts.context.get();
  optimize.parameters = values;
  optimize.table_size = [&](const catalog::Relation& relation) {
    optimizer::TableSize size;
    if (relation.source != catalog::RowSource::kStored || relation.layout == nullptr) return size;
    const auto estimate = txn::estimate_size(parts.database.transactions(), *relation.layout);
    size.rows = estimate.rows;
    size.pages = estimate.pages;
    return size;
  };
  optimize.setting = [&](std::string_view name) {
    return parts.session.settings().get(name).value_or(std::string{});
  };
  return optimizer::optimize(std::move(logical), optimize);
}

Task<std::shared_ptr<const plan::ExecutionPlan>> make_settled_plan(
    Session::Parts& parts, const sql::Node& statement, std::vector<types::TypeRef>* parameter_types,
    std::span<const types::Value> values) {
  const auto declared = parameter_types != nullptr ? *parameter_types : std::vector<types::TypeRef>{};
  for (;;) {
    const auto version = parts.catalog()->version;
    std::vector<Oid> opened;
    std::exception_ptr failure;
    std::shared_ptr<const plan::ExecutionPlan> plan;
    try {
      plan = make_plan(parts, statement, parameter_types, values, &opened);
    } catch (const Error&) {
      failure = std::current_exception();
    }
    if (failure == nullptr) co_return plan;
    ensure_transaction(parts, false);
    for (const Oid relation : opened)
      co_await lock_relation(parts, relation, txn::TableLockMode::kAccessShare);
    if (parts.catalog()->version == version) std::rethrow_exception(failure);
    if (parameter_types != nullptr) *parameter_types = declared;
  }
}

std::vector<ResultColumn> result_columns(const plan::ExecutionPlan& plan) {
  std::vector<ResultColumn> out;
  for (const auto& c : plan.result) {
    out.push_back({c.name, c.type, c.relation, c.attribute});
    out.back().type.typmod = std::max(c.type.typmod, -1);  // below -1: a derived precision, no SQL modifier
  }
  return out;
}

Task<> lock_relation(Session::Parts& parts, Oid relation, txn::TableLockMode mode, bool no_wait) {
  for (;;) {
    const auto outcome =
        parts.transaction->lock_table(relation, catalog::oid::kDatabasePostgres, mode,
                                      no_wait ? txn::WaitPolicy::kNoWait : txn::WaitPolicy::kWait);
    if (outcome.ok()) co_return;
    if (outcome.blocked()) {
      co_await wait(parts, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kLockNotAvailable && no_wait) {
      auto r = parts.catalog()->relation(relation);
      throw error(sqlstate::kLockNotAvailable, "could not obtain lock on relation \"{}\"",
                  r != nullptr ? r->name : fmt::format("{}", relation));
    }
    parts.database.transactions().throw_outcome(outcome, parts.locker.get());
  }
}

namespace {
/// The locks keep these relations as they are now; the plan may be of before.
bool is_stale(Session::Parts& parts, const plan::ExecutionPlan& plan) {
  const auto now = parts.session_catalog()->version;
  return std::ranges::any_of(plan.dependencies, [&](const auto& d) { return d.version != now; });
}
TableLocks locks_of(Session::Parts& parts, const plan::ExecutionPlan& plan) {
  const auto catalog = parts.session_catalog();  // where the plan is of another one it is stale
  LockCollector collector{*catalog};
  collector.collect(*plan.root);
  return collector.locks();
}
}  // namespace

Task<bool> lock_relations(Session::Parts& parts, const plan::ExecutionPlan& plan) {
  for (const auto& [oid, mode] : locks_of(parts, plan)) co_await lock_relation(parts, oid, mode);
  co_return is_stale(parts, plan);
}

Task<bool> lock_relations(Session::Parts& parts, const PreparedPlan& plan, std::size_t from) {
  for (; from < plan.locks.size(); ++from)
    co_await lock_relation(parts, plan.locks[from].first, plan.locks[from].second);
  co_return is_stale(parts, *plan.plan);
}

std::size_t try_lock_relations(Session::Parts& parts, const PreparedPlan& plan, bool* stale) {
  for (std::size_t i = 0; i < plan.locks.size(); ++i) {
    const auto [oid, mode] = plan.locks[i];
    if (!parts.transaction->lock_table(oid, catalog::oid::kDatabasePostgres, mode, txn::WaitPolicy::kWait)
             .ok())
      return i;
  }
  *stale = is_stale(parts, *plan.plan);
  return plan.locks.size();
}

std::string plan_key(Session::Parts& parts, const PreparedStatement& statement) {
  if (!parts.changes.empty()) return {};
  const auto catalog = parts.catalog();
  const auto& settings = parts.session.settings();
  std::string key = fmt::format("{} {} {}", catalog->version, parts.current_oid, parts.user_oid);
  for (const Oid schema : parts.search_path(*catalog)) key += fmt::format(" s{}", schema);
  for (const auto& type : statement.parameters) key += fmt::format(" {}:{}", type.oid, type.typmod);
  key += '\0';
  key += settings.fingerprint();
  key += statement.text;
  return key;
}

namespace {
constexpr double kSmallTableRows = 50;

/// Whether the tables are about as large as they were for the planner.
bool sizes_hold(Session::Parts& parts, const PreparedPlan& plan) {
  return std::ranges::all_of(plan.sizes, [&](const auto& size) {
    const double now =
        std::max(kSmallTableRows, txn::estimate_size(parts.database.transactions(), *size.first).rows);
    const double then = std::max(kSmallTableRows, size.second);
    return now <= 2 * then && then <= 2 * now;
  });
}
void collect_sizes(Session::Parts& parts, const plan::PlanNode& node, PreparedPlan& plan) {
  if (node.relation != nullptr && node.relation->source == catalog::RowSource::kStored &&
      node.relation->layout != nullptr)
    plan.sizes.emplace_back(node.relation->layout,
                            txn::estimate_size(parts.database.transactions(), *node.relation->layout).rows);
  for (const auto& c : node.children) collect_sizes(parts, *c, plan);
}
}  // namespace

std::shared_ptr<PreparedPlan> share_plan(Session::Parts& parts, std::string key,
                                         std::shared_ptr<const plan::ExecutionPlan> plan,
                                         std::vector<types::TypeRef> parameters) {
  auto shared = std::make_shared<PreparedPlan>();
  shared->plan = std::move(plan);
  shared->parameters = std::move(parameters);
  shared->columns = result_columns(*shared->plan);
  shared->locks = locks_of(parts, *shared->plan);
  collect_sizes(parts, *shared->plan->root, *shared);
  if (!key.empty() && !shared->plan->of_one_moment) parts.database.plan_cache().add(std::move(key), shared);
  return shared;
}

std::shared_ptr<PreparedPlan> find_shared_plan(Session::Parts& parts, const std::string& key) {
  if (key.empty()) return nullptr;
  auto shared = parts.database.plan_cache().find(key);
  if (shared == nullptr || !sizes_hold(parts, *shared)) return nullptr;
  parts.database.engine_metrics().plans_shared.inc();
  return shared;
}

std::shared_ptr<PreparedPlan> make_prepared_plan(Session::Parts& parts, const PreparedStatement& statement) {
  auto key = plan_key(parts, statement);
  if (auto shared = find_shared_plan(parts, key)) return shared;
  auto parameters = statement.parameters;
  auto plan = make_plan(parts, *statement.statement, &parameters, {});
  return share_plan(parts, std::move(key), std::move(plan), std::move(parameters));
}

void refresh_plan(Session::Parts& parts, PreparedStatement& prepared) {
  const auto version = parts.session_catalog()->version;
  const auto settings = parts.session.settings().generation();
  if (prepared.plan != nullptr && prepared.catalog_version == version &&
      prepared.settings_generation == settings)
    return;
  auto plan = make_prepared_plan(parts, prepared);
  if (!std::ranges::equal(
          plan->columns, prepared.columns, {}, [](const auto& c) { return c.type.oid; },
          [](const auto& c) { return c.type.oid; }))
    throw error(sqlstate::kFeatureNotSupported, "cached plan must not change result type");
  prepared.plan = std::move(plan);
  prepared.catalog_version = version;
  prepared.settings_generation = settings;
}

void check_privileges(Session::Parts& parts, const std::vector<plan::RequiredPrivilege>& privileges) {
  const auto catalog = parts.session_catalog();
  const auto* const current = catalog->role(parts.current_oid);
  for (const auto& p : privileges) {
    const Oid who = p.role != 0 ? p.role : parts.current_oid;
    const auto* const role = p.role != 0 ? catalog->role(who) : current;
    if (role != nullptr && role->superuser) continue;
    auto relation = catalog->relation(p.relation);
    if (relation == nullptr || relation->is_catalog()) continue;
    if (relation->owner == who) continue;
    // aclitem text: {grantee=letters/grantor,...}
    const auto allowed = [&](char letter) {
      const std::string name = role != nullptr ? role->name : std::string{};
      std::string_view acl = relation->acl;
      if (acl.size() >= 2) acl = acl.substr(1, acl.size() - 2);
      while (!acl.empty()) {
        const auto comma = std::min(acl.find(','), acl.size());
        const auto item = acl.substr(0, comma);
        const auto equals = item.find('='), slash = item.find('/');
        if (equals != std::string_view::npos && slash != std::string_view::npos) {
          const auto grantee = item.substr(0, equals);
          if ((grantee.empty() || grantee == name) &&
              item.substr(equals + 1, slash - equals - 1).find(letter) != std::string_view::npos)
            return true;
        }
        acl.remove_prefix(std::min(comma + 1, acl.size()));
      }
      return false;
    };
    static constexpr std::pair<std::uint32_t, char> kLetters[] = {{1, 'r'}, {2, 'a'},  {4, 'w'},
                                                                  {8, 'd'}, {16, 'D'}, {32, 'x'}};
    for (const auto& [bit, letter] : kLetters)
      if ((p.kinds & bit) != 0 && !allowed(letter))
        throw error(sqlstate::kInsufficientPrivilege, "permission denied for {} {}",
                    relation->kind == catalog::RelationKind::kView
                        ? "view"
                        : (relation->kind == catalog::RelationKind::kSequence ? "sequence" : "table"),
                    relation->name);
  }
}

void start_run(Session::Parts& parts, Portal& portal) {
  IdleRun idle;
  auto catalog = parts.session_catalog();
  if (portal.prepared != nullptr) idle = portal.prepared->idle.take(catalog->version);
  portal.access = idle.access != nullptr ? std::move(idle.access) : std::make_unique<StatementAccess>();
  portal.access->begin(parts, std::move(catalog));
  exec::QueryContext context;
  context.access = portal.access.get();
  context.statement = parts.context.get();
  context.cancel = parts.session.cancel_flag();
  context.parameters = portal.parameters;
  context.memory_limit = parts.database.options().query_memory_bytes;
  context.worker_limit = parts.database.options().workers_per_query;
  if (context.worker_limit > 1) context.workers = &parts.database.environment().executor->workers();
  if (const auto n = parts.session.settings().frequent().test_chunk_rows; n > 0)
    context.chunk_rows = static_cast<std::uint32_t>(std::min<std::int64_t>(n, types::kVectorSize));
  if (idle.run == nullptr) {
    portal.run = exec::QueryRun::start(portal.plan, context);
    return;
  }
  parts.database.engine_metrics().runs_again.inc();
  portal.run = std::move(idle.run);
  portal.run->run_again(context);
}

void keep_run(Session::Parts& parts, Portal& portal) {
  portal.held = parts.transaction->hold(portal.access->view());
}

namespace {

/// Rows of a statement that may restart, held back until it cannot any more.
class HeldRows {
 public:
  explicit HeldRows(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  void add(const types::Chunk& chunk) {
    for (std::uint32_t taken = 0; taken < chunk.selection.count;) {
      if (buffers_.empty() || buffers_.back()->chunk().selection.count == types::kVectorSize) {
        std::vector<types::Phys> columns;
        for (std::uint32_t i = 0; i < chunk.column_count; ++i) columns.push_back(chunk[i].phys);
        buffers_.push_back(std::make_unique<types::ChunkBuffer>(columns));
        buffers_.back()->begin();
        full_bytes_ += types::kVectorSize * columns.size() * sizeof(types::Datum);
      }
      taken += buffers_.back()->append(chunk, taken);
      if (limit_bytes_ != 0 && full_bytes_ + buffers_.back()->arena().bytes_reserved() > limit_bytes_)
        throw error(sqlstate::kOutOfMemory, "out of memory").with_detail("The locked rows do not fit.");
    }
  }
  void clear() { buffers_.clear(); }
  [[nodiscard]] std::span<const std::unique_ptr<types::ChunkBuffer>> buffers() const { return buffers_; }

 private:
  std::vector<std::unique_ptr<types::ChunkBuffer>> buffers_;
  std::uint64_t full_bytes_ = 0;
  const std::uint64_t limit_bytes_;
};

Task<> send(Session::Parts& parts, const types::Chunk& chunk, ResultSink& sink,
            std::span<const ResultColumn> columns) {
  auto io = parts.session.io_context();
  parts.hold = std::max(parts.hold, parts.transaction->hold_lsn());
  const auto token = sink.rows(chunk, columns, io);
  if (!token.fired()) co_await wait(parts, token);
}

/// Pulls into `held`, or into the sink where it is nullptr. See drive().
Task<bool> pull(Session::Parts& parts, Portal& portal, std::uint64_t max_rows, HeldRows* held,
                ResultSink& sink, std::span<const ResultColumn> columns) {
  const txn::ResumedStatement resumed(portal.held);
  std::uint64_t sent = 0;
  auto& clock = *parts.database.environment().clock;
  auto turn_began = clock.monotonic_us();
  auto* const home = io::Lane::current();
  io::Lane* pool = nullptr;
  if (home != nullptr &&
      (portal.plan->estimated_cost > kInlineCostNs || has_unbounded_source(*portal.plan->root)))
    pool = &parts.database.environment().executor->workers();
  for (bool first = true;; first = false) {
    // A long result gives the thread's other sessions their turn.
    if (!first && clock.monotonic_us() - turn_began > kTurnUs) {
      co_await next_turn();
      turn_began = clock.monotonic_us();
      parts.session.cancel_flag()->check();
    }
    types::Chunk chunk;
    exec::Flow flow;
    if (pool != nullptr) {
      std::exception_ptr failure;
      co_await move_to(pool);
      try {
        flow = portal.run->next(&chunk, max_rows == 0 ? 0 : max_rows - sent);
      } catch (...) {
        failure = std::current_exception();
      }
      co_await move_to(home);
      if (failure) std::rethrow_exception(failure);
    } else {
      flow = portal.run->next(&chunk, max_rows == 0 ? 0 : max_rows - sent);
    }
    if (flow.state == exec::State::kBlocked) {
      co_await wait(parts, flow.token);
      continue;
    }
    if (flow.state == exec::State::kFinished) break;
    if (chunk.selection.count == 0) continue;
    if (!columns.empty() || !portal.plan->result.empty() || portal.plan->tag == plan::StatementTag::kSelect) {
      if (held != nullptr) held->add(chunk);
      else co_await send(parts, chunk, sink, columns);
    }
    sent += chunk.selection.count;
    if (max_rows != 0 && sent >= max_rows) {
      portal.rows += sent;
      co_return false;
    }
  }
  portal.rows += sent;
  portal.done = true;
  portal.tag = tag_of(*portal.plan, portal.rows, portal.run->affected_rows());
  parts.hold = std::max(parts.hold, parts.transaction->hold_lsn());
  if (portal.prepared != nullptr && portal.run->rest()) {
    portal.access->rest();
    portal.prepared->idle.keep({std::move(portal.access), std::move(portal.run)});
  }
  portal.stop();
  co_return true;
}

Task<bool> drive_again(Session::Parts& parts, Portal& portal, std::uint64_t max_rows, ResultSink& sink,
                       std::span<const ResultColumn> columns) {
  HeldRows held(parts.database.options().query_memory_bytes);
  for (;;) {
    const auto start = parts.transaction->savepoint();
    bool restart = false, ended = false;
    try {
      ended = co_await pull(parts, portal, max_rows, &held, sink, columns);
    } catch (const exec::StatementRestart&) {
      restart = true;
    }
    if (!restart) {
      for (const auto& buffer : held.buffers()) co_await send(parts, buffer->chunk(), sink, columns);
      co_return ended;
    }
    parts.database.engine_metrics().statement_restarts.inc();
    held.clear();
    const bool kept = static_cast<bool>(portal.held);
    portal.stop();
    co_await parts.transaction->rollback_to(start);
    begin_statement(parts);
    start_run(parts, portal);
    if (kept) keep_run(parts, portal);
  }
}

}  // namespace

Task<bool> drive(Session::Parts& parts, Portal& portal, std::uint64_t max_rows, ResultSink& sink,
                 std::span<const ResultColumn> columns) {
  if (!portal.plan->may_restart || portal.rows != 0)
    return pull(parts, portal, max_rows, nullptr, sink, columns);
  return drive_again(parts, portal, max_rows, sink, columns);
}

namespace {

Task<> run_query(Session::Parts& parts, const StatementInput& input, ResultSink& sink) {
  Portal portal;
  portal.parameters.assign(input.parameters.begin(), input.parameters.end());
  std::vector<types::TypeRef> parameter_types;
  for (const auto& v : portal.parameters) parameter_types.push_back(v.type);
  auto* types_or_null = input.parameters.empty() ? nullptr : &parameter_types;
  portal.plan = co_await make_settled_plan(parts, *input.statement, types_or_null, input.parameters);
  const bool alone = input.top_level && !parts.in_block;
  ensure_transaction(parts, alone && portal.plan->read_only);
  if (parts.read_only && !portal.plan->read_only)
    throw error(
        sqlstate::kReadOnlyTransaction, "cannot execute {} in a read-only transaction",
        portal.plan->tag == plan::StatementTag::kInsert
            ? "INSERT"
            : (portal.plan->tag == plan::StatementTag::kUpdate
                   ? "UPDATE"
                   : (portal.plan->tag == plan::StatementTag::kDelete ? "DELETE" : "SELECT FOR UPDATE")));
  for (int i = 0; co_await lock_relations(parts, *portal.plan); ++i) {
    if (i == kReplansMax)
      throw error(sqlstate::kSerializationFailure,
                  "the catalog changes faster than this statement can be planned");
    portal.plan = make_plan(parts, *input.statement, types_or_null, input.parameters);
  }
  check_privileges(parts, portal.plan->privileges);
  begin_statement(parts);
  parts.context->begin_statement();
  const auto columns = result_columns(*portal.plan);
  start_run(parts, portal);
  if (portal.plan->tag == plan::StatementTag::kSelect || !columns.empty()) sink.columns(columns);
  co_await drive(parts, portal, 0, sink, columns);
  parts.transaction->end_statement();
  if (alone && !parts.implicit_block) co_await commit_transaction(parts);
  sink.complete(portal.tag);
}

}  // namespace

Task<> run_statement(Session::Parts& parts, const StatementInput& input, ResultSink& sink) {
  // A SET of the same query string may have changed it.
  parts.locker->set_lock_timeout(std::chrono::milliseconds{parts.session.settings().frequent().lock_timeout});
  const auto& statement = *input.statement;
  ++parts.statement_number;
  if (const auto* t = sql::try_as<sql::TransactionStatement>(&statement)) {
    if (parts.failed && !is_transaction_control(statement))
      throw error(sqlstate::kInFailedTransaction,
                  "current transaction is aborted, commands ignored until end of transaction block");
    parts.context->begin_statement();
    sink.complete(co_await run_transaction_statement(parts, *t, input.several));
    co_return;
  }
  if (parts.failed)
    throw error(sqlstate::kInFailedTransaction,
                "current transaction is aborted, commands ignored until end of transaction block");
  parts.context->begin_statement();
  if (is_query(statement)) {
    co_await run_query(parts, input, sink);
    co_return;
  }
  const bool alone = input.top_level && !parts.in_block && !parts.implicit_block;
  ensure_transaction(parts, false);
  parts.context->begin_statement();
  begin_statement(parts);
  UtilityContext context{parts, sink, input.text, input.parameters, alone};
  auto tag = co_await run_utility(context, statement);
  if (parts.transaction != nullptr) {
    parts.hold = std::max(parts.hold, parts.transaction->hold_lsn());
    parts.transaction->end_statement();
  }
  if (alone && !parts.in_block) co_await commit_transaction(parts);
  sink.complete(tag);
}

}  // namespace rustbd::engine
