// INSERT, UPDATE, DELETE with ON CONFLICT and RETURNING (query.md §10.6). A sink: the statement runs to its
// end, and what RETURNING reads is kept. One worker, row by row, resumable after every wait.
#include "rustbd/base/statement_assert.h"
#include "rustbd/exec/new_rows.h"
#include "rustbd/exec/stored_rows.h"

namespace rustbd::exec {

using plan::ConflictAction;
using plan::Modify;
using plan::ModifyKind;
using plan::PlanNode;

namespace {

using NewRowLocal = NewRowProgram::Local;

class ModifySink final : public Sink {
 public:
  ModifySink(PipelineBuilder& builder, const PlanNode& plan_node, bool counts)
      : Sink(plan_node.id),
        run_(builder.run),
        plan_(plan_node),
        modify_(*plan_node.modify),
        in_(builder.layout(*plan_node.children[0])),
        recheck_(modify_.recheck.get(), in_),
        counts_(counts),
        returned_(std::make_shared<RowTable>(run_.memory, RowLayout{builder.layout(plan_node).types})) {
    const std::span<const plan::TargetColumn> none;
    if (modify_.kind != ModifyKind::kDelete)
      rows_.emplace(run_, modify_, modify_.assignments, in_,
                    modify_.kind == ModifyKind::kUpdate
                        ? std::span<const plan::TargetColumn>(modify_.old_columns)
                        : none);
    if (modify_.conflict == ConflictAction::kUpdate) {
      conflict_in_ = join_layouts(Layout::of(run_, modify_.existing_columns),
                                  Layout::of(run_, modify_.excluded_columns));
      conflict_rows_.emplace(run_, modify_, modify_.conflict_assignments, conflict_in_,
                             modify_.existing_columns);
      conflict_where_ = Predicate(modify_.conflict_where.get(), conflict_in_);
    }
    ++run_.changes;
    if (modify_.kind != ModifyKind::kInsert) id_position_ = in_.position(modify_.row_id);
    for (const auto id : plan_.output) returned_from_.push_back(find_returned(id));
  }

  enum class Step : std::uint8_t {
    kCheck,
    kWrite,
    kFetchNewest,
    kWriteNewest,
    kFetchExisting,
    kUpdateExisting
  };
  struct Local final : LocalState {
    bool in_chunk = false;
    std::uint32_t at = 0;
    Step step = Step::kCheck;
    std::unique_ptr<NewRowLocal> rows;  // of the chunk
    // Made when the first row needs them: most statements meet neither.
    std::unique_ptr<NewRowLocal> newest;    // of one row, after a concurrent change
    std::unique_ptr<NewRowLocal> conflict;  // of one row, DO UPDATE
    Predicate::Local recheck, conflict_where;
    ChunkBuffer fetched;
    bool fetches = false;
    std::vector<Vector> one;  // a chunk of one row, made of constants
    Chunk one_row;
    Arena arena{512};
    RowId existing{};
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    if (rows_) local->rows = rows_->make_local();
    return local;
  }
  void attach() override {
    access_ = &run_.context.access->table(modify_.target);
    ended_ = false;
  }
  void reset() override { returned_->clear(); }
  bool renew(LocalState* state) override {
    auto& local = static_cast<Local&>(*state);
    local.in_chunk = false;
    if (!local.fetched.rest() || !is_small(local.arena) || !Predicate::renew(local.recheck) ||
        !Predicate::renew(local.conflict_where))
      return false;
    for (auto* one : {&local.newest, &local.conflict})
      if (*one != nullptr && !(*one)->renew()) return false;
    local.arena.reset();
    return local.rows == nullptr || local.rows->renew();
  }

  Flow sink(TaskContext& context, LocalState* state, Chunk& in) override {
    auto& local = static_cast<Local&>(*state);
    if (!local.in_chunk) {
      if (rows_) rows_->compute(*local.rows, context, in);
      local.in_chunk = true;
      local.at = 0;
      local.step = Step::kCheck;
    }
    while (local.at < in.selection.count) {
      context.check_cancel();
      const auto row = in.selection[local.at];
      Flow flow = modify_.kind == ModifyKind::kInsert ? insert(context, local, in, row)
                                                      : change(context, local, in, row);
      if (flow.state == State::kBlocked) return flow;
    }
    local.in_chunk = false;
    return Flow::need();
  }

  /// Constraints are checked when the last of the statement's changes is done: a statement with several
  /// (writing CTEs) may break them in between.
  Flow finalize(TaskContext&) override {
    if (!std::exchange(ended_, true)) ++run_.changes_ended;
    if (run_.changes_ended < run_.changes) return Flow::finished();
    Flow flow = run_.context.access->end_statement();
    return flow.state == State::kBlocked ? flow : Flow::finished();
  }
  [[nodiscard]] const std::shared_ptr<RowTable>& returned() const { return returned_; }

