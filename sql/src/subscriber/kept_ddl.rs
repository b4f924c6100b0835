//! Rows of `trunkline.kept_ddl` on a subscriber: indexes and constraints that a copy has taken away. Each call is one
//! statement of its caller's transaction.

use tokio_postgres::{GenericClient, Row};

use crate::{error::Error, name::TableName};

/// An index or constraint that a copy has taken away.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The row's number.
    pub id: i64,
    /// The table whose copy took the object away, by its name on the provider.
    pub table: TableName,
    /// `index`, `constraint` or `foreign key`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The table that the object belongs to, by its name on the subscriber.
    pub on: TableName,
    /// The object's size in bytes when it was taken away.
    pub bytes: i64,
    /// Statements that build the object, in one transaction; none: it is built.
    pub build: Vec<String>,
    /// Statements to run when all objects of the table are built; none: they were run.
    pub attach: Vec<String>,
    /// Statements to run when both tables of a foreign key are copied.
    pub validate: Option<Vec<String>>,
    /// Why the object could not be brought back at the last try.
    pub error: Option<String>,
    /// The object belongs to a partitioned table, and attaches the objects of its partitions, which must be built
    /// first.
    pub of_parts: bool,
    /// How many partitioned tables are above the object's table; 0 for a table that is no partition.
    pub depth: i64,
}

/// How many of the objects that a copy has taken away are back.
#[derive(Clone, Debug, PartialEq)]
pub struct Building {
    /// The table, by its name on the provider.
    pub table: TableName,
    /// Indexes and constraints that are not built yet.
    pub left: i64,
    /// The number of indexes and constraints, built or not.
    pub all: i64,
    /// Share of the work done on the objects that are being built; none: the server does not tell (before 12), or has
    /// not begun.
    pub share: Option<f64>,
}

