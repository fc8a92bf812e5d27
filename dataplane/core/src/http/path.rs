//! Path normalization (N01, N02), done once before anything looks at the path.

/// `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EscapedSlashes {
    /// Left as they are.
    Keep,
    /// 400. The meaning of IMPLEMENTATION_SPECIFIC_DEFAULT here.
    #[default]
    Reject,
    /// Unescaped, and the client is redirected to the result.
    UnescapeAndRedirect,
    /// Unescaped and forwarded.
    UnescapeAndForward,
}

/// What is done to a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathOptions {
    /// `normalize_path` (true).
    pub normalize: bool,
    /// `merge_slashes` (false).
    pub merge_slashes: bool,
    /// `path_with_escaped_slashes_action`.
    pub escaped_slashes: EscapedSlashes,
}
