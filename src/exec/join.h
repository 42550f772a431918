// What all joins share: candidate pairs (left row, right row) become output by join type. Subclasses find
// candidates: HashJoin and NestedLoopJoin in a RowTable, IndexJoin through an index, Apply by running a
// subplan.
//
// Three-valued conditions: for kMark a pair counts as TRUE, FALSE or NULL by (key comparison AND condition);
// a condition that must not make the mark NULL has to be wrapped in IS TRUE by who plans.
#pragma once

#include "rustbd/exec/builder.h"
#include "rustbd/exec/row_table.h"

namespace rustbd::exec {

/// Up to chunk_rows pairs: left_index is a position in the left chunk's selection.
struct Candidates {
  std::uint32_t count = 0;
  std::uint32_t left_index[types::kVectorSize];
  Row right[types::kVectorSize];
};

class JoinOperator : public Operator {
 public:
  /// `right` is the layout of the rows that candidates point to.
  JoinOperator(PipelineBuilder& builder, const plan::PlanNode& plan_node, const Layout& left,
               const Layout& right);
  Flow process(TaskContext&, LocalState*, Chunk& in, Chunk& out) override;

 protected:
  struct Local : LocalState {
    bool in_chunk = false, searching = false;
    Candidates candidates;
    std::uint8_t matched[types::kVectorSize];  // by left_index
    std::uint8_t unknown[types::kVectorSize];  // kMark: some pair was NULL
    Predicate::Local condition;
    OutputColumns pairs;  // pair_columns_
    OutputColumns output;
    std::vector<Vector> passed;  // semi, anti, mark: output by reference
    std::vector<std::uint16_t> kept;
    std::vector<std::uint16_t> left_rows;
    std::vector<Row> right_rows;
    std::vector<std::uint32_t> left_of;  // of each kept pair
    Arena arena{512};
  };
  void prepare(Local& local) const;
  /// A new left chunk: start over at its first row.
  virtual void begin_chunk(TaskContext&, Local&, const Chunk& in) = 0;
  /// Fills local.candidates, at most `max` pairs: kHaveOutput (also with none yet), kFinished (none),
  /// kBlocked.
  virtual Flow find(TaskContext&, Local&, const Chunk& in, std::uint32_t max) = 0;
  /// kMark: left rows without a TRUE pair: did a key comparison give NULL? Sets local.unknown.
  virtual void find_unknown(TaskContext&, Local&, const Chunk&) {}
  /// Right and full joins remember which right rows found a partner.
  virtual void mark_right(Row) {}
  [[nodiscard]] bool keeps_first_only() const {
    return condition_.empty() && (join_ == plan::JoinType::kSemi || join_ == plan::JoinType::kAnti ||
                                  join_ == plan::JoinType::kMark);
  }
  /// Puts pairs (in.selection[left_index[i]], right[i]) into columns and evaluates the condition.
  void make_pairs(Local& local, const Chunk& in, std::uint32_t count, Chunk& pairs) const;
  void unmatched_right(Local& local, std::span<const Row> rows, Chunk& out) const;
  Flow deliver_matches(TaskContext&, Local&, const Chunk& in, Chunk& out);
  void deliver_rest(TaskContext&, Local&, const Chunk& in, Chunk& out);

  RunState& run_;
  const plan::PlanNode& plan_;
  const plan::JoinType join_;
  const Layout left_, right_;
  const RowLayout right_rows_;
  Layout pair_layout_;
  Predicate condition_;
  struct From {
    bool left;
    std::uint32_t position;
    bool is_mark;
  };
  std::vector<From> pair_from_, output_from_;
  std::vector<std::uint32_t> output_in_pairs_;
  bool emits_pairs_;
};

}  // namespace rustbd::exec
