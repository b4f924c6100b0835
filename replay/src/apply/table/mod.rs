//! The subscriber's table, as far as writing it needs to be known: which of a shape's columns
//! it takes, how its key is compared, and the statements made of that.

mod gathered;
mod statements;

use std::sync::Arc;

use sql::{
    event::{mapping::Mapping, shape::Shape},
    name::{TableName, quote_ident},
    subscriber::relation,
};
use tokio_postgres::{GenericClient, Row, types::Type};

pub(crate) use self::{
    gathered::TogetherStatements,
    statements::{SetStatements, Staging, SumStatements, drop_staging, free_names},
};
pub(crate) use super::{origin::Ordinary, owner::Acting, session_role::SessionRole};
use crate::{table, trouble::Trouble};

/// A column that is written.
#[derive(Debug)]
struct Column {
    /// Its name, quoted.
    name: String,
    /// Its type, qualified, without modifiers.
    type_name: String,
    /// Equality, as `operator(schema.name)`, where the type has one.
    equal: Option<String>,
    identity_always: bool,
    not_null: bool,
    /// What it is staged as, where its owner's code would run as replay's role if values of its type
    /// were read: what a domain is made of, or text.
    staged_as: Option<String>,
}

impl Column {
    /// Its value in a staging table under an alias, as the table takes it.
    fn staged(&self, alias: &str) -> String {
        match self.staged_as {
            None => format!("{alias}.{}", self.name),
            Some(_) => format!("{alias}.{}::{}", self.name, self.type_name),
        }
    }

    /// How a query over the table gives it to a staging table that is made of that query.
    fn to_stage(&self) -> String {
        match &self.staged_as {
            None => self.name.clone(),
            Some(staged) => format!("{0}::{staged} as {0}", self.name),
        }
    }
}

/// A table of the subscriber together with the shape whose rows it takes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The shape of the rows.
    pub shape: Arc<Shape>,
    /// The table's name on the subscriber.
    pub name: TableName,
    /// For each written column, its place in the shape's rows.
    pub fields: Vec<usize>,
    /// For each key column, its place in the shape's rows; in the order of the key.
    pub key_fields: Vec<usize>,
    columns: Vec<Column>,
    /// For each key column, its index in `columns`.
    key: Vec<usize>,
    /// Columns that only the subscriber has, quoted: they keep their values.
    own: Vec<String>,
    partitioned: bool,
    /// In which role it is written.
    pub session_role: SessionRole,
    /// Its number on the subscriber.
    pub relation: u32,
    /// Tables that its foreign keys refer to, by their numbers, without itself.
    pub refers_to: Vec<u32>,
    /// A foreign key of it refers to itself.
    pub refers_to_itself: bool,
    /// As whom it is written.
    pub acting: Acting,
    /// COPY does to it what INSERT does. Not so where a rule of the subscriber's acts on a
    /// replica's INSERT: COPY passes rules by.
    pub takes_copy: bool,
}

struct Found {
    name: String,
    column: Column,
    generated: bool,
    partitioned: bool,
}

fn found(row: &Row) -> Result<Found, tokio_postgres::Error> {
    let name: String = row.try_get(0)?;
    Ok(Found {
        column: Column {
            name: quote_ident(&name),
            type_name: row.try_get(1)?,
            equal: row.try_get(4)?,
            identity_always: row.try_get(3)?,
            not_null: row.try_get(5)?,
            staged_as: row.try_get(7)?,
        },
        generated: row.try_get(2)?,
        partitioned: row.try_get(6)?,
        name,
    })
}

/// Reads the subscriber's columns of a table.
async fn columns(
    client: &impl GenericClient,
    table: &TableName,
    target: &TableName,
) -> Result<Vec<Found>, Trouble> {
    client
        .query_typed(
            "select column_name, written_as, generated, identity_always, equal_operator, \
                    not_null, partitioned, staged_as \
             from trunkline.target_columns($1, $2)",
            &[(&target.schema, Type::TEXT), (&target.name, Type::TEXT)],
        )
        .await
        .and_then(|rows| rows.iter().map(found).collect())
        .map_err(Trouble::at_table(
            table,
            "could not read its columns on the subscriber",
        ))
}

