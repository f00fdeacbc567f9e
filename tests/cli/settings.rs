//! A missing or wrong setting ends with one line that names it and the remedy, and shows no secret.

use crate::common::App;

async fn error(args: &[&str], environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let mut app = App::start(args, environment, folder.path());
    assert!(!app.exit().await.success());
    app.log()
}

const S3: [(&str, &str); 4] = [
    ("AWS_STORAGE_BUCKET_NAME", "bkt"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ("AWS_S3_ENDPOINT_URL", "http://127.0.0.1:1"),
];

#[tokio::test]
async fn missing_and_wrong_settings_are_named() {
    let refused = ("DATABASE_URL", "postgres://me:s3cret@127.0.0.1:1/db");
    let bad_url = ("DATABASE_URL", "mysql//s3cret");
    let bad_endpoint = ("AWS_S3_ENDPOINT_URL", "127.0.0.1");
    for (command, environment, expected) in [
        ("serve", vec![], "AWS_STORAGE_BUCKET_NAME is not set"),
        ("serve", S3[..1].to_vec(), "AWS_ACCESS_KEY_ID is not set"),
        ("work", S3[..2].to_vec(), "AWS_SECRET_ACCESS_KEY is not set"),
        ("serve", S3.to_vec(), "DATABASE_URL is not set"),
        ("migrate", vec![], "DATABASE_URL is not set"),
        ("migrate", vec![bad_url], "DATABASE_URL is no PostgreSQL address"),
        ("migrate", vec![refused], "DATABASE_URL: no connection to 127.0.0.1/db"),
        ("serve", [&S3[..3], &[bad_endpoint]].concat(), "AWS_S3_ENDPOINT_URL=127.0.0.1 is no URL"),
        ("work", [&S3[..], &[("PDFIUM_LIB", "/nowhere.so")]].concat(), "PDFIUM_LIB=/nowhere.so is not a file"),
        ("serve", vec![("PORT", "x")], "invalid value 'x' for '--port <PORT>'"),
        ("work", vec![("WORKER_CONCURRENCY", "x")], "or WORKER_CONCURRENCY in the environment"),
    ] {
        let log = error(&[command], &environment).await;
        assert!(log.contains(expected), "{command} {environment:?}: {log}");
        assert!(!log.contains("s3cret"), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_database_without_schema_is_told_from_a_dead_one() {
    let app = crate::common::TestApp::new().await;
    sqlx::raw_sql("drop table documents, models cascade").execute(&app.pool).await.unwrap();
    for command in ["serve", "work"] {
        let mut process = app.start(&[command], &[]);
        assert!(!process.exit().await.success());
        assert!(process.log().contains("run") && process.log().contains("`app migrate`"), "{}", process.log());
    }
}

#[tokio::test]
async fn migrate_makes_schema_and_bucket_and_may_run_again() {
    let app = crate::common::TestApp::new().await;
    sqlx::raw_sql("drop schema public cascade; drop schema apalis cascade; create schema public")
        .execute(&app.pool)
        .await
        .unwrap();
    let bucket = [("AWS_STORAGE_BUCKET_NAME", "another")];
    for _ in 0..2 {
        let mut migrate = app.start(&["migrate", "--create-bucket"], &bucket);
        assert!(migrate.exit().await.success(), "{}", migrate.log());
    }
    let server = app.serve(&bucket).await;
    let ready = server.url.as_deref().unwrap().replace("/api/create/", "/readyz");
    assert_eq!(reqwest::get(ready).await.unwrap().status(), 200);
}
