// RowWriter: one write of a row as one action: latch all that it will touch, check, and only then change
// bytes (storage.md §3, §4.3). Used by Table's insert, update, remove and lock_row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rustbd/log/events.h"
#include "rustbd/txn/row_codec.h"
#include "rustbd/txn/system_parts.h"
#include "rustbd/txn/tables/table.h"

namespace rustbd::txn {

/// Memory of a write; belongs to the transaction, so that what was staged outside the gate survives a
/// kBlocked.
struct WriteScratch {
  struct Staged {  // a value on its way to overflow pages
    TableId table;
    ColumnNumber column;
    std::string bytes;
    std::unique_ptr<storage::OverflowWrite> write;
    bool done = false;
  };
  struct Known {  // an overflow value that was read back
    storage::OverflowRef ref;
    std::string bytes;
  };
  struct Entry {
    const IndexPart* part;
    Bytes key;
    bool has_null = false;
  };
  Arena arena{4096};
  std::vector<Cell> full;  // new values as given: of the row, or of the changed columns
  std::vector<Cell> old_row, new_row;
  std::vector<Cell> old_keys, new_keys;     // the same with the columns of keys read back
  std::vector<Cell> log_before, log_after;  // of the changed columns, read back
  std::vector<ColumnNumber> changed;
  std::vector<Cell> before, after;
  std::vector<Entry> entries;
  std::vector<ComputedEntry> computed;
  Bytes payload, body;
  std::vector<Staged> staged;
  std::vector<Known> known;
  std::vector<RowId> gone;  // other rows of a unique key that are no more

  /// Too large to be kept for the session's next transaction.
  [[nodiscard]] bool is_large() const {
    return arena.bytes_reserved() + payload.capacity() + body.capacity() > kKeptBytesMax;
  }
  static constexpr std::size_t kKeptBytesMax = 64 << 10;

  void begin() {
    arena.reset();
    full.clear();
    entries.clear();
    computed.clear();
    gone.clear();
    payload.clear();
    body.clear();
  }
};

/// Entries of one action, one per index, in id order.
class EntryLatches {
 public:
  explicit EntryLatches(std::size_t n) {
    inserts_.reserve(n);
    removes_.reserve(n);
    probes_.reserve(n);
  }
  storage::Status insert(storage::IndexTree& tree, ByteSpan key, RowId row);
  storage::Status insert_probed(storage::UniqueProbe&& probe, storage::IndexTree& tree, ByteSpan key,
                                RowId row);
  storage::Status remove(storage::IndexTree& tree, ByteSpan key, RowId row);
  storage::DirtyResult mark_dirty();
  void apply();
  /// After kFull: where there was no room.
  storage::IndexTree* full_tree = nullptr;
  Bytes full_key;
  RowId full_row;
  struct Emptied {
    storage::IndexTree* tree;
    Bytes key;
    RowId row;
  };
  std::vector<Emptied> emptied;  // by apply()

 private:
  struct Removal {
    storage::IndexTree* tree;
    Bytes key;
    RowId row;
    storage::IndexRemove remove;
  };
  storage::Status note_full(storage::Status status, storage::IndexTree& tree, ByteSpan key, RowId row);
  std::vector<storage::UniqueProbe> probes_;
  std::vector<storage::IndexInsert> inserts_;
  std::vector<Removal> removes_;
};

/// The collector takes them out of their trees.
void note_emptied(SystemParts& parts, TableId table, const TableFormat& format,
                  std::vector<EntryLatches::Emptied>&& leaves);

class RowWriter {
 public:
  RowWriter(Table& table, Transaction& txn);

