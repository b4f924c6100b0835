//! `replay add --create`: makes tables that the subscriber lacks as they are on the provider, with their sequences and
//! the other objects that they need.
//!
//! 1. `pg_dump` writes the provider's schema into an archive.
//! 2. Of the archive's list, the entries that the tables need and that do not exist yet are chosen (`archive`).
//! 3. The choice is refused if it holds code of a role that is no superuser of the provider (`untrusted_code`).
//! 4. `pg_restore` writes the chosen entries as SQL.
//! 5. The SQL runs in one transaction.
//!
//! A crash before the commit leaves nothing behind.

mod archive;

use std::collections::HashSet;

use admin::{
    config::SubscriberConfig,
    exit::{self, Exit, Failure},
};
use anyhow::{Context as _, anyhow};
use sql::{
    connect::{ApplicationName, Purpose, Session},
    moment::{self, LockTimeout as _, Tries},
    name::{TableName, quote_ident},
    object,
    provider::{Candidate, definition, untrusted_code},
    server,
    subscriber::relation,
};

use self::archive::{Address, Archive, Needed};
use super::{Job, label};
use crate::pg_dump::{PgDump, SESSION, for_server};

/// Makes the tables that the subscriber lacks, says so, and gives them. `dry_run`: only says so.
pub(super) async fn missing_tables(
    job: &Job,
    provider: &Session,
    (subscriber, one): (&Session, &SubscriberConfig),
    candidates: &[&Candidate],
    dry_run: bool,
) -> Result<HashSet<TableName>, Failure> {
    let missing = missing(subscriber, candidates)
        .await
        .with_context(|| format!("could not ask {}", label(one)))?;
    let names = missing.iter().map(|one| one.table.clone()).collect();
    if missing.is_empty() {
        return Ok(names);
    }
    if dry_run {
        for candidate in &missing {
            job.say(&format!(
                "{} would be made on {}",
                candidate.table,
                label(one)
            ))?;
        }
        return Ok(names);
    }
    let (provider_major, subscriber_major) =
        futures::try_join!(server::major(&**provider), server::major(&**subscriber))?;
    let pg_dump = PgDump::find(provider_major, "--create").await?;
    let making = Making {
        job,
        provider,
        subscriber,
        one,
    };
    let (archive, needed) = making.chosen(&pg_dump, &missing).await?;
    let script = pg_dump
        .script(&archive, &needed.entries)
        .await
        .context("could not read the dump")?;
    making.run(&for_server(&script, subscriber_major)).await?;
    for candidate in &missing {
        job.say(&format!("{} made on {}", candidate.table, label(one)))?;
    }
    making.tell_left_out(&needed.left_out).await?;
    Ok(names)
}

async fn missing<'a>(
    subscriber: &Session,
    candidates: &[&'a Candidate],
) -> Result<Vec<&'a Candidate>, sql::Error> {
    let names = candidates.iter().map(|one| &one.table);
    let there = relation::which_exist(&**subscriber, names).await?;
    let missing = candidates.iter().zip(there).filter(|(_, there)| !there);
    Ok(missing.map(|(candidate, _)| *candidate).collect())
}

/// Tables being made on one subscriber.
struct Making<'a> {
    job: &'a Job,
    provider: &'a Session,
    subscriber: &'a Session,
    one: &'a SubscriberConfig,
}

