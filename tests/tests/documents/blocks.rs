//! The command blocks of the manual, run as they stand on one pair of servers.
//!
//! The info string of a fenced block says what it is: `sh` is run by bash in a directory that has
//! `etc/`; `sql provider` and `sql subscriber` are run by psql; `toml` is checked as a config file,
//! or as lines of the sample that its first line names; `text` and `json` are output. `skip:` and a
//! reason keep a block from being run. The tutorial has a test of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{Cluster, Node, Programs, Replication, run_in};

use crate::pages;

/// A fenced block of a page.
pub(crate) struct Block {
    page: String,
    line: usize,
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    /// Where it is, for messages.
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

pub(crate) fn blocks(page: &pages::Page) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.text.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => {
                open = Some(Block {
                    page: page.path.clone(),
                    line: index + 1,
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block without an end", page.path);
    blocks
}

/// Everything that the pages speak of, on both sides, beside a table that follows already.
const FOLLOWS: &str = "create table seed (id int primary key);";
const PROVIDER: &str = "
    create table customers (id int primary key, name text);
    insert into customers select i, 'customer ' || i from generate_series(1, 100) i;
    create table orders (id int primary key, tenant int, total numeric, deleted_at timestamptz);
    insert into orders select i, i % 9, i, null from generate_series(1, 100) i;
    create table journal (line text);
    create table made (id serial primary key, v text);
    create schema shop;
    create table shop.items (id int primary key, v text);
    create table shop.tmp_items (id int primary key, v text);
";
const SUBSCRIBER: &str = "
    create table customers (id int primary key, name text);
    create schema archive;
    create table archive.orders (id int primary key, tenant int, total numeric);
    create table journal (line text);
    create schema shop;
    create table shop.items (id int primary key, v text);
";

/// The config that each program finds.
const CONFIGS: [(&str, &str); 3] = [
    ("ticker", "etc/ticker.toml"),
    ("replay", "etc/replay.toml"),
    ("trunkline", "etc"),
];

/// Where the blocks are run.
pub(crate) struct Place {
    pub(crate) replication: Replication,
    etc: String,
}

impl Place {
    fn new() -> Self {
        let replication = Replication::builder()
            .replay_line("allow_execute = true")
            .running(FOLLOWS);
        replication.on_provider(PROVIDER);
        replication.on_subscriber(SUBSCRIBER);
        Self::of(replication)
    }

    /// The files and programs that the blocks ask for, for these servers.
    pub(crate) fn of(replication: Replication) -> Self {
        let etc = pages::root().join("etc");
        for folder in ["roles", "examples"] {
            let here = replication.scratch.path().join("etc").join(folder);
            std::os::unix::fs::symlink(etc.join(folder), here).unwrap();
        }
        // Programs that find their config without `-c`, as those of a package do.
        for (program, config) in CONFIGS {
            let file = format!("bin/{program}");
            let real = Programs::get().path(program);
            let text = format!("#!/bin/sh\nTRUNKLINE_CONFIG={config} exec {real:?} \"$@\"\n");
            let wrapper = replication.scratch.file(&file, &text);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(wrapper, mode).unwrap();
        }
        Self {
            replication,
            etc: etc.to_str().unwrap().to_owned(),
        }
    }

    /// What the page calls `-h host1`, as psql and its like find it here.
    fn with_hosts(&self, text: &str) -> String {
        let host = |cluster: &Cluster| {
            let folder = cluster.socket_dir().display();
            format!("-h {folder} -p {} -U postgres", cluster.port())
        };
        text.replace("/etc/", "etc/")
            .replace("db1-queue", "q1")
            .replace("-h host1", &host(&self.replication.provider))
            .replace("-h host2", &host(&self.replication.subscribers[0]))
    }

    pub(crate) fn run(&self, block: &Block) {
        println!("== {}", block.place());
        let words: Vec<&str> = block.info.split_whitespace().collect();
        match words.as_slice() {
            [_, "skip:", _, ..] | ["text" | "json"] => {}
            ["sh"] => self.shell(block),
            ["sql", "provider"] => drop(self.replication.on_provider(&block.text)),
            ["sql", "subscriber"] => drop(self.replication.on_subscriber(&block.text)),
            ["toml"] => self.config(block),
            _ => panic!(
                "{}: the block says {:?}, which is none of sh, sql provider, sql subscriber, toml, \
                 text, json, or one of these with \"skip: REASON\"",
                block.place(),
                block.info
            ),
        }
    }

    fn shell(&self, block: &Block) {
        let path = format!(
            "{}:/usr/lib/postgresql/15/bin:{}",
            self.replication.scratch.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let output = run_in(
            Command::new("bash")
                .args(["-e", "-u", "-x", "-c", &self.with_hosts(&block.text)])
                .current_dir(self.replication.scratch.path())
                .env("PATH", path),
            Duration::from_secs(180),
        );
        println!("{}{}", output.stdout, output.stderr);
        assert!(output.code == 0, "{}: see above", block.place());
    }

    /// `check-config` of the block, or of the sample with the block's lines in place of its own.
    fn config(&self, block: &Block) {
        let place = block.place();
        let first = block.text.lines().next().unwrap_or_default();
        let file = first.strip_prefix("# ").unwrap_or_else(|| {
            panic!("{place}: the first line of a config is a comment with the name of its file")
        });
        let program = match file.trim_end_matches(char::is_numeric) {
            name if name.starts_with("ticker") => "ticker",
            name if name.starts_with("replay") => "replay",
            _ => panic!("{place}: {file} is the file of no program"),
        };
        let head = format!("[{program}]");
        let text = if block.text.lines().any(|line| line == head) {
            block.text.clone()
        } else {
            let sample = Path::new(&self.etc).join(format!("{program}.toml"));
            let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
            let mine: Vec<String> = block.text.lines().map(key).collect();
            let sample = std::fs::read_to_string(sample).unwrap();
            let kept = sample.lines().filter(|line| !mine.contains(&key(line)));
            kept.chain(block.text.lines())
                .collect::<Vec<_>>()
                .join("\n")
        };
        let scratch = &self.replication.scratch;
        let path = scratch.file("checked/config.toml", &text);
        let output = Node::new(program, scratch, &path, "checked").run(&["check-config"]);
        assert!(output.code == 0, "{place}: {}", output.text());
    }
}

#[test]
fn every_command_block_of_the_manual_runs_as_written() {
    let pages = pages::all();
    let summary = pages
        .iter()
        .find(|page| page.path == "docs/SUMMARY.md")
        .unwrap();
    // In the order in which they are read.
    let mut manual: Vec<&pages::Page> = pages
        .iter()
        .filter(|page| page.path.starts_with("docs/") && page.path != "docs/SUMMARY.md")
        .collect();
    manual.sort_by_key(|page| {
        let name = page.path.trim_start_matches("docs/");
        summary
            .text
            .find(&format!("({name})"))
            .unwrap_or_else(|| panic!("{} is not in docs/SUMMARY.md", page.path))
    });
    let place = Place::new();
    let readme = pages.iter().find(|page| page.path == "README.md").unwrap();
    for block in blocks(readme) {
        // The ten commands are among the tutorial's.
        let is_tutorial = block.text.contains("ticker install");
        assert!(
            block.info != "sh" || is_tutorial,
            "{}: who runs it?",
            block.place()
        );
    }
    for page in manual {
        // Its commands are run by the test of the tutorial, under load, or on servers of their own; its configs here.
        let path = page.path.as_str();
        let is_elsewhere = path == "docs/tutorial.md" || pages::PLAYED_ALONE.contains(&path);
        for block in blocks(page) {
            if !is_elsewhere || block.info == "toml" {
                place.run(&block);
            }
        }
    }
}