  /// `bulk`: into a block of row ids that has one undo record for all (storage.md §4.2, bulk_owner).
  /// @pre no index of the table has computed keys.
  Outcome insert(RowRef row, const WriteExtras& extras, bool bulk, RowId* out);
  Outcome update(RowId row, std::span<const ColumnNumber> changed, RowRef values, const WriteExtras& extras,
                 std::uint64_t accept_newer);
  Outcome remove(RowId row, const WriteExtras& extras, std::uint64_t accept_newer);
  Outcome lock(RowId row, RowLockMode mode, WaitPolicy policy, std::uint64_t accept_newer);
  /// The change that an event of a prepared transaction describes, once more (recovery): without the checks,
  /// which it passed when it was made, and without an event. kDamaged: it does not fit the table.
  Outcome redo(const log::Event& event);
  /// The unique check of one key for a row that is in the table already (deferred constraints).
  Outcome check_unique(const IndexPart& part, ByteSpan key, RowId row);

 private:
  struct Redo {
    RowId row;
    std::vector<ColumnNumber> columns;  // of an update
    std::vector<Cell> cells;            // new values, in full
    std::vector<ComputedEntry> computed;
  };
  enum class Step : std::uint8_t { kDone, kRestart, kReturn };
  /// What is to be done outside the gate before the next attempt.
  struct After {
    bool split_leaf = false;
    RowId split_row;
    storage::IndexTree* split_tree = nullptr;
    Bytes split_key;
    bool wait = false;
    LockKey wait_key;
    RowLockMode wait_mode = RowLockMode::kNone;
    TxnState* running = nullptr;
    std::uint32_t rollbacks = 0;  // of `running` when its change was met
    RowId look_at;
    bool read_overflow = false;
    storage::OverflowRef overflow;
    std::size_t log_bytes = 0;  // of the event, when the log buffer has no room for it
  };
  template <class Body>
  Outcome run(WaitPolicy policy, Body&& body);
  Outcome do_after(After& after, WaitPolicy policy, Step* step);
  Step status_step(const storage::Status& status, Outcome* out);
  Step dirty_step(const storage::DirtyResult& dirty, Outcome* out);
  Step too_large(Outcome* out);

  void given_row(RowRef row);
  void given_columns(std::span<const ColumnNumber> changed, RowRef values);
  bool needs_staging(ColumnNumber column, std::string_view bytes);
  Outcome run_staging();
  void drop_staging(std::span<const ColumnNumber> kept);
  bool log_has_room(std::span<const ColumnNumber> columns, std::span<const Cell> a, std::span<const Cell> b,
                    After* after) const;
  const WriteScratch::Staged* staged(ColumnNumber column) const;
  void computed_entries(const WriteExtras& extras, std::span<const Cell> old_row,
                        std::span<const Cell> new_row);
  bool resolve(Cell* cell, ColumnNumber column, After* after);
  bool resolve_columns(std::vector<Cell>& row, const std::vector<bool>* wanted, After* after);

  Step check_newer(const ChainHead& chain, const UndoRec* newest, bool tombstone, RowLockMode mode,
                   std::uint64_t accept_newer, Outcome* out);
  Step check_conflict(RowId row, bool found, bool tombstone, RowLockMode mode, std::uint64_t accept_newer,
                      Outcome* out, After* after);
  Step add_entries(EntryLatches& latches, const storage::LeafView* own_leaf, RowId row,
                   const WriteExtras& extras, Outcome* out, After* after);
  Step check_others(const IndexPart& part, ByteSpan key, RowId row, std::span<const RowId> others,
                    const storage::LeafView* own_leaf, Outcome* out, After* after);
  Step judge_other(const IndexPart& part, ByteSpan key, RowId other, const storage::LeafView& leaf,
                   ChainHead chain, Outcome* out, After* after);
  UndoRec* push_record(UndoOp op, std::uint8_t flags, RowId row);
  [[nodiscard]] UndoRec* open_block() const;
  UndoRec* begin_block();
  void count_rows(std::int64_t delta);

  Table& table_;
  Transaction& txn_;
  SystemParts& parts_;
  TreeState& state_;
  const TableFormat& format_;
  WriteScratch& s_;
  RowId written_;
  PageId hint_;
  const Redo* redo_ = nullptr;  // not null: inside redo()
};

}  // namespace rustbd::txn
