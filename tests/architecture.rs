//! Imports run one way, in the core and in the host. A file uses only files listed above it in its `lib.rs`; a folder of
//! the host uses only the folders below it. The host compiles every kernel of the core for each instruction set.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};

/// Each folder or top-level file of the host, and those that it may use.
const HOST: [(&str, &[&str]); 5] = [
    ("engine", &["engine"]),
    ("files", &["files", "engine"]),
    ("show", &["show", "files", "engine"]),
    ("cli", &["files", "engine"]),
    // A verb uses no other verb.
    ("verbs", &["cli", "show", "files", "engine"]),
];

/// Crates and modules that the host's engine must not use: options, files and terminals.
const FOREIGN_TO_ENGINE: [&str; 13] = [
    "anstream",
    "anstyle",
    "clap",
    "console",
    "ctrlc",
    "indicatif",
    "maud",
    "safetensors",
    "std::env",
    "std::fs",
    "std::io",
    "std::path",
    "std::process",
];

/// The sources of a library.
struct Library {
    /// `lib.rs`, which lists the modules.
    root: String,
    /// The other files by module path, such as `engine::draw`.
    files: BTreeMap<String, String>,
}

impl Library {
    /// Reads the library whose sources are in `folder`.
    fn read(folder: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        let mut library = Self { root: String::new(), files: BTreeMap::new() };
        library.read_folder(&folder, "");
        library
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let module = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
            if path.is_dir() {
                self.read_folder(&path, &format!("{module}::"));
                continue;
            }
            // Templates of the host lie beside the code that fills them in.
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            match module.as_str() {
                "main" => {}
                "lib" => self.root = text,
                _ => assert!(self.files.insert(module, text).is_none(), "{} twice", path.display()),
            }
        }
    }

    /// A library made up for a test.
    fn of(root: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned()));
        Self { root: root.to_owned(), files: files.collect() }
    }

    /// The modules that `lib.rs` declares as files, in its order.
    fn listed(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&syn::parse_file(&self.root).unwrap().items, "", &mut found);
        found
    }

    /// The paths that each file mentions, such as `crate::engine::draw::Drawn` or `std::fs::read`.
    fn mentions(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let mentions = |(module, text): (&'_ String, &String)| {
            let mut mentions = Mentions::default();
            mentions.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{module}: {error}")));
            mentions.0
        };
        self.files.iter().map(|entry| (entry.0.as_str(), mentions(entry))).collect()
    }

    /// The files that each file uses, and what is wrong with how it names them.
    fn uses(&self) -> (BTreeMap<&str, BTreeSet<String>>, Vec<String>) {
        let (mut uses, mut wrong) = (BTreeMap::new(), Vec::new());
        for (module, mentions) in self.mentions() {
            let used: &mut BTreeSet<String> = uses.entry(module).or_default();
            for path in mentions {
                if path.starts_with("super") {
                    wrong.push(format!("{module} names {path}; begin with crate"));
                }
                let Some(path) = path.strip_prefix("crate::") else { continue };
                match self.files.keys().find(|file| is_within(path, file)) {
                    Some(file) if file == module => {}
                    Some(file) => _ = used.insert(file.clone()),
                    None => {
                        wrong.push(format!("{module} uses crate::{path}, which is in no file below lib.rs"))
                    }
                }
            }
        }
        (uses, wrong)
    }

    /// Faults in the order of the files.
    fn problems(&self) -> Vec<String> {
        let (uses, mut wrong) = self.uses();
        let listed = self.listed();
        let place = |module: &str| listed.iter().position(|other| other == module);
        for (module, used) in &uses {
            let Some(own) = place(module) else {
                wrong.push(format!("{module} is not listed in lib.rs"));
                continue;
            };
            let below = used.iter().filter(|used| place(used).is_none_or(|place| place >= own));
            wrong.extend(below.map(|used| format!("{module} uses {used}, which is not above it in lib.rs")));
        }
        wrong.extend(circle(&uses).map(|circle| format!("files use each other: {}", circle.join(" → "))));
        wrong
    }

    /// Faults in the folders of the host.
    fn folder_problems(&self) -> Vec<String> {
        let (uses, mut wrong) = (self.uses().0, Vec::new());
        let mut folders: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (module, used) in &uses {
            let Some((folder, may)) = HOST.iter().find(|(folder, _)| *folder == folder_of(module)) else {
                wrong.push(format!("{module} is in no folder that this test knows"));
                continue;
            };
            for used in used {
                if !may.contains(&folder_of(used)) {
                    wrong.push(format!("{module} uses {used}, and {folder} may use {}", may.join(", ")));
                }
                if folder_of(used) != *folder {
                    folders.entry(folder).or_default().insert(folder_of(used).to_owned());
                }
            }
        }
        wrong
            .extend(circle(&folders).map(|circle| format!("folders use each other: {}", circle.join(" → "))));
        for (module, mentions) in self.mentions().into_iter().filter(|entry| folder_of(entry.0) == "engine") {
            let foreign =
                mentions.iter().filter(|path| FOREIGN_TO_ENGINE.iter().any(|of| is_within(path, of)));
            wrong.extend(
                foreign.map(|path| format!("{module} uses {path}, which the engine knows nothing of")),
            );
        }
        wrong
    }
}

