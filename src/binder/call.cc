// Operators, function calls, aggregates and window functions.
#include "rustbd/base/statement_assert.h"
#include "rustbd/binder/binder_impl.h"
#include "rustbd/sql/deparse.h"

namespace rustbd::binder {

namespace {
using functions::AggregateDeclaration;
using functions::FunctionDeclaration;
using functions::Registry;

constexpr std::size_t kArgumentsMax = 100;

struct WindowOnly {
  std::string_view name;
  Oid result;
};  // result 0: that of the first argument
constexpr WindowOnly kWindowOnly[] = {{"row_number", oid::kInt8},
                                      {"rank", oid::kInt8},
                                      {"dense_rank", oid::kInt8},
                                      {"percent_rank", oid::kFloat8},
                                      {"cume_dist", oid::kFloat8},
                                      {"ntile", oid::kInt4},
                                      {"lag", 0},
                                      {"lead", 0},
                                      {"first_value", 0},
                                      {"last_value", 0},
                                      {"nth_value", 0}};
const WindowOnly* window_only(std::string_view name) {
  for (const auto& w : kWindowOnly)
    if (w.name == name) return &w;
  return nullptr;
}
}  // namespace

ExpressionPtr Binder::call_function(const FunctionDeclaration& declaration, std::vector<ExpressionPtr> args,
                                    std::span<const Oid> argument_types, std::int32_t location) {
  std::vector<TypeRef> actual;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const TypeRef wanted = argument_types[i] == oid::kAny || is_polymorphic(argument_types[i])
                               ? args[i]->type
                               : types::make_type(argument_types[i]);
    const TypeRef from = args[i]->type;
    const auto at = args[i]->location;
    auto cast = try_coerce(std::move(args[i]), wanted, CastContext::kImplicit);
    if (cast == nullptr)
      throw error(sqlstate::kCannotCoerce, "cannot cast type {} to {}", type_name(from), type_name(wanted))
          .at(at);
    if (cast->type.oid == oid::kUnknown) cast = resolve_unknown(std::move(cast));
    args[i] = std::move(cast);
    actual.push_back(args[i]->type);
  }
  auto resolved = functions::resolve_kernels(declaration, actual);
  for (std::size_t i = 0; i < args.size() && i < resolved.arguments.size(); ++i)
    args[i] = to_physical(std::move(args[i]), resolved.arguments[i]);
  return expression::make_call(std::move(resolved), std::move(args), location);
}

ExpressionPtr Binder::apply_operator(std::string_view op, ExpressionPtr left, ExpressionPtr right,
                                     std::int32_t location) {
  const bool prefix = left == nullptr;
  std::vector<Oid> actual;
  if (!prefix) actual.push_back(left->type.oid);
  actual.push_back(right->type.oid);
  std::vector<Candidate> candidates;
  for (const auto* o : Registry::instance().operators(op)) {
    if ((o->left == 0) != prefix) continue;
    Candidate c;
    if (!prefix) c.arguments.push_back(o->left);
    c.arguments.push_back(o->right);
    c.declaration = o;
    candidates.push_back(std::move(c));
  }
  // Enums compare by their own operators.
  const TypeRules rules{[this](Oid from, Oid to) {
                          if (from == to) return true;
                          const auto* cast = Registry::instance().cast(from, to);
                          return cast != nullptr && cast->context == CastContext::kImplicit;
                        },
                        [this](Oid t) { return category(t); },
                        [](Oid t) {
                          const auto* info = types::find_type(t);
                          return info != nullptr && info->preferred;
                        }};
  Candidate chosen;
  const auto choice = choose(actual, candidates, rules, &chosen);
  if (choice != Choice::kFound) {
    const std::string text = prefix
                                 ? fmt::format("{} {}", op, type_name(right->type))
                                 : fmt::format("{} {} {}", type_name(left->type), op, type_name(right->type));
    if (choice == Choice::kAmbiguous)
      throw error(sqlstate::kAmbiguousFunction, "operator is not unique: {}", text)
          .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
          .at(location);
    throw error(sqlstate::kUndefinedFunction, "operator does not exist: {}", text)
        .with_hint(prefix ? "No operator matches the given name and argument type. You might need to add an "
                            "explicit type cast."
                          : "No operator matches the given name and argument types. You might need to add "
                            "explicit type casts.")
        .at(location);
  }
  const auto& declaration = *static_cast<const functions::OperatorDeclaration*>(chosen.declaration);
  const auto* function = Registry::instance().function(declaration.function);
  if (function == nullptr) throw not_supported("operator {}", op).at(location);
  const auto common = [this](std::span<const Oid> all) -> Oid {
    std::vector<TypeRef> refs;
    for (Oid t : all) refs.push_back(types::make_type(t));
    try {
      return common_type(refs, "", -1).oid;
    } catch (const Error&) {
      return 0;
    }
  };
  if (!resolve_polymorphic(actual, chosen.arguments, common)) {
    throw error(sqlstate::kUndefinedFunction, "operator does not exist: {} {} {}",
                prefix ? std::string{} : type_name(left->type), op, type_name(right->type))
        .with_hint(
            "No operator matches the given name and argument types. You might need to add explicit type "
            "casts.")
        .at(location);
  }
  std::vector<ExpressionPtr> args;
  if (!prefix) args.push_back(std::move(left));
  args.push_back(std::move(right));
  return call_function(*function, std::move(args), chosen.arguments, location);
}

