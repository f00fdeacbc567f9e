//! Many documents: what is asked costs no more than what is answered.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::client::Api;
use crate::common::{PATIENCE, TestApp};

/// Documents with jobs, as if they had been there for long; the last hundred wait.
async fn fill(pool: &PgPool, count: i64) {
    let sql = "set session_replication_role = replica;
        insert into models (name, sha256, classes) values ('default', repeat('ab', 32), '{text}');
        insert into documents (title, object_key, status, page_count, pages_done, model_id, created_at, finished_at)
        select 'Paper ' || md5(g::text) || case when g % 1000 = 1 then ' Needle' else '' end, 'media/' || g || '.pdf',
            case when g > COUNT - 100 then 'pending' else 'done' end::document_status, case when g <= COUNT - 100 then 1 end,
            case when g > COUNT - 100 then 0 else 1 end, 1, now() - (COUNT - g) * interval '1 min', now()
        from generate_series(1, COUNT) g;
        insert into apalis.jobs (id, job_type, job, status, max_attempts, run_at, done_at, idempotency_key)
        select apalis.generate_ulid(), 'documents', convert_to(jsonb_build_object('document_id', id)::text, 'UTF8'),
            case when status = 'pending' then 'Pending' else 'Done' end, 5, created_at, finished_at, 'document:' || id
        from documents order by id;
        analyze;";
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.replace("COUNT", &count.to_string()))).execute(pool).await.unwrap();
    sqlx::raw_sql("set session_replication_role = origin").execute(pool).await.unwrap();
}

