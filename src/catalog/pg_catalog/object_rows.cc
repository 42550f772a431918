#include "rustbd/catalog/pg_catalog/fills.h"

namespace rustbd::catalog {

std::span<const NamedFill> object_fills() { return {}; }

}  // namespace rustbd::catalog
