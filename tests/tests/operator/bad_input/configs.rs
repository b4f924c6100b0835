//! Configs that are wrong, and what `check-config` and `start` say of them.

use tests::{Node, Scratch, is_root};

/// A config that is right but for what a test puts in; the server in it does
/// not exist, so that whoever connects first fails with 3 and not with 2.
const TICKER: &str = r#"[ticker]
job_name = "t"
db = "host=127.0.0.1 port=1 dbname=x"
queues = ["q"]
pidfile = "DIR/t.pid"
logfile = "DIR/t.log"
"#;

const REPLAY: &str = r#"[replay]
job_name = "r"
provider_db = "host=127.0.0.1 port=1 dbname=x"
subscriber_db = "host=127.0.0.1 port=1 dbname=y"
pgq_queue_name = "q"
pidfile = "DIR/r.pid"
logfile = "DIR/r.log"
"#;

pub(crate) fn write(scratch: &Scratch, program: &'static str, bytes: &[u8]) -> Node {
    let path = scratch.path().join("config.toml");
    std::fs::write(&path, bytes).unwrap();
    Node::new(program, scratch, &path, "t")
}

pub(crate) fn good(scratch: &Scratch, program: &str) -> String {
    let text = if program == "ticker" { TICKER } else { REPLAY };
    text.replace("DIR", scratch.path().to_str().unwrap())
}

/// `check-config` and `start -d` both refuse it with 2, say these words, and
/// leave no file behind.
#[track_caller]
fn refused(scratch: &Scratch, program: &'static str, bytes: &[u8], words: &[&str]) {
    let node = write(scratch, program, bytes);
    for command in [&["check-config"][..], &["start", "-d"]] {
        let output = node.run(command);
        assert_eq!(
            output.code,
            2,
            "{output:?}\n{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(500)])
        );
        output.says(words).says(&["config.toml"]);
    }
    for file in ["t.pid", "t.log", "r.pid", "r.log"] {
        assert!(!scratch.path().join(file).exists(), "{file} was made");
    }
}

#[test]
fn a_right_config_is_checked_without_a_connection() {
    let scratch = Scratch::new();
    for program in ["ticker", "replay"] {
        let text = good(&scratch, program);
        write(&scratch, program, text.as_bytes())
            .run(&["check-config"])
            .ok();
        let crlf = text.replace('\n', "\r\n");
        write(&scratch, program, crlf.as_bytes())
            .run(&["check-config"])
            .ok();
    }
}

