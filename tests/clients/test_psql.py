"""psql: statements, backslash commands, COPY, variables."""
import subprocess


def psql(context, *arguments, stdin=None):
    return subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(context.server.port), "-U", "postgres", "-d", "postgres", *arguments],
                          input=stdin, capture_output=True, text=True, timeout=120)


SCHEMA = """
drop table if exists film, actor cascade;
drop view if exists long_film;
drop sequence if exists ticket;
create table actor (id serial primary key, name text not null unique);
create table film (
  id bigint generated always as identity primary key,
  title varchar(40) not null,
  minutes integer default 90 check (minutes > 0),
  price numeric(6,2),
  lead integer references actor (id) on delete cascade,
  seen timestamptz);
create index film_title on film (title, minutes desc);
create view long_film as select title, minutes from film where minutes > 120;
create sequence ticket increment by 5;
comment on table film is 'what is shown';
"""


def test_describe_family(context):
    assert psql(context, "-v", "ON_ERROR_STOP=1", stdin=SCHEMA).returncode == 0
    cases = {
        r"\d": ["List of relations", "film", "actor", "long_film", "ticket", "sequence", "view"],
        r"\dt": ["public | actor | table | postgres", "public | film  | table | postgres"],
        r"\dt film": ["film"],
        r"\di": ["film_pkey", "film_title", "actor_name_key"],
        r"\dv": ["long_film"],
        r"\ds": ["ticket", "actor_id_seq"],
        r"\dn": ["public"],
        r"\du": ["postgres", "Superuser"],
        r"\l": ["postgres", "UTF8"],
        r"\d+ film": ["minutes"],
        r"\d film": ['Table "public.film"', "generated always as identity", "character varying(40)", "numeric(6,2)", "timestamp with time zone", '"film_pkey" PRIMARY KEY, btree (id)',
                     '"film_title" btree (title, minutes DESC)', '"film_minutes_check" CHECK (minutes > 0)',
                     '"film_lead_fkey" FOREIGN KEY (lead) REFERENCES actor(id) ON DELETE CASCADE'],
        r"\d actor": ["nextval('actor_id_seq'::regclass)", '"actor_name_key" UNIQUE CONSTRAINT, btree (name)', "Referenced by:", 'TABLE "film" CONSTRAINT "film_lead_fkey"'],
        r"\d long_film": ['View "public.long_film"', "minutes"],
        r"\d film_title": ['Index "public.film_title"', "title", "btree"],
        r"\d ticket": ['Sequence "public.ticket"', "bigint"],
        r"\dT": [], r"\df": [], r"\dp film": ["film"], r"\conninfo": ["postgres"], r"\encoding": ["UTF8"],
    }
    failures = []
    for command, expected in cases.items():
        done = psql(context, "-v", "ON_ERROR_STOP=1", "-c", command)
        if done.returncode != 0 or "ERROR" in done.stderr:
            failures.append(f"{command}: {done.stderr}")
        failures += [f"{command}: no {e!r} in\n{done.stdout}" for e in expected if e not in done.stdout]
    assert not failures, "\n".join(failures)


def test_describe_is_what_postgresql_says(context):
    """The same text from both servers, but for the owner's privileges and sizes."""
    for sql in (SCHEMA,):
        assert psql(context, "-v", "ON_ERROR_STOP=1", stdin=sql).returncode == 0
        context.postgres.sql(sql)
    failures = []
    for command in (r"\d", r"\dt", r"\di", r"\dv", r"\ds", r"\d film", r"\d actor", r"\d long_film", r"\d film_title", r"\d ticket", r"\d film_pkey"):
        ours = psql(context, "-c", command).stdout
        theirs = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(context.postgres.port), "-U", "postgres", "-c", command], capture_output=True, text=True).stdout
        only_ours = [line for line in ours.splitlines() if line not in theirs.splitlines()]
        only_theirs = [line for line in theirs.splitlines() if line not in ours.splitlines()]
        # The table of another test may be in the list of ours.
        if only_theirs or (command not in (r"\d", r"\dt", r"\di", r"\ds") and only_ours):
            failures.append(f"{command}\nours:\n{ours}\npostgresql:\n{theirs}")
    assert not failures, "\n".join(failures)


def test_scripts_and_errors(context):
    done = psql(context, stdin="select 1 as one;\nselect nothing_here;\nselect 'ok' as after;\n")
    assert "(1 row)" in done.stdout and "after" in done.stdout
    assert 'ERROR:  column "nothing_here" does not exist\nLINE 1: select nothing_here;\n               ^' in done.stderr, done.stderr
    assert psql(context, "-v", "ON_ERROR_STOP=1", stdin="select 1/0;").returncode == 3
    done = psql(context, "-v", "x=5", stdin="select :x + 1;\n\\gset\nselect 1 \\gdesc\n\\timing on\nselect 2;\n")
    assert "6" in done.stdout and "Time:" in done.stdout, done.stdout + done.stderr


def test_copy_round_trip(context):
    text = "".join(f"{i}\tname {i}\t{i * 1.5}\n" for i in range(5000))
    psql(context, "-c", "drop table if exists round_trip; create table round_trip (i int primary key, t text, f float8)")
    done = psql(context, "-v", "ON_ERROR_STOP=1", "-c", "copy round_trip from stdin", stdin=text)
    assert done.stdout == "COPY 5000\n", done
    assert psql(context, "-c", "copy (select * from round_trip order by i) to stdout").stdout.replace(".0\n", "\n") == text.replace(".0\n", "\n")
    done = psql(context, "-At", "-c", "\\copy (select count(*), sum(f) from round_trip) to stdout with (format csv, header)")
    assert done.stdout.splitlines()[0] == "count,sum", done
