//! How a table's rows are read on both sides so that equal rows have equal texts.

use std::{collections::HashMap, sync::Arc};

use sql::{
    columns::{self, Described},
    connect::Session,
    event::shape::{Identity, Shape},
    name::quote_ident,
    server,
    subscriber::{session_role::SessionRole, table_state::TableRow},
};

use super::{
    since::key_of,
    statements::{KeyColumn, Side, text},
};
use crate::{
    apply::table::Target,
    copy::{self, select::FilterNow},
    trouble::Trouble,
};

/// The first version that writes floats with as few digits as bring them back.
const SHORTEST_FLOATS: u32 = 12;

/// Types whose order does not depend on the server, its version or its language, by the beginnings of their names.
const SAME_ORDER: [&str; 15] = [
    "smallint",
    "integer",
    "bigint",
    "oid",
    "numeric",
    "date",
    "timestamp",
    "time without",
    "uuid",
    "bytea",
    "boolean",
    "inet",
    "cidr",
    "text",
    "character varying",
];

/// A key whose order has less to do with that of the rows than this: reading the rows in the key's order takes longer
/// than reading all of them as they lie, and much longer where they are not in memory.
const IN_ORDER: f32 = 0.5;

/// How a table is compared.
pub(super) struct Plan {
    pub(super) here: Side,
    pub(super) there: Side,
    /// The names of the compared columns.
    pub(super) names: Vec<String>,
    /// The key as events have it: the names and types of its columns.
    pub(super) key_of_events: Vec<(String, String)>,
    /// The rows have no key, and events and both sides write them as the same texts: they are counted exactly.
    pub(super) sums: Option<Arc<Shape>>,
    /// Stretches of keys hold the same rows on both sides.
    pub(super) by_range: bool,
    /// `extra_float_digits` of both sides.
    pub(super) digits: u8,
}

/// Plans the comparison of a table.
pub(super) async fn plan(
    queue: &str,
    row: &TableRow,
    provider: &Session,
    subscriber: &Session,
    role: SessionRole,
) -> Result<(Plan, Target), Trouble> {
    let shape = copy::newest_shape(provider, queue, row).await?;
    let target = Target::find(&**subscriber, &shape, &row.mapping, role).await?;
    target.acting.refuse_code(&row.table)?;
    let filter = copy::filter_now(provider, row).await?;
    let filter = filter
        .map(|filter| FilterNow::of(&filter, &shape))
        .transpose()?;
    let of_table = || Trouble::of_table(&row.table);
    let here = columns::described(&**provider, &shape.table_name()).await;
    let there = columns::described(&**subscriber, &target.name).await;
    let versions = (
        server::major(&**provider).await.map_err(of_table())?,
        server::major(&**subscriber).await.map_err(of_table())?,
    );
    let encodings = (
        server::encoding(&**provider).await.map_err(of_table())?,
        server::encoding(&**subscriber).await.map_err(of_table())?,
    );
    let names = target
        .copied_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let sides = Sides {
        here: here.map_err(of_table())?,
        there: there.map_err(of_table())?,
        mixed: (versions.0 < SHORTEST_FLOATS) != (versions.1 < SHORTEST_FLOATS),
    };
    let plan = sides.plan(&target, &shape, names, filter, encodings.0 != encodings.1);
    Ok((plan, target))
}

/// What is known of both sides' columns.
struct Sides {
    here: HashMap<String, Described>,
    there: HashMap<String, Described>,
    /// One of the servers writes floats as the other one cannot.
    mixed: bool,
}

impl Sides {
    fn plan(
        &self,
        target: &Target,
        shape: &Arc<Shape>,
        names: Vec<String>,
        filter: Option<FilterNow>,
        converts: bool,
    ) -> Plan {
        let (here_values, there_values) = names.iter().map(|name| self.values(name)).unzip();
        let key: Vec<&str> = target
            .key_fields
            .iter()
            .map(|&field| shape.columns[field].name.as_str())
            .collect();
        let key_values: Vec<usize> = key
            .iter()
            .filter_map(|name| names.iter().position(|one| one == name))
            .collect();
        let side = |described: &HashMap<String, Described>, values, relation| Side {
            relation,
            values,
            key: key
                .iter()
                .map(|&name| KeyColumn {
                    name: name.to_owned(),
                    type_name: described
                        .get(name)
                        .map_or_else(|| "text".to_owned(), |one| one.base_type.clone()),
                    is_bits: self.sends(name).is_some(),
                })
                .collect(),
            key_values: key_values.clone(),
            filter: None,
            and_own: String::new(),
            converts,
        };
        let filter_is_there = filter.is_some();
        let only = if shape.partitioned { "" } else { "only " };
        let relation = format!("{only}{}", shape.table_name().quoted());
        Plan {
            here: Side {
                filter,
                ..side(&self.here, here_values, relation)
            },
            there: Side {
                and_own: target.and_own(),
                ..side(&self.there, there_values, target.own_rows())
            },
            by_range: key.iter().all(|name| self.has_same_order(name))
                && key.first().is_some_and(|name| self.is_in_order(name)),
            sums: self.sums(target, shape, &names, filter_is_there),
            names,
            key_of_events: key_of(shape),
            // As many digits as both servers write alike.
            digits: if self.mixed { 0 } else { 3 },
        }
    }

