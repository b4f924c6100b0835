//! Where an archive lies: `file:///srv/archive/db1`, or `s3://bucket/db1` with its options. Pure.

use std::fmt;
use std::path::PathBuf;

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
    /// `archive_options`, by their names. None of them is a secret.
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

/// The options of a store that the config may have. What is secret comes from the environment only.
const OPTIONS: [&str; 9] = [
    "account_name",
    "allow_http",
    "connect_timeout",
    "endpoint",
    "region",
    "service_account",
    "skip_signature",
    "timeout",
    "virtual_hosted_style_request",
];

pub(super) const OPTIONS_RANGE: &str = "account_name, allow_http, connect_timeout, endpoint, region, service_account, \
                                        skip_signature, timeout, virtual_hosted_style_request";

/// Reads an address.
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

/// What is wrong with the options.
pub(super) fn wrong_options(options: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let allows_http = options
        .iter()
        .any(|(name, value)| name == "allow_http" && value == "true");
    for (name, value) in options {
        if !OPTIONS.contains(&name.as_str()) {
            wrong.push(format!(
                "{name} is none of {OPTIONS_RANGE}; keys and other secrets come from the environment \
                 (AWS_*, GOOGLE_*, AZURE_*), never from this file"
            ));
        } else if name == "endpoint" {
            wrong.extend(wrong_endpoint(value, allows_http));
        }
    }
    wrong
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

    #[test]
    fn options_are_known_and_no_secrets() {
        let wrong = |options: &[(&str, &str)]| {
            let owned: Vec<(String, String)> = options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            wrong_options(&owned)
        };
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
}
