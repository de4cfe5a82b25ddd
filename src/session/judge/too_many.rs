//! Refusals of a session that holds as much as it may.

use super::Judge;
use crate::policy::{Denial, Rule};
use crate::session::bounds::Bound;
use crate::session::names::TooMany;

impl Judge {
    /// The denial of a name too many, counted.
    pub fn too_many(&self, too_many: TooMany) -> Denial {
        let bound = match too_many {
            TooMany::Statements(_) => Some(Bound::PreparedStatements),
            TooMany::Portals(_) => Some(Bound::Portals),
            TooMany::Pending(_) => None,
        };
        if let Some(bound) = bound {
            self.metrics.count_bound(bound);
        }
        denial(too_many)
    }
}

fn denial(too_many: TooMany) -> Denial {
    let (message, detail, hint) = match too_many {
        TooMany::Statements(most) => (
            "too many prepared statements",
            format!("This session holds {most}, as many as max_prepared_statements allows."),
            "DEALLOCATE those that are no longer needed, or prepare without a name.",
        ),
        TooMany::Portals(most) => (
            "too many portals and cursors",
            format!("This session holds {most}, as many as max_portals allows."),
            "CLOSE those that are no longer needed, end the transaction, or bind without a name.",
        ),
        TooMany::Pending(most) => (
            "too many messages that give one name a meaning",
            format!("{most} of them wait for their answers."),
            "Send this again after the answers to those messages.",
        ),
    };
    Denial { rule: Rule::Limit, message: message.to_owned(), detail, hint: Some(hint.to_owned()) }
}
