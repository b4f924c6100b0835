//! The file of `compare --resume`: what is compared already. A comparison that was ended by anything goes on where the
//! file says.
//!
//! Each line is one record, appended when it is true. A kill can leave a last line that is cut off: it counts as not
//! written. So a table, or the part of it up to a key, is in the file only once it was compared. Another process cannot
//! write the file meanwhile: it is locked.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use admin::exit::{Exit, Failure};
use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::compare::{Difference, Kind, Report};

/// The form of the file.
const FORM: u32 = 2;

/// Time between two records of one table.
const PERIOD: Duration = Duration::from_secs(1);

/// What was compared longer ago says nothing of today: the table is compared anew.
const OLDEST: SignedDuration = SignedDuration::from_hours(24);

/// A table of a subscriber, by the subscriber's consumer and the table's name.
type Of = (String, String);

/// One line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// What is compared, as a digest of all that says so.
    Begin { form: u32, digest: String },
    /// A table is compared up to a key, or all of it.
    Table(Box<Stand>),
}

/// How far a table is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stand {
    of: Of,
    /// What the table and the way of comparing it were, as a digest.
    identity: String,
    /// The last key of the stretches that are compared; None: the whole table is.
    upto: Option<String>,
    rows: u64,
    in_motion: u64,
    is_cut: bool,
    /// Rows that differ are more than those of the lines before; else those do not count any more.
    also: bool,
    differing: Vec<Row>,
    at: String,
    seconds: f64,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    key: String,
    kind: Word,
    columns: Vec<String>,
    count: u64,
}

/// A [`Kind`] as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Missing,
    Extra,
    Changed,
}

impl Row {
    fn of(one: &Difference) -> Row {
        Row {
            key: one.key.clone(),
            kind: match one.kind {
                Kind::Missing => Word::Missing,
                Kind::Extra => Word::Extra,
                Kind::Changed => Word::Changed,
            },
            columns: one.columns.clone(),
            count: one.count,
        }
    }

    fn difference(&self) -> Difference {
        Difference {
            key: self.key.clone(),
            kind: match self.kind {
                Word::Missing => Kind::Missing,
                Word::Extra => Kind::Extra,
                Word::Changed => Kind::Changed,
            },
            columns: self.columns.clone(),
            count: self.count,
        }
    }
}

/// What was compared before.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    /// What was found out.
    pub(super) report: Report,
    /// The table is done.
    pub(super) is_done: bool,
    /// When that was.
    pub(super) at: String,
    /// How long it took.
    pub(super) seconds: f64,
}

/// The open file.
#[derive(Debug)]
pub(in crate::command) struct Journal {
    path: PathBuf,
    file: File,
    known: HashMap<Of, Stand>,
    /// The table that is written about, with the last key, the number of its rows that are written, and when.
    now: Option<(Of, Option<String>, usize, Instant)>,
    /// Why a line could not be written.
    failed: Option<io::Error>,
}

impl Journal {
    /// Opens or makes the file of a comparison of this digest.
    ///
    /// # Errors
    /// [`Exit::Usage`]: it is of another comparison, or no such file; [`Exit::Running`]: a comparison is using it;
    /// [`Exit::Failed`]: it cannot be read or written.
    pub(super) fn open(path: &Path, digest: &str) -> Result<Journal, Failure> {
        let name = path.display();
        let failed = || format!("could not use the file {name} of --resume");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Keys of rows are in it.
            .mode(0o600)
            .open(path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("another comparison is using {name}");
                return Err(Failure::message(Exit::Running, text));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed)?,
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(failed)?;
        let (known, whole) = read(&bytes, digest).map_err(|why| {
            Failure::message(Exit::Usage, format!("--resume {name}: {why}"))
                .with_hint("name another file, or remove this one to compare all again")
        })?;
        // What a kill has cut off.
        file.set_len(whole as u64).with_context(failed)?;
        file.seek(io::SeekFrom::End(0)).with_context(failed)?;
        let mut journal = Journal {
            path: path.to_owned(),
            file,
            known,
            now: None,
            failed: None,
        };
        if whole == 0 {
            journal.write(&Line::Begin {
                form: FORM,
                digest: digest.to_owned(),
            });
            journal.check()?;
        }
        Ok(journal)
    }

    /// What was compared before of a table that is what it was then; None: nothing.
    pub(super) fn earlier(&self, of: &Of, identity: &str) -> Option<Earlier> {
        let stand = self
            .known
            .get(of)
            .filter(|stand| stand.identity == identity && !is_old(&stand.at, Timestamp::now()))?;
        Some(Earlier {
            report: Report {
                rows: stand.rows,
                differences: stand.differing.iter().map(Row::difference).collect(),
                in_motion: stand.in_motion,
                is_cut: stand.is_cut,
                upto: stand.upto.clone(),
                ..Report::default()
            },
            is_done: stand.upto.is_none(),
            at: stand.at.clone(),
            seconds: stand.seconds,
        })
    }

