#include "rustbd/exec/new_rows.h"

#include "rustbd/types/io.h"

namespace rustbd::exec {

namespace {
std::vector<const plan::Expression*> values_of(const std::vector<plan::Assignment>& assignments) {
  std::vector<const plan::Expression*> values;
  for (const auto& a : assignments) values.push_back(a.value.get());
  return values;
}
constexpr std::size_t kShownBytes = 64;  // of a value in "Failing row contains"
}  // namespace

NewRowProgram::NewRowProgram(RunState& run, const plan::Modify& modify,
                             const std::vector<plan::Assignment>& assignments, const Layout& in,
                             std::span<const plan::TargetColumn> base)
    : modify_(modify),
      relation_(*modify.target),
      assignments_(values_of(assignments), in),
      base_(modify.target->columns.size(), -1) {
  for (const auto& a : assignments) targets_.push_back(a.attribute);
  changed_ = targets_;
  for (const auto& g : modify.generated) changed_.push_back(g.attribute);
  for (const auto& column : base)
    if (column.attribute > 0) base_[static_cast<std::size_t>(column.attribute - 1)] = in.find(column.id);
  const auto seen = Layout::of(run, modify.new_columns);
  generated_ = Evaluator(values_of(modify.generated), seen);
  std::vector<const plan::Expression*> derived;
  for (const auto& check : modify.checks) derived.push_back(check.condition.get());
  for (const auto& index : modify.index_expressions)
    for (const auto& key : index.keys) derived.push_back(key.get()), ++key_count_;
  for (const auto& index : modify.index_expressions)
    if (index.predicate != nullptr) derived.push_back(index.predicate.get()), ++member_count_;
  derived_ = Evaluator(std::move(derived), seen);
}

std::unique_ptr<NewRowProgram::Local> NewRowProgram::make_local() const {
  auto local = std::make_unique<Local>();
  local->assignments = assignments_.make_local();
  local->generated = generated_.make_local();
  local->derived = derived_.make_local();
  local->assigned.resize(assignments_.size());
  local->generated_values.resize(generated_.size());
  local->derived_values.resize(derived_.size());
  local->columns.resize(relation_.columns.size());
  local->seen.resize(modify_.new_columns.size());
  return local;
}

bool NewRowProgram::Local::renew() {
  if (!is_small(arena)) return false;
  arena.reset();
  return assignments.renew() && generated.renew() && derived.renew();
}

void NewRowProgram::compute(Local& local, TaskContext& context, const Chunk& in) const {
  local.arena.reset();
  assignments_.evaluate(local.assignments, context.expressions, in, local.assigned.data());
  for (std::size_t c = 0; c < local.columns.size(); ++c) {
    local.columns[c] = base_[c] >= 0
                           ? in.columns[base_[c]]
                           : types::make_constant(Datum{}, true, relation_.columns[c].type.phys, local.arena);
  }
  for (std::size_t i = 0; i < targets_.size(); ++i)
    local.columns[static_cast<std::size_t>(targets_[i] - 1)] = local.assigned[i];
  Chunk seen = in;
  const auto show = [&] {
    for (std::size_t i = 0; i < local.seen.size(); ++i) {
      const auto attribute = modify_.new_columns[i].attribute;
      // System columns of a row that is not written yet are NULL.
      local.seen[i] = attribute > 0 ? local.columns[static_cast<std::size_t>(attribute - 1)]
                                    : types::make_constant(Datum{}, true, types::Phys::kU64, local.arena);
    }
    seen.columns = local.seen.data();
    seen.column_count = static_cast<std::uint32_t>(local.seen.size());
  };
  show();
  if (generated_.size() != 0) {
    generated_.evaluate(local.generated, context.expressions, seen, local.generated_values.data());
    for (std::size_t i = 0; i < modify_.generated.size(); ++i)
      local.columns[static_cast<std::size_t>(modify_.generated[i].attribute - 1)] = local.generated_values[i];
    show();
  }
  if (derived_.size() == 0) return;
  derived_.evaluate(local.derived, context.expressions, seen, local.derived_values.data());
  const auto* value = local.derived_values.data();
  local.checks.assign(value, value + modify_.checks.size());
  value += modify_.checks.size();
  local.index_keys.assign(value, value + key_count_);
  local.index_member.assign(value + key_count_, value + key_count_ + member_count_);
}

std::string NewRowProgram::describe(const Local& local, TaskContext& context, std::uint32_t row) const {
  std::string text;
  Arena arena(512);
  types::IoContext io;
  if (context.run.context.statement != nullptr) io = context.run.context.statement->io();
  io.arena = &arena;
  for (std::size_t c = 0; c < local.columns.size(); ++c) {
    if (relation_.columns[c].dropped) continue;
    if (!text.empty()) text += ", ";
    if (!local.columns[c].is_valid(row)) {
      text += "null";
      continue;
    }
    std::string value;
    types::output_text(local.columns[c].datum(row), relation_.columns[c].type, io, value);
    if (value.size() > kShownBytes) {
      value.resize(types::valid_utf8_prefix(std::string_view(value).substr(0, kShownBytes)));
      value += "...";
    }
    text += value;
  }
  return fmt::format("Failing row contains ({}).", text);
}

void NewRowProgram::check(const Local& local, TaskContext& context, std::uint32_t row) const {
  for (std::size_t c = 0; c < local.columns.size(); ++c) {
    const auto& column = relation_.columns[c];
    if (!column.not_null || column.dropped || local.columns[c].is_valid(row)) continue;
    throw error(sqlstate::kNotNullViolation,
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint", column.name,
                relation_.name)
        .with_detail(describe(local, context, row))
        .on_table(relation_.schema_name, relation_.name)
        .on_column(column.name);
  }
  for (std::size_t i = 0; i < local.checks.size(); ++i) {
    const Vector& truth = local.checks[i];
    if (!truth.is_valid(row) || truth.values<bool>()[truth.slot(row)]) continue;
    throw error(sqlstate::kCheckViolation, "new row for relation \"{}\" violates check constraint \"{}\"",
                relation_.name, modify_.checks[i].name)
        .with_detail(describe(local, context, row))
        .on_table(relation_.schema_name, relation_.name)
        .on_constraint(modify_.checks[i].name);
  }
}

}  // namespace rustbd::exec
