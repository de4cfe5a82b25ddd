//! Bodies, queries and path parameters, read so that every refusal is a problem document.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Largest body that is read.
pub const MAX_BODY: usize = 64 * 1024;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(value) = Json::<T>::from_request(request, state).await.map_err(body_problem)?;
        Ok(Self(value))
    }
}

/// A JSON body, or none at all.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let empty = match length {
            Some(length) => length == "0",
            None => !headers.contains_key(header::TRANSFER_ENCODING) && !headers.contains_key(header::CONTENT_TYPE),
        };
        if empty {
            return Ok(Self(T::default()));
        }
        Body::from_request(request, state).await.map(|Body(value)| Self(value))
    }
}

/// A query string.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::<T>::from_request_parts(parts, state)
            .await
            .map(|Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| Problem::bad_request(rejection.body_text()))
    }
}

/// The one parameter of a path.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|rejection: PathRejection| Problem::bad_request(rejection.body_text()))
    }
}

/// Words that people write into requests: bounded, and free of control characters but tabs and line ends, since they
/// come back in terminals, in notices to clients and in the journal.
///
/// # Errors
/// 422, naming the field.
pub fn check_text(field: &str, text: &str, max: usize) -> Result<(), Problem> {
    if text.len() > max {
        return Err(Problem::invalid(format!("`{field}` is longer than {max} bytes"), "say it in fewer words"));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Problem::invalid(format!("`{field}` holds control characters"), "leave them out"));
    }
    Ok(())
}

fn body_problem(rejection: JsonRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(MAX_BODY),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::media_type(),
        StatusCode::UNPROCESSABLE_ENTITY => {
            Problem::invalid(rejection.body_text(), "compare the call with /v1/openapi.json")
        }
        _ => Problem::bad_request(rejection.body_text()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_clean() {
        let check = |text: &str, good: bool| assert_eq!(check_text("reason", text, 10).is_ok(), good, "{text:?}");
        check("fine\n\tfine", true);
        check("elf bytes!!", false);
        check("\u{1b}[2J", false);
        check("a\0b", false);
        check("\u{9b}31m", false);
    }
}
