// Filter, Project, Limit, DistinctOn, Materialize.
#include <algorithm>

#include "rustbd/exec/builder.h"
#include "rustbd/exec/row_table.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

class Filter final : public Operator {
 public:
  Filter(std::uint32_t id, const plan::Expression* condition, const Layout& in)
      : Operator(id), condition_(condition, in) {}
  struct Local final : LocalState {
    Predicate::Local condition;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->condition = condition_.make_local();
    return local;
  }
  bool renew(LocalState* state) override { return Predicate::renew(static_cast<Local&>(*state).condition); }
  Flow process(TaskContext& context, LocalState* state, Chunk& in, Chunk& out) override {
    out = in;
    out.selection = condition_.filter(static_cast<Local&>(*state).condition, context.expressions, in);
    context.count_filtered(node, in.selection.count - out.selection.count);
    return Flow::need();
  }

 private:
  const Predicate condition_;
};

class Project final : public Operator {
 public:
  Project(std::uint32_t id, std::vector<const plan::Expression*> expressions, const Layout& in)
      : Operator(id), columns_(std::move(expressions), in) {}
  struct Local final : LocalState {
    Evaluator::Local columns;
    std::vector<Vector> output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->columns = columns_.make_local();
    local->output.resize(columns_.size());
    return local;
  }
  bool renew(LocalState* state) override { return static_cast<Local&>(*state).columns.renew(); }
  Flow process(TaskContext& context, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    columns_.evaluate(local.columns, context.expressions, in, local.output.data());
    out = in;
    out.columns = local.output.data();
    out.column_count = static_cast<std::uint32_t>(local.output.size());
    return Flow::need();
  }

 private:
  const Evaluator columns_;
};

/// Reorders and drops columns.
class Arrange final : public Operator {
 public:
  Arrange(std::uint32_t id, std::vector<std::uint32_t> positions)
      : Operator(id), positions_(std::move(positions)) {}
  struct Local final : LocalState {
    std::vector<Vector> output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.resize(positions_.size());
    return local;
  }
  bool renew(LocalState*) override { return true; }
  Flow process(TaskContext&, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    for (std::size_t i = 0; i < positions_.size(); ++i) local.output[i] = in.columns[positions_[i]];
    out = in;
    out.columns = local.output.data();
    out.column_count = static_cast<std::uint32_t>(positions_.size());
    return Flow::need();
  }

 private:
  const std::vector<std::uint32_t> positions_;
};

/// Equality of two rows in some columns, NULLs equal.
bool same_keys(const RowLayout& layout, const std::byte* row, const Vector* keys, std::uint32_t at) {
  for (std::size_t c = 0; c < layout.size(); ++c) {
    const bool null = !keys[c].is_valid(at);
    if (null != layout.is_null(row, c)) return false;
    if (!null && !equal_values(layout.datum(row, c), layout.type(c), keys[c].datum(at), layout.type(c)))
      return false;
  }
  return true;
}

/// One remembered row of key columns.
class RememberedKeys {
 public:
  RememberedKeys(RunState& run, const Layout& in, std::span<const std::uint32_t> positions)
      : positions_(positions.begin(), positions.end()),
        keys_(positions.size()),
        table_(run.memory, layout_of(in, positions)) {}
  void start(const Chunk& in) {
    for (std::size_t i = 0; i < positions_.size(); ++i) keys_[i] = in.columns[positions_[i]];
  }
  [[nodiscard]] bool any() const { return row_ != nullptr; }
  [[nodiscard]] bool same(std::uint32_t at) const {
    return same_keys(table_.layout(), row_, keys_.data(), at);
  }
  void remember(std::uint32_t at) {
    table_.clear();
    const auto index = static_cast<std::uint16_t>(at);
    table_.append(keys_.data(), Selection{&index, 1}, &row_);
  }

 private:
  static RowLayout layout_of(const Layout& in, std::span<const std::uint32_t> positions) {
    std::vector<TypeRef> types;
    for (const auto p : positions) types.push_back(in.types[p]);
    return RowLayout{types};
  }
  std::vector<std::uint32_t> positions_;
  std::vector<Vector> keys_;
  RowTable table_;
  Row row_ = nullptr;
};

