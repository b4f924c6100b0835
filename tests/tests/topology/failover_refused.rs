//! What a failover refuses: with exit code 3, all reasons at once, and nothing changed on any node.

use tests::{Output, Stop, wait_until};

use crate::SOON;
use crate::failover::fail_over;
use crate::hosts::Hosts;
use crate::link::DB;
use crate::switchover::{TABLES, command, wait_can};
use crate::switchover_refused::state;

struct Refused {
    hosts: Hosts,
}

impl Refused {
    fn run(&self, more: &[&str]) -> Output {
        let args = [&["failover", "q1"], more].concat();
        command(&self.hosts, 1).run(&args)
    }

    /// The failover is refused with these words, and changes nothing on nodes that answer.
    #[track_caller]
    fn says(&self, nodes: &[usize], more: &[&str], words: &[&str]) {
        let before: Vec<String> = nodes.iter().map(|node| state(&self.hosts, *node)).collect();
        self.run(more)
            .code(3)
            .says(words)
            .says(&["nothing was done"]);
        let after: Vec<String> = nodes.iter().map(|node| state(&self.hosts, *node)).collect();
        assert_eq!(before, after);
    }

    /// Has the config of the second node say so, beside what it says already.
    fn configure(&self, line: &str) {
        let config = &self.hosts.replays[1].config;
        let text = std::fs::read_to_string(config).unwrap();
        std::fs::write(config, format!("{text}\n{line}\n")).unwrap();
    }
}

