begin
begin work isolation level serializable, read only, deferrable
begin transaction isolation level repeatable read read write not deferrable
start transaction isolation level read committed
start transaction isolation level read uncommitted
commit
commit work
end
end transaction and chain
commit and no chain
rollback
abort
rollback and chain
savepoint s
release s
release savepoint s
rollback to s
rollback work to savepoint s
prepare transaction 'x'
commit prepared 'x'
rollback prepared 'x'
set a = 1
set a to 'b', c, 2.5, -1
set local a.b to on
set session a to default
set x from current
set time zone 'utc'
set time zone local
set time zone default
set time zone -5
set time zone interval '1' hour to minute
set local time zone europe
set names 'utf8'
set names
set role joe
set role 'none'
set session authorization joe
set session authorization default
set schema 's'
set xml option document
set transaction isolation level serializable
set local transaction read only
set transaction snapshot 'abc'
set session characteristics as transaction read only, isolation level serializable
set constraints all deferred
set constraints a, s.b immediate
set search_path to public, "$user"
set client_min_messages = warning
set datestyle to iso, dmy
reset a
reset all
reset a.b
reset time zone
reset session authorization
reset transaction isolation level
show a
show a.b
show all
show time zone
show transaction isolation level
show session authorization
prepare p as select 1
prepare p (int, text) as insert into t values ($1, $2)
prepare p as with a as (select 1) select * from a
execute p
execute p (1, 'a' || 'b')
deallocate p
deallocate prepare p
deallocate all
deallocate prepare all
declare c cursor for select 1
declare c binary insensitive scroll cursor with hold for select 1
declare c no scroll cursor without hold for values (1)
fetch c
fetch from c
fetch next from c
fetch prior in c
fetch first from c
fetch last c
fetch absolute -5 from c
fetch relative 3 c
fetch 10 from c
fetch -10 c
fetch all in c
fetch forward c
fetch forward 5 from c
fetch forward all from c
fetch backward from c
fetch backward 5 c
fetch backward all c
move 5 in c
move c
close c
close all
explain select 1
explain analyze select 1
explain verbose select 1
explain analyze verbose delete from t
explain (analyze, verbose off, costs false, format json, buffers on) select 1
explain (select 1)
explain insert into t values (1)
explain update t set a = 1
explain execute p (1)
explain declare c cursor for select 1
explain create table t as select 1
analyze
analyze t
analyze verbose t (a, b), s.u
analyze (verbose) t
analyse t
vacuum
vacuum t
vacuum full t
vacuum full freeze verbose analyze t (a)
vacuum analyze
vacuum (full, analyze, parallel 2, index_cleanup auto) a, b
checkpoint
lock t
lock table only a, b in access share mode
lock table t in row share mode nowait
lock t in row exclusive mode
lock t in share update exclusive mode
lock t in share mode
lock t in share row exclusive mode
lock t in exclusive mode
lock t in access exclusive mode
listen c
notify c
notify c, 'x'
unlisten c
unlisten *
discard all
discard plans
discard sequences
discard temp
discard temporary
do $$ begin end $$
do language plpgsql 'x'
do 'x' language plpgsql
reindex table t
reindex index concurrently s.i
reindex (verbose) table t
reindex schema s
reindex database d
reindex system d
cluster
cluster t
cluster t using i
cluster verbose t
cluster i on t
copy t from stdin
copy t to stdout
copy s.t (a, b) from '/x'
copy t to program 'cat'
copy (select 1) to stdout
copy (insert into t values (1) returning a) to stdout
copy t from stdin with (format csv, header true, delimiter ',', null '', quote '"', escape '\', force_not_null (a, b), force_null (c), encoding 'utf8', freeze)
copy t to stdout with (format 'csv', force_quote *)
copy t to stdout (format binary)
copy t from stdin where a > 1
copy t from stdin with csv
copy binary t from stdin
copy t from stdin with binary
copy t from stdin using delimiters ','
copy t from stdin with delimiter as '|' null as 'x' csv quote '"' escape '\' force not null a, b
copy t to stdout csv force quote a, b
copy t to stdout csv force quote *
grant select on t to joe
grant select, insert (a, b), update on table s.t, u to joe, public with grant option
grant all on t to joe
grant all privileges on all tables in schema s, r to joe
grant all (a) on t to joe
grant usage on schema s to joe
grant usage, select on sequence s to joe
grant usage on all sequences in schema s to joe
grant execute on function f(int), g to joe
grant execute on all functions in schema s to joe
grant execute on procedure p to joe
grant execute on routine r to joe
grant connect, temp on database d to joe
grant usage on language l to joe
grant usage on type t to joe
grant usage on domain d to joe
grant create on tablespace t to joe
grant usage on foreign server s to joe
grant usage on foreign data wrapper f to joe
grant select on large object 123 to joe
grant set, alter system on parameter a.b, c to joe
grant select on t to joe granted by current_user
grant a, b to c, d
grant a to b with admin option granted by c
revoke select on t from joe
revoke grant option for select on t from joe cascade
revoke all on schema s from public restrict
revoke a from b
revoke admin option for a from b cascade
alter default privileges grant select on tables to joe
alter default privileges for role a in schema s grant all on functions to public with grant option
alter default privileges in schema s revoke grant option for select on sequences from joe cascade
create role r
create role r with login superuser createdb createrole inherit replication bypassrls connection limit 5 password 'x' valid until 'y'
create role r nologin nosuperuser nocreatedb nocreaterole noinherit noreplication nobypassrls password null
create role r in role a, b role c admin d sysid 5
create user u password 'x'
create user u encrypted password 'x'
create group g user a
alter role r with login
alter role r password 'x' valid until 'y'
alter user u rename to v
alter role r set a to 1
alter role all set a to 'b'
alter role r in database d reset a
alter role current_user reset all
alter group g add user a, b
alter group g drop user a
alter database d set a to 1
alter database d reset all
alter database d rename to e
alter database d owner to joe
alter database d connection limit 5
alter database d set tablespace t
create database d
create database d with owner = joe template template0 encoding 'utf8' connection limit = 5 lc_collate = 'C' is_template true allow_connections default
alter system set a = 1
alter system reset a
alter system reset all
