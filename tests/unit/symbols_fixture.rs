// Calls at known places in Rust. See symbols_mark.c.
use std::ffi::c_char;
use std::hint::black_box;

extern "C" {
    fn mark(functions: *const c_char, line: i32, line1: i32, line2: i32);
}

struct Shelf {
    item: u64,
}

impl Shelf {
    #[inline(always)]
    fn put(&mut self, value: u64, line1: u32) {
        self.item = black_box(value);
        unsafe { mark(c"~Shelf|~::fill".as_ptr(), line!() as i32, line1 as i32, 0) };
        black_box(value);
    }
    #[inline(never)]
    fn keep(&mut self, value: u64) {
        self.item = black_box(value);
        unsafe { mark(c"~Shelf".as_ptr(), line!() as i32, 0, 0) };
        black_box(value);
    }
}

#[inline(never)]
fn fill(n: u64) {
    let mut shelf = Shelf { item: 0 };
    shelf.put(n, line!());
    black_box(&shelf);
}

#[inline(never)]
fn generic<T: Copy>(value: T) {
    black_box(value);
    unsafe { mark(c"~::generic".as_ptr(), line!() as i32, 0, 0) };
    black_box(value);
}

fn main() {
    let mut shelf = Shelf { item: 0 };
    fill(3);
    shelf.keep(4);
    generic(5u8);
    black_box(&shelf);
}
