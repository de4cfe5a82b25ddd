//! A look at a text's tokens, as far as rules speak of its syntax.

use crate::mutate::tokens;

/// The words and symbols of a text in upper case, with the depth of parentheses that each stands at.
fn words(text: &str) -> Vec<(String, usize)> {
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    for token in tokens(text) {
        match token.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !token.trim().is_empty() {
            found.push((token.to_ascii_uppercase(), depth));
        }
    }
    found
}

/// `a JOIN b JOIN c ON … ON …`: a join whose right side is a join without parentheses.
pub fn joins_nest(text: &str) -> bool {
    let words = words(text);
    let plain = |index: usize| {
        let before = index.checked_sub(1).map_or("", |before| words[before].0.as_str());
        words[index].0 == "JOIN" && before != "CROSS" && !natural(&words, index)
    };
    (0..words.len()).filter(|index| plain(*index)).any(|index| {
        let depth = words[index].1;
        let ahead = words[index + 1..].iter().filter(|(_, at)| *at <= depth);
        let mut ahead = ahead.take_while(|(_, at)| *at == depth);
        ahead.find(|(word, _)| matches!(word.as_str(), "ON" | "USING" | "JOIN")).is_some_and(|(word, _)| word == "JOIN")
    })
}

/// NATURAL [LEFT [OUTER]] JOIN.
fn natural(words: &[(String, usize)], join: usize) -> bool {
    (1..=3).any(|back| join.checked_sub(back).is_some_and(|at| words[at].0 == "NATURAL"))
}

/// `FROM t * …`.
pub fn has_star_after_table(text: &str) -> bool {
    let words = words(text);
    words.windows(3).any(|three| {
        let opens =
            matches!(three[0].0.as_str(), "FROM" | "JOIN" | "USING" | "UPDATE" | "INTO" | "," | "." | "(" | "/" | "&");
        let ends = !matches!(three[2].0.as_str(), "(");
        opens
            && three[1].0.starts_with(|c: char| c.is_alphabetic() || c == '"' || c == '&')
            && three[2].0 == "*"
            && ends
    })
}

/// A reserved word as a label of a select list without AS.
pub fn has_reserved_label(text: &str) -> bool {
    let words = words(text);
    let last = words.iter().rfind(|(word, _)| word != ";").is_some_and(|(word, _)| LABELS.contains(&word.as_str()));
    last || words.windows(2).any(|two| {
        LABELS.contains(&two[0].0.as_str())
            && matches!(
                two[1].0.as_str(),
                "FROM" | "," | "UNION" | "INTERSECT" | "EXCEPT" | "WHERE" | "ORDER" | "LIMIT"
            )
    })
}

const LABELS: &[&str] = &[
    "LATERAL", "NULL", "TRUE", "FALSE", "CASE", "WHEN", "SELECT", "ONLY", "SOME", "TABLE", "ELSE", "BOTH", "CHECK",
    "CAST", "COLLATE", "ANALYZE", "NATURAL", "JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "ALL",
    "BETWEEN", "AND", "OR", "NOT", "IS", "IN", "LIKE", "END", "THEN", "USING", "DISTINCT", "ANY",
];

/// `ANY ((SELECT …) UNION …)` and the like: an operand whose first query stands in parentheses of its own.
pub fn has_parenthesised_first_arm(text: &str) -> bool {
    let words = words(text);
    let opens = |index: usize| words.get(index).is_some_and(|(word, _)| word == "(");
    let query = |index: usize| {
        words.get(index).is_some_and(|(word, _)| matches!(word.as_str(), "SELECT" | "WITH" | "VALUES" | "TABLE" | "("))
    };
    (0..words.len()).filter(|index| opens(*index) && opens(index + 1) && query(index + 2)).any(|index| {
        let depth = words[index + 1].1;
        let end = (index + 2..words.len()).find(|at| words[*at].0 == ")" && words[*at].1 < depth);
        end.and_then(|end| words.get(end + 1)).is_some_and(|(word, _)| {
            matches!(word.as_str(), "UNION" | "INTERSECT" | "EXCEPT" | "LIMIT" | "OFFSET" | "ORDER" | "FETCH")
        })
    })
}

