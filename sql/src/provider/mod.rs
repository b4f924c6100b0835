//! The provider's functions that replay calls: reading batches, holding the queue, and making capture. One function
//! here calls one function of the provider.

pub mod copy;
pub mod definition;
pub mod filter;

mod batch;
mod captures;
pub mod foreign_code;
mod made_of;
mod names;
mod path;
mod place;
mod problems;
mod sequences;
pub mod untrusted_code;

use tokio_postgres::{Client, GenericClient, SimpleQueryMessage};

pub use self::{
    batch::{
        Batch, BatchFinder, Next, Only, TickBetween, Want, consumer_position, current_snapshot,
        tell_applied, tick_containing, ticks_between,
    },
    captures::{Capture, CapturedFor, captures, end_capture},
    made_of::made_of,
    names::{last_names, table_name},
    path::{node_path, path_of_rows},
    place::{
        Heir, PlaceAnswer, PlaceFound, Places, TableOrigin, TickFound, heirs, last_origin,
        place_of, queue_epoch, table_origins,
    },
    problems::{CaptureProblem, capture_problems},
    sequences::{
        SequenceValue, add_sequence, all_sequence_values, remove_sequence, sequence_candidates,
        sequence_values, sequences_of,
    },
};
use crate::{error::Error, event::mapping::ProviderColumn, name::TableName};

/// A table that could be replicated, or why it cannot.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The table.
    pub table: TableName,
    /// The table's oid.
    pub oid: u32,
    /// Whether the table is captured for some consumer already.
    pub captured: bool,
    /// Why the table cannot be added, and what to do about that; none if it can be added.
    pub refusal: Option<(String, Option<String>)>,
    /// The columns by which the table's rows are told apart; empty if the table cannot be added, or if its rows are not
    /// told apart by a key.
    pub key: Vec<String>,
    /// The table is a partition, and is added with its partitioned table.
    pub is_part: bool,
}

impl Candidate {
    /// Why the table cannot be added, with what to do about that; none if it can be added.
    pub fn why_not(&self) -> Option<String> {
        self.refusal.as_ref().map(|(reason, hint)| match hint {
            Some(hint) => format!("{reason} ({hint})"),
            None => reason.clone(),
        })
    }
}

/// How the rows of a table must be told apart, by the argument of `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WantedIdentity {
    /// As the table itself says: by its primary key, or the like.
    #[default]
    Own,
    /// By these columns.
    Columns(Vec<String>),
    /// By all columns.
    Full,
    /// Rows are not told apart: rows are only added.
    InsertOnly,
}

impl WantedIdentity {
    /// The two arguments of the provider's functions for this identity.
    fn arguments(&self) -> (Option<&'static str>, Option<&[String]>) {
        match self {
            WantedIdentity::Own => (None, None),
            WantedIdentity::Columns(columns) => (Some("key"), Some(columns)),
            WantedIdentity::Full => (Some("full"), None),
            WantedIdentity::InsertOnly => (Some("insert-only"), None),
        }
    }
}

