//! The words of a command, and the letters in them. Pure.

use std::path::Path;

/// What a letter of a command stands for. The letters are those of repmgr's `event_notification_command`, and three
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `%n`: this node's number.
    Node,
    /// `%e`: the event's name.
    Event,
    /// `%s`: 1 or 0, whether it is no failure.
    Success,
    /// `%t`: when it happened.
    Time,
    /// `%d`: what a person is told.
    Details,
    /// `%p`: the number of the other node that has to do with it.
    OtherNode,
    /// `%a`: the provider's name.
    Provider,
    /// `%c`: how clients reach the provider.
    Client,
    /// `%q`: the queue whose name the set has.
    Queue,
    /// `%E`: the term.
    Term,
    /// `%u`: the subscriber.
    Subscriber,
    /// `%b`: a base of an archive.
    Base,
    /// `%k`: a tick.
    Tick,
}

impl Letter {
    /// All of them: the letters of an event's command.
    pub const OF_EVENTS: &[Letter] = &[
        Letter::Node,
        Letter::Event,
        Letter::Success,
        Letter::Time,
        Letter::Details,
        Letter::OtherNode,
        Letter::Provider,
        Letter::Client,
        Letter::Queue,
        Letter::Term,
    ];

    /// The letters of a command that is told the state alone.
    pub const OF_STATE: &[Letter] = &[
        Letter::Provider,
        Letter::Client,
        Letter::Queue,
        Letter::Term,
    ];

    /// The letters of a command that is told what happens to an archive.
    pub const OF_ARCHIVES: &[Letter] = &[
        Letter::Event,
        Letter::Success,
        Letter::Time,
        Letter::Details,
        Letter::Queue,
        Letter::Subscriber,
        Letter::Base,
        Letter::Tick,
    ];

    /// As it stands behind the `%`.
    fn sign(self) -> char {
        match self {
            Letter::Node => 'n',
            Letter::Event => 'e',
            Letter::Success => 's',
            Letter::Time => 't',
            Letter::Details => 'd',
            Letter::OtherNode => 'p',
            Letter::Provider => 'a',
            Letter::Client => 'c',
            Letter::Queue => 'q',
            Letter::Term => 'E',
            Letter::Subscriber => 'u',
            Letter::Base => 'b',
            Letter::Tick => 'k',
        }
    }

    /// The variable of the command's environment that has the same value.
    fn variable(self) -> &'static str {
        match self {
            Letter::Node => "TRUNKLINE_NODE",
            Letter::Event => "TRUNKLINE_EVENT",
            Letter::Success => "TRUNKLINE_SUCCESS",
            Letter::Time => "TRUNKLINE_TIME",
            Letter::Details => "TRUNKLINE_DETAILS",
            Letter::OtherNode => "TRUNKLINE_OTHER_NODE",
            Letter::Provider => "TRUNKLINE_PROVIDER",
            Letter::Client => "TRUNKLINE_CLIENT",
            Letter::Queue => "TRUNKLINE_QUEUE",
            Letter::Term => "TRUNKLINE_TERM",
            Letter::Subscriber => "TRUNKLINE_SUBSCRIBER",
            Letter::Base => "TRUNKLINE_BASE",
            Letter::Tick => "TRUNKLINE_TICK",
        }
    }
}

/// What letters stand for in one run; a letter that is not there stands for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(Vec<(Letter, String)>);

impl FromIterator<(Letter, String)> for Values {
    fn from_iter<I: IntoIterator<Item = (Letter, String)>>(pairs: I) -> Values {
        Values(pairs.into_iter().collect())
    }
}

impl Values {
    fn of(&self, letter: Letter) -> &str {
        let pair = self.0.iter().find(|(one, _)| *one == letter);
        pair.map_or("", |(_, value)| value)
    }

    /// The variables of the command's environment.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0
            .iter()
            .map(|(letter, value)| (letter.variable(), value.as_str()))
    }
}

/// A command of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<Vec<Piece>>,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Letter(Letter),
}

/// Words that only a shell understands.
const FOR_SHELLS: [&str; 6] = ["|", "||", "&", "&&", ";", "<"];

/// Programs that run an argument as their script.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];

