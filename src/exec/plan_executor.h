// Runs one plan tree: pipelines in dependency order, the last one pulled by the caller. Subtrees that run
// again (kApply, recursive steps) or lazily (CTEs, kAppend) have a PlanExecutor of their own. Threads: next()
// and restart() by one thread at a time. Pipelines before the last may run on the worker pool; next() then
// answers kBlocked until they are done.
#pragma once

#include <memory>
#include <vector>

#include "rustbd/exec/pipeline.h"

namespace rustbd::exec {

class WorkerGroup;

class PlanExecutor {
 public:
  PlanExecutor(RunState& run, const plan::PlanNode& root, bool is_top = false);
  ~PlanExecutor();  // waits for workers of a run that was given up
  /// kHaveOutput with the root's columns, kFinished or kBlocked.
  Flow next(Chunk& out);
  /// Back to the start; the plan runs again with the parameters as they then are.
  void restart();
  /// Another execution begins, with what RunState::begin() was given. Only where the one before ended
  /// is_renewed(), and after a restart().
  void attach();
  /// Whether the finished plan can serve another execution: all of its stages were renewed (Stage::renew).
  [[nodiscard]] bool is_renewed() const;

 private:
  void start_pipeline(Pipeline& pipeline);
  /// The task of the current pipeline: the one of the passage before, if it could be renewed.
  void make_task();
  void end_task();
  Flow run_to_sink(Pipeline& pipeline);
  void count_loops(const plan::PlanNode& node);
  RunState& run_;
  const plan::PlanNode& root_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
  std::size_t current_ = 0;
  std::vector<std::unique_ptr<PipelineTask>> renewed_;  // by pipeline: for its next passage
  std::unique_ptr<PipelineTask> task_;                  // of the current pipeline when it runs here
  std::shared_ptr<WorkerGroup> workers_;                // ... when it runs on the pool
  bool finalizing_ = false, finished_ = false, counted_ = false;
};

}  // namespace rustbd::exec
