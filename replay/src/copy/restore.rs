//! Brings back the indexes and constraints that a copy took away from a table. First come objects that can be built
//! independently, in several sessions at once; then constraints, marks and comments in one transaction; then each
//! foreign key that refers to the table.

use std::sync::Arc;

use sql::{
    connect::Purpose,
    moment::{self, Tries},
    name::{TableName, quote_ident},
    subscriber::{
        definition, foreign_keys,
        kept_ddl::{self, Kept},
        relation,
        session_role::SessionRole,
    },
};
use tokio::task::JoinSet;
use tokio_postgres::{Client, error::SqlState};
use tracing::{info, warn};

use super::{pooled::Borrowed, table_lock};
use crate::{
    apply::{owner::Hold, table::Acting},
    subscriber::shared::Subscription,
    trouble::Trouble,
};

/// Building an index gets at least this much `maintenance_work_mem`; more where the server's
/// own setting is more.
const WORK_MEM_KB: i64 = 256 * 1024;

/// Brings back the kept objects of a table. There is nothing to do if nothing was taken away.
pub(crate) async fn table(sub: &Arc<Subscription>, table: &TableName) -> Result<(), Trouble> {
    let session = sub.subscriber_session(Purpose::CopyIn).await?;
    let kept = of_table(sub, &session, table).await?;
    let objects = kept.len();
    if objects == 0 {
        return Ok(());
    }
    let started = std::time::Instant::now();
    let mut builds: JoinSet<Result<(), Trouble>> = JoinSet::new();
    for one in kept.iter().filter(|one| !one.build.is_empty()) {
        let (sub, one) = (Arc::clone(sub), one.clone());
        builds.spawn(async move {
            let _stream = sub.streams.acquire().await.map_err(|_| Trouble::Stale)?;
            let borrowed = Borrowed::from(&sub.copy_in, "subscriber").await?;
            build(borrowed.client()?, sub.settings.session_role, &one).await?;
            borrowed.give_back();
            Ok(())
        });
    }
    let mut failed = None;
    while let Some(ended) = builds.join_next().await {
        let result = ended.map_err(Trouble::broken_off("the building of an index broke off"))?;
        // The other objects go on: what is built stays.
        failed = failed.or(result.err());
    }
    let kept = of_table(sub, &session, table).await?;
    let (keys, mut own): (Vec<&Kept>, Vec<&Kept>) = kept
        .iter()
        .filter(|one| one.build.is_empty())
        .partition(|one| one.is_foreign_key());
    // Partitions first: an index of a partitioned table would build the missing index of a partition
    // under a generated name. Within a level in the order in which they were taken away, which is the
    // same order of locks and of names each time. The numbers alone do not say which stands above: a
    // second copy takes the index of a partition away while that of its table still waits.
    own.retain(|one| failed.is_none() || !one.of_parts);
    own.sort_by_key(|one| (std::cmp::Reverse(one.depth), one.id));
    attach(&session, sub.settings.session_role, &own).await?;
    if let Some(trouble) = failed {
        return Err(trouble);
    }
    for key in keys.iter().filter(|key| !key.attach.is_empty()) {
        attach(
            &session,
            sub.settings.session_role,
            std::slice::from_ref(key),
        )
        .await?;
    }
    info!(%table, objects, seconds = started.elapsed().as_secs_f64(), "indexes and constraints are back");
    Ok(())
}

async fn of_table(
    sub: &Subscription,
    session: &Client,
    table: &TableName,
) -> Result<Vec<Kept>, Trouble> {
    let kept = kept_ddl::list(session, &sub.consumer).await?;
    Ok(kept.into_iter().filter(|one| one.table == *table).collect())
}

/// The advice if a table's rows violate a constraint.
const ROWS_BREAK_IT: &str = "its rows do not keep it: change them on the subscriber, and it is tried \
     again by itself; or on the provider, and then: replay resync TABLE";

fn not_brought_back(one: &Kept) -> String {
    format!(
        "could not bring back {}, which its copy had taken away",
        one.label()
    )
}

/// Wraps the error of a look into the catalog.
fn cannot_look(one: &Kept) -> impl FnOnce(sql::Error) -> Trouble {
    Trouble::sql_at_table(&one.table, not_brought_back(one))
}

fn cannot(one: &Kept) -> impl FnOnce(tokio_postgres::Error) -> Trouble {
    let (table, doing) = (one.table.clone(), not_brought_back(one));
    move |error| {
        let of_rows = error
            .code()
            .is_some_and(|state| state.code().starts_with("23"));
        match Trouble::at_table(&table, doing)(error) {
            Trouble::Table(trouble) if of_rows => trouble.advised(ROWS_BREAK_IT).into(),
            other @ (Trouble::Passing { .. }
            | Trouble::Table(_)
            | Trouble::Operator { .. }
            | Trouble::Stale) => other,
        }
    }
}

