-- Trigger functions: what they say of rows of all kinds of tables.

create schema tt

select pgq.create_queue('tq')

create function tt.show() returns setof text language plpgsql as $$
declare r record;
begin
    for r in execute 'select concat_ws('' | '', coalesce(ev_type, ''NULL''), coalesce(ev_data, ''NULL''), coalesce(ev_extra1, ''NULL''), coalesce(ev_extra2, ''NULL''), coalesce(ev_extra3, ''NULL''), coalesce(ev_extra4, ''NULL'')) as x from ' || pgq.current_event_table('tq') || ' order by ev_id' loop
        return next r.x;
    end loop;
    execute 'delete from ' || pgq.current_event_table('tq');
end $$

create type tt.mood as enum ('sad', 'o k')

create type tt.pair as (a int, b text)

create domain tt.pos as int check (value > 0)

create domain tt.day as date

create domain tt.yes as bool

create table tt.t (id int, "Id 2" text, b bool, i2 int2, i8 int8, n numeric, f4 float4, f8 float8, d date, ts timestamp, tz timestamptz, ti time, tiz timetz, iv interval, js json, jb jsonb, arr int[], tarr text[], by bytea, u uuid, o oid, rc regclass, m tt.mood, p tt.pair, po tt.pos, da tt.day, ye tt.yes, ch char(5), vc varchar(9), xm xml, inn inet, ci cidr, mac macaddr, rg int4range, tq tsvector, qu tsquery, "we ird""%" text, bt bit(3), vb varbit, nm name, c "char", po2 point, bx box, ja json[], da2 date[], tx xid, primary key (id, "Id 2"))

create trigger logutriga after insert or update or delete on tt.t for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt.t for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert or update or delete on tt.t for each row execute procedure pgq.jsontriga('tq')

insert into tt.t values (1, 'a=b&c d', true, 2, 3, 1.50, 1.5, 1e300, '2024-02-03', '2024-02-03 04:05:06.789', '2024-02-03 04:05:06+02', '01:02:03', '01:02:03+05:30', '1 day 02:00', '{"a": 1}', '{"a":[1,null]}', '{1,null,3}', '{"a b","c\"d"}', '\x00ff', '11111111-2222-3333-4444-555555555555', 7, 'pg_class', 'o k', '(1,"x y")', 5, '2024-02-29', true, 'ab', 'vc', '<a>x</a>', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '[1,5)', 'a b', 'a & b', 'we ''quoted'' \back', '101', '1', 'nm', 'z', '(1,2)', '((1,1),(0,0))', array['{"x": "y"}'::json], '{2024-01-01}', '77')

select * from tt.show()

insert into tt.t (id, "Id 2", f8, f4, n, d, ts, tz, po, vc, p, arr, i8, i2, b) values (2, '', 'NaN', 'Infinity', 'NaN', 'infinity', '-infinity', 'infinity', 1, '', '(,)', '{}', -9223372036854775808, -32768, false)

select * from tt.show()

insert into tt.t (id, "Id 2", d, ts, tz, vc, f8, f4, n) values (-3, E'é ☃ 😀 tab\tnl\ncr\rbs\bff\f', '0044-03-15 BC', '0044-03-15 10:00 BC', '0044-03-15 10:00+00 BC', E'\x01\x1f\x7f/', 0.1, 0.1, 123456789012345678901234567890.123456789)

select * from tt.show()

insert into tt.t (id, "Id 2", vc, "we ird""%") values (4, E'<>&;+%25\\', E'''""''', E'\\'), (5, repeat('long ', 1000), '-_.~*', ' ')

select * from tt.show()

update tt.t set vc = 'new' where id = 1

update tt.t set vc = vc where id = 2

update tt.t set vc = null, b = null, arr = null where id = 1

update tt.t set b = true, d = '10000-01-01', ts = '294276-12-31 23:59:59.999999', tz = '4713-01-01 00:00:00+00 BC' where id = 2

update tt.t set p = null where id = 2

update tt.t set p = '(,)' where id = 2

update tt.t set "we ird""%" = 'x' where id = 4

select * from tt.show()

delete from tt.t

