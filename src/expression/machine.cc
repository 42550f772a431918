// The interpreter: function calls, and the constructs whose arguments run under narrowed selections.
#include <algorithm>
#include <array>

#include "rustbd/base/error.h"
#include "rustbd/base/small_vector.h"
#include "rustbd/expression/program.h"
#include "rustbd/types/compare.h"

namespace rustbd::expression {

using functions::EvalContext;
using types::Form;
using types::kValidityWords;
using types::Phys;
using types::Selection;
using types::Vector;

Machine::Machine(Program::Local& local, const RunContext& run, std::uint32_t rows)
    : local_(local), run_(run), rows_(rows) {}

void Machine::run(const Block& block, const Selection& selection) {
  if (selection.count == 0) {
    // Nobody reads a row, but the result must be a vector.
    for (const Instruction& in : block.code) fresh(in.out);
    return;
  }
  for (const Instruction& in : block.code) step(in, selection);
}

void Machine::step(const Instruction& in, const Selection& selection) {
  switch (in.op) {
    case Op::kCall: return call(in, selection);
    case Op::kPhysicalCast: return physical_cast(in, selection);
    case Op::kTypedInput: return typed_input(in, selection);
    case Op::kCoerceLength: return coerce_length(in, selection);
    case Op::kNot:
      return boxed(in, selection, [&](std::uint32_t row, Datum& out, bool* null) {
        const Vector& a = local_.registers[in.args[0]];
        *null = !a.is_valid(row);
        out.boolean = !a.values<bool>()[a.slot(row)];
      });
    case Op::kIsNull: return is_null(in, selection, true);
    case Op::kIsNotNull: return is_null(in, selection, false);
    case Op::kBooleanTest:
      return boxed(in, selection, [&](std::uint32_t row, Datum& out, bool*) {
        const Vector& a = local_.registers[in.args[0]];
        const bool known = a.is_valid(row), value = known && a.values<bool>()[a.slot(row)];
        switch (in.test) {
          case BooleanTest::kTrue: out.boolean = value; break;
          case BooleanTest::kNotTrue: out.boolean = !value; break;
          case BooleanTest::kFalse: out.boolean = known && !value; break;
          case BooleanTest::kNotFalse: out.boolean = !known || value; break;
          case BooleanTest::kUnknown: out.boolean = !known; break;
          case BooleanTest::kNotUnknown: out.boolean = known; break;
        }
      });
    case Op::kIsDistinct: return is_distinct(in, selection);
    case Op::kAnd:
    case Op::kOr: return junction(in, selection);
    case Op::kCase: return case_when(in, selection);
    case Op::kCoalesce: return coalesce(in, selection);
    case Op::kNullIf: return null_if(in, selection);
    case Op::kExtreme: return extreme(in, selection);
    case Op::kArray: return array(in, selection);
    case Op::kSubscript: return subscript(in, selection);
    case Op::kScalarArray: return scalar_array(in, selection);
    case Op::kInList: return in_list(in, selection);
    case Op::kInSet: return in_set(in, selection);
    case Op::kRow:
    case Op::kFieldSelect: throw not_supported("a row value here");
  }
}

// ---- registers
// --------------------------------------------------------------------------------------------------

Vector& Machine::fresh(Register at) {
  local_.buffers[at].reset(local_.program->registers[at].phys, rows_);
  return local_.registers[at] = local_.buffers[at].flat();
}
std::uint64_t* Machine::validity(Register at) { return local_.buffers[at].fresh_validity(); }
void Machine::set_null(Vector& v, Register at, std::uint32_t row) {
  if (v.validity == nullptr) v.validity = validity(at);
  v.validity[row >> 6] &= ~(1ull << (row & 63));
}
void Machine::alias(Register out, Register from) { local_.registers[out] = local_.registers[from]; }

bool Machine::all_constant(const Instruction& in) const {
  if (in.is_volatile) return false;
  return std::ranges::all_of(in.args, [&](Register r) { return local_.registers[r].form == Form::kConst; });
}

namespace {
template <class T>
void copy_values(void* to, const Vector& from, const Selection& selection) {
  T* out = static_cast<T*>(to);
  const T* in = static_cast<const T*>(from.data);
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    out[row] = in[from.slot(row)];
  }
}
}  // namespace

