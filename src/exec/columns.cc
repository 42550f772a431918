#include "rustbd/exec/columns.h"

#include <array>

#include "rustbd/base/statement_assert.h"

namespace rustbd::exec {

namespace {
constexpr auto kNumbers = [] {
  std::array<std::uint16_t, types::kVectorSize> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::uint16_t>(i);
  return numbers;
}();
}  // namespace
const std::uint16_t* const kRowNumbers = kNumbers.data();

Layout Layout::of(const RunState& run, std::span<const ColumnId> columns) {
  Layout layout;
  for (const auto id : columns) layout.add(id, run.type_of(id));
  return layout;
}

Layout Layout::of(const RunState& run, std::span<const plan::TargetColumn> columns) {
  Layout layout;
  for (const auto& column : columns) layout.add(column.id, run.type_of(column.id));
  return layout;
}

int Layout::find(ColumnId id) const {
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] == id) return static_cast<int>(i);
  return -1;
}

std::uint32_t Layout::position(ColumnId id) const {
  const int at = find(id);
  RUSTBD_STATEMENT_ASSERT(at >= 0, "a plan node's output must come from its input");
  return static_cast<std::uint32_t>(at);
}

expression::ColumnMap Layout::map() const {
  expression::ColumnMap map;
  for (std::size_t i = 0; i < ids.size(); ++i) map.emplace_back(ids[i], static_cast<std::uint32_t>(i));
  return map;
}

std::vector<types::Phys> Layout::phys() const {
  std::vector<types::Phys> phys;
  for (const auto& type : types) phys.push_back(type.phys);
  return phys;
}

Layout join_layouts(const Layout& left, const Layout& right) {
  Layout both = left;
  both.ids.insert(both.ids.end(), right.ids.begin(), right.ids.end());
  both.types.insert(both.types.end(), right.types.begin(), right.types.end());
  return both;
}

Evaluator::Evaluator(std::vector<const expression::Expression*> expressions, const Layout& in) {
  std::vector<const expression::Expression*> computed;
  for (const auto* e : expressions) {
    types_.push_back(e->type);
    if (e->kind == expression::Kind::kColumn) {
      from_.push_back({false, in.position(e->column)});
    } else {
      from_.push_back({true, static_cast<std::uint32_t>(computed.size())});
      computed.push_back(e);
    }
  }
  computed_count_ = computed.size();
  if (!computed.empty()) program_ = expression::Program::compile(computed, in.map());
}

Evaluator::Local Evaluator::make_local() const {
  Local local;
  if (program_ != nullptr) local.program = program_->make_local();
  local.computed.resize(computed_count_);
  return local;
}

void Evaluator::evaluate(Local& local, const expression::RunContext& run, const Chunk& in,
                         Vector* out) const {
  if (program_ != nullptr) program_->evaluate(*local.program, run, in, local.computed);
  for (std::size_t i = 0; i < from_.size(); ++i)
    out[i] = from_[i].computed ? local.computed[from_[i].index] : in.columns[from_[i].index];
}

Predicate::Predicate(const expression::Expression* condition, const Layout& in) {
  if (condition == nullptr) return;
  const expression::Expression* one[] = {condition};
  program_ = expression::Program::compile(one, in.map());
}

}  // namespace rustbd::exec
