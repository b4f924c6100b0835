//! Whether a subscriber's table takes the rows of a provider's table. `add` asks this before it makes anything.

use admin::exit::one_line;
use anyhow::Context as _;
use sql::{
    connect::Session,
    event::mapping::{Mapping, Merge, ProviderColumn},
    name::{TableName, quote_ident},
    provider::Candidate,
    subscriber::{
        definition, relation,
        session_role::SessionRole,
        table_state::{self, Existing},
        target::{self, TargetColumn},
    },
};

use super::{
    merging::{self, not_brought, target_is_taken},
    types::{Takes, takes},
};
use crate::apply::{origin, table::Acting};

/// A table that is to be written.
pub(crate) struct Wish<'a> {
    /// The provider's table.
    pub(crate) candidate: &'a Candidate,
    /// The provider's columns that are captured.
    pub(crate) captured: &'a [ProviderColumn],
    /// What the subscriber wants of the table, and the table that it is written to.
    pub(crate) mapping: &'a Mapping,
    /// What is done with rows that the subscriber has already.
    pub(crate) existing: Existing,
    /// The role that the table is written as.
    pub(crate) session_role: SessionRole,
}

impl Wish<'_> {
    /// The names of the columns that are replicated.
    fn columns(&self) -> Vec<&String> {
        let columns = self.mapping.columns.as_deref().unwrap_or(self.captured);
        columns.iter().map(|column| &column.name).collect()
    }
}

/// Why the subscriber cannot take the rows, and what to do; none if it can. `place` is the subscriber's name in
/// messages.
pub(crate) async fn refusal(
    subscriber: &Session,
    consumer: &str,
    place: &str,
    wish: &Wish<'_>,
) -> anyhow::Result<Option<String>> {
    let target = wish.mapping.target_of(&wish.candidate.table);
    let table = &wish.candidate.table;
    let other = table_state::other_writer(&**subscriber, target, consumer, table, wish.mapping)
        .await
        .with_context(|| format!("could not read which tables are written on {place}"))?;
    if let Some(other) = other {
        return Ok(Some(target_is_taken(target, place, wish.mapping, &other)));
    }
    let why = misfit(subscriber, place, target, wish).await?;
    Ok(why.map(|why| match &wish.mapping.target {
        Some(target) => format!("its table {target} {why}"),
        None => why,
    }))
}

/// Why the provider does not capture a table: its own answer, without what was being done.
pub(crate) fn not_captured(error: &sql::Error) -> String {
    error
        .answer()
        .map_or_else(|| one_line(error), |answer| one_line(answer))
}

