#!/usr/bin/python3
"""Asks a PostgreSQL 15 for expected values: make_cases.py PSQL_ARGS...; writes io.tsv, numeric.tsv, calls.tsv beside it.
Each line: what \t arguments... \t answer; an error is "!SQLSTATE message"."""
import os, random, subprocess, sys
random.seed(15)
here = os.path.dirname(os.path.abspath(__file__))
rows = []  # (file, settings, key columns, sql)
def q(s): return "E'" + s.replace('\\', '\\\\').replace("'", "''") + "'"
def io(type_, text, settings=''): rows.append(('io', settings, [settings, type_, text], f"select ({q(text)}::{type_})::text"))
def num(op, a, b, sql): rows.append(('numeric', '', [op, a, b], f'select ({sql})::text'))
def call(name, args, sql, settings=''): rows.append(('calls', settings, [settings, name] + args, f'select ({sql})::text'))

for t, values in {
  'int2': ['0', ' 7 ', '-32768', '32767', '32768', '', '1.5', '+3', '- 3'], 'int4': ['2147483648', '-2147483648', 'x', '1e3'],
  'int8': ['9223372036854775807', '-9223372036854775808', '9223372036854775808', '12a'],
  'bool': ['t', 'TRUE', 'of', 'o', 'off', ' yes ', 'n', '1', '0', '2', '', 'tru', 'on'],
  'float8': ['0', '-0', '1e23', '5e-324', '1e-400', '1e400', 'nan', '-inf', 'Infinity', '1.5x', '', '0.0001', '0.00001', '1e15',
     '123456789012345', '1234567890123456', '1e14', '999999999999999.9', '.5', '5.', '+1', '0x10', '1e', '9007199254740993', '0.1',
     '1.7976931348623157e308', '2.2250738585072014e-308', '4.35', '100000', '1234567.125'],
  'float4': ['0.1', '1e6', '999999', '1000000', '0.0001', '0.00001', '3.4028235e38', '1e39', '1e-46', '16777217', '1.17549435e-38'],
  'numeric': ['0', '-0', '0.00', '1e3', '1.5e-3', '  12.30 ', 'NaN', 'inf', '-Infinity', '+inf', '1e', '', '.', '1..2', '1e131071', '1e131072',
     '1e-16383', '1e-16384', '00012.3400', '123456789012345678901234567890.123456789', '-1', '1_0', '5e0', '.5', '5.'],
  'numeric(5,2)': ['999.99', '999.995', '-999.994', '1000', 'NaN', 'inf', '0.005', '-0.005'], 'numeric(3,5)': ['0.00999', '0.01'], 'numeric(2,-3)': ['12345', '99499', '99500'],
  'uuid': ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{A0EEBC99-9C0B4ef8-BB6D6BB9-BD380A11}', 'a0eebc99', 'a0eebc999c0b4ef8bb6d6bb9bd380a11'],
  'oid': ['0', '4294967295', '4294967296', '-1', 'x'], 'bytea': ['\\x00ff', '\\xDEAD beef', 'abc\\\\\\001', '\\x1', '\\xzz', 'a\\8'],
  'name': ['x' * 70, 'ab'], 'text': ['', 'héé'], 'pg_lsn': ['16/B374D848', '0/0', 'x'], 'tid': ['(1,2)', '(1)'],
  'int4[]': ['{}', '{1,2}', '{ 1 , NULL }', '[2:3]={1,2}', '[0:1][1:1]={{1},{2}}', '{{1,2},{3}}', '{1', '1', '{1,}', '{a}', '{1}x', '[1:3]={1,2}', '{{1,2},{3,4}}', '{{{1}}}'],
  'text[]': ['{a,"b c",""}', '{"NULL",null}', '{"a\\"b","c\\\\d"}', '{ a b , c }', '{"x",{y}}', '{a"b}'], 'numeric(4,1)[]': ['{1.25,NaN,NULL}', '{10000}'],
  'int2vector': ['1 2 3', ''], 'oidvector': ['1 2'],
  'json': ['{"a": [1, 2.5e3, true, null, "x\\\\u00e9"]}', '{', '[1,]', '{"a" 1}', 'nul', '"a', '01', '', '[1] x', '{1:2}', '"\t"', '[}', '1.', '-'],
}.items():
  for v in values: io(t, v)
for _ in range(150):
  io('float8', repr(random.uniform(-1, 1) * 10 ** random.randint(-300, 300)))
  io('float4', '%.9g' % (random.uniform(-1, 1) * 10 ** random.randint(-36, 36)))

