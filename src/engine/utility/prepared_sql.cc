// PREPARE, EXECUTE, DEALLOCATE, cursors and LOCK TABLE.
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/utility/null_sink.h"
#include "rustbd/engine/utility/utility.h"
#include "rustbd/expression/evaluator.h"

namespace rustbd::engine {

Task<std::string> prepare_sql(UtilityContext& c, const sql::PrepareStatement& s) {
  const std::string name{s.name};
  if (c.parts.prepared.contains(name))
    throw error(sqlstate::kDuplicatePreparedStatement, "prepared statement \"{}\" already exists", name);
  if (!is_query(*s.statement)) throw not_supported("PREPARE of this statement").at(s.location);
  auto prepared = std::make_shared<PreparedStatement>();
  prepared->name = name;
  prepared->text = std::string{c.text};
  prepared->arena = std::make_shared<Arena>();
  // The tree of this text is the caller's: parse it again into memory that the prepared statement keeps.
  const auto again = sql::parse(prepared->text, *prepared->arena);
  RUSTBD_ASSERT(again.size() == 1);
  const auto& own = sql::as<sql::PrepareStatement>(again[0].statement);
  prepared->statement = own.statement;
  prepared->is_query = true;
  prepared->from_sql = true;
  prepared->prepare_time_us = c.parts.statement_start_us;
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  const auto input = bind_input(c.parts, *catalog, path);
  for (const auto* t : s.types) prepared->parameters.push_back(binder::bind_type(*t, input));
  prepared->plan = make_prepared_plan(c.parts, *prepared);
  prepared->parameters = prepared->plan->parameters;
  prepared->columns = prepared->plan->columns;
  prepared->catalog_version = catalog->version;
  prepared->settings_generation = c.parts.session.settings().generation();
  c.parts.prepared[name] = std::move(prepared);
  co_return "PREPARE";
}

Task<std::string> execute_sql(UtilityContext& c, const sql::ExecuteStatement& s) {
  auto it = c.parts.prepared.find(std::string{s.name});
  if (it == c.parts.prepared.end())
    throw error(sqlstate::kInvalidSqlStatementName, "prepared statement \"{}\" does not exist", s.name);
  auto prepared = it->second;
  // As PostgreSQL: where none are expected, those given are not looked at.
  if (s.arguments.size() != prepared->parameters.size() && !prepared->parameters.empty())
    throw error(sqlstate::kSyntaxError, "wrong number of parameters for prepared statement \"{}\"", s.name)
        .with_detail(fmt::format("Expected {} parameters but got {}.", prepared->parameters.size(),
                                 s.arguments.size()));
  Portal portal;
  const auto catalog = c.parts.catalog();
  const auto path = c.parts.search_path(*catalog);
  auto input = bind_input(c.parts, *catalog, path);
  input.arena = std::make_shared<Arena>();
  expression::RunContext run;
  run.statement = input.statement;
  run.parameters = c.parameters;
  for (std::size_t i = 0; i < prepared->parameters.size(); ++i) {
    const auto bound = binder::bind_constant_expression(*s.arguments[i], input, prepared->parameters[i]);
    portal.parameters.push_back(expression::evaluate_constant(*bound, run, portal.arena));
  }
  refresh_plan(c.parts, *prepared);
  portal.plan = prepared->plan->plan;
  portal.prepared = prepared->plan;
  if (c.parts.read_only && !portal.plan->read_only)
    throw error(sqlstate::kReadOnlyTransaction, "cannot execute this statement in a read-only transaction");
  while (co_await lock_relations(c.parts, *portal.plan)) {
    portal.plan = make_plan(c.parts, *prepared->statement, &prepared->parameters, {});
    portal.prepared = nullptr;
  }
  check_privileges(c.parts, portal.plan->privileges);
  begin_statement(c.parts);
  start_run(c.parts, portal);
  const auto columns = result_columns(*portal.plan);
  if (portal.plan->tag == plan::StatementTag::kSelect || !columns.empty()) c.sink.columns(columns);
  co_await drive(c.parts, portal, 0, c.sink, columns);
  co_return portal.tag;
}

Task<std::string> deallocate(UtilityContext& c, const sql::DeallocateStatement& s) {
  if (s.name.empty()) {
    c.parts.prepared.clear();
    co_return "DEALLOCATE ALL";
  }
  if (c.parts.prepared.erase(std::string{s.name}) == 0)
    throw error(sqlstate::kInvalidSqlStatementName, "prepared statement \"{}\" does not exist", s.name);
  co_return "DEALLOCATE";
}

Task<std::string> declare_cursor(UtilityContext& c, const sql::DeclareCursorStatement& s) {
  if (!c.parts.in_block && !s.hold && c.top_level)
    throw error(sqlstate::kNoActiveTransaction, "DECLARE CURSOR can only be used in transaction blocks");
  if (s.hold) throw not_supported("WITH HOLD").at(s.location);
  const std::string name{s.name};
  if (c.parts.portals.contains(name))
    throw error(sqlstate::kDuplicateCursor, "cursor \"{}\" already exists", name);
  auto portal = std::make_unique<Portal>();
  portal->name = name;
  portal->is_cursor = true;
  portal->scroll = s.scroll == sql::ModeFlag::kOn;
  portal->parameters.assign(c.parameters.begin(), c.parameters.end());
  portal->savepoint_depth = c.parts.savepoints.size();
  portal->plan = make_plan(c.parts, *s.query, nullptr, {});
  while (co_await lock_relations(c.parts, *portal->plan))
    portal->plan = make_plan(c.parts, *s.query, nullptr, {});
  check_privileges(c.parts, portal->plan->privileges);
  // The protocol may describe and execute the cursor as a portal.
  portal->statement = std::make_shared<PreparedStatement>();
  portal->statement->text = std::string{c.text};
  portal->statement->arena = std::make_shared<Arena>();
  const auto again = sql::parse(portal->statement->text, *portal->statement->arena);
  RUSTBD_ASSERT(again.size() == 1);
  portal->statement->statement = sql::as<sql::DeclareCursorStatement>(again[0].statement).query;
  portal->statement->is_query = true;
  portal->statement->columns = result_columns(*portal->plan);
  begin_statement(c.parts);
  start_run(c.parts, *portal);
  keep_run(c.parts, *portal);
  c.parts.portals[name] = std::move(portal);
  co_return "DECLARE CURSOR";
}

Task<std::string> fetch_cursor(UtilityContext& c, const sql::FetchStatement& s) {
  auto it = c.parts.portals.find(std::string{s.cursor});
  if (it == c.parts.portals.end())
    throw error(sqlstate::kInvalidCursorName, "cursor \"{}\" does not exist", s.cursor);
  auto& portal = *it->second;
  const bool forward =
      (s.direction == sql::FetchDirection::kForward || s.direction == sql::FetchDirection::kRelative) &&
      s.count > 0;
  if (!forward && !s.all) {
    if (s.direction == sql::FetchDirection::kForward && s.count == 0)
      throw not_supported("FETCH of the current row").at(s.location);
    throw error(sqlstate::kObjectNotInPrerequisiteState, "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.");
  }
  portal.require_sound();
  if (portal.run == nullptr && !portal.done) throw not_supported("FETCH from a portal that was not executed");
  const auto columns = result_columns(*portal.plan);
  if (!s.is_move) c.sink.columns(columns);
  const auto before = portal.rows;
  if (!portal.done) {
    NullSink nobody{c.sink};
    auto& sink = s.is_move ? static_cast<ResultSink&>(nobody) : c.sink;
    portal.running = true;
    co_await drive(c.parts, portal, s.all ? 0 : static_cast<std::uint64_t>(s.count), sink, columns);
    portal.running = false;
  }
  co_return fmt::format("{} {}", s.is_move ? "MOVE" : "FETCH", portal.rows - before);
}

Task<std::string> close_cursor(UtilityContext& c, const sql::CloseStatement& s) {
  if (s.name.empty()) {
    std::erase_if(c.parts.portals, [](const auto& p) { return p.second->is_cursor; });
    co_return "CLOSE CURSOR ALL";
  }
  if (c.parts.portals.erase(std::string{s.name}) == 0)
    throw error(sqlstate::kInvalidCursorName, "cursor \"{}\" does not exist", s.name);
  co_return "CLOSE CURSOR";
}

Task<std::string> lock_table(UtilityContext& c, const sql::LockStatement& s) {
  if (!c.parts.in_block && c.top_level)
    throw error(sqlstate::kNoActiveTransaction, "LOCK TABLE can only be used in transaction blocks");
  for (const auto* r : s.relations) {
    const auto find = [&] {
      auto relation = named_relation(c, *r);
      if (relation->kind != catalog::RelationKind::kTable && relation->kind != catalog::RelationKind::kView)
        throw error(sqlstate::kWrongObjectType, "cannot lock relation \"{}\"", relation->name);
      return relation;
    };
    const auto mode = static_cast<txn::TableLockMode>(static_cast<int>(s.mode) + 1);
    co_await find_and_lock(c, catalog::oid::kPgClass, mode, find, s.no_wait);
  }
  co_return "LOCK TABLE";
}

std::vector<ResultColumn> utility_columns(Session::Parts& parts, const sql::Node& statement) {
  const auto text = [](std::string name) {
    return ResultColumn{std::move(name), types::make_type(types::oid::kText)};
  };
  switch (statement.kind) {
    case sql::NodeKind::kShowStatement: {
      const auto& s = sql::as<sql::ShowStatement>(&statement);
      if (s.name == "all") return {text("name"), text("setting"), text("description")};
      const auto* d = find_setting(s.name);
      return {text(d != nullptr ? std::string{d->name} : std::string{s.name})};
    }
    case sql::NodeKind::kExplainStatement: return {text("QUERY PLAN")};
    case sql::NodeKind::kExecuteStatement: {
      auto it = parts.prepared.find(std::string{sql::as<sql::ExecuteStatement>(&statement).name});
      return it == parts.prepared.end() ? std::vector<ResultColumn>{} : it->second->columns;
    }
    case sql::NodeKind::kFetchStatement: {
      auto it = parts.portals.find(std::string{sql::as<sql::FetchStatement>(&statement).cursor});
      return it == parts.portals.end() || it->second->plan == nullptr ? std::vector<ResultColumn>{}
                                                                      : result_columns(*it->second->plan);
    }
    default: return {};
  }
}

}  // namespace rustbd::engine
