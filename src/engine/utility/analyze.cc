// ANALYZE and VACUUM: statistics for the optimizer; garbage is collected by the transaction system itself.
#include <cmath>
#include <unordered_map>

#include "rustbd/engine/utility/utility.h"
#include "rustbd/txn/tables/table.h"
#include "rustbd/types/compare.h"

namespace rustbd::engine {

namespace {

constexpr std::size_t kSampleRows = 30000;  // as PostgreSQL's 300 × default_statistics_target
constexpr std::size_t kCommonMax = 100, kBuckets = 100;

/// Reservoir sample of whole rows (Vitter 1985, algorithm R), in column form.
struct Sample {
  std::vector<std::vector<types::Datum>> columns;
  std::vector<std::vector<bool>> nulls;
  std::size_t rows = 0;
  double seen = 0;
  std::shared_ptr<Arena> memory = std::make_shared<Arena>();
};

Task<Sample> take_sample(UtilityContext& c, const catalog::Relation& relation) {
  Sample sample;
  sample.columns.resize(relation.columns.size());
  sample.nulls.resize(relation.columns.size());
  txn::Table table{c.system(), relation.layout};
  std::vector<storage::ColumnNumber> all;
  for (storage::ColumnNumber i = 0; i < relation.columns.size(); ++i) all.push_back(i);
  txn::TableScan scan{table, c.transaction().view(), all, {}, false};
  types::ChunkBuffer buffer;
  io::SeededRandom random{c.parts.database.environment().random->next_u64()};
  for (;;) {
    const auto outcome = scan.next(buffer);
    if (outcome.blocked()) {
      co_await wait(c.parts, outcome.token);
      continue;
    }
    if (outcome.status == txn::Status::kEnd) break;
    if (!outcome.ok()) c.system().throw_outcome(outcome, c.parts.locker.get());
    c.parts.session.cancel_flag()->check();
    const auto& chunk = buffer.chunk();
    for (std::uint32_t i = 0; i < chunk.selection.count; ++i) {
      const auto row = chunk.selection[i];
      sample.seen += 1;
      std::size_t at = sample.rows;
      if (sample.rows >= kSampleRows) {
        at = random.below(static_cast<std::uint64_t>(sample.seen));
        if (at >= kSampleRows) continue;
      } else {
        ++sample.rows;
      }
      for (std::size_t k = 0; k < relation.columns.size(); ++k) {
        const bool valid = chunk[k].is_valid(row);
        const auto value =
            valid ? types::copy_datum(chunk[k].datum(row), relation.columns[k].type.phys, *sample.memory)
                  : types::Datum{};
        if (at == sample.columns[k].size()) {
          sample.columns[k].push_back(value);
          sample.nulls[k].push_back(!valid);
        } else {
          sample.columns[k][at] = value;
          sample.nulls[k][at] = !valid;
        }
      }
    }
  }
  co_return sample;
}

catalog::ColumnStatistics column_statistics(const Sample& sample, std::size_t k, const types::TypeRef& type,
                                            double table_rows) {
  catalog::ColumnStatistics out;
  if (sample.rows == 0) return out;
  struct Item {
    types::Datum value;
    std::size_t position;
  };
  std::vector<Item> values;
  double width = 0;
  std::size_t nulls = 0;
  for (std::size_t r = 0; r < sample.rows; ++r) {
    if (sample.nulls[k][r]) {
      ++nulls;
      continue;
    }
    values.push_back({sample.columns[k][r], r});
    width += type.phys == types::Phys::kStr ? sample.columns[k][r].str.len + 1 : types::width_of(type.phys);
  }
  out.null_fraction = static_cast<double>(nulls) / static_cast<double>(sample.rows);
  if (values.empty()) return out;
  out.average_width = width / static_cast<double>(values.size());
  if (type.oid == types::oid::kJson) return out;  // no order
  std::sort(values.begin(), values.end(),
            [&](const Item& a, const Item& b) { return types::compare(a.value, b.value, type) < 0; });
  struct Group {
    std::size_t first, count;
  };
  std::vector<Group> groups;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!groups.empty() && types::equal(values[groups.back().first].value, values[i].value, type))
      ++groups.back().count;
    else groups.push_back({i, 1});
  }
  const auto n = static_cast<double>(values.size()), d = static_cast<double>(groups.size());
  double f1 = 0;
  for (const auto& g : groups) f1 += g.count == 1;
  const double rows = std::max(table_rows * (1 - out.null_fraction), n);
  if (f1 == n) out.distinct = -1 * (1 - out.null_fraction);  // every value differs: unique
  else if (f1 == 0) out.distinct = d;                        // every value repeats: all are seen
  else {
    // Haas and Stokes (1998), the Duj1 estimator, as PostgreSQL.
    double estimate = n * d / ((n - f1) + f1 * n / rows);
    estimate = std::clamp(estimate, d, rows);
    out.distinct =
        estimate > 0.1 * table_rows ? -estimate / std::max(table_rows, 1.0) : std::floor(estimate + 0.5);
  }
  // Most common values: those clearly above the average.
  std::vector<Group> by_count = groups;
  std::sort(by_count.begin(), by_count.end(),
            [](const Group& a, const Group& b) { return a.count > b.count; });
  const bool all_listed = groups.size() <= kCommonMax && f1 == 0;
  const double least = all_listed ? 0 : std::max(2.0, 1.25 * n / d);
  std::vector<bool> common(groups.size(), false);
  std::unordered_map<std::size_t, bool> is_common;
  for (std::size_t i = 0; i < by_count.size() && i < kCommonMax; ++i) {
    if (static_cast<double>(by_count[i].count) < least) break;
    out.common_values.push_back(values[by_count[i].first].value);
    out.common_frequencies.push_back(static_cast<double>(by_count[i].count) /
                                     static_cast<double>(sample.rows));
    is_common[by_count[i].first] = true;
  }
  // The rest in equally filled buckets.
  std::vector<types::Datum> rest;
  for (const auto& g : groups)
    if (!is_common.contains(g.first))
      for (std::size_t i = 0; i < g.count; ++i) rest.push_back(values[g.first + i].value);
  if (rest.size() >= 2) {
    const std::size_t buckets = std::min(kBuckets, rest.size() - 1);
    for (std::size_t b = 0; b <= buckets; ++b) out.bounds.push_back(rest[b * (rest.size() - 1) / buckets]);
  }
  // Correlation of value order and row order.
  double sum_xy = 0, sum_x = 0, sum_xx = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto x = static_cast<double>(i), y = static_cast<double>(values[i].position);
    sum_xy += x * y;
    sum_x += x;
    sum_xx += x * x;
  }
  if (sample.rows <= kSampleRows && values.size() > 1 && nulls == 0) {
    const double denominator = n * sum_xx - sum_x * sum_x;
    out.correlation = denominator == 0 ? 0 : (n * sum_xy - sum_x * sum_x) / denominator;
  }
  return out;
}

