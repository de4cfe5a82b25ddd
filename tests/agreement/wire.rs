//! A blocking connection that speaks just enough of the protocol to ask PostgreSQL about hundreds of statements in one
//! round trip: simple queries, pipelined, each answered by its SQLSTATE.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What came of one message.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// SQLSTATE and message of the error, if there was one.
    pub error: Option<(String, String)>,
    /// Rows, each as its columns' texts; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// The transaction's state afterwards: `I`, `T` or `E`.
    pub state: u8,
}

pub struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    read: usize,
}

/// One message to the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Query(String),
    /// Sent after a COPY … FROM STDIN: the server ignores it if the COPY failed already.
    CopyFail,
}

impl Connection {
    /// Connects over the server's socket; whoever may log in without a password.
    pub fn open(directory: &Path, port: u16, user: &str, database: &str) -> Self {
        let stream = UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).expect("the server's socket");
        let mut connection = Self { stream, input: Vec::new(), read: 0 };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", database, "application_name", "agreement"] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        let mut startup = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
        startup.extend(body);
        connection.stream.write_all(&startup).unwrap();
        let answer = connection.answer();
        assert!(answer.error.is_none(), "{user} cannot log in: {answer:?}");
        connection
    }

    /// Runs one text that must not fail.
    pub fn run(&mut self, text: &str) -> Answer {
        let answer = self.ask(&[Message::Query(text.to_owned())]).remove(0);
        assert!(answer.error.is_none(), "{text}: {:?}", answer.error);
        answer
    }

    /// Sends all messages at once and collects one answer for each query among them.
    pub fn ask(&mut self, messages: &[Message]) -> Vec<Answer> {
        let (mut out, mut queries) = (Vec::new(), 0);
        for message in messages {
            let (tag, text) = match message {
                Message::Query(text) => (b'Q', text.as_str()),
                Message::CopyFail => (b'f', "not meant"),
            };
            queries += usize::from(tag == b'Q');
            let clean: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
            out.push(tag);
            out.extend(u32::try_from(clean.len() + 5).unwrap().to_be_bytes());
            out.extend(clean);
            out.push(0);
        }
        // Less than the socket's buffer, so that both sides never wait to write.
        assert!(out.len() < 150_000, "too much for one round trip");
        self.stream.write_all(&out).unwrap();
        (0..queries).map(|_| self.answer()).collect()
    }

    fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        loop {
            let (tag, body) = self.message();
            match tag {
                b'E' => answer.error = Some((field(&body, b'C'), field(&body, b'M'))),
                b'D' => answer.rows.push(columns(&body)),
                b'Z' => {
                    answer.state = body.first().copied().unwrap_or(b'?');
                    return answer;
                }
                _of_no_interest => {}
            }
        }
    }

    fn message(&mut self) -> (u8, Vec<u8>) {
        loop {
            let have = &self.input[self.read..];
            if have.len() >= 5 {
                let length = u32::from_be_bytes([have[1], have[2], have[3], have[4]]) as usize;
                if have.len() > length {
                    let (tag, body) = (have[0], have[5..=length].to_vec());
                    self.read += length + 1;
                    return (tag, body);
                }
            }
            self.input.drain(..self.read);
            self.read = 0;
            let mut chunk = [0; 65_536];
            let count = self.stream.read(&mut chunk).expect("the server's answer");
            assert!(count > 0, "the server closed the connection");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }
}

fn field(body: &[u8], wanted: u8) -> String {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&wanted))
        .map_or_else(String::new, |field| String::from_utf8_lossy(&field[1..]).into_owned())
}

fn columns(body: &[u8]) -> Vec<Option<String>> {
    let (mut found, mut rest) = (Vec::new(), &body[2..]);
    while rest.len() >= 4 {
        let length = i32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            found.push(None);
            continue;
        };
        found.push(Some(String::from_utf8_lossy(&rest[..length]).into_owned()));
        rest = &rest[length..];
    }
    found
}
