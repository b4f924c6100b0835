//! Names of tables and sequences: as users write them, as SQL takes them, and as one word of output. Pure.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

/// A table's or sequence's qualified name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The name in the schema.
    pub name: String,
}

/// Why a text is not a table's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no table name: {why}")]
pub struct BadName {
    /// The text that was given.
    pub text: String,
    why: &'static str,
}

impl TableName {
    /// A name from its parts, unquoted.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> TableName {
        TableName {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// The name in a row's first two columns: the schema, then the name in the schema.
    pub(crate) fn of(row: &tokio_postgres::Row) -> Result<TableName, tokio_postgres::Error> {
        Ok(TableName {
            schema: row.try_get(0)?,
            name: row.try_get(1)?,
        })
    }

    /// The name for use in SQL, and as events carry it: each part quoted where it must be.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

/// One word, accepted as input again: `public.t`, `public."My-Table"`, `public.U&"a\0020b"`.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_word(f, &self.schema)?;
        f.write_char('.')?;
        write_word(f, &self.name)
    }
}

/// `schema.table` or `table` (of schema public), each part bare, `"quoted"` or `U&"with \0020 escapes"`.
impl FromStr for TableName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<TableName, BadName> {
        let bad = |why| BadName {
            text: text.to_owned(),
            why,
        };
        let (first, rest) = part(text).map_err(bad)?;
        if rest.is_empty() {
            return Ok(TableName::new("public", first));
        }
        let rest = rest
            .strip_prefix('.')
            .ok_or_else(|| bad("a part of a name must be followed by a dot or by nothing"))?;
        let (second, rest) = part(rest).map_err(bad)?;
        match rest {
            "" => Ok(TableName::new(first, second)),
            _ => Err(bad("a name has two parts at most: schema.table")),
        }
    }
}

/// A list of column names with commas between them, each written as a part of a table's name.
///
/// # Errors
/// [`BadName`] for the first text that is not a name.
pub fn columns(text: &str) -> Result<Vec<String>, BadName> {
    let mut quoted = false;
    let pieces = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    pieces
        .map(|piece| match part(piece.trim()) {
            Ok((name, "")) => Ok(name),
            Ok(_) => Err("a column has one part"),
            Err(why) => Err(why),
        })
        .collect::<Result<_, _>>()
        .map_err(|why| BadName {
            text: text.to_owned(),
            why,
        })
}

