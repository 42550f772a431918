// Keys of an index with expressions or a predicate: only who holds the expressions can compute them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "rustbd/base/arena.h"
#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/storage/rows/row_format.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/txn/outcome.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn {

class Table;
class TableScan;
struct IndexPart;
struct ReadView;

/// Values of the kExpressionColumn parts and the membership of rows: `chunk` has all columns of the layout
/// and the row ids; fills one vector per expression part and the bytes `member[row]`. May throw Error.
using ComputeKeys = std::move_only_function<void(const types::Chunk& chunk, std::vector<types::Vector>* parts,
                                                 std::uint8_t* member)>;
/// That function of an index; nothing: its keys cannot be computed.
using KeysOf = std::function<std::optional<ComputeKeys>(const storage::IndexLayout& index)>;

/// The entries that the visible rows of a table have in such an index. Threads: one at a time; no latch
/// between calls. `table`, `part` and `compute` outlive it.
class ComputedKeyScan {
 public:
  ComputedKeyScan(Table& table, const IndexPart& part, const ReadView& view, ComputeKeys& compute);
  ~ComputedKeyScan();
  /// kOk: visit() was called for the entries of the next rows, in order of row ids; there may be none. kEnd.
  /// kBlocked and errors as TableScan::next(). `null`: a part of the key is null.
  Outcome next(const std::function<void(RowId row, ByteSpan key, bool null)>& visit);

 private:
  Table& table_;
  const IndexPart& part_;
  ComputeKeys& compute_;
  std::vector<storage::ColumnNumber> columns_;  // all
  std::unique_ptr<TableScan> rows_;
  types::ChunkBuffer out_;
  std::vector<std::uint8_t> member_;
  std::vector<types::Vector> values_;  // of the expressions
  std::vector<storage::Cell> cells_;
  Arena arena_{4096};
  Bytes key_;
};

}  // namespace rustbd::txn
