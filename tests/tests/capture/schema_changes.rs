//! Schema changes of captured tables: each row says which shape it has, and no value goes to a wrong column. All of it
//! with event triggers and without them.

use crate::provider::Provider;

/// Makes a case of each function for each way to follow schema changes: by event triggers, without them, and without
/// them as a role that is no superuser and owns the database.
macro_rules! in_each_mode {
    ($($mode:ident: $make:expr),*; $cases:tt) => {
        $(in_each_mode!(@mode $mode, $make, $cases);)*
    };
    (@mode $mode:ident, $make:expr, { $($test:ident)* }) => {
        pub(crate) mod $mode {
            use crate::provider::Provider;

            crate::cases::cases! { $($test)* }

            $(async fn $test(p: Provider) {
                super::$test($make(p).await).await;
            })*
        }
    };
}

in_each_mode! {
    events: async |p| p,
    fingerprint: Provider::without_event_triggers,
    owner: Provider::owned;
    {
        dd_03_dd_07_columns_come_and_go_within_and_between_transactions
        dd_04_open_sessions_with_cached_plans_go_on
        dd_08_names_follow_renames_and_swaps
        dd_11_a_dropped_table_is_said_to_be_dropped_and_its_name_may_come_again
        pk_09_a_key_may_change_and_a_lost_key_is_a_problem_and_no_error
        dd_14_tr_09_what_hides_or_silences_changes_is_a_problem
        fk_02_a_foreign_key_with_actions_that_comes_later_changes_the_capture
    }
}

async fn dd_03_dd_07_columns_come_and_go_within_and_between_transactions(mut p: Provider) {
    p.run("create table t (id int primary key, a text, b int)")
        .await;
    p.add("t").await;
    p.run("insert into t values (1, 'a', 1)").await;
    for sql in [
        "alter table t add c text default 'x'; update t set c = 'c', a = 'b'",
        "alter table t drop b; insert into t values (2, 'a', 'c')",
        "begin; insert into t values (3, 'q', 'r'); savepoint s; alter table t drop a; insert into t values (4, 'gone');
         rollback to s; insert into t values (5, 'a', 'c'); commit",
        "begin; update t set a = 'A'; alter table t add b int; update t set b = id; commit",
        "alter table t rename a to z; update t set z = 'renamed'",
        "alter table t alter b type text using 'n' || b; update t set b = b || '!'; insert into t (id) values (9)",
        "alter table t add g text; update t set g = 1",
        "truncate t; alter table t drop g",
    ] {
        p.events().await;
        p.run(sql).await;
        p.look_after().await;
        // A new column's default and a new type change rows without an event; the updates above touch them all.
        p.check(sql).await;
    }
}

async fn dd_04_open_sessions_with_cached_plans_go_on(mut p: Provider) {
    p.run("create table t (id int primary key, a int)").await;
    p.add("t").await;
    let writer = p.another().await;
    let insert = writer
        .prepare("insert into t (id) values ($1)")
        .await
        .unwrap();
    for id in 0..7 {
        writer.execute(&insert, &[&id]).await.unwrap();
    }
    p.run("alter table t alter id type bigint; alter table t add b text default 'new'; update t set b = b").await;
    writer
        .batch_execute("insert into t values (100, 1, 'x')")
        .await
        .unwrap();
    p.check("after").await;
}

async fn dd_08_names_follow_renames_and_swaps(mut p: Provider) {
    p.run("create schema s; create table t (id int primary key, v text); create table u (id int primary key, v text)").await;
    p.add("t").await;
    p.add("u").await;
    p.run("insert into t values (1, 't'); insert into u values (1, 'u')")
        .await;
    p.run("alter table t set schema s; insert into s.t values (2, 't')")
        .await;
    p.check("schema").await;
    p.run("alter schema s rename to s2; update s2.t set v = 'tt'")
        .await;
    p.check("schema's name").await;
    p.run("begin; alter table s2.t set schema public; alter table t rename to old; alter table u rename to t; alter table old rename to u; commit").await;
    p.check_claims = false;
    p.run("insert into t values (5, 'was u'); insert into u values (5, 'was t')")
        .await;
    p.check("swap").await;
    assert_eq!(p.mirrored("t").len(), 2);
    assert_eq!(p.mirrored("u").len(), 3);
}

