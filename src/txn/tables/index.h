// Index: reads of a B+tree index by normalised keys, with visibility and key recheck (storage.md §4.2, I10).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rustbd/base/bytes.h"
#include "rustbd/base/ids.h"
#include "rustbd/base/small_vector.h"
#include "rustbd/txn/outcome.h"
#include "rustbd/txn/tables/computed_keys.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn {

/// Appends the normalised form of the leading parts of an index key: one Datum per part.
void append_index_key(const storage::IndexLayout& index, std::span<const types::Datum> values,
                      std::span<const bool> nulls, Bytes& out);

/// A range of normalised keys, compared as byte strings. A bound that is a prefix of a key (fewer columns)
/// means, if inclusive: all keys with that prefix are in (both for lower and upper); if exclusive: none of
/// them is.
struct KeyRange {
  Bytes lower;  // empty with has_lower = false
  Bytes upper;
  bool has_lower = false;
  bool has_upper = false;
  bool lower_inclusive = true;
  bool upper_inclusive = true;
  static KeyRange all() { return {}; }
  static KeyRange equal(Bytes key) {
    KeyRange r;
    r.lower = key;
    r.upper = std::move(key);
    r.has_lower = r.has_upper = true;
    return r;
  }
};

enum class ScanDirection : std::uint8_t { kForward, kBackward };

/// Visible rows in key order, with the columns that the caller wants. Threads: one at a time; no latch
/// between calls.
class IndexScan {
 public:
  /// `columns`: output columns from the table; `with_row_ids`: one more kU64 vector at the end.
  IndexScan(Table& table, IndexId index, const ReadView& view, const KeyRange& range, ScanDirection direction,
            std::span<const ColumnNumber> columns, bool with_row_ids = true);
  ~IndexScan();
  IndexScan(IndexScan&&) noexcept;
  /// Starts again with another range (the inner side of an index join) and view, keeping buffers.
  void restart(const ReadView& view, const KeyRange& range);
  /// Between two ranges: bytes that it keeps.
  [[nodiscard]] std::size_t bytes_kept() const;
  [[nodiscard]] std::span<const types::Phys> output() const { return phys_; }
  /// kOk: 1..1024 visible rows in key order. kEnd. kBlocked. `limit`: at most that many rows are wanted now.
  Outcome next(types::ChunkBuffer& out, std::uint32_t limit = types::kVectorSize);

 private:
  struct Cursor;
  Table& table_;
  ReadView view_;
  SmallVector<ColumnNumber, 8> columns_;
  PhysList phys_;
  bool with_row_ids_;
  std::unique_ptr<Cursor> cursor_;
};

/// Point look-up in a unique index: the row with this full key as `view` sees it. kEnd: none.
Outcome lookup_unique(Table& table, IndexId index, const ReadView& view, ByteSpan key, RowId* out);
/// The newest committed or own row with this key, whatever the snapshot (ON CONFLICT, foreign keys). kEnd:
/// none.
Outcome lookup_newest(Table& table, Transaction& txn, IndexId index, ByteSpan key, RowId* out);

/// Builds the index `index` of `table`'s new layout from the rows: all versions that some snapshot may still
/// see get an entry. The caller holds a table lock of SHARE or stronger and has called
/// DdlWriter::create_index. kDuplicate: `row`.
Task<Outcome> build_index(Table& table, IndexId index, Transaction& txn, ComputeKeys* compute = nullptr);

}  // namespace rustbd::txn