dates = ['1999-01-08', 'January 8, 1999', '1/8/1999', '1/18/1999', '18/1/1999', '01/02/03', '1999-Jan-08', 'Jan-08-1999', '08-Jan-1999', '99-Jan-08', '08-Jan-99',
  'Jan-08-99', '19990108', '990108', '1999.008', 'J2451187', 'January 8, 99 BC', 'epoch', 'infinity', '-infinity', '2024-02-30', '2023-02-29', '2024-13-01', '0000-01-01',
  '4713-11-24 BC', '4714-11-24 BC', '4714-11-23 BC', '5874897-12-31', '5874898-01-01', '', 'x', '2024', '2024-01', '99-1-1', 'Thu Feb 10 2000', '10 Feb 2000', 'feb 10 00', '2000-02-29 BC',
  '2024-01-01 12:34', '12:00', '1.1.2020', '2020.1.1', '31.12.99', '2024-001', '2024 366', '10000-01-01', '12345678', '2024/3/4', 'Jan 1 2024 AD', '2024-1-1x', '8 Jan', '1-2-3-4']
stamps = ['2004-10-19 10:23:54', '2004-10-19 10:23:54+02', '2004-10-19T10:23:54Z', '20041019T102354', '20041019 102354.5', '2004-10-19 10:23:54.1234567', '2004-10-19 10:23:54 PST',
  '2004-10-19 10:23:54 America/New_York', '2004-10-19 10:23:54 europe/berlin', '2004-10-19 10:23:54 AM', '2004-10-19 12:23 AM', '2004-10-19 12:23 PM', '2004-10-19 13:00 PM', '2004-10-19 24:00:00',
  '2004-10-19 24:00:01', '2004-10-19 23:59:60', '2004-10-19 23:60', 'Wed Dec 17 07:37:16 1997 PST', 'Dec 17 07:37:16 1997', '1997-12-17 07:37:16-08:30', '1997-12-17 07:37:16-0830',
  '1997-12-17 07:37:16+16', '294276-12-31 23:59:59.999999', '294277-01-01', '4714-11-24 00:00:00 BC', '4714-11-23 BC', 'epoch', 'infinity', '2000-01-01 00:00:00 nozone', '1990-01-01 allballs',
  '2024-03-10 02:30', '2024-11-03 01:30', '2024-03-31 02:30', '2024-10-27 02:30', '2050-07-01 12:00', '2050-03-13 02:30', '2099-12-31 00:00', '1900-01-01 00:00', '1800-01-01', '0044-03-15 BC', '2004-10-19 10', '2004-10-19 10:23:54 +5', '2004-10-19 1023', '10:23 2004-10-19', 'Oct 19 2004 at 10:23 pm', '', '2004-10-19 10:2x']
times = ['04:05:06.789', '04:05:06', '04:05', '040506', '0405', '04:05 AM', '04:05 PM', '04:05:06.789-8', '04:05:06-08:00', '040506-08', '04:05:06 PST', 'allballs', '24:00', '24:00:01', '25:00', '23:59:60', '12:60', 'x', '',
  '2003-04-12 04:05:06 America/New_York', '04:05:06 America/New_York', '1:2:3', '04:05:06.1234567', '2003-03-07 15:36:39']
intervals = ['1 day', '1 year 2 mons 3 days 04:05:06.7', '-1 day', '1 day -00:00:01', '@ 1 hour ago', '1-2', '-1-2', '1 2:03', '3 4:05:06', '1.5 days', '1.5 months', '1.5 years', '0.1 month', '1 week', '2.5 weeks', '1 decade', '1 century', '1 millennium',
  'P1Y2M3DT4H5M6S', 'P0001-02-03T04:05:06', 'PT1.5S', 'P-1Y', 'P1W', 'P', 'PT', '10', '1 s 2 s', '1 fortnight', '', '5 microseconds', '1.5 ms', '100:00:00', '2147483648 years', '178956970 years 8 mons', '-1 years 2 mons', '1 mon -1 day', '+1 day', '1 day 2 hours 3 minutes 4.5 seconds', '-0:00:01', '1y 2mon', '00:00:60', '00:61:00', '1 hour 1:00', '0.5 hour', '-1.5 hours', '1 day ago 2 hours', '12:34.5', '0', '1:2', '3 months ago', '1 mon 40 days 100 hours', '-1 mon -40 days -100 hours', '9223372036854775807 microseconds']
def style(d, i='postgres', z='UTC'): return f'{d};{i};{z}'
for s in [style('ISO, MDY'), style('ISO, DMY'), style('ISO, YMD'), style('SQL, MDY', z='America/New_York'), style('Postgres, DMY', z='Europe/Berlin'), style('German, DMY', z='Asia/Kolkata'), style('Postgres, MDY', z='America/New_York')]:
  for v in dates: io('date', v, s)
  for v in stamps: io('timestamp', v, s); io('timestamptz', v, s)
