"""Builds act_ext: an op library without Python (act_ext/libact_ext.so) and the module _C that links to it.

Environment: FORCE_CUDA=1 or 0, TORCH_CUDA_ARCH_LIST, CUDA_HOME, MAX_JOBS, CXX; ACT_EXT_CPU_CAPABILITIES, the
instruction sets to build kernels for beside the one for any processor: "avx2,avx512" if it is not set, "" for none
(avx512 brings avx2, to which it leaves what memory bounds);
ACT_EXT_SANITIZE, gcc's sanitizers to build the op library with (.ci/sanitize).
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup

try:
    import torch
    from torch.utils import cpp_extension
except ImportError:
    sys.exit(
        "act_ext is compiled against the torch it will run with, and there is no torch in the build environment: "
        "install torch and run `pip install --no-build-isolation .`"
    )

ROOT = Path(__file__).parent.resolve()
# What takes longest to compile comes first, so that no processor waits long for the last one.
FAMILIES = ["literature", "softmax", "learned", "gated_units", "gated", "logarithmic", "sigmoidal", "rectifiers"]
FAMILIES += ["higher", "exponential", "periodic", "maxout", "rrelu"]
CPU_FLAGS = {"DEFAULT": []}
if platform.machine() == "x86_64":
    avx2 = ["-mavx2", "-mfma", "-mf16c"]
    known = {"avx2": avx2, "avx512": [*avx2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]}
    for name in filter(None, os.environ.get("ACT_EXT_CPU_CAPABILITIES", "avx2,avx512").split(",")):
        if name not in known:
            sys.exit(f"ACT_EXT_CPU_CAPABILITIES must name instruction sets of {', '.join(known)}, got {name!r}")
        CPU_FLAGS[name.upper()] = known[name]
    if "AVX512" in CPU_FLAGS:
        CPU_FLAGS["AVX2"] = avx2

# Products and sums are fused where the source says so and nowhere else: every instruction set gives the same bits.
MATH_FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
WARNINGS = ["-Wall", "-Wno-unknown-pragmas", "-Wno-psabi", "-Wno-ignored-attributes"]
WARNINGS += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]  # of gcc's own headers
WARNINGS += ["-Wno-sign-compare"]  # of torch's headers, once precompiled
CXX_FLAGS = ["-std=c++20", "-g0", "-fPIC", "-fvisibility=hidden", "-fopenmp", *WARNINGS]
CXX_FLAGS += ["-DAT_PER_OPERATOR_HEADERS"]  # no header of torch's includes all of its operators' headers
# g++ compiles a tenth faster if it does not look for memory to free, up to 1.1 GB a file in place of 0.9. clang has no
# such flag.
GXX_FLAGS = ["--param=ggc-min-heapsize=4000000"]
LINK_FLAGS = ["-fopenmp", "-Wl,-soname,libact_ext.so"]
SANITIZERS = os.environ.get("ACT_EXT_SANITIZE")
if SANITIZERS:
    # Kernels would take hours to compile with checks of the stack or with more optimization, and those of vectors with
    # checks of each operation.
    CXX_FLAGS += [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", "-g1", "--param=asan-stack=0"]
    MATH_FLAGS[0] = "-O1"
    CPU_FLAGS = {name: flags + ["-fno-sanitize=undefined"] * (name != "DEFAULT") for name, flags in CPU_FLAGS.items()}
    LINK_FLAGS.append(f"-fsanitize={SANITIZERS}")
TORCH_FLAGS = [*CXX_FLAGS, "-O2"]
PRECOMPILED = ROOT / "csrc" / "torch" / "precompiled.h"
NVCC_FLAGS = ["-std=c++20", "-O3", "-fmad=false", "-Xcompiler=-fvisibility=hidden"]


def wants_cuda():
    """Whether to build the CUDA kernels, and the reason in words."""
    forced = os.environ.get("FORCE_CUDA")
    if forced == "0":
        return False, "FORCE_CUDA=0"
    if torch.version.cuda is None:
        if forced:
            sys.exit(f"FORCE_CUDA is set, but torch {torch.__version__} is not a CUDA build")
        return False, f"torch {torch.__version__} is not a CUDA build"
    nvcc = cpp_extension.CUDA_HOME and Path(cpp_extension.CUDA_HOME, "bin", "nvcc")
    if not nvcc or not nvcc.exists():
        if forced:
            sys.exit(
                "FORCE_CUDA is set, but nvcc was not found: set CUDA_HOME to the folder of the CUDA "
                f"{torch.version.cuda} toolkit"
            )
        return False, "no nvcc was found (CUDA_HOME)"
    release = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    release = release.split("release ")[1].split(",")[0]
    if release.split(".")[0] != torch.version.cuda.split(".")[0]:
        message = f"nvcc is of CUDA {release}, but torch {torch.__version__} was built with CUDA {torch.version.cuda}"
        if forced:
            sys.exit(message)
        return False, message
    if "TORCH_CUDA_ARCH_LIST" not in os.environ and not torch.cuda.is_available():
        os.environ["TORCH_CUDA_ARCH_LIST"] = "8.0;9.0;10.0+PTX"
    return True, f"torch's CUDA {torch.version.cuda}, nvcc {release}"


WITH_CUDA, CUDA_REASON = wants_cuda()


def require_compiler():
    """The name of the compiler that torch's build will call. Without one, or with one too old, one sentence instead of
    its errors."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    needed = "act_ext needs a C++20 compiler, g++ 11 or clang 14 or later"
    if shutil.which(command[0]) is None:
        sys.exit(f"{needed}, and there is no {command[0]}: install one or set CXX")
    asked = subprocess.run([*command, "-E", "-dM", "-x", "c++", os.devnull], capture_output=True, text=True)
    # clang calls itself an old g++ too.
    for name, macro, least in [("clang", "__clang_major__", 14), ("g++", "__GNUC__", 11)]:
        found = re.search(rf"^#define {macro} (\d+)$", asked.stdout, re.MULTILINE)
        if found is None:
            continue
        if int(found[1]) < least:
            sys.exit(f"{needed}, but {shlex.join(command)} is {name} {found[1]}: install one or set CXX")
        return name
    return None


