//! Identifiers as types, so that a session's id is never taken for a grant's.

use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new identifier: time-ordered, so that a listing by id is a listing by age.
            #[must_use]
            pub fn generate() -> Self {
                Self(format!("{}{}", $prefix, uuid::Uuid::now_v7().simple()).into())
            }

            /// An identifier that was read from storage or given by a caller.
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into().into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Names one access request (`req_…`).
    RequestId,
    "req_"
);
id!(
    /// Names one grant (`gr_…`).
    GrantId,
    "gr_"
);
id!(
    /// Names one client connection (`se_…`).
    SessionId,
    "se_"
);
