// Table: reads and writes of rows by transactions (storage.md §4.2, §4.3).
//
// All operations are try-forms that block no thread and throw nothing: kBlocked means await `token` and call
// again with the same arguments. One gate action a row. Rows are columns of vectors; there are no row
// objects.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rustbd/base/ids.h"
#include "rustbd/base/small_vector.h"
#include "rustbd/storage/rows/table_layout.h"
#include "rustbd/txn/locks.h"
#include "rustbd/txn/outcome.h"
#include "rustbd/txn/transaction.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn {

using storage::ColumnNumber;
/// What the columns of a chunk look like.
using PhysList = SmallVector<types::Phys, 9>;
struct TableFormat;
struct TreeState;  // what all Table objects of one table id share: row counter, counts, the trees

/// One row of vectors. For an insert: columns[i] is column i of the layout (a dropped one is not looked at
/// and may have data == nullptr). For an update: columns[i] is the new value of changed[i].
struct RowRef {
  const types::Vector* columns = nullptr;
  std::uint32_t row = 0;
};

/// What the writer computed for one index that has expressions or a predicate. All such indexes of the table
/// must be given with each write, ascending by id; the others need nothing.
struct ComputedKey {
  IndexId index;
  bool had_entry = false;  // the old image belongs to it (update, remove)
  bool has_entry = true;   // the new image belongs to it (insert, update)
  const types::Vector* before =
      nullptr;  // values of the kExpressionColumn parts of the old image, in order, at `row`
  const types::Vector* after = nullptr;  // the same of the new image
};
struct WriteExtras {
  std::span<const ComputedKey> computed{};
  std::uint32_t row = 0;  // position in the computed vectors
  /// UPDATE of many rows: a violation of a unique index is put on this list, to be checked at the statement's
  /// end (check_deferred_unique), instead of kDuplicate. Deferrable constraints use it with INSERT as well,
  /// until commit.
  class DeferredUnique* deferred = nullptr;
  /// With `deferred`: only for indexes marked deferrable.
  bool deferrable_only = false;
  /// ON CONFLICT: only violations of these indexes are the caller's; see kDuplicate's `index`. Informational.
};

/// Keys whose uniqueness is to be checked later.
class DeferredUnique {
 public:
  struct Suspect {
    TableId table;
    IndexId index;
    RowId row;
    Bytes key;  // normalised, without row id
  };
  std::vector<Suspect> suspects;
};

/// First and last row id, inclusive.
struct RowRange {
  std::uint64_t first = 1;
  std::uint64_t last = ~std::uint64_t{0} >> 1;
};

/// Cheap object: shares the state of its trees with all others of the same table id. Lives within a statement
/// or longer; the layout is the one it was made with. Threads: any, each write with its own Transaction.
class Table {
 public:
  Table(TransactionSystem& system, std::shared_ptr<const storage::TableLayout> layout);
  ~Table();
  Table(Table&&) noexcept;

  [[nodiscard]] const storage::TableLayout& layout() const { return *layout_; }
  [[nodiscard]] std::shared_ptr<const storage::TableLayout> shared_layout() const { return layout_; }
  [[nodiscard]] TransactionSystem& system() const { return system_; }

  // --- writes. `command` is the statement's command number: txn.command(). ---
  /// kDuplicate: `index`, `row` (the other row), `row_state` (kRunning is never returned: it waits).
  Outcome insert(Transaction& txn, RowRef row, const WriteExtras& extras, RowId* out);
  /// `changed` ascending. kConflict (READ COMMITTED): somebody committed a newer version than the statement's
  /// snapshot: fetch_newest(), re-check the WHERE, then call with `accept_newer` = the version that was
  /// checked.
  Outcome update(Transaction& txn, RowId row, std::span<const ColumnNumber> changed, RowRef values,
                 const WriteExtras& extras, std::uint64_t accept_newer = 0);
  Outcome remove(Transaction& txn, RowId row, const WriteExtras& extras, std::uint64_t accept_newer = 0);
  /// FOR UPDATE and the like. kConflict as in update(); kGone; kSelfModified never.
  Outcome lock_row(Transaction& txn, RowId row, RowLockMode mode, WaitPolicy policy,
                   std::uint64_t accept_newer = 0);
  /// Appends all selected rows of a chunk whose vectors are the layout's columns in order. `*done` counts
  /// selected rows already in: start with 0, keep it over kBlocked. Not for tables whose indexes need
  /// computed keys with `extras` empty. Row ids come in runs of whole blocks of 1024 (storage.md §4.2).
  /// `row_ids` (optional): one per selected row.
  Outcome bulk_append(Transaction& txn, const types::Chunk& chunk, const WriteExtras& extras,
                      std::uint32_t* done, std::uint64_t* row_ids = nullptr);

