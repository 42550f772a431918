#include "rustbd/optimizer/join_order.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "rustbd/optimizer/cost.h"

namespace rustbd::optimizer {

namespace {

constexpr std::size_t kExactTables = 11;
constexpr double kRowOut = 2, kPair = 3;

class JoinOrderer {
 public:
  JoinOrderer(const std::vector<JoinTable>& tables, std::vector<JoinEdge> edges, bool hash_joins)
      : tables_(tables), edges_(std::move(edges)), hash_joins_(hash_joins) {
    connect();
  }

  std::vector<JoinTree> run() {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      JoinTree leaf;
      leaf.tables = TableMask{1} << i;
      leaf.table = static_cast<int>(i);
      leaf.rows = tables_[i].rows;
      leaf.cost = tables_[i].cost;
      add(leaf);
    }
    if (tables_.size() <= kExactTables) exact();
    else greedy();
    std::vector<JoinTree> out;
    emit(best_.at(all()), out);
    return out;
  }
  std::uint64_t considered = 0;

 private:
  [[nodiscard]] TableMask all() const {
    return tables_.size() == 64 ? ~TableMask{0} : (TableMask{1} << tables_.size()) - 1;
  }
  /// Parts without a condition between them get one that is always true, between their smallest tables.
  void connect() {
    std::vector<int> part(tables_.size());
    for (std::size_t i = 0; i < part.size(); ++i) part[i] = static_cast<int>(i);
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto& e : edges_) {
        if (std::popcount(e.tables) > 2) continue;  // joins no two tables by itself
        int lowest = std::numeric_limits<int>::max();
        for (auto m = e.tables; m != 0; m &= m - 1)
          lowest = std::min(lowest, part[static_cast<std::size_t>(std::countr_zero(m))]);
        for (auto m = e.tables; m != 0; m &= m - 1) {
          auto& p = part[static_cast<std::size_t>(std::countr_zero(m))];
          if (p != lowest) p = lowest, changed = true;
        }
      }
    }
    std::vector<std::size_t> smallest;
    for (std::size_t p = 0; p < part.size(); ++p) {
      std::size_t found = SIZE_MAX;
      for (std::size_t i = 0; i < part.size(); ++i)
        if (part[i] == static_cast<int>(p) && (found == SIZE_MAX || tables_[i].rows < tables_[found].rows))
          found = i;
      if (found != SIZE_MAX) smallest.push_back(found);
    }
    for (std::size_t i = 0; i < smallest.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        edges_.push_back({(TableMask{1} << smallest[i]) | (TableMask{1} << smallest[j])});
  }

  [[nodiscard]] bool connected(TableMask a, TableMask b) const {
    for (const auto& e : edges_)
      if ((e.tables & ~(a | b)) == 0 && (e.tables & a) != 0 && (e.tables & b) != 0) return true;
    return false;
  }
  [[nodiscard]] bool has_equality(TableMask a, TableMask b) const {
    for (const auto& e : edges_) {
      if (e.left == 0) continue;
      if (((e.left & ~a) == 0 && (e.right & ~b) == 0) || ((e.left & ~b) == 0 && (e.right & ~a) == 0))
        return true;
    }
    return false;
  }

  /// Rows of a set do not depend on the order. Equalities of one group: all but the least selective link
  /// count.
  double rows_of(TableMask set) {
    if (const auto it = rows_.find(set); it != rows_.end()) return it->second;
    double rows = 1;
    for (auto m = set; m != 0; m &= m - 1)
      rows *= tables_[static_cast<std::size_t>(std::countr_zero(m))].rows;
    std::unordered_map<std::uint32_t, std::vector<std::pair<double, TableMask>>> groups;
    std::unordered_map<TableMask, double> exponents;  // several keys between the same tables
    std::vector<std::pair<double, TableMask>> factors;
    for (const auto& e : edges_) {
      if ((e.tables & ~set) != 0) continue;
      if (e.group == UINT32_MAX) factors.emplace_back(e.selectivity, e.tables);
      else groups[e.group].emplace_back(e.selectivity, e.tables);
    }
    for (auto& [group, links] : groups) {
      // A spanning tree of the tables, most selective links first (Kruskal).
      std::ranges::sort(links);
      std::vector<TableMask> parts;
      for (const auto& [selectivity, mask] : links) {
        TableMask joined = mask;
        bool inside = false;
        for (const auto p : parts) inside = inside || (mask & ~p) == 0;
        if (inside) continue;
        std::erase_if(parts, [&](TableMask p) {
          if ((p & mask) == 0) return false;
          joined |= p;
          return true;
        });
        parts.push_back(joined);
        factors.emplace_back(selectivity, mask);
      }
    }
    std::ranges::sort(factors);
    for (const auto& [selectivity, mask] : factors) {
      auto& exponent = exponents.try_emplace(mask, 1.0).first->second;
      rows *= std::pow(selectivity, exponent);
      exponent /= 2;
    }
    return rows_[set] = std::max(rows, 1e-3);
  }

