// Pipelines on the worker pool give what one worker gives.
#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/io/executor.h"

namespace rustbd::exec::testing {
namespace {

class Parallel : public ::testing::Test {
 protected:
  Parallel() : executor_(io::make_thread_executor(4)) {
    relation_ = make_relation(1, "t", 2);
    std::vector<IntRow> rows;
    for (int i = 0; i < 20000; ++i) rows.push_back({i % 100, i});
    fill(database_.add(relation_), rows);
    database_.morsel_count = 37;
  }
  ~Parallel() override { executor_->stop(); }
  RunResult run(const std::shared_ptr<const plan::ExecutionPlan>& plan, bool parallel) {
    database_.begin_statement();
    auto context = context_of(database_, 1024);
    context.workers = &executor_->workers();
    context.worker_limit = parallel ? 4 : 1;
    auto result = run_with(plan, context);
    std::ranges::sort(result.rows);
    return result;
  }
  void expect_same(const std::shared_ptr<const plan::ExecutionPlan>& plan) {
    const auto alone = run(plan, false);
    EXPECT_EQ(alone.blocked, 0u);
    for (const bool blocks : {false, true}) {
      database_.blocks_every_other_call = blocks;
      const auto together = run(plan, true);
      EXPECT_EQ(together.rows, alone.rows);
    }
    database_.blocks_every_other_call = false;
  }
  std::unique_ptr<io::Executor> executor_;
  MemoryDatabase database_;
  std::shared_ptr<catalog::Relation> relation_;
};

TEST_F(Parallel, AggregateOverJoin) {
  PlanMaker m;
  auto left = m.scan(relation_), right = m.scan(relation_);
  const auto g = left->output[0], v = left->output[1], r = right->output[1];
  right->filter = op("<", m.ref(r), int4(5000));
  plan::PlanNode::HashKey key;
  key.left = m.ref(v);
  key.right = m.ref(r);
  auto join = m.join(NodeKind::kHashJoin, plan::JoinType::kInner, std::move(left), std::move(right));
  join->hash_keys.push_back(std::move(key));
  auto node = m.node(NodeKind::kAggregate);
  const auto id = m.column(kInt4Type);
  node->groups.push_back({id, m.ref(g)});
  node->output = {id};
  for (const auto* name : {"sum", "min", "count"}) {
    auto call = aggregate(name, list(m.ref(v)));
    const auto out = m.column(call->type);
    node->output.push_back(out);
    node->aggregates.push_back({out, std::move(call)});
  }
  node->children.push_back(std::move(join));
  expect_same(m.finish(std::move(node)));
}

TEST_F(Parallel, SortAndTopN) {
  for (const auto kind : {NodeKind::kSort, NodeKind::kTopN}) {
    PlanMaker m;
    auto node = m.over(kind, m.scan(relation_));
    node->sort_keys = {{node->output[1], true}};
    if (kind == NodeKind::kTopN) node->limit = int8(17);
    expect_same(m.finish(std::move(node)));
  }
}

TEST_F(Parallel, FailuresAndAbandonedRunsEndCleanly) {
  PlanMaker m;
  auto scan = m.scan(relation_);
  scan->filter = op(">", op("/", int4(1), op("-", m.ref(scan->output[1]), int4(15000))), int4(-5));
  auto sort = m.over(NodeKind::kSort, std::move(scan));
  sort->sort_keys = {{sort->output[0]}};
  const auto plan = m.finish(std::move(sort));
  try {
    run(plan, true);
    FAIL() << "division by zero";
  } catch (const Error& e) {
    EXPECT_EQ(e.state.text(), "22012");
  }
  PlanMaker m2;
  auto all = m2.over(NodeKind::kSort, m2.scan(relation_));
  all->sort_keys = {{all->output[0]}};
  database_.begin_statement();
  auto context = context_of(database_, 1024);
  context.workers = &executor_->workers();
  context.worker_limit = 4;
  auto given_up = QueryRun::start(m2.finish(std::move(all)), context);
  types::Chunk chunk;
  EXPECT_EQ(given_up->next(&chunk, 0).state, State::kBlocked);
  given_up.reset();
}

}  // namespace
}  // namespace rustbd::exec::testing
