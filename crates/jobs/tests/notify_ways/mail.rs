//! Mail: to a server of our own, in every way a server can be reached, and to a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::listener::{safe, tls};
use super::{Told, certificate, failure};

/// How the server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Without TLS.
    Open,
    /// TLS if asked for.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// A server that takes mail, unless the recipient is `nobody`.
struct Server {
    address: SocketAddr,
    /// Everything it was told, with `TLS` where that began.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn behind(door: Door) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, notes) = (stream.unwrap(), notes.clone());
                thread::spawn(move || converse(stream, door, &notes));
            }
        });
        Self { address, heard }
    }

    fn settings(&self, security: &str, more: &str) -> String {
        let port = self.address.port();
        let ca = certificate("authority.pem");
        format!(
            "type = \"mail\"\nfrom = \"IronBorg <backup@example.org>\"\nto = [\"me@example.org\", \"you@example.org\"]\n\
             ca_file = \"{}\"\nsmtp = {{ host = \"localhost\", port = {port}, security = \"{security}\"{more} }}",
            ca.display()
        )
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn converse(stream: TcpStream, door: Door, notes: &Mutex<Vec<String>>) {
    let offers = door == Door::StartTls;
    if door == Door::Tls {
        session(&mut safe(stream, tls()), true, false, notes);
        return;
    }
    let mut stream = stream;
    if session(&mut stream, true, offers, notes) {
        notes.lock().unwrap().push("TLS".to_owned());
        session(&mut safe(stream, tls()), false, false, notes);
    }
}

/// Talks until the end; true if TLS is to begin.
fn session(
    stream: &mut (impl Read + Write),
    greets: bool,
    offers_tls: bool,
    notes: &Mutex<Vec<String>>,
) -> bool {
    let mut reader = BufReader::with_capacity(1, stream);
    if greets && reader.get_mut().write_all(b"220 test ESMTP\r\n").is_err() {
        return false;
    }
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            return false;
        }
        let line = line.trim_end().to_owned();
        notes.lock().unwrap().push(line.clone());
        let word = line.split(' ').next().unwrap().to_ascii_uppercase();
        let reply = match word.as_str() {
            "EHLO" if offers_tls => "250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
            "EHLO" => "250-test\r\n250 AUTH PLAIN LOGIN\r\n",
            "STARTTLS" => "220 go ahead\r\n",
            "AUTH" if line.ends_with("AG1lAGh1bnRlcjIy") => "235 welcome\r\n",
            "AUTH" => "535 5.7.8 no: AGJhZA hunter23\r\n",
            "RCPT" if line.contains("nobody@") => "550 5.1.1 no such user\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 OK\r\n",
        };
        if reader.get_mut().write_all(reply.as_bytes()).is_err()
            || reader.get_mut().flush().is_err()
        {
            return false;
        }
        match word.as_str() {
            "STARTTLS" => return true,
            "DATA" => {
                mail(&mut reader, notes);
                if reader.get_mut().write_all(b"250 queued\r\n").is_err() {
                    return false;
                }
                let _ = reader.get_mut().flush();
            }
            "QUIT" => return false,
            _ => {}
        }
    }
}

fn mail(reader: &mut impl BufRead, notes: &Mutex<Vec<String>>) {
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(1..)) || line == ".\r\n" {
            return;
        }
        notes
            .lock()
            .unwrap()
            .push(line.trim_end_matches("\r\n").to_owned());
    }
}

/// The place of a line in what was heard.
fn place(heard: &[String], line: &str) -> usize {
    let found = heard.iter().position(|heard| heard == line);
    found.unwrap_or_else(|| panic!("{line:?} was not heard: {heard:#?}"))
}

#[test]
fn a_mail_arrives_as_it_was_written() {
    let server = Server::behind(Door::Open);
    Told::by(&server.settings("none", ""))
        .tell(failure())
        .unwrap();
    let heard = server.heard();
    assert_eq!(heard[0], "EHLO station");
    let sender = place(&heard, "MAIL FROM:<backup@example.org>");
    let recipients = [
        place(&heard, "RCPT TO:<me@example.org>"),
        place(&heard, "RCPT TO:<you@example.org>"),
    ];
    assert!(recipients.iter().all(|place| *place > sender));
    for line in [
        "From: IronBorg <backup@example.org>",
        "To: me@example.org, you@example.org",
        "Subject: Backup home on station failed",
        "Date: Sun, 22 Nov 2026 12:00:00 +0000",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "Error: Repository \"/backup/home\" does not exist.",
    ] {
        place(&heard, line);
    }
    let id = heard
        .iter()
        .find(|line| line.starts_with("Message-ID: "))
        .unwrap();
    assert!(
        id.contains(".failure.home.nas.it@station.ironborg.invalid>"),
        "{id}"
    );
    // A line with nothing but a dot would end the mail; what follows is there.
    place(&heard, "end of the log");
}

