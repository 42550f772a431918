// SQL texts over a few small tables in memory: planned with and without rules, explained, and run.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "rustbd/base/error.h"
#include "rustbd/binder/binder.h"
#include "rustbd/exec/testing/plan_maker.h"
#include "rustbd/functions/test_context.h"
#include "rustbd/optimizer/optimizer.h"
#include "rustbd/plan/explain.h"
#include "rustbd/sql/parser.h"

namespace rustbd::optimizer::testing {

using exec::testing::IntRow;
using exec::testing::TextRows;

class SqlFixture {
 public:
  static constexpr auto kNull = std::nullopt;

  /// int4 columns; the first index column list that is `primary` makes its columns NOT NULL.
  struct IndexSpec {
    std::string name;
    std::vector<int> columns;
    bool unique;
  };
  void add_table(Oid oid, std::string name, const std::vector<std::string>& columns,
                 const std::vector<IntRow>& rows, const std::vector<IndexSpec>& indexes,
                 double planned_rows = 0) {
    auto relation = exec::testing::make_relation(oid, name, columns.size());
    relation->schema = catalog::oid::kPublic;
    for (std::size_t i = 0; i < columns.size(); ++i) relation->columns[i].name = columns[i];
    Oid index_oid = oid * 100;
    for (const auto& spec : indexes) {
      auto index = exec::testing::add_index(*relation, ++index_oid, spec.columns, spec.unique);
      index->name = spec.name;
      index->primary = spec.name.ends_with("_pkey");
      if (index->primary)
        for (const int c : spec.columns) relation->columns[static_cast<std::size_t>(c - 1)].not_null = true;
    }
    sizes_[oid] =
        planned_rows != 0 ? planned_rows : static_cast<double>(std::max<std::size_t>(1, rows.size()));
    exec::testing::fill(database_.add(relation), rows);
    catalog_.put(relation);
  }

  SqlFixture() {
    catalog::Schema schema;
    schema.oid = catalog::oid::kPublic;
    schema.name = "public";
    catalog_.put(schema);
    std::vector<IntRow> big;
    for (int i = 0; i < 200; ++i)
      big.push_back({i, i % 10, i % 7 == 0 ? IntRow::value_type{} : IntRow::value_type{i % 23}});
    add_table(20001, "t", {"a", "b", "c"},
              {{1, 10, 1}, {2, 20, kNull}, {3, 10, 2}, {4, kNull, 1}, {5, 30, kNull}},
              {{"t_pkey", {1}, true}});
    add_table(20002, "s", {"x", "y"}, {{1, 10}, {1, 11}, {3, kNull}, {kNull, 20}, {9, 30}, {5, 10}},
              {{"s_x", {1}, false}});
    add_table(20003, "u", {"k", "v"}, {{10, 1}, {20, 2}, {30, 3}}, {{"u_pkey", {1}, true}});
    add_table(20004, "big", {"id", "g", "w"}, big, {{"big_pkey", {1}, true}, {"big_g_w", {2, 3}, false}},
              100'000);
    add_table(20005, "nothing", {"n"}, {}, {});
  }

  std::shared_ptr<const plan::ExecutionPlan> plan(std::string_view text) {
    Arena arena;
    const auto statements = sql::parse(text, arena);
    binder::BindInput bind;
    bind.catalog = &catalog_;
    const Oid path[] = {catalog::oid::kPublic};
    bind.search_path = path;
    bind.statement = &context_;
    std::vector<types::TypeRef> parameters;
    bind.parameters = &parameters;
    auto logical = binder::bind(*statements.at(0).statement, bind);
    OptimizeInput input;
    input.catalog = &catalog_;
    input.statement = &context_;
    input.table_size = [this](const catalog::Relation& r) {
      return TableSize{sizes_.at(r.oid), sizes_.at(r.oid) / 100};
    };
    input.setting = [this](std::string_view name) {
      const auto it = settings.find(name);
      return it == settings.end() ? std::string{} : it->second;
    };
    return optimize(std::move(logical), input);
  }

  /// EXPLAIN (COSTS OFF).
  std::string explain(std::string_view text) {
    plan::ExplainOptions options;
    options.costs = false;
    std::string out;
    for (const auto& line : plan::explain(*plan(text), options, {}, 0, 0)) out += line + "\n";
    return out;
  }

  TextRows run(std::string_view text) {
    auto rows = run_ordered(text);
    std::ranges::sort(rows);
    return rows;
  }
  TextRows run_ordered(std::string_view text, std::uint32_t chunk_rows = 7) {
    const auto made = plan(text);
    database_.begin_statement();
    auto context = exec::testing::context_of(database_, chunk_rows);
    context.statement = &context_;
    auto result = exec::testing::run_with(made, context);
    affected = result.affected;
    return std::move(result.rows);
  }

  std::map<std::string, std::string, std::less<>> settings;
  std::uint64_t affected = 0;

 private:
  catalog::CatalogSnapshot catalog_;
  exec::testing::MemoryDatabase database_;
  std::map<Oid, double> sizes_;
  functions::TestContext context_;
};

}  // namespace rustbd::optimizer::testing
