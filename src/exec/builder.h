// Turns plan nodes into pipelines. One function per node kind, beside the operator that it makes.
#pragma once

#include <memory>
#include <vector>

#include "rustbd/exec/columns.h"
#include "rustbd/exec/pipeline.h"

namespace rustbd::exec {

/// Rows that a LIMIT still takes; stages with side effects below it never touch more.
struct RowBudget {
  std::uint64_t left = UINT64_MAX;
};

class PipelineBuilder {
 public:
  PipelineBuilder(RunState& run_state, std::vector<std::unique_ptr<Pipeline>>& done, bool is_top)
      : run(run_state), pipelines_(done), is_top_(is_top) {}
  /// Extends `current` so that it ends with the node's output.
  void build(const plan::PlanNode& node, Pipeline& current);
  /// Builds `child` into a pipeline of its own, run before the current one, that ends in `sink`.
  Pipeline& build_into(const plan::PlanNode& child, std::shared_ptr<Sink> sink,
                       bool sink_is_parallel = false);
  [[nodiscard]] Layout layout(const plan::PlanNode& node) const { return Layout::of(run, node.output); }
  /// A pipeline with the expression stays parallel only if no state is shared behind it.
  static void use(Pipeline& pipeline, const expression::Expression* e);
  /// Puts a stage before one with side effects that cuts chunks to what is still asked for.
  void add_quota(Pipeline& pipeline, std::uint32_t node);
  void push_budget(std::shared_ptr<RowBudget> budget) { budgets_.push_back(std::move(budget)); }
  void pop_budget() { budgets_.pop_back(); }
  /// Rows that a Modify inside a CTE changes are not the statement's count.
  void enter_cte() { ++cte_depth_; }
  void leave_cte() { --cte_depth_; }
  [[nodiscard]] bool counts_rows() const { return cte_depth_ == 0; }
  RunState& run;

 private:
  std::uint32_t cte_depth_ = 0;
  std::vector<std::unique_ptr<Pipeline>>& pipelines_;
  std::vector<std::shared_ptr<RowBudget>> budgets_;
  bool is_top_;
};

// scan.cc
void build_table_scan(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_index_scan(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// values.cc
void build_values(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_result(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// functions.cc
void build_function_scan(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_project_set(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// basic.cc
void build_filter(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
/// The Filter operator of node.filter over `in`.
std::unique_ptr<Operator> make_filter(const plan::PlanNode&, const Layout& in);
/// A LIMIT or OFFSET; `none` for NULL or no expression. 2201W, 2201X.
std::uint64_t row_count_of(const plan::Expression*, TaskContext&, std::uint64_t none, bool is_limit);
void build_project(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_limit(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
/// The Limit operator alone, with the node's limit, offset and ties, over columns `in`.
void add_limit(PipelineBuilder&, const plan::PlanNode&, Pipeline&, const Layout& in);
void build_distinct_on(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_materialize(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
/// Adds a Project of plain columns when `have` is not `want` already.
void arrange(PipelineBuilder&, Pipeline&, std::uint32_t node, const Layout& have,
             std::span<const ColumnId> want);
// join.cc, hash_join.cc, index_join.cc, apply.cc
void build_hash_join(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_index_join(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_apply(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// sort.cc
void build_sort(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// aggregate.cc, window.cc
void build_aggregate(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_window(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// set_operation.cc
void build_set_operation(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_append(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// cte.cc
void build_recursive_union(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_work_table_scan(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_cte_bind(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_cte_scan(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
// modify.cc, lock_rows.cc
void build_modify(PipelineBuilder&, const plan::PlanNode&, Pipeline&);
void build_lock_rows(PipelineBuilder&, const plan::PlanNode&, Pipeline&);

}  // namespace rustbd::exec
