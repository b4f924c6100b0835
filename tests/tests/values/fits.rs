//! Columns whose types differ between provider and subscriber: what fits follows, what may not is told, what cannot is
//! refused.

use std::time::Duration;

use tests::{Replication, wait_until};

const SOON: Duration = Duration::from_secs(120);

#[test]
fn dd_05_ty_19_wider_types_follow_others_are_told_by_name_and_those_that_take_nothing_are_refused()
{
    let r = Replication::builder().make();
    r.on_provider(
        "create table wider (id int primary key, a smallint, b varchar(20), c date, d int[]);
         insert into wider values (1, 2, 'x', '2026-01-02', '{1,NULL}');
         create table risky (id int primary key, v text); insert into risky values (1, '12');
         create table wrong (id int primary key, u int, w boolean)",
    );
    r.on_subscriber(
        "create table wider (d bigint[], c timestamp, b text, a numeric, id bigint primary key, own int default 7);
         create table risky (id int primary key, v int);
         create table wrong (id int primary key, u uuid, w boolean)",
    );
    r.start();
    let added = r.replay.run(&["add", "--all"]);
    assert_eq!(added.code, 1, "{added:?}");
    assert!(
        added.stderr.contains(
            "warning: public.risky: v is text on the provider and integer on the subscriber"
        ),
        "{added:?}"
    );
    assert!(
        added.stderr.contains(
            "not added: public.wrong: u is integer on the provider and uuid on the subscriber"
        ),
        "{added:?}"
    );
    assert!(!added.stderr.contains("public.wider"), "{added:?}");
    r.wait_ok();
    r.on_provider("insert into wider values (2, 32767, 'y', 'infinity', '{}'); update wider set b = 'z' where id = 1");
    r.sync();
    assert_eq!(
        r.on_subscriber(
            "select string_agg(concat_ws(' ', id, a, b, c, d, own), '|' order by id) from wider"
        ),
        "1 2 z 2026-01-02 00:00:00 {1,NULL} 7|2 32767 y infinity {} 7"
    );
    // `missing` names the tables that cannot be taken as they are now, replicated or not.
    r.on_subscriber("alter table wider alter a type uuid using null");
    let missing = r.replay.run(&["missing"]).ok().stdout.clone();
    assert!(
        missing.contains(
            "public.wider (replicated, but a is smallint on the provider and uuid on the subscriber"
        ) && missing.contains("public.wrong (u is integer on the provider")
            && !missing.contains("risky"),
        "{missing}"
    );
    r.on_subscriber("alter table wider alter a type numeric using 0");
    // A value that does not fit parks its table alone, with the value's type in the error; it goes on by itself.
    r.on_provider("insert into risky values (2, 'abc'); insert into wider values (3)");
    wait_until("the table to be parked", SOON, || {
        r.state("public.risky") == "parked"
    });
    wait_until("the other table's row", SOON, || {
        r.on_subscriber("select count(*) from wider") == "3"
    });
    r.on_subscriber("alter table risky alter v type text");
    r.wait_ok();
    r.sync();
    assert_eq!(r.on_subscriber("select v from risky where id = 2"), "abc");
    r.assert_clean(&["table parked"]);
}
