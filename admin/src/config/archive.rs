//! The keys of a `[[subscriber]]` that is an archive.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::archive_address::{self, ArchiveAddress};
use super::daemon_keys;
use super::document::Section;
use super::key::{FlagKey, NumberKey, Reload, SizeKey, TextKey, TimeKey};
use super::programs;
use super::recipients;
use super::retention::RetentionPolicy;
use super::value::{NumberRange, TimeRange};
use crate::notice::{Command, Letter};

/// A subscriber that keeps the changes themselves, in files.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveConfig {
    /// Name of the `[[subscriber]]`.
    pub name: String,
    /// The archive's consumer on the queue: `JOB/NAME`.
    pub consumer: String,
    /// Where the archive lies (`archive`, `archive_options`).
    pub address: ArchiveAddress,
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
    /// The public keys to whose owners it is sealed (`encrypt_to`); none: it is not.
    pub encrypt_to: Vec<String>,
    /// Time between two verifications that the daemon makes by itself (`verify_every`); zero: it makes none.
    pub verify_every: Duration,
    /// Whether these restore a base, too (`verify_restore`).
    pub verify_restore: bool,
    /// What is run when something happens to it (`hook`).
    pub hook: Option<Command>,
}

/// An archive that batches are read from where the queue has given them away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSource {
    /// What messages call it: the name of the `[[subscriber]]`, or the address.
    pub name: String,
    /// Where it lies.
    pub address: ArchiveAddress,
    /// The file with the identities that open it (`archive_identity`); none: it is read if it is not sealed.
    pub identity: Option<PathBuf>,
}

pub(super) const ARCHIVE: TextKey = TextKey {
    name: "archive",
    form: archive_address::FORM,
    default: "none",
    range: "",
    reload: Reload::Taken,
};
pub(super) const ARCHIVE_OPTIONS: TextKey = TextKey {
    name: "archive_options",
    form: "table of texts",
    default: "none",
    range: archive_address::OPTIONS_RANGE,
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

pub(super) const ENCRYPT_TO: TextKey = TextKey {
    name: "encrypt_to",
    form: recipients::FORM,
    default: "none: nothing is encrypted",
    range: "at most 16",
    reload: Reload::Taken,
};

pub(super) const VERIFY_EVERY: TimeKey = TimeKey {
    name: "verify_every",
    default: Duration::ZERO,
    range: TimeRange::millis(0, 366 * 86_400_000),
    reload: Reload::Taken,
};
pub(super) const VERIFY_RESTORE: FlagKey = FlagKey {
    name: "verify_restore",
    default: true,
    reload: Reload::Taken,
};
pub(super) const HOOK: TextKey = TextKey {
    name: "hook",
    form: "command",
    default: "none",
    range: "%e %s %t %d %q %u %b %k %%",
    reload: Reload::Taken,
};

pub(super) const ARCHIVE_IDENTITY: TextKey = TextKey {
    name: "archive_identity",
    form: "path",
    default: "none",
    range: daemon_keys::PATH_RANGE,
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
pub(super) fn sources(
    section: &Section<'_>,
    archives: &[ArchiveConfig],
    identity: Option<&Path>,
) -> Vec<ArchiveSource> {
    const KEY: &str = ARCHIVE_SOURCES.name;
    let mut sources: Vec<ArchiveSource> = Vec::new();
    // A key that is not given names none. A wrong list is reported, and nothing is done.
    for text in section.texts(KEY).unwrap_or_default() {
        let name = text.value;
        let own = archives.iter().find(|one| one.name == name);
        let address = match own {
            Some(own) => own.address.clone(),
            None if name.contains("://") => match archive_address::read(&name, Vec::new()) {
                Ok(address) => address,
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
        if sources.iter().any(|one| one.address.is_place_of(&address)) {
            section.problem(KEY, &format!("has {name} twice"));
        }
        sources.push(ArchiveSource {
            name,
            address,
            identity: identity.map(Path::to_owned),
        });
    }
    sources
}

/// The keys that say something of an archive only.
pub(super) const TUNING: [&str; 12] = [
    ARCHIVE_OPTIONS.name,
    SEGMENT_EVERY.name,
    SEGMENT_SIZE.name,
    BASE_FROM.name,
    BASE_EVERY.name,
    BASE_RATE.name,
    RETENTION.name,
    MINIMUM_REDUNDANCY.name,
    ENCRYPT_TO.name,
    VERIFY_EVERY.name,
    VERIFY_RESTORE.name,
    HOOK.name,
];

/// Reads the keys of an archive; name and consumer are left empty.
pub(super) fn read(section: &Section<'_>) -> Option<ArchiveConfig> {
    let text = section.text(ARCHIVE.name)?.value;
    let address = match archive_address::read(&text, Vec::new()) {
        Ok(address) => with_options(section, address),
        Err(why) => {
            section.problem(ARCHIVE.name, &why);
            return None;
        }
    };
    if section.has(ARCHIVE_OPTIONS.name) && matches!(address, ArchiveAddress::Directory(_)) {
        let why = "is for an archive in an object store, and this one is a directory";
        section.problem(ARCHIVE_OPTIONS.name, why);
    }
    Some(ArchiveConfig {
        name: String::new(),
        consumer: String::new(),
        address,
        segment_every: section.time(&SEGMENT_EVERY),
        segment_size: section.size(&SEGMENT_SIZE),
        base_from: section.text(BASE_FROM.name).map(|text| text.value),
        base_every: section.time(&BASE_EVERY),
        base_rate: section.size(&BASE_RATE),
        retention: retention(section),
        minimum_redundancy: section.number(&MINIMUM_REDUNDANCY),
        encrypt_to: recipients::read(section, ENCRYPT_TO.name),
        verify_every: section.time(&VERIFY_EVERY),
        verify_restore: section.flag(&VERIFY_RESTORE),
        hook: programs::command(section, HOOK.name, Letter::OF_ARCHIVES),
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

/// The address with the options of its object store; what is wrong with one is told.
fn with_options(section: &Section<'_>, address: ArchiveAddress) -> ArchiveAddress {
    let ArchiveAddress::Bucket(mut bucket) = address else {
        return address;
    };
    // A key that is not given leaves the store as it is. A wrong one is reported, and nothing is done.
    let mut options = section.pairs(ARCHIVE_OPTIONS.name).unwrap_or_default();
    options.sort();
    let (options, wrong) = archive_address::checked(&bucket, options);
    for why in wrong {
        section.problem(ARCHIVE_OPTIONS.name, &why);
    }
    bucket.options = options;
    ArchiveAddress::Bucket(bucket)
}
