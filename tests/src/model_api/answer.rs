//! What the scripted model says, and how it fails to.

use super::wire::Client;
use serde_json::{Value, json};

/// The answer to one call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A message, streamed.
    Say(Message),
    /// An error.
    Refuse(Refusal),
    /// Not even headers, until the client gives up.
    Hang,
    /// Headers and the first event, then nothing until the client gives up.
    FallSilent,
    /// The connection ends in the middle of the stream.
    Cut,
    /// The connection ends before the headers.
    Drop,
}

/// One message of the model.
#[derive(Debug, Clone)]
pub struct Message {
    blocks: Vec<Value>,
    input_tokens: u64,
    output_tokens: u64,
    headers: Vec<(String, String)>,
}

/// An error that the server answers with.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: u16,
    kind: String,
    text: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// A message that only says something: the end of a run.
    pub fn text(text: &str) -> Answer {
        Message::default().text(text).say()
    }

    /// A shell command.
    pub fn bash(command: &str) -> Answer {
        Message::default().tool("Bash", json!({ "command": command, "description": "work" })).say()
    }

    /// An error in the API's own shape.
    pub fn refuse(status: u16, kind: &str, text: &str) -> Answer {
        Answer::Refuse(Refusal { status, kind: kind.into(), text: text.into(), headers: Vec::new() })
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Answer {
        let header = (name.to_owned(), value.to_string());
        match &mut self {
            Answer::Say(message) => message.headers.push(header),
            Answer::Refuse(refusal) => refusal.headers.push(header),
            Answer::Hang | Answer::FallSilent | Answer::Cut | Answer::Drop => panic!("it has no headers: {self:?}"),
        }
        self
    }

    /// Gives the answer; false when the connection is of no more use.
    pub(super) fn give(&self, client: &mut Client, model: &str, stopping: impl Fn() -> bool) -> bool {
        match self {
            Answer::Say(message) => {
                let begun = client.begin_stream(&message.headers);
                begun && message.events(model).iter().all(|event| client.event(event)) && client.end_stream()
            }
            Answer::Refuse(refusal) => {
                let error = json!({ "type": refusal.kind, "message": refusal.text });
                let body = json!({ "type": "error", "error": error, "request_id": "req_scripted" });
                client.plain(refusal.status, &refusal.headers, &body.to_string())
            }
            Answer::Hang => {
                client.wait_until_gone(stopping);
                false
            }
            Answer::FallSilent => {
                let begun = client.begin_stream(&[]) && client.event(&Message::default().start(model));
                if begun {
                    client.wait_until_gone(stopping);
                }
                false
            }
            Answer::Cut => {
                let events = Message::default().text("half a").events(model);
                let _ = client.begin_stream(&[]) && events.iter().take(3).all(|event| client.event(event));
                client.cut();
                false
            }
            Answer::Drop => {
                client.cut();
                false
            }
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Message { blocks: Vec::new(), input_tokens: 1000, output_tokens: 100, headers: Vec::new() }
    }
}

impl Message {
    #[must_use]
    pub fn text(mut self, text: &str) -> Message {
        self.blocks.push(json!({ "type": "text", "text": text }));
        self
    }

    /// A call of one of the CLI's tools.
    #[must_use]
    pub fn tool(mut self, name: &str, input: Value) -> Message {
        let id = format!("toolu_{}", uuid::Uuid::new_v4().simple());
        self.blocks.push(json!({ "type": "tool_use", "id": id, "name": name, "input": input }));
        self
    }

    /// What it is said to have used.
    #[must_use]
    pub fn tokens(mut self, input: u64, output: u64) -> Message {
        (self.input_tokens, self.output_tokens) = (input, output);
        self
    }

    pub fn say(self) -> Answer {
        Answer::Say(self)
    }

    fn start(&self, model: &str) -> Value {
        let usage = json!({ "input_tokens": self.input_tokens, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 1 });
        json!({ "type": "message_start", "message": {
            "id": format!("msg_{}", uuid::Uuid::new_v4().simple()), "type": "message", "role": "assistant",
            "model": model, "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage } })
    }

    fn events(&self, model: &str) -> Vec<Value> {
        let mut events = vec![self.start(model)];
        for (index, block) in self.blocks.iter().enumerate() {
            let (empty, delta) = if block["type"] == "tool_use" {
                let mut empty = block.clone();
                empty["input"] = json!({});
                (empty, json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() }))
            } else {
                (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": block["text"] }))
            };
            events.push(json!({ "type": "content_block_start", "index": index, "content_block": empty }));
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            events.push(json!({ "type": "content_block_stop", "index": index }));
        }
        let calls = self.blocks.iter().any(|block| block["type"] == "tool_use");
        let reason = if calls { "tool_use" } else { "end_turn" };
        events.push(json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "output_tokens": self.output_tokens } }));
        events.push(json!({ "type": "message_stop" }));
        events
    }
}
