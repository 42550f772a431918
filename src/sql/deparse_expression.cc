// Expressions to text, with parentheses only where the precedences ask for them.
#include <vector>

#include "rustbd/sql/deparse_impl.h"
#include "rustbd/sql/parser_impl.h"

namespace rustbd::sql {
namespace {

int binary_power(std::string_view op) {
  if (op == "<" || op == ">" || op == "=" || op == "<=" || op == ">=" || op == "<>") return kComparePower;
  if (op == "+" || op == "-") return kAddPower;
  if (op == "*" || op == "/" || op == "%") return kMultiplyPower;
  return op == "^" ? kPowerPower : kOperatorPower;
}

int power_of(const Node* node) {
  switch (node->kind) {
    case NodeKind::kLiteral: {
      const auto& literal = as<Literal>(node);
      const bool negative = literal.type == LiteralType::kInteger
                                ? literal.integer < 0
                                : literal.type == LiteralType::kNumeric && literal.text.starts_with('-');
      return negative ? kSignPower : kPrimaryPower;
    }
    case NodeKind::kTypeCast: return kCastPower;
    case NodeKind::kCollateExpression: return kCollatePower;
    case NodeKind::kBoolExpression: return as<BoolExpression>(node).is_or ? kOrPower : kAndPower;
    case NodeKind::kNotExpression: return kNotPower;
    case NodeKind::kOperatorExpression: {
      const auto& op = as<OperatorExpression>(node);
      if (!op.schema.empty()) return kOperatorPower;
      if (op.left == nullptr) return op.op == "+" || op.op == "-" ? kSignPower : kOperatorPower;
      return binary_power(op.op);
    }
    case NodeKind::kAnyAllExpression: {
      const auto& any = as<AnyAllExpression>(node);
      return any.schema.empty() ? binary_power(any.op) : kOperatorPower;
    }
    case NodeKind::kSubLink: {
      const auto& link = as<SubLink>(node);
      if (link.test == nullptr) return kPrimaryPower;
      if (link.op.empty()) return kLikePower;
      return link.schema.empty() ? binary_power(link.op) : kOperatorPower;
    }
    case NodeKind::kInExpression:
    case NodeKind::kBetweenExpression:
    case NodeKind::kLikeExpression: return kLikePower;
    case NodeKind::kNullTest:
    case NodeKind::kBooleanTest:
    case NodeKind::kDistinctExpression:
    case NodeKind::kNormalizedTest:
    case NodeKind::kDocumentTest: return kIsPower;
    case NodeKind::kFunctionCall: {
      const auto& call = as<FunctionCall>(node);
      if (!call.sql_syntax) return kPrimaryPower;
      return call.name.back() == "timezone"   ? kAtPower
             : call.name.back() == "overlaps" ? kOrPower
                                              : kPrimaryPower;
    }
    default: return kPrimaryPower;
  }
}

}  // namespace

Printer& Printer::dotted(NameList parts) {
  return list(
      parts, [this](std::string_view part) { name(part); }, ".");
}

Printer& Printer::columns(NameList items) {
  if (items.empty()) return *this;
  return text(" (").names(items).text(")");
}

Printer& Printer::operator_name(NameList schema, std::string_view op) {
  if (schema.empty()) return text(op);
  return text("OPERATOR(").dotted(schema).text(".").text(op).text(")");
}

void Printer::operand(const Node* node, int minimum) {
  const bool parentheses = power_of(node) < minimum;
  flag(parentheses, "(");
  expression(node);
  flag(parentheses, ")");
}

void Printer::expressions(NodeList items) {
  list(items, [this](const Node* item) { expression(item); });
}

void Printer::parenthesized_list(NodeList items) {
  text("(");
  expressions(items);
  text(")");
}

void Printer::literal_node(const Literal& node) {
  switch (node.type) {
    case LiteralType::kNull: text("NULL"); break;
    case LiteralType::kBoolean: text(node.boolean ? "true" : "false"); break;
    case LiteralType::kInteger: number(node.integer); break;
    case LiteralType::kNumeric: text(node.text); break;
    case LiteralType::kString: literal(node.text); break;
    case LiteralType::kBit: text("B").literal(node.text); break;
    case LiteralType::kHex: text("X").literal(node.text); break;
  }
}

void Printer::operator_node(const OperatorExpression& node) {
  const int power = power_of(&node);
  if (node.left == nullptr) {
    operator_name(node.schema, node.op).text(" ");
    operand(node.right, power == kSignPower ? kSignPower : power + 1);
    return;
  }
  // Chains like a + b + c lean left and may be long: a loop goes down to the first operand.
  std::vector<const OperatorExpression*> chain{&node};
  const auto left_minimum = [](const OperatorExpression* op) {
    const int own = power_of(op);
    return own == kComparePower ? own + 1 : own;
  };
  for (;;) {
    const auto* left = try_as<OperatorExpression>(chain.back()->left);
    if (left == nullptr || left->left == nullptr || power_of(left) < left_minimum(chain.back())) break;
    chain.push_back(left);
  }
  operand(chain.back()->left, left_minimum(chain.back()));
  for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
    text(" ").operator_name((*link)->schema, (*link)->op).text(" ");
    operand((*link)->right, power_of(*link) + 1);
  }
}

