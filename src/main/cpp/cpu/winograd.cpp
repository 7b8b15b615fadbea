#include "winograd.h"

#include <algorithm>
#include <utility>

#include "digit_conv.h"
#include "threads.h"

namespace lqf::cpu {
namespace {

constexpr int64_t kTaskFloats = 256 * 1024;  // transformed tiles of a task: a share of the second-level cache
// Floats; more of them are fetched anew by every task, which takes all tiles it can. Threads share out the tiles if these are enough, otherwise
// the output blocks, and every one of them transforms all tiles.
constexpr int64_t kCachedWeights = 384 * 1024;
constexpr int kLeastTiles = 48;  // of a task: that many uses of a weight that was fetched
constexpr int kLeastStreamedTiles = 128;
constexpr int kLeastSharedStreamedTiles = 64;
constexpr int kTasksPerThread = 2;               // but one of weights that every task fetches
constexpr int64_t kStayingWeights = 192 * 1024;  // floats, in the second-level cache: more of them are fetched ahead

// On the matrix unit products take half the time, and splitting a first element and a first panel of the weights some: with fewer channels, or
// channels times tiles of an image, it costs more.
constexpr int kDigitChannels = 64, kDigitImage = 2048;
constexpr int kLeastDigitTiles = 256;         // of a task: as many share what it takes to fetch and split a weight
constexpr int kLeastNearTiles = 112;          // the same of weights near at hand: then the tiles should be, too
constexpr int64_t kNearWeights = 128 * 1024;  // floats
constexpr int kLeastSharedTiles = 96;         // of a task, so that each thread has one
constexpr int kPanelSteps = kMostDigitSteps;
constexpr int64_t kPanel = 2 * kPanelSteps * kDigitsStep;  // the weights' digits of two output blocks
constexpr int kStreamedGroups = 2;  // of so few tiles the weights' digits are not kept, but made where they are used
static_assert(2 * kPanel >= kDigitRing);
const DigitLines kNothing = {nullptr, nullptr, 0, 0, nullptr, 0, 0};
constexpr int64_t kFarWeights = 512 * 1024;  // floats; more of them are fetched a panel ahead

constexpr int kTaps = 9;
// Of a batch. For so few tiles F(4, 3)'s weights, four floats for one, take longer to arrive than to be made of the taps; other forms' do not.
constexpr int kMostTilesOfTaps = 16;
constexpr int64_t kPartFloats = 72 * 1024;  // transformed weights that all tiles use before the next ones are made

bool has_digit_tiles(WinogradForm form, const Planes& in, const Planes& out) {
    const int outputs = kWinogradTiles[form].outputs;
    const int64_t channels = in.channels, tiles = ceil_div(out.h, outputs) * ceil_div(out.w, outputs);
    return kernels().multiply_digits && (form == kF2 || form == kF4) && channels % (2 * kBlock) == 0 &&
           out.channels % (2 * kBlock) == 0 && channels >= kDigitChannels && channels * tiles >= kDigitImage;
}

int64_t transformed_floats(WinogradForm form, const Planes& in, const Planes& out) {
    return int64_t(elements_of(form)) * in.channels * out.blocks() * kBlock;
}

// How the work is cut: rows of tiles, by output blocks. None of it shows in the bits.
struct Cut {
    int units, tasks;  // rows of tiles of all images, and tasks over them
    int blocks, block_tasks;
    int first_unit(int64_t task) const { return int(units * task / tasks); }
};

Cut cut_for(const TapConv& conv, WinogradForm form, const TileOrder& order, int inputs, int threads) {
    Cut cut;
    cut.units = conv.out.n * order.rows;
    const int64_t tile =
        int64_t(elements_of(form)) * kBlock * (conv.in.blocks() * inputs + conv.out.blocks() * conv.outputs);
    const int64_t weights = transformed_floats(form, conv.in, conv.out) * conv.sources;
    const bool streams = weights > kCachedWeights;
    const bool digits = has_digit_tiles(form, conv.in, conv.out);
    const int least = digits ? (weights > kNearWeights ? kLeastDigitTiles : kLeastNearTiles)
                             : (streams ? kLeastStreamedTiles : kLeastTiles);
    const int64_t tiles = std::max<int64_t>(least, kTaskFloats / tile);
    const int shared = int(ceil_div(cut.units, threads));
    const int least_shared = digits ? kLeastSharedTiles : streams ? kLeastSharedStreamedTiles : 0;
    const bool shares = shared * order.columns >= least_shared;
    const int most =
        int(std::clamp<int64_t>(tiles / order.columns, 1, shares ? shared : cut.units));  // units of a task
    cut.tasks = int(ceil_div(cut.units, most));
    if ((digits || streams) && cut.tasks > threads)
        cut.tasks = std::min(cut.units, int(ceil_div(cut.tasks, threads)) * threads);
    const int step = kernels().tile_blocks;
    const int groups = int(ceil_div(conv.out.blocks(), step));
    const int of_thread = digits || streams ? 1 : kTasksPerThread;
    const int wanted = threads == 1 ? 1 : int(ceil_div(int64_t(threads) * of_thread, cut.tasks));
    cut.blocks = int(ceil_div(groups, std::min(wanted, groups))) * step;
    cut.block_tasks = int(ceil_div(conv.out.blocks(), cut.blocks));
    return cut;
}

class Task {
public:
    // after: the task that this thread is likely to take next.
    Task(const TapConv& conv, WinogradForm form, int pad, bool taps, const TileOrder& order, const Cut& cut,
         int64_t index, int64_t after)
        : k_(kernels()),
          conv_(conv),
          form_(form),
          elements_(elements_of(form)),
          pad_(pad),
          digits_(has_digit_tiles(form, conv.in, conv.out)),
          taps_(taps),
          order_(order),
          x_(conv, &Source::x),
          w_(conv, &Source::w) {
        first_unit_ = cut.first_unit(index / cut.block_tasks);
        last_unit_ = cut.first_unit(index / cut.block_tasks + 1);
        first_block_ = int(index % cut.block_tasks) * cut.blocks;
        last_block_ = std::min(conv.out.blocks(), first_block_ + cut.blocks);
        next_unit_ =
            after < int64_t(cut.tasks) * cut.block_tasks ? cut.first_unit(after / cut.block_tasks) : first_unit_;
        weights_stay_ = w_.count * transformed_floats(form, conv.in, conv.out) <= kStayingWeights;
        order_.take(first_unit_, last_unit_);
        groups_ = int(ceil_div(order_.tiles(), kBlock));
        streams_ = digits_ && groups_ <= kStreamedGroups && steps() <= kPanelSteps;
        const int lines = digits_ ? groups_ * kBlock : order_.tiles();
        block_floats_ = int64_t(lines | 1) * kBlock;  // odd, so that blocks do not fall on the same cache lines
        v_element_ = block_floats_ * conv.in.blocks() + kBlock;
        q_element_ = block_floats_ * (last_block_ - first_block_) + kBlock;
    }