select * from tt.show()

create table tt."We.ird ""T" (id int primary key, "Sp ace" text, "ünï" text, "select" int, "A" int)

create trigger logutriga after insert or update or delete on tt."We.ird ""T" for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt."We.ird ""T" for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert or update or delete on tt."We.ird ""T" for each row execute procedure pgq.jsontriga('tq')

insert into tt."We.ird ""T" values (1, 'a', 'b', 2, 3)

update tt."We.ird ""T" set "select" = 5, "A" = null

select * from tt.show()

create table tt.nokey (a int unique not null, b text)

create trigger logutriga after insert or update or delete on tt.nokey for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt.nokey for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert or update or delete on tt.nokey for each row execute procedure pgq.jsontriga('tq')

insert into tt.nokey values (1, 'a')

update tt.nokey set b = 'c'

delete from tt.nokey

select * from tt.show()

create table tt.ko (a int, b text, c text, primary key (c, a))

create trigger logutriga after insert or update or delete on tt.ko for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt.ko for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert or update or delete on tt.ko for each row execute procedure pgq.jsontriga('tq')

insert into tt.ko values (1, 'a', 'k')

update tt.ko set b = '2'

delete from tt.ko

select * from tt.show()

create table tt.nn (a int, b text, c text)

create trigger sqltriga after insert or update or delete on tt.nn for each row execute procedure pgq.sqltriga('tq', 'pkey=b,a')

insert into tt.nn values (1, null, 'c')

update tt.nn set c = 'd'

update tt.nn set c = c

delete from tt.nn

select * from tt.show()

drop trigger sqltriga on tt.nn

create trigger logutriga after insert or update or delete on tt.nn for each row execute procedure pgq.logutriga('tq', 'pkey=b,a')

create trigger jsontriga after insert or update or delete on tt.nn for each row execute procedure pgq.jsontriga('tq', 'pkey=b,a')

update tt.nn set c = 'd'

update tt.nn set c = c

delete from tt.nn

select * from tt.show()

create table tt.dg (x int, id int primary key, b text, g text generated always as (b || '!') stored, d int default 7)

alter table tt.dg drop column x

create trigger logutriga after insert or update or delete on tt.dg for each row execute procedure pgq.logutriga('tq', 'ev_extra3=g || id', 'when=d = 7')

create trigger sqltriga after insert or update or delete on tt.dg for each row execute procedure pgq.sqltriga('tq', 'ev_extra3=g || id', 'when=d = 7')

create trigger jsontriga after insert or update or delete on tt.dg for each row execute procedure pgq.jsontriga('tq', 'ev_extra3=g || id', 'when=d = 7')

insert into tt.dg values (1, 'a')

update tt.dg set b = 'z'

alter table tt.dg add column e text default 'new'

update tt.dg set b = 'y'

alter table tt.dg rename column b to bb

update tt.dg set bb = 'yy'

alter table tt.dg alter column id type bigint

update tt.dg set bb = 'yyy'

delete from tt.dg

select * from tt.show()

drop trigger logutriga on tt.dg

drop trigger sqltriga on tt.dg

drop trigger jsontriga on tt.dg

create trigger logutriga before insert or update or delete on tt.dg for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga before insert or update or delete on tt.dg for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga before insert or update or delete on tt.dg for each row execute procedure pgq.jsontriga('tq')

insert into tt.dg values (1, 'a')

update tt.dg set bb = 'z'

update tt.dg set d = 8

delete from tt.dg

select * from tt.show()

create table tt.pt (id int, b text, primary key (id)) partition by range (id)

create table tt.pt1 partition of tt.pt for values from (0) to (10)

create table tt.pt2 (b text, z int, id int not null)

alter table tt.pt2 drop column z

alter table tt.pt attach partition tt.pt2 for values from (10) to (20)

create trigger logutriga after insert or update or delete on tt.pt for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt.pt for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert or update or delete on tt.pt for each row execute procedure pgq.jsontriga('tq')

insert into tt.pt values (1, 'a'), (11, 'b')

update tt.pt set b = 'z'

update tt.pt set id = 12 where id = 1

delete from tt.pt

