//! The keys of a `[[subscriber]]` that is an archive.

use std::path::PathBuf;
use std::time::Duration;

use super::document::Section;
use super::key::{NumberKey, Reload, SizeKey, TextKey, TimeKey};
use super::retention::RetentionPolicy;
use super::value::{NumberRange, TimeRange};

/// A subscriber that keeps the changes themselves, in files.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveConfig {
    /// Name of the `[[subscriber]]`.
    pub name: String,
    /// The archive's consumer on the queue: `JOB/NAME`.
    pub consumer: String,
    /// The directory of the archive (`archive`).
    pub directory: PathBuf,
    /// The longest time that changes wait in memory before they are published (`segment_every`).
    pub segment_every: Duration,
    /// Compressed bytes from which changes are published before that time (`segment_size`).
    pub segment_size: u64,
    /// Where the rows of bases are read (`base_from`): `provider`, `subscriber` for `subscriber_db`, or the name of a
    /// subscriber that is a database; None: off a database that has copies of all tables, else off the provider.
    pub base_from: Option<String>,
    /// Time between two bases that the daemon makes by itself (`base_every`); zero: it makes none.
    pub base_every: Duration,
    /// Bytes of rows that a base reads in a second (`base_rate`); 0: no limit.
    pub base_rate: u64,
    /// What is kept (`retention`).
    pub retention: RetentionPolicy,
    /// How many bases are kept whatever `retention` says (`minimum_redundancy`).
    pub minimum_redundancy: u64,
}

/// An archive that batches are read from where the queue has given them away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSource {
    /// What messages call it: the name of the `[[subscriber]]`, or the address.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
}

/// The scheme of the one kind of archive that there is.
const SCHEME: &str = "file://";

/// Object stores, by their schemes, so that the error can say that they are known and not built.
const STORES: [&str; 3] = ["s3://", "gs://", "az://"];

pub(super) const ARCHIVE: TextKey = TextKey {
    name: "archive",
    form: "file:// and an absolute path",
    default: "none",
    range: "",
    reload: Reload::Taken,
};
pub(super) const SEGMENT_EVERY: TimeKey = TimeKey {
    name: "segment_every",
    default: Duration::from_secs(10),
    range: TimeRange::millis(100, 3_600_000),
    reload: Reload::Taken,
};
pub(super) const SEGMENT_SIZE: SizeKey = SizeKey {
    name: "segment_size",
    default: 16 << 20,
    range: NumberRange {
        least: 64 << 10,
        most: 1 << 30,
    },
    reload: Reload::Taken,
};

pub(super) const BASE_FROM: TextKey = TextKey {
    name: "base_from",
    form: "provider, or the name of a subscriber with db",
    default: "a subscriber that follows closely and has all tables, else provider",
    range: "",
    reload: Reload::Taken,
};
pub(super) const BASE_EVERY: TimeKey = TimeKey {
    name: "base_every",
    default: Duration::ZERO,
    range: TimeRange::millis(0, 366 * 86_400_000),
    reload: Reload::Taken,
};
pub(super) const BASE_RATE: SizeKey = SizeKey {
    name: "base_rate",
    default: 0,
    range: NumberRange {
        least: 0,
        most: 1 << 40,
    },
    reload: Reload::Taken,
};
pub(super) const RETENTION: TextKey = TextKey {
    name: "retention",
    form: "RECOVERY WINDOW OF n DAYS, WEEKS or MONTHS, or REDUNDANCY n",
    default: "none: everything is kept",
    range: "n from 1 to 9999",
    reload: Reload::Taken,
};
pub(super) const MINIMUM_REDUNDANCY: NumberKey = NumberKey {
    name: "minimum_redundancy",
    default: 2,
    range: NumberRange { least: 1, most: 99 },
    reload: Reload::Taken,
};

pub(super) const ARCHIVE_SOURCES: TextKey = TextKey {
    name: "archive_sources",
    form: "list of archives' names or addresses",
    default: "none",
    range: "",
    reload: Reload::Taken,
};

