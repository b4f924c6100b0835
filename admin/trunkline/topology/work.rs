//! An operation at work: its nodes, what is known of it, and what is told at its end.

use std::time::{Duration, Instant};

use admin::cli::{CommonArgs, say};
use admin::exit::{Exit, Failure};
use admin::output;
use serde_json::{Value, json};
use sql::operation::{self, Kind, Plan, Step};
use sql::subscriber::position::Position;

use super::hosts::{Host, Unanswered};

/// How often the rows are told that the command still works.
pub(crate) const BEAT: Duration = Duration::from_secs(5);

/// What an operation is told on its command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// What is run before anything is done.
    pub before: Option<&'a str>,
    /// What is run as soon as the new provider takes writes.
    pub after: Option<&'a str>,
    /// How long the new provider is waited for.
    pub patience: Duration,
    /// Nodes that do not answer are off.
    pub force: bool,
    /// JSON is printed at the end.
    pub json: bool,
}

/// An operation at work.
pub(crate) struct Work<'a> {
    /// The command line.
    pub options: Options<'a>,
    /// How much is said.
    pub common: &'a CommonArgs,
    /// What is moved, and between whom.
    pub plan: Plan,
    /// The provider before; of a failover it is asked nothing.
    pub old: Host,
    /// The provider afterwards.
    pub new: Host,
    /// The other hosts; of a failover those that are held.
    pub others: Vec<Host>,
    /// How long a fence, a promotion, or what takes them back may take.
    pub limit: Duration,
    /// The final tick.
    pub last: Option<Position>,
    /// When the fence that this command has made was committed.
    pub fenced_at: Option<Instant>,
    /// The reign of the new provider.
    pub term: Option<i64>,
    /// What a failover has lost, as JSON.
    pub lost: Option<Value>,
    /// What the comparison of the tables has found, as JSON.
    pub verified: Option<Value>,
    /// How long no node has taken writes.
    pub pause: Option<Duration>,
    /// The other nodes, and whether each has turned to the new provider.
    pub followers: Vec<(String, bool)>,
    /// When the rows were told last that the command works.
    pub beaten_at: Instant,
}

/// Why a step was not done.
#[derive(Debug)]
pub(crate) struct Stop {
    /// How the command ends, once all is as before.
    pub exit: Exit,
    /// What went wrong.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Stop {
    /// The time was up.
    pub(crate) fn late(text: String) -> Stop {
        Stop {
            exit: Exit::TimedOut,
            text,
            hint: None,
        }
    }

    /// A node refused, or does not answer.
    pub(crate) fn of(node: &str, unanswered: &Unanswered) -> Stop {
        let exit = match unanswered {
            Unanswered::Refused(_) if !unanswered.is_lock_timeout() => Exit::Failed,
            Unanswered::Refused(_) | Unanswered::Lost(_) => Exit::TimedOut,
        };
        let hint = match unanswered {
            Unanswered::Refused(error) => error.hint().map(str::to_owned),
            Unanswered::Lost(_) => None,
        };
        Stop {
            exit,
            text: format!("{node}: {}", unanswered.text()),
            hint,
        }
    }

    /// The same as a failure, with what became of the two nodes.
    pub(crate) fn failure(self, state: &str) -> Failure {
        let failure = Failure::message(self.exit, format!("{}; {state}", self.text));
        Failure {
            hint: self.hint,
            ..failure
        }
    }
}

impl Work<'_> {
    /// What the provider before is called.
    pub(crate) fn old_name(&self) -> String {
        self.plan.old.title()
    }

    /// What the provider afterwards is called.
    pub(crate) fn new_name(&self) -> String {
        self.plan.new.title()
    }

    /// Prints what was done, unless JSON is printed at the end, or nothing.
    pub(crate) fn say(&self, line: &str) -> Result<(), Failure> {
        if self.options.json {
            return Ok(());
        }
        say(self.common, line)
    }

    /// Names the queue in what stopped the operation, if several queues are moved.
    pub(crate) fn of_queue(&self, stop: Stop, is_several: bool) -> Stop {
        if !is_several {
            return stop;
        }
        let text = format!("queue {}: {}", self.plan.queue, stop.text);
        Stop { text, ..stop }
    }

    /// Notes a step on the new provider's node.
    pub(crate) async fn note_new(&mut self, step: Step) -> Result<(), Unanswered> {
        let (queue, id, last) = (self.plan.queue.as_str(), self.plan.id, self.last);
        let noted = self
            .new
            .ask(async |session| operation::step(&**session, queue, id, step, last).await);
        noted.await.map(|_| ())
    }

    /// Notes a step on the old provider's node.
    pub(crate) async fn note_old(&mut self, step: Step) -> Result<(), Unanswered> {
        let (queue, id) = (self.plan.queue.as_str(), self.plan.id);
        let noted = self
            .old
            .ask(async |session| operation::step(&**session, queue, id, step, None).await);
        noted.await.map(|_| ())
    }

    /// Tells the rows now and then that the command still works. A row that is not told is no reason to stop.
    pub(crate) async fn beat(&mut self, step: Step) {
        if self.beaten_at.elapsed() < BEAT {
            return;
        }
        self.beaten_at = Instant::now();
        let _ = self.note_new(step).await;
        match self.plan.kind {
            Kind::Switchover => {
                let _ = self.note_old(step).await;
            }
            Kind::Failover => self.note_others(step).await,
        }
    }

    /// Notes a step on the nodes that are held.
    async fn note_others(&mut self, step: Step) {
        let (queue, id) = (self.plan.queue.as_str(), self.plan.id);
        for host in &mut self.others {
            let noted =
                host.ask(async |session| operation::step(&**session, queue, id, step, None).await);
            // One that has heard of the new provider has been let go.
            let _ = noted.await;
        }
    }

    /// Prints the JSON of the end, if it is wanted.
    pub(crate) fn report(&self, step: Step) -> Result<(), Failure> {
        if !self.options.json {
            return Ok(());
        }
        let followers = self.followers.iter();
        let followers: Vec<_> = followers
            .map(|(node, follows)| json!({"node": node, "follows": follows}))
            .collect();
        let mut report = json!({
            "queue": self.plan.queue,
            "operation": self.plan.id.0.to_string(),
            "step": step.as_str(),
            "term": self.term,
            "old": self.old_name(),
            "new": self.new_name(),
            "pause_ms": self.pause.map(|pause| pause.as_secs_f64() * 1000.0),
            "final_tick": self.last.map(|last| last.tick.id.0),
            "followers": followers,
        });
        if let (Some(lost), Some(report)) = (&self.lost, report.as_object_mut()) {
            report.insert("lost_possible".into(), lost.clone());
        }
        if let (Some(verified), Some(report)) = (&self.verified, report.as_object_mut()) {
            report.insert("verified".into(), verified.clone());
        }
        output::print_json(&report)
    }
}
