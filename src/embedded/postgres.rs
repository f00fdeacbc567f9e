//! A PostgreSQL of our own: unix socket only, data in a folder, fsync on.
//!
//! The server is given its folders as open descriptors (`/proc/self/fd/N`), so it runs below a folder that its user may not
//! enter, such as root's home in a container. It gets SIGINT when we die, and what a killed predecessor left is cleared away.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::binaries::{self, Binaries};
use super::owner::Owner;
use super::process::Guarded;

const START_TIME: Duration = Duration::from_secs(60);
const SOCKET: &str = ".s.PGSQL.5432";

/// What need not be encoded in the address's `host`.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// A running server; [`Postgres::stop`] it, or it stops when the process ends.
pub struct Postgres {
    server: Guarded,
    run: PathBuf,
}

struct Layout {
    /// The cluster.
    data: PathBuf,
    /// The socket.
    run: PathBuf,
    log: PathBuf,
}

impl Postgres {
    /// Starts the server of `folder`, creating it if need be, with a database `app`. Only one caller may use a folder at a
    /// time; the caller holds its lock.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let folder = folder.canonicalize()?;
        let layout = Layout { data: folder.join("data"), run: folder.join("run"), log: folder.join("postgres.log") };
        if layout.run.join(SOCKET).as_os_str().len() > 107 {
            bail!("{} is too long a path for a unix socket; choose a shorter DATA_DIR", layout.run.display());
        }
        let owner = Owner::choose(&layout.data)?;
        owner.make_folder(&layout.run)?;
        let version = std::fs::read_to_string(layout.data.join("PG_VERSION")).ok();
        let binaries = binaries::find(&folder, version.as_ref().and_then(|v| v.trim().parse().ok()))?;
        if version.is_none() {
            initialize(&binaries, owner, &layout)?;
        }
        end_predecessor(&layout).await?;
        let server = launch(&binaries, owner, &layout)?;
        let postgres = Self { server, run: layout.run.clone() };
        postgres.ready(&layout).await?;
        postgres.ensure_database().await?;
        Ok(postgres)
    }

    /// The address of database `app`.
    pub fn url(&self) -> String {
        self.url_of("app")
    }

    /// The address of another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        let run = percent_encode(self.run.as_os_str().as_bytes(), PATH);
        format!("postgres://app@localhost/{database}?host={run}")
    }

    /// Resolves when the server has ended, which it should not.
    pub async fn ended(&mut self) {
        self.server.wait().await;
    }

    /// Ends the server: open transactions are rolled back, everything committed is on disk.
    pub async fn stop(mut self) {
        self.server.stop(&[(Signal::SIGINT, Duration::from_secs(15)), (Signal::SIGQUIT, Duration::from_secs(5))]).await;
    }

    fn admin(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.run).port(5432).username("app").database("postgres")
    }

    async fn ready(&self, layout: &Layout) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            match PgConnection::connect_with(&self.admin()).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(_) if self.server.status().is_none() && started.elapsed() < START_TIME => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(e) => bail!("PostgreSQL did not start ({e}); its log is {}", layout.log.display()),
            }
        }
    }

    async fn ensure_database(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect_with(&self.admin()).await?;
        let there =
            sqlx::query("select 1 from pg_database where datname = 'app'").fetch_optional(&mut connection).await?;
        if there.is_none() {
            sqlx::query("create database app").execute(&mut connection).await?;
        }
        Ok(connection.close().await?)
    }
}

/// A command that runs as the owner, from `/`, with the folders' descriptors left open.
fn command(program: PathBuf, owner: Owner, folders: &[&File]) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.stdin(Stdio::null());
    if nix::unistd::Uid::effective().is_root() {
        command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
    }
    let descriptors: Vec<i32> = folders.iter().map(|f| f.as_raw_fd()).collect();
    // SAFETY: only fcntl is called between fork and exec, which is async-signal-safe; the descriptors are open, since the
    // command is started while `folders` are borrowed by its caller's frame.
    unsafe {
        command.pre_exec(move || {
            for &fd in &descriptors {
                let fd = std::os::fd::BorrowedFd::borrow_raw(fd);
                fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Ok(())
        });
    }
    command
}

/// The path under which the child finds a descriptor that it inherits.
fn inherited(folder: &File) -> String {
    format!("/proc/self/fd/{}", folder.as_raw_fd())
}

/// Makes the cluster beside its place and renames it, so that a cluster is whole or not there.
fn initialize(binaries: &Binaries, owner: Owner, layout: &Layout) -> anyhow::Result<()> {
    let part = layout.data.with_extension("new");
    let _ = std::fs::remove_dir_all(&part);
    owner.make_folder(&part)?;
    let folder = File::open(&part)?;
    let output = command(binaries.folder.join("initdb"), owner, &[&folder])
        .arg("-D")
        .arg(inherited(&folder))
        .args(["-U", "app", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions", "--data-checksums"])
        .output()
        .context("initdb")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("initdb of PostgreSQL {} failed: {}", binaries.major, String::from_utf8_lossy(&said).trim());
    }
    std::fs::rename(&part, &layout.data)?;
    Ok(())
}

fn launch(binaries: &Binaries, owner: Owner, layout: &Layout) -> anyhow::Result<Guarded> {
    let log = OpenOptions::new().create(true).append(true).open(&layout.log)?;
    let (data, run) = (File::open(&layout.data)?, File::open(&layout.run)?);
    let mut command = command(binaries.folder.join("postgres"), owner, &[&data, &run]);
    command.args(["-D", &inherited(&data), "-k", &inherited(&run)]);
    for setting in [
        "listen_addresses=",
        "port=5432",
        "unix_socket_permissions=0700",
        "max_connections=60",
        "log_min_messages=warning",
        "logging_collector=off",
    ] {
        command.args(["-c", setting]);
    }
    command.stdout(log.try_clone()?).stderr(log);
    Guarded::spawn(command, Signal::SIGINT)
}

/// A server that outlived its parent is on its way out; wait for it, then remove the locks that a killed one leaves.
async fn end_predecessor(layout: &Layout) -> anyhow::Result<()> {
    let started = Instant::now();
    while let Some(pid) = processes_in(&layout.data).into_iter().next().or_else(|| postmaster(&layout.data)) {
        if started.elapsed() > START_TIME {
            bail!("process {pid} of an earlier PostgreSQL still uses {}; end it", layout.data.display());
        }
        if let Some(postmaster) = postmaster(&layout.data) {
            let _ = kill(Pid::from_raw(postmaster), Signal::SIGINT);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for stale in
        [layout.data.join("postmaster.pid"), layout.run.join(SOCKET), layout.run.join(format!("{SOCKET}.lock"))]
    {
        let _ = std::fs::remove_file(stale);
    }
    Ok(())
}

/// Every process of a server has its working folder in the cluster; a zombie has none.
fn processes_in(data: &Path) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
        .collect()
}

/// The server that holds the cluster's lock, if it lives: a process of PostgreSQL whose working folder is the cluster, or cannot
/// be read, as in a container without the right to trace.
fn postmaster(data: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    // `PID (name) STATE …`
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let lives = stat.contains(" (postgres) ") && !stat.contains(" (postgres) Z");
    let elsewhere = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd != data);
    (lives && !elsewhere).then_some(pid)
}
