// The accesses of one statement at a time: its snapshot, its command, its transaction; one TableAccess per
// relation. Together with the run that used it, it serves again (IdleRuns), in any session.
#pragma once

#include <memory>
#include <vector>

#include "rustbd/base/small_vector.h"
#include "rustbd/engine/session_parts.h"
#include "rustbd/exec/access.h"

namespace rustbd::engine {

class LocalTable;

class StatementAccess final : public exec::AccessFactory {
 public:
  /// The transaction's statement has begun.
  explicit StatementAccess(Session::Parts& parts) { begin(parts); }
  /// The same for another statement, after rest().
  void begin(Session::Parts& parts);
  /// The statement has ended: lets go of what belongs to it. False: it cannot serve again, or would keep too
  /// much memory.
  bool rest();
  /// Of the catalog that the tables are of: a statement with another one needs its own accesses.
  [[nodiscard]] std::uint64_t catalog_version() const { return catalog_version_; }
  ~StatementAccess() override;
  exec::TableAccess& table(const std::shared_ptr<const catalog::Relation>& relation) override;
  /// The same for a stored relation, with what only engine uses.
  LocalTable& local(const std::shared_ptr<const catalog::Relation>& relation);
  [[nodiscard]] Session::Parts& parts() { return *parts_; }
  [[nodiscard]] txn::Transaction& transaction() { return *parts_->transaction; }
  /// What the statement sees, from its beginning to its end.
  [[nodiscard]] const txn::ReadView& view() const { return view_; }
  [[nodiscard]] const std::shared_ptr<const catalog::CatalogSnapshot>& catalog() const { return catalog_; }

  /// A row whose foreign keys must be checked at the statement's end, or a key of a referenced row that went
  /// away.
  struct ChildCheck {
    std::shared_ptr<const catalog::Constraint> constraint;
    RowId row;
  };
  struct ParentChange {
    std::shared_ptr<const catalog::Constraint> constraint;
    std::vector<types::Value> old_key;  // in the constraint's referenced_columns' order; memory in `memory`
    std::vector<types::Value> new_key;  // of an UPDATE; empty: deleted
  };
  void queue(ChildCheck check) { child_checks_.push_back(std::move(check)); }
  void queue(ParentChange change) { parent_changes_.push_back(std::move(change)); }
  [[nodiscard]] Arena& memory() { return memory_; }
  /// Deferred unique checks of all tables, then foreign keys and their actions until nothing is left. Throws
  /// Error.
  Task<> finish();
  /// finish() as a Flow: starts it once and answers Blocked until it is done.
  exec::Flow end_statement() override;
  [[nodiscard]] bool has_pending() const { return !child_checks_.empty() || !parent_changes_.empty(); }

 private:
  friend class LocalTable;
  Task<> check_child(const ChildCheck& check);
  Task<> apply_parent_change(const ParentChange& change);
  Session::Parts* parts_ = nullptr;
  std::shared_ptr<const catalog::CatalogSnapshot> catalog_;
  std::uint64_t catalog_version_ = 0;
  txn::ReadView view_;
  txn::ReadView check_view_;  // of the checks at the statement's end: what it did, and all committed by now
  SmallVector<std::pair<Oid, std::unique_ptr<exec::TableAccess>>, 4> tables_;  // few: searched in order
  std::vector<ChildCheck> child_checks_;
  std::vector<ParentChange> parent_changes_;
  Arena memory_{512};
  struct Finishing;
  std::shared_ptr<Finishing> finishing_;
};

}  // namespace rustbd::engine
