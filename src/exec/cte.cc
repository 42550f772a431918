#include "rustbd/exec/cte.h"

#include <algorithm>

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/builder.h"
#include "rustbd/exec/stored_rows.h"

namespace rustbd::exec {

using plan::PlanNode;

Flow CteState::fetch() {
  if (complete) return Flow::finished();
  RUSTBD_STATEMENT_ASSERT(producer != nullptr, "a CTE without rows has a producer");
  Chunk chunk;
  Flow flow = producer->next(chunk);
  if (flow.state == State::kFinished) complete = true;
  if (flow.state == State::kHaveOutput) rows.append(chunk.columns, chunk.selection);
  return flow;
}

void CteState::restart() {
  rows.clear();
  complete = false;
  if (producer != nullptr) producer->restart();
}

namespace {

class CteScan final : public Source {
 public:
  CteScan(std::uint32_t id, std::shared_ptr<CteState> cte, std::vector<std::uint32_t> positions)
      : Source(id), cte_(std::move(cte)), positions_(std::move(positions)) {}
  struct Local final : LocalState {
    RowTable::Cursor cursor;
    OutputColumns output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.reset(positions_.size());
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    auto n = cte_->rows.next(local.cursor, rows, context.run.chunk_rows());
    if (n == 0) {
      Flow flow = cte_->fetch();
      if (flow.state != State::kHaveOutput) return flow;
      n = cte_->rows.next(local.cursor, rows, context.run.chunk_rows());
      if (n == 0) return Flow::need();
    }
    for (std::size_t i = 0; i < positions_.size(); ++i)
      gather_rows(cte_->rows.layout(), {rows, n}, positions_[i], local.output.buffer(i), local.output[i]);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  const std::shared_ptr<CteState> cte_;
  const std::vector<std::uint32_t> positions_;
};

class WorkTableScan final : public Source {
 public:
  WorkTableScan(std::uint32_t id, std::shared_ptr<WorkTable> table, std::vector<std::uint32_t> positions)
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
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    const auto n = table_->current->next(local.cursor, rows, context.run.chunk_rows());
    if (n == 0) return Flow::finished();
    for (std::size_t i = 0; i < positions_.size(); ++i)
      gather_rows(table_->current->layout(), {rows, n}, positions_[i], local.output.buffer(i),
                  local.output[i]);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  const std::shared_ptr<WorkTable> table_;
  const std::vector<std::uint32_t> positions_;
};

/// Forgets the CTE's rows when the plan around it runs again.
class CteRestart final : public Operator {
 public:
  CteRestart(std::uint32_t id, std::shared_ptr<CteState> cte) : Operator(id), cte_(std::move(cte)) {}
  void reset() override { cte_->restart(); }
  Flow process(TaskContext&, LocalState*, Chunk& in, Chunk& out) override {
    out = in;
    return Flow::need();
  }

 private:
  const std::shared_ptr<CteState> cte_;
};

/// Runs a writing CTE to its end before anything reads.
class CteSink final : public Sink {
 public:
  CteSink(std::uint32_t id, std::shared_ptr<CteState> cte) : Sink(id), cte_(std::move(cte)) {}
  Flow sink(TaskContext&, LocalState*, Chunk& in) override {
    cte_->rows.append(in.columns, in.selection);
    return Flow::need();
  }
  Flow finalize(TaskContext&) override {
    cte_->complete = true;
    return Flow::finished();
  }

