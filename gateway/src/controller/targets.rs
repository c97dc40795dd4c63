//! Where connections are redirected to, and which of those places answer: the others get none.

use super::Controller;
use crate::policy::Policy;
use crate::probe::{Kind, Probe, Prober};
use crate::status::Redirect;
use gate25_common::abi::Target;
use gate25_common::verdict::{Action, Family};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use tracing::{error, info, warn};

/// What the controller knows of its targets.
pub(super) struct Targets {
    prober: Prober,
    up: HashSet<Probe>,
    /// The kernel has others than it should, since it refused them.
    is_due: bool,
}

impl Targets {
    pub(super) fn new(prober: Prober) -> Self {
        Self { prober, up: HashSet::new(), is_due: false }
    }

    /// The redirects of a policy, in the order of its zones.
    pub(super) fn redirects(
        &self,
        policy: &Policy,
        slots: &[u32],
        targets: &HashMap<u32, Target>,
    ) -> Vec<Redirect> {
        let mut redirects = redirects(policy, slots, targets);
        for redirect in &mut redirects {
            redirect.is_up = self.up.contains(&probe(redirect));
        }
        redirects
    }
}

/// All of them, as if none were up.
fn redirects(policy: &Policy, slots: &[u32], targets: &HashMap<u32, Target>) -> Vec<Redirect> {
    let mut redirects = Vec::new();
    for (zone, slot) in policy.zones.iter().zip(slots) {
        let target = targets.get(slot).copied().unwrap_or_default();
        for family in [Family::Ipv4, Family::Ipv6] {
            if let Some((address, port)) = target.of(family == Family::Ipv6) {
                redirects.push(Redirect {
                    slot: *slot,
                    zone: zone.id.clone(),
                    action: zone.action,
                    family,
                    address: SocketAddr::new(address.into(), port),
                    is_up: false,
                });
            }
        }
    }
    redirects
}

fn probe(redirect: &Redirect) -> Probe {
    let kind = if redirect.action == Action::Relay { Kind::Relay } else { Kind::Notice };
    Probe { address: redirect.address, kind }
}

/// The targets without those endpoints that are not up.
pub(super) fn usable(targets: &HashMap<u32, Target>, redirects: &[Redirect]) -> HashMap<u32, Target> {
    let mut targets = targets.clone();
    for redirect in redirects.iter().filter(|redirect| !redirect.is_up) {
        if let Some(target) = targets.get_mut(&redirect.slot) {
            match redirect.family {
                Family::Ipv6 => target.ipv6_port = 0,
                _ => target.ipv4_port = 0,
            }
        }
    }
    targets
}

impl Controller {
    /// Probes what the policy in force redirects to, and nothing else.
    pub(super) fn follow_targets(&mut self) {
        let wanted: HashSet<Probe> = self.status.lock().redirects.iter().map(probe).collect();
        self.targets.up.retain(|probe| wanted.contains(probe));
        self.targets.prober.follow(&wanted);
        self.put_targets();
    }

    /// Takes a probe's result.
    pub(super) fn probed(&mut self, result: Probe, is_up: bool) {
        let mut zones = Vec::new();
        for redirect in &mut self.status.lock().redirects {
            if probe(redirect) == result {
                redirect.is_up = is_up;
                zones.push(redirect.zone.clone());
            }
        }
        // A result may come behind the policy that no longer wants it.
        if zones.is_empty() {
            return;
        }
        if is_up {
            self.targets.up.insert(result);
        } else {
            self.targets.up.remove(&result);
        }
        self.put_targets();
        let what = match result.kind {
            Kind::Notice => "notice responder",
            Kind::Relay => "relay",
        };
        let of = format!("{} {}", if zones.len() == 1 { "zone" } else { "zones" }, zones.join(", "));
        let address = result.address;
        if is_up {
            info!("{what} {address} of {of} answers: blocked connections are redirected to it");
        } else {
            warn!("{what} {address} of {of} does not answer: blocked connections get a reset until it does");
        }
    }

    /// Tells the program which targets are up.
    fn put_targets(&mut self) {
        let (installed, redirects) = {
            let status = self.status.lock();
            (status.installed.clone().unwrap_or_default(), status.redirects.clone())
        };
        let result = self.store.set_targets(&usable(&installed.targets, &redirects));
        self.targets.is_due = result.is_err();
        if let Err(fault) = result {
            error!("{fault}: redirects stay as they were, until the next try");
        }
    }

    /// What the kernel refused is tried again.
    pub(super) fn mend_targets(&mut self) {
        if self.targets.is_due {
            self.put_targets();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Endpoints, Mode, ReturnPath, Zone};
    use gate25_common::address::Address;
    use std::net::Ipv6Addr;

    fn zone(id: &str, action: Action) -> Zone {
        Zone {
            id: id.into(),
            subscribers: Vec::new(),
            mode: Mode::Enforce,
            action,
            return_path: ReturnPath::Off,
            relay_to: Endpoints::default(),
            notice: None,
            subscriber_prefix_v6: 64,
            relay_limit: None,
        }
    }

    #[test]
    fn only_what_is_up_is_a_target() {
        let ipv6: Ipv6Addr = "2001:db8:26::1".parse().unwrap();
        let both = Target {
            ipv6: Address::from(std::net::IpAddr::from(ipv6)).words(),
            ipv4: [192, 0, 2, 26],
            ipv4_port: 2525,
            ipv6_port: 2526,
        };
        let one = Target { ipv4: [192, 0, 2, 25], ipv4_port: 25, ..Target::default() };
        let targets = HashMap::from([(7, both), (9, one)]);
        let zones =
            vec![zone("west", Action::Notice), zone("north", Action::Drop), zone("east", Action::Relay)];
        let policy = Policy { zones, ..Policy::default() };
        let mut redirects = redirects(&policy, &[7, 8, 9], &targets);
        let shown: Vec<_> = redirects
            .iter()
            .map(|found| (found.zone.as_str(), found.family, found.address.to_string(), probe(found).kind))
            .collect();
        let wanted = [
            ("west", Family::Ipv4, "192.0.2.26:2525".to_owned(), Kind::Notice),
            ("west", Family::Ipv6, "[2001:db8:26::1]:2526".to_owned(), Kind::Notice),
            ("east", Family::Ipv4, "192.0.2.25:25".to_owned(), Kind::Relay),
        ];
        assert_eq!(shown, wanted);

        let none = usable(&targets, &redirects);
        assert!(none.values().all(|target| target.ipv4_port == 0 && target.ipv6_port == 0), "{none:?}");
        redirects[1].is_up = true;
        let some = usable(&targets, &redirects);
        assert_eq!((some[&7], some[&9].ipv4_port), (Target { ipv4_port: 0, ..both }, 0));
        for redirect in &mut redirects {
            redirect.is_up = true;
        }
        assert_eq!(usable(&targets, &redirects), targets);
    }
}
