use super::*;
use crate::control::Reload;
use crate::status::Installed;
use crate::tables::Rule;
use gate25_common::abi::NO_RULE;
use gate25_common::verdict::{Action, Reason, RuleKind};
use std::collections::HashMap;
use std::sync::mpsc::channel;

/// A handler that knows one connection from 203.0.113.9 port 40001.
fn handler(zone: u32, rule: u64) -> Handler {
    let status = Shared::default();
    let rules = HashMap::from([(7, Rule { id: "campus".into(), kind: RuleKind::Exception, until: None })]);
    let zones = HashMap::from([(3, "west".into())]);
    status.lock().installed = Some(Arc::new(Installed { rules, zones, ..Installed::default() }));
    let connection = Connection {
        remote: "192.0.2.200".parse().unwrap(),
        zone,
        reason: Reason::Expired,
        action: Action::Notice,
        rule,
    };
    let known = "203.0.113.9:40001".parse().unwrap();
    Handler::new(status, channel().0, move |subscriber| Ok((subscriber == known).then_some(connection)))
}

const ASK: &[u8] = br#"{"notice":{"subscriber":"203.0.113.9","port":40001}}"#;

fn waiting<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// To somebody who may only ask.
fn answer(handler: &Handler, line: &[u8]) -> Answer {
    waiting(handler.answer(line, NOBODY))
}

const NOBODY: u32 = 65_534;
const RELOAD: &[u8] = br#"{"reload":{"trust_clock":true}}"#;

#[test]
fn a_change_is_for_root_and_comes_with_its_outcome() {
    let (inputs, received) = channel();
    let handler = Handler::new(Shared::default(), inputs, |_| Ok(None));
    assert_eq!(error(&answer(&handler, RELOAD)), FORBIDDEN);
    assert!(received.try_recv().is_err(), "refused, and done all the same");
    let reload = Reload {
        is_in_force: true,
        digest: "d".into(),
        generation: 7,
        zones: 1,
        rules: 2,
        prefixes: 3,
        warnings: Vec::new(),
        problems: Vec::new(),
    };
    let outcome = reload.clone();
    let (answer, other) = waiting(async {
        let asked = handler.answer(RELOAD, 0);
        let controller = async {
            // Asked by somebody else while that one waits.
            let other = handler.answer(ASK, NOBODY).await;
            let Ok(Input::Asked { trust_clock: true, reply }) = received.try_recv() else {
                panic!("not asked")
            };
            reply.send(outcome).unwrap();
            other
        };
        tokio::join!(asked, controller)
    });
    assert_eq!(answer, Answer::Reload(reload));
    assert_eq!(error(&other), UNKNOWN_CONNECTION);
}

#[test]
fn nobody_waits_for_ever_for_an_outcome() {
    let (inputs, received) = channel();
    let handler = Handler::new(Shared::default(), inputs, |_| Ok(None));
    let late = waiting(handler.answer(RELOAD, 0));
    assert!(error(&late).starts_with("no outcome in 60 s"), "{late:?}");
    drop(received);
    assert_eq!(error(&waiting(handler.answer(RELOAD, 0))), "the controller ends");
}

fn error(answer: &Answer) -> &str {
    match answer {
        Answer::Error { error } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reference_leads_back_to_its_connection() {
    let handler = handler(3, 7);
    let Answer::Notice(notice) = answer(&handler, ASK) else { panic!("no notice") };
    assert_eq!((notice.zone.as_deref(), notice.rule.as_deref()), (Some("west"), Some("campus")));
    assert_eq!((&*notice.reason, notice.remote), ("expired", "192.0.2.200".parse().unwrap()));
    assert_eq!(answer(&handler, ASK), Answer::Notice(notice.clone()), "asked again");
    let ask = format!("{{\"reference\":\"{}\"}}", notice.reference.to_lowercase());
    let Answer::Record(record) = answer(&handler, ask.as_bytes()) else { panic!("no record") };
    assert_eq!((record.subscriber, record.subscriber_port), ("203.0.113.9".parse().unwrap(), 40001));
    assert_eq!((record.reference, record.remote), (notice.reference, notice.remote));
    assert_eq!((record.zone, record.rule), (notice.zone, notice.rule));
    assert_eq!((&*record.reason, &*record.action), ("expired", "notice"));
}

#[test]
fn no_zone_and_no_rule_have_no_name() {
    let Answer::Notice(notice) = answer(&handler(NO_ZONE, NO_RULE), ASK) else { panic!("no notice") };
    assert_eq!((notice.zone, notice.rule), (None, None));
}

#[test]
fn what_is_not_known() {
    let handler = handler(3, 7);
    let other = br#"{"notice":{"subscriber":"203.0.113.9","port":40002}}"#;
    assert_eq!(error(&answer(&handler, other)), UNKNOWN_CONNECTION);
    for reference in ["00000000", "nonsense", ""] {
        let ask = format!("{{\"reference\":\"{reference}\"}}");
        assert_eq!(error(&answer(&handler, ask.as_bytes())), UNKNOWN_REFERENCE, "{reference}");
    }
    for line in [&b""[..], b"{", b"{}", b"[]", b"\xff\xfe", b"{\"notice\":{}}", b"{\"sudo\":1}"] {
        assert!(error(&answer(&handler, line)).starts_with("unknown request"), "{line:?}");
    }
    let broken = Handler::new(Shared::default(), channel().0, |_| Err(Fault::kernel("flows", "no such map")));
    assert_eq!(error(&answer(&broken, ASK)), UNKNOWN_CONNECTION);
}
