//! Rows of `trunkline.sequence_state` on a subscriber: the sequences that a consumer carries over.

use tokio_postgres::GenericClient;

use crate::{error::Error, name::TableName, provider::SequenceValue};

/// A sequence that is carried over.
#[derive(Clone, Debug)]
pub struct SequenceRow {
    /// The sequence's name, on the provider and on the subscriber.
    pub sequence: TableName,
    /// Why the sequence could not be set at the last try.
    pub error: Option<String>,
}

/// All sequences of a consumer, by name.
pub async fn list(client: &impl GenericClient, consumer: &str) -> Result<Vec<SequenceRow>, Error> {
    let rows = client
        .query(
            "select schema_name, sequence_name, error from trunkline.sequence_state \
             where consumer = $1 order by schema_name, sequence_name",
            &[&consumer],
        )
        .await
        .map_err(Error::database("read the sequences"))?;
    rows.iter()
        .map(|row| {
            Ok(SequenceRow {
                sequence: TableName::of(row)?,
                error: row.try_get(2)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read the sequences"))
}

/// The sequences that the jobs of a queue carry over to this database, by name.
pub async fn of_queue(client: &impl GenericClient, queue: &str) -> Result<Vec<TableName>, Error> {
    let rows = client
        .query(
            "select s.schema_name, s.sequence_name from trunkline.sequence_state s \
             join trunkline.position p on p.consumer = s.consumer where p.queue = $1 \
             group by s.schema_name, s.sequence_name order by s.schema_name, s.sequence_name",
            &[&queue],
        )
        .await
        .map_err(Error::database("read the sequences of a queue"))?;
    rows.iter()
        .map(TableName::of)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read the sequences of a queue"))
}

/// Another consumer that carries a sequence over to the same database: two would set it against each other.
pub async fn other_carrier(
    client: &impl GenericClient,
    consumer: &str,
    sequence: &TableName,
) -> Result<Option<String>, Error> {
    let row = client
        .query_opt(
            "select consumer from trunkline.sequence_state \
             where schema_name = $1 and sequence_name = $2 and consumer <> $3 order by 1 limit 1",
            &[&sequence.schema, &sequence.name, &consumer],
        )
        .await
        .map_err(Error::database("read the sequences"))?;
    row.map(|row| row.try_get(0))
        .transpose()
        .map_err(Error::database("read the sequences"))
}

/// Registers a sequence that the provider carries already; false if it is registered. The batch loop cannot commit
/// before it has read the new list.
pub async fn register(
    client: &impl GenericClient,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, Error> {
    let made = client
        .execute(
            "with made as ( \
                 insert into trunkline.sequence_state (consumer, schema_name, sequence_name) \
                 values ($1, $2, $3) on conflict do nothing returning consumer) \
             update trunkline.position p set tables_version = tables_version + 1 \
             from made where p.consumer = made.consumer",
            &[&consumer, &sequence.schema, &sequence.name],
        )
        .await
        .map_err(Error::database(format!("register sequence {sequence}")))?;
    Ok(made == 1)
}

/// Deletes a sequence; false if it was not registered.
pub async fn remove(
    client: &impl GenericClient,
    consumer: &str,
    sequence: &TableName,
) -> Result<bool, Error> {
    let gone = client
        .execute(
            "delete from trunkline.sequence_state \
             where consumer = $1 and schema_name = $2 and sequence_name = $3",
            &[&consumer, &sequence.schema, &sequence.name],
        )
        .await
        .map_err(Error::database(format!("remove sequence {sequence}")))?;
    Ok(gone == 1)
}

/// Sets a sequence of the subscriber to at least the provider's value, and at most `ahead` steps further. Gives the
/// server's error if the sequence could not be set.
pub async fn set(
    client: &impl GenericClient,
    consumer: &str,
    value: &SequenceValue,
    ahead: i32,
) -> Result<Option<String>, Error> {
    client
        .query_one(
            "select trunkline.set_sequence($1, $2, $3, $4, $5, $6, $7)",
            &[
                &consumer,
                &value.sequence.schema,
                &value.sequence.name,
                &value.last_value,
                &value.is_called,
                &value.increment,
                &ahead,
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("set sequence {}", value.sequence)))
}

/// The definition of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The sequence's name.
    pub sequence: TableName,
    /// Type, step, bounds and whether it cycles, in words.
    pub counts: String,
}

/// The definitions of sequences on a server; sequences that do not exist are left out.
pub async fn definitions(
    client: &impl GenericClient,
    sequences: &[TableName],
) -> Result<Vec<Definition>, Error> {
    let schemas: Vec<&str> = sequences.iter().map(|one| one.schema.as_str()).collect();
    let names: Vec<&str> = sequences.iter().map(|one| one.name.as_str()).collect();
    let rows = client
        .query(
            "select n.nspname::text, c.relname::text, \
                    pg_catalog.format('%s by %s from %s to %s%s', \
                        pg_catalog.format_type(s.seqtypid, null), s.seqincrement, s.seqmin, s.seqmax, \
                        case when s.seqcycle then ', cycling' else '' end) \
             from pg_catalog.pg_sequence s \
             join pg_catalog.pg_class c on c.oid = s.seqrelid \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where (n.nspname::text, c.relname::text) in ( \
                 select w.s, w.n from unnest($1::text[], $2::text[]) w (s, n))",
            &[&schemas, &names],
        )
        .await
        .map_err(Error::database("read how sequences count"))?;
    rows.iter()
        .map(|row| {
            Ok(Definition {
                sequence: TableName::of(row)?,
                counts: row.try_get(2)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read how sequences count"))
}
