//! Outside text on its way to a terminal: titles, errors, comments and agents' output may hold escape sequences that
//! would move the cursor, rename the window or hide what was done.

/// The text on one line, without anything that steers a terminal.
pub fn one_line(text: &str) -> String {
    let blank = |c: char| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
    text.trim_end().chars().map(blank).filter(|c| !steers(*c)).collect()
}

/// The text line by line, each without anything that steers a terminal.
pub fn lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(one_line)
}

/// Control characters (C0, DEL, C1), and those that change the direction or the presence of what follows.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At most `max` columns, the last of them an ellipsis where something is missing.
pub fn cut(text: &str, max: usize) -> String {
    if columns(text) <= max {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c);
        if used > max {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// The columns a line takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Near enough for alignment: East Asian wide characters and emoji take two, combining marks none.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (given, kept) in [
            ("plain", "plain"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}x", "[2J]0;titlex"),
            ("\u{9b}31mred\u{7f}", "31mred"),
            ("a\r\nb\tc\n", "a  b c"),
            ("safe\u{202e}gnp.exe", "safegnp.exe"),
            ("Оплата — №1", "Оплата — №1"),
        ] {
            assert_eq!(one_line(given), kept, "{given:?}");
        }
        assert_eq!(lines("a\n\u{1b}b\n").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn cutting_keeps_to_the_columns() {
        for (given, max, kept) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
        ] {
            assert_eq!(cut(given, max), kept, "{given} {max}");
        }
    }

    proptest! {
        #[test]
        fn one_line_is_one_line(text in "(?s).{0,60}", max in 1_usize..50) {
            let shown = cut(&one_line(&text), max);
            prop_assert!(!shown.chars().any(|c| c.is_control()) && columns(&shown) <= max);
        }
    }
}
