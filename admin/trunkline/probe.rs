//! `trunkline probe`: yes or no for keepalived, HAProxy and the like, as exit code 0 or 1, within a time limit of its
//! own. `check` is for people: keepalived takes its 1, 2 and 3 alike, and a warning would move an address. Reads only,
//! but for the row of `--write`.

use std::process::ExitCode;
use std::time::Duration;

use admin::cli::{CommonArgs, run_command};
use admin::config::{AnyConfig, DaemonConfig, ReplayConfig};
use admin::daemon::is_running;
use admin::exit::{Exit, one_line};
use admin::output;
use admin::status::{self, Asking, Promotable};
use admin::terminal::visible;
use clap::Subcommand;
use futures::future::{join, try_join_all};
use sql::connect::{ApplicationName, ConnectInfo, Purpose};
use sql::role;

use crate::places;

/// What a machine needs to know.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {
    #[command(subcommand)]
    question: Question,
    /// Answer within this time; a server that is stopped accepts connections and never answers
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = patience, global = true)]
    timeout: Duration,
}

/// The questions.
#[derive(Debug, Subcommand)]
enum Question {
    /// Do applications write here? 0 on the provider, whatever its ticker, lag and subscribers are
    ///
    /// Asked of a ticker's databases, or of a replay's own (subscriber_db), for the queues that the config file names.
    Serve {
        /// Only this queue
        queue: Option<String>,
        /// Also write a row: a full disk serves nobody
        #[arg(long)]
        write: bool,
    },
    /// Does replay keep this database up to date? 0 while it goes on, and is no further behind than --max-lag
    ///
    /// Of a replay's config. Its tables may be read then.
    Standby {
        /// Seconds that the oldest change not applied yet may be old; a lag that is not known is too much
        #[arg(long, value_name = "SECONDS", value_parser = limit)]
        max_lag: Option<f64>,
    },
    /// Does the daemon of each config file run on this host? No database is asked
    Running,
    /// Could this standby become the provider? 0 if it keeps up, and has all tables whole
    ///
    /// Of a replay's config with one subscriber. The line ends with the number of ticks that the furthest standby that
    /// was heard of is ahead of it. What the provider has is not asked: it may be away.
    Promotable {
        /// As of standby
        #[arg(long, value_name = "SECONDS", value_parser = limit)]
        max_lag: Option<f64>,
    },
}

fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.1..=60.0).contains(seconds));
    let wrong = || "a number of seconds from 0.1 to 60".to_owned();
    seconds.map(Duration::from_secs_f64).ok_or_else(wrong)
}

fn limit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a number of seconds, 0 or more".to_owned()),
    }
}

/// The answer: whether, and one line that says why.
type Answer = Result<String, String>;

/// Answers, with one line on standard output. Never later than the limit: a name server that does not answer is not
/// waited for when the process ends.
pub(crate) fn run(args: &ProbeArgs, configs: &[AnyConfig], common: &CommonArgs) -> ExitCode {
    let mut answer = Err("could not be asked".to_owned());
    let asked = run_command("trunkline", common, async {
        let limit = args.timeout;
        answer = tokio::time::timeout(limit, ask(&args.question, configs, limit))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f64())));
        Ok(Exit::Done)
    });
    if let Err(failure) = asked {
        answer = Err(one_line(failure.error.as_ref()));
    }
    let (code, word, text) = match &answer {
        Ok(text) => (0, "yes", text),
        Err(text) => (1, "no", text),
    };
    // The exit code is the answer, whether somebody reads or not.
    let _ = output::print(&format!("{word}: {}\n", visible(text)));
    ExitCode::from(code)
}

async fn ask(question: &Question, configs: &[AnyConfig], limit: Duration) -> Answer {
    match question {
        Question::Serve { queue, write } => {
            let asked = configs
                .iter()
                .map(|config| serve(config, queue.as_deref(), *write));
            let answers = try_join_all(asked).await?;
            Ok(answers.concat().join("; "))
        }
        Question::Standby { max_lag } => {
            let asked = replays(configs)?;
            let asked = asked.iter().map(|replay| standby(replay, *max_lag, limit));
            Ok(try_join_all(asked).await?.join("; "))
        }
        Question::Running => {
            let daemons = configs.iter().map(|config| match config {
                AnyConfig::Ticker(ticker) => running(&ticker.daemon),
                AnyConfig::Replay(replay) => running(&replay.daemon),
            });
            Ok(daemons.collect::<Result<Vec<_>, _>>()?.join("; "))
        }
        Question::Promotable { max_lag } => {
            let asked = replays(configs)?;
            let asked = asked
                .iter()
                .map(|replay| promotable(replay, *max_lag, limit));
            Ok(try_join_all(asked).await?.join("; "))
        }
    }
}

