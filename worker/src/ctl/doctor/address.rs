//! Whether Plane and the forge would deliver to our address at all: both refuse addresses of the inside, each by rules
//! of its own, and neither says so where one looks. Pure; names are looked up by the caller.

use std::net::IpAddr;
use url::{Host, Url};

/// What stands against an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// `localhost` or `127.0.0.1` without a port: refused whatever is set.
    LocalWithoutPort,
    /// A name without a dot: no URL to Plane's form, whatever is set.
    NameWithoutDot,
    /// An address of the inside: refused by Plane since 1.2.3 (1.3.1 can be told otherwise), and by the forge.
    Inside,
    /// Plane's own host or one below it: refused unless Plane is told otherwise.
    PlanesOwnHost,
}

/// Plane's objections to `ours`, the address of our intake; `resolved` are the addresses of its name.
pub fn objections(ours: &Url, plane: Option<&Url>, resolved: &[IpAddr]) -> Vec<Objection> {
    let mut found = Vec::new();
    let host = ours.host_str().unwrap_or_default().to_ascii_lowercase();
    let local = matches!(host.as_str(), "localhost" | "127.0.0.1");
    if local && ours.port().is_none() {
        found.push(Objection::LocalWithoutPort);
    }
    let is_name = matches!(ours.host(), Some(Host::Domain(_)));
    if is_name && !host.contains('.') && host != "localhost" {
        found.push(Objection::NameWithoutDot);
    }
    if is_inside(ours, resolved) {
        found.push(Objection::Inside);
    }
    let planes = plane.and_then(Url::host_str).map(str::to_ascii_lowercase);
    if planes.is_some_and(|plane| host == plane || host.ends_with(&format!(".{plane}"))) {
        found.push(Objection::PlanesOwnHost);
    }
    found
}

/// Whether the address leads to this machine or a private network.
pub fn is_inside(ours: &Url, resolved: &[IpAddr]) -> bool {
    match ours.host() {
        Some(Host::Ipv4(ip)) => private(ip.into()),
        Some(Host::Ipv6(ip)) => private(ip.into()),
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(_)) => resolved.iter().copied().any(private),
        None => false,
    }
}

fn private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            let [first, ..] = ip.segments();
            ip.is_loopback() || ip.is_unspecified() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Objection::{Inside, LocalWithoutPort, NameWithoutDot, PlanesOwnHost};

    #[test]
    fn every_rule_of_plane_has_its_objection() {
        let lan: IpAddr = "10.0.0.5".parse().unwrap();
        let out: IpAddr = "93.184.216.34".parse().unwrap();
        let table: [(&str, &str, &[IpAddr], &[Objection]); 11] = [
            ("https://orch.example.com", "https://plane.example.com", &[out], &[]),
            ("http://localhost", "https://plane.example.com", &[], &[LocalWithoutPort, Inside]),
            ("http://127.0.0.1", "https://plane.example.com", &[], &[LocalWithoutPort, Inside]),
            ("http://localhost:8500", "https://plane.example.com", &[], &[Inside]),
            ("http://orchestrator:8500", "https://plane.example.com", &[], &[NameWithoutDot]),
            ("http://orchestrator:8500", "https://plane.example.com", &[lan], &[NameWithoutDot, Inside]),
            ("http://orch.lan:8500", "https://plane.example.com", &[lan], &[Inside]),
            ("http://192.168.1.9:8500", "https://plane.example.com", &[], &[Inside]),
            ("http://[fd00::1]:8500", "https://plane.example.com", &[], &[Inside]),
            ("https://plane.example.com:8500", "https://plane.example.com", &[out], &[PlanesOwnHost]),
            ("https://orch.plane.example.com", "https://plane.example.com", &[out], &[PlanesOwnHost]),
        ];
        for (ours, plane, resolved, expected) in table {
            let found = objections(&ours.parse().unwrap(), Some(&plane.parse().unwrap()), resolved);
            assert_eq!(found, expected, "{ours}");
        }
    }
}
