//! Attempts at jobs: which one runs, and how those before it ended.

use std::convert::Infallible;

use apalis::prelude::*;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{PgPool, Postgres};
use time::OffsetDateTime;

/// How an attempt ended: the domain `attempt_outcome`, which `outcome_of_attempt` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    Done,
    /// There will be another.
    Failed,
    /// It was the last, or another would have ended the same way.
    GaveUp,
    /// It does not count: the worker was told to stop, or lost what it needs.
    HandedBack,
    WorkerDied,
}

impl AttemptOutcome {
    pub const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::GaveUp, Self::HandedBack, Self::WorkerDied];

    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::GaveUp => "gave up",
            Self::HandedBack => "handed back",
            Self::WorkerDied => "worker died",
        }
    }
}

impl sqlx::Type<Postgres> for AttemptOutcome {
    fn type_info() -> PgTypeInfo {
        <&str as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for AttemptOutcome {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let name = <&str as sqlx::Decode<Postgres>>::decode(value)?;
        let outcome = Self::ALL.into_iter().find(|outcome| outcome.name() == name);
        outcome.ok_or_else(|| format!("no outcome of an attempt: {name:?}").into())
    }
}

/// An attempt that is over.
#[derive(Debug)]
pub struct AttemptRow {
    pub started_at: Option<OffsetDateTime>,
    pub ended_at: OffsetDateTime,
    pub worker: Option<i32>,
    pub outcome: AttemptOutcome,
    pub error: Option<String>,
}

/// Attempts at a document that are over, in order.
pub async fn attempts(pool: &PgPool, document_id: i64) -> sqlx::Result<Vec<AttemptRow>> {
    sqlx::query_as!(
        AttemptRow,
        r#"select started_at, ended_at, worker_process_of(worker) as worker, outcome as "outcome: AttemptOutcome", error
           from job_attempts where document_id = $1 order by id"#,
        document_id
    )
    .fetch_all(pool)
    .await
}

/// Marks a document as waiting again, after a hand-back or before another attempt at this job, unless another job of it runs.
pub(super) async fn release(pool: &PgPool, document_id: i64, job: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'pending'
         where id = $1 and status = 'processing' and not exists (
             select 1 from document_jobs j where j.document_id = $1 and j.id <> $2 and j.status = 'Running')",
        document_id,
        job
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The attempt that a worker is at, of those that the job's row allows.
#[derive(Debug, Clone)]
pub(super) struct CurrentAttempt {
    attempt: Attempt,
    max_attempts: Option<usize>,
}

impl CurrentAttempt {
    /// From 1.
    pub fn number(&self) -> usize {
        self.attempt.current()
    }

    pub fn is_last(&self) -> bool {
        self.max_attempts.is_some_and(|most| self.number() >= most)
    }
}

impl<Args: Sync> FromRequest<Task<Args>> for CurrentAttempt {
    type Error = Infallible;

    async fn from_request(task: &Task<Args>) -> Result<Self, Infallible> {
        Ok(Self { attempt: task.raw_attempt().clone(), max_attempts: task.max_attempts() })
    }
}
