// For tests: a database on a simulated disk, driven by one thread, and a small table to write to.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rustbd/base/task.h"
#include "rustbd/io/simulated/simulated_disk.h"
#include "rustbd/io/simulated/simulated_executor.h"
#include "rustbd/txn/tables/index.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/txn/transaction_system.h"
#include "rustbd/types/vector.h"

namespace rustbd::txn::testing {

inline constexpr Oid kDatabase = 5;

/// id int8 not null (unique index 1), value int8 (index 2, not unique), note text null.
struct AccountIds {
  Oid relation = 0;
  TableId table;
  IndexId by_id, by_value;
};

inline storage::TableLayout account_layout(const AccountIds& ids) {
  storage::TableLayout layout;
  layout.table = ids.table;
  layout.relation = ids.relation;
  layout.database = kDatabase;
  layout.columns.resize(3);
  layout.columns[0].type = types::make_type(types::oid::kInt8);
  layout.columns[0].nullable = false;
  layout.columns[1].type = types::make_type(types::oid::kInt8);
  layout.columns[2].type = types::make_type(types::oid::kText);
  const auto index = [&](IndexId id, bool unique, ColumnNumber column) {
    storage::IndexLayout i;
    i.id = id;
    i.unique = unique;
    i.parts.push_back({column, types::KeyPart{layout.columns[column].type, false, false}});
    layout.indexes.push_back(std::move(i));
  };
  if (!ids.by_id.is_none()) index(ids.by_id, true, 0);
  if (!ids.by_value.is_none()) index(ids.by_value, false, 1);
  return layout;
}

/// One row's values as constant vectors.
class Row {
 public:
  Row(std::int64_t id, std::optional<std::int64_t> value, std::optional<std::string> note)
      : note_(std::move(note)) {
    columns_[0] = types::make_constant(types::Datum::of(id), false, types::Phys::kI64, arena_);
    columns_[1] =
        types::make_constant(types::Datum::of(value.value_or(0)), !value, types::Phys::kI64, arena_);
    columns_[2] = types::make_constant(types::Datum::of(types::Str{note_ ? std::string_view{*note_} : ""}),
                                       !note_, types::Phys::kStr, arena_);
  }
  [[nodiscard]] RowRef ref(std::size_t first = 0) const { return {columns_ + first, 0}; }

 private:
  Arena arena_{256};
  std::optional<std::string> note_;
  types::Vector columns_[3];
};

struct Seen {
  std::uint64_t row = 0;
  std::int64_t id = 0;
  std::optional<std::int64_t> value;
  std::optional<std::string> note;
  bool operator==(const Seen&) const = default;
};

inline Seen read_row(const types::Chunk& chunk, std::uint32_t i) {
  Seen s;
  s.id = chunk[0].values<std::int64_t>()[i];
  if (chunk[1].is_valid(i)) s.value = chunk[1].values<std::int64_t>()[i];
  if (chunk[2].is_valid(i)) s.note = std::string(chunk[2].values<types::Str>()[i].view());
  if (chunk.column_count > 3) s.row = chunk[3].values<std::uint64_t>()[i];
  return s;
}

inline constexpr ColumnNumber kAllColumns[3] = {0, 1, 2};

/// Repeats an attempt; waits on this thread.
template <class Attempt>
Outcome run(Attempt&& attempt) {
  return until_done_blocking(std::forward<Attempt>(attempt));
}
/// Runs a task to its end on this thread. Waits of the coroutine need a lane: it runs as a job of the
/// executor's pool.
template <class T>
T run_task(io::Executor& executor, Task<T> task) {
  std::optional<T> result;
  const io::WaitToken done = io::WaitToken::make(io::WaitReason::kTask);
  executor.workers().post([&] {
    detach([](Task<T> inner, std::optional<T>* out) -> Task<> { *out = co_await std::move(inner); }(
                                                        std::move(task), &result),
           [&] { done.fire(); });
  });
  done.wait_blocking();
  return std::move(*result);
}
inline void run_task(io::Executor& executor, Task<> task) {
  const io::WaitToken done = io::WaitToken::make(io::WaitReason::kTask);
  executor.workers().post([&] { detach(std::move(task), [&] { done.fire(); }); });
  done.wait_blocking();
}

class TestDatabase {
 public:
  explicit TestDatabase(std::uint64_t seed, std::uint64_t buffer_bytes = 4 << 20)
      : executor_(seed),
        disk_(std::make_unique<io::SimulatedDisk>(seed + 1, io::SimulatedFaults{}, &executor_)),
        buffer_bytes_(buffer_bytes) {}
  ~TestDatabase() {
    system_.reset();
    executor_.stop();
  }
  Options options;
  bool fatal = false;

