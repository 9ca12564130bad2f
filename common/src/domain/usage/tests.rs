use super::*;
use proptest::prelude::*;

const SUMS_UP: Option<&str> = Some("2.1.330");
const ALONE: Option<&str> = Some("2.1.197 (Claude Code)");

fn told(usd: f64, cumulative: f64) -> Earlier {
    Earlier { id: format!("told {cumulative}"), usd, cumulative, estimated: false, forgotten: false }
}

fn unended(id: &str, usd: f64) -> Earlier {
    Earlier { id: id.into(), usd, cumulative: 0.0, estimated: true, forgotten: false }
}

fn killed(id: &str, usd: f64) -> Earlier {
    Earlier { forgotten: true, ..unended(id, usd) }
}

/// Earlier runs, what the result tells, the run's own tokens by the table, version -> own share, and each earlier share.
#[test]
fn the_books_sum_up_to_what_the_cli_tells() {
    let rows = [
        ("a first run", vec![], 0.8, Some(0.8), SUMS_UP, 0.8, vec![]),
        ("sums over two results", vec![told(0.5, 0.5)], 0.8, Some(0.3), SUMS_UP, 0.3, vec![]),
        ("whatever the table says", vec![told(0.5, 0.5)], 0.8, Some(0.9), SUMS_UP, 0.3, vec![]),
        ("per process", vec![told(0.5, 0.5)], 0.8, Some(0.8), ALONE, 0.8, vec![]),
        ("an unended run is in it", vec![unended("a", 0.4)], 1.0, Some(0.4), SUMS_UP, 0.5, vec![0.5]),
        ("behind a result", vec![told(1.0, 1.0), unended("a", 0.3)], 1.6, Some(0.3), SUMS_UP, 0.3, vec![0.3]),
        ("two of them", vec![unended("a", 0.1), unended("b", 0.3)], 0.8, Some(0.4), SUMS_UP, 0.4, vec![0.1, 0.3]),
        ("without a price of its own", vec![unended("a", 0.4)], 1.0, None, SUMS_UP, 0.6, vec![0.4]),
        ("without any price", vec![unended("a", 0.0)], 1.0, None, SUMS_UP, 1.0, vec![0.0]),
        ("estimated too high", vec![unended("a", 3.0)], 1.0, None, SUMS_UP, 0.0, vec![1.0]),
        ("an older CLI leaves it out", vec![unended("a", 0.4)], 0.4, Some(0.4), ALONE, 0.4, vec![]),
        ("a SIGKILL forgets", vec![killed("a", 0.4)], 0.4, Some(0.4), SUMS_UP, 0.4, vec![]),
        ("back to the last result", vec![told(1.0, 1.0), killed("a", 9.0)], 1.4, Some(0.4), SUMS_UP, 0.4, vec![]),
        ("back to nothing", vec![told(1.0, 1.0), killed("a", 9.0)], 1.4, Some(1.4), SUMS_UP, 1.4, vec![]),
        ("it began again", vec![told(1.0, 1.0)], 0.4, Some(0.4), SUMS_UP, 0.4, vec![]),
        ("unknown version, summed", vec![told(1.0, 1.0)], 1.4, Some(0.4), None, 0.4, vec![]),
        ("unknown version, alone", vec![told(1.0, 1.0)], 1.4, Some(1.3), Some("2.1.250"), 1.4, vec![]),
        ("nothing is known", vec![told(1.0, 1.0)], 1.4, None, None, 0.4, vec![]),
    ];
    for (what, earlier, sum, own, version, wanted, others) in rows {
        let shares = share(&earlier, sum, own, version);
        assert!((shares.own - wanted).abs() < 1e-9, "{what}: {shares:?}");
        assert_eq!(shares.settled.len(), others.len(), "{what}: {shares:?}");
        for ((_, usd), wanted) in shares.settled.iter().zip(others) {
            assert!((usd - wanted).abs() < 1e-9, "{what}: {shares:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_share_is_negative_and_together_they_are_the_sum(
        first in 0.0f64..10.0, gone in proptest::collection::vec(0.0f64..10.0, 0..4), more in 0.0f64..50.0,
        own in proptest::option::of(0.0f64..10.0),
    ) {
        let mut earlier = vec![told(first, first)];
        earlier.extend(gone.iter().enumerate().map(|(n, usd)| unended(&n.to_string(), *usd)));
        let sum = first + more;
        let shares = share(&earlier, sum, own, SUMS_UP);
        let parts: f64 = shares.settled.iter().map(|(_, usd)| usd).sum();
        let known = if first > 0.0 { first } else { 0.0 };
        prop_assert!((known + parts + shares.own - sum).abs() < 1e-6, "{:?}", shares);
        prop_assert!(shares.own >= 0.0 && shares.settled.iter().all(|(_, usd)| *usd >= 0.0));
    }
}

#[test]
fn a_cost_is_shown_with_what_is_known_of_it() {
    let rows = [
        (1.254, false, false, "$1.25"),
        (0.0042, false, false, "$0.0042"),
        (0.42, true, false, "~$0.42"),
        (0.0, true, true, "unpriced"),
        (0.42, true, true, "~$0.42 + unpriced"),
        (0.0, false, false, "$0.00"),
        (-0.0, false, false, "$0.00"),
        (-0.000_000_1, false, false, "$0.00"),
        (f64::NAN, false, false, "$0.00"),
        (f64::INFINITY, true, false, "~$1000000000.00"),
        (std::iter::empty::<f64>().sum(), false, false, "$0.00"),
    ];
    for (usd, estimated, unpriced, text) in rows {
        assert_eq!(cost_text(usd, estimated, unpriced), text, "{usd}");
    }
}

#[test]
fn counts_never_overflow() {
    let all = Tokens { input: u64::MAX, output: 1, cache_read: 2, cache_write: 3, cache_write_1h: 4 };
    let twice = all.plus(&all);
    assert_eq!((twice.input, twice.output, twice.cached()), (1_000_000_000_000, 2, 18));
    assert_eq!(all.total(), u64::MAX);
    assert!(i64::try_from(twice.total()).is_ok());
}
