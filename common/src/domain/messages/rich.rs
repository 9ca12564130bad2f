//! What agents and people wrote as Markdown, as the HTML that a work item's thread shows: lists, code, tables and links, and
//! nothing that does something. HTML in it is text, a picture is a link to it, and a link leads to a page or to an address.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Around a part of a rendered text that is Markdown, each on a line of its own. No text from outside has them.
pub(super) const BEGINS: char = '\u{e000}';
pub(super) const ENDS: char = '\u{e001}';
/// Bytes that are written as Markdown; a longer text is no message.
const MOST: usize = 200_000;

/// Marks a text as Markdown, for the forms that show it as such.
pub(super) fn marked(text: &str) -> String {
    format!("{BEGINS}\n{}\n{ENDS}", without_marks(text))
}

/// The text as it stands, for the forms that know no parts.
pub(super) fn without_marks(text: &str) -> String {
    text.replace([BEGINS, ENDS], "")
}

/// HTML of Markdown; `plain` makes mere text of what would name a person.
pub(super) fn to_html(markdown: &str, plain: impl Fn(&str) -> String) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let markdown = markdown.get(..markdown.floor_char_boundary(MOST)).unwrap_or_default();
    let mut leads = Vec::new();
    let mut in_code = false;
    let events = Parser::new_ext(markdown, options).filter_map(|event| match event {
        Event::Start(Tag::CodeBlock(kind)) => {
            in_code = true;
            Some(Event::Start(Tag::CodeBlock(kind)))
        }
        Event::End(TagEnd::CodeBlock) => {
            in_code = false;
            Some(Event::End(TagEnd::CodeBlock))
        }
        Event::Start(Tag::HtmlBlock) => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) => Some(Event::End(TagEnd::Paragraph)),
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(CowStr::from(plain(text.trim_end())))),
        Event::Text(text) if !in_code => Some(Event::Text(CowStr::from(plain(&text)))),
        // Each line was written as one.
        Event::SoftBreak => Some(Event::HardBreak),
        Event::TaskListMarker(done) => Some(Event::Text(CowStr::from(if done { "☑ " } else { "☐ " }))),
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            leads.push(is_safe(&dest_url));
            leads.last().is_some_and(|safe| *safe).then(|| Event::Start(link(dest_url)))
        }
        Event::End(TagEnd::Link | TagEnd::Image) => leads.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
        Event::Start(_)
        | Event::End(_)
        | Event::Text(_)
        | Event::Code(_)
        | Event::InlineMath(_)
        | Event::DisplayMath(_)
        | Event::FootnoteReference(_)
        | Event::HardBreak
        | Event::Rule => Some(event),
    });
    let mut out = String::with_capacity(markdown.len() + markdown.len() / 2);
    html::push_html(&mut out, events);
    out.trim_end().to_owned()
}

fn link(dest_url: CowStr<'_>) -> Tag<'_> {
    Tag::Link { link_type: pulldown_cmark::LinkType::Inline, dest_url, title: CowStr::from(""), id: CowStr::from("") }
}

fn is_safe(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    ["http://", "https://", "mailto:"].iter().any(|scheme| lower.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn html(markdown: &str) -> String {
        to_html(markdown, str::to_owned)
    }

    #[test]
    fn markdown_is_shown_and_does_nothing() {
        let rows = [
            (
                "1. Which **colour**?\n2. `x_y` or ~~no~~?",
                "<ol>\n<li>Which <strong>colour</strong>?</li>\n<li><code>x_y</code> or <del>no</del>?</li>\n</ol>",
            ),
            ("# Open\n\na\nb", "<h1>Open</h1>\n<p>a<br />\nb</p>"),
            (
                "```rust\nlet x = 1 < 2; // @ann\n```",
                "<pre><code class=\"language-rust\">let x = 1 &lt; 2; // @ann\n</code></pre>",
            ),
            ("- [ ] a\n- [x] b", "<ul>\n<li>☐ a</li>\n<li>☑ b</li>\n</ul>"),
            (
                "| a | b |\n| --- | --- |\n| 1 | <br> |",
                "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>\n<tr><td>1</td><td>&lt;br&gt;</td></tr>\n</tbody></table>",
            ),
            (
                "[page](https://a.test/x) <https://b.test>",
                "<p><a href=\"https://a.test/x\">page</a> <a href=\"https://b.test\">https://b.test</a></p>",
            ),
            ("[a](javascript:alert(1)) [b](data:text/html,x) [c](/etc)", "<p>a b c</p>"),
            ("![plan](https://a.test/p.png) ![x](javascript:y)", "<p><a href=\"https://a.test/p.png\">plan</a> x</p>"),
            ("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>"),
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
            ("> quoted\n\nend", "<blockquote>\n<p>quoted</p>\n</blockquote>\n<p>end</p>"),
        ];
        for (markdown, want) in rows {
            assert_eq!(html(markdown), want, "{markdown:?}");
        }
        assert_eq!(
            to_html("hi @ann\n\n`@ann`", |text| text.replace('@', "(at)")),
            "<p>hi (at)ann</p>\n<p><code>@ann</code></p>"
        );
    }

    #[test]
    fn no_depth_ends_the_process() {
        for part in ["> ", "- ", "*a ", "[", "![", "<div>", "1. ", "\t- "] {
            html(&part.repeat(20_000));
        }
    }

    proptest! {
        #[test]
        fn only_these_tags_come_out(text in "([a-z&<>\"'/@#*_`~!|\\[\\]() \n-]|```\n|<script>|<img src=x onerror=y>|\\]\\(javascript:x\\)|</p>){0,40}") {
            let html = html(&text);
            for tag in html.split('<').skip(1) {
                let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
                let allowed = [
                    "p", "br", "strong", "em", "del", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "a", "table", "thead",
                    "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6",
                ];
                prop_assert!(allowed.contains(&name.as_str()), "{name}: {html}");
                prop_assert!(!tag.contains("onerror=") || tag.find('>') < tag.find("onerror="), "{html}");
            }
            prop_assert!(!html.contains("href=\"javascript"), "{html}");
        }
    }
}
