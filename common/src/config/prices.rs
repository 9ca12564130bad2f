//! Reads `[prices]`: a table per beginning of a model's name, laid over the built-in ones.

use super::error::Problem;
use crate::domain::price::{Price, PriceTable};
use serde::Deserialize;

/// US dollars per million tokens; far above any price there is.
const MOST: f64 = 100_000.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    cache_write_1h: Option<f64>,
}

/// The table of prices; every unusable entry becomes a problem.
pub(super) fn read(value: &toml::Value, problems: &mut Vec<Problem>) -> PriceTable {
    let Some(rows) = value.as_table() else {
        let why = format!("{}: allowed: tables, e.g. [prices.\"claude-sonnet\"]", value.type_str());
        problems.push(Problem::Project { place: "prices".to_owned(), why });
        return PriceTable::default();
    };
    let mut own = Vec::new();
    for (name, row) in rows {
        match price(row) {
            Ok(price) => own.push((name.clone(), price)),
            Err(why) => problems.push(Problem::Project { place: format!("prices.{name:?}"), why }),
        }
    }
    PriceTable::default().with(own)
}

fn price(value: &toml::Value) -> Result<Price, String> {
    let row = Row::deserialize(value.clone()).map_err(|error| super::registry::in_one_line(&error))?;
    let Row { input, output, cache_read, cache_write, cache_write_1h } = row;
    let price = Price {
        input,
        output,
        cache_read: cache_read.unwrap_or(input * 0.1),
        cache_write: cache_write.unwrap_or(input * 1.25),
        cache_write_1h: cache_write_1h.unwrap_or(input * 2.0),
    };
    let all = [price.input, price.output, price.cache_read, price.cache_write, price.cache_write_1h];
    match all.into_iter().find(|usd| !(0.0..=2.0 * MOST).contains(usd)) {
        None => Ok(price),
        Some(usd) => Err(format!("{usd}: allowed: 0 to {MOST} US dollars per million tokens")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (PriceTable, Vec<String>) {
        let mut problems = Vec::new();
        let value: toml::Table = text.parse().unwrap();
        let table = read(value.get("prices").unwrap(), &mut problems);
        (table, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn own_prices_lie_over_the_built_in_ones() {
        let (table, problems) = table(
            "[prices.\"claude-sonnet\"]\ninput = 2\noutput = 8.0\n[prices.\"glm-5\"]\ninput = 1.0\noutput = 4.0\ncache_read = 0.5\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let sonnet = table.of("claude-sonnet-4-6").unwrap();
        assert_eq!((sonnet.input, sonnet.cache_read, sonnet.cache_write, sonnet.cache_write_1h), (2.0, 0.2, 2.5, 4.0));
        assert_eq!(table.of("glm-5").map(|price| price.cache_read), Some(0.5));
        assert_eq!(table.of("claude-opus-4-6").map(|price| price.input), Some(5.0));
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_name() {
        for (text, why) in [
            ("prices = 3", "allowed: tables"),
            ("[prices.opus]\ninput = 1.0", "output"),
            ("[prices.opus]\ninput = 1.0\noutput = -2.0", "-2"),
            ("[prices.opus]\ninput = 1.0\noutput = nan", "NaN"),
            ("[prices.opus]\ninput = 1.0\noutput = 1.0\ncached = 1.0", "cached"),
        ] {
            let (table, problems) = table(text);
            assert!(problems.len() == 1 && problems[0].contains(why) && problems[0].contains("prices"), "{problems:?}");
            assert_eq!(table, PriceTable::default());
        }
    }
}
