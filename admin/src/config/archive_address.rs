//! Where an archive lies: `file:///srv/archive/db1`, or `s3://bucket/db1` with its options. Pure.

use std::fmt;
use std::path::PathBuf;

use super::value::{self, TimeRange};

/// Where an archive lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArchiveAddress {
    /// A directory.
    Directory(PathBuf),
    /// A place in a bucket of an object store.
    Bucket(BucketAddress),
}

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketAddress {
    /// The kind of the store.
    pub kind: StoreKind,
    /// The bucket; a container, where Azure says so.
    pub bucket: String,
    /// What the names of all objects begin with, without a slash at its end; may be empty.
    pub prefix: String,
    /// `archive_options`, by their names; times are in milliseconds, `60000ms`. None of them is a secret.
    pub options: Vec<(String, String)>,
}

/// The kind of an object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// S3 of Amazon, or what speaks like it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl StoreKind {
    const ALL: [StoreKind; 3] = [StoreKind::S3, StoreKind::Google, StoreKind::Azure];

    /// What an address begins with.
    pub fn scheme(self) -> &'static str {
        match self {
            StoreKind::S3 => "s3://",
            StoreKind::Google => "gs://",
            StoreKind::Azure => "az://",
        }
    }
}

impl ArchiveAddress {
    /// Whether two addresses are those of one place, however each is reached.
    pub(super) fn is_place_of(&self, other: &ArchiveAddress) -> bool {
        match (self, other) {
            (ArchiveAddress::Bucket(one), ArchiveAddress::Bucket(other)) => {
                let names = ["endpoint", "account_name"];
                let place = |one: &BucketAddress| names.map(|name| one.option(name).map(bare));
                (one.kind, &one.bucket, &one.prefix) == (other.kind, &other.bucket, &other.prefix)
                    && place(one) == place(other)
            }
            (one, other) => one == other,
        }
    }
}

impl BucketAddress {
    fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        let found = options.find(|(option, _)| option == name)?;
        Some(&found.1)
    }
}

/// An endpoint or a name without the letters that make no difference.
fn bare(text: &str) -> String {
    text.trim_end_matches('/').to_ascii_lowercase()
}

impl fmt::Display for ArchiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveAddress::Directory(path) => path.display().fmt(f),
            ArchiveAddress::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.scheme(), self.bucket)?;
        match self.prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, "/{prefix}"),
        }
    }
}

/// What an address must be.
pub(super) const FORM: &str =
    "file:// and an absolute path, or s3://, gs:// or az:// with a bucket and a path in it";

/// The scheme of a directory.
const DIRECTORY: &str = "file://";

/// What an option of a store is.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// `true` or `false`.
    Flag,
    /// A time. The client gets it in milliseconds.
    Time,
    Endpoint,
}

/// An option of a store that the config may have. What is secret comes from the environment only.
struct StoreOption {
    name: &'static str,
    form: Form,
    /// The stores that know it.
    of: &'static [StoreKind],
}

const fn option(name: &'static str, form: Form, of: &'static [StoreKind]) -> StoreOption {
    StoreOption { name, form, of }
}

const OPTIONS: [StoreOption; 9] = [
    option("account_name", Form::Text, &[StoreKind::Azure]),
    option("allow_http", Form::Flag, &StoreKind::ALL),
    option("connect_timeout", Form::Time, &StoreKind::ALL),
    option("endpoint", Form::Endpoint, &StoreKind::ALL),
    option("region", Form::Text, &[StoreKind::S3]),
    option("service_account", Form::Text, &[StoreKind::Google]),
    option("skip_signature", Form::Flag, &StoreKind::ALL),
    option("timeout", Form::Time, &StoreKind::ALL),
    option("virtual_hosted_style_request", Form::Flag, &[StoreKind::S3]),
];

/// The times that an option may have.
const TIMES: TimeRange = TimeRange::millis(100, 3_600_000);

pub(super) const OPTIONS_RANGE: &str = "account_name, allow_http, connect_timeout, endpoint, region, service_account, \
                                        skip_signature, timeout, virtual_hosted_style_request";

