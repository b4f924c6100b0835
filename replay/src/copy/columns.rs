//! Columns that a table lacks which is to be copied: where columns follow the provider's (`replicate_ddl`), they are
//! made before its rows come. A change of columns that asks for a copy is not made by its own event, because the rows
//! that it has written are not there.

use sql::{connect::Session, provider, subscriber::table_state::TableRow};
use tracing::info;

use super::{source::Source, table_lock};
use crate::{
    apply::alter::Alter, change::altered::Altered, subscriber::shared::Subscription,
    trouble::Trouble,
};

/// Makes what the table lacks, in a transaction of its own.
pub(super) async fn make(
    sub: &Subscription,
    row: &TableRow,
    source: &Source,
    session: &Session,
) -> Result<(), Trouble> {
    if !sub.replicates_columns || row.mapping.merge.is_some() {
        return Ok(());
    }
    let shape = &source.shape;
    let made_of = provider::made_of(&**source.session, shape.shape).await;
    let made_of = made_of.map_err(Trouble::of_table(&row.table))?;
    let now = shape.table_name();
    let alter = Alter {
        session,
        table: &row.table,
        name: row.mapping.target_of(&now),
        session_role: sub.settings.session_role,
    };
    let lacking = |here: &_| {
        let lacking = Altered::lacking(shape, &made_of, here);
        lacking.taken(|attnum, name| row.mapping.takes_column(attnum, name))
    };
    let here = alter.columns().await?;
    if alter.steps(&lacking(&here), &here)?.is_empty() {
        return Ok(());
    }
    table_lock::begin(session, sub.settings.session_role).await?;
    let made = async {
        // Somebody may have changed the columns while the lock was waited for.
        alter.lock().await?;
        let here = alter.columns().await?;
        alter.run(&alter.steps(&lacking(&here), &here)?).await
    };
    let done = match made.await {
        Ok(done) => done,
        Err(trouble) => {
            let rolled_back = session.batch_execute("rollback").await;
            rolled_back.map_err(Trouble::database("could not roll back on the subscriber"))?;
            return Err(trouble);
        }
    };
    table_lock::commit(session, &row.table).await?;
    for doing in done {
        info!(table = %row.table, %doing, tick = source.tick.id.0, "table altered");
    }
    Ok(())
}
