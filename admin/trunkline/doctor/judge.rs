//! What one database is judged by, as a provider and as a subscriber. Pure: facts in, findings out.

use sql::doctor::{Facts, Kind, Relation, Sequence, Transaction};
use sql::name::{quote_ident, quote_literal};

use super::finding::{Finding, Side, Topic};
use crate::check::Level;

/// A sequence that has given out this share of its numbers is near its end.
const NEAR_THE_END: f64 = 0.9;

/// Sessions that both daemons and a copy need, with some to spare.
const SESSIONS: i64 = 20;

/// What a provider is judged by.
pub(super) fn provider(facts: &Facts, findings: &mut Vec<Finding>) {
    let mut judge = Judge {
        side: Side::From,
        facts,
        findings,
    };
    judge.server();
    judge.tables();
    judge.kinds();
    judge.sequences();
    judge.transactions();
    judge.locks();
}

/// What a subscriber is judged by.
pub(super) fn subscriber(facts: &Facts, findings: &mut Vec<Finding>) {
    let mut judge = Judge {
        side: Side::To,
        facts,
        findings,
    };
    judge.server();
    judge.locks();
}

struct Judge<'a> {
    side: Side,
    facts: &'a Facts,
    findings: &'a mut Vec<Finding>,
}

/// The names of the relations that are meant.
pub(super) fn names<'a>(
    all: impl IntoIterator<Item = &'a Relation>,
    is_meant: impl Fn(&Relation) -> bool,
) -> Vec<String> {
    let meant = all.into_iter().filter(|one| is_meant(one));
    meant.map(|one| one.name.clone()).collect()
}