def sources(*folders, suffixes=(".cpp",)):
    return [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in sorted((ROOT / "csrc" / folder).iterdir())
        if path.suffix in suffixes
    ]


# One folder for each torch and Python that is built for.
BUILD = ROOT / "build" / f"{sys.implementation.cache_tag}-torch{torch.__version__}"
HEADERS = [str(path) for pattern in ("*.h", "*.cuh") for path in sorted((ROOT / "csrc").rglob(pattern))]
FAMILY_SOURCES = [f"csrc/cpu/{family}.cpp" for family in FAMILIES]


class BuildExt(cpp_extension.BuildExtension):
    """Compiles the families once for each instruction set, and names the op library as a C++ program would."""

    def finalize_options(self):
        super().finalize_options()
        # A second build, editable or not, compiles only what has changed.
        self.build_temp = str(BUILD / "temp")

    def build_extensions(self):
        gxx = require_compiler() == "g++"
        self.compiler_flags = GXX_FLAGS if gxx else []
        for ext in self.extensions:
            ext.extra_compile_args["cxx"] += self.compiler_flags
        self.precompiled_flags = self.start_to_precompile() if gxx else list
        super().build_extensions()
        sets = ", ".join(name.lower() for name in CPU_FLAGS)
        cuda = f"yes ({CUDA_REASON})" if WITH_CUDA else f"no ({CUDA_REASON})"
        print(f"act_ext: built for torch {torch.__version__}; CPU kernels: {sets}; CUDA kernels: {cuda}")

    def start_to_precompile(self):
        """Has g++ compile PRECOMPILED while the kernels are compiled. Returns a function that waits for it and returns
        the flags for its use, none if it failed."""
        header = Path(self.build_temp).resolve() / PRECOMPILED.name
        compiled = header.with_name(header.name + ".gch")
        part = header.with_name(header.name + ".part")
        flags = ["-include", str(header)]
        newest = max(path.stat().st_mtime for path in (PRECOMPILED, Path(__file__)))
        if compiled.exists() and compiled.stat().st_mtime > newest:
            return lambda: flags
        header.parent.mkdir(parents=True, exist_ok=True)
        # What g++ reads instead, should it not accept the compiled one: of another g++, say.
        shutil.copy(PRECOMPILED, header)
        folders = [*self.extensions[0].include_dirs, *self.compiler.include_dirs]
        command = [*shlex.split(os.environ.get("CXX", "c++")), *self.compiler.compiler_so[1:]]
        command += [*(f"-I{folder}" for folder in folders), *TORCH_FLAGS, *self.compiler_flags]
        process = subprocess.Popen([*command, "-x", "c++-header", str(header), "-o", str(part)])

        def finish():
            if process.wait() != 0:
                return []
            part.rename(compiled)
            return flags

        return finish

    def build_extension(self, ext):
        if ext.name == "act_ext.libact_ext":
            for name, flags in CPU_FLAGS.items():
                ext.extra_objects += self.compiler.compile(
                    FAMILY_SOURCES,
                    output_dir=os.path.join(self.build_temp, name),
                    include_dirs=ext.include_dirs,
                    extra_postargs={
                        "cxx": [
                            *(*CXX_FLAGS, *self.compiler_flags, *MATH_FLAGS, *flags),
                            *(f"-DCPU_CAPABILITY={name}", f"-DCPU_CAPABILITY_{name}"),
                        ],
                        "nvcc": [],
                    },
                    depends=ext.depends,
                )
            flags = self.precompiled_flags()
            for each in self.extensions:
                each.extra_compile_args["cxx"] += flags
        else:
            ext.library_dirs.insert(0, os.path.join(self.build_lib, "act_ext"))
        super().build_extension(ext)

    def run(self):
        # Read before the library is loaded: a mismatch is an ImportError in words, not a missing symbol. Gone while
        # the library is not there, so that it never vouches for one that a failed build has left behind.
        target = Path(self.build_lib) / "act_ext" / "_build_info.py"
        in_place = ROOT / "act_ext" / "_build_info.py"
        target.unlink(missing_ok=True)
        if self.inplace:
            in_place.unlink(missing_ok=True)
        super().run()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            '"""Written by setup.py: what this build of act_ext was compiled against."""\n\n'
            f'TORCH = "{torch.__version__}"\nCUDA = {torch.version.cuda!r}\n'
            f"CXX11_ABI = {torch.compiled_with_cxx11_abi()}\nWITH_CUDA = {WITH_CUDA}\n"
        )
        if self.inplace:
            shutil.copy(target, in_place)

    def get_ext_filename(self, fullname):
        if fullname.rpartition(".")[2] == "libact_ext":
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)


