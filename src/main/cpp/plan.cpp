#include "plan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace lqf {

namespace {

constexpr int64_t kLine = 16;                // floats: every buffer starts on a 64-byte line
constexpr int64_t kCacheFloats = 2 << 20;    // a micro-batch of the widest value should fit: 8 MB
constexpr int64_t kDeviceFloats = 64 << 20;  // likewise on a device, which only its memory bounds: 256 MB
constexpr int kMinMicro = 16, kMaxMicro = 64;
// Of networks whose packed weights every thread can fetch again for a few images: the widest value of its micro-batch, 256 kB, and the
// weights, 4 MB an image of it.
constexpr int64_t kOwnFloats = 64 << 10, kOwnWeights = 1 << 20;
constexpr int64_t kPatchEntries = 1 << 18;  // of the images that each_input hands over together, a patch each

int64_t lines(int64_t floats) { return (floats + kLine - 1) / kLine * kLine; }

// A buffer that is in use from time first to time last.
struct Interval {
    int64_t floats;
    int first, last;
    int64_t* offset;
};

// Places buffers so that those in use at the same time do not overlap: widest first, lowest gap. Returns the length of the arena.
int64_t place(std::vector<Interval> intervals) {
    std::stable_sort(intervals.begin(), intervals.end(),
                     [](const Interval& a, const Interval& b) { return a.floats > b.floats; });
    std::vector<Interval> placed;  // by offset
    int64_t length = 0;
    for (const Interval& interval : intervals) {
        int64_t offset = 0;
        for (const Interval& other : placed) {
            bool together = interval.first <= other.last && other.first <= interval.last;
            if (together && offset + interval.floats > *other.offset)
                offset = std::max(offset, *other.offset + lines(other.floats));
        }
        *interval.offset = offset;
        auto at =
            std::find_if(placed.begin(), placed.end(), [&](const Interval& other) { return *other.offset > offset; });
        placed.insert(at, interval);
        length = std::max(length, offset + lines(interval.floats));
    }
    return length;
}

const char* op_name(int op) {
    static const char* const names[] = {"conv2d",          "linear", "leaky_relu", "max_pool",  "avg_pool",
                                        "global_avg_pool", "add",    "subsample",  "batch_norm"};
    return names[op];
}

bool has_weights(const lqf_node& node) { return node.op == LQF_CONV2D || node.op == LQF_LINEAR; }
bool is_norm(const Step& step) { return step.node.op == LQF_BATCH_NORM; }

template <typename Shape>
Shape batch(Shape shape, int n) {
    shape.n = n;
    return shape;
}

}  // namespace

// ---- compile ----------------------------------------------------------------------------------------------------------------------

Plan::Plan(const std::shared_ptr<Engine>& engine, std::vector<lqf_node> nodes, const std::vector<std::string>& names,
           int channels, int height, int width, const lqf_vector* parameters, int max_batch)
    : engine_(engine), ops_(engine->ops), parameters_(parameters->length), max_batch_(max_batch) {
    LQF_CHECK(channels > 0 && height > 0 && width > 0, "image is [%d,%d,%d]", channels, height, width);
    const int block = ops_.channel_block;
    auto floats = [&](int c, int h, int w) { return int64_t((c + block - 1) / block) * block * h * w; };

    Value image;
    image.c = channels, image.h = height, image.w = width;
    image.floats = floats(channels, height, width);
    values_.push_back(image);
    for (int i = 0; i < int(nodes.size()); i++) {
        check_node(nodes[i], i);
        Step step = step_of(nodes[i], i, names[i]);
        Value& value = values_.back();
        value.floats = floats(value.c, value.h, value.w);
        value.storage = i + 1;
        steps_.push_back(step);
    }
    const Value& output = values_.back();
    LQF_CHECK(output.h == 1 && output.w == 1,
              "the output \"%s\" has shape [%d,%d,%d], expected [classes,1,1]; end the network with a global pool or a "
              "linear layer",
              names.back().c_str(), output.c, output.h, output.w);

    drop_dead_steps();
    fuse_epilogues();
    mark_tangent_and_kept();
    int64_t widest = 1;
    for (const Value& value : values_)
        if (value.live) widest = std::max(widest, value.floats);
    micro_ = shared_micro(widest);
    if (statistics_floats() > 0) {
        micro_ = max_batch;
    } else if (const int own = own_micro(widest)) {
        micro_ = own;
        lanes_ = engine_->threads.count();
    }
    micro_ = std::min(max_batch, micro_);
    added_ = std::make_unique<std::atomic<int>[]>(steps_.size());
    place_buffers();
    set_parameters(parameters);
}

// A processor keeps a micro-batch in its cache; a device needs as many images as fill it.
int Plan::shared_micro(int64_t widest) const {
    if (!engine_->queue) return int(std::clamp<int64_t>(kCacheFloats / widest, kMinMicro, kMaxMicro));
    const int most = int(std::clamp<int64_t>(kDeviceFloats / widest, kMinMicro, kMaxMicro)),
              parts = (max_batch_ + most - 1) / most;
    return (max_batch_ + parts - 1) / parts;
}

// 0: threads share one.
int Plan::own_micro(int64_t widest) const {
    int64_t weights = 0;
    for (const Step& step : steps_)
        if (has_weights(step.node)) weights += int64_t(ops_.conv2d_packed_floats(step.conv));
    const int64_t images = std::min<int64_t>(kMaxMicro, kOwnFloats / widest);
    return ops_.nests && weights <= images * kOwnWeights ? int(images) : 0;
}

void Plan::check_node(const lqf_node& node, int index) const {
    LQF_CHECK(node.op >= LQF_CONV2D && node.op <= LQF_BATCH_NORM, "node %d: unknown op %d", index, node.op);
    LQF_CHECK(node.input0 >= -1 && node.input0 < index, "node %d: input %d is not an earlier node", index, node.input0);
    if (node.op == LQF_ADD)
        LQF_CHECK(node.input1 >= -1 && node.input1 < index, "node %d: input %d is not an earlier node", index,
                  node.input1);
}

