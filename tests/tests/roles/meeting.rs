//! Nodes of a set meet: what one says of itself is stored by the other, stops a stale provider, and shows two providers
//! and two servers of one identity.

use serde_json::{Value, json};
use tests::{Cluster, Node, Scratch, Server, Session, configure, wait_until};

use crate::{SOON, sqlstate};

/// A database with table t in queue q1, which a fence or `trunkline.begin_set` makes a provider.
pub(crate) struct Castor {
    pub(crate) cluster: Cluster,
    pub(crate) operator: Node,
    _scratch: Scratch,
}

impl Castor {
    pub(crate) fn make(version: u32) -> Castor {
        let cluster = Cluster::builder(&Server::version(version)).start();
        cluster.create_db("db1");
        cluster.psql("db1", "create table t (id int primary key)");
        let scratch = Scratch::new();
        let (ticker, _) = configure(&scratch, "db1", &cluster, &[&cluster], "", "");
        ticker.run(&["install"]).ok();
        let castor = Castor {
            operator: Node::new("trunkline", &scratch, &ticker.config, "ticker1"),
            cluster,
            _scratch: scratch,
        };
        castor.on("select trunkline.add_table('q1', 'c', 'public', 't')");
        castor
    }

    #[track_caller]
    pub(crate) fn on(&self, sql: &str) -> String {
        self.cluster.psql("db1", sql)
    }

    /// What another node says of itself: a standby with the history of this one, and over it what the words say.
    fn said(&self, words: &str) -> String {
        let history =
            "select coalesce(jsonb_agg(to_jsonb(h) - 'queue_name'), '[]') from trunkline.history h";
        let history: Value = serde_json::from_str(&self.on(history)).unwrap();
        let mut said = json!({
            "node": 7, "name": "pollux", "started": "2026-01-01T00:00:00+00:00", "in_recovery": false,
            "role": "standby", "term": 1, "upstream": null, "history": history,
        });
        let words: Value = serde_json::from_str(words).unwrap();
        for (key, value) in words.as_object().unwrap() {
            match (key.as_str(), value.as_array()) {
                ("more_history", Some(rows)) => {
                    said["history"].as_array_mut().unwrap().extend(rows.clone());
                }
                _ => said[key] = value.clone(),
            }
        }
        said.to_string()
    }

    /// What comes of a meeting with another node, which says of itself what it is, over what the words say.
    #[track_caller]
    fn hears(&self, words: &str) -> String {
        self.on(&format!(
            "begin read write; select trunkline.meet('q1', '{}') ->> 'heard'; commit",
            self.said(words)
        ))
    }

    fn check(&self) -> (String, String) {
        let said = self
            .operator
            .run(&["check", "role", "--output", "json"])
            .stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        let one = &said["checks"][0];
        let text = |key: &str| one[key].as_str().unwrap().to_owned();
        (text("status"), text("message"))
    }
}

const STANDBY: &str = "{}";
const PROVIDER: &str = r#"{"role": "provider"}"#;
const LATER: &str = r#"{"role": "provider", "term": 2}"#;
const MEMBERS: &str = "select coalesce(string_agg(concat_ws(' ', node_id, name, role, term), ','), '') \
    from trunkline.members('q1')";

