//! The HTTP server: actix-web's application on connections that have a gate.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::cookie::Key;
use actix_web::dev::{AppConfig, Extensions};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, web};
use anyhow::Context;
use sqlx::PgPool;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::admission::{Rate, Uploads};
use super::backpressure::Gated;
use super::create::Listings;
use super::v1::{EventHub, EventListener, Together};
use super::{ServerSettings, State, create, health, session, v1};
use crate::outbound::Outbound;
use crate::storage::Storage;

/// Threads that serve requests; the work is waiting, so two are plenty.
const THREADS: usize = 2;
/// Parts of exports that are written at a time.
const EXPORTS: usize = 2;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;
/// For a request's head; its body has limits of its own.
const HEAD: Duration = Duration::from_secs(10);
/// A client that still sends has this long to read that it need not, before the connection is closed.
const LINGER: Duration = Duration::from_secs(5);
const SHUTDOWN_SECONDS: u64 = 20;

/// A server that listens.
pub struct Listening {
    pub address: SocketAddr,
    server: Server,
    stop: CancellationToken,
    events: EventListener,
}

impl Listening {
    /// Serves until `stop` is cancelled; requests in flight end first.
    pub async fn run(self) -> std::io::Result<()> {
        let handle = self.server.handle();
        let stop = self.stop;
        actix_web::rt::spawn(async move {
            stop.cancelled().await;
            handle.stop(true).await;
        });
        let result = self.server.await;
        self.events.stop().await;
        result
    }
}

/// The pages for people, which know the API, while it knows nothing of them.
pub struct Pages {
    pub configure: fn(&mut ServiceConfig),
    /// Signs the cookies of sessions; at least 64 bytes.
    pub signing_key: Vec<u8>,
}

/// Binds the port.
pub fn start(
    pool: PgPool,
    storage: Storage,
    outbound: Outbound,
    settings: ServerSettings,
    pages: Pages,
    stop: CancellationToken,
) -> anyhow::Result<Listening> {
    let listener = listen(&settings.host, settings.port).with_context(|| {
        format!("HOST={} PORT={} cannot be listened on; choose another --port", settings.host, settings.port)
    })?;
    let address = listener.local_addr()?;
    let (events, listener_of_events) = EventHub::start(&pool);
    let signing_key = Key::try_from(&pages.signing_key[..]).context("the key that signs sessions")?;
    let (rate, uploads) = (Rate::new(&settings.limits), Uploads::new(&settings.limits));
    let state = web::Data::new(State {
        pool,
        storage,
        outbound,
        events,
        settings,
        rate,
        uploads,
        listings: Listings::default(),
        together: Together::default(),
        exports: Semaphore::new(EXPORTS),
        removals: Semaphore::new(1),
    });
    let draining = stop.clone();
    let service = move || {
        let (state, draining) = (state.clone(), draining.clone());
        let sessions = session::middleware(&state.pool, &signing_key);
        let app = App::new()
            .app_data(state)
            .service(create::resource())
            .service(create::resource_without_slash())
            .configure(v1::configure)
            .route("/healthz", web::get().to(health::healthz))
            .route("/readyz", web::get().to(health::readyz))
            .configure(pages.configure)
            .wrap(sessions)
            .wrap(from_fn(session::secure))
            .wrap(Compress::default());
        let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .client_request_timeout(HEAD)
            .client_disconnect_timeout(LINGER)
            .graceful_shutdown_signal(move || draining.clone().cancelled_owned())
            .on_connect_ext(|io: &Gated<TcpStream>, data: &mut Extensions| {
                data.insert(io.gate());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let gated = |io: TcpStream| async {
            let peer = io.peer_addr().ok();
            // Small answers are not to wait for more; a connection that refuses is as good.
            let _ = io.set_nodelay(true);
            Ok::<_, DispatchError>((Gated::new(io), peer))
        };
        fn_service(gated).and_then(http)
    };
    let server = Server::build()
        .workers(THREADS)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen("api", listener, service)?
        .run();
    Ok(Listening { address, server, stop, events: listener_of_events })
}

fn listen(host: &str, port: u16) -> std::io::Result<std::net::TcpListener> {
    let mut result = Err(std::io::Error::other("no such host"));
    for address in (host, port).to_socket_addrs()? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        result = socket.bind(address).and_then(|()| socket.listen(BACKLOG)?.into_std());
        if result.is_ok() {
            break;
        }
    }
    result
}
