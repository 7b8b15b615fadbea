// 3 x 3 convolutions by Winograd's minimal filtering: the tiles of the input and the weights are transformed, multiplied for each element of the
// tiles as a 1 x 1 convolution, and transformed back.
#ifndef LQF_CPU_WINOGRAD_H
#define LQF_CPU_WINOGRAD_H

#include "tap_conv.h"

namespace lqf::cpu {

// The tiles that suit this convolution; kByTaps if the sum by taps costs less, or that of the matrix unit. Depends neither on n nor on threads.
WinogradForm winograd_form(const Conv2d&);
WinogradForm winograd_vjp_x_form(const Conv2d&);  // kByTaps where winograd_form is
WinogradForm winograd_vjp_w_form(const Conv2d&);

constexpr int elements_of(WinogradForm form) { return kWinogradTiles[form].elements * kWinogradTiles[form].elements; }

// Where the tiles of some rows stand in an element's array. A plane's last row and column of tiles may have fewer outputs, which need fewer of the
// elements. So they stand at the ends, [last rows, other rows, these' last columns, the last rows' last columns]: the tiles of every element
// that are needed are one range.
class TileOrder {
public:
    // whole: all elements of all tiles.
    TileOrder(WinogradForm form, int h, int w, bool whole = false)
        : rows(int(ceil_div(h, kWinogradTiles[form].outputs))),
          columns(int(ceil_div(w, kWinogradTiles[form].outputs))),
          elements_(kWinogradTiles[form].elements) {
        const WinogradTile& tile = kWinogradTiles[form];
        needed_rows_ = whole ? elements_ : tile.needed[h - (rows - 1) * tile.outputs];
        needed_columns_ = whole ? elements_ : tile.needed[w - (columns - 1) * tile.outputs];
        inner_ = columns - (needed_columns_ < elements_);
    }

    // Units are rows of tiles of all images, one after the other.
    void take(int first_unit, int last_unit) {
        first_ = first_unit, units_ = last_unit - first_unit;
        short_units_ = shorts(last_unit) - shorts(first_unit);
    }
    int tiles() const { return units_ * columns; }

    int first_tile(int unit) const {
        const int before = shorts(unit) - shorts(first_);
        return inner_ * (is_short(unit) ? before : short_units_ + unit - first_ - before);
    }
    int last_tile(int unit) const {
        if (inner_ == columns) return first_tile(unit) + columns - 1;
        const int before = shorts(unit) - shorts(first_);
        return inner_ * units_ + (is_short(unit) ? units_ - short_units_ + before : unit - first_ - before);
    }
    Range tiles_of(int element) const {
        const bool long_rows = element / elements_ >= needed_rows_,
                   long_columns = element % elements_ >= needed_columns_;
        return {long_rows ? short_units_ * inner_ : 0,
                units_ * inner_ + (long_columns ? 0 : (units_ - (long_rows ? short_units_ : 0)) * (columns - inner_))};
    }

    const int rows, columns;  // tiles of an image

private:
    bool is_short(int unit) const { return needed_rows_ < elements_ && unit % rows == rows - 1; }
    int shorts(int unit) const { return needed_rows_ < elements_ ? unit / rows : 0; }  // of the units before it

    int elements_, needed_rows_, needed_columns_, inner_;  // an inner column is none that needs fewer elements
    int first_ = 0, units_ = 0, short_units_ = 0;
};

// Packed weights: [bias: out blocks * 16][element][out block][channels in][16 lanes of the out block], without the bias when transposed. Or, where
// that takes more time to be read than to be made again, the taps, backwards when transposed, as for a sum by taps.
int64_t winograd_floats(const Conv2d&);
bool winograd_keeps_taps(const Conv2d&);
bool winograd_vjp_x_keeps_taps(const Conv2d&);

// held [tap][channel][16], the weights of one input and one output block, to packed weights of in channels and out blocks. tap: floats from a
// tap to the next.
void winograd_pack(WinogradForm, const float* held, int64_t tap, int in, int in_channels, int out_block, int out_blocks,
                   float* u);

// The convolution with its zero padding and 3 x 3 taps: sources, outputs and planes of conv; Source::w is packed as above, taps: as these.
void winograd_conv(Threads&, WinogradForm, int pad, bool taps, const TapConv& conv);

}  // namespace lqf::cpu
#endif
