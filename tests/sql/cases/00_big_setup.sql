-- The tables of the big_*.sql files: 100,000 rows each of people, orders, items and events, and small ones about them.
create schema big;
set search_path = big;
create table regions (id int primary key, name text not null, parent int);
create table products (id int primary key, name text not null, category text, price numeric(8,2));
create table people (id int primary key, name text, city text, age int, salary numeric(10,2), score float8, born date,
  seen timestamp, boss int, region_id int, active boolean, code char(4));
create table orders (id bigint primary key, person_id int, amount numeric(12,2), qty int, ordered date, status text, note varchar(40));
create table items (order_id bigint not null, line smallint not null, product_id int, price numeric(8,2), discount real, primary key (order_id, line));
create table events (id bigint primary key, kind smallint, person_id int, at timestamptz, value double precision, tag varchar(12));
insert into regions select i, 'region ' || i, case when i > 1 then i / 2 end from generate_series(1, 50) i;
insert into products select i, 'product ' || i, case when i % 13 <> 0 then 'category ' || (i % 17) end, (i * 7 % 1000) / 10.0 + 1 from generate_series(1, 1000) i;
insert into people
  select i, case when i % 97 <> 0 then 'name ' || (i % 5000) end, 'city ' || (i % 37), case when i % 11 <> 0 then i * 7 % 90 end,
    (i * 31 % 90000) / 8.0 + 1000, (i % 1000) / 4.0, date '1950-01-01' + i * 3 % 20000,
    timestamp '2020-01-01' + i * interval '7 minutes', case when i > 1 then i / 10 end,
    case when i % 19 <> 0 then i % 53 end, case i % 3 when 0 then true when 1 then false end, 'c' || i % 300
  from generate_series(1, 100000) i;
insert into orders
  select i, case when i % 23 <> 0 then i * 13 % 110000 end, (i * 17 % 100003) / 100.0, i % 9, date '2023-01-01' + i % 730,
    (array['new', 'paid', 'sent', 'done', 'lost'])[i % 5 + 1], case when i % 4 <> 0 then 'note ' || (i % 777) end
  from generate_series(1, 100000) i;
insert into items
  select i / 2 + 1, i % 2 + 1, case when i % 29 <> 0 then i * 11 % 1010 end, (i * 3 % 5000) / 100.0, (i % 5) / 4.0
  from generate_series(0, 99999) i;
insert into events
  select i, i % 12, i * 7 % 100000, timestamptz '2024-01-01 00:00:00+00' + i * interval '5 minutes', (i % 4096) / 16.0,
    case when i % 5 <> 0 then 'tag' || (i % 100) end
  from generate_series(1, 100000) i;
create index people_city on people (city);
create index people_region on people (region_id);
create index orders_person on orders (person_id);
create index orders_ordered on orders (ordered, status);
create index items_product on items (product_id);
create index events_person on events (person_id, at);
analyze regions;
analyze products;
analyze people;
analyze orders;
analyze items;
analyze events;
select count(*) from people;
select count(*), count(person_id), sum(amount) from orders;
select count(*), count(product_id), sum(price), sum(discount) from items;
select count(*), count(tag), sum(value) from events;