def op_library():
    extension = cpp_extension.CUDAExtension if WITH_CUDA else cpp_extension.CppExtension
    cuda_sources = sources("cuda", suffixes=(".cpp", ".cu")) if WITH_CUDA else []
    portable = [path for path in sources("cpu") if path not in FAMILY_SOURCES]
    define = [f"-DACT_EXT_WITH_{what}" for what in CPU_FLAGS] + ["-DACT_EXT_WITH_CUDA"] * WITH_CUDA
    library = extension(
        "act_ext.libact_ext",
        ["csrc/registry.cpp", *portable, *sources("torch"), *cuda_sources],
        extra_compile_args={"cxx": [*TORCH_FLAGS, *define], "nvcc": NVCC_FLAGS},
        extra_link_args=LINK_FLAGS,
        depends=HEADERS,
    )
    # It loads into C++ programs that have no Python.
    library.libraries.remove("torch_python")
    return library


def python_module():
    return cpp_extension.CppExtension(
        "act_ext._C",
        sources("python"),
        extra_compile_args={"cxx": [*TORCH_FLAGS]},
        libraries=["act_ext"],
        runtime_library_dirs=["$ORIGIN"],
        depends=HEADERS,
    )


setup(
    ext_modules=[op_library(), python_module()],
    cmdclass={"build_ext": BuildExt},
    options={"build": {"build_base": str(BUILD)}},
)
