//! stub
use crate::rand::Rng;
use crate::wire::Policy;
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> { pub policy: Policy<'a>, pub usable: bool }
pub(crate) fn choose<'a>(_t: u32, c: impl Iterator<Item = Candidate<'a>> + Clone, cursor: &mut u32, _r: &mut Rng) -> Option<usize> {
    let n = c.clone().count();
    for k in 0..n { let i = (*cursor as usize + k) % n; if c.clone().nth(i).is_some_and(|x| x.usable) { *cursor = (i + 1) as u32; return Some(i);} }
    None
}
