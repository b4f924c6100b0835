//! Tables that others disturb while they are copied: emptied, made anew, renamed, refused, locked away by policies and
//! rights, or with partitions that are elsewhere.

use tests::{Replication, Session, wait_until};

use crate::{SOON, held::half_copied};

/// A table of several parts with key and index.
const LARGE: &str = "\
    create table t (id int primary key, v text, n int); create index t_n on t (n); \
    insert into t select i, repeat('v', 100), i from generate_series(1, 250000) i; \
    create table other (id int primary key)";

/// Runs SQL on the subscriber that needs the table for itself: it waits first, and then the parts lose their sessions.
fn disturb(replication: &Replication, sql: &str) {
    let (subscriber, db) = (&replication.subscribers[0], replication.db());
    std::thread::scope(|scope| {
        let disturber = scope.spawn(|| subscriber.psql(db, sql));
        wait_until("the disturber to wait", SOON, || {
            replication.on_subscriber(
                "select count(*) > 0 from pg_stat_activity where application_name = 'psql' and wait_event_type = 'Lock'",
            ) == "t"
        });
        replication.on_subscriber(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'trunkline copy-in%'",
        );
        disturber.join().unwrap();
    });
}

#[test]
fn a_table_that_somebody_empties_or_makes_anew_half_way_is_copied_anew() {
    let replication = Replication::builder().make();
    replication.on_provider(LARGE);
    replication.copy_schema();
    replication.start();
    let mut command = &["add", "t"][..];
    for disturbs in [
        "truncate t",
        "drop table t; create table t (id int primary key, v text, n int); create index t_n on t (n)",
        "alter table t rename to t_old; create table t (like t_old including all); drop table t_old",
    ] {
        println!("{disturbs}");
        let held = half_copied(&replication, command);
        disturb(&replication, disturbs);
        drop(held);
        replication.wait_parked("public.t", &["while it was copied", "is ok"]);
        replication.replay.run(&["resume", "t"]);
        replication.wait_ok();
        replication.sync();
        replication.assert_same();
        command = &["resync", "t"];
    }
    assert_eq!(
        replication.on_subscriber("select count(*) from trunkline.kept_ddl"),
        "0"
    );
    replication.assert_clean(&["table parked table=public.t", "is loaded again"]);
}

#[test]
fn a_renamed_table_is_locked_emptied_and_given_up_by_its_name_of_now() {
    let replication = Replication::running(
        "create table t (id int primary key, v text, n int); insert into t select i, 'v', i from generate_series(1, 1000) i",
    );
    replication.everywhere(
        "alter table t rename to moved; create table t (id int primary key, v text, n int)",
    );
    replication.on_subscriber("insert into t values (1, 'of nobody', 0)");
    replication.on_provider("update moved set v = 'w' where id = 1");
    replication.sync();
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "lock table moved in access exclusive mode",
    );
    replication.replay.run(&["resync", "t"]).ok();
    wait_until("the copy to wait for the table", SOON, || {
        replication.on_provider(
            "select count(*) > 0 from pg_stat_activity where application_name like 'trunkline copy-out%' \
             and wait_event_type = 'Lock' and query ~* 'lock table'",
        ) == "t"
    });
    let analyzed = || {
        replication
            .on_subscriber("select analyze_count from pg_stat_user_tables where relname = 'moved'")
    };
    wait_until("the statistics of the first copy", SOON, || {
        analyzed() == "1"
    });
    writer.ask("truncate moved; insert into moved select i, 'after', i from generate_series(1, 100) i; commit");
    replication.wait_ok();
    replication.sync();
    wait_until("its statistics", SOON, || analyzed() == "2");
    tests::same(
        (&replication.provider, replication.db()),
        (&replication.subscribers[0], replication.db()),
        "public.moved",
    );
    // Given up half way, its rows go, and those of the table that has its old name stay; also when nobody can be
    // asked any more what it is called.
    for (old, now, gone) in [("t", "moved", false), ("moved", "moved_again", true)] {
        if gone {
            replication.replay.run(&["start", "-d"]).ok();
            replication.replay.run(&["add", old]).ok();
            replication.wait_ok();
            replication.everywhere(&format!(
                "alter table {old} rename to {now}; create table {old} (id int primary key, v text, n int)"
            ));
            replication.on_subscriber(&format!("insert into {old} values (1, 'of nobody', 0)"));
        }
        let held = Session::holding(
            &replication.subscribers[0],
            replication.db(),
            &format!(
                "lock table trunkline.conflict in access exclusive mode; \
                 insert into trunkline.copied_range values ('replay1', 'public', '{old}', 0)"
            ),
        );
        replication.replay.run(&["resync", old]).ok();
        wait_until("the copy to have emptied the table", SOON, || {
            replication.on_subscriber("select loading from trunkline.table_state") == "t"
        });
        replication.replay.kill9();
        drop(held);
        if gone {
            // As half a copy leaves it.
            replication.on_subscriber(&format!("insert into {now} values (1, 'half', 0)"));
            replication.on_provider(&format!("drop table {now}"));
        }
        replication.replay.run(&["remove", old]).ok();
        assert_eq!(
            replication.on_subscriber(&format!(
                "select string_agg(v, ' ') from {old}; select count(*) from {now}"
            )),
            "of nobody\n0"
        );
    }
    replication.assert_clean(&[]);
}

