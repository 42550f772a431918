// Set-returning functions: in FROM (FunctionScan) and in the select list (ProjectSet). Several run side by
// side, the shorter ones padded with NULL.
#include <algorithm>

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/builder.h"

namespace rustbd::exec {

using plan::PlanNode;
using Function = plan::LogicalNode::Function;

namespace {

/// One function's rows for one set of arguments.
class FunctionRun {
 public:
  FunctionRun(const RunState& run, const Function& function) : function_(function) {
    std::vector<types::Phys> phys;
    for (const auto id : function.columns) phys.push_back(run.type_of(id).phys);
    buffer_.reset(phys);
    const auto& call = *function.call;
    is_set_ = function.set_returning && call.kind == expression::Kind::kCall &&
              call.function.kernels != nullptr && call.function.kernels->set.init != nullptr;
    if (function.set_returning && !is_set_) throw not_supported("this set-returning function");
  }
  [[nodiscard]] bool is_set() const { return is_set_; }

  void start(TaskContext& context, const Datum* args, const bool* nulls, std::size_t count) {
    arena_.reset();
    const auto& f = function_.call->function;
    done_ = false;
    at_ = rows_ = 0;
    if (f.declaration->is(functions::kStrict) &&
        std::any_of(nulls, nulls + count, [](bool null) { return null; })) {
      done_ = true;
      return;
    }
    call_ = context.eval_context(arena_);
    call_.argument_types = f.arguments;
    call_.result_type = f.result;
    call_.function = f.declaration;
    if (!function_.call->args.empty()) call_.input_collation = function_.call->args[0]->type.collation;
    state_ = f.kernels->set.init(call_, args, nulls);
  }
  void start_scalar(const Value& value) {
    arena_.reset();
    buffer_.begin();
    if (buffer_.chunk().column_count != 0) buffer_.put(0, 0, value.datum, value.is_null);
    at_ = 0;
    rows_ = 1;
    done_ = true;
  }
  /// Whether there is a current row.
  bool has_row() {
    while (at_ == rows_ && !done_) {
      buffer_.begin();
      rows_ = function_.call->function.kernels->set.next(call_, state_, buffer_);
      at_ = 0;
      if (rows_ == 0) done_ = true;
    }
    return at_ < rows_;
  }
  [[nodiscard]] std::size_t columns() const { return function_.columns.size(); }
  void copy(std::size_t column, ChunkBuffer& out, std::uint32_t to_column, std::uint32_t to_row) {
    const Vector& v = buffer_.chunk()[column];
    const bool valid = v.is_valid(at_);
    out.put(to_column, to_row, valid ? v.datum(at_) : Datum{}, !valid);
  }
  void advance() { ++at_; }

 private:
  const Function& function_;
  bool is_set_ = false, done_ = true;
  functions::EvalContext call_;
  void* state_ = nullptr;
  ChunkBuffer buffer_;
  std::uint32_t at_ = 0, rows_ = 0;
  Arena arena_{512};
};

/// Values of an expression's arguments that have no columns.
void start_with_constants(TaskContext& context, const Function& function, FunctionRun& run, Arena& arena) {
  arena.reset();
  if (!run.is_set())
    return run.start_scalar(expression::evaluate_constant(*function.call, context.expressions, arena));
  std::vector<Datum> args;
  bool nulls[64] = {};
  RUSTBD_STATEMENT_ASSERT(function.call->args.size() <= 64);
  for (const auto& arg : function.call->args) {
    const auto value = expression::evaluate_constant(*arg, context.expressions, arena);
    nulls[args.size()] = value.is_null;
    args.push_back(value.datum);
  }
  run.start(context, args.data(), nulls, args.size());
}

/// Where in the output each function column goes; -1: not wanted.
int position_of(const std::vector<ColumnId>& output, ColumnId id) {
  const auto at = std::ranges::find(output, id);
  return at == output.end() ? -1 : static_cast<int>(at - output.begin());
}

void put_row(std::vector<std::unique_ptr<FunctionRun>>& runs, const std::vector<std::vector<int>>& targets,
             ChunkBuffer& out, std::uint32_t row) {
  for (std::size_t f = 0; f < runs.size(); ++f) {
    const bool has = runs[f]->has_row();
    for (std::size_t c = 0; c < targets[f].size(); ++c) {
      if (targets[f][c] < 0) continue;
      if (has) runs[f]->copy(c, out, static_cast<std::uint32_t>(targets[f][c]), row);
      else out.set_null(static_cast<std::uint32_t>(targets[f][c]), row);
    }
  }
}

class FunctionScan final : public Source {
 public:
  FunctionScan(PipelineBuilder& builder, const PlanNode& plan_node)
      : Source(plan_node.id), plan_(plan_node), layout_(builder.layout(plan_node)) {
    for (const auto& function : plan_node.functions) {
      targets_.emplace_back();
      for (const auto id : function.columns) targets_.back().push_back(position_of(plan_node.output, id));
    }
    if (plan_node.has_ordinality) ordinality_ = position_of(plan_node.output, plan_node.ordinality);
  }
  struct Local final : LocalState {
    std::vector<std::unique_ptr<FunctionRun>> runs;
    std::vector<Arena> arguments;
    ChunkBuffer out;
    std::int64_t number = 0;
    bool started = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    auto local = std::make_unique<Local>();
    for (const auto& function : plan_.functions) {
      local->runs.push_back(std::make_unique<FunctionRun>(context.run, function));
      local->arguments.emplace_back(256);
    }
    local->out.reset(layout_.phys());
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (!local.started) {
      for (std::size_t f = 0; f < local.runs.size(); ++f)
        start_with_constants(context, plan_.functions[f], *local.runs[f], local.arguments[f]);
      local.started = true;
    }
    local.out.begin();
    std::uint32_t n = 0;
    for (; n < context.run.chunk_rows(); ++n) {
      bool any = false;
      for (auto& run : local.runs) any |= run->has_row();
      if (!any) break;
      put_row(local.runs, targets_, local.out, n);
      for (auto& run : local.runs)
        if (run->has_row()) run->advance();
      if (plan_.has_ordinality && ordinality_ >= 0)
        local.out.put(static_cast<std::uint32_t>(ordinality_), n, Datum::of(++local.number), false);
    }
    if (n == 0) return Flow::finished();
    local.out.chunk().select_all(n);
    out = local.out.chunk();
    return Flow::output();
  }

