//! A TOML file as sections, which are asked for keys. Every problem is kept with its line, so that one run names all
//! problems. This module knows no key; `ticker` and `replay` beside it do.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{ConfigErrors, Problem};
use super::key::{FlagKey, NumberKey, SizeKey, TimeKey, WordKey};
use super::value::{self, NumberRange};

/// A parsed file and what is wrong with it so far.
pub(super) struct Document<'a> {
    text: &'a str,
    root: DeTable<'a>,
    problems: RefCell<Vec<Problem>>,
    /// The file could not be read to its end, so that nothing is reported as missing.
    broken: bool,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(text: &'a str, env: &'a dyn Fn(&str) -> Option<String>) -> Document<'a> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Document {
            text,
            root: root.into_inner(),
            problems: RefCell::default(),
            broken: !errors.is_empty(),
            env,
        };
        for error in errors {
            let line = error.span().map(|span| document.line(span.start));
            let message = one_line(error.message());
            document.report(
                line,
                match error.span().and_then(|span| document.key_at(&span)) {
                    Some(key) => format!("{key}: {message}"),
                    None => message,
                },
            );
        }
        document
    }

    /// The key that a span covers, if the key begins its line: then the span is not a value, which could be a password.
    fn key_at(&self, span: &std::ops::Range<usize>) -> Option<&'a str> {
        let begins_line = self
            .text
            .get(..span.start)?
            .chars()
            .rev()
            .find(|c| !matches!(c, ' ' | '\t'))
            .is_none_or(|c| c == '\n');
        let key = self.text.get(span.clone())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (begins_line && !key.is_empty() && key.len() <= 64 && key.chars().all(plain)).then_some(key)
    }

    /// The table `[name]`; a missing one is reported.
    pub(super) fn section(&self, name: &'static str) -> Section<'_> {
        let table = match self.root_entry(name) {
            Some((_, entry)) => {
                let table = entry.get_ref().as_table();
                if table.is_none() {
                    let line = Some(self.line(entry.span().start));
                    self.report(line, format!("{name} must be a section, [{name}]"));
                }
                table
            }
            None => {
                self.report_missing(format!("section [{name}] is missing"));
                None
            }
        };
        Section {
            document: self,
            title: format!("[{name}]"),
            table,
            line: None,
        }
    }

    /// The tables `[[name]]`, which may be none.
    pub(super) fn sections(&self, name: &'static str) -> Vec<Section<'_>> {
        let Some((_, entry)) = self.root_entry(name) else {
            return Vec::new();
        };
        let whole = Some(self.line(entry.span().start));
        let Some(array) = entry.get_ref().as_array() else {
            self.report(
                whole,
                format!("{name} must be a list of sections, [[{name}]]"),
            );
            return Vec::new();
        };
        array
            .iter()
            .map(|item| {
                let line = Some(self.line(item.span().start));
                if item.get_ref().as_table().is_none() {
                    self.report(
                        line,
                        format!("{name} must be a list of sections, [[{name}]]"),
                    );
                }
                Section {
                    document: self,
                    title: format!("[[{name}]]"),
                    table: item.get_ref().as_table(),
                    line,
                }
            })
            .collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.root_entry(name).is_some()
    }

    /// Reports sections and keys beside the known sections.
    pub(super) fn only_sections(&self, known: &[&str]) {
        for (key, _) in self.root.iter() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let line = Some(self.line(key.span().start));
                let near = suggestion(name, known.iter().copied());
                let list = known.join("], [");
                self.report(
                    line,
                    format!("unknown section or key {name:?}{near}; this file has [{list}]"),
                );
            }
        }
    }

    pub(super) fn report(&self, line: Option<usize>, text: String) {
        self.problems.borrow_mut().push(Problem { line, text });
    }

    /// Reports that something is missing, unless the file could not be read to its end.
    pub(super) fn report_missing(&self, text: String) {
        if !self.broken {
            self.report(None, text);
        }
    }

    /// What was read from the file, if nothing was wrong with the file; else all problems, by line.
    pub(super) fn close<T>(self, read: Option<T>, file: &Path) -> Result<T, ConfigErrors> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(ConfigErrors {
                file: file.to_owned(),
                problems,
            }),
        }
    }

    fn root_entry(&self, name: &str) -> Option<Entry<'_>> {
        find(&self.root, name)
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count() + 1
    }
}

