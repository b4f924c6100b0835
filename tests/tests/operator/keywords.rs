//! Every keyword of connection strings that libpq has, from 10 to 18: used, without effect, or refused by name, as the
//! manual's table says.

use std::collections::BTreeMap;
use std::process::Command;

use sql::connect::ConnectInfo;
use tests::{Server, choose, run};

/// Prints what a libpq knows: a keyword and its variable a line.
const ASK: &str = "\
import ctypes, sys
class Option(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ('keyword', 'variable', 'default', 'value', 'label', 'shown')]
    _fields_ += [('size', ctypes.c_int)]
libpq = ctypes.CDLL(sys.argv[1])
libpq.PQconndefaults.restype = ctypes.POINTER(Option)
options = libpq.PQconndefaults()
number = 0
while options[number].keyword:
    option = options[number]
    print(option.keyword.decode(), (option.variable or b'').decode())
    number += 1
";

/// The rows of the manual's table: keyword, variable, and what is done.
fn manual() -> BTreeMap<String, (String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/connections.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let bare = |cell: &str| cell.trim_matches('`').to_owned();
        (bare(cells[1]), (bare(cells[2]), cells[3].to_owned()))
    })
    .collect()
}

/// Used keywords that take any text.
const FREE: [&str; 11] = [
    "dbname",
    "host",
    "options",
    "passfile",
    "password",
    "sslcert",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslrootcert",
    "user",
];

/// Whether the connection has the keyword's value. One without effect is left out of what libpq's programs are given.
fn is_kept(keyword: &str) -> bool {
    let text = format!("user=u {keyword}=no-such-value");
    let for_libpq = text.parse::<ConnectInfo>().unwrap().for_libpq();
    match keyword {
        "password" => for_libpq.password.as_deref() == Some("no-such-value"),
        _ => for_libpq
            .conninfo
            .contains(&format!("{keyword}='no-such-value'")),
    }
}

#[test]
fn se_17_every_keyword_of_libpq_10_to_18_is_used_or_refused_as_the_manual_says() {
    let manual = manual();
    let mut known = BTreeMap::new();
    for major in choose("versions", Server::majors().collect(), vec![10, 18]) {
        let library = Server::version(major).library("libpq.so.5");
        let said = run(Command::new("python3").args(["-c", ASK]).arg(&library)).ok();
        let before = known.len();
        for line in said.stdout.lines() {
            let (keyword, variable) = line.split_once(' ').unwrap();
            known.insert(keyword.to_owned(), variable.to_owned());
        }
        assert!(known.len() > 25, "{major}: {before} {known:?}");
    }
    for (keyword, variable) in &known {
        let Some((documented, what)) = manual.get(keyword) else {
            panic!("docs/connections.md says nothing of {keyword} ({variable})");
        };
        assert_eq!(documented, variable, "the variable of {keyword}");
        // No value of any keyword: used ones say so, refused ones are not looked at further.
        let read = format!("{keyword}=no-such-value user=u").parse::<ConnectInfo>();
        let error = read
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(!error.contains("unknown"), "{error}");
        let refused = error.contains("is not supported");
        match what.split([' ', ':', ',', ';']).next().unwrap() {
            "used" if FREE.contains(&keyword.as_str()) => {
                assert_eq!(error, "", "{keyword}");
                assert!(is_kept(keyword), "{keyword} is read and left out");
            }
            "used" => assert!(
                !refused && error.contains(keyword.as_str()),
                "{keyword} takes any value: {error:?}"
            ),
            "ignored" => assert_eq!(error, "", "{keyword}"),
            "refused" => assert!(
                refused && error.contains(keyword.as_str()),
                "{keyword}: {error:?}"
            ),
            other => panic!("{keyword}: {other:?} is none of used, ignored and refused"),
        }
    }
    let more: Vec<&String> = manual
        .keys()
        .filter(|name| !known.contains_key(*name))
        .collect();
    assert_eq!(
        more,
        ["requiressl"],
        "libpq translates it, and lists it no more"
    );
}
