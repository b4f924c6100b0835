//! Scripts of statements, run step by step on both sides. A step is a paragraph; its comment lines may hold directives:
//!
//! `--! exact` compares times and transaction ids too; `--! differs NAME` with lines `--! theirs ...` and
//! `--! ours ...` says what each side answers where they differ on purpose (NAME is in [`DIFFERENCES`]).

use crate::differences::DIFFERENCES;
use crate::pair::Pair;

struct Step<'a> {
    line: usize,
    statement: &'a str,
    exact: bool,
    differs: Option<&'a str>,
    theirs: String,
    ours: String,
}

/// Runs a script.
///
/// # Panics
/// If an answer differs and no directive says so, or differs otherwise than it says.
pub(crate) async fn run(pair: &mut Pair, name: &str, script: &'static str) {
    let mut wrong = String::new();
    let steps = steps(script);
    assert!(!steps.is_empty(), "{name} has no step");
    for step in &steps {
        let (theirs, ours) = pair.run(step.statement, step.exact).await;
        let good = match step.differs {
            None => theirs == ours,
            Some(difference) => {
                assert!(
                    DIFFERENCES.iter().any(|(known, _)| *known == difference),
                    "{name}:{}: {difference} is not a listed difference",
                    step.line
                );
                theirs == step.theirs && ours == step.ours
            }
        };
        if !good {
            wrong.push_str(&format!(
                "\n{name}:{}: {}\n{}{}",
                step.line,
                step.statement,
                marked("--! theirs ", &theirs),
                marked("--! ours ", &ours)
            ));
        }
    }
    println!("{name}: {} steps", steps.len());
    assert!(wrong.is_empty(), "the sides differ:{wrong}");
}

fn marked(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

fn steps(script: &'static str) -> Vec<Step<'static>> {
    let mut steps = Vec::new();
    let mut line = 1;
    for paragraph in script.split("\n\n") {
        let mut step = Step {
            line,
            statement: "",
            exact: false,
            differs: None,
            theirs: String::new(),
            ours: String::new(),
        };
        line += paragraph.matches('\n').count() + 2;
        let mut rest = paragraph.trim_start_matches('\n');
        while rest.starts_with("--") {
            let (comment, after) = rest.split_once('\n').unwrap_or((rest, ""));
            if let Some(directive) = comment.strip_prefix("--! ") {
                read(&mut step, directive);
            }
            rest = after;
        }
        step.statement = rest.trim_end();
        if !step.statement.is_empty() {
            steps.push(step);
        }
    }
    steps
}

fn read(step: &mut Step<'static>, directive: &'static str) {
    let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
    match word {
        "exact" => step.exact = true,
        "differs" => step.differs = Some(rest),
        "theirs" => {
            step.theirs.push_str(rest);
            step.theirs.push('\n');
        }
        "ours" => {
            step.ours.push_str(rest);
            step.ours.push('\n');
        }
        _ => panic!("unknown directive: {directive}"),
    }
}
