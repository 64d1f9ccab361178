// Maxout: the largest of several pieces, and which of them it was.
#pragma once

#include "../math/basic.h"

namespace act_ext {

inline constexpr Spec maxout_spec{.name = "maxout",
                                  .params = "",
                                  .formula = "x.unflatten(dim, (-1, num_pieces)).amax(dim + 1 if dim >= 0 else dim)",
                                  .paper = "arXiv:1302.4389"};

// Units are outer x inner outputs in order, whose pieces lie `inner` elements apart: the largest piece and its index; a
// gradient to the piece that an index names; that piece.
enum class MaxoutPass { largest, scatter, pick };

template <class V>
struct Largest {
  V value, piece;

  // The first of equals and the first NaN stay, as with torch.max.
  ACT_FN void consider(V x, V number) {
    const auto not_larger = x <= value;
    const auto is_number = value == value;
    piece = select(not_larger, piece, select(is_number, number, piece));
    value = select(not_larger, value, select(is_number, x, value));
  }
};

}  // namespace act_ext
