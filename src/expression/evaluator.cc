#include "rustbd/expression/evaluator.h"

#include "rustbd/base/error.h"
#include "rustbd/base/rest.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/expression/program.h"
#include "rustbd/types/cast.h"

namespace rustbd::expression {

using types::Chunk;
using types::Form;
using types::Selection;
using types::Vector;

Program::Local::Local(const Program::Impl& p)
    : registers(p.registers.size()), buffers(p.registers.size()), program(&p) {
  for (const ConstantRegister& c : p.constants)
    registers[c.at] = types::make_constant(c.value, c.is_null, c.phys, constants);
}
void Program::LocalDeleter::operator()(Local* local) const { delete local; }
Program::LocalPtr Program::make_local() const { return LocalPtr{new Local(*impl_)}; }
bool Program::renew(Local& local) {
  if (local.arena.bytes_reserved() > kRestBytesMax) return false;
  local.arena.reset();
  for (auto& buffer : local.buffers) buffer.release();
  local.run = nullptr;
  return true;
}

namespace {

/// Columns and parameters into their registers; forgets the round before.
void begin(Program::Local& local, const Program::Impl& program, const RunContext& run, const Chunk& in) {
  local.arena.reset();
  local.run = &run;
  if (run.statement != nullptr) run.statement->io().arena = &local.arena;
  for (const ColumnRegister& c : program.columns) local.registers[c.at] = in.columns[c.position];
  for (const ParameterRegister& p : program.parameters) {
    RUSTBD_STATEMENT_ASSERT(p.index < run.parameters.size(), "a parameter without a value");
    const types::Value& v = run.parameters[p.index];
    Datum value = v.datum;
    if (!v.is_null && p.type.oid == types::oid::kNumeric &&
        (v.type.phys != p.type.phys || v.type.scale != p.type.scale))
      value = types::convert_decimal(v.datum, v.type, p.type, local.arena);
    local.registers[p.at] = types::make_constant(value, v.is_null, p.type.phys, local.arena);
  }
}

/// Appends the rows of `selection` for which the boolean vector is true.
std::uint32_t keep_true(const Vector& v, const Selection& selection, std::uint16_t* kept) {
  std::uint32_t n = 0;
  const bool* truth = v.values<bool>();
  if (v.form == Form::kFlat && v.validity == nullptr) {
    for (std::uint32_t i = 0; i < selection.count; ++i) {
      const auto row = selection[i];
      kept[n] = static_cast<std::uint16_t>(row);
      n += truth[row] ? 1 : 0;
    }
    return n;
  }
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    if (v.is_valid(row) && truth[v.slot(row)]) kept[n++] = static_cast<std::uint16_t>(row);
  }
  return n;
}

}  // namespace

void Program::evaluate(Local& local, const RunContext& run, const Chunk& in, std::span<Vector> out) const {
  begin(local, *impl_, run, in);
  Machine machine{local, run, in.rows};
  machine.run(impl_->main, in.selection);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = local.registers[impl_->results[i]];
}

Selection Program::filter(Local& local, const RunContext& run, const Chunk& in) const {
  RUSTBD_STATEMENT_ASSERT(!impl_->conjuncts.empty(), "filter() needs one boolean expression");
  begin(local, *impl_, run, in);
  Machine machine{local, run, in.rows};
  Selection selection = in.selection;
  for (const auto& block : impl_->conjuncts) {
    if (selection.count == 0) break;
    machine.run(*block, selection);
    const Vector& truth = local.registers[block->result];
    if (truth.form == Form::kConst) {
      if (truth.is_valid(0) && truth.values<bool>()[0]) continue;
      return {nullptr, 0};
    }
    auto* kept = static_cast<std::uint16_t*>(local.arena.allocate(selection.count * 2 + 2, 8));
    const std::uint32_t n = keep_true(truth, selection, kept);
    if (n != selection.count) selection = {kept, n};
  }
  return selection;
}

types::Value evaluate_constant(const Expression& e, const RunContext& run, Arena& arena) {
  if (e.kind == Kind::kConstant)
    return {e.type, e.is_null, e.is_null ? Datum{} : types::copy_datum(e.value, e.type.phys, arena)};
  if (e.kind == Kind::kParameter && e.index < run.parameters.size() &&
      run.parameters[e.index].type.phys == e.type.phys &&
      run.parameters[e.index].type.scale == e.type.scale) {
    const auto& v = run.parameters[e.index];
    return {e.type, v.is_null, v.is_null ? Datum{} : types::copy_datum(v.datum, e.type.phys, arena)};
  }
  const Expression* list[] = {&e};
  const auto program = Program::compile(list, {});
  const auto local = program->make_local();
  Chunk chunk;
  chunk.select_all(1);
  Vector out[1];
  program->evaluate(*local, run, chunk, out);
  if (run.statement != nullptr) run.statement->io().arena = &arena;  // not the arena that dies with `local`
  const bool is_null = !out[0].is_valid(0);
  return {e.type, is_null, is_null ? Datum{} : types::copy_datum(out[0].datum(0), e.type.phys, arena)};
}

}  // namespace rustbd::expression