functions::ResolvedFunction Binder::equality_for(const TypeRef& type, std::int32_t location) {
  auto a = std::make_unique<Expression>(), b = std::make_unique<Expression>();
  a->kind = b->kind = Kind::kColumn;
  a->type = b->type = type;
  auto call = apply_operator("=", std::move(a), std::move(b), location);
  return call->function;
}

ExpressionPtr Binder::call_builtin(std::string_view name, std::vector<ExpressionPtr> args,
                                   std::int32_t location) {
  for (const auto* f : Registry::instance().functions(name)) {
    if (f->arguments.size() != args.size()) continue;
    return call_function(*f, std::move(args), f->arguments, location);
  }
  throw not_supported("function {}", name).at(location);
}

TypeRef Binder::set_returning_columns(const Expression& call,
                                      std::vector<std::pair<std::string, TypeRef>>& columns) {
  const auto& names = call.function.declaration->argument_names;
  bool out = false;
  for (auto n : names) {
    if (n == ">") {
      out = true;
      continue;
    }
    if (out)
      columns.emplace_back(std::string{n}, columns.empty() || call.type.oid != oid::kRecord
                                               ? call.type
                                               : types::make_type(oid::kText));
  }
  if (call.type.oid == oid::kRecord)
    for (auto& c : columns) c.second = types::make_type(oid::kText);
  if (columns.empty()) columns.emplace_back(std::string{call.function.declaration->name}, call.type);
  return call.type;
}

