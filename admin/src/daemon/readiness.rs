//! The message from a detached child to the parent at the terminal: ready, not yet, or failed.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::service;
use crate::exit::{Exit, Failure};

/// How long the parent waits for the message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest message that is passed on.
const MAX_MESSAGE_BYTES: u64 = 64 << 10;

/// The daemon's end of the pipe. The first message counts, and later messages are ignored. In the foreground no parent
/// waits; a service manager is told in any case.
#[derive(Debug, Clone)]
pub struct Ready(Arc<Mutex<Option<PipeWriter>>>);

impl Ready {
    pub(super) fn new(writer: PipeWriter) -> Ready {
        Ready(Arc::new(Mutex::new(Some(writer))))
    }

    pub(super) fn none() -> Ready {
        Ready(Arc::new(Mutex::new(None)))
    }

    /// Reports that everything works: `start -d` returns 0.
    pub fn ready(&self) {
        service::ready("all that it works on answers");
        self.say("ready\n");
    }

    /// Reports that something is missing and is tried again: `start -d` prints the message on standard error and
    /// returns 0. The message says what is missing, and that it is tried again.
    pub fn not_yet(&self, message: impl std::fmt::Display) {
        service::ready(&message.to_string());
        self.say(&format!("later\n{}\n", message.to_string().trim_end()));
    }

    pub(super) fn failed(&self, failure: &Failure) {
        let text = failure.to_text();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        self.say(&format!("failed {}\n{text}", failure.exit as u8));
    }

    fn say(&self, text: &str) {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut writer) = writer.take() {
            // The write may fail, because the parent may have been killed; the daemon goes on without the parent.
            let _ = writer.write_all(text.as_bytes());
        }
    }
}

/// The parent's end of the pipe.
pub(super) struct ReadyPipe(PipeReader);

/// What the child reported.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ready,
    NotYet(String),
    Failed(Exit, String),
    /// The child lives, and has reported nothing for too long.
    Silence,
    /// The child has ended without a report.
    Ended,
}

pub(super) fn pipe() -> io::Result<(ReadyPipe, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((ReadyPipe(reader), writer))
}

impl ReadyPipe {
    pub(super) fn answer(&self) -> Answer {
        let Ok(reader) = self.0.try_clone() else {
            return Answer::Silence;
        };
        let (sender, receiver) = mpsc::channel();
        // A thread reads the pipe, because such a read has no time limit; the thread ends with this process.
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = reader.take(MAX_MESSAGE_BYTES).read_to_string(&mut text);
            let _ = sender.send(text);
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(text) => understand(&text),
            Err(_) => Answer::Silence,
        }
    }
}

fn understand(text: &str) -> Answer {
    let (word, message) = text.split_once('\n').unwrap_or((text, ""));
    match word {
        "ready" => Answer::Ready,
        "later" => Answer::NotYet(message.to_owned()),
        "" => Answer::Ended,
        word => {
            let code = match word.strip_prefix("failed ") {
                Some("2") => Exit::Usage,
                Some("4") => Exit::TimedOut,
                Some("5") => Exit::Running,
                _ => Exit::Failed,
            };
            Answer::Failed(code, message.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_answer() {
        let (waiting, writer) = pipe().unwrap();
        let ready = Ready::new(writer);
        ready.not_yet("host h1 does not answer; trying again");
        ready.ready();
        let message = "host h1 does not answer; trying again\n".to_owned();
        assert_eq!(waiting.answer(), Answer::NotYet(message));
    }

    #[test]
    fn a_failure_keeps_its_code_and_text() {
        let (waiting, writer) = pipe().unwrap();
        let failure = Failure::message(Exit::TimedOut, "x").with_hint("y");
        Ready::new(writer).failed(&failure);
        let text = "x\n  hint: y\n".to_owned();
        assert_eq!(waiting.answer(), Answer::Failed(Exit::TimedOut, text));
    }

    #[test]
    fn an_end_without_a_word_is_noticed() {
        let (waiting, writer) = pipe().unwrap();
        drop(Ready::new(writer));
        assert_eq!(waiting.answer(), Answer::Ended);
    }
}
