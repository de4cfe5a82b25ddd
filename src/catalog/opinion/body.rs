//! The stored form of a function's body, as `outfuncs.c` writes it: nodes `{NAME :label value …}` and lists `(…)`. Only the
//! labels that tell of privileges and functions are read; everything else is passed over.
//!
//! Characters of the statement's own names and strings are escaped in it, so nothing that a statement says can look like a
//! label, and a value is never taken for one: labels and values alternate.

use super::{Opinion, Use};
use crate::access::Operation;
use crate::catalog::footprint::Oid;

/// `AttrNumber`s in sets of columns are moved up by this, so that none is negative (`FirstLowInvalidHeapAttributeNumber`).
const COLUMN_OFFSET: i32 = -7;
/// `ACL_INSERT`, `ACL_SELECT`, `ACL_UPDATE`, `ACL_DELETE` of `parsenodes.h`.
const PRIVILEGES: [(u64, Operation); 4] =
    [(1, Operation::Insert), (2, Operation::Select), (4, Operation::Update), (8, Operation::Delete)];
/// Nodes in nodes; statements that PostgreSQL itself takes nest less.
const MAX_DEPTH: usize = 100_000;
/// `regproc`, `regprocedure`, `regoper`, `regoperator`, `regclass`.
const NAMING_TYPES: [i64; 5] = [24, 2202, 2203, 2204, 2205];

/// The body could not be read: a server whose nodes are written in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored body is not understood at byte {0}")]
pub struct NotUnderstood(usize);

/// Adds what the body says to an opinion.
pub fn read(text: &str, opinion: &mut Opinion) -> Result<(), NotUnderstood> {
    let mut reader = Reader { open: Vec::new(), opinion };
    let mut tokens = Tokens { text, at: 0 };
    while let Some(token) = tokens.next() {
        reader.take(token).ok_or(NotUnderstood(tokens.at))?;
    }
    let is_whole = reader.open.is_empty() && opinion.statements > 0;
    if is_whole { Ok(()) } else { Err(NotUnderstood(text.len())) }
}

/// The tokens of `pg_strtok`.
struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let start = self.at;
        if matches!(bytes.get(start)?, b'(' | b')' | b'{' | b'}') {
            self.at += 1;
            return self.text.get(start..self.at);
        }
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'(' | b')' | b'{' | b'}' => break,
                byte if byte.is_ascii_whitespace() => break,
                b'\\' => self.at += 2,
                _ordinary => self.at += 1,
            }
        }
        self.at = self.at.min(bytes.len());
        self.text.get(start..self.at)
    }
}

struct Reader<'o> {
    open: Vec<Open>,
    opinion: &'o mut Opinion,
}

/// What is open at a place of the text.
enum Open {
    /// A node whose name comes next.
    Unnamed,
    Node(Box<Node>),
    /// A list, and whether it is a set of numbers.
    List(Numbers),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Nothing of it was read yet.
    Unknown,
    Yes,
    No,
}

/// One node under way.
#[derive(Default)]
struct Node {
    name: Box<str>,
    /// The label whose value comes next.
    label: Option<Label>,
    /// The label that was last.
    last: Option<Label>,
    values: Vec<(Label, i64)>,
    /// `relkind`, of an entry of the range table.
    kind: Box<str>,
    /// The first bytes of a constant.
    bytes: Vec<u8>,
    selected: Vec<i16>,
    inserted: Vec<i16>,
    updated: Vec<i16>,
    /// Of a query: its relations and, from 16 on, the privileges that they refer to.
    relations: Vec<Entry>,
    permissions: Vec<Entry>,
}

/// One relation of a query, or its privileges.
#[derive(Default)]
struct Entry {
    relation: Oid,
    privileges: u64,
    columns: [Vec<i16>; 3],
    /// From 1; 0 where the privileges stand here.
    permission: usize,
    /// The row that ON CONFLICT could not insert, not the table.
    excluded: bool,
}

/// The labels that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Kind,
    Relation,
    RelationKind,
    Privileges,
    Permission,
    Selected,
    Inserted,
    Updated,
    Function,
    Format,
    ResultType,
    ParameterType,
    ConstantType,
    /// The type of any other value.
    Type,
    Constant,
    Other,
}