void Machine::copy_rows(Register out, Register from, const Selection& selection) {
  Vector& to = local_.registers[out];
  const Vector& v = local_.registers[from];
  if (v.form == Form::kSeq) {
    auto* values = to.values<std::int64_t>();
    for (std::uint32_t i = 0; i < selection.count; ++i) values[selection[i]] = v.datum(selection[i]).i64;
    return;
  }
  switch (v.width) {
    case 1: copy_values<std::uint8_t>(to.data, v, selection); break;
    case 2: copy_values<std::uint16_t>(to.data, v, selection); break;
    case 4: copy_values<std::uint32_t>(to.data, v, selection); break;
    case 8: copy_values<std::uint64_t>(to.data, v, selection); break;
    default: copy_values<types::Uuid>(to.data, v, selection); break;
  }
  if (v.validity == nullptr) return;
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    if (!v.is_valid(selection[i])) set_null(to, out, selection[i]);
  }
}

template <class Body>
void Machine::boxed(const Instruction& in, const Selection& selection, Body&& body) {
  const bool constant = all_constant(in);
  Vector& out = fresh(in.out);
  const Selection rows = constant ? Selection{nullptr, 1} : selection;
  for (std::uint32_t i = 0; i < rows.count; ++i) {
    const auto row = rows[i];
    Datum value;
    bool null = false;
    body(row, value, &null);
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, value, out.width);
  }
  if (constant) out.form = Form::kConst;
}

// ---- calls
// ------------------------------------------------------------------------------------------------------

EvalContext Machine::context_of(const Instruction& in) {
  EvalContext c;
  c.arena = &local_.arena;
  c.statement = run_.statement;
  c.cancel = run_.cancel;
  c.result_type = in.type;
  c.argument_types = in.argument_types;
  c.function = in.function.declaration;
  for (const TypeRef& t : in.argument_types)
    if (t.collation != 0) {
      c.input_collation = t.collation;
      break;
    }
  return c;
}

namespace {

using Words = std::array<std::uint64_t, kValidityWords>;

/// ANDs the validity of all arguments into `words`; false: some argument is null everywhere.
bool combine_validity(std::span<const Vector> args, std::uint32_t rows, Words& words, bool* any_null) {
  const std::uint32_t n = (rows + 63) / 64;
  words.fill(~0ull);
  for (const Vector& a : args) {
    if (a.validity == nullptr) continue;
    if (a.form == Form::kConst) {
      if (!a.is_valid(0)) return false;
      continue;
    }
    for (std::uint32_t w = 0; w < n; ++w) words[w] &= a.validity[w];
  }
  *any_null = false;
  for (std::uint32_t w = 0; w < n; ++w) {
    const std::uint64_t wanted = w + 1 < n || rows % 64 == 0 ? ~0ull : (1ull << (rows % 64)) - 1;
    if ((words[w] & wanted) != wanted) *any_null = true;
  }
  return true;
}

}  // namespace

void Machine::call(const Instruction& in, const Selection& selection) {
  SmallVector<Vector, 4> args;
  for (const Register r : in.args) args.push_back(local_.registers[r]);
  const bool constant = all_constant(in);
  Vector& out = fresh(in.out);
  call_kernels(in, args, constant ? Selection{nullptr, 1} : selection, constant ? 1 : rows_, out);
  if (constant) out.form = Form::kConst;
}

