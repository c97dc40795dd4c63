//! Questions to the running controller: `status`, and `explain` without a policy.

use super::explain::{Answered, Explanation, Path as Between};
use crate::control::Request;
use crate::control::client::{PATIENCE, ask};
use crate::control::report::Report;
use crate::datapath::fault::Fault;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// A large policy with many dates takes a while to explain.
const EXPLAIN_PATIENCE: Duration = Duration::from_secs(30);

/// What the controller does.
pub fn status(control: &Path) -> Result<Report, Fault> {
    answer(control, &Request::Status, PATIENCE)
}

/// What happens to a connection by the policy in force, on that very node.
pub fn explain(control: &Path, between: Between, at: Option<Timestamp>) -> Result<Explanation, Fault> {
    let Between { subscriber, remote, direction } = between;
    let request = Request::Explain { subscriber, remote, at, direction: direction.into() };
    answer::<Answered>(control, &request, EXPLAIN_PATIENCE).map(Into::into)
}

fn answer<T: DeserializeOwned>(control: &Path, request: &Request, patience: Duration) -> Result<T, Fault> {
    let remedy = "see the controller's log; gate25 and its controller must be of one version";
    ask(control, request, patience)?.map_err(|error| Fault::new("control", control.display(), error, remedy))
}
