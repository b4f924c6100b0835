//! What a seed makes: tables that refer to each other, triggers and functions that write, and transactions.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::turns::SESSIONS;

/// Tables with columns id, v, w in a schema of the seed's own: `t`, `u` and `c`, which refers to `t`; of some seeds
/// also `p`, which is partitioned, `i` and its child `ik`, `f`, which has no key, and `o`, of which only what is
/// inserted counts. `tv` is a view of `t`, `ur` one with a rule, both written to as `t` and `u` are.
pub(super) struct World {
    pub(super) random: StdRng,
    pub(super) version: u32,
    schema: String,
    seed: u64,
    /// int, or numeric in many spellings.
    numeric: bool,
    /// `c` has two foreign keys to `t`, both in its primary key.
    pub(super) twice: bool,
    /// Statements with CTEs that move keys between parts.
    pub(super) moving_ctes: bool,
    /// Which tables there are.
    tables: Vec<&'static str>,
    functions: u32,
    prepared: u32,
    /// How many times the parent was altered.
    altered: u32,
    /// What events say of the time before is as the mirror has it.
    pub(super) check_claims: bool,
}

const ACTIONS: [&str; 4] = ["no action", "cascade", "set null", "set default"];

impl World {
    pub(super) fn new(seed: u64, version: u32) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        // A CTE that deletes a key and another that inserts it may fire in either order.
        let moving_ctes = random.random_range(0..2) == 0;
        let numeric = random.random_range(0..4) == 0;
        let mut tables = vec!["t", "u", "c"];
        for (more, one_in) in [(&["p"][..], 3), (&["i", "ik"], 4), (&["f"], 3), (&["o"], 4)] {
            if random.random_range(0..one_in) == 0 {
                tables.extend(more);
            }
        }
        World {
            version,
            schema: format!("s{seed}"),
            seed,
            numeric,
            twice: random.random_range(0..4) == 0,
            moving_ctes,
            tables,
            functions: 0,
            prepared: 0,
            altered: 0,
            check_claims: !moving_ctes,
            random,
        }
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Each table's name, its identity, and the columns of its key where they must be named.
    pub(super) fn captured(&self) -> Vec<(String, &'static str, Option<&'static [&'static str]>)> {
        let key = |table: &str| -> (&'static str, Option<&'static [&'static str]>) {
            match table {
                "f" => ("full", None),
                "o" => ("insert-only", None),
                // A partitioned table of PostgreSQL 10 has no key of its own.
                "p" if self.version < 11 => ("key", Some(&["id", "w"])),
                _ => ("key", None),
            }
        };
        self.tables
            .iter()
            .map(|table| {
                (
                    format!("{}.{table}", self.schema),
                    key(table).0,
                    key(table).1,
                )
            })
            .collect()
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.random_range(0..from.len())]
    }

    /// True in one of so many calls.
    pub(super) fn one_in(&mut self, many: u32) -> bool {
        self.random.random_range(0..many) == 0
    }

    /// A small number as SQL spells it.
    pub(super) fn number(&mut self) -> String {
        let number = self.random.random_range(1..9);
        let digits = if self.numeric {
            self.pick(&["", "", ".0", ".00"])
        } else {
            ""
        };
        format!("{number}{digits}")
    }

    pub(super) fn table(&mut self) -> String {
        let table = self.tables[self.random.random_range(0..self.tables.len())];
        format!("{}.{table}", self.schema)
    }

    /// A table, or a view that stands for it.
    pub(super) fn target(&mut self) -> String {
        let table = self.table();
        match table.rsplit_once('.') {
            Some((schema, "t")) if self.one_in(4) => format!("{schema}.tv"),
            Some((schema, "u")) if self.one_in(4) => format!("{schema}.ur"),
            _ => table,
        }
    }

    /// A function that writes, to be called with a key; empty if there is none.
    pub(super) fn function(&mut self) -> Option<String> {
        (self.functions > 0).then(|| {
            format!(
                "{}.w{}",
                self.schema,
                self.random.random_range(0..self.functions)
            )
        })
    }

    /// The tables, their foreign keys, functions and triggers.
    pub(super) fn setup(&mut self) -> String {
        let schema = self.schema.clone();
        let kind = if self.numeric { "numeric" } else { "int" };
        let mut sql = format!("create schema {schema};");
        let deferred = self.pick(&["", "", "deferrable initially deferred"]);
        let own = match self.random.random_range(0..4) {
            0 => format!("references {schema}.u on update cascade on delete set null {deferred}"),
            1 => format!("references {schema}.u on delete cascade {deferred}"),
            2 => format!("default 1 references {schema}.u on update cascade on delete set default"),
            _ => String::new(),
        };
        sql.push_str(&format!(
            "create table {schema}.t (id {kind} primary key, v text, w {kind});
             create table {schema}.u (id {kind} primary key, v text, w {kind} {own});"
        ));
        let key = self.pick(&["id", "w, id", "id, w"]);
        let (update, delete) = if key == "id" && !self.twice {
            (self.pick(&ACTIONS), self.pick(&ACTIONS))
        } else {
            (self.pick(&["no action", "cascade"]), "cascade")
        };
        let actions =
            format!("references {schema}.t on update {update} on delete {delete} {deferred}");
        let (first, key) = if self.twice {
            (actions.as_str(), if key == "id" { "id, w" } else { key })
        } else {
            ("", key)
        };
        sql.push_str(&format!(
            "create table {schema}.c (id {kind} {first}, v text, w {kind} {actions}, primary key ({key}));"
        ));
        sql.push_str(&self.more_tables(kind));
        for number in 0..self.random.random_range(0..3) {
            let body = self.body(false);
            sql.push_str(&format!(
                "create function {schema}.w{number}(i {kind}) returns {kind} language plpgsql as $f$ begin
                 {body} return i; end $f$;"
            ));
            self.functions = number + 1;
        }
        for number in 0..self.random.random_range(0..4) {
            sql.push_str(&self.trigger(number));
        }
        sql
    }

    /// The tables that only some seeds have, generated columns, and a key beside the primary key that is checked late.
    fn more_tables(&mut self, kind: &str) -> String {
        let schema = self.schema.clone();
        let mut sql = String::new();
        if self.tables.contains(&"p") {
            let (on_root, on_leaf) = if self.version < 11 {
                ("", "(primary key (id, w))")
            } else {
                (", primary key (id, w)", "")
            };
            sql.push_str(&format!(
                "create table {schema}.p (id {kind} not null, v text, w {kind} not null {on_root}) partition by range (w);
                 create table {schema}.p1 partition of {schema}.p {on_leaf} for values from (minvalue) to (4);
                 create table {schema}.p2 (w {kind} not null, gone int, id {kind} not null, v text, primary key (id, w));
                 alter table {schema}.p2 drop gone;
                 alter table {schema}.p attach partition {schema}.p2 for values from (4) to (7);
                 create table {schema}.p3 partition of {schema}.p {on_leaf} for values from (7) to (maxvalue);"
            ));
        }
        if self.tables.contains(&"i") {
            sql.push_str(&format!(
                "create table {schema}.i (id {kind} primary key, v text, w {kind});
                 create table {schema}.ik (primary key (id)) inherits ({schema}.i);"
            ));
        }
        if self.tables.contains(&"f") {
            sql.push_str(&format!(
                "create table {schema}.f (id {kind}, v text, w {kind});"
            ));
        }
        if self.tables.contains(&"o") {
            // What was ever inserted is what its events say; the table says less.
            sql.push_str(&format!(
                "create table {schema}.o (id {kind}, v text, w {kind}); create table {schema}.o_all (like {schema}.o);
                 create function {schema}.o_all() returns trigger language plpgsql as $f$ begin
                    if tg_op = 'TRUNCATE' then delete from {schema}.o_all; return null; end if;
                    insert into {schema}.o_all select new.*; return null; end $f$;
                 create trigger o_all after insert on {schema}.o for each row execute procedure {schema}.o_all();
                 create trigger o_gone after truncate on {schema}.o for each statement execute procedure {schema}.o_all();"
            ));
        }
        sql.push_str(&format!(
            "create view {schema}.tv as select id, v, w from {schema}.t;
             create view {schema}.ur as select id, v, w from {schema}.u;
             create rule a as on insert to {schema}.ur do instead insert into {schema}.u values (new.id, new.v, new.w);
             create rule b as on update to {schema}.ur do instead
                update {schema}.u set id = new.id, v = new.v, w = new.w where id = old.id;
             create rule c as on delete to {schema}.ur do instead delete from {schema}.u where id = old.id;"
        ));
        if self.version >= 12 && self.one_in(4) {
            let table = self.pick(&["t", "u"]);
            let how = if self.version >= 18 && self.one_in(2) {
                "virtual"
            } else {
                "stored"
            };
            sql.push_str(&format!(
                "alter table {schema}.{table} add g {kind} generated always as (id * 2) {how};"
            ));
        }
        if self.one_in(6) {
            let when = self.pick(&["immediate", "deferred"]);
            sql.push_str(&format!(
                "alter table {schema}.u add unique (w) deferrable initially {when};"
            ));
        }
        sql
    }

    /// A parent that is altered, which changes its child; a partition that goes and one that comes, with the rows that
    /// it has by then.
    fn partitions(&mut self) -> Option<String> {
        if self.tables.contains(&"i") && self.one_in(2) {
            self.altered += 1;
            let (schema, number) = (self.schema.clone(), self.altered);
            return Some(match self.random.random_range(0..3) {
                0 => format!(
                    "alter table {schema}.i add x{number} int default 7; alter table {schema}.i drop x{number}"
                ),
                1 => format!(
                    "alter table {schema}.i rename v to y; update {schema}.ik set y = 'altered'; alter table {schema}.i rename y to v"
                ),
                _ => format!(
                    "alter table {schema}.i add x{number} text; update {schema}.i set x{number} = 'x'"
                ),
            });
        }
        if !self.tables.contains(&"p") {
            return None;
        }
        let (schema, a, b) = (self.schema.clone(), self.number(), self.number());
        let between = if self.one_in(2) {
            format!(
                "insert into {schema}.p2 (id, v, w) values ({a} + 20, 'apart', 5) on conflict do nothing;"
            )
        } else {
            format!("update {schema}.p2 set v = 'apart', id = id + 1 where id = {b};")
        };
        let leaf = self.pick(&["p1", "p3"]);
        Some(match self.random.random_range(0..3) {
            0 => format!("truncate {schema}.{leaf}"),
            1 => format!("truncate {schema}.p2; insert into {schema}.p values ({a}, 'n', 5)"),
            _ => format!(
                "alter table {schema}.p detach partition {schema}.p2; {between}
                 alter table {schema}.p attach partition {schema}.p2 for values from (4) to (7)"
            ),
        })
    }

    /// One or two statements, each with its exceptions caught; of a row trigger also on the row's own key.
    fn body(&mut self, of_row: bool) -> String {
        let mut body = String::new();
        for _ in 0..self.random.random_range(1..3) {
            let table = self.table();
            let statement = match self.random.random_range(0..4) {
                0 if of_row => format!("delete from {table} where id = coalesce(new.id, old.id)"),
                1 if of_row => {
                    format!("update {table} set v = v || '!' where id = coalesce(new.id, old.id)")
                }
                _ => self.plain_statement(),
            };
            let forgets = if self.one_in(6) { self.forgets() } else { "" };
            body.push_str(&format!(
                "begin {statement}; {forgets} exception when others then null; end; "
            ));
        }
        if self.one_in(4) {
            body.push_str(self.forgets());
        }
        body
    }

    /// What RESET ALL does to capture; the worlds' own triggers count in a setting, which it would reset, too.
    fn forgets(&mut self) -> &'static str {
        self.pick(&[
            "perform set_config('trunkline.m_' || c.oid, '', true) from pg_class c where c.relkind in ('r', 'p') and c.oid > 16384;",
            "perform set_config('trunkline.m_' || c.oid, 'x', true) from pg_class c where c.relkind in ('r', 'p') and c.oid > 16384;",
        ])
    }