// Fills in the shapes of a node and appends its output value.
Step Plan::step_of(const lqf_node& node, int index, const std::string& name) {
    Step step;
    step.node = node;
    step.index = index;
    step.name = name;
    step.in0 = node.input0 + 1;
    step.in1 = node.op == LQF_ADD ? node.input1 + 1 : -1;
    step.out = index + 1;
    const Value in = values_[size_t(step.in0)];
    auto fail = [&](const std::string& what) {
        return Error(LQF_INVALID, format("%s \"%s\" (node %d): input is [%d,%d,%d], %s", op_name(node.op), name.c_str(),
                                         index, in.c, in.h, in.w, what.c_str()));
    };
    Value out;
    out.c = in.c, out.h = in.h, out.w = in.w;
    int exponent = 0;
    auto window = [&](int kernel_h, int kernel_w, int stride, int pad) {
        if (kernel_h < 1 || kernel_w < 1 || stride < 1 || pad < 0)
            throw fail(format("kernel %dx%d, stride %d, padding %d", kernel_h, kernel_w, stride, pad));
        int64_t h = int64_t(in.h) + 2 * int64_t(pad) - kernel_h, w = int64_t(in.w) + 2 * int64_t(pad) - kernel_w;
        if (h < 0 || w < 0)
            throw fail(format("smaller than the kernel %dx%d with padding %d", kernel_h, kernel_w, pad));
        out.h = int(h / stride + 1), out.w = int(w / stride + 1);
    };
    switch (node.op) {
        case LQF_LINEAR:  // its weights [out, c*h*w] are those of a convolution whose kernel is the whole input
        case LQF_CONV2D: {
            bool linear = node.op == LQF_LINEAR;
            int kh = linear ? in.h : node.kernel_h, kw = linear ? in.w : node.kernel_w;
            int stride = linear ? 1 : node.stride, pad = linear ? 0 : node.padding;
            window(kh, kw, stride, pad);
            if (node.out_channels < 1) throw fail(format("%d output channels", node.out_channels));
            out.c = node.out_channels;
            step.conv = Conv2d{0, in.c, in.h, in.w, out.c, out.h, out.w, kh, kw, stride, pad, engine_->winograd};
            step.conv.precision = engine_->precision;
            step.conv.unit = node.unit;
            step.conv.most = max_batch_;
            if (node.linearised &&
                !(node.unit > 0 && std::isnormal(node.unit) && std::frexp(node.unit, &exponent) == 0.5f))
                throw fail(format("unit %g, expected a power of two", double(node.unit)));
            int64_t weights = step.conv.patch() * out.c;
            if (node.weight_offset < 0 || node.bias_offset < 0 || node.weight_offset + weights > parameters_ ||
                node.bias_offset + out.c > parameters_)
                throw fail(format("weights at %lld (%lld) and bias at %lld (%d) do not fit %lld parameters",
                                  (long long)node.weight_offset, (long long)weights, (long long)node.bias_offset, out.c,
                                  (long long)parameters_));
            break;
        }
        case LQF_LEAKY_RELU:
            if (!(node.slope >= 0)) throw fail(format("slope %g, expected >= 0", double(node.slope)));
            break;
        case LQF_MAX_POOL:
        case LQF_AVG_POOL:
            if (node.padding >= node.kernel_h || node.padding >= node.kernel_w)
                throw fail(format("padding %d is not smaller than the kernel", node.padding));
            window(node.kernel_h, node.kernel_w, node.stride, node.padding);
            step.pool =
                Pool2d{0, in.c, in.h, in.w, out.h, out.w, node.kernel_h, node.kernel_w, node.stride, node.padding};
            break;
        case LQF_GLOBAL_AVG_POOL:
            out.h = out.w = 1;
            step.pool = Pool2d{0, in.c, in.h, in.w, 1, 1, in.h, in.w, 1, 0};
            break;
        case LQF_ADD: {
            const Value& other = values_[size_t(step.in1)];
            if (other.c != in.c || other.h != in.h || other.w != in.w)
                throw fail(format("the other is [%d,%d,%d]", other.c, other.h, other.w));
            break;
        }
        case LQF_SUBSAMPLE:
            if (node.stride < 1 || node.pad_before < 0 || node.pad_after < 0)
                throw fail(
                    format("stride %d, channels before %d, after %d", node.stride, node.pad_before, node.pad_after));
            out.c = in.c + node.pad_before + node.pad_after;
            out.h = (in.h - 1) / node.stride + 1, out.w = (in.w - 1) / node.stride + 1;
            step.subsample = Subsample{0, in.c, in.h, in.w, out.c, out.h, out.w, node.stride, node.pad_before};
            break;
        case LQF_BATCH_NORM:
            if (!(node.epsilon > 0)) throw fail(format("epsilon %g, expected > 0", node.epsilon));
            if (node.weight_offset < 0 || node.bias_offset < 0 || node.weight_offset + in.c > parameters_ ||
                node.bias_offset + in.c > parameters_)
                throw fail(format("gamma at %lld and beta at %lld do not fit %lld parameters",
                                  (long long)node.weight_offset, (long long)node.bias_offset, (long long)parameters_));
            step.norm = BatchNorm{0, in.c, in.h, in.w, node.epsilon};
            break;
    }
    values_.push_back(out);
    return step;
}

void Plan::drop_dead_steps() {
    values_.back().live = true;
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        if (!values_[size_t(step->out)].live) continue;
        values_[size_t(step->in0)].live = true;
        if (step->in1 >= 0) values_[size_t(step->in1)].live = true;
    }
    steps_.erase(
        std::remove_if(steps_.begin(), steps_.end(), [&](const Step& step) { return !values_[size_t(step.out)].live; }),
        steps_.end());
}

// How many steps read each value; the caller reads the output.
std::vector<int> Plan::readers() const {
    std::vector<int> count(values_.size(), 0);
    count.back() = 1;
    for (const Step& step : steps_) {
        count[size_t(step.in0)]++;
        if (step.in1 >= 0) count[size_t(step.in1)]++;
    }
    return count;
}

