//! The walk over a text of SQL: which names it has that stand without a schema, and what they are.
//!
//! No parser: PL/pgSQL and the parts that Rust puts together are no statements. A name is known by the place where it
//! stands.

use std::{collections::BTreeSet, fmt};

use super::tokens::Token;

/// What a name without a schema stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Relation,
    Function,
    Type,
    Operator,
}

/// A name without a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loose {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

/// Words before `(` that call nothing, or that the grammar itself finds in pg_catalog.
const NO_CALLS: &str = "all analyze and any array as begin between by case cast check coalesce columns conflict copy \
    default distinct do else elsif except exclude execute exists extract filter for format from \
    greatest group grouping if ilike in include inherits intersect into is join key lateral \
    least like limit materialized not null nullif of on only operator or over overlay partition \
    perform position return returning row select set some stdin stdout substring table then to \
    trim union unique using values view when where while with within xmlelement";

/// Words that end a list behind FROM, or stand where an alias could.
const CLAUSES: &str = "where join left right inner full cross natural on using group order having limit union \
    except intersect for loop returning into set then and or with tablesample window when offset \
    fetch select is do";

/// Further words that an expression may follow.
const LEADS: &str = "function procedure return next query strict raise notice exception call end exit reverse \
    first last desc asc";

/// Types that the grammar itself finds in pg_catalog.
const GRAMMAR_TYPES: &str = "bigint bit boolean char character dec decimal double float int integer interval national \
    numeric precision real smallint time timestamp varchar";

fn is_in(words: &str, word: &str) -> bool {
    words.split(' ').any(|one| one == word)
}

/// What is looked at: a text, and where it stands.
struct Walk<'a> {
    tokens: &'a [Token],
    /// The word before each bracket that is open at a token; empty where there is none.
    brackets: Vec<&'a str>,
    /// Names that the text, or another one of its file, gives to queries, rows of triggers and temporary tables.
    local: &'a BTreeSet<String>,
    found: Vec<Loose>,
}

/// The names without a schema in a text, but for those that are local.
pub(super) fn loose(tokens: &[Token], local: &BTreeSet<String>) -> Vec<Loose> {
    let mut walk = Walk {
        tokens,
        brackets: Vec::new(),
        local,
        found: Vec::new(),
    };
    for at in 0..tokens.len() {
        walk.look(at);
    }
    walk.found
}

/// The operators of a text that are named without a schema.
pub(super) fn loose_operators(tokens: &[Token]) -> Vec<Loose> {
    // An assignment, a cast, all columns: no operators.
    let none = [":=", "::", ":", "*"];
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Symbol(symbol) = token else {
            continue;
        };
        let is_qualified = at >= 1 && tokens[at - 1].is(".");
        // GET DIAGNOSTICS v = ..., RAISE ... USING option = ...
        let assigns = at >= 2 && (tokens[at - 2].is("diagnostics") || tokens[at - 2].is("using"));
        let is_operator =
            !assigns && symbol.starts_with(|c: char| "+-*/<>=~!@#%^&|`?:".contains(c));
        if is_operator && !is_qualified && !none.contains(&symbol.as_str()) {
            found.push(Loose {
                kind: Kind::Operator,
                name: symbol.clone(),
            });
        }
    }
    found
}

/// The names that a text gives to the queries of WITH.
pub(super) fn local_names(tokens: &[Token]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(word) = token.word() else {
            continue;
        };
        let is_query = || {
            let behind = match tokens.get(at + 1) {
                Some(next) if next.is("(") => closing(tokens, at + 1) + 1,
                _ => at + 1,
            };
            let not = ["not", "materialized"];
            let opens = (behind + 1..tokens.len())
                .find(|&at| !not.iter().any(|word| tokens[at].is(word)))
                .is_some_and(|at| tokens[at].is("("));
            tokens.get(behind).is_some_and(|as_| as_.is("as")) && opens
        };
        if is_query() {
            names.insert(word.to_owned());
        }
    }
    names
}

/// The place of the bracket that closes one.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len()
}

