//! The layers that `ARCHITECTURE.md` lists, and the files that break their order.

use std::collections::BTreeMap;

use crate::graph::Graph;

/// The layers of one crate, from bottom to top: the files and folders of each, below `src`.
pub(crate) type Layers = Vec<Vec<String>>;

/// Reads the lists of layers from a Markdown text, by the name of the crate's folder. The module comment of the test
/// describes the format.
pub(crate) fn read_layers(markdown: &str) -> BTreeMap<String, Layers> {
    let mut lists: BTreeMap<String, Layers> = BTreeMap::new();
    let mut current = None;
    for line in markdown.lines() {
        if line.starts_with('#') {
            let title = line.trim_start_matches('#').trim();
            let name = title.strip_prefix("Layers of ").and_then(|title| title.strip_suffix(", from bottom to top"));
            current = name.map(|name| lists.entry(name.trim_matches('`').to_owned()).or_default());
        } else if let Some(layers) = &mut current {
            layers.extend(entry(line));
        }
    }
    lists
}

/// Returns the backticked paths with which an item of a list or a row of a table begins, if it does.
fn entry(line: &str) -> Option<Vec<String>> {
    let mut rest = line.trim_start_matches(|c: char| c.is_ascii_digit() || ".|-* ".contains(c));
    let mut paths = Vec::new();
    while rest.len() < line.len()
        && let Some((path, after)) = rest.strip_prefix('`')?.split_once('`')
    {
        paths.push(path.to_owned());
        rest = after.trim_start_matches([',', ' ']);
        if !rest.starts_with('`') {
            break;
        }
    }
    (!paths.is_empty()).then_some(paths)
}

/// Returns a sentence for each cycle among the files of the crate in `folder`.
pub(crate) fn check_cycles(folder: &str, graph: &Graph) -> Vec<String> {
    let describe = |cycle: Vec<&str>| {
        let mut text = format!("{} files of {folder} depend on each other in a cycle:", cycle.len());
        for file in &cycle {
            for (used, names) in graph.uses[*file].iter().filter(|(used, _)| cycle.contains(&&***used)) {
                let names: Vec<_> = names.iter().map(|name| &**name).collect();
                text += &format!("\n    {file} uses {} of {used}", names.join(", "));
            }
        }
        text
    };
    graph.cycles().into_iter().map(describe).collect()
}

/// Returns a sentence for each file of the crate in `folder` that breaks the order of `layers`, is in none of them, or
/// is listed and does not exist.
pub(crate) fn check_layers(folder: &str, graph: &Graph, layers: &Layers) -> Vec<String> {
    let mut faults = Vec::new();
    let entries: Vec<(usize, &str)> =
        layers.iter().enumerate().flat_map(|(layer, paths)| paths.iter().map(move |path| (layer, &**path))).collect();
    for (at, (_, path)) in entries.iter().enumerate() {
        if !graph.uses.keys().any(|file| matches(path, file)) {
            faults.push(format!("ARCHITECTURE.md lists {folder}/{path}, which does not exist"));
        }
        if entries[..at].iter().any(|(_, other)| other == path) {
            faults.push(format!("ARCHITECTURE.md lists {folder}/{path} twice"));
        }
    }
    let layer_of = |file: &str| {
        let listed = entries.iter().filter(|(_, path)| matches(path, file)).max_by_key(|(_, path)| path.len());
        // the crate root lies above all others
        listed.map(|(layer, _)| *layer).or_else(|| matches!(file, "lib.rs" | "main.rs").then_some(layers.len()))
    };
    for (file, uses) in &graph.uses {
        let Some(layer) = layer_of(file) else {
            faults.push(format!("{folder}/{file} is in no layer that ARCHITECTURE.md lists"));
            continue;
        };
        for (used, names) in uses.iter().filter(|(used, _)| layer_of(used).is_some_and(|used| used > layer)) {
            let names: Vec<_> = names.iter().map(|name| &**name).collect();
            faults
                .push(format!("{folder}/{file} uses {} of {folder}/{used}, which is a higher layer", names.join(", ")));
        }
    }
    faults
}

/// Returns whether a listed path is `file`, or a folder that holds it.
fn matches(path: &str, file: &str) -> bool {
    path == file || (path.ends_with('/') && file.starts_with(path))
}