 private:
  static Flow next_row(Local& local) {
    ++local.at;
    local.step = Step::kCheck;
    return Flow::need();
  }
  static Flow go_on(Local& local, Step step) {
    local.step = step;
    return Flow::need();
  }
  [[noreturn]] static void second_time() {
    throw error(sqlstate::kCardinalityViolation,
                "ON CONFLICT DO UPDATE command cannot affect row a second time")
        .with_hint(
            "Ensure that no rows proposed for insertion within the same command have duplicate constrained "
            "values.");
  }

  Flow insert(TaskContext& context, Local& local, const Chunk& in, std::uint32_t row) {
    switch (local.step) {
      case Step::kCheck: rows_->check(*local.rows, context, row); return go_on(local, Step::kWrite);
      case Step::kWrite: return write_new(local, in, row);
      case Step::kFetchExisting: return fetch_existing(context, local, row);
      default: return update_existing(local, in, row);
    }
  }
  Flow write_new(Local& local, const Chunk& in, std::uint32_t row) {
    const bool on_conflict = modify_.conflict != ConflictAction::kError;
    const auto flow = access_->insert(local.rows->rows(), row, on_conflict, modify_.arbiters);
    switch (flow.result) {
      case WriteResult::kBlocked: return Flow::blocked(flow.token);
      case WriteResult::kDone: return done(local, *local.rows, row, in, row);
      case WriteResult::kConflict:
        if (modify_.conflict != ConflictAction::kUpdate) return next_row(local);
        local.existing = flow.row;
        return go_on(local, Step::kFetchExisting);
      case WriteResult::kConflictRunningOwnCommand:
        if (modify_.conflict == ConflictAction::kUpdate) second_time();
        return next_row(local);
      case WriteResult::kChanged:
      case WriteResult::kGone: break;
    }
    RUSTBD_STATEMENT_UNREACHABLE("an insert changes no old row");
  }
  Flow fetch_existing(TaskContext& context, Local& local, std::uint32_t row) {
    begin_fetch(local, modify_.existing_columns);
    Flow flow = access_->fetch_newest(local.existing, modify_.existing_columns, true, local.fetched);
    if (flow.state == State::kBlocked) return flow;
    if (flow.state == State::kFinished)
      return go_on(local, Step::kWrite);  // deleted meanwhile: try to insert again
    start_one_row(local, conflict_in_.size());
    const auto existing = modify_.existing_columns.size();
    for (std::size_t i = 0; i < existing; ++i) set_one(local, i, local.fetched.chunk()[i], 0);
    for (std::size_t i = 0; i < modify_.excluded_columns.size(); ++i)
      set_one(local, existing + i,
              local.rows->columns[static_cast<std::size_t>(modify_.excluded_columns[i].attribute - 1)], row);
    if (conflict_where_.filter(local.conflict_where, context.expressions, local.one_row).count == 0)
      return next_row(local);
    conflict_rows_->compute(*local.conflict, context, local.one_row);
    conflict_rows_->check(*local.conflict, context, 0);
    return go_on(local, Step::kUpdateExisting);
  }
  Flow update_existing(Local& local, const Chunk& in, std::uint32_t row) {
    const auto flow = access_->update(local.existing, conflict_rows_->changed(), local.conflict->rows(), 0);
    switch (flow.result) {
      case WriteResult::kBlocked: return Flow::blocked(flow.token);
      case WriteResult::kDone: return done(local, *local.conflict, 0, in, row);
      case WriteResult::kChanged: return go_on(local, Step::kFetchExisting);
      default: second_time();  // locked, so only this command can have changed it
    }
  }

  Flow change(TaskContext& context, Local& local, const Chunk& in, std::uint32_t row) {
    const Vector& ids = in.columns[id_position_];
    if (!ids.is_valid(row)) return next_row(local);  // the null-supplied side of an outer join
    const RowId id{ids.datum(row).u64};
    const bool is_update = modify_.kind == ModifyKind::kUpdate;
    switch (local.step) {
      case Step::kCheck:
        if (is_update) rows_->check(*local.rows, context, row);
        return go_on(local, Step::kWrite);
      case Step::kWrite: {
        const auto flow =
            is_update ? access_->update(id, rows_->changed(), local.rows->rows(), row) : access_->remove(id);
        return after_write(local, flow, in, row, false);
      }
      case Step::kFetchNewest: return fetch_newest(context, local, in, row, id);
      default: {
        const auto flow =
            is_update ? access_->update(id, rows_->changed(), local.newest->rows(), 0) : access_->remove(id);
        return after_write(local, flow, in, row, true);
      }
    }
  }
  Flow after_write(Local& local, const WriteFlow& flow, const Chunk& in, std::uint32_t row, bool newest) {
    switch (flow.result) {
      case WriteResult::kBlocked: return Flow::blocked(flow.token);
      case WriteResult::kChanged: return go_on(local, Step::kFetchNewest);
      case WriteResult::kGone: return next_row(local);
      case WriteResult::kDone: break;
      default: RUSTBD_STATEMENT_UNREACHABLE("only an insert has conflicts");
    }
    if (modify_.kind == ModifyKind::kDelete)
      return newest ? done(local, std::nullopt, 0, local.one_row, 0) : done(local, std::nullopt, 0, in, row);
    return newest ? done(local, *local.newest, 0, local.one_row, 0) : done(local, *local.rows, row, in, row);
  }
  /// READ COMMITTED: the row changed after the snapshot. Its newest version must match again, then gets the
  /// new values.
  Flow fetch_newest(TaskContext& context, Local& local, const Chunk& in, std::uint32_t row, RowId id) {
    if (modify_.recheck_needs_restart) throw StatementRestart{};
    begin_fetch(local, modify_.old_columns);
    Flow flow = access_->fetch_newest(id, modify_.old_columns, true, local.fetched);
    if (flow.state == State::kBlocked) return flow;
    if (flow.state == State::kFinished) return next_row(local);
    start_one_row(local, in_.size());
    for (std::size_t i = 0; i < in_.size(); ++i) set_one(local, i, in.columns[i], row);
    for (std::size_t i = 0; i < modify_.old_columns.size(); ++i)
      if (const int at = in_.find(modify_.old_columns[i].id); at >= 0)
        set_one(local, static_cast<std::size_t>(at), local.fetched.chunk()[i], 0);
    if (recheck_.filter(local.recheck, context.expressions, local.one_row).count == 0) return next_row(local);
    if (rows_) {
      rows_->compute(*local.newest, context, local.one_row);
      rows_->check(*local.newest, context, 0);
    }
    return go_on(local, Step::kWriteNewest);
  }

