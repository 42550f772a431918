// ReadAhead: what a sequential scan does for the buffer pool. It has the next leaves read before it comes to
// them, many at once; and once it has read half a pool in, the leaves that it reads go when it is through
// with them, instead of pushing everybody else's pages out (as the buffer rings of PostgreSQL's scans).
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "rustbd/base/ids.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

/// Only hints: a plan that is stale costs a read too many or too late. Threads: one at a time.
class ReadAhead {
 public:
  /// `last_row`: the scan ends there.
  ReadAhead(SystemParts& parts, TreeState& state, std::uint64_t last_row);

  /// The scan is about to go on to another leaf, the one that covers `row`. No latch is held.
  void enter(std::uint64_t row);
  /// It is through with that leaf, whose page is `leaf`, and holds no latch on it.
  void leave(PageId leaf);

 private:
  struct Planned {
    std::uint64_t first_row;
    bool ours;  // this scan has it read
  };
  static constexpr std::size_t kLeavesAhead = 32;
  static constexpr std::size_t kLeavesBehind = 16;  // are kept a moment: somebody may scan close behind

  SystemParts& parts_;
  TreeState& state_;
  const std::uint64_t last_row_;
  const std::size_t ahead_max_;
  const std::uint64_t keeps_;  // so many of the leaves that it reads stay in the pool
  std::uint64_t left_ = 0;     // of those, how many it is through with
  bool current_is_ours_ = false;
  std::uint64_t plan_from_ = 0;  // row id; 0: nothing is left to plan
  bool begun_ = false;
  std::deque<Planned> ahead_;
  std::deque<PageId> behind_;
};

/// A fetch of rows by their ids has to wait for a page: the leaves of those that come next are read
/// meanwhile. `next(i)`: the id of the i-th row from there on. No latch is held.
template <class Next>
void read_rows_ahead(SystemParts& parts, TreeState& state, std::size_t rows, Next&& next) {
  constexpr std::size_t kRowsAhead = 16;
  rows = std::min({rows, kRowsAhead, static_cast<std::size_t>(parts.buffer().frame_count() / 16)});
  for (std::size_t i = 0; i < rows; ++i) {
    PageId leaf;
    static_cast<void>(state.tree->locate(next(i), &leaf));  // a miss begins the read
  }
}

}  // namespace rustbd::txn
