//! Data is never SQL: what an event holds becomes a value or a quoted name on the subscriber, and only capture writes
//! events of its types (A4).

use std::time::Duration;

use tests::{Replication, Session, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// What becomes a superuser if it is run.
const DO: &str =
    "do $x$ begin create role pwned superuser; exception when others then null; end $x$";

/// Marks and shapes with code in each text that they hold, by the kind of mark; DO is written as it would have to stand
/// in a condition, a literal (after a quote), a name (after a double quote) or a type. NUMBER, NAME and OID are the
/// table's.
const HELD: [(&str, &str); 14] = [
    (
        "emptied",
        r#"{"part": {"schema": "public", "name": "p"}, "bound": "x", "where": "false; DO"}"#,
    ),
    ("filled", r#"{"column": "v", "value": "x'; DO; --"}"#),
    (
        "emptied",
        r#"{"part": {"schema": "x\"; DO; --", "name": "x'; DO; --"}, "bound": "x'; DO; --", "within": null}"#,
    ),
    (
        "emptied",
        r#"{"part": {"schema": "public", "name": "p"}, "bound": null, "within": [{"columns": [{"name": "v", "type": "text"}], "in": ["x'; DO; --", "b"]}]}"#,
    ),
    (
        "emptied",
        r#"{"part": {"schema": "public", "name": "p"}, "bound": null, "within": [{"columns": [{"name": "x\"; DO; --", "type": "text"}], "in": ["1"]}]}"#,
    ),
    (
        "emptied",
        r#"{"part": {"schema": "public", "name": "p"}, "bound": null, "within": [{"columns": [{"name": "v", "type": "text; DO; --"}], "in": ["1"]}]}"#,
    ),
    (
        "emptied",
        r#"{"part": {"schema": "public", "name": "p"}, "bound": null, "within": [{"columns": [{"name": "id", "type": "integer"}], "from": ["1; DO; --"], "to": [{"end": "max"}]}]}"#,
    ),
    ("filled", r#"{"column": "x\"; DO; --", "value": "1"}"#),
    (
        "digest",
        r#"{"columns": ["id", "x\"; DO; --"], "changed": ["v"], "rows": 1, "sum": "x'; DO; --"}"#,
    ),
    (
        "digest",
        r#"{"columns": ["id"], "changed": ["x\"; DO; --"], "rows": 1, "sum": "1"}"#,
    ),
    ("resync", r#"{"why": "x'; DO; --"}"#),
    ("ignored", r#"{"operation": "x'; DO; --", "rows": 1}"#),
    (
        "",
        r#"{"shape": NUMBER, "table": {"schema": "x\"; DO; --", "name": "x\"; DO; --", "oid": OID}, "identity": "key", "columns": [{"name": "id", "type": "integer", "key": 1, "text_equal": true}]}"#,
    ),
    (
        "",
        r#"{"shape": NUMBER, "table": {"schema": "public", "name": "NAME", "oid": OID}, "identity": "key", "columns": [{"name": "id", "type": "integer; DO; --", "key": 1, "text_equal": false}, {"name": "x\"; DO; --", "type": "x\"; DO; --", "key": null, "text_equal": false}]}"#,
    ),
];

/// Puts an event into the queue as an owner of the queue can, and versions before could.
fn forge(provider: &Session, ev_type: &str, table: &str, shape: &str, kind: &str, data: &str) {
    let into = provider.ask("select pgq.current_event_table('q1')");
    let kind = if kind.is_empty() {
        "null".to_owned()
    } else {
        format!("$k${kind}$k$")
    };
    provider.ask(&format!(
        "insert into {into} (ev_time, ev_type, ev_extra1, ev_extra2, ev_extra3, ev_data) \
         values (now(), '{ev_type}', 'public.{table}', '{shape}', {kind}, $data${data}$data$)"
    ));
}

#[test]
fn a4_no_text_of_an_event_is_run_on_the_subscriber() {
    let cases = || {
        HELD.iter()
            .map(|(kind, data)| (*kind, data.replace("DO", DO)))
            .enumerate()
    };
    let tables: String = cases()
        .map(|(n, _)| format!("create table t{n} (id int primary key, v text); insert into t{n} values (1, 'a'), (2, 'b');"))
        .collect();
    let r = Replication::running(&format!("{tables} create table last (id int primary key)"));
    let provider = Session::new(&r.provider, r.db());
    for (n, (kind, data)) in cases() {
        let ask = |what: &str| {
            provider.ask(&format!(
                "select {what} from trunkline.captured where table_name = 't{n}'"
            ))
        };
        let (shape, oid) = (ask("shape_id"), ask("table_oid"));
        let new = format!("{}", 1_000_000 + n);
        let data = data
            .replace("NUMBER", &new)
            .replace("OID", &oid)
            .replace("NAME", &format!("t{n}"));
        let table = format!("t{n}");
        if kind.is_empty() {
            forge(&provider, "trunkline.1.shape", &table, &new, "", &data);
            forge(
                &provider,
                "trunkline.1.rows",
                &table,
                &new,
                "insert",
                if n == 12 { "(7)" } else { "(7,x)" },
            );
        } else {
            forge(&provider, "trunkline.1.mark", &table, &shape, kind, &data);
        }
    }
    r.on_provider("insert into last values (1)");
    wait_until("what follows the forged events", SOON, || {
        r.on_subscriber("select count(*) from last") == "1"
    });
    // Those that are parked are tried again; the row above has passed, so all of them were tried.
    let roles = "select count(*) from pg_roles where rolname = 'pwned'";
    assert_eq!(r.on_subscriber(roles), "0");
    assert_eq!(r.on_provider(roles), "0");
    // The first of them, as versions before wrote it: what the partition held is not known, and nothing is lost.
    r.wait_parked("public.t0", &["cannot be told from the others", "resync"]);
    assert_eq!(r.on_subscriber("select count(*) from t0"), "2");
    // A value stays a value, and so does the bound of a partition.
    let value = format!("x'; {DO}; --").replace('\'', "''");
    let filled = format!("select count(*) from t1 where v = '{value}'");
    assert_eq!(r.on_subscriber(&filled), "2");
    assert_eq!(
        r.on_subscriber("select string_agg(id::text, ' ') from t3"),
        "1"
    );
    r.replay.run(&["resync", "public.t0"]).ok();
    wait_until("the table to be copied again", SOON, || {
        r.state("public.t0") == "ok"
    });
    assert_eq!(r.on_subscriber(roles), "0");
}

#[test]
fn a4_events_of_captures_types_are_written_by_capture_alone() {
    let r = Replication::running("create table t (id int primary key); insert into t values (1)");
    r.on_provider("create role boss login in role pgq_admin; select pgq.create_queue('plain')");
    let boss = |sql: &str| {
        let mut command = r.provider.client("psql", r.db());
        command
            .env("PGUSER", "boss")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        tests::run(&mut command)
    };
    let shape = r.on_provider("select shape_id from trunkline.captured");
    let row = format!("'trunkline.1.rows', '(5)', 'public.t', '{shape}', 'insert'");
    let tables = r.on_provider(
        "select string_agg(c.oid::regclass::text, ' ') from pg_class c
          where c.relnamespace = 'pgq'::regnamespace and c.relname ~ '^event_1(_[0-9]+)?$' and c.relkind = 'r'",
    );
    assert_eq!(tables.split(' ').count(), 4, "{tables}");
    let all = |attempt: &dyn Fn(&str)| tables.split(' ').for_each(attempt);
    let insert = |table: &str| {
        format!(
            "insert into {table} (ev_time, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3) values (now(), {row})"
        )
    };
    all(&|table| {
        boss(&insert(table)).says(&["permission denied"]);
        boss(&format!("copy {table} (ev_time, ev_type) from stdin")).says(&["permission denied"]);
    });
    for call in [
        format!("select pgq.insert_event('q1', {row}, null)"),
        format!("select pgq.insert_event_raw('q1', null, now(), null, null, {row}, null)"),
        "select pgq.insert_events('q1', '[{\"ev_type\": \"trunkline.1.rows\"}]')".to_owned(),
        format!("select trunkline.put_1({row})"),
        "select trunkline.log_mark(1, 'resync', '{}')".to_owned(),
    ] {
        assert_ne!(boss(&call).code, 0, "{call}");
    }
    // What an admin puts among the retries comes back only if it is no event of capture's, and holds up nothing.
    r.on_provider("select pgq.register_consumer('plain', 'c')");
    let retry = |queue: &str, id: u32, columns: &str, row: &str| {
        boss(&format!(
            "insert into pgq.retry_queue (ev_retry_after, ev_queue, ev_id, ev_time, ev_owner, ev_type, ev_data{columns}) \
             select now(), q.queue_id, {id}, now(), s.sub_id, {row} \
               from pgq.subscription s join pgq.queue q on q.queue_id = s.sub_queue where q.queue_name = '{queue}' limit 1"
        ))
        .ok();
    };
    retry("q1", 99, ", ev_extra1, ev_extra2, ev_extra3", &row);
    retry("plain", 100, "", "'again', 'x'");
    wait_until("the retry that is none of capture's", SOON, || {
        boss("select pgq.maint_retry_events()").ok();
        r.on_provider("select count(*) from pgq.event_2 where ev_type = 'again'") == "1"
    });
    wait_until("all retries to be looked at", SOON, || {
        boss("select pgq.maint_retry_events()").ok();
        r.on_provider("select count(*) from pgq.retry_queue") == "0"
    });
    assert_eq!(
        r.on_provider("select count(*) from pgq.event_1 where ev_id = 99 and ev_retry is not null"),
        "0"
    );
    // Rights that are given anew, and tables that rotation adds, are no way around.
    boss("select pgq.grant_perms('q1'); select pgq.set_queue_config('q1', 'max_tables', '6')").ok();
    r.on_provider("update pgq.queue set queue_ntables = 4 where queue_name = 'q1' and false");
    all(&|table| {
        boss(&insert(table)).says(&["permission denied"]);
    });
    // A queue that captures nothing is loaded as PgQ's are.
    boss("select pgq.current_event_table('plain')").ok();
    let plain = r.on_provider("select pgq.current_event_table('plain')");
    boss(&format!(
        "insert into {plain} (ev_time, ev_type) values (now(), 'load')"
    ))
    .ok();
    // Until a table is captured into it. That waits for a transaction that has inserted, and may still commit.
    r.on_provider("create table late (id int primary key)");
    let open = Session::holding(
        &r.provider,
        r.db(),
        &format!(
            "set session authorization boss; insert into {plain} (ev_time, ev_type) values (now(), 'trunkline.1.rows')"
        ),
    );
    let capture =
        "set lock_timeout = '200 ms'; select trunkline.add_table('plain', 'c', 'public', 'late')";
    r.provider
        .try_psql(r.db(), capture)
        .says(&["lock timeout", "event_2"]);
    open.ask("commit");
    r.on_provider(capture);
    boss(&format!(
        "insert into {plain} (ev_time, ev_type) values (now(), 'load')"
    ))
    .says(&["permission denied"]);
    r.sync();
    assert_eq!(
        r.on_subscriber("select string_agg(id::text, ' ') from t"),
        "1"
    );
    r.assert_clean(&["maintenance failed"]);
}
