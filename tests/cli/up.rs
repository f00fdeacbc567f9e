//! `app up`: everything on one machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, StatusCode};
use sqlx::PgPool;

use crate::common::{App, PATIENCE, sample};

struct Up {
    app: App,
    api: String,
    data: PathBuf,
}

fn start(folder: &Path, data: &Path) -> App {
    let environment = [("PORT", "0"), ("S3_PORT", "0"), ("DATA_DIR", data.to_str().unwrap()), ("MODEL_DEVICE", "cpu")];
    App::start(&["up"], environment.map(|(k, v)| (k.to_owned(), v.to_owned())), folder)
}

impl Up {
    async fn start(folder: &Path, data: &Path) -> Self {
        let mut app = start(folder, data);
        let api = app.find_in_log("listening on ").await;
        Self { app, api, data: data.to_owned() }
    }

    /// Returns the URL of the file.
    async fn upload(&self, title: &str) -> String {
        let part = reqwest::multipart::Part::bytes(sample()).file_name("a.pdf");
        let form = reqwest::multipart::Form::new().text("title", title.to_owned()).part("file", part);
        let response = Client::new().post(&self.api).multipart(form).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        response.json::<serde_json::Value>().await.unwrap()["file"].as_str().unwrap().to_owned()
    }

    /// The file and the pictures of the first document come through the one port.
    async fn opens(&self, file: &str) {
        let host = self.api.trim_end_matches("/api/create/");
        assert_eq!(file, format!("{host}/media/a.pdf"));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let file = client.get(file).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK);
        assert!(file.bytes().await.unwrap() == sample());
        for picture in ["image", "overlay"] {
            let url = format!("{host}/api/v1/documents/1/pages/1/{picture}");
            let picture = client.get(url).send().await.unwrap();
            assert_eq!(
                (picture.status(), picture.headers()["content-type"].as_bytes()),
                (StatusCode::OK, &b"image/png"[..])
            );
            image::load_from_memory(&picture.bytes().await.unwrap()).unwrap();
        }
    }

    async fn finish(&self, documents: i64) {
        let url = format!("postgres://app@localhost/app?host={}/pg/run", self.data.display());
        let pool = PgPool::connect(&url).await.unwrap();
        let started = Instant::now();
        loop {
            let done: i64 = sqlx::query_scalar("select count(*) from documents where status = 'done'")
                .fetch_one(&pool)
                .await
                .unwrap();
            if done == documents {
                return pool.close().await;
            }
            assert!(started.elapsed() < PATIENCE, "{done} of {documents} done: {}", self.app.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(mut self) {
        self.app.signal(Signal::SIGTERM);
        assert!(self.app.exit().await.success(), "{}", self.app.log());
        assert!(self.app.log().ends_with("stopped\n"));
        assert!(!self.data.join("pg/data/postmaster.pid").exists(), "PostgreSQL was not stopped cleanly");
    }
}

/// All descendants of a process.
fn family(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut next = 0;
    while next < all.len() {
        let path = format!("/proc/{}/task", all[next]);
        for task in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|c| c.parse::<i32>().ok()));
        }
        next += 1;
    }
    all
}

#[tokio::test]
async fn it_survives_sigkill_of_everything_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    // Closed to other users, as root's home is: PostgreSQL must run in there all the same, root or not.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = folder.path().join("some where/data");
    let up = Up::start(folder.path(), &data).await;
    let file = up.upload("first").await;
    up.finish(1).await;
    up.opens(&file).await;

    let mut second = start(folder.path(), &data);
    assert!(!second.exit().await.success());
    assert!(second.log().contains("another `app up` runs on"), "{}", second.log());

    up.upload("second").await;
    for pid in family(up.app.pid()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    drop(up);
    let up = Up::start(folder.path(), &data).await;
    up.upload("third").await;
    up.finish(3).await;
    up.stop().await;
}

#[tokio::test]
async fn sigkill_of_app_up_alone_ends_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path(), &folder.path().join("data")).await;
    let children: Vec<i32> = family(up.app.pid()).into_iter().skip(1).collect();
    assert!(children.len() >= 3, "server, worker and PostgreSQL: {children:?}");
    up.app.signal(Signal::SIGKILL);
    let started = Instant::now();
    while let Some(pid) = children.iter().find(|p| is_running(**p)) {
        assert!(started.elapsed() < PATIENCE, "process {pid} outlives `app up`");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A zombie that nobody has collected yet does not count.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}
