//! Times on the wire. Plane answers in the time zone of the token's user, so every time is read with its offset.

use serde::{Deserialize, Deserializer, de::Error};

/// RFC 3339 text with an offset -> milliseconds since the epoch.
pub fn parse_millis(text: &str) -> Result<i64, jiff::Error> {
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond)
}

/// For `#[serde(deserialize_with)]` on an `i64` of milliseconds.
pub fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(from)?;
    parse_millis(&text).map_err(|_| D::Error::custom("a time is not RFC 3339 with an offset"))
}

/// The present, for pacing only.
pub fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_counts() {
        let utc = parse_millis("2026-11-22T09:44:52.035501Z").unwrap();
        assert_eq!(parse_millis("2026-11-22T15:14:52.035501+05:30").unwrap(), utc);
        assert_eq!(utc % 1000, 35);
        assert!(parse_millis("2026-11-22T09:44:52").is_err(), "without an offset it is no instant");
    }
}
