//! The closed vocabulary: one word for one thing, from YAML to metric.

/// Declares a closed enum of words: the variants, `ALL` in order, `label()` and its inverse `from_index`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that people and scripts read: the same in YAML, JSON, metric and log.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// The value with that number (its place in [`Self::ALL`]), as it crosses a map.
            #[must_use]
            pub const fn from_index(index: u8) -> Option<Self> {
                $(if index == Self::$variant as u8 { return Some(Self::$variant); })+
                None
            }
        }
    };
}

words! {
    /// What was decided, whether or not it is carried out.
    Decision {
        /// The packet may go on.
        Pass = "pass",
        /// The packet may not.
        Block = "block",
    }
}

words! {
    /// Why; the closed list of contract section 1. `Unmanaged` goes with both decisions, every other with one.
    Reason {
        /// Not TCP to port 25, or it cannot be known to be.
        NotSmtp = "not-smtp",
        /// The subscriber is in no zone.
        Unmanaged = "unmanaged",
        /// An approved relay.
        Relay = "relay",
        /// An exception that holds now.
        Exception = "exception",
        /// Nothing allows it.
        Default = "default",
        /// A block rule that holds now.
        BlockRule = "block-rule",
        /// An exception matches, but has ended.
        Expired = "expired",
        /// Over a limit.
        Rate = "rate",
        /// It could be TCP/25 but cannot be read.
        Malformed = "malformed",
    }
}

words! {
    /// What a blocked packet gets.
    Action {
        /// Nothing: the packet passes.
        None = "none",
        /// Silence.
        Drop = "drop",
        /// A TCP RST in the destination's name.
        Reset = "reset",
        /// An ICMP "administratively prohibited".
        Icmp = "icmp",
        /// A connection to the notice responder.
        Notice = "notice",
        /// A connection to an approved relay.
        Relay = "relay",
    }
}

words! {
    /// Whether a zone's blocks are carried out.
    Mode {
        /// Decide and count, let everything pass.
        Monitor = "monitor",
        /// Decide, count and carry out.
        Enforce = "enforce",
    }
}

words! {
    /// Whether packets from port 25 toward a zone's subscribers meet the policy.
    ReturnPath {
        /// They pass unseen.
        Off = "off",
        /// Decide and count, let everything pass.
        Monitor = "monitor",
        /// Decide, count and carry out.
        Enforce = "enforce",
    }
}

words! {
    /// What happened to a redirected connection, or to one that could not be.
    FlowEvent {
        /// A SYN was redirected, and an entry made.
        Opened = "opened",
        /// Both sides have heard of each other.
        Established = "established",
        /// Reset: the subscriber's port is in use for another destination.
        Conflict = "conflict",
        /// Reset: there is no room for another established connection.
        Full = "full",
        /// Dropped: a packet of no known connection, and no SYN.
        Stray = "stray",
        /// An ICMP error about a redirected packet, in the words of the original one.
        Icmp = "icmp",
    }
}

words! {
    /// What an event tells of.
    EventKind {
        /// A new connection was blocked, or would have been.
        Blocked = "blocked",
        /// A subscriber is over the thresholds of `suspects`.
        Suspect = "suspect",
        /// The policy, or what it is made of, changed.
        Policy = "policy",
    }
}

words! {
    /// The network protocol of a frame, as a metric label.
    Family {
        /// `EtherType` 0x0800.
        Ipv4 = "ipv4",
        /// `EtherType` 0x86dd.
        Ipv6 = "ipv6",
        /// Anything else, ARP for one.
        Other = "other",
    }
}

words! {
    /// Which way a packet crosses the subscriber interface.
    Direction {
        /// Arriving from subscribers; the remote port is the destination port.
        Egress = "egress",
        /// Leaving toward subscribers; the remote port is the source port.
        Return = "return",
    }
}

words! {
    /// What kind of rule a verdict names.
    RuleKind {
        /// An approved relay.
        Relay = "relay",
        /// An exception.
        Exception = "exception",
        /// A block.
        Block = "block",
    }
}

/// What happens to a packet and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Pass or block.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// What a block gets; [`Action::None`] for a pass.
    pub action: Action,
    /// True only for a block that is carried out.
    pub enforced: bool,
    /// The zone's slot, [`crate::abi::NO_ZONE`] where there is none.
    pub zone: u32,
    /// The rule named, [`crate::abi::NO_RULE`] where there is none.
    pub rule: u64,
}
