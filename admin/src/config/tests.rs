//! Whole files, right and wrong.

use std::path::Path;
use std::time::Duration;

use super::*;

fn env(name: &str) -> Option<String> {
    (name == "DB_HOST").then(|| "from-env".to_owned())
}

fn replay(text: &str) -> Result<ReplayConfig, Vec<String>> {
    ReplayConfig::parse(text, 0o600, Path::new("etc/replay.toml"), &env).map_err(lines)
}

fn ticker(text: &str) -> Result<TickerConfig, Vec<String>> {
    TickerConfig::parse(text, 0o600, Path::new("etc/ticker.toml"), &env).map_err(lines)
}

fn lines(errors: ConfigErrors) -> Vec<String> {
    errors.to_string().lines().map(str::to_owned).collect()
}

/// A good file with one more line in its section.
fn replay_with(line: &str) -> String {
    format!(
        "[replay]\njob_name = \"j\"\nprovider_db = \"dbname=a\"\nsubscriber_db = \"dbname=b\"\n\
         pgq_queue_name = \"q\"\n{line}\n"
    )
}

#[test]
fn the_samples_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc");
    let ticker = TickerConfig::load(&root.join("ticker.toml")).unwrap();
    assert_eq!(ticker.queues, ["db1-queue"]);
    assert_eq!(ticker.loop_delay, Duration::from_millis(20));
    assert_eq!(ticker.maint_delay, Duration::from_secs(600));
    assert_eq!(ticker.databases, Databases::FromDb);
    assert_eq!(ticker.db.dbname(), "db1");
    assert_eq!(
        ticker.daemon.pidfile,
        Path::new("/run/trunkline/db1-ticker.pid")
    );
    let replay = ReplayConfig::load(&root.join("replay.toml")).unwrap();
    assert_eq!(replay.daemon.job_name, "db1-replay");
    assert_eq!(replay.parallel_copies, 4);
    assert_eq!(replay.subscribers.len(), 1);
    assert_eq!(replay.subscribers[0].consumer, "db1-replay");
    assert_eq!(replay.daemon.log_size, 5 << 20);
    assert_eq!(
        replay.daemon.logfile.as_deref(),
        Some(Path::new("/var/log/trunkline/db1-replay.log"))
    );
    assert!(replay.daemon.config_file.is_absolute());
    assert_eq!(replay.daemon.warnings, Vec::<String>::new());
}

#[test]
fn several_subscribers_have_names_and_consumers() {
    let config = replay(
        "[replay]\njob_name='j'\nprovider_db='dbname=a'\npgq_queue_name='q'\n\
         [[subscriber]]\nname='s1'\ndb='host=${DB_HOST} dbname=b'\n\
         [[subscriber]]\nname='s2'\ndb='dbname=c'\n",
    )
    .unwrap();
    let consumers: Vec<_> = config.subscribers.iter().map(|s| &*s.consumer).collect();
    assert_eq!(consumers, ["j/s1", "j/s2"]);
    assert!(
        config.subscribers[0]
            .db
            .to_string()
            .contains("host from-env")
    );
}

