//! The keys of an upstream's password, remembered by the salt that the server names: stretching a password takes longer than
//! all the rest of a login.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::access::Secret;
use crate::wire::scram::client::Keys;

/// A server has one salt for one password; a few more while it is changed, or where several stand behind one name.
const MOST: usize = 4;

/// Keys of one password. They are wiped when they are forgotten.
#[derive(Debug, Default)]
pub struct Salted(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    salt: Vec<u8>,
    iterations: u32,
    keys: Keys,
}

impl Salted {
    /// The keys of `password`, which is the same at each call. The oldest are forgotten where there are too many: a server
    /// that names another salt each time costs what it did, and nothing more.
    pub fn keys(&self, password: &Secret, salt: &[u8], iterations: u32) -> Keys {
        if let Some(keys) = self.known(salt, iterations) {
            return keys;
        }
        // Not under the lock, where others would wait for it.
        let keys = Keys::derive(password.expose(), salt, iterations);
        if self.known(salt, iterations).is_none() {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.truncate(MOST - 1);
            all.push_front(Known { salt: salt.to_vec(), iterations, keys: keys.clone() });
        }
        keys
    }

    fn known(&self, salt: &[u8], iterations: u32) -> Option<Keys> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().find(|known| known.iterations == iterations && known.salt == salt)?;
        Some(known.keys.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::scram::Verifier;

    #[test]
    fn keys_are_those_of_the_salt_and_count_that_are_asked_for() {
        let (salted, password) = (Salted::default(), Secret::new("pencil"));
        let check = |salt: &[u8], iterations: u32| {
            let expected = Verifier::derive("pencil", salt, iterations);
            let found = Verifier::of(&salted.keys(&password, salt, iterations), salt, iterations);
            assert_eq!(found.to_string(), expected.to_string());
        };
        // Each twice: once made, once remembered.
        for _ in 0..2 {
            check(b"one", 1);
            check(b"one", 2);
            check(b"two", 1);
        }
    }

    #[test]
    fn only_a_few_are_remembered() {
        let (salted, password) = (Salted::default(), Secret::new("pencil"));
        for salt in 0..100_u8 {
            salted.keys(&password, &[salt], 1);
        }
        assert_eq!(salted.0.lock().unwrap().len(), MOST);
        assert!(salted.known(&[99], 1).is_some() && salted.known(&[0], 1).is_none());
    }
}
