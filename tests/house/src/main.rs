//! `house [--lines | --write-figures] [ROOT]`: checks the tree at ROOT, the current folder if none is given, and prints
//! a line for each violation; `--lines` prints the source lines of each part, `--write-figures` brings the figures in
//! docs/performance.md up to those in docs/figures.txt.
#![forbid(unsafe_code)]

use house::rules::figures;
use house::tree::Tree;
use house::{Error, Summary, tables};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("house: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let (options, roots): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let root = roots.first().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let tree = Tree::read(&root)?;
    match options.first().map(String::as_str) {
        None => check(&tree),
        Some("--lines") => Ok(lines(&tree)),
        Some("--write-figures") => write_figures(&tree, &root),
        Some(other) => {
            eprintln!("house: unexpected argument {other}: there are --lines and --write-figures");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn check(tree: &Tree) -> Result<ExitCode, Error> {
    let found = house::check(tree)?;
    if !found.is_empty() {
        found.iter().for_each(|violation| eprintln!("{violation}"));
        eprintln!("house: {} violations of the rules in tests/house", found.len());
        return Ok(ExitCode::FAILURE);
    }
    let Summary { kernel_lines, image_lines, circles } = Summary::new(tree);
    println!(
        "house: {kernel_lines} source lines in kernel/src (bound {}), {image_lines} in the image (bound {}), {} import \
         circles between folders",
        tables::KERNEL_LINES,
        tables::IMAGE_LINES,
        circles.len(),
    );
    Ok(ExitCode::SUCCESS)
}

/// Prints source lines by part, those of tests beside them, and the circles of imports.
fn lines(tree: &Tree) -> ExitCode {
    let part = |path: &str| {
        let depth = if path.starts_with("kernel/crates/") { 3 } else { 2 };
        path.split('/').take(depth).collect::<Vec<_>>().join("/") + "/"
    };
    let parts: BTreeSet<_> = tree.sources.iter().map(|source| part(&source.path)).collect();
    for part in parts.iter().filter(|part| !part.ends_with(".rs/")) {
        println!("{:>6} {part}", tree.code_lines(part));
    }
    let summary = Summary::new(tree);
    println!("{:>6} image", summary.image_lines);
    println!("{:>6} import circles between folders", summary.circles.len());
    for circle in summary.circles {
        println!("       {}", circle.join(", "));
    }
    ExitCode::SUCCESS
}

fn write_figures(tree: &Tree, root: &std::path::Path) -> Result<ExitCode, Error> {
    const PAGE: &str = "docs/performance.md";
    let Some(file) = &tree.figures else {
        return Err(Error::Missing { path: "docs/figures.txt".into() });
    };
    let page = figures::renew(tree.document(PAGE)?, file);
    let path = root.join(PAGE);
    std::fs::write(&path, page).map_err(|source| Error::Read { path: path.display().to_string(), source })?;
    Ok(ExitCode::SUCCESS)
}
