//! What a redirected client is told.

use crate::control;
use crate::policy::{Notice, Zone};
use crate::tables::Prefixes;
use gate25_common::verdict::Reason;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Octets of a line, its CRLF included (RFC 5321, 4.5.3.1.5).
pub const MAX_LINE: usize = 512;
/// What is left of them beside `554-` and CRLF.
const MAX_TEXT: usize = MAX_LINE - 6;

/// What the zones of a policy have to say, and to whom.
#[derive(Debug, Default)]
pub struct Texts {
    zones: Vec<(String, Option<Notice>)>,
    subscribers: Prefixes<usize>,
}

impl Texts {
    /// Those of a policy's zones.
    #[must_use]
    pub fn of(zones: &[Zone]) -> Self {
        let numbered = zones.iter().enumerate();
        let subscribers = numbered
            .flat_map(|(index, zone)| zone.subscribers.iter().map(move |prefix| (*prefix, index)))
            .collect();
        Self { zones: zones.iter().map(|zone| (zone.id.clone(), zone.notice.clone())).collect(), subscribers }
    }

    /// Where to listen.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        let endpoints =
            self.zones.iter().filter_map(|(_, notice)| notice.as_ref()).map(|notice| notice.address);
        endpoints
            .flat_map(|address| [address.ipv4.map(SocketAddr::V4), address.ipv6.map(SocketAddr::V6)])
            .flatten()
            .collect()
    }

    /// Whether the address is in a zone.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.subscribers.get(address).is_some()
    }

    /// What a client is greeted with, all lines of it. The controller's answer says more than the policy alone.
    #[must_use]
    pub fn greeting(&self, host: &str, client: IpAddr, answer: Option<&control::Notice>) -> String {
        let named = answer.and_then(|answer| answer.zone.as_deref());
        let zone = named.and_then(|id| self.zones.iter().find(|(zone, _)| zone == id));
        let zone = zone.or_else(|| self.zones.get(self.subscribers.get(client)?));
        let notice = zone.and_then(|(_, notice)| notice.as_ref());

        let place =
            answer.map_or_else(|| "the server you asked for".to_owned(), |answer| answer.remote.to_string());
        let mut lines = vec![
            format!("{host} is a notice of your network's port-25 policy, not {place}"),
            "Your network stopped this connection; no mail was sent.".to_owned(),
        ];
        let known = |word: &str| Reason::ALL.iter().copied().find(|reason| reason.label() == word);
        if let Some(reason) = answer.and_then(|answer| known(&answer.reason)) {
            lines.push(format!("Reason: {}{}", reason.label(), in_plain_words(reason)));
        }
        if let Some(submission) = notice.and_then(|notice| notice.submission.as_deref()) {
            lines.push(format!("Please send your mail through {submission}"));
        }
        if let Some(url) = notice.and_then(|notice| notice.url.as_deref()) {
            lines.push(format!("More about this: {url}"));
        }
        if let Some(answer) = answer {
            lines.push(format!("Reference, if you ask us about it: {}", answer.reference));
        }
        reply(&lines)
    }
}

fn in_plain_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Default => " (only approved mail servers may be reached on port 25)",
        Reason::BlockRule => " (this destination or this line is blocked)",
        Reason::Expired => " (the permission for it has ended)",
        Reason::Rate => " (too many new connections within a minute)",
        Reason::Unmanaged => " (your address belongs to no part of the network that may send mail)",
        Reason::Malformed => " (the connection could not be read)",
        // No connection is redirected for these.
        Reason::NotSmtp | Reason::Relay | Reason::Exception => "",
    }
}

/// One reply of these lines, in as many lines as they need.
fn reply(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().flat_map(|line| fold(line)).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let hyphen = if number + 1 < lines.len() { '-' } else { ' ' };
        // Writing to a string cannot fail.
        let _ = write!(text, "554{hyphen}{line}\r\n");
    }
    text
}