    /// The shape of rows without a key that are counted exactly; none: events tell them otherwise than a side does, or
    /// of more rows.
    fn sums(
        &self,
        target: &Target,
        shape: &Arc<Shape>,
        names: &[String],
        filtered: bool,
    ) -> Option<Arc<Shape>> {
        let is_same = names
            .iter()
            .all(|name| match (self.here.get(name), self.there.get(name)) {
                (Some(here), Some(there)) => here.type_name == there.type_name,
                (_, _) => false,
            });
        let is_whole = shape.identity == Identity::Full && !filtered && target.and_own().is_empty();
        (is_whole && is_same && !self.mixed).then(|| Arc::clone(shape))
    }

    fn has_same_order(&self, name: &str) -> bool {
        let (Some(here), Some(there)) = (self.here.get(name), self.there.get(name)) else {
            return false;
        };
        here.type_name == there.type_name
            // A null lies in no stretch.
            && there.is_not_null
            && [here, there]
                .iter()
                .all(|one| one.is_of_server && one.is_in_byte_order)
            && SAME_ORDER
                .iter()
                .any(|begin| here.type_name.starts_with(begin))
            && !here.type_name.ends_with("[]")
    }

    /// Whether the rows lie in the order of a column, or nobody knows that they do not.
    fn is_in_order(&self, name: &str) -> bool {
        [&self.here, &self.there].iter().all(|side| {
            let correlation = side.get(name).and_then(|one| one.correlation);
            correlation.is_none_or(|correlation| correlation.abs() >= IN_ORDER)
        })
    }

    /// The function that gives the bits of a column's floats, where these are compared bit by bit.
    fn sends(&self, name: &str) -> Option<&'static str> {
        let there = self.there.get(name)?;
        let send = match there.type_name.as_str() {
            "real" => "float4send",
            "double precision" => "float8send",
            _ => return None,
        };
        (self.mixed && there.is_of_server && self.here.contains_key(name)).then_some(send)
    }

    /// The values of a column on both sides, over the alias `t`, whose texts are equal if the subscriber has what
    /// replay has written.
    fn values(&self, name: &str) -> (String, String) {
        let plain = format!("t.{}", quote_ident(name));
        let (Some(here), Some(there)) = (self.here.get(name), self.there.get(name)) else {
            return (plain.clone(), plain);
        };
        // A value comes as text, and the subscriber's type reads it.
        let read = if here.type_name != there.type_name && there.is_of_server {
            format!("({})::{}", text(&plain), there.type_name)
        } else {
            plain.clone()
        };
        match self.sends(name) {
            // Not a number has many forms, which are all written as one.
            Some(send) => {
                let bits = |value: &str| {
                    format!(
                        "case when {value} = 'NaN' then 'NaN' else encode({send}({value}), 'hex') end"
                    )
                };
                (bits(&read), bits(&plain))
            }
            None => (read, plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(type_name: &str, is_in_byte_order: bool) -> HashMap<String, Described> {
        HashMap::from([(
            "a".to_owned(),
            Described {
                type_name: type_name.to_owned(),
                base_type: type_name.to_owned(),
                is_not_null: true,
                is_of_server: true,
                is_in_byte_order,
                correlation: None,
            },
        )])
    }

    fn sides(here: &str, there: &str, mixed: bool) -> Sides {
        Sides {
            here: described(here, true),
            there: described(there, true),
            mixed,
        }
    }

    #[test]
    fn a_value_of_another_type_is_read_as_the_subscriber_reads_it() {
        let (here, there) = sides("numeric", "numeric(10,2)", false).values("a");
        assert!(
            here.ends_with(")::numeric(10,2)") && there == "t.a",
            "{here} {there}"
        );
        let (here, there) = sides("integer", "integer", true).values("a");
        assert_eq!((here.as_str(), there.as_str()), ("t.a", "t.a"));
    }

    #[test]
    fn floats_are_compared_bit_by_bit_where_the_servers_write_them_differently() {
        let (here, there) = sides("double precision", "double precision", true).values("a");
        assert!(here.contains("float8send(t.a)") && here == there, "{here}");
        let (here, _) = sides("real", "real", false).values("a");
        assert_eq!(here, "t.a");
    }

    #[test]
    fn a_table_whose_rows_lie_anywhere_is_not_read_in_the_order_of_its_key() {
        let mut sides = sides("uuid", "uuid", false);
        assert!(sides.is_in_order("a"));
        for (correlation, is_in_order) in [(0.01, false), (-0.9, true), (0.6, true)] {
            sides.there.get_mut("a").unwrap().correlation = Some(correlation);
            assert_eq!(sides.is_in_order("a"), is_in_order);
        }
    }

    #[test]
    fn stretches_are_of_keys_that_both_servers_order_alike() {
        for (type_name, is_same) in [
            ("integer", true),
            ("character varying(10)", true),
            ("timestamp with time zone", true),
            ("citext", false),
            ("double precision", false),
            ("integer[]", false),
            ("character(3)", false),
        ] {
            assert_eq!(
                sides(type_name, type_name, false).has_same_order("a"),
                is_same,
                "{type_name}"
            );
        }
        assert!(!sides("integer", "bigint", false).has_same_order("a"));
        let by_language = Sides {
            there: described("text", false),
            ..sides("text", "text", false)
        };
        assert!(!by_language.has_same_order("a"));
    }
}
