//! Links between documents, and to files.

use crate::{Page, pages, root};
use pulldown_cmark::{Event, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// The anchors of a page, as GitHub makes them.
fn anchors(page: &Page) -> BTreeSet<String> {
    let (mut anchors, mut seen) = (BTreeSet::new(), HashMap::<String, usize>::new());
    let mut heading = None;
    for event in page.events() {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let times = seen.entry(anchor.clone()).or_default();
                anchors.insert(if *times == 0 { anchor } else { format!("{anchor}-{times}") });
                *times += 1;
            }
            _ => {}
        }
    }
    anchors
}

/// Lower case, without punctuation, and a hyphen for each blank.
fn anchor(heading: &str) -> String {
    let kept = |sign: &char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

/// Without `.` and `..`; `None` where it leaves the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// What is wrong with a link of that page.
fn fault(page: &Page, link: &str, anchors: &BTreeMap<PathBuf, BTreeSet<String>>) -> Option<&'static str> {
    let (path, fragment) = link.split_once('#').map_or((link, None), |(path, at)| (path, Some(at)));
    let folder = page.path.parent().unwrap_or(Path::new(""));
    let target = if path.is_empty() { page.path.clone() } else { folder.join(path) };
    let Some(target) = plain(&target) else { return Some("leads out of the repository") };
    if !root().join(&target).exists() {
        return Some("there is no such file");
    }
    let fragment = fragment?;
    let known = anchors.get(&target).is_some_and(|anchors| anchors.contains(fragment));
    (!known).then_some("there is no such heading")
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors = pages.iter().map(|page| (page.path.clone(), anchors(page))).collect();
    let (mut count, mut faults) = (0, Vec::new());
    for page in &pages {
        for event in page.events() {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
                continue;
            };
            if ["https://", "http://", "mailto:"].iter().any(|scheme| dest_url.starts_with(scheme)) {
                continue;
            }
            count += 1;
            if let Some(fault) = fault(page, &dest_url, &anchors) {
                faults.push(format!("{}: {dest_url}: {fault}", page.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 100, "{count} links found");
}

/// Every page for users can be found from the index, or from the README.
#[test]
fn no_page_is_forgotten() {
    let index = pages().into_iter().find(|page| page.path == Path::new("docs/README.md")).expect("an index");
    for page in pages().iter().filter(|page| page.path.starts_with("docs") && page.path != index.path) {
        let name = page.path.file_name().expect("a name").to_string_lossy();
        assert!(index.text.contains(&format!("]({name})")), "docs/README.md: no link to {name}");
    }
}

#[test]
fn anchors_are_those_of_github() {
    let page = Page {
        path: "a.md".into(),
        text: "# Who tries, and what happened\n## A\n## `gate25 run` — now\n## A\n".into(),
    };
    let wanted = ["a", "a-1", "gate25-run--now", "who-tries-and-what-happened"];
    assert_eq!(anchors(&page), wanted.map(str::to_owned).into());
}