/// There is no table of the name on the subscriber, but perhaps something else.
async fn absent(
    client: &impl GenericClient,
    table: &TableName,
    mapping: &Mapping,
) -> Result<Trouble, Trouble> {
    let found = relation::find(client, mapping.target_of(table))
        .await
        .map_err(Trouble::at_table(
            table,
            "could not look for it on the subscriber",
        ))?;
    let name = match &mapping.target {
        None => "it".to_owned(),
        Some(target) => format!("its table {target}"),
    };
    let (why, advice) = match found {
        None => (
            format!("{name} does not exist on the subscriber"),
            "create the table on the subscriber, or remove it from the job",
        ),
        Some(found) if found.is_table => (
            format!("{name} has no column on the subscriber"),
            "add the columns on the subscriber",
        ),
        Some(found) => (
            format!("{name} is {} on the subscriber, and no table", found.what),
            "make a table of that name on the subscriber, or remove it from the job and add it with --as",
        ),
    };
    Ok(Trouble::misfit(table, why, advice))
}

/// What must be known of a table beside its columns.
struct Facts {
    /// See [`Target::takes_copy`].
    takes_copy: bool,
    /// Another table that is written to the table of that name.
    other: Option<String>,
}

impl Facts {
    async fn find(
        client: &impl GenericClient,
        shape: &Shape,
        target: &TableName,
    ) -> Result<Facts, Trouble> {
        client
            .query_typed_one(
                "select takes_copy, other from trunkline.target_facts($1, $2, $3)",
                &[
                    (&target.schema, Type::TEXT),
                    (&target.name, Type::TEXT),
                    (&shape.table.oid, Type::OID),
                ],
            )
            .await
            .and_then(|row| {
                Ok(Facts {
                    takes_copy: row.try_get(0)?,
                    other: row.try_get(1)?,
                })
            })
            .map_err(Trouble::at_table(
                &shape.table_name(),
                "could not read its rules on the subscriber",
            ))
    }

    /// A table that was renamed on the provider is written under its new name. Not where that is
    /// the table that another one is written to: nobody could tell their rows apart any more.
    fn refuse_a_target_of_another(&self, table: &TableName) -> Result<(), Trouble> {
        let Some(other) = &self.other else {
            return Ok(());
        };
        Err(Trouble::misfit(
            table,
            format!("on the subscriber, {other} is written to the table of that name"),
            "rename the table on the provider and copy it again (replay resync TABLE), or remove it \
             from the job and add it with --as",
        ))
    }
}

impl Target {
    /// Looks the table up on the subscriber and matches its columns with the shape's by name.
    ///
    /// Errors: a [`Trouble::Table`] that names the table if it is missing, and each column
    /// that it has no place for.
    pub(crate) async fn find(
        client: &impl GenericClient,
        shape: &Arc<Shape>,
        mapping: &Mapping,
        session_role: SessionRole,
    ) -> Result<Target, Trouble> {
        let table = &shape.table_name();
        table::shape_can_go_on(shape, mapping)
            .map_err(|misfit| Trouble::unfollowable(table, misfit.why, misfit.advice))?;
        let name = mapping.target_of(table);
        // All are asked before the first answer is read: a round trip, however far the subscriber is.
        let (facts, mut found, keys, acting) = futures::try_join!(
            Facts::find(client, shape, name),
            columns(client, table, name),
            Ordinary::find(client, table, name, session_role),
            Acting::find(client, table, name),
        )?;
        if mapping.target.is_none() {
            facts.refuse_a_target_of_another(table)?;
        }
        if found.is_empty() && !shape.columns.is_empty() {
            return Err(absent(client, table, mapping).await?);
        }
        keys.refuse(table)?;
        let mut target = Target {
            session_role,
            relation: keys.relation,
            refers_to: keys.refers_to,
            refers_to_itself: keys.to_itself,
            shape: Arc::clone(shape),
            name: name.clone(),
            fields: Vec::new(),
            key_fields: shape.key_fields(),
            columns: Vec::new(),
            key: Vec::new(),
            own: Vec::new(),
            partitioned: found.first().is_some_and(|column| column.partitioned),
            acting: acting.clone(),
            // The rows of a COPY would run its owner's code as replay's role.
            takes_copy: facts.takes_copy && acting.role().is_none(),
        };
        let mut missing = Vec::new();
        for (field, wanted) in shape.columns.iter().enumerate() {
            if !mapping.takes(wanted) {
                continue;
            }
            let Some(place) = found.iter().position(|f| f.name == wanted.name) else {
                missing.push(quote_ident(&wanted.name));
                continue;
            };
            let here = found.swap_remove(place);
            if here.generated {
                // The subscriber computes it; a key that it computes cannot be compared with.
                if wanted.key.is_some() {
                    missing.push(format!("{} (generated here)", here.column.name));
                }
                continue;
            }
            target.fields.push(field);
            target.columns.push(Column {
                staged_as: here.column.staged_as.filter(|_| acting.role().is_some()),
                ..here.column
            });
        }
        if !missing.is_empty() {
            return Err(Trouble::misfit(
                table,
                format!("it has no column {} on the subscriber", missing.join(", ")),
                "add the column on the subscriber; if the provider has renamed or dropped it since, copy the \
                 table again as it is now: replay resync TABLE",
            ));
        }
        let own = found.into_iter().filter(|own| !own.generated);
        target.own = own.map(|own| own.column.name).collect();
        target.key = target
            .key_fields
            .iter()
            .filter_map(|key| target.fields.iter().position(|field| field == key))
            .collect();
        target.refuse_keys_of_others(table)?;
        Ok(target)
    }

