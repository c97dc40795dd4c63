//! Who may have how many connections to the control socket at a time: nobody but root keeps root out, and no other user
//! keeps all others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at a time.
pub const CONNECTIONS: usize = 64;
/// Of these, those that only root may have.
pub const FOR_ROOT: usize = 16;
/// What one user may have who is not root: half of the others.
pub const PER_USER: usize = (CONNECTIONS - FOR_ROOT) / 2;

/// How every refusal for want of a place ends, see [`Places::take`].
pub(super) const OPEN_ALREADY: &str = "connections open already";

/// The connections that are open, by user.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<u32, usize>>>);

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    user: u32,
}

impl Places {
    /// A place for a process of that user, or why there is none.
    pub(super) fn take(&self, user: u32) -> Result<Place, String> {
        let mut held = self.held();
        let all: usize = held.values().sum();
        let of_root = held.get(&0).copied().unwrap_or(0);
        let own = held.get(&user).copied().unwrap_or(0);
        if user != 0 && own >= PER_USER {
            return Err(format!("user {user} has {own} {OPEN_ALREADY}"));
        }
        if all >= CONNECTIONS || user != 0 && all - of_root >= CONNECTIONS - FOR_ROOT {
            return Err(format!("the controller has {all} {OPEN_ALREADY}"));
        }
        held.insert(user, own + 1);
        Ok(Place { places: self.clone(), user })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        if let Some(own) = held.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(places: &Places, user: u32) -> Vec<Place> {
        std::iter::from_fn(|| places.take(user).ok()).collect()
    }

    #[test]
    fn others_leave_root_its_places_and_each_other_theirs() {
        let places = Places::default();
        let one = taken(&places, 1000);
        assert_eq!(one.len(), PER_USER);
        assert_eq!(places.take(1000).unwrap_err(), "user 1000 has 24 connections open already");
        let another = taken(&places, 1001);
        assert_eq!(another.len(), PER_USER);
        assert_eq!(places.take(1002).unwrap_err(), "the controller has 48 connections open already");
        let root = taken(&places, 0);
        assert_eq!(root.len(), FOR_ROOT);
        assert_eq!(places.take(0).unwrap_err(), "the controller has 64 connections open already");
        drop((one, another, root));
        assert!(places.held().is_empty(), "{places:?}");
        assert_eq!(taken(&places, 0).len(), CONNECTIONS);
    }
}
