// Which kernels run for the physical forms that the arguments have, and the result's type: polymorphism
// (anyelement and anycompatible families) and numeric with a static scale.
#include <algorithm>

#include "rustbd/functions/decimal_aggregates.h"
#include "rustbd/functions/decimal_kernels.h"
#include "rustbd/functions/numeric_type.h"
#include "rustbd/functions/registry.h"

namespace rustbd::functions {

namespace {

namespace oid = types::oid;
using types::Phys;

bool is_element_like(Oid type) {
  return type == oid::kAnyelement || type == oid::kAnynonarray || type == oid::kAnyenum ||
         type == oid::kAnycompatible || type == oid::kAnycompatiblenonarray;
}
bool is_array_like(Oid type) { return type == oid::kAnyarray || type == oid::kAnycompatiblearray; }

/// The element type bound to the polymorphic arguments; kInvalid when there is none. `array` gets an array
/// type as given.
struct Binding {
  Oid element = oid::kInvalid;
  Oid array = oid::kInvalid;
};
Binding bind(std::span<const Oid> declared, std::span<const TypeRef> actual) {
  Binding b;
  for (std::size_t i = 0; i < declared.size() && i < actual.size(); ++i) {
    if (is_element_like(declared[i]) && b.element == oid::kInvalid) b.element = actual[i].oid;
    if (is_array_like(declared[i]) && actual[i].oid != oid::kAnyarray) {
      b.array = actual[i].oid;
      const Oid element = types::element_type_of(actual[i].oid);
      if (element != oid::kInvalid) b.element = element;
    }
  }
  if (b.array == oid::kInvalid && b.element != oid::kInvalid) b.array = types::array_type_of(b.element);
  return b;
}

TypeRef result_type(Oid declared, const Binding& binding, std::span<const TypeRef> actual) {
  Oid type = declared;
  if (is_element_like(declared)) type = binding.element;
  if (is_array_like(declared)) type = binding.array;
  TypeRef result = types::make_type(type);
  const auto* info = types::find_type(type);
  if (info != nullptr && info->collation != 0) {
    for (const TypeRef& argument : actual) {
      if (argument.collation != 0 && argument.collation != types::collation::kDefault)
        result.collation = argument.collation;
    }
  }
  return result;
}

TypeRef plain_argument(Oid declared, const TypeRef& actual) {
  return actual.oid == oid::kNumeric && declared != oid::kAny ? types::make_type(oid::kNumeric) : actual;
}

/// The form two decimals share: the larger scale, and digits for the integer part of both.
struct Common {
  int whole, scale;
};
Common common_of(const TypeRef& a, const TypeRef& b) {
  return {std::max(precision_of(a) - a.scale, precision_of(b) - b.scale), std::max<int>(a.scale, b.scale)};
}

bool choose(ResolvedFunction& out, DecimalOp op, bool wide, std::vector<TypeRef> arguments,
            const TypeRef& result) {
  out.kernels = decimal_kernels(op, wide);
  out.arguments = std::move(arguments);
  out.result = result;
  return true;
}

bool resolve_pair(ResolvedFunction& out, DecimalOp op, std::span<const TypeRef> actual) {
  if (actual.size() != 2 || !is_static_numeric(actual[0]) || !is_static_numeric(actual[1])) return false;
  const TypeRef &a = actual[0], &b = actual[1];
  if (op == DecimalOp::kMultiply) {
    const TypeRef result = static_numeric(precision_of(a) + precision_of(b), a.scale + b.scale);
    if (result.phys == Phys::kNumeric) return false;
    if (a.phys == Phys::kD64 && b.phys == Phys::kD64)
      return choose(out, result.phys == Phys::kD64 ? DecimalOp::kMultiply : DecimalOp::kMultiplyWide, false,
                    {a, b}, result);
    TypeRef wide_a = a, wide_b = b;
    wide_a.phys = wide_b.phys = Phys::kD128;
    return choose(out, op, true, {wide_a, wide_b}, result);
  }
  const auto [whole, scale] = common_of(a, b);
  const bool arithmetic = op == DecimalOp::kAdd || op == DecimalOp::kSubtract;
  const TypeRef shared = static_numeric(whole + scale + (arithmetic ? 1 : 0), scale);
  if (shared.phys == Phys::kNumeric) return false;
  return choose(out, op, shared.phys == Phys::kD128, {shared, shared},
                arithmetic ? shared : types::make_type(oid::kBool));
}

bool resolve_single(ResolvedFunction& out, DecimalOp op, std::span<const TypeRef> actual) {
  if (actual.size() != 1 || !is_static_numeric(actual[0])) return false;
  const bool wide = actual[0].phys == Phys::kD128;
  TypeRef result = out.result;
  if (op == DecimalOp::kNegate || op == DecimalOp::kPlus || op == DecimalOp::kAbsolute)
    result = static_numeric(precision_of(actual[0]), actual[0].scale);
  if (result.oid == oid::kNumeric) result.phys = actual[0].phys;
  return choose(out, op, wide, {actual[0]}, result);
}

bool resolve_decimal(ResolvedFunction& out, Oid function, std::span<const TypeRef> actual) {
  switch (function) {  // PostgreSQL's oids
    case 1718: return resolve_pair(out, DecimalOp::kEq, actual);
    case 1719: return resolve_pair(out, DecimalOp::kNe, actual);
    case 1720: return resolve_pair(out, DecimalOp::kGt, actual);
    case 1721: return resolve_pair(out, DecimalOp::kGe, actual);
    case 1722: return resolve_pair(out, DecimalOp::kLt, actual);
    case 1723: return resolve_pair(out, DecimalOp::kLe, actual);
    case 1724: return resolve_pair(out, DecimalOp::kAdd, actual);
    case 1725: return resolve_pair(out, DecimalOp::kSubtract, actual);
    case 1726: return resolve_pair(out, DecimalOp::kMultiply, actual);
    case 1771: return resolve_single(out, DecimalOp::kNegate, actual);
    case 1915: return resolve_single(out, DecimalOp::kPlus, actual);
    case 1704:
    case 1705: return resolve_single(out, DecimalOp::kAbsolute, actual);
    case 1744: return resolve_single(out, DecimalOp::kToInt4, actual);
    case 1779: return resolve_single(out, DecimalOp::kToInt8, actual);
    case 1783: return resolve_single(out, DecimalOp::kToInt2, actual);
    case 1746: return resolve_single(out, DecimalOp::kToFloat8, actual);
    case 1782: return choose(out, DecimalOp::kFromInt2, false, {actual[0]}, static_numeric(5, 0));
    case 1740: return choose(out, DecimalOp::kFromInt4, false, {actual[0]}, static_numeric(10, 0));
    case 1781: return choose(out, DecimalOp::kFromInt8, true, {actual[0]}, static_numeric(19, 0));
    default: return false;
  }
}

}  // namespace

ResolvedFunction resolve_kernels(const FunctionDeclaration& declaration, std::span<const TypeRef> actual) {
  ResolvedFunction out;
  out.declaration = &declaration;
  out.kernels = &declaration.kernels;
  const Binding binding = bind(declaration.arguments, actual);
  out.result = result_type(declaration.result, binding, actual);
  if (resolve_decimal(out, declaration.oid, actual)) return out;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const Oid declared =
        i < declaration.arguments.size() ? declaration.arguments[i] : declaration.variadic_element;
    out.arguments.push_back(plain_argument(declared, actual[i]));
  }
  return out;
}

ResolvedAggregate resolve_kernels(const AggregateDeclaration& declaration, std::span<const TypeRef> actual) {
  ResolvedAggregate out;
  out.declaration = &declaration;
  out.kernels = &declaration.kernels;
  const Binding binding = bind(declaration.arguments, actual);
  out.result = result_type(declaration.result, binding, actual);
  if (resolve_decimal_aggregate(out, actual)) return out;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const Oid declared = i < declaration.arguments.size() ? declaration.arguments[i] : oid::kAny;
    out.arguments.push_back(plain_argument(declared, actual[i]));
  }
  return out;
}

}  // namespace rustbd::functions
