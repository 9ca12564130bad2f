//! Renders messages: the operator's template where there is one, else the built-in one of the locale.

use super::{Locale, Message, en, rich, ru};
use crate::domain::names::WorkItemKey;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use std::collections::BTreeMap;

/// A template that the configuration overrides and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("there is no message '{name}', allowed: {allowed}")]
    UnknownName { name: String, allowed: String },
    #[error("the template of the message '{name}' cannot be used: {problem}; its variables: {variables}")]
    Broken { name: String, problem: String, variables: String },
}

/// The texts of one locale.
#[derive(Debug, Clone)]
pub struct Catalogue {
    locale: Locale,
    built_in: Environment<'static>,
    overrides: Environment<'static>,
}

impl Catalogue {
    /// The locale's texts with the given templates (by message name) in place of some.
    ///
    /// # Errors
    /// A name that is none, or a template that does not parse, uses other variables, or fails on a trial.
    pub fn new(locale: Locale, overrides: BTreeMap<String, String>) -> Result<Catalogue, BadTemplate> {
        let templates = Catalogue::templates(locale);
        let mut catalogue = Catalogue { locale, built_in: environment(), overrides: environment() };
        for (name, source) in templates {
            let added = catalogue.built_in.add_template(name, source);
            added.map_err(|err| broken(name, &[], &err.to_string()))?;
        }
        for (name, source) in overrides {
            catalogue.replace(name, source)?;
        }
        Ok(catalogue)
    }

    /// The built-in templates of a locale, by the messages' names.
    pub fn templates(locale: Locale) -> &'static [(&'static str, &'static str)] {
        match locale {
            Locale::En => en::TEMPLATES,
            Locale::Ru => ru::TEMPLATES,
        }
    }

    fn replace(&mut self, name: String, source: String) -> Result<(), BadTemplate> {
        let Some(variables) = Message::variables_of(&name) else {
            let name = name.chars().take(80).collect();
            return Err(BadTemplate::UnknownName { name, allowed: Message::ALL_NAMES.join(", ") });
        };
        let problem = |err: minijinja::Error| broken(&name, variables, &err.to_string());
        self.overrides.add_template_owned(name.clone(), source).map_err(problem)?;
        let template = self.overrides.get_template(&name).map_err(problem)?;
        let globals = self.overrides.globals().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let used = template.undeclared_variables(false).into_iter();
        let mut unknown: Vec<String> =
            used.filter(|used| !variables.contains(&used.as_str()) && !globals.contains(used)).collect();
        unknown.sort();
        if !unknown.is_empty() {
            return Err(broken(&name, variables, &format!("unknown variable {}", unknown.join(", "))));
        }
        let trial = template.render(Message::sample_values(&name)).map_err(problem)?;
        if trial.trim().is_empty() { Err(broken(&name, variables, "it renders to nothing")) } else { Ok(()) }
    }

    /// The text of a message: paragraphs parted by a blank line, code between lines of three back-ticks, what was written as
    /// Markdown between marks. Never fails: a template that cannot cope with these values gives way to the built-in one.
    pub fn render(&self, message: &Message) -> String {
        let values = message.values(self.locale);
        let own = [&self.overrides, &self.built_in].into_iter().find_map(|templates| {
            let text = templates.get_template(message.name()).ok()?.render(&values).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        });
        own.unwrap_or_else(|| bare(message.name(), &values))
    }

    /// The text for a chat where many tasks are talked about: with the work item's id in front, unless it is in it.
    pub fn render_for_chat(&self, key: &WorkItemKey, message: &Message) -> String {
        let (text, key) = (self.render(message), key.to_string());
        if text.contains(&key) { text } else { format!("{key}: {text}") }
    }
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.add_filter("fenced", |text: String| fenced(&text));
    env.add_filter("markdown", |text: String| rich::marked(&text));
    env.add_filter("line", |text: String| text.split_whitespace().collect::<Vec<_>>().join(" "));
    env
}

/// A code block; a fence inside the text cannot close it.
fn fenced(text: &str) -> String {
    format!("```\n{}\n```", text.replace("```", "'''"))
}

/// The name and the values, where even the built-in template failed.
fn bare(name: &str, values: &BTreeMap<&'static str, Value>) -> String {
    let values = values.iter().map(|(name, value)| format!("{name}: {value}"));
    std::iter::once(name.to_owned()).chain(values).collect::<Vec<_>>().join("\n")
}

fn broken(name: &str, variables: &[&str], problem: &str) -> BadTemplate {
    let variables = if variables.is_empty() { "none".to_owned() } else { variables.join(", ") };
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    BadTemplate::Broken { name: name.to_owned(), problem, variables }
}
