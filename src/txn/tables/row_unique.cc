// RowWriter: whether another row has a key of a unique index (storage.md §4.3, step 4).
#include <algorithm>

#include "rustbd/txn/tables/row_writer.h"

namespace rustbd::txn {

using storage::LeafView;

/// The newest version of another row with an entry of this key.
RowWriter::Step RowWriter::judge_other(const IndexPart& part, ByteSpan key, RowId other, const LeafView& leaf,
                                       ChainHead chain, Outcome* out, After* after) {
  const UndoRec* newest = chain.newest();
  TxnState* owner = newest != nullptr ? newest->owner : nullptr;
  const bool mine = owner != nullptr && owner == txn_.state();
  if (owner != nullptr && !mine) {
    const std::uint64_t ts = owner->commit_ts.load(std::memory_order_acquire);
    if (ts == kRunning || ts == kAborted) {
      after->wait = true;
      after->wait_key = LockKey::row(state_.id, other);
      after->wait_mode = RowLockMode::kKeyShare;
      after->running = owner;
      after->rollbacks = owner->rollbacks.load(std::memory_order_acquire);
      return Step::kRestart;
    }
  }
  const std::uint32_t slot = leaf.find(other);
  if (slot == storage::kNoSlot || leaf.tombstone(slot)) return Step::kDone;  // a leftover
  Bytes present;
  if (part.computed) {
    for (const UndoRec* r = chain.head; r != nullptr; r = r->older.load(std::memory_order_acquire)) {
      Bytes scratch;
      ByteSpan payload;
      storage::Status status;
      if (!parts_.load_payload(*r, scratch, &payload, &status)) return status_step(status, out);
      std::vector<ComputedEntry> computed;
      if (r->op == UndoOp::kUpdate) {
        read_undo_update(
            payload, format_, [](ColumnNumber, const Cell&) {}, &computed);
      } else {
        read_undo_other(payload, &computed);
      }
      const auto at = std::find_if(computed.begin(), computed.end(),
                                   [&](const ComputedEntry& e) { return e.index == part.layout->id; });
      if (at == computed.end()) continue;
      if (!at->has || as_chars(at->after) != as_chars(key)) return Step::kDone;
      break;
    }
  } else {
    std::vector<Cell> cells(format_.phys.size());
    for (const auto& p : part.layout->parts) {
      if (!leaf.cell(slot, p.column, &cells[p.column])) return Step::kRestart;  // torn: read again
      if (!resolve(&cells[p.column], p.column, after)) return Step::kRestart;
    }
    bool has_null = false;
    append_entry_key(format_, *part.layout, cells, s_.arena, present, &has_null);
    if (as_chars(present) != as_chars(key)) return Step::kDone;
  }
  bool unseen = false;
  if (owner != nullptr && !mine) {
    const std::uint64_t ts = owner->commit_ts.load(std::memory_order_acquire);
    txn_.note_seen(ts, owner->end_lsn.load(std::memory_order_acquire));
    unseen = ts > txn_.view().snapshot && txn_.isolation() != Isolation::kReadCommitted;
  }
  out->status = Status::kDuplicate;
  out->index = part.layout->id;
  out->row = other;
  out->row_state = unseen                              ? ConflictState::kUnseen
                   : !mine                             ? ConflictState::kCommitted
                   : newest->command >= txn_.command() ? ConflictState::kOwnCommand
                                                       : ConflictState::kOwnEarlier;
  return Step::kReturn;
}

RowWriter::Step RowWriter::check_others(const IndexPart& part, ByteSpan key, RowId row,
                                        std::span<const RowId> others, const LeafView* own_leaf, Outcome* out,
                                        After* after) {
  for (const RowId other : others) {
    if (other == row) continue;
    if (std::find(s_.gone.begin(), s_.gone.end(), other) != s_.gone.end()) continue;
    if (own_leaf != nullptr && other.raw() >= own_leaf->base_rowid() &&
        other.raw() < own_leaf->high_fence()) {
      const ChainHead chain = parts_.versions.head(state_.id, other);
      if (const Step step = judge_other(part, key, other, *own_leaf, chain, out, after); step != Step::kDone)
        return step;
      continue;
    }
    storage::OptimisticGuard guard;
    if (const auto status = state_.tree->fix_leaf(other, &guard); !status) {
      // It may lie below the base of the very leaf that is latched here: looked at without latches.
      if (status.outcome == storage::Outcome::kRestart) after->look_at = other;
      return status_step(status, out);
    }
    LeafView leaf;
    if (!LeafView::open(guard.data(), format_.rows, &leaf)) {
      if (!guard.check()) return Step::kRestart;
      out->status = Status::kDamaged;
      out->page = guard.page_id();
      out->owner = state_.id.raw();
      return Step::kReturn;
    }
    const ChainHead chain = parts_.versions.head(state_.id, other);
    Outcome found;
    After wait;
    const Step step = judge_other(part, key, other, leaf, chain, &found, &wait);
    if (!guard.check()) return Step::kRestart;
    if (step != Step::kDone) {
      *out = std::move(found);
      *after = std::move(wait);
      return step;
    }
  }
  return Step::kDone;
}

}  // namespace rustbd::txn
