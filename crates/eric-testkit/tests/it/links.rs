//! Links between pages lead somewhere: to a file that is there, to a heading that it has. What other hosts have is not
//! looked at.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tidy::{check, root};

/// A link of a page, as it is written there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) text: &'a str,
    pub(crate) target: &'a str,
}

impl<'a> Link<'a> {
    /// Where it leads: the path, which is empty for the page itself, and the heading. None for other hosts.
    pub(crate) fn place(&self) -> Option<(&'a str, Option<&'a str>)> {
        let scheme = self.target.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_elsewhere = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase());
        let place = || match self.target.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (self.target, None),
        };
        (!is_elsewhere).then(place)
    }
}

/// The links of a page, without those in code.
pub(crate) fn links(page: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for block in blocks(page) {
        let code = code_spans(block);
        let is_code = |at: usize| code.iter().any(|(start, end)| (*start..*end).contains(&at));
        let mut open = Vec::new();
        for (at, char) in block.char_indices().filter(|(at, _)| !is_code(*at)) {
            match char {
                '[' => open.push(at + 1),
                ']' => {
                    let Some(start) = open.pop() else { continue };
                    let Some(rest) = block[at + 1..].strip_prefix('(') else { continue };
                    let Some((target, _)) = rest.split_once(')') else { continue };
                    links.push(Link { text: &block[start..at], target });
                }
                _ => {}
            }
        }
    }
    links
}

/// The names by which a page's headings are linked to, as code hosts make them up.
fn anchors(page: &str) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut anchors = Vec::new();
    for line in blocks(page).into_iter().flat_map(str::lines) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = |char: &char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_');
        let name: String = title.trim().to_lowercase().chars().filter(kept).collect();
        let name = name.replace(' ', "-");
        let count = counts.entry(name.clone()).or_default();
        anchors.push(if *count == 0 { name } else { format!("{name}-{count}") });
        *count += 1;
    }
    anchors
}

/// The page in parts over which nothing reaches, paragraphs and rows of tables, without its blocks of code.
fn blocks(page: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let (mut start, mut at, mut is_code) = (0, 0, false);
    for line in page.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        let ends = is_fence || is_code || line.trim().is_empty() || line.starts_with(['|', '#']);
        let end = at + line.len();
        if ends {
            blocks.push(&page[start..at]);
            if !is_fence && !is_code {
                blocks.push(&page[at..end]);
            }
            start = end;
        }
        is_code ^= is_fence;
        at = end;
    }
    blocks.push(&page[start..]);
    blocks.retain(|block| !block.trim().is_empty());
    blocks
}

/// Where code is in a line: between two runs of as many backticks.
fn code_spans(block: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, _) in block.match_indices('`') {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => runs.push((at, at + 1)),
        }
    }
    let mut spans = Vec::new();
    let mut rest = &runs[..];
    while let Some(((start, end), later)) = rest.split_first() {
        rest = match later.iter().position(|(start2, end2)| end2 - start2 == end - start) {
            Some(index) => {
                spans.push((*start, later[index].1));
                &later[index + 1..]
            }
            None => later,
        };
    }
    spans
}

/// The links of the page at `path`, below the root, that lead nowhere.
fn dead_links(path: &Path, page: &str) -> Vec<String> {
    let folder = path.parent().expect("a page is in a folder");
    let whole = root().canonicalize().expect("the root is there");
    let is_dead = |link: &Link<'_>| {
        let Some((file, heading)) = link.place() else { return false };
        let target = root().join(folder).join(file).canonicalize().ok().filter(|it| it.starts_with(&whole));
        match (target, heading) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(heading)) if file.is_empty() => !anchors(page).iter().any(|name| name == heading),
            (Some(target), Some(heading)) => {
                let page = fs::read_to_string(target).unwrap_or_default();
                !anchors(&page).iter().any(|name| name == heading)
            }
        }
    };
    let dead = links(page).into_iter().filter(is_dead);
    dead.map(|link| format!("{}: [{}]({})", path.display(), link.text, link.target)).collect()
}

/// Every page of the repository, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut folders = vec![PathBuf::new()];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the entry can be read");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = folder.join(&name);
            let is_ours = !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str());
            if is_ours && entry.file_type().expect("it has a type").is_dir() {
                folders.push(path);
            } else if is_ours && name.ends_with(".md") {
                let text = fs::read_to_string(root().join(&path)).expect("pages are UTF-8");
                pages.push((path, text));
            }
        }
    }
    pages
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let pages = pages();
    for name in ["README.md", "ARCHITECTURE.md", "docs/delivery.md", "bench/README.md"] {
        assert!(pages.iter().any(|(path, _)| path == Path::new(name)), "{name} was found");
    }
    let links: usize = pages.iter().map(|(_, page)| links(page).len()).sum();
    assert!(links > 20, "the links were found: {links}");
    check("links that lead nowhere", pages.iter().flat_map(|(path, page)| dead_links(path, page)).collect());
}

#[test]
fn links_are_found_in_prose_and_in_tables_and_not_in_code() {
    let page = "A [link](a.md), one\nthat [goes\non](b.md#c).\n\n| `[no](x)` | [`Type::f`](../c.rs) |\n| ` | [x](d.md) |\n\
                ```sh\n[no](y)\n```\n![a picture](e.png) [alone] (f)\n";
    let found: Vec<_> = links(page).into_iter().map(|link| (link.text, link.target)).collect();
    let expected = [
        ("link", "a.md"),
        ("goes\non", "b.md#c"),
        ("`Type::f`", "../c.rs"),
        ("x", "d.md"),
        ("a picture", "e.png"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn headings_are_named_as_code_hosts_name_them() {
    let page = "# What is kept, and what happens\ntext\n## `ack=auto`, the default\n```sh\n# not this\n```\n## Errors\n\
                ## Errors\n#neither this\n";
    let expected = ["what-is-kept-and-what-happens", "ackauto-the-default", "errors", "errors-1"];
    assert_eq!(anchors(page), expected);
}

#[test]
fn a_link_to_a_file_or_a_heading_that_is_not_there_is_found() {
    let dead = |page: &str| dead_links(Path::new("docs/page.md"), page).len();
    let live = "# Here\n[a](delivery.md) [b](delivery.md#gaps) [c](#here) [d](adr) [e](../README.md#use-it)\n\
                [f](https://example.org/nowhere#x) [g](../crates/eric-sse/src/lib.rs)\n";
    assert_eq!(dead(live), 0);
    for dead_link in [
        "[a](deliver.md)",
        "[b](delivery.md#gap)",
        "[c](#there)",
        "[d](../docs/delivery.md#)",
        "[e](README.md)",
        "[f](../crates/eric-sse/src/lib.rs#gaps)",
        "[g](/etc/passwd)",
        "[h](../../../../../../../../../../etc/passwd)",
        "| row | [i](nowhere.md) |",
    ] {
        assert_eq!(dead(&format!("{live}\n{dead_link}\n")), 1, "{dead_link}");
    }
}
