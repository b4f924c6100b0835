//! The manifest's format, and what is no manifest.

use super::*;

const GOLDEN: &str = concat!(
    r#"{"trunkline":"base/1","archive":"a1","base":"20261128T020711Z-48212-s","label":"weekly","#,
    r#""source":"host2","at":["7","48212","5"],"time":"2026-11-28T02:07:11.000000Z","#,
    r#""began":"2026-11-28T02:07:11.500000Z","ended":"2026-11-28T02:08:00.000000Z","server":150004,"#,
    r#""dump":15,"schema_of":"provider","schema":{"path":"schema.dump","bytes":100,"sha":"h1"},"#,
    r#""roles":["app"],"tables":[{"schema":"public","name":"t","oid":16400,"columns":["id"],"#,
    r#""shape":{"later":"unknown","shape":3},"binary":true,"rows":3,"conflicts":0,"parts":["#,
    r#"{"path":"data/16400/00000.copy","bytes":50,"sha":"h1","raw_bytes":60,"rows":3}]}],"#,
    r#""sequences":[["public","s","9",true,"1"]],"missing":[{"schema":"public","name":"u","#,
    r#""why":"parked"}],"left_out":[{"what":"table public.v","why":"not kept"}],"sealed":[]"#,
);

/// A text with the hash that it should have.
fn hashed(text: &str) -> String {
    format!("{text}{BEFORE_SHA}{}{BEHIND_SHA}", sha(text.as_bytes()))
}

#[test]
fn the_manifest_of_a_base_is_what_it_always_was() {
    let written = sample().written().unwrap();
    assert_eq!(written, hashed(GOLDEN));
    assert_eq!(Manifest::read(written.as_bytes()).unwrap(), sample());
    let json: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(json["sha"], sha(GOLDEN.as_bytes()));
    assert_eq!((sample().rows(), sample().bytes()), (3, 150));
    assert!(!sample().is_complete());
}

#[test]
fn a_manifest_that_was_changed_or_cut_or_is_of_another_version_is_refused() {
    let text = sample().written().unwrap();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(Manifest::read(&bytes).is_err(), "byte {at}");
        let cut = &text.as_bytes()[..at];
        assert!(Manifest::read(cut).is_err(), "cut at {at}");
    }
    let newer = hashed(&GOLDEN.replace("base/1", "base/2"));
    let newer = Manifest::read(newer.as_bytes());
    assert!(matches!(newer, Err(BadManifest::Format(_))), "{newer:?}");
    let later = hashed(&GOLDEN.replacen('{', r#"{"later":{"x":1},"#, 1));
    assert_eq!(Manifest::read(later.as_bytes()).unwrap(), sample());
}

#[test]
fn a_manifest_names_no_file_beside_its_base_and_no_row_that_is_not_there() {
    for (is, other) in [
        ("data/16400/00000.copy", "data/16400/../../../x"),
        ("data/16400/00000.copy", "/etc/passwd"),
        ("data/16400/00000.copy", "data/16401/00000.copy"),
        (r#""path":"schema.dump""#, r#""path":"../archive.json""#),
    ] {
        let text = hashed(&GOLDEN.replace(is, other));
        let read = Manifest::read(text.as_bytes());
        assert!(matches!(read, Err(BadManifest::Path(_))), "{other}");
    }
    let text = hashed(&GOLDEN.replace(r#""rows":3,"conflicts""#, r#""rows":4,"conflicts""#));
    let read = Manifest::read(text.as_bytes());
    assert!(matches!(read, Err(BadManifest::Rows(_))), "{read:?}");
}

#[test]
fn a_base_has_one_name_and_no_other() {
    let name = sample().base;
    assert_eq!(
        name.path(FILE),
        "bases/20261128T020711Z-48212-s/manifest.json"
    );
    assert!(Name::try_from(name.to_string()).is_ok());
    for bad in [
        "20261128T020711-48212-s",
        "20261128T020711Z-048212-s",
        "20261128T020711Z-48212-x",
        "20261128T020711Z-48212-s-s",
        "2026112T020711Z-48212-s",
        "..",
        "",
    ] {
        assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}
