//! One job of queue `documents`: how an attempt at it ended, and what becomes of the job and its document.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use apalis::prelude::*;
use futures_util::FutureExt;

use super::DocumentJob;
use super::attempt::{CurrentAttempt, release};
use super::context::Context;
use crate::database::{self, is_away};
use crate::documents::{self, JobLease};
use crate::pipeline::{JobError, Processed};
use crate::storage::StorageError;

/// Between two looks for a bucket that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What becomes of a job and its document.
#[derive(Debug)]
enum Disposition {
    Done(Processed),
    /// Another worker has the job: what apalis hears of it here does not count.
    Leave,
    /// The job goes back to the queue, and no attempt is counted.
    HandBack,
    /// The same once what is away answers. The job is kept meanwhile: other workers miss it too.
    HandBackAfter(Missing, anyhow::Error),
    /// Another attempt follows.
    Retry(JobError),
    /// The document fails, with a code and a sentence for its owner. apalis hears the error.
    Fail {
        code: &'static str,
        message: String,
        error: JobError,
    },
}

/// What every job needs, and does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Database,
    Bucket,
}

/// What is known of an attempt at its end, beside its outcome.
#[derive(Debug, Clone, Copy)]
struct Circumstances {
    /// From 1.
    attempt: usize,
    is_last: bool,
    /// The worker has been given up for dead.
    is_lost: bool,
    missing: Option<Missing>,
}

/// What the document is told.
#[derive(Clone, Copy)]
enum Note<'a> {
    /// It waits again.
    Released,
    Failed {
        code: &'a str,
        message: &'a str,
    },
}

pub(super) async fn handle(
    job: DocumentJob,
    context: Data<Context>,
    attempt: CurrentAttempt,
    task: TaskId,
) -> Result<Processed, BoxDynError> {
    let id = job.document_id;
    let lease = JobLease { job: task.to_string(), worker: context.run.name.clone(), last_attempt: attempt.is_last() };
    // apalis catches panics too, but leaves their jobs marked as running.
    let outcome = AssertUnwindSafe(context.pipeline.run(id, job.chunk, &lease, &context.run.stop)).catch_unwind().await;
    let outcome =
        outcome.unwrap_or_else(|_| Err(JobError::Transient(anyhow::anyhow!("a panic, which the log tells of"))));
    let missing = match &outcome {
        Err(JobError::Transient(error)) => find_missing(&context, error).await,
        _ => None,
    };
    let is_lost = context.run.lost.is_cancelled();
    let circumstances = Circumstances { attempt: attempt.number(), is_last: attempt.is_last(), is_lost, missing };
    let disposition = classify(outcome, circumstances);
    disposition.log(id, circumstances.attempt);
    apply(&context, &lease, id, &disposition).await?;
    context.recycling.count(context.pipeline.detector.hangs());
    disposition.report()
}

/// What an error, or else the bucket itself, says of what is away.
async fn find_missing(context: &Context, error: &anyhow::Error) -> Option<Missing> {
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_away)) {
        return Some(Missing::Database);
    }
    let told = error.chain().any(|cause| cause.downcast_ref().is_some_and(StorageError::is_away));
    (told || context.pipeline.storage.check().await.is_err()).then_some(Missing::Bucket)
}

/// Where the database or the bucket is away, it was no attempt at the document.
fn classify(outcome: Result<Processed, JobError>, circumstances: Circumstances) -> Disposition {
    let Circumstances { attempt, is_last, is_lost, missing } = circumstances;
    let error = match outcome {
        Ok(processed) => return Disposition::Done(processed),
        Err(_) if is_lost => return Disposition::Leave,
        Err(error) => error,
    };
    match (error, missing) {
        (JobError::Lost, _) => Disposition::Leave,
        (JobError::Stopped, _) => Disposition::HandBack,
        (JobError::Permanent { code, message }, _) => {
            let error = JobError::Permanent { code, message: message.clone() };
            Disposition::Fail { code, message, error }
        }
        (JobError::External { code, message }, _) if is_last => {
            let error = JobError::External { code, message: message.clone() };
            Disposition::Fail { code, message, error }
        }
        (JobError::Transient(error), Some(missing)) => Disposition::HandBackAfter(missing, error),
        (error @ JobError::Transient(_), None) if is_last => {
            let message = format!(
                "Processing failed {attempt} times for reasons outside the document; the workers' log has them."
            );
            Disposition::Fail { code: "gave_up", message, error }
        }
        (error, _) => Disposition::Retry(error),
    }
}

impl Disposition {
    fn log(&self, document: i64, attempt: usize) {
        match self {
            Self::Done(Processed { pages, detections, .. }) => tracing::info!(document, pages, detections, "job done"),
            Self::Leave => tracing::warn!(document, "left to another worker"),
            Self::HandBack => tracing::info!(document, "handed back"),
            Self::HandBackAfter(missing, error) => {
                let what = if *missing == Missing::Database { "database" } else { "bucket" };
                tracing::warn!(document, error = format!("{error:#}"), "the {what} does not answer; waiting for it");
            }
            Self::Retry(JobError::External { code, message })
            | Self::Fail { error: JobError::External { code, message }, .. } => {
                tracing::warn!(document, attempt, code, reason = message, "attempt failed");
            }
            Self::Retry(error) => {
                tracing::warn!(document, attempt, error = error.to_string(), "attempt failed, another will follow");
            }
            Self::Fail { error: error @ JobError::Transient(_), .. } => {
                tracing::error!(document, attempt, error = error.to_string(), "document given up");
            }
            Self::Fail { code, message, .. } => {
                tracing::warn!(document, code, reason = message, "document failed");
            }
        }
    }

