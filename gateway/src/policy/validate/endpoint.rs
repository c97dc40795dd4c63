//! One endpoint that connections are redirected to, or why not.

use crate::policy::problem::Why;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) const EXAMPLE: &str = "write an address and its port, as 192.0.2.25:25 or [2001:db8:25::25]:25";

/// `ADDRESS:PORT`, IPv6 addresses in brackets, of a host that a forwarded packet can reach.
pub(super) fn parse(text: &str) -> Result<SocketAddr, Why> {
    if text.contains(|c: char| c.is_whitespace() || c == ',') {
        return Err(Why::new("contains a space or comma", "write one endpoint an entry, and nothing else"));
    }
    // Rust would take a numeric one.
    if text.contains('%') {
        let remedy = "write an address that is routed, as [2001:db8:25::25]:25";
        return Err(Why::new("has a zone identifier, which no packet carries", remedy));
    }
    let endpoint: SocketAddr = text.parse().map_err(|_| not_an_endpoint(text))?;
    if let IpAddr::V6(v6) = endpoint.ip()
        && let Some(mapped) = v6.to_ipv4_mapped()
    {
        let remedy = format!("write {mapped}:{}", endpoint.port());
        return Err(Why::new("is an IPv4-mapped address, which no packet carries", remedy));
    }
    if let Some(cause) = unreachable(endpoint.ip()) {
        return Err(Why::new(cause, "write the address of a host that the gateway has a route to"));
    }
    if endpoint.port() == 0 {
        return Err(Why::new("has port 0, where nobody listens", "write the port that the host listens on"));
    }
    Ok(endpoint)
}

/// Why a packet forwarded to that address arrives nowhere.
fn unreachable(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("is the unspecified address"),
        _ if address.is_multicast() => Some("is a multicast address"),
        _ if address.is_loopback() => {
            Some("is a loopback address, to which the kernel forwards no packet of a subscriber")
        }
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("is the broadcast address"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => {
            Some("is reserved (RFC 1122 section 3.2.1.3, RFC 1112 section 4), and nobody's address")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("is a link-local address, to which the kernel forwards no packet")
        }
        _ => None,
    }
}

fn not_an_endpoint(text: &str) -> Why {
    if text.is_empty() {
        return Why::new("is empty", EXAMPLE);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    if let Ok(v6) = host.parse::<Ipv6Addr>() {
        return Why::new("has no brackets around the address", format!("did you mean [{v6}]:{port}?"));
    }
    match bare(text) {
        Some(IpAddr::V4(v4)) => return Why::new("has no port", format!("write {v4}:25, if 25 is its port")),
        Some(IpAddr::V6(v6)) => {
            return Why::new("has no port", format!("write [{v6}]:25, if 25 is its port"));
        }
        None => {}
    }
    match bare(host) {
        Some(IpAddr::V4(v4)) if host.starts_with('[') => {
            Why::new("has brackets around an IPv4 address", format!("write {v4}:{port}"))
        }
        Some(_) => Why::new("has no port number behind the last colon", "write a number from 1 to 65535"),
        None if text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(['/', '[']) => {
            Why::new("is a name, not an address", EXAMPLE)
        }
        None => Why::new("is not an address and a port", EXAMPLE),
    }
}

/// An address, in brackets or without.
fn bare(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn endpoints() {
        for text in
            ["192.0.2.25:25", "10.0.0.1:65535", "[2001:db8:26::1]:2525", "[fd00::1]:1", "169.254.0.1:25"]
        {
            assert_eq!(parse(text).map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn every_mistake_has_its_own_remedy() {
        for (text, cause, remedy) in [
            ("", "is empty", "192.0.2.25:25"),
            ("192.0.2.25:0", "port 0", "listens on"),
            ("[2001:db8::1]:0", "port 0", "listens on"),
            ("192.0.2.25", "has no port", "write 192.0.2.25:25,"),
            ("[192.0.2.25]", "has no port", "write 192.0.2.25:25,"),
            ("2001:db8::1", "has no port", "write [2001:db8::1]:25,"),
            ("[2001:db8::1]", "has no port", "write [2001:db8::1]:25,"),
            ("2001:db8:0::1:2525", "no brackets", "did you mean [2001:db8::1]:2525?"),
            ("2001:db8:1:2:3:4:5:6:25", "no brackets", "did you mean [2001:db8:1:2:3:4:5:6]:25?"),
            ("[192.0.2.25]:25", "brackets around an IPv4", "write 192.0.2.25:25"),
            ("192.0.2.25:", "no port number", "1 to 65535"),
            ("192.0.2.25:65536", "no port number", "1 to 65535"),
            ("192.0.2.25:smtp", "no port number", "1 to 65535"),
            ("[2001:db8::1]:-1", "no port number", "1 to 65535"),
            ("relay.example.net:25", "a name", "192.0.2.25:25"),
            ("relay", "a name", "192.0.2.25:25"),
            ("192.0.2.0/24:25", "not an address and a port", "192.0.2.25:25"),
            ("[relay]:25", "not an address and a port", "192.0.2.25:25"),
            ("25", "not an address and a port", "192.0.2.25:25"),
            ("0.0.0.0:25", "unspecified", "has a route to"),
            ("[::]:25", "unspecified", "has a route to"),
            ("224.0.0.1:25", "multicast", "has a route to"),
            ("[ff02::1]:25", "multicast", "has a route to"),
            ("255.255.255.255:25", "broadcast", "has a route to"),
            ("127.0.0.1:25", "loopback", "has a route to"),
            ("[::1]:25", "loopback", "has a route to"),
            ("[fe80::1]:25", "link-local", "has a route to"),
            ("[::ffff:192.0.2.1]:25", "IPv4-mapped", "write 192.0.2.1:25"),
            ("[fe80::1%eth0]:25", "zone identifier", "[2001:db8:25::25]:25"),
            ("[fe80::1%3]:25", "zone identifier", "[2001:db8:25::25]:25"),
            ("192.0.2.25:25 ", "space", "one endpoint"),
            ("192.0.2.25:25,192.0.2.26:25", "comma", "one endpoint"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.cause.contains(cause) && why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }
}
