//! The text of one paragraph: pieces with their form, joined and written as Markdown that says exactly that.

/// How a piece of text looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pub bold: bool,
    pub italic: bool,
    pub struck: bool,
    pub code: bool,
    /// Where it leads.
    pub link: Option<String>,
}

/// A piece of a paragraph.
#[derive(Debug)]
struct Piece {
    text: String,
    form: Form,
    /// It is Markdown already.
    raw: bool,
}

/// A paragraph that grows.
#[derive(Debug, Default)]
pub struct Paragraph {
    pieces: Vec<Piece>,
}

impl Paragraph {
    /// More text; blanks and line ends of the source are one blank.
    pub fn text(&mut self, text: &str, form: &Form) {
        let mut out = String::with_capacity(text.len());
        let mut blank = self.ends_with_blank();
        for c in text.chars() {
            let is_blank = matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}' | '\u{a0}');
            if !(is_blank && blank) {
                out.push(if is_blank { ' ' } else { c });
            }
            blank = is_blank;
        }
        self.push(out, form, false);
    }

    /// A line ends within the paragraph.
    pub fn line_end(&mut self) {
        let form = self.pieces.last().map(|last| last.form.clone()).unwrap_or_default();
        self.push("\n".to_owned(), &form, false);
    }

    /// Something that is written as Markdown.
    pub fn raw(&mut self, markdown: String, form: &Form) {
        let form = Form { code: false, ..form.clone() };
        self.push(markdown, &form, true);
    }

    fn push(&mut self, text: String, form: &Form, raw: bool) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if !raw && !last.raw && last.form == *form => last.text.push_str(&text),
            _ => self.pieces.push(Piece { text, form: form.clone(), raw }),
        }
    }

    /// Nothing is there, or a blank or line end that makes another one needless.
    fn ends_with_blank(&self) -> bool {
        self.pieces.last().is_none_or(|last| last.text.ends_with([' ', '\n']))
    }

    /// The lines of the paragraph, which is empty then.
    pub fn take(&mut self) -> Vec<String> {
        let pieces = std::mem::take(&mut self.pieces);
        let mut out = String::new();
        for piece in &pieces {
            written(piece, &mut out);
        }
        let out = out.trim_matches([' ', '\n']);
        if out.is_empty() {
            return Vec::new();
        }
        out.split('\n').map(|line| escaped_at_start(line.trim_matches(' '))).collect()
    }
}

/// Marks stand at the text, not at the blanks around it, and end with each line.
fn written(piece: &Piece, out: &mut String) {
    for (n, line) in piece.text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let text = line.trim_matches(' ');
        if text.is_empty() {
            out.push_str(line);
            continue;
        }
        let (before, after) =
            (line.len() - line.trim_start_matches(' ').len(), line.len() - line.trim_end_matches(' ').len());
        out.push_str(&" ".repeat(before));
        out.push_str(&marked(text, &piece.form, piece.raw));
        out.push_str(&" ".repeat(after));
    }
}

fn marked(text: &str, form: &Form, raw: bool) -> String {
    let inner = match (raw, form.code) {
        (true, _) => text.to_owned(),
        (false, true) => code(text),
        (false, false) => escaped(text),
    };
    let linked = match &form.link {
        Some(address) if !raw && !form.code && text == address => format!("<{address}>"),
        Some(address) => format!("[{inner}]({address})"),
        None => inner,
    };
    let mut out = linked;
    for (is, mark) in [(form.italic, "*"), (form.bold, "**"), (form.struck, "~~")] {
        if is {
            out = format!("{mark}{out}{mark}");
        }
    }
    out
}

/// Code within a line; its own back-ticks do not end it.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let room = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

/// Text in which nothing is a mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.as_str().chars().next().unwrap_or(' ');
        let is_mark = match c {
            '`' | '*' => true,
            '\\' => next.is_ascii_punctuation(),
            // Within a word it marks nothing.
            '_' => !(before.is_alphanumeric() && next.is_alphanumeric()),
            '~' => next == '~' || before == '~',
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            // A link, a picture, or the box of a task.
            '[' => rest.as_str().contains(']'),
            _ => false,
        };
        if is_mark {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A line of text that would read as something else by how it begins.
fn escaped_at_start(line: &str) -> String {
    let behind = |mark: char| line.trim_start_matches(mark);
    let ends_mark = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let number = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match line.chars().next() {
        Some('>' | '|') => format!("\\{line}"),
        Some(mark @ '#') if ends_mark(behind(mark)) => format!("\\{line}"),
        Some(mark @ ('-' | '=')) if behind(mark).is_empty() => format!("\\{line}"),
        Some('-' | '+') if ends_mark(line.get(1..).unwrap_or_default()) => format!("\\{line}"),
        Some('0'..='9') => match line.split_at_checked(number) {
            Some((digits, rest)) if rest.starts_with(['.', ')']) && ends_mark(rest.get(1..).unwrap_or_default()) => {
                format!("{digits}\\{rest}")
            }
            _ => line.to_owned(),
        },
        _ => line.to_owned(),
    }
}
