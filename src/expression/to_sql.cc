// SQL text of expressions as PostgreSQL's EXPLAIN writes it: every operator in parentheses, constants with
// their type.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/expression/sql_text.h"
#include "rustbd/types/datetime.h"
#include "rustbd/types/io.h"

namespace rustbd::expression {

namespace oid = types::oid;

namespace {

std::string quote(std::string_view text) {
  std::string out = text.find('\\') != std::string_view::npos ? "E'" : "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

class Deparser {
 public:
  Deparser(const ColumnNamer& names, types::ObjectNames* objects, bool pretty)
      : names_(names), objects_(objects), pretty_(pretty) {}

  /// Where nothing can be misread: in pretty form without parentheses around.
  std::string bare(const Expression& e) {
    std::string out = text(e);
    if (!pretty_ || out.size() < 2 || out.front() != '(') return out;
    int depth = 0;
    char quote_mark = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const char c = out[i];
      if (quote_mark != 0) {
        if (c == quote_mark) quote_mark = 0;
        continue;
      }
      if (c == '\'' || c == '"') quote_mark = c;
      depth += c == '(' ? 1 : (c == ')' ? -1 : 0);
      if (depth == 0 && i + 1 < out.size()) return out;  // the first parenthesis closes before the end
    }
    return out.substr(1, out.size() - 2);
  }

  std::string text(const Expression& e) {
    switch (e.kind) {
      case Kind::kConstant: return constant(e);
      case Kind::kParameter: return fmt::format("${}", e.index + 1);
      case Kind::kColumn: return names_ ? names_(e.column) : fmt::format("c{}", e.column);
      case Kind::kCall: return call(e);
      // Between representations of one type nothing shows; between types stored alike the cast does:
      // (name)::text.
      case Kind::kPhysicalCast:
        return e.type.oid == e.args[0]->type.oid ? text(*e.args[0])
                                                 : cast(*e.args[0], types::make_type(e.type.oid));
      case Kind::kAnd: return joined(e.args, " AND ");
      case Kind::kOr: return joined(e.args, " OR ");
      case Kind::kNot: return "(NOT " + text(*e.args[0]) + ")";
      case Kind::kIsNull: return "(" + text(*e.args[0]) + " IS NULL)";
      case Kind::kIsNotNull: return "(" + text(*e.args[0]) + " IS NOT NULL)";
      case Kind::kBooleanTest: return ("(" + text(*e.args[0])).append(boolean_test(e.test)) + ")";
      case Kind::kIsDistinct: return "(" + text(*e.args[0]) + " IS DISTINCT FROM " + text(*e.args[1]) + ")";
      case Kind::kIsNotDistinct:
        return "(NOT (" + text(*e.args[0]) + " IS DISTINCT FROM " + text(*e.args[1]) + "))";
      case Kind::kCase: return case_when(e);
      case Kind::kCoalesce: return "COALESCE(" + list(e.args) + ")";
      case Kind::kNullIf: return "NULLIF(" + list(e.args) + ")";
      case Kind::kGreatest: return "GREATEST(" + list(e.args) + ")";
      case Kind::kLeast: return "LEAST(" + list(e.args) + ")";
      case Kind::kArray: return "ARRAY[" + list(e.args) + "]";
      case Kind::kRow: return "ROW(" + list(e.args) + ")";
      case Kind::kFieldSelect: return "(" + text(*e.args[0]) + fmt::format(").f{}", e.index + 1);
      case Kind::kSubscript: return subscript(e);
      case Kind::kScalarArray:
        return "(" + text(*e.args[0]) + " " + operator_name(e) + (e.all ? " ALL (" : " ANY (") +
               text(*e.args[1]) + "))";
      case Kind::kInList: return in_list(e);
      case Kind::kAggregate:
      case Kind::kWindow: return aggregate(e);
      case Kind::kSubquery: return fmt::format("(SubPlan {})", e.subquery + 1);
      case Kind::kTypedInput: return cast(*e.args[0], e.type);
      case Kind::kCoerceLength: return cast(*e.args[0], e.type);
    }
    RUSTBD_STATEMENT_UNREACHABLE();
  }

 private:
  std::string value_text(const Datum& value, const TypeRef& type) {
    Arena arena;
    types::IoContext io;
    io.arena = &arena;
    io.names = objects_;
    std::string text;
    types::output_text(value, type, io, text);
    return text;
  }
  /// A type as a cast shows it; the internal precision of static decimals (typmod below -1) is no modifier.
  std::string type_name(const TypeRef& t) {
    if (objects_ != nullptr && types::find_type(t.oid) == nullptr)
      return objects_->name_of(oid::kRegtype, t.oid);
    return types::format_type(t.oid, t.typmod < 0 ? -1 : t.typmod);
  }
  std::string list(const std::vector<ExpressionPtr>& args, std::size_t from = 0) {
    std::string out;
    for (std::size_t i = from; i < args.size(); ++i) out += (i > from ? ", " : "") + bare(*args[i]);
    return out;
  }
  std::string joined(const std::vector<ExpressionPtr>& args, std::string_view between) {
    std::string out = "(";
    for (std::size_t i = 0; i < args.size(); ++i) {
      if (i > 0) out += between;
      // OR inside AND keeps its parentheses.
      out += args[i]->kind == Kind::kOr ? text(*args[i]) : bare(*args[i]);
    }
    return out + ")";
  }
  std::string constant(const Expression& e) {
    if (e.is_null) return "NULL::" + type_name(e.type);
    switch (e.type.oid) {
      case oid::kBool: return e.value.boolean ? "true" : "false";
      case oid::kInt4: {
        const std::string digits = value_text(e.value, e.type);
        return digits[0] == '-' ? "'" + digits + "'::integer" : digits;
      }
      case oid::kNumeric: {
        const std::string digits = value_text(e.value, e.type);
        const bool plain = digits[0] != '-' && digits.find('.') != std::string::npos &&
                           digits.find_first_not_of("0123456789.") == std::string::npos;
        return plain ? digits : "'" + digits + "'::numeric";
      }
      case oid::kUnknown: return quote(e.value.str.view());
      default: return quote(value_text(e.value, e.type)) + "::" + type_name(e.type);
    }
  }
  std::string cast(const Expression& inner, const TypeRef& to) {
    if (inner.kind == Kind::kConstant && !inner.is_null && inner.type.oid == oid::kUnknown)
      return quote(inner.value.str.view()) + "::" + type_name(to);
    const bool simple =
        inner.kind == Kind::kColumn ||
        (inner.kind == Kind::kCall && operator_of(inner.function, inner.args.size()) == nullptr);
    return (pretty_ && simple ? text(inner) : "(" + text(inner) + ")") + "::" + type_name(to);
  }
  /// The operator whose function the call has, for these argument counts; nullptr when it is a plain
  /// function.
  static const functions::OperatorDeclaration* operator_of(const functions::ResolvedFunction& f,
                                                           std::size_t arguments) {
    if (f.declaration == nullptr) return nullptr;
    for (const auto& op : functions::Registry::instance().all_operators()) {
      if (op.function == f.declaration->oid && (op.left == 0 ? 1u : 2u) == arguments) return &op;
    }
    return nullptr;
  }
  std::string operator_name(const Expression& e) {
    const auto* op = operator_of(e.function, 2);
    return op != nullptr ? std::string{op->name} : "=";
  }
  std::string call(const Expression& e) {
    const auto* f = e.function.declaration;
    if (const auto* op = operator_of(e.function, e.args.size()); op != nullptr) {
      if (e.args.size() == 1) return "(" + std::string{op->name} + " " + text(*e.args[0]) + ")";
      return "(" + text(*e.args[0]) + " " + std::string{op->name} + " " + text(*e.args[1]) + ")";
    }
    const auto* declared =
        e.args.empty() ? nullptr : functions::Registry::instance().cast(e.args[0]->type.oid, e.type.oid);
    if (declared != nullptr && declared->function == f->oid) {
      return cast(*e.args[0], e.type);
    }
    return std::string{f->name} + "(" + list(e.args) + ")";
  }
  std::string case_when(const Expression& e) {
    std::string out = "CASE";
    for (std::size_t i = 0; i + 1 < e.args.size(); i += 2)
      out += " WHEN " + bare(*e.args[i]) + " THEN " + bare(*e.args[i + 1]);
    const Expression& otherwise = *e.args.back();
    out += " ELSE " + bare(otherwise);
    return out + " END";
  }
  static std::string_view boolean_test(BooleanTest test) {
    switch (test) {
      case BooleanTest::kTrue: return " IS TRUE";
      case BooleanTest::kNotTrue: return " IS NOT TRUE";
      case BooleanTest::kFalse: return " IS FALSE";
      case BooleanTest::kNotFalse: return " IS NOT FALSE";
      case BooleanTest::kUnknown: return " IS UNKNOWN";
      case BooleanTest::kNotUnknown: return " IS NOT UNKNOWN";
    }
    RUSTBD_STATEMENT_UNREACHABLE();
  }
  std::string subscript(const Expression& e) {
    std::string out = e.args[0]->kind == Kind::kColumn ? text(*e.args[0]) : "(" + text(*e.args[0]) + ")";
    for (std::size_t i = 1; i < e.args.size(); i += e.index != 0 ? 2 : 1) {
      out += "[" + text(*e.args[i]);
      if (e.index != 0) out += ":" + text(*e.args[i + 1]);
      out += "]";
    }
    return out;
  }
  /// Constants as PostgreSQL shows its array constant; others as an ARRAY constructor.
  std::string in_list(const Expression& e) {
    const bool constants = std::all_of(e.args.begin() + 1, e.args.end(),
                                       [](const auto& a) { return a->kind == Kind::kConstant; });
    std::string array;
    if (constants && e.args.size() > 1) {
      std::string items;
      for (std::size_t i = 1; i < e.args.size(); ++i) {
        if (i > 1) items += ',';
        items += e.args[i]->is_null ? "NULL" : array_item(value_text(e.args[i]->value, e.args[i]->type));
      }
      array = quote("{" + items + "}") + "::" + type_name(e.args[1]->type) + "[]";
    } else {
      array = "ARRAY[" + list(e.args, 1) + "]";
    }
    return "(" + text(*e.args[0]) + (e.negated ? " <> ALL (" : " = ANY (") + array + "))";
  }
  static std::string array_item(const std::string& text) {
    if (!text.empty() && text.find_first_of("{}\", \\") == std::string::npos && text != "NULL") return text;
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return out + "\"";
  }
  std::string aggregate(const Expression& e) {
    std::string out = e.window_function;
    if (e.aggregate.declaration != nullptr) out = std::string{e.aggregate.declaration->name};
    out += e.star ? "(*" : (e.distinct ? "(DISTINCT " + list(e.args) : "(" + list(e.args));
    for (std::size_t i = 0; i < e.order_by.size(); ++i) {
      const OrderKey& k = e.order_by[i];
      out += (i == 0 ? " ORDER BY " : ", ") + text(*k.expression);
      if (k.descending) out += " DESC";
      if (k.nulls_first != k.descending) out += k.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    }
    out += ")";
    if (e.filter) out += " FILTER (WHERE " + text(*e.filter) + ")";
    return out;
  }

  const ColumnNamer& names_;
  types::ObjectNames* objects_;
  bool pretty_;
};

}  // namespace

std::string to_sql(const Expression& e, const ColumnNamer& names, types::ObjectNames* objects) {
  return Deparser{names, objects, false}.text(e);
}
std::string to_pretty_sql(const Expression& e, const ColumnNamer& names, types::ObjectNames* objects) {
  return Deparser{names, objects, true}.bare(e);
}

}  // namespace rustbd::expression
