//! The package of the programs: what it is made of, what is in it, and the tutorial on machines that have nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use tests::{
    Daemons, Node, Programs, Replication, Scratch, is_root, run, run_in, signal, wait_until,
};

use super::authority::{Authority, serve};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn make_deb(out: &Path, programs: &str) -> Command {
    let mut command = Command::new("make");
    command.args(["-s", "-C"]).arg(repository("."));
    command.args(["deb", "VERSIONS=15", &format!("PROGRAMS={programs}")]);
    command.arg(format!("OUT={}", out.display()));
    command
}

/// Builds the packages as users get them, and gives those of the programs and of the extensions.
fn packages(scratch: &Scratch) -> [String; 2] {
    let out = scratch.dir("deb");
    let programs = Programs::get().dir().to_str().unwrap();
    run_in(&mut make_deb(&out, programs), Duration::from_secs(600)).ok();
    ["trunkline_", "postgresql-15-trunkline_"].map(|begin| {
        let files = std::fs::read_dir(&out).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        let path = paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_str().unwrap().starts_with(begin))
        });
        path.unwrap().display().to_string()
    })
}

#[test]
fn u3_systemd_takes_the_units_and_restarts_none_for_a_wrong_config() {
    let scratch = Scratch::new();
    for (program, several) in [
        ("ticker", ""),
        ("replay", ""),
        ("ticker", "@"),
        ("replay", "@"),
    ] {
        let name = format!("trunkline-{program}{several}.service");
        let text = std::fs::read_to_string(repository("etc/systemd").join(&name)).unwrap();
        assert!(
            !text.lines().any(|line| line.starts_with("ExecStartPre")),
            "{text}"
        );
        for line in [
            "User=trunkline",
            "RuntimeDirectory=trunkline",
            "LogsDirectory=trunkline",
            "RestartPreventExitStatus=2 5",
            "Type=notify",
            "WatchdogSec=60",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        // The unit's program where it is here; its page is not on this machine.
        let here = Programs::get().path(program);
        let text = text.replace(
            &format!("/usr/bin/trunkline-{program}"),
            here.to_str().unwrap(),
        );
        let unit = scratch.file(&name, &text);
        let said = run(Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(unit))
        .ok();
        assert_eq!(said.stderr, "");
    }
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let rules = repository("etc/prometheus/trunkline.rules.yml");
    run(Command::new("promtool")
        .args(["check", "rules"])
        .arg(&rules))
    .ok();
    let cases =
        std::fs::read_to_string(repository("tests/tests/operator/alerts.test.yml")).unwrap();
    let scratch = Scratch::new();
    let cases = scratch.file(
        "alerts.yml",
        &cases.replace("RULES", rules.to_str().unwrap()),
    );
    run(Command::new("promtool").args(["test", "rules"]).arg(cases)).ok();
    let board = std::fs::read_to_string(repository("etc/grafana/trunkline.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<u64> = panels
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "{board}");
}

#[test]
fn u15_what_the_package_is_made_of_is_there() {
    let manifest = std::fs::read_to_string(repository("admin/Cargo.toml")).unwrap();
    let from_here: Vec<&str> = manifest
        .split('"')
        .filter(|text| text.starts_with("../"))
        .collect();
    assert!(from_here.len() > 10, "{from_here:?}");
    for path in from_here {
        let path = match path.split_once('*') {
            Some((folder, _)) => repository("admin").join(folder),
            None => repository("admin").join(path),
        };
        assert!(path.exists(), "{}", path.display());
    }
    for script in ["deb/postinst", "deb/prerm", "deb/postrm", "static.sh"] {
        let path = repository("etc").join(script);
        run(Command::new("sh").arg("-n").arg(path)).ok();
    }
    // Each unit and sample is in it: those that the table of units does not find are named.
    for unit in std::fs::read_dir(repository("etc/systemd")).unwrap() {
        let name = unit.unwrap().file_name().into_string().unwrap();
        let (base, _) = name.split_once('.').unwrap();
        assert!(
            manifest.contains(&format!("unit-name = \"{base}\""))
                || manifest.contains(&format!(
                    "../etc/systemd/{name}\", \"usr/lib/systemd/system/"
                )),
            "{name}"
        );
    }
    // No programs: said, and nothing half built.
    let scratch = Scratch::new();
    let none = scratch.dir("none");
    run(&mut make_deb(&none, none.to_str().unwrap()))
        .code(2)
        .says(&["cargo build --release"]);
}

#[test]
#[ignore = "needs cargo-deb and lintian, and packs for half a minute"]
fn u15_the_packages_hold_what_a_host_needs_and_lintian_is_content() {
    let scratch = Scratch::new();
    let debs = packages(&scratch);
    let root = scratch.dir("root");
    run(Command::new("dpkg-deb").args(["-x", &debs[0]]).arg(&root)).ok();
    for (path, name) in [
        ("usr/bin/trunkline", "trunkline"),
        ("usr/bin/trunkline-ticker", "ticker"),
        ("usr/bin/trunkline-replay", "replay"),
        ("usr/lib/trunkline/bin/trunkline", "trunkline"),
        ("usr/lib/trunkline/bin/ticker", "ticker"),
        ("usr/lib/trunkline/bin/replay", "replay"),
    ] {
        let version = run(Command::new(root.join(path)).arg("--version")).ok();
        assert!(
            version.stdout.starts_with(name),
            "{path}: {}",
            version.stdout
        );
    }
    let mut files: Vec<String> = [
        "etc/default/trunkline",
        "usr/lib/systemd/system/trunkline-ticker.service",
        "usr/lib/systemd/system/trunkline-replay.service",
        "usr/lib/systemd/system/trunkline-ticker@.service",
        "usr/lib/systemd/system/trunkline-replay@.service",
        "usr/lib/tmpfiles.d/trunkline.conf",
        "usr/share/man/man1/trunkline-queue-create.1.gz",
        "usr/share/man/man1/trunkline-ticker-install.1.gz",
        "usr/share/man/man1/trunkline-replay-add.1.gz",
        "usr/share/doc/trunkline/README.Debian",
        "usr/share/doc/trunkline/examples/ticker.toml",
        "usr/share/doc/trunkline/examples/roles/provider.sql",
        "usr/share/doc/trunkline/copyright",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in ["trunkline", "trunkline-ticker", "trunkline-replay"] {
        files.push(format!("usr/share/bash-completion/completions/{name}"));
        files.push(format!("usr/share/zsh/vendor-completions/_{name}"));
        files.push(format!("usr/share/fish/vendor_completions.d/{name}.fish"));
    }
    for file in files {
        assert!(root.join(&file).exists(), "{file} is missing");
    }
    assert!(!root.join("usr/bin/ticker").exists());
    let depends = run(Command::new("dpkg-deb").args(["-f", &debs[0], "Depends"])).ok();
    assert!(
        depends.stdout.contains("libc6 (>= 2."),
        "{}",
        depends.stdout
    );
    let found = run(Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .args(&debs))
    .ok();
    assert_eq!(found.stdout, "");
}

#[test]
#[ignore = "needs cargo-deb, debootstrap and root, and takes two minutes, four at the first time"]
fn the_tutorial_works_at_every_line_on_machines_that_have_debian_and_our_package() {
    let scratch = Scratch::new();
    let [deb, _] = packages(&scratch);
    on_debian("tutorial.sh", &deb, "every line of the tutorial works");
}

/// Runs a script of tests/debian with a directory that keeps what it has fetched, and says how it must end.
fn on_debian(script: &str, of: &str, end: &str) {
    assert!(is_root(), "machines in directories are made by root");
    let said = run_in(
        Command::new("bash")
            .arg(repository("tests/debian").join(script))
            .args(["/var/cache/trunkline-tests", of]),
        Duration::from_secs(1200),
    );
    println!("{}{}", said.stdout, said.stderr);
    assert!(said.ok().stdout.ends_with(&format!("{end}\n")));
}

#[test]
#[ignore = "needs cargo-deb, debootstrap and root, and takes a minute, two at the first time"]
fn u15_the_package_is_upgraded_under_a_daemon_removed_and_purged_beside_debians_ticker() {
    let scratch = Scratch::new();
    let [deb, _] = packages(&scratch);
    on_debian(
        "package.sh",
        &deb,
        "installed, upgraded, removed, purged and installed again",
    );
}

#[test]
#[ignore = "needs debootstrap and root, and takes half a minute, two at the first time"]
fn u15_the_image_of_the_container_file_runs_each_daemon_as_its_first_process() {
    let programs = Programs::get().dir().to_str().unwrap();
    on_debian("container.sh", programs, "the image is as it should be");
}

/// A program in a directory that is the whole file system to it.
fn rooted(root: &Path, program: &str, config: &str, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.arg("--root").arg(root).arg(format!("/{program}"));
    command.args(["-c", config]).args(args).env_clear();
    command
}

#[test]
#[ignore = "needs musl, and builds for minutes"]
fn u15_the_static_programs_replicate_by_tls_from_a_directory_that_has_nothing_else() {
    let scratch = Scratch::new();
    let out = scratch.dir("static");
    let mut make = Command::new("make");
    make.args(["-s", "-C"]).arg(repository(".")).arg("static");
    make.arg(format!("OUT={}", out.display()));
    // Unoptimised: it is not its speed that is looked at.
    make.arg("PROFILE=dev");
    let packed = run_in(&mut make, Duration::from_secs(3000)).ok();
    run(Command::new("tar")
        .args(["-xzf", packed.text(), "--strip-components=1", "-C"])
        .arg(&out))
    .ok();
    let install = std::fs::read_to_string(out.join("INSTALL")).unwrap();
    for file in ["systemd/tmpfiles.conf", "examples/replay.toml"] {
        assert!(
            install.contains(file) && out.join(file).is_file(),
            "{file} in {install}"
        );
    }

    let replication = Replication::builder().make();
    let authority = Authority::new(&scratch, "ours");
    serve(&replication.provider, &authority.for_localhost());
    let root = scratch.dir("root");
    for directory in ["log", "run"] {
        std::fs::create_dir(root.join(directory)).unwrap();
    }
    std::fs::copy(authority.root(), root.join("ca.crt")).unwrap();
    let mut daemons = Daemons(Vec::new());
    let there = replication.scratch.path().to_str().unwrap();
    let port = format!("host=127.0.0.1 port={}", replication.provider.port());
    let checked = port.replace(
        "host=127.0.0.1",
        "host=localhost hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=/ca.crt",
    );
    for node in [&replication.ticker, &replication.replay] {
        let text = std::fs::read_to_string(&node.config).unwrap();
        let name = node.config.file_name().unwrap();
        let text = text.replace(there, "").replace(&port, &checked);
        std::fs::write(root.join(name), text).unwrap();
        let mut inside: Node = node.clone();
        inside.pidfile = root.join("run").join(node.pidfile.file_name().unwrap());
        inside.logfile = root.join("log").join(node.logfile.file_name().unwrap());
        daemons.0.push(inside);
    }
    for program in ["ticker", "replay", "trunkline"] {
        std::fs::copy(out.join("bin").join(program), root.join(program)).unwrap();
    }
    let call = |program: &str, args: &[&str]| {
        run(&mut rooted(
            &root,
            program,
            &format!("/{program}.toml"),
            args,
        ))
    };
    replication.on_provider(
        "create table t (id int primary key, v text); insert into t select g, 'v' from generate_series(1, 1000) g",
    );
    replication.copy_schema();
    call("ticker", &["install"]).ok();
    call("replay", &["install"]).ok();
    let mut running: Vec<std::process::Child> = ["ticker", "replay"]
        .map(|program| {
            rooted(&root, program, &format!("/{program}.toml"), &["start"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .into();
    for node in &daemons.0 {
        node.wait_log(" started");
    }
    call("replay", &["add", "--all", "--wait", "120"]).ok();
    replication.on_provider("update t set v = 'w' where id % 3 = 0");
    call("replay", &["wait", "--timeout", "120"]).ok();
    let said = run(&mut rooted(&root, "trunkline", "/replay.toml", &["status"]));
    assert!(said.stdout.contains("1 ok"), "{said:?}");
    let by_tls = "select count(*) > 0 and bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) \
         where application_name like 'trunkline%'";
    assert_eq!(replication.on_provider(by_tls), "t");
    replication.assert_same();
    for (node, child) in daemons.0.iter().zip(&mut running) {
        assert!(signal(node.running(), Signal::SIGTERM));
        assert!(child.wait().unwrap().success());
        wait_until("the pid file to go", Duration::from_secs(60), || {
            !node.pidfile.exists()
        });
        tests::assert_clean(&node.logfile, &[]);
    }
}
