//! Messages after Standard Webhooks: one signed POST each. The timestamp in the body is the event's, that of the signature the
//! delivery's.

use serde::Serialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use super::notice::{Asked, Notice};
use crate::access::Secret;
use crate::sinks::http::{Target, send};
use crate::sinks::receiver::{Delivered, DeliveryError};
use crate::tls::PemFile as Pem;

/// The endpoint and the key that it knows us by.
pub(super) struct Hook {
    target: Target,
    key: standardwebhooks::Webhook,
}

#[derive(Serialize)]
struct Message<'a> {
    /// `pgward.request_filed`
    #[serde(rename = "type")]
    kind: String,
    timestamp: jiff::Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    journal: &'a str,
    seq: u64,
    event: &'a str,
    #[serde(flatten)]
    about: About<'a>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    asked: Option<Terms>,
    link: &'a str,
}

#[derive(Serialize)]
struct About<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    approvers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Terms {
    duration_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    requirements: Vec<crate::access::Requirement>,
    expires_at: jiff::Timestamp,
}

impl Hook {
    pub(super) fn new(url: &str, secret: &Secret, ca: Option<&Pem>, allow_private: bool) -> Result<Self, String> {
        let target = Target::new(url, ca, allow_private)?;
        let key = standardwebhooks::Webhook::new(secret.expose());
        let key = key.map_err(|_| "the secret is not base64, as `whsec_…` is".to_owned())?;
        Ok(Self { target, key })
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<Delivered, DeliveryError> {
        let failed = |error: String| DeliveryError::Failed(error);
        let body = serde_json::to_vec(&message(notice)).map_err(|error| failed(error.to_string()))?;
        // The same for the same record, so that a receiver knows a second try.
        let id = format!("ntf_{}_{}", notice.journal, notice.seq);
        let now = jiff::Timestamp::now().as_second();
        let signature = self.key.sign(&id, now, &body).map_err(|error| failed(format!("signing: {error}")))?;
        let request = self
            .target
            .post(body)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, now.to_string())
            .header(HEADER_WEBHOOK_SIGNATURE, signature);
        send(request).await?;
        Ok(Delivered::All)
    }
}

/// The body of a message.
pub(super) fn message(notice: &Notice) -> impl Serialize {
    let about = About {
        principal: notice.principal.as_deref(),
        database: notice.database.as_deref(),
        scope: notice.scope.as_deref(),
        request: notice.request.as_deref(),
        grant: notice.grant.as_deref(),
        reason: notice.reason.as_deref(),
        ticket: notice.ticket.as_deref(),
        statement: notice.statement.as_deref(),
        approvers: &notice.approvers,
        rule: notice.rule.as_deref(),
        detail: notice.detail.as_deref(),
    };
    let (event, asked) = (notice.event.as_str(), notice.asked.as_ref().map(terms));
    let data = Data {
        title: &notice.title,
        journal: &notice.journal,
        seq: notice.seq,
        event,
        about,
        asked,
        link: &notice.link,
    };
    Message { kind: format!("pgward.{event}"), timestamp: notice.time, data }
}

fn terms(asked: &Asked) -> Terms {
    Terms {
        duration_seconds: asked.duration_seconds,
        starts: asked.starts,
        uses: asked.uses,
        labels: asked.labels.clone(),
        requirements: asked.requirements.clone(),
        expires_at: asked.expires_at,
    }
}