    fn trigger(&mut self, number: u32) -> String {
        let (schema, table) = (self.schema.clone(), self.table());
        let event = self.pick(&[
            "insert",
            "update",
            "delete",
            "insert or update",
            "insert or update or delete",
        ]);
        let (kind, when, level) = match self.random.random_range(0..5) {
            0 => ("trigger", "before", "each row"),
            1 => ("trigger", "before", "each statement"),
            2 => ("trigger", "after", "each row"),
            3 => ("constraint trigger", "after", "each row"),
            _ => ("trigger", "after", "each statement"),
        };
        // Before 13 a partitioned table has no row triggers, or not all of them; its partitions have.
        let table = match table.strip_suffix(".p") {
            Some(schema) if level == "each row" && self.version < 13 => format!("{schema}.p1"),
            _ => table,
        };
        let body = self.body(level == "each row");
        let end = if level == "each row" {
            "if tg_op = 'DELETE' then return old; end if; return new;"
        } else {
            "return null;"
        };
        let (deferred, once_more) = if kind == "trigger" {
            ("", "pg_trigger_depth() < 3".to_owned())
        } else {
            // What a deferred trigger writes queues it again, at the same depth.
            let left =
                format!("coalesce(nullif(current_setting('{schema}.left', true), ''), '3')::int");
            (
                "deferrable initially deferred",
                format!(
                    "{left} > 0 and set_config('{schema}.left', ({left} - 1)::text, true) is not null"
                ),
            )
        };
        format!(
            "create function {schema}.f{number}() returns trigger language plpgsql as $f$ begin
                if {once_more} then {body} end if; {end} end $f$;
             create {kind} f{number} {when} {event} on {table} {deferred} for {level}
                execute procedure {schema}.f{number}();"
        )
    }