impl Command {
    /// Reads a command; only these letters may be in it.
    ///
    /// # Errors
    /// What is wrong with it, as it can stand behind the key of a config file.
    pub fn parse(text: &str, letters: &[Letter]) -> Result<Command, String> {
        let Some(words) = shlex::split(text) else {
            return Err("cannot be split into words: a quote is not closed".to_owned());
        };
        let is_for_shells = |word: &&String| {
            FOR_SHELLS.contains(&word.as_str())
                || word.trim_start_matches(['1', '2', '&']).starts_with('>')
        };
        if let Some(word) = words.iter().find(is_for_shells) {
            return Err(format!(
                "is run without a shell, for which {word:?} would be: write a script, or sh -c 'SCRIPT' sh %n ..."
            ));
        }
        let mut read = Vec::new();
        for word in &words {
            read.push(pieces(word, letters)?);
        }
        // A value would be code there.
        let scripts = words.windows(2).zip(read.iter().skip(2));
        for (before, script) in scripts {
            if let [shell, option] = before
                && is_shell(shell)
                && option.starts_with('-')
                && option.contains('c')
                && script.iter().any(|piece| matches!(piece, Piece::Letter(_)))
            {
                return Err(format!(
                    "has a letter in a script of {shell}, where its value would be code: put it behind the script, \
                     which has it as $1, $2, ..."
                ));
            }
        }
        let mut words = read.into_iter();
        match words.next().as_deref() {
            Some([Piece::Text(program)]) => Ok(Command {
                program: program.clone(),
                arguments: words.collect(),
            }),
            Some([]) | None => Err("names no program".to_owned()),
            Some(_) => Err("has a letter in the name of its program".to_owned()),
        }
    }

    /// The program.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// The arguments, with values for the letters: each of them one argument, whatever is in it.
    pub(super) fn arguments(&self, values: &Values) -> impl Iterator<Item = String> {
        self.arguments.iter().map(|word| {
            let pieces = word.iter().map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Letter(letter) => values.of(*letter),
            });
            pieces.collect()
        })
    }
}

fn is_shell(word: &str) -> bool {
    let name = Path::new(word).file_name();
    name.is_some_and(|name| SHELLS.iter().any(|shell| name == *shell))
}

/// A word as its pieces; no two texts stand side by side.
fn pieces(word: &str, letters: &[Letter]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let sign = chars.next();
        if sign == Some('%') {
            text.push('%');
        } else if let Some(letter) = letters.iter().find(|one| Some(one.sign()) == sign) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Letter(*letter));
        } else {
            let known: Vec<String> = letters
                .iter()
                .map(|one| format!("%{}", one.sign()))
                .collect();
            let wrong = sign.map_or_else(|| "%".to_owned(), |sign| format!("%{sign}"));
            return Err(format!(
                "has {wrong}, which stands for nothing; there are {} and %%",
                known.join(", ")
            ));
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        [
            (Letter::Node, "1"),
            (Letter::Event, "standby_promote"),
            (Letter::Details, "it's \"a\" $(rm -rf x) `x`\n-rf %n; * ü"),
            (Letter::OtherNode, ""),
        ]
        .map(|(letter, value)| (letter, value.to_owned()))
        .into_iter()
        .collect()
    }

    fn words(text: &str) -> Vec<String> {
        let command = Command::parse(text, Letter::OF_EVENTS).unwrap();
        let program = command.program().to_owned();
        std::iter::once(program)
            .chain(command.arguments(&values()))
            .collect()
    }

    #[test]
    fn words_are_those_of_a_shell_and_each_value_stays_in_its_word() {
        let details = values().of(Letter::Details).to_owned();
        let lines = [
            (
                r#"/h.sh %n %e "%d" %p end"#,
                vec!["/h.sh", "1", "standby_promote", &details, "", "end"],
            ),
            (
                r"h '--details=%d' 100%% a\ b ''",
                vec!["h", "--details=DETAILS", "100%", "a b", ""],
            ),
            (
                r#"sh -c 'echo "$1" >> /log; true' sh %d"#,
                vec!["sh", "-c", "echo \"$1\" >> /log; true", "sh", &details],
            ),
            (r#""/a b/h" "x > y""#, vec!["/a b/h", "x > y"]),
        ];
        for (text, wanted) in lines {
            let wanted: Vec<String> = wanted
                .into_iter()
                .map(|word| word.replace("DETAILS", &details))
                .collect();
            assert_eq!(words(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, problem) in [
            ("", "names no program"),
            ("  ", "names no program"),
            ("''", "names no program"),
            ("h 'x", "a quote is not closed"),
            ("h %x", "has %x, which stands for nothing; there are %n, %e"),
            ("h 50%", "has %, which stands for nothing"),
            ("%e x", "a letter in the name of its program"),
            ("/h/%e x", "a letter in the name of its program"),
            ("h %n >> /log", "\">>\" would be"),
            ("h %n 2>&1", "\"2>&1\" would be"),
            ("h %n >/log", "\">/log\" would be"),
            ("h %n | logger", "\"|\" would be"),
            ("sh -c 'h %d'", "in a script of sh"),
            ("sudo /bin/bash -euc 'h %d'", "in a script of /bin/bash"),
        ] {
            let said = Command::parse(text, Letter::OF_EVENTS).unwrap_err();
            assert!(said.contains(problem), "{text}: {said}");
        }
        let said = Command::parse("r %e", Letter::OF_STATE).unwrap_err();
        assert!(said.ends_with("there are %a, %c, %q, %E and %%"), "{said}");
    }
}
