//! What the memory of a connection comes to; its behaviour is tested from outside.

use super::*;

/// All bytes of one side to the other; the messages that come of them.
fn pass(from: &mut Connection, to: &mut Connection, now: u64) -> Vec<Message> {
    let (mut bytes, mut at, mut messages) = (Vec::new(), 0, Vec::new());
    from.take_output(&mut bytes);
    while let Some(message) = to
        .next(Time(now), &bytes, &mut at)
        .expect("both sides are ours")
    {
        messages.push(message);
    }
    messages
}

fn request(stream: StreamId, client: &mut Connection, index: usize) {
    let mut head = RequestHead::default();
    head.method_text = head.fields.store(b"GET");
    head.set_target(b"/some/path");
    head.set_authority(b"example.test");
    for name in ["accept", "user-agent", "x-some-header"] {
        let value = format!("{} of this client", (index % 7) + name.len());
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    assert!(client.send_request(stream, &head, crate::http::BodyLength::None));
}

#[test]
fn an_idle_connection_is_small() {
    let now = Time(0);
    let mut client = Connection::client(Settings::default(), now);
    let mut server = Connection::server(Settings::default(), now);
    let mut head = RequestHead::default();
    for index in 0..500 {
        let stream = client.open().expect("streams are forgotten");
        request(stream, &mut client, index);
        pass(&mut client, &mut server, index as u64);
        server.take_request(&mut head);
        let response = ResponseHead {
            status: 200,
            ..ResponseHead::default()
        };
        assert!(server.send_response(stream, &response, crate::http::BodyLength::Bytes(0)));
        server.forget(stream);
        pass(&mut server, &mut client, index as u64);
        client.forget(stream);
    }
    let own = size_of::<Connection>();
    let (before, used) = (server.memory(), client.memory());
    server.release();
    client.release();
    println!(
        "connection {own}, stream {}",
        size_of::<super::super::stream::Stream>()
    );
    println!("memory after 500 requests: server {before}, client {used}");
    println!(
        "released: server {}, client {}",
        server.memory(),
        client.memory()
    );
    assert!(own <= 1024, "{own}");
    assert!(own + server.memory() <= 4096, "{}", server.memory());
    assert!(own + client.memory() <= 4096, "{}", client.memory());
    // It still works.
    let stream = client.open().expect("nothing is open");
    request(stream, &mut client, 3);
    assert_eq!(
        pass(&mut client, &mut server, 900),
        [Message::Head { stream, end: true }]
    );
}

#[test]
fn a_warm_connection_allocates_nothing_more() {
    let now = Time(0);
    let mut client = Connection::client(Settings::default(), now);
    let mut server = Connection::server(Settings::default(), now);
    let mut head = RequestHead::default();
    let mut memory = 0;
    for index in 0..2000 {
        let stream = client.open().expect("streams are forgotten");
        request(stream, &mut client, index);
        pass(&mut client, &mut server, index as u64);
        server.take_request(&mut head);
        let response = ResponseHead {
            status: 200,
            ..ResponseHead::default()
        };
        server.send_response(stream, &response, crate::http::BodyLength::Bytes(0));
        server.forget(stream);
        pass(&mut server, &mut client, index as u64);
        client.forget(stream);
        if index == 1000 {
            memory = server.memory() + head.fields.memory();
        }
    }
    assert_eq!(server.memory() + head.fields.memory(), memory);
}
