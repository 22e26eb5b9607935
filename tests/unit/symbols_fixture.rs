// Calls at known places in Rust. See symbols_mark.c. In the Rust of Debian 12, 1.63.
use std::os::raw::c_char;

extern "C" {
    fn mark(functions: *const c_char, line: i32, line1: i32, line2: i32);
}

// Keeps what it is given, and the call before it a call.
#[inline(always)]
fn black_box<T: Copy>(value: T) -> T {
    unsafe { std::ptr::read_volatile(&value) }
}

struct Shelf {
    item: u64,
}

impl Shelf {
    #[inline(always)]
    fn put(&mut self, value: u64, line1: u32) {
        self.item = black_box(value);
        unsafe { mark(b"~Shelf|~::fill\0".as_ptr() as *const c_char, line!() as i32, line1 as i32, 0) };
        black_box(value);
    }
    #[inline(never)]
    fn keep(&mut self, value: u64) {
        self.item = black_box(value);
        unsafe { mark(b"~Shelf\0".as_ptr() as *const c_char, line!() as i32, 0, 0) };
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
    unsafe { mark(b"~::generic\0".as_ptr() as *const c_char, line!() as i32, 0, 0) };
    black_box(value);
}

fn main() {
    let mut shelf = Shelf { item: 0 };
    fill(3);
    shelf.keep(4);
    generic(5u8);
    black_box(&shelf);
}
