//! The real thing for tests: an embedded PostgreSQL a test binary, and for each test a database, an S3 server and processes of
//! the `app` binary. Everything is on loopback or unix sockets and ends with the test.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod http;
pub mod pdf;
mod process;
pub mod skip;
pub mod transaction;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use docreader::embedded::{Postgres, S3Server};
use docreader::pipeline::Finding;
use docreader::queue;
use docreader::storage::{Storage, StorageSettings};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

pub use process::App;

/// Nothing here takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Each test ends it by [`TestApp::finish`]; one that forgets fails.
pub struct TestApp {
    pub pool: PgPool,
    pub storage: Storage,
    pub folder: tempfile::TempDir,
    pub s3: Option<S3Server>,
    environment: Vec<(String, String)>,
    is_finished: bool,
}

/// What a document's row says of its processing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DocumentState {
    pub status: String,
    pub pages_done: i32,
    pub error: Option<String>,
}

impl DocumentState {
    /// Of a document that was processed without an error.
    pub fn done(pages: i32) -> Self {
        Self { status: "done".into(), pages_done: pages, error: None }
    }
}

/// The server's admin address and the start of the addresses of its databases; it lives as long as the test binary.
fn postgres() -> &'static (String, String) {
    static POSTGRES: OnceLock<(String, String)> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_stale(base);
        let folder = base.join(format!("pg-{}", std::process::id()));
        let (send, receive) = std::sync::mpsc::channel();
        // A thread with a runtime of its own that never ends, since tests' runtimes come and go.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let postgres = Postgres::start(&folder).await.expect("embedded PostgreSQL");
                send.send((postgres.url_of("postgres"), postgres.url_of("NAME"))).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receive.recv().expect("embedded PostgreSQL")
    })
}