#[test]
fn a_subject_is_one_line_whatever_is_in_it() {
    let server = Server::behind(Door::Open);
    let settings = server
        .settings("none", "")
        .replace("smtp =", "subject = \"{message}\"\nsmtp =");
    let mut failure = failure();
    failure.message = Some("broken\r\nBcc: all@example.org\r\n\r\nHello\u{202e}".to_owned());
    Told::by(&settings).tell(failure).unwrap();
    let heard = server.heard();
    let end = heard.iter().position(String::is_empty).unwrap();
    assert!(
        heard[..end].iter().all(|line| !line.starts_with("Bcc:")),
        "{heard:#?}"
    );
    place(
        &heard[..end],
        "Subject: broken Bcc: all@example.org  Hello?",
    );
}

#[test]
fn a_password_is_sent_only_after_tls_has_begun() {
    let login = ", user = \"me\", password = \"hunter22\"";
    for (door, security) in [(Door::StartTls, "starttls"), (Door::Tls, "tls")] {
        let server = Server::behind(door);
        Told::by(&server.settings(security, login))
            .tell(failure())
            .unwrap();
        let heard = server.heard();
        let auth = heard
            .iter()
            .position(|line| line.starts_with("AUTH "))
            .unwrap();
        if door == Door::StartTls {
            assert!(place(&heard, "TLS") < auth);
        }
        assert!(auth < place(&heard, "MAIL FROM:<backup@example.org>"));
    }
    // A server that offers no TLS, or a thief who has taken the offer away.
    let server = Server::behind(Door::Open);
    let reason = Told::by(&server.settings("starttls", login))
        .tell(failure())
        .unwrap_err();
    assert!(reason.starts_with("localhost: "), "{reason}");
    let heard = server.heard();
    assert!(
        heard
            .iter()
            .all(|line| !line.starts_with("AUTH") && !line.starts_with("MAIL"))
    );
    // And never to another machine without it.
    let settings = server
        .settings("none", login)
        .replace("localhost", "mail.example.org");
    let reason = Told::by(&settings).tell(failure()).unwrap_err();
    let expected =
        "mail.example.org: a password is not sent over a connection that is not encrypted";
    assert_eq!(reason, expected);
}

#[test]
fn a_server_with_an_unknown_certificate_gets_nothing() {
    let server = Server::behind(Door::StartTls);
    let settings = server.settings("starttls", "");
    let own: Vec<&str> = settings
        .lines()
        .filter(|line| !line.starts_with("ca_file"))
        .collect();
    let reason = Told::by(&own.join("\n")).tell(failure()).unwrap_err();
    assert!(reason.contains("certificate"), "{reason}");
    assert!(server.heard().iter().all(|line| !line.starts_with("MAIL")));
}

#[test]
fn what_a_server_refuses_is_told_in_its_words_and_without_passwords() {
    let server = Server::behind(Door::Open);
    let settings = server.settings("none", "").replace("you@", "nobody@");
    let reason = Told::by(&settings).tell(failure()).unwrap_err();
    assert!(reason.contains("no such user"), "{reason}");
    let login = ", user = \"me\", password = \"hunter23\"";
    let reason = Told::by(&server.settings("none", login))
        .tell(failure())
        .unwrap_err();
    assert!(
        reason.contains("535") && !reason.contains("hunter23"),
        "{reason}"
    );
    let settings = server
        .settings("none", "")
        .replace("me@example.org", "not an address");
    let reason = Told::by(&settings).tell(failure()).unwrap_err();
    assert!(
        reason.starts_with("not an address: not a mail address"),
        "{reason}"
    );
}

#[test]
fn the_machines_own_program_is_given_the_mail() {
    let settings = "type = \"mail\"\nfrom = \"backup@example.org\"\nto = \"me@example.org\"\nsendmail = \"/opt/sendmail\"";
    let mut told = Told::by(settings);
    told.tell(failure()).unwrap();
    let programs = told.bench.programs.lock().unwrap();
    let words = [
        "/opt/sendmail",
        "-i",
        "-f",
        "backup@example.org",
        "--",
        "me@example.org",
    ];
    assert_eq!(programs[0].words, words);
    let mail = String::from_utf8(programs[0].input.clone()).unwrap();
    assert!(
        mail.contains("\nSubject: Backup home on station failed\n"),
        "{mail}"
    );
    assert!(!mail.contains('\r'));
    assert!(
        mail.contains("\n\nThe backup job home on station failed at 2026-11-22 12:00:00"),
        "{mail}"
    );
}
