//! What becomes of a table when its subscriber moves to another log. Pure.

use std::collections::BTreeMap;

use sql::{
    event::{
        mapping::{Filter, Mapping, ProviderColumn},
        shape::Shape,
    },
    provider::Heir,
    queue::tick::TickId,
    subscriber::table_state::{Existing, NamesNow, Parked, Place, Stand, TableRow, Why},
};

/// What an operator can do about a table whose rows are of no place in the new log.
const REPAIR: &str = "copy the table again: replay resync TABLE (--swap keeps its rows readable)";

/// What an operator can do about a table that the new provider does not have.
const NO_HEIR: &str = "remove the table from the job: replay remove TABLE; add it again if the provider has it by \
     another name or is to log it";

/// Where the own events of a table that is not `ok` go on in the new log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnPlace {
    /// At this place.
    Found(Place),
    /// Nowhere, for this reason.
    Lost(String),
}

/// The new provider's part in a table's move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewUpstream<'a> {
    /// The provider's table; none: it has none that it knows for this one.
    pub heir: Option<&'a Heir>,
    /// Where the table's own events go on; for a table that has a place of its own.
    pub own: Option<&'a OwnPlace>,
}

/// The new provider's table for a row of which `oid` is the number in the log that the heirs are of; none: that number
/// is not known. A table that is copied from its beginning has no rows yet that could be those of another table: it is
/// found by its name then, as `replay add` finds one.
pub(crate) fn heir_of<'h>(row: &TableRow, oid: Option<u32>, heirs: &'h [Heir]) -> Option<&'h Heir> {
    match oid {
        Some(oid) => heirs.iter().find(|heir| heir.log_oid == oid),
        None if is_copied_anew(&row.stand) => {
            let name = row.now.table.as_ref().unwrap_or(&row.table);
            heirs.iter().find(|heir| heir.table == *name)
        }
        None => None,
    }
}

/// Whether a table's copy begins anew with the new provider: a snapshot's numbers are another server's.
fn is_copied_anew(stand: &Stand) -> bool {
    match stand {
        Stand::Waiting | Stand::InCopy(_) | Stand::Loaded(_) => true,
        Stand::Ok | Stand::Parked(Parked { place: None, .. }) => false,
        Stand::CatchingUp(place)
        | Stand::WannaSync(place)
        | Stand::Parked(Parked {
            place: Some(place), ..
        }) => needs_its_snapshot(place),
    }
}

/// The table's row after the move.
pub(crate) fn after(row: &TableRow, to: NewUpstream<'_>) -> TableRow {
    let Some((heir, shape)) = to.heir.and_then(|heir| Some((heir, heir.shape.as_ref()?))) else {
        let stand = for_repair(
            "the new provider does not log it, or does not know it for this table".into(),
            NO_HEIR,
        );
        // No table has this number, so a table that happens to have the old one is not taken for it.
        return TableRow {
            provider_oid: 0,
            ..row.standing(&stand)
        };
    };
    let moved = TableRow {
        provider_oid: heir.oid,
        ..row.clone()
    };
    let (mapping, now) = match mapping_after(row, shape) {
        Ok(found) => found,
        Err(column) => {
            let why = format!("the new provider has no column {column}, which it was added with");
            return moved.standing(&for_repair(why, NO_HEIR));
        }
    };
    let (stand, existing) = stand_after(row, heir, to.own);
    TableRow {
        mapping,
        now,
        existing,
        ..moved.standing(&stand)
    }
}

fn stand_after(row: &TableRow, heir: &Heir, own: Option<&OwnPlace>) -> (Stand, Existing) {
    let stays = |stand: Stand| (stand, row.existing);
    let unlogged = || heir.flaw.clone().map(|flaw| for_repair(flaw, REPAIR));
    match &row.stand {
        Stand::Waiting | Stand::InCopy(_) => stays(Stand::Waiting),
        stand if is_copied_anew(stand) => copied_anew(row),
        Stand::Ok => stays(unlogged().unwrap_or(Stand::Ok)),
        Stand::Parked(Parked { place: None, .. }) => stays(row.stand.clone()),
        Stand::Loaded(_)
        | Stand::CatchingUp(_)
        | Stand::WannaSync(_)
        | Stand::Parked(Parked { place: Some(_), .. }) => {
            let place = match own {
                Some(OwnPlace::Found(place)) => place.clone(),
                Some(OwnPlace::Lost(why)) => return stays(for_repair(why.clone(), REPAIR)),
                None => return stays(for_repair("its place is not known".into(), REPAIR)),
            };
            stays(unlogged().unwrap_or_else(|| at_place(&row.stand, place)))
        }
    }
}

fn at_place(stand: &Stand, place: Place) -> Stand {
    match stand {
        Stand::Parked(parked) => Stand::Parked(Parked {
            place: Some(place),
            ..parked.clone()
        }),
        Stand::Waiting
        | Stand::InCopy(_)
        | Stand::Loaded(_)
        | Stand::CatchingUp(_)
        | Stand::WannaSync(_)
        | Stand::Ok => Stand::CatchingUp(place),
    }
}

