//! `trunkline doctor` on real servers of the oldest and the newest version: what is planted is found, with a command,
//! and nothing is touched.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::{Cluster, Output, Server, run};

use super::trunkline;

fn doctor(args: &[&str]) -> Output {
    run(trunkline().arg("doctor").args(args))
}

/// The levels by topic and side, the worst of each, without those in order.
fn levels(found: &Value) -> BTreeMap<String, String> {
    let mut levels = BTreeMap::new();
    for one in found["findings"].as_array().unwrap() {
        let word = |key: &str| one[key].as_str().unwrap().to_owned();
        if word("status") != "ok" {
            let level = levels
                .entry(format!("{} {}", word("topic"), word("side")))
                .or_insert_with(|| word("status"));
            if word("status") == "critical" {
                *level = word("status");
            }
            assert!(one["fix"].is_string(), "{one}");
        }
    }
    levels
}

#[test]
fn the_doctor_finds_what_is_planted_and_says_what_it_cannot_see() {
    for major in [10, 18] {
        let cluster = Cluster::builder(&Server::version(major)).start();
        for db in ["sick", "well"] {
            cluster.create_db(db);
        }
        let oids = if major < 12 { " with oids" } else { "" };
        cluster.psql(
            "sick",
            &format!(
                "create role owner; create role guest login; \
                 create table t (id serial primary key, v text); alter table t owner to owner; \
                 create table keyless (a int){oids}; create unlogged table fast (id int primary key); \
                 create type mood as enum ('good'); create table typed (id int primary key, m mood); \
                 create sequence ends maxvalue 10; select setval('ends', 10); \
                 create table parted (id int) partition by range (id); \
                 create materialized view kept as select 1 as one; \
                 create function f() returns trigger language plpgsql as 'begin return new; end'; \
                 create trigger only_here before insert on t for each row execute procedure f(); \
                 alter database sick set search_path to public, 'My'; revoke connect on database sick from public; \
                 create table kept_rows (id int primary key); insert into kept_rows values (1); \
                 create table no_rows (id int primary key); insert into no_rows values (-1); \
                 update pg_extension set extcondition = array['where id > 0', 'where id > 0'], \
                     extconfig = array['kept_rows'::regclass::oid, 'no_rows'::regclass::oid] where extname = 'plpgsql'; \
                 grant connect on database sick to guest; select lo_create(0)"
            ),
        );
        cluster.psql("well", "create table t (id int primary key, v text)");
        let (from, to) = (cluster.conninfo("sick"), cluster.conninfo("well"));
        let json = |args: &[&str], code| -> Value {
            let said = doctor(&[args, &["--json"]].concat()).code(code);
            serde_json::from_str(&said.stdout).unwrap()
        };
        let found = levels(&json(&[&from, "--to", &to], 2));
        let mut wanted: BTreeMap<String, String> = [
            ("keys from", "warning"),
            ("large-objects from", "critical"),
            ("sequences from", "critical"),
            ("settings to", "warning"),
            ("tables from", "warning"),
            ("tables to", "warning"),
            ("triggers from", "warning"),
            ("types to", "warning"),
        ]
        .into_iter()
        .map(|(topic, level)| (topic.to_owned(), level.to_owned()))
        .collect();
        // Whether this machine has room, and whether a server can list its extensions, is not the test's.
        let mut found = found;
        found.retain(|topic, _| !topic.starts_with("room") && !topic.starts_with("extensions"));
        assert_eq!(found, wanted, "{major}");

        // Without rights it says what it does not see, and what the role lacks.
        let guest = from.replace("user=postgres", "user=guest");
        assert_ne!(guest, from);
        let found = levels(&json(&[&guest], 2));
        for (topic, level) in [
            ("rights from", "critical"),
            ("sequences from", "unknown"),
            ("transactions from", "unknown"),
        ] {
            wanted.insert(topic.to_owned(), level.to_owned());
        }
        wanted.retain(|topic, _| topic.ends_with(" from") && topic != "triggers from");
        assert_eq!(found, wanted, "{major}");

        let text = doctor(&[&from, "--to", &to]).code(2).stdout;
        for part in [
            "WARNING keys from: tables without a key",
            "public.keyless",
            "    alter sequence public.ends maxvalue",
            "    alter database well set search_path to public, \"My\"",
            "these rows are not carried over: public.kept_rows\n",
            "grant connect on database well to guest",
            "revoke connect on database well from public",
            "OK tables from: 1 partitioned tables, each replicated as one: public.parted",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        // A role that is only on the one side, and a database that is in order.
        let one = json(&[&to], 0);
        assert_eq!(one["status"], "ok", "{one}");
        assert_eq!(
            cluster.psql("sick", "select to_regnamespace('trunkline')"),
            ""
        );
    }
    // Nobody answers, and nothing was named: both are no answer that all is well.
    let nobody = doctor(&["host=127.0.0.1 port=1 dbname=x user=x"]).code(2);
    assert!(
        nobody.stdout.contains("CRITICAL reachable from"),
        "{}",
        nobody.stdout
    );
    doctor(&["--nonsense"]).code(3);
    doctor(&["-c", "/nowhere/replay.toml"]).code(3);
}
