//! `replay add --create`: makes tables that the subscriber lacks as they are on the provider, with their sequences and
//! the other objects that they need.
//!
//! 1. `pg_dump` writes the provider's schema into an archive.
//! 2. Of the archive's list, the entries that the tables need and that do not exist yet are chosen (`archive`).
//! 3. The choice is refused if it holds code of a role that is no superuser of the provider (`code`).
//! 4. `pg_restore` writes the chosen entries as SQL.
//! 5. The SQL runs in one transaction.
//!
//! A crash before the commit leaves nothing behind.

mod archive;
mod code;
mod pg_dump;

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
    provider::Candidate,
};
use tokio_postgres::error::SqlState;

use self::{
    archive::{Address, Archive, Needed, Wanted},
    pg_dump::PgDump,
};
use super::{Job, label};

/// The settings before the entries, as `pg_dump` itself would write them. The archive's own settings are left out,
/// because an older server does not know all of them.
const SESSION: &str = "set local check_function_bodies = off; set local xmloption = content; \
     set local client_min_messages = warning; set local standard_conforming_strings = on; \
     set local search_path = ''; ";

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
        .with_context(|| format!("could not look for tables on {}", label(one)))?;
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
    let (provider_major, subscriber_major) = futures::try_join!(major(provider), major(subscriber))
        .context("could not ask a version")?;
    let pg_dump = PgDump::find(provider_major).await?;
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
) -> Result<Vec<&'a Candidate>, tokio_postgres::Error> {
    let names: Vec<String> = candidates.iter().map(|one| one.table.quoted()).collect();
    let there = subscriber
        .query_one(
            "select array(select to_regclass(name) is not null \
                            from unnest($1::text[]) with ordinality n (name, place) order by place)",
            &[&names],
        )
        .await?
        .try_get::<_, Vec<bool>>(0)?;
    let missing = candidates.iter().zip(there).filter(|(_, there)| !there);
    Ok(missing.map(|(candidate, _)| *candidate).collect())
}

async fn major(session: &Session) -> Result<u32, tokio_postgres::Error> {
    let number: i32 = session
        .query_one("select current_setting('server_version_num')::int4", &[])
        .await?
        .try_get(0)?;
    Ok(number.unsigned_abs() / 10_000)
}

/// The entries of `pg_restore`'s script, without the settings before and the comment behind them, and without settings
/// that a server of this version does not know.
fn for_server(script: &str, major: u32) -> String {
    // If one of the two borders is not found nothing is cut there, so that no entry is lost.
    let entries = script
        .rsplit_once("\n--\n-- PostgreSQL database dump complete\n")
        .map_or(script, |(entries, _)| entries);
    let entries = entries
        .find("\n--\n-- Name: ")
        .and_then(|start| entries.get(start..))
        .unwrap_or(entries);
    if major >= 12 {
        return entries.to_owned();
    }
    entries.replace("\nSET default_table_access_method = heap;\n", "\n")
}