// A convolution takes over the add and the leaky ReLU behind it, if nobody else reads what lies between.
void Plan::fuse_epilogues() {
    const std::vector<int> count = readers();
    for (size_t i = 0; i < steps_.size(); i++) {
        if (!has_weights(steps_[i].node)) continue;
        auto take_over = [&](int op) {  // the only reader of the convolution's output if it is that op, and removes it
            Step& conv = steps_[i];
            auto reader = std::find_if(steps_.begin() + int64_t(i) + 1, steps_.end(),
                                       [&](const Step& step) { return step.in0 == conv.out || step.in1 == conv.out; });
            if (count[size_t(conv.out)] != 1 || reader == steps_.end() || reader->node.op != op) return;
            if (op == LQF_ADD) {
                const int other = reader->in0 == conv.out ? reader->in1 : reader->in0;
                const bool later = std::any_of(steps_.begin() + int64_t(i) + 1, steps_.end(),
                                               [&](const Step& step) { return step.out == other; });
                if (later) return;
                conv.in1 = other;
            }
            values_[size_t(conv.out)].live = false;
            conv.out = reader->out;
            if (op == LQF_LEAKY_RELU) values_[size_t(conv.out)].slope = reader->node.slope;
            fused_.push_back(*reader);
            steps_.erase(reader);
        };
        take_over(LQF_ADD);
        take_over(LQF_LEAKY_RELU);
    }
}

// Finds what moves with delta, what must be kept, which leaky ReLUs may work in place and in which order cotangents arrive.
void Plan::mark_tangent_and_kept() {
    const std::vector<int> count = readers();
    for (Step& step : steps_) {
        Value &in = values_[size_t(step.in0)], &out = values_[size_t(step.out)];
        bool linearised = has_weights(step.node) && step.node.linearised;
        out.tangent = linearised || (is_norm(step) && step.node.linearised) || in.tangent ||
                      (step.in1 >= 0 && values_[size_t(step.in1)].tangent);
        if (linearised || (is_norm(step) && out.tangent)) in.kept = true;
        if (out.slope != 1 && out.tangent) out.kept = true;
        if (step.node.op == LQF_LEAKY_RELU) {
            step.in_place = step.in0 != 0 && count[size_t(step.in0)] == 1;
            if (step.in_place) out.storage = in.storage;
            if (out.tangent) out.kept = true;
        }
    }
    values_.back().kept = true;
    // a buffer is kept if any value in it is
    for (const Value& value : values_)
        if (value.kept) values_[size_t(value.storage)].kept = true;

    std::vector<Step*> last(values_.size(), nullptr);  // to arrive so far
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        if (step->in1 >= 0) {
            step->accumulate1 = last[size_t(step->in1)] != nullptr;
            last[size_t(step->in1)] = &*step;
        }
        step->accumulate0 = last[size_t(step->in0)] != nullptr;
        last[size_t(step->in0)] = &*step;
    }
    for (size_t v = 0; v < values_.size(); v++) {
        Value& value = values_[v];
        value.masked = value.slope != 1 && last[v] && has_weights(last[v]->node) && last[v]->in0 == int(v);
        if (value.masked) last[v]->masks0 = true;
    }
}

void Plan::place_buffers() {
    const int end = int(steps_.size());
    // The step that makes a value (-1: the image) and the last one that reads it, over all values that share its buffer.
    std::vector<int> first(values_.size(), end), last(values_.size(), -1);
    auto touch = [&](int value, int time) {
        auto root = size_t(values_[size_t(value)].storage);
        first[root] = std::min(first[root], time);
        last[root] = std::max(last[root], time);
    };
    touch(0, -1);
    touch(int(values_.size()) - 1, end);
    for (int time = 0; time < end; time++) {
        const Step& step = steps_[size_t(time)];
        touch(step.in0, time);
        if (step.in1 >= 0) touch(step.in1, time);
        touch(step.out, time);
    }

    // Whose cotangent a buffer's takes the place of: that of an add, where it is the first to arrive at what was added, which then adds to it.
    std::vector<size_t> place_of(values_.size());
    std::vector<int> first_bar = first, last_bar = last;
    std::iota(place_of.begin(), place_of.end(), size_t(0));
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        if (step->in1 < 0 || step->in1 == step->in0 || step->accumulate1) continue;
        const auto added = size_t(values_[size_t(step->in1)].storage);
        if (!values_[added].tangent) continue;
        const size_t place = place_of[size_t(values_[size_t(step->out)].storage)];
        place_of[added] = place;
        first_bar[place] = std::min(first_bar[place], first[added]);
        last_bar[place] = std::max(last_bar[place], last[added]);
    }

    int64_t kept = 0, argmax = 0, weights = 0, deltas = 0, statistics = 0;
    std::vector<Interval> primal, tangent, cotangent;
    for (size_t v = 0; v < values_.size(); v++) {
        Value& value = values_[v];
        if (!value.live || value.storage != int(v)) continue;
        if (value.kept) {
            value.x = kept;
            kept += lines(value.floats * max_batch_);
        } else {
            primal.push_back({value.floats * micro_, first[v], last[v], &value.x});
        }
        if (!value.tangent) continue;
        tangent.push_back({value.floats * micro_, first[v], last[v], &value.x_dot});
        if (place_of[v] == v)  // time runs backwards
            cotangent.push_back({value.floats * micro_, -last_bar[v], -first_bar[v], &value.x_bar});
    }
    for (Step& step : steps_) {
        if (has_weights(step.node)) {
            auto packed = lines(int64_t(ops_.conv2d_packed_floats(step.conv)));
            step.w0 = weights;
            weights += packed;
            if (values_[size_t(step.in0)].tangent) {
                step.w0_transposed = weights;
                weights += packed;
            }
            if (step.node.linearised) {
                step.delta = deltas;
                deltas += packed;
            }
        }
        if (is_norm(step)) {
            step.w0 = weights;  // gamma, beta
            weights += lines(2 * step.norm.c);
            step.statistics = statistics;
            statistics += lines(4 * step.norm.c);
        }
        if (step.node.op == LQF_MAX_POOL) {
            step.argmax = argmax;
            argmax += lines(values_[size_t(step.out)].floats * max_batch_);
        }
    }
    // forward_jvp and predict need values and tangents together, vjp neither
    const int64_t tangents = place(tangent);
    lane_floats_ = std::max(tangents + place(primal), place(cotangent));
    for (Value& value : values_) {
        const Value& root = values_[size_t(value.storage)];
        value.kept = root.kept;
        value.x = root.x;
        value.x_dot = root.x_dot;
        value.x_bar = values_[place_of[size_t(value.storage)]].x_bar;
    }
    for (Value& value : values_)
        if (!value.kept) value.x += tangents;
    kept_ = Memory(*engine_, size_t(kept) * sizeof(float), "the activations that a plan keeps");
    argmax_ = Memory(*engine_, size_t(argmax) * sizeof(int32_t), "the indices of max pools");
    statistics_ = Memory(*engine_, size_t(statistics) * sizeof(float), "the statistics of batch norms");
    weights_ = Memory(*engine_, size_t(weights) * sizeof(float), "packed weights");
    deltas_ = Memory(*engine_, size_t(deltas) * sizeof(float), "a packed displacement");
    scores_ = Memory(*engine_, 2 * size_t(max_batch_) * size_t(classes()) * sizeof(float), "scores");
    if (statistics == 0) {
        std::vector<float> units(size_t(micro_ + 1) * size_t(classes()));
        for (size_t end = size_t(classes()); end <= units.size(); end += size_t(classes())) units[end - 1] = 1;
        units_ = Memory(*engine_, units.size() * sizeof(float), "unit cotangents");
        ops_.copy_in(units_.as<float>(), units.data(), units_.bytes());
    }
    if (size_t(shared_bytes()) > engine_->scratch.bytes()) {
        Memory larger(*engine_, size_t(shared_bytes()), "tangents and cotangents");
        engine_->scratch = std::move(larger);  // not before: if there is no memory, the other plans keep theirs
    }
}

