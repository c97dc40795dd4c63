//! Redirected connections, answers and ICMP errors, frame by frame: test-runs of both programs over the same tables.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod flows;
mod scapy;

use gate25::clock;
use gate25::datapath::object::Unmanaged;
use gate25::datapath::testrun::Runner;
use gate25::policy::compile::compile;
use gate25_common::verdict::Direction;

/// A zone for each action that writes frames.
const POLICY: &str = "
version: 1
zones:
  - id: notice
    subscribers: ['203.0.113.0/26', '2001:db8:100::/48']
    mode: enforce
    action: notice
    notice: {address: ['192.0.2.26:2525', '[2001:db8:26::1]:2526']}
  - id: relay
    subscribers: ['203.0.113.64/26', '2001:db8:101::/48']
    mode: enforce
    action: relay
    relay_to: ['192.0.2.25:25', '[2001:db8:25::25]:587']
    return_path: enforce
  - id: reset
    subscribers: ['203.0.113.128/26', '2001:db8:102::/48']
    mode: enforce
    action: reset
    return_path: enforce
  - id: icmp
    subscribers: ['203.0.113.192/26', '2001:db8:103::/48']
    mode: enforce
    action: icmp
    return_path: monitor
relays:
  - {id: out, addresses: ['192.0.2.25', '2001:db8:25::25']}
exceptions:
  - {id: campus, zones: [reset], subscribers: ['203.0.113.150'], destinations: ['198.51.100.0/24'], permanent: true}
";

fn runner() -> Runner {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.yaml");
    std::fs::write(&path, POLICY).expect("the policy");
    let policy = gate25::policy::load(&path).expect("a valid policy").policy;
    let tables = compile(&policy, clock::now(), true, |zone| zone as u32 + 1).expect("tables");
    let mut runner = Runner::new(&[Direction::Egress, Direction::Return], Unmanaged::Pass)
        .expect("root, and both programs");
    runner.install(&tables).expect("tables in the kernel");
    runner
}
