//! Writes a tree down as Markdown: blocks with the marks of what they stand in, one below the other.

use super::inline::{Form, Paragraph};
use super::tree::{Element, Id, Node, Tree, is_block, mention_of};
use super::{Page, Picture, table};

/// How it is to be written.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Bold and italic letters are shown.
    pub emphasis: bool,
    pub name_of: &'a dyn Fn(&str) -> Option<String>,
}

/// Writes the whole tree.
pub fn write(tree: &Tree, wanted: Wanted<'_>) -> Page {
    // A program wrote it, as it writes Markdown.
    if let Some(text) = tree.bare_text() {
        return Page { text: text.trim().to_owned(), pictures: Vec::new() };
    }
    let mut writer = Writer::new(tree, wanted);
    writer.below(tree.root(), &Form::default());
    writer.end_paragraph();
    Page { text: writer.lines.join("\n").trim_end().to_owned(), pictures: writer.pictures }
}

/// What stands before each line of a quote or of an item of a list.
#[derive(Debug)]
struct Prefix {
    /// Before the first line; taken by it.
    first: Option<String>,
    rest: String,
}

struct Writer<'a> {
    tree: &'a Tree,
    wanted: Wanted<'a>,
    lines: Vec<String>,
    prefixes: Vec<Prefix>,
    paragraph: Paragraph,
    /// A blank line parts what comes from what is there.
    gap: bool,
    pictures: Vec<Picture>,
}

impl<'a> Writer<'a> {
    fn new(tree: &'a Tree, wanted: Wanted<'a>) -> Self {
        Writer {
            tree,
            wanted,
            lines: Vec::new(),
            prefixes: Vec::new(),
            paragraph: Paragraph::default(),
            gap: false,
            pictures: Vec::new(),
        }
    }

    fn below(&mut self, id: Id, form: &Form) {
        let Some(Node::Element(element)) = self.tree.get(id) else { return };
        for (id, node) in self.tree.children(element) {
            match node {
                Node::Text(text) => self.text(text, form),
                Node::Element(element) => self.element(id, element, form),
            }
        }
    }

    fn text(&mut self, text: &str, form: &Form) {
        // Without any paragraph the lines of the source are those that were meant.
        for (n, line) in text.split('\n').enumerate() {
            if n > 0 {
                if self.tree.plain { self.paragraph.line_end() } else { self.paragraph.text(" ", form) }
            }
            self.paragraph.text(line, form);
        }
    }