#[test]
fn a_full_disk_or_whatever_else_refuses_rows_half_way_is_tried_again_until_it_takes_them() {
    let replication = Replication::builder().make();
    replication.on_provider(LARGE);
    replication.copy_schema();
    replication.on_subscriber(
        "create table how (state text); insert into how values ('53100'); \
         create function refuse() returns trigger language plpgsql as $$ declare s text; begin \
             select state into s from public.how; if s <> '' then raise exception 'not this one' using errcode = s; end if; \
             return new; end $$; \
         create trigger refuse before insert on t for each row when (new.id = 200000) execute function refuse(); \
         alter table t enable always trigger refuse",
    );
    replication.start();
    replication.replay.run(&["add", "t", "other"]).ok();
    wait_until("a part to be refused", SOON, || {
        replication.replay.log().contains("is loaded again")
    });
    replication.on_provider("insert into other values (1)");
    wait_until("the other table to go on", SOON, || {
        replication.on_subscriber("select count(*) from other") == "1"
    });
    // What is no passing trouble parks the table, with nothing of the copy left in it.
    replication.on_subscriber("update how set state = 'P0001'");
    replication.wait_parked("public.t", &["not this one"]);
    wait_until("what was loaded to be gone", SOON, || {
        replication.on_subscriber("select count(*) from t") == "0"
    });
    replication.on_subscriber("update how set state = ''");
    replication.wait_ok();
    replication.sync();
    replication.assert_same();
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename = 't'"),
        "2"
    );
    replication.assert_clean(&[
        "table parked table=public.t",
        "is loaded again",
        "a table's task waits",
    ]);
}

#[test]
fn a_foreign_key_comes_back_though_its_owner_may_not_refer_to_the_table() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table parent (id int primary key, v text); create table child (id int primary key, parent int); \
         create table parts (id int primary key, parent int); \
         insert into parent select i, repeat('v', 100) from generate_series(1, 60000) i; \
         insert into child select i, i from generate_series(1, 100) i; insert into parts select i, i from generate_series(1, 100) i",
    );
    replication.on_subscriber(
        "create role alice; create role bob; grant usage, create on schema public to alice, bob; \
         create table parent (id int primary key, v text); \
         create table child (id int primary key, parent int constraint plain references parent); \
         create table parts (id int primary key, parent int constraint apart references parent) partition by range (id); \
         create table parts_1 partition of parts default; \
         alter table parent owner to bob; alter table child owner to alice; \
         alter table parts owner to alice; alter table parts_1 owner to alice",
    );
    let before = replication.on_subscriber(crate::catalog::CATALOG);
    let rights = "select string_agg(relname || ' ' || coalesce(relacl::text, '-'), ',' order by relname) from pg_class \
                   where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')";
    let rights_before = replication.on_subscriber(rights);
    replication.start();
    replication.add_all();
    wait_until("all to be back", SOON, || {
        replication.on_subscriber("select count(*) from trunkline.kept_ddl") == "0"
    });
    crate::ddl::same_lines(&before, &replication.on_subscriber(crate::catalog::CATALOG));
    assert_eq!(
        replication.on_subscriber(
            "select has_table_privilege('alice', 'parent', 'references') or has_table_privilege('alice', 'parent', 'select')"
        ),
        "f"
    );
    println!("{rights_before}\n{}", replication.on_subscriber(rights));
    replication.assert_followed(&[]);
}

#[test]
fn a_partition_that_is_on_another_server_is_refused_by_name_and_never_left_out() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create extension file_fdw; create server files foreign data wrapper file_fdw; \
         create table t (id int not null, v text) partition by range (id); \
         create table t_1 (id int primary key, v text); alter table t attach partition t_1 for values from (0) to (100); \
         create foreign table t_2 partition of t for values from (100) to (200) \
             server files options (program 'echo 150,there', format 'csv'); \
         insert into t values (1, 'here')",
    );
    replication.on_subscriber("create table t (id int primary key, v text)");
    replication.start();
    replication
        .replay
        .run(&["add", "t", "--identity", "id"])
        .code(3)
        .says(&["t_2", "foreign"]);
    replication.on_provider("alter table t detach partition t_2");
    replication
        .replay
        .run(&["add", "t", "--identity", "id", "--wait", "120"])
        .ok();
    // One that comes later is in no copy, nor in any event.
    replication.on_provider("alter table t attach partition t_2 for values from (100) to (200); insert into t values (2, 'too')");
    let why = "a partition of it is no ordinary table";
    replication.wait_parked("public.t", &[why]);
    replication.replay.run(&["resync", "t"]).ok();
    replication.wait_parked("public.t", &[why]);
    replication.on_provider("alter table t detach partition t_2");
    replication.replay.run(&["resync", "t"]).ok();
    replication.wait_ok();
    replication.assert_followed(&[
        "table parked table=public.t",
        "changes of a captured table may be missing",
    ]);
}