void Printer::sub_link(const SubLink& node) {
  if (node.test != nullptr) {
    const int power = power_of(&node);
    operand(node.test, power + 1);
    if (node.op.empty()) {
      text(" IN ");
    } else {
      text(" ").operator_name(node.schema, node.op).text(node.type == SubLinkType::kAll ? " ALL " : " ANY ");
    }
  }
  flag(node.type == SubLinkType::kExists, "EXISTS ");
  flag(node.type == SubLinkType::kArray, "ARRAY");
  text("(");
  select(*node.query);
  text(")");
}

bool Printer::expression_node(const Node* node) {
  switch (node->kind) {
    case NodeKind::kColumnRef: {
      const auto& column = as<ColumnRef>(node);
      dotted(column.fields).flag(column.star, column.fields.empty() ? "*" : ".*");
      return true;
    }
    case NodeKind::kParameterRef: text("$").number(as<ParameterRef>(node).number); return true;
    case NodeKind::kLiteral: literal_node(as<Literal>(node)); return true;
    case NodeKind::kTypeName: type(as<TypeName>(node)); return true;
    case NodeKind::kTypeCast:
      operand(as<TypeCast>(node).argument, kCastPower);
      text("::");
      type(*as<TypeCast>(node).type);
      return true;
    case NodeKind::kCollateExpression:
      operand(as<CollateExpression>(node).argument, kCollatePower);
      text(" COLLATE ").dotted(as<CollateExpression>(node).collation);
      return true;
    case NodeKind::kBoolExpression: {
      const auto& chain = as<BoolExpression>(node);
      const int minimum = chain.is_or ? kOrPower + 1 : kAndPower + 1;
      list(
          chain.arguments, [&](const Node* item) { operand(item, minimum); }, chain.is_or ? " OR " : " AND ");
      return true;
    }
    case NodeKind::kNotExpression:
      text("NOT ");
      operand(as<NotExpression>(node).argument, kNotPower);
      return true;
    case NodeKind::kOperatorExpression: operator_node(as<OperatorExpression>(node)); return true;
    case NodeKind::kAnyAllExpression: {
      const auto& any = as<AnyAllExpression>(node);
      operand(any.left, power_of(node) + 1);
      text(" ").operator_name(any.schema, any.op).text(any.all ? " ALL (" : " ANY (");
      expression(any.array);
      text(")");
      return true;
    }
    case NodeKind::kSubLink: sub_link(as<SubLink>(node)); return true;
    case NodeKind::kInExpression:
    case NodeKind::kBetweenExpression:
    case NodeKind::kLikeExpression:
    case NodeKind::kNullTest:
    case NodeKind::kBooleanTest:
    case NodeKind::kDistinctExpression:
    case NodeKind::kNormalizedTest:
    case NodeKind::kDocumentTest: tests(node); return true;
    case NodeKind::kCaseExpression: case_node(as<CaseExpression>(node)); return true;
    case NodeKind::kCoalesceExpression:
      text("COALESCE");
      parenthesized_list(as<CoalesceExpression>(node).arguments);
      return true;
    case NodeKind::kMinMaxExpression:
      text(as<MinMaxExpression>(node).greatest ? "GREATEST" : "LEAST");
      parenthesized_list(as<MinMaxExpression>(node).arguments);
      return true;
    case NodeKind::kNullIfExpression:
      text("NULLIF(");
      expression(as<NullIfExpression>(node).left);
      text(", ");
      expression(as<NullIfExpression>(node).right);
      text(")");
      return true;
    case NodeKind::kFunctionCall: call(as<FunctionCall>(node)); return true;
    case NodeKind::kNamedArgument:
      name(as<NamedArgument>(node).name).text(" => ");
      expression(as<NamedArgument>(node).value);
      return true;
    case NodeKind::kSqlValueFunction: {
      constexpr std::string_view kNames[] = {"CURRENT_DATE",    "CURRENT_TIME",   "CURRENT_TIMESTAMP",
                                             "LOCALTIME",       "LOCALTIMESTAMP", "CURRENT_ROLE",
                                             "CURRENT_USER",    "USER",           "SESSION_USER",
                                             "CURRENT_CATALOG", "CURRENT_SCHEMA"};
      const auto& value = as<SqlValueFunction>(node);
      text(kNames[static_cast<std::size_t>(value.type)]);
      if (value.precision >= 0) text("(").number(value.precision).text(")");
      return true;
    }
    case NodeKind::kRowExpression:
      flag(as<RowExpression>(node).explicit_row, "ROW");
      parenthesized_list(as<RowExpression>(node).fields);
      return true;
    case NodeKind::kArrayExpression: {
      const auto print = [this](const auto& self, const ArrayExpression& array) -> void {
        text("[");
        list(array.elements, [&](const Node* item) {
          const auto* inner = try_as<ArrayExpression>(item);
          if (inner != nullptr && inner->location >= 0) return self(self, *inner);
          expression(item);
        });
        text("]");
      };
      text("ARRAY");
      print(print, as<ArrayExpression>(node));
      return true;
    }
    case NodeKind::kIndirection: {
      const auto& access = as<Indirection>(node);
      const bool plain =
          access.base->kind == NodeKind::kParameterRef || access.base->kind == NodeKind::kSubLink ||
          (access.base->kind == NodeKind::kColumnRef && access.items[0].type >= IndirectionType::kSubscript);
      flag(!plain, "(");
      expression(access.base);
      flag(!plain, ")");
      indirection(access.items);
      return true;
    }
    case NodeKind::kGroupingFunction:
      text("GROUPING");
      parenthesized_list(as<GroupingFunction>(node).arguments);
      return true;
    case NodeKind::kDefaultMarker: text("DEFAULT"); return true;
    case NodeKind::kCurrentOf: text("CURRENT OF ").name(as<CurrentOf>(node).cursor); return true;
    case NodeKind::kUnsupportedExpression: text(as<UnsupportedExpression>(node).text); return true;
    case NodeKind::kSortItem: sort_item(as<SortItem>(node)); return true;
    case NodeKind::kWindowDefinition: window(as<WindowDefinition>(node)); return true;
    default: return false;
  }
}

