// In which order the tables of a block of inner joins are joined. Knows no plan nodes: sizes and edges in, a
// tree out.
#pragma once

#include <cstdint>
#include <vector>

namespace rustbd::optimizer {

using TableMask = std::uint64_t;  // bit i: table i of the block

struct JoinTable {
  double rows = 1, cost = 0, width = 8;  // as a scan of its own
  /// Ways to look rows up by columns of other tables.
  struct Lookup {
    TableMask needs = 0;
    double rows = 1, cost = 0;
    std::uint32_t id = 0;
  };
  std::vector<Lookup> lookups;
};
/// A condition over two or more tables.
struct JoinEdge {
  TableMask tables = 0;
  TableMask left = 0, right = 0;  // sides of an equality; 0: no equality
  double selectivity = 1;
  std::uint32_t group = UINT32_MAX;  // equalities that follow from one another count once
};
struct JoinTree {
  TableMask tables = 0;
  int left = -1, right = -1;  // positions in the vector; leaves: -1
  int table = -1;             // of a leaf
  bool uses_lookup = false;   // right is one table, read through lookups[lookup]
  std::uint32_t lookup = 0;
  double rows = 1, cost = 0;
};

/// Exact over connected subsets (Moerkotte and Neumann, VLDB 2006, by enumeration of subsets) up to
/// kExactTables, greedy by smallest result above (Fegaras, DEXA 1998). The last entry is the root.
/// `considered` counts pairs.
std::vector<JoinTree> order_joins(const std::vector<JoinTable>& tables, std::vector<JoinEdge> edges,
                                  bool hash_joins, std::uint64_t* considered);

}  // namespace rustbd::optimizer
