//! With the feature `cuda`: compiles src/rcnn/backend/cuda/kernels to PTX, and to their twins for the CPU.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    cuda::compile();
}

#[cfg(feature = "cuda")]
mod cuda {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    const KERNELS: &str = "src/rcnn/backend/cuda/kernels";

    pub fn compile() {
        println!("cargo::rerun-if-changed={KERNELS}");
        println!("cargo::rerun-if-env-changed=CUDA_HOME");
        let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
        let home = home();
        // The driver compiles the newest of them that its GPU takes, or has it in its cache.
        for architecture in ["80", "90"] {
            ptx(&home, architecture, &out.join(format!("sm_{architecture}.ptx")));
        }
        // Rounds as the PTX does.
        let mut twin = cc::Build::new();
        if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "x86_64") {
            // f16 by the processor; twins are for tests, and those run on processors that have it.
            twin.flag("-mf16c");
        }
        twin.cpp(true)
            .cpp_link_stdlib(None)
            .std("c++17")
            .opt_level(3)
            .flag("-ffp-contract=off")
            .file(format!("{KERNELS}/twin.cpp"))
            .compile("docreader_twin");
    }

    /// The CUDA toolkit: CUDA_HOME, or what scripts/install-cuda.sh installed.
    fn home() -> PathBuf {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/cuda");
        let home = std::env::var_os("CUDA_HOME").map_or_else(own, PathBuf::from);
        assert!(
            home.join("bin/nvcc").exists(),
            "no CUDA compiler in {}; run scripts/install-cuda.sh, or set CUDA_HOME",
            home.display()
        );
        home
    }

    fn ptx(home: &Path, architecture: &str, file: &Path) {
        // No fused multiplications: a kernel rounds as its twin does, and none is bound by arithmetic.
        let status = Command::new(home.join("bin/nvcc"))
            .args(["-ptx", "-O3", "-std=c++17", "--fmad=false"])
            .arg(format!("-arch=compute_{architecture}"))
            .arg("-o")
            .arg(file)
            .arg(format!("{KERNELS}/kernels.cu"))
            .status()
            .expect("nvcc starts");
        assert!(status.success(), "nvcc failed on {KERNELS}");
    }
}
