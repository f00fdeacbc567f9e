//! Shows that this process lives: a row of `worker_processes`, an advisory lock that goes with the process, and a word every few
//! seconds, all on a thread and a connection of their own, so that nothing a job does delays them. The word names the apalis workers
//! that this process has; jobs of those that have ended go back to the queue with it, as soon as the database answers. The connection
//! also hears of new jobs.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Acquire, Connection, PgExecutor};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wakes::Wakes;
use crate::database::{self, in_time};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
const RECONNECT_DELAY: Duration = Duration::from_millis(500);
/// For PostgreSQL to end our lost connection, which has our lock.
const GHOST: Duration = Duration::from_secs(3);

/// Names of apalis workers.
type Workers = BTreeSet<String>;

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
    /// Those that there are, and those that the database knows of.
    workers: watch::Sender<Workers>,
    known: watch::Receiver<Workers>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An apalis worker that may take jobs while this lives.
pub struct Registered<'a> {
    presence: &'a Presence,
    name: String,
}

/// The thread's end.
struct Words {
    options: PgConnectOptions,
    wakes: Wakes,
    model: String,
    identity: watch::Sender<Option<Identity>>,
    workers: watch::Receiver<Workers>,
    known: watch::Sender<Workers>,
}

impl Presence {
    pub fn start(options: PgConnectOptions, model: String, wakes: Wakes) -> anyhow::Result<Self> {
        let (identity_sender, identity) = watch::channel(None);
        let (workers, workers_receiver) = watch::channel(Workers::new());
        let (known_sender, known) = watch::channel(Workers::new());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut words = Words {
            options: options.application_name("docreader worker presence"),
            wakes,
            model,
            identity: identity_sender,
            workers: workers_receiver,
            known: known_sender,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("presence".to_owned());
        let thread = thread.spawn(move || runtime.block_on(words.keep(&stopped))).context("a thread")?;
        Ok(Self { identity, workers, known, stop, thread: Some(thread) })
    }

    /// Waits until this process is known.
    pub async fn identity(&self) -> Option<Identity> {
        let mut identity = self.identity.clone();
        let known = identity.wait_for(|i| i.as_ref().is_some_and(|i| !i.lost.is_cancelled())).await;
        known.ok().and_then(|i| i.clone())
    }

    /// Waits until the database knows of an apalis worker; `None` if the identity that it is named after is lost meanwhile.
    pub async fn register(&self, name: &str, identity: &Identity) -> Option<Registered<'_>> {
        let registered = Registered { presence: self, name: name.to_owned() };
        self.workers.send_if_modified(|workers| workers.insert(name.to_owned()));
        let mut known = self.known.clone();
        let known = identity.lost.run_until_cancelled(known.wait_for(|known| known.contains(name))).await;
        known.and_then(Result::ok).map(|_| registered)
    }

    /// Signs off.
    pub fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.presence.workers.send_if_modified(|workers| workers.remove(&self.name));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

impl Words {
    /// Stays present until told to stop. A lost connection is opened again, under the same id if nobody has noticed.
    async fn keep(&mut self, stop: &CancellationToken) {
        let mut told = false;
        while !stop.is_cancelled() {
            let ended = stop.run_until_cancelled(self.stay(&mut told)).await;
            if let Some(Err(error)) = ended
                && !told
            {
                tracing::warn!(%error, "the database does not know that this worker lives; trying again");
                told = true;
            }
            if self.identity.borrow().is_some() && stop.is_cancelled() {
                let signed_off = tokio::time::timeout(HEARTBEAT_INTERVAL, self.sign_off()).await;
                if !matches!(signed_off, Ok(Ok(()))) {
                    tracing::debug!("this worker could not sign off");
                }
            }
            let _ = tokio::time::timeout(RECONNECT_DELAY, stop.cancelled()).await;
        }
    }

    /// Holds the lock and says so, until something goes wrong.
    async fn stay(&mut self, told: &mut bool) -> sqlx::Result<Infallible> {
        let mut connection = database::listener(&self.options, Wakes::CHANNEL, HEARTBEAT_TIMEOUT).await?;
        let mut known = match self.id() {
            Some(id) => in_time(HEARTBEAT_TIMEOUT, lock_again(&mut connection, id)).await?,
            None => false,
        };
        self.wakes.wake(None);
        loop {
            if let Some(id) = self.id().filter(|_| known) {
                known = self.say_word(&mut connection, id).await?;
            }
            if !known {
                self.sign_on(&mut connection).await?;
                known = true;
                continue;
            }
            if std::mem::take(told) {
                tracing::info!("the database knows again that this worker lives");
            }
            self.rest(&mut connection).await?;
        }
    }