void Plan::set_parameters(const lqf_vector* parameters) {
    images_ = 0;
    for (const Step& step : steps_) {
        if (is_norm(step)) {
            float* gamma = weights_.as<float>() + step.w0;
            const float* from = parameters->data();
            ops_.copy(engine_->threads, step.norm.c, from + step.node.weight_offset, gamma);
            ops_.copy(engine_->threads, step.norm.c, from + step.node.bias_offset, gamma + step.norm.c);
        }
        if (!has_weights(step.node)) continue;
        const float* w = parameters->data() + step.node.weight_offset;
        const float* b = parameters->data() + step.node.bias_offset;
        Conv2d conv = step.conv;
        conv.unit = 1;
        ops_.conv2d_pack(engine_->threads, conv, w, b, weights_.as<float>() + step.w0);
        if (values_[size_t(step.in0)].tangent)
            ops_.conv2d_pack_transposed(engine_->threads, step.conv, w, weights_.as<float>() + step.w0_transposed);
    }
}

// ---- the three verbs --------------------------------------------------------------------------------------------------------------

void Plan::each_batch(int most, int lanes, const std::function<void(int, int)>& work) {
    if (lanes == 1) {
        for (int first = 0; first < images_; first += most) work(first, std::min(most, images_ - first));
        return;
    }
    const int64_t batches = (images_ + most - 1) / most;
    const int64_t tasks = std::min<int64_t>(images_, (batches + lanes - 1) / lanes * lanes);
    engine_->threads.each(tasks, [&](int64_t task, int) {
        const int first = int(images_ * task / tasks), last = int(images_ * (task + 1) / tasks);
        work(first, last - first);
    });
}

float* Plan::x(int value, int first) const {
    const Value& v = values_[size_t(value)];
    return v.kept ? kept_.as<float>() + v.x + first * v.floats : scratch(v.x);
}

const float* Plan::x_dot(int value) const {
    const Value& v = values_[size_t(value)];
    return v.tangent ? scratch(v.x_dot) : nullptr;
}

void Plan::import_images(const float* images, int first, int m) {
    const Value& image = values_[0];
    ops_.import_images(engine_->threads, m, image.c, image.h, image.w, images + first * image_floats(), x(0, first));
}

// What ends a convolution: y = leaky_relu(sum + residual).
Epilogue Plan::epilogue(const Step& step, int first) const {
    return {step.in1 >= 0 ? x(step.in1, first) : nullptr, nullptr, values_[size_t(step.out)].slope};
}

void Plan::forward_step(const Step& step, int first, int m) {
    Threads& threads = engine_->threads;
    const float* in = x(step.in0, first);
    float* out = x(step.out, first);
    const int64_t floats = values_[size_t(step.out)].floats;
    switch (step.node.op) {
        case LQF_CONV2D:
        case LQF_LINEAR:
            ops_.conv2d(threads, batch(step.conv, m), in, w0(step), epilogue(step, first), out);
            break;
        case LQF_LEAKY_RELU:
            ops_.leaky_relu(threads, floats * m, step.node.slope, in, out);
            break;
        case LQF_MAX_POOL:
            ops_.max_pool(threads, batch(step.pool, m), in, out, argmax_.as<int32_t>() + step.argmax + first * floats);
            break;
        case LQF_AVG_POOL:
        case LQF_GLOBAL_AVG_POOL:
            ops_.avg_pool(threads, batch(step.pool, m), in, out);
            break;
        case LQF_ADD:
            ops_.add(threads, floats * m, in, x(step.in1, first), out);
            break;
        case LQF_SUBSAMPLE:
            ops_.subsample(threads, batch(step.subsample, m), in, out);
            break;
        case LQF_BATCH_NORM:
            ops_.batch_norm(threads, batch(step.norm, m), in, w0(step), w0(step) + step.norm.c, statistics_of(step, 0),
                            statistics_of(step, 1), out);
            break;
    }
}

// A copy on the device that is good for this verb, or the images themselves where the device's memory is the host's.
const float* Plan::arrive(const float* images, int n) {
    if (!engine_->queue) return images;
    const size_t bytes = sizeof(float) * size_t(image_floats());
    return engine_->queue->arrive(images, size_t(n) * bytes, size_t(max_batch_) * bytes);
}

void Plan::forward(const float* images, int n) { forward_on_device(arrive(images, n), n); }

void Plan::forward_on_device(const float* images, int n) {
    for (const Step& step : steps_)
        LQF_CHECK(!is_norm(step) || batch(step.norm, n).count() > 1,
                  "batch_norm \"%s\": one value a channel has no variance; give more images", step.name.c_str());
    images_ = n;
    replay(kForward, images, nullptr, nullptr, [&] {
        each_batch(micro_, lanes_, [&](int first, int m) {
            import_images(images, first, m);
            for (const Step& step : steps_) forward_step(step, first, m);
        });
    });
}

void Plan::outputs(float* out) {
    ops_.export_outputs(engine_->threads, images_, classes(), x(int(values_.size()) - 1, 0), out);
}

int64_t Plan::statistics_floats() const {
    int64_t floats = 0;
    for (const Step& step : steps_)
        if (is_norm(step)) floats += 2 * step.norm.c;
    return floats;
}