    fn element(&mut self, id: Id, element: &Element, form: &Form) {
        match element.tag.as_str() {
            "br" => self.paragraph.line_end(),
            "hr" => {
                self.end_paragraph();
                self.block(&["---".to_owned()]);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading(id, element, form),
            "blockquote" => self.within("> ", "> ", |writer| writer.below(id, form)),
            "pre" => self.code(id, element),
            "ul" | "ol" | "menu" => self.list(element, form),
            // Outside of a list.
            "li" => self.item(id, "- ", form),
            "table" => self.table(id),
            "input" | "col" => {}
            "img" | "image-component" => self.picture(element, form),
            "mention-component" => self.mention(element, form),
            tag if is_block(tag) => {
                self.end_paragraph();
                self.below(id, form);
                self.end_paragraph();
            }
            _ => self.inline(id, element, form),
        }
    }

    fn inline(&mut self, id: Id, element: &Element, form: &Form) {
        let mut inner = form.clone();
        // One link is one piece, whatever is stressed in it.
        let emphasis = self.wanted.emphasis && form.link.is_none();
        match element.tag.as_str() {
            "strong" | "b" => inner.bold |= emphasis,
            "em" | "i" => inner.italic |= emphasis,
            "s" | "del" | "strike" => inner.struck = true,
            "code" | "tt" | "kbd" | "samp" => inner.code = true,
            "a" => inner.link = element.attribute("href").and_then(safe_address).or(inner.link),
            _ => {}
        }
        if element.attribute("style").is_some_and(|style| style.contains("line-through")) {
            inner.struck = true;
        }
        let shows = |id| self.tree.find(id, shows_itself).is_some();
        if self.tree.text_in(id).trim().is_empty() && !element.children.iter().any(|child| shows(*child)) {
            return self.without_text(element, form);
        }
        self.below(id, &inner);
    }

    /// An element that shows something although no text is in it: an emoji by its name, a thing that Plane embeds.
    fn without_text(&mut self, element: &Element, form: &Form) {
        if let Some(name) = element.attribute("data-name") {
            self.paragraph.text(&format!(":{name}:"), form);
        } else if element.tag.contains('-') {
            let what =
                ["src", "entity_identifier", "data-id", "id"].into_iter().find_map(|name| element.attribute(name));
            let shown = format!("({}: {})", element.tag.trim_end_matches("-component"), what.unwrap_or("?"));
            self.paragraph.text(&shown, form);
        } else {
            self.paragraph.text(" ", form);
        }
    }

    fn heading(&mut self, id: Id, element: &Element, form: &Form) {
        let level = element.tag.get(1..).and_then(|level| level.parse().ok()).unwrap_or(1);
        self.end_paragraph();
        self.below(id, form);
        let text = self.paragraph.take().join(" ");
        if !text.is_empty() {
            self.block(&[format!("{} {text}", "#".repeat(level))]);
        }
    }

    fn code(&mut self, id: Id, element: &Element) {
        self.end_paragraph();
        let text = self.tree.text_in(id).replace("\r\n", "\n");
        let text = text.strip_prefix('\n').unwrap_or(&text);
        let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let inner = self.tree.find(id, |e| e.tag == "code" && language_of(e).is_some());
        let language = inner.and_then(language_of).or_else(|| language_of(element)).unwrap_or_default();
        let mut lines = vec![format!("{fence}{language}")];
        lines.extend(text.trim_end_matches('\n').split('\n').map(str::to_owned));
        lines.push(fence);
        self.block(&lines);
    }

    fn list(&mut self, element: &Element, form: &Form) {
        self.end_paragraph();
        // A list within an item begins right below the item's line.
        self.gap &= self.prefixes.last().is_none_or(|prefix| !prefix.rest.trim().is_empty());
        let mut number: u64 = element.attribute("start").and_then(|start| start.parse().ok()).unwrap_or(1);
        let tasks = element.attribute("data-type") == Some("taskList");
        for (id, node) in self.tree.children(element) {
            let Node::Element(item) = node else { continue };
            if item.tag != "li" {
                self.element(id, item, form);
                continue;
            }
            let box_of = self.box_of(id, item, tasks);
            let mark =
                if element.tag == "ol" { format!("{number}. ") } else { format!("- {}", box_of.unwrap_or_default()) };
            number = number.saturating_add(1);
            self.item(id, &mark, form);
            self.gap = false;
        }
        self.gap = true;
    }

    /// The box of an item of a list of tasks.
    fn box_of(&self, id: Id, item: &Element, of_tasks: bool) -> Option<&'static str> {
        let own = self.tree.find(id, |e| e.tag == "input" && e.attribute("type") == Some("checkbox"));
        let ticked = match (item.attribute("data-checked"), own) {
            (Some(checked), _) => checked == "true",
            (None, Some(input)) => input.has("checked"),
            (None, None) if of_tasks || item.attribute("data-type") == Some("taskItem") => false,
            (None, None) => return None,
        };
        Some(if ticked { "[x] " } else { "[ ] " })
    }

    fn item(&mut self, id: Id, mark: &str, form: &Form) {
        let indent = if mark.starts_with('-') { 2 } else { mark.len() };
        self.within(mark, &" ".repeat(indent), |writer| writer.below(id, form));
    }

    /// Writes what is in a quote or in an item of a list.
    fn within(&mut self, first: &str, rest: &str, inner: impl FnOnce(&mut Self)) {
        self.end_paragraph();
        self.part();
        self.prefixes.push(Prefix { first: Some(first.to_owned()), rest: rest.to_owned() });
        inner(self);
        self.end_paragraph();
        // An empty item is one, too.
        if self.prefixes.last().is_some_and(|prefix| prefix.first.is_some()) {
            self.line("");
        }
        self.prefixes.pop();
        self.gap = true;
    }

