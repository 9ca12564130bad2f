//! Titles of work items as path and ref components.

/// What a title without a single usable letter becomes.
const EMPTY: &str = "task";

/// The title as `a-z`, `0-9` and single inner `-`, at most `max` bytes (a `max` under 4 counts as 4).
///
/// Cyrillic and accented Latin letters are transliterated, other letters are dropped, everything else parts words.
/// A cut falls between words where that keeps at least half of the room. Never empty: `task`.
pub fn slug(title: &str, max: usize) -> String {
    let max = max.max(EMPTY.len());
    let text = hyphenated(title, max);
    let cut = cut_between_words(&text, max);
    if cut.is_empty() { EMPTY.to_owned() } else { cut.to_owned() }
}

/// Transliterated words joined by `-`; stops soon after `max` bytes, so that a huge title costs nothing.
fn hyphenated(title: &str, max: usize) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in title.chars().flat_map(char::to_lowercase) {
        match letters(c) {
            Letters::Gap => gap = true,
            Letters::Nothing => {}
            Letters::Ascii(c) => push(&mut out, &mut gap, c.encode_utf8(&mut [0; 4])),
            Letters::Text(text) => push(&mut out, &mut gap, text),
        }
        if out.len() > max {
            break;
        }
    }
    out
}

fn push(out: &mut String, gap: &mut bool, text: &str) {
    if *gap && !out.is_empty() {
        out.push('-');
    }
    *gap = false;
    out.push_str(text);
}

fn cut_between_words(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let hard = text.get(..max).unwrap_or(text);
    let ends_a_word = text.as_bytes().get(max) == Some(&b'-');
    let soft = hard.rfind('-').filter(|at| !ends_a_word && *at * 2 >= max).and_then(|at| hard.get(..at));
    soft.unwrap_or(hard).trim_end_matches('-')
}

/// What one lower-case character is written as.
pub(super) enum Letters {
    /// It parts words.
    Gap,
    /// It leaves no trace: a soft sign, an apostrophe, an accent, a letter of an alphabet not known here.
    Nothing,
    Ascii(char),
    Text(&'static str),
}

/// The ASCII spelling of a lower-case character.
pub(super) fn letters(c: char) -> Letters {
    match c {
        'a'..='z' | '0'..='9' => Letters::Ascii(c),
        'ъ' | 'ь' | '\'' | '’' | 'ʼ' | '`' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{feff}' => {
            Letters::Nothing
        }
        _ => match cyrillic(c).or_else(|| latin(c)) {
            Some(text) => Letters::Text(text),
            None if c.is_alphanumeric() => Letters::Nothing,
            None => Letters::Gap,
        },
    }
}

/// Russian, Ukrainian, Belarusian, Serbian and Macedonian letters in the usual passport spelling.
fn cyrillic(c: char) -> Option<&'static str> {
    Some(match c {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'э' => "e",
        'ё' => "yo",
        'є' => "ye",
        'ж' => "zh",
        'з' => "z",
        'и' | 'і' => "i",
        'й' | 'ј' => "y",
        'ї' => "yi",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ы' => "y",
        'ю' => "yu",
        'я' => "ya",
        'ђ' => "dj",
        'љ' => "lj",
        'њ' => "nj",
        'ћ' => "c",
        'џ' => "dz",
        'ѓ' => "gj",
        'ќ' => "kj",
        'ѕ' => "dz",
        _ => return None,
    })
}

/// The accented letters of the European Latin alphabets.
fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'ö' | 'œ' => "oe",
        'ŕ' | 'ř' => "r",
        'ß' => "ss",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ţ' | 'ť' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ü' => "ue",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn titles_become_slugs() {
        let rows = [
            ("Add a login page", "add-a-login-page"),
            ("  --Fix: the /api/v1 (500)!  ", "fix-the-api-v1-500"),
            ("Добавить щётку и объём", "dobavit-shchyotku-i-obyom"),
            ("ПРИВЕТ, Світ ї", "privet-svit-yi"),
            ("Crème brûlée — Straße, œuvre", "creme-brulee-strasse-oeuvre"),
            ("cafe\u{301}s don't", "cafes-dont"),
            ("日本語 with 中文 inside", "with-inside"),
            ("日本語", "task"),
            ("", "task"),
            ("../../etc/passwd", "etc-passwd"),
            ("--upload-pack=touch x", "upload-pack-touch-x"),
            ("a.lock@{1}..b", "a-lock-1-b"),
            ("a\0b\nc", "a-b-c"),
            ("İstanbul", "istanbul"),
        ];
        for (title, want) in rows {
            assert_eq!(slug(title, 60), want, "{title:?}");
        }
    }

    #[test]
    fn a_cut_falls_between_words_where_it_can() {
        assert_eq!(slug("alpha beta gamma", 12), "alpha-beta");
        assert_eq!(slug("alpha beta gamma", 10), "alpha-beta");
        assert_eq!(slug("alpha beta gamma", 11), "alpha-beta");
        assert_eq!(slug("x incomprehensibilities", 10), "x-incompre");
        assert_eq!(slug("щщщщ", 6), "shchsh");
        assert_eq!(slug("alpha", 0), "alph");
    }

    proptest! {
        #[test]
        fn always_a_safe_component(title in "\\PC{0,80}|(?s).{0,40}", max in 0usize..120) {
            let s = slug(&title, max);
            prop_assert!(!s.is_empty() && s.len() <= max.max(4), "{s}");
            prop_assert!(s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{s}");
            prop_assert!(!s.starts_with('-') && !s.ends_with('-') && !s.contains("--"), "{s}");
            prop_assert_eq!(slug(&s, max), s);
        }
    }
}