    /// Keys are compared in staging tables, as replay's role.
    fn refuse_keys_of_others(&self, table: &TableName) -> Result<(), Trouble> {
        let of_others = self.key.iter().map(|&key| &self.columns[key]);
        let mut of_others =
            of_others.filter(|column| column.staged_as.as_deref() == Some("pg_catalog.text"));
        of_others.next().map_or(Ok(()), |column| {
            Err(Trouble::misfit(
                table,
                format!(
                    "its key {} is of a type that may run code of {}'s: {}",
                    column.name,
                    self.acting.role().unwrap_or("another role"),
                    column.type_name
                ),
                "have the type owned by a superuser on the subscriber, or the table by replay's role",
            ))
        })
    }

    /// The table where rows are read, changed or deleted: without its children's, which are
    /// rows of other tables, but with those of its partitions.
    pub(crate) fn own_rows(&self) -> String {
        let only = if self.partitioned { "" } else { "only " };
        format!("{only}{}", self.name.quoted())
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    }

    /// The written columns as a staging table under an alias has them.
    fn staged_names(&self, alias: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| c.staged(alias)).collect();
        names.join(", ")
    }

    /// The columns of a query over the table that a staging table is made of.
    fn names_to_stage(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(Column::to_stage).collect();
        names.join(", ")
    }

    /// The same of the key.
    fn key_names_to_stage(&self) -> String {
        let key = self.key.iter().map(|&k| self.columns[k].to_stage());
        key.collect::<Vec<_>>().join(", ")
    }

    fn key_names(&self, prefix: &str) -> String {
        let names: Vec<String> = self
            .key
            .iter()
            .map(|&k| format!("{prefix}{}", self.columns[k].name))
            .collect();
        names.join(", ")
    }

    /// The comparison of the table's key, under alias `t`, with `other(n)` for the nth key
    /// column.
    fn key_equals(&self, other: impl Fn(usize, &Column) -> String) -> String {
        let terms: Vec<String> = self
            .key
            .iter()
            .enumerate()
            .map(|(n, &k)| {
                let column = &self.columns[k];
                let equal = column.equal.as_deref().unwrap_or("operator(pg_catalog.=)");
                format!("t.{} {equal} {}", column.name, other(n, column))
            })
            .collect();
        terms.join(" and ")
    }

    /// The columns that an UPDATE sets: all but the key where equal keys have equal text, for
    /// then the key stays. None if nothing is left to set.
    fn set_list(&self, value: impl Fn(usize, &Column) -> String) -> Option<String> {
        let key_stays = self.shape.key_text_is_equality();
        let terms: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(n, _)| !(key_stays && self.key.contains(n)))
            .map(|(n, column)| format!("{} = {}", column.name, value(n, column)))
            .collect();
        (!terms.is_empty()).then(|| terms.join(", "))
    }

    /// Whether UPDATE can set what must be set: an identity column that is GENERATED ALWAYS
    /// takes values from INSERT only.
    pub(crate) fn can_update(&self) -> bool {
        let key_stays = self.shape.key_text_is_equality();
        self.columns
            .iter()
            .enumerate()
            .all(|(n, c)| !c.identity_always || (key_stays && self.key.contains(&n)))
    }

    /// Whether a row that changes must be taken out and put in again although the subscriber's
    /// own columns keep their values.
    pub(crate) fn keeps_beside(&self) -> bool {
        !self.key.is_empty() && !self.own.is_empty() && !self.can_update()
    }

    /// The quoted name and the type of a written column; none if there is no such column, or
    /// the subscriber computes it.
    pub(crate) fn written_column(&self, name: &str) -> Option<(&str, &str)> {
        let quoted = quote_ident(name);
        self.columns
            .iter()
            .find(|column| column.name == quoted)
            .map(|column| (column.name.as_str(), column.type_name.as_str()))
    }

    /// Whether a written column takes no null.
    pub(crate) fn is_not_null(&self, name: &str) -> bool {
        let quoted = quote_ident(name);
        self.columns
            .iter()
            .any(|column| column.name == quoted && column.not_null)
    }

    /// The statement that loads the written columns by COPY into a table that has them.
    pub(crate) fn copy_in(&self, into: &TableName) -> String {
        if self.columns.is_empty() {
            // COPY needs no list where there is no column to write.
            return format!("copy {} from stdin", into.quoted());
        }
        format!("copy {} ({}) from stdin", into.quoted(), self.names())
    }

    /// A query over the written columns, of which a table is made that rows are loaded into first.
    pub(crate) fn select_to_stage(&self) -> String {
        format!("select {} from {}", self.names_to_stage(), self.own_rows())
    }

    /// The statement that writes the rows of such a table.
    pub(crate) fn insert_staged(&self, staging: &str) -> String {
        let table = self.name.quoted();
        if self.columns.is_empty() {
            return format!("insert into {table} select from {staging} s");
        }
        format!(
            "insert into {table} ({}) overriding system value select {} from {staging} s",
            self.names(),
            self.staged_names("s")
        )
    }

    /// The statements that bring in the rows of a table with the written columns: rows with
    /// the same key become equal, missing ones are added, and with `only_these` all others go.
    /// Rows that are equal already are not touched.
    pub(crate) fn merge_statements(&self, aside: &TableName, only_these: bool) -> Vec<String> {
        let (table, own) = (self.name.quoted(), self.own_rows());
        let (aside, names) = (aside.quoted(), self.names());
        let insert = format!(
            "insert into {table} ({names}) overriding system value select {} from {aside} s",
            self.staged_names("s")
        );
        if self.key.is_empty() {
            let clear = only_these.then(|| format!("delete from {own}"));
            return clear.into_iter().chain([insert]).collect();
        }
        let staged = |_: usize, c: &Column| c.staged("s");
        let same_key = self.key_equals(|_, c| format!("s.{}", c.name));
        let all_of_t: Vec<String> = self
            .columns
            .iter()
            .map(|c| format!("t.{}", c.name))
            .collect();
        // By their images, as records: every type has one, not every type has an equality.
        let differs = format!(
            "row({})::pg_catalog.record operator(pg_catalog.*<>) row({})::pg_catalog.record",
            all_of_t.join(", "),
            self.staged_names("s")
        );
        let others = only_these.then(|| {
            format!("delete from {own} t where not exists (select from {aside} s where {same_key})")
        });
        // A row that is taken out and put in again is never in the way of another one; but
        // columns that only the subscriber has keep their values only through an update, or
        // where they are put in with it.
        let taken_out =
            format!("delete from {own} t using {aside} s where {same_key} and {differs}");
        let changed = match self.set_list(staged) {
            Some(set) if !self.own.is_empty() && self.can_update() => {
                format!("update {own} t set {set} from {aside} s where {same_key} and {differs}")
            }
            Some(_) if !self.own.is_empty() => {
                let of = |alias: &str, columns: Vec<&str>| {
                    let all: Vec<String> = columns.iter().map(|c| format!("{alias}.{c}")).collect();
                    all.join(", ")
                };
                let kept = of("t", self.own.iter().map(String::as_str).collect());
                // Counted first, so that all are out before the first one comes in.
                format!(
                    "with gone as ({taken_out} returning {}, {kept}) \
                     insert into {table} ({names}, {}) overriding system value \
                     select {}, {kept} from {aside} s join gone t on {same_key} \
                      where (select count(*) from gone) > 0",
                    self.key_names("t."),
                    self.own.join(", "),
                    self.staged_names("s"),
                )
            }
            Some(_) | None => taken_out,
        };
        let missing = format!("{insert} where not exists (select from {own} t where {same_key})");
        others.into_iter().chain([changed, missing]).collect()
    }

    /// The written columns' names, unquoted.
    pub(crate) fn copied_names(&self) -> Vec<&str> {
        self.fields
            .iter()
            .map(|&field| self.shape.columns[field].name.as_str())
            .collect()
    }

    /// The provider's columns, quoted, in the order in which `copy_in` takes them.
    pub(crate) fn copied_columns(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|&field| quote_ident(&self.shape.columns[field].name))
            .collect()
    }
}
