//! Suggestions for names that are misspelt. Pure.

use crate::name::TableName;

/// How many letters of a name there are for each letter that may differ: one letter in three may.
const LETTERS_A_SLIP: usize = 3;

/// The known name that was probably meant; none if no known name is near.
pub fn name<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (wanted.chars().count() / LETTERS_A_SLIP).max(1);
    known
        .into_iter()
        .map(|one| (strsim::damerau_levenshtein(wanted, one), one))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// The known table (or sequence) that was probably meant: one of the same name in another schema, else one with a
/// similar name, else none.
pub fn table<'a>(
    wanted: &TableName,
    known: impl IntoIterator<Item = &'a TableName>,
) -> Option<&'a TableName> {
    let known: Vec<&TableName> = known.into_iter().filter(|one| *one != wanted).collect();
    if let Some(elsewhere) = known.iter().find(|one| one.name == wanted.name) {
        return Some(elsewhere);
    }
    let in_schema = known.iter().filter(|one| one.schema == wanted.schema);
    let others = known.iter().filter(|one| one.schema != wanted.schema);
    in_schema
        .chain(others)
        .copied()
        .min_by_key(|one| {
            distance(&wanted.name, &one.name) + 2 * usize::from(one.schema != wanted.schema)
        })
        .filter(|one| name(&wanted.name, [one.name.as_str()]).is_some())
}

fn distance(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(one, other)
}

/// `; did you mean NAME?`, to be put behind a sentence; empty if no name is near.
pub fn did_you_mean(near: Option<impl std::fmt::Display>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_looked_for_in_other_schemas_and_by_nearly_its_name() {
        let known = [("app", "orders"), ("public", "customers"), ("app", "lines")]
            .map(|(schema, name)| TableName::new(schema, name));
        let near = |schema, name| {
            let wanted = TableName::new(schema, name);
            table(&wanted, &known).map(ToString::to_string)
        };
        assert_eq!(near("public", "orders").as_deref(), Some("app.orders"));
        assert_eq!(near("app", "ordres").as_deref(), Some("app.orders"));
        assert_eq!(
            near("public", "costumers").as_deref(),
            Some("public.customers")
        );
        assert_eq!(near("apps", "line").as_deref(), Some("app.lines"));
        assert_eq!(near("public", "nothing"), None);
    }

    #[test]
    fn a_short_name_may_have_one_slip_and_no_more() {
        assert_eq!(name("q2", ["q1", "queue"]), Some("q1"));
        assert_eq!(name("db1-qeue", ["db1-queue"]), Some("db1-queue"));
        assert_eq!(name("a", ["bcd"]), None);
        assert_eq!(did_you_mean(None::<&str>), "");
        assert_eq!(did_you_mean(Some("q1")), "; did you mean q1?");
    }
}
