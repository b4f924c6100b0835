//! What goes in comes out: every value by its type's own text, decoded to COPY text, loaded and compared.

use bytes::BytesMut;
use futures::SinkExt;
use sql::event::row;
use sql::event::{Event, RawEvent};

use crate::provider::Provider;

/// A column of each kind, and the values that stand in rows together.
const COLUMNS: [(&str, &[&str]); 25] = [
    (
        "int8",
        &["-9223372036854775808", "9223372036854775807", "NULL"],
    ),
    ("numeric", &["'NaN'", "1.00", "1e-16383", "-0.0"]),
    (
        "float8",
        &[
            "'NaN'",
            "'-Infinity'",
            "'-0'",
            "5e-324",
            "0.30000000000000004",
            "0.1",
        ],
    ),
    ("float4", &["1e-45", "3.4028235e38", "100100.666"]),
    (
        "text",
        &[
            "''",
            "NULL",
            r"'\N'",
            r"'\.'",
            r"'\\'",
            "E'\\t\\r\\n'",
            "'NULL'",
            "'\"'",
            "'a,b'",
            "'(x)'",
            "E'\\x01\\x1f'",
            "'😀'",
            "' '",
            "E'\\x0b'",
        ],
    ),
    ("char(5)", &["'ab '", "''"]),
    ("\"char\"", &["'a'", "''"]),
    ("bytea", &["''", r"'\x00ff5c22'", r"'\\'"]),
    (
        "date",
        &["'infinity'", "'4713-01-01 BC'", "'5874897-12-31'"],
    ),
    (
        "timestamp",
        &[
            "'-infinity'",
            "'294276-12-31 23:59:59.999999'",
            "'2024-01-02 03:04:05'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'2024-03-31 03:30:00 Europe/Helsinki'",
            "'infinity'",
            "'4713-01-01 00:00:00+00 BC'",
        ],
    ),
    ("time", &["'24:00:00'"]),
    ("timetz", &["'00:00:00+15:59'"]),
    (
        "interval",
        &["'178000000 years'", "'-1 mon +1 day -00:00:00.000001'"],
    ),
    ("money", &["'-1234567.89'"]),
    (
        "int[]",
        &[
            "'{}'",
            "'{1,NULL,3}'",
            "'[0:1]={1,2}'",
            "'{{{1},{2}},{{3},{4}}}'",
        ],
    ),
    ("text[]", &[r#"'{NULL,"NULL","a b","q\"q","b\\s",""}'"#]),
    ("box[]", &["'{(1,2),(3,4);(5,6),(7,8)}'"]),
    (
        "json",
        &[r#"'{"a": 1.0, "a": 1E400 , "b":"\u00e9"}'"#, "'null'"],
    ),
    (
        "jsonb",
        &[
            "'9223372036854775808.00000000000000000001'",
            r#"'{"x": "y\n\"z"}'"#,
        ],
    ),
    ("tstzrange", &["'[2024-01-01 00:00+02,)'", "'empty'"]),
    (
        "pair",
        &["row(1, '')", "row(NULL, NULL)", r#"row(1.5, 'a,"b')"#],
    ),
    ("pair[]", &["array[row(1, 'a b')::pair, NULL]"]),
    ("regclass", &["'pg_class'"]),
    ("inet", &["'::1/128'"]),
];

#[tokio::test]
async fn every_value_survives_hostile_settings_byte_for_byte() {
    let p = Provider::start().await;
    let columns: Vec<String> = COLUMNS
        .iter()
        .enumerate()
        .map(|(i, (kind, _))| format!("c{i} {kind}"))
        .collect();
    p.run("create type pair as (x float8, y text)").await;
    // Generated columns came with 12; they stay out of events.
    let generated = p.cluster.version() >= 12;
    let computed = if generated {
        ", gen text generated always as ('g' || c0::text) stored"
    } else {
        ""
    };
    p.run(&format!(
        "create table t (id serial primary key, {}{computed})",
        columns.join(", ")
    ))
    .await;
    p.run("create table copy (like t including all)").await;
    p.add("t").await;
    p.run(
        "set datestyle = 'German, DMY'; set intervalstyle = 'iso_8601'; set timezone = 'America/St_Johns';
         set extra_float_digits = -5; set bytea_output = 'escape'; set quote_all_identifiers = on; set xmloption = document",
    )
    .await;
    let rounds = COLUMNS
        .iter()
        .map(|(_, values)| values.len())
        .max()
        .unwrap();
    for round in 0..rounds {
        let values: Vec<&str> = COLUMNS
            .iter()
            .map(|(_, values)| values[round % values.len()])
            .collect();
        let names: Vec<String> = (0..COLUMNS.len()).map(|i| format!("c{i}")).collect();
        p.run(&format!(
            "insert into t ({}) values ({})",
            names.join(", "),
            values.join(", ")
        ))
        .await;
    }
    for (name, value) in [
        ("datestyle", "German, DMY"),
        ("intervalstyle", "iso_8601"),
        ("timezone", "America/St_Johns"),
        ("extra_float_digits", "-5"),
        ("bytea_output", "escape"),
        ("enable_seqscan", "on"),
        ("search_path", "\"$user\", public"),
    ] {
        assert_eq!(
            p.ask(&format!("show {name}")).await,
            value,
            "the writer's session is the same afterwards"
        );
    }

    let reader = p.cluster.connect("p").await;
    let places: Vec<usize> = (0..=COLUMNS.len()).collect();
    let mut copy = BytesMut::new();
    for found in reader.query("select ev_id, ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3 from pgq.event_1 order by 1", &[]).await.unwrap() {
        let raw = RawEvent {
            ev_id: found.get(0),
            ev_type: found.get(1),
            ev_data: found.get::<_, Option<&str>>(2).map(str::as_bytes),
            ev_extra1: found.get(3),
            ev_extra2: found.get(4),
            ev_extra3: found.get(5),
        };
        if let Event::Rows { block, .. } = raw.parse().unwrap() {
            for row in row::rows(block, places.len()) {
                row::to_copy_text(row.unwrap(), &places, &mut copy);
            }
        }
    }
    let names: Vec<String> = (0..COLUMNS.len()).map(|i| format!("c{i}")).collect();
    let sink = reader
        .copy_in::<_, bytes::Bytes>(&format!("copy copy (id, {}) from stdin", names.join(", ")))
        .await
        .unwrap();
    futures::pin_mut!(sink);
    sink.send(copy.freeze()).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), rounds as u64);
    reader
        .batch_execute("set extra_float_digits = 3")
        .await
        .unwrap();
    // The text of each value, not what its type calls equal.
    let unequal = if generated {
        "or t.gen is distinct from u.gen"
    } else {
        ""
    };
    for (i, (kind, _)) in COLUMNS.iter().enumerate() {
        let differ = format!(
            "select count(*) from t join copy u using (id) where t.c{i}::text is distinct from u.c{i}::text {unequal}"
        );
        assert_eq!(tests::ask(&reader, &differ).await, "0", "{kind}");
    }
}

#[tokio::test]
async fn changes_of_spelling_alone_are_changes() {
    let mut p = Provider::start().await;
    p.run("create extension citext; create table t (k citext primary key, n numeric, f float8, j jsonb)").await;
    p.add("t").await;
    p.run("insert into t values ('Ab', 1.0, 0, '1.0')").await;
    p.run("update t set n = 1.00, f = '-0', j = '1.00'").await;
    p.check("values").await;
    p.events().await;
    p.check_claims = false;
    p.run("update t set k = 'aB'").await;
    let events = p.events().await;
    assert_eq!(
        events,
        [("update".to_owned(), "(aB,1.00,-0,1.00)".to_owned())],
        "by citext's equality the key stays"
    );
    p.run("do $$ begin update t set n = 2; update t set k = 'AB'; end $$")
        .await;
    assert_eq!(
        p.events().await.last().unwrap(),
        &("live".to_owned(), "(AB,2,-0,1.00)".to_owned())
    );
}

#[tokio::test]
async fn no_column_name_can_hide_ours() {
    let mut p = Provider::start().await;
    let names = [
        "n",
        "o",
        "x",
        "t",
        "d",
        "l",
        "b",
        "g",
        "k1",
        "kind",
        "newt",
        "oldt",
        "v_mark",
        "v_rows",
        "new",
        "old",
        "ev_id",
        "Capital Idea",
        "Jan's bad",
        "dq\"dq",
        "bs\\bs",
        "user",
        "select",
        "%s%1$s",
        "{}",
        "$1",
        "a;b",
        "--x",
        "tab\tnl\n",
        "😀",
        "$f$",
    ];
    let columns: Vec<String> = names
        .iter()
        .map(|name| format!("\"{}\" text", name.replace('"', "\"\"")))
        .collect();
    for (table, key) in [
        ("\"user\".\"Jan's \"\"t\"", "\"n\", \"x\""),
        ("\"user\".\"$f$%s\"", "\"tab\tnl\n\", \"bs\\bs\", \"kind\""),
    ] {
        p.run(&format!(
            "create schema if not exists \"user\"; create table {table} ({}, primary key ({key}))",
            columns.join(", ")
        ))
        .await;
        p.add(table).await;
        let values = vec!["'v'"; names.len()].join(", ");
        p.run(&format!("insert into {table} values ({values})"))
            .await;
        p.run(&format!("insert into {table} (n, x, \"tab\tnl\n\", \"bs\\bs\", kind) select i, i, i, i, i from generate_series(1, 3) i")).await;
        p.run(&format!(
            "update {table} set n = n || 'm', kind = kind || 'm'; update {table} set \"t\" = '1'"
        ))
        .await;
        p.run(&format!(
            "delete from {table} where n = '1m'; delete from {table} where n = 'vm'"
        ))
        .await;
        p.check(table).await;
    }
    assert_eq!(p.mirrored("\"user\".\"$f$%s\"").len(), 2);
}