void Plan::statistics(float* out) {
    Threads& threads = engine_->threads;
    for (const Step& step : steps_) {
        if (!is_norm(step)) continue;
        const int64_t c = step.norm.c, count = batch(step.norm, images_).count();
        ops_.copy(threads, 2 * c, statistics_of(step, 0), out);
        ops_.scale(threads, c, float(double(count) / double(count - 1)), out + c);
        out += 2 * c;
    }
}

const float* Plan::to_pack(const lqf_vector* delta) {
    if (packed_delta_ == delta->revision && !delta->shared) return nullptr;
    packed_delta_ = 0;  // until it is
    return delta->data();
}

// Brings delta into the order of the kernels.
void Plan::pack(const float* delta) {
    for (const Step& step : steps_)
        if (has_weights(step.node) && step.node.linearised)
            ops_.conv2d_pack(engine_->threads, step.conv, delta + step.node.weight_offset,
                             delta + step.node.bias_offset, deltas_.as<float>() + step.delta);
}

void Plan::jvp_step(const Step& step, int first, int m) {
    Threads& threads = engine_->threads;
    const Value& y = values_[size_t(step.out)];
    if (!y.tangent) return;
    const float* in_dot = x_dot(step.in0);
    const float* other_dot = step.in1 >= 0 ? x_dot(step.in1) : nullptr;
    const float* out = y.slope != 1 || step.node.op == LQF_LEAKY_RELU ? x(step.out, first) : nullptr;
    float* y_dot = scratch(y.x_dot);
    switch (step.node.op) {
        case LQF_CONV2D:
        case LQF_LINEAR:
            if (in_dot || step.node.linearised)
                ops_.conv2d_jvp(threads, batch(step.conv, m), step.node.linearised ? x(step.in0, first) : nullptr,
                                in_dot, w0(step), delta_of(step), {other_dot, out, y.slope}, y_dot);
            else if (out)  // frozen so far, only the residual moves
                ops_.leaky_relu_scale(threads, y.floats * m, y.slope, out, other_dot, y_dot, false);
            else
                ops_.copy(threads, y.floats * m, other_dot, y_dot);
            break;
        case LQF_LEAKY_RELU:
            ops_.leaky_relu_scale(threads, y.floats * m, step.node.slope, out, in_dot, y_dot, false);
            break;
        case LQF_MAX_POOL:
            ops_.max_pool_jvp(threads, batch(step.pool, m), in_dot,
                              argmax_.as<int32_t>() + step.argmax + first * y.floats, y_dot);
            break;
        case LQF_AVG_POOL:
        case LQF_GLOBAL_AVG_POOL:
            ops_.avg_pool(threads, batch(step.pool, m), in_dot, y_dot);
            break;
        case LQF_ADD:
            if (in_dot && other_dot)
                ops_.add(threads, y.floats * m, in_dot, other_dot, y_dot);
            else
                ops_.copy(threads, y.floats * m, in_dot ? in_dot : other_dot, y_dot);
            break;
        case LQF_SUBSAMPLE:
            ops_.subsample(threads, batch(step.subsample, m), in_dot, y_dot);
            break;
    }
}

void Plan::jvp(const lqf_vector* delta, float* out) {
    if (!values_.back().tangent) return export_change(images_, out);
    const float* packs = to_pack(delta);
    replay(kJvp, packs, nullptr, out, [&] {
        if (packs) pack(packs);
        each_batch(micro_, lanes_, [&](int first, int m) {
            for (const Step& step : steps_) jvp_step(step, first, m);
            export_change(m, out + int64_t(first) * classes());
        });
    });
    packed_delta_ = delta->revision;
}

void Plan::reverse(int first, int m, const float* cotangent, const AtConv& at, size_t last) {
    if (!values_.back().tangent) return;
    Threads& threads = engine_->threads;
    ops_.import_cotangent(threads, m, classes(), cotangent, scratch(values_.back().x_bar));
    for (size_t i = steps_.size(); i-- > last;) {
        const Step* step = &steps_[i];
        const Value &in = values_[size_t(step->in0)], &y = values_[size_t(step->out)];
        if (!y.tangent) continue;
        float* y_bar = scratch(y.x_bar);
        float* in_bar = in.tangent && i > last ? scratch(in.x_bar) : nullptr;
        // the cotangent of an add's input is the add's own
        auto pass_on = [&](int value, bool accumulate) {
            if (!values_[size_t(value)].tangent) return;
            float* bar = scratch(values_[size_t(value)].x_bar);
            if (bar == y_bar) return;  // it is there
            if (accumulate)
                ops_.add(threads, y.floats * m, bar, y_bar, bar);
            else
                ops_.copy(threads, y.floats * m, y_bar, bar);
        };
        switch (step->node.op) {
            case LQF_CONV2D:
            case LQF_LINEAR: {
                Conv2d conv = batch(step->conv, m);
                if (y.slope != 1 && !y.masked)
                    ops_.leaky_relu_scale(threads, y.floats * m, y.slope, x(step->out, first), y_bar, y_bar, false);
                if (step->in1 >= 0) pass_on(step->in1, step->accumulate1);
                if (step->node.linearised) at(*step, conv, x(step->in0, first), y_bar);
                const float* mask = step->masks0 ? x(step->in0, first) : nullptr;
                if (in_bar)
                    ops_.conv2d_vjp_x(threads, conv, y_bar, weights_.as<float>() + step->w0_transposed,
                                      {step->accumulate0 ? in_bar : nullptr, mask, mask ? in.slope : 1}, in_bar);
                break;
            }
            case LQF_LEAKY_RELU:
                ops_.leaky_relu_scale(threads, y.floats * m, step->node.slope, x(step->out, first), y_bar, in_bar,
                                      step->accumulate0);
                break;
            case LQF_MAX_POOL:
                ops_.max_pool_vjp(threads, batch(step->pool, m), y_bar,
                                  argmax_.as<int32_t>() + step->argmax + first * y.floats, in_bar, step->accumulate0);
                break;
            case LQF_AVG_POOL:
            case LQF_GLOBAL_AVG_POOL:
                ops_.avg_pool_vjp(threads, batch(step->pool, m), y_bar, in_bar, step->accumulate0);
                break;
            case LQF_ADD:
                pass_on(step->in1, step->accumulate1);
                pass_on(step->in0, step->accumulate0);
                break;
            case LQF_SUBSAMPLE:
                ops_.subsample_vjp(threads, batch(step->subsample, m), y_bar, in_bar, step->accumulate0);
                break;
            case LQF_BATCH_NORM:
                ops_.batch_norm_vjp(threads, batch(step->norm, m), x(step->in0, first), w0(*step),
                                    statistics_of(*step, 0), statistics_of(*step, 1), y_bar, statistics_of(*step, 2),
                                    statistics_of(*step, 3), in_bar, step->accumulate0);
                break;
        }
    }
}

