// Casts: which there are, and the expressions that perform them; common types of several expressions.
#include "rustbd/binder/binder_impl.h"

namespace rustbd::binder {

char Binder::category(Oid type) const {
  if (const auto* info = types::find_type(type)) return info->category;
  return input_.catalog->enum_type(type) != nullptr ? 'E' : 'A';
}

std::string Binder::type_name(const TypeRef& type) const {
  if (types::find_type(type.oid) != nullptr) return types::format_type(type.oid, -1);
  if (auto e = input_.catalog->enum_type(type.oid)) return e->name;
  return types::format_type(type.oid, -1);
}

ExpressionPtr Binder::to_physical(ExpressionPtr value, const TypeRef& target) {
  if (value->type.phys == target.phys && value->type.scale == target.scale) return value;
  if (value->type.oid != oid::kNumeric || target.oid != oid::kNumeric) return value;
  auto cast = std::make_unique<Expression>();
  cast->kind = Kind::kPhysicalCast;
  cast->type = target;
  cast->location = value->location;
  cast->args.push_back(std::move(value));
  return cast;
}

namespace {
bool is_string(Oid type) {
  return type == oid::kText || type == oid::kVarchar || type == oid::kBpchar || type == oid::kName;
}

ExpressionPtr typed_input(ExpressionPtr value, const TypeRef& target) {
  auto cast = std::make_unique<Expression>();
  cast->kind = Kind::kTypedInput;
  cast->type = target;
  cast->location = value->location;
  cast->args.push_back(std::move(value));
  return cast;
}
/// The same bits under another type name (binary coercible).
ExpressionPtr relabel(ExpressionPtr value, const TypeRef& target) {
  if (value->kind == Kind::kConstant || value->kind == Kind::kParameter) {
    value->type = target;
    return value;
  }
  auto cast = std::make_unique<Expression>();
  cast->kind = Kind::kPhysicalCast;  // equal representation: the evaluator passes it through
  cast->type = target;
  cast->location = value->location;
  cast->args.push_back(std::move(value));
  return cast;
}
}  // namespace

ExpressionPtr Binder::try_coerce(ExpressionPtr value, const TypeRef& target_type, CastContext context) {
  TypeRef target = types::make_type(target_type.oid, -1);
  if (types::find_type(target.oid) == nullptr) target = target_type;  // enums
  target.typmod = -1;
  const Oid from = value->type.oid, to = target.oid;
  if (from == to || to == oid::kAny || to == oid::kAnyelement || to == oid::kAnycompatible) return value;
  if (from == oid::kUnknown) {
    if (value->kind == Kind::kConstant && value->is_null) {
      value->type = target;
      return value;
    }
    if (value->kind == Kind::kConstant) {
      types::IoContext io;
      if (input_.statement != nullptr) io = input_.statement->io();
      io.arena = plan_->arena.get();
      io.settings.reads_clock = &plan_->of_one_moment;
      TypeRef with_modifier = target;
      // Interval fields change how the text is read, so the modifier goes with it.
      if (to == oid::kInterval) with_modifier.typmod = target_type.typmod;
      try {
        value->value = types::input_text(value->value.str.view(), with_modifier, io);
      } catch (Error& e) {
        throw std::move(e).at(value->location);
      }
      value->type = target;
      return value;
    }
    if (value->kind == Kind::kParameter) {
      auto& declared = (*input_.parameters)[value->index];
      if (declared.oid == oid::kUnknown) declared = target;
      else if (declared.oid != to)
        throw error(sqlstate::kAmbiguousParameter, "inconsistent types deduced for parameter ${}",
                    value->index + 1)
            .with_detail(fmt::format("{} versus {}", type_name(declared), type_name(target)))
            .at(value->location);
      value->type = target;
      return value;
    }
    return typed_input(std::move(value), target);  // text of no known type, from a subquery
  }
  // Arrays element by element where the elements can be cast.
  const Oid from_element = types::element_type_of(from), to_element = types::element_type_of(to);
  if (to == oid::kAnyarray || to == oid::kAnycompatiblearray)
    return from_element != 0 ? std::move(value) : nullptr;
  if (to == oid::kAnynonarray || to == oid::kAnycompatiblenonarray)
    return from_element == 0 ? std::move(value) : nullptr;
  if (const auto* cast = functions::Registry::instance().cast(from, to);
      cast != nullptr && cast->context <= context) {
    if (cast->by_io) return typed_input(std::move(value), target);
    if (cast->function == 0) return relabel(std::move(value), target);
    const auto* function = functions::Registry::instance().function(cast->function);
    if (function == nullptr) return typed_input(std::move(value), target);
    const std::int32_t location = value->location;
    std::vector<ExpressionPtr> args;
    args.push_back(std::move(value));
    std::vector<Oid> declared{function->arguments[0]};
    return call_function(*function, std::move(args), declared, location);
  }
  if (from_element != 0 && to_element != 0) {
    const auto* cast = functions::Registry::instance().cast(from_element, to_element);
    const bool text_to_text = is_string(from_element) && is_string(to_element);
    if ((cast != nullptr && cast->context <= context) || text_to_text || context == CastContext::kExplicit)
      return typed_input(std::move(value), target);
    return nullptr;
  }
  // I/O conversions: anything to strings by assignment, strings to anything explicitly.
  const bool to_string = is_string(to), from_string = is_string(from);
  if (to_string && context >= CastContext::kAssignment) return typed_input(std::move(value), target);
  if (from_string && context == CastContext::kExplicit) return typed_input(std::move(value), target);
  return nullptr;
}

ExpressionPtr Binder::apply_modifier(ExpressionPtr value, const TypeRef& target, bool is_explicit) {
  if (target.typmod < 0) return to_physical(std::move(value), target);
  if (value->type.typmod == target.typmod && value->type.phys == target.phys &&
      value->type.scale == target.scale)
    return value;
  if (target.oid == oid::kNumeric) value = to_physical(std::move(value), types::make_type(oid::kNumeric));
  auto length = std::make_unique<Expression>();
  length->kind = Kind::kCoerceLength;
  length->type = target;
  length->location = value->location;
  length->index = is_explicit ? 1 : 0;
  length->args.push_back(std::move(value));
  return length;
}

ExpressionPtr Binder::coerce(ExpressionPtr value, const TypeRef& target, CastContext context,
                             std::int32_t location) {
  const TypeRef from = value->type;
  auto cast = try_coerce(std::move(value), target, context);
  if (cast == nullptr)
    throw error(context == CastContext::kExplicit ? sqlstate::kCannotCoerce : sqlstate::kDatatypeMismatch,
                "cannot cast type {} to {}", type_name(from), type_name(target))
        .at(location);
  return apply_modifier(std::move(cast), target, context == CastContext::kExplicit);
}

ExpressionPtr Binder::coerce_to_column(ExpressionPtr value, const TypeRef& target, std::string_view column,
                                       std::int32_t location) {
  const TypeRef from = value->type;
  auto cast = try_coerce(std::move(value), target, CastContext::kAssignment);
  if (cast == nullptr)
    throw error(sqlstate::kDatatypeMismatch, "column \"{}\" is of type {} but expression is of type {}",
                column, type_name(target), type_name(from))
        .with_hint("You will need to rewrite or cast the expression.")
        .at(location);
  return apply_modifier(std::move(cast), target, false);
}

ExpressionPtr Binder::coerce_to_boolean(ExpressionPtr value, std::string_view what) {
  const auto location = value->location;
  const TypeRef from = value->type;
  auto cast = try_coerce(std::move(value), types::make_type(oid::kBool), CastContext::kAssignment);
  if (cast == nullptr || cast->type.oid != oid::kBool)
    throw error(sqlstate::kDatatypeMismatch, "argument of {} must be type boolean, not type {}", what,
                type_name(from))
        .at(location);
  return cast;
}

ExpressionPtr Binder::resolve_unknown(ExpressionPtr value) {
  if (value->type.oid != oid::kUnknown) return value;
  return try_coerce(std::move(value), types::make_type(oid::kText), CastContext::kImplicit);
}

TypeRef Binder::common_type(std::span<const TypeRef> all, std::string_view what, std::int32_t location) {
  TypeRef chosen{};
  bool found = false;
  char chosen_category = 0;
  for (const auto& t : all) {
    if (t.oid == oid::kUnknown || (found && t.oid == chosen.oid)) continue;
    const char c = category(t.oid);
    if (!found) {
      chosen = t;
      chosen_category = c;
      found = true;
      continue;
    }
    if (c != chosen_category)
      throw error(sqlstate::kDatatypeMismatch, "{} types {} and {} cannot be matched", what,
                  type_name(chosen), type_name(t))
          .at(location);
    const auto* chosen_info = types::find_type(chosen.oid);
    const auto castable = [](Oid from, Oid to) {
      const auto* cast = functions::Registry::instance().cast(from, to);
      return cast != nullptr && cast->context == CastContext::kImplicit;
    };
    // Keep the preferred type; else move to one that the chosen converts to but not the other way round.
    if (chosen_info != nullptr && chosen_info->preferred) continue;
    if (castable(chosen.oid, t.oid) && !castable(t.oid, chosen.oid)) chosen = t;
  }
  if (!found) return types::make_type(oid::kText);
  // One representation for all: the modifier and the scale stay only where every branch has them.
  for (const auto& t : all) {
    if (t.oid == oid::kUnknown) {
      if (chosen.oid == oid::kNumeric) return types::make_type(oid::kNumeric);
      chosen.typmod = -1;
      continue;
    }
    if (t.oid != chosen.oid || t.typmod != chosen.typmod || t.phys != chosen.phys ||
        t.scale != chosen.scale) {
      if (chosen.oid == oid::kNumeric) {
        const bool same_form = t.oid == chosen.oid && t.phys == chosen.phys && t.scale == chosen.scale;
        if (!same_form) return types::make_type(oid::kNumeric);
      }
      chosen.typmod = -1;
    }
  }
  return chosen;
}

TypeRef Binder::unify(std::vector<ExpressionPtr*> values, std::string_view what) {
  std::vector<TypeRef> all;
  for (auto* v : values) all.push_back((*v)->type);
  const std::int32_t location = values.empty() ? -1 : (*values.back())->location;
  const TypeRef target = common_type(all, what, location);
  for (auto* v : values) {
    const auto from = (*v)->type;
    const auto at = (*v)->location;
    auto cast = try_coerce(std::move(*v), target, CastContext::kImplicit);
    if (cast == nullptr)
      throw error(sqlstate::kCannotCoerce, "{} could not convert type {} to {}", what, type_name(from),
                  type_name(target))
          .at(at);
    *v = target.oid == oid::kNumeric ? to_physical(std::move(cast), target) : std::move(cast);
  }
  return target;
}

ExpressionPtr coerce_for_assignment(ExpressionPtr value, const TypeRef& target, BindInput& input) {
  Binder binder{input};
  auto cast = binder.try_coerce(std::move(value), target, CastContext::kAssignment);
  return cast == nullptr ? nullptr : binder.apply_modifier(std::move(cast), target, false);
}

}  // namespace rustbd::binder
