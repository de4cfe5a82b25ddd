//! The bytes of an e-mail (RFC 5322, 2045, 2047): plain text in UTF-8, carried as base64, so that no line is too long and none
//! begins with a dot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// Bytes of text in one line of base64: 76 characters.
const LINE: usize = 57;
/// Bytes of text in one encoded word: a line with one is 76 characters at most.
const WORD: usize = 39;

/// An e-mail to one address. The addresses are what [`crate::config`] takes for one: ASCII without spaces or controls.
#[derive(Clone, Debug)]
pub(super) struct Mail<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub subject: &'a str,
    /// Lines that end with `\n`.
    pub text: &'a str,
    /// The same each time that it is sent.
    pub id: &'a str,
    pub date: Timestamp,
}

impl Mail<'_> {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        let date = self.date.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let mut mail = String::new();
        for (name, value) in [
            ("From", format!("pgward <{}>", self.from)),
            ("To", format!("<{}>", self.to)),
            ("Subject", header(self.subject)),
            ("Date", date.to_string()),
            ("Message-ID", format!("<{}@{domain}>", self.id)),
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("MIME-Version", "1.0".to_owned()),
            ("Content-Type", "text/plain; charset=utf-8".to_owned()),
            ("Content-Transfer-Encoding", "base64".to_owned()),
        ] {
            mail.push_str(&format!("{name}: {value}\r\n"));
        }
        mail.push_str("\r\n");
        // Text of MIME has CRLF inside of its encoding too.
        for line in self.text.replace('\n', "\r\n").as_bytes().chunks(LINE) {
            mail.push_str(&STANDARD.encode(line));
            mail.push_str("\r\n");
        }
        mail.into_bytes()
    }
}

/// A text as a header's value: as it is where it is short and plain, else in encoded words, in which nothing can end a line.
fn header(text: &str) -> String {
    let is_plain = text.len() <= 60 && text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !text.contains("=?");
    if is_plain {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        // A character is never in two words.
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded: Vec<String> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    encoded.join("\r\n ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mail(subject: &str, text: &str) -> String {
        let date = "2026-11-23T12:00:00Z".parse().unwrap();
        let mail = Mail { from: "pgward@a.example", to: "bob@b.example", subject, text, id: "ntf-j-7", date };
        String::from_utf8(mail.bytes()).unwrap()
    }

    #[test]
    fn a_plain_subject_stays_as_it_is() {
        let bytes = mail("Access requested: carol", "hello\n");
        assert!(bytes.contains("\r\nSubject: Access requested: carol\r\n"), "{bytes}");
        assert!(bytes.contains("\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"), "{bytes}");
        assert!(bytes.contains("\r\nMessage-ID: <ntf-j-7@a.example>\r\n"), "{bytes}");
        assert!(bytes.ends_with(&format!("\r\n\r\n{}\r\n", STANDARD.encode("hello\r\n"))), "{bytes}");
    }

    #[test]
    fn no_subject_begins_another_header() {
        for subject in
            ["x\r\nBcc: eve@evil.example", "x\nBcc: eve@evil.example", "=?UTF-8?Q?x=0D=0ABcc:_eve?=", "Jürgen"]
        {
            let bytes = mail(subject, "");
            let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split(':').next().unwrap())
                .collect();
            let expected = [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "Auto-Submitted",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
            ];
            assert_eq!(names, expected, "{bytes}");
            assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{bytes}");
        }
    }

    #[test]
    fn lines_are_short_and_whole_characters_are_encoded() {
        let long = "ß好".repeat(60);
        let bytes = mail(&long, &long);
        assert!(bytes.split("\r\n").all(|line| line.len() <= 76), "{bytes}");
        for word in bytes.split("=?UTF-8?B?").skip(1) {
            String::from_utf8(STANDARD.decode(word.split("?=").next().unwrap()).unwrap()).unwrap();
        }
    }
}
