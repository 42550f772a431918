// Window functions: rows sorted by (partition, order), one partition at a time; each function's values for
// the whole partition are computed, then rows go out with them.
#include <algorithm>

#include "rustbd/exec/window_frame.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

enum class WindowKind : std::uint8_t {
  kRowNumber,
  kRank,
  kDenseRank,
  kPercentRank,
  kCumeDist,
  kNtile,
  kLag,
  kLead,
  kFirstValue,
  kLastValue,
  kNthValue,
  kAggregate,
};
WindowKind kind_of(const plan::Expression& e) {
  if (e.aggregate.kernels != nullptr) return WindowKind::kAggregate;
  static constexpr std::pair<std::string_view, WindowKind> kNames[] = {
      {"row_number", WindowKind::kRowNumber},
      {"rank", WindowKind::kRank},
      {"dense_rank", WindowKind::kDenseRank},
      {"percent_rank", WindowKind::kPercentRank},
      {"cume_dist", WindowKind::kCumeDist},
      {"ntile", WindowKind::kNtile},
      {"lag", WindowKind::kLag},
      {"lead", WindowKind::kLead},
      {"first_value", WindowKind::kFirstValue},
      {"last_value", WindowKind::kLastValue},
      {"nth_value", WindowKind::kNthValue}};
  for (const auto& [name, kind] : kNames)
    if (name == e.window_function) return kind;
  throw not_supported("window function {}", e.window_function);
}

struct WindowCall {
  const plan::Expression* expression;
  WindowKind kind;
  ColumnId id;
  std::vector<std::size_t> args;  // columns of the stored rows
  int filter = -1;
};

/// Stored rows: the child's columns, then arguments and filters.
struct WindowShape {
  const PlanNode* plan;
  Layout in;
  Evaluator extra;
  std::vector<TypeRef> row_types;
  std::vector<WindowCall> calls;
  std::vector<std::uint32_t> key_positions;
  std::vector<types::KeyPart> parts;
  int order_column = -1;  // of the first sort key
};

class WindowSink final : public Sink {
 public:
  WindowSink(RunState& run, std::shared_ptr<const WindowShape> shape)
      : Sink(shape->plan->id), run_(run), shape_(std::move(shape)), rows_(make_rows()) {}
  struct Local final : LocalState {
    std::shared_ptr<SortedRows> rows;
    Evaluator::Local extra;
    std::vector<Vector> columns, keys, computed;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->rows = make_rows();
    local->extra = shape_->extra.make_local();
    local->computed.resize(shape_->extra.size());
    return local;
  }
  void reset() override { rows_->clear(); }
  Flow sink(TaskContext& context, LocalState* state, Chunk& in) override {
    auto& local = static_cast<Local&>(*state);
    shape_->extra.evaluate(local.extra, context.expressions, in, local.computed.data());
    local.columns.assign(in.columns, in.columns + shape_->in.size());
    local.columns.insert(local.columns.end(), local.computed.begin(), local.computed.end());
    local.keys.clear();
    for (const auto at : shape_->key_positions) local.keys.push_back(in.columns[at]);
    local.rows->append(local.columns.data(), local.keys.data(), in.selection);
    return Flow::need();
  }
  void combine(TaskContext&, LocalState* state) override { rows_->adopt(*static_cast<Local&>(*state).rows); }
  Flow finalize(TaskContext& context) override {
    context.check_cancel();
    rows_->sort();
    return Flow::finished();
  }
  [[nodiscard]] const std::shared_ptr<SortedRows>& rows() const { return rows_; }

 private:
  [[nodiscard]] std::shared_ptr<SortedRows> make_rows() const {
    return std::make_shared<SortedRows>(run_.memory, RowLayout{shape_->row_types}, shape_->parts,
                                        shape_->plan->partition_by.size());
  }
  RunState& run_;
  const std::shared_ptr<const WindowShape> shape_;
  const std::shared_ptr<SortedRows> rows_;
};

/// Values of one function for a partition.
struct Values {
  std::vector<Datum> values;
  std::vector<bool> nulls;
  void resize(std::size_t n) {
    values.assign(n, Datum{});
    nulls.assign(n, false);
  }
  void set_null(std::size_t i) { nulls[i] = true; }
};

