// CatalogSnapshot: what exists at one moment, found by oid or by name. Immutable and shared by all sessions;
// DDL makes the next one from it. A transaction with uncommitted DDL has its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "rustbd/catalog/objects.h"

namespace rustbd::catalog {

class CatalogSnapshot {
 public:
  using RelationPtr = std::shared_ptr<const Relation>;
  using IndexPtr = std::shared_ptr<const Index>;

  /// Rises with every committed DDL.
  std::uint64_t version = 0;
  /// Of the last of them, since the start: who uses the snapshot must read rows as of then or later, and show
  /// nothing before it is durable.
  CommitTimestamp commit_ts{};
  Lsn commit_lsn{};

  [[nodiscard]] RelationPtr relation(Oid oid) const { return find(relations_, oid); }
  [[nodiscard]] RelationPtr relation(Oid schema, std::string_view name) const {
    auto it = relation_names_.find(Name{schema, std::string{name}});
    return it == relation_names_.end() ? nullptr : relation(it->second);
  }
  [[nodiscard]] IndexPtr index(Oid oid) const { return find(indexes_, oid); }
  /// Tables, views, sequences and indexes share one name space per schema: the oid, or 0.
  [[nodiscard]] Oid class_oid(Oid schema, std::string_view name) const {
    auto it = relation_names_.find(Name{schema, std::string{name}});
    return it == relation_names_.end() ? 0 : it->second;
  }
  [[nodiscard]] const Schema* schema(Oid oid) const {
    auto it = schemas_.find(oid);
    return it == schemas_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const Schema* schema(std::string_view name) const {
    for (const auto& [id, s] : schemas_)
      if (s.name == name) return &s;
    return nullptr;
  }
  [[nodiscard]] std::shared_ptr<const EnumType> enum_type(Oid oid) const { return find(enums_, oid); }
  [[nodiscard]] std::shared_ptr<const EnumType> enum_type(Oid schema, std::string_view name) const {
    for (const auto& [id, e] : enums_)
      if (e->schema == schema && e->name == name) return e;
    return nullptr;
  }
  [[nodiscard]] const Role* role(Oid oid) const {
    auto it = roles_.find(oid);
    return it == roles_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const Role* role(std::string_view name) const {
    for (const auto& [id, r] : roles_)
      if (r.name == name) return &r;
    return nullptr;
  }
  [[nodiscard]] const std::map<Oid, RelationPtr>& relations() const { return relations_; }
  [[nodiscard]] const std::map<Oid, IndexPtr>& indexes() const { return indexes_; }
  [[nodiscard]] const std::map<Oid, Schema>& schemas() const { return schemas_; }
  [[nodiscard]] const std::map<Oid, std::shared_ptr<const EnumType>>& enums() const { return enums_; }
  [[nodiscard]] const std::map<Oid, Role>& roles() const { return roles_; }

  // For whoever builds the next snapshot (before it is shared).
  void put(RelationPtr relation);  // replaces one of the same oid; its indexes too
  void put(Schema schema) { schemas_[schema.oid] = std::move(schema); }
  void put(std::shared_ptr<const EnumType> type) { enums_[type->oid] = std::move(type); }
  void put(Role role) { roles_[role.oid] = std::move(role); }
  void remove_relation(Oid oid);
  void remove_schema(Oid oid) { schemas_.erase(oid); }
  void remove_enum(Oid oid) { enums_.erase(oid); }
  void remove_role(Oid oid) { roles_.erase(oid); }

 private:
  using Name = std::pair<Oid, std::string>;
  template <class T>
  static T find(const std::map<Oid, T>& in, Oid oid) {
    auto it = in.find(oid);
    return it == in.end() ? nullptr : it->second;
  }
  std::map<Oid, RelationPtr> relations_;
  std::map<Oid, IndexPtr> indexes_;
  std::map<Name, Oid> relation_names_;  // of relations and of indexes
  std::map<Oid, Schema> schemas_;
  std::map<Oid, std::shared_ptr<const EnumType>> enums_;
  std::map<Oid, Role> roles_;
};

}  // namespace rustbd::catalog
