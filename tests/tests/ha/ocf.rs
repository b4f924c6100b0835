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
const ERR_ARGS: i32 = 2;
const NOT_RUNNING: i32 = 7;
const RUNNING_MASTER: i32 = 8;
const FAILED_MASTER: i32 = 9;

/// The agent on the nodes of a set.
struct Agent<'a> {
    hosts: &'a Hosts,
    /// The agent, where every user may run it.
    file: PathBuf,
    /// The directory of the cluster's commands.
    cluster: PathBuf,
    /// The directory that is empty after a start of the host.
    run: PathBuf,
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
            run: scratch.dir("run"),
        }
    }

    /// The parameters of a node, each with its value.
    fn parameters(&self, node: usize) -> Vec<(&'static str, String)> {
        let (programs, hosts) = (Programs::get(), self.hosts);
        vec![
            ("queue", "q1".to_owned()),
            ("node", NAMES[node].to_owned()),
            ("user", "root".to_owned()),
            ("probe_timeout", "30".to_owned()),
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
            .env("HA_SBIN_DIR", &self.cluster)
            .env("HA_RSCTMP", &self.run);
        command
    }

    fn run(&self, node: usize, action: &str) -> Output {
        run(&mut self.action(node, action))
    }

    fn action(&self, node: usize, action: &str) -> Command {
        let mut command = self.command(&self.file.display().to_string());
        for (name, value) in self.parameters(node) {
            command.env(format!("OCF_RESKEY_{name}"), value);
        }
        command.arg(action).env("__OCF_ACTION", action);
        command
    }

    /// The cluster has shot the host: what it has noted of the node is gone.
    fn shoot(&self, node: usize) {
        let kept = std::fs::read_dir(&self.run).unwrap();
        for file in kept.map(|file| file.unwrap().path()) {
            if file.to_string_lossy().contains(NAMES[node]) {
                std::fs::remove_file(file).unwrap();
            }
        }
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
    let operator = |node: usize| hosts.operator(node);
    wait_can(&hosts, pollux);
    assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    wrong_configs_change_nothing(&hosts, &agent);
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

    // A command that could not be run ends with 1, as one that waited in vain for a standby does.
    let cannot = format!(
        "#!/bin/sh\ncase \"$*\" in *' fence '*) exit 1 ;; *) exec {} \"$@\" ;; esac\n",
        Programs::get().path("trunkline").display()
    );
    let cannot = hosts.scratches[0].file("cannot/trunkline", &cannot);
    std::fs::set_permissions(&cannot, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut demote = agent.action(castor, "demote");
    let demote = run(demote.env("OCF_RESKEY_trunkline", &cannot));
    assert_eq!(demote.code, ERR_GENERIC, "{demote:?}");
    assert_eq!(hosts.role(castor), "provider 1");

    // The cluster moves the provider. Its host may be switched off as soon as it is demoted: what it has taken is on
    // the standby by then, which was held up.
    wait_can(&hosts, pollux);
    let replay = hosts.replays[pollux].running();
    signal(replay, Signal::SIGSTOP);
    hosts.on(
        castor,
        "insert into t select g, 'b' from generate_series(1000, 2000) g",
    );
    let said = operator(castor)
        .run(&["fence", "q1", "--applied", "0.5"])
        .code(1);
    said.says(&["is fenced, and no standby has applied all of it in time: not pollux"]);
    operator(castor).run(&["unfence", "q1"]).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            hosts.wait_role(castor, "fenced 1");
            signal(replay, Signal::SIGCONT);
        });
        assert_eq!(agent.code(castor, "demote"), SUCCESS);
        let rows = "select count(*), min(id), max(id) from t";
        assert_eq!(hosts.on(pollux, rows), hosts.on(castor, rows));
    });
    let again = operator(castor)
        .run(&["fence", "q1", "--applied", "60", "--json"])
        .ok();
    assert!(
        again.stdout.contains(r#""applied_by": "pollux""#),
        "{again:?}"
    );
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
    for action in ["monitor", "demote"] {
        let mut hangs = agent.action(pollux, action);
        let said = run(hangs.env("OCF_RESKEY_probe_timeout", "2"));
        assert_eq!(said.code, ERR_GENERIC, "{said:?}");
    }
    signal(postmaster, Signal::SIGCONT);
    // One that restarts by itself is waited for. It is too fast for a test: its word is said by a program here.
    let restarts = format!(
        "#!/bin/sh\n[ -e {0} ] && exec {1} \"$@\"\ntouch {0}\necho 'no: FATAL: the database system is in recovery mode'\nexit 1\n",
        hosts.scratches[0].path().join("restarted").display(),
        Programs::get().path("trunkline").display(),
    );
    let restarts = hosts.scratches[0].file("restarts", &restarts);
    std::fs::set_permissions(&restarts, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut monitor = agent.action(pollux, "monitor");
    let said = run(monitor.env("OCF_RESKEY_trunkline", restarts));
    assert_eq!(said.code, RUNNING_MASTER, "{said:?}");
    assert!(hosts.scratches[0].path().join("restarted").exists());
    // Nor is a provider that crashes safely stopped: it takes writes as soon as somebody starts it again.
    assert_eq!(agent.code(pollux, "monitor"), RUNNING_MASTER);
    hosts.nodes[pollux].stop(Stop::Immediate);
    assert_eq!(agent.code(pollux, "monitor"), FAILED_MASTER);
    assert_eq!(agent.score(pollux), "-D");
    assert_eq!(agent.code(pollux, "demote"), ERR_GENERIC);
    assert_eq!(agent.code(pollux, "stop"), ERR_GENERIC);
    agent.shoot(pollux);
    assert_eq!(agent.code(pollux, "monitor"), NOT_RUNNING);
    assert_eq!(agent.code(pollux, "start"), ERR_GENERIC);
    assert_eq!(agent.code(pollux, "stop"), SUCCESS);
    agent.run(castor, "promote").ok();
    assert_eq!(hosts.role(castor), "provider 3");
    assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    // A provider that is started takes no writes.
    hosts.nodes[pollux].start_again();
    assert_eq!(agent.code(pollux, "start"), SUCCESS);
    hosts.wait_role(pollux, "standby 3");

    // A server that is down and was none takes no writes when it comes back.
    hosts.nodes[pollux].stop(Stop::Fast);
    assert_eq!(agent.code(pollux, "monitor"), NOT_RUNNING);
    assert_eq!(agent.code(pollux, "demote"), SUCCESS);
    assert_eq!(agent.code(pollux, "stop"), SUCCESS);
    hosts.nodes[pollux].start_again();
    assert_eq!(agent.code(pollux, "start"), SUCCESS);

    // A plain subscriber runs, and is never promoted.
    let config = std::fs::read_to_string(&hosts.replays[pollux].config).unwrap();
    let plain = config.replace("standby = true", "");
    std::fs::write(&hosts.replays[pollux].config, plain).unwrap();
    hosts.replays[pollux].run(&["install"]).ok();
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    assert_eq!(agent.score(pollux), "-D");
    assert_eq!(agent.code(pollux, "promote"), ERR_GENERIC);
}

/// A config that somebody has spoiled on a host that is well is no reason to shoot the host.
fn wrong_configs_change_nothing(hosts: &Hosts, agent: &Agent<'_>) {
    let (castor, pollux) = (0, 1);
    let configs = |node: usize| [&hosts.tickers[node].config, &hosts.replays[node].config];
    let port = hosts.nodes[castor].port().to_string();
    // A typo, and another port, at which nobody listens.
    for (wrong, is_readable) in [("job_name", false), (port.as_str(), true)] {
        let rights = configs(castor).map(|file| std::fs::read_to_string(file).unwrap());
        for (file, right) in configs(castor).iter().zip(&rights) {
            std::fs::write(file, right.replace(wrong, "1")).unwrap();
        }
        assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
        assert_eq!(agent.code(castor, "demote"), SUCCESS);
        assert_eq!(hosts.role(castor), "fenced 1");
        assert_eq!(agent.code(castor, "stop"), SUCCESS);
        assert_eq!(agent.code(castor, "monitor"), NOT_RUNNING);
        if !is_readable {
            assert_eq!(agent.code(castor, "start"), ERR_ARGS);
            assert_eq!(agent.code(castor, "validate-all"), ERR_ARGS);
            // The host is started anew, and nothing of ours was started since.
            agent.shoot(castor);
            assert_eq!(agent.code(castor, "stop"), SUCCESS);
        }
        for (file, right) in configs(castor).iter().zip(&rights) {
            std::fs::write(file, right).unwrap();
        }
        assert_eq!(agent.run(castor, "start").ok().code, SUCCESS);
        assert_eq!(agent.run(castor, "promote").ok().code, SUCCESS);
        assert_eq!(agent.code(castor, "monitor"), RUNNING_MASTER);
    }
    // A standby, too.
    let replay = &hosts.replays[pollux].config;
    let right = std::fs::read_to_string(replay).unwrap();
    std::fs::write(replay, right.replace("job_name", "1")).unwrap();
    assert_eq!(agent.code(pollux, "monitor"), SUCCESS);
    std::fs::write(replay, right).unwrap();
    wait_can(hosts, pollux);
}