    /// Until the next word is due: the last is a while ago, or there is news.
    async fn rest(&mut self, connection: &mut PgListener) -> sqlx::Result<()> {
        let until = Instant::now() + HEARTBEAT_INTERVAL;
        loop {
            tokio::select! {
                _ = self.workers.changed() => return Ok(()),
                heard = database::next(connection) => self.wakes.wake(Some(heard?.payload())),
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    fn id(&self) -> Option<i32> {
        self.identity.borrow().as_ref().map(|i| i.id)
    }

    /// `false` if this process has been given up.
    async fn say_word(&mut self, connection: &mut PgListener, id: i32) -> sqlx::Result<bool> {
        let (prefix, workers) = (format!("{id}:"), self.workers.borrow_and_update().clone());
        let own: Vec<String> = workers.iter().filter(|name| name.starts_with(&prefix)).cloned().collect();
        // On a line that is cut nothing fails by itself.
        let alive = in_time(HEARTBEAT_TIMEOUT, say_word(connection, id, &own)).await?;
        if alive {
            self.known.send_replace(workers);
        }
        Ok(alive)
    }

    /// Goes on under a new id; the jobs of an earlier one are somebody else's. Others see the row only once its lock is held.
    async fn sign_on(&mut self, connection: &mut PgListener) -> sqlx::Result<()> {
        let earlier = self.identity.borrow().clone();
        if let Some(earlier) = &earlier {
            tracing::warn!(worker = earlier.id, "this worker was given up for dead; going on as another");
            earlier.lost.cancel();
        }
        let signing = insert(connection, &self.model, earlier.map(|i| i.id));
        let id = in_time(HEARTBEAT_TIMEOUT, signing).await?;
        self.identity.send_replace(Some(Identity { id, lost: CancellationToken::new() }));
        Ok(())
    }

    /// What was fetched and not begun goes back to the queue at once: there may be nobody who looks.
    async fn sign_off(&self) -> sqlx::Result<()> {
        let mut connection = database::connect(&self.options).await?;
        if let Some(id) = self.id() {
            say_word(&mut connection, id, &[]).await?;
        }
        end(&mut connection, self.id(), "stopped").await?;
        connection.close().await
    }
}

/// Takes the lock of an earlier connection over. PostgreSQL may not have noticed yet that that one is lost, and is told.
async fn lock_again(connection: &mut PgListener, id: i32) -> sqlx::Result<bool> {
    let started = Instant::now();
    while !lock(&mut *connection, id).await? {
        if started.elapsed() > GHOST {
            return Ok(false);
        }
        sqlx::query!(
            "select pg_terminate_backend(l.pid) from pg_locks l
             where l.locktype = 'advisory' and l.classid = docreader_lock_class()::oid and l.objid = $1 and l.objsubid = 2 and l.granted
                 and l.database = (select oid from pg_database where datname = current_database())",
            sqlx::postgres::types::Oid(id.unsigned_abs()) as _
        )
        .fetch_all(&mut *connection)
        .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
}

async fn lock(connection: impl PgExecutor<'_>, id: i32) -> sqlx::Result<bool> {
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock(docreader_lock_class(), $1) as "locked!""#, id);
    locked.fetch_one(connection).await
}

/// Names the apalis workers that this process has; `false` if it has been given up.
async fn say_word(connection: impl PgExecutor<'_>, id: i32, workers: &[String]) -> sqlx::Result<bool> {
    let word = sqlx::query_scalar!(r#"select say_word($1, $2, $3) as "alive!""#, id, workers, resident_mb());
    word.fetch_one(connection).await
}

/// Of this process, in MB, for people; `None` where the system does not tell.
fn resident_mb() -> Option<i32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<i32>().ok()? / 1000)
}

/// A new row, whose lock is held, in the place of an earlier one.
async fn insert(connection: &mut PgListener, model: &str, earlier: Option<i32>) -> sqlx::Result<i32> {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let mut tx = connection.begin().await?;
    end(&mut *tx, earlier, "replaced").await?;
    let id = sqlx::query_scalar!(
        "insert into worker_processes (host, pid, model, workers) values ($1, $2, $3, '{}') returning id",
        host,
        std::process::id() as i32,
        model
    )
    .fetch_one(&mut *tx)
    .await?;
    lock(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(id)
}

async fn end(connection: impl PgExecutor<'_>, id: Option<i32>, reason: &str) -> sqlx::Result<()> {
    let ended = sqlx::query!(
        "update worker_processes set ended_at = now(), end_reason = $2 where id = $1 and ended_at is null",
        id,
        reason
    );
    ended.execute(connection).await.map(drop)
}
