select 1
select 1; select 2;
;
select
select from t
select * from t
select t.* from t
select s.t.a, c.s.t.a from c.s.t
select a as b, a b, a "B", a as "select" from t as x (c, d)
select distinct a, b from t
select all a from t
select distinct on (a, b + 1) a, b from t order by a, b + 1, c desc nulls last
select a from only t
select a from only (t)
select a from t *
select 'it''s', E'a\nb\\c\x41\101\u00e9', U&'d\0061t\+000061', B'101', X'1F', $$dollar$$, $q$a'b$q$
select 'a', 'b'
select U&'d!0061t' uescape '!'
select U&"d\0061ta" from t
select 1, 1.5, .5, 5., 1e10, 1.5e-3, 2147483647, 2147483648, 99999999999999999999
select -1, - 1, +1, -2147483648, - -1, -(-1), -a, +a
select 1 + 2 * 3 - 4 / 5 % 6 ^ 7 ^ 8
select (1 + 2) * 3, 1 - (2 - 3), (1 - 2) - 3, 2 ^ (3 ^ 2)
select a || b || c, @ a, @ -1, a @> b, a <@ b, a -> 'b' ->> 'c', a #> '{a}', ~ 5, 5 & 3 | 4 # 2, a << 1 >> 2
select a = b, a <> b, a != b, a < b, a <= b, a > b, a >= b
select a = 1 and b = 2 or not c = 3 and d
select not not a, not (a and b), not a is null, (not a) is null
select (a or b) and c, a or (b or c), (a or b) or c, a and (b and c)
select a is null, a is not null, a isnull, a notnull, (a = b) is null
select a is true, a is not true, a is false, a is not false, a is unknown, a is not unknown
select a is distinct from b, a is not distinct from b + 1
select a is normalized, a is not nfc normalized, a is document, a is not document
select a between 1 and 2, a not between 1 and 2 + 3, a between symmetric 3 and 1, a between asymmetric 1 and 2
select a between (b = c) and d and e
select a in (1, 2, 3), a not in (1), (a, b) in ((1, 2), (3, 4))
select a in (select b from u), a not in (select 1), a in ((select 1)), a in ((select 1), 2)
select a in (((select 1) union select 2))
select a = any (array[1, 2]), a <> all ('{1,2}'::int[]), a = some (b), a < any (select 1), a = all (values (1))
select a like 'x%', a not like 'x', a ilike 'b', a not ilike 'b', a like 'x' escape '!', a similar to 'b', a not similar to 'c' escape 'd'
select a like any (array['x']), a not like all (b), a ilike any (select 'x'), a not ilike all (c)
select a like b || 'c' escape 'd' || 'e'
select a operator(pg_catalog.+) b, a operator(+) b * 2, operator(pg_catalog.-) a
select a ~ 'x', a ~* 'x', a !~ 'x', a !~* 'y'
select 7%-2, a<-1
select 1::int, 1::int::text, -1::int, (-1)::int, '1'::int + 2, (a + b)::int, cast(1 as int), cast('x' as varchar(3))
select int '1', date '2000-01-01', timestamp '2000-01-01', timestamp with time zone 'x', timestamp(3) without time zone 'x'
select time '10:00', time(2) with time zone '10:00', interval '1' day, interval '1' hour to second, interval '1' hour to second(2)
select interval '1 day', interval(3) '1', interval '1' year to month, interval '1' second(3), interval '1' minute to second
select float8 '1.5', numeric(5,2) '1.5', char(3) 'abc', bit(3) '101', bit varying '1', varchar 'x', double precision '1', real '1', dec '3', boolean 't', n'abc'
select mytype 'x', s.mytype 'x', mytype(1, 2) 'x', char 'a', national character varying(3) 'x'
select x::double precision, x::character varying(10), x::char, x::char(1), x::bpchar, x::bit, x::bit varying(3), x::national char(3)
select x::timestamp(3) with time zone, x::time(2), x::interval day to second(3), x::interval(2), x::interval year, x::interval month, x::interval
select x::int[], x::int[3][], x::int array, x::int array[4], x::s.t[], x::float(10), x::float(30), x::float, x::numeric(10,2), x::dec, x::text[][]
select x::interval day to hour, x::interval day to minute, x::interval hour to minute, x::interval minute to second(1), x::"char"
select case when a then b end, case a when 1 then 2 when 3 then 4 else 5 end, case when a = 1 then case when b then c end else d end
select coalesce(a, b, 1), nullif(a, b), greatest(a, b), least(1, 2, 3)
select extract(year from d), extract('epoch' from d), extract(foo from d), extract(second from a + b)
select position('a' in b), position('a' || 'b' in c), substring(a from 1), substring(a from 1 for 2), substring(a for 2), substring(a for 2 from 1), substring(a, 1, 2), substring(a similar 'b' escape 'c')
select overlay(a placing b from 1), overlay(a placing b from 1 for 2), overlay(a, b, 1), trim(a), trim(both 'x' from a), trim(leading from a), trim(trailing 'x' from a), trim('x' from a), trim(a, 'x'), trim(both a)
select normalize(a), normalize(a, nfkc), collation for (a), treat(a as int4)
select row(1, 2), row(), (1, 2), (1, 2) = (3, 4), row(a, b) < row(c, d), row(t.*)
select (1, 2) overlaps (3, 4), row(a, b) overlaps row(c, d)
select array[1, 2], array[[1, 2], [3, 4]], array[]::int[], array(select 1), array[array[1], array[2]]
select a[1], a[1][2], a[1:2], a[:2], a[1:], a[:], t.a[1], (a[1]).b, (f(x)).b, (f(x)).*, (t).a.b, (array[1, 2])[1], $1[1], $1.f
select ((select 1)), (select 1) + 1, ((select 1) + 2), (select a from t limit 1).b, (((select 1)))
select ((select 1), 2), ((select 1) union (select 2))
select exists (select 1), not exists (select from t), exists ((select 1))
select count(*), count(a), count(distinct a), sum(all a), string_agg(a, ',' order by b desc, c), array_agg(distinct a order by a)
select count(*) filter (where a > 1), percentile_cont(0.5) within group (order by x), rank(1, 2) within group (order by a, b desc) filter (where c)
select f(), f(a, b), s.f(a), c.s.f(a), f(a => 1, b := 2), f(variadic array[1]), f(1, variadic b), f(a, b order by c)
select "left"(a, 1), left(a, 1), right(a, 2), "select"(1)
select sum(a) over (), sum(a) over w, sum(a) over (w), sum(a) over (partition by b order by c), row_number() over (order by a rows between unbounded preceding and current row) from t window w as (partition by d), v as (w order by e)
select sum(a) over (order by b range between 1 preceding and 2 following), sum(a) over (rows unbounded preceding), sum(a) over (groups current row), sum(a) over (order by b rows between 1 + 1 preceding and unbounded following exclude ties), sum(a) over (rows 1 preceding exclude current row), sum(a) over (rows 2 preceding exclude group), sum(a) over (rows 2 preceding exclude no others)
select current_date, current_time, current_time(3), current_timestamp, current_timestamp(2), localtime, localtimestamp(1), current_user, session_user, user, current_role, current_catalog, current_schema, current_schema()
select a at time zone 'utc', (a at time zone 'utc') at time zone 'x', a at time zone 'x' || 'y', a + b at time zone 'z', timezone('x', a)
select a collate "C", a || b collate "de_DE", (a || b) collate s."C", a collate "C" < b
select grouping(a, b), a from t group by a, b
select a from t group by (), a, (b, c), rollup (a, b), cube (a, (b, c)), grouping sets ((a, b), (), rollup (c), grouping sets ((d)))
select a from t group by distinct rollup (a), cube (b)
select a from t group by all a
select a from t where b = 1 group by a having count(*) > 1 order by a asc, b desc nulls first, c using <, d using operator(pg_catalog.>) limit 10 offset 5
select a from t limit all
select a from t offset 5 rows
select a from t offset 5 limit 3
select a from t fetch first 5 rows only
select a from t fetch next row only
select a from t order by a fetch first (2 + 3) rows with ties
select a from t order by a offset 2 rows fetch first 3 rows with ties
select a from t for update
select a from t, u for update of t nowait for share of u skip locked
select a from t for no key update
select a from t for key share limit 1
select a from t limit 1 for update
select a into x from t
select a into temp x from t
select a into unlogged table s.x from t
select * from a join b on a.x = b.x
select * from a inner join b using (x, y) left join c using (z) as j right outer join d on true full join e on a = b
select * from a cross join b natural join c natural left join d
select * from a join b join c on b.x = c.x on a.x = b.x
select * from a left join (b join c on true) on true
select * from (a join b on true) as j (x, y)
select * from (a cross join b) cross join c
select * from ((a join b on true) join c on true)
select * from a, b, lateral (select a.x) as l, lateral f(b.y) with ordinality as g (n, o)
select * from (select 1) as s (a)
select * from (values (1, 'a'), (2, 'b')) as v (n, s)
select * from ((select 1) union (select 2)) as u
select * from ((select 1 as a) as x join (select 2 as b) as y on true)
select * from (((select 1))) as x
select * from f(1) as g, s.f() as h (a), f() with ordinality, rows from (f(1), g(2)) as r (a, b)
select * from f() as (a int, b text), f() as g (a int, b varchar(3) collate "C"), rows from (f() as (a int), g()) with ordinality as x
select * from generate_series(1, 10) n, current_date as d, cast(1 as int) as c, coalesce(1, 2) as e
select * from t tablesample bernoulli (10), u as x tablesample system (5) repeatable (42)
select * from pg_catalog.pg_class c, only u
select 1 union select 2
select 1 union all select 2 union select 3
select 1 union (select 2 union all select 3)
select 1 intersect select 2 union select 3 except all select 4
select 1 union select 2 intersect select 3
(select 1 union select 2) intersect select 3
(select 1 order by 1 limit 1) union all (select 2 for update)
select 1 union select 2 order by 1 limit 3
(select 1) limit 1
((select 1)) order by 1
(select 1 limit 1) order by 1
values (1, 2), (3, 4)
values (1) union select 2 order by 1
table t
table only s.t
with a as (select 1) select * from a
with recursive a (n) as (select 1 union all select n + 1 from a where n < 10), b as materialized (select 2), c as not materialized (select 3) select * from a, b, c
with a as (insert into t values (1) returning *), b as (update t set x = 1 returning y), c as (delete from t returning z) select * from a
with a as (select 1) (select * from a)
with a as (select 1) select 2 union select 3
(with a as (select 1) select * from a) union select 2
with a as (with b as (select 1) select * from b) select * from a
with recursive a as (select 1) search depth first by x, y set o select * from a
with recursive a as (select 1) search breadth first by x set o cycle x set c using p select * from a
with recursive a as (select 1) cycle x, y set c to 'y' default 'n' using p select * from a
with recursive a as (select 1) cycle x set c to true default false using p select * from a
with t as (select 1) insert into u select * from t
with t as (select 1) update u set a = 1
with t as (select 1) delete from u
insert into t values (1, 'a', default), (2, 'b', null)
insert into t (a, b) values (1, 2)
insert into s.t as x (a, b[1], c.d) select 1, 2, 3
insert into t default values
insert into t default values returning *
insert into t table u
insert into t (select 1)
insert into t ((select 1) union select 2)
insert into t (a) (values (1))
insert into t overriding system value values (1)
insert into t (a) overriding user value select 1
insert into t with a as (select 1) select * from a
insert into t values (1) on conflict do nothing
insert into t values (1) on conflict (a) do nothing returning a
insert into t values (1) on conflict (a, (b + 1), lower(c) collate "C" text_ops) where d > 1 do update set x = excluded.x, (y, z) = (1, default) where t.x > 1
insert into t values (1) on conflict on constraint k do update set a = 1 returning a as b, *
update t set a = 1
update only t as x set a = 1, b = default, c[1] = 2, d.e = 3 from u, v join w on true where x.a = u.a returning x.*, u.b as c
update t set (a, b) = (1, 2), (c, d) = (select 1, 2), (e) = row(5), (f, g) = row(1, default)
update t set a = 1 where current of c
update t x set a = 1
delete from t
delete from only t as x using u, v where x.a = u.a returning *
delete from t where current of cur
delete from t x where a
merge into t using s on t.a = s.a when matched and t.b > 1 then update set c = s.c, (d, e) = (1, 2) when matched then delete when not matched then insert (a, b) values (s.a, default) when not matched and s.x then do nothing
merge into t as x using (select 1) as s on true when not matched then insert default values when matched then do nothing
merge into t x using s on true when not matched then insert overriding system value values (1)
with a as (select 1) merge into only t using a on true when matched then delete
select a.b.c.d.e
select over, within, filter, rows, range, partition, type, name, value, key, text, date, action from t
select x.int, x.select, x."a b", "A", "a""b" from "T" as x
select t.a "from", t.b as from, t.c is_b from t
select int, float, char, time, bit, varchar, interval, coalesce, position, "values", row, exists, none, out from t
select 1 as user, 2 as all, 4 as year
select 1 x, 2 inner, 3 true, 4 distinct from t
select day, hour, minute, second, month, year from t
select a <-> b, a ?| b, a ? b, a &&& b, a |/ b, |/ 25, ||/ 27, !! 5
select $1, $2::int, $1 + $3
select /* c /* nested */ */ 1 -- tail
select 1 -- a comment
select "a" from t where "b" = 'c' and d is not null and e in (1, 2) and f between 1 and 2 and not g or h like 'i'
select sum(case when a then 1 else 0 end) over (partition by b), count(*) filter (where x) over w from t window w as (order by y)
select * from t where (a, b) = any (select 1, 2) and (a, b) not in (select c, d from u) and row(1, 2) = (select 3, 4)
select a from t where exists (select 1 from u where u.x = t.x and u.y = any (t.z))
select - a ^ 2, (- a) ^ 2, -2 ^ 2, a ^ -2, a * -b, -a::int, (-a)::int, -(a::int), @ a + b, (@ a) + b, @ (a || b)
select a < b and c > d, (a < b) = c, a = (b < c), (a is null) = (b is null), a is null = b
select a + b || c - d, (a || b) + c, a || (b + c), a ->> 'x' = 'y', not a ->> 'b' = 'c'
select (a collate "C")::text, a::text collate "C", a at time zone 'x' collate "C", (a collate "C") at time zone 'y'
select (a in (1)) in (true), a in (1) in (true), a between 1 and 2 = true, (a between 1 and 2) between b and c
select a like b is null, (a like b) like c, a = b like c, (a = b) like c, a || b like c || d
select array[1] || 2, array[1, a + b, (select 1)], '{}'::int[] = array[]::int[]
select (select array_agg(x) from t)[1]
select (1).x, ('a').b, (null).c
select count(*) from t having true
select true and false, null, null is null, true is true
select xmlconcat from t