void Machine::call_kernels(const Instruction& in, std::span<const Vector> args, const Selection& selection,
                           std::uint32_t rows, Vector& out) {
  const auto& kernels = *in.function.kernels;
  const auto* declaration = in.function.declaration;
  const bool strict = declaration->is(functions::kStrict);
  Words words;
  bool any_null = false;
  if (strict && !combine_validity(args, rows, words, &any_null)) {
    std::uint64_t* bits = validity(in.out);
    std::fill_n(bits, kValidityWords, 0);
    out.validity = bits;
    return;
  }
  Selection run = selection;
  if (any_null && (kernels.vector == nullptr || declaration->is(functions::kCanError))) {
    std::uint16_t* kept = new_rows(selection.count);
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < selection.count; ++i) {
      const auto row = selection[i];
      kept[n] = static_cast<std::uint16_t>(row);
      n += (words[row >> 6] >> (row & 63)) & 1;
    }
    run = {kept, n};
  }
  if (run.count != 0) {
    if (kernels.vector != nullptr) {
      EvalContext context = context_of(in);
      kernels.vector(context, args.data(), static_cast<std::uint32_t>(args.size()), run, rows, out,
                     local_.buffers[in.out].fresh_validity());
    } else {
      call_scalar(in, args, run, out);
    }
  }
  if (!any_null) return;
  if (out.validity == nullptr) {
    out.validity = validity(in.out);
    std::copy(words.begin(), words.end(), out.validity);
  } else {
    for (std::uint32_t w = 0; w < kValidityWords; ++w) out.validity[w] &= words[w];
  }
}

void Machine::call_scalar(const Instruction& in, std::span<const Vector> args, const Selection& selection,
                          Vector& out) {
  EvalContext context = context_of(in);
  const auto scalar = in.function.kernels->scalar;
  if (scalar == nullptr)
    throw not_supported("set-returning function {} in this place", in.function.declaration->name);
  const std::size_t n = args.size();
  local_.datums.resize(n + 1);
  SmallVector<char, 8> nulls(n + 1, 0);
  SmallVector<Datum, 8> values(n + 1);
  const bool strict = in.function.declaration->is(functions::kStrict);
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    for (std::size_t a = 0; a < n; ++a) {
      nulls[a] = !strict && !args[a].is_valid(row);
      if (nulls[a] == 0) values[a] = args[a].datum(row);
    }
    Datum result;
    bool null = false;
    scalar(context, values.data(), reinterpret_cast<const bool*>(nulls.data()), result, &null);
    if (null) set_null(out, in.out, row);
    else types::store_datum(static_cast<char*>(out.data) + std::size_t{row} * out.width, result, out.width);
    if (run_.cancel != nullptr && (i & 63) == 63) run_.cancel->check();
  }
}

// ---- lazy constructs
// --------------------------------------------------------------------------------------------

void Machine::junction(const Instruction& in, const Selection& selection) {
  // AND is decided by a false, OR by a true; rows not decided go on.
  const bool decisive = in.op == Op::kOr;
  Vector& out = fresh(in.out);
  bool* result = out.values<bool>();
  for (std::uint32_t i = 0; i < selection.count; ++i) result[selection[i]] = !decisive;
  Selection open = selection;
  for (const auto& block : in.blocks) {
    if (open.count == 0) break;
    run(*block, open);
    const Vector& v = local_.registers[block->result];
    Vector& to = local_.registers[in.out];
    std::uint16_t* rest = new_rows(open.count);
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < open.count; ++i) {
      const auto row = open[i];
      const bool valid = v.is_valid(row);
      if (valid && v.values<bool>()[v.slot(row)] == decisive) {
        result[row] = decisive;
        if (to.validity != nullptr) to.validity[row >> 6] |= 1ull << (row & 63);
        continue;
      }
      if (!valid) set_null(to, in.out, row);
      rest[n++] = static_cast<std::uint16_t>(row);
    }
    open = {rest, n};
  }
}

