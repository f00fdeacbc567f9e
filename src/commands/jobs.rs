use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use sqlx::{PgPool, Postgres, Transaction};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{audit, stop_on_signal, table};
use crate::accounts::Action;
use crate::config::{DatabaseArgs, KeepArgs};
use crate::documents::{self, Changed};
use crate::queue::{self, JobFilter};

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs and say why they wait
    List(ListArgs),
    /// Show a document's job and every attempt at it
    Show(DocumentArgs),
    /// Queue failed or canceled documents again; finished pages stay
    Retry(DocumentsArgs),
    /// Take waiting documents out of the queue, stop running ones at their next page
    Cancel(DocumentsArgs),
    /// Let workers take nothing more; what runs, runs on
    Pause(QueueArgs),
    /// Let workers take jobs again
    Resume(QueueArgs),
    /// Remove jobs that ended long ago, as workers do by themselves
    Prune(PruneArgs),
    /// List worker processes: those that live, and those that ended in the last day
    Workers(DatabaseArgs),
    /// Show queue and workers, again every second, until Ctrl-C
    Watch(DatabaseArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[arg(long, value_enum, default_value = "live")]
    state: JobFilter,
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: i64,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct DocumentArgs {
    /// The document's id
    document: i64,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct DocumentsArgs {
    /// The documents' ids
    #[arg(required = true)]
    documents: Vec<i64>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QueueName {
    Documents,
    Webhooks,
}

#[derive(Debug, Args)]
pub struct QueueArgs {
    #[arg(value_enum, default_value = "documents")]
    queue: QueueName,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct PruneArgs {
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(command: JobsCommand) -> anyhow::Result<()> {
    match command {
        JobsCommand::List(args) => {
            print!("{}", jobs(&args.database.connect().await?, args.state, None, args.limit).await?);
        }
        JobsCommand::Show(args) => show(&args.database.connect().await?, args.document).await?,
        JobsCommand::Retry(args) => {
            let pool = args.database.connect().await?;
            for id in args.documents {
                let mut tx = documents::begin(&pool).await?;
                let changed = documents::retry(&mut tx, id).await?;
                conclude(tx, Action::RetryDocument, id, changed, "queued again").await?;
            }
        }
        JobsCommand::Cancel(args) => {
            let pool = args.database.connect().await?;
            for id in args.documents {
                let mut tx = documents::begin(&pool).await?;
                let changed = documents::cancel(&mut tx, id).await?;
                conclude(tx, Action::CancelDocument, id, changed, "canceled").await?;
            }
        }
        JobsCommand::Pause(args) => {
            let mut tx = documents::begin(&args.database.connect().await?).await?;
            let changed = queue::pause(&mut tx, name(args.queue)).await?;
            if changed {
                audit(&mut tx, Action::PauseQueue, None, name(args.queue)).await?;
                tx.commit().await?;
            }
            println!("{} {}", name(args.queue), if changed { "paused" } else { "was paused already" });
        }
        JobsCommand::Resume(args) => {
            let mut tx = documents::begin(&args.database.connect().await?).await?;
            let changed = queue::resume(&mut tx, name(args.queue)).await?;
            if changed {
                audit(&mut tx, Action::ResumeQueue, None, name(args.queue)).await?;
                tx.commit().await?;
            }
            println!("{} {}", name(args.queue), if changed { "resumed" } else { "was not paused" });
        }
        JobsCommand::Prune(args) => {
            let pool = args.database.connect().await?;
            let removed = queue::prune(&pool, args.keep.keep()).await?;
            audit(&mut *pool.acquire().await?, Action::PruneJobs, None, &format!("{removed} jobs")).await?;
            println!("{removed} jobs removed");
        }
        JobsCommand::Workers(database) => print!("{}", workers(&database.connect().await?).await?),
        JobsCommand::Watch(database) => watch(&database.connect().await?).await?,
    }
    Ok(())
}

fn name(queue: QueueName) -> &'static str {
    match queue {
        QueueName::Documents => "documents",
        QueueName::Webhooks => "webhooks",
    }
}

async fn conclude(
    mut tx: Transaction<'_, Postgres>,
    action: Action,
    id: i64,
    changed: Changed,
    done: &str,
) -> anyhow::Result<()> {
    match changed {
        Changed::Yes => {
            audit(&mut tx, action, Some(id), "").await?;
            tx.commit().await?;
            println!("document {id} {done}");
        }
        Changed::NoSuchDocument => bail!("there is no document {id}"),
        Changed::Refused(status) => bail!("document {id} is {} and cannot be {done}", status.name()),
    }
    Ok(())
}

async fn show(pool: &PgPool, id: i64) -> anyhow::Result<()> {
    let Some(document) = documents::get(pool, id).await? else { bail!("there is no document {id}") };
    println!("document {id}: {} ({})", document.title, document.status.name());
    if let Some(error) = document.error {
        println!("{error}");
    }
    print!("\n{}", jobs(pool, JobFilter::All, Some(id), 100).await?);
    let rows: Vec<_> = (queue::attempts(pool, id).await?.into_iter())
        .map(|a| {
            let took = a.started_at.map(|s| seconds((a.ended_at - s).as_seconds_f64())).unwrap_or_default();
            vec![
                clock(a.started_at),
                took,
                number(a.worker),
                a.outcome.name().to_owned(),
                cut(a.error.unwrap_or_default(), 80),
            ]
        })
        .collect();
    print!("\n{}", table::format(&["started", "took", "worker", "outcome", "error"], &rows));
    Ok(())
}

async fn jobs(pool: &PgPool, which: JobFilter, document: Option<i64>, limit: i64) -> anyhow::Result<String> {
    let rows: Vec<_> = (queue::jobs(pool, which, document, limit).await?.into_iter())
        .map(|j| {
            vec![
                j.document_id.map(|id| id.to_string()).unwrap_or_default(),
                cut(j.title.unwrap_or_default(), 32),
                j.queue,
                j.state,
                j.pages.unwrap_or_default(),
                j.attempts.to_string(),
                number(j.worker),
                j.seconds.map(seconds).unwrap_or_default(),
                cut(j.error.unwrap_or_default(), 60),
            ]
        })
        .collect();
    Ok(table::format(
        &["document", "title", "queue", "state", "pages", "attempts", "worker", "for", "last error"],
        &rows,
    ))
}

async fn workers(pool: &PgPool) -> anyhow::Result<String> {
    let rows: Vec<_> = (queue::workers(pool).await?.into_iter())
        .map(|w| {
            let since = clock(Some(w.started_at));
            vec![
                w.id.to_string(),
                w.host,
                w.pid.to_string(),
                w.model,
                w.state,
                w.jobs.to_string(),
                seconds(w.silent_seconds),
                since,
            ]
        })
        .collect();
    Ok(table::format(&["worker", "host", "pid", "model", "state", "jobs", "silent for", "started"], &rows))
}

async fn watch(pool: &PgPool) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    loop {
        let health = queue::health(pool).await?;
        let wait = health.oldest_wait_seconds.map(|s| format!(", the longest for {}", seconds(s))).unwrap_or_default();
        let text = format!(
            "{}  {} running, {} ready{wait}, {} scheduled, {} webhooks\n\n{}\n{}",
            clock(Some(OffsetDateTime::now_utc())),
            health.running,
            health.ready,
            health.scheduled,
            health.webhooks,
            workers(pool).await?,
            jobs(pool, JobFilter::Live, None, 30).await?
        );
        let mut out = std::io::stdout().lock();
        if out.is_terminal() {
            // Home, and nothing left of the last picture.
            write!(out, "\x1b[H\x1b[2J")?;
        }
        writeln!(out, "{text}")?;
        drop(out);
        if tokio::time::timeout(Duration::from_secs(1), stop.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn clock(time: Option<OffsetDateTime>) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    time.and_then(|t| t.format(&format).ok()).unwrap_or_default()
}

fn number(number: Option<i32>) -> String {
    number.map(|n| n.to_string()).unwrap_or_default()
}

/// The first line, no longer than `chars`.
fn cut(text: String, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars {
        line.to_owned()
    } else {
        line.chars().take(chars - 1).collect::<String>() + "…"
    }
}
