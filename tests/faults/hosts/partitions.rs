//! What happens when hosts lose each other.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::stand::Stand;
use super::{Loss, address};
use crate::common::{PATIENCE, skip};

/// Two hosts lose each other for a while with four documents in hand; all are done soon after, and nothing is stuck.
async fn partition(a: &str, b: &str, loss: Loss, seconds: u64) {
    let Some(mut stand) = Stand::new().await else { return };
    stand.busy().await;
    stand.hosts.cut(a, b, loss);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stand.hosts.heal(a, b, loss);
    let took = stand.calm().await;
    let outcomes: Vec<(String, i64)> =
        sqlx::query_as("select outcome, count(*) from job_attempts group by 1 order by 1")
            .fetch_all(&stand.app.pool)
            .await
            .unwrap();
    println!("{a} and {b} apart for {seconds} s, {loss:?}: all done {:.1} s later, {outcomes:?}", took.as_secs_f64());
    let computed = stand.app.computed_in(took).await;
    assert!(took < Duration::from_secs(30) + computed, "{took:?}, {computed:?}");
    assert!(outcomes.iter().all(|(outcome, _)| outcome != "failed"), "no attempt was one");
    // The worker that was away works on.
    stand.app.insert("after", &crate::common::pdf::pages(1)).await;
    let kept = match a.starts_with('w') {
        true => stand.workers.swap_remove(if a == "w1" { 0 } else { 1 }),
        false => stand.workers.swap_remove(0),
    };
    stand.workers.clear();
    stand.app.until(5, |d| d.status == "done").await;
    stand.finish().await;
    drop(kept);
}

#[tokio::test]
async fn a_worker_without_its_database() {
    // Shorter than the time after which PostgreSQL gives a connection up, and longer.
    partition("w1", "db", Loss::Both, 12).await;
    partition("w1", "db", Loss::Both, 50).await;
}

#[tokio::test]
async fn a_worker_that_hears_its_database_only() {
    partition("w1", "db", Loss::OneWay, 35).await;
}

#[tokio::test]
async fn workers_without_their_bucket() {
    partition("w1", "s3", Loss::Both, 30).await;
}

/// All pairs, for the times that are asked for.
#[tokio::test]
async fn all_partitions() {
    if std::env::var_os("PARTITIONS").is_none() {
        return skip::skip("PARTITIONS is not set");
    }
    for seconds in std::env::var("PARTITIONS").iter().flat_map(|list| list.split(',')) {
        let seconds = seconds.parse().unwrap();
        for (a, b, loss) in
            [("w1", "db", Loss::Both), ("w1", "db", Loss::OneWay), ("db", "w1", Loss::OneWay), ("w1", "s3", Loss::Both)]
        {
            partition(a, b, loss, seconds).await;
        }
    }
}

/// Follows a document on the server's host, as browsers do: a stream that ends early is asked for again from where it was.
fn follow(stand: &Stand, url: &str, id: i64) -> JoinHandle<Vec<String>> {
    let url = format!("{}/api/v1/documents/{id}/events", url.trim_end_matches("/api/create/"));
    stand.hosts.on("web", move || async move {
        let client = reqwest::Client::builder().read_timeout(Duration::from_secs(60)).build().unwrap();
        let (mut events, mut last) = (vec![], 0);
        let started = Instant::now();
        while events.last().is_none_or(|event| event != "done") && started.elapsed() < PATIENCE {
            let request = client.get(&url).header("Last-Event-ID", last.to_string());
            let mut text = String::new();
            let answered = request.send().await.and_then(reqwest::Response::error_for_status);
            let Ok(mut stream) = answered else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            while let Ok(Some(chunk)) = stream.chunk().await {
                text += std::str::from_utf8(&chunk).unwrap();
                let whole = text.rfind("\n\n").map_or(0, |end| end + 2);
                for line in text.drain(..whole).collect::<String>().lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => last = id.parse().unwrap(),
                        Some(("event", event)) => events.push(event.to_owned()),
                        _ => {}
                    }
                }
            }
        }
        events
    })
}

/// What the server answers, asked from its own host.
async fn ask(stand: &Stand, url: &str, path: &str) -> Option<u16> {
    let url = format!("{}{path}", url.trim_end_matches("/api/create/"));
    let asked = stand.hosts.on("web", move || async move {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        client.get(url).send().await.ok().map(|response| response.status().as_u16())
    });
    tokio::task::spawn_blocking(|| asked.join().unwrap()).await.unwrap()
}

/// How long until the server answers as it should.
async fn recovery(stand: &Stand, url: &str) -> Duration {
    let started = Instant::now();
    while ask(stand, url, "/api/v1/documents").await != Some(200) {
        assert!(started.elapsed() < Duration::from_secs(60), "the server does not recover");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    started.elapsed()
}

/// A database that moves, and one that is silent: the server and the workers find it again by themselves.
#[tokio::test]
async fn a_database_that_moves() {
    let Some(mut stand) = Stand::new().await else { return };
    let mut server = stand.start("web", "serve");
    let url = server.find_in_log("listening on ").await;
    assert!(url.contains(&address("web")), "{url}");
    assert_eq!(ask(&stand, &url, "/api/v1/documents").await, Some(200));
    stand.busy().await;

    stand.hosts.cut("web", "db", Loss::Both);
    let asked = Instant::now();
    assert_eq!(ask(&stand, &url, "/api/v1/documents").await, Some(503));
    assert!(asked.elapsed() < Duration::from_secs(35), "{:?}", asked.elapsed());
    assert_eq!(ask(&stand, &url, "/healthz").await, Some(200));
    tokio::time::sleep(Duration::from_secs(5)).await;
    stand.hosts.heal("web", "db", Loss::Both);
    let heard = recovery(&stand, &url).await;

    // Somebody follows a document and hears of its end through the new database.
    let follower = follow(&stand, &url, 4);
    stand.move_database().await;
    let moved = Instant::now();
    let answers = recovery(&stand, &url).await;
    let took = stand.calm().await;
    println!(
        "server after a partition: {:.1} s; after the move: server {:.1} s, all done {:.1} s",
        heard.as_secs_f64(),
        answers.as_secs_f64(),
        moved.elapsed().as_secs_f64()
    );
    let computed = stand.app.computed_in(took).await;
    assert!(took < Duration::from_secs(50) + computed, "{took:?}, {computed:?}");
    let events = tokio::task::spawn_blocking(|| follower.join().unwrap()).await.unwrap();
    assert_eq!((events.iter().filter(|e| *e == "page").count(), events.last().map(String::as_str)), (6, Some("done")));
    // One who waits is told, not only at the next look, which is 15 s later.
    let id = stand.app.insert("after", &crate::common::pdf::pages(1)).await;
    let (waits, over) = tokio::join!(
        async { (ask(&stand, &url, &format!("/api/v1/documents/{id}?wait=25")).await, Instant::now()) },
        async { (stand.app.finished(id).await.status, Instant::now()) },
    );
    assert_eq!((waits.0, over.0.as_str()), (Some(200), "done"));
    assert!(waits.1.saturating_duration_since(over.1) < Duration::from_secs(5));
    let spent = "select concat_ws(': ', outcome, error) from job_attempts where outcome not in ('done', 'handed back')";
    let spent: Vec<String> = sqlx::query_scalar(spent).fetch_all(&stand.app.pool).await.unwrap();
    assert_eq!(spent, [] as [&str; 0]);
    stand.finish().await;
}
