#include "rustbd/exec/testing/plan_maker.h"

namespace rustbd::exec::testing {
namespace {

using plan::ConflictAction;
using plan::ModifyKind;

/// t(a, b) with a CHECK (b < 100), a NOT NULL, a unique index on a.
class ModifyTest : public ::testing::Test {
 protected:
  void SetUp() override { start(false); }
  void start(bool blocks) {
    database_ = std::make_unique<MemoryDatabase>();
    database_->blocks_every_other_call = blocks;
    relation_ = make_relation(1, "t", 2);
    relation_->columns[0].not_null = true;
    add_index(*relation_, 70, {1}, true);
    table_ = &database_->add(relation_);
  }
  std::unique_ptr<plan::Modify> modify(PlanMaker& m, ModifyKind kind) {
    auto modify = std::make_unique<plan::Modify>();
    modify->kind = kind;
    modify->target = relation_;
    modify->has_returning = true;
    for (const auto& c : relation_->columns) modify->new_columns.push_back({c.number, m.column(c.type)});
    plan::CheckedConstraint check;
    check.name = "t_b_check";
    check.condition = op("<", m.ref(modify->new_columns[1].id), int4(100));
    if (kind != ModifyKind::kDelete) modify->checks.push_back(std::move(check));
    return modify;
  }
  PlanNodePtr insert_node(PlanMaker& m, const std::vector<IntRow>& rows, auto&& set) {
    auto values = m.values(rows, 2);
    auto node = m.node(NodeKind::kModify);
    node->modify = modify(m, ModifyKind::kInsert);
    for (std::size_t c = 0; c < 2; ++c)
      node->modify->assignments.push_back(
          {static_cast<catalog::AttributeNumber>(c + 1), m.ref(values->output[c])});
    for (const auto& c : node->modify->new_columns) node->output.push_back(c.id);
    set(*node->modify);
    node->children.push_back(std::move(values));
    return node;
  }
  RunResult insert(const std::vector<IntRow>& rows, auto&& set, std::uint32_t chunk_rows = 7) {
    PlanMaker m;
    auto plan = m.finish(insert_node(m, rows, [&](plan::Modify& modify) { set(m, modify); }),
                         plan::StatementTag::kInsert);
    database_->begin_statement();
    return run_with(plan, context_of(*database_, chunk_rows));
  }
  RunResult insert(const std::vector<IntRow>& rows) {
    return insert(rows, [](PlanMaker&, plan::Modify&) {});
  }
  Error insert_error(const std::vector<IntRow>& rows, auto&& set) {
    try {
      insert(rows, set);
    } catch (const Error& e) {
      return e;
    }
    ADD_FAILURE() << "must fail";
    return Error{sqlstate::kSuccess, ""};
  }
  void on_conflict(PlanMaker& m, plan::Modify& modify, ConflictAction action) {
    modify.conflict = action;
    modify.arbiters = {70};
    if (action != ConflictAction::kUpdate) return;
    for (const auto& c : relation_->columns) {
      modify.existing_columns.push_back({c.number, m.column(c.type)});
      modify.excluded_columns.push_back({c.number, m.column(c.type)});
    }
    modify.conflict_assignments.push_back(
        {2, op("+", m.ref(modify.existing_columns[1].id), m.ref(modify.excluded_columns[1].id))});
    modify.conflict_where = op("<", m.ref(modify.existing_columns[1].id), int4(50));
  }
  /// UPDATE t SET b = b + 1 WHERE a > 1 / DELETE FROM t WHERE a > 1, RETURNING all.
  /// `kept`: a run that serves all changes of one kind.
  RunResult change(ModifyKind kind, std::uint32_t chunk_rows = 7, std::unique_ptr<QueryRun>* kept = nullptr) {
    const auto context = context_of(*database_, chunk_rows);
    database_->begin_statement();
    if (kept == nullptr) return run_with(change_plan(kind), context);
    if (*kept == nullptr) {
      *kept = QueryRun::start(change_plan(kind), context);
    } else {
      EXPECT_TRUE((*kept)->rest());
      (*kept)->run_again(context);
    }
    return drain(kept->get(), context);
  }
  std::shared_ptr<const plan::ExecutionPlan> change_plan(ModifyKind kind) {
    PlanMaker m;
    auto scan = m.scan(relation_, true);
    const auto a = scan->output[0], b = scan->output[1], id = scan->output[2];
    scan->filter = op(">", m.ref(a), int4(1));
    auto node = m.node(NodeKind::kModify);
    node->modify = modify(m, kind);
    node->modify->row_id = id;
    node->modify->old_columns = {{1, a}, {2, b}};
    node->modify->recheck = op(">", m.ref(a), int4(1));
    if (kind == ModifyKind::kUpdate) {
      node->modify->assignments.push_back({2, op("+", m.ref(b), int4(1))});
      for (const auto& c : node->modify->new_columns) node->output.push_back(c.id);
    } else {
      node->output = {a, b};
    }
    node->children.push_back(std::move(scan));
    return m.finish(std::move(node), plan::StatementTag::kUpdate);
  }
  TextRows contents() const {
    TextRows rows;
    for (const auto& [id, fields] : table_->rows) {
      IntRow row;
      for (const auto& f : fields) row.push_back(f ? std::optional(f->i32) : std::nullopt);
      rows.push_back(text_of(row));
    }
    std::ranges::sort(rows);
    return rows;
  }
  std::unique_ptr<MemoryDatabase> database_;
  std::shared_ptr<catalog::Relation> relation_;
  MemoryTable* table_ = nullptr;
};

TEST_F(ModifyTest, InsertReturnsAndCounts) {
  for (const bool blocks : {false, true}) {
    start(blocks);
    const auto result = insert({{1, 10}, {2, std::nullopt}, {3, 30}});
    EXPECT_EQ(result.rows, (TextRows{"1|10", "2|NULL", "3|30"}));
    EXPECT_EQ(result.affected, 3u);
    EXPECT_EQ(contents(), (TextRows{"1|10", "2|NULL", "3|30"}));
    EXPECT_EQ(database_->end_statements, 1u);
  }
}

TEST_F(ModifyTest, ConstraintsHavePostgresTexts) {
  const auto plain = [](PlanMaker&, plan::Modify&) {};
  auto e = insert_error({{1, 5}, {std::nullopt, 7}}, plain);
  EXPECT_EQ(e.state.text(), "23502");
  EXPECT_EQ(e.message, "null value in column \"a\" of relation \"t\" violates not-null constraint");
  EXPECT_EQ(e.detail, "Failing row contains (null, 7).");
  EXPECT_EQ(e.column_name, "a");
  EXPECT_EQ(e.table_name, "t");
  EXPECT_EQ(contents(), (TextRows{"1|5"}));  // rows before it were written; the transaction takes them back
  e = insert_error({{9, 100}}, plain);
  EXPECT_EQ(e.state.text(), "23514");
  EXPECT_EQ(e.message, "new row for relation \"t\" violates check constraint \"t_b_check\"");
  EXPECT_EQ(e.detail, "Failing row contains (9, 100).");
  EXPECT_EQ(e.constraint_name, "t_b_check");
  EXPECT_EQ(insert({{5, std::nullopt}}).affected, 1u);  // CHECK passes on NULL
}

TEST_F(ModifyTest, GeneratedColumnsFollowTheOthers) {
  const auto result = insert({{4, 1}}, [](PlanMaker& m, plan::Modify& modify) {
    modify.assignments.pop_back();
    modify.generated.push_back({2, op("+", m.ref(modify.new_columns[0].id), int4(90))});
  });
  EXPECT_EQ(result.rows, (TextRows{"4|94"}));
  EXPECT_EQ(
      insert_error({{10, 1}},
                   [](PlanMaker& m, plan::Modify& modify) {
                     modify.assignments.pop_back();
                     modify.generated.push_back({2, op("+", m.ref(modify.new_columns[0].id), int4(90))});
                   })
          .state.text(),
      "23514");
}

TEST_F(ModifyTest, ConflictsDoNothingOrUpdate) {
  for (const bool blocks : {false, true}) {
    start(blocks);
    insert({{1, 10}, {2, 60}});
    auto result = insert({{1, 5}, {3, 5}, {3, 6}},
                         [&](PlanMaker& m, plan::Modify& x) { on_conflict(m, x, ConflictAction::kNothing); });
    EXPECT_EQ(result.rows, (TextRows{"3|5"}));
    EXPECT_EQ(result.affected, 1u);
    result = insert({{1, 5}, {2, 5}, {4, 5}},
                    [&](PlanMaker& m, plan::Modify& x) { on_conflict(m, x, ConflictAction::kUpdate); });
    EXPECT_EQ(result.rows, (TextRows{"1|15", "4|5"}));  // 2 fails DO UPDATE's WHERE
    EXPECT_EQ(result.affected, 2u);
    EXPECT_EQ(contents(), (TextRows{"1|15", "2|60", "3|5", "4|5"}));
    const auto e = insert_error(
        {{8, 1}, {8, 2}}, [&](PlanMaker& m, plan::Modify& x) { on_conflict(m, x, ConflictAction::kUpdate); });
    EXPECT_EQ(e.state.text(), "21000");
    EXPECT_EQ(e.message, "ON CONFLICT DO UPDATE command cannot affect row a second time");
  }
}

TEST_F(ModifyTest, UpdateAndDelete) {
  for (const bool blocks : {false, true}) {
    for (const std::uint32_t chunk_rows : {1u, 7u, 1024u}) {
      start(blocks);
      insert({{1, 10}, {2, 20}, {3, 30}});
      auto result = change(ModifyKind::kUpdate, chunk_rows);
      EXPECT_EQ(result.rows, (TextRows{"2|21", "3|31"}));
      EXPECT_EQ(result.affected, 2u);
      EXPECT_EQ(contents(), (TextRows{"1|10", "2|21", "3|31"}));
      result = change(ModifyKind::kDelete, chunk_rows);
      EXPECT_EQ(result.rows, (TextRows{"2|21", "3|31"}));
      EXPECT_EQ(contents(), (TextRows{"1|10"}));
    }
  }
}

TEST_F(ModifyTest, OneRunServesManyExecutions) {
  start(false);
  std::unique_ptr<QueryRun> update, remove;
  for (int round = 0; round < 5; ++round) {
    const bool blocks = round % 2 == 1;
    start(blocks);  // other tables
    insert({{1, 10}, {2, 20}, {3, 30}, {4, 40}});
    if (round >= 2) table_->concurrent[2] = fields_of({2, 77});
    auto result = change(ModifyKind::kUpdate, blocks ? 1 : 7, &update);
    EXPECT_EQ(result.rows, (TextRows{round >= 2 ? "2|78" : "2|21", "3|31", "4|41"}));
    EXPECT_EQ(result.affected, 3u);
    if (round >= 3) table_->concurrent[3] = std::nullopt;
    result = change(ModifyKind::kDelete, 7, &remove);
    EXPECT_EQ(result.affected, round >= 3 ? 2u : 3u);
    EXPECT_EQ(contents(), (TextRows{"1|10"}));
  }
}

TEST_F(ModifyTest, ConcurrentChangesAreCheckedAgain) {
  for (const bool blocks : {false, true}) {
    for (const auto kind : {ModifyKind::kUpdate, ModifyKind::kDelete}) {
      start(blocks);
      insert({{1, 10}, {2, 20}, {3, 30}, {4, 40}});
      table_->concurrent[2] = fields_of({2, 77});  // still matches
      table_->concurrent[3] = fields_of({0, 30});  // matches no more
      table_->concurrent[4] = std::nullopt;        // gone
      const auto result = change(kind);
      EXPECT_EQ(result.affected, 1u);
      if (kind == ModifyKind::kUpdate) {
        EXPECT_EQ(result.rows, (TextRows{"2|78"}));
        EXPECT_EQ(contents(), (TextRows{"0|30", "1|10", "2|78"}));
      } else {
        EXPECT_EQ(result.rows, (TextRows{"2|77"}));
        EXPECT_EQ(contents(), (TextRows{"0|30", "1|10"}));
      }
    }
  }
}

TEST_F(ModifyTest, WritingCteRunsToItsEndAndIsNotCounted) {
  PlanMaker m;
  auto writer = insert_node(m, {{1, 10}, {2, 20}}, [](plan::Modify&) {});
  auto bind = m.node(NodeKind::kCteBind);
  bind->cte = 1;
  auto scan = m.node(NodeKind::kCteScan);
  scan->cte = 1;
  scan->cte_columns = {writer->output[1]};
  scan->output = {m.column(kInt4Type)};
  auto limit = m.over(NodeKind::kLimit, std::move(scan));
  limit->limit = int8(1);
  bind->output = limit->output;
  bind->children.push_back(std::move(writer));
  bind->children.push_back(std::move(limit));
  database_->begin_statement();
  const auto result = run_with(m.finish(std::move(bind)), context_of(*database_, 1));
  EXPECT_EQ(result.rows, (TextRows{"10"}));
  EXPECT_EQ(result.affected, 0u);
  EXPECT_EQ(contents().size(), 2u);
}

TEST_F(ModifyTest, LockRowsTakesNoMoreThanTheLimit) {
  for (const bool blocks : {false, true}) {
    start(blocks);
    insert({{1, 10}, {2, 20}, {3, 30}, {4, 40}});
    table_->concurrent[1] = fields_of({1, 55});
    PlanMaker m;
    auto scan = m.scan(relation_, true);
    const auto a = scan->output[0], b = scan->output[1], id = scan->output[2];
    auto lock = m.over(NodeKind::kLockRows, std::move(scan));
    lock->locks.push_back(
        {relation_, id, plan::LockStrength::kUpdate, plan::LockWait::kWait, {{1, a}, {2, b}}});
    lock->filter = op("<", m.ref(b), int4(50));
    auto limit = m.over(NodeKind::kLimit, std::move(lock));
    limit->limit = int8(2);
    limit->output = {a, b};
    database_->begin_statement();
    const auto result = run_with(m.finish(std::move(limit)), context_of(*database_, 1024));
    EXPECT_EQ(result.rows, (TextRows{"2|20", "3|30"}));  // row 1 fails in its newest version
    EXPECT_EQ(table_->lock_order, (std::vector<std::uint64_t>{2, 3}));
  }
}

}  // namespace
}  // namespace rustbd::exec::testing
