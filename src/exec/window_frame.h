// The frame of each row of a window partition.
#pragma once

#include <memory>
#include <optional>

#include "rustbd/exec/sorted_rows.h"

namespace rustbd::exec {

/// Offsets of a frame, evaluated once: NULL and negative ones are refused as PostgreSQL does.
struct FrameOffsets {
  std::optional<Value> start, end;
};
FrameOffsets evaluate_offsets(const plan::PlanNode& node, TaskContext& context, Arena& arena);

/// One partition in order: rows 0..size-1, their peer groups and frames.
class Partition {
 public:
  Partition(const plan::PlanNode& node, const FrameOffsets& offsets, const SortedRows& rows,
            std::size_t first, std::size_t size, int order_column);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Row row(std::size_t i) const { return rows_.entries()[first_ + i].row; }
  [[nodiscard]] std::size_t peers_begin(std::size_t i) const { return groups_[group_of_[i]]; }
  [[nodiscard]] std::size_t peers_end(std::size_t i) const { return groups_[group_of_[i] + 1]; }
  [[nodiscard]] std::size_t group(std::size_t i) const { return group_of_[i]; }
  struct Frame {
    std::size_t begin, end;
  };  // half open; may be empty
  Frame frame(TaskContext& context, std::size_t i);
  /// Calls use(begin, end) for each stretch of the frame that EXCLUDE leaves.
  template <class Use>
  void for_each_part(const Frame& frame, std::size_t i, Use&& use) const;
  [[nodiscard]] bool excludes() const {
    return node_.frame.exclude != plan::LogicalNode::Frame::Exclude::kNone;
  }

 private:
  using Bound = plan::LogicalNode::Frame::Bound;
  std::size_t bound_begin(TaskContext& context, std::size_t i);
  std::size_t bound_end(TaskContext& context, std::size_t i);
  std::size_t range_bound(TaskContext& context, std::size_t i, const Value& offset, bool preceding,
                          bool is_end);
  Value shifted(TaskContext& context, std::size_t i, const Value& offset, bool subtract, bool* past_low,
                bool* past_high);
  int compare_key(std::size_t j, const Value& target);
  const plan::PlanNode& node_;
  const FrameOffsets& offsets_;
  const SortedRows& rows_;
  const std::size_t first_, size_;
  const int order_column_;
  std::vector<std::size_t> group_of_, groups_;
  std::size_t not_null_begin_ = 0, not_null_end_ = 0;
  Arena arena_{512};
};

template <class Use>
void Partition::for_each_part(const Frame& frame, std::size_t i, Use&& use) const {
  using Exclude = plan::LogicalNode::Frame::Exclude;
  const auto part = [&](std::size_t begin, std::size_t end) {
    begin = std::max(begin, frame.begin);
    end = std::min(end, frame.end);
    if (begin < end) use(begin, end);
  };
  switch (node_.frame.exclude) {
    case Exclude::kNone: return part(0, size_);
    case Exclude::kCurrentRow: part(0, i); return part(i + 1, size_);
    case Exclude::kGroup: part(0, peers_begin(i)); return part(peers_end(i), size_);
    case Exclude::kTies:
      part(0, peers_begin(i));
      part(i, i + 1);
      return part(peers_end(i), size_);
  }
}

}  // namespace rustbd::exec
