//! Logging of a process: to stderr, JSON where a machine reads it, text where a person does. Only binaries call
//! this; libraries log with `tracing` and know nothing of where it goes.

use std::io::IsTerminal;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged unless `ORCH_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// What `ORCH_LOG_FORMAT` says (`json` or `text`), else JSON under systemd, else text.
    #[default]
    Auto,
    Json,
    Text,
}

/// Starts logging for this process; a second call changes nothing.
pub fn init(format: LogFormat) {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let json = is_json(format, variable, std::io::stderr().is_terminal());
    let (filter, refused) = filter(variable("ORCH_LOG").as_deref());
    let started = start(json, filter, std::io::stderr);
    if let Some(text) = refused.filter(|_| started) {
        tracing::warn!(value = text, allowed = "a level or target=level,...", "invalid ORCH_LOG, using info");
    }
}

fn is_json(format: LogFormat, variable: impl Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let systemd = || variable("JOURNAL_STREAM").is_some() || variable("INVOCATION_ID").is_some();
    match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => match variable("ORCH_LOG_FORMAT").as_deref() {
            Some("json") => true,
            Some("text") => false,
            // A login session has an invocation id as well; its stderr is a terminal, a service's is not.
            Some(_) | None => systemd() && !terminal,
        },
    }
}

/// The filter, and the text that could not be read as one.
fn filter(text: Option<&str>) -> (EnvFilter, Option<String>) {
    match text.map(|text| (text, EnvFilter::try_new(text))) {
        Some((_, Ok(filter))) => (filter, None),
        Some((text, Err(_))) => (EnvFilter::new(DEFAULT_FILTER), Some(text.to_owned())),
        None => (EnvFilter::new(DEFAULT_FILTER), None),
    }
}

fn start<W>(json: bool, filter: EnvFilter, writer: W) -> bool
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    subscriber(json, filter, writer).try_init().is_ok()
}

fn subscriber<W>(json: bool, filter: EnvFilter, writer: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A line that cannot be written (a log file on a full disk) is lost; complaining about it on stderr would panic.
    let lines = lines.log_internal_errors(false);
    if json {
        return Box::new(lines.json().flatten_event(true).with_current_span(false).finish());
    }
    Box::new(lines.with_ansi(std::io::stderr().is_terminal()).finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn json_is_for_machines() {
        for (format, set, terminal, json) in [
            (LogFormat::Json, vec![], true, true),
            (LogFormat::Text, vec![("ORCH_LOG_FORMAT", "json")], false, false),
            (LogFormat::Auto, vec![], false, false),
            (LogFormat::Auto, vec![("JOURNAL_STREAM", "8:1")], false, true),
            (LogFormat::Auto, vec![("INVOCATION_ID", "ab")], false, true),
            (LogFormat::Auto, vec![("INVOCATION_ID", "ab")], true, false),
            (LogFormat::Auto, vec![("INVOCATION_ID", "ab"), ("ORCH_LOG_FORMAT", "text")], false, false),
            (LogFormat::Auto, vec![("ORCH_LOG_FORMAT", "json")], true, true),
        ] {
            let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(is_json(format, variable, terminal), json, "{format:?} {set:?} {terminal}");
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_carries_fields_and_spans_and_the_filter_holds() {
        let (lines, (filter, refused)) = (Lines::default(), filter(None));
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(true, filter, move || writer.clone()), || {
            let _task = tracing::info_span!("advance", task = 7).entered();
            tracing::info!(job = 3, "moved");
            tracing::debug!("not this");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).expect("one line");
        assert_eq!(
            (&line["message"], &line["job"], &line["spans"][0]["task"]),
            (&"moved".into(), &3.into(), &7.into())
        );
        assert_eq!(refused, None);
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_named_and_info_is_used() {
        let (used, refused) = filter(Some("orch=loud"));
        assert_eq!((used.to_string().as_str(), refused.as_deref()), ("info", Some("orch=loud")));
    }
}
