//! Shapes that their own transaction replaces. Migration tools write all their DDL in one transaction: a column is
//! added and dropped, renamed through a third name, or gets its type by a helper column. The subscriber's table has the
//! last of these shapes. So whatever the transaction says of the table under an earlier shape is converted to the last
//! shape. A column keeps its number through all shapes, and is followed by it. Pure.

use std::{borrow::Cow, sync::Arc};

use sql::event::{
    Mark, row,
    shape::{Column, Shape},
};

/// A shape whose rows no other transaction has ever seen.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    /// The columns of the shape that the transaction keeps, under their last names.
    pub(super) shape: Arc<Shape>,
    /// For each of these columns, its place in the rows as they come.
    fields: Vec<usize>,
    before: Arc<Shape>,
}

impl Passing {
    /// How rows of the shape `before` are converted to the last shape of its transaction.
    ///
    /// None if they cannot be converted. Either a column of the key is gone, so that it could not be told which row is
    /// meant; or the table is gone; or the shape has a problem, under which rows may have changed without an event. The
    /// shape is then treated like any other, and its table stops if it has to.
    pub(super) fn new(before: &Arc<Shape>, last: &Shape) -> Option<Passing> {
        if before.dropped || before.problem.is_some() || last.dropped {
            return None;
        }
        let (mut columns, mut fields) = (Vec::new(), Vec::new());
        for (field, column) in before.columns.iter().enumerate() {
            match kept(column, last) {
                Some(now) => {
                    fields.push(field);
                    columns.push(Column {
                        name: now.name.clone(),
                        type_name: now.type_name.clone(),
                        ..column.clone()
                    });
                }
                None if column.key.is_some() => return None,
                None => {}
            }
        }
        if columns.is_empty() {
            return None;
        }
        let shape = Shape {
            // The number stays that of `before`: a passing shape never has rows of another transaction.
            shape: before.shape,
            table: last.table.clone(),
            partitioned: last.partitioned,
            columns,
            ..Shape::clone(before)
        };
        Some(Passing {
            shape: Arc::new(shape),
            fields,
            before: Arc::clone(before),
        })
    }

    /// A row without the columns that are gone.
    pub(super) fn row<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        row::project(text, &self.fields)
    }

    /// What a mark says of the columns that stay; none if the mark is about none of them.
    ///
    /// A column that takes over the name of another column is left out: capture has such columns compared under the
    /// last shape. Values set before that would undo what the subscriber's own ALTER TABLE has put there.
    pub(super) fn mark(&self, mark: Mark) -> Option<Mark> {
        match mark {
            Mark::Filled {
                column,
                value,
                never_null,
            } => self.settled(&column).map(|column| Mark::Filled {
                column,
                value,
                never_null,
            }),
            Mark::Digest {
                columns,
                changed,
                rows,
                sum,
            } => {
                let changed = changed.unwrap_or_else(|| columns.clone());
                let changed: Vec<String> = changed
                    .iter()
                    .filter_map(|column| self.settled(column))
                    .collect();
                if changed.is_empty() {
                    return None;
                }
                Some(match self.comparable(&columns) {
                    Some(columns) => Mark::Digest {
                        columns,
                        changed: Some(changed),
                        rows,
                        sum,
                    },
                    None => Mark::Resync {
                        why: format!(
                            "a change of its definition has set values (of {}), and the same transaction \
                             has dropped or renamed columns that they would be compared with",
                            changed.join(", ")
                        ),
                    },
                })
            }
            whole @ (Mark::Resync { .. } | Mark::Emptied(_) | Mark::Own | Mark::Ignored { .. }) => {
                Some(whole)
            }
        }
    }

    /// The last name of a column.
    fn last_name(&self, name: &str) -> Option<&str> {
        let column = self.before.columns.iter().find(|one| one.name == name)?;
        let now = kept(column, &self.shape)?;
        Some(&now.name)
    }

    /// The last name of a column; none if another column had that name before.
    fn settled(&self, name: &str) -> Option<String> {
        let now = self.last_name(name)?;
        let was_another_s = now != name && self.before.columns.iter().any(|one| one.name == now);
        (!was_another_s).then(|| now.to_owned())
    }

    /// The last names of the columns of a checksum. A checksum takes the columns in the order of their names, so it
    /// cannot be compared any more if the last names have another order; the result is none then.
    fn comparable(&self, columns: &[String]) -> Option<Vec<String>> {
        let mut before: Vec<&String> = columns.iter().collect();
        before.sort_unstable();
        let now: Vec<String> = before
            .iter()
            .map(|name| self.last_name(name).map(str::to_owned))
            .collect::<Option<_>>()?;
        now.is_sorted().then_some(now)
    }
}

