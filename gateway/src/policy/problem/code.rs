//! The kinds of problems, under names that other programs may keep to.

/// A kind of problem, or (from [`Self::Undocumented`] on) of warning. Its name is part of the interface: it does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A file that cannot be read, or is none.
    File,
    /// Text that is no YAML, or more than is read.
    Syntax,
    /// A key that there is not.
    UnknownKey,
    /// A key given twice.
    DuplicateKey,
    /// A key that must be there.
    MissingKey,
    /// A number, word or list where something else belongs.
    WrongType,
    /// A word that is not one of those that may be here.
    UnknownWord,
    /// The id of a zone that there is not.
    UnknownZone,
    /// An id used twice.
    DuplicateId,
    /// What is no address or prefix.
    BadPrefix,
    /// What is no instant.
    BadInstant,
    /// Any other value that cannot be so.
    Value,
    /// A policy that does not fit into the tables.
    TooLarge,
    /// Problems that were only counted.
    Unshown,
    /// An owner or reason that is not there.
    Undocumented,
    /// A key without effect.
    NoEffect,
    /// `action: relay`.
    Redirection,
    /// A name without addresses.
    Unresolved,
    /// An entry listed twice.
    Duplicate,
    /// An exception that has ended.
    Expired,
    /// An exception that ends soon.
    Expiring,
    /// A permanent exception without a date of review.
    Unreviewed,
    /// A date of review that has passed.
    ReviewOverdue,
    /// A prefix wider than people have.
    WidePrefix,
    /// A prefix that something else decides for.
    Shadowed,
    /// An exception that another one makes needless.
    Redundant,
    /// A relay among the subscribers.
    RelayInZone,
    /// Subscribers of an exception that are in no zone of it.
    Unusable,
}

impl Code {
    /// Every kind, in an order that stays.
    pub const ALL: [Self; 28] = [
        Self::File,
        Self::Syntax,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::MissingKey,
        Self::WrongType,
        Self::UnknownWord,
        Self::UnknownZone,
        Self::DuplicateId,
        Self::BadPrefix,
        Self::BadInstant,
        Self::Value,
        Self::TooLarge,
        Self::Unshown,
        Self::Undocumented,
        Self::NoEffect,
        Self::Redirection,
        Self::Unresolved,
        Self::Duplicate,
        Self::Expired,
        Self::Expiring,
        Self::Unreviewed,
        Self::ReviewOverdue,
        Self::WidePrefix,
        Self::Shadowed,
        Self::Redundant,
        Self::RelayInZone,
        Self::Unusable,
    ];

    /// Its name, and what it is about in a few words.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::File => ("file", "A file that cannot be read."),
            Self::Syntax => ("syntax", "A file that is no YAML, or more than is read."),
            Self::UnknownKey => ("unknown-key", "A key that a policy does not have here."),
            Self::DuplicateKey => ("duplicate-key", "A key given twice."),
            Self::MissingKey => ("missing-key", "A key that must be given."),
            Self::WrongType => ("wrong-type", "A value of another type than the key has."),
            Self::UnknownWord => ("unknown-word", "A word that is not one of those known here."),
            Self::UnknownZone => ("unknown-zone", "A zone that the policy does not have."),
            Self::DuplicateId => ("duplicate-id", "An id used twice."),
            Self::BadPrefix => ("bad-prefix", "No address, or no prefix."),
            Self::BadInstant => ("bad-instant", "No date and time with an offset."),
            Self::Value => ("value", "A value that cannot be so."),
            Self::TooLarge => ("too-large", "A policy that is too large to be enforced."),
            Self::Unshown => ("unshown", "Problems that are not shown."),
            Self::Undocumented => ("undocumented", "An entry without owner or reason."),
            Self::NoEffect => ("no-effect", "A key without effect."),
            Self::Redirection => ("redirection", "Connections are redirected to another mail server."),
            Self::Unresolved => ("unresolved", "A name without addresses."),
            Self::Duplicate => ("duplicate", "An entry listed twice."),
            Self::Expired => ("expired", "An exception that has ended."),
            Self::Expiring => ("expiring", "An exception that ends within 14 days."),
            Self::Unreviewed => ("unreviewed", "A permanent exception without a date of review."),
            Self::ReviewOverdue => ("review-overdue", "A date of review that has passed."),
            Self::WidePrefix => ("wide-prefix", "A prefix wider than /8 (IPv4) or /16 (IPv6)."),
            Self::Shadowed => ("shadowed", "A prefix that a relay or block decides for already."),
            Self::Redundant => ("redundant", "An exception that another one covers whole."),
            Self::RelayInZone => ("relay-in-zone", "A relay that is among the subscribers."),
            Self::Unusable => ("unusable", "An exception, or a part of it, that nobody can use."),
        }
    }

    /// Its name: lower case, with dashes.
    #[must_use]
    pub const fn label(self) -> &'static str {
        self.texts().0
    }

    /// Whether the policy is valid all the same.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        self as u8 >= Self::Undocumented as u8
    }

    /// What it is about: one sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        self.texts().1
    }
}
