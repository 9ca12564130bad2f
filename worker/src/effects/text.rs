//! Telegram's limit, and a message without markup for when its markup is refused.

/// The most Telegram takes in one message, in UTF-16 units of the text without markup.
pub const TELEGRAM_UNITS: usize = 4096;

/// The text as it is, cut to the limit.
pub fn telegram_plain(text: &str) -> String {
    let text = text.trim();
    if text.encode_utf16().count() <= TELEGRAM_UNITS {
        return text.to_owned();
    }
    let mut room = TELEGRAM_UNITS - 1;
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf16());
        room = left.unwrap_or(0);
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_by_utf16_units() {
        let exact = "🚀".repeat(2048);
        assert_eq!(telegram_plain(&exact), exact);
        let long = telegram_plain(&format!("{exact}x"));
        assert!(long.ends_with('…') && long.encode_utf16().count() <= TELEGRAM_UNITS);
        assert_eq!(long.chars().filter(|c| *c == '🚀').count(), 2047);
    }
}
