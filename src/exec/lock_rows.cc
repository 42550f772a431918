// SELECT ... FOR UPDATE and the like. A row that changed after the snapshot is read again and checked again
// (node.filter) in its newest version, as READ COMMITTED wants.
#include "rustbd/exec/builder.h"

namespace rustbd::exec {

using plan::PlanNode;

namespace {

class LockRows final : public Operator {
 public:
  LockRows(PipelineBuilder& builder, const PlanNode& plan_node, const Layout& in)
      : Operator(plan_node.id), plan_(plan_node), in_(in), recheck_(plan_node.filter.get(), in) {
    for (const auto& lock : plan_node.locks) {
      targets_.push_back({&builder.run.context.access->table(lock.relation), in.position(lock.row_id),
                          Layout::of(builder.run, lock.columns).phys()});
    }
  }
  struct Local final : LocalState {
    bool in_chunk = false, in_row = false, changed = false, fetching = false;
    std::uint32_t at = 0;
    std::size_t lock = 0;
    ChunkBuffer row, fetched, out;
    Predicate::Local recheck;
  };
  std::unique_ptr<LocalState> make_local(TaskContext&) override {
    auto local = std::make_unique<Local>();
    local->row.reset(in_.phys());
    local->out.reset(in_.phys());
    local->recheck = recheck_.make_local();
    return local;
  }
  Flow process(TaskContext& context, LocalState* state, Chunk& in, Chunk& out) override {
    auto& local = static_cast<Local&>(*state);
    if (!local.in_chunk) {
      local.out.begin();
      local.at = 0;
      local.in_chunk = true;
    }
    for (; local.at < in.selection.count; ++local.at) {
      context.check_cancel();
      bool keep = true;
      Flow flow = lock_row(local, in, &keep);
      if (flow.state == State::kBlocked) return flow;
      local.in_row = false;
      if (!keep) continue;
      if (local.changed && recheck_.filter(local.recheck, context.expressions, local.row.chunk()).count == 0)
        continue;
      local.out.append(local.row.chunk());
    }
    local.in_chunk = false;
    out = local.out.chunk();
    return Flow::need();
  }

 private:
  struct Target {
    TableAccess* access;
    std::uint32_t id_position;
    std::vector<types::Phys> phys;
  };
  Flow lock_row(Local& local, const Chunk& in, bool* keep) const {
    if (!local.in_row) {
      Chunk one = in;
      one.selection = slice(in.selection, local.at, 1);
      local.row.begin();
      local.row.append(one);
      local.in_row = true;
      local.changed = local.fetching = false;
      local.lock = 0;
    }
    for (; local.lock < targets_.size(); ++local.lock) {
      const auto& target = targets_[local.lock];
      const Vector& ids = local.row.chunk()[target.id_position];
      if (!ids.is_valid(0)) continue;  // the null-supplied side of an outer join
      const RowId id{ids.datum(0).u64};
      const auto& lock = plan_.locks[local.lock];
      if (!local.fetching) {
        const auto flow = target.access->lock(id, lock.strength, lock.wait);
        if (flow.result == WriteResult::kBlocked) return Flow::blocked(flow.token);
        if (flow.result == WriteResult::kDone) continue;
        if (flow.result != WriteResult::kChanged) {
          *keep = false;
          return Flow::need();
        }
        if (plan_.recheck_needs_restart) throw StatementRestart{};
        local.fetching = true;
        local.fetched.reset(target.phys);
      }
      local.fetched.begin();
      Flow flow = target.access->fetch_newest(id, lock.columns, true, local.fetched);
      if (flow.state == State::kBlocked) return flow;
      local.fetching = false;
      if (flow.state == State::kFinished) {
        *keep = false;
        return Flow::need();
      }
      replace(local, lock);
    }
    return Flow::need();
  }
  void replace(Local& local, const plan::RowLock& lock) const {
    local.changed = true;
    for (std::size_t i = 0; i < lock.columns.size(); ++i) {
      const int at = in_.find(lock.columns[i].id);
      if (at < 0) continue;
      const Vector& v = local.fetched.chunk()[i];
      const bool valid = v.is_valid(0);
      Vector& to = local.row.chunk()[static_cast<std::size_t>(at)];
      if (valid && to.validity != nullptr) to.validity[0] |= 1;
      local.row.put(static_cast<std::uint32_t>(at), 0, valid ? v.datum(0) : Datum{}, !valid);
    }
  }
  const PlanNode& plan_;
  const Layout in_;
  const Predicate recheck_;
  std::vector<Target> targets_;
};

}  // namespace

void build_lock_rows(PipelineBuilder& builder, const PlanNode& node, Pipeline& current) {
  builder.build(*node.children[0], current);
  current.parallel_safe = false;
  const auto in = builder.layout(*node.children[0]);
  builder.add_quota(current, node.id);
  current.operators.push_back(std::make_unique<LockRows>(builder, node, in));
  arrange(builder, current, node.id, in, node.output);
}

}  // namespace rustbd::exec
