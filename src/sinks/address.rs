//! Which addresses a sink's requests may go to: a URL must not be a way into the network that pgward stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Where clouds tell secrets to whoever asks, and addresses that are no host's: not even where private ones are allowed.
    #[error("{0} is a link-local, multicast or reserved address, which no sink may be at")]
    Never(IpAddr),
    #[error("{0} is a private address; if that is meant, say allow_private = true")]
    Private(IpAddr),
}

/// Whether a sink may be at `address`.
pub(super) fn check(address: IpAddr, allow_private: bool) -> Result<(), Refused> {
    let inner = embedded(address);
    let (never, private) = match inner {
        IpAddr::V4(v4) => (is_never_v4(v4), is_private_v4(v4)),
        IpAddr::V6(v6) => (is_never_v6(v6), is_private_v6(v6)),
    };
    if never {
        Err(Refused::Never(address))
    } else if private && !allow_private {
        Err(Refused::Private(address))
    } else {
        Ok(())
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 or 6to4.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(p, q, r, s))
    };
    match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, ..] => v4(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => v4(g, h),
        [0x2002, ..] => v4(b, c),
        _ => IpAddr::V6(v6),
    }
}

fn is_never_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    // 192.0.0.0/24 holds other clouds' metadata, 240/4 is nobody's.
    v4.is_link_local() || v4.is_multicast() || a == 0 || a >= 240 || (a, b, c) == (192, 0, 0) || v4 == ALIBABA
}

/// Where one cloud tells secrets: inside of the carriers' range.
const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    let is_carriers = a == 100 && (64..128).contains(&b);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    v4.is_private() || v4.is_loopback() || v4.is_documentation() || is_carriers || is_benchmark
}

fn is_never_v6(v6: Ipv6Addr) -> bool {
    v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified() || v6 == AMAZON
}

/// Where Amazon tells secrets: inside of the unique local range.
const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn is_private_v6(v6: Ipv6Addr) -> bool {
    let [first, second, ..] = v6.segments();
    let is_site_local = first & 0xffc0 == 0xfec0;
    let is_documentation = (first, second) == (0x2001, 0xdb8) || first == 0x3fff;
    v6.is_loopback() || v6.is_unique_local() || is_site_local || is_documentation
}

/// Resolves names, and keeps of their addresses none that may not be gone to: what is connected to is what was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub allow_private: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let good = resolve(name.as_str(), 0, allow_private).await?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a host that may be gone to, at least one.
pub(super) async fn resolve(host: &str, port: u16, allow_private: bool) -> std::io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let (mut good, mut refused) = (Vec::<SocketAddr>::new(), None);
    for address in found {
        match check(address.ip(), allow_private) {
            Ok(()) => good.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match (good.is_empty(), refused) {
        (true, Some(error)) => Err(std::io::Error::other(error)),
        (true, None) => Err(std::io::Error::other("the name has no address")),
        (false, _) => Ok(good),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_inner_address_in_any_dress_is_refused() {
        for (text, private, never) in [
            ("93.184.216.34", false, false),
            ("2606:2800:220:1::1", false, false),
            ("127.0.0.1", true, false),
            ("10.1.2.3", true, false),
            ("172.16.0.1", true, false),
            ("192.168.0.1", true, false),
            ("100.64.0.1", true, false),
            ("100.100.100.200", false, true),
            ("169.254.169.254", false, true),
            ("192.0.0.192", false, true),
            ("0.0.0.0", false, true),
            ("255.255.255.255", false, true),
            ("224.0.0.1", false, true),
            ("::1", true, false),
            ("::", false, true),
            ("fd12::1", true, false),
            ("fd00:ec2::254", false, true),
            ("fe80::1", false, true),
            ("fec0::1", true, false),
            ("ff02::1", false, true),
            ("::ffff:127.0.0.1", true, false),
            ("::ffff:169.254.169.254", false, true),
            ("::10.0.0.1", true, false),
            ("64:ff9b::a9fe:a9fe", false, true),
            ("64:ff9b::5db8:d822", false, false),
            ("2002:a00:1::", true, false),
            ("2002:a9fe:a9fe::", false, true),
        ] {
            let address: IpAddr = text.parse().unwrap();
            let refusal = |refused: bool, why: Refused| if refused { Err(why) } else { Ok(()) };
            let strict = if never { Err(Refused::Never(address)) } else { refusal(private, Refused::Private(address)) };
            assert_eq!(check(address, false), strict, "{text}");
            assert_eq!(check(address, true), refusal(never, Refused::Never(address)), "{text}, private allowed");
        }
    }
}
