//! Takes one message body apart, front to back. Every read is checked; what is left over at the end is an error.

use super::ProtocolError;

/// A position in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ProtocolError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ProtocolError> {
        self.bytes(1)?.first().copied().ok_or(ProtocolError::Truncated)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ProtocolError> {
        Ok(u16::from_be_bytes(self.bytes(2)?.try_into().map_err(|_| ProtocolError::Truncated)?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(i32::from_be_bytes(self.bytes(4)?.try_into().map_err(|_| ProtocolError::Truncated)?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ProtocolError> {
        Ok(u32::from_be_bytes(self.bytes(4)?.try_into().map_err(|_| ProtocolError::Truncated)?))
    }

    /// A text up to its NUL, which is taken too.
    pub(super) fn cstr(&mut self) -> Result<&'a str, ProtocolError> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or(ProtocolError::Truncated)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        std::str::from_utf8(text).map_err(|_| ProtocolError::Encoding)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn rest_length(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn finish(self) -> Result<(), ProtocolError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ProtocolError::Leftover) }
    }
}
