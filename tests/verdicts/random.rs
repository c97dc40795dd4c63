//! Random policies and frames, all drawn from sixteen addresses, so that everything overlaps.

use gate25::policy::{
    Action, Block, Endpoints, Exception, Kind, Mode, Names, Notice, Policy, Relay, ReturnPath, Scope, Zone,
};
use gate25_common::verdict::Direction;
use gate25_tests::packet::{Extension, Ipv4, Ipv6, Link, Payload, Ppp, Tcp, udp};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// One of eight addresses of a family.
pub(crate) fn address(ipv6: bool, number: u8) -> IpAddr {
    if ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)).into()
    } else {
        Ipv4Addr::new(192, 0, 2, number).into()
    }
}

/// The instant about which all dates lie; every date is a whole number of hours from it.
pub(crate) fn noon() -> Timestamp {
    "2004-07-28T12:00:00Z".parse().expect("an instant")
}

fn prefix() -> impl Strategy<Value = IpNetwork> {
    (any::<bool>(), 0..8_u8, select(&[0, 1, 24, 29, 29, 30, 30, 31, 31, 32, 32][..])).prop_map(
        |(ipv6, number, length)| {
            let host = 32 - length;
            match address(ipv6, number) {
                IpAddr::V4(address) => {
                    let mask = u32::MAX.checked_shl(host).unwrap_or(0);
                    let network = Ipv4Addr::from_bits(address.to_bits() & mask);
                    Ipv4Network::new(network, length as u8).expect("a prefix").into()
                }
                IpAddr::V6(address) => {
                    let length = if length == 0 { 0 } else { 128 - host };
                    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                    let network = Ipv6Addr::from_bits(address.to_bits() & mask);
                    Ipv6Network::new(network, length as u8).expect("a prefix").into()
                }
            }
        },
    )
}

fn date() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((-2..=3_i64).prop_map(|hours| noon() + SignedDuration::from_hours(hours)))
}

fn dates() -> impl Strategy<Value = (Option<Timestamp>, Option<Timestamp>)> {
    (date(), date()).prop_filter("from before until", |dates| match dates {
        (Some(from), Some(until)) => from < until,
        _ => true,
    })
}

fn some_zones() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..3)
}

fn scope() -> impl Strategy<Value = Scope<IpNetwork>> {
    prop_oneof![2 => Just(Scope::Every), 3 => vec(prefix(), 1..4).prop_map(|list| Scope::Only(list.into()))]
}

fn zone_scope(chosen: &[Index], zones: usize) -> Scope<usize> {
    if chosen.is_empty() {
        return Scope::Every;
    }
    let zones: BTreeSet<usize> = chosen.iter().map(|index| index.index(zones)).collect();
    Scope::Only(zones.into_iter().collect::<Vec<_>>().into())
}

/// Ids that sort in no order of their making.
fn ids() -> impl Strategy<Value = Vec<String>> {
    let ids: Vec<String> = (0..16).map(|number| format!("r{number:02}")).collect();
    Just(ids).prop_shuffle()
}

/// One of a family, or of each.
fn endpoints() -> impl Strategy<Value = Endpoints> {
    let ipv4 = Some(SocketAddrV4::new([198, 51, 100, 25].into(), 2525));
    let ipv6 = Some(SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0x25, 0, 0, 0, 0, 1), 2525, 0, 0));
    prop_oneof![
        Just(Endpoints { ipv4, ipv6 }),
        Just(Endpoints { ipv4, ipv6: None }),
        Just(Endpoints { ipv4: None, ipv6 }),
    ]
}

/// Any number of subscribers, and what the zone does about them. Endpoints are there whatever the action.
fn zone(actions: &'static [Action]) -> impl Strategy<Value = Zone> {
    let words = (select(Mode::ALL), select(actions), select(ReturnPath::ALL));
    (vec(prefix(), 1..4), words, endpoints(), endpoints()).prop_map(
        |(subscribers, (mode, action, return_path), relay_to, address)| {
            // To enforce the way back in a zone that monitors is an error.
            let return_path = match mode {
                Mode::Monitor => return_path.min(ReturnPath::Monitor),
                Mode::Enforce => return_path,
            };
            let notice = Some(Notice { address, ..Notice::default() });
            Zone {
                id: String::new(),
                subscribers,
                mode,
                action,
                return_path,
                relay_to,
                notice,
                subscriber_prefix_v6: 64,
                relay_limit: None,
            }
        },
    )
}

