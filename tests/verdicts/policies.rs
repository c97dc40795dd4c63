//! The policies of the table, as an operator writes them.

use gate25::policy::Policy;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Reads a policy through the front door.
pub(crate) fn load(text: &str) -> Policy {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("verdicts-{}-{number}.yaml", std::process::id()));
    fs::write(&file, text).expect("a file");
    let loaded = gate25::policy::load(&file);
    fs::remove_file(&file).expect("the file");
    match loaded {
        Ok(loaded) => loaded.policy,
        Err(refused) => panic!("{refused:?}\n{text}"),
    }
}

/// Zones inside zones, rules of every kind, all dates far from today.
pub(crate) const MAIN: &str = r#"
version: 1
zones:
  - {id: west, subscribers: ["203.0.113.0/24", "2001:db8:100::/40"], mode: enforce, action: reset, return_path: enforce}
  - {id: lab, subscribers: ["203.0.113.64/26", "2001:db8:140::/44"], mode: enforce}
  - {id: desk, subscribers: ["203.0.113.65", "2001:db8:140::5"], return_path: monitor}
  - {id: watch, subscribers: ["198.18.0.0/16", "2001:db8:300::/40"], action: reset, return_path: monitor}
  - {id: free, subscribers: ["100.64.0.0/10", "2001:db8:f00::/40"], mode: enforce, action: reset, return_path: monitor}
relays:
  - {id: west-relay, zones: [west], addresses: ["192.0.2.25", "2001:db8:25::/64"]}
  - {id: all-relay, addresses: ["192.0.2.53", "2001:db8:53::53", "192.0.2.66", "2001:db8:53::66"]}
exceptions:
  - {id: campus, zones: [west], destinations: ["198.51.100.0/24", "2001:db8:ca::/48"], permanent: true}
  - {id: mailer, subscribers: ["203.0.113.9", "2001:db8:100::9"], destinations: any, until: "2100-01-01T00:00:00Z"}
  - id: pair
    subscribers: ["203.0.113.16/28", "2001:db8:116::/48"]
    destinations: ["198.19.7.0/24", "2001:db8:7::/48"]
    until: "2100-01-01T00:00:00Z"
  - {id: all-free, zones: [free], destinations: any, permanent: true}
  - {id: gone, zones: [west], destinations: ["198.19.8.0/24", "2001:db8:8::/48"], until: "2004-07-28T00:00:00-07:00"}
  - id: soon
    destinations: ["198.19.9.0/24", "2001:db8:9::/48"]
    from: "2100-01-01T00:00:00Z"
    until: "2101-01-01T00:00:00Z"
  - id: gone-pair
    subscribers: ["203.0.113.32/28", "2001:db8:132::/48"]
    destinations: ["198.19.10.0/24", "2001:db8:10::/48"]
    until: "2004-07-28T00:00:00-07:00"
  - {id: gone-any, subscribers: ["203.0.113.48", "2001:db8:168::/48"], destinations: any, until: "2004-07-28T00:00:00Z"}
  - {id: began, destinations: ["198.19.12.0/24"], from: "2004-01-01T00:00:00Z", permanent: true}
blocks:
  - {id: bad-host, destinations: ["198.51.100.66", "192.0.2.66", "2001:db8:ca::66", "2001:db8:53::66"]}
  - {id: bad-subscriber, subscribers: ["203.0.113.10", "2001:db8:100::10"]}
  - {id: bad-pair, subscribers: ["203.0.113.11", "2001:db8:100::11"], destinations: ["198.51.100.0/24", "2001:db8:ca::/48"]}
  - {id: bad-in-lab, zones: [lab], destinations: ["192.0.2.53", "2001:db8:53::53"]}
  - {id: past-block, destinations: ["198.51.100.77"], until: "2004-01-01T00:00:00Z"}
  - {id: future-block, destinations: ["198.51.100.78"], from: "2100-01-01T00:00:00Z"}
"#;