/// Whether events after a place can be told from those in the table's copy by the copy's snapshot alone.
pub(super) fn needs_its_snapshot(place: &Place) -> bool {
    let copied = place.copied.as_ref();
    copied.is_some_and(|copied| place.tick.id < copied.shown_by.id)
}

fn copied_anew(row: &TableRow) -> (Stand, Existing) {
    let existing = match row.existing {
        // The rows that are there are those of the copy that is given up.
        Existing::Refuse | Existing::Truncate | Existing::Trust => Existing::Truncate,
        Existing::Keep => Existing::Keep,
        // The rows that were to be fetched are no other ones in a copy.
        Existing::Swap | Existing::Keys => Existing::Swap,
    };
    (Stand::Waiting, existing)
}

/// A table that waits for an operator.
pub(super) fn for_repair(why: String, advice: &str) -> Stand {
    Stand::Parked(Parked {
        place: None,
        needs_repair: true,
        why: Why {
            error: format!("needs repair: {why}"),
            detail: None,
            advice: advice.into(),
        },
        try_now: false,
    })
}

/// The table's row, parked because events that were to be applied once more cannot be applied as states.
pub(super) fn unmendable(row: &TableRow, why: &str) -> TableRow {
    row.standing(&for_repair(why.into(), REPAIR))
}

/// The table's row, parked at the place where its own events go on, with those up to `until` once more.
pub(super) fn parked_at(row: &TableRow, place: Place, until: TickId, why: Why) -> TableRow {
    row.standing(&Stand::Parked(Parked {
        place: Some(Place {
            overlap: Some(until),
            ..place
        }),
        needs_repair: false,
        why,
        try_now: false,
    }))
}

/// The mapping by the columns' numbers in the new provider's table, which are found by their names of now; and the
/// names there.
///
/// # Errors
/// The name of a column that the new provider's table does not have.
fn mapping_after(row: &TableRow, shape: &Shape) -> Result<(Mapping, NamesNow), String> {
    let mut names = BTreeMap::new();
    let mut found = |columns: &[ProviderColumn]| -> Result<Vec<ProviderColumn>, String> {
        let numbered = columns.iter().map(|column| {
            let name = row.now.column(column);
            let there = shape.columns.iter().find(|one| one.name == name);
            let attnum = there.and_then(|one| one.attnum);
            let attnum = attnum.ok_or_else(|| name.to_owned())?;
            names.insert(attnum, name.to_owned());
            Ok(ProviderColumn {
                attnum,
                name: column.name.clone(),
            })
        });
        numbered.collect()
    };
    let columns = row.mapping.columns.as_deref().map(&mut found).transpose()?;
    let filter = match &row.mapping.filter {
        None => None,
        Some(filter) => Some(Filter {
            columns: found(&filter.columns)?,
            condition: filter.condition.clone(),
        }),
    };
    let known = row.now.table.as_ref().unwrap_or(&row.table);
    let there = shape.table_name();
    // Rows are written to the table that they were written to before, whatever the provider calls it.
    let target = row.mapping.target.clone();
    let target = target.or_else(|| (*known != there).then(|| known.clone()));
    let mapping = Mapping {
        target,
        columns,
        filter,
        // It is about the subscriber's own columns.
        merge: row.mapping.merge.clone(),
    };
    let now = NamesNow {
        table: Some(there),
        columns: names,
    };
    Ok((mapping, now))
}

#[cfg(test)]
mod tests {
    use sql::{
        name::TableName,
        queue::tick::{SnapshotText, Tick, TickTag},
        subscriber::table_state::Copied,
    };

    use super::*;
    use crate::table;

    fn tick(id: i64) -> Tick {
        Tick {
            id: TickId(id),
            tag: TickTag(id * 7),
        }
    }

