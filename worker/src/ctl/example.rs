//! The example file, made from the declarations of the settings, so that it cannot name a setting that is not there or
//! a default that is not one. All its keys are commented out.

use orch_common::config::{Config, SECTIONS, Section, SettingDoc};
use serde_json::Value;

const HEAD: &str = "\
# The configuration of Orch. Every setting is here, commented out, with its default. The environment wins over this
# file. Secrets are better kept out of it: in the named variable, in the file that <variable>_FILE names, or in a
# systemd credential. `orchctl config check` says what is in effect.
";

const PROJECT: &str = r#"
# One entry per project; a webhook for any other is ignored. docs/CONFIGURATION.md has all keys.
# [[projects]]
# plane_project = "0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11"
# repo = "team/shop"
# id_prefix = "SHOP"
# default_branch = "main"
# test_command = "make test"
# approvers = []
"#;

/// The whole file.
pub fn toml() -> String {
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut out = HEAD.to_owned();
    for section in SECTIONS {
        table(&mut out, section, defaults.get(section.name));
    }
    out.push_str(PROJECT);
    out
}

fn table(out: &mut String, section: &Section, defaults: Option<&Value>) {
    out.push('\n');
    comment(out, section.doc);
    out.push_str(&format!("[{}]\n", section.name));
    for setting in section.settings {
        out.push_str("#\n");
        entry(out, setting, defaults.and_then(|keys| keys.get(setting.key)).and_then(literal));
    }
}

fn entry(out: &mut String, setting: &SettingDoc, default: Option<String>) {
    comment(out, &format!("{} Allowed: {}.", setting.doc.trim(), setting.allowed));
    let variable = if setting.secret { format!("{0}, {0}_FILE", setting.env) } else { setting.env.to_owned() };
    comment(out, &format!("Variable: {variable}."));
    match default {
        Some(value) => out.push_str(&format!("# {} = {value}\n", setting.key)),
        None => out.push_str(&format!("# {} = (not set)\n", setting.key)),
    }
}

/// Text as comment lines of at most 118 characters.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("##");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 118 {
            out.push_str(&line);
            out.push_str("\n##");
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

/// A value as TOML writes it; `None` for what is not set.
pub fn literal(value: &Value) -> Option<String> {
    let value: Option<toml::Value> = to_toml(value);
    value.map(|value| value.to_string())
}

/// JSON's null has no counterpart: such a key is left out.
fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => toml::Value::Boolean(*b),
        Value::Number(n) => match n.as_i64() {
            Some(integer) => toml::Value::Integer(integer),
            None => toml::Value::Float(n.as_f64()?),
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Array(items) => toml::Value::Array(items.iter().filter_map(to_toml).collect()),
        Value::Object(keys) => {
            toml::Value::Table(keys.iter().filter_map(|(key, value)| Some((key.clone(), to_toml(value)?))).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn load(text: &str) -> Config {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("orch.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}\n{text}")).config
    }

    #[test]
    fn the_example_as_it_is_changes_nothing() {
        assert_eq!(load(&toml()), Config::default());
    }

    /// Every `# key = value`, uncommented, is accepted and is the default.
    #[test]
    fn every_line_of_the_example_is_a_default() {
        let uncommented: Vec<String> = toml()
            .split("\n# One entry per project")
            .next()
            .unwrap()
            .lines()
            .filter(|line| !line.ends_with("(not set)"))
            .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned())
            .filter(|line| line.starts_with('[') || line.contains(" = "))
            .collect();
        assert!(uncommented.len() > 40, "{uncommented:?}");
        assert_eq!(load(&uncommented.join("\n")), Config::default());
        let project: String =
            PROJECT.lines().skip(2).map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        assert_eq!(load(&project).projects.len(), 1);
    }

    #[test]
    fn every_setting_is_in_it_once() {
        let text = toml();
        for setting in orch_common::config::settings() {
            let named = text.lines().filter(|line| line.contains(&format!("Variable: {}", setting.env)));
            assert!(named.count() >= 1, "{}", setting.env);
        }
        assert!(text.lines().all(|line| line.chars().count() <= 121), "{text}");
    }
}