    /// What apalis hears.
    fn report(self) -> Result<Processed, BoxDynError> {
        Err(match self {
            Self::Done(processed) => return Ok(processed),
            Self::Leave => DeferredError::new(JobError::Lost).into(),
            Self::HandBack | Self::HandBackAfter(..) => DeferredError::new(JobError::Stopped).into(),
            Self::Fail { error: error @ JobError::Permanent { .. }, .. } => AbortError::new(error).into(),
            Self::Retry(error) | Self::Fail { error, .. } => error.into(),
        })
    }
}

/// Waits for what is away, and writes what is to be noted of the document.
async fn apply(context: &Context, lease: &JobLease, id: i64, disposition: &Disposition) -> sqlx::Result<()> {
    match disposition {
        Disposition::Done(_) | Disposition::Leave => Ok(()),
        Disposition::HandBackAfter(Missing::Database, _) => {
            wait_for_database(context).await;
            write(context, lease, id, Note::Released).await
        }
        Disposition::HandBackAfter(Missing::Bucket, _) => {
            // A document that waits is shown as such.
            if let Err(error) = release(&context.pipeline.pool, id, &lease.job).await {
                tracing::debug!(document = id, %error, "not released yet");
            }
            wait_for_bucket(context).await;
            write(context, lease, id, Note::Released).await
        }
        Disposition::HandBack | Disposition::Retry(_) => write(context, lease, id, Note::Released).await,
        Disposition::Fail { code, message, .. } => write(context, lease, id, Note::Failed { code, message }).await,
    }
}

/// Writes what is to be noted, as soon as the database answers; a worker that is to stop leaves it to the next one.
async fn write(context: &Context, lease: &JobLease, id: i64, note: Note<'_>) -> sqlx::Result<()> {
    let pool = &context.pipeline.pool;
    loop {
        let written = match note {
            Note::Released => release(pool, id, &lease.job).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Circumstances = Circumstances { attempt: 1, is_last: false, is_lost: false, missing: None };
    const LAST: Circumstances = Circumstances { attempt: 5, is_last: true, is_lost: false, missing: None };
    const LOST: Circumstances = Circumstances { is_lost: true, ..FIRST };

    fn transient() -> Result<Processed, JobError> {
        Err(JobError::Transient(anyhow::anyhow!("the disk is full")))
    }

    fn external() -> Result<Processed, JobError> {
        Err(JobError::External { code: "fetch_failed", message: "The server says 503.".to_owned() })
    }

    fn permanent() -> Result<Processed, JobError> {
        Err(JobError::Permanent { code: "encrypted", message: "The file is encrypted.".to_owned() })
    }

    /// What apalis writes of it.
    fn told(disposition: Disposition) -> String {
        disposition.report().err().map_or_else(|| "Ok".to_owned(), |error| error.to_string())
    }

    fn failure(disposition: Disposition) -> (&'static str, String, String) {
        match disposition {
            Disposition::Fail { code, ref message, .. } => (code, message.clone(), told(disposition)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_went_well_is_done_whatever_else_is() {
        let processed = Processed { document_id: 1, pages: 2, detections: 3 };
        for circumstances in [FIRST, LAST, LOST] {
            assert_eq!(told(classify(Ok(processed), circumstances)), "Ok");
        }
    }

    #[test]
    fn what_is_anothers_is_left_alone() {
        for outcome in [transient(), external(), permanent(), Err(JobError::Stopped)] {
            assert!(matches!(classify(outcome, LOST), Disposition::Leave));
        }
        assert!(matches!(classify(Err(JobError::Lost), LAST), Disposition::Leave));
        assert_eq!(told(Disposition::Leave), "DeferredError: another worker has the job");
    }

    #[test]
    fn what_is_no_attempt_is_handed_back() {
        assert!(matches!(classify(Err(JobError::Stopped), LAST), Disposition::HandBack));
        assert_eq!(told(Disposition::HandBack), "DeferredError: stopped between pages");
        for missing in [Missing::Database, Missing::Bucket] {
            let circumstances = Circumstances { missing: Some(missing), ..LAST };
            let disposition = classify(transient(), circumstances);
            assert!(matches!(disposition, Disposition::HandBackAfter(what, _) if what == missing), "{disposition:?}");
            assert_eq!(told(disposition), "DeferredError: stopped between pages");
            assert!(matches!(
                classify(transient(), Circumstances { is_lost: true, ..circumstances }),
                Disposition::Leave
            ));
        }
    }

    #[test]
    fn a_fault_that_may_pass_is_tried_again_until_the_last_attempt() {
        for (outcome, error) in [(transient(), "the disk is full"), (external(), "The server says 503.")] {
            let disposition = classify(outcome, FIRST);
            assert!(matches!(disposition, Disposition::Retry(_)), "{disposition:?}");
            assert_eq!(told(disposition), error);
        }
        let (code, message, error) = failure(classify(transient(), LAST));
        assert_eq!((code, error.as_str()), ("gave_up", "the disk is full"));
        assert!(message.starts_with("Processing failed 5 times"), "{message}");
        let sentence = "The server says 503.".to_owned();
        assert_eq!(failure(classify(external(), LAST)), ("fetch_failed", sentence.clone(), sentence));
    }

    #[test]
    fn a_documents_own_fault_is_not_tried_again() {
        let (code, message, error) = failure(classify(permanent(), FIRST));
        assert_eq!((code, message.as_str()), ("encrypted", "The file is encrypted."));
        assert_eq!(error, "AbortError: The file is encrypted.");
    }
}
