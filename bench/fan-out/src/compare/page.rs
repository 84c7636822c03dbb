//! Everything that is told: on standard output, and where it is asked for on the page, between two marks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::busy;
use super::flags::Flags;
use super::plot;
use super::results::Results;
use super::table;
use super::target;

/// The page, and where its plots are.
const PAGE: &str = "docs/performance.md";
const PLOTS: &str = "docs/performance";

/// What is between these is written by us.
const BEGIN: &str = "<!-- results -->";
const END: &str = "<!-- /results -->";

/// Prints all tables; with plots beside the results, or on the page.
pub(crate) fn tell(results: &Results, flags: &Flags) -> anyhow::Result<()> {
    let text = render(results)?;
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(&mut out, text.as_bytes()).context("cannot print")?;
    let folder = if flags.does_write { Path::new(PLOTS) } else { &flags.out };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for plot in plot::all(results) {
        let path = folder.join(plot.file);
        fs::write(&path, plot.svg()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if flags.does_write {
        let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
        fs::write(PAGE, replace(&page, &text)?).with_context(|| format!("cannot write {PAGE}"))?;
    }
    Ok(())
}

fn render(results: &Results) -> anyhow::Result<String> {
    ensure!(!results.samples.is_empty(), "nothing was measured yet");
    let mut text = about(results);
    if let Some(targets) = target::render(results) {
        write!(text, "\n## Targets\n\n{targets}")?;
    }
    text.push_str("\n## Tables\n");
    for table in table::all() {
        let Some(told) = table.render(results) else { continue };
        write!(text, "\n{told}")?;
        for plot in plot::all(results).iter().filter(|plot| plot.group == table.group) {
            write!(text, "\n![{}](performance/{})\n", plot.title, plot.file)?;
        }
    }
    if let Some(busy) = busy::render(results) {
        text.push_str(
            "\n## How busy the cores were\n\nThe server's core / the generator's, which is left out where messages are due \
             at set times: it asks instead of waiting then.\n\n",
        );
        text.push_str(&busy);
    }
    Ok(text)
}

/// The machines and versions of all groups.
fn about(results: &Results) -> String {
    let mut machines: Vec<&str> = results.runs.values().map(|run| run.machine.as_str()).collect();
    machines.sort_unstable();
    machines.dedup();
    let versions: BTreeMap<&String, &String> =
        results.runs.values().flat_map(|run| run.versions.iter()).collect();
    let versions = versions.iter().map(|(name, version)| format!("`{name}`: {version}"));
    format!(
        "- Machine: {}.\n- Versions: {}.\n",
        machines.join("; and "),
        versions.collect::<Vec<_>>().join("; ")
    )
}

/// The page with other results.
fn replace(page: &str, text: &str) -> anyhow::Result<String> {
    let before = page.split_once(BEGIN).with_context(|| format!("{PAGE} has no {BEGIN}"))?.0;
    let after = page.split_once(END).with_context(|| format!("{PAGE} has no {END}"))?.1;
    Ok(format!("{before}{BEGIN}\n{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_replaced_and_nothing_else() {
        let page = format!("# Page\n{BEGIN}\nold\n{END}\nend\n");
        assert_eq!(replace(&page, "new\n").unwrap(), format!("# Page\n{BEGIN}\nnew\n{END}\nend\n"));
        assert!(replace("# Page\n", "new\n").is_err());
    }
}
