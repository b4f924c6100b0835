//! Which rows of a table differ: candidates are found by stretches or groups, and then looked at.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::RngExt as _;
use sql::{connect::Session, event::shape::Shape, provider, subscriber::position::Position};

use super::{
    comparison::{Comparison, STRETCH},
    groups::{per_million, rows, sets, swapped},
    judge::{self, Kind, Look, Memory, ROUNDS, Verdict},
    report::{Difference, Report, Sum},
    since::Hearer,
    statements::{Groups, Range, Sample, Side, fields, has_null, record},
    stop::Stop,
    sums::Counts,
};

/// Keys that are looked at with one question.
const LOOKED_AT: usize = 500;

/// Time after which candidates are looked at, however few they are: only behind them can a comparison go on that has
/// ended.
const SETTLED: Duration = Duration::from_secs(3);

/// Keys whose rows are listed with one question.
const LISTED_AT_ONCE: usize = 2_000;

/// Candidates that are gathered before they are looked at.
const GATHERED: usize = 4 * LOOKED_AT;

/// Compares a table; `report` says at each moment what is known, and `tell` is called whenever it has changed.
pub(crate) async fn run(
    comparison: &Comparison<'_>,
    report: &mut Report,
    tell: &mut (dyn FnMut(&Report) + Send),
) -> Result<(), Stop> {
    let mut found = Found::of(comparison, report, tell).await?;
    found.all().await
}

/// Compares the rows that were changed after a place, over a session to the provider for the changes alone. Where these
/// may be all rows, the report says so, and the table is compared as a whole.
pub(crate) async fn run_since(
    comparison: &Comparison<'_>,
    from: Position,
    session: Session,
    report: &mut Report,
    tell: &mut (dyn FnMut(&Report) + Send),
) -> Result<(), Stop> {
    let mut found = Found::of(comparison, report, tell).await?;
    let mut changes = comparison.changes(session, from).await?;
    let all = changes.tell(&mut found).await?;
    found.settle().await?;
    if let (Some(why), false) = (all, found.report.is_cut) {
        found.report.is_whole = Some(why);
        found.report.rows = 0;
        return found.all().await;
    }
    (found.tell)(found.report);
    Ok(())
}

/// Looks at the rows of some keys alone.
pub(crate) async fn run_again(
    comparison: &Comparison<'_>,
    keys: Vec<String>,
) -> Result<Report, Stop> {
    let mut report = Report::default();
    let mut found = Found {
        comparison,
        candidates: keys,
        known: HashSet::new(),
        settled: None,
        report: &mut report,
        tell: &mut |_| {},
    };
    found.settle().await?;
    Ok(report)
}

impl Hearer for Found<'_, '_> {
    async fn hear(&mut self, keys: Vec<String>) -> Result<bool, Stop> {
        self.of_keys(&keys).await?;
        Ok(!self.report.is_cut)
    }
}

/// What was found so far.
struct Found<'a, 'b> {
    comparison: &'b Comparison<'a>,
    /// Keys of rows that may differ.
    candidates: Vec<String>,
    /// The keys of both sides of rows that differ. A key that is spelled in two ways is a candidate twice.
    known: HashSet<(Option<String>, Option<String>)>,
    /// When candidates were last looked at.
    settled: Option<Instant>,
    report: &'b mut Report,
    tell: &'b mut (dyn FnMut(&Report) + Send),
}

impl<'a, 'b> Found<'a, 'b> {
    /// Begins when changes that were in flight have arrived: they would all be candidates. Rows that a report names
    /// already are looked at again.
    async fn of(
        comparison: &'b Comparison<'a>,
        report: &'b mut Report,
        tell: &'b mut (dyn FnMut(&Report) + Send),
    ) -> Result<Found<'a, 'b>, Stop> {
        if !comparison.sessions.is_level.get() {
            let snapshot = provider::current_snapshot(&**comparison.sessions.provider).await?;
            comparison.arrive(&snapshot).await?;
            comparison.sessions.is_level.set(true);
        }
        let named = std::mem::take(&mut report.differences);
        Ok(Found {
            comparison,
            candidates: named.into_iter().map(|one| one.key).collect(),
            known: HashSet::new(),
            settled: None,
            report,
            tell,
        })
    }

    /// All rows; where the report is one of a comparison that has ended early, those behind its last key.
    async fn all(&mut self) -> Result<(), Stop> {
        self.settle().await?;
        if self.comparison.plan.by_range {
            self.by_stretches().await
        } else {
            self.by_groups().await
        }
    }

