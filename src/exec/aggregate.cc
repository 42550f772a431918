// Aggregate: plain, hash and sorted (which is a hash table whose rows keep the order of first appearance),
// with DISTINCT, FILTER, ORDER BY inside aggregates, ordered-set aggregates and grouping sets (one table, the
// set's number in the key).
#include <algorithm>

#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/sorted_rows.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

TypeRef pointer_type() { return types::make_type(types::oid::kInt8); }

bool is_in(const plan::GroupingSet& set, std::uint32_t group) {
  return std::ranges::find(set.groups, group) != set.groups.end();
}

struct AggregateCall {
  const plan::Expression* expression = nullptr;
  const functions::AggregateKernels* kernels = nullptr;
  bool strict = false, distinct = false;
  bool sorted = false;  // rows are kept and fed in order at the end
  bool needs_arena = false;
  std::vector<std::uint32_t> args;  // positions in the evaluated columns
  int filter = -1;
  std::vector<std::uint32_t> order;  // positions of the ORDER BY keys
  std::vector<types::KeyPart> order_parts;
  std::uint32_t state_offset = 0;  // in the extra bytes of a group
};

/// What the sink and the source know of the plan.
struct AggregateShape {
  const PlanNode* plan = nullptr;
  Evaluator columns;  // groups, then arguments, filters and order keys
  std::vector<AggregateCall> calls;
  std::vector<TypeRef> key_types;  // [set number] groups
  std::uint32_t state_bytes = 0;
  bool has_sets = false;
  [[nodiscard]] bool is_plain() const { return key_types.empty(); }
};

/// The groups of one worker.
struct Groups {
  Groups(RunState& run, const AggregateShape& shape)
      : table(run.memory, shape.key_types, shape.state_bytes), charge(run.memory) {
    for (const auto& call : shape.calls) {
      std::vector<TypeRef> columns{pointer_type()};
      for (const auto a : call.args) columns.push_back(shape.columns.types()[a]);
      distinct.push_back(call.distinct && !call.sorted ? std::make_unique<KeyTable>(run.memory, columns)
                                                       : nullptr);
      if (!call.sorted) {
        sorted.push_back(nullptr);
        continue;
      }
      std::vector<types::KeyPart> parts{{pointer_type()}};
      parts.insert(parts.end(), call.order_parts.begin(), call.order_parts.end());
      sorted.push_back(std::make_unique<SortedRows>(run.memory, RowLayout{columns}, parts, 1));
    }
  }
  KeyTable table;
  std::vector<std::unique_ptr<KeyTable>> distinct;
  std::vector<std::unique_ptr<SortedRows>> sorted;
  Arena states{1024};
  std::vector<Arena> adopted;
  Charge charge;
  [[nodiscard]] void* state(Row row, const AggregateCall& call) const {
    return static_cast<std::byte*>(table.extra(row)) + call.state_offset;
  }
  void init(Row row, const AggregateShape& shape) const {
    for (const auto& call : shape.calls)
      if (call.kernels->init != nullptr) call.kernels->init(state(row, call));
  }
};

functions::EvalContext call_context(TaskContext& context, const AggregateCall& call, Arena& arena) {
  auto c = context.eval_context(arena);
  c.result_type = call.expression->aggregate.result;
  c.argument_types = call.expression->aggregate.arguments;
  if (!call.expression->args.empty()) c.input_collation = call.expression->args.back()->type.collation;
  return c;
}

class AggregateSink final : public Sink {
 public:
  AggregateSink(RunState& run, std::shared_ptr<const AggregateShape> shape)
      : Sink(shape->plan->id),
        run_(run),
        shape_(std::move(shape)),
        result_(std::make_shared<std::unique_ptr<Groups>>()) {}

  struct Local final : LocalState {
    std::unique_ptr<Groups> groups;
    Evaluator::Local columns;
    std::vector<Vector> values, keys;
    VectorBuffer pointers;
    Arena scratch{1024};
    std::vector<std::uint16_t> kept;        // rows of one call
    std::vector<std::uint32_t> kept_index;  // their position in the chunk's selection
    std::vector<void*> states;
    std::vector<Vector> args;
    Row only = nullptr;  // plain: the one group
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->groups = std::make_unique<Groups>(run_, *shape_);
    local->columns = shape_->columns.make_local();
    local->values.resize(shape_->columns.size());
    local->keys.resize(shape_->key_types.size());
    return local;
  }
  void reset() override { result_->reset(); }