/// Clusters of test binaries that have ended.
fn remove_stale(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("pg-").and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The address of a new, empty database.
pub async fn database() -> String {
    let (admin, template) = postgres();
    create_database(admin, template).await
}

async fn create_database(admin: &str, template: &str) -> String {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let pool = PgPool::connect(admin).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await.unwrap();
    pool.close().await;
    template.replace("NAME", &name)
}

impl TestApp {
    /// A migrated database of its own and an empty bucket.
    pub async fn new() -> Self {
        let (admin, template) = postgres();
        Self::on(admin, template).await
    }

    /// The same on a server of the caller's: the address of a database to connect to, and that of database `NAME`.
    pub async fn on(admin: &str, template: &str) -> Self {
        let url = create_database(admin, template).await;
        let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
        queue::migrate(&pool).await.unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let s3 = S3Server::start(&folder.path().join("s3"), 0, "key", "secret").await.unwrap();
        let storage = open_storage(&s3.endpoint());
        storage.create_bucket().await.unwrap();
        let environment = [
            ("DATABASE_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_STORAGE_BUCKET_NAME", "bkt"),
            ("AWS_S3_ENDPOINT_URL", &s3.endpoint()),
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("MODEL_PATH", &fixture("models/default").to_string_lossy()),
            ("MODEL_DEVICE", "cpu"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
        Self { pool, storage, folder, s3: Some(s3), environment, is_finished: false }
    }

    pub fn database_url(&self) -> &str {
        &self.environment.iter().find(|(name, _)| name == "DATABASE_URL").unwrap().1
    }

    /// Starts `app serve` and waits until it listens.
    pub async fn serve(&self, settings: &[(&str, &str)]) -> App {
        let mut app = self.start(&["serve"], settings);
        app.url = Some(app.find_in_log("listening on ").await);
        app
    }

    /// Starts `app work`.
    pub fn work(&self, settings: &[(&str, &str)]) -> App {
        self.start(&["work"], settings)
    }

    pub fn start(&self, args: &[&str], settings: &[(&str, &str)]) -> App {
        self.start_by(&[], args, settings)
    }

    /// Starts the app by another program, which is to replace itself by it.
    pub fn start_by(&self, launcher: &[&str], args: &[&str], settings: &[(&str, &str)]) -> App {
        let own = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        App::start_by(launcher, args, self.environment.iter().cloned().chain(own), self.folder.path())
    }

    /// Registers an object as a document, as an admin would with plain SQL.
    pub async fn insert(&self, title: &str, bytes: &[u8]) -> i64 {
        let key = format!("media/{title}.pdf");
        let object = docreader::storage::ObjectKey::parse(key.as_str()).unwrap();
        self.storage.put(&object, bytes, "application/pdf").await.unwrap();
        let insert = "insert into documents (title, object_key) values ($1, $2) returning id";
        sqlx::query_scalar(insert).bind(title).bind(&key).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn state(&self, id: i64) -> DocumentState {
        let sql = "select status::text, pages_done, error from documents where id = $1";
        sqlx::query_as(sql).bind(id).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a document is done or failed.
    pub async fn finished(&self, id: i64) -> DocumentState {
        self.until(id, |d| d.status == "done" || d.status == "failed").await
    }

    /// Waits for a state for as long as the document goes on, however slowly.
    pub async fn until(&self, id: i64, wanted: impl Fn(&DocumentState) -> bool) -> DocumentState {
        let (mut since, mut last) = (Instant::now(), None);
        loop {
            let state = self.state(id).await;
            if wanted(&state) {
                return state;
            }
            if last.as_ref() != Some(&state) {
                (since, last) = (Instant::now(), Some(state));
            }
            assert!(since.elapsed() < PATIENCE, "document {id} stays {last:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a query counts what is wanted.
    pub async fn until_count(&self, sql: &'static str, wanted: impl Fn(i64) -> bool) {
        let started = Instant::now();
        loop {
            let count = self.count(sql).await;
            if wanted(count) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{count} stays the answer to: {sql}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the pages of this last time would have taken one by one: a busy machine takes longer for each.
    pub async fn computed_in(&self, last: Duration) -> Duration {
        let sql = "select coalesce(sum(render_ms + detect_ms), 0)::bigint from pages
            where created_at > now() - make_interval(secs => $1)";
        let ms: i64 = sqlx::query_scalar(sql).bind(last.as_secs_f64()).fetch_one(&self.pool).await.unwrap();
        Duration::from_millis(ms as u64)
    }

    /// Waits until no worker has a job: a document is done a moment before its job is.
    pub async fn settled(&self) {
        let started = Instant::now();
        while self.count("select count(*) from apalis.jobs where status in ('Queued', 'Running')").await > 0 {
            assert!(started.elapsed() < PATIENCE, "a job does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until no worker has a job, and asserts that no row, job or object belongs to nothing. Workers still run.
    pub async fn finish(self) {
        self.finish_except(&[]).await;
    }

    /// The same for a test that leaves findings of some kinds on purpose.
    pub async fn finish_except(mut self, kinds: &[&str]) {
        self.is_finished = true;
        self.settled().await;
        let first = self.findings().await;
        // What comes and goes may be named by mistake, but not twice.
        let second = if first.is_empty() { vec![] } else { self.findings().await };
        let both: Vec<_> = second.iter().filter(|f| first.contains(f) && !kinds.contains(&f.kind)).collect();
        assert!(both.is_empty(), "{both:#?}");
    }

    /// Ends a test that leaves a state which nobody can audit.
    pub fn abandon(mut self, why: &str) {
        println!("not audited: {why}");
        self.is_finished = true;
    }

    async fn findings(&self) -> Vec<Finding> {
        docreader::queue::audit(&self.pool, &self.storage).await.unwrap()
    }

    /// Asserts in the middle of a test what [`TestApp::finish`] asserts at its end.
    pub async fn assert_sound(&self) {
        self.settled().await;
        assert_eq!(self.findings().await, []);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        assert!(
            self.is_finished || std::thread::panicking(),
            "a test ends without TestApp::finish(), finish_except() or abandon()"
        );
    }
}

pub fn open_storage(endpoint: &str) -> Storage {
    Storage::new(&StorageSettings {
        bucket: "bkt".into(),
        region: "us-east-1".into(),
        endpoint: Some(endpoint.into()),
        access_key: "key".into(),
        secret_key: "secret".into(),
        public_endpoint: None,
        custom_domain: None,
        acl: None,
    })
    .unwrap()
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The tests' model, with pages blown up until each takes seconds.
pub fn slow_model(folder: &Path) -> PathBuf {
    let (default, slow) = (fixture("models/default"), folder.join("slow"));
    std::fs::create_dir(&slow).unwrap();
    for name in ["model.safetensors", "classes.txt"] {
        std::fs::copy(default.join(name), slow.join(name)).unwrap();
    }
    let config = std::fs::read_to_string(default.join("config.yaml")).unwrap();
    let large = config.replace("MIN_SIZE_TEST: 480", "MIN_SIZE_TEST: 4000");
    let large = large.replace("MAX_SIZE_TEST: 800", "MAX_SIZE_TEST: 4096");
    assert!(large.contains(": 4000") && large.contains(": 4096"), "{config}");
    std::fs::write(slow.join("config.yaml"), large).unwrap();
    slow
}

pub fn sample() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/amt_handbook_sample.pdf")).unwrap()
}