async fn misfit(
    subscriber: &Session,
    place: &str,
    table: &TableName,
    wish: &Wish<'_>,
) -> anyhow::Result<Option<String>> {
    let (candidate, existing) = (wish.candidate, wish.existing);
    let columns = wish.columns();
    let here = columns_of(subscriber, place, table).await?;
    if here.is_empty() && !columns.is_empty() {
        let other = relation::find(&**subscriber, table)
            .await
            .with_context(|| format!("could not look for {table} on {place}"))?;
        return Ok(Some(match other {
            None => {
                format!("does not exist on {place}: create it there first, or add it with --create")
            }
            Some(other) if other.is_table => {
                format!("has no column on {place}: add them there first")
            }
            Some(other) => format!(
                "is {} on {place}, and replay writes tables only: name one with --as, or make one of that name",
                other.what
            ),
        }));
    }
    let acting = Acting::find(&**subscriber, &candidate.table, table).await?;
    let role = wish.session_role;
    if let Some(why) = not_logged(subscriber, place, table, role).await? {
        return Ok(Some(why));
    }
    let ordinary = origin::find(&**subscriber, &candidate.table, table, role).await?;
    let refused = acting
        .refuse_code(table)
        .and(origin::refuse(&ordinary, table));
    if let Err(refused) = refused {
        let why = refused.chain();
        return Ok(Some(match refused.advice() {
            Some(advice) => format!("{why} ({advice})"),
            None => why,
        }));
    }
    let missing = quoted(
        columns
            .iter()
            .filter(|column| !here.iter().any(|one| one.name == ***column))
            .copied(),
    );
    if !missing.is_empty() {
        return Ok(Some(format!(
            "has no column {missing} on {place}: add it there first"
        )));
    }
    if wish.mapping.columns.is_some() {
        let unfilled = definition::unfilled_columns(&**subscriber, table, &columns)
            .await
            .with_context(|| format!("could not look at {table} on {place}"))?;
        if !unfilled.is_empty() {
            return Ok(Some(format!(
                "gets no value for {} on {place}, which is NOT NULL and has no default: list it, or \
                 change that there",
                quoted(unfilled.iter())
            )));
        }
    }
    if here
        .iter()
        .any(|one| one.generated && candidate.key.contains(&one.name))
    {
        return Ok(Some(format!(
            "computes a column of the key by itself on {place}: make it an ordinary column"
        )));
    }
    if let Some(merge) = &wish.mapping.merge
        && let Some(name) = not_brought(&here, &columns, &merge.columns)
    {
        return Ok(Some(format!(
            "has a --merge that reads column {}, which the provider's rows do not bring",
            quote_ident(name)
        )));
    }
    let told_by = wish.mapping.merge.as_ref().map(|merge| &merge.columns[..]);
    if !candidate.key.is_empty()
        && !has_unique_key(&here, &candidate.key, told_by.unwrap_or_default())
    {
        let or = told_by.map_or("", |_| ", or on it and columns of --merge,");
        return Ok(Some(format!(
            "has no unique index on just its key ({}){or} on {place}, so a key could come twice: \
             create one there first",
            quoted(candidate.key.iter())
        )));
    }
    if existing == Existing::Keep && candidate.key.is_empty() {
        return Ok(Some(
            "has no key to merge rows by: --truncate empties it first".into(),
        ));
    }
    let merge = wish.mapping.merge.as_ref();
    if existing == Existing::Refuse && holds_rows(subscriber, &acting, table, place, merge).await? {
        let (which, truncate) = match merge {
            None => (String::new(), "empties it first"),
            Some(merge) => (format!(" with {}", merge.condition), "replaces them"),
        };
        return Ok(Some(format!(
            "holds rows{which} on {place}: --truncate {truncate}, --keep-rows merges by key, \
             --expect-sync takes them for the provider's"
        )));
    }
    Ok(None)
}

/// Why a table that others follow from the subscriber cannot be written there; none if it can, or if nobody follows it.
async fn not_logged(
    subscriber: &Session,
    place: &str,
    table: &TableName,
    role: SessionRole,
) -> anyhow::Result<Option<String>> {
    let cannot_look = || format!("could not look at {table} on {place}");
    let captured = definition::is_captured(&**subscriber, table).await;
    if !captured.with_context(cannot_look)? {
        return Ok(None);
    }
    match role {
        SessionRole::Origin => Ok(Some(format!(
            "is captured on {place}, and what replay writes in ordinary sessions cannot be replicated on: remove it \
             from the jobs that read it from {place}, or let replay write as a replica"
        ))),
        SessionRole::Replica => {
            let refusal = definition::relay_refusal(&**subscriber, table).await;
            Ok(refusal
                .with_context(cannot_look)?
                .map(|why| format!("is captured on {place}, and {why}")))
        }
    }
}

/// Whether the subscriber has no such table, or a table without columns.
pub(crate) async fn is_absent(
    subscriber: &Session,
    place: &str,
    table: &TableName,
) -> anyhow::Result<bool> {
    Ok(columns_of(subscriber, place, table).await?.is_empty())
}

async fn columns_of(
    subscriber: &Session,
    place: &str,
    table: &TableName,
) -> anyhow::Result<Vec<TargetColumn>> {
    target::columns(&**subscriber, table)
        .await
        .with_context(|| format!("could not look at {table} on {place}"))
}

