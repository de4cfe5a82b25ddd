//! `break-glass`, `reviews`, `review`.

use super::or_dash;
use super::requests::print;
use crate::cli::args::{BreakGlassArguments, Format};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::control::api::{Emergency, Findings, RequestView, ReviewFilter, ReviewView};

pub async fn open(client: &Client, format: Format, arguments: BreakGlassArguments) -> Result<(), Failure> {
    let BreakGlassArguments { scope, duration, reason, ticket } = arguments;
    let emergency = Emergency { scope, duration_seconds: duration.as_secs(), reason, ticket };
    let opened: RequestView = client.post(&["break-glass"], &emergency).await?;
    print(format, &opened)
}

pub async fn list(client: &Client, format: Format, all: bool) -> Result<(), Failure> {
    let reviews: Vec<ReviewView> = client.get(&["reviews"], &ReviewFilter { all }).await?;
    match format {
        Format::Json => output::json(&reviews),
        Format::Table => {
            let headers = ["grant", "principal", "scope", "opened", "review", "due", "reason", "found"];
            output::table("reviews", &headers, reviews.into_iter().map(row).collect())
        }
    }
}

fn row(review: ReviewView) -> Vec<String> {
    let state = match &review.closed {
        Some(closed) => format!("closed by {}", closed.by),
        None if review.overdue => "overdue".to_owned(),
        None => "open".to_owned(),
    };
    vec![
        review.grant.id,
        review.grant.principal,
        review.grant.scope,
        output::time(review.grant.not_before),
        state,
        output::time(review.due),
        review.grant.reason,
        or_dash(review.closed.as_ref().map(|closed| closed.note.as_str())),
    ]
}

pub async fn close(client: &Client, format: Format, grant: &str, note: String) -> Result<(), Failure> {
    let review: ReviewView = client.post(&["reviews", grant, "close"], &Findings { note }).await?;
    match format {
        Format::Json => output::json(&review),
        Format::Table => output::say(&format!("the review of grant {grant} is closed")),
    }
}