#[test]
fn each_reason_is_told_and_nothing_changes_until_all_is_said() {
    let refused = Refused {
        hosts: Hosts::standbys_of(&[15, 15, 15], TABLES),
    };
    let hosts = &refused.hosts;
    for node in [1, 2] {
        wait_can(hosts, node);
        hosts.wait_relaying(node);
    }
    refused.run(&[]).code(2);
    refused.run(&["--elect", "--to", "pollux"]).code(2);
    // A provider that answers is not off, whatever is said of it.
    let all = [0, 1, 2];
    let fenced = ["--elect", "--fenced", "--yes"];
    refused.says(&all, &fenced, &["castor", "answers, and is provider"]);
    hosts.operator(0).run(&["fence", "q1"]).ok();
    refused.says(&all, &fenced, &["castor", "answers, and is fenced"]);
    hosts.operator(0).run(&["unfence", "q1"]).ok();
    let done = refused.run(&["--to", "castor", "--fenced"]).ok().stdout;
    assert!(done.contains("castor is the provider"), "{done}");
    // Nor is one that others meet. The command cannot reach it, and they can.
    hosts.on(0, "create role cut login superuser");
    for node in [1, 2] {
        hosts.on(node, "create role cut login superuser");
    }
    let config = &hosts.replays[1].config;
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replace("user=walker", "user=cut")).unwrap();
    hosts.on(0, "alter role cut nologin");
    refused.says(&[1, 2], &fenced, &["has met castor", "it is not off"]);
    std::fs::write(config, text).unwrap();

    // Helen lags, since its replay does not work.
    hosts.kill_replay(2);
    hosts.on(0, "insert into written values (1, 1)");
    wait_until("pollux to have the row", SOON, || {
        hosts.on(1, "select count(*) from written") == "1"
    });
    // Nor does castor's ticker, so that what it takes is in no tick.
    hosts.kill_ticker(0);
    hosts.on(0, "insert into written values (1, 2)");
    let untold = "select coalesce(untold_at > last_tick_time + interval '1 s', false) from trunkline.member \
                   where role = 'provider'";
    wait_until("it to be known", SOON, || hosts.on(1, untold) == "t");
    hosts.die(0);
    let nodes = [1, 2];
    refused.says(
        &nodes,
        &["--elect"],
        &["nobody says that castor is off", "--fenced"],
    );
    let told = "select count(*) from trunkline.event where event = 'failover_refused' \
                   and details like '%nobody says that castor is off%'";
    assert_eq!(hosts.on(1, told), "1");
    let helen = ["--to", "helen", "--fenced"];
    let more = "helen stands at tick";
    refused.says(&nodes, &helen, &[more, "pollux has more", "--behind"]);
    refused.says(
        &nodes,
        &["--to", "helena", "--fenced"],
        &["no host that answers and follows is node helena"],
    );
    // What is not in step, or is not to be, is no choice.
    hosts.on(1, "update trunkline.node set priority = 0");
    refused.says(
        &nodes,
        &["--to", "pollux", "--fenced"],
        &["pollux has priority 0"],
    );
    refused.says(
        &nodes,
        &["--elect", "--fenced"],
        &["pollux has more", "has priority 0"],
    );
    hosts.on(1, "update trunkline.node set priority = null");
    hosts.replays[1].run(&["pause"]).ok();
    refused.says(
        &nodes,
        &["--to", "pollux", "--fenced"],
        &["pollux: its replay is paused"],
    );
    hosts.replays[1].run(&["resume"]).ok();
    // A script may not lose what it may not: also what no tick says.
    let config = &hosts.replays[1].config;
    let text = std::fs::read_to_string(config).unwrap();
    refused.configure("max_loss = 1");
    refused.says(
        &nodes,
        &["--elect", "--fenced"],
        &[
            "had taken changes that none of its ticks shows",
            "max_loss is 1 s",
        ],
    );
    std::fs::write(config, text).unwrap();
    hosts.on(
        2,
        "update trunkline.member set last_tick_id = 1000000, last_tick_time = now() + interval '5 min' \
          where role = 'provider'",
    );
    let much = ["--elect", "--fenced"];
    refused.says(
        &nodes,
        &much,
        &[
            "it was heard of last at its tick 1000000",
            "max_loss is 60 s",
        ],
    );
    hosts.on(
        2,
        "update trunkline.member set last_tick_id = 1 where role = 'provider'",
    );
    // The command that switches it off fails, or hangs.
    refused.configure("fence_command = 'sh -c \"echo no power supply; exit 4\"'");
    refused.says(
        &nodes,
        &["--elect"],
        &["fence_command: exit status: 4", "no power supply"],
    );
    refused.says(
        &nodes,
        &["--elect", "--fenced", "--before", "exit 7"],
        &["--before"],
    );
    // A standby that does not answer may have more.
    hosts.nodes[2].stop(Stop::Immediate);
    refused.says(
        &[1],
        &["--elect", "--fenced"],
        &["standby helen does not answer", "--without helen"],
    );

    // It is named, and the command says that it is off: with the values that it is told, and no shell.
    let file = hosts.scratches[1].path().join("off");
    let config = &hosts.replays[1].config;
    let text = std::fs::read_to_string(config).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("fence_command"));
    let text: Vec<&str> = lines.collect();
    std::fs::write(config, text.join("\n")).unwrap();
    refused.configure(&format!(
        "fence_command = 'sh -c \"echo $0 $1 $2 > {}\" %a %q %E'",
        file.display()
    ));
    let dry = refused
        .run(&["--elect", "--without", "helen", "--dry-run"])
        .ok()
        .stdout;
    assert!(dry.contains("pollux takes the place of castor"), "{dry}");
    assert!(!file.exists());
    let said = fail_over(hosts, 1, &["--elect", "--without", "helen"]);
    assert_eq!(
        (&said["new"], &said["step"]),
        (&"pollux".into(), &"done".into())
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "castor q1 1\n");
    assert_eq!(hosts.role(1), "provider 2");
    hosts.on(1, "insert into written values (2, 2)");

    // Who was left out, and had less, goes on from here by itself or says why not; it takes no writes of others.
    hosts.nodes[2].start_again();
    hosts.replays[2].run(&["start", "-d"]).ok();
    hosts.wait_role(2, "standby 2");
    let write = "begin read write; insert into written values (3, 3); commit";
    hosts.nodes[2]
        .try_psql(DB, write)
        .says(&["takes no writes"]);
}