class Limit final : public Operator {
 public:
  Limit(RunState& run, const PlanNode& plan_node, const Layout& in, std::shared_ptr<RowBudget> budget)
      : Operator(plan_node.id), plan_(plan_node), in_(in), budget_(std::move(budget)), run_(run) {
    for (const auto& key : plan_node.sort_keys) key_positions_.push_back(in.position(key.column));
  }
  struct Local final : LocalState {
    Local(RunState& run, const Layout& in, std::span<const std::uint32_t> keys) : last(run, in, keys) {}
    std::uint64_t skip = 0, take = UINT64_MAX;
    bool any = false;  // WITH TIES: `last` holds the last row taken
    RememberedKeys last;
  };
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    auto local = std::make_unique<Local>(run_, in_, key_positions_);
    local->take = row_count_of(plan_.limit.get(), context, UINT64_MAX, true);
    local->skip = row_count_of(plan_.offset.get(), context, 0, false);
    update_budget(*local);
    return local;
  }
  Flow process(TaskContext&, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (local.take == 0 && !plan_.with_ties) return Flow::finished();
    if (local.take == 0 && !local.any) return Flow::finished();
    const std::uint32_t count = in.selection.count;
    const auto skipped = static_cast<std::uint32_t>(std::min<std::uint64_t>(local.skip, count));
    local.skip -= skipped;
    const auto taken = static_cast<std::uint32_t>(std::min<std::uint64_t>(local.take, count - skipped));
    if (local.take != UINT64_MAX) local.take -= taken;
    std::uint32_t ties = 0;
    if (plan_.with_ties) ties = count_ties(local, in, skipped, taken);
    update_budget(local);
    out = in;
    if (skipped != 0 || taken + ties != count) out.selection = slice(in.selection, skipped, taken + ties);
    const bool more = local.take != 0 || (plan_.with_ties && skipped + taken + ties == count);
    return more ? Flow::need() : Flow::finished();
  }

 private:
  std::uint32_t count_ties(Local& local, const Chunk& in, std::uint32_t skipped, std::uint32_t taken) {
    local.last.start(in);
    if (taken != 0) {
      local.last.remember(in.selection[skipped + taken - 1]);
      local.any = true;
    }
    if (local.take != 0 || !local.any) return 0;
    std::uint32_t ties = 0;
    while (skipped + taken + ties < in.selection.count &&
           local.last.same(in.selection[skipped + taken + ties]))
      ++ties;
    return ties;
  }
  void update_budget(const Local& local) {
    if (budget_ == nullptr) return;
    const bool open = plan_.with_ties || local.take == UINT64_MAX || local.skip > UINT64_MAX - local.take;
    budget_->left = open ? UINT64_MAX : std::max<std::uint64_t>(1, local.skip + local.take);
  }
  const PlanNode& plan_;
  const Layout in_;
  const std::shared_ptr<RowBudget> budget_;
  RunState& run_;
  std::vector<std::uint32_t> key_positions_;
};

/// LIMIT 0 must not start what is below it.
class LimitedSource final : public SourceBehind {
 public:
  LimitedSource(std::unique_ptr<Source> inner, const plan::Expression* limit)
      : SourceBehind(std::move(inner)), limit_(limit) {}
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    if (row_count_of(limit_, context, UINT64_MAX, true) == 0) return Flow::finished();
    return inner_->scan(context, state, out);
  }

 private:
  const plan::Expression* limit_;
};

/// The first row of each run of equal keys.
class DistinctOn final : public Operator {
 public:
  DistinctOn(RunState& run, const PlanNode& plan_node, const Layout& in)
      : Operator(plan_node.id), run_(run), in_(in) {
    const auto& keys = plan_node.distinct_on.empty() ? plan_node.output : plan_node.distinct_on;
    for (const auto id : keys) key_positions_.push_back(in.position(id));
  }
  struct Local final : LocalState {
    Local(RunState& run, const Layout& in, std::span<const std::uint32_t> keys) : last(run, in, keys) {}
    RememberedKeys last;
    std::vector<std::uint16_t> kept;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    return std::make_unique<Local>(run_, in_, key_positions_);
  }
  Flow process(TaskContext&, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    local.kept.clear();
    local.last.start(in);
    for (std::uint32_t i = 0; i < in.selection.count; ++i) {
      const auto row = in.selection[i];
      if (local.last.any() && local.last.same(row)) continue;
      local.last.remember(row);
      local.kept.push_back(static_cast<std::uint16_t>(row));
    }
    out = in;
    out.selection = {local.kept.data(), static_cast<std::uint32_t>(local.kept.size())};
    return Flow::need();
  }

