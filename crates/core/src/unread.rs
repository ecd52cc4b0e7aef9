//! Catches the drop of an [`Input`](crate::Input) that has bytes left, in debug builds.
//!
//! This is a field of the input, not `Drop for Input`: so the bytes stay borrowed until the last use of the input, not
//! until the end of its scope, in debug builds as in others.

#[cfg(all(debug_assertions, feature = "std"))]
#[derive(Debug)]
pub(crate) struct Unread(usize);

#[cfg(all(debug_assertions, feature = "std"))]
impl Unread {
    pub(crate) const fn new(count: usize) -> Self {
        Self(count)
    }

    pub(crate) const fn take(&mut self, count: usize) {
        self.0 = self.0.saturating_sub(count);
    }
}

#[cfg(all(debug_assertions, feature = "std"))]
impl Drop for Unread {
    fn drop(&mut self) {
        assert!(
            self.0 == 0 || std::thread::panicking(),
            "an `Input` was dropped with {} bytes left: call `receive` until it returns `Ok(None)`, or `discard` it",
            self.0
        );
    }
}

#[cfg(not(all(debug_assertions, feature = "std")))]
#[derive(Debug)]
pub(crate) struct Unread;

#[cfg(not(all(debug_assertions, feature = "std")))]
impl Unread {
    #[inline(always)]
    pub(crate) const fn new(_: usize) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn take(&mut self, _: usize) {}
}
