// Expressions other than function calls.
#include <charconv>

#include "rustbd/base/statement_assert.h"
#include "rustbd/binder/binder_impl.h"
#include "rustbd/functions/numeric_type.h"

namespace rustbd::binder {

namespace {
ExpressionPtr make(Kind kind, const TypeRef& type, std::int32_t location) {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->type = type;
  e->location = location;
  return e;
}
constexpr int kLiteralDigitsMax = 18;
}  // namespace

ExpressionPtr Binder::literal(const sql::Literal& literal) {
  types::Value v;
  v.is_null = false;
  switch (literal.type) {
    case sql::LiteralType::kNull:
      v.is_null = true;
      v.type = types::make_type(oid::kUnknown);
      break;
    case sql::LiteralType::kBoolean:
      v.type = types::make_type(oid::kBool);
      v.datum = types::Datum::of(literal.boolean);
      break;
    case sql::LiteralType::kInteger:
      v.type = types::make_type(oid::kInt4);
      v.datum = types::Datum::of(literal.integer);
      break;
    case sql::LiteralType::kNumeric: {
      std::int64_t i8 = 0;
      const auto* end = literal.text.data() + literal.text.size();
      const auto [at, failure] = std::from_chars(literal.text.data(), end, i8);
      if (failure == std::errc{} && at == end && i8 >= INT32_MIN && i8 <= INT32_MAX) {  // -2147483648
        v.type = types::make_type(oid::kInt4);
        v.datum = types::Datum::of(static_cast<std::int32_t>(i8));
        break;
      }
      if (failure == std::errc{} && at == end) {
        v.type = types::make_type(oid::kInt8);
        v.datum = types::Datum::of(i8);
        break;
      }
      v.type = types::make_type(oid::kNumeric);
      // A short decimal has a static scale: the fast representation.
      const auto point = literal.text.find('.');
      const bool plain = literal.text.find_first_not_of("-0123456789.") == std::string_view::npos;
      if (plain && point != std::string_view::npos && literal.text.size() <= kLiteralDigitsMax) {
        std::string digits{literal.text};
        digits.erase(point, 1);
        const auto scale = static_cast<int>(literal.text.size() - point - 1);
        const auto significant = digits.size() - std::min(digits.size(), digits.find_first_not_of("-0"));
        v.type = functions::static_numeric(std::max(static_cast<int>(significant), 1), scale);
        std::int64_t scaled = 0;
        std::from_chars(digits.data(), digits.data() + digits.size(), scaled);
        v.datum = types::Datum::of(scaled);
        break;
      }
      types::IoContext io;
      io.arena = plan_->arena.get();
      v.datum = types::input_text(literal.text, v.type, io);
      break;
    }
    case sql::LiteralType::kString:
      v.type = types::make_type(oid::kUnknown);
      v.datum = types::Datum::of(types::Str::copy(literal.text, *plan_->arena));
      break;
    case sql::LiteralType::kBit:
    case sql::LiteralType::kHex: throw not_supported("type bit").at(literal.location);
  }
  return expression::make_constant(v, literal.location);
}

ExpressionPtr Binder::parameter(const sql::ParameterRef& ref) {
  if (input_.parameters == nullptr || ref.number < 1 || ref.number > 65535)
    throw error(sqlstate::kUndefinedParameter, "there is no parameter ${}", ref.number).at(ref.location);
  const auto index = static_cast<std::uint32_t>(ref.number - 1);
  if (input_.parameters->size() <= index)
    input_.parameters->resize(index + 1, types::make_type(oid::kUnknown));
  auto e = make(Kind::kParameter, (*input_.parameters)[index], ref.location);
  e->index = index;
  return e;
}

ExpressionPtr Binder::type_cast(const sql::TypeCast& cast, QueryLevel& level) {
  const TypeRef target = bind_type(*cast.type, input_);
  ExpressionPtr value;
  if (const auto* array = sql::try_as<sql::ArrayExpression>(cast.argument);
      array != nullptr && types::element_type_of(target.oid) != 0) {
    const TypeRef element = types::make_type(types::element_type_of(target.oid));
    value = array_constructor(*array, level, &element);
  } else {
    value = bind_expression(cast.argument, level);
  }
  const bool literal = value->kind == Kind::kConstant && value->type.oid == oid::kUnknown;
  const auto at = literal ? value->location : cast.location;
  return coerce(std::move(value), target, CastContext::kExplicit, at);
}

ExpressionPtr Binder::array_constructor(const sql::ArrayExpression& node, QueryLevel& level,
                                        const TypeRef* element) {
  std::vector<ExpressionPtr> items;
  bool nested = false;
  for (const auto* e : node.elements) {
    if (const auto* inner = sql::try_as<sql::ArrayExpression>(e)) {
      items.push_back(array_constructor(*inner, level, element));
      nested = true;
    } else {
      items.push_back(bind_expression(e, level));
    }
  }
  if (items.empty() && element == nullptr)
    throw error(sqlstate::kIndeterminateDatatype, "cannot determine type of empty array")
        .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
        .at(node.location);
  auto out = make(Kind::kArray, {}, node.location);
  if (nested) {
    out->type = items[0]->type;
  } else {
    TypeRef type;
    if (element != nullptr) {
      for (auto& i : items) {
        const auto at = i->location;
        i = coerce(std::move(i), *element, CastContext::kExplicit, at);
      }
      type = *element;
    } else {
      std::vector<ExpressionPtr*> all;
      for (auto& i : items) all.push_back(&i);
      type = unify(all, "ARRAY");
    }
    // Elements of arrays have no static scale.
    if (type.oid == oid::kNumeric)
      for (auto& i : items) i = to_physical(std::move(i), types::make_type(oid::kNumeric));
    const Oid array =
        types::element_type_of(type.oid) != 0 && type.oid != oid::kInt2Vector && type.oid != oid::kOidVector
            ? type.oid
            : types::array_type_of(type.oid);
    if (array == 0)
      throw error(sqlstate::kUndefinedObject, "could not find array type for data type {}", type_name(type))
          .at(node.location);
    out->type = types::make_type(array);
  }
  out->args = std::move(items);
  return out;
}

ExpressionPtr Binder::case_expression(const sql::CaseExpression& node, QueryLevel& level) {
  auto out = make(Kind::kCase, {}, node.location);
  ExpressionPtr test;
  if (node.argument != nullptr) test = resolve_unknown(bind_expression(node.argument, level));
  std::vector<ExpressionPtr> results;
  std::vector<ExpressionPtr> conditions;
  for (const auto& w : node.whens) {
    auto condition = bind_expression(w.condition, level);
    if (test != nullptr) condition = apply_operator("=", test->clone(), std::move(condition), w.location);
    conditions.push_back(coerce_to_boolean(std::move(condition), "CASE/WHEN"));
    results.push_back(bind_expression(w.result, level));
  }
  results.push_back(node.otherwise != nullptr ? bind_expression(node.otherwise, level)
                                              : expression::make_null(types::make_type(oid::kUnknown)));
  std::vector<ExpressionPtr*> all;
  all.push_back(&results.back());  // PostgreSQL looks at ELSE first
  for (std::size_t i = 0; i + 1 < results.size(); ++i) all.push_back(&results[i]);
  out->type = unify(all, "CASE");
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    out->args.push_back(std::move(conditions[i]));
    out->args.push_back(std::move(results[i]));
  }
  out->args.push_back(std::move(results.back()));
  return out;
}

