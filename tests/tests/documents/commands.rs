//! Every command of ours that README and manual name is one that the programs have, with its options: also in the
//! blocks that no test can run, and in the midst of a sentence.

use std::collections::BTreeMap;
use std::process::Command;

use tests::{Programs, run};

use crate::pages;

/// A program as a page may call it, and its name.
const PROGRAMS: [(&str, &str); 5] = [
    ("ticker", "ticker"),
    ("replay", "replay"),
    ("trunkline", "trunkline"),
    ("trunkline-ticker", "ticker"),
    ("trunkline-replay", "replay"),
];

/// What ends a command within a line of shell.
const ENDS: [&str; 8] = ["|", "||", "&&", ";", "#", ">", "do", "then"];

/// Commands that are there for the shell, not for the operator.
const FOR_SHELLS: [&str; 3] = ["completions", "help", "man"];

/// What the programs say of themselves, each asked once.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

impl Helps {
    /// The help of a command, such as `["replay", "archive", "keep"]`.
    fn of(&mut self, words: &[&str]) -> &str {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        self.0.entry(words).or_insert_with_key(|words| {
            let mut command = Command::new(Programs::get().path(&words[0]));
            run(command.args(&words[1..]).arg("--help")).ok().stdout
        })
    }

    /// The commands below a command.
    fn below(&mut self, words: &[&str]) -> Vec<String> {
        let help = self.of(words);
        let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        listed
            .lines()
            .take_while(|line| !line.is_empty())
            // What goes on with a description stands further to the right.
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    }

    /// Whether a command has this one below it.
    fn has(&mut self, words: &[&str], below: &str) -> bool {
        self.below(words).iter().any(|one| one == below)
    }

    /// Whether a command has an option, as `--dry-run` or `-j`.
    fn takes(&mut self, words: &[&str], option: &str) -> bool {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        self.of(words)
            .split(|c: char| !is_name(c))
            .any(|word| word == option)
    }

    /// What is wrong with a command, if it is one of ours.
    fn fault(&mut self, command: &str) -> Option<String> {
        let command = without_quoted(command);
        let mut words = command.split_whitespace();
        let first = words.next()?;
        let &(_, program) = PROGRAMS.iter().find(|(name, _)| *name == first)?;
        let mut path = vec![program];
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            if ENDS.contains(&word) {
                break;
            }
            match word {
                "-c" => drop(words.next()),
                _ if word.starts_with('-') => rest.push(word),
                _ if path.len() == 1 && rest.is_empty() => {
                    // A program's name may be followed by a word of the sentence: commands are in small letters.
                    if !self.has(&path, word) {
                        return Some(format!("{program} has no command {word:?}"));
                    }
                    path.push(word);
                }
                _ if path.len() == 2 && rest.is_empty() && self.has(&path, word) => path.push(word),
                _ => rest.push(word),
            }
        }
        rest.into_iter()
            .filter(|word| word.starts_with('-') && word.len() > 1)
            .map(|word| word.split('=').next().unwrap_or_default())
            .map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
            .find(|word| !self.takes(&path, word))
            .map(|word| format!("{} has no option {word}", path.join(" ")))
    }
}

/// A command with a word in place of each quoted text: what is quoted may be another command. A table's row has `\|`.
fn without_quoted(command: &str) -> String {
    let command = command.replace("\\|", "|");
    let mut plain = String::new();
    let mut open = None;
    for c in command.chars() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => {
                open = Some(c);
                plain.push_str("QUOTED");
            }
            None => plain.push(c),
        }
    }
    plain
}

/// The commands of a page, each with its line: lines of its blocks of shell, and code in its sentences.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block: Option<bool> = None;
    let mut begun: Option<(usize, String)> = None;
    let mut sentence = String::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            block = block.is_none().then(|| info.starts_with("sh"));
            sentence.clear();
            continue;
        }
        match block {
            Some(true) => {
                let (number, mut whole) = begun.take().unwrap_or((index + 1, String::new()));
                whole.push(' ');
                whole.push_str(line.trim().trim_end_matches('\\'));
                if line.ends_with('\\') {
                    begun = Some((number, whole));
                } else {
                    // As another user, by a loop's condition.
                    let command = whole.trim().rsplit(" -- ").next().unwrap_or_default();
                    let command = command.trim_start_matches("until ");
                    found.push((number, command.to_owned()));
                }
            }
            Some(false) => {}
            // Code may go on in the next line of a sentence; a table's row, an item and a paragraph do not.
            None => {
                let begins = line.is_empty() || line.starts_with(['|', '*', '#']);
                if begins {
                    sentence.clear();
                }
                sentence.push(' ');
                sentence.push_str(line.trim());
                while let Some((_, behind)) = sentence.split_once('`') {
                    let Some((code, behind)) = behind.split_once('`') else {
                        break;
                    };
                    found.push((index + 1, code.to_owned()));
                    sentence = behind.to_owned();
                }
            }
        }
    }
    found
}

#[test]
fn every_command_of_ours_that_the_manual_names_is_one() {
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages::all() {
        let of_manual = page
            .path
            .strip_prefix("docs/")
            .is_some_and(|name| !name.contains('/'));
        if !of_manual && page.path != "README.md" {
            continue;
        }
        for (line, command) in commands(&page.text) {
            seen += usize::from(
                PROGRAMS
                    .iter()
                    .any(|(name, _)| command.starts_with(&format!("{name} "))),
            );
            if let Some(fault) = helps.fault(&command) {
                wrong.push(format!("{}:{line}: {fault}: {command}", page.path));
            }
        }
    }
    assert!(seen > 300, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_ours_is_in_the_table_of_commands() {
    let mut helps = Helps::default();
    let page = std::fs::read_to_string(pages::root().join("docs/operate.md")).unwrap();
    let mut missing = Vec::new();
    for program in ["ticker", "replay", "trunkline"] {
        let row = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("| `{program}` | ")))
            .unwrap_or_else(|| panic!("docs/operate.md has no row for {program}"));
        for command in helps.below(&[program]) {
            if FOR_SHELLS.contains(&command.as_str()) {
                continue;
            }
            if !row.contains(&format!("`{command}`")) {
                missing.push(format!("{program} {command}"));
            }
            for below in helps.below(&[program, &command]) {
                if !row.contains(&format!("`{below}`")) && below != "help" {
                    missing.push(format!("{program} {command} {below}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "docs/operate.md lacks {missing:?}");
}

#[test]
fn a_command_that_is_none_is_found() {
    let mut helps = Helps::default();
    let text = "Say `replay add TABLE --truncat`, or\n`replay ad`.\n\n```sh skip: why\nticker -c x \\\n    begin\n```\n\
                `trunkline queue set q ticker_max_lag=1`, `replay archive keep B --standalone`, `replay -c F add -v`, \
                `replay tables \\| tail -n +2`, `trunkline switchover q --before 'psql -p 6432' --too`";
    let faults: Vec<String> = commands(text)
        .iter()
        .filter_map(|(line, command)| Some(format!("{line}: {}", helps.fault(command)?)))
        .collect();
    assert_eq!(
        faults,
        [
            "1: replay add has no option --truncat",
            "2: replay has no command \"ad\"",
            "5: ticker has no command \"begin\"",
            "8: trunkline switchover has no option --too",
        ]
    );
}
