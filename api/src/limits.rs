//! Bounds that keep strangers from using the intake up: the size and the pace of a body, the memory of all bodies
//! together, and the rate of requests without a valid signature. A validly signed request is never limited by its
//! sender's address: behind a proxy, the stranger and the forge have the same one.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The largest body, in bytes. Plane takes requests of 5 MiB, and its webhook carries old and new text and the
/// item, with non-ASCII text escaped to six times its size.
pub const BODY_BYTES: usize = 25 * 1024 * 1024;

/// How long a body may take to arrive; shorter than what Plane waits for an answer (30 s).
pub const BODY_PACE: Duration = Duration::from_secs(20);

/// All bodies in memory together, from their first byte until their commit.
const ALL_BODIES_BYTES: usize = 256 * 1024 * 1024;

/// Requests without a valid signature per minute and peer before 429 takes the place of 401.
const INVALID_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// Peers that are told apart; beyond, all further ones share one budget.
const PEERS: usize = 10_000;

/// How often a full table is searched for peers that have been quiet since; the search costs a pass over it.
const SWEEP_S: u64 = 10;

/// Counts requests without a valid signature.
pub struct Flood {
    peers: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    began: Instant,
    /// Seconds after `began`.
    swept: AtomicU64,
}

impl Default for Flood {
    fn default() -> Self {
        Flood {
            peers: RateLimiter::dashmap(Quota::per_minute(INVALID_PER_MINUTE)),
            clock: DefaultClock::default(),
            began: Instant::now(),
            swept: AtomicU64::new(0),
        }
    }
}

impl Flood {
    /// Notes an invalid request of a peer; `Some` = that was one too many, with the seconds to wait.
    pub fn note_invalid(&self, peer: Option<IpAddr>) -> Option<u64> {
        let refused = self.peers.check_key(&self.key(peer)).err()?;
        Some(refused.wait_time_from(self.clock.now()).as_secs() + 1)
    }

    /// A network of IPv6 is one peer: its owner has 2^64 addresses.
    fn key(&self, peer: Option<IpAddr>) -> IpAddr {
        if self.is_full() {
            return IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        }
        match peer {
            Some(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            },
            Some(v4) => v4,
            None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    fn is_full(&self) -> bool {
        if self.peers.len() < PEERS {
            return false;
        }
        let now = self.began.elapsed().as_secs();
        if self.swept.fetch_max(now, Ordering::Relaxed) + SWEEP_S <= now {
            self.peers.retain_recent();
        }
        self.peers.len() >= PEERS
    }
}

/// Counts the bytes of all bodies that are in memory.
#[derive(Clone, Default)]
pub struct Memory(Arc<AtomicUsize>);

/// What one body has of it, given back on drop.
pub struct Held {
    all: Memory,
    bytes: usize,
}

impl Memory {
    /// A body that is about to be read.
    pub fn hold(&self) -> Held {
        Held { all: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Takes `bytes` more; `false` = there is no room, come back later.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= ALL_BODIES_BYTES
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_peer_is_refused_after_its_budget_and_others_are_not() {
        let flood = Flood::default();
        for n in 0..INVALID_PER_MINUTE.get() {
            assert_eq!(flood.note_invalid(ip("192.0.2.1")), None, "{n}");
        }
        let wait = flood.note_invalid(ip("192.0.2.1")).unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(flood.note_invalid(ip("192.0.2.2")), None);
        assert!(flood.note_invalid(ip("::ffff:192.0.2.1")).is_some(), "the same peer in other clothes");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let flood = Flood::default();
        assert_eq!(flood.key(ip("2001:db8:1:2:aaaa::1")), flood.key(ip("2001:db8:1:2:bbbb::9")));
        assert_ne!(flood.key(ip("2001:db8:1:2::1")), flood.key(ip("2001:db8:1:3::1")));
    }

    #[test]
    fn the_table_of_peers_is_bounded() {
        let flood = Flood::default();
        for n in 0..(PEERS as u32 + 500) {
            flood.note_invalid(Some(IpAddr::V4((0x0a00_0000 + n).into())));
        }
        assert!(flood.peers.len() <= PEERS + 1, "{}", flood.peers.len());
    }

    #[test]
    fn memory_is_given_back() {
        let memory = Memory::default();
        let mut first = memory.hold();
        assert!(first.grow(ALL_BODIES_BYTES));
        let mut second = memory.hold();
        assert!(!second.grow(1));
        drop((first, second));
        assert!(memory.hold().grow(ALL_BODIES_BYTES));
        assert_eq!(memory.0.load(Ordering::Relaxed), 0);
    }
}
