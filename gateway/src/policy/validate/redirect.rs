//! What a zone's blocked connections are redirected to: `relay_to` and `notice`.

use super::{Check, Source, endpoint};
use crate::policy::document::{self, Texts};
use crate::policy::problem::{Code, Report, Why};
use crate::policy::{Action, Endpoints, Notice, Policy, Relay, Zone};
use ipnetwork::IpNetwork;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The most octets of a text that goes into a greeting, whose lines have at most 512 (RFC 5321 section 4.5.3.1.5).
pub(in crate::policy) const MAX_TEXT: usize = 200;

const RELAY_BREAKS: &str = "makes mail of other domains fail SPF at its receivers, makes authentication and STARTTLS names \
    of third-party servers fail since they are not whom the client meets, may be against the law (a European regulator \
    ruled transparent redirection a breach of net neutrality), and needs a way back across the same interface";

/// `relay_to` of the zone at `place`; `action` is its word, if it has a known one.
pub(super) fn relay_to(
    check: &mut Check,
    place: &str,
    written: Option<&Texts>,
    action: Option<Action>,
) -> Endpoints {
    let place = format!("{place}.relay_to");
    used_by(check, &place, written.is_some(), action, Action::Relay);
    required_by(check, &place, written.is_some(), action, Action::Relay);
    endpoints(check, &place, written)
}

/// `notice` of the zone at `place`; `action` is its word, if it has a known one.
pub(super) fn notice(
    check: &mut Check,
    place: &str,
    written: Option<&document::Notice>,
    action: Option<Action>,
) -> Option<Notice> {
    let place = format!("{place}.notice");
    used_by(check, &place, written.is_some(), action, Action::Notice);
    let address = written.and_then(|notice| notice.address.as_ref());
    let at = format!("{place}.address");
    required_by(check, &at, address.is_some(), action, Action::Notice);
    let address = endpoints(check, &at, address);
    let written = written?;
    let schemes = ["https://", "http://", "mailto:"];
    let is_url = |url: &str| {
        !url.contains(' ') && schemes.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
    };
    let submission = text(check, &format!("{place}.submission"), written.submission.as_deref());
    let url = text(check, &format!("{place}.url"), written.url.as_deref());
    if let Some(url) = url.as_deref().filter(|url| !is_url(url)) {
        let why =
            Why::new("is not a URL that people can open", "write https://, http:// or mailto:, no spaces");
        check.problem(&format!("{place}.url"), url, why);
    }
    Some(Notice { address, submission, url })
}

/// Says so where a key is given that the zone's action does not use.
fn used_by(check: &mut Check, place: &str, given: bool, action: Option<Action>, user: Action) {
    if given && action.is_some_and(|action| action != user) {
        let cause = format!("has no effect without action: {}", user.label());
        check.advise(Code::NoEffect, place, "(given)", &cause, "set the action, or leave it out");
    }
}

/// Says so where endpoints are missing that the zone's action needs.
fn required_by(check: &mut Check, place: &str, given: bool, action: Option<Action>, user: Action) {
    if !given && action == Some(user) {
        let cause = format!("is required for action: {}", user.label());
        check.problem(place, "(missing)", Why::new(cause, endpoint::EXAMPLE));
    }
}

/// At most one endpoint a family.
fn endpoints(check: &mut Check, place: &str, written: Option<&Texts>) -> Endpoints {
    let mut found = Endpoints::default();
    let list = match written {
        None => return found,
        Some(Texts::Word(word)) => vec![(place.to_owned(), word)],
        Some(Texts::List(list)) => {
            if list.is_empty() {
                check.problem(place, "[]", Why::new("is empty", endpoint::EXAMPLE));
            }
            list.iter().enumerate().map(|(index, text)| (format!("{place}[{index}]"), text)).collect()
        }
    };
    for (place, text) in list {
        let known = match endpoint::parse(text) {
            Ok(SocketAddr::V4(v4)) => found.ipv4.replace(v4).map(|known| ("IPv4", SocketAddr::from(known))),
            Ok(SocketAddr::V6(v6)) => found.ipv6.replace(v6).map(|known| ("IPv6", known.into())),
            Err(why) => {
                check.problem(&place, text, why);
                None
            }
        };
        if let Some((family, known)) = known {
            let cause = format!("is a second {family} endpoint, besides {known}");
            check.problem(&place, text, Why::new(cause, "keep one of the two: there is one a family"));
        }
    }
    found
}

