// BEGIN to COMMIT: transaction blocks, savepoints, and what an error does to them.
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/context/session_context.h"
#include "rustbd/engine/session_parts.h"

namespace rustbd::engine {

namespace {

void forget_transaction(Session::Parts& parts) {
  std::erase_if(parts.portals,
                [](const auto& p) { return !(p.second->is_cursor && p.second->hold && p.second->done); });
  parts.transaction.reset();
  parts.savepoints.clear();
  parts.changes.truncate(0);
  parts.changes.rest();
  parts.bind_start_us = 0;
  parts.before_commit.clear();
  parts.in_block = parts.implicit_block = parts.failed = false;
}

void apply_modes(Session::Parts& parts, const sql::TransactionModes& modes, std::int32_t location) {
  if (modes.has_isolation) {
    switch (modes.isolation) {
      case sql::IsolationLevel::kReadUncommitted:
      case sql::IsolationLevel::kReadCommitted: parts.isolation = txn::Isolation::kReadCommitted; break;
      case sql::IsolationLevel::kRepeatableRead: parts.isolation = txn::Isolation::kRepeatableRead; break;
      case sql::IsolationLevel::kSerializable: throw not_supported("SERIALIZABLE").at(location);
    }
    static constexpr std::string_view kNames[] = {"read uncommitted", "read committed", "repeatable read",
                                                  "serializable"};
    parts.session.settings().set("transaction_isolation", kNames[static_cast<std::size_t>(modes.isolation)],
                                 true, true);
  }
  if (modes.read_only != sql::ModeFlag::kUnset) {
    parts.read_only = modes.read_only == sql::ModeFlag::kOn;
    parts.session.settings().set("transaction_read_only", parts.read_only ? "on" : "off", true, true);
  }
}

SavepointEntry* find_savepoint(Session::Parts& parts, std::string_view name) {
  for (auto it = parts.savepoints.rbegin(); it != parts.savepoints.rend(); ++it)
    if (it->name == name) return &*it;
  return nullptr;
}

Task<> roll_back_to(Session::Parts& parts, SavepointEntry& entry) {
  const auto depth = static_cast<std::size_t>(&entry - parts.savepoints.data()) + 1;
  std::erase_if(parts.portals, [&](const auto& p) { return p.second->savepoint_depth >= depth; });
  co_await parts.transaction->rollback_to(entry.position);
  parts.changes.truncate(entry.changes);
  parts.session.settings().rollback_to(entry.settings);
  parts.savepoints.resize(depth);  // the savepoint itself stays
  parts.failed = false;
}

}  // namespace

void ensure_transaction(Session::Parts& parts, bool single_read) {
  if (parts.transaction != nullptr) return;
  const auto& settings = parts.session.settings().frequent();
  const auto& isolation = settings.default_transaction_isolation;
  parts.isolation =
      isolation == "repeatable read" ? txn::Isolation::kRepeatableRead : txn::Isolation::kReadCommitted;
  if (isolation == "serializable") throw not_supported("SERIALIZABLE");
  parts.read_only = settings.default_transaction_read_only;
  txn::TransactionOptions options;
  options.isolation = parts.isolation;
  options.single_read = single_read;
  options.seen = parts.last_commit;
  options.role = parts.current_oid;
  parts.transaction = parts.database.transactions().begin(*parts.locker, options);
  parts.transaction_start_us = parts.bind_start_us != 0 ? parts.bind_start_us : parts.statement_start_us;
}

void begin_statement(Session::Parts& parts) {
  const auto catalog = parts.session_catalog();
  parts.transaction->depend_on(catalog->commit_ts, catalog->commit_lsn);
  parts.transaction->begin_statement();
}

namespace {
/// Deferred constraints.
Task<> run_deferred_checks(Session::Parts& parts) {
  while (!parts.before_commit.empty()) {
    auto checks = std::move(parts.before_commit);
    parts.before_commit.clear();
    for (auto& check : checks) co_await check();
  }
}
}  // namespace

Task<> commit_transaction(Session::Parts& parts) {
  if (parts.transaction == nullptr) {
    forget_transaction(parts);
    co_return;
  }
  co_await run_deferred_checks(parts);
  for (auto& [name, portal] : parts.portals) portal->stop();
  const bool asynchronous = !parts.session.settings().frequent().synchronous_commit;
  const auto mode = asynchronous ? txn::CommitMode::kAsync : txn::CommitMode::kSync;
  txn::Outcome outcome;
  if (!parts.transaction->try_commit(mode)) outcome = co_await parts.transaction->commit(mode);
  if (!outcome.ok()) {
    auto& system = parts.database.transactions();
    if (!parts.transaction->finished()) co_await parts.transaction->abort();
    parts.session.settings().rollback_to(0);
    forget_transaction(parts);
    system.throw_outcome(outcome, parts.locker.get());
  }
  if (parts.transaction->commit_timestamp() > parts.last_commit)
    parts.last_commit = parts.transaction->commit_timestamp();
  parts.hold = std::max(parts.hold, parts.transaction->hold_lsn());
  parts.session.settings().commit();
  forget_transaction(parts);
}

Task<> abort_transaction(Session::Parts& parts) {
  for (auto& [name, portal] : parts.portals) portal->stop();
  std::erase_if(parts.portals,
                [](const auto& p) { return !(p.second->is_cursor && p.second->hold && p.second->done); });
  if (parts.transaction != nullptr) co_await parts.transaction->abort();
  parts.session.settings().rollback_to(0);
  forget_transaction(parts);
}

Task<> after_error(Session::Parts& parts) {
  if (parts.in_block) {
    parts.failed = true;
    // Portals of before the last savepoint go on after a rollback to it.
    for (auto& [name, portal] : parts.portals) {
      if (portal->savepoint_depth < parts.savepoints.size() && !portal->running) continue;
      portal->stop();
      portal->running = false;
      portal->failed = true;
    }
    // What the block did since its last savepoint is taken back now, with the locks: nobody waits for a block
    // that can only be rolled back.
    const txn::Savepoint position =
        parts.savepoints.empty() ? txn::Savepoint{} : parts.savepoints.back().position;
    if (parts.transaction != nullptr) co_await parts.transaction->rollback_to(position);
    parts.changes.truncate(parts.savepoints.empty() ? 0 : parts.savepoints.back().changes);
    co_return;
  }
  co_await abort_transaction(parts);
}

// --- Two-phase commit ---

namespace {

txn::TwoPhaseUser two_phase_user(Session::Parts& parts) {
  return {parts.current_oid, catalog::oid::kDatabasePostgres, parts.is_superuser()};
}

Task<> prepare_present(Session::Parts& parts, const std::string& gid) {
  co_await run_deferred_checks(parts);
  if (parts.changes.position() != 0) {
    throw error(sqlstate::kFeatureNotSupported, "cannot PREPARE a transaction that has changed the catalog")
        .with_detail(
            "CREATE, ALTER, DROP, TRUNCATE, GRANT, COMMENT and ANALYZE are not supported in a prepared "
            "transaction.");
  }
  for (auto& [name, portal] : parts.portals) portal->stop();
  auto& system = parts.database.transactions();
  const auto user = two_phase_user(parts);
  const auto outcome = co_await system.prepare(parts.transaction, gid, user);
  if (!outcome.ok()) system.throw_outcome(outcome, parts.locker.get());
}

/// PREPARE TRANSACTION. If it fails, the transaction is rolled back and its block is over.
Task<std::string> prepare_transaction(Session::Parts& parts, const std::string& gid) {
  if (!parts.in_block) {
    parts.notice(Severity::kWarning,
                 Error{sqlstate::kNoActiveTransaction, "there is no transaction in progress"});
    if (parts.transaction == nullptr) co_return "ROLLBACK";
  }
  if (parts.failed) {
    co_await abort_transaction(parts);
    co_return "ROLLBACK";
  }
  std::exception_ptr failure;
  try {
    co_await prepare_present(parts, gid);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    co_await abort_transaction(parts);
    std::rethrow_exception(failure);
  }
  parts.session.settings().commit();
  forget_transaction(parts);
  co_return "PREPARE TRANSACTION";
}

/// COMMIT PREPARED and ROLLBACK PREPARED.
Task<std::string> decide_prepared(Session::Parts& parts, const std::string& gid, bool commit, bool several) {
  const std::string tag = commit ? "COMMIT PREPARED" : "ROLLBACK PREPARED";
  if (parts.in_block || several || parts.transaction != nullptr)
    throw error(sqlstate::kActiveTransaction, "{} cannot run inside a transaction block", tag);
  auto& system = parts.database.transactions();
  const auto user = two_phase_user(parts);
  txn::Outcome outcome;
  if (commit) outcome = co_await system.commit_prepared(gid, user);
  else outcome = co_await system.rollback_prepared(gid, user);
  if (!outcome.ok()) system.throw_outcome(outcome, parts.locker.get());
  co_return tag;
}

Task<std::string> run_two_phase(Session::Parts& parts, const sql::TransactionStatement& statement,
                                bool several) {
  const std::string gid{statement.name};
  if (statement.type == sql::TransactionType::kPrepare) co_return co_await prepare_transaction(parts, gid);
  co_return co_await decide_prepared(parts, gid, statement.type == sql::TransactionType::kCommitPrepared,
                                     several);
}

/// What came before in the same simple query belongs to the block, as in PostgreSQL.
void begin_block(Session::Parts& parts, const sql::TransactionModes& modes, std::int32_t location) {
  ensure_transaction(parts, false);
  const auto isolation = parts.isolation;
  apply_modes(parts, modes, location);
  if (parts.isolation != isolation) {
    const auto reads = [](const auto& p) { return p.second->run != nullptr; };
    if (parts.transaction->has_written() || std::ranges::any_of(parts.portals, reads))
      throw error(sqlstate::kActiveTransaction,
                  "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    parts.transaction->set_isolation(parts.isolation);
  }
  parts.in_block = true;
}

/// Of the present transaction, for AND CHAIN; of a failed one too, where PostgreSQL forgets what BEGIN had
/// set.
sql::TransactionModes present_modes(const Session::Parts& parts) {
  sql::TransactionModes modes;
  modes.has_isolation = true;
  modes.isolation = parts.isolation == txn::Isolation::kRepeatableRead ? sql::IsolationLevel::kRepeatableRead
                                                                       : sql::IsolationLevel::kReadCommitted;
  modes.read_only = parts.read_only ? sql::ModeFlag::kOn : sql::ModeFlag::kOff;
  return modes;
}

}  // namespace

Task<std::string> run_transaction_statement(Session::Parts& parts, const sql::TransactionStatement& statement,
                                            bool several) {
  using sql::TransactionType;
  const auto warn = [&](SqlState state, std::string text) {
    parts.notice(Severity::kWarning, Error{state, std::move(text)});
  };
  switch (statement.type) {
    case TransactionType::kBegin:
    case TransactionType::kStart: {
      const std::string tag = statement.type == TransactionType::kBegin ? "BEGIN" : "START TRANSACTION";
      if (parts.in_block) {
        warn(sqlstate::kActiveTransaction, "there is already a transaction in progress");
        co_return tag;
      }
      begin_block(parts, statement.modes, statement.location);
      co_return tag;
    }
    case TransactionType::kCommit: {
      if (!parts.in_block) {
        warn(sqlstate::kNoActiveTransaction, "there is no transaction in progress");
        if (parts.transaction != nullptr) co_await commit_transaction(parts);
        co_return "COMMIT";
      }
      const auto modes = present_modes(parts);
      const bool failed = parts.failed;
      if (failed) co_await abort_transaction(parts);
      else co_await commit_transaction(parts);
      if (statement.chain) begin_block(parts, modes, statement.location);
      co_return failed ? "ROLLBACK" : "COMMIT";
    }
    case TransactionType::kRollback: {
      if (!parts.in_block) {
        warn(sqlstate::kNoActiveTransaction, "there is no transaction in progress");
        co_await abort_transaction(parts);
        co_return "ROLLBACK";
      }
      const auto modes = present_modes(parts);
      co_await abort_transaction(parts);
      if (statement.chain) begin_block(parts, modes, statement.location);
      co_return "ROLLBACK";
    }
    case TransactionType::kSavepoint: {
      if (!parts.in_block)
        throw error(sqlstate::kNoActiveTransaction, "SAVEPOINT can only be used in transaction blocks");
      parts.savepoints.push_back({std::string{statement.name}, parts.transaction->savepoint(),
                                  parts.changes.position(), parts.session.settings().position()});
      co_return "SAVEPOINT";
    }
    case TransactionType::kRelease: {
      if (!parts.in_block)
        throw error(sqlstate::kNoActiveTransaction,
                    "RELEASE SAVEPOINT can only be used in transaction blocks");
      auto* entry = find_savepoint(parts, statement.name);
      if (entry == nullptr)
        throw error(sqlstate::kInvalidSavepoint, "savepoint \"{}\" does not exist", statement.name);
      const auto depth = static_cast<std::size_t>(entry - parts.savepoints.data());
      parts.savepoints.resize(depth);
      for (auto& [name, portal] : parts.portals)
        portal->savepoint_depth = std::min(portal->savepoint_depth, depth);
      co_return "RELEASE";
    }
    case TransactionType::kRollbackTo: {
      if (!parts.in_block)
        throw error(sqlstate::kNoActiveTransaction,
                    "ROLLBACK TO SAVEPOINT can only be used in transaction blocks");
      auto* entry = find_savepoint(parts, statement.name);
      if (entry == nullptr)
        throw error(sqlstate::kInvalidSavepoint, "savepoint \"{}\" does not exist", statement.name);
      co_await roll_back_to(parts, *entry);
      co_return "ROLLBACK";
    }
    case TransactionType::kPrepare:
    case TransactionType::kCommitPrepared:
    case TransactionType::kRollbackPrepared: co_return co_await run_two_phase(parts, statement, several);
  }
  RUSTBD_UNREACHABLE();
}

}  // namespace rustbd::engine