namespace {

/// The place of each argument of a call whose last ones are named; empty if the function cannot be called so.
std::vector<std::size_t> argument_places(const FunctionDeclaration& f, std::size_t count,
                                         std::span<const std::string_view> names) {
  const std::size_t positional = count - names.size();
  if (count > f.arguments.size() || f.arguments.size() - count > f.default_count) return {};
  std::vector<std::size_t> places(count);
  std::vector<bool> taken(f.arguments.size(), false);
  for (std::size_t i = 0; i < count; ++i) {
    places[i] = i;
    if (i >= positional)
      places[i] = static_cast<std::size_t>(
          std::find(f.argument_names.begin(), f.argument_names.end(), names[i - positional]) -
          f.argument_names.begin());
    if (places[i] >= taken.size() || taken[places[i]]) return {};
    taken[places[i]] = true;
  }
  for (std::size_t i = 0; i < taken.size(); ++i)
    if (!taken[i] && i < f.arguments.size() - f.default_count) return {};
  return places;
}

/// The built-in functions with defaults (make_interval, parse_ident, pg_terminate_backend) have these.
ExpressionPtr default_argument(Oid type, std::int32_t location) {
  types::Datum value;
  if (type == oid::kBool) value = types::Datum::of(true);
  else if (type == oid::kInt4) value = types::Datum::of(std::int32_t{0});
  else if (type == oid::kInt8) value = types::Datum::of(std::int64_t{0});
  else if (type == oid::kFloat8) value = types::Datum::of(0.0);
  else RUSTBD_STATEMENT_UNREACHABLE("a default of another type");
  return expression::make_constant({types::make_type(type), false, value}, location);
}

/// The functions and aggregates of the call's name that take as many arguments.
std::vector<Candidate> candidates_of(const sql::FunctionCall& call, std::span<const ExpressionPtr> args,
                                     std::span<const std::string_view> names) {
  const std::string_view name = call.name.back();
  std::vector<Candidate> candidates;
  for (const auto* f : Registry::instance().functions(name)) {
    Candidate c;
    c.declaration = f;
    std::vector<Oid> declared(f->arguments.begin(), f->arguments.end());
    const bool variadic = f->is(functions::kVariadic) && !call.variadic;
    if (!names.empty()) {
      const auto places = argument_places(*f, args.size(), names);
      if (places.empty()) continue;
      for (const auto place : places) c.arguments.push_back(f->arguments[place]);
      c.defaults_used = static_cast<std::uint32_t>(declared.size() - args.size());
      candidates.push_back(std::move(c));
      continue;
    }
    if (variadic && args.size() >= declared.size()) {
      const Oid element = f->variadic_element == 0 ? oid::kAny : f->variadic_element;
      declared.resize(declared.size() - 1);
      declared.resize(args.size(), element);
      c.variadic_expanded = true;
    } else if (declared.size() > args.size() && declared.size() - args.size() <= f->default_count &&
               !variadic) {
      c.defaults_used = static_cast<std::uint32_t>(declared.size() - args.size());
      declared.resize(args.size());
    } else if (declared.size() != args.size()) {
      continue;
    }
    c.arguments = std::move(declared);
    candidates.push_back(std::move(c));
  }
  const bool star = call.star;
  for (const auto* a : Registry::instance().aggregates(name)) {
    if (star != a->arguments.empty()) continue;
    if (a->arguments.size() != args.size()) continue;
    Candidate c;
    c.arguments.assign(a->arguments.begin(), a->arguments.end());
    c.declaration = a;
    c.is_aggregate = true;
    candidates.push_back(std::move(c));
  }
  return candidates;
}

/// What only an aggregate may have is refused of a plain function.
void refuse_aggregate_clauses(const sql::FunctionCall& call) {
  const std::string_view name = call.name.back();
  if (call.distinct)
    throw error(sqlstate::kWrongObjectType, "DISTINCT specified, but {} is not an aggregate function", name)
        .at(call.location);
  if (!call.order_by.empty())
    throw error(sqlstate::kWrongObjectType, "ORDER BY specified, but {} is not an aggregate function", name)
        .at(call.location);
  if (call.filter != nullptr)
    throw error(sqlstate::kWrongObjectType, "FILTER specified, but {} is not an aggregate function", name)
        .at(call.location);
  if (call.over != nullptr)
    throw error(sqlstate::kWrongObjectType,
                "OVER specified, but {} is not a window function nor an aggregate function", name)
        .at(call.location);
}

}  // namespace

void Binder::throw_no_function(const sql::FunctionCall& call, std::span<const ExpressionPtr> args,
                               bool ambiguous) const {
  const std::string_view name = call.name.back();
  const bool is_function = !Registry::instance().functions(name).empty();
  const bool is_aggregate = !Registry::instance().aggregates(name).empty();
  std::string types_text = call.star ? "*" : "";
  for (const auto& a : args) types_text += (types_text.empty() ? "" : ", ") + type_name(a->type);
  if (ambiguous)
    throw error(sqlstate::kAmbiguousFunction, "function {}({}) is not unique", name, types_text)
        .with_hint("Could not choose a best candidate function. You might need to add explicit type casts.")
        .at(call.location);
  if (args.empty() && !call.star && is_aggregate && !is_function && name == "count")
    throw error(sqlstate::kWrongObjectType, "{}(*) must be used to call a parameterless aggregate function",
                name)
        .at(call.location);
  if (call.star && !is_aggregate && is_function)
    throw error(sqlstate::kWrongObjectType, "{}(*) specified, but {} is not an aggregate function", name,
                name)
        .at(call.location);
  throw error(sqlstate::kUndefinedFunction, "function {}({}) does not exist", fmt::join(call.name, "."),
              types_text)
      .with_hint(
          "No function matches the given name and argument types. You might need to add explicit type "
          "casts.")
      .at(call.location);
}

