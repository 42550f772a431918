// Size estimates of tables by id, for planning: taken without a lock, so the table may be gone.
#pragma once

#include "rustbd/base/ids.h"
#include "rustbd/storage/rows/table_layout.h"

namespace rustbd::txn {

class TransactionSystem;

struct TableEstimate {
  double rows = 0;
  double pages = 1;
};
/// Zero rows for a table that is not there (any more). Threads: any.
TableEstimate estimate_size(TransactionSystem& system, const storage::TableLayout& layout);
/// Pages of one of the layout's indexes; 0: the layout has none of this id. Threads: any.
double estimate_index_pages(TransactionSystem& system, const storage::TableLayout& layout, IndexId index);

}  // namespace rustbd::txn
