//! References: what a subscriber reads in a notice, and the support desk looks up.

use super::Record;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Records kept: the newest ones.
pub const KEPT: usize = 65_536;

/// How long a connection that is asked about again has the same reference.
const SAME: Duration = Duration::from_mins(1);

/// Crockford's base 32: no I, L, O or U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;

/// Eight digits of Crockford's base 32: 40 bits that cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference(u64);

impl Reference {
    /// Draws one.
    pub fn random() -> std::io::Result<Self> {
        let mut octets = [0; 8];
        rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(u64::from_le_bytes(octets) >> 24))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |place: usize| char::from(DIGITS[(self.0 >> (5 * place)) as usize & 31]);
        (0..LENGTH).rev().try_for_each(|place| fmt::Write::write_char(f, digit(place)))
    }
}

/// As people write it: any case, I and L for 1, O for 0.
impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        if text.len() != LENGTH {
            return Err(NoReference);
        }
        text.bytes()
            .try_fold(0, |number, octet| {
                let octet = match octet.to_ascii_uppercase() {
                    b'I' | b'L' => b'1',
                    b'O' => b'0',
                    octet => octet,
                };
                let digit = DIGITS.iter().position(|digit| *digit == octet).ok_or(NoReference)?;
                Ok(number << 5 | digit as u64)
            })
            .map(Self)
    }
}

/// The text cannot be a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoReference;

impl fmt::Display for NoReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no reference")
    }
}

impl std::error::Error for NoReference {}

/// Who talked to whom.
pub type Ends = (SocketAddr, IpAddr);

/// The newest records, by reference.
#[derive(Debug, Default)]
pub struct References {
    records: HashMap<Reference, Record>,
    /// Oldest first.
    order: VecDeque<(Reference, Ends)>,
    /// The newest reference of a connection, and when it was given. None that is not among the records.
    newest: HashMap<Ends, (Reference, Instant)>,
}

impl References {
    /// The reference that was given for a connection within the last minute.
    #[must_use]
    pub fn recent(&self, ends: &Ends, now: Instant) -> Option<Reference> {
        let (reference, given) = self.newest.get(ends)?;
        (now.duration_since(*given) < SAME).then_some(*reference)
    }

    /// Keeps the record that `record` makes for a new reference, one that `draw` gives and no other record has.
    pub fn keep(
        &mut self,
        ends: Ends,
        now: Instant,
        mut draw: impl FnMut() -> std::io::Result<Reference>,
        record: impl FnOnce(Reference) -> Record,
    ) -> std::io::Result<Reference> {
        let reference = loop {
            let reference = draw()?;
            if !self.records.contains_key(&reference) {
                break reference;
            }
        };
        if self.order.len() == KEPT
            && let Some((oldest, ends)) = self.order.pop_front()
        {
            self.records.remove(&oldest);
            if self.newest.get(&ends).is_some_and(|(newest, _)| *newest == oldest) {
                self.newest.remove(&ends);
            }
        }
        self.records.insert(reference, record(reference));
        self.order.push_back((reference, ends));
        self.newest.insert(ends, (reference, now));
        Ok(reference)
    }

    /// What is known of it.
    #[must_use]
    pub fn get(&self, reference: Reference) -> Option<&Record> {
        self.records.get(&reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::net::Ipv4Addr;

    fn ends(number: u32) -> Ends {
        (SocketAddr::from((Ipv4Addr::from_bits(number), 40001)), Ipv4Addr::new(192, 0, 2, 200).into())
    }

    fn record((subscriber, remote): Ends, reference: Reference) -> Record {
        Record {
            reference: reference.to_string(),
            time: Timestamp::UNIX_EPOCH,
            subscriber: subscriber.ip(),
            subscriber_port: subscriber.port(),
            remote,
            zone: None,
            reason: "default".into(),
            rule: None,
            action: "notice".into(),
        }
    }

    fn keep(references: &mut References, ends: Ends, now: Instant) -> Reference {
        references.keep(ends, now, Reference::random, |reference| record(ends, reference)).unwrap()
    }

    #[test]
    fn digits_there_and_back() {
        for (number, text) in
            [(0, "00000000"), (31, "0000000Z"), ((1 << 40) - 1, "ZZZZZZZZ"), (32, "00000010")]
        {
            assert_eq!(Reference(number).to_string(), text);
            assert_eq!(text.parse(), Ok(Reference(number)));
        }
        assert_eq!("7k3qx2mb".parse::<Reference>().unwrap().to_string(), "7K3QX2MB");
        assert_eq!("iIlLoO00".parse::<Reference>().unwrap().to_string(), "11110000");
        for text in ["", "7K3QX2M", "7K3QX2MBB", "7K3QX2MU", "7K3QX2M-", "7K3QX2é"] {
            assert_eq!(text.parse::<Reference>(), Err(NoReference), "{text}");
        }
        assert_ne!(Reference::random().unwrap(), Reference::random().unwrap());
    }

    #[test]
    fn the_same_connection_has_one_for_a_minute() {
        let mut references = References::default();
        let begin = Instant::now();
        assert_eq!(references.recent(&ends(1), begin), None);
        let first = keep(&mut references, ends(1), begin);
        assert_eq!(references.recent(&ends(1), begin + Duration::from_secs(59)), Some(first));
        assert_eq!(references.recent(&ends(2), begin), None);
        assert_eq!(references.recent(&ends(1), begin + Duration::from_mins(1)), None);
        assert_eq!(references.get(first).unwrap().subscriber, ends(1).0.ip());
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut references = References::default();
        let now = Instant::now();
        // The second of one connection outlives the first, and stays its newest.
        let (first, second) = (keep(&mut references, ends(0), now), keep(&mut references, ends(0), now));
        let kept: Vec<_> = (1..KEPT as u32).map(|number| keep(&mut references, ends(number), now)).collect();
        assert_eq!(references.get(first), None);
        assert_eq!(references.recent(&ends(0), now), Some(second));
        assert!(references.get(second).is_some() && kept.iter().all(|kept| references.get(*kept).is_some()));
        keep(&mut references, ends(u32::MAX), now);
        assert_eq!((references.get(second), references.recent(&ends(0), now)), (None, None));
        assert_eq!([references.records.len(), references.order.len(), references.newest.len()], [KEPT; 3]);
    }

    #[test]
    fn one_in_use_is_not_given_again() {
        let mut references = References::default();
        let now = Instant::now();
        let mut draws = [7, 7, 8].into_iter().map(Reference);
        let mut draw = || draws.next().ok_or_else(|| std::io::Error::other("no more"));
        for (number, wanted) in [(1, 7), (2, 8)] {
            let made = |reference| record(ends(number), reference);
            let given = references.keep(ends(number), now, &mut draw, made).unwrap();
            assert_eq!(given, Reference(wanted));
        }
    }
}