#[test]
fn every_problem_is_named_with_its_line_in_one_go() {
    let errors = replay(
        "[replay]\njob_name = 'a b'\nprovider_db = 'sslmode=perhaps'\nsubscriber_db = 7\n\
         pgq_queue_name = ''\nloop_delay = -1\nlog_size = '1 fathom'\nparallel_copies = 0\n\
         on_conflict = 'ignore'\nretry_dely = 3\nhttp_listen = 'x'\nlogfile = 'rel.log'\n",
    )
    .unwrap_err();
    let expected = [
        "etc/replay.toml:2: [replay] job_name: must be letters, digits",
        "etc/replay.toml:3: [replay] provider_db: connection string: sslmode must be disable, allow",
        "etc/replay.toml:4: [replay] subscriber_db: must be a string, not a whole number",
        "etc/replay.toml:5: [replay] pgq_queue_name: must be 1 to 255 bytes",
        "etc/replay.toml:6: [replay] loop_delay: -1 is out of range (0.001 s to 1 hour)",
        "etc/replay.toml:7: [replay] log_size: \"1 fathom\" is not a size",
        "etc/replay.toml:8: [replay] parallel_copies: 0 is out of range (1 to 64)",
        "etc/replay.toml:9: [replay] on_conflict: \"ignore\" is not one of \"overwrite\", \"stop\"",
        "etc/replay.toml:10: [replay] retry_dely: unknown key, did you mean \"retry_delay\"?",
        "etc/replay.toml:11: [replay] http_listen: must be an address and a port (1 to 65535)",
        "etc/replay.toml:12: [replay] logfile: must be an absolute path",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn bad_times_are_refused_with_their_range() {
    for bad in [
        "0",
        "-0.5",
        "1e99",
        "nan",
        "inf",
        "''",
        "'fast'",
        "'5 parsecs'",
        "true",
        "[1]",
    ] {
        let errors = replay(&replay_with(&format!("loop_delay = {bad}"))).unwrap_err();
        assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
        assert!(
            errors[0].contains(":6: [replay] loop_delay: "),
            "{errors:?}"
        );
        assert!(errors[0].contains("0.001 s to 1 hour"), "{errors:?}");
    }
    for good in ["1", "0.02", "'10 ms'", "'1 hour'", "1e-3", "0x10"] {
        replay(&replay_with(&format!("loop_delay = {good}"))).unwrap();
    }
}

#[test]
fn bad_sizes_are_refused_with_their_range() {
    for bad in [
        "0",
        "-1",
        "1.5",
        "'-1 MB'",
        "''",
        "99999999999999999999",
        "nan",
        "false",
    ] {
        let errors = replay(&replay_with(&format!("log_size = {bad}"))).unwrap_err();
        assert_eq!(errors.len(), 1, "{bad}: {errors:?}");
        assert!(errors[0].contains("4 kB to 100 GB"), "{errors:?}");
    }
    for good in ["5242880", "'5 MB'", "5_242_880"] {
        let config = replay(&replay_with(&format!("log_size = {good}"))).unwrap();
        assert_eq!(config.daemon.log_size, 5 << 20, "{good}");
    }
}

#[test]
fn duplicates_and_broken_lines_are_named_beside_other_problems() {
    let errors = replay(&replay_with("job_name = 'k'\nlog_count = 0\nx = = 1")).unwrap_err();
    assert!(
        errors
            .iter()
            .any(|e| e.contains(":6: ") && e.contains("duplicate")),
        "{errors:?}"
    );
    assert!(
        errors.iter().any(|e| e.contains(":7: [replay] log_count")),
        "{errors:?}"
    );
    assert!(errors.iter().any(|e| e.contains(":8: ")), "{errors:?}");
}

#[test]
fn missing_sections_and_keys_are_named() {
    assert!(replay("").unwrap_err()[0].contains("section [replay] is missing"));
    assert!(replay("replay = 1").unwrap_err()[0].contains(":1: replay must be a section"));
    let errors = replay("[replay]\n").unwrap_err();
    for key in ["job_name", "provider_db", "pgq_queue_name", "subscriber_db"] {
        assert!(
            errors
                .iter()
                .any(|e| e.contains(&format!("{key}: is missing"))),
            "{errors:?}"
        );
    }
    let errors = ticker("[replay]\njob_name='x'\n").unwrap_err();
    assert!(
        errors[0].contains("of a replay, not of a ticker"),
        "{errors:?}"
    );
    assert!(ticker("[ticker]\njob_name='x'\n").unwrap_err()[0].contains("db: is missing"));
}

#[test]
fn a_missing_variable_of_the_environment_is_an_error() {
    let errors = replay(&replay_with("logfile = '/${NOT_SET}/x'")).unwrap_err();
    assert!(
        errors[0].ends_with("environment variable NOT_SET is not set"),
        "{errors:?}"
    );
}

#[test]
fn windows_line_ends_are_read_and_nul_is_not() {
    let text = replay_with("log_count = 2").replace('\n', "\r\n");
    assert_eq!(replay(&text).unwrap().daemon.log_count, 2);
    let errors = replay(&replay_with("log_count = 2 \0")).unwrap_err();
    assert!(errors.iter().any(|e| e.contains(":6: ")), "{errors:?}");
    let errors = replay(&replay_with("logfile = \"/a\\u0000b\"")).unwrap_err();
    assert!(errors[0].contains("control characters"), "{errors:?}");
}

#[test]
fn archives_are_sources_by_the_name_that_they_have_here_or_by_address() {
    let text = |sources: &str| {
        format!(
            "[replay]\njob_name='j'\npgq_queue_name='q'\nprovider_db='dbname=a'\nsubscriber_db='dbname=b'\n\
             archive_sources={sources}\n[[subscriber]]\nname='a'\narchive='file:///x/a'\n"
        )
    };
    let found = replay(&text("['a', 'file:///y', 's3://b/y']"))
        .unwrap()
        .archive_sources;
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.name.as_str(), one.address.to_string()))
        .collect();
    let expected = [("a", "/x/a"), ("file:///y", "/y"), ("s3://b/y", "s3://b/y")];
    assert_eq!(found, expected.map(|(name, at)| (name, at.to_owned())));
    for (sources, why) in [
        (
            "['b']",
            "b is neither an archive of this file nor an address",
        ),
        ("['s3://bucket/y z']", "must be s3:// with a bucket"),
        ("['a', 'file:///x/a']", "has file:///x/a twice"),
    ] {
        let errors = replay(&text(sources)).unwrap_err();
        assert!(
            errors.len() == 1 && errors[0].contains(why) && errors[0].contains(":6: "),
            "{errors:?}"
        );
    }
}