impl Label {
    fn of(name: &str) -> Self {
        match name {
            ":rtekind" => Label::Kind,
            ":relid" => Label::Relation,
            ":relkind" => Label::RelationKind,
            ":requiredPerms" => Label::Privileges,
            ":perminfoindex" => Label::Permission,
            ":selectedCols" => Label::Selected,
            ":insertedCols" => Label::Inserted,
            ":updatedCols" => Label::Updated,
            ":funcid" | ":opfuncid" | ":aggfnoid" | ":winfnoid" | ":tsmhandler" => Label::Function,
            ":funcformat" => Label::Format,
            ":resulttype" => Label::ResultType,
            ":paramtype" => Label::ParameterType,
            ":consttype" => Label::ConstantType,
            ":vartype" | ":funcresulttype" | ":opresulttype" | ":row_typeid" | ":casetype" | ":coalescetype"
            | ":minmaxtype" | ":refrestype" | ":aggtype" | ":wintype" => Label::Type,
            ":constvalue" => Label::Constant,
            _passed_over => Label::Other,
        }
    }
}

impl Reader<'_> {
    /// `None` where a token does not belong there.
    fn take(&mut self, token: &str) -> Option<()> {
        match token {
            "{" | "(" => {
                if self.open.len() > MAX_DEPTH {
                    return None;
                }
                self.open.push(if token == "{" { Open::Unnamed } else { Open::List(Numbers::Unknown) });
            }
            "}" => match self.open.pop()? {
                Open::Node(node) => {
                    self.value_ended();
                    self.close(*node)?;
                }
                Open::Unnamed | Open::List(_) => return None,
            },
            ")" => match self.open.pop()? {
                Open::List(_) => self.value_ended(),
                Open::Unnamed | Open::Node(_) => return None,
            },
            word => self.word(word)?,
        }
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let depth = self.open.len();
        match self.open.last_mut()? {
            open @ Open::Unnamed => *open = Open::Node(Box::new(Node { name: word.into(), ..Node::default() })),
            Open::Node(node) => node.word(word)?,
            Open::List(numbers @ Numbers::Unknown) => {
                *numbers = if word == "b" { Numbers::Yes } else { Numbers::No };
            }
            Open::List(Numbers::No) => {}
            Open::List(Numbers::Yes) => {
                let number: i32 = word.parse().ok()?;
                // The list is the value of the label of the node around it.
                if let Some(Open::Node(node)) = self.open.get_mut(depth.checked_sub(2)?) {
                    node.number(i16::try_from(number + COLUMN_OFFSET).ok()?);
                }
            }
        }
        Some(())
    }

    /// A node or list was a value: its label has had it.
    fn value_ended(&mut self) {
        if let Some(Open::Node(node)) = self.open.last_mut() {
            node.last = node.label.take();
        }
    }

    fn close(&mut self, node: Node) -> Option<()> {
        let is_type = |label: &Label| {
            matches!(label, Label::Type | Label::ResultType | Label::ParameterType | Label::ConstantType)
        };
        let types = node.values.iter().filter(|(label, _)| is_type(label));
        self.opinion.types.extend(types.filter_map(|(_, oid)| Oid::try_from(*oid).ok()));
        match &*node.name {
            "QUERY" => {
                let is_outermost = !self.open.iter().any(|open| matches!(open, Open::Node(_)));
                self.opinion.statements += usize::from(is_outermost);
                return self.query(node);
            }
            "RTE" | "RANGETBLENTRY" => {
                // `RTE_RELATION` is 0.
                if node.value(Label::Kind)? == 0 {
                    let entry = node.entry()?;
                    self.around()?.relations.push(entry);
                }
            }
            "RTEPERMISSIONINFO" => {
                let entry = node.entry()?;
                self.around()?.permissions.push(entry);
            }
            "COERCETODOMAIN" => self.opinion.domains.push(node.oid(Label::ResultType)?),
            "PARAM" => self.opinion.domains.push(node.oid(Label::ParameterType)?),
            "CONST" => {
                if NAMING_TYPES.contains(&node.value(Label::ConstantType)?) {
                    self.opinion.named.extend(node.constant());
                }
            }
            name => {
                if let Some(function) = node.value(Label::Function).and_then(|oid| Oid::try_from(oid).ok()) {
                    self.opinion.functions.push(function);
                    // `COERCE_EXPLICIT_CALL` is 0; aggregates and window functions are called in no other way.
                    if name == "AGGREF" || name == "WINDOWFUNC" || node.value(Label::Format) == Some(0) {
                        self.opinion.calls.push(function);
                    }
                }
            }
        }
        Some(())
    }

    /// The query that a node belongs to.
    fn around(&mut self) -> Option<&mut Node> {
        self.open.iter_mut().rev().find_map(|open| match open {
            Open::Node(node) if &*node.name == "QUERY" => Some(&mut **node),
            Open::Node(_) | Open::List(_) | Open::Unnamed => None,
        })
    }

    fn query(&mut self, query: Node) -> Option<()> {
        let mut permissions: Vec<Option<Entry>> = query.permissions.into_iter().map(Some).collect();
        for relation in query.relations {
            let separate = match relation.permission.checked_sub(1) {
                Some(index) => Some(permissions.get_mut(index)?.take()?),
                None => None,
            };
            if relation.excluded {
                continue;
            }
            self.opinion.relations.push(relation.relation);
            self.opinion.uses.extend(separate.unwrap_or(relation).uses());
        }
        // Privileges that no relation of the range table refers to are asked for all the same.
        for permission in permissions.into_iter().flatten() {
            self.opinion.uses.extend(permission.uses());
        }
        Some(())
    }
}

