// What an index with expressions or a predicate holds of a row.
#pragma once

#include <memory>
#include <vector>

#include "rustbd/engine/session_parts.h"
#include "rustbd/expression/evaluator.h"

namespace rustbd::engine {

/// Keys and membership of a relation's indexes that have expressions or predicates.
class IndexKeyComputer {
 public:
  IndexKeyComputer(Session::Parts& parts, const catalog::Relation& relation);
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  /// Values for the row of `chunk` (all columns of the relation in attribute order) that stands at position
  /// `row`.
  struct Result {
    IndexId index;
    bool member = true;
    std::vector<types::Vector> parts;
  };
  void compute(const types::Chunk& chunk, std::vector<Result>& out);
  /// For one index, as index builds want it: fills part vectors and member bytes for all rows of the chunk.
  void compute_for(IndexId index, const types::Chunk& chunk, std::vector<types::Vector>* parts,
                   std::uint8_t* member);

 private:
  struct Entry {
    IndexId index;
    std::unique_ptr<expression::Program> program;
    expression::Program::LocalPtr local;
    bool has_predicate = false;
    std::size_t part_count = 0;
    std::vector<types::Vector> values;
  };
  Session::Parts& parts_;
  std::shared_ptr<Arena> memory_ = std::make_shared<Arena>();
  expression::RunContext run_{};
  std::vector<Entry> entries_;
};

}  // namespace rustbd::engine
