//! Who is in the way is named.

use crate::{PATIENCE, refuses};
use anyhow::{Result, ensure};
use gate25_tests::{
    command,
    gate::{self, Gate},
    lab::{INTERFACE, Lab},
    policy::{self, WEST},
    xdp,
};

#[test]
fn another_controller_and_another_gate_are_named() -> Result<()> {
    let lab = Lab::new()?;
    let policy = policy::write(lab.folder(), WEST)?;
    let gate = Gate::start(&lab, &policy)?;
    let (config, there) = (gate.config().to_owned(), xdp::on(&lab.edge, INTERFACE)?);
    let who =
        format!("pid {}, {} run --config {}", gate.id(), gate25_tests::gate25().display(), config.display());
    // The same pin.
    let shown = config.display().to_string();
    let second = command::gate25(["run", "--config", &shown, "--listen", "127.0.0.1:9126"]);
    let ended = command::finish(&lab.edge, second, PATIENCE)?;
    println!("{}", ended.last_line());
    let wanted = format!("pin: {}: another controller works there: {who} (", lab.pin().display());
    ensure!(ended.code == Some(1) && ended.last_line().starts_with(&wanted), "{wanted}: {ended:?}");
    // The very same command: the first one's address is in use as well, and that is the lesser thing to say.
    let ended = command::finish(&lab.edge, command::gate25(["run", "--config", &shown]), PATIENCE)?;
    ensure!(ended.code == Some(1) && ended.last_line().starts_with(&wanted), "{wanted}: {ended:?}");
    // Another pin, the same interface: while that controller runs, and after it.
    let other = lab.folder().join("bpf/other").display().to_string();
    let text = gate::configuration(&lab, &policy).replace(&lab.pin().display().to_string(), &other);
    let path = lab.folder().join("other.yaml");
    std::fs::write(&path, text.replace("9125", "9126"))?;
    let pin = format!("pinned at {}", lab.pin().join("links").join(INTERFACE).display());
    refuses(&lab, &path, &[&format!("interface: {INTERFACE}: "), "another gate25", "id ", &pin, &who])?;
    ensure!(gate.stop()?.success());
    refuses(&lab, &path, &["another gate25", &pin])?;
    ensure!(xdp::on(&lab.edge, INTERFACE)? == there && !std::path::Path::new(&other).exists());
    Ok(())
}
