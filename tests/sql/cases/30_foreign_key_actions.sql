-- What a foreign key's action writes is held to the other constraints of the table it writes.
create table p (id integer primary key, other integer);
create table c (pid integer unique default 0 references p on delete set default on update cascade, v integer);
insert into p values (0, 0), (1, 1), (2, 2), (3, 3);
insert into c values (1, 10), (2, 20);
delete from p where id in (1, 2);
select * from c order by pid;
delete from p where id = 1;
select * from c order by pid;
delete from p where id = 2;
update p set id = id + 10 where id = 3;
insert into c values (13, 130);
update p set id = id + 10;
select * from c order by pid;
update c set pid = 10 where v = 130;
select * from c order by pid;
create table n (pid integer not null references p on delete set null);
insert into n values (13);
insert into n values (23);
delete from p where id = 23;
select * from n;
create table k (pid integer references p on delete cascade on update cascade, part integer, unique (pid, part), check (pid < 50));
insert into k values (23, 1), (23, 2), (10, 1);
update p set id = 60 where id = 23;
update p set id = 30 where id = 23;
select * from k order by pid, part;
create table deep (pid integer, part integer, note text, foreign key (pid, part) references k (pid, part) on update cascade on delete cascade);
insert into deep values (30, 1, 'a'), (30, 2, 'b'), (10, 1, 'c');
update p set id = 31 where id = 30;
select * from k order by pid, part;
select * from deep order by note;
delete from n;
delete from p where id = 31;
select * from k order by pid, part;
select * from deep order by note;
create table ruled (pid integer references p on update cascade on delete set null, twice integer generated always as (coalesce(pid, 100) * 2) stored, note text, check (pid < 50), check (twice <> 66 or note = 'allowed'), unique (twice));
insert into p values (31, 0), (32, 0);
insert into ruled values (31, default, 'a'), (32, default, 'b');
update p set id = 60 where id = 31;
update p set id = 33 where id = 31;
update p set id = 34 where id = 31;
select * from ruled order by note;
update ruled set note = 'allowed';
update p set id = 33 where id = 34;
select * from ruled where twice = 66;
delete from p where id = 33;
delete from p where id = 32;
select * from ruled order by pid;
create table tree (id integer primary key, up integer unique references tree on delete set null, name text);
insert into tree values (1, null, 'root'), (2, 1, 'two'), (3, 2, 'three');
delete from tree where id = 1;
select * from tree order by id;
update tree set up = 2 where id = 2;

-- Writing CTEs: every part of the statement sees what was there before it, and constraints are checked when all
-- of it is done.
create table shelf (id integer primary key, label text);
create table book (id integer primary key, shelf_id integer references shelf on delete cascade, title text);
insert into shelf values (1, 'a'), (2, 'b');
with put as (insert into book values (1, 1, 'x'), (2, 2, 'y') returning id)
select (select count(*) from put) as put, count(*) as seen from book;
with put as (insert into book values (3, 1, 'z'))
select count(*) as seen from book;
with gone as (delete from shelf where id = 2 returning id)
select (select count(*) from gone) as gone, (select count(*) from book) as books, (select count(*) from shelf) as shelves;
select id, shelf_id from book order by id;
-- The child's row comes before its parent's.
with child as (insert into book values (4, 9, 'late') returning shelf_id)
insert into shelf select shelf_id, 'late' from child;
select b.id, s.label from book b join shelf s on s.id = b.shelf_id order by b.id;
with child as (insert into book values (5, 77, 'lost') returning id)
update shelf set label = label || '!' where id in (select id from child);
select count(*) as lost from book where shelf_id = 77;
drop table book;
drop table shelf;

-- NO ACTION asks at the end whether somebody has the key by then, RESTRICT does not.
create table spot (id integer primary key, n integer);
create table held (id integer primary key, spot_id integer references spot);
create table strict (id integer primary key, spot_id integer references spot on update restrict on delete restrict);
insert into spot values (2), (1), (7);
insert into held values (1, 2);
update spot set id = id + 1 where id < 5;
select id from spot order by id;
update spot set id = id + 1 where id = 2;
update spot set id = id + 10 where id < 5;
with gone as (delete from spot where id = 2 returning id) insert into spot select id from gone;
with moved as (update spot set id = 10 where id = 2 returning id) insert into spot select 2 from moved;
delete from spot where id = 2;
with moved as (update spot set id = 20 where id = 2 returning id) insert into spot select 30 from moved;
select id from spot order by id;
insert into strict values (1, 7);
with gone as (delete from spot where id = 7 returning id) insert into spot select id from gone;
update spot set id = 8 - (id - 7) where id in (7);
select id from spot order by id;
drop table strict;
drop table held;
drop table spot;

-- A row that refers to several of the keys that one statement changes.
create table node (id integer primary key, x integer, unique (id, x));
insert into node select i, i * 10 from generate_series(1, 8) i;
create table edge (n integer, a integer references node on update cascade on delete set null, b integer references node on update cascade on delete set null, c integer default 8 references node on update cascade on delete set default);
insert into edge values (1, 1, 2, 3), (2, 2, 2, 2), (3, 3, 1, 2), (4, 4, 5, 6), (5, 5, 4, 4);
update node set id = id + 100 where id <= 2;
select * from edge order by n;
delete from node where id in (101, 102, 3);
select * from edge order by n;
create table both_ways (n integer, a integer references node on delete cascade, b integer references node on delete set null);
insert into both_ways values (1, 4, 5), (2, 5, 4), (3, 6, 4), (4, 6, 6);
delete from node where id in (4, 5);
select * from both_ways order by n;
select * from edge order by n;
create table overlap (n integer, a integer, x integer, b integer, foreign key (a, x) references node (id, x) on update cascade, foreign key (b, x) references node (id, x) on update cascade);
insert into overlap values (1, 6, 60, 6), (2, 7, 70, 7);
update node set x = x + 1 where id in (6, 7);
select * from overlap order by n;
update node set id = id + 200 where id in (6, 7);
select * from overlap order by n;
create table chain (id integer primary key, up integer references chain on delete cascade on update cascade, also integer references chain on delete set null on update cascade);
insert into chain values (1, null, null), (2, 1, null), (3, 2, 1), (4, null, 3), (5, 4, 2), (6, null, 5);
update chain set id = id + 10;
select * from chain order by id;
delete from chain where id in (11, 14);
select * from chain order by id;
