use std::time::{Duration, Instant};

use docreader::embedded::S3Server;
use nix::sys::signal::Signal;

use crate::common::{App, DocumentState, TestApp, fixture};
use crate::outage::Database;

const WORKERS: usize = 3;
/// Two killed or stopped in a moment may both have been at the same document, so this is shorter than a document takes.
const BETWEEN_FAULTS: Duration = Duration::from_millis(1500);
const PAGES: i64 = 3;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Documents whose objects are the same file.
async fn insert(app: &TestApp, count: usize) -> Vec<i64> {
    let bytes = std::fs::read(fixture("bytefield.pdf")).unwrap();
    let mut ids = vec![];
    for i in 0..count {
        let key = format!("media/{i}.pdf");
        let object = docreader::storage::ObjectKey::parse(key.as_str()).unwrap();
        app.storage.put(&object, &bytes, "application/pdf").await.unwrap();
        let insert = "insert into documents (title, object_key, page_range) values ($1, $2, '1-3') returning id";
        ids.push(sqlx::query_scalar(insert).bind(format!("{i}")).bind(key).fetch_one(&app.pool).await.unwrap());
    }
    ids
}

/// All that was found in a document, as text.
async fn found(app: &TestApp, id: i64) -> String {
    let sql =
        "select string_agg(format('%s %s %s %s %s %s', p.number, d.ordinal, d.label, d.score, d.x0_px, d.y1_px), E'\\n'
                   order by p.number, d.ordinal)
               from detections d join pages p on p.id = d.page_id where p.document_id = $1";
    sqlx::query_scalar(sql).bind(id).fetch_one(&app.pool).await.unwrap()
}

async fn live(app: &TestApp) -> Option<i64> {
    let sql = "select count(*) from documents where status in ('pending', 'processing')";
    sqlx::query_scalar(sql).fetch_one(&app.pool).await.ok()
}

const SETTINGS: &[(&str, &str)] = &[("WORKER_SILENCE_SECONDS", "10"), ("CHUNK_PAGES", "2")];

/// One of the things that happen.
async fn fault(
    app: &mut TestApp,
    database: &mut Database,
    workers: &mut [App],
    random: &mut Random,
    step: usize,
    outage: Duration,
) -> &'static str {
    let victim = random.below(WORKERS);
    match step % 9 {
        _ if step == 8 || step == 20 => {
            database.restart(Duration::from_secs(2)).await;
            "PostgreSQL is restarted"
        }
        // The database loses all its connections at once.
        3 => {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid()";
            let _ = sqlx::raw_sql(end).execute(&app.pool).await;
            "all connections to the database end"
        }
        5 => {
            let endpoint = app.s3.as_ref().unwrap().endpoint();
            let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
            app.s3 = None;
            // The first is the long one.
            tokio::time::sleep(if step < 9 { outage } else { Duration::from_secs(3) }).await;
            app.s3 = Some(S3Server::start(&app.folder.path().join("s3"), port, "key", "secret").await.unwrap());
            "no S3 for a while"
        }
        6 => {
            workers[victim].signal(Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_secs(2)).await;
            workers[victim].signal(Signal::SIGCONT);
            "a worker stands still for 2 s"
        }
        7 if !workers[victim].children().is_empty() => {
            let signal = |signal| {
                for child in workers[victim].children() {
                    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), signal);
                }
            };
            signal(Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_secs(1)).await;
            signal(Signal::SIGCONT);
            "a render child stands still for 1 s"
        }
        1 if !workers[victim].children().is_empty() => {
            for child in workers[victim].children() {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGKILL);
            }
            "a render child is killed"
        }
        _ => {
            workers[victim].signal(Signal::SIGKILL);
            workers[victim] = app.work(SETTINGS);
            "a worker is killed"
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_or_done_twice() {
    let count = std::env::var("CHAOS_DOCUMENTS").map_or(18, |n| n.parse().unwrap());
    // A long outage is for a long run.
    let outage = Duration::from_secs(if count < 100 { 3 } else { 20 });
    let mut database = Database::start("chaos").await;
    let mut app = database.app().await;
    // What an undisturbed worker finds.
    let reference = insert(&app, 1).await[0];
    let calm = app.work(&[]);
    assert_eq!(app.finished(reference).await.status, "done");
    let expected = found(&app, reference).await;
    drop(calm);
    sqlx::raw_sql("delete from documents").execute(&app.pool).await.unwrap();
    for key in app.storage.list("").await.unwrap() {
        app.storage.delete(&docreader::storage::ObjectKey::parse(key).unwrap()).await.unwrap();
    }

    let ids = insert(&app, count).await;
    let mut workers: Vec<App> = (0..WORKERS).map(|_| app.work(SETTINGS)).collect();
    let (started, mut random, mut faults) = (Instant::now(), Random(7), vec![]);
    while live(&app).await != Some(0) {
        assert!(started.elapsed() < Duration::from_secs(90 + 10 * count as u64), "{:?} are not done", live(&app).await);
        tokio::time::sleep(BETWEEN_FAULTS).await;
        // Most of it in a storm; then it must come to an end by itself.
        if faults.len() < 2 * count {
            let step = faults.len();
            faults.push(fault(&mut app, &mut database, &mut workers, &mut random, step, outage).await);
        }
    }
    let took = started.elapsed();
    app.settled().await;
    let (mut done, mut failed) = (0, vec![]);
    for id in ids {
        let DocumentState { status, pages_done: pages, error, .. } = app.state(id).await;
        match status.as_str() {
            "done" => {
                assert_eq!((i64::from(pages), found(&app, id).await), (PAGES, expected.clone()), "document {id}");
                done += 1;
            }
            "failed" => failed.push(error.unwrap()),
            other => panic!("document {id} is {other}"),
        }
    }
    let attempts: Vec<(String, i64)> =
        sqlx::query_as("select outcome, count(*) from job_attempts group by 1 order by 1")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    faults.sort_unstable();
    let kinds = faults.chunk_by(|a, b| a == b).map(|same| format!("{} × {}", same.len(), same[0])).collect::<Vec<_>>();
    println!(
        "{count} documents of {PAGES} pages, {WORKERS} workers, {:.0} s: {done} done, {failed:?} failed",
        took.as_secs_f64()
    );
    println!("faults: {}\nattempts: {attempts:?}", kinds.join(", "));
    // Only a document that was there each time that something died may have failed, and says so.
    assert!(failed.iter().all(|e| e.contains("died") || e.contains("given up") || e.contains("crash")), "{failed:?}");
    assert!(done * 10 >= count * 9, "{done} of {count} done");
    assert_eq!(app.count("select count(*) from apalis.jobs where status in ('Pending', 'Queued', 'Running')").await, 0);
    let recorded = app
        .count("select (select count(*) from pages) * 3 + (select count(*) from detections where crop_key is not null)")
        .await;
    let results = app.storage.list("results/").await.unwrap().len() as i64;
    assert!(results == recorded || !failed.is_empty(), "{results} objects, {recorded} recorded");
    app.finish().await;
}
