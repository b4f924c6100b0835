//! Whether a column's type on the subscriber takes the values of one on the provider, which come as text. Pure; `fit`
//! asks it before a table is added.

/// What a type does with the text of another's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Every value, as what it was.
    All,
    /// Perhaps not every one, or not as what it was: a table with such a value is parked then.
    Some,
    /// None but NULL.
    Nothing,
}

/// Types are named as `format_type` does with a search_path of pg_catalog alone, without modifiers: a type with a point
/// in its name is a user's, of which nothing is known but its name.
pub(crate) fn takes(provider: &str, subscriber: &str) -> Takes {
    if provider == subscriber {
        return Takes::All;
    }
    if matches!(subscriber, "text" | "character varying") {
        return Takes::All;
    }
    match (provider.strip_suffix("[]"), subscriber.strip_suffix("[]")) {
        (Some(provider), Some(subscriber)) => return takes(provider, subscriber),
        (None, None) => {}
        // A user's type may be a domain over an array.
        (Some(_), None) => return unless_both_known(Some(Class::Array), Class::of(subscriber)),
        (None, Some(_)) => return unless_both_known(Class::of(provider), Some(Class::Array)),
    }
    if widens(provider, subscriber) {
        return Takes::All;
    }
    unless_both_known(Class::of(provider), Class::of(subscriber))
}

/// Kinds of types whose texts cannot be each other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Number,
    Truth,
    Time,
    Uuid,
    Network,
    Shape,
    Json,
    Range,
    Array,
}

impl Class {
    /// `None` for types whose values have any text, or that read any, and for those that are not built in.
    fn of(name: &str) -> Option<Class> {
        Some(match name {
            "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => {
                Class::Number
            }
            "boolean" => Class::Truth,
            "date" | "timestamp without time zone" | "timestamp with time zone" => Class::Time,
            "uuid" => Class::Uuid,
            "inet" | "cidr" | "macaddr" | "macaddr8" => Class::Network,
            "point" | "lseg" | "path" | "box" | "polygon" | "line" | "circle" => Class::Shape,
            "json" | "jsonb" => Class::Json,
            "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => {
                Class::Range
            }
            _ => return None,
        })
    }
}

fn unless_both_known(provider: Option<Class>, subscriber: Option<Class>) -> Takes {
    match (provider, subscriber) {
        // 0 and 1 are truth values, and a number alone is JSON.
        (Some(Class::Number), Some(Class::Truth | Class::Json))
        | (Some(Class::Truth), Some(Class::Json))
        | (Some(Class::Json), Some(_)) => Takes::Some,
        (Some(one), Some(other)) if one != other => Takes::Nothing,
        _ => Takes::Some,
    }
}

/// Built-in types that hold all values of a smaller one, under the same text.
fn widens(provider: &str, subscriber: &str) -> bool {
    match provider {
        "smallint" => matches!(
            subscriber,
            "integer" | "bigint" | "numeric" | "real" | "double precision"
        ),
        "integer" => matches!(subscriber, "bigint" | "numeric" | "double precision"),
        "bigint" => subscriber == "numeric",
        "date" => subscriber == "timestamp without time zone",
        "jsonb" => subscriber == "json",
        "cidr" => subscriber == "inet",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_type_takes_all_values() {
        for (provider, subscriber) in [
            ("integer", "bigint"),
            ("character varying", "text"),
            ("public.mood", "text"),
            ("public.mood", "public.mood"),
            ("smallint[]", "bigint[]"),
            ("date", "timestamp without time zone"),
        ] {
            assert_eq!(
                takes(provider, subscriber),
                Takes::All,
                "{provider} to {subscriber}"
            );
        }
    }

    #[test]
    fn a_type_that_may_refuse_a_value_is_told() {
        for (provider, subscriber) in [
            ("bigint", "integer"),
            ("text", "integer"),
            ("text", "character"),
            ("timestamp with time zone", "timestamp without time zone"),
            ("public.mood", "other.mood"),
            ("integer", "public.positive"),
            ("json", "jsonb"),
            ("integer", "boolean"),
            ("integer[]", "public.numbers"),
        ] {
            assert_eq!(
                takes(provider, subscriber),
                Takes::Some,
                "{provider} to {subscriber}"
            );
        }
    }

    #[test]
    fn a_type_that_takes_no_value_is_refused() {
        for (provider, subscriber) in [
            ("integer", "uuid"),
            ("boolean", "integer"),
            ("timestamp with time zone", "bigint"),
            ("integer", "integer[]"),
            ("uuid[]", "bigint[]"),
        ] {
            assert_eq!(
                takes(provider, subscriber),
                Takes::Nothing,
                "{provider} to {subscriber}"
            );
        }
    }
}
