//! A value on the heap while the kernel may read it: owned, but not a `Box`.
//!
//! A box claims that nobody else reaches its memory, and claims it anew whenever it is moved; the
//! record that a flight lives in moves when the table of records grows.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// A box given to the kernel.
pub(super) struct Loan<T>(NonNull<T>);

impl<T> Loan<T> {
    pub(super) fn new(value: Box<T>) -> Self {
        Self(NonNull::from(Box::leak(value)))
    }

    /// Where the value is, for as long as the loan lives. Valid for reads and writes.
    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// The box, once the kernel has let go of it.
    pub(super) fn into_box(self) -> Box<T> {
        let loan = ManuallyDrop::new(self);
        // SAFETY: the pointer came from `Box::leak` in `new`, and `loan` is never dropped, so that
        // this is the only box made of it again. The caller knows that the kernel has let go.
        unsafe { Box::from_raw(loan.0.as_ptr()) }
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        // SAFETY: as in `into_box`. Loans live in flights, which the ring leaks while the kernel
        // holds them.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_loan_comes_back_or_is_dropped_once() {
        let value = Rc::new(());
        let loan = Loan::new(Box::new(Rc::clone(&value)));
        assert_eq!(Rc::strong_count(&loan.into_box()), 2);
        drop(Loan::new(Box::new(Rc::clone(&value))));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
