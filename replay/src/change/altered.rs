//! How a table's columns have changed from one shape to the next, and what is to be done where they have not. A column
//! keeps its number, and is followed by it. Pure.

use std::collections::HashMap;

use sql::{
    event::shape::{
        Column, Shape,
        since::{MadeOf, WasColumn},
    },
    name::quote_ident,
};

use super::text_stays::text_stays;

/// What became of the columns of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Altered {
    /// The columns that are gone.
    pub dropped: Vec<WasColumn>,
    /// The names before, and the columns.
    pub renamed: Vec<(String, Column)>,
    /// The types before, and the columns of another type than before.
    pub retyped: Vec<(String, Column, MadeOf)>,
    /// The new columns.
    pub added: Vec<(Column, MadeOf)>,
}

/// One change of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// The column with this name goes.
    Drop(&'a str),
    /// The first name becomes the second.
    Rename(&'a str, &'a str),
    /// The column with this name gets a type.
    Retype(&'a str, &'a MadeOf),
    /// A column comes.
    Add(&'a str, &'a MadeOf),
}

/// Why a table is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotDone {
    /// The reason.
    pub why: String,
    /// What a person can do.
    pub advice: String,
}

impl Altered {
    /// Whether a name means another column than before, or none.
    pub(crate) fn takes_names_away(&self) -> bool {
        !self.dropped.is_empty() || !self.renamed.is_empty()
    }

    /// What became of the columns `was` of a table; `made_of` says of what those of the later shape are made. None if
    /// nothing did, or if an older version of capture has not numbered the columns.
    pub(super) fn between(was: &[WasColumn], now: &Shape, made_of: &[MadeOf]) -> Option<Altered> {
        let are_numbered = was.iter().all(|column| column.attnum.is_some())
            && now.columns.iter().all(|column| column.attnum.is_some());
        if now.dropped || !are_numbered {
            return None;
        }
        let made = |column: &Column| {
            let mut made_of = made_of.iter();
            made_of
                .find(|made| Some(made.attnum) == column.attnum)
                .cloned()
        };
        let mut altered = Altered::default();
        for column in was {
            if !now.columns.iter().any(|one| one.attnum == column.attnum) {
                altered.dropped.push(column.clone());
            }
        }
        for column in &now.columns {
            let Some(before) = was.iter().find(|one| one.attnum == column.attnum) else {
                let added = made(column).map(|made| (column.clone(), made));
                altered.added.extend(added);
                continue;
            };
            if before.name != column.name {
                altered.renamed.push((before.name.clone(), column.clone()));
            }
            if before.type_name != column.type_name {
                let made = made(column);
                let retyped = made.map(|made| (before.type_name.clone(), column.clone(), made));
                altered.retyped.extend(retyped);
            }
        }
        (altered != Altered::default()).then_some(altered)
    }

    /// What a table that is to be copied lacks, whose columns are `here` with their types: columns of the provider's,
    /// and types that take all values of theirs. What it has beside that is left as it is.
    pub(crate) fn lacking(
        shape: &Shape,
        made_of: &[MadeOf],
        here: &HashMap<String, String>,
    ) -> Altered {
        let mut altered = Altered::default();
        for column in &shape.columns {
            let mut made_of = made_of.iter();
            let Some(made) = made_of.find(|made| Some(made.attnum) == column.attnum) else {
                continue;
            };
            match here.get(&column.name) {
                None => altered.added.push((column.clone(), made.clone())),
                Some(type_name) if text_stays(type_name, &column.type_name) => {
                    let retyped = (type_name.clone(), column.clone(), made.clone());
                    altered.retyped.push(retyped);
                }
                Some(_) => {}
            }
        }
        altered
    }

    /// The same without the columns that a job does not replicate; `takes` tells by number and name.
    pub(crate) fn taken(&self, takes: impl Fn(Option<i16>, &str) -> bool) -> Altered {
        let of = |column: &Column| takes(column.attnum, &column.name);
        Altered {
            dropped: self
                .dropped
                .iter()
                .filter(|one| takes(one.attnum, &one.name))
                .cloned()
                .collect(),
            renamed: self
                .renamed
                .iter()
                .filter(|(_, one)| of(one))
                .cloned()
                .collect(),
            retyped: self
                .retyped
                .iter()
                .filter(|(_, one, _)| of(one))
                .cloned()
                .collect(),
            added: self
                .added
                .iter()
                .filter(|(one, _)| of(one))
                .cloned()
                .collect(),
        }
    }

