//! `action: notice`, as the operator of a mail server behind the gate sees it.

use crate::{FAMILIES, FROM, NOTICE, PATIENCE, SUBMISSION, URL, gate, is_notice, sender, wait_redirect};
use anyhow::{Context as _, Result, ensure};
use gate25_tests::{
    lab::Lab,
    mail::{Exim, message},
    responder, wait,
};

/// By default (`smtp_skip_5xx_greeting = yes`) Postfix takes a 5xx greeting for a trouble of the server, not of the mail:
/// it defers, and tries until `maximal_queue_lifetime` has passed, which is five days unless set, and none here.
#[test]
fn postfix_logs_it_and_returns_the_mail_with_it() -> Result<()> {
    let lab = Lab::new()?;
    let gate = gate(&lab, NOTICE)?;
    let _responder = responder::start(&lab, &gate, &lab.university)?;
    wait_redirect(&gate, "notice", true)?;
    let postfix = sender(&lab)?;
    for family in FAMILIES {
        let to = format!("bob@{family}.stranger.example");
        postfix.submit(FROM, &to, &message(FROM, &to, 1000))?;
        let line = postfix.wait_log(&["postfix/smtp[", &to])?;
        println!("{line}");
        is_notice(&line)?;
        ensure!(line.contains("status=deferred") && line.contains("refused to talk to me: 554"), "{line}");
        let bounce = postfix.wait_mail(&format!("<{to}>: host"))?;
        // Its lines are folded anywhere.
        let words = bounce.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["refused to talk to me: 554", SUBMISSION, URL, "Reason: default"] {
            ensure!(words.contains(part), "no {part:?} in the bounce:\n{bounce}");
        }
    }
    let tries = postfix.log().lines().filter(|line| line.contains("postfix/smtp[")).count();
    ensure!(tries == FAMILIES.len(), "{tries} tries:\n{}", postfix.log());
    Ok(())
}

/// Exim takes a 5xx greeting for the last word: it returns the mail after the first try.
#[test]
fn exim_logs_it_and_returns_the_mail_with_it() -> Result<()> {
    let lab = Lab::new()?;
    let gate = gate(&lab, NOTICE)?;
    let _responder = responder::start(&lab, &gate, &lab.university)?;
    wait_redirect(&gate, "notice", true)?;
    let (v4, v6) = (lab.stranger.v4, lab.stranger.v6);
    let routes = format!("v4.stranger.example {v4} ; v6.stranger.example \"<+ {v6}\"");
    let exim = Exim::new(&lab, &lab.alice, &routes)?;
    for family in FAMILIES {
        let to = format!("bob@{family}.stranger.example");
        let ended = exim.send(FROM, &to, &message(FROM, &to, 1000))?;
        let log = exim.log();
        let line = log.lines().find(|line| line.contains(&to) && line.contains("554"));
        let line = line.with_context(|| format!("no notice for {to}; exim logged:\n{log}\n{ended:?}"))?;
        println!("{line}");
        ensure!(line.contains(" ** "), "not given up: {line}");
        is_notice(line)?;
        let bounce = wait::until(PATIENCE, || {
            exim.mailbox()
                .split("\nFrom MAILER-DAEMON")
                .find(|bounce| bounce.contains(&to) && is_notice(bounce).is_ok())
                .map(str::to_owned)
        });
        bounce.with_context(|| format!("no bounce with it: {}\n{}", exim.mailbox(), exim.log()))?;
    }
    Ok(())
}
