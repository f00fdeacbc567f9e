//! Which addresses may be reached on behalf of a client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks that are reached although they are not public.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

/// IANA's special-purpose registry for IPv4, multicast and the reserved rest.
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// What IPv6 has assigned as global unicast, and the parts of it that are not public or carry IPv4 addresses.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

impl FromStr for Networks {
    type Err = String;

    /// Networks such as 10.1.0.0/16, with commas between.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse =
            |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is no network; it looks like 10.1.0.0/16"));
        text.split(',').filter(|part| !part.trim().is_empty()).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Networks {
    pub fn permit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address)) || is_public(address)
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|&(net, len)| Ipv4Net::new_assert(net, len).contains(&v4)),
        IpAddr::V6(v6) => {
            let inside = |(net, len)| Ipv6Net::new_assert(net, len).contains(&v6);
            inside(GLOBAL_V6) && !NOT_PUBLIC_V6.into_iter().any(inside)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_only() {
        let networks = Networks::default();
        for public in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(networks.permit(public.parse().unwrap()), "{public}");
        }
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fd00::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "ff02::1",
        ];
        for private in private {
            assert!(!networks.permit(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn allowed_networks() {
        let networks = "10.1.0.0/16, fd00::/8".parse::<Networks>().unwrap();
        assert!(networks.permit("10.1.2.3".parse().unwrap()));
        assert!(networks.permit("::ffff:10.1.2.3".parse().unwrap()));
        assert!(networks.permit("fd00::1".parse().unwrap()));
        assert!(!networks.permit("10.2.0.1".parse().unwrap()));
        assert!("".parse::<Networks>().is_ok());
        assert!("10.1.0.0".parse::<Networks>().is_err());
    }
}
