//! What a copy takes away from a table comes back as it was: every kind of index and constraint,
//! on the oldest and the newest server.

use tests::{Cluster, Replication, Server, Session, choose, wait_until};

use crate::{SOON, catalog::CATALOG};

/// A table with every kind of index, and tables that refer to it. Large enough to be loaded
/// without its indexes.
const RICH: &str = "\
    create table parent (id int primary key, code text not null, place point, span int4range, v text, n int); \
    create unique index parent_code on parent (code) include (v) with (fillfactor = 70); \
    create index parent_partial on parent (n desc nulls first) where n > 10; \
    create index parent_expression on parent ((lower(v)), (n + 1)); \
    create index parent_gist on parent using gist (place); \
    create index parent_hash on parent using hash (v); \
    create index parent_like on parent (v text_pattern_ops, code collate \"C\"); \
    alter table parent add constraint parent_late unique (code, n) deferrable initially deferred; \
    alter table parent add constraint parent_span exclude using btree (id with =); \
    alter table parent cluster on parent_code; \
    comment on index parent_code is 'it''s the code'; \
    comment on constraint parent_pkey on parent is 'the key'; \
    create table child (id int primary key, parent int, constraint child_parent foreign key (parent) references parent \
        on delete cascade deferrable initially deferred); \
    create table loose (id int primary key, parent int); \
    alter table loose add constraint loose_parent foreign key (parent) references parent (id) on update set null not valid; \
    comment on constraint child_parent on child is 'family'; \
    create table self (id int primary key, up int references self, v text)";

const ROWS: &str = "\
    insert into parent select i, 'c' || i, point(i, i), int4range(i * 2, i * 2 + 1), repeat('v', 40), i % 100 \
        from generate_series(1, 50000) i; \
    insert into child select i, i from generate_series(1, 1000) i; \
    insert into loose select i, i from generate_series(1, 1000) i; \
    insert into self select i, nullif(i / 2, 0), repeat('v', 60) from generate_series(1, 60000) i";

/// What only some versions have, and what belongs to the subscriber alone.
fn of_version(major: u32) -> String {
    let mut sql = String::from(
        "create index parent_elsewhere on parent (n) tablespace elsewhere; \
         create unique index parent_identity on parent (code, id); \
         alter table parent replica identity using index parent_identity; \
         create view grouped as select id, v, count(*) from self group by id; \
         create table split (id int, parent int) partition by range (id); \
         create table split_1 partition of split for values from (0) to (1000); ",
    );
    if major >= 11 {
        sql.push_str(
            "alter index parent_expression alter column 1 set statistics 77; \
             alter table split add constraint split_parent foreign key (parent) references parent; \
             comment on constraint split_parent on split is 'in one step'; ",
        );
    }
    if major >= 15 {
        sql.push_str("create unique index parent_nulls on parent (n, id) nulls not distinct; ");
    }
    sql
}

#[test]
fn every_kind_of_index_and_constraint_comes_back_as_it_was() {
    for major in choose("versions", vec![10, 12, 13, 14, 16, 17, 18], vec![10, 18]) {
        println!("subscriber of version {major}");
        every_kind(major);
    }
}

/// Makes the tablespace `elsewhere` on the subscriber.
pub(crate) fn make_tablespace(replication: &Replication) {
    let elsewhere = replication.subscribers[0].socket_dir().join("elsewhere");
    replication.on_subscriber(&format!(
        "copy (select 1) to program 'cat >/dev/null; mkdir {}'",
        elsewhere.display()
    ));
    replication.on_subscriber(&format!(
        "create tablespace elsewhere location '{}'",
        elsewhere.display()
    ));
}

fn every_kind(major: u32) {
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&Server::version(major))])
        .make();
    replication.on_provider(
        "create table parent (id int primary key, code text not null, place point, span int4range, v text, n int); \
         create table child (id int primary key, parent int); \
         create table loose (id int primary key, parent int); \
         create table self (id int primary key, up int, v text)",
    );
    replication.on_provider(ROWS);
    make_tablespace(&replication);
    let rich = if major < 11 {
        RICH.replace("include (v) ", "")
    } else {
        RICH.into()
    };
    replication.on_subscriber(&rich);
    replication.on_subscriber(&of_version(major));
    // An index that was left invalid stays so: it could not come back as it is.
    replication.on_subscriber("insert into self values (-1, null, 'x'), (-2, null, 'x')");
    let invalid = replication.subscribers[0].try_psql(
        replication.db(),
        "create unique index concurrently self_invalid on self (v)",
    );
    assert_ne!(invalid.code, 0);
    replication.on_subscriber("delete from self");
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    replication
        .replay
        .run(&["add", "parent", "child", "loose", "self"])
        .ok();
    replication.wait_ok();
    replication.wait_log("indexes and constraints are back table=public.parent objects=");
    // The view needs self's primary key.
    replication.wait_log(
        "index stays in place while its table is copied table=public.self index=self_pkey",
    );
    replication.sync();
    wait_until("the foreign keys to be validated", SOON, || {
        replication.on_subscriber("select count(*) from trunkline.kept_ddl") == "0"
    });
    same_lines(&before, &replication.on_subscriber(CATALOG));
    for table in ["parent", "child", "loose", "self"] {
        tests::same(
            (&replication.provider, replication.db()),
            (&replication.subscribers[0], replication.db()),
            &format!("public.{table}"),
        );
    }
    wait_until("statistics", SOON, || {
        replication.on_subscriber("select count(*) from pg_stats where tablename = 'parent'") != "0"
    });
    replication.assert_clean(&[]);
}