std::vector<ExpressionPtr> Binder::row_fields(ExpressionPtr row) {
  RUSTBD_STATEMENT_ASSERT(row->kind == Kind::kRow);
  return std::move(row->args);
}

ExpressionPtr Binder::row_comparison(std::string_view op, std::vector<ExpressionPtr> left,
                                     std::vector<ExpressionPtr> right, std::int32_t location) {
  if (left.size() != right.size())
    throw error(sqlstate::kSyntaxError, "unequal number of entries in row expressions").at(location);
  if (left.empty())
    throw error(sqlstate::kFeatureNotSupported, "cannot compare rows of zero length").at(location);
  const auto pair = [&](std::string_view with, std::size_t i) {
    auto call = apply_operator(with, left[i]->clone(), right[i]->clone(), location);
    if (call->type.oid != oid::kBool)
      throw error(sqlstate::kDatatypeMismatch, "row comparison operator must yield type boolean, not type {}",
                  type_name(call->type))
          .at(location);
    return call;
  };
  std::vector<ExpressionPtr> parts;
  for (std::size_t i = 0; i < left.size(); ++i) parts.push_back(pair(op, i));
  if (op == "=" || parts.size() == 1) return expression::make_and(std::move(parts));
  if (op == "<>") return expression::make_or(std::move(parts));
  if (op != "<" && op != "<=" && op != ">" && op != ">=")
    throw error(sqlstate::kFeatureNotSupported,
                "could not determine interpretation of row comparison operator {}", op)
        .with_hint("Row comparison operators must be associated with btree operator families.")
        .at(location);
  // (a,b) < (c,d)  is  a < c OR (a = c AND b < d)
  const auto strict = op.substr(0, 1);
  ExpressionPtr out = std::move(parts.back());
  for (std::size_t i = left.size() - 1; i-- > 0;) {
    std::vector<ExpressionPtr> both, either;
    both.push_back(pair("=", i));
    both.push_back(std::move(out));
    either.push_back(pair(strict, i));
    either.push_back(expression::make_and(std::move(both)));
    out = expression::make_or(std::move(either));
  }
  return out;
}