/// `find`: as for find_and_lock(). Nothing to do if it finds nothing.
Task<> analyze_table(UtilityContext& c, std::function<std::shared_ptr<const catalog::Relation>()> find) {
  const auto relation =
      co_await find_and_lock(c, catalog::oid::kPgClass, txn::TableLockMode::kShareUpdateExclusive, find);
  if (relation == nullptr) co_return;
  begin_statement(c.parts);
  const auto sample = co_await take_sample(c, *relation);
  catalog::TableStatistics statistics;
  statistics.rows = sample.seen;
  statistics.pages = txn::Table{c.system(), relation->layout}.page_count();
  statistics.memory = sample.memory;
  for (std::size_t k = 0; k < relation->columns.size(); ++k)
    statistics.columns.push_back(relation->columns[k].dropped
                                     ? catalog::ColumnStatistics{}
                                     : column_statistics(sample, k, relation->columns[k].type, sample.seen));
  co_await c.store().put_statistics(c.transaction(), c.parts.changes, relation->oid, std::move(statistics));
}

bool option_set(const sql::VacuumStatement& s, std::string_view name) {
  for (const auto* o : s.options) {
    if (o->name != name) continue;
    const auto* l = sql::try_as<sql::Literal>(o->value);
    return l == nullptr || l->type != sql::LiteralType::kBoolean || l->boolean;
  }
  return false;
}

}  // namespace

Task<std::string> vacuum(UtilityContext& c, const sql::VacuumStatement& s) {
  if (s.is_vacuum && (c.parts.in_block || !c.top_level))
    throw error(sqlstate::kActiveTransaction, "VACUUM cannot run inside a transaction block");
  std::vector<std::function<std::shared_ptr<const catalog::Relation>()>> relations;
  if (s.relations.empty()) {
    const auto catalog = c.parts.catalog();
    for (const auto& [id, r] : catalog->relations())
      if (r->kind == catalog::RelationKind::kTable && !r->is_catalog())
        relations.emplace_back([&c, oid = id] { return c.parts.catalog()->relation(oid); });
  }
  for (const auto* v : s.relations) {
    const auto r = named_relation(c, *v->relation);
    for (const auto name : v->columns)
      if (r->find_column(name) == nullptr)
        throw error(sqlstate::kUndefinedColumn, "column \"{}\" of relation \"{}\" does not exist", name,
                    r->name);
    if (r->kind != catalog::RelationKind::kTable || r->is_catalog()) {
      if (!r->is_catalog())
        c.parts.notice(
            Severity::kWarning,
            error(sqlstate::kWarning, "skipping \"{}\" --- cannot {} non-tables or special system tables",
                  r->name, s.is_vacuum ? "vacuum" : "analyze"));
      continue;
    }
    relations.emplace_back([&c, v] {
      const auto now = named_relation(c, *v->relation);
      return now->kind == catalog::RelationKind::kTable && !now->is_catalog() ? now : nullptr;
    });
  }
  if (s.is_vacuum) (void)c.system().collect_garbage();
  if (!s.is_vacuum || option_set(s, "analyze"))
    for (const auto& find : relations) co_await analyze_table(c, find);
  co_return s.is_vacuum ? "VACUUM" : "ANALYZE";
}

}  // namespace rustbd::engine