/// Rows of documents and jobs that were read so far, once the server's counts have come in.
async fn rows_read(pool: &PgPool) -> i64 {
    let sql = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables where relname in ('documents', 'jobs')";
    let (mut last, mut since) = (-1, Instant::now());
    while since.elapsed() < Duration::from_millis(2500) {
        let now: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    last
}

#[tokio::test]
async fn lists_read_what_they_show() {
    const COUNT: i64 = 30_000;
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    fill(&app.pool, COUNT).await;
    let before = rows_read(&app.pool).await;
    let first = |list: &Value| list["documents"][0]["id"].as_i64();
    assert_eq!(first(&api.get("/documents").await), Some(COUNT));
    assert_eq!(first(&api.get("/documents?sort=oldest").await), Some(1));
    assert_eq!(first(&api.get("/documents?status=done").await), Some(COUNT - 100));
    assert_eq!(api.get("/documents?status=failed").await["documents"], json!([]));
    assert_eq!(first(&api.get("/documents?cursor=15000").await), Some(14_999));
    let needles = api.get("/documents?title=needle&limit=200").await;
    assert_eq!((first(&needles), needles["documents"].as_array().unwrap().len()), (Some(29_001), 30));
    let date: String = sqlx::query_scalar("select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from documents where id = 20000")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let dated = api.get(&format!("/documents?created_before={date}&limit=3")).await;
    assert_eq!(first(&dated), Some(19_999));
    let next = dated["next_cursor"].as_str().unwrap();
    assert_eq!(first(&api.get(&format!("/documents?created_before={date}&limit=3&cursor={next}")).await), Some(19_996));
    assert_eq!(api.get(&format!("/documents/{COUNT}")).await["queue_position"], 100);
    assert_eq!(api.get("/queue").await["ready"], 100);
    let read = rows_read(&app.pool).await - before;
    assert!(read < COUNT / 4, "{read} rows are read");
    app.abandon("thousands of documents have no file");
}

#[tokio::test]
async fn one_letter_is_looked_for_in_parts() {
    const COUNT: i64 = 12_000;
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    fill(&app.pool, COUNT).await;
    sqlx::raw_sql("update documents set title = 'Ωμ' where id in (3, 4000, 11999)").execute(&app.pool).await.unwrap();
    for (sort, expected) in [("newest", [11_999, 4000, 3]), ("oldest", [3, 4000, 11_999])] {
        let (mut found, mut cursor, mut parts) = (vec![], String::new(), 0);
        loop {
            let list = api.get(&format!("/documents?title=%CE%A9%CE%BC&sort={sort}{cursor}")).await;
            found.extend(list["documents"].as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()));
            parts += 1;
            let Some(next) = list["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((found.as_slice(), parts), (&expected[..], 13), "{sort}");
    }
    app.abandon("thousands of documents have no file");
}

#[tokio::test]
async fn all_documents_are_sent_bit_by_bit() {
    const COUNT: i64 = 60_000;
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    fill(&app.pool, COUNT).await;
    let url = api.base.replace("/api/v1", "/api/create/");
    let small = api.server.peak_rss_mb();
    let mut slow = api.client.get(&url).send().await.unwrap();
    assert_eq!(slow.headers()["content-type"], "application/json");
    // While the client has not read it, it gets no second one; others, and other requests, are served.
    let second = api.client.get(&url).send().await.unwrap();
    assert_eq!(
        (second.status(), &second.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    let asked = Instant::now();
    assert_eq!(api.client.get(url.replace("/api/create/", "/healthz")).send().await.unwrap().status(), StatusCode::OK);
    assert!(asked.elapsed() < Duration::from_secs(1));
    let mut text = vec![];
    while let Some(chunk) = slow.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    let list: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(list.len() as i64, COUNT);
    assert_eq!(list[59_999], json!({"title": list[59_999]["title"], "file": app.storage.url("media/60000.pdf")}));
    let plain = String::from_utf8(text).unwrap();
    let compact = |d: &Value| format!("{{\"title\":{},\"file\":{}}}", d["title"], d["file"]);
    assert!(plain == format!("[{}]", list.iter().map(compact).collect::<Vec<_>>().join(",")), "as one text");
    let head = api.client.head(&url).send().await.unwrap();
    assert_eq!((head.status(), head.bytes().await.unwrap().len()), (StatusCode::OK, 0));
    let indented = api.client.get(&url).header("Accept", "application/json; indent=4").send().await.unwrap();
    let indented = indented.text().await.unwrap();
    assert!(indented.starts_with("[\n    {\n        \"title\"") && indented.ends_with("\"\n    }\n]"));
    assert_eq!(serde_json::from_str::<Vec<Value>>(&indented).unwrap(), list);
    let packed = api.client.get(&url).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(packed.bytes().await.unwrap().len() * 2 < plain.len());
    let grown = api.server.peak_rss_mb() - small;
    assert!(grown < 25, "{grown} MB more");
    app.abandon("thousands of documents have no file");
}

#[tokio::test]
async fn old_events_come_at_once() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let id = app.insert("followed", b"x").await;
    let events =
        "insert into document_events (document_id, kind, data) select 1, 'page', '{}' from generate_series(1, 2500);
        insert into document_events (document_id, kind, data) values (1, 'done', '{}')";
    sqlx::raw_sql(events).execute(&app.pool).await.unwrap();
    let asked = Instant::now();
    let text = api.send(Method::GET, &format!("/documents/{id}/events")).await.text().await.unwrap();
    assert_eq!(text.matches("event: ").count(), 2502);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // Those that nobody will follow again are removed, but for the end.
    sqlx::raw_sql("update document_events set created_at = now() - interval '9 days'")
        .execute(&app.pool)
        .await
        .unwrap();
    let keep =
        docreader::queue::Retention { done: Duration::from_secs(7 * 86_400), dead: Duration::from_secs(30 * 86_400) };
    docreader::queue::prune(&app.pool, keep).await.unwrap();
    let kinds: Vec<String> = sqlx::query_scalar("select kind from document_events").fetch_all(&app.pool).await.unwrap();
    assert_eq!(kinds, ["done"]);
    app.finish().await;
}

/// Connections of the server that are at work.
async fn at_work(app: &TestApp) -> i64 {
    app.count(
        "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
             and query like '%from documents%'",
    )
    .await
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_query() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let mut lock = app.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table documents in access exclusive mode").execute(&mut *lock).await.unwrap();
    let (client, url) = (api.client.clone(), format!("{}/documents", api.base));
    let asking = tokio::spawn(async move { client.get(url).send().await });
    let started = Instant::now();
    while at_work(&app).await == 0 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asking.abort();
    let gone = Instant::now();
    while at_work(&app).await > 0 {
        assert!(gone.elapsed() < Duration::from_secs(15), "its query still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lock.rollback().await.unwrap();
    assert_eq!(api.get("/documents").await["documents"], json!([]));
    app.finish().await;
}
