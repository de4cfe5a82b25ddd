//! An endpoint after Standard Webhooks: one signed POST for each batch; an answer of the 200s acknowledges it, 410 ends it.

use serde_json::value::RawValue;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};

use super::http::{Target, send};
use super::receiver::{Delivered, DeliveryError, Receiver};
use super::settings::{Body, Webhook};
use crate::audit::{Entry, export::ocsf};

/// The endpoint and the key that it knows us by.
pub(super) struct Endpoint {
    target: Target,
    key: standardwebhooks::Webhook,
    journal: String,
    body: Body,
}

/// What is sent.
#[derive(serde::Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it was sent.
    timestamp: jiff::Timestamp,
    data: Data<'a>,
}

#[derive(serde::Serialize)]
struct Data<'a> {
    journal: &'a str,
    first_seq: u64,
    last_seq: u64,
    format: &'static str,
    records: Vec<Box<RawValue>>,
}

impl Endpoint {
    pub(super) fn new(settings: &Webhook, journal: String) -> Result<Self, String> {
        let target = Target::new(&settings.url, settings.ca.as_ref(), settings.allow_private)?;
        let key = standardwebhooks::Webhook::new(settings.secret.expose());
        let key = key.map_err(|_| "the secret is not base64, as `whsec_…` is".to_owned())?;
        Ok(Self { target, key, journal, body: settings.body })
    }

    fn message(&self, entries: &[Entry], now: jiff::Timestamp) -> std::io::Result<Vec<u8>> {
        let records: std::io::Result<Vec<Box<RawValue>>> = entries.iter().map(|entry| self.record(entry)).collect();
        let seq = |entry: Option<&Entry>| entry.map(|entry| entry.record.seq).unwrap_or_default();
        let format = match self.body {
            Body::Jsonl => "jsonl",
            Body::Ocsf => "ocsf",
        };
        let data = Data {
            journal: &self.journal,
            first_seq: seq(entries.first()),
            last_seq: seq(entries.last()),
            format,
            records: records?,
        };
        let message = Message { kind: "pgward.audit.records", timestamp: now, data };
        serde_json::to_vec(&message).map_err(std::io::Error::from)
    }

    fn record(&self, entry: &Entry) -> std::io::Result<Box<RawValue>> {
        let bytes = match self.body {
            Body::Jsonl => entry.canonical.clone(),
            Body::Ocsf => ocsf::event(entry, Some(&self.journal))?,
        };
        let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
        Ok(RawValue::from_string(text)?)
    }
}

#[async_trait::async_trait]
impl Receiver for Endpoint {
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(Delivered::All) };
        let failed = |error: String| DeliveryError::Failed(error);
        let now = jiff::Timestamp::now();
        let body = self.message(entries, now).map_err(|error| failed(error.to_string()))?;
        // The same for the same records, so that a receiver knows a second try.
        let id = format!("msg_{}_{}_{}", self.journal, first.record.seq, last.record.seq);
        let signature =
            self.key.sign(&id, now.as_second(), &body).map_err(|error| failed(format!("signing: {error}")))?;
        let request = self
            .target
            .post(body)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, id)
            .header(HEADER_WEBHOOK_TIMESTAMP, now.as_second().to_string())
            .header(HEADER_WEBHOOK_SIGNATURE, signature);
        send(request).await?;
        Ok(Delivered::All)
    }
}
