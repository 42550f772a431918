#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/builder.h"

namespace rustbd::exec {

using expression::Expression;
using plan::NodeKind;
using plan::PlanNode;

namespace {
/// Cuts chunks so that stages behind it see no more rows than are asked for.
class Quota final : public Operator {
 public:
  Quota(std::uint32_t node, const RunState* run, std::vector<std::shared_ptr<RowBudget>> budgets)
      : Operator(node), run_(run), budgets_(std::move(budgets)) {}
  struct Local final : LocalState {
    Slicer rest;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override { return std::make_unique<Local>(); }
  bool renew(LocalState* state) override {
    static_cast<Local&>(*state).rest.clear();
    return true;
  }
  Flow process(TaskContext&, LocalState* local, Chunk& in, Chunk& out) override {
    auto& rest = static_cast<Local*>(local)->rest;
    if (rest.empty()) rest.start(in);
    std::uint64_t n = run_ != nullptr ? run_->quota : UINT64_MAX;
    for (const auto& budget : budgets_) n = std::min(n, budget->left);
    rest.take(static_cast<std::uint32_t>(std::clamp<std::uint64_t>(n, 1, in.selection.count)), out);
    return rest.empty() ? Flow::need() : Flow::output();
  }

 private:
  const RunState* run_;
  const std::vector<std::shared_ptr<RowBudget>> budgets_;
};
}  // namespace

void PipelineBuilder::use(Pipeline& pipeline, const Expression* e) {
  if (e == nullptr || !pipeline.parallel_safe) return;
  if (!expression::is_immutable(*e) || expression::contains(*e, expression::Kind::kTypedInput))
    pipeline.parallel_safe = false;
}

void PipelineBuilder::add_quota(Pipeline& pipeline, std::uint32_t node) {
  if (!is_top_ && budgets_.empty()) return;
  pipeline.operators.push_back(std::make_unique<Quota>(node, is_top_ ? &run : nullptr, budgets_));
}

Pipeline& PipelineBuilder::build_into(const PlanNode& child, std::shared_ptr<Sink> sink,
                                      bool sink_is_parallel) {
  auto pipeline = std::make_unique<Pipeline>();
  auto outer_budgets = std::move(budgets_);
  budgets_.clear();
  const bool outer_top = std::exchange(is_top_, false);
  build(child, *pipeline);
  budgets_ = std::move(outer_budgets);
  is_top_ = outer_top;
  pipeline->sink = std::move(sink);
  if (!sink_is_parallel) pipeline->parallel_safe = false;
  pipelines_.push_back(std::move(pipeline));
  return *pipelines_.back();
}

void PipelineBuilder::build(const PlanNode& node, Pipeline& current) {
  switch (node.kind) {
    case NodeKind::kTableScan: return build_table_scan(*this, node, current);
    case NodeKind::kIndexScan:
    case NodeKind::kIndexOnlyScan: return build_index_scan(*this, node, current);
    case NodeKind::kValues: return build_values(*this, node, current);
    case NodeKind::kResult: return build_result(*this, node, current);
    case NodeKind::kFunctionScan: return build_function_scan(*this, node, current);
    case NodeKind::kCteScan: return build_cte_scan(*this, node, current);
    case NodeKind::kWorkTableScan: return build_work_table_scan(*this, node, current);
    case NodeKind::kFilter: return build_filter(*this, node, current);
    case NodeKind::kProject: return build_project(*this, node, current);
    case NodeKind::kProjectSet: return build_project_set(*this, node, current);
    case NodeKind::kHashJoin:
    case NodeKind::kNestedLoopJoin: return build_hash_join(*this, node, current);
    case NodeKind::kIndexJoin: return build_index_join(*this, node, current);
    case NodeKind::kMergeJoin: throw not_supported("a merge join");
    case NodeKind::kApply: return build_apply(*this, node, current);
    case NodeKind::kSort:
    case NodeKind::kTopN: return build_sort(*this, node, current);
    case NodeKind::kAggregate: return build_aggregate(*this, node, current);
    case NodeKind::kWindow: return build_window(*this, node, current);
    case NodeKind::kDistinctOn: return build_distinct_on(*this, node, current);
    case NodeKind::kLimit: return build_limit(*this, node, current);
    case NodeKind::kSetOperation: return build_set_operation(*this, node, current);
    case NodeKind::kAppend: return build_append(*this, node, current);
    case NodeKind::kRecursiveUnion: return build_recursive_union(*this, node, current);
    case NodeKind::kCteBind: return build_cte_bind(*this, node, current);
    case NodeKind::kMaterialize: return build_materialize(*this, node, current);
    case NodeKind::kModify: return build_modify(*this, node, current);
    case NodeKind::kLockRows: return build_lock_rows(*this, node, current);
  }
  RUSTBD_STATEMENT_UNREACHABLE("node kind");
}

}  // namespace rustbd::exec
