//! A missing or wrong setting ends with one line that names it and the remedy, and shows no secret.

use crate::common::{App, skip};

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
        ("serve", vec![("MEDIA", "x")], "invalid value 'x' for '--media <WHERE>'"),
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
    app.abandon("the schema is gone");
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
    app.finish().await;
}

#[tokio::test]
async fn a_database_without_connections_is_told_from_a_dead_one() {
    let app = crate::common::TestApp::new().await;
    let few = "create role few login connection limit 2; grant all on all tables in schema public, apalis to few;
        grant usage on schema apalis to few";
    sqlx::raw_sql(few).execute(&app.pool).await.unwrap();
    let url = app.database_url().replace("postgres://app@", "postgres://few@");
    let mut server = app.start(&["serve"], &[("DATABASE_URL", url.as_str())]);
    let sum = server.find_in_log("at most ").await;
    assert_eq!(
        sum,
        "5 connections to PostgreSQL: 4 for requests, 1 that listens; it lets 2 in, of all processes together"
    );
    assert!(server.log().contains("lets in fewer; lower DATABASE_MAX_CONNECTIONS"), "{}", server.log());
    // The server has both.
    server.find_in_log("listening on ").await;
    app.until_count("select count(*) from pg_stat_activity where usename = 'few'", |connections| connections == 2)
        .await;
    let mut jobs = app.start(&["jobs", "list"], &[("DATABASE_URL", url.as_str())]);
    assert!(!jobs.exit().await.success());
    assert!(jobs.log().contains("PostgreSQL has no connection left; lower DATABASE_MAX_CONNECTIONS"), "{}", jobs.log());
    drop(server);
    sqlx::raw_sql("drop owned by few; drop role few").execute(&app.pool).await.unwrap();
    app.finish().await;
}

/// A PgBouncer in front of a database, which need not be installed.
#[tokio::test]
async fn a_pooler_is_refused() {
    let app = crate::common::TestApp::new().await;
    let options = app.pool.connect_options();
    let (socket, database) = (options.get_socket().unwrap().display().to_string(), options.get_database().unwrap());
    let folder = app.folder.path();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ini = |ignore: &str| {
        format!(
            "[databases]\n{database} = host={socket} user=app\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\npool_mode = transaction\nunix_socket_dir =\nignore_startup_parameters = {ignore}\n"
        )
    };
    for ignore in ["extra_float_digits", "extra_float_digits,options"] {
        let path = folder.join("pgbouncer.ini");
        std::fs::write(&path, ini(ignore)).unwrap();
        let mut command = std::process::Command::new("pgbouncer");
        if nix::unistd::Uid::effective().is_root() {
            // It does not run as root, and its user must reach the file.
            command = std::process::Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "pgbouncer"]);
        }
        let path_for_all = std::env::temp_dir().join(format!("pgbouncer-{port}.ini"));
        std::fs::copy(&path, &path_for_all).unwrap();
        let spawned =
            command.arg(&path_for_all).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
        let Ok(mut bouncer) = spawned else {
            app.abandon("nothing was done");
            return skip::skip("no pgbouncer here");
        };
        let started = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if bouncer.try_wait().unwrap().is_some() {
                app.abandon("nothing was done");
                return skip::skip("pgbouncer does not run here");
            }
            assert!(started.elapsed() < crate::common::PATIENCE);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let url = format!("postgres://app@127.0.0.1:{port}/{database}");
        let mut server = app.start(&["serve"], &[("DATABASE_URL", url.as_str())]);
        let ended = server.exit().await;
        bouncer.kill().unwrap();
        bouncer.wait().unwrap();
        std::fs::remove_file(&path_for_all).unwrap();
        assert!(!ended.success());
        assert!(
            server.log().contains("pooler") && server.log().contains("give the address of PostgreSQL itself"),
            "{}",
            server.log()
        );
    }
    app.finish().await;
}
