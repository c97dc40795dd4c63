//! The life of a redirected connection: what a packet means for the entry that the gate keeps of it.
//!
//! An entry is made by a SYN, in a table whose least recently used entries give way. It moves to a second table, from which
//! nothing is pushed out, when the subscriber acknowledges what the target said: that takes a sender who hears the answers.
//! It moves back as soon as either side begins to close.

use crate::abi::Flow;
use crate::address::Address;
use crate::answer::{ACK, FIN, RST, SYN};
use crate::verdict::Action;

/// The rate of [`Flow::seen`].
const SECOND: u64 = 1_000_000_000;
/// A SYN that nobody answered is given up after this (six retransmissions, RFC 6298 section 5, take 63 s).
const HALF_IDLE: u64 = 64 * SECOND;
/// An established connection is thought dead after this: RFC 5321 section 4.5.3.2 lets a peer be silent for ten minutes.
pub const IDLE: u64 = 1_800 * SECOND;

/// What to do with the entry of an established connection, or of one that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Leave it where it is.
    Stay,
    /// To the established ones.
    Establish,
    /// To those that may give way.
    Close,
}

/// SYN alone: only this opens a connection.
#[inline(always)]
#[must_use]
pub const fn opens(flags: u8) -> bool {
    flags & (SYN | ACK | FIN | RST) == SYN
}

impl Flow {
    /// Whether the connection is with that address, in the subscriber's eyes.
    #[inline(always)]
    #[must_use]
    pub fn is_with(&self, remote: Address) -> bool {
        self.remote == remote.words()
    }