  Flow sink(TaskContext& context, LocalState* state, Chunk& in) override {
    auto& local = static_cast<Local&>(*state);
    local.scratch.reset();
    shape_->columns.evaluate(local.columns, context.expressions, in, local.values.data());
    const auto& sets = shape_->plan->grouping_sets;
    const std::size_t set_count = sets.empty() ? 1 : sets.size();
    Row rows[types::kVectorSize];
    bool is_new[types::kVectorSize];
    for (std::size_t s = 0; s < set_count; ++s) {
      if (shape_->is_plain()) {
        std::fill_n(rows, in.selection.count, only_group(local));
      } else {
        make_keys(local, s);
        local.groups->table.find_or_insert(local.keys.data(), in.selection, rows, is_new);
        for (std::uint32_t i = 0; i < in.selection.count; ++i)
          if (is_new[i]) local.groups->init(rows[i], *shape_);
      }
      for (std::size_t c = 0; c < shape_->calls.size(); ++c) update(context, local, c, in, rows);
    }
    local.groups->charge.set(local.groups->states.bytes_reserved());
    return Flow::need();
  }

  void combine(TaskContext& context, LocalState* state) override {
    auto& local = static_cast<Local&>(*state);
    if (*result_ == nullptr) {
      *result_ = std::move(local.groups);
      return;
    }
    Groups& into = **result_;
    Groups& from = *local.groups;
    RowTable::Cursor cursor;
    Row row;
    while (from.table.rows().next(cursor, &row, 1) != 0) {
      bool is_new;
      Row to = into.table.find_or_insert_row(row, from.table.layout(), &is_new);
      if (is_new) {
        std::memcpy(into.table.extra(to), from.table.extra(row), shape_->state_bytes);
        continue;
      }
      for (const auto& call : shape_->calls) {
        auto c = call_context(context, call, into.states);
        call.kernels->combine(c, into.state(to, call), from.state(row, call));
      }
    }
    into.adopted.push_back(std::move(from.states));
    from.states = Arena{512};
  }

  Flow finalize(TaskContext& context) override {
    if (*result_ == nullptr) *result_ = std::make_unique<Groups>(run_, *shape_);
    add_groups_of_nothing();
    for (std::size_t c = 0; c < shape_->calls.size(); ++c)
      if (shape_->calls[c].sorted) feed_sorted(context, c);
    if (auto* s = context.of(node)) s->memory_bytes = (*result_)->table.rows().bytes();
    return Flow::finished();
  }
  [[nodiscard]] const std::shared_ptr<std::unique_ptr<Groups>>& result() const { return result_; }

 private:
  Row only_group(Local& local) const {
    if (local.only == nullptr) {
      const std::uint16_t zero = 0;
      bool is_new;
      local.groups->table.find_or_insert(nullptr, Selection{&zero, 1}, &local.only, &is_new);
      local.groups->init(local.only, *shape_);
    }
    return local.only;
  }

  void make_keys(Local& local, std::size_t set) const {
    const auto groups = shape_->plan->groups.size();
    std::size_t at = 0;
    if (shape_->has_sets)
      local.keys[at++] = types::make_constant(Datum::of(static_cast<std::int32_t>(set)), false,
                                              types::Phys::kI32, local.scratch);
    for (std::uint32_t g = 0; g < groups; ++g) {
      const bool in_set = !shape_->has_sets || is_in(shape_->plan->grouping_sets[set], g);
      local.keys[at++] =
          in_set ? local.values[g]
                 : types::make_constant(Datum{}, true, shape_->columns.types()[g].phys, local.scratch);
    }
  }

