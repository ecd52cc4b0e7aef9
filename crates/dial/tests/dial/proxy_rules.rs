//! The choice of a proxy, from the environment and from the list of exceptions.

use sansocket_dial::{NoProxy, Proxy, ProxyRules};

/// Returns the proxy for the URL with these variables.
fn selected(url: &str, variables: &[(&str, &str)]) -> Option<String> {
    let lookup = |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
    let rules = ProxyRules::from_environment(lookup);
    rules.select(&url.parse().unwrap()).unwrap().map(Proxy::to_string)
}

#[test]
fn variables_are_read_in_the_order_of_curl() {
    const WS: &str = "ws://example.com/";
    const WSS: &str = "wss://example.com/";
    for (url, variables, expected) in [
        (WS, &[("http_proxy", "a:1")][..], Some("http://a:1")),
        (WS, &[("HTTP_PROXY", "a:1")], None),
        (WS, &[("https_proxy", "a:1")], None),
        (WS, &[("all_proxy", "a:1"), ("ALL_PROXY", "b:1")], Some("http://a:1")),
        (WS, &[("ALL_PROXY", "socks5h://b")], Some("socks5h://b:1080")),
        (WS, &[("http_proxy", "a:1"), ("all_proxy", "b:1")], Some("http://a:1")),
        (WS, &[("http_proxy", ""), ("all_proxy", "b:1")], Some("http://b:1")),
        (WSS, &[("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")], Some("http://a:1")),
        (WSS, &[("HTTPS_PROXY", "b:1"), ("all_proxy", "c:1")], Some("http://b:1")),
        (WSS, &[("http_proxy", "a:1")], None),
        (WSS, &[("all_proxy", "c:1")], Some("http://c:1")),
        (WSS, &[("all_proxy", "c:1"), ("no_proxy", "example.com")], None),
        (WSS, &[("all_proxy", "c:1"), ("NO_PROXY", "*")], None),
        (WSS, &[("all_proxy", "c:1"), ("no_proxy", "x"), ("NO_PROXY", "*")], Some("http://c:1")),
        (WSS, &[], None),
    ] {
        assert_eq!(selected(url, variables).as_deref(), expected, "{url} {variables:?}");
    }
}

#[test]
fn a_variable_that_is_not_valid_is_named_when_it_applies() {
    let rules = ProxyRules::from_environment(|name| (name == "https_proxy").then(|| "ftp://u:secret@a".into()));
    assert_eq!(rules.select(&"ws://example.com/".parse().unwrap()), Ok(None));
    let error = rules.select(&"wss://example.com/".parse().unwrap()).unwrap_err().to_string();
    let text = "the variable https_proxy is not the URL of a proxy: the scheme of a proxy's URL is http, https, socks5 \
                or socks5h: write one of them";
    assert_eq!(error, text);
}

#[test]
fn exceptions_match_as_in_curls_manual() {
    for (list, host, expected) in [
        ("example.com", "example.com", true),
        ("example.com", "www.example.com", true),
        ("example.com", "notexample.com", false),
        ("example.com", "example.com.org", false),
        (".example.com", "example.com", true),
        (".example.com", "www.example.com", true),
        ("EXAMPLE.com.", "example.com", true),
        ("example.com", "example.com.", true),
        ("a, b\tc,,d", "c", true),
        ("a, b\tc,,d", "d", true),
        ("*", "anything", true),
        ("*,a", "anything", false),
        ("*.example.com", "www.example.com", false),
        ("example.com:80", "example.com", false),
        ("", "a", false),
        (".", "a", false),
        ("192.168.1.1", "192.168.1.1", true),
        ("192.168.1.1", "192.168.1.10", false),
        ("168.1.1", "192.168.1.1", false),
        ("192.168.0.0/16", "192.168.255.1", true),
        ("192.168.0.0/16", "192.169.0.1", false),
        ("192.168.0.0/33", "192.168.0.0", false),
        ("192.168.0.0/x", "192.168.0.0", false),
        ("0.0.0.0/0", "192.168.0.1", true),
        ("192.168.0.4/31", "192.168.0.5", true),
        ("192.168.0.4/31", "192.168.0.6", false),
        ("::1", "::1", true),
        ("0:0:0:0:0:0:0:1", "::1", true),
        ("2001:db8::/32", "2001:db8:1::2", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("2001:db8::/129", "2001:db8::", false),
        ("0.0.0.0/0", "::1", false),
        ("10.0.0.0/8", "host.with.ten", false),
    ] {
        assert_eq!(NoProxy::new(list).matches(host), expected, "{list:?} {host:?}");
    }
}

#[test]
fn exceptions_apply_to_a_proxy_of_the_application() {
    let rules = ProxyRules::always("a:1".parse().unwrap()).no_proxy(NoProxy::new("localhost"));
    assert_eq!(rules.select(&"ws://localhost/".parse().unwrap()), Ok(None));
    assert!(rules.select(&"ws://example.com/".parse().unwrap()).unwrap().is_some());
}