ExpressionPtr Binder::any_all(const sql::AnyAllExpression& node, QueryLevel& level) {
  auto left = bind_expression(node.left, level);
  auto array = bind_expression(node.array, level);
  if (array->type.oid == oid::kUnknown) {
    const Oid element = left->type.oid == oid::kUnknown ? oid::kText : left->type.oid;
    array = coerce(std::move(array), types::make_type(types::array_type_of(element)), CastContext::kImplicit,
                   node.location);
  }
  const Oid element = types::element_type_of(array->type.oid);
  if (element == 0)
    throw error(sqlstate::kWrongObjectType, "op ANY/ALL (array) requires array on right side")
        .at(node.location);
  // Resolve the operator against a stand-in of the element's type, then convert both sides to what it asks
  // for.
  auto stand_in = make(Kind::kColumn, types::make_type(element), node.location);
  stand_in->column = UINT32_MAX;
  auto call = apply_operator(node.op, std::move(left), std::move(stand_in), node.location);
  if (call->type.oid != oid::kBool)
    throw error(sqlstate::kWrongObjectType, "op ANY/ALL (array) requires operator to yield boolean")
        .at(node.location);
  RUSTBD_STATEMENT_ASSERT(call->kind == Kind::kCall && call->args.size() == 2);
  const TypeRef wanted = call->args[1]->type;
  if (wanted.oid != element)
    array = coerce(std::move(array), types::make_type(types::array_type_of(wanted.oid)),
                   CastContext::kExplicit, node.location);
  auto out = make(Kind::kScalarArray, types::make_type(oid::kBool), node.location);
  out->all = node.all;
  out->function = call->function;
  out->args.push_back(std::move(call->args[0]));
  out->args.push_back(std::move(array));
  return out;
}

ExpressionPtr Binder::sub_link(const sql::SubLink& node, QueryLevel& level) {
  const bool hidden = level.hidden;
  auto query = bind_select(*node.query, &level);
  level.hidden = hidden;
  const auto id = static_cast<expression::SubqueryId>(plan_->subplans.size());
  plan_->subplans.emplace_back();
  auto out = make(Kind::kSubquery, types::make_type(oid::kBool), node.location);
  out->subquery = id;
  plan::Subplan sub;
  sub.correlated = query.correlated;
  const auto one_column = [&] {
    if (query.columns.size() != 1)
      throw error(sqlstate::kSyntaxError, "subquery must return only one column").at(node.location);
  };
  switch (node.type) {
    case sql::SubLinkType::kExists: out->subquery_kind = expression::SubqueryKind::kExists; break;
    case sql::SubLinkType::kScalar:
      one_column();
      out->subquery_kind = expression::SubqueryKind::kScalar;
      out->type = query.columns[0].type;
      sub.value = query.columns[0].id;
      break;
    case sql::SubLinkType::kArray: {
      one_column();
      out->subquery_kind = expression::SubqueryKind::kArray;
      std::vector<TypeRef> wanted{query.columns[0].type};
      if (wanted[0].oid == oid::kNumeric) {
        wanted[0] = types::make_type(oid::kNumeric);
        convert_outputs(query, wanted);
      }
      const Oid array = types::array_type_of(query.columns[0].type.oid);
      if (array == 0)
        throw error(sqlstate::kUndefinedObject, "could not find array type for data type {}",
                    type_name(query.columns[0].type))
            .at(node.location);
      out->type = types::make_type(array);
      sub.value = query.columns[0].id;
      break;
    }
    case sql::SubLinkType::kAny:
    case sql::SubLinkType::kAll: {
      out->subquery_kind = node.type == sql::SubLinkType::kAny ? expression::SubqueryKind::kAny
                                                               : expression::SubqueryKind::kAll;
      compare_with_subquery(*node.test, node.op.empty() ? "=" : node.op, query, sub, *out, level);
      break;
    }
  }
  sub.root = std::move(query.root);
  plan_->subplans[id] = std::move(sub);
  return out;
}

