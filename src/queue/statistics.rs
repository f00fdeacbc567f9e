//! How the queue fared, hour by hour.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;

use super::interval;

/// What happened in an hour.
#[derive(Debug, Clone)]
pub struct HourRow {
    pub begins_at: OffsetDateTime,
    pub pages: i64,
    /// Attempts that failed, or whose worker died.
    pub failed: i64,
    /// Seconds that half of the attempts that succeeded took at most, and 95 of 100.
    pub p50: Option<f64>,
    pub p95: Option<f64>,
}

/// The last 24 hours, oldest first, this one included.
pub async fn hours(pool: &PgPool) -> sqlx::Result<Vec<HourRow>> {
    sqlx::query_as!(
        HourRow,
        r#"with hours as (
               select generate_series(date_trunc('hour', now()) - interval '23 hours', date_trunc('hour', now()), interval '1 hour') as hour
           ), pages as (
               select date_trunc('hour', created_at) as hour, count(*) as pages from document_events
               where kind = 'page' and kind in ('queued', 'started', 'page') and created_at >= date_trunc('hour', now()) - interval '23 hours'
               group by 1
           ), attempts as (
               select date_trunc('hour', ended_at) as hour,
                   count(*) filter (where outcome in ('failed', 'gave up', 'worker died')) as failed,
                   percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from ended_at - started_at))
                       filter (where outcome = 'done' and started_at is not null) as took
               from job_attempts where ended_at >= date_trunc('hour', now()) - interval '23 hours' and queue like 'documents%'
               group by 1
           )
           select hour as "begins_at!", coalesce(pages, 0) as "pages!", coalesce(failed, 0) as "failed!", took[1] as p50, took[2] as p95
           from hours left join pages using (hour) left join attempts using (hour) order by hour"#
    )
    .fetch_all(pool)
    .await
}

/// Pages that were finished lately.
pub async fn pages_since(pool: &PgPool, last: Duration) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "pages!" from document_events
           where kind = 'page' and kind in ('queued', 'started', 'page') and created_at > now() - $1::interval"#,
        interval(last)
    )
    .fetch_one(pool)
    .await
}
