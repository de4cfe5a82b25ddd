//! What is printed: data on stdout, messages on stderr. No colour. Nothing that a server or another user wrote can drive
//! the terminal: control characters are printed as escapes.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use super::failure::Failure;

/// Text with every character that a terminal would act on, or that hides or turns round what stands next to it, as an
/// escape; line ends and tabs stay.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => escaped.push(c),
            c if is_dangerous(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The same for one cell: line ends and tabs are escapes, too.
#[must_use]
pub fn escape_cell(text: &str) -> String {
    escape(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Control characters (C0, DEL, C1), and those that change the direction of text, have no width or no glyph of their own.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Prints one JSON document.
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    print(&(ascii_controls(&serde_json::to_string_pretty(value)?) + "\n"))
}

/// JSON with the characters that JSON itself lets stand but a terminal may act on as escapes: the same document.
#[must_use]
pub fn ascii_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => escaped.push(c),
            c if is_dangerous(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Prints text as it is.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// Prints a line for people.
pub fn say(line: &str) -> Result<(), Failure> {
    print(&format!("{}\n", escape(line)))
}

/// `1 row`, `2 rows`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Says on stderr what to do next.
pub fn hint(text: &str) {
    // Where stderr is gone there is nobody to tell.
    let _ = io::stderr().write_all(format!("hint: {}\n", escape(text)).as_bytes());
}

/// Says something on stderr.
pub fn notice(text: &str) {
    // As above.
    let _ = io::stderr().write_all(format!("{}\n", escape(text)).as_bytes());
}

/// Prints a table; an empty one says what there is none of.
pub fn table(what: &str, headers: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    if rows.is_empty() {
        notice(&format!("no {what}"));
        return Ok(());
    }
    let width = if io::stdout().is_terminal() { Table::new().width() } else { None };
    print(&(render(headers, rows, width) + "\n"))
}

/// On a terminal the last column, which holds what people wrote, is wrapped to its width; the others hold what is copied
/// into the next command, and stay whole. Elsewhere a row is a line.
fn render(headers: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).force_no_tty();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape_cell(cell)));
    }
    let last = headers.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2)).set_constraint(if index < last {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(LEAST_WIDTH))
        });
    }
    table.trim_fmt()
}

/// Columns that the wrapped text has at least.
const LEAST_WIDTH: u16 = 24;

/// Prints one thing as lines of name and value.
pub fn fields(fields: &[(&str, String)]) -> Result<(), Failure> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = fields.iter().map(|(name, value)| {
        let value = escape(value).replace('\n', &format!("\n{:width$}  ", ""));
        format!("{name:width$}  {value}\n")
    });
    print(&lines.collect::<String>())
}

/// A time to the second, in UTC.
#[must_use]
pub fn time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(escape_cell(text), expected);
        check("plain é 漢", "plain é 漢");
        check("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}");
        check("a\nb\tc\rd", "a\\nb\\tc\\u{d}d");
        check("\u{9b}31m", "\\u{9b}31m");
        check("\u{202e}txt", "\\u{202e}txt");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "text": "\u{9b}31m \u{202e} \u{1b} é \u{e0041} \u{61c}" });
        let printed = ascii_controls(&value.to_string());
        assert!(!printed.chars().any(is_dangerous));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).ok(), Some(value));
    }

    #[test]
    fn off_a_terminal_each_row_is_one_line() {
        let rows = vec![vec!["req_1".to_owned(), "x".repeat(300)], vec!["req_2".to_owned(), "a\nb".to_owned()]];
        let text = render(&["id", "reason"], rows, None);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("ID"));
    }

    #[test]
    fn on_a_terminal_ids_stay_whole() {
        let id = "req_0123456789abcdef0123456789abcdef";
        let text = render(&["id", "reason"], vec![vec![id.to_owned(), "word ".repeat(30)]], Some(70));
        assert!(text.contains(id), "{text}");
        assert!(text.lines().count() > 3 && text.lines().all(|line| line.chars().count() <= 70), "{text}");
    }
}
