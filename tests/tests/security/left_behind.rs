//! What code of a table's owner leaves behind in a session in which capture reads the table as its owner: a
//! search_path, a cursor WITH HOLD, a deferred trigger.

use tests::{Replication, trap};

/// A table whose statements nest and a partitioned one, with the trap where planning a query on them runs it.
const PLACES: &str = "
    create table trap.nested (id int primary key, v text);
    create index on trap.nested (v) where trap.yes('predicate of a nested table', 1);
    create function trap.again() returns trigger language plpgsql as $f$ begin
        if pg_catalog.pg_trigger_depth() operator(pg_catalog.<) 2 then
            update trap.nested set v = 'again' where id operator(pg_catalog.=) new.id;
        end if;
        return null; end $f$;
    create trigger again after insert on trap.nested for each row execute procedure trap.again();
    create table trap.ranges (id int primary key, v text) partition by range (id);
    create table trap.range1 partition of trap.ranges for values from (0) to (100);
    create index on trap.range1 (v) where trap.yes('predicate of a partition', 1)";

/// A provider whose tables are the trapper's, captured by a superuser.
fn captured() -> Replication {
    let r = Replication::builder().make();
    trap::lay_lasting(&r.provider, r.db());
    trap::as_trapper(&r.provider, r.db(), PLACES);
    r.ticker.run(&["install"]).ok();
    r.on_provider("select pgq.register_consumer('q1', 'reader')");
    for table in ["nested", "ranges"] {
        r.on_provider(&format!(
            "select trunkline.add_table('q1', 'reader', 'trap', '{table}')"
        ));
    }
    r
}

#[test]
fn a5_capture_does_not_go_on_in_a_search_path_of_an_owner() {
    let r = captured();
    let mut psql = r.provider.client("psql", r.db());
    let write = "insert into trap.nested values (1, 'a')";
    let output = tests::run(
        psql.env("PGUSER", trap::TRAPPER)
            .args(["-XAtq", "-c", write]),
    );
    assert!(
        output.stderr.contains(
            "code of the owner of table trap.nested, run by reading it, has changed the search_path"
        ),
        "{}",
        output.stderr
    );
    trap::assert_held(&r.provider);
}

#[test]
fn a5_the_ticker_does_not_read_tables_of_other_roles_when_it_follows_a_change() {
    let r = captured();
    for name in ["ddl_command_end", "sql_drop", "table_rewrite"] {
        r.on_provider(&format!("alter event trigger trunkline_{name} disable"));
    }
    trap::as_trapper(
        &r.provider,
        r.db(),
        "create table trap.range2 (like trap.ranges including all);
         create index on trap.range2 (v) where trap.yes('predicate of a late partition', 1);
         insert into trap.range2 values (150, 'z');
         alter table trap.ranges attach partition trap.range2 for values from (100) to (200)",
    );
    // As the ticker does, in a session of a superuser.
    let done = r.on_provider("select trunkline.upkeep()");
    assert!(done.contains("trap.ranges has changed"), "{done}");
    // Its rows are not told; the consumers are told to copy the table.
    let asked = "select count(*) from pgq.event_template
        where ev_type like 'trunkline.%.mark' and ev_extra1 = 'trap.ranges' and ev_extra3 = 'resync'";
    assert_ne!(r.on_provider(asked), "0");
    trap::assert_held(&r.provider);
}
