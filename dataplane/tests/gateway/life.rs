//! Reload, drain and end under load: no request is lost.

use std::io::{Read, Write};

use perf_lab::load::Load;

use crate::process::{ALL, Gateway, configuration, drivers, fast_origin};
use crate::wire::{connect, get};

fn text(origin: std::net::SocketAddr, says: &str) -> String {
    let direct = format!(
        "- match: {{ path: /says }}\n  direct_response: \
         {{ status: 200, body: {{ inline_string: {says} }} }}\n{ALL}"
    );
    configuration(origin, "", &direct)
}

fn load(gateway: &Gateway) -> Load {
    let mut load = Load::new(gateway.address, "/?size=3000");
    load.size = Some(3000);
    load
}

#[test]
fn a_reload_loses_nothing() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &text(origin.address(), "before"));
        let running = load(&gateway).start().unwrap();
        for says in ["one", "two", "three"] {
            let wanted = running.answered() + 200;
            gateway.file.write(&text(origin.address(), says));
            gateway.signal("HUP");
            gateway.wait_log("configuration applied");
            assert!(get(gateway.address, "/says").text.ends_with(says));
            while running.answered() < wanted {
                std::thread::yield_now();
            }
        }
        running.stop();
        let report = running.finish().unwrap();
        assert_eq!(report.failed(), 0, "{driver}: {report}");
        assert_eq!(
            report.connects, 16,
            "{driver}: connections were closed: {report}"
        );
    }
}

#[test]
fn a_bad_file_changes_nothing() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &text(origin.address(), "before"));
        gateway
            .file
            .write("static_resources: { listeners: [ { nam: x } ] }");
        gateway.signal("HUP");
        let line = gateway.wait_log("static_resources.listeners[0].nam");
        assert!(line.contains(gateway.file.path()), "{line}");
        gateway.wait_log("reload refused");
        assert!(get(gateway.address, "/says").text.ends_with("before"));
    }
}

#[test]
fn readiness_fails_before_the_listeners_close() {
    let driver = drivers()[0];
    let origin = fast_origin();
    let text = text(origin.address(), "x");
    let mut gateway = Gateway::start_with(driver, &text, "", &["--drain-delay", "3600"]);
    assert_eq!(get(gateway.admin, "/ready").status, 200);
    gateway.signal("TERM");
    gateway.wait_log("draining");
    while get(gateway.admin, "/ready").status != 503 {
        std::thread::yield_now();
    }
    assert_eq!(get(gateway.address, "/says").status, 200);
    gateway.signal("TERM");
    let (status, _) = gateway.wait_end();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn what_is_open_after_the_time_is_cut() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = text(origin.address(), "x");
        let options = ["--drain-timeout", "0.2"];
        let mut gateway = Gateway::start_with(driver, &text, "", &options);
        let mut stream = connect(gateway.address);
        stream
            .write_all(b"GET /?delay=600000 HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        while origin
            .counters()
            .open
            .load(std::sync::atomic::Ordering::Relaxed)
            == 0
        {
            std::thread::yield_now();
        }
        gateway.signal("TERM");
        let (status, log) = gateway.wait_end();
        assert_eq!(status.code(), Some(0), "{driver}: {log}");
        assert!(log.contains("connections were cut"), "{driver}: {log}");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(
            rest.is_empty(),
            "{driver}: {}",
            String::from_utf8_lossy(&rest)
        );
    }
}

#[test]
fn a_second_signal_is_immediate() {
    let driver = drivers()[0];
    let origin = fast_origin();
    let mut gateway = Gateway::start(driver, &text(origin.address(), "x"));
    let mut stream = connect(gateway.address);
    stream
        .write_all(b"GET /?delay=600000 HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    while origin
        .counters()
        .open
        .load(std::sync::atomic::Ordering::Relaxed)
        == 0
    {
        std::thread::yield_now();
    }
    gateway.signal("TERM");
    gateway.wait_log("draining");
    gateway.signal("TERM");
    let (status, log) = gateway.wait_end();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("connections were cut"), "{log}");
}

#[test]
fn admin_ends_the_process_by_post_only() {
    let origin = fast_origin();
    let mut gateway = Gateway::start("auto", &text(origin.address(), "x"));
    assert_eq!(get(gateway.admin, "/quitquitquit").status, 405);
    let reply = crate::wire::ask(gateway.admin, "POST /quitquitquit", &["Content-Length: 0"]);
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (status, _) = gateway.wait_end();
    assert_eq!(status.code(), Some(0));
}