void Machine::case_when(const Instruction& in, const Selection& selection) {
  fresh(in.out);
  Selection open = selection;
  const std::size_t branches = (in.blocks.size() - 1) / 2;
  for (std::size_t b = 0; b <= branches && open.count != 0; ++b) {
    Selection chosen = open, rest{nullptr, 0};
    if (b < branches) {
      const Block& when = *in.blocks[2 * b];
      run(when, open);
      const Vector& truth = local_.registers[when.result];
      std::uint16_t* yes = new_rows(open.count);
      std::uint16_t* no = new_rows(open.count);
      std::uint32_t y = 0, n = 0;
      for (std::uint32_t i = 0; i < open.count; ++i) {
        const auto row = open[i];
        if (truth.is_valid(row) && truth.values<bool>()[truth.slot(row)])
          yes[y++] = static_cast<std::uint16_t>(row);
        else no[n++] = static_cast<std::uint16_t>(row);
      }
      if (y != open.count) chosen = {yes, y};
      rest = {no, n};
    }
    const Block& then = *in.blocks[b < branches ? 2 * b + 1 : 2 * b];
    if (chosen.count != 0) {
      run(then, chosen);
      if (chosen.count == selection.count) alias(in.out, then.result);
      else copy_rows(in.out, then.result, chosen);
    }
    open = rest;
  }
}

void Machine::coalesce(const Instruction& in, const Selection& selection) {
  fresh(in.out);
  Selection open = selection;
  for (const auto& block : in.blocks) {
    if (open.count == 0) return;
    run(*block, open);
    const Vector& v = local_.registers[block->result];
    std::uint16_t* have = new_rows(open.count);
    std::uint16_t* rest = new_rows(open.count);
    std::uint32_t h = 0, n = 0;
    for (std::uint32_t i = 0; i < open.count; ++i) {
      const auto row = open[i];
      if (v.is_valid(row)) have[h++] = static_cast<std::uint16_t>(row);
      else rest[n++] = static_cast<std::uint16_t>(row);
    }
    if (h == selection.count) {
      alias(in.out, block->result);
      return;
    }
    copy_rows(in.out, block->result, {have, h});
    open = {rest, n};
  }
  Vector& out = local_.registers[in.out];
  for (std::uint32_t i = 0; i < open.count; ++i) set_null(out, in.out, open[i]);
}

// ---- equality
// ---------------------------------------------------------------------------------------------------

Selection Machine::equal_rows(const Instruction& in, Register left, Register right,
                              const Selection& selection, Vector* truth) {
  const Vector a = local_.registers[left], b = local_.registers[right];
  Selection both = selection;
  if (a.validity != nullptr || b.validity != nullptr) {
    std::uint16_t* kept = new_rows(selection.count);
    std::uint32_t n = 0;
    for (std::uint32_t i = 0; i < selection.count; ++i) {
      const auto row = selection[i];
      if (a.is_valid(row) && b.is_valid(row)) kept[n++] = static_cast<std::uint16_t>(row);
    }
    both = {kept, n};
  }
  *truth = Vector{};
  truth->phys = Phys::kBool;
  truth->width = 1;
  truth->data = local_.arena.allocate(types::kVectorSize, 64);
  if (both.count == 0) return both;
  bool* result = truth->values<bool>();
  const auto* kernels = in.function.kernels;
  if (kernels == nullptr || (kernels->vector == nullptr && kernels->scalar == nullptr)) {
    for (std::uint32_t i = 0; i < both.count; ++i)
      result[both[i]] = types::equal(a.datum(both[i]), b.datum(both[i]), in.argument_types[0]);
    return both;
  }
  EvalContext context = context_of(in);
  if (kernels->vector != nullptr) {
    const Vector args[2] = {a, b};
    auto* bits = static_cast<std::uint64_t*>(local_.arena.allocate(kValidityWords * 8, 8));
    std::fill_n(bits, kValidityWords, ~0ull);
    kernels->vector(context, args, 2, both, rows_, *truth, bits);
    return both;
  }
  for (std::uint32_t i = 0; i < both.count; ++i) {
    const Datum pair[2] = {a.datum(both[i]), b.datum(both[i])};
    const bool nulls[2] = {false, false};
    Datum value;
    bool null = false;
    kernels->scalar(context, pair, nulls, value, &null);
    result[both[i]] = !null && value.boolean;
  }
  return both;
}

