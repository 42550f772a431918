#include "rustbd/exec/pipeline.h"

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/columns.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec {

void MemoryTracker::charge(std::int64_t bytes) {
  const auto now = used_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (bytes > 0 && limit_ != 0 && now > static_cast<std::int64_t>(limit_)) {
    throw error(sqlstate::kOutOfMemory, "out of memory")
        .with_detail(fmt::format("The query needs more than its limit of {} bytes.", limit_));
  }
}

RunState::RunState(std::shared_ptr<const plan::ExecutionPlan> execution_plan,
                   const QueryContext& query_context)
    : plan(std::move(execution_plan)), memory(query_context.memory_limit) {
  statistics.resize(plan->node_count);
  begin(query_context);
}

void RunState::begin(const QueryContext& query_context) {
  context = query_context;
  RUSTBD_STATEMENT_ASSERT(context.chunk_rows > 0 && context.chunk_rows <= types::kVectorSize);
  memory.set_limit(context.memory_limit);
  parameters.assign(context.parameters.begin(), context.parameters.end());
  if (parameters.size() < plan->parameter_slots) parameters.resize(plan->parameter_slots);
  affected = 0;
  changes_ended = 0;
}

std::uint64_t read_ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  static const auto clock = io::make_system_clock();
  return static_cast<std::uint64_t>(clock->monotonic_us());
#endif
}

TaskContext::TaskContext(RunState& run_state) : run(run_state) {
  expressions.query_arena = &arena;
  if (run.context.collect_statistics) statistics.resize(run.statistics.size());
  begin();
}

void TaskContext::begin() {
  expressions.statement = run.context.statement;
  expressions.cancel = run.context.cancel;
  expressions.parameters = run.parameters;
}

TaskContext::~TaskContext() {
  if (statistics.empty()) return;
  const std::scoped_lock lock(run.statistics_mutex);
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    auto& to = run.statistics[i];
    const auto& from = statistics[i];
    to.rows += from.rows;
    to.filtered += from.filtered;
    to.chunks += from.chunks;
    to.total_ns += from.total_ns;
    to.memory_bytes = std::max(to.memory_bytes, from.memory_bytes);
    if (from.first_ns != 0 && (to.first_ns == 0 || from.first_ns < to.first_ns)) to.first_ns = from.first_ns;
  }
}

functions::EvalContext TaskContext::eval_context(Arena& memory) const {
  functions::EvalContext context;
  context.arena = &memory;
  context.statement = run.context.statement;
  context.cancel = run.context.cancel;
  return context;
}

PipelineTask::PipelineTask(Pipeline& pipeline, RunState& run) : pipeline_(pipeline), context_(run) {
  const auto n = pipeline.operators.size();
  chunks_.resize(n + 1);
  locals_.push_back(pipeline.source->make_local(context_));
  for (auto& op : pipeline.operators) locals_.push_back(op->make_local(context_));
  if (pipeline.sink != nullptr) locals_.push_back(pipeline.sink->make_local(context_));
}

bool PipelineTask::renew() {
  if (!context_.statistics.empty()) return false;  // they come together when the task goes
  bool able = pipeline_.source->renew(locals_.front().get());
  for (std::size_t i = 0; able && i < pipeline_.operators.size(); ++i)
    able = pipeline_.operators[i]->renew(locals_[i + 1].get());
  if (able && pipeline_.sink != nullptr) able = pipeline_.sink->renew(locals_.back().get());
  if (!able || !is_small(context_.arena)) return false;
  context_.arena.reset();
  resume_.clear();
  stage_ = 0;
  finish_from_ = 1;
  position_ = Position::kCall;
  source_done_ = false;
  return true;
}

void PipelineTask::next_position() {
  position_ = Position::kCall;
  if (!resume_.empty()) {
    stage_ = resume_.back();
    resume_.pop_back();
  } else if (!source_done_) {
    stage_ = 0;
  } else if (finish_from_ <= pipeline_.operators.size()) {
    stage_ = finish_from_;
    position_ = Position::kFinishing;
  } else {
    position_ = Position::kDone;
  }
}

Flow PipelineTask::call_stage() {
  const bool timed = !context_.statistics.empty();
  const std::uint64_t start = timed ? read_ticks() : 0;
  Chunk& out = chunks_[stage_];
  out.select_all(0);
  LocalState* local = locals_[stage_].get();
  Flow flow;
  std::uint32_t node = 0;
  if (stage_ == 0) {
    node = pipeline_.source->node;
    flow = pipeline_.source->scan(context_, local, out);
  } else {
    Operator& op = *pipeline_.operators[stage_ - 1];
    node = op.node;
    flow = position_ == Position::kFinishing ? op.finish(context_, local, out)
                                             : op.process(context_, local, chunks_[stage_ - 1], out);
  }
  if (timed) {
    auto& s = context_.statistics[node];
    s.total_ns += read_ticks() - start;
    if (flow.state != State::kBlocked && out.count() != 0) {
      if (s.rows == 0) s.first_ns = read_ticks() - context_.run.start_ticks;
      s.rows += out.count();
      ++s.chunks;
    }
  }
  return flow;
}

/// What follows the answer of stage_: deeper with its rows, or back to whoever has more.
void PipelineTask::accept(State state) {
  if (state == State::kFinished) {
    if (position_ == Position::kFinishing) {
      finish_from_ = stage_ + 1;
    } else {
      source_done_ = true;
      resume_.clear();
      finish_from_ = std::max(finish_from_, stage_ + 1);
    }
  } else if (state == State::kHaveOutput && stage_ != 0 && position_ == Position::kCall) {
    resume_.push_back(stage_);
  }
  if (chunks_[stage_].count() == 0) {
    next_position();
    return;
  }
  position_ = stage_ == pipeline_.operators.size() ? Position::kDeliver : Position::kCall;
  ++stage_;
}

Flow PipelineTask::run(Chunk* result, std::uint64_t chunk_budget) {
  std::uint64_t chunks = 0;
  for (;;) {
    context_.check_cancel();
    if (position_ == Position::kDone) return Flow::finished();
    if (position_ == Position::kDeliver) {
      Chunk& chunk = chunks_.back();
      if (pipeline_.sink == nullptr) {
        *result = chunk;
        next_position();
        return Flow::output();
      }
      const std::uint64_t start = context_.statistics.empty() ? 0 : read_ticks();
      Flow flow = pipeline_.sink->sink(context_, locals_.back().get(), chunk);
      if (start != 0) context_.statistics[pipeline_.sink->node].total_ns += read_ticks() - start;
      if (flow.state == State::kBlocked) return flow;
      if (flow.state == State::kFinished) {
        position_ = Position::kDone;
      } else {
        next_position();
      }
      continue;
    }
    if (stage_ == 0 && position_ == Position::kCall && ++chunks > chunk_budget) return Flow::need();
    Flow flow = call_stage();
    if (flow.state == State::kBlocked) return flow;
    accept(flow.state);
  }
}

void PipelineTask::combine() {
  if (pipeline_.sink != nullptr) pipeline_.sink->combine(context_, locals_.back().get());
}

}  // namespace rustbd::exec
