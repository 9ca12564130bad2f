//! A rendered text in the forms of the outside systems. Whatever the text holds, it stays text there: no markup but that of
//! a part that is Markdown, no mention of a person, no link to an issue.

use super::rich;

/// Stands between `@` or `#` and what follows, so that neither means anything; invisible.
const JOINER: char = '\u{200d}';

/// A part of a text.
enum Block<'a> {
    /// Lines of one paragraph.
    Text(Vec<&'a str>),
    /// Lines between two fences; an open fence reaches to the end.
    Code(Vec<&'a str>),
    /// Lines that are Markdown.
    Rich(Vec<&'a str>),
}

/// HTML for a work item's comment: paragraphs, line breaks and code blocks, and all that Markdown has where the text is such.
pub fn to_html(text: &str) -> String {
    let html = blocks(text).into_iter().map(|block| match block {
        Block::Text(lines) => {
            let lines = lines.iter().map(|line| escape(&without_mentions(line)));
            format!("<p>{}</p>", lines.collect::<Vec<_>>().join("<br/>"))
        }
        Block::Code(lines) => format!("<pre><code>{}</code></pre>", escape(&lines.join("\n"))),
        Block::Rich(lines) => rich::to_html(&lines.join("\n"), without_mentions),
    });
    html.collect()
}

/// Markdown for a pull request: as it is, but without HTML, images, mentions and references to issues.
pub fn to_markdown(text: &str) -> String {
    let text = rich::without_marks(text);
    let parts = blocks(&text).into_iter().map(|block| match block {
        Block::Text(lines) | Block::Rich(lines) => inert(&without_mentions(&lines.join("\n"))),
        Block::Code(lines) => format!("```\n{}\n```", lines.join("\n")),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

/// HTML for a chat message whose visible text has at most `limit_utf16` UTF-16 units; a longer text is cut and
/// ends with an ellipsis.
pub fn to_telegram_html(text: &str, limit_utf16: usize) -> String {
    let text = cut(&without_mentions(rich::without_marks(text).trim()), limit_utf16);
    let parts = blocks(&text).into_iter().filter_map(|block| match block {
        Block::Text(lines) | Block::Rich(lines) => Some(escape(&lines.join("\n"))),
        Block::Code(lines) if lines.is_empty() => None,
        Block::Code(lines) => Some(format!("<pre>{}</pre>", escape(&lines.join("\n")))),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut paragraph = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let is_fence = line.trim_start().starts_with("```");
        let is_rich = line.starts_with(rich::BEGINS);
        if !is_fence && !is_rich && !line.trim().is_empty() {
            paragraph.push(line);
            continue;
        }
        if !paragraph.is_empty() {
            blocks.push(Block::Text(std::mem::take(&mut paragraph)));
        }
        if is_rich {
            blocks.push(Block::Rich(lines.by_ref().take_while(|line| !line.starts_with(rich::ENDS)).collect()));
        }
        if is_fence {
            blocks.push(Block::Code(lines.by_ref().take_while(|line| line.trim() != "```").collect()));
        }
    }
    if !paragraph.is_empty() {
        blocks.push(Block::Text(paragraph));
    }
    blocks
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// Markdown in which `<`, images and `#12` are mere text.
fn inert(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace("![", "!\\[");
    joined_after(&text, '#', |next| next.is_ascii_digit())
}

/// `@name` is mere text; an address like `a@b.c` is left alone.
fn without_mentions(text: &str) -> String {
    joined_after(text, '@', |next| next.is_alphanumeric() || next == '_')
}

/// Puts a joiner between `mark` and what follows, where no word ends at the mark and `names` holds for what follows.
fn joined_after(text: &str, mark: char, names: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == mark && !before.is_alphanumeric() && chars.peek().copied().is_some_and(&names) {
            out.push(JOINER);
        }
        before = c;
    }
    out
}

/// At most `limit` UTF-16 units, never half a character.
fn cut(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    if limit == 0 {
        return String::new();
    }
    // Room for an ellipsis, and for a line end before it where it would otherwise hang on a fence.
    let mut room = limit.saturating_sub(2);
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf16());
        room = left.unwrap_or_default();
        left.is_some()
    };
    let mut out: String = text.chars().take_while(fits).collect();
    out.truncate(out.trim_end().len());
    if out.lines().last().is_some_and(|line| line.trim_start().starts_with("```")) {
        out.push('\n');
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_has_paragraphs_breaks_and_code() {
        let rows = [
            ("one\ntwo\n\nthree", "<p>one<br/>two</p><p>three</p>"),
            (
                "a\n```\nlet x = 1 < 2;\n\n@me\n```\nb",
                "<p>a</p><pre><code>let x = 1 &lt; 2;\n\n@me</code></pre><p>b</p>",
            ),
            ("```rust\nopen", "<pre><code>open</code></pre>"),
            ("<script>alert(\"1\")</script> & co", "<p>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; co</p>"),
            ("hi @ann, mail a@b.c, @ alone", "<p>hi @\u{200d}ann, mail a@b.c, @ alone</p>"),
            ("\n\n", ""),
            ("```\n```", "<pre><code></code></pre>"),
            (
                "Asks:\n\n\u{e000}\n- *a*\n```sh\nx\n```\n@ann\n\u{e001}\n\n*end*",
                "<p>Asks:</p><ul>\n<li><em>a</em></li>\n</ul>\n<pre><code class=\"language-sh\">x\n</code></pre>\n<p>@\u{200d}ann</p><p>*end*</p>",
            ),
        ];
        for (text, want) in rows {
            assert_eq!(to_html(text), want, "{text:?}");
        }
    }

    #[test]
    fn markdown_is_inert_outside_code() {
        let rows = [
            ("closes #12, @ann & <img src=x>\nnext", "closes #\u{200d}12, @\u{200d}ann &amp; &lt;img src=x>\nnext"),
            ("![x](http://t/1.png)", "!\\[x](http://t/1.png)"),
            ("a\n```sh\necho <@x> #1\n```\nb", "a\n\n```\necho <@x> #1\n```\n\nb"),
            ("# Title", "# Title"),
            ("a\n\n\u{e000}\n- <b>\n\u{e001}\n\nc", "a\n\n- &lt;b>\n\nc"),
        ];
        for (text, want) in rows {
            assert_eq!(to_markdown(text), want, "{text:?}");
        }
    }

    #[test]
    fn chat_messages_are_cut_before_they_are_escaped() {
        let rows = [
            ("a < b", 5, "a &lt; b"),
            ("a < b & c", 7, "a &lt; b…"),
            ("&&&&&&", 5, "&amp;&amp;&amp;…"),
            ("😀😀😀", 6, "😀😀😀"),
            ("😀😀😀", 5, "😀…"),
            ("x\n```\ncode\n```\ny", 99, "x\n\n<pre>code</pre>\n\ny"),
            ("x\n```\nlong code here\n```\n", 14, "x\n\n<pre>long c…</pre>"),
            ("x\n```\ncode\n```\nand more text", 18, "x\n\n<pre>code</pre>\n\na…"),
            ("x\n```\ncode\n```\nand more text", 16, "x\n\n<pre>code</pre>\n\n…"),
            ("@ann", 9, "@\u{200d}ann"),
            ("a\n\n\u{e000}\n- b\n\u{e001}", 9, "a\n\n- b"),
            ("abc", 0, ""),
            ("abc", 1, "…"),
            ("", 9, ""),
        ];
        for (text, limit, want) in rows {
            assert_eq!(to_telegram_html(text, limit), want, "{text:?} {limit}");
        }
    }

    /// What a reader sees of a chat message.
    fn visible(html: &str) -> String {
        let text = html.replace("<pre>", "").replace("</pre>", "");
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn chat_messages_keep_their_limit(text in "([a-z&<>@\"😀ж \n]|```\n|\n```){0,60}", limit in 0usize..60) {
            let html = to_telegram_html(&text, limit);
            let seen = visible(&html);
            prop_assert!(seen.encode_utf16().count() <= limit, "{html:?}");
            prop_assert_eq!(html.matches("<pre>").count(), html.matches("</pre>").count());
            prop_assert!(!seen.contains("<pre") || text.contains("<pre"));
        }

        #[test]
        fn nothing_gets_out_of_its_place(text in "([a-z&<>\"'/@# \n]|```\n|\n```|<script>|</p>|</code>){0,40}") {
            let html = to_html(&text);
            let tags = ["<p>", "</p>", "<br/>", "<pre><code>", "</code></pre>"];
            let bare = tags.iter().fold(html, |html, tag| html.replace(tag, ""));
            prop_assert!(!bare.contains(['<', '>', '"']), "{bare}");
        }
    }
}
