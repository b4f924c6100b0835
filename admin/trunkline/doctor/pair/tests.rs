//! Facts of two databases, and what they are judged to be.

use sql::doctor::{Sequence, Server, Transaction};

use super::super::finding::worst;
use super::super::judge::{provider, subscriber};
use super::*;

fn server(major: u32) -> Server {
    Server {
        major,
        version: format!("{major}.1"),
        database: "db1".into(),
        role: "walker".into(),
        superuser: true,
        bypasses_policies: true,
        creates: true,
        sees_sessions: true,
        in_recovery: false,
        read_only: false,
        encoding: "UTF8".into(),
        collation: "C".into(),
        bytes: 8_000_000,
        locks: 6400,
        max_locks_per_transaction: 64,
        max_connections: 97,
        connections: 1,
        large_objects: 0,
        event_triggers: Vec::new(),
        has_ours: false,
        data_directory: None,
        is_local: true,
    }
}

fn table(name: &str) -> Relation {
    Relation {
        name: name.into(),
        kind: Kind::Table,
        unlogged: false,
        is_partition: false,
        owner: "walker".into(),
        has_key: true,
        usable: true,
        has_policies: false,
        has_oids: false,
        old_types: Vec::new(),
        triggers: Vec::new(),
    }
}

fn facts(major: u32, relations: Vec<Relation>) -> Facts {
    Facts {
        server: server(major),
        sets_replica: true,
        relations,
        sequences: Vec::new(),
        extensions: vec!["plpgsql".into()],
        available: Ok(vec!["plpgsql".into()]),
        roles_used: vec!["walker".into()],
        roles: vec!["walker".into()],
        types_used: Vec::new(),
        types: Vec::new(),
        transactions: Vec::new(),
        extension_rows: Vec::new(),
        settings: Vec::new(),
        rights: vec![("connect".into(), "public".into())],
    }
}

fn all(from: &Facts, to: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    provider(from, &mut findings);
    subscriber(to, &mut findings);
    judge(from, to, Some(1_000_000_000), &mut findings);
    findings
}

/// What changes in the facts is the one finding more, with this level, and a command.
#[track_caller]
fn finds(
    change: impl Fn(&mut Facts, &mut Facts),
    topic: Topic,
    side: Side,
    status: Level,
    fix: &str,
) {
    let mut from = facts(10, vec![table("public.t")]);
    let mut to = facts(18, vec![table("public.t")]);
    change(&mut from, &mut to);
    let findings = all(&from, &to);
    let bad: Vec<&Finding> = findings
        .iter()
        .filter(|one| one.status > Level::Ok)
        .collect();
    let [one] = bad[..] else {
        panic!("{bad:?}");
    };
    assert_eq!(
        (one.topic, one.side, one.status),
        (topic, side, status),
        "{one:?}"
    );
    assert!(
        one.fix.as_deref().is_some_and(|text| text.contains(fix)),
        "{one:?}"
    );
    assert_eq!(worst(&findings), status);
}

#[test]
fn two_good_databases_are_in_order() {
    let (from, to) = (facts(10, vec![table("public.t")]), facts(18, Vec::new()));
    let findings = all(&from, &to);
    assert_eq!(worst(&findings), Level::Ok, "{findings:?}");
    assert_eq!(worst(&[]), Level::Unknown);
}

