//! Logging to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// `RUST_LOG` chooses what is logged; by default docreader's own messages and others' warnings, but for those of actix-http, which
/// calls it an error when a client sends nonsense.
pub fn init() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,actix_http=off,docreader=info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}
