//! One reader for all subscribers of a job at the same position: the provider sends each batch once, and the batch is
//! decoded and folded once. A subscriber that falls behind the others is let go and reads by itself. It is taken in
//! again when its reader reaches the same position as another reader.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sql::{
    connect::{ApplicationName, CancelToken, ConnectInfo, Session},
    install::ownership::Schema,
    subscriber::position::Position,
};
use tokio::{
    sync::{Notify, mpsc},
    task::AbortHandle,
};

use super::{feed::Feed, tick_by_tick::TickByTick};
use crate::{
    batch::{Delivery, End},
    trouble::Trouble,
};

/// How much may wait for a member that is slower than the fastest one, as a multiple of `chunk_size`.
const BEHIND_CHUNKS: usize = 2;

/// The least size that is counted for a delivery, in bytes.
const DELIVERY_BYTES: usize = 1 << 10;

/// How long a new reader waits for the job's other subscribers, which all come at once when the job starts.
const GATHERING: Duration = Duration::from_millis(50);

/// Lets the provider sort a batch of single rows in memory. With the default setting it would write 100,000 of them to
/// temporary files, a seventh of the work of reading them. A larger setting stays.
const SORT_MEMORY: &str = "select pg_catalog.set_config('work_mem', '32MB', false) \
     where pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 32 * 1024 * 1024";

/// Starts the reader of a room, in a task that the room owns.
pub(crate) type Start = fn(Seat, Feed, Position) -> AbortHandle;

/// The readers of a job.
pub(crate) struct Readers {
    start: Start,
    provider: ConnectInfo,
    application_name: ApplicationName,
    feed: Feed,
    subscribers: usize,
    rooms: Mutex<Rooms>,
    /// Notified when a member has finished a delivery, or has left.
    taken: Notify,
}

#[derive(Default)]
struct Rooms {
    open: Vec<Room>,
    last_id: u64,
}

/// A reader's members and their position.
struct Room {
    id: u64,
    /// The position between two batches that the reader is at; none while it reads a batch.
    border: Option<Position>,
    members: Vec<Member>,
    task: Option<AbortHandle>,
    statement: Option<CancelToken>,
}

/// A subscriber, as its reader sees it.
struct Member {
    id: u64,
    deliveries: mpsc::UnboundedSender<Result<Delivery, Trouble>>,
    backlog: Arc<Backlog>,
    tick_by_tick: TickByTick,
}

/// The deliveries that a member has not finished yet.
#[derive(Default)]
struct Backlog {
    /// Bytes of the deliveries that wait for the member, and of the delivery that it works on.
    bytes: AtomicUsize,
}

/// A member's end of its room. Dropping the end leaves the room; when the last member leaves, the reader's task and its
/// session end.
pub(crate) struct Reader {
    readers: Arc<Readers>,
    id: u64,
    deliveries: mpsc::UnboundedReceiver<Result<Delivery, Trouble>>,
    backlog: Arc<Backlog>,
    in_hand: usize,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.leave(self.id);
    }
}

impl Reader {
    /// The next delivery. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Delivery, Trouble> {
        let done = std::mem::take(&mut self.in_hand);
        if done > 0 {
            self.backlog.bytes.fetch_sub(done, Ordering::Relaxed);
            self.readers.taken.notify_waiters();
        }
        let delivery = match self.deliveries.recv().await {
            Some(delivery) => delivery?,
            None => {
                let gone = anyhow::anyhow!("its task is gone");
                return Err(Trouble::passing("the reader ended", gone));
            }
        };
        self.in_hand = bytes(&delivery);
        Ok(delivery)
    }
}

impl Readers {
    /// The readers of a job with so many subscribers; no reader runs yet.
    pub(crate) fn new(
        provider: ConnectInfo,
        application_name: ApplicationName,
        feed: Feed,
        subscribers: usize,
        start: Start,
    ) -> Readers {
        Readers {
            start,
            provider,
            application_name,
            feed,
            subscribers,
            rooms: Mutex::default(),
            taken: Notify::new(),
        }
    }

    /// Reads after a position: in a room at the same position, or in a new room with a session of its own.
    pub(crate) fn read_after(
        self: &Arc<Self>,
        from: Position,
        tick_by_tick: &TickByTick,
    ) -> Reader {
        let mut rooms = self.rooms();
        let (member, reader) = self.member(&mut rooms, tick_by_tick);
        match rooms.at_border(from, None) {
            Some(room) => room.members.push(member),
            None => {
                let room = member.id;
                let task = (self.start)(self.sit(room), self.feed.clone(), from);
                rooms.open.push(Room {
                    id: room,
                    border: Some(from),
                    members: vec![member],
                    task: Some(task),
                    statement: None,
                });
            }
        }
        reader
    }