/// A table in parts, at two levels, with indexes of its own and of single partitions.
const IN_PARTS: &str = "\
    create table whole (id int not null, d int not null, v text, n int) partition by range (d); \
    create table whole_1 partition of whole for values from (0) to (10); \
    create table whole_2 partition of whole for values from (10) to (20) partition by list (d); \
    create table whole_2_odd (v text, n int, d int not null, id int not null); \
    alter table whole_2 attach partition whole_2_odd for values in (11, 13, 15, 17, 19); \
    create table whole_2_even partition of whole_2 for values in (10, 12, 14, 16, 18); \
    create table whole_rest partition of whole default; \
    create index own_name on whole_1 (v); create index \"middle On ONLY x\" on whole_2 (n desc); \
    alter table whole add constraint \"the key\" primary key (id, d); \
    alter table whole_1 cluster on whole_1_pkey; \
    create index whole_v on whole (v); create index whole_e on whole ((lower(v)), n) where n > 10; \
    create unique index \"whole u\" on whole (d, n, id); create index only_1 on whole_1 (n); \
    create index only_even on whole_2_even using hash (v); \
    comment on constraint \"the key\" on whole is 'it''s the key'; comment on index whole_v is 'v'; \
    comment on index own_name is 'its part'; \
    create table refers (id int primary key, whole_id int, whole_d int)";

#[test]
fn indexes_of_a_partitioned_table_and_of_its_partitions_come_back_as_they_were() {
    for major in choose("versions", vec![12, 13, 14, 15, 16, 17, 18], vec![15, 18]) {
        println!("subscriber of version {major}");
        in_parts(major);
    }
}

fn in_parts(major: u32) {
    let replication = Replication::builder()
        .subscribers(vec![Cluster::builder(&Server::version(major))])
        .make();
    let flat = "create table whole (id int, d int, v text, n int, primary key (id, d)); \
        create table refers (id int primary key, whole_id int, whole_d int)";
    replication.on_provider(flat);
    replication.on_provider(
        "insert into whole select i, i % 30, repeat('v', 40) || i, i from generate_series(1, 60000) i; \
         insert into refers select i, i, i % 30 from generate_series(1, 100) i",
    );
    replication.on_subscriber(IN_PARTS);
    replication.on_subscriber(
        "alter table refers add constraint refers_whole foreign key (whole_id, whole_d) references whole",
    );
    let before = replication.on_subscriber(CATALOG);
    replication.start();
    // Killed when they are gone, then all the way.
    let gate = Session::holding(
        &replication.subscribers[0],
        replication.db(),
        "insert into trunkline.copied_range values ('replay1', 'public', 'whole', 0)",
    );
    replication.replay.run(&["add", "whole"]).ok();
    wait_until("the indexes to be gone", SOON, || {
        replication
            .on_subscriber("select loading from trunkline.table_state where table_name = 'whole'")
            == "t"
    });
    assert_eq!(
        replication.on_subscriber("select count(*) from pg_indexes where tablename like 'whole%'"),
        "0"
    );
    replication.replay.kill9();
    drop(gate);
    // A partition that is away meanwhile fits in again.
    replication.on_subscriber("alter table whole detach partition whole_rest");
    replication.replay.run(&["restore-ddl"]).ok();
    replication.on_subscriber("alter table whole attach partition whole_rest default");
    same_lines(&before, &replication.on_subscriber(CATALOG));
    replication.replay.run(&["start", "-d"]).ok();
    replication.wait_ok();
    replication.replay.run(&["add", "refers"]).ok();
    replication.wait_ok();
    wait_until("all to be back", SOON, || {
        replication.on_subscriber("select count(*) from trunkline.kept_ddl") == "0"
    });
    same_lines(&before, &replication.on_subscriber(CATALOG));
    assert_eq!(
        replication.on_subscriber(
            "select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid where c.relkind = 'I' and not i.indisvalid"
        ),
        "0"
    );
    replication.sync();
    tests::same(
        (&replication.provider, replication.db()),
        (&replication.subscribers[0], replication.db()),
        "public.whole",
    );
    replication.assert_clean(&[]);
}

/// Shows what is missing and what is new, not two pages of text.
#[track_caller]
pub(crate) fn same_lines(before: &str, after: &str) {
    let only = |these: &str, those: &str| -> Vec<String> {
        let those: Vec<&str> = those.lines().collect();
        these
            .lines()
            .filter(|line| !those.contains(line))
            .map(str::to_owned)
            .collect()
    };
    assert!(
        before == after,
        "gone: {:#?}\nnew: {:#?}",
        only(before, after),
        only(after, before)
    );
}
