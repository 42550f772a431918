// Reading rows as a view sees them: the walk down a version chain, and putting its values into chunks
// (storage.md §4.2).
#pragma once

#include <vector>

#include "rustbd/txn/row_codec.h"
#include "rustbd/txn/system_parts.h"

namespace rustbd::txn {

/// Sets a value and its validity, also over a null that stands there.
void put_value(types::ChunkBuffer& out, std::uint32_t column, std::uint32_t row, const types::Datum& value,
               bool is_null);

/// Collects values that stand in overflow pages until the latch is gone.
struct OverflowList {
  std::vector<storage::OverflowValue> values;
  void forget(std::uint32_t column, std::uint32_t row) {
    std::erase_if(values, [&](const auto& v) { return v.chunk_column == column && v.row == row; });
  }
};

enum class Seen : std::uint8_t { kVisible, kAbsent, kWait };

class RowReader {
 public:
  RowReader(SystemParts& parts, const TableFormat& format, const ReadView& view)
      : parts_(parts), format_(format), view_(view) {}

  /// Whether the row is there for the view; needs no payload. `noted`: counts what it shows (note_seen).
  [[nodiscard]] bool visible(const ChainHead& chain, bool tombstone, bool note);
  /// Applies the before images down to the version that the view sees: apply(column, cell). @pre visible().
  /// Not kOk: a spilled payload is not in memory.
  template <class Apply>
  storage::Status rewind(const ChainHead& chain, Apply&& apply);
  /// The same for one row of a chunk. columns[i] is chunk column i.
  storage::Status rewind_chunk(const ChainHead& chain, std::span<const ColumnNumber> columns,
                               types::ChunkBuffer& out, std::uint32_t row, OverflowList* overflow);
  [[nodiscard]] const ReadView& view() const { return view_; }
  /// Reads one value from its chain into the chunk.
  storage::Status read_overflow(const storage::OverflowValue& value, ColumnNumber column,
                                types::ChunkBuffer& out);

 private:
  SystemParts& parts_;
  const TableFormat& format_;
  const ReadView& view_;
  Bytes scratch_;
};

/// The index entry that led to a row, copied out of its leaf some time ago.
struct IndexHit {
  const IndexPart& part;
  ByteSpan key;
  std::uint64_t removals;  // IndexBatch::removals
};

/// Appends visible rows to a chunk, one by one; keeps the leaf of the last one latched shared in between, so
/// nobody may wait while it lives. With a `hit`, a row counts only if its visible image has the entry's key
/// (I10).
class RowFetcher {
 public:
  enum class Result : std::uint8_t { kAdded, kSkipped, kStop };
  RowFetcher(SystemParts& parts, TreeState& state, const TableFormat& format, const ReadView& view,
             std::span<const ColumnNumber> columns, types::ChunkBuffer& out)
      : parts_(parts),
        state_(state),
        format_(format),
        columns_(columns),
        out_(out),
        reader_(parts, format, view) {}
  /// kStop: `*outcome` is kBlocked or a failure, nothing was added; the latch is gone.
  Result add(RowId row, std::uint32_t at, const IndexHit* hit, Outcome* outcome);
  void release() { leaf_.release(); }

 private:
  storage::Status key_matches(const IndexHit& hit, RowId row, const ChainHead& chain, std::uint32_t slot,
                              bool* same);
  storage::Status stored_key_matches(const IndexHit& hit, const ChainHead& chain, std::uint32_t slot,
                                     bool* same);
  storage::Status computed_key_matches(const IndexHit& hit, const ChainHead& chain, bool* same,
                                       bool* decided);
  storage::Status try_add(RowId row, std::uint32_t at, const IndexHit* hit, bool* added);
  /// The leaf cannot be read in this format.
  storage::Status unreadable() const { return storage::Status::damaged(leaf_.page_id(), state_.id.raw()); }
  SystemParts& parts_;
  TreeState& state_;
  const TableFormat& format_;
  std::span<const ColumnNumber> columns_;
  types::ChunkBuffer& out_;
  RowReader reader_;
  storage::SharedGuard leaf_;
  storage::LeafView page_;
  PageId hint_;
  OverflowList overflow_;
  Arena arena_{1024};
};

/// The chunk buffer with exactly these columns, emptied.
void prepare_chunk(types::ChunkBuffer& out, std::span<const types::Phys> phys);
PhysList phys_of(const TableFormat& format, std::span<const ColumnNumber> columns, bool row_ids);

template <class Apply>
storage::Status RowReader::rewind(const ChainHead& chain, Apply&& apply) {
  for (const UndoRec* r = chain.head; r != nullptr && !view_stops(view_, *r);
       r = r->older.load(std::memory_order_acquire)) {
    if (r->op != UndoOp::kUpdate) continue;
    ByteSpan payload;
    storage::Status status;
    if (!parts_.load_payload(*r, scratch_, &payload, &status)) return status;
    read_undo_update(
        payload, format_, [&](ColumnNumber c, const Cell& cell) { apply(c, cell, *r); }, nullptr);
  }
  return {};
}

}  // namespace rustbd::txn
