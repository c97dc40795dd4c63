//! Redirected connections, answers and ICMP errors, frame by frame: test-runs of both programs over the same tables.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod flows;
mod lab;
mod return_path;
mod scapy;

use lab::Lab;
use std::net::IpAddr;

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
  - id: half
    subscribers: ['198.18.0.0/24', '2001:db8:104::/48']
    mode: enforce
    action: relay
    relay_to: '192.0.2.99:25'
    return_path: enforce
  - id: watched
    subscribers: ['198.18.1.0/24']
    action: notice
    notice: {address: '192.0.2.26:2525'}
relays:
  - {id: out, addresses: ['192.0.2.25', '192.0.2.77', '2001:db8:25::25']}
exceptions:
  - {id: campus, zones: [reset], subscribers: ['203.0.113.150'], destinations: ['198.51.100.0/24'], permanent: true}
";

/// A server that nobody may send to.
fn remote(last: u8) -> IpAddr {
    [198, 51, 100, last].into()
}
