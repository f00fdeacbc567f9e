//! How a job ends when it does not end well.

use tokio_util::sync::CancellationToken;

use crate::render::RenderError;

/// How a job ends when it does not end well.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The worker was asked to stop; another goes on after the last finished page.
    #[error("stopped between pages")]
    Stopped,
    /// The worker was taken for dead and another has the job.
    #[error("another worker has the job")]
    Lost,
    /// The document's own fault, in a sentence for its owner; another attempt would end the same way.
    #[error("{message}")]
    Permanent { code: &'static str, message: String },
    /// The fault of a server that a client named, or of a slow machine: worth another attempt, and if that was the last, the
    /// document's owner is told why.
    #[error("{message}")]
    External { code: &'static str, message: String },
    /// The surroundings' fault: worth another attempt.
    #[error("{0:#}")]
    Transient(#[from] anyhow::Error),
}

pub(super) fn transient(error: impl Into<anyhow::Error>) -> JobError {
    JobError::Transient(error.into())
}

/// While we are being stopped, a child that ended proves nothing.
pub(super) fn render_error(error: RenderError, stop: &CancellationToken) -> JobError {
    match error.is_permanent() {
        _ if stop.is_cancelled() => JobError::Stopped,
        true => JobError::Permanent { code: error.code(), message: error.to_string() },
        false => transient(error),
    }
}