/// (a, b) op (SELECT ...): at most one row.
ExpressionPtr Binder::row_sub_link(const sql::OperatorExpression& node, QueryLevel& level) {
  auto query = bind_select(*sql::as<sql::SubLink>(node.right).query, &level);
  auto out = make(Kind::kSubquery, types::make_type(oid::kBool), node.location);
  out->subquery_kind = expression::SubqueryKind::kRow;
  out->subquery = static_cast<expression::SubqueryId>(plan_->subplans.size());
  plan_->subplans.emplace_back();
  plan::Subplan sub;
  sub.correlated = query.correlated;
  compare_with_subquery(*node.left, node.op, query, sub, *out, level);
  sub.root = std::move(query.root);
  plan_->subplans[out->subquery] = std::move(sub);
  return out;
}

void Binder::compare_with_subquery(const sql::Node& test, std::string_view op, const BoundQuery& query,
                                   plan::Subplan& sub, Expression& out, QueryLevel& level) {
  auto bound = bind_expression(&test, level);
  std::vector<ExpressionPtr> left, right;
  const bool is_row = bound->kind == Kind::kRow;
  if (is_row) left = row_fields(std::move(bound));
  else left.push_back(std::move(bound));
  if (left.size() != query.columns.size())
    throw error(sqlstate::kSyntaxError, "subquery has too {} columns",
                left.size() < query.columns.size() ? "many" : "few")
        .at(out.location);
  for (auto& operand : left) {
    // Literals and parameters stay where they are: their type comes from the comparison.
    if (operand->kind == Kind::kConstant || operand->kind == Kind::kParameter) continue;
    const ColumnId id = add_column("operand", operand->type);
    auto stand_in = expression::make_column(id, operand->type, operand->location);
    sub.operands.push_back(id);
    out.args.push_back(std::exchange(operand, std::move(stand_in)));
  }
  for (const auto& c : query.columns) right.push_back(expression::make_column(c.id, c.type, out.location));
  sub.value = query.columns[0].id;
  sub.comparison = is_row ? row_comparison(op, std::move(left), std::move(right), out.location)
                          : apply_operator(op, std::move(left[0]), std::move(right[0]), out.location);
  if (sub.comparison->type.oid != oid::kBool)
    throw error(sqlstate::kDatatypeMismatch, "operator must return type boolean").at(out.location);
}

ExpressionPtr Binder::in_list(const sql::InExpression& node, QueryLevel& level) {
  auto test = bind_expression(node.argument, level);
  std::vector<ExpressionPtr> items;
  for (const auto* i : node.items) items.push_back(bind_expression(i, level));
  if (test->kind == Kind::kRow) {
    std::vector<ExpressionPtr> any;
    auto left = row_fields(std::move(test));
    for (auto& i : items) {
      if (i->kind != Kind::kRow)
        throw error(sqlstate::kSyntaxError, "unequal number of entries in row expressions").at(i->location);
      any.push_back(row_comparison("=", clone_all(left), row_fields(std::move(i)), node.location));
    }
    auto out = expression::make_or(std::move(any));
    if (!node.negated) return out;
    auto no = make(Kind::kNot, types::make_type(oid::kBool), node.location);
    no->args.push_back(std::move(out));
    return no;
  }
  // One type for all where there is one; otherwise x = a OR x = b, each with its own operator.
  bool one_category = true;
  char seen = 0;
  const auto note = [&](const TypeRef& t) {
    if (t.oid == oid::kUnknown) return;
    const char c = category(t.oid);
    if (seen != 0 && seen != c) one_category = false;
    seen = c;
  };
  note(test->type);
  for (const auto& i : items) note(i->type);
  bool plain = one_category && items.size() > 1;
  for (const auto& i : items) plain = plain && !expression::contains(*i, Kind::kSubquery);
  if (plain) {
    std::vector<ExpressionPtr*> all{&test};
    for (auto& i : items) all.push_back(&i);
    const TypeRef common = unify(all, "IN");
    auto out = make(Kind::kInList, types::make_type(oid::kBool), node.location);
    out->negated = node.negated;
    out->function = equality_for(common, node.location);
    const auto& wanted = out->function.arguments;
    out->args.push_back(to_physical(std::move(test), wanted[0]));
    for (auto& i : items) out->args.push_back(to_physical(std::move(i), wanted[1]));
    return out;
  }
  std::vector<ExpressionPtr> parts;
  for (auto& i : items)
    parts.push_back(apply_operator(node.negated ? "<>" : "=", test->clone(), std::move(i), node.location));
  return node.negated ? expression::make_and(std::move(parts)) : expression::make_or(std::move(parts));
}

