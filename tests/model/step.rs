//! What a client says: one message, several that belong together, what is sent before it waits, and a whole script.

use std::fmt;

use bytes::{BufMut, Bytes};
use pgward::wire::encode;

use crate::bench::{close, copy_data, cstr, describe, execute, message, plain};

/// One message, with what the test knows of its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Query(Vec<Text>),
    Parse {
        name: &'static str,
        texts: Vec<Text>,
    },
    Bind {
        portal: &'static str,
        statement: &'static str,
        values: Vec<String>,
        binary: bool,
    },
    Describe(u8, &'static str),
    Execute {
        portal: &'static str,
        rows: u32,
    },
    Close(u8, &'static str),
    Flush,
    Sync,
    CopyData(&'static str),
    CopyDone,
    CopyFail,
    /// The message FunctionCall, of a function that there is not.
    Call,
    /// What stands in for a denied step on the plain server; the same as the step in all but that it fails there.
    Failing(Failing),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Failing {
    Query(Vec<String>),
    Parse(&'static str),
    Bind,
    Execute,
    /// Of a portal that there is not.
    Describe,
}

/// One statement, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub sql: String,
    pub denied: Denied,
    /// Names that it gives: a prepared statement's, a cursor's.
    pub gives: Option<Name>,
    /// Names that it runs something by.
    pub uses: Option<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Name {
    Statement(&'static str),
    Portal(&'static str),
}

/// Whether pgward has to refuse a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Denied {
    #[default]
    Never,
    Always,
    /// It touches what may be used only while a second grant lives.
    WithoutExtra,
}

/// Messages that make sense together only; the unit that a script is reduced by.
pub type Unit = Vec<Step>;

/// What is sent before the client waits for all answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Burst {
    pub units: Vec<Unit>,
    /// Whether the second grant lives.
    pub extra: bool,
    /// Where the bytes are cut into pieces, as fractions of the whole, and whether there is a pause behind each.
    pub cuts: Vec<(f64, bool)>,
}

pub type Script = Vec<Burst>;

impl Text {
    pub fn of(sql: &str) -> Self {
        Self { sql: sql.to_owned(), ..Self::default() }
    }
}

impl Step {
    pub fn bytes(&self) -> Bytes {
        match self {
            Step::Query(texts) => encode::query(&joined(texts)),
            Step::Parse { name, texts } => encode::parse(name, &joined(texts)),
            Step::Bind { portal, statement, values, binary } => bind(portal, statement, values, *binary),
            Step::Describe(kind, name) => describe(*kind, name),
            Step::Execute { portal, rows } => execute(portal, *rows),
            Step::Close(kind, name) => close(*kind, name),
            Step::Flush => plain(b'H'),
            Step::Sync => encode::sync(),
            Step::CopyData(data) => copy_data(data.as_bytes()),
            Step::CopyDone => plain(b'c'),
            Step::CopyFail => message(b'f', |body| cstr(body, "the client gave up")),
            Step::Call => message(b'F', |body| {
                body.put_u32(0);
                [0_u16, 0, 0].into_iter().for_each(|count| body.put_u16(count));
            }),
            Step::Failing(failing) => failing.bytes(),
        }
    }

    /// The statements whose text it carries.
    pub fn texts(&self) -> &[Text] {
        match self {
            Step::Query(texts) | Step::Parse { texts, .. } => texts,
            _ => &[],
        }
    }

    /// The name that it may give a meaning by itself.
    pub fn gives(&self) -> Option<Name> {
        match self {
            Step::Parse { name, .. } => Some(Name::Statement(name)),
            Step::Bind { portal, .. } => Some(Name::Portal(portal)),
            _ => None,
        }
    }
}

impl Failing {
    fn bytes(&self) -> Bytes {
        match self {
            Failing::Query(savepoints) => {
                let set: String = savepoints.iter().map(|name| format!("{name}; ")).collect();
                encode::query(&format!("{set}SELECT no_such_function()"))
            }
            Failing::Parse(name) => encode::parse(name, "SELECT no_such_function()"),
            Failing::Bind => bind("", "no_such_statement", &[], false),
            Failing::Execute => execute("no_such_portal", 0),
            Failing::Describe => describe(b'P', "no_such_portal"),
        }
    }
}

fn joined(texts: &[Text]) -> String {
    texts.iter().map(|text| text.sql.as_str()).collect::<Vec<_>>().join("; ")
}

fn bind(portal: &str, statement: &str, values: &[String], binary: bool) -> Bytes {
    message(b'B', |body| {
        cstr(body, portal);
        cstr(body, statement);
        body.put_u16(0);
        body.put_u16(u16::try_from(values.len()).unwrap());
        for value in values {
            body.put_u32(u32::try_from(value.len()).unwrap());
            body.extend_from_slice(value.as_bytes());
        }
        body.put_u16(1);
        body.put_u16(u16::from(binary));
    })
}

impl Burst {
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.units.iter().flatten()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Query(texts) => write!(f, "Query({:?})", joined(texts)),
            Step::Parse { name, texts } => write!(f, "Parse({name:?}, {:?})", joined(texts)),
            Step::Bind { portal, statement, values, binary } => {
                write!(f, "Bind({portal:?}, {statement:?}, {values:?}{})", if *binary { ", binary" } else { "" })
            }
            Step::Describe(kind, name) => write!(f, "Describe({}, {name:?})", char::from(*kind)),
            Step::Execute { portal, rows } => write!(f, "Execute({portal:?}, {rows})"),
            Step::Close(kind, name) => write!(f, "Close({}, {name:?})", char::from(*kind)),
            Step::CopyData(data) => write!(f, "CopyData({data:?})"),
            Step::Flush | Step::Sync | Step::CopyDone | Step::CopyFail | Step::Call | Step::Failing(_) => {
                write!(f, "{self:?}")
            }
        }
    }
}

/// A script as a reader wants it.
pub fn shown(script: &[Burst]) -> String {
    let mut text = String::new();
    for burst in script {
        text.push_str(if burst.extra { "burst, with the second grant:\n" } else { "burst:\n" });
        for unit in &burst.units {
            let steps: Vec<_> = unit.iter().map(ToString::to_string).collect();
            text.push_str(&format!("    {}\n", steps.join(" ")));
        }
        text.push_str(&format!("    cut at {:?}\n", burst.cuts));
    }
    text
}
