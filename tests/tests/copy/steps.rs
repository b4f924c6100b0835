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

/// Claims the only part before the copy does, until the session ends.
const GATE: &str = "insert into trunkline.copied_range values ('replay1', 'public', 'parent', 0)";

/// A step: what holds the daemon there, and how one sees that it is there.
struct Step {
    name: &'static str,
    /// Waited for before the hold is taken.
    when: &'static str,
    /// Taken on the subscriber.
    hold: &'static str,
    /// Waited for after that.
    there: &'static str,
}

const STEPS: [Step; 7] = [
    Step {
        name: "before its indexes are taken away",
        when: "select true",
        hold: "lock table trunkline.kept_ddl in share mode",
        there: FOR_US,
    },
    Step {
        name: "before a try begins",
        when: "select true",
        hold: "lock table trunkline.copied_range in share row exclusive mode",
        there: FOR_US,
    },
    Step {
        name: "while rows are loaded",
        when: "select loading from trunkline.table_state where table_name = 'parent'",
        hold: "select 1",
        there: "select true",
    },
    Step {
        name: "before an index is built",
        when: "select true",
        hold: "create function pg_temp.hold() returns int language sql as 'select 1'; \
               lock table trunkline.sequence_state in share mode",
        there: "select bool_and(tick_id is not null) from trunkline.table_state where table_name = 'parent'",
    },
    Step {
        name: "before its constraints come back",
        when: "select loading from trunkline.table_state where table_name = 'parent'",
        hold: "lock table child in access share mode",
        there: "select count(*) > 0 and bool_and(build = '{}') from trunkline.kept_ddl where table_name = 'parent'",
    },
    Step {
        name: "before a foreign key is validated and the loop takes the table",
        when: "select true",
        hold: "lock table trunkline.position in share mode",
        there: "select count(*) > 0 from trunkline.kept_ddl where kind = 'foreign key' and attach = '{}'",
    },
    Step {
        name: "when it catches up",
        when: "select count(*) > 0 from trunkline.kept_ddl where table_name = 'parent'",
        hold: "lock table trunkline.conflict in access exclusive mode",
        there: "select state in ('catching-up', 'wanna-sync', 'ok') from trunkline.table_state where table_name = 'parent'",
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
        let early = step.when == "select true";
        let hold = || Session::holding(subscriber, replication.db(), step.hold);
        let mut held = early.then(hold);
        // Else the copy is kept from loading a row until the hold is taken.
        let gate = (!early).then(|| Session::holding(subscriber, replication.db(), GATE));
        replication
            .replay
            .run(&["add", "parent", "--truncate"])
            .ok();
        if held.is_none() {
            wait_until(step.name, SOON, || yes(step.when));
            held = Some(hold());
        }
        drop(gate);
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
        replication.replay.run(&["remove", "parent"]).ok();
    }
    replication.assert_clean(&[]);
}