/// The column of a later shape that is the same column.
fn kept<'a>(column: &Column, later: &'a Shape) -> Option<&'a Column> {
    let attnum = column.attnum?;
    later.columns.iter().find(|one| one.attnum == Some(attnum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(number: i64, table: &str, columns: &[(i16, &str)]) -> Arc<Shape> {
        let columns: Vec<String> = columns
            .iter()
            .map(|(attnum, name)| {
                let key = if *attnum == 1 { "1" } else { "null" };
                format!(
                    r#"{{"attnum":{attnum},"name":"{name}","type":"text","key":{key},"text_equal":true}}"#
                )
            })
            .collect();
        let json = format!(
            r#"{{"shape":{number},"table":{{"schema":"public","name":"{table}","oid":9}},"identity":"key","columns":[{}]}}"#,
            columns.join(",")
        );
        Arc::new(Shape::from_json(&json).unwrap())
    }

    #[test]
    fn a_row_of_a_helper_column_is_one_of_the_column_that_it_becomes() {
        let helper = shape(2, "t", &[(1, "id"), (2, "a"), (3, "a2")]);
        let last = shape(4, "u", &[(1, "id"), (3, "a")]);
        let passing = Passing::new(&helper, &last).unwrap();
        assert_eq!(&*passing.row(b"1,old,\"n,w\""), b"1,\"n,w\"");
        assert_eq!(passing.shape.table.name, "u");
        let names: Vec<&str> = passing.shape.columns.iter().map(|c| &*c.name).collect();
        assert_eq!(names, ["id", "a"]);
        assert_eq!(passing.shape.key_fields(), [0]);
        // The columns are compared under the last shape, so that what the subscriber has put there is not undone.
        let filled = |column: &str| Mark::Filled {
            column: column.into(),
            value: None,
            never_null: false,
        };
        assert_eq!(passing.mark(filled("a2")), None);
        assert_eq!(passing.mark(filled("a")), None);
    }

    #[test]
    fn what_is_said_of_a_column_is_said_under_its_last_name() {
        let before = shape(2, "t", &[(1, "id"), (2, "a"), (3, "x")]);
        let last = shape(3, "t", &[(1, "id"), (2, "b"), (4, "y")]);
        let passing = Passing::new(&before, &last).unwrap();
        let filled = |column: &str| Mark::Filled {
            column: column.into(),
            value: Some("5".into()),
            never_null: false,
        };
        assert_eq!(passing.mark(filled("a")), Some(filled("b")));
        assert_eq!(passing.mark(filled("x")), None);
        let digest = |columns: &[&str], changed: &[&str]| Mark::Digest {
            columns: columns.iter().map(ToString::to_string).collect(),
            changed: Some(changed.iter().map(ToString::to_string).collect()),
            rows: 1,
            sum: "7".into(),
        };
        assert_eq!(
            passing.mark(digest(&["id", "a"], &["a"])),
            Some(digest(&["b", "id"], &["b"]))
        );
        assert_eq!(passing.mark(digest(&["id", "x"], &["x"])), None);
        assert!(matches!(
            passing.mark(digest(&["id", "a", "x"], &["a", "x"])),
            Some(Mark::Resync { .. })
        ));
    }

    #[test]
    fn a_shape_whose_key_or_table_goes_or_that_has_a_problem_passes_over_nothing() {
        let before = shape(2, "t", &[(1, "id"), (2, "a")]);
        let last = shape(3, "t", &[(1, "id"), (2, "b")]);
        let mut without_key = Shape::clone(&last);
        without_key.columns.remove(0);
        assert!(Passing::new(&before, &without_key).is_none());
        let dropped = Shape {
            dropped: true,
            ..Shape::clone(&last)
        };
        assert!(Passing::new(&before, &dropped).is_none());
        let troubled = Arc::new(Shape {
            problem: Some("the key was lost".into()),
            ..Shape::clone(&before)
        });
        assert!(Passing::new(&troubled, &last).is_none());
    }
}
