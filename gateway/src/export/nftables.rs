//! A policy as an nftables ruleset: sources divided among zones by one look-up, then each zone's terms in order.

use super::plan::{Part, Term};
use super::sets::{Lists, Names, family, prefixes, written};
use crate::diff::space::{Item, Set, classes};
use crate::policy::{Action, Mode, ReturnPath, Zone};
use gate25_common::verdict::Direction;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How it is used, and what no ruleset does.
pub(super) const ABOUT: [&str; 6] = [
    "Load it with `nft -f FILE`; loading it again takes the place of what is there in one step, with new counters:",
    "`nft list counters table inet gate25`. Interfaces are those on which packets are routed, without tags and PPPoE.",
    "What gate25 blocks as malformed passes here, for nftables reads no port there; so does what is behind mobility, HIP and",
    "shim6 headers, and what comes from addresses of no zone. The way back is looked at where packets are forwarded.",
    "Nothing begins by itself, and no block ends. Exceptions end by themselves, unless this was exported with --at. Changes of",
    "the policy, and of the addresses of names, are not followed: export again.",
];

/// The last second that the kernel's clock of nanoseconds can tell.
const NEVER: i64 = i64::MAX / 1_000_000_000;

/// The ruleset behind the head: a table of its own, which loading again replaces in one step.
pub(super) fn ruleset(parts: &[Part<'_>], interfaces: &[String]) -> String {
    let mut ruleset = Ruleset::default();
    for direction in [Direction::Egress, Direction::Return] {
        let looks = |part: &&Part<'_>| {
            matches!(direction, Direction::Egress) || part.zone.return_path != ReturnPath::Off
        };
        let parts: Vec<_> = parts.iter().filter(looks).collect();
        if !parts.is_empty() {
            ruleset.direction(Way::new(direction), &parts, interfaces);
        }
    }
    ruleset.text()
}

/// Where packets of a direction pass, and where they have which address.
struct Way {
    direction: Direction,
    /// Of its chains; the direction's own word is one of nftables.
    name: &'static str,
    hook: &'static str,
    interface: &'static str,
    port: &'static str,
    subscriber: &'static str,
    remote: &'static str,
    /// What names of this direction have behind the zone.
    mark: &'static str,
}

impl Way {
    const fn new(direction: Direction) -> Self {
        match direction {
            Direction::Egress => Self {
                direction,
                name: "from_subscribers",
                hook: "hook prerouting priority raw",
                interface: "iifname",
                port: "dport",
                subscriber: "saddr",
                remote: "daddr",
                mark: "",
            },
            Direction::Return => Self {
                direction,
                name: "toward_subscribers",
                // Not behind it, where the router's own resets leave, too.
                hook: "hook forward priority filter",
                interface: "oifname",
                port: "sport",
                subscriber: "daddr",
                remote: "saddr",
                mark: ".return",
            },
        }
    }
}

#[derive(Default)]
struct Ruleset {
    names: Names,
    lists: Lists,
    counters: BTreeSet<String>,
    maps: String,
    /// Those that others lead to, and those at the hooks.
    chains: String,
    hooks: String,
}