// A layer takes the gradients of images in their order: who walks back beside others waits there for those before it.
void Plan::vjp(const float* cotangent, float* gradient) {
    replay(kVjp, cotangent, nullptr, gradient, [&] {
        for (size_t i = 0; i < steps_.size(); i++) added_[i] = 0;
        each_batch(micro_, lanes_, [&](int first, int m) {
            reverse(first, m, cotangent + int64_t(first) * classes(),
                    [&](const Step& step, const Conv2d& conv, const float* x, const float* y_bar) {
                        std::atomic<int>& added = added_[size_t(&step - steps_.data())];
                        engine_->threads.wait_for([&] { return added == first; });
                        ops_.conv2d_vjp_w(engine_->threads, conv, x, y_bar, gradient + step.node.weight_offset,
                                          gradient + step.node.bias_offset, 0);
                        added = first + m;
                    });
        });
        for (const Step& step : steps_) {
            if (!is_norm(step) || !step.node.linearised) continue;
            ops_.axpy(engine_->threads, step.norm.c, 1.0f, statistics_of(step, 2), gradient + step.node.weight_offset);
            ops_.axpy(engine_->threads, step.norm.c, 1.0f, statistics_of(step, 3), gradient + step.node.bias_offset);
        }
    });
}

void Plan::check_whole_layers(int64_t begin, int64_t end) const {
    for (const Step& step : steps_) {
        if (!has_weights(step.node)) continue;
        const int64_t from = step.node.weight_offset, to = step.node.bias_offset + step.conv.oc;
        LQF_CHECK(to <= begin || from >= end || (from >= begin && to <= end),
                  "parameters [%lld, %lld) begin or end inside of %s with [%lld, %lld): take whole layers",
                  (long long)begin, (long long)end, step.name.c_str(), (long long)from, (long long)to);
    }
}

void Plan::displacement(const float* delta, float* out) {
    Threads& threads = engine_->threads;
    ops_.fill(threads, parameters_, 0.0f, out);
    for (const Step& step : steps_) {
        if (!has_weights(step.node) || !step.node.linearised) continue;
        ops_.axpy(threads, step.conv.patch() * step.conv.oc, step.conv.unit, delta + step.node.weight_offset,
                  out + step.node.weight_offset);
        ops_.axpy(threads, step.conv.oc, step.conv.unit, delta + step.node.bias_offset, out + step.node.bias_offset);
    }
}

void Plan::jacobian(float* rows, int64_t parameter, int64_t length, int classes) {
    auto wanted = [&](const Step& step) {
        return has_weights(step.node) && step.node.linearised && step.node.weight_offset >= parameter &&
               step.node.weight_offset < parameter + length;
    };
    const auto last = std::find_if(steps_.begin(), steps_.end(), wanted);
    auto clear = [&](int64_t row, int64_t count) {
        ops_.fill(engine_->threads, count * length, 0.0f, rows + row * length);
    };
    if (last == steps_.end()) return clear(0, int64_t(images_) * classes);
    auto row_of = [&](int c, int image) { return int64_t(image) * classes + c; };
    auto walk = [&](int c, int first, int m) {
        float* row = rows + row_of(c, first) * length - parameter;  // the next image's is classes rows further
        reverse(
            first, m, unit_cotangents(c),
            [&](const Step& step, const Conv2d& conv, const float* x, const float* y_bar) {
                if (wanted(step))
                    ops_.conv2d_vjp_w(engine_->threads, conv, x, y_bar, row + step.node.weight_offset,
                                      row + step.node.bias_offset, classes * length);
            },
            size_t(last - steps_.begin()));
    };
    if (!engine_->queue) {
        each_batch(micro_, lanes_, [&](int first, int m) {
            for (int c = 0; c < classes; c++) {
                for (int i = 0; i < m; i++) clear(row_of(c, first + i), 1);  // while a cache has it
                walk(c, first, m);
            }
        });
        return;
    }
    const int batches = (images_ + micro_ - 1) / micro_;
    const int64_t walks = int64_t(classes) * batches;
    for (int64_t begin = 0; begin < walks; begin += Replays::kMostWalks) {
        auto work = [&] {
            if (begin == 0) clear(0, int64_t(images_) * classes);
            for (int64_t i = begin; i < std::min(begin + Replays::kMostWalks, walks); i++) {
                const int first = int(i % batches) * micro_;
                walk(int(i / batches), first, std::min(micro_, images_ - first));
            }
        };
        if (walks <= Replays::kMost * Replays::kMostWalks)
            replay(kJacobian, nullptr, nullptr, rows, work, begin, parameter, length, classes);
        else  // no graph of so many would be kept until it is used again; their rows are 9 GB at least for ResNet-20's 272,000 parameters
            work();
    }
}

// Forward and jvp step by step, so that a convolution reads its input once for both.
void Plan::forward_with_jvp(Verb verb, const lqf_vector* delta, const float* images, int n, const void* out,
                            const Arrived& arrived) {
    const bool moves = values_.back().tangent;
    const float* packs = moves ? to_pack(delta) : nullptr;
    images_ = n;
    replay(verb, images, packs, out, [&] {
        if (packs) pack(packs);
        each_batch(micro_, lanes_, [&](int first, int m) {
            import_images(images, first, m);
            for (const Step& step : steps_) step_with_jvp(step, first, m);
            arrived(first, m);
        });
    });
    if (moves) packed_delta_ = delta->revision;
}

void Plan::export_change(int m, float* out) {
    if (values_.back().tangent)
        ops_.export_outputs(engine_->threads, m, classes(), scratch(values_.back().x_dot), out);
    else
        ops_.fill(engine_->threads, int64_t(m) * classes(), 0.0f, out);
}

void Plan::forward_jvp(const float* images, int n, const lqf_vector* delta, float* out) {
    forward_jvp_on_device(arrive(images, n), n, delta, out);
}