  /// Everything that a row needs that is not written as the chunk has it.
  void begin_fetch(Local& local, std::span<const plan::TargetColumn> columns) const {
    if (!std::exchange(local.fetches, true)) {
      local.fetched.reset(Layout::of(run_, columns).phys());
      local.recheck = recheck_.make_local();
      if (rows_) local.newest = rows_->make_local();
      if (conflict_rows_) {
        local.conflict = conflict_rows_->make_local();
        local.conflict_where = conflict_where_.make_local();
      }
    }
    local.fetched.begin();
  }
  static void start_one_row(Local& local, std::size_t columns) {
    local.arena.reset();
    local.one.resize(columns);
    local.one_row.columns = local.one.data();
    local.one_row.column_count = static_cast<std::uint32_t>(columns);
    local.one_row.select_all(1);
  }
  static void set_one(Local& local, std::size_t column, const Vector& from, std::uint32_t row) {
    const bool valid = from.is_valid(row);
    local.one[column] =
        types::make_constant(valid ? from.datum(row) : Datum{}, !valid, from.phys, local.arena);
  }

  /// A row was written: count it and keep what RETURNING may read.
  Flow done(Local& local, const NewRowLocal& written, std::uint32_t written_row, const Chunk& in,
            std::uint32_t in_row) {
    return done(local, std::optional<const NewRowLocal*>(&written), written_row, in, in_row);
  }
  Flow done(Local& local, std::optional<const NewRowLocal*> written, std::uint32_t written_row,
            const Chunk& in, std::uint32_t in_row) {
    if (counts_) ++run_.affected;
    if (modify_.has_returning || !counts_) {
      Row row = returned_->append_row();
      for (std::size_t i = 0; i < returned_from_.size(); ++i) {
        const auto [attribute, position] = returned_from_[i];
        const bool from_new = attribute > 0;
        const Vector& v =
            from_new ? (*written)->columns[static_cast<std::size_t>(attribute - 1)] : in.columns[position];
        const auto at = from_new ? written_row : in_row;
        const bool valid = v.is_valid(at);
        returned_->put(row, i, valid ? v.datum(at) : Datum{}, !valid);
      }
    }
    return next_row(local);
  }
  /// Where an output column comes from: an attribute of the new row, or (attribute 0) a position in the
  /// child.
  struct ReturnedFrom {
    catalog::AttributeNumber attribute;
    std::uint32_t position;
  };
  [[nodiscard]] ReturnedFrom find_returned(ColumnId id) const {
    if (modify_.kind != ModifyKind::kDelete) {
      for (const auto& column : modify_.new_columns)
        if (column.id == id && column.attribute > 0) return {column.attribute, 0};
    }
    return {0, in_.position(id)};
  }

  RunState& run_;
  const PlanNode& plan_;
  const Modify& modify_;
  const Layout in_;
  TableAccess* access_ = nullptr;
  std::optional<NewRowProgram> rows_, conflict_rows_;
  const Predicate recheck_;
  Layout conflict_in_;
  Predicate conflict_where_;
  const bool counts_;
  bool ended_ = false;
  const std::shared_ptr<RowTable> returned_;
  std::uint32_t id_position_ = 0;
  std::vector<ReturnedFrom> returned_from_;
};

}  // namespace

void build_modify(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  auto sink = std::make_shared<ModifySink>(builder, node, builder.counts_rows());
  builder.build_into(*node.children[0], sink);
  current.parallel_safe = false;
  current.source =
      std::make_unique<RowTableSource>(node.id, sink->returned(), all_positions(node.output.size()));
}

}  // namespace rustbd::exec