/// A policy that [`gate25::policy::load`] could have made, of zones with these actions.
pub(crate) fn policy(actions: &'static [Action]) -> impl Strategy<Value = Policy> {
    let relay = (some_zones(), vec(prefix(), 1..3));
    let exception = (some_zones(), scope(), scope(), dates());
    let block = (some_zones(), scope(), scope(), dates());
    (vec(zone(actions), 1..5), vec(relay, 0..3), vec(exception, 0..7), vec(block, 0..3), ids()).prop_map(
        |(zones, relays, exceptions, blocks, ids)| {
            let mut ids = ids.into_iter();
            let mut id = || ids.next().expect("an id");
            let mut taken = BTreeSet::new();
            let mut policy = Policy::default();
            for (number, mut zone) in zones.into_iter().enumerate() {
                // The same prefix in two zones is an error.
                zone.subscribers.retain(|prefix| taken.insert(*prefix));
                policy.zones.push(Zone { id: format!("z{number}"), ..zone });
            }
            let zones = policy.zones.len();
            for (chosen, addresses) in relays {
                let names = Names::default();
                policy.relays.push(Relay { id: id(), zones: zone_scope(&chosen, zones), addresses, names });
            }
            for (chosen, subscribers, destinations, (from, until)) in exceptions {
                let zones = zone_scope(&chosen, zones);
                let kind = Kind::Other;
                policy.exceptions.push(Exception {
                    id: id(),
                    kind,
                    zones,
                    subscribers,
                    destinations,
                    names: Names::default(),
                    from,
                    until,
                    limit: None,
                });
            }
            for (chosen, subscribers, destinations, (from, until)) in blocks {
                let zones = zone_scope(&chosen, zones);
                if (&subscribers, &destinations) != (&Scope::Every, &Scope::Every) {
                    policy.blocks.push(Block { id: id(), zones, subscribers, destinations, from, until });
                }
            }
            policy
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    let tag = (select(&[0x8100_u16, 0x88a8, 0x9100][..]), any::<u16>());
    let ppp = prop_oneof![3 => Just(None), 1 => Just(Some(Ppp::Long)), 1 => Just(Some(Ppp::Short))];
    (prop_oneof![3 => vec(tag.clone(), 0..=1), 1 => vec(tag, 0..=6)], ppp).prop_map(|(tags, ppp)| {
        let link = tags.into_iter().fold(Link::new(), |link, (tpid, control)| link.tag(tpid, control));
        ppp.map_or(link.clone(), |ppp| link.pppoe(ppp))
    })
}

/// A segment that goes that way; port 25 is the remote's.
fn tcp(direction: Direction) -> impl Strategy<Value = Tcp> {
    let port = prop_oneof![8 => Just(25), 1 => Just(587), 1 => Just(26)];
    let payload = prop_oneof![3 => vec(any::<u8>(), 0..3), 2 => vec(any::<u8>(), 0..80), 1 => vec(any::<u8>(), 1900..2100)];
    let flags = prop_oneof![3 => Just(2), 2 => Just(0x10), 1 => any::<u8>()];
    (any::<u16>(), port, any::<u32>(), any::<u32>(), flags, payload, 0..=10_usize, any::<bool>()).prop_map(
        move |(near, far, sequence, acknowledgement, flags, payload, options, wrong)| {
            let (source, destination) = match direction {
                Direction::Egress => (near, far),
                Direction::Return => (far, near),
            };
            Tcp {
                sequence,
                acknowledgement,
                flags,
                options: vec![1; options * 4],
                payload,
                wrong_checksum: wrong && flags & 1 == 1,
                ..Tcp::new(source, destination, flags)
            }
        },
    )
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        6 => (select(&[0_u8, 43, 60, 135, 139, 140][..]), 0..4_u8).prop_map(|(number, units)| Extension::sized(number, units)),
        2 => (1..6_u8).prop_map(Extension::authentication),
        1 => any::<bool>().prop_map(|more| Extension::fragment(0, more)),
        1 => Just(Extension::fragment(3, true)),
        1 => (200..=255_u8).prop_map(|units| Extension::sized(60, units)),
    ]
}

/// A packet between two of the sixteen, most of them well formed.
fn packet(direction: Direction) -> impl Strategy<Value = Payload> {
    let fragment = prop_oneof![8 => Just(0x4000_u16), 1 => Just(Ipv4::MORE), 1 => any::<u16>()];
    let v4 = (tcp(direction), 0..8_u8, 0..8_u8, 0..=10_usize, fragment, any::<bool>()).prop_map(
        |(tcp, from, to, options, fragment, is_udp)| {
            let (IpAddr::V4(from), IpAddr::V4(to)) = (address(false, from), address(false, to)) else {
                unreachable!()
            };
            let packet = Ipv4 { options: vec![1; options * 4], fragment, ..Ipv4::tcp(from, to, &tcp) };
            if is_udp && options == 7 {
                Ipv4 { protocol: 17, payload: udp(25, 25, b"x"), ..packet }
            } else {
                packet
            }
            .into()
        },
    );
    let v6 = (
        tcp(direction),
        0..8_u8,
        0..8_u8,
        prop_oneof![2 => vec(extension(), 0..=1), 1 => vec(extension(), 0..=10)],
    )
        .prop_map(|(tcp, from, to, chain)| {
            let (IpAddr::V6(from), IpAddr::V6(to)) = (address(true, from), address(true, to)) else {
                unreachable!()
            };
            Ipv6::tcp(from, to, &tcp).with(chain).into()
        });
    prop_oneof![v4, v6]
}

/// A frame's octets, printed in hexadecimal.
#[derive(Clone)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A frame, as it was made or damaged: octets changed among the headers, the end cut off, padding added.
pub(crate) fn frame(direction: Direction) -> impl Strategy<Value = Frame> {
    let damage = prop_oneof![2 => Just(Vec::new()), 1 => vec((0..100_usize, any::<u8>()), 1..4)];
    let cut = prop_oneof![4 => Just(usize::MAX), 1 => 14..140_usize];
    let padding = prop_oneof![6 => Just(0), 1 => 1..50_usize, 1 => 3_000..6_000_usize];
    (link(), packet(direction), damage, cut, padding).prop_map(|(link, packet, damage, cut, padding)| {
        let mut frame = link.carry(packet);
        for (at, octet) in damage {
            if let Some(place) = frame.get_mut(at) {
                *place = octet;
            }
        }
        frame.truncate(cut);
        frame.extend(vec![0; padding]);
        Frame(frame)
    })
}
