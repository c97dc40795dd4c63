//! `gate25 explain --ref`: what a notice's reference stands for.

use crate::control::references::{KEPT, Reference};
use crate::control::{Record, Request, UNKNOWN_REFERENCE, client};
use crate::datapath::fault::Fault;
use std::fmt;
use std::path::Path;

/// Asks the controller at that socket.
pub fn look_up(control: &Path, text: &str) -> Result<Record, Fault> {
    let reference: Reference = text.parse().map_err(|error| {
        Fault::new("reference", text, error, "it has eight letters and digits, as 7K3QX2MB")
    })?;
    let answer = client::ask(control, &Request::Reference(reference.to_string()), client::PATIENCE)?;
    answer.map_err(|error| match error.as_str() {
        UNKNOWN_REFERENCE => Fault::new(
            "reference",
            reference,
            "is not known to this controller",
            format!("it keeps the newest {KEPT} since it started; its log has all that it wrote"),
        ),
        _ => Fault::new(
            "control",
            control.display(),
            error,
            "gate25 and its controller must be of one version",
        ),
    })
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let rows = [
            ("reference", self.reference.clone()),
            ("time", self.time.to_string()),
            ("from", format!("{} port {}", self.subscriber, self.subscriber_port)),
            ("to", format!("{} port 25", self.remote)),
            ("zone", or_none(&self.zone)),
            ("action", self.action.to_string()),
            ("reason", self.reason.to_string()),
            ("rule", or_none(&self.rule)),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:<12} {value}"))
    }
}
