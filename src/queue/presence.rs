//! Shows that this process lives: a row of `worker_processes`, an advisory lock that goes with the process, and a word every few
//! seconds, all on a thread and a connection of their own, so that nothing a job does delays them.

use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// As in `reap_workers`.
const LOCK_CLASS: i32 = 1_685_283_428;
const WORD: Duration = Duration::from_secs(2);
const CUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// What this process is known as, until `lost` is cancelled.
#[derive(Debug, Clone)]
pub struct Identity {
    pub id: i32,
    /// It has been given up for dead: its jobs are somebody else's.
    pub lost: CancellationToken,
}

/// The thread's other end.
pub struct Presence {
    identity: watch::Receiver<Option<Identity>>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Presence {
    pub fn start(options: PgConnectOptions, model: String) -> anyhow::Result<Self> {
        let (sender, identity) = watch::channel(None);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("presence".to_owned()).spawn(move || {
            runtime.block_on(keep(options.application_name("docreader worker presence"), &model, &sender, &stopped));
        });
        Ok(Self { identity, stop, thread: Some(thread.context("a thread")?) })
    }

    /// Waits until this process is known.
    pub async fn identity(&self) -> Option<Identity> {
        let mut identity = self.identity.clone();
        let known = identity.wait_for(|i| i.as_ref().is_some_and(|i| !i.lost.is_cancelled())).await;
        known.ok().and_then(|i| i.clone())
    }

    /// Signs off.
    pub fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

/// Stays present until told to stop. A lost connection is opened again, under the same id if nobody has noticed.
async fn keep(
    options: PgConnectOptions,
    model: &str,
    identity: &watch::Sender<Option<Identity>>,
    stop: &CancellationToken,
) {
    let mut told = false;
    while !stop.is_cancelled() {
        let ended = stop.run_until_cancelled(stay(&options, model, identity)).await;
        if let Some(Err(error)) = ended
            && !told
        {
            tracing::warn!(%error, "the database does not know that this worker lives; trying again");
            told = true;
        }
        if identity.borrow().is_some() && stop.is_cancelled() {
            let signed_off = tokio::time::timeout(WORD, sign_off(&options, identity)).await;
            if !matches!(signed_off, Ok(Ok(()))) {
                tracing::debug!("this worker could not sign off");
            }
        }
        let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
    }
}

/// Holds the lock and says so, until something goes wrong.
async fn stay(options: &PgConnectOptions, model: &str, identity: &watch::Sender<Option<Identity>>) -> sqlx::Result<()> {
    let mut connection = options.connect().await?;
    let earlier = identity.borrow().as_ref().map(|i| i.id);
    if let Some(id) = earlier {
        lock(&mut connection, id).await?;
    }
    loop {
        let known = match identity.borrow().as_ref().map(|i| i.id) {
            // On a line that is cut nothing fails by itself.
            Some(id) => tokio::time::timeout(CUT, say_word(&mut connection, id))
                .await
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??,
            None => false,
        };
        if !known {
            if let Some(lost) = identity.borrow().as_ref() {
                tracing::warn!(worker = lost.id, "this worker was given up for dead; going on as another");
                lost.lost.cancel();
            }
            let id = sign_on(&mut connection, model).await?;
            identity.send_replace(Some(Identity { id, lost: CancellationToken::new() }));
        }
        tokio::time::sleep(WORD).await;
    }
}

async fn lock(connection: &mut PgConnection, id: i32) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_lock($1::int, $2::int)", LOCK_CLASS, id).execute(connection).await?;
    Ok(())
}

/// `false` if this process has been given up.
async fn say_word(connection: &mut PgConnection, id: i32) -> sqlx::Result<bool> {
    let said = sqlx::query!("update worker_processes set seen_at = now() where id = $1 and ended_at is null", id);
    Ok(said.execute(connection).await?.rows_affected() == 1)
}

/// The row is seen by others only once its lock is held.
async fn sign_on(connection: &mut PgConnection, model: &str) -> sqlx::Result<i32> {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let mut tx = connection.begin().await?;
    let id = sqlx::query_scalar!(
        "insert into worker_processes (host, pid, model) values ($1, $2, $3) returning id",
        host,
        std::process::id() as i32,
        model
    )
    .fetch_one(&mut *tx)
    .await?;
    lock(&mut tx, id).await?;
    tx.commit().await?;
    Ok(id)
}

async fn sign_off(options: &PgConnectOptions, identity: &watch::Sender<Option<Identity>>) -> sqlx::Result<()> {
    let id = identity.borrow().as_ref().map(|i| i.id);
    let mut connection = options.connect().await?;
    sqlx::query!(
        "update worker_processes set ended_at = now(), end_reason = 'stopped' where id = $1 and ended_at is null",
        id
    )
    .execute(&mut connection)
    .await?;
    connection.close().await
}
