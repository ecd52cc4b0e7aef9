//! Which file of a crate uses which other files of it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility};

/// Bounds how far re-exports are followed, so that imports that name each other end.
const MAX_DEPTH: usize = 16;

/// The files of a crate, and for each file the files that it uses, with the names used.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) uses: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Graph {
    /// Parses the sources of a crate: pairs of a path below `src` and the text of the file.
    pub(crate) fn parse(sources: &[(String, String)]) -> Result<Self, String> {
        let mut modules = Modules::default();
        let mut test_modules = Vec::new();
        for (file, source) in sources {
            let syntax = syn::parse_file(source).map_err(|error| format!("{file}: {error}"))?;
            let module = module_of(file);
            modules.0.entry(module.clone()).or_default().file.clone_from(file);
            let mut collector = Collector { modules: &mut modules, test_modules: &mut test_modules, file, module };
            collector.visit_file(&syntax);
        }
        modules.0.retain(|module, _| !test_modules.iter().any(|test| module.starts_with(test)));
        Ok(modules.graph())
    }

    /// Returns the groups of files that depend on each other.
    pub(crate) fn cycles(&self) -> Vec<Vec<&str>> {
        let reachable: BTreeMap<&str, BTreeSet<&str>> =
            self.uses.keys().map(|file| (&**file, self.reach(file))).collect();
        let mut cycles: Vec<Vec<&str>> = Vec::new();
        for (file, from_file) in &reachable {
            if from_file.contains(file) && !cycles.iter().flatten().any(|seen| seen == file) {
                cycles.push(from_file.iter().copied().filter(|other| reachable[other].contains(file)).collect());
            }
        }
        cycles
    }

    /// Returns the files that `file` depends on, directly or through others.
    fn reach<'a>(&'a self, file: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![file];
        while let Some(file) = pending.pop() {
            pending.extend(self.uses[file].keys().map(|used| &**used).filter(|used| reached.insert(*used)));
        }
        reached
    }
}

/// A module's path from the crate root, which is the empty path.
type ModulePath = Vec<String>;

#[derive(Default)]
struct Modules(BTreeMap<ModulePath, Module>);

#[derive(Default)]
struct Module {
    file: String,
    /// The names that the module defines.
    items: BTreeSet<String>,
    /// The names that it imports, with the paths that they stand for.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths whose names it imports all.
    globs: Vec<Vec<String>>,
    /// The paths that it uses, in imports and in code.
    references: Vec<Vec<String>>,
}

/// What a path names.
enum Target {
    Module(ModulePath),
    Item {
        file: String,
        name: String,
    },
    /// Something outside the crate, or a local name.
    Elsewhere,
}

impl Modules {
    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        for (path, module) in &self.0 {
            let uses = graph.uses.entry(module.file.clone()).or_default();
            for reference in &module.references {
                let (reference, is_glob) = match reference.split_last() {
                    Some((last, rest)) if last == "*" => (rest, true),
                    _ => (&**reference, false),
                };
                let (file, name) = match self.resolve(path, reference, 0) {
                    Target::Item { file, name } => (file, name),
                    Target::Module(used) if is_glob => {
                        (self.0[&used].file.clone(), [&*used.join("::"), "*"].join("::"))
                    }
                    // each use of an item of the module is a reference of its own
                    Target::Module(_) | Target::Elsewhere => continue,
                };
                if file != module.file {
                    uses.entry(file).or_default().insert(name);
                }
            }
        }
        graph
    }

    /// Finds what `path` names in the module `from`.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Target {
        if depth > MAX_DEPTH {
            return Target::Elsewhere;
        }
        let mut module = from.to_vec();
        let mut is_qualified = false;
        for (at, segment) in path.iter().enumerate() {
            match &**segment {
                "crate" if at == 0 => module.clear(),
                "self" => {}
                "super" => drop(module.pop()),
                name => match self.lookup(&module, name, depth) {
                    Some(Target::Module(found)) => module = found,
                    Some(found) => return found,
                    // a macro defines the item
                    None if is_qualified && self.0.contains_key(&module) => return self.item(&module, name),
                    None => return Target::Elsewhere,
                },
            }
            is_qualified = true;
        }
        Target::Module(module)
    }

    /// Finds `name` among the names of `module`.
    fn lookup(&self, module: &[String], name: &str, depth: usize) -> Option<Target> {
        let child = [module, &[name.to_owned()]].concat();
        if self.0.contains_key(&child) {
            return Some(Target::Module(child));
        }
        let scope = self.0.get(module)?;
        if scope.items.contains(name) {
            return Some(self.item(module, name));
        }
        if let Some(path) = scope.imports.get(name) {
            return Some(self.resolve(module, path, depth + 1));
        }
        scope.globs.iter().find_map(|path| match self.resolve(module, path, depth + 1) {
            Target::Module(used) if used != module && depth < MAX_DEPTH => self.lookup(&used, name, depth + 1),
            _ => None,
        })
    }

    fn item(&self, module: &[String], name: &str) -> Target {
        Target::Item { file: self.0[module].file.clone(), name: [module, &[name.to_owned()]].concat().join("::") }
    }
}

/// Collects what one file defines and uses.
struct Collector<'a> {
    modules: &'a mut Modules,
    /// Modules that exist in tests only.
    test_modules: &'a mut Vec<ModulePath>,
    file: &'a str,
    module: ModulePath,
}

impl Collector<'_> {
    fn scope(&mut self) -> &mut Module {
        self.modules.0.entry(self.module.clone()).or_default()
    }

    /// Collects the paths among the arguments of a macro, which have no syntax.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        let mut references = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        references.push(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    references.push(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.visit_tokens(group.stream());
                    }
                }
            }
        }
        references.push(path);
        self.scope().references.extend(references.into_iter().filter(|path| !path.is_empty()));
    }

    fn import(&mut self, tree: &UseTree, prefix: &[String], is_counted: bool) {
        let (name, rename) = match tree {
            UseTree::Path(path) => {
                return self.import(&path.tree, &[prefix, &[path.ident.to_string()]].concat(), is_counted);
            }
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.import(tree, prefix, is_counted)),
            UseTree::Glob(_) => ("*".to_owned(), None),
            UseTree::Name(name) => (name.ident.to_string(), None),
            UseTree::Rename(rename) => (rename.ident.to_string(), Some(rename.rename.to_string())),
        };
        let path = if name == "self" { prefix.to_vec() } else { [prefix, std::slice::from_ref(&name)].concat() };
        let scope = self.scope();
        if is_counted {
            scope.references.push(path.clone());
        }
        if name == "*" {
            scope.globs.push(prefix.to_vec());
        } else if let Some(name) = rename.or_else(|| path.last().cloned()) {
            scope.imports.insert(name, path);
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            self.scope().items.insert(name.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        if item.attrs.iter().any(is_cfg_test) {
            self.test_modules.push(self.module.clone());
        } else if item.content.is_some() {
            let file = self.file.to_owned();
            self.scope().file = file;
            visit::visit_item_mod(self, item);
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // re-exports of the crate root are no dependencies: a path through them leads to the file that defines the item
        let is_counted = !self.module.is_empty() || matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], is_counted);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.scope().references.push(segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.visit_tokens(item.tokens.clone());
    }

    // attributes name no file of the crate; documentation is an attribute too
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<Path>().is_ok_and(|path| path.is_ident("test"))
}

/// Returns the path of the module that a file holds.
fn module_of(file: &str) -> ModulePath {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}
