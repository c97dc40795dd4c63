//! The list in a real rbldnsd, asked by dig.

use crate::random::{address, noon, policy};
use crate::runs::run;
use crate::{exported, policies};
use anyhow::{Context as _, Result};
use gate25::export::Format;
use gate25::policy::{Action, Mode, Policy, Scope};
use gate25_tests::{lab::Lab, process::Process, wait, workspace};
use ipnetwork::IpNetwork;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::{
    fs,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const POLICY: &str = r#"
version: 1
zones:
  - id: west
    subscribers: ["203.0.113.0/24", "2001:db8:100::/40"]
    mode: enforce
    action: notice
    notice:
      address: "192.0.2.26:2525"
      submission: "smtp.west.example.net port 587"
      url: "https://example.net/port25?a=$1&b=$"
  - {id: inner, subscribers: ["203.0.113.64/26"], mode: enforce}
  - {id: trial, subscribers: ["203.0.113.128/25", "2001:db8:180::/41"]}
relays:
  - {id: relay, addresses: ["192.0.2.25"]}
exceptions:
  - {id: bakery, subscribers: ["203.0.113.40", "2001:db8:140::/48", "203.0.113.80/30"], destinations: any, permanent: true}
  - {id: gone, subscribers: ["203.0.113.50"], destinations: any, until: "2004-01-01T00:00:00Z"}
  - {id: campus, subscribers: ["203.0.113.60"], destinations: ["198.51.100.0/24"], permanent: true}
blocks:
  - {id: infected, subscribers: ["203.0.113.81"]}
"#;

#[test]
fn is_served() {
    let lab = Lab::new().expect("a lab");
    let policy = policies::load(POLICY);
    let text = exported(&policy, Format::Rbldnsd, Timestamp::now());
    // rbldnsd answers for mapped addresses out of those of IPv4; who serves IPv6 alone has the entry there.
    assert!(text.contains("\n$DATASET ip6trie @\n::ffff:7f00:2 :127.0.0.2:test entry"), "{text}");
    let list = Served::start(&lab, &text).expect("rbldnsd");
    let west = "zone west: no mail is sent from here directly; it goes through smtp.west.example.net port 587, see \
                https://example.net/port25?a=$1&b=$";
    let inner = "zone inner: no mail is sent from here directly";
    let entry = "test entry (RFC 5782)";
    let listed = [
        ("203.0.113.0", west),
        ("203.0.113.39", west),
        ("203.0.113.41", west),
        ("203.0.113.50", west),
        ("203.0.113.60", west),
        ("203.0.113.63", west),
        ("203.0.113.64", inner),
        ("203.0.113.81", inner),
        ("203.0.113.84", inner),
        ("203.0.113.127", inner),
        ("2001:db8:100::", west),
        ("2001:db8:13f:ffff:ffff:ffff:ffff:ffff", west),
        ("2001:db8:141::", west),
        ("2001:db8:17f:ffff::1", west),
        ("127.0.0.2", entry),
        ("::ffff:127.0.0.2", entry),
    ];
    let said = fs::read_to_string(list.log()).expect("what rbldnsd said");
    assert!(!said.contains("invalid") && !said.contains("list("), "{said}");
    for (address, words) in listed {
        assert_eq!(list.ask(address, "A").expect("dig"), "127.0.0.2", "{address}");
        assert_eq!(list.ask(address, "TXT").expect("dig"), format!("\"{words}\""), "{address}");
    }
    let free = [
        "203.0.112.255",
        "203.0.113.40",
        "203.0.113.80",
        "203.0.113.83",
        "203.0.113.128",
        "203.0.113.255",
        "203.0.114.0",
        "2001:db8:ff::",
        "2001:db8:140::",
        "2001:db8:140:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:180::",
        "2001:db8:200::",
        "127.0.0.1",
        "::ffff:127.0.0.1",
    ];
    for address in free {
        assert_eq!(list.ask(address, "A").expect("dig"), "", "{address}");
    }
}

/// rbldnsd with one list.
struct Served<'a> {
    lab: &'a Lab,
    _process: Process,
    folder: TempDir,
}

