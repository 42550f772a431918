// EXPLAIN and EXPLAIN ANALYZE.
#include "rustbd/plan/explain.h"
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/engine/utility/utility.h"

namespace rustbd::engine {

namespace {

bool option_on(const sql::Option& o) {
  if (o.value == nullptr) return true;
  std::string text;
  if (const auto* l = sql::try_as<sql::Literal>(o.value)) {
    if (l->type == sql::LiteralType::kBoolean) return l->boolean;
    text = l->type == sql::LiteralType::kInteger ? fmt::format("{}", l->integer) : std::string{l->text};
  } else if (const auto* t = sql::try_as<sql::TypeName>(o.value)) {
    text = t->name.back();
  }
  if (text == "on" || text == "true" || text == "1") return true;
  if (text == "off" || text == "false" || text == "0") return false;
  throw error(sqlstate::kSyntaxError, "{} requires a Boolean value", o.name).at(o.location);
}

plan::ExplainOptions parse_options(const sql::ExplainStatement& s) {
  plan::ExplainOptions out;
  bool summary_given = false, timing_given = false;
  for (const auto* o : s.options) {
    if (o->name == "analyze") out.analyze = option_on(*o);
    else if (o->name == "verbose") out.verbose = option_on(*o);
    else if (o->name == "costs") out.costs = option_on(*o);
    else if (o->name == "buffers") out.buffers = option_on(*o);
    else if (o->name == "wal") out.wal = option_on(*o);
    else if (o->name == "settings") out.settings = option_on(*o);
    else if (o->name == "timing") {
      out.timing = option_on(*o);
      timing_given = true;
    } else if (o->name == "summary") {
      out.summary = option_on(*o);
      summary_given = true;
    } else if (o->name == "format") {
      std::string text;
      if (const auto* l = sql::try_as<sql::Literal>(o->value)) text = l->text;
      else if (const auto* t = sql::try_as<sql::TypeName>(o->value)) text = t->name.back();
      if (text == "json") out.format = plan::ExplainFormat::kJson;
      else if (text == "xml" || text == "yaml")
        throw not_supported("EXPLAIN format {}", text).at(o->location);
      else if (text != "text")
        throw error(sqlstate::kInvalidParameterValue,
                    "unrecognized value for EXPLAIN option \"format\": \"{}\"", text)
            .at(o->location);
    } else {
      throw error(sqlstate::kSyntaxError, "unrecognized EXPLAIN option \"{}\"", o->name).at(o->location);
    }
  }
  if (timing_given && out.timing && !out.analyze)
    throw error(sqlstate::kInvalidParameterValue, "EXPLAIN option TIMING requires ANALYZE");
  if (!summary_given) out.summary = out.analyze;
  return out;
}

}  // namespace

Task<std::string> explain(UtilityContext& c, const sql::ExplainStatement& s) {
  const auto options = parse_options(s);
  const sql::Node* statement = s.statement;
  std::vector<types::Value> parameters(c.parameters.begin(), c.parameters.end());
  std::shared_ptr<PreparedStatement> prepared;
  if (const auto* e = sql::try_as<sql::ExecuteStatement>(statement)) {
    auto it = c.parts.prepared.find(std::string{e->name});
    if (it == c.parts.prepared.end())
      throw error(sqlstate::kInvalidSqlStatementName, "prepared statement \"{}\" does not exist", e->name);
    prepared = it->second;
    statement = prepared->statement;
  }
  if (statement == nullptr || !is_query(*statement))
    throw not_supported("EXPLAIN of this statement").at(s.location);
  auto& clock = *c.parts.database.environment().clock;
  const auto begin = clock.monotonic_us();
  std::vector<types::TypeRef> parameter_types;
  for (const auto& p : parameters) parameter_types.push_back(p.type);
  if (prepared) parameter_types = prepared->parameters;
  Portal portal;
  portal.parameters = std::move(parameters);
  const auto make = [&] {
    return make_plan(c.parts, *statement, parameter_types.empty() ? nullptr : &parameter_types, {});
  };
  portal.plan = make();
  const double planning_ms = static_cast<double>(clock.monotonic_us() - begin) * 1e-3;
  double execution_ms = 0;
  std::vector<plan::NodeActuals> actuals;
  if (options.analyze) {
    if (c.parts.read_only && !portal.plan->read_only)
      throw error(sqlstate::kReadOnlyTransaction,
                  "cannot execute EXPLAIN ANALYZE of this statement in a read-only transaction");
    while (co_await lock_relations(c.parts, *portal.plan)) portal.plan = make();
    check_privileges(c.parts, portal.plan->privileges);
    begin_statement(c.parts);
    const auto started = clock.monotonic_us();
    portal.access = std::make_unique<StatementAccess>(c.parts);
    exec::QueryContext context;
    context.access = portal.access.get();
    context.statement = bind_input(c.parts, *c.parts.catalog(), {}).statement;
    context.cancel = c.parts.session.cancel_flag();
    context.parameters = portal.parameters;
    context.memory_limit = c.parts.database.options().query_memory_bytes;
    context.collect_statistics = true;
    portal.run = exec::QueryRun::start(portal.plan, context);
    types::Chunk chunk;
    for (;;) {
      const auto flow = portal.run->next(&chunk, 0);
      if (flow.state == exec::State::kBlocked) co_await wait(c.parts, flow.token);
      if (flow.state == exec::State::kFinished) break;
    }
    execution_ms = static_cast<double>(clock.monotonic_us() - started) * 1e-3;
    for (const auto& n : portal.run->statistics()) {
      plan::NodeActuals a;
      a.rows = n.rows;
      a.loops = n.loops;
      a.filtered = n.filtered;
      a.first_ms = static_cast<double>(n.first_ns) * 1e-6;
      a.total_ms = static_cast<double>(n.total_ns) * 1e-6;
      a.memory_bytes = n.memory_bytes;
      actuals.push_back(a);
    }
    portal.run.reset();
    portal.access.reset();
  }
  std::vector<std::vector<std::optional<std::string>>> rows;
  for (auto& line : plan::explain(*portal.plan, options, actuals, planning_ms, execution_ms))
    rows.push_back({std::move(line)});
  const std::string names[] = {"QUERY PLAN"};
  co_await send_text_rows(c, names, std::move(rows));
  co_return "EXPLAIN";
}

}  // namespace rustbd::engine
