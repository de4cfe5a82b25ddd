//! Work that benchmarks give to the parts.

use bytes::{BufMut as _, BytesMut};
use pgward::wire::frame;
use pgward::wire::scram::{Candidates, Exchange, PLAIN, Verifier};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

/// A statement of pgbench, and one as people write them.
pub const STATEMENTS: [(&str, &str); 2] = [
    ("a statement of pgbench", "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;"),
    (
        "a ten-line join",
        "SELECT c.country, p.name AS product, count(*) AS orders,\n       sum(o.amount) AS total\n\
           FROM public.orders AS o\n  JOIN public.customers AS c ON c.id = o.customer_id\n\
           JOIN public.products AS p ON p.id = o.product_id\n  LEFT JOIN public.v_orders AS v ON v.id = o.id\n\
          WHERE c.country IN ('NL', 'DE') AND o.amount > 1\n GROUP BY c.country, p.name\n\
         HAVING count(*) > 2\n ORDER BY orders DESC, product\n LIMIT 50",
    ),
];

/// Rows as a server sends them, as many as fit.
pub fn rows(row: usize, length: usize) -> Vec<u8> {
    let mut stream = BytesMut::new();
    while stream.len() < length {
        message(&mut stream, b'D', &vec![b'x'; row]);
    }
    stream.to_vec()
}

/// Bind, Execute and Sync, as pgbench sends them for a prepared statement.
pub fn prepared_transactions(count: usize) -> BytesMut {
    let mut stream = BytesMut::new();
    for _ in 0..count {
        message(&mut stream, b'B', b"\0P_0\0\0\0\0\x01\0\0\0\x06471147\0\0");
        message(&mut stream, b'E', b"\0\0\0\0\0");
        message(&mut stream, b'S', b"");
    }
    stream
}

/// The frames of a stream, found by their headers.
pub fn count(stream: &[u8]) -> usize {
    let (mut rest, mut found) = (stream, 0);
    while let Some(header) = frame::header(rest).unwrap() {
        rest = rest.get(header.total()..).unwrap_or_default();
        found += 1;
    }
    found
}

/// The frames of a stream, taken off it whole.
pub fn take(mut stream: BytesMut) -> usize {
    let mut found = 0;
    while frame::take(&mut stream, 1 << 20).unwrap().is_some() {
        found += 1;
    }
    found
}

fn message(stream: &mut BytesMut, tag: u8, body: &[u8]) {
    stream.put_u8(tag);
    stream.put_u32(u32::try_from(body.len()).unwrap() + 4);
    stream.put_slice(body);
}

/// A client that proves itself, and the verifier that it is held to.
pub struct Scram {
    verifier: Verifier,
    first: Vec<u8>,
    last: Vec<u8>,
}

const PASSWORD: &str = "a password";
const SALT: &[u8; 16] = b"sixteen octets..";
const NONCE: &str = "servernonce";

impl Scram {
    pub fn new() -> Self {
        let verifier = Verifier::derive(PASSWORD, SALT, 4096);
        let mut client = ScramSha256::new(PASSWORD.as_bytes(), ChannelBinding::unsupported());
        let first = client.message().to_vec();
        let candidates = Candidates::new(vec![verifier.clone()], SALT);
        let exchange = Exchange::start(PLAIN, None, &first, NONCE, candidates).unwrap();
        client.update(exchange.server_first().as_bytes()).unwrap();
        let last = client.message().to_vec();
        Self { verifier, first, last }
    }

    /// What a login costs on the server's side, beside the messages.
    pub fn check(&self) -> String {
        let candidates = Candidates::new(vec![self.verifier.clone()], SALT);
        let exchange = Exchange::start(PLAIN, None, &self.first, NONCE, candidates).unwrap();
        exchange.finish(&self.last).unwrap()
    }

    /// What minting a password costs.
    pub fn derive(&self) -> Verifier {
        Verifier::derive(PASSWORD, SALT, 4096)
    }
}
