//! Circles of imports. Within every folder, its files and subfolders are compared: two of them must not import each other,
//! not even by way of others. That includes cycles of files, wherever those are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::Import;

/// For each unit of a folder, the units it imports, each with an example.
type Graph<'a> = BTreeMap<String, BTreeMap<String, &'a Import>>;

pub(super) fn offenders(imports: &[Import]) -> Vec<String> {
    let files: BTreeSet<&str> = imports.iter().flat_map(|import| [&*import.from, &*import.to]).collect();
    let mut folders: BTreeMap<String, Graph<'_>> = BTreeMap::new();
    for import in imports {
        let (from, to) = (place(&import.from, &files), place(&import.to, &files));
        let depth = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
        let (Some(one), Some(other)) = (from.get(depth), to.get(depth)) else { continue };
        let graph = folders.entry(from[..depth].join("/")).or_default();
        graph.entry(one.clone()).or_default().entry(other.clone()).or_insert(import);
        graph.entry(other.clone()).or_default();
    }
    folders.iter().flat_map(|(folder, graph)| cycles(folder, graph)).collect()
}

/// The folders of a file and its name. `a.rs` beside `a/` is the `mod.rs` of that folder.
fn place(file: &str, files: &BTreeSet<&str>) -> Vec<String> {
    let mut place: Vec<String> = file.split('/').map(str::to_owned).collect();
    let folder = format!("{}/", file.trim_end_matches(".rs"));
    if files.range(&*folder..).next().is_some_and(|next| next.starts_with(&folder)) {
        place.pop();
        place.extend([folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()]);
        place.push("mod.rs".to_owned());
    }
    place
}

/// One shortest cycle for each group of units that import each other.
fn cycles(folder: &str, graph: &Graph<'_>) -> Vec<String> {
    let mut offenders = Vec::new();
    let mut done = BTreeSet::new();
    for unit in graph.keys() {
        if done.contains(unit) {
            continue;
        }
        let Some(cycle) = shortest_cycle(unit, graph) else { continue };
        // Everything that can be reached from here and leads back belongs to the same group.
        let group: Vec<&String> = reachable(unit, graph)
            .into_iter()
            .filter(|other| reachable(other, graph).contains(unit))
            .collect();
        offenders.push(format!("{folder}: {} in a cycle:", group.len()));
        offenders.extend(cycle.iter().map(|import| format!("  {import}")));
        done.extend(group);
    }
    offenders
}

fn reachable<'a>(unit: &str, graph: &'a Graph<'_>) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&String> = graph[unit].keys().collect();
    while let Some(next) = left.pop() {
        if found.insert(next) {
            left.extend(graph[next].keys());
        }
    }
    found
}

fn shortest_cycle<'a>(start: &str, graph: &Graph<'a>) -> Option<Vec<&'a Import>> {
    let mut queue = VecDeque::from([(start, Vec::new())]);
    let mut seen = BTreeSet::new();
    while let Some((unit, way)) = queue.pop_front() {
        for (next, import) in &graph[unit] {
            let way = [way.as_slice(), &[*import]].concat();
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                queue.push_back((next, way));
            }
        }
    }
    None
}