  void update(TaskContext& context, Local& local, std::size_t c, const Chunk& in, const Row* rows) const {
    const auto& call = shape_->calls[c];
    local.args.clear();
    for (const auto a : call.args) local.args.push_back(local.values[a]);
    Selection selection = in.selection;
    const std::uint32_t* index = nullptr;  // position in `rows` of the i-th selected row; nullptr: i
    const bool may_skip =
        call.filter >= 0 || (call.strict && std::ranges::any_of(local.args, [](const Vector& v) {
                               return v.validity != nullptr;
                             }));
    if (may_skip) {
      select_rows(local, call, in);
      selection = {local.kept.data(), static_cast<std::uint32_t>(local.kept.size())};
      index = local.kept_index.data();
    }
    if (selection.count == 0) return;
    if (call.sorted || call.distinct) {
      Vector pointers = group_pointers(local, selection, index, rows);
      local.args.insert(local.args.begin(), pointers);
      if (call.sorted) return keep_for_later(local, c, selection);
      keep_new(local, *local.groups->distinct[c], in, &selection, &index);
      local.args.erase(local.args.begin());
      if (selection.count == 0) return;
    }
    auto run = call_context(context, call, call.needs_arena ? local.groups->states : local.scratch);
    if (shape_->is_plain()) {
      call.kernels->update_all(run, local.groups->state(rows[0], call), local.args.data(), selection);
      return;
    }
    local.states.resize(selection.count);
    for (std::uint32_t i = 0; i < selection.count; ++i)
      local.states[i] = local.groups->state(rows[index == nullptr ? i : index[i]], call);
    call.kernels->update_grouped(run, local.states.data(), local.args.data(), selection);
  }

  /// FILTER and strictness: local.kept, local.kept_index.
  static void select_rows(Local& local, const AggregateCall& call, const Chunk& in) {
    local.kept.clear();
    local.kept_index.clear();
    for (std::uint32_t i = 0; i < in.selection.count; ++i) {
      const auto row = in.selection[i];
      if (call.filter >= 0) {
        const Vector& f = local.values[static_cast<std::size_t>(call.filter)];
        if (!f.is_valid(row) || !f.values<bool>()[f.slot(row)]) continue;
      }
      if (call.strict && !std::ranges::all_of(local.args, [row](const Vector& v) { return v.is_valid(row); }))
        continue;
      local.kept.push_back(static_cast<std::uint16_t>(row));
      local.kept_index.push_back(i);
    }
  }

  static Vector group_pointers(Local& local, const Selection& selection, const std::uint32_t* index,
                               const Row* rows) {
    local.pointers.reset(types::Phys::kI64);
    Vector pointers = local.pointers.flat();
    for (std::uint32_t i = 0; i < selection.count; ++i)
      pointers.values<std::int64_t>()[selection[i]] =
          reinterpret_cast<std::int64_t>(rows[index == nullptr ? i : index[i]]);
    return pointers;
  }

  void keep_for_later(Local& local, std::size_t c, const Selection& selection) const {
    const auto& call = shape_->calls[c];
    std::vector<Vector> keys{local.args[0]};
    for (const auto o : call.order) keys.push_back(local.values[o]);
    local.groups->sorted[c]->append(local.args.data(), keys.data(), selection);
  }