    fn table(&mut self, id: Id) {
        self.end_paragraph();
        let mut rows = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(Node::Element(element)) = self.tree.get(id) else { continue };
            match element.tag.as_str() {
                "tr" => rows.push(self.row(element)),
                "caption" => {
                    let lines = self.cell(id);
                    self.block(&[table::cell(&lines)]);
                }
                _ => open.extend(element.children.iter().rev()),
            }
        }
        rows.retain(|row: &Vec<String>| !row.is_empty());
        if !rows.is_empty() {
            self.block(&table::write(&rows));
        }
    }

    fn row(&mut self, row: &Element) -> Vec<String> {
        let mut cells = Vec::new();
        for (id, node) in self.tree.children(row) {
            if let Node::Element(cell) = node
                && matches!(cell.tag.as_str(), "td" | "th")
            {
                let lines = self.cell(id);
                cells.push(table::cell(&lines));
                let more = cell.attribute("colspan").and_then(|n| n.parse::<usize>().ok()).unwrap_or(1).clamp(1, 50);
                cells.extend((1..more).map(|_| String::new()));
            }
        }
        cells
    }

    /// The lines of one cell, written by themselves.
    fn cell(&mut self, id: Id) -> Vec<String> {
        let mut inner = Writer::new(self.tree, self.wanted);
        inner.below(id, &Form::default());
        inner.end_paragraph();
        self.pictures.append(&mut inner.pictures);
        inner.lines
    }

    fn picture(&mut self, element: &Element, form: &Form) {
        let named = ["alt", "title", "data-name", "name"].into_iter().find_map(|name| element.attribute(name));
        let name = one_line(named.unwrap_or_default()).replace(['[', ']'], "");
        let Some(address) = element.attribute("src").and_then(safe_address) else {
            return self.paragraph.text(&format!("(a picture {name})"), form);
        };
        self.paragraph.raw(format!("![{name}]({address})"), form);
        self.pictures.push(Picture { name, address });
    }

    fn mention(&mut self, element: &Element, form: &Form) {
        let Some(id) = mention_of(element) else { return self.without_text(element, form) };
        let name = (self.wanted.name_of)(id).unwrap_or_else(|| one_line(id));
        self.paragraph.text(&format!("@{name}"), form);
    }

    fn end_paragraph(&mut self) {
        let lines = self.paragraph.take();
        if !lines.is_empty() {
            self.block(&lines);
        }
    }

    fn block(&mut self, lines: &[String]) {
        self.part();
        for line in lines {
            self.line(line);
        }
        self.gap = true;
    }

    /// The blank line that parts blocks, unless an item of a list begins here.
    fn part(&mut self) {
        let begins = self.prefixes.last().is_some_and(|prefix| prefix.first.is_some());
        if std::mem::take(&mut self.gap) && !begins && !self.lines.is_empty() {
            self.line("");
        }
    }

    fn line(&mut self, text: &str) {
        let mut line = String::new();
        for prefix in &mut self.prefixes {
            line.push_str(&prefix.first.take().unwrap_or_else(|| prefix.rest.clone()));
        }
        line.push_str(text);
        self.lines.push(line.trim_end().to_owned());
    }
}

/// Something to be seen that is no text.
fn shows_itself(element: &Element) -> bool {
    matches!(element.tag.as_str(), "img" | "br" | "hr")
        || element.tag.contains('-')
        || element.attribute("data-name").is_some()
}

/// The language that a block of code is marked with.
fn language_of(element: &Element) -> Option<String> {
    let class = element.attribute("class")?.split_whitespace().find_map(|class| class.strip_prefix("language-"))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '#' | '.');
    (class.len() <= 30 && class.chars().all(fits)).then(|| class.to_owned())
}

/// An address that leads somewhere and does nothing else, fit for Markdown.
fn safe_address(address: &str) -> Option<String> {
    let address: String = address.chars().filter(|c| !c.is_control()).collect();
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |s: &&str| s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let known = |s: &str| ["http", "https", "mailto", "ftp"].iter().any(|known| s.eq_ignore_ascii_case(known));
    if address.trim().is_empty() || scheme.filter(is_scheme).is_some_and(|s| !known(s)) {
        return None;
    }
    let percent = |c: char| match c {
        ' ' | '<' | '>' | '(' | ')' | '\\' | '"' | '`' | '|' => format!("%{:02X}", u32::from(c)),
        _ => c.to_string(),
    };
    Some(address.trim().chars().map(percent).collect())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
