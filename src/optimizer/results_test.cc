// Queries give what SQL says, with all rules and with each one switched off.
#include "rustbd/optimizer/testing/sql_fixture.h"

namespace rustbd::optimizer {

using testing::SqlFixture;
using testing::TextRows;

namespace {

constexpr const char* kRules[] = {
    "fold_constants",   "simplify_predicates", "unnest",        "outer_to_inner", "transitive_equality",
    "filter_push_down", "join_elimination",    "min_max_index", "join_order",     "inline_cte",
    "index_scan",       "index_join",          "index_order",   "top_n",          "empty_input"};

struct Case {
  const char* sql;
  TextRows rows;  // sorted
};

const Case kCases[] = {
    {"select 1 + 1", {"2"}},
    {"select a from t where b = 10", {"1", "3"}},
    {"select a, a from t where a = 2", {"2|2"}},
    {"select a from t where a = 2 and c is null", {"2"}},
    {"select a from t where a in (1, 3, 7)", {"1", "3"}},
    {"select a from t where a > 1 and a <= 3", {"2", "3"}},
    {"select t.a, s.y from t, s where t.a = s.x", {"1|10", "1|11", "3|NULL", "5|10"}},
    {"select t.a, s.y from t left join s on t.a = s.x and s.y > 10",
     {"1|11", "2|NULL", "3|NULL", "4|NULL", "5|NULL"}},
    {"select t.a, s.y from t left join s on t.a = s.x where s.y > 10", {"1|11"}},
    {"select t.a, s.x from t right join s on t.a = s.x", {"1|1", "1|1", "3|3", "5|5", "NULL|9", "NULL|NULL"}},
    {"select t.a, s.x from t full join s on t.a = s.x",
     {"1|1", "1|1", "2|NULL", "3|3", "4|NULL", "5|5", "NULL|9", "NULL|NULL"}},
    {"select t.a, s.x from t full join s on t.a = s.x where t.a = 2", {"2|NULL"}},
    {"select a from t where exists (select 1 from s where s.x = t.a)", {"1", "3", "5"}},
    {"select a from t where not exists (select 1 from s where s.x = t.a)", {"2", "4"}},
    {"select a from t where a in (select x from s)", {"1", "3", "5"}},
    {"select a from t where a not in (select x from s)", {}},
    {"select a from t where a not in (select x from s where x is not null)", {"2", "4"}},
    {"select a from t where b not in (select y from s where s.x = t.a)", {"2", "4", "5"}},
    {"select a, b in (select y from s where s.x = t.a) from t", {"1|t", "2|f", "3|NULL", "4|f", "5|f"}},
    {"select a, exists (select 1 from s where x = a) from t", {"1|t", "2|f", "3|t", "4|f", "5|t"}},
    {"select a, (select max(y) from s where s.x = t.a) from t",
     {"1|11", "2|NULL", "3|NULL", "4|NULL", "5|10"}},
    {"select a, (select count(*) from s where s.x = t.a) from t", {"1|2", "2|0", "3|1", "4|0", "5|1"}},
    {"select a, (select count(*) + 1 from s where s.x = t.a) from t", {"1|3", "2|1", "3|2", "4|1", "5|2"}},
    {"select a, (select coalesce(sum(y), -1) from s where s.x = t.a) from t",
     {"1|21", "2|-1", "3|-1", "4|-1", "5|10"}},
    {"select a from t where b > (select min(y) from s where s.x = t.a)", {"5"}},
    {"select a from t where b < all (select y from s where s.x = t.a)", {"2", "4"}},
    {"select a from t where b <= any (select y from s where s.x = t.a)", {"1"}},
    {"select (select y from s where x = 9), (select count(*) from t)", {"30|5"}},
    {"select a, (select y from s where s.x = t.a order by y limit 1) from t",
     {"1|10", "2|NULL", "3|NULL", "4|NULL", "5|10"}},
    {"select a, (select t.b) from t", {"1|10", "2|20", "3|10", "4|NULL", "5|30"}},
    {"select t.a, q.y from t, lateral (select y from s where s.x = t.a) q",
     {"1|10", "1|11", "3|NULL", "5|10"}},
    {"select t.a, q.m from t left join lateral (select max(y) m from s where s.x = t.a) q on true",
     {"1|11", "2|NULL", "3|NULL", "4|NULL", "5|10"}},
    {"select t.a, g from t, generate_series(1, t.a) g where t.a < 3", {"1|1", "2|1", "2|2"}},
    {"select b, count(*) from t group by b", {"10|2", "20|1", "30|1", "NULL|1"}},
    {"select b, count(*) from t group by b having count(*) > 1", {"10|2"}},
    {"select b, count(*) from t group by b having b > 15", {"20|1", "30|1"}},
    {"select count(*), min(a), max(a) from t", {"5|1|5"}},
    {"select min(a) from nothing, t", {"NULL"}},
    {"select max(n) from nothing", {"NULL"}},
    {"select distinct b from t", {"10", "20", "30", "NULL"}},
    {"select distinct on (b) b, a from t order by b, a desc", {"10|3", "20|2", "30|5", "NULL|4"}},
    {"select a from t union select x from s", {"1", "2", "3", "4", "5", "9", "NULL"}},
    {"select a from t intersect select x from s", {"1", "3", "5"}},
    {"select a from t except select x from s", {"2", "4"}},
    {"select q.a from (select a, b from t union all select x, y from s) q where q.b = 10",
     {"1", "1", "3", "5"}},
    {"with q as (select a, b from t where b = 10) select a from q", {"1", "3"}},
    {"with q as (select a, b from t where b = 10) select q.a, r.a from q, q r", {"1|1", "1|3", "3|1", "3|3"}},
    {"with recursive n(i) as (select 1 union all select i + 1 from n where i < 4) select i from n",
     {"1", "2", "3", "4"}},
    {"select a, row_number() over (order by a desc) from t", {"1|5", "2|4", "3|3", "4|2", "5|1"}},
    {"select * from (select a, b, sum(a) over (partition by b) q from t) w where b = 10",
     {"1|10|4", "3|10|4"}},
    {"select a from t where b = 10 or (b = 10 and c = 2) or c = 2", {"1", "3"}},
    {"select a from t where (b = 10 and c = 1) or (b = 10 and c = 2)", {"1", "3"}},
    {"select a from t where a = 1 and a = 2", {}},
    {"select a from t where false", {}},
    {"select count(*) from t where 1 = 2", {"0"}},
    {"select t.a, u.v from t, s, u where t.a = s.x and t.b = u.k and s.y = u.k", {"1|1"}},
    {"select big.id from big, t, u where big.id = t.a and t.b = u.k and u.v = 1", {"1", "3"}},
    {"select id from big where g = 3 and w = 13", {"13"}},
    {"select id from big where g = 3 and w >= 20 and id < 100", {"43"}},
    {"select max(id), min(id) from big", {"199|0"}},
    {"select t.a from t left join u on t.b = u.k", {"1", "2", "3", "4", "5"}},
    {"select t.a, b.id from t join big b on b.id = t.b where t.a = 1", {"1|10"}},
    {"select a from t where case when b = 10 then (select count(*) from s) > 3 else false end", {"1", "3"}},
    {"select a from t where a = (select x from s where y = 30) or a = 2", {"2"}},
    {"select array(select y from s where s.x = t.a order by y) is null from t where a = 1", {"f"}},
    {"values (1, 2), (3, 4)", {"1|2", "3|4"}},
    {"values (1, (select count(*) from t)), (3, 4)", {"1|5", "3|4"}},
    {"select a from t where exists (select 1 from s, u where s.x = t.a and u.k = s.y)", {"1", "5"}},
    {"select a from t where exists (select 1 from s where s.x = t.a and exists (select 1 from u where u.k = "
     "s.y and u.k = t.b))",
     {"1"}},
    {"select a from t where b in (select k from u where v in (select x from s))", {"1", "3", "5"}},
    {"select t.a from t where t.a >= (select avg(x) from s where s.y = t.b)", {"3"}},
    {"select a from t where (a, b) in (select x, y from s)", {"1"}},
    {"select x, count(*) filter (where y > 10) from s group by x", {"1|1", "3|0", "5|0", "9|1", "NULL|1"}},
    {"select grouping(b), b, count(*) from t group by rollup(b)",
     {"0|10|2", "0|20|1", "0|30|1", "0|NULL|1", "1|NULL|5"}},
    {"select t.a from t where not (t.a > 2 or t.b = 10)", {"2"}},
    {"select s.x from s where exists (select 1 from t where t.a = s.x limit 1)", {"1", "1", "3", "5"}},
    {"select coalesce((select y from s where x = 100), 7)", {"7"}},
    {"select t.a from t where t.a = (select max(s.x) from s where s.y = t.b having count(*) > 0)", {}},
    {"select q.c from (select a + 1 as c from t) q where q.c > 4", {"5", "6"}},
    {"select 1 from t where exists (select 1 from nothing)", {}},
    {"select a from t limit 0", {}},
};

TEST(Results, AsSqlSays) {
  SqlFixture f;
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.sql);
    auto expected = c.rows;
    std::ranges::sort(expected);
    try {
      EXPECT_EQ(f.run(c.sql), expected) << f.explain(c.sql);
    } catch (const Error& e) {
      ADD_FAILURE() << e.message;
    }
  }
}

