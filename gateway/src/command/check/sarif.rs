//! Problems in SARIF 2.1.0 (OASIS), which code scanning services and editors read.

use super::Shown;
use crate::policy::problem::{Code, Severity};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Writes one log with one run.
pub(super) fn write(shown: &[Shown], out: &mut impl Write) -> io::Result<()> {
    let rules = Code::ALL.map(rule).to_vec();
    let results: Vec<Value> = shown.iter().map(result).collect();
    let driver = json!({"name": "gate25", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    let run = json!({"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results});
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    });
    serde_json::to_writer(&mut *out, &log)?;
    writeln!(out)
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.label(),
        "shortDescription": {"text": code.description()},
        "defaultConfiguration": {"level": level(if code.is_warning() { Severity::Warning } else { Severity::Error })},
    })
}

fn result(Shown { problem, excerpt }: &Shown) -> Value {
    let mut region = json!({"startLine": problem.line, "startColumn": problem.column});
    if let Some(length) = excerpt.as_ref().and_then(|excerpt| excerpt.length) {
        region["endColumn"] = json!(problem.column + length);
    }
    let location = json!({"artifactLocation": {"uri": uri(&problem.file)}, "region": region});
    json!({
        "ruleId": problem.code.label(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == problem.code),
        "level": level(problem.severity),
        "message": {"text": problem.message()},
        "locations": [{"physicalLocation": location}],
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The path from here, if the file is below: services know files by their path in the repository.
pub(super) fn below_here(path: &Path) -> &Path {
    let here = std::env::current_dir().ok();
    let path = here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    path.strip_prefix(".").unwrap_or(path)
}

/// A relative reference, or a `file` URI (RFC 3986, RFC 8089).
fn uri(path: &Path) -> String {
    let path = below_here(path);
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    for octet in path.as_os_str().as_encoded_bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(octet) {
            uri.push(char::from(*octet));
        } else {
            let _ = write!(uri, "%{octet:02X}");
        }
    }
    uri
}