impl Making<'_> {
    /// The dump, and its entries that are to be made. The dump and each question about it see one snapshot: otherwise
    /// an owner could show one expression to the dump and another one to the check for code.
    async fn chosen(
        &self,
        pg_dump: &PgDump,
        missing: &[&Candidate],
    ) -> Result<(std::fs::File, Needed), Failure> {
        let snapshot = definition::begin_snapshot(&**self.provider).await?;
        let archive = self.dump(pg_dump, &snapshot).await?;
        let list = pg_dump
            .list(&archive)
            .await
            .context("could not list the dump")?;
        let needed = self.needed(&list, missing).await?;
        self.refuse_code(&needed).await?;
        self.provider
            .batch_execute("commit")
            .await
            .context("could not end a transaction on the provider")?;
        Ok((archive, needed))
    }

    async fn refuse_code(&self, needed: &Needed) -> Result<(), Failure> {
        let found =
            untrusted_code::untrusted(&**self.provider, needed.objects.iter().copied()).await?;
        if found.is_empty() {
            return Ok(());
        }
        Err(Failure::message(
            Exit::Failed,
            format!(
                "could not make the tables on {}: nothing was made, because these would run with the rights of \
                 replay's role there, and roles that are no superusers of the provider have written them: {}",
                label(self.one),
                found.join("; ")
            ),
        )
        .with_hint(
            "make these tables on the subscriber yourself, owned by a role without rights, \
            and add them without --create",
        ))
    }

    async fn dump(&self, pg_dump: &PgDump, snapshot: &str) -> Result<std::fs::File, Failure> {
        let unreadable = definition::unreadable_tables(&**self.provider).await?;
        let config = &self.job.config;
        Ok(pg_dump
            .dump(
                &config.provider.for_libpq(),
                ApplicationName::new(Purpose::PgDump, self.job.name()).as_str(),
                Some(snapshot),
                &unreadable,
            )
            .await
            .context("could not dump the provider's schema")?)
    }

    /// The entries that the tables need and that do not exist.
    async fn needed(&self, list: &str, missing: &[&Candidate]) -> Result<Needed, Failure> {
        let unclear = || {
            anyhow!(
                "the provider's tables have changed meanwhile, or pg_restore lists them in an unknown way"
            )
        };
        let archive = Archive::read(list).with_context(unclear)?;
        let oids: Vec<u32> = missing.iter().map(|one| one.oid).collect();
        let wanted = definition::whole_tables(&**self.provider, &oids).await?;
        let all = archive
            .needed(&wanted, &HashSet::new())
            .with_context(unclear)?;
        let there = self.there(&all.maybe_there).await?;
        Ok(archive.needed(&wanted, &there).with_context(unclear)?)
    }

    /// Which of the provider's objects the subscriber has, by name. Code among them that a weaker role owns there is
    /// refused: the tables would call it with the rights of replay's role.
    async fn there(&self, objects: &[(u32, Address)]) -> Result<HashSet<u32>, Failure> {
        let known = objects.iter().map(|(_, object)| *object);
        let addresses = object::addresses(&**self.provider, known).await?;
        let (mut there, mut of_others) = (HashSet::new(), Vec::new());
        for ((number, _), address) in objects.iter().zip(&addresses) {
            let found = object::find(&**self.subscriber, address)
                .await
                .with_context(|| format!("could not ask {}", label(self.one)))?;
            if let Some(found) = found {
                there.insert(*number);
                of_others.extend(found.code_of_other);
            }
        }
        if of_others.is_empty() {
            return Ok(there);
        }
        Err(Failure::message(
            Exit::Failed,
            format!(
                "could not make the tables on {}: nothing was made, because they would use these, \
                which are there already, with \
                 the rights of replay's role: {}",
                label(self.one),
                of_others.join("; ")
            ),
        )
        .with_hint(
            "give them to replay's role or a superuser on the subscriber, \
            or make these tables there yourself, owned by a role \
             without rights, and add them without --create",
        ))
    }

    /// Runs the entries in one transaction of a session of its own.
    async fn run(&self, entries: &str) -> Result<(), Failure> {
        let failed = || {
            format!(
                "could not make the tables on {}: nothing was made",
                label(self.one)
            )
        };
        // Other sessions queue behind each try, because a foreign key locks the table that it refers to.
        let script = format!(
            "begin; {}; {SESSION}\n{entries}\n; commit",
            moment::in_transaction()
        );
        let tries = Tries::within(moment::LIMIT);
        loop {
            let session = self.job.subscriber(self.one).await?;
            let Err(error) = session.batch_execute(&script).await else {
                return Ok(());
            };
            if let Err(error) = tries.again(error).await {
                let code = if error.is_lock_timeout() {
                    Exit::TimedOut
                } else {
                    Exit::Failed
                };
                let text = exit::one_line(&error);
                return Err(Failure::new(code, anyhow!("{text}").context(failed())));
            }
        }
    }

    async fn tell_left_out(&self, keys: &[Address]) -> Result<(), Failure> {
        let oids: Vec<u32> = keys.iter().map(|(_, oid)| *oid).collect();
        for key in definition::foreign_keys(&**self.provider, &oids).await? {
            eprintln!(
                "not made: foreign key {} of {}: {} is not on {}",
                quote_ident(&key.name),
                key.on,
                key.to,
                label(self.one)
            );
        }
        Ok(())
    }
}
