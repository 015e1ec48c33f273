//! Compares the audit guide, `core/AUDIT.md`, with the code.
//!
//! The guide's map must list each public function of the core, each function of the method, and each function of the host
//! that computes. Fails where a name is wrong, a function is in no row, or a backward pass has no gradient check. Also
//! fails where a table counted out of the code is stale; `AUDIT=renew` writes those tables again.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};

/// The part of the core of which every function must be in the map.
///
/// It is what the default `train` and `sample` enter, which `.ci/method` checks.
const METHOD: &str = "the method";
/// The words before and after the reading list of the method.
const READING_LIST: [&str; 2] = ["which holds formula and derivation: ", ". Then"];

/// The head of a table of the map.
const MAP: &str = "| what | source | functions | tests |";
/// The head of the table of functions of the host that compute nothing the result depends on.
const EXCUSED: &str = "| in the host | because |";
/// The head of the counted table of exceptions.
const EXCEPTIONS: &str = "| file | in | lifted | because |";
/// The head of the counted table of sizes.
const SIZES: &str = "| file | code lines | lines of comment |";

/// One source file.
#[derive(Clone)]
struct Source {
    /// Its module, or for a test the file's name.
    name: String,
    text: String,
    parsed: Rc<syn::File>,
}

impl Source {
    fn new(name: &str, text: String) -> Self {
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text, parsed: Rc::new(parsed) }
    }
}

/// The code that the guide is compared with.
#[derive(Clone)]
struct Code {
    core: Vec<Source>,
    host: Vec<Source>,
    tests: Vec<Source>,
    /// Helpers that the gradient checks share with other tests.
    common: Vec<Source>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Rust files of `folder`, by name.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = sources_in(&root().join(folder), "");
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// The Rust files directly in `folder`, their names after `prefix`.
fn sources_in(folder: &Path, prefix: &str) -> Vec<Source> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let source = |path: PathBuf| {
        let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
        Source::new(&name, fs::read_to_string(&path).unwrap())
    };
    paths.filter(|path| path.extension().is_some_and(|name| name == "rs")).map(source).collect()
}

