#include "rustbd/exec/plan_executor.h"

#include <algorithm>
#include <exception>

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/builder.h"

namespace rustbd::exec {

namespace {
constexpr std::uint64_t kChunksPerTurn = 64;  // then a worker lets other jobs of its lane run
}

/// The tasks of one pipeline on the pool. Jobs own it, so it outlives the executor's interest in it.
class WorkerGroup : public std::enable_shared_from_this<WorkerGroup> {
 public:
  WorkerGroup(Pipeline& pipeline, RunState& run, std::size_t workers) : lane_(*run.context.workers) {
    for (std::size_t i = 0; i < workers; ++i) tasks_.push_back(std::make_unique<PipelineTask>(pipeline, run));
    running_ = workers;
  }
  void start() {
    for (std::size_t i = 0; i < tasks_.size(); ++i) post(i);
  }
  [[nodiscard]] const io::WaitToken& done() const { return done_; }
  void stop() { stop_.store(true, std::memory_order_relaxed); }
  /// After done() has fired: rethrows the first failure, ends the tasks. The caller has the exception to
  /// itself: a worker that is the last to let go of the group does not free it.
  void finish() {
    tasks_.clear();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  void post(std::size_t i) {
    lane_.post([self = shared_from_this(), i] { self->step(i); });
  }
  void step(std::size_t i) {
    try {
      if (!stop_.load(std::memory_order_relaxed)) {
        Flow flow = tasks_[i]->run(nullptr, kChunksPerTurn);
        if (flow.state == State::kBlocked) {
          flow.token.then(lane_, [self = shared_from_this(), i] { self->step(i); });
          return;
        }
        if (flow.state == State::kNeedInput) return post(i);
        const std::scoped_lock lock(mutex_);
        tasks_[i]->combine();
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stop();
    }
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_.fire();
  }
  io::Lane& lane_;
  std::vector<std::unique_ptr<PipelineTask>> tasks_;
  std::atomic<std::size_t> running_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // protects failure_ and the sink's shared state
  std::exception_ptr failure_;
  const io::WaitToken done_ = io::WaitToken::make(io::WaitReason::kTask);
};

PlanExecutor::PlanExecutor(RunState& run, const plan::PlanNode& root, bool is_top) : run_(run), root_(root) {
  PipelineBuilder builder(run, pipelines_, is_top);
  auto last = std::make_unique<Pipeline>();
  builder.build(root, *last);
  pipelines_.push_back(std::move(last));
  renewed_.resize(pipelines_.size());
  attach();
  restart();
}

void PlanExecutor::attach() {
  for (auto& pipeline : pipelines_) {
    pipeline->source->attach();
    for (auto& op : pipeline->operators) op->attach();
    if (pipeline->sink != nullptr) pipeline->sink->attach();
  }
}

bool PlanExecutor::is_renewed() const {
  return finished_ && std::ranges::all_of(renewed_, [](const auto& task) { return task != nullptr; });
}

void PlanExecutor::make_task() {
  task_ = std::exchange(renewed_[current_], nullptr);
  if (task_ != nullptr) {
    task_->context().begin();
  } else {
    task_ = std::make_unique<PipelineTask>(*pipelines_[current_], run_);
  }
}

void PlanExecutor::end_task() {
  if (task_ != nullptr && task_->renew()) renewed_[current_] = std::move(task_);
  task_.reset();
}

PlanExecutor::~PlanExecutor() {
  if (workers_ == nullptr) return;
  workers_->stop();
  workers_->done().wait_blocking();  // jobs refer to our pipelines
  try {
    workers_->finish();
  } catch (...) {
    // The run was given up: its failure interests nobody.
  }
}

void PlanExecutor::count_loops(const plan::PlanNode& node) {
  if (node.id < run_.statistics.size()) ++run_.statistics[node.id].loops;
  const bool own_loops = node.kind == plan::NodeKind::kApply ||
                         node.kind == plan::NodeKind::kRecursiveUnion ||
                         node.kind == plan::NodeKind::kAppend || node.kind == plan::NodeKind::kCteBind;
  if (own_loops) {
    // Children with executors of their own count themselves.
    if (node.kind == plan::NodeKind::kApply) count_loops(*node.children[0]);
    if (node.kind == plan::NodeKind::kCteBind) count_loops(*node.children[1]);
    return;
  }
  for (const auto& child : node.children) count_loops(*child);
}

void PlanExecutor::restart() {
  RUSTBD_STATEMENT_ASSERT(workers_ == nullptr, "a run on the pool ends before it starts again");
  end_task();
  current_ = 0;
  finalizing_ = finished_ = false;
  for (auto& pipeline : pipelines_) {
    pipeline->source->reset();
    for (auto& op : pipeline->operators) op->reset();
    if (pipeline->sink != nullptr && pipeline->resets_sink) pipeline->sink->reset();
  }
  counted_ = false;
}

void PlanExecutor::start_pipeline(Pipeline& pipeline) {
  std::size_t workers = 1;
  if (pipeline.sink != nullptr && pipeline.parallel_safe && run_.context.workers != nullptr &&
      run_.context.worker_limit > 1)
    workers = std::min(run_.context.worker_limit, pipeline.source->max_workers());
  if (workers <= 1) {
    make_task();
    return;
  }
  auto group = std::make_shared<WorkerGroup>(pipeline, run_, workers);
  group->start();
  workers_ = std::move(group);
}

Flow PlanExecutor::run_to_sink(Pipeline& pipeline) {
  if (!finalizing_) {
    if (task_ == nullptr && workers_ == nullptr) start_pipeline(pipeline);
    if (workers_ != nullptr) {
      if (!workers_->done().fired()) return Flow::blocked(workers_->done());
      const auto group = std::exchange(workers_, nullptr);
      group->finish();
    } else {
      Flow flow = task_->run(nullptr);
      if (flow.state == State::kBlocked) return flow;
      task_->combine();
      end_task();
    }
    finalizing_ = true;
  }
  if (pipeline.finalizes_sink) {
    TaskContext context(run_);
    const std::uint64_t start = read_ticks();
    Flow flow = pipeline.sink->finalize(context);
    if (auto* s = context.of(pipeline.sink->node)) s->total_ns += read_ticks() - start;
    if (flow.state == State::kBlocked) return flow;
  }
  finalizing_ = false;
  return Flow::finished();
}

Flow PlanExecutor::next(Chunk& out) {
  if (finished_) return Flow::finished();
  if (!counted_ && run_.context.collect_statistics) count_loops(root_);
  counted_ = true;
  while (current_ + 1 < pipelines_.size()) {
    Flow flow = run_to_sink(*pipelines_[current_]);
    if (flow.state == State::kBlocked) return flow;
    ++current_;
  }
  if (task_ == nullptr) make_task();
  Flow flow = task_->run(&out);
  if (flow.state == State::kFinished) {
    finished_ = true;
    end_task();
  }
  return flow;
}

}  // namespace rustbd::exec
