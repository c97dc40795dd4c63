//! Events: what happened, each told once.

use tracing::info;

/// Where events go. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events(());

impl Events {
    /// Something about the policy changed (kind `policy`): the rule it is about, if it is about one, and what happened.
    pub fn policy(&self, rule: Option<&str>, message: &str) {
        info!(rule, "{message}");
    }
}
