// Convolutions of an image's few channels with rows of 7 taps of stride 2, the stem of ResNets, by minimal filtering along the rows.
#ifndef LQF_CPU_ROW_WINOGRAD_H
#define LQF_CPU_ROW_WINOGRAD_H

#include "stage.h"
#include "tap_conv.h"

namespace lqf::cpu {

// The tiles that suit this convolution; kRowByTaps if the sum by taps costs less. Depends neither on n nor on threads.
RowForm row_form(const Conv2d&);
RowForm row_vjp_w_form(const Conv2d&);

// Packed weights: [bias: out blocks * 16][out block][element][row of taps][channels][16 lanes of the out block].
int64_t row_winograd_floats(const Conv2d&, RowForm);
// held [rows of taps][7][channels][16], the weights of an output block, to packed weights of it.
void row_winograd_pack(const Conv2d&, RowForm, const float* held, float* packed);

// The transformed inputs of some rows of outputs: [element][row of inputs][tile, channel].
class RowStrip {
public:
    RowStrip(const Conv2d&, RowForm, int first_row, int rows);
    void fill(const Planes& in, const float* image, float* staged, float* v) const;
    int64_t staged_floats() const { return stage_.block() + kBlock; }
    int64_t floats() const { return elements_ * element; }

    const int tiles;              // of a row
    const int64_t line, element;  // floats from a row of inputs to the next, from an element to the next

private:
    RowForm form_;
    int elements_;
    Stage stage_;
};

// What tap_conv does; the bits differ.
void row_winograd_conv(Threads&, RowForm, const Conv2d&, const TapConv&);

}  // namespace lqf::cpu
#endif
