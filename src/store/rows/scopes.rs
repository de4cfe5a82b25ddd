//! Frozen scopes, each held once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::values::json_out;
use crate::access::Scope;
use crate::store::StoreError;

/// Frozen scopes by their text: thousands of grants of one scope hold it once.
#[derive(Debug, Default)]
pub(in crate::store) struct Scopes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    scopes: HashMap<Box<str>, Weak<Scope>>,
    /// At this many, those that nobody holds any more are forgotten.
    full: usize,
}

impl Scopes {
    pub(in crate::store) fn read(&self, text: &str) -> Result<Arc<Scope>, StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = known.scopes.get(text).and_then(Weak::upgrade) {
            return Ok(scope);
        }
        let scope: Arc<Scope> = Arc::new(json_out(text)?);
        if known.scopes.len() >= known.full {
            known.scopes.retain(|_, scope| scope.strong_count() > 0);
            known.full = (known.scopes.len() * 2).max(64);
        }
        known.scopes.insert(text.into(), Arc::downgrade(&scope));
        Ok(scope)
    }
}
