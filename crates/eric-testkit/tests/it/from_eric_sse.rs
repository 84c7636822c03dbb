//! The page for those who come from the Python package: every item of its reference has a row, and every row leads to
//! the item that it names.
//!
//! `eric_sse_anchors.txt` has the anchors of the reference, as it spells them.

use std::collections::HashSet;
use std::fs;

use crate::links::links;
use crate::source::defines;
use crate::tidy::{check, root};

const PAGE: &str = include_str!("../../../../docs/from-eric-sse.md");
const ANCHORS: &str = include_str!("eric_sse_anchors.txt");
/// Anchors of the reference.
const COUNT: usize = 154;

/// The rows of a page that are about an anchor: the anchor, and the other cells.
fn rows(page: &str) -> Vec<(&str, Vec<&str>)> {
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.trim_end().strip_suffix('|')?.split('|').map(str::trim);
            let anchor = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            anchor.starts_with("eric_sse.").then(|| (anchor, cells.collect()))
        })
        .collect()
}

/// What is wrong with a page's rows about these anchors.
fn wrong_rows(page: &str, anchors: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    for (anchor, cells) in rows(page) {
        if !anchors.contains(&anchor) {
            wrong.push(format!("{anchor} is not in the reference"));
        }
        if !seen.insert(anchor) {
            wrong.push(format!("{anchor} is there twice"));
        }
        let [there, here, why] = cells[..] else {
            wrong.push(format!("{anchor} has {} cells beside it, not 3", cells.len()));
            continue;
        };
        if there.is_empty() || why.is_empty() {
            wrong.push(format!("{anchor} has an empty cell"));
        }
        if links(here).is_empty() {
            wrong.push(format!("{anchor} leads nowhere"));
        }
    }
    wrong.extend(anchors.iter().filter(|it| !seen.contains(*it)).map(|it| format!("{it} has no row")));
    wrong
}

/// The links of a page in `docs` to an item that its file does not define for others.
fn wrong_items(page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for link in links(page) {
        let Some((path, _)) = link.place().filter(|(path, _)| path.ends_with(".rs")) else { continue };
        let Some(item) = link.text.strip_prefix('`').and_then(|text| text.strip_suffix('`')) else {
            wrong.push(format!("[{}]({path}) names no item", link.text));
            continue;
        };
        // That the file is there is said of every link.
        let source = fs::read_to_string(root().join("docs").join(path)).unwrap_or_default();
        if !defines(&source, item) {
            wrong.push(format!("{item} is not defined in {path}"));
        }
    }
    wrong
}

#[test]
fn every_anchor_of_the_reference_has_one_row() {
    let anchors: Vec<&str> = ANCHORS.lines().collect();
    assert_eq!(anchors.iter().collect::<HashSet<_>>().len(), COUNT, "the anchors are whole");
    assert_eq!(anchors.len(), COUNT);
    check("rows", wrong_rows(PAGE, &anchors));
}

#[test]
fn every_item_is_where_its_link_leads() {
    check("items", wrong_items(PAGE));
}

#[test]
fn a_row_that_is_missing_or_too_much_or_not_whole_is_found() {
    let anchors = ["eric_sse.a.B", "eric_sse.a.B.c"];
    let rows = |rows: &[&str]| {
        let table = format!("| there | what | here | why |\n|---|---|---|---|\n{}\n", rows.join("\n"));
        wrong_rows(&table, &anchors)
    };
    let (one, other) =
        ("| `eric_sse.a.B` | w | [`B`](b.rs) | y |", "| `eric_sse.a.B.c` | w | [`B::c`](b.rs) | y |");
    assert_eq!(rows(&[one, other]), [""; 0]);
    assert_eq!(rows(&[one]), ["eric_sse.a.B.c has no row"]);
    assert_eq!(rows(&[one, &other.replace("B.c", "B.C")]).len(), 2, "one has no row, one is unknown");
    assert_eq!(rows(&[one, &other.replace('`', "")]), ["eric_sse.a.B.c has no row"]);
    assert_eq!(rows(&[one, other, one]), ["eric_sse.a.B is there twice"]);
    assert_eq!(rows(&[one, other, &one.replace("B`", "D`")]), ["eric_sse.a.D is not in the reference"]);
    assert_eq!(rows(&[one, &other.replace(" y |", "")]), ["eric_sse.a.B.c has 2 cells beside it, not 3"]);
    assert_eq!(rows(&[one, &other.replace(" y ", " ")]), ["eric_sse.a.B.c has an empty cell"]);
    assert_eq!(rows(&[one, &other.replace("(b.rs)", "")]), ["eric_sse.a.B.c leads nowhere"]);
}

#[test]
fn a_link_that_names_what_its_file_has_not_is_found() {
    let wrong =
        |text: &str, path: &str| wrong_items(&format!("[{text}](../crates/eric-sse/src/{path})\n")).len();
    assert_eq!(wrong("`Channel::dispatch`", "channel/publish.rs"), 0);
    assert_eq!(wrong("`Channel::dispatch`", "channel.rs"), 1, "it is in another file");
    assert_eq!(wrong("`Channel::despatch`", "channel/publish.rs"), 1);
    assert_eq!(wrong("`Channel::dispatch`", "channel/published.rs"), 1);
    assert_eq!(wrong("dispatch", "channel/publish.rs"), 1, "it is not code");
}
