//! The web, both ways through an interface that redirects and looks at what comes back.

use crate::{NOTICE, PATIENCE, gate, wait_redirect};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    command,
    lab::{Host, Lab},
    mail::{message, program},
    metrics::sum,
    process::Process,
    responder, wait,
};
use std::{
    fs,
    net::{Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
};

/// A web server on a host, of a folder's files.
fn serve(host: &Host, folder: &Path) -> Result<Process> {
    let mut command = Command::new(program("python3")?);
    command.args(["-m", "http.server", "80", "--bind", "::", "--directory"]).arg(folder);
    let log = fs::File::create(folder.join(format!("{}.log", host.name)))?;
    command.stdout(log.try_clone()?).stderr(log);
    let server = host.namespace.spawn(command)?;
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
    let answers = || host.namespace.run(|| TcpStream::connect(address)).ok();
    wait::until(PATIENCE, answers).context("python3: no web server")?;
    Ok(server)
}

#[test]
fn the_web_is_untouched() -> Result<()> {
    let lab = Lab::new()?;
    let gate = gate(&lab, NOTICE)?;
    let _responder = responder::start(&lab, &gate, &lab.university)?;
    wait_redirect(&gate, "notice", true)?;
    let page = message("a", "b", 1_000_000);
    let folder = lab.folder().join("web");
    fs::create_dir(&folder)?;
    fs::write(folder.join("page"), &page)?;
    let _servers = [serve(&lab.alice, &folder)?, serve(&lab.stranger, &folder)?];
    for (from, to) in [(&lab.alice, &lab.stranger), (&lab.stranger, &lab.alice)] {
        for address in to.addresses() {
            let mut curl = Command::new(program("curl")?);
            curl.args(["--silent", "--show-error", "--fail", "--max-time", "10"]);
            curl.arg(format!("http://{}/page", SocketAddr::new(address, 80)));
            let ended = command::finish(&from.namespace, curl, PATIENCE)?;
            println!("{} to {address}: {} ms", from.name, ended.took.as_millis());
            ensure!(ended.code == Some(0) && ended.stdout == page, "{address}: {}", ended.stderr);
        }
    }
    let samples = gate.metrics()?;
    for metric in ["gate25_actions_total", "gate25_attempts_total"] {
        ensure!(sum(&samples, metric, &[]) < 0.5, "{metric}: {samples:#?}");
    }
    Ok(())
}
