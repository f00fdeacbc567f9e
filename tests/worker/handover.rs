//! Workers that end in the middle of a document.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::pdf::pages;
use crate::common::{DocumentState, TestApp, fixture};

/// One job a document.
const WHOLE: &[(&str, &str)] = &[("CHUNK_PAGES", "0")];

/// Each page's rows are there once, as one worker alone would have written them.
pub async fn assert_whole(app: &TestApp, id: i64) {
    assert_eq!(app.finished(id).await, DocumentState::done(58));
    assert_eq!(app.count("select count(*) from pages").await, 58);
    assert_eq!(app.count("select count(distinct number) from pages where number between 1 and 58").await, 58);
    let gaps = "select count(*) from (select page_id, count(*) n, max(ordinal) + 1 m from detections group by 1) x where n <> m";
    assert_eq!(app.count(gaps).await, 0);
    let objects = app.storage.list("results/").await.unwrap();
    assert_eq!(objects.iter().filter(|k| k.ends_with("overlay.png")).count(), 58);
    let crops = app.count("select count(*) from detections where crop_key is not null").await;
    assert_eq!(objects.iter().filter(|k| k.ends_with("page.png")).count(), 58);
    assert_eq!(objects.iter().filter(|k| k.ends_with("thumbnail.jpg")).count(), 58);
    assert_eq!(objects.len() as i64, 3 * 58 + crops);
}

#[tokio::test]
async fn a_killed_worker_is_replaced() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let first = app.work(WHOLE);
    app.until(id, |d| d.pages_done >= 5).await;
    first.signal(Signal::SIGKILL);
    let done_by_first = app.state(id).await.pages_done;
    assert!(done_by_first < 58);
    let second = app.work(WHOLE);
    assert_whole(&app, id).await;
    // It went on where the first had stopped.
    assert!(!second.log().contains("Running for page 4 of 58"));
    // A job's attempt counts when it ends, which is a moment after its document does.
    app.settled().await;
    let attempts: i32 = sqlx::query_scalar("select attempts from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(attempts, 2, "the killed attempt counts");
    let history: Vec<(String, i32)> = sqlx::query_as(
        "select outcome, worker_process_of(worker) from job_attempts where document_id = $1 order by id",
    )
    .bind(id)
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(history, [("worker died".into(), 1), ("done".into(), 2)]);
    let workers: Vec<(i32, String)> =
        sqlx::query_as("select id, state from queue_workers order by id").fetch_all(&app.pool).await.unwrap();
    assert_eq!(workers, [(1, "died".into()), (2, "alive".into())]);
    app.finish().await;
}

