// Pipelines: a source, operators and a sink, driven chunk by chunk with an explicit position, so that a run
// can stop at any chunk boundary and go on on another thread (query.md §9.1; morsels: Leis et al., SIGMOD
// 2014).
//
// Invariants: (1) stages are const while they run, except for what their comment says they guard; what a
// worker changes is in its LocalState. (2) A chunk stays valid until the stage that made it is called again.
// (3) A stage that answers kBlocked is called again with the same chunk and repeats no row.
#pragma once

#include <memory>
#include <vector>

#include "rustbd/exec/run_state.h"

namespace rustbd::exec {

struct LocalState {
  virtual ~LocalState() = default;
};

class Stage {
 public:
  explicit Stage(std::uint32_t plan_node) : node(plan_node) {}
  virtual ~Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual std::unique_ptr<LocalState> make_local(TaskContext&) { return nullptr; }
  /// Before each start of the pipeline (also the first): forget shared state of the run before.
  virtual void reset() {}
  /// Before the first start of each execution: find what belongs to it (RunState::context) and not to the
  /// plan.
  virtual void attach() {}
  /// Makes the state of a task that ended as make_local makes it, for another passage. It then holds nothing
  /// of the execution (no access, no cursor) and little memory. False: it cannot, the state must be made
  /// anew. A stage that can is fit to serve several executions: it keeps nothing of one but what reset()
  /// forgets and attach() finds.
  virtual bool renew(LocalState*) { return false; }
  const std::uint32_t node;  // PlanNode::id, for statistics
};

/// Where rows come from. scan(): kHaveOutput with rows, kFinished without, kBlocked, or kNeedInput (nothing
/// yet, again).
class Source : public Stage {
 public:
  using Stage::Stage;
  virtual Flow scan(TaskContext&, LocalState*, Chunk& out) = 0;
  /// How many workers could share it (morsels are taken inside scan). 1: only one.
  virtual std::size_t max_workers() { return 1; }
};

/// A condition in front of another source.
class SourceBehind : public Source {
 public:
  explicit SourceBehind(std::unique_ptr<Source> inner) : Source(inner->node), inner_(std::move(inner)) {}
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    return inner_->make_local(context);
  }
  void attach() override { inner_->attach(); }
  void reset() override { inner_->reset(); }
  bool renew(LocalState* state) override { return inner_->renew(state); }

 protected:
  const std::unique_ptr<Source> inner_;
};

/// process(): `out` may hold rows with every answer but kBlocked.
///   kNeedInput: done with `in`.  kHaveOutput: call again with the same `in`.  kFinished: nothing will ever
///   follow.
/// finish(), after the last input: kHaveOutput: rows, call again; kFinished; kBlocked.
class Operator : public Stage {
 public:
  using Stage::Stage;
  virtual Flow process(TaskContext&, LocalState*, Chunk& in, Chunk& out) = 0;
  virtual Flow finish(TaskContext&, LocalState*, Chunk&) { return Flow::finished(); }
};

/// Where a pipeline that is not the last ends.
/// sink(): kNeedInput, kFinished (wants no more) or kBlocked. combine(): one task's state is joined in; under
/// a mutex. finalize(): once, after all combines; kFinished or kBlocked (called again).
class Sink : public Stage {
 public:
  using Stage::Stage;
  virtual Flow sink(TaskContext&, LocalState*, Chunk& in) = 0;
  virtual void combine(TaskContext&, LocalState*) {}
  virtual Flow finalize(TaskContext&) { return Flow::finished(); }
};

struct Pipeline {
  std::unique_ptr<Source> source;
  std::vector<std::unique_ptr<Operator>> operators;
  std::shared_ptr<Sink> sink;  // nullptr: the final one, pulled by the caller
  bool resets_sink = true;     // false: an earlier pipeline shares the sink
  bool finalizes_sink = true;  // false: a later pipeline shares the sink
  bool parallel_safe = true;   // all stages may run on several workers, in any order
};

/// One worker's passage through a pipeline.
class PipelineTask {
 public:
  PipelineTask(Pipeline& pipeline, RunState& run);
  /// Final pipelines: kHaveOutput with the next chunk, or kFinished. With a sink: kFinished when all went in.
  /// kBlocked: wait, then call again. kNeedInput: `chunk_budget` chunks were read; call again.
  Flow run(Chunk* result, std::uint64_t chunk_budget = UINT64_MAX);
  void combine();
  /// After the end: ready for another run() from the start, with whatever the RunState then has; see
  /// Stage::renew. False: this task is done with.
  bool renew();
  TaskContext& context() { return context_; }

 private:
  enum class Position : std::uint8_t { kCall, kFinishing, kDeliver, kDone };
  void next_position();
  Flow call_stage();
  void accept(State state);
  Pipeline& pipeline_;
  TaskContext context_;
  std::vector<std::unique_ptr<LocalState>> locals_;  // 0: source, 1..n: operators, n + 1: sink
  std::vector<Chunk> chunks_;                        // output of stage 0..n
  std::vector<std::uint32_t> resume_;                // operators to call again with their old input
  std::uint32_t stage_ = 0, finish_from_ = 1;
  Position position_ = Position::kCall;
  bool source_done_ = false;
};

}  // namespace rustbd::exec
