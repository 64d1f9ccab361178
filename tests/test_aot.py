"""AOTInductor: a package of every activation, run from Python and from a C++ program that has no Python."""

import subprocess
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

import act_ext
from tests.calls import CALLS, CHANNELS, Everything

PROGRAM = r"""
#include <ATen/ATen.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <cstdio>

int main(int, char** paths) {
  const c10::InferenceMode guard;
  torch::inductor::AOTIModelPackageLoader loader(paths[1]);
  const auto input = at::arange(5 * 4 * 6, at::kDouble).div(20).sub(3).view({5, 4, 6});
  for (const auto& result : loader.run({input})) std::printf("%.17g\n", result.cos().sum().item<double>());
}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("aot") / "everything.pt2"
    net = Everything(CALLS)
    shapes = ({0: torch.export.Dim("batch", min=2, max=64)},)
    program = torch.export.export(net, (torch.randn(3, CHANNELS, 6, dtype=torch.float64),), dynamic_shapes=shapes)
    return net, torch._inductor.aoti_compile_and_package(program, package_path=str(path))


def test_from_python(package):
    net, path = package
    run = torch._inductor.aoti_load_package(path)
    for batch in (2, 7):
        x = torch.randn(batch, CHANNELS, 6, dtype=torch.float64)
        for call, found, expected in zip(CALLS, run(x), net(x), strict=True):
            torch.testing.assert_close(found, expected.detach(), msg=lambda text, call=call: f"{call}: {text}")


def test_from_cpp(package, tmp_path):
    net, path = package
    (tmp_path / "main.cpp").write_text(PROGRAM)
    library = Path(act_ext.__file__).with_name("libact_ext.so")
    folders = [library.parent, *map(Path, cpp_extension.library_paths())]
    subprocess.run(
        [
            *("c++", "-std=c++20", "-O0", str(tmp_path / "main.cpp"), "-o", str(tmp_path / "main")),
            *(f"-I{folder}" for folder in cpp_extension.include_paths()),
            # The op library registers itself, though the program names nothing in it.
            *("-Wl,--no-as-needed", str(library), *(f"-L{folder}" for folder in folders), "-ltorch", "-ltorch_cpu"),
            *("-lc10", *(f"-Wl,-rpath,{folder}" for folder in folders)),
        ],
        check=True,
    )
    linked = subprocess.run(["ldd", str(tmp_path / "main")], capture_output=True, text=True, check=True).stdout
    assert "libtorch_python" not in linked
    assert "libpython" not in linked
    run = subprocess.run([str(tmp_path / "main"), path], capture_output=True, text=True, check=True)
    x = torch.arange(5 * 4 * 6, dtype=torch.float64).div(20).sub(3).view(5, 4, 6)
    for call, found, expected in zip(CALLS, run.stdout.split(), net(x), strict=True):
        assert float(found) == pytest.approx(expected.cos().sum().item(), rel=1e-12), call