/// Columns of the subscriber's table whose types differ from the provider's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differing {
    /// Why the table cannot be added: no value fits.
    pub refusal: Option<String>,
    /// What may park the table later.
    pub warnings: Vec<String>,
}

/// Compares the types of the provider's replicated columns, by name, with those of the subscriber's table.
pub(crate) async fn types(
    subscriber: &Session,
    place: &str,
    wish: &Wish<'_>,
    columns: &[(String, String)],
) -> anyhow::Result<Differing> {
    let target = wish.mapping.target_of(&wish.candidate.table);
    let mut here = columns_of(subscriber, place, target).await?;
    let wanted = wish.columns();
    here.retain(|one| wanted.contains(&&one.name));
    Ok(differing(&here, place, columns))
}

fn differing(here: &[TargetColumn], place: &str, columns: &[(String, String)]) -> Differing {
    let mut differing = Differing::default();
    for (name, provider) in columns {
        let Some(one) = here.iter().find(|one| one.name == *name && !one.generated) else {
            continue;
        };
        let what = format!(
            "{} is {provider} on the provider and {} on {place}",
            quote_ident(name),
            one.type_name
        );
        match takes(provider, &one.type_name) {
            Takes::All => {}
            Takes::Some => differing.warnings.push(format!(
                "{what}: a value that does not fit will park the table"
            )),
            Takes::Nothing if differing.refusal.is_none() => {
                differing.refusal = Some(format!("{what}, which takes none of its values"));
            }
            Takes::Nothing => {}
        }
    }
    differing
}

fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| quote_ident(name)).collect();
    names.join(", ")
}

/// Whether some unique index has the key's columns and no others but columns that tell a job's rows: several jobs may
/// have the same key.
fn has_unique_key(here: &[TargetColumn], key: &[String], told_by: &[String]) -> bool {
    let indexes = here.iter().flat_map(|one| &one.unique_keys);
    indexes.into_iter().any(|index| {
        let in_index = here.iter().filter(|one| one.unique_keys.contains(index));
        let mut others = in_index.clone().filter(|one| !key.contains(&one.name));
        in_index.filter(|one| key.contains(&one.name)).count() == key.len()
            && others.all(|one| told_by.contains(&one.name))
    })
}

async fn holds_rows(
    subscriber: &Session,
    acting: &Acting,
    table: &TableName,
    place: &str,
    merge: Option<&Merge>,
) -> anyhow::Result<bool> {
    let only = merge.map_or(String::new(), |merge| {
        format!(" where {}", merge.of_alias("t"))
    });
    let query = format!("select 'a row' from {} t{only} limit 1", table.quoted());
    let rows = merging::lines(subscriber, acting, (table, place), &query).await?;
    Ok(!rows.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(columns: &[(&str, &[u32])]) -> Vec<TargetColumn> {
        columns
            .iter()
            .map(|(name, keys)| TargetColumn {
                name: (*name).into(),
                type_name: "integer".into(),
                unique_keys: keys.to_vec(),
                ..TargetColumn::default()
            })
            .collect()
    }

    #[test]
    fn only_an_index_on_just_the_key_keeps_a_key_from_coming_twice() {
        let key = ["b".to_owned(), "a".to_owned()];
        let has = |columns: &[(&str, &[u32])]| has_unique_key(&here(columns), &key, &[]);
        assert!(has(&[("a", &[1]), ("b", &[1, 2])]));
        assert!(!has(&[("a", &[]), ("b", &[])]));
        assert!(!has(&[("a", &[]), ("b", &[2])]));
        let wider: [(&str, &[u32]); 3] = [("a", &[1]), ("b", &[1]), ("c", &[1])];
        assert!(!has(&wider));
        assert!(has_unique_key(&here(&wider), &key, &["c".into()]));
        assert!(!has_unique_key(&here(&wider), &key, &["d".into()]));
    }
}