/// An identifier for use in SQL, quoted where it must be; equals the server's `quote_ident`.
pub fn quote_ident(name: &str) -> String {
    if is_bare(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A text as an SQL string constant, safe with any `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

fn is_bare(name: &str) -> bool {
    let bytes = name.as_bytes();
    matches!(bytes.first(), Some(b'a'..=b'z' | b'_'))
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && KEYWORDS.binary_search(&name).is_err()
}

fn needs_escape(c: char) -> bool {
    // Format characters (joiners, marks of direction) can disguise a name on a screen.
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn write_word(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if !name.contains(needs_escape) {
        return f.write_str(&quote_ident(name));
    }
    f.write_str("U&\"")?;
    for c in name.chars() {
        match c {
            '"' => f.write_str("\"\"")?,
            '\\' => f.write_str("\\\\")?,
            c if needs_escape(c) => match u32::from(c) {
                code @ 0..=0xffff => write!(f, "\\{code:04x}")?,
                code => write!(f, "\\+{code:06x}")?,
            },
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// The first part of a name, and what follows it.
fn part(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(body) = text.strip_prefix('"') {
        return quoted_part(body);
    }
    if let Some(body) = text.strip_prefix("U&\"").or(text.strip_prefix("u&\"")) {
        let (raw, rest) = quoted_part(body)?;
        return Ok((unescape(&raw)?, rest));
    }
    let end = text.find('.').unwrap_or(text.len());
    let (bare, rest) = text.split_at(end);
    let mut chars = bare.chars();
    match chars.next() {
        None => return Err("a part is empty"),
        Some(c) if c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() => (),
        Some(_) => {
            return Err("a part that does not begin with a letter must stand in double quotes");
        }
    }
    if !chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()) {
        return Err(
            "a part with other characters than letters, digits, _ and $ must stand in double quotes",
        );
    }
    // Folded as in SQL; the server folds no letters beyond ASCII in a multibyte encoding.
    Ok((bare.to_ascii_lowercase(), rest))
}

fn quoted_part(body: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut rest = body;
    loop {
        let end = rest.find('"').ok_or("a double quote is not closed")?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if name.is_empty() => return Err("a part is empty"),
            None if name.contains('\0') => return Err("a name cannot contain the character 0"),
            None => return Ok((name, rest)),
        }
    }
}

fn unescape(raw: &str) -> Result<String, &'static str> {
    const BAD: &str =
        "after a backslash there must be 4 hexadecimal digits, + and 6 of them, or a backslash";
    let mut name = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(more) = rest.strip_prefix('\\') {
            name.push('\\');
            rest = more;
            continue;
        }
        let (digits, more) = match rest.strip_prefix('+') {
            Some(long) => long.split_at_checked(6).ok_or(BAD)?,
            None => rest.split_at_checked(4).ok_or(BAD)?,
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BAD);
        }
        let code = u32::from_str_radix(digits, 16).map_err(|_| BAD)?;
        match char::from_u32(code) {
            None | Some('\0') => return Err("an escape stands for no character"),
            Some(c) => name.push(c),
        }
        rest = more;
    }
    name.push_str(rest);
    Ok(name)
}

/// Words that `quote_ident` quotes on some version from 10 to 18, sorted: reserved words and
/// those that cannot be column, function or type names.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> TableName {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_read_as_sql_reads_them() {
        assert_eq!(parsed("Orders"), TableName::new("public", "orders"));
        assert_eq!(parsed("App.Orders"), TableName::new("app", "orders"));
        assert_eq!(
            parsed(r#""Capital Idea"."dq""dq.x""#),
            TableName::new("Capital Idea", "dq\"dq.x")
        );
        assert_eq!(
            parsed(r#"s.U&"a\0020b\\c\+01F600""#),
            TableName::new("s", "a b\\c\u{1F600}")
        );
        assert_eq!(parsed("ünï.Ä$1"), TableName::new("ünï", "Ä$1"));
    }

    #[test]
    fn a_text_that_is_no_name_is_refused_with_the_reason() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "a b",
            "1a",
            "a-b",
            "\"a",
            "\"\"",
            "\"a\"b",
            "U&\"\\00\"",
            "U&\"\\d800\"",
            "U&\"\\0000\"",
            "a\n",
            "x.\"a\0b\"",
        ] {
            assert!(text.parse::<TableName>().is_err(), "{text:?}");
        }
        let error = "a b".parse::<TableName>().unwrap_err().to_string();
        assert!(error.contains("double quotes"), "{error}");
    }

    #[test]
    fn output_is_one_word() {
        assert_eq!(TableName::new("public", "t").to_string(), "public.t");
        assert_eq!(
            TableName::new("public", "user").to_string(),
            "public.\"user\""
        );
        assert_eq!(
            TableName::new("public", "a b").to_string(),
            r#"public.U&"a\0020b""#
        );
        assert_eq!(
            TableName::new("x", "a\\\t\"\u{1b}[0m").to_string(),
            r#"x.U&"a\\\0009""\001b[0m""#
        );
        assert_eq!(
            TableName::new("Jan's bad", "t").quoted(),
            r#""Jan's bad".t"#
        );
    }

    #[test]
    fn keywords_are_sorted_for_the_search() {
        assert!(KEYWORDS.is_sorted());
    }

    proptest! {
        #[test]
        fn every_name_survives_output_and_input(schema in "[^\0]{1,20}", name in "[^\0]{1,20}") {
            let table = TableName::new(schema, name);
            let word = table.to_string();
            prop_assert!(!word.contains(|c: char| c.is_whitespace() || c.is_control()));
            prop_assert_eq!(&parsed(&word), &table);
            prop_assert_eq!(&parsed(&table.quoted()), &table);
        }
    }
}
