//! A web server that answers as it is told to, and remembers what it was asked; and the server's side of TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status and text.
    Status(u16, String),
    /// A redirection to this address.
    Elsewhere(String),
    /// Something that is not HTTP.
    Garbage,
    /// Nothing, for a long time.
    Silence,
    /// The connection ends.
    End,
}

/// What it was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A server.
pub(crate) struct Listener {
    address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Listener {
    /// One that gives these answers in turn, then the last again and again.
    pub(crate) fn answering(answers: &[Answer]) -> Self {
        Self::start(answers, None)
    }

    /// The same, with TLS.
    pub(crate) fn answering_safely(answers: &[Answer]) -> Self {
        Self::start(answers, Some(tls()))
    }

    fn start(answers: &[Answer], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (notes, answers) = (asked.clone(), answers.to_vec());
        let scheme = if tls.is_some() { "https" } else { "http" };
        thread::spawn(move || {
            for (turn, stream) in listener.incoming().enumerate() {
                let answer = answers[turn.min(answers.len() - 1)].clone();
                let (notes, tls) = (notes.clone(), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    match tls {
                        Some(tls) => serve(&mut safe(stream, tls), &answer, &notes),
                        None => serve(&mut { stream }, &answer, &notes),
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            asked,
        }
    }

    /// The address of something there.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// The server's side of TLS.
pub(crate) fn safe(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}

/// The certificate that the test's authority has signed.
pub(crate) fn tls() -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(certificate("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn serve(stream: &mut (impl Read + Write), answer: &Answer, notes: &Mutex<Vec<Asked>>) {
    // A client that does not trust the certificate asks nothing.
    let Some(asked) = read(stream) else { return };
    notes.lock().unwrap().push(asked);
    let said = match answer {
        Answer::Status(status, text) => {
            format!(
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            )
        }
        Answer::Elsewhere(url) => format!(
            "HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Answer::Garbage => "220 this is not the server you are looking for\r\n".repeat(3),
        Answer::Silence => {
            thread::sleep(Duration::from_mins(10));
            return;
        }
        Answer::End => return,
    };
    // It may have gone away.
    let _ = stream.write_all(said.as_bytes());
    let _ = stream.flush();
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut asked = Asked::default();
    reader.read_line(&mut asked.line).ok()?;
    let mut len = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            len = value.parse().ok()?;
        }
        asked.headers.push((name.to_owned(), value.to_owned()));
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).ok()?;
    asked.line = asked.line.trim_end().to_owned();
    Some(asked)
}
