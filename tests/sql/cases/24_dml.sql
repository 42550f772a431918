create table t (id int primary key, v text, n int default 0);
insert into t values (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
insert into t (id) values (4) returning *;
insert into t (v, id) values ('e', 5) returning id, v || '!' as shout, n + 1;
insert into t select i, 'gen' || i, i * 10 from generate_series(6, 10) i returning id;
insert into t default values;
insert into t values (1, 'dup');
insert into t values (11, 'k'), (1, 'dup');
select count(*) from t;
insert into t values (1, 'dup') on conflict do nothing;
insert into t values (1, 'dup') on conflict (id) do nothing returning *;
insert into t values (1, 'dup'), (12, 'new') on conflict (id) do nothing returning *;
insert into t values (1, 'up', 5) on conflict (id) do update set v = excluded.v, n = t.n + excluded.n returning *;
insert into t values (2, 'up', 5) on conflict (id) do update set v = excluded.v where t.n > 100 returning *;
insert into t values (20, 'x', 1), (20, 'y', 2) on conflict (id) do update set v = excluded.v;
insert into t values (20, 'x', 1), (20, 'y', 2) on conflict (id) do nothing;
insert into t as target values (3, 'q') on conflict on constraint t_pkey do update set v = target.v || excluded.v returning *;
insert into t values (3, 'q') on conflict on constraint nope do nothing;
insert into t (id, v) values (3, 'q') on conflict (id) do update set (v, n) = (excluded.v, 99) returning *;
select * from t where id < 5;
update t set n = n + 1 where id = 1;
update t set n = n + 1, v = v || n where id in (1, 2) returning *;
update t set v = null where id = 999;
update t set n = default where id = 1 returning n;
update t set (v, n) = ('multi', 5) where id = 2 returning *;
update t set (v, n) = (select 'sub', 6) where id = 2 returning *;
update t set n = (select max(n) from t) where id = 3 returning n;
update t set n = s.x from (values (1, 111), (2, 222)) s(k, x) where t.id = s.k returning t.id, t.n, s.x;
update t as z set n = z.n + o.n from t o where z.id = 1 and o.id = 2 returning z.n;
update t set id = id + 100;
select count(*), min(id), max(id) from t;
update t set id = id - 100 where id > 100;
update t set id = 3 where id = 1;
delete from t where id = 1;
delete from t where id = 2 returning *;
create table u (k int, w text);
insert into u values (3, 'three'), (4, 'four'), (3, 'again');
delete from t using u where t.id = u.k and u.w = 'four' returning t.id, u.w;
delete from t using u where t.id = u.k;
delete from t where id in (select id from t order by id limit 2) returning id;
delete from t where not exists (select 1 from u where u.k = t.id) and id > 10;
select * from t;
with gone as (delete from t where id = 8 returning *) select * from gone;
with added as (insert into t values (50, 'cte', 1) returning id) insert into u select id, 'from cte' from added returning *;
with moved as (update u set k = k + 1 returning k, w) select count(*), max(k) from moved;
with x as (select 60 as id) insert into t (id) select id from x;
with x as (select 60 as id) delete from t using x where t.id = x.id;
insert into t select * from t;
insert into t select id + 1000, v, n from t;
select count(*) from t;
truncate t;
select count(*) from t;
insert into t (id, n) select i, i from generate_series(1, 1000) i;
update t set n = n * 2 where id % 2 = 0;
delete from t where id % 3 = 0;
select count(*), sum(n) from t;
insert into t (id, n) select i, -i from generate_series(1, 1000) i on conflict (id) do update set n = excluded.n;
select count(*), sum(n), min(n), max(n) from t;
update t set v = repeat('x', id) where id < 50;
select sum(length(v)) from t;
update t set v = repeat('long value ', 2000) where id = 1;
select length(v), md5(v) from t where id = 1;
update t set n = n + 1 where id in (select id from t where n < -990);
select sum(n) from t;
delete from t;
insert into t values (1, '', 0), (2, ' ', 0), (3, null, null);
select id, v is null, length(v), n is null from t;
update t set n = n + 1 returning id, n;
drop table t, u;
create table e (a int, b int);
insert into e values (1, 1), (1, 1), (2, null);
delete from e where (a, b) in (select a, b from e where b is not null);
select * from e;
update e set a = b, b = a;
select * from e;
insert into e values ((select 5), (select max(a) from e));
select * from e;
insert into e (b, a) select 1, 2 union all select 3, 4 returning a - b;
table e;
drop table e;
begin;
create table x (a int primary key);
insert into x values (1);
savepoint s1;
insert into x values (2);
savepoint s2;
insert into x values (1);
rollback to s2;
insert into x values (3);
rollback to savepoint s1;
insert into x values (4);
release savepoint s1;
commit;
select * from x;
begin;
insert into x values (10);
savepoint s;
delete from x;
select count(*) from x;
rollback to s;
select count(*) from x;
update x set a = a + 100;
rollback;
select * from x;
begin;
savepoint a;
insert into x values (20);
savepoint a;
insert into x values (21);
rollback to a;
release a;
rollback to a;
commit;
select * from x;
start transaction;
insert into x values (30);
end;
begin work;
insert into x values (31);
abort;
begin;
insert into x values (40);
commit and chain;
insert into x values (41);
rollback and chain;
insert into x values (42);
commit;
select * from x;
begin transaction isolation level repeatable read;
show transaction_isolation;
select count(*) from x;
set transaction isolation level read committed;
rollback;
begin read only;
select count(*) from x;
insert into x values (50);
rollback;
begin;
set transaction read only;
delete from x;
rollback;
begin;
insert into x values (1);
select 1;
insert into x values (60);
commit;
select count(*) from x where a = 60;
commit;
rollback;
begin;
begin;
commit;
set statement_timeout = '5s';
show statement_timeout;
reset statement_timeout;
show statement_timeout;
begin;
set local statement_timeout = 1000;
show statement_timeout;
commit;
show statement_timeout;
begin;
set statement_timeout = 7000;
rollback;
show statement_timeout;
show standard_conforming_strings;
set datestyle = 'ISO, DMY';
select '01/02/2024'::date;
reset datestyle;
set extra_float_digits = 0;
select 0.1::float8 + 0.2::float8;
reset extra_float_digits;
set timezone = 'America/New_York';
select timestamptz '2024-07-01 12:00+00', timestamp '2024-07-01 12:00'::timestamptz;
set timezone = 'UTC';
set bytea_output = 'escape';
select '\x0061ff'::bytea;
reset bytea_output;
prepare q (int, text) as select $1 + 1 as n, upper($2) as s;
execute q (1, 'abc');
execute q ('5', 'x');
execute q (1);
execute q ('x', 'y');
deallocate q;
prepare ins as insert into x values ($1) returning a;
execute ins (70);
execute ins (70);
execute ins (71);
deallocate all;
execute ins (72);
begin;
declare c cursor for select a from x order by a;
fetch 2 from c;
fetch from c;
fetch all from c;
close c;
commit;
drop table x;
create table cp (a int, b text, c numeric(6,2), d date, e boolean);
copy cp from stdin;
1	one	1.50	2024-01-01	t
2	tab\there	2.25	2024-01-02	f
3	\N	\N	\N	\N
4	back\\slash	0	infinity	true
\.
select * from cp;
copy cp to stdout;
copy cp (b, a) to stdout;
copy cp to stdout with (format csv);
copy cp to stdout with (format csv, header, delimiter ';', null 'NULL', force_quote (b));
copy (select a * 2, b from cp order by a) to stdout;
copy cp to stdout csv header;
copy cp from stdin with (format csv, header);
a,b,c,d,e
5,"quoted, ""text""",1.5,2024-03-03,yes
6,,,,
7,"",1,2024-01-01,no
\.
select * from cp where a > 4;
copy cp (a, b) from stdin with (delimiter '|', null '');
8|eight
9|
\.
select * from cp where a > 7;
copy cp from stdin;
x	bad	1	2024-01-01	t
\.
copy cp from stdin;
1	too few
\.
copy cp from stdin;
1	too	1	2024-01-01	t	many
\.
copy cp (a, c) from stdin;
1	12345678
\.
copy cp from stdin csv;
1,"unterminated,1,2024-01-01,t
\.
begin;
create table frozen (a int);
copy frozen from stdin with (freeze);
100
\.
commit;
select * from frozen;
drop table frozen;
copy cp from stdin with (format nonsense);
\.
copy cp from stdin with (nonsense);
\.
copy cp to stdout with (delimiter 'ab');
select count(*) from cp;
copy (select generate_series(1, 3)) to stdout;
copy (delete from cp where a = 1 returning a) to stdout;
drop table cp;
create table shift (id int primary key);
insert into shift values (1), (2), (3);
update shift set id = id + 1;
drop table shift;
