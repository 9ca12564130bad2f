//! Makes inputs from seeds: changed bytes, cut and repeated pieces, pieces of other seeds, and text that parsers treat
//! specially.

use fastrand::Rng;

/// Bytes of the longest input. Senders are held to 25 MiB; what grows worse than linearly shows long before.
const LONGEST: usize = 256 * 1024;

/// Text that parsers treat specially.
const TOKENS: &[&str] = &[
    "\0",
    "\r\n",
    "\n\n",
    "---\n",
    "```",
    "~~~",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[",
    "{\"a\":",
    "null",
    "true",
    "-1",
    "0",
    "9223372036854775808",
    "1e999",
    "<",
    ">",
    "</p>",
    "<p>",
    "<!--",
    "<script>",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "<blockquote>",
    "<li>",
    "<td>",
    "<a href=\"",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "\u{2060}",
    "é",
    "漢",
    "🚀",
    ":approved:",
    ":rejected: why",
    ":retry:",
    "refs/heads/",
    "../",
    "..",
    "/",
    ".git",
    "-",
    "--",
    "%2e%2e",
    "@{",
    "~",
    "^",
    ":",
    "*",
    "?",
    "verdict: approved",
    "result: passed",
    "type\":\"result\"",
    "\u{1b}[31m",
    "\u{1b}]0;",
    "a: &a",
    "*a",
    "<<: *a",
    "!!binary ",
];

/// Endless inputs, the same for the same seed.
pub struct Mutator {
    rng: Rng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// `seeds` must not be empty.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Mutator {
        Mutator { rng: Rng::with_seed(seed), seeds }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.any_seed();
        for _ in 0..=self.rng.usize(0..8) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn any_seed(&mut self) -> Vec<u8> {
        let n = self.rng.usize(0..self.seeds.len());
        self.seeds[n].clone()
    }

    /// A place between two bytes, the ends among them.
    fn place(&mut self, input: &[u8]) -> usize {
        self.rng.usize(0..=input.len())
    }

    /// A piece of `input`, most often a short one.
    fn piece(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let from = self.place(input);
        let most = (input.len() - from).min(if self.rng.u8(0..8) == 0 { LONGEST } else { 64 });
        from..from + self.rng.usize(0..=most)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        match self.rng.u8(0..8) {
            0 => {
                let at = self.place(input);
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.rng.u8(..);
                }
            }
            1 => {
                let at = self.place(input);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.rng.u8(0..8);
                }
            }
            2 => {
                let piece = self.piece(input);
                input.drain(piece);
            }
            3 => {
                let (piece, at) = (self.piece(input), self.place(input));
                let copy = input[piece].to_vec();
                input.splice(at..at, copy);
            }
            4 => {
                let other = self.any_seed();
                let (piece, at) = (self.piece(&other), self.place(input));
                input.splice(at..at, other[piece].iter().copied());
            }
            5 => {
                let (token, at) = (self.token(), self.place(input));
                input.splice(at..at, token.bytes());
            }
            6 => {
                // Deep or long: many times the same.
                let (token, at) = (self.token(), self.place(input));
                let times = 1 << self.rng.u32(1..15);
                input.splice(at..at, token.repeat(times).into_bytes().into_iter().take(LONGEST));
            }
            _ => {
                let at = self.place(input);
                input.truncate(at);
            }
        }
        input.truncate(LONGEST);
    }

    fn token(&mut self) -> &'static str {
        TOKENS[self.rng.usize(0..TOKENS.len())]
    }
}
