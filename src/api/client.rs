use std::net::{IpAddr, Ipv6Addr};

use actix_web::HttpRequest;

/// Whoever sends requests, as limits see him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// By the id of his token.
    Token(i64),
    /// By the id of the user who is logged in.
    User(i64),
    /// By his address; of IPv6 the first 64 bits, which is what one household or machine is given.
    Address(IpAddr),
}

impl Client {
    /// By [`address`].
    pub fn by_address(request: &HttpRequest, trusted_proxies: usize) -> Self {
        Self::Address(match address(request, trusted_proxies) {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        })
    }
}

/// Where a request comes from. Each of `trusted_proxies` has put the address it was asked from at the end of X-Forwarded-For, so the
/// client's is that many from the end; what stands before it is the client's own invention.
pub fn address(request: &HttpRequest, trusted_proxies: usize) -> IpAddr {
    let forwarded: Vec<&str> = (request.headers().get_all("X-Forwarded-For"))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let named = match trusted_proxies {
        0 => None,
        proxies => forwarded.len().checked_sub(proxies).and_then(|i| forwarded[i].trim().parse().ok()),
    };
    let address = named.or_else(|| request.peer_addr().map(|peer| peer.ip()));
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(proxies: usize, forwarded: &[&str]) -> String {
        let mut request = TestRequest::default().peer_addr("9.9.9.9:1".parse().unwrap());
        for value in forwarded {
            request = request.append_header(("X-Forwarded-For", *value));
        }
        match Client::by_address(&request.to_http_request(), proxies) {
            Client::Address(address) => address.to_string(),
            Client::Token(_) | Client::User(_) => unreachable!(),
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(seen(0, &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(seen(1, &["6.6.6.6, 1.1.1.1"]), "1.1.1.1");
        assert_eq!(seen(2, &["6.6.6.6, 1.1.1.1", "2.2.2.2"]), "1.1.1.1");
        assert_eq!(seen(1, &[]), "9.9.9.9");
        assert_eq!(seen(3, &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(seen(1, &["2001:db8:1:2:3:4:5:6"]), "2001:db8:1:2::");
    }
}
