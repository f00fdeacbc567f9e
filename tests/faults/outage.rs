//! A PostgreSQL that is away for a while. `OUTAGES=70,200` tries longer ones.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docreader::embedded::Postgres;

use crate::common::{PATIENCE, TestApp, fixture};

/// A PostgreSQL of one's own, to be restarted.
pub struct Database {
    folder: PathBuf,
    server: Option<Postgres>,
}

impl Database {
    pub async fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pg-{}", std::process::id())).join(name);
        let server = Some(Postgres::start(&folder).await.unwrap());
        Self { folder, server }
    }

    pub async fn app(&self) -> TestApp {
        let server = self.server.as_ref().unwrap();
        TestApp::on(&server.url_of("postgres"), &server.url_of("NAME")).await
    }

    pub async fn restart(&mut self, away: Duration) {
        self.server.take().unwrap().stop().await;
        tokio::time::sleep(away).await;
        self.server = Some(Postgres::start(&self.folder).await.unwrap());
    }
}

/// Four jobs are in hand when the database goes. All are done soon after its return, no attempt is spent, and nothing is left.
async fn survive(seconds: u64, silence: &str) {
    let mut database = Database::start(&format!("outage-{seconds}")).await;
    let app = database.app().await;
    let bytes = std::fs::read(fixture("bytefield.pdf")).unwrap();
    for title in ["a", "b", "c", "d"] {
        app.insert(title, &bytes).await;
    }
    sqlx::raw_sql("update documents set page_range = '1-6'").execute(&app.pool).await.unwrap();
    let settings = [("WORKER_CONCURRENCY", "2"), ("WORKER_SILENCE_SECONDS", silence)];
    let workers = [app.work(&settings), app.work(&settings)];
    let started = Instant::now();
    while app.count("select count(*) from apalis.jobs where status = 'Running'").await < 4 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.restart(Duration::from_secs(seconds)).await;
    let back = Instant::now();
    while app.count("select count(*) from documents where status <> 'done'").await > 0 {
        assert!(back.elapsed() < PATIENCE, "{}\n{}", workers[0].log(), workers[1].log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = back.elapsed();
    let computed = app.computed_in(took).await;
    app.settled().await;
    println!(
        "{seconds} s away: all done {:.1} s after the return, pages of {computed:?} in that time",
        took.as_secs_f64()
    );
    assert!(took < Duration::from_secs(15) + computed, "{took:?}, {computed:?}");
    assert_eq!(app.count("select count(*) from apalis.jobs where attempts <> 1 or status <> 'Done'").await, 0);
    let spent = "select count(*) from job_attempts where outcome not in ('done', 'handed back')";
    assert_eq!(app.count(spent).await, 0);
    assert_eq!(app.count("select count(*) from worker_processes where ended_at is not null").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn ten_seconds_cost_no_attempt() {
    survive(10, "45").await;
}

#[tokio::test]
async fn forty_seconds_cost_no_attempt() {
    survive(40, "45").await;
    for seconds in std::env::var("OUTAGES").iter().flat_map(|list| list.split(',')) {
        survive(seconds.parse().unwrap(), "45").await;
    }
}

/// The database is away for longer than the time after which a silent worker is given up.
#[tokio::test]
async fn silence_begins_anew_after_an_outage() {
    survive(15, "10").await;
}
