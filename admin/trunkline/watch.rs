//! `trunkline status --watch`: the picture again and again. On a terminal it stays in its place; else it is printed
//! again below, with an empty line between.

use std::future::Future;
use std::time::Duration;

use admin::exit::{Exit, Failure};
use admin::{output, terminal};
use terminal_size::{Height, Width};
use tokio::signal::unix::{SignalKind, signal};

/// Begins and ends what a terminal shows at once; one that does not know it shows it line by line.
const AT_ONCE: (&str, &str) = ("\u{1b}[?2026h", "\u{1b}[?2026l");

/// Prints what `ask` gives, every so many seconds, until Ctrl-C or until nobody reads it any more. `in_place`: on a
/// terminal each picture takes the place of the one before.
///
/// # Errors
/// Standard output cannot be written; signals cannot be had.
pub(crate) async fn run<F: Future<Output = Result<String, Failure>>>(
    every: Duration,
    in_place: bool,
    ask: impl Fn() -> F,
) -> Result<Exit, Failure> {
    let in_place = in_place && terminal::is_terminal();
    let signals = |kind| signal(kind).map_err(anyhow::Error::from);
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut resized = signals(SignalKind::window_change())?;
    let mut first = true;
    loop {
        let picture = tokio::select! {
            picture = ask() => picture?,
            _ = interrupt.recv() => return Ok(Exit::Done),
        };
        let text = if in_place {
            frame(&picture, size(), first)
        } else {
            picture.clone()
        };
        if !output::print_to_reader(&text)? {
            return Ok(Exit::Done);
        }
        first = false;
        let rest = tokio::time::sleep(every);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                _ = interrupt.recv() => return Ok(Exit::Done),
                _ = resized.recv(), if in_place => output::print(&frame(&picture, size(), false))?,
            }
        }
    }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size();
    size.map_or((80, 24), |(Width(width), Height(height))| {
        (width.into(), height.into())
    })
}

/// The picture over the one before, cut to a terminal of so many columns and rows. Each line is written over the old
/// one and its rest erased, so that nothing is blank in between. The last row is left for the prompt.
fn frame(picture: &str, (width, height): (usize, usize), first: bool) -> String {
    let all: Vec<&str> = picture.lines().collect();
    let room = height.saturating_sub(1).max(1);
    let more = (all.len() > room).then(|| all.len() + 1 - room);
    let shown = all.iter().take(room - usize::from(more.is_some()));
    let mut text = AT_ONCE.0.to_owned();
    text.push_str(if first {
        "\u{1b}[H\u{1b}[J"
    } else {
        "\u{1b}[H"
    });
    let told = more.map(|more| format!("… {more} more lines: a larger window shows them"));
    for line in shown.copied().chain(told.as_deref()) {
        text.push_str(cut(line, width));
        text.push_str("\u{1b}[K\r\n");
    }
    text + "\u{1b}[J" + AT_ONCE.1
}

/// The part of a line that has so many columns.
fn cut(line: &str, width: usize) -> &str {
    line.char_indices()
        .nth(width)
        .map_or(line, |(end, _)| line.get(..end).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_written_over_the_one_before_and_fits_the_window() {
        let picture = "├─ one\n├─ twenty\n└─ three\n";
        let drawn = frame(picture, (80, 24), false);
        let lines = "├─ one\u{1b}[K\r\n├─ twenty\u{1b}[K\r\n└─ three\u{1b}[K\r\n";
        assert_eq!(
            drawn,
            format!("\u{1b}[?2026h\u{1b}[H{lines}\u{1b}[J\u{1b}[?2026l")
        );
        let small = frame(picture, (8, 3), false);
        assert!(small.contains("├─ one\u{1b}[K\r\n… 2 more"), "{small}");
        assert_eq!(small.matches('\n').count(), 2);
        assert!(frame(picture, (5, 24), true).contains("\u{1b}[J├─ on\u{1b}"));
        assert_eq!(frame(picture, (1, 1), false).matches('\n').count(), 1);
    }
}
