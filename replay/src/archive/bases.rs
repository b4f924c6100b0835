//! The bases of an archive, as its files tell.

use std::io;

use super::{
    detail,
    hashed::{Hashed, Seen},
    store::{Store, is_away},
};
use crate::frames::manifest::{DETAIL, FILE, LONGEST, Manifest, Name};

/// The directory of the bases.
const BASES: &str = "bases";

/// A base, or what is left of one.
#[derive(Debug)]
pub(crate) struct Base {
    /// Its name.
    pub name: Name,
    /// How it is.
    pub state: State,
    /// When it was last restored for a proof, as in the name of the object that says so; None: never.
    pub verified: Option<String>,
}

/// How a base is.
#[derive(Debug)]
pub(crate) enum State {
    /// It has its manifest, so all of it was written.
    Made(Box<Manifest>),
    /// It has none: it is being made, or who made it was killed. It counts for nothing.
    Unfinished,
    /// It has one that is not as it was written.
    Damaged(String),
}

/// The bases of an archive.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    /// The oldest comes first.
    pub bases: Vec<Base>,
    /// Paths of what is no base, and does not belong there.
    pub strangers: Vec<String>,
}

impl Bases {
    /// Reads the manifests of all bases of an archive.
    pub(crate) fn read(store: &Store, archive: &str) -> io::Result<Bases> {
        let mut found = Bases::default();
        for directory in store.list(BASES)? {
            match Name::try_from(directory.clone()) {
                Ok(name) => {
                    let state = state(store, archive, &name)?;
                    let verified = verified(store, &name)?;
                    found.bases.push(Base {
                        name,
                        state,
                        verified,
                    });
                }
                Err(_) => found.strangers.push(format!("{BASES}/{directory}")),
            }
        }
        found.bases.sort_by_cached_key(|base| age(&base.name));
        Ok(found)
    }

    /// The bases that are whole as far as their manifests say, the oldest first.
    pub(crate) fn made(&self) -> impl DoubleEndedIterator<Item = &Manifest> {
        self.bases.iter().filter_map(|base| match &base.state {
            State::Made(manifest) => Some(&**manifest),
            State::Unfinished | State::Damaged(_) => None,
        })
    }

    /// What is wrong: path and fault.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (String, String)> {
        let strangers = self.strangers.iter();
        let strangers = strangers.map(|path| (path.clone(), "it is no base".to_owned()));
        let damaged = self.bases.iter().filter_map(|base| match &base.state {
            State::Damaged(why) => Some((base.name.path(FILE), why.clone())),
            State::Made(_) | State::Unfinished => None,
        });
        strangers.chain(damaged)
    }
}

/// What orders bases by age: when they were begun, and of those of one second the tick, whose text may be the lesser
/// where the number is greater.
fn age(name: &Name) -> (String, Option<i64>) {
    let name = name.to_string();
    let mut words = name.split('-');
    let time = words.next().unwrap_or_default().to_owned();
    (time, words.next().and_then(|tick| tick.parse().ok()))
}

/// What the name of an object begins with that says that a base was restored for a proof.
const VERIFIED: &str = "verified-";

/// The path of the object that says that a base was restored at a time, `20261128T020711Z`.
pub(crate) fn verified_path(name: &Name, time: &str) -> String {
    name.path(&format!("{VERIFIED}{time}"))
}

fn verified(store: &Store, name: &Name) -> io::Result<Option<String>> {
    let objects = match store.list(&name.directory()) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        objects => objects?,
    };
    let times = objects.iter().filter_map(|one| one.strip_prefix(VERIFIED));
    Ok(times.max().map(str::to_owned))
}

fn state(store: &Store, archive: &str, name: &Name) -> io::Result<State> {
    let path = name.path(FILE);
    let size = match store.size(&path) {
        Ok(size) => size,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Unfinished),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(State::Damaged("the base is no directory".into()));
        }
        Err(error) => return Err(error),
    };
    if size > LONGEST {
        return Ok(State::Damaged(format!("it has {size} bytes")));
    }
    let Some(bytes) = store.read(&path)? else {
        return Ok(State::Unfinished);
    };
    Ok(match Manifest::read(&bytes) {
        Err(bad) => State::Damaged(bad.to_string()),
        Ok(manifest) if manifest.archive != archive => {
            State::Damaged(format!("it is of another archive, {}", manifest.archive))
        }
        Ok(manifest) if manifest.base != *name => {
            State::Damaged(format!("it is that of {}", manifest.base))
        }
        Ok(manifest) => State::Made(Box::new(manifest)),
    })
}

/// Removes what is left of bases that nobody has finished. Whoever calls has the lock of the archive's bases,
/// so nobody makes one.
pub(crate) fn sweep(store: &Store, archive: &str) -> io::Result<()> {
    for base in Bases::read(store, archive)?.bases {
        match base.state {
            State::Unfinished => store.remove_all(&base.name.directory())?,
            State::Made(_) | State::Damaged(_) => {}
        }
    }
    Ok(())
}

/// What is wrong with the files of a base, by path: what sizes and hashes tell, and that no identity that was given
/// opens it.
pub(crate) fn damage(store: &Store, manifest: &Manifest) -> io::Result<Vec<(String, String)>> {
    let mut faults = Vec::new();
    for object in manifest.objects() {
        let path = manifest.base.path(&object.path);
        match hash(store, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                faults.push((path, "it is missing".into()));
            }
            Err(error) if is_away(&error) => return Err(error),
            Err(error) => faults.push((path, format!("it cannot be read: {error}"))),
            Ok(seen) if seen.bytes != object.bytes => {
                let why = format!("it has {} bytes in place of {}", seen.bytes, object.bytes);
                faults.push((path, why));
            }
            Ok(seen) if seen.sha != object.sha => {
                let why = "it is not what was written: its hash is another one";
                faults.push((path, why.into()));
            }
            Ok(_) => {}
        }
    }
    // Who gives identities wants to know what none of them opens: a hash says nothing of that.
    if faults.is_empty() && !manifest.sealed.is_empty() && !store.identities().are_none() {
        match detail::whole(store, manifest) {
            Ok(_) => {}
            Err(detail::Unreadable::Io(error)) if is_away(&error) => return Err(error),
            Err(error) => faults.push((manifest.base.path(DETAIL), error.to_string())),
        }
    }
    // A base that expires while it is read loses its manifest first. Nobody misses what is left of it.
    if !faults.is_empty() && !store.has(&manifest.base.path(FILE))? {
        faults.clear();
    }
    Ok(faults)
}

/// Size and hash of a file.
fn hash(store: &Store, path: &str) -> io::Result<Seen> {
    let mut file = Hashed::new(store.open_object(path)?);
    io::copy(&mut file, &mut io::sink())?;
    Ok(file.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_of_one_second_are_in_the_order_of_their_ticks() {
        let age = |name: &str| age(&Name::try_from(name.to_owned()).unwrap());
        assert!(age("20261128T020711Z-9-p") < age("20261128T020711Z-13-p"));
        assert!(age("20261128T020711Z-13-p") < age("20261128T020712Z-9-p"));
    }

    #[test]
    fn a_base_that_expires_while_it_is_read_is_not_damaged() {
        let made = crate::archive::tests::Made::new();
        let (store, manifest) = (made.store(), crate::frames::manifest::sample());
        let path = manifest.base.path(FILE);
        store.create(&path, &[b"x"]).unwrap();
        assert!(!damage(&store, &manifest).unwrap().is_empty());
        store.remove(&path).unwrap();
        assert_eq!(damage(&store, &manifest).unwrap(), []);
    }
}
