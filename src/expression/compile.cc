// Expression trees to programs: registers for shared subexpressions, blocks for what must run lazily.
#include <algorithm>

#include "rustbd/base/error.h"
#include "rustbd/base/hash.h"
#include "rustbd/base/statement_assert.h"
#include "rustbd/expression/program.h"
#include "rustbd/types/compare.h"

namespace rustbd::expression {

std::size_t DatumHash::operator()(const Datum& d) const { return types::hash(d, type); }
bool DatumEqual::operator()(const Datum& a, const Datum& b) const { return types::equal(a, b, type); }

namespace {

std::uint64_t shape_of(const Expression& e) {
  std::uint64_t h = hash_u64((static_cast<std::uint64_t>(e.kind) << 32) | e.type.oid);
  h = hash_combine(h, (static_cast<std::uint64_t>(e.column) << 32) | e.index);
  if (e.function.declaration != nullptr) h = hash_combine(h, e.function.declaration->oid);
  if (e.kind == Kind::kConstant && !e.is_null) h = hash_combine(h, e.value.u32);
  for (const auto& a : e.args) h = hash_combine(h, shape_of(*a));
  return h;
}

constexpr std::size_t kSetThreshold = 16;

class Compiler {
 public:
  Compiler(Program::Impl& program, const ColumnMap& layout) : program_(program), layout_(layout) {
    scopes_.emplace_back();
  }

  Register compile(const Expression& e, Block& block) {
    const std::uint64_t shape = shape_of(e);
    const bool shareable = !is_volatile(e);
    if (shareable) {
      for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
        for (const Known& k : *scope)
          if (k.shape == shape && same(*k.expression, e)) return k.at;
      }
    }
    const std::size_t scope =
        e.kind == Kind::kConstant || e.kind == Kind::kColumn || e.kind == Kind::kParameter
            ? 0
            : scopes_.size() - 1;
    const Register at = compile_new(e, block);
    if (shareable) scopes_[scope].push_back({shape, &e, at});
    return at;
  }
  std::unique_ptr<Block> compile_block(const Expression& e) {
    auto block = std::make_unique<Block>();
    scopes_.emplace_back();
    block->result = compile(e, *block);
    scopes_.pop_back();
    return block;
  }

 private:
  struct Known {
    std::uint64_t shape;
    const Expression* expression;
    Register at;
  };
  Register new_register(const TypeRef& type) {
    program_.registers.push_back(type);
    return static_cast<Register>(program_.registers.size() - 1);
  }
  Register constant(const Expression& e) {
    const Register at = new_register(e.type);
    const Datum value = e.is_null ? Datum{} : types::copy_datum(e.value, e.type.phys, program_.arena);
    program_.constants.push_back({at, value, e.is_null, e.type.phys});
    return at;
  }
  Register column(const Expression& e) {
    RUSTBD_STATEMENT_ASSERT(e.outer_levels == 0, "a correlated column reached the evaluator");
    const auto it = std::ranges::find(layout_, e.column, [](const auto& entry) { return entry.first; });
    RUSTBD_STATEMENT_ASSERT(it != layout_.end(), "a column that the chunk does not have");
    const Register at = new_register(e.type);
    program_.columns.push_back({at, it->second});
    return at;
  }
  Register parameter(const Expression& e) {
    const Register at = new_register(e.type);
    program_.parameters.push_back({at, e.index, e.type});
    return at;
  }
  Instruction start(Op op, const Expression& e) {
    Instruction in;
    in.op = op;
    in.type = e.type;
    in.function = e.function;
    in.index = e.index;
    in.test = e.test;
    in.all = e.all;
    in.negated = e.negated;
    in.greatest = e.kind == Kind::kGreatest;
    in.is_volatile = e.function.declaration != nullptr && e.function.declaration->is(functions::kVolatile);
    for (const auto& a : e.args) in.argument_types.push_back(a->type);
    return in;
  }
  Register finish(Instruction in, Block& block) {
    in.out = new_register(in.type);
    block.code.push_back(std::move(in));
    return block.code.back().out;
  }
  /// All arguments first, in the same block.
  Register eager(Op op, const Expression& e, Block& block) {
    Instruction in = start(op, e);
    for (const auto& a : e.args) in.args.push_back(compile(*a, block));
    return finish(std::move(in), block);
  }
  /// Each argument in a block of its own.
  Register lazy(Op op, const Expression& e, Block& block) {
    Instruction in = start(op, e);
    for (const auto& a : e.args) in.blocks.push_back(compile_block(*a));
    return finish(std::move(in), block);
  }
  /// ROW(...) IS [NOT] NULL: all fields are [not] null.
  Register row_test(const Expression& e, Block& block) {
    std::vector<ExpressionPtr> tests;
    for (const auto& field : e.args[0]->args) {
      auto test = std::make_unique<Expression>();
      test->kind = e.kind;
      test->type = e.type;
      test->args.push_back(field->clone());
      tests.push_back(std::move(test));
    }
    owned_.push_back(make_and(std::move(tests)));
    return compile(*owned_.back(), block);
  }
  Register in_list(const Expression& e, Block& block) {
    const auto& f = e.function;
    const bool constants = std::all_of(e.args.begin() + 1, e.args.end(), [&](const auto& a) {
      return a->kind == Kind::kConstant && a->type.phys == e.args[0]->type.phys &&
             a->type.scale == e.args[0]->type.scale && a->type.oid == e.args[0]->type.oid;
    });
    const bool plain = f.declaration != nullptr && f.declaration->arguments.size() == 2 &&
                       f.declaration->arguments[0] == f.declaration->arguments[1];
    if (!constants || !plain || e.args.size() <= kSetThreshold + 1) return eager(Op::kInList, e, block);
    Instruction in = start(Op::kInSet, e);
    auto set = std::make_shared<ConstantSet>(e.args[0]->type, e.args.size() * 2);
    for (std::size_t i = 1; i < e.args.size(); ++i) {
      if (e.args[i]->is_null) set->has_null = true;
      else set->values.insert(types::copy_datum(e.args[i]->value, e.args[i]->type.phys, program_.arena));
    }
    in.set = std::move(set);
    in.args.push_back(compile(*e.args[0], block));
    in.argument_types.resize(1);
    return finish(std::move(in), block);
  }
  Register field(const Expression& e, Block& block) {
    if (e.args[0]->kind == Kind::kRow && e.index < e.args[0]->args.size())
      return compile(*e.args[0]->args[e.index], block);
    throw not_supported("selecting a field of a composite value");
  }