impl Ruleset {
    fn direction(&mut self, way: Way, parts: &[&Part<'_>], interfaces: &[String]) {
        let name = way.name;
        let mut look_ups = String::new();
        for ipv6 in [false, true] {
            let mut elements = Vec::new();
            for part in parts.iter().filter(|part| part.ipv6 == ipv6) {
                let chain = self.zone(&way, part);
                let spans = part.subscribers.spans().iter();
                elements
                    .extend(spans.map(|span| (*span, format!("{} : goto {chain}", written(*span, ipv6)))));
            }
            if !elements.is_empty() {
                elements.sort();
                let map = format!("{name}.{}", family(ipv6));
                self.map(&map, ipv6, elements.into_iter().map(|(_, element)| element));
                let _ = writeln!(look_ups, "\t\t{} {} vmap @{map}", protocol(ipv6), way.subscriber);
            }
        }
        let _ = write!(self.chains, "\n\tchain {name} {{\n{look_ups}\t}}\n");
        let names: Vec<String> = interfaces.iter().map(|interface| format!("\"{interface}\"")).collect();
        let on = if names.is_empty() {
            String::new()
        } else {
            format!("{} {{ {} }} ", way.interface, names.join(", "))
        };
        let (hook, port) = (way.hook, way.port);
        let _ = write!(
            self.hooks,
            "\n\tchain {name}.hook {{\n\t\ttype filter {hook}; policy accept;\n\t\t{on}tcp {port} 25 goto {name}\n\t}}\n"
        );
    }

    /// The chain of a zone's addresses; its name.
    fn zone(&mut self, way: &Way, part: &Part<'_>) -> String {
        let zone = format!("{}{}", self.names.of(&part.zone.id), way.mark);
        let chain = format!("{zone}.{}", family(part.ipv6));
        let mut rules = String::new();
        for terms in part.terms.chunk_by(|one, other| one.reason == other.reason) {
            let (pairs, others): (Vec<_>, Vec<_>) =
                terms.iter().partition(|term| term.sources.is_some() && term.destinations.is_some());
            for term in others {
                let rule = self.rule(way, part, &zone, term, term.sources.as_ref());
                let _ = writeln!(rules, "\t\t{rule}");
            }
            if !pairs.is_empty() {
                let map = self.pairs(way, part, &zone, &pairs);
                let _ = writeln!(rules, "\t\t{} {} vmap @{map}", protocol(part.ipv6), way.subscriber);
            }
        }
        let Zone { id, mode, action, .. } = part.zone;
        let _ = write!(
            self.chains,
            "\n\t# zone {id}: mode {}, action {}\n\tchain {chain} {{\n{rules}\t}}\n",
            mode.label(),
            action.label()
        );
        chain
    }

    /// A map from subscribers to chains with what they in particular may or may not reach; its name. So a packet costs
    /// one look-up and not one for each pair.
    fn pairs(&mut self, way: &Way, part: &Part<'_>, zone: &str, pairs: &[&Term]) -> String {
        let map = format!("{zone}.{}.{}", family(part.ipv6), pairs[0].reason.label());
        let sources = pairs.iter().enumerate().flat_map(|(number, term)| {
            let sources = term.sources.iter().flat_map(|set| prefixes(set, part.ipv6));
            sources.map(move |prefix| (prefix, Item::<()>::Rule(number)))
        });
        let mut elements = Vec::new();
        let listed =
            classes(sources.collect(), part.ipv6).into_iter().filter(|(class, _)| !class.rules.is_empty());
        for (number, (class, subscribers)) in listed.enumerate() {
            let chain = format!("{map}.{}", number + 1);
            let rules: Vec<String> =
                class.rules.iter().map(|pair| self.rule(way, part, zone, pairs[*pair], None)).collect();
            let _ = write!(self.chains, "\n\tchain {chain} {{\n\t\t{}\n\t}}\n", rules.join("\n\t\t"));
            let spans = subscribers.spans().iter();
            elements
                .extend(spans.map(|span| (*span, format!("{} : jump {chain}", written(*span, part.ipv6)))));
        }
        elements.sort();
        self.map(&map, part.ipv6, elements.into_iter().map(|(_, element)| element));
        map
    }

    fn rule(&mut self, way: &Way, part: &Part<'_>, zone: &str, term: &Term, sources: Option<&Set>) -> String {
        let counter = format!("{zone}.{}", term.reason.label());
        let mut rule = String::new();
        let sets = [
            (way.subscriber, "subscribers", sources),
            (way.remote, "destinations", term.destinations.as_deref()),
        ];
        for (field, role, set) in sets {
            if let Some(set) = set {
                let name = self.lists.name(set, part.ipv6, role);
                let _ = write!(rule, "{} {field} @{name} ", protocol(part.ipv6));
            }
        }
        if let Some(until) = term.until {
            // A fraction of a second is cut off: an end may come early, never late.
            let _ = write!(rule, "meta time < {} ", until.as_second().min(NEVER));
        }
        let _ = write!(rule, "counter name {counter} {}", verdict(way.direction, part.zone, term));
        self.counters.insert(counter);
        rule
    }

    fn map(&mut self, name: &str, ipv6: bool, elements: impl Iterator<Item = String>) {
        let of = format!("{} : verdict", kind(ipv6));
        self.maps.push_str(&set("map", name, &of, elements));
    }

    fn text(self) -> String {
        let mut text = "table inet gate25\ndelete table inet gate25\ntable inet gate25 {\n".to_owned();
        for counter in &self.counters {
            let _ = writeln!(text, "\tcounter {counter} {{ }}");
        }
        for (name, ipv6, list) in &self.lists.list {
            let spans = list.spans().iter();
            text.push_str(&set("set", name, kind(*ipv6), spans.map(|span| written(*span, *ipv6))));
        }
        text + &self.maps + &self.chains + &self.hooks + "}\n"
    }
}

/// What becomes of a packet. Who cannot be led to a notice or a relay is refused, as where none answers.
fn verdict(direction: Direction, zone: &Zone, term: &Term) -> &'static str {
    let enforced = match direction {
        Direction::Egress => zone.mode == Mode::Enforce,
        Direction::Return => zone.return_path == ReturnPath::Enforce,
    };
    match (direction, zone.action) {
        _ if term.passes() || !enforced => "accept",
        (Direction::Return, _) | (_, Action::Drop | Action::None) => "drop",
        (_, Action::Icmp) => "reject with icmpx admin-prohibited",
        (_, Action::Reset | Action::Notice | Action::Relay) => "reject with tcp reset",
    }
}

fn set(what: &str, name: &str, of: &str, elements: impl Iterator<Item = String>) -> String {
    let elements = elements.collect::<Vec<_>>().join(",\n\t\t\t");
    format!(
        "\n\t{what} {name} {{\n\t\ttype {of}\n\t\tflags interval\n\t\telements = {{\n\t\t\t{elements}\n\t\t}}\n\t}}\n"
    )
}

const fn kind(ipv6: bool) -> &'static str {
    if ipv6 { "ipv6_addr" } else { "ipv4_addr" }
}

const fn protocol(ipv6: bool) -> &'static str {
    if ipv6 { "ip6" } else { "ip" }
}