/// Words of plain ASCII in pieces that fit, broken between words where there is a place.
fn fold(line: &str) -> Vec<String> {
    let plain: String =
        line.chars().map(|letter| if matches!(letter, '!'..='~') { letter } else { ' ' }).collect();
    let plain = plain.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let (mut pieces, mut rest) = (Vec::new(), plain.as_str());
    while rest.len() > MAX_TEXT {
        let end = rest[..=MAX_TEXT].rfind(' ').filter(|end| *end > 0).unwrap_or(MAX_TEXT);
        pieces.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    pieces.push(rest.to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, Endpoints, Mode, ReturnPath};

    const HOST: &str = "edge1.example.net";

    fn zone(id: &str, prefix: &str, notice: Option<Notice>) -> Zone {
        Zone {
            id: id.into(),
            subscribers: vec![prefix.parse().unwrap()],
            mode: Mode::Enforce,
            action: Action::Notice,
            return_path: ReturnPath::Off,
            relay_to: Endpoints::default(),
            notice,
            subscriber_prefix_v6: 64,
            relay_limit: None,
        }
    }

    fn says(submission: &str, url: &str) -> Notice {
        let address = Endpoints { ipv4: Some("192.0.2.26:2525".parse().unwrap()), ipv6: None };
        Notice { address, submission: Some(submission.into()), url: Some(url.into()) }
    }

    fn answer(zone: &str, reason: &'static str) -> control::Notice {
        control::Notice {
            zone: Some(zone.into()),
            reason: reason.into(),
            rule: None,
            remote: "192.0.2.200".parse().unwrap(),
            reference: "7K3QX2MB".into(),
        }
    }

    fn client() -> IpAddr {
        "203.0.113.9".parse().unwrap()
    }

    /// The texts of the lines, of a reply that is one by RFC 5321 and RFC 2034.
    fn checked(reply: &str) -> Vec<&str> {
        let lines: Vec<_> = reply.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        for (number, line) in lines.iter().enumerate() {
            let begin = if number + 1 < lines.len() { "554-" } else { "554 " };
            assert!(line.starts_with(begin) && line.len() > 4, "{line:?}");
            assert!(line.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{line:?}");
            assert!(line.len() + 2 <= MAX_LINE, "{} octets", line.len() + 2);
            let first = line[4..].split(' ').next().unwrap_or_default();
            let enhanced =
                first.split('.').count() == 3 && first.split('.').all(|part| part.parse::<u16>().is_ok());
            assert!(!enhanced, "an enhanced status code: {line}");
        }
        assert_eq!(lines[0][4..].split(' ').next(), Some(HOST));
        lines.iter().map(|line| &line[4..]).collect()
    }

    #[test]
    fn all_that_is_known_is_said_for_every_reason() {
        let texts = Texts::of(&[zone(
            "west",
            "203.0.113.0/24",
            Some(says("smtp.west.example.net port 587 or 465", "https://example.net/port25")),
        )]);
        for reason in Reason::ALL {
            let greeting = texts.greeting(HOST, client(), Some(&answer("west", reason.label())));
            let lines = checked(&greeting);
            let has = |part: &str| lines.iter().any(|line| line.contains(part));
            assert!(has(&format!("Reason: {}", reason.label())), "{greeting}");
            for part in ["not 192.0.2.200", "587 or 465", "https://example.net/port25", "7K3QX2MB"] {
                assert!(has(part), "{part}: {greeting}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let texts = Texts::of(&[zone("west", "203.0.113.0/24", Some(says("smtp.west", "https://west")))]);
        let without = texts.greeting(HOST, client(), None);
        assert_eq!(checked(&without).len(), 4, "{without}");
        assert!(
            without.contains("smtp.west") && !without.contains("Reason") && !without.contains("Reference")
        );
        let stranger = texts.greeting(HOST, "198.51.100.1".parse().unwrap(), None);
        assert_eq!(checked(&stranger).len(), 2, "{stranger}");
        let silent = Texts::of(&[zone("west", "203.0.113.0/24", None)]).greeting(HOST, client(), None);
        assert_eq!(checked(&silent).len(), 2, "{silent}");
        let newer = texts.greeting(HOST, client(), Some(&answer("west", "a-word-of-later")));
        assert!(!newer.contains("Reason") && newer.contains("7K3QX2MB"), "{newer}");
    }

    #[test]
    fn the_controllers_zone_goes_before_the_prefixes() {
        let texts = Texts::of(&[
            zone("west", "203.0.113.0/24", Some(says("smtp.west", "https://west"))),
            zone("east", "198.51.100.0/24", Some(says("smtp.east", "https://east"))),
        ]);
        assert!(texts.greeting(HOST, client(), None).contains("smtp.west"));
        assert!(texts.greeting(HOST, client(), Some(&answer("east", "default"))).contains("smtp.east"));
        assert!(texts.greeting(HOST, client(), Some(&answer("gone", "default"))).contains("smtp.west"));
        assert!(texts.has(client()) && !texts.has("192.0.2.1".parse().unwrap()));
        assert_eq!(texts.addresses(), BTreeSet::from(["192.0.2.26:2525".parse().unwrap()]));
    }

    #[test]
    fn long_and_foreign_texts_are_folded() {
        let words = "smtp.example.net ".repeat(100);
        for text in ["x".repeat(5000), words.clone(), "\u{e9}\r\n250 ok\u{0}".repeat(99), " ".repeat(2000)] {
            let texts = Texts::of(&[zone("west", "203.0.113.0/24", Some(says(&text, &text)))]);
            checked(&texts.greeting(HOST, client(), Some(&answer("west", "default"))));
        }
        let pieces = fold(&words);
        assert!(pieces.len() == 4 && pieces.iter().all(|piece| piece.starts_with("smtp.")), "{pieces:?}");
        assert_eq!(fold(&"x".repeat(MAX_TEXT)).len(), 1);
        assert_eq!(fold(&"x".repeat(MAX_TEXT + 1)).len(), 2);
    }
}