    /// The subscriber may connect to the target itself: nothing is rewritten. Such a connection is only noted, so that no
    /// other becomes the same.
    #[inline(always)]
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.action == Action::None as u8
    }

    /// Whether a packet of the target's address and port is of this very connection, and not of another one that the
    /// subscriber has there, from the same port, now that this one has ended: what opens or refuses a connection must
    /// answer the SYN that this one began with. (Of one that is over nothing is left to be reset.)
    #[inline(always)]
    #[must_use]
    pub const fn is_answered_by(&self, flags: u8, acknowledgement: u32) -> bool {
        if flags & SYN != 0 {
            return flags & ACK != 0 && acknowledgement == self.sequence.wrapping_add(1);
        }
        flags & RST == 0 || !self.is_over()
    }

    /// Either side has begun to close.
    #[inline(always)]
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        (self.from_subscriber | self.from_target) & (Self::DONE | Self::RESET) != 0
    }

    /// Both sides have closed, or one has reset.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.from_subscriber & self.from_target & Self::DONE != 0
            || (self.from_subscriber | self.from_target) & Self::RESET != 0
    }

    /// Whether a SYN to another destination may take the entry.
    #[inline(always)]
    #[must_use]
    pub const fn gives_way(&self, established: bool, now: u64) -> bool {
        let patience = if established || self.is_direct() { IDLE } else { HALF_IDLE };
        self.is_over() || now.saturating_sub(self.seen) > patience
    }

    /// A packet of the connection came from the subscriber.
    #[inline(always)]
    #[must_use]
    pub fn heard_subscriber(&mut self, flags: u8, acknowledgement: u32, now: u64) -> Move {
        self.seen = now;
        if flags & (FIN | RST) != 0 {
            self.from_subscriber |= if flags & RST != 0 { Self::RESET } else { Self::DONE };
            return Move::Close;
        }
        let answers = self.from_target & Self::ANSWERED != 0 && acknowledgement == self.acknowledges;
        if flags & ACK != 0 && answers && !self.is_closing() { Move::Establish } else { Move::Stay }
    }

    /// A packet of the connection came from the target.
    #[inline(always)]
    #[must_use]
    pub const fn heard_target(&mut self, flags: u8, sequence: u32) -> Move {
        if flags & (FIN | RST) != 0 {
            self.from_target |= if flags & RST != 0 { Self::RESET } else { Self::DONE };
            return Move::Close;
        }
        if flags & (SYN | ACK) == SYN | ACK {
            self.acknowledges = sequence.wrapping_add(1);
            self.from_target |= Self::ANSWERED;
        }
        Move::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered() -> Flow {
        let mut flow = Flow::default();
        assert_eq!(flow.heard_target(SYN | ACK, u32::MAX), Move::Stay);
        flow
    }

    #[test]
    fn only_a_syn_alone_opens() {
        assert!(opens(SYN) && opens(SYN | 0x40), "a SYN, also one that negotiates ECN");
        for flags in [0, ACK, SYN | ACK, SYN | RST, SYN | FIN, FIN, RST] {
            assert!(!opens(flags), "{flags:#x}");
        }
    }

    #[test]
    fn only_who_hears_the_target_is_established() {
        assert_eq!(Flow::default().heard_subscriber(ACK, 0, 0), Move::Stay, "nothing was said yet");
        assert_eq!(answered().heard_subscriber(ACK, 1, 0), Move::Stay, "a guess");
        assert_eq!(answered().heard_subscriber(SYN, 0, 0), Move::Stay, "no ACK");
        assert_eq!(answered().heard_subscriber(ACK, 0, 0), Move::Establish);
    }

    #[test]
    fn each_packet_of_the_subscriber_is_a_sign_of_life() {
        for flags in [SYN, ACK, FIN | ACK] {
            let mut flow = Flow::default();
            let _ = flow.heard_subscriber(flags, 0, SECOND);
            assert_eq!(flow.seen, SECOND, "{flags:#x}");
        }
    }

    #[test]
    fn another_connection_is_told_from_its_syn_on() {
        let open = Flow { sequence: u32::MAX, ..Flow::default() };
        let over = Flow { from_subscriber: Flow::RESET, ..open };
        for flow in [open, over] {
            assert!(flow.is_answered_by(SYN | ACK, 0) && !flow.is_answered_by(SYN | ACK, 1));
            assert!(!flow.is_answered_by(SYN, 0), "a server that connects");
            assert!(flow.is_answered_by(ACK, 7) && flow.is_answered_by(FIN | ACK, 7));
        }
        assert!(open.is_answered_by(RST | ACK, 7) && !over.is_answered_by(RST | ACK, 7));
    }

    #[test]
    fn closing_moves_back_for_good() {
        for (flags, over) in [(FIN | ACK, false), (RST, true)] {
            let (mut by_subscriber, mut by_target) = (answered(), answered());
            assert_eq!(by_subscriber.heard_subscriber(flags, 0, 0), Move::Close);
            assert_eq!(by_target.heard_target(flags, 0), Move::Close);
            for mut flow in [by_subscriber, by_target] {
                assert_eq!(flow.is_over(), over);
                assert_eq!(flow.heard_subscriber(ACK, 0, 0), Move::Stay);
            }
        }
        let mut both = answered();
        let _ = (both.heard_subscriber(FIN, 0, 0), both.heard_target(FIN, 0));
        assert!(both.is_over());
    }

    #[test]
    fn an_entry_gives_way_when_it_is_over_or_silent() {
        let open = Flow { seen: SECOND, action: Action::Notice as u8, ..Flow::default() };
        assert!(!open.gives_way(false, SECOND + HALF_IDLE) && open.gives_way(false, SECOND + HALF_IDLE + 1));
        assert!(!open.gives_way(true, SECOND + IDLE) && open.gives_way(true, SECOND + IDLE + 1));
        assert!(Flow { from_target: Flow::RESET, ..open }.gives_way(true, SECOND));
        assert!(!Flow { from_target: Flow::DONE, ..open }.gives_way(true, SECOND), "half closed");
        let direct = Flow { action: Action::None as u8, ..open };
        assert!(!direct.gives_way(false, SECOND + IDLE) && direct.gives_way(false, SECOND + IDLE + 1));
    }
}