async fn dd_11_a_dropped_table_is_said_to_be_dropped_and_its_name_may_come_again(mut p: Provider) {
    p.run("create table t (id int primary key)").await;
    p.add("t").await;
    p.events().await;
    p.run("begin; drop table t; create table t (id int primary key, other text); insert into t values (1, 'x'); commit").await;
    p.look_after().await;
    assert_eq!(p.events().await.len(), 1, "the new table is another one");
    assert_eq!(
        p.ask(
            "select definition ->> 'dropped' from trunkline.shape order by shape_id desc limit 1"
        )
        .await,
        "true"
    );
    assert_eq!(
        p.ask("select (dropped_at is not null)::text from trunkline.captured")
            .await,
        "true"
    );
    assert_eq!(
        p.ask("select count(*) from pg_proc where proname like 'capture\\_%\\_insert'")
            .await,
        "0"
    );
    p.add("t").await;
    p.run("insert into t values (2, 'y')").await;
    p.check_claims = false;
    p.events().await;
    p.run("drop schema public cascade").await;
    p.look_after().await;
    assert_eq!(
        p.ask("select count(*) from trunkline.captured where dropped_at is null")
            .await,
        "0"
    );
}

async fn pk_09_a_key_may_change_and_a_lost_key_is_a_problem_and_no_error(mut p: Provider) {
    p.run("create table t (id int primary key, b int not null, v text); insert into t values (1, 10, 'x')").await;
    p.run("create table keep as select * from t; truncate t")
        .await;
    p.add("t").await;
    p.run("insert into t select * from keep").await;
    p.run("alter table t drop constraint t_pkey").await;
    p.look_after().await;
    assert_eq!(
        p.ask("select problem from trunkline.captured").await,
        "it has lost its key"
    );
    p.run("insert into t values (2, 20, 'y'); update t set v = 'z' where id = 1")
        .await;
    assert!(
        p.events()
            .await
            .iter()
            .any(|(kind, said)| kind == "shape" && said.contains("lost its key"))
    );
    p.run("alter table t add primary key (b)").await;
    p.look_after().await;
    assert_eq!(
        p.ask("select problem is null from trunkline.captured")
            .await,
        "t"
    );
    assert_eq!(p.ask("select definition #>> '{columns,1,key}' from trunkline.shape order by shape_id desc limit 1").await, "1");
    p.run("alter table t drop b").await;
    p.look_after().await;
    p.run("insert into t values (3, 'w'); update t set v = 'q'; delete from t")
        .await;
    assert_eq!(
        p.ask("select problem from trunkline.captured").await,
        "it has lost its key"
    );
}

async fn dd_14_tr_09_what_hides_or_silences_changes_is_a_problem(p: Provider) {
    p.run("create table t (id int primary key)").await;
    p.add("t").await;
    for (sql, word, back) in [
        (
            "alter table t set unlogged",
            "unlogged",
            "alter table t set logged",
        ),
        (
            "alter table t disable trigger all",
            "disabled",
            "alter table t enable trigger all",
        ),
        (
            "alter table t disable trigger trunkline_insert",
            "disabled",
            "alter table t enable trigger trunkline_insert",
        ),
    ] {
        p.run(sql).await;
        p.look_after().await;
        let problem = p.ask("select problem from trunkline.captured").await;
        assert!(problem.contains(word), "{sql}: {problem:?}");
        p.run(back).await;
        p.run("alter table t set (fillfactor = 90)").await;
        p.look_after().await;
        assert_eq!(
            p.ask("select problem is null from trunkline.captured")
                .await,
            "t",
            "{back}"
        );
    }
}

