"""An import and a small run under emulated older processors, whose illegal instructions end the program."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")

# Only the op library, without Python's torch package, which takes the emulator minutes to import.
PROGRAM = r"""
#include <dlfcn.h>
#include <cstdio>
#include <vector>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

int main(int argc, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
  using Capability = const char* (*)();
  const auto capability = reinterpret_cast<Capability>(dlsym(library, "_ZN7act_ext3cpu10capabilityEv"));
  std::printf("%s\n", capability());
  const char* const names[] = {"mish",          "gelu",       "tanh",   "relu",
                               "elu_backward",  "squareplus", "swiglu", "swiglu_backward",
                               "softmax",       "softmax_backward",
                               "log_softmax",   "mish_backward"};
  for (const char* name : names) {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
      const auto x = at::empty({67}, dtype);
      std::memset(x.mutable_data_ptr(), 0, x.nbytes());
      auto handle = c10::Dispatcher::singleton().findSchemaOrThrow((std::string("act_ext::") + name).c_str(), "");
      std::vector<c10::IValue> stack;
      for (const auto& argument : handle.schema().arguments()) {
        if (argument.type()->kind() == c10::TypeKind::TensorType) stack.emplace_back(x);
        else stack.push_back(argument.default_value().value_or(int64_t{0}));  // a function of rows has a dimension
      }
      handle.callBoxed(&stack);
      std::printf("%s %s\n", name, c10::toString(dtype));
    }
  }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    from torch.utils import cpp_extension

    folder = tmp_path_factory.mktemp("program")
    (folder / "main.cpp").write_text(PROGRAM)
    library_folder = cpp_extension.library_paths()[0]
    command = ["c++", "-std=c++20", "-g0", "-O0", "main.cpp", "-o", "main", "-ldl"]
    command += [f"-I{path}" for path in cpp_extension.include_paths()]
    command += [f"-L{library_folder}", f"-Wl,-rpath,{library_folder}", "-Wl,--no-as-needed", "-ltorch_cpu", "-lc10"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "main"


def library():
    import act_ext

    return Path(act_ext.__file__).with_name("libact_ext.so")


def test_the_op_library_runs_without_python(program):
    result = subprocess.run([program, library()], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "mish_backward BFloat16" in result.stdout


@pytest.mark.skipif(EMULATOR is None, reason="needs qemu-user (Debian's package qemu-user)")
@pytest.mark.skipif(sys.platform != "linux", reason="emulates Linux programs")
@pytest.mark.parametrize(("processor", "expected"), [("Haswell", "avx2"), ("Nehalem", "default")])
def test_older_processor(program, processor, expected):
    result = subprocess.run([EMULATOR, "-cpu", processor, program, library()], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[0] == expected
    assert "mish_backward BFloat16" in result.stdout