class WindowSource final : public Source {
 public:
  WindowSource(const PlanNode& plan_node, std::shared_ptr<const WindowShape> shape,
               std::shared_ptr<SortedRows> rows)
      : Source(plan_node.id), plan_(plan_node), shape_(std::move(shape)), rows_(std::move(rows)) {}
  struct Local final : LocalState {
    std::size_t next = 0;                    // entry after the current partition
    std::size_t first = 0, at = 0, end = 0;  // current partition and position
    std::vector<Values> results;
    OutputColumns output, args;
    FrameOffsets offsets;
    Arena offset_memory{256}, memory{1024}, scratch{1024};
    bool started = false;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->output.reset(plan_.output.size());
    local->results.resize(shape_->calls.size());
    return local;
  }
  Flow scan(TaskContext& context, LocalState* state, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (!local.started) {
      if (!rows_->entries().empty()) local.offsets = evaluate_offsets(plan_, context, local.offset_memory);
      local.started = true;
    }
    if (local.at == local.end && !start_partition(context, local)) return Flow::finished();
    Row rows[types::kVectorSize];
    std::uint32_t n = 0;
    const auto from = local.at;
    while (n < context.run.chunk_rows() && local.at < local.end) rows[n++] = rows_->entries()[local.at++].row;
    for (std::size_t i = 0; i < plan_.output.size(); ++i) fill(local, i, {rows, n}, from - local.first);
    local.output.deliver(out, n);
    return Flow::output();
  }

 private:
  bool start_partition(TaskContext& context, Local& local) const {
    const auto& entries = rows_->entries();
    if (local.next == entries.size()) return false;
    local.first = local.at = local.next;
    local.end = local.first + 1;
    while (local.end < entries.size() && same_partition(entries[local.end], entries[local.first]))
      ++local.end;
    local.next = local.end;
    local.memory.reset();
    Partition partition(plan_, local.offsets, *rows_, local.first, local.end - local.first,
                        shape_->order_column);
    for (std::size_t c = 0; c < shape_->calls.size(); ++c) {
      local.results[c].resize(partition.size());
      compute(context, local, shape_->calls[c], partition, local.results[c]);
    }
    return true;
  }

  void fill(Local& local, std::size_t i, std::span<const Row> rows, std::size_t from) const {
    const auto id = plan_.output[i];
    for (std::size_t c = 0; c < shape_->calls.size(); ++c) {
      if (shape_->calls[c].id != id) continue;
      auto& memory = local.output.buffer(i);
      memory.reset(shape_->calls[c].expression->type.phys);
      Vector v = memory.flat();
      for (std::uint32_t r = 0; r < rows.size(); ++r) {
        if (local.results[c].nulls[from + r]) set_null_bit(v, memory, r);
        types::store_datum(static_cast<char*>(v.data) + std::size_t{r} * v.width,
                           local.results[c].values[from + r], v.width);
      }
      local.output[i] = v;
      return;
    }
    gather_rows(rows_->layout(), rows, shape_->in.position(id), local.output.buffer(i), local.output[i]);
  }

  [[nodiscard]] bool argument(const Row row, const WindowCall& call, std::size_t arg, Datum* out) const {
    const auto column = call.args[arg];
    if (rows_->layout().is_null(row, column)) return false;
    *out = rows_->layout().datum(row, column);
    return true;
  }
  static std::int64_t as_int64(const Datum& d, types::Phys phys) {
    return phys == types::Phys::kI64 ? d.i64 : (phys == types::Phys::kI32 ? d.i32 : d.i16);
  }
  /// An integer argument of the row; false: NULL.
  [[nodiscard]] bool integer_argument(const Row row, const WindowCall& call, std::size_t arg,
                                      std::int64_t* out) const {
    Datum d;
    if (!argument(row, call, arg, &d)) return false;
    *out = as_int64(d, rows_->layout().type(call.args[arg]).phys);
    return true;
  }

  void compute(TaskContext& context, Local& local, const WindowCall& call, Partition& p, Values& out) const {
    const auto n = p.size();
    const auto size = static_cast<double>(n);
    switch (call.kind) {
      case WindowKind::kRowNumber:
        for (std::size_t i = 0; i < n; ++i) out.values[i] = Datum::of(static_cast<std::int64_t>(i + 1));
        return;
      case WindowKind::kRank:
        for (std::size_t i = 0; i < n; ++i)
          out.values[i] = Datum::of(static_cast<std::int64_t>(p.peers_begin(i) + 1));
        return;
      case WindowKind::kDenseRank:
        for (std::size_t i = 0; i < n; ++i)
          out.values[i] = Datum::of(static_cast<std::int64_t>(p.group(i) + 1));
        return;
      case WindowKind::kPercentRank:
        for (std::size_t i = 0; i < n; ++i)
          out.values[i] = Datum::of(n <= 1 ? 0.0 : static_cast<double>(p.peers_begin(i)) / (size - 1));
        return;
      case WindowKind::kCumeDist:
        for (std::size_t i = 0; i < n; ++i)
          out.values[i] = Datum::of(static_cast<double>(p.peers_end(i)) / size);
        return;
      case WindowKind::kNtile: return ntile(call, p, out);
      case WindowKind::kLag: return shift(call, p, out, -1);
      case WindowKind::kLead: return shift(call, p, out, 1);
      case WindowKind::kFirstValue:
      case WindowKind::kLastValue:
      case WindowKind::kNthValue: return value_in_frame(context, call, p, out);
      case WindowKind::kAggregate: return aggregate(context, local, call, p, out);
    }
  }

