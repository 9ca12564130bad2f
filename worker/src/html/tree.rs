//! A tree of what a text's HTML shows, however it is written: elements that are never closed, closed twice or nested
//! without end make a small tree as well. Kept in one list, so that nothing here calls itself.

use html5gum::{DefaultEmitter, Token, Tokenizer};
use std::collections::BTreeMap;

/// Bytes of a text that are read; Plane takes five times as much.
const MOST_BYTES: usize = 1 << 20;
/// Levels of elements; what is nested deeper is shown at the deepest.
const DEPTH: usize = 48;
/// Elements and pieces of text.
const MOST_NODES: usize = 50_000;
/// How far an end tag looks for its beginning.
const LOOK_BACK: usize = 64;
/// Says that more was written.
const CUT: &str = "(the text is longer; the rest was not read)";

/// The place of a node in the list.
pub type Id = usize;

/// A piece of a text.
#[derive(Debug)]
pub enum Node {
    Text(String),
    Element(Element),
}

/// An element with what is in it.
#[derive(Debug, Default)]
pub struct Element {
    /// In lower case.
    pub tag: String,
    attributes: BTreeMap<String, String>,
    pub children: Vec<Id>,
}

impl Element {
    /// An attribute that is there and not empty.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }
}

/// The tree; its root is an element without a name.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// No element of it is a block: the text is written as plain lines.
    pub plain: bool,
}

impl Tree {
    /// Reads HTML; never fails.
    pub fn of(html: &str) -> Tree {
        let end = html.floor_char_boundary(MOST_BYTES);
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut builder = Builder::default();
        for token in Tokenizer::new_with_emitter(html.get(..end).unwrap_or_default(), emitter) {
            let Ok(token) = token;
            if builder.tree.nodes.len() >= MOST_NODES {
                builder.cut();
                return builder.tree;
            }
            match token {
                Token::StartTag(tag) => {
                    let attributes = tag.attributes.iter().map(|(name, value)| (lossy(name), lossy(value))).collect();
                    let element = Element { tag: lossy(&tag.name), attributes, children: Vec::new() };
                    builder.open(element, tag.self_closing);
                }
                Token::EndTag(tag) => builder.close(&lossy(&tag.name)),
                Token::String(text) => builder.write(lossy(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        if end < html.len() {
            builder.cut();
        }
        builder.tree
    }

    pub fn get(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub const fn root(&self) -> Id {
        0
    }

    /// What is right in an element.
    pub fn children(&self, element: &Element) -> impl Iterator<Item = (Id, &Node)> {
        element.children.iter().filter_map(|id| Some((*id, self.nodes.get(*id)?)))
    }

    /// The text in an element and in what it holds, as it is written; line breaks are its lines.
    pub fn text_in(&self, id: Id) -> String {
        let mut text = String::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            match self.nodes.get(id) {
                Some(Node::Text(part)) => text.push_str(part),
                Some(Node::Element(element)) if element.tag == "br" => text.push('\n'),
                Some(Node::Element(element)) => open.extend(element.children.iter().rev()),
                None => {}
            }
        }
        text
    }

    /// The first element at or below `id` for which `wanted` holds, but for what is in a list below it.
    pub fn find(&self, id: Id, wanted: impl Fn(&Element) -> bool) -> Option<&Element> {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            match self.nodes.get(id) {
                Some(Node::Element(element)) if wanted(element) => return Some(element),
                Some(Node::Element(element)) if matches!(element.tag.as_str(), "ul" | "ol") => {}
                Some(Node::Element(element)) => open.extend(element.children.iter().rev()),
                Some(Node::Text(_)) | None => {}
            }
        }
        None
    }

    /// The whole, where it is text without any element.
    pub fn bare_text(&self) -> Option<String> {
        let is_text = |node: &Node| matches!(node, Node::Text(_));
        self.nodes.iter().skip(1).all(is_text).then(|| self.text_in(self.root()))
    }

    /// The ids of the people who are mentioned.
    pub fn mentioned(&self) -> Vec<String> {
        let elements = self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => mention_of(element),
            Node::Text(_) => None,
        });
        elements.map(str::to_owned).collect()
    }
}

/// Whom an element mentions, by id; other things that Plane embeds the same way are no people.
pub fn mention_of(element: &Element) -> Option<&str> {
    let is_mention = element.tag == "mention-component"
        && element.attribute("entity_name").is_none_or(|name| name == "user_mention");
    is_mention.then(|| element.attribute("entity_identifier")).flatten()
}

/// Builds a tree token by token.
struct Builder {
    tree: Tree,
    /// The elements that are open, by their names, each with the node that takes its content.
    open: Vec<(String, Id)>,
    /// Elements of form that their paragraph ended without closing: they go on in the next.
    carried: Vec<String>,
    /// The element whose content nobody sees.
    dropping: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        let root = Node::Element(Element::default());
        Builder { tree: Tree { nodes: vec![root], plain: true }, open: Vec::new(), carried: Vec::new(), dropping: None }
    }
}

