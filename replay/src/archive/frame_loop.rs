//! One frame after the other, from the queue into segments.
//!
//! A segment's line is the archive's position. The process may die between any two numbered steps. Then either the
//! segment is not there, and its frames are read again, or it is there whole, and the archive goes on behind it.

use std::{collections::HashMap, time::Instant};

use sql::{
    connect::Session,
    event::tuple::Tuple,
    provider::{self, Batch, BatchFinder, Want},
    queue::tick::TickId,
    subscriber::position::Position,
    successor,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    filling::{Filling, FrameSpan, PartEvents},
    hold, hop,
    seal::Recipients,
    shapes::Shapes,
    shared::Archive,
    store::Store,
    writer::{Writer, unwritable},
};
use crate::{
    frames::{
        frame::{COLUMNS, SequenceEntry, TickEntry, column},
        place::{Number, Place, Time},
    },
    queue::{
        events::{RawEvents, unreadable},
        track::{self, ProviderView},
    },
    trouble::Trouble,
};

/// The columns of [`Batch::copy_whole_events`]: those of an archived event, and what the provider knows now of it.
const READ: usize = COLUMNS + 1;

/// How long a provider may take to answer when the program has to end.
const STOP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// A queue without events gets an empty segment as often, so that "nothing happened until then" is on record.
const QUIET: std::time::Duration = std::time::Duration::from_secs(300);

/// The loop of one archive, with its session open and its position read.
struct FrameLoop<'a> {
    archive: &'a mut Archive,
    provider: &'a Session,
    finder: BatchFinder,
    writer: Writer,
    /// Where the last frame that was read ends.
    position: Position,
    filling: Filling,
    /// When something came into the empty segment.
    since: Option<Instant>,
    shapes: Shapes,
    /// The sequences as the frames so far have them.
    sequences: HashMap<(String, String), SequenceEntry>,
    /// Somebody wants to see the archive's end.
    is_asked: bool,
}

/// Runs until asked to stop, or until trouble; after trouble the caller opens everything anew.
/// `runs` is called once, when the loop is open.
pub(super) async fn run(
    archive: &mut Archive,
    provider: &Session,
    runs: impl FnOnce(),
) -> Result<(), Trouble> {
    let stop = archive.stop.clone();
    let opened = tokio::select! {
        opened = FrameLoop::open(archive, provider) => Some(opened?),
        () = silence(&stop) => None,
    };
    // Until the loop is open nothing of it is in memory.
    let Some(mut this) = opened else {
        return Ok(());
    };
    runs();
    let ended = tokio::select! {
        ended = this.turns() => ended,
        () = silence(&stop) => Ok(()),
    };
    // What has been read of a provider that is gone may be nowhere else any more.
    if let Err(trouble) = this.write_down() {
        return ended.and(Err(trouble));
    }
    ended
}

/// Waits until the program has to end, and a provider that does not answer is not waited for any longer.
async fn silence(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_PATIENCE).await;
}

impl<'a> FrameLoop<'a> {
    async fn turns(&mut self) -> Result<(), Trouble> {
        loop {
            self.is_asked |= self.archive.requests.take();
            self.archive.ticks.mark();
            let batch = match self.next_batch().await {
                Err(_) if self.is_at_the_end_of_a_log().await => return Err(Trouble::Stale),
                batch => batch?,
            };
            if let Some(batch) = &batch {
                self.frame(batch).await?;
            }
            if self.is_due(batch.is_some()) {
                self.publish().await?;
            }
            self.archive.stats.tell_if_due();
            if self.archive.stop.is_cancelled() {
                return self.publish().await;
            }
            if batch.is_none() {
                self.rest().await;
            }
        }
    }