/// Reads an address. The options are as [`checked`] gives them.
pub(super) fn read(text: &str, options: Vec<(String, String)>) -> Result<ArchiveAddress, String> {
    if let Some(path) = text.strip_prefix(DIRECTORY) {
        return match path.starts_with('/') && !path.contains(['%', '?', '#']) {
            true => Ok(ArchiveAddress::Directory(PathBuf::from(path))),
            false => Err(
                "must be file:// and an absolute path, without %, ? and #, such as file:///srv/archive/db1"
                    .into(),
            ),
        };
    }
    for kind in StoreKind::ALL {
        let Some(rest) = text.strip_prefix(kind.scheme()) else {
            continue;
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket(bucket) || !is_prefix(prefix) {
            return Err(format!(
                "must be {0} with a bucket and a path of letters, digits, _, - and ., such as {0}bucket/db1",
                kind.scheme()
            ));
        }
        return Ok(ArchiveAddress::Bucket(BucketAddress {
            kind,
            bucket: bucket.into(),
            prefix: prefix.into(),
            options,
        }));
    }
    Err(format!("must be {FORM}, such as file:///srv/archive/db1"))
}

/// Plain words only: what a store would write in another way, `archive check` could not find again.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.len() <= 255 && text.chars().all(plain) && !matches!(text, "." | "..")
}

fn is_bucket(text: &str) -> bool {
    is_word(text)
}

fn is_prefix(text: &str) -> bool {
    text.is_empty() || text.len() <= 500 && text.split('/').all(is_word)
}

/// The options of a bucket as its client takes them, and what is wrong with them.
pub(super) fn checked(
    bucket: &BucketAddress,
    options: Vec<(String, String)>,
) -> (Vec<(String, String)>, Vec<String>) {
    let (mut fine, mut wrong) = (Vec::new(), Vec::new());
    let is_true = |wanted: &str| {
        let mut options = options.iter();
        options.any(|(name, value)| name == wanted && value == "true")
    };
    let (allows_http, by_host) = (
        is_true("allow_http"),
        is_true("virtual_hosted_style_request"),
    );
    for (name, value) in &options {
        let Some(known) = OPTIONS.iter().find(|option| option.name == name) else {
            wrong.push(format!(
                "{name} is none of {OPTIONS_RANGE}; keys and other secrets come from the environment \
                 (AWS_*, GOOGLE_*, AZURE_*), never from this file"
            ));
            continue;
        };
        if !known.of.contains(&bucket.kind) {
            let of: Vec<&str> = known.of.iter().map(|kind| kind.scheme()).collect();
            let scheme = bucket.kind.scheme();
            wrong.push(format!(
                "{name} is an option of {}, and not of {scheme}",
                of.join(", ")
            ));
            continue;
        }
        let mut value = value.clone();
        match known.form {
            Form::Text => {}
            Form::Flag => {
                if !matches!(value.as_str(), "true" | "false") {
                    wrong.push(format!("{name} must be true or false"));
                }
            }
            Form::Time => match value::seconds(&value).and_then(|time| TIMES.accept(time)) {
                Some(time) => value = format!("{}ms", time.as_millis()),
                None => wrong.push(format!("{name} must be {TIMES}: {}", value::TIME_FORM)),
            },
            Form::Endpoint => {
                wrong.extend(wrong_endpoint(&value, allows_http));
                wrong.extend(wrong_host(&value, &bucket.bucket, by_host));
            }
        }
        fine.push((name.clone(), value));
    }
    (fine, wrong)
}

/// An endpoint stands for all of the host's name.
fn wrong_host(endpoint: &str, bucket: &str, by_host: bool) -> Option<String> {
    let host = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host);
    let has_bucket = host
        .strip_prefix(bucket)
        .is_some_and(|rest| rest.starts_with('.'));
    (by_host && !has_bucket).then(|| {
        format!(
            "endpoint must have the bucket in its host, as {bucket}.host, where virtual_hosted_style_request is true"
        )
    })
}

