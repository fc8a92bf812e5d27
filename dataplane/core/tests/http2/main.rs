//! The HTTP/2 room from outside: each row of sections 5 to 7 of the safety rules under its id, any
//! split of the same bytes, and an independent implementation on the other side.

mod floods;
mod interop;
mod protocol;
mod sending;
mod splits;
mod translation;
mod wire;