impl Judge<'_> {
    fn say(&mut self, topic: Topic, status: Level, message: impl Into<String>) -> &mut Finding {
        let at = self.findings.len();
        let finding = Finding::new(topic, self.side, status, message);
        self.findings.push(finding);
        &mut self.findings[at]
    }

    /// A finding about some objects, if there are any, with the command for the first of them.
    fn about(
        &mut self,
        (topic, status): (Topic, Level),
        message: &str,
        objects: Vec<String>,
        fix: impl Fn(&str) -> String,
    ) {
        let Some(first) = objects.first() else {
            return;
        };
        let fix = fix(first);
        let finding = Finding::new(topic, self.side, status, message);
        self.findings.push(finding.about(objects).fixed_by(fix));
    }

    fn server(&mut self) {
        let server = &self.facts.server;
        let database = quote_ident(&server.database);
        let role = quote_ident(&server.role);
        let what = format!(
            "PostgreSQL {}, database {}, role {}",
            server.version, server.database, server.role
        );
        let (level, fix) = match server.major {
            10..=18 => (Level::Ok, ""),
            0..=9 => (Level::Critical, "use PostgreSQL 10 or newer"),
            19.. => (
                Level::Warning,
                "a newer server than any that this version was tried with",
            ),
        };
        self.say(Topic::Version, level, what).fix =
            Some(fix.to_owned()).filter(|fix| !fix.is_empty());
        if server.in_recovery {
            let what = "the server is a physical standby, nothing can be installed there";
            self.say(Topic::Reachable, Level::Critical, what).fix =
                Some("name the primary".to_owned());
        }
        if server.read_only {
            let what = "sessions begin read-only";
            let fix = format!("alter database {database} reset default_transaction_read_only");
            self.say(Topic::Settings, Level::Warning, what).fix = Some(fix);
        }
        if server.max_connections - server.connections < SESSIONS {
            let what = format!(
                "{} of {} sessions are open, and up to {SESSIONS} more are needed",
                server.connections, server.max_connections
            );
            let fix = format!(
                "alter system set max_connections = {} -- and restart the server",
                server.max_connections + SESSIONS
            );
            self.say(Topic::Settings, Level::Warning, what).fix = Some(fix);
        }
        if !server.creates && !server.has_ours {
            let fix = format!("grant create on database {database} to {role}");
            let what = "the role may not make schemas in the database";
            self.say(Topic::Rights, Level::Critical, what).fix = Some(fix);
        }
        if !self.facts.sets_replica {
            self.no_replica(&role);
        }
    }

    fn no_replica(&mut self, role: &str) {
        let major = self.facts.server.major;
        let what = match self.side {
            Side::From => {
                "the role may not set session_replication_role: this database cannot follow as a standby, so an \
                 upgrade has no way back"
            }
            Side::To => {
                "the role may not set session_replication_role: replay writes as an ordinary session (session_role = \
                 \"origin\"), and the database cannot be a standby, as an upgrade needs it"
            }
        };
        let fix = match major {
            15.. => format!("grant set on parameter session_replication_role to {role}"),
            _ => format!(
                "alter role {role} superuser -- before version 15 there is no smaller right"
            ),
        };
        self.say(Topic::Rights, Level::Warning, what).fix = Some(fix);
    }

    fn tables(&mut self) {
        let facts = self.facts;
        let role = quote_ident(&facts.server.role);
        let all = &facts.relations;
        if !facts.server.superuser {
            let what = "the role is no superuser: changes of tables are seen by looking (capture mode fingerprint), \
                        and what other roles hide is not seen here";
            self.say(Topic::Rights, Level::Warning, what).fix =
                Some("ticker install -- once, by a superuser".to_owned());
        }
        let is_table = |one: &Relation| matches!(one.kind, Kind::Table | Kind::Partitioned);
        self.about(
            (Topic::Rights, Level::Critical),
            "the role may not read these tables or make triggers on them",
            names(all, |one| is_table(one) && !one.usable),
            |name| format!("grant select, trigger on {name} to {role}"),
        );
        let hidden = |one: &Relation| is_table(one) && one.has_policies;
        let hidden = match facts.server.bypasses_policies {
            true => Vec::new(),
            false => names(all, hidden),
        };
        self.about(
            (Topic::Rights, Level::Critical),
            "policies hide rows of these tables from the role",
            hidden,
            |_| format!("alter role {role} bypassrls"),
        );
        // A partition's key is its root's business.
        self.about(
            (Topic::Keys, Level::Warning),
            "tables without a key: rows are told apart by all their columns, which is slow",
            names(all, |one| is_table(one) && !one.is_partition && !one.has_key),
            |name| format!("alter table {name} add primary key (...) -- or: replay add {name} --identity full"),
        );
        self.about(
            (Topic::Tables, Level::Warning),
            "unlogged tables: they are not replicated; replay upgrade goes on only with --leave, without their rows",
            names(all, |one| is_table(one) && one.unlogged),
            |name| format!("alter table {name} set logged"),
        );
        self.about(
            (Topic::Tables, Level::Warning),
            "tables with OIDs, which servers from 12 on do not have: these numbers are not replicated",
            names(all, |one| one.has_oids),
            |name| format!("alter table {name} set without oids"),
        );
    }

    fn kinds(&mut self) {
        let all = &self.facts.relations;
        self.about(
            (Topic::Tables, Level::Warning),
            "foreign tables are not replicated: their rows are elsewhere, and user mappings hold passwords",
            names(all, |one| one.kind == Kind::Foreign),
            |name| format!("select * from {name} limit 1 -- on the other side, after its schema is there"),
        );
        self.about(
            (Topic::Tables, Level::Warning),
            "materialized views are not replicated: each side has its own rows",
            names(all, |one| one.kind == Kind::Kept),
            |name| format!("refresh materialized view {name} -- on the other side, after the copy"),
        );
        let roots = names(all, |one| {
            one.kind == Kind::Partitioned && !one.is_partition
        });
        if !roots.is_empty() {
            let what = format!("{} partitioned tables, each replicated as one", roots.len());
            self.say(Topic::Tables, Level::Ok, what).objects = roots;
        }
        let objects = self.facts.server.large_objects;
        if objects > 0 {
            let what = format!(
                "{objects} large objects, which are not replicated: triggers cannot see them"
            );
            let fix = "alter table ... alter column ... type bytea using lo_get(...) -- or take them over by pg_dump";
            self.say(Topic::LargeObjects, Level::Critical, what).fix = Some(fix.to_owned());
        }
    }

    fn sequences(&mut self) {
        let all = &self.facts.sequences;
        let unread = all.iter().filter(|one| !one.readable);
        let unread: Vec<String> = unread.map(|one| one.name.clone()).collect();
        let role = quote_ident(&self.facts.server.role);
        self.about(
            (Topic::Sequences, Level::Unknown),
            "sequences that the role may not read: how far they are is not seen, and they cannot be carried over",
            unread,
            |name| format!("grant select on sequence {name} to {role}"),
        );
        for one in all {
            let Some(used) = one.used.filter(|used| *used >= NEAR_THE_END && !one.cycles) else {
                continue;
            };
            let level = if used >= 1.0 {
                Level::Critical
            } else {
                Level::Warning
            };
            let what = format!(
                "{:.1} % of the numbers of sequence {} are used",
                used * 100.0,
                one.name
            );
            let fix = longer(one);
            let finding = self.say(Topic::Sequences, level, what);
            finding.objects = vec![one.name.clone()];
            finding.fix = Some(fix);
        }
    }

    fn transactions(&mut self) {
        if !self.facts.server.sees_sessions {
            let role = quote_ident(&self.facts.server.role);
            let what = "transactions of other roles are not seen by this role: one that is open for long holds up the \
                        installation of triggers, a fence and a vacuum";
            self.say(Topic::Transactions, Level::Unknown, what).fix =
                Some(format!("grant pg_read_all_stats to {role}"));
        }
        for one in &self.facts.transactions {
            let Transaction {
                pid,
                prepared,
                role,
                seconds,
            } = one;
            let (level, what, fix) = match (pid, prepared) {
                (Some(pid), _) => (
                    Level::Warning,
                    format!(
                        "process {pid} of role {role} has a transaction open for {seconds:.0} s"
                    ),
                    format!("select pg_terminate_backend({pid})"),
                ),
                // Who has no process is prepared, and has a name.
                (None, name) => {
                    let name = quote_literal(name.as_deref().unwrap_or_default());
                    (
                        Level::Critical,
                        format!(
                            "role {role} has prepared a transaction {seconds:.0} s ago, and nobody has ended it"
                        ),
                        format!("commit prepared {name} -- or: rollback prepared {name}"),
                    )
                }
            };
            self.say(Topic::Transactions, level, what).fix = Some(fix);
        }
    }

    /// A fence locks all tables and partitions in one transaction, and may take half of the room for locks.
    fn locks(&mut self) {
        let is_table = |one: &&Relation| matches!(one.kind, Kind::Table | Kind::Partitioned);
        let tables = self.facts.relations.iter().filter(is_table).count();
        let (tables, server) = (
            i64::try_from(tables).unwrap_or(i64::MAX),
            &self.facts.server,
        );
        if tables <= server.locks / 2 {
            return;
        }
        let share = (server.locks / server.max_locks_per_transaction.max(1)).max(1);
        let needed = tables.saturating_mul(2) / share + 1;
        let what = format!(
            "{tables} tables and partitions are more than half of the {} locks that the server has room for: a \
             switchover would be refused",
            server.locks
        );
        self.say(Topic::Locks, Level::Critical, what).fix = Some(format!(
            "alter system set max_locks_per_transaction = {needed} -- and restart the server"
        ));
    }
}

/// The commands that give a sequence, and the column that it feeds, more numbers.
fn longer(one: &Sequence) -> String {
    match (&one.column, one.data_type.as_str()) {
        (_, "bigint") => format!("alter sequence {} maxvalue 9223372036854775807", one.name),
        (Some((table, column)), _) => format!(
            "alter table {table} alter column {column} type bigint; alter sequence {} as bigint",
            one.name
        ),
        (None, _) => format!("alter sequence {} as bigint", one.name),
    }
}