    void run(Threads& threads, int thread) {
        v_floats_ = v_element_ * elements_;
        q_floats_ = q_element_ * elements_;
        left_ = digits_ ? groups_ * steps() * kDigitsStep : 0;
        const int left_elements = streams_ ? elements_ : 2;
        const int64_t weights = taps_ ? elements_ * u_element() : 2 * kPanel;
        v_ = threads.scratch(
            thread, size_t(x_.count * (v_floats_ + left_elements * left_) + conv_.outputs * q_floats_ + weights));
        q_ = v_ + x_.count * v_floats_;
        for (int i = 0; i < x_.count; ++i) transform_input(x_.of[i], v_ + i * v_floats_);
        if (streams_) {
            stream_digits();
        } else if (digits_) {
            multiply_digits();
        } else if (taps_) {
            multiply_taps();
        } else {
            for (int e = 0; e < elements_; ++e)
                for (int s = 0; s < conv_.sources; ++s) multiply(e, s);
        }
        for (int o = 0; o < conv_.outputs; ++o) transform_output(conv_.output[o], q_ + o * q_floats_);
    }

private:
    void transform_input(const float* x, float* v) const {
        for (int b = 0; b < conv_.in.blocks(); ++b) {
            float* block = v + b * block_floats_;
            for (int unit = first_unit_; unit < last_unit_; ++unit) {
                const int image = unit / order_.rows, row = unit % order_.rows;
                k_.winograd_input[form_]({x + image * conv_.in.image + b * conv_.in.block, conv_.in.h, conv_.in.w,
                                          row * kWinogradTiles[form_].step - pad_, -pad_, order_.columns,
                                          block + first_tile(unit), block + last_tile(unit), v_element_, kBlock});
            }
        }
    }

