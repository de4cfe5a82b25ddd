//! `[unusual]`: what is told, held or ended when a principal does what it never did.

use super::reader::Table;
use crate::unusual::{Action, Rule, Settings};

/// `None` where nothing is looked for.
pub(super) fn unusual(root: &Table<'_>) -> Option<Settings> {
    let table = root.table("unusual")?;
    let rules = Rule::ALL.map(Rule::as_str);
    table.allow(&[["learn", "remember", "quiet"].as_slice(), &rules].concat());
    let mut settings = Settings::default();
    let set = |key: &str, to: &mut std::time::Duration, table: &Table<'_>| {
        *to = table.duration(key).unwrap_or(*to);
    };
    set("learn", &mut settings.learn, &table);
    set("remember", &mut settings.remember, &table);
    set("quiet", &mut settings.quiet, &table);
    if settings.remember < settings.learn {
        table.refuse("remember", "is shorter than learn: nobody would ever be known");
    }
    for rule in Rule::ALL {
        let Some(one) = table.table(rule.as_str()) else { continue };
        one.allow(keys(rule));
        let action = one.text("action").and_then(|text| text.choose(&ACTIONS)).unwrap_or_default();
        match rule {
            Rule::FirstRelation => settings.first_relation = action,
            Rule::ManyRows => {
                settings.many_rows = action;
                settings.rows_factor = one.integer("factor", 2, 1_000_000).unwrap_or(settings.rows_factor);
                settings.rows_floor = one.integer("floor", 1, u64::from(u32::MAX)).unwrap_or(settings.rows_floor);
            }
            Rule::OddHour => settings.odd_hour = action,
            Rule::NewNetwork => settings.new_network = action,
            Rule::DenialBurst => {
                settings.denial_burst = action;
                let count = one.integer("count", 2, 10_000).and_then(|count| u32::try_from(count).ok());
                settings.denials = count.unwrap_or(settings.denials);
                set("within", &mut settings.denials_within, &one);
            }
            Rule::IdleGrant => {
                settings.idle_grant = action;
                set("after", &mut settings.idle, &one);
            }
        }
    }
    Some(settings)
}

const ACTIONS: [(&str, Action); 4] =
    [("off", Action::Off), ("report", Action::Report), ("hold", Action::Hold), ("end", Action::End)];

fn keys(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::FirstRelation | Rule::OddHour | Rule::NewNetwork => &["action"],
        Rule::ManyRows => &["action", "factor", "floor"],
        Rule::DenialBurst => &["action", "count", "within"],
        Rule::IdleGrant => &["action", "after"],
    }
}