void Plan::forward_jvp_on_device(const float* images, int n, const lqf_vector* delta, float* out) {
    forward_with_jvp(kForwardJvp, delta, images, n, out,
                     [&](int first, int m) { export_change(m, out + int64_t(first) * classes()); });
}

void Plan::predict(const lqf_vector* delta, const float* images, int n, const void* out, const Depart& depart) {
    forward_with_jvp(kPredict, delta, images, n, out, [&](int first, int m) {
        float *base = scores_.as<float>() + int64_t(first) * classes(),
              *change = base + int64_t(max_batch_) * classes();
        ops_.export_outputs(engine_->threads, m, classes(), x(int(values_.size()) - 1, first), base);
        if (values_.back().tangent) {
            export_change(m, change);
            ops_.axpy(engine_->threads, int64_t(m) * classes(), 1.0f, change, base);
        }
        depart(first, m, base);
    });
}

// The scores of a micro-batch leave while the next one is computed.
void Plan::predict(const lqf_vector* delta, const float* images, int n, float* scores) {
    Queue* queue = engine_->queue.get();
    auto bytes = [&](int m) { return size_t(m) * size_t(classes()) * sizeof(float); };
    if (!queue) {
        predict(delta, images, n, scores, [&](int first, int m, const float* some) {
            ops_.copy_out(scores + int64_t(first) * classes(), some, bytes(m));
        });
        return;
    }
    float* outbox = queue->outbox(bytes(n));
    predict(delta, arrive(images, n), n, outbox, [&](int first, int m, const float* some) {
        queue->depart(outbox + int64_t(first) * classes(), some, bytes(m));
        if (first + m == n) queue->settle();
    });
    queue->synchronise();
    std::memcpy(scores, outbox, bytes(n));
}

void Plan::predict_on_device(const lqf_vector* delta, const float* images, int n, float* scores) {
    predict(delta, images, n, scores, [&](int first, int m, const float* some) {
        ops_.copy(engine_->threads, int64_t(m) * classes(), some, scores + int64_t(first) * classes());
    });
}

void Plan::step_with_jvp(const Step& step, int first, int m) {
    if (!has_weights(step.node) || !(step.node.linearised || x_dot(step.in0))) {
        forward_step(step, first, m);
        jvp_step(step, first, m);
        return;
    }
    ops_.conv2d_with_jvp(engine_->threads, batch(step.conv, m), x(step.in0, first), x_dot(step.in0), w0(step),
                         delta_of(step), epilogue(step, first), step.in1 >= 0 ? x_dot(step.in1) : nullptr,
                         x(step.out, first), scratch(values_[size_t(step.out)].x_dot));
}

void Plan::each_input(const std::function<void(const Step&, const Conv2d&, const float*)>& at) {
    for (const Step& step : steps_) {
        if (!has_weights(step.node) || !step.node.linearised) continue;
        const int most = int(std::max<int64_t>(1, kPatchEntries / step.conv.patch()));
        for (int first = 0; first < images_; first += most)
            at(step, batch(step.conv, std::min(most, images_ - first)), x(step.in0, first));
    }
}

std::string Plan::describe() const {
    std::string text = format("%d images at most, %d at a time%s; keeps %.2f MB, shares %.2f MB of scratch; %s\n",
                              max_batch_, micro_, lanes_ > 1 ? format(" on each of %d threads", lanes_).c_str() : "",
                              double(own_bytes()) / 1e6, double(shared_bytes()) / 1e6, ops_.name);
    std::vector<std::pair<int, std::string>> lines;  // by node
    auto add = [&](const Step& step, const std::string& rest) {
        const Value &in = values_[size_t(step.in0)], &out = values_[size_t(step.out)];
        lines.push_back(
            {step.index, format("  %-28s %-16s [%d,%d,%d] -> [%d,%d,%d]%s\n", step.name.c_str(), op_name(step.node.op),
                                in.c, in.h, in.w, out.c, out.h, out.w, rest.c_str())});
    };
    for (const Step& step : fused_) add(step, "  in the convolution before");
    for (const Step& step : steps_) {
        const Value& out = values_[size_t(step.out)];
        std::string rest;
        if (has_weights(step.node))
            rest = format("  kernel %dx%d stride %d pad %d%s", step.conv.kh, step.conv.kw, step.conv.stride,
                          step.conv.pad, step.node.linearised ? ", linearised" : ", frozen");
        add(step, rest + (step.in_place
                              ? "  in place"
                              : format("  %.1f kB an image%s", double(out.floats) * 4e-3, out.kept ? ", kept" : "")));
    }
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) text += line.second;
    return text;
}

}  // namespace lqf

// ---- the C border -----------------------------------------------------------------------------------------------------------------

using namespace lqf;

namespace {

int32_t with(lqf_plan* plan, const std::function<void(Plan&)>& body) {
    return guard([&] {
        LQF_CHECK(plan, "plan is null");
        const Session session(plan->plan.engine());
        body(plan->plan);
    });
}

void check_forward(const Plan& plan) {
    LQF_CHECK(plan.images() > 0, "no forward yet: jvp and vjp need the images at which to linearise");
}

// What an image's outputs are to the parameters depends on the other images: there is no Jacobian an image.
void check_no_batch_norm(const Plan& plan, const char* verb) {
    LQF_CHECK(
        plan.statistics_floats() == 0,
        "%s is for networks whose batch norm is folded; this plan normalises by its batch, to train at the current "
        "weights: fold it first",
        verb);
}

void check_images(const Plan& plan, const float* images, int32_t n) {
    LQF_CHECK(images, "images is null");
    LQF_CHECK(n >= 1 && n <= plan.max_batch(), "%d images, this plan takes 1 to %d", n, plan.max_batch());
}

void check_images(const Plan& plan, const lqf_vector* images, int32_t n) {
    check_vector(images, &plan.engine(), 0, "images");
    check_images(plan, images->data(), n);
    check_vector(images, &plan.engine(), int64_t(n) * plan.image_floats(), "images");
}

void check_jvp(const Plan& plan, int n, const lqf_vector* delta, const lqf_vector* out) {
    check_no_batch_norm(plan, "jvp");
    check_vector(delta, &plan.engine(), plan.parameters(), "delta");
    check_vector(out, &plan.engine(), int64_t(n) * plan.classes(), "out");
    LQF_CHECK(out != delta, "out is delta");
}

}  // namespace

