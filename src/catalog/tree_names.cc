#include "rustbd/catalog/tree_names.h"

#include <fmt/format.h>

namespace rustbd::catalog {

std::string describe_tree(const CatalogSnapshot& catalog, std::uint32_t id) {
  for (const auto& [oid, relation] : catalog.relations()) {
    if (relation->layout != nullptr && relation->layout->table.raw() == id)
      return fmt::format("table \"{}.{}\"", relation->schema_name, relation->name);
    for (const auto& index : relation->indexes)
      if (index->tree.raw() == id) return fmt::format("index \"{}.{}\"", relation->schema_name, index->name);
  }
  return {};
}

}  // namespace rustbd::catalog
