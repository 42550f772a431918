#include "rustbd/txn/row_counts.h"

#include <algorithm>

#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/transaction_system.h"

namespace rustbd::txn {

TableEstimate estimate_size(TransactionSystem& system, const storage::TableLayout& layout) {
  TableEstimate out;
  const auto state = system.parts().tree_state(layout.table);
  if (state == nullptr) return out;
  out.rows = static_cast<double>(std::max<std::int64_t>(0, state->live_rows.load(std::memory_order_relaxed)));
  double row_bytes = 3;
  for (const auto& column : layout.columns) {
    if (column.dropped) continue;
    constexpr double kVariableBytes = 24;  // descriptor and a short value
    row_bytes += types::is_variable(column.type.phys) ? kVariableBytes : types::width_of(column.type.phys);
  }
  constexpr double kFill = 0.75;
  out.pages = std::max(1.0, out.rows * row_bytes / (storage::kPageBytes * kFill));
  return out;
}

double estimate_index_pages(TransactionSystem& system, const storage::TableLayout& layout, IndexId index) {
  const storage::IndexLayout* found = layout.find_index(index);
  if (found == nullptr) return 0;
  double entry_bytes = 20;  // slot, row id, and what the key does not share with its neighbours' prefix
  for (const auto& part : found->parts)
    entry_bytes += 1 + (types::is_variable(part.key.type.phys) ? 16 : types::width_of(part.key.type.phys));
  constexpr double kFill = 0.7;
  return std::max(1.0, estimate_size(system, layout).rows * entry_bytes / (storage::kPageBytes * kFill));
}

}  // namespace rustbd::txn