/// IN, BETWEEN, LIKE, IS ….
void Printer::tests(const Node* node) {
  const auto is = [&](const Node* argument, bool negated, std::string_view what) {
    operand(argument, kIsPower + 1);
    text(negated ? " IS NOT " : " IS ").text(what);
  };
  switch (node->kind) {
    case NodeKind::kInExpression: {
      const auto& in = as<InExpression>(node);
      operand(in.argument, kLikePower + 1);
      text(in.negated ? " NOT IN " : " IN ");
      parenthesized_list(in.items);
      return;
    }
    case NodeKind::kBetweenExpression: {
      const auto& between = as<BetweenExpression>(node);
      operand(between.argument, kLikePower + 1);
      text(between.negated ? " NOT BETWEEN " : " BETWEEN ").flag(between.symmetric, "SYMMETRIC ");
      operand(between.low, kSignPower);  // the grammar takes only a restricted expression here
      text(" AND ");
      operand(between.high, kLikePower + 1);
      return;
    }
    case NodeKind::kLikeExpression: {
      const auto& like = as<LikeExpression>(node);
      operand(like.argument, kLikePower + 1);
      text(like.negated ? " NOT " : " ");
      text(like.type == LikeType::kLike ? "LIKE " : like.type == LikeType::kILike ? "ILIKE " : "SIMILAR TO ");
      operand(like.pattern, kEscapePower + 1);
      if (like.escape == nullptr) return;
      text(" ESCAPE ");
      operand(like.escape, kEscapePower + 1);
      return;
    }
    case NodeKind::kNullTest: return is(as<NullTest>(node).argument, as<NullTest>(node).negated, "NULL");
    case NodeKind::kBooleanTest: {
      const auto& test = as<BooleanTest>(node);
      return is(test.argument, test.negated,
                test.type == BooleanTestType::kTrue    ? "TRUE"
                : test.type == BooleanTestType::kFalse ? "FALSE"
                                                       : "UNKNOWN");
    }
    case NodeKind::kDocumentTest:
      return is(as<DocumentTest>(node).argument, as<DocumentTest>(node).negated, "DOCUMENT");
    case NodeKind::kNormalizedTest: {
      const auto& test = as<NormalizedTest>(node);
      is(test.argument, test.negated, test.form);
      flag(!test.form.empty(), " ").text("NORMALIZED");
      return;
    }
    default: {
      const auto& distinct = as<DistinctExpression>(node);
      is(distinct.left, distinct.negated, "DISTINCT FROM ");
      operand(distinct.right, kIsPower + 1);
    }
  }
}

