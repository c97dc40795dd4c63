//! What the prefixes of rules are among all others, found in one pass over those in order, as the compiler does it.

use super::rules::{Rule, includes};
use super::{Findings, Side};
use crate::policy::compile::TooLarge;
use crate::policy::compile::classes::Member;
use crate::policy::compile::sweep::{Held, Sweep};
use crate::policy::problem::Code;
use crate::policy::{Policy, Scope};
use gate25_common::verdict::RuleKind;
use ipnetwork::IpNetwork;

/// Whether it is wider than people have.
pub(super) fn is_wide(prefix: &IpNetwork) -> bool {
    prefix.prefix() < if prefix.is_ipv4() { 8 } else { 16 }
}

/// What a sweep leaves behind of one side: sets of rules that list the same prefixes.
#[derive(Default)]
pub(super) struct Sets {
    /// By number; the rules in order. Empty where no rule lists a prefix of the set itself.
    pub(super) members: Vec<Vec<usize>>,
    /// Of each rule, the sets of its own prefixes.
    pub(super) of: Vec<Vec<usize>>,
}

impl Sets {
    /// Whether every prefix of the rule is inside one of the other.
    pub(super) fn covers(&self, other: usize, rule: usize) -> bool {
        self.of[rule].iter().all(|set| self.members[*set].binary_search(&other).is_ok())
    }
}

/// Both sides of a policy.
pub(super) struct Sides {
    pub(super) subscribers: Sets,
    pub(super) destinations: Sets,
    /// Exceptions of whose subscribers none is in a zone of theirs.
    pub(super) unusable: Vec<usize>,
}

/// A pass over one side.
struct Pass<'a> {
    side: Side,
    rules: &'a [Rule<'a>],
    zones: usize,
    sets: Sets,
    /// Of each set, the rules that something else decides for where they list a prefix of it, and what that is.
    shadowed: Vec<Vec<(usize, usize)>>,
}