    const float* weights(const float* w, int e, int block) const {
        return w + (int64_t(e) * conv_.out.blocks() + block) * conv_.in.channels * kBlock;
    }

    // One element of the tiles that need it, to some output blocks: a 1 x 1 convolution, but for its weights.
    ConvTile tile_of(int e, int s, int block, int channel, int channels) const {
        static constexpr TapOffset kTap = {0, 0};
        static constexpr float kZeros[kMostTileBlocks * kBlock] = {};
        const int64_t first = int64_t(order_.tiles_of(e).first) * kBlock;
        ConvTile tile{};
        tile.x = v_ + x_.index[s] * v_floats_ + e * v_element_ + channel / kBlock * block_floats_ + first;
        tile.x_pixel = kBlock;
        tile.x_block = block_floats_;
        tile.channels = channels;
        tile.w_taps = 1;
        tile.taps = &kTap;
        tile.tap_count = 1;
        tile.start = channel == 0 && conv_.begins(s) ? kZeros : nullptr;
        tile.slope = 1;
        tile.y = q_ + conv_.source[s].output * q_floats_ + e * q_element_ + block * block_floats_ + first;
        tile.y_block = block_floats_;
        tile.y_pixel = kBlock;
        return tile;
    }
    int calls(int e, int blocks) const { return int(ceil_div(order_.tiles_of(e).size(), k_.tile_pixels[blocks - 1])); }

    // fetch: sets what each call fetches.
    template <class Fetch>
    void cover(int e, int blocks, ConvTile& tile, Fetch fetch) const {
        each_share(order_.tiles_of(e).size(), k_.tile_pixels[blocks - 1], [&](int, int pixels) {
            fetch();
            k_.conv_tile[blocks - 1][pixels - 1](tile);
            tile.x += pixels * kBlock;
            tile.y += pixels * kBlock;
        });
    }

    void multiply(int e, int s) const {
        each_share(last_block_ - first_block_, k_.tile_blocks, [&](int block, int blocks) {
            ConvTile tile = tile_of(e, s, block, 0, conv_.in.channels);
            tile.w = weights(conv_.source[s].w, e, first_block_ + block);
            tile.w_block = int64_t(conv_.in.channels) * kBlock;
            // Fetched meanwhile: weights of the next blocks, or of the first ones of the next element; but outputs, where weights are near.
            const float* next_weights = tile.w + blocks * tile.w_block;
            const float* next_end = next_weights + (blocks - 1) * tile.w_block;
            Ahead outputs = next_outputs(conv_.source[s].output, block, blocks, e, calls(e, blocks));
            Ahead inputs = next_inputs(x_.of[x_.index[s]], e, block, calls(e, blocks));
            cover(e, blocks, tile, [&] {
                tile.next = weights_stay_ ? outputs.next() : next_weights;
                tile.ahead = inputs.next();
                next_weights = next_weights == next_end ? tile.w : next_weights + tile.w_block;
            });
        });
    }

    // Some channels of weights that are kept as taps, of one or two output blocks.
    struct Part {
        int block, blocks, w, channel, channels;
    };
    int channels_at_once() const { return int(kPartFloats / (elements_ * k_.tile_blocks * kBlock)) / kBlock * kBlock; }
    int parts() const { return int(ceil_div(conv_.in.channels, channels_at_once())); }  // of a source's weights
    Part part(int index) const {
        const int block = index / parts() / w_.count * k_.tile_blocks, channel = index % parts() * channels_at_once();
        return {block, std::min(k_.tile_blocks, last_block_ - first_block_ - block), index / parts() % w_.count,
                channel, std::min(channels_at_once(), conv_.in.channels - channel)};
    }
    const float* taps_of(const Part& p, int block, int channel) const {
        return w_.of[p.w] +
               (int64_t(first_block_ + p.block + block) * conv_.in.channels + p.channel + channel) * kTaps * kBlock;
    }
    // The transformed ones, [element][block][channel][16]; odd, so that elements do not fall on the same cache lines.
    int64_t u_element() const { return (k_.tile_blocks * channels_at_once() | 1) * kBlock; }