 private:
  const std::shared_ptr<CteState> cte_;
};

/// Each round's rows go out before the next round starts (query.md §10.5).
class RecursiveUnion final : public Source {
 public:
  RecursiveUnion(PipelineBuilder& builder, const PlanNode& plan_node)
      : Source(plan_node.id), run_(builder.run), all_(plan_node.set_all), layout_(builder.layout(plan_node)) {
    work_ = std::make_shared<WorkTable>(run_, layout_);
    run_.work_tables[plan_node.cte] = work_;
    seed_ = std::make_unique<PlanExecutor>(run_, *plan_node.children[0]);
    step_ = std::make_unique<PlanExecutor>(run_, *plan_node.children[1]);
    if (!all_) seen_ = std::make_unique<KeyTable>(run_.memory, layout_.types);
  }
  void reset() override {
    work_->current->clear();
    work_->next->clear();
    if (seen_ != nullptr) seen_->clear();
    in_step_ = false;
    seed_->restart();
  }
  Flow scan(TaskContext&, LocalState*, Chunk& out) override {
    Flow flow = (in_step_ ? step_ : seed_)->next(out);
    if (flow.state == State::kBlocked) return flow;
    if (flow.state == State::kFinished) {
      std::swap(work_->current, work_->next);
      work_->next->clear();
      if (work_->current->size() == 0) return Flow::finished();
      in_step_ = true;
      step_->restart();
      return Flow::need();
    }
    if (seen_ != nullptr) keep_new(out);
    work_->next->append(out.columns, out.selection);
    return Flow::output();
  }

 private:
  void keep_new(Chunk& chunk) {
    Row rows[types::kVectorSize];
    bool is_new[types::kVectorSize];
    seen_->find_or_insert(chunk.columns, chunk.selection, rows, is_new);
    kept_.clear();
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i)
      if (is_new[i]) kept_.push_back(static_cast<std::uint16_t>(chunk.selection[i]));
    chunk.selection = {kept_.data(), static_cast<std::uint32_t>(kept_.size())};
  }
  RunState& run_;
  const bool all_;
  const Layout layout_;
  std::shared_ptr<WorkTable> work_;
  std::unique_ptr<PlanExecutor> seed_, step_;
  std::unique_ptr<KeyTable> seen_;
  std::vector<std::uint16_t> kept_;
  bool in_step_ = false;
};

bool writes(const PlanNode& node) {
  if (node.kind == plan::NodeKind::kModify) return true;
  return std::ranges::any_of(node.children, [](const auto& child) { return writes(*child); });
}

std::vector<std::uint32_t> positions_in(const Layout& layout, const PlanNode& node) {
  std::vector<std::uint32_t> positions;
  for (std::size_t i = 0; i < node.output.size(); ++i)
    positions.push_back(layout.position(i < node.cte_columns.size() ? node.cte_columns[i] : node.output[i]));
  return positions;
}

}  // namespace

void build_recursive_union(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  current.source = std::make_unique<RecursiveUnion>(builder, node);
}

void build_work_table_scan(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  const auto found = builder.run.work_tables.find(node.cte);
  RUSTBD_STATEMENT_ASSERT(found != builder.run.work_tables.end(),
                          "a work table is read inside its recursive union");
  current.source =
      std::make_unique<WorkTableScan>(node.id, found->second, positions_in(found->second->layout, node));
}

void build_cte_bind(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  const PlanNode& definition = *node.children[0];
  auto cte = std::make_shared<CteState>(builder.run, builder.layout(definition));
  if (writes(definition)) {
    builder.enter_cte();
    builder.build_into(definition, std::make_shared<CteSink>(node.id, cte));
    builder.leave_cte();
  } else {
    cte->producer = std::make_unique<PlanExecutor>(builder.run, definition);
  }
  builder.run.ctes[node.cte] = cte;
  builder.build(*node.children[1], current);
  current.operators.push_back(std::make_unique<CteRestart>(node.id, cte));
  arrange(builder, current, node.id, builder.layout(*node.children[1]), node.output);
}

void build_cte_scan(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  const auto found = builder.run.ctes.find(node.cte);
  RUSTBD_STATEMENT_ASSERT(found != builder.run.ctes.end(), "a CTE is read inside its binding");
  current.source =
      std::make_unique<CteScan>(node.id, found->second, positions_in(found->second->layout, node));
}

}  // namespace rustbd::exec