 private:
  RunState& run_;
  const Layout in_;
  std::vector<std::uint32_t> key_positions_;
};

}  // namespace

std::unique_ptr<Operator> make_filter(const PlanNode& node, const Layout& in) {
  return std::make_unique<Filter>(node.id, node.filter.get(), in);
}

std::uint64_t row_count_of(const plan::Expression* e, TaskContext& context, std::uint64_t none,
                           bool is_limit) {
  if (e == nullptr) return none;
  Arena arena(256);
  const auto value = expression::evaluate_constant(*e, context.expressions, arena);
  if (value.is_null) return none;
  if (value.datum.i64 < 0) {
    if (is_limit) throw error(sqlstate::kInvalidRowCountInLimit, "LIMIT must not be negative");
    throw error(sqlstate::kInvalidRowCountInOffset, "OFFSET must not be negative");
  }
  return static_cast<std::uint64_t>(value.datum.i64);
}

void build_filter(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  builder.build(*node.children[0], current);
  const auto in = builder.layout(*node.children[0]);
  PipelineBuilder::use(current, node.filter.get());
  current.operators.push_back(std::make_unique<Filter>(node.id, node.filter.get(), in));
  arrange(builder, current, node.id, in, node.output);
}

void build_project(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  Layout in;
  if (!node.children.empty()) {
    builder.build(*node.children[0], current);
    in = builder.layout(*node.children[0]);
  }
  std::vector<const plan::Expression*> expressions;
  bool has_side_effects = false, computes = false;
  std::vector<std::uint32_t> positions;
  std::vector<plan::ExpressionPtr> columns;  // only until the program is compiled
  for (const auto id : node.output) {
    const auto c = std::ranges::find(node.computed, id, &plan::ComputedColumn::id);
    if (c == node.computed.end()) {
      positions.push_back(in.position(id));
      columns.push_back(expression::make_column(id, builder.run.type_of(id)));
      expressions.push_back(columns.back().get());
      continue;
    }
    computes = true;
    PipelineBuilder::use(current, c->expression.get());
    has_side_effects |= expression::is_volatile(*c->expression);
    expressions.push_back(c->expression.get());
  }
  if (!computes) {
    current.operators.push_back(std::make_unique<Arrange>(node.id, std::move(positions)));
    return;
  }
  if (has_side_effects) builder.add_quota(current, node.id);
  current.operators.push_back(std::make_unique<Project>(node.id, std::move(expressions), in));
}

void arrange(PipelineBuilder&, Pipeline& pipeline, std::uint32_t node, const Layout& have,
             std::span<const ColumnId> want) {
  if (std::ranges::equal(have.ids, want)) return;
  std::vector<std::uint32_t> positions;
  for (const auto id : want) positions.push_back(have.position(id));
  pipeline.operators.push_back(std::make_unique<Arrange>(node, std::move(positions)));
}

void build_limit(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  auto budget = std::make_shared<RowBudget>();
  builder.push_budget(budget);
  builder.build(*node.children[0], current);
  builder.pop_budget();
  current.parallel_safe = false;
  if (node.limit != nullptr)
    current.source = std::make_unique<LimitedSource>(std::move(current.source), node.limit.get());
  const auto in = builder.layout(*node.children[0]);
  current.operators.push_back(std::make_unique<Limit>(builder.run, node, in, budget));
  arrange(builder, current, node.id, in, node.output);
}

void add_limit(PipelineBuilder& builder, const PlanNode& node, Pipeline& current, const Layout& in) {
  current.operators.push_back(std::make_unique<Limit>(builder.run, node, in, nullptr));
  arrange(builder, current, node.id, in, node.output);
}

void build_distinct_on(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  builder.build(*node.children[0], current);
  current.parallel_safe = false;
  const auto in = builder.layout(*node.children[0]);
  current.operators.push_back(std::make_unique<DistinctOn>(builder.run, node, in));
  arrange(builder, current, node.id, in, node.output);
}

/// Joins and CTEs keep what they read anyway; there is nothing to do.
void build_materialize(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  builder.build(*node.children[0], current);
  arrange(builder, current, node.id, builder.layout(*node.children[0]), node.output);
}

}  // namespace rustbd::exec
