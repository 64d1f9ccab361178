// The loops over rows: what is reduced along a dimension, and what is made of it, for every function of rows, pass and
// dtype. They know no op.
//
// A row is summed in the order of sum.h wherever its elements lie, so that every layout gives the same bits.
#pragma once

#include "along_row.h"
#include "narrow_rows.h"
#include "short_rows.h"
#include "tiled_rows.h"

namespace act_ext::CPU_CAPABILITY {

// Rows along memory, one after the other.
template <template <class> class Op, Pass pass, class S>
void rows_along(char* const* operands, const int64_t* nexts, int64_t length, int64_t rows, double sign) {
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  constexpr int count = F::outputs + F::inputs;
  AlongRow<RowStep<Op, pass, Wide<S>>, F, S> along(length, sign);
  for (int64_t row = 0; row < rows; ++row) {
    char* data[count];
    for (int k = 0; k < count; ++k) data[k] = operands[k] + row * nexts[k];
    along.run(data);
  }
}

// Rows that are neither along memory nor side by side: each is copied, computed and copied back.
template <template <class> class Op, Pass pass, class S>
void gathered_rows(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                   double sign) {
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  constexpr int count = F::outputs + F::inputs;
  const std::unique_ptr<S[]> gathered(new S[count * length]);
  for (int64_t row = 0; row < rows; ++row) {
    char* data[count];
    const auto for_each_element = [&](int first, int last, auto move) {
      for (int k = first; k < last; ++k) {
        for (int64_t i = 0; i < length; ++i) {
          move(gathered[k * length + i], *reinterpret_cast<S*>(operands[k] + row * nexts[k] + i * steps[k]));
        }
      }
    };
    for (int k = 0; k < count; ++k) data[k] = reinterpret_cast<char*>(gathered.get() + k * length);
    for_each_element(F::outputs, count, [](S& ours, const S& theirs) { ours = theirs; });
    rows_along<Op, pass, S>(data, nexts, length, 1, sign);
    for_each_element(0, F::outputs, [](const S& ours, S& theirs) { theirs = ours; });
  }
}

template <template <class> class Op, Pass pass, class S>
void rows_kernel(char* const* operands, const int64_t* steps, const int64_t* nexts, int64_t length, int64_t rows,
                 int64_t sets, double sign) {
  using F = RowStep<Op, pass, typename Memory<S>::V>;
  using Across = AcrossRows<F, S>;
  using Narrow = NarrowSets<F, S>;
  using Turned = TurnedRows<F, S>;
  constexpr int count = F::outputs + F::inputs;
  bool along = true, side_by_side = true, dense = true;
  for (int k = 0; k < count; ++k) {
    along = along && (steps[k] == sizeof(S) || length == 1);
    side_by_side = side_by_side && nexts[k] == sizeof(S);
    dense = dense && steps[k] == rows * static_cast<int64_t>(sizeof(S));
  }
  const auto each_set = [&](auto run) {
    char *set[count], *next[count];
    std::copy_n(operands, count, next);
    for (int64_t s = 0; s < sets; ++s) {
      std::copy_n(next, count, set);
      for (int k = 0; k < count && s + 1 < sets; ++k) next[k] += nexts[count + k];
      run(set, next);
    }
  };
  if constexpr (Memory<S>::size > 1) {
    if (!along && side_by_side && rows < Memory<S>::size) {
      const bool fill_a_vector = rows * sets >= Memory<S>::size && length <= Narrow::kLongest;
      if (dense && !fill_a_vector) {
        each_set([&](char* const* set, char* const*) {
          NarrowRows<RowStep<Op, pass, Wide<S>>, F, S>(set, length, rows, sign).run();
        });
        return;
      }
      if (length <= Narrow::kLongest) return Narrow::run(operands, steps, nexts, length, rows, sets, sign);
    }
  }
  if (!along && side_by_side && rows >= Memory<S>::size) {
    const auto kept = Across::new_kept(length);
    Across across(steps, length, sign, kept.get());
    each_set([&](char* const* set, char* const* next) {
      across.fetch(next, rows);
      across.run(set, rows);
    });
    return;
  }
  if constexpr (Turned::kShort > 0) {  // there are vectors
    if (along && length <= Turned::kShort && rows >= Memory<S>::size) {
      each_set([&](char* const* set, char* const*) { Turned::run(set, nexts, length, rows, sign); });
      return;
    }
  }
  using Short = ShortRows<RowStep<Op, pass, Wide<S>>, F, S>;
  if constexpr (Short::kShort > 0) {
    // With a maximum one row alone has nothing to share.
    if (along && length <= Short::kShort && (!F::has_max || rows > 1)) {
      each_set([&](char* const* set, char* const*) { Short::run(set, nexts, length, rows, sign); });
      return;
    }
  }
  each_set([&](char* const* set, char* const*) {
    if (along) {
      rows_along<Op, pass, S>(set, nexts, length, rows, sign);
    } else {
      gathered_rows<Op, pass, S>(set, steps, nexts, length, rows, sign);
    }
  });
}

template <template <class> class Op, Pass pass>
constexpr std::array<cpu::RowsKernel, kDtypes> rows_by_dtype() {
  return {rows_kernel<Op, pass, float>, rows_kernel<Op, pass, double>, rows_kernel<Op, pass, c10::BFloat16>,
          rows_kernel<Op, pass, c10::Half>};
}

template <template <class> class... Ops>
constexpr std::array<cpu::RowsTable, sizeof...(Ops)> rows_tables(List<Ops...>) {
  return {cpu::RowsTable{rows_by_dtype<Ops, Pass::forward>(), rows_by_dtype<Ops, Pass::backward>(),
                         rows_by_dtype<Ops, Pass::double_backward>()}...};
}

}  // namespace act_ext::CPU_CAPABILITY