void Printer::case_node(const CaseExpression& node) {
  text("CASE ");
  if (node.argument != nullptr) {
    expression(node.argument);
    text(" ");
  }
  for (const CaseWhen& when : node.whens) {
    text("WHEN ");
    expression(when.condition);
    text(" THEN ");
    expression(when.result);
    text(" ");
  }
  if (node.otherwise != nullptr) {
    text("ELSE ");
    expression(node.otherwise);
    text(" ");
  }
  text("END");
}

void Printer::indirection(List<IndirectionItem> items) {
  for (const IndirectionItem& item : items) {
    switch (item.type) {
      case IndirectionType::kField: text(".").name(item.field); break;
      case IndirectionType::kStar: text(".*"); break;
      case IndirectionType::kSubscript:
        text("[");
        expression(item.upper);
        text("]");
        break;
      case IndirectionType::kSlice:
        text("[");
        if (item.lower != nullptr) expression(item.lower);
        text(" : ");
        if (item.upper != nullptr) expression(item.upper);
        text("]");
    }
  }
}

// --- calls

void Printer::call(const FunctionCall& node) {
  if (node.sql_syntax && special_call(node)) return;
  dotted(node.name).text("(").flag(node.distinct, "DISTINCT ").flag(node.star, "*");
  for (std::size_t i = 0; i < node.arguments.size(); ++i) {
    flag(i > 0, ", ").flag(node.variadic && i + 1 == node.arguments.size(), "VARIADIC ");
    expression(node.arguments[i]);
  }
  if (!node.within_group) order_by(node.order_by);
  text(")");
  if (node.within_group) {
    text(" WITHIN GROUP (ORDER BY ");
    list(node.order_by, [this](const SortItem* item) { sort_item(*item); });
    text(")");
  }
  if (node.filter != nullptr) {
    text(" FILTER (WHERE ");
    expression(node.filter);
    text(")");
  }
  if (node.over == nullptr) return;
  text(" OVER ");
  window(*node.over);
}

