//! The tables of the differential test, and the commands that can change their rows or their shape.

/// What both databases hold. `{n}` is a number of its own for each form.
pub(super) const SETUP: &str = "
    create schema app; create schema ext; create schema other;
    create extension citext schema ext;
    create type app.mood as enum ('calm', 'angry');
    create type app.pair as (x int, y int);
    create type app.line as (id int, v text, n int);
    create domain app.short as text;
    create domain app.moody as app.mood;
    create collation app.latin (locale = 'C');
    create function app.one(i int) returns int language sql immutable as 'select i';
    create function app.note() returns trigger language plpgsql as 'begin return null; end';
    create table app.far (id int primary key);
    insert into app.far values (1), (2);
    create table app.t (id int primary key, v text, m app.mood, s app.short, p app.pair, e ext.citext, o app.moody,
                        l text collate app.latin, f int check (app.one(f) > 0), far int references app.far on update cascade);
    create table app.base (id int primary key, v text, n int);
    create table app.mid (m int) inherits (app.base);
    create table app.kid (primary key (id)) inherits (app.mid);
    create table app.typed of app.line (primary key (id));
    create table app.lone (id int not null, v text, unique (id));";

/// A partitioned table with a key, from PostgreSQL 11 on.
pub(super) const TREE: &str = "
    create table app.r (id int, k int not null, v text, m app.mood, primary key (id, k)) partition by list (k);
    create table app.r1 partition of app.r for values in (1);
    create table app.r2 (v text, gone int, m app.mood, k int not null, id int not null) partition by range (id);
    alter table app.r2 drop gone;
    alter table app.r attach partition app.r2 for values in (2);
    create table app.r2a partition of app.r2 for values from (minvalue) to (maxvalue)";

/// The tables that are captured; `app.r` where there is one.
pub(super) const CAPTURED: &[&str] = &[
    "app.t",
    "app.kid",
    "app.typed",
    "app.lone",
    "app.base",
    "app.r",
];

/// The tables that commands name: captured ones, what is above them, and what is below.
pub(super) const NAMED: &[&str] = &[
    "app.t",
    "app.base",
    "app.mid",
    "app.kid",
    "app.typed",
    "app.r",
    "app.r1",
    "app.r2",
    "app.r2a",
];

/// One of each kind of them.
pub(super) const SOME: &[&str] = &["app.t", "app.base", "app.r"];

/// Partitions that come and go. They are first: the mirror asks a part's condition of the table's row type, generated
/// columns included.
pub(super) const PARTS: &[&str] = &[
    "alter table app.r detach partition app.r1; alter table app.r attach partition app.r1 for values in (1)",
    "create table app.r3 partition of app.r for values in (3); insert into app.r3 (id, k) values (-1, 3); drop table app.r3",
    "create table app.r4 (like app.r including indexes); insert into app.r4 (id, k) values (-4, 4); alter table app.r attach partition app.r4 for values in (4)",
];

