//! How values lie in columns: instants and durations as nanoseconds, lists and scopes as JSON.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::StoreError;

/// Nanoseconds since 1970; fails past the year 2262, where they leave 64 bits.
pub(in crate::store) fn instant_in(instant: Timestamp) -> Result<i64, StoreError> {
    i64::try_from(instant.as_nanosecond())
        .map_err(|_| StoreError::Failed(format!("the instant {instant} cannot be stored")))
}

pub(in crate::store) fn instant_out(nanoseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_err(|error| damaged(&error))
}

pub(in crate::store) fn duration_in(duration: Duration) -> Result<i64, StoreError> {
    i64::try_from(duration.as_nanos())
        .map_err(|_| StoreError::Failed(format!("the duration {duration:?} cannot be stored")))
}

pub(in crate::store) fn duration_out(nanoseconds: i64) -> Result<Duration, StoreError> {
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|error| damaged(&error))
}

pub(in crate::store) fn json_in<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

pub(in crate::store) fn json_out<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

/// A row that does not read as what it was written as.
pub(in crate::store) fn damaged(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("a row of the database is damaged ({error})"))
}
