//! Random tables, triggers and statements from a seed: after every transaction the folded events are the tables.
//!
//! `TRUNKLINE_SEED=n cargo test -p tests --test capture random` replays one seed and prints its statements.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::choose;

use crate::provider::Provider;

const TRANSACTIONS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_under_random_triggers_log_what_the_tables_hold() {
    let mut p = Provider::start().await;
    if let Ok(seed) = std::env::var("TRUNKLINE_SEED") {
        return one_seed(&mut p, seed.parse().expect("a number"), true).await;
    }
    for seed in choose("seeds", (1..=1000).collect(), (1..=20).collect()) {
        one_seed(&mut p, seed, false).await;
    }
}

async fn one_seed(p: &mut Provider, seed: u64, print: bool) {
    println!("seed {seed}");
    let mut world = World {
        random: StdRng::seed_from_u64(seed),
        schema: format!("s{seed}"),
        moving_ctes: seed.is_multiple_of(2),
    };
    // A CTE that deletes a key and another that inserts it may fire in either order.
    p.check_claims = !world.moving_ctes;
    let setup = world.setup();
    if print {
        println!("{setup}");
    }
    p.run(&setup).await;
    for table in TABLES {
        p.add(&format!("{}.{table}", world.schema)).await;
    }
    let mut committed = 0;
    for number in 0..TRANSACTIONS {
        let statements = world.transaction();
        let mut savepoint = None;
        for statement in &statements {
            let done = p.client.batch_execute(statement).await;
            if print {
                println!(
                    "{statement}; -- {:?}",
                    done.as_ref()
                        .err()
                        .and_then(|e| e.as_db_error())
                        .map(|e| e.message())
                );
            }
            if let (Err(_), Some(savepoint)) = (&done, &savepoint) {
                let _ = p
                    .client
                    .batch_execute(&format!("rollback to {savepoint}"))
                    .await;
            }
            if let Some(name) = statement.strip_prefix("savepoint ") {
                savepoint = Some(name.to_owned());
            }
            committed += usize::from(statement == "commit" && done.is_ok());
        }
        let _ = p.client.batch_execute("rollback").await;
        p.check(&format!(
            "seed {seed}, transaction {number}: {}",
            statements.join("; ")
        ))
        .await;
    }
    assert!(committed > 0);
    // The next seed's tables are captured alone.
    p.run(&format!("drop schema {} cascade", world.schema))
        .await;
}

const TABLES: [&str; 3] = ["t", "u", "c"];

struct World {
    random: StdRng,
    schema: String,
    moving_ctes: bool,
}

