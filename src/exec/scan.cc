// Table and index scans: filter over what was read, then the output columns.
#include "rustbd/base/small_vector.h"
#include "rustbd/exec/builder.h"
#include "rustbd/exec/constants.h"
#include "rustbd/exec/index_range.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

/// What both scans share: cutting chunks to size, the filter, the choice of output columns.
class ScanSource : public Source {
 public:
  ScanSource(PipelineBuilder& builder, const PlanNode& plan_node)
      : Source(plan_node.id),
        plan_(plan_node),
        columns_(Layout::of(builder.run, plan_node.columns)),
        filter_(plan_node.filter.get(), columns_),
        run_(builder.run) {
    for (const auto id : plan_.output) output_.push_back(columns_.position(id));
  }
  void attach() override { access_ = &run_.context.access->table(plan_.relation); }

 protected:
  struct Local : LocalState {
    ChunkBuffer buffer;
    Slicer rest;
    Predicate::Local filter;
    std::vector<Vector> output;
    bool renew() {
      rest.clear();
      return buffer.rest() && Predicate::renew(filter);
    }
  };
  void prepare(Local& local) const {
    const auto phys = columns_.phys();
    local.buffer.reset(phys);
    local.filter = filter_.make_local();
    local.output.resize(output_.size());
  }
  /// The next piece of local.rest; false: nothing of it passed.
  bool deliver(TaskContext& context, Local& local, Chunk& out) const {
    Chunk piece;
    local.rest.take(context.run.chunk_rows(), piece);
    if (!filter_.empty()) {
      const auto before = piece.selection.count;
      piece.selection = filter_.filter(local.filter, context.expressions, piece);
      context.count_filtered(node, before - piece.selection.count);
    }
    if (piece.selection.count == 0) return false;
    for (std::size_t i = 0; i < output_.size(); ++i) local.output[i] = piece.columns[output_[i]];
    out = piece;
    out.columns = local.output.data();
    out.column_count = static_cast<std::uint32_t>(output_.size());
    return true;
  }
  const PlanNode& plan_;
  const Layout columns_;
  const Predicate filter_;
  RunState& run_;
  TableAccess* access_ = nullptr;
  std::vector<std::uint32_t> output_;
};

class TableScan final : public ScanSource {
 public:
  using ScanSource::ScanSource;
  struct ScanLocal final : Local {
    std::unique_ptr<RowSource> rows;
    bool in_morsel = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<ScanLocal>();
    prepare(*local);
    start(*local);
    return local;
  }
  bool renew(LocalState* state) override {
    auto& local = static_cast<ScanLocal&>(*state);
    local.rows.reset();
    local.in_morsel = false;
    return local.renew();
  }
  void reset() override {
    morsels_.clear();
    next_morsel_ = 0;
  }
  std::size_t max_workers() override {
    cut();
    return morsels_.size();
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<ScanLocal&>(*state);
    if (local.rows == nullptr) start(local);
    while (local.rest.empty()) {
      if (!local.in_morsel) {
        const auto i = next_morsel_.fetch_add(1, std::memory_order_relaxed);
        if (i >= morsels_.size()) return Flow::finished();
        local.rows->start(morsels_[i]);
        local.in_morsel = true;
      }
      local.buffer.begin();
      Flow flow = local.rows->next(local.buffer);
      if (flow.state == State::kBlocked) return flow;
      if (flow.state == State::kFinished) {
        local.in_morsel = false;
        continue;
      }
      local.rest.start(local.buffer.chunk());
    }
    return deliver(context, local, out) ? Flow::output() : Flow::need();
  }

 private:
  void start(ScanLocal& local) {
    local.rows = access_->scan(plan_.columns);
    cut();
  }
  /// Before workers start, so it needs no lock.
  void cut() {
    if (morsels_.empty()) morsels_ = access_->morsels();
  }
  std::vector<Morsel> morsels_;
  std::atomic<std::size_t> next_morsel_{0};
};

class IndexScan final : public ScanSource {
 public:
  IndexScan(PipelineBuilder& builder, const PlanNode& plan_node)
      : ScanSource(builder, plan_node), range_(plan_node.range) {}
  struct ScanLocal final : Local {
    std::unique_ptr<IndexSource> rows;
    std::vector<IndexBounds> bounds;
    std::size_t next_bound = 0;
    bool evaluated = false, in_range = false;
    Arena arena{512};
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<ScanLocal>();
    prepare(*local);
    return local;
  }
  bool renew(LocalState* state) override {
    auto& local = static_cast<ScanLocal&>(*state);
    if (local.rows != nullptr && !local.rows->rest()) local.rows.reset();
    local.bounds.clear();
    local.next_bound = 0;
    local.evaluated = local.in_range = false;
    if (!is_small(local.arena)) return false;
    local.arena.reset();
    return local.renew();
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<ScanLocal&>(*state);
    if (!local.evaluated) evaluate(context, local);
    while (local.rest.empty()) {
      if (!local.in_range) {
        if (local.next_bound == local.bounds.size()) return Flow::finished();
        if (local.rows == nullptr) local.rows = access_->index_scan(*plan_.index, plan_.columns);
        local.rows->start(local.bounds[local.next_bound++], plan_.backward);
        local.in_range = true;
      }
      local.buffer.begin();
      Flow flow = local.rows->next(local.buffer);
      if (flow.state == State::kBlocked) return flow;
      if (flow.state == State::kFinished) {
        local.in_range = false;
        continue;
      }
      local.rest.start(local.buffer.chunk());
    }
    return deliver(context, local, out) ? Flow::output() : Flow::need();
  }

 private:
  void evaluate(TaskContext& context, ScanLocal& local) const {
    SmallVector<Value, 4> values;
    for (const auto* e : range_.expressions())
      values.push_back(constant_value(*e, context.expressions, local.arena));
    range_.make_bounds(values.data(), *plan_.index, plan_.backward, local.bounds);
    local.evaluated = true;
  }
  const RangeValues range_;
};

}  // namespace

void build_table_scan(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  PipelineBuilder::use(current, node.filter.get());
  current.source = std::make_unique<TableScan>(builder, node);
}

void build_index_scan(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  current.source = std::make_unique<IndexScan>(builder, node);
}

}  // namespace rustbd::exec
