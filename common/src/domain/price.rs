//! What a model's tokens cost, for runs whose cost nobody told: a table by the beginning of the model's name.

use super::usage::Tokens;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    /// Kept for five minutes.
    pub cache_write: f64,
    /// Kept for an hour.
    pub cache_write_1h: f64,
}

const MILLION: f64 = 1e6;

impl Price {
    /// US dollars of these tokens.
    pub fn of(&self, tokens: &Tokens) -> f64 {
        let rows = [
            (tokens.input, self.input),
            (tokens.output, self.output),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write, self.cache_write),
            (tokens.cache_write_1h, self.cache_write_1h),
        ];
        rows.into_iter().map(|(count, price)| as_f64(count) * price / MILLION).sum::<f64>() + 0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far beyond any count of tokens")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The beginning of a model's name, and input, output, cache read, cache write (5 min), cache write (1 h). The provider's
/// list prices of 2026-11-26. Where a price depends on the prompt's length, the higher one: a budget may end a run too
/// early, never too late.
const DEFAULTS: &[(&str, [f64; 5])] = &[
    ("claude-fable", [10.0, 50.0, 1.0, 12.5, 20.0]),
    ("claude-mythos", [10.0, 50.0, 1.0, 12.5, 20.0]),
    ("claude-opus", [5.0, 25.0, 0.5, 6.25, 10.0]),
    ("claude-opus-5-5", [4.0, 20.0, 0.2, 5.0, 8.0]),
    ("claude-opus-4-0", [15.0, 75.0, 1.5, 18.75, 30.0]),
    ("claude-opus-4-1", [15.0, 75.0, 1.5, 18.75, 30.0]),
    ("claude-opus-4-20250514", [15.0, 75.0, 1.5, 18.75, 30.0]),
    ("claude-3-opus", [15.0, 75.0, 1.5, 18.75, 30.0]),
    ("claude-sonnet", [3.0, 15.0, 0.3, 3.75, 6.0]),
    ("claude-sonnet-5", [2.0, 10.0, 0.2, 2.5, 4.0]),
    ("claude-sonnet-5-5", [2.0, 10.0, 0.1, 2.5, 4.0]),
    ("claude-3-7-sonnet", [3.0, 15.0, 0.3, 3.75, 6.0]),
    ("claude-3-5-sonnet", [3.0, 15.0, 0.3, 3.75, 6.0]),
    ("claude-haiku", [1.0, 5.0, 0.1, 1.25, 2.0]),
    ("claude-haiku-5-5", [0.5, 2.5, 0.05, 0.625, 1.0]),
    ("claude-3-5-haiku", [0.8, 4.0, 0.08, 1.0, 1.6]),
    ("claude-3-haiku", [0.25, 1.25, 0.03, 0.3, 0.5]),
];

/// Prices by the beginning of a model's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PriceTable(BTreeMap<String, Price>);

impl Default for PriceTable {
    fn default() -> Self {
        let row = |(name, [input, output, cache_read, cache_write, cache_write_1h]): &(&str, [f64; 5])| {
            let price = Price {
                input: *input,
                output: *output,
                cache_read: *cache_read,
                cache_write: *cache_write,
                cache_write_1h: *cache_write_1h,
            };
            ((*name).to_owned(), price)
        };
        PriceTable(DEFAULTS.iter().map(row).collect())
    }
}

impl PriceTable {
    /// The table with these prices added, or in place of those of the same name.
    pub fn with(mut self, own: impl IntoIterator<Item = (String, Price)>) -> PriceTable {
        self.0.extend(own.into_iter().map(|(name, price)| (name.to_ascii_lowercase(), price)));
        self
    }

    /// The names and their prices.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Price)> {
        self.0.iter().map(|(name, price)| (name.as_str(), price))
    }

    /// The price of a model: of the longest name that its own begins with. What stands before (a gateway's or a
    /// region's prefix) and behind (a date, a context size) does not matter; `opus`, `sonnet` and `haiku` are the
    /// CLI's own short names.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let model = model.trim().to_ascii_lowercase();
        let model = match model.as_str() {
            "opus" | "sonnet" | "haiku" => format!("claude-{model}"),
            _ => model,
        };
        let starts = [Some(0), model.find("claude"), model.rfind('/').map(|at| at + 1)];
        let names: Vec<&str> = starts.into_iter().flatten().filter_map(|at| model.get(at..)).collect();
        let fits = |key: &str| names.iter().any(|name| begins(name, key));
        self.0.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len()).map(|(_, price)| price)
    }
}

/// `claude-opus-4` begins `claude-opus-4-1`, but not `claude-opus-45`.
fn begins(name: &str, key: &str) -> bool {
    !key.is_empty() && name.strip_prefix(key).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_the_name_counts() {
        let table = PriceTable::default();
        let rows = [
            ("claude-opus-5-5", Some(4.0)),
            ("claude-opus-5-5[1m]", Some(4.0)),
            ("claude-opus-4-8[1m]", Some(5.0)),
            ("claude-opus-4-1-20250805", Some(15.0)),
            ("claude-opus-5-55", Some(5.0)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some(3.0)),
            ("gateway/claude-haiku-4-5", Some(1.0)),
            ("Claude-Sonnet-5-5", Some(2.0)),
            ("claude-3-5-haiku-20241022", Some(0.8)),
            ("sonnet", Some(3.0)),
            ("scripted", None),
            ("gpt-5", None),
            ("<synthetic>", None),
            ("claudette-opus", None),
            ("", None),
        ];
        for (model, input) in rows {
            assert_eq!(table.of(model).map(|price| price.input), input, "{model}");
        }
    }

    #[test]
    fn own_prices_are_added_and_replace() {
        let one = Price { input: 1.5, output: 0.0, cache_read: 0.0, cache_write: 0.0, cache_write_1h: 0.0 };
        let table = PriceTable::default().with([("GLM-5".to_owned(), one), ("claude-opus".to_owned(), one)]);
        for model in ["zai/glm-5-air", "glm-5", "claude-opus-4-6"] {
            assert_eq!(table.of(model), Some(&one), "{model}");
        }
        assert_eq!(table.of("claude-opus-5-5").map(|price| price.input), Some(4.0), "a longer name is nearer");
    }

    #[test]
    fn every_kind_of_token_has_its_price() {
        let price = PriceTable::default();
        let tokens = Tokens {
            input: 1_000_000,
            output: 100_000,
            cache_read: 10_000_000,
            cache_write: 200_000,
            cache_write_1h: 500_000,
        };
        let usd = price.of("claude-opus-5-5").unwrap().of(&tokens);
        assert!((usd - (4.0 + 2.0 + 2.0 + 1.0 + 4.0)).abs() < 1e-9, "{usd}");
        assert!(price.of("opus").unwrap().of(&Tokens::default()).is_sign_positive());
    }
}