  // --- reads ---
  /// Visible images of up to 1024 rows, in the order of `rows`. `out` gets `columns` (and only visible rows);
  /// positions[i] = index into `rows` of output row i. Strings live in out's arena until its next begin().
  /// `consumed` (optional): kOk may have dealt with only the first *consumed (>= 1) of the rows; call again
  /// with the rest. Without it all rows' pages have to be in memory at once: use it for more than a handful.
  Outcome fetch(const ReadView& view, std::span<const RowId> rows, std::span<const ColumnNumber> columns,
                types::ChunkBuffer& out, std::uint16_t* positions, std::uint32_t* consumed = nullptr);
  /// The newest image that is committed or own (EvalPlanQual): one row in out, none if it is gone. `*version`
  /// names it for accept_newer. Running changes of others are looked through.
  Outcome fetch_newest(Transaction& txn, RowId row, std::span<const ColumnNumber> columns,
                       types::ChunkBuffer& out, std::uint64_t* version);
  /// One key of a unique index for the ON CONFLICT and foreign-key paths: use Index.

  /// Row ids at which a parallel scan may be cut, ascending, at most about `wanted` of them.
  Outcome morsel_boundaries(std::uint32_t wanted, std::vector<std::uint64_t>* out);
  /// Estimate of live rows, kept by commits.
  [[nodiscard]] double row_count() const;
  /// Pages of the table's tree, estimate.
  [[nodiscard]] double page_count() const;

  // --- deferred unique checks ---
  /// Checks suspects from `*done` on: kDuplicate (index, row) for the first that is violated.
  Outcome check_deferred_unique(Transaction& txn, const DeferredUnique& list, std::size_t* done);

  [[nodiscard]] TreeState& trees() { return *state_; }
  [[nodiscard]] const TableFormat& format() const { return *format_; }

 private:
  friend class TableScan;
  friend class Index;
  friend class IndexScan;
  friend class RowWriter;
  TransactionSystem& system_;
  std::shared_ptr<const storage::TableLayout> layout_;
  std::shared_ptr<TreeState> state_;
  std::shared_ptr<const TableFormat> format_;
};

/// Sequential scan of a range of row ids. Threads: one at a time. Holds no latch between calls.
class TableScan {
 public:
  /// `columns`: the output columns, in this order. `with_row_ids`: one more kU64 vector at the end.
  TableScan(Table& table, const ReadView& view, std::span<const ColumnNumber> columns, RowRange range = {},
            bool with_row_ids = true);
  ~TableScan();
  /// The physical forms of the output vectors (for the caller's information; next() resets `out` itself on
  /// first use).
  [[nodiscard]] std::span<const types::Phys> output() const { return phys_; }
  /// kOk: at least one visible row in `out`; its selection says which rows count (valid until the next call).
  /// kEnd. kBlocked. kDamaged.
  Outcome next(types::ChunkBuffer& out);

 private:
  void go_on(std::uint64_t row, PageId left);
  Table& table_;
  ReadView view_;
  SmallVector<ColumnNumber, 8> columns_;
  PhysList phys_;
  RowRange range_;
  std::uint64_t next_row_;
  bool with_row_ids_;
  bool end_ = false;
  bool entering_ = false;                   // next_row_ is in another leaf than the row before
  std::unique_ptr<class ReadAhead> ahead_;  // from the second leaf on
  types::ChunkBuffer* prepared_ = nullptr;
  std::vector<std::uint16_t> selected_;
};

}  // namespace rustbd::txn
