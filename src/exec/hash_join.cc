// Hash join, and the nested loop as a hash join without keys: every right row is a candidate and the
// condition is evaluated over whole chunks of pairs.
#include <bit>

#include "rustbd/base/hash.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/join.h"
#include "rustbd/exec/stored_rows.h"

namespace rustbd::exec {

using plan::JoinType;
using plan::PlanNode;

namespace {

using HashKey = PlanNode::HashKey;

/// The build side: rows in chains by hash. Rows whose strict keys are NULL are in no chain (right and full
/// joins still give them out; kMark keeps them in a list).
struct JoinTable {
  JoinTable(MemoryTracker& memory, const RowLayout& layout) : rows(memory, layout), charge(memory) {}
  RowTable rows;
  std::vector<Row> heads;  // size: a power of two
  std::uint32_t shift = 63;
  std::vector<std::uint8_t> tags;  // per head: 8 bits of a Bloom filter over the chain's hashes
  std::vector<Row> null_rows;      // kMark: some compared key is NULL
  Charge charge;
  static std::uint8_t tag_of(std::uint64_t hash) {
    return static_cast<std::uint8_t>(1u << ((hash >> 3) & 7));
  }
  void clear() {
    rows.clear();
    heads = {};
    tags = {};
    null_rows = {};
    charge.set(0);
  }
};

/// Rows of the table: the right child's columns, then the computed keys.
struct JoinShape {
  Layout right;  // the child's columns
  std::vector<TypeRef> row_types;
  std::vector<std::uint32_t> key_columns;  // of each key, in the row
  Evaluator keys;                          // over the right child
};

class BuildSink final : public Sink {
 public:
  BuildSink(RunState& run, const PlanNode& plan_node, std::shared_ptr<JoinShape> shape)
      : Sink(plan_node.id),
        run_(run),
        plan_(plan_node),
        shape_(std::move(shape)),
        layout_(shape_->row_types),
        table_(std::make_shared<JoinTable>(run.memory, layout_)) {}
  struct Local final : LocalState {
    Local(MemoryTracker& memory, const RowLayout& layout) : rows(memory, layout) {}
    RowTable rows;
    Evaluator::Local keys;
    std::vector<Vector> columns, key_values;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>(run_.memory, layout_);
    local->keys = shape_->keys.make_local();
    local->columns.resize(layout_.size());
    local->key_values.resize(shape_->keys.size());
    return local;
  }
  void reset() override { table_->clear(); }
  Flow sink(TaskContext& context, LocalState* state, Chunk& in) override {
    auto& local = static_cast<Local&>(*state);
    shape_->keys.evaluate(local.keys, context.expressions, in, local.key_values.data());
    for (std::size_t i = 0; i < shape_->right.size(); ++i) local.columns[i] = in.columns[i];
    for (std::size_t k = 0; k < local.key_values.size(); ++k)
      local.columns[shape_->key_columns[k]] = local.key_values[k];
    Row rows[types::kVectorSize];
    local.rows.append(local.columns.data(), in.selection, rows);
    std::uint64_t hashes[types::kVectorSize];
    std::fill_n(hashes, in.selection.count, 0);
    for (std::size_t k = 0; k < local.key_values.size(); ++k)
      hash_column(local.key_values[k], shape_->keys.types()[k], in.selection, hashes, k != 0);
    for (std::uint32_t i = 0; i < in.selection.count; ++i) RowLayout::hash(rows[i]) = hashes[i];
    return Flow::need();
  }
  void combine(TaskContext&, LocalState* state) override {
    table_->rows.adopt(static_cast<Local&>(*state).rows);
  }
  Flow finalize(TaskContext& context) override {
    auto& table = *table_;
    const auto size = std::bit_ceil(std::max<std::uint64_t>(table.rows.size() * 2, 16));
    table.shift = static_cast<std::uint32_t>(64 - std::countr_zero(size));
    table.heads.assign(size, nullptr);
    table.tags.assign(size, 0);
    table.charge.set(size * 9);
    RowTable::Cursor cursor;
    Row rows[types::kVectorSize];
    while (const auto n = table.rows.next(cursor, rows, types::kVectorSize)) {
      context.check_cancel();
      for (std::uint32_t i = 0; i < n; ++i) link(table, rows[i]);
    }
    if (auto* s = context.of(node)) s->memory_bytes = table.rows.bytes() + size * 9;
    return Flow::finished();
  }
  [[nodiscard]] const std::shared_ptr<JoinTable>& table() const { return table_; }

