//! What comes before authentication: taken whole or not at all, however it arrives; and a load balancer's header before that.

use bytes::BytesMut;
use pgward::wire::proxy_header::{self, FIXED, Source};
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
        assert_eq!(encode::startup(startup.minor, &parameters)[4..], consumed[4..]);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = scram::Verifier::parse(text);
    }
    header(data);
}

/// A header is read at exactly the length that it gives, and only such an address comes of it as stands in it.
fn header(data: &[u8]) {
    let Ok(source) = proxy_header::read(data) else { return };
    let fixed = data.first_chunk::<FIXED>().unwrap();
    if let Ok(length) = proxy_header::rest_length(fixed) {
        assert_eq!(data.len(), FIXED + length);
    }
    assert!(proxy_header::read(&data[..data.len() - 1]).is_err());
    assert!(proxy_header::read(&[data, &[0]].concat()).is_err());
    if let Source::Client(address) = source {
        let octets = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        assert!(data[FIXED..].windows(octets.len()).any(|window| window == octets));
    }
}
