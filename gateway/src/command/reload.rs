//! `gate25 reload`: the running controller loads the policy again, and says what came of it.

use crate::control::handler::LOOP_PATIENCE;
use crate::control::{FORBIDDEN, Reload, Request, client};
use crate::datapath::fault::Fault;
use std::fmt;
use std::path::Path;

/// Asks the controller at that socket, and waits.
pub fn reload(control: &Path, trust_clock: bool) -> Result<Reload, Fault> {
    let answer = client::ask(control, &Request::Reload { trust_clock }, LOOP_PATIENCE + client::PATIENCE)?;
    answer.map_err(|error| {
        let remedy = match error.as_str() {
            FORBIDDEN => "be root",
            _ => "see the controller's log; gate25 and its controller must be of one version",
        };
        Fault::new("control", control.display(), error, remedy)
    })
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("policy", if self.is_in_force { "in force" } else { "refused" }.to_owned()),
            ("digest", self.digest.clone()),
            ("generation", self.generation.to_string()),
            ("zones", self.zones.to_string()),
            ("rules", self.rules.to_string()),
            ("prefixes", self.prefixes.to_string()),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:<12} {value}"))
    }
}