bool Printer::special_call(const FunctionCall& node) {
  const std::string_view function = node.name.back();
  const NodeList a = node.arguments;
  const auto form = [&](std::string_view head, std::initializer_list<std::string_view> words) {
    text(head).text("(");
    expression(a[0]);
    std::size_t i = 1;
    for (const std::string_view word : words) {
      if (i >= a.size()) break;
      text(word);
      expression(a[i++]);
    }
    text(")");
    return true;
  };
  if (function == "extract") return form("EXTRACT", {" FROM "});
  if (function == "overlay") return form("OVERLAY", {" PLACING ", " FROM ", " FOR "});
  if (function == "substring") return form("SUBSTRING", {" FROM ", " FOR "});
  if (function == "pg_collation_for") return form("COLLATION FOR ", {});
  if (function == "normalize") {
    text("NORMALIZE(");
    expression(a[0]);
    if (a.size() > 1) text(", ").text(as<Literal>(a[1]).text);
    text(")");
    return true;
  }
  if (function == "position") {
    text("POSITION(");
    operand(a[1], kSignPower);
    text(" IN ");
    operand(a[0], kSignPower);
    text(")");
    return true;
  }
  if (function == "btrim" || function == "ltrim" || function == "rtrim") {
    text(function == "btrim" ? "TRIM(BOTH " : function == "ltrim" ? "TRIM(LEADING " : "TRIM(TRAILING ");
    if (a.size() > 1) expression(a.back());
    text(a.size() > 1 ? " FROM " : "FROM ");
    expressions(a.size() > 1 ? a.first(a.size() - 1) : a);
    text(")");
    return true;
  }
  if (function == "timezone") {
    operand(a[1], kAtPower);
    text(" AT TIME ZONE ");
    operand(a[0], kAtPower + 1);
    return true;
  }
  if (function != "overlaps") return false;
  for (std::size_t i = 0; i < 4; ++i) {
    text(i == 0 ? "(" : i == 2 ? ") OVERLAPS (" : ", ");
    expression(a[i]);
  }
  text(")");
  return true;
}

void Printer::order_by(List<SortItem*> items) {
  if (items.empty()) return;
  text(" ORDER BY ");
  list(items, [this](const SortItem* item) { sort_item(*item); });
}

void Printer::sort_item(const SortItem& node) {
  expression(node.value);
  if (node.direction == SortDirection::kUsing)
    text(" USING ").operator_name(node.using_schema, node.using_op);
  flag(node.direction == SortDirection::kAscending, " ASC")
      .flag(node.direction == SortDirection::kDescending, " DESC");
  flag(node.nulls == SortNulls::kFirst, " NULLS FIRST").flag(node.nulls == SortNulls::kLast, " NULLS LAST");
}

void Printer::window(const WindowDefinition& node) {
  if (node.is_reference_only) {
    name(node.reference);
    return;
  }
  text("(");
  const std::size_t begin = out_.size();
  const auto part = [&](std::string_view words) { text(out_.size() == begin ? "" : " ").text(words); };
  if (!node.reference.empty()) name(node.reference);
  if (!node.partition_by.empty()) {
    part("PARTITION BY ");
    expressions(node.partition_by);
  }
  if (!node.order_by.empty()) {
    part("ORDER BY ");
    list(node.order_by, [this](const SortItem* item) { sort_item(*item); });
  }
  if (node.frame != FrameMode::kNone) {
    part(node.frame == FrameMode::kRange ? "RANGE " : node.frame == FrameMode::kRows ? "ROWS " : "GROUPS ");
    flag(node.frame_between, "BETWEEN ");
    frame_bound(node.start, node.start_offset);
    if (node.frame_between) {
      text(" AND ");
      frame_bound(node.end, node.end_offset);
    }
    flag(node.exclusion == FrameExclusion::kCurrentRow, " EXCLUDE CURRENT ROW");
    flag(node.exclusion == FrameExclusion::kGroup, " EXCLUDE GROUP");
    flag(node.exclusion == FrameExclusion::kTies, " EXCLUDE TIES");
  }
  text(")");
}

