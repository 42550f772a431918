// The rows of type_table.cc, sorted by oid.
#pragma once

#include <cstddef>

#include "rustbd/types/type.h"

namespace rustbd::types {
extern const TypeInfo kTypeTable[];
extern const std::size_t kTypeTableSize;
}  // namespace rustbd::types
