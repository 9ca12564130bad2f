use super::*;
use std::io::{Read, Write};

fn ask(api: &ModelApi, limit: Duration) -> String {
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.set_read_timeout(Some(limit)).unwrap();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}],"system":"working directory: /a/b\nx"}"#;
    let head = format!("POST /v1/messages?beta=true HTTP/1.1\r\nX-Key: v\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..n]);
        let whole = [b"0\r\n\r\n".as_slice(), b"}"].iter().any(|end| bytes.ends_with(end));
        if n == 0 || whole {
            break;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn answers_come_in_order_and_calls_are_kept() {
    let tool = Message::default().tool("Bash", serde_json::json!({ "command": "ls" })).tokens(7, 9).say();
    let refusal = Answer::refuse(429, "rate_limit_error", "slow down").with("retry-after", 3);
    let api = ModelApi::saying([tool, refusal, Answer::Cut, Answer::Drop]);
    let long = Duration::from_secs(20);

    let said = ask(&api, long);
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("event: message_stop"), "{said}");
    assert!(said.contains(r#""stop_reason":"tool_use""#) && said.contains(r#"{\"command\":\"ls\"}"#), "{said}");
    let said = ask(&api, long);
    assert!(said.starts_with("HTTP/1.1 429 ") && said.contains("retry-after: 3\r\n"), "{said}");
    assert!(said.ends_with(r#""type":"error"}"#), "{said}");
    let said = ask(&api, long);
    assert!(said.contains("half a") && !said.contains("message_stop"), "{said}");
    assert_eq!(ask(&api, long), "");
    assert_eq!(ask(&api, long), "", "the last answer repeats");

    assert!(api.wait_for_calls(5, long));
    let call = &api.calls()[0];
    assert_eq!((call.header("x-key"), call.working_folder().as_str()), (Some("v"), "/a/b"));
    assert!(call.conversation().contains("hello") && call.answers() == 0);
}

#[test]
fn a_hanging_answer_lasts_as_long_as_the_client() {
    let api = ModelApi::saying([Answer::Hang, Answer::FallSilent]);
    assert_eq!(ask(&api, Duration::from_millis(300)), "");
    let said = ask(&api, Duration::from_millis(300));
    assert!(said.contains("message_start") && !said.contains("message_stop"), "{said}");
}
