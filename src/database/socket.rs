//! Time-outs of this end's TCP sockets. Without them a server that vanished is waited for for a quarter of an hour, or for ever where
//! nothing is sent.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{getsockopt, setsockopt, sockopt};

use super::session::{IDLE_SECONDS, INTERVAL_SECONDS, PROBES, USER_TIMEOUT_MS};

/// Gives them to all TCP sockets of this process that are connected and do not have them yet. sqlx 0.9 hands out neither a connection's
/// socket nor a way to set its options; to the others (S3, clients) they do no harm.
pub fn arm() -> std::io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let is_socket =
            std::fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|_| is_socket) else {
            continue;
        };
        // SAFETY: the number was an open socket a moment ago. Should it have been closed, or even be another file now, the calls below
        // fail with an error that is passed over, or set the options of another socket of ours, which is what this is for.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = arm_one(&fd);
    }
    Ok(())
}

/// Fails for what is no connected TCP socket.
fn arm_one(fd: &impl AsFd) -> nix::Result<()> {
    if getsockopt(fd, sockopt::TcpUserTimeout)? != 0 || getsockopt(fd, sockopt::AcceptConn)? {
        return Ok(());
    }
    setsockopt(fd, sockopt::KeepAlive, &true)?;
    setsockopt(fd, sockopt::TcpKeepIdle, &IDLE_SECONDS)?;
    setsockopt(fd, sockopt::TcpKeepInterval, &INTERVAL_SECONDS)?;
    setsockopt(fd, sockopt::TcpKeepCount, &PROBES)?;
    setsockopt(fd, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connected_sockets_are_armed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        arm().unwrap();
        assert_eq!(getsockopt(&stream, sockopt::TcpUserTimeout), Ok(USER_TIMEOUT_MS));
        assert_eq!(getsockopt(&stream, sockopt::TcpKeepIdle), Ok(IDLE_SECONDS));
        assert_eq!(getsockopt(&stream, sockopt::KeepAlive), Ok(true));
        assert_eq!(getsockopt(&listener, sockopt::TcpUserTimeout), Ok(0));
    }
}
