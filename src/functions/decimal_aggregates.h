// sum, avg, min and max over numeric with a static scale.
#pragma once

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

/// Replaces kernels, arguments and result of `out` when there is a form for `actual`; false when there is
/// none.
bool resolve_decimal_aggregate(ResolvedAggregate& out, std::span<const TypeRef> actual);

}  // namespace rustbd::functions
