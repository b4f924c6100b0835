//! SIGKILL at each step of a copy: held there by a lock, killed, started again. Rows, indexes,
//! constraints and triggers are as they were (FA-02, SY-05).

use tests::{Replication, Session, wait_until};

use crate::{SOON, catalog::CATALOG, ddl::same_lines};

/// A parent with keys and indexes, large enough to be loaded without them, and a child.
fn family() -> Replication {
    let replication = Replication::builder()
        .replay_line("parallel_copies = 2")
        .make();
    replication.on_provider(
        "create table parent (id int primary key, v text, n int); \
         create index parent_v on parent (v); create unique index parent_vid on parent (v, id); \
         create table child (id int primary key, parent int references parent); \
         create function note() returns trigger language plpgsql as 'begin return new; end'; \
         create trigger noting before insert on parent for each row execute procedure note()",
    );
    replication.copy_schema();
    replication.on_provider(
        "insert into parent select i, repeat('v', 50) || i, i from generate_series(1, 60000) i; \
         insert into child select i, i from generate_series(1, 1000) i",
    );
    replication
}

const FOR_US: &str = "select count(*) > 0 from pg_stat_activity \
    where application_name like 'trunkline%' and wait_event_type = 'Lock'";

const ADD: &[&str] = &["add", "parent", "--truncate"];
const SWAP: &[&str] = &["resync", "parent", "--swap"];

/// Claims the only part before the copy does, until the session ends.
const PART: &str = "insert into trunkline.copied_range values ('replay1', 'public', 'parent', 0)";
/// Keeps the batch loop from taking the table.
const LOOP: &str = "select 1 from trunkline.position for no key update";

/// A step: what holds the daemon there, and how one sees that it is there.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
    /// Held on the subscriber before the command.
    gate: &'static str,
    /// Waited for before the gate gives way to the hold.
    when: &'static str,
    /// Held instead of the gate from then on; empty: the gate stays.
    hold: &'static str,
    /// Waited for after that.
    there: &'static str,
}

const LOADING: &str = "select loading from trunkline.table_state where table_name = 'parent'";
const BESIDE: &str = "select count(*) > 0 from pg_class where relname ~ '^copy_[0-9]+_'";

const STEPS: [Step; 10] = [
    Step {
        name: "before its indexes are taken away",
        command: ADD,
        gate: "lock table trunkline.kept_ddl in share mode",
        when: FOR_US,
        hold: "",
        there: "select true",
    },
    Step {
        name: "before a try begins",
        command: ADD,
        gate: "lock table trunkline.copied_range in share row exclusive mode",
        when: FOR_US,
        hold: "",
        there: "select true",
    },
    Step {
        name: "while rows are loaded",
        command: ADD,
        gate: PART,
        when: LOADING,
        hold: "",
        there: "select count(*) = 0 from parent",
    },
    Step {
        name: "while an index is built",
        command: ADD,
        gate: PART,
        when: LOADING,
        hold: "lock table parent in row exclusive mode",
        there: "select count(*) > 0 from pg_stat_activity \
                where query ~* 'create .*index' and wait_event_type = 'Lock'",
    },
    Step {
        name: "before its constraints come back",
        command: ADD,
        gate: PART,
        when: LOADING,
        hold: "lock table child in access share mode",
        there: "select count(*) > 0 and bool_and(build = '{}') from trunkline.kept_ddl where table_name = 'parent'",
    },
    Step {
        name: "before the loop takes the table",
        command: ADD,
        gate: LOOP,
        when: "select count(*) > 0 from trunkline.kept_ddl where kind = 'foreign key' and attach = '{}'",
        hold: "",
        there: "select true",
    },
    Step {
        name: "while a foreign key is validated",
        command: ADD,
        gate: LOOP,
        when: "select count(*) > 0 from trunkline.kept_ddl where kind = 'foreign key' and attach = '{}'",
        hold: "lock table child in share update exclusive mode",
        there: "select count(*) > 0 from pg_stat_activity \
                where query ~* 'alter table .* validate' and wait_event_type = 'Lock'",
    },
    Step {
        name: "when it catches up",
        command: ADD,
        gate: PART,
        when: "select count(*) > 0 from trunkline.kept_ddl where table_name = 'parent'",
        hold: "lock table trunkline.conflict in access exclusive mode",
        there: "select state in ('catching-up', 'wanna-sync', 'ok') from trunkline.table_state where table_name = 'parent'",
    },
    Step {
        name: "while rows are loaded beside the table",
        command: SWAP,
        gate: PART,
        when: BESIDE,
        hold: "",
        there: "select count(*) > 0 from parent",
    },
    Step {
        name: "while rows beside the table come in",
        command: SWAP,
        gate: PART,
        when: BESIDE,
        hold: "lock table parent in share mode",
        there: FOR_US,
    },
];

#[test]
fn sy_05_killed_at_each_step_of_a_copy_all_comes_back_as_it_was() {
    let replication = family();
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    replication.replay.run(&["add", "child"]).ok();
    let subscriber = &replication.subscribers[0];
    let yes = |sql: &str| subscriber.psql(replication.db(), sql) == "t";
    for step in &STEPS {
        println!("killed {}", step.name);
        if step.command == SWAP {
            replication
                .replay
                .run(&["add", "parent", "--truncate"])
                .ok();
            replication.wait_ok();
            wait_until("all to be back", SOON, || {
                yes("select count(*) = 0 from trunkline.kept_ddl")
            });
            // Only a copy sees these.
            replication.on_subscriber("delete from parent where id > 30000");
        }
        let hold = |sql: &str| Session::holding(subscriber, replication.db(), sql);
        let mut held = hold(step.gate);
        replication.replay.run(step.command).ok();
        wait_until(step.name, SOON, || yes(step.when));
        if !step.hold.is_empty() {
            // Before the gate opens.
            let next = hold(step.hold);
            held = next;
        }
        wait_until(step.name, SOON, || yes(step.there));
        replication.replay.kill9();
        drop(held);
        replication.on_provider("update parent set n = n + 1 where id % 100 = 0");
        replication.replay.run(&["start", "-d"]).ok();
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        wait_until("all to be back", SOON, || {
            yes("select count(*) = 0 from trunkline.kept_ddl")
        });
        same_lines(&before, &replication.on_subscriber(CATALOG));
        assert!(yes(
            "select count(*) = 0 from pg_class where relname ~ '^copy_[0-9]'"
        ));
        replication.replay.run(&["remove", "parent"]).ok();
    }
    replication.assert_clean(&[]);
}