/// All tables of the provider that a user could mean by `add --all`, each with whether it can be added with this
/// identity.
pub async fn candidates(
    client: &impl GenericClient,
    queue: &str,
    identity: &WantedIdentity,
) -> Result<Vec<Candidate>, Error> {
    let (identity, columns) = identity.arguments();
    let rows = client
        .query(
            "select schema_name, table_name, table_oid, captured, reason, hint, key_columns, \
                    is_part \
             from trunkline.candidates($1, $2, $3) order by schema_name, table_name",
            &[&queue, &identity, &columns],
        )
        .await
        .map_err(Error::database("list the provider's tables"))?;
    rows.iter()
        .map(|row| {
            let reason: Option<String> = row.try_get(4)?;
            let hint: Option<String> = row.try_get(5)?;
            Ok(Candidate {
                table: TableName::of(row)?,
                oid: row.try_get(2)?,
                captured: row.try_get(3)?,
                refusal: reason.map(|reason| (reason, hint)),
                key: row
                    .try_get::<_, Option<Vec<String>>>(6)?
                    .unwrap_or_default(),
                is_part: row.try_get(7)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("list the provider's tables"))
}

/// The size of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableSize {
    /// The table's oid.
    pub table_oid: u32,
    /// Bytes of the table's rows, with those of its partitions, by the server's statistics.
    pub bytes: i64,
    /// Rows, by the server's statistics.
    pub rows_estimated: i64,
}

/// The sizes of tables; tables that do not exist are left out. The sizes come from the catalog alone: a question to a
/// table itself would wait for a session that has the table locked.
pub async fn table_sizes(
    client: &impl GenericClient,
    table_oids: &[u32],
) -> Result<Vec<TableSize>, Error> {
    let rows = client
        .query(
            "with recursive tree as ( \
                 select c.oid as root, c.oid, c.relkind from pg_catalog.pg_class c \
                 where c.oid = any ($1) \
                 union all \
                 select t.root, c.oid, c.relkind from tree t \
                   join pg_catalog.pg_inherits i on t.relkind = 'p' and i.inhparent = t.oid \
                   join pg_catalog.pg_class c on c.oid = i.inhrelid) \
             select t.root, \
                    coalesce(sum(c.relpages::int8 \
                        * pg_catalog.current_setting('block_size')::int8) \
                        filter (where t.relkind <> 'p'), 0)::int8, \
                    coalesce(sum(greatest(c.reltuples, 0)) \
                        filter (where t.relkind <> 'p'), 0)::int8 \
             from tree t join pg_catalog.pg_class c on c.oid = t.oid group by t.root",
            &[&table_oids],
        )
        .await
        .map_err(Error::database("read the sizes of tables on the provider"))?;
    rows.iter()
        .map(|row| {
            Ok(TableSize {
                table_oid: row.try_get(0)?,
                bytes: row.try_get(1)?,
                rows_estimated: row.try_get(2)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read the sizes of tables on the provider"))
}

/// How many rows the planner expects of a query; 0 if the plan does not say.
pub async fn rows_planned(client: &Client, query: String) -> Result<i64, Error> {
    let plan = client
        .simple_query(&format!("explain (format json) {query}"))
        .await
        .map_err(Error::database(
            "ask for the plan of a query on the provider",
        ))?;
    let rows = plan.iter().find_map(|message| {
        let SimpleQueryMessage::Row(row) = message else {
            return None;
        };
        let plan: serde_json::Value = serde_json::from_str(row.try_get(0).ok()??).ok()?;
        plan.pointer("/0/Plan/Plan Rows")?.as_i64()
    });
    Ok(rows.unwrap_or(0))
}

/// Tells running replays of a queue that their lists of tables have changed. This is a hint: they also look now and
/// then without it.
pub async fn hint_tables(client: &impl GenericClient, queue: &str) -> Result<(), Error> {
    let sql = "select pg_catalog.pg_notify('trunkline_tables', $1)";
    let told = client.execute(sql, &[&queue]).await.map(|_| ());
    told.map_err(Error::database("tell the daemon"))
}

/// The columns of a table that capture takes: all columns but generated ones.
pub async fn captured_columns(
    client: &impl GenericClient,
    candidate: &Candidate,
) -> Result<Vec<ProviderColumn>, Error> {
    // The column attgenerated exists from version 12 on.
    let rows = client
        .query(
            "select a.attnum, a.attname::text from pg_catalog.pg_attribute a \
             where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped \
               and coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = '' \
             order by a.attnum",
            &[&candidate.oid],
        )
        .await
        .map_err(could_not_read_columns(candidate))?;
    rows.iter()
        .map(|row| {
            Ok(ProviderColumn {
                attnum: row.try_get(0)?,
                name: row.try_get(1)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(could_not_read_columns(candidate))
}

/// The columns of a table that capture takes, each with its type as `format_type` names it, without modifiers.
pub async fn captured_types(
    client: &impl GenericClient,
    candidate: &Candidate,
) -> Result<Vec<(String, String)>, Error> {
    let rows = client
        .query(
            "select a.attname::text, pg_catalog.format_type(a.atttypid, -1) from pg_catalog.pg_attribute a \
             where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped \
               and coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = '' \
             order by a.attnum",
            &[&candidate.oid],
        )
        .await
        .map_err(could_not_read_columns(candidate))?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(could_not_read_columns(candidate))
}

fn could_not_read_columns(candidate: &Candidate) -> impl FnOnce(tokio_postgres::Error) -> Error {
    Error::database(format!("read the columns of {}", candidate.table))
}

/// The user's tables with their oids, without partitions. This is a cheap query, which does not say whether the tables
/// can be captured.
pub async fn tables(client: &impl GenericClient) -> Result<Vec<(u32, TableName)>, Error> {
    let rows = client
        .query(
            "select n.nspname::text, c.relname::text, c.oid \
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
              where c.relkind in ('r', 'p') and c.relpersistence <> 't' and not c.relispartition \
                and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_coop', 'pgq_ext', 'trunkline') \
                and n.nspname !~ '^pg_(toast|temp)'",
            &[],
        )
        .await
        .map_err(Error::database("list the provider's tables"))?;
    rows.iter()
        .map(|row| Ok((row.try_get(2)?, TableName::of(row)?)))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("list the provider's tables"))
}

/// What a name stands for that no candidate has: why it cannot be added, and what to do. None if no object has the
/// name.
pub async fn why_no_candidate(
    client: &impl GenericClient,
    table: &TableName,
) -> Result<Option<String>, Error> {
    let row = client
        .query_opt(
            "select case \
                 when n.nspname in ('pg_catalog', 'information_schema') or n.nspname ~ '^pg_toast' \
                     then 'is a system table' \
                 when n.nspname in ('pgq', 'pgq_coop', 'pgq_ext', 'trunkline') then 'belongs to Trunkline' \
                 when c.relpersistence = 't' then 'is temporary' \
                 when c.relkind = 'v' then 'is a view: add the tables that it shows' \
                 when c.relkind = 'm' \
                     then 'is a materialized view: add the tables that it is made from, ' \
                       || 'and refresh it on the subscriber' \
                 when c.relkind = 'f' then 'is a foreign table: replicate it from the server that holds it' \
                 when c.relkind = 'S' then 'is a sequence: use add-seq' \
                 when c.relkind in ('i', 'I') then 'is an index' \
                 when e.extname is not null \
                     then 'belongs to the extension ' || e.extname || ', which makes and changes it itself' \
                 when c.relkind in ('r', 'p') then 'cannot be seen by this role' \
                 else 'is no table' end \
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               left join pg_catalog.pg_depend d \
                 on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e' \
               left join pg_catalog.pg_extension e on e.oid = d.refobjid \
              where n.nspname = $1 and c.relname = $2",
            &[&table.schema, &table.name],
        )
        .await
        .map_err(Error::database(format!("look for {table} on the provider")))?;
    row.map(|row| row.try_get(0))
        .transpose()
        .map_err(Error::database(format!("look for {table} on the provider")))
}

/// Columns of a table that may hold numbers of large objects, by their types: `oid`, and `lo` of the
/// extension.
pub async fn large_object_columns(
    client: &impl GenericClient,
    candidate: &Candidate,
) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "select a.attname::text from pg_catalog.pg_attribute a \
               join pg_catalog.pg_type t on t.oid = a.atttypid \
              where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped \
                and (t.oid = 'pg_catalog.oid'::regtype \
                    or t.typname = 'lo' and t.typbasetype = 'pg_catalog.oid'::regtype) \
              order by a.attnum",
            &[&candidate.oid],
        )
        .await
        .map_err(could_not_read_columns(candidate))?;
    rows.iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(could_not_read_columns(candidate))
}

/// Makes capture of a table for a consumer, under the session's `lock_timeout`. True if the capture is new.
pub async fn add_table(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    table: &TableName,
    identity: &WantedIdentity,
) -> Result<bool, Error> {
    let (identity, columns) = identity.arguments();
    client
        .query_one(
            "select added from trunkline.add_table($1, $2, $3, $4, $5, $6)",
            &[
                &queue,
                &consumer,
                &table.schema,
                &table.name,
                &identity,
                &columns,
            ],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("make capture of {table}")))
}

/// As what the capture triggers of a table are to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormChoice {
    /// By what the table's transactions write.
    Auto,
    /// A trigger for each statement.
    Statements,
    /// A trigger for each row, where that is as right as statements.
    Rows,
}

/// Chooses the form of a table's capture, under the session's `lock_timeout`. Gives the form that it has then, and why.
/// Source: `trunkline.choose_form`.
pub async fn choose_form(
    client: &impl GenericClient,
    queue: &str,
    table: &TableName,
    choice: FormChoice,
) -> Result<(String, String), Error> {
    let choice = match choice {
        FormChoice::Auto => "auto",
        FormChoice::Statements => "statements",
        FormChoice::Rows => "rows",
    };
    client
        .query_one(
            "select form, why from trunkline.choose_form($1, $2, $3, $4)",
            &[&queue, &table.schema, &table.name, &choice],
        )
        .await
        .and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .map_err(Error::database(format!(
            "choose the form of capture of {table}"
        )))
}

/// Ends capture of a table for a consumer; when the last consumer leaves, the triggers are removed. The table is found
/// by its oid if the oid is known: then the name may be an old one.
pub async fn remove_table(
    client: &impl GenericClient,
    queue: &str,
    consumer: &str,
    table: &TableName,
    oid: Option<u32>,
) -> Result<bool, Error> {
    client
        .query_one(
            "select trunkline.remove_table($1, $2, $3, $4, $5)",
            &[&queue, &consumer, &table.schema, &table.name, &oid],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database(format!("end capture of {table}")))
}

/// The definitions of the shapes of a queue's events, oldest first: of all tables, or of one table.
pub async fn shapes(
    client: &impl GenericClient,
    queue: &str,
    table_oid: Option<u32>,
) -> Result<Vec<String>, Error> {
    let rows = match table_oid {
        None => {
            let all = "select definition from trunkline.shapes($1) order by shape_id";
            client.query(all, &[&queue]).await
        }
        // The query uses an index, because each of many tables asks for its own shapes.
        Some(table_oid) => {
            let of_one = "select s.definition::text from trunkline.shape s \
                            join pgq.queue q on q.queue_id = s.queue_id \
                           where q.queue_name = $1 and s.table_oid = $2 order by s.shape_id";
            client.query(of_one, &[&queue, &table_oid]).await
        }
    };
    rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect())
        .map_err(Error::database("read shapes on the provider"))
}

/// Makes one of the calls by which a consumer begins or ends to want something; gives whether that changed anything.
async fn changed(
    client: &impl GenericClient,
    call: &str,
    queue: &str,
    consumer: &str,
    name: &TableName,
) -> Result<bool, tokio_postgres::Error> {
    client
        .query_one(call, &[&queue, &consumer, &name.schema, &name.name])
        .await?
        .try_get(0)
}
