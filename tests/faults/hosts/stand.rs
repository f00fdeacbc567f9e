//! PostgreSQL, S3, a server and two workers, each on a host of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use docreader::embedded::S3Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Hosts, address};
use crate::common::{App, PATIENCE, TestApp, fixture, skip};

const S3_PORT: u16 = 9000;

/// What ends first stands first.
pub struct Stand {
    pub workers: Vec<App>,
    pub app: TestApp,
    server: Option<Server>,
    folder: TempDir,
    /// The database's name.
    name: String,
    /// Where the server is.
    at: &'static str,
    pub hosts: Hosts,
}

/// A PostgreSQL that listens on its host's address and on a socket for us.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGQUIT);
        let _ = self.0.wait();
    }
}

fn binaries() -> PathBuf {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|e| e.path()).collect();
    all.sort();
    all.pop().unwrap().join("bin")
}

const OWNER: [&str; 4] = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];

impl Stand {
    /// `None`, and a word, where the system does not let us make hosts.
    pub async fn new() -> Option<Self> {
        let hosts = match Hosts::new() {
            Ok(hosts) => hosts,
            Err(why) => {
                skip::skip(&format!("no network namespaces here ({why})"));
                return None;
            }
        };
        // Short, for the socket, and open to the server's user.
        let folder = tempfile::Builder::new().prefix("dr-").tempdir_in("/tmp").unwrap();
        let path = folder.path().to_str().unwrap();
        Command::new("chown").args(["postgres", path]).status().unwrap();
        let data = folder.path().join("data");
        let made = Command::new(OWNER[0])
            .args(&OWNER[1..])
            .arg(binaries().join("initdb"))
            .args(["-D", data.to_str().unwrap(), "-U", "app", "--auth=trust", "--no-sync", "-E", "UTF8"])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let hba = data.join("pg_hba.conf");
        let rules = std::fs::read_to_string(&hba).unwrap() + "\nhost all all 10.77.0.0/16 trust\n";
        std::fs::write(hba, rules).unwrap();
        let server = Some(start_server(&hosts, "db", folder.path()).await);
        let url = |database: &str| format!("postgres://app@localhost/{database}?host={path}");
        let app = TestApp::on(&url("postgres"), &url("NAME")).await;
        let name = app.pool.connect_options().get_database().unwrap().to_owned();
        let (bucket, at) = (app.folder.path().join("s3"), SocketAddr::new(address("s3").parse().unwrap(), S3_PORT));
        // Over the same folder as the app's own: what one puts there is not to be taken for a leftover by the other as it starts.
        let (starts, started) = tokio::sync::oneshot::channel();
        hosts.on("s3", move || async move {
            let _server = S3Server::start_at(&bucket, at, "key", "secret").await.unwrap();
            starts.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        started.await.unwrap();
        Some(Self { workers: vec![], app, server, folder, name, at: "db", hosts })
    }

    fn settings<'a>(&self, database: &'a str, s3: &'a str, host: &'a str) -> Vec<(&'a str, &'a str)> {
        let ours =
            [("DATABASE_URL", database), ("AWS_S3_ENDPOINT_URL", s3), ("HOST", host), ("WORKER_CONCURRENCY", "2")];
        ours.to_vec()
    }

    pub fn start(&self, host: &str, command: &str) -> App {
        let (database, s3) =
            (format!("postgres://app@database/{}", self.name), format!("http://{}:{S3_PORT}", address("s3")));
        let launcher = self.hosts.launcher(host);
        let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
        self.app.start_by(&launcher, &[command], &self.settings(&database, &s3, &address(host)))
    }

    /// Four documents, and both workers at two of them each.
    pub async fn busy(&mut self) {
        let bytes = std::fs::read(fixture("bytefield.pdf")).unwrap();
        for title in ["a", "b", "c", "d"] {
            self.app.insert(title, &bytes).await;
        }
        sqlx::raw_sql("update documents set page_range = '1-6'").execute(&self.app.pool).await.unwrap();
        self.workers = vec![self.start("w1", "work"), self.start("w2", "work")];
        let started = Instant::now();
        while self.app.count("select count(*) from apalis.jobs where status = 'Running'").await < 4 {
            assert!(started.elapsed() < PATIENCE, "{}", self.workers[0].log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How long it takes from now until all is done, and nothing is left that should not be.
    pub async fn calm(&self) -> Duration {
        let started = Instant::now();
        while self.app.count("select count(*) from documents where status <> 'done'").await > 0 {
            assert!(started.elapsed() < PATIENCE, "{}\n---\n{}", self.workers[0].log(), self.workers[1].log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = started.elapsed();
        self.app.assert_sound().await;
        assert_eq!(self.app.count("select count(*) from pages").await, 24);
        took
    }

    /// PostgreSQL's host vanishes, and another one has its data, under the same name.
    pub async fn move_database(&mut self) {
        self.hosts.unplug("db");
        self.server = None;
        self.at = "new";
        self.server = Some(start_server(&self.hosts, self.at, self.folder.path()).await);
        self.hosts.name_database(self.at);
    }

    pub async fn restart_database(&mut self, away: Duration) {
        self.server = None;
        tokio::time::sleep(away).await;
        self.server = Some(start_server(&self.hosts, self.at, self.folder.path()).await);
    }

    /// As [`TestApp::finish`].
    pub async fn finish(self) {
        self.app.finish().await;
    }

    /// Documents that are not over; some, where the database does not say.
    pub async fn live(&self) -> i64 {
        let sql = "select count(*) from documents where status in ('pending', 'processing')";
        sqlx::query_scalar(sql).fetch_one(&self.app.pool).await.unwrap_or(1)
    }
}

async fn start_server(hosts: &Hosts, host: &str, folder: &Path) -> Server {
    let launcher = hosts.launcher(host);
    let child = Command::new(&launcher[0])
        .args(&launcher[1..])
        .args(OWNER)
        .arg(binaries().join("postgres"))
        .args(["-D", folder.join("data").to_str().unwrap(), "-k", folder.to_str().unwrap()])
        .args(["-c", "fsync=off", "-c", &format!("listen_addresses={}", address(host))])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server(child);
    let url = format!("postgres://app@localhost/postgres?host={}", folder.to_str().unwrap());
    let started = Instant::now();
    while <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server
}
