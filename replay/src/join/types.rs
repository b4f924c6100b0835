//! Whether a column's type on the subscriber takes the values of the provider's type, which come as text. Pure; `fit`
//! asks this before a table is added.

/// Which values of another type a type reads from their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Every value, with the same meaning.
    All,
    /// Perhaps not every value, or not with the same meaning: a table with such a value is parked then.
    Some,
    /// No value but NULL.
    Nothing,
}

/// Types are named as `format_type` does with a search_path of pg_catalog alone, without modifiers. A type with a dot
/// in its name is a user's type, of which only the name is known.
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
    /// The class of a type; `None` for types whose values have any text, for types that read any text, and for users'
    /// types.
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
        // 0 and 1 are truth values, and a number by itself is JSON.
        (Some(Class::Number), Some(Class::Truth | Class::Json))
        | (Some(Class::Truth), Some(Class::Json))
        | (Some(Class::Json), Some(_)) => Takes::Some,
        (Some(one), Some(other)) if one != other => Takes::Nothing,
        _ => Takes::Some,
    }
}

/// Whether a built-in type holds all values of a smaller one, under the same text.
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
