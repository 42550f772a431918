// Generated columns, NOT NULL and CHECK, for rows that are written without a plan of their own.
#pragma once

#include "rustbd/engine/session_parts.h"
#include "rustbd/expression/evaluator.h"

namespace rustbd::engine {

/// The rules of one relation. Chunks have all its columns in attribute order. Threads: the session's.
class RowRules {
 public:
  RowRules(Session::Parts& parts, std::shared_ptr<const catalog::Relation> relation);
  /// Calls put(position, values) for each generated column; the values are of the chunk's selected rows and
  /// valid until the next call. Throws Error.
  void generate(const types::Chunk& chunk,
                const std::function<void(std::uint32_t position, const types::Vector& values)>& put);
  /// Throws 23502 or 23514 for a selected row that breaks a rule; `failed` (optional) gets its position.
  void check(const types::Chunk& chunk, std::uint32_t* failed = nullptr);

 private:
  struct Rule {
    std::uint32_t position = 0;                  // of a generated column
    const catalog::Constraint* check = nullptr;  // nullptr: a generated column
    std::unique_ptr<expression::Program> program;
    expression::Program::LocalPtr local;
  };
  Rule compile(const std::string& text, const types::TypeRef* target, std::string_view what);
  std::string describe(const types::Chunk& chunk, std::uint32_t row);
  Session::Parts& parts_;
  std::shared_ptr<const catalog::Relation> relation_;
  std::shared_ptr<Arena> constants_ = std::make_shared<Arena>();
  expression::RunContext run_{};
  std::vector<Rule> generated_, checks_;
};

}  // namespace rustbd::engine
