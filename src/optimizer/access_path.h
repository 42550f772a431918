// Ways to read one table: which conditions an index answers.
#pragma once

#include "rustbd/optimizer/planner.h"

namespace rustbd::optimizer {

/// A way to read a table through an index; `used` are positions in the conditions given.
struct IndexPath {
  std::shared_ptr<const catalog::Index> index;
  plan::IndexRange range;
  std::vector<std::size_t> used;
  std::size_t equal_parts = 0;
  bool unique_row = false;  // at most one row
};

/// Every index of `relation` that some of the conditions narrow. `outer`: columns whose values are there
/// before the scan (an index join's left side); parameters and constants always are.
std::vector<IndexPath> index_paths(const Planner& planner, const LogicalNode& get,
                                   const Conjuncts& conditions, const ColumnSet& outer);

}  // namespace rustbd::optimizer