/// Runs one object's statements in a transaction, with the row locked. If the object exists already as it was, because
/// somebody made it by hand, it counts as brought back.
async fn build(session: &Client, role: SessionRole, one: &Kept) -> Result<(), Trouble> {
    session
        .batch_execute(&format!(
            "begin isolation level read committed; {}; \
             select set_config('maintenance_work_mem', greatest(setting::int8, {WORK_MEM_KB})::text, true) \
               from pg_settings where name = 'maintenance_work_mem'; \
             savepoint build",
            role.for_transaction()
        ))
        .await
        .map_err(Trouble::database("could not begin on the subscriber"))?;
    if !relation::exists(session, &one.on)
        .await
        .map_err(cannot_look(one))?
    {
        kept_ddl::forget(session, one)
            .await
            .map_err(Trouble::of_table(&one.table))?;
    } else if kept_ddl::lock(session, one)
        .await
        .map_err(Trouble::of_table(&one.table))?
    {
        let acting = Acting::find_and_hold(session, &one.table, &one.on, Hold::ToRead).await?;
        for statement in &one.build {
            let Err(error) = run_as(&acting, session, statement).await else {
                continue;
            };
            session
                .batch_execute("rollback to savepoint build")
                .await
                .map_err(Trouble::database("could not roll back on the subscriber"))?;
            if !is_there(session, one, &error).await? {
                return give_up(session, one, error).await;
            }
        }
        kept_ddl::built(session, one)
            .await
            .map_err(Trouble::of_table(&one.table))?;
    }
    table_lock::commit(session, &one.table).await
}

/// Stores why an object could not be brought back, and returns the reason as the table's trouble.
async fn give_up(
    session: &Client,
    one: &Kept,
    error: tokio_postgres::Error,
) -> Result<(), Trouble> {
    let trouble = cannot(one)(error);
    if let Trouble::Table(_) = trouble {
        let stored = kept_ddl::show_error(session, one, &trouble.chain()).await;
        if stored.is_ok() && session.batch_execute("commit").await.is_ok() {
            return Err(trouble);
        }
    }
    // The session is of no use after a failed transaction; the caller throws it away.
    let _ = session.batch_execute("rollback").await;
    Err(trouble)
}

/// Whether there is an index with the name, and it is the index that was taken away.
async fn is_there(
    session: &Client,
    one: &Kept,
    error: &tokio_postgres::Error,
) -> Result<bool, Trouble> {
    if error.code() != Some(&SqlState::DUPLICATE_TABLE) {
        return Ok(false);
    }
    let index = TableName::new(one.on.schema.clone(), one.name.clone());
    definition::is_index_made_by(session, &index, &one.build)
        .await
        .map_err(cannot_look(one))
}

/// Runs the statements for when all of a table is built, in one transaction, under the table's lock.
async fn attach(session: &Client, role: SessionRole, all: &[&Kept]) -> Result<(), Trouble> {
    let tries = Tries::within(moment::LIMIT);
    loop {
        match try_attach(session, role, all).await {
            Ok(done) => return Ok(done),
            Err(trouble) => table_lock::again(session, &tries, trouble).await?,
        }
    }
}

async fn try_attach(session: &Client, role: SessionRole, all: &[&Kept]) -> Result<(), Trouble> {
    let Some(first) = all.first() else {
        return Ok(());
    };
    table_lock::begin(session, role).await?;
    for one in all {
        if !kept_ddl::lock(session, one)
            .await
            .map_err(Trouble::of_table(&one.table))?
        {
            continue;
        }
        if !relation::exists(session, &one.on)
            .await
            .map_err(cannot_look(one))?
        {
            tell_gone(one);
            kept_ddl::forget(session, one)
                .await
                .map_err(Trouble::of_table(&one.table))?;
            continue;
        }
        let made_by_hand = is_made(session, one).await.map_err(cannot_look(one))?;
        let attach: &[String] = if made_by_hand { &[] } else { &one.attach };
        let acting = Acting::find_and_hold(session, &one.table, &one.on, Hold::ToRead).await?;
        for statement in attach {
            // A foreign key that is not valid yet computes nothing of the owner's, who may lack REFERENCES on the other
            // table.
            if one.is_foreign_key() {
                acting.execute_here(session, statement).await.map(|_| ())
            } else {
                run_as(&acting, session, statement).await
            }
            .map_err(cannot(one))?;
        }
        kept_ddl::attached(session, one)
            .await
            .map_err(Trouble::of_table(&one.table))?;
    }
    table_lock::commit(session, &first.table).await
}

fn tell_gone(one: &Kept) {
    warn!(table = %one.on, object = %one.label(), "what a copy had taken away is gone with its table");
}

/// Runs a statement that brings an object back as the table's owner. The server builds an index as the owner whoever
/// asks for it. But before that it has read the definition as the role that asks, and reading a constant may call the
/// check of a domain. A setting of the transaction would end with the owner's statement, so the session sets it.
async fn run_as(
    acting: &Acting,
    session: &Client,
    statement: &str,
) -> Result<(), tokio_postgres::Error> {
    if statement.starts_with("set local ") {
        return session.batch_execute(statement).await;
    }
    acting.execute(session, statement).await.map(|_| ())
}