fn running(daemon: &DaemonConfig) -> Answer {
    let job = &daemon.job_name;
    match is_running(daemon) {
        Ok(Some(pid)) => Ok(format!("{job} runs, pid {pid}")),
        Ok(None) => Err(format!("{job} does not run")),
        Err(failure) => Err(format!("{job}: {}", one_line(failure.error.as_ref()))),
    }
}

/// The configs that are a replay's; Err: none is.
fn replays(configs: &[AnyConfig]) -> Result<Vec<&ReplayConfig>, String> {
    let replays = configs.iter().filter_map(|config| match config {
        AnyConfig::Replay(replay) => Some(&**replay),
        AnyConfig::Ticker(_) => None,
    });
    let replays: Vec<&ReplayConfig> = replays.collect();
    if replays.is_empty() {
        return Err("no config file is a replay's".to_owned());
    }
    Ok(replays)
}

/// Asks the databases of one config; a text for each queue that is served. Err: one is not.
async fn serve(
    config: &AnyConfig,
    queue: Option<&str>,
    write: bool,
) -> Result<Vec<String>, String> {
    let own = places::own(config, Purpose::Status).await;
    let (name, databases) = own.map_err(|error| one_line(error.as_ref()))?;
    let mut queues = match config {
        AnyConfig::Ticker(ticker) => ticker.queues.clone(),
        AnyConfig::Replay(replay) => vec![replay.queue.clone()],
    };
    if let Some(queue) = queue {
        queues = vec![queue.to_owned()];
    }
    if queues.is_empty() {
        return Err("the config file names no queue: name one".to_owned());
    }
    let asked = databases
        .iter()
        .map(|info| serve_database(info, &name, &queues, write));
    try_join_all(asked).await
}

async fn serve_database(
    info: &ConnectInfo,
    as_name: &ApplicationName,
    queues: &[String],
    write: bool,
) -> Result<String, String> {
    let name = info.dbname();
    let refused = |error: anyhow::Error| format!("database {name}: {}", one_line(error.as_ref()));
    let session = info
        .connect(as_name)
        .await
        .map_err(|error| refused(error.into()))?;
    for queue in queues {
        let serves = role::serves(&*session, queue).await;
        if !serves.map_err(|error| refused(error.into()))? {
            let roles = role::list(&*session)
                .await
                .map_err(|error| refused(error.into()))?;
            let role = roles.iter().find(|one| one.queue == *queue);
            return Err(match role {
                Some(one) => format!("database {name} is {} for queue {queue}", one.role.as_str()),
                None => format!("database {name} is no provider of queue {queue}"),
            });
        }
    }
    if write {
        role::probe_write(&*session)
            .await
            .map_err(|error| refused(error.into()))?;
    }
    Ok(format!(
        "database {name} is written for queue {}",
        queues.join(", ")
    ))
}

async fn standby(config: &ReplayConfig, max_lag: Option<f64>, limit: Duration) -> Answer {
    let status = status::of_replay(config, &Asking::within(limit)).await;
    let answers = status.subscribers.iter().map(|one| one.keeps_up(max_lag));
    Ok(answers.collect::<Result<Vec<_>, _>>()?.join("; "))
}

async fn promotable(config: &ReplayConfig, max_lag: Option<f64>, limit: Duration) -> Answer {
    let asking = Asking::within(limit);
    let (status, promotable) = join(
        status::of_replay(config, &asking),
        Promotable::ask(config, &asking),
    )
    .await;
    let promotable = promotable?;
    let answers = status.subscribers.iter();
    let answers = answers.map(|standby| promotable.answer(standby, max_lag));
    Ok(answers.collect::<Result<Vec<_>, _>>()?.join("; "))
}
