//! Foreign keys of the subscriber: never acted on a second time, no order asked for, and
//! emptying never reaches further than on the provider.

use tests::{Replication, Session};

#[test]
fn fk_01_children_before_parents_cycles_and_rows_that_refer_to_themselves_arrive() {
    let replication = Replication::running(
        "create table parent (id int primary key, v text); \
         create table child (id int primary key, parent int not null references parent deferrable initially deferred); \
         create table a (id int primary key, b int); \
         create table b (id int primary key, a int references a deferrable initially deferred); \
         alter table a add foreign key (b) references b deferrable initially deferred; \
         create table tree (id int primary key, up int references tree deferrable initially deferred)",
    );
    let writer = Session::holding(
        &replication.provider,
        replication.db(),
        "insert into child select g, g from generate_series(1, 300) g",
    );
    for statement in [
        "insert into parent select g, 'p' from generate_series(1, 300) g",
        "insert into a values (1, 1), (2, 2)",
        "insert into b values (1, 2), (2, 1)",
        "insert into tree select g, nullif(g + 1, 301) from generate_series(1, 300) g",
        "commit",
    ] {
        writer.ask(statement);
    }
    replication.assert_followed(&[]);
    // The subscriber's keys are there, and hold for what others write.
    let refused = replication.subscribers[0].try_psql(
        replication.db(),
        "begin; insert into child values (1000, 1000); set constraints all immediate",
    );
    assert!(
        refused.stderr.contains("violates foreign key"),
        "{refused:?}"
    );
    replication.on_provider(
        "begin; delete from tree where id = 300; update tree set up = null where up = 300; commit",
    );
    replication.assert_followed(&[]);
}

#[test]
fn fk_02_cascades_of_three_levels_act_on_the_provider_alone() {
    let tables = "create table p (id int primary key, v text); \
         create table c1 (id int primary key, p int references p on delete cascade on update cascade); \
         create table c2 (id int primary key, p int references p on delete set null on update cascade); \
         create table g1 (id int primary key, c int references c1 on delete cascade); \
         insert into p select g, 'v' from generate_series(1, 20) g; \
         insert into c1 select g, g from generate_series(1, 20) g; \
         insert into c2 select g, g from generate_series(1, 20) g; \
         insert into g1 select g, g from generate_series(1, 20) g";
    let all = Replication::running(tables);
    all.on_provider("delete from p where id <= 5");
    all.on_provider("update p set id = id + 100 where id between 6 and 10");
    all.assert_followed(&[]);
    all.assert_no_conflicts();

    // Only the parent is replicated: what its keys would do to the subscriber's own tables is not done.
    let parent = Replication::builder().make();
    parent.on_provider(tables);
    parent.copy_schema();
    parent.start();
    parent.replay.run(&["add", "p"]).ok();
    parent.wait_ok();
    parent.on_subscriber("insert into c1 values (1, 1), (7, 7); insert into g1 values (1, 1)");
    parent.on_provider("delete from p where id <= 5");
    parent.on_provider("update p set id = id + 100 where id between 6 and 10");
    parent.sync();
    assert_eq!(
        parent.on_subscriber("select string_agg(id || ' ' || p, ',' order by id) from c1"),
        "1 1,7 7"
    );
    assert_eq!(parent.on_subscriber("select count(*) from g1"), "1");
    assert_eq!(
        parent.on_subscriber("select count(*), sum(id) from p"),
        parent.on_provider("select count(*), sum(id) from p")
    );
    parent.assert_clean(&[]);
}

#[test]
fn tr_07_truncate_cascade_empties_what_it_emptied_on_the_provider_and_no_more() {
    let replication = Replication::builder().make();
    replication.on_provider(
        "create table p (id int primary key); create table c (id int primary key references p); \
         create table aside (id int primary key references p); \
         insert into p select generate_series(1, 10); insert into c select id from p; insert into aside select id from p",
    );
    replication.copy_schema();
    replication.start();
    replication.replay.run(&["add", "p", "c"]).ok();
    replication.wait_ok();
    // Two tables of the subscriber refer to p that the provider does not empty for it.
    replication.on_subscriber(
        "insert into aside values (3); create table local (id int primary key references p); insert into local values (4)",
    );
    replication.on_provider("truncate p cascade; insert into p values (50)");
    replication.sync();
    assert_eq!(replication.on_provider("select count(*) from aside"), "0");
    assert_eq!(
        replication.on_subscriber(
            "select (select string_agg(id::text, ' ') from p), (select count(*) from c), \
                    (select count(*) from aside), (select count(*) from local)"
        ),
        "50|0|1|1"
    );
    replication.assert_clean(&[]);
}
