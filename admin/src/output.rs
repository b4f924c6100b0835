//! What commands print: JSON, plain words for scripts, tables for people.

use std::io::{self, Write};

use anyhow::Context as _;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use crate::exit::Failure;
use crate::terminal::{is_terminal, visible};

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    print_to_reader(text).map(|_| ())
}

/// Writes to standard output; false if the reader has gone away.
pub fn print_to_reader(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let error = anyhow::Error::new(error);
            Err(error.context("writing to standard output").into())
        }
    }
}

/// Writes a value as indented JSON.
pub fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(&json(value)?)
}

/// A value as indented JSON, with the end of its last line.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    Ok(format!("{text}\n"))
}

/// Lines of words separated by one space, the header first, for scripts. No word may hold white
/// space: names are written in the one-word form of [`sql::name`] by the caller.
pub fn words(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = header.join(" ");
    text.push('\n');
    for row in rows {
        text.push_str(&row.join(" "));
        text.push('\n');
    }
    text
}

/// A table with lines around it, for a terminal. Control characters in cells are made visible, so that the terminal
/// does not obey them.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    format!("{table}\n")
}

/// Rows for the reader of standard output: a table on a terminal, else words.
pub fn listing(header: &[&str], rows: &[Vec<String>]) -> String {
    if is_terminal() {
        return table(header, rows);
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.replace(' ', "")).collect())
        .collect();
    words(header, &rows)
}

/// A name as one word: white space and control characters are written `\u{20}`.
pub fn word(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_whitespace() || c.is_control() {
            result.extend(c.escape_unicode());
        } else {
            result.push(c);
        }
    }
    result
}

/// A time with as many digits as are useful: `0.25 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn seconds(time: f64) -> String {
    if time < 10.0 {
        return format!("{time:.2} s");
    }
    // A time stays far below 2^53, whatever a clock says.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded"
    )]
    let whole = time.clamp(0.0, 1e12) as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number of bytes in its largest whole unit: `12 kB`.
pub fn bytes(count: i64) -> String {
    const UNITS: [(&str, i64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{} {unit}", count / size),
        None => format!("{count} bytes"),
    }
}

/// A number, or `-` if it is not known.
pub fn or_none(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_separated_by_one_space() {
        let rows = vec![vec!["public.t1".to_owned(), "ok".to_owned()]];
        assert_eq!(
            words(&["Table", "State"], &rows),
            "Table State\npublic.t1 ok\n"
        );
    }

    #[test]
    fn a_name_is_one_word() {
        assert_eq!(word("a b\n-ä"), "a\\u{20}b\\u{a}-ä");
    }

    #[test]
    fn a_cell_cannot_draw_on_the_terminal() {
        let rows = vec![vec!["a\u{1b}[2Jb".to_owned()]];
        assert!(!table(&["Name"], &rows).contains('\u{1b}'));
    }
}
