use super::super::HeadScanner;
use super::*;

fn decode(head: &str) -> Result<(RequestFraming, String), Refusal> {
    let options = RequestOptions::default();
    let mut scanner = HeadScanner::request();
    let len = scanner
        .scan(head.as_bytes(), &options.limits())?
        .expect("the head is complete");
    let mut out = RequestHead::default();
    let framing = decode_request(&head.as_bytes()[..len], &options, &mut out)?;
    let mut bytes = Vec::new();
    super::super::encode_request(&out, framing.body, framing.keep_alive, None, &mut bytes);
    Ok((framing, String::from_utf8(bytes).unwrap()))
}

#[test]
fn a_plain_request_passes() {
    let (framing, text) = decode("GET /a?b HTTP/1.1\r\nHost: h:80\r\nX-A:  b \r\n\r\n").unwrap();
    assert_eq!(framing.body, BodyLength::None);
    assert!(framing.keep_alive);
    assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: h:80\r\nx-a: b\r\n\r\n");
}
