//! The `h2` crate on the other side, in both roles, over pipes in memory: what either writes, the
//! other must read as it was meant.

use std::collections::HashMap;

use bytes::Bytes;
use penstock_core::event::Time;
use penstock_core::http::h2::{Connection, Message, Settings, StreamId};
use penstock_core::http::{BodyLength, Fields, RequestHead, ResponseHead};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Our side over one end of a pipe.
struct Ours {
    connection: Connection,
    pipe: DuplexStream,
    out: Vec<u8>,
    /// A stream is over once its body has left.
    forgets: bool,
}

impl Ours {
    fn new(connection: Connection, pipe: DuplexStream, forgets: bool) -> Self {
        Self {
            connection,
            pipe,
            out: Vec::new(),
            forgets,
        }
    }

    /// Everything that may leave now, bodies behind heads.
    async fn flush(&mut self, bodies: &mut HashMap<StreamId, Sending>) {
        self.connection.take_output(&mut self.out);
        let streams: Vec<StreamId> = bodies.keys().copied().collect();
        for stream in streams {
            self.send(stream, bodies);
        }
        self.connection.take_output(&mut self.out);
        let out = std::mem::take(&mut self.out);
        self.pipe.write_all(&out).await.expect("the pipe is open");
    }

    fn send(&mut self, stream: StreamId, bodies: &mut HashMap<StreamId, Sending>) {
        let Some(sending) = bodies.get_mut(&stream) else {
            return;
        };
        let ends = sending.trailers.is_none();
        while let Some(granted) = self.connection.data(stream, sending.left, ends) {
            self.out.extend_from_slice(&granted.header);
            self.out.resize(self.out.len() + granted.len as usize, b'x');
            sending.left -= granted.len;
            if sending.left == 0 {
                break;
            }
        }
        if sending.left > 0 {
            return;
        }
        if let Some(trailers) = sending.trailers.take() {
            self.connection.send_trailers(stream, &trailers);
        }
        bodies.remove(&stream);
        if self.forgets {
            self.connection.forget(stream);
        }
    }

    async fn receive(&mut self, bytes: &mut [u8]) -> usize {
        self.pipe.read(bytes).await.expect("the pipe is open")
    }
}

/// A body that is being sent.
struct Sending {
    left: u32,
    trailers: Option<Fields>,
}

fn trailers() -> Fields {
    let mut fields = Fields::default();
    fields.push(b"grpc-status", b"0");
    fields
}

/// Serves `h2` until it closes: each request is answered with its own body's length of bytes, and
/// trailers.
async fn serve(pipe: DuplexStream, piece: usize) {
    let mut ours = Ours::new(Connection::server(Settings::default(), Time(0)), pipe, true);
    let (mut bodies, mut lens) = (HashMap::new(), HashMap::<StreamId, u32>::new());
    let mut bytes = vec![0; piece];
    let mut turn = 0;
    loop {
        ours.flush(&mut bodies).await;
        let len = ours.receive(&mut bytes).await;
        if len == 0 {
            return;
        }
        turn += 1;
        let mut at = 0;
        let now = Time(turn * 1000);
        while let Some(message) = ours
            .connection
            .next(now, &bytes[..len], &mut at)
            .expect("h2 is correct")
        {
            let (stream, end) = match message {
                Message::Head { stream, end } => {
                    let mut head = RequestHead::default();
                    ours.connection.take_request(&mut head);
                    assert_eq!(head.authority(), b"example.test");
                    assert_eq!(
                        head.fields.value_by_name(b"x-field"),
                        Some(&b"some value"[..])
                    );
                    lens.insert(stream, 0);
                    (stream, end)
                }
                Message::Data { stream, range, end } => {
                    assert!(bytes[range.clone()].iter().all(|&byte| byte == b'y'));
                    *lens.get_mut(&stream).unwrap() += range.len() as u32;
                    ours.connection.consumed(stream, range.len() as u32);
                    (stream, end)
                }
                Message::Trailers { stream } => {
                    let mut fields = Fields::default();
                    ours.connection.take_trailers(&mut fields);
                    assert_eq!(fields.value_by_name(b"x-trailer"), Some(&b"behind"[..]));
                    (stream, true)
                }
                Message::Reset { .. } | Message::Rejected { .. } => panic!("{message:?}"),
                _ => continue,
            };
            if end {
                let mut head = ResponseHead {
                    status: 200,
                    ..ResponseHead::default()
                };
                head.fields.push(b"x-answer", b"from us");
                assert!(
                    ours.connection
                        .send_response(stream, &head, BodyLength::Chunked)
                );
                let left = lens[&stream];
                bodies.insert(
                    stream,
                    Sending {
                        left,
                        trailers: Some(trailers()),
                    },
                );
            }
        }
    }
}

async fn call(
    send: h2::client::SendRequest<Bytes>,
    index: usize,
    body_len: usize,
) -> (u16, usize, Option<String>) {
    let mut send = send.ready().await.expect("the connection is up");
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("http://example.test/some/path?{index}"))
        .header("x-field", "some value")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false).expect("a stream is free");
    let mut left = body_len;
    while left > 0 {
        body.reserve_capacity(left.min(20_000));
        let granted = std::future::poll_fn(|cx| body.poll_capacity(cx))
            .await
            .unwrap()
            .unwrap();
        let len = granted.min(left);
        body.send_data(Bytes::from(vec![b'y'; len]), false).unwrap();
        left -= len;
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-trailer", "behind".parse().unwrap());
    body.send_trailers(trailers).unwrap();
    let response = response.await.expect("we answer");
    assert_eq!(response.headers()["x-answer"], "from us");
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        received += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap();
    let status_of_call = trailers.map(|fields| fields["grpc-status"].to_str().unwrap().to_owned());
    (status, received, status_of_call)
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future);
}