    /// Gives all tables to a role that is nobody: capture then reads them as that role, and foreign keys act as it.
    pub(super) fn given_away(&self) -> String {
        let schema = &self.schema;
        format!(
            "do $$ declare t regclass; begin
                begin create role nobody; exception when duplicate_object or unique_violation then null; end;
                grant usage on schema {schema} to nobody;
                for t in select c.oid from pg_class c where c.relnamespace = '{schema}'::regnamespace and c.relkind in ('r', 'p') loop
                    execute format('alter table %s owner to nobody', t);
                end loop; end $$"
        )
    }

    /// What one round does: a transaction alone, or several at once.
    pub(super) fn transactions(&mut self) -> Vec<Vec<String>> {
        let sessions = if self.one_in(3) {
            self.random.random_range(2..=SESSIONS)
        } else {
            1
        };
        (0..sessions).map(|_| self.transaction()).collect()
    }

    /// Whose turn it is, as numbers to be taken modulo the sessions that can go on.
    pub(super) fn order(&mut self, transactions: &[Vec<String>]) -> Vec<usize> {
        let statements = transactions.iter().map(Vec::len).sum::<usize>();
        (0..=statements)
            .map(|_| self.random.random_range(0..6))
            .collect()
    }

    fn transaction(&mut self) -> Vec<String> {
        if self.one_in(6) {
            return vec![if self.version >= 11 && self.one_in(4) {
                // One client statement, three transactions.
                format!(
                    "do $$ begin {}; {}; commit; {}; rollback; {}; end $$",
                    self.statement(),
                    self.statement(),
                    self.statement(),
                    self.statement()
                )
            } else {
                self.statement()
            }];
        }
        let level = self.pick(&["read committed", "repeatable read", "serializable"]);
        let mut statements = vec![format!("begin isolation level {level}")];
        if self.one_in(8) {
            // Gives the transaction its number before its snapshot.
            statements.push(format!("lock table {} in row exclusive mode", self.table()));
        }
        for number in 0..self.random.random_range(1..5) {
            // Errors must not end the transaction.
            statements.push(format!("savepoint s{number}"));
            let statement = match self.random.random_range(0..12) {
                0 => format!(
                    "do $$ begin {}; {}; {}; end $$",
                    self.statement(),
                    self.statement(),
                    self.statement()
                ),
                1 => format!(
                    "do $$ begin {}; begin {}; {}; perform 1 / 0; exception when others then null; end; {}; end $$",
                    self.statement(),
                    self.statement(),
                    self.statement(),
                    self.statement()
                ),
                2 => format!("{}; {}", self.statement(), self.statement()),
                3 if self.one_in(4) => match self.random.random_range(0..3) {
                    0 => format!("truncate {} cascade", self.table()),
                    1 => format!(
                        "truncate {}, {} restart identity cascade",
                        self.table(),
                        self.table()
                    ),
                    // In one message, or the table is not new enough.
                    _ => format!(
                        "truncate {0}.f; copy {0}.f from program 'printf \"%s\\tfrozen\\t1\\n\" 1 2 2' with (freeze)",
                        self.schema
                    ),
                },
                4 if self.one_in(3) => "set constraints all immediate".to_owned(),
                5 if self.one_in(3) => match self.partitions() {
                    Some(statement) => statement,
                    None => self.statement(),
                },
                6 => self.by_cursor(),
                7 if self.one_in(2) => self.prepared(),
                _ => self.statement(),
            };
            statements.push(statement);
            match self.random.random_range(0..8) {
                0 => statements.push(format!("rollback to s{number}")),
                1 => statements.push(format!("release s{number}")),
                _ => {}
            }
        }
        match self.random.random_range(0..10) {
            0 => statements.push("rollback".to_owned()),
            1 => {
                self.prepared += 1;
                let name = format!("'x{}_{}'", self.seed, self.prepared);
                let end = self.pick(&["commit", "commit", "rollback"]);
                statements.push(format!("prepare transaction {name}"));
                statements.push(format!("{end} prepared {name}"));
            }
            _ => statements.push("commit".to_owned()),
        }
        statements
    }
}