 private:
  void link(JoinTable& table, Row row) const {
    for (std::size_t k = 0; k < plan_.hash_keys.size(); ++k) {
      const auto& key = plan_.hash_keys[k];
      if (key.null_safe || !layout_.is_null(row, shape_->key_columns[k])) continue;
      if (plan_.join == JoinType::kMark && !key.selects) table.null_rows.push_back(row);
      return;
    }
    const auto h = RowLayout::hash(row);
    const auto at = plan_.hash_keys.empty() ? 0 : h >> table.shift;
    RowLayout::next(row) = table.heads[at];
    table.heads[at] = row;
    table.tags[at] |= JoinTable::tag_of(h);
  }
  RunState& run_;
  const PlanNode& plan_;
  const std::shared_ptr<JoinShape> shape_;
  const RowLayout layout_;
  const std::shared_ptr<JoinTable> table_;
};

Layout row_layout_of(const JoinShape& shape) {
  Layout layout = shape.right;
  for (std::size_t i = layout.size(); i < shape.row_types.size(); ++i)
    layout.add(UINT32_MAX, shape.row_types[i]);
  return layout;
}

class HashProbe final : public JoinOperator {
 public:
  HashProbe(PipelineBuilder& builder, const PlanNode& plan_node, const Layout& left,
            std::shared_ptr<JoinShape> shape, std::shared_ptr<JoinTable> table)
      : JoinOperator(builder, plan_node, left, row_layout_of(*shape)),
        shape_(std::move(shape)),
        table_(std::move(table)) {
    std::vector<const plan::Expression*> keys;
    for (const auto& key : plan_node.hash_keys) keys.push_back(key.left.get());
    keys_ = Evaluator(std::move(keys), left);
    for (std::size_t k = 0; k < plan_node.hash_keys.size(); ++k)
      by_kernel_.push_back(!comparable(keys_.types()[k], shape_->keys.types()[k]));
  }
  struct ProbeLocal final : Local {
    Evaluator::Local keys;
    std::vector<Vector> key_values;
    Row chain[types::kVectorSize];  // next candidate of each left row
    std::uint64_t hashes[types::kVectorSize];
    std::uint32_t at = 0;  // left row being searched
    RowTable::Cursor unmatched;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<ProbeLocal>();
    prepare(*local);
    local->keys = keys_.make_local();
    local->key_values.resize(keys_.size());
    return local;
  }

  /// Right rows that found no partner; one worker only (such a pipeline isn't parallel).
  Flow finish(TaskContext& context, LocalState* state, Chunk& out) override {
    if (join_ != JoinType::kRight && join_ != JoinType::kFull) return Flow::finished();
    auto& local = static_cast<ProbeLocal&>(*state);
    Row rows[types::kVectorSize];
    std::uint32_t n = 0;
    while (n < context.run.chunk_rows()) {
      if (table_->rows.next(local.unmatched, &rows[n], 1) == 0) break;
      if (RowLayout::flag(rows[n]) == std::byte{0}) ++n;
    }
    if (n == 0) return Flow::finished();
    unmatched_right(local, {rows, n}, out);
    return Flow::output();
  }

