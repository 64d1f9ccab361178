// The whole List, family by family. A family is one header here, one translation unit per instruction set in cpu/
// and one in cuda/.
#pragma once

#include "exponential.h"
#include "gated.h"
#include "gated_units.h"
#include "learned.h"
#include "literature.h"
#include "logarithmic.h"
#include "maxout.h"
#include "periodic.h"
#include "rectifiers.h"
#include "rrelu.h"
#include "sigmoidal.h"
#include "softmax.h"

// The elementwise families. X(the family's List, its name in file and table names)
#define ACT_EXT_FAMILIES(X)   \
  X(Rectifiers, rectifiers)   \
  X(Exponential, exponential) \
  X(Sigmoidal, sigmoidal)     \
  X(Gated, gated)             \
  X(Literature, literature)   \
  X(Logarithmic, logarithmic) \
  X(Periodic, periodic)       \
  X(GatedUnits, gated_units)  \
  X(LearnedActivations, learned)