    // Weights that are kept as taps are transformed a part at a time, which all tiles then use. Meanwhile the next part is fetched.
    void multiply_taps() const {
        float* u = q_ + conv_.outputs * q_floats_;
        const int groups = int(ceil_div(last_block_ - first_block_, k_.tile_blocks)), all = groups * w_.count * parts();
        for (int index = 0; index < all; ++index) {
            const Part p = part(index), after = part(index + 1 < all ? index + 1 : 0);
            for (int b = 0; b < p.blocks; ++b)
                for (int c = 0; c < p.channels; c += kBlock) {
                    const int some = std::min(kBlock, p.channels - c);
                    k_.winograd_weights[form_](taps_of(p, b, c), int64_t(some) * kBlock, some,
                                               u + (b * p.channels + c) * kBlock, u_element());
                }
            const int64_t block = int64_t(conv_.in.channels) * kTaps * kBlock;
            for (int e = 0; e < elements_; ++e)
                for (int s = 0; s < conv_.sources; ++s) {
                    if (w_.index[s] != p.w) continue;
                    ConvTile tile = tile_of(e, s, p.block, p.channel, p.channels);
                    tile.w = u + e * u_element();
                    tile.w_block = int64_t(p.channels) * kBlock;
                    Ahead next = ahead(taps_of(after, 0, 0), block, after.blocks, after.channels * kTaps, e, elements_,
                                       calls(e, p.blocks));
                    Ahead inputs = next_inputs(x_.of[x_.index[s]], e, p.block, calls(e, p.blocks));
                    cover(e, p.blocks, tile, [&] { tile.next = next.next(), tile.ahead = inputs.next(); });
                }
        }
    }

    // Where a call finds what it fetches, and how much further the next one does.
    struct Ahead {
        const float* at;
        int64_t step;  // floats
        const float* next() { return std::exchange(at, at + step); }
    };
    // A part of the first lines of some planes.
    static Ahead ahead(const float* first, int64_t plane, int planes, int64_t lines, int part, int parts, int calls) {
        return {part_of_planes(first, plane, planes, lines, part, parts),
                planes * lines / (int64_t(parts) * std::max(1, calls)) * kBlock};
    }
    // Where an output ends with slopes that were found long ago, those are fetched: the output itself is where the layer before was.
    Ahead next_outputs(int output, int block, int blocks, int element, int calls) const {
        const float *y = conv_.output[output].y, *mask = conv_.output[output].epilogue.mask;
        const int row = first_unit_ % order_.rows * kWinogradTiles[form_].outputs;
        const float* first = (mask && mask != conv_.output[0].y ? mask : y) +
                             first_unit_ / order_.rows * conv_.out.image + (first_block_ + block) * conv_.out.block +
                             row * conv_.out.row;
        const int64_t lines = int64_t(last_unit_ - first_unit_) * kWinogradTiles[form_].outputs * conv_.out.w;
        return ahead(first, conv_.out.block, blocks, lines, element, elements_, calls);
    }
    // Of the next task, but those rows that it shares with the rows before.
    Ahead next_inputs(const float* x, int element, int block, int calls) const {
        const WinogradTile& shape = kWinogradTiles[form_];
        const int row = next_unit_ % order_.rows * shape.step + shape.inputs - shape.step - pad_;
        const int groups = int(ceil_div(last_block_ - first_block_, k_.tile_blocks));
        return ahead(x + next_unit_ / order_.rows * conv_.in.image + row * conv_.in.row, conv_.in.block,
                     conv_.in.blocks(), int64_t(last_unit_ - first_unit_) * shape.step * conv_.in.w,
                     element * groups + block / k_.tile_blocks, elements_ * groups, calls);
    }

    int steps() const { return conv_.in.channels / (2 * kBlock); }

