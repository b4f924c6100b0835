//! Where a script stands against each table's own place. Pure.
//!
//! A script changes several tables at once, so it is executed when all of them stand at it: with every change from
//! before it, and with none from behind it. A table that the batch loop has stands where the loop stands. Any other one
//! has a place of its own, and stands at the script from the script's tick on, since its own events stop there. A table
//! without rows has nothing to lose or to change: its copy begins only when the scripts that the copy would show are
//! over.

use sql::{name::TableName, queue::tick::TickId, script::Script, subscriber::table_state::Stand};

/// Where a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// It has no rows.
    NoRows,
    /// Its rows are on their way, as they were before the script or behind it.
    Copying,
    /// Changes from before the script are to come.
    Before,
    /// It is as the script finds it.
    There,
}

/// Where a table stands that a script touches. `ok_at`: where the tables of its consumer stand that are `ok`; none: at
/// the script, because it is the loop at the script that asks.
pub(super) fn against(stand: &Stand, ok_at: Option<TickId>, script: &Script) -> Against {
    let at = |place: TickId| match script.tick {
        Some(tick) if place >= TickId(tick) => Against::There,
        Some(_) | None => Against::Before,
    };
    match stand {
        Stand::Ok => ok_at.map_or(Against::There, at),
        Stand::InCopy(_) | Stand::Loaded(_) => Against::Copying,
        Stand::Waiting => Against::NoRows,
        Stand::CatchingUp(place) | Stand::WannaSync(place) => at(place.tick.id),
        Stand::Parked(parked) => match &parked.place {
            Some(place) => at(place.tick.id),
            None => Against::NoRows,
        },
    }
}

/// What a script waits for: the first table that is not at it. `asked`: a person wants it executed at once, whatever
/// changes of tables are to come; a copy under way would be torn.
pub(super) fn waits_for<'t>(
    tables: impl IntoIterator<Item = (&'t TableName, Against)>,
    asked: bool,
) -> Option<(&'t TableName, Against)> {
    tables.into_iter().find(|(_, against)| match against {
        Against::NoRows | Against::There => false,
        Against::Before => !asked,
        Against::Copying => true,
    })
}

#[cfg(test)]
mod tests {
    use sql::{
        queue::tick::{Tick, TickTag},
        subscriber::table_state::{Parked, Place, Why},
    };

    use super::*;

    fn place(tick: i64) -> Place {
        Place::after(Tick {
            id: TickId(tick),
            tag: TickTag(1),
        })
    }

    fn parked(place: Option<Place>) -> Stand {
        Stand::Parked(Parked {
            place,
            needs_repair: false,
            why: Why {
                error: "x".into(),
                detail: None,
                advice: "y".into(),
            },
            try_now: false,
        })
    }

    #[test]
    fn a_table_stands_at_a_script_from_its_tick_on_and_a_table_without_rows_is_no_obstacle() {
        let script = |tick| Script {
            id: "1".into(),
            digest: String::new(),
            sql: String::new(),
            tick,
            tables: Vec::new(),
        };
        let (at_10, unknown) = (script(Some(10)), script(None));
        for (stand, ok_at, wanted) in [
            (Stand::Ok, None, Against::There),
            (Stand::Ok, Some(TickId(9)), Against::Before),
            (Stand::Ok, Some(TickId(10)), Against::There),
            (Stand::Waiting, None, Against::NoRows),
            (parked(None), None, Against::NoRows),
            (Stand::InCopy(None), None, Against::Copying),
            (Stand::Loaded(place(11)), None, Against::Copying),
            (Stand::CatchingUp(place(9)), None, Against::Before),
            (Stand::WannaSync(place(10)), None, Against::There),
            (parked(Some(place(9))), None, Against::Before),
            (parked(Some(place(10))), None, Against::There),
        ] {
            assert_eq!(against(&stand, ok_at, &at_10), wanted, "{stand:?}");
        }
        assert_eq!(
            against(&parked(Some(place(10))), None, &unknown),
            Against::Before
        );
    }

    #[test]
    fn who_asks_need_not_wait_for_changes_and_never_tears_a_copy() {
        let (a, b) = (TableName::new("public", "a"), TableName::new("public", "b"));
        let waits = |first, second, asked| {
            let found = waits_for([(&a, first), (&b, second)], asked);
            found.map(|(table, _)| table.name.clone())
        };
        assert_eq!(waits(Against::There, Against::NoRows, false), None);
        assert_eq!(
            waits(Against::There, Against::Before, false).as_deref(),
            Some("b")
        );
        assert_eq!(waits(Against::There, Against::Before, true), None);
        assert_eq!(
            waits(Against::Copying, Against::Before, true).as_deref(),
            Some("a")
        );
    }
}
