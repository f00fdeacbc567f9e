//! An S3 server in this process, on loopback, with real signatures; objects are files in a folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, anyhow};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::folder::Folder;

pub struct S3Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl S3Server {
    /// Serves `folder` at 127.0.0.1:`port`; port 0 takes a free one.
    pub async fn start(folder: &Path, port: u16, access_key: &str, secret_key: &str) -> anyhow::Result<Self> {
        Self::start_at(folder, (Ipv4Addr::LOCALHOST, port).into(), access_key, secret_key).await
    }

    /// The same at another address of this host.
    pub async fn start_at(
        folder: &Path,
        address: SocketAddr,
        access_key: &str,
        secret_key: &str,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let files = s3s_fs::FileSystem::new(folder).map_err(|e| anyhow!("{}: {e:?}", folder.display()))?;
        let mut service = S3ServiceBuilder::new(Folder::new(files, folder));
        service.set_auth(SimpleAuth::from_single(access_key, secret_key));
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("S3 at {address}; choose another --s3-port"))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, service.build()));
        Ok(Self { address, task })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, service: S3Service) {
    let http = Builder::new(TokioExecutor::new());
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: let some connections end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "S3 connection");
            }
        });
    }
}
