// Runs bound expressions over chunks. One compiled program is immutable and shared; what a worker changes is
// in Local.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rustbd/expression/expression.h"

namespace rustbd::expression {

/// Where columns are: column id -> position in the chunk.
using ColumnMap = std::vector<std::pair<ColumnId, std::uint32_t>>;

/// What a run gets from its statement.
struct RunContext {
  functions::StatementContext* statement = nullptr;
  const functions::CancelFlag* cancel = nullptr;
  std::span<const types::Value> parameters{};
  Arena* query_arena = nullptr;
};

/// A list of expressions compiled against a chunk layout: common subexpressions once, CASE/COALESCE/AND/OR
/// branches under narrowed selections (lazy, as SQL promises for CASE and COALESCE).
class Program {
 public:
  class Local;  // registers and scratch; one per worker
  struct LocalDeleter {
    void operator()(Local* local) const;
  };
  using LocalPtr = std::unique_ptr<Local, LocalDeleter>;

  /// `layout` says where each column stands in the chunks to come. The expressions may die afterwards.
  static std::unique_ptr<Program> compile(std::span<const Expression* const> expressions,
                                          const ColumnMap& layout);
  ~Program();
  [[nodiscard]] LocalPtr make_local() const;
  /// Between two executions: forgets the values of the last one; false: the Local keeps more than a little
  /// memory and is better made anew.
  static bool renew(Local& local);
  /// out[i] gets expression i, valid for the selected rows of `in` until the next call with this Local.
  /// Throws Error.
  void evaluate(Local& local, const RunContext& run, const types::Chunk& in,
                std::span<types::Vector> out) const;
  /// For one boolean expression: the rows for which it is true. The result lives in `local`.
  types::Selection filter(Local& local, const RunContext& run, const types::Chunk& in) const;

  struct Impl;  // program.h, internal

 private:
  Program();
  std::unique_ptr<Impl> impl_;
};

/// Evaluates an expression without columns (constants, parameters, functions). Strings go to `arena`.
types::Value evaluate_constant(const Expression& e, const RunContext& run, Arena& arena);

}  // namespace rustbd::expression
