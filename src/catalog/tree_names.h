// Names of the trees that storage knows by number: for messages about damage.
#pragma once

#include <cstdint>
#include <string>

#include "rustbd/catalog/snapshot.h"

namespace rustbd::catalog {

/// `table "schema.name"`, `index "schema.name"`, as messages show it; empty: no committed object has
/// this table or index id. Takes a walk over all relations.
std::string describe_tree(const CatalogSnapshot& catalog, std::uint32_t id);

}  // namespace rustbd::catalog
