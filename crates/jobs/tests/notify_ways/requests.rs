//! Web services: what they are asked, and what is made of their answers.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ironborg_jobs::notify::Kind;

use super::listener::{Answer, Listener};
use super::{Told, certificate, failure, notice};

fn fine() -> Answer {
    Answer::Status(200, "OK".to_owned())
}

fn ntfy(listener: &Listener) -> Told {
    let url = listener.url("/alerts");
    Told::by(&format!(
        "type = \"ntfy\"\nurl = \"{url}\"\ntoken = \"tk_123456\""
    ))
}

#[test]
fn ntfy_is_given_title_priority_and_tags() {
    let listener = Listener::answering(&[fine()]);
    let mut told = ntfy(&listener);
    told.tell(failure()).unwrap();
    told.tell(notice(Kind::Success)).unwrap();
    let asked = listener.asked();
    assert_eq!(asked[0].line, "POST /alerts HTTP/1.1");
    assert_eq!(
        asked[0].header("title"),
        Some("Backup home on station failed")
    );
    assert_eq!(asked[0].header("priority"), Some("high"));
    assert_eq!(asked[0].header("tags"), Some("rotating_light"));
    assert_eq!(asked[0].header("authorization"), Some("Bearer tk_123456"));
    assert!(
        asked[0]
            .body
            .contains("Error: Repository \"/backup/home\" does not exist.\n")
    );
    assert!(asked[0].body.contains("Größe <b>"));
    assert_eq!(
        asked[1].header("title"),
        Some("Backup home on station works again")
    );
    assert_eq!(asked[1].header("priority"), Some("default"));
}

#[test]
fn ntfy_headers_are_encoded_and_texts_not_too_long() {
    let listener = Listener::answering(&[fine()]);
    let url = listener.url("/t");
    let settings = format!(
        "type = \"ntfy\"\nurl = \"{url}\"\nsubject = \"ä {{message}}\"\npriority = \"min\""
    );
    let mut failure = failure();
    failure.message = Some("one\r\nX-Injected: two".to_owned());
    failure.log_tail = "ä".repeat(10_000);
    Told::by(&settings).tell(failure).unwrap();
    let asked = &listener.asked()[0];
    // "ä one X-Injected: two"
    assert_eq!(
        asked.header("title"),
        Some("=?UTF-8?B?w6Qgb25lIFgtSW5qZWN0ZWQ6IHR3bw==?=")
    );
    assert_eq!(asked.header("x-injected"), None);
    assert_eq!(asked.header("priority"), Some("min"));
    assert!(
        asked.body.len() < 4096 && asked.body.ends_with("…\n"),
        "{}",
        asked.body.len()
    );
}

#[test]
fn a_webhook_is_given_everything_as_json() {
    let listener = Listener::answering(&[fine()]);
    let url = listener.url("/hook/{job}");
    let headers = "headers = { X-Job = \"{job} on {host}\" }";
    let settings =
        format!("type = \"webhook\"\nurl = \"{url}\"\n{headers}\ntoken = \"secret-token\"");
    Told::by(&settings).tell(failure()).unwrap();
    let asked = &listener.asked()[0];
    assert_eq!(asked.line, "POST /hook/home HTTP/1.1");
    assert_eq!(asked.header("x-job"), Some("home on station"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), Some("Bearer secret-token"));
    let document: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(document["job"], "home");
    assert_eq!(document["target"], "nas");
    assert_eq!(document["subject"], "Backup home on station failed");
    assert_eq!(document["code"], 2);
}

#[test]
fn a_template_stays_json_whatever_is_put_in() {
    let listener = Listener::answering(&[fine()]);
    let url = listener.url("/{message}?q={log}");
    let body = r#"body = '{{"text": "{message}", "log": "{log}"}}'"#;
    let settings = format!("type = \"webhook\"\nmethod = \"PUT\"\nurl = \"{url}\"\n{body}");
    Told::by(&settings).tell(failure()).unwrap();
    let asked = &listener.asked()[0];
    let path = "/Repository%20%22%2Fbackup%2Fhome%22%20does%20not%20exist.\
                ?q=Gr%C3%B6%C3%9Fe%20%3Cb%3E%26amp%3B%3C%2Fb%3E%0A.%0Aend%20of%20the%20log%0A";
    assert_eq!(asked.line, format!("PUT {path} HTTP/1.1"));
    let document: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        document["text"],
        "Repository \"/backup/home\" does not exist."
    );
    assert_eq!(document["log"], "Größe <b>&amp;</b>\n.\nend of the log\n");
}