    /// Both ends of the channel between a reader and a new member.
    fn member(self: &Arc<Self>, rooms: &mut Rooms, tick_by_tick: &TickByTick) -> (Member, Reader) {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let backlog = Arc::new(Backlog::default());
        rooms.last_id += 1;
        let member = Member {
            id: rooms.last_id,
            deliveries: sender,
            backlog: Arc::clone(&backlog),
            tick_by_tick: tick_by_tick.clone(),
        };
        let reader = Reader {
            readers: Arc::clone(self),
            id: rooms.last_id,
            deliveries,
            backlog,
            in_hand: 0,
        };
        (member, reader)
    }

    /// Asks the provider to cancel the statements of all readers.
    pub(crate) async fn cancel_statements(&self) {
        let statements: Vec<CancelToken> = {
            let mut rooms = self.rooms();
            let open = rooms.open.iter_mut();
            open.filter_map(|room| room.statement.take()).collect()
        };
        for statement in statements {
            if let Err(error) = statement.cancel().await {
                tracing::debug!(%error, "a reader's statement could not be cancelled");
            }
        }
    }

    fn sit(self: &Arc<Self>, room: u64) -> Seat {
        Seat {
            readers: Arc::clone(self),
            room,
        }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, member: u64) {
        let mut rooms = self.rooms();
        for room in &mut rooms.open {
            room.members.retain(|one| one.id != member);
            if room.members.is_empty()
                && let Some(task) = room.task.take()
            {
                task.abort();
            }
        }
        rooms.open.retain(|room| !room.members.is_empty());
        self.taken.notify_waiters();
    }
}

impl Rooms {
    /// Another room than `other_than` whose reader is between two batches, at this position.
    fn at_border(&mut self, position: Position, other_than: Option<u64>) -> Option<&mut Room> {
        self.open
            .iter_mut()
            .find(|room| room.border == Some(position) && Some(room.id) != other_than)
    }

    fn room(&mut self, id: u64) -> Option<&mut Room> {
        self.open.iter_mut().find(|room| room.id == id)
    }
}

/// The place of the reader's task in its room. Dropping the seat closes the room.
pub(crate) struct Seat {
    readers: Arc<Readers>,
    room: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.readers
            .rooms()
            .open
            .retain(|room| room.id != self.room);
    }
}

impl Seat {
    /// A session for reading. Waits a moment for the job's other subscribers first.
    pub(super) async fn session(&self) -> Result<Session, Trouble> {
        let members: usize = {
            let rooms = self.readers.rooms();
            rooms.open.iter().map(|room| room.members.len()).sum()
        };
        if members < self.readers.subscribers {
            tokio::time::sleep(GATHERING).await;
        }
        let name = &self.readers.application_name;
        let provider = &self.readers.provider;
        let session = provider.connect_for(name, Schema::PROVIDER).await;
        let session = session.map_err(Trouble::connect("provider"))?;
        session
            .batch_execute(SORT_MEMORY)
            .await
            .map_err(Trouble::database("could not prepare to read the queue"))?;
        if let Some(room) = self.readers.rooms().room(self.room) {
            room.statement = Some(session.cancel_token());
        }
        Ok(session)
    }

    /// To be called when no batch follows a position. If another reader waits at the same position, the members go over
    /// to that reader. True if they did, and then this reader must end.
    pub(super) fn merge(&self, at: Position) -> bool {
        let mut rooms = self.readers.rooms();
        if rooms.at_border(at, Some(self.room)).is_none() {
            return false;
        }
        let members = match rooms.room(self.room) {
            Some(room) => {
                room.border = None;
                std::mem::take(&mut room.members)
            }
            None => return true,
        };
        if let Some(other) = rooms.at_border(at, Some(self.room)) {
            other.members.extend(members);
        }
        true
    }

    /// How many events may be merged into the next batch; if a member wants batches of one tick, no events of further
    /// ticks.
    pub(super) fn max_events(&self) -> i64 {
        let mut rooms = self.readers.rooms();
        let room = rooms.room(self.room);
        match room.is_some_and(|room| room.members.iter().any(|one| one.tick_by_tick.is_on())) {
            true => 1,
            false => self.readers.feed.max_events,
        }
    }

    /// Begins a batch: until the batch's end no subscriber can join.
    pub(super) fn begin(&self) -> Patience {
        self.set_border(None);
        Patience {
            began: Instant::now(),
            spent: Duration::ZERO,
        }
    }

    /// Ends a batch that has been handed over; the next border is at its end.
    pub(super) fn end(&self, at: Position) {
        self.set_border(Some(at));
    }

    fn set_border(&self, border: Option<Position>) {
        if let Some(room) = self.readers.rooms().room(self.room) {
            room.border = border;
        }
    }

