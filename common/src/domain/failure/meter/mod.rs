//! Counts a run's tokens from its records as they come, so that a run without a result has a cost. Each answer of the
//! model is known by its message's id and counted once, sub-agents' answers too. Input and cache tokens are exact in the
//! `assistant` records. Their `output_tokens` is only the first guess of the stream: the final number is in the partial
//! messages (`stream_event`); where there are none, it is estimated from the text.

use super::record::{Line, name};
use crate::domain::price::PriceTable;
use crate::domain::usage::{Tokens, plain_usd};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};

/// Answers that are remembered by id; a record of an older one would count again.
const REMEMBERED: usize = 1_024;
/// Models that are told apart, and streams that are followed at a time; more than any run has.
const NAMES_MAX: usize = 64;
/// One answer cannot have more tokens of a kind: contexts end far below.
const ANSWER_MAX: u64 = 100_000_000;
/// Bytes of text that are taken for one token, where the number of tokens is not told.
const BYTES_PER_TOKEN: u64 = 4;
/// The keys of a block that are no text of the model's.
const NO_TEXT: [&str; 4] = ["type", "id", "name", "signature"];

type ByModel = BTreeMap<String, Tokens>;

/// What a run's records have said so far of its tokens and its cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Meter {
    /// The run's own model, for what names none.
    model: Option<String>,
    /// The newest answers, the oldest first.
    answers: VecDeque<Answer>,
    /// Answers since the last result that are no longer remembered.
    older: ByModel,
    /// What ended with a result.
    closed: ByModel,
    told_usd: Option<f64>,
    /// The answer that each stream of partial messages is about, by the parent of the stream (empty: the main agent).
    streams: BTreeMap<String, String>,
}

/// One answer of the model.
#[derive(Debug, Clone, PartialEq, Default)]
struct Answer {
    id: Option<String>,
    model: Option<String>,
    /// As told by the last record; `output` as told by any.
    tokens: Tokens,
    /// The final number of output tokens, from the end of its stream.
    output: Option<u64>,
    /// Bytes of its text in whole records, and in partial ones.
    text: u64,
    streamed: u64,
    /// A result has told of it.
    closed: bool,
}

/// What a run has cost, as far as its log says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    pub tokens: Tokens,
    /// The cost that the last result told; of all runs of the session where the CLI sums up.
    pub told_usd: Option<f64>,
    /// What the tokens that results told of cost by the table; `None` = some have no price.
    pub closed_usd: Option<f64>,
    /// What the tokens that no cost was told for cost by the table; those without a price left out.
    pub open_usd: f64,
    /// There are such tokens.
    pub estimated: bool,
    /// Some of them have no price.
    pub unpriced: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    id: Value,
    model: Value,
    usage: Value,
    content: Option<Box<RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Event {
    #[serde(rename = "type")]
    kind: Value,
    message: Option<Box<RawValue>>,
    delta: Option<Box<RawValue>>,
    usage: Value,
}

impl Meter {
    pub(super) fn add(&mut self, line: &Line) {
        match (line.kind.as_str(), line.subtype.as_str()) {
            (Some("system"), Some("init")) => self.model = name(&line.model),
            (Some("assistant"), _) => self.answered(&parsed(line.message.as_deref())),
            (Some("stream_event"), _) => self.streamed(line),
            (Some("result"), _) => self.told(line),
            _ => {}
        }
    }

    fn answered(&mut self, message: &Message) {
        let Some(answer) = self.answer(message) else { return };
        answer.text = answer.text.saturating_add(message.content.as_deref().map_or(0, text_bytes));
    }

