//! What a policy's names stand for when it is loaded.

use crate::{PATIENCE, SERVER, allowed, exception, knock, servers, start, start_asking};
use anyhow::{Result, ensure};
use gate25_tests::{
    dns::{Answer, NameServer},
    lab::Lab,
    metrics::sum,
    policy as file, prometheus,
    smtp::Outcome,
};
use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

#[test]
fn hosts_of_a_relay_and_an_exception_in_both_families() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    // A start waits for it.
    dns.delay(Duration::from_secs(1));
    dns.set("smtp.west.example", Answer::host(lab.relay.addresses()));
    dns.set("mail.campus.example", Answer::host([lab.university.v4.into()]));
    let relays = "relays:\n  - {id: out, names: [SMTP.West.example.]}\n";
    let campus = exception("names: [mail.campus.example]");
    let gate = start(&lab, &campus.replace("exceptions:", &format!("{relays}exceptions:")))?;
    allowed(&lab, &lab.relay, true)?;
    allowed(&lab, &lab.stranger, false)?;
    // Of one family alone.
    let found = knock(&lab, &lab.university);
    ensure!(found[0].is_delivered() && found[1] == Outcome::Refused, "{found:?}");
    let samples = gate.metrics()?;
    for (rule, name, addresses) in [("out", "smtp.west.example", 2.0), ("campus", "mail.campus.example", 1.0)]
    {
        let labels = [("rule", rule), ("name", name), ("key", "names")];
        for (metric, wanted) in [("gate25_name_addresses", addresses), ("gate25_name_failing", 0.0)] {
            let found = sum(&samples, metric, &labels);
            ensure!((found - wanted).abs() < 0.5, "{metric} of {name}: {found}, not {wanted}");
        }
    }
    prometheus::is_silent(&gate.scrape()?)
}

/// RFC 5321 section 5.1: the exchangers, or the domain itself where there are none; RFC 7505: nobody where it says so.
#[test]
fn exchangers_of_domains() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set("campus.example", Answer::domain(["mx1.campus.example", "mx2.campus.example"]));
    dns.set("mx1.campus.example", Answer::host([lab.university.v4.into()]));
    dns.set("mx2.campus.example", Answer::host([lab.university.v6.into()]));
    dns.set("implicit.example", Answer::host(lab.relay.addresses()));
    // Its own address is not meant, for it says that it takes no mail.
    let null = Answer::Has { addresses: lab.stranger.addresses().into(), exchangers: vec![String::new()] };
    dns.set("null.example", null);
    let gate = start(&lab, &exception("mx: [campus.example, implicit.example, null.example]"))?;
    // A good answer, too.
    gate.wait_log(&[" INFO ", "names: 3 of 3 resolved"])?;
    let says = "null.example: says that it takes no mail (RFC 7505): nothing is allowed for it (";
    gate.wait_log(&[" WARN ", says])?;
    ensure!(!gate.log().contains("no answer in time"), "{}", gate.log());
    allowed(&lab, &lab.university, true)?;
    allowed(&lab, &lab.relay, true)?;
    allowed(&lab, &lab.stranger, false)
}

/// Names that resolve to nothing are not "everywhere"; the rest of the policy is enforced in time.
#[test]
fn without_any_answer_nothing_is_allowed_and_a_start_waits_five_seconds() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.silence(true);
    let rules = exception("names: [mail.campus.example], mx: [campus.example]");
    let text = rules.replace("exceptions:", "relays:\n  - {id: out, names: [smtp.west.example], addresses: [\"192.0.2.25\", \"2001:db8:25::25\"]}\nexceptions:");
    let begin = Instant::now();
    let gate = start(&lab, &text)?;
    let took = begin.elapsed();
    ensure!((4.0..9.0).contains(&took.as_secs_f32()), "{took:?}");
    allowed(&lab, &lab.relay, true)?;
    allowed(&lab, &lab.university, false)?;
    allowed(&lab, &lab.stranger, false)?;
    gate.wait_log(&["WARN", "mail.campus.example", "no answer in time", "nothing is allowed for it"])?;
    // What comes in later is in force by itself.
    dns.set("mail.campus.example", Answer::host(lab.university.addresses()));
    dns.silence(false);
    crate::becomes(&lab, &gate, &lab.university, true)?;
    allowed(&lab, &lab.stranger, false)
}

