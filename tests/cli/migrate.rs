//! `app migrate` brings any older schema to what this version has, beside servers that run, and leaves a current one alone.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::common::{PATIENCE, TestApp};

/// What a program would find: definitions of functions, triggers and views, and the columns of tables.
const DEFINITIONS: &str = "
    select string_agg(definition, e'\\n' order by definition) from (
        select pg_get_functiondef(p.oid) from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
            and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        union all
        select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
        union all
        select c.relname || ': ' || pg_get_viewdef(c.oid) from pg_class c
        where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace
        union all
        select format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
        from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
    ) all_of_them (definition)";

/// Which transactions wrote them.
const WRITTEN: &str = "
    select concat(
        (select max(xmin::text::bigint) from pg_proc), ' ', (select max(xmin::text::bigint) from pg_trigger), ' ',
        (select max(xmin::text::bigint) from pg_rewrite), ' ', (select max(xmin::text::bigint) from pg_attribute))";

async fn text(pool: &PgPool, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn migrate(app: &TestApp) {
    let mut migrate = app.start(&["migrate"], &[]);
    assert!(migrate.exit().await.success(), "{}", migrate.log());
}

#[tokio::test]
async fn a_current_schema_is_left_alone() {
    let app = TestApp::new().await;
    let before = text(&app.pool, WRITTEN).await;
    // Nothing that the tables' users hold is waited for.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table documents, apalis.jobs in row exclusive mode").execute(&mut *tx).await.unwrap();
    migrate(&app).await;
    tx.rollback().await.unwrap();
    assert_eq!(text(&app.pool, WRITTEN).await, before);
    app.finish().await;
}

#[tokio::test]
async fn an_older_schema_is_refused_until_it_is_brought_up_to_date() {
    let app = TestApp::new().await;
    let current = text(&app.pool, DEFINITIONS).await;
    sqlx::raw_sql(
        "create or replace function max_attempts(queue text) returns integer language sql immutable as 'select 1';
         drop trigger docreader_guard_job on apalis.jobs;
         drop view document_progress;
         update applied_sql set sha256 = repeat('0', 64)",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    for command in ["serve", "work"] {
        let mut process = app.start(&[command], &[]);
        assert!(!process.exit().await.success());
        assert!(process.log().contains("older than this program; run `app migrate` first"), "{}", process.log());
    }
    migrate(&app).await;
    assert_eq!(text(&app.pool, DEFINITIONS).await, current);

    // A later version has migrated meanwhile: this one may go on beside it.
    sqlx::raw_sql("insert into applied_sql (sha256) values (repeat('1', 64))").execute(&app.pool).await.unwrap();
    let _server = app.serve(&[]).await;
    app.finish().await;
}

#[tokio::test]
async fn a_database_of_the_time_before_the_files_is_upgraded() {
    let app = TestApp::new().await;
    let current = text(&app.pool, DEFINITIONS).await;
    let folder = tempfile::tempdir().unwrap();
    for file in Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").read_dir().unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().unwrap() < "0012" {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    sqlx::raw_sql("drop schema public cascade; drop schema apalis cascade; create schema public")
        .execute(&app.pool)
        .await
        .unwrap();
    apalis_postgres::PostgresStorage::setup(&app.pool).await.unwrap();
    sqlx::migrate::Migrator::new(folder.path()).await.unwrap().run(&app.pool).await.unwrap();
    sqlx::raw_sql(
        "insert into documents (title, object_key) values ('old', 'media/old.pdf');
         insert into job_attempts (job_id, queue, document_id, outcome) values ('1', 'documents', 1, 'worker died')",
    )
    .execute(&app.pool)
    .await
    .unwrap();

    migrate(&app).await;
    assert_eq!(text(&app.pool, DEFINITIONS).await, current);
    let attempts = docreader::queue::attempts(&app.pool, 1).await.unwrap();
    assert_eq!(attempts[0].outcome, docreader::queue::AttemptOutcome::WorkerDied);
    let _server = app.serve(&[]).await;
    app.abandon("its document has no file");
}

#[tokio::test]
async fn migrations_wait_for_those_who_work_and_for_each_other() {
    let app = TestApp::new().await;
    sqlx::raw_sql("delete from applied_sql; drop trigger documents_event on documents")
        .execute(&app.pool)
        .await
        .unwrap();
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::raw_sql("insert into documents (title, object_key) values ('a', 'media/a.pdf')")
        .execute(&mut *tx)
        .await
        .unwrap();
    let mut both = [app.start(&["migrate"], &[]), app.start(&["migrate"], &[])];
    let waits = "select count(*) from pg_locks where not granted and relation = 'apalis.jobs'::regclass";
    let started = Instant::now();
    while app.count(waits).await == 0 {
        assert!(started.elapsed() < PATIENCE, "no migration waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Whoever works waits for a moment, and gets what it wants: the migration gives way.
    sqlx::raw_sql("update documents set priority = 1").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    for migrate in &mut both {
        assert!(migrate.exit().await.success(), "{}", migrate.log());
    }
    assert_eq!(app.count("select count(*) from applied_sql").await, 1);
    assert_eq!(app.count("select count(*) from pg_trigger where tgname = 'documents_event'").await, 1);
    app.abandon("its document has no file");
}

/// The names of the enum are those of the domain.
#[tokio::test]
async fn the_program_knows_how_attempts_end() {
    let app = TestApp::new().await;
    let check = "select pg_get_constraintdef(oid) from pg_constraint where contypid = 'attempt_outcome'::regtype";
    let check = text(&app.pool, check).await;
    let names: Vec<&str> = check.split('\'').skip(1).step_by(2).collect();
    assert_eq!(names, docreader::queue::AttemptOutcome::ALL.map(|outcome| outcome.name()));
    app.finish().await;
}
