//! A collector of OpenTelemetry logs, over OTLP/HTTP with protobuf bodies.

mod attributes;

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use self::attributes::{any, attributes, text};
use super::http::{Target, body, send};
use super::receiver::{Delivered, DeliveryError, Receiver};
use super::settings::Otlp;
use crate::audit::{Entry, Event, RecordedVerdict};

/// The collector, and what every request to it says.
pub(super) struct Collector {
    target: Target,
    headers: HeaderMap,
    resource: Resource,
    journal: String,
}

/// The conventions that the attributes keep to.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

impl Collector {
    pub(super) fn new(settings: &Otlp, journal: String) -> Result<Self, String> {
        let target = Target::new(&settings.url, settings.ca.as_ref(), settings.allow_private)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("\"{name}\" is no header's name"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| format!("the value of the header {name} holds characters that no header may"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let resource = Resource {
            attributes: vec![
                text("service.name", "pgward"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", &settings.instance),
                text("pgward.journal", &journal),
            ],
            ..Resource::default()
        };
        Ok(Self { target, headers, resource, journal })
    }

    fn request(&self, entries: &[Entry]) -> ExportLogsServiceRequest {
        let scope = InstrumentationScope {
            name: "pgward.audit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let log_records = entries.iter().map(|entry| self.log_record(entry)).collect();
        let logs = ScopeLogs { scope: Some(scope), log_records, schema_url: SCHEMA.to_owned() };
        let resource = Some(self.resource.clone());
        let logs = ResourceLogs { resource, scope_logs: vec![logs], schema_url: SCHEMA.to_owned() };
        ExportLogsServiceRequest { resource_logs: vec![logs] }
    }

    fn log_record(&self, entry: &Entry) -> LogRecord {
        let record = &entry.record;
        let nanoseconds = u64::try_from(record.time.as_nanosecond()).unwrap_or_default();
        let (severity, severity_text) = severity(entry);
        let event = serde_json::to_value(record.event).ok();
        let event = event.as_ref().and_then(|event| event.as_str()).unwrap_or_default();
        LogRecord {
            time_unix_nano: nanoseconds,
            observed_time_unix_nano: nanoseconds,
            severity_number: severity.into(),
            severity_text: severity_text.to_owned(),
            body: Some(any(&String::from_utf8_lossy(&entry.canonical))),
            attributes: attributes(record, &self.journal),
            event_name: format!("pgward.{event}"),
            ..LogRecord::default()
        }
    }
}

fn severity(entry: &Entry) -> (SeverityNumber, &'static str) {
    let is_denial = entry.record.verdict == Some(RecordedVerdict::Deny)
        || matches!(entry.record.event, Event::LoginDenied | Event::StartupRefused | Event::ConfigRefused);
    if entry.record.event == Event::SinkState {
        (SeverityNumber::Error, "ERROR")
    } else if is_denial {
        (SeverityNumber::Warn, "WARN")
    } else {
        (SeverityNumber::Info, "INFO")
    }
}

#[async_trait::async_trait]
impl Receiver for Collector {
    async fn deliver(&mut self, entries: &[Entry]) -> Result<Delivered, DeliveryError> {
        let request = self
            .target
            .post(self.request(entries).encode_to_vec())
            .headers(self.headers.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/x-protobuf");
        let answer = body(send(request).await?).await?;
        // An empty answer is one without fields. One that is no answer came from something that is no collector.
        let answer = ExportLogsServiceResponse::decode(answer.as_slice())
            .map_err(|_| DeliveryError::Failed("what answered is no OTLP collector".to_owned()))?;
        match answer.partial_success {
            Some(partly) if partly.rejected_log_records > 0 => {
                let refused = u64::try_from(partly.rejected_log_records).unwrap_or_default();
                let why: String = partly.error_message.chars().filter(|c| !c.is_control()).take(200).collect();
                Ok(Delivered::AllBut(refused, why))
            }
            Some(_) | None => Ok(Delivered::All),
        }
    }
}
