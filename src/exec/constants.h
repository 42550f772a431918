// Values of expressions without columns; the two common kinds cost nothing.
#pragma once

#include "rustbd/expression/evaluator.h"

namespace rustbd::exec {

/// Strings stay where they are (constants, parameters) or go to `arena`.
inline types::Value constant_value(const expression::Expression& e, const expression::RunContext& run,
                                   Arena& arena) {
  if (e.kind == expression::Kind::kConstant) return {e.type, e.is_null, e.value};
  if (e.kind == expression::Kind::kParameter && run.parameters[e.index].type.phys == e.type.phys)
    return run.parameters[e.index];
  return expression::evaluate_constant(e, run, arena);
}

}  // namespace rustbd::exec
