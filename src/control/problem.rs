//! Errors as callers see them: `application/problem+json`, each with what to do next.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::explain::ExplainError;
use crate::access::{ApprovalRefused, EditRefused, RequestRefused, ReviewRefused, WithdrawalRefused, spell};
use crate::audit::{JournalError, ReadError};
use crate::desk::{DeskError, NotAnalysed};
use crate::store::StoreError;

/// RFC 9457's problem details, with a hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:pgward:problem:…`: a stable word for programs.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds to wait, sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, word: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:pgward:problem:{word}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            hint: Some(hint.into()),
            retry_after: None,
        }
    }

    /// The word of [`Self::kind`].
    #[must_use]
    pub fn word(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        let hint = "compare the call with /v1/openapi.json";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail, hint)
    }

    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "a valid control token is needed",
            "run `pgward login URL`, or set PGWARD_TOKEN to a token whose hash stands in proxy.toml",
        )
    }

    /// A login that came to nothing. `why` is for the journal: whoever came sees a page that does not have it.
    pub fn login(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "login-refused", why, "log in again")
    }

    pub fn forbidden(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail, hint)
    }

    pub fn not_found(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail, hint)
    }

    #[must_use]
    pub fn no_route() -> Self {
        Self::not_found("there is nothing at this address", "the routes stand in /v1/openapi.json")
    }

    #[must_use]
    pub fn method() -> Self {
        let hint = "the methods of each route stand in /v1/openapi.json";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this address does not take this method", hint)
    }

    pub fn conflict(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail, hint)
    }

    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail, "send less in one call")
    }

    #[must_use]
    pub fn media_type() -> Self {
        let hint = "send JSON, with `content-type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "the body is not declared as JSON", hint)
    }

    pub fn invalid(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, hint)
    }

    pub fn too_many(detail: impl Into<String>, seconds: u64) -> Self {
        let hint = format!("wait {seconds} seconds");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail, hint);
        Self { retry_after: Some(seconds), ..problem }
    }

    #[must_use]
    pub fn timeout() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "the call took too long",
            "it may still take effect: look whether it did before trying again",
        )
    }

    pub fn unavailable(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, hint);
        Self { retry_after: Some(5), ..problem }
    }

    /// For what cannot be: the cause stands in the log, never in the answer.
    #[must_use]
    pub fn internal() -> Self {
        let hint = "look into the log of pgward";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "pgward failed to answer", hint)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pgward\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        tracing::error!(%error, "an act was refused because it could not be recorded");
        Self::unavailable(
            "the audit journal cannot be written, so nothing was done",
            "ask who runs pgward to look at the journal's directory, then try again",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::not_found(
                format!("there is no such {what}, or none that you may see"),
                "list those that you may see with `pgward requests`, `pgward grants` or `pgward sessions`",
            ),
            StoreError::Refused(refused) => refused.into(),
            StoreError::EditRefused(refused) => refused.into(),
            StoreError::ReviewRefused(refused) => refused.into(),
            StoreError::NotPending => {
                Self::conflict("the request is no longer pending", "see `pgward requests` for where it stands")
            }
            StoreError::GrantEnded => {
                Self::conflict("the grant has ended already", "see `pgward grants` for those that are open")
            }
            StoreError::Failed(cause) => {
                tracing::error!(%cause, "the store failed");
                Self::unavailable("the store does not answer", "try again; if it stays so, ask who runs pgward")
            }
        }
    }
}

impl From<ApprovalRefused> for Problem {
    fn from(refused: ApprovalRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            ApprovalRefused::OwnRequest => {
                Self::forbidden(detail, "ask one of the scope's approvers; take it back with `pgward withdraw`")
            }
            ApprovalRefused::NotApprover(_) => {
                Self::forbidden(detail, "see `pgward requests` for who may decide on it")
            }
            ApprovalRefused::NotPending(_) => Self::conflict(detail, "see `pgward requests` for where it stands"),
            ApprovalRefused::Edited => Self::conflict(detail, "look at it again, then decide"),
            ApprovalRefused::AlreadyDecided => {
                Self::conflict(detail, "another approver has to decide; see `pgward requests`")
            }
        }
    }
}

