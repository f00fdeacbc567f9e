//! Requests to addresses that clients name: files to fetch, webhooks to send. Only public addresses are reached, and allowed
//! networks: names are resolved in here, so the address that was looked at is the one that is connected to.

mod fetch;
mod networks;
mod signature;
mod webhook;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};

pub use fetch::{FetchError, Fetched};
pub use networks::Networks;
pub use signature::SigningKey;

const CONNECT: Duration = Duration::from_secs(10);
/// Silence that ends a request.
const IDLE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
const MAX_URL: usize = 2048;

/// Why a URL is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("no URL of the form https://host/path")]
    NoUrl,
    #[error("longer than {MAX_URL} bytes")]
    TooLong,
    #[error("user names and passwords in URLs are not taken")]
    Credentials,
    #[error("{0} is not a public address (OUTBOUND_ALLOW makes exceptions)")]
    NotPublic(String),
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
}

/// A client for HTTP requests to strangers.
#[derive(Clone)]
pub struct Outbound {
    networks: Arc<Networks>,
    /// Follows redirects, each one checked.
    fetching: Client,
    /// Follows none.
    sending: Client,
}

impl Outbound {
    pub fn new(networks: Networks) -> reqwest::Result<Self> {
        let networks = Arc::new(networks);
        let client = |redirects: Policy| {
            Client::builder()
                .user_agent(concat!("docreader/", env!("CARGO_PKG_VERSION")))
                // A proxy would resolve names itself.
                .no_proxy()
                // URLs may hold secrets.
                .referer(false)
                .dns_resolver(Arc::new(Resolver(networks.clone())))
                .redirect(redirects)
                .connect_timeout(CONNECT)
                .read_timeout(IDLE)
                .pool_max_idle_per_host(0)
                .build()
        };
        let checked = networks.clone();
        let follow = move |attempt: Attempt<'_>| match check(&checked, attempt.url()) {
            Err(error) => attempt.error(error),
            Ok(()) if attempt.previous().len() > MAX_REDIRECTS => attempt.error(UrlError::Redirects),
            Ok(()) => attempt.follow(),
        };
        Ok(Self { fetching: client(Policy::custom(follow))?, sending: client(Policy::none())?, networks })
    }

    /// Whether a URL may be asked, as far as one can tell without resolving its host's name.
    pub fn check(&self, url: &str) -> Result<(), UrlError> {
        self.parse(url).map(|_| ())
    }

    fn parse(&self, text: &str) -> Result<Url, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let url = Url::parse(text).map_err(|_| UrlError::NoUrl)?;
        // What is kept must be what was checked: no tabs, no missing slashes that the parser mends.
        if !(text.starts_with("http://") || text.starts_with("https://")) || text.chars().any(char::is_control) {
            return Err(UrlError::NoUrl);
        }
        check(&self.networks, &url)?;
        Ok(url)
    }
}

fn check(networks: &Networks, url: &Url) -> Result<(), UrlError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlError::NoUrl);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    // Addresses in URLs never come to the resolver.
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(address) if !networks.permit(address) => Err(UrlError::NotPublic(host.to_owned())),
        _ if host.is_empty() => Err(UrlError::NoUrl),
        _ => Ok(()),
    }
}

struct Resolver(Arc<Networks>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found.filter(|a| networks.permit(a.ip())).collect();
            if permitted.is_empty() {
                return Err(UrlError::NotPublic(name.as_str().to_owned()).into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// Our own reason among the causes of a failed request.
fn refused(error: &reqwest::Error) -> Option<UrlError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<UrlError>() {
            return Some(refused.clone());
        }
        cause = error.source();
    }
    None
}

/// What went wrong, in words, without the URL, which may hold a secret.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let outbound = Outbound::new(Networks::default()).unwrap();
        assert_eq!(outbound.check("https://example.com/a.pdf?x=1"), Ok(()));
        for wrong in
            ["", "a.pdf", "ftp://example.com/", "file:///etc/passwd", "https:/example.com", "http://", "htt\tp://a/"]
        {
            assert_eq!(outbound.check(wrong), Err(UrlError::NoUrl), "{wrong}");
        }
        assert_eq!(outbound.check("http://a:b@example.com/"), Err(UrlError::Credentials));
        // The same address in the spellings that browsers know.
        for loopback in
            ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:7f00:1]:80/"]
        {
            assert!(matches!(outbound.check(loopback), Err(UrlError::NotPublic(_))), "{loopback}");
        }
    }
}