    /// Hands a delivery to every member, and waits with it as long as it is useful:
    ///
    /// - a delivery without rows goes at once, so that a batch is read while the batch before is written;
    /// - a delivery that cannot grow any more goes as soon as the deliveries that wait for the fastest member fit into
    ///   a chunk;
    /// - any other delivery goes as soon as the fastest member wants it.
    ///
    /// The slower members get what is left of the batch's patience, and then they are let go. False if the room is
    /// closed.
    pub(super) async fn deliver(&self, delivery: Delivery, patience: &mut Patience) -> bool {
        let size = bytes(&delivery);
        let chunk = self.readers.feed.chunk_bytes;
        let limit = chunk.saturating_mul(BEHIND_CHUNKS);
        let may_wait = if is_complete(&delivery) { chunk } else { 0 };
        loop {
            let mut taken = std::pin::pin!(self.readers.taken.notified());
            taken.as_mut().enable();
            let rest = {
                let mut rooms = self.readers.rooms();
                let Some(room) = rooms.room(self.room) else {
                    return false;
                };
                let wanted = size == 0 || room.members.iter().any(|m| m.has_room(size, may_wait));
                let rest = patience.rest();
                if wanted
                    && (rest.is_zero() || !room.members.iter().any(|m| m.is_behind(size, limit)))
                {
                    room.members.retain(|member| {
                        let stays = !member.is_behind(size, limit);
                        let sent = if stays {
                            delivery.clone()
                        } else {
                            Delivery::LetGo
                        };
                        member.send(Ok(sent), if stays { size } else { 0 });
                        stays
                    });
                    return true;
                }
                wanted.then_some(rest)
            };
            match rest {
                None => taken.await,
                Some(rest) => {
                    let since = Instant::now();
                    // After a notification and after the time limit alike the members are looked at again.
                    let _ = tokio::time::timeout(rest, taken).await;
                    patience.spent += since.elapsed();
                }
            }
        }
    }

    /// Whether some member has finished all its deliveries, and waits for more.
    pub(super) fn is_awaited(&self) -> bool {
        let mut rooms = self.readers.rooms();
        rooms
            .room(self.room)
            .is_some_and(|room| room.members.iter().any(Member::wants))
    }

    /// Gives the trouble to one member. The others are let go: they read on by themselves, and meet the trouble or not.
    pub(super) fn fail(&self, trouble: Trouble) {
        let mut rooms = self.readers.rooms();
        let Some(room) = rooms.room(self.room) else {
            return;
        };
        let mut trouble = Some(trouble);
        for member in room.members.drain(..) {
            let last = trouble.take().map_or(Ok(Delivery::LetGo), Err);
            member.send(last, 0);
        }
    }
}

impl Member {
    /// Whether the member has finished all its deliveries. Until then the reader goes on folding: rows that have not
    /// been handed over yet may still be replaced, and then need not be written.
    fn wants(&self) -> bool {
        self.backlog.bytes.load(Ordering::Relaxed) == 0
    }

    /// Whether the member wants more, or would have at most so many bytes waiting with the next delivery.
    fn has_room(&self, more: usize, may_wait: usize) -> bool {
        let waiting = self.backlog.bytes.load(Ordering::Relaxed);
        waiting == 0 || waiting.saturating_add(more) <= may_wait
    }

    fn is_behind(&self, more: usize, limit: usize) -> bool {
        !self.wants()
            && self
                .backlog
                .bytes
                .load(Ordering::Relaxed)
                .saturating_add(more)
                > limit
    }

    fn send(&self, delivery: Result<Delivery, Trouble>, size: usize) {
        self.backlog.bytes.fetch_add(size, Ordering::Relaxed);
        // The send may fail: a member that does not listen any more has left, or is about to leave.
        let _ = self.deliveries.send(delivery);
    }
}

/// How long a batch may wait for members that are slower than the fastest: a tenth of the batch's own time, and a
/// moment.
pub(super) struct Patience {
    began: Instant,
    spent: Duration,
}

impl Patience {
    const MOMENT: Duration = Duration::from_millis(100);

    fn rest(&self) -> Duration {
        (Patience::MOMENT + self.began.elapsed() / 10).saturating_sub(self.spent)
    }
}

/// Whether waiting could make neither the delivery smaller nor its batch larger: the delivery is the last part of a
/// batch that other events follow.
fn is_complete(delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Part(part) => match part.end {
            End::Last { others_follow } => others_follow,
            End::Open | End::Before(_) => false,
        },
        Delivery::Begin(_) | Delivery::LetGo => false,
    }
}

fn bytes(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Part(part) => part.bytes.max(DELIVERY_BYTES),
        Delivery::Begin(_) | Delivery::LetGo => 0,
    }
}

#[cfg(test)]
mod tests;
