create table account (id integer primary key, owner text not null, balance numeric(12,2) not null check (balance >= 0));
create table transfer (id integer generated always as identity primary key, source integer references account, target integer references account, amount numeric(12,2), at timestamptz default now());
insert into account values (1, 'Ada', 100), (2, 'Edgar', 50), (3, 'Grace', 0);
begin;
update account set balance = balance - 30 where id = 1 returning owner, balance;
update account set balance = balance + 30 where id = 3;
insert into transfer (source, target, amount) values (1, 3, 30);
commit;
update account set balance = balance - 1000 where id = 2;
select owner, balance, round(100 * balance / sum(balance) over (), 1) as percent from account order by balance desc;
explain select a.owner, sum(t.amount) from transfer t join account a on a.id = t.target group by a.owner;
\d account
select count(*), sum(n) from generate_series(1, 1000000) n;
create index on transfer (target);
\dt
\l
\du
\dn
