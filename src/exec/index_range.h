// Bounds of an index scan from the expressions of a plan.
#pragma once

#include <vector>

#include "rustbd/exec/columns.h"

namespace rustbd::exec {

/// The expressions of an IndexRange in one flat list, and how their values become bounds.
class RangeValues {
 public:
  explicit RangeValues(const plan::IndexRange& range);
  [[nodiscard]] const std::vector<const expression::Expression*>& expressions() const { return expressions_; }
  /// values[i] belongs to expressions()[i]. Appends the ranges that can match, in key order of the IN list.
  void make_bounds(const Value* values, const catalog::Index& index, bool backward,
                   std::vector<IndexBounds>& out) const;

 private:
  const plan::IndexRange& range_;
  std::vector<const expression::Expression*> expressions_;  // equal (without nullptr), in_list, lower, upper
};

}  // namespace rustbd::exec