#[test]
fn a_check_is_told_of_beginning_success_and_failure() {
    let listener = Listener::answering(&[fine()]);
    let url = listener.url("/ping/5c0d");
    let mut told = Told::by(&format!("type = \"healthchecks\"\nurl = \"{url}\""));
    for event in [
        notice(Kind::Started),
        notice(Kind::Success),
        notice(Kind::Started),
        failure(),
    ] {
        told.tell(event).unwrap();
    }
    let lines: Vec<String> = listener
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    let rid = "?rid=0b6e9a2c-5d0f-4c39-9c6e-0a4b9f3f3a11 HTTP/1.1";
    let expected =
        ["/start", "", "/start", "/fail"].map(|end| format!("POST /ping/5c0d{end}{rid}"));
    assert_eq!(lines, expected);
    assert!(listener.asked()[3].body.contains("end of the log"));
}

#[test]
fn a_service_that_is_ill_for_a_moment_is_asked_again() {
    let ill = |status| Answer::Status(status, "try later".to_owned());
    for answers in [
        vec![ill(503), fine()],
        vec![Answer::End, ill(429), fine()],
        vec![Answer::Garbage, fine()],
    ] {
        let listener = Listener::answering(&answers);
        ntfy(&listener)
            .tell(failure())
            .unwrap_or_else(|error| panic!("{answers:?}: {error}"));
        assert_eq!(listener.asked().len(), answers.len());
    }
    let listener = Listener::answering(&[ill(500)]);
    let reason = ntfy(&listener).tell(failure()).unwrap_err();
    assert_eq!(listener.asked().len(), 3, "and then no more");
    assert_eq!(
        reason,
        "127.0.0.1: answered 500 Internal Server Error: try later"
    );
}

#[test]
fn what_a_service_does_not_want_is_sent_once_and_told_without_secrets() {
    let said = "unknown token tk_123456 for /alerts";
    let listener = Listener::answering(&[Answer::Status(403, said.to_owned())]);
    let reason = ntfy(&listener).tell(failure()).unwrap_err();
    assert_eq!(
        reason,
        "127.0.0.1: answered 403 Forbidden: unknown token [secret] for /[secret]"
    );
    assert_eq!(listener.asked().len(), 1);
}

#[test]
fn a_token_does_not_go_elsewhere() {
    let elsewhere = Listener::answering(&[fine()]);
    let listener = Listener::answering(&[Answer::Elsewhere(elsewhere.url("/"))]);
    let reason = ntfy(&listener).tell(failure()).unwrap_err();
    assert!(
        reason.starts_with("127.0.0.1: answered 302 Found (redirections"),
        "{reason}"
    );
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn one_that_does_not_answer_is_not_waited_for_long() {
    let listener = Listener::answering(&[Answer::Silence]);
    let begun = Instant::now();
    let reason = ntfy(&listener)
        .within(Duration::from_millis(400))
        .tell(failure())
        .unwrap_err();
    assert_eq!(reason, "127.0.0.1: no answer in time");
    assert!(begun.elapsed() < Duration::from_mins(5));
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let settings = format!("type = \"healthchecks\"\nurl = \"http://{gone}/secret-uuid\"");
    let reason = Told::by(&settings).tell(failure()).unwrap_err();
    assert!(
        reason.contains("refused") && !reason.contains("secret-uuid"),
        "{reason}"
    );
}

#[test]
fn only_a_known_authority_is_trusted() {
    let listener = Listener::answering_safely(&[fine()]);
    let url = listener.url("/hook");
    let ca = certificate("authority.pem");
    let settings = format!("type = \"webhook\"\nurl = \"{url}\"");
    let trusting = format!("{settings}\nca_file = \"{}\"", ca.display());
    Told::by(&trusting).tell(failure()).unwrap();
    assert_eq!(listener.asked().len(), 1);
    let reason = Told::by(&settings).tell(failure()).unwrap_err();
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!(listener.asked().len(), 1);
    let broken = format!(
        "{settings}\nca_file = \"{}\"",
        certificate("server.key").display()
    );
    let reason = Told::by(&broken).tell(failure()).unwrap_err();
    assert!(
        reason.ends_with("server.key: there is no certificate in it"),
        "{reason}"
    );
}

#[test]
fn an_address_that_is_none_is_refused() {
    for url in [
        "ftp://example.org/x",
        "http://",
        "/just/a/path",
        "http://exa mple/",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, format!("{url}\n")).unwrap();
        let settings = format!("type = \"webhook\"\nurl_file = \"{}\"", file.display());
        let reason = Told::by(&settings).tell(failure()).unwrap_err();
        assert!(reason.starts_with("the address "), "{url}: {reason}");
    }
}