type Entry<'d> = (&'d Spanned<Cow<'d, str>>, &'d Spanned<DeValue<'d>>);

fn find<'d>(table: &'d DeTable<'d>, name: &str) -> Option<Entry<'d>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(steps, candidate)| *steps <= 2.min(candidate.len() / 2))
        .min()
        // A name that is like no known name gets no suggestion.
        .map_or_else(String::new, |(_, candidate)| {
            format!(", did you mean {candidate:?}?")
        })
}

/// One section, which is asked for its keys one by one. A wrong value is reported and replaced by the default, so that
/// the rest can be checked too.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    title: String,
    table: Option<&'d DeTable<'d>>,
    line: Option<usize>,
}

/// A string of the file.
pub(super) struct Text {
    /// The string with the environment's values put in.
    pub(super) value: String,
    /// The string as the file has it.
    pub(super) raw: String,
    pub(super) line: usize,
}

impl<'d> Section<'d> {
    /// Line of a `[[section]]`'s head.
    pub(super) fn line(&self) -> Option<usize> {
        self.line
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Reports a problem with a key, at the key's line if the section has the key.
    pub(super) fn problem(&self, key: &str, text: &str) {
        let line = match self.entry(key) {
            Some((name, _)) => Some(self.document.line(name.span().start)),
            None => self.line,
        };
        self.document
            .report(line, format!("{} {key}: {text}", self.title));
    }

    /// Reports that a key must be given, unless the section itself is missing.
    pub(super) fn missing(&self, key: &str, form: &str) {
        if self.table.is_some() && !self.document.broken {
            self.problem(key, &format!("is missing ({form})"));
        }
    }

    /// A string with the environment put in.
    pub(super) fn text(&self, key: &str) -> Option<Text> {
        let (_, item) = self.entry(key)?;
        match item.get_ref().as_str() {
            Some(raw) => self.text_of(key, item, raw),
            None => {
                self.wrong_type(key, item, "a string");
                None
            }
        }
    }

    fn text_of(&self, key: &str, item: &Spanned<DeValue<'_>>, raw: &str) -> Option<Text> {
        let line = self.document.line(item.span().start);
        if raw.contains(|c: char| c.is_control()) {
            self.problem(key, "must not hold control characters");
            return None;
        }
        match value::with_environment(raw, self.document.env) {
            Ok(value) => Some(Text {
                value,
                raw: raw.to_owned(),
                line,
            }),
            Err(text) => {
                self.problem(key, &text);
                None
            }
        }
    }

    /// A string or a list of strings.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<Text>> {
        let (_, item) = self.entry(key)?;
        let Some(array) = item.get_ref().as_array() else {
            return self.text(key).map(|text| vec![text]);
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            match item.get_ref().as_str() {
                Some(raw) => texts.extend(self.text_of(key, item, raw)),
                None => self.wrong_type(key, item, "a list of strings"),
            }
        }
        Some(texts)
    }

    /// A table of strings, numbers and flags, each as a text.
    pub(super) fn pairs(&self, key: &str) -> Option<Vec<(String, String)>> {
        let (_, item) = self.entry(key)?;
        let Some(table) = item.get_ref().as_table() else {
            self.wrong_type(key, item, "a table, { name = \"text\" }");
            return None;
        };
        let mut pairs = Vec::new();
        for (name, item) in table.iter() {
            let value = match item.get_ref() {
                DeValue::String(raw) => self.text_of(key, item, raw).map(|text| text.value),
                DeValue::Integer(number) => Some(number.to_string()),
                DeValue::Boolean(flag) => Some(flag.to_string()),
                DeValue::Float(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => {
                    self.wrong_type(key, item, "a table of texts");
                    None
                }
            };
            pairs.extend(value.map(|value| (name.get_ref().to_string(), value)));
        }
        Some(pairs)
    }

    /// A time: seconds as a number, or a string with a unit.
    pub(super) fn time(&self, key: &TimeKey) -> Duration {
        let (range, default) = (key.range, key.default);
        let key = key.name;
        let form = format!("{}, {range}", value::TIME_FORM);
        let Some((_, item)) = self.entry(key) else {
            return default;
        };
        let (shown, seconds) = match item.get_ref() {
            DeValue::Integer(number) => (number.to_string(), integer(number)),
            DeValue::Float(number) => (number.to_string(), float(number)),
            DeValue::String(_) => match self.text(key) {
                Some(text) => (
                    format!("{:?}", shortened(&text.raw)),
                    value::seconds(&text.value),
                ),
                None => return default,
            },
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type(key, item, &format!("a time ({form})"));
                return default;
            }
        };
        match seconds {
            None => self.problem(key, &format!("{shown} is not a time ({form})")),
            Some(seconds) => match range.accept(seconds) {
                Some(time) => return time,
                None => self.problem(key, &format!("{shown} is out of range ({range})")),
            },
        }
        default
    }

