//! The worker of queue `webhooks`. A poll is enough for it: nobody waits for a webhook to the millisecond.

use std::sync::Arc;

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use sqlx::PgPool;

use super::WebhookJob;
use super::attempt::CurrentAttempt;
use super::backend::{POLL, config};
use super::supervisor::Run;
use crate::pipeline::{Courier, JobError};

/// Receivers may be slow, which must not keep others waiting. As many are fetched at once: with one at a time, fetching would take far longer
/// than sending.
const AT_A_TIME: usize = 100;

pub(super) async fn run(pool: &PgPool, run: Run, courier: Arc<Courier>) -> Result<(), WorkerError> {
    let backend = PostgresStorage::<WebhookJob>::new(pool)
        .with_config(config(WebhookJob::QUEUE).batch_size(AT_A_TIME))
        .poll_with_interval(POLL);
    WorkerBuilder::new(run.name)
        .backend(backend)
        .data(courier)
        .concurrency(AT_A_TIME)
        .catch_panic()
        .build(handle)
        .run_until(async move {
            run.stop.cancelled().await;
            Ok::<_, WorkerError>(())
        })
        .await
}

async fn handle(job: WebhookJob, courier: Data<Arc<Courier>>, attempt: CurrentAttempt) -> Result<(), BoxDynError> {
    let delivery = job.delivery_id;
    match courier.deliver(delivery, attempt.is_last()).await {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::warn!(delivery, attempt = attempt.number(), reason = %error, "webhook not delivered");
            Err(match error {
                JobError::Permanent { .. } => AbortError::new(error).into(),
                error => error.into(),
            })
        }
    }
}