    // A panel of the weights of an element, of two output blocks and some steps.
    struct Panel {
        int e, block, first_step, steps, w;
    };
    int panels() const {  // of an element
        return (last_block_ - first_block_) / 2 * int(ceil_div(steps(), kPanelSteps)) * w_.count;
    }
    Panel panel(int index) const {
        const int parts = int(ceil_div(steps(), kPanelSteps)), part = index / w_.count % parts;
        const int of_element = index % panels() / w_.count / parts;
        return {index / panels(), first_block_ + 2 * of_element, part * kPanelSteps,
                std::min(kPanelSteps, steps() - part * kPanelSteps), index % w_.count};
    }

    uint32_t* digits() const { return reinterpret_cast<uint32_t*>(q_ + conv_.outputs * q_floats_); }

    // An element's digits, [group of tiles][step], and a panel's, [block][step]; the next ones are elsewhere.
    uint32_t* left_digits(int i, int e) const { return digits() + ((streams_ ? e : e % 2) * x_.count + i) * left_; }
    uint32_t* panel_digits(int index) const { return left_digits(0, 0) + 2 * x_.count * left_ + index % 2 * kPanel; }

    DigitLines left_lines(int i, int e) const {
        DigitLines lines{};
        lines.first = v_ + i * v_floats_ + e * v_element_, lines.second = lines.first + block_floats_;
        lines.line = kBlock, lines.lines = kBlock;
        lines.digits = left_digits(i, e), lines.tile = kDigitsTile;
        lines.units = groups_ * steps(), lines.inner = steps();
        lines.inner_floats = 2 * block_floats_, lines.inner_pairs = kDigitsStep;
        lines.outer_floats = kDigitsTile, lines.outer_pairs = steps() * kDigitsStep;
        return lines;
    }
    const float* panel_weights(const Panel& p) const {
        return weights(w_.of[p.w], p.e, p.block) + int64_t(p.first_step) * 2 * kDigitsTile;
    }
    DigitLines panel_lines(int index) const {
        const Panel p = panel(index);
        const int64_t block = int64_t(conv_.in.channels) * kBlock;
        DigitLines lines{};
        lines.first = panel_weights(p), lines.second = lines.first + kDigitsTile;
        lines.line = kBlock, lines.lines = kBlock;
        lines.digits = panel_digits(index), lines.tile = kDigitsTile;
        lines.units = 2 * p.steps, lines.inner = p.steps;
        lines.inner_floats = 2 * kDigitsTile, lines.inner_pairs = kDigitsStep;
        lines.outer_floats = block, lines.outer_pairs = kPanelSteps * kDigitsStep;
        if (elements_ * block * conv_.out.blocks() > kFarWeights && index + 1 < panels() * elements_)
            lines.ahead = panel_weights(panel(index + 1)) - lines.first;
        return lines;
    }

    // The products of all elements. While the matrix unit makes those of a panel, the next panel is split and a share of the next element.
    void multiply_digits() const {
        DigitLines left[kMostSources], right;  // of the next element, of the next panel
        for (int i = 0; i < x_.count; ++i) k_.split_digits(left_lines(i, 0));
        k_.split_digits(panel_lines(0));
        const int all = panels() * elements_, calls = panels() / w_.count * conv_.sources;
        for (int index = 0, call = 0; index < all; ++index) {
            const Panel p = panel(index);
            const bool last_element = p.e + 1 == elements_, last = index + 1 == all;
            if (index % panels() == 0) {
                call = 0;
                for (int i = 0; i < x_.count; ++i) left[i] = last_element ? kNothing : left_lines(i, p.e + 1);
            }
            right = last ? kNothing : panel_lines(index + 1);
            const int uses = int(std::count(w_.index, w_.index + conv_.sources, p.w));
            int use = 0;
            for (int s = 0; s < conv_.sources; ++s) {
                if (w_.index[s] != p.w) continue;
                DigitProduct product = this->product(index, p, s);
                product.add_share(right, use++, uses);
                for (int i = 0; i < x_.count; ++i) product.add_share(left[i], call, calls);
                k_.multiply_digits(product);
                ++call;
            }
        }
    }