/// The times from SIGKILL until another worker has the document, over and over.
#[tokio::test]
async fn death_is_noticed_in_seconds() {
    const KILLS: usize = 5;
    let app = TestApp::new().await;
    let pdf = pages(12);
    let mut workers = vec![app.work(WHOLE), app.work(WHOLE)];
    let mut times = vec![];
    for kill in 0..KILLS {
        let id = app.insert(&format!("document {kill}"), &pdf).await;
        app.until(id, |d| d.pages_done >= 1).await;
        let holder = "select w.pid from worker_processes w join apalis.jobs j on worker_process_of(j.lock_by) = w.id
                      where j.status = 'Running'";
        let pid: i32 = sqlx::query_scalar(holder).fetch_one(&app.pool).await.unwrap();
        let victim = workers.iter().position(|w| w.pid() == pid).unwrap();
        workers.swap_remove(victim).signal(Signal::SIGKILL);
        let killed = Instant::now();
        workers.push(app.work(WHOLE));
        let taken = "select count(*) from apalis.jobs where status = 'Running' and attempts = 1";
        while app.count(taken).await == 0 {
            assert!(killed.elapsed() < Duration::from_secs(20), "nobody takes it");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        times.push(killed.elapsed());
        assert_eq!(app.finished(id).await.status, "done");
    }
    times.sort();
    println!("from SIGKILL to the next worker: {times:?}");
    assert!(times[KILLS - 1] < Duration::from_secs(5), "{times:?}");
    app.finish().await;
}

/// A worker that stands still is replaced after the silence that is allowed; when it moves again, it does no harm.
#[tokio::test]
async fn a_worker_that_stands_still_is_replaced() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let first = app.work(WHOLE);
    app.until(id, |d| d.pages_done >= 3).await;
    let _second = app.work(&[WHOLE[0], ("WORKER_SILENCE_SECONDS", "10")]);
    first.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    let before = app.state(id).await.pages_done;
    app.until(id, |d| d.pages_done > before + 1).await;
    assert!(stopped.elapsed() > Duration::from_secs(8), "{:?}", stopped.elapsed());
    first.signal(Signal::SIGCONT);
    assert_whole(&app, id).await;
    let started = Instant::now();
    while !first.log().contains("going on as another") || !first.log().contains("left to another worker") {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", first.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It works on under its new name.
    let again = app.insert("again", &pages(2)).await;
    drop(_second);
    assert_eq!(app.finished(again).await.status, "done");
    app.finish().await;
}

/// A document that kills its workers ends.
#[tokio::test]
async fn a_document_that_kills_its_workers_is_given_up() {
    let app = TestApp::new().await;
    let id = app.insert("poison", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    // Four have died of it already.
    sqlx::raw_sql("update apalis.jobs set attempts = 4").execute(&app.pool).await.unwrap();
    let first = app.work(WHOLE);
    app.until(id, |d| d.pages_done >= 1).await;
    first.signal(Signal::SIGKILL);
    let second = app.work(WHOLE);
    let DocumentState { status, error, .. } = app.finished(id).await;
    assert_eq!(status, "failed");
    assert!(error.unwrap().starts_with("The worker died 5 times while it was at this document"));
    let fine = app.insert("fine", &pages(2)).await;
    assert_eq!(app.finished(fine).await.status, "done");
    assert!(!second.log().contains("run{document=1}"), "{}", second.log());
    app.finish().await;
}

#[tokio::test]
async fn a_stopped_worker_hands_back_at_the_next_page() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let mut first = app.work(WHOLE);
    app.until(id, |d| d.pages_done >= 3).await;
    let asked = Instant::now();
    first.signal(Signal::SIGTERM);
    assert!(first.exit().await.success());
    assert!(asked.elapsed() < Duration::from_secs(10));
    let DocumentState { status, pages_done: pages, .. } = app.state(id).await;
    assert!(status == "pending" && pages < 58, "{status} after {pages} pages");
    let job: (String, i32) =
        sqlx::query_as("select status, attempts from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(job, ("Pending".into(), 0), "handing back costs no attempt");
    let _second = app.work(WHOLE);
    assert_whole(&app, id).await;
    app.finish().await;
}

#[tokio::test]
async fn a_worker_that_has_worked_enough_ends() {
    let app = TestApp::new().await;
    let ids = [app.insert("a", &pages(1)).await, app.insert("b", &pages(1)).await, app.insert("c", &pages(1)).await];
    let mut first = app.work(&[("WORKER_MAX_DOCUMENTS", "2")]);
    assert!(first.exit().await.success());
    assert_eq!(app.count("select count(*) from documents where status = 'done'").await, 2);
    let mut second = app.work(&[("WORKER_MAX_MEMORY_MB", "1")]);
    assert!(second.exit().await.success());
    for id in ids {
        assert_eq!(app.state(id).await.status, "done");
    }
    let states = "select count(*) from queue_workers where state = 'stopped'";
    assert_eq!(app.count(states).await, 2);
    app.finish().await;
}

#[tokio::test]
async fn sigquit_ends_a_worker_at_once() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let mut worker = app.work(WHOLE);
    app.until(id, |d| d.pages_done >= 1).await;
    worker.signal(Signal::SIGQUIT);
    let asked = Instant::now();
    assert_eq!(worker.exit().await.code(), Some(131));
    assert!(asked.elapsed() < Duration::from_secs(2));
    app.abandon("the worker ended at its job");
}

/// What a dead worker had is the next to be taken, however many wait.
#[tokio::test]
async fn what_a_dead_worker_had_goes_first() {
    let app = TestApp::new().await;
    let first = app.insert("first", &pages(12)).await;
    for i in 0..30 {
        app.insert(&format!("later {i}"), &pages(4)).await;
    }
    let worker = app.work(WHOLE);
    app.until(first, |d| d.pages_done >= 1).await;
    worker.signal(Signal::SIGKILL);
    let mut next = app.work(WHOLE);
    assert_eq!(app.finished(first).await.status, "done");
    // Some are done before the death is noticed.
    let before =
        "select count(*) from documents where finished_at < (select finished_at from documents where title = 'first')";
    assert!(app.count(before).await < 20);
    next.signal(Signal::SIGTERM);
    assert!(next.exit().await.success());
    app.finish().await;
}

/// Jobs whose worker has ended, or never was one of the process that it is named after, are named by `app check` and go back to the queue
/// without an attempt.
#[tokio::test]
async fn jobs_that_nobody_is_at_go_back() {
    let app = TestApp::new().await;
    let ids = [app.insert("a", &pages(1)).await, app.insert("b", &pages(1)).await, app.insert("c", &pages(1)).await];
    let held = "insert into worker_processes (host, pid, model, workers, ended_at, end_reason) values ('h', 1, 'default', '{}', now(), 'stopped');
        insert into apalis.workers (id, worker_type, storage_name, layers)
        select w, 'documents', 's', 'l' from unnest('{1:documents:ended,2:documents:earlier,1:documents:other}'::text[]) w;
        update apalis.jobs set status = 'Running', lock_at = now(), lock_by = '1:documents:ended' where job_document(job) = 1;
        update apalis.jobs set status = 'Queued', lock_at = now(), lock_by = '1:documents:other' where job_document(job) = 3;";
    sqlx::raw_sql(held).execute(&app.pool).await.unwrap();
    let mut check = app.start(&["check"], &[]);
    assert!(!check.exit().await.success());
    assert_eq!(check.log().matches("job without worker").count(), 2, "{}", check.log());
    let worker = app.work(&[]);
    for id in ids {
        assert_eq!(app.finished(id).await.status, "done", "{}", worker.log());
    }
    // One of a worker of this very process that has ended.
    let late = app.insert("d", &pages(1)).await;
    app.finished(late).await;
    app.settled().await;
    let again = "update documents set status = 'pending' where id = 4;
        update apalis.jobs set status = 'Running', lock_at = now(), lock_by = '2:documents:earlier' where status = 'Pending'";
    sqlx::raw_sql(again).execute(&app.pool).await.unwrap();
    assert_eq!(app.finished(late).await.status, "done", "{}", worker.log());
    app.settled().await;
    let spent = "select count(*) from job_attempts where outcome not in ('done', 'handed back')";
    assert_eq!(app.count(spent).await, 0);
    assert_eq!(app.count("select count(*) from apalis.jobs where attempts <> 1").await, 0);
    let mut check = app.start(&["check"], &[]);
    assert!(check.exit().await.success(), "{}", check.log());
    app.finish().await;
}

/// Whose lock is gone is dead at once, unless it went with the server that held it: then he has time to come back.
#[tokio::test]
async fn a_server_started_anew_gives_workers_time() {
    let app = TestApp::new().await;
    let reap = "select count(*) from reap_workers('0 s', '1 h')";
    assert_eq!(app.count(reap).await, 0);
    let known = "update reaper_looks set server_started_at = pg_postmaster_start_time() - interval '1 min'";
    for (is_new_server, dead) in [(true, 0), (false, 1)] {
        let worker = "insert into worker_processes (host, pid, model, workers) values ('h', 1, 'default', '{}')";
        sqlx::query(worker).execute(&app.pool).await.unwrap();
        if is_new_server {
            sqlx::query(known).execute(&app.pool).await.unwrap();
        }
        let looks = app.count(reap).await + app.count(reap).await;
        assert_eq!(looks, dead, "new server: {is_new_server}");
        sqlx::query("update worker_processes set ended_at = now(), end_reason = 'stopped' where ended_at is null")
            .execute(&app.pool)
            .await
            .unwrap();
        let old = "update reaper_looks set gap_until = now() - interval '1 min'";
        sqlx::query(old).execute(&app.pool).await.unwrap();
    }
    app.finish().await;
}
