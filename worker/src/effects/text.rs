//! Final text -> the markup of its destination. Everything is escaped: the words come from agents and people.

/// The most Telegram takes in one message, in UTF-16 units of the text without markup.
const TELEGRAM_UNITS: usize = 4096;

/// Plane comments are HTML that Plane does not sanitise: a blank line ends a paragraph, a newline breaks the line.
pub fn plane_html(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.split("\n\n").map(|p| p.trim_matches('\n')).filter(|p| !p.trim().is_empty());
    paragraphs.map(|p| format!("<p>{}</p>", escape(p).replace('\n', "<br/>"))).collect()
}

/// Telegram's HTML subset, cut before escaping so that no entity is torn.
pub fn telegram_html(text: &str) -> String {
    escape(&telegram_plain(text))
}

/// The same message without markup.
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

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plane_gets_paragraphs_and_no_markup_of_others() {
        let html = plane_html("one\ntwo <script>\r\n\r\n\n\"three\" & more\n");
        assert_eq!(html, "<p>one<br/>two &lt;script&gt;</p><p>&quot;three&quot; &amp; more</p>");
        assert_eq!(plane_html("\n\n \n"), "");
    }

    #[test]
    fn telegram_is_cut_by_utf16_units_before_escaping() {
        assert_eq!(telegram_html(" a<b "), "a&lt;b");
        let exact = "🚀".repeat(2048);
        assert_eq!(telegram_plain(&exact), exact);
        let long = telegram_plain(&format!("{exact}x"));
        assert!(long.ends_with('…') && long.encode_utf16().count() <= 4096);
        assert_eq!(long.chars().filter(|c| *c == '🚀').count(), 2047);
        assert!(telegram_html(&"&".repeat(9000)).ends_with("&amp;…"), "an entity is whole");
    }
}
