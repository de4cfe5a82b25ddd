//! What rows of the tables mean, whichever database keeps them: each names its columns alike, and reads them into these.

pub(super) mod grant;
pub(super) mod request;
pub(super) mod review;
pub(super) mod scopes;
pub(super) mod values;
