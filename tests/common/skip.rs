//! What this machine cannot test: `make test` lists it after the tests.

use std::io::Write;
use std::path::Path;

/// The list that `make test` shows and begins anew.
const LIST: &str = "skipped.txt";

/// Says why the test on this thread tests nothing, or less than it could.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("{} {}: {why}\n", env!("CARGO_CRATE_NAME"), thread.name().unwrap_or_default());
    print!("not tested: {line}");
    // An emulator runs the tests without the folder that they were built in.
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join(LIST);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The same for want of an instruction set; fails where `REQUIRE_ISA` names it, as in `REQUIRE_ISA=amx,avx512`.
pub fn skip_isa(isa: &str) {
    let required = std::env::var("REQUIRE_ISA").unwrap_or_default();
    assert!(required.split(',').all(|name| name.trim() != isa), "REQUIRE_ISA={required}, but there is no {isa} here");
    skip(&format!("this processor has no {isa}"));
}