    /// A size: bytes as a number, or a string with a unit.
    pub(super) fn size(&self, key: &SizeKey) -> u64 {
        let spoken = key.range.as_sizes();
        self.number_or_text(key.name, key.default, key.range, &spoken, value::SIZE_FORM)
    }

    /// A whole number.
    pub(super) fn number(&self, key: &NumberKey) -> u64 {
        let spoken = key.range.to_string();
        self.number_or_text(key.name, key.default, key.range, &spoken, "")
    }

    fn number_or_text(
        &self,
        key: &str,
        default: u64,
        range: NumberRange,
        spoken: &str,
        text_form: &str,
    ) -> u64 {
        let Some((_, item)) = self.entry(key) else {
            return default;
        };
        let (shown, number) = match item.get_ref() {
            DeValue::Integer(number) => (
                number.to_string(),
                u64::from_str_radix(number.as_str(), number.radix()).ok(),
            ),
            DeValue::Float(number) => (number.to_string(), None),
            DeValue::String(_) if !text_form.is_empty() => match self.text(key) {
                Some(text) => match value::bytes(&text.value) {
                    Some(bytes) => (format!("{:?}", shortened(&text.raw)), Some(bytes)),
                    None => {
                        let shown = shortened(&text.raw);
                        let text = format!("{shown:?} is not a size ({text_form}, {spoken})");
                        self.problem(key, &text);
                        return default;
                    }
                },
                None => return default,
            },
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.wrong_type(key, item, &format!("a whole number ({spoken})"));
                return default;
            }
        };
        match number.and_then(|number| range.accept(number)) {
            Some(number) => number,
            None => {
                self.problem(key, &format!("{shown} is out of range ({spoken})"));
                default
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &WordKey<T>) -> T {
        let (_, default) = key.default;
        let Some(text) = self.text(key.name) else {
            return default;
        };
        match key.words().find(|(word, _)| *word == text.value) {
            Some((_, value)) => *value,
            None => {
                let list: Vec<_> = key.words().map(|(word, _)| format!("{word:?}")).collect();
                let shown = shortened(&text.raw);
                let text = format!("{shown:?} is not one of {}", list.join(", "));
                self.problem(key.name, &text);
                default
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &FlagKey) -> bool {
        let Some((_, item)) = self.entry(key.name) else {
            return key.default;
        };
        item.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_type(key.name, item, "true or false");
            key.default
        })
    }

    /// Reports keys that mean nothing here, and those that mean nothing yet.
    pub(super) fn only_keys(&self, known: &[&str], not_yet: &[&str]) {
        let Some(table) = self.table else {
            return;
        };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if not_yet.contains(&name) {
                self.problem(name, "is not supported by this version");
            } else if !known.contains(&name) {
                let near = suggestion(name, known.iter().copied());
                self.problem(name, &format!("unknown key{near}"));
            }
        }
    }

    fn entry(&self, key: &str) -> Option<Entry<'d>> {
        self.table.and_then(|table| find(table, key))
    }

    fn wrong_type(&self, key: &str, item: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = match item.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.problem(key, &format!("must be {wanted}, not {found}"));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a range check follows, far below 2^52"
)]
fn integer(number: &toml::de::DeInteger<'_>) -> Option<f64> {
    // Past 128 bits every number is out of every range, whatever its sign.
    let parsed = i128::from_str_radix(number.as_str(), number.radix());
    Some(parsed.map_or(f64::INFINITY, |number| number as f64))
}

fn float(number: &toml::de::DeFloat<'_>) -> Option<f64> {
    number.as_str().parse().ok()
}

fn shortened(text: &str) -> String {
    let begin: String = text.chars().take(40).collect();
    if begin.len() < text.len() {
        format!("{begin}...")
    } else {
        begin
    }
}
