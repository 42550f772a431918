// Length coercion: a value brought to the modifier of its type, as assignment and explicit casts do.
#pragma once

#include "rustbd/functions/registry.h"

namespace rustbd::functions {

/// `value` of type `from` to `to` (same SQL type; numeric may change its representation). Assignment: 22001
/// where non-blanks would be lost; explicit: cut silently. 22003 for numeric.
Datum coerce_length(const Datum& value, const TypeRef& from, const TypeRef& to, bool is_explicit,
                    Arena& arena);
/// True where coerce_length could change or refuse a value of `from`.
bool needs_length_coercion(const TypeRef& from, const TypeRef& to);

}  // namespace rustbd::functions