/// Adds to `found` the modules among `items` that are files.
fn list(items: &[syn::Item], prefix: &str, found: &mut Vec<String>) {
    for item in items {
        let syn::Item::Mod(module) = item else { continue };
        let name = format!("{prefix}{}", module.ident);
        match &module.content {
            Some((_, items)) => list(items, &format!("{name}::"), found),
            None => found.push(name),
        }
    }
}

/// Whether `path` is `module` or in it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The folder of a module, or the module itself where it is at the top.
fn folder_of(module: &str) -> &str {
    module.split("::").next().unwrap()
}

/// Every path of a file: in imports, in code, in the arguments of macros.
#[derive(Default)]
struct Mentions(BTreeSet<String>);

impl Mentions {
    fn import(&mut self, tree: &syn::UseTree, prefix: &str) {
        let mut name = |ident: &syn::Ident| self.0.insert(format!("{prefix}{ident}"));
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &format!("{prefix}{}::", path.ident)),
            syn::UseTree::Name(tree) => _ = name(&tree.ident),
            syn::UseTree::Rename(tree) => _ = name(&tree.ident),
            syn::UseTree::Glob(_) => _ = self.0.insert(format!("{prefix}*")),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, prefix)),
        }
    }

    /// Takes the paths out of tokens that are not parsed.
    fn tokens(&mut self, tokens: &str) {
        let tokens = tokens.replace(" ::", "::").replace(":: ", "::");
        let words = tokens.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        self.0.extend(words.filter(|word| word.contains("::")).map(str::to_owned));
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, "");
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.0.insert(names.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(&call.tokens.to_string());
        visit::visit_macro(self, call);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(&list.tokens.to_string());
    }
}

/// A circle in `uses`, if there is one.
fn circle(uses: &BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut clear = BTreeSet::new();
    uses.keys().find_map(|start| circle_from(start, uses, &mut Vec::new(), &mut clear))
}

/// A circle that `module`, which is used along `way`, leads to; what leads to none is `clear`.
fn circle_from(
    module: &str,
    uses: &BTreeMap<&str, BTreeSet<String>>,
    way: &mut Vec<String>,
    clear: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if clear.contains(module) {
        return None;
    }
    let begun = way.iter().position(|other| other == module);
    way.push(module.to_owned());
    if let Some(begun) = begun {
        return Some(way.split_off(begun));
    }
    let found = uses.get(module).into_iter().flatten().find_map(|used| circle_from(used, uses, way, clear));
    if found.is_none() {
        way.pop();
        clear.insert(module.to_owned());
    }
    found
}

#[test]
fn core_files_use_only_files_above_them() {
    let core = Library::read("core/src");
    assert_eq!(core.problems(), Vec::<String>::new());
    assert!(core.uses().0["sampler"].contains("denoiser"), "imports are found");
}

#[test]
fn host_files_use_only_files_above_them() {
    let host = Library::read("host/src");
    assert_eq!(host.problems(), Vec::<String>::new());
    assert_eq!(host.folder_problems(), Vec::<String>::new());
    assert!(host.uses().0["verbs::train"].contains("engine::trainer"), "imports are found");
}