  void ntile(const WindowCall& call, Partition& p, Values& out) const {
    std::int64_t buckets = 0;
    if (!integer_argument(p.row(0), call, 0, &buckets)) {
      for (std::size_t i = 0; i < p.size(); ++i) out.set_null(i);
      return;
    }
    if (buckets <= 0)
      throw error(sqlstate::kInvalidArgumentForNtile, "argument of ntile must be greater than zero");
    const auto n = static_cast<std::int64_t>(p.size());
    const auto each = n / buckets, longer = n % buckets;  // the first `longer` buckets have one more
    for (std::int64_t i = 0; i < n; ++i) {
      const auto in_longer = longer * (each + 1);
      const auto bucket =
          i < in_longer ? i / (each + 1) : longer + (i - in_longer) / std::max<std::int64_t>(each, 1);
      out.values[static_cast<std::size_t>(i)] = Datum::of(static_cast<std::int32_t>(bucket + 1));
    }
  }

  void shift(const WindowCall& call, Partition& p, Values& out, int direction) const {
    for (std::size_t i = 0; i < p.size(); ++i) {
      std::int64_t distance = 1;
      if (call.args.size() > 1 && !integer_argument(p.row(i), call, 1, &distance)) {
        out.set_null(i);
        continue;
      }
      const auto at = static_cast<types::Int128>(i) + static_cast<types::Int128>(distance) * direction;
      const bool inside = at >= 0 && at < static_cast<types::Int128>(p.size());
      const Row row = inside ? p.row(static_cast<std::size_t>(at)) : p.row(i);
      if (!inside && call.args.size() < 3) out.set_null(i);
      else if (!argument(row, call, inside ? 0 : 2, &out.values[i])) out.set_null(i);
    }
  }

  void value_in_frame(TaskContext& context, const WindowCall& call, Partition& p, Values& out) const {
    for (std::size_t i = 0; i < p.size(); ++i) {
      std::int64_t wanted = 1;  // the n-th row of the frame
      if (call.kind == WindowKind::kNthValue) {
        if (!integer_argument(p.row(i), call, 1, &wanted)) {
          out.set_null(i);
          continue;
        }
        if (wanted <= 0)
          throw error(sqlstate::kInvalidArgumentForNthValue,
                      "argument of nth_value must be greater than zero");
      }
      std::size_t found = SIZE_MAX;
      auto left = static_cast<std::size_t>(wanted);
      p.for_each_part(p.frame(context, i), i, [&](std::size_t begin, std::size_t end) {
        if (call.kind == WindowKind::kLastValue) {
          found = end - 1;
        } else if (left != 0) {
          if (left <= end - begin) found = begin + left - 1;
          left = left <= end - begin ? 0 : left - (end - begin);
        }
      });
      if (found == SIZE_MAX || !argument(p.row(found), call, 0, &out.values[i])) out.set_null(i);
    }
  }

