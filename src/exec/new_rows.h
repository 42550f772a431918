// Computes whole new rows of a relation from assignments, with generated columns, CHECKs and index
// expressions.
#pragma once

#include "rustbd/exec/columns.h"

namespace rustbd::exec {

/// Rows computed for one chunk. Vectors are indexed by the chunk's row positions.
class NewRowProgram {
 public:
  /// `in`: what assignments see. `base`: columns that keep their value unless assigned (UPDATE), by
  /// attribute.
  NewRowProgram(RunState& run, const plan::Modify& modify, const std::vector<plan::Assignment>& assignments,
                const Layout& in, std::span<const plan::TargetColumn> base);
  struct Local {
    Evaluator::Local assignments, generated, derived;
    std::vector<Vector> assigned, generated_values, derived_values;
    std::vector<Vector> columns;  // index: attnum - 1
    std::vector<Vector> seen;     // new_columns, as expressions over them see the chunk
    std::vector<Vector> checks, index_keys, index_member;
    Arena arena{512};
    /// See Stage::renew.
    [[nodiscard]] bool renew();
    [[nodiscard]] NewRows rows() const { return {columns, index_keys, index_member}; }
  };
  [[nodiscard]] std::unique_ptr<Local> make_local() const;
  void compute(Local& local, TaskContext& context, const Chunk& in) const;
  /// NOT NULL and CHECK of one row: 23502, 23514.
  void check(const Local& local, TaskContext& context, std::uint32_t row) const;
  /// Attributes that an UPDATE gives new values.
  [[nodiscard]] const std::vector<catalog::AttributeNumber>& changed() const { return changed_; }

 private:
  [[nodiscard]] std::string describe(const Local& local, TaskContext& context, std::uint32_t row) const;
  const plan::Modify& modify_;
  const catalog::Relation& relation_;
  Evaluator assignments_, generated_, derived_;
  std::vector<catalog::AttributeNumber> targets_, changed_;
  std::vector<int> base_;  // by attnum - 1: position in `in`, or -1
  std::size_t key_count_ = 0, member_count_ = 0;
};

}  // namespace rustbd::exec
