//! The addresses that send no mail themselves, as a DNS list for rbldnsd: what lists of other people's policies (such as
//! the PBL) want of a provider.

use super::plan::Part;
use super::sets::{both, prefixes, without};
use crate::diff::space::Set;
use crate::policy::{Mode, Zone};
use std::fmt::Write as _;

/// How it is used.
pub(super) const ABOUT: [&str; 3] = [
    "Serve it with `rbldnsd ... ZONE:combined:FILE`; $SOA and $NS of the zone come from a file of your own, named before:",
    "`ZONE:generic:SOA,...`. Listed are subscribers of zones that enforce, but for those with an exception for every",
    "destination; who may send to some servers alone is listed.",
];

/// A `combined` dataset with one for each family, both at the base of the zone. Zones that monitor are left out: others
/// would refuse their mail, while the policy is still tried.
pub(super) fn dataset(parts: &[Part<'_>]) -> String {
    let mut text = String::new();
    for (ipv6, kind, test) in [(false, "ip4set", "127.0.0.2"), (true, "ip6trie", "::ffff:7f00:2")] {
        let _ = write!(text, "$DATASET {kind} @\n{test} :127.0.0.2:test entry (RFC 5782)\n");
        for part in parts.iter().filter(|part| part.ipv6 == ipv6 && part.zone.mode == Mode::Enforce) {
            let listed = prefixes(&listed(part), ipv6);
            if !listed.is_empty() {
                let _ = writeln!(text, ":127.0.0.2:{}", words(part.zone));
            }
            for prefix in listed {
                let _ = writeln!(text, "{prefix}");
            }
        }
    }
    text
}

/// The subscribers who may not send to everywhere.
fn listed(part: &Part<'_>) -> Set {
    let mut undecided = part.subscribers.clone();
    let mut open = Vec::new();
    for term in part.terms.iter().filter(|term| term.destinations.is_none()) {
        let decided =
            term.sources.as_ref().map_or_else(|| undecided.clone(), |sources| both(sources, &undecided));
        undecided = without(&undecided, &decided);
        if term.passes() {
            open.extend(decided.spans());
        }
    }
    without(&part.subscribers, &Set::union(open))
}

/// What a refused server is told. A dollar sign would stand for the address.
fn words(zone: &Zone) -> String {
    let notice = zone.notice.as_ref();
    let instead = notice.and_then(|notice| notice.submission.as_deref());
    let url = notice.and_then(|notice| notice.url.as_deref());
    let instead = instead.map_or_else(String::new, |instead| format!("; it goes through {instead}"));
    let url = url.map_or_else(String::new, |url| format!(", see {url}"));
    format!("zone {}: no mail is sent from here directly{instead}{url}", zone.id).replace('$', "$$")
}