/// A policy may be cleverer than its operator: what a name says must not open the gate to the gate itself.
#[test]
fn addresses_that_no_mail_server_has_are_refused() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    let odd = ["127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.0.1", "::1", "fe80::1"];
    for (index, address) in odd.iter().enumerate() {
        dns.set(&format!("h{index}.example"), Answer::host([address.parse()?]));
    }
    let mixed = [lab.university.v4.into(), "127.0.0.1".parse()?, lab.university.v6.into()];
    dns.set("mixed.example", Answer::host(mixed));
    let names: Vec<_> = (0..odd.len()).map(|index| format!("h{index}.example")).collect();
    let gate = start(&lab, &exception(&format!("names: [mixed.example, {}]", names.join(", "))))?;
    gate.wait_log(&["WARN", "h0.example", "127.0.0.1 is loopback"])?;
    let samples = gate.metrics()?;
    for name in &names {
        let found = sum(&samples, "gate25_name_addresses", &[("name", name)]);
        ensure!(found.abs() < 0.5, "{name}: {found}");
    }
    ensure!((sum(&samples, "gate25_name_addresses", &[("name", "mixed.example")]) - 2.0).abs() < 0.5);
    allowed(&lab, &lab.university, true)
}

/// A reload takes effect within a second, whatever name servers do; names known before are there at once.
#[test]
fn a_thousand_names_and_a_reload_with_one_that_is_slow() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    let mut names = String::new();
    for index in 0..999 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + index);
        dns.set(&format!("h{index}.example"), Answer::host([address.into()]));
        write!(names, "h{index}.example, ")?;
    }
    dns.set("mail.campus.example", Answer::host(lab.university.addresses()));
    let begin = Instant::now();
    let gate = start(&lab, &exception(&format!("names: [{names} mail.campus.example]")))?;
    println!("a start with 1,000 names: {:?}", begin.elapsed());
    ensure!(begin.elapsed() < PATIENCE / 3, "{:?}", begin.elapsed());
    gate.wait_metrics("1,001 addresses", |now| {
        (sum(now, "gate25_name_addresses", &[]) - 1001.0).abs() < 0.5
    })?;
    allowed(&lab, &lab.university, true)?;

    dns.set("slow.example", Answer::Silence);
    let before = gate.metrics()?["gate25_policy_generation"];
    let open = exception(
        "names: [mail.campus.example, slow.example], destinations: [\"192.0.2.200\", \"2001:db8:bad::25\"]",
    );
    file::write(lab.folder(), &open)?;
    let begin = Instant::now();
    gate.wait_metrics("the reload", |now| now["gate25_policy_generation"] > before)?;
    let took = begin.elapsed();
    println!("a reload with a name that is not answered: {took:?}");
    ensure!(took.as_secs_f32() < 2.0, "{took:?}");
    allowed(&lab, &lab.university, true)?;
    allowed(&lab, &lab.stranger, true)?;
    let files = fs::read_dir(format!("/proc/{}/fd", gate.id()))?.count();
    ensure!(files < 600, "{files} files are open");
    Ok(())
}

/// The first name server is not there, the second one takes its time.
#[test]
fn a_dead_and_a_slow_name_server() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    let dead = NameServer::start(&lab.edge, "127.0.0.2".parse()?, 1)?;
    dead.silence(true);
    dns.delay(Duration::from_secs(2));
    dns.set("mail.campus.example", Answer::host(lab.university.addresses()));
    let servers = ["127.0.0.2".parse()?, SERVER];
    let _gate = start_asking(&lab, &exception("names: [mail.campus.example]"), &servers)?;
    allowed(&lab, &lab.university, true)
}
