// Sort and TopN.
#include "rustbd/exec/sorted_rows.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

class SortSink final : public Sink {
 public:
  SortSink(RunState& run, const PlanNode& plan_node, const Layout& in)
      : Sink(plan_node.id), run_(run), plan_(plan_node), layout_(in.types) {
    for (const auto& key : plan_node.sort_keys) {
      const auto at = in.position(key.column);
      key_positions_.push_back(at);
      parts_.push_back({in.types[at], key.descending, key.nulls_first});
    }
    rows_ = std::make_shared<SortedRows>(run.memory, layout_, parts_);
  }
  struct Local final : LocalState {
    Local(MemoryTracker& memory, const RowLayout& layout, const std::vector<types::KeyPart>& parts)
        : rows(memory, layout, parts) {}
    SortedRows rows;
    std::vector<Vector> keys;
  };
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    auto local = std::make_unique<Local>(run_.memory, layout_, parts_);
    local->keys.resize(parts_.size());
    if (plan_.kind == plan::NodeKind::kTopN && !plan_.with_ties) {
      const auto limit = row_count_of(plan_.limit.get(), context, UINT64_MAX, true);
      const auto offset = row_count_of(plan_.offset.get(), context, 0, false);
      const auto bound = limit > UINT64_MAX - offset ? UINT64_MAX : limit + offset;
      local->rows.set_bound(bound);
      rows_->set_bound(bound);
    }
    return local;
  }
  void reset() override { rows_->clear(); }
  Flow sink(TaskContext&, LocalState* state, Chunk& in) override {
    auto& local = static_cast<Local&>(*state);
    for (std::size_t i = 0; i < parts_.size(); ++i) local.keys[i] = in.columns[key_positions_[i]];
    local.rows.append(in.columns, local.keys.data(), in.selection);
    return Flow::need();
  }
  void combine(TaskContext&, LocalState* state) override { rows_->adopt(static_cast<Local&>(*state).rows); }
  Flow finalize(TaskContext& context) override {
    context.check_cancel();
    rows_->sort();
    return Flow::finished();
  }
  [[nodiscard]] const std::shared_ptr<SortedRows>& rows() const { return rows_; }

 private:
  RunState& run_;
  const PlanNode& plan_;
  const RowLayout layout_;
  std::vector<std::uint32_t> key_positions_;
  std::vector<types::KeyPart> parts_;
  std::shared_ptr<SortedRows> rows_;
};

class SortedSource final : public Source {
 public:
  SortedSource(const PlanNode& plan_node, std::shared_ptr<SortedRows> rows,
               std::vector<std::uint32_t> positions)
      : Source(plan_node.id), plan_(plan_node), rows_(std::move(rows)), positions_(std::move(positions)) {}
  struct Local final : LocalState {
    std::size_t next = 0;
    OutputColumns output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    auto local = std::make_unique<Local>();
    local->output.reset(positions_.size());
    if (plan_.kind == plan::NodeKind::kTopN && !plan_.with_ties)
      local->next = row_count_of(plan_.offset.get(), context, 0, false);
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    std::uint32_t n = 0;
    const auto& entries = rows_->entries();
    while (n < context.run.chunk_rows() && local.next < entries.size()) rows[n++] = entries[local.next++].row;
    if (n == 0) return Flow::finished();
    for (std::size_t i = 0; i < positions_.size(); ++i)
      gather_rows(rows_->layout(), {rows, n}, positions_[i], local.output.buffer(i), local.output[i]);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  const PlanNode& plan_;
  const std::shared_ptr<SortedRows> rows_;
  const std::vector<std::uint32_t> positions_;
};

}  // namespace

void build_sort(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  const auto in = builder.layout(*node.children[0]);
  auto sink = std::make_shared<SortSink>(builder.run, node, in);
  builder.build_into(*node.children[0], sink, true);
  current.parallel_safe = false;
  std::vector<std::uint32_t> positions;
  const bool ties = node.kind == plan::NodeKind::kTopN && node.with_ties;
  for (const auto id : ties ? in.ids : node.output) positions.push_back(in.position(id));
  current.source = std::make_unique<SortedSource>(node, sink->rows(), std::move(positions));
  if (ties) add_limit(builder, node, current, in);
}

}  // namespace rustbd::exec