    /// The answer that a message is part of, brought up to date; `None` = it cost nothing, such as the CLI's own words.
    fn answer(&mut self, message: &Message) -> Option<&mut Answer> {
        let tokens = tokens_of(&message.usage);
        if tokens.is_zero() {
            return None;
        }
        let id = name(&message.id);
        let at = id.as_ref().and_then(|id| self.place(id)).unwrap_or_else(|| {
            self.make_room();
            self.answers.push_back(Answer { id, model: name(&message.model), ..Answer::default() });
            self.answers.len().saturating_sub(1)
        });
        let answer = self.answers.get_mut(at)?;
        let output = answer.tokens.output.max(tokens.output);
        answer.tokens = Tokens { output, ..tokens };
        Some(answer)
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.answers.iter().rposition(|answer| answer.id.as_deref() == Some(id))
    }

    fn make_room(&mut self) {
        if self.answers.len() < REMEMBERED {
            return;
        }
        if let Some(oldest) = self.answers.pop_front().filter(|oldest| !oldest.closed) {
            let model = oldest.model.clone().or_else(|| self.model.clone());
            add(&mut self.older, model, &oldest.whole());
        }
    }

    fn streamed(&mut self, line: &Line) {
        let event: Event = parsed(line.event.as_deref());
        let stream = name(&line.parent_tool_use_id).unwrap_or_default();
        match event.kind.as_str() {
            Some("message_start") => {
                let message = parsed(event.message.as_deref());
                let id = self.answer(&message).and_then(|answer| answer.id.clone());
                if let Some(id) = id.filter(|_| self.streams.len() < NAMES_MAX || self.streams.contains_key(&stream)) {
                    self.streams.insert(stream, id);
                }
            }
            Some("content_block_delta") => {
                let bytes = event.delta.as_deref().map_or(0, text_bytes);
                if let Some(answer) = self.streaming(&stream) {
                    answer.streamed = answer.streamed.saturating_add(bytes);
                }
            }
            Some("message_delta") => {
                if let Some(answer) = self.streaming(&stream) {
                    answer.end(&event.usage);
                }
            }
            _ => {}
        }
    }

    fn streaming(&mut self, stream: &str) -> Option<&mut Answer> {
        let at = self.place(self.streams.get(stream)?)?;
        self.answers.get_mut(at)
    }

    /// A result tells of everything since the one before it. Its `usage` is of the main agent; what sub-agents read is
    /// only in their own records. One that tells no cost (a spurious one does not) takes nothing back.
    fn told(&mut self, line: &Line) {
        let told = tokens_of(&line.usage);
        let open = self.open();
        let counted = sum(&open);
        let exact = self.answers.iter().filter(|a| !a.closed).filter_map(|a| a.output).sum::<u64>();
        let output = if told.is_zero() { counted.output } else { told.output.max(exact) };
        let of_the_rest = self.main_model(&open);
        for (model, tokens) in open {
            add(&mut self.closed, Some(model), &Tokens { output: 0, ..tokens });
        }
        let rest = Tokens { output, ..told.zip(&counted, u64::saturating_sub) };
        add(&mut self.closed, of_the_rest, &rest);
        self.older.clear();
        self.answers.iter_mut().for_each(|answer| answer.closed = true);
        if let Some(usd) = line.total_cost_usd.as_f64() {
            self.told_usd = Some(self.told_usd.unwrap_or_default().max(plain_usd(usd)));
        }
    }

    /// Whose tokens are those that a result tells of beyond the counted ones: the run's own model's, as it is called in
    /// its answers.
    fn main_model(&self, open: &ByModel) -> Option<String> {
        let own = self.model.clone().filter(|model| open.is_empty() || open.contains_key(model));
        own.or_else(|| open.iter().max_by_key(|(_, tokens)| tokens.total()).map(|(model, _)| model.clone()))
    }

    /// What no result has told of, by model.
    fn open(&self) -> ByModel {
        let mut open = self.older.clone();
        for answer in self.answers.iter().filter(|answer| !answer.closed) {
            add(&mut open, answer.model.clone().or_else(|| self.model.clone()), &answer.whole());
        }
        open
    }

