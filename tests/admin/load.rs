//! Pages ask the database as often for many documents as for one.

use std::path::{Path, PathBuf};

use docreader::accounts::Role;
use sqlx::{AssertSqlSafe, PgPool};

use crate::common::TestApp;
use crate::person::{Person, add_user};

/// Statements of any page, with those for the session.
const MOST: usize = 12;

/// 300 documents that wait, one of 200 pages with 8,000 regions that is done, and one that has failed; ids 302 and 303.
const FILL: &str = "
    insert into models (name, sha256, classes) values ('default', repeat('ab', 32), '{text,title}');
    insert into documents (title, object_key) select 'Document ' || n, 'media/' || n || '.pdf' from generate_series(1, 301) n;
    insert into documents (title, object_key) values ('Large', 'media/large.pdf'), ('Broken', 'media/broken.pdf');
    update documents set status = 'processing', model_id = 1, page_count = 200, pages_in_file = 200, started_at = now(), size = 5,
        sha256 = repeat('cd', 32) where id = 302;
    insert into pages (document_id, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, image_key, render_ms, detect_ms)
    select 302, 1, n, 612, 792, 1700, 2200, format('results/302/run-1/page-%s/overlay.png', n),
        format('results/302/run-1/page-%s/page.png', n), 5, 80 from generate_series(1, 200) n;
    insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px)
    select p.id, o, o % 2, case o % 2 when 0 then 'text' else 'title' end, 0.9, 1, 2, 3, 4, 10, 20, 30 + o, 40
    from pages p cross join generate_series(0, 39) o;
    update documents set status = 'done', pages_done = 200, finished_at = now() where id = 302;
    update documents set status = 'failed', error = 'The file is empty (0 bytes).', error_code = 'empty_file', finished_at = now()
        where id = 303;
    analyze";

/// The log of this test binary's PostgreSQL.
fn log() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pg-{}", std::process::id())).join("postgres.log")
}

/// Has the statements logged of whoever connects to this database from now on.
async fn log_statements(pool: &PgPool) {
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(pool).await.unwrap();
    let alter = format!("alter database {name} set log_statement = 'all'");
    sqlx::raw_sql(AssertSqlSafe(alter)).execute(pool).await.unwrap();
}

/// Statements that are in the log since it had this length.
fn statements(since: u64) -> Vec<String> {
    let text = std::fs::read(log()).unwrap();
    let text = String::from_utf8_lossy(&text[since as usize..]).into_owned();
    let mut all = vec![];
    for line in text.lines() {
        let statement = line.split_once("LOG:  ").map(|(_, rest)| rest);
        match statement.filter(|s| s.starts_with("execute ") || s.starts_with("statement: ")) {
            Some(statement) => all.push(statement.to_owned()),
            None => all.last_mut().into_iter().for_each(|last| last.push_str(line)),
        }
    }
    all
}

#[tokio::test]
async fn the_number_of_statements_is_bounded() {
    let app = TestApp::new().await;
    sqlx::raw_sql(FILL).execute(&app.pool).await.unwrap();
    add_user(&app, "ada", Role::Admin).await;
    log_statements(&app.pool).await;
    let server = app.serve(&[]).await;
    let ada = Person::logged_in(&server, "ada").await;
    let mut faults = vec![];
    for path in [
        "/",
        "/admin/documents/",
        "/admin/documents/?title=Document&status=pending",
        "/admin/upload/",
        "/admin/documents/1/",
        "/admin/documents/302/",
        "/admin/documents/302/?page=200",
        "/admin/documents/303/",
        "/admin/queue/",
        "/admin/models/",
        "/admin/users/",
        "/admin/tokens/",
        "/admin/audit/",
        "/admin/settings/",
        "/admin/account/",
    ] {
        ada.html(path).await;
        // The server also asks by itself now and then, so the quietest of a few counts.
        let mut least: Option<Vec<String>> = None;
        for _ in 0..3 {
            let since = log().metadata().unwrap().len();
            ada.html(path).await;
            let asked = statements(since);
            if least.as_ref().is_none_or(|least| asked.len() < least.len()) {
                least = Some(asked);
            }
        }
        let least = least.unwrap();
        println!("{path}: {} statements", least.len());
        assert!(!least.is_empty(), "the log says nothing of {path}, not even of the session");
        if least.len() > MOST {
            faults.push(format!("{path}: {} statements\n  {}", least.len(), least.join("\n  ")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    app.abandon("its documents have no objects");
}
