// Apply: the right subtree runs again for each left row, with parameters bound to its columns. Results of
// equal bindings are remembered when the subtree has no side effects.
#include <algorithm>
#include <map>

#include "rustbd/exec/join.h"
#include "rustbd/exec/plan_executor.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {
constexpr std::uint64_t kRememberedBytes = 16 << 20;

/// Expressions of a subtree, as far as volatility is concerned.
bool is_volatile(const PlanNode& node) {
  const auto check = [](const plan::ExpressionPtr& e) { return e != nullptr && expression::is_volatile(*e); };
  if (node.kind == plan::NodeKind::kModify || node.kind == plan::NodeKind::kLockRows) return true;
  if (check(node.filter) || check(node.condition)) return true;
  if (std::ranges::any_of(node.computed, [&](const auto& c) { return check(c.expression); })) return true;
  if (std::ranges::any_of(node.functions, [&](const auto& f) { return check(f.call); })) return true;
  if (std::ranges::any_of(node.aggregates, [&](const auto& a) { return check(a.expression); })) return true;
  for (const auto& row : node.rows)
    if (std::ranges::any_of(row, check)) return true;
  return std::ranges::any_of(node.children, [](const auto& child) { return is_volatile(*child); });
}

class Apply final : public JoinOperator {
 public:
  Apply(PipelineBuilder& builder, const PlanNode& plan_node, const Layout& left)
      : JoinOperator(builder, plan_node, left, builder.layout(*plan_node.children[1])),
        executor_(std::make_unique<PlanExecutor>(builder.run, *plan_node.children[1])),
        remembers_(!is_volatile(*plan_node.children[1])),
        keys_(builder.run.memory, binding_types(plan_node, left), 16),
        rows_(builder.run.memory, right_rows_) {
    for (const auto& binding : plan_node.bindings) positions_.push_back(left.position(binding.column));
  }
  /// Remembered rows of one binding: rows_ [first, first + count) in `order_`.
  struct Memo {
    std::uint64_t first, count;
  };
  struct ApplyLocal final : Local {
    std::vector<Vector> bindings;
    std::uint32_t at = 0;
    enum class Step : std::uint8_t { kNewRow, kRunning, kReplay } step = Step::kNewRow;
    Memo* memo = nullptr;
    std::uint64_t replayed = 0;
    Arena values{512};
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<ApplyLocal>();
    prepare(*local);
    local->bindings.resize(positions_.size());
    return local;
  }
  /// The bindings may be all that changes between two runs of the plan around us, or parameters may: forget.
  void reset() override { forget(); }

 protected:
  void begin_chunk(TaskContext&, Local& base, const Chunk& in) override {
    auto& local = static_cast<ApplyLocal&>(base);
    for (std::size_t i = 0; i < positions_.size(); ++i) local.bindings[i] = in.columns[positions_[i]];
    local.at = 0;
    local.step = ApplyLocal::Step::kNewRow;
  }

  Flow find(TaskContext& context, Local& base, const Chunk& in, std::uint32_t max) override {
    using Step = ApplyLocal::Step;
    auto& local = static_cast<ApplyLocal&>(base);
    auto& found = local.candidates;
    while (local.at < in.selection.count && found.count < max) {
      if (local.step == Step::kNewRow) {
        // The rows of candidates that are not out yet must stay where they are.
        if (rows_.bytes() > kRememberedBytes || !remembers_) {
          if (found.count != 0) return Flow::output();
          forget();
        }
        start_row(local, in.selection[local.at]);
        continue;
      }
      if (local.step == Step::kReplay) {
        while (found.count < max && local.replayed < local.memo->count)
          add(local, order_[local.memo->first + local.replayed++]);
        if (local.replayed == local.memo->count) next_row(local);
        continue;
      }
      Chunk chunk;
      Flow flow = executor_->next(chunk);
      if (flow.state == State::kBlocked) return found.count != 0 ? Flow::output() : flow;
      if (flow.state == State::kHaveOutput) {
        Row rows[types::kVectorSize];
        rows_.append(chunk.columns, chunk.selection, rows);
        order_.insert(order_.end(), rows, rows + chunk.selection.count);
        local.memo->count += chunk.selection.count;
        if (!keeps_first_only()) continue;
      }
      // All rows are there (or the first, when only that counts): give them out.
      local.step = Step::kReplay;
      local.replayed = 0;
    }
    (void)context;
    return found.count == 0 ? Flow::finished() : Flow::output();
  }

 private:
  static std::vector<TypeRef> binding_types(const PlanNode& node, const Layout& left) {
    std::vector<TypeRef> types;
    for (const auto& binding : node.bindings) types.push_back(left.types[left.position(binding.column)]);
    return types;
  }
  void forget() {
    keys_.clear();
    rows_.clear();
    order_.clear();
  }
  void add(ApplyLocal& local, Row row) const {
    auto& found = local.candidates;
    found.left_index[found.count] = local.at;
    found.right[found.count++] = row;
    if (keeps_first_only()) local.replayed = local.memo->count;
  }
  static void next_row(ApplyLocal& local) {
    ++local.at;
    local.step = ApplyLocal::Step::kNewRow;
  }
  void start_row(ApplyLocal& local, std::uint32_t row) {
    const auto index = static_cast<std::uint16_t>(row);
    Row key;
    bool is_new;
    keys_.find_or_insert(local.bindings.data(), Selection{&index, 1}, &key, &is_new);
    local.memo = static_cast<Memo*>(keys_.extra(key));
    if (!is_new) {
      local.step = ApplyLocal::Step::kReplay;
      local.replayed = 0;
      return;
    }
    *local.memo = {order_.size(), 0};
    for (std::size_t i = 0; i < positions_.size(); ++i) {
      auto& value = run_.parameters[plan_.bindings[i].parameter];
      value.type = keys_.layout().type(i);
      value.is_null = keys_.layout().is_null(key, i);
      value.datum = keys_.layout().datum(key, i);  // strings stay in keys_ while the subtree runs
    }
    executor_->restart();
    local.step = ApplyLocal::Step::kRunning;
  }
  std::unique_ptr<PlanExecutor> executor_;
  const bool remembers_;
  KeyTable keys_;
  RowTable rows_;
  std::vector<Row> order_;  // rows_ in order of arrival
  std::vector<std::uint32_t> positions_;
};

}  // namespace

void build_apply(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  if (node.join == plan::JoinType::kRight || node.join == plan::JoinType::kFull)
    throw not_supported("a dependent join that keeps the rows of its inner side");
  builder.build(*node.children[0], current);
  current.parallel_safe = false;
  current.operators.push_back(std::make_unique<Apply>(builder, node, builder.layout(*node.children[0])));
}

}  // namespace rustbd::exec
