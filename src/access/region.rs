//! Regions: where data lies, and where a client stands by its network.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// A legal region, by the name that the configuration gives it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Region(Arc<str>);

impl Region {
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into().into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The declared networks of every region.
#[derive(Clone, Debug, Default)]
pub struct RegionNetworks {
    networks: Vec<(IpNet, Region)>,
}

impl RegionNetworks {
    /// Whether nothing says where a client is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Longest prefix first, so that the most specific network decides.
    #[must_use]
    pub fn new(mut networks: Vec<(IpNet, Region)>) -> Self {
        networks.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        Self { networks }
    }

    /// The region of a client by its socket address; `None` where no network names it.
    #[must_use]
    pub fn region_of(&self, address: IpAddr) -> Option<&Region> {
        let address = address.to_canonical();
        self.networks.iter().find(|(net, _)| net.contains(&address)).map(|(_, region)| region)
    }
}
