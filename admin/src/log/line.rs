//! The form of a log line, as text or as JSON. Pure.
//!
//! Names and values come from databases, and a table may be called `x\n2026-01-01 ERROR`. So control characters, line
//! separators and characters that turn the writing direction never reach the log as they are, and a value that is not
//! one plain word is quoted.

use std::fmt::{self, Write as _};

use tracing::Level;
use tracing::field::{Field, Visit};

/// The longest value that is written; the rest is cut off and `...` put in its place.
const MAX_VALUE_CHARS: usize = 8192;

/// What every line begins with.
#[derive(Debug)]
pub struct Head<'a> {
    /// The time, written in UTC with milliseconds.
    pub time: jiff::Timestamp,
    /// The level, written in capitals.
    pub level: Level,
    /// The daemon's name.
    pub job_name: &'a str,
}

/// A value of an event.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

/// The message and the facts of an event, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    message: String,
    facts: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the facts of a span around the event; the event's own facts come first and win.
    pub fn extend(&mut self, outer: &Fields) {
        for (name, value) in &outer.facts {
            if !self.facts.iter().any(|(known, _)| known == name) {
                self.facts.push((name, value.clone()));
            }
        }
    }

    fn set(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text)) => self.message = text,
            (name, value) => match self.facts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => self.facts.push((name, value)),
            },
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Bool(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, Value::Text(crate::exit::one_line(value)));
    }
}

/// `2026-01-01T00:00:00.123Z INFO job message key=value`, with its newline.
pub fn text(head: &Head<'_>, facts: &Fields) -> String {
    let mut line = format!("{:.3} {} {} ", head.time, head.level, head.job_name);
    escape_into(&mut line, &facts.message);
    for (name, value) in &facts.facts {
        let _ = write!(line, " {name}=");
        match value {
            Value::Text(text) => value_into(&mut line, text),
            Value::Signed(number) => drop(write!(line, "{number}")),
            Value::Unsigned(number) => drop(write!(line, "{number}")),
            Value::Float(number) => drop(write!(line, "{number}")),
            Value::Bool(yes) => drop(write!(line, "{yes}")),
        }
    }
    line.push('\n');
    line
}

/// `{"time":"...","level":"INFO","job_name":"...","message":"...", facts}`, with its newline.
pub fn json(head: &Head<'_>, facts: &Fields) -> String {
    let mut line = String::from("{\"time\":");
    string_into(&mut line, &format!("{:.3}", head.time));
    line.push_str(",\"level\":");
    string_into(&mut line, head.level.as_str());
    line.push_str(",\"job_name\":");
    string_into(&mut line, head.job_name);
    line.push_str(",\"message\":");
    string_into(&mut line, &facts.message);
    for (name, value) in &facts.facts {
        line.push(',');
        // A fact must not be taken for a part of the line's head.
        let taken = matches!(*name, "time" | "level" | "job_name" | "message");
        string_into(
            &mut line,
            &if taken {
                format!("{name}_")
            } else {
                (*name).to_owned()
            },
        );
        line.push(':');
        match value {
            Value::Text(text) => string_into(&mut line, text),
            Value::Signed(number) => drop(write!(line, "{number}")),
            Value::Unsigned(number) => drop(write!(line, "{number}")),
            Value::Float(number) if number.is_finite() => drop(write!(line, "{number}")),
            // JSON has no number for NaN and the infinities.
            Value::Float(number) => string_into(&mut line, &number.to_string()),
            Value::Bool(yes) => drop(write!(line, "{yes}")),
        }
    }
    line.push_str("}\n");
    line
}

/// Appends a value as one word: as it is if no character needs quoting.
fn value_into(line: &mut String, text: &str) {
    let plain = !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_whitespace() && !is_unsafe(c) && !matches!(c, '"' | '=' | '\\'));
    if plain && text.len() <= MAX_VALUE_CHARS {
        line.push_str(text);
    } else {
        string_into(line, text);
    }
}

fn string_into(line: &mut String, text: &str) {
    line.push('"');
    escape_into(line, text);
    line.push('"');
}

/// Appends a text with JSON's escapes; `\u` for every character that could break or disguise a line.
fn escape_into(line: &mut String, text: &str) {
    for (count, c) in text.chars().enumerate() {
        if count == MAX_VALUE_CHARS {
            line.push_str("...");
            return;
        }
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_unsafe(c) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            c => line.push(c),
        }
    }
}

/// Whether a character is a control character, a line or paragraph separator, or one that reorders text on a screen.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
        )
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(message: &str, pairs: &[(&'static str, &str)]) -> Fields {
        Fields {
            message: message.to_owned(),
            facts: pairs
                .iter()
                .map(|(name, text)| (*name, Value::Text((*text).to_owned())))
                .collect(),
        }
    }

    fn head() -> Head<'static> {
        Head {
            time: "2026-01-01T00:00:00.123456Z".parse().unwrap(),
            level: Level::INFO,
            job_name: "job1",
        }
    }

    #[test]
    fn a_text_line_is_time_level_job_message_and_facts() {
        let facts = facts(
            "table in sync",
            &[("table", "public.t1"), ("note", "two words")],
        );
        assert_eq!(
            text(&head(), &facts),
            "2026-01-01T00:00:00.123Z INFO job1 table in sync table=public.t1 note=\"two words\"\n"
        );
    }

    #[test]
    fn milliseconds_are_always_three_digits() {
        let head = Head {
            time: "2026-01-01T00:00:00Z".parse().unwrap(),
            ..head()
        };
        assert!(text(&head, &facts("x", &[])).starts_with("2026-01-01T00:00:00.000Z "));
    }

    #[test]
    fn no_value_can_forge_a_line_or_a_field() {
        for nasty in [
            "t\n2026-01-01T00:00:00.000Z ERROR job1 forged",
            "t\r\u{1b}[2J\u{1b}[31m",
            "a b=c",
            "\u{2028}x\u{85}y\u{202e}z\u{7f}\u{0}",
            "",
        ] {
            let facts = facts("found", &[("table", nasty)]);
            let written = text(&head(), &facts);
            assert_eq!(written.lines().count(), 1, "{written:?}");
            assert!(written.contains(" table=\""), "{written:?}");
            assert!(!written.trim_end().chars().any(is_unsafe), "{written:?}");
            let parsed: serde_json::Value = serde_json::from_str(&json(&head(), &facts)).unwrap();
            assert_eq!(parsed["table"], nasty);
        }
    }

    #[test]
    fn a_json_line_keeps_numbers_and_its_own_head() {
        let facts = Fields {
            message: "stats".into(),
            facts: vec![
                ("rows", Value::Unsigned(3)),
                ("lag", Value::Float(0.5)),
                ("odd", Value::Float(f64::NAN)),
                ("level", Value::Text("x".into())),
            ],
        };
        let parsed: serde_json::Value = serde_json::from_str(&json(&head(), &facts)).unwrap();
        assert_eq!(parsed["rows"], 3);
        assert_eq!(parsed["lag"], 0.5);
        assert_eq!(parsed["odd"], "NaN");
        assert_eq!(parsed["level"], "INFO");
        assert_eq!(parsed["level_"], "x");
        assert_eq!(parsed["job_name"], "job1");
    }

    #[test]
    fn a_long_value_is_cut() {
        let facts = facts("x", &[("v", &"y".repeat(100_000))]);
        assert!(text(&head(), &facts).len() < 10_000);
    }
}
