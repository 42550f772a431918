#include "rustbd/txn/tables/read_ahead.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

ReadAhead::ReadAhead(SystemParts& parts, TreeState& state, std::uint64_t last_row)
    : parts_(parts),
      state_(state),
      last_row_(last_row),
      ahead_max_(std::clamp<std::size_t>(parts.buffer().frame_count() / 16, 2, kLeavesAhead)),
      keeps_(parts.buffer().frame_count() / 2) {}

void ReadAhead::enter(std::uint64_t row) {
  if (!std::exchange(begun_, true)) plan_from_ = row;
  current_is_ours_ = false;
  while (!ahead_.empty() && ahead_.front().first_row <= row) {
    current_is_ours_ = ahead_.front().ours;
    ahead_.pop_front();
  }
  if (plan_from_ == 0 || ahead_.size() > ahead_max_ / 2) return;
  plan_from_ = std::max(plan_from_, row);
  std::vector<storage::LeafRange> leaves;
  RowId next;
  // An inner page may have to be read first: then the next leaf tries again.
  if (!state_.tree->leaves_from(RowId{plan_from_}, ahead_max_ - ahead_.size(), &leaves, &next)) return;
  plan_from_ = next.raw();
  for (const storage::LeafRange& leaf : leaves) {
    if (leaf.first_rowid.raw() > last_row_) {
      plan_from_ = 0;
      break;
    }
    const bool ours = parts_.buffer().prefetch(leaf.page);
    if (leaf.first_rowid.raw() > row) ahead_.push_back({leaf.first_rowid.raw(), ours});
    else current_is_ours_ = ours;
  }
  parts_.buffer().submit_reads();
}

void ReadAhead::leave(PageId leaf) {
  if (!std::exchange(current_is_ours_, false) || ++left_ <= keeps_) return;
  parts_.buffer().leave(leaf);
  behind_.push_back(leaf);
  if (behind_.size() <= kLeavesBehind) return;
  parts_.buffer().drop_if_left(behind_.front());
  behind_.pop_front();
}

}  // namespace rustbd::txn