for v in times: io('time', v, style('ISO, MDY')); io('timetz', v, style('ISO, MDY', z='Asia/Kolkata'))
# No zone whose future is a forecast (Africa/Casablanca): it changes with each tzdata.
for z in ['America/New_York', 'Europe/Berlin', 'Australia/Sydney', 'America/Sao_Paulo', 'Asia/Tehran', 'Pacific/Apia', 'Europe/Dublin', 'EST5EDT', '<+03>-03']:
  for _ in range(60):
    io('timestamptz', '%04d-%02d-%02d %02d:%02d:%02d' % (random.randint(1850, 2100), random.randint(1, 12), random.randint(1, 28), random.randint(0, 23), random.randint(0, 59), random.randint(0, 59)), style('ISO, MDY', z=z))
for s in ['postgres', 'postgres_verbose', 'sql_standard', 'iso_8601']:
  for v in intervals: io('interval', v, style('ISO, MDY', s))
for t in ['interval year', 'interval year to month', 'interval day to hour', 'interval minute to second', 'interval hour', 'interval(2)', 'interval second(1)']:
  for v in ['1', '1 year 2 mons 3 days 04:05:06.789', '2:03', '1-2']: io(t, v, style('ISO, MDY'))
io('timestamp(2)', '2004-10-19 10:23:54.126', style('ISO, MDY')); io('time(0)', '23:59:59.6', style('ISO, MDY')); io('timestamptz(3)', '1999-12-31 23:59:59.9996', style('ISO, MDY'))

def rnd():
  k = random.randint(0, 5)
  if k == 0: return str(random.randint(-1000, 1000))
  if k == 1: return '%.*f' % (random.randint(0, 6), random.uniform(-1e6, 1e6))
  if k == 2: return str(random.randint(-10**40, 10**40)) + '.' + str(random.randint(0, 10**random.randint(1, 30)))
  if k == 3: return '0.' + '0' * random.randint(0, 25) + str(random.randint(1, 10**8))
  if k == 4: return str(random.randint(1, 99)) + '0' * random.randint(0, 30)
  return '%.3f' % random.uniform(-10, 10)
special = ['0', '0.000', '1', '-1', 'NaN', 'Infinity', '-Infinity', '10', '0.5', '-2', '2', '3.0', '1e-30', '1e40']
pairs = [(a, b) for a in special for b in special] + [(rnd(), rnd()) for _ in range(700)]
for a, b in pairs:
  x, y = f"'{a}'::numeric", f"'{b}'::numeric"
  for op in '+-*/%': num(op, a, b, f'{x} {op} {y}')
  num('div', a, b, f'div({x},{y})')
  num('cmp', a, b, f'case when {x}<{y} then -1 when {x}>{y} then 1 else 0 end')
for a, b in [(a, b) for a in special for b in special[:12]] + [('%.3f' % random.uniform(0.001, 40), '%.2f' % random.uniform(-30, 30)) for _ in range(150)] + [('%.4f' % random.uniform(-30, 30), str(random.randint(-20, 40))) for _ in range(100)]:
  num('power', a, b, f"power('{a}'::numeric,'{b}'::numeric)")
  num('log', a, b, f"log('{a}'::numeric,'{b}'::numeric)")
for a in special + [rnd() for _ in range(200)] + ['1.00001', '0.99999', '1.1', '0.9', '0.0002', '0.00002', '12345678', '99999999.99', '5000', '-5000', '6000', '700.5', '1e100', '1e-100']:
  for f in ['sqrt', 'exp', 'ln', 'ceil', 'floor', 'abs', 'sign', 'min_scale', 'trim_scale']: num(f, a, '', f"{f}('{a}'::numeric)")
  for f in ['round', 'trunc']:
    for s in [0, 2, -2, 25]: num(f, a, str(s), f"{f}('{a}'::numeric, {s})")
  for t in ['int2', 'int4', 'int8', 'float8', 'float4']: num(t, a, '', f"'{a}'::numeric::{t}")
for a, b in [('12', '18'), ('1.2', '0.18'), ('0', '5'), ('-12.00', '8'), ('NaN', '1')]:
  num('gcd', a, b, f"gcd('{a}'::numeric,'{b}'::numeric)"); num('lcm', a, b, f"lcm('{a}'::numeric,'{b}'::numeric)")
