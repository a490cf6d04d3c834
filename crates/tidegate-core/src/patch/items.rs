//! By which member the items of an array are known.

use crate::fields::{DEPTH_MAX, PATHS_MAX};
use crate::path::{Parser, PathError, Tree};

/// For arrays whose items are objects with an identity: the path of the array, and the member that
/// tells its items apart. The array itself is the empty path.
///
/// Where the items of both arrays have that member, as a string or a number, and no two of one array
/// the same, [`super::json_patch`] compares each item with itself, wherever it stands now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ItemKeys {
    pub(super) tree: Tree<Box<str>>,
}

impl ItemKeys {
    /// Pairs of an array's [path](crate::path) and the name of the member; of equal paths the last counts.
    ///
    /// # Errors
    /// A text that is not one path, or more paths or names in one than `fields=` may have.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ItemKeys, PathError> {
        let mut tree = Tree::default();
        for (count, (path, member)) in pairs.into_iter().enumerate() {
            let mut parser = Parser::new(path);
            if count == PATHS_MAX {
                return Err(parser.fail(0, format!("more than {PATHS_MAX} paths")));
            }
            let names = if path.is_empty() { Vec::new() } else { parser.path(DEPTH_MAX)? };
            if !parser.rest().is_empty() {
                return Err(parser.fail(parser.at(), "one path is wanted"));
            }
            tree.grow(names).here = Some(member.into());
        }
        Ok(ItemKeys { tree })
    }
}