#[test]
fn an_archive_stands_beside_databases_or_alone_and_alone_follows_the_provider_of_a_set() {
    let head = "[replay]\njob_name='j'\npgq_queue_name='q'\n";
    let archive = "[[subscriber]]\nname='a'\narchive='file:///x/a'\nsegment_every='2 s'\n";
    let one = format!("{head}provider_db='dbname=a'\n");
    let alone = replay(&format!("{one}{archive}")).unwrap();
    assert!(alone.subscribers.is_empty());
    let [found] = alone.archives.as_slice() else {
        panic!("{:?}", alone.archives)
    };
    assert_eq!((found.name.as_str(), found.consumer.as_str()), ("a", "j/a"));
    assert_eq!(found.segment_every.as_secs(), 2);
    let beside = replay(&format!("{one}subscriber_db='dbname=b'\n{archive}")).unwrap();
    assert_eq!((beside.subscribers.len(), beside.archives.len()), (1, 1));
    let of_set = format!("{head}provider_db='host=a,b dbname=a'\n");
    assert_eq!(
        replay(&format!("{of_set}{archive}"))
            .unwrap()
            .archives
            .len(),
        1
    );
    for (text, why) in [
        (format!("{one}{archive}db='dbname=b'\n"), "together with db"),
        (format!("{one}{archive}{archive}"), "another subscriber too"),
        (
            format!("{one}[[subscriber]]\nname='a'\ndb='dbname=b'\nsegment_size='1 MB'\n"),
            "is a key of an archive",
        ),
        (
            format!("{one}{archive}archive_options={{ region = 'x' }}\n"),
            "this one is a directory",
        ),
        (
            format!("{one}[[subscriber]]\nname='a'\n"),
            "name, and db or archive",
        ),
        (
            format!("{one}standby=true\nsubscriber_db='dbname=b'\n{archive}"),
            "a file of its own",
        ),
        (
            format!("{of_set}subscriber_db='dbname=b'\n{archive}"),
            "a file of its own",
        ),
        (
            format!("{of_set}{archive}[[subscriber]]\nname='b'\narchive='file:///x/b'\n"),
            "a file of its own",
        ),
    ] {
        let errors = replay(&text).unwrap_err();
        assert!(
            errors.iter().any(|error| error.contains(why)),
            "{why}: {errors:?}"
        );
    }
}