select * from tt.show()

create table tt.par (id int primary key, v text)

create table tt.chi (w text, primary key (id)) inherits (tt.par)

create trigger logutriga after insert or update or delete on tt.par for each row execute procedure pgq.logutriga('tq')

insert into tt.par values (1, 'p')

insert into tt.chi values (2, 'c', 'w')

update tt.par set v = 'x'

select * from tt.show()

create view tt.v as select * from tt.ko

create trigger v instead of insert or update or delete on tt.v for each row execute procedure pgq.logutriga('tq')

insert into tt.v values (7, 'q', 'r')

select * from tt.show()

drop trigger v on tt.v

create trigger v instead of insert on tt.v for each row execute procedure pgq.logutriga('tq', 'SKIP')

insert into tt.v values (7, 'q', 'r')

select * from tt.show()

create table tt.e ()

create trigger logutriga after insert on tt.e for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert on tt.e for each row execute procedure pgq.sqltriga('tq')

create trigger jsontriga after insert on tt.e for each row execute procedure pgq.jsontriga('tq')

insert into tt.e default values

select * from tt.show()

create temp table tmp (id int primary key)

create trigger sqltriga after insert or update or delete on tmp for each row execute procedure pgq.sqltriga('tq')

insert into tmp values (1)

update tmp set id = id

select replace(s, (select nspname from pg_namespace where oid = pg_my_temp_schema()), 'TEMP') from tt.show() s

create table tt.u (id int primary key, v numeric)

create trigger logutriga after insert or update or delete on tt.u for each row execute procedure pgq.logutriga('tq', 'backup')

create trigger sqltriga after insert or update or delete on tt.u for each row execute procedure pgq.sqltriga('tq', 'backup')

create trigger jsontriga after insert or update or delete on tt.u for each row execute procedure pgq.jsontriga('tq', 'backup')

insert into tt.u values (1, 1.0)

select * from tt.show()

--! differs key_updates
--! theirs ERROR XX000: primary key update not allowed
update tt.u set id = 2

--! differs key_updates
--! theirs show text
--! ours show text
--! ours {"op":"DELETE","table":["tt","u"],"pkey":["id"]} | {"id":1,"v":"1.0"} | tt.u | NULL | NULL | NULL
--! ours {"op":"INSERT","table":["tt","u"],"pkey":["id"]} | {"id":2,"v":"1.0"} | tt.u | NULL | NULL | NULL
--! ours D:id | id=1&v=1.0 | tt.u | NULL | NULL | NULL
--! ours I:id | id=2&v=1.0 | tt.u | NULL | NULL | NULL
--! ours U | id='2' where id='1' | tt.u | id=1&v=1.0 | NULL | NULL
select * from tt.show()

--! differs key_updates
--! theirs ERROR XX000: primary key update not allowed
update tt.u set id = 2

--! differs key_updates
--! theirs ERROR XX000: primary key update not allowed
update tt.u set id = id + 1, v = 1.0

--! differs key_updates
--! theirs show text
--! ours show text
--! ours {"op":"UPDATE","table":["tt","u"],"pkey":["id"]} | {"id":2,"v":"1.0"} | tt.u | {"id":2,"v":"1.0"} | NULL | NULL
--! ours U:id | id=2&v=1.0 | tt.u | id=2&v=1.0 | NULL | NULL
--! ours U | id='2' where id='2' | tt.u | id=2&v=1.0 | NULL | NULL
--! ours {"op":"DELETE","table":["tt","u"],"pkey":["id"]} | {"id":2,"v":"1.0"} | tt.u | NULL | NULL | NULL
--! ours {"op":"INSERT","table":["tt","u"],"pkey":["id"]} | {"id":3,"v":"1.0"} | tt.u | NULL | NULL | NULL
--! ours D:id | id=2&v=1.0 | tt.u | NULL | NULL | NULL
--! ours I:id | id=3&v=1.0 | tt.u | NULL | NULL | NULL
--! ours U | id='3' where id='2' | tt.u | id=2&v=1.0 | NULL | NULL
select * from tt.show()

create table tt.w (id int primary key, v numeric)

