//! Names in commands that ask once.

use crate::{PATIENCE, exception, gate25, servers};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{dns::Answer, lab::Lab, policy, wait};
use std::{fmt::Write as _, fs, process::Command, time::Duration};

#[test]
fn check_warns_of_names_that_do_not_resolve_and_offline_asks_nobody() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set("good.example", Answer::host(lab.university.addresses()));
    dns.set("failing.example", Answer::Failure);
    dns.set("silent.example", Answer::Silence);
    dns.set("null.example", Answer::domain([""]));
    let text = exception(
        "names: [good.example, missing.example, failing.example, silent.example], mx: [null.example, silent.example]",
    );
    let file = policy::write(lab.folder(), &text)?.display().to_string();
    let ended = gate25(&lab, ["check", &file])?;
    ensure!(ended.code == Some(0) && ended.took < Duration::from_secs(9), "{ended:?}");
    ensure!(ended.stdout.contains("6 names, 5 warnings"), "{ended:?}");
    // The silent one makes it take longer than a second.
    ensure!(ended.stderr.starts_with("policy: 6 names asked for after 1 s\npolicy: "), "{ended:?}");
    for words in [
        "exceptions[0].names[1]: missing.example: does not resolve: no such name (",
        "exceptions[0].names[2]: failing.example: does not resolve: the name server failed (",
        "exceptions[0].names[3]: silent.example: does not resolve: no answer in time (",
        "exceptions[0].mx[0]: null.example: says that it takes no mail (RFC 7505) (",
        "exceptions[0].mx[1]: silent.example: does not resolve: no answer in time (",
    ] {
        let line = ended.stderr.lines().find(|line| line.contains(words));
        ensure!(
            line.is_some_and(|line| line.starts_with(&format!("warning: {file}:8:"))),
            "{words}: {ended:?}"
        );
    }
    let asked = dns.asked();
    let ended = gate25(&lab, ["check", "--offline", &file])?;
    ensure!(
        ended.code == Some(0) && ended.stderr.is_empty() && ended.took < Duration::from_secs(3),
        "{ended:?}"
    );
    ensure!(dns.asked() == asked, "it asked");
    Ok(())
}

#[test]
fn explain_resolves_unless_offline() -> Result<()> {
    let lab = Lab::new()?;
    let (_sinks, dns) = servers(&lab)?;
    dns.set("good.example", Answer::host(lab.university.addresses()));
    let file = policy::write(lab.folder(), &exception("names: [good.example]"))?.display().to_string();
    let arguments = ["explain", "--policy", &file, "--from", "203.0.113.10", "--to", "198.51.100.25"];
    let ended = gate25(&lab, arguments)?;
    ensure!(ended.code == Some(0) && ended.stdout.contains("campus"), "{ended:?}");
    let ended = gate25(&lab, arguments.into_iter().chain(["--offline"]))?;
    ensure!(
        ended.code == Some(0) && ended.stdout.contains("default") && !ended.stdout.contains("campus"),
        "{ended:?}"
    );
    Ok(())
}

/// dnsmasq: an alias, exchangers, and an answer that is too long for UDP.
#[test]
fn a_name_server_that_others_wrote() -> Result<()> {
    let lab = Lab::new()?;
    let mut records = String::from(
        "mx-host=campus.example,mail.campus.example,10\nhost-record=mail.campus.example,198.51.100.25\n\
         cname=alias.example,mail.campus.example\n",
    );
    for index in 1..=60 {
        writeln!(records, "address=/many.example/192.0.2.{index}\naddress=/many.example/2001:db8::{index}")?;
    }
    let settings = "listen-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\npid-file=\nlocal=/example/\n";
    let configuration = lab.folder().join("dnsmasq.conf");
    fs::write(&configuration, format!("{settings}{records}"))?;
    let mut command = Command::new("dnsmasq");
    command.args(["-k", "-C"]).arg(&configuration);
    let _server = lab.edge.spawn(command)?;

    let text = exception("names: [many.example, alias.example], mx: [campus.example]");
    let file = policy::write(lab.folder(), &text)?.display().to_string();
    let checked = || gate25(&lab, ["check", &file]).ok().filter(|ended| ended.stderr.is_empty());
    wait::until(PATIENCE, checked).context("names do not resolve")?;
    for to in ["192.0.2.60", "198.51.100.25"] {
        let ended = gate25(&lab, ["explain", "--policy", &file, "--from", "203.0.113.10", "--to", to])?;
        ensure!(ended.stdout.contains("campus"), "{to}: {ended:?}");
    }
    Ok(())
}
