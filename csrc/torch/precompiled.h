// What most files of torch's side include, which takes the compiler longer to read than any of them: setup.py has g++
// read it once. Each of them still includes what it needs, for other compilers.
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/library.h>