int32_t lqf_plan_compile(lqf_engine* engine, const lqf_node* nodes, int32_t count, const char* names, int32_t channels,
                         int32_t height, int32_t width, lqf_vector* parameters, int32_t max_batch, lqf_plan** out) {
    return guard([&] {
        LQF_CHECK(engine && nodes && names && out, "engine, nodes, names or out is null");
        LQF_CHECK(count >= 1, "a network of %d nodes", count);
        LQF_CHECK(max_batch >= 1 && max_batch <= (1 << 16), "max_batch is %d, expected 1 to 65536", max_batch);
        check_vector(parameters, engine->engine.get(), 0, "parameters");
        std::vector<std::string> split;
        for (const char* end; (end = std::strchr(names, '\n')); names = end + 1) split.emplace_back(names, end);
        LQF_CHECK(int(split.size()) == count, "%d names for %d nodes", int(split.size()), count);
        const Session session(*engine->engine);
        *out = new lqf_plan{Plan(engine->engine, std::vector<lqf_node>(nodes, nodes + count), split, channels, height,
                                 width, parameters, max_batch)};
    });
}

int32_t lqf_plan_destroy(lqf_plan* plan) {
    return guard([&] {
        if (plan) destroy(plan, plan->plan.shared_engine());
    });
}

int32_t lqf_plan_describe(lqf_plan* plan, char* text, int64_t capacity) {
    return with(plan, [&](Plan& p) { copy_text(p.describe(), text, capacity); });
}

int32_t lqf_plan_memory(lqf_plan* plan, int64_t* own_bytes, int64_t* shared_bytes) {
    return with(plan, [&](Plan& p) {
        LQF_CHECK(own_bytes && shared_bytes, "own_bytes or shared_bytes is null");
        *own_bytes = p.own_bytes();
        *shared_bytes = p.shared_bytes();
    });
}

int32_t lqf_plan_set_parameters(lqf_plan* plan, lqf_vector* parameters) {
    return with(plan, [&](Plan& p) {
        check_vector(parameters, &p.engine(), p.parameters(), "parameters");
        p.set_parameters(parameters);
    });
}

int32_t lqf_plan_forward(lqf_plan* plan, const float* images, int32_t n) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        p.forward(images, n);
    });
}

int32_t lqf_plan_forward_vector(lqf_plan* plan, lqf_vector* images, int32_t n) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        p.forward_on_device(images->data(), n);
    });
}

int32_t lqf_plan_forward_jvp(lqf_plan* plan, const float* images, int32_t n, lqf_vector* delta, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        check_jvp(p, n, delta, out);
        p.forward_jvp(images, n, delta, out->writable());
    });
}

int32_t lqf_plan_forward_jvp_vector(lqf_plan* plan, lqf_vector* images, int32_t n, lqf_vector* delta, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        check_jvp(p, n, delta, out);
        LQF_CHECK(out != images, "out is images");
        p.forward_jvp_on_device(images->data(), n, delta, out->writable());
    });
}

int32_t lqf_plan_outputs(lqf_plan* plan, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_forward(p);
        check_vector(out, &p.engine(), int64_t(p.images()) * p.classes(), "out");
        p.outputs(out->writable());
    });
}

int32_t lqf_plan_statistics(lqf_plan* plan, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_forward(p);
        check_vector(out, &p.engine(), p.statistics_floats(), "out");
        p.statistics(out->writable());
    });
}

int32_t lqf_plan_jvp(lqf_plan* plan, lqf_vector* delta, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_forward(p);
        check_jvp(p, p.images(), delta, out);
        p.jvp(delta, out->writable());
    });
}

int32_t lqf_plan_vjp(lqf_plan* plan, lqf_vector* cotangent, lqf_vector* gradient) {
    return with(plan, [&](Plan& p) {
        check_forward(p);
        check_vector(cotangent, &p.engine(), int64_t(p.images()) * p.classes(), "cotangent");
        check_vector(gradient, &p.engine(), p.parameters(), "gradient");
        p.vjp(cotangent->data(), gradient->writable());
    });
}

int32_t lqf_plan_displacement(lqf_plan* plan, lqf_vector* delta, lqf_vector* out) {
    return with(plan, [&](Plan& p) {
        check_no_batch_norm(p, "displacement");
        check_vector(delta, &p.engine(), p.parameters(), "delta");
        check_vector(out, &p.engine(), p.parameters(), "out");
        LQF_CHECK(out != delta, "out is delta");
        p.displacement(delta->data(), out->writable());
    });
}

int32_t lqf_plan_jacobian(lqf_plan* plan, lqf_vector* rows, int64_t row, int64_t first, int64_t length,
                          int32_t classes) {
    return with(plan, [&](Plan& p) {
        check_forward(p);
        check_no_batch_norm(p, "jacobian");
        LQF_CHECK(first >= 0 && length >= 1 && length <= p.parameters() - first, "parameters [%lld, %lld) of %lld",
                  (long long)first, (long long)(first + length), (long long)p.parameters());
        p.check_whole_layers(first, first + length);
        LQF_CHECK(row >= 0 && row <= (int64_t(1) << 40) / length, "row %lld of length %lld", (long long)row,
                  (long long)length);
        LQF_CHECK(classes >= 1 && classes <= p.classes(), "%d classes of %d", classes, p.classes());
        check_vector(rows, &p.engine(), (row + int64_t(p.images()) * classes) * length, "rows");
        p.jacobian(rows->writable() + row * length, first, length, classes);
    });
}

int32_t lqf_plan_predict(lqf_plan* plan, lqf_vector* delta, const float* images, int32_t n, float* scores) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        check_no_batch_norm(p, "predict");
        check_vector(delta, &p.engine(), p.parameters(), "delta");
        LQF_CHECK(scores, "scores is null");
        p.predict(delta, images, n, scores);
    });
}

int32_t lqf_plan_predict_vector(lqf_plan* plan, lqf_vector* delta, lqf_vector* images, int32_t n, lqf_vector* scores) {
    return with(plan, [&](Plan& p) {
        check_images(p, images, n);
        check_no_batch_norm(p, "predict");
        check_vector(delta, &p.engine(), p.parameters(), "delta");
        check_vector(scores, &p.engine(), int64_t(n) * p.classes(), "scores");
        LQF_CHECK(scores != images && scores != delta, "scores is images or delta");
        p.predict_on_device(delta, images->data(), n, scores->writable());
    });
}
