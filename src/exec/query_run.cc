#include "rustbd/exec/query_run.h"

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/columns.h"
#include "rustbd/exec/cte.h"
#include "rustbd/exec/plan_executor.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec {

namespace {

class PipelinedRun final : public QueryRun {
 public:
  PipelinedRun(std::shared_ptr<const plan::ExecutionPlan> plan, const QueryContext& context)
      : run_(std::move(plan), context) {
    if (context.collect_statistics) {
      clock_ = io::make_system_clock();
      run_.start_us = clock_->monotonic_us();
      run_.start_ticks = read_ticks();
    }
    executor_ = std::make_unique<PlanExecutor>(run_, *run_.plan->root, true);
    const auto output = Layout::of(run_, run_.plan->root->output);
    for (const auto& column : run_.plan->result) positions_.push_back(output.position(column.column));
    vectors_.resize(positions_.size());
  }

  ~PipelinedRun() override {
    executor_.reset();  // stages still add to the statistics of run_
    run_.ctes.clear();
    run_.work_tables.clear();
  }

  Flow next(Chunk* out, std::uint64_t max_rows) override {
    run_.quota = max_rows == 0 ? UINT64_MAX : max_rows;
    while (rest_.empty()) {
      if (executor_ == nullptr) return Flow::finished();
      Chunk chunk;
      Flow flow = executor_->next(chunk);
      if (flow.state == State::kBlocked) return flow;
      if (flow.state == State::kFinished) {
        if (!executor_->is_renewed()) finish();
        return flow;
      }
      if (run_.plan->result.empty() && run_.plan->tag != plan::StatementTag::kSelect)
        continue;  // DML without RETURNING
      for (std::size_t i = 0; i < positions_.size(); ++i) vectors_[i] = chunk.columns[positions_[i]];
      chunk.columns = vectors_.data();
      chunk.column_count = static_cast<std::uint32_t>(vectors_.size());
      rest_.start(chunk);
    }
    rest_.take(static_cast<std::uint32_t>(std::min<std::uint64_t>(run_.quota, types::kVectorSize)), *out);
    return Flow::output();
  }

  bool rest() override {
    rest_.clear();
    if (executor_ == nullptr || !executor_->is_renewed() || !run_.ctes.empty() || !run_.work_tables.empty())
      return false;
    executor_->restart();
    run_.parameters.clear();  // they lie in the portal
    return true;
  }
  void run_again(const QueryContext& context) override {
    RUSTBD_STATEMENT_ASSERT(!context.collect_statistics && clock_ == nullptr);
    run_.begin(context);
    executor_->attach();
  }
  [[nodiscard]] std::uint64_t affected_rows() const override { return run_.affected; }
  [[nodiscard]] std::span<const NodeStatistics> statistics() const override { return run_.statistics; }

 private:
  /// Ends the stages (their statistics come together) and turns ticks of single nodes into ns of subtrees.
  void finish() {
    executor_.reset();
    run_.ctes.clear();
    run_.work_tables.clear();
    if (clock_ == nullptr) return;
    const auto ticks = std::max<std::uint64_t>(1, read_ticks() - run_.start_ticks);
    const auto us = std::max<std::int64_t>(1, clock_->monotonic_us() - run_.start_us);
    ns_per_tick_ = static_cast<double>(us) * 1000.0 / static_cast<double>(ticks);
    add_up(*run_.plan->root);
  }
  std::uint64_t add_up(const plan::PlanNode& node) {
    std::uint64_t own = 0;
    NodeStatistics scratch;
    NodeStatistics& s = node.id < run_.statistics.size() ? run_.statistics[node.id] : scratch;
    own = static_cast<std::uint64_t>(static_cast<double>(s.total_ns) * ns_per_tick_);
    s.first_ns = static_cast<std::uint64_t>(static_cast<double>(s.first_ns) * ns_per_tick_);
    for (const auto& child : node.children) own += add_up(*child);
    s.total_ns = own;
    return own;
  }
  RunState run_;
  std::unique_ptr<io::Clock> clock_;
  std::unique_ptr<PlanExecutor> executor_;
  std::vector<std::uint32_t> positions_;
  std::vector<Vector> vectors_;
  Slicer rest_;
  double ns_per_tick_ = 1;
};

}  // namespace

std::unique_ptr<QueryRun> QueryRun::start(std::shared_ptr<const plan::ExecutionPlan> plan,
                                          const QueryContext& context) {
  return std::make_unique<PipelinedRun>(std::move(plan), context);
}

}  // namespace rustbd::exec
