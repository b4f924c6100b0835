//! Rust sources as far as the tests of this folder read them: words and signs, `use` trees, modules.

/// The words and signs of a source, `::` as one sign; without comments, the contents of strings, and
/// what is compiled for tests only.
pub(crate) fn tokens(source: &str) -> Vec<&str> {
    without_tests(&all_tokens(source))
}

fn all_tokens(source: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(len) = raw_string(rest) {
            len
        } else if first == '"' {
            string(rest)
        } else if first == '\'' {
            character(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(&rest[..len]);
            len
        } else if rest.starts_with("::") {
            tokens.push("::");
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(&rest[..first.len_utf8()]);
            }
            first.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

/// The length of a raw string that begins here.
fn raw_string(text: &str) -> Option<usize> {
    let begin = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = begin.len() - begin.trim_start_matches('#').len();
    let inner = begin[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let past = inner.find(&end).unwrap() + end.len();
    Some(text.len() - inner.len() + past)
}

/// The length of a string that begins here.
fn string(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => return at + 1,
            _ => {}
        }
    }
    panic!("a string without its end: {text:.60}");
}

/// The length of a character, or of the sign that a lifetime begins with.
fn character(text: &str) -> usize {
    let inner = &text[1..];
    if inner.starts_with('\\') {
        return 3 + inner[2..].find('\'').unwrap();
    }
    let one = inner.chars().next().unwrap().len_utf8();
    if inner[one..].starts_with('\'') {
        one + 2
    } else {
        1
    }
}

fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&FOR_TESTS) {
            at = item_end(tokens, at);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Where the item that begins at `at` ends: behind its `;` or its last brace.
fn item_end(tokens: &[&str], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// A path that a source names.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    /// For a path of a `use`: the name that it gets here.
    pub(crate) name: Option<String>,
    /// It is given on, by `pub use`.
    pub(crate) is_given_on: bool,
}

/// The paths of `use` items, and those in code.
pub(crate) fn paths(tokens: &[&str]) -> Vec<Named> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let end = at + tokens[at..].iter().position(|token| *token == ";").unwrap();
            // `use<'a>` of a type is no item.
            if tokens[at + 1] != "<" {
                let is_given_on = at > 0 && matches!(tokens[at - 1], "pub" | ")");
                tree(&tokens[at + 1..end], &[], is_given_on, &mut paths);
                at = end;
            }
        } else if tokens.get(at + 1) == Some(&"::") && is_word(tokens[at]) {
            let mut path = vec![tokens[at].to_owned()];
            while tokens.get(at + 1) == Some(&"::") && is_word(tokens[at + 2]) {
                path.push(tokens[at + 2].to_owned());
                at += 2;
            }
            paths.push(Named {
                path,
                name: None,
                is_given_on: false,
            });
        }
        at += 1;
    }
    paths
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The paths of a `use` tree below `above`.
fn tree(tokens: &[&str], above: &[String], is_given_on: bool, paths: &mut Vec<Named>) {
    let mut path = above.to_vec();
    let mut name = None;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => {
                let inner = &tokens[at + 1..tokens.len() - 1];
                let (mut depth, mut from) = (0, 0);
                for (place, token) in inner.iter().enumerate() {
                    match *token {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            tree(&inner[from..place], &path, is_given_on, paths);
                            from = place + 1;
                        }
                        _ => {}
                    }
                }
                if from < inner.len() {
                    tree(&inner[from..], &path, is_given_on, paths);
                }
                return;
            }
            "as" => {
                name = Some(tokens[at + 1].to_owned());
                at += 1;
            }
            // The module itself, in braces behind its name.
            "self" if !path.is_empty() => {}
            "::" => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    let name = name.or_else(|| path.last().cloned());
    paths.push(Named {
        path,
        name,
        is_given_on,
    });
}
