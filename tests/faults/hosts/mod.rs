//! Several hosts on one machine: network namespaces around a router that loses what it is told to. `PARTITIONS=20,60,90,150` tries
//! all pairs for so many seconds.

mod partitions;
mod stand;
mod storm;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// One network each: `10.77.N.2`, N from 1.
const HOSTS: [&str; 6] = ["db", "s3", "web", "w1", "w2", "new"];

/// Namespaces; they end with this.
pub struct Hosts {
    prefix: String,
}

/// Which way packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    Both,
    /// Only from the first host to the second.
    OneWay,
}

fn run(words: &[&str]) -> Result<(), String> {
    let output = Command::new(words[0]).args(&words[1..]).output().map_err(|e| format!("{words:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

pub fn address(host: &str) -> String {
    format!("10.77.{}.2", HOSTS.iter().position(|h| *h == host).unwrap() + 1)
}

impl Hosts {
    /// An error where the system does not let us make them.
    pub fn new() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("dr{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let hosts = Self { prefix };
        let net = hosts.namespace("net");
        run(&["ip", "netns", "add", &net])?;
        run(&["ip", "-n", &net, "link", "set", "lo", "up"])?;
        run(&["ip", "netns", "exec", &net, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        for (i, host) in HOSTS.iter().enumerate() {
            let (ns, own, router) = (hosts.namespace(host), format!("10.77.{}.2", i + 1), format!("10.77.{}.1", i + 1));
            std::fs::create_dir_all(format!("/etc/netns/{ns}")).map_err(|e| e.to_string())?;
            run(&["ip", "netns", "add", &ns])?;
            run(&["ip", "-n", &net, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", &ns])?;
            run(&["ip", "-n", &net, "addr", "add", &format!("{router}/24"), "dev", host])?;
            run(&["ip", "-n", &net, "link", "set", host, "up"])?;
            run(&["ip", "-n", &ns, "link", "set", "lo", "up"])?;
            run(&["ip", "-n", &ns, "addr", "add", &format!("{own}/24"), "dev", "eth0"])?;
            run(&["ip", "-n", &ns, "link", "set", "eth0", "up"])?;
            run(&["ip", "-n", &ns, "route", "add", "default", "via", &router])?;
        }
        hosts.name_database("db");
        Ok(hosts)
    }

    pub fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// What runs a program on a host.
    pub fn launcher(&self, host: &str) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(host)].map(str::to_owned).to_vec()
    }

    /// Says which host is called `database`.
    pub fn name_database(&self, at: &str) {
        for host in HOSTS {
            let text = format!("127.0.0.1 localhost\n{} database\n", address(at));
            std::fs::write(format!("/etc/netns/{}/hosts", self.namespace(host)), text).unwrap();
        }
    }

    /// Packets from `a` to `b` are lost from now on.
    pub fn cut(&self, a: &str, b: &str, loss: Loss) {
        self.rule("add", a, b);
        if loss == Loss::Both {
            self.rule("add", b, a);
        }
    }

    pub fn heal(&self, a: &str, b: &str, loss: Loss) {
        self.rule("del", a, b);
        if loss == Loss::Both {
            self.rule("del", b, a);
        }
    }

    fn rule(&self, what: &str, a: &str, b: &str) {
        run(&["ip", "-n", &self.namespace("net"), "rule", what, "from", &address(a), "to", &address(b), "blackhole"])
            .unwrap();
    }

    /// A host vanishes.
    pub fn unplug(&self, host: &str) {
        run(&["ip", "-n", &self.namespace("net"), "link", "set", host, "down"]).unwrap();
    }

    /// Runs something on a thread whose sockets are a host's.
    pub fn on<T: Send + 'static, F: Future<Output = T>>(
        &self,
        host: &str,
        what: impl FnOnce() -> F + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let path = format!("/run/netns/{}", self.namespace(host));
        std::thread::spawn(move || {
            let namespace = File::open(path).unwrap();
            // SAFETY: an open descriptor of a network namespace; only this thread moves there.
            assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what())
        })
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in HOSTS.iter().chain(&["net"]) {
            let _ = run(&["ip", "netns", "del", &self.namespace(host)]);
            let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.namespace(host)));
        }
    }
}