create trigger sqltriga after insert or update or delete on tt.w for each row execute procedure pgq.sqltriga('tq')

insert into tt.w values (1, 1.0)

update tt.w set v = 1.00

--! differs text_is_compared
--! theirs show text
--! theirs I | (id,v) values ('1','1.0') | tt.w | NULL | NULL | NULL
--! theirs U | id='1' where id='1' | tt.w | NULL | NULL | NULL
--! ours show text
--! ours I | (id,v) values ('1','1.0') | tt.w | NULL | NULL | NULL
--! ours U | v='1.00' where id='1' | tt.w | NULL | NULL | NULL
select * from tt.show()

create table tt.inc (a int, b text, c text, primary key (c) include (b))

create trigger logutriga after insert or update or delete on tt.inc for each row execute procedure pgq.logutriga('tq')

create trigger sqltriga after insert or update or delete on tt.inc for each row execute procedure pgq.sqltriga('tq')

insert into tt.inc values (1, 'a', 'k')

update tt.inc set a = 2

--! differs include_is_no_key
--! theirs show text
--! theirs I:c,b | a=1&b=a&c=k | tt.inc | NULL | NULL | NULL
--! theirs I | (a,b,c) values ('1','a','k') | tt.inc | NULL | NULL | NULL
--! theirs U:c,b | a=2&b=a&c=k | tt.inc | NULL | NULL | NULL
--! theirs U | a='2' where b='a' and c='k' | tt.inc | NULL | NULL | NULL
--! ours show text
--! ours I:c | a=1&b=a&c=k | tt.inc | NULL | NULL | NULL
--! ours I | (a,b,c) values ('1','a','k') | tt.inc | NULL | NULL | NULL
--! ours U:c | a=2&b=a&c=k | tt.inc | NULL | NULL | NULL
--! ours U | a='2' where c='k' | tt.inc | NULL | NULL | NULL
select * from tt.show()

--! differs include_is_no_key
--! theirs ERROR XX000: primary key update not allowed
update tt.inc set b = 'z'

--! differs include_is_no_key
--! theirs show text
--! ours show text
--! ours U:c | a=2&b=z&c=k | tt.inc | NULL | NULL | NULL
--! ours U | b='z' where c='k' | tt.inc | NULL | NULL | NULL
select * from tt.show()

create table tt.m (id int primary key, v text, _pgq_ev_type text, _pgq_ev_extra1 text, _pgq_ev_data text)

create trigger logutriga after insert or update or delete on tt.m for each row execute procedure pgq.logutriga('tq')

insert into tt.m values (1, 'a', 'mytype', 'x1', null)

--! differs magic_columns
--! theirs show text
--! theirs mytype | NULL | x1 | NULL | NULL | NULL
--! ours show text
--! ours I:id | id=1&v=a&_pgq_ev_type=mytype&_pgq_ev_extra1=x1&_pgq_ev_data | tt.m | NULL | NULL | NULL
select * from tt.show()

create table tt.pin (id int primary key, d date, z timestamptz, i interval, f float8, b bytea)

create trigger logutriga after insert or update or delete on tt.pin for each row execute procedure pgq.logutriga('tq')

set datestyle = 'german'

set timezone = 'Asia/Tokyo'

set intervalstyle = 'iso_8601'

set extra_float_digits = -10

set bytea_output = 'escape'

insert into tt.pin values (1, '2024-02-03', '2024-02-03 00:00+00', '1 day', 0.1234567890123456, '\x00')

--! differs settings_are_pinned
--! theirs show text
--! theirs I:id | id=1&d=03.02.2024&z=03.02.2024+09%3a00%3a00+JST&i=P1D&f=0.12346&b=%5c000 | tt.pin | NULL | NULL | NULL
--! ours show text
--! ours I:id | id=1&d=2024-02-03&z=2024-02-03+00%3a00%3a00%2b00&i=1+day&f=0.1234567890123456&b=%5cx00 | tt.pin | NULL | NULL | NULL
select * from tt.show()

select current_setting('datestyle'), current_setting('timezone'), current_setting('intervalstyle'), current_setting('extra_float_digits'), current_setting('bytea_output')
