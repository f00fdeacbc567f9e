//! The tutorial's REST contract: the 71 requests of drf/requests.sh, answer by answer, against what Django REST framework said.
//!
//! Masked: the random suffixes of names, and the bodies and lengths of HTML pages, which are our own design. Left out by the
//! script itself: Date, Server, Connection and the security headers (tests/api/create.rs has those).

use std::collections::BTreeMap;
use std::process::Command;

use crate::common::TestApp;

/// Where we answer otherwise on purpose (the end of contract.md): our status line and, if it is JSON, our body.
const SUPERSETS: [(&str, &str, Option<&str>); 4] = [
    // Django cannot redirect a POST and fails; we serve it.
    (
        "POST no slash",
        "HTTP/1.1 201 Created",
        Some(r#"{"title":"x","file":"https://bkt.s3.amazonaws.com/media/a_*******.pdf"}"#),
    ),
    // Errors that the original renders as HTML are JSON.
    ("GET id", "HTTP/1.1 404 Not Found", Some(r#"{"detail":"Not found."}"#)),
    ("GET /api/", "HTTP/1.1 404 Not Found", Some(r#"{"detail":"Not found."}"#)),
    ("GET /", "HTTP/1.1 404 Not Found", Some(r#"{"detail":"Not found."}"#)),
];

#[derive(Debug, PartialEq)]
struct Answer {
    status: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// Splits the script's output into answers by the name of the request.
fn answers(text: &str) -> Vec<(String, Answer)> {
    let blocks = text.split("### ").skip(1);
    let parse = |block: &str| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default().to_owned();
        let mut headers: BTreeMap<String, String> =
            lines.filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        for framing in ["Set-Cookie", "Transfer-Encoding"] {
            headers.remove(framing);
        }
        let mut body = mask(body.trim_end_matches('\n'));
        if headers.get("Content-Type").is_some_and(|t| t.starts_with("text/html")) {
            headers.remove("Content-Length");
            headers.remove("Vary");
            body.clear();
        }
        (name.to_owned(), Answer { status, headers, body })
    };
    blocks.map(parse).collect()
}

/// `_yaKIvrz.pdf` → `_*******.pdf`; also a suffix that the 900 bytes cut off.
fn mask(body: &str) -> String {
    let mut out = String::new();
    let mut rest = body;
    while let Some(at) = rest.find("_") {
        let (before, tail) = rest.split_at(at + 1);
        out += before;
        let letters = tail.bytes().take(7).take_while(u8::is_ascii_alphanumeric).count();
        let is_suffix = (letters == 7 && (tail[7..].starts_with('.') || tail.len() == 7)) || letters == tail.len();
        let masked = if is_suffix { letters } else { 0 };
        out += &"*".repeat(masked);
        rest = &tail[masked..];
    }
    out + rest
}

#[tokio::test]
async fn all_71_answers_are_the_originals() {
    let app = TestApp::new().await;
    let server = app.serve(&[("AWS_S3_CUSTOM_DOMAIN", "bkt.s3.amazonaws.com")]).await;
    let base = super::create::url(&server).replace("/api/create/", "");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/drf");
    let run = move || Command::new("bash").arg(format!("{folder}/requests.sh")).env("BASE", base).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let got = answers(&String::from_utf8_lossy(&output.stdout));
    let want = answers(&std::fs::read_to_string(format!("{folder}/responses.txt")).unwrap());
    assert_eq!(want.len(), 71);
    assert_eq!(got.len(), want.len());
    let mut differences = vec![];
    for ((name, got), (wanted_name, mut want)) in got.iter().zip(want) {
        assert_eq!(*name, wanted_name);
        if name == "page param" {
            // The POST without a slash, which we serve, has made the list one document longer.
            let more = r#",{"title":"x","file":"https://bkt.s3.amazonaws.com/media/a_*******.pdf"}"#.len();
            let length: usize = want.headers["Content-Length"].parse().unwrap();
            want.headers.insert("Content-Length".into(), (length + more).to_string());
        }
        match SUPERSETS.iter().find(|(n, ..)| n == name) {
            Some((_, status, body)) => {
                assert_eq!(got.status, *status, "{name}");
                assert_eq!(got.headers["Content-Type"], "application/json", "{name}");
                assert_eq!(got.body, body.unwrap_or_default(), "{name}");
            }
            None if *got != want => differences.push(format!("{name}\n  ours:     {got:?}\n  original: {want:?}")),
            None => {}
        }
    }
    assert!(differences.is_empty(), "{} of 71 differ:\n{}", differences.len(), differences.join("\n"));
    app.finish().await;
}