    // The same of few tiles: all of their elements are split before, and the weights where they are used, for two sources if they share them.
    void stream_digits() const {
        for (int e = 0; e < elements_; ++e)
            for (int i = 0; i < x_.count; ++i) k_.split_digits(left_lines(i, e));
        for (int w = 0; w < w_.count; ++w) {
            int uses = 0, source[kMostSources];
            for (int s = 0; s < conv_.sources; ++s)
                if (w_.index[s] == w) source[uses++] = s;
            for (int u = 0; u < uses; ++u) {
                DigitStream one = stream(source[u]);
                if (groups_ == 1 && u + 1 < uses && conv_.begins(source[u + 1]) == one.fresh) {
                    const DigitStream other = stream(source[++u]);
                    one.rows = 2, one.left_group = other.left - one.left, one.sum_group = other.sum - one.sum;
                }
                k_.stream_digits(one);
            }
        }
    }

    DigitStream stream(int s) const {
        DigitStream stream{};
        stream.elements = elements_, stream.blocks = last_block_ - first_block_, stream.steps = steps();
        stream.rows = groups_;
        stream.left = left_digits(x_.index[s], 0);
        stream.left_element = x_.count * left_, stream.left_group = steps() * kDigitsStep;
        stream.right = weights(conv_.source[s].w, 0, first_block_);
        stream.right_block = int64_t(conv_.in.channels) * kBlock;
        stream.right_element = conv_.out.blocks() * stream.right_block;
        stream.sum = q_ + conv_.source[s].output * q_floats_;
        stream.sum_element = q_element_, stream.sum_block = block_floats_, stream.sum_group = kDigitsTile;
        stream.fresh = conv_.begins(s);
        stream.ring = digits() + elements_ * stream.left_element;
        return stream;
    }

    // A source's, with a panel.
    DigitProduct product(int index, const Panel& p, int s) const {
        DigitProduct product{};
        product.steps = p.steps;
        for (int i = 0; i < p.steps; ++i) {
            product.left[i] = left_digits(x_.index[s], p.e) + (p.first_step + i) * kDigitsStep;
            product.right[i] = panel_digits(index) + i * kDigitsStep;
        }
        product.left_group = steps() * kDigitsStep, product.left_tile = kDigitsTile;
        product.right_group = kPanelSteps * kDigitsStep, product.right_tile = kDigitsTile;
        product.rows = groups_;
        product.sum =
            q_ + conv_.source[s].output * q_floats_ + p.e * q_element_ + (p.block - first_block_) * block_floats_;
        product.sum_column = block_floats_;
        product.fresh = p.first_step == 0 && conv_.begins(s);
        return product;
    }

    void transform_output(const Output& output, const float* q) const {
        static constexpr float kZeros[kBlock] = {};
        for (int b = first_block_; b < last_block_; ++b) {
            const float* block = q + (b - first_block_) * block_floats_;
            for (int unit = first_unit_; unit < last_unit_; ++unit) {
                const int image = unit / order_.rows, row = unit % order_.rows;
                const int64_t plane = image * conv_.out.image + b * conv_.out.block;
                const Epilogue& e = output.epilogue;
                k_.winograd_output[form_]({block + first_tile(unit), block + last_tile(unit), q_element_,
                                           order_.columns, output.bias ? output.bias + b * kBlock : kZeros,
                                           e.residual ? e.residual + plane : nullptr, e.mask ? e.mask + plane : nullptr,
                                           e.slope, output.y + plane, conv_.out.h, conv_.out.w,
                                           row * kWinogradTiles[form_].outputs});
            }
        }
    }

    int64_t first_tile(int unit) const { return int64_t(order_.first_tile(unit)) * kBlock; }
    int64_t last_tile(int unit) const { return int64_t(order_.last_tile(unit)) * kBlock; }