#[test]
fn cf_01_values_out_of_range_and_of_the_wrong_type_name_file_key_and_line() {
    let scratch = Scratch::new();
    // The line that is added is line 7 of ticker's and line 8 of replay's file.
    let cases: &[(&'static str, &str, &str)] = &[
        ("ticker", "maint_delay", "-1"),
        ("ticker", "loop_delay", "-0.5"),
        ("ticker", "loop_delay", "0"),
        ("ticker", "loop_delay", "1e99"),
        ("ticker", "loop_delay", "nan"),
        ("ticker", "loop_delay", "inf"),
        ("ticker", "loop_delay", "\"\""),
        ("ticker", "loop_delay", "\"soon\""),
        ("ticker", "loop_delay", "true"),
        ("ticker", "log_size", "-5"),
        ("ticker", "log_size", "\"5 parsecs\""),
        ("ticker", "log_count", "-1"),
        ("replay", "parallel_copies", "0"),
        ("replay", "parallel_copies", "-4"),
        ("replay", "parallel_copies", "100000"),
        ("replay", "parallel_copies", "1.5"),
        ("replay", "parallel_copies", "\"many\""),
        ("replay", "retry_delay", "-30"),
        ("replay", "retry_delay", "1e99"),
        ("replay", "on_conflict", "\"pray\""),
        ("replay", "on_conflict", "1"),
    ];
    for (program, key, value) in cases {
        let text = format!("{}{key} = {value}\n", good(&scratch, program));
        let line = text.lines().count();
        refused(
            &scratch,
            program,
            text.as_bytes(),
            &[key, &format!("{line}")],
        );
    }
}

#[test]
fn cf_01_unknown_and_duplicate_keys_missing_sections_and_missing_keys_are_named() {
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker");
    refused(
        &scratch,
        "ticker",
        format!("{text}loop_dealy = 1\n").as_bytes(),
        &["loop_dealy", "7"],
    );
    refused(
        &scratch,
        "ticker",
        format!("{text}job_name = \"u\"\n").as_bytes(),
        &["job_name", "7"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("[ticker]", "[tickre]").as_bytes(),
        &["ticker"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("[ticker]\n", "").as_bytes(),
        &["[ticker]"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("job_name = \"t\"\n", "").as_bytes(),
        &["job_name"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("job_name = \"t\"", "job_name = \"\"")
            .as_bytes(),
        &["job_name"],
    );
    let text = good(&scratch, "replay");
    refused(
        &scratch,
        "replay",
        text.replace("pgq_queue_name = \"q\"\n", "").as_bytes(),
        &["pgq_queue_name"],
    );
    refused(
        &scratch,
        "replay",
        text.replace("subscriber_db", "# subscriber_db").as_bytes(),
        &["subscriber"],
    );
    refused(
        &scratch,
        "replay",
        format!("{text}\n[[subscriber]]\nname = \"a\"\ndb = \"dbname=z\"\n").as_bytes(),
        &["subscriber"],
    );
    refused(
        &scratch,
        "replay",
        text.replace("host=127.0.0.1 port=1 dbname=y", "hosst=127.0.0.1 dbname=y")
            .as_bytes(),
        &["subscriber_db", "hosst"],
    );
}

#[test]
fn cf_01_all_problems_are_told_in_one_go() {
    let scratch = Scratch::new();
    let text = good(&scratch, "replay").replace("pgq_queue_name = \"q\"", "pgq_queue_name = 17");
    let text = format!("{text}parallel_copies = 0\nretry_delay = -1\nsurprise = 1\n");
    refused(
        &scratch,
        "replay",
        text.as_bytes(),
        &[
            "pgq_queue_name",
            "parallel_copies",
            "retry_delay",
            "surprise",
        ],
    );
}

#[test]
fn cf_01_files_that_are_no_config_are_refused() {
    let scratch = Scratch::new();
    let text = good(&scratch, "ticker");
    refused(&scratch, "ticker", b"", &["ticker"]);
    refused(
        &scratch,
        "ticker",
        format!("{text}x = \"a\0b\"\n").as_bytes(),
        &[],
    );
    refused(&scratch, "ticker", b"\xff\xfe[\0t\0", &[]);
    refused(
        &scratch,
        "ticker",
        format!("{text}this is no toml\n").as_bytes(),
        &["7"],
    );
    refused(
        &scratch,
        "ticker",
        text.replace("\"q\"", "\"${NO_SUCH_VARIABLE_HERE}\"")
            .as_bytes(),
        &["NO_SUCH_VARIABLE_HERE"],
    );
    let big = format!("{text}{}", "# padding\n".repeat(1_100_000));
    refused(&scratch, "ticker", big.as_bytes(), &["large"]);

    let dir = scratch.dir("a-directory");
    Node::new("ticker", &scratch, &dir, "t")
        .run(&["check-config"])
        .code(2)
        .says(&["a-directory"]);
    let missing = scratch.path().join("missing.toml");
    Node::new("ticker", &scratch, &missing, "t")
        .run(&["start", "-d"])
        .code(2)
        .says(&["missing.toml"]);
    if !is_root() {
        use std::os::unix::fs::PermissionsExt;
        let secret = scratch.file("secret.toml", &text);
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
        Node::new("ticker", &scratch, &secret, "t")
            .run(&["check-config"])
            .code(2)
            .says(&["secret.toml"]);
    }
    // A byte order mark is no content: an editor's habit, not a mistake.
    let bom = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    write(&scratch, "ticker", &bom).run(&["check-config"]).ok();
}

#[test]
fn without_a_command_there_is_help_and_exit_code_2() {
    for program in ["ticker", "replay", "trunkline"] {
        let path = tests::Programs::get().path(program);
        let output = tests::run(&mut std::process::Command::new(&path)).code(2);
        assert!((output.stdout + &output.stderr).contains("Usage"));
        tests::run(std::process::Command::new(&path).arg("--help")).ok();
        tests::run(std::process::Command::new(&path).arg("--version")).ok();
        tests::run(std::process::Command::new(&path).arg("dance")).code(2);
    }
}
