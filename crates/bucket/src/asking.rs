//! How requests leave: counted, and so answered that those which can be made again are.
//!
//! `object_store` makes a request again if it knows that it did not arrive, or that it does no harm twice. Of ours none
//! does: what is written under a condition carries a mark by which we know our own, everything else has the same outcome
//! however often it is done. So whatever way a connection ends, the request is made again; and answers that are read as a
//! whole in any case are read here, where that can still be done.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use reqwest::StatusCode;
use sync_wrapper::SyncStream;

use crate::Traffic;
use crate::retention::Amazon;
use crate::traffic::Kind;

/// Makes requests.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) traffic: Traffic,
    /// It has a store that makes requests through this.
    pub(crate) amazon: Weak<Amazon>,
    /// For how long nothing may be answered before nothing is asked twice any more.
    pub(crate) patience: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client {
            http: ReqwestConnector::default().connect(options)?,
            traffic: self.traffic.clone(),
            amazon: Weak::clone(&self.amazon),
            silence: Arc::new(Silence::new(self.patience)),
        }))
    }
}

#[derive(Debug)]
struct Client {
    http: HttpClient,
    traffic: Traffic,
    amazon: Weak<Amazon>,
    silence: Arc<Silence>,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(amazon) = self.amazon.upgrade() {
            amazon.lock(&mut request).await?;
        }
        let kind = kind(&request);
        let is_get = request.method() == "GET";
        self.traffic
            .request(kind, request.body().content_length() as u64);
        let lost = |error: &HttpError| {
            self.traffic.failed();
            self.silence.goes_on(Unanswered::because_of(error))
        };
        let response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(lost(&error)),
        };
        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::NOT_IMPLEMENTED {
            // That will not change by asking again.
            head.status = StatusCode::METHOD_NOT_ALLOWED;
        }
        let is_busy = head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS;
        if is_busy {
            self.traffic.failed();
            let status = head.status;
            if self.silence.is_over_long() {
                return Err(self.silence.goes_on(Unanswered(format!("status {status}"))));
            }
            self.silence.begins();
        }
        let traffic = self.traffic.clone();
        // What is read as it comes can be asked for from there on.
        if is_get && kind == Kind::Read && head.status.is_success() {
            self.silence.ends();
            let counted = body.bytes_stream().map(move |piece| {
                if let Ok(piece) = &piece {
                    traffic.received(piece.len() as u64);
                }
                piece.map(Frame::data)
            });
            let body = HttpResponseBody::new(StreamBody::new(SyncStream::new(counted)));
            return Ok(HttpResponse::from_parts(head, body));
        }
        let body = match body.bytes().await {
            Ok(body) => body,
            Err(error) => return Err(lost(&error)),
        };
        if !is_busy {
            self.silence.ends();
        }
        traffic.received(body.len() as u64);
        Ok(HttpResponse::from_parts(head, body.into()))
    }
}

/// What stores charge for a request.
fn kind(request: &HttpRequest) -> Kind {
    let query = request.uri().query().unwrap_or_default();
    match request.method().as_str() {
        "GET" if query.contains("list-type=") || query.contains("comp=list") => Kind::List,
        "GET" | "HEAD" => Kind::Read,
        "DELETE" => Kind::Removal,
        "POST" if query == "delete" || query.starts_with("delete=") => Kind::Removal,
        _ => Kind::Write,
    }
}

/// A request without an answer, or with half of one.
#[derive(Debug)]
struct Unanswered(String);

impl Unanswered {
    /// What happened, and why in the end.
    fn because_of(error: &HttpError) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Self(cause.to_string())
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// The time in which nothing was answered. Each request is made again for a while; that many of them are not waited for
/// one after the other when the store is gone is seen to here.
#[derive(Debug)]
struct Silence {
    patience: Duration,
    /// When it began, and when it was noticed last.
    since: Mutex<Option<(Instant, Instant)>>,
}

impl Silence {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Mutex::default(),
        }
    }

    fn begins(&self) {
        let now = Instant::now();
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = match *since {
            // Nothing was asked for so long that nothing is known.
            Some((_, last)) if now - last > self.patience => Some((now, now)),
            Some((first, _)) => Some((first, now)),
            None => Some((now, now)),
        };
    }

    fn ends(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_over_long(&self) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|(first, last)| last - first > self.patience)
    }

    /// The error of a request that is made again as long as there is patience.
    fn goes_on(&self, error: Unanswered) -> HttpError {
        self.begins();
        let kind = if self.is_over_long() {
            HttpErrorKind::Unknown
        } else {
            HttpErrorKind::Request
        };
        HttpError::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_gone_is_not_waited_for_again_and_again() {
        let silence = Silence::new(Duration::from_millis(20));
        let kind = || silence.goes_on(Unanswered("gone".to_owned())).kind();
        assert_eq!(kind(), HttpErrorKind::Request);
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(8));
            kind();
        }
        assert_eq!(kind(), HttpErrorKind::Unknown);
        silence.ends();
        assert_eq!(kind(), HttpErrorKind::Request);
    }
}
