// UNION, INTERSECT, EXCEPT and the concatenation of UNION ALL.
#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/plan_executor.h"
#include "rustbd/exec/stored_rows.h"

namespace rustbd::exec {

using plan::PlanNode;
using plan::SetOperationKind;

namespace {

/// Distinct rows of both sides with how often each side has them.
struct CountedRows {
  CountedRows(RunState& run, std::vector<TypeRef> types) : table(run.memory, std::move(types), 16) {}
  KeyTable table;
  std::uint64_t* counts(Row row) { return static_cast<std::uint64_t*>(table.extra(row)); }
};

class SideSink final : public Sink {
 public:
  SideSink(std::uint32_t id, std::shared_ptr<CountedRows> rows, int side)
      : Sink(id), rows_(std::move(rows)), side_(side) {}
  void reset() override { rows_->table.clear(); }
  Flow sink(TaskContext&, LocalState*, Chunk& in) override {
    Row rows[types::kVectorSize];
    bool is_new[types::kVectorSize];
    rows_->table.find_or_insert(in.columns, in.selection, rows, is_new);
    for (std::uint32_t i = 0; i < in.selection.count; ++i) ++rows_->counts(rows[i])[side_];
    return Flow::need();
  }

 private:
  const std::shared_ptr<CountedRows> rows_;
  const int side_;
};

class CountedSource final : public Source {
 public:
  CountedSource(const PlanNode& plan_node, std::shared_ptr<CountedRows> rows)
      : Source(plan_node.id),
        kind_(plan_node.set_operation),
        all_(plan_node.set_all),
        rows_(std::move(rows)) {}
  struct Local final : LocalState {
    RowTable::Cursor cursor;
    Row current = nullptr;
    std::uint64_t repeats = 0;  // of `current`, still to go out
    OutputColumns output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.reset(rows_->table.layout().size());
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    std::uint32_t n = 0;
    while (n < context.run.chunk_rows()) {
      if (local.repeats == 0) {
        if (rows_->table.rows().next(local.cursor, &local.current, 1) == 0) break;
        local.repeats = repeats_of(rows_->counts(local.current));
        continue;
      }
      rows[n++] = local.current;
      --local.repeats;
    }
    if (n == 0) return Flow::finished();
    for (std::size_t c = 0; c < local.output.size(); ++c)
      gather_rows(rows_->table.layout(), {rows, n}, c, local.output.buffer(c), local.output[c]);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  [[nodiscard]] std::uint64_t repeats_of(const std::uint64_t* counts) const {
    const auto left = counts[0], right = counts[1];
    switch (kind_) {
      case SetOperationKind::kUnion: return all_ ? left + right : 1;
      case SetOperationKind::kIntersect:
        return all_ ? std::min(left, right) : (left != 0 && right != 0 ? 1 : 0);
      case SetOperationKind::kExcept:
        return all_ ? (left > right ? left - right : 0) : (left != 0 && right == 0 ? 1 : 0);
    }
    RUSTBD_STATEMENT_UNREACHABLE("set operation");
  }
  const SetOperationKind kind_;
  const bool all_;
  const std::shared_ptr<CountedRows> rows_;
};

/// One child after the other.
class AppendSource final : public Source {
 public:
  AppendSource(RunState& run, const PlanNode& plan_node) : Source(plan_node.id) {
    for (const auto& child : plan_node.children)
      children_.push_back(std::make_unique<PlanExecutor>(run, *child));
  }
  void reset() override {
    current_ = 0;
    for (auto& child : children_) child->restart();
  }
  Flow scan(TaskContext&, LocalState*, Chunk& out) override {
    while (current_ < children_.size()) {
      Flow flow = children_[current_]->next(out);
      if (flow.state != State::kFinished) return flow;
      ++current_;
    }
    return Flow::finished();
  }

 private:
  std::vector<std::unique_ptr<PlanExecutor>> children_;
  std::size_t current_ = 0;
};

}  // namespace

void build_append(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  current.source = std::make_unique<AppendSource>(builder.run, node);
}

void build_set_operation(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  if (node.set_operation == SetOperationKind::kUnion && node.set_all)
    return build_append(builder, node, current);
  auto rows = std::make_shared<CountedRows>(builder.run, builder.layout(node).types);
  builder.build_into(*node.children[0], std::make_shared<SideSink>(node.id, rows, 0));
  for (std::size_t i = 1; i < node.children.size(); ++i) {
    auto& pipeline = builder.build_into(*node.children[i], std::make_shared<SideSink>(node.id, rows, 1));
    pipeline.resets_sink = false;
  }
  current.parallel_safe = false;
  current.source = std::make_unique<CountedSource>(node, rows);
}

}  // namespace rustbd::exec
