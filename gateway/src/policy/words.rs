//! The closed lists of words in a policy, each with what it means to people: for whoever checks, and for the schema.

use super::Kind;
use gate25_common::verdict::{Action, Mode, ReturnPath};

/// Values that a key may have, the default apart.
pub(super) type Words<T> = &'static [(&'static str, T, &'static str)];

pub(super) const MODES: Words<Mode> = &[
    (Mode::Monitor.label(), Mode::Monitor, "decide and count, but let everything pass"),
    (Mode::Enforce.label(), Mode::Enforce, "carry the decision out"),
];

pub(super) const ACTIONS: Words<Action> = &[
    (Action::Drop.label(), Action::Drop, "silence: the client waits until it gives up"),
    (Action::Reset.label(), Action::Reset, "\"connection refused\", at once"),
    (Action::Icmp.label(), Action::Icmp, "\"administratively prohibited\" from the gateway"),
    (Action::Notice.label(), Action::Notice, "an SMTP greeting that says what to use instead (see `notice`)"),
    (
        Action::Relay.label(),
        Action::Relay,
        "the server at `relay_to` in place of the one asked for; `check` says what that breaks",
    ),
];

pub(super) const RETURN_PATHS: Words<ReturnPath> = &[
    (ReturnPath::Off.label(), ReturnPath::Off, "what comes back is not looked at"),
    (ReturnPath::Monitor.label(), ReturnPath::Monitor, "decide and count, but let everything pass"),
    (ReturnPath::Enforce.label(), ReturnPath::Enforce, "drop what is blocked; needs `mode: enforce`"),
];

pub(super) const KINDS: Words<Kind> = &[
    ("university", Kind::University, "a campus"),
    ("business", Kind::Business, "a business subscriber or partner"),
    ("other", Kind::Other, "anything else"),
];
