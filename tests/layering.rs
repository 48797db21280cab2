//! Who may know whom. Reads the sources and fails when an import points the wrong way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const USERS: [&str; 8] = [
    "mesh", "space", "events", "watch", "config", "error", "blocking", "metrics",
];

/// What the modules of one layer may name of the crate. `None` stands for the crate's root, the public API.
fn allowed(layer: &str) -> Vec<&'static str> {
    let core = ["model", "crdt", "wire", "proto"];
    // Faults are planted in the core, which therefore asks for them everywhere.
    let below = |count: usize| [&["zoo"], &core[..count]].concat();
    match layer {
        "zoo" => Vec::new(),
        "model" => below(0),
        "crdt" => below(1),
        "wire" => below(2),
        "proto" => below(3),
        "sim" => below(4),
        // Neither knows of the other: the network goes on whatever the disk does.
        "net" | "persist" => core.to_vec(),
        // Bridges are users: the public API and the words it is made of.
        "bridge" => vec!["model", "mesh", "space", "events", "watch", "error"],
        "capi" => vec!["blocking"],
        user if USERS.contains(&user) => [&core[..], &["net", "persist"], &USERS].concat(),
        other => panic!("src/{other} is in no layer: say here what it may import"),
    }
}

fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources can be read");
                sources.insert(
                    path.strip_prefix(&root)
                        .expect("it is below src")
                        .to_owned(),
                    text,
                );
            }
        }
    }
    sources
}

/// The layer a file belongs to: its first folder, or its own name.
fn layer(path: &Path) -> Option<String> {
    let first = path
        .components()
        .next()?
        .as_os_str()
        .to_str()?
        .trim_end_matches(".rs");
    (first != "lib" && first != "bin").then(|| first.to_owned())
}

/// Code without comments and doc comments (whose examples are users' code).
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or(line)));
    lines.filter(|(_, line)| !line.trim().is_empty())
}

#[test]
fn imports_point_downwards_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(layer) = layer(&path) else { continue };
        let allowed = allowed(&layer);
        for (number, line) in code(&text) {
            for named in line.split("crate::").skip(1) {
                let name: String = named
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                // Items of the crate's root begin with a capital, or come in braces.
                let module = name.chars().next().is_some_and(char::is_lowercase);
                let root_item = !module
                    && (["bridge", "capi"].contains(&layer.as_str())
                        || USERS.contains(&layer.as_str()));
                let own = name == layer;
                if !(own || root_item || allowed.contains(&name.as_str())) {
                    wrong.push(format!(
                        "src/{}:{number}: {layer} may not use crate::{name}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same inputs give the same outputs on any machine: no clock, no ambient randomness, no randomly seeded
/// hash order, nothing asynchronous.
#[test]
fn the_core_is_deterministic() {
    let forbidden = [
        "Instant::now",
        "SystemTime::now",
        "thread_rng",
        "OsRng",
        "getrandom",
        "RandomState",
        "tokio",
        "async ",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(layer) = layer(&path) else { continue };
        if !["zoo", "model", "crdt", "wire", "proto", "sim"].contains(&layer.as_str()) {
            continue;
        }
        for (number, line) in code(&text) {
            let hashed = ["HashMap<", "HashSet<"]
                .iter()
                .any(|name| line.contains(name));
            let fixed = ["BuildHasherDefault", "FxHashMap<"];
            let random_order = hashed && !fixed.iter().any(|name| line.contains(name));
            if random_order || forbidden.iter().any(|word| line.contains(word)) {
                wrong.push(format!("src/{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_network_layer_names_libp2p() {
    let named = sources().into_iter().filter(|(path, text)| {
        layer(path).as_deref() != Some("net")
            && code(text).any(|(_, line)| line.contains("libp2p::"))
    });
    assert_eq!(
        named.map(|(path, _)| path).collect::<Vec<_>>(),
        Vec::<PathBuf>::new()
    );
}

/// The program is a user like any other.
#[test]
fn the_program_uses_the_public_api_only() {
    let inner = [
        "presence_mesh::proto::",
        "presence_mesh::crdt::",
        "presence_mesh::wire::",
        "libp2p::",
    ];
    let wrong = sources().into_iter().filter(|(path, text)| {
        path.starts_with("bin")
            && code(text).any(|(_, line)| inner.iter().any(|name| line.contains(name)))
    });
    assert_eq!(
        wrong.map(|(path, _)| path).collect::<Vec<_>>(),
        Vec::<PathBuf>::new()
    );
}

#[test]
fn only_the_c_interface_may_be_unsafe() {
    let unsafe_code = sources().into_iter().filter(|(path, text)| {
        layer(path).as_deref() != Some("capi")
            && code(text).any(|(_, line)| line.contains("unsafe"))
    });
    assert_eq!(
        unsafe_code.map(|(path, _)| path).collect::<Vec<_>>(),
        Vec::<PathBuf>::new()
    );
}

/// Planted faults are for tests: the program is never built with any.
#[test]
fn the_program_has_no_planted_faults() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = fs::read_to_string(manifest).expect("the manifest can be read");
    let features = text.split("[features]").nth(1).expect("it has features");
    let features = features.split("\n[").next().expect("they end");
    let naming: Vec<&str> = features
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains("zoo"))
        .collect();
    assert_eq!(naming, ["zoo = [\"sim\"]"], "nothing turns `zoo` on");
}
