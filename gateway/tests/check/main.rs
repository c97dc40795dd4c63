//! `gate25 check`: its advice, the lines it shows, and what it writes for other programs.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

mod advice;
mod dates;
mod deploy;
mod excerpts;
mod formats;
mod whole;

use gate25::cli::Format;
use gate25::command::check::{Options, check};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// By which dates are judged here.
const AT: &str = "2026-11-22T00:00:00Z";

const ZONES: &str = "version: 1\nzones:\n\
    - {id: west, subscribers: [203.0.113.0/24, '2001:db8:100::/40']}\n\
    - {id: east, subscribers: [192.0.2.0/24]}\n";

/// A policy `p.yaml` and other files in a folder.
struct Case {
    folder: TempDir,
}

/// What came of it; files are named as seen from the folder.
#[derive(Debug)]
struct Checked {
    ok: bool,
    out: String,
    err: String,
}

impl Case {
    fn new(text: &str) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }.with("p.yaml", text)
    }

    fn with(self, name: &str, octets: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), octets).expect("the file");
        self
    }

    fn check(&self, format: Format) -> Checked {
        self.check_at(&self.folder.path().join("p.yaml"), format)
    }

    fn check_at(&self, policy: &Path, format: Format) -> Checked {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let options = Options { policy, offline: true, at: AT.parse().ok(), format };
        let ok = check(options, &mut out, &mut err).expect("memory takes everything");
        let folder = format!("{}/", self.folder.path().display());
        let text = |octets| String::from_utf8(octets).expect("text").replace(&folder, "");
        Checked { ok, out: text(out), err: text(err) }
    }

    /// The messages about a valid policy, without the lines above them.
    fn warnings(&self) -> Vec<String> {
        let Checked { ok, err, .. } = self.check(Format::Text);
        assert!(ok, "{err}");
        err.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
    }
}

/// The warnings of a policy with these entries behind [`ZONES`].
fn warnings(entries: &str) -> Vec<String> {
    Case::new(&format!("{ZONES}{entries}")).warnings()
}

/// Each of these draws that warning and no other, and what is just beside it none.
fn each(cases: &[(&str, &str, &str)]) {
    for (with, beside, expected) in cases {
        assert_eq!(warnings(with), [format!("warning: p.yaml:{expected}")], "{with}");
        assert_eq!(warnings(beside), [""; 0], "{beside}");
    }
}
