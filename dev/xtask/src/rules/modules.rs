//! The modules of a package, and what a path leads to.

use std::collections::HashMap;

use anyhow::Result;

use super::{
    source::Source,
    syntax::{self, Syntax},
};

/// Re-exports of re-exports are followed this often.
const MOST_STEPS: usize = 16;

pub(super) struct Module {
    pub(super) syntax: Syntax,
    /// The file that it is in.
    pub(super) file: String,
    parent: Option<usize>,
    children: HashMap<String, usize>,
}

/// The modules of one package that are compiled without its tests.
pub(super) struct Modules<'a> {
    /// Name of the package.
    package: &'a str,
    sources: HashMap<&'a str, &'a Source>,
    pub(super) all: Vec<Module>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Module(usize),
    /// An item that is defined in this module.
    Item(usize),
}

impl Target {
    pub(super) fn module(self) -> usize {
        match self {
            Self::Module(module) | Self::Item(module) => module,
        }
    }
}

impl<'a> Modules<'a> {
    /// Of the package in this folder.
    pub(super) fn of(folder: &'a str, sources: &'a [Source]) -> Result<Self> {
        let sources = sources.iter().map(|source| (source.path.as_str(), source)).collect();
        let package = folder.rsplit('/').next().unwrap_or(folder);
        let mut modules = Self { package, sources, all: Vec::new() };
        // The library first, since its name is what `package::` leads to.
        for root in ["lib.rs", "main.rs"] {
            modules.add_file(&format!("{folder}/src/{root}"), &format!("{folder}/src"), None)?;
        }
        Ok(modules)
    }

    /// `folder` is where the files of its child modules are.
    fn add_file(&mut self, file: &str, folder: &str, parent: Option<usize>) -> Result<Option<usize>> {
        let Some(source) = self.sources.get(file) else { return Ok(None) };
        let syntax = syntax::parse(file, &source.text)?;
        self.add(syntax, file, folder, parent).map(Some)
    }

    fn add(&mut self, mut syntax: Syntax, file: &str, folder: &str, parent: Option<usize>) -> Result<usize> {
        let (files, inline) = (std::mem::take(&mut syntax.files), std::mem::take(&mut syntax.inline));
        let module = self.all.len();
        self.all.push(Module { syntax, file: file.to_owned(), parent, children: HashMap::new() });
        for name in files {
            let folder = format!("{folder}/{name}");
            for file in [format!("{folder}.rs"), format!("{folder}/mod.rs")] {
                if let Some(child) = self.add_file(&file, &folder, Some(module))? {
                    self.all[module].children.insert(name.clone(), child);
                }
            }
        }
        for (name, syntax) in inline {
            let child = self.add(syntax, file, &format!("{folder}/{name}"), Some(module))?;
            self.all[module].children.insert(name, child);
        }
        Ok(module)
    }

    /// Whether `module` is `ancestor`, or declared below it.
    pub(super) fn is_within(&self, module: usize, ancestor: usize) -> bool {
        module == ancestor || self.all[module].parent.is_some_and(|parent| self.is_within(parent, ancestor))
    }

    /// What a path in `module` leads to; `None` if that is not in this package.
    pub(super) fn resolve(&self, module: usize, path: &[String]) -> Option<Target> {
        self.resolve_within(module, path, MOST_STEPS)
    }

    fn resolve_within(&self, module: usize, path: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(self.root(module), rest, steps),
            "self" => self.descend(module, rest, steps),
            "super" => {
                let parent = self.all[module].parent?;
                match rest.first() {
                    Some(next) if next == "super" => self.resolve_within(parent, rest, steps),
                    _ => self.descend(parent, rest, steps),
                }
            }
            name if name == self.package && !self.all[module].children.contains_key(name) => {
                self.descend(0, rest, steps)
            }
            _ => self.descend(module, path, steps),
        }
    }

    fn root(&self, module: usize) -> usize {
        self.all[module].parent.map_or(module, |parent| self.root(parent))
    }

    /// Follows a path down from a module.
    fn descend(&self, module: usize, path: &[String], steps: usize) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        let here = &self.all[module];
        if let Some(child) = here.children.get(name) {
            return self.descend(*child, rest, steps);
        }
        if here.syntax.items.contains(name) {
            return Some(Target::Item(module));
        }
        let steps = steps.checked_sub(1)?;
        if let Some(alias) = here.syntax.uses.iter().find(|alias| alias.name.as_ref() == Some(name)) {
            return match self.resolve_within(module, &alias.path, steps)? {
                Target::Module(target) => self.descend(target, rest, steps),
                item => Some(item),
            };
        }
        let globs = here.syntax.uses.iter().filter(|alias| alias.name.is_none());
        globs.into_iter().find_map(|glob| match self.resolve_within(module, &glob.path, steps)? {
            Target::Module(target) if target != module => self.descend(target, path, steps),
            _ => None,
        })
    }
}
