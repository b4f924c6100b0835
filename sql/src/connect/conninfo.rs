//! Connection strings as libpq reads them: keyword/value pairs or a `postgres://` URL, completed
//! from the service file and the `PG*` environment. Pure but for the service file.
//!
//! `tokio_postgres::Config` parses such strings too, but knows neither files (certificates, passwords, services) nor
//! three of libpq's six sslmodes, counts `tcp_user_timeout` in seconds, and refuses an unknown keyword without naming
//! it. So the words are read here, once, and given to the driver as values.
//!
//! No error of this module repeats a value of the string: a password may stand anywhere in it.

use std::collections::BTreeMap;

use super::keywords::{Env, KEYWORDS, Support};
use super::service;

/// Why a connection string was refused. Never holds a part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// The string is neither keyword/value pairs nor a URL.
    #[error("connection string: {problem} (at character {at})")]
    Syntax {
        /// Position of the problem, counted from 1.
        at: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A keyword that libpq does not know either.
    #[error("connection string: unknown keyword {keyword:?}{}", did_you_mean(.keyword))]
    UnknownKeyword {
        /// The keyword.
        keyword: String,
    },
    /// A word after an unquoted password that looks like a part of the password; the error does not repeat the word.
    #[error(
        "connection string: unknown keyword after the password (a value with spaces must be quoted: password='...')"
    )]
    UnquotedPassword,
    /// A keyword of libpq that has no meaning here.
    #[error("connection string: {keyword} is not supported ({instead})")]
    Unsupported {
        /// The keyword.
        keyword: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A variable of the environment that stands for such a keyword.
    #[error("environment: {variable} is not supported ({instead})")]
    UnsupportedVariable {
        /// The variable.
        variable: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A variable of the environment that is asked for and cannot be read.
    #[error("environment: {variable} is not UTF-8")]
    NotUtf8 {
        /// The variable.
        variable: String,
    },
    /// A value outside of what the keyword allows.
    #[error("connection string: {keyword} must be {allowed}")]
    Value {
        /// The keyword.
        keyword: &'static str,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// The service named by `service` or `PGSERVICE` cannot be used.
    #[error("connection string: service {service:?}: {problem}")]
    Service {
        /// Name of the service.
        service: String,
        /// What is wrong with the service, with the path of the service file.
        problem: String,
    },
}

/// Values by keyword; all keywords are from `KEYWORDS`.
pub(crate) type Words = BTreeMap<&'static str, String>;

/// The words of a connection string, completed from the service file and the environment in
/// libpq's order: the string wins over the service, the service over the environment.
pub(crate) fn read(text: &str, env: Env<'_>) -> Result<Words, ConninfoError> {
    let mut words = parse(text)?;
    let named = words.get("service").cloned();
    if let Some(name) = named.or_else(|| env("PGSERVICE").filter(|name| !name.is_empty())) {
        let wrong = |problem: String| ConninfoError::Service {
            service: name.clone(),
            problem,
        };
        for (keyword, value) in service::lookup(&name, env).map_err(wrong)? {
            if keyword == "service" {
                return Err(wrong("a service cannot name another service".to_owned()));
            }
            let (keyword, value) = translated(keyword, value);
            let keyword = known(&keyword, &value).map_err(|error| wrong(error.to_string()))?;
            words.entry(keyword).or_insert(value);
        }
    }
    for (keyword, variable, support) in KEYWORDS {
        if words.contains_key(keyword) {
            continue;
        }
        let Some((variable, value)) = variable.and_then(|name| Some((name, env(name)?))) else {
            continue;
        };
        // What a variable asks for is not left out in silence: it may be that the server must prove itself.
        if let Some(instead) = support.refuses(&value) {
            return Err(ConninfoError::UnsupportedVariable { variable, instead });
        }
        words.insert(keyword, value);
    }
    if env("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
        words.entry("sslmode").or_insert_with(|| "require".into());
    }
    // The others have kept the environment from being asked, and have no effect.
    words.retain(|name, _| {
        KEYWORDS
            .iter()
            .any(|(known, _, support)| known == name && matches!(support, Support::Used))
    });
    Ok(words)
}

/// The password in the string itself; None also if the string is wrong.
pub(crate) fn password_of(text: &str) -> Option<String> {
    parse(text).ok()?.remove("password")
}

/// The words of the string alone.
fn parse(text: &str) -> Result<Words, ConninfoError> {
    let rest = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let pairs = match rest {
        Some(rest) => url_pairs(rest, text.len() - rest.len())?,
        None => keyword_pairs(text)?,
    };
    let mut words = Words::new();
    let mut previous = String::new();
    for (keyword, value) in pairs {
        let (keyword, value) = translated(keyword, value);
        match known(&keyword, &value) {
            Ok(keyword) => {
                words.insert(keyword, value);
            }
            Err(ConninfoError::UnknownKeyword { .. }) if previous == "password" => {
                return Err(ConninfoError::UnquotedPassword);
            }
            Err(error) => return Err(error),
        }
        previous = keyword;
    }
    Ok(words)
}

/// `requiressl`, which is older than sslmode, as libpq translates it.
fn translated(keyword: String, value: String) -> (String, String) {
    if keyword != "requiressl" {
        return (keyword, value);
    }
    let mode = if value.starts_with('1') {
        "require"
    } else {
        "prefer"
    };
    ("sslmode".to_owned(), mode.to_owned())
}

/// The keyword as `KEYWORDS` has it, if it and its value are accepted.
fn known(keyword: &str, value: &str) -> Result<&'static str, ConninfoError> {
    let Some((keyword, _, support)) = KEYWORDS.iter().find(|(name, ..)| *name == keyword) else {
        return Err(ConninfoError::UnknownKeyword {
            keyword: keyword.to_owned(),
        });
    };
    match support.refuses(value) {
        None => Ok(keyword),
        Some(instead) => Err(ConninfoError::Unsupported { keyword, instead }),
    }
}

/// The keyword that differs least, if it is close enough to be a typing error.
fn did_you_mean(keyword: &str) -> String {
    let near = KEYWORDS
        .iter()
        .filter(|(.., support)| matches!(support, Support::Used | Support::Ignored))
        .map(|(name, ..)| (strsim::levenshtein(keyword, name), name))
        .min();
    match near {
        Some((steps, name)) if steps <= 2 || keyword == "database" && *name == "dbname" => {
            format!(", did you mean {name:?}?")
        }
        _ => String::new(),
    }
}

/// `keyword = value` pairs; values may be quoted with ', and \ takes the next character as it is.
fn keyword_pairs(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs = Vec::new();
    let mut input = text.chars().enumerate().peekable();
    loop {
        while input.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
        let Some(&(start, _)) = input.peek() else {
            return Ok(pairs);
        };
        let mut keyword = String::new();
        while let Some((_, c)) = input.next_if(|(_, c)| *c != '=' && !c.is_ascii_whitespace()) {
            keyword.push(c);
        }
        while input.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
        if input.next_if(|(_, c)| *c == '=').is_none() {
            return Err(syntax(start, "expected keyword=value"));
        }
        while input.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
        let quote = input.next_if(|(_, c)| *c == '\'');
        let mut value = String::new();
        loop {
            match (input.peek().copied(), quote) {
                (None, Some((at, _))) => {
                    return Err(syntax(at, "quoted value without its closing quote"));
                }
                (Some((_, '\'')), Some(_)) => {
                    input.next();
                    break;
                }
                (None, None) => break,
                (Some((_, c)), None) if c.is_ascii_whitespace() => break,
                (Some((_, '\\')), _) => {
                    input.next();
                    value.extend(input.next().map(|(_, c)| c));
                }
                (Some((_, c)), _) => {
                    input.next();
                    value.push(c);
                }
            }
        }
        pairs.push((keyword, value));
    }
}

/// The parts of a URL after its scheme, which took `offset` characters.
fn url_pairs(rest: &str, offset: usize) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs = Vec::new();
    let mut push = |keyword: &str, value: &str| -> Result<(), ConninfoError> {
        if !value.is_empty() {
            pairs.push((keyword.to_owned(), percent_decoded(value)?));
        }
        Ok(())
    };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, dbname) = before.split_once('/').unwrap_or((before, ""));
    // A password may hold an @ that somebody forgot to encode; a host cannot.
    let (user_info, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    push("user", user)?;
    push("password", password)?;
    let (names, ports) = url_hosts(hosts, offset)?;
    push("host", &names)?;
    push("port", &ports)?;
    push("dbname", dbname)?;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((keyword, value)) = parameter.split_once('=') else {
            return Err(syntax(offset + before.len(), "expected ?keyword=value"));
        };
        let keyword = percent_decoded(keyword)?;
        // JDBC's spelling, which libpq accepts.
        if keyword == "ssl" && value == "true" {
            pairs.push(("sslmode".into(), "require".into()));
        } else {
            pairs.push((keyword, percent_decoded(value)?));
        }
    }
    Ok(pairs)
}