  Register compile_new(const Expression& e, Block& block) {
    switch (e.kind) {
      case Kind::kConstant: return constant(e);
      case Kind::kColumn: return column(e);
      case Kind::kParameter: return parameter(e);
      case Kind::kCall: return eager(Op::kCall, e, block);
      case Kind::kPhysicalCast: return eager(Op::kPhysicalCast, e, block);
      case Kind::kTypedInput: return eager(Op::kTypedInput, e, block);
      case Kind::kCoerceLength: return eager(Op::kCoerceLength, e, block);
      case Kind::kNot: return eager(Op::kNot, e, block);
      case Kind::kIsNull:
      case Kind::kIsNotNull:
        if (e.args[0]->kind == Kind::kRow) return row_test(e, block);
        return eager(e.kind == Kind::kIsNull ? Op::kIsNull : Op::kIsNotNull, e, block);
      case Kind::kBooleanTest: return eager(Op::kBooleanTest, e, block);
      case Kind::kIsDistinct:
      case Kind::kIsNotDistinct: {
        Instruction in = start(Op::kIsDistinct, e);
        in.negated = e.kind == Kind::kIsNotDistinct;
        for (const auto& a : e.args) in.args.push_back(compile(*a, block));
        return finish(std::move(in), block);
      }
      case Kind::kAnd: return lazy(Op::kAnd, e, block);
      case Kind::kOr: return lazy(Op::kOr, e, block);
      case Kind::kCase: return lazy(Op::kCase, e, block);
      case Kind::kCoalesce: return lazy(Op::kCoalesce, e, block);
      case Kind::kNullIf: return eager(Op::kNullIf, e, block);
      case Kind::kGreatest:
      case Kind::kLeast: return eager(Op::kExtreme, e, block);
      case Kind::kArray: return eager(Op::kArray, e, block);
      case Kind::kRow: return eager(Op::kRow, e, block);
      case Kind::kFieldSelect: return field(e, block);
      case Kind::kSubscript: return eager(Op::kSubscript, e, block);
      case Kind::kScalarArray: return eager(Op::kScalarArray, e, block);
      case Kind::kInList: return in_list(e, block);
      case Kind::kAggregate:
      case Kind::kWindow:
      case Kind::kSubquery: break;
    }
    RUSTBD_STATEMENT_UNREACHABLE(
        "aggregates, window functions and subqueries are replaced before evaluation");
  }

  Program::Impl& program_;
  const ColumnMap& layout_;
  std::vector<std::vector<Known>> scopes_;
  std::vector<ExpressionPtr> owned_;
};

void conjuncts_of(const Expression& e, std::vector<const Expression*>& out) {
  if (e.kind != Kind::kAnd) {
    out.push_back(&e);
    return;
  }
  for (const auto& a : e.args) conjuncts_of(*a, out);
}

}  // namespace

Program::Program() : impl_(std::make_unique<Impl>()) {}
Program::~Program() = default;

std::unique_ptr<Program> Program::compile(std::span<const Expression* const> expressions,
                                          const ColumnMap& layout) {
  std::unique_ptr<Program> program{new Program()};
  Impl& impl = *program->impl_;
  const bool one_predicate = expressions.size() == 1 && expressions[0]->type.oid == types::oid::kBool;
  if (one_predicate) {
    // Each conjunct sees fewer rows than the one before, so registers of earlier ones may be used again.
    Compiler compiler{impl, layout};
    std::vector<const Expression*> conjuncts;
    conjuncts_of(*expressions[0], conjuncts);
    for (const Expression* conjunct : conjuncts) {
      auto block = std::make_unique<Block>();
      block->result = compiler.compile(*conjunct, *block);
      impl.conjuncts.push_back(std::move(block));
    }
  }
  Compiler compiler{impl, layout};
  for (const Expression* e : expressions) impl.results.push_back(compiler.compile(*e, impl.main));
  return program;
}

}  // namespace rustbd::expression
