//! How many clients there may be, in total and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Further connections in total for addresses that are in no zone: the controller's probes get through while
/// subscribers have taken all the others.
pub const RESERVE: usize = 32;

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The responder.
    Total,
    /// The address.
    Address,
}

/// Counts the connections that are open.
#[derive(Debug)]
pub struct Limits {
    total: usize,
    per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

impl Limits {
    /// So many in total, and so many from one address.
    #[must_use]
    pub fn new(total: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { total, per_address, open: Mutex::default() })
    }

    /// A place for one more connection from that address, until it is dropped.
    pub fn admit(self: &Arc<Self>, address: IpAddr, is_subscriber: bool) -> Result<Place, Full> {
        let owner = owner(address);
        let mut open = self.lock();
        let reserve = if is_subscriber { 0 } else { RESERVE };
        if open.all >= self.total + reserve {
            return Err(Full::Total);
        }
        let own = open.by.get(&owner).copied().unwrap_or_default();
        if own >= self.per_address {
            return Err(Full::Address);
        }
        open.by.insert(owner, own + 1);
        open.all += 1;
        Ok(Place { limits: self.clone(), owner })
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
    owner: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.limits.lock();
        open.all -= 1;
        if let Some(own) = open.by.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                open.by.remove(&self.owner);
            }
        }
    }
}

/// Whose address it is: in IPv6 a subscriber has 64 bits to choose from.
fn owner(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_and_a_prefix_of_64_bits_is_one() {
        let limits = Limits::new(100, 2);
        for (first, second, other) in [
            ("203.0.113.9", "203.0.113.9", "203.0.113.10"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:3::1"),
        ] {
            let places = [first, second].map(|text| limits.admit(address(text), true).unwrap());
            assert_eq!(limits.admit(address(first), true).unwrap_err(), Full::Address);
            assert!(limits.admit(address(other), true).is_ok());
            drop(places);
            assert!(limits.admit(address(first), true).is_ok());
        }
        assert_eq!(limits.open(), 0);
        assert!(limits.lock().by.is_empty(), "addresses are forgotten");
    }

    #[test]
    fn a_reserve_is_left_for_who_is_no_subscriber() {
        let limits = Limits::new(1, 1000);
        let _first = limits.admit(address("203.0.113.9"), true).unwrap();
        assert_eq!(limits.admit(address("203.0.113.10"), true).unwrap_err(), Full::Total);
        let _others: Vec<_> =
            (0..RESERVE).map(|_| limits.admit(address("192.0.2.1"), false).unwrap()).collect();
        assert_eq!(limits.admit(address("192.0.2.1"), false).unwrap_err(), Full::Total);
    }
}
