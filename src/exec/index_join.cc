// Index join: for each left row a range of an index of the right table.
#include "rustbd/exec/index_range.h"
#include "rustbd/exec/join.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

/// Where the table, index and range stand: in the join itself or in its right child.
const PlanNode& inner_of(const PlanNode& node) { return node.children.size() > 1 ? *node.children[1] : node; }

class IndexJoin final : public JoinOperator {
 public:
  IndexJoin(PipelineBuilder& builder, const PlanNode& plan_node, const Layout& left)
      : JoinOperator(builder, plan_node, left, Layout::of(builder.run, inner_of(plan_node).columns)),
        inner_(inner_of(plan_node)),
        range_(inner_.range),
        bounds_(range_.expressions(), left),
        filter_(inner_.filter.get(), right_),
        access_(builder.run.context.access->table(inner_.relation)) {}
  struct IndexLocal final : Local {
    explicit IndexLocal(MemoryTracker& memory, const RowLayout& layout) : rows(memory, layout) {}
    RowTable rows;  // of the last fetch
    Evaluator::Local bounds;
    std::vector<Vector> bound_values;
    Predicate::Local filter;
    std::unique_ptr<IndexSource> source;
    ChunkBuffer buffer;
    Slicer fetched;
    std::vector<IndexBounds> ranges;  // of the left row `at`
    std::size_t next_range = 0;
    std::uint32_t at = 0;
    bool in_row = false, in_range = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<IndexLocal>(run_.memory, right_rows_);
    prepare(*local);
    local->bounds = bounds_.make_local();
    local->bound_values.resize(bounds_.size());
    local->filter = filter_.make_local();
    local->source = access_.index_scan(*inner_.index, inner_.columns);
    local->buffer.reset(right_.phys());
    return local;
  }

 protected:
  void begin_chunk(TaskContext& context, Local& base, const Chunk& in) override {
    auto& local = static_cast<IndexLocal&>(base);
    bounds_.evaluate(local.bounds, context.expressions, in, local.bound_values.data());
    local.at = 0;
    local.in_row = local.in_range = false;
    local.fetched.clear();
  }

  Flow find(TaskContext& context, Local& base, const Chunk& in, std::uint32_t max) override {
    auto& local = static_cast<IndexLocal&>(base);
    local.rows.clear();
    while (local.at < in.selection.count) {
      if (!local.fetched.empty()) {
        take(context, local, max - local.candidates.count);
        if (local.candidates.count == max) return Flow::output();
        continue;
      }
      if (!local.in_row) start_row(local, in.selection[local.at]);
      if (keeps_first_only() && found_already(local))
        local.in_range = false, local.next_range = local.ranges.size();
      if (!local.in_range) {
        if (local.next_range == local.ranges.size()) {
          ++local.at;
          local.in_row = false;
          continue;
        }
        local.source->start(local.ranges[local.next_range++], inner_.backward);
        local.in_range = true;
      }
      local.buffer.begin();
      Flow flow = local.source->next(local.buffer);
      if (flow.state == State::kBlocked) {
        // What was found so far goes first; the source is asked again afterwards.
        return local.candidates.count != 0 ? Flow::output() : flow;
      }
      if (flow.state == State::kFinished) {
        local.in_range = false;
      } else {
        local.fetched.start(local.buffer.chunk());
      }
    }
    return local.candidates.count == 0 ? Flow::finished() : Flow::output();
  }

 private:
  [[nodiscard]] static bool found_already(const IndexLocal& local) {
    const auto& found = local.candidates;
    return local.matched[local.at] != 0 ||
           (found.count != 0 && found.left_index[found.count - 1] == local.at);
  }
  void start_row(IndexLocal& local, std::uint32_t row) const {
    std::vector<Value> values(bounds_.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i].type = bounds_.types()[i];
      values[i].is_null = !local.bound_values[i].is_valid(row);
      if (!values[i].is_null) values[i].datum = local.bound_values[i].datum(row);
    }
    local.ranges.clear();
    range_.make_bounds(values.data(), *inner_.index, inner_.backward, local.ranges);
    local.next_range = 0;
    local.in_row = true;
    local.in_range = false;
  }
  void take(TaskContext& context, IndexLocal& local, std::uint32_t max) const {
    Chunk piece;
    local.fetched.take(max, piece);
    piece.selection = filter_.filter(local.filter, context.expressions, piece);
    if (piece.selection.count == 0) return;
    auto& found = local.candidates;
    local.rows.append(piece.columns, piece.selection, found.right + found.count);
    for (std::uint32_t i = 0; i < piece.selection.count; ++i) found.left_index[found.count++] = local.at;
  }
  const PlanNode& inner_;
  const RangeValues range_;
  const Evaluator bounds_;
  const Predicate filter_;
  TableAccess& access_;
};

}  // namespace

void build_index_join(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  if (node.join == plan::JoinType::kRight || node.join == plan::JoinType::kFull)
    throw not_supported("an index join that keeps the rows of its inner side");
  builder.build(*node.children[0], current);
  current.parallel_safe = false;
  current.operators.push_back(std::make_unique<IndexJoin>(builder, node, builder.layout(*node.children[0])));
}

}  // namespace rustbd::exec