void Machine::null_if(const Instruction& in, const Selection& selection) {
  Vector truth;
  const Selection both = equal_rows(in, in.args[0], in.args[1], selection, &truth);
  fresh(in.out);
  copy_rows(in.out, in.args[0], selection);
  for (std::uint32_t i = 0; i < both.count; ++i) {
    if (truth.values<bool>()[both[i]]) set_null(local_.registers[in.out], in.out, both[i]);
  }
}

void Machine::is_distinct(const Instruction& in, const Selection& selection) {
  Vector truth;
  const Selection both = equal_rows(in, in.args[0], in.args[1], selection, &truth);
  const Vector a = local_.registers[in.args[0]], b = local_.registers[in.args[1]];
  bool* result = fresh(in.out).values<bool>();
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    const auto row = selection[i];
    result[row] = (a.is_valid(row) != b.is_valid(row)) != in.negated;
  }
  for (std::uint32_t i = 0; i < both.count; ++i)
    result[both[i]] = truth.values<bool>()[both[i]] == in.negated;
}

void Machine::is_null(const Instruction& in, const Selection& selection, bool when) {
  const Vector a = local_.registers[in.args[0]];
  Vector& out = fresh(in.out);
  bool* result = out.values<bool>();
  if (a.form == Form::kConst || a.validity == nullptr) {
    result[0] = a.is_valid(0) != when;
    out.form = Form::kConst;
    return;
  }
  for (std::uint32_t i = 0; i < selection.count; ++i) result[selection[i]] = a.is_valid(selection[i]) != when;
}

void Machine::in_list(const Instruction& in, const Selection& selection) {
  Vector& out = fresh(in.out);
  bool* result = out.values<bool>();
  const Vector left = local_.registers[in.args[0]];
  for (std::uint32_t i = 0; i < selection.count; ++i) {
    result[selection[i]] = in.negated;
    if (!left.is_valid(selection[i])) set_null(out, in.out, selection[i]);
  }
  Selection open = selection;
  for (std::size_t item = 1; item < in.args.size() && open.count != 0; ++item) {
    Vector truth;
    const Selection both = equal_rows(in, in.args[0], in.args[item], open, &truth);
    const Vector& v = local_.registers[in.args[item]];
    std::uint16_t* rest = new_rows(open.count);
    std::uint32_t n = 0, at = 0;
    for (std::uint32_t i = 0; i < open.count; ++i) {
      const auto row = open[i];
      const bool compared = at < both.count && both[at] == row;
      at += compared ? 1 : 0;
      if (compared && truth.values<bool>()[row]) {
        result[row] = !in.negated;
        if (out.validity != nullptr) out.validity[row >> 6] |= 1ull << (row & 63);
        continue;
      }
      if (!v.is_valid(row)) set_null(out, in.out, row);
      rest[n++] = static_cast<std::uint16_t>(row);
    }
    open = {rest, n};
  }
}

void Machine::in_set(const Instruction& in, const Selection& selection) {
  const Vector left = local_.registers[in.args[0]];
  const ConstantSet& set = *in.set;
  boxed(in, selection, [&](std::uint32_t row, Datum& out, bool* null) {
    if (!left.is_valid(row)) {
      *null = true;
      return;
    }
    const bool found = set.values.contains(left.datum(row));
    *null = !found && set.has_null;
    out.boolean = found != in.negated;
  });
}

void Machine::extreme(const Instruction& in, const Selection& selection) {
  boxed(in, selection, [&](std::uint32_t row, Datum& out, bool* null) {
    *null = true;
    for (const Register r : in.args) {
      const Vector& v = local_.registers[r];
      if (!v.is_valid(row)) continue;
      const Datum d = v.datum(row);
      if (*null) {
        out = d;
        *null = false;
        continue;
      }
      const int c = types::compare(d, out, in.type);
      if (in.greatest ? c > 0 : c < 0) out = d;
    }
  });
}

}  // namespace rustbd::expression
