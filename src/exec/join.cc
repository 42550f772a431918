#include "rustbd/exec/join.h"

#include <algorithm>

#include "rustbd/base/statement_assert.h"

namespace rustbd::exec {

using plan::JoinType;

namespace {
bool emits_pairs(JoinType join) {
  return join == JoinType::kInner || join == JoinType::kLeft || join == JoinType::kRight ||
         join == JoinType::kFull || join == JoinType::kSingle;
}
bool keeps_left(JoinType join) {
  return join == JoinType::kLeft || join == JoinType::kFull || join == JoinType::kSingle;
}
}  // namespace

JoinOperator::JoinOperator(PipelineBuilder& builder, const plan::PlanNode& plan_node, const Layout& left,
                           const Layout& right)
    : Operator(plan_node.id),
      run_(builder.run),
      plan_(plan_node),
      join_(plan_node.join),
      left_(left),
      right_(right),
      right_rows_(right.types),
      emits_pairs_(emits_pairs(plan_node.join)) {
  // Pairs hold only the columns that the condition or the output reads.
  std::vector<ColumnId> wanted;
  if (plan_node.condition != nullptr) expression::collect_columns(*plan_node.condition, wanted);
  if (emits_pairs_) wanted.insert(wanted.end(), plan_node.output.begin(), plan_node.output.end());
  for (const auto id : wanted) {
    if (pair_layout_.find(id) >= 0) continue;
    const int l = left_.find(id), r = right_.find(id);
    RUSTBD_STATEMENT_ASSERT(l >= 0 || r >= 0, "a join's columns come from its sides");
    pair_layout_.add(
        id, l >= 0 ? left_.types[static_cast<std::size_t>(l)] : right_.types[static_cast<std::size_t>(r)]);
    pair_from_.push_back({l >= 0, static_cast<std::uint32_t>(l >= 0 ? l : r), false});
  }
  condition_ = Predicate(plan_node.condition.get(), pair_layout_);
  for (const auto id : plan_node.output) {
    if (join_ == JoinType::kMark && id == plan_node.mark) {
      output_from_.push_back({false, 0, true});
      continue;
    }
    const int l = left_.find(id);
    output_from_.push_back({l >= 0, l >= 0 ? static_cast<std::uint32_t>(l) : right_.position(id), false});
    if (emits_pairs_) output_in_pairs_.push_back(pair_layout_.position(id));
  }
}

void JoinOperator::prepare(Local& local) const {
  local.condition = condition_.make_local();
  local.pairs.reset(pair_layout_.size());
  local.output.reset(output_from_.size());
  local.passed.resize(output_from_.size());
}

void JoinOperator::make_pairs(Local& local, const Chunk& in, std::uint32_t count, Chunk& pairs) const {
  local.left_rows.resize(count);
  for (std::uint32_t i = 0; i < count; ++i)
    local.left_rows[i] = static_cast<std::uint16_t>(in.selection[local.candidates.left_index[i]]);
  const Selection left{local.left_rows.data(), count};
  for (std::size_t c = 0; c < pair_from_.size(); ++c) {
    const auto [is_left, position, mark] = pair_from_[c];
    if (is_left) {
      types::gather(in.columns[position], left, local.pairs.buffer(c), local.pairs[c]);
    } else {
      gather_rows(right_rows_, {local.candidates.right, count}, position, local.pairs.buffer(c),
                  local.pairs[c]);
    }
  }
  local.pairs.deliver(pairs, count);
}

/// Decides about the candidates found; true pairs go out when the type says so.
Flow JoinOperator::deliver_matches(TaskContext& context, Local& local, const Chunk& in, Chunk& out) {
  auto& found = local.candidates;
  Chunk pairs;
  if (emits_pairs_ || !condition_.empty()) make_pairs(local, in, found.count, pairs);
  Selection kept{nullptr, found.count};
  if (!condition_.empty() && join_ == JoinType::kMark) {
    Vector truth;
    condition_.evaluate(local.condition, context.expressions, pairs, &truth);
    local.kept.clear();
    for (std::uint32_t i = 0; i < found.count; ++i) {
      if (!truth.is_valid(i)) {
        local.unknown[found.left_index[i]] = 1;
      } else if (truth.values<bool>()[truth.slot(i)]) {
        local.kept.push_back(static_cast<std::uint16_t>(i));
      }
    }
    kept = {local.kept.data(), static_cast<std::uint32_t>(local.kept.size())};
  } else if (!condition_.empty()) {
    kept = condition_.filter(local.condition, context.expressions, pairs);
    context.count_filtered(node, found.count - kept.count);
  }
  for (std::uint32_t i = 0; i < kept.count; ++i) {
    auto& matched = local.matched[found.left_index[kept[i]]];
    if (join_ == JoinType::kSingle && matched != 0)
      throw error(sqlstate::kCardinalityViolation,
                  "more than one row returned by a subquery used as an expression");
    matched = 1;
    if (join_ == JoinType::kRight || join_ == JoinType::kFull) mark_right(found.right[kept[i]]);
  }
  if (!emits_pairs_ || kept.count == 0) return Flow::need();
  for (std::size_t i = 0; i < output_in_pairs_.size(); ++i)
    local.passed[i] = local.pairs[output_in_pairs_[i]];
  out = pairs;
  out.columns = local.passed.data();
  out.column_count = static_cast<std::uint32_t>(local.passed.size());
  out.selection = kept;
  return Flow::output();
}

/// After the last candidate of a chunk: left rows without a partner, or what semi, anti and mark make of
/// each.
void JoinOperator::deliver_rest(TaskContext& context, Local& local, const Chunk& in, Chunk& out) {
  const std::uint32_t count = in.selection.count;
  local.kept.clear();
  if (join_ == JoinType::kMark) {
    find_unknown(context, local, in);
  } else {
    const std::uint8_t wanted = join_ == JoinType::kSemi ? 1 : 0;
    for (std::uint32_t i = 0; i < count; ++i)
      if (local.matched[i] == wanted) local.kept.push_back(static_cast<std::uint16_t>(in.selection[i]));
    if (local.kept.empty()) return;
  }
  out = in;
  out.columns = local.passed.data();
  out.column_count = static_cast<std::uint32_t>(local.passed.size());
  if (join_ != JoinType::kMark)
    out.selection = {local.kept.data(), static_cast<std::uint32_t>(local.kept.size())};
  local.arena.reset();
  for (std::size_t c = 0; c < output_from_.size(); ++c) {
    const auto [is_left, position, is_mark] = output_from_[c];
    if (is_mark) {
      auto& memory = local.output.buffer(c);
      memory.reset(types::Phys::kBool);
      Vector mark = memory.flat();
      for (std::uint32_t i = 0; i < count; ++i) {
        const auto row = in.selection[i];
        mark.values<bool>()[row] = local.matched[i] != 0;
        if (local.matched[i] == 0 && local.unknown[i] != 0) set_null_bit(mark, memory, row);
      }
      local.passed[c] = mark;
    } else if (is_left) {
      local.passed[c] = in.columns[position];
    } else {
      local.passed[c] = types::make_constant(Datum{}, true, right_.types[position].phys, local.arena);
    }
  }
}

void JoinOperator::unmatched_right(Local& local, std::span<const Row> rows, Chunk& out) const {
  local.arena.reset();
  for (std::size_t c = 0; c < output_from_.size(); ++c) {
    const auto& from = output_from_[c];
    if (from.left) {
      local.output[c] = types::make_constant(Datum{}, true, left_.types[from.position].phys, local.arena);
    } else {
      gather_rows(right_rows_, rows, from.position, local.output.buffer(c), local.output[c]);
    }
  }
  local.output.deliver(out, static_cast<std::uint32_t>(rows.size()));
}

Flow JoinOperator::process(TaskContext& context, LocalState* state, Chunk& in, Chunk& out) {
  auto& local = static_cast<Local&>(*state);
  if (!local.in_chunk) {
    local.in_chunk = local.searching = true;
    std::fill_n(local.matched, in.selection.count, std::uint8_t{0});
    std::fill_n(local.unknown, in.selection.count, std::uint8_t{0});
    begin_chunk(context, local, in);
  }
  while (local.searching) {
    context.check_cancel();
    local.candidates.count = 0;
    Flow flow = find(context, local, in, run_.chunk_rows());
    if (flow.state == State::kBlocked) return flow;
    if (flow.state == State::kFinished) {
      local.searching = false;
    } else if (local.candidates.count != 0 &&
               deliver_matches(context, local, in, out).state == State::kHaveOutput) {
      return Flow::output();
    }
  }
  local.in_chunk = false;
  if (!emits_pairs_ || keeps_left(join_)) deliver_rest(context, local, in, out);
  return Flow::need();
}

}  // namespace rustbd::exec
