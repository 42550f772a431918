#include "rustbd/catalog/snapshot.h"

namespace rustbd::catalog {

void CatalogSnapshot::put(RelationPtr relation) {
  remove_relation(relation->oid);
  relation_names_[{relation->schema, relation->name}] = relation->oid;
  for (const auto& index : relation->indexes) {
    indexes_[index->oid] = index;
    relation_names_[{index->schema, index->name}] = index->oid;
  }
  relations_[relation->oid] = std::move(relation);
}

void CatalogSnapshot::remove_relation(Oid oid) {
  auto it = relations_.find(oid);
  if (it == relations_.end()) return;
  const auto forget = [this](Oid schema, const std::string& name, Oid whose) {
    auto n = relation_names_.find({schema, name});
    if (n != relation_names_.end() && n->second == whose) relation_names_.erase(n);
  };
  for (const auto& index : it->second->indexes) {
    forget(index->schema, index->name, index->oid);
    indexes_.erase(index->oid);
  }
  forget(it->second->schema, it->second->name, oid);
  relations_.erase(it);
}

}  // namespace rustbd::catalog
