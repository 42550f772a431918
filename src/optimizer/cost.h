// What plans cost, in ns of one core (query.md §8), and how many rows they give.
#pragma once

#include "rustbd/optimizer/planner.h"
#include "rustbd/plan/physical.h"

namespace rustbd::optimizer {

/// ns; calibrated for the machine of query.md §18.
struct CostConstants {
  double row = 12, value = 1.5, predicate = 0.6, projection = 0.8;
  double index_probe = 450, row_fetch = 150;
  double sort_compare = 2.2, output_row = 60;
  double group_row = 10;
};
inline constexpr CostConstants kCost;
/// Per row, by the bytes of the table that is built: in the caches or not.
double hash_build_ns(double bytes);
double hash_probe_ns(double bytes);

/// Rows and costs out of statistics. One per statement; remembers what it looked up.
class Estimator {
 public:
  explicit Estimator(Planner& planner) : planner_(planner) {}

  double table_rows(const catalog::Relation& relation);
  /// The share of rows for which `e` is true; conjuncts by decreasing weight: 1, 1/2, 1/4, 1/8 (query.md §8).
  double selectivity(const Expression& e);
  double selectivity(const Conjuncts& conditions);
  /// Different values of a column in its table; `fallback` without statistics or a table.
  double distinct(ColumnId id, double fallback);
  double distinct(const Expression& e, double rows);
  /// Rows that an index range gives.
  double index_rows(const catalog::Relation& relation, const catalog::Index& index,
                    const plan::IndexRange& range);
  /// Sets estimated_rows, costs and width of a node whose children have theirs; `rows` >= 0: what is known
  /// already.
  void estimate(plan::PlanNode& node, double rows = -1);
  double join_rows(const plan::PlanNode& node);

 private:
  const catalog::ColumnStatistics* statistics(ColumnId id);
  const catalog::ColumnStatistics* statistics(const catalog::Relation& relation,
                                              catalog::AttributeNumber attribute);
  double distinct(const catalog::Relation& relation, catalog::AttributeNumber attribute, double fallback);
  double compare_constant(const catalog::ColumnStatistics& s, const TypeRef& type, Comparison c,
                          const Expression& value, double rows);
  double comparison(const Expression& e);
  double scan_cost(const plan::PlanNode& node, double rows);
  double join_cost(const plan::PlanNode& node);
  double known_fraction(const catalog::Relation& relation, catalog::AttributeNumber attribute, Comparison c,
                        const Expression* value);
  Planner& planner_;
  std::unordered_map<Oid, double> rows_;
};

}  // namespace rustbd::optimizer
