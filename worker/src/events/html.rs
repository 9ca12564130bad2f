//! The words of a comment: HTML -> text, one line for each line a person sees. Commands count at the start of a
//! line, so quoted words must not come to stand there.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// What is shown of `html`: block tags and `<br>` end a line, entities are decoded, scripts and styles dropped,
/// quoted lines start with `> `. Newlines of the source stay: comments may be plain text.
pub fn to_text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut page = Page::default();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let emoji = tag.attributes.get(&b"data-name"[..]).map(|name| lossy(name));
                page.open(&lossy(&tag.name), emoji, tag.self_closing);
            }
            Token::EndTag(tag) => page.close(&lossy(&tag.name)),
            Token::String(text) => page.write(&lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    page.finish()
}

/// The text so far.
#[derive(Default)]
struct Page {
    lines: Vec<String>,
    line: String,
    /// Depth of quotes.
    quotes: usize,
    /// The tag whose content is not shown.
    dropping: Option<String>,
    /// A named emoji, until its picture has come.
    emoji: Option<String>,
}

impl Page {
    fn open(&mut self, tag: &str, emoji: Option<String>, self_closing: bool) {
        if self.dropping.is_some() {
            return;
        }
        match tag {
            "script" | "style" | "iframe" | "noscript" if !self_closing => self.dropping = Some(tag.to_owned()),
            "span" => self.emoji = emoji,
            _ if is_block(tag) => self.end_line(),
            _ => {}
        }
        if tag == "blockquote" && !self_closing {
            self.quotes += 1;
        }
    }

    fn close(&mut self, tag: &str) {
        if self.dropping.as_deref() == Some(tag) {
            self.dropping = None;
            return;
        }
        if tag == "span"
            && let Some(name) = self.emoji.take()
        {
            self.line.push_str(&format!(":{name}:"));
        }
        if is_block(tag) {
            self.end_line();
        }
        if tag == "blockquote" {
            self.quotes = self.quotes.saturating_sub(1);
        }
    }

    fn write(&mut self, text: &str) {
        if self.dropping.is_some() {
            return;
        }
        if !text.trim().is_empty() {
            self.emoji = None;
        }
        let mut parts = text.split('\n');
        self.line.push_str(parts.next().unwrap_or_default());
        for part in parts {
            self.end_line();
            self.line.push_str(part);
        }
    }

    /// Blank lines are kept out: they say nothing to a reader of commands or answers.
    fn end_line(&mut self) {
        let line = self.line.replace('\u{a0}', " ");
        let line = line.trim();
        if !line.is_empty() {
            self.lines.push(format!("{}{line}", "> ".repeat(self.quotes)));
        }
        self.line.clear();
    }

    fn finish(mut self) -> String {
        self.end_line();
        self.lines.join("\n")
    }
}

fn is_block(tag: &str) -> bool {
    const BLOCKS: &[&str] = &[
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ];
    BLOCKS.contains(&tag)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_and_a_program_read_the_same_lines() {
        let table = [
            ("", ""),
            ("<p></p>", ""),
            ("<p>:approved: looks good</p>", ":approved: looks good"),
            ("<p class=\"x\"><strong>:appr</strong>oved:</p><p>more</p>", ":approved:\nmore"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<ul><li>one</li><li>two</li></ul>tail", "one\ntwo\ntail"),
            ("&gt; quoted &amp; more&nbsp;&#x1F680;", "> quoted & more 🚀"),
            ("<p>x</p><script>:approved:</script><style>p{}</style>y", "x\ny"),
            ("<script>:approved:", ""),
            ("<blockquote><p>:approved:</p>said</blockquote><p>no</p>", "> :approved:\n> said\nno"),
            ("<span data-name=\"white_check_mark\" data-type=\"emoji\">✅</span> good", "✅ good"),
            ("<span data-name=\"tada\" data-type=\"emoji\"></span> good", ":tada: good"),
            ("plain\ntext <b>unclosed", "plain\ntext unclosed"),
            ("a<!-- :approved: -->b", "ab"),
            ("1 < 2 & 3", "1 < 2 & 3"),
            ("<p>one</p>\n\n<p>two</p>", "one\ntwo"),
        ];
        for (html, text) in table {
            assert_eq!(to_text(html), text, "{html}");
        }
    }
}
