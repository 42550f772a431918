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

/// The access of one relation, as StatementAccess keeps it.
class RelationAccess : public exec::TableAccess {
 public:
  /// The statement has ended: lets go of what belongs to it, and of large memory.
  virtual void rest() = 0;
};

class StatementAccess final : public exec::AccessFactory {
 public:
  /// begin() comes first.
  StatementAccess() = default;
  /// Of the transaction's statement, which has begun, with the session's present catalog.
  explicit StatementAccess(Session::Parts& parts) { begin(parts, parts.session_catalog()); }
  void begin(Session::Parts& parts, std::shared_ptr<const catalog::CatalogSnapshot> catalog);
  /// The statement has ended: lets go of what belongs to it, and of large memory. begin() may follow.
  void rest();
  /// Of the catalog that the tables are of: a statement with another one needs its own accesses.
  [[nodiscard]] std::uint64_t catalog_version() const { return catalog_version_; }
  ~StatementAccess() override;
  exec::TableAccess& table(const std::shared_ptr<const catalog::Relation>& relation) override;
  /// The same for a stored relation, with what only engine uses.
  LocalTable& local(const std::shared_ptr<const catalog::Relation>& relation);
  [[nodiscard]] Session::Parts& parts() { return *parts_; }
  [[nodiscard]] txn::Transaction& transaction() { return *parts_->transaction; }
  /// The statement's error for an outcome that is neither kOk nor kBlocked.
  [[noreturn]] void throw_outcome(const txn::Outcome& outcome);
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
  /// Keeps the row with the referenced key (in the constraint's order) until the transaction ends; false:
  /// there is none.
  Task<bool> hold_parent(const catalog::Constraint& constraint, std::span<const types::Value> key);
  Task<> check_child(const ChildCheck& check);
  Task<> apply_parent_change(const ParentChange& change);
  class KeyAction;
  Session::Parts* parts_ = nullptr;
  std::shared_ptr<const catalog::CatalogSnapshot> catalog_;
  std::uint64_t catalog_version_ = 0;
  txn::ReadView view_;
  txn::ReadView check_view_;  // of the checks at the statement's end: what it did, and all committed by now
  SmallVector<std::pair<Oid, std::unique_ptr<RelationAccess>>, 4> tables_;  // few: searched in order
  std::vector<ChildCheck> child_checks_;
  std::vector<ParentChange> parent_changes_;
  bool acted_ = false;  // a foreign key's action has written since the present command began
  Arena memory_{512};
  struct Finishing;
  std::shared_ptr<Finishing> finishing_;
};

}  // namespace rustbd::engine