    async fn by_stretches(&mut self) -> Result<(), Stop> {
        let comparison = self.comparison;
        let after = self.report.upto.as_ref();
        let after = after.or(comparison.options.after.as_ref());
        let mut range = Range {
            after: after.map(|key| fields(key)),
            upto: None,
        };
        range.upto = comparison.border(range.after.as_deref()).await?;
        let (mut is_first, mut has_differed) = (true, false);
        loop {
            let next = async {
                match &range.upto {
                    None => Ok(None),
                    Some(upto) => comparison.border(Some(upto)).await,
                }
            };
            // A sample of a table with one stretch would else most often be empty.
            let is_chosen = is_first || rand::rng().random::<f64>() < comparison.options.share;
            is_first = false;
            let next = if is_chosen {
                let by_key = range != Range::default();
                // Both end, so that neither leaves its transaction open.
                let (differs, next) =
                    futures::join!(self.stretch(&range, by_key, has_differed), next);
                has_differed = differs?;
                next?
            } else {
                next.await?
            };
            let is_last = range.upto.is_none();
            let is_due = self.settled.is_none_or(|at| at.elapsed() >= SETTLED);
            if is_last || self.candidates.len() >= GATHERED || is_due {
                self.settle().await?;
            }
            if self.report.is_cut || is_last {
                (self.tell)(self.report);
                return Ok(());
            }
            // What is before that key is settled, or would be lost if the comparison ended here.
            if self.candidates.is_empty() {
                self.report.upto = range.upto.as_deref().map(record);
            }
            (self.tell)(self.report);
            range = Range {
                after: range.upto.take(),
                upto: next,
            };
        }
    }

    /// Compares a stretch; gives whether it has rows that may differ. Where rows differ they often do so in the next
    /// stretch, too: that one is listed at once, and not summed before, which would read its rows twice.
    async fn stretch(&mut self, range: &Range, by_key: bool, at_once: bool) -> Result<bool, Stop> {
        let comparison = self.comparison;
        // The stretch was measured on the provider, and the subscriber may have any number of rows in it.
        let most = 2 * u64::from(STRETCH);
        if !at_once {
            let sums = comparison.both(by_key, |side| side.sums(range, None, None));
            let (here, there) = sums.await?;
            self.report.rows += rows(&here);
            if here == there {
                return Ok(false);
            }
            if rows(&there) > most {
                self.within(range, by_key, None).await?;
                return Ok(true);
            }
        }
        let lists = comparison.both(by_key, |side| side.list_of_most(range, most + 1));
        let (here, there) = lists.await?;
        if at_once {
            self.report.rows += here.len() as u64;
        }
        if [&here, &there].iter().any(|list| list.len() as u64 > most) {
            self.within(range, by_key, None).await?;
            return Ok(true);
        }
        let known = self.candidates.len() + self.known.len();
        self.gather(&here, &there);
        Ok(self.candidates.len() + self.known.len() > known)
    }

    async fn by_groups(&mut self) -> Result<(), Stop> {
        let comparison = self.comparison;
        let share = comparison.options.share;
        let sample = (share < 1.0).then(|| Sample {
            of_million: per_million(share),
            salt: rand::rng().random(),
        });
        let range = Range::default();
        self.report.rows = self.within(&range, false, sample.as_ref()).await?;
        if self.report.rows == 0 && sample.is_some() {
            // The sample of a small table can be empty, which would say nothing.
            self.report.rows = self.within(&range, false, None).await?;
        }
        Ok(())
    }

    /// Compares a stretch by groups, of which so many are listed at once that the lists are bounded. Gives the number
    /// of the provider's rows.
    async fn within(
        &mut self,
        range: &Range,
        by_key: bool,
        sample: Option<&Sample>,
    ) -> Result<u64, Stop> {
        let comparison = self.comparison;
        let mut into = Groups::FEW;
        let (here, there, differing) = loop {
            let sums = |side: &Side| side.sums(range, Some(into), sample);
            let (here, there) = comparison.both(by_key, sums).await?;
            if *range == Range::default() {
                self.report.rows = rows(&here);
            }
            (self.tell)(self.report);
            let differing = judge::differing(&swapped(&here), &swapped(&there));
            let is_much = sets(&differing, &here, &there).len() > 1;
            if !is_much || into == Groups::MANY {
                break (here, there, differing);
            }
            into = Groups::MANY;
        };
        for groups in sets(&differing, &here, &there) {
            let lists = comparison.both(by_key, |side| {
                side.list(range, Some((into, &groups)), sample)
            });
            let (here, there) = lists.await?;
            self.gather(&here, &there);
            self.settle().await?;
            (self.tell)(self.report);
            if self.report.is_cut {
                break;
            }
        }
        Ok(rows(&here))
    }

    /// Notes which rows of two lists may differ. A row without a value in its key cannot be looked up, and the provider
    /// has no such row.
    fn gather(&mut self, here: &[String], there: &[String]) {
        let has_key = self.comparison.has_key();
        for key in judge::differing(here, there) {
            if !has_key || !has_null(&key) {
                self.candidates.push(key);
            } else if self.known.insert((None, Some(key.clone()))) {
                self.report.differences.push(Difference {
                    key,
                    kind: Kind::Extra,
                    columns: Vec::new(),
                    count: 1,
                });
            }
        }
    }

    /// Compares the rows of some keys.
    async fn of_keys(&mut self, keys: &[String]) -> Result<(), Stop> {
        for some in keys.chunks(LISTED_AT_ONCE) {
            let asked: Vec<&str> = some.iter().map(String::as_str).collect();
            let lists = self.comparison.both(true, |side| side.list_of_keys(&asked));
            let (here, there) = lists.await?;
            self.report.rows += some.len() as u64;
            self.gather(&here, &there);
            if self.candidates.len() >= GATHERED {
                self.settle().await?;
            }
            (self.tell)(self.report);
            if self.report.is_cut {
                break;
            }
        }
        Ok(())
    }

