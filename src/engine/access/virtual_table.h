// TableAccess over a relation that is computed when it is scanned.
#pragma once

#include "rustbd/catalog/pg_catalog/virtual_relation.h"
#include "rustbd/engine/access/statement_access.h"

namespace rustbd::engine {

class VirtualTable final : public RelationAccess {
 public:
  VirtualTable(StatementAccess& access, std::shared_ptr<const catalog::Relation> relation)
      : access_(access), relation_(std::move(relation)) {}
  std::unique_ptr<exec::RowSource> scan(std::span<const plan::TargetColumn> columns) override;
  std::vector<exec::Morsel> morsels() override { return {exec::Morsel{RowId{1}, RowId{UINT64_MAX}, 0}}; }
  std::unique_ptr<exec::IndexSource> index_scan(const catalog::Index&,
                                                std::span<const plan::TargetColumn>) override {
    refuse();
  }
  exec::WriteFlow insert(const exec::NewRows&, std::uint32_t, bool, std::span<const Oid>) override {
    refuse();
  }
  exec::WriteFlow update(RowId, std::span<const catalog::AttributeNumber>, const exec::NewRows&,
                         std::uint32_t) override {
    refuse();
  }
  exec::WriteFlow remove(RowId) override { refuse(); }
  exec::WriteFlow lock(RowId, plan::LockStrength, plan::LockWait) override { refuse(); }
  exec::Flow fetch_newest(RowId, std::span<const plan::TargetColumn>, bool, types::ChunkBuffer&) override {
    refuse();
  }

  void rest() override {
    computed_ = false;
    chunks_.clear();
  }

 private:
  friend class VirtualScan;
  [[noreturn]] void refuse() const {
    throw error(sqlstate::kInsufficientPrivilege, "permission denied: \"{}\" is a system catalog",
                relation_->name);
  }
  void compute();
  StatementAccess& access_;
  std::shared_ptr<const catalog::Relation> relation_;
  bool computed_ = false;
  std::vector<std::unique_ptr<types::ChunkBuffer>> chunks_;
};

}  // namespace rustbd::engine