/// Whether the object that the statements make exists already, because somebody made it by hand.
async fn is_made(session: &Client, one: &Kept) -> Result<bool, sql::Error> {
    if one.kind == "index" {
        let index = TableName::new(one.on.schema.clone(), one.name.clone());
        return if one.of_parts {
            relation::exists(session, &index).await
        } else {
            Ok(false)
        };
    }
    definition::has_constraint(session, &one.on, &one.name).await
}

/// Validates a foreign key whose tables are both copied. Waits as long as that takes.
pub(super) async fn validate(sub: &Subscription, one: &Kept) -> Result<(), Trouble> {
    let session = sub.subscriber_session(Purpose::CopyIn).await?;
    let validated = try_validate(&session, one).await;
    if let Err(trouble @ Trouble::Table(_)) = &validated {
        // The failed transaction holds the row's lock until it ends: a savepoint has kept it.
        session
            .batch_execute("rollback")
            .await
            .map_err(Trouble::database("could not roll back on the subscriber"))?;
        kept_ddl::show_error(&*session, one, &trouble.chain())
            .await
            .map_err(Trouble::of_table(&one.table))?;
    }
    validated
}

async fn try_validate(session: &Client, one: &Kept) -> Result<(), Trouble> {
    // A foreign key with nothing to validate is forgotten when it is attached, and does not come here.
    let statements = one.validate.as_deref().unwrap_or_default();
    session
        .batch_execute("begin isolation level read committed")
        .await
        .map_err(cannot(one))?;
    if kept_ddl::lock(session, one)
        .await
        .map_err(Trouble::of_table(&one.table))?
    {
        if relation::exists(session, &one.on)
            .await
            .map_err(cannot_look(one))?
        {
            let acting = Acting::find_and_hold(session, &one.table, &one.on, Hold::ToRead).await?;
            let refers = Referring {
                session,
                one,
                acting: &acting,
            };
            refers.run(statements).await?;
        } else {
            tell_gone(one);
        }
        kept_ddl::forget(session, one)
            .await
            .map_err(Trouble::of_table(&one.table))?;
    }
    table_lock::commit(session, &one.table).await
}

/// A foreign key that is brought back as its table's owner.
struct Referring<'a> {
    session: &'a Client,
    one: &'a Kept,
    acting: &'a Acting,
}

impl Referring<'_> {
    /// Runs the statements that validate the foreign key. If somebody else had made it, the owner may lack the right to
    /// make it anew: REFERENCES on the other table. Then the right is lent, inside a transaction, so that no other
    /// session sees it.
    async fn run(&self, statements: &[String]) -> Result<(), Trouble> {
        let run = async || {
            for statement in statements {
                self.acting.execute(self.session, statement).await?;
            }
            Ok::<(), tokio_postgres::Error>(())
        };
        let cannot = || cannot(self.one);
        let say = async |sql: &str| self.session.batch_execute(sql).await.map_err(cannot());
        say("savepoint referring").await?;
        let denied = match (run().await, self.acting.role()) {
            (Err(error), Some(role)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                Some((error, role))
            }
            (Err(error), _) => return Err(cannot()(error)),
            (Ok(()), _) => None,
        };
        let Some((error, role)) = denied else {
            return say("release savepoint referring").await;
        };
        say("rollback to savepoint referring").await?;
        // If the role had the right on some columns, revoking the lent right would revoke that, too.
        let lendable = foreign_keys::not_referable(self.session, &self.one.table, role).await;
        let Some(table) = lendable.map_err(cannot_look(self.one))? else {
            return Err(cannot()(error));
        };
        let role_name = quote_ident(role);
        say(&format!("grant references on {table} to {role_name}")).await?;
        run().await.map_err(cannot())?;
        say(&format!("revoke references on {table} from {role_name}")).await
    }
}

/// Brings back the given objects, one after the other over one session, and gives the result of each. Foreign keys are
/// also validated, if asked for.
pub(crate) async fn by_hand(
    session: &Client,
    role: SessionRole,
    kept: Vec<Kept>,
    validates: bool,
) -> Vec<(String, Result<(), Trouble>)> {
    let mut done: Vec<(String, Result<(), Trouble>)> = Vec::new();
    for one in kept {
        if one.of_parts && done.iter().any(|(_, result)| result.is_err()) {
            let waits = Trouble::table(
                &one.table,
                "an index of a partitioned table has to wait",
                "it comes back when all of its partitions' are".into(),
                "repeat it when those are back",
            );
            done.push((one.label(), Err(waits)));
            continue;
        }
        let result = one_by_hand(session, role, &one, validates).await;
        if result.is_err() {
            // If the session is lost, the next object reports it.
            let _ = session.batch_execute("rollback").await;
        }
        done.push((one.label(), result));
    }
    done
}

async fn one_by_hand(
    session: &Client,
    role: SessionRole,
    one: &Kept,
    validates: bool,
) -> Result<(), Trouble> {
    if !one.build.is_empty() {
        build(session, role, one).await?;
    }
    attach(session, role, &[one]).await?;
    if validates && one.validate.is_some() {
        try_validate(session, one).await?;
    }
    Ok(())
}