    const Kernels& k_;
    const TapConv& conv_;
    const WinogradForm form_;
    const int elements_, pad_;
    const bool digits_;     // products on the matrix unit
    const bool taps_;       // the weights are kept as taps
    bool streams_ = false;  // of the weights' digits
    TileOrder order_;
    const Distinct x_, w_;
    int first_unit_, last_unit_, next_unit_, first_block_, last_block_, groups_;
    bool weights_stay_;
    // Of the transformed tiles, [element][block][tile][16], and of an element's digits.
    int64_t block_floats_, v_element_, q_element_, v_floats_ = 0, q_floats_ = 0, left_ = 0;
    float *v_ = nullptr, *q_ = nullptr;
};

}  // namespace

namespace {

// Cycles, roughly: two products of blocks at a time, three for an element of a block to be transformed, read and written; per_image: for an
// element of the weights.
WinogradForm cheapest(const Conv2d& c, double per_image) {
    if (c.kh != 3 || c.kw != 3 || c.pad > 2) return kByTaps;
    const double in = double(c.ic) / kBlock, out = blocks_of(c.oc), products = 8 * in * out;
    double least = 9.0 * c.oh * c.ow * products;
    WinogradForm best = kByTaps;
    for (const WinogradForm form : {kF2, kF4, kF2Stride2}) {
        const int outputs = kWinogradTiles[form].outputs;
        if (outputs > c.winograd || (form == kF2Stride2 ? c.stride != 2 || c.pad != 1 : c.stride != 1)) continue;
        const double tiles = double(ceil_div(c.oh, outputs) * ceil_div(c.ow, outputs));
        const double cycles = tiles * elements_of(form) * (products + 3 * (blocks_of(c.ic) + out)) +
                              elements_of(form) * per_image * c.ic * out;
        if (cycles >= least) continue;
        least = cycles;
        best = form;
    }
    return best;
}

bool keeps_taps(const Conv2d& c, const Planes& in, const Planes& out) {
    if (winograd_form(c) != kF4 || c.most == 0 || has_digit_tiles(kF4, in, out)) return false;
    const int outputs = kWinogradTiles[kF4].outputs;
    return transformed_floats(kF4, in, out) > kCachedWeights &&
           c.most * ceil_div(out.h, outputs) * ceil_div(out.w, outputs) <= kMostTilesOfTaps;
}

}  // namespace

WinogradForm winograd_form(const Conv2d& c) {
    return c.stride == 2 && suits_digits(c) ? kByTaps : cheapest(c, 0);  // the matrix unit gains more
}
WinogradForm winograd_vjp_x_form(const Conv2d& c) {
    const WinogradForm form = winograd_form(c);
    return form == kF2Stride2 ? kF2Transposed : form;
}
WinogradForm winograd_vjp_w_form(const Conv2d& c) {
    // Measured on one processor of each kind, which makes two, and one, of AVX-512's products a cycle.
    return cheapest(c, kernels().multiply_digits ? 12 : 4);
}

bool winograd_keeps_taps(const Conv2d& c) {
    return keeps_taps(c, Planes::of(1, c.ic, c.ih, c.iw), Planes::of(1, c.oc, c.oh, c.ow));
}
bool winograd_vjp_x_keeps_taps(const Conv2d& c) {
    return keeps_taps(c, Planes::of(1, c.oc, c.oh, c.ow), Planes::of(1, c.ic, c.ih, c.iw));
}

int64_t winograd_floats(const Conv2d& c) {
    const int64_t elements = elements_of(winograd_form(c));
    const int64_t forward = (winograd_keeps_taps(c) ? kTaps : elements) * c.ic * blocks_of(c.oc),
                  vjp_x = (winograd_vjp_x_keeps_taps(c) ? kTaps : elements) * c.oc * blocks_of(c.ic);
    return kBlock * (blocks_of(c.oc) + std::max(forward, vjp_x));
}

void winograd_pack(WinogradForm form, const float* held, int64_t tap, int in, int in_channels, int out_block,
                   int out_blocks, float* u) {
    kernels().winograd_weights[form](held, tap, std::min(kBlock, in_channels - in),
                                     u + (int64_t(out_block) * in_channels + in) * kBlock,
                                     int64_t(out_blocks) * in_channels * kBlock);
}

void winograd_conv(Threads& threads, WinogradForm form, int pad, bool taps, const TapConv& conv) {
    const TileOrder order(form, conv.out.h, conv.out.w, has_digit_tiles(form, conv.in, conv.out));
    const Cut cut = cut_for(conv, form, order, Distinct(conv, &Source::x).count, threads.sharing());
    threads.each(int64_t(cut.tasks) * cut.block_tasks, [&](int64_t task, int thread) {
        Task(conv, form, pad, taps, order, cut, task, task + threads.sharing()).run(threads, thread);
    });
}

}  // namespace lqf::cpu
