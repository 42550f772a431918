// Stages that keep rows and give them out again.
#pragma once

#include "rustbd/exec/builder.h"
#include "rustbd/exec/row_table.h"

namespace rustbd::exec {

/// Bytes that an owner reports to the tracker; given back at the end.
class Charge {
 public:
  explicit Charge(MemoryTracker& memory) : memory_(&memory) {}
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge() { memory_->charge(-held_); }
  void set(std::size_t now) {
    const auto delta = static_cast<std::int64_t>(now) - held_;
    held_ += delta;
    if (delta != 0) memory_->charge(delta);
  }

 private:
  MemoryTracker* memory_;
  std::int64_t held_ = 0;
};

/// Keeps all rows of a pipeline, each worker in a table of its own until combine().
class CollectSink : public Sink {
 public:
  CollectSink(RunState& run, std::uint32_t id, const Layout& layout)
      : Sink(id), run_(run), layout_(layout.types), table_(std::make_shared<RowTable>(run.memory, layout_)) {}
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    return std::make_unique<Local>(run_.memory, layout_);
  }
  void reset() override { table_->clear(); }
  Flow sink(TaskContext&, LocalState* state, Chunk& in) override {
    static_cast<Local&>(*state).table.append(in.columns, in.selection);
    return Flow::need();
  }
  void combine(TaskContext&, LocalState* state) override { table_->adopt(static_cast<Local&>(*state).table); }
  [[nodiscard]] const std::shared_ptr<RowTable>& table() const { return table_; }

 private:
  struct Local final : LocalState {
    Local(MemoryTracker& memory, const RowLayout& layout) : table(memory, layout) {}
    RowTable table;
  };
  RunState& run_;
  const RowLayout layout_;
  const std::shared_ptr<RowTable> table_;
};

/// Gives out the rows of a table: `positions` of its columns.
class RowTableSource final : public Source {
 public:
  RowTableSource(std::uint32_t id, std::shared_ptr<RowTable> table, std::vector<std::uint32_t> positions)
      : Source(id), table_(std::move(table)), positions_(std::move(positions)) {}
  struct Local final : LocalState {
    RowTable::Cursor cursor;
    OutputColumns output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.reset(positions_.size());
    return local;
  }
  bool renew(LocalState* state) override {
    auto& local = static_cast<Local&>(*state);
    local.cursor = {};
    return local.output.rest();
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    const auto n = table_->next(local.cursor, rows, context.run.chunk_rows());
    if (n == 0) return Flow::finished();
    for (std::size_t i = 0; i < positions_.size(); ++i)
      gather_rows(table_->layout(), {rows, n}, positions_[i], local.output.buffer(i), local.output[i]);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  const std::shared_ptr<RowTable> table_;
  const std::vector<std::uint32_t> positions_;
};

inline std::vector<std::uint32_t> all_positions(std::size_t n) {
  std::vector<std::uint32_t> positions(n);
  for (std::size_t i = 0; i < n; ++i) positions[i] = static_cast<std::uint32_t>(i);
  return positions;
}

}  // namespace rustbd::exec