    /// A table `s.NAME` with these columns, in the order of their numbers.
    fn heir(name: &str, columns: &[&str], flaw: Option<&str>) -> Heir {
        let columns: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let key = if place == 0 { "1" } else { "null" };
                format!(
                    r#"{{"attnum":{},"name":"{column}","type":"text","key":{key},"text_equal":true}}"#,
                    place + 11
                )
            })
            .collect();
        let shape = format!(
            r#"{{"shape":1,"table":{{"schema":"s","name":"{name}","oid":9}},"identity":"key","columns":[{}]}}"#,
            columns.join(",")
        );
        Heir {
            log_oid: 5,
            oid: 9,
            table: TableName::new("s", name),
            flaw: flaw.map(str::to_owned),
            shape: Some(Shape::from_json(&shape).unwrap()),
            definition: None,
        }
    }

    fn place(shown_by: Option<i64>) -> Place {
        Place {
            copied: shown_by.map(|id| Copied {
                snapshot: SnapshotText("1:1:".into()),
                shown_by: tick(id),
            }),
            ..Place::after(tick(5))
        }
    }

    fn parked(place: Option<Place>) -> Stand {
        Stand::Parked(Parked {
            place,
            needs_repair: false,
            why: Why {
                error: "no".into(),
                detail: None,
                advice: "act".into(),
            },
            try_now: false,
        })
    }

    /// The words of a stand, with its tick.
    fn words(stand: &Stand) -> (&'static str, bool, Option<i64>) {
        let tick = stand.place().map(|place| place.tick.id.0);
        (stand.state().as_str(), stand.needs_repair(), tick)
    }

    #[test]
    fn each_stand_goes_on_where_the_new_log_has_all_of_it_and_waits_for_repair_elsewhere() {
        let found = OwnPlace::Found(Place::after(tick(80)));
        let lost = OwnPlace::Lost("gone".into());
        let (good, bad) = (heir("t", &["id"], None), heir("t", &["id"], Some("late")));
        // The stand, then with a place and whole, with a flaw, without a place.
        let anew = ("-", false, None);
        let repair = ("parked", true, None);
        for (stand, whole, flawed, without) in [
            (Stand::Waiting, anew, anew, anew),
            (Stand::InCopy(None), anew, anew, anew),
            (Stand::Loaded(place(Some(4))), anew, anew, anew),
            (Stand::Ok, ("ok", false, None), repair, ("ok", false, None)),
            (Stand::CatchingUp(place(Some(9))), anew, anew, anew),
            (
                Stand::CatchingUp(place(Some(5))),
                ("catching-up", false, Some(80)),
                repair,
                repair,
            ),
            (
                Stand::WannaSync(place(None)),
                ("catching-up", false, Some(80)),
                repair,
                repair,
            ),
            (
                parked(Some(place(None))),
                ("parked", false, Some(80)),
                repair,
                repair,
            ),
            (parked(Some(place(Some(9)))), anew, anew, anew),
            (
                parked(None),
                ("parked", false, None),
                ("parked", false, None),
                ("parked", false, None),
            ),
        ] {
            let row = table::row("t", 5, stand);
            for (heir, own, wanted) in [
                (&good, &found, whole),
                (&bad, &found, flawed),
                (&good, &lost, without),
            ] {
                let to = NewUpstream {
                    heir: Some(heir),
                    own: Some(own),
                };
                let after = after(&row, to);
                assert_eq!(
                    words(&after.stand),
                    wanted,
                    "{:?} {heir:?} {own:?}",
                    row.stand
                );
                assert_eq!(after.provider_oid, 9);
                let place = after.stand.place();
                assert!(place.is_none_or(|place| place.copied.is_none()));
            }
            let unknown = NewUpstream {
                heir: None,
                own: Some(&found),
            };
            let after = after(&row, unknown);
            assert_eq!(words(&after.stand), repair);
            assert_eq!(after.provider_oid, 0, "no table has this number");
        }
    }

    #[test]
    fn a_table_without_rows_is_found_by_its_name_and_no_other_is() {
        let other = heir("other", &["id"], None);
        let heirs = [other.clone(), heir("t", &["id"], None)];
        for (stand, by_name) in [
            (Stand::Waiting, true),
            (Stand::InCopy(None), true),
            (Stand::Loaded(place(Some(4))), true),
            (Stand::CatchingUp(place(Some(9))), true),
            (Stand::CatchingUp(place(Some(5))), false),
            (Stand::Ok, false),
            (parked(None), false),
        ] {
            let mut row = table::row("other", 5, stand);
            row.now.table = Some(TableName::new("s", "t"));
            let found = heir_of(&row, None, &heirs).map(|heir| heir.table.name.as_str());
            assert_eq!(found, by_name.then_some("t"), "{:?}", row.stand);
            let by_number = heir_of(&row, Some(other.log_oid), &heirs);
            assert_eq!(by_number.map(|heir| &heir.table), Some(&other.table));
            assert!(heir_of(&row, Some(77), &heirs).is_none());
        }
    }

    #[test]
    fn columns_are_found_by_their_names_of_now_and_rows_stay_in_their_table() {
        let column = |attnum, name: &str| ProviderColumn {
            attnum,
            name: name.into(),
        };
        let mut row = table::row("t", 5, Stand::Ok);
        row.mapping.columns = Some(vec![column(1, "id"), column(4, "a")]);
        row.mapping.filter = Some(Filter {
            condition: "(b > 1)".into(),
            columns: vec![column(7, "b")],
        });
        row.now.columns = [(4, "renamed".to_owned())].into();
        let good = heir("other", &["id", "x", "renamed", "b"], None);
        let to = |heir| NewUpstream {
            heir: Some(heir),
            own: None,
        };
        let moved = after(&row, to(&good));
        assert_eq!(moved.stand, Stand::Ok);
        assert_eq!(
            moved.mapping.columns,
            Some(vec![column(11, "id"), column(13, "a")])
        );
        let filter = moved.mapping.filter.unwrap();
        assert_eq!(filter.columns, [column(14, "b")]);
        assert_eq!(filter.condition, "(b > 1)");
        assert_eq!(moved.now.columns[&13], "renamed");
        assert_eq!(moved.mapping.target, Some(TableName::new("public", "t")));
        let without = heir("other", &["id", "x", "a", "b"], None);
        let moved = after(&row, to(&without));
        assert!(moved.stand.needs_repair());
        assert!(moved.stand.why().unwrap().error.contains("renamed"));
    }
}
