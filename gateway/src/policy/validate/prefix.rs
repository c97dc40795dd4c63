//! One prefix, or why not.

use crate::policy::problem::Why;
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub mod plain;

const EXAMPLE: &str = "write an address or a prefix, as 192.0.2.25 or 2001:db8:25::/64";

/// `ADDRESS/LENGTH` without host bits, or a bare address, which is a host.
pub fn parse(text: &str) -> Result<IpNetwork, Why> {
    if text.contains(|c: char| c.is_whitespace() || c == ',') {
        return Err(Why::new("contains a space or comma", "write one prefix an entry, and nothing else"));
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(left, right)| (left, Some(right)));
    let address: IpAddr = address.parse().map_err(|_| not_an_address(text, address))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => bits,
        Some(length) => parse_length(length, bits).ok_or_else(|| not_a_length(address, length, bits))?,
    };
    if let IpAddr::V6(v6) = address
        && let Some(mapped) = v6.to_ipv4_mapped()
        && length >= 96
    {
        let cause = "is an IPv4-mapped address, which no packet carries";
        return Err(Why::new(cause, format!("write {}", written(mapped.into(), length - 96))));
    }
    let prefix = IpNetwork::new(address, length).map_err(|error| Why::new(error.to_string(), EXAMPLE))?;
    if prefix.network() != address {
        let meant = written(prefix.network(), length);
        return Err(Why::new("has host bits set", format!("did you mean {meant}?")));
    }
    Ok(prefix)
}

/// A prefix as people write it: a host without its length.
fn written(address: IpAddr, length: u8) -> String {
    let host = length == if address.is_ipv4() { 32 } else { 128 };
    if host { address.to_string() } else { format!("{address}/{length}") }
}

fn parse_length(text: &str, bits: u8) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten().filter(|length| *length <= bits)
}

fn not_a_length(address: IpAddr, length: &str, bits: u8) -> Why {
    if let (IpAddr::V4(v4), Ok(mask)) = (address, length.parse::<Ipv4Addr>()) {
        let mask = mask.to_bits();
        let remedy = if mask.leading_ones() + mask.trailing_zeros() >= 32 {
            format!("did you mean {}/{}?", Ipv4Addr::from_bits(v4.to_bits() & mask), mask.leading_ones())
        } else {
            "write the number of leading bits, as /24".into()
        };
        return Why::new("has a net mask in place of a prefix length", remedy);
    }
    let family = if bits == 32 { "IPv4" } else { "IPv6" };
    Why::new(
        format!("has no {family} prefix length behind the slash"),
        format!("write a number from 0 to {bits}"),
    )
}

fn not_an_address(text: &str, address: &str) -> Why {
    if text.is_empty() {
        return Why::new("is empty", EXAMPLE);
    }
    if text == "any" || text == "*" {
        return Why::new(
            "is not a prefix",
            "for everywhere write destinations: any, without [ ]; for every subscriber leave the key out",
        );
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Why::new("has a port", format!("write {}; a policy is about port 25 alone", socket.ip()));
    }
    if let Some((bare, _)) = address.split_once('%')
        && bare.parse::<IpAddr>().is_ok()
    {
        return Why::new("has a zone identifier, which no packet carries", format!("write {bare}"));
    }
    if let Some(inner) = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Why::new("has brackets around the address", format!("write {inner}"));
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(_), Ok(_)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        return Why::new("is a range, not a prefix", "write the prefixes that make it up");
    }
    let octets: Vec<&str> = address.split('.').collect();
    if octets.len() == 4 && octets.iter().all(|octet| octet.parse::<u8>().is_ok()) {
        let decimal: Vec<String> =
            octets.iter().filter_map(|o| o.parse::<u8>().ok()).map(|o| o.to_string()).collect();
        return Why::new(
            "has an octet with a leading zero",
            format!("write {}, if it is meant to be decimal", decimal.join(".")),
        );
    }
    if text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains([':', '/']) {
        return Why::new(
            "is a name, not a prefix",
            "write it under names: of a relay or an exception, or write its addresses",
        );
    }
    Why::new("is not an address or prefix", EXAMPLE)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn prefixes_and_hosts() {
        for (text, network) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.25", "192.0.2.25/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8:0::25", "2001:db8::25/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::ffff:0:0/95", ""),
        ] {
            assert_eq!(parse(text).map(|prefix| prefix.to_string()).unwrap_or_default(), network, "{text}");
        }
    }

    #[test]
    fn every_mistake_has_its_own_remedy() {
        for (text, cause, remedy) in [
            ("10.0.0.1/24", "host bits", "10.0.0.0/24?"),
            ("2001:db8::1/64", "host bits", "2001:db8::/64?"),
            ("10.0.0.0/33", "no IPv4 prefix length", "0 to 32"),
            ("2001:db8::/129", "no IPv6 prefix length", "0 to 128"),
            ("10.0.0.0/", "no IPv4 prefix length", "0 to 32"),
            ("10.0.0.0/+8", "no IPv4 prefix length", "0 to 32"),
            ("10.0.0.0/08", "no IPv4 prefix length", "0 to 32"),
            ("10.0.0.0/8/8", "no IPv4 prefix length", "0 to 32"),
            ("10.0.0.9/255.255.255.0", "net mask", "10.0.0.0/24?"),
            ("10.0.0.0/255.0.255.0", "net mask", "leading bits"),
            ("::ffff:192.0.2.1", "IPv4-mapped", "write 192.0.2.1"),
            ("::ffff:192.0.2.0/120", "IPv4-mapped", "write 192.0.2.0/24"),
            ("fe80::1%eth0", "zone identifier", "write fe80::1"),
            ("[2001:db8::1]", "brackets", "write 2001:db8::1"),
            ("[2001:db8::1]:25", "port", "write 2001:db8::1;"),
            ("192.0.2.1:25", "port", "write 192.0.2.1;"),
            ("192.0.2.1-192.0.2.9", "range", "prefixes"),
            ("192.0.2.010", "leading zero", "write 192.0.2.10,"),
            ("192.0.2.0/24 10.0.0.0/8", "space", "one prefix"),
            ("192.0.2.0/24,", "comma", "one prefix"),
            ("mail.example.net", "a name", "addresses"),
            ("any", "not a prefix", "destinations: any"),
            ("192.0.2/24", "not an address", "write an address"),
            ("", "empty", "write an address"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.cause.contains(cause) && why.remedy.contains(remedy), "{text}: {why:?}");
        }
    }
}