TEST(Results, EachRuleSwitchedOff) {
  SqlFixture f;
  std::vector<std::string> settings{kRules, kRules + std::size(kRules)};
  std::string all;
  for (const auto* rule : kRules) all += std::string(rule) + ",";
  settings.push_back(all);
  for (const auto& disabled : settings) {
    f.settings["rustbd.disabled_rules"] = disabled;
    for (const auto& c : kCases) {
      SCOPED_TRACE(disabled + ": " + c.sql);
      auto expected = c.rows;
      std::ranges::sort(expected);
      try {
        EXPECT_EQ(f.run(c.sql), expected) << f.explain(c.sql);
      } catch (const Error& e) {
        ADD_FAILURE() << e.message;
      }
    }
  }
}

TEST(Results, WithoutHashJoins) {
  SqlFixture f;
  for (const auto* setting : {"enable_hashjoin", "enable_indexscan", "enable_nestloop", "enable_hashagg",
                              "enable_sort", "enable_seqscan"}) {
    f.settings = {{setting, "off"}};
    for (const auto& c : kCases) {
      SCOPED_TRACE(std::string(setting) + ": " + c.sql);
      auto expected = c.rows;
      std::ranges::sort(expected);
      try {
        EXPECT_EQ(f.run(c.sql), expected) << f.explain(c.sql);
      } catch (const Error& e) {
        ADD_FAILURE() << e.message;
      }
    }
  }
}