for v in ['1.5', '2.5', '1e20', '1234567890.12345678', '0.1', 'NaN', '1e-7', '-1e300', '1e15']:
  num('from8', v, '', f"'{v}'::float8::numeric"); num('from4', v, '', f"'{v}'::float8::float4::numeric") if v != '-1e300' else None

ny = style('ISO, MDY', z='America/New_York')
ts = ['2024-01-31 12:34:56.789', '2000-02-29 00:00:00', '0044-03-15 01:02:03 BC', '1999-12-31 23:59:59.999999', '2024-03-10 01:59:59', '2024-11-03 00:30:00', 'infinity', '-infinity', '2021-01-03 05:06:07', '2100-06-15 10:00:00']
iv = ['1 mon', '-1 mon', '1 year 1 day', '1 day', '24:00:00', '-25:30:15.5', '13 mons 40 days 100 hours', '-1 mon 30 days', '1.5 years', '0']
for t in ts:
  for u in ['microseconds', 'milliseconds', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', 'decade', 'century', 'millennium', 'julian', 'isoyear', 'dow', 'isodow', 'doy', 'epoch', 'timezone', 'timezone_hour', 'timezone_minute', 'foo']:
    call('extract_ts', [u, t], f"extract({u} from '{t}'::timestamp)", ny); call('extract_tz', [u, t], f"extract({u} from '{t}'::timestamptz)", ny)
    call('extract_date', [u, t], f"extract({u} from '{t}'::date)", ny)
    call('trunc_ts', [u, t], f"date_trunc('{u}', '{t}'::timestamp)", ny); call('trunc_tz', [u, t], f"date_trunc('{u}', '{t}'::timestamptz)", ny)
  for i in iv:
    call('ts_add', [t, i], f"'{t}'::timestamp + '{i}'::interval", ny); call('tz_add', [t, i], f"'{t}'::timestamptz + '{i}'::interval", ny)
  for t2 in ts:
    call('ts_sub', [t, t2], f"'{t}'::timestamp - '{t2}'::timestamp", ny)
    if 'inf' not in t + t2: call('age', [t, t2], f"age('{t}'::timestamp, '{t2}'::timestamp)", ny)
for i in iv:
  for f in ['justify_hours', 'justify_days', 'justify_interval']: call(f, [i], f"{f}('{i}'::interval)", ny)
  for m in ['2', '0.5', '-1.5', '0.1', '3.3', '7']:
    call('iv_mul', [i, m], f"'{i}'::interval * {m}", ny); call('iv_div', [i, m], f"'{i}'::interval / {m}", ny)
  for u in ['microseconds', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', 'decade', 'epoch', 'dow']:
    call('extract_iv', [u, i], f"extract({u} from '{i}'::interval)", ny); call('trunc_iv', [u, i], f"date_trunc('{u}', '{i}'::interval)", ny)
for z in ['UTC', 'EST', 'America/New_York', '+3', '<+03>-03', 'nozone', 'cest', '-03:30']:
  for t in ts[:4]:
    call('at_zone_tz', [z, t], f"'{t}'::timestamptz at time zone '{z}'", ny); call('at_zone_ts', [z, t], f"'{t}'::timestamp at time zone '{z}'", ny)

sql = ["""create temp table answers(n int, a text);
create function pg_temp.try(q text) returns text language plpgsql as $$ declare r text; begin execute q into r; return coalesce(r, '\\N');
exception when others then return '!' || sqlstate || ' ' || sqlerrm; end $$;"""]
current = None
for n, (_, settings, _, s) in enumerate(rows):
  if settings != current:
    current = settings
    d, i, z = (settings or style('ISO, MDY')).split(';')
    sql.append(f"set datestyle='{d}'; set intervalstyle='{i}'; set timezone='{z}';")
  sql.append(f'insert into answers select {n}, pg_temp.try($q${s}$q$);')
sql.append("copy (select n, a from answers order by n) to stdout")
out = subprocess.run(['psql', '-X', '-q'] + sys.argv[1:], input='\n'.join(sql) + ';\n', capture_output=True, text=True)
if out.stderr.strip(): sys.stderr.write(out.stderr[:2000])
answers = dict(l.split('\t', 1) for l in out.stdout.splitlines())
esc = lambda s: s.replace('\\', '\\\\').replace('\t', '\\t').replace('\n', '\\n')
files = {f: open(os.path.join(here, f + '.tsv'), 'w') for f in ('io', 'numeric', 'calls')}
for n, (f, _, key, _) in enumerate(rows):
  a = answers[str(n)]  # COPY's escapes are ours
  if len(a) < 3000: files[f].write('\t'.join([esc(k) for k in key] + [a]) + '\n')
