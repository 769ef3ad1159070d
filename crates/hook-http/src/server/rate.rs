//! How many requests one address may make.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

/// The first sweep comes at so many addresses.
const FIRST_SWEEP: usize = 1024;

/// A rate per address. What it remembers is bounded by the addresses that are still short of their full quota.
pub struct AddressRate {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    sweep_at: AtomicUsize,
}

impl AddressRate {
    /// So many a minute, all of which may come at once.
    pub fn per_minute(requests: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_minute(requests));
        Self { limiter, sweep_at: AtomicUsize::new(FIRST_SWEEP) }
    }

    /// Counts a request, or says how long to wait.
    pub fn check(&self, address: IpAddr) -> Result<(), Duration> {
        self.sweep();
        self.limiter
            .check_key(&network_of(address))
            .map_err(|refused| refused.wait_time_from(self.limiter.clock().now()))
    }

    /// Forgets the addresses that have their full quota again. The next sweep comes when what is left has doubled, so
    /// that a sweep costs each request a constant share.
    fn sweep(&self) {
        if self.limiter.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.limiter.retain_recent();
        self.sweep_at.store((self.limiter.len() * 2).max(FIRST_SWEEP), Ordering::Relaxed);
    }
}

/// One customer commonly holds a whole /64, and could otherwise take a new address for every request.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_quota_and_is_told_when_to_return() {
        let rate = AddressRate::per_minute(NonZeroU32::new(2).unwrap());
        let [one, other]: [IpAddr; 2] = ["1.1.1.1".parse().unwrap(), "2.2.2.2".parse().unwrap()];
        assert_eq!((rate.check(one), rate.check(one)), (Ok(()), Ok(())));
        let wait = rate.check(one).unwrap_err();
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(rate.check(other), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_v6_network_share_a_quota() {
        let rate = AddressRate::per_minute(NonZeroU32::MIN);
        assert!(rate.check("2001:db8::1".parse().unwrap()).is_ok());
        assert!(rate.check("2001:db8::2".parse().unwrap()).is_err());
        assert!(rate.check("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn addresses_that_have_their_full_quota_again_are_forgotten() {
        let rate = AddressRate::per_minute(NonZeroU32::MAX);
        for number in 0..10_000u32 {
            assert!(rate.check(IpAddr::from(number.to_be_bytes())).is_ok());
        }
        assert!(rate.limiter.len() <= FIRST_SWEEP + 1, "{}", rate.limiter.len());
    }
}
