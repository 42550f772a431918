// Kernels on numeric with a static scale (kD64, kD128), chosen by resolve_kernels. Argument forms as the name
// says.
#pragma once

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

enum class DecimalOp : std::uint8_t {
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kAdd,
  kSubtract,      // both arguments and the result at one scale
  kMultiply,      // kD64 x kD64 -> kD64
  kMultiplyWide,  // kD64 x kD64 -> kD128
  kNegate,
  kPlus,
  kAbsolute,
  kFromInt2,
  kFromInt4,
  kFromInt8,
  kToInt2,
  kToInt4,
  kToInt8,
  kToFloat8,
};
/// nullptr where there is none for kD128 (kMultiplyWide) or kD64.
const Kernels* decimal_kernels(DecimalOp op, bool wide);

}  // namespace rustbd::functions
