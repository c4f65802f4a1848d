//! Logs: human lines on standard error, `RUST_LOG` chooses what is told.

/// The server library tells of every worker; our own lines say what an operator needs.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// Starts logging. Never logged, at any level: a body, a number, a value bound to a query.
pub fn init_logs() {
    let from_environment = env_logger::Env::default().default_filter_or(DEFAULT_FILTER);
    // A second initialisation in one process (tests) changes nothing.
    let _ = env_logger::Builder::from_env(from_environment).try_init();
}
