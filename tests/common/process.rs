//! Processes of the `app` binary.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;

/// A running `app`; it is killed when dropped.
pub struct App {
    child: Child,
    log: PathBuf,
    pub url: Option<String>,
}

impl App {
    pub fn start(args: &[&str], environment: impl IntoIterator<Item = (String, String)>, folder: &Path) -> Self {
        Self::start_by(&[], args, environment, folder)
    }

    /// By another program, which is to replace itself by the app.
    pub fn start_by(
        launcher: &[&str],
        args: &[&str],
        environment: impl IntoIterator<Item = (String, String)>,
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{}.log", uuid::Uuid::new_v4()));
        let file = File::create(&log).unwrap();
        let words: Vec<&str> =
            launcher.iter().copied().chain([env!("CARGO_BIN_EXE_app")]).chain(args.iter().copied()).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log, url: None }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|error| format!("no log: {error}"))
    }

    /// Waits for a line that holds `marker` and returns the word behind it.
    pub async fn find_in_log(&mut self, marker: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(marker)
                && let Some((word, _)) = rest.split_once('\n')
            {
                return word.to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "no {marker:?} in: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn exit(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Processes that this one has started and that still run.
    pub fn children(&self) -> Vec<i32> {
        let path = format!("/proc/{0}/task", self.pid());
        let tasks = std::fs::read_dir(path).into_iter().flatten().flatten();
        let read = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        tasks
            .flat_map(|task| read(task).split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    pub fn rss_mb(&self) -> u64 {
        rss_mb(self.pid())
    }

    pub fn peak_rss_mb(&self) -> u64 {
        memory_mb(self.pid(), "VmHWM:")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the app ---\n{}", self.log());
        }
    }
}

/// Resident memory of a process, in MiB.
pub fn rss_mb(pid: i32) -> u64 {
    memory_mb(pid, "VmRSS:")
}

fn memory_mb(pid: i32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
