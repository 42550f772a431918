// How operators reach rows: the repositories of the row world. `engine` implements them over txn (and for the
// catalog's virtual relations), `cluster` will over the network. Operators see no page, no lock and no
// transaction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rustbd/io/wait.h"
#include "rustbd/plan/physical.h"
#include "rustbd/types/vector.h"

namespace rustbd::exec {

/// What a stage or an access answers.
enum class State : std::uint8_t { kHaveOutput, kNeedInput, kFinished, kBlocked };
struct Flow {
  State state = State::kNeedInput;
  io::WaitToken token{};  // of kBlocked: wait for it, then call again with the same arguments
  static Flow output() { return {State::kHaveOutput}; }
  static Flow need() { return {State::kNeedInput}; }
  static Flow finished() { return {State::kFinished}; }
  static Flow blocked(io::WaitToken token) { return {State::kBlocked, std::move(token)}; }
};

/// A half-open range of row ids, cut from the tree as a hint. Number = position in row-id order.
struct Morsel {
  RowId first{};
  RowId end{};
  std::uint64_t number = 0;
};

/// A scan by one worker over morsels. next() fills flat vectors of the requested columns (kRowIdAttribute:
/// kU64).
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual void start(const Morsel& morsel) = 0;
  /// kHaveOutput: `out` has rows; kFinished: the morsel is done; kBlocked. Throws Error (XX001, ...).
  virtual Flow next(types::ChunkBuffer& out) = 0;
};

/// Keys are values of the index's parts; the access encodes them.
struct IndexBounds {
  std::vector<types::Value> equal;  // leading parts; is_null = IS NULL
  bool has_lower = false, has_upper = false, lower_inclusive = true, upper_inclusive = true;
  types::Value lower, upper;  // of the part after `equal`; NULL bound: nothing matches (checked by exec)
};

/// Rows of one index range in key order (or backwards), visible to the statement, with the requested columns.
class IndexSource {
 public:
  virtual ~IndexSource() = default;
  /// Reads as the factory's present statement sees it.
  virtual void start(const IndexBounds& bounds, bool backward) = 0;
  virtual Flow next(types::ChunkBuffer& out) = 0;
  /// Lets go of what belongs to the statement that ends; start() may follow in the factory's next one. False:
  /// it would keep too much memory.
  virtual bool rest() { return false; }
};

enum class WriteResult : std::uint8_t {
  kDone,
  kBlocked,
  kChanged,   // READ COMMITTED: a newer committed version exists: fetch_newest, re-check, call again
  kGone,      // deleted meanwhile, or changed by this command already: skip, no count
  kConflict,  // INSERT with ON CONFLICT: `conflicting_row` has the same key; committed
  kConflictRunningOwnCommand,  // ... made by this very command: 21000 for DO UPDATE
};
struct WriteFlow {
  WriteResult result = WriteResult::kDone;
  io::WaitToken token{};
  RowId row{};  // INSERT: the new row; conflicts: the row in the way
};

/// Values of new rows, in the order of the relation's columns (index = attnum - 1; dropped columns hold
/// nulls), with computed index keys: index_keys[k] for each expression part over all indexes with expressions
/// in index order, index_member[k] a boolean for each partial index.
struct NewRows {
  std::span<const types::Vector> columns;
  std::span<const types::Vector> index_keys;
  std::span<const types::Vector> index_member;
};

/// One relation within one statement: its snapshot, its command number, its transaction. Writes: one worker
/// at a time.
class TableAccess {
 public:
  virtual ~TableAccess() = default;
  virtual std::unique_ptr<RowSource> scan(std::span<const plan::TargetColumn> columns) = 0;
  /// Cuts the table into morsels; at least one.
  virtual std::vector<Morsel> morsels() = 0;
  virtual std::unique_ptr<IndexSource> index_scan(const catalog::Index& index,
                                                  std::span<const plan::TargetColumn> columns) = 0;
  /// The write of rows[row]. `conflict_indexes`: with ON CONFLICT, unique violations there answer kConflict
  /// instead of 23505 (empty and on_conflict set: any). Throws Error for everything that ends the statement
  /// (23505, 40001, ...).
  virtual WriteFlow insert(const NewRows& rows, std::uint32_t row, bool on_conflict,
                           std::span<const Oid> conflict_indexes) = 0;
  /// `changed`: the columns that get new values. rows.columns holds the whole new row.
  virtual WriteFlow update(RowId id, std::span<const catalog::AttributeNumber> changed, const NewRows& rows,
                           std::uint32_t row) = 0;
  virtual WriteFlow remove(RowId id) = 0;
  virtual WriteFlow lock(RowId id, plan::LockStrength strength, plan::LockWait wait) = 0;
  /// The newest committed or own version into row 0 of `out`, locked for update when `lock` is set.
  /// kFinished: gone.
  virtual Flow fetch_newest(RowId id, std::span<const plan::TargetColumn> columns, bool lock,
                            types::ChunkBuffer& out) = 0;
};

/// Makes accesses for the relations of a plan. Of one statement at a time.
class AccessFactory {
 public:
  virtual ~AccessFactory() = default;
  virtual TableAccess& table(const std::shared_ptr<const catalog::Relation>& relation) = 0;
  /// After the last change of the statement, whatever table it was in: deferred unique checks, foreign keys.
  /// Called until not kBlocked.
  virtual Flow end_statement() = 0;
};

}  // namespace rustbd::exec
