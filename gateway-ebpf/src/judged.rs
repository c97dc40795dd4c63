//! A verdict of whose words the verifier knows nothing.

use crate::maps;
use gate25_common::abi::{Trace, outcome};
use gate25_common::frame::Bytes;
use gate25_common::verdict::{Action, Decision, Verdict};

/// A [`Verdict`], as numbers that were forgotten (see [`Bytes::forget`]): the verifier would follow whatever comes behind a
/// decision once for each combination of reason, action and mode, which is more than it has patience for.
#[derive(Clone, Copy)]
pub(crate) struct Judged {
    /// As in [`Verdict`].
    pub(crate) zone: u32,
    /// As in [`Verdict`].
    pub(crate) rule: u64,
    /// The words, four bits each: outcome, reason, action, decision, enforced.
    words: u64,
}

const REASON: u32 = 4;
const ACTION: u32 = 8;
const DECISION: u32 = 12;
const ENFORCED: u32 = 16;

#[inline(always)]
fn words(verdict: &Verdict) -> u64 {
    outcome(verdict) as u64
        | (verdict.reason as u64) << REASON
        | (verdict.action as u64) << ACTION
        | (verdict.decision as u64) << DECISION
        | u64::from(verdict.enforced) << ENFORCED
}

impl Judged {
    /// Forgets the words of a verdict.
    #[inline(always)]
    pub(crate) fn new<B: Bytes>(verdict: &Verdict, frame: &B) -> Self {
        Self {
            zone: frame.forget(verdict.zone.into(), u64::from(u32::MAX)) as u32,
            rule: frame.forget(verdict.rule, u64::MAX),
            words: frame.forget(words(verdict), 0xf_ffff),
        }
    }

    /// Leaves it for a function that is called, see [`Self::kept`].
    #[inline(always)]
    pub(crate) fn keep(self) {
        if let Some(scratch) = maps::scratch() {
            scratch.judged = self;
        }
    }

    /// What was decided on the segment that was kept, of which the verifier knows nothing.
    #[inline(always)]
    pub(crate) fn kept() -> Option<Self> {
        maps::scratch().map(|scratch| scratch.judged)
    }

    /// The same with the action that was possible.
    #[inline(always)]
    pub(crate) fn with<B: Bytes>(self, action: Action, frame: &B) -> Self {
        let words = self.words & !(0xf << ACTION) | (action as u64) << ACTION;
        Self { words: frame.forget(words, 0xf_ffff), ..self }
    }

    /// Its place in [`gate25_common::abi::OUTCOMES`].
    #[inline(always)]
    pub(crate) fn outcome(&self) -> usize {
        (self.words & 0xf) as usize
    }

    /// A [`gate25_common::verdict::Reason`].
    #[inline(always)]
    pub(crate) fn reason(&self) -> u8 {
        self.word(REASON)
    }

    /// An [`Action`].
    #[inline(always)]
    pub(crate) fn action(&self) -> u8 {
        self.word(ACTION)
    }

    /// Whether the action is one of these two.
    #[inline(always)]
    pub(crate) fn is(&self, one: Action, other: Action) -> bool {
        self.action() == one as u8 || self.action() == other as u8
    }

    /// Not a block.
    #[inline(always)]
    pub(crate) fn passes(&self) -> bool {
        self.word(DECISION) == Decision::Pass as u8
    }

    /// A block that is carried out.
    #[inline(always)]
    pub(crate) fn enforced(&self) -> bool {
        self.word(ENFORCED) == 1
    }

    /// For `replay`.
    #[inline(always)]
    pub(crate) fn trace(&self) -> Trace {
        Trace {
            rule: self.rule,
            zone: self.zone,
            decision: self.word(DECISION),
            reason: self.reason(),
            action: self.action(),
            enforced: self.word(ENFORCED),
        }
    }

    #[inline(always)]
    fn word(&self, place: u32) -> u8 {
        (self.words >> place & 0xf) as u8
    }
}