  void add(JoinTree tree) {
    const auto it = best_.find(tree.tables);
    if (it != best_.end() && nodes_[static_cast<std::size_t>(it->second)].cost <= tree.cost) return;
    nodes_.push_back(tree);
    best_[tree.tables] = static_cast<int>(nodes_.size() - 1);
  }

  [[nodiscard]] double width_of(TableMask set) const {
    double width = 24;
    for (auto m = set; m != 0; m &= m - 1)
      width += tables_[static_cast<std::size_t>(std::countr_zero(m))].width;
    return width;
  }

  /// `probe` with `build`, in the ways that there are.
  void consider(int probe, int build) {
    ++considered;
    const auto p = nodes_[static_cast<std::size_t>(probe)], b = nodes_[static_cast<std::size_t>(build)];
    JoinTree join;
    join.tables = p.tables | b.tables;
    join.left = probe;
    join.right = build;
    join.rows = rows_of(join.tables);
    const double bytes = b.rows * width_of(b.tables);
    join.cost = p.cost + b.cost + b.rows * hash_build_ns(bytes) + join.rows * kRowOut;
    if (hash_joins_ && has_equality(p.tables, b.tables)) join.cost += p.rows * hash_probe_ns(bytes);
    else join.cost += p.rows * b.rows * kPair;
    add(join);
    if (b.table < 0) return;
    for (const auto& lookup : tables_[static_cast<std::size_t>(b.table)].lookups) {
      if ((lookup.needs & ~p.tables) != 0) continue;
      auto by_index = join;
      by_index.uses_lookup = true;
      by_index.lookup = lookup.id;
      by_index.cost = p.cost + p.rows * lookup.cost + join.rows * kRowOut;
      add(by_index);
    }
  }

  void exact() {
    for (TableMask set = 1; set <= all(); ++set) {
      if (std::has_single_bit(set)) continue;
      const TableMask lowest = set & -set;
      const TableMask others = set ^ lowest;
      for (TableMask part = (others - 1) & others;; part = (part - 1) & others) {
        const TableMask a = part | lowest, b = set ^ a;
        const auto ia = best_.find(a), ib = best_.find(b);
        if (ia != best_.end() && ib != best_.end() && connected(a, b)) {
          const int left = ia->second, right = ib->second;
          consider(left, right);
          consider(right, left);
        }
        if (part == 0) break;
      }
    }
  }

  void greedy() {
    std::vector<TableMask> open;
    for (std::size_t i = 0; i < tables_.size(); ++i) open.push_back(TableMask{1} << i);
    while (open.size() > 1) {
      std::size_t best_a = 0, best_b = 1;
      double best_rows = std::numeric_limits<double>::infinity();
      for (std::size_t a = 0; a < open.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
          if (!connected(open[a], open[b])) continue;
          const double rows = rows_of(open[a] | open[b]);
          if (rows < best_rows) best_rows = rows, best_a = a, best_b = b;
        }
      }
      const TableMask a = open[best_a], b = open[best_b];
      const int left = best_.at(a), right = best_.at(b);
      consider(left, right);
      consider(right, left);
      std::erase_if(open, [&](TableMask m) { return m == a || m == b; });
      open.push_back(a | b);
    }
  }

  int emit(int at, std::vector<JoinTree>& out) const {
    auto tree = nodes_[static_cast<std::size_t>(at)];
    if (tree.left >= 0) {
      tree.left = emit(tree.left, out);
      tree.right = emit(tree.right, out);
    }
    out.push_back(tree);
    return static_cast<int>(out.size() - 1);
  }

  const std::vector<JoinTable>& tables_;
  std::vector<JoinEdge> edges_;
  const bool hash_joins_;
  std::vector<JoinTree> nodes_;
  std::unordered_map<TableMask, int> best_;
  std::unordered_map<TableMask, double> rows_;
};

}  // namespace

std::vector<JoinTree> order_joins(const std::vector<JoinTable>& tables, std::vector<JoinEdge> edges,
                                  bool hash_joins, std::uint64_t* considered) {
  JoinOrderer orderer{tables, std::move(edges), hash_joins};
  auto out = orderer.run();
  if (considered != nullptr) *considered += orderer.considered;
  return out;
}

}  // namespace rustbd::optimizer