 protected:
  void begin_chunk(TaskContext& context, Local& base, const Chunk& in) override {
    auto& local = static_cast<ProbeLocal&>(base);
    keys_.evaluate(local.keys, context.expressions, in, local.key_values.data());
    const auto n = in.selection.count;
    std::fill_n(local.hashes, n, 0);
    for (std::size_t k = 0; k < keys_.size(); ++k)
      hash_column(local.key_values[k], keys_.types()[k], in.selection, local.hashes, k != 0);
    for (std::uint32_t i = 0; i < n; ++i) {
      const auto h = local.hashes[i];
      const auto slot = keys_.size() == 0 ? 0 : h >> table_->shift;
      const bool possible = (table_->tags[slot] & JoinTable::tag_of(h)) != 0;
      local.chain[i] = possible && !has_strict_null(local, in.selection[i]) ? table_->heads[slot] : nullptr;
    }
    local.at = 0;
  }

  Flow find(TaskContext& context, Local& base, const Chunk& in, std::uint32_t max) override {
    auto& local = static_cast<ProbeLocal&>(base);
    auto& found = local.candidates;
    const auto count = in.selection.count;
    while (local.at < count && found.count < max) {
      const auto i = local.at;
      Row row = local.chain[i];
      while (row != nullptr && found.count < max) {
        Row next = RowLayout::next(row);
        if (RowLayout::hash(row) == local.hashes[i] && same_keys(context, local, in.selection[i], row)) {
          found.left_index[found.count] = i;
          found.right[found.count++] = row;
          if (keeps_first_only()) next = nullptr;
        }
        row = next;
      }
      local.chain[i] = row;
      if (row == nullptr) ++local.at;
      // A match decided by the condition so far ends the search for semi and anti joins.
      if (row != nullptr && !emits_pairs_ && local.matched[i] != 0) {
        local.chain[i] = nullptr;
        ++local.at;
      }
    }
    return found.count == 0 ? Flow::finished() : Flow::output();
  }

  void find_unknown(TaskContext& context, Local& base, const Chunk& in) override {
    auto& local = static_cast<ProbeLocal&>(base);
    for (std::uint32_t i = 0; i < in.selection.count; ++i)
      if (local.matched[i] == 0 && local.unknown[i] == 0 && compares_unknown(context, local, in, i))
        local.unknown[i] = 1;
  }

  void mark_right(Row row) override { RowLayout::flag(row) = std::byte{1}; }

 private:
  [[nodiscard]] bool has_strict_null(const ProbeLocal& local, std::uint32_t row) const {
    for (std::size_t k = 0; k < keys_.size(); ++k)
      if (!plan_.hash_keys[k].null_safe && !local.key_values[k].is_valid(row)) return true;
    return false;
  }
  [[nodiscard]] bool same_key(TaskContext& context, const ProbeLocal& local, std::size_t k, std::uint32_t at,
                              Row row) const {
    const auto column = shape_->key_columns[k];
    const bool left_null = !local.key_values[k].is_valid(at), right_null = right_rows_.is_null(row, column);
    if (left_null || right_null) return left_null && right_null;
    const Datum left = local.key_values[k].datum(at), right = right_rows_.datum(row, column);
    if (!by_kernel_[k]) return equal_values(left, keys_.types()[k], right, shape_->keys.types()[k]);
    const auto& equality = plan_.hash_keys[k].equality;
    RUSTBD_STATEMENT_ASSERT(equality.kernels != nullptr && equality.kernels->scalar != nullptr,
                            "keys of two types need a kernel");
    auto call = context.eval_context(context.arena);
    call.result_type = equality.result;
    call.argument_types = equality.arguments;
    call.function = equality.declaration;
    const Datum args[] = {left, right};
    const bool nulls[] = {false, false};
    Datum result;
    bool null = false;
    equality.kernels->scalar(call, args, nulls, result, &null);
    return !null && result.boolean;
  }
  [[nodiscard]] bool same_keys(TaskContext& context, const ProbeLocal& local, std::uint32_t at,
                               Row row) const {
    for (std::size_t k = 0; k < keys_.size(); ++k)
      if (!same_key(context, local, k, at, row)) return false;
    return true;
  }