fn a_stale_provider_is_fenced(version: u32) {
    let castor = Castor::make(version);
    // A plain database is of no set: it answers, and hears nothing.
    assert_eq!(castor.hears(LATER), "");
    assert_eq!(castor.on(MEMBERS), "");
    castor.on("select trunkline.begin_set('q1')");
    let own = "select concat_ws(' ', a ->> 'role', a ->> 'term', (a ->> 'epoch' is not null)::text, \
                   jsonb_array_length(a -> 'history')::text) from trunkline.meet('q1', null) a";
    assert_eq!(castor.on(own), "provider 1 true 1");
    // A queue of the same name that is one of another set.
    let foreign = r#"{"role": "provider", "term": 5, "history": [{"term": 1, "kind": "first", "node_id": 7,
        "epoch": 4, "tick_id": 5, "tick_tag": 6, "began_at": "2026-01-01T00:00:00Z"}]}"#;
    assert_eq!(castor.hears(foreign), "");
    assert_eq!(castor.on(MEMBERS), "");
    assert_eq!(castor.on("select count(*) from trunkline.history"), "1");
    // A copy has the identity of the node that it was copied from.
    assert_eq!(castor.hears(r#"{"role": "copy", "term": 5}"#), "");
    assert_eq!(castor.on(MEMBERS), "");
    castor.hears(STANDBY);
    assert_eq!(castor.on(MEMBERS), "7 pollux standby 1");
    // The same, said again, is written every ten seconds only; news at once.
    let written = "select xmin from trunkline.member";
    let before = castor.on(written);
    castor.hears(r#"{"place": [1, 2, 3], "upstream": null}"#);
    assert_eq!(castor.on(written), before);
    castor.hears(r#"{"upstream": 9}"#);
    assert_ne!(castor.on(written), before);
    castor.on("update trunkline.member set heard_at = heard_at - interval '11 s'");
    let before = castor.on(written);
    castor.hears(r#"{"upstream": 9}"#);
    assert_ne!(castor.on(written), before);

    // A writer holds the fence up. The meeting does not wait for him, and the next one succeeds.
    let writer = Session::holding(&castor.cluster, "db1", "insert into t values (1)");
    let heard = castor.hears(LATER);
    assert!(
        heard.contains(r#""fenced": false"#) && heard.contains("t is in use: pid"),
        "{heard}"
    );
    assert_eq!(
        castor.on("select role from trunkline.my_role('q1')"),
        "provider"
    );
    let (level, message) = castor.check();
    assert_eq!(level, "critical");
    assert!(message.contains("must be fenced"), "{message}");
    writer.ask("commit");
    drop(writer);
    let heard = castor.hears(LATER);
    assert!(heard.contains(r#""fenced": true"#), "{heard}");
    let refused = sqlstate(
        &castor.cluster,
        "db1",
        "begin read write; insert into t values (2)",
    );
    assert_eq!(refused, "25006");
    let role = "select concat_ws(' ', role, reason) from trunkline.my_role('q1')";
    assert_eq!(castor.on(role), "fenced node pollux has term 2");
    assert_eq!(castor.hears(LATER), "");
    // The application is told where to go, and the fence stays.
    let refused = castor
        .cluster
        .try_psql("db1", "begin read write; insert into t values (2)");
    assert!(
        refused.stderr.contains("Its provider is node pollux."),
        "{}",
        refused.stderr
    );
    castor
        .operator
        .run(&["unfence", "q1"])
        .code(3)
        .says(&["node pollux has term 2"]);
}

#[test]
fn a_provider_that_meets_a_later_one_is_fenced_on_postgresql_15() {
    a_stale_provider_is_fenced(15);
}

#[test]
fn a_provider_that_meets_a_later_one_is_fenced_on_postgresql_10() {
    a_stale_provider_is_fenced(10);
}

#[test]
fn a_provider_that_meets_a_later_one_is_fenced_on_postgresql_18() {
    a_stale_provider_is_fenced(18);
}

#[test]
fn history_travels_over_nodes_and_stops_a_provider_whose_successor_is_not_heard() {
    let castor = Castor::make(15);
    castor.on("select trunkline.begin_set('q1')");
    let row = r#"{"term": 2, "kind": "failover", "node_id": 9, "node_name": "helen", "old_epoch": 1,
        "old_tick_id": 2, "old_tick_tag": 3, "epoch": 4, "tick_id": 5, "tick_tag": 6, "began_at": "2026-01-01T00:00:00Z"}"#;
    let heard = castor.hears(&format!(r#"{{"more_history": [{row}]}}"#));
    assert!(
        heard.contains("node helen became the provider of term 2"),
        "{heard}"
    );
    let history = "select string_agg(concat_ws(' ', term, kind, node_name), ',' order by term) from trunkline.history";
    assert!(castor.on(history).ends_with("2 failover helen"));
    // It is handed on.
    let told = "select a -> 'history' -> 1 ->> 'node_name' from trunkline.meet('q1', null) a";
    assert_eq!(castor.on(told), "helen");
    assert_eq!(
        castor.on("select role from trunkline.my_role('q1')"),
        "fenced"
    );
}

#[test]
fn two_providers_of_one_term_and_two_servers_of_one_identity_are_critical_and_neither_is_changed() {
    let castor = Castor::make(15);
    castor.on("select trunkline.begin_set('q1')");
    assert_eq!(castor.check().0, "ok");
    assert_eq!(castor.hears(PROVIDER), "");
    let (level, message) = castor.check();
    assert_eq!(level, "critical");
    assert!(message.contains("two providers of term 1"), "{message}");
    let word = "select concat_ws(' ', m ->> 'node', m ->> 'role', m ->> 'term') \
                  from jsonb_array_elements(trunkline.meet('q1', null) -> 'members') m";
    assert_eq!(castor.on(word), "7 provider 1");
    assert_eq!(
        castor.on("select role from trunkline.my_role('q1')"),
        "provider"
    );
    let status = castor.operator.run(&["status"]).stdout;
    assert!(
        status.contains("pollux: provider") && status.contains("critical: "),
        "{status}"
    );
    // Somebody decides.
    castor.hears(r#"{"role": "fenced"}"#);
    assert_eq!(
        (castor.check().0.as_str(), castor.on(word).as_str()),
        ("ok", "7 fenced 1")
    );

    // A server that is started anew is one server; an earlier start that is heard afterwards is another one.
    let earlier = r#"{"started": "2025-12-31T00:00:00+00:00"}"#;
    let later = r#"{"started": "2026-01-02T00:00:00+00:00"}"#;
    castor.hears(later);
    castor.hears(earlier);
    assert_eq!(
        castor.check().0,
        "ok",
        "it was under way when the server was started"
    );
    castor.on("update trunkline.member set start_heard_at = start_heard_at - interval '11 s'");
    castor.hears(later);
    assert_eq!(castor.check().0, "ok");
    castor.hears(earlier);
    let (level, message) = castor.check();
    assert_eq!(level, "critical");
    assert!(
        message.contains("two servers have the identity"),
        "{message}"
    );
    castor.on("select trunkline.forget_member('q1', 7)");
    assert_eq!(castor.check().0, "ok");

    // A server with this node's own identity.
    let own = castor.on("select node_id from trunkline.node");
    let twin = format!(r#"{{"node": {own}, "role": "provider"}}"#);
    wait_until("the node to hear of a copy of its own files", SOON, || {
        castor.hears(&twin);
        castor.on("select count(*) from trunkline.member") == "1"
    });
    let (level, message) = castor.check();
    assert_eq!(level, "critical");
    assert!(
        message.contains("a copy of the files of its cluster"),
        "{message}"
    );
    assert_eq!(
        castor.on("select role from trunkline.my_role('q1')"),
        "provider"
    );
}

#[test]
fn who_may_not_fence_is_answered_and_not_heard() {
    let castor = Castor::make(15);
    castor.on(
        "select trunkline.begin_set('q1'); create role nobody login; \
         create role replayer login in role pgq_admin; create role speaker login in role pgq_admin; \
         grant execute on function trunkline.hear(text, jsonb) to speaker",
    );
    let meet = |role: &str| {
        let sql = format!(
            "set role {role}; select a ->> 'role' from trunkline.meet('q1', '{}') a",
            castor.said(LATER)
        );
        castor.cluster.try_psql("db1", &sql)
    };
    let state =
        "select (select role from trunkline.role) || (select count(*) from trunkline.member)";
    assert!(meet("nobody").stderr.contains("permission denied"));
    assert_eq!(meet("replayer").ok().text(), "provider");
    let hear = format!(
        "set role replayer; select trunkline.hear('q1', '{}')",
        castor.said(LATER)
    );
    assert_eq!(sqlstate(&castor.cluster, "db1", &hear), "42501");
    for table in ["role", "member", "history"] {
        let write = format!("set role replayer; delete from trunkline.{table}");
        assert_eq!(sqlstate(&castor.cluster, "db1", &write), "42501", "{table}");
    }
    assert_eq!(castor.on(state), "provider0");
    assert_eq!(meet("speaker").ok().text(), "fenced");
    assert_eq!(castor.on(state), "fenced1");
    for what in [
        "[]",
        r#"{"started": null}"#,
        r#"{"node": "x", "started": "2026-01-01"}"#,
    ] {
        let hear = format!("begin read write; select trunkline.hear('q1', '{what}')");
        assert_ne!(sqlstate(&castor.cluster, "db1", &hear), "ok", "{what}");
    }
}