    async fn open(
        archive: &'a mut Archive,
        provider: &'a Session,
    ) -> Result<FrameLoop<'a>, Trouble> {
        // Step 2: the end of the archive is the position, and the queue must hold what follows. (Step 1, the lock, is
        // the life's.)
        let mut writer = tokio::task::block_in_place(|| {
            let store = Store::open(&archive.config.address).map_err(unwritable)?;
            let recipients = Recipients::read(&archive.config.encrypt_to).map_err(unwritable)?;
            Writer::open(store, recipients, &archive.job, &archive.queue)
        })?;
        let end = Position::from(writer.end().at);
        let now = provider::queue_epoch(&**provider, &archive.queue).await?;
        let position = match now.filter(|now| *now != end.epoch) {
            None => hold::position(archive, provider, &mut writer).await?,
            Some(now) => hop::run(archive, provider, &mut writer, now).await?,
        };
        let place = Place::from(position);
        let time = match writer.end().time.filter(|_| writer.end().at == place) {
            Some(time) => Some(time),
            None => tick_time(archive, provider, position).await?,
        };
        let this = FrameLoop {
            finder: BatchFinder::prepare(&**provider).await?,
            shapes: Shapes::new(provider::shapes(&**provider, &archive.queue, None).await?)?,
            filling: Filling::new(place, time).map_err(unwritable)?,
            archive,
            provider,
            writer,
            position,
            since: None,
            sequences: HashMap::new(),
            is_asked: false,
        };
        // A process that was killed may have published what it did not tell the queue.
        this.next_batch().await?;
        hold::tell(this.archive, provider, position.tick.id).await?;
        Ok(this)
    }

    /// Whether the host's log has ended, and the job looks for the one that goes on among several hosts.
    async fn is_at_the_end_of_a_log(&self) -> bool {
        let ended = successor::has_ended(&**self.provider, &self.archive.queue);
        self.archive.hosts.len() > 1 && ended.await.unwrap_or(false)
    }

    /// The batch that follows; none: there is no newer tick.
    async fn next_batch(&self) -> Result<Option<Batch>, Trouble> {
        let want = Want {
            max_events: self.archive.max_events,
            ..Want::default()
        };
        let next = self
            .finder
            .after(
                &**self.provider,
                &self.archive.queue,
                self.position.tick.id,
                &want,
            )
            .await?;
        let seen = ProviderView {
            epoch: next.epoch,
            tag_at_position: next.tag_at_position,
            last_tick: next.last_tick,
        };
        track::check(self.position, seen).map_err(hold::off_track)?;
        Ok(next.batch)
    }

    /// Step 3: takes a batch as a frame, in parts that fit into memory.
    async fn frame(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let to = Position {
            epoch: self.position.epoch,
            tick: batch.to,
        };
        let span = FrameSpan {
            from: Place::from(self.position),
            to: Place::from(to),
            ticks: self.ticks(batch).await?,
            lineage: batch.lineage.clone(),
        };
        let mut sequences = self.changed_sequences().await?;
        self.since.get_or_insert_with(Instant::now);
        let node = batch.lineage.path.0.first();
        self.filling.is_of(node.map(|node| node.0));
        let copy = batch.copy_whole_events();
        let mut events: RawEvents<READ> = RawEvents::open(self.provider, &copy).await?;
        let mut part = PartEvents::default();
        let mut number = 0;
        while let Some(event) = events.next().await? {
            self.add(&mut part, &event)?;
            if part.bytes() >= self.archive.chunk_bytes {
                let whole = std::mem::take(&mut part);
                self.put(&span, number, false, std::mem::take(&mut sequences), whole)?;
                number += 1;
            }
        }
        self.put(&span, number, true, sequences, part)?;
        self.position = to;
        Ok(())
    }

    fn put(
        &mut self,
        span: &FrameSpan,
        number: u32,
        last: bool,
        sequences: Vec<SequenceEntry>,
        part: PartEvents,
    ) -> Result<(), Trouble> {
        self.filling
            .put(span, number, last, sequences, part)
            .map_err(unwritable)?;
        if !last && self.filling.stored_bytes() >= self.archive.config.segment_size {
            // The frame goes on in the next segment, which waits no longer than another one.
            self.seal()?;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    fn add(&mut self, part: &mut PartEvents, event: &Tuple<READ>) -> Result<(), Trouble> {
        if let Some((number, shape)) = self.shapes.of(event)? {
            part.name(number, shape);
        }
        let later = event.field(COLUMNS);
        let later = later.and_then(|text| std::str::from_utf8(text).ok());
        let later = match later {
            None => None,
            Some(text) => Some((event.int8(column::ID).map_err(unreadable)?, text)),
        };
        // An archived event is without what only belongs to the moment of reading.
        part.add(&event.first(COLUMNS as i16), later);
        Ok(())
    }

    async fn ticks(&self, batch: &Batch) -> Result<Vec<TickEntry>, Trouble> {
        let (from, to) = (self.position.tick.id, batch.to.id);
        let ticks =
            provider::ticks_between(&**self.provider, &self.archive.queue, from, to).await?;
        let entry = |one: provider::TickBetween| {
            let time = Time::of(one.time)?;
            Some(TickEntry(
                Number(one.tick.id.0),
                Number(one.tick.tag.0),
                time,
                one.snapshot.0,
            ))
        };
        let entries: Option<Vec<TickEntry>> = ticks.into_iter().map(entry).collect();
        entries.ok_or_else(|| Trouble::Operator {
            doing: "could not archive a tick".into(),
            advice: "set the provider's clock right".into(),
            source: anyhow::anyhow!("its time is beyond the year 9999"),
        })
    }

    /// The sequences that have changed since the frame before; all of them for a segment's first frame.
    async fn changed_sequences(&mut self) -> Result<Vec<SequenceEntry>, Trouble> {
        let values = provider::all_sequence_values(&**self.provider, &self.archive.queue).await?;
        let all = self.filling.lacks_sequences();
        let mut changed = Vec::new();
        for value in values {
            let key = (value.sequence.schema.clone(), value.sequence.name.clone());
            let entry = SequenceEntry(
                value.sequence.schema,
                value.sequence.name,
                Number(value.last_value),
                value.is_called,
                Number(value.increment),
            );
            let before = self.sequences.insert(key, entry.clone());
            if all || before.as_ref() != Some(&entry) {
                changed.push(entry);
            }
        }
        Ok(changed)
    }

    /// Whether the segment is to be published now. `is_behind`: another batch may be there already.
    fn is_due(&self, is_behind: bool) -> bool {
        let config = &self.archive.config;
        let Some(since) = self.since.filter(|_| !self.filling.is_empty()) else {
            return false;
        };
        let waits = match self.filling.events() {
            0 => QUIET,
            _ => config.segment_every,
        };
        self.filling.stored_bytes() >= config.segment_size
            || since.elapsed() >= waits
            || self.is_asked && !is_behind
    }

    /// Publishes what there is, and tells the queue.
    async fn publish(&mut self) -> Result<(), Trouble> {
        self.is_asked = false;
        if self.filling.is_empty() {
            return Ok(());
        }
        self.seal()?;
        // Step 5: what is in the archive need not be held any more.
        hold::tell(self.archive, self.provider, self.position.tick.id).await?;
        self.archive.goes_on();
        Ok(())
    }

    /// Publishes the whole frames that are in memory. The queue is told of them when the archive is opened again.
    fn write_down(&mut self) -> Result<(), Trouble> {
        match self.filling.has_whole() {
            true => self.seal(),
            false => Ok(()),
        }
    }

    /// Step 4: publishes the segment, and begins the next one where its last whole frame ends.
    fn seal(&mut self) -> Result<(), Trouble> {
        let next = Filling::new(self.filling.to(), self.filling.to_time()).map_err(unwritable)?;
        let full = std::mem::replace(&mut self.filling, next);
        let (events, to_tick) = (full.events(), full.to().1.0);
        let seconds = self
            .since
            .take()
            .map_or(0.0, |since| since.elapsed().as_secs_f64());
        let published = tokio::task::block_in_place(|| self.writer.publish(full))?;
        let (consumer, seq, bytes) = (
            &self.archive.config.consumer,
            published.seq,
            published.bytes,
        );
        debug!(%consumer, seq, to_tick, events, bytes, seconds, "segment published");
        self.archive.stats.segment(events, bytes);
        Ok(())
    }

    /// Waits until there may be something to do.
    async fn rest(&mut self) {
        let waits = match self.filling.events() {
            0 => QUIET,
            _ => self.archive.config.segment_every,
        };
        let due = self
            .since
            .map_or(QUIET, |since| waits.saturating_sub(since.elapsed()));
        let archive = &mut *self.archive;
        tokio::select! {
            () = archive.ticks.wait() => {}
            () = archive.requests.wait() => self.is_asked = true,
            () = tokio::time::sleep(due) => {}
            () = archive.stop.cancelled() => {}
        }
    }
}

/// When the tick of a position was made; none if the queue does not have it.
async fn tick_time(
    archive: &Archive,
    provider: &Session,
    position: Position,
) -> Result<Option<Time>, Trouble> {
    let tick = position.tick.id;
    let before = TickId(tick.0 - 1);
    let ticks = provider::ticks_between(&**provider, &archive.queue, before, tick).await?;
    Ok(ticks.first().and_then(|tick| Time::of(tick.time)))
}
