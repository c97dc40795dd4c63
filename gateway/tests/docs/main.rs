//! The documents: links lead somewhere, commands parse, what stands there to be copied is right, and quoted messages are
//! ones that the program has.

#![allow(clippy::expect_used, reason = "a test that cannot go on shall stop")]

mod copied;
mod links;
mod quoted;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are none of the repository's.
const OTHERS: [&str; 3] = ["target", ".git", ".tools"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// A document.
struct Page {
    /// Where it is, from the root.
    path: PathBuf,
    text: String,
}

/// Every document of the repository.
fn pages() -> Vec<Page> {
    let (root, mut folders, mut pages) = (root(), vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                if !OTHERS.iter().any(|other| entry.file_name() == *other) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(&root).expect("below the root").to_owned();
                pages.push(Page { path, text });
            }
        }
    }
    assert!(pages.len() > 10, "{}", pages.len());
    pages
}

/// The documents for users.
fn manuals() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| page.path.starts_with("docs") || page.path == Path::new("README.md"));
    pages
}

impl Page {
    /// Fenced blocks, with the word behind the fence.
    fn blocks(&self) -> Vec<(String, String)> {
        use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};
        let (mut blocks, mut kind) = (Vec::new(), None);
        for event in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(word))) => {
                    kind = Some(word.to_string());
                    blocks.push((word.to_string(), String::new()));
                }
                Event::End(TagEnd::CodeBlock) => kind = None,
                Event::Text(text) if kind.is_some() => {
                    blocks.last_mut().expect("a block").1.push_str(&text);
                }
                _ => {}
            }
        }
        blocks
    }

    fn events(&self) -> pulldown_cmark::Parser<'_> {
        pulldown_cmark::Parser::new_ext(&self.text, pulldown_cmark::Options::ENABLE_TABLES)
    }
}