  /// kMark without a TRUE pair: is there a right row for which the comparison is NULL (and the condition not
  /// FALSE)?
  bool compares_unknown(TaskContext& context, ProbeLocal& local, const Chunk& in, std::uint32_t i) {
    if (keys_.size() == 0) return false;  // pairs were all evaluated
    const auto at = in.selection[i];
    bool left_null = false;
    for (std::size_t k = 0; k < keys_.size(); ++k) {
      if (local.key_values[k].is_valid(at) || plan_.hash_keys[k].null_safe) continue;
      if (plan_.hash_keys[k].selects) return false;
      left_null = true;
    }
    if (!left_null) {
      for (Row row : table_->null_rows)
        if (is_unknown(context, local, in, i, row)) return true;
      return false;
    }
    RowTable::Cursor cursor;
    Row row;
    while (table_->rows.next(cursor, &row, 1) != 0)
      if (is_unknown(context, local, in, i, row)) return true;
    return false;
  }
  bool is_unknown(TaskContext& context, ProbeLocal& local, const Chunk& in, std::uint32_t i, Row row) {
    bool null = false;
    for (std::size_t k = 0; k < keys_.size(); ++k) {
      const auto& key = plan_.hash_keys[k];
      const bool some_null =
          !local.key_values[k].is_valid(in.selection[i]) || right_rows_.is_null(row, shape_->key_columns[k]);
      if (some_null && !key.null_safe) {
        if (key.selects) return false;
        null = true;
      } else if (!same_key(context, local, k, in.selection[i], row)) {
        return false;
      }
    }
    if (!null) return false;
    if (condition_.empty()) return true;
    local.candidates.count = 1;
    local.candidates.left_index[0] = i;
    local.candidates.right[0] = row;
    Chunk pair;
    make_pairs(local, in, 1, pair);
    Vector truth;
    condition_.evaluate(local.condition, context.expressions, pair, &truth);
    return !truth.is_valid(0) || truth.values<bool>()[truth.slot(0)];
  }

  const std::shared_ptr<JoinShape> shape_;
  const std::shared_ptr<JoinTable> table_;
  Evaluator keys_;
  std::vector<bool> by_kernel_;  // keys whose two types only the operator's function can compare
};

}  // namespace

void build_hash_join(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  const PlanNode& right = *node.children[1];
  auto shape = std::make_shared<JoinShape>();
  shape->right = builder.layout(right);
  shape->row_types = shape->right.types;
  std::vector<const plan::Expression*> keys;
  for (const auto& key : node.hash_keys) keys.push_back(key.right.get());
  shape->keys = Evaluator(keys, shape->right);
  for (std::size_t k = 0; k < keys.size(); ++k) {
    if (const int at = shape->keys.passed_through(k); at >= 0) {
      shape->key_columns.push_back(static_cast<std::uint32_t>(at));
    } else {
      shape->key_columns.push_back(static_cast<std::uint32_t>(shape->row_types.size()));
      shape->row_types.push_back(keys[k]->type);
    }
  }
  auto sink = std::make_shared<BuildSink>(builder.run, node, shape);
  auto& build = builder.build_into(right, sink, true);
  for (const auto* key : keys) PipelineBuilder::use(build, key);
  builder.build(*node.children[0], current);
  if (node.join == JoinType::kRight || node.join == JoinType::kFull) current.parallel_safe = false;
  for (const auto& key : node.hash_keys) PipelineBuilder::use(current, key.left.get());
  PipelineBuilder::use(current, node.condition.get());
  current.operators.push_back(
      std::make_unique<HashProbe>(builder, node, builder.layout(*node.children[0]), shape, sink->table()));
}

}  // namespace rustbd::exec