/// What an object of the subscriber's is, and whose, if it is or may become code, and belongs to a role that is neither
/// a superuser nor the current one. An error where there is none of that name.
const WHOSE_CODE: &str = "\
    select (select format('%s of role %I', pg_describe_object(a.classid, a.objid, 0), r.rolname) \
              from pg_catalog.pg_shdepend s join pg_catalog.pg_roles r on r.oid = s.refobjid \
             where s.classid = a.classid and s.objid = a.objid and s.objsubid = 0 and s.deptype = 'o' \
               and s.dbid = (select d.oid from pg_catalog.pg_database d \
                   where d.datname = pg_catalog.current_database()) \
               and not r.rolsuper and r.rolname <> current_user \
               and (a.classid in ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass, \
                                  'pg_catalog.pg_opclass'::regclass, 'pg_catalog.pg_opfamily'::regclass) \
                    or a.classid = 'pg_catalog.pg_type'::regclass \
                       and (select t.typtype in ('d', 'c', 'r', 'm') from pg_catalog.pg_type t \
                           where t.oid = a.objid))) \
      from pg_catalog.pg_get_object_address($1, $2, $3) a";

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
        let snapshot = self
            .snapshot()
            .await
            .context("could not export a snapshot of the provider")?;
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

    /// Begins a transaction on the provider, which the caller ends, and gives its snapshot's name.
    async fn snapshot(&self) -> Result<String, tokio_postgres::Error> {
        self.provider
            .batch_execute("begin isolation level repeatable read read only")
            .await?;
        self.provider
            .query_one("select pg_catalog.pg_export_snapshot()", &[])
            .await?
            .try_get(0)
    }

    async fn refuse_code(&self, needed: &Needed) -> Result<(), Failure> {
        let found = code::untrusted(self.provider, &needed.objects).await?;
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
        let unreadable = self
            .provider
            .query(
                "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where c.relkind in ('r', 'p') and c.relpersistence <> 't' and n.nspname !~ '^pg_' \
                    and n.nspname not in ('information_schema', 'pgq', 'pgq_ext', 'pgq_coop', 'trunkline') \
                    and not (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))",
                &[],
            )
            .await
            .context("could not list the provider's tables")?;
        let mut without = Vec::new();
        for row in &unreadable {
            let name = |at| {
                row.try_get::<_, String>(at)
                    .context("could not read a name")
            };
            without.push(format!(
                "{}.{}",
                in_pattern(&name(0)?),
                in_pattern(&name(1)?)
            ));
        }
        let config = &self.job.config;
        Ok(pg_dump
            .dump(
                &config.provider.for_libpq(),
                ApplicationName::new(Purpose::PgDump, self.job.name()).as_str(),
                snapshot,
                &without,
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
        let wanted = self
            .wanted(&oids)
            .await
            .context("could not read the tables' partitions")?;
        let all = archive
            .needed(&wanted, &HashSet::new())
            .with_context(unclear)?;
        let there = self.there(&all.maybe_there).await?;
        Ok(archive.needed(&wanted, &there).with_context(unclear)?)
    }

    async fn wanted(&self, oids: &[u32]) -> Result<Wanted, tokio_postgres::Error> {
        let row = self
            .provider
            .query_one(
                "with recursive tree as ( \
                     select c.oid, c.relkind from pg_catalog.pg_class c where c.oid = any ($1) \
                     union all \
                     select c.oid, c.relkind from tree t \
                       join pg_catalog.pg_inherits i on t.relkind = 'p' and i.inhparent = t.oid \
                       join pg_catalog.pg_class c on c.oid = i.inhrelid) \
                 select array(select oid from tree), \
                        array(select k.oid from pg_catalog.pg_constraint k join tree t on t.oid = k.conrelid \
                               where k.contype = 'f')",
                &[&oids],
            )
            .await?;
        let foreign_keys: Vec<u32> = row.try_get(1)?;
        Ok(Wanted {
            tables: row.try_get(0)?,
            foreign_keys: foreign_keys.into_iter().collect(),
        })
    }

    /// Which of the provider's objects the subscriber has, by name. Code among them that a weaker role owns there is
    /// refused: the tables would call it with the rights of replay's role.
    async fn there(&self, objects: &[(u32, Address)]) -> Result<HashSet<u32>, Failure> {
        let (catalogs, oids): (Vec<u32>, Vec<u32>) =
            objects.iter().map(|(_, address)| *address).unzip();
        let addresses = self
            .provider
            .query(
                "select a.type, a.object_names, a.object_args \
                   from unnest($1::oid[], $2::oid[]) with ordinality o (catalog, oid, place) \
                  cross join lateral pg_identify_object_as_address(o.catalog, o.oid, 0) a \
                  order by o.place",
                &[&catalogs, &oids],
            )
            .await
            .context("could not read the names of what the tables need")?;
        let (mut there, mut of_others) = (HashSet::new(), Vec::new());
        for ((number, _), row) in objects.iter().zip(&addresses) {
            if let Some(code) = self.find(row).await? {
                there.insert(*number);
                of_others.extend(code);
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

    /// Looks for an object on the subscriber: none if it has none of that name, else what it is there if it is code of
    /// a weaker role.
    async fn find(&self, address: &tokio_postgres::Row) -> Result<Option<Option<String>>, Failure> {
        let read = || "could not read the name of what a table needs";
        let kind: String = address.try_get(0).with_context(read)?;
        let names: Vec<String> = address.try_get(1).with_context(read)?;
        let arguments: Vec<String> = address.try_get(2).with_context(read)?;
        let found = self
            .subscriber
            .query_one(WHOSE_CODE, &[&kind, &names, &arguments])
            .await;
        match found {
            Ok(row) => Ok(Some(row.try_get(0).with_context(read)?)),
            Err(error) => match error.code() {
                Some(
                    &SqlState::UNDEFINED_OBJECT
                    | &SqlState::UNDEFINED_TABLE
                    | &SqlState::UNDEFINED_FUNCTION
                    | &SqlState::INVALID_SCHEMA_NAME
                    | &SqlState::WRONG_OBJECT_TYPE,
                ) => Ok(None),
                Some(_) | None => Err(error)
                    .with_context(|| {
                        format!(
                            "could not look for {kind} {} on {}",
                            names.join("."),
                            label(self.one)
                        )
                    })
                    .map_err(Failure::from),
            },
        }
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
        let rows = self
            .provider
            .query(
                "select k.conname::text, n.nspname::text, c.relname::text, f.nspname::text, r.relname::text \
                   from pg_catalog.pg_constraint k \
                   join pg_catalog.pg_class c on c.oid = k.conrelid \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                   join pg_catalog.pg_class r on r.oid = k.confrelid \
                   join pg_catalog.pg_namespace f on f.oid = r.relnamespace \
                  where k.oid = any ($1) order by 2, 3, 1",
                &[&oids],
            )
            .await
            .context("could not read the names of foreign keys")?;
        for row in &rows {
            let text = |at| {
                row.try_get::<_, String>(at)
                    .context("could not read a name")
            };
            let on = TableName::new(text(1)?, text(2)?);
            let to = TableName::new(text(3)?, text(4)?);
            eprintln!(
                "not made: foreign key {} of {on}: {to} is not on {}",
                quote_ident(&text(0)?),
                label(self.one)
            );
        }
        Ok(())
    }
}

/// A name that stands for itself in a pattern of `pg_dump`.
fn in_pattern(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_entries_of_a_script_are_run() {
        let script = "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\nSET transaction_timeout = 0;\n\
             \n--\n-- Name: t; Type: TABLE; Schema: public; Owner: -\n--\n\nSET default_table_access_method = heap;\n\n\
             create table t ();\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n";
        let newer = for_server(script, 12);
        assert!(
            newer.contains("create table t ();") && newer.contains("= heap"),
            "{newer}"
        );
        assert!(
            !newer.contains("restrict") && !newer.contains("transaction_timeout"),
            "{newer}"
        );
        assert!(!for_server(script, 11).contains("heap"));
    }
}
