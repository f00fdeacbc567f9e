//! A child process that ends with us, whatever ends us.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use tokio::sync::watch;

/// A process on a thread of its own, since the kernel ties "my parent has died" to the thread that forked.
pub struct Guarded {
    pid: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
}

impl Guarded {
    /// Starts a command that gets `death_signal` when this process ends.
    pub fn spawn(mut command: Command, death_signal: Signal) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        die_with_parent(&mut command, death_signal);
        let (started, start) = mpsc::channel();
        let (sender, exited) = watch::channel(None);
        std::thread::Builder::new().name("child".into()).spawn(move || {
            let child = command.spawn();
            let _ =
                started.send(child.as_ref().map(|c| c.id()).map_err(|e| std::io::Error::new(e.kind(), e.to_string())));
            if let Ok(mut child) = child
                && let Ok(status) = child.wait()
            {
                let _ = sender.send(Some(status));
            }
        })?;
        let pid = start.recv()?.with_context(|| program)?;
        Ok(Self { pid: Pid::from_raw(pid as i32), exited })
    }

    /// The status, once it has ended.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.exited.borrow()
    }

    pub async fn wait(&mut self) -> Option<ExitStatus> {
        let _ = self.exited.wait_for(Option::is_some).await;
        self.status()
    }

    /// Sends one signal after the other, each with its time to take effect; SIGKILL comes last.
    pub async fn stop(&mut self, steps: &[(Signal, Duration)]) {
        for (signal, time) in steps.iter().chain(&[(Signal::SIGKILL, Duration::from_secs(5))]) {
            if self.status().is_some() {
                return;
            }
            let _ = kill(self.pid, *signal);
            let _ = tokio::time::timeout(*time, self.wait()).await;
        }
    }
}

/// The child gets `signal` when the thread that starts it ends, and none that a terminal sends to our process group.
pub fn die_with_parent(command: &mut Command, signal: Signal) {
    command.process_group(0);
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only prctl and getppid are called, which are async-signal-safe, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(signal)?;
            if getppid() != parent {
                return Err(Errno::ESRCH.into());
            }
            Ok(())
        });
    }
}
