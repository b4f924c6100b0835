//! `sql/FORMAT.md` is enough: a decoder of another make, written from that page alone, and the Rust decoder give back
//! what PostgreSQL wrote, random values and texts among it.

use std::io::Write;
use std::process::{Command, Stdio};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sql::event::row;
use sql::event::{Event, RawEvent};
use tokio_postgres::Client;

use crate::provider::Provider;

const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/capture/decode_queue.py");

/// Characters that a decoder can get wrong.
const ODD: [&str; 20] = [
    "\"", "\\", ",", "(", ")", "\n", "\r", "\t", " ", "\u{1}", "\u{1f}", "\u{7f}", "'", "é", "😀",
    "\\N", "NULL", "\u{b}", "\u{a0}", "a",
];

fn text(random: &mut StdRng) -> String {
    let length = random.random_range(0..12);
    (0..length)
        .map(|_| ODD[random.random_range(0..ODD.len())])
        .collect()
}

/// An optional text as SQL.
fn sql_text(random: &mut StdRng) -> String {
    if random.random_range(0..6) == 0 {
        return "null".to_owned();
    }
    format!("'{}'", text(random).replace('\'', "''"))
}

/// Fills and changes `t` and `"odd ""t"`, whose rows hold random texts alone and in arrays, composites and JSON.
async fn random_rows(p: &Provider, random: &mut StdRng) {
    p.run(
        "create type pair as (x text, y float8);
         create table t (a text, id int, b text[], c pair, d jsonb, e numeric, f float8, g bytea, h interval, i timestamptz,
                         primary key (id, a));
         create table \"odd \"\"t\" (k text primary key, v text)",
    )
    .await;
    p.add("t").await;
    p.add("\"odd \"\"t\"").await;
    for id in 0..400 {
        let mut value = || sql_text(random);
        let (a, b, c, d, k) = (value(), value(), value(), value(), value());
        let (x, y) = (random.random::<f64>(), random.random::<i32>());
        p.run(&format!(
            "insert into t values (coalesce({a}, ''), {id}, array[{b}, {c}, null], row({d}, {x}), to_jsonb({b}::text),
                {y} / 100.00, {x}::float8 * 1e300, convert_to(coalesce({c}, ''), 'UTF8'), {y} * interval '1 second',
                timestamptz '2024-01-01 00:00+00' + {y} * interval '1 second');
             insert into \"odd \"\"t\" values (coalesce({k}, ''), {d}) on conflict (k) do update set v = {c}"
        ))
        .await;
    }
    p.run(
        "update t set id = id + 1000, b = array_append(b, a) where id % 3 = 0; delete from t where id % 5 = 0;
         insert into t (a, id, b) select repeat(E'\"\\n', i), -i, array[null, ''] from generate_series(1, 500) i;
         update t set c = null where id between -100 and 100; delete from \"odd \"\"t\" where v is null",
    )
    .await;
}

async fn raw_events(reader: &Client) -> Vec<Vec<Option<String>>> {
    reader
        .query("select ev_type, ev_data, ev_extra1, ev_extra2, ev_extra3 from pgq.event_1 order by ev_id", &[])
        .await
        .unwrap()
        .iter()
        .map(|found| (0..5).map(|place| found.get(place)).collect())
        .collect()
}

#[tokio::test]
async fn a_decoder_written_from_the_page_alone_gives_the_tables_rows() {
    let mut p = Provider::start().await;
    let seed = std::env::var("TRUNKLINE_SEED").map_or(7, |seed| seed.parse().unwrap());
    random_rows(&p, &mut StdRng::seed_from_u64(seed)).await;
    p.check("the mirror").await;
    let reader = p.another().await;
    let mut lines = String::new();
    for event in raw_events(&reader).await {
        let event: serde_json::Map<String, Value> =
            ["ev_type", "ev_data", "ev_extra1", "ev_extra2", "ev_extra3"]
                .iter()
                .map(|name| (*name).to_owned())
                .zip(
                    event
                        .into_iter()
                        .map(|text| text.map_or(Value::Null, Value::String)),
                )
                .collect();
        lines.push_str(&Value::Object(event).to_string());
        lines.push('\n');
    }
    let mut child = Command::new("python3")
        .arg(DECODER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let told: serde_json::Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    reader
        .batch_execute("set timezone = 'UTC'; set extra_float_digits = 3")
        .await
        .unwrap();
    for (table, columns) in [
        (
            "t",
            &["a", "id", "b", "c", "d", "e", "f", "g", "h", "i"][..],
        ),
        ("\"odd \"\"t\"", &["k", "v"]),
    ] {
        let texts: Vec<String> = columns
            .iter()
            .map(|column| format!("{column}::text"))
            .collect();
        let held: Value = reader
            .query_one(
                &format!(
                    "select json_agg(json_build_array({}))::text from {table}",
                    texts.join(", ")
                ),
                &[],
            )
            .await
            .map(|found| serde_json::from_str(found.get(0)).unwrap())
            .unwrap();
        let sorted = |rows: &Value| {
            let mut rows: Vec<String> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            rows.sort();
            rows
        };
        assert_eq!(
            sorted(&told[&format!("public.{table}")]),
            sorted(&held),
            "{table}, seed {seed}"
        );
    }
    assert_eq!(told.len(), 2);
}

/// Each text goes to PostgreSQL as a parameter, comes back as a record, and is taken apart here.
#[tokio::test]
async fn the_rust_decoder_gives_back_every_text_that_postgresql_wrote_as_a_record() {
    let p = Provider::start().await;
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..400 {
        let rows: Vec<Vec<Option<String>>> = (0..random.random_range(1..4))
            .map(|_| {
                (0..3)
                    .map(|_| (random.random_range(0..5) > 0).then(|| text(&mut random)))
                    .collect()
            })
            .collect();
        let mut block = String::new();
        for values in &rows {
            let found = p
                .client
                .query_one(
                    "select row($1::text, $2::text, $3::text)::text",
                    &[&values[0], &values[1], &values[2]],
                )
                .await
                .unwrap();
            if !block.is_empty() {
                block.push('\n');
            }
            block.push_str(found.get(0));
        }
        let raw = RawEvent {
            ev_id: 1,
            ev_type: Some("trunkline.1.rows"),
            ev_data: Some(block.as_bytes()),
            ev_extra1: Some("public.t"),
            ev_extra2: Some("1"),
            ev_extra3: Some("live"),
        };
        let Event::Rows { block, .. } = raw.parse().unwrap() else {
            panic!("rows");
        };
        let told: Vec<Vec<Option<String>>> = row::rows(block, 3)
            .map(|row| {
                row::fields(row.unwrap())
                    .map(|field| {
                        field.map(|field| String::from_utf8(field.unescape().into_owned()).unwrap())
                    })
                    .collect()
            })
            .collect();
        assert_eq!(told, rows, "seed {seed}");
    }
}
