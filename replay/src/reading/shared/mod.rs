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

/// The number of events that are merged into a batch of one tick.
pub(super) const TICK_BY_TICK: i64 = 0;

/// The least size that is counted for a delivery, in bytes.
const DELIVERY_BYTES: usize = 1 << 10;

/// How long a new reader waits for the job's other subscribers, which all come at once when the job starts.
const GATHERING: Duration = Duration::from_millis(50);

/// Lets the provider sort a batch of single rows in memory. With the default setting it would write 100,000 of them to
/// temporary files, a seventh of the work of reading them. A larger setting stays.
const SORT_MEMORY: &str = "select pg_catalog.set_config('work_mem', '32MB', false) \
     where pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 32 * 1024 * 1024";

/// Starts the reader of a group, in a task that the group owns.
pub(crate) type Start = fn(GroupHandle, Feed, Position) -> AbortHandle;

/// The readers of a job.
pub(crate) struct Readers {
    start: Start,
    provider: ConnectInfo,
    application_name: ApplicationName,
    feed: Feed,
    subscribers: usize,
    groups: Mutex<Groups>,
    /// Notified when a member has finished a delivery, or has left.
    taken: Notify,
}

#[derive(Default)]
struct Groups {
    open: Vec<Group>,
    last_id: u64,
}

/// A reader's members and their position.
struct Group {
    id: u64,
    /// The position between two batches that the reader is at; none while it reads a batch.
    border: Option<Position>,
    members: Vec<Member>,
    /// The archive that the reader reads, or none for the queue; none at all before its first answer.
    source: Option<Option<Arc<str>>>,
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

/// A member's end of its group. Dropping the end leaves the group; when the last member leaves, the reader's task and
/// its session end.
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
    /// The archive that is read, or none for the queue; none at all before the first answer.
    pub(crate) fn source(&self) -> Option<Option<Arc<str>>> {
        let groups = self.readers.groups();
        let is_mine = |group: &&Group| group.members.iter().any(|one| one.id == self.id);
        groups.open.iter().find(is_mine)?.source.clone()
    }

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
            groups: Mutex::default(),
            taken: Notify::new(),
        }
    }

    /// Reads after a position: in a group at the same position, or in a new group with a session of its own.
    pub(crate) fn read_after(
        self: &Arc<Self>,
        from: Position,
        tick_by_tick: &TickByTick,
    ) -> Reader {
        let mut groups = self.groups();
        let (member, reader) = self.member(&mut groups, tick_by_tick);
        match groups.at_border(from, None) {
            Some(group) => group.members.push(member),
            None => {
                let group = member.id;
                let task = (self.start)(self.handle(group), self.feed.clone(), from);
                groups.open.push(Group {
                    id: group,
                    border: Some(from),
                    members: vec![member],
                    source: None,
                    task: Some(task),
                    statement: None,
                });
            }
        }
        reader
    }

    /// Both ends of the channel between a reader and a new member.
    fn member(
        self: &Arc<Self>,
        groups: &mut Groups,
        tick_by_tick: &TickByTick,
    ) -> (Member, Reader) {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let backlog = Arc::new(Backlog::default());
        groups.last_id += 1;
        let member = Member {
            id: groups.last_id,
            deliveries: sender,
            backlog: Arc::clone(&backlog),
            tick_by_tick: tick_by_tick.clone(),
        };
        let reader = Reader {
            readers: Arc::clone(self),
            id: groups.last_id,
            deliveries,
            backlog,
            in_hand: 0,
        };
        (member, reader)
    }

    /// Asks the provider to cancel the statements of all readers.
    pub(crate) async fn cancel_statements(&self) {
        let statements: Vec<CancelToken> = {
            let mut groups = self.groups();
            let open = groups.open.iter_mut();
            open.filter_map(|group| group.statement.take()).collect()
        };
        for statement in statements {
            if let Err(error) = statement.cancel().await {
                tracing::debug!(%error, "a reader's statement could not be cancelled");
            }
        }
    }

    fn handle(self: &Arc<Self>, group: u64) -> GroupHandle {
        GroupHandle {
            readers: Arc::clone(self),
            group,
        }
    }

    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, member: u64) {
        let mut groups = self.groups();
        for group in &mut groups.open {
            group.members.retain(|one| one.id != member);
            if group.members.is_empty()
                && let Some(task) = group.task.take()
            {
                task.abort();
            }
        }
        groups.open.retain(|group| !group.members.is_empty());
        self.taken.notify_waiters();
    }
}

impl Groups {
    /// Another group than `other_than` whose reader is between two batches, at this position.
    fn at_border(&mut self, position: Position, other_than: Option<u64>) -> Option<&mut Group> {
        self.open
            .iter_mut()
            .find(|group| group.border == Some(position) && Some(group.id) != other_than)
    }

    fn group(&mut self, id: u64) -> Option<&mut Group> {
        self.open.iter_mut().find(|group| group.id == id)
    }
}