/// The tables of a consumer that have objects to be built, for showing only. Source: trunkline.kept_ddl and
/// pg_stat_progress_create_index.
pub async fn building(client: &impl GenericClient, consumer: &str) -> Result<Vec<Building>, Error> {
    let tells: bool = client
        .query_one(
            "select pg_catalog.to_regclass('pg_catalog.pg_stat_progress_create_index') is not null",
            &[],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(Error::database("read what is being built"))?;
    let share = if tells {
        "(select sum(p.blocks_done)::float8 / nullif(sum(p.blocks_total), 0)::float8 \
            from pg_catalog.pg_stat_progress_create_index p \
           where p.datname = pg_catalog.current_database() \
             and p.relid = any (pg_catalog.array_agg(pg_catalog.to_regclass( \
                     pg_catalog.format('%I.%I', k.on_schema, k.on_table))::oid)))"
    } else {
        "null::float8"
    };
    let rows = client
        .query(
            &format!(
                "select k.schema_name, k.table_name, count(*) filter (where k.build <> '{{}}'), count(*), {share} \
                   from trunkline.kept_ddl k where k.consumer = $1 and k.kind <> 'foreign key' \
                  group by 1, 2 having count(*) filter (where k.build <> '{{}}') > 0 order by 1, 2"
            ),
            &[&consumer],
        )
        .await
        .map_err(Error::database("read what is being built"))?;
    rows.iter()
        .map(|row| {
            Ok(Building {
                table: TableName::of(row)?,
                left: row.try_get(2)?,
                all: row.try_get(3)?,
                share: row.try_get(4)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read what is being built"))
}

impl Kept {
    /// Whether the object is a foreign key that refers to the table, from another table or from the table itself.
    pub fn is_foreign_key(&self) -> bool {
        self.kind == "foreign key"
    }

    /// The object for messages: `index t_a_idx on public.t`.
    pub fn label(&self) -> String {
        format!("{} {} on {}", self.kind, self.name, self.on)
    }
}

fn kept(row: &Row) -> Result<Kept, tokio_postgres::Error> {
    Ok(Kept {
        table: TableName::of(row)?,
        id: row.try_get(2)?,
        kind: row.try_get(3)?,
        name: row.try_get(4)?,
        on: TableName::new(row.try_get::<_, String>(5)?, row.try_get::<_, String>(6)?),
        bytes: row.try_get(7)?,
        build: row.try_get(8)?,
        attach: row.try_get(9)?,
        validate: row.try_get(10)?,
        error: row.try_get(11)?,
        of_parts: row.try_get(12)?,
        depth: row.try_get(13)?,
    })
}

/// An object that was not taken away, and the reason.
#[derive(Clone, Debug)]
pub struct Left {
    /// The index or constraint; none: all objects of the table.
    pub object: Option<String>,
    /// The reason.
    pub reason: String,
}

/// All kept objects of a consumer's tables. Indexes and constraints come before foreign keys. Among these the largest
/// come first, those of partitioned tables last, and those of the uppermost tables at the very end.
pub async fn list(client: &impl GenericClient, consumer: &str) -> Result<Vec<Kept>, Error> {
    let rows = client
        .query(
            "select schema_name, table_name, kept_id, kind, name, on_schema, on_table, bytes, \
                 build, attach, validate, error, \
                 kind <> 'foreign key' and exists (select from pg_catalog.pg_class c \
                     where c.oid = to_regclass(format('%I.%I', on_schema, on_table)) and c.relkind = 'p'), \
                 (with recursive above (oid) as ( \
                      select to_regclass(format('%I.%I', on_schema, on_table))::oid \
                      union all \
                      select h.inhparent from above a join pg_catalog.pg_inherits h on h.inhrelid = a.oid) \
                  select count(*) - 1 from above) \
             from trunkline.kept_ddl where consumer = $1 \
             order by kind = 'foreign key', 13, 14 desc, bytes desc, kept_id",
            &[&consumer],
        )
        .await
        .map_err(Error::database("read what copies took away"))?;
    rows.iter()
        .map(kept)
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database("read what copies took away"))
}

/// Takes the indexes and constraints of `on`, a table of this server, away, and stores them under the table's name in
/// the job, `table`. Gives the objects that were not taken away.
pub async fn keep(
    client: &impl GenericClient,
    consumer: &str,
    table: &TableName,
    on: &TableName,
) -> Result<Vec<Left>, Error> {
    let rows = client
        .query(
            "select object, reason from trunkline.keep_ddl($1, $2, $3, $4, $5)",
            &[&consumer, &table.schema, &table.name, &on.schema, &on.name],
        )
        .await
        .map_err(Error::database(format!("take the indexes of {on} away")))?;
    rows.iter()
        .map(|row| {
            Ok(Left {
                object: row.try_get(0)?,
                reason: row.try_get(1)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(Error::database(format!("take the indexes of {on} away")))
}

/// Locks the object's row, so that only one of two programs brings the object back. False if the object is back
/// already.
pub async fn lock(client: &impl GenericClient, kept: &Kept) -> Result<bool, Error> {
    let row = client
        .query_opt(
            "select kept_id from trunkline.kept_ddl where kept_id = $1 for update",
            &[&kept.id],
        )
        .await
        .map_err(Error::database(format!("lock the row of {}", kept.label())))?;
    Ok(row.is_some())
}

/// Notes that the object is built.
pub async fn built(client: &impl GenericClient, kept: &Kept) -> Result<(), Error> {
    let sql = "update trunkline.kept_ddl set build = '{}', error = null where kept_id = $1";
    let done = client.execute(sql, &[&kept.id]).await.map(|_| ());
    done.map_err(Error::database(format!(
        "note that {} is built",
        kept.label()
    )))
}

/// Notes that the object is attached; if nothing is left to validate, the row is deleted.
pub async fn attached(client: &impl GenericClient, kept: &Kept) -> Result<(), Error> {
    let failed = || Error::database(format!("note that {} is attached", kept.label()));
    client
        .execute(
            "delete from trunkline.kept_ddl where kept_id = $1 and validate is null",
            &[&kept.id],
        )
        .await
        .map_err(failed())?;
    let sql = "update trunkline.kept_ddl set attach = '{}', error = null where kept_id = $1";
    let done = client.execute(sql, &[&kept.id]).await.map(|_| ());
    done.map_err(failed())
}

/// Deletes the row: the object is back, or its table is gone.
pub async fn forget(client: &impl GenericClient, kept: &Kept) -> Result<(), Error> {
    let sql = "delete from trunkline.kept_ddl where kept_id = $1";
    let done = client.execute(sql, &[&kept.id]).await.map(|_| ());
    done.map_err(Error::database(format!(
        "delete the row of {}",
        kept.label()
    )))
}

/// Stores why the object could not be brought back.
pub async fn show_error(
    client: &impl GenericClient,
    kept: &Kept,
    error: &str,
) -> Result<(), Error> {
    let sql = "update trunkline.kept_ddl set error = $2 where kept_id = $1";
    let done = client.execute(sql, &[&kept.id, &error]).await.map(|_| ());
    done.map_err(Error::database(format!(
        "store why {} is not back",
        kept.label()
    )))
}
