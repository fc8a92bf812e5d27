//! Locations.

use super::build::*;
use crate::config::expression::anywhere;
use crate::config::route::*;
use crate::http::RequestHead;
use crate::route::{HostIndex, RouteRef, RouteTable};

fn plain() -> Redirect {
    Redirect {
        status: 301,
        scheme: None,
        host: None,
        port: None,
        path: RedirectPath::Keep,
        strip_query: false,
    }
}

fn location(path: PathMatch, redirect: Redirect, request: &RequestHead) -> String {
    let mut route = route(path);
    let status = redirect.status;
    route.action = Action::Redirect(Box::new(redirect));
    let route_ref = RouteRef {
        host: HostIndex(0),
        index: 0,
    };
    let mut out = b"overwritten".to_vec();
    assert_eq!(
        table(vec![route]).redirect(route_ref, request, &mut out),
        status
    );
    String::from_utf8(out).unwrap()
}

fn check(redirect: Redirect, request: &RequestHead, expect: &str) {
    assert_eq!(location(prefix("/"), redirect, request), expect);
}

fn https() -> Redirect {
    Redirect {
        scheme: Some("https".into()),
        ..plain()
    }
}

fn secure(authority: &str, target: &str) -> RequestHead {
    RequestHead {
        secure: true,
        ..get(authority, target)
    }
}

#[test]
fn scheme_and_port() {
    let port = |port| Redirect {
        port: Some(port),
        ..https()
    };
    let to_http = || Redirect {
        scheme: Some("http".into()),
        ..plain()
    };
    for (redirect, request, expect) in [
        (https(), get("a", "/x?q"), "https://a/x?q"),
        (https(), get("a:80", "/x"), "https://a/x"),
        (https(), get("a:8080", "/x"), "https://a:8080/x"),
        (https(), get("a:443", "/x"), "https://a:443/x"),
        (https(), get("[::1]:80", "/"), "https://[::1]/"),
        (https(), get("[::1]", "/"), "https://[::1]/"),
        (https(), secure("a:80", "/"), "https://a:80/"),
        (to_http(), secure("a:443", "/"), "http://a/"),
        (plain(), get("a:80", "/"), "http://a:80/"),
        (port(8443), get("a:80", "/"), "https://a:8443/"),
        (port(8443), get("a:1", "/"), "https://a:8443/"),
        (port(8443), get("[::1]:1", "/"), "https://[::1]:8443/"),
    ] {
        check(redirect, &request, expect);
    }
}

#[test]
fn hosts() {
    let to = |host: &str, port| Redirect {
        host: Some(host.into()),
        port,
        ..plain()
    };
    check(to("b", None), &get("a:80", "/x"), "http://b/x");
    check(to("b:81", None), &get("a:80", "/x"), "http://b:81/x");
    check(to("b", Some(81)), &get("a:80", "/x"), "http://b:81/x");
}

#[test]
fn paths() {
    let replace = |path: &str, strip_query| Redirect {
        path: RedirectPath::Replace(path.into()),
        strip_query,
        ..plain()
    };
    check(
        replace("/new", false),
        &get("a", "/old?q=1"),
        "http://a/new?q=1",
    );
    check(replace("/new", true), &get("a", "/old?q=1"), "http://a/new");
    check(
        replace("/new?x", false),
        &get("a", "/old?q=1"),
        "http://a/new?x",
    );
    check(
        replace("/new?x", true),
        &get("a", "/old?q=1"),
        "http://a/new?x",
    );
    check(
        replace("", false),
        &get("a", "/old?q=1"),
        "http://a/old?q=1",
    );
    check(replace("new", false), &get("a", "/old"), "http://a/new");
    let strip = Redirect {
        strip_query: true,
        ..plain()
    };
    check(strip, &get("a", "/old?q=1?r"), "http://a/old");
    let rewrite = |rewrite| Redirect {
        path: RedirectPath::Rewrite(rewrite),
        ..plain()
    };
    let to_new = || rewrite(PathRewrite::Prefix("/new".into()));
    assert_eq!(
        location(prefix("/old"), to_new(), &get("a", "/old/x?q")),
        "http://a/new/x?q"
    );
    assert_eq!(
        location(exact("/old"), to_new(), &get("a", "/old?q")),
        "http://a/new?q"
    );
    let expression = PathRewrite::Regex {
        pattern: anywhere("^/([a-z]+)/(.*)$").unwrap(),
        substitution: "/\\2/\\1".into(),
    };
    assert_eq!(
        location(prefix("/ol"), rewrite(expression), &get("a", "/old/x?q")),
        "http://a/x/old?q"
    );
}

/// O08: whatever the path is, the host stays the one that was meant.
#[test]
fn no_path_names_another_host() {
    let cut = || Redirect {
        path: RedirectPath::Rewrite(PathRewrite::Regex {
            pattern: anywhere("^/go/").unwrap(),
            substitution: "".into(),
        }),
        ..plain()
    };
    for (redirect, request, expect) in [
        (plain(), get("a", "//evil"), "http://a//evil"),
        (plain(), get("", "//evil/x"), "/evil/x"),
        (plain(), get("", "/\\evil/x"), "/evil/x"),
        (plain(), get("", "///\\/evil"), "/evil"),
        (plain(), get("", "/"), "/"),
        (cut(), get("a", "/go/.evil"), "http://a/.evil"),
        (cut(), get("a", "/go/@evil"), "http://a/@evil"),
        (cut(), get("", "/go//evil"), "/evil"),
        (
            plain(),
            get("a", "/x\r\nset-cookie: y"),
            "http://a/x%0D%0Aset-cookie:%20y",
        ),
        (plain(), get("a", "/gr\u{fc}n"), "http://a/gr%C3%BCn"),
    ] {
        check(redirect, &request, expect);
    }
}

#[test]
fn https_for_hosts_that_require_it() {
    let location = |request: &RequestHead| {
        let mut out = Vec::new();
        assert_eq!(RouteTable::redirect_to_https(request, &mut out), 301);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(location(&get("a:8080", "/x?q")), "https://a:8080/x?q");
    assert_eq!(location(&get("a", "//evil")), "https://a//evil");
    assert_eq!(location(&get("", "//evil")), "/evil");
}
