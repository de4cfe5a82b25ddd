//! Texts that others wrote, made harmless: nothing in them ends a line, turns the direction of reading, hides, or means
//! something to who shows them.

/// One line of at most so many characters.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    cut(text.chars().map(|c| if is_break(c) || c == '\t' { ' ' } else { visible(c) }), limit)
}

/// Lines as they are, of at most so many characters in all.
pub(super) fn lines(text: &str, limit: usize) -> String {
    let unified = text.replace("\r\n", "\n");
    cut(
        unified.chars().map(|c| {
            if c == '\t' {
                c
            } else if is_break(c) {
                '\n'
            } else {
                visible(c)
            }
        }),
        limit,
    )
}

fn cut(characters: impl Iterator<Item = char>, limit: usize) -> String {
    let mut characters = characters.peekable();
    let mut kept: String = characters.by_ref().take(limit).collect();
    if characters.peek().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The character, or a sign that something stood there: controls, and what turns text around or has no width.
fn visible(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let hides = matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}');
    if c.is_control() || turns || hides { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_turns_it_or_hides() {
        let check = |text: &str, line: &str, several: &str| {
            assert_eq!((one_line(text, 40).as_str(), lines(text, 40).as_str()), (line, several), "{text:?}");
        };
        check("plain", "plain", "plain");
        check("a\r\nBcc: x", "a  Bcc: x", "a\nBcc: x");
        check("a\u{2028}b\u{85}c\td", "a b c d", "a\nb\nc\td");
        check("a\0b\u{1b}[31m", "a\u{fffd}b\u{fffd}[31m", "a\u{fffd}b\u{fffd}[31m");
        check("x\u{202e}y\u{200b}z", "x\u{fffd}y\u{fffd}z", "x\u{fffd}y\u{fffd}z");
        check("Jürgen 好", "Jürgen 好", "Jürgen 好");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(one_line("12345", 5), "12345");
        assert_eq!(one_line("123456", 5), "1234…");
    }
}