/// What a group's reader reads for. Dropping the handle closes the group.
pub(crate) struct GroupHandle {
    readers: Arc<Readers>,
    group: u64,
}

impl Drop for GroupHandle {
    fn drop(&mut self) {
        self.readers
            .groups()
            .open
            .retain(|group| group.id != self.group);
    }
}

impl GroupHandle {
    /// A session for reading. Waits a moment for the job's other subscribers first.
    pub(super) async fn session(&self) -> Result<Session, Trouble> {
        let members: usize = {
            let groups = self.readers.groups();
            groups.open.iter().map(|group| group.members.len()).sum()
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
        if let Some(group) = self.readers.groups().group(self.group) {
            group.statement = Some(session.cancel_token());
        }
        Ok(session)
    }

    /// To be called when no batch follows a position. If another reader waits at the same position, the members go over
    /// to that reader. True if they did, and then this reader must end.
    pub(super) fn merge(&self, at: Position) -> bool {
        let mut groups = self.readers.groups();
        if groups.at_border(at, Some(self.group)).is_none() {
            return false;
        }
        let members = match groups.group(self.group) {
            Some(group) => {
                group.border = None;
                std::mem::take(&mut group.members)
            }
            None => return true,
        };
        if let Some(other) = groups.at_border(at, Some(self.group)) {
            other.members.extend(members);
        }
        true
    }

    /// How many events may be merged into the next batch; if a member wants batches of one tick, none: no events are
    /// numbered between two ticks of such a batch.
    pub(super) fn max_events(&self) -> i64 {
        let mut groups = self.readers.groups();
        let group = groups.group(self.group);
        match group.is_some_and(|group| group.members.iter().any(|one| one.tick_by_tick.is_on())) {
            true => TICK_BY_TICK,
            false => self.readers.feed.max_events,
        }
    }

    /// Begins a batch: until the batch's end no subscriber can join.
    pub(super) fn begin(&self) -> Slack {
        self.set_border(None);
        Slack {
            began: Instant::now(),
            spent: Duration::ZERO,
        }
    }

    /// Ends a batch that has been handed over; the next border is at its end.
    pub(super) fn end(&self, at: Position) {
        self.set_border(Some(at));
    }

    /// Notes where the reader reads: an archive, or the queue.
    pub(super) fn reads(&self, source: Option<&str>) {
        if let Some(group) = self.readers.groups().group(self.group) {
            group.source = Some(source.map(Arc::from));
        }
    }

    fn set_border(&self, border: Option<Position>) {
        if let Some(group) = self.readers.groups().group(self.group) {
            group.border = border;
        }
    }

    /// Hands a delivery to every member, and waits with it as long as it is useful:
    ///
    /// - a delivery without rows goes at once, so that a batch is read while the batch before is written;
    /// - a delivery that cannot grow any more goes as soon as the deliveries that wait for the fastest member fit into
    ///   a chunk;
    /// - any other delivery goes as soon as the fastest member wants it.
    ///
    /// The slower members get what is left of the batch's slack, and then they are let go. False if the group is
    /// closed.
    pub(super) async fn deliver(&self, delivery: Delivery, slack: &mut Slack) -> bool {
        let size = bytes(&delivery);
        let chunk = self.readers.feed.chunk_bytes;
        let limit = chunk.saturating_mul(BEHIND_CHUNKS);
        let may_wait = if is_complete(&delivery) { chunk } else { 0 };
        loop {
            let mut taken = std::pin::pin!(self.readers.taken.notified());
            taken.as_mut().enable();
            let rest = {
                let mut groups = self.readers.groups();
                let Some(group) = groups.group(self.group) else {
                    return false;
                };
                let wanted = size == 0 || group.members.iter().any(|m| m.has_room(size, may_wait));
                let rest = slack.rest();
                if wanted
                    && (rest.is_zero() || !group.members.iter().any(|m| m.is_behind(size, limit)))
                {
                    group.members.retain(|member| {
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
                    slack.spent += since.elapsed();
                }
            }
        }
    }

    /// Whether some member has finished all its deliveries, and waits for more.
    pub(super) fn is_awaited(&self) -> bool {
        let mut groups = self.readers.groups();
        groups
            .group(self.group)
            .is_some_and(|group| group.members.iter().any(Member::wants))
    }

    /// Gives the trouble to one member. The others are let go: they read on by themselves, and meet the trouble or not.
    pub(super) fn fail(&self, trouble: Trouble) {
        let mut groups = self.readers.groups();
        let Some(group) = groups.group(self.group) else {
            return;
        };
        let mut trouble = Some(trouble);
        for member in group.members.drain(..) {
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
pub(super) struct Slack {
    began: Instant,
    spent: Duration,
}

impl Slack {
    const MOMENT: Duration = Duration::from_millis(100);

    fn rest(&self) -> Duration {
        (Slack::MOMENT + self.began.elapsed() / 10).saturating_sub(self.spent)
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
