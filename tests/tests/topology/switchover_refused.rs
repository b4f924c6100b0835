//! What a switchover refuses: with exit code 3, all reasons at once, and nothing changed on either node.

use tests::{Output, Session, wait_until};

use crate::SOON;
use crate::hosts::Hosts;
use crate::link::DB;
use crate::switchover::{TABLES, command};

/// All that a switchover could change on a node: every definition, and the rows that roles stand in.
pub(crate) fn state(hosts: &Hosts, node: usize) -> String {
    let dump = tests::run(
        hosts.nodes[node]
            .client("pg_dump", DB)
            .args(["--schema-only"]),
    )
    .ok();
    // Newer clients write a random word into a dump.
    let lines = dump
        .stdout
        .lines()
        .filter(|line| !line.contains("restrict"));
    let rows = "select concat_ws('; ', \
        (select string_agg(r::text, ',') from trunkline.role r), \
        (select string_agg(h::text, ',' order by h.term) from trunkline.history h), \
        (select string_agg(o::text, ',') from trunkline.operation o), \
        (select string_agg(t.tgrelid::regclass || ' ' || t.tgname || ' ' || t.tgenabled::text, ',' \
                           order by t.tgrelid, t.tgname) from pg_trigger t), \
        (select string_agg(s.setconfig::text, ',') from pg_db_role_setting s), \
        (select string_agg(to_jsonb(q)::text, ',') from pgq.queue q))";
    format!(
        "{}\n{}",
        lines.collect::<Vec<_>>().join("\n"),
        hosts.on(node, rows)
    )
}

struct Refused {
    hosts: Hosts,
}

impl Refused {
    fn run(&self, more: &[&str]) -> Output {
        let args = [&["switchover", "q1"], more].concat();
        command(&self.hosts, 0).run(&args)
    }

    /// The switchover and its dry run say these words, and change nothing.
    #[track_caller]
    fn says(&self, more: &[&str], words: &[&str]) {
        let more = [&["--to", "pollux"], more].concat();
        let before = [0, 1].map(|node| state(&self.hosts, node));
        self.run(&more)
            .code(3)
            .says(words)
            .says(&["nothing was done"]);
        let dry = [&more[..], &["--dry-run"]].concat();
        self.run(&dry).code(3).says(words);
        let after = [0, 1].map(|node| state(&self.hosts, node));
        assert_eq!(before, after);
    }
}

#[test]
fn each_reason_is_told_by_itself_and_nothing_changes() {
    let refused = Refused {
        hosts: Hosts::standbys_of(&[15, 15], TABLES),
    };
    let hosts = &refused.hosts;
    hosts.wait_ready(1);
    let before = [0, 1].map(|node| state(hosts, node));
    refused.run(&["--to", "polux"]).code(3).says(&[
        "no host that answers is node polux; they are castor, pollux",
        "nothing was done",
    ]);

    // Of the provider.
    let writer = Session::holding(&hosts.nodes[0], DB, "insert into written values (7, 1)");
    writer.ask("prepare transaction 'half'");
    refused.says(
        &[],
        &[
            "castor: prepared transaction 'half' has written",
            "rollback prepared",
        ],
    );
    writer.ask("rollback prepared 'half'");

    // Of the standby.
    hosts.replays[1].run(&["pause"]).ok();
    refused.says(&[], &["pollux: replay is paused", "replay resume"]);
    hosts.replays[1].run(&["resume"]).ok();
    hosts.tickers[1].run(&["stop"]).ok();
    refused.says(&[], &["pollux: no ticker runs"]);
    hosts.tickers[1].run(&["start", "-d"]).ok();
    hosts.replays[1].run(&["stop"]).ok();
    refused.says(&[], &["pollux: replay does not run"]);
    hosts.on(0, "insert into written values (7, 2)");
    wait_until("the change to wait for a second", SOON, || {
        let said = refused.run(&["--to", "pollux", "--max-lag", "1", "--dry-run"]);
        said.stderr.contains("pollux lags")
    });
    hosts.replays[1].run(&["start", "-d"]).ok();
    // A table that the standby does not have.
    hosts.on(0, "create table late (id int primary key); select trunkline.add_table('q1', '*', 'public', 'late')");
    refused.says(
        &[],
        &[
            "pollux: the provider's table public.late is not replicated there",
            "replay add",
        ],
    );
    hosts.on(
        0,
        "select trunkline.remove_table('q1', '*', 'public', 'late'); drop table late",
    );

    // A dry run of what is not refused changes nothing either.
    hosts.assert_same(1);
    hosts.wait_ready(1);
    wait_until("replay to be at work again", SOON, || {
        refused.run(&["--to", "pollux", "--dry-run"]).code == 0
    });
    let said = refused.run(&["--to", "pollux", "--dry-run"]).ok().stdout;
    assert!(
        said.contains(
            "pollux can become the provider in the place of castor: 3 tables and partitions"
        ),
        "{said}"
    );
    assert_eq!(before, [0, 1].map(|node| state(hosts, node)));
    // An option that is not there is a wrong command line.
    refused.run(&["--to", "pollux", "--verify"]).code(2);
    refused.run(&[]).code(2);
    refused.run(&["--to", "pollux", "--force"]).code(2);
    hosts
        .operator(0)
        .run(&["switchover", "q1", "--to", "pollux"])
        .code(2)
        .says(&[
            "no config file is a replay's of queue q1",
            "-c names the replay.toml",
        ]);

    // Who blocks the fence is named, and all is as before when the time is up.
    let writer = Session::holding(&hosts.nodes[0], DB, "insert into written values (7, 3)");
    let pid = writer.ask("select pg_backend_pid()");
    refused
        .run(&["--to", "pollux", "--drain", "1"])
        .code(4)
        .says(&[
            "public.written is in use",
            &format!("pid {pid}"),
            "castor is the provider, as it was",
        ]);
    writer.ask("commit");
    hosts.on(0, "insert into written values (7, 4)");
    // So it is when the standby does not get so far in time.
    let holder = Session::holding(&hosts.nodes[1], DB, "lock table written in exclusive mode");
    hosts.on(0, "insert into written values (7, 5)");
    refused
        .run(&["--to", "pollux", "--catch-up", "1"])
        .code(4)
        .says(&[
            "pollux has not applied the final tick",
            "castor takes writes again",
        ]);
    drop(holder);
    hosts.on(0, "insert into written values (7, 6)");
    hosts.assert_same(1);
    hosts.wait_in_order(0, &["role", "fence", "operation"]);

    // Another node that was never made a standby.
    hosts.replays[1].run(&["stop"]).ok();
    hosts.on(1, "select trunkline.leave_standby('q1')");
    refused.says(
        &[],
        &["pollux", "is reader, and no standby", "standby = true"],
    );
    // Nobody knows who else may be the provider.
    hosts.on(
        1,
        "insert into trunkline.role (queue_name, role, term) values ('q1', 'provider', 1)",
    );
    refused.says(&[], &["two providers of term 1", "trunkline fence"]);
}