#[test]
fn subscriber_sections_are_checked_one_by_one() {
    let head = "[replay]\njob_name='j'\nprovider_db='dbname=a'\npgq_queue_name='q'\n";
    let errors = replay(&format!(
        "{head}[[subscriber]]\nname='s'\ndb='dbname=a'\n[[subscriber]]\nname='s'\ndb='dbname=b'\n\
         [[subscriber]]\ndb='dbname=c'\nnam='x'\n[[subscriber]]\nname='a/b'\ndb='x=1'\n"
    ))
    .unwrap_err();
    let has = |part: &str| errors.iter().any(|error| error.contains(part));
    assert!(
        has(":9: [[subscriber]] name: s is the name of another"),
        "{errors:?}"
    );
    assert!(has("[[subscriber]] name: is missing"), "{errors:?}");
    assert!(has(":13: [[subscriber]] nam: unknown key"), "{errors:?}");
    assert!(
        has(":15: [[subscriber]] name: must be letters"),
        "{errors:?}"
    );
    assert!(
        has(":16: [[subscriber]] db: connection string: unknown keyword"),
        "{errors:?}"
    );
    let both = format!("{head}subscriber_db='dbname=b'\n[[subscriber]]\nname='s'\ndb='dbname=b'\n");
    assert!(replay(&both).unwrap_err()[0].contains("together with [[subscriber]]"));
    let not_a_list = replay(&format!("subscriber='x'\n{head}")).unwrap_err();
    assert!(
        not_a_list[0].contains("must be a list of sections"),
        "{not_a_list:?}"
    );
}

#[test]
fn databases_are_one_several_or_all() {
    let read = |line: &str| ticker(&format!("[ticker]\njob_name='t'\n{line}\n"));
    assert_eq!(read("databases='all'").unwrap().databases, Databases::All);
    let named = read("databases=['a','b']\ndb='host=h1'").unwrap();
    let names = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(named.databases, Databases::Named(names));
    for bad in [
        "databases=[]",
        "databases=['']",
        "databases=['a','a']",
        "databases=[1]",
    ] {
        assert!(
            read(bad).unwrap_err()[0].contains(":3: [ticker] databases: "),
            "{bad}"
        );
    }
    assert!(read("db='dbname=a'\nqueues=['q','q']").is_err());
}

#[test]
fn a_password_that_every_user_can_read_is_warned_about_and_never_shown() {
    let text = replay_with("").replace("dbname=a", "dbname=a password=hunter2");
    let load = |mode| ReplayConfig::parse(&text, mode, Path::new("x.toml"), &env).unwrap();
    assert!(load(0o644).daemon.warnings[0].starts_with("line 3 holds a password"));
    assert_eq!(load(0o640).daemon.warnings.len(), 0);
    assert!(!format!("{:?}", load(0o600)).contains("hunter2"));
    let from_env = text.replace("hunter2", "${DB_HOST}");
    let config = ReplayConfig::parse(&from_env, 0o644, Path::new("x.toml"), &env).unwrap();
    assert_eq!(config.daemon.warnings.len(), 0);
}

#[test]
fn a_file_that_is_no_plain_small_text_is_refused() {
    let dir = std::env::temp_dir().join(format!("config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let refused = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        ReplayConfig::load(&path).unwrap_err().to_string()
    };
    assert!(refused("big", &vec![b'#'; 10 << 20]).contains("is larger than 1048576 bytes"));
    assert!(refused("latin", b"[replay]\n# \xe9\n").contains(":2: is not UTF-8"));
    let open = dir.join("open");
    std::fs::write(&open, replay_with("")).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let text = ReplayConfig::load(&open).unwrap_err().to_string();
    assert!(text.contains("written by every user"), "{text}");
    let bom = format!("\u{feff}{}", replay_with(""));
    let path = dir.join("bom");
    std::fs::write(&path, bom).unwrap();
    ReplayConfig::load(&path).unwrap();
    assert!(
        ReplayConfig::load(&dir)
            .unwrap_err()
            .to_string()
            .contains("is a directory")
    );
    assert!(
        ReplayConfig::load(&dir.join("none"))
            .unwrap_err()
            .to_string()
            .contains("No such file")
    );
    assert!(load_any(&path).is_ok());
    std::fs::remove_dir_all(&dir).unwrap();
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_read_or_refused_with_lines_that_exist(
            text in "(\\[replay\\]\n)?([a-z_]{1,12} ?= ?\\PC{0,20}\n){0,6}\\PC{0,40}"
        ) {
            match ReplayConfig::parse(&text, 0o600, Path::new("x"), &env) {
                Ok(_) => {}
                Err(errors) => {
                    prop_assert!(!errors.problems.is_empty());
                    let lines = text.lines().count().max(1);
                    for problem in &errors.problems {
                        prop_assert!(problem.line.is_none_or(|line| (1..=lines + 1).contains(&line)));
                    }
                }
            }
        }
    }
}
