//! Tables without a key of their own: by columns, by all columns, and insert-only.

use std::time::Duration;

use tests::{Replication, same, wait_until};

#[test]
fn pk_04_pk_05_ty_17_ty_20_tables_without_a_key_follow_by_the_identity_that_is_chosen() {
    let r = Replication::builder().make();
    r.on_provider(
        "create table f (a int, b float8, c text, n int not null); create table z (); create table io (a int, v text);
         create table cols (id int primary key, at date not null, v text);
         insert into f values (1, 'NaN', 'x', 1), (1, 'NaN', 'x', 1), (1, 'NaN', 'x', 1), (null, null, null, 2), (null, null, null, 2);
         insert into z default values; insert into io values (1, 'copied'); insert into cols values (1, '2024-01-01', 'a')",
    );
    r.copy_schema();
    r.on_subscriber("alter table cols drop constraint cols_pkey, add primary key (at, id)");
    r.start();
    let refused = r.replay.run(&["add", "f"]);
    assert!(refused.code(3).stderr.contains("insert-only"));
    r.replay.run(&["add", "f", "z", "--identity", "full"]).ok();
    r.replay
        .run(&["add", "io", "--identity", "insert-only"])
        .ok();
    r.replay.run(&["add", "cols", "--identity", "at,id"]).ok();
    r.wait_ok();
    // The form of capture is changed while they follow.
    let chosen = ["add", "cols", "f", "--capture", "rows"];
    let said = r.replay.run(&chosen).ok().stdout;
    for line in [
        "public.cols is captured by rows: chosen\n",
        "public.f is captured by statements: its identity is full\n",
    ] {
        assert!(said.contains(line), "{said}");
    }
    r.on_provider(
        "delete from f where ctid = '(0,2)'; delete from f where ctid = (select min(ctid) from f where a is null);
         insert into f select i % 5, 'NaN', 'bulk', i % 3 from generate_series(1, 3000) i;
         update f set c = c || '!' where a = 2; begin; delete from f where a = 3; insert into f values (3, -0.0, '', 0); commit;
         insert into z default values; insert into z default values; delete from z where ctid = '(0,1)';
         update cols set at = at + 1; insert into cols values (2, '2024-02-01', 'b')",
    );
    // A statement within a statement takes away what the outer one is about to add.
    r.on_provider(
        "create function nested() returns trigger language plpgsql as $f$ begin
            if pg_trigger_depth() < 2 then update f set a = a + 100 where a = new.a and c = 'outer'; end if; return null; end $f$;
         create trigger nested after insert on f for each row execute procedure nested();
         insert into f values (50, 1, 'outer', 1), (51, 1, 'outer', 1); truncate z; insert into z default values",
    );
    r.sync();
    for table in ["public.f", "public.z", "public.cols"] {
        same((&r.provider, r.db()), (&r.subscribers[0], r.db()), table);
    }
    r.assert_no_conflicts();
    // Rows that are not there are a conflict, as with a key.
    r.on_subscriber("delete from f where c = 'x'");
    r.on_provider("delete from f where c = 'x'");
    r.sync();
    same(
        (&r.provider, r.db()),
        (&r.subscribers[0], r.db()),
        "public.f",
    );
    assert_eq!(
        r.on_subscriber("select count(*) from trunkline.conflict where kind = 'missing'"),
        "2"
    );
    // What insert-only leaves out is counted and said.
    r.on_provider("insert into io values (2, 'b'), (3, 'c'); update io set v = 'u' where a > 1; delete from io where a = 1");
    r.sync();
    assert_eq!(r.on_subscriber("select count(*), min(v) from io"), "3|b");
    wait_until("the count", Duration::from_secs(120), || {
        r.on_subscriber("select ignored from trunkline.table_state where table_name = 'io'") == "3"
    });
    let told: serde_json::Value =
        serde_json::from_str(&r.replay.run(&["tables", "--json"]).ok().stdout).unwrap();
    let io = told
        .as_array()
        .unwrap()
        .iter()
        .find(|table| table["table"] == "public.io")
        .unwrap();
    assert_eq!(io["ignored"], 3, "{told}");
    r.assert_clean(&["conflict", "changes left out"]);
}
