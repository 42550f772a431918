-- The tour of the README: psql -h 127.0.0.1 -p 5433 -U postgres -a -f examples/tour.sql
create table account (id integer primary key, owner text not null, balance numeric(12,2) not null check (balance >= 0));
insert into account values (1, 'Ada', 100), (2, 'Edgar', 50), (3, 'Grace', 0);
begin;
update account set balance = balance - 30 where id = 1 returning owner, balance;
update account set balance = balance + 30 where id = 3;
commit;
update account set balance = balance - 1000 where id = 2;
select owner, balance, round(100 * balance / sum(balance) over (), 1) as percent from account order by balance desc;
explain analyze select owner from account where id = 2;
\d account
