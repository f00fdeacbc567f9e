use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::greeting::{self, Greeting, NewAdmin};
use super::stop_on_signal;
use crate::embedded::{Postgres, S3Server, die_with_parent};
use crate::queue;
use crate::storage::{Storage, StorageSettings};

const BUCKET: &str = "docreader";
const REGION: &str = "us-east-1";

#[derive(Debug, Args)]
#[command(
    after_help = "Settings of the server and the worker (MODEL_PATH, SCORE_THRESHOLD, RENDER_ZOOM, …) are taken from the environment \
                  and .env; see `app serve --help` and `app work --help`."
)]
pub struct UpArgs {
    /// Folder for the database and the objects
    #[arg(long, env, default_value = "data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Port of the REST API
    #[arg(long, env, default_value_t = 8000)]
    port: u16,
    /// Address of the REST API; 0.0.0.0 opens it to the network
    #[arg(long, env, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// Port of the embedded S3 server, on loopback only
    #[arg(long, env, default_value_t = 8001)]
    s3_port: u16,
    /// Worker processes
    #[arg(long, env, default_value_t = 1, value_name = "N")]
    workers: usize,
}

/// Runs PostgreSQL, S3, the server and the workers until it is told to stop.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    std::fs::create_dir_all(&args.data_dir).with_context(|| format!("DATA_DIR={}", args.data_dir.display()))?;
    let folder = args.data_dir.canonicalize()?;
    let _lock = lock(&folder)?;
    let mut postgres = Postgres::start(&folder.join("pg")).await.context("embedded PostgreSQL")?;
    tracing::info!("database: {}", postgres.url());
    let result = async {
        let admin = migrate(&postgres.url()).await?;
        let greeting = Arc::new(Greeting::new(admin));
        let (access_key, secret_key) = credentials(&folder.join("s3-credentials"))?;
        let s3 = S3Server::start(&folder.join("s3"), args.s3_port, &access_key, &secret_key).await?;
        create_bucket(&s3.endpoint(), &access_key, &secret_key).await?;
        tracing::info!("objects: {}/{BUCKET} (keys in {})", s3.endpoint(), folder.join("s3-credentials").display());
        let mut settings = vec![
            ("DATABASE_URL", postgres.url()),
            ("AWS_ACCESS_KEY_ID", access_key),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
            ("AWS_STORAGE_BUCKET_NAME", BUCKET.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_S3_ENDPOINT_URL", s3.endpoint()),
            ("PORT", args.port.to_string()),
            ("HOST", args.host.clone()),
        ];
        // So that one port is all that clients need.
        if std::env::var_os("MEDIA").is_none() {
            settings.push(("MEDIA", "proxy".to_owned()));
        }
        if std::env::var_os("WEBHOOK_SECRET").is_none() {
            let key = || {
                format!("whsec_{}", STANDARD.encode([*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()))
            };
            let path = folder.join("webhook-secret");
            settings.push(("WEBHOOK_SECRET", secret(&path, key)?.trim().to_owned()));
            tracing::info!("webhooks are signed with the key in {}", path.display());
        }
        let mut team = vec![Member { greeting: Some(greeting), ..Member::new("serve", "serve".into()) }];
        team.extend(
            (1..=args.workers)
                .map(|n| Member::new("work", if args.workers == 1 { "work".into() } else { format!("work-{n}") })),
        );
        let outcome = supervise(&mut team, &settings, &mut postgres, stop).await;
        for member in &mut team {
            member.stop().await;
        }
        outcome
    }
    .await;
    postgres.stop().await;
    tracing::info!("stopped");
    result
}

/// Held as long as the file is open.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let file = File::create(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another `app up` runs on {}; stop it, or choose another DATA_DIR (--data-dir)", folder.display())
        }
        Err(TryLockError::Error(e)) => Err(e.into()),
    }
}

/// The first account, if there was none.
async fn migrate(url: &str) -> anyhow::Result<Option<NewAdmin>> {
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(2).connect(url).await?;
    queue::migrate(&pool).await?;
    let admin = greeting::first_admin(&pool).await?;
    pool.close().await;
    Ok(admin)
}

/// The keys of the embedded S3 server.
fn credentials(path: &Path) -> anyhow::Result<(String, String)> {
    let key = || Uuid::new_v4().simple().to_string();
    let text = secret(path, || format!("docreader-{}\n{}{}\n", &key()[..8], key(), key()))?;
    match text.lines().collect::<Vec<_>>()[..] {
        [access_key, secret_key, ..] => Ok((access_key.to_owned(), secret_key.to_owned())),
        _ => bail!(
            "{}: two lines expected, the access key and the secret key; remove the file to make new ones",
            path.display()
        ),
    }
}

