use super::*;

fn words(text: &str) -> Vec<(&'static str, String)> {
    parse(text).unwrap().into_iter().collect()
}

fn pair(keyword: &'static str, value: &str) -> (&'static str, String) {
    (keyword, value.to_owned())
}

#[test]
fn keyword_value_strings_are_read_as_libpq_reads_them() {
    assert_eq!(
        words(r"host = 'a b'  port=5433 dbname='it\'s' user=x\ y"),
        [
            pair("dbname", "it's"),
            pair("host", "a b"),
            pair("port", "5433"),
            pair("user", "x y"),
        ]
    );
    assert_eq!(words(""), []);
    assert_eq!(words("dbname="), [pair("dbname", "")]);
    assert_eq!(words("password=a=b"), [pair("password", "a=b")]);
}

#[test]
fn urls_are_read_as_libpq_reads_them() {
    assert_eq!(
        words("postgresql://us%40er:p%3Aw@[::1]:5433,b/my%20db?connect_timeout=3&ssl=true"),
        [
            pair("connect_timeout", "3"),
            pair("dbname", "my db"),
            pair("host", "::1,b"),
            pair("password", "p:w"),
            pair("port", "5433,"),
            pair("sslmode", "require"),
            pair("user", "us@er"),
        ]
    );
    assert_eq!(words("postgres://"), []);
    assert_eq!(
        words("postgres://%2Fvar%2Frun/db?user=me"),
        [
            pair("dbname", "db"),
            pair("host", "/var/run"),
            pair("user", "me"),
        ]
    );
    assert!(parse("postgres://a/%zz").is_err());
    assert!(parse("postgres://a/%00").is_err());
    // libpq refuses a port without its colon, too.
    for wrong in ["[::1]5433", "[::1]x,b", "[::1"] {
        let error = parse(&format!("postgres://{wrong}/db")).unwrap_err();
        assert!(error.to_string().contains(']'), "{error}");
    }
}

#[test]
fn an_unknown_keyword_is_named_with_the_nearest_one() {
    let error = parse("dbnme=x").unwrap_err().to_string();
    assert!(
        error.contains("\"dbnme\", did you mean \"dbname\"?"),
        "{error}"
    );
    let error = parse("sslpassword=x").unwrap_err().to_string();
    assert!(error.contains("not supported"), "{error}");
}

#[test]
fn se_17_what_is_refused_is_refused_in_string_service_and_environment_alike() {
    let asks = |support: &Support| match support {
        Support::Used | Support::Ignored => None,
        Support::Refused(instead) => Some((&[][..], *instead)),
        Support::RefusedBut(values, instead) => Some((*values, *instead)),
    };
    let mut refused = 0;
    for (keyword, variable, support) in KEYWORDS {
        let Some((harmless, instead)) = asks(support) else {
            continue;
        };
        refused += 1;
        let error = read(&format!("{keyword}=asked"), &|_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("connection string: {keyword} is not supported ({instead})")
        );
        for value in harmless.iter().chain(&[""]) {
            let words = read(&format!("{keyword}='{value}'"), &|_| None).unwrap();
            assert_eq!(words, Words::new(), "{keyword}={value}");
        }
        if let Some(variable) = variable {
            let env = |name: &str| (name == *variable).then(|| "asked".to_owned());
            let error = read("host=h", &env).unwrap_err().to_string();
            assert!(
                error.contains(variable) && error.contains(instead),
                "{error}"
            );
            let empty = |name: &str| (name == *variable).then(String::new);
            assert_eq!(read("", &empty).unwrap(), Words::new(), "{variable}");
            // The string decides before the environment.
            for value in harmless.iter() {
                assert_eq!(
                    read(&format!("{keyword}={value}"), &env).unwrap(),
                    Words::new()
                );
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn requiressl_is_an_older_sslmode() {
    assert_eq!(words("requiressl=1"), [pair("sslmode", "require")]);
    assert_eq!(words("requiressl=0"), [pair("sslmode", "prefer")]);
    let env = |name: &str| (name == "PGREQUIRESSL").then(|| "1".to_owned());
    assert_eq!(read("", &env).unwrap()["sslmode"], "require");
    assert_eq!(read("sslmode=allow", &env).unwrap()["sslmode"], "allow");
}

#[test]
fn no_error_repeats_a_part_of_a_password() {
    for text in [
        "password=my secret dbname=x",
        "password=my secret=1",
        "password='secret",
        "postgres://u:se%cret@h/d",
        "secret",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}

#[test]
fn the_string_wins_over_the_environment() {
    let env = |name: &str| match name {
        "PGHOST" => Some("from-env".to_owned()),
        "PGPORT" => Some("1".to_owned()),
        _ => None,
    };
    let words = read("host=given", &env).unwrap();
    assert_eq!(words.get("host").map(String::as_str), Some("given"));
    assert_eq!(words.get("port").map(String::as_str), Some("1"));
}

proptest::proptest! {
    #[test]
    fn a_quoted_value_comes_back_as_it_was(value in "\\PC{0,40}") {
        let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
        let text = format!("password='{quoted}' host=h");
        proptest::prop_assert_eq!(words(&text), [pair("host", "h"), pair("password", &value)]);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(postgres://)?\\PC{0,60}") {
        let _ = parse(&text);
    }
}

#[test]
fn a_service_cannot_name_another_service() {
    let path = std::env::temp_dir().join(format!("services-{}", std::process::id()));
    std::fs::write(&path, "[a]\nservice=b\n[b]\nhost=h\n").unwrap();
    let env = |name: &str| (name == "PGSERVICEFILE").then(|| path.display().to_string());
    let error = read("service=a", &env).unwrap_err().to_string();
    let host = read("service=b", &env).unwrap()["host"].clone();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        error,
        "connection string: service \"a\": a service cannot name another service"
    );
    assert_eq!(host, "h");
}