std::vector<ExpressionPtr> Binder::bind_arguments(const sql::FunctionCall& call, QueryLevel& level,
                                                  std::vector<std::string_view>* names) {
  const std::string_view name = call.name.back();
  const bool has_aggregates = !Registry::instance().aggregates(name).empty();
  const bool as_aggregate = has_aggregates && Registry::instance().functions(name).empty();
  // Aggregates bind their arguments in a place where no aggregate may stand.
  const bool was_in_aggregate = level.in_aggregate;
  const bool plain_aggregate = as_aggregate && call.over == nullptr;
  if (plain_aggregate) level.in_aggregate = true;
  const bool was_srf = level.allow_srf;
  if (has_aggregates) level.allow_srf = false;
  std::vector<ExpressionPtr> args;
  for (const auto* a : call.arguments) {
    if (const auto* named = sql::try_as<sql::NamedArgument>(a)) {
      names->push_back(named->name);
      args.push_back(bind_expression(named->value, level));
    } else {
      if (!names->empty())
        throw error(sqlstate::kSyntaxError, "positional argument cannot follow named argument")
            .at(a->location);
      args.push_back(bind_expression(a, level));
    }
  }
  if (call.within_group)
    for (const auto* k : call.order_by) args.push_back(bind_expression(k->value, level));
  if (plain_aggregate) level.in_aggregate = was_in_aggregate;
  level.allow_srf = was_srf;
  return args;
}

ExpressionPtr Binder::window_only_call(const sql::FunctionCall& call, Oid result,
                                       std::vector<ExpressionPtr> args, QueryLevel& level) {
  const std::string_view name = call.name.back();
  auto out = std::make_unique<Expression>();
  out->kind = Kind::kWindow;
  out->location = call.location;
  out->window_function = name;
  std::size_t least = 0, most = 0;
  if (name == "ntile" || name == "first_value" || name == "last_value") least = most = 1;
  else if (name == "nth_value") least = most = 2;
  else if (name == "lag" || name == "lead") {
    least = 1;
    most = 3;
  }
  if (args.size() < least || args.size() > most) throw_no_function(call, args, false);
  if (name == "ntile") {
    args[0] = try_coerce(std::move(args[0]), types::make_type(oid::kInt4), CastContext::kImplicit);
    if (args[0] == nullptr) throw_no_function(call, args, false);
  } else if (!args.empty()) {
    args[0] = resolve_unknown(std::move(args[0]));
    if (args.size() > 1) {
      args[1] = try_coerce(std::move(args[1]), types::make_type(oid::kInt4), CastContext::kImplicit);
      if (args[1] == nullptr) throw_no_function(call, args, false);
    }
    if (args.size() > 2) unify({&args[0], &args[2]}, name);
  }
  out->type = result != 0 ? types::make_type(result) : args[0]->type;
  out->args = std::move(args);
  return window_call(call, std::move(out), level);
}

