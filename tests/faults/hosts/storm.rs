//! A long day: many documents, and hosts, networks and processes that fail all the time. `CHAOS_DOCUMENTS=200` is needed for it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Loss;
use super::stand::Stand;
use crate::common::{fixture, skip};

/// What happens, over and over: an outage of PostgreSQL in seconds, a network that is cut, a worker that is killed, or a move.
enum Fault {
    Outage(u64),
    Cut(&'static str, &'static str, Loss, u64),
    Kill(usize),
    Move,
}

const FAULTS: [Fault; 12] = [
    Fault::Kill(0),
    Fault::Cut("w1", "db", Loss::Both, 20),
    Fault::Outage(10),
    Fault::Cut("w2", "s3", Loss::Both, 40),
    Fault::Kill(1),
    Fault::Outage(90),
    Fault::Cut("w2", "db", Loss::OneWay, 60),
    Fault::Move,
    Fault::Cut("w1", "new", Loss::Both, 90),
    Fault::Kill(0),
    Fault::Cut("w2", "new", Loss::Both, 35),
    Fault::Outage(40),
];

async fn strike(stand: &mut Stand, fault: &Fault) -> String {
    match *fault {
        Fault::Outage(seconds) => {
            stand.restart_database(Duration::from_secs(seconds)).await;
            format!("PostgreSQL away for {seconds} s")
        }
        Fault::Cut(a, b, loss, seconds) => {
            stand.hosts.cut(a, b, loss);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stand.hosts.heal(a, b, loss);
            format!("{a} and {b} apart for {seconds} s ({loss:?})")
        }
        Fault::Kill(worker) => {
            stand.workers[worker].signal(Signal::SIGKILL);
            stand.workers[worker] = stand.start(["w1", "w2"][worker], "work");
            "a worker is killed".into()
        }
        Fault::Move => {
            stand.move_database().await;
            "PostgreSQL moves to another host".into()
        }
    }
}

#[tokio::test]
async fn a_long_day() {
    let count: i64 = std::env::var("CHAOS_DOCUMENTS").map_or(0, |n| n.parse().unwrap());
    if count < 100 {
        return skip::skip("CHAOS_DOCUMENTS is not 100 or more");
    }
    let Some(mut stand) = Stand::new().await else { return };
    let bytes = std::fs::read(fixture("bytefield.pdf")).unwrap();
    for i in 0..count {
        stand.app.insert(&i.to_string(), &bytes).await;
    }
    sqlx::raw_sql("update documents set page_range = '1-6'").execute(&stand.app.pool).await.unwrap();
    stand.workers = vec![stand.start("w1", "work"), stand.start("w2", "work")];
    let (started, mut told) = (Instant::now(), vec![]);
    for fault in &FAULTS {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let what = strike(&mut stand, fault).await;
        let back = Instant::now();
        // Two more documents show that work goes on.
        let done = "select count(*) from pages";
        let before = stand.app.count(done).await;
        while stand.app.count(done).await < before + 12 && stand.live().await > 0 {
            assert!(back.elapsed() < Duration::from_secs(90), "{what}: nothing goes on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{what}: 12 more pages after {:.1} s", back.elapsed().as_secs_f64());
        told.push(what);
    }
    while stand.live().await > 0 {
        assert!(started.elapsed() < Duration::from_secs(3600), "{} are not done", stand.live().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stand.app.settled().await;
    let outcomes: Vec<(String, i64)> =
        sqlx::query_as("select outcome, count(*) from job_attempts group by 1 order by 1")
            .fetch_all(&stand.app.pool)
            .await
            .unwrap();
    println!("{count} documents of 6 pages, {:.0} s: {outcomes:?}", started.elapsed().as_secs_f64());
    assert_eq!(stand.app.count("select count(*) from documents where status = 'done'").await, count);
    // Each page once, and all documents alike, since all are the same file.
    assert_eq!(stand.app.count("select count(*) from pages").await, 6 * count);
    let results = "select count(distinct found) from (
            select string_agg(format('%s %s %s %s %s', p.number, d.ordinal, d.label, d.score, d.x0_px), ' ' order by p.number, d.ordinal) found
            from pages p join detections d on d.page_id = p.id group by p.document_id) x";
    assert_eq!(stand.app.count(results).await, 1);
    assert_eq!(stand.app.count("select count(*) from job_attempts where outcome in ('failed', 'gave up')").await, 0);
    stand.finish().await;
}
