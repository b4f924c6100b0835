//! SQL and Rust, cut into what the walk over names looks at.

/// A piece of SQL. Comments and white space are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name without quotes, in lower case. A hole of `format` in it stays as it is.
    Word(String),
    /// A name in quotes.
    Quoted,
    /// What `format!` or `format()` puts in: a name with its schema, or a text of its own.
    Hole,
    /// A string; what dollar quotes hold, too.
    Text(String),
    Number,
    /// An operator or a single other character.
    Symbol(String),
}

impl Token {
    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Quoted | Token::Hole | Token::Text(_) | Token::Number | Token::Symbol(_) => None,
        }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        match self {
            Token::Word(own) | Token::Symbol(own) => own == text,
            Token::Quoted | Token::Hole | Token::Text(_) | Token::Number => false,
        }
    }
}

const OPERATOR: &str = "+-*/<>=~!@#%^&|`?:";

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Takes so many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|c| !is(c)).unwrap_or(self.rest.len()))
    }

    /// Takes what comes before a text, and the text; all, where the text is not there.
    fn take_to(&mut self, end: &str) -> &'a str {
        match self.rest.find(end) {
            Some(at) => {
                let taken = self.take(at);
                self.take(end.len());
                taken
            }
            None => self.take(self.rest.len()),
        }
    }

    /// Takes a quoted text behind its first quote. A doubled quote stands for one; so does, where
    /// backslashes count, one behind a backslash.
    fn take_quoted(&mut self, quote: char, backslashes: bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.take(c.len_utf8());
            if backslashes && c == '\\' {
                text.extend(self.peek());
                self.take(self.peek().map_or(0, char::len_utf8));
            } else if c != quote {
                text.push(c);
            } else if self.peek() == Some(quote) {
                self.take(1);
                text.push(quote);
            } else {
                break;
            }
        }
        text
    }

    /// A hole of Rust's or of SQL's `format`: `{}`, `{name}`, `%s`, `%1$I`.
    fn hole(&mut self) -> Option<&'a str> {
        if self.rest.starts_with('{') {
            let end = self.rest.find('}')?;
            return Some(self.take(end + 1));
        }
        let behind = self.rest.strip_prefix('%')?;
        let place = behind.trim_start_matches(|c: char| c.is_ascii_digit() || c == '$');
        place.starts_with(['s', 'I', 'L']).then(|| {
            let bytes = 1 + behind.len() - place.len() + 1;
            self.take(bytes)
        })
    }

    /// A word with the holes in it; a hole alone is none.
    fn word(&mut self) -> String {
        let mut word = String::new();
        loop {
            word += &self
                .take_while(|c| c.is_alphanumeric() || c == '_')
                .to_lowercase();
            match self.hole() {
                Some(hole) => word += hole,
                None => return word,
            }
        }
    }
}

/// Cuts SQL.
pub(super) fn tokens(sql: &str) -> Vec<Token> {
    let (mut cursor, mut found) = (Cursor { rest: sql }, Vec::new());
    while let Some(c) = cursor.peek() {
        let rest = cursor.rest;
        if c.is_whitespace() {
            cursor.take(c.len_utf8());
        } else if rest.starts_with("--") {
            cursor.take_to("\n");
        } else if rest.starts_with("/*") {
            cursor.take_to("*/");
        } else if let Some(quote) = dollar_quote(rest) {
            cursor.take(quote.len());
            found.push(Token::Text(cursor.take_to(quote).to_owned()));
        } else if c == '\'' || rest.to_lowercase().starts_with("e'") {
            cursor.take(if c == '\'' { 1 } else { 2 });
            found.push(Token::Text(cursor.take_quoted('\'', c != '\'')));
        } else if c == '"' {
            cursor.take(1);
            cursor.take_quoted('"', false);
            found.push(Token::Quoted);
        } else if c.is_ascii_digit() || c == '$' {
            cursor.take_while(|c| c.is_alphanumeric() || c == '$');
            found.push(Token::Number);
        } else if c.is_alphabetic() || c == '_' {
            found.push(Token::Word(cursor.word()));
        } else if cursor.hole().is_some() {
            // A name that begins with a hole is what the hole makes of it.
            cursor.word();
            found.push(Token::Hole);
        } else if OPERATOR.contains(c) {
            found.push(Token::Symbol(
                cursor.take_while(|c| OPERATOR.contains(c)).to_owned(),
            ));
        } else {
            found.push(Token::Symbol(cursor.take(c.len_utf8()).to_owned()));
        }
    }
    found
}

/// `$$` or `$tag$` at the beginning.
fn dollar_quote(rest: &str) -> Option<&str> {
    let tag = rest.strip_prefix('$')?.split_once('$')?.0;
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &rest[..tag.len() + 2])
}

/// The string literals of a Rust file, each with its line, as the program has them.
pub(super) fn literals(rust: &str) -> Vec<(usize, String)> {
    let (mut cursor, mut found) = (Cursor { rest: rust }, Vec::new());
    let line = |rest: &str| 1 + rust[..rust.len() - rest.len()].matches('\n').count();
    while let Some(c) = cursor.peek() {
        let rest = cursor.rest;
        if rest.starts_with("//") {
            cursor.take_to("\n");
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
            cursor.take(1 + hashes);
            if cursor.peek() == Some('"') {
                cursor.take(1);
                let end = format!("\"{}", "#".repeat(hashes));
                found.push((line(rest), cursor.take_to(&end).to_owned()));
            }
        } else if c == '"' {
            cursor.take(1);
            found.push((line(rest), literal(&mut cursor)));
        } else if c == '\'' {
            skip_character(&mut cursor);
        } else if c.is_alphanumeric() || c == '_' {
            cursor.take_while(|c| c.is_alphanumeric() || c == '_');
        } else {
            cursor.take(c.len_utf8());
        }
    }
    found
}

/// A literal behind its first quote, with its escapes resolved as far as they matter here.
fn literal(cursor: &mut Cursor<'_>) -> String {
    let mut text = String::new();
    while let Some(c) = cursor.peek() {
        cursor.take(c.len_utf8());
        match c {
            '"' => break,
            '\\' => match cursor.peek() {
                // The line goes on in the next one.
                Some('\n') => drop(cursor.take_while(char::is_whitespace)),
                Some('n' | 't') => {
                    cursor.take(1);
                    text.push(' ');
                }
                other => {
                    text.extend(other);
                    cursor.take(other.map_or(0, char::len_utf8));
                }
            },
            other => text.push(other),
        }
    }
    text
}

/// `'x'` or `'\n'`; of a lifetime the quote alone.
fn skip_character(cursor: &mut Cursor<'_>) {
    let mut inside = cursor.rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), Some(escaped)) => {
            cursor.take(2 + escaped.len_utf8());
            cursor.take_to("'");
        }
        (Some(c), Some('\'')) => drop(cursor.take(2 + c.len_utf8())),
        _ => drop(cursor.take(1)),
    }
}
