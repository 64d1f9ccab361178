// torch's own activations, run by act_ext's kernels: for code that calls them and cannot be changed.
#pragma once

#include <string>
#include <vector>

#include "../registry.h"

namespace act_ext {

// The activations that can be overridden, under the names of their native ops.
ACT_EXT_API std::vector<std::string> overridable();

// From now on, or no longer, act_ext's kernels stand in the dispatcher before the native ones of this activation.
ACT_EXT_API void override_native(const std::string& name, bool enabled);

}  // namespace act_ext
