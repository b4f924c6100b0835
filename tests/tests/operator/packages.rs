//! The package of the programs: what it is made of, what is in it, and the tutorial on machines that have nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::{Programs, Scratch, run, run_in};

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
    for script in ["postinst", "prerm", "postrm"] {
        let path = repository("etc/deb").join(script);
        run(Command::new("sh").arg("-n").arg(path)).ok();
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
    assert!(tests::is_root(), "machines in directories are made by root");
    let scratch = Scratch::new();
    let [deb, _] = packages(&scratch);
    let said = run_in(
        Command::new("bash")
            .arg(repository("tests/debian/tutorial.sh"))
            .args(["/var/cache/trunkline-tests", &deb]),
        Duration::from_secs(1200),
    );
    println!("{}{}", said.stdout, said.stderr);
    assert!(
        said.ok()
            .stdout
            .ends_with("every line of the tutorial works\n")
    );
}