impl<'a> Served<'a> {
    fn start(lab: &'a Lab, text: &str) -> Result<Self> {
        // rbldnsd reads as nobody.
        let folder = tempfile::tempdir()?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let file = folder.path().join("list");
        fs::write(&file, text)?;
        let mut command = Command::new(workspace().join(".tools/bin/rbldnsd"));
        command
            .args(["-n", "-u", "nobody:nogroup", "-b", "127.0.0.1/53"])
            .arg(format!("list.test:combined:{}", file.display()));
        command.stdout(Stdio::null()).stderr(fs::File::create(folder.path().join("log"))?);
        let process = lab.edge.spawn(command).context("rbldnsd: not there? (cargo xtask setup)")?;
        let served = Self { lab, _process: process, folder };
        wait::until(Duration::from_secs(20), || {
            served.ask("127.0.0.2", "A").ok().filter(|answer| !answer.is_empty())
        })
        .context("rbldnsd does not answer")?;
        Ok(served)
    }

    /// What it wrote; of a line that it does not read, `file ...list(LINE): invalid address`.
    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it says of an address; nothing where that is not listed.
    fn ask(&self, address: &str, kind: &str) -> Result<String> {
        let name = match address.parse()? {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}")
            }
            IpAddr::V6(address) => {
                let digits = format!("{:032x}", address.to_bits());
                digits.chars().rev().map(String::from).collect::<Vec<_>>().join(".")
            }
        };
        let mut dig = Command::new("dig");
        dig.args(["@127.0.0.1", "+short", "+tries=1", "+time=5", kind]).arg(format!("{name}.list.test"));
        let output = self.lab.edge.output(dig)?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

#[test]
fn has_whom_the_prose_lists() {
    run(400, &policy(Action::ALL), |policy| agrees(&policy));
}

fn agrees(policy: &Policy) -> TestCaseResult {
    let text = exported(policy, Format::Rbldnsd, noon());
    let lines: Vec<IpNetwork> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for address in (0..16).map(|number| address(number / 8 == 1, number % 8)) {
        let times = lines.iter().filter(|prefix| prefix.contains(address)).count();
        prop_assert_eq!(times, usize::from(is_listed(policy, address)), "{}\n{}", address, text);
    }
    Ok(())
}

/// Of a zone that enforces, and without leave to send everywhere.
fn is_listed(policy: &Policy, subscriber: IpAddr) -> bool {
    let has = |prefixes: &[IpNetwork]| prefixes.iter().any(|prefix| prefix.contains(subscriber));
    let zones = policy.zones.iter().enumerate().flat_map(|(number, zone)| {
        let own = zone.subscribers.iter().filter(|prefix| prefix.contains(subscriber));
        own.map(move |prefix| (prefix.prefix(), number))
    });
    let Some((_, zone)) = zones.max() else { return false };
    let everywhere = |prefixes: &[IpNetwork]| {
        prefixes.iter().any(|prefix| prefix.prefix() == 0 && prefix.is_ipv6() == subscriber.is_ipv6())
    };
    let is_about = |zones: &Scope<usize>, subscribers: &Scope<IpNetwork>, destinations: &Scope<IpNetwork>| {
        let everywhere = match destinations {
            Scope::Every => true,
            Scope::Only(list) => everywhere(list),
        };
        let him = match subscribers {
            Scope::Every => true,
            Scope::Only(list) => has(list),
        };
        zones.has(&zone) && him && everywhere
    };
    let holds = |from: Option<Timestamp>, until: Option<Timestamp>| {
        from.is_none_or(|from| from <= noon()) && until.is_none_or(|until| until > noon())
    };
    let blocked = policy.blocks.iter().any(|rule| {
        holds(rule.from, rule.until) && is_about(&rule.zones, &rule.subscribers, &rule.destinations)
    });
    let relayed = policy.relays.iter().any(|relay| relay.zones.has(&zone) && everywhere(&relay.addresses));
    let excepted = policy.exceptions.iter().any(|rule| {
        holds(rule.from, rule.until) && is_about(&rule.zones, &rule.subscribers, &rule.destinations)
    });
    policy.zones[zone].mode == Mode::Enforce && (blocked || !relayed && !excepted)
}
