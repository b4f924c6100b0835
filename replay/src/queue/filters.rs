//! Filters rows of a table with a condition. The provider is asked, over a session that streams nothing, so that the
//! server that filters the copy also filters the changes.

use std::{collections::HashMap, sync::Arc};

use bytes::{BufMut, BytesMut};
use sql::{
    connect::Session,
    event::{
        mapping::{Filter, Mapping},
        row,
        shape::{Shape, ShapeId},
    },
    provider::filter::{self, FilterStatement},
};
use tokio_postgres::{
    Client, Statement,
    types::{Format, IsNull, ToSql, Type, to_sql_checked},
};

use crate::{fold::ChangeSet, table, trouble::Trouble};

/// How many rows one question is about.
const ROWS_AT_ONCE: usize = 10_000;

/// The filters that one session to the provider has prepared, each for rows of one shape.
pub(crate) struct Filters {
    provider: Arc<Session>,
    prepared: HashMap<ShapeId, ShapeFilter>,
}

/// A filter for rows of one shape.
struct ShapeFilter {
    filter: Filter,
    statement: Statement,
    /// The places of the filter's columns in a row.
    fields: Vec<usize>,
    delimiters: Vec<String>,
}

impl Filters {
    /// Filters that are asked over a session that streams nothing.
    pub(crate) fn new(provider: Arc<Session>) -> Filters {
        Filters {
            provider,
            prepared: HashMap::new(),
        }
    }

    /// The part of a set that the table's mapping takes; none: the table has no filter.
    ///
    /// # Errors
    /// [`Trouble::Table`] where the filter does not fit the table any more, or fails on a row.
    pub(crate) async fn narrowed(
        &mut self,
        mapping: &Mapping,
        set: &ChangeSet,
    ) -> Result<Option<ChangeSet>, Trouble> {
        let Some(filter) = &mapping.filter else {
            return Ok(None);
        };
        let rows: Vec<&[u8]> = set.rows().map(|row| &row[..]).collect();
        let mut takes = Vec::with_capacity(rows.len());
        let provider = Arc::clone(&self.provider);
        if !rows.is_empty() {
            let shape = &set.shape;
            let prepared = self.prepared(filter, shape).await?;
            for rows in rows.chunks(ROWS_AT_ONCE) {
                let some = prepared
                    .ask(&provider, rows)
                    .await
                    .map_err(Trouble::at_table(
                        &shape.table_name(),
                        "its filter failed on a row on the provider",
                    ))?;
                takes.extend(some);
            }
        }
        Ok(Some(set.narrowed(&takes)))
    }

    async fn prepared(&mut self, filter: &Filter, shape: &Shape) -> Result<&ShapeFilter, Trouble> {
        let known = self.prepared.get(&shape.shape);
        if known.is_none_or(|known| known.filter != *filter) {
            let prepared = prepare(&self.provider, filter, shape).await?;
            self.prepared.insert(shape.shape, prepared);
        }
        self.prepared.get(&shape.shape).ok_or(Trouble::Stale)
    }
}

async fn prepare(
    provider: &Client,
    filter: &Filter,
    shape: &Shape,
) -> Result<ShapeFilter, Trouble> {
    let name = shape.table_name();
    let fields = table::filter_fields(filter, shape)
        .map_err(|misfit| Trouble::unfollowable(&name, misfit.why, misfit.advice))?;
    let types: Vec<&str> = fields
        .iter()
        .map(|&field| shape.columns[field].type_name.as_str())
        .collect();
    let oid = shape.table.oid;
    let asked = async {
        let filter = filter::check_again(provider, oid, filter).await?;
        let FilterStatement { sql, delimiters } =
            filter::statement(provider, oid, &filter, &types).await?;
        let prepared = provider.prepare(&sql).await;
        Ok((
            prepared.map_err(sql::Error::database("prepare a filter"))?,
            delimiters,
        ))
    };
    let (statement, delimiters) = asked.await.map_err(Trouble::sql_at_table(
        &name,
        "its filter does not fit it any more on the provider",
    ))?;
    Ok(ShapeFilter {
        filter: filter.clone(),
        statement,
        fields,
        delimiters,
    })
}

impl ShapeFilter {
    async fn ask(
        &self,
        provider: &Client,
        rows: &[&[u8]],
    ) -> Result<Vec<bool>, tokio_postgres::Error> {
        let arrays: Vec<TextArray> = self
            .fields
            .iter()
            .zip(&self.delimiters)
            .map(|(&field, delimiter)| TextArray::of(rows, field, delimiter))
            .collect();
        let parameters = arrays.iter().map(|array| array as &(dyn ToSql + Sync));
        let parameters: Vec<_> = parameters.collect();
        provider
            .query_one(&self.statement, &parameters)
            .await?
            .try_get(0)
    }
}

/// One field of many rows, as the text of an array.
#[derive(Debug)]
struct TextArray(BytesMut);

impl TextArray {
    fn of(rows: &[&[u8]], field: usize, delimiter: &str) -> TextArray {
        let mut text = BytesMut::new();
        text.put_u8(b'{');
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                text.put_slice(delimiter.as_bytes());
            }
            match row::fields(row).nth(field).flatten() {
                None => text.put_slice(b"NULL"),
                Some(value) => {
                    text.put_u8(b'"');
                    for &byte in value.unescape().iter() {
                        if byte == b'"' || byte == b'\\' {
                            text.put_u8(b'\\');
                        }
                        text.put_u8(byte);
                    }
                    text.put_u8(b'"');
                }
            }
        }
        text.put_u8(b'}');
        TextArray(text)
    }
}

impl ToSql for TextArray {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_many_rows_is_an_array_whatever_its_texts_hold() {
        let rows: [&[u8]; 4] = [br#"1,"a,b""#, b"2,", br#"3,"q""\\""#, br#"4,"""#];
        let array = TextArray::of(&rows, 1, ",");
        assert_eq!(&array.0[..], br#"{"a,b",NULL,"q\"\\",""}"#);
    }
}
