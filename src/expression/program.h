// The compiled form of expressions: a linear program over vector registers. Internal to this folder.
#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "rustbd/expression/evaluator.h"

namespace rustbd::expression {

using types::Phys;
using Register = std::uint32_t;

enum class Op : std::uint8_t {
  kCall,
  kPhysicalCast,
  kTypedInput,
  kCoerceLength,
  kNot,
  kIsNull,
  kIsNotNull,
  kBooleanTest,
  kIsDistinct,
  kAnd,
  kOr,
  kCase,
  kCoalesce,
  kNullIf,
  kExtreme,
  kArray,
  kRow,
  kFieldSelect,
  kSubscript,
  kScalarArray,
  kInList,
  kInSet,
};

struct Block;
struct ConstantSet;

/// One step. Arguments and blocks as `op` needs them; everything else is copied from the expression, which
/// may die.
struct Instruction {
  Op op{};
  Register out = 0;
  std::vector<Register> args;
  std::vector<std::unique_ptr<Block>> blocks;  // run under narrowed selections
  TypeRef type{};                              // of the result
  std::vector<TypeRef> argument_types;
  functions::ResolvedFunction function{};
  std::uint32_t index = 0;
  BooleanTest test{};
  bool all = false, negated = false, greatest = false;
  bool is_volatile = false;
  std::shared_ptr<const ConstantSet> set;  // kInSet
};
struct Block {
  std::vector<Instruction> code;
  Register result = 0;
};

struct DatumHash {
  TypeRef type;
  std::size_t operator()(const Datum& d) const;
};
struct DatumEqual {
  TypeRef type;
  bool operator()(const Datum& a, const Datum& b) const;
};
/// x IN (constants), more than 16 of them.
struct ConstantSet {
  ConstantSet(const TypeRef& type, std::size_t n) : values(n, DatumHash{type}, DatumEqual{type}) {}
  std::unordered_set<Datum, DatumHash, DatumEqual> values;
  bool has_null = false;
};

struct ConstantRegister {
  Register at;
  Datum value;
  bool is_null;
  Phys phys;
};
struct ColumnRegister {
  Register at;
  std::uint32_t position;
};
struct ParameterRegister {
  Register at;
  std::uint32_t index;
  TypeRef type;
};

struct Program::Impl {
  std::vector<TypeRef> registers;           // type of each
  std::vector<ConstantRegister> constants;  // strings in `arena`
  std::vector<ColumnRegister> columns;
  std::vector<ParameterRegister> parameters;
  Block main;
  std::vector<Register> results;
  std::vector<std::unique_ptr<Block>> conjuncts;  // of the one boolean expression, for filter()
  Arena arena;
};

class Program::Local {
 public:
  explicit Local(const Program::Impl& program);
  std::vector<types::Vector> registers;
  std::vector<types::VectorBuffer> buffers;
  Arena arena;      // of one evaluate()
  Arena constants;  // as long as this
  const RunContext* run = nullptr;
  const Program::Impl* program = nullptr;
  std::vector<Datum> datums;
  std::vector<char> nulls;
};

/// Runs blocks for one chunk.
class Machine {
 public:
  Machine(Program::Local& local, const RunContext& run, std::uint32_t rows);
  void run(const Block& block, const types::Selection& selection);

 private:
  using Vector = types::Vector;
  using Selection = types::Selection;
  void step(const Instruction& in, const Selection& selection);
  /// A flat vector over the register's memory.
  Vector& fresh(Register at);
  std::uint64_t* validity(Register at);
  void set_null(Vector& v, Register at, std::uint32_t row);
  void alias(Register out, Register from);
  std::uint16_t* new_rows(std::uint32_t count) {
    return static_cast<std::uint16_t*>(local_.arena.allocate(count * 2 + 2, 8));
  }
  bool all_constant(const Instruction& in) const;
  void copy_rows(Register out, Register from, const Selection& selection);

  void call(const Instruction& in, const Selection& selection);
  void call_kernels(const Instruction& in, std::span<const Vector> args, const Selection& selection,
                    std::uint32_t rows, Vector& out);
  void call_scalar(const Instruction& in, std::span<const Vector> args, const Selection& selection,
                   Vector& out);
  functions::EvalContext context_of(const Instruction& in);
  void junction(const Instruction& in, const Selection& selection);
  void case_when(const Instruction& in, const Selection& selection);
  void coalesce(const Instruction& in, const Selection& selection);
  void in_list(const Instruction& in, const Selection& selection);
  void null_if(const Instruction& in, const Selection& selection);
  void is_distinct(const Instruction& in, const Selection& selection);
  void is_null(const Instruction& in, const Selection& selection, bool when);
  /// Rows where both arguments are not null, and the truth of the instruction's function there.
  Selection equal_rows(const Instruction& in, Register left, Register right, const Selection& selection,
                       Vector* truth);
  /// Calls body(row, out, &is_null) for each row, once when all arguments are constant.
  template <class Body>
  void boxed(const Instruction& in, const Selection& selection, Body&& body);
  void physical_cast(const Instruction& in, const Selection& selection);
  void typed_input(const Instruction& in, const Selection& selection);
  void coerce_length(const Instruction& in, const Selection& selection);
  void extreme(const Instruction& in, const Selection& selection);
  void array(const Instruction& in, const Selection& selection);
  void subscript(const Instruction& in, const Selection& selection);
  void scalar_array(const Instruction& in, const Selection& selection);
  void in_set(const Instruction& in, const Selection& selection);

  Program::Local& local_;
  const RunContext& run_;
  std::uint32_t rows_;
};

}  // namespace rustbd::expression