    /// What the run has cost so far.
    pub fn tally(&self, prices: &PriceTable) -> Tally {
        let (open, closed) = (self.open(), &self.closed);
        let tokens = sum(&open).plus(&sum(closed));
        let (mut open_usd, mut unpriced) = cost(&open, prices);
        let (closed_usd, closed_unpriced) = cost(closed, prices);
        let mut estimated = !sum(&open).is_zero();
        if self.told_usd.is_none() {
            open_usd += closed_usd;
            unpriced |= closed_unpriced;
            estimated |= !sum(closed).is_zero();
        }
        let closed_usd = (!closed_unpriced).then_some(closed_usd);
        Tally { tokens, told_usd: self.told_usd, closed_usd, open_usd, estimated, unpriced }
    }
}

impl Answer {
    /// Its tokens, the output estimated where its end was not told.
    fn whole(&self) -> Tokens {
        let estimate = self.text.max(self.streamed).div_ceil(BYTES_PER_TOKEN).min(ANSWER_MAX);
        Tokens { output: self.output.unwrap_or_else(|| self.tokens.output.max(estimate)), ..self.tokens }
    }

    /// The end of its stream; what it says of input and caches corrects the beginning.
    fn end(&mut self, usage: &Value) {
        let told = tokens_of(usage);
        if usage.get("output_tokens").is_some_and(Value::is_u64) {
            self.output = Some(told.output);
        }
        if told.input > 0 || told.cached() > 0 {
            self.tokens = Tokens { output: self.tokens.output, ..told.zip(&self.tokens, u64::max) };
        }
    }
}

/// Of broken JSON nothing is known.
fn parsed<T: Default + for<'de> Deserialize<'de>>(raw: Option<&RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn tokens_of(usage: &Value) -> Tokens {
    let count = |place: &Value, key: &str| place.get(key).and_then(Value::as_u64).unwrap_or_default().min(ANSWER_MAX);
    let written = count(usage, "cache_creation_input_tokens");
    let kept = usage.get("cache_creation").map_or(0, |kept| count(kept, "ephemeral_1h_input_tokens")).min(written);
    Tokens {
        input: count(usage, "input_tokens"),
        output: count(usage, "output_tokens"),
        cache_read: count(usage, "cache_read_input_tokens"),
        cache_write: written.saturating_sub(kept),
        cache_write_1h: kept,
    }
}

/// Bytes of text in a message's content; what cannot be read counts as it is.
fn text_bytes(raw: &RawValue) -> u64 {
    serde_json::from_str::<Value>(raw.get()).map_or(raw.get().len() as u64, |content| bytes_in(&content))
}

fn bytes_in(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(bytes_in).sum(),
        Value::Object(map) => {
            map.iter().filter(|(key, _)| !NO_TEXT.contains(&key.as_str())).map(|(_, value)| bytes_in(value)).sum()
        }
    }
}

/// Models beyond the bound share one name, which has no price.
fn add(sums: &mut ByModel, model: Option<String>, tokens: &Tokens) {
    let known = |model: &String| sums.contains_key(model) || sums.len() < NAMES_MAX;
    let model = model.filter(known).unwrap_or_else(|| "unknown".to_owned());
    let sum = sums.entry(model).or_default();
    *sum = sum.plus(tokens);
}

fn sum(by_model: &ByModel) -> Tokens {
    by_model.values().fold(Tokens::default(), |sum, tokens| sum.plus(tokens))
}

/// US dollars, and whether some of the tokens have no price.
fn cost(by_model: &ByModel, prices: &PriceTable) -> (f64, bool) {
    let priced = by_model.iter().filter(|(_, tokens)| !tokens.is_zero());
    priced.fold((0.0, false), |(usd, unpriced), (model, tokens)| match prices.of(model) {
        Some(price) => (plain_usd(usd + price.of(tokens)), unpriced),
        None => (usd, true),
    })
}

#[cfg(test)]
mod tests;