void Printer::frame_bound(FrameBound bound, const Node* offset) {
  switch (bound) {
    case FrameBound::kUnboundedPreceding: text("UNBOUNDED PRECEDING"); return;
    case FrameBound::kUnboundedFollowing: text("UNBOUNDED FOLLOWING"); return;
    case FrameBound::kCurrentRow: text("CURRENT ROW"); return;
    case FrameBound::kOffsetPreceding:
    case FrameBound::kOffsetFollowing:
      operand(offset, kSignPower);
      text(bound == FrameBound::kOffsetPreceding ? " PRECEDING" : " FOLLOWING");
  }
}

// --- types

void Printer::type(const TypeName& node) {
  flag(node.set_of, "SETOF ");
  if (!system_type(node)) {
    dotted(node.name);
    if (!node.modifiers.empty()) parenthesized_list(node.modifiers);
  }
  for (const std::int32_t bound : node.array_bounds) {
    text("[");
    if (bound >= 0) number(bound);
    text("]");
  }
}

/// The SQL spelling of a type that has one.
bool Printer::system_type(const TypeName& node) {
  if (node.name.size() != 2 || node.name[0] != "pg_catalog") return false;
  const std::string_view type = node.name[1];
  const auto modifiers = [&] {
    if (!node.modifiers.empty()) parenthesized_list(node.modifiers);
  };
  const auto zoned = [&](std::string_view word, std::string_view zone) {
    text(word);
    modifiers();
    text(zone);
    return true;
  };
  struct Spelling {
    std::string_view name, text;
  };
  constexpr Spelling kPlain[] = {{"bool", "boolean"}, {"int2", "smallint"}, {"int4", "integer"},
                                 {"int8", "bigint"},  {"float4", "real"},   {"float8", "double precision"}};
  for (const Spelling& spelling : kPlain) {
    if (spelling.name != type || !node.modifiers.empty()) continue;
    text(spelling.text);
    return true;
  }
  if (type == "numeric" || type == "varbit" || type == "varchar") {
    text(type == "numeric" ? "numeric" : type == "varbit" ? "bit varying" : "character varying");
    modifiers();
    return true;
  }
  if ((type == "bpchar" || type == "bit") && node.modifiers.size() == 1) {
    text(type == "bit" ? "bit" : "character");
    modifiers();
    return true;
  }
  if (type == "timestamp" || type == "time") return zoned(type, " without time zone");
  if (type == "timestamptz") return zoned("timestamp", " with time zone");
  if (type == "timetz") return zoned("time", " with time zone");
  if (type != "interval") return false;
  interval_type(node);
  return true;
}

void Printer::interval_type(const TypeName& node) {
  text("interval");
  const auto* mask = node.modifiers.empty() ? nullptr : try_as<Literal>(node.modifiers[0]);
  if (mask == nullptr) return;
  struct Field {
    std::int32_t bit;
    std::string_view word;
  };
  constexpr Field kFields[] = {{1 << 2, "year"},  {1 << 1, "month"},   {1 << 3, "day"},
                               {1 << 10, "hour"}, {1 << 11, "minute"}, {1 << 12, "second"}};
  if (mask->integer != 0x7fff) {
    std::string_view first;
    std::string_view last;
    for (const Field& field : kFields) {
      if ((mask->integer & field.bit) == 0) continue;
      if (first.empty()) first = field.word;
      last = field.word;
    }
    text(" ").text(first);
    if (first != last) text(" to ").text(last);
  }
  if (node.modifiers.size() > 1) parenthesized_list(node.modifiers.subspan(1));
}

}  // namespace rustbd::sql
