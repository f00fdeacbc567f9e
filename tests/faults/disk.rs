//! A worker whose temporary folder is full.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{TestApp, fixture, skip};

/// Runs a program with a small disk of its own at `$1`, as far as the system lets a user make one.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=4m tmpfs "$1" && shift && exec "$@""#;

#[tokio::test]
async fn a_full_disk_is_waited_for() {
    // Others than root need a namespace in which they are.
    let flags = if nix::unistd::Uid::effective().is_root() { "-m" } else { "-Urm" };
    let can = std::process::Command::new("unshare").args([flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        return skip::skip("this machine lets nobody mount");
    }
    let app = TestApp::new().await;
    let disk = app.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    let launcher = ["unshare", flags, "sh", "-c", SMALL_DISK, "sh", disk];
    let mut worker = app.start_by(&launcher, &["work"], &[("TMPDIR", disk)]);
    worker.find_in_log("waiting for ").await;
    let full = format!("/proc/{}/root{disk}/full", worker.pid());
    let written = std::fs::write(&full, vec![0; 4 << 20]);
    assert!(written.is_err() || std::fs::metadata(&full).unwrap().len() == 4 << 20);
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let started = Instant::now();
    while app.count("select count(*) from job_attempts where outcome = 'failed'").await == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", worker.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error: String = sqlx::query_scalar("select error from job_attempts").fetch_one(&app.pool).await.unwrap();
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(app.state(id).await.status, "pending");
    std::fs::remove_file(&full).unwrap();
    app.until(id, |d| d.pages_done > 0).await;
    // Nothing with a name lies there, even now.
    let left = std::fs::read_dir(format!("/proc/{}/root{disk}", worker.pid())).unwrap().count();
    assert_eq!(left, 0);
    worker.signal(Signal::SIGTERM);
    assert!(worker.exit().await.success());
    app.finish().await;
}