fn wrong_endpoint(value: &str, allows_http: bool) -> Option<String> {
    let is_http = value.starts_with("http://");
    if !is_http && !value.starts_with("https://") || value.contains(['@', '?', '#']) {
        return Some(
            "endpoint must be http:// or https:// with a host, without a user, ? and #".into(),
        );
    }
    (is_http && !allows_http).then(|| {
        "endpoint is http://: rows and the store's answers would be open to all on the way; \
         allow_http = \"true\" says that this is meant"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(text: &str) -> BucketAddress {
        match read(text, Vec::new()).unwrap() {
            ArchiveAddress::Bucket(bucket) => bucket,
            ArchiveAddress::Directory(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn an_archive_is_a_directory_or_a_place_in_a_bucket() {
        let directory = read("file:///a/b", Vec::new()).unwrap();
        assert_eq!(directory, ArchiveAddress::Directory("/a/b".into()));
        assert_eq!(directory.to_string(), "/a/b");
        let found = bucket("s3://b1/x/db-1/");
        assert_eq!(
            (found.kind, &*found.bucket, &*found.prefix),
            (StoreKind::S3, "b1", "x/db-1")
        );
        assert_eq!(found.to_string(), "s3://b1/x/db-1");
        assert_eq!(bucket("gs://b1").to_string(), "gs://b1");
        assert_eq!(bucket("az://c/p").kind, StoreKind::Azure);
        for bad in ["/a/b", "file://a/b", "file:///a%20b", "http://x", ""] {
            let why = read(bad, Vec::new()).unwrap_err();
            assert!(why.starts_with("must be file://"), "{bad}: {why}");
        }
        for bad in [
            "",
            "/x",
            "b//x",
            "b/../x",
            "b/x?y",
            "user:word@b/x",
            "b/a b",
        ] {
            let why = read(&format!("s3://{bad}"), Vec::new()).unwrap_err();
            assert!(why.starts_with("must be s3://"), "{bad}: {why}");
            assert!(!why.contains("word"), "{why}");
        }
    }

    fn told(address: &str, options: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let owned = options.iter();
        let owned = owned.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        checked(&bucket(address), owned.collect())
    }

    #[test]
    fn options_are_known_and_no_secrets() {
        let wrong = |options: &[(&str, &str)]| told("s3://b", options).1;
        let fine = [("endpoint", "http://127.0.0.1:1"), ("allow_http", "true")];
        assert_eq!(wrong(&fine), [""; 0]);
        assert_eq!(
            wrong(&[("endpoint", "https://h"), ("region", "r")]),
            [""; 0]
        );
        let secret = wrong(&[("secret_access_key", "word")]);
        assert!(secret[0].contains("from the environment"), "{secret:?}");
        assert!(!secret[0].contains("word"), "{secret:?}");
        assert!(wrong(&fine[..1])[0].contains("allow_http"));
        for bad in ["h:1", "https://u:word@h", "https://h?x"] {
            let why = wrong(&[("endpoint", bad)]);
            assert!(why[0].starts_with("endpoint must be") && !why[0].contains("word"));
        }
    }

    #[test]
    fn an_option_that_its_store_does_not_know_or_take_is_refused() {
        for (address, name) in [
            ("s3://b", "account_name"),
            ("s3://b", "service_account"),
            ("gs://b", "region"),
            ("gs://b", "virtual_hosted_style_request"),
            ("az://b", "region"),
            ("az://b", "service_account"),
        ] {
            let why = told(address, &[(name, "true")]).1.concat();
            assert!(why.contains("is an option of"), "{address} {name}: {why}");
        }
        assert_eq!(told("gs://b", &[("endpoint", "https://h")]).1, [""; 0]);
        for (value, taken) in [("60", "60000ms"), ("5 min", "300000ms"), ("0.5", "500ms")] {
            let (options, wrong) = told("az://b", &[("timeout", value)]);
            assert_eq!((&*options[0].1, wrong.len()), (taken, 0), "{value}");
        }
        for value in ["0", "soon", "-1", "2 days"] {
            let why = told("s3://b", &[("connect_timeout", value)]).1.concat();
            assert!(why.starts_with("connect_timeout must be"), "{value}: {why}");
        }
        for value in ["1", "yes", ""] {
            let why = told("s3://b", &[("skip_signature", value)]).1.concat();
            assert!(why.contains("true or false"), "{value}: {why}");
        }
        let host = |endpoint| {
            let by_host = ("virtual_hosted_style_request", "true");
            told("s3://b", &[("endpoint", endpoint), by_host])
                .1
                .concat()
        };
        assert_eq!(host("https://b.h"), "");
        assert!(host("https://h").contains("b.host"));
    }

    #[test]
    fn two_ways_to_one_place_are_one_archive() {
        let with = |address: &str, options: &[(&str, &str)]| {
            read(address, told(address, options).0).unwrap()
        };
        let one = with("s3://b/p", &[("endpoint", "https://h/"), ("timeout", "9")]);
        let same = with("s3://b/p", &[("endpoint", "https://H"), ("region", "x")]);
        assert!(one.is_place_of(&same) && one != same);
        for other in [
            with("s3://b/p", &[("endpoint", "https://i")]),
            with("s3://b/p", &[]),
            with("s3://b/q", &[("endpoint", "https://h")]),
            with("gs://b/p", &[("endpoint", "https://h")]),
            read("file:///a", Vec::new()).unwrap(),
        ] {
            assert!(!one.is_place_of(&other), "{other}");
        }
    }
}