/// Reads the archives that batches are read from: names of the file's own, or addresses.
pub(super) fn sources(section: &Section<'_>, archives: &[ArchiveConfig]) -> Vec<ArchiveSource> {
    const KEY: &str = ARCHIVE_SOURCES.name;
    let mut sources: Vec<ArchiveSource> = Vec::new();
    for text in section.texts(KEY).unwrap_or_default() {
        let name = text.value;
        let own = archives.iter().find(|one| one.name == name);
        let directory = match own {
            Some(own) => own.directory.clone(),
            None if name.contains("://") => match directory(&name) {
                Ok(directory) => directory,
                Err(why) => {
                    section.problem(KEY, &why);
                    continue;
                }
            },
            None => {
                let why = format!("{name} is neither an archive of this file nor an address");
                section.problem(KEY, &why);
                continue;
            }
        };
        if sources.iter().any(|one| one.directory == directory) {
            section.problem(KEY, &format!("has {name} twice"));
        }
        sources.push(ArchiveSource { name, directory });
    }
    sources
}

/// The keys that say something of an archive only.
pub(super) const TUNING: [&str; 7] = [
    SEGMENT_EVERY.name,
    SEGMENT_SIZE.name,
    BASE_FROM.name,
    BASE_EVERY.name,
    BASE_RATE.name,
    RETENTION.name,
    MINIMUM_REDUNDANCY.name,
];

/// Reads the keys of an archive; name and consumer are left empty.
pub(super) fn read(section: &Section<'_>) -> Option<ArchiveConfig> {
    let text = section.text(ARCHIVE.name)?.value;
    let directory = match directory(&text) {
        Ok(directory) => directory,
        Err(why) => {
            section.problem(ARCHIVE.name, &why);
            return None;
        }
    };
    Some(ArchiveConfig {
        name: String::new(),
        consumer: String::new(),
        directory,
        segment_every: section.time(&SEGMENT_EVERY),
        segment_size: section.size(&SEGMENT_SIZE),
        base_from: section.text(BASE_FROM.name).map(|text| text.value),
        base_every: section.time(&BASE_EVERY),
        base_rate: section.size(&BASE_RATE),
        retention: retention(section),
        minimum_redundancy: section.number(&MINIMUM_REDUNDANCY),
    })
}

fn retention(section: &Section<'_>) -> RetentionPolicy {
    let Some(text) = section.text(RETENTION.name) else {
        return RetentionPolicy::Everything;
    };
    text.value.parse().unwrap_or_else(|why: String| {
        section.problem(RETENTION.name, &why);
        RetentionPolicy::Everything
    })
}

/// The directory that an archive's address names.
fn directory(text: &str) -> Result<PathBuf, String> {
    if let Some(store) = STORES.iter().find(|store| text.starts_with(**store)) {
        return Err(format!(
            "{store}... is an object store, which this version cannot write to: a directory only \
             ({})",
            ARCHIVE.form
        ));
    }
    match text.strip_prefix(SCHEME) {
        Some(path) if path.starts_with('/') && !path.contains(['%', '?', '#']) => {
            Ok(PathBuf::from(path))
        }
        Some(_) | None => Err(format!(
            "must be {}, without %, ? and #, such as file:///srv/archive/db1",
            ARCHIVE.form
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_a_directory_and_what_is_not_built_says_so() {
        assert_eq!(directory("file:///a/b").unwrap(), PathBuf::from("/a/b"));
        for bad in ["/a/b", "file://a/b", "file:///a%20b", "http://x", ""] {
            assert!(
                directory(bad).unwrap_err().starts_with("must be file://"),
                "{bad}"
            );
        }
        for store in STORES {
            let why = directory(&format!("{store}bucket/db1")).unwrap_err();
            assert!(why.contains("cannot write to"), "{why}");
        }
    }
}