  /// DISTINCT: of the selected rows those whose arguments are new in their group.
  static void keep_new(Local& local, KeyTable& seen, const Chunk& in, Selection* selection,
                       const std::uint32_t** index) {
    Row rows[types::kVectorSize];
    bool is_new[types::kVectorSize];
    seen.find_or_insert(local.args.data(), *selection, rows, is_new);
    if (*index == nullptr) {
      local.kept.resize(in.selection.count);
      local.kept_index.resize(in.selection.count);
      for (std::uint32_t i = 0; i < in.selection.count; ++i) {
        local.kept[i] = static_cast<std::uint16_t>(in.selection[i]);
        local.kept_index[i] = i;
      }
    }
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < selection->count; ++i) {
      if (!is_new[i]) continue;
      local.kept[n] = local.kept[i];
      local.kept_index[n++] = local.kept_index[i];
    }
    *selection = {local.kept.data(), n};
    *index = local.kept_index.data();
  }

  /// No input: one row where there are no groups, and one for each empty grouping set.
  void add_groups_of_nothing() {
    Groups& groups = **result_;
    Arena arena(256);
    const auto& sets = shape_->plan->grouping_sets;
    const std::uint16_t zero = 0;
    for (std::size_t s = 0; s < std::max<std::size_t>(1, sets.size()); ++s) {
      if (shape_->has_sets ? !sets[s].groups.empty() : !shape_->is_plain()) continue;
      std::vector<Vector> keys;
      if (shape_->has_sets)
        keys.push_back(
            types::make_constant(Datum::of(static_cast<std::int32_t>(s)), false, types::Phys::kI32, arena));
      for (std::size_t g = 0; g < shape_->plan->groups.size(); ++g)
        keys.push_back(types::make_constant(Datum{}, true, shape_->columns.types()[g].phys, arena));
      Row row;
      bool is_new;
      groups.table.find_or_insert(keys.data(), Selection{&zero, 1}, &row, &is_new);
      if (is_new) groups.init(row, *shape_);
    }
  }

  void feed_sorted(TaskContext& context, std::size_t c) const {
    const auto& call = shape_->calls[c];
    Groups& groups = **result_;
    SortedRows& rows = *groups.sorted[c];
    rows.sort();
    const auto& entries = rows.entries();
    OutputColumns columns;
    columns.reset(call.args.size());
    Arena scratch(1024);
    std::vector<Row> batch;
    std::vector<void*> states;
    for (std::size_t at = 0; at < entries.size();) {
      context.check_cancel();
      batch.clear();
      states.clear();
      for (; at < entries.size() && batch.size() < types::kVectorSize; ++at) {
        if (call.distinct && at != 0 && same_key(entries[at], entries[at - 1])) continue;
        batch.push_back(entries[at].row);
        states.push_back(
            groups.state(reinterpret_cast<Row>(rows.layout().datum(entries[at].row, 0).i64), call));
      }
      for (std::size_t a = 0; a < call.args.size(); ++a)
        gather_rows(rows.layout(), batch, a + 1, columns.buffer(a), columns[a]);
      scratch.reset();
      auto run = call_context(context, call, call.needs_arena ? groups.states : scratch);
      const Selection all{nullptr, static_cast<std::uint32_t>(batch.size())};
      if (all.count != 0) call.kernels->update_grouped(run, states.data(), columns.data(), all);
    }
    groups.charge.set(groups.states.bytes_reserved());
  }

  RunState& run_;
  const std::shared_ptr<const AggregateShape> shape_;
  const std::shared_ptr<std::unique_ptr<Groups>> result_;
};

class AggregateSource final : public Source {
 public:
  AggregateSource(const PlanNode& plan_node, std::shared_ptr<const AggregateShape> shape,
                  std::shared_ptr<std::unique_ptr<Groups>> groups)
      : Source(plan_node.id), plan_(plan_node), shape_(std::move(shape)), groups_(std::move(groups)) {}
  struct Local final : LocalState {
    RowTable::Cursor cursor;
    OutputColumns output;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.reset(plan_.output.size());
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    Row rows[types::kVectorSize];
    const auto n = (*groups_)->table.rows().next(local.cursor, rows, context.run.chunk_rows());
    if (n == 0) return Flow::finished();
    local.output.arena.reset();
    for (std::size_t i = 0; i < plan_.output.size(); ++i) fill(context, local, i, {rows, n});
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  void fill(TaskContext& context, Local& local, std::size_t i, std::span<const Row> rows) const {
    const auto id = plan_.output[i];
    const std::size_t first_key = shape_->has_sets ? 1 : 0;
    for (std::size_t g = 0; g < plan_.groups.size(); ++g)
      if (plan_.groups[g].id == id)
        return gather_rows((*groups_)->table.layout(), rows, g + first_key, local.output.buffer(i),
                           local.output[i]);
    for (std::size_t c = 0; c < plan_.aggregates.size(); ++c)
      if (plan_.aggregates[c].id == id) return finalize(context, local, i, shape_->calls[c], rows);
    for (const auto& grouping : plan_.grouping_calls)
      if (grouping.id == id) return fill_grouping(local, i, grouping, rows);
    RUSTBD_STATEMENT_UNREACHABLE("an aggregate's output is a group, an aggregate or a GROUPING");
  }
  void finalize(TaskContext& context, Local& local, std::size_t i, const AggregateCall& call,
                std::span<const Row> rows) const {
    auto& memory = local.output.buffer(i);
    memory.reset(call.expression->type.phys);
    Vector out = memory.flat();
    auto run = call_context(context, call, local.output.arena);
    for (std::uint32_t r = 0; r < rows.size(); ++r) {
      Datum value;
      bool null = false;
      call.kernels->finalize(run, (*groups_)->state(rows[r], call), value, &null);
      if (null) {
        set_null_bit(out, memory, r);
        value = Datum{};
      }
      types::store_datum(static_cast<char*>(out.data) + std::size_t{r} * out.width, value, out.width);
    }
    local.output[i] = out;
  }
  void fill_grouping(Local& local, std::size_t i, const plan::LogicalNode::Grouping& call,
                     std::span<const Row> rows) const {
    auto& memory = local.output.buffer(i);
    memory.reset(types::Phys::kI32);
    Vector out = memory.flat();
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::int32_t bits = 0;
      if (shape_->has_sets) {
        const auto set = static_cast<std::size_t>((*groups_)->table.layout().datum(rows[r], 0).i32);
        for (const auto g : call.groups) bits = bits * 2 + (is_in(plan_.grouping_sets[set], g) ? 0 : 1);
      }
      out.values<std::int32_t>()[r] = bits;
    }
    local.output[i] = out;
  }
  const PlanNode& plan_;
  const std::shared_ptr<const AggregateShape> shape_;
  const std::shared_ptr<std::unique_ptr<Groups>> groups_;
};

