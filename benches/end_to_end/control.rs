//! pgward's control port over HTTPS, on a connection that stays, so that no time of a process start or a handshake is in
//! what is measured.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::pgward::Pgward;

#[derive(Debug)]
pub struct Control {
    http: reqwest::Client,
    url: String,
}

impl Control {
    /// # Errors
    /// Where the authority's certificate is not there.
    pub fn new(pgward: &Pgward) -> Result<Self> {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(pgward.stage.path("certs/ca.crt"))?)?;
        let http = reqwest::Client::builder().https_only(true).no_proxy().tls_certs_only([authority]).build()?;
        Ok(Self { http, url: format!("https://127.0.0.1:{}/v1", pgward.control) })
    }

    /// # Errors
    /// Where the answer is an error.
    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Result<Value> {
        let call = self.http.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        let answer = call.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// # Errors
    /// Where the answer is an error.
    pub async fn get(&self, token: &str, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).with_context(|| text.clone())
    }

    /// Has somebody ask and somebody else approve; answers the grant's id.
    ///
    /// # Errors
    /// Where either is refused.
    pub async fn grant(&self, asks: &str, approves: &str) -> Result<String> {
        let wanted = json!({ "scope": "bench", "duration_seconds": 14_400, "reason": "a benchmark" });
        let request = text(&self.post(asks, "/requests", &wanted).await?, "id")?;
        self.post(approves, &format!("/requests/{request}/approve"), &json!({})).await?;
        let grants = self.get(asks, "/grants").await?;
        let list = grants.as_array().or_else(|| grants.get("grants").and_then(Value::as_array));
        let of_request = |grant: &&Value| grant.get("request").and_then(Value::as_str) == Some(request.as_str());
        text(list.and_then(|list| list.iter().find(of_request)).context("the grant is not listed")?, "id")
    }
}

/// # Errors
/// Where there is no such field.
pub fn text(value: &Value, field: &str) -> Result<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {field} in {value}"))
}