    /// Looks at the candidates until each is known to be equal, to differ, or to be followed.
    async fn settle(&mut self) -> Result<(), Stop> {
        let candidates = std::mem::take(&mut self.candidates);
        if !candidates.is_empty() {
            self.settled = Some(Instant::now());
        }
        for some in candidates.chunks(LOOKED_AT) {
            self.settle_some(some).await?;
            if self.is_much() {
                break;
            }
        }
        self.report.is_cut |= self.is_much();
        Ok(())
    }

    fn is_much(&self) -> bool {
        self.report.differing() > self.comparison.options.most as u64
    }

    async fn settle_some(&mut self, candidates: &[String]) -> Result<(), Stop> {
        let comparison = self.comparison;
        if let Some(shape) = &comparison.plan.sums {
            return self.settle_sums(shape, candidates).await;
        }
        let has_key = comparison.has_key();
        let mut open: Vec<(&str, Memory)> = candidates
            .iter()
            .map(|key| (key.as_str(), Memory::default()))
            .collect();
        for round in 1..=ROUNDS {
            let keys: Vec<&str> = open.iter().map(|(key, _)| *key).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let (before, snapshot) = comparison.look_here(&keys).await?;
            comparison.arrive(&snapshot).await?;
            let there = comparison.look_there(&keys).await?;
            let (after, _) = comparison.look_here(&keys).await?;
            let mut left = Vec::new();
            for (number, (key, mut memory)) in open.into_iter().enumerate() {
                let of = |look: &Look| look.get(&number).cloned().unwrap_or_default();
                let (before, there, after) = (of(&before), of(&there), of(&after));
                let mut verdict = memory.judge(&before, &there, &after, has_key);
                if verdict == Verdict::Open && round == ROUNDS {
                    verdict = memory.at_last();
                }
                match verdict {
                    Verdict::Equal => {}
                    Verdict::Differs => self.differs(key, &after, &there),
                    Verdict::Open => left.push((key, memory)),
                    Verdict::Followed => self.report.in_motion += 1,
                }
            }
            open = left;
        }
        Ok(())
    }

    /// Counts rows without a key. Where the subscriber stands at a tick, and the provider was read later, the events in
    /// between say by how much a count must have changed: so one round is exact, also of a row that comes and goes.
    async fn settle_sums(&mut self, shape: &Arc<Shape>, candidates: &[String]) -> Result<(), Stop> {
        let comparison = self.comparison;
        let hashes: Vec<&str> = candidates.iter().map(String::as_str).collect();
        for _ in 1..=ROUNDS {
            let ((there, standing), (here, snapshot)) = comparison.counts(&hashes).await?;
            let rows = here.values().chain(there.values());
            let rows: HashSet<_> = rows.map(|(_, values)| values.clone()).collect();
            let between = comparison
                .between(shape, standing.at, &snapshot, &rows)
                .await?;
            let Some(between) = between else {
                // Once the subscriber is past such an event, it lies between no more.
                comparison.arrive(&snapshot).await?;
                continue;
            };
            for hash in candidates {
                let values = here.get(hash).or_else(|| there.get(hash));
                let Some((_, values)) = values else { continue };
                let count = |side: &Counts| side.get(hash).map_or(0, |(count, _)| *count);
                let passed = between.get(values).copied().unwrap_or_default();
                let wanted = count(&here) - passed;
                let more = wanted - count(&there);
                if more == 0 || !self.known.insert((None, Some(hash.clone()))) {
                    continue;
                }
                let values = values.clone();
                let sum = Sum {
                    values,
                    wanted,
                    more,
                    at: standing.at,
                };
                self.report.sums.insert(hash.clone(), sum);
                self.report.differences.push(Difference {
                    key: hash.clone(),
                    kind: if more > 0 { Kind::Missing } else { Kind::Extra },
                    columns: Vec::new(),
                    count: more.unsigned_abs(),
                });
            }
            return Ok(());
        }
        let why = "its rows were changed all the time in a way that no event tells";
        Err(Stop::Late(format!("{why}, in {ROUNDS} looks")))
    }

    fn differs(&mut self, key: &str, here: &[judge::Seen], there: &[judge::Seen]) {
        let keys = [here, there].map(|seen| seen.first().map(|one| one.key.clone()));
        let [of_here, of_there] = keys;
        let (kind, columns) = judge::kind(here, there);
        let names = &self.comparison.plan.names;
        let shown = of_here.clone().or_else(|| of_there.clone());
        if self.known.insert((of_here, of_there)) {
            self.report.differences.push(Difference {
                key: self
                    .comparison
                    .plan
                    .here
                    .shown(&shown.unwrap_or_else(|| key.to_owned())),
                kind,
                columns: columns
                    .iter()
                    .filter_map(|&at| names.get(at).cloned())
                    .collect(),
                count: if self.comparison.has_key() {
                    1
                } else {
                    judge::apart(here, there)
                },
            });
        }
    }
}
