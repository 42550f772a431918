// What ANALYZE leaves for the optimizer. Immutable, shared.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rustbd/types/value.h"

namespace rustbd::catalog {

struct ColumnStatistics {
  double null_fraction = 0;
  double average_width = 8;
  double distinct = 0;  // > 0 a number; < 0 minus a fraction of the rows (as pg_stats.n_distinct); 0 unknown
  std::vector<types::Datum> common_values;  // MCV, most common first
  std::vector<double> common_frequencies;
  std::vector<types::Datum> bounds;  // equi-depth histogram of the others, ascending
  double correlation = 0;
};

struct TableStatistics {
  double rows = 0;  // at ANALYZE
  double pages = 0;
  std::vector<ColumnStatistics> columns;  // index = attnum - 1
  std::shared_ptr<Arena> memory;          // owns what the datums point to
};

}  // namespace rustbd::catalog