/// Looks at both sides.
pub(super) fn look(rules: &[Rule<'_>], policy: &Policy, findings: &mut Findings) -> Result<Sides, TooLarge> {
    let (subscribers, unusable) = sources(rules, policy, findings)?;
    let mut sweep = Sweep::default();
    for (index, rule) in rules.iter().enumerate() {
        sweep.members(rule.destinations.unwrap_or_default(), index);
    }
    let mut pass = Pass::new(Side::Destinations, rules, policy.zones.len());
    sweep.run(|held| pass.see(&held, findings))?;
    Ok(Sides { subscribers, destinations: pass.sets, unusable })
}

/// Looks at subscribers; the addresses of relays are among them, for they may be.
fn sources(
    rules: &[Rule<'_>],
    policy: &Policy,
    findings: &mut Findings,
) -> Result<(Sets, Vec<usize>), TooLarge> {
    let mut sweep = Sweep::default();
    for (index, zone) in policy.zones.iter().enumerate() {
        zone.subscribers.iter().for_each(|prefix| sweep.zone(*prefix, index));
    }
    for (index, rule) in rules.iter().enumerate() {
        let relay = rule.destinations.filter(|_| rule.kind == RuleKind::Relay);
        sweep.members(rule.subscribers.or(relay).unwrap_or_default(), index);
    }
    let may_send =
        |rule: &Rule| (rule.kind, rule.counts, rule.destinations) == (RuleKind::Exception, true, None);
    let mut open = vec![false; policy.zones.len()];
    for rule in rules.iter().filter(|rule| rule.subscribers.is_none() && may_send(rule)) {
        match rule.zones {
            Scope::Every => open.fill(true),
            Scope::Only(zones) => zones.iter().for_each(|zone| open[*zone] = true),
        }
    }
    let mut pass = Pass::new(Side::Subscribers, rules, policy.zones.len());
    let mut strays =
        Strays { open: vec![Vec::new(); rules.len()], out: Vec::new(), listed: vec![0; rules.len()] };
    sweep.run(|held| {
        pass.see(&held, findings);
        for member in held.members {
            let rule = &rules[member.rule];
            let is_own = member.length == held.prefix.prefix();
            match (rule.kind, held.zone) {
                (RuleKind::Exception, zone) if rule.counts => {
                    strays.see(
                        member.rule,
                        held.prefix,
                        is_own,
                        zone.is_some_and(|zone| rule.zones.has(&zone)),
                    );
                }
                (RuleKind::Relay, Some(zone)) if is_own => {
                    let is_free = |rule: &Rule| may_send(rule) && rule.zones.has(&zone);
                    if !open[zone] && !held.members.iter().any(|member| is_free(&rules[member.rule])) {
                        findings.add(member.rule, Side::Destinations, Code::RelayInZone, held.prefix, zone);
                    }
                }
                _ => {}
            }
        }
    })?;
    let unusable = strays.tell(findings);
    Ok((pass.sets, unusable))
}

impl<'a> Pass<'a> {
    fn new(side: Side, rules: &'a [Rule<'a>], zones: usize) -> Self {
        let sets = Sets { members: Vec::new(), of: vec![Vec::new(); rules.len()] };
        Self { side, rules, zones, sets, shadowed: Vec::new() }
    }

    fn see(&mut self, held: &Held<'_>, findings: &mut Findings) {
        if held.own.is_empty() {
            return;
        }
        if self.sets.members.len() <= held.set {
            self.sets.members.resize(held.set + 1, Vec::new());
            self.shadowed.resize(held.set + 1, Vec::new());
        }
        // The same set is of the same lengths, and so are the rules that list the prefix itself.
        if self.sets.members[held.set].is_empty() {
            self.learn(held.set, held.members, held.own);
        }
        for (rule, by) in &self.shadowed[held.set] {
            findings.add(*rule, self.side, Code::Shadowed, held.prefix, *by);
        }
        if held.own.len() > 1 || is_wide(&held.prefix) {
            let mut own: Vec<usize> = held.own.iter().map(|own| own.rule).collect();
            // Relays are only looked for among subscribers.
            own.retain(|rule| self.side == Side::Destinations || self.rules[*rule].kind != RuleKind::Relay);
            own.sort_unstable();
            for group in own.chunk_by(PartialEq::eq) {
                if group.len() > 1 {
                    findings.add(group[0], self.side, Code::Duplicate, held.prefix, 0);
                }
                if is_wide(&held.prefix) {
                    findings.add(group[0], self.side, Code::WidePrefix, held.prefix, 0);
                }
            }
        }
    }

    /// Notes the rules of a set, and which of them are needless where they list a prefix of it themselves.
    fn learn(&mut self, set: usize, members: &[Member], own: &[Member]) {
        let mut own: Vec<usize> = own.iter().map(|own| own.rule).collect();
        own.sort_unstable();
        own.dedup();
        let rules = self.rules;
        let of =
            |kind| members.iter().map(|member| member.rule).filter(move |rule| rules[*rule].kind == kind);
        let relays: Vec<usize> = of(RuleKind::Relay).filter(|_| self.side == Side::Destinations).collect();
        // A block decides for all of a rule where it says nothing of the other side.
        let blocks: Vec<usize> = of(RuleKind::Block)
            .filter(|block| {
                let (block, side) = (&rules[*block], self.side);
                let other = if side == Side::Destinations { block.subscribers } else { block.destinations };
                block.counts && other.is_none()
            })
            .collect();
        for index in own {
            self.sets.of[index].push(set);
            let rule = &rules[index];
            let is_open = match (rule.kind, self.side) {
                (RuleKind::Exception, _) => rule.counts,
                (RuleKind::Relay, side) => side == Side::Destinations,
                (RuleKind::Block, _) => false,
            };
            let block = blocks.iter().find(|block| includes(rules[**block].zones, rule.zones, self.zones));
            let by = block.copied().or_else(|| self.relay(rule, &relays));
            if let Some(by) = by.filter(|_| is_open) {
                self.shadowed[set].push((index, by));
            }
        }
        self.sets.members[set] = members.iter().map(|member| member.rule).collect();
    }

    /// A relay, where each zone of the exception has one of them.
    fn relay(&self, exception: &Rule<'_>, relays: &[usize]) -> Option<usize> {
        let first = relays.first().filter(|_| exception.kind == RuleKind::Exception)?;
        let has = |zone: usize| relays.iter().any(|relay| self.rules[*relay].zones.has(&zone));
        let all = relays.iter().any(|relay| *self.rules[*relay].zones == Scope::Every)
            || match exception.zones {
                Scope::Every => (0..self.zones).all(has),
                Scope::Only(zones) => zones.iter().all(|zone| has(*zone)),
            };
        all.then_some(*first)
    }
}

/// Prefixes of exceptions in which no zone of theirs has a subscriber.
struct Strays {
    /// Of each rule, those that contain the last prefix seen, and may yet have a zone inside.
    open: Vec<Vec<IpNetwork>>,
    out: Vec<(usize, IpNetwork)>,
    /// How many different prefixes each rule lists.
    listed: Vec<usize>,
}

impl Strays {
    fn see(&mut self, rule: usize, prefix: IpNetwork, is_own: bool, is_in_zone: bool) {
        let open = &mut self.open[rule];
        self.listed[rule] += usize::from(is_own);
        while let Some(last) = open.last().filter(|last| !last.contains(prefix.ip())) {
            self.out.push((rule, *last));
            open.pop();
        }
        if is_in_zone {
            open.clear();
        } else if is_own {
            open.push(prefix);
        }
    }

    /// Tells of single ones, and gives back the rules that have no others.
    fn tell(mut self, findings: &mut Findings) -> Vec<usize> {
        for (rule, open) in self.open.into_iter().enumerate() {
            self.out.extend(open.into_iter().map(|prefix| (rule, prefix)));
        }
        self.out.sort_unstable();
        let mut unusable = Vec::new();
        for group in self.out.chunk_by(|(one, _), (other, _)| one == other) {
            let rule = group[0].0;
            if group.len() == self.listed[rule] {
                unusable.push(rule);
            } else {
                for (_, prefix) in group {
                    findings.add(rule, Side::Subscribers, Code::Unusable, *prefix, 0);
                }
            }
        }
        unusable
    }
}