#[test]
fn each_obstacle_is_found_with_what_mends_it() {
    use Level::{Critical, Unknown, Warning};
    use Side::{From, To};
    finds(
        |from, _| from.relations[0].has_key = false,
        Topic::Keys,
        From,
        Warning,
        "--identity full",
    );
    finds(
        |from, _| from.relations[0].usable = false,
        Topic::Rights,
        From,
        Critical,
        "grant select, trigger",
    );
    finds(
        |from, _| from.relations[0].unlogged = true,
        Topic::Tables,
        From,
        Warning,
        "set logged",
    );
    finds(
        |from, _| from.relations[0].has_oids = true,
        Topic::Tables,
        From,
        Warning,
        "without oids",
    );
    finds(
        |from, _| from.relations[0].old_types = vec!["a abstime".into()],
        Topic::Types,
        From,
        Critical,
        "public.t",
    );
    finds(
        |from, _| from.server.large_objects = 3,
        Topic::LargeObjects,
        From,
        Critical,
        "bytea",
    );
    finds(
        |from, _| from.server.in_recovery = true,
        Topic::Reachable,
        From,
        Critical,
        "primary",
    );
    finds(
        |_, to| to.server.read_only = true,
        Topic::Settings,
        To,
        Warning,
        "reset default_transaction_read_only",
    );
    finds(
        |_, to| to.server.creates = false,
        Topic::Rights,
        To,
        Critical,
        "grant create on database",
    );
    finds(
        |_, to| to.server.connections = 90,
        Topic::Settings,
        To,
        Warning,
        "max_connections = 117",
    );
    finds(
        |_, to| to.sets_replica = false,
        Topic::Rights,
        To,
        Warning,
        "grant set on parameter",
    );
    finds(
        |from, _| from.sets_replica = false,
        Topic::Rights,
        From,
        Warning,
        "alter role walker superuser",
    );
    finds(
        |from, _| from.server.locks = 1,
        Topic::Locks,
        From,
        Critical,
        "max_locks_per_transaction",
    );
    finds(
        |_, to| to.roles.clear(),
        Topic::Roles,
        To,
        Critical,
        "pg_dumpall --roles-only",
    );
    finds(
        |from, _| from.extensions.push("postgis".into()),
        Topic::Extensions,
        To,
        Critical,
        "postgis",
    );
    finds(
        |from, _| from.extension_rows.push("app.kept".into()),
        Topic::Extensions,
        From,
        Warning,
        "-t app.kept",
    );
    finds(
        |from, _| {
            let setting = "alter role app in database {database} set work_mem to '9MB'";
            from.settings.push(setting.into());
        },
        Topic::Settings,
        To,
        Warning,
        "alter role app in database db1 set work_mem to '9MB'",
    );
    finds(
        |from, _| from.rights.push(("create".into(), "app".into())),
        Topic::Settings,
        To,
        Warning,
        "grant create on database db1 to app",
    );
    finds(
        |from, _| from.rights.clear(),
        Topic::Settings,
        To,
        Warning,
        "revoke connect on database db1 from public",
    );
    finds(
        |from, _| from.types_used.push("public.mood".into()),
        Topic::Types,
        To,
        Warning,
        "pg_dump",
    );
    finds(
        |from, _| from.relations.push(table("public.u")),
        Topic::Tables,
        To,
        Warning,
        "add --create",
    );
    finds(
        |from, _| from.relations[0].triggers.push("a".into()),
        Topic::Triggers,
        From,
        Warning,
        "pg_dump",
    );
    finds(
        |_, to| to.relations[0].triggers.push("b".into()),
        Topic::Triggers,
        To,
        Warning,
        "drop trigger b on public.t",
    );
    finds(
        |_, to| to.server.encoding = "LATIN1".into(),
        Topic::Settings,
        To,
        Warning,
        "encoding 'UTF8'",
    );
    finds(
        |_, to| to.server.collation = "de_DE".into(),
        Topic::Settings,
        To,
        Warning,
        "lc_collate 'C'",
    );
    finds(
        |from, _| from.server.sees_sessions = false,
        Topic::Transactions,
        From,
        Unknown,
        "pg_read_all_stats",
    );
    finds(
        |from, _| from.server.bytes = 600_000_000,
        Topic::Room,
        To,
        Warning,
        "df -h",
    );
    finds(
        |from, _| from.server.bytes = 6_000_000_000,
        Topic::Room,
        To,
        Critical,
        "df -h",
    );
}

#[test]
fn a_sequence_near_its_end_and_a_transaction_that_nobody_ends_are_found() {
    let sequence = |data_type: &str, used: f64| Sequence {
        name: "public.t_id_seq".into(),
        data_type: data_type.into(),
        cycles: false,
        used: Some(used),
        readable: true,
        column: Some(("public.t".into(), "id".into())),
    };
    let near = |one: Sequence, status, fix: &str| {
        finds(
            |from, _| from.sequences.push(one.clone()),
            Topic::Sequences,
            Side::From,
            status,
            fix,
        );
    };
    near(
        sequence("integer", 0.95),
        Level::Warning,
        "alter table public.t alter column id type bigint",
    );
    near(
        sequence("bigint", 1.0),
        Level::Critical,
        "maxvalue 9223372036854775807",
    );
    let hidden = Sequence {
        readable: false,
        used: None,
        ..sequence("integer", 0.0)
    };
    near(
        hidden,
        Level::Unknown,
        "grant select on sequence public.t_id_seq",
    );
    let mut from = facts(10, Vec::new());
    from.sequences = vec![
        Sequence {
            cycles: true,
            ..sequence("integer", 1.0)
        },
        sequence("integer", 0.5),
    ];
    assert_eq!(worst(&all(&from, &facts(18, Vec::new()))), Level::Ok);
    let open = |pid, prepared: Option<&str>| Transaction {
        pid,
        prepared: prepared.map(str::to_owned),
        role: "app".into(),
        seconds: 90.0,
    };
    let left = |one: Transaction, status, fix: &str| {
        finds(
            |from, _| from.transactions.push(one.clone()),
            Topic::Transactions,
            Side::From,
            status,
            fix,
        );
    };
    left(
        open(Some(7), None),
        Level::Warning,
        "pg_terminate_backend(7)",
    );
    left(
        open(None, Some("it's")),
        Level::Critical,
        "commit prepared 'it''s'",
    );
}

#[test]
fn a_disk_that_is_not_seen_is_said_to_be_so() {
    let mut findings = Vec::new();
    judge(
        &facts(10, Vec::new()),
        &facts(18, Vec::new()),
        None,
        &mut findings,
    );
    assert_eq!(worst(&findings), Level::Unknown);
}