 private:
  const PlanNode& plan_;
  const Layout layout_;
  std::vector<std::vector<int>> targets_;
  int ordinality_ = -1;
};

class ProjectSet final : public Operator {
 public:
  ProjectSet(PipelineBuilder& builder, const PlanNode& plan_node, const Layout& in)
      : Operator(plan_node.id), plan_(plan_node), layout_(builder.layout(plan_node)) {
    std::vector<const plan::Expression*> arguments;
    for (const auto& function : plan_node.functions) {
      first_argument_.push_back(arguments.size());
      // A function without a set is computed whole, as one argument.
      if (function.set_returning) {
        for (const auto& arg : function.call->args) arguments.push_back(arg.get());
      } else {
        arguments.push_back(function.call.get());
      }
      targets_.emplace_back();
      for (const auto id : function.columns) targets_.back().push_back(position_of(plan_node.output, id));
    }
    arguments_ = Evaluator(std::move(arguments), in);
    for (std::size_t i = 0; i < plan_node.output.size(); ++i)
      if (const int from = in.find(plan_node.output[i]); from >= 0)
        passed_.emplace_back(static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(from));
  }
  struct Local final : LocalState {
    std::vector<std::unique_ptr<FunctionRun>> runs;
    Evaluator::Local arguments;
    std::vector<Vector> values;
    ChunkBuffer out;
    std::uint32_t at = 0;
    bool in_chunk = false, in_row = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext& context) override {
    auto local = std::make_unique<Local>();
    for (const auto& function : plan_.functions)
      local->runs.push_back(std::make_unique<FunctionRun>(context.run, function));
    local->arguments = arguments_.make_local();
    local->values.resize(arguments_.size());
    local->out.reset(layout_.phys());
    return local;
  }
  Flow process(TaskContext& context, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (!local.in_chunk) {
      arguments_.evaluate(local.arguments, context.expressions, in, local.values.data());
      local.at = 0;
      local.in_chunk = true;
      local.in_row = false;
    }
    local.out.begin();
    std::uint32_t n = 0;
    while (local.at < in.selection.count && n < context.run.chunk_rows()) {
      const auto row = in.selection[local.at];
      if (!local.in_row) start_row(context, local, row);
      if (!more(local)) {
        ++local.at;
        local.in_row = false;
        continue;
      }
      put_row(local.runs, targets_, local.out, n);
      for (std::size_t f = 0; f < local.runs.size(); ++f)
        if (plan_.functions[f].set_returning && local.runs[f]->has_row()) local.runs[f]->advance();
      for (const auto& [to, from] : passed_) {
        const bool valid = in.columns[from].is_valid(row);
        local.out.put(to, n, valid ? in.columns[from].datum(row) : Datum{}, !valid);
      }
      ++n;
    }
    local.out.chunk().select_all(n);
    out = local.out.chunk();
    if (local.at < in.selection.count) return Flow::output();
    local.in_chunk = false;
    return Flow::need();
  }

 private:
  void start_row(TaskContext& context, Local& local, std::uint32_t row) const {
    for (std::size_t f = 0; f < local.runs.size(); ++f) {
      const auto first = first_argument_[f];
      const auto& function = plan_.functions[f];
      if (!function.set_returning) {
        const Vector& v = local.values[first];
        Value value{function.call->type, !v.is_valid(row), {}};
        if (!value.is_null) value.datum = v.datum(row);
        local.runs[f]->start_scalar(value);
        continue;
      }
      Datum args[64];
      bool nulls[64] = {};
      const auto count = function.call->args.size();
      for (std::size_t a = 0; a < count; ++a) {
        const Vector& v = local.values[first + a];
        nulls[a] = !v.is_valid(row);
        if (!nulls[a]) args[a] = v.datum(row);
      }
      local.runs[f]->start(context, args, nulls, count);
    }
    local.in_row = true;
  }
  [[nodiscard]] bool more(Local& local) const {
    bool any = false;
    for (std::size_t f = 0; f < local.runs.size(); ++f)
      if (plan_.functions[f].set_returning) any |= local.runs[f]->has_row();
    return any;
  }
  const PlanNode& plan_;
  const Layout layout_;
  Evaluator arguments_;
  std::vector<std::size_t> first_argument_;
  std::vector<std::vector<int>> targets_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> passed_;  // output position, input position
};

}  // namespace

void build_function_scan(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  current.parallel_safe = false;
  current.source = std::make_unique<FunctionScan>(builder, node);
  if (node.filter == nullptr) return;
  const auto layout = builder.layout(node);
  current.operators.push_back(make_filter(node, layout));
}

void build_project_set(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  Layout in;
  if (!node.children.empty()) {
    builder.build(*node.children[0], current);
    in = builder.layout(*node.children[0]);
  }
  current.parallel_safe = false;
  builder.add_quota(current, node.id);
  current.operators.push_back(std::make_unique<ProjectSet>(builder, node, in));
}

}  // namespace rustbd::exec