ExpressionPtr Binder::between(const sql::BetweenExpression& node, QueryLevel& level) {
  auto value = bind_expression(node.argument, level), low = bind_expression(node.low, level),
       high = bind_expression(node.high, level);
  const auto range = [&](ExpressionPtr v, ExpressionPtr lo, ExpressionPtr hi, bool negated) {
    std::vector<ExpressionPtr> parts;
    auto copy = v->clone();
    parts.push_back(apply_operator(negated ? "<" : ">=", std::move(v), std::move(lo), node.location));
    parts.push_back(apply_operator(negated ? ">" : "<=", std::move(copy), std::move(hi), node.location));
    return negated ? expression::make_or(std::move(parts)) : expression::make_and(std::move(parts));
  };
  if (!node.symmetric) return range(std::move(value), std::move(low), std::move(high), node.negated);
  auto first = range(value->clone(), low->clone(), high->clone(), node.negated);
  auto second = range(std::move(value), std::move(high), std::move(low), node.negated);
  std::vector<ExpressionPtr> both;
  both.push_back(std::move(first));
  both.push_back(std::move(second));
  return node.negated ? expression::make_and(std::move(both)) : expression::make_or(std::move(both));
}

ExpressionPtr Binder::like(const sql::LikeExpression& node, QueryLevel& level) {
  auto value = bind_expression(node.argument, level), pattern = bind_expression(node.pattern, level);
  ExpressionPtr escape = node.escape != nullptr ? bind_expression(node.escape, level) : nullptr;
  std::string_view op;
  if (node.type == sql::LikeType::kSimilar) {
    std::vector<ExpressionPtr> args;
    args.push_back(std::move(pattern));
    if (escape) args.push_back(std::move(escape));
    pattern = call_builtin("similar_to_escape", std::move(args), node.location);
    op = node.negated ? "!~" : "~";
  } else {
    if (escape) {
      std::vector<ExpressionPtr> args;
      args.push_back(std::move(pattern));
      args.push_back(std::move(escape));
      pattern = call_builtin("like_escape", std::move(args), node.location);
    }
    const bool ilike = node.type == sql::LikeType::kILike;
    op = ilike ? (node.negated ? "!~~*" : "~~*") : (node.negated ? "!~~" : "~~");
  }
  return apply_operator(op, std::move(value), std::move(pattern), node.location);
}

ExpressionPtr Binder::null_test(const sql::NullTest& node, QueryLevel& level) {
  auto value = bind_expression(node.argument, level);
  const auto test = [&](ExpressionPtr v) {
    auto t =
        make(node.negated ? Kind::kIsNotNull : Kind::kIsNull, types::make_type(oid::kBool), node.location);
    t->args.push_back(resolve_unknown(std::move(v)));
    return t;
  };
  if (value->kind != Kind::kRow) return test(std::move(value));
  std::vector<ExpressionPtr> parts;  // every field
  for (auto& f : row_fields(std::move(value))) parts.push_back(test(std::move(f)));
  return expression::make_and(std::move(parts));
}

