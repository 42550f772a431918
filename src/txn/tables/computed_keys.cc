#include "rustbd/txn/tables/computed_keys.h"

#include <algorithm>

#include "rustbd/txn/row_codec.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::txn {

ComputedKeyScan::ComputedKeyScan(Table& table, const IndexPart& part, const ReadView& view,
                                 ComputeKeys& compute)
    : table_(table), part_(part), compute_(compute), member_(types::kVectorSize) {
  for (std::size_t i = 0; i < table.layout().columns.size(); ++i)
    columns_.push_back(static_cast<storage::ColumnNumber>(i));
  rows_ = std::make_unique<TableScan>(table, view, columns_);
  cells_.resize(columns_.size());
}
ComputedKeyScan::~ComputedKeyScan() = default;

Outcome ComputedKeyScan::next(const std::function<void(RowId row, ByteSpan key, bool null)>& visit) {
  Outcome outcome = rows_->next(out_);
  if (!outcome.ok()) return outcome;
  const types::Chunk& chunk = out_.chunk();
  std::fill(member_.begin(), member_.end(), std::uint8_t{1});
  values_.clear();
  compute_(chunk, &values_, member_.data());
  arena_.reset();
  for (std::uint32_t i = 0; i < chunk.count(); ++i) {
    const std::uint32_t row = chunk.selection[i];
    if (member_[row] == 0) continue;
    for (const auto& p : part_.layout->parts) {
      if (p.column == storage::IndexLayout::kExpressionColumn) continue;
      const types::Vector& v = chunk[p.column];
      cells_[p.column] = storage::make_cell(v.datum(row), !v.is_valid(row), v.phys, arena_);
    }
    key_.clear();
    bool null = false;
    append_computed_key(table_.format(), *part_.layout, cells_, values_.data(), row, arena_, key_, &null);
    visit(RowId{chunk[columns_.size()].values<std::uint64_t>()[row]}, key_, null);
  }
  return outcome;
}

}  // namespace rustbd::txn