TEST(Results, KeepOrder) {
  SqlFixture f;
  EXPECT_EQ(f.run_ordered("select a from t order by a desc limit 2"), (TextRows{"5", "4"}));
  EXPECT_EQ(f.run_ordered("select a, b from t order by b desc nulls last, a limit 3 offset 1"),
            (TextRows{"2|20", "1|10", "3|10"}));
  EXPECT_EQ(f.run_ordered("select id from big order by id limit 3"), (TextRows{"0", "1", "2"}));
  EXPECT_EQ(f.run_ordered("select id from big where g = 3 order by id desc limit 2"),
            (TextRows{"193", "183"}));
  EXPECT_EQ(f.run_ordered("select b from t order by b fetch first 1 row with ties"), (TextRows{"10", "10"}));
  EXPECT_EQ(f.run_ordered("select a from t union all select x from s order by 1 limit 3"),
            (TextRows{"1", "1", "1"}));
  EXPECT_EQ(f.run_ordered("select g, w from big where g = 1 order by w nulls last, g limit 2"),
            (TextRows{"1|1", "1|2"}));
}

TEST(Results, ScalarSubqueryOfManyRowsIs21000) {
  SqlFixture f;
  try {
    f.run("select a, (select y from s where s.x = t.a) from t");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message, "more than one row returned by a subquery used as an expression");
  }
}

TEST(Results, Writes) {
  SqlFixture f;
  f.run("insert into nothing values (1), (2), ((select max(a) from t))");
  EXPECT_EQ(f.affected, 3u);
  EXPECT_EQ(f.run("select n from nothing"), (TextRows{"1", "2", "5"}));
  EXPECT_EQ(f.run("update t set b = (select count(*) from s where s.x = t.a) where a < 4 returning a, b"),
            (TextRows{"1|2", "2|0", "3|1"}));
  f.run("update t set b = u.v from u where u.k = t.a * 10");
  EXPECT_EQ(f.run("select a, b from t where a <= 3"), (TextRows{"1|1", "2|2", "3|3"}));
  EXPECT_EQ(f.run("delete from t where exists (select 1 from s where s.x = t.a) returning a"),
            (TextRows{"1", "3", "5"}));
  EXPECT_EQ(f.run("select a from t"), (TextRows{"2", "4"}));
  f.run("insert into t select k, v from u on conflict do nothing");
  EXPECT_EQ(f.run("select a from t for update"), (TextRows{"10", "2", "20", "30", "4"}));
}

}  // namespace

}  // namespace rustbd::optimizer