ExpressionPtr Binder::function_call(const sql::FunctionCall& call, QueryLevel& level) {
  const std::string_view name = call.name.back();
  if (call.name.size() > 1 && call.name[call.name.size() - 2] != "pg_catalog") {
    if (input_.catalog->schema(call.name[call.name.size() - 2]) == nullptr)
      throw error(sqlstate::kInvalidSchemaName, "schema \"{}\" does not exist",
                  call.name[call.name.size() - 2])
          .at(call.location);
    throw error(sqlstate::kUndefinedFunction, "function {}() does not exist", fmt::join(call.name, "."))
        .at(call.location);
  }
  if (call.arguments.size() > kArgumentsMax)
    throw error(sqlstate::kTooManyArguments, "cannot pass more than {} arguments to a function",
                kArgumentsMax)
        .at(call.location);
  std::vector<std::string_view> names;
  auto args = bind_arguments(call, level, &names);
  if (const auto* w = window_only(name)) {
    if (call.over == nullptr)
      throw error(sqlstate::kWrongObjectType, "window function {} requires an OVER clause", name)
          .at(call.location);
    return window_only_call(call, w->result, std::move(args), level);
  }
  std::vector<Oid> actual;
  for (const auto& a : args) actual.push_back(a->type.oid);
  auto candidates = candidates_of(call, args, names);
  const TypeRules rules{[](Oid from, Oid to) {
                          const auto* cast = Registry::instance().cast(from, to);
                          return cast != nullptr && cast->context == CastContext::kImplicit;
                        },
                        [this](Oid t) { return category(t); },
                        [](Oid t) {
                          const auto* info = types::find_type(t);
                          return info != nullptr && info->preferred;
                        }};
  Candidate chosen;
  Choice choice = Choice::kNone;
  if (!candidates.empty()) choice = choose(actual, candidates, rules, &chosen);
  const auto common = [this](std::span<const Oid> all) -> Oid {
    std::vector<TypeRef> refs;
    for (Oid t : all) refs.push_back(types::make_type(t));
    try {
      return common_type(refs, "", -1).oid;
    } catch (const Error&) {
      return 0;
    }
  };
  if (choice == Choice::kFound && !resolve_polymorphic(actual, chosen.arguments, common))
    choice = Choice::kNone;
  if (choice == Choice::kNone && args.size() == 1 && !call.star && call.over == nullptr) {
    // int4('5'), text(x): a type's name used as a function is a cast where a plain one would do.
    if (const auto* info = types::find_type(name)) {
      const TypeRef target = types::make_type(info->oid);
      const bool from_unknown = args[0]->type.oid == oid::kUnknown;
      if (from_unknown || Registry::instance().cast(args[0]->type.oid, info->oid) != nullptr ||
          info->category == 'S')
        return coerce(std::move(args[0]), target, CastContext::kExplicit, call.location);
    }
  }
  if (choice != Choice::kFound) throw_no_function(call, args, choice == Choice::kAmbiguous);
  if (chosen.is_aggregate) return chosen_aggregate(chosen, call, std::move(args), level);
  refuse_aggregate_clauses(call);
  const auto& declaration = *static_cast<const FunctionDeclaration*>(chosen.declaration);
  auto out = chosen_function(chosen, call, std::move(args), names);
  return declaration.is(functions::kSetReturning) ? set_returning_call(std::move(out), level, call.location)
                                                  : std::move(out);
}

ExpressionPtr Binder::chosen_aggregate(const Candidate& chosen, const sql::FunctionCall& call,
                                       std::vector<ExpressionPtr> args, QueryLevel& level) {
  const std::string_view name = call.name.back();
  const auto& declaration = *static_cast<const AggregateDeclaration*>(chosen.declaration);
  for (std::size_t i = 0; i < args.size(); ++i) {
    const Oid wanted = chosen.arguments[i];
    if (wanted != oid::kAny && wanted != args[i]->type.oid) {
      auto cast = try_coerce(std::move(args[i]), types::make_type(wanted), CastContext::kImplicit);
      RUSTBD_STATEMENT_ASSERT(cast != nullptr, "a chosen candidate fits");
      args[i] = std::move(cast);
    }
    args[i] = resolve_unknown(std::move(args[i]));
  }
  if (declaration.kind != 'n' && !call.within_group)
    throw error(sqlstate::kWrongObjectType, "WITHIN GROUP is required for ordered-set aggregate {}", name)
        .at(call.location);
  if (declaration.kind == 'n' && call.within_group)
    throw error(sqlstate::kWrongObjectType,
                "{} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", name)
        .at(call.location);
  return aggregate_call(declaration, call, std::move(args), level);
}