/// The Rust files of the host, which has folders, by name.
fn host_sources() -> Vec<Source> {
    let mut files = sources("host/src");
    for folder in fs::read_dir(root().join("host/src")).unwrap().map(|entry| entry.unwrap().path()) {
        if folder.is_dir() {
            let name = folder.file_name().unwrap().to_str().unwrap();
            files.extend(sources_in(&folder, &format!("{name}/")));
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

impl Code {
    fn read() -> Self {
        let [core, tests, common] = ["core/src", "tests", "tests/common"].map(sources);
        Self { core, host: host_sources(), tests, common }
    }
}

/// A function of the core or of the host.
struct Function {
    /// `file::function`, `file::Type::function` or `file::Trait::function`; in the host, `file` is `host/folder/name`.
    name: String,
    /// Whether it must be in the map.
    ///
    /// In the core: it can be called from outside, a trait of the core asks for it, or it belongs to the method. In the
    /// host: it computes.
    listed: bool,
    /// Whether a test can call it.
    public: bool,
}

/// The last name of a type that is a path.
fn type_name(of: &syn::Type) -> Option<String> {
    match of {
        syn::Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

fn last_name(path: &syn::Path) -> String {
    path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

/// The files of the core in reading order, each with the part that it belongs to.
///
/// Both are in `lib.rs`: a comment `// Part: what` is the heading of the files below it, up to the next.
fn reading_order(core: &[Source]) -> Vec<(String, String)> {
    let lib = core.iter().find(|source| source.name == "lib").unwrap();
    let (mut part, mut order) = (String::new(), Vec::new());
    for line in lib.text.lines() {
        if let Some((heading, _)) = line.strip_prefix("// ").and_then(|line| line.split_once(": ")) {
            part = heading.to_lowercase();
        } else if let Some(file) = line.strip_prefix("pub mod ").and_then(|line| line.strip_suffix(';')) {
            order.push((part.clone(), file.to_owned()));
        }
    }
    order
}

/// The files of the method in reading order.
fn method(core: &[Source]) -> Vec<String> {
    let order = reading_order(core).into_iter();
    order.filter_map(|(part, file)| (part == METHOD).then_some(file)).collect()
}

/// Every function of the core, with those that a block declares inside itself left out.
fn functions(core: &[Source]) -> Vec<Function> {
    let items = || core.iter().flat_map(|file| file.parsed.items.iter().map(|item| (&file.name, item)));
    let traits: BTreeSet<String> = items()
        .filter_map(|(_, item)| match item {
            syn::Item::Trait(item) => Some(item.ident.to_string()),
            _ => None,
        })
        .collect();
    let method = method(core);
    let mut found = Vec::new();
    for (file, item) in items() {
        let within = method.contains(file);
        match item {
            syn::Item::Fn(item) => {
                let (name, public) = (format!("{file}::{}", item.sig.ident), is_public(&item.vis));
                found.push(Function { name, listed: public || within, public });
            }
            syn::Item::Trait(item) => {
                for inner in &item.items {
                    if let syn::TraitItem::Fn(inner) = inner {
                        let name = format!("{file}::{}::{}", item.ident, inner.sig.ident);
                        found.push(Function { name, listed: is_public(&item.vis) || within, public: false });
                    }
                }
            }
            syn::Item::Impl(item) => {
                let of = item.trait_.as_ref().map(|(path, _)| last_name(path));
                let asked = of.as_ref().is_some_and(|name| traits.contains(name));
                let owner = type_name(&item.self_ty).or(of).unwrap_or_default();
                for inner in &item.items {
                    if let syn::ImplItem::Fn(inner) = inner {
                        let public = is_public(&inner.vis) || asked;
                        let name = format!("{file}::{owner}::{}", inner.sig.ident);
                        found.push(Function { name, listed: public || within, public });
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Methods that are arithmetic by another name.
const ARITHMETIC: [&str; 32] = [
    "abs_diff",
    "cbrt",
    "checked_add",
    "checked_div",
    "checked_mul",
    "checked_rem",
    "checked_sub",
    "div_ceil",
    "exp",
    "fold",
    "is_multiple_of",
    "ln",
    "ln_1p",
    "log10",
    "log2",
    "mul_add",
    "pow",
    "powf",
    "powi",
    "product",
    "recip",
    "reduce",
    "rem_euclid",
    "rotate_left",
    "rotate_right",
    "saturating_add",
    "saturating_mul",
    "saturating_sub",
    "sqrt",
    "sum",
    "wrapping_add",
    "wrapping_mul",
];

/// The files of the core that hold arithmetic; a function of the host that names something of theirs computes.
const COMPUTING: [&str; 18] = [
    "adam",
    "bound",
    "corruption",
    "cosine",
    "dropout",
    "estimate",
    "exact",
    "kernels",
    "length",
    "likelihood",
    "linear",
    "math",
    "mlp",
    "quantise",
    "rng",
    "rounding",
    "schedule",
    "softmax",
];

/// Whether a function computes: it has arithmetic, or names what does.
///
/// To add or take away the literal 1 is counting, and no arithmetic here; nor is putting strings together.
struct Computes<'a> {
    found: bool,
    /// Names of what computes.
    imported: &'a BTreeSet<String>,
}

/// The names that `file` imports from the files of the core that hold arithmetic; and that of the host's kernels.
fn computing_names(file: &syn::File) -> BTreeSet<String> {
    fn leaves(tree: &syn::UseTree, found: &mut BTreeSet<String>) {
        match tree {
            syn::UseTree::Path(path) => leaves(&path.tree, found),
            syn::UseTree::Name(name) => _ = found.insert(name.ident.to_string()),
            syn::UseTree::Rename(name) => _ = found.insert(name.rename.to_string()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, found)),
            syn::UseTree::Glob(_) => {}
        }
    }
    let mut found = BTreeSet::from(["Vectorised".to_owned()]);
    for item in &file.items {
        let syn::Item::Use(item) = item else { continue };
        let syn::UseTree::Path(library) = &item.tree else { continue };
        if library.ident != "micro_diffusion" {
            continue;
        }
        match &*library.tree {
            syn::UseTree::Path(module) if COMPUTING.iter().any(|name| module.ident == name) => {
                let mut names = BTreeSet::new();
                leaves(&module.tree, &mut names);
                if names.remove("self") {
                    names.insert(module.ident.to_string());
                }
                found.extend(names);
            }
            syn::UseTree::Name(module) if COMPUTING.iter().any(|name| module.ident == name) => {
                found.insert(module.ident.to_string());
            }
            _ => {}
        }
    }
    found
}

impl Computes<'_> {
    fn is_in(signature: &syn::Signature, block: &syn::Block, imported: &BTreeSet<String>) -> bool {
        let mut computes = Computes { found: false, imported };
        computes.visit_signature(signature);
        computes.visit_block(block);
        computes.found
    }
}

/// Whether `side` is the literal 1, or a string.
fn counts_or_joins(side: &syn::Expr) -> bool {
    match side {
        syn::Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Int(number) => number.base10_digits() == "1",
            syn::Lit::Str(_) => true,
            _ => false,
        },
        syn::Expr::Macro(call) => call.mac.path.is_ident("format"),
        syn::Expr::Reference(inner) => counts_or_joins(&inner.expr),
        syn::Expr::Paren(inner) => counts_or_joins(&inner.expr),
        // “a + b + "c"”.
        syn::Expr::Binary(inner) => counts_or_joins(&inner.right) && is_string(&inner.right),
        _ => false,
    }
}

fn is_string(side: &syn::Expr) -> bool {
    matches!(side, syn::Expr::Lit(literal) if matches!(literal.lit, syn::Lit::Str(_)))
}

impl<'ast> Visit<'ast> for Computes<'_> {
    fn visit_expr_binary(&mut self, item: &'ast syn::ExprBinary) {
        use syn::BinOp::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Rem, RemAssign, Sub, SubAssign};
        let scales = matches!(item.op, Mul(_) | Div(_) | Rem(_) | MulAssign(_) | DivAssign(_) | RemAssign(_));
        let adds = matches!(item.op, Add(_) | Sub(_) | AddAssign(_) | SubAssign(_));
        self.found |= scales || adds && !counts_or_joins(&item.right) && !counts_or_joins(&item.left);
        visit::visit_expr_binary(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.found |= ARITHMETIC.contains(&call.method.to_string().as_str());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found |= path.segments.iter().any(|part| self.imported.contains(&part.ident.to_string()));
        visit::visit_path(self, path);
    }

    /// Arguments of a macro, where they are expressions.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        type Arguments = Punctuated<syn::Expr, syn::Token![,]>;
        if let Ok(arguments) = call.parse_body_with(Arguments::parse_terminated) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        } else if let Ok(list) = syn::parse_str::<syn::ExprRepeat>(&format!("[{}]", call.tokens)) {
            // `vec![value; count]`.
            self.found |= {
                let mut inner = Computes { found: false, imported: self.imported };
                inner.visit_expr_repeat(&list);
                inner.found
            };
        }
        visit::visit_macro(self, call);
    }
}

/// Every function of the host outside of other functions.
fn host_functions(host: &[Source]) -> Vec<Function> {
    let mut found = Vec::new();
    for Source { name: file, parsed, .. } in host {
        let imported = computing_names(parsed);
        let mut add = |owner: Option<String>, signature: &syn::Signature, block: &syn::Block| {
            let owner = owner.map_or(String::new(), |owner| format!("{owner}::"));
            let name = format!("host/{file}::{owner}{}", signature.ident);
            let listed = Computes::is_in(signature, block, &imported);
            found.push(Function { name, listed, public: false });
        };
        for item in &parsed.items {
            match item {
                syn::Item::Fn(item) => add(None, &item.sig, &item.block),
                syn::Item::Trait(item) => {
                    for inner in &item.items {
                        if let syn::TraitItem::Fn(syn::TraitItemFn { sig, default: Some(block), .. }) = inner
                        {
                            add(Some(item.ident.to_string()), sig, block);
                        }
                    }
                }
                syn::Item::Impl(item) => {
                    for inner in &item.items {
                        if let syn::ImplItem::Fn(inner) = inner {
                            add(type_name(&item.self_ty), &inner.sig, &inner.block);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// What is wrong with the table of functions of the host that compute nothing the result depends on; and their names.
///
/// An entry is a function, or outside of the engine a whole file.
fn excused(guide: &str, host: &[Function], named: &BTreeSet<String>) -> (BTreeSet<String>, Vec<String>) {
    let (mut all, mut wrong) = (BTreeSet::new(), Vec::new());
    for line in tables(guide, EXCUSED) {
        let (entries, reason) = match cells(line)[..] {
            [entries, reason] => (names(entries), reason),
            _ => (Vec::new(), ""),
        };
        if entries.is_empty() || reason.is_empty() {
            wrong.push(format!("an entry of the host lacks its name or its reason: {line}"));
        }
        for entry in entries {
            let whole = !entry.contains("::");
            if whole && entry.starts_with("host/engine/") {
                wrong.push(format!("{entry} belongs to the engine; excuse its functions one by one"));
            }
            let meant = |function: &&Function| match whole {
                true => function.name.starts_with(&format!("{entry}::")),
                false => function.name == entry,
            };
            let of_entry: Vec<&Function> = host.iter().filter(meant).collect();
            if !of_entry.iter().any(|function| function.listed) {
                wrong.push(format!("{entry} is excused, and does not exist or does not compute"));
            }
            for function in of_entry {
                if named.contains(&function.name) {
                    wrong.push(format!("{} is excused, and is in the map", function.name));
                }
                all.insert(function.name.clone());
            }
        }
    }
    (all, wrong)
}

/// Calls of each function of some test files, and the types and traits that it mentions.
#[derive(Default)]
struct Uses {
    calls: BTreeMap<String, BTreeSet<String>>,
    mentions: BTreeMap<String, BTreeSet<String>>,
    within: Vec<String>,
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within.push(item.sig.ident.to_string());
        visit::visit_item_fn(self, item);
        self.within.pop();
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            for within in &self.within {
                self.calls.entry(within.clone()).or_default().insert(last_name(&function.path));
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        for within in &self.within {
            self.calls.entry(within.clone()).or_default().insert(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // Behind a type stands its function, or a variant: `Architecture::Mlp` is not the type `Mlp`.
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let first = names.iter().position(|name| name.starts_with(char::is_uppercase));
        let mentioned = names.iter().take(first.map_or(names.len(), |place| place + 1));
        for within in &self.within {
            self.mentions.entry(within.clone()).or_default().extend(mentioned.clone().cloned());
        }
        visit::visit_path(self, path);
    }
}

impl Uses {
    /// Calls and mentions of `function`, its own and those of functions that it calls.
    fn reached(&self, function: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut called, mut mentioned) = (BTreeSet::new(), BTreeSet::new());
        let mut next = vec![function.to_owned()];
        while let Some(function) = next.pop() {
            mentioned.extend(self.mentions.get(&function).cloned().unwrap_or_default());
            let new = self.calls.get(&function).into_iter().flatten();
            next.extend(new.filter(|name| called.insert((*name).clone())).cloned().collect::<Vec<_>>());
        }
        (called, mentioned)
    }
}

/// `file::function` of every function marked as a test, in a `proptest!` too.
fn tests(files: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in files {
        for item in &source.parsed.items {
            match item {
                syn::Item::Fn(item)
                    if item.attrs.iter().any(|attribute| attribute.path().is_ident("test")) =>
                {
                    found.insert(format!("{}::{}", source.name, item.sig.ident));
                }
                syn::Item::Macro(item) if last_name(&item.mac.path) == "proptest" => {
                    let tokens = item.mac.tokens.to_string();
                    let names = tokens.split("[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1));
                    let end = |c: char| !c.is_alphanumeric() && c != '_';
                    found.extend(names.filter_map(|name| {
                        name.split(end).next().map(|name| format!("{}::{name}", source.name))
                    }));
                }
                _ => {}
            }
        }
    }
    found
}

/// One row of the map.
struct Row {
    what: String,
    source: String,
    functions: Vec<String>,
    tests: Vec<String>,
}

/// The names in the code spans of `cell`; `a::{b, c}` stands for `a::b` and `a::c`.
fn names(cell: &str) -> Vec<String> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans
        .flat_map(|span| match span.split_once('{') {
            Some((prefix, rest)) => {
                let inner = rest.trim_end_matches('}').split(',');
                inner.map(|name| format!("{prefix}{}", name.trim())).collect()
            }
            None => vec![span.to_owned()],
        })
        .collect()
}

/// The lines of each table of `guide` whose head is `head`, without head and rule.
fn tables<'a>(guide: &'a str, head: &str) -> Vec<&'a str> {
    let (mut rows, mut within) = (Vec::new(), 0);
    for line in guide.lines() {
        match (within, line) {
            (_, line) if line == head => within = 1,
            (1, _) => within = 2,
            (2, line) if line.starts_with('|') => rows.push(line),
            _ => within = 0,
        }
    }
    rows
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The rows of the map, and what is wrong with their form.
fn map(guide: &str) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for line in tables(guide, MAP) {
        match cells(line)[..] {
            [what, source, functions, tests] => {
                let (what, source) = (what.to_owned(), source.to_owned());
                rows.push(Row { what, source, functions: names(functions), tests: names(tests) });
            }
            _ => wrong.push(format!("a row of the map has not four cells: {line}")),
        }
    }
    (rows, wrong)
}

/// Whether `name` is a backward pass, whose gradient must be checked numerically.
fn is_backward(name: &str) -> bool {
    name == "gradient" || name.contains("backward")
}

/// Faults of the map.
fn problems(guide: &str, code: &Code) -> Vec<String> {
    let (rows, mut wrong) = map(guide);
    let (functions, host) = (functions(&code.core), host_functions(&code.host));
    let functions: Vec<&Function> = functions.iter().chain(&host).collect();
    let known: BTreeMap<&str, &Function> = functions.iter().map(|f| (f.name.as_str(), *f)).collect();
    let tests = tests(&code.tests);
    let mut uses = Uses::default();
    for source in code.tests.iter().filter(|source| source.name == "gradients").chain(&code.common) {
        uses.visit_file(&source.parsed);
    }
    let mut named = BTreeSet::new();
    for row in &rows {
        let Row { what, .. } = row;
        if what.is_empty() || row.source.is_empty() || row.functions.is_empty() || row.tests.is_empty() {
            wrong.push(format!("“{what}” lacks its source, its functions or its tests"));
        }
        for test in row.tests.iter().filter(|test| !tests.contains(*test)) {
            wrong.push(format!("“{what}” names the test {test}, which does not exist"));
        }
        for name in &row.functions {
            named.insert(name.clone());
            let Some(function) = known.get(name.as_str()) else {
                wrong.push(format!("“{what}” names the function {name}, which does not exist"));
                continue;
            };
            wrong.extend(unchecked(row, function, &uses));
        }
    }
    let (excused, unsound) = excused(guide, &host, &named);
    wrong.extend(unsound);
    for function in functions {
        let of_host = function.name.starts_with("host/");
        let must = function.listed || !of_host && is_backward(last(&function.name));
        if must && !named.contains(&function.name) && !excused.contains(&function.name) {
            wrong.push(format!(
                "{} is in no row of the map; add it to the row of what it computes, or add a row",
                function.name
            ));
        }
    }
    wrong
}

fn last(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}

/// That no gradient check named by `row` compares the backward pass `function` with a numeric slope.
///
/// A check has to name what it checks, unless only the core can call it.
fn unchecked(row: &Row, Function { name, public, .. }: &Function, uses: &Uses) -> Option<String> {
    if !is_backward(last(name)) || name.starts_with("host/") {
        return None;
    }
    let owner = name.split("::").nth(1).filter(|owner| *owner != last(name));
    let checked = row.tests.iter().filter_map(|test| test.strip_prefix("gradients::")).any(|test| {
        let (called, mentioned) = uses.reached(test);
        let itself = called.contains(last(name)) && owner.is_none_or(|owner| mentioned.contains(owner));
        called.contains("assert_gradient") && (itself || !public)
    });
    (!checked)
        .then(|| format!("{name} is a backward pass, and no gradient check of “{}” reaches it", row.what))
}

/// One lint, or several, lifted for one item.
#[derive(Debug)]
struct Exception {
    file: String,
    place: String,
    lints: String,
    reason: String,
}

#[derive(Default)]
struct Exceptions {
    found: Vec<Exception>,
    file: String,
    within: Vec<String>,
}

impl Exceptions {
    fn inside<'ast, T>(&mut self, name: String, item: &'ast T, visit: fn(&mut Self, &'ast T)) {
        self.within.push(name);
        visit(self, item);
        self.within.pop();
    }
}

impl<'ast> Visit<'ast> for Exceptions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside(item.sig.ident.to_string(), item, visit::visit_item_fn);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside(item.sig.ident.to_string(), item, visit::visit_impl_item_fn);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.inside(item.ident.to_string(), item, visit::visit_impl_item_const);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = type_name(&item.self_ty).unwrap_or_default();
        self.inside(name, item, visit::visit_item_impl);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("allow") && !attribute.path().is_ident("expect") {
            return;
        }
        let entries = attribute.parse_args_with(Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated);
        let (mut lints, mut reason) = (Vec::new(), String::new());
        for entry in entries.unwrap() {
            match entry {
                syn::Meta::Path(path) => lints.push(format!("`{}`", last_name(&path))),
                syn::Meta::NameValue(entry) => {
                    if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = entry.value {
                        reason = text.value();
                    }
                }
                syn::Meta::List(_) => {}
            }
        }
        let place = if self.within.is_empty() { "the file".to_owned() } else { self.within.join("::") };
        self.found.push(Exception { file: self.file.clone(), place, lints: lints.join(", "), reason });
    }
}

/// Every lint that `code` lifts locally.
fn exceptions(code: &Code) -> Vec<Exception> {
    let mut all = Exceptions::default();
    for (folder, sources) in [("core", &code.core), ("host", &code.host)] {
        for source in sources {
            all.file = format!("{folder}/src/{}.rs", source.name);
            all.visit_file(&source.parsed);
        }
    }
    all.found
}

/// Lines of code and lines of comment; blank ones are neither, and the core has no other comments than these.
fn size(source: &Source) -> (usize, usize) {
    let lines = source.text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (comment, code): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("//"));
    (code.len(), comment.len())
}

/// The rows of the table of sizes: each part with its files, in the order of `lib.rs`, which itself counts for the whole.
fn sizes(core: &[Source]) -> String {
    let sizes: BTreeMap<&str, _> = core.iter().map(|source| (source.name.as_str(), size(source))).collect();
    let order = reading_order(core);
    assert_eq!(order.len() + 1, core.len(), "lib.rs lists every other file of the core under a heading");
    let sum =
        |sizes: &mut dyn Iterator<Item = (usize, usize)>| sizes.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let (mut rows, mut seen) = (String::new(), BTreeSet::new());
    for (part, _) in &order {
        if !seen.insert(part) {
            continue;
        }
        let files: Vec<_> = order.iter().filter(|(other, _)| other == part).map(|(_, file)| file).collect();
        let (code, comment) = sum(&mut files.iter().map(|file| sizes[file.as_str()]));
        writeln!(rows, "| **{part}** | **{code}** | **{comment}** |").unwrap();
        for file in files {
            let (code, comment) = sizes[file.as_str()];
            writeln!(rows, "| `{file}.rs` | {code} | {comment} |").unwrap();
        }
    }
    let (code, comment) = sum(&mut sizes.into_values());
    writeln!(rows, "| **the core, with `lib.rs`** | **{code}** | **{comment}** |").unwrap();
    rows
}

/// `guide` with the counted tables as the code has them.
fn renewed(guide: &str, code: &Code) -> String {
    let mut lifted = String::new();
    for Exception { file, place, lints, reason } in exceptions(code) {
        writeln!(lifted, "| `{file}` | `{place}` | {lints} | {reason} |").unwrap();
    }
    let mut text = guide.to_owned();
    for (head, rows) in [(EXCEPTIONS, lifted), (SIZES, sizes(&code.core))] {
        let start = text.find(head).unwrap_or_else(|| panic!("the guide has no table {head}"));
        let start = start + text[start..].match_indices('\n').nth(1).unwrap().0 + 1;
        let end = start + text[start..].find("\n\n").map_or(text[start..].len(), |end| end + 1);
        text.replace_range(start..end, &rows);
    }
    let [before, after] = READING_LIST;
    let start = text.find(before).unwrap_or_else(|| panic!("the guide has no “{before}”")) + before.len();
    let end = start + text[start..].find(after).unwrap();
    let list: Vec<String> = method(&code.core).iter().map(|file| format!("`{file}`")).collect();
    text.replace_range(start..end, &list.join(", "));
    text
}

fn guide() -> String {
    read("core/AUDIT.md")
}

#[test]
fn the_map_names_what_there_is_and_leaves_nothing_out() {
    let wrong = problems(&guide(), &Code::read());
    assert!(wrong.is_empty(), "core/AUDIT.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_counted_tables_are_fresh() {
    let (guide, code) = (guide(), Code::read());
    let fresh = renewed(&guide, &code);
    if std::env::var("AUDIT").is_ok_and(|value| value == "renew") {
        fs::write(root().join("core/AUDIT.md"), &fresh).unwrap();
        return;
    }
    let differs = guide.lines().zip(fresh.lines()).find(|(old, new)| old != new);
    assert!(guide == fresh, "stale: {differs:?}; renew with: AUDIT=renew cargo test --test map");
    let unproved: Vec<_> = exceptions(&code).into_iter().filter(|found| found.reason.is_empty()).collect();
    assert!(unproved.is_empty(), "lints lifted without a reason: {unproved:?}");
}

/// `text` with `from`, which it must have, replaced by `to`.
#[track_caller]
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from:?} to change");
    text.replace(from, to)
}

/// `code` with `from` replaced by `to` in the file `name`, `core/…`, `host/…` or `tests/…`.
#[track_caller]
fn edited(code: &Code, name: &str, from: &str, to: &str) -> Code {
    let mut code = code.clone();
    let (folder, name) = name.split_once('/').unwrap();
    let files = match folder {
        "core" => &mut code.core,
        "host" => &mut code.host,
        _ => &mut code.tests,
    };
    let file = files.iter_mut().find(|source| source.name == name).unwrap();
    *file = Source::new(name, changed(&file.text, from, to));
    code
}

#[track_caller]
fn assert_reported(guide: &str, code: &Code, said: &str) {
    let wrong = problems(guide, code);
    assert!(wrong.iter().any(|line| line.contains(said)), "nothing of {said:?} in {wrong:?}");
}

/// Functions of the host, and whether each computes.
const MADE_UP: &[(&str, bool)] = &[
    ("fn f(x: f32) -> f32 { x * 2.0 }", true),
    ("fn f(x: &mut f32) { *x /= 3.0; }", true),
    ("fn f(x: f64, y: f64) -> f64 { x + y }", true),
    ("fn f(x: &[f32]) -> f32 { x.iter().sum() }", true),
    ("fn f(x: f64) -> f64 { if x > 0.0 { x.sqrt() } else { x } }", true),
    ("fn f(x: f64) -> String { format!(\"{}\", x - 0.5) }", true),
    ("fn f(rows: usize, width: usize) -> Vec<f32> { vec![0.0; rows * width] }", true),
    ("fn f(x: &[f32]) -> Vec<f32> { x.iter().map(|x| x * x).collect() }", true),
    ("struct S; impl S { fn f(&self, x: f32) -> f32 { x % 2.0 } }", true),
    ("trait T { fn f(&self, x: u32) -> u32 { x.abs_diff(7) } }", true),
    ("use micro_diffusion::bound; fn f(x: &[f64]) -> f64 { bound::mean(x) }", true),
    ("use micro_diffusion::mlp::{self, Mlp}; fn f() { mlp::look_up(); }", true),
    ("use micro_diffusion::rng::Stream; fn f(s: Stream) -> [u32; 2] { s.draw(0, 0) }", true),
    ("use micro_diffusion::bound::mean as average; fn f(x: &[f64]) -> f64 { average(x) }", true),
    ("use crate::engine::kernels::Vectorised; fn f(x: &mut [f32]) { run(Vectorised, x); }", true),
    ("fn f(x: usize) -> usize { x + 1 }", false),
    ("fn f(x: &mut usize) { *x += 1; }", false),
    ("fn f(x: String) -> String { x + \"\\n\" }", false),
    ("fn f(x: &[f32]) -> &[f32] { &x[1..] }", false),
    ("fn f(x: &f32) -> bool { *x > 2.0 }", false),
    ("use micro_diffusion::text::Alphabet; fn f(a: Alphabet) -> usize { a.symbols() }", false),
];

/// Each way in which the map can be wrong, tried.
#[test]
fn what_is_wrong_is_reported() {
    let (guide, code) = (guide(), Code::read());
    for (from, to, said) in [
        ("`rng::below`", "`rng::beneath`", "names the function rng::beneath, which does not exist"),
        ("`rng::below`", "`math::below`", "names the function math::below, which does not exist"),
        ("`rng::below`", "", "rng::below is in no row"),
        ("Stream::{new, child, draw}", "Stream::{new, child}", "rng::Stream::draw is in no row"),
        ("| `gradients::rms_norm`,", "|", "rms_norm_backward is a backward pass, and no gradient check"),
        (
            "| `gradients::mlp`, `oracle::mlp`",
            "| `gradients::residual`",
            "mlp::Mlp::gradient is a backward pass",
        ),
        ("`gradients::attention`, ", "", "softmax_of_lanes_backward is a backward pass"),
        ("`oracle::relu`", "`oracle::elu`", "names the test oracle::elu, which does not exist"),
        ("`properties::a_softmax_", "`properties::no_softmax_", "names the test properties::no_softmax_"),
        (
            "`oracle::relu`",
            "`oracle::check_linear`",
            "names the test oracle::check_linear, which does not exist",
        ),
        ("| `math::powers` |", "| |", "lacks its source, its functions or its tests"),
        ("| own | `math::power` |", "| `math::power` |", "has not four cells"),
        ("linear_forward, dots,", "linear_forward,", "linear::dots is in no row"),
        ("`host/engine/score::texts`", "`host/engine/score::text`", "score::text, which does not exist"),
        ("`host/engine/score::texts`, ", "", "host/engine/score::texts is in no row"),
        ("| places arrays in memory |", "| |", "lacks its name or its reason"),
        ("Pace::note` |", "Pace::notes` |", "Pace::notes is excused, and does not exist or does not compute"),
        ("Pace::note` |", "Pace::new` |", "Pace::new is excused, and does not exist or does not compute"),
        ("Pace::note` |", "Pace::new` |", "host/engine/trainer::Pace::note is in no row"),
        (
            "`host/engine/aligned::Aligned::copy_of`",
            "`host/engine/aligned`",
            "engine/aligned belongs to the engine",
        ),
        ("`host/cli`", "`host/files/corpus`", "corpus::Lines::within is excused, and is in the map"),
    ] {
        assert_reported(&changed(&guide, from, to), &code, said);
    }
}

/// Each way in which the code can leave the map behind, tried.
#[test]
fn what_the_code_leaves_behind_is_reported() {
    let (guide, code) = (guide(), Code::read());
    for (file, from, to, said) in [
        ("core/rng", "pub const fn symmetric", "pub const fn unit", "rng::unit is in no row"),
        ("core/rng", "pub const fn symmetric", "pub const fn unit", "rng::symmetric, which does not exist"),
        ("core/bound", "pub fn mean", "pub fn twice() {}\npub fn mean", "bound::twice is in no row"),
        (
            "core/product",
            "fn transpose_square",
            "fn transpose_backward",
            "product::transpose_backward is in no row",
        ),
        ("host/engine/score", "fn texts<", "fn limits<", "host/engine/score::texts, which does not exist"),
        ("host/engine/score", "fn texts<", "fn limits<", "host/engine/score::limits is in no row"),
        (
            "tests/math",
            "#[test]\nfn powers",
            "fn powers",
            "names the test math::powers, which does not exist",
        ),
        (
            "tests/gradients",
            ".output_backward(",
            ".output_forward(",
            "mlp::Shard::output_backward is a backward pass",
        ),
        (
            "tests/gradients",
            "assert_gradient(",
            "assert_nothing(",
            "linear::linear_backward_weight is a backward pass",
        ),
        ("tests/gradients", ".backward(", ".forward(", "dropout::Dropout::backward is a backward pass"),
        (
            "tests/gradients",
            "_model::<Residual<",
            "_model::<Mlp<",
            "residual::Residual::gradient is a backward",
        ),
    ] {
        assert_reported(&guide, &edited(&code, file, from, to), said);
    }
    for (file, from, to) in [
        (
            "core/rng",
            "/// Scales a random word to a uniform number",
            "#[allow(clippy::panic)]\n/// Scales a random word to a uniform number",
        ),
        ("core/rng", "the two halves of the seed are taken on purpose", "why not"),
        ("core/rng", "pub const fn symmetric", "const _: () = ();\npub const fn symmetric"),
        ("core/lib", "pub mod math;\npub mod rng;", "pub mod rng;\npub mod math;"),
        ("core/lib", "pub mod rng;\n", "// Lists: names.\npub mod rng;\n"),
    ] {
        assert_ne!(renewed(&guide, &edited(&code, file, from, to)), guide, "{from} changes a counted table");
    }
}

#[test]
fn functions_of_the_host_that_compute_are_reported() {
    let (guide, code) = (guide(), Code::read());
    for (written, computes) in MADE_UP {
        let mut code = code.clone();
        code.host.push(Source::new("engine/made_up", (*written).to_owned()));
        let wrong = problems(&guide, &code);
        let reported = wrong.iter().any(|line| line.contains("host/engine/made_up::"));
        assert_eq!(reported, *computes, "{written}: {wrong:?}");
    }
}

/// The names in code letters that look like tests, in the rows of any table of `text`.
fn tests_named(text: &str) -> Vec<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(names).filter(|name| name.contains("::") && !name.contains(' ')).collect()
}

#[test]
fn the_tests_that_back_security_claims_and_faults_exist() {
    let tests = tests(&Code::read().tests);
    let guide = guide();
    let part = |name| guide.split("\n## ").find(|section| section.starts_with(name)).unwrap();
    for text in [&read("SECURITY.md"), part("Claims"), part("Faults")] {
        let named = tests_named(text);
        assert!(named.len() > 5, "{named:?}");
        let unknown: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
        assert!(unknown.is_empty(), "no such tests: {unknown:?}");
    }
}

/// The lines of section `name` of a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect()
}

/// The dependencies of a manifest.
fn dependencies(manifest: &str, section_name: &str) -> BTreeSet<String> {
    let names = section(manifest, section_name).into_iter().filter_map(|line| line.split_once(" ="));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// The table of `CONTRIBUTING.md` has a line for each dependency of the program and no other, and its text names what the tests use.
#[test]
fn the_guide_for_developers_says_what_each_dependency_is_for() {
    let [core, host, shared] = ["core/Cargo.toml", "host/Cargo.toml", "tests/Cargo.toml"].map(read);
    let of_core = dependencies(&core, "dependencies");
    assert!(of_core.iter().eq(["heapless", "libm"]), "{of_core:?}");
    let mut expected = dependencies(&host, "dependencies");
    assert!(expected.remove("micro-diffusion"));
    let text = read("CONTRIBUTING.md");
    let rows = tables(&text, "| crate | for |").into_iter().map(cells);
    let listed: BTreeSet<String> =
        rows.flat_map(|cells| cells[0].split(", ").map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(listed, expected);
    let tests = text.split("\n## ").find(|section| section.starts_with("Build and test")).unwrap();
    let used =
        [&core, &host, &shared].into_iter().flat_map(|manifest| dependencies(manifest, "dev-dependencies"));
    let used: BTreeSet<String> = used.filter(|name| name != "micro-diffusion-tests").collect();
    assert!(used.len() >= 5, "{used:?}");
    for name in used {
        assert!(
            tests.contains(&format!("`{name}`")),
            "CONTRIBUTING.md does not say what the tests use {name} for"
        );
    }
}

/// Every package is MIT OR Apache-2.0, and every dependency comes from crates.io.
#[test]
fn licences_and_origins_are_what_they_should_be() {
    const LICENCE: &str = r#"license = "MIT OR Apache-2.0""#;
    assert!(section(&read("Cargo.toml"), "workspace.package").contains(&LICENCE));
    let (mut manifests, mut folders) = (0, vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
            if entry.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(entry);
            } else if name == "Cargo.toml" && entry != root().join("Cargo.toml") {
                let manifest = fs::read_to_string(&entry).unwrap();
                let package = section(&manifest, "package");
                let licensed = package.contains(&LICENCE) || package.contains(&"license.workspace = true");
                assert!(licensed, "{}", entry.display());
                manifests += 1;
            } else if name == "Cargo.lock" {
                let lock = fs::read_to_string(&entry).unwrap();
                let mut sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
                let foreign = sources.find(|source| !source.contains("github.com/rust-lang/crates.io-index"));
                assert_eq!(foreign, None, "{}", entry.display());
            }
        }
    }
    assert!(manifests >= 5, "core, host, two examples and the firmware's checks: {manifests}");
}

/// Tolerances stand in one file, each with its reason, and each is used.
#[test]
fn every_tolerance_has_its_reason_and_its_use() {
    let code = Code::read();
    let table = code.common.iter().find(|source| source.name == "tolerance").unwrap();
    let mut count = 0;
    for item in &table.parsed.items {
        let syn::Item::Const(item) = item else { continue };
        let name = item.ident.to_string();
        let reason = item.attrs.iter().any(|attribute| attribute.path().is_ident("doc"));
        assert!(reason, "{name} has no reason");
        let used = |source: &Source| source.name != "map" && source.text.contains(&name);
        assert!(code.tests.iter().any(used), "{name} is used by no test");
        count += 1;
    }
    assert!(count > 10, "{count}");
    let mut literals = Literals::default();
    code.tests.iter().for_each(|source| literals.visit_file(&source.parsed));
    assert!(literals.compared > 50, "{}", literals.compared);
    assert_eq!(literals.in_place, 0, "tolerances written where they are used");
}

/// Calls that compare within a tolerance, and how many of those give it as a number.
#[derive(Default)]
struct Literals {
    compared: usize,
    in_place: usize,
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && ["assert_close", "assert_all_close"].contains(&last_name(&function.path).as_str())
        {
            self.compared += 1;
            self.in_place += usize::from(matches!(call.args.get(2), Some(syn::Expr::Lit(_)) | None));
        }
        visit::visit_expr_call(self, call);
    }
}
