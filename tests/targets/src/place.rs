//! The place of the checks: the desktop, QEMU as a Linux program of aarch64, or a host of WebAssembly.
//!
//! The last two have no standard library: this file gives them output, an exit and a heap that only grows.

#[cfg(any(target_os = "none", target_family = "wasm"))]
pub(crate) use bare::*;
#[cfg(not(any(target_os = "none", target_family = "wasm")))]
pub(crate) use desktop::*;

/// The program that runs the function `$run`, and fails where it returns `None`.
macro_rules! program {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn _start() -> ! {
            $crate::place::exit(i32::from($run().is_none()))
        }

        #[cfg(target_family = "wasm")]
        #[unsafe(no_mangle)]
        extern "C" fn run() -> i32 {
            i32::from($run().is_none())
        }

        #[cfg(not(any(target_os = "none", target_family = "wasm")))]
        fn main() {
            std::process::exit(i32::from($run().is_none()))
        }
    };
}
pub(crate) use program;

#[cfg(not(any(target_os = "none", target_family = "wasm")))]
mod desktop {
    /// Shows `text`.
    pub(crate) fn print(text: &str) {
        print!("{text}");
    }
}

#[cfg(any(target_os = "none", target_family = "wasm"))]
mod bare {
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use core::sync::atomic::{AtomicUsize, Ordering};

    /// Linux's numbers of the system calls on aarch64.
    #[cfg(target_os = "none")]
    const WRITE: usize = 64;
    #[cfg(target_os = "none")]
    const EXIT: usize = 93;
    #[cfg(target_os = "none")]
    const STANDARD_OUTPUT: usize = 1;

    #[cfg(target_os = "none")]
    fn system_call(number: usize, arguments: [usize; 3]) -> usize {
        let [first, second, third] = arguments;
        let result;
        // SAFETY: both calls in this file only read the memory that they are given, which is borrowed until they return.
        unsafe {
            core::arch::asm!(
                "svc #0",
                in("x8") number,
                inlateout("x0") first => result,
                in("x1") second,
                in("x2") third,
                options(nostack)
            );
        }
        result
    }

    /// Shows `text`.
    #[cfg(target_os = "none")]
    pub(crate) fn print(text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = system_call(WRITE, [STANDARD_OUTPUT, rest.as_ptr().addr(), rest.len()]);
            // An error is a number beyond every length.
            rest = rest.get(written..).unwrap_or(&[]);
        }
    }

    /// Ends the program; 0 is success.
    #[cfg(target_os = "none")]
    pub(crate) fn exit(code: i32) -> ! {
        loop {
            system_call(EXIT, [code as usize, 0, 0]);
        }
    }

    #[cfg(target_family = "wasm")]
    #[link(wasm_import_module = "place")]
    unsafe extern "C" {
        /// Shows `length` bytes from `text` on.
        fn write(text: *const u8, length: usize);
    }

    /// Shows `text`.
    #[cfg(target_family = "wasm")]
    pub(crate) fn print(text: &str) {
        // SAFETY: the host reads so many bytes and keeps no pointer.
        unsafe { write(text.as_ptr(), text.len()) }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        print("panic\n");
        #[cfg(target_os = "none")]
        exit(1);
        #[cfg(target_family = "wasm")]
        core::arch::wasm32::unreachable()
    }

    /// Enough for all that a run allocates.
    const HEAP_BYTES: usize = 256 << 20;

    /// Memory that is given out from front to back; only the last block can be given back.
    struct Heap {
        bytes: UnsafeCell<[u8; HEAP_BYTES]>,
        used: AtomicUsize,
    }

    // SAFETY: the program has one thread.
    unsafe impl Sync for Heap {}

    #[global_allocator]
    static HEAP: Heap = Heap { bytes: UnsafeCell::new([0; HEAP_BYTES]), used: AtomicUsize::new(0) };

    // SAFETY: blocks lie one after the other within `bytes`, aligned, and none is given out twice before it is given back.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let start = self.bytes.get().cast::<u8>();
            let free = start.addr() + self.used.load(Ordering::Relaxed);
            let block = free.next_multiple_of(layout.align()) - start.addr();
            if block + layout.size() > HEAP_BYTES {
                return core::ptr::null_mut();
            }
            self.used.store(block + layout.size(), Ordering::Relaxed);
            start.wrapping_add(block)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let block = block.addr() - self.bytes.get().addr();
            if block + layout.size() == self.used.load(Ordering::Relaxed) {
                self.used.store(block, Ordering::Relaxed);
            }
        }
    }
}