impl Builder {
    fn open(&mut self, element: Element, self_closing: bool) {
        if self.dropping.is_some() {
            return;
        }
        let tag = element.tag.clone();
        if !self_closing && is_unseen(&tag) {
            self.dropping = Some(tag);
            return;
        }
        self.imply_ends(&tag);
        if !is_block(&tag) {
            self.carry_on();
        }
        self.push(element, self_closing);
    }

    fn push(&mut self, element: Element, self_closing: bool) {
        let tag = element.tag.clone();
        self.tree.plain &= !(is_block(&tag) && tag != "br");
        let depth = self.open.len();
        let parent = self.place();
        // What is too deep has no element of its own; its text stays.
        let place = if depth < DEPTH { self.add(parent, Node::Element(element)) } else { parent };
        if !self_closing && !is_void(&tag) {
            self.open.push((tag, place));
        }
    }

    fn close(&mut self, tag: &str) {
        if self.dropping.as_deref() == Some(tag) {
            self.dropping = None;
        }
        if self.dropping.is_none() {
            self.close_up_to(tag, |_| false);
            self.carried.retain(|carried| carried != tag);
        }
    }

    fn write(&mut self, text: String) {
        if self.dropping.is_none() {
            if !text.trim().is_empty() {
                self.carry_on();
            }
            let place = self.place();
            self.add(place, Node::Text(text));
        }
    }

    fn carry_on(&mut self) {
        for tag in std::mem::take(&mut self.carried) {
            self.push(Element { tag, ..Element::default() }, false);
        }
    }

    fn cut(&mut self) {
        (self.open, self.carried, self.dropping) = (Vec::new(), Vec::new(), None);
        self.open(Element { tag: "p".to_owned(), ..Element::default() }, false);
        self.write(CUT.to_owned());
    }

    /// Elements that end where another one begins, as browsers have it.
    fn imply_ends(&mut self, tag: &str) {
        match tag {
            "li" => self.close_up_to("li", |open| matches!(open, "ul" | "ol")),
            "tr" => self.close_up_to("tr", |open| open == "table"),
            "td" | "th" => {
                self.close_up_to("td", |open| matches!(open, "tr" | "table"));
                self.close_up_to("th", |open| matches!(open, "tr" | "table"));
            }
            "dt" | "dd" => {
                self.close_up_to("dt", |open| open == "dl");
                self.close_up_to("dd", |open| open == "dl");
            }
            _ => {}
        }
        if is_block(tag) && tag != "br" {
            self.close_up_to("p", |open| open != "p" && is_block(open));
        }
    }

    /// Closes the innermost open element of that name, if it is not behind one that holds it back.
    fn close_up_to(&mut self, tag: &str, holds: impl Fn(&str) -> bool) {
        let behind = self.open.iter().rev().take(LOOK_BACK).take_while(|(open, _)| open == tag || !holds(open));
        if let Some(back) = behind.map(|(open, _)| open.as_str()).position(|open| open == tag) {
            let at = self.open.len() - back - 1;
            let ended = self.open.drain(at..).skip(1).map(|(tag, _)| tag);
            self.carried.extend(ended.filter(|tag| is_form(tag)).take(DEPTH));
        }
    }

    fn place(&self) -> Id {
        self.open.last().map_or(0, |(_, place)| *place)
    }

    fn add(&mut self, parent: Id, node: Node) -> Id {
        let id = self.tree.nodes.len();
        self.tree.nodes.push(node);
        if let Some(Node::Element(element)) = self.tree.nodes.get_mut(parent) {
            element.children.push(id);
        }
        id
    }
}

/// Their content is no text of the page.
fn is_unseen(tag: &str) -> bool {
    const UNSEEN: &[&str] = &[
        "script", "style", "iframe", "noscript", "noembed", "noframes", "object", "title", "head", "template",
        "textarea", "select", "svg", "math", "audio", "video", "canvas",
    ];
    UNSEEN.contains(&tag)
}

/// Elements of form that browsers carry over the end of a paragraph.
fn is_form(tag: &str) -> bool {
    matches!(tag, "b" | "big" | "code" | "em" | "i" | "s" | "small" | "strike" | "strong" | "tt" | "u")
}

fn is_void(tag: &str) -> bool {
    const VOID: &[&str] = &[
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    ];
    VOID.contains(&tag)
}

/// Elements that begin and end a line.
pub fn is_block(tag: &str) -> bool {
    const BLOCKS: &[&str] = &[
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
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
        "legend",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ];
    BLOCKS.contains(&tag)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
