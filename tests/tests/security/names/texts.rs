//! Which strings of a program, or in other SQL, are SQL or parts of it, and which are sentences.

use super::tokens::{Token, tokens};

/// What stands behind CREATE, ALTER and DROP.
const KINDS: &str = "table temp index unique view function procedure trigger type domain sequence schema event or role \
    statistics";

/// How SQL, or a part of it, begins.
const BEGINS: [&str; 16] = [
    "insert into",
    "delete from",
    "lock table",
    "merge into",
    "from",
    "join",
    "do",
    "declare",
    "begin",
    "perform",
    "fetch",
    "select",
    "with",
    "where",
    "left join",
    "and",
];

/// The strings in a text that are SQL themselves, and the bodies of functions.
pub(super) fn inner(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.iter().filter_map(|token| match token {
        Token::Text(text) => Some(text.as_str()),
        Token::Word(_) | Token::Quoted | Token::Hole | Token::Number | Token::Symbol(_) => None,
    })
}

/// Whether a string is SQL, or a part of it, and no sentence.
pub(super) fn is_sql(text: &str) -> bool {
    let all = tokens(text);
    let starts = |words: &str| {
        let mut words = words.split(' ').enumerate();
        words.all(|(at, word)| all.get(at).is_some_and(|token| token.is(word)))
    };
    let names_kind = all
        .get(1)
        .and_then(Token::word)
        .is_some_and(|word| KINDS.split(' ').any(|kind| kind == word));
    let has = |word: &str| all.iter().any(|token| token.is(word));
    let verb = ["create", "alter", "drop"].iter().any(|verb| starts(verb)) && names_kind;
    // A sentence: SQL has no article.
    if has("the") {
        return false;
    }
    verb || BEGINS.iter().any(|words| starts(words)) && has_sql_in_it(text)
        || starts("update") && has("set")
        || starts("copy") && (has("stdin") || has("stdout"))
        || starts("truncate")
        || text.contains("::") && text.contains([' ', '{'])
        || text.contains("pg_catalog.")
        || has("from") && (has("select") || has("where")) && has_sql_in_it(text)
}

/// A sentence has neither.
fn has_sql_in_it(text: &str) -> bool {
    text.contains(['=', '(', ';', '$', '<', '{', '_']) || text.trim_start().starts_with("select")
}