  /// A running state grows while frames start at the same row; other frames are computed anew.
  void aggregate(TaskContext& context, Local& local, const WindowCall& call, Partition& p,
                 Values& out) const {
    const auto& kernels = *call.expression->aggregate.kernels;
    alignas(16) std::byte inline_state[256];
    std::vector<std::byte> large;
    void* state = inline_state;
    if (kernels.state_bytes > sizeof inline_state) {
      large.resize(kernels.state_bytes + 16);
      state = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(large.data()) + 15) &
                                      ~std::uintptr_t{15});
    }
    local.args.reset(call.args.size() + 1);
    Partition::Frame done{SIZE_MAX, SIZE_MAX};
    std::size_t previous = SIZE_MAX;
    Arena states(1024);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const auto frame = p.frame(context, i);
      const bool same =
          !p.excludes() && previous != SIZE_MAX && frame.begin == done.begin && frame.end == done.end;
      if (same) {
        out.values[i] = out.values[previous];
        out.nulls[i] = out.nulls[previous];
        continue;
      }
      const bool grows =
          !p.excludes() && done.begin == frame.begin && frame.end >= done.end && frame.begin < done.end;
      if (!grows) {
        states.reset();
        std::memset(state, 0, kernels.state_bytes);
        if (kernels.init != nullptr) kernels.init(state);
        p.for_each_part(frame, i, [&](std::size_t b, std::size_t e) {
          feed(context, local, call, p, state, states, b, e);
        });
      } else {
        feed(context, local, call, p, state, states, done.end, frame.end);
      }
      done = frame;
      previous = i;
      auto run = call_context(context, call, local.memory);
      bool null = false;
      kernels.finalize(run, state, out.values[i], &null);
      out.nulls[i] = null;
      // What a running state owns may be moved or freed by the next update.
      if (!null) out.values[i] = types::copy_datum(out.values[i], call.expression->type.phys, local.memory);
    }
  }
  functions::EvalContext call_context(TaskContext& context, const WindowCall& call, Arena& arena) const {
    auto run = context.eval_context(arena);
    run.result_type = call.expression->aggregate.result;
    run.argument_types = call.expression->aggregate.arguments;
    if (!call.expression->args.empty()) run.input_collation = call.expression->args[0]->type.collation;
    return run;
  }
  void feed(TaskContext& context, Local& local, const WindowCall& call, const Partition& p, void* state,
            Arena& states, std::size_t begin, std::size_t end) const {
    const auto& declaration = *call.expression->aggregate.declaration;
    std::vector<Row> rows;
    while (begin < end) {
      context.check_cancel();
      rows.clear();
      for (; begin < end && rows.size() < types::kVectorSize; ++begin) {
        const Row row = p.row(begin);
        if (call.filter >= 0) {
          const auto f = static_cast<std::size_t>(call.filter);
          if (rows_->layout().is_null(row, f) || !rows_->layout().datum(row, f).boolean) continue;
        }
        const bool some_null =
            std::ranges::any_of(call.args, [&](std::size_t a) { return rows_->layout().is_null(row, a); });
        if (declaration.strict && some_null) continue;
        rows.push_back(row);
      }
      if (rows.empty()) continue;
      for (std::size_t a = 0; a < call.args.size(); ++a)
        gather_rows(rows_->layout(), rows, call.args[a], local.args.buffer(a), local.args[a]);
      local.scratch.reset();
      auto run = call_context(context, call, declaration.state_needs_arena ? states : local.scratch);
      const Selection all{nullptr, static_cast<std::uint32_t>(rows.size())};
      call.expression->aggregate.kernels->update_all(run, state, local.args.data(), all);
    }
  }

  const PlanNode& plan_;
  const std::shared_ptr<const WindowShape> shape_;
  const std::shared_ptr<SortedRows> rows_;
};

std::shared_ptr<WindowShape> make_shape(const PlanNode& node, const Layout& in) {
  auto shape = std::make_shared<WindowShape>();
  shape->plan = &node;
  shape->in = in;
  shape->row_types = in.types;
  std::vector<const plan::Expression*> extra;
  const auto add = [&](const plan::Expression* e) {
    extra.push_back(e);
    shape->row_types.push_back(e->type);
    return shape->row_types.size() - 1;
  };
  for (const auto& window : node.windows) {
    WindowCall call{window.expression.get(), kind_of(*window.expression), window.id, {}, -1};
    for (const auto& arg : call.expression->args) call.args.push_back(add(arg.get()));
    if (call.expression->filter != nullptr)
      call.filter = static_cast<int>(add(call.expression->filter.get()));
    shape->calls.push_back(std::move(call));
  }
  shape->extra = Evaluator(std::move(extra), in);
  const auto add_key = [&](ColumnId id, bool descending, bool nulls_first) {
    const auto at = in.position(id);
    shape->key_positions.push_back(at);
    shape->parts.push_back({in.types[at], descending, nulls_first});
  };
  for (const auto id : node.partition_by) add_key(id, false, false);
  for (const auto& key : node.sort_keys) add_key(key.column, key.descending, key.nulls_first);
  if (!node.sort_keys.empty()) shape->order_column = static_cast<int>(in.position(node.sort_keys[0].column));
  return shape;
}

}  // namespace

void build_window(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  const auto shape = make_shape(node, builder.layout(*node.children[0]));
  auto sink = std::make_shared<WindowSink>(builder.run, shape);
  builder.build_into(*node.children[0], sink);
  current.parallel_safe = false;
  current.source = std::make_unique<WindowSource>(node, shape, sink->rows());
}

}  // namespace rustbd::exec
