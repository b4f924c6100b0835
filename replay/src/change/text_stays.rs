//! Types from which a column can go to another one so that the text of every value stays as it is, and no value is
//! refused. Pure. A test asks a server of each pair.

/// A type with its modifiers taken apart, as `format_type` writes it: `timestamp(3) without time zone` is
/// `timestamp without time zone` with 3.
struct Taken {
    base: String,
    modifiers: Option<Vec<i64>>,
}

impl Taken {
    /// None: not a type of the form that is known here.
    fn apart(type_name: &str) -> Option<Taken> {
        let Some((before, rest)) = type_name.split_once('(') else {
            return Some(Taken {
                base: type_name.to_owned(),
                modifiers: None,
            });
        };
        let (inside, after) = rest.split_once(')')?;
        let modifiers: Result<Vec<i64>, _> = inside.split(',').map(str::parse).collect();
        Some(Taken {
            base: format!("{before}{after}"),
            modifiers: Some(modifiers.ok()?),
        })
    }
}

/// Whether each value of type `before` has the same text in type `after`. Types are as shapes have them.
pub(super) fn text_stays(before: &str, after: &str) -> bool {
    let (Some(before), Some(after)) = (Taken::apart(before), Taken::apart(after)) else {
        return false;
    };
    match (before.base.as_str(), after.base.as_str()) {
        ("smallint", "integer" | "bigint") | ("integer", "bigint") => true,
        ("smallint" | "integer" | "bigint", "numeric") => after.modifiers.is_none(),
        ("character varying" | "text", "text") => true,
        ("text", "character varying") => after.modifiers.is_none(),
        ("character varying", "character varying") | ("bit varying", "bit varying") => {
            is_wider(&before, &after)
        }
        ("numeric", "numeric") => match (&before.modifiers, &after.modifiers) {
            (_, None) => true,
            // The digits behind the point are written, also where they are 0.
            (Some(before), Some(after)) => match (before.as_slice(), after.as_slice()) {
                ([digits, scale], [more, same]) => more >= digits && same == scale,
                _ => false,
            },
            (None, Some(_)) => false,
        },
        (
            "timestamp without time zone"
            | "timestamp with time zone"
            | "time without time zone"
            | "time with time zone"
            | "interval",
            same,
        ) if same == before.base => is_wider(&before, &after),
        _ => false,
    }
}

/// Whether the one modifier is as large as before, or there is none any more.
fn is_wider(before: &Taken, after: &Taken) -> bool {
    match (&before.modifiers, &after.modifiers) {
        (_, None) => true,
        (Some(before), Some(after)) => before.len() == 1 && after.len() == 1 && after >= before,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_value_stays_in_a_wider_type_and_nowhere_else() {
        for (before, after) in [
            ("smallint", "integer"),
            ("integer", "bigint"),
            ("bigint", "numeric"),
            ("character varying(5)", "character varying(6)"),
            ("character varying(5)", "text"),
            ("text", "character varying"),
            ("numeric(4,2)", "numeric(6,2)"),
            ("numeric(4,2)", "numeric"),
            (
                "timestamp(3) without time zone",
                "timestamp without time zone",
            ),
            ("timestamp(3) with time zone", "timestamp(4) with time zone"),
            ("time(0) without time zone", "time(6) without time zone"),
            ("interval(2)", "interval"),
            ("bit varying(3)", "bit varying(4)"),
        ] {
            assert!(text_stays(before, after), "{before} {after}");
        }
        for (before, after) in [
            ("bigint", "integer"),
            ("integer", "numeric(5,2)"),
            ("integer", "text"),
            ("character varying(6)", "character varying(5)"),
            ("text", "character varying(5)"),
            ("character(3)", "text"),
            ("character(3)", "character(4)"),
            ("numeric(4,2)", "numeric(6,3)"),
            ("numeric", "numeric(6,3)"),
            ("real", "double precision"),
            ("timestamp without time zone", "timestamp with time zone"),
            (
                "timestamp without time zone",
                "timestamp(3) without time zone",
            ),
            ("interval", "interval day to hour"),
            ("json", "jsonb"),
            ("integer[]", "bigint[]"),
            ("s.\"a(1)\"", "s.\"a(2)\""),
        ] {
            assert!(!text_stays(before, after), "{before} {after}");
        }
    }
}