    /// Notes how far a table is, now and then: where its stretches have come to another key at this moment.
    pub(super) fn note(&mut self, of: &Of, identity: &str, report: &Report, seconds: f64) {
        if report.upto.is_none() || report.is_cut {
            return;
        }
        let is_new = match &mut self.now {
            Some((now, upto, _, at)) if now == of => {
                // The number of rows is that of the key only while the key is new.
                let moved = *upto != report.upto;
                upto.clone_from(&report.upto);
                moved && at.elapsed() >= PERIOD
            }
            Some(_) | None => {
                let known = self
                    .known
                    .get(of)
                    .filter(|stand| stand.identity == identity);
                known.is_none_or(|stand| stand.upto != report.upto)
            }
        };
        if is_new {
            self.put(of, identity, report, report.upto.clone(), seconds);
        }
    }

    /// Notes that a table is done.
    pub(super) fn done(&mut self, of: &Of, identity: &str, report: &Report, seconds: f64) {
        self.put(of, identity, report, None, seconds);
    }

    fn put(
        &mut self,
        of: &Of,
        identity: &str,
        report: &Report,
        upto: Option<String>,
        seconds: f64,
    ) {
        let written = match &self.now {
            Some((now, _, written, _)) if now == of => Some(*written),
            Some(_) | None => None,
        };
        let differing = report.differences.iter().skip(written.unwrap_or_default());
        self.write(&Line::Table(Box::new(Stand {
            of: of.clone(),
            identity: identity.to_owned(),
            upto: upto.clone(),
            rows: report.rows,
            in_motion: report.in_motion,
            is_cut: report.is_cut,
            also: written.is_some(),
            differing: differing.map(Row::of).collect(),
            at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seconds,
        })));
        self.now = Some((of.clone(), upto, report.differences.len(), Instant::now()));
    }

    /// Appends a line. After one that could not be written there is none: what it says would be taken for a part of it.
    fn write(&mut self, line: &Line) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_string(line)
            .map_err(io::Error::other)
            .and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        self.failed = written.err();
    }

    /// Whether all could be written.
    ///
    /// # Errors
    /// [`Exit::Failed`]: it could not.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.failed.take() {
            None => Ok(()),
            Some(error) => {
                let name = self.path.display();
                let text = format!("could not write the file {name} of --resume: {error}");
                Err(Failure::message(Exit::Failed, text))
            }
        }
    }

    /// All is compared, and the next comparison begins anew.
    ///
    /// # Errors
    /// [`Exit::Failed`]: the file cannot be removed.
    pub(super) fn end(self) -> Result<(), Failure> {
        let name = self.path.display();
        std::fs::remove_file(&self.path)
            .with_context(|| format!("could not remove the file {name} of --resume"))?;
        Ok(())
    }
}

/// Whether a stand of this time does not count any more; one of a time that cannot be read does not. Pure.
fn is_old(at: &str, now: Timestamp) -> bool {
    at.parse::<Timestamp>()
        .map_or(true, |at| now.duration_since(at) > OLDEST)
}

