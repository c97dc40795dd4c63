//! What can go wrong on the way into the kernel, in one line with a remedy.

use crate::policy::compile::TooLarge;
use std::fmt;
use std::path::Path;

/// One fault: `what: value: cause (remedy)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    what: &'static str,
    value: String,
    cause: String,
    remedy: String,
}

impl Fault {
    /// A fault of `what`, of which this is the `value`.
    pub fn new(
        what: &'static str,
        value: impl fmt::Display,
        cause: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self { what, value: value.to_string(), cause: in_our_words(&cause), remedy: remedy.to_string() }
    }

    /// What is wrong, without a remedy.
    #[must_use]
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// An interface that does not exist.
    pub(crate) fn absent(interface: &str) -> Self {
        Self::new("interface", interface, ABSENT, "`ip link` lists what there is")
    }

    /// Whether it is [`Self::absent`].
    pub(crate) fn is_absence(&self) -> bool {
        self.cause == ABSENT
    }

    /// What a program that runs has, and is not pinned there any more.
    pub(crate) fn hidden(pin: &Path, cause: &std::io::Error) -> Self {
        let remedy = "the running program keeps its own, which only CAP_SYS_ADMIN finds: start gate25 once as root, by hand";
        Self::new("pin", pin.display(), format!("is gone: {cause}"), remedy)
    }

    /// A map or program that the kernel does not take.
    pub(crate) fn kernel(value: impl fmt::Display, cause: impl fmt::Display) -> Self {
        // The verifier's log has many lines; its last words are the cause.
        let cause = cause.to_string();
        let short = cause.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
        let remedy =
            "gate25 needs root or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and Linux 6.1 or newer with BTF";
        Self::new("kernel", value, short, remedy)
    }
}

impl From<TooLarge> for Fault {
    fn from(TooLarge { what, needed, limit }: TooLarge) -> Self {
        let remedy = "merge prefixes, or drop rules that overlap";
        Self::new("policy", format!("{needed} {what}"), format!("more than the {limit} that fit"), remedy)
    }
}

const ABSENT: &str = "there is none of that name";

/// The system's words (`Address already in use (os error 98)`) as part of a line of ours: no capital, no number.
pub(crate) fn in_our_words(cause: &impl fmt::Display) -> String {
    let cause = cause.to_string();
    let cause = cause.split(" (os error").next().unwrap_or_default();
    let mut letters = cause.chars();
    match (letters.next(), letters.as_str().chars().next()) {
        // Not an abbreviation.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => cause.to_owned(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, cause, remedy } = self;
        write!(f, "{what}: {value}: {cause} ({remedy})")
    }
}

impl std::error::Error for Fault {}
