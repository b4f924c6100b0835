//! Whether a person reads the output and can be asked, and text without what a terminal would obey.

use std::io::{self, BufRead as _, IsTerminal, Write as _};

/// Whether a person reads standard output.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person can be asked.
pub fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks the person at the terminal, who answers `yes` or something else.
pub fn agreed(question: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    write!(out, "{question} (yes/no) ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Text without characters that a terminal would obey.
pub fn visible(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            result.extend(c.escape_default());
        } else {
            result.push(c);
        }
    }
    result
}
