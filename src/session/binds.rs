//! Bind values as the journal shows them: text as it came, binary as the server would print it, what cannot be read in
//! hexadecimal with the type's name; hashed or left out where the settings say so; secrets in none of these ways.

use super::records::{hex, put_rule};
use super::settings::ParameterRecording;
use crate::audit::{HashKey, Record};
use crate::catalog::{Oid, Snapshot, TypeKind};
use crate::sql::holds_credentials;
use crate::wire::value::{self, Shape};

/// In place of a value that is a secret.
const SECRET: &str = "***";

/// What is known of the values of one Bind.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// Each with whether it is binary.
    pub values: &'a [(bool, Option<&'a [u8]>)],
    /// The parameters' types, as far as they are known; 0 is not known.
    pub types: &'a [Oid],
    /// The numbers of the parameters that take secrets.
    pub secrets: &'a [u16],
    /// Tells of types that are not the server's own.
    pub catalogs: Option<&'a Snapshot>,
}

/// The values of one Bind as they are recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    values: Option<Vec<Option<String>>>,
    count: Option<u32>,
    hides_secret: bool,
}

impl Parameters {
    #[must_use]
    pub fn new(bound: Bound<'_>, how: ParameterRecording, key: &HashKey) -> Self {
        if bound.values.is_empty() {
            return Self::default();
        }
        if how == ParameterRecording::Omit {
            return Self { values: None, count: u32::try_from(bound.values.len()).ok(), hides_secret: false };
        }
        let mut hides_secret = false;
        let mut recorded = Vec::with_capacity(bound.values.len());
        for (index, (binary, bytes)) in bound.values.iter().enumerate() {
            let Some(bytes) = bytes else {
                recorded.push(None);
                continue;
            };
            let text = bound.text(index, *binary, bytes);
            let is_secret = bound.secrets.iter().any(|number| usize::from(*number) == index + 1);
            recorded.push(Some(if is_secret || holds_credentials(&text) {
                hides_secret = true;
                SECRET.to_owned()
            } else if how == ParameterRecording::Hash {
                key.hash(text.as_bytes())
            } else {
                text
            }));
        }
        Self { values: Some(recorded), count: None, hides_secret }
    }

    /// The values; none where they are left out, or there are none.
    #[must_use]
    pub fn values(&self) -> Option<&[Option<String>]> {
        self.values.as_deref()
    }

    /// How many there were, where they are left out.
    #[must_use]
    pub fn count(&self) -> Option<u32> {
        self.count
    }

    /// Whether one of them is a secret.
    #[must_use]
    pub fn hides_secret(&self) -> bool {
        self.hides_secret
    }

    /// Puts the values into the record of what they are bound to.
    pub fn put(&self, record: &mut Record) {
        record.parameters.clone_from(&self.values);
        record.parameter_count = self.count;
        if self.hides_secret {
            put_rule(record, "password");
        }
    }
}

impl Bound<'_> {
    fn text(&self, index: usize, binary: bool, bytes: &[u8]) -> String {
        let oid = self.types.get(index).copied().filter(|oid| *oid != 0);
        let read = if binary { oid.and_then(|oid| self.decoded(oid, bytes)) } else { utf8(bytes) };
        read.unwrap_or_else(|| {
            let name = oid.and_then(|oid| self.catalogs.and_then(|catalogs| catalogs.type_name(oid)));
            match name {
                Some(name) => format!("\\x{}::{name}", hex(bytes)),
                None => format!("\\x{}", hex(bytes)),
            }
        })
    }

    fn decoded(&self, oid: Oid, bytes: &[u8]) -> Option<String> {
        let shape = |oid| match self.catalogs.map(|catalogs| catalogs.kind_of_type(oid)) {
            Some(TypeKind::Enum) => Shape::Text,
            Some(TypeKind::Domain(base)) => Shape::Domain(base),
            Some(TypeKind::Array) => Shape::Array,
            Some(TypeKind::Other) | None => Shape::Unknown,
        };
        value::text(oid, bytes, &shape)
    }
}

fn utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(how: ParameterRecording, secrets: &[u16]) -> Parameters {
        let values: &[(bool, Option<&[u8]>)] = &[
            (true, Some(&[0, 0, 0, 7])),
            (false, Some(b"a")),
            (true, None),
            (true, Some(&[1])),
            (false, Some(b"password=x")),
        ];
        let bound = Bound { values, types: &[23], secrets, catalogs: None };
        Parameters::new(bound, how, &HashKey::new(&[7; 32]))
    }

    #[test]
    fn values_are_recorded_as_the_settings_say() {
        let some = |text: &str| Some(text.to_owned());
        let plain = recorded(ParameterRecording::Record, &[2]);
        assert_eq!(plain.values, Some(vec![some("7"), some("***"), None, some("\\x01"), some("***")]));
        assert!(plain.hides_secret);
        let omitted = recorded(ParameterRecording::Omit, &[]);
        assert_eq!((omitted.values, omitted.count), (None, Some(5)));
        let hashed = recorded(ParameterRecording::Hash, &[]).values.unwrap_or_default();
        assert!(hashed.iter().flatten().any(|hash| *hash == HashKey::new(&[7; 32]).hash(b"7")), "{hashed:?}");
        assert!(!hashed.iter().flatten().any(|hash| *hash == HashKey::new(&[8; 32]).hash(b"7")), "{hashed:?}");
    }
}
