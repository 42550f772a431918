#include "rustbd/types/value.h"

#include "rustbd/types/numeric.h"

namespace rustbd::types {

Datum copy_datum(const Datum& d, Phys phys, Arena& arena) {
  if (phys == Phys::kStr) return Datum::of(Str::copy(d.str.view(), arena));
  if (phys == Phys::kNumeric) return Datum::of(copy_numeric(d.numeric, arena));
  return d;
}

}  // namespace rustbd::types