ExpressionPtr Binder::distinct_test(const sql::DistinctExpression& node, QueryLevel& level) {
  auto left = bind_expression(node.left, level), right = bind_expression(node.right, level);
  const auto test = [&](ExpressionPtr l, ExpressionPtr r) {
    auto call = apply_operator("=", std::move(l), std::move(r), node.location);
    auto t = make(node.negated ? Kind::kIsNotDistinct : Kind::kIsDistinct, types::make_type(oid::kBool),
                  node.location);
    t->function = call->function;
    t->args = std::move(call->args);
    return t;
  };
  if (left->kind == Kind::kRow && right->kind == Kind::kRow) {
    auto l = row_fields(std::move(left)), r = row_fields(std::move(right));
    if (l.size() != r.size())
      throw error(sqlstate::kSyntaxError, "unequal number of entries in row expressions").at(node.location);
    std::vector<ExpressionPtr> parts;
    for (std::size_t i = 0; i < l.size(); ++i) parts.push_back(test(std::move(l[i]), std::move(r[i])));
    return node.negated ? expression::make_and(std::move(parts)) : expression::make_or(std::move(parts));
  }
  return test(std::move(left), std::move(right));
}

ExpressionPtr Binder::indirection(const sql::Indirection& node, QueryLevel& level) {
  auto value = bind_expression(node.base, level);
  std::size_t i = 0;
  while (i < node.items.size()) {
    const auto& item = node.items[i];
    if (item.type == sql::IndirectionType::kField || item.type == sql::IndirectionType::kStar) {
      if (item.type == sql::IndirectionType::kStar || value->kind != Kind::kRow)
        throw error(sqlstate::kWrongObjectType,
                    "column notation .{} applied to type {}, which is not a composite type", item.field,
                    type_name(value->type))
            .at(item.location);
      ExpressionPtr found;
      for (std::size_t f = 0; f < value->args.size(); ++f) {
        const auto& a = value->args[f];
        const std::string name =
            a->kind == Kind::kColumn ? plan_->columns[a->column].name : fmt::format("f{}", f + 1);
        if (name == item.field) {
          found = a->clone();
          break;
        }
      }
      if (found == nullptr)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" not found in data type record", item.field)
            .at(item.location);
      value = std::move(found);
      ++i;
      continue;
    }
    // All subscripts in a row belong to one access.
    const Oid element = types::element_type_of(value->type.oid);
    if (element == 0)
      throw error(sqlstate::kDatatypeMismatch,
                  "cannot subscript type {} because it does not support subscripting", type_name(value->type))
          .at(value->location);
    bool slice = false;
    std::size_t end = i;
    while (end < node.items.size() && (node.items[end].type == sql::IndirectionType::kSubscript ||
                                       node.items[end].type == sql::IndirectionType::kSlice)) {
      slice = slice || node.items[end].type == sql::IndirectionType::kSlice;
      ++end;
    }
    auto out = make(Kind::kSubscript, slice ? value->type : types::make_type(element), node.location);
    out->index = slice ? static_cast<std::uint32_t>(end - i) : 0;
    out->args.push_back(std::move(value));
    const auto subscript = [&](const sql::Node* s, std::int32_t absent) {
      if (s == nullptr) {
        types::Value v{types::make_type(oid::kInt4), false, types::Datum::of(absent)};
        return expression::make_constant(v);
      }
      auto e = bind_expression(s, level);
      auto cast = try_coerce(std::move(e), types::make_type(oid::kInt4), CastContext::kAssignment);
      if (cast == nullptr)
        throw error(sqlstate::kDatatypeMismatch, "array subscript must have type integer").at(s->location);
      return cast;
    };
    for (; i < end; ++i) {
      const auto& s = node.items[i];
      if (!slice) out->args.push_back(subscript(s.upper, 0));
      else if (s.type == sql::IndirectionType::kSubscript) {  // x[2] among slices is x[1:2]
        out->args.push_back(subscript(nullptr, 1));
        out->args.push_back(subscript(s.upper, 0));
      } else {
        out->args.push_back(subscript(s.lower, INT32_MIN));
        out->args.push_back(subscript(s.upper, INT32_MAX));
      }
    }
    value = std::move(out);
  }
  return value;
}

