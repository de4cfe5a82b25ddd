//! The binary: hands its arguments to the command line.

/// A statement costs dozens of small allocations that come and go together: this allocator takes a tenth off its price.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pgward::cli::main()
}
