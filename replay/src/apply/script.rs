//! Executes a script of the provider in the open transaction, and puts the session's settings back.
//!
//! A script is written for an ordinary session: its triggers fire, and it may set whatever it needs. What follows it in
//! the same transaction, and the move of the position, need the settings that an applying session has. Statements are
//! sent one by one in the form that takes one statement only, so no text ends the transaction.

use sql::{
    connect::SETUP,
    name::TableName,
    script::{
        Script,
        logged::{self, LoggedScript},
        made::Relations,
        needs,
        record::{self, OpenScript, State, Why},
        statements::{self, Statement},
    },
    subscriber::session_role::SessionRole,
};

use super::ApplyTx;
use crate::trouble::Trouble;

/// Who holds one of its tables for long keeps the subscriber for this long, and then its tables alone: the script is
/// tried again between two batches. Readers of the tables wait behind it meanwhile.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '2s'";

/// What a script may have changed in the session, and the settings do not say.
const RESET: &str = "reset session authorization; reset role; reset all";

impl ApplyTx<'_> {
    /// The state of a script on this subscriber; none: it did not come yet.
    pub(crate) async fn script_state(
        &self,
        script: &Script,
    ) -> Result<Option<(State, Option<Why>)>, Trouble> {
        Ok(record::state(&*self.applier.session, &self.applier.consumer, script).await?)
    }

    /// The same, held until the transaction's end.
    pub(crate) async fn hold_script(
        &self,
        script: &Script,
    ) -> Result<Option<(State, Option<Why>)>, Trouble> {
        Ok(record::hold(&*self.applier.session, &self.applier.consumer, script).await?)
    }

    /// Whether it was executed in this database, for whichever consumer; no other one begins it until the transaction's
    /// end.
    pub(crate) async fn script_is_done_here(&self, script: &Script) -> Result<bool, Trouble> {
        Ok(record::is_done_here(&*self.applier.session, script).await?)
    }

    /// The consumer's scripts that are not over, in order.
    pub(crate) async fn open_scripts(&self) -> Result<Vec<OpenScript>, Trouble> {
        Ok(record::open(&*self.applier.session, &self.applier.consumer).await?)
    }

    /// Gives a script that is not over the names that it has at another provider, if that has logged it.
    pub(crate) async fn translate_script(
        &self,
        open: &OpenScript,
        there: Option<&LoggedScript>,
        why: &Why,
    ) -> Result<(), Trouble> {
        let consumer = &self.applier.consumer;
        Ok(record::translate(&*self.applier.session, consumer, (open, there), why).await?)
    }

    /// Notes that the position goes past a script that is not over, in the transaction that moves the position.
    pub(crate) async fn pass_script(&self, script: &Script) -> Result<(), Trouble> {
        Ok(record::pass(&*self.applier.session, &self.applier.consumer, script).await?)
    }

    /// The same of a script that nothing was noted of before: it waits.
    pub(crate) async fn leave_script(
        &self,
        queue: &str,
        script: &Script,
        why: &Why,
    ) -> Result<(), Trouble> {
        let of = (queue, self.applier.consumer.as_str());
        let session = &*self.applier.session;
        record::note(session, of, script, State::Waiting, (Some(why), &[])).await?;
        self.pass_script(script).await
    }

    /// Executes a script, with everything before it written. Gives the tables and sequences that it has made.
    ///
    /// # Errors
    /// The trouble of the statement that failed; the transaction is then of no use.
    pub(crate) async fn execute(
        &mut self,
        script: &Script,
    ) -> Result<Vec<(String, TableName)>, Trouble> {
        let cut = statements::statements(&script.sql).map_err(|bad| Trouble::Operator {
            doing: format!("script {} cannot be executed here", script.id),
            advice: "the provider is of another version: upgrade this program".into(),
            source: anyhow::Error::new(bad),
        })?;
        if self.applier.session_role == SessionRole::Replica {
            self.set("set local session_replication_role = origin")
                .await?;
        }
        self.set(LOCK_TIMEOUT).await?;
        let before = Relations::read(&*self.applier.session).await?;
        for statement in &cut {
            self.run_statement(script, statement).await?;
        }
        // Else they would fail at the commit, where nobody knows that they are the script's.
        self.set("set constraints all immediate").await?;
        let settings = self.applier.session_role.for_session();
        self.set(RESET).await?;
        self.set(SETUP).await?;
        self.set(&settings).await?;
        // A chunk that is rolled back later must not take the script along.
        self.set("release savepoint chunk; savepoint chunk").await?;
        self.applier.writable.clear();
        self.done.held.clear();
        Ok(before.made_since(&*self.applier.session).await?)
    }

    async fn run_statement(&self, script: &Script, one: &Statement<'_>) -> Result<(), Trouble> {
        let run = self.applier.session.execute(one.text, &[]).await;
        run.map(|_| ()).map_err(Trouble::database(format!(
            "script {} failed in line {}",
            script.id, one.line
        )))
    }

    async fn set(&self, settings: &str) -> Result<(), Trouble> {
        let set = self.applier.session.batch_execute(settings).await;
        set.map_err(Trouble::database("could not set the session for a script"))
    }

    /// Notes that a script is over, and what it has made, in the transaction that has executed it, or has found that it
    /// is not for this database.
    pub(crate) async fn note_script(
        &self,
        queue: &str,
        script: &Script,
        (state, made): (State, &[(String, TableName)]),
    ) -> Result<(), Trouble> {
        let of = (queue, self.applier.consumer.as_str());
        if record::note(&*self.applier.session, of, script, state, (None, made)).await? {
            return Ok(());
        }
        // Somebody has dropped it meanwhile.
        Err(Trouble::Stale)
    }

    /// A number that all that the transaction logs from here on is above, in a queue of this database.
    pub(crate) async fn script_mark(&self, queue: &str) -> Result<i64, Trouble> {
        Ok(logged::mark(&*self.applier.session, queue).await?)
    }

    /// Passes a script on, which the transaction has executed, to those who read a queue of this database.
    pub(crate) async fn pass_script_on(
        &self,
        queue: &str,
        script: &Script,
        (after, tick): (i64, Option<i64>),
    ) -> Result<(), Trouble> {
        let session = &*self.applier.session;
        let here = Script {
            tick,
            tables: logged::touched(session, queue).await?,
            ..script.clone()
        };
        Ok(logged::pass_on(session, queue, &here, after).await?)
    }

    /// The first thing that a script needs and this database does not have, in words.
    pub(crate) async fn lacks_for(&self, script: &Script) -> Result<Option<String>, Trouble> {
        let attributes = script.attributes().map_err(|bad| Trouble::Operator {
            doing: format!("script {} cannot be executed here", script.id),
            advice: "the provider is of another version: upgrade this program".into(),
            source: anyhow::Error::new(bad),
        })?;
        let (session, consumer) = (&*self.applier.session, &self.applier.consumer);
        Ok(needs::unmet(session, consumer, &attributes).await?)
    }
}
