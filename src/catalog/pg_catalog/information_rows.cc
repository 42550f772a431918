#include "rustbd/catalog/pg_catalog/fills.h"

namespace rustbd::catalog {

std::span<const NamedFill> information_fills() { return {}; }

}  // namespace rustbd::catalog