std::shared_ptr<AggregateShape> make_shape(const PlanNode& node, const Layout& in) {
  auto shape = std::make_shared<AggregateShape>();
  shape->plan = &node;
  shape->has_sets = !node.grouping_sets.empty();
  std::vector<const plan::Expression*> columns;
  const auto add = [&](const plan::Expression* e) {
    columns.push_back(e);
    return static_cast<std::uint32_t>(columns.size() - 1);
  };
  if (shape->has_sets) shape->key_types.push_back(types::make_type(types::oid::kInt4));
  for (const auto& group : node.groups) {
    add(group.expression.get());
    shape->key_types.push_back(group.expression->type);
  }
  for (const auto& aggregate : node.aggregates) {
    const auto& e = *aggregate.expression;
    AggregateCall call;
    call.expression = &e;
    call.kernels = e.aggregate.kernels;
    RUSTBD_STATEMENT_ASSERT(call.kernels != nullptr && e.aggregate.declaration != nullptr,
                            "aggregates are resolved before they run");
    const auto& declaration = *e.aggregate.declaration;
    call.strict = declaration.strict;
    call.needs_arena = declaration.state_needs_arena;
    call.distinct = e.distinct;
    const bool ordered_set = declaration.kind != 'n';
    call.sorted = !e.order_by.empty() || ordered_set || (e.distinct && declaration.order_sensitive);
    for (const auto& arg : e.args) call.args.push_back(add(arg.get()));
    for (const auto& key : e.order_by) {
      call.order.push_back(add(key.expression.get()));
      call.order_parts.push_back({key.expression->type, key.descending, key.nulls_first});
      // WITHIN GROUP: the sorted values are the last arguments.
      if (ordered_set && call.args.size() < declaration.arguments.size())
        call.args.push_back(call.order.back());
    }
    if (e.distinct && call.sorted) {
      for (const auto a : call.args) {
        call.order.push_back(a);
        call.order_parts.push_back({columns[a]->type});
      }
    }
    if (e.filter != nullptr) call.filter = static_cast<int>(add(e.filter.get()));
    const auto alignment = std::max<std::uint32_t>(call.kernels->state_alignment, 8);
    shape->state_bytes = (shape->state_bytes + alignment - 1) / alignment * alignment;
    call.state_offset = shape->state_bytes;
    shape->state_bytes += call.kernels->state_bytes;
    shape->calls.push_back(std::move(call));
  }
  shape->columns = Evaluator(std::move(columns), in);
  return shape;
}

}  // namespace

void build_aggregate(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  const auto shape = make_shape(node, builder.layout(*node.children[0]));
  auto sink = std::make_shared<AggregateSink>(builder.run, shape);
  bool parallel = node.strategy != plan::AggregateStrategy::kSorted;
  for (const auto& call : shape->calls)
    if (call.sorted || call.distinct || call.expression->aggregate.declaration->order_sensitive ||
        call.kernels->combine == nullptr)
      parallel = false;
  auto& pipeline = builder.build_into(*node.children[0], sink, parallel);
  for (const auto& group : node.groups) PipelineBuilder::use(pipeline, group.expression.get());
  for (const auto& call : shape->calls) {
    for (const auto& arg : call.expression->args) PipelineBuilder::use(pipeline, arg.get());
    PipelineBuilder::use(pipeline, call.expression->filter.get());
  }
  current.parallel_safe = false;
  current.source = std::make_unique<AggregateSource>(node, shape, sink->result());
}

}  // namespace rustbd::exec
