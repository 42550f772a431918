#include "rustbd/engine/access/statement_access.h"

#include "rustbd/base/rest.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/engine/access/local_table.h"
#include "rustbd/engine/access/virtual_table.h"

namespace rustbd::engine {

/// The coroutine of finish() between calls of end_statement().
struct StatementAccess::Finishing {
  io::WaitToken done = io::WaitToken::make(io::WaitReason::kTask);
  std::exception_ptr failure;
};

StatementAccess::~StatementAccess() = default;

void StatementAccess::begin(Session::Parts& parts, std::shared_ptr<const catalog::CatalogSnapshot> catalog) {
  parts_ = &parts;
  catalog_ = std::move(catalog);
  catalog_version_ = catalog_->version;
  view_ = parts.transaction->view();
}

void StatementAccess::rest() {
  RUSTBD_STATEMENT_ASSERT(!has_pending() && finishing_ == nullptr,
                          "a statement that ended has checked its constraints");
  parts_ = nullptr;
  catalog_.reset();
  if (memory_.bytes_reserved() > kRestBytesMax) memory_ = Arena{512};
  memory_.reset();
  for (auto& [oid, table] : tables_) table->rest();
}

void StatementAccess::throw_outcome(const txn::Outcome& outcome) {
  parts_->database.transactions().throw_outcome(outcome, parts_->locker.get());
}

exec::TableAccess& StatementAccess::table(const std::shared_ptr<const catalog::Relation>& relation) {
  for (const auto& [oid, table] : tables_)
    if (oid == relation->oid) return *table;
  std::unique_ptr<RelationAccess> made;
  const bool computed =
      relation->source == catalog::RowSource::kVirtual || relation->kind == catalog::RelationKind::kSequence;
  if (computed) made = std::make_unique<VirtualTable>(*this, relation);
  else made = std::make_unique<LocalTable>(*this, relation);
  return *tables_.emplace_back(relation->oid, std::move(made)).second;
}

LocalTable& StatementAccess::local(const std::shared_ptr<const catalog::Relation>& relation) {
  RUSTBD_ASSERT(relation->source == catalog::RowSource::kStored);
  return static_cast<LocalTable&>(table(relation));
}

Task<> StatementAccess::finish() {
  for (;;) {
    // Also of what the actions below have changed.
    for (std::size_t i = 0; i < tables_.size(); ++i)
      if (auto* local = dynamic_cast<LocalTable*>(tables_[i].second.get())) co_await local->check_deferred();
    if (!has_pending()) co_return;
    parts_->transaction->next_command();
    check_view_ = parts_->transaction->fresh_view();
    auto parents = std::move(parent_changes_);
    parent_changes_.clear();
    acted_ = false;
    for (const auto& p : parents) {
      // A row may refer to several of the keys: each action sees what the one before has made of it.
      if (std::exchange(acted_, false)) {
        parts_->transaction->next_command();
        check_view_ = parts_->transaction->fresh_view();
      }
      co_await apply_parent_change(p);
    }
    if (!parents.empty()) continue;
    auto children = std::move(child_checks_);
    child_checks_.clear();
    for (const auto& c : children) co_await check_child(c);
  }
}

exec::Flow StatementAccess::end_statement() {
  if (finishing_ == nullptr) {
    bool unique_pending = false;
    for (auto& [id, table] : tables_)
      if (const auto* local = dynamic_cast<LocalTable*>(table.get()))
        unique_pending = unique_pending || local->has_deferred();
    if (!unique_pending && !has_pending()) return exec::Flow::finished();
    finishing_ = std::make_shared<Finishing>();
    detach([](StatementAccess& self, std::shared_ptr<Finishing> state) -> Task<> {
      try {
        co_await self.finish();
      } catch (...) {
        state->failure = std::current_exception();
      }
      state->done.fire();
    }(*this, finishing_));
  }
  if (!finishing_->done.fired()) return exec::Flow::blocked(finishing_->done);
  auto ended = std::move(finishing_);
  finishing_ = nullptr;
  if (ended->failure) std::rethrow_exception(ended->failure);
  return exec::Flow::finished();
}

}  // namespace rustbd::engine
