//! Path-MTU discovery through a redirected connection (RFC 1191, RFC 8201).

use crate::{FAMILIES, FROM, RELAY, gate, receiver, sender, wait_redirect};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::Lab,
    mail::{body, message},
    metrics::sum,
};
use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

const MTU: u32 = 1300;
/// A message that stalls takes until the first of TCP's guesses, or for ever.
const QUICK: Duration = Duration::from_secs(5);

/// The path MTU that alice's kernel knows toward an address.
fn path_mtu(lab: &Lab, to: IpAddr) -> Result<Option<u32>> {
    let mut command = Command::new("ip");
    command.args(["route", "get", &to.to_string()]);
    let output = lab.alice.namespace.output(command)?;
    let text = String::from_utf8(output.stdout)?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1).map(|mtu| mtu.parse().with_context(|| text.clone())).transpose()
}

#[test]
fn a_narrow_link_behind_the_gate_is_found() -> Result<()> {
    let lab = Lab::new()?;
    let (relay, postfix) = (receiver(&lab, &lab.relay)?, sender(&lab)?);
    // The errors quote another port, too, than the client's.
    let gate = gate(&lab, &RELAY.replace(":25\"", ":2525\""))?;
    wait_redirect(&gate, "relay", true)?;
    lab.edge.ip(&format!("link set eth0 mtu {MTU}\n"))?;
    for (family, address) in FAMILIES.into_iter().zip(lab.stranger.addresses()) {
        let translated = || {
            Ok::<_, anyhow::Error>(sum(&gate.metrics()?, "gate25_flow_events_total", &[("event", "icmp")]))
        };
        let before = translated()?;
        ensure!(path_mtu(&lab, address)?.is_none(), "{address}: known before");
        let to = format!("bob@{family}.stranger.example");
        let sent = message(FROM, &to, 500_000);
        let start = Instant::now();
        postfix.submit(FROM, &to, &sent)?;
        let received = relay.wait_mail(&to)?;
        let took = start.elapsed();
        let count = translated()? - before;
        println!("{family}: {} ms, {count} ICMP errors translated", took.as_millis());
        ensure!(body(&received) == body(&sent), "{family}: another body");
        ensure!(path_mtu(&lab, address)? == Some(MTU), "{address}: {:?}", path_mtu(&lab, address)?);
        ensure!(count >= 1.0 && took < QUICK, "{count} translated, {took:?}");
    }
    // To the relay itself alice sent nothing, and learned nothing.
    for address in lab.relay.addresses() {
        ensure!(path_mtu(&lab, address)?.is_none(), "{address}: {:?}", path_mtu(&lab, address)?);
    }
    Ok(())
}