impl World {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.random_range(0..from.len())]
    }

    fn number(&mut self) -> i32 {
        self.random.random_range(1..9)
    }

    fn table(&mut self) -> String {
        let table = self.pick(&TABLES);
        format!("{}.{table}", self.schema)
    }

    /// Tables `t`, `u` and `c`, all with columns id, v, w; `c.w` refers to `t.id` with random actions.
    fn setup(&mut self) -> String {
        let schema = self.schema.clone();
        let update = self.pick(&["no action", "cascade", "set null", "set default"]);
        let delete = self.pick(&["no action", "cascade", "set null", "set default"]);
        let key = self.pick(&["id", "w, id", "id, w"]);
        let (update, delete) = if key == "id" {
            (update, delete)
        } else {
            (self.pick(&["no action", "cascade"]), "cascade")
        };
        let own = self.pick(&[
            "",
            "references SCHEMA.u on update cascade on delete set null",
            "references SCHEMA.u on delete cascade",
        ]);
        let mut sql = format!(
            "create schema {schema};
             create table {schema}.t (id int primary key, v text, w int);
             create table {schema}.u (id int primary key, v text, w int {});
             create table {schema}.c (id int, v text, w int references {schema}.t on update {update} on delete {delete},
                                      primary key ({key}));",
            own.replace("SCHEMA", &schema)
        );
        for number in 0..self.random.random_range(0..4) {
            sql.push_str(&self.trigger(number));
        }
        sql
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
        let (when, level) = match self.random.random_range(0..4) {
            0 => ("before", "row"),
            1 => ("before", "statement"),
            2 => ("after", "row"),
            _ => ("after", "statement"),
        };
        let mut body = String::new();
        for _ in 0..self.random.random_range(1..3) {
            let statement = match self.random.random_range(0..4) {
                0 if level == "row" => format!(
                    "delete from {} where id = coalesce(new.id, old.id)",
                    self.table()
                ),
                1 if level == "row" => format!(
                    "update {} set v = v || '!' where id = coalesce(new.id, old.id)",
                    self.table()
                ),
                _ => self.statement(),
            };
            body.push_str(&format!(
                "begin {statement}; exception when others then null; end; "
            ));
        }
        format!(
            "create function {schema}.f{number}() returns trigger language plpgsql as $f$ begin
                if pg_trigger_depth() < 3 then {body} end if;
                {} end $f$;
             create trigger f{number} {when} {event} on {table} for each {level} execute procedure {schema}.f{number}();",
            if level == "row" { "if tg_op = 'DELETE' then return old; end if; return new;" } else { "return null;" }
        )
    }

    fn statement(&mut self) -> String {
        let table = self.table();
        let (a, b, c) = (self.number(), self.number(), self.number());
        match self.random.random_range(0..if self.moving_ctes { 13 } else { 11 }) {
            0 => format!("insert into {table} values ({a}, 'i{b}', {c})"),
            1 => format!("insert into {table} select i, 'g{b}', {c} from generate_series({a}, {a} + {b} % 3) i"),
            2 => format!("insert into {table} values ({a}, 'c', {b}), ({b} + 10, 'c', {b}) on conflict do nothing"),
            3 if !table.ends_with(".c") => format!(
                "insert into {table} as x values ({a}, 'c', {b}), ({a} + 1, 'd', {c}) on conflict (id) do update
                 set v = x.v || 'u', w = excluded.w"
            ),
            3 | 4 => format!("update {table} set v = v || '{c}' where id between {a} and {a} + {b}"),
            5 => format!("update {table} set id = {a} where id = {b}"),
            6 => format!("update {table} set id = id + 10 where id < {a}"),
            7 => format!("update {table} set id = id - 10 where id > 10"),
            8 => format!("update {table} set w = {a} where id > {b}"),
            9 => format!("delete from {table} where id = {a}"),
            10 => format!("delete from {table} where id between {a} and {a} + 2"),
            11 => format!(
                "with d as (delete from {table} where id < {a} returning *) insert into {} select id + {b}, v, w from d",
                self.table()
            ),
            _ => format!(
                "with d as (update {table} set id = id + 1 where id = {a} returning *), e as (delete from {} where id = {b})
                 insert into {} select * from d",
                self.table(),
                self.table()
            ),
        }
    }

    fn transaction(&mut self) -> Vec<String> {
        let level = self.pick(&["read committed", "repeatable read", "serializable"]);
        let mut statements = vec![format!("begin isolation level {level}")];
        for number in 0..self.random.random_range(1..5) {
            // Errors must not end the transaction.
            statements.push(format!("savepoint s{number}"));
            let statement = match self.random.random_range(0..8) {
                0 => format!(
                    "do $$ begin {}; {}; {}; end $$",
                    self.statement(),
                    self.statement(),
                    self.statement()
                ),
                1 => format!("{}; {}", self.statement(), self.statement()),
                2 if self.random.random_range(0..4) == 0 => {
                    format!("truncate {} cascade", self.table())
                }
                _ => self.statement(),
            };
            statements.push(statement);
            if self.random.random_range(0..5) == 0 {
                statements.push(format!("rollback to s{number}"));
            }
        }
        if self.random.random_range(0..8) > 0 {
            statements.push("commit".to_owned());
        }
        statements
    }
}
