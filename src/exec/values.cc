// VALUES lists and the single row of Result.
#include "rustbd/exec/builder.h"
#include "rustbd/exec/constants.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

class ValuesSource final : public Source {
 public:
  ValuesSource(PipelineBuilder& builder, const PlanNode& plan_node)
      : Source(plan_node.id), plan_(plan_node), layout_(builder.layout(plan_node)) {
    // A single row, as most INSERTs have: what must be computed is compiled once for all executions.
    if (plan_.rows.size() != 1) return;
    std::vector<const plan::Expression*> expressions;
    for (const auto& cell : plan_.rows[0])
      if (!is_plain(*cell)) expressions.push_back(cell.get());
    computed_count_ = expressions.size();
    if (computed_count_ != 0) program_ = expression::Program::compile(expressions, {});
  }
  struct Local final : LocalState {
    ChunkBuffer buffer;
    std::size_t next = 0;
    expression::Program::LocalPtr program;
    std::vector<Vector> computed;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->buffer.reset(layout_.phys());
    if (program_ != nullptr) local->program = program_->make_local();
    local->computed.resize(computed_count_);
    return local;
  }
  bool renew(LocalState* state) override {
    auto& local = static_cast<Local&>(*state);
    local.next = 0;
    if (program_ != nullptr && !expression::Program::renew(*local.program)) return false;
    return local.buffer.rest();
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (local.next == plan_.rows.size()) return Flow::finished();
    local.buffer.begin();
    if (program_ != nullptr) return compute(context, local, out);
    // Values with side effects (nextval) must not run ahead of what is asked for.
    const std::uint64_t most =
        std::min<std::uint64_t>(context.run.chunk_rows(), std::max<std::uint64_t>(1, context.run.quota));
    std::uint32_t n = 0;
    for (; n < most && local.next < plan_.rows.size(); ++n, ++local.next) {
      const auto& row = plan_.rows[local.next];
      for (std::uint32_t c = 0; c < row.size(); ++c) {
        const auto value = constant_value(*row[c], context.expressions, local.buffer.arena());
        local.buffer.put(c, n, value.datum, value.is_null, false);
      }
    }
    local.buffer.chunk().select_all(n);
    out = local.buffer.chunk();
    return Flow::output();
  }

 private:
  static bool is_plain(const plan::Expression& e) {
    return e.kind == expression::Kind::kConstant || e.kind == expression::Kind::kParameter;
  }
  Flow compute(TaskContext& context, Local& local, Chunk& out) {
    Chunk none;
    none.select_all(1);
    program_->evaluate(*local.program, context.expressions, none, local.computed);
    const auto& row = plan_.rows[local.next++];
    std::size_t taken = 0;
    for (std::uint32_t c = 0; c < row.size(); ++c) {
      if (is_plain(*row[c])) {
        const auto value = constant_value(*row[c], context.expressions, local.buffer.arena());
        local.buffer.put(c, 0, value.datum, value.is_null, false);
        continue;
      }
      const auto& v = local.computed[taken++];
      const bool is_null = !v.is_valid(0);
      local.buffer.put(c, 0, is_null ? types::Datum{} : v.datum(0), is_null, false);
    }
    local.buffer.chunk().select_all(1);
    out = local.buffer.chunk();
    return Flow::output();
  }

  const PlanNode& plan_;
  const Layout layout_;
  std::size_t computed_count_ = 0;
  std::unique_ptr<expression::Program> program_;  // of a single row's computed cells; nullptr: none
};

/// One row without columns; a condition over constants may refuse it.
class ResultSource final : public Source {
 public:
  ResultSource(std::uint32_t id, const plan::Expression* filter) : Source(id), filter_(filter) {}
  struct Local final : LocalState {
    bool done = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override { return std::make_unique<Local>(); }
  bool renew(LocalState* state) override {
    static_cast<Local&>(*state).done = false;
    return true;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (local.done) return Flow::finished();
    local.done = true;
    if (filter_ != nullptr) {
      Arena arena(256);
      const auto value = expression::evaluate_constant(*filter_, context.expressions, arena);
      if (value.is_null || !value.datum.boolean) return Flow::finished();
    }
    out = Chunk{};
    out.select_all(1);
    return Flow::output();
  }

 private:
  const plan::Expression* filter_;
};

/// A one-time condition before another source.
class GatedSource final : public SourceBehind {
 public:
  GatedSource(std::unique_ptr<Source> inner, const plan::Expression* filter)
      : SourceBehind(std::move(inner)), filter_(filter) {}
  void reset() override {
    SourceBehind::reset();
    open_ = false;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    if (!open_) {
      Arena arena(256);
      const auto value = expression::evaluate_constant(*filter_, context.expressions, arena);
      if (value.is_null || !value.datum.boolean) return Flow::finished();
      open_ = true;
    }
    return inner_->scan(context, state, out);
  }

 private:
  const plan::Expression* filter_;
  bool open_ = false;
};

}  // namespace

void build_values(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  current.source = std::make_unique<ValuesSource>(builder, node);
}

void build_result(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  if (!node.children.empty()) {
    // A one-time condition above a subtree.
    builder.build(*node.children[0], current);
    current.parallel_safe = false;
    if (node.filter != nullptr)
      current.source = std::make_unique<GatedSource>(std::move(current.source), node.filter.get());
    arrange(builder, current, node.id, builder.layout(*node.children[0]), node.output);
    return;
  }
  current.source = std::make_unique<ResultSource>(node.id, node.filter.get());
  // Columns of a Result are computed by `computed`, as in a Project.
  if (!node.computed.empty()) build_project(builder, node, current);
}

}  // namespace rustbd::exec