impl Entry {
    fn uses(self) -> impl Iterator<Item = Use> {
        let Entry { relation, privileges, columns: [selected, inserted, updated], .. } = self;
        let used = PRIVILEGES.into_iter().filter(move |(bit, _)| privileges & bit != 0);
        used.map(move |(_, operation)| {
            let columns = match operation {
                Operation::Select => selected.clone(),
                Operation::Insert => inserted.clone(),
                Operation::Update => updated.clone(),
                Operation::Delete | Operation::Truncate | Operation::Ddl => Vec::new(),
            };
            Use { relation, operation, columns }
        })
    }
}

impl Node {
    fn word(&mut self, word: &str) -> Option<()> {
        match self.label {
            None if word.starts_with(':') => self.label = Some(Label::of(word)),
            // The bytes behind a constant's length, and what else has no label.
            None => {
                if self.last == Some(Label::Constant)
                    && let Ok(byte) = word.parse::<i16>()
                {
                    self.bytes.push(u8::try_from(byte.rem_euclid(256)).ok()?);
                }
            }
            Some(label) => {
                self.label = None;
                self.last = Some(label);
                match label {
                    Label::RelationKind => self.kind = word.into(),
                    Label::Other | Label::Constant => {}
                    label => self.values.push((label, word.parse().ok()?)),
                }
            }
        }
        Some(())
    }

    fn number(&mut self, column: i16) {
        match self.label {
            Some(Label::Selected) => self.selected.push(column),
            Some(Label::Inserted) => self.inserted.push(column),
            Some(Label::Updated) => self.updated.push(column),
            Some(_) | None => {}
        }
    }

    fn value(&self, label: Label) -> Option<i64> {
        self.values.iter().find(|(known, _)| *known == label).map(|(_, value)| *value)
    }

    fn oid(&self, label: Label) -> Option<Oid> {
        Oid::try_from(self.value(label)?).ok()
    }

    /// The object that a constant names, whichever end of it the server writes first.
    fn constant(&self) -> Vec<Oid> {
        let little = self.bytes.first_chunk::<4>().map(|bytes| Oid::from_le_bytes(*bytes));
        let big = self.bytes.last_chunk::<4>().map(|bytes| Oid::from_be_bytes(*bytes));
        little.into_iter().chain(big).filter(|oid| *oid != 0).collect()
    }

    fn entry(&self) -> Option<Entry> {
        let permission = usize::try_from(self.value(Label::Permission).unwrap_or(0)).ok()?;
        // Up to 15 they stand in the entry itself; from 16 on somewhere else, and an entry without any asks for none.
        let privileges = u64::try_from(self.value(Label::Privileges).unwrap_or(0)).ok()?;
        Some(Entry {
            relation: self.oid(Label::Relation)?,
            privileges,
            columns: [self.selected.clone(), self.inserted.clone(), self.updated.clone()],
            permission,
            // `RELKIND_COMPOSITE_TYPE`: no other entry of a range table has it.
            excluded: &*self.kind == "c",
        })
    }
}
