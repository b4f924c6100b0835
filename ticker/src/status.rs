//! `ticker status`: this ticker's part of `trunkline status`, with an exit code that tells whether the daemon runs.

use admin::config::TickerConfig;
use admin::exit::{Exit, Failure};
use admin::output;
use admin::status::{self, Asking, Overview, PATIENCE};

/// Prints the state. [`Exit::Failed`] if a database could not be asked, [`Exit::Running`] if the daemon does not run.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) async fn run(config: &TickerConfig, json: bool) -> Result<Exit, Failure> {
    let ticker = status::of_ticker(config, &Asking::within(PATIENCE)).await;
    let exit = ticker.exit_code();
    if json {
        output::print_json(&ticker)?;
    } else {
        output::print(&status::draw(&Overview {
            tickers: vec![ticker],
            replays: Vec::new(),
        }))?;
    }
    Ok(exit)
}
