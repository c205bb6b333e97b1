//! Connections, and requests on them.
//!
//! A request that certainly never left is sent again on a new connection, since the server closes
//! idle ones. A request that may have arrived is not.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::address::Address;
use super::super::protocol::{OPENING_HEADER, PREFIX, PROTOCOL, PROTOCOL_HEADER};
use super::super::socket;
use crate::error::{Error, Failure};
use crate::proto::engine::Problem;

/// The timeout for connecting.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// The timeout for the start of an answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// The maximum silence within an answer; heartbeats are more frequent.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The number of idle connections to keep.
const IDLE_MAX: usize = 4;

type Sender = SendRequest<Full<Bytes>>;

/// The connection pool to the program that has the store open.
pub(super) struct Line {
    pub(super) address: Address,
    token: Option<String>,
    /// The opening of the store seen in the first answer.
    pub(super) opening: OnceLock<String>,
    idle: Mutex<Vec<Sender>>,
}

/// Omits the token.
impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a call failed.
pub(super) enum Lost {
    /// The call was not received, or refused: it had no effect.
    Before(String),
    /// Whether the call had an effect is unknown.
    After(String),
    /// The program returned an error.
    Told(Problem),
}

impl Line {
    pub(super) fn new(address: Address, token: Option<String>) -> Self {
        Self { address, token, opening: OnceLock::new(), idle: Mutex::default() }
    }

    /// Makes a call that returns one message.
    pub(super) async fn call<A: Message + Default>(
        &self,
        call: &'static str,
        question: Bytes,
        patience: Duration,
    ) -> Result<A, Lost> {
        let mut answer = self.ask(call, question, patience).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(Lost::After)? {
            bytes.extend_from_slice(&chunk);
        }
        self.keep(answer);
        A::decode(&*bytes).map_err(|error| Lost::After(format!("its answer does not decode: {error}")))
    }

    /// Makes a call, and returns once its answer has begun.
    pub(super) async fn ask(
        &self,
        call: &'static str,
        question: Bytes,
        patience: Duration,
    ) -> Result<Answer, Lost> {
        let (sender, response) = self.send(call, question, patience).await?;
        let status = response.status();
        let mut answer = Answer { sender, body: response.into_body() };
        if status == StatusCode::OK {
            return Ok(answer);
        }
        Err(answer.refusal(status).await)
    }

    async fn send(
        &self,
        call: &str,
        question: Bytes,
        patience: Duration,
    ) -> Result<(Sender, Response<Incoming>), Lost> {
        let mut request = self.request(call, question)?;
        loop {
            let idle = self.idle.lock().pop();
            let is_new = idle.is_none();
            let mut sender = match idle {
                Some(sender) => sender,
                None => self.connect().await.map_err(Lost::Before)?,
            };
            let sent = tokio::time::timeout(patience, sender.try_send_request(request)).await;
            let mut error = match sent {
                Err(_) => return Err(Lost::After(format!("there was no answer within {patience:?}"))),
                Ok(Ok(response)) => return Ok((sender, response)),
                Ok(Err(error)) => error,
            };
            match error.take_message() {
                Some(unsent) if !is_new => request = unsent,
                Some(_) => return Err(Lost::Before(error.into_error().to_string())),
                None => return Err(Lost::After(error.into_error().to_string())),
            }
        }
    }

    fn request(&self, call: &str, question: Bytes) -> Result<Request<Full<Bytes>>, Lost> {
        let mut request = Request::post(format!("{}{PREFIX}{call}", self.address.prefix()))
            .header(HOST, self.address.host())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(PROTOCOL_HEADER, PROTOCOL);
        if let Some(opening) = self.opening.get() {
            request = request.header(OPENING_HEADER, opening);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::new(question)).map_err(|error| Lost::Before(error.to_string()))
    }

    async fn connect(&self) -> Result<Sender, String> {
        let connecting = async {
            match &self.address {
                Address::Folder(folder) => {
                    let stream = socket::connect(folder).await.map_err(|error| error.to_string())?;
                    shake_hands(stream).await
                }
                Address::Tcp { host, port, .. } => {
                    let host = host.trim_start_matches('[').trim_end_matches(']');
                    let stream =
                        TcpStream::connect((host, *port)).await.map_err(|error| error.to_string())?;
                    stream.set_nodelay(true).map_err(|error| error.to_string())?;
                    shake_hands(stream).await
                }
            }
        };
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, connecting).await;
        connected.map_err(|_| format!("the connection timed out after {CONNECT_TIME_MAX:?}"))?
    }

    /// Keeps the connection of a completed answer.
    pub(super) fn keep(&self, answer: Answer) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX && !answer.sender.is_closed() {
            idle.push(answer.sender);
        }
    }

    /// Converts the failure of a call that changes nothing.
    pub(super) fn failed(&self, lost: Lost) -> Error {
        let place = self.address.to_string();
        match lost {
            Lost::Before(why) | Lost::After(why) => Failure::Unreachable { place, why }.into(),
            Lost::Told(problem) => problem.into_error(&place),
        }
    }

    /// Converts the failure of a call that may have had an effect.
    pub(super) fn uncertain(&self, lost: Lost) -> Error {
        match lost {
            Lost::After(why) => Failure::Uncertain { place: self.address.to_string(), why }.into(),
            lost => self.failed(lost),
        }
    }
}

async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<Sender, String> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // Callers that wait for an answer see the error.
        let _ = connection.await;
    });
    Ok(sender)
}

/// An answer that has begun.
#[derive(Debug)]
pub(super) struct Answer {
    sender: Sender,
    body: Incoming,
}

impl Answer {
    /// Returns the next part; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.map_err(|_| format!("nothing was received for {SILENCE_MAX:?}"))?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers carry nothing here.
            if let Ok(chunk) = frame.map_err(|error| error.to_string())?.into_data() {
                return Ok(Some(chunk));
            }
        }
    }

    /// Reads why a call was refused, from the program or a proxy before it.
    async fn refusal(&mut self, status: StatusCode) -> Lost {
        /// The maximum length of a refusal's text.
        const TEXT_BYTES: usize = 64 << 10;
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > TEXT_BYTES {
                break;
            }
        }
        // No message of the protocol starts like JSON.
        let is_told = !bytes.starts_with(b"{");
        if let (true, Ok(problem)) = (is_told, Problem::decode(&*bytes))
            && !problem.text.is_empty()
        {
            return Lost::Told(problem);
        }
        let why = match status {
            StatusCode::UNAUTHORIZED => {
                "it requires another token; name its file (--token-file FILE) or set PROCSTATE_TOKEN"
                    .to_owned()
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "it serves no store, or an older version of procstate serves it".to_owned()
            }
            _ => format!("it answered {status}"),
        };
        // A proxy may have given up while the call continues.
        if status.is_server_error() { Lost::After(why) } else { Lost::Before(why) }
    }
}
