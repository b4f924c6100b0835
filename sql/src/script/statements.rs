//! A script's text cut into statements, and what a script must not say. Pure.
//!
//! Each statement is sent by itself, in the protocol's form that takes one statement and no more: so the server proves
//! the cut, and what is refused by its first words here is what the server would run.

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The line that it begins in, from 1 on.
    pub line: usize,
    /// Its text, without comments before it and without the semicolon.
    pub text: &'a str,
    /// Its words outside of quotes, in upper case.
    words: Vec<String>,
}

/// Why a script is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadScript {
    /// A statement that ends the transaction, or cannot run in one, or asks the client for something.
    #[error("line {line}: {statement} {why}")]
    Refused {
        /// The line that the statement begins in.
        line: usize,
        /// Its first words.
        statement: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A quote, comment or parenthesis has no end.
    #[error("line {line}: {what} has no end")]
    Open {
        /// The line that it begins in.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// A line of attributes cannot be read.
    #[error("line {line}: {why}")]
    Attribute {
        /// The line.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// There is no statement.
    #[error("it has no statement")]
    Empty,
}

const IN_TRANSACTION: &str =
    "cannot run in a transaction, and a script is one: run it by hand on each side";
const TRANSACTION: &str =
    "begins or ends a transaction, and a script is one by itself: leave it out";
const OF_SESSION: &str = "takes from the session what it needs behind the script: leave it out";
const OF_CLIENT: &str = "reads or writes data of the client, which a script has not";

/// The statements of a script.
///
/// # Errors
/// [`BadScript`], which names the line.
pub fn statements(text: &str) -> Result<Vec<Statement<'_>>, BadScript> {
    let mut found = Vec::new();
    let mut cutter = Cutter { text, at: 0 };
    while let Some(statement) = cutter.next()? {
        refuse(&statement)?;
        found.push(statement);
    }
    if found.is_empty() {
        return Err(BadScript::Empty);
    }
    Ok(found)
}

/// Refuses a statement by its words.
fn refuse(statement: &Statement<'_>) -> Result<(), BadScript> {
    let word = |at: usize| statement.words.get(at).map_or("", String::as_str);
    let has = |wanted: &str| statement.words.iter().any(|word| word == wanted);
    let why = match (word(0), word(1)) {
        (
            "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE",
            _,
        )
        | ("PREPARE", "TRANSACTION") => TRANSACTION,
        ("VACUUM", _)
        | ("CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION")
        | ("ALTER", "SYSTEM" | "SUBSCRIPTION")
        | ("REINDEX", "DATABASE" | "SYSTEM" | "SCHEMA")
        | ("DISCARD", _) => IN_TRANSACTION,
        ("DEALLOCATE", _) => OF_SESSION,
        ("ALTER", "DATABASE") if has("TABLESPACE") => IN_TRANSACTION,
        ("CLUSTER", "") => IN_TRANSACTION,
        ("CREATE" | "DROP" | "REINDEX" | "ALTER", _) if has("CONCURRENTLY") => IN_TRANSACTION,
        ("COPY", _) if has("STDIN") || has("STDOUT") => OF_CLIENT,
        _ => return Ok(()),
    };
    let first: Vec<&str> = statement.words.iter().take(3).map(String::as_str).collect();
    Err(BadScript::Refused {
        line: statement.line,
        statement: first.join(" "),
        why,
    })
}

/// Cuts a text at its semicolons.
struct Cutter<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cutter<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }

    fn open(&self, what: &'static str) -> BadScript {
        let line = self.line(self.at);
        BadScript::Open { line, what }
    }

    /// The next statement; none at the end. Pieces that are empty are left out.
    fn next(&mut self) -> Result<Option<Statement<'a>>, BadScript> {
        loop {
            self.skip_blank()?;
            if self.rest().is_empty() {
                return Ok(None);
            }
            let start = self.at;
            let words = self.statement()?;
            let text = self.text.get(start..self.at).unwrap_or_default().trim_end();
            if self.rest().starts_with(';') {
                self.at += 1;
            }
            if !text.is_empty() {
                let line = self.line(start);
                return Ok(Some(Statement { line, text, words }));
            }
        }
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), BadScript> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches('\u{feff}').trim_start();
            self.at += rest.len() - trimmed.len();
            if !self.skip_comment()? {
                return Ok(());
            }
        }
    }

    /// Skips the comment that begins here; false if none does.
    fn skip_comment(&mut self) -> Result<bool, BadScript> {
        let rest = self.rest();
        if rest.starts_with("--") {
            // The server ends a comment at either of them.
            self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            return Ok(true);
        }
        if !rest.starts_with("/*") {
            return Ok(false);
        }
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
            if here.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    self.at += at;
                    return Ok(true);
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        Err(self.open("a comment"))
    }

    /// Goes to the semicolon that ends the statement, or to the end of the text, and gives the statement's words.
    fn statement(&mut self) -> Result<Vec<String>, BadScript> {
        let mut words: Vec<String> = Vec::new();
        // Parentheses, and the blocks of a function's body that is no string.
        let (mut depth, mut blocks) = (0_usize, 0_usize);
        loop {
            if self.skip_comment()? {
                continue;
            }
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return match (depth, blocks) {
                    (0, 0) => Ok(words),
                    (0, _) => Err(self.open("a function's body")),
                    _ => Err(self.open("a parenthesis")),
                };
            };
            match first {
                ';' if depth == 0 && blocks == 0 => return Ok(words),
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                '\'' => {
                    self.quoted('\'', false)?;
                    continue;
                }
                '"' => {
                    self.quoted('"', false)?;
                    continue;
                }
                '\\' => {
                    return Err(BadScript::Refused {
                        line: self.line(self.at),
                        statement: rest.split_whitespace().next().unwrap_or("\\").to_owned(),
                        why: "is a command of psql, and no SQL",
                    });
                }
                '$' if self.dollar_quoted()? => continue,
                first if first == '_' || first.is_alphabetic() => {
                    let word = self.word();
                    if word.eq_ignore_ascii_case("e") && self.rest().starts_with('\'') {
                        self.quoted('\'', true)?;
                        continue;
                    }
                    let word = word.to_uppercase();
                    let is_routine = words.first().is_some_and(|one| one == "CREATE")
                        && words
                            .iter()
                            .take(4)
                            .any(|one| one == "FUNCTION" || one == "PROCEDURE");
                    match word.as_str() {
                        "ATOMIC"
                            if is_routine && words.last().is_some_and(|one| one == "BEGIN") =>
                        {
                            blocks += 1
                        }
                        "CASE" if blocks > 0 => blocks += 1,
                        "END" if blocks > 0 => blocks -= 1,
                        _ => {}
                    }
                    words.push(word);
                    continue;
                }
                _ => {}
            }
            self.at += first.len_utf8();
        }
    }

    /// The word that begins here: an identifier or keyword.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_part = |one: char| one == '_' || one == '$' || one.is_alphanumeric();
        let end = rest.find(|one| !is_part(one)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Skips a text in quotes, in which two quotes stand for one.
    fn quoted(&mut self, quote: char, has_escapes: bool) -> Result<(), BadScript> {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, one)) = chars.next() {
            if has_escapes && one == '\\' {
                chars.next();
            } else if one == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    self.at += at + 1;
                    return Ok(());
                }
            }
        }
        Err(self.open(if quote == '"' {
            "a quoted name"
        } else {
            "a string"
        }))
    }

    /// Skips a text between two equal marks such as `$$` or `$body$`; false if none begins here.
    fn dollar_quoted(&mut self) -> Result<bool, BadScript> {
        let rest = self.rest();
        let Some(end) = rest.get(1..).and_then(|rest| rest.find('$')) else {
            return Ok(false);
        };
        let tag = rest.get(1..=end).unwrap_or_default();
        let is_name = !tag.starts_with(|one: char| one.is_ascii_digit())
            && tag.chars().all(|one| one == '_' || one.is_alphanumeric());
        if !is_name {
            return Ok(false);
        }
        let mark = rest.get(..end + 2).unwrap_or_default();
        match rest.get(mark.len()..).and_then(|body| body.find(mark)) {
            Some(body) => {
                self.at += 2 * mark.len() + body;
                Ok(true)
            }
            None => Err(self.open("a string between dollar signs")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<&str> {
        let found = statements(script).unwrap();
        found.into_iter().map(|one| one.text).collect()
    }

    #[test]
    fn semicolons_within_quotes_comments_parentheses_and_bodies_end_nothing() {
        let script = "\u{feff}-- one; two\n/* a /* b; */ c; */ select ';', E'\\';', \"a;\"\"b\" ;;\n\
            create rule r as on insert to t do (select 1; select 2);\n\
            create function f() returns int language sql as $b$ select 1; $$; $b$;\n\
            create or replace function g(a int) returns int language sql begin atomic \
            select case a when 1 then 2 end; select 3; end;\n\
            do $$ begin perform 1; end $$;\nselect a$b, $1 from t -- the end";
        let found = texts(script);
        assert_eq!(found.len(), 6, "{found:#?}");
        assert_eq!(found[0], "select ';', E'\\';', \"a;\"\"b\"");
        assert!(found[3].ends_with("select 3; end"));
        assert_eq!(statements(script).unwrap()[5].line, 7);
    }

    #[test]
    fn what_cannot_be_part_of_one_transaction_is_refused_by_name_and_line() {
        for (script, named) in [
            (
                "select 1;\ncommit",
                "line 2: COMMIT begins or ends a transaction",
            ),
            ("Begin;", "line 1: BEGIN "),
            ("/* x */ end", "END"),
            ("prepare transaction 'x'", "PREPARE TRANSACTION"),
            (
                "create unique index concurrently i on t (a)",
                "CREATE UNIQUE INDEX cannot run in a transaction",
            ),
            (
                "alter table t detach partition p concurrently",
                "ALTER TABLE",
            ),
            ("vacuum t", "VACUUM"),
            ("create database x", "CREATE DATABASE"),
            ("reindex system x", "REINDEX SYSTEM"),
            ("alter system set work_mem = 1", "ALTER SYSTEM"),
            (
                "copy t from stdin",
                "COPY T FROM reads or writes data of the client",
            ),
            ("select 1;\n\\i x.sql", "line 2: \\i is a command of psql"),
            ("cluster", "CLUSTER"),
            ("deallocate all", "DEALLOCATE ALL takes from the session"),
            ("select 1; -- a\rcommit", "COMMIT"),
        ] {
            let error = statements(script).unwrap_err().to_string();
            assert!(error.contains(named), "{script}: {error}");
        }
        for script in [
            "refresh materialized view concurrently v",
            "cluster t using i",
            "copy t from '/tmp/x'",
            "prepare p as select 1",
            "select 'commit'",
            "alter table t rename concurrently_x to y",
        ] {
            assert_eq!(texts(script), [script]);
        }
    }

    #[test]
    fn what_has_no_end_is_told_with_its_line() {
        for (script, what) in [
            ("select 1;\n'abc", "line 2: a string"),
            ("select \"a", "a quoted name"),
            ("/* x", "a comment"),
            ("select (1", "a parenthesis"),
            ("do $x$ y", "a string between dollar signs"),
            (" -- nothing\n;", "it has no statement"),
        ] {
            let error = statements(script).unwrap_err().to_string();
            assert!(error.contains(what), "{script}: {error}");
        }
    }
}
