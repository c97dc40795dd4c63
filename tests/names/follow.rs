//! Names while the gate runs: answers change, and are asked for again when their time is over.

use crate::{allowed, becomes, exception, servers, start};
use anyhow::{Result, ensure};
use gate25_tests::{dns::Answer, lab::Lab, metrics::sum};

const GENERATION: &str = "gate25_policy_generation";

#[test]
fn a_change_follows_by_ttl_in_one_install_and_is_told() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    let names: Vec<String> = (0..50).map(|index| format!("h{index}.example")).collect();
    for name in &names {
        dns.set(name, Answer::host(lab.university.addresses()));
    }
    let gate = start(&lab, &exception(&format!("names: [{}]", names.join(", "))))?;
    allowed(&lab, &lab.university, true)?;
    allowed(&lab, &lab.stranger, false)?;
    let before = gate.metrics()?;
    // No address changes, so nothing is installed, however often is asked.
    let asked = dns.asked();
    gate.wait_metrics("asked again", |_| dns.asked() > asked + 100)?;
    ensure!((gate.metrics()?[GENERATION] - before[GENERATION]).abs() < 0.5, "installed for nothing");

    for name in &names {
        dns.set(name, Answer::host(lab.stranger.addresses()));
    }
    let took = becomes(&lab, &gate, &lab.stranger, true)?;
    println!("a change of a name with a TTL of 1 s took effect after {took:?}");
    // What a good answer does not have any more goes at once.
    becomes(&lab, &gate, &lab.university, false)?;
    gate.wait_log(&["h0.example now has 192.0.2.200, 2001:db8:bad::25, no longer 198.51.100.25"])?;
    let after = gate.metrics()?;
    ensure!(
        after[GENERATION] - before[GENERATION] < 20.0,
        "{} installs",
        after[GENERATION] - before[GENERATION]
    );
    let good = |now| sum(now, "gate25_name_resolutions_total", &[("result", "ok")]);
    ensure!(good(&after) > good(&before) + 49.0);
    Ok(())
}

#[test]
fn exchangers_come_and_go() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set("campus.example", Answer::domain(["mx1.campus.example"]));
    dns.set("mx1.campus.example", Answer::host(lab.university.addresses()));
    dns.set("mx2.campus.example", Answer::host(lab.stranger.addresses()));
    let gate = start(&lab, &exception("mx: [campus.example]"))?;
    allowed(&lab, &lab.university, true)?;
    allowed(&lab, &lab.stranger, false)?;
    dns.set("campus.example", Answer::domain(["mx2.campus.example"]));
    becomes(&lab, &gate, &lab.stranger, true)?;
    becomes(&lab, &gate, &lab.university, false)?;
    dns.set("campus.example", Answer::domain([""]));
    becomes(&lab, &gate, &lab.stranger, false)?;
    gate.wait_log(&["mail exchangers of campus.example no longer has"])?;
    Ok(())
}

/// The file is another one: its servers are asked from then on.
#[test]
fn resolv_conf_is_read_again_when_it_changes() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set("mail.campus.example", Answer::host(lab.university.addresses()));
    let gate = start(&lab, &exception("names: [mail.campus.example]"))?;
    allowed(&lab, &lab.university, true)?;
    let other = gate25_tests::dns::NameServer::start(&lab.edge, "127.0.0.2".parse()?, 1)?;
    other.set("mail.campus.example", Answer::host(lab.stranger.addresses()));
    std::fs::write(lab.folder().join("resolv.conf"), "# now another\nnameserver 127.0.0.2\n")?;
    becomes(&lab, &gate, &lab.stranger, true)?;
    becomes(&lab, &gate, &lab.university, false).map(drop)
}
