//! The resource agent for Pacemaker, by the program that the authors of resource agents test theirs with, and by its
//! exit codes. The cluster's own commands are scripts here that write down what they are told.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use tests::{Output, Programs, Stop, run, signal, wait_until};

use crate::{
    SOON,
    set::{Hosts, NAMES, TABLE, wait_can},
    shipped,
};

const SUCCESS: i32 = 0;
const ERR_GENERIC: i32 = 1;
const NOT_RUNNING: i32 = 7;
const RUNNING_MASTER: i32 = 8;

/// The agent on the nodes of a set.
struct Agent<'a> {
    hosts: &'a Hosts,
    /// The agent, where every user may run it.
    file: PathBuf,
    /// The directory of the cluster's commands.
    cluster: PathBuf,
}

impl Agent<'_> {
    fn of(hosts: &Hosts) -> Agent<'_> {
        let scratch = &hosts.scratches[0];
        let cluster = scratch.dir("cluster");
        let program = |name: &str, text: &str| {
            let file = scratch.file(name, text);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            file
        };
        let told = format!(
            "#!/bin/sh\nshift\necho \"$OCF_RESKEY_node $*\" >> {}/told\n",
            cluster.display()
        );
        program("cluster/crm_attribute", &told);
        Agent {
            hosts,
            file: program("agent/trunkline", &shipped("ocf/trunkline", &[])),
            cluster,
        }
    }

    /// The parameters of a node, each with its value.
    fn parameters(&self, node: usize) -> Vec<(&'static str, String)> {
        let (programs, hosts) = (Programs::get(), self.hosts);
        vec![
            ("queue", "q1".to_owned()),
            ("node", NAMES[node].to_owned()),
            ("user", "root".to_owned()),
            ("probe_timeout", "2".to_owned()),
            ("bindir", programs.dir().display().to_string()),
            (
                "trunkline",
                programs.path("trunkline").display().to_string(),
            ),
            (
                "ticker_config",
                hosts.tickers[node].config.display().to_string(),
            ),
            (
                "replay_config",
                hosts.replays[node].config.display().to_string(),
            ),
        ]
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("OCF_ROOT", "/usr/lib/ocf")
            .env("OCF_RESOURCE_INSTANCE", "trunkline")
            .env("OCF_RESKEY_crm_feature_set", "3.16.2")
            .env("OCF_RESKEY_CRM_meta_interval", "10000")
            .env("HA_SBIN_DIR", &self.cluster);
        command
    }

    fn run(&self, node: usize, action: &str) -> Output {
        let mut command = self.command(&self.file.display().to_string());
        for (name, value) in self.parameters(node) {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        run(command.arg(action).env("__OCF_ACTION", action))
    }

    fn code(&self, node: usize, action: &str) -> i32 {
        self.run(node, action).code
    }

    /// What the cluster was told last of a node: how much it should like to promote it.
    fn score(&self, node: usize) -> String {
        let told = std::fs::read_to_string(self.cluster.join("told")).unwrap();
        let name = format!("{} ", NAMES[node]);
        let last = told.lines().rfind(|line| line.starts_with(&name));
        last.unwrap()[name.len()..].to_owned()
    }
}

#[test]
#[ignore = "etc/test.sh --full"]
fn ocf_tester_passes_the_agent_on_a_provider() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLE);
    let agent = Agent::of(&hosts);
    let tester = "/usr/sbin/ocf-tester";
    assert!(
        Path::new(tester).exists(),
        "ocf-tester is missing: apt-get install resource-agents"
    );
    let mut tester = agent.command(tester);
    tester.args(["-n", "trunkline"]);
    for (name, value) in agent.parameters(0) {
        tester.arg("-o").arg(format!("{name}={value}"));
    }
    let said = run(tester.arg(&agent.file)).ok().stdout;
    assert!(said.contains("passed all tests"), "{said}");
    assert!(!said.contains("* rc="), "{said}");
}