/// `ROWS (…) PRECEDING` and its kin.
pub fn has_frame_of_parentheses(text: &str) -> bool {
    let words = words(text);
    words.windows(2).any(|two| matches!(two[0].0.as_str(), "ROWS" | "RANGE" | "GROUPS" | "BETWEEN") && two[1].0 == "(")
}

/// INSERT INTO t VALUES or SELECT, anywhere: no list of columns.
pub fn has_bare_insert(text: &str) -> bool {
    let words = words(text);
    (0..words.len()).filter(|index| words[*index].0 == "INSERT").any(|index| {
        let rest = &words[index + 1..];
        let source =
            rest.iter().position(|(word, _)| matches!(word.as_str(), "(" | "VALUES" | "SELECT" | "WITH" | "TABLE"));
        source.is_some_and(|source| rest[source].0 != "(")
    })
}

/// The text without the tables of WITH that are named nowhere else in it; `None` where each is. Those that write stay.
pub fn without_unreferenced(text: &str) -> Option<String> {
    let mut tokens = tokens(text);
    let mut removed = false;
    let mut at = 0;
    while at < tokens.len() {
        if let Some(table) = table_of_with(&tokens, at)
            && table.reads
            && count(&tokens[..table.from], &table.name) + count(&tokens[table.to..], &table.name) == 0
        {
            tokens.drain(table.from..table.to);
            removed = true;
            // What only that one referred to is next.
            at = 0;
        } else {
            at += 1;
        }
    }
    removed.then(|| tokens.concat())
}

struct TableOfWith {
    name: String,
    /// Tokens, a comma on one side included.
    from: usize,
    to: usize,
    reads: bool,
}

/// The definition whose name stands at `at`.
fn table_of_with(tokens: &[String], at: usize) -> Option<TableOfWith> {
    let lower = |index: usize| tokens.get(index).map(|token| token.to_ascii_lowercase()).unwrap_or_default();
    let next = |index: usize| (index + 1..tokens.len()).find(|index| !tokens[*index].trim().is_empty());
    let before = (0..at).rev().find(|index| !tokens[*index].trim().is_empty())?;
    let opens = matches!(lower(before).as_str(), "with" | "recursive" | ",");
    let word = tokens.get(at)?.starts_with(|c: char| c.is_alphabetic() || c == '"');
    if !opens || !word {
        return None;
    }
    let mut here = next(at)?;
    if tokens[here] == "(" {
        here = next(closing(tokens, here)?)?;
    }
    if lower(here) != "as" {
        return None;
    }
    here = next(here)?;
    while matches!(lower(here).as_str(), "not" | "materialized") {
        here = next(here)?;
    }
    if tokens[here] != "(" {
        return None;
    }
    let reads = !matches!(lower(next(here)?).as_str(), "insert" | "update" | "delete");
    let end = closing(tokens, here)?;
    let name = lower(at);
    match next(end) {
        Some(comma) if tokens[comma] == "," => Some(TableOfWith { name, from: at, to: comma + 1, reads }),
        _ if lower(before) == "," => Some(TableOfWith { name, from: before, to: end + 1, reads }),
        // The only one: WITH and RECURSIVE go, too.
        _ => {
            let with = (0..=before).rev().find(|index| lower(*index) == "with")?;
            Some(TableOfWith { name, from: with, to: end + 1, reads })
        }
    }
}

fn closing(tokens: &[String], opening: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (opening..tokens.len()).find(|index| {
        match tokens[*index].as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

fn count(tokens: &[String], name: &str) -> usize {
    tokens.iter().filter(|token| token.to_ascii_lowercase().trim_matches('"') == name.trim_matches('"')).count()
}