/// What the lines of a file say of a comparison of this digest, and how many bytes whole lines have. Pure.
fn read(bytes: &[u8], digest: &str) -> Result<(HashMap<Of, Stand>, usize), String> {
    let whole = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut known: HashMap<Of, Stand> = HashMap::new();
    let lines = bytes
        .get(..whole)
        .unwrap_or_default()
        .split(|&byte| byte == b'\n');
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| format!("line {} cannot be read: {error}", number + 1))?;
        match line {
            Line::Begin { form, .. } if form != FORM => {
                return Err(format!(
                    "it is of form {form}, which another version of replay writes"
                ));
            }
            Line::Begin { digest: other, .. } if number == 0 && other != digest => {
                return Err(
                    "it is of a comparison with another job, provider, tables or options".into(),
                );
            }
            Line::Begin { .. } if number == 0 => {}
            Line::Table(mut stand) if number > 0 => {
                let before = known.remove(&stand.of).filter(|_| stand.also);
                if let Some(before) = before {
                    stand.differing.splice(0..0, before.differing);
                }
                known.insert(stand.of.clone(), *stand);
            }
            Line::Begin { .. } | Line::Table(_) => {
                return Err(format!("line {} is not in its place", number + 1));
            }
        }
    }
    // Of the first line, too, a kill may have left a part, however short.
    let first: &[u8] = b"{\"begin\":";
    if whole == 0 && !bytes.starts_with(first) && !first.starts_with(bytes) {
        return Err("it is no file of a comparison".into());
    }
    Ok((known, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(upto: Option<&str>, keys: &[&str]) -> Report {
        let difference = |key: &&str| Difference {
            key: (*key).to_owned(),
            kind: Kind::Changed,
            columns: vec!["v".into()],
            count: 1,
        };
        Report {
            rows: 10,
            differences: keys.iter().map(difference).collect(),
            upto: upto.map(str::to_owned),
            ..Report::default()
        }
    }

    fn of(table: &str) -> Of {
        ("job".into(), table.into())
    }

    #[test]
    fn what_was_written_before_a_kill_is_known_after_it_and_a_line_that_was_cut_off_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        let mut journal = Journal::open(&path, "d").unwrap();
        assert_eq!(Journal::open(&path, "d").unwrap_err().exit, Exit::Running);
        journal.note(&of("a"), "i", &report(Some("(1)"), &["(1)"]), 1.0);
        // The second is too soon after the first one.
        journal.note(&of("a"), "i", &report(Some("(2)"), &["(1)", "(2)"]), 1.0);
        journal.done(&of("b"), "i", &report(None, &["(7)"]), 1.0);
        journal.note(&of("c"), "i", &report(Some("(1)"), &["(1)"]), 1.0);
        journal.done(&of("c"), "i", &report(Some("(3)"), &["(1)", "(2)"]), 2.0);
        journal.check().unwrap();
        drop(journal);

        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1, 5] {
            let bytes = [&whole[..], &b"{\"table\":{\"of\":[\"job\",\"d\"]"[..cut]].concat();
            std::fs::write(&path, bytes).unwrap();
            let journal = Journal::open(&path, "d").unwrap();
            let a = journal.earlier(&of("a"), "i").unwrap();
            assert_eq!((a.is_done, a.report.upto.as_deref()), (false, Some("(1)")));
            assert_eq!(a.report.differences, report(None, &["(1)"]).differences);
            let c = journal.earlier(&of("c"), "i").unwrap();
            assert_eq!((c.is_done, c.seconds), (true, 2.0));
            assert_eq!(
                c.report.differences,
                report(None, &["(1)", "(2)"]).differences
            );
            assert!(journal.earlier(&of("b"), "i").unwrap().is_done);
            // The table is another one by now, or was never compared.
            assert!(journal.earlier(&of("b"), "j").is_none());
            assert!(journal.earlier(&of("d"), "i").is_none());
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }

        // Cut off within any line, it never knows more than was whole.
        for length in 1..whole.len() {
            let (known, bytes) = read(&whole[..length], "d").unwrap();
            assert!(bytes <= length && known.len() <= 3);
            assert!(
                known
                    .values()
                    .all(|stand| stand.upto.is_some() || bytes > 0)
            );
        }
        Journal::open(&path, "d").unwrap().end().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_was_compared_more_than_a_day_ago_does_not_count() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        for (at, old) in [
            ("2026-11-30T11:00:00Z", false),
            ("2026-11-29T12:00:01Z", false),
            ("2026-11-29T11:59:59Z", true),
            ("no time", true),
        ] {
            assert_eq!(is_old(at, now), old, "{at}");
        }
    }

    #[test]
    fn a_file_of_another_comparison_or_of_something_else_is_refused_and_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        drop(Journal::open(&path, "d").unwrap());
        let refused = Journal::open(&path, "other").unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(
            refused.to_text().contains("another job"),
            "{}",
            refused.to_text()
        );
        for text in [
            "my notes",
            "my\nnotes\n",
            "{\"begin\":{\"form\":9,\"digest\":\"d\"}}\n",
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                Journal::open(&path, "d").unwrap_err().exit,
                Exit::Usage,
                "{text}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_line_of_a_later_run_takes_the_place_of_those_of_an_earlier_one() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        for (upto, keys) in [("(1)", &["(1)"][..]), ("(5)", &["(1)", "(4)"])] {
            let mut journal = Journal::open(&path, "d").unwrap();
            journal.note(&of("a"), "i", &report(Some(upto), keys), 1.0);
            journal.check().unwrap();
        }
        let a = Journal::open(&path, "d")
            .unwrap()
            .earlier(&of("a"), "i")
            .unwrap();
        assert_eq!(a.report.upto.as_deref(), Some("(5)"));
        assert_eq!(
            a.report.differences,
            report(None, &["(1)", "(4)"]).differences
        );
    }
}
