//! One job of queue `documents`: what is said of it, to its document and to apalis.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use apalis::prelude::*;
use futures_util::FutureExt;

use super::DocumentJob;
use super::context::Context;
use crate::database::{self, is_away};
use crate::documents::{self, JobLease};
use crate::pipeline::{JobError, Processed};
use crate::storage::StorageError;

/// Between two looks for a bucket that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What the document is told.
enum Note {
    Nothing,
    /// It waits again.
    Released,
    Failed {
        code: &'static str,
        message: String,
    },
}

/// How an attempt ends: what is noted, and what apalis hears.
type Verdict = (Note, Result<Processed, BoxDynError>);

pub(super) async fn handle(
    job: DocumentJob,
    context: Data<Context>,
    attempt: Attempt,
    task: TaskId,
) -> Result<Processed, BoxDynError> {
    let id = job.document_id;
    let last_attempt = attempt.current() >= DocumentJob::MAX_ATTEMPTS;
    let hold = JobLease { job: task.to_string(), worker: context.run.name.clone(), last_attempt };
    // apalis catches panics too, but leaves their jobs marked as running.
    let outcome = AssertUnwindSafe(context.pipeline.run(id, job.chunk, &hold, &context.run.stop)).catch_unwind().await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(JobError::Transient(anyhow::anyhow!("a panic, which the log tells of"))));
    let (note, result) = match outcome {
        Err(JobError::Transient(error)) => surroundings_failed(&context, &hold, id, attempt.current(), error).await,
        outcome => judge(&context, id, attempt.current(), outcome),
    };
    write(&context, &hold, id, note).await?;
    context.recycling.count(context.pipeline.detector.hangs());
    result
}

fn judge(context: &Context, id: i64, attempt: usize, outcome: Result<Processed, JobError>) -> Verdict {
    match outcome {
        Ok(processed) => {
            tracing::info!(document = id, pages = processed.pages, detections = processed.detections, "job done");
            (Note::Nothing, Ok(processed))
        }
        Err(_) if context.run.lost.is_cancelled() => leave(id),
        Err(JobError::Lost) => leave(id),
        Err(JobError::Stopped) => {
            tracing::info!(document = id, "handed back");
            (Note::Released, Err(DeferredError::new(JobError::Stopped).into()))
        }
        Err(JobError::Permanent { code, message }) => {
            tracing::warn!(document = id, code, reason = message, "document failed");
            let told = AbortError::new(JobError::Permanent { code, message: message.clone() });
            (Note::Failed { code, message }, Err(told.into()))
        }
        Err(JobError::External { code, message }) => {
            tracing::warn!(document = id, attempt, code, reason = message, "attempt failed");
            let note = match attempt >= DocumentJob::MAX_ATTEMPTS {
                true => Note::Failed { code, message: message.clone() },
                false => Note::Released,
            };
            (note, Err(JobError::External { code, message }.into()))
        }
        Err(JobError::Transient(error)) if attempt >= DocumentJob::MAX_ATTEMPTS => {
            tracing::error!(document = id, attempt, error = format!("{error:#}"), "document given up");
            let message = format!(
                "Processing failed {attempt} times for reasons outside the document; the workers' log has them."
            );
            (Note::Failed { code: "gave_up", message }, Err(JobError::Transient(error).into()))
        }
        Err(JobError::Transient(error)) => {
            tracing::warn!(document = id, attempt, error = format!("{error:#}"), "attempt failed, another will follow");
            (Note::Released, Err(JobError::Transient(error).into()))
        }
    }
}

/// Where the database or the bucket is away, it was no attempt at the document. The job is kept meanwhile: others would fare no better
/// with it.
async fn surroundings_failed(
    context: &Context,
    hold: &JobLease,
    id: i64,
    attempt: usize,
    error: anyhow::Error,
) -> Verdict {
    let database = error.chain().any(|cause| cause.downcast_ref().is_some_and(is_away));
    let bucket = error.chain().any(|cause| cause.downcast_ref().is_some_and(StorageError::is_away));
    let away = database || bucket || context.pipeline.storage.check().await.is_err();
    if context.run.lost.is_cancelled() || !away {
        return judge(context, id, attempt, Err(JobError::Transient(error)));
    }
    let what = if database { "database" } else { "bucket" };
    tracing::warn!(document = id, error = format!("{error:#}"), "the {what} does not answer; waiting for it");
    if database {
        wait_for_database(context).await;
    } else {
        // A document that waits is shown as such.
        if let Err(error) = documents::release(&context.pipeline.pool, id, &hold.job).await {
            tracing::debug!(document = id, %error, "not released yet");
        }
        wait_for_bucket(context).await;
    }
    (Note::Released, Err(DeferredError::new(JobError::Stopped).into()))
}

/// Writes what is to be noted, as soon as the database answers; a worker that is to stop leaves it to the next one.
async fn write(context: &Context, hold: &JobLease, id: i64, note: Note) -> sqlx::Result<()> {
    let pool = &context.pipeline.pool;
    loop {
        let written = match &note {
            Note::Nothing => return Ok(()),
            Note::Released => documents::release(pool, id, &hold.job).await,
            Note::Failed { code, message } => documents::fail(pool, id, code, message).await,
        };
        match written {
            Err(error) if is_away(&error) && !context.run.stop.is_cancelled() => wait_for_database(context).await,
            written => return written,
        }
    }
}

async fn wait_for_database(context: &Context) {
    let answers = context.run.stop.run_until_cancelled(database::wait_for(&context.pipeline.pool)).await;
    if answers.is_some() {
        tracing::info!("the database answers again");
    }
}

async fn wait_for_bucket(context: &Context) {
    let mut pause = Duration::from_secs(1);
    while context.pipeline.storage.check().await.is_err() {
        if context.run.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    tracing::info!("the bucket answers again");
}

/// What becomes of the job and its document is another worker's business now; what apalis says of it does not count.
fn leave(document: i64) -> Verdict {
    tracing::warn!(document, "left to another worker");
    (Note::Nothing, Err(DeferredError::new(JobError::Lost).into()))
}
