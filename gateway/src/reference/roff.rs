//! The reference as a man page, and the help of commands.

use super::{Block, Key, policy};
use roff::{Inline, Roff, bold, italic, roman};

/// gate25-policy(5).
#[must_use]
pub fn render() -> String {
    let mut page = Roff::new();
    page.control("SH", ["NAME"])
        .text([roman("gate25-policy - who may send mail directly, to where, until when")]);
    page.control("SH", ["DESCRIPTION"]);
    write(&mut page, policy());
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("gate25-check"),
        roman("(8), "),
        bold("gate25-explain"),
        roman("(8), "),
        bold("gate25"),
        roman("(8)"),
    ]);
    title("gate25-policy", "5") + &page.to_roff()
}

/// The title of a page. It has no date, so that the same source makes the same page.
#[must_use]
pub fn title(name: &str, section: &str) -> String {
    format!(".TH {name} {section} \"\" \"gate25 {}\" \"Gate25\"\n", env!("CARGO_PKG_VERSION"))
}

/// The blocks, behind what there is.
pub fn write(page: &mut Roff, blocks: Vec<Block>) {
    // What begins a section begins a paragraph.
    let mut is_begun = true;
    for block in blocks {
        if !is_begun && !matches!(block, Block::Heading(_) | Block::Key(_)) {
            page.control("PP", []);
        }
        is_begun = matches!(block, Block::Heading(_));
        match block {
            Block::Heading(heading) => {
                page.control("SH", [heading.as_str()]);
            }
            Block::Text(text) => {
                page.text(inline(&text));
            }
            Block::Code(code) => {
                page.control("RS", ["4"]).control("nf", []);
                code.lines().for_each(|line| {
                    page.text([roman(line)]);
                });
                page.control("fi", []).control("RE", []);
            }
            Block::Key(key) => of_key(page, &key),
        }
    }
}

fn of_key(page: &mut Roff, key: &Key) {
    let required = if key.is_required { " (required)" } else { "" };
    page.control("TP", []).text([bold(&key.name), roman(required)]).text(inline(&super::sentences(key)));
    if !key.words.is_empty() {
        page.control("RS", []);
        for (word, meaning) in &key.words {
            page.control("TP", ["10"]).text([bold(word)]).text(inline(meaning));
        }
        page.control("RE", []);
    }
    if let Some(example) = &key.example {
        page.control("IP", []).text([roman("Example: "), italic(example)]);
    }
}

/// What stands in backticks is bold.
fn inline(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { bold(part) } else { roman(part) }).collect()
}