impl From<RequestRefused> for Problem {
    fn from(refused: RequestRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            RequestRefused::NotRequester(_) => {
                Self::forbidden(detail, "see `pgward scopes` for those that you may ask for")
            }
            RequestRefused::TooLong { scope, max } => {
                let max = spell(max);
                Self::invalid(format!("at most {max} may be asked for scope \"{scope}\""), format!("use --for {max}"))
            }
            RequestRefused::NoDuration => Self::invalid(detail, "say for how long: --for 30m"),
            RequestRefused::NoReason => Self::invalid(detail, "say why: --reason TEXT"),
            RequestRefused::NoTicket(_) => Self::invalid(detail, "name one: --ticket T"),
            RequestRefused::Uses => Self::invalid(detail, "use --uses N together with --statement SQL"),
            RequestRefused::NotBreakGlass(scope) => {
                Self::forbidden(detail, format!("ask for it: pgward request {scope} --for 30m --reason '…'"))
            }
            RequestRefused::StartsInPast => Self::invalid(detail, "leave --starts out to begin at approval"),
        }
    }
}

impl From<EditRefused> for Problem {
    fn from(refused: EditRefused) -> Self {
        match refused {
            EditRefused::NotOwn => {
                Self::forbidden(refused.to_string(), "deny it with a note that says what to ask for instead")
            }
            EditRefused::NotPending(state) => ApprovalRefused::NotPending(state).into(),
            EditRefused::Refused(refused) => refused.into(),
        }
    }
}

impl From<ReviewRefused> for Problem {
    fn from(refused: ReviewRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            ReviewRefused::Own | ReviewRefused::NotReviewer(_) => {
                Self::forbidden(detail, "one of the scope's approvers has to close it")
            }
            ReviewRefused::Closed(_) => Self::conflict(detail, "there is nothing left to do"),
            ReviewRefused::NoNote => Self::invalid(detail, "say it: --note TEXT"),
        }
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        let detail = error.to_string();
        match error {
            DeskError::NoScope(_) => Self::not_found(detail, "see `pgward scopes` for those that you may ask for"),
            DeskError::TooMany(_) => {
                Self { hint: Some("withdraw one with `pgward withdraw`".to_owned()), ..Self::too_many(detail, 60) }
            }
            DeskError::Text { .. } => Self::invalid(detail, "leave out what it cannot hold, or say it in fewer words"),
            DeskError::Refused(refused) => refused.into(),
            DeskError::NotApproved(refused) => refused.into(),
            DeskError::NotEdited(refused) => refused.into(),
            DeskError::NotReviewed(refused) => refused.into(),
            DeskError::NotWithdrawn(WithdrawalRefused::NotPending(state)) => ApprovalRefused::NotPending(state).into(),
            DeskError::NotWithdrawn(WithdrawalRefused::NotOwn) => {
                Self::forbidden(detail, "an approver may refuse it: pgward deny REQUEST --note TEXT")
            }
            DeskError::NotOffered { request, .. } => {
                Self::conflict(detail, format!("refuse it: pgward deny {request} --note TEXT"))
            }
            DeskError::NotYours => {
                Self::forbidden(detail, "see `pgward grants`; ask for another with `pgward request`")
            }
            DeskError::NotAnalysed(NotAnalysed::Never { hint, .. }) => {
                Self::invalid(detail, hint.unwrap_or_else(|| "see `pgward explain` and `pgward scopes`".to_owned()))
            }
            DeskError::NotAnalysed(NotAnalysed::NotNow(_)) => Self::unavailable(detail, "try again in a moment"),
            DeskError::Store(error) => error.into(),
            DeskError::Journal(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "the journal could not be read");
        match error {
            ReadError::Io(_) => Self::unavailable("the audit journal cannot be read", "ask who runs pgward"),
            ReadError::Damaged { .. } => {
                Self::unavailable(error.to_string(), "run `pgward audit verify`, and tell who runs pgward")
            }
        }
    }
}

impl From<ExplainError> for Problem {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::NoDatabase(_) => Self::not_found(error.to_string(), "the databases stand in /v1/whoami"),
            ExplainError::NotReady(_) => {
                Self::unavailable(error.to_string(), "try again when pgward has reached the upstream")
            }
            ExplainError::Failed(_) => Self::invalid(error.to_string(), "check the statement"),
        }
    }
}
