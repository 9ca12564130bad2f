//! A JSON body, read by dotted paths, so that an error can name the field. Plane's newer webhooks write the word
//! "None" where nothing is: it is read as nothing.

use super::BadEvent;
use serde_json::Value;

/// A JSON object.
pub struct Body(Value);

impl Body {
    pub fn parse(text: &str) -> Result<Self, BadEvent> {
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Body(Value::Object(object))),
            Ok(other) => Err(BadEvent::NotJson { why: format!("it is {}", kind(&other)) }),
            Err(e) => Err(BadEvent::NotJson { why: e.to_string() }),
        }
    }

    /// What is at `path`, unless that is nothing.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let found = path.split('.').try_fold(&self.0, |value, key| value.get(key))?;
        match found {
            Value::Null => None,
            Value::String(none) if none == "None" => None,
            Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(found),
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.at(path).is_some()
    }

    /// Text that must be there.
    pub fn text(&self, path: &str) -> Result<String, BadEvent> {
        self.opt_text(path)?.ok_or_else(|| missing(path))
    }

    /// Text that may be missing; something else than text is an error.
    pub fn opt_text(&self, path: &str) -> Result<Option<String>, BadEvent> {
        let text = |v: &Value| v.as_str().map(str::to_owned).ok_or_else(|| wrong(path, "text"));
        self.at(path).map(text).transpose()
    }

    pub fn integer(&self, path: &str) -> Result<i64, BadEvent> {
        let value = self.at(path).ok_or_else(|| missing(path))?;
        value.as_i64().ok_or_else(|| wrong(path, "a whole number"))
    }

    /// `false` where it is missing.
    pub fn flag(&self, path: &str) -> bool {
        self.at(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The texts of a list: its elements, or the field `key` of each of its objects.
    pub fn texts(&self, path: &str, key: &str) -> Vec<String> {
        let list = self.at(path).and_then(Value::as_array);
        let text = |v: &Value| v.as_str().or_else(|| v.get(key)?.as_str()).map(str::to_owned);
        list.map(|list| list.iter().filter_map(text).collect()).unwrap_or_default()
    }
}

pub fn missing(path: &str) -> BadEvent {
    BadEvent::Missing { field: path.to_owned() }
}

fn wrong(path: &str, expected: &'static str) -> BadEvent {
    BadEvent::WrongType { field: path.to_owned(), expected }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