async fn fk_02_a_foreign_key_with_actions_that_comes_later_changes_the_capture(mut p: Provider) {
    p.run("create table a (id int primary key); create table t (id int primary key, a int)")
        .await;
    p.add("t").await;
    p.run("insert into a values (1); insert into t values (1, 1)")
        .await;
    p.run("alter table t add foreign key (a) references a on update cascade")
        .await;
    p.events().await;
    p.run("update a set id = 2").await;
    let last = p.events().await.pop();
    assert_eq!(last, Some(("live".to_owned(), "(1,2)".to_owned())));
}

#[tokio::test]
async fn a_role_without_superuser_installs_and_says_that_it_compares_the_catalog() {
    let p = Provider::start().await;
    p.run("create role owner login").await;
    p.run("create database d owner owner").await;
    p.run("grant pgq_admin, pgq_reader, pgq_writer to owner")
        .await;
    let mut owner = p.cluster.connect("d").await;
    owner
        .batch_execute("set session authorization owner")
        .await
        .unwrap();
    sql::install::install(
        &mut owner,
        &[
            sql::install::Component::Pgq,
            sql::install::Component::Provider,
        ],
    )
    .await
    .unwrap();
    owner
        .batch_execute("select pgq.create_queue('q'); create schema app; create table app.t (id int primary key);
                        select trunkline.add_table('q', 'job', 'app', 't'); insert into app.t values (1)")
        .await
        .unwrap();
    assert_eq!(
        tests::ask(&owner, "select trunkline.capture_mode()").await,
        "fingerprint"
    );
    assert_eq!(
        tests::ask(
            &owner,
            "select count(*) from pgq.event_1 where ev_type = 'trunkline.1.rows'"
        )
        .await,
        "1"
    );
}

/// The plans of capture are what the tables are.
async fn known(p: &Provider) -> String {
    p.ask("select count(*) from trunkline.captured c where c.plan is distinct from trunkline.capture_plan(c.table_oid, c.plan)")
        .await
}

#[tokio::test]
async fn d1_a_column_added_to_a_parent_reaches_the_capture_of_its_children() {
    let mut p = Provider::start().await;
    p.run("create table base (id int primary key, a text); create table kid (primary key (id)) inherits (base)")
        .await;
    p.add("kid").await;
    p.run("alter table base add column c int; insert into kid values (1, 'x', 5)")
        .await;
    assert_eq!(
        p.events().await.last(),
        Some(&("live".to_owned(), "(1,x,5)".to_owned()))
    );
    p.run("alter table base rename column a to a2; insert into kid (id, a2) values (2, 'y')")
        .await;
    p.check("renamed").await;
    assert_eq!(known(&p).await, "0");
}

#[tokio::test]
async fn d1_a_table_that_becomes_a_partition_and_is_one_no_more_is_looked_at_each_time() {
    let mut p = Provider::start().await;
    if p.version() < 11 {
        // The server lets no table with such triggers become a partition.
        return;
    }
    p.run("create table t (id int primary key, v text); create table r (like t) partition by range (id)")
        .await;
    p.add("t").await;
    let problem = "select coalesce(max(problem), '-') from trunkline.captured";
    p.run("alter table r attach partition t for values from (0) to (9)")
        .await;
    assert_eq!(p.ask(problem).await, "it is a partition of another table");
    p.run("alter table r add c int; alter table r detach partition t; insert into t values (1, 'x', 5)")
        .await;
    assert_eq!(p.ask(problem).await, "-");
    p.check("detached").await;
    assert_eq!(known(&p).await, "0");
}

#[tokio::test]
async fn d1_a_foreign_key_that_goes_with_its_target_and_a_parent_that_lost_its_child_are_noticed() {
    let mut p = Provider::start().await;
    p.run(
        "create table far (id int primary key); create table t (id int primary key, far int references far on update cascade);
         create table base (id int primary key); create table kid () inherits (base)",
    )
    .await;
    p.add("t").await;
    p.add("base").await;
    p.run("drop table far cascade; alter table kid no inherit base; insert into t values (1, 1); insert into base values (1)")
        .await;
    p.check("gone").await;
    assert_eq!(known(&p).await, "0");
}

#[tokio::test]
async fn d2_a_ddl_log_that_fails_in_our_functions_leaves_capture_as_right_as_without_it() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run(
        "create table ddl_log (tag text);
         create function log_ddl() returns event_trigger language plpgsql as $$ begin insert into ddl_log values (tg_tag); end $$;
         create event trigger a_log on ddl_command_end execute procedure log_ddl()",
    )
    .await;
    p.run("alter table t add column c int; insert into t (id, v, c) values (2, 'b', 22)")
        .await;
    assert_eq!(
        p.events().await.last(),
        Some(&("insert".to_owned(), "(2,b,22)".to_owned()))
    );
    p.run("alter table t rename column v to vv; insert into t (id, vv) values (3, 'c')")
        .await;
    p.check("renamed").await;
    assert_eq!(known(&p).await, "0");
    assert!(
        p.marks
            .iter()
            .all(|(_, mark)| !matches!(mark, sql::event::Mark::Resync { .. }))
    );
    assert_eq!(
        p.ask("select string_agg(tag, ', ') from ddl_log").await,
        "ALTER TABLE, ALTER TABLE"
    );
}