/// What is said in an SMTP greeting.
fn text(check: &mut Check, place: &str, written: Option<&str>) -> Option<String> {
    let written = written?;
    let why = if written.trim().is_empty() {
        Why::new("is empty", "write what people shall read, or leave the key out")
    } else if written.len() > MAX_TEXT {
        let cause = format!("is longer than {MAX_TEXT} octets, and has to fit into a line of SMTP");
        Why::new(cause, "make it shorter")
    } else if !written.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        let cause = "is not one line of printable ASCII, which is all that an SMTP greeting takes";
        Why::new(cause, "write it without line breaks, tabs and accents")
    } else {
        return Some(written.to_owned());
    };
    check.problem(place, written, why);
    None
}

/// What is worth knowing of the zones that redirect, under a policy that is valid; its zones are in the order of
/// `sources`.
pub(super) fn advise(sources: &[Source], policy: &Policy, report: &mut Report) {
    let places = sources.iter().flat_map(|source| {
        (0..source.document.zones.len()).map(move |number| (source, format!("zones[{number}]")))
    });
    let owners = Owners::of(&policy.zones);
    for (index, (zone, (source, place))) in policy.zones.iter().zip(places).enumerate() {
        let check = &mut Check { source, report };
        let at = match zone.action {
            Action::Relay => {
                check.advise(
                    Code::Redirection,
                    &format!("{place}.action"),
                    "relay",
                    RELAY_BREAKS,
                    "prefer action: notice, which tells people what to change",
                );
                format!("{place}.relay_to")
            }
            Action::Notice => format!("{place}.notice.address"),
            _ => continue,
        };
        families(check, &at, zone);
        let to = zone.redirects_to();
        for endpoint in [false, true].into_iter().filter_map(|ipv6| to.of(ipv6)) {
            let value = endpoint.to_string();
            let around = owners.around(endpoint.ip());
            let remedy = "use a host on the other side of the gateway";
            let mut advise = |cause: &str| check.advise(Code::Redirection, &at, &value, cause, remedy);
            if let Some((prefix, _)) = around.iter().find(|(_, owner)| *owner == index) {
                let cause = format!(
                    "is inside the zone's own {prefix}, so its answers would not cross the interface again, or would loop"
                );
                advise(&cause);
            }
            if let Some((_, other)) = around.iter().find(|(_, owner)| *owner != index) {
                let cause = format!(
                    "is a subscriber of zone {}, so its answers may not cross the interface again",
                    policy.zones[*other].id
                );
                advise(&cause);
            }
            let serves = |relay: &Relay| {
                let lists = |prefix: &IpNetwork| prefix.contains(endpoint.ip());
                // A name may well have that address.
                relay.zones.has(&index) && (!relay.names.list.is_empty() || relay.addresses.iter().any(lists))
            };
            if zone.action == Action::Relay && !policy.relays.iter().any(serves) {
                let remedy = "add its address to a relay, or correct it";
                check.advise(Code::Redirection, &at, &value, "is not among the relays of the zone", remedy);
            }
        }
    }
}

/// Whose prefixes are whose: of a thousand zones with an endpoint each, none is to look at the prefixes of all.
struct Owners(HashMap<IpNetwork, usize>);

impl Owners {
    /// No prefix is of two zones.
    fn of(zones: &[Zone]) -> Self {
        let prefixes = |(owner, zone): (usize, &Zone)| {
            zone.subscribers.iter().map(move |prefix| (*prefix, owner)).collect::<Vec<_>>()
        };
        let redirects = zones.iter().any(|zone| zone.redirects_to() != Endpoints::default());
        Self(zones.iter().enumerate().filter(|_| redirects).flat_map(prefixes).collect())
    }

    /// The prefixes that have the address, the most specific first, and the zone of each.
    fn around(&self, address: IpAddr) -> Vec<(IpNetwork, usize)> {
        let lengths = (0..=if address.is_ipv4() { 32 } else { 128 }).rev();
        let prefix = |length| {
            let network = IpNetwork::new(address, length).ok()?.network();
            let prefix = IpNetwork::new(network, length).ok()?;
            Some((prefix, *self.0.get(&prefix)?))
        };
        lengths.filter_map(prefix).collect()
    }
}

/// Says so where subscribers of a family have no endpoint.
fn families(check: &mut Check, place: &str, zone: &Zone) {
    let Endpoints { ipv4, ipv6 } = zone.redirects_to();
    let (family, other) = match (ipv4, ipv6) {
        (Some(ipv4), None) => ("IPv6", SocketAddr::from(ipv4)),
        (None, Some(ipv6)) => ("IPv4", ipv6.into()),
        _ => return,
    };
    if zone.subscribers.iter().any(|prefix| prefix.is_ipv6() != other.is_ipv6()) {
        let cause = format!("is the only endpoint, so {family} subscribers of the zone get a reset");
        let remedy = format!("add one for {family}, or leave it so");
        check.advise(Code::Redirection, place, &other.to_string(), &cause, &remedy);
    }
}