    /// What is to be done where a table has the columns `here`, each with its type. What is done already is left out.
    ///
    /// Columns whose names went round in a circle are left out, too: nothing here tells whether that was done. Capture
    /// has the values of such columns compared behind the change.
    ///
    /// # Errors
    /// The first thing that cannot be done.
    pub(crate) fn steps(&self, here: &HashMap<String, String>) -> Result<Vec<Step<'_>>, NotDone> {
        let mut here = here.clone();
        let mut steps = Vec::new();
        for column in &self.dropped {
            if self.is_still_there(column, &here) && here.remove(&column.name).is_some() {
                steps.push(Step::Drop(&column.name));
            }
        }
        self.rename(&mut here, &mut steps)?;
        for (before, column, made) in &self.retyped {
            // A column to which the subscriber has given a type of its own keeps it.
            if here.get(&column.name) != Some(before) || *before == column.type_name {
                continue;
            }
            if !text_stays(before, &column.type_name) {
                return Err(NotDone {
                    why: format!(
                        "column {} went from {before} to {} on the provider, and values may change with that",
                        quote_ident(&column.name),
                        column.type_name
                    ),
                    advice: format!(
                        "on the subscriber: alter table ... alter column {} type {}",
                        quote_ident(&column.name),
                        column.type_name
                    ),
                });
            }
            steps.push(Step::Retype(&column.name, made));
        }
        for (column, made) in &self.added {
            if !here.contains_key(&column.name) {
                steps.push(Step::Add(&column.name, made));
            }
        }
        Ok(steps)
    }

    /// Whether the column with the name of one that is gone on the provider is that one, and not another column that
    /// has the name by now.
    fn is_still_there(&self, gone: &WasColumn, here: &HashMap<String, String>) -> bool {
        if let Some((before, _)) = self.renamed.iter().find(|(_, now)| now.name == gone.name) {
            return here.contains_key(before);
        }
        match self.added.iter().find(|(now, _)| now.name == gone.name) {
            None => true,
            // Of the same type it can stay: capture tells which values a new column has.
            Some((now, _)) => {
                now.type_name != gone.type_name && here.get(&gone.name) == Some(&gone.type_name)
            }
        }
    }

    /// The names that change, in an order in which each is free when it is taken.
    fn rename<'a>(
        &'a self,
        here: &mut HashMap<String, String>,
        steps: &mut Vec<Step<'a>>,
    ) -> Result<(), NotDone> {
        // Done already, if a column has the name now and none has the one before; or, in a chain of names, if the first
        // of them is not here any more.
        let mut wanted: Vec<(&str, &str)> = self
            .renamed
            .iter()
            .map(|(before, now)| (before.as_str(), now.name.as_str()))
            .filter(|(before, _)| here.contains_key(*before))
            .filter(|(before, _)| !self.has_gone_on_from(before, here))
            .collect();
        while !wanted.is_empty() {
            if let Some(place) = wanted.iter().position(|(_, now)| !here.contains_key(*now)) {
                let (before, now) = wanted.remove(place);
                if let Some(type_name) = here.remove(before) {
                    here.insert(now.to_owned(), type_name);
                }
                steps.push(Step::Rename(before, now));
                continue;
            }
            // Each of these waits for another one of them, or for a column that stays.
            let is_waited_for = |name: &str| wanted.iter().any(|(before, _)| *before == name);
            if let Some((before, now)) = wanted.iter().find(|(_, now)| !is_waited_for(now)) {
                return Err(NotDone {
                    why: format!(
                        "column {} was renamed to {} on the provider, and the subscriber's table has both",
                        quote_ident(before),
                        quote_ident(now)
                    ),
                    advice: format!(
                        "on the subscriber, rename or drop one of the two: column {} of the provider is to be {}",
                        quote_ident(before),
                        quote_ident(now)
                    ),
                });
            }
            wanted.clear();
        }
        Ok(())
    }

    /// Whether the column with this name is the one that took the name from another column, which is not here any more:
    /// the names were changed here before.
    fn has_gone_on_from(&self, name: &str, here: &HashMap<String, String>) -> bool {
        let mut name = name;
        // A chain of names has an end, or comes back to where it began.
        for _ in 0..self.renamed.len() {
            match self.renamed.iter().find(|(_, now)| now.name == name) {
                Some((before, _)) if here.contains_key(before) => name = before,
                Some(_) => return true,
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn was(columns: &[(i16, &str, &str)]) -> Vec<WasColumn> {
        let of = |(attnum, name, type_name): &(i16, &str, &str)| WasColumn {
            attnum: Some(*attnum),
            name: (*name).to_owned(),
            type_name: (*type_name).to_owned(),
        };
        columns.iter().map(of).collect()
    }

    fn shape(columns: &[(i16, &str, &str)]) -> Shape {
        let of = |(attnum, name, kind): &(i16, &str, &str)| {
            format!(
                r#"{{"attnum":{attnum},"name":"{name}","type":"{kind}","key":null,"text_equal":true}}"#
            )
        };
        let columns: Vec<String> = columns.iter().map(of).collect();
        Shape::from_json(&format!(
            r#"{{"shape":1,"table":{{"schema":"s","name":"t","oid":9}},"identity":"full","columns":[{}]}}"#,
            columns.join(",")
        ))
        .unwrap()
    }

    fn made(attnum: i16) -> MadeOf {
        MadeOf {
            attnum,
            schema: "pg_catalog".into(),
            type_name: "int8".into(),
            modifier: -1,
            not_null: false,
            default: None,
            is_literal: false,
            fill: None,
        }
    }

    fn here(columns: &[(&str, &str)]) -> HashMap<String, String> {
        let of = |(name, kind): &(&str, &str)| ((*name).to_owned(), (*kind).to_owned());
        columns.iter().map(of).collect()
    }

    #[test]
    fn columns_are_followed_by_their_numbers_and_what_is_done_already_is_left_out() {
        let before = was(&[(1, "a", "integer"), (2, "b", "text"), (3, "c", "text")]);
        let after = shape(&[(1, "a", "bigint"), (3, "b", "text"), (4, "d", "text")]);
        let facts = [made(1), made(3), made(4)];
        let altered = Altered::between(&before, &after, &facts).unwrap();
        let old = [("a", "integer"), ("b", "text"), ("c", "text")];
        assert_eq!(
            altered.steps(&here(&old)).unwrap(),
            [
                Step::Drop("b"),
                Step::Rename("c", "b"),
                Step::Retype("a", &facts[0]),
                Step::Add("d", &facts[2])
            ]
        );
        let new = [("a", "bigint"), ("b", "text"), ("d", "text")];
        assert_eq!(altered.steps(&here(&new)).unwrap(), []);
        // A type of the subscriber's own stays, and columns that are not replicated are nobody's.
        let own = [("a", "numeric"), ("b", "text"), ("d", "citext")];
        assert_eq!(altered.steps(&here(&own)).unwrap(), []);
        let partial = altered.taken(|attnum, _| attnum == Some(4));
        assert_eq!(
            partial.steps(&here(&old)).unwrap(),
            [Step::Add("d", &facts[2])]
        );
        assert_eq!(
            Altered::between(&was(&[(1, "a", "text")]), &shape(&[(1, "a", "text")]), &[]),
            None
        );
    }

    #[test]
    fn names_wait_for_each_other_and_one_that_is_taken_is_refused() {
        let before = was(&[(1, "a", "text"), (2, "b", "text"), (3, "x", "text")]);
        let three = |names: [&'static str; 3]| here(&names.map(|name| (name, "text")));
        let chain = shape(&[(1, "b", "text"), (2, "c", "text"), (3, "x", "text")]);
        let altered = Altered::between(&before, &chain, &[]).unwrap();
        let steps = [Step::Rename("b", "c"), Step::Rename("a", "b")];
        assert_eq!(altered.steps(&three(["a", "b", "x"])).unwrap(), steps);
        assert_eq!(altered.steps(&three(["b", "c", "x"])).unwrap(), []);
        let circle = shape(&[(1, "b", "text"), (2, "a", "text"), (3, "x", "text")]);
        let altered = Altered::between(&before, &circle, &[]).unwrap();
        assert_eq!(altered.steps(&three(["a", "b", "x"])).unwrap(), []);
        let renamed = shape(&[(1, "a", "text"), (2, "b", "text"), (3, "y", "text")]);
        let altered = Altered::between(&before, &renamed, &[]).unwrap();
        let both = here(&[("a", "text"), ("b", "text"), ("x", "text"), ("y", "int")]);
        let refused = altered.steps(&both).unwrap_err();
        assert!(refused.why.contains("has both"), "{refused:?}");
        assert_eq!(altered.steps(&three(["a", "b", "y"])).unwrap(), []);
    }

    #[test]
    fn a_column_that_another_one_of_its_name_took_the_place_of_goes_only_if_its_type_says_that_it_is_the_old_one()
     {
        let before = was(&[(1, "a", "text"), (3, "x", "text")]);
        let of_number = shape(&[(1, "a", "text"), (4, "x", "bigint")]);
        let facts = [made(4)];
        let altered = Altered::between(&before, &of_number, &facts).unwrap();
        let steps = [Step::Drop("x"), Step::Add("x", &facts[0])];
        assert_eq!(
            altered
                .steps(&here(&[("a", "text"), ("x", "text")]))
                .unwrap(),
            steps
        );
        assert_eq!(
            altered
                .steps(&here(&[("a", "text"), ("x", "bigint")]))
                .unwrap(),
            []
        );
        let same = shape(&[(1, "a", "text"), (4, "x", "text")]);
        let altered = Altered::between(&before, &same, &facts).unwrap();
        assert_eq!(
            altered
                .steps(&here(&[("a", "text"), ("x", "text")]))
                .unwrap(),
            []
        );
    }

    #[test]
    fn a_type_under_which_values_would_change_is_refused_until_the_subscriber_has_it() {
        let before = was(&[(1, "a", "integer")]);
        let facts = [made(1)];
        let after = shape(&[(1, "a", "text")]);
        let altered = Altered::between(&before, &after, &facts).unwrap();
        let refused = altered.steps(&here(&[("a", "integer")])).unwrap_err();
        assert!(
            refused.advice.contains("alter column a type text"),
            "{refused:?}"
        );
        assert_eq!(altered.steps(&here(&[("a", "text")])).unwrap(), []);
    }
}
