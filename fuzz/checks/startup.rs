//! What comes before authentication: taken whole or not at all, however it arrives.

use bytes::BytesMut;
use pgward::wire::startup::{MAX_LENGTH, Packet, take};
use pgward::wire::{encode, scram};

pub fn check(data: &[u8]) {
    let mut whole = BytesMut::from(data);
    let at_once = take(&mut whole);
    // One byte at a time, up to the first that makes a packet or an error.
    let mut growing = BytesMut::new();
    let mut piecemeal = Ok(None);
    for byte in data.iter().take(MAX_LENGTH) {
        growing.extend_from_slice(&[*byte]);
        piecemeal = take(&mut growing);
        if !matches!(piecemeal, Ok(None)) {
            break;
        }
    }
    assert_eq!(at_once, piecemeal);
    if let Ok(Some(Packet::Startup(startup))) = &at_once {
        let parameters: Vec<_> =
            startup.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let consumed = &data[..data.len() - whole.len()];
        // The version is the encoder's own.
        assert_eq!(encode::startup(&parameters)[8..], consumed[8..]);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = scram::Verifier::parse(text);
    }
}