/// A file's text, which is made at its first use and readable by its owner only.
fn secret(path: &Path, make: impl FnOnce() -> String) -> anyhow::Result<String> {
    let name = || path.display().to_string();
    if !path.exists() {
        let part = path.with_extension("part");
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&part).with_context(name)?;
        file.write_all(make().as_bytes()).and_then(|()| file.sync_all()).with_context(name)?;
        std::fs::rename(&part, path)?;
    }
    std::fs::read_to_string(path).with_context(name)
}

async fn create_bucket(endpoint: &str, access_key: &str, secret_key: &str) -> anyhow::Result<()> {
    let settings = StorageSettings {
        bucket: BUCKET.into(),
        region: REGION.into(),
        endpoint: Some(endpoint.into()),
        access_key: access_key.into(),
        secret_key: secret_key.into(),
        public_endpoint: None,
        custom_domain: None,
        acl: None,
    };
    Ok(Storage::new(&settings)?.create_bucket().await?)
}

/// A child process and its history.
struct Member {
    command: &'static str,
    name: String,
    child: Option<Child>,
    started: Instant,
    quick_ends: u32,
    /// Is shown once the server listens.
    greeting: Option<Arc<Greeting>>,
}

/// Starts everyone, and again whoever ends, until told to stop. An error if one cannot stay up or the database is gone.
async fn supervise(
    team: &mut [Member],
    settings: &[(&'static str, String)],
    postgres: &mut Postgres,
    stop: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    for member in team.iter_mut() {
        member.start(settings)?;
    }
    loop {
        let any_ended = async {
            loop {
                if let Some(end) = team.iter_mut().enumerate().find_map(|(i, m)| Some((i, m.ended_as_asked()?))) {
                    return end;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let (ended, as_asked) = tokio::select! {
            () = stop.cancelled() => {
                tracing::info!("stopping");
                return Ok(());
            }
            () = postgres.ended() => bail!("PostgreSQL has ended; its log is in the data folder, pg/postgres.log"),
            end = any_ended => end,
        };
        let member = &mut team[ended];
        let quick = !as_asked && member.started.elapsed() < Duration::from_secs(10);
        member.quick_ends = if quick { member.quick_ends + 1 } else { 0 };
        if member.quick_ends >= 3 {
            bail!("{} does not stay up; its last lines above say why", member.name);
        }
        match as_asked {
            true => tracing::info!("{} has ended as asked; starting it again", member.name),
            false => tracing::warn!("{} has ended; starting it again", member.name),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        member.start(settings)?;
    }
}

impl Member {
    fn new(command: &'static str, name: String) -> Self {
        Self { command, name, child: None, started: Instant::now(), quick_ends: 0, greeting: None }
    }

    fn start(&mut self, settings: &[(&'static str, String)]) -> anyhow::Result<()> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg(self.command).envs(settings.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // This runs on the main thread, which lives as long as the process.
        die_with_parent(&mut command, Signal::SIGTERM);
        let mut child = Command::from(command).spawn().with_context(|| format!("app {}", self.command))?;
        if let Some(out) = child.stdout.take() {
            tokio::spawn(prefix(self.name.clone(), out, None));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(prefix(self.name.clone(), err, self.greeting.clone()));
        }
        self.child = Some(child);
        self.started = Instant::now();
        Ok(())
    }

    /// `None` while it runs; whether it ended as asked, such as after WORKER_MAX_DOCUMENTS.
    fn ended_as_asked(&mut self) -> Option<bool> {
        match self.child.as_mut()?.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.success()),
            Err(_) => Some(false),
        }
    }

    /// SIGTERM, then patience, then SIGKILL.
    async fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = child.id() {
            let _ = kill(Pid::from_raw(pid as i32), Signal::SIGTERM);
        }
        if tokio::time::timeout(Duration::from_secs(25), child.wait()).await.is_err() {
            tracing::warn!("{} does not stop; ending it", self.name);
            let _ = child.kill().await;
        }
    }
}

/// Copies a child's lines to our standard error, with its name before each.
async fn prefix(name: String, stream: impl tokio::io::AsyncRead + Unpin, greeting: Option<Arc<Greeting>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{name:<6}│ {line}");
        if let Some(greeting) = &greeting {
            greeting.hear(&line);
        }
    }
}
