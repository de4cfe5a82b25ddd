//! Messages as Slack's Incoming Webhooks take them, and what is compatible with those. Whatever others wrote stands in code
//! spans, with `& < >` escaped and backticks replaced: there nothing is a mention, a link or a font.

use serde_json::{Value, json};

use super::notice::Notice;
use crate::access::Secret;
use crate::sinks::http::{Target, send};
use crate::sinks::receiver::{Delivered, DeliveryError};
use crate::tls::PemFile as Pem;

/// Slack takes 3000 characters in a section; escaped ones count as what they became.
const LONGEST_SECTION: usize = 2900;
/// Of one value, escaped.
const LONGEST_VALUE: usize = 600;

/// The channel that messages go to.
pub(super) struct Workspace {
    target: Target,
}

impl Workspace {
    pub(super) fn new(url: &Secret, ca: Option<&Pem>, allow_private: bool) -> Result<Self, String> {
        Ok(Self { target: Target::new(url.expose(), ca, allow_private)? })
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<Delivered, DeliveryError> {
        let body = body(notice).to_string().into_bytes();
        send(self.target.post(body).header(reqwest::header::CONTENT_TYPE, "application/json")).await?;
        Ok(Delivered::All)
    }
}

/// `text` says all of it too, for what shows no blocks.
pub(super) fn body(notice: &Notice) -> Value {
    let facts = facts(notice);
    let link = format!("<{}|{}>", escaped(&notice.link, LONGEST_SECTION), action(notice));
    let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}});
    let title = format!("pgward: {}", notice.title);
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": title, "emoji": false}}),
        section(facts.clone()),
    ];
    let statement =
        notice.statement.as_deref().map(|statement| format!("```\n{}\n```", span(statement, LONGEST_SECTION - 10)));
    blocks.extend(statement.clone().map(section));
    blocks.push(section(link.clone()));
    let text: Vec<String> =
        [Some(format!("*{title}*")), Some(facts), statement, Some(link)].into_iter().flatten().collect();
    json!({"text": text.join("\n"), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// One line for each.
fn facts(notice: &Notice) -> String {
    let line = |(label, value): (&str, String)| format!("*{label}:* `{}`", span(&value, LONGEST_VALUE));
    let mut text = String::new();
    for line in notice.facts().into_iter().map(line) {
        // Never half a span.
        if text.chars().count() + line.chars().count() >= LONGEST_SECTION {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

fn action(notice: &Notice) -> &'static str {
    if notice.request.is_some() { "Review the request" } else { "Open pgward" }
}

/// What may stand between backticks.
fn span(text: &str, limit: usize) -> String {
    escaped(&text.replace('`', "'"), limit)
}

/// With Slack's three characters escaped, and cut to so many of what comes of it.
fn escaped(text: &str, limit: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for c in text.chars() {
        let mut one = [0; 4];
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            other => other.encode_utf8(&mut one),
        };
        length += piece.chars().count();
        if length >= limit {
            escaped.push('…');
            return escaped;
        }
        escaped.push_str(piece);
    }
    escaped
}