/// Each made-up library has one fault, and the report names it.
#[test]
fn faults_are_found() {
    const FLAT: &str = "pub mod a; pub mod b; pub mod c;";
    const FOLDERS: &str = "mod engine { mod draw; } mod files { mod model; } mod show { mod svg; } mod cli; \
                           mod verbs { mod eval; mod train; }";
    let sound = Library::of(
        FOLDERS,
        &[
            ("engine::draw", "use std::ops::Range;"),
            ("files::model", "use std::fs; use crate::engine::draw::{self, Drawn};"),
            ("show::svg", "use crate::files::model::Model;"),
            ("cli", "use crate::engine::draw;"),
            ("verbs::eval", "use crate::{cli, files::model, show::svg};"),
            ("verbs::train", "fn f() { crate::show::svg::draw() }"),
        ],
    );
    assert_eq!([sound.problems(), sound.folder_problems()], [Vec::<String>::new(), Vec::new()]);

    let order: [(&[(&str, &str)], &str); 7] = [
        (&[("a", "use crate::b;"), ("b", "use crate::a::A;")], "files use each other: a → b → a"),
        (
            &[("a", "use crate::b;"), ("b", "use crate::c;"), ("c", "use crate::a;")],
            "files use each other: a → b → c → a",
        ),
        (&[("a", "use crate::b::{B};")], "a uses b, which is not above it"),
        (&[("a", "fn f() -> crate::b::B { g() }"), ("b", "")], "a uses b, which is not above it"),
        (&[("a", "fn f() { println!(\"{}\", crate::b::N) }"), ("b", "")], "a uses b, which is not above it"),
        (&[("d", "")], "d is not listed"),
        (&[("b", "use super::a::A;")], "b names super::a::A"),
    ];
    for (files, expected) in order {
        let mut files = files.to_vec();
        let all = ["a", "b", "c"].map(|name| (name, ""));
        let missing = all.into_iter().filter(|(name, _)| files.iter().all(|(other, _)| other != name));
        let missing: Vec<_> = missing.collect();
        files.extend(missing);
        let found = Library::of(FLAT, &files).problems();
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }

    let folders: [(&str, &str, &str); 7] = [
        ("verbs::train", "use crate::verbs::eval::score;", "verbs::train uses verbs::eval"),
        ("engine::draw", "use crate::show::svg;", "engine::draw uses show::svg"),
        ("engine::draw", "use crate::files::model;", "folders use each other: engine → files → engine"),
        ("files::model", "use crate::cli::Options;", "files::model uses cli"),
        ("cli", "use crate::verbs::eval;", "cli uses verbs::eval"),
        ("engine::draw", "use std::fs::File;", "engine::draw uses std::fs::File"),
        ("engine::draw", "#[derive(clap::ValueEnum)] enum E {}", "engine::draw uses clap::ValueEnum"),
    ];
    for (module, text, expected) in folders {
        let mut library = Library::of(FOLDERS, &[]);
        library.files.extend(sound.files.clone());
        library.files.insert(module.to_owned(), text.to_owned());
        let found = library.folder_problems();
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:?}");
    }
}

/// The kernels of the list that the macro `list` of a file gives, each with the last name of what it calls.
fn listed_kernels(file: &str, list: &str) -> BTreeMap<String, String> {
    let items = syn::parse_file(file).unwrap().items;
    let macros = items.iter().filter_map(|item| match item {
        syn::Item::Macro(item) if item.ident.as_ref().is_some_and(|ident| ident == list) => Some(item),
        _ => None,
    });
    let tokens: String = macros.map(|item| item.mac.tokens.to_string()).collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeMap::new();
    for entry in tokens.split("fn ").skip(1) {
        let (signature, called) = entry.rsplit_once(" = ").unwrap();
        let name: String = signature.chars().take_while(|c| is_name(*c)).collect();
        let path = called.split([',', ';']).next().unwrap();
        let called = path.rsplit(|c| !is_name(c)).find(|word| !word.is_empty()).unwrap_or_default();
        assert!(found.insert(name.clone(), called.to_owned()).is_none(), "{name} is listed twice");
    }
    found
}

/// Kernels of a list that call something else than the function of their name.
fn kernel_problems(file: &str, list: &str) -> Vec<String> {
    /// Kernels that are methods of what they belong to: how they are named there.
    const METHODS: [(&str, &str); 5] = [
        ("activation_forward", "forward"),
        ("activation_backward", "backward"),
        ("dropout_forward", "forward"),
        ("dropout_backward", "backward"),
        ("adam", "update"),
    ];
    let kernels = listed_kernels(file, list);
    assert!(kernels.len() > 10, "kernels are found");
    let method = |name: &str| METHODS.iter().find(|(kernel, _)| *kernel == name).map(|(_, method)| *method);
    let wrong = kernels.iter().filter(|(name, called)| *called != method(name).unwrap_or(name));
    wrong.map(|(name, called)| format!("{name} calls {called}")).collect()
}

/// Core and host make their kernels of the same lists, so that neither can forget one.
#[test]
fn every_kernel_calls_the_function_of_its_name() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../core/src/{name}.rs"));
        fs::read_to_string(path).unwrap()
    };
    for list in ["kernels", "further_kernels"] {
        assert_eq!(kernel_problems(&read(list), list), Vec::<String>::new());
    }
    let other = read("further_kernels").replace("product::product;", "product::product_transposed;");
    assert_eq!(kernel_problems(&other, "further_kernels"), ["product calls product_transposed"]);
}