/// No zone enforces.
pub(crate) const WATCHING: &str = r#"
version: 1
zones:
  - {id: watch, subscribers: ["203.0.113.0/24", "2001:db8:100::/40"], action: reset}
relays:
  - {id: relay, addresses: ["192.0.2.25"]}
blocks:
  - {id: bad-host, destinations: ["198.51.100.66"]}
"#;

/// Rules that overlap; in each family of them the id that would win by the alphabet is the one that must not.
pub(crate) const NAMING: &str = r#"
version: 1
zones:
  - {id: z, subscribers: ["10.0.0.0/8", "2001:db8:1::/48"], mode: enforce}
  - {id: y, subscribers: ["172.16.0.0/12"], mode: enforce}
relays:
  - {id: ra-wide, addresses: ["192.0.2.0/24", "2001:db8:25::/48"]}
  - {id: rz-narrow, addresses: ["192.0.2.128/25", "2001:db8:25:1::/64"]}
  - {id: rb-tie, addresses: ["192.0.3.0/24"]}
  - {id: ra-tie, addresses: ["192.0.3.0/24"]}
exceptions:
  - {id: a-wide, destinations: ["198.51.0.0/16"], permanent: true}
  - {id: z-narrow, destinations: ["198.51.100.0/24"], permanent: true}
  - {id: a-everyone, destinations: ["198.51.102.0/24"], permanent: true}
  - {id: m-subnet, subscribers: ["10.1.0.0/16"], destinations: ["198.51.102.0/24"], permanent: true}
  - {id: y-host, subscribers: ["10.1.0.1"], destinations: ["198.51.102.0/24"], permanent: true}
  - {id: a-host-any, subscribers: ["10.1.0.3"], destinations: any, permanent: true}
  - {id: tie-b, destinations: ["198.51.103.0/24"], permanent: true}
  - {id: tie-a, destinations: ["198.51.103.0/24"], permanent: true}
  - {id: a-all-ipv6, destinations: ["::/0"], subscribers: ["2001:db8:1:1::/64"], permanent: true}
  - {id: z-host-any, destinations: any, subscribers: ["2001:db8:1:1::1"], permanent: true}
  - {id: ea-wide, destinations: ["198.52.0.0/16"], until: "2003-01-01T00:00:00Z"}
  - {id: ez-narrow, destinations: ["198.52.1.0/24"], until: "2002-01-01T00:00:00Z"}
  - {id: ez-host, subscribers: ["10.1.0.1"], destinations: ["198.52.1.0/24"], until: "2002-01-01T00:00:00Z"}
  - {id: ea-host-any, subscribers: ["10.1.0.4"], destinations: any, until: "2002-01-01T00:00:00Z"}
  - {id: e-future, destinations: ["198.52.1.128/25"], from: "2100-01-01T00:00:00Z", until: "2101-01-01T00:00:00Z"}
  - {id: eb-tie, destinations: ["198.52.2.0/24"], until: "2002-01-01T00:00:00Z"}
  - {id: ea-tie, destinations: ["198.52.2.0/24"], until: "2001-01-01T00:00:00Z"}
  - {id: h-wide, destinations: ["198.53.0.0/16"], until: "2100-01-01T00:00:00Z"}
  - {id: h-narrow-gone, destinations: ["198.53.1.0/24"], until: "2002-01-01T00:00:00Z"}
  - {id: a-pair-host, subscribers: ["10.1.0.6"], destinations: ["198.56.0.0/16"], permanent: true}
  - {id: z-pair-subnet, subscribers: ["10.1.0.0/16"], destinations: ["198.56.1.0/24"], permanent: true}
  - {id: only-y, zones: [y], destinations: ["198.55.0.0/16"], permanent: true}
blocks:
  - {id: ba-wide, destinations: ["198.54.0.0/16"]}
  - {id: bz-narrow, destinations: ["198.54.1.0/24"]}
  - {id: ba-host-any, subscribers: ["10.1.0.5"]}
  - {id: ba-tie, destinations: ["198.54.2.0/24"]}
  - {id: b0-tie, destinations: ["198.54.2.0/24"]}
"#;
