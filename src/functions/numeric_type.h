// Static precision and scale of numeric expressions (query.md §4.1).
//
// The precision of a column comes from its modifier. An expression has no SQL modifier, but its precision is
// needed where the next operator derives its own: it stands in TypeRef::typmod as a number below -1,
// -(precision + 1). Whoever shows a modifier treats every negative number as "none".
#pragma once

#include "rustbd/types/type.h"

namespace rustbd::functions {

inline bool is_static_numeric(const types::TypeRef& t) {
  return t.oid == types::oid::kNumeric && (t.phys == types::Phys::kD64 || t.phys == types::Phys::kD128) &&
         t.scale >= 0;
}
/// Digits in all; 18 or 38 where only the representation is known.
inline int precision_of(const types::TypeRef& t) {
  if (t.typmod >= 4) return types::numeric_precision(t.typmod);
  if (t.typmod < -1) return -t.typmod - 1;
  return t.phys == types::Phys::kD64 ? 18 : 38;
}
/// numeric of `precision` digits, `scale` of them after the point, as an expression's or a literal's type:
/// kD64 up to 18 digits, kD128 up to 38, else kNumeric. The literal 0.05 is static_numeric(2, 2).
inline types::TypeRef static_numeric(int precision, int scale) {
  if (scale < 0 || precision > 38 || scale > 38) return types::make_type(types::oid::kNumeric);
  if (precision < scale) precision = scale;
  types::TypeRef t;
  t.oid = types::oid::kNumeric;
  t.typmod = -precision - 1;
  t.phys = precision <= 18 ? types::Phys::kD64 : types::Phys::kD128;
  t.scale = static_cast<std::int16_t>(scale);
  return t;
}

}  // namespace rustbd::functions
