//! Whether two tables are the same, row by row. Both sides are read as text under the same pinned settings, counted and
//! digested; a difference is shown as rows.

use crate::cluster::Cluster;

/// Pins the settings that change the text of a value.
const PINNED: &str = "set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; \
     set timezone = 'UTC'; set extra_float_digits = 3; set bytea_output = 'hex'; \
     set search_path = 'pg_catalog'; set lc_monetary = 'C'; set row_security = off; ";

/// How many rows a table has, and a digest that does not depend on their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The number of rows.
    pub rows: u64,
    /// The sum of a 60-bit hash of every row's text.
    pub sum: String,
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows, checksum {}", self.rows, self.sum)
    }
}

/// `row(c1, c2, ...)::text` over the columns of the table, in the order of the first side, without generated columns.
fn row_expression(cluster: &Cluster, dbname: &str, table: &str) -> String {
    let generated = if cluster.version() >= 12 {
        "and attgenerated = ''"
    } else {
        ""
    };
    let columns = cluster.psql(
        dbname,
        &format!(
            "select coalesce(string_agg('t.' || quote_ident(attname), ', ' order by attnum), '') \
             from pg_attribute where attrelid = {}::regclass and attnum > 0 \
             and not attisdropped {generated}",
            literal(table)
        ),
    );
    format!("row({columns})::text")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Counts and digests a table. The name is as SQL writes it.
#[track_caller]
pub fn digest(cluster: &Cluster, dbname: &str, table: &str) -> Digest {
    digest_of(
        cluster,
        dbname,
        table,
        &row_expression(cluster, dbname, table),
    )
}

#[track_caller]
fn digest_of(cluster: &Cluster, dbname: &str, table: &str, row: &str) -> Digest {
    let text = cluster.psql(
        dbname,
        &format!(
            "{PINNED} select count(*), coalesce(sum(('x' || substr(md5({row}), 1, 15))::bit(60)::bigint), 0) \
             from {table} t"
        ),
    );
    let (rows, sum) = text.split_once('|').expect("a count and a sum");
    Digest {
        rows: rows.parse().expect("a number of rows"),
        sum: sum.to_owned(),
    }
}

/// Compares a table on two servers; `Err` shows up to ten differing rows.
pub fn compare(
    provider: (&Cluster, &str),
    subscriber: (&Cluster, &str),
    table: &str,
) -> Result<Digest, String> {
    let row = row_expression(provider.0, provider.1, table);
    let here = digest_of(provider.0, provider.1, table, &row);
    let there = digest_of(subscriber.0, subscriber.1, table, &row);
    if here == there {
        return Ok(here);
    }
    let rows = |(cluster, dbname): (&Cluster, &str)| -> Vec<String> {
        cluster
            .psql(
                dbname,
                &format!(
                    "{PINNED} select quote_literal({row}) from {table} t order by 1 limit 200000"
                ),
            )
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (here_rows, there_rows) = (rows(provider), rows(subscriber));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let mut left = std::collections::HashMap::<&String, i64>::new();
        for row in those {
            *left.entry(row).or_default() += 1;
        }
        these
            .iter()
            .filter(|row| {
                let count = left.entry(row).or_default();
                *count -= 1;
                *count < 0
            })
            .take(10)
            .cloned()
            .collect()
    };
    Err(format!(
        "{table} differs\nprovider:   {here}\nsubscriber: {there}\nonly on the provider:\n  {}\nonly on the subscriber:\n  {}",
        only(&here_rows, &there_rows).join("\n  "),
        only(&there_rows, &here_rows).join("\n  ")
    ))
}

/// Panics if a table is not the same on two servers.
#[track_caller]
pub fn same(provider: (&Cluster, &str), subscriber: (&Cluster, &str), table: &str) -> Digest {
    compare(provider, subscriber, table).unwrap_or_else(|difference| panic!("{difference}"))
}

/// The user's tables of a database, as `schema.table`, quoted as in SQL, without
/// those of Trunkline.
#[track_caller]
pub fn tables_of(cluster: &Cluster, dbname: &str) -> Vec<String> {
    cluster
        .psql(
            dbname,
            "select quote_ident(n.nspname) || '.' || quote_ident(c.relname) \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p' \
             and n.nspname not in ('pg_catalog', 'information_schema', 'pgq', 'pgq_coop', 'pgq_ext', 'trunkline') \
             order by 1",
        )
        .lines()
        .map(str::to_owned)
        .collect()
}
