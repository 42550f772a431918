// TableAccess over a table of txn: encodes index bounds, words constraint errors.
#pragma once

#include "rustbd/engine/access/index_key_computer.h"
#include "rustbd/engine/access/statement_access.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::engine {

class LocalTable final : public RelationAccess {
 public:
  LocalTable(StatementAccess& access, std::shared_ptr<const catalog::Relation> relation);
  ~LocalTable() override;
  std::unique_ptr<exec::RowSource> scan(std::span<const plan::TargetColumn> columns) override;
  std::vector<exec::Morsel> morsels() override;
  std::unique_ptr<exec::IndexSource> index_scan(const catalog::Index& index,
                                                std::span<const plan::TargetColumn> columns) override;
  exec::WriteFlow insert(const exec::NewRows& rows, std::uint32_t row, bool on_conflict,
                         std::span<const Oid> conflict_indexes) override;
  exec::WriteFlow update(RowId id, std::span<const catalog::AttributeNumber> changed,
                         const exec::NewRows& rows, std::uint32_t row) override;
  exec::WriteFlow remove(RowId id) override;
  exec::WriteFlow lock(RowId id, plan::LockStrength strength, plan::LockWait wait) override;
  exec::Flow fetch_newest(RowId id, std::span<const plan::TargetColumn> columns, bool lock,
                          types::ChunkBuffer& out) override;
  void rest() override;

  [[nodiscard]] txn::Table& table() { return table_; }
  [[nodiscard]] const std::shared_ptr<const catalog::Relation>& relation() const { return relation_; }
  /// Unique checks that UPDATEs of this statement put off. Throws 23505.
  Task<> check_deferred();
  [[nodiscard]] bool has_deferred() const { return !deferred_.suspects.empty(); }
  /// Key of an index for equality on its leading parts; false if a value is NULL.
  bool encode_key(const storage::IndexLayout& index, std::span<const types::Value> values, Bytes& out);
  [[noreturn]] void throw_duplicate(IndexId index, const types::Vector* columns, std::uint32_t row);

 private:
  exec::WriteFlow translate(const txn::Outcome& outcome, const types::Vector* columns, std::uint32_t row);
  void queue_child_checks(RowId id, std::span<const catalog::AttributeNumber> changed,
                          const exec::NewRows& rows, std::uint32_t row);
  bool needs_old_image(std::span<const catalog::AttributeNumber> changed) const;
  /// The row as this transaction sees it now, into old_ (all columns). Blocked or found or gone.
  txn::Outcome read_old(RowId id);
  void queue_parent_changes(std::span<const catalog::AttributeNumber> changed, const exec::NewRows* rows,
                            std::uint32_t row);

  StatementAccess& access_;
  std::shared_ptr<const catalog::Relation> relation_;
  txn::Table table_;
  /// nullptr: the relation has no such index.
  IndexKeyComputer* computer();
  bool has_computed_ = false;                   // indexes with expressions or predicates
  std::unique_ptr<IndexKeyComputer> computer_;  // of them, made for the statement's first write
  txn::DeferredUnique deferred_;
  std::map<RowId, std::uint64_t> accepted_;  // versions that a re-check has accepted
  types::ChunkBuffer old_;
  std::vector<IndexKeyComputer::Result> before_, after_;
};

}  // namespace rustbd::engine
