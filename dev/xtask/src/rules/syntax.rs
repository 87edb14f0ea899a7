//! What a file declares and which paths it uses, without its test code.

use std::collections::HashSet;

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A module: a file or a `mod name { … }` in one.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    /// Modules declared with `mod name;`.
    pub(super) files: Vec<String>,
    /// Modules written in place.
    pub(super) inline: Vec<(String, Syntax)>,
    /// Names of functions, types, constants and macros.
    pub(super) items: HashSet<String>,
    pub(super) uses: Vec<Use>,
    /// Paths in the code, with their lines.
    pub(super) paths: Vec<(Vec<String>, usize)>,
}

/// A name that a `use` declaration brings into scope.
#[derive(Debug)]
pub(super) struct Use {
    /// `None` for `*`.
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
    pub(super) is_public: bool,
    pub(super) line: usize,
}

pub(super) fn parse(path: &str, text: &str) -> Result<Syntax> {
    let file = syn::parse_file(text).with_context(|| format!("parsing {path}"))?;
    Ok(of_items(&file.items))
}

fn of_items(items: &[Item]) -> Syntax {
    let mut syntax = Syntax::default();
    items.iter().for_each(|item| syntax.visit_item(item));
    syntax
}

impl<'ast> Visit<'ast> for Syntax {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(module) => match &module.content {
                Some((_, items)) => self.inline.push((module.ident.to_string(), of_items(items))),
                None => self.files.push(module.ident.to_string()),
            },
            Item::Use(item) => {
                let is_public = !matches!(item.vis, syn::Visibility::Inherited);
                let found = flatten(&item.tree, &mut Vec::new());
                self.uses.extend(found.into_iter().map(|(name, path, line)| Use {
                    name,
                    path,
                    is_public,
                    line,
                }));
            }
            item => {
                self.items.extend(name(item));
                visit::visit_item(self, item);
            }
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let is_test_function = matches!(item, syn::ImplItem::Fn(function) if is_test(&function.attrs));
        if !is_test_function {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.paths.push((segments, path.span().start().line));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        paths_in(call.tokens.clone(), &mut self.paths);
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether the code is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The names of a `use` declaration, their paths and lines.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>) -> Vec<(Option<String>, Vec<String>, usize)> {
    let line = tree.span().start().line;
    let with = |prefix: &[String], name: &str| {
        // `use a::b::{self}` names `a::b`.
        let last = if name == "self" { Vec::new() } else { vec![name.to_owned()] };
        [prefix, &last].concat()
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            let found = flatten(&path.tree, prefix);
            prefix.pop();
            found
        }
        UseTree::Name(name) => {
            let path = with(prefix, &name.ident.to_string());
            vec![(path.last().cloned(), path, line)]
        }
        UseTree::Rename(rename) => {
            vec![(Some(rename.rename.to_string()), with(prefix, &rename.ident.to_string()), line)]
        }
        UseTree::Glob(_) => vec![(None, prefix.clone(), line)],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| flatten(tree, prefix)).collect(),
    }
}

/// The paths among the tokens of a macro call, which are not parsed.
fn paths_in(tokens: TokenStream, paths: &mut Vec<(Vec<String>, usize)>) {
    let (mut segments, mut line, mut colons) = (Vec::new(), 0, 0);
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    paths.extend((segments.len() > 1).then(|| (std::mem::take(&mut segments), line)));
                    segments.clear();
                    line = ident.span().start().line;
                }
                segments.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            other => {
                paths.extend((segments.len() > 1).then(|| (std::mem::take(&mut segments), line)));
                segments.clear();
                colons = 0;
                if let TokenTree::Group(group) = other {
                    paths_in(group.stream(), paths);
                }
            }
        }
    }
    paths.extend((segments.len() > 1).then_some((segments, line)));
}
