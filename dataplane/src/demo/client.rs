//! One request on one connection: enough of a client to show what a gateway does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    /// Further field lines, Host among them if it is not to be the gateway's address.
    pub(super) fields: &'a [&'a str],
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    /// Value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request and reads until the gateway closes.
pub(super) fn send(address: SocketAddr, request: Request<'_>) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("GET {} HTTP/1.1\r\nConnection: close\r\n", request.path);
    for field in request.fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    if !request
        .fields
        .iter()
        .any(|field| field.starts_with("Host:"))
    {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::other("the answer is no HTTP response"))
}

fn parse(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn replies_are_read() {
        let reply = parse("HTTP/1.1 200 OK\r\nX-Origin: fast\r\n\r\nhello").unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (200, "hello"));
        assert_eq!(reply.field("x-origin"), Some("fast"));
        assert!(parse("nonsense").is_none());
    }
}