/// `a:1,[::1]:2` as the lists `a,::1` and `1,2`.
fn url_hosts(hosts: &str, offset: usize) -> Result<(String, String), ConninfoError> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(inner) => {
                let (name, after) = inner
                    .split_once(']')
                    .ok_or(syntax(offset, "IPv6 address without its closing ]"))?;
                let port = match after.strip_prefix(':') {
                    Some(port) => port,
                    None if after.is_empty() => "",
                    None => {
                        return Err(syntax(offset, "expected : or the host's end after ]"));
                    }
                };
                (name, port)
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(name);
        ports.push(port);
    }
    let given = |list: &[&str]| list.iter().any(|item| !item.is_empty());
    Ok((
        if given(&names) {
            names.join(",")
        } else {
            String::new()
        },
        if given(&ports) {
            ports.join(",")
        } else {
            String::new()
        },
    ))
}

fn percent_decoded(text: &str) -> Result<String, ConninfoError> {
    let wrong = ConninfoError::Syntax {
        at: 1,
        problem: "a % in a URL must be followed by two hexadecimal digits, not 00, and give UTF-8",
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) if high + low > 0 => {
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong.clone())?);
            }
            _ => return Err(wrong),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong)
}

fn syntax(index: usize, problem: &'static str) -> ConninfoError {
    ConninfoError::Syntax {
        at: index + 1,
        problem,
    }
}

#[cfg(test)]
mod tests;