/// On each of [`NAMED`], which is `{t}`: what one database refuses, the other must refuse, too.
pub(super) const ON_TABLES: &[&str] = &[
    "alter table {t} add c{n} int",
    "alter table {t} add c{n} text default 'filled'",
    "alter table {t} add c{n} int; alter table {t} rename c{n} to d{n}",
    "alter table {t} add c{n} int; alter table {t} drop c{n}",
    "alter table {t} add c{n} int default 3; alter table {t} alter c{n} type bigint; alter table {t} alter c{n} type text using c{n} || 'x'",
    "begin; alter table {t} add c{n} int; alter table {t} add d{n} text; alter table {t} drop c{n}; alter table {t} rename d{n} to c{n}; commit",
    "alter table {t} add c{n} app.mood, add d{n} app.short, drop if exists nothing",
    "alter table {t} rename v to w; alter table {t} rename w to v",
    "alter table {t} rename v to v{n}",
    "alter table {t} alter v type varchar(90) collate \"C\"",
    "alter table {t} alter v set default 'd', alter v set storage external, alter v set statistics 10",
    "update {t} set v = coalesce(v, ''); alter table {t} alter v set not null",
    "alter table {t} alter v drop not null",
    "alter table only {t} add constraint k{n} check (id is not null)",
    "alter table {t} add constraint j{n} check (id is not null) not valid; alter table {t} validate constraint j{n}",
    "alter table {t} set schema other; alter table other.{name} set schema app",
    "alter table {t} rename to {name}_x; alter table app.{name}_x rename to {name}",
    "alter table {t} disable trigger user; alter table {t} enable trigger user",
    "alter table {t} set (fillfactor = 80)",
    "alter table {t} replica identity full; alter table {t} replica identity default",
    "create unique index u{n} on {t} (id, v); drop index app.u{n}",
    "create trigger note{n} after insert on {t} for each statement execute procedure app.note()",
    "alter table {t} owner to other; alter table {t} owner to current_user",
    "create table app.x{n} (c{n} int) inherits ({t})",
    "alter table {t} set unlogged; alter table {t} set logged",
    "alter table {t} enable row level security; alter table {t} disable row level security",
    "alter table {t} add g{n} int generated always as (id + 1) stored",
    "alter table {t} add a{n} int generated by default as identity",
    "alter table {t} add r{n} float8 default random()",
    "vacuum full {t}",
];

/// Commands that name no captured table, or one that comes or goes.
pub(super) const ALONE: &[&str] = &[
    "alter type app.mood add value 'late'",
    "alter type app.mood rename value 'calm' to 'quiet'",
    "alter type app.mood rename to feeling",
    "alter type app.feeling set schema other; alter type other.feeling set schema app; alter type app.feeling rename to mood",
    "alter type app.pair add attribute z int",
    "alter type app.pair rename attribute y to yy",
    "alter type app.pair drop attribute x",
    "alter type app.line add attribute c text cascade",
    "alter type app.line rename attribute c to d cascade",
    "alter type app.line alter attribute n type bigint cascade",
    "alter type app.line drop attribute d cascade",
    "alter domain app.short add constraint few check (length(value) < 90)",
    "alter domain app.short drop constraint few",
    "alter domain app.short set default 'dd'",
    "alter domain app.short rename to brief",
    "alter domain app.brief set schema other",
    "alter domain app.moody rename to humour",
    "alter collation app.latin rename to latin1",
    "alter collation app.latin1 set schema other",
    "create or replace function app.one(i int) returns int language sql immutable as 'select i + 1'",
    "alter function app.one(int) rename to uno; alter function app.uno(int) set schema other",
    "drop function other.uno(int) cascade",
    "alter extension citext set schema other; alter extension citext set schema ext",
    "alter schema ext rename to ext2",
    "alter schema app rename to app2; alter schema app2 rename to app",
    "create schema made create table made.child (x int) inherits (app.base)",
    "drop schema made cascade",
    "create type app.brief_life as enum ('x'); alter table app.base add c app.brief_life; drop type app.brief_life cascade",
    "create domain app.brief_life as int; alter table app.t add c app.brief_life; drop domain app.brief_life cascade",
    "create collation app.brief_life (locale = 'C'); alter table app.t add c text collate app.brief_life; drop collation app.brief_life cascade",
    "alter table app.kid no inherit app.mid; alter table app.kid add k2 int; alter table app.kid inherit app.mid",
    "alter table app.mid no inherit app.base",
    "alter table app.mid add up int; alter table app.base add up int; alter table app.mid inherit app.base",
    "alter table app.lone drop constraint lone_id_key",
    "create unique index lone_id on app.lone (id)",
    "alter index app.lone_id rename to lone_key",
    "drop table app.far cascade",
    "drop type app.pair cascade",
    "drop extension citext cascade",
    "drop table app.mid cascade",
];