#[tokio::test]
async fn d2_what_upkeep_cannot_do_either_is_a_problem_until_it_can_and_fails_no_statement() {
    let mut p = Provider::start().await;
    if p.version() < 11 {
        // No partitioned table has a key there.
        return;
    }
    p.run(
        "create table r (id int not null, k int not null, v text, primary key (id, k)) partition by list (k);
         create table r1 partition of r for values in (1)",
    )
    .await;
    p.add("r").await;
    p.run(
        "create function refuse() returns event_trigger language plpgsql as $$ begin
            if tg_tag in ('CREATE FUNCTION', 'CREATE TRIGGER') then raise exception 'not on weekdays'; end if; end $$;
         create event trigger a_refuse on ddl_command_end execute procedure refuse()",
    )
    .await;
    let problems =
        "select coalesce(string_agg(problem, '; '), '-') from trunkline.capture_problems()";
    p.run("create table r2 partition of r for values in (2); alter table r rename v to w; alter table r1 add constraint c check (id > 0)")
        .await;
    for sql in [
        "insert into r values (1, 1, 'a'), (2, 2, 'b')",
        "insert into r2 values (3, 2, 'unseen')",
        "update r1 set w = 'c'",
    ] {
        p.run(sql).await;
        p.run("select from trunkline.upkeep(false)").await;
        assert_eq!(
            p.ask(problems).await,
            "its capture could not be made anew: not on weekdays",
            "{sql}"
        );
    }
    assert_eq!(
        p.events()
            .await
            .iter()
            .filter(|(kind, said)| kind == "mark" && said.contains("could not be made anew"))
            .count(),
        3,
        "told by each command, and by no upkeep"
    );
    p.run("drop event trigger a_refuse; select from trunkline.upkeep(false)")
        .await;
    assert_eq!(p.ask(problems).await, "-");
    assert_eq!(known(&p).await, "0");
    p.check("mended").await;
    p.run("insert into r2 values (4, 2, 'seen'); update r set w = 'd'")
        .await;
    p.check("all of it").await;
}

#[tokio::test]
async fn d2_event_triggers_that_are_disabled_are_noticed_by_the_next_upkeep() {
    let mut p = Provider::start().await;
    p.run("create table t (id int primary key, v text)").await;
    p.add("t").await;
    p.run("alter event trigger trunkline_ddl_command_end disable; select from trunkline.upkeep(false)")
        .await;
    p.run("alter table t add c int; insert into t values (1, 'a', 1)")
        .await;
    p.run("alter table t rename v to w; insert into t values (2, 'b', 2)")
        .await;
    p.check("compared").await;
}