#[test]
fn the_agent_says_what_each_node_is_and_moves_the_provider() {
    let hosts = Hosts::standbys_of(&[15, 15], TABLE);
    let agent = Agent::of(&hosts);
    let (castor, pollux) = (0, 1);
    wait_can(&hosts, pollux);
    assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    assert_eq!(agent.score(castor), "-v 1000");
    assert_eq!(agent.score(pollux), "-v 500");
    // Another one has got further; one that is paused gets nowhere.
    hosts.on(
        pollux,
        "insert into trunkline.member (queue_name, node_id, role, term, server_started, epoch, tick_id, tick_tag) \
         select 'q1', 7, 'standby', 1, now(), epoch, tick_id + 1000, 0 from trunkline.position",
    );
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    assert_eq!(agent.score(pollux), "-v 1");
    hosts.on(pollux, "delete from trunkline.member where node_id = 7");
    hosts.replays[pollux].run(&["pause"]).ok();
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    assert_eq!(agent.score(pollux), "-D");
    assert_eq!(agent.code(pollux, "promote"), ERR_GENERIC);
    hosts.replays[pollux].run(&["resume"]).ok();
    hosts.replays[pollux].kill9();
    assert_eq!(agent.code(pollux, "monitor"), NOT_RUNNING);
    assert_eq!(agent.code(pollux, "start"), SUCCESS);
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    // A dead ticker does not take the provider away.
    hosts.tickers[castor].kill9();
    assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    hosts.tickers[castor].run(&["start", "-d"]).ok();

    // The cluster moves the provider.
    wait_can(&hosts, pollux);
    assert_eq!(agent.code(castor, "demote"), SUCCESS);
    assert_eq!(agent.code(castor, "monitor"), SUCCESS);
    assert_eq!(agent.score(castor), "-v 900");
    // It would be no provider any more if another one had become it.
    hosts.on(
        castor,
        "insert into trunkline.member (queue_name, node_id, role, term, server_started) \
         values ('q1', 7, 'fenced', 2, now())",
    );
    assert_eq!(agent.code(castor, "monitor"), SUCCESS);
    assert_eq!(agent.score(castor), "-D");
    hosts.on(castor, "delete from trunkline.member where node_id = 7");
    assert_eq!(agent.run(pollux, "promote").ok().code, SUCCESS);
    assert_eq!(agent.code(pollux, "monitor"), RUNNING_MASTER);
    assert_eq!(hosts.role(pollux), "provider 2");
    hosts.wait_role(castor, "standby 2");
    assert_eq!(agent.code(castor, "demote"), SUCCESS);
    wait_until("castor to be promotable", SOON, || {
        agent.code(castor, "monitor") == SUCCESS && agent.score(castor) == "-v 500"
    });

    // A server that hangs may be written still; one that is shut down is not.
    let postmaster = hosts.nodes[pollux].pid().unwrap();
    signal(postmaster, Signal::SIGSTOP);
    assert_eq!(agent.code(pollux, "monitor"), ERR_GENERIC);
    assert_eq!(agent.code(pollux, "demote"), ERR_GENERIC);
    signal(postmaster, Signal::SIGCONT);
    hosts.nodes[pollux].stop(Stop::Fast);
    assert_eq!(agent.code(pollux, "monitor"), NOT_RUNNING);
    assert_eq!(agent.code(pollux, "demote"), SUCCESS);
    assert_eq!(agent.code(pollux, "start"), ERR_GENERIC);
    assert_eq!(agent.code(pollux, "stop"), SUCCESS);
    agent.run(castor, "promote").ok();
    assert_eq!(hosts.role(castor), "provider 3");
    assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    // A provider that is started takes no writes.
    hosts.nodes[pollux].start_again();
    assert_eq!(agent.code(pollux, "start"), SUCCESS);
    hosts.wait_role(pollux, "standby 3");

    // A plain subscriber runs, and is never promoted.
    let config = std::fs::read_to_string(&hosts.replays[pollux].config).unwrap();
    let plain = config.replace("standby = true", "");
    std::fs::write(&hosts.replays[pollux].config, plain).unwrap();
    hosts.replays[pollux].run(&["install"]).ok();
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    assert_eq!(agent.score(pollux), "-D");
    assert_eq!(agent.code(pollux, "promote"), ERR_GENERIC);
}