ExpressionPtr Binder::chosen_function(Candidate& chosen, const sql::FunctionCall& call,
                                      std::vector<ExpressionPtr> args,
                                      std::span<const std::string_view> names) {
  const auto& declaration = *static_cast<const FunctionDeclaration*>(chosen.declaration);
  if (!names.empty()) {
    // Named arguments: put them in their places.
    std::vector<ExpressionPtr> ordered(declaration.arguments.size());
    const auto places = argument_places(declaration, args.size(), names);
    for (std::size_t i = 0; i < places.size(); ++i) ordered[places[i]] = std::move(args[i]);
    args = std::move(ordered);
  }
  if (chosen.defaults_used != 0) {
    args.resize(declaration.arguments.size());
    chosen.arguments.assign(declaration.arguments.begin(), declaration.arguments.end());
    for (std::size_t i = 0; i < args.size(); ++i)
      if (args[i] == nullptr) args[i] = default_argument(declaration.arguments[i], call.location);
  }
  if (chosen.variadic_expanded && declaration.variadic_element != 0 &&
      declaration.variadic_element != oid::kAny) {
    // The trailing arguments become one array.
    const std::size_t fixed = declaration.arguments.size() - 1;
    auto array = std::make_unique<Expression>();
    array->kind = Kind::kArray;
    array->location = call.location;
    Oid element = declaration.variadic_element;
    if (is_polymorphic(element)) element = chosen.arguments.back();
    for (std::size_t i = fixed; i < args.size(); ++i) {
      auto cast = try_coerce(std::move(args[i]), types::make_type(element), CastContext::kImplicit);
      RUSTBD_STATEMENT_ASSERT(cast != nullptr, "a chosen candidate fits");
      array->args.push_back(to_physical(std::move(cast), types::make_type(element)));
    }
    array->type = types::make_type(types::array_type_of(element));
    args.resize(fixed);
    std::vector<Oid> wanted(chosen.arguments.begin(),
                            chosen.arguments.begin() + static_cast<std::ptrdiff_t>(fixed));
    wanted.push_back(array->type.oid);
    args.push_back(std::move(array));
    return call_function(declaration, std::move(args), wanted, call.location);
  }
  return call_function(declaration, std::move(args), chosen.arguments, call.location);
}

ExpressionPtr Binder::set_returning_call(ExpressionPtr out, QueryLevel& level, std::int32_t location) {
  if (!level.allow_srf) {
    if (level.in_aggregate)
      throw error(sqlstate::kFeatureNotSupported,
                  "aggregate function calls cannot contain set-returning function calls")
          .at(location);
    throw error(sqlstate::kFeatureNotSupported, "set-returning functions are not allowed in {}", level.clause)
        .at(location);
  }
  // Set-returning calls become columns of a node below the projection.
  std::vector<std::pair<std::string, TypeRef>> columns;
  set_returning_columns(*out, columns);
  if (out->type.oid == oid::kRecord && columns.size() > 1 && level.clause == std::string_view{"SELECT"})
    throw not_supported("a function returning several columns in the select list").at(location);
  QueryLevel::SrfCall srf;
  for (const auto& [column, type] : columns) srf.columns.push_back(add_column(column, type));
  srf.call = std::move(out);
  auto ref = expression::make_column(srf.columns.front(), columns.front().second, location);
  level.srfs.push_back(std::move(srf));
  return ref;
}