ExpressionPtr Binder::value_function(const sql::SqlValueFunction& node, QueryLevel&) {
  const auto builtin = [&](std::string_view name) { return call_builtin(name, {}, node.location); };
  const auto now_as = [&](Oid type) {
    auto now = builtin("now");
    TypeRef target = types::make_type(type);
    if (node.precision >= 0) {
      const int modifiers[] = {node.precision};
      target.typmod = types::typmod_in(type, modifiers);
    }
    return coerce(std::move(now), target, CastContext::kExplicit, node.location);
  };
  switch (node.type) {
    case sql::SqlValueFunctionType::kCurrentDate: return now_as(oid::kDate);
    case sql::SqlValueFunctionType::kCurrentTime: return now_as(oid::kTimetz);
    case sql::SqlValueFunctionType::kCurrentTimestamp: return now_as(oid::kTimestamptz);
    case sql::SqlValueFunctionType::kLocalTime: return now_as(oid::kTime);
    case sql::SqlValueFunctionType::kLocalTimestamp: return now_as(oid::kTimestamp);
    case sql::SqlValueFunctionType::kCurrentRole:
    case sql::SqlValueFunctionType::kCurrentUser:
    case sql::SqlValueFunctionType::kUser: return builtin("current_user");
    case sql::SqlValueFunctionType::kSessionUser: return builtin("session_user");
    case sql::SqlValueFunctionType::kCurrentCatalog: return builtin("current_database");
    case sql::SqlValueFunctionType::kCurrentSchema: return builtin("current_schema");
  }
  RUSTBD_STATEMENT_UNREACHABLE();
}

ExpressionPtr Binder::min_max(const sql::MinMaxExpression& node, QueryLevel& level) {
  auto out = make(node.greatest ? Kind::kGreatest : Kind::kLeast, {}, node.location);
  for (const auto* a : node.arguments) out->args.push_back(bind_expression(a, level));
  std::vector<ExpressionPtr*> all;
  for (auto& a : out->args) all.push_back(&a);
  out->type = unify(all, node.greatest ? "GREATEST" : "LEAST");
  return out;
}