  void open() {
    options.buffer_bytes = buffer_bytes_;
    options.log_segment_bytes = 1 << 20;
    options.log_ring_bytes = 256 << 10;
    options.preallocate_log = false;
    options.data_grow_bytes = 1 << 20;
    options.on_fatal = [this](std::string_view) { fatal = true; };
    fatal = false;
    system_ =
        TransactionSystem::open({disk_.get(), &executor_.clock(), &executor_.random(), &executor_}, options);
  }
  void close() {
    system_->close();
    system_.reset();
  }
  /// As a power failure: what was not synced may be lost.
  void crash() {
    disk_->crash();
    system_.reset();
    disk_->restart();
  }
  [[nodiscard]] TransactionSystem& system() { return *system_; }
  [[nodiscard]] bool is_open() const { return system_ != nullptr; }
  void drop() { system_.reset(); }
  [[nodiscard]] io::SimulatedDisk& disk() { return *disk_; }
  [[nodiscard]] io::SimulatedExecutor& executor() { return executor_; }

  Outcome commit(Transaction& txn, CommitMode mode = CommitMode::kSync) {
    return run_task(executor_, txn.commit(mode));
  }
  void abort(Transaction& txn) { run_task(executor_, txn.abort()); }
  void rollback_to(Transaction& txn, Savepoint sp) { run_task(executor_, txn.rollback_to(sp)); }

  AccountIds make_accounts(bool second_index = true) {
    auto locker = system_->make_locker(1);
    auto txn = system_->begin(*locker);
    txn->begin_statement();
    AccountIds ids;
    ids.relation = system_->new_object_id();
    ids.table = TableId{ids.relation};
    ids.by_id = system_->new_index_id();
    if (second_index) ids.by_value = system_->new_index_id();
    const auto layout = account_layout(ids);
    const Outcome made = run([&] { return system_->create_table(*txn, layout); });
    RUSTBD_ASSERT(made.ok());
    RUSTBD_ASSERT(commit(*txn).ok());
    return ids;
  }
  [[nodiscard]] Table table(const AccountIds& ids) {
    return Table(*system_, system_->layout_of(kDatabase, ids.relation));
  }

  static std::vector<Seen> scan(Table& table, const ReadView& view) {
    TableScan scan(table, view, kAllColumns);
    types::ChunkBuffer out;
    std::vector<Seen> rows;
    for (;;) {
      const Outcome o = run([&] { return scan.next(out); });
      if (o.status == Status::kEnd) return rows;
      RUSTBD_ASSERT(o.ok());
      for (std::uint32_t i = 0; i < out.chunk().count(); ++i)
        rows.push_back(read_row(out.chunk(), out.chunk().selection[i]));
    }
  }
  static std::vector<Seen> index_scan(Table& table, IndexId index, const ReadView& view, KeyRange range,
                                      ScanDirection direction = ScanDirection::kForward) {
    IndexScan scan(table, index, view, std::move(range), direction, kAllColumns);
    types::ChunkBuffer out;
    std::vector<Seen> rows;
    for (;;) {
      const Outcome o = run([&] { return scan.next(out, 7); });
      if (o.status == Status::kEnd) return rows;
      RUSTBD_ASSERT(o.ok());
      for (std::uint32_t i = 0; i < out.chunk().count(); ++i)
        rows.push_back(read_row(out.chunk(), out.chunk().selection[i]));
    }
  }
  static Bytes key(Table& table, IndexId index, std::int64_t value) {
    const types::Datum datum = types::Datum::of(value);
    const bool null = false;
    Bytes out;
    append_index_key(*table.layout().find_index(index), {&datum, 1}, {&null, 1}, out);
    return out;
  }

 private:
  io::SimulatedExecutor executor_;
  std::unique_ptr<io::SimulatedDisk> disk_;
  std::uint64_t buffer_bytes_;
  std::unique_ptr<TransactionSystem> system_;
};

}  // namespace rustbd::txn::testing