impl<'a> Walk<'a> {
    fn is(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(word))
    }

    fn is_one(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    fn before(&self, at: usize, words: &[&str]) -> bool {
        at.checked_sub(1).is_some_and(|at| self.is_one(at, words))
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        self.tokens.get(at).and_then(Token::word)
    }

    fn look(&mut self, at: usize) {
        if self.is(at, "(") {
            let before = at.checked_sub(1).and_then(|at| self.word(at));
            self.brackets.push(before.unwrap_or_default());
        } else if self.is(at, ")") {
            self.brackets.pop();
        } else if self.is(at, "::") || self.is(at, "as") && self.brackets.last() == Some(&"cast") {
            self.type_at(at + 1);
        }
        let Some(word) = self.word(at) else {
            return;
        };
        if self.before(at, &["."]) {
            return;
        }
        self.declaration(at, word);
        if self.is(at + 1, "(") {
            self.call(at, word);
        }
        match word {
            "from" => self.from(at),
            "join" => self.relation(at + 1),
            "into" if self.before(at, &["insert", "merge"]) => self.relation(at + 1),
            "update" if self.is_statement(at) => self.relation(at + 1),
            "table" | "view" | "sequence" | "index"
                if self.before(
                    at,
                    &[
                        "create", "alter", "drop", "lock", "truncate", "replace", "foreign", "only",
                    ],
                ) && !(word == "index" && self.before(at, &["create"])) =>
            {
                self.relation(at + 1);
            }
            "type" | "domain" if self.before(at, &["create", "alter", "drop"]) => {
                self.type_at(at + 1)
            }
            "truncate"
                if !self.before(at, &["or", "before", "after", "="])
                    && !self.is_one(at + 1, &["table", "or", "on"]) =>
            {
                self.relation(at + 1);
            }
            "references" | "copy" if self.word(at + 1).is_some() => self.relation(at + 1),
            _ => {}
        }
    }

    /// Whether UPDATE begins a statement, and is no lock, event, right or action of a conflict.
    fn is_statement(&self, update: usize) -> bool {
        let not = [
            "for", "key", "on", "do", "before", "after", "or", "of", "insert",
        ];
        !self.before(update, &not) && (update..update + 8).any(|at| self.is(at, "set"))
    }

    /// A call, or the name of a function that is made. What stands behind a name or a bracket is an alias with its
    /// columns.
    fn call(&mut self, at: usize, word: &str) {
        let behind_name = at.checked_sub(1).is_some_and(|before| {
            let is_name = self.word(before).is_some_and(|word| {
                !is_in(NO_CALLS, word) && !is_in(CLAUSES, word) && !is_in(LEADS, word)
            });
            is_name
                || self.is(before, ")")
                || self.tokens[before] == Token::Quoted
                || self.tokens[before] == Token::Hole
        });
        let is_list = self.before(
            at,
            &[
                "as",
                "into",
                "references",
                "update",
                "copy",
                "index",
                "table",
                "type",
                "using",
            ],
        ) || self.makes_temporary(at);
        let is_type = is_in(GRAMMAR_TYPES, word);
        if !(behind_name
            || is_list
            || is_type
            || is_in(NO_CALLS, word)
            || self.local.contains(word))
        {
            self.push(Kind::Function, word);
        }
    }

    /// The name of a temporary table that is made: pg_temp takes it, whatever the path is.
    fn makes_temporary(&self, name: usize) -> bool {
        let words = (0..name).rev().take_while(|&at| {
            self.is_one(at, &["if", "not", "exists", "table", "temp", "temporary"])
        });
        words
            .into_iter()
            .any(|at| self.is_one(at, &["temp", "temporary"]))
    }

    /// The list of tables behind FROM.
    fn from(&mut self, at: usize) {
        let in_expression = ["extract", "substring", "trim", "overlay", "position"];
        let is_expression = self
            .brackets
            .last()
            .is_some_and(|word| in_expression.contains(word));
        let statement = self.tokens[..at]
            .iter()
            .rposition(|token| token.is(";"))
            .map_or(0, |end| end + 1);
        let is_of_roles = (statement..at).any(|at| self.is(at, "revoke"));
        if is_expression || is_of_roles || self.before(at, &["distinct"]) {
            return;
        }
        self.relation(at + 1);
        let mut next = at + 1;
        while next < self.tokens.len() {
            if self.is(next, "(") {
                next = closing(self.tokens, next);
            } else if self.is_one(next, &[")", ";"])
                || self.word(next).is_some_and(|word| is_in(CLAUSES, word))
            {
                return;
            } else if self.is(next, ",") {
                self.relation(next + 1);
            }
            next += 1;
        }
    }

    /// A place where the name of a relation stands.
    fn relation(&mut self, at: usize) {
        let mut at = at;
        while self.is_one(
            at,
            &["if", "not", "exists", "only", "concurrently", "lateral"],
        ) {
            at += 1;
        }
        let Some(word) = self.word(at) else {
            return;
        };
        let is_clause =
            is_in(NO_CALLS, word) || is_in(CLAUSES, word) || ["stdin", "stdout"].contains(&word);
        let is_call = word == "rows" && self.is(at + 1, "from");
        if is_clause
            || is_call
            || self.makes_temporary(at)
            || self.is(at + 1, ".")
            || self.is(at + 1, "(") && !self.before(at, &["into", "table", "exists"])
        {
            return;
        }
        if !self.local.contains(word) {
            self.push(Kind::Relation, word);
        }
    }

    /// A place where the name of a type stands.
    fn type_at(&mut self, at: usize) {
        let Some(word) = self.word(at) else {
            return;
        };
        if !self.is(at + 1, ".") && !is_in(GRAMMAR_TYPES, word) {
            self.push(Kind::Type, word);
        }
    }

    /// A variable or an argument of ours, which begins with v_ or i_: its type follows.
    fn declaration(&mut self, at: usize, word: &str) {
        let begins = self.before(at, &["declare", ";", "(", ",", "in", "inout", "variadic"]);
        let is_ours = word.starts_with("v_") || word.starts_with("i_");
        let at = if self.is(at + 1, "constant") {
            at + 2
        } else {
            at + 1
        };
        let is_type = self
            .word(at)
            .is_some_and(|word| !is_in(CLAUSES, word) && !is_in(NO_CALLS, word));
        // What follows is no type where it is the alias or the place of a value.
        if is_ours
            && begins
            && is_type
            && !self.is_one(at, &["from", "using", "record", "desc", "cursor"])
        {
            self.type_at(at);
        }
    }

    fn push(&mut self, kind: Kind, name: &str) {
        self.found.push(Loose {
            kind,
            name: name.to_owned(),
        });
    }
}