ExpressionPtr Binder::bind_expression(const sql::Node* node, QueryLevel& level) {
  const TypeRef boolean = types::make_type(oid::kBool);
  switch (node->kind) {
    case sql::NodeKind::kColumnRef: return column_reference(sql::as<sql::ColumnRef>(node), level);
    case sql::NodeKind::kParameterRef: return parameter(sql::as<sql::ParameterRef>(node));
    case sql::NodeKind::kLiteral: return literal(sql::as<sql::Literal>(node));
    case sql::NodeKind::kTypeCast: return type_cast(sql::as<sql::TypeCast>(node), level);
    case sql::NodeKind::kCollateExpression: {
      const auto& c = sql::as<sql::CollateExpression>(node);
      auto value = resolve_unknown(bind_expression(c.argument, level));
      const std::string_view name = c.collation.back();
      if (name == "C" || name == "POSIX" || name == "default" || name == "ucs_basic")
        return value;  // all of them are byte order here
      throw error(sqlstate::kUndefinedObject, "collation \"{}\" for encoding \"UTF8\" does not exist",
                  fmt::join(c.collation, "."))
          .at(node->location);
    }
    case sql::NodeKind::kBoolExpression: {
      const auto& b = sql::as<sql::BoolExpression>(node);
      auto out = make(b.is_or ? Kind::kOr : Kind::kAnd, boolean, node->location);
      for (const auto* a : b.arguments)
        out->args.push_back(coerce_to_boolean(bind_expression(a, level), b.is_or ? "OR" : "AND"));
      return out;
    }
    case sql::NodeKind::kNotExpression: {
      auto out = make(Kind::kNot, boolean, node->location);
      out->args.push_back(
          coerce_to_boolean(bind_expression(sql::as<sql::NotExpression>(node).argument, level), "NOT"));
      return out;
    }
    case sql::NodeKind::kOperatorExpression: {
      const auto& o = sql::as<sql::OperatorExpression>(node);
      if (const auto* query = sql::try_as<sql::SubLink>(o.right);
          query != nullptr && query->type == sql::SubLinkType::kScalar && o.left != nullptr &&
          o.left->kind == sql::NodeKind::kRowExpression)
        return row_sub_link(o, level);
      ExpressionPtr left = o.left != nullptr ? bind_expression(o.left, level) : nullptr;
      ExpressionPtr right = bind_expression(o.right, level);
      if (left != nullptr && left->kind == Kind::kRow && right->kind == Kind::kRow)
        return row_comparison(o.op, row_fields(std::move(left)), row_fields(std::move(right)),
                              node->location);
      return apply_operator(o.op, std::move(left), std::move(right), node->location);
    }
    case sql::NodeKind::kAnyAllExpression: return any_all(sql::as<sql::AnyAllExpression>(node), level);
    case sql::NodeKind::kSubLink: return sub_link(sql::as<sql::SubLink>(node), level);
    case sql::NodeKind::kInExpression: return in_list(sql::as<sql::InExpression>(node), level);
    case sql::NodeKind::kBetweenExpression: return between(sql::as<sql::BetweenExpression>(node), level);
    case sql::NodeKind::kLikeExpression: return like(sql::as<sql::LikeExpression>(node), level);
    case sql::NodeKind::kNullTest: return null_test(sql::as<sql::NullTest>(node), level);
    case sql::NodeKind::kBooleanTest: {
      const auto& t = sql::as<sql::BooleanTest>(node);
      auto out = make(Kind::kBooleanTest, boolean, node->location);
      using enum expression::BooleanTest;
      switch (t.type) {
        case sql::BooleanTestType::kTrue: out->test = t.negated ? kNotTrue : kTrue; break;
        case sql::BooleanTestType::kFalse: out->test = t.negated ? kNotFalse : kFalse; break;
        case sql::BooleanTestType::kUnknown: out->test = t.negated ? kNotUnknown : kUnknown; break;
      }
      out->args.push_back(coerce_to_boolean(bind_expression(t.argument, level), "IS TRUE"));
      return out;
    }
    case sql::NodeKind::kDistinctExpression:
      return distinct_test(sql::as<sql::DistinctExpression>(node), level);
    case sql::NodeKind::kCaseExpression: return case_expression(sql::as<sql::CaseExpression>(node), level);
    case sql::NodeKind::kCoalesceExpression: {
      auto out = make(Kind::kCoalesce, {}, node->location);
      for (const auto* a : sql::as<sql::CoalesceExpression>(node).arguments)
        out->args.push_back(bind_expression(a, level));
      std::vector<ExpressionPtr*> all;
      for (auto& a : out->args) all.push_back(&a);
      out->type = unify(all, "COALESCE");
      return out;
    }
    case sql::NodeKind::kMinMaxExpression: return min_max(sql::as<sql::MinMaxExpression>(node), level);
    case sql::NodeKind::kNullIfExpression: {
      const auto& n = sql::as<sql::NullIfExpression>(node);
      auto call = apply_operator("=", bind_expression(n.left, level), bind_expression(n.right, level),
                                 node->location);
      if (call->type.oid != oid::kBool)
        throw error(sqlstate::kDatatypeMismatch, "NULLIF requires = operator to yield boolean")
            .at(node->location);
      RUSTBD_STATEMENT_ASSERT(call->kind == Kind::kCall);
      auto out = make(Kind::kNullIf, call->args[0]->type, node->location);
      out->function = call->function;
      out->args = std::move(call->args);
      return out;
    }
    case sql::NodeKind::kFunctionCall: return function_call(sql::as<sql::FunctionCall>(node), level);
    case sql::NodeKind::kSqlValueFunction: return value_function(sql::as<sql::SqlValueFunction>(node), level);
    case sql::NodeKind::kRowExpression: {
      auto out = make(Kind::kRow, types::make_type(oid::kRecord), node->location);
      for (const auto* f : sql::as<sql::RowExpression>(node).fields)
        out->args.push_back(bind_expression(f, level));
      return out;
    }
    case sql::NodeKind::kArrayExpression:
      return array_constructor(sql::as<sql::ArrayExpression>(node), level, nullptr);
    case sql::NodeKind::kIndirection: return indirection(sql::as<sql::Indirection>(node), level);
    case sql::NodeKind::kGroupingFunction:
      return grouping_function(sql::as<sql::GroupingFunction>(node), level);
    case sql::NodeKind::kDefaultMarker:
      throw error(sqlstate::kSyntaxError, "DEFAULT is not allowed in this context").at(node->location);
    case sql::NodeKind::kCurrentOf: throw not_supported("WHERE CURRENT OF").at(node->location);
    case sql::NodeKind::kNormalizedTest: throw not_supported("IS NORMALIZED").at(node->location);
    case sql::NodeKind::kDocumentTest: throw not_supported("IS DOCUMENT").at(node->location);
    case sql::NodeKind::kUnsupportedExpression:
      throw not_supported("{}", sql::as<sql::UnsupportedExpression>(node).name).at(node->location);
    default: RUSTBD_STATEMENT_UNREACHABLE("an expression node");
  }
}

}  // namespace rustbd::binder