ExpressionPtr Binder::aggregate_call(const AggregateDeclaration& declaration, const sql::FunctionCall& call,
                                     std::vector<ExpressionPtr> args, QueryLevel& level) {
  const bool is_window = call.over != nullptr;
  if (!is_window) {
    if (level.in_aggregate)
      throw error(sqlstate::kGroupingError, "aggregate function calls cannot be nested").at(call.location);
    for (const QueryLevel* at = &level; at != nullptr; at = at->parent)
      for (const auto& cte : at->ctes)
        if (cte->is_work_table && cte->work_level == &level)
          throw error(sqlstate::kInvalidRecursion,
                      "aggregate functions are not allowed in a recursive query's recursive term")
              .at(call.location);
    if (!level.allow_aggregates)
      throw error(sqlstate::kGroupingError, "aggregate functions are not allowed in {}", level.clause)
          .at(call.location);
  }
  auto out = std::make_unique<Expression>();
  out->kind = is_window ? Kind::kWindow : Kind::kAggregate;
  out->location = call.location;
  out->distinct = call.distinct;
  out->star = call.star;
  std::vector<TypeRef> actual;
  for (const auto& a : args) actual.push_back(a->type);
  out->aggregate = functions::resolve_kernels(declaration, actual);
  for (std::size_t i = 0; i < args.size() && i < out->aggregate.arguments.size(); ++i)
    args[i] = to_physical(std::move(args[i]), out->aggregate.arguments[i]);
  out->args = std::move(args);
  out->type = out->aggregate.result;
  const bool was = level.in_aggregate;
  level.in_aggregate = !is_window || was;
  if (call.filter != nullptr) out->filter = coerce_to_boolean(bind_expression(call.filter, level), "FILTER");
  if (call.within_group) {
    // The sorted columns are the last arguments already.
    const std::size_t first = out->args.size() - call.order_by.size();
    for (std::size_t i = 0; i < call.order_by.size(); ++i) {
      expression::OrderKey key;
      key.expression = out->args[first + i]->clone();
      sort_direction(*call.order_by[i], key.descending, key.nulls_first);
      out->order_by.push_back(std::move(key));
    }
  } else {
    for (const auto* item : call.order_by) {
      expression::OrderKey key;
      key.expression = resolve_unknown(bind_expression(item->value, level));
      sort_direction(*item, key.descending, key.nulls_first);
      out->order_by.push_back(std::move(key));
    }
  }
  level.in_aggregate = was;
  if (call.distinct && !call.order_by.empty()) {
    for (const auto& k : out->order_by) {
      bool found = false;
      for (const auto& a : out->args) found = found || expression::same(*a, *k.expression);
      if (!found)
        throw error(sqlstate::kInvalidColumnReference,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list")
            .at(call.location);
    }
  }
  if (is_window) return window_call(call, std::move(out), level);
  // An aggregate over outer columns only would belong to the outer query.
  std::vector<ColumnId> used;
  for (const auto& a : out->args) expression::collect_columns(*a, used);
  bool own = used.empty();
  for (ColumnId id : used) own = own || level.own_columns.contains(id);
  for (const auto& s : level.srfs)
    for (ColumnId id : s.columns)
      for (ColumnId u : used) own = own || u == id;
  if (!own) throw not_supported("an aggregate of an outer query's columns").at(call.location);
  for (const auto& a : level.aggregates)
    if (expression::same(*a.expression, *out)) return expression::make_column(a.id, out->type, call.location);
  const ColumnId id = add_column(std::string{declaration.name}, out->type);
  const TypeRef type = out->type;
  level.aggregates.push_back({id, std::move(out)});
  return expression::make_column(id, type, call.location);
}

void Binder::bind_window(const sql::WindowDefinition& definition, QueryLevel& level,
                         QueryLevel::WindowCall& out) {
  const sql::WindowDefinition* base = nullptr;
  if (!definition.reference.empty()) {
    for (const auto* w : level.window_definitions)
      if (w->name == definition.reference) base = w;
    if (base == nullptr)
      throw error(sqlstate::kUndefinedObject, "window \"{}\" does not exist", definition.reference)
          .at(definition.location);
    if (!definition.is_reference_only) {
      if (!definition.partition_by.empty())
        throw error(sqlstate::kWindowingError, "cannot override PARTITION BY clause of window \"{}\"",
                    definition.reference)
            .at(definition.location);
      if (!definition.order_by.empty() && !base->order_by.empty())
        throw error(sqlstate::kWindowingError, "cannot override ORDER BY clause of window \"{}\"",
                    definition.reference)
            .at(definition.location);
      if (base->frame != sql::FrameMode::kNone)
        throw error(sqlstate::kWindowingError, "cannot copy window \"{}\" because it has a frame clause",
                    definition.reference)
            .at(definition.location);
    }
    bind_window(*base, level, out);
    if (definition.is_reference_only) return;
  }
  for (const auto* p : definition.partition_by)
    out.partition_by.push_back(resolve_unknown(bind_expression(p, level)));
  for (const auto* o : definition.order_by) {
    expression::OrderKey key;
    key.expression = resolve_unknown(bind_expression(o->value, level));
    sort_direction(*o, key.descending, key.nulls_first);
    out.order_by.push_back(std::move(key));
  }
  if (definition.frame == sql::FrameMode::kNone) return;
  using Frame = LogicalNode::Frame;
  out.frame.unit =
      definition.frame == sql::FrameMode::kRows
          ? Frame::Unit::kRows
          : (definition.frame == sql::FrameMode::kGroups ? Frame::Unit::kGroups : Frame::Unit::kRange);
  const auto bound = [](sql::FrameBound b) { return static_cast<Frame::Bound>(b); };
  out.frame.start = bound(definition.start);
  out.frame.end = bound(definition.end);
  out.frame.exclude = static_cast<Frame::Exclude>(definition.exclusion);
  if (out.frame.unit == Frame::Unit::kGroups && out.order_by.empty())
    throw error(sqlstate::kWindowingError, "GROUPS mode requires an ORDER BY clause").at(definition.location);
  const auto offset = [&](const sql::Node* node) -> ExpressionPtr {
    if (node == nullptr) return nullptr;
    auto e = bind_expression(node, level);
    if (out.frame.unit == Frame::Unit::kRange) {
      if (out.order_by.size() != 1)
        throw error(sqlstate::kWindowingError,
                    "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
            .at(definition.location);
      const TypeRef key = out.order_by[0].expression->type;
      const bool date_like = key.oid == oid::kDate || key.oid == oid::kTimestamp ||
                             key.oid == oid::kTimestamptz || key.oid == oid::kTime;
      const TypeRef wanted = date_like ? types::make_type(oid::kInterval) : key;
      auto cast = try_coerce(std::move(e), wanted, CastContext::kImplicit);
      if (cast == nullptr) throw not_supported("RANGE offset of this type").at(node->location);
      return to_physical(std::move(cast), wanted);
    }
    auto cast = try_coerce(std::move(e), types::make_type(oid::kInt8), CastContext::kAssignment);
    if (cast == nullptr)
      throw error(sqlstate::kDatatypeMismatch, "argument of ROWS must be type bigint").at(node->location);
    return cast;
  };
  out.frame_start = offset(definition.start_offset);
  out.frame_end = offset(definition.end_offset);
}

ExpressionPtr Binder::window_call(const sql::FunctionCall& call, ExpressionPtr function, QueryLevel& level) {
  if (level.in_aggregate)
    throw error(sqlstate::kGroupingError, "aggregate function calls cannot contain window function calls")
        .at(call.location);
  if (level.in_window)
    throw error(sqlstate::kWindowingError, "window function calls cannot be nested").at(call.location);
  if (!level.allow_windows)
    throw error(sqlstate::kWindowingError, "window functions are not allowed in {}", level.clause)
        .at(call.location);
  if (call.distinct)
    throw error(sqlstate::kFeatureNotSupported, "DISTINCT is not implemented for window functions")
        .at(call.location);
  if (!call.order_by.empty())
    throw error(sqlstate::kFeatureNotSupported, "aggregate ORDER BY is not implemented for window functions")
        .at(call.location);
  if (call.filter != nullptr && function->filter == nullptr)
    throw error(sqlstate::kFeatureNotSupported,
                "FILTER is not implemented for non-aggregate window functions")
        .at(call.location);
  QueryLevel::WindowCall window;
  level.in_window = true;
  bind_window(*call.over, level, window);
  level.in_window = false;
  const TypeRef type = function->type;
  const ColumnId id = add_column(std::string{call.name.back()}, type);
  window.id = id;
  window.call = std::move(function);
  level.windows.push_back(std::move(window));
  return expression::make_column(id, type, call.location);
}

}  // namespace rustbd::binder