fn h2_calls_us(piece: usize, body_len: usize, calls: usize) {
    run(async move {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::task::spawn_local(serve(far, piece));
        let (send, connection) = h2::client::handshake(near).await.unwrap();
        tokio::task::spawn_local(async move { connection.await.unwrap() });
        let calls: Vec<_> = (0..calls)
            .map(|index| tokio::task::spawn_local(call(send.clone(), index, body_len)))
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), (200, body_len, Some("0".to_owned())));
        }
    });
}

#[test]
fn h2_calls_us_with_small_bodies() {
    h2_calls_us(16_384, 10, 500);
}

#[test]
fn h2_calls_us_with_large_bodies() {
    h2_calls_us(16_384, 1_000_000, 8);
}

#[test]
fn h2_calls_us_and_bytes_come_in_crumbs() {
    h2_calls_us(7, 3000, 5);
}

/// Answers like `serve`, by the crate.
async fn h2_serves(pipe: DuplexStream) {
    let mut connection = h2::server::handshake(pipe).await.unwrap();
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request.expect("we are correct");
        assert_eq!(request.uri().authority().unwrap(), "example.test");
        assert_eq!(request.headers()["x-field"], "some value");
        assert_eq!(request.headers()["authorization"], "Basic c2VjcmV0");
        tokio::task::spawn_local(async move {
            let mut body = request.into_body();
            let mut received = 0;
            while let Some(piece) = body.data().await {
                let piece = piece.unwrap();
                received += piece.len();
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            assert!(body.trailers().await.unwrap().is_some());
            let response = http::Response::builder()
                .status(201)
                .header("x-b", "c")
                .body(())
                .unwrap();
            let mut send = respond.send_response(response, false).unwrap();
            let mut left = received;
            while left > 0 {
                send.reserve_capacity(left.min(20_000));
                let granted = std::future::poll_fn(|cx| send.poll_capacity(cx))
                    .await
                    .unwrap()
                    .unwrap();
                let len = granted.min(left);
                send.send_data(Bytes::from(vec![b'z'; len]), left == len)
                    .unwrap();
                left -= len;
            }
        });
    }
}

fn request(index: usize) -> RequestHead {
    let mut head = RequestHead::default();
    head.method_text = head.fields.store(b"POST");
    head.method = penstock_core::http::Method::Post;
    head.set_target(format!("/{index}").as_bytes());
    head.set_authority(b"example.test");
    head.fields.push(b"x-field", b"some value");
    head.fields.push(b"authorization", b"Basic c2VjcmV0");
    head
}

fn we_call_h2(piece: usize, body_len: u32, calls: usize) {
    run(async move {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::task::spawn_local(h2_serves(far));
        let mut ours = Ours::new(
            Connection::client(Settings::default(), Time(0)),
            near,
            false,
        );
        let (mut bodies, mut received, mut done) = (HashMap::new(), HashMap::new(), 0);
        let mut started = 0;
        let mut bytes = vec![0; piece];
        let mut turn = 0;
        while done < calls {
            while started < calls && ours.connection.can_open() {
                let stream = ours.connection.open().unwrap();
                assert!(ours.connection.send_request(
                    stream,
                    &request(started),
                    BodyLength::Chunked
                ));
                bodies.insert(
                    stream,
                    Sending {
                        left: body_len,
                        trailers: Some(trailers()),
                    },
                );
                received.insert(stream, 0u32);
                started += 1;
            }
            ours.flush(&mut bodies).await;
            let len = ours.receive(&mut bytes).await;
            assert!(len > 0, "h2 has closed");
            turn += 1;
            let (now, mut at) = (Time(turn * 1000), 0);
            while let Some(message) = ours
                .connection
                .next(now, &bytes[..len], &mut at)
                .expect("h2 is correct")
            {
                match message {
                    Message::Head { stream, end } => {
                        let mut head = ResponseHead::default();
                        ours.connection.take_response(&mut head);
                        assert_eq!((head.status, end), (201, false));
                        assert_eq!(head.fields.value_by_name(b"x-b"), Some(&b"c"[..]));
                        assert!(received.contains_key(&stream));
                    }
                    Message::Data { stream, range, end } => {
                        *received.get_mut(&stream).unwrap() += range.len() as u32;
                        ours.connection.consumed(stream, range.len() as u32);
                        if end {
                            assert_eq!(received[&stream], body_len);
                            ours.connection.forget(stream);
                            done += 1;
                        }
                    }
                    Message::Reset { .. } | Message::Trailers { .. } => panic!("{message:?}"),
                    _ => {}
                }
            }
        }
        assert_eq!(ours.connection.stream_count(), 0);
    });
}

#[test]
fn we_call_h2_with_small_bodies() {
    we_call_h2(16_384, 10, 500);
}

#[test]
fn we_call_h2_with_large_bodies() {
    we_call_h2(16_384, 1_000_000, 8);
}

#[test]
fn we_call_h2_and_bytes_come_in_crumbs() {
    we_call_h2(5, 3000, 5);
}
